#include "lua/collector.h"

#include "lua/watch.h"

#define SLICE_NS     (20 * NS_PER_US)
#define IDLE_NS      (200 * NS_PER_US) /* no timer for so long: there is time for a slice */
#define LEAST_KIB    1024              /* of garbage, to be worth a cycle */
#define URGENT_KIB   (8 * 1024)  /* beyond twice the live memory: the cycle goes on, idle or not */
#define VALVE_KIB    (32 * 1024) /* what one call may allocate before Lua collects itself */
#define KIB_A_STEP   2           /* allocated for one more step; Lua's own pace is 1 */
#define MOST_PERCENT 1000000

/* Lua's own collector waits until memory is this much above what it is now. Each step
 * sets it going again, so this follows each. */
static void set_valve(struct collector *c, int kib)
{
	int more = kib > VALVE_KIB ? kib : VALVE_KIB;
	int64_t percent = 100 + (int64_t)more * 100 / (kib > 0 ? kib : 1);
	lua_gc(c->L, LUA_GCSETPAUSE, percent < MOST_PERCENT ? (int)percent : MOST_PERCENT);
	lua_gc(c->L, LUA_GCRESTART, -1);
}

/* What the script made while the cycle ran is there yet, and most of it is garbage: it is not
 * taken for live, or each cycle would allow the next one more. */
static void end_cycle(struct collector *c)
{
	int kib = lua_gc(c->L, LUA_GCCOUNT, 0);
	c->cycle = c->urgent = false;
	c->live_kib = kib > c->cycle_kib ? kib - c->cycle_kib : 0;
}

/* Steps until the cycle is over, or both so many and for so long. Finalizers run in it. */
static int run_steps(lua_State *L)
{
	struct collector *c = lua_touserdata(L, 1);
	uint64_t until_ns = clock_now() + SLICE_NS;
	int steps = 0;
	do {
		if (lua_gc(L, LUA_GCSTEP, 0)) {
			end_cycle(c);
			break;
		}
	} while (++steps < c->least || clock_now() < until_ns);
	return 0;
}

static void step(struct collector *c, int least)
{
	uint64_t begun = clock_ticks();
	c->least = least;
	watch_enter(NULL, "the collector", c->limit_ns);
	int rc = lua_cpcall(c->L, run_steps, c);
	watch_leave();
	meter_add(c->meter, begun);
	if (rc)
		c->failed(c->ctx);
	c->seen_kib = lua_gc(c->L, LUA_GCCOUNT, 0);
	set_valve(c, c->seen_kib);
}

static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct collector *c = h->data;
	int kib = lua_gc(c->L, LUA_GCCOUNT, 0);
	int garbage = kib - c->live_kib;
	if (!c->cycle) {
		if (garbage < LEAST_KIB || garbage < c->live_kib / 2)
			return;
		c->cycle = true;
		c->cycle_kib = 0;
		c->seen_kib = kib;
	}
	int allocated = kib - c->seen_kib;
	c->seen_kib = kib;
	c->cycle_kib += allocated;
	c->urgent = c->urgent || garbage > c->live_kib + URGENT_KIB;
	bool idle = loop_next_due(c->loop) >= now_ns + IDLE_NS;
	if (!c->urgent && !idle)
		return;
	step(c, c->urgent ? allocated / KIB_A_STEP : 1);
	if (c->cycle && idle)
		loop_poke(c->loop); /* I/O first, then the next slice */
}

void collector_begin(struct collector *c, lua_State *L, struct loop *loop, struct meter *meter)
{
	c->L = L;
	c->loop = loop;
	c->meter = meter;
	c->cycle = false;
	c->hook = (struct loop_hook){ .fn = on_turn, .data = c };
	c->live_kib = c->seen_kib = lua_gc(L, LUA_GCCOUNT, 0);
	c->pause = lua_gc(L, LUA_GCSETPAUSE, 100);
	set_valve(c, c->live_kib);
	loop_hook_add_last(loop, &c->hook);
}

void collector_end(struct collector *c)
{
	if (!c->loop)
		return;
	loop_hook_remove(c->loop, &c->hook);
	lua_gc(c->L, LUA_GCSETPAUSE, c->pause);
	lua_gc(c->L, LUA_GCRESTART, -1);
	c->loop = NULL;
}
