#include "metrics/steady.h"

#include "base/clock.h"
#include "support.h"

#include <math.h>

static void equal_values_need_no_cut(void **state)
{
	(void)state;
	double values[50];
	for (int i = 0; i < 50; i++)
		values[i] = 50123456.7;
	assert_int_equal(steady_cut(values, 50), 0);
}

static void a_start_that_differs_is_cut(void **state)
{
	(void)state;
	static const int starts[] = { 1, 3, 10, 20 };
	for (size_t k = 0; k < COUNT_OF(starts); k++) {
		double values[60];
		for (int i = 0; i < 60; i++)
			values[i] = i < starts[k] ? 1000 - i : 100 + (i % 3 - 1);
		assert_int_equal(steady_cut(values, 60), starts[k]);
	}
}

/* By hand: of { 9, 1, 2, 1, 2, 1, 2 } the cut of 1 has 6 values with squares of deviation
 * 1.5 in all, so 1.5 / 36; the cut of 0 has 48.86 / 49, and fewer than 5 values are no cut. */
static void the_least_error_decides(void **state)
{
	(void)state;
	static const double values[] = { 9, 1, 2, 1, 2, 1, 2 };
	assert_int_equal(steady_cut(values, COUNT_OF(values)), 1);
}

static void a_series_that_never_settles_has_none(void **state)
{
	(void)state;
	double values[40];
	for (int i = 0; i < 40; i++)
		values[i] = i < 30 ? i * 100 : 3000; /* settles in the last quarter */
	assert_int_equal(steady_cut(values, 40), -1);
}

static void complete(struct series *s, uint64_t at_ns, uint64_t latency_ns)
{
	const struct series_end e = { .lateness_ns = -1,
		                      .latency_ns = (int64_t)latency_ns,
		                      .ttft_ns = -1,
		                      .tokens_out = -1 };
	assert_ok(series_ended(s, at_ns, &e));
}

/* 30 s with 10 completions each, slow in the first 4 s; then a drain. */
static struct series *slow_start(void)
{
	struct series *s;
	assert_ok(series_new(&s, 0));
	for (uint64_t i = 0; i < 300; i++)
		complete(s, i * 100 * NS_PER_MS,
		         i < 40 ? (500 - i) * NS_PER_MS : (50 + i % 2) * NS_PER_MS);
	complete(s, 45 * NS_PER_S, 9 * NS_PER_S);
	return s;
}

static void the_window_begins_after_the_start_and_ends_with_the_load(void **state)
{
	(void)state;
	struct series *s = slow_start();
	struct steady w;
	assert_true(steady_find(s, 30 * NS_PER_S, &w));
	assert_int_equal(w.from, 4);
	assert_int_equal(w.to, 30);
	/* ten in each second: no spread */
	assert_true(fabs(w.rate_low - 10) < 1e-9 && fabs(w.rate_high - 10) < 1e-9);
	series_free(s);
}

static void short_series_have_no_window(void **state)
{
	(void)state;
	struct series *s = slow_start();
	struct steady w;
	assert_false(steady_find(s, STEADY_FEWEST * NS_PER_S - 1, &w));
	assert_false(steady_find(s, 0, &w));
	assert_true(steady_find(s, 20 * NS_PER_S, &w));
	series_free(s);
}

/* Rates of 9 and 11 in turn, 10 bins each a batch: mean 10, s = 1.0541, t(9) = 2.262,
 * so 10 -+ 2.262 * 1.0541 / sqrt(10). */
static void the_interval_is_students(void **state)
{
	(void)state;
	struct series *s;
	struct steady w;
	assert_ok(series_new(&s, 0));
	for (uint64_t second = 0; second < 10; second++)
		for (uint64_t i = 0; i < (second % 2 ? 11 : 9); i++)
			complete(s, second * NS_PER_S + i, 50 * NS_PER_MS);
	assert_true(steady_find(s, 10 * NS_PER_S, &w));
	if (w.from == 0) {
		assert_true(fabs(w.rate_low - (10 - 0.754)) < 1e-3);
		assert_true(fabs(w.rate_high - (10 + 0.754)) < 1e-3);
	} else {
		fail_msg("a cut of %d bins", w.from);
	}
	series_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_values_need_no_cut),
		cmocka_unit_test(a_start_that_differs_is_cut),
		cmocka_unit_test(the_least_error_decides),
		cmocka_unit_test(a_series_that_never_settles_has_none),
		cmocka_unit_test(the_window_begins_after_the_start_and_ends_with_the_load),
		cmocka_unit_test(short_series_have_no_window),
		cmocka_unit_test(the_interval_is_students),
	};
	return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
