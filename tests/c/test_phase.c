#include "session/phase.h"

#include "support.h"

#define T0     1000000ULL /* start of the phase */
#define NOW(t) (T0 + (t))

static int build(void *ctx, struct phase *p, uint64_t i, int64_t index, struct job *out)
{
	(void)ctx, (void)p, (void)i, (void)index, (void)out;
	return BUILD_OK;
}

static void release(void *ctx, struct job *job)
{
	(void)ctx, (void)job;
}

static int resume(void *ctx, struct phase *p)
{
	(void)ctx, (void)p;
	return RESUME_ALIVE;
}

/* An arrival every 100 ns, the first at 100, ten of them. */
static int schedule(void *ctx, struct phase *p, uint64_t *due, int n)
{
	int *given = ctx, k = 0;
	assert_non_null(p);
	for (; k < n && *given < 10; k++)
		due[k] = 100 * (uint64_t)++ * given;
	return k;
}

static const struct driver closed = { .resume = resume, .build = build, .release = release };
static const struct driver open_load = { .schedule = schedule, .build = build, .release = release };

static struct phase *make(struct phase_config config, const struct driver *d, void *ctx)
{
	struct phase *p;
	if (!config.name)
		config.name = "phase";
	assert_ok(phase_new(&p, &config, d, ctx));
	return p;
}

static struct phase *running(struct phase_config config)
{
	struct phase *p = make(config, &closed, NULL);
	phase_enter(p, PHASE_RUNNING, T0);
	return p;
}

static void names_are_those_of_the_reports(void **state)
{
	(void)state;
	static const char *const stops[] = {
		"",           "requests", "duration", "max_duration", "schedule",     "content",
		"stall",      "overload", "script",   "check",        "script_error", "client",
		"interrupted"
	};
	assert_int_equal(COUNT_OF(stops), PHASE_STOP_COUNT);
	for (size_t i = 0; i < COUNT_OF(stops); i++)
		assert_string_equal(phase_stop_name((enum phase_stop)i), stops[i]);
	assert_string_equal(phase_stop_name(PHASE_STOP_COUNT), "unknown");
	assert_string_equal(phase_kind_name(PHASE_PERFORMANCE), "performance");
	assert_string_equal(phase_kind_name(PHASE_WARMUP), "warmup");
	assert_string_equal(phase_kind_name(PHASE_ACCURACY), "accuracy");
}

static void refuses_a_name_or_a_driver_that_is_none(void **state)
{
	(void)state;
	char long_name[PHASE_NAME_SIZE + 1];
	memset(long_name, 'n', PHASE_NAME_SIZE);
	long_name[PHASE_NAME_SIZE] = '\0';
	static const struct driver both = {
		.schedule = schedule, .resume = resume, .build = build, .release = release
	};
	static const struct driver neither = { .build = build, .release = release };
	static const struct driver no_build = { .resume = resume, .release = release };
	static const struct driver no_release = { .resume = resume, .build = build };
	const struct {
		const char *name;
		const struct driver *driver;
		int status;
	} rows[] = {
		{ "", &closed, STATUS_EINVAL },        { long_name, &closed, STATUS_EINVAL },
		{ "p", &both, STATUS_EINVAL },         { "p", &neither, STATUS_EINVAL },
		{ "p", &no_build, STATUS_EINVAL },     { "p", &no_release, STATUS_EINVAL },
		{ long_name + 1, &closed, STATUS_OK },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct phase *p = NULL;
		struct phase_config c = { .name = rows[i].name };
		assert_int_equal(phase_new(&p, &c, rows[i].driver, NULL), rows[i].status);
		assert_true((p != NULL) == (rows[i].status == STATUS_OK));
		if (p)
			assert_string_equal(p->name, rows[i].name);
		phase_free(p);
	}
}

static void copies_its_name(void **state)
{
	(void)state;
	char name[] = "short-lived";
	struct phase *p = make((struct phase_config){ .name = name }, &closed, NULL);
	memset(name, 0, sizeof(name));
	assert_string_equal(p->name, "short-lived");
	assert_string_equal(p->config.name, "short-lived");
	phase_free(p);
}

/* What phase_check() says at a time, with so many issued, in flight, and the last end at. */
static void the_first_rule_that_holds_stops_it(void **state)
{
	(void)state;
	const struct phase_config requests = { .requests = 10 }, duration = { .duration_ns = 500 },
				  either = { .requests = 10, .duration_ns = 500 },
				  min_requests = { .duration_ns = 500, .min_requests = 20 },
				  min_duration = { .requests = 10, .min_duration_ns = 500 },
				  both_min = { .requests = 10,
		                               .min_requests = 20,
		                               .min_duration_ns = 500 },
				  max = { .requests = 10,
		                          .max_duration_ns = 800,
		                          .min_requests = 20 },
				  stall = { .requests = 10, .stall_ns = 100 },
				  none = { .stall_ns = 0 };
	const struct {
		const struct phase_config *config;
		uint64_t now, issued, inflight, last_end;
		enum phase_stop want;
	} rows[] = {
		{ &none, 1u << 30, 1u << 30, 5, 0, PHASE_STOP_NONE },

		{ &requests, 0, 9, 0, 0, PHASE_STOP_NONE },
		{ &requests, 0, 10, 0, 0, PHASE_STOP_REQUESTS },
		{ &requests, 9999, 11, 11, 0, PHASE_STOP_REQUESTS },

		{ &duration, 499, 1000, 0, 0, PHASE_STOP_NONE },
		{ &duration, 500, 0, 0, 0, PHASE_STOP_DURATION },

		{ &either, 499, 9, 0, 0, PHASE_STOP_NONE },
		{ &either, 499, 10, 0, 0, PHASE_STOP_REQUESTS },
		{ &either, 500, 9, 0, 0, PHASE_STOP_DURATION },

		{ &min_requests, 500, 19, 0, 0, PHASE_STOP_NONE },
		{ &min_requests, 499, 20, 0, 0, PHASE_STOP_NONE },
		{ &min_requests, 500, 20, 0, 0, PHASE_STOP_DURATION },
		{ &min_requests, 9999, 19, 0, 0, PHASE_STOP_NONE },

		{ &min_duration, 499, 10, 0, 0, PHASE_STOP_NONE },
		{ &min_duration, 500, 9, 0, 0, PHASE_STOP_NONE },
		{ &min_duration, 500, 10, 0, 0, PHASE_STOP_REQUESTS },

		{ &both_min, 500, 19, 0, 0, PHASE_STOP_NONE },
		{ &both_min, 499, 20, 0, 0, PHASE_STOP_NONE },
		{ &both_min, 500, 20, 0, 0, PHASE_STOP_REQUESTS },

		{ &max, 799, 19, 0, 0, PHASE_STOP_NONE },
		{ &max, 799, 20, 0, 0, PHASE_STOP_REQUESTS },
		{ &max, 800, 19, 0, 0, PHASE_STOP_MAX_DURATION }, /* whatever the minimum */
		{ &max, 800, 20, 0, 0, PHASE_STOP_MAX_DURATION },

		{ &stall, 99, 5, 5, 0, PHASE_STOP_NONE },
		{ &stall, 100, 5, 5, 0, PHASE_STOP_STALL },
		{ &stall, 100, 5, 0, 0, PHASE_STOP_NONE }, /* nothing in flight */
		{ &stall, 199, 5, 5, 100, PHASE_STOP_NONE },
		{ &stall, 200, 5, 5, 100, PHASE_STOP_STALL },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct phase *p = running(*rows[i].config);
		p->issued = rows[i].issued;
		p->inflight = rows[i].inflight;
		p->quiet_since_ns = NOW(rows[i].last_end);
		enum phase_stop got = phase_check(p, NOW(rows[i].now));
		if (got != rows[i].want)
			fail_msg("row %zu: %s", i, phase_stop_name(got));
		phase_free(p);
	}
}

/* A rare arrival after a long silence is not a stall: nothing was there to end. */
static void a_silence_begins_with_something_in_flight(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ .stall_ns = 100 });
	phase_count_issue(p, NOW(500));
	assert_int_equal(phase_check(p, NOW(500)), PHASE_STOP_NONE);
	assert_int_equal(phase_next_wake(p, NOW(500)), NOW(600));
	phase_count_issue(p, NOW(550)); /* another one makes no difference */
	assert_int_equal(phase_check(p, NOW(599)), PHASE_STOP_NONE);
	assert_int_equal(phase_check(p, NOW(600)), PHASE_STOP_STALL);
	phase_count_end(p, FAILURE_NONE, NOW(600));
	assert_int_equal(phase_check(p, NOW(699)), PHASE_STOP_NONE);
	assert_int_equal(phase_check(p, NOW(700)), PHASE_STOP_STALL);
	phase_count_end(p, FAILURE_ABANDONED, NOW(700));
	assert_int_equal(phase_check(p, NOW(900)), PHASE_STOP_NONE);
	assert_int_equal(p->issued, 2);
	assert_int_equal(p->inflight, 0);
	assert_int_equal(p->completed, 1);
	assert_int_equal(p->failed, 1);
	assert_int_equal(p->abandoned, 1);
	phase_free(p);
}

static void goes_through_its_states_in_order(void **state)
{
	(void)state;
	struct phase *p = make((struct phase_config){ 0 }, &closed, NULL);
	assert_int_equal(p->state, PHASE_IDLE);
	phase_request_stop(p, PHASE_STOP_SCRIPT, T0); /* not running: nothing */
	assert_int_equal(p->state, PHASE_IDLE);
	assert_int_equal(p->stop, PHASE_STOP_NONE);
	assert_int_equal(phase_want(p, 1, -1, T0), STATUS_ECLOSED);

	phase_enter(p, PHASE_RUNNING, NOW(5));
	assert_int_equal(p->started_ns, NOW(5));
	assert_int_equal(p->quiet_since_ns, NOW(5));
	assert_ok(phase_want(p, 1, -1, NOW(6)));
	p->inflight = 2;
	assert_int_equal(phase_outstanding(p), 3);

	phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(7));
	assert_int_equal(p->state, PHASE_DRAINING);
	assert_int_equal(p->stopped_ns, NOW(7));
	assert_int_equal(phase_outstanding(p), 2); /* what was only asked for is gone */
	phase_request_stop(p, PHASE_STOP_STALL, NOW(8));
	assert_int_equal(p->stop, PHASE_STOP_SCRIPT); /* the first reason stays */
	assert_int_equal(p->stopped_ns, NOW(7));
	assert_int_equal(phase_want(p, 2, -1, NOW(8)), STATUS_ECLOSED);

	phase_enter(p, PHASE_ENDED, NOW(9));
	phase_request_stop(p, PHASE_STOP_STALL, NOW(9));
	assert_int_equal(p->state, PHASE_ENDED);
	assert_int_equal(p->stop, PHASE_STOP_SCRIPT);
	phase_free(p);
}

/* ---- when to look again ---- */

static void wakes_for_each_rule_of_time(void **state)
{
	(void)state;
	const struct phase_config none = { 0 }, duration = { .duration_ns = 500 },
				  max = { .max_duration_ns = 800, .duration_ns = 500 },
				  min = { .requests = 1, .min_duration_ns = 300 },
				  stall = { .stall_ns = 100, .duration_ns = 500 };
	const struct {
		const struct phase_config *config;
		uint64_t now, inflight, last_end, want;
	} rows[] = {
		{ &none, 0, 9, 0, UINT64_MAX },
		{ &duration, 0, 0, 0, NOW(500) },
		{ &duration, 499, 0, 0, NOW(500) },
		{ &duration, 500, 0, 0, UINT64_MAX }, /* held up by a minimum: no use to look */
		{ &max, 0, 0, 0, NOW(500) },
		{ &max, 500, 0, 0, NOW(800) },
		{ &min, 0, 0, 0, NOW(300) },
		{ &min, 300, 0, 0, UINT64_MAX },
		{ &stall, 0, 0, 0, NOW(500) },
		{ &stall, 0, 1, 0, NOW(100) },
		{ &stall, 50, 1, 40, NOW(140) },
		{ &stall, 450, 1, 450, NOW(500) },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct phase *p = running(*rows[i].config);
		p->inflight = rows[i].inflight;
		p->quiet_since_ns = NOW(rows[i].last_end);
		uint64_t got = phase_next_wake(p, NOW(rows[i].now));
		if (got != rows[i].want)
			fail_msg("row %zu: %llu", i, (unsigned long long)got);
		phase_free(p);
	}
}

static void wakes_for_the_next_arrival(void **state)
{
	(void)state;
	static const struct {
		enum overload overload;
		uint64_t inflight, want;
	} rows[] = {
		{ OVERLOAD_QUEUE, 1, NOW(100) },
		{ OVERLOAD_QUEUE, 2, NOW(5000) }, /* full: a completion will wake it */
		{ OVERLOAD_DROP, 2, NOW(100) },
		{ OVERLOAD_ABORT, 2, NOW(100) },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int given = 0;
		struct phase_config c = { .duration_ns = 5000,
			                  .max_inflight = 2,
			                  .overload = rows[i].overload };
		struct phase *p = make(c, &open_load, &given);
		assert_int_equal(phase_next_wake(p, T0), UINT64_MAX); /* idle */
		phase_enter(p, PHASE_RUNNING, T0);
		p->inflight = rows[i].inflight;
		assert_int_equal(phase_next_wake(p, T0), rows[i].want);
		phase_free(p);
	}
}

static void wakes_for_arrivals_until_the_schedule_ends(void **state)
{
	(void)state;
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	phase_enter(p, PHASE_RUNNING, T0);
	for (uint64_t i = 1; i <= 10; i++) {
		assert_int_equal(phase_next_wake(p, NOW(9999)), NOW(100 * i)); /* even if past */
		pacer_pop(p->pacer);
	}
	assert_int_equal(phase_next_wake(p, T0), UINT64_MAX);
	phase_free(p);
}

static void draining_stalls_as_well(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){
		.drain = true, .drain_ns = 200, .duration_ns = 50, .stall_ns = 30 });
	p->inflight = 1;
	p->quiet_since_ns = NOW(40);
	phase_request_stop(p, PHASE_STOP_DURATION, NOW(50));
	assert_int_equal(phase_next_wake(p, NOW(60)), NOW(70));
	assert_false(phase_stalled(p, NOW(69)));
	assert_true(phase_stalled(p, NOW(70)));
	p->inflight = 0;
	assert_false(phase_stalled(p, NOW(70)));
	assert_int_equal(phase_next_wake(p, NOW(60)), NOW(250));
	phase_free(p);
}

static void draining_has_its_own_deadline(void **state)
{
	(void)state;
	struct phase *p =
		running((struct phase_config){ .drain = true, .drain_ns = 200, .duration_ns = 50 });
	assert_false(phase_drain_expired(p, NOW(9999))); /* not draining */
	p->inflight = 1;
	phase_request_stop(p, PHASE_STOP_DURATION, NOW(50));
	assert_int_equal(phase_next_wake(p, NOW(60)), NOW(250));
	assert_false(phase_drain_expired(p, NOW(249)));
	assert_true(phase_drain_expired(p, NOW(250)));
	phase_enter(p, PHASE_ENDED, NOW(250));
	assert_int_equal(phase_next_wake(p, NOW(250)), UINT64_MAX);
	assert_false(phase_drain_expired(p, NOW(9999)));
	phase_free(p);

	p = running((struct phase_config){ .drain = true, .drain_ns = 0 });
	phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(50));
	assert_true(phase_drain_expired(p, NOW(50))); /* no time at all */
	phase_free(p);
}

/* ---- wants ---- */

static struct want take(struct phase *p)
{
	struct want w = p->wants[p->want_at];
	p->want_at = (p->want_at + 1) % p->want_cap;
	p->want_count--;
	return w;
}

static void wants_keep_their_order_while_the_ring_grows(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	uint64_t asked = 0, taken = 0;
	/* In the long run two come for each that goes: it grows at every position. */
	for (int round = 0; round < 3000; round++) {
		for (int i = 0; i < 1 + round % 3; i++, asked++)
			assert_ok(phase_want(p, asked, (int64_t)asked - 1, NOW(asked)));
		struct want w = take(p);
		assert_int_equal(w.id, taken);
		assert_int_equal(w.index, (int64_t)taken - 1);
		assert_int_equal(w.scheduled_ns, NOW(taken));
		taken++;
		assert_int_equal(phase_outstanding(p), asked - taken);
	}
	while (p->want_count)
		assert_int_equal(take(p).id, taken++);
	assert_int_equal(taken, asked);
	phase_free(p);
}

static void wants_have_a_limit(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	for (size_t i = 0; i < PHASE_MAX_WANTS; i++)
		assert_ok(phase_want(p, i, -1, T0));
	assert_int_equal(phase_want(p, 0, -1, T0), STATUS_ELIMIT);
	assert_int_equal(p->want_count, PHASE_MAX_WANTS);
	assert_int_equal(take(p).id, 0);
	assert_ok(phase_want(p, 7, -1, T0));
	assert_int_equal(phase_want(p, 8, -1, T0), STATUS_ELIMIT);
	phase_free(p);
}

/* ---- strategy ---- */

/* What the session does before it lets the strategy run. */
static void ran(struct phase *p)
{
	p->strategy_waits = false;
	p->strategy_wake_ns = 0;
	p->strategy_told = p->state == PHASE_DRAINING;
}

static void a_strategy_runs_at_first(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	assert_true(phase_strategy_ready(p, T0));
	p->strategy_ended = true;
	assert_false(phase_strategy_ready(p, T0));
	phase_free(p);
}

static void a_strategy_runs_in_no_other_state(void **state)
{
	(void)state;
	struct phase *p = make((struct phase_config){ 0 }, &closed, NULL);
	assert_false(phase_strategy_ready(p, T0));
	phase_enter(p, PHASE_RUNNING, T0);
	phase_request_stop(p, PHASE_STOP_SCRIPT, T0);
	assert_false(phase_strategy_ready(p, T0)); /* it never waited: there is nothing to tell */
	phase_enter(p, PHASE_ENDED, T0);
	assert_false(phase_strategy_ready(p, T0));
	phase_free(p);
}

static void a_strategy_sleeps_until_its_time(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ .duration_ns = 5000 });
	phase_strategy_sleep(p, NOW(100));
	assert_false(phase_strategy_ready(p, NOW(99)));
	uint64_t wake = phase_next_wake(p, T0);
	assert_true(wake >= NOW(100) && wake < NOW(110)); /* woken when it is ready */
	assert_true(phase_strategy_ready(p, wake));
	p->completed++; /* an end does not wake it */
	assert_false(phase_strategy_ready(p, NOW(99)));
	ran(p);
	phase_strategy_sleep(p, 0); /* a time past */
	assert_true(phase_strategy_ready(p, NOW(100)));
	phase_free(p);
}

static void a_strategy_waits_until_something_ended(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	for (int i = 0; i < 3; i++) {
		phase_strategy_wait(p);
		assert_false(phase_strategy_ready(p, NOW(1)));
		p->issued++; /* an issue is no end */
		p->inflight++;
		assert_false(phase_strategy_ready(p, UINT64_MAX - 1));
		p->strategy_event = true; /* the session tells of ends, of other phases too */
		assert_true(phase_strategy_ready(p, NOW(2)));
		ran(p);
	}
	phase_free(p);
}

static void a_strategy_is_told_once_that_the_phase_stopped(void **state)
{
	(void)state;
	for (int sleeps = 0; sleeps < 2; sleeps++) {
		struct phase *p = running((struct phase_config){ 0 });
		if (sleeps)
			phase_strategy_sleep(p, NOW(9999));
		else
			phase_strategy_wait(p);
		assert_false(phase_strategy_ready(p, NOW(1)));
		phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(2));
		assert_true(phase_strategy_ready(p, NOW(2)));
		ran(p);
		phase_strategy_wait(p);
		p->completed++;
		assert_false(phase_strategy_ready(p, NOW(3)));
		phase_free(p);
	}
}

static void an_open_load_has_no_strategy(void **state)
{
	(void)state;
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	assert_non_null(p->pacer);
	phase_enter(p, PHASE_RUNNING, T0);
	assert_false(phase_strategy_ready(p, T0));
	phase_free(p);
	p = running((struct phase_config){ 0 });
	assert_null(p->pacer);
	phase_free(p);
	phase_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_the_reports),
		cmocka_unit_test(refuses_a_name_or_a_driver_that_is_none),
		cmocka_unit_test(copies_its_name),
		cmocka_unit_test(the_first_rule_that_holds_stops_it),
		cmocka_unit_test(a_silence_begins_with_something_in_flight),
		cmocka_unit_test(goes_through_its_states_in_order),
		cmocka_unit_test(wakes_for_each_rule_of_time),
		cmocka_unit_test(wakes_for_the_next_arrival),
		cmocka_unit_test(wakes_for_arrivals_until_the_schedule_ends),
		cmocka_unit_test(draining_stalls_as_well),
		cmocka_unit_test(draining_has_its_own_deadline),
		cmocka_unit_test(wants_keep_their_order_while_the_ring_grows),
		cmocka_unit_test(wants_have_a_limit),
		cmocka_unit_test(a_strategy_runs_at_first),
		cmocka_unit_test(a_strategy_runs_in_no_other_state),
		cmocka_unit_test(a_strategy_sleeps_until_its_time),
		cmocka_unit_test(a_strategy_waits_until_something_ended),
		cmocka_unit_test(a_strategy_is_told_once_that_the_phase_stopped),
		cmocka_unit_test(an_open_load_has_no_strategy),
	};
	return cmocka_run_group_tests_name("phase", tests, NULL, NULL);
}
