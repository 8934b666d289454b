#include "events/publisher.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "events/msgpack.h"
#include "events/outlet.h"
#include "events/publisher_test.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOM_TOPICS 64 /* names of custom events with a buffer of their own */
#define CONTROL_ROOM  (64 * (size_t)1024)

/* Offsets into a batch's buffer, whose memory is to be the block of its frame. */
#define FRAME_AT   sizeof(struct block)
#define PAYLOAD_AT (FRAME_AT + EVENT_TOPIC_SIZE)
#define ARRAY_AT   (PAYLOAD_AT + MSGPACK_HEAD_MAX) /* array32, filled in by the flush */

struct batch {
	struct buffer data;
	uint32_t records;
	enum event_type type; /* of the last record */
	size_t first;         /* offset of the first record's bin header */
	uint64_t next_frame;  /* number of its next frame */
	bool passed;          /* records went by since its last frame */
	char topic[EVENT_TOPIC_SIZE];
};

struct publisher {
	struct loop *loop;
	struct publisher_config config; /* with the defaults filled in */
	size_t control_room;            /* of max_bytes, for control events */
	struct outlet *outlet;
	struct loop_timer age;

	/* One per type, then one per name of a custom event. The mlcommons framing
	 * uses the first alone. */
	struct batch batches[EVENT_CUSTOM + CUSTOM_TOPICS];
	unsigned batch_count;
	struct batch loose; /* a custom event whose name found no place */
	size_t buffered;    /* bytes of frames in the making, FRAME_OVERHEAD for each */

	struct publisher_stats stats; /* what the outlet counts is left 0; sent: those passed */
	uint64_t told_left_out;       /* as of the last record that carried it */
};

static size_t held_bytes(const struct publisher *p)
{
	return p->buffered + outlet_held(p->outlet);
}

/* ---- frames ---- */

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

/* Make a frame of the batch, which is empty afterwards. */
static int emit_batch(struct publisher *p, struct batch *b)
{
	size_t len = b->data.len;
	p->buffered -= len - FRAME_AT + FRAME_OVERHEAD;
	p->stats.buffered -= b->records;
	if (is_bare(p, b))
		len = unwrap_single(b);
	else
		msgpack_put_array32(b->data.data + PAYLOAD_AT,
		                    b->records + (p->config.framing == FRAMING_TOPIC));

	struct block *block = (struct block *)(void *)b->data.data;
	block->cap = b->data.cap;
	block->size = (uint32_t)(len - FRAME_AT);
	block->records = b->records;
	b->data = (struct buffer){ .limit = b->data.limit };
	b->records = 0;
	b->next_frame++;
	return outlet_put(p->outlet, block);
}

int publisher_flush(struct publisher *p)
{
	int err = STATUS_OK;
	loop_timer_stop(p->loop, &p->age);
	for (unsigned i = 0; i <= p->batch_count; i++) {
		struct batch *b = i < p->batch_count ? &p->batches[i] : &p->loose;
		int rc = b->records ? emit_batch(p, b) : STATUS_OK;
		err = err ? err : rc;
	}
	outlet_service(p->outlet);
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
	struct block *spare = b->data.data ? NULL : outlet_spare(p->outlet);
	if (spare) {
		b->data.cap = spare->cap;
		b->data.data = (char *)spare;
	}
	b->data.len = 0;
	int err = buffer_reserve(&b->data, ARRAY_AT + MSGPACK_INT_MAX);
	if (err)
		return err;
	memcpy(b->data.data + FRAME_AT, b->topic, EVENT_TOPIC_SIZE);
	b->next_frame += b->passed;
	b->passed = false;
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
	size_t at = b->data.len, overhead = b->records ? 0 : at - FRAME_AT + FRAME_OVERHEAD;
	err = buffer_reserve(&b->data, MSGPACK_HEAD_MAX);
	if (err)
		return err;
	b->data.len += MSGPACK_HEAD_MAX;
	err = event_encode(e, &b->data);
	size_t size = b->data.len - at - MSGPACK_HEAD_MAX, added = b->data.len - at + overhead;
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

/* Append, waiting for the socket while there is no room and it may still come. */
static int append_blocking(struct publisher *p, struct batch *b, const struct event *e,
                           size_t limit)
{
	uint64_t from = clock_now(), now = from;
	int err = append_record(p, b, e, limit);
	while (err == STATUS_ELIMIT && held_bytes(p) && now - from < p->config.block_ns) {
		outlet_wait(p->outlet);
		outlet_service(p->outlet);
		err = append_record(p, b, e, limit);
		now = clock_now();
	}
	p->stats.blocked_ns += clock_now() - from;
	return err;
}

/* There was no room for e. What is in batches moves on first: to the socket, or to disk. */
static int overflow(struct publisher *p, struct batch *b, const struct event *e, size_t limit)
{
	if (p->config.overflow == OVERFLOW_DROP)
		return STATUS_ELIMIT;
	publisher_flush(p);
	return p->config.overflow == OVERFLOW_BLOCK ? append_blocking(p, b, e, limit)
	                                            : append_record(p, b, e, limit);
}

static int put_record(struct publisher *p, const struct event *e)
{
	size_t limit = p->config.max_bytes - (event_is_control(e->type) ? 0 : p->control_room);
	struct batch *b = batch_of(p, e);
	bool alone = is_alone(p, b, e->type);
	if (alone)
		publisher_flush(p);
	/* A full house is told before the work of encoding. */
	int err = held_bytes(p) < limit ? append_record(p, b, e, limit) : STATUS_ELIMIT;
	if (err == STATUS_ELIMIT)
		err = overflow(p, b, e, limit);
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

/* What is on its way may still find a subscriber, who would miss what comes after it. */
bool publisher_pass(struct publisher *p, const struct event *e)
{
	bool single = event_is_control(e->type) || is_custom(e->type);
	if (single || p->stats.buffered || !outlet_is_idle(p->outlet))
		return false;
	batch_of(p, e)->passed = true;
	p->stats.put++;
	p->stats.sent++;
	return true;
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
	c->queue_bytes = c->queue_bytes ? c->queue_bytes : 64 * (size_t)1024 * 1024;
	c->spill_limit = c->spill_limit ? c->spill_limit : (uint64_t)8 << 30;
	c->block_ns = c->block_ns ? c->block_ns : NS_PER_S;
	size_t eighth = c->max_bytes / 8;
	p->control_room = eighth < CONTROL_ROOM ? eighth : CONTROL_ROOM;
	c->batch_bytes = eighth < c->batch_bytes ? eighth : c->batch_bytes;
}

/* When frames can spill, max_bytes is shared out so that each of its users has room
 * whatever the others do: half inside ZeroMQ, a quarter queued, the rest in batches
 * and for control events. */
static int open_outlet(struct publisher *p, const char *address, struct error *e)
{
	const struct publisher_config *c = &p->config;
	size_t quarter = c->max_bytes / 4;
	struct outlet_config config = {
		.address = address,
		.hwm = c->hwm,
		.spill = c->overflow == OVERFLOW_SPILL,
		.queue_bytes = c->queue_bytes < quarter ? c->queue_bytes : quarter,
		.window_bytes = 2 * quarter,
		.spill_dir = c->spill_dir,
		.spill_limit = c->spill_limit,
	};
	return outlet_open(&p->outlet, p->loop, &config, e);
}

static void destroy(struct publisher *p, int linger_ms)
{
	loop_timer_stop(p->loop, &p->age);
	if (p->outlet)
		outlet_close(p->outlet, linger_ms);
	for (unsigned i = 0; i < p->batch_count; i++)
		buffer_free(&p->batches[i].data);
	buffer_free(&p->loose.data);
	free(p);
}

int publisher_open(struct publisher **out, struct loop *loop, const struct publisher_config *config,
                   struct error *e)
{
	if (config->hwm < 0)
		return error_set(e, STATUS_EINVAL, "hwm must not be negative");
	struct publisher *p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	p->loop = loop;
	p->config = *config;
	p->age = (struct loop_timer){ .fn = on_age, .data = p };
	set_defaults(p);
	init_batches(p);
	int err = open_outlet(p, config->address, e);
	p->config.address = p->config.spill_dir = NULL; /* the caller's */
	if (err) {
		destroy(p, 0);
		return err;
	}
	*out = p;
	return STATUS_OK;
}

const char *publisher_address(const struct publisher *p)
{
	return outlet_address(p->outlet);
}

void *publisher_test_context(const struct publisher *p)
{
	return outlet_test_context(p->outlet);
}

int publisher_await(struct publisher *p, unsigned count, uint64_t deadline_ns)
{
	const uint64_t step = 50 * NS_PER_MS; /* in case the descriptor missed something */
	struct outlet_stats o;
	for (;;) {
		outlet_service(p->outlet);
		outlet_stats(p->outlet, &o);
		if (o.subscriptions >= count)
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
	struct outlet_stats o;
	outlet_stats(p->outlet, &o);
	*out = p->stats;
	out->put -= o.lost;
	out->dropped += o.lost;
	out->sent += o.sent;
	out->batches = o.batches;
	out->bytes = o.bytes;
	out->pending = o.pending;
	out->spilled = o.spilled;
	out->spill_bytes = o.spill_bytes;
	out->spill_error = o.spill_error;
	out->subscriptions = o.subscriptions;
	out->held = held_bytes(p);
}

static uint64_t left_until(uint64_t deadline_ns)
{
	uint64_t now = clock_now();
	return now < deadline_ns ? deadline_ns - now : 0;
}

static uint64_t lost(const struct publisher *p)
{
	struct outlet_stats o;
	outlet_stats(p->outlet, &o);
	return o.lost;
}

/* ZeroMQ releases a frame, one from the disk as well, once the operating system has its bytes. */
uint64_t publisher_drain(struct publisher *p, uint64_t deadline_ns)
{
	uint64_t lost_before = lost(p), records;
	publisher_flush(p);
	while ((records = outlet_undelivered(p->outlet)) && left_until(deadline_ns)) {
		outlet_wait(p->outlet);
		outlet_service(p->outlet);
	}
	return records + lost(p) - lost_before;
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
