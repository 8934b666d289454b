#include "session/pacer.h"

#include "support.h"

#define START 1000000000ULL

/* A schedule of `total` arrivals, `gap` apart; then `end`. */
struct schedule {
	int total, given;
	uint64_t gap;
	int end; /* what the pull after the last arrival returns: 0 or a status */
	int pulls;
};

static int pull(void *ctx, uint64_t *due, int n)
{
	struct schedule *s = ctx;
	int k = 0;
	s->pulls++;
	for (; k < n && s->given < s->total; k++)
		due[k] = (uint64_t)s->given++ * s->gap;
	return k ? k : s->end;
}

static struct pacer *start(pacer_pull fn, void *ctx)
{
	struct pacer *p;
	assert_ok(pacer_new(&p, fn, ctx));
	pacer_start(p, START);
	return p;
}

static void hands_out_every_time_of_the_schedule(void **state)
{
	(void)state;
	/* Around the sizes of one and more batches. */
	static const int totals[] = { 0, 1, 2, 255, 256, 257, 511, 512, 513, 5000 };
	for (size_t k = 0; k < COUNT_OF(totals); k++) {
		struct schedule s = { .total = totals[k], .gap = 7 };
		struct pacer *p = start(pull, &s);
		uint64_t due = 0;
		for (int i = 0; i < totals[k]; i++) {
			assert_int_equal(pacer_peek(p, &due), 1);
			assert_int_equal(due, START + (uint64_t)i * 7);
			assert_int_equal(pacer_peek(p, &due), 1); /* a look changes nothing */
			assert_int_equal(due, START + (uint64_t)i * 7);
			pacer_pop(p);
		}
		assert_int_equal(pacer_peek(p, &due), 0);
		int pulls = s.pulls;
		assert_int_equal(pacer_peek(p, &due), 0);
		assert_int_equal(s.pulls, pulls); /* the end is not asked for twice */
		pacer_free(p);
	}
	pacer_free(NULL);
}

static void pulls_in_batches(void **state)
{
	(void)state;
	struct schedule s = { .total = 10000, .gap = 1 };
	struct pacer *p = start(pull, &s);
	uint64_t due;
	assert_int_equal(s.pulls, 0);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(pacer_peek(p, &due), 1);
		pacer_pop(p);
	}
	assert_true(s.pulls <= 10000 / 64);
	pacer_free(p);
}

static int pull_jumps(void *ctx, uint64_t *due, int n)
{
	static const uint64_t times[] = { 50, 10, 60, 60, 0, 70, 65 };
	int *given = ctx;
	int k = 0;
	for (; k < n && *given < (int)COUNT_OF(times); k++)
		due[k] = times[(*given)++];
	return k;
}

static void times_never_decrease(void **state)
{
	(void)state;
	static const uint64_t want[] = { 50, 50, 60, 60, 60, 70, 70 };
	int given = 0;
	struct pacer *p = start(pull_jumps, &given);
	uint64_t due;
	for (size_t i = 0; i < COUNT_OF(want); i++) {
		assert_int_equal(pacer_peek(p, &due), 1);
		assert_int_equal(due, START + want[i]);
		pacer_pop(p);
	}
	assert_int_equal(pacer_peek(p, &due), 0);
	pacer_free(p);
}

static int pull_far(void *ctx, uint64_t *due, int n)
{
	(void)ctx, (void)n;
	due[0] = 5;
	due[1] = UINT64_MAX; /* more than fits behind the start */
	return 2;
}

static void a_time_beyond_all_time_does_not_go_back(void **state)
{
	(void)state;
	struct pacer *p = start(pull_far, NULL);
	uint64_t due;
	assert_int_equal(pacer_peek(p, &due), 1);
	assert_int_equal(due, START + 5);
	pacer_pop(p);
	assert_int_equal(pacer_peek(p, &due), 1);
	assert_true(due >= START + 5);
	pacer_free(p);
}

static void an_error_comes_after_the_last_good_time(void **state)
{
	(void)state;
	struct schedule s = { .total = 256, .gap = 1, .end = STATUS_ESCRIPT };
	struct pacer *p = start(pull, &s);
	uint64_t due;
	for (int i = 0; i < 256; i++) {
		assert_int_equal(pacer_peek(p, &due), 1);
		pacer_pop(p);
	}
	assert_int_equal(pacer_peek(p, &due), STATUS_ESCRIPT);
	assert_int_equal(pacer_peek(p, &due), STATUS_ESCRIPT); /* it does not turn into an end */
	pacer_free(p);
}

/* ---- replan ---- */

/* Arrivals `gap` apart, from `next` on; `gap` may change. */
struct plan {
	uint64_t next, gap;
	int left; /* arrivals until the schedule ends; negative: without end */
	int pulls;
};

static int pull_plan(void *ctx, uint64_t *due, int n)
{
	struct plan *s = ctx;
	int k = 0;
	s->pulls++;
	for (; k < n && s->left != 0; k++) {
		due[k] = s->next;
		s->next += s->gap;
		if (s->left > 0)
			s->left--;
	}
	return k;
}

static uint64_t take(struct pacer *p)
{
	uint64_t due;
	assert_int_equal(pacer_peek(p, &due), 1);
	pacer_pop(p);
	return due - START;
}

static void replan_forgets_what_is_not_yet_due(void **state)
{
	(void)state;
	struct plan s = { .gap = 10, .left = -1 };
	struct pacer *p = start(pull_plan, &s);
	uint64_t last;
	for (uint64_t i = 0; i < 5; i++)
		assert_int_equal(take(p), i * 10);
	/* 256 were pulled, 5 have passed; those at 50 and 60 are due, and stay. */
	assert_int_equal(pacer_replan(p, START + 60, &last), 256 - 7);
	assert_int_equal(last, 60);
	s = (struct plan){ .next = 61, .gap = 1, .left = -1 };
	assert_int_equal(take(p), 50);
	assert_int_equal(take(p), 60);
	assert_int_equal(s.pulls, 0);
	for (uint64_t i = 0; i < 600; i++)
		assert_int_equal(take(p), 61 + i);
	pacer_free(p);
}

static void replan_tells_the_last_time_across_batches(void **state)
{
	(void)state;
	struct plan s = { .gap = 10, .left = -1 };
	struct pacer *p = start(pull_plan, &s);
	uint64_t last = 1, due;
	assert_int_equal(pacer_replan(p, START, &last), 0); /* nothing is planned yet */
	assert_int_equal(last, 0);
	for (int i = 0; i < 256; i++)
		take(p);
	assert_int_equal(pacer_replan(p, START + 5000, &last), 0); /* all of it has passed */
	assert_int_equal(last, 2550);
	assert_int_equal(pacer_peek(p, &due), 1); /* the next batch begins at 2560 */
	assert_int_equal(pacer_replan(p, START + 2555, &last), 256);
	assert_int_equal(last, 2550);
	assert_int_equal(pacer_replan(p, START + 2555, NULL), 0); /* twice is fine */
	pacer_free(p);
}

static void replan_takes_back_the_end_of_a_schedule(void **state)
{
	(void)state;
	struct plan s = { .gap = 10, .left = 3 };
	struct pacer *p = start(pull_plan, &s);
	uint64_t due;
	assert_int_equal(take(p), 0);
	assert_int_equal(pacer_replan(p, START + 5, NULL), 2);
	s = (struct plan){ .next = 7, .gap = 1, .left = 2 };
	assert_int_equal(take(p), 7);
	assert_int_equal(take(p), 8);
	assert_int_equal(pacer_peek(p, &due), 0);
	/* Past the end there is nothing to plan anew. */
	assert_int_equal(pacer_replan(p, START + 100, NULL), 0);
	assert_int_equal(pacer_peek(p, &due), 0);
	pacer_free(p);
}

/* Two arrivals, then nothing until it is planned anew. */
static int pull_pause(void *ctx, uint64_t *due, int n)
{
	struct schedule *s = ctx;
	(void)n;
	s->pulls++;
	due[0] = s->gap;
	due[1] = s->gap + 1;
	due[2] = PACER_NEVER;
	return 3;
}

static void a_schedule_may_pause_until_it_is_planned_anew(void **state)
{
	(void)state;
	struct schedule s = { .gap = 10 };
	struct pacer *p = start(pull_pause, &s);
	uint64_t due, last;
	assert_int_equal(take(p), 10);
	assert_int_equal(take(p), 11);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pacer_peek(p, &due), 1);
		assert_int_equal(due, PACER_NEVER);
	}
	assert_int_equal(s.pulls, 1);
	s.gap = 5000;
	assert_int_equal(pacer_replan(p, UINT64_MAX, &last), 1); /* never is never due */
	assert_int_equal(last, 11);
	assert_int_equal(take(p), 5000);
	assert_int_equal(take(p), 5001);
	pacer_free(p);
}

static void replan_keeps_an_error(void **state)
{
	(void)state;
	struct schedule s = { .total = 256, .gap = 10, .end = STATUS_ESCRIPT };
	struct pacer *p = start(pull, &s);
	uint64_t due;
	for (int i = 0; i < 256; i++)
		take(p);
	assert_int_equal(pacer_peek(p, &due), STATUS_ESCRIPT);
	assert_int_equal(pacer_replan(p, START, NULL), 0);
	assert_int_equal(pacer_peek(p, &due), STATUS_ESCRIPT);
	pacer_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_every_time_of_the_schedule),
		cmocka_unit_test(pulls_in_batches),
		cmocka_unit_test(times_never_decrease),
		cmocka_unit_test(a_time_beyond_all_time_does_not_go_back),
		cmocka_unit_test(an_error_comes_after_the_last_good_time),
		cmocka_unit_test(replan_forgets_what_is_not_yet_due),
		cmocka_unit_test(replan_tells_the_last_time_across_batches),
		cmocka_unit_test(replan_takes_back_the_end_of_a_schedule),
		cmocka_unit_test(a_schedule_may_pause_until_it_is_planned_anew),
		cmocka_unit_test(replan_keeps_an_error),
	};
	return cmocka_run_group_tests_name("pacer", tests, NULL, NULL);
}
