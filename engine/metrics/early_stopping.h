/* early_stopping.h - percentiles that a run may claim with confidence, as MLPerf's LoadGen does.
 *
 * A bound holds for the percentile p with the confidence c when so few of the requests are
 * above it that this would happen by chance less often than 1 - c if the percentile were at
 * the bound: with h requests below and t above, the chance is the binomial
 * P(at most t of h + t above | each is with 1 - p) = I_p(h, t + 1), the regularised incomplete
 * beta function. MLPerf: c = 0.99, without tolerance (d = 0). Source: mlcommons/inference,
 * loadgen/early_stopping.cc and results.cc. The continued fraction of I: Abramowitz and
 * Stegun, 26.5.8. Pure. */
#ifndef PERIGEE_METRICS_EARLY_STOPPING_H
#define PERIGEE_METRICS_EARLY_STOPPING_H

#include <stdint.h>

#define EARLY_STOPPING_CONFIDENCE 0.99

/* How many requests must be below, beside t above: the least h >= 1 with
 * I_p(h, t + 1) < 1 - c. p and c lie between 0 and 1. */
uint64_t early_stopping_least_below(uint64_t t, double p, double c);

/* The fewest requests of which a claim can be made at all. */
uint64_t early_stopping_floor(double p, double c);

/* How many of n requests may be above: the largest t >= 1 with least_below(t) + t <= n; the
 * t-th highest value is then the estimate. 0: n is below the floor. */
uint64_t early_stopping_above(uint64_t n, double p, double c);

#endif
