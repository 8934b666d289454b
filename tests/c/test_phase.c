#include "session/phase.h"

#include "support.h"

#define T0     1000000ULL /* start of the phase */
#define NOW(t) (T0 + (t))

static int build(void *ctx, struct phase *p, uint64_t i, const struct want *want, struct job *out)
{
	(void)ctx, (void)p, (void)i, (void)want, (void)out;
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

/* ctx: what was forgotten, one bit each. */
static void forget(void *ctx, intptr_t what)
{
	uint64_t *forgotten = ctx;
	assert_false(*forgotten >> what & 1); /* once */
	*forgotten |= 1ULL << what;
}

static const struct driver giving = {
	.resume = resume, .build = build, .release = release, .forget = forget
};
static const struct driver closed = { .resume = resume, .build = build, .release = release };
static const struct driver open_load = { .schedule = schedule, .build = build, .release = release };

static int ask(struct phase *p, uint64_t id, int64_t index, intptr_t content, uint64_t now_ns)
{
	struct want want = { id, now_ns, index, -1, content };
	return phase_want(p, &want);
}

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
		"",        "requests", "duration",     "max_duration", "schedule",
		"content", "stall",    "error_rate",   "stop_when",    "overload",
		"script",  "check",    "script_error", "client",       "interrupted"
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
		{ "", &closed, STATUS_EINVAL },
		{ long_name, &closed, STATUS_EINVAL },
		{ "p", &both, STATUS_OK },
		{ "p", &neither, STATUS_EINVAL },
		{ "p", &no_build, STATUS_EINVAL },
		{ "p", &no_release, STATUS_EINVAL },
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

/* So many ends of each kind, then the rule is asked. */
static void errors_are_counted_against_the_ends(void **state)
{
	(void)state;
	static const struct {
		int ok, failed, cancelled;
		double rate;
		uint64_t requests;
		enum phase_stop stop;
	} rows[] = {
		{ 0, 10, 0, 0, 0, PHASE_STOP_NONE }, /* no such rule */
		{ 9, 0, 0, 0, 1, PHASE_STOP_NONE },
		{ 9, 1, 0, 0, 1, PHASE_STOP_ERROR_RATE },
		{ 9, 1, 0, 0, 11, PHASE_STOP_NONE },
		{ 9, 1, 0, 0.1, 1, PHASE_STOP_NONE }, /* passed, not reached */
		{ 9, 1, 0, 0.09, 1, PHASE_STOP_ERROR_RATE },
		{ 0, 10, 0, 1, 1, PHASE_STOP_NONE },
		{ 1, 0, 9, 0, 1, PHASE_STOP_NONE },
		{ 9, 1, 5, 0, 11, PHASE_STOP_NONE }, /* nor are they ends that count */
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct phase *p = running((struct phase_config){
			.max_error_rate = rows[i].rate,
			.error_rate_requests = rows[i].requests,
			.min_requests = 1000, /* does not hold it back */
		});
		int n = rows[i].ok + rows[i].failed + rows[i].cancelled;
		for (int k = 0; k < n; k++)
			phase_count_issue(p, T0);
		for (int k = 0; k < n; k++)
			phase_count_end(p,
			                k < rows[i].ok                    ? FAILURE_NONE
			                : k < rows[i].ok + rows[i].failed ? FAILURE_RESET
			                                                  : FAILURE_CANCELLED,
			                T0);
		assert_int_equal(phase_check(p, T0), rows[i].stop);
		phase_free(p);
	}
}

static void a_look_is_taken_once_for_what_ended(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ .min_requests = 2 });
	phase_count_issue(p, T0);
	assert_false(phase_take_look(p, T0));
	phase_count_end(p, FAILURE_NONE, T0);
	assert_false(phase_take_look(p, T0)); /* the minimum */
	phase_count_issue(p, T0);
	assert_true(phase_take_look(p, T0)); /* what ended before it was met counts */
	assert_false(phase_take_look(p, T0));
	phase_count_end(p, FAILURE_RESET, T0);
	phase_request_stop(p, PHASE_STOP_SCRIPT, T0);
	assert_false(phase_take_look(p, T0));
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
	assert_int_equal(ask(p, 1, -1, 0, T0), STATUS_ECLOSED);

	phase_enter(p, PHASE_RUNNING, NOW(5));
	assert_int_equal(p->started_ns, NOW(5));
	assert_int_equal(p->quiet_since_ns, NOW(5));
	assert_ok(ask(p, 1, -1, 0, NOW(6)));
	p->inflight = 2;
	assert_int_equal(phase_outstanding(p), 3);

	phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(7));
	assert_int_equal(p->state, PHASE_DRAINING);
	assert_int_equal(p->stopped_ns, NOW(7));
	assert_int_equal(phase_outstanding(p), 2); /* what was only asked for is gone */
	phase_request_stop(p, PHASE_STOP_STALL, NOW(8));
	assert_int_equal(p->stop, PHASE_STOP_SCRIPT); /* the first reason stays */
	assert_int_equal(p->stopped_ns, NOW(7));
	assert_int_equal(ask(p, 2, -1, 0, NOW(8)), STATUS_ECLOSED);

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

static void learns_what_building_takes(void **state)
{
	(void)state;
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	assert_int_equal(p->lead_ns, 0);
	phase_count_build(p, 8000);
	assert_int_equal(p->lead_ns, 8000);
	phase_count_build(p, 0);
	assert_int_equal(p->lead_ns, 7500);
	phase_count_build(p, 5000000000); /* nothing is built that long ahead */
	assert_int_equal(p->lead_ns, 200000);
	phase_free(p);
}

/* The request is built just before it is due, and sent when it is. */
static void wakes_to_build_and_to_send(void **state)
{
	(void)state;
	int given = 0;
	struct request *some = (struct request *)&given;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	phase_enter(p, PHASE_RUNNING, T0);
	phase_count_build(p, 30);
	assert_int_equal(phase_next_wake(p, T0), NOW(70));
	assert_false(phase_may_prepare(p, NOW(100), NOW(69)));
	assert_true(phase_may_prepare(p, NOW(100), NOW(70)));
	assert_int_equal(phase_next_wake(p, NOW(70)), NOW(100));
	p->ready = some;
	assert_false(phase_may_prepare(p, NOW(100), NOW(80)));
	assert_int_equal(phase_next_wake(p, NOW(80)), NOW(100));
	p->ready = NULL;
	phase_free(p);
}

/* Nothing comes until the load is turned. */
static int pause_schedule(void *ctx, struct phase *p, uint64_t *due, int n)
{
	(void)ctx, (void)p, (void)n;
	due[0] = PACER_NEVER;
	return 1;
}

static void a_pause_wakes_nobody(void **state)
{
	(void)state;
	static const struct driver paused = { .schedule = pause_schedule,
		                              .build = build,
		                              .release = release };
	struct phase *p = make((struct phase_config){ 0 }, &paused, NULL);
	phase_enter(p, PHASE_RUNNING, T0);
	phase_count_build(p, 30);
	assert_int_equal(phase_next_wake(p, T0), UINT64_MAX);
	assert_false(phase_may_prepare(p, PACER_NEVER, T0));
	phase_free(p);
}

static void builds_nothing_that_its_end_forestalls(void **state)
{
	(void)state;
	static const struct phase_config ends[] = { { .duration_ns = 100 },
		                                    { .max_duration_ns = 100 } };
	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		int given = 0;
		struct phase *p = make(ends[i], &open_load, &given);
		phase_enter(p, PHASE_RUNNING, T0);
		phase_count_build(p, 1000);
		assert_true(phase_may_prepare(p, NOW(99), NOW(50)));
		assert_false(phase_may_prepare(p, NOW(100), NOW(50)));
		phase_free(p);
	}
}

static void counts_what_the_client_made_late(void **state)
{
	(void)state;
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	phase_enter(p, PHASE_RUNNING, T0);
	const uint64_t late = PHASE_LATE_NS;
	struct event e;
	phase_count_lateness(p, NOW(0), NOW(late)); /* just in time */
	assert_int_equal(p->late, 0);
	phase_count_lateness(p, NOW(0), NOW(3 * late));
	phase_count_lateness(p, NOW(late), NOW(3 * late)); /* the same stall */
	phase_count_lateness(p, NOW(9 * late), NOW(9 * late));
	phase_count_lateness(p, NOW(10 * late), NOW(12 * late));
	p->full_ns = NOW(20 * late); /* max_inflight held it back: not the client's doing */
	phase_count_lateness(p, NOW(20 * late), NOW(30 * late));
	phase_event(p, &e, EVENT_PHASE_END, NOW(30 * late));
	assert_int_equal(e.late, 3);
	assert_int_equal(e.catch_ups, 2);
	assert_int_equal(e.worst_late_ns, 3 * late);
	phase_free(p);
	p = running((struct phase_config){ 0 }); /* without a schedule nothing is late */
	phase_event(p, &e, EVENT_PHASE_END, NOW(1));
	assert_int_equal(e.late, EVENT_NONE);
	phase_free(p);
}

static void counts_what_a_worker_took_late(void **state)
{
	(void)state;
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &open_load, &given);
	phase_enter(p, PHASE_RUNNING, T0);
	const uint64_t late = PHASE_LATE_NS;
	phase_count_handover(p, NOW(late), NOW(late), NOW(2 * late)); /* just in time */
	assert_int_equal(p->late, 0);
	phase_count_handover(p, NOW(late), NOW(2 * late), NOW(5 * late));
	assert_int_equal(p->late, 1);
	assert_int_equal(p->worst_late_ns, 4 * late);
	phase_count_lateness(p, NOW(0), NOW(2 * late)); /* one that was late before */
	phase_count_handover(p, NOW(0), NOW(2 * late), NOW(6 * late));
	assert_int_equal(p->late, 2);
	assert_int_equal(p->catch_ups, 1); /* of the session's own */
	assert_int_equal(p->worst_late_ns, 6 * late);
	p->full_ns = NOW(7 * late);
	phase_count_handover(p, NOW(7 * late), NOW(9 * late), NOW(20 * late));
	assert_int_equal(p->late, 2);
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

static void wants_keep_their_order_while_the_ring_grows(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	uint64_t asked = 0, taken = 0;
	/* In the long run two come for each that goes: it grows at every position. */
	for (int round = 0; round < 3000; round++) {
		for (int i = 0; i < 1 + round % 3; i++, asked++)
			assert_ok(ask(p, asked, (int64_t)asked - 1, 0, NOW(asked)));
		struct want w = phase_take_want(p);
		assert_int_equal(w.id, taken);
		assert_int_equal(w.index, (int64_t)taken - 1);
		assert_int_equal(w.scheduled_ns, NOW(taken));
		taken++;
		assert_int_equal(phase_outstanding(p), asked - taken);
	}
	while (p->want_count)
		assert_int_equal(phase_take_want(p).id, taken++);
	assert_int_equal(taken, asked);
	phase_free(p);
}

static void wants_have_a_limit(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	for (size_t i = 0; i < PHASE_MAX_WANTS; i++)
		assert_ok(ask(p, i, -1, 0, T0));
	assert_int_equal(ask(p, 0, -1, 0, T0), STATUS_ELIMIT);
	assert_int_equal(p->want_count, PHASE_MAX_WANTS);
	assert_int_equal(phase_take_want(p).id, 0);
	assert_ok(ask(p, 7, -1, 0, T0));
	assert_int_equal(ask(p, 8, -1, 0, T0), STATUS_ELIMIT);
	phase_free(p);
}

static void what_is_asked_for_can_be_taken_back(void **state)
{
	(void)state;
	uint64_t forgotten = 0;
	struct phase *p = make((struct phase_config){ 0 }, &giving, &forgotten);
	phase_enter(p, PHASE_RUNNING, T0);
	for (uint64_t round = 0; round < 3; round++) /* so that the ring wraps */
		for (uint64_t i = 0; i < 50; i++) {
			assert_ok(ask(p, i, -1, 0, T0));
			if (round < 2)
				assert_int_equal(phase_take_want(p).id, i);
		}
	assert_ok(ask(p, 50, -1, 5, T0));
	assert_ok(ask(p, 51, -1, 0, T0));
	assert_false(phase_unwant(p, 52));
	assert_true(phase_unwant(p, 50));
	assert_int_equal(forgotten, 1 << 5);
	assert_false(phase_unwant(p, 50));
	assert_true(phase_unwant(p, 0));
	assert_true(phase_unwant(p, 51));
	for (uint64_t i = 1; i < 50; i++)
		assert_int_equal(phase_take_want(p).id, i);
	assert_int_equal(phase_outstanding(p), 0);
	phase_free(p);
}

static void a_stop_forgets_what_the_driver_gave(void **state)
{
	(void)state;
	uint64_t forgotten = 0;
	struct phase *p = make((struct phase_config){ 0 }, &giving, &forgotten);
	assert_int_equal(phase_alarm(p, NOW(1), 1), STATUS_ECLOSED);
	phase_enter(p, PHASE_RUNNING, T0);
	assert_ok(ask(p, 1, -1, 2, T0));
	assert_ok(ask(p, 2, -1, 0, T0));
	assert_ok(phase_alarm(p, NOW(7), 3));
	phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(2));
	assert_int_equal(forgotten, 1 << 2 | 1 << 3);
	assert_int_equal(phase_alarm(p, NOW(3), 4), STATUS_ECLOSED);
	phase_free(p);

	forgotten = 0;
	p = make((struct phase_config){ 0 }, &giving, &forgotten);
	phase_enter(p, PHASE_RUNNING, T0);
	assert_ok(ask(p, 1, -1, 2, T0));
	assert_ok(phase_alarm(p, NOW(7), 3));
	phase_free(p);
	assert_int_equal(forgotten, 1 << 2 | 1 << 3);
}

/* ---- alarms ---- */

static void alarms_come_in_the_order_of_time(void **state)
{
	(void)state;
	struct alarms *a;
	uint64_t x = 7, last = 0;
	intptr_t what, previous = -1;
	assert_ok(alarms_new(&a, 1000));
	assert_int_equal(alarms_next(a), UINT64_MAX);
	assert_int_equal(alarms_next(NULL), UINT64_MAX);
	assert_false(alarms_pop(NULL, UINT64_MAX, &what));
	for (intptr_t i = 0; i < 1000; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		assert_ok(alarms_add(a, x >> 56, i)); /* many at the same time */
	}
	assert_int_equal(alarms_add(a, 1, 0), STATUS_ELIMIT);
	for (int i = 0; i < 1000; i++) {
		uint64_t due = alarms_next(a);
		assert_true(due >= last);
		if (due > 0)
			assert_false(alarms_pop(a, due - 1, &what));
		assert_true(alarms_pop(a, due, &what));
		assert_true(due > last || what > previous);
		last = due, previous = what;
	}
	assert_false(alarms_pop(a, UINT64_MAX, &what));
	alarms_free(a);
}

static void wakes_for_alarms(void **state)
{
	(void)state;
	uint64_t forgotten = 0;
	struct phase *p = make((struct phase_config){ .duration_ns = 50 }, &giving, &forgotten);
	phase_enter(p, PHASE_RUNNING, T0);
	assert_ok(phase_alarm(p, NOW(80), 1));
	assert_int_equal(phase_next_wake(p, T0), NOW(50));
	assert_ok(phase_alarm(p, NOW(20), 2));
	assert_int_equal(phase_next_wake(p, T0), NOW(20));
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
		phase_strategy_wait(p, 0);
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

static void a_wait_may_have_an_end(void **state)
{
	(void)state;
	struct phase *p = running((struct phase_config){ 0 });
	phase_strategy_wait(p, NOW(10));
	assert_false(phase_strategy_ready(p, NOW(9)));
	uint64_t wake = phase_next_wake(p, T0);
	assert_true(wake >= NOW(10) && wake <= NOW(11));
	assert_true(phase_strategy_ready(p, wake));
	p->strategy_event = true; /* whatever comes first */
	assert_true(phase_strategy_ready(p, NOW(1)));
	ran(p);
	phase_strategy_wait(p, 0);
	assert_int_equal(phase_next_wake(p, T0), UINT64_MAX);
	assert_false(phase_strategy_ready(p, UINT64_MAX - 1));
	phase_free(p);
}

static void a_strategy_may_watch_over_a_schedule(void **state)
{
	(void)state;
	static const struct driver both = {
		.schedule = schedule, .resume = resume, .build = build, .release = release
	};
	int given = 0;
	struct phase *p = make((struct phase_config){ 0 }, &both, &given);
	assert_non_null(p->pacer);
	phase_enter(p, PHASE_RUNNING, T0);
	assert_true(phase_strategy_ready(p, T0));
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
			phase_strategy_wait(p, 0);
		assert_false(phase_strategy_ready(p, NOW(1)));
		phase_request_stop(p, PHASE_STOP_SCRIPT, NOW(2));
		assert_true(phase_strategy_ready(p, NOW(2)));
		ran(p);
		phase_strategy_wait(p, 0);
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
		cmocka_unit_test(errors_are_counted_against_the_ends),
		cmocka_unit_test(a_look_is_taken_once_for_what_ended),
		cmocka_unit_test(a_silence_begins_with_something_in_flight),
		cmocka_unit_test(goes_through_its_states_in_order),
		cmocka_unit_test(wakes_for_each_rule_of_time),
		cmocka_unit_test(wakes_for_the_next_arrival),
		cmocka_unit_test(wakes_for_arrivals_until_the_schedule_ends),
		cmocka_unit_test(learns_what_building_takes),
		cmocka_unit_test(wakes_to_build_and_to_send),
		cmocka_unit_test(a_pause_wakes_nobody),
		cmocka_unit_test(builds_nothing_that_its_end_forestalls),
		cmocka_unit_test(counts_what_the_client_made_late),
		cmocka_unit_test(counts_what_a_worker_took_late),
		cmocka_unit_test(draining_stalls_as_well),
		cmocka_unit_test(draining_has_its_own_deadline),
		cmocka_unit_test(wants_keep_their_order_while_the_ring_grows),
		cmocka_unit_test(wants_have_a_limit),
		cmocka_unit_test(what_is_asked_for_can_be_taken_back),
		cmocka_unit_test(a_stop_forgets_what_the_driver_gave),
		cmocka_unit_test(alarms_come_in_the_order_of_time),
		cmocka_unit_test(wakes_for_alarms),
		cmocka_unit_test(a_strategy_runs_at_first),
		cmocka_unit_test(a_strategy_runs_in_no_other_state),
		cmocka_unit_test(a_strategy_sleeps_until_its_time),
		cmocka_unit_test(a_strategy_waits_until_something_ended),
		cmocka_unit_test(a_wait_may_have_an_end),
		cmocka_unit_test(a_strategy_may_watch_over_a_schedule),
		cmocka_unit_test(a_strategy_is_told_once_that_the_phase_stopped),
		cmocka_unit_test(an_open_load_has_no_strategy),
	};
	return cmocka_run_group_tests_name("phase", tests, NULL, NULL);
}
