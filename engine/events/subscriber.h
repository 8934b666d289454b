/* subscriber.h - receives a publisher's events, in either framing.
 *
 * Owned and used on the loop's thread. A frame that cannot be decoded is
 * counted and skipped, never fatal. Gaps in seq are counted when all topics
 * are subscribed. */
#ifndef PERIGEE_EVENTS_SUBSCRIBER_H
#define PERIGEE_EVENTS_SUBSCRIBER_H

#include "base/loop.h"
#include "base/status.h"
#include "events/event.h"

struct subscriber_stats {
	uint64_t frames;
	uint64_t records;
	uint64_t corrupt;   /* frames or records that could not be decoded */
	uint64_t missing;   /* seq numbers not seen among those passed; reordering within a flush is
	                       fine */
	uint64_t duplicate; /* seq numbers seen twice */
	uint64_t lost_frames; /* gaps in the frame numbers of a topic */
};

struct subscriber;

/* Connect to address, subscribe to topics (NULL-terminated prefixes; NULL or
 * empty: everything). fn(ctx, e) for each event; e is valid during the call.
 * Returns 0 or a status with e filled. */
int subscriber_open(struct subscriber **out, struct loop *loop, const char *address,
                    const char *const *topics, void (*fn)(void *ctx, const struct event *e),
                    void *ctx, struct error *e);

void subscriber_stats(const struct subscriber *s, struct subscriber_stats *out);

void subscriber_close(struct subscriber *s); /* NULL is fine */

#endif
