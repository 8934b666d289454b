/* driver.c - a phase driven by Lua: schedule, strategy, content and handlers. */
#include "base/clock.h"

#include "lua/script.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const hook_titles[HOOK_COUNT] = {
	[HOOK_ISSUE] = "on.issue",         [HOOK_FIRST] = "on.first",
	[HOOK_CHUNK] = "on.chunk",         [HOOK_ERROR] = "on.error",
	[HOOK_COMPLETE] = "on.complete",   [HOOK_PHASE_START] = "on.phase_start",
	[HOOK_PHASE_END] = "on.phase_end", [HOOK_TICK] = "on.tick",
};

/* script_enter() for what belongs to a phase. */
static int enter(struct script_phase *sp, lua_CFunction fn, void *arg, const char *what)
{
	return script_enter(sp->script, fn, arg, sp->phase, what);
}

/* ---- schedule ---- */

struct pull {
	struct script_phase *sp;
	uint64_t *due;
	int asked, got;
};

/* The gap after the latest arrival, infinity when nothing comes until the load is turned; false at
 * the end. */
static bool next_gap(lua_State *L, const struct script_phase *sp, double *gap)
{
	script_push(L, sp->schedule);
	lua_pushnumber(L, sp->arrivals);
	lua_pushnumber(L, sp->at_s);
	lua_call(L, 2, 1);
	bool number = lua_type(L, -1) == LUA_TNUMBER;
	*gap = number ? lua_tonumber(L, -1) : 0;
	if (!lua_isnil(L, -1) && !(number && *gap >= 0)) {
		lua_pushnumber(L, *gap);
		luaL_error(L,
		           "seconds to the next arrival (a number >= 0) or nil expected, got %s "
		           "after arrival %f",
		           number ? lua_tostring(L, -1) : luaL_typename(L, -2), sp->arrivals);
	}
	bool more = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return more;
}

static int pull_batch(lua_State *L)
{
	struct pull *pull = lua_touserdata(L, 1);
	struct script_phase *sp = pull->sp;
	double gap;
	while (pull->got < pull->asked && next_gap(L, sp, &gap)) {
		sp->arrivals++;
		if (isinf(gap)) {
			pull->due[pull->got++] = PACER_NEVER;
			break;
		}
		sp->at_s += gap;
		pull->due[pull->got++] = clock_from_seconds(sp->at_s);
	}
	return 0;
}

static int drive_schedule(void *ctx, struct phase *p, uint64_t *due, int n)
{
	struct pull pull = { .sp = ctx, .due = due, .asked = n };
	(void)p;
	int err = enter(ctx, pull_batch, &pull, "delay function");
	return err ? err : pull.got;
}

/* ---- strategy ---- */

/* What a failed coroutine has on its stack, with its traceback, as this one's error. */
static int raise_from(lua_State *L)
{
	lua_State *co = ((struct script_phase *)lua_touserdata(L, 1))->co;
	lua_pushvalue(co, -1);
	lua_xmove(co, L, 1);
	luaL_traceback(L, co, binding_error_text(L), 0);
	return luaL_error(L, "%s", lua_tostring(L, -1));
}

static int raise_yield(lua_State *L)
{
	return luaL_error(L, "a strategy yields through p:sleep() and p:wait() only");
}

/* Resume the coroutine; it gets whether the phase still runs. */
static int drive_resume(void *ctx, struct phase *p)
{
	struct script_phase *sp = ctx;
	lua_State *co = sp->co;
	if (lua_status(co) == LUA_YIELD) /* else function and argument are on its stack */
		lua_pushboolean(co, p->state == PHASE_RUNNING);
	uint64_t begun = script_begin(sp->script, p, "strategy");
	int rc = lua_resume(co, 1);
	script_end(sp->script, begun);
	if (rc == 0)
		return RESUME_ENDED;
	if (rc != LUA_YIELD)
		return enter(sp, raise_from, sp, "strategy");
	if (p->strategy_waits || p->strategy_wake_ns)
		return RESUME_ALIVE;
	return enter(sp, raise_yield, NULL, "strategy");
}

/* ---- content ---- */

#define ASKED (BUILT_COUNT + 1) /* the content that the script gave, or nil */

struct content {
	struct script_phase *sp;
	struct job *job;
	uint64_t number;
	const struct want *want;
	int result;    /* a build_result */
	int body_type; /* of the body that was built, when the function keeps it */
};

static const char *text_at(lua_State *L, int at, const char *what, size_t *len)
{
	int type = lua_type(L, at);
	if (type == LUA_TNIL) {
		*len = 0;
		return NULL;
	}
	if (type != LUA_TSTRING)
		luaL_error(L, "the %s must be a string, got %s", what, lua_typename(L, type));
	return lua_tolstring(L, at, len);
}

static bool is_index(double v)
{
	return v >= 1 && v < SCRIPT_MAX_INDEX && v == floor(v);
}

static int64_t index_at(lua_State *L, int at)
{
	double v = lua_isnil(L, at) ? 0 : lua_tonumber(L, at);
	if (!lua_isnil(L, at) && !is_index(v))
		luaL_error(L, "the index must be a whole number from 1");
	return (int64_t)v - 1;
}

/* What a request asked for is counted, not enforced: a value that no count is says nothing. */
static int64_t tokens_at(lua_State *L, int at)
{
	double v = lua_tonumber(L, at);
	return v >= 1 && v < SCRIPT_MAX_INDEX ? (int64_t)v : 0;
}

/* The results of the build function, from stack index 1 on: texts are borrowed. */
static void read_job(lua_State *L, struct job *job)
{
	size_t ignored;
	job->body = text_at(L, BUILT_BODY, "body", &job->body_len);
	job->index = index_at(L, BUILT_INDEX);
	job->path = text_at(L, BUILT_PATH, "path", &ignored);
	job->tag = text_at(L, BUILT_TAG, "tag", &job->tag_len);
	job->method = text_at(L, BUILT_METHOD, "method", &ignored);
	job->prompt = text_at(L, BUILT_PROMPT, "prompt", &job->prompt_len);
	job->tokens_least = tokens_at(L, BUILT_TOKENS_LEAST);
	job->tokens_most = tokens_at(L, BUILT_TOKENS_MOST);
}

/* Push what keeps the texts alive: the body when it is alone, else one table. */
static void push_anchor(lua_State *L, struct job *job)
{
	if (lua_isnil(L, BUILT_HEADERS) && !job->path && !job->tag && !job->method &&
	    !job->prompt && lua_isnil(L, ASKED)) {
		lua_pushvalue(L, BUILT_BODY);
		return;
	}
	lua_createtable(L, ASKED + 1, 1);
	int anchor = lua_gettop(L);
	for (int i = 1; i <= ASKED; i++) {
		lua_pushvalue(L, i);
		lua_rawseti(L, anchor, i);
	}
	lua_pushvalue(L, BUILT_HEADERS);
	lua_setfield(L, anchor, "headers");
	job->header_count = binding_opt_strings(L, anchor, "headers", &job->headers);
	lua_rawseti(L, anchor, ASKED + 1);
}

/* A number from 0 as Lua has it; nil when negative. */
static void push_number_from_1(lua_State *L, int64_t n)
{
	if (n < 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, (double)n + 1);
}

/* build and its arguments: number, index and arrival, the latter two nil where there is none */
#define BUILD_ARGUMENTS 3
static void push_build(lua_State *L, const struct content *c)
{
	script_push(L, c->sp->build);
	lua_pushnumber(L, (double)c->number + 1);
	push_number_from_1(L, c->want->index);
	push_number_from_1(L, c->want->arrival);
}

/* Push the list of results, of which one more is to be put at ++sp->result_count. */
static void push_results(lua_State *L, const struct script_phase *sp)
{
	if (sp->result_count == SCRIPT_MAX_RESULTS)
		luaL_error(L, "a strategy must call p:results() before a million have gathered");
	script_push(L, sp->results);
}

/* Who gave the content waits for this id. */
static void tell_skip(lua_State *L, struct script_phase *sp, uint64_t id)
{
	if (sp->results == LUA_NOREF)
		return;
	push_results(L, sp);
	lua_createtable(L, 0, 3);
	binding_set_number(L, "id", (double)id);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "ok");
	lua_pushboolean(L, 1);
	lua_setfield(L, -2, "skipped");
	lua_rawseti(L, -2, ++sp->result_count);
}

/* Is the content of this reference whole? 0 is none. */
static bool is_whole(lua_State *L, int content)
{
	if (!content)
		return false;
	script_push(L, content);
	return content_has_body(L, lua_gettop(L));
}

static int build_content(lua_State *L)
{
	struct content *c = lua_touserdata(L, 1);
	int asked = (int)c->want->content;
	bool whole = is_whole(L, asked);
	lua_settop(L, 0);
	if (!whole) {
		push_build(L, c);
		lua_call(L, BUILD_ARGUMENTS, BUILT_COUNT);
	}
	lua_settop(L, BUILT_COUNT);
	if (asked)
		script_push(L, asked);
	else
		lua_pushnil(L);
	if (!whole && !lua_toboolean(L, BUILT_BODY)) {
		c->result = lua_isnil(L, BUILT_BODY) ? BUILD_SKIP : BUILD_END;
		if (asked && c->result == BUILD_SKIP)
			tell_skip(L, c->sp, c->want->id);
		return 0;
	}
	if (asked)
		content_lay_over(L, ASKED);
	read_job(L, c->job);
	if (asked)
		content_read(L, ASKED, c->job);
	push_anchor(L, c->job);
	c->job->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
	c->result = BUILD_OK;
	return 0;
}

static void drive_forget(void *ctx, intptr_t what)
{
	struct script_phase *sp = ctx;
	luaL_unref(sp->script->L, LUA_REGISTRYINDEX, (int)what);
}

/* ---- content whose texts the build function keeps ---- */

/* The anchor of such a job: no reference that luaL_ref gives. */
#define ANCHOR_KEPT LUA_NOREF

/* What read_job() would say to the values that c has of the results. */
static int refuse_kept(lua_State *L)
{
	const struct content *c = lua_touserdata(L, 1);
	if (c->body_type != LUA_TSTRING)
		luaL_error(L, "the body must be a string, got %s", lua_typename(L, c->body_type));
	return luaL_error(L, "the index must be a whole number from 1");
}

/* The results stand behind `at`: nothing here needs memory or raises. */
static int read_kept(lua_State *L, struct content *c, int at)
{
	struct job *job = c->job;
	c->body_type = lua_type(L, at + BUILT_BODY);
	if (!lua_toboolean(L, at + BUILT_BODY)) {
		c->result = c->body_type == LUA_TNIL ? BUILD_SKIP : BUILD_END;
		return STATUS_OK;
	}
	double index = lua_tonumber(L, at + BUILT_INDEX);
	if (c->body_type != LUA_TSTRING || !is_index(index))
		return STATUS_EINVAL;
	job->body = lua_tolstring(L, at + BUILT_BODY, &job->body_len);
	job->index = (int64_t)index - 1;
	job->tokens_least = tokens_at(L, at + BUILT_TOKENS_LEAST);
	job->tokens_most = tokens_at(L, at + BUILT_TOKENS_MOST);
	job->anchor = ANCHOR_KEPT;
	c->sp->lent++;
	c->result = BUILD_OK;
	return STATUS_OK;
}

/* Without a reference to the body, which lives as long as the function that gave it. */
static int build_kept(struct content *c)
{
	struct script_session *ss = c->sp->script;
	lua_State *L = ss->L;
	int top = lua_gettop(L);
	script_push(L, ss->entry.explain);
	push_build(L, c);
	int err = script_call(ss, BUILD_ARGUMENTS, BUILT_COUNT, c->sp->phase, "request");
	bool bad = !err && read_kept(L, c, top + 1);
	lua_settop(L, top);
	return bad ? enter(c->sp, refuse_kept, c, "request") : err;
}

static int drive_build(void *ctx, struct phase *p, uint64_t i, const struct want *want,
                       struct job *job)
{
	struct script_phase *sp = ctx;
	struct content c = { .sp = sp, .job = job, .number = i, .want = want };
	(void)p;
	if (sp->kept && !want->content) {
		int rc = build_kept(&c);
		return rc ? rc : c.result;
	}
	int err = enter(ctx, build_content, &c, "request");
	if (want->content)
		drive_forget(ctx, want->content); /* the job's anchor keeps it */
	if (!err)
		return c.result;
	*job = (struct job){ .index = -1, .turn = -1 }; /* its texts are gone */
	return STATUS_ESCRIPT;
}

/* anchor 0 is no reference that luaL_ref gives: nothing was built. */
static void drive_release(void *ctx, struct job *job)
{
	struct script_phase *sp = ctx;
	if (job->anchor == ANCHOR_KEPT)
		sp->lent--;
	else if (job->anchor)
		luaL_unref(sp->script->L, LUA_REGISTRYINDEX, (int)job->anchor);
	job->anchor = 0;
}

/* ---- handlers ---- */

struct telling {
	struct script_phase *sp;
	enum script_hook hook;
	const struct buffer *text; /* of on.chunk */
};

/* on.chunk(r, p, text) */
static int call_handler(lua_State *L)
{
	const struct telling *t = lua_touserdata(L, 1);
	script_push(L, t->sp->hooks[t->hook]);
	script_push(L, t->sp->script->result);
	script_push(L, t->sp->self);
	lua_pushlstring(L, t->text->data ? t->text->data : "", t->text->len);
	lua_call(L, 3, 0);
	return 0;
}

/* on.<hook>(r, p): nothing of it needs memory. */
static void call_plain(struct script_phase *sp, enum script_hook hook)
{
	struct script_session *ss = sp->script;
	lua_State *L = ss->L;
	int top = lua_gettop(L);
	script_push(L, ss->entry.explain);
	script_push(L, sp->hooks[hook]);
	script_push(L, ss->result);
	script_push(L, sp->self);
	script_call(ss, 2, 0, sp->phase, hook_titles[hook]);
	lua_settop(L, top);
}

static void tell(struct script_phase *sp, enum script_hook hook, struct request *r,
                 const struct buffer *text)
{
	struct script_session *ss = sp->script;
	struct telling t = { .sp = sp, .hook = hook, .text = text };
	if (ss->closing)
		return;
	*ss->current = r;
	if (text)
		enter(sp, call_handler, &t, hook_titles[hook]);
	else
		call_plain(sp, hook);
	*ss->current = NULL;
}

static void drive_issue(void *ctx, struct request *r)
{
	tell(ctx, HOOK_ISSUE, r, NULL);
}

static void drive_first(void *ctx, struct request *r)
{
	tell(ctx, HOOK_FIRST, r, NULL);
}

static void drive_chunk(void *ctx, struct request *r, const struct delta *d)
{
	struct script_phase *sp = ctx;
	struct buffer *text = &sp->script->scratch;
	buffer_clear(text);
	json_slice_text(d->content.len ? &d->content : &d->reasoning, text);
	tell(sp, HOOK_CHUNK, r, text);
}

static void drive_error(void *ctx, struct request *r)
{
	tell(ctx, HOOK_ERROR, r, NULL);
}

/* Append r:keep() to the phase's results. */
static int append_result(lua_State *L)
{
	struct script_phase *sp = lua_touserdata(L, 1);
	push_results(L, sp);
	lua_pushcfunction(L, result_keep);
	script_push(L, sp->script->result);
	lua_call(L, 1, 1);
	lua_rawseti(L, -2, sp->result_count + 1);
	sp->result_count++;
	return 0;
}

static void keep_result(struct script_phase *sp, struct request *r)
{
	if (sp->script->closing)
		return;
	*sp->script->current = r;
	enter(sp, append_result, sp, "results");
	*sp->script->current = NULL;
}

static void drive_complete(void *ctx, struct request *r)
{
	struct script_phase *sp = ctx;
	if (sp->results != LUA_NOREF)
		keep_result(sp, r);
	if (sp->hooks[HOOK_COMPLETE] != LUA_NOREF)
		tell(sp, HOOK_COMPLETE, r, NULL);
}

/* ---- alarms ---- */

struct alarm_call {
	struct script_phase *sp;
	int what; /* reference to a function, or to content whose time has come */
};

static int call_alarm(lua_State *L)
{
	const struct alarm_call *a = lua_touserdata(L, 1);
	script_push(L, a->what);
	if (lua_istable(L, -1)) {
		content_issue(L, a->sp, 0); /* the phase runs: only lack of memory refuses it */
		return 0;
	}
	script_push(L, a->sp->self);
	lua_call(L, 1, 0);
	return 0;
}

static void drive_alarm(void *ctx, struct phase *p, intptr_t what)
{
	struct alarm_call a = { ctx, (int)what };
	(void)p;
	enter(ctx, call_alarm, &a, "p:after");
	drive_forget(ctx, what);
}

/* on.phase_start(p), on.tick(p) */
static int call_with_phase(lua_State *L)
{
	const struct telling *t = lua_touserdata(L, 1);
	script_push(L, t->sp->hooks[t->hook]);
	script_push(L, t->sp->self);
	lua_call(L, 1, 0);
	return 0;
}

static void drive_phase_start(void *ctx, struct phase *p)
{
	struct telling t = { .sp = ctx, .hook = HOOK_PHASE_START };
	(void)p;
	enter(ctx, call_with_phase, &t, hook_titles[HOOK_PHASE_START]);
}

static void drive_tick(void *ctx, struct phase *p)
{
	struct telling t = { .sp = ctx, .hook = HOOK_TICK };
	(void)p;
	enter(ctx, call_with_phase, &t, hook_titles[HOOK_TICK]);
}

struct question {
	struct script_phase *sp;
	bool yes;
};

static int call_stop_when(lua_State *L)
{
	struct question *q = lua_touserdata(L, 1);
	script_push(L, q->sp->stop_when);
	script_push(L, q->sp->self);
	lua_call(L, 1, 1);
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		luaL_error(L, "true, false or nil expected, got %s", luaL_typename(L, -1));
	q->yes = lua_toboolean(L, -1);
	return 0;
}

static int drive_stop_when(void *ctx, struct phase *p)
{
	struct question q = { .sp = ctx };
	(void)p;
	int err = enter(ctx, call_stop_when, &q, "stop_when");
	return err ? err : q.yes;
}

static int call_phase_end(lua_State *L)
{
	const struct script_phase *sp = lua_touserdata(L, 1);
	const struct fold *fold = session_fold(sp->script->session);
	script_push(L, sp->hooks[HOOK_PHASE_END]);
	script_push(L, sp->self);
	report_push_phase(L, fold_phase(fold, sp->phase->index), REPORT_BRIEF);
	lua_call(L, 2, 0);
	return 0;
}

static void drive_phase_end(void *ctx, struct phase *p)
{
	(void)p;
	enter(ctx, call_phase_end, ctx, hook_titles[HOOK_PHASE_END]);
}

/* ---- setting up ---- */

/* A reference to the function t[key]; LUA_NOREF when nil. */
static int function_ref(lua_State *L, int t, const char *key)
{
	lua_getfield(L, t, key);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return LUA_NOREF;
	}
	if (!lua_isfunction(L, -1))
		luaL_error(L, "%s: a function expected, got %s", key, luaL_typename(L, -1));
	return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void read_hooks(lua_State *L, struct script_phase *sp, int t)
{
	binding_opt_type(L, t, "on", LUA_TTABLE);
	int on = lua_gettop(L);
	for (int i = 0; lua_istable(L, on) && i < HOOK_COUNT; i++)
		sp->hooks[i] = function_ref(L, on, hook_titles[i] + strlen("on."));
	lua_settop(L, on - 1);
}

/* Only the hooks that are there get a driver function: the others cost nothing. */
static void fill_driver(struct script_phase *sp)
{
	struct driver *d = &sp->driver;
	const int *hooks = sp->hooks;
	d->build = drive_build;
	d->release = drive_release;
	d->forget = drive_forget;
	d->alarm = drive_alarm;
	d->schedule = sp->schedule != LUA_NOREF ? drive_schedule : NULL;
	d->resume = sp->co ? drive_resume : NULL;
	d->issue = hooks[HOOK_ISSUE] != LUA_NOREF ? drive_issue : NULL;
	d->first = hooks[HOOK_FIRST] != LUA_NOREF ? drive_first : NULL;
	d->chunk = hooks[HOOK_CHUNK] != LUA_NOREF ? drive_chunk : NULL;
	d->error = hooks[HOOK_ERROR] != LUA_NOREF ? drive_error : NULL;
	d->complete = hooks[HOOK_COMPLETE] != LUA_NOREF || sp->results != LUA_NOREF ? drive_complete
	                                                                            : NULL;
	d->phase_start = hooks[HOOK_PHASE_START] != LUA_NOREF ? drive_phase_start : NULL;
	d->phase_end = hooks[HOOK_PHASE_END] != LUA_NOREF ? drive_phase_end : NULL;
	d->stop_when = sp->stop_when != LUA_NOREF ? drive_stop_when : NULL;
	d->tick = hooks[HOOK_TICK] != LUA_NOREF ? drive_tick : NULL;
}

void script_phase_read(lua_State *L, struct script_phase *sp, int t)
{
	sp->build = function_ref(L, t, "build");
	sp->schedule = function_ref(L, t, "schedule");
	sp->sample = function_ref(L, t, "sample");
	sp->stop_when = function_ref(L, t, "stop_when");
	sp->ask = function_ref(L, t, "ask");
	sp->kept = binding_opt_bool(L, t, "kept", false);
	sp->samples = binding_opt_number(L, t, "samples", HUGE_VAL);
	if (sp->build == LUA_NOREF)
		luaL_error(L, "build: a function expected, got nil");
	binding_opt_type(L, t, "strategy", LUA_TFUNCTION);
	bool strategy = lua_isfunction(L, -1);
	if (!strategy && sp->schedule == LUA_NOREF)
		luaL_error(L, "a schedule, a strategy or both expected");
	if (strategy) {
		sp->co = lua_newthread(L);
		sp->thread = luaL_ref(L, LUA_REGISTRYINDEX);
		lua_pushvalue(L, -1);
		lua_xmove(L, sp->co, 1);
	}
	lua_pop(L, 1);
	if (binding_opt_bool(L, t, "results", false)) {
		lua_newtable(L);
		sp->results = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_getfield(L, t, "knobs");
	if (lua_istable(L, -1))
		sp->knobs = luaL_ref(L, LUA_REGISTRYINDEX);
	else
		lua_pop(L, 1);
	read_hooks(L, sp, t);
	fill_driver(sp);
}

void script_phase_free(struct script_phase *sp)
{
	lua_State *L = sp->script->L;
	if (sp->lent) /* a worker that hangs may read the body to the end: the function stays */
		sp->build = LUA_NOREF;
	int refs[] = { sp->schedule, sp->build, sp->sample,     sp->thread,    sp->self,
		       sp->results,  sp->knobs, sp->conclusion, sp->stop_when, sp->ask };
	for (size_t i = 0; i < sizeof(refs) / sizeof(*refs); i++)
		luaL_unref(L, LUA_REGISTRYINDEX, refs[i]);
	for (int i = 0; i < HOOK_COUNT; i++)
		luaL_unref(L, LUA_REGISTRYINDEX, sp->hooks[i]);
	free(sp);
}
