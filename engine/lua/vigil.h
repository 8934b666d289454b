/* vigil.h - runs the loop until something ends it: what is awaited, a silence, a signal.
 *
 * The part that all bindings share that sit and listen. Lives on the C stack of one
 * call; the owner fills nothing and reads outcome and signum afterwards. */
#ifndef PERIGEE_LUA_VIGIL_H
#define PERIGEE_LUA_VIGIL_H

#include "base/input.h"
#include "base/loop.h"
#include "base/status.h"

struct vigil {
	struct loop *loop;
	struct loop_timer idle;
	struct input_watch *input;
	uint64_t idle_ns, last_ns; /* of the last sign of life */
	const char *outcome;       /* NULL while it runs; "idle", "interrupted" or the owner's */
	int signum;                /* that interrupted it; 0: none */
};

/* Begin. Silence for idle_ns ends it. until_eof: after the end of standard input, as
 * the parent's end shows, a second of silence is enough.
 * Returns 0, STATUS_ENOMEM or STATUS_EIO; vigil_end() in all cases. */
int vigil_begin(struct vigil *v, struct loop *loop, uint64_t idle_ns, bool until_eof);

/* Run until vigil_finish(). Returns 0 or STATUS_EIO. */
int vigil_run(struct vigil *v);

/* Something was heard. */
void vigil_touch(struct vigil *v);

/* End it after this turn; the first outcome stays. */
void vigil_finish(struct vigil *v, const char *outcome);

void vigil_end(struct vigil *v);

#endif
