#include "events/outlet.h"

#include "base/clock.h"
#include "events/address.h"
#include "events/publisher_test.h"
#include "events/spill.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define RETRY_NS        (5 * NS_PER_MS)
#define SPARE_MAX_SIZE  ((size_t)1 << 20) /* of one spare block */
#define SPARE_MAX_BYTES ((size_t)8 << 20) /* of all */
#define TRIM_ABOVE      ((size_t)1 << 20) /* bytes held, from which on blocks are cut to size */
#define ADDRESS_SIZE    512

int (*publisher_test_send)(zmq_msg_t *msg, void *socket, int flags) = zmq_msg_send;

struct outlet {
	struct loop *loop;
	struct outlet_config config;
	char address[ADDRESS_SIZE];
	struct socket_file file;

	void *context, *socket;
	int fd;          /* of the socket */
	uv_poll_t *poll; /* freed by its close callback */
	struct loop_timer retry;

	struct block *queue, **queue_end;
	size_t queued_bytes; /* as out_bytes, of the queue alone */
	uint64_t queued_records;
	struct spill *spill; /* NULL: what does not fit is the publisher's concern */
	bool sending;        /* a frame is between the queue and ZeroMQ */
	bool ended;          /* the context is gone: nothing can be sent or received */
	struct outlet_stats stats;

	/* Written by ZeroMQ's thread when it releases a block. */
	_Atomic(size_t) out_bytes; /* frame_cost() of what is queued or inside ZeroMQ */
	_Atomic(uint64_t) out_records;
	_Atomic(struct block *) spare;
	_Atomic(size_t) spare_bytes;
};

static size_t frame_cost(uint32_t size)
{
	return size + (size_t)FRAME_OVERHEAD;
}

/* ---- blocks ---- */

static void recycle(struct outlet *o, struct block *b)
{
	size_t cap = b->cap;
	if (cap > SPARE_MAX_SIZE ||
	    atomic_fetch_add(&o->spare_bytes, cap) + cap > SPARE_MAX_BYTES) {
		if (cap <= SPARE_MAX_SIZE)
			atomic_fetch_sub(&o->spare_bytes, cap);
		free(b);
		return;
	}
	b->next = atomic_load(&o->spare);
	while (!atomic_compare_exchange_weak(&o->spare, &b->next, b))
		;
}

/* ZeroMQ calls this from its own thread when no peer needs the frame any more. */
static void release_block(void *data, void *hint)
{
	struct block *b = hint;
	struct outlet *o = b->owner;
	uint32_t size = b->size, records = b->records;
	(void)data;
	recycle(o, b);
	atomic_fetch_sub(&o->out_bytes, frame_cost(size));
	atomic_fetch_sub(&o->out_records, records);
}

/* Only the session's thread takes, and others only add: the head that it sees
 * cannot be taken away and come back in between. */
struct block *outlet_spare(struct outlet *o)
{
	struct block *b = atomic_load(&o->spare);
	while (b && !atomic_compare_exchange_weak(&o->spare, &b, b->next))
		;
	if (b)
		atomic_fetch_sub(&o->spare_bytes, b->cap);
	return b;
}

static void free_spares(struct outlet *o)
{
	struct block *b;
	while ((b = outlet_spare(o)))
		free(b);
}

/* A block that may stay for long gives back what its frame does not need. */
static struct block *trim(struct outlet *o, struct block *b)
{
	size_t used = sizeof(*b) + b->size;
	if (outlet_held(o) < TRIM_ABOVE || b->cap <= used)
		return b;
	struct block *cut = realloc(b, used + 1); /* one more, as a buffer has */
	if (!cut)
		return b;
	cut->cap = used;
	return cut;
}

/* ---- the queue ---- */

static void push_front(struct outlet *o, struct block *b)
{
	b->next = o->queue;
	o->queue = b;
	if (!b->next)
		o->queue_end = &b->next;
	o->queued_bytes += frame_cost(b->size);
	o->queued_records += b->records;
}

static struct block *pop_front(struct outlet *o)
{
	struct block *b = o->queue;
	o->queue = b->next;
	if (!o->queue)
		o->queue_end = &o->queue;
	o->queued_bytes -= frame_cost(b->size);
	o->queued_records -= b->records;
	return b;
}

/* Takes b. */
static int push_back(struct outlet *o, struct block *b)
{
	b = trim(o, b);
	if (zmq_msg_init_data(&b->msg, b + 1, b->size, release_block, b)) {
		o->stats.lost += b->records;
		recycle(o, b);
		return STATUS_ENOMEM;
	}
	atomic_fetch_add(&o->out_bytes, frame_cost(b->size));
	atomic_fetch_add(&o->out_records, b->records);
	b->next = NULL;
	*o->queue_end = b;
	o->queue_end = &b->next;
	o->queued_bytes += frame_cost(b->size);
	o->queued_records += b->records;
	return STATUS_OK;
}

/* ---- the spill file ---- */

static void give_up_spill(struct outlet *o, int err)
{
	o->stats.lost += spill_records(o->spill);
	o->stats.spill_error = err;
	spill_clear(o->spill);
}

/* Bring the oldest frame on disk back. False: there is none, or no memory now. */
static bool refill(struct outlet *o)
{
	uint32_t size, records;
	int err = o->spill ? spill_peek(o->spill, &size, &records) : STATUS_EAGAIN;
	if (err == STATUS_EAGAIN)
		return false;
	struct block *b = err ? NULL : malloc(sizeof(*b) + size + 1);
	if (!err && !b)
		return false;
	if (!err)
		err = spill_take(o->spill, b + 1);
	if (err) {
		free(b);
		give_up_spill(o, err);
		return false;
	}
	*b = (struct block){
		.owner = o, .cap = sizeof(*b) + size, .size = size, .records = records
	};
	return push_back(o, b) == STATUS_OK;
}

static bool must_spill(const struct outlet *o, const struct block *b)
{
	if (!o->spill)
		return false;
	return spill_bytes(o->spill) ||
	       (o->queue && o->queued_bytes + frame_cost(b->size) > o->config.queue_bytes);
}

/* Takes b. */
static int spill_block(struct outlet *o, struct block *b)
{
	int err = spill_append(o->spill, b + 1, b->size, b->records);
	if (err) {
		o->stats.lost += b->records;
		o->stats.spill_error = err;
	} else {
		o->stats.spilled += b->records;
	}
	recycle(o, b);
	return err;
}

/* ---- sending ---- */

/* Without a spill file the publisher alone bounds what is held. */
static bool has_room(const struct outlet *o)
{
	size_t inside = atomic_load(&o->out_bytes) - o->queued_bytes;
	return !o->spill || !inside ||
	       inside + frame_cost(o->queue->size) <= o->config.window_bytes;
}

/* Give the oldest frame to ZeroMQ; when it does not take it, it stays the oldest.
 * The message is moved to a place that outlives the block, which is gone as soon
 * as ZeroMQ has it. */
static bool send_oldest(struct outlet *o)
{
	struct block *b = pop_front(o);
	uint32_t size = b->size, records = b->records;
	zmq_msg_t msg;
	int rc;
	zmq_msg_init(&msg);
	zmq_msg_move(&msg, &b->msg);
	do
		rc = publisher_test_send(&msg, o->socket, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		zmq_msg_move(&b->msg, &msg);
		push_front(o, b);
	} else {
		o->stats.sent += records;
		o->stats.batches++;
		o->stats.bytes += size;
	}
	zmq_msg_close(&msg);
	return rc >= 0;
}

/* Reached again from inside a send, it leaves the work to the outer call: nothing
 * may pass the frame that is on its way. */
static void send_queue(struct outlet *o)
{
	if (o->sending)
		return;
	o->sending = true;
	while ((o->queue || refill(o)) && has_room(o) && send_oldest(o))
		;
	o->sending = false;
}

int outlet_put(struct outlet *o, struct block *b)
{
	b->owner = o;
	if (must_spill(o, b))
		send_queue(o);
	if (must_spill(o, b))
		return spill_block(o, b);
	int err = push_back(o, b);
	send_queue(o);
	return err;
}

/* ---- the socket ---- */

static void count_subscription(struct outlet *o, const char *data, size_t size)
{
	if (size && data[0] == 1)
		o->stats.subscriptions++;
	else if (size && data[0] == 0 && o->stats.subscriptions)
		o->stats.subscriptions--;
}

static void receive_subscriptions(struct outlet *o)
{
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	for (;;) {
		if (zmq_msg_recv(&msg, o->socket, ZMQ_DONTWAIT) >= 0)
			count_subscription(o, zmq_msg_data(&msg), zmq_msg_size(&msg));
		else if (errno != EINTR)
			break;
	}
	zmq_msg_close(&msg);
}

/* Its descriptor may stay readable for ever. What waits is kept, to be told at the close. */
static void note_end(struct outlet *o)
{
	o->ended = true;
	if (o->poll)
		uv_poll_stop(o->poll);
}

/* The descriptor only tells that something happened since ZMQ_EVENTS was read
 * last, and a send may have read it for us: always leave with it read. */
void outlet_service(struct outlet *o)
{
	int events;
	size_t size = sizeof(events);
	if (o->sending || o->ended)
		return;
	do {
		receive_subscriptions(o);
		send_queue(o);
		if (zmq_getsockopt(o->socket, ZMQ_EVENTS, &events, &size)) {
			if (errno == ETERM)
				note_end(o);
			break;
		}
	} while (events & ZMQ_POLLIN);
	bool waiting = o->queue || (o->spill && spill_bytes(o->spill));
	if (waiting && !o->ended && !o->retry.slot)
		loop_timer_start(o->loop, &o->retry, loop_now(o->loop) + RETRY_NS);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	(void)status, (void)events;
	outlet_service(h->data);
}

/* XPUB does not say when a pipe has room again in a way that cannot be missed. */
static void on_retry(struct loop_timer *t, uint64_t now_ns)
{
	(void)now_ns;
	outlet_service(t->data);
}

void outlet_wait(struct outlet *o)
{
	struct pollfd pfd = { .fd = o->fd, .events = POLLIN };
	/* A release is not announced: look again each millisecond. */
	poll(&pfd, o->ended ? 0 : 1, 1);
}

/* ---- life ---- */

static int zmq_failure(const char *address, struct error *e)
{
	int status = errno == ENOTSUP || errno == EPROTONOSUPPORT || errno == ENODEV
	                     ? STATUS_EINVAL
	                     : status_from_errno(errno);
	return error_set(e, status, "%s: %s", address, zmq_strerror(errno));
}

/* Linger is set again by the close; it could not be once the context has ended. */
static int bind_socket(struct outlet *o, const char *address, struct error *e)
{
	int on = 1, zero = 0;
	size_t size = sizeof(o->address);
	o->context = zmq_ctx_new();
	o->socket = o->context ? zmq_socket(o->context, ZMQ_XPUB) : NULL;
	if (!o->socket || zmq_setsockopt(o->socket, ZMQ_LINGER, &zero, sizeof(zero)) ||
	    zmq_setsockopt(o->socket, ZMQ_XPUB_NODROP, &on, sizeof(on)) ||
	    zmq_setsockopt(o->socket, ZMQ_XPUB_VERBOSER, &on, sizeof(on)) ||
	    zmq_setsockopt(o->socket, ZMQ_SNDHWM, &o->config.hwm, sizeof(o->config.hwm)) ||
	    zmq_bind(o->socket, address) ||
	    zmq_getsockopt(o->socket, ZMQ_LAST_ENDPOINT, o->address, &size))
		return zmq_failure(address, e);
	socket_file_note(&o->file, o->address);
	return STATUS_OK;
}

static int watch_socket(struct outlet *o, struct error *e)
{
	size_t size = sizeof(o->fd);
	if (zmq_getsockopt(o->socket, ZMQ_FD, &o->fd, &size))
		return zmq_failure(o->address, e);
	o->poll = malloc(sizeof(*o->poll));
	if (!o->poll)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	if (uv_poll_init(loop_uv(o->loop), o->poll, o->fd)) {
		free(o->poll);
		o->poll = NULL;
		return error_set(e, STATUS_EIO, "%s: cannot watch its descriptor", o->address);
	}
	o->poll->data = o;
	if (uv_poll_start(o->poll, UV_READABLE, on_readable))
		return error_set(e, STATUS_EIO, "%s: cannot watch its descriptor", o->address);
	outlet_service(o);
	return STATUS_OK;
}

static void free_poll(uv_handle_t *h)
{
	free(h);
}

static void free_queue(struct outlet *o)
{
	while (o->queue) /* closing the message releases the block */
	{
		zmq_msg_t msg;
		struct block *b = pop_front(o);
		zmq_msg_init(&msg);
		zmq_msg_move(&msg, &b->msg);
		zmq_msg_close(&msg);
	}
}

/* Every block is back when the context has ended, at the latest after linger_ms. */
void outlet_close(struct outlet *o, int linger_ms)
{
	loop_timer_stop(o->loop, &o->retry);
	if (o->poll)
		uv_close((uv_handle_t *)o->poll, free_poll);
	free_queue(o);
	if (o->socket) {
		zmq_setsockopt(o->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
		zmq_close(o->socket);
	}
	while (o->context && zmq_ctx_term(o->context) && errno == EINTR)
		;
	socket_file_remove(&o->file);
	free_spares(o);
	spill_close(o->spill);
	free(o);
}

int outlet_open(struct outlet **out, struct loop *loop, const struct outlet_config *config,
                struct error *e)
{
	int err = address_prepare(config->address, e);
	if (err)
		return err;
	struct outlet *o = calloc(1, sizeof(*o));
	if (!o)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	o->loop = loop;
	o->config = *config;
	o->config.address = o->config.spill_dir = NULL; /* the caller's */
	o->queue_end = &o->queue;
	o->retry = (struct loop_timer){ .fn = on_retry, .data = o };
	err = config->spill ? spill_open(&o->spill, config->spill_dir, config->spill_limit, e)
	                    : STATUS_OK;
	if (!err)
		err = bind_socket(o, config->address, e);
	if (!err)
		err = watch_socket(o, e);
	if (err) {
		outlet_close(o, 0);
		return err;
	}
	*out = o;
	return STATUS_OK;
}

const char *outlet_address(const struct outlet *o)
{
	return o->address;
}

void *outlet_test_context(const struct outlet *o)
{
	return o->context;
}

size_t outlet_held(const struct outlet *o)
{
	return atomic_load_explicit(&o->out_bytes, memory_order_relaxed);
}

bool outlet_is_idle(const struct outlet *o)
{
	return !o->stats.subscriptions && !outlet_undelivered(o);
}

uint64_t outlet_undelivered(const struct outlet *o)
{
	return atomic_load(&o->out_records) + (o->spill ? spill_records(o->spill) : 0);
}

void outlet_stats(const struct outlet *o, struct outlet_stats *out)
{
	*out = o->stats;
	out->pending = o->queued_records + (o->spill ? spill_records(o->spill) : 0);
	out->spill_bytes = o->spill ? spill_bytes(o->spill) : 0;
}
