/* pool.h - objects of one size, made in slabs, handed out and taken back.
 *
 * Objects keep their address, and their contents between put and get, so that
 * an object may own buffers that are worth keeping. Fresh objects are zeroed.
 * One thread at a time. */
#ifndef PERIGEE_BASE_POOL_H
#define PERIGEE_BASE_POOL_H

#include <stddef.h>

struct pool;

/* A pool of at most max objects of size bytes. *out belongs to the caller.
 * Returns 0, STATUS_EINVAL or STATUS_ENOMEM, and then *out is untouched. */
int pool_new(struct pool **out, size_t size, size_t max);

/* Free every object, after calling fini (may be NULL) on each one ever handed out. */
void pool_free(struct pool *p, void (*fini)(void *object));

/* NULL when max objects are out or memory is short. */
void *pool_get(struct pool *p);
void pool_put(struct pool *p, void *object);

/* Objects handed out and not yet back. */
size_t pool_used(const struct pool *p);

#endif
