/* meter.h - how much time a kind of work takes: the sum, the number and the longest of its spans.
 *
 * A span costs two reads of the CPU's tick counter. How long a tick is comes out at
 * reading time, from the clock over the whole time since the meter's start. One writer,
 * who is the reader as well. */
#ifndef PERIGEE_BASE_METER_H
#define PERIGEE_BASE_METER_H

#include "base/clock.h"

struct meter {
	uint64_t ticks; /* inside spans, since the start */
	uint64_t spans;
	uint64_t longest; /* ticks, since the latest mark */
	/* at the start and at the mark */
	uint64_t start_ns, start_ticks;
	uint64_t mark_ticks, mark_spans;
};

/* What happened since the mark. */
struct meter_reading {
	uint64_t ns;
	uint64_t spans;
	uint64_t longest_ns;
};

void meter_start(struct meter *m, uint64_t now_ns);

/* What is read from here on counts from here. */
void meter_mark(struct meter *m);

void meter_read(const struct meter *m, uint64_t now_ns, struct meter_reading *out);

/* A span that began at clock_ticks() == begun ends now. */
static inline void meter_add(struct meter *m, uint64_t begun)
{
	uint64_t now = clock_ticks();
	uint64_t span = now > begun ? now - begun : 0; /* CPUs whose counters differ */
	m->ticks += span;
	m->spans++;
	if (span > m->longest)
		m->longest = span;
}

#endif
