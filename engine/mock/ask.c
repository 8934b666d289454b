#include "mock/ask.h"

#include "base/json.h"
#include "base/status.h"

#include <string.h>

#define MAX_NAME 1024
#define KEEP     4096 /* bytes of text memory worth keeping for the next request */

/* One request being read. */
struct reader {
	struct ask *a;
	struct json j;
	const char *reason;
	bool has_prompt; /* messages or prompt were there */
	bool no_tools;   /* tool_choice is "none" */
	size_t from;     /* where the text being read begins */
	bool tool_last;  /* the last message is a tool's result */
};

void ask_init(struct ask *a, size_t max_body)
{
	*a = (struct ask){ 0 };
	buffer_init(&a->model, MAX_NAME);
	buffer_init(&a->tool, MAX_NAME);
	buffer_init(&a->text, max_body);
}

void ask_free(struct ask *a)
{
	buffer_free(&a->model);
	buffer_free(&a->tool);
	buffer_free(&a->text);
}

/* ---- words ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool ask_next_word(const struct buffer *text, size_t *pos, const char **word, size_t *len)
{
	size_t i = *pos;
	while (i < text->len && is_space(text->data[i]))
		i++;
	if (i == text->len)
		return false;
	size_t from = i;
	while (i < text->len && !is_space(text->data[i]))
		i++;
	*pos = i;
	*word = text->data + from;
	*len = i - from;
	return true;
}

uint64_t ask_count_words(const struct buffer *text, size_t from)
{
	uint64_t n = 0;
	bool inside = false;
	for (size_t i = from; i < text->len; i++) {
		bool space = is_space(text->data[i]);
		n += !space && !inside;
		inside = !space;
	}
	return n;
}

/* ---- values ---- */

static int fail(struct reader *r, const char *reason)
{
	r->reason = r->j.type == JSON_ERROR ? r->j.error : reason;
	return STATUS_EPROTO;
}

/* Go to the value of the current key. */
static int enter(struct reader *r)
{
	return json_next(&r->j) == JSON_ERROR ? fail(r, NULL) : STATUS_OK;
}

static int skip(struct reader *r)
{
	return json_skip(&r->j) ? STATUS_OK : fail(r, NULL);
}

static int append_text(struct reader *r, struct buffer *to)
{
	int err = json_text(&r->j, to);
	return err == STATUS_ELIMIT ? fail(r, "a name is too long") : err;
}

static int read_name(struct reader *r, struct buffer *to, const char *reason)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type == JSON_NULL)
		return STATUS_OK;
	if (r->j.type != JSON_STRING)
		return fail(r, reason);
	buffer_clear(to);
	return append_text(r, to);
}

static int read_flag(struct reader *r, bool *flag, const char *reason)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type != JSON_TRUE && r->j.type != JSON_FALSE && r->j.type != JSON_NULL)
		return fail(r, reason);
	*flag = r->j.type == JSON_TRUE;
	return STATUS_OK;
}

static int read_max_tokens(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type == JSON_NULL)
		return STATUS_OK;
	int64_t n = json_count(&r->j);
	if (n < 0)
		return fail(r, "max_tokens: a number of tokens was expected");
	r->a->max_tokens = (uint64_t)n;
	return STATUS_OK;
}

/* ---- texts ---- */

/* The current token is a string or a number: add it as words of its own. */
static int add_words(struct reader *r, struct buffer *to)
{
	int err = to->len > r->from ? buffer_append(to, " ", 1) : STATUS_OK;
	if (!err && r->j.type == JSON_STRING)
		err = json_text(&r->j, to);
	else if (!err)
		err = buffer_append(to, r->j.start, r->j.size);
	return err == STATUS_ELIMIT ? fail(r, "the prompt is too large") : err;
}

/* {"type": "text", "text": "..."}: other parts (images) are passed over. */
static int read_part(struct reader *r, struct buffer *to)
{
	while (json_next(&r->j) == JSON_KEY) {
		bool text = json_is(&r->j, "text");
		if (enter(r))
			return STATUS_EPROTO;
		int err = text && r->j.type == JSON_STRING ? add_words(r, to) : skip(r);
		if (err)
			return err;
	}
	return r->j.type == JSON_OBJECT_END ? STATUS_OK : fail(r, NULL);
}

/* The current token begins a text: a string, or a list of strings, of token
 * numbers, of lists of those, or of content parts. depth bounds the recursion. */
static int read_text(struct reader *r, struct buffer *to, int depth)
{
	switch (r->j.type) {
	case JSON_NULL:
		return STATUS_OK;
	case JSON_STRING:
	case JSON_NUMBER:
		return add_words(r, to);
	case JSON_OBJECT_BEGIN:
		return depth ? read_part(r, to) : fail(r, "text was expected");
	case JSON_ARRAY_BEGIN:
		if (depth == 2)
			return fail(r, "text was expected");
		while (json_next(&r->j) != JSON_ARRAY_END) {
			int err = read_text(r, to, depth + 1);
			if (err)
				return err;
		}
		return STATUS_OK;
	default:
		return fail(r, "text was expected");
	}
}

/* Leaves the text of the last user message (of any, while there is none). */
static int read_message(struct reader *r, bool *user_seen)
{
	struct buffer *text = &r->a->text;
	size_t before = r->from = text->len;
	bool user = false;
	r->tool_last = false;
	if (r->j.type != JSON_OBJECT_BEGIN)
		return fail(r, "messages: objects were expected");
	while (json_next(&r->j) == JSON_KEY) {
		bool role = json_is(&r->j, "role"), content = json_is(&r->j, "content");
		if (enter(r))
			return STATUS_EPROTO;
		if (role && r->j.type == JSON_STRING) {
			user = json_is(&r->j, "user");
			r->tool_last = json_is(&r->j, "tool");
		}
		int err = content ? read_text(r, text, 0) : skip(r);
		if (err)
			return err;
	}
	if (r->j.type != JSON_OBJECT_END)
		return fail(r, NULL);
	r->a->prompt_words += ask_count_words(text, before);
	if (user || !*user_seen)
		buffer_consume(text, before);
	else
		text->len = before;
	*user_seen = *user_seen || user;
	return STATUS_OK;
}

static int read_messages(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type != JSON_ARRAY_BEGIN)
		return fail(r, "messages: a list was expected");
	bool user_seen = false;
	buffer_clear(&r->a->text);
	while (json_next(&r->j) != JSON_ARRAY_END) {
		int err = read_message(r, &user_seen);
		if (err)
			return err;
	}
	r->has_prompt = true;
	return STATUS_OK;
}

static int read_prompt(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	buffer_clear(&r->a->text);
	int err = read_text(r, &r->a->text, 0);
	r->a->prompt_words = ask_count_words(&r->a->text, 0);
	r->has_prompt = true;
	return err;
}

/* ---- objects ---- */

static int read_stream_options(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type == JSON_NULL)
		return STATUS_OK;
	if (r->j.type != JSON_OBJECT_BEGIN)
		return fail(r, "stream_options: an object was expected");
	while (json_next(&r->j) == JSON_KEY) {
		int err = json_is(&r->j, "include_usage")
		                  ? read_flag(r, &r->a->include_usage,
		                              "include_usage: true or false was expected")
		                  : skip(r);
		if (err)
			return err;
	}
	return r->j.type == JSON_OBJECT_END ? STATUS_OK : fail(r, NULL);
}

/* [{"type": "function", "function": {"name": ...}}, ...]: the first name counts. */
static int read_tools(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type == JSON_NULL)
		return STATUS_OK;
	if (r->j.type != JSON_ARRAY_BEGIN)
		return fail(r, "tools: a list was expected");
	unsigned outside = r->j.depth - 1, name_depth = outside + 3;
	while (r->j.depth > outside) {
		if (json_next(&r->j) == JSON_ERROR)
			return fail(r, NULL);
		r->a->tools = r->a->tools || r->j.type == JSON_OBJECT_BEGIN;
		if (r->j.type != JSON_KEY || r->j.depth != name_depth || r->a->tool.len ||
		    !json_is(&r->j, "name"))
			continue;
		int err = read_name(r, &r->a->tool, "tools: a name was expected");
		if (err)
			return err;
	}
	return STATUS_OK;
}

static int read_tool_choice(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	r->no_tools = r->j.type == JSON_STRING && json_is(&r->j, "none");
	return skip(r);
}

static int read_reasoning(struct reader *r)
{
	if (enter(r))
		return STATUS_EPROTO;
	if (r->j.type == JSON_STRING && !json_is(&r->j, "none"))
		r->a->reasoning = true;
	return skip(r);
}

static int read_member(struct reader *r)
{
	struct json *j = &r->j;
	if (json_is(j, "model"))
		return read_name(r, &r->a->model, "model: a string was expected");
	if (json_is(j, "stream"))
		return read_flag(r, &r->a->stream, "stream: true or false was expected");
	if (json_is(j, "stream_options"))
		return read_stream_options(r);
	if (json_is(j, "max_tokens") || json_is(j, "max_completion_tokens"))
		return read_max_tokens(r);
	if (json_is(j, r->a->chat ? "messages" : "prompt"))
		return r->a->chat ? read_messages(r) : read_prompt(r);
	if (r->a->chat && json_is(j, "tools"))
		return read_tools(r);
	if (r->a->chat && json_is(j, "tool_choice"))
		return read_tool_choice(r);
	if (r->a->chat && json_is(j, "reasoning_effort"))
		return read_reasoning(r);
	return skip(r);
}

static void reset(struct ask *a, bool chat)
{
	a->chat = chat;
	a->stream = a->include_usage = a->reasoning = a->tools = false;
	a->max_tokens = UINT64_MAX;
	a->prompt_words = 0;
	buffer_clear(&a->model);
	buffer_clear(&a->tool);
	buffer_trim(&a->text, KEEP);
}

int ask_read(struct ask *a, bool chat, const char *json, size_t len, const char **reason)
{
	struct reader r = { .a = a };
	int err = STATUS_OK;
	reset(a, chat);
	json_init(&r.j, json, len);
	if (json_next(&r.j) != JSON_OBJECT_BEGIN)
		err = fail(&r, "a JSON object was expected");
	while (!err && json_next(&r.j) == JSON_KEY)
		err = read_member(&r);
	if (!err && (r.j.type != JSON_OBJECT_END || json_next(&r.j) != JSON_END))
		err = fail(&r, NULL);
	if (!err && !r.has_prompt)
		err = fail(&r, chat ? "messages: missing" : "prompt: missing");
	/* A conversation that ends with a tool's result wants words, else an
	 * agent that obeys would call tools for ever. */
	a->tools = a->tools && !r.no_tools && !r.tool_last;
	if (chat && a->model.len && memmem(a->model.data, a->model.len, "reason", 6))
		a->reasoning = true;
	*reason = r.reason;
	return err;
}
