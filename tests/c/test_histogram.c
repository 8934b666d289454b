#include "base/histogram.h"

#include "base/rng.h"

#include "support.h"

#include <stdlib.h>

#define VALUES 20000

static struct histogram *new_histogram(void)
{
	struct histogram *h;
	assert_ok(histogram_new(&h));
	return h;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* 1 ns to 1 h, evenly over the orders of magnitude. */
static void draw(uint64_t *values, size_t n, uint64_t seed)
{
	struct rng r;
	rng_init(&r, seed, 0);
	for (size_t i = 0; i < n; i++)
		values[i] = (uint64_t)exp(rng_uniform(&r) * log((double)HISTOGRAM_MAX_NS));
}

static void is_all_zero_when_empty(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	assert_int_equal(histogram_count(h), 0);
	assert_int_equal(histogram_saturated(h), 0);
	assert_int_equal(histogram_min(h), 0);
	assert_int_equal(histogram_max(h), 0);
	assert_true(histogram_mean(h) == 0);
	assert_true(histogram_std(h) == 0);
	assert_int_equal(histogram_quantile(h, 0.5), 0);
	histogram_free(h);
	histogram_free(NULL);
}

static void is_exact_below_2048(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	for (uint64_t v = 0; v < 2048; v++)
		histogram_add(h, v);
	for (uint64_t rank = 1; rank <= 2048; rank++)
		assert_int_equal(histogram_quantile(h, (double)rank / 2048), rank - 1);
	assert_int_equal(histogram_quantile(h, 0), 0);
	assert_near(histogram_mean(h), 1023.5, 1e-9);
	assert_near(histogram_std(h), sqrt((2048.0 * 2048 - 1) / 12), 1e-6);
	histogram_free(h);
}

static void the_bottom_is_the_lowest_of_a_bucket(void **state)
{
	(void)state;
	for (uint64_t v = 0; v <= 2048; v++)
		assert_int_equal(histogram_bottom(v), v);
	assert_int_equal(histogram_bottom(2049), 2048);
	assert_int_equal(histogram_bottom(2050), 2050);
	for (unsigned bits = 11; bits <= 41; bits++) {
		uint64_t v = 1ULL << bits;
		assert_int_equal(histogram_bottom(v), v);
		assert_int_equal(histogram_bottom(v + (v >> 10) - 1), v);
		assert_int_equal(histogram_bottom(v + (v >> 10)), v + (v >> 10));
	}
}

static void quantiles_agree_with_the_sorted_values(void **state)
{
	(void)state;
	static uint64_t values[VALUES];
	static const double quantiles[] = { 0,   0.001, 0.01, 0.25,  0.5, 0.75,
		                            0.9, 0.95,  0.99, 0.999, 1 };
	struct histogram *h = new_histogram();
	draw(values, VALUES, 1);
	for (size_t i = 0; i < VALUES; i++)
		histogram_add(h, values[i]);
	qsort(values, VALUES, sizeof(values[0]), by_value);
	assert_int_equal(histogram_min(h), values[0]);
	assert_int_equal(histogram_max(h), values[VALUES - 1]);
	for (size_t i = 0; i < COUNT_OF(quantiles); i++) {
		size_t rank = (size_t)ceil(quantiles[i] * VALUES);
		uint64_t want = values[rank ? rank - 1 : 0];
		uint64_t got = histogram_quantile(h, quantiles[i]);
		assert_true(got >= want);
		assert_true((double)(got - want) <= 0.001 * (double)want);
		assert_true(got <= histogram_max(h));
	}
	histogram_free(h);
}

static void every_value_keeps_three_digits(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	for (uint64_t edge = 1; edge < HISTOGRAM_MAX_NS; edge *= 2) {
		for (uint64_t v = edge - 1; v <= edge + 1; v++) {
			histogram_reset(h);
			histogram_add(h, v);
			histogram_add(h, HISTOGRAM_MAX_NS); /* so that v is not the maximum */
			uint64_t got = histogram_quantile(h, 0.5);
			assert_true(got >= v);
			assert_true((double)(got - v) <= 0.001 * (double)v);
		}
	}
	histogram_free(h);
}

static void a_quantile_is_never_above_the_maximum(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	histogram_add_n(h, 1048576, 4); /* the lowest value of its bucket */
	for (int i = 0; i <= 4; i++)
		assert_int_equal(histogram_quantile(h, i / 4.0), 1048576);
	histogram_free(h);
}

static void mean_and_std_agree_with_the_values(void **state)
{
	(void)state;
	static uint64_t values[VALUES];
	struct histogram *h = new_histogram();
	struct rng r;
	rng_init(&r, 2, 0);
	double sum = 0, squares = 0;
	for (size_t i = 0; i < VALUES; i++) {
		values[i] = (uint64_t)rng_gamma(&r, 3, 1e6);
		histogram_add(h, values[i]);
		sum += (double)values[i];
	}
	double mean = sum / VALUES;
	for (size_t i = 0; i < VALUES; i++)
		squares += ((double)values[i] - mean) * ((double)values[i] - mean);
	double std = sqrt(squares / VALUES);
	assert_near(histogram_mean(h), mean, 1e-9 * mean);
	assert_near(histogram_std(h), std, 0.001 * std);
	histogram_free(h);
}

static void counts_many_at_once(void **state)
{
	(void)state;
	struct histogram *one = new_histogram(), *many = new_histogram();
	for (int i = 0; i < 1000; i++)
		histogram_add(one, 123456);
	histogram_add(one, 9);
	histogram_add_n(many, 123456, 1000);
	histogram_add_n(many, 9, 1);
	histogram_add_n(many, 7777777, 0);
	assert_int_equal(histogram_count(many), 1001);
	assert_int_equal(histogram_max(many), 123456);
	assert_int_equal(histogram_min(many), 9);
	assert_near(histogram_mean(many), histogram_mean(one), 1e-9);
	assert_near(histogram_std(many), histogram_std(one), 1e-9);
	assert_int_equal(histogram_quantile(many, 0.5), histogram_quantile(one, 0.5));
	histogram_free(one);
	histogram_free(many);
}

static void merges_to_the_histogram_of_all_values(void **state)
{
	(void)state;
	static uint64_t values[VALUES];
	struct histogram *parts[3], *whole = new_histogram(), *merged = new_histogram();
	for (size_t i = 0; i < 3; i++)
		parts[i] = new_histogram(); /* the last one stays empty */
	draw(values, VALUES, 3);
	values[7] = HISTOGRAM_MAX_NS + 5;
	for (size_t i = 0; i < VALUES; i++) {
		histogram_add(whole, values[i]);
		histogram_add(parts[i % 2], values[i]);
	}
	for (size_t i = 0; i < 3; i++)
		histogram_merge(merged, parts[2 - i]);
	assert_int_equal(histogram_count(merged), VALUES);
	assert_int_equal(histogram_saturated(merged), 1);
	assert_int_equal(histogram_min(merged), histogram_min(whole));
	assert_int_equal(histogram_max(merged), histogram_max(whole));
	assert_near(histogram_mean(merged), histogram_mean(whole), 1e-9 * histogram_mean(whole));
	for (int i = 0; i <= 100; i++)
		assert_int_equal(histogram_quantile(merged, i / 100.0),
		                 histogram_quantile(whole, i / 100.0));
	for (size_t i = 0; i < 3; i++)
		histogram_free(parts[i]);
	histogram_free(whole);
	histogram_free(merged);
}

static void counts_what_is_beyond_its_range(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	histogram_add(h, HISTOGRAM_MAX_NS);
	assert_int_equal(histogram_saturated(h), 0);
	histogram_add(h, HISTOGRAM_MAX_NS + 1);
	histogram_add_n(h, UINT64_MAX, 2);
	assert_int_equal(histogram_count(h), 4);
	assert_int_equal(histogram_saturated(h), 3);
	assert_true(histogram_max(h) == UINT64_MAX);
	assert_true(histogram_quantile(h, 1) == UINT64_MAX);
	uint64_t half = histogram_quantile(h, 0.5);
	assert_true(half >= HISTOGRAM_MAX_NS);
	assert_true((double)half <= 1.001 * (double)HISTOGRAM_MAX_NS);
	histogram_free(h);
}

/* 0.07 * 100 is a little more than 7 in binary: still the seventh value. */
static void a_rank_is_not_moved_by_rounding(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 1000; n = n < 10 ? n + 1 : n * 10) {
		struct histogram *h = new_histogram();
		for (uint64_t v = 1; v <= n; v++)
			histogram_add(h, v);
		for (uint64_t rank = 1; rank <= n; rank++)
			assert_int_equal(histogram_quantile(h, (double)rank / (double)n), rank);
		histogram_free(h);
	}
}

static void equal_values_have_no_deviation(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	histogram_add_n(h, 123456789, 1000);
	assert_true(histogram_std(h) == 0);
	histogram_free(h);
}

static void several_quantiles_are_as_one_by_one(void **state)
{
	(void)state;
	static const double q[] = { -1, 0, 0.001, 0.5, 0.5, 0.9, 0.99, 0.999, 1, 2 };
	struct histogram *h = new_histogram();
	uint64_t got[COUNT_OF(q)], v = 1;
	histogram_quantiles(h, q, COUNT_OF(q), got);
	for (size_t i = 0; i < COUNT_OF(q); i++)
		assert_int_equal(got[i], 0);
	for (int n = 0; n < 1000; n++) {
		v ^= v << 13, v ^= v >> 7, v ^= v << 17;
		histogram_add_n(h, v >> (20 + n % 40), 1 + (uint64_t)n % 3);
		histogram_quantiles(h, q, COUNT_OF(q), got);
		for (size_t i = 0; i < COUNT_OF(q); i++)
			assert_int_equal(got[i], histogram_quantile(h, q[i]));
	}
	histogram_free(h);
}

static void forgets_all_when_reset(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	histogram_add(h, HISTOGRAM_MAX_NS * 2);
	histogram_add(h, 3);
	histogram_reset(h);
	assert_int_equal(histogram_count(h), 0);
	assert_int_equal(histogram_saturated(h), 0);
	histogram_add(h, 50);
	assert_int_equal(histogram_min(h), 50);
	assert_int_equal(histogram_max(h), 50);
	assert_int_equal(histogram_quantile(h, 0.01), 50);
	struct histogram_bucket b = { .index = HISTOGRAM_FIRST };
	assert_true(histogram_next(h, &b));
	assert_int_equal(b.count, 1);
	assert_false(histogram_next(h, &b));
	assert_true(histogram_sum(h) == 50);
	histogram_free(h);
}

static void takes_any_number_as_quantile(void **state)
{
	(void)state;
	struct histogram *h = new_histogram();
	histogram_add(h, 10);
	histogram_add(h, 20);
	assert_int_equal(histogram_quantile(h, -1), 10);
	assert_int_equal(histogram_quantile(h, 0), 10);
	assert_int_equal(histogram_quantile(h, 1e-300), 10);
	assert_int_equal(histogram_quantile(h, 7), 20);
	assert_int_equal(histogram_quantile(h, INFINITY), 20);
	assert_int_equal(histogram_quantile(h, NAN), 10);
	histogram_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_all_zero_when_empty),
		cmocka_unit_test(is_exact_below_2048),
		cmocka_unit_test(the_bottom_is_the_lowest_of_a_bucket),
		cmocka_unit_test(quantiles_agree_with_the_sorted_values),
		cmocka_unit_test(every_value_keeps_three_digits),
		cmocka_unit_test(a_quantile_is_never_above_the_maximum),
		cmocka_unit_test(mean_and_std_agree_with_the_values),
		cmocka_unit_test(counts_many_at_once),
		cmocka_unit_test(merges_to_the_histogram_of_all_values),
		cmocka_unit_test(counts_what_is_beyond_its_range),
		cmocka_unit_test(a_rank_is_not_moved_by_rounding),
		cmocka_unit_test(equal_values_have_no_deviation),
		cmocka_unit_test(several_quantiles_are_as_one_by_one),
		cmocka_unit_test(forgets_all_when_reset),
		cmocka_unit_test(takes_any_number_as_quantile),
	};
	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
