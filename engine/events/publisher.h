/* publisher.h - sends events in batches over one ZeroMQ XPUB socket.
 *
 * Owned by the session, used on its thread only. A record is encoded once, into
 * the buffer of its topic; a flush makes one frame of each non-empty buffer, in
 * the order of EVENT_MAP, and gives it to the outlet. Rules:
 *  1. A frame leaves the queue only after its send succeeded; none passes another.
 *  2. Bytes that are buffered, queued or inside ZeroMQ never pass max_bytes. What
 *     comes beyond it is the matter of config.overflow. What is dropped is counted
 *     in stats.dropped, and the caller must tell. The last 64 KiB of max_bytes (an
 *     eighth, when that is less) are kept for session.* events, so that a
 *     subscriber learns of the end.
 *  3. session.* events and phase_start, phase_end are sent alone, after a flush of
 *     all before them: no frame spans two phases.
 *  4. No subscriber: frames are sent and go nowhere; that is no loss. Who passes events
 *     then saves even their encoding; one number of a topic's frames stands for all that
 *     was passed in between.
 *  5. With several subscribers the slowest sets the pace. */
#ifndef PERIGEE_EVENTS_PUBLISHER_H
#define PERIGEE_EVENTS_PUBLISHER_H

#include "base/loop.h"
#include "base/status.h"
#include "events/event.h"

enum framing {
	FRAMING_TOPIC,     /* a batch under its own topic: native filtering works */
	FRAMING_MLCOMMONS, /* one "batch" topic, records in insertion order; custom.* is left out */
};

/* What becomes of records that the subscribers are too slow for. */
enum overflow {
	OVERFLOW_SPILL, /* frames go to a file and are sent later, in their order. Dropped
	                   only when that fails. May wait for the file system */
	OVERFLOW_DROP,  /* new records are dropped; put() never waits */
	OVERFLOW_BLOCK, /* put() waits for the socket, block_ns at most, then drops */
};

struct publisher_config {
	const char *address; /* "ipc:///path", "tcp://127.0.0.1:5600" (port 0 or *: any free) */
	enum framing framing;
	uint32_t send_threshold; /* records; 0: 1000. A subscriber puts at most 64 Ki in order */
	size_t batch_bytes;      /* flush at, an eighth of max_bytes at most; 0: 256 KiB */
	uint64_t max_age_ns;     /* flush when the oldest record is so old; 0: 100 ms */
	size_t max_bytes;        /* of memory for what is not delivered yet; 0: 256 MiB */
	int hwm;                 /* frames inside ZeroMQ per subscriber; 0: 1000 */
	enum overflow overflow;
	uint64_t block_ns;     /* BLOCK: a put() waits at most; 0: 1 s */
	size_t queue_bytes;    /* SPILL: bound on frames that wait in memory, a quarter of
	                          max_bytes at most; 0: 64 MiB */
	const char *spill_dir; /* SPILL: where the file is; NULL: $TMPDIR, else /tmp */
	uint64_t spill_limit;  /* SPILL: bytes of the file's contents; 0: 8 GiB */
};

/* put + left_out + dropped is what was offered; put = sent + buffered + pending. */
struct publisher_stats {
	uint64_t put;         /* records accepted, and not dropped since */
	uint64_t sent;        /* records handed to ZeroMQ, or passed */
	uint64_t dropped;     /* records refused, or lost by the spill file or for want of memory */
	uint64_t left_out;    /* custom records that the mlcommons framing cannot carry */
	uint64_t batches;     /* frames sent */
	uint64_t bytes;       /* of these frames */
	uint64_t buffered;    /* records in topic buffers now */
	uint64_t pending;     /* records in frames that wait for the socket now, on disk too */
	uint64_t held;        /* bytes that count against max_bytes now */
	uint64_t spilled;     /* records that ever went to the spill file */
	uint64_t spill_bytes; /* in the spill file now */
	int spill_error;      /* why the spill file lost records, last; 0: it did not */
	uint64_t blocked_ns;  /* that puts have waited for the socket */
	uint64_t subscriptions; /* now */
};

struct publisher;

/* Bind, and make the spill file. *out belongs to the caller, who closes it before
 * freeing the loop. A socket file that nobody listens on is replaced. Returns 0,
 * STATUS_EADDRINUSE, _EINVAL, _EACCES, _ENOENT, _ENOSPC, _ENOMEM or _EIO with e filled. */
int publisher_open(struct publisher **out, struct loop *loop, const struct publisher_config *config,
                   struct error *e);

/* The bound address, with the real port. */
const char *publisher_address(const struct publisher *p);

/* Wait until `count` subscriptions (one for each topic of each subscriber) have
 * arrived: ready means *subscribed*. Turns the loop while waiting.
 * Returns 0, STATUS_ETIMEDOUT or STATUS_EIO. */
int publisher_await(struct publisher *p, unsigned count, uint64_t deadline_ns);

/* Accept one event, and flush when it is time. Returns 0, or a status when records were
 * dropped, this one or others: stats.dropped has their number. */
int publisher_put(struct publisher *p, const struct event *e);

/* Would nobody get it? Then it counts as sent, without the work. False: put it. */
bool publisher_pass(struct publisher *p, const struct event *e);

/* Send what is buffered now, as far as the socket takes it; the rest is queued.
 * Returns 0, or a status when records were dropped. */
int publisher_flush(struct publisher *p);

void publisher_stats(const struct publisher *p, struct publisher_stats *out);

/* Flush and wait until the operating system has taken everything for every peer or
 * deadline_ns. Does not turn the loop. Returns the records that are left. */
uint64_t publisher_drain(struct publisher *p, uint64_t deadline_ns);

/* Flush, wait until the operating system has taken everything for every peer, the
 * spill file's contents too, or deadline_ns, free. Does not turn the loop, blocks at
 * most until the deadline. *undelivered (may be NULL): records still queued, on disk
 * or inside ZeroMQ at the deadline, and those lost on the way since the call. NULL p is fine.
 * Returns 0 or STATUS_ETIMEDOUT. */
int publisher_close(struct publisher *p, uint64_t deadline_ns, uint64_t *undelivered);

#endif
