/* The built-in endpoint, spoken to over real sockets from the same thread. */
#include "base/buffer.h"
#include "base/clock.h"
#include "mock/mock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE (20 * NS_PER_S)
#define CHAT     "/v1/chat/completions"
#define TEXT     "/v1/completions"

enum ending { OPEN, ENDED, WAS_RESET };

struct bench {
	struct loop *loop;
	struct mock *mock;
};

struct client {
	struct bench *b;
	int fd;
	struct buffer got;
	enum ending ending;
};

/* ---- harness ---- */

static void bench_open(struct bench *b, const struct mock_config *config)
{
	struct error e;
	assert_int_equal(loop_new(&b->loop), 0);
	if (mock_new(&b->mock, b->loop, config, &e))
		fail_msg("%s", e.text);
}

static void bench_close(struct bench *b)
{
	mock_free(b->mock);
	loop_free(b->loop);
}

static void dial(struct client *c, struct bench *b, const struct sockaddr *a, socklen_t len)
{
	*c = (struct client){ .b = b };
	buffer_init(&c->got, 64 << 20);
	c->fd = socket(a->sa_family, SOCK_STREAM, 0);
	assert_true(c->fd >= 0);
	assert_int_equal(connect(c->fd, a, len), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void client_open(struct client *c, struct bench *b)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons(mock_port(b->mock)),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	dial(c, b, (struct sockaddr *)&a, sizeof(a));
}

static void client_close(struct client *c)
{
	close(c->fd);
	buffer_free(&c->got);
}

/* Send all of it, with turns of the loop in between. */
static void client_send(struct client *c, const char *data, size_t len)
{
	uint64_t deadline = clock_now() + DEADLINE;
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, 0);
		assert_true(n > 0 || errno == EAGAIN);
		assert_true(clock_now() < deadline);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		loop_turn(c->b->loop, 0);
	}
}

static void take(struct client *c)
{
	char tmp[65536];
	ssize_t n;
	while (c->ending == OPEN && (n = recv(c->fd, tmp, sizeof(tmp), 0)) != -1) {
		assert_int_equal(buffer_append(&c->got, tmp, (size_t)n), 0);
		if (n == 0)
			c->ending = ENDED;
	}
	if (c->ending == OPEN && errno != EAGAIN)
		c->ending = WAS_RESET;
}

/* memchr, not memmem: a sanitizer checks all that is left of memmem's text each time. */
static unsigned count(const struct client *c, const char *text)
{
	size_t size = strlen(text), i = 0;
	unsigned n = 0;
	while (i + size <= c->got.len) {
		const char *hit = memchr(c->got.data + i, text[0], c->got.len - size + 1 - i);
		if (!hit)
			break;
		i = (size_t)(hit - c->got.data);
		bool match = memcmp(hit, text, size) == 0;
		n += match;
		i += match ? size : 1;
	}
	return n;
}

static bool holds(const struct client *c, const char *text)
{
	return count(c, text) > 0;
}

static void show_and_fail(const struct client *c, const char *want)
{
	fail_msg("'%s' expected, got: %.*s", want, (int)c->got.len, c->got.data);
}

/* Turn the loop until the text has come n times. */
static void await_n(struct client *c, const char *text, unsigned n)
{
	uint64_t deadline = clock_now() + DEADLINE;
	for (take(c); count(c, text) < n; take(c)) {
		if (c->ending != OPEN || clock_now() > deadline)
			show_and_fail(c, text);
		loop_turn(c->b->loop, NS_PER_MS);
	}
}

static void await(struct client *c, const char *text)
{
	await_n(c, text, 1);
}

static void await_end(struct client *c)
{
	uint64_t deadline = clock_now() + DEADLINE;
	for (take(c); c->ending == OPEN; take(c)) {
		if (clock_now() > deadline)
			show_and_fail(c, "the end of the connection");
		loop_turn(c->b->loop, NS_PER_MS);
	}
}

static void post(struct client *c, const char *path, const char *headers, const char *body)
{
	struct buffer b;
	buffer_init(&b, 64 << 20);
	assert_int_equal(
		buffer_printf(&b, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n",
	                      path, headers, strlen(body)),
		0);
	assert_int_equal(buffer_append_str(&b, body), 0);
	client_send(c, b.data, b.len);
	buffer_free(&b);
}

/* A client of its own asks until `until` has come; the connection stays open. */
static void ask(struct client *c, struct bench *b, const char *path, const char *body,
                const char *until)
{
	client_open(c, b);
	post(c, path, "", body);
	await(c, until);
}

#define MESSAGES(text) "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"

/* ---- answers ---- */

static void expect_all(struct client *c, const char *const *texts)
{
	for (; *texts; texts++)
		if (!holds(c, *texts))
			show_and_fail(c, *texts);
	client_close(c);
}

static void test_whole_answers(void **state)
{
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	ask(&c, &b, CHAT, "{\"model\":\"m\"," MESSAGES("hello big \\\"world\\\"") "}", "}}");
	expect_all(&c,
	           (const char *[]){ "HTTP/1.1 200 OK\r\n", "\"object\":\"chat.completion\"",
	                             "\"model\":\"m\"", "\"content\":\"hello big \\\"world\\\"\"",
	                             "\"finish_reason\":\"stop\"", "\"prompt_tokens\":3",
	                             "\"completion_tokens\":3", NULL });
	ask(&c, &b, TEXT, "{\"prompt\":\"a b c\",\"max_tokens\":2}", "}}");
	expect_all(&c, (const char *[]){ "\"object\":\"text_completion\"", "\"text\":\"a b\"",
	                                 "\"finish_reason\":\"length\"", "\"prompt_tokens\":3",
	                                 "\"completion_tokens\":2", NULL });
	ask(&c, &b, CHAT, "{\"reasoning_effort\":\"low\"," MESSAGES("a b c d") "}", "}}}");
	expect_all(&c, (const char *[]){ "\"reasoning_content\":\"a b\"", "\"content\":\"c d\"",
	                                 "\"reasoning_tokens\":2", NULL });
	ask(&c, &b, CHAT,
	    "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]," MESSAGES(
		    "a b") "}",
	    "}}");
	expect_all(&c, (const char *[]){ "\"name\":\"f\"", "\"content\":null",
	                                 "\"arguments\":\"{\\\"text\\\":\\\"a b\\\"}\"",
	                                 "\"finish_reason\":\"tool_calls\"", NULL });
	bench_close(&b);
}

#define LAST "data: [DONE]\n\n\r\n0\r\n\r\n"

static void test_streamed_answers(void **state)
{
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	ask(&c, &b, CHAT, "{\"stream\":true," MESSAGES("hello world") "}", LAST);
	assert_false(holds(&c, "usage"));
	expect_all(&c, (const char *[]){
			       "Content-Type: text/event-stream", "Transfer-Encoding: chunked",
			       "{\"role\":\"assistant\",\"content\":\"\"}",
			       "{\"content\":\"hello\"}", "{\"content\":\" world\"}",
			       "\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"", NULL });
	ask(&c, &b, TEXT,
	    "{\"prompt\":\"a b\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
	    LAST);
	expect_all(&c, (const char *[]){ "\"text\":\"a\"", "\"text\":\" b\"",
	                                 "\"choices\":[],\"usage\":{\"prompt_tokens\":2,"
	                                 "\"completion_tokens\":2,\"total_tokens\":4}",
	                                 NULL });
	ask(&c, &b, CHAT, "{\"model\":\"reasoner\",\"stream\":true," MESSAGES("a b") "}", LAST);
	expect_all(&c, (const char *[]){ "{\"reasoning_content\":\"a\"}", "{\"content\":\"b\"}",
	                                 NULL });
	ask(&c, &b, CHAT,
	    "{\"stream\":true,\"tools\":[{\"function\":{\"name\":\"f\"}}]," MESSAGES("a \\\"") "}",
	    LAST);
	expect_all(&c,
	           (const char *[]){ "\"name\":\"f\",\"arguments\":\"\"",
	                             "{\"arguments\":\"{\\\"text\\\":\\\"\"}",
	                             "{\"arguments\":\"a\"}", "{\"arguments\":\" \\\\\\\"\\\"}\"}",
	                             "\"finish_reason\":\"tool_calls\"", NULL });
	bench_close(&b);
}

static void test_tool_results_are_answered_with_words(void **state)
{
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	ask(&c, &b, CHAT,
	    "{\"tools\":[{\"function\":{\"name\":\"f\"}}],\"messages\":["
	    "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"tool\",\"content\":\"42\"}]}",
	    "}}");
	expect_all(&c,
	           (const char *[]){ "\"content\":\"hi\"", "\"finish_reason\":\"stop\"", NULL });
	bench_close(&b);
}

static void test_timed_answers(void **state)
{
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_TIMED,
	                                      .ttft = { MOCK_FIXED, 1e6, 0 },
	                                      .tpot = { MOCK_EXPONENTIAL, 2e5, 0 },
	                                      .tokens = { MOCK_FIXED, 8, 0 },
	                                      .token_bytes = 3 });
	ask(&c, &b, TEXT, "{\"prompt\":\"x\",\"stream\":true}", LAST);
	assert_int_equal(count(&c, "\"text\":\" "), 7);
	client_close(&c);
	ask(&c, &b, TEXT, "{\"prompt\":\"x\",\"max_tokens\":2}", "}}");
	expect_all(&c,
	           (const char *[]){ "\"text\":\"abc bc\"", "\"finish_reason\":\"length\"", NULL });
	bench_close(&b);
}

/* ---- HTTP ---- */

static void test_error_objects(void **state)
{
	static const struct {
		const char *request, *want;
	} rows[] = {
		{ "GET /nope HTTP/1.1\r\n\r\n", "HTTP/1.1 404" },
		{ "GET " TEXT " HTTP/1.1\r\n\r\n", "HTTP/1.1 405" },
		{ "POST /health HTTP/1.1\r\n\r\n", "HTTP/1.1 405" },
		{ "POST " TEXT " HTTP/1.1\r\nAuthorization: Bearer key\r\n"
		  "Content-Length: 2\r\n\r\n{]",
		  "HTTP/1.1 400" },
		{ "POST " TEXT " HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 401" },
		{ "GET /v1/models HTTP/1.1\r\nAuthorization: Bearer kez\r\n\r\n", "HTTP/1.1 401" },
		{ "POST " TEXT " HTTP/1.1\r\nContent-Length: 5000\r\n\r\n", "HTTP/1.1 413" },
		{ "no HTTP at all\r\n\r\n", "HTTP/1.1 505" },
		{ "POST " TEXT " HTTP/1.1\r\nAuthorization: Bearer key\r\n"
		  "x-perigee-fault: no\r\nContent-Length: 0\r\n\r\n",
		  "HTTP/1.1 400" },
	};
	struct bench b;
	(void)state;
	bench_open(&b, &(struct mock_config){ .api_key = "key", .max_body = 4096 });
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c;
		client_open(&c, &b);
		client_send(&c, rows[i].request, strlen(rows[i].request));
		await(&c, "\"param\":null,\"code\":null}}");
		expect_all(&c,
		           (const char *[]){ rows[i].want, "{\"error\":{\"message\":\"", NULL });
	}
	bench_close(&b);
}

static void test_other_paths(void **state)
{
	static const char requests[] =
		"GET /health?x=1 HTTP/1.1\r\n\r\nHEAD /health HTTP/1.1\r\n\r\n"
		"GET /v1/models HTTP/1.1\r\n\r\nGET /stats HTTP/1.1\r\n\r\n";
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ 0 });
	client_open(&c, &b);
	client_send(&c, requests, sizeof(requests) - 1);
	await(&c, "bytes_out");
	assert_int_equal(count(&c, "HTTP/1.1 200 OK\r\n"), 4);
	assert_int_equal(count(&c, "{\"status\":\"ok\"}"), 1); /* none for HEAD */
	expect_all(&c,
	           (const char *[]){ "\"object\":\"list\"", "\"open\":1,\"requests\":4", NULL });
	bench_close(&b);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct bench b;
	struct client c;
	char all[4096] = "";
	int len = 0;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_TIMED,
	                                      .ttft = { MOCK_FIXED, 1e6, 0 },
	                                      .tokens = { MOCK_FIXED, 1, 0 } });
	for (int i = 0; i < 9; i++)
		len += snprintf(all + len, sizeof(all) - (size_t)len,
		                "POST " TEXT " HTTP/1.1\r\nContent-Length: 28\r\n\r\n"
		                "{\"prompt\":\"x\",\"model\":\"m-%d\"}",
		                i);
	client_open(&c, &b);
	client_send(&c, all, (size_t)len);
	await(&c, "m-8");
	const char *at = c.got.data;
	for (char name[] = "m-0"; name[2] < '9'; name[2]++) {
		at = memmem(at, (size_t)(c.got.data + c.got.len - at), name, 3);
		assert_non_null(at);
	}
	client_close(&c);
	bench_close(&b);
}

static void test_bodies_in_chunks_after_continue(void **state)
{
	static const char head[] = "POST " TEXT " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
				   "Expect: 100-continue\r\n\r\n";
	static const char body[] = "8\r\n{\"prompt\r\n5\r\n\":\"a\"\r\n1\r\n}\r\n0\r\n\r\n";
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ 0 });
	client_open(&c, &b);
	client_send(&c, head, sizeof(head) - 1);
	await(&c, "HTTP/1.1 100 Continue\r\n\r\n");
	for (size_t i = 0; i < sizeof(body) - 1; i++)
		client_send(&c, body + i, 1);
	await(&c, "\"text\":\"a\"");
	client_close(&c);
	bench_close(&b);
}

static void test_connections_end_when_asked(void **state)
{
	static const char old[] = "POST " TEXT " HTTP/1.0\r\nContent-Length: 28\r\n\r\n"
				  "{\"prompt\":\"a\",\"stream\":true}";
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ 0 });
	client_open(&c, &b);
	post(&c, TEXT, "Connection: close\r\n", "{\"prompt\":\"a\"}");
	await_end(&c);
	assert_int_equal(c.ending, ENDED);
	expect_all(&c, (const char *[]){ "Connection: close\r\n", "\"text\":\"a\"", NULL });
	client_open(&c, &b);
	client_send(&c, old, sizeof(old) - 1);
	await_end(&c);
	assert_int_equal(c.ending, ENDED);
	assert_false(holds(&c, "chunked"));
	expect_all(&c, (const char *[]){ "\"text\":\"a\"", "data: [DONE]\n\n", NULL });
	bench_close(&b);
}

/* ---- MAX ---- */

static void test_max_answers_anything(void **state)
{
	static const char other[] = "DELETE /whatever HTTP/1.1\r\n\r\n";
	struct mock_stats st;
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_MAX, .tokens = { MOCK_FIXED, 3, 0 } });
	client_open(&c, &b);
	post(&c, CHAT, "", "no JSON, but \"stream\" : true");
	await(&c, LAST);
	assert_int_equal(count(&c, "{\"content\":\" "), 2);
	post(&c, CHAT, "", "{\"content\":\"\\\"stream\\\":true\"}");
	await(&c, "\"object\":\"chat.completion\",");
	post(&c, TEXT, "", "{\"stream\":true}");
	await_n(&c, LAST, 2);
	post(&c, TEXT, "", "");
	await(&c, "\"text\":\"abcde bcde cdef\"");
	client_send(&c, other, sizeof(other) - 1);
	await(&c, "Content-Length: 2\r\n\r\n{}");
	assert_int_equal(count(&c, "HTTP/1.1 200 OK"), 5);
	mock_stats(b.mock, &st);
	assert_int_equal(st.requests, 5);
	assert_int_equal(st.responses, 5);
	client_close(&c);
	bench_close(&b);
}

static void test_max_keeps_its_key_and_its_other_paths(void **state)
{
	static const char requests[] = "GET /health HTTP/1.1\r\n\r\nHEAD /x HTTP/1.1\r\n\r\n"
				       "GET /v1/models HTTP/1.1\r\n\r\n";
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_MAX, .api_key = "key" });
	client_open(&c, &b);
	post(&c, CHAT, "Authorization: Bearer kex\r\n", "{}");
	await(&c, "HTTP/1.1 401");
	post(&c, CHAT, "Authorization: Bearer key\r\n", "{}");
	await(&c, "HTTP/1.1 200");
	client_send(&c, requests, sizeof(requests) - 1);
	await_n(&c, "HTTP/1.1 401", 2);
	assert_int_equal(count(&c, "Content-Length: 2\r\n\r\nHTTP/1.1"), 1); /* HEAD */
	assert_true(holds(&c, "{\"status\":\"ok\"}"));
	client_close(&c);
	bench_close(&b);
}

/* A precomputed answer larger than the kernel takes, to a client that sends its
 * next request before it reads. */
static void test_max_waits_for_its_client(void **state)
{
	struct mock_stats st;
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b,
	           &(struct mock_config){ .mode = MOCK_MAX, .tokens = { MOCK_FIXED, 100000, 0 } });
	client_open(&c, &b);
	post(&c, TEXT, "", "{\"stream\":true}");
	post(&c, TEXT, "Connection: close\r\n", "{\"prompt\":\"x\"}");
	mock_stats(b.mock, &st);
	assert_int_equal(st.requests, 1);
	assert_int_equal(st.responses, 0);
	await_end(&c);
	assert_int_equal(count(&c, "\"finish_reason\":null"), 100000);
	assert_int_equal(count(&c, "\"finish_reason\":\"stop\""), 2);
	mock_stats(b.mock, &st);
	assert_int_equal(st.responses, 2);
	assert_int_equal(st.bytes_out, c.got.len);
	client_close(&c);
	bench_close(&b);
}

/* ---- faults ---- */

static const struct fault_row {
	const char *fault;
	bool stream;
	const char *want;    /* comes */
	const char *without; /* does not; NULL: nothing to say */
	enum ending ending;
} fault_rows[] = {
	{ "status", true, "HTTP/1.1 500", NULL, OPEN },
	{ "status", false, "HTTP/1.1 500", NULL, OPEN },
	{ "status=429", true, "Retry-After: 1\r\n", NULL, OPEN },
	{ "status=503", false, "HTTP/1.1 503", "Retry-After", OPEN },
	{ "reset", true, "\"text\":\" b\"", "\"text\":\" c\"", WAS_RESET },
	{ "reset", false, "{\"id\"", "usage", WAS_RESET },
	{ "stall", true, "\"text\":\" b\"", "\"text\":\" c\"", OPEN },
	{ "stall", false, "{\"id\"", "usage", OPEN },
	{ "truncate", true, "\r\n0\r\n\r\n", "[DONE]", OPEN },
	{ "truncate", false, "\"text\":\"a b\",\"logprobs\":null,\"finish_reason\":null", NULL,
	  OPEN },
	{ "close", true, "\"text\":\" b\"", "\r\n0\r\n\r\n", ENDED },
	{ "close", false, "{\"id\"", "usage", ENDED },
	{ "bad_sse", true, "no server-sent events", "[DONE]", OPEN },
	{ "bad_sse", false, "no server-sent events", "usage", OPEN },
	{ "bad_json", true, "this is no JSON", NULL, OPEN },
	{ "bad_json", false, "{\"id\"", "usage", OPEN },
	{ "bad_http", true, "no HTTP response", "HTTP/1.1", ENDED },
	{ "bad_http", false, "no HTTP response", "HTTP/1.1", ENDED },
	{ "error_event", true, "data: {\"error\":{", "\"finish_reason\":\"stop\"", OPEN },
	{ "error_event", false, "{\"error\":{", "choices", OPEN },
	{ "slow_headers", true, LAST, NULL, OPEN },
	{ "slow_headers", false, "\"text\":\"a b c d\"", NULL, OPEN },
};

static void check_fault(struct bench *b, const struct fault_row *row)
{
	struct client c;
	char header[64];
	snprintf(header, sizeof(header), "x-perigee-fault: %s\r\n", row->fault);
	client_open(&c, b);
	post(&c, TEXT, header,
	     row->stream ? "{\"prompt\":\"a b c d\",\"stream\":true}" : "{\"prompt\":\"a b c d\"}");
	if (row->ending == OPEN)
		await(&c, row->want);
	else
		await_end(&c);
	if (c.ending != row->ending || !holds(&c, row->want) ||
	    (row->without && holds(&c, row->without)))
		fail_msg("%s, stream %d: ending %d, got: %.*s", row->fault, row->stream, c.ending,
		         (int)c.got.len, c.got.data);
	client_close(&c);
}

static void test_faults_on_demand(void **state)
{
	struct mock_stats st;
	struct bench b;
	size_t n = sizeof(fault_rows) / sizeof(fault_rows[0]);
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	for (size_t i = 0; i < n; i++)
		check_fault(&b, &fault_rows[i]);
	mock_stats(b.mock, &st);
	assert_int_equal(st.faults, n);
	bench_close(&b);
}

/* The other requests are answered, this one never is, and its client may go. */
static void test_hang(void **state)
{
	struct bench b;
	struct client silent, other;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	client_open(&silent, &b);
	post(&silent, TEXT, "x-perigee-fault: hang\r\n", "{\"prompt\":\"a\"}");
	ask(&other, &b, TEXT, "{\"prompt\":\"b\"}", "\"text\":\"b\"");
	post(&silent, TEXT, "", "{\"prompt\":\"a\"}"); /* behind the one that hangs */
	post(&other, TEXT, "", "{\"prompt\":\"c\"}");
	await(&other, "\"text\":\"c\"");
	take(&silent);
	assert_int_equal(silent.got.len, 0);
	assert_int_equal(silent.ending, OPEN);
	client_close(&silent);
	client_close(&other);
	bench_close(&b);
}

static void test_faults_by_chance_in_every_mode(void **state)
{
	(void)state;
	for (int mode = MOCK_ECHO; mode <= MOCK_TIMED; mode++) {
		struct mock_config config = { .mode = (enum mock_mode)mode, .fault_status = 503 };
		struct bench b;
		struct client c;
		config.fault[MOCK_FAULT_STATUS] = 1;
		bench_open(&b, &config);
		ask(&c, &b, TEXT, "{\"prompt\":\"a\"}", "HTTP/1.1 503 Service Unavailable\r\n");
		client_close(&c);
		bench_close(&b);
	}
}

/* ---- clients that misbehave ---- */

static void send_get(struct client *c, const char *path)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n\r\n", path);
	client_send(c, line, (size_t)n);
}

/* Ask for a page, which ends with `last`, until it shows this. */
static void await_page(struct client *c, const char *path, const char *last, const char *want)
{
	uint64_t deadline = clock_now() + DEADLINE;
	while (!holds(c, want)) {
		if (clock_now() > deadline)
			show_and_fail(c, want);
		buffer_clear(&c->got);
		send_get(c, path);
		await(c, last);
	}
}

static void await_stats(struct client *c, const char *want)
{
	await_page(c, "/stats", "bytes_out\":", want);
}

/* What of vLLM's metrics the endpoint has, while one answer hangs and after it. */
static void test_metrics(void **state)
{
	struct bench b;
	struct client silent, other, watcher;
	const char *last = "\nvllm:generation_tokens_total{";
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO, .max_connections = 4 });
	client_open(&silent, &b);
	client_open(&watcher, &b);
	post(&silent, TEXT, "x-perigee-fault: hang\r\n", "{\"prompt\":\"a\"}");
	ask(&other, &b, TEXT, "{\"prompt\":\"b c d\"}", "\"text\":\"b");
	await_page(&watcher, "/metrics", last,
	           "\nvllm:num_requests_running{engine=\"0\",model_name=\"perigee-mock\"} 1\n");
	assert_true(holds(&watcher, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_true(holds(&watcher, "\n# TYPE vllm:num_requests_running gauge\n"));
	assert_true(holds(
		&watcher,
		"\nvllm:kv_cache_usage_perc{engine=\"0\",model_name=\"perigee-mock\"} 0.25\n"));
	assert_true(
		holds(&watcher,
	              "\nvllm:prompt_tokens_total{engine=\"0\",model_name=\"perigee-mock\"} 3\n"));
	assert_true(holds(
		&watcher,
		"\nvllm:generation_tokens_total{engine=\"0\",model_name=\"perigee-mock\"} 3\n"));
	client_close(&silent);
	await_page(&watcher, "/metrics", last,
	           "\nvllm:num_requests_running{engine=\"0\",model_name=\"perigee-mock\"} 0\n");
	assert_true(
		holds(&watcher,
	              "\nvllm:prompt_tokens_total{engine=\"0\",model_name=\"perigee-mock\"} 4\n"));
	client_close(&watcher);
	client_close(&other);
	bench_close(&b);
}

static void test_clients_that_vanish_leave_nothing(void **state)
{
	struct bench b;
	struct client watcher;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_TIMED,
	                                      .tpot = { MOCK_FIXED, 1e5, 0 },
	                                      .tokens = { MOCK_FIXED, 1e6, 0 } });
	client_open(&watcher, &b);
	for (int i = 0; i < 20; i++) {
		struct client c;
		ask(&c, &b, TEXT, "{\"prompt\":\"x\",\"stream\":true}", "\"text\":");
		if (i % 2) /* a reset instead of an orderly end */
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			           sizeof(struct linger));
		client_close(&c);
	}
	await_stats(&watcher, "{\"connections\":21,\"open\":1,");
	client_close(&watcher);
	bench_close(&b);
}

#define WORDS 200000

static void test_client_that_does_not_read_stops_its_answer(void **state)
{
	struct bench b;
	struct client slow, other;
	struct buffer body;
	struct mock_stats st;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_ECHO });
	buffer_init(&body, 1 << 20);
	assert_int_equal(buffer_append_str(&body, "{\"stream\":true,\"prompt\":\""), 0);
	for (int i = 0; i < WORDS; i++)
		assert_int_equal(buffer_append(&body, "w ", 2), 0);
	assert_int_equal(buffer_append(&body, "\"}", 3), 0); /* terminated */
	client_open(&slow, &b);
	post(&slow, TEXT, "Connection: close\r\n", body.data);
	ask(&other, &b, TEXT, "{\"prompt\":\"b\"}", "\"text\":\"b\"");
	for (int i = 0; i < 50; i++) {
		post(&other, TEXT, "", "{\"prompt\":\"c\"}");
		await_n(&other, "\"text\":\"c\"", (unsigned)i + 1);
	}
	/* An event is above 130 bytes; what the kernel's buffers hold is far from all. */
	mock_stats(b.mock, &st);
	assert_true(st.bytes_out < WORDS * 130UL);
	await_end(&slow);
	assert_true(holds(&slow, LAST));
	assert_int_equal(count(&slow, "\"text\":\""), WORDS + 1);
	client_close(&slow);
	client_close(&other);
	buffer_free(&body);
	bench_close(&b);
}

static void test_connections_are_bounded(void **state)
{
	struct bench b;
	struct client c[3];
	(void)state;
	bench_open(&b, &(struct mock_config){ .max_connections = 2 });
	for (int i = 0; i < 2; i++)
		ask(&c[i], &b, TEXT, "{\"prompt\":\"a\"}", "\"text\":\"a\"");
	client_open(&c[2], &b);
	await_end(&c[2]);
	assert_true(holds(&c[2], "HTTP/1.1 503"));
	client_close(&c[2]);
	client_close(&c[1]);
	await_stats(&c[0], "\"open\":1,"); /* and then there is room again */
	ask(&c[1], &b, TEXT, "{\"prompt\":\"a\"}", "\"text\":\"a\"");
	client_close(&c[0]);
	client_close(&c[1]);
	bench_close(&b);
}

/* More than there is room to refuse at once: the rest waits, and is told in turn. */
static void test_a_crowd_is_refused_in_turn(void **state)
{
	struct bench b;
	struct client first, crowd[80];
	size_t n = sizeof(crowd) / sizeof(crowd[0]);
	(void)state;
	bench_open(&b, &(struct mock_config){ .max_connections = 1 });
	ask(&first, &b, TEXT, "{\"prompt\":\"a\"}", "\"text\":\"a\"");
	for (size_t i = 0; i < n; i++)
		client_open(&crowd[i], &b);
	for (size_t i = 0; i < n; i++) {
		await_end(&crowd[i]);
		assert_true(holds(&crowd[i], "HTTP/1.1 503"));
		client_close(&crowd[i]);
	}
	await_stats(&first, "{\"connections\":81,\"open\":1,");
	client_close(&first);
	bench_close(&b);
}

/* No reset overtakes the answer, though the body is still on its way. */
static void test_refusal_reaches_a_client_that_still_sends(void **state)
{
	static const char head[] = "POST " TEXT " HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n";
	static char body[1 << 20];
	struct bench b;
	struct client c;
	(void)state;
	bench_open(&b, &(struct mock_config){ .max_body = 4096 });
	client_open(&c, &b);
	client_send(&c, head, sizeof(head) - 1);
	client_send(&c, body, sizeof(body));
	await_end(&c);
	assert_int_equal(c.ending, ENDED);
	assert_true(holds(&c, "HTTP/1.1 413"));
	client_close(&c);
	bench_close(&b);
}

/* Far more than is taken in while an answer is under way. */
static void test_large_pipeline_is_paused_and_answered(void **state)
{
	struct bench b;
	struct client c;
	struct buffer one, all;
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_TIMED,
	                                      .ttft = { MOCK_FIXED, 1e6, 0 },
	                                      .tokens = { MOCK_FIXED, 1, 0 } });
	buffer_init(&one, 1 << 20);
	buffer_init(&all, 4 << 20);
	assert_int_equal(buffer_append_str(&one, "{\"prompt\":\""), 0);
	for (int i = 0; i < 50000; i++)
		assert_int_equal(buffer_append(&one, "w ", 2), 0);
	assert_int_equal(buffer_append(&one, "\"}", 3), 0); /* terminated */
	for (int i = 0; i < 10; i++)
		assert_int_equal(buffer_printf(&all,
		                               "POST " TEXT " HTTP/1.1\r\nContent-Length: %zu\r\n"
		                               "\r\n%s",
		                               one.len - 1, one.data),
		                 0);
	client_open(&c, &b);
	client_send(&c, all.data, all.len);
	await_n(&c, "\"prompt_tokens\":50000", 10);
	client_close(&c);
	buffer_free(&one);
	buffer_free(&all);
	bench_close(&b);
}

/* ---- life ---- */

static void test_free_in_the_middle_of_everything(void **state)
{
	struct bench b;
	struct client c[3];
	(void)state;
	bench_open(&b, &(struct mock_config){ .mode = MOCK_TIMED,
	                                      .tpot = { MOCK_FIXED, 1e5, 0 },
	                                      .tokens = { MOCK_FIXED, 1e6, 0 } });
	ask(&c[0], &b, TEXT, "{\"prompt\":\"x\",\"stream\":true}", "\"text\":");
	client_open(&c[1], &b);
	post(&c[1], TEXT, "x-perigee-fault: hang\r\n", "{\"prompt\":\"a\"}");
	client_open(&c[2], &b);
	client_send(&c[2], "POST / HT", 9);
	bench_close(&b);
	for (int i = 0; i < 3; i++)
		client_close(&c[i]);
}

static void test_refused_configs(void **state)
{
	struct bench b;
	struct mock *m = NULL;
	struct error e;
	(void)state;
	bench_open(&b, &(struct mock_config){ 0 });
	struct mock_config taken = { .port = mock_port(b.mock) };
	assert_int_equal(mock_new(&m, b.loop, &taken, &e), STATUS_EADDRINUSE);
	assert_non_null(strstr(e.text, "127.0.0.1 port "));
	const struct mock_config bad[] = {
		{ .host = "localhost" },       { .unix_socket = "" },
		{ .mode = (enum mock_mode)9 }, { .ttft = { MOCK_FIXED, -1, 0 } },
		{ .token_bytes = 1 << 30 },    { .fault_status = 200 },
		{ .fault = { -0.1 } },         { .fault = { 0.6, 0.6 } },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		e.text[0] = '\0';
		assert_int_equal(mock_new(&m, b.loop, &bad[i], &e), STATUS_EINVAL);
		assert_int_not_equal(e.text[0], '\0');
	}
	assert_null(m);
	mock_free(NULL);
	bench_close(&b);
}

static void test_unix_socket(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct mock *second = NULL;
	struct bench b;
	struct client c;
	struct error e;
	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/perigee-test-mock-%d.sock", (int)getpid());
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&a, sizeof(a)), 0);
	close(stale); /* the file stays, and is replaced */
	struct mock_config config = { .unix_socket = a.sun_path };
	bench_open(&b, &config);
	assert_int_equal(mock_port(b.mock), 0);
	assert_int_equal(mock_new(&second, b.loop, &config, &e), STATUS_EADDRINUSE);
	assert_non_null(strstr(e.text, a.sun_path));
	dial(&c, &b, (struct sockaddr *)&a, sizeof(a));
	post(&c, TEXT, "x-perigee-fault: reset\r\n", "{\"prompt\":\"a\"}");
	await_end(&c); /* there is no reset on a unix socket: it ends */
	assert_int_equal(c.ending, ENDED);
	client_close(&c);
	bench_close(&b);
	assert_int_equal(access(a.sun_path, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_answers),
		cmocka_unit_test(test_streamed_answers),
		cmocka_unit_test(test_tool_results_are_answered_with_words),
		cmocka_unit_test(test_timed_answers),
		cmocka_unit_test(test_error_objects),
		cmocka_unit_test(test_other_paths),
		cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
		cmocka_unit_test(test_bodies_in_chunks_after_continue),
		cmocka_unit_test(test_connections_end_when_asked),
		cmocka_unit_test(test_max_answers_anything),
		cmocka_unit_test(test_max_keeps_its_key_and_its_other_paths),
		cmocka_unit_test(test_max_waits_for_its_client),
		cmocka_unit_test(test_faults_on_demand),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_faults_by_chance_in_every_mode),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_clients_that_vanish_leave_nothing),
		cmocka_unit_test(test_client_that_does_not_read_stops_its_answer),
		cmocka_unit_test(test_connections_are_bounded),
		cmocka_unit_test(test_a_crowd_is_refused_in_turn),
		cmocka_unit_test(test_refusal_reaches_a_client_that_still_sends),
		cmocka_unit_test(test_large_pipeline_is_paused_and_answered),
		cmocka_unit_test(test_free_in_the_middle_of_everything),
		cmocka_unit_test(test_refused_configs),
		cmocka_unit_test(test_unix_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
