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

int script_enter(struct script_session *ss, lua_CFunction fn, void *arg, const struct phase *phase,
                 const char *what)
{
	uint64_t begun = script_begin(ss, phase, what);
	int rc = lua_cpcall(ss->L, fn, arg);
	script_end(ss, begun);
	return rc ? script_fail(ss, phase, what) : STATUS_OK;
}

void script_call(lua_State *L, int nargs, int nresults)
{
	struct error e;
	if (binding_call(L, nargs, nresults, &e))
		luaL_error(L, "%s", e.text);
}

void script_push(lua_State *L, int ref)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}
