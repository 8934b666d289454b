#include "base/rng.h"

#include <math.h>

#define GOLDEN 0x9e3779b97f4a7c15ULL

static uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Another mixer (MurmurHash3's), so that key and gamma do not correlate. */
static uint64_t mix64_gamma(uint64_t z)
{
	z = (z ^ (z >> 33)) * 0xff51afd7ed558ccdULL;
	z = (z ^ (z >> 33)) * 0xc4ceb9fe1a85ec53ULL;
	z = (z ^ (z >> 33)) | 1;
	/* A gamma with too few bit changes makes weak sequences. */
	return __builtin_popcountll(z ^ (z >> 1)) < 24 ? z ^ 0xaaaaaaaaaaaaaaaaULL : z;
}

uint64_t rng_mix(uint64_t a, uint64_t b)
{
	return mix64(mix64(a + GOLDEN) ^ (b + GOLDEN * 2));
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t k = rng_mix(seed, stream);
	*r = (struct rng){ .key = k, .gamma = mix64_gamma(k + GOLDEN) };
}

uint64_t rng_u64(struct rng *r)
{
	return mix64(r->key + r->gamma * ++r->counter);
}

double rng_uniform(struct rng *r)
{
	return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	if (n == 0)
		return 0;
	uint64_t reject = -n % n; /* 2^64 mod n */
	uint64_t v;
	do {
		v = rng_u64(r);
	} while (v < reject);
	return v % n;
}

/* (0, 1]: a logarithm of it is finite. */
static double uniform_positive(struct rng *r)
{
	return 1.0 - rng_uniform(r);
}

double rng_exponential(struct rng *r, double mean)
{
	return -mean * log(uniform_positive(r));
}

double rng_normal(struct rng *r, double mean, double std)
{
	double radius = sqrt(-2.0 * log(uniform_positive(r)));
	return mean + std * radius * cos(2.0 * M_PI * rng_uniform(r));
}

double rng_lognormal(struct rng *r, double mu, double sigma)
{
	return exp(rng_normal(r, mu, sigma));
}

double rng_gamma(struct rng *r, double shape, double scale)
{
	if (!(shape > 0) || !(scale > 0))
		return 0;
	if (shape < 1) { /* boost the shape, then correct (ibid., section 6) */
		double boosted = rng_gamma(r, shape + 1, scale); /* drawn first, in every build */
		return boosted * pow(uniform_positive(r), 1.0 / shape);
	}

	double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
	for (;;) {
		double x = rng_normal(r, 0, 1);
		double v = 1.0 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(uniform_positive(r)) < 0.5 * x * x + d - d * v + d * log(v))
			return d * v * scale;
	}
}

/* Knuth: multiply uniforms until below exp(-mean). */
static uint64_t poisson_small(struct rng *r, double mean)
{
	double limit = exp(-mean), product = uniform_positive(r);
	uint64_t n = 0;
	while (product > limit) {
		product *= uniform_positive(r);
		n++;
	}
	return n;
}

/* Hormann 1993, "The transformed rejection method for generating Poisson variables", PTRS. */
static uint64_t poisson_ptrs(struct rng *r, double mean)
{
	double smu = sqrt(mean), b = 0.931 + 2.53 * smu, a = -0.059 + 0.02483 * b;
	double inv_alpha = 1.1239 + 1.1328 / (b - 3.4), vr = 0.9277 - 3.6224 / (b - 2);
	for (;;) {
		double u = rng_uniform(r) - 0.5, v = uniform_positive(r);
		double us = 0.5 - fabs(u), k = floor((2 * a / us + b) * u + mean + 0.43);
		if (us >= 0.07 && v <= vr)
			return (uint64_t)k;
		if (k < 0 || (us < 0.013 && v > us))
			continue;
		double accept = k * log(mean) - mean - lgamma(k + 1);
		if (log(v) + log(inv_alpha) - log(a / (us * us) + b) <= accept)
			return (uint64_t)k;
	}
}

uint64_t rng_poisson(struct rng *r, double mean)
{
	if (!(mean > 0))
		return 0;
	if (mean < 30)
		return poisson_small(r, mean);
	if (mean <= 1e6)
		return poisson_ptrs(r, mean);
	double v = floor(rng_normal(r, mean, sqrt(mean)) + 0.5);
	if (v >= 0x1p64)
		return UINT64_MAX;
	return v > 0 ? (uint64_t)v : 0;
}
