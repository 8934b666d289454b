/* l_content.c - requests whose content the script itself gives: p:issue{...}, r:retry().
 *
 * Content is a table that the phase's `ask` has checked and composed: any of body, index,
 * path, headers (a list), tag, method, prompt, conversation, turn, deadline (s), attempt.
 * Without a body it is the sample's, with these changes. A reference to it goes through
 * the engine as want.content, or as an alarm until its time has come. */
#include "base/clock.h"

#include "lua/script.h"

#include <string.h>

static const char *const built_names[BUILT_COUNT + 1] = {
	[BUILT_BODY] = "body",
	[BUILT_INDEX] = "index",
	[BUILT_PATH] = "path",
	[BUILT_HEADERS] = "headers",
	[BUILT_TAG] = "tag",
	[BUILT_METHOD] = "method",
	[BUILT_PROMPT] = "prompt",
	[BUILT_TOKENS_LEAST] = "tokens_least",
	[BUILT_TOKENS_MOST] = "tokens_most",
};

bool content_has_body(lua_State *L, int t)
{
	lua_getfield(L, t, "body");
	bool has = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return has;
}

void content_lay_over(lua_State *L, int t)
{
	for (int i = 1; i <= BUILT_COUNT; i++) {
		lua_getfield(L, t, built_names[i]);
		if (lua_isnil(L, -1))
			lua_pop(L, 1);
		else
			lua_replace(L, i);
	}
}

static double number_of(lua_State *L, int t, const char *key, double dflt)
{
	lua_getfield(L, t, key);
	double v = lua_isnil(L, -1) ? dflt : lua_tonumber(L, -1);
	lua_pop(L, 1);
	return v;
}

void content_read(lua_State *L, int t, struct job *job)
{
	lua_getfield(L, t, "conversation");
	job->conversation = lua_tolstring(L, -1, &job->conversation_len);
	lua_pop(L, 1);
	job->turn = (int64_t)number_of(L, t, "turn", -1);
	job->deadline_ns = clock_from_seconds(number_of(L, t, "deadline", 0));
	job->attempt = (uint32_t)number_of(L, t, "attempt", 0);
}

/* ---- asking ---- */

int content_issue(lua_State *L, struct script_phase *sp, double delay_s)
{
	struct session *s = sp->script->session;
	int64_t index = (int64_t)number_of(L, lua_gettop(L), "index", 0) - 1;
	int content = luaL_ref(L, LUA_REGISTRYINDEX);
	uint64_t id = 0;
	int err = delay_s > 0 ? phase_alarm(sp->phase, session_now(s) + clock_from_seconds(delay_s),
	                                    content)
	                      : session_want(s, sp->phase, index, content, &id);
	if (err) {
		luaL_unref(L, LUA_REGISTRYINDEX, content);
		return binding_failure(L, err,
		                       err == STATUS_ECLOSED ? "the phase issues no more" : NULL);
	}
	if (delay_s > 0)
		lua_pushboolean(L, 1);
	else
		lua_pushnumber(L, (double)id);
	return 1;
}

static void set_text(lua_State *L, const char *key, const char *s, size_t len)
{
	if (!s)
		return;
	lua_pushlstring(L, s, len);
	lua_setfield(L, -2, key);
}

static void set_string(lua_State *L, const char *key, const char *s)
{
	set_text(L, key, s, s ? strlen(s) : 0);
}

static void set_headers(lua_State *L, const struct job *job)
{
	if (!job->header_count)
		return;
	lua_createtable(L, (int)job->header_count, 0);
	for (size_t i = 0; i < job->header_count; i++) {
		lua_pushstring(L, job->headers[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	lua_setfield(L, -2, "headers");
}

void content_push_again(lua_State *L, const struct job *job)
{
	lua_createtable(L, 0, BUILT_COUNT + 4);
	set_text(L, "body", job->body, job->body_len);
	if (job->index >= 0)
		binding_set_number(L, "index", (double)job->index + 1);
	set_string(L, "path", job->path);
	set_headers(L, job);
	set_text(L, "tag", job->tag, job->tag_len);
	set_string(L, "method", job->method);
	set_text(L, "prompt", job->prompt, job->prompt_len);
	set_text(L, "conversation", job->conversation, job->conversation_len);
	if (job->tokens_least)
		binding_set_number(L, "tokens_least", (double)job->tokens_least);
	if (job->tokens_most)
		binding_set_number(L, "tokens_most", (double)job->tokens_most);
	if (job->turn >= 0)
		binding_set_number(L, "turn", (double)job->turn);
	binding_set_number(L, "deadline", (double)job->deadline_ns / 1e9);
	binding_set_number(L, "attempt", job->attempt ? (double)job->attempt + 1 : 2);
}
