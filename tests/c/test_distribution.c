#include "metrics/distribution.h"

#include "base/histogram.h"

#include "support.h"

#include <math.h>

static struct distribution *of(const uint64_t *values, size_t n)
{
	struct distribution *d;
	assert_ok(distribution_new(&d));
	for (size_t i = 0; i < n; i++)
		assert_ok(distribution_add(d, values[i]));
	return d;
}

static void an_empty_one_is_zero(void **state)
{
	(void)state;
	struct distribution *d = of(NULL, 0);
	assert_int_equal(distribution_count(d), 0);
	assert_int_equal(distribution_min(d), 0);
	assert_int_equal(distribution_max(d), 0);
	assert_int_equal(distribution_quantile(d, 0.5), 0);
	assert_int_equal(distribution_rank(d, 1), 0);
	assert_true(distribution_mean(d) == 0 && distribution_std(d) == 0);
	assert_true(distribution_is_exact(d));
	distribution_free(d);
	distribution_free(NULL);
}

static void percentiles_are_observed_values(void **state)
{
	(void)state;
	/* 1234567 lies in a bucket whose top is 1235967: only the value itself will do. */
	static const uint64_t values[] = { 9876543, 1234567, 5555555, 1, 3333333 };
	struct distribution *d = of(values, COUNT_OF(values));
	static const struct {
		double q;
		uint64_t value;
	} rows[] = { { 0, 1 },         { 0.2, 1 },       { 0.21, 1234567 }, { 0.4, 1234567 },
		     { 0.5, 3333333 }, { 0.8, 5555555 }, { 0.81, 9876543 }, { 1, 9876543 },
		     { -1, 1 },        { 2, 9876543 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(distribution_quantile(d, rows[i].q), rows[i].value);
	assert_int_equal(distribution_rank(d, 0), 1);
	assert_int_equal(distribution_rank(d, 2), 1234567);
	assert_int_equal(distribution_rank(d, 99), 9876543);
	assert_int_equal(distribution_count(d), 5);
	assert_ok(distribution_add(d, 2)); /* after it was asked */
	assert_int_equal(distribution_rank(d, 2), 2);
	distribution_free(d);
}

static void mean_and_deviation_are_of_all(void **state)
{
	(void)state;
	static const uint64_t values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
	struct distribution *d = of(values, COUNT_OF(values));
	assert_true(distribution_mean(d) == 5);
	assert_true(distribution_sum(d) == 40);
	assert_true(distribution_std(d) == 2);
	distribution_free(d);
}

static void the_rank_of_a_share_is_the_lowest_that_reaches_it(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		double q;
		uint64_t rank;
	} rows[] = { { 100, 0.07, 7 },     { 100, 0.99, 99 }, { 100, 0.999, 100 },
		     { 1000, 0.999, 999 }, { 1, 0.5, 1 },     { 2, 0.5, 1 },
		     { 3, 0.5, 2 },        { 10, 0, 1 },      { 10, 1, 10 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(distribution_rank_of(rows[i].n, rows[i].q), rows[i].rank);
}

static void counts_what_is_below(void **state)
{
	(void)state;
	static const uint64_t values[] = { 5, 1, 3, 3, 9 };
	static const struct {
		uint64_t value, below;
	} rows[] = { { 0, 0 }, { 1, 0 }, { 3, 1 }, { 4, 3 }, { 9, 4 }, { 10, 5 } };
	struct distribution *d = of(values, COUNT_OF(values));
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(distribution_below(d, rows[i].value), rows[i].below);
	for (int i = 0; i < DISTRIBUTION_EXACT; i++)
		assert_ok(distribution_add(d, 1000)); /* a bucket of its own in the histogram */
	assert_false(distribution_is_exact(d));
	assert_int_equal(distribution_below(d, 1000), 5);
	assert_int_equal(distribution_below(d, 1001), 5 + DISTRIBUTION_EXACT);
	assert_int_equal(distribution_below(d, 4), 3);
	distribution_free(d);
	d = of(NULL, 0);
	assert_int_equal(distribution_below(d, 7), 0);
	distribution_free(d);
}

static void beyond_the_bound_it_is_a_histogram(void **state)
{
	(void)state;
	struct distribution *d = of(NULL, 0);
	uint32_t n = DISTRIBUTION_EXACT;
	for (uint32_t i = n; i > 0; i--)
		assert_ok(distribution_add(d, i * 1000003ULL));
	assert_true(distribution_is_exact(d));
	assert_int_equal(distribution_quantile(d, 0.5), n / 2 * 1000003ULL);
	assert_ok(distribution_add(d, 77));
	assert_false(distribution_is_exact(d));
	assert_int_equal(distribution_count(d), n + 1);
	assert_int_equal(distribution_min(d), 77);
	assert_int_equal(distribution_max(d), n * 1000003ULL);
	double sum = 77 + 1000003.0 * n * (n + 1) / 2;
	assert_true(distribution_sum(d) == sum);
	assert_true(distribution_mean(d) == sum / (n + 1));
	double p50 = (double)distribution_quantile(d, 0.5), truth = n / 2 * 1000003.0;
	assert_true(p50 >= truth && p50 <= truth * (1 + 1.0 / 1024));
	assert_true(distribution_std(d) > 0);
	distribution_free(d);
}

static void many_at_once_are_as_one_by_one(void **state)
{
	(void)state;
	uint32_t values[300];
	struct distribution *a = of(NULL, 0), *b = of(NULL, 0);
	for (uint32_t i = 0; i < COUNT_OF(values); i++)
		values[i] = i * 37 % 1000;
	/* Past the bound in the middle of a batch. */
	for (int round = 0; round < DISTRIBUTION_EXACT / 300 + 2; round++) {
		assert_ok(distribution_add_each(a, values, COUNT_OF(values), 1000));
		for (uint32_t i = 0; i < COUNT_OF(values); i++)
			assert_ok(distribution_add(b, values[i] * 1000ULL));
		assert_int_equal(distribution_count(a), distribution_count(b));
		assert_int_equal(distribution_is_exact(a), distribution_is_exact(b));
		assert_int_equal(distribution_quantile(a, 0.9), distribution_quantile(b, 0.9));
		assert_true(distribution_mean(a) == distribution_mean(b));
	}
	assert_false(distribution_is_exact(a));
	distribution_free(a);
	distribution_free(b);
}

/* The values become counts a few at a time: in between both are there, and none is lost. */
static void no_value_is_lost_on_the_way_to_the_histogram(void **state)
{
	(void)state;
	struct distribution *d = of(NULL, 0), *asked = of(NULL, 0);
	for (uint32_t i = 0; i < DISTRIBUTION_EXACT + 1000; i++) {
		assert_ok(distribution_add(d, i));
		assert_ok(distribution_add(asked, i));
		assert_int_equal(distribution_count(d), i + 1);
		if (i < DISTRIBUTION_EXACT || i % 100)
			continue;
		assert_int_equal(distribution_min(asked), 0);
		assert_int_equal(distribution_max(asked), i);
		assert_true(distribution_sum(asked) == (double)i * (i + 1) / 2);
	}
	assert_false(distribution_is_exact(d));
	assert_int_equal(distribution_rank(d, 1000), 999);
	assert_int_equal(distribution_rank(asked, 1000), 999);
	assert_true(distribution_std(d) == distribution_std(asked));
	distribution_free(d);
	distribution_free(asked);
	d = of(NULL, 0); /* freed halfway */
	for (uint32_t i = 0; i < DISTRIBUTION_EXACT + 5; i++)
		assert_ok(distribution_add(d, i));
	distribution_free(d);
}

/* A look in between must not change a digit: the log is folded without one. */
static void looking_changes_nothing(void **state)
{
	(void)state;
	struct distribution *a = of(NULL, 0), *b = of(NULL, 0);
	uint64_t v = 88172645463325252ULL;
	for (int i = 0; i < 2 * DISTRIBUTION_EXACT; i++) {
		v ^= v << 13, v ^= v >> 7, v ^= v << 17;
		assert_ok(distribution_add(a, v >> 24));
		assert_ok(distribution_add(b, v >> 24));
		if (i % 997 == 0)
			distribution_quantile(a, 0.5);
		if (i == DISTRIBUTION_EXACT / 2)
			assert_true(distribution_std(a) == distribution_std(b));
	}
	assert_true(distribution_mean(a) == distribution_mean(b));
	assert_true(distribution_std(a) == distribution_std(b));
	assert_int_equal(distribution_quantile(a, 0.99), distribution_quantile(b, 0.99));
	distribution_free(a);
	distribution_free(b);
}

static void a_look_at_the_counts_sorts_nothing_and_loses_nothing(void **state)
{
	(void)state;
	struct histogram *h;
	struct distribution *d = of((const uint64_t[]){ 9, 3, 5 }, 3);
	assert_ok(histogram_new(&h));
	histogram_add(h, 1); /* of a look before */
	for (int again = 0; again < 2; again++) {
		const struct histogram *counts = distribution_counts(d, h);
		assert_ptr_equal(counts, h);
		assert_int_equal(histogram_count(counts), 3);
		assert_int_equal(histogram_min(counts), 3);
		assert_int_equal(histogram_quantile(counts, 0.5), 5);
	}
	assert_true(distribution_is_exact(d));
	assert_int_equal(distribution_rank(d, 1), 3);
	/* beyond the bound, with values that are still on their way to the counts */
	while (distribution_count(d) < DISTRIBUTION_EXACT + 3)
		assert_ok(distribution_add(d, 7));
	const struct histogram *own = distribution_counts(d, h);
	assert_ptr_not_equal(own, h);
	assert_int_equal(histogram_count(own), DISTRIBUTION_EXACT + 3);
	assert_true(histogram_mean(own) == distribution_mean(d));
	distribution_free(d);
	histogram_free(h);
}

/* A value, then the next one: neighbours are alike for `run` of them. */
static struct distribution *in_runs(uint32_t n, uint32_t run)
{
	struct distribution *d = of(NULL, 0);
	uint64_t v = 88172645463325252ULL;
	for (uint32_t i = 0; i < n; i++) {
		if (i % run == 0)
			v ^= v << 13, v ^= v >> 7, v ^= v << 17;
		assert_ok(distribution_add(d, v >> 24));
	}
	return d;
}

static void assert_worth(struct distribution *d, double low, double high)
{
	double n = distribution_independent(d, 0.5);
	if (n < low || n > high)
		fail_msg("%g independent values, %g to %g expected", n, low, high);
}

static void correlated_values_are_worth_fewer(void **state)
{
	(void)state;
	static const struct {
		uint32_t n, run;
		double low, high;
	} rows[] = {
		{ 4000, 1, 2000, 4000 },
		{ 4000, 10, 150, 400 },
		{ 4000, 100, 10, 40 },
		{ 40000, 10, 1500, 8000 } /* a histogram: the first ones tell */,
		{ 24, 24, 24, 24 } /* too few to tell */,
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct distribution *d = in_runs(rows[i].n, rows[i].run);
		double before = distribution_independent(d, 0.5);
		assert_worth(d, rows[i].low, rows[i].high);
		distribution_std(d); /* sorts */
		assert_true(distribution_independent(d, 0.5) == before);
		distribution_free(d);
	}
	struct distribution *same = of(NULL, 0);
	for (int i = 0; i < 100; i++)
		assert_ok(distribution_add(same, 5));
	assert_worth(same, 100, 100);
	distribution_free(same);
}

/* Merging keeps the order in which the values came, wherever they have been sorted before. */
static void merged_ones_know_the_order_of_their_values(void **state)
{
	(void)state;
	struct distribution *a = in_runs(3000, 10), *b = in_runs(2000, 10), *sum = of(NULL, 0);
	distribution_std(a);
	distribution_std(b);
	assert_ok(distribution_merge(sum, a));
	distribution_std(sum);
	assert_ok(distribution_merge(sum, b));
	assert_int_equal(distribution_count(sum), 5000);
	assert_true(distribution_is_exact(sum));
	assert_worth(sum, 200, 1000);
	struct distribution *many = in_runs(20000, 10), *more = of(NULL, 0);
	assert_ok(distribution_merge(more, many)); /* counts, into an empty one */
	assert_ok(distribution_merge(more, a));
	assert_ok(distribution_merge(sum, many)); /* values and counts */
	assert_int_equal(distribution_count(more), 23000);
	assert_int_equal(distribution_count(sum), 25000);
	assert_worth(more, 900, 4600);
	double both = distribution_sum(many) + distribution_sum(a) + distribution_sum(b);
	assert_true(fabs(distribution_sum(sum) / both - 1) < 1e-12);
	struct distribution *all[] = { a, b, sum, many, more };
	for (size_t i = 0; i < COUNT_OF(all); i++)
		distribution_free(all[i]);
}

static void values_beyond_the_most_count_as_that(void **state)
{
	(void)state;
	struct distribution *d = of((const uint64_t[]){ UINT64_MAX, 7 }, 2);
	assert_int_equal(distribution_max(d), ((uint64_t)1 << 50) - 1);
	assert_int_equal(distribution_min(d), 7);
	distribution_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_is_zero),
		cmocka_unit_test(percentiles_are_observed_values),
		cmocka_unit_test(mean_and_deviation_are_of_all),
		cmocka_unit_test(the_rank_of_a_share_is_the_lowest_that_reaches_it),
		cmocka_unit_test(counts_what_is_below),
		cmocka_unit_test(beyond_the_bound_it_is_a_histogram),
		cmocka_unit_test(many_at_once_are_as_one_by_one),
		cmocka_unit_test(no_value_is_lost_on_the_way_to_the_histogram),
		cmocka_unit_test(looking_changes_nothing),
		cmocka_unit_test(a_look_at_the_counts_sorts_nothing_and_loses_nothing),
		cmocka_unit_test(correlated_values_are_worth_fewer),
		cmocka_unit_test(merged_ones_know_the_order_of_their_values),
		cmocka_unit_test(values_beyond_the_most_count_as_that),
	};
	return cmocka_run_group_tests_name("distribution", tests, NULL, NULL);
}
