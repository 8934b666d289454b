#include "metrics/order_ranks.h"

#include <math.h>

#define EXACT_VARIANCE 500
#define SIGMAS         9 /* beyond: less than 1e-18 */

/* z with P(-z < Z < z) = confidence, by bisection: a call of it costs next to nothing here. */
static double normal_bound(double confidence)
{
	double low = 0, high = 10;
	for (int i = 0; i < 60; i++) {
		double z = (low + high) / 2;
		if (erf(z / sqrt(2)) < confidence)
			low = z;
		else
			high = z;
	}
	return high;
}

static void approximate(uint64_t n, double q, double confidence, uint64_t *low, uint64_t *high)
{
	double mean = (double)n * q, width = normal_bound(confidence) * sqrt(mean * (1 - q));
	*low = (uint64_t)floor(mean - width);
	*high = (uint64_t)ceil(mean + width) + 1;
}

static double log_pmf(double n, double k, double q)
{
	return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(q) + (n - k) * log1p(-q);
}

/* Sums P(B <= k) upwards. The value of rank r is above the quantile when B < r, and below
 * when B >= r. */
static void exact(uint64_t n, double q, double tail, uint64_t *low, uint64_t *high)
{
	double mean = (double)n * q, reach = SIGMAS * sqrt(mean * (1 - q)) + SIGMAS;
	uint64_t k = mean > reach ? (uint64_t)(mean - reach) : 0;
	double p = exp(log_pmf((double)n, (double)k, q)), below = 0; /* P(B < k) */
	*low = *high = 0;
	for (; k < n; k++) {
		below += p; /* P(B <= k) */
		if (below <= tail)
			*low = k + 1;
		if (below >= 1 - tail) {
			*high = k + 1;
			return;
		}
		p *= (double)(n - k) / (double)(k + 1) * q / (1 - q);
	}
}

void order_ranks(uint64_t n, double q, double confidence, uint64_t *low, uint64_t *high)
{
	double variance = (double)n * q * (1 - q);
	if (variance > EXACT_VARIANCE)
		approximate(n, q, confidence, low, high);
	else
		exact(n, q, (1 - confidence) / 2, low, high);
}

void order_ranks_of(uint64_t n, double independent, double q, double confidence, uint64_t *low,
                    uint64_t *high)
{
	uint64_t m = independent < (double)n ? (uint64_t)independent : n;
	order_ranks(m, q, confidence, low, high);
	double scale = (double)(n + 1) / (double)(m + 1);
	*low = (uint64_t)floor((double)*low * scale);
	*high = (uint64_t)ceil((double)*high * scale);
}
