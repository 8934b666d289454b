#include "base/rng.h"

#include "support.h"

#define DRAWS 200000

static struct rng make(uint64_t stream)
{
	struct rng r;
	rng_init(&r, 20240229, stream);
	return r;
}

/* Mean and variance over DRAWS numbers, within 5 standard errors of the mean
 * and within 5 % of the variance. The seeds are fixed: this passes always or never. */
#define assert_moments(draw, mean, variance)                                                       \
	do {                                                                                       \
		double sum = 0, squares = 0;                                                       \
		for (int i_ = 0; i_ < DRAWS; i_++) {                                               \
			double v_ = (double)(draw);                                                \
			sum += v_;                                                                 \
			squares += (v_ - (mean)) * (v_ - (mean));                                  \
		}                                                                                  \
		assert_near(sum / DRAWS, (mean), 5 * sqrt((double)(variance) / DRAWS));            \
		assert_near(squares / DRAWS, (variance), 0.05 * (variance));                       \
	} while (0)

static void same_key_gives_the_same_numbers(void **state)
{
	(void)state;
	struct rng a = make(1), b = make(1);
	for (int i = 0; i < 1000; i++)
		assert_true(rng_u64(&a) == rng_u64(&b));
	/* Counter-based: number n needs no draw of those before it. */
	struct rng c = make(1);
	c.counter = 1000;
	assert_true(rng_u64(&a) == rng_u64(&c));
}

static void numbers_never_change(void **state)
{
	(void)state;
	struct rng r = make(7);
	assert_true(rng_u64(&r) == 0x297838e7d4001cd6ULL);
	assert_true(rng_u64(&r) == 0x041ee139cc0be7f3ULL);
	assert_true(rng_mix(1, 2) == 0xbf7f6a7a7887b1eeULL);
}

/* The order of draws is part of the contract, so compilers may not choose it. */
static void gamma_of_a_small_shape_draws_in_order(void **state)
{
	(void)state;
	struct rng r = make(10), same = make(10);
	double boosted = rng_gamma(&same, 1.5, 2);
	double u = 1.0 - rng_uniform(&same);
	assert_near(rng_gamma(&r, 0.5, 2), boosted * u * u, 1e-12);
	assert_int_equal(r.counter, same.counter);
}

static double correlation(struct rng *a, struct rng *b)
{
	double sum = 0;
	for (int i = 0; i < DRAWS; i++)
		sum += (rng_uniform(a) - 0.5) * (rng_uniform(b) - 0.5);
	return sum / DRAWS * 12;
}

static void streams_are_independent(void **state)
{
	(void)state;
	for (uint64_t s = 0; s < 8; s++) {
		struct rng a = make(s), b = make(s + 1), c;
		rng_init(&c, 20240230, s);
		assert_near(correlation(&a, &b), 0, 5 / sqrt(DRAWS));
		a = make(s);
		assert_near(correlation(&a, &c), 0, 5 / sqrt(DRAWS));
	}
	/* The first numbers of neighbouring streams look random as well. */
	double sum = 0;
	for (uint64_t s = 0; s < DRAWS; s++) {
		struct rng r = make(s);
		sum += rng_uniform(&r);
	}
	assert_near(sum / DRAWS, 0.5, 5 * sqrt(1.0 / 12 / DRAWS));
}

static void mix_depends_on_both_words_and_their_order(void **state)
{
	(void)state;
	for (uint64_t a = 0; a < 40; a++) {
		for (uint64_t b = 0; b < 40; b++) {
			assert_true(rng_mix(a, b) != rng_mix(a, b + 1));
			assert_true(rng_mix(a, b) != rng_mix(a + 1, b));
			assert_true(a == b || rng_mix(a, b) != rng_mix(b, a));
		}
	}
}

static void gamma_of_a_key_is_odd(void **state)
{
	(void)state;
	for (uint64_t s = 0; s < 10000; s++) {
		struct rng r = make(s);
		assert_int_equal(r.gamma & 1, 1);
		assert_true(__builtin_popcountll(r.gamma ^ (r.gamma >> 1)) >= 24);
	}
}

static void every_bit_is_set_half_of_the_time(void **state)
{
	(void)state;
	struct rng r = make(2);
	int ones[64] = { 0 };
	for (int i = 0; i < DRAWS; i++) {
		uint64_t v = rng_u64(&r);
		for (int bit = 0; bit < 64; bit++)
			ones[bit] += (int)(v >> bit & 1);
	}
	for (int bit = 0; bit < 64; bit++)
		assert_near(ones[bit], DRAWS / 2.0, 5 * sqrt(DRAWS) / 2);
}

static void uniform_stays_in_its_interval(void **state)
{
	(void)state;
	struct rng r = make(3);
	for (int i = 0; i < DRAWS; i++) {
		double v = rng_uniform(&r);
		assert_true(v >= 0 && v < 1);
	}
	assert_moments(rng_uniform(&r), 0.5, 1.0 / 12);
}

static void below_is_even(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 1, 2, 3, 7, 10, 64, 100 };
	struct rng r = make(4);
	for (size_t k = 0; k < COUNT_OF(sizes); k++) {
		uint64_t n = sizes[k];
		double seen[100] = { 0 }, chi2 = 0, want = (double)DRAWS / (double)n;
		for (int i = 0; i < DRAWS; i++) {
			uint64_t v = rng_below(&r, n);
			assert_true(v < n);
			seen[v]++;
		}
		for (uint64_t i = 0; i < n; i++)
			chi2 += (seen[i] - want) * (seen[i] - want) / want;
		double freedom = (double)(n - 1);
		assert_true(chi2 <= freedom + 5 * sqrt(2 * freedom));
	}
}

static void below_keeps_large_bounds(void **state)
{
	(void)state;
	struct rng r = make(5);
	uint64_t third = UINT64_MAX / 3 * 2; /* without rejection the low half doubles */
	int low = 0;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t v = rng_below(&r, third);
		assert_true(v < third);
		low += v < third / 2;
		assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
	}
	assert_near(low, DRAWS / 2.0, 5 * sqrt(DRAWS) / 2);
	assert_int_equal(rng_below(&r, 0), 0);
	assert_int_equal(rng_below(&r, 1), 0);
}

static void distributions_have_their_mean_and_variance(void **state)
{
	(void)state;
	struct rng r = make(6);
	assert_moments(rng_exponential(&r, 0.25), 0.25, 0.0625);
	assert_moments(rng_normal(&r, 10, 3), 10, 9);
	assert_moments(rng_normal(&r, -1, 0.001), -1, 1e-6);
	double s2 = 0.25, mean = exp(1 + s2 / 2);
	assert_moments(rng_lognormal(&r, 1, 0.5), mean, (exp(s2) - 1) * mean * mean);
	assert_moments(rng_gamma(&r, 4, 0.5), 2, 1);
	assert_moments(rng_gamma(&r, 1, 2), 2, 4);
	assert_moments(rng_gamma(&r, 0.5, 2), 1, 2);
	assert_moments(rng_gamma(&r, 100, 0.01), 1, 0.01);
	static const double means[] = { 0.01, 0.5, 3, 12, 29.9, 30.1, 100, 5e4, 9e5, 2e6 };
	for (size_t i = 0; i < COUNT_OF(means); i++)
		assert_moments(rng_poisson(&r, means[i]), means[i], means[i]);
}

/* The two middle methods must meet: compare probabilities, not only moments. */
static void poisson_has_its_probabilities(void **state)
{
	(void)state;
	static const double means[] = { 4, 29, 31 };
	struct rng r = make(8);
	for (size_t k = 0; k < COUNT_OF(means); k++) {
		double mean = means[k], chi2 = 0, seen[128] = { 0 };
		int cells = 0;
		for (int i = 0; i < 10 * DRAWS; i++) {
			uint64_t v = rng_poisson(&r, mean);
			seen[v < 127 ? v : 127]++;
		}
		for (int v = 0; v < 127; v++) {
			double want = 10.0 * DRAWS * exp(v * log(mean) - mean - lgamma(v + 1.0));
			if (want < 20)
				continue;
			chi2 += (seen[v] - want) * (seen[v] - want) / want;
			cells++;
		}
		assert_true(cells > 10);
		assert_true(chi2 <= cells + 5 * sqrt(2.0 * cells));
	}
}

static void senseless_parameters_give_zero(void **state)
{
	(void)state;
	struct rng r = make(9);
	assert_true(rng_gamma(&r, 0, 1) == 0);
	assert_true(rng_gamma(&r, -1, 1) == 0);
	assert_true(rng_gamma(&r, NAN, 1) == 0);
	assert_true(rng_gamma(&r, 1, 0) == 0);
	assert_int_equal(rng_poisson(&r, 0), 0);
	assert_int_equal(rng_poisson(&r, -3), 0);
	assert_int_equal(rng_poisson(&r, NAN), 0);
	assert_true(rng_poisson(&r, INFINITY) == UINT64_MAX);
	assert_true(rng_poisson(&r, 1e300) == UINT64_MAX);
	assert_true(rng_exponential(&r, 0) == 0);
	assert_true(rng_normal(&r, 3, 0) == 3);
	for (int i = 0; i < DRAWS; i++) {
		double v = rng_gamma(&r, 1e-3, 1);
		assert_true(isfinite(v) && v >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_key_gives_the_same_numbers),
		cmocka_unit_test(numbers_never_change),
		cmocka_unit_test(gamma_of_a_small_shape_draws_in_order),
		cmocka_unit_test(streams_are_independent),
		cmocka_unit_test(mix_depends_on_both_words_and_their_order),
		cmocka_unit_test(gamma_of_a_key_is_odd),
		cmocka_unit_test(every_bit_is_set_half_of_the_time),
		cmocka_unit_test(uniform_stays_in_its_interval),
		cmocka_unit_test(below_is_even),
		cmocka_unit_test(below_keeps_large_bounds),
		cmocka_unit_test(distributions_have_their_mean_and_variance),
		cmocka_unit_test(poisson_has_its_probabilities),
		cmocka_unit_test(senseless_parameters_give_zero),
	};
	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
