/* pacer.h - when the next request of an open load is due.
 *
 * Pulls intended times in batches, ahead of need, so that what a delay function
 * costs cannot disturb the timing. Reads no clock: times are monotonic ns,
 * absolute from the phase's start. Owned by one phase, session thread. */
#ifndef PERIGEE_SESSION_PACER_H
#define PERIGEE_SESSION_PACER_H

#include <stdbool.h>
#include <stdint.h>

/* Fill due[0..n) with ns from the phase's start. Returns how many (fewer than n:
 * the schedule ends there), or a negative status. */
typedef int (*pacer_pull)(void *ctx, uint64_t *due, int n);

/* As the last time of a batch: nothing is due until the schedule is planned anew. */
#define PACER_NEVER UINT64_MAX

struct pacer;

/* Returns 0 or STATUS_ENOMEM, and then *out is untouched. */
int pacer_new(struct pacer **out, pacer_pull pull, void *ctx);
void pacer_free(struct pacer *p); /* NULL is fine */

/* The schedule begins now. */
void pacer_start(struct pacer *p, uint64_t start_ns);

/* When the next request is due. Never decreases; may lie in the past, or be PACER_NEVER.
 * Returns 1, 0 at the end of the schedule, or the status of the pull; the last
 * two stay. */
int pacer_peek(struct pacer *p, uint64_t *due_ns);

/* The one that pacer_peek() told is dealt with. */
void pacer_pop(struct pacer *p);

/* Is an arrival planned that is due by now? Of those that were pulled; this pulls none. */
bool pacer_is_due(const struct pacer *p, uint64_t now_ns);

/* Is all known that is due by now: does the plan reach beyond it, or is it at its end? */
bool pacer_reaches(const struct pacer *p, uint64_t now_ns);

/* Forget what is planned after now_ns: the next look pulls anew, also when the
 * schedule had ended there. What is due by now stays. Not from inside a pull.
 * Returns how many arrivals were forgotten; *last (may be NULL) is the time of the
 * last one that stays or has passed, in ns from the phase's start, 0 before any. */
int pacer_replan(struct pacer *p, uint64_t now_ns, uint64_t *last);

#endif
