/* series.h - what a phase did over time: bins of equal width from its start.
 *
 * A bin is SERIES_WIDTH_NS wide. When a time falls behind the last of SERIES_BINS bins,
 * neighbours are merged and the width doubles, so memory is bounded (about 2 MiB).
 * Ends count in the bin in which they came, the lateness of a request where it was issued.
 * Percentiles within a bin come from coarse counts: within 3.2 % of the value, or 1 us.
 * One writer; reads no clock. */
#ifndef PERIGEE_METRICS_SERIES_H
#define PERIGEE_METRICS_SERIES_H

#include "base/failure.h"

#include <stdbool.h>
#include <stdint.h>

#define SERIES_BINS     600
#define SERIES_WIDTH_NS 1000000000ULL

struct series;

/* Returns 0 or STATUS_ENOMEM. Times before start_ns count in the first bin. */
int series_new(struct series **out, uint64_t start_ns);
void series_free(struct series *s); /* NULL is fine */

/* A request was issued, at its time, and meant to be at another. Returns 0 or STATUS_ENOMEM. */
int series_issued(struct series *s, uint64_t scheduled_ns, uint64_t issued_ns);

struct series_end {
	enum failure failure; /* FAILURE_NONE: a success */
	bool good;
	uint64_t issued_ns;
	int64_t lateness_ns, latency_ns, ttft_ns, tokens_out; /* negative: not known */
};

/* A request ended. Returns 0 or STATUS_ENOMEM. */
int series_ended(struct series *s, uint64_t at_ns, const struct series_end *end);

/* Values of one bin, or of several that follow each other; percentiles are 0 without a value. */
struct series_point {
	uint64_t asked, issued, completed, failed, good, tokens_out; /* failed: every other end */
	uint64_t failures[FAILURE_COUNT];                            /* their sum is failed */
	uint64_t inflight;                                           /* at its end */
	uint64_t inflight_max;
	uint64_t lateness_count, lateness_max;
	uint64_t latency_count, ttft_count;
	double latency_mean;
	uint64_t latency_p50, latency_p90, latency_p99, ttft_p50, ttft_p90, ttft_p99;
};

int series_count(const struct series *s);
uint64_t series_width_ns(const struct series *s);

/* The completions of one bin, and the mean latency of those that told one (0: none did). */
void series_mean(const struct series *s, int i, uint64_t *completed, double *latency_mean);

/* The bins from `from` to before `to`, which are there. */
void series_read(const struct series *s, int from, int to, struct series_point *out);

#endif
