/* event_names.h - what the numbers in packed records stand for.
 *
 * A key's number is its place in the table of the program that wrote the record, a type's
 * likewise. So that another version can read it, a log begins with the names: texts that end
 * with a NUL, those of the keys, an empty one, the topics of the types, an empty one. What
 * the reader does not know is passed over, as it is on the wire. Pure functions, any thread. */
#ifndef PERIGEE_EVENTS_EVENT_NAMES_H
#define PERIGEE_EVENTS_EVENT_NAMES_H

#include "base/buffer.h"
#include "events/event.h"

#define EVENT_NAMES_MAX 256 /* of keys, and of types */

struct event_key;

struct event_names {
	const struct event_key *keys[EVENT_NAMES_MAX]; /* NULL: not known */
	enum event_type types[EVENT_NAMES_MAX];        /* EVENT_CUSTOM: not known */
	unsigned key_count, type_count;
};

/* Append the names that event_pack() writes numbers for. Returns as buffer_append(). */
int event_names_put(struct buffer *out);

/* Read a list of len bytes. Returns 0, or STATUS_EPROTO: it is none, or too long. */
int event_names_read(struct event_names *n, const char *data, size_t len);

/* NULL and EVENT_CUSTOM: not known, or names is NULL. */
const struct event_key *event_names_key(const struct event_names *names, uint64_t number);
enum event_type event_names_type(const struct event_names *names, uint64_t number);

#endif
