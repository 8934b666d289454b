/* l_phase.c - the phase object `p` that strategies and handlers are given. */
#include "base/clock.h"

#include "lua/script.h"

#include <math.h>
#include <string.h>

static struct script_phase *check(lua_State *L)
{
	return binding_check(L, 1, PHASE_CLASS);
}

/* The index at `at`, which is nil or a number; 0 stands for nil. */
static double check_index(lua_State *L, const struct script_phase *sp, int at)
{
	double index = lua_isnil(L, at) ? 0 : lua_tonumber(L, at);
	if (!lua_isnil(L, at) && !(index >= 1 && index < SCRIPT_MAX_INDEX && index <= sp->samples &&
	                           index == floor(index))) {
		lua_pushfstring(L, "a sample index in 1..%f expected", sp->samples);
		luaL_argerror(L, 2, lua_tostring(L, -1));
	}
	return index;
}

/* What the script gives, checked and composed by the phase's target. */
static int issue_content(lua_State *L, struct script_phase *sp)
{
	if (sp->ask == LUA_NOREF)
		return luaL_argerror(L, 2, "this phase takes an index only");
	script_push(L, sp->ask);
	lua_pushvalue(L, 2);
	lua_call(L, 1, 1);
	lua_getfield(L, 3, "index");
	check_index(L, sp, 4);
	lua_settop(L, 3);
	return content_issue(L, sp, 0);
}

/* p:issue([index | content]) -> id | nil, message, code */
static int l_issue(lua_State *L)
{
	struct script_phase *sp = check(L);
	lua_settop(L, 2);
	if (lua_istable(L, 2))
		return issue_content(L, sp);
	if (!lua_isnil(L, 2))
		luaL_checknumber(L, 2);
	double index = check_index(L, sp, 2);
	uint64_t id;
	int err = session_want(sp->script->session, sp->phase, (int64_t)index - 1, 0, &id);
	if (err)
		return binding_failure(L, err,
		                       err == STATUS_ECLOSED ? "the phase issues no more" : NULL);
	lua_pushnumber(L, (double)id);
	return 1;
}

/* p:fill(n) -> how many were asked for: as many as are missing to n in flight, of the session. One
 * call in place of three for each request. */
static int l_fill(lua_State *L)
{
	struct script_phase *sp = check(L);
	double n = luaL_checknumber(L, 2);
	luaL_argcheck(L, n >= 0, 2, "a number of requests (>= 0) expected");
	struct session *s = sp->script->session;
	uint64_t id, asked = 0;
	while ((double)session_inflight(s) < n && !session_want(s, sp->phase, -1, 0, &id))
		asked++;
	lua_pushnumber(L, (double)asked);
	return 1;
}

static void check_in_strategy(lua_State *L, const struct script_phase *sp, const char *name)
{
	if (L != sp->co)
		luaL_error(L, "p:%s() belongs in the phase's own strategy function", name);
}

/* p:sleep(seconds) -> still running? */
static int l_sleep(lua_State *L)
{
	struct script_phase *sp = check(L);
	double s = luaL_checknumber(L, 2);
	luaL_argcheck(L, s >= 0, 2, "seconds (a number >= 0) expected");
	check_in_strategy(L, sp, "sleep");
	phase_strategy_sleep(sp->phase, session_now(sp->script->session) + clock_from_seconds(s));
	return lua_yield(L, 0);
}

/* p:wait([seconds]) -> still running? Returns when a request ended, the phase stops, or after so
 * long. */
static int l_wait(lua_State *L)
{
	struct script_phase *sp = check(L);
	double s = luaL_optnumber(L, 2, HUGE_VAL);
	luaL_argcheck(L, s >= 0, 2, "seconds (a number >= 0) expected");
	check_in_strategy(L, sp, "wait");
	uint64_t until = session_now(sp->script->session) + clock_from_seconds(s);
	phase_strategy_wait(sp->phase, isinf(s) ? 0 : until);
	return lua_yield(L, 0);
}

/* p:conclude(value): what the strategy has found so far goes into the report and, as an event, to
 * those who watch. The last one counts. */
static int l_conclude(lua_State *L)
{
	struct script_phase *sp = check(L);
	struct slice json;
	luaL_checkany(L, 2);
	lua_settop(L, 2);
	lua_pushcfunction(L, binding_json_encode);
	lua_insert(L, 2);
	lua_call(L, 1, 1);
	json.data = lua_tolstring(L, 2, &json.len);
	luaL_unref(L, LUA_REGISTRYINDEX, sp->conclusion);
	lua_pushvalue(L, 2);
	sp->conclusion = luaL_ref(L, LUA_REGISTRYINDEX);
	session_custom_event(sp->script->session, (struct slice){ "conclusion", 10 }, json);
	return 0;
}

/* p:after(seconds, fn) -> true | nil, message, code: fn(p) runs then, while the phase issues */
static int l_after(lua_State *L)
{
	struct script_phase *sp = check(L);
	double s = luaL_checknumber(L, 2);
	luaL_argcheck(L, s >= 0 && isfinite(s), 2, "seconds (a number >= 0) expected");
	luaL_checktype(L, 3, LUA_TFUNCTION);
	lua_settop(L, 3);
	int fn = luaL_ref(L, LUA_REGISTRYINDEX);
	int err = phase_alarm(sp->phase, session_now(sp->script->session) + clock_from_seconds(s),
	                      fn);
	if (!err) {
		lua_pushboolean(L, 1);
		return 1;
	}
	luaL_unref(L, LUA_REGISTRYINDEX, fn);
	return binding_failure(L, err, err == STATUS_ECLOSED ? "the phase issues no more" : NULL);
}

/* p:cancel(id) -> was there such a request, not yet ended? */
static int l_cancel(lua_State *L)
{
	struct script_phase *sp = check(L);
	double id = luaL_checknumber(L, 2);
	luaL_argcheck(L, id >= 0 && id < SCRIPT_MAX_INDEX && id == floor(id), 2, "an id expected");
	lua_pushboolean(L, session_cancel_id(sp->script->session, sp->phase, (uint64_t)id));
	return 1;
}

/* p:results() -> list of the results since the last call */
static int l_results(lua_State *L)
{
	struct script_phase *sp = check(L);
	if (sp->results == LUA_NOREF)
		return luaL_error(L, "p:results() belongs in a strategy");
	script_push(L, sp->results);
	lua_newtable(L);
	lua_rawseti(L, LUA_REGISTRYINDEX, sp->results);
	sp->result_count = 0;
	return 1;
}

static int l_running(lua_State *L)
{
	lua_pushboolean(L, check(L)->phase->state == PHASE_RUNNING);
	return 1;
}

static int l_stop(lua_State *L)
{
	struct script_phase *sp = check(L);
	session_stop_phase(sp->script->session, sp->phase, PHASE_STOP_SCRIPT);
	return 0;
}

/* Only its end tells what a phase cost: until then ask the meters. */
static void set_cost(lua_State *L, const struct script_phase *sp, const char *key,
                     enum session_meter which)
{
	struct meter_reading r;
	if (session_cost(sp->script->session, which, &r))
		report_set_cost(L, key, (int64_t)r.ns, (int64_t)r.spans, (int64_t)r.longest_ns);
}

static bool is_current(const struct phase *p)
{
	return p->state == PHASE_RUNNING || p->state == PHASE_DRAINING;
}

/* p:report() -> the engine's numbers of the phase so far */
static int l_report(lua_State *L)
{
	struct script_phase *sp = check(L);
	report_push_phase(L, fold_phase(session_fold(sp->script->session), sp->phase->index),
	                  REPORT_BRIEF);
	if (lua_istable(L, -1) && is_current(sp->phase)) {
		set_cost(L, sp, "lua_busy", SESSION_METER_SCRIPT);
		set_cost(L, sp, "gc_pause", SESSION_METER_COLLECTOR);
	}
	return 1;
}

/* ---- what can be turned while it runs ---- */

/* Push the load's knobs[name][what], or nil. */
static void push_knob(lua_State *L, const struct script_phase *sp, const char *name,
                      const char *what)
{
	int top = lua_gettop(L);
	if (sp->knobs != LUA_NOREF) {
		script_push(L, sp->knobs);
		lua_getfield(L, -1, name);
		if (lua_istable(L, -1))
			lua_getfield(L, -1, what);
		lua_replace(L, top + 1);
	} else {
		lua_pushnil(L);
	}
	lua_settop(L, top + 1);
}

static double elapsed_s(const struct script_phase *sp)
{
	const struct phase *p = sp->phase;
	return p->started_ns ? (double)(session_now(sp->script->session) - p->started_ns) / 1e9 : 0;
}

/* Forget what is scheduled and not yet due: it is asked for anew. */
static void replan(struct script_phase *sp)
{
	uint64_t last;
	if (!sp->phase->pacer)
		return;
	sp->arrivals -= pacer_replan(sp->phase->pacer, session_now(sp->script->session), &last);
	sp->at_s = (double)last / 1e9;
}

/* p:set_<name>(n) -> true | nil, message, code (the phase is over) */
static int set_knob(lua_State *L, const char *name)
{
	struct script_phase *sp = check(L);
	luaL_checknumber(L, 2);
	lua_settop(L, 2);
	if (sp->phase->state != PHASE_RUNNING)
		return binding_failure(L, STATUS_ECLOSED, "the phase issues no more");
	push_knob(L, sp, name, "set");
	if (lua_isnil(L, -1))
		return luaL_error(L, "the load of phase '%s' has no %s", sp->phase->name, name);
	lua_pushvalue(L, 2);
	lua_pushnumber(L, elapsed_s(sp));
	lua_pushboolean(L, !sp->phase->pacer || pacer_reaches(sp->phase->pacer,
	                                                      session_now(sp->script->session)));
	lua_call(L, 3, 2); /* true, or nil and what was expected */
	if (lua_isnil(L, -2))
		return luaL_argerror(L, 2, lua_tostring(L, -1));
	replan(sp);
	sp->phase->strategy_event = true; /* a closed load looks again */
	lua_pushboolean(L, 1);
	return 1;
}

static int l_set_rate(lua_State *L)
{
	return set_knob(L, "rate");
}

static int l_set_concurrency(lua_State *L)
{
	return set_knob(L, "concurrency");
}

/* p.rate, p.concurrency; nil when the load has no such thing. */
static bool push_knob_value(lua_State *L, const struct script_phase *sp, const char *key)
{
	if (strcmp(key, "rate") != 0 && strcmp(key, "concurrency") != 0)
		return false;
	push_knob(L, sp, key, "get");
	if (!lua_isnil(L, -1))
		lua_call(L, 0, 1);
	return true;
}

/* Numbers that change: p.inflight and the like. nil: no such one. */
static bool push_counter(lua_State *L, const struct script_phase *sp, const char *key)
{
	const struct phase *p = sp->phase;
	if (!strcmp(key, "inflight"))
		lua_pushnumber(L, (double)phase_outstanding(p));
	else if (!strcmp(key, "total_inflight"))
		lua_pushnumber(L, (double)session_inflight(sp->script->session));
	else if (!strcmp(key, "issued"))
		lua_pushnumber(L, (double)p->issued);
	else if (!strcmp(key, "completed"))
		lua_pushnumber(L, (double)p->completed);
	else if (!strcmp(key, "failed"))
		lua_pushnumber(L, (double)p->failed);
	else if (!strcmp(key, "dropped"))
		lua_pushnumber(L, (double)p->dropped);
	else if (!strcmp(key, "elapsed"))
		lua_pushnumber(L, elapsed_s(sp));
	else
		return false;
	return true;
}

static int l_index(lua_State *L)
{
	lua_settop(L, 2);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (!lua_isnil(L, -1)) /* a method: it looks at the phase itself */
		return 1;
	struct script_phase *sp = check(L);
	const char *key = luaL_checkstring(L, 2);
	if (push_counter(L, sp, key) || push_knob_value(L, sp, key))
		return 1;
	if (!strcmp(key, "name"))
		lua_pushstring(L, sp->phase->name);
	else if (!strcmp(key, "kind"))
		lua_pushstring(L, phase_kind_name(sp->phase->config.kind));
	else if (!strcmp(key, "idle"))
		lua_pushboolean(L, phase_idle(sp->phase, session_now(sp->script->session)));
	else if (!strcmp(key, "session"))
		script_push(L, sp->script->self);
	else if (!strcmp(key, "conclusion")) /* as JSON */
		script_push(L, sp->conclusion);
	else
		return luaL_error(L, "a phase has no field '%s'", key);
	return 1;
}

/* The box only borrows: the session owns the script_phase and empties the box. */
static int l_gc(lua_State *L)
{
	(void)L;
	return 0;
}

void script_phase_class(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "issue", l_issue },
		{ "sleep", l_sleep },
		{ "wait", l_wait },
		{ "fill", l_fill },
		{ "after", l_after },
		{ "cancel", l_cancel },
		{ "results", l_results },
		{ "running", l_running },
		{ "stop", l_stop },
		{ "report", l_report },
		{ "window", window_new_of_phase },
		{ "conclude", l_conclude },
		{ "set_rate", l_set_rate },
		{ "set_concurrency", l_set_concurrency },
		{ NULL, NULL },
	};
	binding_class(L, PHASE_CLASS, methods, l_gc);
	luaL_getmetatable(L, PHASE_CLASS);
	lua_getfield(L, -1, "__index");
	lua_pushcclosure(L, l_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
