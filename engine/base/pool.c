#include "base/pool.h"

#include "base/status.h"

#include <stdint.h>
#include <stdlib.h>

#define SLAB_OBJECTS 64
#define ALIGNMENT    16

/* Stands before each object: the contents stay untouched while it is free. */
struct header {
	struct header *next;
	uintptr_t pad; /* keeps objects aligned to ALIGNMENT */
};

struct slab {
	struct slab *next;
	size_t used; /* objects of this slab ever handed out */
	_Alignas(ALIGNMENT) char bytes[];
};

struct pool {
	size_t stride; /* header + object, rounded up */
	size_t max;
	size_t out;
	struct header *free;
	struct slab *slabs; /* the newest first; only that one has objects never used */
};

int pool_new(struct pool **out, size_t size, size_t max)
{
	if (size == 0 || max == 0 || size > SIZE_MAX / SLAB_OBJECTS / 2)
		return STATUS_EINVAL;
	struct pool *p = calloc(1, sizeof(*p));
	if (!p)
		return STATUS_ENOMEM;
	p->stride = sizeof(struct header) + ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
	p->max = max;
	*out = p;
	return STATUS_OK;
}

static struct header *slab_object(const struct pool *p, struct slab *s, size_t i)
{
	return (struct header *)(void *)(s->bytes + i * p->stride);
}

void pool_free(struct pool *p, void (*fini)(void *object))
{
	if (!p)
		return;
	while (p->slabs) {
		struct slab *s = p->slabs;
		p->slabs = s->next;
		for (size_t i = 0; fini && i < s->used; i++)
			fini(slab_object(p, s, i) + 1);
		free(s);
	}
	free(p);
}

static struct header *fresh_object(struct pool *p)
{
	struct slab *s = p->slabs;
	if (!s || s->used == SLAB_OBJECTS) {
		s = calloc(1, sizeof(*s) + SLAB_OBJECTS * p->stride);
		if (!s)
			return NULL;
		s->next = p->slabs;
		p->slabs = s;
	}
	return slab_object(p, s, s->used++);
}

void *pool_get(struct pool *p)
{
	if (p->out == p->max)
		return NULL;
	struct header *h = p->free;
	if (h)
		p->free = h->next;
	else
		h = fresh_object(p);
	if (!h)
		return NULL;
	p->out++;
	return h + 1;
}

void pool_put(struct pool *p, void *object)
{
	struct header *h = (struct header *)object - 1;
	h->next = p->free;
	p->free = h;
	p->out--;
}

size_t pool_used(const struct pool *p)
{
	return p->out;
}
