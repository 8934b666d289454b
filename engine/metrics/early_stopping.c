#include "metrics/early_stopping.h"

#include <math.h>

#define STEPS_MAX 20000
#define TINY      1e-300

/* The continued fraction of the incomplete beta function, by Lentz's method. */
static double fraction(double a, double b, double x)
{
	double c = 1, d = 1 - (a + b) * x / (a + 1);
	d = 1 / (fabs(d) < TINY ? TINY : d);
	double value = d;
	for (int i = 1; i < STEPS_MAX; i++) {
		double m = i, step = 1;
		const double terms[2] = {
			m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
			-(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
		};
		for (int k = 0; k < 2; k++) {
			d = 1 + terms[k] * d;
			d = 1 / (fabs(d) < TINY ? TINY : d);
			c = 1 + terms[k] / c;
			c = fabs(c) < TINY ? TINY : c;
			step = c * d;
			value *= step;
		}
		if (fabs(step - 1) < 1e-15)
			break;
	}
	return value;
}

/* I_x(a, b), 0 < x < 1. */
static double incomplete_beta(double a, double b, double x)
{
	double log_front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x);
	if (x < (a + 1) / (a + b + 2))
		return exp(log_front) * fraction(a, b, x) / a;
	return 1 - exp(log_front) * fraction(b, a, 1 - x) / b;
}

uint64_t early_stopping_least_below(uint64_t t, double p, double c)
{
	uint64_t low = 1, high = 2;
	while (incomplete_beta((double)high, (double)t + 1, p) >= 1 - c)
		high *= 2;
	while (low < high) {
		uint64_t h = low + (high - low) / 2;
		if (incomplete_beta((double)h, (double)t + 1, p) < 1 - c)
			high = h;
		else
			low = h + 1;
	}
	return low;
}

uint64_t early_stopping_floor(double p, double c)
{
	return early_stopping_least_below(1, p, c) + 1;
}

uint64_t early_stopping_above(uint64_t n, double p, double c)
{
	if (n < early_stopping_floor(p, c))
		return 0;
	/* I falls with h: of n requests t may be above when n - t are enough below. */
	uint64_t low = 1, high = n;
	while (high - low > 1) {
		uint64_t t = low + (high - low) / 2;
		if (incomplete_beta((double)(n - t), (double)t + 1, p) < 1 - c)
			low = t;
		else
			high = t;
	}
	return low;
}
