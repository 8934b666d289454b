/* beacon.h - one text, said again and again, and those who watch it.
 *
 * A beacon publishes snapshots of a session: each is one ZeroMQ frame, the topic
 * "snapshot" padded with NUL to EVENT_TOPIC_SIZE bytes, then the text (JSON). Only
 * the latest counts: a watcher that is slow misses those between, and a beacon
 * never waits for one. Queues are short on both sides, and the watcher reads them
 * empty before it tells the last. ZMQ_CONFLATE would do this, but may lose the very
 * last message: when it is replaced by the mark of the closing socket, or comes just
 * while the one before it is read. Loop's thread only. */
#ifndef PERIGEE_EVENTS_BEACON_H
#define PERIGEE_EVENTS_BEACON_H

#include "base/loop.h"
#include "base/status.h"

#include <stddef.h>

#define BEACON_TOPIC "snapshot"

struct beacon;

/* Bind. A socket file that nobody listens on is replaced. *out belongs to the caller.
 * Returns as publisher_open(). */
int beacon_open(struct beacon **out, const char *address, struct error *e);

/* The bound address, with the real port. */
const char *beacon_address(const struct beacon *b);

/* Say it to all who watch now. Returns 0, STATUS_ENOMEM or STATUS_EIO. */
int beacon_send(struct beacon *b, const char *text, size_t len);

/* Give the last text a moment (a second at most) to leave. NULL is fine. */
void beacon_close(struct beacon *b);

struct watcher;

/* Connect to a beacon; fn(ctx, text, len) for the latest text each time, which is
 * valid during the call. The call must not close the watcher. Whether somebody is
 * there shows only later. *out belongs to the caller, who closes it before the loop.
 * Returns 0, STATUS_EINVAL, _ENOMEM or _EIO with e filled. */
int watcher_open(struct watcher **out, struct loop *loop, const char *address,
                 void (*fn)(void *ctx, const char *text, size_t len), void *ctx, struct error *e);

void watcher_close(struct watcher *w); /* NULL is fine */

#endif
