/* histogram.h - counts of nanosecond values in log-linear buckets.
 *
 * Three significant decimal digits from 1 ns to 1 h, the bucket layout of
 * HdrHistogram, so its tools can read an export. Fixed memory (270 KiB),
 * one writer; a reader on another thread merges a copy. */
#ifndef PERIGEE_BASE_HISTOGRAM_H
#define PERIGEE_BASE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX_NS      3600000000000ULL
#define HISTOGRAM_SUB_BUCKETS 2048u /* of the first doubling, half of it of each that follows */
#define HISTOGRAM_DOUBLINGS   32u   /* to 2^42 ns, which is above the maximum */

struct histogram;

/* Returns 0 or STATUS_ENOMEM, and then *out is untouched. */
int histogram_new(struct histogram **out);
void histogram_free(struct histogram *h); /* NULL is fine */
void histogram_reset(struct histogram *h);

/* Count a value. One above HISTOGRAM_MAX_NS is counted there and in
 * histogram_saturated(); min, max and mean keep the true value. */
void histogram_add(struct histogram *h, uint64_t value_ns);
void histogram_add_n(struct histogram *h, uint64_t value_ns, uint64_t n);

/* Count n values, each values[i] * unit_ns, cut to whole ns. */
void histogram_add_each(struct histogram *h, const uint32_t *values, uint32_t n, double unit_ns);

/* Add all of from's counts to h. */
void histogram_merge(struct histogram *h, const struct histogram *from);

uint64_t histogram_count(const struct histogram *h);
uint64_t histogram_saturated(const struct histogram *h);

/* 0 for an empty histogram. sum and mean are exact; std is taken from the buckets. */
uint64_t histogram_min(const struct histogram *h);
uint64_t histogram_max(const struct histogram *h);
double histogram_sum(const struct histogram *h);
double histogram_mean(const struct histogram *h);
double histogram_std(const struct histogram *h);

/* The lowest value such that at least q (0..1) of the counts are at or below
 * it: the top of its bucket, never above the true maximum. 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double q);

/* out[i] = the same of q[i], which do not decrease: one pass for all of them. */
void histogram_quantiles(const struct histogram *h, const double *q, size_t n, uint64_t *out);

/* A bucket that holds something; start with .index = HISTOGRAM_FIRST. */
struct histogram_bucket {
	unsigned index; /* in HdrHistogram's array of counts */
	uint64_t top;   /* the highest value that is counted here */
	uint64_t count;
};

#define HISTOGRAM_FIRST UINT32_MAX

/* Step to the next bucket that holds something, from low values to high ones. False at the end. */
bool histogram_next(const struct histogram *h, struct histogram_bucket *b);

/* The value of that rank, 1 (lowest) to count, as histogram_quantile() tells it. 0 when empty. */
uint64_t histogram_at_rank(const struct histogram *h, uint64_t rank);

/* How many values lie in buckets that are wholly below this one. */
uint64_t histogram_below(const struct histogram *h, uint64_t value_ns);

/* The lowest value that is counted together with this one. */
uint64_t histogram_bottom(uint64_t value_ns);

#endif
