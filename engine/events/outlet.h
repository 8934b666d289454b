/* outlet.h - the way of frames out: one XPUB socket, and what it does not take yet.
 *
 * Owned by the publisher, used on its thread only. Frames leave in the order of
 * outlet_put(). What the socket does not take waits in a queue in memory; with a
 * spill file, what would make that longer than queue_bytes waits on disk, and as
 * long as anything does, all that is new goes behind it. A frame leaves the queue
 * only after its send succeeded, whatever made it fail before; its memory is given
 * up only when ZeroMQ released it. */
#ifndef PERIGEE_EVENTS_OUTLET_H
#define PERIGEE_EVENTS_OUTLET_H

#include "base/loop.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

/* What a frame costs beside its bytes: its block's head, its entry and its message
 * inside ZeroMQ, the allocator's share. */
#define FRAME_OVERHEAD 256

struct outlet;

/* The memory of one frame: this head, then its bytes. From malloc(). */
struct block {
	struct block *next; /* in the queue, or among the spare ones */
	struct outlet *owner;
	zmq_msg_t msg;    /* in the queue: holds the block's bytes */
	size_t cap;       /* of the whole block */
	uint32_t size;    /* of the frame */
	uint32_t records; /* in it */
};

struct outlet_config {
	const char *address;
	int hwm;             /* frames inside ZeroMQ per subscriber */
	bool spill;          /* the rest is for this alone */
	size_t queue_bytes;  /* frames that wait in memory; one may be larger */
	size_t window_bytes; /* frames inside ZeroMQ; one may be larger */
	const char *spill_dir;
	uint64_t spill_limit;
};

struct outlet_stats {
	uint64_t sent, batches, bytes; /* records, frames and their bytes handed to ZeroMQ */
	uint64_t lost;                 /* records: no memory, or the spill file failed */
	uint64_t pending;              /* records that wait for the socket, on disk too */
	uint64_t spilled;              /* records that ever went to disk */
	uint64_t spill_bytes;          /* now */
	int spill_error;               /* the last status of the spill file that lost records */
	uint64_t subscriptions;
};

/* Bind. *out belongs to the caller, who closes it before freeing the loop.
 * Returns as publisher_open(). */
int outlet_open(struct outlet **out, struct loop *loop, const struct outlet_config *config,
                struct error *e);

/* Free. Waits at most linger_ms for ZeroMQ; *o is gone, and all that waited. */
void outlet_close(struct outlet *o, int linger_ms);

const char *outlet_address(const struct outlet *o);

/* Memory that was a frame's before, or NULL: only cap is valid. The caller's. */
struct block *outlet_spare(struct outlet *o);

/* Send or keep the frame; takes b, of which cap, size and records are set. May be
 * called from inside a send. Returns 0, or a status: its records are lost and counted. */
int outlet_put(struct outlet *o, struct block *b);

/* Take in subscriptions, send what waits as far as the socket takes it. */
void outlet_service(struct outlet *o);

/* Block until something may have changed, 1 ms at most. Does not turn the loop. */
void outlet_wait(struct outlet *o);

/* Bytes of memory that its frames take, ZeroMQ's included. */
size_t outlet_held(const struct outlet *o);

/* Nobody has subscribed, as far as outlet_service() saw, and nothing is on its way. */
bool outlet_is_idle(const struct outlet *o);

/* Records that the operating system has not taken for every peer. */
uint64_t outlet_undelivered(const struct outlet *o);

void outlet_stats(const struct outlet *o, struct outlet_stats *out);

#endif
