/* direct.c - the transport over plain sockets.
 *
 * What makes it cheap:
 *  - A request on a kept connection is one send(), from one buffer, at once; its answer is
 *    one recv(), into one buffer that all connections share, parsed where it lies.
 *  - A uv_poll handle lives as long as its connection and stays armed: an idle connection that
 *    the server closes is noticed, so none has to be probed before it is used.
 *
 * A flight is an exchange in the air: waiting (for a connection) -> flying (on one) -> ended
 * (in the list that sweep() empties). A connection is connecting -> idle <-> busy -> closed;
 * it belongs to no flight while it connects: the oldest flight that waits takes the first one
 * that gets free, be it new or used.
 *
 * A server may close a kept connection just when a request is on its way. If not a byte of an
 * answer has come, that request is sent once more, on a connection that is not out of the idle
 * ones, which may all have gone the same way. */
#include "http/direct.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/pool.h"
#include "http/address.h"
#include "http/head.h"
#include "http/http1.h"
#include "http/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#define READ_BYTES        ((size_t)256 * 1024)
#define READS_PER_EVENT   8                   /* then the others have their turn */
#define COPIED_BODY       ((size_t)16 * 1024) /* up to here a copy is cheaper than a vector */
#define CONNECTING_MAX    256                 /* at a time: half of the usual backlog */
#define CONNECTS_PER_TURN 64
#define RETRY_NS          NS_PER_MS /* a unix socket whose backlog is full tells nobody when not */
#define FLIGHTS_MAX       ((size_t)1 << 24)

struct direct;
struct endpoint;
struct connection;

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

enum connection_state {
	CONNECTION_CONNECTING,
	CONNECTION_IDLE,
	CONNECTION_BUSY,
	CONNECTION_CLOSED
};

/* Freed in the close callback of its handle. */
struct connection {
	uv_poll_t poll;
	struct direct *owner;
	struct endpoint *e;
	struct flight *flight;          /* while busy */
	struct connection *prev, *next; /* among the endpoint's connecting or idle ones */
	enum connection_state state;
	int fd;
	int armed;           /* what libuv was told to watch */
	bool used;           /* it has served a request */
	size_t address;      /* of the endpoint's list */
	size_t tries;        /* addresses that are left, this one included */
	uint64_t give_up_ns; /* while connecting */
	struct buffer rest;  /* of the request: what is not sent yet and not in the body */
	size_t body_sent;    /* bytes of the exchange's own body that are sent */
	bool body_left;      /* some of it may not be sent yet */
	struct http1 parser;
};

struct connection_list {
	struct connection *first, *last;
	unsigned count;
};

struct endpoint {
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
	struct client base;         /* first: client and transport are one object */
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
	char *bytes;       /* READ_BYTES of what was received */
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
	size_t len = strnlen(text, sizeof(f->text) - 1);
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

/* ---- closing ---- */

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

/* It is in no list. */
static void close_connection(struct connection *c)
{
	c->state = CONNECTION_CLOSED;
	c->flight = NULL;
	http1_free(&c->parser);
	buffer_free(&c->rest);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	close(c->fd);
}

static void close_idle(struct connection *c)
{
	connection_remove(&c->e->idle, c);
	close_connection(c);
}

static void close_connecting(struct connection *c)
{
	connection_remove(&c->e->connecting, c);
	c->owner->connecting--;
	close_connection(c);
}

/* ---- sending ---- */

static void on_poll(uv_poll_t *h, int status, int events);

static void arm(struct connection *c, int events)
{
	/* Fails for closing handles only. */
	if (c->armed != events && uv_poll_start(&c->poll, events, on_poll) == 0)
		c->armed = events;
}

/* The request of x into d->out; its body too, when that is small or has to be framed. */
static int write_request(struct direct *d, struct connection *c, const struct exchange *x)
{
	struct endpoint *e = c->e;
	bool framed;
	buffer_clear(&d->out);
	int err = head_put(&d->out, &e->head, &d->base, &e->address, x, &framed);
	c->body_sent = 0;
	c->body_left = !framed && x->body && x->body_len > COPIED_BODY;
	if (!err && framed)
		err = head_put_chunk_begin(&d->out, x);
	if (!err && !c->body_left && x->body)
		err = buffer_append(&d->out, x->body, x->body_len);
	if (!err && framed)
		err = head_put_chunk_end(&d->out, x);
	return err;
}

static ssize_t send_two(int fd, const char *head, size_t head_len, const char *body,
                        size_t body_len)
{
	if (!body_len)
		return send(fd, head, head_len, MSG_NOSIGNAL);
	struct iovec parts[] = { { (void *)head, head_len }, { (void *)body, body_len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

/* Is all of it sent? What is not stays in c->rest and in the body. A broken connection
 * shows when it is read, where an answer may have come before. */
static bool send_some(struct connection *c, const char *head, size_t head_len)
{
	const struct exchange *x = c->flight->x;
	size_t body_len = c->body_left ? x->body_len - c->body_sent : 0;
	const char *body = body_len ? x->body + c->body_sent : NULL;
	ssize_t n;
	do
		n = send_two(c->fd, head, head_len, body, body_len);
	while (n < 0 && errno == EINTR);
	size_t sent = n < 0 ? 0 : (size_t)n;
	if (sent == head_len + body_len) {
		c->body_left = false;
		return true;
	}
	size_t of_head = sent < head_len ? sent : head_len;
	c->body_sent += sent - of_head;
	if (head == c->rest.data)
		buffer_consume(&c->rest, of_head);
	else if (buffer_append(&c->rest, head + of_head, head_len - of_head))
		shutdown(c->fd, SHUT_RDWR); /* out of memory: as if the peer had gone */
	return false;
}

static void send_rest(struct connection *c)
{
	if (!send_some(c, c->rest.data, c->rest.len))
		return;
	buffer_free(&c->rest);
	arm(c, UV_READABLE);
}

static bool is_all_sent(const struct connection *c)
{
	return !c->rest.len && !c->body_left;
}

/* The connection is in no list, the flight neither. */
static void take_off(struct connection *c, struct flight *f)
{
	struct direct *d = c->owner;
	struct exchange *x = f->x;
	c->state = CONNECTION_BUSY;
	c->flight = f;
	f->c = c;
	f->state = FLIGHT_FLYING;
	http1_start(&c->parser, strcmp(client_method(&d->base, x), "HEAD") == 0);
	if (write_request(d, c, x)) {
		close_connection(c);
		set_text(f, "out of memory for a request");
		end_flight(d, f, FAILURE_CLIENT);
		return;
	}
	x->response.sent_ns = loop_refresh(d->base.loop);
	bool all = send_some(c, d->out.data, d->out.len);
	arm(c, all ? UV_READABLE : UV_READABLE | UV_WRITABLE);
}

/* The connection has become free, it is in no list. */
static void land(struct connection *c, bool keep)
{
	struct endpoint *e = c->e;
	if (!keep) {
		close_connection(c);
		return;
	}
	struct flight *f = e->waiting.first;
	if (f) {
		unqueue(c->owner, f);
		take_off(c, f);
		return;
	}
	c->state = CONNECTION_IDLE;
	c->flight = NULL;
	connection_append(&e->idle, c);
	arm(c, UV_READABLE);
}

/* ---- connecting ---- */

static int open_socket(struct direct *d, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	if (fd < 0 || family == AF_UNIX)
		return fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!d->base.source_count)
		return fd;
	for (size_t i = 0; i < d->base.source_count; i++) {
		const struct socket_address *s =
			&d->sources[d->next_source++ % d->base.source_count];
		if (s->data.ss_family != family)
			continue;
#ifdef IP_BIND_ADDRESS_NO_PORT
		/* The port is chosen with the connection: one may serve several endpoints. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
#endif
		if (bind(fd, (const struct sockaddr *)&s->data, s->len) == 0)
			return fd;
	}
	int err = errno ? errno : EADDRNOTAVAIL;
	close(fd);
	errno = err;
	return -1;
}

static void describe_connect(const struct socket_address *a, int err, char *text, size_t size)
{
	char where[112];
	address_show(a, where, sizeof(where));
	if (err == EMFILE || err == ENFILE)
		snprintf(text, size, "no socket: %s", strerror(err));
	else
		snprintf(text, size, "%s: %s", where,
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

static struct connection *new_connection(struct direct *d, struct endpoint *e, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	if (uv_poll_init(loop_uv(d->base.loop), &c->poll, fd)) {
		free(c);
		return NULL;
	}
	c->poll.data = c;
	c->owner = d;
	c->e = e;
	c->fd = fd;
	buffer_init(&c->rest, SIZE_MAX);
	return c;
}

/* When an attempt has taken its share of the time, the next address has its turn. */
static uint64_t give_up_at(const struct direct *d, size_t tries)
{
	return loop_now(d->base.loop) + d->base.connect_timeout_ns / tries;
}

/* Try one address. Returns 0 or an errno; EAGAIN: later (a unix socket's backlog is full). */
static int try_address(struct direct *d, struct endpoint *e, size_t address, size_t tries)
{
	const struct socket_address *a = &e->address.list[address];
	int fd = open_socket(d, a->data.ss_family);
	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&a->data, a->len) && errno != EINPROGRESS) {
		int err = errno;
		close(fd);
		return err;
	}
	struct connection *c = new_connection(d, e, fd);
	if (!c) {
		close(fd);
		return ENOMEM;
	}
	c->state = CONNECTION_CONNECTING;
	c->address = address;
	c->tries = tries;
	c->give_up_ns = give_up_at(d, tries);
	connection_append(&e->connecting, c);
	d->connecting++;
	d->connections++;
	wake_at(d, c->give_up_ns);
	arm(c, UV_WRITABLE);
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
		if (--tries == 0 || address_failure(err) == FAILURE_CLIENT) {
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

static void next_address(struct connection *c, int err)
{
	struct direct *d = c->owner;
	struct endpoint *e = c->e;
	size_t address = c->address, tries = c->tries;
	close_connecting(c);
	if (tries > 1)
		open_connection(d, e, (address + 1) % e->address.count, tries - 1);
	else
		fail_connect(d, e, &e->address.list[address], err);
}

static void on_connected(struct connection *c)
{
	int err = 0;
	socklen_t len = sizeof(err);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (err) {
		next_address(c, err);
		return;
	}
	connection_remove(&c->e->connecting, c);
	c->owner->connecting--;
	c->e->good = c->address;
	land(c, true);
}

/* ---- receiving ---- */

/* The flight of c is over. */
static void finish(struct connection *c, enum failure why, const char *text, bool keep)
{
	struct flight *f = c->flight;
	set_text(f, text);
	keep = keep && is_all_sent(c);
	c->used = true;
	c->flight = NULL;
	end_flight(c->owner, f, why);
	land(c, keep);
}

/* What was received. False: the flight is over, or of no use to anyone. */
static bool take_bytes(struct connection *c, const char *at, size_t len, uint64_t now_ns)
{
	const char *end = at + len;
	struct http1 *p = &c->parser;
	struct exchange *x = c->flight->x;
	while (!x->verdict) {
		enum http1_event event = http1_next(p, &at, end);
		if (p->status && !x->response.first_byte_ns)
			x->response.first_byte_ns = now_ns; /* as libcurl: of a whole line */
		switch (event) {
		case HTTP1_MORE:
			return true;
		case HTTP1_HEAD:
			response_head(&x->response, p->status,
			              p->content_type[0] ? p->content_type : NULL, now_ns);
			break;
		case HTTP1_BODY:
			if (response_bytes(&x->response, p->data, p->len, now_ns)) {
				/* The response says better why. */
				finish(c, FAILURE_CLIENT, "", false);
				return false;
			}
			break;
		case HTTP1_END:
			finish(c, FAILURE_NONE, "", p->keep && at == end);
			return false;
		case HTTP1_LARGE:
			finish(c, FAILURE_TOO_LARGE, p->error, false);
			return false;
		default:
			finish(c, FAILURE_BAD_HTTP, p->error, false);
			return false;
		}
	}
	return false;
}

static void send_again(struct connection *c)
{
	struct direct *d = c->owner;
	struct flight *f = c->flight;
	f->again = true;
	f->x->response.sent_ns = 0;
	close_connection(c);
	queue(d, f);
	pump(d, f->e);
}

/* The peer has closed (err 0) or broken the connection. */
static void on_end(struct connection *c, int err)
{
	struct http1 *p = &c->parser;
	if (c->used && !p->begun && !c->flight->again) {
		send_again(c);
		return;
	}
	if (err) {
		finish(c, FAILURE_RESET,
		       err == ECONNRESET ? "the connection was reset by the peer" : strerror(err),
		       false);
		return;
	}
	if (http1_finish(p) == HTTP1_END)
		finish(c, FAILURE_NONE, "", false);
	else
		finish(c, FAILURE_RESET, p->error, false);
}

/* broken: read on until the end, for no event will come any more. */
static void receive(struct connection *c, bool broken)
{
	struct direct *d = c->owner;
	uint64_t now = loop_now(d->base.loop);
	for (int i = 0; broken || i < READS_PER_EVENT; i++) {
		ssize_t n = recv(c->fd, d->bytes, READ_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			on_end(c, n < 0 ? errno : 0);
			return;
		}
		if (!take_bytes(c, d->bytes, (size_t)n, now))
			return;
		if ((size_t)n < READ_BYTES && !broken)
			return;
	}
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct connection *c = h->data;
	bool broken = status < 0; /* the socket has an error: libuv has stopped the handle */
	if (broken)
		c->armed = 0;
	loop_refresh(c->owner->base.loop);
	switch (c->state) {
	case CONNECTION_CONNECTING:
		on_connected(c);
		break;
	case CONNECTION_IDLE: /* it was closed, or says what nobody asked for */
		close_idle(c);
		break;
	case CONNECTION_BUSY:
		if (c->flight->x->verdict) /* the hook aborts it */
			break;
		if (!broken && events & UV_WRITABLE)
			send_rest(c);
		if (broken || events & UV_READABLE)
			receive(c, broken);
		break;
	case CONNECTION_CLOSED:
		break;
	}
}

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
			next_address(c, ETIMEDOUT);
		else
			close_connecting(c);
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
		take_off(c, f);
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
		close_connection(f->c);
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
		close_idle(e->idle.first);
	while (e->connecting.first)
		close_connecting(e->connecting.first);
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
	free(d->bytes);
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
	d->bytes = malloc(READ_BYTES);
	if (!d->endpoints || !d->bytes || pool_new(&d->flights, sizeof(struct flight), FLIGHTS_MAX))
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
