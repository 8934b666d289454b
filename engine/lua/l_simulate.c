/* l_simulate.c - a session on simulated time: the endpoint that a Lua function plays, and
 * the events that another one is told. */
#include "lua/script.h"

#include <string.h>

#define MAX_TOKENS 10000000

static double seconds_since(uint64_t from_ns, uint64_t at_ns)
{
	return ((double)at_ns - (double)from_ns) / 1e9;
}

static uint64_t session_start(const struct script_session *ss)
{
	return fold_started_ns(session_fold(ss->session));
}

static void set_text(lua_State *L, const char *key, const char *s, size_t len)
{
	if (!s)
		return;
	lua_pushlstring(L, s, len);
	lua_setfield(L, -2, key);
}

/* ---- the endpoint ---- */

struct asking {
	struct script_session *ss;
	const struct request *r;
	uint64_t number, now_ns; /* number: from 1, in the session */
	struct sim_answer *out;
};

/* { number, id, index, phase, conversation, turn, time, body, path } */
static void push_request(lua_State *L, const struct asking *a)
{
	const struct request *r = a->r;
	lua_createtable(L, 0, 9);
	binding_set_number(L, "number", (double)a->number);
	binding_set_number(L, "id", (double)r->id);
	if (r->job.index >= 0)
		binding_set_number(L, "index", (double)r->job.index + 1);
	lua_pushstring(L, r->phase->name);
	lua_setfield(L, -2, "phase");
	binding_set_number(L, "time", seconds_since(session_start(a->ss), a->now_ns));
	set_text(L, "conversation", r->job.conversation, r->job.conversation_len);
	if (r->job.turn >= 0)
		binding_set_number(L, "turn", (double)r->job.turn);
	set_text(L, "body", r->exchange.body, r->exchange.body_len);
	if (r->exchange.path) {
		lua_pushstring(L, r->exchange.path);
		lua_setfield(L, -2, "path");
	}
}

static enum failure read_failure(lua_State *L, int t)
{
	const char *name = binding_opt_string(L, t, "error");
	if (!name)
		return FAILURE_NONE;
	enum failure f = failure_from_name(name, strlen(name));
	if (f == FAILURE_COUNT || f == FAILURE_HTTP)
		luaL_error(L, "error: the class of a failure expected (\"reset\"), got '%s'", name);
	return f;
}

/* The text is kept beside the Lua stack until it is copied. */
static void read_text(lua_State *L, int t, struct buffer *keep, struct sim_answer *out)
{
	size_t len;
	binding_opt_type(L, t, "text", LUA_TSTRING);
	const char *s = lua_tolstring(L, -1, &len);
	if (s) {
		buffer_clear(keep);
		if (buffer_append(keep, s, len))
			luaL_error(L, "text: no room for %d bytes", (int)len);
		out->text = len ? keep->data : "";
		out->text_len = len;
	}
	lua_pop(L, 1);
}

static bool given(lua_State *L, int t, const char *key)
{
	lua_getfield(L, t, key);
	bool is = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return is;
}

static void read_answer(lua_State *L, int t, struct buffer *keep, struct sim_answer *out)
{
	out->ttft_ns = binding_opt_ns(L, t, "ttft", 0);
	out->tpot_ns = binding_opt_ns(L, t, "tpot", 0);
	if (given(L, t, "tokens"))
		out->tokens = (uint32_t)binding_opt_count(L, t, "tokens", MAX_TOKENS);
	if (given(L, t, "tokens_in"))
		out->tokens_in = (int64_t)binding_opt_count(L, t, "tokens_in", MAX_TOKENS);
	if (given(L, t, "status"))
		out->status = (int)binding_opt_count(L, t, "status", 599);
	out->failure = read_failure(L, t);
	read_text(L, t, keep, out);
}

static int call_answer(lua_State *L)
{
	const struct asking *a = lua_touserdata(L, 1);
	script_push(L, a->ss->answer);
	push_request(L, a);
	lua_call(L, 1, 1);
	if (!lua_istable(L, -1))
		return luaL_error(L, "a table expected, got %s", luaL_typename(L, -1));
	read_answer(L, lua_gettop(L), &a->ss->scratch, a->out);
	return 0;
}

int simulate_answer(void *ctx, const struct exchange *x, uint64_t number, uint64_t now_ns,
                    struct sim_answer *out)
{
	struct script_session *ss = ctx;
	struct asking a = { ss, (const struct request *)x, ++ss->asked, now_ns, out };
	(void)number; /* counts for one client alone */
	return script_enter(ctx, call_answer, &a, NULL, "endpoint");
}

/* ---- events ---- */

struct telling {
	struct script_session *ss;
	const struct event *e;
};

static void push_type(lua_State *L, const struct event *e)
{
	char topic[EVENT_TOPIC_SIZE];
	event_topic_bytes(e, topic);
	lua_pushlstring(L, topic, strnlen(topic, sizeof(topic)));
}

/* { type, time, phase, index, conversation, turn, tag, reason, error, text } */
static int call_tap(lua_State *L)
{
	const struct telling *tell = lua_touserdata(L, 1);
	const struct script_session *ss = tell->ss;
	const struct event *e = tell->e;
	script_push(L, ss->tap);
	lua_createtable(L, 0, 4);
	push_type(L, e);
	lua_setfield(L, -2, "type");
	binding_set_number(L, "time", seconds_since(session_start(ss), e->timestamp_ns));
	if (e->phase >= 0 && e->phase < ss->phase_count) {
		lua_pushstring(L, ss->phases[e->phase]->phase->name);
		lua_setfield(L, -2, "phase");
	}
	if (e->index >= 0)
		binding_set_number(L, "index", (double)e->index + 1);
	set_text(L, "conversation", e->conversation_id.data, e->conversation_id.len);
	if (e->turn >= 0)
		binding_set_number(L, "turn", (double)e->turn);
	set_text(L, "tag", e->tag.data, e->tag.len);
	set_text(L, "reason", e->end_reason.data, e->end_reason.len);
	set_text(L, "error", e->error_type.data, e->error_type.len);
	set_text(L, "text", e->text.data, e->text.len);
	lua_call(L, 1, 0);
	return 0;
}

void simulate_tap(void *ctx, const struct event *e)
{
	struct script_session *ss = ctx;
	struct telling tell = { ss, e };
	if (!ss->closing)
		script_enter(ss, call_tap, &tell, NULL, "on_event");
}
