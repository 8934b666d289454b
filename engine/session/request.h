/* request.h - one request, from its intended time to its recorded end.
 *
 * Owned by the session's pool; knows its phase and embeds its exchange. Turns
 * itself into events; sends nothing. Session thread. */
#ifndef PERIGEE_SESSION_REQUEST_H
#define PERIGEE_SESSION_REQUEST_H

#include "events/event.h"
#include "http/client.h"
#include "session/driver.h"

#include <stdbool.h>
#include <stdint.h>

enum request_state {
	REQUEST_FREE,      /* in the pool */
	REQUEST_DUE,       /* has its content, not yet handed to the client */
	REQUEST_SENT,      /* with the client, no content back yet */
	REQUEST_STREAMING, /* the first content-bearing delta came */
	REQUEST_ENDED,     /* its end is being told; then it is free again */
	REQUEST_STATE_COUNT
};

struct request {
	struct exchange exchange; /* first: the client's callbacks cast back */
	struct phase *phase;
	struct job job;
	enum request_state state;
	uint64_t id; /* of the session, from 0 */
	uint64_t uuid[2];
	uint64_t scheduled_ns; /* when it was meant to be issued */
	uint64_t issued_ns;
	bool is_arrival;             /* of a schedule: what it is late counts */
	enum failure cancel;         /* not FAILURE_NONE: cancelled, for this reason */
	struct request *prev, *next; /* all in flight of the session */
	struct request *same_bucket; /* the session finds it by its id */
};

/* The only writer of r->state. */
void request_enter(struct request *r, enum request_state next);

/* SAMPLE_ISSUED, with the prompt when the phase records text. */
void request_issued_event(const struct request *r, struct event *e);

/* SAMPLE_RECV_FIRST at the response's first_ns. */
void request_first_event(const struct request *r, struct event *e);

/* SAMPLE_RECV_NON_FIRST; text is borrowed. */
void request_chunk_event(const struct request *r, struct event *e, uint64_t now_ns,
                         struct slice text);

/* ERROR_CLIENT: class and message; an error's body is in the message. */
void request_error_event(const struct request *r, struct event *e);

/* SAMPLE_COMPLETE, with the output when the phase records text. */
void request_complete_event(const struct request *r, struct event *e);

/* What people are told of a failure: the detail, with the error body's beginning
 * where there is one. */
struct slice request_message(const struct request *r);

#endif
