/* alarms.h - things of the owner's that are due at some time; a heap.
 *
 * Reads no clock. Owned by one phase, used on the session thread. */
#ifndef PERIGEE_SESSION_ALARMS_H
#define PERIGEE_SESSION_ALARMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alarms;

/* *out belongs to the caller; it holds at most max alarms. Returns 0 or STATUS_ENOMEM, and
 * then *out is untouched. */
int alarms_new(struct alarms **out, size_t max);
void alarms_free(struct alarms *a); /* NULL is fine */

/* what is the owner's own and comes back with alarms_pop(). Returns 0, STATUS_ELIMIT or
 * STATUS_ENOMEM. */
int alarms_add(struct alarms *a, uint64_t due_ns, intptr_t what);

/* When the next one is due; UINT64_MAX: there is none, or a is NULL. */
uint64_t alarms_next(const struct alarms *a);

/* Take the next one if it is due by now_ns; those due at the same time in the order of
 * adding. False: none is, or a is NULL. */
bool alarms_pop(struct alarms *a, uint64_t now_ns, intptr_t *what);

#endif
