/* l_histogram.c - histogram(): counts of any numbers from 0 up, for the metrics of scripts.
 *
 * Two histograms share the range: numbers below SPLIT are counted in steps of 2^-30, the
 * others in steps of 1. So three digits hold from 1e-6 to 3.6e12. Steps are powers of two and
 * quantiles the bottom of a bucket: whole numbers below 2048 stay what they are. Each of the
 * two is made when its first number comes. count, sum, mean, std, min and max are those of the
 * numbers. */
#include "base/histogram.h"

#include "lua/binding.h"

#include <math.h>
#include <stdlib.h>

#define HISTOGRAM_CLASS "perigee.histogram"
#define SPLIT           1024.0
#define FINE_STEPS      0x1p30 /* of 1; SPLIT * FINE_STEPS is below HISTOGRAM_MAX_NS */

struct numbers {
	struct histogram *fine, *coarse; /* NULL: nothing was counted there */
	double count, sum, min, max;
	double mean, squares; /* running mean, and the sum of squared deviations from it */
};

static struct numbers *check(lua_State *L)
{
	return binding_check(L, 1, HISTOGRAM_CLASS);
}

/* histogram() -> histogram | nil, message, code */
static int l_new(lua_State *L)
{
	void **box = binding_box(L, HISTOGRAM_CLASS);
	*box = calloc(1, sizeof(struct numbers));
	return *box ? 1 : binding_failure(L, STATUS_ENOMEM, NULL);
}

static int count_in(struct histogram **h, double steps)
{
	int err = *h ? STATUS_OK : histogram_new(h);
	if (!err)
		histogram_add(*h, steps < (double)HISTOGRAM_MAX_NS ? (uint64_t)llround(steps)
		                                                   : HISTOGRAM_MAX_NS);
	return err;
}

/* h:add(v) */
static int l_add(lua_State *L)
{
	struct numbers *n = check(L);
	double v = luaL_checknumber(L, 2);
	luaL_argcheck(L, v >= 0 && isfinite(v), 2, "a finite number of at least 0 expected");
	if (v < SPLIT ? count_in(&n->fine, v * FINE_STEPS) : count_in(&n->coarse, v))
		return luaL_error(L, "out of memory");
	n->min = n->count == 0 || v < n->min ? v : n->min;
	n->max = v > n->max ? v : n->max;
	n->count++;
	n->sum += v;
	double from_mean = v - n->mean;
	n->mean += from_mean / n->count;
	n->squares += from_mean * (v - n->mean);
	return 0;
}

static int merge_into(struct histogram **to, const struct histogram *from)
{
	int err = from && !*to ? histogram_new(to) : STATUS_OK;
	if (!err && from)
		histogram_merge(*to, from);
	return err;
}

/* h:merge(other): count all of its numbers, too. The deviations of two sets add up to those of
 * both with the distance of their means (Chan, Golub, LeVeque 1983). */
static int l_merge(lua_State *L)
{
	struct numbers *n = check(L);
	const struct numbers *o = binding_check(L, 2, HISTOGRAM_CLASS);
	luaL_argcheck(L, n != o, 2, "another histogram expected");
	if (o->count == 0)
		return 0;
	if (merge_into(&n->fine, o->fine) || merge_into(&n->coarse, o->coarse))
		return luaL_error(L, "out of memory");
	n->min = n->count == 0 || o->min < n->min ? o->min : n->min;
	n->max = o->max > n->max ? o->max : n->max;
	double count = n->count + o->count, distance = o->mean - n->mean;
	n->squares += o->squares + distance * distance * n->count * o->count / count;
	n->mean += distance * o->count / count;
	n->count = count;
	n->sum += o->sum;
	return 0;
}

static int push_unless_empty(lua_State *L, const struct numbers *n, double v)
{
	if (n->count > 0)
		lua_pushnumber(L, v);
	else
		lua_pushnil(L);
	return 1;
}

/* h:quantile(q) -> the lowest number with at least that share at or below it, to three
 * digits; nil when empty */
static int l_quantile(lua_State *L)
{
	struct numbers *n = check(L);
	double q = luaL_checknumber(L, 2);
	luaL_argcheck(L, q >= 0 && q <= 1, 2, "a share in 0..1 expected");
	/* One step down, as histogram_quantile() does it. */
	double rank = fmax(1, ceil(nextafter(q * n->count, 0)));
	double low = n->fine ? (double)histogram_count(n->fine) : 0, v = 0;
	if (rank >= n->count)
		v = n->max;
	else if (rank <= low)
		v = (double)histogram_bottom(histogram_quantile(n->fine, rank / low)) / FINE_STEPS;
	else
		v = (double)histogram_bottom(
			histogram_quantile(n->coarse, (rank - low) / (n->count - low)));
	return push_unless_empty(L, n, fmax(v, n->min));
}

static int l_count(lua_State *L)
{
	lua_pushnumber(L, check(L)->count);
	return 1;
}

static int l_sum(lua_State *L)
{
	lua_pushnumber(L, check(L)->sum);
	return 1;
}

static int l_mean(lua_State *L)
{
	const struct numbers *n = check(L);
	return push_unless_empty(L, n, n->count > 0 ? n->sum / n->count : 0);
}

static int l_std(lua_State *L)
{
	const struct numbers *n = check(L);
	return push_unless_empty(L, n, n->count > 0 ? sqrt(n->squares / n->count) : 0);
}

static int l_min(lua_State *L)
{
	const struct numbers *n = check(L);
	return push_unless_empty(L, n, n->min);
}

static int l_max(lua_State *L)
{
	const struct numbers *n = check(L);
	return push_unless_empty(L, n, n->max);
}

static int l_gc(lua_State *L)
{
	struct numbers **box = lua_touserdata(L, 1);
	if (*box) {
		histogram_free((*box)->fine);
		histogram_free((*box)->coarse);
	}
	free(*box);
	*box = NULL;
	return 0;
}

void binding_histogram(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "add", l_add },     { "merge", l_merge }, { "quantile", l_quantile },
		{ "count", l_count }, { "sum", l_sum },     { "mean", l_mean },
		{ "std", l_std },     { "min", l_min },     { "max", l_max },
		{ NULL, NULL },
	};
	binding_class(L, HISTOGRAM_CLASS, methods, l_gc);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "histogram");
}
