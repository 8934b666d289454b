/* l_system.c - what the library needs of the machine: clock, files, host, child processes. */
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "base/sha256.h"

#include "lua/binding.h"
#include "lua/watch.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PROCESS_CLASS "perigee.process"

/* clock() -> monotonic seconds */
static int l_clock(lua_State *L)
{
	lua_pushnumber(L, (double)clock_now() / 1e9);
	return 1;
}

/* sha256(text) -> hex */
static int l_sha256(lua_State *L)
{
	size_t len;
	const char *s = luaL_checklstring(L, 1, &len);
	struct sha256 h;
	char hex[65];
	sha256_init(&h);
	sha256_update(&h, s, len);
	sha256_hex(&h, hex);
	lua_pushstring(L, hex);
	return 1;
}

/* mkdir(path) -> true | nil, message, code. Parents are made; an existing one is fine. */
static int l_mkdir(lua_State *L)
{
	size_t len;
	const char *path = luaL_checklstring(L, 1, &len);
	char copy[4096];
	if (len == 0 || len >= sizeof(copy))
		return binding_failure(L, STATUS_EINVAL, "path is empty or too long");
	memcpy(copy, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (copy[i] != '/' && copy[i] != '\0')
			continue;
		char c = copy[i];
		copy[i] = '\0';
		if (mkdir(copy, 0777) && errno != EEXIST) {
			lua_pushfstring(L, "%s: %s", copy, strerror(errno));
			return binding_failure(L, status_from_errno(errno), lua_tostring(L, -1));
		}
		copy[i] = c;
	}
	struct stat st;
	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		lua_pushfstring(L, "%s: not a directory", path);
		return binding_failure(L, STATUS_EINVAL, lua_tostring(L, -1));
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* replace_file(part, path, keep_larger) -> true | nil, message, code. Rename part over path; not
 * when another program writes to path, nor, with keep_larger, when path is the larger one. */
static int l_replace_file(lua_State *L)
{
	const char *part = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
	struct error e;
	int err = file_replace(part, path, lua_toboolean(L, 3), &e);
	if (err)
		return binding_failure(L, err, e.text);
	lua_pushboolean(L, 1);
	return 1;
}

/* entries(path) -> the names in a folder, in no order | nil, message, code */
static int l_entries(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	DIR *dir = opendir(path);
	if (!dir) {
		lua_pushfstring(L, "%s: %s", path, strerror(errno));
		return binding_failure(L, status_from_errno(errno), lua_tostring(L, -1));
	}
	lua_newtable(L);
	int n = 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		lua_pushstring(L, entry->d_name);
		lua_rawseti(L, -2, ++n);
	}
	closedir(dir);
	return 1;
}

/* mkdtemp(prefix) -> path | nil, message, code. A new folder that only this user can enter. */
static int l_mkdtemp(lua_State *L)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%sXXXXXX", luaL_checkstring(L, 1));
	if (n < 0 || (size_t)n >= sizeof(path))
		return binding_failure(L, STATUS_EINVAL, "path is too long");
	if (!mkdtemp(path))
		return binding_failure(L, status_from_errno(errno), strerror(errno));
	lua_pushstring(L, path);
	return 1;
}

/* isatty(fd) -> boolean, columns, rows */
static int l_isatty(lua_State *L)
{
	int fd = (int)luaL_checkinteger(L, 1);
	struct winsize ws = { 0 };
	lua_pushboolean(L, isatty(fd));
	ioctl(fd, TIOCGWINSZ, &ws);
	lua_pushinteger(L, ws.ws_col);
	lua_pushinteger(L, ws.ws_row);
	return 3;
}

/* Processors that this process may run on. */
static int usable_cpus(void)
{
#ifdef __linux__
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return CPU_COUNT(&set);
#endif
	return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* host() -> { name, system, release, machine, cpus, usable_cpus } */
static int l_host(lua_State *L)
{
	struct utsname u;
	if (uname(&u))
		return binding_failure(L, status_from_errno(errno), strerror(errno));
	lua_newtable(L);
	lua_pushstring(L, u.nodename);
	lua_setfield(L, -2, "name");
	lua_pushstring(L, u.sysname);
	lua_setfield(L, -2, "system");
	lua_pushstring(L, u.release);
	lua_setfield(L, -2, "release");
	lua_pushstring(L, u.machine);
	lua_setfield(L, -2, "machine");
	lua_pushinteger(L, sysconf(_SC_NPROCESSORS_ONLN));
	lua_setfield(L, -2, "cpus");
	lua_pushinteger(L, usable_cpus());
	lua_setfield(L, -2, "usable_cpus");
	return 1;
}

/* default_interrupt(): SIGINT ends the process, as it does for any program */
static int l_default_interrupt(lua_State *L)
{
	(void)L;
	signal(SIGINT, SIG_DFL);
	return 0;
}

/* hold_signals(hold): SIGINT and SIGTERM wait until they are let through again */
static int l_hold_signals(lua_State *L)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(lua_toboolean(L, 1) ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	return 0;
}

/* The message handler, which is on its way out of an interrupted call. */
static int handle_calmly(lua_State *L)
{
	watch_calm(L);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

/* guard(what, seconds, handler, fn, ...) -> as xpcall(fn, handler, ...): fn is interrupted by an
 * error when it does not return in time, 0 s is no limit */
static int l_guard(lua_State *L)
{
	const char *what = luaL_checkstring(L, 1);
	uint64_t limit_ns = clock_from_seconds(luaL_checknumber(L, 2));
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_pushvalue(L, 3);
	lua_pushcclosure(L, handle_calmly, 1);
	lua_replace(L, 3);
	int err = watch_open(L, limit_ns);
	if (err)
		return luaL_error(L, "the watch over Lua calls cannot be started: %s",
		                  status_text(err));
	watch_enter(NULL, what, limit_ns);
	int rc = lua_pcall(L, lua_gettop(L) - 4, LUA_MULTRET, 3);
	watch_leave();
	lua_pushboolean(L, rc == 0);
	lua_replace(L, 3);
	return lua_gettop(L) - 2;
}

/* ---- child processes ---- */

/* spawn{argv...} -> process | nil, message, code */
static int l_spawn(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	const char *const *argv;
	lua_newtable(L);
	lua_pushvalue(L, 1);
	lua_setfield(L, 2, "argv");
	size_t n = binding_opt_strings(L, 2, "argv", &argv);
	luaL_argcheck(L, n > 0, 1, "a program expected");
	binding_loop(L); /* made before it, and so freed after it */
	void **box = binding_box(L, PROCESS_CLASS);
	struct error e;
	int err = process_spawn((struct process **)box, argv, &e);
	return err ? binding_failure(L, err, e.text) : 1;
}

static int l_pid(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)process_pid(binding_check(L, 1, PROCESS_CLASS)));
	return 1;
}

/* process:read_line(timeout) -> line | nil, message, code */
static int l_read_line(lua_State *L)
{
	struct process *p = binding_check(L, 1, PROCESS_CLASS);
	uint64_t deadline = clock_now() + clock_from_seconds(luaL_checknumber(L, 2));
	char line[4096];
	int n = process_read_line(p, line, sizeof(line), deadline);
	if (n < 0)
		return binding_failure(L, n, NULL);
	lua_pushlstring(L, line, (size_t)n);
	return 1;
}

/* The handlers of watched processes are in the registry, by their process. */
static void set_handler(lua_State *L, struct process *p, int index)
{
	lua_pushvalue(L, index);
	lua_pushlightuserdata(L, p);
	lua_insert(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

static void on_output(void *ctx, struct process *p)
{
	lua_State *L = ctx;
	struct error e;
	lua_pushlightuserdata(L, p);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (binding_call(L, 0, 0, &e))
		fprintf(stderr, "perigee: the watch of a process: %s\n", e.text);
}

/* process:watch(fn): fn() whenever output has come or ended, from the loop, until
 * read_line() has told the end. Stop the process before forgetting it. */
static int l_watch(lua_State *L)
{
	struct process *p = binding_check(L, 1, PROCESS_CLASS);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	set_handler(L, p, 2);
	int err = process_watch(p, binding_loop(L), on_output, L);
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

/* process:close_input(): its output can still be read */
static int l_close_input(lua_State *L)
{
	process_close_input(binding_check(L, 1, PROCESS_CLASS));
	return 0;
}

/* process:wait(timeout) -> exit status | nil, message, code. Does not ask it to end. */
static int l_wait(lua_State *L)
{
	struct process *p = binding_check(L, 1, PROCESS_CLASS);
	uint64_t deadline = clock_now() + clock_from_seconds(luaL_checknumber(L, 2));
	int status;
	int err = process_wait(p, &status, deadline);
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushinteger(L, status);
	return 1;
}

/* process:stop([timeout]) -> exit status; closed afterwards */
static int l_stop(lua_State *L)
{
	binding_check(L, 1, PROCESS_CLASS);
	double timeout = luaL_optnumber(L, 2, 1);
	struct process **box = lua_touserdata(L, 1);
	struct process *p = *box;
	*box = NULL;
	lua_pushnil(L);
	set_handler(L, p, -1);
	lua_pushinteger(L, process_stop(p, clock_now() + clock_from_seconds(timeout)));
	return 1;
}

static int process_gc(lua_State *L)
{
	struct process **box = lua_touserdata(L, 1);
	process_stop(*box, clock_now());
	*box = NULL;
	return 0;
}

void binding_system(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "clock", l_clock },
		{ "sha256", l_sha256 },
		{ "mkdir", l_mkdir },
		{ "replace_file", l_replace_file },
		{ "entries", l_entries },
		{ "mkdtemp", l_mkdtemp },
		{ "isatty", l_isatty },
		{ "host", l_host },
		{ "spawn", l_spawn },
		{ "default_interrupt", l_default_interrupt },
		{ "hold_signals", l_hold_signals },
		{ "guard", l_guard },
		{ NULL, NULL },
	};
	static const luaL_Reg process_methods[] = {
		{ "pid", l_pid },     { "read_line", l_read_line },
		{ "watch", l_watch }, { "close_input", l_close_input },
		{ "wait", l_wait },   { "stop", l_stop },
		{ NULL, NULL },
	};
	binding_class(L, PROCESS_CLASS, process_methods, process_gc);
	luaL_register(L, NULL, functions);
}
