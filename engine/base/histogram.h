/* histogram.h - counts of nanosecond values in log-linear buckets.
 *
 * Three significant decimal digits from 1 ns to 1 h, the bucket layout of
 * HdrHistogram, so its tools can read an export. Fixed memory (270 KiB),
 * one writer; a reader on another thread merges a copy. */
#ifndef PERIGEE_BASE_HISTOGRAM_H
#define PERIGEE_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_MAX_NS 3600000000000ULL

struct histogram;

/* Returns 0 or STATUS_ENOMEM, and then *out is untouched. */
int histogram_new(struct histogram **out);
void histogram_free(struct histogram *h); /* NULL is fine */
void histogram_reset(struct histogram *h);

/* Count a value. One above HISTOGRAM_MAX_NS is counted there and in
 * histogram_saturated(); min, max and mean keep the true value. */
void histogram_add(struct histogram *h, uint64_t value_ns);
void histogram_add_n(struct histogram *h, uint64_t value_ns, uint64_t n);

/* h becomes what `now` has beyond `before`, an earlier state of it (NULL: an empty one). min and
 * max are known to the grain of a bucket, and exactly where they are new. */
void histogram_difference(struct histogram *h, const struct histogram *now,
                          const struct histogram *before);

/* Add all of from's counts to h. */
void histogram_merge(struct histogram *h, const struct histogram *from);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_saturated(const struct histogram *h);

/* 0 for an empty histogram. mean is exact; std is taken from the buckets. */
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);
double histogram_mean(const struct histogram *h);
double histogram_std(const struct histogram *h);

/* The lowest value such that at least q (0..1) of the counts are at or below
 * it: the top of its bucket, never above the true maximum. 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* The lowest value that is counted together with this one. */
uint64_t histogram_bottom(uint64_t value_ns);

#endif
