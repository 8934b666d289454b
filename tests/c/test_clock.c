#include "base/clock.h"

#include "support.h"

static void never_goes_back(void **state)
{
	(void)state;
	uint64_t last = clock_now(), cpu = clock_thread_cpu();
	for (int i = 0; i < 10000; i++) {
		uint64_t now = clock_now(), used = clock_thread_cpu();
		assert_true(now >= last);
		assert_true(used >= cpu);
		last = now;
		cpu = used;
	}
	assert_true(clock_now() > 0);
	assert_true(clock_realtime() > 1700000000 * NS_PER_S); /* after 2023 */
}

static void ties_the_calendar_to_any_moment(void **state)
{
	(void)state;
	uint64_t now = clock_now(), before = clock_realtime();
	uint64_t told = clock_realtime_at(now), after = clock_realtime();
	/* It is of a moment before `before`; no clock is set while tests run. */
	assert_true(told <= after);
	assert_true(before - told < 60 * NS_PER_S);
	uint64_t later = clock_realtime_at(now + NS_PER_S) - told;
	assert_true(later > NS_PER_S - 50 * NS_PER_MS && later < NS_PER_S + 50 * NS_PER_MS);
}

static void tells_how_long_the_machine_slept(void **state)
{
	(void)state;
	uint64_t slept = clock_suspended(), again = clock_suspended();
	uint64_t apart = again > slept ? again - slept : slept - again;
	assert_true(apart < 50 * NS_PER_MS); /* it did not meanwhile */
}

static void turns_seconds_into_nanoseconds(void **state)
{
	(void)state;
	static const struct {
		double s;
		uint64_t ns;
	} rows[] = {
		{ 0, 0 },
		{ -0.0, 0 },
		{ -1, 0 },
		{ 1e-9, 1 },
		{ 0.4e-9, 0 },
		{ 0.6e-9, 1 },
		{ 0.001, NS_PER_MS },
		{ 0.1, 100 * NS_PER_MS },
		{ 1, NS_PER_S },
		{ 3600, 3600 * NS_PER_S },
		{ NAN, 0 },
		{ -INFINITY, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(clock_from_seconds(rows[i].s), rows[i].ns);
	assert_true(clock_from_seconds(INFINITY) < 1ULL << 63);
	assert_true(clock_from_seconds(INFINITY) > 290ULL * 365 * 86400 * NS_PER_S);
	assert_int_equal(clock_from_seconds(1e300), clock_from_seconds(INFINITY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_goes_back),
		cmocka_unit_test(ties_the_calendar_to_any_moment),
		cmocka_unit_test(tells_how_long_the_machine_slept),
		cmocka_unit_test(turns_seconds_into_nanoseconds),
	};
	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
