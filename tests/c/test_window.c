#include "metrics/fold.h"

#include "support.h"

#define T0 1000000000ULL

static void put(struct fold *f, enum event_type type, uint64_t at_ns, enum failure failure)
{
	struct event e = { .type = type,
		           .phase = 0,
		           .timestamp_ns = T0 + at_ns,
		           .scheduled_ns = T0,
		           .issued_ns = T0 + 10,
		           .failure = failure,
		           .http_status = failure == FAILURE_HTTP ? 503 : 200,
		           .tokens_out = 4,
		           .finish_reason = { "stop", 4 } };
	assert_ok(fold_put(f, &e));
}

/* One request that ends after so long. */
static void request(struct fold *f, uint64_t latency_ns, enum failure failure)
{
	put(f, EVENT_SAMPLE_ISSUED, 10, FAILURE_NONE);
	put(f, EVENT_SAMPLE_COMPLETE, latency_ns, failure);
}

static uint64_t median(const struct phase_metrics *m)
{
	return distribution_quantile(m->all.distributions[METRIC_LATENCY], 0.5);
}

static struct phase_metrics read_window(const struct fold_window *w)
{
	struct phase_metrics m;
	fold_window_read(w, &m);
	return m;
}

static void has_what_came_since_its_begin(void **state)
{
	(void)state;
	struct fold *f;
	struct fold_window w = { 0 };
	assert_ok(fold_new(&f));
	put(f, EVENT_PHASE_START, 0, FAILURE_NONE);
	for (int i = 0; i < 100; i++)
		request(f, 1000, i % 10 ? FAILURE_NONE : FAILURE_HTTP);

	fold_window_open(f, &w, 0, T0 + 5000);
	struct phase_metrics m = read_window(&w);
	assert_int_equal(m.all.issued + m.all.completed + m.all.failed + m.all.tokens_out, 0);
	assert_null(m.all.distributions[METRIC_LATENCY]);
	assert_int_equal(m.started_ns, T0 + 5000);

	for (int i = 0; i < 50; i++)
		request(f, 2000, i % 5 ? FAILURE_NONE : FAILURE_HTTP);
	for (int again = 0; again < 2; again++) { /* a look changes nothing */
		m = read_window(&w);
		assert_int_equal(m.all.issued, 50);
		assert_int_equal(m.all.completed, 40);
		assert_int_equal(m.all.failed, 10);
		assert_int_equal(m.all.failures[FAILURE_HTTP], 10);
		assert_int_equal(m.all.statuses[503 - TALLY_FIRST_STATUS], 10);
		assert_int_equal(m.all.tokens_out, 160);
		assert_int_equal(m.all.finish_reasons[0].count, 40);
		assert_int_equal(distribution_count(m.all.distributions[METRIC_LATENCY]), 40);
		assert_int_equal(median(&m), 2000);
	}
	assert_int_equal(median(fold_phase(f, 0)), 1000); /* the phase's own are as they were */

	fold_window_open(f, &w, 0, T0 + 9000);
	request(f, 3000, FAILURE_NONE);
	m = read_window(&w);
	assert_int_equal(m.all.completed, 1);
	assert_int_equal(median(&m), 3000);
	fold_window_close(&w);
	fold_free(f);
}

static void may_begin_before_anything_is_known(void **state)
{
	(void)state;
	struct fold *f;
	struct fold_window w = { 0 };
	assert_ok(fold_new(&f));
	fold_window_open(f, &w, 0, T0);
	struct phase_metrics m = read_window(&w);
	assert_int_equal(m.all.completed, 0);
	assert_int_equal(m.lua_ns, EVENT_NONE);
	assert_int_equal(m.late, EVENT_NONE);
	assert_int_equal(m.busy_ns, EVENT_NONE);
	put(f, EVENT_PHASE_START, 0, FAILURE_NONE);
	request(f, 500, FAILURE_NONE);
	assert_int_equal(read_window(&w).all.completed, 1);
	fold_window_close(&w);
	fold_window_close(&w);
	fold_free(f);
}

static void many_are_open_and_close_in_any_order(void **state)
{
	(void)state;
	for (int first = 0; first < 3; first++) {
		struct fold *f;
		struct fold_window w[3] = { 0 };
		assert_ok(fold_new(&f));
		put(f, EVENT_PHASE_START, 0, FAILURE_NONE);
		for (int i = 0; i < 3; i++)
			fold_window_open(f, &w[i], i == 2 ? 1 : 0, T0);
		request(f, 500, FAILURE_NONE);
		fold_window_close(&w[first]);
		request(f, 500, FAILURE_NONE);
		for (int i = 0; i < 3; i++)
			if (i != first)
				assert_int_equal(w[i].tally.completed, i == 2 ? 0 : 2);
		fold_free(f); /* before the others */
		for (int i = 0; i < 3; i++)
			fold_window_close(&w[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_came_since_its_begin),
		cmocka_unit_test(may_begin_before_anything_is_known),
		cmocka_unit_test(many_are_open_and_close_in_any_order),
	};
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
