#include "mock/answer.h"

#include "base/clock.h"
#include "mock/draw.h"

#define BATCH           65536 /* bytes gathered before they are written */
#define KEEP            8192  /* bytes of each buffer kept between answers */
#define SLOW_HEADER_GAP (5 * NS_PER_MS)

/* Streams of random numbers of one request. */
enum {
	STREAM_GAPS = 1,
	STREAM_TOKENS = 2,
};

enum {
	PHASE_HEAD,      /* streamed: at once; whole: when the last token is due */
	PHASE_SLOW_HEAD, /* byte by byte */
	PHASE_OPEN,      /* streamed: the role; whole: the body */
	PHASE_TOKENS,
	PHASE_TAIL, /* finish reason, usage, [DONE] */
	PHASE_STOPPED,
};

void answer_init(struct answer *a, size_t max_body)
{
	*a = (struct answer){ .phase = PHASE_STOPPED, .last = ANSWER_CLOSE };
	completion_init(&a->completion, max_body);
	buffer_init(&a->head, 1024);
	buffer_init(&a->body, max_body < SIZE_MAX / 8 ? 4 * max_body + BATCH : SIZE_MAX / 2);
}

void answer_free(struct answer *a)
{
	completion_free(&a->completion);
	buffer_free(&a->head);
	buffer_free(&a->body);
}

void answer_trim(struct answer *a)
{
	completion_trim(&a->completion);
	buffer_trim(&a->body, KEEP);
}

static void stop(struct answer *a, enum answer_step last)
{
	a->phase = PHASE_STOPPED;
	a->last = (uint8_t)last;
}

void answer_fixed(struct answer *a, enum answer_step last, bool keep_alive)
{
	a->completes = false;
	a->keep_alive = keep_alive;
	stop(a, last);
}

/* ---- start ---- */

static bool start_completion(struct answer *a, const struct answer_terms *t)
{
	const struct answer_style *style = a->style;
	struct completion_terms terms = {
		.echo = style->mode == MOCK_ECHO,
		.chunked = !t->http10,
		.id = rng_mix(style->seed, t->number),
		.created = t->created,
		.token_bytes = style->token_bytes,
		.cached = style->cached_tokens,
	};
	struct rng r;
	rng_init(&r, style->seed, rng_mix(t->number, STREAM_TOKENS));
	if (!terms.echo)
		terms.tokens = draw_tokens(&style->tokens, &r);
	return completion_start(&a->completion, &terms);
}

static void set_schedule(struct answer *a, const struct answer_terms *t)
{
	a->due_ns = a->slow_ns = t->now_ns;
	if (a->style->mode != MOCK_TIMED)
		return;
	rng_init(&a->gaps, a->style->seed, rng_mix(t->number, STREAM_GAPS));
	a->due_ns += draw_ns(&a->style->ttft, &a->gaps);
	if (a->completion.ask.stream)
		return;
	for (uint64_t i = 1; i < a->completion.tokens; i++)
		a->due_ns += draw_ns(&a->style->tpot, &a->gaps);
	a->slow_ns = a->due_ns;
}

static bool strikes_midway(enum mock_fault f)
{
	return f == MOCK_FAULT_RESET || f == MOCK_FAULT_STALL || f == MOCK_FAULT_TRUNCATE ||
	       f == MOCK_FAULT_CLOSE || f == MOCK_FAULT_BAD_SSE || f == MOCK_FAULT_BAD_JSON ||
	       f == MOCK_FAULT_ERROR_EVENT;
}

void answer_start(struct answer *a, const struct answer_style *style, const struct answer_terms *t)
{
	a->style = style;
	a->fault = t->fault;
	a->completes = true;
	a->number = t->number;
	a->phase = PHASE_HEAD;
	a->slow = 0;
	bool ok = start_completion(a, t);
	/* A stream of HTTP/1.0 ends with the connection. */
	a->chunked = !t->http10;
	a->keep_alive = t->keep_alive && (a->chunked || !a->completion.ask.stream);
	set_schedule(a, t);
	a->strike = strikes_midway(a->fault) ? (a->completion.tokens + 1) / 2 : UINT64_MAX;
	if (a->fault == MOCK_FAULT_HANG)
		stop(a, ANSWER_STUCK);
	else if (!ok)
		stop(a, ANSWER_CLOSE);
}

/* ---- faults in the middle of a stream ---- */

/* Lines with no field of an event in them, then an event without its end. */
static const char bad_sse[] = "these lines are\nno server-sent events\n\ndata: {\"id\":";

static bool end_stream(struct answer *a, struct buffer *out)
{
	stop(a, ANSWER_END);
	return completion_end(&a->completion, out);
}

static bool strike_stream(struct answer *a, struct buffer *out)
{
	struct completion *c = &a->completion;
	a->strike = UINT64_MAX;
	switch (a->fault) {
	case MOCK_FAULT_BAD_JSON: /* and the stream goes on */
		return completion_event(c, out, "data: {\"id\": this is no JSON");
	case MOCK_FAULT_ERROR_EVENT:
		return completion_error(c, out) && end_stream(a, out);
	case MOCK_FAULT_BAD_SSE:
		return completion_bytes(c, out, bad_sse, sizeof(bad_sse) - 1) && end_stream(a, out);
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

static bool make_body(struct answer *a)
{
	struct buffer *b = &a->body;
	struct completion *c = &a->completion;
	buffer_clear(b);
	switch (a->fault) {
	case MOCK_FAULT_ERROR_EVENT:
		return reply_error_json(b, 500, "injected fault: error_event");
	case MOCK_FAULT_BAD_SSE:
		return !buffer_append_str(b, "these lines are\nno server-sent events\n");
	case MOCK_FAULT_TRUNCATE:
		return completion_body(c, b, a->strike, true);
	case MOCK_FAULT_BAD_JSON:
		if (!completion_body(c, b, c->tokens, false))
			return false;
		b->len /= 2;
		return true;
	default:
		return completion_body(c, b, c->tokens, false);
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
	bool slow = a->fault == MOCK_FAULT_SLOW_HEADERS, stream = a->completion.ask.stream;
	if (a->fault == MOCK_FAULT_BAD_HTTP) {
		stop(a, ANSWER_CLOSE);
		return !buffer_append_str(out, "these bytes are no HTTP response\r\n\r\n");
	}
	if (!stream && !make_body(a))
		return false;
	a->phase = slow ? PHASE_SLOW_HEAD : PHASE_OPEN;
	buffer_clear(&a->head);
	int64_t length = !stream      ? (int64_t)a->body.len
	                 : a->chunked ? REPLY_CHUNKED
	                              : REPLY_UNTIL_END;
	return reply_head(slow ? &a->head : out, 200, stream ? REPLY_EVENTS : REPLY_JSON, length,
	                  a->keep_alive);
}

static bool step_slow_head(struct answer *a, struct buffer *out)
{
	if (buffer_append(out, a->head.data + a->slow, 1))
		return false;
	a->slow_ns += SLOW_HEADER_GAP;
	if (++a->slow == a->head.len)
		a->phase = PHASE_OPEN;
	return true;
}

static bool step_open(struct answer *a, struct buffer *out)
{
	if (!a->completion.ask.stream)
		return send_body(a, out);
	a->phase = PHASE_TOKENS;
	return completion_role(&a->completion, out);
}

static bool step_tokens(struct answer *a, struct buffer *out)
{
	struct completion *c = &a->completion;
	if (c->next == a->strike)
		return strike_stream(a, out);
	if (c->next < c->tokens && !completion_token(c, out))
		return false;
	if (c->next >= c->tokens && c->next != a->strike)
		a->phase = PHASE_TAIL;
	else if (a->style->mode == MOCK_TIMED)
		a->due_ns += draw_ns(&a->style->tpot, &a->gaps);
	return true;
}

static bool step_tail(struct answer *a, struct buffer *out)
{
	stop(a, ANSWER_END);
	return completion_tail(&a->completion, out);
}

/* When the next step may be taken; 0: at once. */
static uint64_t due(const struct answer *a)
{
	if (a->phase == PHASE_SLOW_HEAD)
		return a->slow_ns;
	if (a->phase == PHASE_TOKENS || (a->phase == PHASE_HEAD && !a->completion.ask.stream))
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
