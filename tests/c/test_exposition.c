#include "http/exposition.h"

#include "base/clock.h"

#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_NS (20 * NS_PER_S)
#define LONG_NS     (100 * DEADLINE_NS) /* of a connection: no test waits for it */
#define SHORT_NS    (20 * NS_PER_MS)

/* One exposition on the loop of this thread; its clients are sockets of the same thread. */
struct bench {
	struct loop *loop;
	struct exposition *exposition;
	unsigned port;
	int made;
	int failure; /* what make() returns */
	size_t size; /* of the page; 0: a short text with the number of its making */
};

static int make(void *ctx, struct buffer *page)
{
	struct bench *b = ctx;
	b->made++;
	if (b->failure)
		return b->failure;
	for (size_t i = 0; i < b->size; i += 64)
		assert_ok(buffer_printf(page, "%-63zu\n", i));
	return b->size ? STATUS_OK : buffer_printf(page, "made %d\n", b->made);
}

static int open_bench(void **state, uint64_t deadline_ns)
{
	static struct bench b;
	struct error e;
	b = (struct bench){ 0 };
	assert_ok(loop_new(&b.loop));
	assert_ok(exposition_open(&b.exposition, b.loop, "0", make, &b, deadline_ns, &e));
	assert_int_equal(
		sscanf(exposition_url(b.exposition), "http://127.0.0.1:%u/metrics", &b.port), 1);
	*state = &b;
	return 0;
}

static int setup(void **state)
{
	return open_bench(state, LONG_NS);
}

static int setup_short(void **state)
{
	return open_bench(state, SHORT_NS);
}

static int teardown(void **state)
{
	struct bench *b = *state;
	exposition_close(b->exposition);
	loop_free(b->loop);
	return 0;
}

static int dial(const struct bench *b)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		                 .sin_port = htons((uint16_t)b->port),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All that comes until the other end closes. */
static void read_all(const struct bench *b, int fd, struct buffer *got)
{
	uint64_t deadline = clock_now() + DEADLINE_NS;
	char part[65536];
	ssize_t n;
	buffer_clear(got);
	while ((n = recv(fd, part, sizeof(part), 0)) != 0) {
		assert_true(clock_now() < deadline);
		if (n > 0)
			assert_ok(buffer_append(got, part, (size_t)n));
		else if (errno == EAGAIN)
			assert_ok(loop_turn(b->loop, 10 * NS_PER_MS));
		else
			break;
	}
	assert_ok(buffer_append(got, "", 1));
	close(fd);
}

/* The whole answer to a request, sent byte by byte when slow. */
static void ask(const struct bench *b, const char *request, bool slow, struct buffer *got)
{
	int fd = dial(b);
	for (const char *p = request; slow && *p; p++) {
		say(fd, (char[]){ *p, '\0' });
		assert_ok(loop_turn(b->loop, 0));
	}
	if (!slow)
		say(fd, request);
	read_all(b, fd, got);
}

static void test_serves_the_page(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	buffer_init(&got, 1 << 20);
	ask(b, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", false, &got);
	assert_string_equal(got.data, "HTTP/1.1 200 OK\r\n"
	                              "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	                              "Content-Length: 7\r\nConnection: close\r\n\r\nmade 1\n");
	ask(b, "HEAD /metrics?a=b HTTP/1.0\r\n\r\n", true, &got);
	assert_non_null(strstr(got.data, "Content-Length: 7\r\n"));
	assert_null(strstr(got.data, "made"));
	buffer_free(&got);
}

/* However many ask, the page is made a few times a second. */
static void test_a_fresh_page_is_served_again(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	buffer_init(&got, 1 << 20);
	uint64_t from = clock_now();
	for (int i = 0; i < 50; i++)
		ask(b, "GET /metrics HTTP/1.1\r\n\r\n", false, &got);
	uint64_t most = (clock_now() - from) / EXPOSITION_FRESH_NS + 1;
	assert_true((uint64_t)b->made <= most);
	assert_true(b->made >= 1);
	buffer_free(&got);
}

static void test_refuses(void **state)
{
	static char long_head[EXPOSITION_HEAD + 1];
	const struct {
		const char *request, *status;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "GET /metrics2 HTTP/1.1\r\n\r\n", "404 Not Found" },
		{ "POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed" },
		{ "GET /metrics\r\n\r\n", "400 Bad Request" },
		{ "GET /metrics SMTP\r\n\r\n", "400 Bad Request" },
		{ "\r\n\r\n", "400 Bad Request" },
		{ "  \r\n\r\n", "400 Bad Request" },
		{ long_head, "431 Request Header Fields Too Large" },
	};
	struct bench *b = *state;
	struct buffer got;
	buffer_init(&got, 1 << 20);
	memset(long_head, 'x', sizeof(long_head) - 1);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		ask(b, rows[i].request, false, &got);
		if (strncmp(got.data + 9, rows[i].status, strlen(rows[i].status)) != 0)
			fail_msg("row %zu: %s", i, got.data);
	}
	assert_int_equal(b->made, 0);
	b->failure = STATUS_ESCRIPT;
	ask(b, "GET /metrics HTTP/1.1\r\n\r\n", false, &got);
	assert_int_equal(strncmp(got.data, "HTTP/1.1 500 ", 13), 0);
	b->failure = 0;
	ask(b, "GET /metrics HTTP/1.1\r\n\r\n", false, &got);
	assert_non_null(strstr(got.data, "made 2"));
	buffer_free(&got);
}

/* One more than there is room for is closed at once; those before are served, and then others. */
static void test_connections_are_bounded(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	int fds[EXPOSITION_CONNECTIONS];
	buffer_init(&got, 1 << 20);
	for (int i = 0; i < EXPOSITION_CONNECTIONS; i++)
		fds[i] = dial(b);
	int extra = dial(b);
	read_all(b, extra, &got);
	assert_int_equal(got.len, 1);
	for (int i = 0; i < EXPOSITION_CONNECTIONS; i++) {
		say(fds[i], "GET /metrics HTTP/1.1\r\n\r\n");
		read_all(b, fds[i], &got);
		assert_non_null(strstr(got.data, "made"));
	}
	ask(b, "GET /metrics HTTP/1.1\r\n\r\n", false, &got);
	assert_non_null(strstr(got.data, "made"));
	buffer_free(&got);
}

/* A page that the socket does not take at once, to two at a time. */
static void test_large_page(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	buffer_init(&got, EXPOSITION_PAGE + EXPOSITION_HEAD);
	b->size = 8 << 20;
	int other = dial(b);
	say(other, "GET /metrics HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			ask(b, "GET /metrics HTTP/1.1\r\n\r\n", false, &got);
		else
			read_all(b, other, &got);
		const char *body = strstr(got.data, "\r\n\r\n");
		assert_non_null(body);
		assert_int_equal(got.data + got.len - 1 - (body + 4), 8 << 20);
	}
	buffer_free(&got);
}

static void test_close_in_the_middle(void **state)
{
	struct bench *b = *state;
	b->size = 8 << 20;
	int asking = dial(b), told = dial(b);
	say(asking, "GET /met");
	say(told, "GET /metrics HTTP/1.1\r\n\r\n");
	uint64_t deadline = clock_now() + DEADLINE_NS;
	while (!b->made) {
		assert_true(clock_now() < deadline);
		assert_ok(loop_turn(b->loop, 10 * NS_PER_MS));
	}
	exposition_close(b->exposition);
	b->exposition = NULL;
	struct buffer got;
	buffer_init(&got, EXPOSITION_PAGE + EXPOSITION_HEAD);
	read_all(b, asking, &got);
	assert_int_equal(got.len, 1);
	close(told);
	buffer_free(&got);
}

/* One that has said all and shuts its side down, as nc -N does, still gets the whole page. */
static void test_half_closed(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	buffer_init(&got, EXPOSITION_PAGE + EXPOSITION_HEAD);
	b->size = 8 << 20;
	int fd = dial(b);
	say(fd, "GET /metrics HTTP/1.1\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	read_all(b, fd, &got);
	const char *body = strstr(got.data, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(got.data + got.len - 1 - (body + 4), 8 << 20);
	/* without a request there is nothing to wait for */
	fd = dial(b);
	say(fd, "GET /metrics");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	read_all(b, fd, &got);
	assert_int_equal(got.len, 1);
	buffer_free(&got);
}

/* ---- visitors that do not come to an end: closed when their time is over ---- */

/* Nothing, a part of a request, and a whole one whose large page is not read. */
static const char *const endless[] = { "", "GET /metrics HTTP/1.1\r\nHost:",
	                               "GET /metrics HTTP/1.1\r\n\r\n" };

/* Whoever comes while all places are taken is turned away: so an answer shows that one was freed.
 */
static void await_a_place(const struct bench *b)
{
	struct buffer got;
	uint64_t deadline = clock_now() + DEADLINE_NS;
	buffer_init(&got, EXPOSITION_PAGE + EXPOSITION_HEAD);
	do {
		assert_true(clock_now() < deadline);
		int fd = dial(b);
		send(fd, "HEAD /metrics HTTP/1.1\r\n\r\n", 26, MSG_NOSIGNAL);
		read_all(b, fd, &got);
	} while (!strstr(got.data, "200 OK"));
	buffer_free(&got);
}

static void test_deadline(void **state)
{
	struct bench *b = *state;
	b->size = 8 << 20; /* more than the sockets take: an answer that is not read stays */
	for (size_t i = 0; i < COUNT_OF(endless); i++) {
		int fds[EXPOSITION_CONNECTIONS];
		for (int k = 0; k < EXPOSITION_CONNECTIONS; k++) {
			fds[k] = dial(b);
			say(fds[k], endless[i]);
		}
		await_a_place(b);
		for (int k = 0; k < EXPOSITION_CONNECTIONS; k++)
			close(fds[k]);
	}
}

/* What a slow reader gets is cut: the length in the head tells it. */
static void test_slow_reader(void **state)
{
	struct bench *b = *state;
	struct buffer got;
	int fds[EXPOSITION_CONNECTIONS];
	buffer_init(&got, EXPOSITION_PAGE + EXPOSITION_HEAD);
	b->size = 8 << 20;
	for (int k = 0; k < EXPOSITION_CONNECTIONS; k++) {
		fds[k] = dial(b);
		say(fds[k], "GET /metrics HTTP/1.1\r\n\r\n");
	}
	await_a_place(b); /* they came together, and their time was over together */
	for (int k = 0; k < EXPOSITION_CONNECTIONS; k++) {
		read_all(b, fds[k], &got);
		assert_true(got.len < 8 << 20);
	}
	buffer_free(&got);
}

/* Bytes that come one by one prolong nothing. */
static void test_dribble(void **state)
{
	struct bench *b = *state;
	int fd = dial(b);
	char byte;
	ssize_t n = -1;
	for (int sent = 0; n != 0 && sent < EXPOSITION_HEAD - 1; sent++) {
		if (send(fd, "x", 1, MSG_NOSIGNAL) < 0)
			break;
		assert_ok(loop_turn(b->loop, 0));
		assert_ok(loop_turn(b->loop, NS_PER_MS));
		n = recv(fd, &byte, 1, 0);
		assert_true(n <= 0); /* closed without a word */
		if (n < 0 && errno != EAGAIN)
			break;
	}
	assert_true(n == 0 || errno == ECONNRESET || errno == EPIPE);
	close(fd);
}

/* One that was refused and sends on and on is read, kept nowhere, and closed. */
static void test_endless_request(void **state)
{
	static char part[65536];
	struct bench *b = *state;
	uint64_t deadline = clock_now() + DEADLINE_NS;
	int fd = dial(b);
	memset(part, 'x', sizeof(part));
	for (;;) {
		assert_true(clock_now() < deadline);
		if (send(fd, part, sizeof(part), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		assert_ok(loop_turn(b->loop, NS_PER_MS));
	}
	assert_int_equal(b->made, 0);
	close(fd);
	await_a_place(b);
}

static void test_addresses(void **state)
{
	struct bench *b = *state;
	struct exposition *x;
	struct error e;
	static const char *const wrong[] = { "",        "http", "1:2:x",  "127.0.0.1:", "65536",
		                             "name:80", "-1",   "[::1]x", "1.2.3.4.5:1" };
	static const char *const right[][2] = { { ":0", "http://127.0.0.1:" },
		                                { "localhost:0", "http://127.0.0.1:" },
		                                { "0.0.0.0:0", "http://0.0.0.0:" } };
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_int_equal(exposition_open(&x, b->loop, wrong[i], make, b, LONG_NS, &e),
		                 STATUS_EINVAL);
		assert_non_null(strstr(e.text, "HOST:PORT"));
	}
	for (size_t i = 0; i < COUNT_OF(right); i++) {
		assert_ok(exposition_open(&x, b->loop, right[i][0], make, b, LONG_NS, &e));
		assert_int_equal(strncmp(exposition_url(x), right[i][1], strlen(right[i][1])), 0);
		exposition_close(x);
	}
	char taken[32];
	snprintf(taken, sizeof(taken), "127.0.0.1:%u", b->port);
	assert_int_equal(exposition_open(&x, b->loop, taken, make, b, LONG_NS, &e),
	                 STATUS_EADDRINUSE);
	assert_non_null(strstr(e.text, taken));
	assert_null(x);
	exposition_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_serves_the_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fresh_page_is_served_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connections_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close_in_the_middle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_half_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_dribble, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_endless_request, setup_short, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
