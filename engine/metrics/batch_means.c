#include "metrics/batch_means.h"

#include <math.h>

#define LEAST_LENGTH  5
#define LEAST_BATCHES 5
/* Correlation beyond is not to be told from a trend by so few batches. */
#define MOST_CORRELATED 0.8

int batch_means_count(uint64_t n)
{
	uint64_t batches = n / LEAST_LENGTH;
	if (batches < LEAST_BATCHES)
		return 0;
	return batches < BATCH_MEANS_MOST ? (int)batches : BATCH_MEANS_MOST;
}

double batch_means_variance(const double *means, int n, double *df)
{
	double mean = 0, squares = 0, products = 0;
	for (int i = 0; i < n; i++)
		mean += means[i];
	mean /= n; /* of equal ones exactly theirs */
	for (int i = 0; i < n; i++) {
		double off = means[i] - mean;
		squares += off * off;
		if (i)
			products += off * (means[i - 1] - mean);
	}
	double r = squares > 0 ? fmin(fmax(products / squares, 0), MOST_CORRELATED) : 0;
	*df = fmax((n - 1) * (1 - r) / (1 + r), 1);
	return squares / (n - 1) / n * (1 + r) / (1 - r);
}

double student_t(double df)
{
	static const double t[] = { 12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646,
		                    2.3060,  2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
		                    2.1314,  2.1199, 2.1098, 2.1009, 2.0930, 1.9600 };
	const int last = (int)(sizeof(t) / sizeof(*t)) - 1; /* of infinity */
	int below = df < last ? (int)df : last;
	double low = t[below - 1], high = t[below];
	/* Between them, and beyond the last, t is nearly linear in 1 / df. */
	double from = 1.0 / below, to = below == last ? 0 : 1.0 / (below + 1);
	return low + (high - low) * (from - 1 / df) / (from - to);
}
