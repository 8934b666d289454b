#include "metrics/early_stopping.h"

#include "support.h"

#define C EARLY_STOPPING_CONFIDENCE

/* Published with LoadGen's and the endpoints' early stopping. */
static void the_fewest_requests_are_the_published_ones(void **state)
{
	(void)state;
	static const struct {
		double p;
		uint64_t floor;
	} rows[] = { { 0.5, 11 },   { 0.75, 24 },  { 0.8, 31 },     { 0.9, 64 },      { 0.95, 130 },
		     { 0.97, 219 }, { 0.99, 662 }, { 0.999, 6636 }, { 0.9999, 66381 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(early_stopping_floor(rows[i].p, C), rows[i].floor);
}

static void without_one_above_it_is_a_power(void **state)
{
	(void)state;
	assert_int_equal(early_stopping_least_below(0, 0.99, C), 459); /* 0.99^459 < 0.01 */
	assert_int_equal(early_stopping_least_below(0, 0.9, C), 44);
	assert_int_equal(early_stopping_least_below(0, 0.5, C), 7);
	assert_int_equal(early_stopping_least_below(0, 0.5, 0.5), 2); /* strictly less */
}

static void the_published_run_may_have_77_above(void **state)
{
	(void)state;
	assert_int_equal(early_stopping_above(10000, 0.99, C), 77);
	assert_int_equal(early_stopping_above(661, 0.99, C), 0);
	assert_int_equal(early_stopping_above(662, 0.99, C), 1);
	assert_int_equal(early_stopping_above(0, 0.99, C), 0);
	assert_int_equal(early_stopping_above(11, 0.5, C), 1);
}

/* By its definition: t requests above fit, one more does not. */
static void it_is_the_largest_that_fits(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 700, 1000, 5000, 24576, 270336, 3000000 };
	static const double shares[] = { 0.5, 0.9, 0.99 };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		for (size_t k = 0; k < COUNT_OF(shares); k++) {
			uint64_t n = sizes[i], t = early_stopping_above(n, shares[k], C);
			assert_true(early_stopping_least_below(t, shares[k], C) + t <= n);
			assert_true(early_stopping_least_below(t + 1, shares[k], C) + t + 1 > n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fewest_requests_are_the_published_ones),
		cmocka_unit_test(without_one_above_it_is_a_power),
		cmocka_unit_test(the_published_run_may_have_77_above),
		cmocka_unit_test(it_is_the_largest_that_fits),
	};
	return cmocka_run_group_tests_name("early_stopping", tests, NULL, NULL);
}
