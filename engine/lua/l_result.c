/* l_result.c - the result `r` of handlers: a view of the request that is told
 * about, valid during the handler; r:keep() copies it into a plain table. */
#include "lua/script.h"

#include <math.h>

/*  enum, name in Lua */
#define FIELD_MAP(X)                                                                               \
	X(ID, "id")                                                                                \
	X(INDEX, "index")                                                                          \
	X(SAMPLE, "sample")                                                                        \
	X(PHASE, "phase")                                                                          \
	X(TAG, "tag")                                                                              \
	X(CONVERSATION, "conversation")                                                            \
	X(TURN, "turn")                                                                            \
	X(ATTEMPT, "attempt")                                                                      \
	X(OK, "ok")                                                                                \
	X(STATUS, "status")                                                                        \
	X(ERROR, "error")                                                                          \
	X(MESSAGE, "message")                                                                      \
	X(SCHEDULED, "scheduled")                                                                  \
	X(ISSUED, "issued")                                                                        \
	X(SENT, "sent")                                                                            \
	X(FIRST_BYTE, "first_byte")                                                                \
	X(FIRST, "first")                                                                          \
	X(FINISHED, "finished")                                                                    \
	X(LATENCY, "latency")                                                                      \
	X(SERVICE_TIME, "service_time")                                                            \
	X(TTFT, "ttft")                                                                            \
	X(TPOT, "tpot")                                                                            \
	X(ITL_MAX, "itl_max")                                                                      \
	X(CHUNKS, "chunks")                                                                        \
	X(TOKENS_IN, "tokens_in")                                                                  \
	X(TOKENS_OUT, "tokens_out")                                                                \
	X(TOKENS_CACHED, "tokens_cached")                                                          \
	X(FINISH_REASON, "finish_reason")                                                          \
	X(BYTES, "bytes")                                                                          \
	X(TEXT, "text")                                                                            \
	X(REASONING, "reasoning")                                                                  \
	X(BODY, "body")

enum field {
#define X(id, name) FIELD_##id,
	FIELD_MAP(X)
#undef X
		FIELD_COUNT
};

static const char *const field_names[FIELD_COUNT] = {
#define X(id, name) [FIELD_##id] = name,
	FIELD_MAP(X)
#undef X
};

static void push_seconds(lua_State *L, int64_t ns)
{
	if (ns < 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, (double)ns / 1e9);
}

/* A stamp, in seconds from the phase's start. */
static void push_stamp(lua_State *L, const struct request *r, uint64_t ns)
{
	if (!ns)
		lua_pushnil(L);
	else
		lua_pushnumber(L, ((double)ns - (double)r->phase->started_ns) / 1e9);
}

static void push_count(lua_State *L, int64_t n)
{
	if (n < 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, (double)n);
}

static void push_buffer(lua_State *L, const struct buffer *b)
{
	if (b->data)
		lua_pushlstring(L, b->data, b->len);
	else
		lua_pushliteral(L, "");
}

static void push_slice(lua_State *L, const char *s, size_t len)
{
	if (s)
		lua_pushlstring(L, s, len);
	else
		lua_pushnil(L);
}

static void push_text(lua_State *L, const char *s)
{
	if (*s)
		lua_pushstring(L, s);
	else
		lua_pushnil(L);
}

static bool ended(const struct request *r)
{
	return r->state == REQUEST_ENDED;
}

/* What the scenario's data set holds at the request's index. */
static void push_sample(lua_State *L, const struct request *r)
{
	const struct script_phase *sp = r->phase->driver_ctx;
	if (sp->sample == LUA_NOREF || r->job.index < 0) {
		lua_pushnil(L);
		return;
	}
	script_push(L, sp->sample);
	lua_pushnumber(L, (double)r->job.index + 1);
	lua_call(L, 1, 1);
}

static void push_identity(lua_State *L, const struct request *r, enum field field)
{
	switch (field) {
	case FIELD_ID:
		lua_pushnumber(L, (double)r->id);
		break;
	case FIELD_INDEX:
		push_count(L, r->job.index < 0 ? -1 : r->job.index + 1);
		break;
	case FIELD_SAMPLE:
		push_sample(L, r);
		break;
	case FIELD_PHASE:
		lua_pushstring(L, r->phase->name);
		break;
	case FIELD_TAG:
		push_slice(L, r->job.tag, r->job.tag_len);
		break;
	case FIELD_CONVERSATION:
		push_slice(L, r->job.conversation, r->job.conversation_len);
		break;
	case FIELD_TURN:
		push_count(L, r->job.turn);
		break;
	case FIELD_ATTEMPT:
		lua_pushnumber(L, r->job.attempt ? r->job.attempt : 1);
		break;
	default:
		lua_pushnil(L);
	}
}

static int64_t longest_gap(const struct response *res)
{
	int64_t max = EVENT_NONE;
	for (uint32_t i = 0; i < res->chunk_us_count; i++)
		if ((int64_t)res->chunk_us[i] * 1000 > max)
			max = (int64_t)res->chunk_us[i] * 1000;
	return max;
}

/* What is computed from the stamps, by the fold's own definitions. */
static void push_measure(lua_State *L, const struct request *r, enum field field)
{
	struct event e;
	request_complete_event(r, &e);
	if (!ended(r))
		e.timestamp_ns = 0;
	switch (field) {
	case FIELD_LATENCY:
		push_seconds(L, complete_latency(&e));
		break;
	case FIELD_SERVICE_TIME:
		push_seconds(L, complete_service_time(&e));
		break;
	case FIELD_TTFT:
		push_seconds(L, complete_ttft(&e));
		break;
	case FIELD_TPOT:
		push_seconds(L, complete_tpot(&e));
		break;
	default:
		push_seconds(L, longest_gap(&r->exchange.response));
	}
}

static void push_time(lua_State *L, const struct request *r, enum field field)
{
	const struct response *res = &r->exchange.response;
	switch (field) {
	case FIELD_SCHEDULED:
		push_stamp(L, r, r->scheduled_ns);
		break;
	case FIELD_ISSUED:
		push_stamp(L, r, r->issued_ns);
		break;
	case FIELD_SENT:
		push_stamp(L, r, res->sent_ns);
		break;
	case FIELD_FIRST_BYTE:
		push_stamp(L, r, res->first_byte_ns);
		break;
	case FIELD_FIRST:
		push_stamp(L, r, res->first_ns);
		break;
	case FIELD_FINISHED:
		push_stamp(L, r, ended(r) ? res->finished_ns : 0);
		break;
	default:
		push_measure(L, r, field);
	}
}

static void push_error(lua_State *L, const struct request *r, enum field field)
{
	const struct response *res = &r->exchange.response;
	if (!ended(r) || res->failure == FAILURE_NONE) {
		lua_pushnil(L);
	} else if (field == FIELD_MESSAGE) {
		struct slice s = request_message(r);
		lua_pushlstring(L, s.data ? s.data : "", s.len);
	} else if (res->failure == FAILURE_HTTP) {
		lua_pushfstring(L, "http_%d", res->status);
	} else {
		lua_pushstring(L, failure_name(res->failure));
	}
}

static void push_answer(lua_State *L, const struct request *r, enum field field)
{
	const struct response *res = &r->exchange.response;
	switch (field) {
	case FIELD_OK:
		lua_pushboolean(L, ended(r) && res->failure == FAILURE_NONE);
		break;
	case FIELD_STATUS:
		push_count(L, res->status ? res->status : -1);
		break;
	case FIELD_CHUNKS:
		lua_pushnumber(L, res->chunks);
		break;
	case FIELD_TOKENS_IN:
		push_count(L, res->tokens_in);
		break;
	case FIELD_TOKENS_OUT:
		push_count(L, res->tokens_out);
		break;
	case FIELD_TOKENS_CACHED:
		push_count(L, res->tokens_cached);
		break;
	case FIELD_FINISH_REASON:
		push_text(L, res->finish_reason);
		break;
	case FIELD_BYTES:
		lua_pushnumber(L, (double)res->bytes);
		break;
	case FIELD_TEXT:
		push_buffer(L, &res->text);
		break;
	case FIELD_REASONING:
		push_buffer(L, &res->reasoning);
		break;
	default:
		push_buffer(L, &res->body);
	}
}

static void push_field(lua_State *L, const struct request *r, enum field field)
{
	if (field <= FIELD_ATTEMPT)
		push_identity(L, r, field);
	else if (field == FIELD_ERROR || field == FIELD_MESSAGE)
		push_error(L, r, field);
	else if (field >= FIELD_SCHEDULED && field <= FIELD_ITL_MAX)
		push_time(L, r, field);
	else
		push_answer(L, r, field);
}

static struct request *check(lua_State *L)
{
	struct request **box = luaL_checkudata(L, 1, RESULT_CLASS);
	if (!*box)
		luaL_error(L, "a result is valid during its handler only: use r:keep()");
	return *box;
}

/* r:keep() -> table */
int result_keep(lua_State *L)
{
	const struct request *r = check(L);
	lua_createtable(L, 0, FIELD_COUNT);
	for (int i = 0; i < FIELD_COUNT; i++) {
		push_field(L, r, (enum field)i);
		lua_setfield(L, -2, field_names[i]);
	}
	return 1;
}

/* r:json() -> value | nil, message, code: the body when it is kept, else the text */
static int l_decode(lua_State *L)
{
	const struct response *res = &check(L)->exchange.response;
	lua_settop(L, 0);
	push_buffer(L, res->body.len ? &res->body : &res->text);
	return binding_json_decode(L);
}

/* r:cancel(): the request ends as cancelled; its complete handler still runs. */
static int l_cancel(lua_State *L)
{
	struct request *r = check(L);
	session_cancel(r->phase->session, r);
	return 0;
}

/* r:retry([seconds]) -> id (true when it comes later) | nil, message, code: the same once
 * more, now or after so long, as the next attempt */
static int l_retry(lua_State *L)
{
	const struct request *r = check(L);
	double delay_s = luaL_optnumber(L, 2, 0);
	luaL_argcheck(L, delay_s >= 0 && isfinite(delay_s), 2, "seconds (a number >= 0) expected");
	content_push_again(L, &r->job);
	return content_issue(L, r->phase->driver_ctx, delay_s);
}

/* check() of l_index(), which has the class at hand. */
static struct request *checked(lua_State *L)
{
	bool is_result = lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(2));
	struct request **box = is_result ? lua_touserdata(L, 1) : NULL;
	return box && *box ? *box : check(L);
}

/* r.field, or a method. An unknown name is an error: a typo must not read as nil. */
static int l_index(lua_State *L)
{
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_type(L, -1) == LUA_TNUMBER) {
		enum field field = (enum field)lua_tointeger(L, -1);
		push_field(L, checked(L), field);
		return 1;
	}
	if (lua_isnil(L, -1))
		return luaL_error(L, "a result has no field '%s'", lua_tostring(L, 2));
	return 1;
}

void script_result_class(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "keep", result_keep }, { "json", l_decode }, { "cancel", l_cancel },
		{ "retry", l_retry },    { NULL, NULL },
	};
	luaL_newmetatable(L, RESULT_CLASS);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	for (int i = 0; i < FIELD_COUNT; i++) {
		lua_pushinteger(L, i);
		lua_setfield(L, -2, field_names[i]);
	}
	lua_pushvalue(L, -2);
	lua_pushcclosure(L, l_index, 2);
	lua_setfield(L, -2, "__index");
	lua_pushstring(L, RESULT_CLASS);
	lua_setfield(L, -2, "__name");
	lua_pop(L, 1);
}
