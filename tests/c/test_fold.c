#include "base/clock.h"
#include "metrics/fold.h"

#include "support.h"

#define T0 1000000000ULL

static struct slice text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* An event with all that does not belong to it absent. */
static struct event blank(enum event_type type, int phase, uint64_t timestamp_ns)
{
	struct event e;
	event_init(&e, type, timestamp_ns);
	e.phase = phase;
	return e;
}

/* Scheduled at T0, issued 10 ns later, first content at 110, ended at 510. */
static struct event success(int phase)
{
	struct event e = blank(EVENT_SAMPLE_COMPLETE, phase, T0 + 510);
	e.scheduled_ns = T0;
	e.issued_ns = T0 + 10;
	e.first_ns = T0 + 110;
	e.http_status = 200;
	return e;
}

static struct event failed(int phase, enum failure f, int status)
{
	struct event e = success(phase);
	e.failure = f;
	e.http_status = status;
	return e;
}

static struct fold *new_fold(void)
{
	struct fold *f;
	assert_ok(fold_new(&f));
	return f;
}

static void put(struct fold *f, struct event e)
{
	assert_ok(fold_put(f, &e));
}

static uint64_t only_value(const struct phase_metrics *m, enum metric metric)
{
	assert_non_null(m->all.distributions[metric]);
	assert_int_equal(distribution_count(m->all.distributions[metric]), 1);
	return distribution_max(m->all.distributions[metric]);
}

static void is_empty_at_first(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	assert_int_equal(fold_phase_count(f), 0);
	assert_null(fold_phase(f, 0));
	assert_null(fold_phase(f, -1));
	assert_string_equal(fold_session_id(f), "");
	assert_int_equal(fold_lost(f), 0);
	fold_free(f);
	fold_free(NULL);
}

static void knows_the_session(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = blank(EVENT_SESSION_STARTED, EVENT_NONE, T0);
	e.session_id = text("0123456789abcdef0123456789abcdef");
	e.realtime_ns = 77;
	put(f, e);
	put(f, blank(EVENT_SESSION_ENDED, EVENT_NONE, T0 + 1));
	assert_string_equal(fold_session_id(f), "0123456789abcdef0123456789abcdef");
	assert_int_equal(fold_started_ns(f), T0);
	assert_int_equal(fold_started_realtime_ns(f), 77);
	assert_int_equal(fold_phase_count(f), 0);
	fold_free(f);
}

static void knows_its_phases(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = blank(EVENT_PHASE_START, 2, T0);
	e.name = text("rate-10");
	e.kind = text("performance");
	e.open_load = 1;
	put(f, e);
	assert_int_equal(fold_phase_count(f), 3);
	assert_null(fold_phase(f, 0));
	assert_null(fold_phase(f, 3));
	const struct phase_metrics *m = fold_phase(f, 2);
	assert_string_equal(m->name, "rate-10");
	assert_string_equal(m->kind, "performance");
	assert_true(m->started && !m->ended && m->open_load);
	assert_int_equal(m->started_ns, T0);
	assert_string_equal(m->end_reason, "");

	e = blank(EVENT_PHASE_END, 2, T0 + 9);
	e.end_reason = text("duration");
	e.dropped = 4;
	e.connections = 7;
	e.reconnects = 2;
	e.lua_ns = 5;
	e.lua_calls = 6;
	e.lua_max_ns = 3;
	e.gc_ns = 0;
	e.gc_steps = e.gc_max_ns = 0;
	assert_int_equal(m->lua_ns, -1); /* not known yet */
	put(f, e);
	assert_true(m->lua_ns == 5 && m->lua_calls == 6 && m->lua_max_ns == 3);
	assert_true(m->gc_ns == 0 && m->gc_steps == 0 && m->gc_max_ns == 0);
	assert_true(m->connections == 7 && m->reconnects == 2);
	assert_true(m->ended);
	assert_int_equal(m->ended_ns, T0 + 9);
	assert_int_equal(m->dropped, 4);
	assert_string_equal(m->end_reason, "duration");
	fold_free(f);
}

static void cuts_names_that_are_too_long(void **state)
{
	(void)state;
	char name[200];
	memset(name, 'n', sizeof(name));
	struct fold *f = new_fold();
	struct event e = blank(EVENT_PHASE_START, 0, T0);
	e.name = e.kind = (struct slice){ name, sizeof(name) };
	put(f, e);
	assert_int_equal(strlen(fold_phase(f, 0)->name), FOLD_NAME_SIZE - 1);
	assert_int_equal(strlen(fold_phase(f, 0)->kind), sizeof(fold_phase(f, 0)->kind) - 1);
	fold_free(f);
}

static void an_issue_counts_and_its_lateness_with_the_end(void **state)
{
	(void)state;
	static const struct {
		uint64_t scheduled, issued;
	} rows[] = { { T0 + 100, T0 + 130 }, { T0 + 50, T0 + 140 }, { T0 + 200, T0 + 190 } };
	struct fold *f = new_fold();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct event e = blank(EVENT_SAMPLE_ISSUED, 0, rows[i].issued);
		e.scheduled_ns = rows[i].scheduled;
		put(f, e);
	}
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_null(m->all.distributions[METRIC_LATENESS]);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct event e = blank(EVENT_SAMPLE_COMPLETE, 0, T0 + 1000);
		e.scheduled_ns = rows[i].scheduled;
		e.issued_ns = rows[i].issued; /* by the worker that took it */
		e.failure = FAILURE_RESET;    /* failures count, too */
		put(f, e);
	}
	assert_int_equal(m->all.issued, 3);
	assert_int_equal(m->all.first_scheduled_ns, T0 + 100);
	assert_int_equal(m->all.last_scheduled_ns, T0 + 200);
	assert_int_equal(m->all.first_issued_ns, T0 + 130);
	assert_int_equal(m->all.last_issued_ns, T0 + 190);
	struct distribution *h = m->all.distributions[METRIC_LATENESS];
	assert_int_equal(distribution_count(h), 3);
	assert_int_equal(distribution_min(h), 0); /* never negative */
	assert_int_equal(distribution_quantile(h, 0.5), 30);
	assert_int_equal(distribution_max(h), 90);
	assert_null(m->all.distributions[METRIC_LATENCY]);
	fold_free(f);
}

static void a_success_gives_every_metric(void **state)
{
	(void)state;
	static const uint32_t gaps[] = { 1, 0, 3 };
	struct fold *f = new_fold();
	struct event e = success(0);
	e.chunks = 4;
	e.chunk_us = gaps;
	e.chunk_us_count = 3;
	e.tokens_in = 12;
	e.tokens_out = 5;
	e.bytes_in = 1000;
	e.bytes_out = 200;
	e.finish_reason = text("stop");
	put(f, e);
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(m->all.completed, 1);
	assert_int_equal(m->all.failed, 0);
	assert_int_equal(only_value(m, METRIC_LATENCY), 510);
	assert_int_equal(only_value(m, METRIC_SERVICE_TIME), 500);
	assert_int_equal(only_value(m, METRIC_TTFT), 110);
	assert_int_equal(only_value(m, METRIC_TTFT_SERVICE), 100);
	assert_int_equal(only_value(m, METRIC_TPOT), 100);
	assert_int_equal(distribution_count(m->all.distributions[METRIC_ITL]), 3);
	assert_int_equal(distribution_min(m->all.distributions[METRIC_ITL]), 0);
	assert_int_equal(distribution_max(m->all.distributions[METRIC_ITL]), 3000);
	assert_int_equal(only_value(m, METRIC_LATENESS), 10);
	assert_int_equal(m->all.tokens_in, 12);
	assert_int_equal(m->all.tokens_out, 5);
	assert_int_equal(m->all.token_responses, 1);
	assert_int_equal(m->all.chunks, 4);
	assert_int_equal(m->all.bytes_in, 1000);
	assert_int_equal(m->all.bytes_out, 200);
	assert_int_equal(m->all.last_finished_ns, T0 + 510);
	assert_string_equal(m->all.finish_reasons[0].name, "stop");
	assert_int_equal(m->all.finish_reasons[0].count, 1);
	fold_free(f);
}

static void the_first_of_each_kind_has_its_own_time(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = success(0); /* issued 10 ns after it was scheduled */
	e.first_byte_ns = T0 + 40;
	e.first_event_after_ns = 50;
	e.first_reasoning_after_ns = 100;
	e.first_content_after_ns = 300;
	put(f, e);
	e = success(0);
	e.first_event_after_ns = 0; /* at once: told, not absent */
	put(f, e);
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(only_value(m, METRIC_FIRST_BYTE), 40);
	assert_int_equal(only_value(m, METRIC_FIRST_CONTENT), 310);
	assert_int_equal(only_value(m, METRIC_FIRST_REASONING), 110);
	struct distribution *events = m->all.distributions[METRIC_FIRST_EVENT];
	assert_int_equal(distribution_count(events), 2);
	assert_int_equal(distribution_min(events), 10);
	assert_int_equal(distribution_max(events), 60);
	fold_free(f);
}

/* 12 tokens in 4 chunks: three to each, so a third of each gap. */
static void gaps_are_shared_by_the_tokens_of_a_chunk(void **state)
{
	(void)state;
	static const uint32_t gaps[] = { 30, 60, 0 };
	struct fold *f = new_fold();
	struct event e = success(0);
	e.chunks = 4;
	e.chunk_us = gaps;
	e.chunk_us_count = COUNT_OF(gaps);
	e.tokens_out = 12;
	put(f, e);
	struct distribution *d = fold_phase(f, 0)->all.distributions[METRIC_ITL_TOKEN];
	assert_int_equal(distribution_count(d), 3);
	assert_int_equal(distribution_rank(d, 1), 0);
	assert_int_equal(distribution_rank(d, 2), 10000);
	assert_int_equal(distribution_rank(d, 3), 20000);
	e.tokens_out = EVENT_NONE; /* nobody knows how many there are in a chunk */
	put(f, e);
	assert_int_equal(distribution_count(d), 3);
	fold_free(f);
}

static void a_good_request_keeps_every_bound(void **state)
{
	(void)state;
	/* latency 510, ttft 110, tpot 400 / (tokens - 1) */
	static const struct {
		int64_t latency, ttft, tpot, tokens;
		bool no_first, fails, good;
		const char *why;
	} rows[] = {
		{ 510, 110, 100, 5, false, false, true, "all at their bounds" },
		{ 509, 110, 100, 5, false, false, false, "latency above" },
		{ 510, 109, 100, 5, false, false, false, "ttft above" },
		{ 510, 110, 99, 5, false, false, false, "tpot above" },
		{ 0, 110, 0, 5, false, false, true, "the only bound is kept" },
		{ 510, 0, 0, 5, true, false, true, "no first token, and none was asked" },
		{ 0, 110, 0, 5, true, false, false, "no first token" },
		{ 0, 0, 100, 1, false, false, true, "one token has no gap" },
		{ 0, 0, 100, EVENT_NONE, false, false, false, "nobody told the tokens" },
		{ 600, 0, 0, 5, false, true, false, "a failure" },
		{ 0, 0, 0, 5, false, false, false, "no bounds at all" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fold *f = new_fold();
		struct event e = blank(EVENT_PHASE_START, 0, T0);
		e.slo_latency_ns = rows[i].latency ? rows[i].latency : EVENT_NONE;
		e.slo_ttft_ns = rows[i].ttft ? rows[i].ttft : EVENT_NONE;
		e.slo_tpot_ns = rows[i].tpot ? rows[i].tpot : EVENT_NONE;
		put(f, e);
		e = rows[i].fails ? failed(0, FAILURE_RESET, 0) : success(0);
		e.tokens_out = rows[i].tokens;
		if (rows[i].no_first)
			e.first_ns = 0;
		put(f, e);
		if (fold_phase(f, 0)->all.good != rows[i].good)
			fail_msg("%s", rows[i].why);
		fold_free(f);
	}
}

/* LoadGen: to the end of the latest issue, not to the latest end. */
static void the_window_ends_with_the_latest_issue(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = success(0);
	e.issued_ns = T0 + 200, e.timestamp_ns = T0 + 300;
	put(f, e);
	e.issued_ns = T0 + 100, e.timestamp_ns = T0 + 900; /* issued before it, ends after it */
	put(f, e);
	e = failed(0, FAILURE_RESET, 0);
	e.issued_ns = T0 + 400, e.timestamp_ns = T0 + 950;
	put(f, e);
	assert_int_equal(fold_phase(f, 0)->all.window_finished_ns, T0 + 300);
	fold_free(f);
}

static void what_was_not_told_is_not_counted(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = success(0);
	e.first_ns = 0;
	put(f, e); /* no content, no usage */
	e = success(0);
	e.tokens_out = 1; /* one token has no gap */
	put(f, e);
	e.tokens_out = 0;
	put(f, e);
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(m->all.completed, 3);
	assert_int_equal(distribution_count(m->all.distributions[METRIC_LATENCY]), 3);
	assert_int_equal(distribution_count(m->all.distributions[METRIC_TTFT]), 2);
	assert_null(m->all.distributions[METRIC_TPOT]);
	assert_null(m->all.distributions[METRIC_ITL]);
	assert_int_equal(m->all.token_responses, 2);
	assert_int_equal(m->all.tokens_out, 1);
	assert_int_equal(m->all.tokens_in, 0);
	assert_int_equal(m->all.bytes_in, 0);
	fold_free(f);
}

static void answers_are_as_long_as_asked_or_not(void **state)
{
	(void)state;
	static const struct {
		int64_t least, most, got;
	} rows[] = {
		{ 8, 8, 8 },                     /* as asked */
		{ 8, 8, 7 },                     /* too short */
		{ 8, 8, 9 },                     /* too long */
		{ EVENT_NONE, 8, 3 },            /* may end before */
		{ EVENT_NONE, 8, 9 },            /* too long */
		{ 4, EVENT_NONE, 3 },            /* too short */
		{ EVENT_NONE, EVENT_NONE, 100 }, /* nothing was asked */
		{ 8, 8, EVENT_NONE },            /* nothing was told */
	};
	struct fold *f = new_fold();
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct event e = success(0);
		e.tokens_in = 10;
		e.tokens_cached = i == 0 ? EVENT_NONE : 2;
		e.tokens_least = rows[i].least;
		e.tokens_most = rows[i].most;
		e.tokens_out = rows[i].got;
		put(f, e);
	}
	const struct tally *t = &fold_phase(f, 0)->all;
	assert_int_equal(t->lengths.answers, 6);
	assert_int_equal(t->lengths.too_short, 2);
	assert_int_equal(t->lengths.too_long, 2);
	assert_int_equal(t->lengths.asked, 8 * 5 + 4);
	assert_int_equal(t->lengths.got, 8 + 7 + 9 + 3 + 9 + 3);
	assert_int_equal(t->tokens_cached, 2 * 7);
	fold_free(f);
}

static void put_clocks(struct fold *f, enum event_type type, int phase, uint64_t at,
                       uint64_t realtime, int64_t suspended)
{
	struct event e = blank(type, phase, at);
	e.realtime_ns = realtime;
	e.suspended_ns = suspended;
	put(f, e);
}

static void clocks_that_jump_are_seen(void **state)
{
	(void)state;
	const uint64_t day = 86400 * NS_PER_S, real = 20000 * day;
	struct fold *f = new_fold();
	put_clocks(f, EVENT_SESSION_STARTED, EVENT_NONE, T0, real, 5);
	/* no more than the noise */
	put_clocks(f, EVENT_PHASE_END, 0, T0 + 1000, real + 1000 + 999999, 4);
	/* set back by an hour */
	put_clocks(f, EVENT_PHASE_END, 1, T0 + 2000, real + 2000 - 3600 * NS_PER_S, 5);
	/* asleep for two days: the calendar goes on, and is then set by one more second */
	put_clocks(f, EVENT_PHASE_END, 2, T0 + 3000, real + 3000 - 3599 * NS_PER_S + 2 * day,
	           (int64_t)(2 * day) + 5);
	put(f, blank(EVENT_PHASE_END, 3, T0 + 4000)); /* of an older version */
	const struct clocks *c = &fold_phase(f, 0)->clocks;
	assert_true(c->known && !c->step_ns && !c->suspended_ns);
	c = &fold_phase(f, 1)->clocks;
	assert_true(c->known && c->step_ns < -3598 * (int64_t)NS_PER_S && !c->suspended_ns);
	c = &fold_phase(f, 2)->clocks;
	assert_true(c->known && c->step_ns == (int64_t)NS_PER_S);
	assert_true(c->suspended_ns == (int64_t)(2 * day));
	assert_false(fold_phase(f, 3)->clocks.known);
	fold_free(f);
}

static void failures_are_counted_apart_and_never_in_latencies(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	put(f, failed(0, FAILURE_REFUSED, 0));
	put(f, failed(0, FAILURE_HTTP, 500));
	put(f, failed(0, FAILURE_HTTP, 429));
	put(f, failed(0, FAILURE_HTTP, 429));
	put(f, failed(0, FAILURE_ABANDONED, 0));
	put(f, failed(0, FAILURE_CANCELLED, 0));
	put(f, failed(0, FAILURE_CANCELLED, 200));
	put(f, success(0));
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(m->all.completed, 1);
	assert_int_equal(m->all.failed, 4);
	assert_int_equal(m->all.abandoned, 1);
	assert_int_equal(m->all.cancelled, 2);
	assert_int_equal(m->all.failures[FAILURE_REFUSED], 1);
	assert_int_equal(m->all.failures[FAILURE_HTTP], 3);
	assert_int_equal(m->all.failures[FAILURE_ABANDONED], 1);
	assert_int_equal(m->all.failures[FAILURE_CANCELLED], 2);
	assert_int_equal(m->all.failures[FAILURE_NONE], 0);
	assert_int_equal(m->all.statuses[429 - TALLY_FIRST_STATUS], 2);
	assert_int_equal(m->all.statuses[500 - TALLY_FIRST_STATUS], 1);
	for (int i = 0; i < METRIC_COUNT; i++)
		if (m->all.distributions[i])
			assert_int_equal(distribution_count(m->all.distributions[i]),
			                 i == METRIC_LATENESS ? 8 : 1);
	fold_free(f);
}

/* The two events of a request that fails. */
static void put_failure(struct fold *f, enum failure failure, int status, const char *message)
{
	struct event e = blank(EVENT_ERROR_CLIENT, 0, T0 + 510), end = failed(0, failure, status);
	e.error_message = text(message);
	e.uuid[0] = end.uuid[0] = (uint64_t)status + 1;
	put(f, e);
	put(f, end);
}

static void the_first_message_of_each_class_is_kept(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	static const struct {
		enum failure failure;
		int status;
		const char *text;
	} rows[] = {
		{ FAILURE_TIMEOUT, 0, "" },       { FAILURE_REFUSED, 0, "one" },
		{ FAILURE_REFUSED, 0, "two" },    { FAILURE_HTTP, 500, "three" },
		{ FAILURE_HTTP, 429, "\xff" },    { FAILURE_HTTP, 500, "five" },
		{ FAILURE_TIMEOUT, 200, "last" }, { FAILURE_TIMEOUT, 0, "more" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		put_failure(f, rows[i].failure, rows[i].status, rows[i].text);
	put(f, failed(0, FAILURE_DNS, 0)); /* another request's message is none of its own */
	const struct examples *x = &fold_phase(f, 0)->examples;
	assert_int_equal(x->count, 4);
	assert_int_equal(x->list[0].failure, FAILURE_REFUSED);
	assert_string_equal(x->list[0].text, "one");
	assert_int_equal(x->list[1].status, 500);
	assert_string_equal(x->list[1].text, "three");
	assert_int_equal(x->list[2].status, 429);
	assert_string_equal(x->list[2].text, "\xef\xbf\xbd");
	assert_int_equal(x->list[3].failure, FAILURE_TIMEOUT);
	assert_int_equal(x->list[3].status, 0);
	assert_string_equal(x->list[3].text, "last");
	for (int status = 600; status < 700; status++)
		put_failure(f, FAILURE_HTTP, status, "x");
	assert_int_equal(x->count, EXAMPLES_MAX);
	fold_free(f);
}

static void statuses_outside_the_table_do_no_harm(void **state)
{
	(void)state;
	static const int statuses[] = { 0, 200, 399, 400, 999, 1000, -5, INT32_MAX };
	struct fold *f = new_fold();
	for (size_t i = 0; i < COUNT_OF(statuses); i++)
		put(f, failed(0, FAILURE_HTTP, statuses[i]));
	const struct phase_metrics *m = fold_phase(f, 0);
	uint64_t sum = 0;
	for (int i = 0; i < TALLY_STATUS_COUNT; i++)
		sum += m->all.statuses[i];
	assert_int_equal(sum, 2);
	assert_string_equal(m->all.finish_reasons[0].name, ""); /* what lies behind it */
	assert_int_equal(m->all.statuses[0], 1);
	assert_int_equal(m->all.statuses[TALLY_STATUS_COUNT - 1], 1);
	assert_int_equal(m->all.failed, COUNT_OF(statuses));
	fold_free(f);
}

static void finish_reasons_past_the_table_are_gathered(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	for (int round = 0; round < 2; round++) {
		for (char c = 'a'; c <= 'z'; c++) {
			struct event e = success(0);
			e.finish_reason = (struct slice){ &c, 1 };
			put(f, e);
		}
	}
	const struct phase_metrics *m = fold_phase(f, 0);
	int last = TALLY_FINISH_REASONS - 1;
	for (int i = 0; i < last; i++) {
		assert_int_equal(m->all.finish_reasons[i].name[0], 'a' + i);
		assert_int_equal(m->all.finish_reasons[i].count, 2);
	}
	assert_string_equal(m->all.finish_reasons[last].name, "other");
	assert_int_equal(m->all.finish_reasons[last].count, 2 * (26 - last));
	fold_free(f);
}

static void long_finish_reasons_are_cut_and_counted_together(void **state)
{
	(void)state;
	static const char reason[] = "a_reason_that_is_longer_than_its_place_in_the_table";
	struct fold *f = new_fold();
	struct event e = success(0);
	for (int i = 0; i < 3; i++) {
		e.finish_reason = text(reason);
		put(f, e);
		e.finish_reason = (struct slice){ "a\0b", 3 };
		put(f, e);
		e.finish_reason = (struct slice){ "\0", 1 };
		put(f, e);
	}
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_memory_equal(m->all.finish_reasons[0].name, reason, 31);
	assert_int_equal(m->all.finish_reasons[0].count, 3);
	assert_string_equal(m->all.finish_reasons[1].name, "a");
	assert_int_equal(m->all.finish_reasons[1].count, 3);
	assert_string_equal(m->all.finish_reasons[2].name, "");
	assert_int_equal(m->all.finish_reasons[2].count, 0);
	fold_free(f);
}

static void phases_do_not_mix(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	put(f, success(0));
	put(f, success(1));
	put(f, success(1));
	put(f, failed(FOLD_MAX_PHASES - 1, FAILURE_DNS, 0));
	assert_int_equal(fold_phase(f, 0)->all.completed, 1);
	assert_int_equal(fold_phase(f, 1)->all.completed, 2);
	assert_int_equal(fold_phase(f, FOLD_MAX_PHASES - 1)->all.failed, 1);
	assert_int_equal(fold_phase_count(f), FOLD_MAX_PHASES);
	fold_free(f);
}

static void requests_with_a_tag_count_twice(void **state)
{
	(void)state;
	static const char *const names[] = { "long", NULL, "short", "long" };
	struct fold *f = new_fold();
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct event e = blank(EVENT_SAMPLE_ISSUED, 0, T0 + 10);
		e.scheduled_ns = T0;
		e.tag = names[i] ? text(names[i]) : (struct slice){ 0 };
		put(f, e);
		e = i == 3 ? failed(0, FAILURE_RESET, 0) : success(0);
		e.tag = names[i] ? text(names[i]) : (struct slice){ 0 };
		e.timestamp_ns += i;
		put(f, e);
	}
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(m->all.issued, 4);
	assert_int_equal(m->all.completed, 3);
	assert_int_equal(m->tags->count, 2);
	const struct tag *longs = m->tags->list[0], *shorts = m->tags->list[1];
	assert_string_equal(longs->name, "long");
	assert_int_equal(longs->tally.issued, 2);
	assert_int_equal(longs->tally.completed, 1);
	assert_int_equal(longs->tally.failed, 1);
	assert_int_equal(longs->tally.failures[FAILURE_RESET], 1);
	assert_int_equal(distribution_max(longs->tally.distributions[METRIC_LATENCY]), 510);
	assert_int_equal(distribution_count(longs->tally.distributions[METRIC_LATENESS]), 2);
	assert_string_equal(shorts->name, "short");
	assert_int_equal(distribution_max(shorts->tally.distributions[METRIC_LATENCY]), 512);
	fold_free(f);
}

static void requests_without_a_tag_make_no_table(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	put(f, success(0));
	assert_null(fold_phase(f, 0)->tags);
	fold_free(f);
}

static void tells_what_it_could_not_count(void **state)
{
	(void)state;
	struct fold *f = new_fold();
	struct event e = success(FOLD_MAX_PHASES);
	assert_int_equal(fold_put(f, &e), STATUS_ELIMIT);
	e.phase = INT32_MAX;
	assert_int_equal(fold_put(f, &e), STATUS_ELIMIT);
	assert_int_equal(fold_lost(f), 2);
	e.phase = INT32_MIN; /* of no phase: nothing to count */
	assert_ok(fold_put(f, &e));
	assert_int_equal(fold_lost(f), 2);
	fold_free(f);
}

/* As read from a log of another version. */
static void a_failure_of_no_known_class_is_still_a_failure(void **state)
{
	(void)state;
	static const int classes[] = { FAILURE_COUNT, FAILURE_COUNT + 1, -1 };
	struct fold *f = new_fold();
	for (size_t i = 0; i < COUNT_OF(classes); i++) {
		struct event e = failed(0, (enum failure)classes[i], 0);
		assert_int_equal(fold_put(f, &e), STATUS_ELIMIT);
		assert_int_equal(fold_lost(f), i + 1);
	}
	const struct phase_metrics *m = fold_phase(f, 0);
	assert_int_equal(m->all.failed, 3);
	for (int i = 0; i < FAILURE_COUNT; i++)
		assert_int_equal(m->all.failures[i], 0);
	for (int i = 0; i < TALLY_STATUS_COUNT; i++)
		assert_int_equal(m->all.statuses[i], 0);
	fold_free(f);
}

static void other_events_change_no_counter(void **state)
{
	(void)state;
	static const enum event_type types[] = { EVENT_SAMPLE_RECV_FIRST,
		                                 EVENT_SAMPLE_RECV_NON_FIRST,
		                                 EVENT_ERROR_GENERIC,
		                                 EVENT_ERROR_CLIENT,
		                                 EVENT_CUSTOM,
		                                 EVENT_SESSION_STOP_LOADGEN };
	struct fold *f = new_fold();
	put(f, success(0));
	struct phase_metrics before = *fold_phase(f, 0);
	for (size_t i = 0; i < COUNT_OF(types); i++)
		put(f, blank(types[i], 0, T0));
	assert_memory_equal(&before, fold_phase(f, 0), sizeof(before));
	fold_free(f);
}

static void spans_need_both_ends(void **state)
{
	(void)state;
	struct event e = success(0);
	e.tokens_out = 5;
	assert_int_equal(complete_latency(&e), 510);
	assert_int_equal(complete_service_time(&e), 500);
	assert_int_equal(complete_ttft(&e), 110);
	assert_int_equal(complete_tpot(&e), 100);
	e.timestamp_ns = 0;
	assert_int_equal(complete_tpot(&e), EVENT_NONE);
	e = success(0);
	e.tokens_out = 5;
	e.first_ns = 0;
	assert_int_equal(complete_ttft(&e), EVENT_NONE);
	assert_int_equal(complete_tpot(&e), EVENT_NONE);
	e.scheduled_ns = e.issued_ns = 0;
	assert_int_equal(complete_latency(&e), EVENT_NONE);
	assert_int_equal(complete_service_time(&e), EVENT_NONE);
	e.scheduled_ns = e.timestamp_ns + 1; /* never negative */
	assert_int_equal(complete_latency(&e), 0);
}

static void metrics_have_names(void **state)
{
	(void)state;
	assert_string_equal(metric_name(METRIC_LATENCY), "latency");
	assert_string_equal(metric_name(METRIC_ITL), "itl");
	assert_string_equal(metric_name(METRIC_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_empty_at_first),
		cmocka_unit_test(knows_the_session),
		cmocka_unit_test(knows_its_phases),
		cmocka_unit_test(cuts_names_that_are_too_long),
		cmocka_unit_test(an_issue_counts_and_its_lateness_with_the_end),
		cmocka_unit_test(a_success_gives_every_metric),
		cmocka_unit_test(the_first_of_each_kind_has_its_own_time),
		cmocka_unit_test(gaps_are_shared_by_the_tokens_of_a_chunk),
		cmocka_unit_test(a_good_request_keeps_every_bound),
		cmocka_unit_test(the_window_ends_with_the_latest_issue),
		cmocka_unit_test(what_was_not_told_is_not_counted),
		cmocka_unit_test(answers_are_as_long_as_asked_or_not),
		cmocka_unit_test(clocks_that_jump_are_seen),
		cmocka_unit_test(failures_are_counted_apart_and_never_in_latencies),
		cmocka_unit_test(the_first_message_of_each_class_is_kept),
		cmocka_unit_test(statuses_outside_the_table_do_no_harm),
		cmocka_unit_test(finish_reasons_past_the_table_are_gathered),
		cmocka_unit_test(long_finish_reasons_are_cut_and_counted_together),
		cmocka_unit_test(a_failure_of_no_known_class_is_still_a_failure),
		cmocka_unit_test(phases_do_not_mix),
		cmocka_unit_test(requests_with_a_tag_count_twice),
		cmocka_unit_test(requests_without_a_tag_make_no_table),
		cmocka_unit_test(tells_what_it_could_not_count),
		cmocka_unit_test(other_events_change_no_counter),
		cmocka_unit_test(spans_need_both_ends),
		cmocka_unit_test(metrics_have_names),
	};
	return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
