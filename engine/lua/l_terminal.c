/* l_terminal.c - perigee_engine.terminal_*: drawing on a terminal, of base/terminal.h. */
#include "base/terminal.h"

#include "lua/binding.h"

/* terminal_hold(fd): its cursor may be hidden from now on, and comes back at any end */
static int l_hold(lua_State *L)
{
	terminal_hold((int)luaL_checkinteger(L, 1));
	return 0;
}

/* terminal_write(text) -> what of it the terminal has no room for now */
static int l_write(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	size_t done = terminal_write(text, len);
	lua_pushlstring(L, text + done, len - done);
	return 1;
}

/* terminal_release(): the cursor is shown */
static int l_release(lua_State *L)
{
	(void)L;
	terminal_release();
	return 0;
}

void binding_terminal(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "terminal_hold", l_hold },
		{ "terminal_write", l_write },
		{ "terminal_release", l_release },
		{ NULL, NULL },
	};
	luaL_register(L, NULL, functions);
}
