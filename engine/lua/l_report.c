/* l_report.c - the fold's numbers as plain Lua tables. Times in ns. */
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

static void push_distribution(lua_State *L, const struct histogram *h)
{
	static const struct {
		const char *key;
		double q;
	} quantiles[] = {
		{ "p50", 0.5 },  { "p90", 0.9 },     { "p95", 0.95 },
		{ "p99", 0.99 }, { "p99.9", 0.999 },
	};
	lua_newtable(L);
	binding_set_number(L, "count", (double)histogram_count(h));
	binding_set_number(L, "mean", histogram_mean(h));
	binding_set_number(L, "std", histogram_std(h));
	binding_set_number(L, "min", (double)histogram_min(h));
	binding_set_number(L, "max", (double)histogram_max(h));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
		binding_set_number(L, quantiles[i].key,
		                   (double)histogram_quantile(h, quantiles[i].q));
}

/* { refused = 3, http_429 = 1 } */
static void push_errors(lua_State *L, const struct phase_metrics *m)
{
	lua_newtable(L);
	for (int i = FAILURE_NONE + 1; i < FAILURE_COUNT; i++)
		if (m->failures[i] && i != FAILURE_HTTP)
			binding_set_number(L, failure_name((enum failure)i),
			                   (double)m->failures[i]);
	for (int i = 0; m->failures[FAILURE_HTTP] && i < FOLD_STATUS_COUNT; i++) {
		char key[16];
		if (!m->statuses[i])
			continue;
		snprintf(key, sizeof(key), "http_%d", FOLD_FIRST_STATUS + i);
		binding_set_number(L, key, m->statuses[i]);
	}
}

static void push_finish_reasons(lua_State *L, const struct phase_metrics *m)
{
	lua_newtable(L);
	for (int i = 0; i < FOLD_FINISH_REASONS; i++)
		if (m->finish_reasons[i].count)
			binding_set_number(L, m->finish_reasons[i].name,
			                   (double)m->finish_reasons[i].count);
}

static void set_counts(lua_State *L, const struct phase_metrics *m)
{
	uint64_t ended = m->completed + m->failed + m->abandoned + m->cancelled;
	binding_set_number(L, "issued", (double)m->issued);
	binding_set_number(L, "completed", (double)m->completed);
	binding_set_number(L, "failed", (double)m->failed);
	binding_set_number(L, "abandoned", (double)m->abandoned);
	binding_set_number(L, "cancelled", (double)m->cancelled);
	binding_set_number(L, "dropped", (double)m->dropped);
	binding_set_number(L, "inflight", (double)(m->issued - ended));
	binding_set_number(L, "tokens_in", (double)m->tokens_in);
	binding_set_number(L, "tokens_out", (double)m->tokens_out);
	binding_set_number(L, "token_responses", (double)m->token_responses);
	binding_set_number(L, "chunks", (double)m->chunks);
	binding_set_number(L, "bytes_in", (double)m->bytes_in);
	binding_set_number(L, "bytes_out", (double)m->bytes_out);
}

static void set_known(lua_State *L, const char *key, int64_t v)
{
	if (v >= 0)
		binding_set_number(L, key, (double)v);
}

/* Absent while the phase runs. */
static void set_client(lua_State *L, const struct phase_metrics *m)
{
	set_known(L, "late", m->late);
	set_known(L, "catch_ups", m->catch_ups);
	set_known(L, "worst_late_ns", m->worst_late_ns);
	set_known(L, "busy_ns", m->busy_ns);
	set_known(L, "spin_ns", m->spin_ns);
}

/* A running phase lasts until its latest event so far. */
static void set_times(lua_State *L, const struct phase_metrics *m)
{
	uint64_t end =
		m->last_finished_ns > m->last_issued_ns ? m->last_finished_ns : m->last_issued_ns;
	if (m->ended_ns > end)
		end = m->ended_ns;
	binding_set_number(L, "started_ns", (double)m->started_ns);
	binding_set_number(L, "duration_ns",
	                   end > m->started_ns ? (double)(end - m->started_ns) : 0);
	binding_set_number(L, "first_scheduled_ns", (double)m->first_scheduled_ns);
	binding_set_number(L, "last_scheduled_ns", (double)m->last_scheduled_ns);
	binding_set_number(L, "first_issued_ns", (double)m->first_issued_ns);
	binding_set_number(L, "last_issued_ns", (double)m->last_issued_ns);
	binding_set_number(L, "last_finished_ns", (double)m->last_finished_ns);
}

void report_push_phase(lua_State *L, const struct phase_metrics *m)
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
	set_counts(L, m);
	set_times(L, m);
	set_client(L, m);
	for (int i = 0; i < METRIC_COUNT; i++) {
		if (!m->histograms[i])
			continue;
		push_distribution(L, m->histograms[i]);
		lua_setfield(L, -2, metric_name((enum metric)i));
	}
	push_errors(L, m);
	lua_setfield(L, -2, "errors");
	push_finish_reasons(L, m);
	lua_setfield(L, -2, "finish_reasons");
}

void report_push(lua_State *L, const struct fold *f)
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
		report_push_phase(L, m);
		lua_rawseti(L, -2, ++n);
	}
	lua_setfield(L, -2, "phases");
}
