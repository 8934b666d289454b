/* One completion of the built-in endpoint, played on a virtual clock. */
#include "base/clock.h"
#include "mock/answer.h"
#include "mock/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MAX_BODY 65536
#define STREAM   "{\"prompt\":\"hello\",\"stream\":true}"
#define WHOLE    "{\"prompt\":\"hello\"}"

static struct answer_style timed(void)
{
	return (struct answer_style){
		.mode = MOCK_TIMED,
		.ttft = { MOCK_FIXED, 50e6, 0 },
		.tpot = { MOCK_FIXED, 10e6, 0 },
		.tokens = { MOCK_FIXED, 4, 0 },
		.token_bytes = 5,
		.seed = 7,
	};
}

static void start(struct answer *a, const struct answer_style *style, const char *json,
                  uint64_t number, uint64_t now_ns, enum mock_fault fault)
{
	const struct answer_terms terms = {
		.number = number, .now_ns = now_ns, .fault = fault, .keep_alive = true
	};
	const char *reason = NULL;
	assert_int_equal(ask_read(&a->completion.ask, false, json, strlen(json), &reason), 0);
	answer_start(a, style, &terms);
}

/* Play to the end, jumping from due time to due time; note each in times. */
static enum answer_step play(struct answer *a, uint64_t now_ns, struct buffer *all, uint64_t *times,
                             size_t *count, size_t max)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	*count = 0;
	for (;;) {
		enum answer_step s = answer_step(a, &out, now_ns);
		assert_int_equal(buffer_append(all, out.data, out.len), 0);
		buffer_clear(&out);
		if (s == ANSWER_WAIT) {
			assert_true(a->wake_ns > now_ns);
			assert_true(*count < max);
			times[(*count)++] = now_ns = a->wake_ns;
		} else if (s != ANSWER_MORE) {
			buffer_free(&out);
			return s;
		}
	}
}

static bool holds(const struct buffer *b, const char *text)
{
	return memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static void test_schedule_of_a_stream(void **state)
{
	struct answer_style style = timed();
	struct answer a;
	struct buffer all;
	uint64_t times[16];
	size_t n;
	(void)state;
	answer_init(&a, MAX_BODY);
	buffer_init(&all, 1 << 20);
	start(&a, &style, STREAM, 0, 1000, MOCK_FAULT_COUNT);
	assert_int_equal(play(&a, 1000, &all, times, &n, 16), ANSWER_END);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(times[i], 1000 + 50 * NS_PER_MS + i * 10 * NS_PER_MS);
	assert_true(holds(&all, "[DONE]"));
	buffer_free(&all);
	answer_free(&a);
}

/* The clock is late by far: every token that is due comes, and the schedule stands. */
static void test_late_caller_catches_up_without_drift(void **state)
{
	struct answer_style style = timed();
	struct answer a;
	struct buffer out;
	(void)state;
	answer_init(&a, MAX_BODY);
	buffer_init(&out, 1 << 20);
	start(&a, &style, STREAM, 0, 0, MOCK_FAULT_COUNT);
	assert_int_equal(answer_step(&a, &out, 0), ANSWER_MORE); /* the head */
	buffer_clear(&out);
	assert_int_equal(answer_step(&a, &out, 0), ANSWER_WAIT);
	assert_int_equal(answer_step(&a, &out, 65 * NS_PER_MS), ANSWER_MORE); /* two tokens */
	assert_true(holds(&out, "\"abcde\""));
	assert_true(holds(&out, "\" bcde\""));
	buffer_clear(&out);
	assert_int_equal(answer_step(&a, &out, 65 * NS_PER_MS), ANSWER_WAIT);
	assert_int_equal(a.wake_ns, 70 * NS_PER_MS);
	buffer_free(&out);
	answer_free(&a);
}

static void test_whole_answer_comes_with_its_last_token(void **state)
{
	struct answer_style style = timed();
	struct answer a;
	struct buffer all;
	uint64_t times[4];
	size_t n;
	(void)state;
	answer_init(&a, MAX_BODY);
	buffer_init(&all, 1 << 20);
	start(&a, &style, WHOLE, 0, 0, MOCK_FAULT_COUNT);
	assert_int_equal(play(&a, 0, &all, times, &n, 4), ANSWER_END);
	assert_int_equal(n, 1);
	assert_int_equal(times[0], 80 * NS_PER_MS);
	assert_true(holds(&all, "\"completion_tokens\":4"));
	buffer_free(&all);
	answer_free(&a);
}

static void test_draws_are_keyed_by_the_request(void **state)
{
	struct answer_style style = timed();
	uint64_t times[3][256];
	size_t n[3];
	static const uint64_t numbers[3] = { 5, 5, 6 };
	(void)state;
	style.tpot = (struct mock_draw){ MOCK_EXPONENTIAL, 10e6, 0 };
	style.tokens = (struct mock_draw){ MOCK_UNIFORM, 20, 200 };
	for (int i = 0; i < 3; i++) {
		struct answer a;
		struct buffer all;
		answer_init(&a, MAX_BODY);
		buffer_init(&all, 1 << 20);
		start(&a, &style, STREAM, numbers[i], 0, MOCK_FAULT_COUNT);
		assert_int_equal(play(&a, 0, &all, times[i], &n[i], 256), ANSWER_END);
		buffer_free(&all);
		answer_free(&a);
	}
	assert_int_equal(n[0], n[1]);
	assert_memory_equal(times[0], times[1], n[0] * sizeof(times[0][0]));
	assert_int_not_equal(times[0][1], times[2][1]);
}

static void test_slow_head_comes_byte_by_byte(void **state)
{
	struct answer_style style = timed();
	static const char *const bodies[] = { STREAM, WHOLE };
	(void)state;
	style.mode = MOCK_MAX;
	for (int i = 0; i < 2; i++) {
		struct answer a;
		struct buffer all;
		uint64_t times[512];
		size_t n;
		answer_init(&a, MAX_BODY);
		buffer_init(&all, 1 << 20);
		start(&a, &style, bodies[i], 0, 1, MOCK_FAULT_SLOW_HEADERS);
		assert_int_equal(play(&a, 1, &all, times, &n, 512), ANSWER_END);
		const char *end = memmem(all.data, all.len, "\r\n\r\n", 4);
		assert_non_null(end);
		assert_int_equal(n, end + 4 - all.data - 1); /* the first byte waits for none */
		buffer_free(&all);
		answer_free(&a);
	}
}

static void test_draws(void **state)
{
	static const struct {
		struct mock_draw draw;
		double low, high; /* of the mean of many, 10 % around the true one */
	} rows[] = {
		{ { MOCK_FIXED, 1000, 0 }, 1000, 1000 },
		{ { MOCK_UNIFORM, 500, 1500 }, 900, 1100 },
		{ { MOCK_EXPONENTIAL, 1000, 0 }, 900, 1100 },
		{ { MOCK_NORMAL, 1000, 100 }, 900, 1100 },
		{ { MOCK_LOGNORMAL, 1000, 0.1 }, 900, 1100 },
		{ { MOCK_LOGNORMAL, 0, 0.1 }, 0, 0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rng r;
		double sum = 0;
		rng_init(&r, 1, i);
		for (int k = 0; k < 10000; k++)
			sum += (double)draw_ns(&rows[i].draw, &r);
		assert_true(draw_valid(&rows[i].draw));
		assert_in_range((uint64_t)(sum / 10000), (uint64_t)rows[i].low,
		                (uint64_t)rows[i].high);
	}
	struct rng r;
	rng_init(&r, 1, 1);
	assert_int_equal(draw_tokens(&(struct mock_draw){ MOCK_FIXED, 1e30, 0 }, &r),
	                 DRAW_MAX_TOKENS);
	assert_int_equal(draw_ns(&(struct mock_draw){ MOCK_FIXED, 1e30, 0 }, &r), 3600 * NS_PER_S);
	assert_false(draw_valid(&(struct mock_draw){ MOCK_FIXED, -1, 0 }));
	assert_false(draw_valid(&(struct mock_draw){ MOCK_UNIFORM, 2, 1 }));
	assert_false(draw_valid(&(struct mock_draw){ MOCK_FIXED, 0.0 / 0.0, 0 }));
}

static void test_faults_are_drawn_by_their_probability(void **state)
{
	double p[MOCK_FAULT_COUNT] = { [MOCK_FAULT_RESET] = 0.2, [MOCK_FAULT_SLOW_HEADERS] = 0.3 };
	unsigned seen[MOCK_FAULT_COUNT + 1] = { 0 };
	struct rng r;
	(void)state;
	rng_init(&r, 1, 2);
	for (int i = 0; i < 10000; i++)
		seen[fault_draw(p, &r)]++;
	assert_in_range(seen[MOCK_FAULT_RESET], 1800, 2200);
	assert_in_range(seen[MOCK_FAULT_SLOW_HEADERS], 2700, 3300);
	assert_int_equal(seen[MOCK_FAULT_RESET] + seen[MOCK_FAULT_SLOW_HEADERS] +
	                         seen[MOCK_FAULT_COUNT],
	                 10000);
}

static void test_fault_names(void **state)
{
	static const char *const bad[] = {
		"",          "stal",       "stalls",     "stall=1",     "status=",
		"status=42", "status=200", "status=4x9", "status=1000", "=",
	};
	(void)state;
	for (int i = 0; i < MOCK_FAULT_COUNT; i++)
		assert_int_equal(mock_fault_from_name(mock_fault_name((enum mock_fault)i)), i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fault f = { MOCK_FAULT_COUNT, 500 };
		if (fault_parse(&f, bad[i], strlen(bad[i])) == 0)
			fail_msg("'%s' was taken", bad[i]);
	}
	struct fault f = { MOCK_FAULT_COUNT, 500 };
	assert_int_equal(fault_parse(&f, "status", 6), 0);
	assert_int_equal(f.status, 500);
	assert_int_equal(fault_parse(&f, "status=429", 10), 0);
	assert_int_equal(f.status, 429);
}

static void test_asks(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"messages\":1}",
		"{\"messages\":[1]}",
		"{\"messages\":[{\"content\":true}]}",
		"{\"messages\":[{\"content\":[[[\"deep\"]]]}]}",
		"{\"messages\":[],\"model\":1}",
		"{\"messages\":[],\"stream\":1}",
		"{\"messages\":[],\"max_tokens\":-1}",
		"{\"messages\":[],\"max_tokens\":1.5}",
		"{\"messages\":[],\"stream_options\":1}",
		"{\"messages\":[],\"stream_options\":{\"include_usage\":1}}",
		"{\"messages\":[],\"tools\":1}",
		"{\"messages\":[]",
		"{\"messages\":[]}x",
		"{\"messages\":[{\"content\":[{\"text\":\"a\"}",
	};
	struct ask a;
	const char *reason;
	(void)state;
	ask_init(&a, MAX_BODY);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reason = NULL;
		if (ask_read(&a, true, bad[i], strlen(bad[i]), &reason) != STATUS_EPROTO || !reason)
			fail_msg("%s was taken", bad[i]);
	}
	static const char good[] =
		"{\"x\":[{\"messages\":[]}],\"model\":\"m\\u0041\",\"messages\":["
		"{\"role\":\"system\",\"content\":\"a b\"},"
		"{\"content\":[{\"type\":\"text\",\"text\":\"c\\nd\"},{\"image\":{}},"
		"{\"text\":\"e\"}],\"role\":\"user\"},"
		"{\"role\":\"assistant\",\"content\":null}],\"max_completion_tokens\":3,"
		"\"stream_options\":{\"include_usage\":true,\"y\":[1]},\"stream\":true}";
	assert_int_equal(ask_read(&a, true, good, sizeof(good) - 1, &reason), 0);
	assert_int_equal(a.prompt_words, 5);
	assert_int_equal(a.max_tokens, 3);
	assert_true(a.stream && a.include_usage && !a.tools && !a.reasoning);
	assert_int_equal(a.text.len, 5);
	assert_memory_equal(a.text.data, "c\nd e", 5);
	assert_memory_equal(a.model.data, "mA", 2);
	ask_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedule_of_a_stream),
		cmocka_unit_test(test_late_caller_catches_up_without_drift),
		cmocka_unit_test(test_whole_answer_comes_with_its_last_token),
		cmocka_unit_test(test_draws_are_keyed_by_the_request),
		cmocka_unit_test(test_slow_head_comes_byte_by_byte),
		cmocka_unit_test(test_draws),
		cmocka_unit_test(test_faults_are_drawn_by_their_probability),
		cmocka_unit_test(test_fault_names),
		cmocka_unit_test(test_asks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
