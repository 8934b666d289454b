#include "base/clock.h"
#include "base/status.h"
#include "http/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SSE        "text/event-stream; charset=utf-8"
#define JSON       "application/json"
#define DATA(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH     "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE       "data: [DONE]\n\n"
#define USAGE      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":2}}\n\n"

static void buffer_is(const struct buffer *b, const char *expected)
{
	assert_int_equal(b->len, strlen(expected));
	if (b->len)
		assert_memory_equal(b->data, expected, b->len);
}

/* One whole response, its body in pieces of `piece` bytes, 1 ms apart. */
static void play(struct response *r, enum decoder decoder, int status, const char *type,
                 const char *body, size_t piece)
{
	uint64_t now = NS_PER_S;
	size_t len = strlen(body);
	response_start(r, decoder, NULL, NULL);
	response_head(r, status, type, now);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		char *copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, body + at, n);
		now += NS_PER_MS;
		int err = response_bytes(r, copy, n, now);
		free(copy);
		assert_int_equal(err, r->failed ? STATUS_EPROTO : 0);
	}
	response_end(r, FAILURE_NONE, NULL, now + NS_PER_MS);
}

static const struct {
	enum decoder decoder;
	int status;
	const char *type;
	const char *body;
	enum failure failure;
	const char *error; /* a part of it; "" : it is empty */
	uint32_t chunks;
	const char *text;
	const char *finish;
	const char *why;
} cases[] = {
	{ DECODE_CHAT, 200, SSE, DATA("a") DATA("b") FINISH USAGE DONE, FAILURE_NONE, "", 2, "ab",
	  "stop", "a stream" },
	{ DECODE_CHAT, 200, "Text/Event-Stream", DATA("a") DONE, FAILURE_NONE, "", 1, "a", "",
	  "[DONE] without a finish reason" },
	{ DECODE_CHAT, 200, SSE, DATA("a") FINISH, FAILURE_NONE, "", 1, "a", "stop",
	  "a finish reason without [DONE]" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "data: [DONE]\n", FAILURE_NONE, "", 1, "a", "",
	  "no blank line after [DONE]" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "data: [DONE]", FAILURE_NONE, "", 1, "a", "",
	  "no line end after [DONE]" },
	{ DECODE_CHAT, 200, SSE, DATA("a"), FAILURE_TRUNCATED, "after 1 events", 1, "a", "",
	  "no end" },
	{ DECODE_CHAT, 200, SSE, "", FAILURE_TRUNCATED, "after 0 events", 0, "", "", "empty" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "data: {\"choices\":[{\"fin", FAILURE_TRUNCATED, "", 1,
	  "a", "", "cut in an event" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "da", FAILURE_TRUNCATED, "", 1, "a", "",
	  "cut in a name" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "data: {\"error\":{\"message\":\"oom\\n!\"}}\n\n" DONE,
	  FAILURE_STREAM_ERROR, "oom !", 1, "a", "", "an error event" },
	{ DECODE_CHAT, 200, SSE, DATA("a") "data: {\"choices\n\n" DONE, FAILURE_BAD_JSON,
	  "event 2: unterminated string: {\"choices", 1, "a", "", "bad JSON" },
	{ DECODE_CHAT, 200, SSE, "<html>\n<body>\n", FAILURE_BAD_SSE, "<html>", 0, "", "", "HTML" },
	{ DECODE_CHAT, 200, SSE, "{\"error\":\"x\"}", FAILURE_BAD_SSE, "{\"error", 0, "", "",
	  "bare JSON without a line end" },
	{ DECODE_CHAT, 200, SSE, ": ping\n\ndata:\n\n" DATA("a") DONE, FAILURE_NONE, "", 1, "a", "",
	  "keep-alives" },
	{ DECODE_CHAT, 200, SSE, DATA("") DATA("a") DONE, FAILURE_NONE, "", 1, "a", "",
	  "an empty delta does not count" },
	{ DECODE_CHAT, 200, JSON,
	  "{\"choices\":[{\"message\":{\"content\":\"all\"},\"finish_reason\":\"length\"}]}",
	  FAILURE_NONE, "", 1, "all", "length", "a whole answer" },
	{ DECODE_COMPLETIONS, 200, NULL, "{\"choices\":[{\"text\":\"all\"}]}", FAILURE_NONE, "", 1,
	  "all", "", "a whole completion" },
	{ DECODE_CHAT, 200, JSON, "{\"choices\":[]", FAILURE_BAD_JSON, "{\"choices\":[]", 0, "", "",
	  "a cut answer" },
	{ DECODE_CHAT, 200, JSON, "", FAILURE_BAD_JSON, "unexpected end", 0, "", "",
	  "an empty answer" },
	{ DECODE_CHAT, 200, JSON, "{\"hello\":1}", FAILURE_BAD_JSON, "without choices", 0, "", "",
	  "another object" },
	{ DECODE_CHAT, 200, JSON, "{\"error\":{\"message\":\"no\"}}", FAILURE_STREAM_ERROR, "no", 0,
	  "", "", "an error with status 200" },
	{ DECODE_CHAT, 429, JSON, "{\"error\":{\"message\":\"slow \\u0064own\"}}", FAILURE_HTTP,
	  "slow down", 0, "", "", "an error object" },
	{ DECODE_CHAT, 503, "text/html", "<h1>\x1b[31mbusy</h1>", FAILURE_HTTP,
	  "<h1> [31mbusy</h1>", 0, "", "", "an error page, tamed" },
	{ DECODE_CHAT, 500, SSE, DATA("a") DONE, FAILURE_HTTP, "data: {", 0, "", "",
	  "an error as a stream" },
	{ DECODE_RAW, 404, NULL, "", FAILURE_HTTP, "", 0, "", "", "an error without a body" },
	{ DECODE_RAW, 200, SSE, "anything", FAILURE_NONE, "", 0, "", "", "raw is not looked at" },
	{ DECODE_RAW, 302, NULL, "", FAILURE_NONE, "", 0, "", "", "raw redirect" },
};

static void verdicts_do_not_depend_on_the_split(void **state)
{
	(void)state;
	struct response r = { .keep_text = true };
	response_init(&r, 4096);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].body);
		for (size_t piece = 1; piece <= len + 1; piece++) {
			play(&r, cases[i].decoder, cases[i].status, cases[i].type, cases[i].body,
			     piece);
			assert_int_equal(r.failure, cases[i].failure);
			assert_non_null(strstr(r.error, cases[i].error));
			if (r.failure == FAILURE_NONE)
				assert_string_equal(r.error, "");
			assert_int_equal(r.chunks, cases[i].chunks);
			buffer_is(&r.text, cases[i].text);
			assert_string_equal(r.finish_reason, cases[i].finish);
			assert_int_equal(r.bytes, len);
			assert_int_equal(r.status, cases[i].status);
		}
	}
	response_free(&r);
}

struct deltas {
	unsigned count, firsts;
	uint64_t last_ns;
};

static void count_delta(void *ctx, const struct delta *d, bool first)
{
	struct deltas *seen = ctx;
	seen->count++;
	seen->firsts += first && seen->count == 1;
	seen->last_ns = d->now_ns;
}

static void feed_at(struct response *r, const char *bytes, uint64_t now_us)
{
	assert_int_equal(response_bytes(r, bytes, strlen(bytes), now_us * NS_PER_US), 0);
}

static void stamps_and_gaps(void **state)
{
	(void)state;
	struct response r = { 0 };
	struct deltas seen = { 0 };
	response_init(&r, 4096);
	response_start(&r, DECODE_CHAT, count_delta, &seen);
	response_head(&r, 200, SSE, 10 * NS_PER_US);
	feed_at(&r,
	        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
	        15);
	assert_int_equal(r.first_ns, 0);
	feed_at(&r, "data: {\"choices\":[{\"delta\":{\"reasoning\":\"\"}}]}\n\n", 16);
	feed_at(&r, DATA("a"), 20);
	feed_at(&r, DATA("b") DATA("c"), 50);
	feed_at(&r, "data: {\"choices\":[{\"delta\":{\"reasoning\":\"r\"}}]}\n\n", 57);
	feed_at(&r, USAGE DONE, 90);
	response_end(&r, FAILURE_NONE, NULL, 100 * NS_PER_US);
	assert_int_equal(r.failure, FAILURE_NONE);
	assert_int_equal(r.first_byte_ns, 10 * NS_PER_US);
	assert_int_equal(r.first_ns, 20 * NS_PER_US);
	assert_int_equal(r.first_event_ns, 15 * NS_PER_US);
	assert_int_equal(r.first_content_ns, 20 * NS_PER_US);
	assert_int_equal(r.first_reasoning_ns, 57 * NS_PER_US);
	assert_int_equal(r.last_ns, 57 * NS_PER_US);
	assert_int_equal(r.finished_ns, 100 * NS_PER_US);
	assert_int_equal(r.events, 8);
	assert_int_equal(r.chunks, 4);
	assert_int_equal(r.chunk_us_count, 3);
	assert_int_equal(r.chunk_us[0], 30);
	assert_int_equal(r.chunk_us[1], 0);
	assert_int_equal(r.chunk_us[2], 7);
	assert_int_equal(r.tokens_in, 4);
	assert_int_equal(r.tokens_out, 2);
	assert_int_equal(r.tokens_cached, -1);
	assert_true(r.done);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.firsts, 1);
	assert_int_equal(seen.last_ns, 57 * NS_PER_US);
	assert_int_equal(r.text.len, 0); /* only counted */
	response_free(&r);
}

static void gaps_do_not_add_up_rounding(void **state)
{
	(void)state;
	struct response r = { 0 };
	response_init(&r, 4096);
	response_start(&r, DECODE_CHAT, NULL, NULL);
	response_head(&r, 200, SSE, 1);
	uint64_t sum = 0;
	for (uint64_t i = 0; i <= 1000; i++)
		assert_int_equal(response_bytes(&r, DATA("a"), strlen(DATA("a")), 777 + i * 1500),
		                 0);
	for (uint32_t i = 0; i < r.chunk_us_count; i++)
		sum += r.chunk_us[i];
	assert_int_equal(r.chunk_us_count, 1000);
	assert_int_equal(sum, 1500);
	response_free(&r);
}

static void gaps_are_bounded(void **state)
{
	(void)state;
	struct response r = { 0 };
	response_init(&r, 4096);
	response_start(&r, DECODE_CHAT, NULL, NULL);
	response_head(&r, 200, SSE, 1);
	for (uint32_t i = 0; i < RESPONSE_CHUNK_GAPS + 10; i++)
		assert_int_equal(response_bytes(&r, DATA("a"), strlen(DATA("a")), i), 0);
	assert_int_equal(r.chunks, RESPONSE_CHUNK_GAPS + 10);
	assert_int_equal(r.chunk_us_count, RESPONSE_CHUNK_GAPS);
	response_free(&r);
}

static void whole_answers_have_no_first_delta(void **state)
{
	(void)state;
	struct response r = { .keep_body = true };
	const char *body = "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":{"
			   "\"completion_tokens\":9}}";
	response_init(&r, 4096);
	play(&r, DECODE_CHAT, 200, JSON, body, 5);
	assert_int_equal(r.failure, FAILURE_NONE);
	assert_int_equal(r.first_ns, 0);
	assert_int_equal(r.chunks, 1);
	assert_int_equal(r.tokens_out, 9);
	assert_false(r.streamed);
	buffer_is(&r.body, body);
	r.keep_body = false;
	play(&r, DECODE_CHAT, 200, JSON, body, 5);
	assert_int_equal(r.body.len, 0);
	response_free(&r);
}

static void raw_takes_the_first_byte(void **state)
{
	(void)state;
	struct response r = { .keep_body = true };
	response_init(&r, 4096);
	play(&r, DECODE_RAW, 200, NULL, "abc", 2);
	assert_int_equal(r.first_byte_ns, NS_PER_S);
	assert_int_equal(r.first_ns, NS_PER_S + NS_PER_MS);
	assert_int_equal(r.chunks, 0);
	buffer_is(&r.body, "abc");
	response_free(&r);
}

static void tool_names_are_not_arguments(void **state)
{
	(void)state;
	struct response r = { .keep_text = true };
	response_init(&r, 4096);
	play(&r, DECODE_CHAT, 200, SSE,
	     "data: "
	     "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\","
	     "\"arguments\":\"\"}}]}}]}\n\n"
	     "data: "
	     "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{"
	     "\\\"a\\\"\"}}]}}]}\n\n"
	     "data: "
	     "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\":1}\"}}]}}]}"
	     "\n\n" DONE,
	     1000);
	assert_int_equal(r.chunks, 3);
	buffer_is(&r.tools, "{\"a\":1}");
	response_free(&r);
}

static void what_is_kept_is_bounded(void **state)
{
	(void)state;
	struct response r = { .keep_text = true };
	response_init(&r, 120);
	play(&r, DECODE_CHAT, 200, JSON,
	     "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"padding\":\"......................"
	     ".........\","
	     "\"more\":\"......................................................................."
	     "\"}",
	     16);
	assert_int_equal(r.failure, FAILURE_TOO_LARGE);
	assert_string_equal(r.error, "the body is larger than 120 bytes");

	response_init(&r, 60);
	play(&r, DECODE_CHAT, 200, SSE,
	     DATA("12345678") DATA("12345678") DATA("12345678") DATA("12345678") DATA("12345678")
	             DATA("12345678") DATA("12345678") DATA("12345678") DONE,
	     50);
	assert_int_equal(r.failure, FAILURE_TOO_LARGE);
	assert_int_equal(r.text.len, 56);

	r.keep_text = false;
	play(&r, DECODE_CHAT, 200, SSE,
	     "data: 1234567890123456789012345678901234567890123456789012345\n\n", 7);
	assert_int_equal(r.failure, FAILURE_TOO_LARGE);

	response_init(&r, 8);
	r.keep_body = true;
	play(&r, DECODE_RAW, 200, NULL, "123456789", 3);
	assert_int_equal(r.failure, FAILURE_TOO_LARGE);
	play(&r, DECODE_RAW, 500, NULL, "123456789", 3);
	assert_int_equal(r.failure, FAILURE_HTTP); /* cut, not refused */
	buffer_is(&r.body, "12345678");
	response_free(&r);
}

static void error_bodies_are_cut(void **state)
{
	(void)state;
	struct response r = { 0 };
	static char body[3 * RESPONSE_ERROR_BODY];
	memset(body, 'x', sizeof(body) - 1);
	response_init(&r, 1 << 20);
	play(&r, DECODE_CHAT, 500, NULL, body, 1000);
	assert_int_equal(r.failure, FAILURE_HTTP);
	assert_int_equal(r.body.len, RESPONSE_ERROR_BODY);
	assert_int_equal(r.bytes, sizeof(body) - 1);
	r.keep_body = true;
	play(&r, DECODE_CHAT, 500, NULL, body, 1000);
	assert_int_equal(r.body.len, sizeof(body) - 1);
	response_free(&r);
}

static void the_first_failure_stays(void **state)
{
	(void)state;
	struct response r = { 0 };
	response_init(&r, 4096);
	response_start(&r, DECODE_CHAT, NULL, NULL);
	response_head(&r, 200, SSE, 1);
	assert_int_equal(response_bytes(&r, "<html>\n", 7, 2), STATUS_EPROTO);
	assert_int_equal(response_bytes(&r, DATA("a"), strlen(DATA("a")), 3), STATUS_EPROTO);
	response_end(&r, FAILURE_CLIENT, "write error", 4);
	assert_int_equal(r.failure, FAILURE_BAD_SSE);
	assert_non_null(strstr(r.error, "<html>"));
	assert_int_equal(r.chunks, 0);
	assert_int_equal(r.bytes, 7 + strlen(DATA("a")));

	response_start(&r, DECODE_CHAT, NULL, NULL);
	response_end(&r, FAILURE_REFUSED, "no one there", 4);
	assert_int_equal(r.failure, FAILURE_REFUSED);
	assert_string_equal(r.error, "no one there");
	assert_int_equal(r.status, 0);
	assert_int_equal(r.tokens_out, -1);

	response_start(&r, DECODE_CHAT, NULL, NULL);
	response_head(&r, 503, NULL, 1);
	response_end(&r, FAILURE_RESET, "reset", 4);
	assert_int_equal(r.failure, FAILURE_HTTP);
	response_free(&r);
}

static void nothing_of_the_last_use_is_left(void **state)
{
	(void)state;
	struct response r = { .keep_text = true };
	response_init(&r, 4096);
	play(&r, DECODE_CHAT, 200, SSE, DATA("a") DATA("b") USAGE FINISH "data: {\"unfinished", 9);
	assert_int_equal(r.chunks, 2);
	play(&r, DECODE_CHAT, 200, SSE, DATA("c"), 9);
	assert_int_equal(r.failure, FAILURE_TRUNCATED);
	assert_int_equal(r.chunks, 1);
	assert_int_equal(r.chunk_us_count, 0);
	assert_int_equal(r.tokens_out, -1);
	assert_int_equal(r.events, 1);
	assert_string_equal(r.finish_reason, "");
	buffer_is(&r.text, "c");
	response_free(&r);
}

static void long_finish_reasons_are_cut(void **state)
{
	(void)state;
	struct response r = { 0 };
	response_init(&r, 4096);
	play(&r, DECODE_CHAT, 200, SSE,
	     "data: "
	     "{\"choices\":[{\"finish_reason\":\"0123456789012345678901234567890123456789\"}]}\n\n",
	     9);
	assert_int_equal(r.failure, FAILURE_NONE);
	assert_string_equal(r.finish_reason, "0123456789012345678901234567890");
	response_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts_do_not_depend_on_the_split),
		cmocka_unit_test(stamps_and_gaps),
		cmocka_unit_test(gaps_do_not_add_up_rounding),
		cmocka_unit_test(gaps_are_bounded),
		cmocka_unit_test(whole_answers_have_no_first_delta),
		cmocka_unit_test(raw_takes_the_first_byte),
		cmocka_unit_test(tool_names_are_not_arguments),
		cmocka_unit_test(what_is_kept_is_bounded),
		cmocka_unit_test(error_bodies_are_cut),
		cmocka_unit_test(the_first_failure_stays),
		cmocka_unit_test(nothing_of_the_last_use_is_left),
		cmocka_unit_test(long_finish_reasons_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
