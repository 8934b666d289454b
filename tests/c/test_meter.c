#include "base/meter.h"

#include "support.h"

static void spin(uint64_t ns)
{
	for (uint64_t until = clock_now() + ns; clock_now() < until;)
		;
}

/* Spans and waits take turns; a machine that is busy makes both longer, never shorter. */
static void measures_spans_and_not_what_lies_between(void **state)
{
	(void)state;
	struct meter m;
	struct meter_reading r;
	uint64_t begun_ns = clock_now(), inside_ns = 0;
	meter_start(&m, begun_ns);
	for (int i = 0; i < 20; i++) {
		uint64_t from_ns = clock_now(), from = clock_ticks();
		spin((uint64_t)(i + 1) * 100 * NS_PER_US);
		meter_add(&m, from);
		inside_ns += clock_now() - from_ns;
		spin(NS_PER_MS);
	}
	uint64_t now_ns = clock_now();
	meter_read(&m, now_ns, &r);
	assert_int_equal(r.spans, 20);
	assert_near((double)r.ns, (double)inside_ns, 0.02 * (double)(now_ns - begun_ns));
	assert_true(r.longest_ns >= (uint64_t)(0.9 * 2e6) && r.longest_ns <= r.ns);
}

static void counts_from_the_mark(void **state)
{
	(void)state;
	struct meter m;
	struct meter_reading r;
	meter_start(&m, clock_now());
	uint64_t from = clock_ticks();
	spin(20 * NS_PER_MS);
	meter_add(&m, from);
	meter_mark(&m);
	meter_read(&m, clock_now(), &r);
	assert_true(r.ns == 0 && r.spans == 0 && r.longest_ns == 0);
	meter_add(&m, clock_ticks());
	meter_read(&m, clock_now(), &r);
	assert_int_equal(r.spans, 1);
	assert_true(r.longest_ns <= r.ns + 1);
}

/* CPUs need not agree on their counters. */
static void takes_a_counter_that_went_back_for_nothing(void **state)
{
	(void)state;
	struct meter m;
	struct meter_reading r;
	uint64_t now = clock_now();
	meter_start(&m, now);
	meter_add(&m, clock_ticks() + (1ULL << 40));
	meter_read(&m, now, &r); /* and no time has passed */
	assert_true(r.ns == 0 && r.spans == 1 && r.longest_ns == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measures_spans_and_not_what_lies_between),
		cmocka_unit_test(counts_from_the_mark),
		cmocka_unit_test(takes_a_counter_that_went_back_for_nothing),
	};
	return cmocka_run_group_tests_name("meter", tests, NULL, NULL);
}
