#include "metrics/series.h"

#include "base/clock.h"
#include "support.h"

#define START (5 * NS_PER_S)

static struct series *new_series(void)
{
	struct series *s;
	assert_ok(series_new(&s, START));
	return s;
}

/* Times in ms after the start. */
static void issue(struct series *s, uint64_t scheduled_ms, uint64_t issued_ms)
{
	assert_ok(
		series_issued(s, START + scheduled_ms * NS_PER_MS, START + issued_ms * NS_PER_MS));
}

static void end(struct series *s, uint64_t at_ms, bool ok, int64_t latency_ms)
{
	const struct series_end e = { .failure = ok ? FAILURE_NONE : FAILURE_RESET,
		                      .good = latency_ms < 100,
		                      .lateness_ns = -1,
		                      .latency_ns = latency_ms * (int64_t)NS_PER_MS,
		                      .ttft_ns = latency_ms * (int64_t)NS_PER_MS / 2,
		                      .tokens_out = 7 };
	assert_ok(series_ended(s, START + at_ms * NS_PER_MS, &e));
}

static struct series_point at(const struct series *s, int i)
{
	struct series_point p;
	series_read(s, i, i + 1, &p);
	return p;
}

static bool near(uint64_t value_ns, uint64_t truth_ms)
{
	double off = (double)value_ns / (double)(truth_ms * NS_PER_MS) - 1;
	return off > -0.032 && off < 0.032;
}

static void each_second_has_its_own_numbers(void **state)
{
	(void)state;
	struct series *s = new_series();
	issue(s, 0, 10);
	issue(s, 900, 1100); /* asked in one bin, issued in the next */
	end(s, 1200, true, 50);
	issue(s, 2500, 2500);
	end(s, 2600, false, 0);
	end(s, 2999, true, 200);
	assert_int_equal(series_count(s), 3);
	assert_int_equal(series_width_ns(s), NS_PER_S);
	struct series_point p = at(s, 0);
	assert_int_equal(p.asked, 2);
	assert_int_equal(p.issued, 1);
	assert_int_equal(p.completed, 0);
	assert_int_equal(p.inflight, 1);
	assert_int_equal(p.inflight_max, 1);
	assert_int_equal(p.latency_p50, 0);
	p = at(s, 1);
	assert_int_equal(p.asked, 0);
	assert_int_equal(p.issued, 1);
	assert_int_equal(p.completed, 1);
	assert_int_equal(p.good, 1);
	assert_int_equal(p.tokens_out, 7);
	assert_int_equal(p.inflight, 1);
	assert_int_equal(p.inflight_max, 2);
	assert_true(near(p.latency_p50, 50) && near(p.latency_p99, 50) && near(p.ttft_p50, 25));
	p = at(s, 2);
	assert_int_equal(p.failed, 1);
	assert_int_equal(p.completed, 1);
	assert_int_equal(p.good, 0);
	assert_int_equal(p.inflight, 0);
	series_free(s);
	series_free(NULL);
}

static void percentiles_are_near_the_truth_at_all_sizes(void **state)
{
	(void)state;
	static const uint64_t sizes_ms[] = { 1, 3, 17, 250, 4000, 70000, 3000000 };
	for (size_t i = 0; i < COUNT_OF(sizes_ms); i++) {
		struct series *s = new_series();
		for (int k = 0; k < 99; k++)
			end(s, 10, true, (int64_t)sizes_ms[i]);
		end(s, 10, true, (int64_t)sizes_ms[i] * 10);
		struct series_point p = at(s, 0);
		assert_true(near(p.latency_p50, sizes_ms[i]) && near(p.latency_p99, sizes_ms[i]));
		end(s, 10, true, (int64_t)sizes_ms[i] * 10);
		p = at(s, 0);
		/* the 100th of 101; beyond the range the last bucket stands for all */
		assert_true(p.latency_p99 > sizes_ms[i] * NS_PER_MS * 14 / 10 ||
		            sizes_ms[i] == 3000000);
		series_free(s);
	}
}

static void bins_double_when_there_are_too_many(void **state)
{
	(void)state;
	struct series *s = new_series();
	for (uint64_t i = 0; i < SERIES_BINS; i++) {
		issue(s, i * 1000, i * 1000);
		end(s, i * 1000 + 500, true, (int64_t)i + 1);
	}
	assert_int_equal(series_width_ns(s), NS_PER_S);
	issue(s, SERIES_BINS * 1000, SERIES_BINS * 1000);
	assert_int_equal(series_width_ns(s), 2 * NS_PER_S);
	assert_int_equal(series_count(s), SERIES_BINS / 2 + 1);
	struct series_point p = at(s, 10); /* seconds 20 and 21 */
	assert_int_equal(p.issued, 2);
	assert_int_equal(p.completed, 2);
	assert_int_equal(p.inflight, 0);
	assert_true(p.latency_mean == 21.5 * (double)NS_PER_MS);
	assert_true(near(p.latency_p50, 21) && near(p.latency_p99, 22));
	p = at(s, SERIES_BINS / 2);
	assert_int_equal(p.issued, 1);
	assert_int_equal(p.inflight, 1);
	issue(s, UINT32_MAX, UINT32_MAX); /* seven weeks later */
	struct series_point all;
	series_read(s, 0, series_count(s), &all);
	assert_true(series_count(s) <= SERIES_BINS);
	assert_int_equal(all.issued, SERIES_BINS + 2);
	assert_int_equal(all.latency_count, SERIES_BINS);
	series_free(s);
}

static void what_lies_before_the_start_counts_in_the_first_bin(void **state)
{
	(void)state;
	struct series *s = new_series();
	assert_ok(series_issued(s, 0, START - 1));
	assert_int_equal(at(s, 0).asked, 1);
	assert_int_equal(at(s, 0).issued, 1);
	series_free(s);
}

static void what_is_not_known_is_in_no_percentile(void **state)
{
	(void)state;
	struct series *s = new_series();
	const struct series_end e = {
		.lateness_ns = -1, .latency_ns = -1, .ttft_ns = -1, .tokens_out = -1
	};
	assert_ok(series_ended(s, START, &e));
	struct series_point p = at(s, 0);
	assert_int_equal(p.completed, 1);
	assert_int_equal(p.latency_count, 0);
	assert_int_equal(p.tokens_out, 0);
	assert_int_equal(p.inflight_max, 0);
	assert_int_equal(p.lateness_count, 0);
	series_free(s);
}

static void lateness_counts_where_the_request_was_issued(void **state)
{
	(void)state;
	struct series *s = new_series();
	static const int64_t lateness_ns[] = { 3000, 40000, 8000 };
	for (size_t i = 0; i < COUNT_OF(lateness_ns); i++) {
		const struct series_end e = { .issued_ns = START + i * NS_PER_MS,
			                      .lateness_ns = lateness_ns[i],
			                      .latency_ns = -1,
			                      .ttft_ns = -1 };
		assert_ok(series_ended(s, START + 5 * NS_PER_S, &e));
	}
	assert_int_equal(at(s, 0).lateness_count, 3);
	assert_int_equal(at(s, 0).lateness_max, 40000);
	assert_int_equal(at(s, 0).completed, 0);
	assert_int_equal(at(s, 5).lateness_count, 0);
	assert_int_equal(at(s, 5).completed, 3);
	series_free(s);
}

static void failures_are_told_by_class(void **state)
{
	(void)state;
	struct series *s = new_series();
	static const enum failure failures[] = { FAILURE_RESET, FAILURE_HTTP, FAILURE_RESET };
	for (size_t i = 0; i < COUNT_OF(failures); i++) {
		const struct series_end e = { .failure = failures[i], .lateness_ns = (int64_t)i };
		assert_ok(series_ended(s, START + i, &e));
	}
	assert_ok(series_issued(s, START + 2 * SERIES_BINS * NS_PER_S, /* merges bins */
	                        START + 2 * SERIES_BINS * NS_PER_S));
	struct series_point p = at(s, 0);
	assert_int_equal(p.failed, 3);
	assert_int_equal(p.failures[FAILURE_RESET], 2);
	assert_int_equal(p.failures[FAILURE_HTTP], 1);
	assert_int_equal(p.failures[FAILURE_NONE], 0);
	assert_int_equal(p.lateness_max, 2);
	series_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_second_has_its_own_numbers),
		cmocka_unit_test(percentiles_are_near_the_truth_at_all_sizes),
		cmocka_unit_test(bins_double_when_there_are_too_many),
		cmocka_unit_test(what_lies_before_the_start_counts_in_the_first_bin),
		cmocka_unit_test(what_is_not_known_is_in_no_percentile),
		cmocka_unit_test(lateness_counts_where_the_request_was_issued),
		cmocka_unit_test(failures_are_told_by_class),
	};
	return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
