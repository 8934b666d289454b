#include "session/request.h"

#include "session/phase.h"

#include <assert.h>
#include <string.h>

void request_enter(struct request *r, enum request_state next)
{
	static const unsigned may_go[REQUEST_STATE_COUNT] = {
		[REQUEST_FREE] = 1u << REQUEST_DUE,
		[REQUEST_DUE] = 1u << REQUEST_SENT | 1u << REQUEST_ENDED,
		[REQUEST_SENT] = 1u << REQUEST_STREAMING | 1u << REQUEST_ENDED,
		[REQUEST_STREAMING] = 1u << REQUEST_ENDED,
		[REQUEST_ENDED] = 1u << REQUEST_FREE,
	};
	assert(may_go[r->state] >> next & 1);
	(void)may_go;
	r->state = next;
}

static struct slice slice_of(const char *s)
{
	return (struct slice){ s && *s ? s : NULL, s ? strlen(s) : 0 };
}

static struct slice slice_of_buffer(const struct buffer *b)
{
	return (struct slice){ b->len ? b->data : NULL, b->len };
}

static void begin(const struct request *r, struct event *e, enum event_type type, uint64_t at_ns)
{
	event_init(e, type, at_ns);
	e->phase = r->phase->index;
	e->uuid[0] = r->uuid[0];
	e->uuid[1] = r->uuid[1];
	e->index = r->job.index;
	e->conversation_id = (struct slice){ r->job.conversation, r->job.conversation_len };
	e->turn = r->job.turn;
	e->worker_id = r->exchange.worker;
	e->tag = (struct slice){ r->job.tag, r->job.tag ? r->job.tag_len : 0 };
}

void request_issued_event(const struct request *r, struct event *e)
{
	begin(r, e, EVENT_SAMPLE_ISSUED, r->issued_ns);
	e->scheduled_ns = r->scheduled_ns;
	if (r->phase->config.record_text && r->job.prompt)
		e->text = (struct slice){ r->job.prompt, r->job.prompt_len };
	if (!r->phase->config.record_body)
		return;
	e->body = (struct slice){ r->job.body, r->job.body_len };
	e->path = slice_of(r->job.path);
	e->method = slice_of(r->job.method);
}

void request_first_event(const struct request *r, struct event *e)
{
	begin(r, e, EVENT_SAMPLE_RECV_FIRST, r->exchange.response.first_ns);
}

void request_chunk_event(const struct request *r, struct event *e, uint64_t now_ns,
                         struct slice text)
{
	begin(r, e, EVENT_SAMPLE_RECV_NON_FIRST, now_ns);
	if (r->phase->config.record_text)
		e->text = text;
}

struct slice request_message(const struct request *r)
{
	const struct response *res = &r->exchange.response;
	if (res->failure == FAILURE_HTTP && res->body.len)
		return slice_of_buffer(&res->body);
	return slice_of(*res->error ? res->error : failure_text(res->failure));
}

void request_error_event(const struct request *r, struct event *e)
{
	begin(r, e, EVENT_ERROR_CLIENT, r->exchange.response.finished_ns);
	e->error_type = slice_of(failure_name(r->exchange.response.failure));
	e->error_message = request_message(r);
}

static int64_t after(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns >= from_ns ? (int64_t)(to_ns - from_ns) : EVENT_NONE;
}

void request_complete_event(const struct request *r, struct event *e)
{
	const struct response *res = &r->exchange.response;
	begin(r, e, EVENT_SAMPLE_COMPLETE, res->finished_ns);
	e->scheduled_ns = r->scheduled_ns;
	e->issued_ns = r->issued_ns;
	e->sent_ns = res->sent_ns;
	e->first_byte_ns = res->first_byte_ns;
	e->first_ns = res->first_ns;
	e->first_event_after_ns = after(r->issued_ns, res->first_event_ns);
	e->first_content_after_ns = after(r->issued_ns, res->first_content_ns);
	e->first_reasoning_after_ns = after(r->issued_ns, res->first_reasoning_ns);
	e->failure = res->failure;
	e->http_status = res->status;
	e->chunks = res->chunks;
	e->bytes_in = (int64_t)res->bytes;
	e->bytes_out = (int64_t)r->job.body_len;
	e->tokens_in = res->tokens_in;
	e->tokens_out = res->tokens_out;
	e->tokens_cached = res->tokens_cached;
	e->tokens_least = r->job.tokens_least ? r->job.tokens_least : EVENT_NONE;
	e->tokens_most = r->job.tokens_most ? r->job.tokens_most : EVENT_NONE;
	e->finish_reason = slice_of(res->finish_reason);
	e->chunk_us = res->chunk_us;
	e->chunk_us_count = res->chunk_us_count;
	if (res->failure != FAILURE_NONE)
		e->error_message = request_message(r);
	if (r->phase->config.record_text) {
		e->text = slice_of_buffer(&res->text);
		e->reasoning = slice_of_buffer(&res->reasoning);
	}
}
