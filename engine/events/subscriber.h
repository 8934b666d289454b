/* subscriber.h - receives a publisher's events, in either framing.
 *
 * Owned and used on the loop's thread. A frame that cannot be decoded is
 * counted and skipped, never fatal. seq and frame numbers are expected from 0:
 * who joins late has missed what came before. Gaps in seq are counted when all
 * topics are subscribed. A SESSION_STARTED with seq 0 after others begins a new
 * count, on top of what was counted before. */
#ifndef PERIGEE_EVENTS_SUBSCRIBER_H
#define PERIGEE_EVENTS_SUBSCRIBER_H

#include "base/loop.h"
#include "base/status.h"
#include "events/event.h"

struct subscriber_stats {
	uint64_t frames;
	uint64_t records;
	uint64_t corrupt;     /* frames or records that could not be decoded */
	uint64_t missing;     /* seq numbers below the highest that were not seen; records may come
	                         out of order by up to 64 Ki, as they do within a flush */
	uint64_t duplicate;   /* seq numbers seen twice, or more than 64 Ki below the highest */
	uint64_t lost_frames; /* gaps in the frame numbers of a topic */
};

struct subscriber;

/* Connect to address, subscribe to topics (NULL-terminated prefixes; NULL or
 * empty: everything). Whether somebody listens there shows only later. fn(ctx, e)
 * for each event that has such a prefix; e is valid during the call, which must not
 * close the subscriber. *out belongs to the caller, who closes it before freeing
 * the loop. Returns 0, STATUS_EINVAL, _ENOMEM or _EIO with e filled. */
int subscriber_open(struct subscriber **out, struct loop *loop, const char *address,
                    const char *const *topics, void (*fn)(void *ctx, const struct event *e),
                    void *ctx, struct error *e);

void subscriber_stats(const struct subscriber *s, struct subscriber_stats *out);

void subscriber_close(struct subscriber *s); /* NULL is fine */

#endif
