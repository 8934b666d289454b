/* steady.h - where the start of a phase ends and its steady part begins.
 *
 * The rule of MSER: cut the d first values of a series such that the squared standard error
 * of the mean of the rest is least (K. P. White, An effective truncation heuristic for bias
 * reduction in simulation output, Simulation 69(6), 1997). Values here are those of the bins
 * of a series: completions and the mean latency, whichever asks for the longer cut. Pure. */
#ifndef PERIGEE_METRICS_STEADY_H
#define PERIGEE_METRICS_STEADY_H

#include "metrics/series.h"

#define STEADY_FEWEST 10 /* whole bins that such a window needs to be looked for */

/* The cut of n values: 0 to n / 2. Negative: the least is beyond the half, so that no part
 * of the values looks steady. */
int steady_cut(const double *values, int n);

struct steady {
	int from, to;               /* bins, the last one not included */
	double rate_low, rate_high; /* completions per second: 95 %, by batch means (Student's t) */
};

/* The steady window among the bins that lie wholly before end_ns after the start (the
 * latest issue). False: too few bins, or none. */
bool steady_find(const struct series *s, uint64_t end_ns, struct steady *out);

#endif
