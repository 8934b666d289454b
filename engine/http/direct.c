/* direct.c - the transport over plain sockets: which exchange goes over which connection.
 *
 * A flight is an exchange in the air: waiting (for a connection) -> flying (on one) -> ended
 * (in the list that sweep() empties). A connection belongs to no flight while it connects: the
 * oldest flight that waits takes the first one that gets free, be it new or used. A request on
 * a kept connection is sent at once, from one buffer, its head prepared (head.h).
 *
 * A server may close a kept connection just when a request is on its way. If not a byte of an
 * answer has come, that request is sent once more, on a connection that is not out of the idle
 * ones, which may all have gone the same way. */
#include "http/direct.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "http/connection.h"
#include "http/head.h"
#include "http/transport.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPIED_BODY       ((size_t)16 * 1024) /* up to here a copy is cheaper than a vector */
#define CONNECTING_MAX    256                 /* at a time: half of the usual backlog */
#define CONNECTS_PER_TURN 64
#define RETRY_NS          NS_PER_MS /* a unix socket whose backlog is full tells nobody when not */
#define FLIGHTS_MAX       ((size_t)1 << 24)

struct direct;
struct endpoint;

enum flight_state { FLIGHT_WAITING, FLIGHT_FLYING, FLIGHT_ENDED };

struct flight {
	struct exchange *x;
	struct endpoint *e;
	struct connection *c;       /* while flying */
	struct flight *prev, *next; /* in its endpoint's waiting list, or in the ended list */
	uint64_t queued_ns;         /* when it began to wait */
	uint64_t ended_ns;
	enum failure why;
	enum flight_state state;
	bool again;     /* it has been sent once in vain */
	char text[192]; /* of the failure */
};

struct flight_list {
	struct flight *first, *last;
};

struct connection_list {
	struct connection *first, *last;
	unsigned count;
};

struct endpoint {
	struct direct *owner;
	struct address address;
	struct head_template head;
	struct error unknown;        /* why the host has no address; status 0: it has */
	size_t good;                 /* the address that last answered */
	struct connection_list idle; /* the last one is used first */
	struct connection_list connecting;
	struct flight_list waiting;
	unsigned waiting_count;
};

struct direct {
	struct client base; /* first: client and transport are one object */
	struct connection_group group;
	struct endpoint *endpoints; /* as many as there are urls */
	struct pool *flights;
	struct flight_list ended;
	struct loop_timer timer; /* limits on connecting, and retries */
	unsigned waiting;        /* in all endpoints */
	unsigned connecting;
	unsigned opened;   /* in this turn */
	uint64_t pause_ns; /* no new connections until then */
	uint64_t connections;
	struct socket_address *sources; /* the client's, read */
	size_t next_source;
	struct buffer out; /* the request that is being sent */
};

/* ---- lists ---- */

static void flight_append(struct flight_list *l, struct flight *f)
{
	f->prev = l->last;
	f->next = NULL;
	*(l->last ? &l->last->next : &l->first) = f;
	l->last = f;
}

static void flight_remove(struct flight_list *l, struct flight *f)
{
	*(f->prev ? &f->prev->next : &l->first) = f->next;
	*(f->next ? &f->next->prev : &l->last) = f->prev;
}

static void connection_append(struct connection_list *l, struct connection *c)
{
	c->prev = l->last;
	c->next = NULL;
	*(l->last ? &l->last->next : &l->first) = c;
	l->last = c;
	l->count++;
}

static void connection_remove(struct connection_list *l, struct connection *c)
{
	*(c->prev ? &c->prev->next : &l->first) = c->next;
	*(c->next ? &c->next->prev : &l->last) = c->prev;
	l->count--;
}

/* ---- flights ---- */

static void set_text(struct flight *f, const char *text)
{
	size_t len = *text ? strnlen(text, sizeof(f->text) - 1) : 0; /* mostly there is none */
	memcpy(f->text, text, len);
	f->text[len] = '\0';
}

/* It is in no list and on no connection. */
static void end_flight(struct direct *d, struct flight *f, enum failure why)
{
	f->state = FLIGHT_ENDED;
	f->c = NULL;
	f->why = why;
	f->ended_ns = loop_now(d->base.loop);
	flight_append(&d->ended, f);
	loop_poke(d->base.loop);
}

static void unqueue(struct direct *d, struct flight *f)
{
	flight_remove(&f->e->waiting, f);
	f->e->waiting_count--;
	d->waiting--;
}

/* The timer fires at the latest then. */
static void wake_at(struct direct *d, uint64_t due_ns)
{
	/* Cannot fail but for memory, and then the exchange's own deadline is left. */
	if (!d->timer.slot || d->timer.due_ns > due_ns)
		loop_timer_start(d->base.loop, &d->timer, due_ns);
}

/* Let it wait for a connection; the time that may take begins. */
static void queue(struct direct *d, struct flight *f)
{
	f->state = FLIGHT_WAITING;
	f->c = NULL;
	f->queued_ns = loop_now(d->base.loop);
	flight_append(&f->e->waiting, f);
	f->e->waiting_count++;
	d->waiting++;
	wake_at(d, f->queued_ns + d->base.connect_timeout_ns);
}

static void fail_waiting(struct direct *d, struct flight *f, enum failure why, const char *text)
{
	unqueue(d, f);
	set_text(f, text);
	end_flight(d, f, why);
}

/* ---- connections ---- */

static struct direct *owner_of(const struct connection *c)
{
	return ((struct endpoint *)c->endpoint)->owner;
}

static void take_out(struct connection *c, struct connection_list *l)
{
	connection_remove(l, c);
	if (l == &((struct endpoint *)c->endpoint)->connecting)
		owner_of(c)->connecting--;
}

static void close_from(struct connection *c, struct connection_list *l)
{
	take_out(c, l);
	connection_close(c);
}

/* The request of x into d->out; its body too, when that is small or has to be framed. */
static int write_request(struct direct *d, const struct endpoint *e, const struct exchange *x,
                         bool *body_follows)
{
	bool framed, body = x->body && head_has_body(&d->base, x);
	buffer_clear(&d->out);
	int err = head_put(&d->out, &e->head, &d->base, &e->address, x, &framed);
	*body_follows = !framed && body && x->body_len > COPIED_BODY;
	if (!err && framed)
		err = head_put_chunk_begin(&d->out, x);
	if (!err && !*body_follows && body)
		err = buffer_append(&d->out, x->body, x->body_len);
	if (!err && framed)
		err = head_put_chunk_end(&d->out, x);
	return err;
}

/* The connection is in no list, the flight neither. */
static void take_off(struct direct *d, struct connection *c, struct flight *f)
{
	struct exchange *x = f->x;
	bool body_follows;
	if (write_request(d, f->e, x, &body_follows)) {
		connection_close(c);
		set_text(f, "out of memory for a request");
		end_flight(d, f, FAILURE_CLIENT);
		return;
	}
	c->flight = f;
	f->c = c;
	f->state = FLIGHT_FLYING;
	bool is_head = strcmp(client_method(&d->base, x), "HEAD") == 0;
	connection_send(c, x, &d->out, body_follows, is_head);
}

/* The first that this connection may serve. One that was sent in vain waits for a new one: the
 * peer may have closed any other by now. */
static struct flight *first_waiting(const struct connection *c)
{
	struct flight *f = ((struct endpoint *)c->endpoint)->waiting.first;
	while (f && f->again && connection_is_kept(c))
		f = f->next;
	return f;
}

/* The connection has become free, it is in no list. */
static void land(struct direct *d, struct connection *c)
{
	struct endpoint *e = c->endpoint;
	struct flight *f = first_waiting(c);
	if (f) {
		unqueue(d, f);
		take_off(d, c, f);
		return;
	}
	connection_append(&e->idle, c);
}

static void on_spoiled(struct connection *c)
{
	close_from(c, &((struct endpoint *)c->endpoint)->idle);
}

/* ---- connecting ---- */

/* NULL: none is asked for, or none is of this family. */
static const struct socket_address *next_source(struct direct *d, int family)
{
	for (size_t i = 0; i < d->base.source_count; i++) {
		const struct socket_address *s =
			&d->sources[d->next_source++ % d->base.source_count];
		if (s->data.ss_family == family)
			return s;
	}
	return NULL;
}

static void describe_connect(const struct socket_address *a, int err, char *text, size_t size)
{
	char where[112];
	address_show(a, where, sizeof(where));
	if (err == EMFILE || err == ENFILE)
		snprintf(text, size, "no socket: %s", strerror(err));
	else
		snprintf(text, size, "connect to %s: %s", where,
		         err == EADDRNOTAVAIL ? ADDRESS_NO_PORT : strerror(err));
}

/* The oldest flight that waits pays for a connection that did not come about. */
static void fail_connect(struct direct *d, struct endpoint *e, const struct socket_address *a,
                         int err)
{
	char text[sizeof(e->waiting.first->text)];
	if (!e->waiting.first)
		return;
	describe_connect(a, err, text, sizeof(text));
	fail_waiting(d, e->waiting.first, address_failure(err), text);
}

/* When an attempt has taken its share of the time, the next address has its turn. */
static uint64_t give_up_at(const struct direct *d, size_t tries)
{
	return loop_now(d->base.loop) + d->base.connect_timeout_ns / tries;
}

/* Try one address. Returns 0 or an errno: EAGAIN: later (a unix socket's backlog is full);
 * EAFNOSUPPORT: no source address is of its family, among others. */
static int try_address(struct direct *d, struct endpoint *e, size_t address, size_t tries)
{
	const struct socket_address *to = &e->address.list[address];
	const struct socket_address *from = next_source(d, to->data.ss_family);
	if (!from && d->base.source_count && to->data.ss_family != AF_UNIX)
		return EAFNOSUPPORT;
	struct connection *c;
	int err = connection_open(&c, &d->group, to, from);
	if (err)
		return err;
	c->endpoint = e;
	c->address = address;
	c->tries = tries;
	c->give_up_ns = give_up_at(d, tries);
	connection_append(&e->connecting, c);
	d->connecting++;
	wake_at(d, c->give_up_ns);
	return 0;
}

/* Try this address and those after it. False: pause. */
static bool open_connection(struct direct *d, struct endpoint *e, size_t address, size_t tries)
{
	for (;;) {
		int err = try_address(d, e, address, tries);
		if (!err)
			return true;
		if (err == EAGAIN) {
			d->pause_ns = loop_now(d->base.loop) + RETRY_NS;
			wake_at(d, d->pause_ns);
			return false;
		}
		if (--tries == 0) {
			fail_connect(d, e, &e->address.list[address], err);
			return true;
		}
		address = (address + 1) % e->address.count;
	}
}

/* As many connections as flights wait for one, within the bounds. */
static void pump(struct direct *d, struct endpoint *e)
{
	if (d->pause_ns > loop_now(d->base.loop))
		return;
	while (e->connecting.count < e->waiting_count && d->connecting < CONNECTING_MAX &&
	       d->opened < CONNECTS_PER_TURN) {
		d->opened++;
		if (!open_connection(d, e, e->good, e->address.count))
			return;
	}
}

static void pump_all(struct direct *d)
{
	for (size_t i = 0; d->waiting && i < d->base.url_count; i++)
		if (d->endpoints[i].waiting_count)
			pump(d, &d->endpoints[i]);
}

static void next_address(struct direct *d, struct connection *c, int err)
{
	struct endpoint *e = c->endpoint;
	size_t address = c->address, tries = c->tries;
	close_from(c, &e->connecting);
	if (tries > 1)
		open_connection(d, e, (address + 1) % e->address.count, tries - 1);
	else
		fail_connect(d, e, &e->address.list[address], err);
}

static void on_connected(struct connection *c, int err)
{
	struct direct *d = owner_of(c);
	struct endpoint *e = c->endpoint;
	if (err) {
		next_address(d, c, err);
		return;
	}
	take_out(c, &e->connecting);
	d->connections++;
	e->good = c->address;
	land(d, c);
}

/* ---- the end of a flight ---- */

static void send_again(struct direct *d, struct flight *f)
{
	f->again = true;
	f->x->response.sent_ns = 0;
	queue(d, f);
	pump(d, f->e);
}

static void on_ended(struct connection *c, enum failure why, const char *text, bool reusable)
{
	struct direct *d = owner_of(c);
	struct flight *f = c->flight;
	c->flight = NULL;
	if (why == FAILURE_RESET && connection_was_stale(c) && !f->again) {
		connection_close(c);
		send_again(d, f);
		return;
	}
	set_text(f, text);
	end_flight(d, f, why);
	if (reusable)
		land(d, c);
	else
		connection_close(c);
}

static const struct connection_events connection_events = {
	.connected = on_connected,
	.ended = on_ended,
	.spoiled = on_spoiled,
};

/* ---- limits on connecting ---- */

static void expire(struct direct *d, struct endpoint *e, uint64_t now_ns)
{
	char text[sizeof(e->waiting.first->text)];
	uint64_t limit = d->base.connect_timeout_ns;
	struct flight *f;
	for (struct connection *c = e->connecting.first, *next; c; c = next) {
		next = c->next;
		if (c->give_up_ns > now_ns)
			wake_at(d, c->give_up_ns);
		else if (c->tries > 1)
			next_address(d, c, ETIMEDOUT);
		else
			close_from(c, &e->connecting);
	}
	while ((f = e->waiting.first) && f->queued_ns + limit <= now_ns) {
		char where[112];
		address_show(&e->address.list[e->good], where, sizeof(where));
		snprintf(text, sizeof(text), "no connection to %s within %llu ms", where,
		         (unsigned long long)(limit / NS_PER_MS));
		fail_waiting(d, f, FAILURE_CONNECT_TIMEOUT, text);
	}
	if (e->waiting.first)
		wake_at(d, e->waiting.first->queued_ns + limit);
	pump(d, e);
}

static void on_timer(struct loop_timer *t, uint64_t now_ns)
{
	struct direct *d = t->data;
	for (size_t i = 0; i < d->base.url_count; i++)
		expire(d, &d->endpoints[i], now_ns);
}

/* ---- the transport ---- */

static int direct_start(struct client *base, struct exchange *x)
{
	struct direct *d = (struct direct *)base;
	struct endpoint *e = &d->endpoints[x->endpoint % base->url_count];
	struct flight *f = pool_get(d->flights);
	if (!f)
		return STATUS_ENOMEM;
	f->x = x;
	f->e = e;
	f->again = false;
	x->transport = f;
	struct connection *c = e->idle.last;
	if (e->unknown.status) {
		set_text(f, e->unknown.text);
		end_flight(d, f, FAILURE_DNS);
	} else if (c) {
		connection_remove(&e->idle, c);
		take_off(d, c, f);
	} else {
		queue(d, f);
		pump(d, e);
	}
	return STATUS_OK;
}

static void direct_abort(struct client *base, struct exchange *x)
{
	struct direct *d = (struct direct *)base;
	struct flight *f = x->transport;
	switch (f->state) {
	case FLIGHT_WAITING:
		unqueue(d, f);
		break;
	case FLIGHT_FLYING:
		connection_close(f->c);
		break;
	case FLIGHT_ENDED:
		flight_remove(&d->ended, f);
		break;
	}
	pool_put(d->flights, f);
}

/* Those that end by what done does wait for the next turn. */
static void direct_sweep(struct client *base)
{
	struct direct *d = (struct direct *)base;
	struct flight *last = d->ended.last;
	for (bool more = last != NULL; more;) {
		struct flight *f = d->ended.first;
		more = f != last;
		flight_remove(&d->ended, f);
		client_ended(base, f->x, f->why, f->text, f->ended_ns);
		pool_put(d->flights, f);
		loop_yield(base->loop);
	}
}

/* Requests go out when they start; here connections are asked for that had to wait. */
static void direct_send(struct client *base)
{
	struct direct *d = (struct direct *)base;
	pump_all(d);
	bool more = d->waiting && d->opened >= CONNECTS_PER_TURN;
	d->opened = 0;
	if (more || d->ended.first)
		loop_poke(base->loop);
}

static uint64_t direct_connections(const struct client *base)
{
	return ((const struct direct *)base)->connections;
}

/* ---- life ---- */

static void free_endpoint(struct endpoint *e)
{
	while (e->idle.first)
		close_from(e->idle.first, &e->idle);
	while (e->connecting.first)
		close_from(e->connecting.first, &e->connecting);
	head_template_free(&e->head);
	address_free(&e->address);
}

static void direct_free(struct client *base)
{
	struct direct *d = (struct direct *)base;
	loop_timer_stop(base->loop, &d->timer);
	for (size_t i = 0; d->endpoints && i < base->url_count; i++)
		free_endpoint(&d->endpoints[i]);
	free(d->endpoints);
	pool_free(d->flights, NULL);
	buffer_free(&d->out);
	free(d->sources);
	connection_group_fini(&d->group);
	client_fini(base);
	free(d);
}

static const struct client_ops direct_ops = {
	.start = direct_start,
	.abort = direct_abort,
	.sweep = direct_sweep,
	.send = direct_send,
	.connections = direct_connections,
	.free = direct_free,
};

static int open_endpoint(struct direct *d, struct endpoint *e, const char *url, struct error *e_out)
{
	const char *problem = NULL;
	const char *path = d->base.unix_socket;
	e->owner = d;
	int err = address_parse(&e->address, url, &problem);
	if (err)
		return error_set(e_out, err, "url \"%s\": %s", url, problem);
	if (path)
		err = address_set_unix(&e->address, path, e_out);
	else if (address_resolve(&e->address, &e->unknown) == STATUS_ENOMEM)
		err = error_set(e_out, STATUS_ENOMEM, "out of memory");
	if (!err && head_template_init(&e->head, &d->base, &e->address))
		err = error_set(e_out, STATUS_ENOMEM, "out of memory");
	return err;
}

static int open_sources(struct direct *d, struct error *e)
{
	int err = STATUS_OK;
	d->sources = calloc(d->base.source_count + 1, sizeof(*d->sources));
	if (!d->sources)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < d->base.source_count; i++)
		err = address_source(&d->sources[i], d->base.sources[i], e);
	return err;
}

static int open_all(struct direct *d, struct error *e)
{
	buffer_init(&d->out, SIZE_MAX);
	d->timer = (struct loop_timer){ .fn = on_timer, .data = d };
	d->endpoints = calloc(d->base.url_count, sizeof(*d->endpoints));
	if (!d->endpoints || connection_group_init(&d->group, d->base.loop, &connection_events) ||
	    pool_new(&d->flights, sizeof(struct flight), FLIGHTS_MAX))
		return error_set(e, STATUS_ENOMEM, "out of memory");
	int err = open_sources(d, e);
	for (size_t i = 0; !err && i < d->base.url_count; i++)
		err = open_endpoint(d, &d->endpoints[i], d->base.bases[i], e);
	return err;
}

int direct_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                      const struct client_sink *sink, void *ctx, struct error *e)
{
	struct direct *d = calloc(1, sizeof(*d));
	if (!d)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	int err = client_init(&d->base, &direct_ops, loop, config, sink, ctx, e);
	if (err) {
		free(d);
		return err;
	}
	err = open_all(d, e);
	if (err) {
		direct_free(&d->base);
		return err;
	}
	limits_raise_descriptors();
	client_open(&d->base);
	*out = &d->base;
	return STATUS_OK;
}

const char *direct_refusal(const char *const *urls, size_t url_count, size_t *at)
{
	const char *problem = NULL;
	for (size_t i = 0; !problem && i < url_count; i++) {
		struct address a = { 0 };
		*at = i;
		address_parse(&a, urls[i], &problem);
		address_free(&a);
	}
	return problem;
}
