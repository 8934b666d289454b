#include "session/alarms.h"

#include "base/status.h"

#include <stdlib.h>

#define FIRST_ALARMS 16

struct alarm {
	uint64_t due_ns;
	uint64_t seq; /* ties break in the order of adding */
	intptr_t what;
};

struct alarms {
	struct alarm *heap; /* heap[0] is due first */
	size_t count, cap, max;
	uint64_t next_seq;
};

int alarms_new(struct alarms **out, size_t max)
{
	struct alarms *a = calloc(1, sizeof(*a));
	if (!a)
		return STATUS_ENOMEM;
	a->max = max;
	*out = a;
	return STATUS_OK;
}

void alarms_free(struct alarms *a)
{
	if (!a)
		return;
	free(a->heap);
	free(a);
}

static bool before(const struct alarm *a, const struct alarm *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

static int grow(struct alarms *a)
{
	if (a->count == a->max)
		return STATUS_ELIMIT;
	size_t cap = a->cap ? a->cap * 2 : FIRST_ALARMS;
	struct alarm *heap = realloc(a->heap, cap * sizeof(*heap));
	if (!heap)
		return STATUS_ENOMEM;
	a->heap = heap;
	a->cap = cap;
	return STATUS_OK;
}

int alarms_add(struct alarms *a, uint64_t due_ns, intptr_t what)
{
	int err = a->count == a->cap || a->count == a->max ? grow(a) : STATUS_OK;
	if (err)
		return err;
	struct alarm added = { due_ns, a->next_seq++, what };
	size_t at = a->count++;
	for (; at > 0 && before(&added, &a->heap[(at - 1) / 2]); at = (at - 1) / 2)
		a->heap[at] = a->heap[(at - 1) / 2];
	a->heap[at] = added;
	return STATUS_OK;
}

uint64_t alarms_next(const struct alarms *a)
{
	return a && a->count ? a->heap[0].due_ns : UINT64_MAX;
}

/* The earlier child of the alarm at `at`; the end when it has none. */
static size_t earlier_child(const struct alarms *a, size_t at)
{
	size_t child = 2 * at + 1;
	if (child + 1 < a->count && before(&a->heap[child + 1], &a->heap[child]))
		child++;
	return child < a->count ? child : a->count;
}

bool alarms_pop(struct alarms *a, uint64_t now_ns, intptr_t *what)
{
	if (!a || !a->count || a->heap[0].due_ns > now_ns)
		return false;
	*what = a->heap[0].what;
	struct alarm last = a->heap[--a->count];
	size_t at = 0, child;
	while ((child = earlier_child(a, at)) < a->count && before(&a->heap[child], &last)) {
		a->heap[at] = a->heap[child];
		at = child;
	}
	if (a->count)
		a->heap[at] = last;
	return true;
}
