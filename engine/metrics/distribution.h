/* distribution.h - a set of values of which percentiles are asked.
 *
 * Keeps the values themselves up to DISTRIBUTION_EXACT of them, so that percentiles
 * are observed values; beyond that a histogram of three digits. Of the first ones it knows the
 * order, which tells how they are correlated. Bounded memory: 80 KiB, and what a histogram
 * touches. Values are at most 2^50 - 1, 13 days in ns; greater ones count as that. One thread:
 * asking sorts the values in place, or turns what is left of them into counts. */
#ifndef PERIGEE_METRICS_DISTRIBUTION_H
#define PERIGEE_METRICS_DISTRIBUTION_H

#include <stdbool.h>
#include <stdint.h>

#define DISTRIBUTION_EXACT 10000

struct distribution;
struct histogram;

/* Returns 0 or STATUS_ENOMEM, and then *out is untouched. */
int distribution_new(struct distribution **out);
void distribution_free(struct distribution *d); /* NULL is fine */

/* Returns 0, or STATUS_ENOMEM when the value could not be kept. */
int distribution_add(struct distribution *d, uint64_t value);

/* n values, each values[i] * unit, cut to whole numbers. Returns as distribution_add(); the rest is
 * left out then. */
int distribution_add_each(struct distribution *d, const uint32_t *values, uint32_t n, double unit);

/* Add all values of from. The same returns. */
int distribution_merge(struct distribution *d, const struct distribution *from);

uint64_t distribution_count(const struct distribution *d);

/* Are percentiles observed values, or the tops of the histogram's buckets? */
bool distribution_is_exact(const struct distribution *d);

/* 0 when empty. min, max, sum and mean are exact; std is of the population, in a
 * histogram taken from the buckets. */
uint64_t distribution_min(struct distribution *d);
uint64_t distribution_max(struct distribution *d);
double distribution_sum(struct distribution *d);
double distribution_mean(struct distribution *d);
double distribution_std(struct distribution *d);

/* The value of that rank, 1 (lowest) to count; ranks outside give the nearest. 0 when empty. */
uint64_t distribution_rank(struct distribution *d, uint64_t rank);

/* The rank of a share q (0..1) among n: the lowest with at least q * n at or below it. */
uint64_t distribution_rank_of(uint64_t n, double q);

/* The lowest value such that at least q (0..1) of the values are at or below it. */
uint64_t distribution_quantile(struct distribution *d, double q);

/* How many independent values would tell the q-quantile (0 < q < 1) with a confidence of 95 % as
 * well as these do, at most their count: the values of a busy server are like their neighbours, and
 * the gaps of a response like each other. By the means of batches of the first DISTRIBUTION_EXACT
 * (see batch_means.h); all of them where they are too few to tell. */
double distribution_independent(struct distribution *d, double q);

/* Add the counts of all values to h. */
void distribution_merge_into(const struct distribution *d, struct histogram *h);

/* Its values as a histogram, for a look in between that sorts nothing: its own, or else h, which
 * then has them and nothing more. */
const struct histogram *distribution_counts(struct distribution *d, struct histogram *h);

/* How many values are below this one; in a histogram those whose buckets are. */
uint64_t distribution_below(struct distribution *d, uint64_t value);

#endif
