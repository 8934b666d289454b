/* floor.h - what this host can do at best: the costs and grains below which no run here can
 * measure anything.
 *
 * Each function measures one part for itself, on the calling thread, with a loop of its own
 * where it needs one. Meant for `perigee selftest` and the benches: they take the time that
 * they are given. Times are nanoseconds; a share is of the wall time, from 0 to 1. */
#ifndef PERIGEE_SESSION_FLOOR_H
#define PERIGEE_SESSION_FLOOR_H

#include "base/loop.h"

#include <stdint.h>

enum floor_arrivals { FLOOR_CONSTANT, FLOOR_POISSON };

struct floor_lateness {
	uint64_t count;
	uint64_t p50_ns, p99_ns, max_ns;
};

/* Arrivals of an open load, issued to nobody. */
struct floor_pacing {
	struct floor_lateness lateness;
	double cpu_share;  /* of one core */
	double spin_share; /* of the time, spent polling for what was due next */
	struct loop_stats loop;
};

/* Returns 0, STATUS_ENOMEM or STATUS_EIO, and then *out is untouched; so do those below. */
int floor_pacing(struct floor_pacing *out, double rate, enum floor_arrivals arrivals,
                 uint64_t duration_ns, uint64_t spin_ns);

/* How late the kernel wakes a thread that sleeps for a millisecond, count times: no polling. */
int floor_timer(struct floor_lateness *out, unsigned count);

/* One reading of the clock. */
double floor_clock(void);

/* What follows is CPU time of the thread. */

/* An event of a chat stream with 10 characters of text: found, parsed, counted. */
int floor_stream(double *event_ns);

/* A whole chat completion of about 1 KiB. */
int floor_answer(double *answer_ns);

/* The record of a request that ended: encoded, and sent by the thousand to a socket at this
 * address that nobody subscribes to. */
int floor_publisher(double *record_ns, const char *address);

#endif
