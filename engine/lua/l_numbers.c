/* l_numbers.c - what a page for Prometheus has of a session, as plain Lua tables. Times in ns.
 * Made on the thread that measures while it does: so it costs as little as it can. */
#include "base/histogram.h"

#include "lua/script.h"

static const enum metric metrics[] = { METRIC_LATENCY, METRIC_SERVICE_TIME, METRIC_TTFT,
	                               METRIC_TPOT,    METRIC_ITL,          METRIC_LATENESS };

static const char *const keys[] = { "p50", "p90", "p95", "p99", "p99.9" };
static const double shares[] = { 0.5, 0.9, 0.95, 0.99, 0.999 };

#define METRICS   (sizeof(metrics) / sizeof(*metrics))
#define QUANTILES (sizeof(keys) / sizeof(*keys))

struct numbers {
	uint64_t count; /* 0: the rest is not filled */
	double mean;
	uint64_t quantiles[QUANTILES];
};

/* Returns 0 or STATUS_ENOMEM. */
static int gather(const struct tally *t, struct numbers out[METRICS])
{
	struct histogram *scratch;
	int err = histogram_new(&scratch);
	for (size_t i = 0; !err && i < METRICS; i++) {
		struct distribution *d = t->distributions[metrics[i]];
		out[i].count = d ? distribution_count(d) : 0;
		if (!out[i].count)
			continue;
		const struct histogram *h = distribution_counts(d, scratch);
		out[i].mean = histogram_mean(h);
		histogram_quantiles(h, shares, QUANTILES, out[i].quantiles);
	}
	if (!err)
		histogram_free(scratch);
	return err;
}

static void set_times(lua_State *L, const struct tally *t)
{
	struct numbers of[METRICS];
	if (gather(t, of))
		luaL_error(L, "session:numbers: %s", status_text(STATUS_ENOMEM));
	for (size_t i = 0; i < METRICS; i++) {
		if (!of[i].count)
			continue;
		lua_createtable(L, 0, 2 + QUANTILES);
		binding_set_number(L, "count", (double)of[i].count);
		binding_set_number(L, "mean", of[i].mean);
		for (size_t k = 0; k < QUANTILES; k++)
			binding_set_number(L, keys[k], (double)of[i].quantiles[k]);
		lua_setfield(L, -2, metric_name(metrics[i]));
	}
}

static void push_phase(lua_State *L, const struct phase_metrics *m)
{
	const struct tally *t = &m->all;
	lua_createtable(L, 0, 32);
	lua_pushstring(L, m->name);
	lua_setfield(L, -2, "name");
	lua_pushboolean(L, m->open_load);
	lua_setfield(L, -2, "open");
	lua_pushboolean(L, m->ended);
	lua_setfield(L, -2, "ended");
	binding_set_number(L, "dropped", (double)m->dropped);
	binding_set_number(L, "duration_ns", report_duration_ns(m));
	binding_set_number(L, "first_scheduled_ns", (double)t->first_scheduled_ns);
	binding_set_number(L, "last_scheduled_ns", (double)t->last_scheduled_ns);
	binding_set_number(L, "first_issued_ns", (double)t->first_issued_ns);
	binding_set_number(L, "last_issued_ns", (double)t->last_issued_ns);
	report_set_counts(L, t);
	report_push_errors(L, t);
	lua_setfield(L, -2, "errors");
	set_times(L, t);
}

void report_push_numbers(lua_State *L, const struct fold *f, int t)
{
	lua_createtable(L, 0, 2);
	lua_pushstring(L, fold_session_id(f));
	lua_setfield(L, -2, "session_id");
	lua_newtable(L);
	for (int i = 0, n = 0; i < fold_phase_count(f); i++) {
		const struct phase_metrics *m = fold_phase(f, i);
		if (!m)
			continue;
		lua_rawgeti(L, t, ++n);
		bool known = !lua_isnil(L, -1);
		lua_pop(L, 1);
		if (known)
			lua_pushboolean(L, false);
		else
			push_phase(L, m);
		lua_rawseti(L, -2, n);
	}
	lua_setfield(L, -2, "phases");
}
