/* rng.h - counter-based random numbers.
 *
 * A generator is a key and a counter: number n of a key is a hash of both, so
 * streams keyed by (seed, phase, purpose, index) are independent of each other
 * and of who draws first. The hash is SplitMix64 (Steele, Lea, Flood, OOPSLA
 * 2014) with a gamma of its own per key. No state but the struct; any thread. */
#ifndef PERIGEE_BASE_RNG_H
#define PERIGEE_BASE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t key;
	uint64_t gamma;   /* odd */
	uint64_t counter; /* numbers drawn so far */
};

/* A generator for (seed, stream). Same pair, same numbers. */
void rng_init(struct rng *r, uint64_t seed, uint64_t stream);

uint64_t rng_u64(struct rng *r);

/* [0, 1), 53 bits. */
double rng_uniform(struct rng *r);

/* [0, n), unbiased; 0 for n = 0. */
uint64_t rng_below(struct rng *r, uint64_t n);

/* Exponential with the given mean. */
double rng_exponential(struct rng *r, double mean);

double rng_normal(struct rng *r, double mean, double std);

/* exp(Normal(mu, sigma)): mu and sigma are of the logarithm. */
double rng_lognormal(struct rng *r, double mu, double sigma);

/* Gamma with shape k > 0 and scale theta; mean k * theta (Marsaglia and Tsang 2000). */
double rng_gamma(struct rng *r, double shape, double scale);

/* Poisson with the given mean (Knuth below 30, normal with continuity above 1e6, PTRS between). */
uint64_t rng_poisson(struct rng *r, double mean);

/* Mix any number of words into one stream number. */
uint64_t rng_mix(uint64_t a, uint64_t b);

#endif
