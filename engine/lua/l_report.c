/* l_report.c - the fold's numbers as plain Lua tables. Times in ns. */
#include "metrics/order_ranks.h"
#include "metrics/steady.h"

#include "lua/script.h"

#include <stdio.h>

static void set_string(lua_State *L, const char *key, const char *s)
{
	lua_pushstring(L, s);
	lua_setfield(L, -2, key);
}

static void set_bool(lua_State *L, const char *key, bool b)
{
	lua_pushboolean(L, b);
	lua_setfield(L, -2, key);
}

#define CONFIDENCE 0.95

static const struct {
	const char *key;
	double q;
} quantiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 }, { "p99.9", 0.999 },
};

#define QUANTILES (sizeof(quantiles) / sizeof(*quantiles))

/* { p50 = { low =, high = }, ... }: the observed values that enclose the percentile, with what
 * they are correlated allowed for; a bound that so few values do not give is absent. */
static void push_intervals(lua_State *L, struct distribution *d)
{
	uint64_t low, high;
	lua_newtable(L);
	for (size_t i = 0; i < QUANTILES; i++) {
		double q = quantiles[i].q, independent = distribution_independent(d, q);
		order_ranks_of(distribution_count(d), independent, q, CONFIDENCE, &low, &high);
		lua_newtable(L);
		if (low)
			binding_set_number(L, "low", (double)distribution_rank(d, low));
		if (high)
			binding_set_number(L, "high", (double)distribution_rank(d, high));
		lua_setfield(L, -2, quantiles[i].key);
	}
}

static void push_distribution(lua_State *L, struct distribution *d, enum report_detail detail)
{
	lua_newtable(L);
	binding_set_number(L, "count", (double)distribution_count(d));
	binding_set_number(L, "mean", distribution_mean(d));
	binding_set_number(L, "std", distribution_std(d));
	binding_set_number(L, "min", (double)distribution_min(d));
	binding_set_number(L, "max", (double)distribution_max(d));
	set_bool(L, "exact", distribution_is_exact(d));
	for (size_t i = 0; i < QUANTILES; i++)
		binding_set_number(L, quantiles[i].key,
		                   (double)distribution_quantile(d, quantiles[i].q));
	if (detail == REPORT_BRIEF)
		return;
	push_intervals(L, d);
	lua_setfield(L, -2, "ci95");
}

/* A metric's percentiles as if each request that failed or was abandoned had taken for ever:
 * { count, failures, p50 = ... }; absent where that is the percentile. */
static void push_with_failures(lua_State *L, const struct tally *m, enum metric metric)
{
	struct distribution *d = m->distributions[metric];
	uint64_t finite = d ? distribution_count(d) : 0, failures = m->failed + m->abandoned;
	lua_newtable(L);
	binding_set_number(L, "count", (double)(finite + failures));
	binding_set_number(L, "failures", (double)failures);
	for (size_t i = 0; i < QUANTILES; i++) {
		uint64_t rank = distribution_rank_of(finite + failures, quantiles[i].q);
		if (rank <= finite)
			binding_set_number(L, quantiles[i].key, (double)distribution_rank(d, rank));
	}
}

/* { class = the first message }, by the names of the errors. */
static void push_examples(lua_State *L, const struct examples *x)
{
	lua_newtable(L);
	for (size_t i = 0; i < x->count; i++) {
		const struct example *one = &x->list[i];
		char key[16];
		snprintf(key, sizeof(key), "http_%d", one->status);
		set_string(L, one->status ? key : failure_name(one->failure), one->text);
	}
}

void report_push_errors(lua_State *L, const struct tally *m)
{
	lua_newtable(L);
	for (int i = FAILURE_NONE + 1; i < FAILURE_COUNT; i++)
		if (m->failures[i] && i != FAILURE_HTTP)
			binding_set_number(L, failure_name((enum failure)i),
			                   (double)m->failures[i]);
	for (int i = 0; m->failures[FAILURE_HTTP] && i < TALLY_STATUS_COUNT; i++) {
		char key[16];
		if (!m->statuses[i])
			continue;
		snprintf(key, sizeof(key), "http_%d", TALLY_FIRST_STATUS + i);
		binding_set_number(L, key, m->statuses[i]);
	}
}

static void push_finish_reasons(lua_State *L, const struct tally *m)
{
	lua_newtable(L);
	for (int i = 0; i < TALLY_FINISH_REASONS; i++)
		if (m->finish_reasons[i].count)
			binding_set_number(L, m->finish_reasons[i].name,
			                   (double)m->finish_reasons[i].count);
}

void report_set_counts(lua_State *L, const struct tally *m)
{
	uint64_t ended = m->completed + m->failed + m->abandoned + m->cancelled;
	binding_set_number(L, "issued", (double)m->issued);
	binding_set_number(L, "completed", (double)m->completed);
	binding_set_number(L, "failed", (double)m->failed);
	binding_set_number(L, "abandoned", (double)m->abandoned);
	binding_set_number(L, "cancelled", (double)m->cancelled);
	binding_set_number(L, "inflight", (double)(m->issued - ended));
	binding_set_number(L, "good", (double)m->good);
	binding_set_number(L, "tokens_in", (double)m->tokens_in);
	binding_set_number(L, "tokens_out", (double)m->tokens_out);
	binding_set_number(L, "token_responses", (double)m->token_responses);
	binding_set_number(L, "tokens_cached", (double)m->tokens_cached);
	binding_set_number(L, "chunks", (double)m->chunks);
	binding_set_number(L, "bytes_in", (double)m->bytes_in);
	binding_set_number(L, "bytes_out", (double)m->bytes_out);
}

static void set_known(lua_State *L, const char *key, int64_t v)
{
	if (v >= 0)
		binding_set_number(L, key, (double)v);
}

static void push_lengths(lua_State *L, const struct lengths *l)
{
	lua_createtable(L, 0, 5);
	binding_set_number(L, "answers", (double)l->answers);
	binding_set_number(L, "too_short", (double)l->too_short);
	binding_set_number(L, "too_long", (double)l->too_long);
	binding_set_number(L, "asked", (double)l->asked);
	binding_set_number(L, "got", (double)l->got);
}

/* Absent while the phase runs. */
static void set_client(lua_State *L, const struct phase_metrics *m)
{
	set_known(L, "late", m->late);
	set_known(L, "catch_ups", m->catch_ups);
	set_known(L, "worst_late_ns", m->worst_late_ns);
	set_known(L, "busy_ns", m->busy_ns);
	set_known(L, "spin_ns", m->spin_ns);
	set_known(L, "worker_busy_ns", m->worker_busy_ns);
	set_known(L, "connections", m->connections);
	set_known(L, "reconnects", m->reconnects);
	if (!m->clocks.known)
		return;
	binding_set_number(L, "clock_step_ns", (double)m->clocks.step_ns);
	binding_set_number(L, "suspended_ns", (double)m->clocks.suspended_ns);
}

static void set_stamps(lua_State *L, const struct tally *m)
{
	binding_set_number(L, "first_scheduled_ns", (double)m->first_scheduled_ns);
	binding_set_number(L, "last_scheduled_ns", (double)m->last_scheduled_ns);
	binding_set_number(L, "first_issued_ns", (double)m->first_issued_ns);
	binding_set_number(L, "last_issued_ns", (double)m->last_issued_ns);
	binding_set_number(L, "last_finished_ns", (double)m->last_finished_ns);
	binding_set_number(L, "window_finished_ns", (double)m->window_finished_ns);
}

/* What a phase and each of its tags have, into the table at the top. */
static void set_tally(lua_State *L, const struct tally *m, enum report_detail detail)
{
	report_set_counts(L, m);
	set_stamps(L, m);
	for (int i = 0; i < METRIC_COUNT; i++) {
		if (!m->distributions[i])
			continue;
		push_distribution(L, m->distributions[i], detail);
		lua_setfield(L, -2, metric_name((enum metric)i));
	}
	push_with_failures(L, m, METRIC_LATENCY);
	lua_setfield(L, -2, "latency_with_failures");
	push_with_failures(L, m, METRIC_TTFT);
	lua_setfield(L, -2, "ttft_with_failures");
	report_push_errors(L, m);
	lua_setfield(L, -2, "errors");
	push_finish_reasons(L, m);
	lua_setfield(L, -2, "finish_reasons");
	push_lengths(L, &m->lengths);
	lua_setfield(L, -2, "lengths");
}

double report_duration_ns(const struct phase_metrics *m)
{
	uint64_t end = m->ended_ns;
	if (m->all.last_finished_ns > end)
		end = m->all.last_finished_ns;
	if (m->all.last_issued_ns > end)
		end = m->all.last_issued_ns;
	return end > m->started_ns ? (double)(end - m->started_ns) : 0;
}

void report_set_point(lua_State *L, const struct series_point *p)
{
	binding_set_number(L, "asked", (double)p->asked);
	binding_set_number(L, "issued", (double)p->issued);
	binding_set_number(L, "completed", (double)p->completed);
	binding_set_number(L, "failed", (double)p->failed);
	binding_set_number(L, "good", (double)p->good);
	binding_set_number(L, "tokens_out", (double)p->tokens_out);
	binding_set_number(L, "inflight", (double)p->inflight);
	binding_set_number(L, "inflight_max", (double)p->inflight_max);
	if (p->latency_count) {
		binding_set_number(L, "latency_p50", (double)p->latency_p50);
		binding_set_number(L, "latency_p90", (double)p->latency_p90);
		binding_set_number(L, "latency_p99", (double)p->latency_p99);
	}
	if (p->ttft_count) {
		binding_set_number(L, "ttft_p50", (double)p->ttft_p50);
		binding_set_number(L, "ttft_p90", (double)p->ttft_p90);
		binding_set_number(L, "ttft_p99", (double)p->ttft_p99);
	}
}

/* { latency =, ttft =, tpot = } in ns; nil without an SLO. */
static void push_slo(lua_State *L, const struct slo *slo)
{
	if (!slo_is_set(slo)) {
		lua_pushnil(L);
		return;
	}
	lua_newtable(L);
	if (slo->latency_ns)
		binding_set_number(L, "latency", (double)slo->latency_ns);
	if (slo->ttft_ns)
		binding_set_number(L, "ttft", (double)slo->ttft_ns);
	if (slo->tpot_ns)
		binding_set_number(L, "tpot", (double)slo->tpot_ns);
}

/* The part after the start, by the series; nil when none looks steady. */
static void push_steady(lua_State *L, const struct phase_metrics *m)
{
	struct steady w;
	struct series_point p;
	uint64_t last_ns = m->all.last_issued_ns;
	if (!m->series || last_ns <= m->started_ns ||
	    !steady_find(m->series, last_ns - m->started_ns, &w)) {
		lua_pushnil(L);
		return;
	}
	double width_ns = (double)series_width_ns(m->series);
	series_read(m->series, w.from, w.to, &p);
	lua_newtable(L);
	binding_set_number(L, "from_ns", w.from * width_ns);
	binding_set_number(L, "to_ns", w.to * width_ns);
	binding_set_number(L, "rate_low", w.rate_low);
	binding_set_number(L, "rate_high", w.rate_high);
	report_set_point(L, &p);
}

/* { name = { ... as of a phase }, ... }; rates of a tag are over the phase's duration. */
static void push_tags(lua_State *L, const struct phase_metrics *m, enum report_detail detail)
{
	lua_newtable(L);
	for (int i = 0; m->tags && i < m->tags->count; i++) {
		lua_newtable(L);
		set_tally(L, &m->tags->list[i]->tally, detail);
		set_bool(L, "has_slo", slo_is_set(&m->slo));
		binding_set_number(L, "duration_ns", report_duration_ns(m));
		lua_setfield(L, -2, m->tags->list[i]->name);
	}
}

void report_set_cost(lua_State *L, const char *key, int64_t ns, int64_t count, int64_t max_ns)
{
	if (ns < 0)
		return;
	lua_createtable(L, 0, 3);
	binding_set_number(L, "ns", (double)ns);
	binding_set_number(L, "count", (double)count);
	binding_set_number(L, "max_ns", (double)max_ns);
	lua_setfield(L, -2, key);
}

void report_push_phase(lua_State *L, const struct phase_metrics *m, enum report_detail detail)
{
	if (!m) {
		lua_pushnil(L);
		return;
	}
	lua_newtable(L);
	set_string(L, "name", m->name);
	set_string(L, "kind", m->kind);
	set_bool(L, "open", m->open_load);
	set_bool(L, "ended", m->ended);
	set_string(L, "end_reason", m->end_reason);
	binding_set_number(L, "goal_requests", (double)m->goal_requests);
	binding_set_number(L, "goal_duration_ns", (double)m->goal_duration_ns);
	binding_set_number(L, "dropped", (double)m->dropped);
	binding_set_number(L, "unsent", (double)m->unsent);
	binding_set_number(L, "started_ns", (double)m->started_ns);
	binding_set_number(L, "duration_ns", report_duration_ns(m));
	set_tally(L, &m->all, detail);
	push_examples(L, &m->examples);
	lua_setfield(L, -2, "error_examples");
	set_bool(L, "has_slo", slo_is_set(&m->slo));
	push_slo(L, &m->slo);
	lua_setfield(L, -2, "slo");
	push_steady(L, m);
	lua_setfield(L, -2, "steady");
	push_tags(L, m, detail);
	lua_setfield(L, -2, "tags");
	set_bool(L, "tags_full", m->tags && m->tags->full);
	report_set_cost(L, "lua_busy", m->lua_ns, m->lua_calls, m->lua_max_ns);
	report_set_cost(L, "gc_pause", m->gc_ns, m->gc_steps, m->gc_max_ns);
	set_client(L, m);
}

void report_push_together(lua_State *L, const struct fold *f, int list)
{
	struct phase_metrics *sum = NULL;
	int err = STATUS_OK;
	for (int i = 1; !err && i <= (int)lua_objlen(L, list); i++) {
		lua_rawgeti(L, list, i);
		int index = (int)lua_tointeger(L, -1) - 1;
		lua_pop(L, 1);
		err = fold_add_phase(f, index, &sum);
		if (!err && fold_phase(f, index))
			sum->slo = fold_phase(f, index)->slo;
	}
	if (!err)
		report_push_phase(L, sum, REPORT_INTERVALS);
	phase_metrics_free(sum);
	if (err)
		luaL_error(L, "phases together: %s", status_text(err));
}

/* { class = count, ... } of a bin; nothing without a failure. */
static void set_failures(lua_State *L, const struct series_point *p)
{
	if (!p->failed)
		return;
	lua_newtable(L);
	for (int i = FAILURE_NONE + 1; i < FAILURE_COUNT; i++)
		if (p->failures[i])
			binding_set_number(L, failure_name((enum failure)i),
			                   (double)p->failures[i]);
	lua_setfield(L, -2, "failures");
}

/* The bins of a phase's series, one table each. */
static void push_series(lua_State *L, const struct phase_metrics *m)
{
	lua_newtable(L);
	for (int i = 0; m->series && i < series_count(m->series); i++) {
		struct series_point p;
		double width_ns = (double)series_width_ns(m->series);
		series_read(m->series, i, i + 1, &p);
		lua_newtable(L);
		binding_set_number(L, "from_ns", i * width_ns);
		binding_set_number(L, "width_ns", width_ns);
		report_set_point(L, &p);
		set_failures(L, &p);
		if (p.lateness_count)
			binding_set_number(L, "lateness_max", (double)p.lateness_max);
		lua_rawseti(L, -2, i + 1);
	}
}

/* { latency = ..., ... }: what MLPerf's tools tell of a phase. */
static void push_rollups(lua_State *L, const struct phase_metrics *m)
{
	static const enum metric metrics[] = { METRIC_TTFT_SERVICE, METRIC_TPOT,
		                               METRIC_SERVICE_TIME, METRIC_INPUT_TOKENS,
		                               METRIC_OUTPUT_TOKENS };
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++) {
		report_push_rollup(L, m->all.distributions[metrics[i]]);
		lua_setfield(L, -2, metric_name(metrics[i]));
	}
}

void report_push(lua_State *L, const struct fold *f, enum report_detail detail)
{
	lua_newtable(L);
	set_string(L, "session_id", fold_session_id(f));
	binding_set_number(L, "started_ns", (double)fold_started_ns(f));
	binding_set_number(L, "started_realtime_ns", (double)fold_started_realtime_ns(f));
	lua_newtable(L);
	for (int i = 0, n = 0; i < fold_phase_count(f); i++) {
		const struct phase_metrics *m = fold_phase(f, i);
		if (!m)
			continue;
		report_push_phase(L, m, detail);
		if (detail != REPORT_WHOLE)
			report_set_recent(L, m);
		if (detail == REPORT_WHOLE) {
			push_series(L, m);
			lua_setfield(L, -2, "series");
			push_rollups(L, m);
			lua_setfield(L, -2, "rollups");
		}
		lua_rawseti(L, -2, ++n);
	}
	lua_setfield(L, -2, "phases");
}
