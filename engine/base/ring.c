#include "base/ring.h"

#include "base/status.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define CACHE_LINE 64
#define MAX_ITEMS  ((size_t)1 << 30)

/* Positions count up for ever; their difference is what lies in the ring. Each side
 * keeps the other's position as it last saw it, and looks again only when that
 * says full or empty: in between no cache line changes hands.
 *
 * How no wake is missed: who is about to sleep raises its flag by an exchange and then
 * looks at the ring once more; the other side first moves its position and then takes
 * the flag by an exchange. Of the two exchanges one comes second and sees what the other
 * thread did before its own: either the flag is seen raised, or the move is seen. */
struct ring {
	_Alignas(CACHE_LINE) void **items; /* never changes */
	size_t mask;

	_Alignas(CACHE_LINE) atomic_size_t tail; /* the producer's: next to fill */
	size_t head_seen;
	size_t told; /* tail when ring_wants_item() last asked */

	_Alignas(CACHE_LINE) atomic_size_t head; /* the consumer's: next to take */
	size_t tail_seen;

	_Alignas(CACHE_LINE) atomic_bool resting; /* the consumer may sleep */
	_Alignas(CACHE_LINE) atomic_bool full;    /* the producer was refused */
};

int ring_new(struct ring **out, size_t items)
{
	if (items < 1 || items > MAX_ITEMS)
		return STATUS_EINVAL;
	size_t size = 1;
	while (size < items)
		size *= 2;
	struct ring *r = aligned_alloc(CACHE_LINE, sizeof(*r));
	if (!r)
		return STATUS_ENOMEM;
	*r = (struct ring){ .mask = size - 1 };
	r->items = calloc(size, sizeof(*r->items));
	if (!r->items) {
		free(r);
		return STATUS_ENOMEM;
	}
	*out = r;
	return STATUS_OK;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	free(r->items);
	free(r);
}

static bool take_flag(atomic_bool *flag)
{
	return atomic_exchange_explicit(flag, false, memory_order_acq_rel);
}

static bool has_room(struct ring *r, size_t tail)
{
	if (tail - r->head_seen <= r->mask)
		return true;
	r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
	return tail - r->head_seen <= r->mask;
}

bool ring_push(struct ring *r, void *item)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (!has_room(r, tail)) {
		atomic_exchange_explicit(&r->full, true, memory_order_acq_rel);
		if (!has_room(r, tail))
			return false;
	}
	r->items[tail & r->mask] = item;
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

bool ring_wants_item(struct ring *r)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	if (tail == r->told)
		return false;
	r->told = tail;
	return take_flag(&r->resting);
}

void *ring_pop(struct ring *r)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (head == r->tail_seen) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head == r->tail_seen)
			return NULL;
	}
	void *item = r->items[head & r->mask];
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return item;
}

bool ring_wants_room(struct ring *r)
{
	return take_flag(&r->full);
}

bool ring_rest(struct ring *r)
{
	atomic_exchange_explicit(&r->resting, true, memory_order_acq_rel);
	r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
	return r->tail_seen == atomic_load_explicit(&r->head, memory_order_relaxed);
}
