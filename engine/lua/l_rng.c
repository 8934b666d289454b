/* l_rng.c - perigee.rng: seeded random numbers. The struct itself is the userdata. */
#include "base/rng.h"

#include "lua/binding.h"

#include <math.h>

#define RNG_CLASS "perigee.rng"

static struct rng *check(lua_State *L)
{
	return luaL_checkudata(L, 1, RNG_CLASS);
}

/* A seed is any number; the fraction counts too. */
static uint64_t seed_of(lua_State *L, int arg)
{
	union {
		double d;
		uint64_t u;
	} v = { .d = luaL_optnumber(L, arg, 0) };
	return v.d == 0 ? 0 : v.u;
}

/* rng(seed [, stream [, substream]]) */
static int l_new(lua_State *L)
{
	uint64_t seed = seed_of(L, 1);
	uint64_t stream = rng_mix(seed_of(L, 2), seed_of(L, 3));
	struct rng *r = lua_newuserdata(L, sizeof(*r));
	rng_init(r, seed, stream);
	luaL_getmetatable(L, RNG_CLASS);
	lua_setmetatable(L, -2);
	return 1;
}

/* uniform([low, high]): [low, high), [0, 1) by default */
static int l_uniform(lua_State *L)
{
	struct rng *r = check(L);
	double low = luaL_optnumber(L, 2, 0), high = luaL_optnumber(L, 3, 1);
	lua_pushnumber(L, low + (high - low) * rng_uniform(r));
	return 1;
}

/* int(low, high): both included */
static int l_int(lua_State *L)
{
	struct rng *r = check(L);
	double low = luaL_checknumber(L, 2), high = luaL_checknumber(L, 3);
	luaL_argcheck(L, low == floor(low) && fabs(low) <= 0x1p53, 2, "an integer expected");
	luaL_argcheck(L, high == floor(high) && fabs(high) <= 0x1p53, 3, "an integer expected");
	luaL_argcheck(L, high >= low, 3, "must not be below the first");
	lua_pushnumber(L, low + (double)rng_below(r, (uint64_t)(high - low) + 1));
	return 1;
}

static int l_exponential(lua_State *L)
{
	struct rng *r = check(L);
	double mean = luaL_optnumber(L, 2, 1);
	luaL_argcheck(L, mean >= 0, 2, "the mean must not be negative");
	lua_pushnumber(L, rng_exponential(r, mean));
	return 1;
}

static int l_normal(lua_State *L)
{
	struct rng *r = check(L);
	double mean = luaL_optnumber(L, 2, 0), std = luaL_optnumber(L, 3, 1);
	luaL_argcheck(L, std >= 0, 3, "the standard deviation must not be negative");
	lua_pushnumber(L, rng_normal(r, mean, std));
	return 1;
}

static int l_lognormal(lua_State *L)
{
	struct rng *r = check(L);
	double mu = luaL_optnumber(L, 2, 0), sigma = luaL_optnumber(L, 3, 1);
	luaL_argcheck(L, sigma >= 0, 3, "sigma must not be negative");
	lua_pushnumber(L, rng_lognormal(r, mu, sigma));
	return 1;
}

static int l_gamma(lua_State *L)
{
	struct rng *r = check(L);
	double shape = luaL_checknumber(L, 2), scale = luaL_optnumber(L, 3, 1);
	luaL_argcheck(L, shape > 0, 2, "the shape must be above 0");
	luaL_argcheck(L, scale > 0, 3, "the scale must be above 0");
	lua_pushnumber(L, rng_gamma(r, shape, scale));
	return 1;
}

static int l_poisson(lua_State *L)
{
	struct rng *r = check(L);
	double mean = luaL_checknumber(L, 2);
	luaL_argcheck(L, mean >= 0, 2, "the mean must not be negative");
	lua_pushnumber(L, (double)rng_poisson(r, mean));
	return 1;
}

void binding_rng(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "uniform", l_uniform }, { "int", l_int },     { "exponential", l_exponential },
		{ "normal", l_normal },   { "gamma", l_gamma }, { "lognormal", l_lognormal },
		{ "poisson", l_poisson }, { NULL, NULL },
	};
	luaL_newmetatable(L, RNG_CLASS);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pushstring(L, RNG_CLASS);
	lua_setfield(L, -2, "__name");
	lua_pop(L, 1);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "rng");
}
