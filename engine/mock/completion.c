#include "mock/completion.h"

#include "base/json.h"
#include "mock/reply.h"

#include <inttypes.h>
#include <string.h>

#define KEEP             8192 /* bytes of each buffer kept between completions */
#define SLACK            65536
#define DEFAULT_MODEL    "perigee-mock"
#define DEFAULT_FUNCTION "call"

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

void completion_init(struct completion *c, size_t max_body)
{
	*c = (struct completion){ 0 };
	ask_init(&c->ask, max_body);
	/* A byte that is not UTF-8 grows to 3; what was escaped before grows less. */
	size_t limit = max_body < SIZE_MAX / 8 ? 4 * max_body + SLACK : SIZE_MAX / 2;
	buffer_init(&c->about, limit);
	buffer_init(&c->event, limit);
	buffer_init(&c->text, limit);
	buffer_init(&c->escaped, limit);
}

void completion_free(struct completion *c)
{
	ask_free(&c->ask);
	buffer_free(&c->about);
	buffer_free(&c->event);
	buffer_free(&c->text);
	buffer_free(&c->escaped);
}

void completion_trim(struct completion *c)
{
	buffer_trim(&c->about, KEEP);
	buffer_trim(&c->event, KEEP);
	buffer_trim(&c->text, KEEP);
	buffer_trim(&c->escaped, KEEP);
	buffer_trim(&c->ask.text, KEEP);
}

static bool put_about(struct completion *c)
{
	struct reply_about about = {
		.chat = c->ask.chat,
		.stream = c->ask.stream,
		.number = c->terms.id,
		.created = c->terms.created,
		.model = c->ask.model.len ? c->ask.model.data : DEFAULT_MODEL,
		.model_len = c->ask.model.len ? c->ask.model.len : strlen(DEFAULT_MODEL),
	};
	buffer_clear(&c->about);
	return reply_about_json(&c->about, &about);
}

bool completion_start(struct completion *c, const struct completion_terms *terms)
{
	c->terms = *terms;
	c->next = 0;
	c->word = 0;
	c->tokens = terms->echo ? ask_count_words(&c->ask.text, 0) : terms->tokens;
	c->capped = c->ask.max_tokens < c->tokens;
	if (c->capped)
		c->tokens = c->ask.max_tokens;
	if (c->tokens == 0)
		c->ask.tools = false; /* no room for a call */
	c->reasoning = c->ask.reasoning && !c->ask.tools ? c->tokens / 2 : 0;
	return put_about(c);
}

/* ---- tokens ---- */

/* Append the text of token number c->next and go on to the one behind it. */
static bool take_token(struct completion *c, struct buffer *to)
{
	const char *word = NULL;
	size_t len = 0, space = c->next > 0 && c->next != c->reasoning;
	uint64_t i = c->next++;
	if (c->terms.echo) {
		ask_next_word(&c->ask.text, &c->word, &word, &len);
		return !buffer_append(to, " ", space) && !buffer_append(to, word, len);
	}
	if (c->terms.token_bytes < 2)
		space = 0;
	if (buffer_append(to, " ", space))
		return false;
	for (size_t n = c->terms.token_bytes - space; n > 0; n -= len) {
		size_t from = i % 26;
		len = n < 26 - from ? n : 26 - from;
		if (buffer_append(to, letters + from, len))
			return false;
		i = 0;
	}
	return true;
}

/* Put the text, a part of a tool's arguments, as a JSON string inside of one. */
static bool put_nested(struct completion *c, struct buffer *out, const char *before,
                       const char *after)
{
	struct buffer *e = &c->escaped;
	buffer_clear(e);
	if (json_put_string(e, c->text.data, c->text.len))
		return false;
	/* Its quotes belong to the first and the last part. */
	buffer_clear(&c->text);
	return !buffer_append_str(&c->text, before) &&
	       !buffer_append(&c->text, e->data + 1, e->len - 2) &&
	       !buffer_append_str(&c->text, after) &&
	       !json_put_string(out, c->text.data, c->text.len);
}

static const char *function_name(const struct completion *c, size_t *len)
{
	*len = c->ask.tool.len ? c->ask.tool.len : strlen(DEFAULT_FUNCTION);
	return c->ask.tool.len ? c->ask.tool.data : DEFAULT_FUNCTION;
}

/* The beginning of a tool call object, up to and with `"arguments":`. */
static bool put_tool_call(struct completion *c, struct buffer *out)
{
	size_t len;
	const char *name = function_name(c, &len);
	return !buffer_printf(out,
	                      "{\"index\":0,\"id\":\"call_%016" PRIx64 "\",\"type\":\"function\","
	                      "\"function\":{\"name\":",
	                      c->terms.id) &&
	       !json_put_string(out, name, len) && !buffer_append_str(out, ",\"arguments\":");
}

static const char *finish_reason(const struct completion *c)
{
	return c->capped ? "\"length\"" : c->ask.tools ? "\"tool_calls\"" : "\"stop\"";
}

static struct reply_usage usage(const struct completion *c)
{
	uint64_t prompt = c->ask.prompt_words, cached = c->terms.cached;
	return (struct reply_usage){ prompt, c->tokens, c->reasoning,
		                     cached < prompt ? cached : prompt };
}

/* ---- events ---- */

bool completion_bytes(struct completion *c, struct buffer *out, const char *data, size_t len)
{
	return c->terms.chunked ? reply_chunk(out, data, len) : !buffer_append(out, data, len);
}

static bool send_event(struct completion *c, struct buffer *out)
{
	return !buffer_append(&c->event, "\n\n", 2) &&
	       completion_bytes(c, out, c->event.data, c->event.len);
}

static bool begin_event(struct completion *c)
{
	buffer_clear(&c->event);
	return !buffer_append_str(&c->event, "data: ") &&
	       !buffer_append(&c->event, c->about.data, c->about.len);
}

/* The common beginning of an event with a choice in it. */
static bool begin_choice(struct completion *c)
{
	return begin_event(c) && !buffer_append_str(&c->event, ",\"choices\":[{\"index\":0,");
}

static bool end_choice(struct completion *c, struct buffer *out, const char *finish)
{
	return !buffer_append_str(&c->event, ",\"logprobs\":null,\"finish_reason\":") &&
	       !buffer_append_str(&c->event, finish) && !buffer_append_str(&c->event, "}]}") &&
	       send_event(c, out);
}

/* An event whose delta (or text) is this JSON. */
static bool put_choice(struct completion *c, struct buffer *out, const char *json,
                       const char *finish)
{
	return begin_choice(c) && !buffer_append_str(&c->event, json) && end_choice(c, out, finish);
}

static bool put_text_event(struct completion *c, struct buffer *out)
{
	const char *key = !c->ask.chat             ? "\"text\":"
	                  : c->next < c->reasoning ? "\"delta\":{\"reasoning_content\":"
	                                           : "\"delta\":{\"content\":";
	buffer_clear(&c->text);
	return begin_choice(c) && !buffer_append_str(&c->event, key) && take_token(c, &c->text) &&
	       !json_put_string(&c->event, c->text.data, c->text.len) &&
	       (!c->ask.chat || !buffer_append(&c->event, "}", 1)) && end_choice(c, out, "null");
}

static bool put_arguments(struct completion *c, struct buffer *out, const char *before,
                          const char *after)
{
	return begin_choice(c) &&
	       !buffer_append_str(
		       &c->event,
		       "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":") &&
	       put_nested(c, &c->event, before, after) && !buffer_append_str(&c->event, "}}]}") &&
	       end_choice(c, out, "null");
}

/* The tool's name and the opening of its arguments. */
static bool open_tool_call(struct completion *c, struct buffer *out)
{
	buffer_clear(&c->text);
	return begin_choice(c) && !buffer_append_str(&c->event, "\"delta\":{\"tool_calls\":[") &&
	       put_tool_call(c, &c->event) && !buffer_append_str(&c->event, "\"\"}}]}") &&
	       end_choice(c, out, "null") && put_arguments(c, out, "{\"text\":\"", "");
}

bool completion_token(struct completion *c, struct buffer *out)
{
	if (!c->ask.tools)
		return put_text_event(c, out);
	if (c->next == 0 && !open_tool_call(c, out))
		return false;
	buffer_clear(&c->text);
	if (!take_token(c, &c->text))
		return false;
	return put_arguments(c, out, "", c->next == c->tokens ? "\"}" : "");
}

bool completion_event(struct completion *c, struct buffer *out, const char *line)
{
	buffer_clear(&c->event);
	return !buffer_append_str(&c->event, line) && send_event(c, out);
}

static bool put_usage_event(struct completion *c, struct buffer *out)
{
	struct reply_usage u = usage(c);
	return begin_event(c) && !buffer_append_str(&c->event, ",\"choices\":[],") &&
	       reply_usage_json(&c->event, &u) && !buffer_append(&c->event, "}", 1) &&
	       send_event(c, out);
}

bool completion_error(struct completion *c, struct buffer *out)
{
	buffer_clear(&c->event);
	return !buffer_append_str(&c->event, "data: ") &&
	       reply_error_json(&c->event, 500, "injected fault: error_event") &&
	       send_event(c, out) && completion_event(c, out, "data: [DONE]");
}

bool completion_role(struct completion *c, struct buffer *out)
{
	return !c->ask.chat ||
	       put_choice(c, out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}", "null");
}

bool completion_tail(struct completion *c, struct buffer *out)
{
	return put_choice(c, out, c->ask.chat ? "\"delta\":{}" : "\"text\":\"\"",
	                  finish_reason(c)) &&
	       (!c->ask.include_usage || put_usage_event(c, out)) &&
	       completion_event(c, out, "data: [DONE]") && completion_end(c, out);
}

bool completion_end(struct completion *c, struct buffer *out)
{
	return !c->terms.chunked || reply_last_chunk(out);
}

/* ---- whole answers ---- */

/* Make c->text the text of the next n tokens. */
static bool take_tokens(struct completion *c, uint64_t n)
{
	buffer_clear(&c->text);
	while (n-- > 0)
		if (!take_token(c, &c->text))
			return false;
	return true;
}

/* The same, as a JSON string. */
static bool put_tokens(struct completion *c, struct buffer *out, uint64_t n)
{
	return take_tokens(c, n) && !json_put_string(out, c->text.data, c->text.len);
}

static bool put_message(struct completion *c, struct buffer *out, uint64_t n)
{
	uint64_t reasoning = c->reasoning < n ? c->reasoning : n;
	if (buffer_append_str(out, "\"message\":{\"role\":\"assistant\","))
		return false;
	if (c->ask.tools)
		return !buffer_append_str(out, "\"content\":null,\"tool_calls\":[") &&
		       put_tool_call(c, out) && take_tokens(c, n) &&
		       put_nested(c, out, "{\"text\":\"", "\"}") && !buffer_append_str(out, "}}]}");
	if (c->ask.reasoning && (buffer_append_str(out, "\"reasoning_content\":") ||
	                         !put_tokens(c, out, reasoning) || buffer_append(out, ",", 1)))
		return false;
	return !buffer_append_str(out, "\"content\":") && put_tokens(c, out, n - reasoning) &&
	       !buffer_append(out, "}", 1);
}

/* n tokens of it. Cut short, it has no finish reason. */
bool completion_body(struct completion *c, struct buffer *out, uint64_t n, bool cut)
{
	struct reply_usage u = usage(c);
	if (buffer_append(out, c->about.data, c->about.len) ||
	    buffer_append_str(out, ",\"choices\":[{\"index\":0,"))
		return false;
	if (c->ask.chat ? !put_message(c, out, n)
	                : buffer_append_str(out, "\"text\":") || !put_tokens(c, out, n))
		return false;
	u.completion = n;
	u.reasoning = u.reasoning < n ? u.reasoning : n;
	return !buffer_append_str(out, ",\"logprobs\":null,\"finish_reason\":") &&
	       !buffer_append_str(out, cut ? "null" : finish_reason(c)) &&
	       !buffer_append_str(out, "}],") && reply_usage_json(out, &u) &&
	       !buffer_append(out, "}", 1);
}
