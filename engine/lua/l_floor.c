/* l_floor.c - what this host can do at best, for `perigee selftest`. Times in ns. */
#include "base/clock.h"
#include "session/floor.h"

#include "lua/binding.h"

static void push_lateness(lua_State *L, const struct floor_lateness *l)
{
	lua_newtable(L);
	binding_set_number(L, "count", (double)l->count);
	binding_set_number(L, "p50", (double)l->p50_ns);
	binding_set_number(L, "p99", (double)l->p99_ns);
	binding_set_number(L, "max", (double)l->max_ns);
}

/* floor.pacing(rate, seconds) -> { lateness, cpu_share, spin_share, window } | nil, message, code
 */
static int l_pacing(lua_State *L)
{
	struct floor_pacing p;
	double rate = luaL_checknumber(L, 1);
	luaL_argcheck(L, rate >= 1 && rate <= 1e7, 1, "a rate within 1..1e7 expected");
	uint64_t duration_ns = clock_from_seconds(luaL_checknumber(L, 2));
	int err = floor_pacing(&p, rate, FLOOR_POISSON, duration_ns, LOOP_SPIN_DEFAULT);
	if (err)
		return binding_failure(L, err, NULL);
	lua_newtable(L);
	push_lateness(L, &p.lateness);
	lua_setfield(L, -2, "lateness");
	binding_set_number(L, "cpu_share", p.cpu_share);
	binding_set_number(L, "spin_share", p.spin_share);
	binding_set_number(L, "window", (double)p.loop.window_ns);
	return 1;
}

/* floor.timer(count) -> lateness | nil, message, code */
static int l_timer(lua_State *L)
{
	struct floor_lateness lateness;
	lua_Integer count = luaL_checkinteger(L, 1);
	luaL_argcheck(L, count >= 1 && count <= 100000, 1, "a count within 1..100000 expected");
	int err = floor_timer(&lateness, (unsigned)count);
	if (err)
		return binding_failure(L, err, NULL);
	push_lateness(L, &lateness);
	return 1;
}

/* floor.clock() -> ns of one reading */
static int l_clock(lua_State *L)
{
	lua_pushnumber(L, floor_clock());
	return 1;
}

static int push_cost(lua_State *L, int err, double ns)
{
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushnumber(L, ns);
	return 1;
}

/* floor.stream(), floor.answer(), floor.publisher(address) -> ns | nil, message, code */
static int l_stream(lua_State *L)
{
	double ns = 0;
	int err = floor_stream(&ns);
	return push_cost(L, err, ns);
}

static int l_answer(lua_State *L)
{
	double ns = 0;
	int err = floor_answer(&ns);
	return push_cost(L, err, ns);
}

static int l_publisher(lua_State *L)
{
	double ns = 0;
	int err = floor_publisher(&ns, luaL_checkstring(L, 1));
	return push_cost(L, err, ns);
}

/* As the engine enters a handler: all in protected mode. */
static int call_handler(lua_State *L)
{
	struct error e;
	lua_rawgeti(L, LUA_REGISTRYINDEX, *(int *)lua_touserdata(L, 1));
	lua_pushinteger(L, 1);
	if (binding_call(L, 1, 0, &e))
		return luaL_error(L, "%s", e.text);
	return 0;
}

/* floor.call(fn, count) -> ns of one call of a handler */
static int l_call(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_Integer count = luaL_checkinteger(L, 2);
	luaL_argcheck(L, count >= 1, 2, "a count of at least 1 expected");
	lua_settop(L, 1);
	int fn = luaL_ref(L, LUA_REGISTRYINDEX), err = 0;
	uint64_t from_ns = clock_thread_cpu();
	for (lua_Integer i = 0; i < count && !err; i++)
		err = lua_cpcall(L, call_handler, &fn);
	double ns = (double)(clock_thread_cpu() - from_ns) / (double)count;
	luaL_unref(L, LUA_REGISTRYINDEX, fn);
	if (err)
		return lua_error(L);
	lua_pushnumber(L, ns);
	return 1;
}

void binding_floor(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "pacing", l_pacing }, { "timer", l_timer },   { "clock", l_clock },
		{ "stream", l_stream }, { "answer", l_answer }, { "publisher", l_publisher },
		{ "call", l_call },     { NULL, NULL },
	};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_setfield(L, -2, "floor");
}
