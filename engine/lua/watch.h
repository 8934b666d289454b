/* watch.h - sees that calls into Lua return.
 *
 * Who enters Lua says so, and when it is back. A thread of the watch looks from time to
 * time, by counting: a process that was stopped is not late. A call that is still the
 * same one past its limit is interrupted: a signal to the script's thread (SIGPROF) sets
 * a hook that raises an error at the next instruction, again and again until the call
 * has returned. Compiled code looks at hooks nowhere but where LuaJIT's profiler has
 * asked for it, so that profiler is on, by lines, without its timer.
 *
 * C code that Lua has called, a long pattern match or another program, sees no hook. Then
 * the last resort that a session has set ends the process, from the watch's thread,
 * after the script's thread was put to sleep for good.
 *
 * One for the process, of the one Lua state in it that uses it; on that state's thread
 * unless it says otherwise. */
#ifndef PERIGEE_LUA_WATCH_H
#define PERIGEE_LUA_WATCH_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#define WATCH_DEFAULT_NS 5000000000ULL

/* Be ready for limits of at least limit_ns; the first call starts the thread, which lives
 * as long as the state. Returns 0, STATUS_EIO, or STATUS_EINVAL: another state has it. */
int watch_open(lua_State *L, uint64_t limit_ns);

/* A call begins. what (and phase, NULL: none) name it, until it ends; limit_ns 0: it may
 * take as long as it likes. Calls nest, the outermost counts. Was it the outermost? */
bool watch_enter(const char *phase, const char *what, uint64_t limit_ns);
void watch_leave(void);

/* The interrupted call is about to leave Lua: what its error passes on the way, a message
 * handler, is not interrupted any more. */
void watch_calm(lua_State *L);

/* What ends the process when a call cannot be interrupted, on the watch's thread: it may
 * not allocate, and ends with _exit(). NULL: nothing does. */
void watch_set_last_resort(void (*fn)(void *ctx), void *ctx);

#endif
