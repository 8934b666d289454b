#include "metrics/steady.h"

#include "metrics/batch_means.h"

#include <math.h>

int steady_cut(const double *values, int n)
{
	double sum = 0, squares = 0, least = INFINITY;
	int cut = 0;
	/* From the end, so that each step adds one value; the last few have no spread yet. */
	for (int d = n - 1; d >= 0; d--) {
		double m = n - d, v = values[d] - values[n - 1]; /* equal ones: exactly 0 */
		sum += v;
		squares += v * v;
		double spread = squares - sum * sum / m;
		double error = (spread > 0 ? spread : 0) / (m * m);
		if (m >= STEADY_FEWEST / 2 && error <= least) {
			least = error;
			cut = d;
		}
	}
	return cut <= n / 2 ? cut : -1;
}

/* Neighbouring bins make a batch; bins that are left over are the first ones. */
static void rate_interval(const double *completed, int n, double width_s, struct steady *out)
{
	int batches = n < BATCH_MEANS_MOST ? n : BATCH_MEANS_MOST, size = n / batches;
	const double *first = completed + (n - batches * size);
	double sum = 0, squares = 0;
	for (int i = 0; i < batches; i++) {
		double rate = 0;
		for (int k = 0; k < size; k++)
			rate += first[i * size + k] / (size * width_s);
		sum += rate;
		squares += rate * rate;
	}
	double mean = sum / batches;
	double variance = (squares - sum * mean) / (batches - 1);
	double half = student_t(batches - 1) * sqrt((variance > 0 ? variance : 0) / batches);
	out->rate_low = mean > half ? mean - half : 0;
	out->rate_high = mean + half;
}

bool steady_find(const struct series *s, uint64_t end_ns, struct steady *out)
{
	double completed[SERIES_BINS], latency[SERIES_BINS];
	uint64_t whole = end_ns / series_width_ns(s);
	int n = whole < (uint64_t)series_count(s) ? (int)whole : series_count(s);
	if (n < STEADY_FEWEST)
		return false;
	for (int i = 0; i < n; i++) {
		uint64_t ends;
		series_mean(s, i, &ends, &latency[i]);
		completed[i] = (double)ends;
		/* A bin without an end says nothing of latency: as if nothing had changed. */
		if (!ends && i)
			latency[i] = latency[i - 1];
	}
	int by_rate = steady_cut(completed, n), by_latency = steady_cut(latency, n);
	if (by_rate < 0 || by_latency < 0)
		return false;
	out->from = by_rate > by_latency ? by_rate : by_latency;
	out->to = n;
	rate_interval(completed + out->from, n - out->from, (double)series_width_ns(s) / 1e9, out);
	return true;
}
