/* l_transport.c - which transport a client gets, and what connections need of the system. */
#include "base/limits.h"
#include "http/choice.h"
#include "lua/script.h"

enum transport script_transport(lua_State *L, int t)
{
	static const char *const names[] = { "auto", "direct", "curl", NULL };
	return (enum transport)binding_opt_choice(L, t, "transport", names, TRANSPORT_AUTO);
}

/* transport{urls=, transport=} -> "direct" or "curl", why | nil, message, code */
static int l_transport(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	struct client_config c = { .transport = script_transport(L, 1) };
	struct choice choice;
	struct error e;
	c.url_count = binding_opt_strings(L, 1, "urls", &c.urls);
	luaL_argcheck(L, c.url_count > 0, 1, "a list of urls expected");
	int err = choice_make(&choice, &c, &e);
	if (err)
		return binding_failure(L, err, e.text);
	lua_pushstring(L, choice.direct ? "direct" : "curl");
	lua_pushstring(L, choice.why);
	return 2;
}

/* limits() -> descriptors, ports: how many this process may have, the soft limit raised; ports
 * are those of one local address to one endpoint, nil where the system does not say */
static int l_limits(lua_State *L)
{
	uint64_t ports = limits_ports();
	lua_pushnumber(L, (lua_Number)limits_raise_descriptors());
	if (!ports)
		return 1;
	lua_pushnumber(L, (lua_Number)ports);
	return 2;
}

void binding_transport(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "transport", l_transport },
		{ "limits", l_limits },
		{ NULL, NULL },
	};
	luaL_register(L, NULL, functions);
}
