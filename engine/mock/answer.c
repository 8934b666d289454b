#include "mock/answer.h"

#include "base/clock.h"
#include "base/json.h"
#include "mock/draw.h"

#include <inttypes.h>
#include <string.h>

#define BATCH		 65536 /* bytes gathered before they are written */
#define KEEP		 8192  /* bytes of each buffer kept between answers */
#define SLOW_HEADER_GAP	 (5 * NS_PER_MS)
#define DEFAULT_MODEL	 "perigee-mock"
#define DEFAULT_FUNCTION "call"

/* Streams of random numbers of one request. */
enum {
	STREAM_GAPS = 1,
	STREAM_TOKENS = 2,
};

enum {
	PHASE_HEAD,	 /* streamed: at once; whole: when the last token is due */
	PHASE_SLOW_HEAD, /* byte by byte */
	PHASE_OPEN,	 /* streamed: the role; whole: the body */
	PHASE_TOKENS,
	PHASE_TAIL, /* finish reason, usage, [DONE] */
	PHASE_STOPPED,
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

void answer_init(struct answer *a, size_t max_body)
{
	*a = (struct answer){ .phase = PHASE_STOPPED, .last = ANSWER_CLOSE };
	ask_init(&a->ask, max_body);
	/* A byte that is not UTF-8 grows to 3; what was escaped before grows less. */
	size_t limit = max_body < SIZE_MAX / 8 ? 4 * max_body + BATCH : SIZE_MAX / 2;
	buffer_init(&a->about, limit);
	buffer_init(&a->event, limit);
	buffer_init(&a->text, limit);
	buffer_init(&a->escaped, limit);
	buffer_init(&a->body, limit);
}

void answer_free(struct answer *a)
{
	ask_free(&a->ask);
	buffer_free(&a->about);
	buffer_free(&a->event);
	buffer_free(&a->text);
	buffer_free(&a->escaped);
	buffer_free(&a->body);
}

void answer_trim(struct answer *a)
{
	buffer_trim(&a->about, KEEP);
	buffer_trim(&a->event, KEEP);
	buffer_trim(&a->text, KEEP);
	buffer_trim(&a->escaped, KEEP);
	buffer_trim(&a->body, KEEP);
	buffer_trim(&a->ask.text, KEEP);
}

static void stop(struct answer *a, enum answer_step last)
{
	a->phase = PHASE_STOPPED;
	a->last = (uint8_t)last;
}

void answer_fixed(struct answer *a, enum answer_step last, bool keep_alive)
{
	a->keep_alive = keep_alive;
	stop(a, last);
}

/* ---- start ---- */

static void count_tokens(struct answer *a, const struct answer_terms *t)
{
	struct rng r;
	if (a->style->mode == MOCK_ECHO) {
		a->tokens = ask_count_words(&a->ask.text, 0);
	} else {
		rng_init(&r, a->style->seed, rng_mix(t->number, STREAM_TOKENS));
		a->tokens = draw_tokens(&a->style->tokens, &r);
	}
	a->capped = a->ask.max_tokens < a->tokens;
	if (a->capped)
		a->tokens = a->ask.max_tokens;
	if (a->tokens == 0)
		a->ask.tools = false; /* no room for a call */
	a->reasoning = a->ask.reasoning && !a->ask.tools ? a->tokens / 2 : 0;
}

static void set_schedule(struct answer *a, const struct answer_terms *t)
{
	a->due_ns = t->now_ns;
	if (a->style->mode != MOCK_TIMED)
		return;
	rng_init(&a->gaps, a->style->seed, rng_mix(t->number, STREAM_GAPS));
	a->due_ns += draw_ns(&a->style->ttft, &a->gaps);
	for (uint64_t i = 1; !a->ask.stream && i < a->tokens; i++)
		a->due_ns += draw_ns(&a->style->tpot, &a->gaps);
}

static bool strikes_midway(enum mock_fault f)
{
	return f == MOCK_FAULT_RESET || f == MOCK_FAULT_STALL || f == MOCK_FAULT_TRUNCATE ||
	       f == MOCK_FAULT_CLOSE || f == MOCK_FAULT_BAD_SSE || f == MOCK_FAULT_BAD_JSON ||
	       f == MOCK_FAULT_ERROR_EVENT;
}

static bool set_about(struct answer *a, const struct answer_terms *t)
{
	struct reply_about about = {
		.chat = a->ask.chat,
		.stream = a->ask.stream,
		.number = a->id,
		.created = t->created,
		.model = a->ask.model.len ? a->ask.model.data : DEFAULT_MODEL,
		.model_len = a->ask.model.len ? a->ask.model.len : strlen(DEFAULT_MODEL),
	};
	buffer_clear(&a->about);
	return reply_about_json(&a->about, &about);
}

void answer_start(struct answer *a, const struct answer_style *style, const struct answer_terms *t)
{
	a->style = style;
	a->fault = t->fault;
	a->chunked = !t->http10;
	a->keep_alive = t->keep_alive;
	a->phase = PHASE_HEAD;
	a->id = rng_mix(style->seed, t->number);
	a->next = 0;
	a->word = a->slow = 0;
	count_tokens(a, t);
	set_schedule(a, t);
	a->slow_ns = a->ask.stream ? t->now_ns : a->due_ns;
	a->strike = strikes_midway(a->fault) ? (a->tokens + 1) / 2 : UINT64_MAX;
	if (a->fault == MOCK_FAULT_HANG)
		stop(a, ANSWER_STUCK);
	else if (!set_about(a, t))
		stop(a, ANSWER_CLOSE);
}

/* ---- tokens ---- */

/* Append the text of token number a->next and go on to the one behind it. */
static bool take_token(struct answer *a, struct buffer *to)
{
	const char *word = NULL;
	size_t len = 0, space = a->next > 0 && a->next != a->reasoning;
	uint64_t i = a->next++;
	if (a->style->mode == MOCK_ECHO) {
		ask_next_word(&a->ask.text, &a->word, &word, &len);
		return !buffer_append(to, " ", space) && !buffer_append(to, word, len);
	}
	if (a->style->token_bytes < 2)
		space = 0;
	if (buffer_append(to, " ", space))
		return false;
	for (size_t n = a->style->token_bytes - space; n > 0; n -= len) {
		size_t from = i % 26;
		len = n < 26 - from ? n : 26 - from;
		if (buffer_append(to, letters + from, len))
			return false;
		i = 0;
	}
	return true;
}

/* Put the text, a part of a tool's arguments, as a JSON string inside of one. */
static bool put_nested(struct answer *a, struct buffer *out, const char *before, const char *after)
{
	struct buffer *e = &a->escaped;
	buffer_clear(e);
	if (json_put_string(e, a->text.data, a->text.len))
		return false;
	/* Its quotes belong to the first and the last part. */
	buffer_clear(&a->text);
	return !buffer_append_str(&a->text, before) &&
	       !buffer_append(&a->text, e->data + 1, e->len - 2) &&
	       !buffer_append_str(&a->text, after) &&
	       !json_put_string(out, a->text.data, a->text.len);
}

static const char *function_name(const struct answer *a, size_t *len)
{
	*len = a->ask.tool.len ? a->ask.tool.len : strlen(DEFAULT_FUNCTION);
	return a->ask.tool.len ? a->ask.tool.data : DEFAULT_FUNCTION;
}

/* The beginning of a tool call object, up to and with `"arguments":`. */
static bool put_tool_call(struct answer *a, struct buffer *out)
{
	size_t len;
	const char *name = function_name(a, &len);
	return !buffer_printf(out,
			      "{\"index\":0,\"id\":\"call_%016" PRIx64 "\",\"type\":\"function\","
			      "\"function\":{\"name\":",
			      a->id) &&
	       !json_put_string(out, name, len) && !buffer_append_str(out, ",\"arguments\":");
}

static const char *finish_reason(const struct answer *a)
{
	return a->capped ? "\"length\"" : a->ask.tools ? "\"tool_calls\"" : "\"stop\"";
}

static struct reply_usage usage(const struct answer *a)
{
	return (struct reply_usage){ a->ask.prompt_words, a->tokens, a->reasoning };
}

/* ---- events ---- */

static bool send_event(struct answer *a, struct buffer *out)
{
	struct buffer *e = &a->event;
	if (buffer_append(e, "\n\n", 2))
		return false;
	return a->chunked ? reply_chunk(out, e->data, e->len)
			  : !buffer_append(out, e->data, e->len);
}

static bool begin_event(struct answer *a)
{
	buffer_clear(&a->event);
	return !buffer_append_str(&a->event, "data: ") &&
	       !buffer_append(&a->event, a->about.data, a->about.len);
}

/* The common beginning of an event with a choice in it. */
static bool begin_choice(struct answer *a)
{
	return begin_event(a) && !buffer_append_str(&a->event, ",\"choices\":[{\"index\":0,");
}

static bool end_choice(struct answer *a, struct buffer *out, const char *finish)
{
	return !buffer_append_str(&a->event, ",\"logprobs\":null,\"finish_reason\":") &&
	       !buffer_append_str(&a->event, finish) && !buffer_append_str(&a->event, "}]}") &&
	       send_event(a, out);
}

/* An event whose delta (or text) is this JSON. */
static bool put_choice(struct answer *a, struct buffer *out, const char *json, const char *finish)
{
	return begin_choice(a) && !buffer_append_str(&a->event, json) && end_choice(a, out, finish);
}

static bool put_text_event(struct answer *a, struct buffer *out)
{
	const char *key = !a->ask.chat		   ? "\"text\":"
			  : a->next < a->reasoning ? "\"delta\":{\"reasoning_content\":"
						   : "\"delta\":{\"content\":";
	buffer_clear(&a->text);
	return begin_choice(a) && !buffer_append_str(&a->event, key) && take_token(a, &a->text) &&
	       !json_put_string(&a->event, a->text.data, a->text.len) &&
	       (!a->ask.chat || !buffer_append(&a->event, "}", 1)) && end_choice(a, out, "null");
}

static bool put_arguments(struct answer *a, struct buffer *out, const char *before,
			  const char *after)
{
	return begin_choice(a) &&
	       !buffer_append_str(
		       &a->event,
		       "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":") &&
	       put_nested(a, &a->event, before, after) && !buffer_append_str(&a->event, "}}]}") &&
	       end_choice(a, out, "null");
}

/* The tool's name and the opening of its arguments. */
static bool open_tool_call(struct answer *a, struct buffer *out)
{
	buffer_clear(&a->text);
	return begin_choice(a) && !buffer_append_str(&a->event, "\"delta\":{\"tool_calls\":[") &&
	       put_tool_call(a, &a->event) && !buffer_append_str(&a->event, "\"\"}}]}") &&
	       end_choice(a, out, "null") && put_arguments(a, out, "{\"text\":\"", "");
}

static bool put_token(struct answer *a, struct buffer *out)
{
	if (!a->ask.tools)
		return put_text_event(a, out);
	if (a->next == 0 && !open_tool_call(a, out))
		return false;
	buffer_clear(&a->text);
	if (!take_token(a, &a->text))
		return false;
	return put_arguments(a, out, "", a->next == a->tokens ? "\"}" : "");
}

static bool put_literal(struct answer *a, struct buffer *out, const char *line)
{
	buffer_clear(&a->event);
	return !buffer_append_str(&a->event, line) && send_event(a, out);
}

static bool put_usage_event(struct answer *a, struct buffer *out)
{
	struct reply_usage u = usage(a);
	return begin_event(a) && !buffer_append_str(&a->event, ",\"choices\":[],") &&
	       reply_usage_json(&a->event, &u) && !buffer_append(&a->event, "}", 1) &&
	       send_event(a, out);
}

static bool put_error_event(struct answer *a, struct buffer *out)
{
	buffer_clear(&a->event);
	return !buffer_append_str(&a->event, "data: ") &&
	       reply_error_json(&a->event, 500, "injected fault: error_event") &&
	       send_event(a, out) && put_literal(a, out, "data: [DONE]");
}

static bool end_stream(struct answer *a, struct buffer *out)
{
	stop(a, ANSWER_END);
	if (!a->chunked)
		a->keep_alive = false;
	return !a->chunked || reply_last_chunk(out);
}

static bool step_tail(struct answer *a, struct buffer *out)
{
	return put_choice(a, out, a->ask.chat ? "\"delta\":{}" : "\"text\":\"\"",
			  finish_reason(a)) &&
	       (!a->ask.include_usage || put_usage_event(a, out)) &&
	       put_literal(a, out, "data: [DONE]") && end_stream(a, out);
}

/* ---- faults in the middle of a stream ---- */

/* Lines with no field of an event in them, then an event without its end. */
static bool put_bad_sse(struct answer *a, struct buffer *out)
{
	static const char lines[] = "these lines are\nno server-sent events\n\ndata: {\"id\":";
	size_t len = sizeof(lines) - 1;
	return (a->chunked ? reply_chunk(out, lines, len) : !buffer_append(out, lines, len)) &&
	       end_stream(a, out);
}

static bool strike_stream(struct answer *a, struct buffer *out)
{
	a->strike = UINT64_MAX;
	switch (a->fault) {
	case MOCK_FAULT_BAD_JSON: /* and the stream goes on */
		return put_literal(a, out, "data: {\"id\": this is no JSON");
	case MOCK_FAULT_ERROR_EVENT:
		return put_error_event(a, out) && end_stream(a, out);
	case MOCK_FAULT_BAD_SSE:
		return put_bad_sse(a, out);
	case MOCK_FAULT_TRUNCATE:
		return end_stream(a, out);
	case MOCK_FAULT_STALL:
		stop(a, ANSWER_STUCK);
		return true;
	case MOCK_FAULT_RESET:
		stop(a, ANSWER_RESET);
		return true;
	default:
		stop(a, ANSWER_CLOSE);
		return true;
	}
}

/* ---- whole answers ---- */

/* Make a->text the text of the next n tokens. */
static bool take_tokens(struct answer *a, uint64_t n)
{
	buffer_clear(&a->text);
	while (n-- > 0)
		if (!take_token(a, &a->text))
			return false;
	return true;
}

/* The same, as a JSON string. */
static bool put_tokens(struct answer *a, struct buffer *out, uint64_t n)
{
	return take_tokens(a, n) && !json_put_string(out, a->text.data, a->text.len);
}

static bool put_message(struct answer *a, struct buffer *out, uint64_t n)
{
	uint64_t reasoning = a->reasoning < n ? a->reasoning : n;
	if (buffer_append_str(out, "\"message\":{\"role\":\"assistant\","))
		return false;
	if (a->ask.tools)
		return !buffer_append_str(out, "\"content\":null,\"tool_calls\":[") &&
		       put_tool_call(a, out) && take_tokens(a, n) &&
		       put_nested(a, out, "{\"text\":\"", "\"}") && !buffer_append_str(out, "}}]}");
	if (a->ask.reasoning && (buffer_append_str(out, "\"reasoning_content\":") ||
				 !put_tokens(a, out, reasoning) || buffer_append(out, ",", 1)))
		return false;
	return !buffer_append_str(out, "\"content\":") && put_tokens(a, out, n - reasoning) &&
	       !buffer_append(out, "}", 1);
}

/* n tokens of it. Cut short, it has no finish reason. */
static bool put_completion(struct answer *a, struct buffer *out, uint64_t n, bool cut)
{
	struct reply_usage u = usage(a);
	if (buffer_append(out, a->about.data, a->about.len) ||
	    buffer_append_str(out, ",\"choices\":[{\"index\":0,"))
		return false;
	if (a->ask.chat ? !put_message(a, out, n)
			: buffer_append_str(out, "\"text\":") || !put_tokens(a, out, n))
		return false;
	u.completion = n;
	u.reasoning = u.reasoning < n ? u.reasoning : n;
	return !buffer_append_str(out, ",\"logprobs\":null,\"finish_reason\":") &&
	       !buffer_append_str(out, cut ? "null" : finish_reason(a)) &&
	       !buffer_append_str(out, "}],") && reply_usage_json(out, &u) &&
	       !buffer_append(out, "}", 1);
}

static bool make_body(struct answer *a)
{
	struct buffer *b = &a->body;
	buffer_clear(b);
	switch (a->fault) {
	case MOCK_FAULT_ERROR_EVENT:
		return reply_error_json(b, 500, "injected fault: error_event");
	case MOCK_FAULT_BAD_SSE:
		return !buffer_append_str(b, "these lines are\nno server-sent events\n");
	case MOCK_FAULT_TRUNCATE:
		return put_completion(a, b, a->strike, true);
	case MOCK_FAULT_BAD_JSON:
		if (!put_completion(a, b, a->tokens, false))
			return false;
		b->len /= 2;
		return true;
	default:
		return put_completion(a, b, a->tokens, false);
	}
}

/* The body, or the half of it when a fault comes in its middle. */
static bool send_body(struct answer *a, struct buffer *out)
{
	size_t half = a->body.len / 2;
	switch (a->fault) {
	case MOCK_FAULT_RESET:
		stop(a, ANSWER_RESET);
		return !buffer_append(out, a->body.data, half);
	case MOCK_FAULT_STALL:
		stop(a, ANSWER_STUCK);
		return !buffer_append(out, a->body.data, half);
	case MOCK_FAULT_CLOSE:
		stop(a, ANSWER_CLOSE);
		return !buffer_append(out, a->body.data, half);
	default:
		stop(a, ANSWER_END);
		return !buffer_append(out, a->body.data, a->body.len);
	}
}

/* ---- steps ---- */

static bool step_head(struct answer *a, struct buffer *out)
{
	bool slow = a->fault == MOCK_FAULT_SLOW_HEADERS, stream = a->ask.stream;
	if (a->fault == MOCK_FAULT_BAD_HTTP) {
		stop(a, ANSWER_CLOSE);
		return !buffer_append_str(out, "these bytes are no HTTP response\r\n\r\n");
	}
	if (!stream && !make_body(a))
		return false;
	a->phase = slow ? PHASE_SLOW_HEAD : PHASE_OPEN;
	buffer_clear(&a->event);
	int64_t length = !stream      ? (int64_t)a->body.len
			 : a->chunked ? REPLY_CHUNKED
				      : REPLY_UNTIL_END;
	return reply_head(slow ? &a->event : out, 200, stream ? REPLY_EVENTS : REPLY_JSON, length,
			  a->keep_alive && length != REPLY_UNTIL_END);
}

static bool step_slow_head(struct answer *a, struct buffer *out)
{
	if (buffer_append(out, a->event.data + a->slow, 1))
		return false;
	a->slow_ns += SLOW_HEADER_GAP;
	if (++a->slow == a->event.len)
		a->phase = PHASE_OPEN;
	return true;
}

static bool step_open(struct answer *a, struct buffer *out)
{
	if (!a->ask.stream)
		return send_body(a, out);
	a->phase = PHASE_TOKENS;
	return !a->ask.chat ||
	       put_choice(a, out, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"}", "null");
}

static bool step_tokens(struct answer *a, struct buffer *out)
{
	if (a->next == a->strike)
		return strike_stream(a, out);
	if (a->next < a->tokens && !put_token(a, out))
		return false;
	if (a->next >= a->tokens && a->next != a->strike)
		a->phase = PHASE_TAIL;
	else if (a->style->mode == MOCK_TIMED)
		a->due_ns += draw_ns(&a->style->tpot, &a->gaps);
	return true;
}

/* When the next step may be taken; 0: at once. */
static uint64_t due(const struct answer *a)
{
	if (a->phase == PHASE_SLOW_HEAD)
		return a->slow_ns;
	if (a->phase == PHASE_TOKENS || (a->phase == PHASE_HEAD && !a->ask.stream))
		return a->due_ns;
	return 0;
}

enum answer_step answer_step(struct answer *a, struct buffer *out, uint64_t now_ns)
{
	static bool (*const steps[])(struct answer *, struct buffer *) = {
		[PHASE_HEAD] = step_head, [PHASE_SLOW_HEAD] = step_slow_head,
		[PHASE_OPEN] = step_open, [PHASE_TOKENS] = step_tokens,
		[PHASE_TAIL] = step_tail,
	};
	while (out->len < BATCH) {
		if (a->phase == PHASE_STOPPED)
			return out->len ? ANSWER_MORE : (enum answer_step)a->last;
		a->wake_ns = due(a);
		if (now_ns < a->wake_ns)
			return out->len ? ANSWER_MORE : ANSWER_WAIT;
		if (!steps[a->phase](a, out)) {
			buffer_clear(out);
			stop(a, ANSWER_CLOSE);
		}
	}
	return ANSWER_MORE;
}
