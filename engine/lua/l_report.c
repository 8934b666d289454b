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

static void push_distribution(lua_State *L, struct distribution *d)
{
	static const struct {
		const char *key;
		double q;
	} quantiles[] = {
		{ "p50", 0.5 },  { "p90", 0.9 },     { "p95", 0.95 },
		{ "p99", 0.99 }, { "p99.9", 0.999 },
	};
	lua_newtable(L);
	binding_set_number(L, "count", (double)distribution_count(d));
	binding_set_number(L, "mean", distribution_mean(d));
	binding_set_number(L, "std", distribution_std(d));
	binding_set_number(L, "min", (double)distribution_min(d));
	binding_set_number(L, "max", (double)distribution_max(d));
	set_bool(L, "exact", distribution_is_exact(d));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(*quantiles); i++)
		binding_set_number(L, quantiles[i].key,
		                   (double)distribution_quantile(d, quantiles[i].q));
}

/* { refused = 3, http_429 = 1 } */
static void push_errors(lua_State *L, const struct tally *m)
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

static void set_counts(lua_State *L, const struct tally *m)
{
	uint64_t ended = m->completed + m->failed + m->abandoned + m->cancelled;
	binding_set_number(L, "issued", (double)m->issued);
	binding_set_number(L, "completed", (double)m->completed);
	binding_set_number(L, "failed", (double)m->failed);
	binding_set_number(L, "abandoned", (double)m->abandoned);
	binding_set_number(L, "cancelled", (double)m->cancelled);
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

static void set_stamps(lua_State *L, const struct tally *m)
{
	binding_set_number(L, "first_scheduled_ns", (double)m->first_scheduled_ns);
	binding_set_number(L, "last_scheduled_ns", (double)m->last_scheduled_ns);
	binding_set_number(L, "first_issued_ns", (double)m->first_issued_ns);
	binding_set_number(L, "last_issued_ns", (double)m->last_issued_ns);
	binding_set_number(L, "last_finished_ns", (double)m->last_finished_ns);
}

/* What a phase and each of its tags have, into the table at the top. */
static void set_tally(lua_State *L, const struct tally *m)
{
	set_counts(L, m);
	set_stamps(L, m);
	for (int i = 0; i < METRIC_COUNT; i++) {
		if (!m->distributions[i])
			continue;
		push_distribution(L, m->distributions[i]);
		lua_setfield(L, -2, metric_name((enum metric)i));
	}
	push_errors(L, m);
	lua_setfield(L, -2, "errors");
	push_finish_reasons(L, m);
	lua_setfield(L, -2, "finish_reasons");
}

/* A running phase lasts until its latest event so far. */
static double duration_ns(const struct phase_metrics *m)
{
	uint64_t end = m->ended_ns;
	if (m->all.last_finished_ns > end)
		end = m->all.last_finished_ns;
	if (m->all.last_issued_ns > end)
		end = m->all.last_issued_ns;
	return end > m->started_ns ? (double)(end - m->started_ns) : 0;
}

/* { name = { ... as of a phase }, ... }; rates of a tag are over the phase's duration. */
static void push_tags(lua_State *L, const struct phase_metrics *m)
{
	lua_newtable(L);
	for (int i = 0; m->tags && i < m->tags->count; i++) {
		lua_newtable(L);
		set_tally(L, &m->tags->list[i]->tally);
		binding_set_number(L, "duration_ns", duration_ns(m));
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
	binding_set_number(L, "dropped", (double)m->dropped);
	binding_set_number(L, "unsent", (double)m->unsent);
	binding_set_number(L, "started_ns", (double)m->started_ns);
	binding_set_number(L, "duration_ns", duration_ns(m));
	set_tally(L, &m->all);
	push_tags(L, m);
	lua_setfield(L, -2, "tags");
	set_bool(L, "tags_full", m->tags && m->tags->full);
	report_set_cost(L, "lua_busy", m->lua_ns, m->lua_calls, m->lua_max_ns);
	report_set_cost(L, "gc_pause", m->gc_ns, m->gc_steps, m->gc_max_ns);
	set_client(L, m);
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
