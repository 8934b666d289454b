#include "lua/script.h"

#include "base/clock.h"

#include "lua/watch.h"

uint64_t script_begin(struct script_session *ss, const struct phase *phase, const char *what)
{
	bool outermost = watch_enter(phase ? phase->name : NULL, what, ss->limit_ns);
	return outermost && ss->meter ? clock_ticks() : 0;
}

void script_end(struct script_session *ss, uint64_t begun)
{
	if (begun)
		meter_add(ss->meter, begun);
	watch_leave();
}

int script_fail(struct script_session *ss, const struct phase *phase, const char *what)
{
	lua_State *L = ss->L;
	const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "no message";
	struct error e;
	if (phase)
		error_set(&e, STATUS_ESCRIPT, "phase '%s', %s: %s", phase->name, what, text);
	else
		error_set(&e, STATUS_ESCRIPT, "%s: %s", what, text);
	session_fail(ss->session, &e);
	lua_pop(L, 1);
	return STATUS_ESCRIPT;
}

static int entry(lua_State *L)
{
	const struct script_session *ss = lua_touserdata(L, lua_upvalueindex(1));
	lua_pushlightuserdata(L, ss->entry.arg);
	return ss->entry.fn(L);
}

/* The message handler of entries: what one raises itself says all, what it calls is traced. */
static int explain(lua_State *L)
{
	lua_Debug at;
	lua_settop(L, 1);
	const char *text = binding_error_text(L);
	bool own = lua_getstack(L, 1, &at) && lua_getinfo(L, "f", &at) &&
	           lua_rawequal(L, -1, lua_upvalueindex(1));
	lua_settop(L, 1);
	if (!own)
		luaL_traceback(L, L, text, 1);
	return 1;
}

void script_entry_make(lua_State *L, struct script_session *ss)
{
	lua_pushlightuserdata(L, ss);
	lua_pushcclosure(L, entry, 1);
	lua_pushvalue(L, -1);
	lua_pushcclosure(L, explain, 1);
	ss->entry.explain = luaL_ref(L, LUA_REGISTRYINDEX);
	ss->entry.ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_entry_free(struct script_session *ss)
{
	luaL_unref(ss->L, LUA_REGISTRYINDEX, ss->entry.explain);
	luaL_unref(ss->L, LUA_REGISTRYINDEX, ss->entry.ref);
}

int script_enter(struct script_session *ss, lua_CFunction fn, void *arg, const struct phase *phase,
                 const char *what)
{
	lua_State *L = ss->L;
	uint64_t begun = script_begin(ss, phase, what);
	ss->entry.fn = fn;
	ss->entry.arg = arg;
	script_push(L, ss->entry.explain);
	script_push(L, ss->entry.ref);
	int rc = lua_pcall(L, 0, 0, -2);
	script_end(ss, begun);
	if (rc)
		script_fail(ss, phase, what);
	lua_pop(L, 1);
	return rc ? STATUS_ESCRIPT : STATUS_OK;
}

int script_call(struct script_session *ss, int nargs, int nresults, const struct phase *phase,
                const char *what)
{
	lua_State *L = ss->L;
	int explain_at = lua_gettop(L) - nargs - 1;
	uint64_t begun = script_begin(ss, phase, what);
	int rc = lua_pcall(L, nargs, nresults, explain_at);
	script_end(ss, begun);
	return rc ? script_fail(ss, phase, what) : STATUS_OK;
}

void script_push(lua_State *L, int ref)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}
