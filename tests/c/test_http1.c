/* The parser of responses: each input in every split, at the edge of readable memory. */
#include "http/http1.h"

#include "http1_support.h"
#include "support.h"

#include <stdlib.h>

#define IN(text)  (text), sizeof(text) - 1
#define OK        "HTTP/1.1 200 OK\r\n"
#define CHUNKED   OK "Transfer-Encoding: chunked\r\n\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"

static const struct {
	const char *data;
	size_t len;
	bool is_head;
	enum http1_event end;
	int status;
	const char *body;
	bool keep;
	size_t rest;       /* bytes that do not belong to it */
	const char *error; /* a part of it */
} rows[] = {
	{ IN(OK LENGTH(5) "\r\nhello"), false, HTTP1_END, 200, "hello", true, 0, "" },
	{ IN("HTTP/1.1 200\r\nContent-Length:0\r\n\r\n"), false, HTTP1_END, 200, "", true, 0, "" },
	{ IN("HTTP/1.1 200 \r\ncontent-LENGTH: \t 1 \t \r\n\r\nx"), false, HTTP1_END, 200, "x",
	  true, 0, "" },
	{ IN("HTTP/1.1 200 OK\nContent-Length: 1\n\nx"), false, HTTP1_END, 200, "x", true, 0, "" },
	{ IN(OK LENGTH(5) LENGTH(5) "\r\nhello"), false, HTTP1_END, 200, "hello", true, 0, "" },
	{ IN(OK LENGTH(2) "\r\nokHTTP/1.1"), false, HTTP1_END, 200, "ok", true, 8, "" },
	{ IN(OK "Connection: close\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", false, 0,
	  "" },
	{ IN(OK "Connection: upgrade ,  CLOSE\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x",
	  false, 0, "" },
	{ IN(OK "Connection: discl, osed\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", true,
	  0, "" },
	/* Here libcurl finds the word as well. */
	{ IN(OK "Connection: \"closed\"\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", false,
	  0, "" },
	{ IN(OK "Connection: close, keep-alive\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x",
	  false, 0, "" },
	{ IN("HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\n" LENGTH(1) "\r\nx"), false,
	  HTTP1_END, 200, "x", true, 0, "" },
	{ IN("HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" OK LENGTH(1) "\r\nx"), false, HTTP1_END,
	  200, "x", false, 0, "" },
	{ IN("HTTP/1.0 200 OK\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", false, 0, "" },
	{ IN("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END,
	  200, "x", true, 0, "" },
	{ IN("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: "
	     "chunked\r\n\r\n0\r\n\r\n"),
	  false, HTTP1_END, 200, "", false, 0, "" },
	{ IN(OK "\r\nto the end"), false, HTTP1_END, 200, "to the end", false, 0, "" },
	{ IN(OK "Transfer-Encoding: identity\r\n\r\nto the end"), false, HTTP1_END, 200,
	  "to the end", false, 0, "" },
	{ IN(OK "Transfer-Encoding:\r\n\r\nto the end"), false, HTTP1_END, 200, "to the end", false,
	  0, "" },
	{ IN(OK "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, "
	        ",Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
	  false, HTTP1_END, 200, "x", false, 0, "" },
	{ IN(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), false,
	  HTTP1_END, 200, "", true, 0, "" },
	{ IN("HTTP/2 200 OK\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", false, 0, "" },
	{ IN("HTTP/2.0 200\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", false, 0, "" },
	{ IN("HTTP/1.1 200\tOK\r\n" LENGTH(0) "\r\n"), false, HTTP1_END, 200, "", true, 0, "" },
	{ IN(OK "Content-Length: 5, 5 ,5\r\n\r\nhello"), false, HTTP1_END, 200, "hello", true, 0,
	  "" },
	{ IN(OK "Content-Length: 0000000000000000000000000000000005\r\n\r\nhello"), false,
	  HTTP1_END, 200, "hello", true, 0, "" },
	{ IN(OK "Content-Length: 9223372036854775808\r\n\r\nto the end"), false, HTTP1_END, 200,
	  "to the end", false, 0, "" },
	{ IN(OK "Content-Length: 9999999999999999999999999\r\n\r\nto the end"), false, HTTP1_END,
	  200, "to the end", false, 0, "" },
	{ IN("HTTP/1.1 204 No\r\nContent-Length: +5\r\nTransfer-Encoding: gzip\r\n\r\n"), false,
	  HTTP1_END, 204, "", true, 0, "" },
	/* What is no field is passed over. */
	{ IN(OK "X: a\r\n b\r\n\tc: d\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END, 200, "x", true, 0,
	  "" },
	{ IN(OK "X : a\r\n: a\r\nX(y): a\r\nX-\x80: a\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END,
	  200, "x", true, 0, "" },
	{ IN(OK "Content-Leng h2: 3\r\nContent Lengt: 3\r\n" LENGTH(1) "\r\nx"), false, HTTP1_END,
	  200, "x", true, 0, "" },
	{ IN("HTTP/1.1 204 No\r\n\r\nx"), false, HTTP1_END, 204, "", true, 1, "" },
	{ IN("HTTP/1.1 304 No\r\n" LENGTH(9) "\r\n"), false, HTTP1_END, 304, "", true, 0, "" },
	{ IN(OK LENGTH(9) "\r\n"), true, HTTP1_END, 200, "", true, 0, "" },
	{ IN(CHUNKED), true, HTTP1_END, 200, "", true, 0, "" },
	{ IN("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hint\r\nLink: <x>\r\n" LENGTH(
		  7) "\r\n" OK LENGTH(1) "\r\nx"),
	  false, HTTP1_END, 200, "x", true, 0, "" },
	{ IN(CHUNKED "5\r\nhello\r\n0\r\n\r\n"), false, HTTP1_END, 200, "hello", true, 0, "" },
	{ IN(CHUNKED "000a;name=\"v;\"\r\n0123456789\r\nB \t;x\r\nabcdefghijk\r\n00\r\nX: "
	             "y\r\nZ:\r\n\r\n!"),
	  false, HTTP1_END, 200, "0123456789abcdefghijk", true, 1, "" },
	{ IN(CHUNKED "0000000000000001\r\nx\r\n0\r\n a(b)\nX: c\n y\n\r"), false, HTTP1_END, 200,
	  "x", true, 0, "" },
	/* What is not complete. */
	{ IN(""), false, HTTP1_CUT, 0, "", false, 0, "before an answer" },
	{ IN("HTTP/1"), false, HTTP1_CUT, 0, "", false, 0, "within the head" },
	{ IN(OK LENGTH(5)), false, HTTP1_CUT, 0, "", false, 0, "within the head" },
	{ IN("HTTP/1.1 100 Go on\r\n\r\n"), false, HTTP1_CUT, 0, "", false, 0, "within the head" },
	{ IN(OK LENGTH(5) "\r\nhell"), false, HTTP1_CUT, 200, "hell", false, 0, "body" },
	{ IN(CHUNKED "5\r\nhello\r\n"), false, HTTP1_CUT, 200, "hello", false, 0, "body" },
	{ IN(CHUNKED "0\r\n"), false, HTTP1_CUT, 200, "", false, 0, "body" },
	/* What is refused. */
	{ IN("\r\n" OK LENGTH(0) "\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "no HTTP/1 status line" },
	{ IN("SSH-2.0"), false, HTTP1_BAD, 0, "", false, 0, "no HTTP/1 status line" },
	{ IN("http/1.1 200 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "status line" },
	{ IN("HTTP/3 200\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "version" },
	{ IN("HTTP/1.1\t200 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "version" },
	{ IN("HTTP/1.2 200 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "version" },
	{ IN("HTTP/1.1  200 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "three digits" },
	{ IN("HTTP/1.1 2000 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "three digits" },
	{ IN("HTTP/1.1 099 OK\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "below 100" },
	{ IN("HTTP/1.1 101 Switch\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "switch" },
	{ IN(OK LENGTH(5) LENGTH(6) "\r\nhello"), false, HTTP1_BAD, 0, "", false, 0, "differ" },
	{ IN(OK "Content-Length: 5, 6\r\n\r\nhello"), false, HTTP1_BAD, 0, "", false, 0, "differ" },
	{ IN(OK "Content-Length: 5,\r\n\r\nhello"), false, HTTP1_BAD, 0, "", false, 0,
	  "no length" },
	{ IN(OK "Content-Length: +5\r\n\r\nhello"), false, HTTP1_BAD, 0, "", false, 0,
	  "no length" },
	{ IN(OK "Content-Length:\r\n\r\nhello"), false, HTTP1_BAD, 0, "", false, 0, "no length" },
	{ IN(OK "Content-Length: 5 5\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "no length" },
	{ IN(OK LENGTH(5) "Content-Length: 9999999999999999999\r\n\r\n"), false, HTTP1_BAD, 0, "",
	  false, 0, "differ" },
	{ IN(OK LENGTH(5) "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), false, HTTP1_BAD, 0, "",
	  false, 0, "both" },
	{ IN(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "other than chunked" },
	{ IN(OK " X: a\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "folded" },
	{ IN(OK LENGTH(5) " 1\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "folded" },
	{ IN(OK "Transfer-Encoding:\r\n chunked\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "folded" },
	{ IN(OK "X: a\r\n Content-Length: 1\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "folded" },
	{ IN(OK "Content-Length : 2\r\n\r\nok"), false, HTTP1_BAD, 0, "", false, 0,
	  "blank before a colon" },
	{ IN(OK "Transfer-Encoding\v: chunked\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "field name" },
	{ IN(OK "x transfer_ENCODING: chunked\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "field name" },
	{ IN(OK "ContentContent\x80Length: 1\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0,
	  "field name" },
	{ IN(OK "X\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "without a colon" },
	{ IN(OK "X: a\rb\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "CR within" },
	{ IN(OK "X: a\0b\r\n\r\n"), false, HTTP1_BAD, 0, "", false, 0, "NUL" },
	{ IN(CHUNKED "\r\n"), false, HTTP1_BAD, 200, "", false, 0, "no hexadecimal" },
	{ IN(CHUNKED "g\r\n"), false, HTTP1_BAD, 200, "", false, 0, "no hexadecimal" },
	{ IN(CHUNKED "-1\r\n"), false, HTTP1_BAD, 200, "", false, 0, "no hexadecimal" },
	{ IN(CHUNKED "0x5\r\nhello"), false, HTTP1_BAD, 200, "", false, 0, "no hexadecimal" },
	{ IN(CHUNKED "5 5\r\nhello"), false, HTTP1_BAD, 200, "", false, 0, "no hexadecimal" },
	{ IN(CHUNKED "1234567890abcdef0\r\n"), false, HTTP1_BAD, 200, "", false, 0, "too large" },
	{ IN(CHUNKED "8000000000000000\r\n"), false, HTTP1_BAD, 200, "", false, 0, "too large" },
	{ IN(CHUNKED "5\nhello"), false, HTTP1_BAD, 200, "", false, 0, "CR LF" },
	{ IN(CHUNKED "5\r\nhello\n"), false, HTTP1_BAD, 200, "hello", false, 0,
	  "longer than its size" },
	{ IN(CHUNKED "5\r\nhello!\r\n"), false, HTTP1_BAD, 200, "hello", false, 0, "longer" },
	{ IN(CHUNKED "5\r\nhello\r!"), false, HTTP1_BAD, 200, "hello", false, 0, "longer" },
	{ IN(CHUNKED "0\r\nX y\r\n\r\n"), false, HTTP1_BAD, 200, "", false, 0, "without a colon" },
	{ IN(CHUNKED "0\r\nX: y\r!"), false, HTTP1_BAD, 200, "", false, 0, "CR within" },
};

static void check(size_t i, const struct http1_result *r, size_t first, size_t step)
{
	bool used = r->end != HTTP1_END || r->used + rows[i].rest == rows[i].len;
	if (r->end == rows[i].end && r->status == rows[i].status && r->keep == rows[i].keep &&
	    used && r->body_len == strlen(rows[i].body) &&
	    memcmp(r->body, rows[i].body, r->body_len) == 0 && strstr(r->error, rows[i].error) &&
	    (rows[i].error[0] != '\0') == (r->error[0] != '\0'))
		return;
	fail_msg("row %zu (%zu, %zu): end %d, status %d, keep %d, used %zu, body %zu, \"%s\": %s",
	         i, first, step, r->end, r->status, r->keep, r->used, r->body_len, r->error,
	         rows[i].data);
}

/* Whether heads are remembered or not. */
static void every_split(struct http1_known *known)
{
	struct http1 p = { .known = known };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t len = rows[i].len;
		struct guarded g = guarded_copy(rows[i].data, len);
		for (size_t first = 1; first <= len + 1; first++) {
			/* In two pieces, then byte by byte after the first. */
			struct http1_result r =
				http1_run(&p, rows[i].is_head, g.data, len, first, len + 1);
			check(i, &r, first, len + 1);
			r = http1_run(&p, rows[i].is_head, g.data, len, first, 1);
			check(i, &r, first, 1);
		}
		guarded_free(&g);
	}
	http1_free(&p);
}

static void every_split_comes_to_the_same(void **state)
{
	(void)state;
	struct http1_known known = { 0 };
	every_split(NULL);
	every_split(&known);
}

/* Each after each: a head that is remembered says nothing of any other. */
static void heads_that_differ_are_told_apart(void **state)
{
	(void)state;
	struct http1_known known = { 0 };
	struct http1 p = { .known = &known };
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (size_t k = 0; k < COUNT_OF(rows); k++) {
			struct http1_result r = http1_run(&p, rows[i].is_head, rows[i].data,
			                                  rows[i].len, rows[i].len + 1, 1);
			check(i, &r, 0, 0);
			r = http1_run(&p, rows[k].is_head, rows[k].data, rows[k].len,
			              rows[k].len + 1, 1);
			check(k, &r, 0, 0);
		}
	}
	http1_free(&p);
}

static void a_head_is_remembered(void **state)
{
	(void)state;
	static const char first[] = OK "Content-Type: a/b\r\n" LENGTH(2) "\r\nok";
	static const char large[] = "HTTP/1.1 404 No\r\nContent-Length: 3\r\nX: ";
	struct http1_known known = { 0 };
	struct http1 p = { .known = &known };
	char text[2 * HTTP1_KNOWN_BYTES];
	for (int i = 0; i < 2; i++) {
		struct http1_result r = http1_run(&p, false, IN(first), sizeof(first), 1);
		assert_int_equal(known.len, sizeof(first) - 1 - 2);
		assert_string_equal(r.type, "a/b");
		assert_true(r.keep && r.body_len == 2);
	}
	struct http1_result r = http1_run(&p, true, IN(first), sizeof(first), 1); /* of HEAD */
	assert_true(r.end == HTTP1_END && r.body_len == 0 && r.used == known.len);

	/* One without room is read each time. */
	size_t len = sizeof(large) - 1;
	memcpy(text, large, len);
	memset(text + len, 'x', HTTP1_KNOWN_BYTES);
	memcpy(text + len + HTTP1_KNOWN_BYTES, "\r\n\r\nbad", 8);
	r = http1_run(&p, false, text, strlen(text), sizeof(text), 1);
	assert_true(r.end == HTTP1_END && r.status == 404 && r.body_len == 3);
	assert_int_equal(known.head.status, 200);
	http1_free(&p);
}

static void the_content_type_is_kept(void **state)
{
	(void)state;
	struct http1 p = { 0 };
	static const char stream[] =
		OK "content-type:text/event-stream; charset=utf-8\r\n" LENGTH(0) "\r\n";
	struct http1_result r = http1_run(&p, false, IN(stream), 7, 7);
	assert_string_equal(r.type, "text/event-stream; charset=utf-8");
	r = http1_run(&p, false,
	              IN("HTTP/1.1 100 C\r\nContent-Type: a/b\r\n\r\n" OK LENGTH(0) "\r\n"), 7, 7);
	assert_string_equal(r.type, ""); /* it was of another head */
	char long_type[400] = OK "Content-Type: ";
	size_t len = strlen(long_type);
	memset(long_type + len, 'x', 200);
	memcpy(long_type + len + 200, "\r\nContent-Length: 0\r\n\r\n", 24);
	r = http1_run(&p, false, long_type, strlen(long_type), 1000, 1);
	assert_int_equal(r.end, HTTP1_END);
	assert_int_equal(strlen(r.type), sizeof(r.type) - 1);
	http1_free(&p);
}

/* `unit` again and again behind `begin`. */
static struct http1_result endless(struct http1 *p, const char *begin, const char *unit,
                                   size_t step)
{
	size_t len = strlen(begin), n = strlen(unit), size = 1 << 20;
	char *data = malloc(size);
	assert_non_null(data);
	memcpy(data, begin, len);
	for (; len + n <= size; len += n)
		memcpy(data + len, unit, n);
	struct http1_result r = http1_run(p, false, data, len, step, step);
	free(data);
	return r;
}

static void heads_are_bounded(void **state)
{
	(void)state;
	struct http1 p = { 0 };
	static const size_t steps[] = { 1, 1000, 1 << 20 };
	static const struct {
		const char *begin, *unit;
		enum http1_event end;
		const char *error;
	} limits[] = {
		{ OK "X: ", "y", HTTP1_LARGE, "line" },
		{ OK, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n",
		  HTTP1_LARGE, "too large" },
		{ OK, "X:\r\n", HTTP1_LARGE, "too large" },
		{ "", "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_LARGE, "too large" },
		{ CHUNKED "0\r\n", "X:\r\n", HTTP1_CUT, "closed" }, /* nothing of it is kept */
		{ CHUNKED "0\r\nX:", "y", HTTP1_BAD, "trailers" },
		{ CHUNKED "5;", "x", HTTP1_BAD, "chunk" },
	};
	for (size_t i = 0; i < COUNT_OF(limits); i++) {
		for (size_t k = 0; k < COUNT_OF(steps); k++) {
			struct http1_result r =
				endless(&p, limits[i].begin, limits[i].unit, steps[k]);
			assert_int_equal(r.end, limits[i].end);
			assert_non_null(strstr(r.error, limits[i].error));
		}
	}
	http1_free(&p);
}

static void a_large_body_is_handed_out_whole(void **state)
{
	(void)state;
	struct http1 p = { 0 };
	size_t n = 300000, head = strlen(OK LENGTH(300000) "\r\n");
	char *data = malloc(head + n);
	assert_non_null(data);
	memcpy(data, OK LENGTH(300000) "\r\n", head);
	memset(data + head, 'b', n);
	const char *at = data;
	http1_start(&p, false);
	assert_int_equal(http1_next(&p, &at, data + head + n), HTTP1_HEAD);
	assert_int_equal(http1_next(&p, &at, data + head + n), HTTP1_BODY);
	assert_true(p.data == data + head && p.len == n); /* in place */
	assert_int_equal(http1_next(&p, &at, data + head + n), HTTP1_END);
	free(data);
	http1_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_split_comes_to_the_same),
		cmocka_unit_test(heads_that_differ_are_told_apart),
		cmocka_unit_test(a_head_is_remembered),
		cmocka_unit_test(the_content_type_is_kept),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(a_large_body_is_handed_out_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
