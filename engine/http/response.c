#include "http/response.h"

#include "base/clock.h"
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEEP_BYTES     (256 * 1024) /* a new start gives larger buffers back */
#define FIRST_GAPS     64
#define EXCERPT        120 /* bytes of foreign text that an error quotes */
#define STATUS_IS_FAIL 400

void response_init(struct response *r, size_t max_bytes)
{
	r->max_bytes = max_bytes;
	r->text.limit = r->reasoning.limit = r->tools.limit = r->body.limit = max_bytes;
	sse_init(&r->sse, max_bytes);
	r->sse.strict = true;
}

void response_free(struct response *r)
{
	buffer_free(&r->text);
	buffer_free(&r->reasoning);
	buffer_free(&r->tools);
	buffer_free(&r->body);
	sse_free(&r->sse);
	openai_pattern_free(&r->pattern);
	free(r->chunk_us);
	r->chunk_us = NULL;
	r->chunk_us_count = r->chunk_us_cap = 0;
}

void response_start(struct response *r, enum decoder decoder,
                    void (*on_delta)(void *ctx, const struct delta *d, bool first), void *ctx)
{
	r->sent_ns = r->first_byte_ns = r->first_ns = r->last_ns = r->finished_ns = 0;
	r->first_event_ns = r->first_content_ns = r->first_reasoning_ns = 0;
	r->failure = FAILURE_NONE;
	r->error[0] = r->finish_reason[0] = '\0';
	r->status = 0;
	r->streamed = r->done = r->failed = r->fresh = false;
	r->bytes = 0;
	r->events = r->chunks = r->chunk_us_count = 0;
	r->tokens_in = r->tokens_out = r->tokens_cached = -1;
	buffer_trim(&r->text, KEEP_BYTES);
	buffer_trim(&r->reasoning, KEEP_BYTES);
	buffer_trim(&r->tools, KEEP_BYTES);
	buffer_trim(&r->body, KEEP_BYTES);
	sse_reset(&r->sse);
	openai_pattern_reset(&r->pattern);
	r->decoder = decoder;
	r->on_delta = on_delta;
	r->on_delta_ctx = ctx;
}

/* ---- failures ---- */

/* Foreign text goes to terminals and into files of lines. */
static void tame(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
}

static void set_error(struct response *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void set_error(struct response *r, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	tame(r->error);
}

/* The first failure stays. Returns STATUS_EPROTO for the caller to pass on. */
static int fail(struct response *r, enum failure why)
{
	if (r->failure == FAILURE_NONE)
		r->failure = why;
	r->failed = true;
	return STATUS_EPROTO;
}

static int fail_status(struct response *r, int err, const char *what)
{
	if (err == STATUS_ELIMIT) {
		set_error(r, "%s is larger than %zu bytes", what, r->max_bytes);
		return fail(r, FAILURE_TOO_LARGE);
	}
	set_error(r, "%s: %s", what, status_text(err));
	return fail(r, FAILURE_CLIENT);
}

static int excerpt(size_t len)
{
	return (int)(len < EXCERPT ? len : EXCERPT);
}

/* error := the slice, unescaped; other when there is none. */
static void set_error_slice(struct response *r, const struct json_slice *s, const char *other)
{
	struct buffer text;
	buffer_init(&text, s->len);
	if (s->len && json_slice_text(s, &text) == STATUS_OK)
		set_error(r, "%.*s", (int)text.len, text.data);
	else
		set_error(r, "%s", other);
	buffer_free(&text);
}

/* ---- deltas ---- */

/* Gaps are differences of whole microseconds since the first chunk, so that
 * rounding does not add up. Out of memory: the gap is lost, not the response. */
static void put_gap(struct response *r)
{
	if (r->chunk_us_count == RESPONSE_CHUNK_GAPS)
		return;
	if (r->chunk_us_count == r->chunk_us_cap) {
		uint32_t cap = r->chunk_us_cap ? r->chunk_us_cap * 2 : FIRST_GAPS;
		uint32_t *grown = realloc(r->chunk_us, cap * sizeof(*grown));
		if (!grown)
			return;
		r->chunk_us = grown;
		r->chunk_us_cap = cap;
	}
	uint64_t gap =
		(r->now_ns - r->first_ns) / NS_PER_US - (r->last_ns - r->first_ns) / NS_PER_US;
	r->chunk_us[r->chunk_us_count++] = gap > UINT32_MAX ? UINT32_MAX : (uint32_t)gap;
}

static int keep_delta(struct response *r, const struct delta *d)
{
	int err = json_slice_text(&d->content, &r->text);
	if (!err)
		err = json_slice_text(&d->reasoning, &r->reasoning);
	if (!err && !d->tool_is_name)
		err = json_slice_text(&d->tool, &r->tools);
	return err ? fail_status(r, err, "the text") : STATUS_OK;
}

/* What a chunk and a whole answer have in common. */
static int take_delta(struct response *r, const struct delta *d)
{
	if (d->tokens_in >= 0)
		r->tokens_in = d->tokens_in;
	if (d->tokens_out >= 0)
		r->tokens_out = d->tokens_out;
	if (d->tokens_cached >= 0)
		r->tokens_cached = d->tokens_cached;
	if (d->finish_reason.len)
		snprintf(r->finish_reason, sizeof(r->finish_reason), "%.*s",
		         (int)(d->finish_reason.len < sizeof(r->finish_reason)
		                       ? d->finish_reason.len
		                       : sizeof(r->finish_reason)),
		         d->finish_reason.data);
	if (!delta_has_content(d))
		return STATUS_OK;
	r->chunks++;
	return r->keep_text ? keep_delta(r, d) : STATUS_OK;
}

static void put_firsts(struct response *r, const struct delta *d)
{
	if (d->content.len && !r->first_content_ns)
		r->first_content_ns = r->now_ns;
	if (d->reasoning.len && !r->first_reasoning_ns)
		r->first_reasoning_ns = r->now_ns;
}

static int take_chunk(struct response *r, struct delta *d)
{
	uint32_t before = r->chunks;
	int err = take_delta(r, d);
	if (r->chunks == before)
		return err;
	put_firsts(r, d);
	bool first = before == 0;
	if (first)
		r->first_ns = r->now_ns;
	else
		put_gap(r);
	r->last_ns = r->now_ns;
	if (!err && r->on_delta) {
		d->now_ns = r->now_ns;
		r->on_delta(r->on_delta_ctx, d, first);
	}
	return err;
}

static bool is_done(const struct sse_event *e)
{
	return e->len == 6 && memcmp(e->data, "[DONE]", 6) == 0;
}

static int on_event(void *ctx, const struct sse_event *e)
{
	struct response *r = ctx;
	if (e->len == 0) /* keeps the connection alive, says nothing */
		return STATUS_OK;
	r->events++;
	if (r->done || is_done(e)) {
		r->done = true;
		return STATUS_OK;
	}
	if (!r->first_event_ns)
		r->first_event_ns = r->now_ns;
	struct delta d;
	const char *why;
	if (openai_decode_chunk(&r->pattern, &d, e->data, e->len, &why)) {
		set_error(r, "event %u: %s: %.*s", r->events, why, excerpt(e->len), e->data);
		return fail(r, FAILURE_BAD_JSON);
	}
	if (d.has_error) {
		set_error_slice(r, &d.error, "an error event without a message");
		return fail(r, FAILURE_STREAM_ERROR);
	}
	return take_chunk(r, &d);
}

/* ---- input ---- */

static bool is_event_stream(const char *type)
{
	static const char name[] = "text/event-stream";
	if (!type)
		return false;
	type += strspn(type, " \t");
	size_t n = sizeof(name) - 1;
	return strncasecmp(type, name, n) == 0 && (!type[n] || strchr(" \t;,", type[n]));
}

void response_head(struct response *r, int status, const char *content_type, uint64_t now_ns)
{
	if (!r->first_byte_ns)
		r->first_byte_ns = now_ns;
	r->status = status;
	r->streamed = is_event_stream(content_type);
	if (status >= STATUS_IS_FAIL && r->failure == FAILURE_NONE)
		r->failure = FAILURE_HTTP;
}

static bool is_error_status(const struct response *r)
{
	return r->status >= STATUS_IS_FAIL;
}

/* Its events are decoded as they come. */
static bool is_decoded_stream(const struct response *r)
{
	return r->streamed && r->decoder != DECODE_RAW && !is_error_status(r);
}

/* A whole answer is decoded at its end. */
static bool is_decoded_whole(const struct response *r)
{
	return !r->streamed && r->decoder != DECODE_RAW && !is_error_status(r);
}

static int keep_bytes(struct response *r, const char *data, size_t len)
{
	if (is_error_status(r)) { /* is cut, not refused: the status is the failure */
		size_t limit = r->keep_body || r->body.limit < RESPONSE_ERROR_BODY
		                       ? r->body.limit
		                       : RESPONSE_ERROR_BODY;
		size_t room = limit - r->body.len;
		len = len < room ? len : room;
	} else if (!r->keep_body && !is_decoded_whole(r)) {
		return STATUS_OK;
	}
	int err = buffer_append(&r->body, data, len);
	return err ? fail_status(r, err, "the body") : STATUS_OK;
}

static int decode_bytes(struct response *r, const char *data, size_t len)
{
	int err = sse_feed(&r->sse, data, len, on_event, r);
	if (!err || r->failed) /* on_event has set the failure */
		return err;
	if (err == STATUS_EPROTO) {
		set_error(r, "no line of a stream: %.*s", excerpt(r->sse.bad_len), r->sse.bad);
		return fail(r, FAILURE_BAD_SSE);
	}
	return fail_status(r, err, "an event");
}

int response_bytes(struct response *r, const char *data, size_t len, uint64_t now_ns)
{
	if (!len)
		return r->failed ? STATUS_EPROTO : STATUS_OK;
	if (r->decoder == DECODE_RAW && !r->bytes)
		r->first_ns = now_ns;
	r->bytes += len;
	if (r->failed)
		return STATUS_EPROTO;
	r->now_ns = now_ns;
	int err = keep_bytes(r, data, len);
	return err || !is_decoded_stream(r) ? err : decode_bytes(r, data, len);
}

/* ---- from elsewhere ---- */

int response_delta(struct response *r, const struct delta *d)
{
	struct delta own = *d;
	r->now_ns = d->now_ns;
	return take_chunk(r, &own);
}

void response_hand_over(struct response *to, struct response *from)
{
	struct response old = *to;
	*to = *from;
	to->on_delta = old.on_delta;
	to->on_delta_ctx = old.on_delta_ctx;
	*from = old;
}

/* ---- the end ---- */

/* Many servers omit the blank line after the last event, so [DONE] counts
 * there; anything else unfinished is a cut. */
static void end_stream(struct response *r)
{
	struct sse_event event;
	int err = sse_finish(&r->sse, &event);
	if (err == STATUS_EPROTO) {
		set_error(r, "no line of a stream: %.*s", excerpt(r->sse.bad_len), r->sse.bad);
		fail(r, FAILURE_BAD_SSE);
		return;
	}
	if (err) {
		fail_status(r, err, "an event");
		return;
	}
	if (event.data && is_done(&event))
		r->done = true;
	if (!r->done && !r->finish_reason[0]) {
		set_error(r, "the stream ended after %u events", r->events);
		fail(r, FAILURE_TRUNCATED);
	}
}

static void end_whole(struct response *r)
{
	struct delta d;
	const char *why;
	int err = openai_decode(&d, r->body.len ? r->body.data : "", r->body.len, &why);
	if (!err && d.has_error) {
		set_error_slice(r, &d.error, "an error without a message");
		fail(r, FAILURE_STREAM_ERROR);
	} else if (err || !d.has_choices) {
		set_error(r, "%s: %.*s", err ? why : "an answer without choices",
		          excerpt(r->body.len), r->body.len ? r->body.data : "");
		fail(r, FAILURE_BAD_JSON);
	} else {
		take_delta(r, &d);
	}
}

static void describe_error_body(struct response *r)
{
	struct delta d;
	const char *why;
	if (!r->body.len)
		return;
	/* A cut body is no JSON any more, but may have told its message before. */
	openai_decode(&d, r->body.data, r->body.len, &why);
	if (d.error.len)
		set_error_slice(r, &d.error, "");
	else
		set_error(r, "%.*s", excerpt(r->body.len), r->body.data);
}

void response_end(struct response *r, enum failure why, const char *text, uint64_t now_ns)
{
	r->finished_ns = now_ns;
	if (is_error_status(r)) {
		describe_error_body(r);
	} else if (why != FAILURE_NONE) {
		if (r->failure == FAILURE_NONE && text)
			set_error(r, "%s", text);
		fail(r, why);
	} else if (!r->failed) {
		if (is_decoded_stream(r))
			end_stream(r);
		else if (is_decoded_whole(r))
			end_whole(r);
	}
	if (!r->keep_body && !is_error_status(r))
		buffer_clear(&r->body);
}
