/* ring.h - pointers from one thread to another, first in, first out, without locks.
 *
 * One thread produces, one consumes; what an item points to is seen by the consumer
 * as the producer left it. Both may sleep, each in its own way: the ring only says,
 * without ever missing one, when the other side has to be woken:
 *  - who finds the ring empty and wants to sleep calls ring_rest(); the producer asks
 *    ring_wants_item() once after a batch;
 *  - who finds the ring full keeps the item; the consumer asks ring_wants_room() once
 *    after a batch.
 * Bounded at birth. Nothing here blocks or allocates but ring_new(). */
#ifndef PERIGEE_BASE_RING_H
#define PERIGEE_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring;

/* Room for at least `items` (1 to 2^30), rounded up to a power of two. *out belongs to the
 * caller. Returns 0, STATUS_EINVAL or STATUS_ENOMEM, and then *out is untouched. */
int ring_new(struct ring **out, size_t items);
void ring_free(struct ring *r); /* NULL is fine; items are not looked at */

/* ---- the producer ---- */

/* item is not NULL. False: the ring is full, the item stays with the caller, and
 * ring_wants_room() will say so to the consumer. */
bool ring_push(struct ring *r, void *item);

/* After a batch, perhaps an empty one: did something come for a consumer that rests? True
 * once per rest: wake it. */
bool ring_wants_item(struct ring *r);

/* ---- the consumer ---- */

/* NULL: empty. */
void *ring_pop(struct ring *r);

/* After a batch: did the producer find the ring full? True once: wake it. */
bool ring_wants_room(struct ring *r);

/* Before it sleeps. False: there is an item, and it must not sleep. */
bool ring_rest(struct ring *r);

#endif
