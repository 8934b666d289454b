/* requests.h - the requests of a session: built when they are due, handed to their
 * clients, followed to their end.
 *
 * Owns each of them and tells their events. Owned by the session, used on its thread.
 * Nothing is issued from inside a callback of a client. */
#ifndef PERIGEE_SESSION_REQUESTS_H
#define PERIGEE_SESSION_REQUESTS_H

#include "base/loop.h"
#include "base/status.h"
#include "http/client.h"
#include "session/journal.h"
#include "session/phase.h"

struct requests;

struct requests_config {
	struct loop *loop;       /* borrowed, as is the journal */
	struct journal *journal; /* where their events go */
	uint64_t id[2];          /* of the session: part of their own */
	uint64_t max;            /* at a time, of all phases */
	/* The session cannot go on; the first error counts. */
	void (*failed)(void *ctx, const struct error *e, enum phase_stop why);
	/* A request ended, or there was nothing to send for one. */
	void (*ended)(void *ctx);
	void *ctx;
};

/* Returns 0 or STATUS_ENOMEM. */
int requests_new(struct requests **out, const struct requests_config *config);
void requests_free(struct requests *rs); /* after the clients; NULL is fine */

/* For the clients of their phases, with the requests as ctx. */
extern const struct client_sink requests_sink;

/* Ask phase p for one more of this content (0: the sample's); *id names it. Returns as
 * phase_want(). */
int requests_want(struct requests *rs, struct phase *p, int64_t index, intptr_t content,
                  uint64_t *id);

/* Issue what was asked for, and arrivals that are due, as many as the budget and the phase's
 * rules allow. Return what is left of the budget. */
int requests_issue_wants(struct requests *rs, struct phase *p, int budget);
int requests_issue_arrivals(struct requests *rs, struct phase *p, int budget);

/* Let go of what was built ahead for the next arrival. */
void requests_drop_ready(struct requests *rs, struct phase *p);

/* End one early; one that is about to end is left alone. */
void requests_cancel(struct request *r, enum failure why);

/* The same by its id, as FAILURE_CANCELLED. One that is not yet sent is taken back, and nothing
 * is told of it. False: phase p has none of this id that has not ended. */
bool requests_cancel_id(struct requests *rs, struct phase *p, uint64_t id);

/* End all of phase p, or of all phases (NULL), as FAILURE_ABANDONED. */
void requests_abandon(struct requests *rs, const struct phase *p);

uint64_t requests_count(const struct requests *rs); /* those built ahead included */
bool requests_inflight(const struct requests *rs);  /* is any with a client? */

#endif
