#include "base/status.h"
#include "http/openai.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void slice_is(const struct json_slice *s, const char *expected)
{
	struct buffer b;
	buffer_init(&b, 4096);
	assert_int_equal(json_slice_text(s, &b), 0);
	assert_int_equal(b.len, strlen(expected));
	if (b.len)
		assert_memory_equal(b.data, expected, b.len);
	buffer_free(&b);
}

/* The text ends where its allocation ends. The slices of d stay valid until free(). */
static char *decode(struct delta *d, const char *json, int expected)
{
	size_t len = strlen(json);
	char *copy = malloc(len ? len : 1);
	const char *why = NULL;
	assert_non_null(copy);
	memcpy(copy, json, len);
	assert_int_equal(openai_decode(d, copy, len, &why), expected);
	if (expected)
		assert_non_null(why);
	return copy;
}

#define CHAT(delta) "{\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}"

static const struct {
	const char *json;
	const char *content, *reasoning, *tool, *finish;
	const char *why;
} cases[] = {
	{ CHAT("{\"content\":\"Hi\"}"), "Hi", "", "", "", "content" },
	{ CHAT("{\"role\":\"assistant\",\"content\":\"\"}"), "", "", "", "", "role only" },
	{ CHAT("{\"role\":\"assistant\",\"content\":null}"), "", "", "", "", "null content" },
	{ CHAT("null"), "", "", "", "", "null delta" },
	{ CHAT("{\"content\":[{\"type\":\"text\"}]}"), "", "", "", "", "another type" },
	{ CHAT("{\"content\":\"a\\n\\u00e9\\ud83d\\ude00\"}"), "a\n\xc3\xa9\xf0\x9f\x98\x80", "",
	  "", "", "escapes" },
	{ CHAT("{\"reasoning_content\":\"hm\"}"), "", "hm", "", "", "reasoning_content" },
	{ CHAT("{\"reasoning\":\"hm\"}"), "", "hm", "", "", "reasoning" },
	{ CHAT("{\"reasoning\":\"hm\",\"reasoning_content\":null}"), "", "hm", "", "", "one null" },
	{ CHAT("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}"),
	  "", "", "f", "", "tool name" },
	{ CHAT("{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\",\"name\":\"f\"}}]}"), "", "",
	  "{}", "", "arguments win" },
	{ CHAT("{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
	       "{\"function\":{\"arguments\":\"[]\"}}]}"),
	  "", "", "{}", "", "the first call" },
	{ CHAT("{\"tool_calls\":[{\"function\":null},{\"id\":\"x\"},null]}"), "", "", "", "",
	  "tool calls without anything" },
	{ "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", "", "", "", "stop",
	  "finish" },
	{ "{\"choices\":[{\"finish_reason\":\"length\",\"delta\":{\"content\":\"x\"}}]}", "x", "",
	  "", "length", "any key order" },
	{ "{\"choices\":[{\"delta\":{\"content\":\"\"}},{\"delta\":{\"content\":\"b\"}},"
	  "{\"delta\":{\"content\":\"c\"}}]}",
	  "b", "", "", "", "the first that carries anything" },
	{ "{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"whole\"},"
	  "\"finish_reason\":\"stop\"}]}",
	  "whole", "", "", "stop", "a whole answer" },
	{ "{\"choices\":[{\"text\":\"t\",\"logprobs\":{\"a\":[1,{\"text\":\"no\"}]}}]}", "t", "",
	  "", "", "completions" },
	{ "{\"choices\":[]}", "", "", "", "", "no choices" },
	{ "{\"choices\":null}", "", "", "", "", "null choices" },
	{ "{\"content\":\"no\",\"delta\":{\"content\":\"no\"}}", "", "", "", "", "wrong level" },
	{ " { } ", "", "", "", "", "nothing" },
};

static void fields_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct delta d;
		char *copy = decode(&d, cases[i].json, 0);
		slice_is(&d.content, cases[i].content);
		slice_is(&d.reasoning, cases[i].reasoning);
		slice_is(&d.tool, cases[i].tool);
		slice_is(&d.finish_reason, cases[i].finish);
		assert_int_equal(delta_has_content(&d),
		                 *cases[i].content || *cases[i].reasoning || *cases[i].tool);
		assert_false(d.has_error);
		assert_false(d.has_usage);
		assert_int_equal(d.tokens_out, -1);
		free(copy);
	}
}

static void names_are_told_from_arguments(void **state)
{
	(void)state;
	struct delta d;
	free(decode(&d, CHAT("{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}"), 0));
	assert_true(d.tool_is_name);
	free(decode(&d,
	            CHAT("{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}]}"),
	            0));
	assert_false(d.tool_is_name);
}

static void usage_is_read(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		bool has;
		int64_t in, out, cached;
	} rows[] = {
		{ "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":12,"
		  "\"completion_tokens\":7,\"prompt_tokens_details\":{\"audio\":0,\"cached_"
		  "tokens\":3}}}",
		  true, 5, 7, 3 },
		{ "{\"usage\":{\"prompt_tokens_details\":null,\"completion_tokens\":1}}", true, -1,
		  1, -1 },
		{ "{\"usage\":{\"prompt_tokens\":9,\"prompt_cache_hit_tokens\":4}}", true, 9, -1,
		  4 },
		{ "{\"usage\":{\"num_cached_tokens\":0}}", true, -1, -1, 0 },
		{ "{\"usage\":{\"cached_tokens\":6,\"cached_tokens_of\":[1]}}", true, -1, -1, 6 },
		{ "{\"usage\":null}", false, -1, -1, -1 },
		{ "{\"usage\":{\"prompt_tokens\":\"5\",\"completion_tokens\":-1}}", true, -1, -1,
		  -1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct delta d;
		free(decode(&d, rows[i].json, 0));
		assert_int_equal(d.has_usage, rows[i].has);
		assert_int_equal(d.tokens_in, rows[i].in);
		assert_int_equal(d.tokens_out, rows[i].out);
		assert_int_equal(d.tokens_cached, rows[i].cached);
	}
}

static void errors_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		bool has;
		const char *message;
	} rows[] = {
		{ "{\"error\":{\"code\":1,\"message\":\"too \\\"big\\\"\"}}", true, "too \"big\"" },
		{ "{\"error\":\"broken\"}", true, "broken" },
		{ "{\"error\":{}}", true, "" },
		{ "{\"error\":null,\"choices\":[]}", false, "" },
		{ "{\"error\":false}", false, "" },
		{ "{\"message\":\"flat\",\"object\":\"error\"}", true, "flat" },
		{ "{\"message\":\"no\",\"object\":\"list\"}", false, "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct delta d;
		char *copy = decode(&d, rows[i].json, 0);
		assert_int_equal(d.has_error, rows[i].has);
		slice_is(&d.error, rows[i].message);
		free(copy);
	}
}

/* ---- chunks that repeat ---- */

static bool same_slice(const struct json_slice *a, const struct json_slice *b)
{
	return a->len == b->len && (!a->len || (a->data == b->data && a->escaped == b->escaped));
}

/* Does the pattern make no difference? Whatever it has read before. */
static void decodes_alike(struct openai_pattern *p, const char *json)
{
	struct delta plain, d;
	const char *why = NULL;
	size_t len = strlen(json);
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, json, len);
	int expected = openai_decode(&plain, copy, len, &why);
	assert_int_equal(openai_decode_chunk(p, &d, copy, len, &why), expected);
	if (!expected) {
		assert_true(same_slice(&d.content, &plain.content));
		assert_true(same_slice(&d.reasoning, &plain.reasoning));
		assert_true(same_slice(&d.tool, &plain.tool));
		assert_true(same_slice(&d.finish_reason, &plain.finish_reason));
		assert_true(same_slice(&d.error, &plain.error));
		assert_int_equal(d.tool_is_name, plain.tool_is_name);
		assert_int_equal(d.has_choices, plain.has_choices);
		assert_int_equal(d.has_error, plain.has_error);
		assert_int_equal(d.has_usage, plain.has_usage);
		assert_int_equal(d.tokens_in, plain.tokens_in);
		assert_int_equal(d.tokens_out, plain.tokens_out);
		assert_int_equal(d.tokens_cached, plain.tokens_cached);
	}
	free(copy);
}

/* A shape of a chunk, around its text. */
static const struct {
	const char *before, *after;
} shapes[] = {
	{ "{\"choices\":[{\"delta\":{\"content\":\"", "\"},\"finish_reason\":null}]}" },
	{ "{\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"", "\"}}]}" },
	{ "{\"choices\":[{\"delta\":{\"reasoning\":\"", "\"}}],\"usage\":null}" },
	{ "{\"choices\":[{\"delta\":{\"reasoning\":\"", "\",\"reasoning_content\":\"z\"}}]}" },
	{ "{\"choices\":[{\"delta\":{\"content\":\"", "\",\"reasoning\":\"z\"}}]}" },
	{ "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"",
	  "\"}}]}}]}" },
	{ "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"", "\"}}]}}]}" },
	{ "{\"choices\":[{\"delta\":{\"content\":\"", "\"}},{\"delta\":{\"content\":\"b\"}}]}" },
	{ "{\"choices\":[{\"delta\":{\"content\":\"", "\"},\"finish_reason\":\"stop\"}]}" },
	{ "{\"choices\":[{\"text\":\"", "\"}],\"usage\":{\"prompt_tokens\":1}}" },
	{ "{\"choices\":[{\"text\":\"", "\"}],\"object\":\"error\"}" },
	{ "{\"choices\":[{\"text\":\"", "\"}],\"model\":}" },
	{ "{\"error\":\"", "\"}" },
};

static const char *const texts[] = {
	"a",
	"",
	"ab",
	"\\\"",
	"a\\n\\u00e9",
	"\\",
	"\"",
	"\n",
	"\\x",
	"\",\"x\":\"",
	"a text of more than sixteen bytes, \\t and one escape",
	"a\"},\"finish_reason\":null}]}",
};

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static void a_chunk_is_read_alike_after_any_other(void **state)
{
	(void)state;
	for (size_t s = 0; s < COUNT(shapes); s++) {
		for (size_t i = 0; i < COUNT(texts) * COUNT(texts); i++) {
			struct openai_pattern p = { 0 };
			char first[256], second[256];
			snprintf(first, sizeof(first), "%s%s%s", shapes[s].before,
			         texts[i / COUNT(texts)], shapes[s].after);
			snprintf(second, sizeof(second), "%s%s%s", shapes[s].before,
			         texts[i % COUNT(texts)], shapes[s].after);
			decodes_alike(&p, first);
			decodes_alike(&p, second);
			for (size_t c = 0; c < COUNT(cases); c++)
				decodes_alike(&p, cases[c].json);
			decodes_alike(&p, second);
			openai_pattern_free(&p);
		}
	}
}

static void a_repeated_chunk_is_recognised(void **state)
{
	struct openai_pattern p = { 0 };
	struct delta d;
	const char *why;
	const char first[] = CHAT("{\"content\":\"Hi\"}"), second[] = CHAT("{\"content\":\"you\"}");
	(void)state;
	assert_int_equal(openai_decode_chunk(&p, &d, first, strlen(first), &why), 0);
	assert_int_equal(p.before + p.after, strlen(first) - 2);
	assert_int_equal(p.chunk.len, strlen(first));
	assert_int_equal(openai_decode_chunk(&p, &d, second, strlen(second), &why), 0);
	slice_is(&d.content, "you");
	assert_int_equal(p.chunk.len, strlen(first)); /* it learned nothing new */
	openai_pattern_reset(&p);
	assert_int_equal(openai_decode_chunk(&p, &d, second, strlen(second), &why), 0);
	assert_int_equal(p.chunk.len, strlen(second));
	openai_pattern_free(&p);
}

static void malformed_json_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
		                           "[]",
		                           "1",
		                           "{",
		                           "{} x",
		                           "{\"a\":}",
		                           "{\"a\" 1}",
		                           "{\"choices\":[}",
		                           "nope",
		                           "{\"a\":1,}",
		                           "{\"usage\":{]}",
		                           "{\"error\":{\"message\":}}" };
	struct delta d;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		free(decode(&d, bad[i], STATUS_EPROTO));
}

static void every_cut_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].json);
		while (cases[i].json[len - 1] == ' ')
			len--;
		for (size_t cut = 0; cut < len; cut++) {
			char *text = strndup(cases[i].json, cut);
			struct delta d;
			assert_non_null(text);
			free(decode(&d, text, STATUS_EPROTO));
			free(text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_found),
		cmocka_unit_test(names_are_told_from_arguments),
		cmocka_unit_test(usage_is_read),
		cmocka_unit_test(errors_are_found),
		cmocka_unit_test(a_chunk_is_read_alike_after_any_other),
		cmocka_unit_test(a_repeated_chunk_is_recognised),
		cmocka_unit_test(malformed_json_is_refused),
		cmocka_unit_test(every_cut_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
