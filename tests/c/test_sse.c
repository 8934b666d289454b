#include "base/status.h"
#include "http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Events as text: "name|data;" each. */
struct seen {
	char text[512];
	size_t len;
	int stop_at; /* refuse the n-th event; 0: none */
	int count;
	const char *in, *in_end; /* the input: is data inside it? */
	int borrowed;
};

static void seen_put(struct seen *s, const char *data, size_t len)
{
	assert_true(s->len + len < sizeof(s->text));
	memcpy(s->text + s->len, data, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static int on_event(void *ctx, const struct sse_event *e)
{
	struct seen *s = ctx;
	if (e->name)
		seen_put(s, e->name, e->name_len);
	seen_put(s, "|", 1);
	seen_put(s, e->data, e->len);
	seen_put(s, ";", 1);
	s->borrowed += e->data >= s->in && e->data < s->in_end;
	return ++s->count == s->stop_at ? 7 : 0;
}

/* A copy that ends where the allocation ends, so that reading on is seen. */
static int feed(struct sse *s, const char *data, size_t len, struct seen *seen)
{
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, data, len);
	seen->in = copy;
	seen->in_end = copy + len;
	int rc = sse_feed(s, copy, len, on_event, seen);
	free(copy);
	return rc;
}

static const struct {
	const char *in;
	const char *out;
	const char *why;
} cases[] = {
	{ "data: a\n\n", "|a;", "one event" },
	{ "data:a\n\n", "|a;", "the space is optional" },
	{ "data:  a\n\n", "| a;", "only one space is taken" },
	{ "data: a\r\n\r\n", "|a;", "CRLF" },
	{ "data: a\r\r", "|a;", "CR" },
	{ "data: a\r\n\rdata: b\n\r\n", "|a;|b;", "mixed line ends" },
	{ "data: a\n\n\n\ndata: b\n\n", "|a;|b;", "blank lines" },
	{ "data: a\ndata: b\n\n", "|a\nb;", "two data lines" },
	{ "data: a\ndata\ndata: c\n\n", "|a\n\nc;", "a data line without a colon is empty" },
	{ "data\n\n", "|;", "an empty event is an event" },
	{ "event: e\ndata: a\n\n", "e|a;", "a name" },
	{ "event: e\n\ndata: a\n\n", "|a;", "a name alone is no event and is forgotten" },
	{ "event: d\nevent: e\ndata: a\n\n", "e|a;", "the last name counts" },
	{ ": hello\ndata: a\n: more\n\n", "|a;", "comments" },
	{ ":\n\n:\n\n", "", "comments alone" },
	{ "id: 1\nretry: 5\ndata: a\n\n", "|a;", "id and retry" },
	{ "\xef\xbb\xbf"
	  "data: a\n\n",
	  "|a;", "BOM" },
	{ "data: a\n\ndata: b", "|a;", "an unfinished line" },
	{ "data: a\n\ndata: b\n", "|a;", "an unfinished event" },
	{ "data: {\"x\":\"y: z\"}\n\n", "|{\"x\":\"y: z\"};", "colons in the value" },
};

static void every_split_gives_the_same_events(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].in);
		struct sse s = { .strict = true };
		sse_init(&s, 100);
		for (size_t a = 0; a <= len; a++) {
			for (size_t b = a; b <= len; b++) {
				struct seen seen = { 0 };
				sse_reset(&s);
				assert_int_equal(feed(&s, cases[i].in, a, &seen), 0);
				assert_int_equal(feed(&s, cases[i].in + a, b - a, &seen), 0);
				assert_int_equal(feed(&s, cases[i].in + b, len - b, &seen), 0);
				assert_string_equal(seen.text, cases[i].out);
			}
		}
		sse_free(&s);
	}
}

static void whole_events_are_not_copied(void **state)
{
	(void)state;
	struct sse s = { 0 };
	struct seen seen = { 0 };
	sse_init(&s, 100);
	assert_int_equal(feed(&s, "data: a\n\ndata: b\n\ndata: c\n", 26, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.borrowed, 2);
	assert_true(sse_partial(&s));
	assert_int_equal(feed(&s, "\n", 1, &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.borrowed, 2);
	assert_false(sse_partial(&s));
	sse_free(&s);
}

static void limits_hold_in_every_split(void **state)
{
	(void)state;
	static const char *const inputs[] = { "data: 123456789\n\n",
		                              "data: 1234\ndata: 12345\n\n" };
	static const size_t limits[] = { 14, 9 };
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(inputs[i]);
		for (size_t cut = 0; cut <= len; cut++) {
			struct sse s = { 0 };
			struct seen seen = { 0 };
			sse_init(&s, limits[i]);
			int rc = feed(&s, inputs[i], cut, &seen);
			if (!rc)
				rc = feed(&s, inputs[i] + cut, len - cut, &seen);
			assert_int_equal(rc, STATUS_ELIMIT);
			sse_free(&s);
		}
	}
}

static void what_fits_exactly_passes(void **state)
{
	(void)state;
	struct sse s = { 0 };
	struct seen seen = { 0 };
	sse_init(&s, 15);
	assert_int_equal(feed(&s, "data: 123456789\n\n", 17, &seen), 0);
	assert_string_equal(seen.text, "|123456789;");
	sse_free(&s);
}

static void the_callback_can_stop(void **state)
{
	(void)state;
	struct sse s = { 0 };
	struct seen seen = { .stop_at = 1 };
	sse_init(&s, 100);
	assert_int_equal(feed(&s, "data: a\n\ndata: b\n\n", 18, &seen), 7);
	assert_int_equal(seen.count, 1);
	sse_free(&s);
}

static void strict_finds_what_is_no_stream(void **state)
{
	(void)state;
	static const char *const bad[] = { "<html>\n", "{\"error\": 1}\n", "Data: a\n",
		                           "data: a\n\n oops\n", "datax\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		size_t len = strlen(bad[i]);
		for (size_t cut = 0; cut <= len; cut++) {
			struct sse s = { .strict = true };
			struct seen seen = { 0 };
			sse_init(&s, 100);
			int rc = feed(&s, bad[i], cut, &seen);
			if (!rc)
				rc = feed(&s, bad[i] + cut, len - cut, &seen);
			assert_int_equal(rc, STATUS_EPROTO);
			assert_true(s.bad_len > 0);
			sse_free(&s);

			s = (struct sse){ 0 };
			sse_init(&s, 100);
			assert_int_equal(feed(&s, bad[i], len, &seen), 0);
			sse_free(&s);
		}
	}
}

static void strict_names_the_line(void **state)
{
	(void)state;
	const char *in = "data: a\n\n<html>\n";
	struct sse s = { .strict = true };
	struct seen seen = { 0 };
	sse_init(&s, 100);
	assert_int_equal(sse_feed(&s, in, strlen(in), on_event, &seen), STATUS_EPROTO);
	assert_int_equal(s.bad_len, 6);
	assert_memory_equal(s.bad, "<html>", 6);
	sse_free(&s);
}

static const struct {
	const char *in;
	int rc;
	const char *data; /* NULL: none */
} ends[] = {
	{ "", 0, NULL },
	{ "data: a\n\n", 0, NULL },
	{ "data: a\n", 0, "a" },
	{ "data: a", 0, "a" },
	{ "data: a\ndata: b", 0, "a\nb" },
	{ "dat", 0, NULL },
	{ "event: e\n", 0, NULL },
	{ "{\"error\": 1}", STATUS_EPROTO, NULL },
	{ "\xef\xbb\xbf", 0, NULL },
};

static void the_end_shows_the_unfinished_event(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		struct sse s = { .strict = true };
		struct seen seen = { 0 };
		struct sse_event e;
		sse_init(&s, 100);
		assert_int_equal(feed(&s, ends[i].in, strlen(ends[i].in), &seen), 0);
		assert_int_equal(sse_finish(&s, &e), ends[i].rc);
		if (ends[i].data) {
			assert_int_equal(e.len, strlen(ends[i].data));
			assert_memory_equal(e.data, ends[i].data, e.len);
		} else {
			assert_null(e.data);
		}
		sse_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_gives_the_same_events),
		cmocka_unit_test(whole_events_are_not_copied),
		cmocka_unit_test(limits_hold_in_every_split),
		cmocka_unit_test(what_fits_exactly_passes),
		cmocka_unit_test(the_callback_can_stop),
		cmocka_unit_test(strict_finds_what_is_no_stream),
		cmocka_unit_test(strict_names_the_line),
		cmocka_unit_test(the_end_shows_the_unfinished_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
