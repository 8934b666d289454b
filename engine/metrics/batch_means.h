/* batch_means.h - how far the mean of values that are not independent of each other is to be
 * trusted.
 *
 * A series is cut, in the order in which its values came, into batches of equal length. The
 * variance between the means of the batches tells that of the mean of all, also where neighbours
 * are alike; what correlation is left between the batches is taken to be that of an autoregressive
 * process of the first order with their lag-1 correlation r (N. M. Steiger, E. K. Lada, J. R.
 * Wilson and others, ASAP3: a batch means procedure for steady-state simulation analysis, ACM
 * TOMACS 15(1), 2005, fit the same to theirs). Then n batches are worth n (1 - r) / (1 + r)
 * independent ones (G. V. Bayley and J. M. Hammersley, The "effective" number of independent
 * observations in an autocorrelated time series, JRSS Supplement 8(2), 1946). Pure. */
#ifndef PERIGEE_METRICS_BATCH_MEANS_H
#define PERIGEE_METRICS_BATCH_MEANS_H

#include <stdint.h>

#define BATCH_MEANS_MOST 20

/* Into how many batches n values are cut: at most BATCH_MEANS_MOST, of at least 5 values each; 0:
 * they are too few for 5 batches, and tell nothing of their correlation. */
int batch_means_count(uint64_t n);

/* The variance of the mean of n (at least 2) batch means, and in *df how many degrees of freedom
 * its estimate has, at least 1. */
double batch_means_variance(const double *means, int n, double *df);

/* Two-sided 95 % of Student's t; df at least 1, INFINITY for the normal distribution. */
double student_t(double df);

#endif
