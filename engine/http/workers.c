/* workers.c - a transport that hands exchanges to clients on other threads.
 *
 * A station is one thread; a seat is one client's place at a station: its inner client.
 * A flight is an exchange on its way: the outer exchange is the caller's, the inner one
 * the worker's alone from START until DONE has come back. Life of a flight: taken from the
 * pool -> START posted -> DONE taken, the outer exchange settled -> pool, once a CANCEL
 * that was posted has come back as well. */
#include "http/workers.h"

#include "base/clock.h"
#include "base/pool.h"
#include "base/worker.h"
#include "http/transport.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CHUNK_BYTES ((size_t)32 << 20)
#define MAX_FLIGHTS         ((size_t)1 << 30) /* the caller has a limit of its own */
#define NOTES_PER_TURN      1024              /* of each worker; then the loop has its turn */
#define DEFAULT_WATCH_NS    NS_PER_S
#define STOP_NS             (5 * NS_PER_S) /* a turn that takes longer is stuck */

struct station {
	struct worker *worker;
	struct workers *ws;
	unsigned number;
	bool stuck; /* it may still run: nothing that it knows is freed */

	/* The caller's. */
	unsigned inflight;
	uint64_t cpu_mark; /* CPU time it had used at workers_mark() */

	_Atomic size_t delta_bytes; /* sent and not yet taken */
	_Atomic uint64_t waits;     /* for the caller to take some */
};

struct workers {
	struct loop *loop;
	struct workers_config config;
	struct station *stations; /* config.count of them */
	struct worker_client *clients;
	struct loop_hook hook, last_hook;
	struct loop_timer watch;
	bool started, stopped;
	bool broken; /* a worker died or hangs */
	struct workers *next_lost;
};

/* Broken ones, with all that a thread of theirs was in the middle of, or still is: kept
 * to the end of the process. */
static struct workers *_Atomic lost;

struct seat {
	struct station *station;
	struct worker_client *client;
	struct client *inner;
	_Atomic uint64_t connections, reconnects; /* of inner, as of the latest end */
};

struct worker_client {
	struct client base; /* first: the book casts back */
	struct workers *ws;
	struct seat *seats; /* one per station */
	struct pool *flights;
	struct worker_client *next;
};

enum note_kind {
	NOTE_START,
	NOTE_CANCEL, /* there, and back when it is no longer in use */
	NOTE_DELTA,
	NOTE_DONE,
};

struct note {
	struct parcel parcel; /* first: cast back */
	enum note_kind kind;
	struct flight *flight;
};

struct flight {
	struct exchange inner; /* first: the inner client's callbacks cast back */
	struct exchange *outer;
	struct seat *seat;
	struct note start, cancel, done;
	enum failure why; /* of the cancel */
	bool skip_chunks; /* only the first delta is told, and without its text */
	bool cancelling;  /* the caller's: the cancel is on its way */
	bool settled;     /* the caller's: the outer exchange is over */
	uint64_t started_ns;
};

/* Allocated by the worker, freed by the caller. */
struct delta_note {
	struct note note; /* first */
	struct delta delta;
	uint64_t started_ns, sent_ns, first_byte_ns, bytes;
	uint32_t events;
	int status;
	size_t size; /* of all this */
	char text[]; /* the delta's slices point here */
};

/* ---- the worker's side ---- */

static void reply(struct note *n)
{
	worker_reply(n->flight->seat->station->worker, &n->parcel);
}

static void refuse(struct flight *f, int err)
{
	struct response *r = &f->inner.response;
	response_init(r, f->seat->inner->max_response_bytes);
	response_start(r, DECODE_RAW, NULL, NULL);
	response_end(r, FAILURE_CLIENT, status_text(err), f->started_ns);
	reply(&f->done);
}

static void start(struct flight *f)
{
	f->started_ns = loop_refresh(f->seat->inner->loop);
	int err = client_submit(f->seat->inner, &f->inner);
	if (err)
		refuse(f, err);
}

static void on_parcel(void *ctx, struct parcel *p)
{
	struct note *n = (struct note *)p;
	struct flight *f = n->flight;
	(void)ctx;
	if (n->kind == NOTE_START) {
		start(f);
		return;
	}
	client_cancel(f->seat->inner, &f->inner, f->why);
	reply(n);
}

static void copy_slice(struct json_slice *s, char **room)
{
	if (!s->data)
		return;
	memcpy(*room, s->data, s->len);
	s->data = *room;
	*room += s->len;
}

static struct delta_note *delta_note_new(struct flight *f, const struct delta *d, bool with_text)
{
	const struct response *r = &f->inner.response;
	size_t text = with_text ? d->content.len + d->reasoning.len + d->tool.len : 0;
	size_t size = sizeof(struct delta_note) + text + d->finish_reason.len;
	struct delta_note *n = malloc(size);
	if (!n)
		return NULL;
	n->note = (struct note){ .kind = NOTE_DELTA, .flight = f };
	n->delta = *d;
	n->delta.error = (struct json_slice){ 0 };
	n->started_ns = f->started_ns;
	n->sent_ns = r->sent_ns;
	n->first_byte_ns = r->first_byte_ns;
	n->bytes = r->bytes;
	n->events = r->events;
	n->status = r->status;
	n->size = size;
	char *room = n->text;
	copy_slice(&n->delta.finish_reason, &room);
	if (with_text) {
		copy_slice(&n->delta.content, &room);
		copy_slice(&n->delta.reasoning, &room);
		copy_slice(&n->delta.tool, &room);
	} else { /* their lengths say that there is content */
		n->delta.content.data = n->delta.reasoning.data = n->delta.tool.data = NULL;
	}
	return n;
}

/* Inside the inner client's reading: what waits here is the socket. */
static void bound_deltas(struct station *s)
{
	size_t limit = s->ws->config.chunk_bytes;
	while (atomic_load(&s->delta_bytes) > limit) {
		atomic_fetch_add_explicit(&s->waits, 1, memory_order_relaxed);
		if (!worker_await_taken(s->worker))
			return;
	}
}

static void inner_chunk(void *ctx, struct exchange *x, const struct delta *d)
{
	struct seat *seat = ctx;
	struct flight *f = (struct flight *)x;
	bool first = x->response.chunks == 1;
	if (!first && f->skip_chunks)
		return;
	struct delta_note *n = delta_note_new(f, d, !f->skip_chunks || x->response.keep_text);
	if (!n) { /* a stream with a hole is none */
		client_cancel(seat->inner, x, FAILURE_CLIENT);
		return;
	}
	atomic_fetch_add(&seat->station->delta_bytes, n->size);
	reply(&n->note);
	bound_deltas(seat->station);
}

static void inner_done(void *ctx, struct exchange *x)
{
	struct seat *seat = ctx;
	struct flight *f = (struct flight *)x;
	atomic_store_explicit(&seat->connections, client_connections(seat->inner),
	                      memory_order_relaxed);
	atomic_store_explicit(&seat->reconnects, client_reconnects(seat->inner),
	                      memory_order_relaxed);
	reply(&f->done);
}

static const struct client_sink inner_sink = { .chunk = inner_chunk, .done = inner_done };

/* ---- what comes back ---- */

static void flight_free(struct flight *f)
{
	pool_put(f->seat->client->flights, f);
}

static void take_delta(struct delta_note *n)
{
	struct flight *f = n->note.flight;
	struct exchange *x = f->outer;
	atomic_fetch_sub(&f->seat->station->delta_bytes, n->size);
	if (!f->settled && !x->verdict) {
		struct response *r = &x->response;
		x->started_ns = n->started_ns;
		r->sent_ns = n->sent_ns;
		r->first_byte_ns = n->first_byte_ns;
		r->bytes = n->bytes;
		r->events = n->events;
		r->status = n->status;
		r->streamed = true;
		response_delta(r, &n->delta); /* what it refuses, the worker has refused, too */
	}
	free(n);
}

static void settle(struct flight *f)
{
	struct client *c = &f->seat->client->base;
	struct exchange *x = f->outer;
	response_hand_over(&x->response, &f->inner.response);
	if (x->verdict && x->response.failure == FAILURE_NONE)
		x->response.failure = x->verdict;
	x->started_ns = f->started_ns;
	f->seat->station->inflight--;
	f->settled = true;
	if (!f->cancelling)
		flight_free(f);
	client_settled(c, x);
}

static void deliver(struct note *n)
{
	struct flight *f = n->flight;
	switch (n->kind) {
	case NOTE_DELTA:
		take_delta((struct delta_note *)n);
		break;
	case NOTE_DONE:
		settle(f);
		break;
	default:
		f->cancelling = false;
		if (f->settled)
			flight_free(f);
	}
}

static void collect(struct station *s, size_t limit)
{
	struct parcel *p;
	for (size_t n = 0; n < limit && !s->stuck && (p = worker_take(s->worker)); n++) {
		deliver((struct note *)p);
		loop_yield(s->ws->loop);
	}
}

/* ---- a worker that is lost ---- */

/* What it had will not come back. Only x leaves the list: a done starts nothing new
 * here, and what it cancels only gets a verdict. */
static void end_all(struct worker_client *c, const struct station *s, const struct error *why)
{
	for (struct exchange *x = c->base.flying.first, *next; x; x = next) {
		const struct flight *f = x->transport;
		next = x->next;
		if (f->seat->station != s)
			continue;
		x->lost = s->stuck;
		client_ended(&c->base, x, FAILURE_CLIENT, why->text, loop_now(c->base.loop));
	}
}

static void break_down(struct station *s, const char *how)
{
	struct workers *ws = s->ws;
	struct error why;
	collect(s, SIZE_MAX);
	error_set(&why, STATUS_EIO, "HTTP worker %u %s", s->number, how);
	ws->broken = true;
	for (struct worker_client *c = ws->clients; c; c = c->next)
		end_all(c, s, &why);
	for (struct worker_client *c = ws->clients; c; c = c->next)
		if (c->base.sink->broken)
			c->base.sink->broken(c->base.ctx, &why);
}

static void on_watch(struct loop_timer *t, uint64_t now_ns)
{
	struct workers *ws = t->data;
	for (unsigned i = 0; i < ws->config.count && !ws->broken; i++) {
		struct station *s = &ws->stations[i];
		if (!worker_is_stuck(s->worker))
			continue;
		s->stuck = true;
		break_down(s, "hangs");
	}
	loop_timer_start(ws->loop, t,
	                 now_ns + ws->config.watch_ns); /* its slot is kept: cannot fail */
}

/* ---- the turn ---- */

static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct workers *ws = h->data;
	(void)now_ns;
	for (unsigned i = 0; i < ws->config.count; i++) {
		struct station *s = &ws->stations[i];
		if (!ws->broken && worker_has_ended(s->worker))
			break_down(s, "died: its thread ended");
		collect(s, NOTES_PER_TURN);
	}
}

static void on_last(struct loop_hook *h, uint64_t now_ns)
{
	struct workers *ws = h->data;
	(void)now_ns;
	for (unsigned i = 0; i < ws->config.count; i++) {
		struct station *s = &ws->stations[i];
		if (s->stuck)
			continue;
		worker_flush(s->worker);
		if (!worker_rest(s->worker))
			loop_poke(ws->loop);
	}
}

/* ---- the transport ---- */

static struct seat *least_busy(const struct worker_client *c)
{
	struct seat *best = &c->seats[0];
	for (unsigned i = 1; i < c->ws->config.count; i++)
		if (c->seats[i].station->inflight < best->station->inflight)
			best = &c->seats[i];
	return best;
}

static void fill(struct flight *f, struct exchange *x)
{
	struct exchange *inner = &f->inner;
	inner->method = x->method;
	inner->path = x->path;
	inner->body = x->body;
	inner->body_len = x->body_len;
	inner->headers = x->headers;
	inner->header_count = x->header_count;
	inner->deadline_ns = x->deadline_ns;
	inner->first_byte_deadline_ns = x->first_byte_deadline_ns;
	inner->endpoint = x->endpoint;
	inner->response.keep_text = x->response.keep_text;
	inner->response.keep_body = x->response.keep_body;
	f->outer = x;
	f->start = (struct note){ .kind = NOTE_START, .flight = f };
	f->cancel = (struct note){ .kind = NOTE_CANCEL, .flight = f };
	f->done = (struct note){ .kind = NOTE_DONE, .flight = f };
	f->cancelling = f->settled = false;
	f->started_ns = 0;
}

static int outer_start(struct client *base, struct exchange *x)
{
	struct worker_client *c = (struct worker_client *)base;
	struct workers *ws = c->ws;
	if (!ws->started || ws->stopped || ws->broken)
		return STATUS_ECLOSED;
	struct flight *f = pool_get(c->flights);
	if (!f)
		return STATUS_ENOMEM;
	f->seat = least_busy(c);
	f->skip_chunks = x->skip_chunks || !base->sink->chunk;
	fill(f, x);
	f->seat->station->inflight++;
	x->transport = f;
	x->worker = (int)f->seat->station->number;
	worker_post(f->seat->station->worker, &f->start.parcel);
	return STATUS_OK;
}

static void outer_cancel(struct client *base, struct exchange *x, enum failure why)
{
	struct flight *f = x->transport;
	f->why = why;
	f->cancelling = true;
	worker_post(f->seat->station->worker, &f->cancel.parcel);
	loop_poke(base->loop); /* it leaves with the end of this turn */
}

static void outer_send(struct client *base)
{
	struct workers *ws = ((struct worker_client *)base)->ws;
	for (unsigned i = 0; i < ws->config.count; i++)
		if (!ws->stations[i].stuck)
			worker_flush(ws->stations[i].worker);
}

static uint64_t outer_connections(const struct client *base)
{
	const struct worker_client *c = (const struct worker_client *)base;
	uint64_t sum = 0;
	for (unsigned i = 0; i < c->ws->config.count; i++)
		sum += atomic_load_explicit(&c->seats[i].connections, memory_order_relaxed);
	return sum;
}

static uint64_t outer_reconnects(const struct client *base)
{
	const struct worker_client *c = (const struct worker_client *)base;
	uint64_t sum = 0;
	for (unsigned i = 0; i < c->ws->config.count; i++)
		sum += atomic_load_explicit(&c->seats[i].reconnects, memory_order_relaxed);
	return sum;
}

/* ---- the end ---- */

static void stop(struct workers *ws)
{
	if (ws->stopped)
		return;
	ws->stopped = true;
	loop_timer_stop(ws->loop, &ws->watch);
	loop_hook_remove(ws->loop, &ws->hook);
	loop_hook_remove(ws->loop, &ws->last_hook);
	for (unsigned i = 0; i < ws->config.count; i++) {
		struct station *s = &ws->stations[i];
		if (s->worker && !s->stuck)
			s->stuck = !worker_stop(s->worker, STOP_NS);
		ws->broken |= s->stuck;
	}
}

/* Threads that have ended leave their clients to this one; each end that comes of it
 * is taken as usual. What was never begun, or is with a stuck worker, ends here. */
static void outer_close(struct client *base)
{
	struct worker_client *c = (struct worker_client *)base;
	struct workers *ws = c->ws;
	bool was_broken = ws->broken;
	stop(ws);
	for (struct exchange *x = base->flying.first; x; x = x->next)
		if (x->verdict == FAILURE_NONE)
			x->verdict = FAILURE_ABANDONED;
	for (unsigned i = 0; i < ws->config.count; i++) {
		struct seat *seat = &c->seats[i];
		if (seat->station->stuck)
			continue;
		if (!was_broken) {
			client_free(seat->inner);
			seat->inner = NULL;
		}
		collect(seat->station, SIZE_MAX);
	}
	while (base->flying.first) {
		struct exchange *x = base->flying.first;
		const struct flight *f = x->transport;
		x->lost = f->seat->station->stuck;
		client_ended(base, x, FAILURE_ABANDONED, NULL, loop_now(base->loop));
	}
}

static void fini_flight(void *object)
{
	response_free(&((struct flight *)object)->inner.response);
}

static void forget(struct workers *ws, const struct worker_client *c)
{
	struct worker_client **at = &ws->clients;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
}

static void outer_free(struct client *base)
{
	struct worker_client *c = (struct worker_client *)base;
	if (c->ws->broken)
		return;
	forget(c->ws, c);
	client_fini(base);
	for (unsigned i = 0; c->seats && i < c->ws->config.count; i++)
		client_free(c->seats[i].inner);
	if (c->flights)
		pool_free(c->flights, fini_flight);
	free(c->seats);
	free(c);
}

static const struct client_ops outer_ops = {
	.start = outer_start,
	.cancel = outer_cancel,
	.close = outer_close,
	.send = outer_send,
	.connections = outer_connections,
	.reconnects = outer_reconnects,
	.free = outer_free,
};

/* ---- life ---- */

/* Each worker begins with another of the source addresses, or all first connections would come
 * from one. */
static int make_inner(struct seat *seat, client_factory *make, const struct client_config *config,
                      struct error *e)
{
	struct client_config own = *config;
	size_t n = config->source_count;
	const char **sources = calloc(n ? n : 1, sizeof(*sources));
	if (!sources)
		return error_set(e, STATUS_ENOMEM, "workers: out of memory");
	for (size_t i = 0; i < n; i++)
		sources[i] = config->sources[(i + seat->station->number) % n];
	own.sources = sources;
	int err =
		make(&seat->inner, worker_loop(seat->station->worker), &own, &inner_sink, seat, e);
	free(sources);
	return err;
}

static int make_seats(struct worker_client *c, client_factory *make,
                      const struct client_config *config, struct error *e)
{
	struct workers *ws = c->ws;
	c->seats = calloc(ws->config.count, sizeof(*c->seats));
	if (!c->seats || pool_new(&c->flights, sizeof(struct flight), MAX_FLIGHTS))
		return error_set(e, STATUS_ENOMEM, "workers: out of memory");
	int err = STATUS_OK;
	for (unsigned i = 0; !err && i < ws->config.count; i++) {
		struct seat *seat = &c->seats[i];
		seat->station = &ws->stations[i];
		seat->client = c;
		err = make_inner(seat, make, config, e);
	}
	return err;
}

int worker_client_new(struct client **out, struct workers *ws, client_factory *make,
                      const struct client_config *config, const struct client_sink *sink, void *ctx,
                      struct error *e)
{
	if (ws->started)
		return error_set(e, STATUS_EINVAL, "clients are made before their workers start");
	struct worker_client *c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(e, STATUS_ENOMEM, "workers: out of memory");
	int err = client_init(&c->base, &outer_ops, ws->loop, config, sink, ctx, e);
	if (err) {
		free(c);
		return err;
	}
	c->ws = ws;
	err = make_seats(c, make, config, e);
	if (err) {
		outer_free(&c->base);
		return err;
	}
	c->next = ws->clients;
	ws->clients = c;
	*out = &c->base;
	return STATUS_OK;
}

static int make_stations(struct workers *ws)
{
	struct worker_config config = { .ring_items = ws->config.ring_items,
		                        .on_parcel = on_parcel };
	ws->stations = calloc(ws->config.count, sizeof(*ws->stations));
	if (!ws->stations)
		return STATUS_ENOMEM;
	int err = STATUS_OK;
	for (unsigned i = 0; !err && i < ws->config.count; i++) {
		ws->stations[i].ws = ws;
		ws->stations[i].number = i;
		err = worker_new(&ws->stations[i].worker, ws->loop, &config);
	}
	return err;
}

int workers_new(struct workers **out, struct loop *loop, const struct workers_config *config,
                struct error *e)
{
	if (config->count < 1 || config->count > WORKERS_MAX)
		return error_set(e, STATUS_EINVAL, "workers: 1 to %d expected, got %u", WORKERS_MAX,
		                 config->count);
	struct workers *ws = calloc(1, sizeof(*ws));
	if (!ws)
		return error_set(e, STATUS_ENOMEM, "workers: out of memory");
	ws->config = *config;
	if (!ws->config.chunk_bytes)
		ws->config.chunk_bytes = DEFAULT_CHUNK_BYTES;
	if (!ws->config.watch_ns)
		ws->config.watch_ns = DEFAULT_WATCH_NS;
	ws->loop = loop;
	ws->hook = (struct loop_hook){ .fn = on_turn, .data = ws };
	ws->last_hook = (struct loop_hook){ .fn = on_last, .data = ws };
	ws->watch = (struct loop_timer){ .fn = on_watch, .data = ws };
	int err = make_stations(ws);
	if (err) {
		workers_free(ws);
		return error_set(e, err, "workers: %s", status_text(err));
	}
	loop_hook_add(loop, &ws->hook);
	loop_hook_add_last(loop, &ws->last_hook);
	*out = ws;
	return STATUS_OK;
}

int workers_start(struct workers *ws, struct error *e)
{
	int err = loop_timer_start(ws->loop, &ws->watch,
	                           loop_refresh(ws->loop) + ws->config.watch_ns);
	for (unsigned i = 0; !err && i < ws->config.count; i++)
		err = worker_start(ws->stations[i].worker);
	if (err)
		return error_set(e, err, "the system gives no %u threads for HTTP workers",
		                 ws->config.count);
	ws->started = true;
	return STATUS_OK;
}

uint64_t workers_waits(const struct workers *ws)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < ws->config.count; i++)
		sum += atomic_load_explicit(&ws->stations[i].waits, memory_order_relaxed);
	return sum;
}

void workers_mark(struct workers *ws)
{
	for (unsigned i = 0; i < ws->config.count; i++)
		ws->stations[i].cpu_mark = worker_cpu(ws->stations[i].worker);
}

uint64_t workers_busiest_ns(const struct workers *ws)
{
	uint64_t most = 0;
	for (unsigned i = 0; i < ws->config.count; i++) {
		const struct station *s = &ws->stations[i];
		uint64_t now = worker_cpu(s->worker);
		uint64_t used = now > s->cpu_mark ? now - s->cpu_mark : 0;
		most = used > most ? used : most;
	}
	return most;
}

void workers_free(struct workers *ws)
{
	if (!ws)
		return;
	if (ws->stations)
		stop(ws);
	if (ws->broken) {
		ws->next_lost = atomic_exchange(&lost, ws);
		return;
	}
	for (unsigned i = 0; ws->stations && i < ws->config.count; i++)
		worker_free(ws->stations[i].worker);
	free(ws->stations);
	free(ws);
}
