/* order_ranks.h - which observed values bound a percentile of what they were drawn from.
 *
 * The number of n independent values at or below the true q-quantile is binomial (n, q),
 * whatever their distribution, so two order statistics enclose it: David and Nagaraja,
 * Order Statistics, 3rd edition, section 7.1. Pure. */
#ifndef PERIGEE_METRICS_ORDER_RANKS_H
#define PERIGEE_METRICS_ORDER_RANKS_H

#include <stdint.h>

/* The ranks (1 to n) of values that enclose the q-quantile (0 < q < 1) with at least that
 * confidence, a half of the rest on either side; 0 where n values are too few for a bound.
 * Exact while n q (1 - q) <= 500, by the normal approximation beyond. */
void order_ranks(uint64_t n, double q, double confidence, uint64_t *low, uint64_t *high);

/* The same of n values that tell as much as so many independent ones, at most n: the ranks that
 * these would have, at the same shares of n. */
void order_ranks_of(uint64_t n, double independent, double q, double confidence, uint64_t *low,
                    uint64_t *high);

#endif
