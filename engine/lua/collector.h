/* collector.h - when Lua's garbage is collected while a session runs.
 *
 * Lua's own collector works whenever something is allocated, in the middle of a handler
 * as well as while a request is due. Here it is stepped between the turns of the loop
 * instead: a slice of 20 us when no timer is due soon, after which the loop looks for
 * I/O before the next slice. When garbage grows faster than idle time clears it, it is
 * stepped in every turn, at the pace of the allocations. What one call allocates beyond
 * twice of what was there (and 32 MiB) is collected at once by Lua's own collector.
 * Session thread only; a slice may take longer where Lua's step is long (one large
 * table, the end of a mark phase with many coroutines): that is what the meter shows. */
#ifndef PERIGEE_LUA_COLLECTOR_H
#define PERIGEE_LUA_COLLECTOR_H

#include "base/loop.h"
#include "base/meter.h"

#include <lua.h>
#include <stdbool.h>

/* Embedded in its owner. */
struct collector {
	lua_State *L;
	void (*failed)(void *ctx); /* a finalizer raised: what it did is on top of L's stack */
	void *ctx;
	uint64_t limit_ns; /* of a slice with its finalizers; 0: none */
	struct loop *loop;
	struct meter *meter;
	struct loop_hook hook;
	int live_kib;  /* at the latest cycle */
	int cycle_kib; /* allocated since this one began */
	int seen_kib;  /* after the latest turn of a cycle */
	int pause;     /* the parameter of Lua's own collector, restored at the end */
	int least;     /* steps of this slice */
	bool cycle;    /* one is under way */
	bool urgent;   /* and goes on in each turn */
};

/* From here on, until collector_end(). All are borrowed; the loop keeps real time. The owner
 * has set `failed`, `ctx` and `limit_ns`. */
void collector_begin(struct collector *c, lua_State *L, struct loop *loop, struct meter *meter);
void collector_end(struct collector *c); /* one that did not begin: nothing */

#endif
