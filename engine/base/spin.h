/* spin.h - how long before a due time a thread stops sleeping and polls instead.
 *
 * A sleep ends late by the timer's grain, which differs from host to host and with its load.
 * The window follows what was measured: it covers nearly all (63 of 64) of the latest
 * wake-ups and no more, so that little is polled where timers are good. A thread that polls
 * and is preempted is late by a whole slice of somebody else's, whereas one that slept is
 * served at once: each such period halves what is allowed, quiet ones give it back. Pure: reads no
 * clock; owned by one loop. */
#ifndef PERIGEE_BASE_SPIN_H
#define PERIGEE_BASE_SPIN_H

#include <stdint.h>

struct spin {
	uint64_t window_ns;  /* poll for so long before a due time; at most allowed_ns */
	uint64_t grain_ns;   /* estimate: few wake-ups are later than this */
	uint64_t max_ns;     /* what the owner allows; 0: never poll */
	uint64_t allowed_ns; /* and what contention leaves of that */
	unsigned hold, held; /* periods to wait after contention, and still to wait */
};

void spin_init(struct spin *s, uint64_t max_ns);

/* A sleep that was to end at a time ended so much later. */
void spin_woke(struct spin *s, uint64_t late_ns);

/* 100 ms have passed in which the thread was preempted so often. */
void spin_period(struct spin *s, uint64_t preempted);

#endif
