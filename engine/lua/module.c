/* module.c - `require "perigee_engine"`: the table of all bindings. */
#include "base/file.h"

#include "lua/binding.h"

__attribute__((visibility("default"))) int luaopen_perigee_engine(lua_State *L);

int luaopen_perigee_engine(lua_State *L)
{
	struct error e;
	if (file_hold_standard(&e))
		return luaL_error(L, "%s", e.text);
	lua_newtable(L);
	lua_pushstring(L, PERIGEE_VERSION);
	lua_setfield(L, -2, "version");
	binding_log(L);
	binding_rng(L);
	binding_histogram(L);
	binding_json(L);
	binding_session(L);
	binding_glance(L);
	binding_terminal(L);
	binding_subscriber(L);
	binding_aggregate(L);
	binding_beacon(L);
	binding_control(L);
	binding_exposition(L);
	binding_system(L);
	binding_mock(L);
	binding_transport(L);
	binding_input(L);
	binding_floor(L);
	binding_batches(L);
	return 1;
}
