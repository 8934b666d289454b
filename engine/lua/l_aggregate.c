/* l_aggregate.c - perigee_engine.aggregate: the fold of a session in a process of its own. */
#include "base/clock.h"
#include "events/subscriber.h"

#include "lua/script.h"
#include "lua/vigil.h"

#define DEFAULT_IDLE_NS     (300 * NS_PER_S)
#define DEFAULT_INTERVAL_NS (250 * NS_PER_MS)

/* Lives on the C stack of one call. No Lua error is raised while anything in it is
 * open: Lua is entered through binding_call() only. */
struct aggregate {
	lua_State *L;
	int handler; /* stack index of on_snapshot */
	struct vigil vigil;
	struct subscriber *sub;
	struct fold *fold;
	struct loop_timer interval;
	struct loop_hook hook;
	uint64_t interval_ns;
	uint64_t frames; /* as of the last turn */
	bool started, ended;
	struct error error;
};

static void push_stats(lua_State *L, const struct aggregate *a)
{
	struct subscriber_stats s;
	subscriber_stats(a->sub, &s);
	const struct {
		const char *key;
		uint64_t value;
	} fields[] = {
		{ "records", s.records },
		{ "frames", s.frames },
		{ "corrupt", s.corrupt },
		{ "missing", s.missing },
		{ "duplicate", s.duplicate },
		{ "lost_frames", s.lost_frames },
		{ "uncounted", fold_lost(a->fold) },
	};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		lua_pushnumber(L, (double)fields[i].value);
		lua_setfield(L, -2, fields[i].key);
	}
	lua_pushboolean(L, a->started);
	lua_setfield(L, -2, "started");
	if (a->vigil.outcome) {
		lua_pushstring(L, a->vigil.outcome);
		lua_setfield(L, -2, "outcome");
	}
	if (a->vigil.signum) {
		lua_pushinteger(L, a->vigil.signum);
		lua_setfield(L, -2, "signal");
	}
}

/* Runs protected: making tables may fail. (on_snapshot, aggregate) */
static int deliver(lua_State *L)
{
	const struct aggregate *a = lua_touserdata(L, 2);
	lua_settop(L, 1);
	report_push(L, a->fold, REPORT_INTERVALS);
	push_stats(L, a);
	lua_call(L, 2, 0);
	return 0;
}

static int tell(struct aggregate *a)
{
	lua_State *L = a->L;
	lua_pushvalue(L, a->handler + 1); /* deliver */
	lua_pushvalue(L, a->handler);
	lua_pushlightuserdata(L, a);
	return binding_call(L, 2, 0, &a->error);
}

static void on_event(void *ctx, const struct event *e)
{
	struct aggregate *a = ctx;
	vigil_touch(&a->vigil);
	a->started |= e->type == EVENT_SESSION_STARTED;
	a->ended |= e->type == EVENT_SESSION_ENDED;
	fold_put(a->fold, e); /* what it could not count, it counts as lost */
}

/* With very many phases a snapshot takes long: a fifth of the time is enough for them. */
static void on_interval(struct loop_timer *t, uint64_t now_ns)
{
	struct aggregate *a = t->data;
	if (tell(a)) {
		vigil_finish(&a->vigil, "script_error");
		return;
	}
	uint64_t took_ns = loop_refresh(a->vigil.loop) - now_ns;
	uint64_t next_ns = now_ns + a->interval_ns;
	if (next_ns < now_ns + 5 * took_ns)
		next_ns = now_ns + 5 * took_ns;
	loop_timer_start(a->vigil.loop, t, next_ns);
}

/* The end is there: one more turn that brings nothing shows that all is read. */
static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct aggregate *a = h->data;
	struct subscriber_stats s;
	(void)now_ns;
	if (!a->ended)
		return;
	subscriber_stats(a->sub, &s);
	if (s.frames == a->frames)
		vigil_finish(&a->vigil, "ended");
	a->frames = s.frames;
	loop_poke(a->vigil.loop);
}

/* ---- life ---- */

static int open_parts(struct aggregate *a, struct loop *loop, const char *address)
{
	int err = subscriber_open(&a->sub, loop, address, NULL, on_event, a, &a->error);
	if (!err && fold_new(&a->fold))
		err = error_set(&a->error, STATUS_ENOMEM, "out of memory");
	return err;
}

static int run(struct aggregate *a)
{
	struct loop *loop = a->vigil.loop;
	a->interval = (struct loop_timer){ .fn = on_interval, .data = a };
	a->hook = (struct loop_hook){ .fn = on_turn, .data = a };
	loop_hook_add(loop, &a->hook);
	int err = loop_timer_start(loop, &a->interval, loop_now(loop) + a->interval_ns);
	if (!err)
		err = vigil_run(&a->vigil);
	loop_timer_stop(loop, &a->interval);
	loop_hook_remove(loop, &a->hook);
	if (a->error.status)
		return a->error.status;
	return err ? error_set(&a->error, err, "the event loop failed") : tell(a);
}

/* aggregate{ connect =, interval =, idle_timeout =, until_eof =,
 *   on_snapshot = function(report, stats) } -> outcome | nil, message, code
 * on_snapshot is called at each interval and once more at the end, when stats.outcome
 * is "ended", "idle" or "interrupted" (with stats.signal). Blocks. */
static int l_aggregate(lua_State *L)
{
	struct aggregate a = { .L = L };
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	const char *address = binding_opt_string(L, 1, "connect");
	luaL_argcheck(L, address, 1, "connect: an address expected");
	uint64_t idle_ns = binding_opt_ns(L, 1, "idle_timeout", DEFAULT_IDLE_NS);
	bool until_eof = binding_opt_bool(L, 1, "until_eof", false);
	a.interval_ns = binding_opt_ns(L, 1, "interval", DEFAULT_INTERVAL_NS);
	luaL_argcheck(L, a.interval_ns > 0, 1, "interval: a time above 0 expected");
	lua_getfield(L, 1, "on_snapshot");
	luaL_argcheck(L, lua_isfunction(L, -1), 1, "on_snapshot: a function expected");
	a.handler = lua_gettop(L);
	lua_pushcfunction(L, deliver);
	struct loop *loop = binding_loop(L);
	luaL_checkstack(L, LUA_MINSTACK, NULL);

	int err = vigil_begin(&a.vigil, loop, idle_ns, until_eof);
	if (err)
		error_set(&a.error, err, "cannot watch for signals");
	if (!err)
		err = open_parts(&a, loop, address);
	if (!err)
		err = run(&a);
	subscriber_close(a.sub);
	fold_free(a.fold);
	vigil_end(&a.vigil);
	if (err)
		return binding_failure(L, err, a.error.text);
	lua_pushstring(L, a.vigil.outcome);
	return 1;
}

void binding_aggregate(lua_State *L)
{
	lua_pushcfunction(L, l_aggregate);
	lua_setfield(L, -2, "aggregate");
}
