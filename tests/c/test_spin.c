#include "base/spin.h"

#include "support.h"

#define US        1000ULL
#define MAX       (100 * US)
#define CONTENDED 4 /* preemptions of a period that make it yield */

static struct spin fresh(void)
{
	struct spin s;
	spin_init(&s, MAX);
	return s;
}

static void wake(struct spin *s, uint64_t late_ns, int times)
{
	for (int i = 0; i < times; i++)
		spin_woke(s, late_ns);
}

static void a_window_of_nothing_stays_so(void **state)
{
	(void)state;
	struct spin s;
	spin_init(&s, 0);
	wake(&s, 30 * US, 1000);
	spin_period(&s, 0);
	assert_int_equal(s.window_ns, 0);
}

static void follows_the_grain_of_the_timer(void **state)
{
	(void)state;
	struct spin s = fresh();
	wake(&s, 80 * US, 100);
	assert_true(s.window_ns >= 80 * US && s.window_ns <= 83 * US);
	wake(&s, 8 * US, 4000);
	assert_true(s.window_ns >= 8 * US && s.window_ns <= 11 * US);
}

/* One late wake-up of 64 is let go. */
static void covers_nearly_all(void **state)
{
	(void)state;
	struct spin s = fresh();
	for (int i = 0; i < 20000; i++)
		spin_woke(&s, i % 100 ? 5 * US : 60 * US);
	assert_true(s.window_ns < 20 * US);
	for (int i = 0; i < 20000; i++)
		spin_woke(&s, i % 20 ? 5 * US : 60 * US);
	assert_true(s.window_ns > 50 * US);
}

static void a_core_that_was_not_free_is_no_grain(void **state)
{
	(void)state;
	struct spin s = fresh();
	uint64_t before = s.window_ns;
	wake(&s, MAX + 1, 1000);
	assert_int_equal(s.window_ns, before);
	wake(&s, MAX, 1000);
	assert_int_equal(s.window_ns, MAX);
}

static void good_timers_are_polled_for_a_little_all_the_same(void **state)
{
	(void)state;
	struct spin s = fresh();
	wake(&s, 0, 100000);
	assert_int_equal(s.grain_ns, 0);
	assert_true(s.window_ns > 0 && s.window_ns <= 2 * US);
}

static void yields_where_it_is_preempted(void **state)
{
	(void)state;
	struct spin s = fresh();
	uint64_t first = s.window_ns;
	spin_period(&s, CONTENDED - 1);
	assert_int_equal(s.window_ns, first);
	spin_period(&s, CONTENDED);
	assert_int_equal(s.window_ns, first / 2);
	for (int i = 0; i < 20; i++)
		spin_period(&s, CONTENDED);
	assert_int_equal(s.window_ns, 0);
}

static int quiet_periods_until(struct spin *s, uint64_t window_ns)
{
	int n = 0;
	for (; s->window_ns < window_ns && n < 10000; n++)
		spin_period(s, 0);
	return n;
}

static void tries_again_later_each_time(void **state)
{
	(void)state;
	struct spin s = fresh();
	int last = 0;
	for (int i = 0; i < 5; i++) {
		spin_period(&s, CONTENDED);
		int n = quiet_periods_until(&s, 10 * US);
		assert_true(i == 0 || n > last);
		assert_true(n < 10000);
		last = n;
	}
	/* A long peace makes good for all. */
	for (int i = 0; i < 1000; i++)
		spin_period(&s, 0);
	spin_period(&s, CONTENDED);
	assert_true(quiet_periods_until(&s, 10 * US) < last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_of_nothing_stays_so),
		cmocka_unit_test(follows_the_grain_of_the_timer),
		cmocka_unit_test(covers_nearly_all),
		cmocka_unit_test(a_core_that_was_not_free_is_no_grain),
		cmocka_unit_test(good_timers_are_polled_for_a_little_all_the_same),
		cmocka_unit_test(yields_where_it_is_preempted),
		cmocka_unit_test(tries_again_later_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
