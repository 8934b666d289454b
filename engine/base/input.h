/* input.h - tells when standard input ends.
 *
 * The pipe that a parent holds closes however the parent ends: a child that
 * watches it outlives nobody. What comes in is dropped. Loop's thread only. */
#ifndef PERIGEE_BASE_INPUT_H
#define PERIGEE_BASE_INPUT_H

#include "base/loop.h"

struct input_watch;

/* Call fn(ctx) once, at the end. *out belongs to the caller, who closes it before the
 * loop; it is NULL when standard input is a file or closed, which have their end at
 * once, and then fn is not called. Returns 0 or STATUS_ENOMEM. */
int input_watch_open(struct input_watch **out, struct loop *loop, void (*fn)(void *ctx), void *ctx);

void input_watch_close(struct input_watch *w); /* NULL is fine */

#endif
