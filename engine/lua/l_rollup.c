/* l_rollup.c - a distribution as MLPerf's tools sum it up, as a plain Lua table: percentiles
 * of their grid that are the observed value below, estimates of early stopping, a histogram
 * of equal widths. Integers in the distribution's own unit. */
#include "metrics/early_stopping.h"

#include "lua/script.h"

#include <math.h>

#define BUCKETS 30

static const struct {
	const char *key;
	double q;
} grid[] = {
	{ "99.9", 0.999 }, { "99.0", 0.99 }, { "97.0", 0.97 }, { "95.0", 0.95 },
	{ "90.0", 0.9 },   { "80.0", 0.8 },  { "75.0", 0.75 }, { "50.0", 0.5 },
	{ "25.0", 0.25 },  { "10.0", 0.1 },  { "5.0", 0.05 },  { "1.0", 0.01 },
};

#define GRID (sizeof(grid) / sizeof(*grid))

/* numpy's 'lower': index floor(q (n - 1)). */
static uint64_t rank_below(uint64_t n, double q)
{
	return (uint64_t)floor(q * (double)(n - 1)) + 1;
}

static void push_percentiles(lua_State *L, struct distribution *d)
{
	uint64_t n = distribution_count(d);
	lua_newtable(L);
	for (size_t i = 0; i < GRID; i++)
		binding_set_number(L, grid[i].key,
		                   (double)distribution_rank(d, rank_below(n, grid[i].q)));
}

/* estimates[p]: the bound that may be claimed for p. limits[p]: a target holds when it is at
 * or above this one: so many requests may be above the target as the test allows. Absent:
 * too few requests. */
static void push_early_stopping(lua_State *L, struct distribution *d)
{
	const double c = EARLY_STOPPING_CONFIDENCE;
	uint64_t n = distribution_count(d);
	lua_newtable(L); /* estimates */
	lua_newtable(L); /* limits */
	for (size_t i = 0; i < GRID && grid[i].q >= 0.5; i++) {
		uint64_t t = early_stopping_above(n, grid[i].q, c);
		if (t || n >= early_stopping_least_below(0, grid[i].q, c))
			binding_set_number(L, grid[i].key, (double)distribution_rank(d, n - t));
		if (!t)
			continue;
		lua_pushnumber(L, (double)distribution_rank(d, n - t + 1));
		lua_setfield(L, -3, grid[i].key);
	}
	lua_setfield(L, -3, "limits");
	lua_setfield(L, -2, "estimates");
}

/* { { low, high, count }, ... } */
static void push_buckets(lua_State *L, struct distribution *d)
{
	double min = (double)distribution_min(d),
	       width = ((double)distribution_max(d) - min) / BUCKETS;
	uint64_t before = 0;
	lua_newtable(L);
	for (int i = 1; i <= BUCKETS; i++) {
		double low = min + width * (i - 1), high = min + width * i;
		uint64_t below = i < BUCKETS ? distribution_below(d, (uint64_t)ceil(high))
		                             : distribution_count(d);
		lua_createtable(L, 3, 0);
		lua_pushnumber(L, low);
		lua_rawseti(L, -2, 1);
		lua_pushnumber(L, high);
		lua_rawseti(L, -2, 2);
		lua_pushnumber(L, (double)(below - before));
		lua_rawseti(L, -2, 3);
		lua_rawseti(L, -2, i);
		before = below;
	}
}

void report_push_rollup(lua_State *L, struct distribution *d)
{
	if (!d || !distribution_count(d)) {
		lua_pushnil(L);
		return;
	}
	lua_newtable(L);
	binding_set_number(L, "count", (double)distribution_count(d));
	binding_set_number(L, "total", distribution_sum(d));
	binding_set_number(L, "min", (double)distribution_min(d));
	binding_set_number(L, "max", (double)distribution_max(d));
	binding_set_number(L, "mean", distribution_mean(d));
	binding_set_number(L, "std", distribution_std(d));
	push_percentiles(L, d);
	lua_setfield(L, -2, "percentiles");
	push_early_stopping(L, d);
	push_buckets(L, d);
	lua_setfield(L, -2, "buckets");
}
