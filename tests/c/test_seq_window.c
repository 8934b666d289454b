#include "events/seq_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the standard headers, which it needs */
#include <cmocka.h>

static struct seq_window w;

static int fresh(void **state)
{
	(void)state;
	seq_window_init(&w);
	return 0;
}

static void add_range(uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		seq_window_add(&w, i);
}

static void test_nothing_is_missing_of_nothing(void **state)
{
	(void)state;
	assert_int_equal(seq_window_missing(&w), 0);
}

static void test_an_unbroken_run_has_no_holes(void **state)
{
	(void)state;
	add_range(0, 5 * SEQ_WINDOW + 17);
	assert_int_equal(seq_window_missing(&w), 0);
	assert_int_equal(w.duplicate, 0);
}

static void test_holes_are_counted_inside_and_behind_the_window(void **state)
{
	(void)state;
	add_range(3, 100);
	assert_int_equal(seq_window_missing(&w), 3);
	add_range(101, 3 * SEQ_WINDOW);
	assert_int_equal(seq_window_missing(&w), 4);
	seq_window_add(&w, 3 * SEQ_WINDOW + 10);
	assert_int_equal(seq_window_missing(&w), 14);
}

static void test_reordering_within_the_window_is_no_loss(void **state)
{
	const uint64_t n = 1000;
	(void)state;
	for (uint64_t block = 0; block < 200; block++)
		for (uint64_t i = n; i-- > 0;)
			seq_window_add(&w, block * n + i);
	assert_int_equal(seq_window_missing(&w), 0);
	assert_int_equal(w.duplicate, 0);
}

static void test_what_comes_twice_is_counted(void **state)
{
	(void)state;
	add_range(0, 10);
	add_range(5, 12);
	assert_int_equal(w.duplicate, 5);
	assert_int_equal(seq_window_missing(&w), 0);
}

static void test_what_comes_after_its_window_stays_missing(void **state)
{
	(void)state;
	add_range(1, 2 * SEQ_WINDOW);
	seq_window_add(&w, 0);
	assert_int_equal(seq_window_missing(&w), 1);
	assert_int_equal(w.duplicate, 1);
}

static void test_a_jump_over_many_windows_counts_all_between(void **state)
{
	const uint64_t far = (uint64_t)INT64_MAX;
	(void)state;
	add_range(0, 64);
	seq_window_add(&w, far);
	assert_true(seq_window_missing(&w) == far - 64);
	seq_window_add(&w, far - 1);
	assert_true(seq_window_missing(&w) == far - 65);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing_is_missing_of_nothing, fresh),
		cmocka_unit_test_setup(test_an_unbroken_run_has_no_holes, fresh),
		cmocka_unit_test_setup(test_holes_are_counted_inside_and_behind_the_window, fresh),
		cmocka_unit_test_setup(test_reordering_within_the_window_is_no_loss, fresh),
		cmocka_unit_test_setup(test_what_comes_twice_is_counted, fresh),
		cmocka_unit_test_setup(test_what_comes_after_its_window_stays_missing, fresh),
		cmocka_unit_test_setup(test_a_jump_over_many_windows_counts_all_between, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
