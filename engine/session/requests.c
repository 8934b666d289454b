#include "session/requests.h"

#include "base/pool.h"
#include "base/rng.h"
#include "session/phase.h"
#include "session/request.h"

#include <stdlib.h>

#define MAX_SKIPS      100000 /* request() that never sends anything must not spin for ever */
#define RESPONSE_LIMIT ((size_t)64 << 20)
#define SCRATCH_LIMIT  ((size_t)64 << 20)
#define BUCKETS        4096 /* of requests in flight by their id: 10 000 are found in 3 steps */

struct requests {
	struct requests_config config;
	struct pool *pool;
	struct request *inflight;       /* list of all that are with a client */
	struct request *by_id[BUCKETS]; /* the same ones */
	uint64_t next_id;
	struct buffer scratch; /* text of chunk events */
};

int requests_new(struct requests **out, const struct requests_config *config)
{
	struct requests *rs = calloc(1, sizeof(*rs));
	if (!rs)
		return STATUS_ENOMEM;
	rs->config = *config;
	buffer_init(&rs->scratch, SCRATCH_LIMIT);
	if (pool_new(&rs->pool, sizeof(struct request), config->max)) {
		requests_free(rs);
		return STATUS_ENOMEM;
	}
	*out = rs;
	return STATUS_OK;
}

static void fini_request(void *object)
{
	response_free(&((struct request *)object)->exchange.response);
}

void requests_free(struct requests *rs)
{
	if (!rs)
		return;
	pool_free(rs->pool, fini_request);
	buffer_free(&rs->scratch);
	free(rs);
}

uint64_t requests_count(const struct requests *rs)
{
	return pool_used(rs->pool);
}

bool requests_inflight(const struct requests *rs)
{
	return rs->inflight != NULL;
}

static void fail(struct requests *rs, const struct error *e, enum phase_stop why)
{
	rs->config.failed(rs->config.ctx, e, why);
}

/* ---- cancelling ---- */

void requests_cancel(struct request *r, enum failure why)
{
	if (r->cancel != FAILURE_NONE || r->state == REQUEST_ENDED)
		return;
	r->cancel = why;
	client_cancel(r->phase->client, &r->exchange, why);
}

bool requests_cancel_id(struct requests *rs, struct phase *p, uint64_t id)
{
	struct request *r = rs->by_id[id % BUCKETS];
	while (r && r->id != id)
		r = r->same_bucket;
	if (!r)
		return phase_unwant(p, id);
	if (r->phase != p || r->cancel != FAILURE_NONE)
		return false;
	requests_cancel(r, FAILURE_CANCELLED);
	return true;
}

void requests_abandon(struct requests *rs, const struct phase *p)
{
	for (struct request *r = rs->inflight; r; r = r->next)
		if (!p || r->phase == p)
			requests_cancel(r, FAILURE_ABANDONED);
}

/* ---- a request's life ---- */

static void link_request(struct requests *rs, struct request *r)
{
	r->prev = NULL;
	r->next = rs->inflight;
	if (rs->inflight)
		rs->inflight->prev = r;
	rs->inflight = r;
	r->same_bucket = rs->by_id[r->id % BUCKETS];
	rs->by_id[r->id % BUCKETS] = r;
}

static void unlink_request(struct requests *rs, struct request *r)
{
	struct request **at = &rs->by_id[r->id % BUCKETS];
	while (*at != r)
		at = &(*at)->same_bucket;
	*at = r->same_bucket;
	if (r->prev)
		r->prev->next = r->next;
	else
		rs->inflight = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

/* The end of every request. */
static void finish(struct requests *rs, struct request *r)
{
	struct phase *p = r->phase;
	const struct response *res = &r->exchange.response;
	struct event e;

	request_enter(r, REQUEST_ENDED);
	phase_count_end(p, res->failure, loop_now(rs->config.loop));
	rs->config.ended(rs->config.ctx);
	if (res->failure != FAILURE_NONE) {
		request_error_event(r, &e);
		journal_put(rs->config.journal, &e);
		if (p->driver->error)
			p->driver->error(p->driver_ctx, r);
	}
	request_complete_event(r, &e);
	journal_put(rs->config.journal, &e);
	if (p->driver->complete)
		p->driver->complete(p->driver_ctx, r);
	if (!r->exchange.lost)
		p->driver->release(p->driver_ctx, &r->job);
	request_enter(r, REQUEST_FREE);
	pool_put(rs->pool, r);
}

/* Handed to a worker, it is issued when that takes it: what lies between is lateness. */
static void take_start(struct request *r)
{
	uint64_t started_ns = r->exchange.started_ns;
	if (!started_ns || started_ns == r->issued_ns)
		return;
	if (r->is_arrival)
		phase_count_handover(r->phase, r->scheduled_ns, r->issued_ns, started_ns);
	r->issued_ns = started_ns;
}

static void on_done(void *ctx, struct exchange *x)
{
	struct requests *rs = ctx;
	struct request *r = (struct request *)x;
	take_start(r);
	unlink_request(rs, r);
	finish(rs, r);
}

static void on_first(void *ctx, struct exchange *x)
{
	struct requests *rs = ctx;
	struct request *r = (struct request *)x;
	const struct phase *p = r->phase;
	struct event e;
	take_start(r);
	request_enter(r, REQUEST_STREAMING);
	request_first_event(r, &e);
	journal_put(rs->config.journal, &e);
	if (p->driver->first)
		p->driver->first(p->driver_ctx, r);
}

static void on_chunk(void *ctx, struct exchange *x, const struct delta *d)
{
	struct requests *rs = ctx;
	struct request *r = (struct request *)x;
	const struct phase *p = r->phase;
	if (p->config.chunk_events && x->response.chunks > 1) {
		struct event e;
		buffer_clear(&rs->scratch);
		json_slice_text(&d->content, &rs->scratch);
		request_chunk_event(r, &e, d->now_ns,
		                    (struct slice){ rs->scratch.data, rs->scratch.len });
		journal_put(rs->config.journal, &e);
	}
	if (p->driver->chunk)
		p->driver->chunk(p->driver_ctx, r, d);
}

/* What was measured so far is told; the rest would measure something else. */
static void on_broken(void *ctx, const struct error *why)
{
	struct requests *rs = ctx;
	fail(rs, why, PHASE_STOP_CLIENT);
	requests_abandon(rs, NULL);
}

const struct client_sink requests_sink = {
	.first = on_first,
	.chunk = on_chunk,
	.done = on_done,
	.broken = on_broken,
};

static void fill_exchange(struct request *r)
{
	const struct phase *p = r->phase;
	struct exchange *x = &r->exchange;
	x->method = r->job.method;
	x->path = r->job.path;
	x->body = r->job.body;
	x->body_len = r->job.body_len;
	x->headers = r->job.headers;
	x->header_count = r->job.header_count;
	x->endpoint = (unsigned)p->issued; /* not the id: skipped requests have one, too */
	x->response.keep_text = p->config.keep_text || p->config.record_text;
	x->response.keep_body = p->config.keep_body;
	x->worker = -1;
	x->skip_chunks = !p->config.chunk_events && !p->driver->chunk;
	uint64_t deadline_ns = r->job.deadline_ns ? r->job.deadline_ns : p->config.deadline_ns;
	x->deadline_ns = deadline_ns ? r->issued_ns + deadline_ns : 0;
	x->first_byte_deadline_ns =
		p->config.first_byte_ns ? r->issued_ns + p->config.first_byte_ns : 0;
}

/* Hand the request to its client; one that does not take it ends it here. */
static void send_request(struct requests *rs, struct request *r)
{
	struct phase *p = r->phase;
	struct event e;

	r->issued_ns = loop_refresh(rs->config.loop);
	fill_exchange(r);
	phase_count_issue(p, r->issued_ns);
	int err = client_submit(p->client, &r->exchange);
	request_issued_event(r, &e);
	journal_put(rs->config.journal, &e);
	if (err) { /* the handler must not see the answer to another one */
		response_init(&r->exchange.response, RESPONSE_LIMIT);
		response_start(&r->exchange.response, DECODE_RAW, NULL, NULL);
	}
	if (p->driver->issue)
		p->driver->issue(p->driver_ctx, r);
	if (!err) {
		request_enter(r, REQUEST_SENT);
		link_request(rs, r);
		return;
	}
	response_end(&r->exchange.response, FAILURE_CLIENT, status_text(err),
	             loop_now(rs->config.loop));
	finish(rs, r);
}

static void identify_request(const struct requests *rs, struct request *r, uint64_t id,
                             uint64_t scheduled_ns)
{
	r->id = id;
	r->uuid[0] = rs->config.id[0];
	r->uuid[1] = rng_mix(rs->config.id[1], id);
	r->scheduled_ns = scheduled_ns;
}

static struct request *new_request(struct requests *rs, struct phase *p)
{
	struct request *r = pool_get(rs->pool);
	if (!r)
		return NULL;
	request_enter(r, REQUEST_DUE);
	r->phase = p;
	r->job = (struct job){ .index = -1, .turn = -1 };
	r->cancel = FAILURE_NONE;
	r->is_arrival = false;
	return r;
}

static void drop_request(struct requests *rs, struct request *r)
{
	r->phase->driver->release(r->phase->driver_ctx, &r->job);
	request_enter(r, REQUEST_ENDED);
	request_enter(r, REQUEST_FREE);
	pool_put(rs->pool, r);
}

static void skipped(struct requests *rs, struct phase *p)
{
	p->skipped++;
	rs->config.ended(rs->config.ctx);
	if (++p->skipped_in_row < MAX_SKIPS)
		return;
	struct error e;
	error_set(&e, STATUS_ESCRIPT, "phase '%s': %d requests in a row were skipped", p->name,
	          MAX_SKIPS);
	fail(rs, &e, PHASE_STOP_SCRIPT_ERROR);
}

/* Build one request; NULL: there is none to send. */
static struct request *build(struct requests *rs, struct phase *p, const struct want *want)
{
	struct request *r = new_request(rs, p);
	if (!r) {
		struct error e;
		if (want->content)
			p->driver->forget(p->driver_ctx, want->content);
		error_set(&e, STATUS_ELIMIT, "phase '%s': more than %llu requests in flight",
		          p->name, (unsigned long long)rs->config.max);
		fail(rs, &e, PHASE_STOP_OVERLOAD);
		return NULL;
	}
	int rc = p->driver->build(p->driver_ctx, p, p->built++, want, &r->job);
	if (rc == BUILD_OK) {
		p->skipped_in_row = 0;
		return r;
	}
	drop_request(rs, r);
	if (rc == BUILD_SKIP)
		skipped(rs, p);
	else if (rc == BUILD_END)
		phase_request_stop(p, PHASE_STOP_CONTENT, loop_now(rs->config.loop));
	return NULL;
}

/* Build and send one request. */
static void issue(struct requests *rs, struct phase *p, const struct want *want)
{
	struct request *r = build(rs, p, want);
	if (!r)
		return;
	identify_request(rs, r, want->id, want->scheduled_ns);
	send_request(rs, r);
}

/* ---- issuing ---- */

int requests_want(struct requests *rs, struct phase *p, int64_t index, intptr_t content,
                  uint64_t *id)
{
	struct want want = {
		.id = rs->next_id,
		.scheduled_ns = loop_now(rs->config.loop),
		.index = index,
		.arrival = -1,
		.content = content,
	};
	int err = phase_want(p, &want);
	if (err)
		return err;
	*id = rs->next_id++;
	loop_poke(rs->config.loop);
	return STATUS_OK;
}

int requests_issue_wants(struct requests *rs, struct phase *p, int budget)
{
	while (budget > 0 && p->want_count && phase_may_issue(p, loop_now(rs->config.loop))) {
		struct want w = phase_take_want(p);
		issue(rs, p, &w);
		budget--;
	}
	return budget;
}

void requests_drop_ready(struct requests *rs, struct phase *p)
{
	if (p->ready)
		drop_request(rs, p->ready);
	p->ready = NULL;
}

/* An arrival is due and max_inflight is reached. True: it was dealt with. */
static bool overloaded(struct requests *rs, struct phase *p, uint64_t due_ns)
{
	switch (p->config.overload) {
	case OVERLOAD_DROP:
		p->dropped++;
		p->last_dropped_ns = due_ns;
		if (p->config.paired)
			requests_drop_ready(rs, p);
		return true;
	case OVERLOAD_ABORT: {
		struct error e;
		error_set(&e, STATUS_ELIMIT,
		          "phase '%s': max_inflight of %llu reached (overload = \"abort\")",
		          p->name, (unsigned long long)p->config.max_inflight);
		fail(rs, &e, PHASE_STOP_OVERLOAD);
		return false;
	}
	default:
		return false;
	}
}

/* The number of the arrival, which is not to come again. */
static int64_t take_arrival(struct phase *p)
{
	pacer_pop(p->pacer);
	return p->arrivals++;
}

/* Build the request of an arrival, and learn how long that takes. */
static struct request *build_arrival(struct requests *rs, struct phase *p, int64_t arrival)
{
	struct want want = { .index = -1, .arrival = arrival }; /* its id comes later */
	uint64_t from_ns = loop_refresh(rs->config.loop);
	struct request *r = build(rs, p, &want);
	phase_count_build(p, loop_refresh(rs->config.loop) - from_ns);
	return r;
}

/* What building costs is no part of a request's lateness: it is done just before it is due.
 * False: it is not time for that. */
static bool prepare(struct requests *rs, struct phase *p, uint64_t due_ns)
{
	bool room = pool_used(rs->pool) + 1 < rs->config.max;
	if (!room || !phase_may_prepare(p, due_ns, loop_now(rs->config.loop)))
		return false;
	p->ready = build_arrival(rs, p, p->arrivals);
	if (!p->ready)
		take_arrival(p); /* there is nothing to send for it */
	return true;
}

static void issue_arrival(struct requests *rs, struct phase *p, int64_t arrival, uint64_t due_ns)
{
	struct request *r = p->ready ? p->ready : build_arrival(rs, p, arrival);
	p->ready = NULL;
	if (!r)
		return;
	identify_request(rs, r, rs->next_id++, due_ns);
	r->is_arrival = true;
	send_request(rs, r);
	phase_count_lateness(p, due_ns, loop_now(rs->config.loop));
}

/* The next arrival that is due and may be issued. A status or 0: there is none now. */
static int next_arrival(struct requests *rs, struct phase *p, uint64_t *due_ns)
{
	int rc = pacer_peek(p->pacer, due_ns);
	if (rc == 0)
		phase_request_stop(p, PHASE_STOP_SCHEDULE, loop_now(rs->config.loop));
	if (rc < 0) { /* unless the driver said why: the first error counts */
		struct error e;
		error_set(&e, rc, "phase '%s': schedule: %s", p->name, status_text(rc));
		fail(rs, &e, PHASE_STOP_SCRIPT_ERROR);
	}
	return rc;
}

/* Arrivals that are due, in order, as many as the budget allows. */
int requests_issue_arrivals(struct requests *rs, struct phase *p, int budget)
{
	uint64_t due;
	while (budget > 0 && phase_may_issue(p, loop_now(rs->config.loop)) &&
	       next_arrival(rs, p, &due) > 0) {
		bool full = phase_is_full(p);
		budget--;
		if (due > loop_now(rs->config.loop)) {
			if (full || !prepare(rs, p, due))
				break;
			continue;
		}
		if (full && !overloaded(rs, p, due)) {
			p->full_ns = loop_now(rs->config.loop);
			break;
		}
		int64_t arrival = take_arrival(p);
		if (!full)
			issue_arrival(rs, p, arrival, due);
	}
	return budget;
}
