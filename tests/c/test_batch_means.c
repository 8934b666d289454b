#include "metrics/batch_means.h"

#include "support.h"

#include <math.h>

static void batches_are_20_at_most_of_5_values_at_least(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		int batches;
	} rows[] = { { 0, 0 }, { 24, 0 }, { 25, 5 }, { 54, 10 }, { 100, 20 }, { 1000000, 20 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(batch_means_count(rows[i].n), rows[i].batches);
}

static void without_correlation_it_is_the_variance_of_a_mean(void **state)
{
	(void)state;
	/* 2, 1, 2, 1: the lag-1 correlation is negative, and taken as none. Variance 1/3. */
	double df, means[] = { 2, 1, 2, 1 };
	assert_near(batch_means_variance(means, 4, &df), 1.0 / 3 / 4, 1e-9);
	assert_near(df, 3, 1e-9);
	double same[] = { 7, 7, 7 };
	assert_near(batch_means_variance(same, 3, &df), 0, 1e-9);
	assert_near(df, 2, 1e-9);
}

static void correlated_batches_are_worth_fewer(void **state)
{
	(void)state;
	/* Off by -2 -1 0 1 2: squares 10, products of neighbours 2 + 0 + 0 + 2, r = 0.4. */
	double df, means[] = { 1, 2, 3, 4, 5 };
	assert_near(batch_means_variance(means, 5, &df), 2.5 / 5 * 1.4 / 0.6, 1e-9);
	assert_near(df, 4 * 0.6 / 1.4, 1e-9);
	double trend[BATCH_MEANS_MOST]; /* r is 0.85, more than so few can tell: 0.8 */
	for (int i = 0; i < BATCH_MEANS_MOST; i++)
		trend[i] = i;
	assert_near(batch_means_variance(trend, BATCH_MEANS_MOST, &df), 35.0 / 20 * 9, 1e-9);
	assert_near(df, 19.0 / 9, 1e-9);
	double two[] = { 1, 2 };
	batch_means_variance(two, 2, &df);
	assert_near(df, 1, 1e-9);
}

static void students_t_is_that_of_the_tables(void **state)
{
	(void)state;
	static const struct {
		double df, t, tolerance;
	} rows[] = { { 1, 12.7062, 1e-4 },  { 4, 2.7764, 1e-4 },       { 18, 2.1009, 1e-4 },
		     { 19, 2.0930, 1e-4 },  { 30, 2.0423, 2e-3 },      { 120, 1.9799, 2e-3 },
		     { 8.5, 2.2822, 2e-3 }, { INFINITY, 1.9600, 1e-4 } };
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_near(student_t(rows[i].df), rows[i].t, rows[i].tolerance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_are_20_at_most_of_5_values_at_least),
		cmocka_unit_test(without_correlation_it_is_the_variance_of_a_mean),
		cmocka_unit_test(correlated_batches_are_worth_fewer),
		cmocka_unit_test(students_t_is_that_of_the_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
