#include "metrics/window.h"

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
	return histogram_quantile(m->histograms[METRIC_LATENCY], 0.5);
}

static void has_what_came_since_its_begin(void **state)
{
	(void)state;
	struct fold *f;
	struct window *w;
	assert_ok(fold_new(&f));
	assert_ok(window_new(&w));
	put(f, EVENT_PHASE_START, 0, FAILURE_NONE);
	for (int i = 0; i < 100; i++)
		request(f, 1000, i % 10 ? FAILURE_NONE : FAILURE_HTTP);

	assert_ok(window_begin(w, fold_phase(f, 0), T0 + 5000));
	const struct phase_metrics *m = window_read(w, fold_phase(f, 0));
	assert_int_equal(m->issued + m->completed + m->failed + m->tokens_out, 0);
	assert_int_equal(histogram_count(m->histograms[METRIC_LATENCY]), 0);
	assert_int_equal(m->started_ns, T0 + 5000);

	for (int i = 0; i < 50; i++)
		request(f, 2000, i % 5 ? FAILURE_NONE : FAILURE_HTTP);
	for (int again = 0; again < 2; again++) { /* a look changes nothing */
		m = window_read(w, fold_phase(f, 0));
		assert_int_equal(m->issued, 50);
		assert_int_equal(m->completed, 40);
		assert_int_equal(m->failed, 10);
		assert_int_equal(m->failures[FAILURE_HTTP], 10);
		assert_int_equal(m->statuses[503 - FOLD_FIRST_STATUS], 10);
		assert_int_equal(m->tokens_out, 160);
		assert_int_equal(m->finish_reasons[0].count, 40);
		assert_int_equal(histogram_count(m->histograms[METRIC_LATENCY]), 40);
		assert_int_equal(median(m), 2000);
	}
	assert_int_equal(median(fold_phase(f, 0)), 1000); /* the phase's own are as they were */

	assert_ok(window_begin(w, fold_phase(f, 0), T0 + 9000));
	request(f, 3000, FAILURE_NONE);
	m = window_read(w, fold_phase(f, 0));
	assert_int_equal(m->completed, 1);
	assert_int_equal(median(m), 3000);
	window_free(w);
	fold_free(f);
}

static void may_begin_before_anything_is_known(void **state)
{
	(void)state;
	struct fold *f;
	struct window *w;
	assert_ok(fold_new(&f));
	assert_ok(window_new(&w));
	assert_ok(window_begin(w, fold_phase(f, 0), T0));
	assert_int_equal(window_read(w, fold_phase(f, 0))->completed, 0);
	put(f, EVENT_PHASE_START, 0, FAILURE_NONE);
	request(f, 500, FAILURE_NONE);
	const struct phase_metrics *m = window_read(w, fold_phase(f, 0));
	assert_int_equal(m->completed, 1);
	assert_int_equal(histogram_max(m->histograms[METRIC_LATENCY]), 500);
	window_free(w);
	window_free(NULL);
	fold_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_came_since_its_begin),
		cmocka_unit_test(may_begin_before_anything_is_known),
	};
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
