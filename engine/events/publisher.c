#include "events/publisher.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "events/address.h"
#include "events/msgpack.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <zmq.h>

#define CUSTOM_TOPICS  64 /* names of custom events with a buffer of their own */
#define CONTROL_ROOM   (64 * (size_t)1024)
#define RETRY_NS       (5 * NS_PER_MS)
#define SPARE_BLOCKS   32 /* with the next: at most 16 MiB of memory kept for reuse */
#define SPARE_MAX_SIZE ((size_t)512 * 1024)
#define ADDRESS_SIZE   512

/* A block is the memory of one frame: this head, then the bytes of the frame. It
 * begins as the contents of a batch's buffer, and the head is valid from the
 * moment it is made a frame of. */
struct block {
	struct block *next; /* among the spare ones */
	struct publisher *owner;
	size_t cap;       /* of the whole block */
	uint32_t size;    /* of the frame */
	uint32_t records; /* in it */
};

/* Offsets into a batch's buffer. */
#define FRAME_AT   sizeof(struct block)
#define PAYLOAD_AT (FRAME_AT + EVENT_TOPIC_SIZE)
#define ARRAY_AT   (PAYLOAD_AT + MSGPACK_HEAD_MAX) /* array32, filled in by the flush */

struct batch {
	struct buffer data;
	uint32_t records;
	enum event_type type; /* of the last record */
	size_t first;         /* offset of the first record's bin header */
	uint64_t next_frame;  /* number of its next frame */
	char topic[EVENT_TOPIC_SIZE];
};

/* A frame that the socket did not take yet. */
struct frame {
	struct frame *next;
	zmq_msg_t msg;
	uint32_t records;
	uint32_t size;
};

struct publisher {
	struct loop *loop;
	struct publisher_config config; /* with the defaults filled in */
	size_t control_room;            /* of max_bytes, for control events */
	char address[ADDRESS_SIZE];
	struct socket_file file;

	void *context, *socket;
	uv_poll_t *poll; /* freed by its close callback */
	struct loop_timer age, retry;

	/* One per type, then one per name of a custom event. The mlcommons framing
	 * uses the first alone. */
	struct batch batches[EVENT_CUSTOM + CUSTOM_TOPICS];
	unsigned batch_count;
	struct batch loose; /* a custom event whose name found no place */
	size_t buffered;    /* bytes of records in batches */

	struct frame *queue, **queue_end;
	struct publisher_stats stats;
	uint64_t told_left_out; /* as of the last record that carried it */

	/* Written by ZeroMQ's thread when it releases a block. */
	_Atomic(size_t) out_bytes; /* of frames that are queued or inside ZeroMQ */
	_Atomic(uint64_t) out_records;
	_Atomic(struct block *) spare;
	_Atomic(int) spares;
};

static size_t held_bytes(const struct publisher *p)
{
	return p->buffered + atomic_load_explicit(&p->out_bytes, memory_order_relaxed);
}

/* ---- blocks ---- */

/* ZeroMQ calls this from its own thread when no peer needs the frame any more. */
static void release_block(void *data, void *hint)
{
	struct block *b = hint;
	struct publisher *p = b->owner;
	(void)data;
	atomic_fetch_sub(&p->out_records, b->records);
	atomic_fetch_sub(&p->out_bytes, b->size);
	if (b->cap > SPARE_MAX_SIZE || atomic_fetch_add(&p->spares, 1) >= SPARE_BLOCKS) {
		if (b->cap <= SPARE_MAX_SIZE)
			atomic_fetch_sub(&p->spares, 1);
		free(b);
		return;
	}
	b->next = atomic_load(&p->spare);
	while (!atomic_compare_exchange_weak(&p->spare, &b->next, b))
		;
}

/* Only the session's thread takes, and others only add: the head that it sees
 * cannot be taken away and come back in between. */
static struct block *take_spare(struct publisher *p)
{
	struct block *b = atomic_load(&p->spare);
	while (b && !atomic_compare_exchange_weak(&p->spare, &b, b->next))
		;
	if (b)
		atomic_fetch_sub(&p->spares, 1);
	return b;
}

static void free_spares(struct publisher *p)
{
	struct block *b;
	while ((b = take_spare(p)))
		free(b);
}

/* ---- the socket ---- */

static void count_subscription(struct publisher *p, const char *data, size_t size)
{
	if (size && data[0] == 1)
		p->stats.subscriptions++;
	else if (size && data[0] == 0 && p->stats.subscriptions)
		p->stats.subscriptions--;
}

static void receive_subscriptions(struct publisher *p)
{
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	for (;;) {
		if (zmq_msg_recv(&msg, p->socket, ZMQ_DONTWAIT) >= 0)
			count_subscription(p, zmq_msg_data(&msg), zmq_msg_size(&msg));
		else if (errno != EINTR)
			break;
	}
	zmq_msg_close(&msg);
}

/* Returns 0 and then the message is ZeroMQ's, STATUS_EAGAIN, or STATUS_EIO. */
static int send_message(struct publisher *p, zmq_msg_t *msg, uint32_t records, uint32_t size)
{
	while (zmq_msg_send(msg, p->socket, ZMQ_DONTWAIT) < 0) {
		if (errno == EAGAIN)
			return STATUS_EAGAIN;
		if (errno != EINTR)
			return STATUS_EIO;
	}
	p->stats.sent += records;
	p->stats.batches++;
	p->stats.bytes += size;
	return STATUS_OK;
}

static void send_queue(struct publisher *p)
{
	while (p->queue) {
		struct frame *f = p->queue;
		int err = send_message(p, &f->msg, f->records, f->size);
		if (err == STATUS_EAGAIN)
			return;
		if (err)
			p->stats.dropped += f->records;
		p->stats.pending -= f->records;
		p->queue = f->next;
		zmq_msg_close(&f->msg);
		free(f);
	}
	p->queue_end = &p->queue;
}

/* The descriptor only tells that something happened since ZMQ_EVENTS was read
 * last, and a send may have read it for us: always leave with it read. */
static void service(struct publisher *p)
{
	int events;
	size_t size = sizeof(events);
	do {
		receive_subscriptions(p);
		send_queue(p);
		if (zmq_getsockopt(p->socket, ZMQ_EVENTS, &events, &size))
			return;
	} while (events & ZMQ_POLLIN);
	if (p->queue && !p->retry.slot)
		loop_timer_start(p->loop, &p->retry, loop_now(p->loop) + RETRY_NS);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	(void)status, (void)events;
	service(h->data);
}

/* XPUB does not say when a pipe has room again in a way that cannot be missed. */
static void on_retry(struct loop_timer *t, uint64_t now_ns)
{
	(void)now_ns;
	service(t->data);
}

/* ---- frames ---- */

static int queue_message(struct publisher *p, zmq_msg_t *msg, uint32_t records, uint32_t size)
{
	struct frame *f = malloc(sizeof(*f));
	if (!f)
		return STATUS_ENOMEM;
	zmq_msg_init(&f->msg);
	zmq_msg_move(&f->msg, msg);
	f->records = records;
	f->size = size;
	f->next = NULL;
	*p->queue_end = f;
	p->queue_end = &f->next;
	p->stats.pending += records;
	return STATUS_OK;
}

/* Send or queue the frame of size bytes at b + 1; takes b. */
static int emit_block(struct publisher *p, struct block *b)
{
	zmq_msg_t msg;
	uint32_t records = b->records, size = b->size; /* b is gone after the send */
	atomic_fetch_add(&p->out_bytes, size);
	atomic_fetch_add(&p->out_records, records);
	if (zmq_msg_init_data(&msg, b + 1, size, release_block, b)) {
		release_block(NULL, b);
		p->stats.dropped += records;
		return STATUS_ENOMEM;
	}
	int err = p->queue ? STATUS_EAGAIN : send_message(p, &msg, records, size);
	if (err == STATUS_EAGAIN)
		err = queue_message(p, &msg, records, size);
	if (err)
		p->stats.dropped += records;
	zmq_msg_close(&msg); /* empty unless it was dropped */
	return err;
}

/* Is it sent as the record itself, without an array around it? */
static bool is_bare(const struct publisher *p, const struct batch *b)
{
	if (p->config.framing == FRAMING_MLCOMMONS)
		return b->records == 1;
	return b == &p->loose;
}

/* Take away what is around the only record. Returns the length of the buffer. */
static size_t unwrap_single(struct batch *b)
{
	char *record = b->data.data + b->first + MSGPACK_HEAD_MAX;
	size_t size = b->data.len - b->first - MSGPACK_HEAD_MAX;
	memmove(b->data.data + PAYLOAD_AT, record, size);
	if (b->type != EVENT_CUSTOM) {
		struct event e = { .type = b->type };
		event_topic_bytes(&e, b->data.data + FRAME_AT);
	}
	return PAYLOAD_AT + size;
}

/* A frame that will wait must not hold much more memory than it is counted with. */
static void shrink_buffer(struct buffer *b, size_t len)
{
	if (b->cap / 2 < len)
		return;
	char *data = realloc(b->data, len);
	if (!data)
		return; /* the larger one is as good */
	b->data = data;
	b->cap = len;
}

/* Make a frame of the batch, which is empty afterwards. */
static int emit_batch(struct publisher *p, struct batch *b)
{
	size_t len = b->data.len;
	p->buffered -= len - FRAME_AT;
	p->stats.buffered -= b->records;
	if (is_bare(p, b))
		len = unwrap_single(b);
	else
		msgpack_put_array32(b->data.data + PAYLOAD_AT,
		                    b->records + (p->config.framing == FRAMING_TOPIC));

	if (p->queue)
		shrink_buffer(&b->data, len);
	struct block *block = (struct block *)(void *)b->data.data;
	*block = (struct block){ .owner = p,
		                 .cap = b->data.cap,
		                 .size = (uint32_t)(len - FRAME_AT),
		                 .records = b->records };
	b->data = (struct buffer){ .limit = b->data.limit };
	b->records = 0;
	b->next_frame++;
	return emit_block(p, block);
}

int publisher_flush(struct publisher *p)
{
	int err = STATUS_OK;
	loop_timer_stop(p->loop, &p->age);
	if (!p->stats.buffered && !p->queue)
		return STATUS_OK;
	for (unsigned i = 0; i <= p->batch_count; i++) {
		struct batch *b = i < p->batch_count ? &p->batches[i] : &p->loose;
		int rc = b->records ? emit_batch(p, b) : STATUS_OK;
		err = err ? err : rc;
	}
	service(p);
	return err;
}

static void on_age(struct loop_timer *t, uint64_t now_ns)
{
	(void)now_ns;
	publisher_flush(t->data);
}

/* ---- records ---- */

static int begin_batch(struct publisher *p, struct batch *b)
{
	struct block *spare = b->data.data ? NULL : take_spare(p);
	if (spare) {
		b->data.cap = spare->cap;
		b->data.data = (char *)spare;
	}
	b->data.len = 0;
	int err = buffer_reserve(&b->data, ARRAY_AT + MSGPACK_INT_MAX);
	if (err)
		return err;
	memcpy(b->data.data + FRAME_AT, b->topic, EVENT_TOPIC_SIZE);
	char *end = b->data.data + ARRAY_AT;
	if (p->config.framing == FRAMING_TOPIC)
		end = msgpack_put_uint(end, b->next_frame);
	b->first = b->data.len = (size_t)(end - b->data.data);
	return STATUS_OK;
}

/* Append e as a bin. Bytes beyond limit are refused; then the batch is as before. */
static int append_record(struct publisher *p, struct batch *b, const struct event *e, size_t limit)
{
	int err = b->records ? STATUS_OK : begin_batch(p, b);
	if (err)
		return err;
	size_t at = b->data.len, counted = b->records ? at : FRAME_AT;
	err = buffer_reserve(&b->data, MSGPACK_HEAD_MAX);
	if (err)
		return err;
	b->data.len += MSGPACK_HEAD_MAX;
	err = event_encode(e, &b->data);
	size_t size = b->data.len - at - MSGPACK_HEAD_MAX, added = b->data.len - counted;
	if (!err && held_bytes(p) + added > limit)
		err = STATUS_ELIMIT;
	if (err) {
		b->data.len = at;
		return err;
	}
	msgpack_put_bin32(b->data.data + at, (uint32_t)size);
	b->records++;
	b->type = e->type;
	p->buffered += added;
	p->stats.buffered++;
	p->stats.put++;
	return STATUS_OK;
}

static void init_batch(struct publisher *p, struct batch *b, const char topic[EVENT_TOPIC_SIZE])
{
	/* A frame's size has 32 bits. */
	size_t most = p->config.max_bytes < INT32_MAX ? p->config.max_bytes : INT32_MAX;
	buffer_init(&b->data, most + 4096);
	memcpy(b->topic, topic, EVENT_TOPIC_SIZE);
}

/* Linear: scripts have a handful of custom events, and they are rare. */
static struct batch *custom_batch(struct publisher *p, const struct event *e)
{
	char topic[EVENT_TOPIC_SIZE];
	event_topic_bytes(e, topic);
	for (unsigned i = EVENT_CUSTOM; i < p->batch_count; i++)
		if (memcmp(p->batches[i].topic, topic, EVENT_TOPIC_SIZE) == 0)
			return &p->batches[i];
	struct batch *b = &p->loose;
	if (p->batch_count < EVENT_CUSTOM + CUSTOM_TOPICS)
		b = &p->batches[p->batch_count++];
	if (b == &p->loose)
		memcpy(b->topic, topic, EVENT_TOPIC_SIZE);
	else
		init_batch(p, b, topic);
	return b;
}

static struct batch *batch_of(struct publisher *p, const struct event *e)
{
	if (p->config.framing == FRAMING_MLCOMMONS)
		return &p->batches[0];
	return e->type == EVENT_CUSTOM ? custom_batch(p, e) : &p->batches[e->type];
}

static bool is_custom(enum event_type type)
{
	return type >= EVENT_PHASE_START;
}

static bool is_alone(const struct publisher *p, const struct batch *b, enum event_type type)
{
	return event_is_control(type) || type == EVENT_PHASE_START || type == EVENT_PHASE_END ||
	       b == &p->loose;
}

static bool is_full(const struct publisher *p)
{
	return p->stats.buffered >= p->config.send_threshold ||
	       p->buffered >= p->config.batch_bytes;
}

static int put_record(struct publisher *p, const struct event *e)
{
	size_t limit = p->config.max_bytes - (event_is_control(e->type) ? 0 : p->control_room);
	if (held_bytes(p) >= limit) {
		p->stats.dropped++;
		return STATUS_ELIMIT;
	}
	struct batch *b = batch_of(p, e);
	bool alone = is_alone(p, b, e->type);
	if (alone)
		publisher_flush(p);
	int err = append_record(p, b, e, limit);
	if (err) {
		p->stats.dropped++;
		return err;
	}
	if (alone || is_full(p))
		return publisher_flush(p);
	if (!p->age.slot &&
	    loop_timer_start(p->loop, &p->age, loop_now(p->loop) + p->config.max_age_ns))
		return publisher_flush(p);
	return STATUS_OK;
}

/* The mlcommons framing has no place for custom records. Their number goes with
 * the next record, and again with each control event in case that was lost. */
static int put_mlcommons(struct publisher *p, const struct event *e)
{
	if (is_custom(e->type)) {
		p->stats.left_out++;
		return STATUS_OK;
	}
	uint64_t left_out = p->stats.left_out;
	if (left_out == p->told_left_out && !event_is_control(e->type))
		return put_record(p, e);
	struct event telling = *e;
	telling.left_out = left_out;
	int err = put_record(p, &telling);
	if (!err)
		p->told_left_out = left_out;
	return err;
}

int publisher_put(struct publisher *p, const struct event *e)
{
	return p->config.framing == FRAMING_MLCOMMONS ? put_mlcommons(p, e) : put_record(p, e);
}

/* ---- life ---- */

static void init_batches(struct publisher *p)
{
	char topic[EVENT_TOPIC_SIZE] = "batch";
	p->batch_count = p->config.framing == FRAMING_MLCOMMONS ? 1 : EVENT_CUSTOM;
	init_batch(p, &p->loose, topic);
	for (unsigned i = 0; i < p->batch_count; i++) {
		struct event e = { .type = (enum event_type)i };
		if (p->config.framing == FRAMING_TOPIC)
			event_topic_bytes(&e, topic);
		init_batch(p, &p->batches[i], topic);
	}
}

static void set_defaults(struct publisher *p)
{
	struct publisher_config *c = &p->config;
	c->send_threshold = c->send_threshold ? c->send_threshold : 1000;
	c->batch_bytes = c->batch_bytes ? c->batch_bytes : 256 * (size_t)1024;
	c->max_age_ns = c->max_age_ns ? c->max_age_ns : 100 * NS_PER_MS;
	c->max_bytes = c->max_bytes ? c->max_bytes : 256 * (size_t)1024 * 1024;
	c->hwm = c->hwm ? c->hwm : 1000;
	p->control_room = c->max_bytes / 8 < CONTROL_ROOM ? c->max_bytes / 8 : CONTROL_ROOM;
}

static int zmq_failure(const char *address, struct error *e)
{
	int status = errno == ENOTSUP || errno == EPROTONOSUPPORT || errno == ENODEV
	                     ? STATUS_EINVAL
	                     : status_from_errno(errno);
	return error_set(e, status, "%s: %s", address, zmq_strerror(errno));
}

static int bind_socket(struct publisher *p, const char *address, struct error *e)
{
	int on = 1;
	size_t size = sizeof(p->address);
	p->context = zmq_ctx_new();
	p->socket = p->context ? zmq_socket(p->context, ZMQ_XPUB) : NULL;
	if (!p->socket || zmq_setsockopt(p->socket, ZMQ_XPUB_NODROP, &on, sizeof(on)) ||
	    zmq_setsockopt(p->socket, ZMQ_XPUB_VERBOSER, &on, sizeof(on)) ||
	    zmq_setsockopt(p->socket, ZMQ_SNDHWM, &p->config.hwm, sizeof(p->config.hwm)) ||
	    zmq_bind(p->socket, address) ||
	    zmq_getsockopt(p->socket, ZMQ_LAST_ENDPOINT, p->address, &size))
		return zmq_failure(address, e);
	socket_file_note(&p->file, p->address);
	return STATUS_OK;
}

static int watch_socket(struct publisher *p, struct error *e)
{
	int fd;
	size_t size = sizeof(fd);
	if (zmq_getsockopt(p->socket, ZMQ_FD, &fd, &size))
		return zmq_failure(p->address, e);
	p->poll = malloc(sizeof(*p->poll));
	if (!p->poll)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	if (uv_poll_init(loop_uv(p->loop), p->poll, fd)) {
		free(p->poll);
		p->poll = NULL;
		return error_set(e, STATUS_EIO, "%s: cannot watch its descriptor", p->address);
	}
	p->poll->data = p;
	if (uv_poll_start(p->poll, UV_READABLE, on_readable))
		return error_set(e, STATUS_EIO, "%s: cannot watch its descriptor", p->address);
	service(p);
	return STATUS_OK;
}

static void free_poll(uv_handle_t *h)
{
	free(h);
}

static void free_queue(struct publisher *p)
{
	while (p->queue) {
		struct frame *f = p->queue;
		p->queue = f->next;
		zmq_msg_close(&f->msg);
		free(f);
	}
}

/* Every block is back when the context has ended, at the latest after linger_ms. */
static void destroy(struct publisher *p, int linger_ms)
{
	loop_timer_stop(p->loop, &p->age);
	loop_timer_stop(p->loop, &p->retry);
	if (p->poll)
		uv_close((uv_handle_t *)p->poll, free_poll);
	free_queue(p);
	if (p->socket) {
		zmq_setsockopt(p->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms));
		zmq_close(p->socket);
	}
	while (p->context && zmq_ctx_term(p->context) && errno == EINTR)
		;
	socket_file_remove(&p->file);
	free_spares(p);
	for (unsigned i = 0; i < p->batch_count; i++)
		buffer_free(&p->batches[i].data);
	buffer_free(&p->loose.data);
	free(p);
}

int publisher_open(struct publisher **out, struct loop *loop, const struct publisher_config *config,
                   struct error *e)
{
	int err = address_prepare(config->address, e);
	if (err)
		return err;
	if (config->hwm < 0)
		return error_set(e, STATUS_EINVAL, "hwm must not be negative");
	struct publisher *p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	p->loop = loop;
	p->config = *config;
	p->config.address = NULL; /* the caller's; p->address has the bound one */
	p->queue_end = &p->queue;
	p->age = (struct loop_timer){ .fn = on_age, .data = p };
	p->retry = (struct loop_timer){ .fn = on_retry, .data = p };
	set_defaults(p);
	init_batches(p);
	err = bind_socket(p, config->address, e);
	if (!err)
		err = watch_socket(p, e);
	if (err) {
		destroy(p, 0);
		return err;
	}
	*out = p;
	return STATUS_OK;
}

const char *publisher_address(const struct publisher *p)
{
	return p->address;
}

int publisher_await(struct publisher *p, unsigned count, uint64_t deadline_ns)
{
	const uint64_t step = 50 * NS_PER_MS; /* in case the descriptor missed something */
	for (;;) {
		service(p);
		if (p->stats.subscriptions >= count)
			return STATUS_OK;
		uint64_t now = loop_refresh(p->loop);
		if (now >= deadline_ns)
			return STATUS_ETIMEDOUT;
		uint64_t left = deadline_ns - now;
		int err = loop_turn(p->loop, left < step ? left : step);
		if (err)
			return err;
	}
}

void publisher_stats(const struct publisher *p, struct publisher_stats *out)
{
	*out = p->stats;
	out->held = held_bytes(p);
}

static uint64_t left_until(uint64_t deadline_ns)
{
	uint64_t now = clock_now();
	return now < deadline_ns ? deadline_ns - now : 0;
}

/* ZeroMQ releases a frame once the operating system has its bytes. */
uint64_t publisher_drain(struct publisher *p, uint64_t deadline_ns)
{
	publisher_flush(p);
	struct pollfd pfd = { .events = POLLIN };
	size_t size = sizeof(pfd.fd);
	zmq_getsockopt(p->socket, ZMQ_FD, &pfd.fd, &size);
	for (;;) {
		service(p);
		uint64_t records = atomic_load(&p->out_records), left = left_until(deadline_ns);
		if (!records || !left)
			return records;
		/* A release is not announced: look again each millisecond. */
		poll(&pfd, 1, 1);
	}
}

int publisher_close(struct publisher *p, uint64_t deadline_ns, uint64_t *undelivered)
{
	if (undelivered)
		*undelivered = 0;
	if (!p)
		return STATUS_OK;
	uint64_t records = publisher_drain(p, deadline_ns);
	if (undelivered)
		*undelivered = records;
	uint64_t left_ms = left_until(deadline_ns) / NS_PER_MS;
	destroy(p, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
	return records ? STATUS_ETIMEDOUT : STATUS_OK;
}
