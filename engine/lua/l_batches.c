/* l_batches.c - how far the mean of correlated values is to be trusted. */
#include "metrics/batch_means.h"

#include "lua/binding.h"

/* batches.count(n) -> into how many batches n values are cut; 0: too few */
static int l_count(lua_State *L)
{
	lua_Number n = luaL_checknumber(L, 1);
	luaL_argcheck(L, n >= 0, 1, "a count expected");
	lua_pushinteger(L, batch_means_count((uint64_t)n));
	return 1;
}

/* batches.variance(means) -> that of the mean of 2 to 20 batch means, its degrees of freedom */
static int l_variance(lua_State *L)
{
	double means[BATCH_MEANS_MOST], df;
	luaL_checktype(L, 1, LUA_TTABLE);
	int n = (int)lua_objlen(L, 1);
	luaL_argcheck(L, n >= 2 && n <= BATCH_MEANS_MOST, 1, "2 to 20 means expected");
	for (int i = 0; i < n; i++) {
		lua_rawgeti(L, 1, i + 1);
		means[i] = luaL_checknumber(L, -1);
		lua_pop(L, 1);
	}
	lua_pushnumber(L, batch_means_variance(means, n, &df));
	lua_pushnumber(L, df);
	return 2;
}

void binding_batches(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "count", l_count },
		{ "variance", l_variance },
		{ NULL, NULL },
	};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_setfield(L, -2, "batches");
}
