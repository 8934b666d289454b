/* worker.h - a thread with a loop of its own, and a lock-free ring each way.
 *
 * Its owner is the thread of another loop. Parcels go over by post() and come back by
 * reply(), each way first in, first out; they are not copied: who has a parcel may
 * touch what it lies in. Neither side is ever blocked by a full ring: what finds no
 * room waits in a list of its sender. The other side is woken once per batch, and
 * only when it sleeps.
 *
 * Functions are for the owner's thread unless said otherwise. */
#ifndef PERIGEE_BASE_WORKER_H
#define PERIGEE_BASE_WORKER_H

#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* Embedded in what is sent. In one queue at a time. */
struct parcel {
	struct parcel *next;
};

struct worker_config {
	size_t ring_items; /* of each ring; 0: 4096 */
	/* A parcel came. On the worker's thread, once per turn of its loop. */
	void (*on_parcel)(void *ctx, struct parcel *p);
	void *ctx;
};

/* A thread that is not started yet. owner is borrowed. *out belongs to the caller.
 * Returns 0, STATUS_ENOMEM or STATUS_EIO, and then *out is untouched. */
int worker_new(struct worker **out, struct loop *owner, const struct worker_config *config);

/* The worker's loop: the owner's to use until worker_start() and after worker_stop(). Hooks
 * that were added before the start run before the worker's own. */
struct loop *worker_loop(struct worker *w);

/* Returns 0, or STATUS_EIO when the system gives no thread. It gets no SIGINT, SIGTERM. */
int worker_start(struct worker *w);

/* Send p. It leaves with worker_flush() at the latest: call that once per turn. */
void worker_post(struct worker *w, struct parcel *p);
void worker_flush(struct worker *w);

/* The next parcel that came back; NULL: none at the moment. Take until then. */
struct parcel *worker_take(struct worker *w);

/* Before the owner's loop waits. False: there is something to take. */
bool worker_rest(struct worker *w);

/* CPU time that the thread has used; 0 when it does not run, or nobody tells. */
uint64_t worker_cpu(const struct worker *w);

/* Did the thread end unasked? Then it touches nothing any more. The owner is woken. */
bool worker_has_ended(const struct worker *w);

/* Did it not turn its loop for the last five calls? It may go on at any time. Call once
 * a second, from a timer: calls are counted, so that a process that was stopped, or an
 * owner that was busy, is not held against the worker. */
bool worker_is_stuck(struct worker *w);

/* End the thread after its present turn and wait for that. False: it did not end
 * within timeout_ns, and may still touch whatever it has. */
bool worker_stop(struct worker *w, uint64_t timeout_ns);

/* Of a worker that has stopped or was never started. NULL is fine. */
void worker_free(struct worker *w);

/* ---- on the worker's thread ---- */

/* Send p back. It leaves with the end of the turn at the latest. */
void worker_reply(struct worker *w, struct parcel *p);

/* Sleep until the owner has taken what was sent back. For a worker that has replied more
 * than it may. False: the owner wants the thread to end. */
bool worker_await_taken(struct worker *w);

#endif
