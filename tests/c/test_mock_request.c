/* The parser of the built-in endpoint's requests: any split, every refusal. */
#include "mock/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_BODY 1000

/* A copy of text whose last byte stands before an unreadable page. */
struct edge {
	char *map;
	char *text;
	size_t size;
};

static struct edge edge_of(const char *text, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (len / page + 1) * page;
	struct edge e = { .size = body + page };
	e.map = mmap(NULL, e.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(e.map != MAP_FAILED);
	assert_int_equal(mprotect(e.map + body, page, PROT_NONE), 0);
	e.text = e.map + body - len;
	memcpy(e.text, text, len);
	return e;
}

static void edge_free(struct edge *e)
{
	munmap(e->map, e->size);
}

/* Parse text as it comes in pieces of `step` bytes, each in memory of its own. */
static enum request_event parse_in_steps(struct request *r, const char *text, size_t len,
                                         size_t step, char *decoded)
{
	enum request_event ev = REQUEST_MORE;
	memcpy(decoded, text, len);
	request_init(r, MAX_BODY);
	for (size_t have = 0; have < len && ev == REQUEST_MORE;) {
		have = have + step < len ? have + step : len;
		struct edge e = edge_of(decoded, have);
		do
			ev = request_parse(r, e.text, have);
		while (ev == REQUEST_CONTINUE);
		memcpy(decoded, e.text, have);
		edge_free(&e);
	}
	return ev;
}

static const char with_length[] = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
				  "authorization:  Bearer k \r\nX-Perigee-Fault: stall\r\n"
				  "Content-Length: 5\r\n\r\nhelloGET";
static const char with_chunks[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
				  "3\r\nhel\r\n02;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\nGET";

static void test_length_in_every_split(void **state)
{
	char data[sizeof(with_length)];
	(void)state;
	for (size_t step = 1; step < sizeof(with_length); step++) {
		struct request r;
		assert_int_equal(
			parse_in_steps(&r, with_length, sizeof(with_length) - 1, step, data),
			REQUEST_DONE);
		assert_true(request_is(data, r.method, "POST"));
		assert_true(request_is(data, r.target, "/v1/completions"));
		assert_true(request_is(data, r.authorization, "Bearer k"));
		assert_true(request_is(data, r.fault, "stall"));
		assert_true(request_is(data, r.body, "hello"));
		assert_true(r.keep_alive);
		assert_int_equal(r.size, sizeof(with_length) - 1 - 3);
	}
}

static void test_chunks_in_every_split(void **state)
{
	char data[sizeof(with_chunks)];
	(void)state;
	for (size_t step = 1; step < sizeof(with_chunks); step++) {
		struct request r;
		assert_int_equal(
			parse_in_steps(&r, with_chunks, sizeof(with_chunks) - 1, step, data),
			REQUEST_DONE);
		assert_true(request_is(data, r.body, "hello"));
		assert_int_equal(r.size, sizeof(with_chunks) - 1 - 3);
	}
}

static void test_every_cut_wants_more(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(with_chunks) - 1 - 3; len++) {
		struct request r;
		struct edge e = edge_of(with_chunks, len);
		request_init(&r, MAX_BODY);
		assert_int_equal(request_parse(&r, e.text, len), REQUEST_MORE);
		edge_free(&e);
	}
}

static enum request_event parse(struct request *r, const char *text, char *data)
{
	size_t len = strlen(text);
	memcpy(data, text, len + 1);
	request_init(r, MAX_BODY);
	return request_parse(r, data, len);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{ "GET\r\n\r\n", 400 },                                  /* no target */
		{ "GET /\r\n\r\n", 400 },                                /* no version */
		{ "G(T / HTTP/1.1\r\n\r\n", 400 },                       /* no token */
		{ "GET  HTTP/1.1\r\n\r\n", 400 },                        /* empty target */
		{ "GET / HTTP/2.0\r\n\r\n", 505 },                       /* version */
		{ "GET / HTTP/1.1\r\nno colon\r\n\r\n", 400 },           /* header */
		{ "GET / HTTP/1.1\r\nA : b\r\n\r\n", 400 },              /* space in a name */
		{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400 },         /* folded line */
		{ "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400 },  /* no number */
		{ "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", 400 },    /* empty */
		{ "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 }, /* negative */
		{ "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413 }, /* above the limit */
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		  400 },
		{ "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nExpect: more\r\n\r\n", 417 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1x\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", 413 },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		  400 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r;
		char data[256];
		if (parse(&r, rows[i].text, data) != REQUEST_BAD || r.status != rows[i].status)
			fail_msg("%s: status %d", rows[i].text, r.status);
		assert_non_null(r.reason);
		/* It stays bad. */
		assert_int_equal(request_parse(&r, data, strlen(data)), REQUEST_BAD);
	}
}

static void test_keep_alive(void **state)
{
	static const struct {
		const char *text;
		bool keep;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", true },
		{ "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nConnection: upgrade , close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\nConnection: closed\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "\r\n\nGET / HTTP/1.1\n\n", true }, /* blank lines before, bare LF */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct request r;
		char data[256];
		assert_int_equal(parse(&r, rows[i].text, data), REQUEST_DONE);
		assert_int_equal(r.keep_alive, rows[i].keep);
		assert_int_equal(r.size, strlen(rows[i].text));
	}
}

static void test_continue_is_told_once(void **state)
{
	static const char head[] = "POST / HTTP/1.1\r\nExpect: 100-continue\r\n"
				   "Content-Length: 2\r\n\r\n";
	struct request r;
	char data[256];
	(void)state;
	assert_int_equal(parse(&r, head, data), REQUEST_CONTINUE);
	assert_int_equal(request_parse(&r, data, strlen(data)), REQUEST_MORE);
	memcpy(data + sizeof(head) - 1, "ab", 3);
	assert_int_equal(request_parse(&r, data, strlen(data)), REQUEST_DONE);
	assert_true(request_is(data, r.body, "ab"));
}

/* A head, a line or a body without end is refused at the limit, not stored. */
static void test_limits(void **state)
{
	static const char *const starts[] = {
		"GET /",
		"GET / HTTP/1.1\r\nA: ", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
	};
	size_t room = 3 * (size_t)REQUEST_MAX_HEAD;
	char *data = malloc(room);
	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct request r;
		memset(data, 'a', room);
		memcpy(data, starts[i], strlen(starts[i]));
		request_init(&r, MAX_BODY);
		assert_int_equal(request_parse(&r, data, room), REQUEST_BAD);
		assert_int_equal(r.status, i < 2 ? 431 : 400);
	}
	free(data);
}

/* One byte per chunk: the framing counts towards the limit. */
static void test_chunk_overhead(void **state)
{
	static const char head[] = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
	char data[8192];
	size_t len = sizeof(head) - 1;
	struct request r;
	(void)state;
	memcpy(data, head, len);
	for (; len + 6 < sizeof(data); len += 6)
		memcpy(data + len, "1\r\nx\r\n", 6);
	request_init(&r, MAX_BODY);
	assert_int_equal(request_parse(&r, data, len), REQUEST_BAD);
	assert_int_equal(r.status, 413);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length_in_every_split),
		cmocka_unit_test(test_chunks_in_every_split),
		cmocka_unit_test(test_every_cut_wants_more),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_continue_is_told_once),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_chunk_overhead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
