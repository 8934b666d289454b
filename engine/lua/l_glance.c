/* l_glance.c - perigee_engine.glance: what a live view shows of a phase. Reads counters and the
 * series only, so that it costs the same however many requests there were. */
#include "lua/script.h"

/* What snapshots of a phase tell of late. */
#define RECENT_S    5
#define RECENT_BINS 61

/* t[key] = the bins `from` to the last one as one; nothing when there are none. */
static void set_span(lua_State *L, const char *key, const struct series *s, int from)
{
	struct series_point p;
	int count = series_count(s);
	if (from >= count)
		return;
	series_read(s, from, count, &p);
	lua_newtable(L);
	report_set_point(L, &p);
	lua_setfield(L, -2, key);
}

/* The bins from `from` on, at their numbers from 1. */
static void set_bins(lua_State *L, const struct series *s, int from)
{
	int count = series_count(s);
	lua_newtable(L);
	for (int i = from; i < count; i++) {
		struct series_point p;
		series_read(s, i, i + 1, &p);
		lua_newtable(L);
		report_set_point(L, &p);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "bins");
}

/* How many bins lie before the last so many seconds, or so many bins. */
static int bins_before(const struct series *s, uint64_t elapsed_ns, double seconds)
{
	double from_s = (double)elapsed_ns / 1e9 - seconds;
	return from_s > 0 ? (int)(from_s * 1e9 / (double)series_width_ns(s)) : 0;
}

/* Into the table at the top: `recent` of the last so many seconds, and so many bins. */
static void set_series(lua_State *L, const struct series *s, uint64_t elapsed_ns, double recent_s,
                       double bins)
{
	double width_s = (double)series_width_ns(s) / 1e9;
	int recent = bins_before(s, elapsed_ns, recent_s);
	binding_set_number(L, "width_s", width_s);
	binding_set_number(L, "recent_from_s", recent * width_s);
	set_span(L, "recent", s, recent);
	set_bins(L, s, bins_before(s, elapsed_ns, bins * width_s));
}

void report_set_recent(lua_State *L, const struct phase_metrics *m)
{
	uint64_t last_ns = m->all.last_finished_ns > m->all.last_issued_ns ? m->all.last_finished_ns
	                                                                   : m->all.last_issued_ns;
	if (m->ended || !m->series || last_ns < m->started_ns)
		return;
	lua_newtable(L);
	set_series(L, m->series, last_ns - m->started_ns, RECENT_S, RECENT_BINS);
	lua_setfield(L, -2, "recent");
}

static void set_counters(lua_State *L, const struct phase *p)
{
	lua_pushboolean(L, p->state == PHASE_RUNNING);
	lua_setfield(L, -2, "running");
	binding_set_number(L, "late", (double)p->late);
	binding_set_number(L, "worst_late_ns", (double)p->worst_late_ns);
}

/* glance(p, recent_s, bins, whole) -> { running, late, worst_late_ns, open, errors, and once
 * something was issued width_s, recent_from_s, recent, bins = { [n] = ... }, whole }: recent is
 * what the last so many seconds brought, from a bin's begin; `bins` are the last so many,
 * each at its number, and `whole` is the phase, when asked for. Values as of the report's series.
 */
static int l_glance(lua_State *L)
{
	struct script_phase *sp = binding_check(L, 1, PHASE_CLASS);
	struct session *session = sp->script->session;
	const struct phase_metrics *m = fold_phase(session_fold(session), sp->phase->index);
	lua_settop(L, 4);
	lua_newtable(L);
	set_counters(L, sp->phase);
	if (!m)
		return 1;
	lua_pushboolean(L, m->open_load);
	lua_setfield(L, -2, "open");
	report_push_errors(L, &m->all);
	lua_setfield(L, -2, "errors");
	if (m->series)
		set_series(L, m->series, session_now(session) - m->started_ns,
		           luaL_checknumber(L, 2), luaL_checknumber(L, 3));
	if (m->series && lua_toboolean(L, 4))
		set_span(L, "whole", m->series, 0);
	return 1;
}

void binding_glance(lua_State *L)
{
	lua_pushcfunction(L, l_glance);
	lua_setfield(L, -2, "glance");
}
