/* One suite for the clients over libcurl and over plain sockets, against real sockets. Where
 * a row of a table has two outcomes the second one is of plain sockets, which are stricter. */
#include "base/clock.h"
#include "base/process.h"
#include "http/address.h"
#include "http/client.h"
#include "http/direct.h"
#include "http/workers.h"

#include "http_server.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define GUARD_NS (20 * NS_PER_S) /* a test that takes longer has failed */
#define OK_HEAD  "HTTP/1.1 200 OK\r\n"
#define SSE_HEAD OK_HEAD "Content-Type: text/event-stream\r\n"
#define DATA(t)  "data: {\"choices\":[{\"delta\":{\"content\":\"" t "\"}}]}\n\n"
#define DONE     "data: [DONE]\n\n"

/* ---- what the server does, by path ---- */

static void say_chunk(int fd, const char *data, size_t len)
{
	char size[32];
	snprintf(size, sizeof(size), "%zx\r\n", len);
	server_say(fd, size);
	server_send(fd, data, len);
	server_say(fd, "\r\n");
}

static bool do_plain(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Content-Length: 5\r\n\r\nhello");
	return true;
}

/* Back comes the request itself. */
static bool do_echo(int fd, const struct server_request *q)
{
	char head[128];
	snprintf(head, sizeof(head), OK_HEAD "Content-Length: %zu\r\n\r\n", q->len);
	server_say(fd, head);
	server_send(fd, q->text, q->len);
	return true;
}

/* Chunks of 1, 2, ... bytes: an event begins and ends anywhere. */
static bool do_sse(int fd, const struct server_request *q)
{
	static const char events[] = DATA("a") DATA("b") DATA("c") DONE;
	(void)q;
	server_say(fd, SSE_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	size_t n;
	for (size_t at = 0, step = 1; at < sizeof(events) - 1; at += n, step++) {
		n = sizeof(events) - 1 - at < step ? sizeof(events) - 1 - at : step;
		say_chunk(fd, events + at, n);
	}
	server_say(fd, "0\r\n\r\n");
	return true;
}

/* A stream that ends with the connection. */
static bool do_sse_close(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, SSE_HEAD "Connection: close\r\n\r\n" DATA("a") DATA("b") DONE);
	return false;
}

static bool do_sse_cut(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, SSE_HEAD "Connection: close\r\n\r\n" DATA("a"));
	return false;
}

static bool do_sse_stall(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, SSE_HEAD "\r\n" DATA("a") DATA("b"));
	server_wait_close(fd);
	return false;
}

static bool do_sse_html(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, SSE_HEAD "\r\n<html>\n");
	server_wait_close(fd); /* only a client that closes early gets on */
	return false;
}

static bool do_reset(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, SSE_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	say_chunk(fd, DATA("a"), strlen(DATA("a")));
	server_reset(fd);
	return false;
}

static bool do_cut_chunk(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n100\r\nonly a part");
	return false;
}

static bool do_cut_length(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Content-Length: 100\r\n\r\nonly a part");
	return false;
}

static bool do_bad_chunk(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n");
	return false;
}

static bool do_silent(int fd, const struct server_request *q)
{
	(void)q;
	server_wait_close(fd);
	return false;
}

static bool do_slow_head(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, "HTTP/1.1 200 O");
	server_wait_close(fd);
	return false;
}

static bool do_hang_up(int fd, const struct server_request *q)
{
	(void)fd, (void)q;
	return false;
}

static bool do_bad_http(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, "SSH-2.0-OpenSSH_9.9\r\n\r\nhello hello hello");
	return false;
}

static bool do_many_headers(int fd, const struct server_request *q)
{
	char line[1024];
	(void)q;
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-Padding: ", 11);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	server_say(fd, OK_HEAD);
	for (int i = 0; i < 600; i++)
		server_send(fd, line, sizeof(line));
	server_say(fd, "\r\n");
	return false;
}

static bool do_long_header(int fd, const struct server_request *q)
{
	static char line[300000];
	(void)q;
	memset(line, 'x', sizeof(line));
	server_say(fd, OK_HEAD "X-Padding: ");
	server_send(fd, line, sizeof(line));
	server_say(fd, "\r\n\r\n");
	return false;
}

static bool do_continue(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" OK_HEAD
	               "Content-Length: 2\r\n\r\nok");
	return true;
}

static bool do_trailers(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n");
	return true;
}

static bool do_redirect(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, "HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n");
	return true;
}

static bool do_status(int fd, const struct server_request *q)
{
	char head[128];
	static const char body[] = "{\"error\":{\"message\":\"no, thank you\"}}";
	snprintf(head, sizeof(head), "HTTP/1.1 %s Whatever\r\nContent-Length: %zu\r\n\r\n",
	         q->path + strlen("/status/"), strncmp(q->text, "HEAD", 4) ? sizeof(body) - 1 : 77);
	server_say(fd, head);
	if (strncmp(q->text, "HEAD", 4) != 0)
		server_say(fd, body);
	return true;
}

static bool do_close(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok");
	return false;
}

/* Closes the kept connection although it did not say so. */
static bool do_close_silently(int fd, const struct server_request *q)
{
	(void)q;
	server_say(fd, OK_HEAD "Content-Length: 2\r\n\r\nok");
	return false;
}

static bool do_big(int fd, const struct server_request *q)
{
	static const char block[65536] = { 'b' }; /* several threads send it */
	(void)q;
	server_say(fd, OK_HEAD "Content-Length: 4194304\r\n\r\n");
	for (int i = 0; i < 64; i++)
		server_send(fd, block, sizeof(block));
	return true;
}

/* Says the status of its path and then reads on until the client closes. */
static bool do_early(int fd, const struct server_request *q)
{
	char head[128];
	snprintf(head, sizeof(head), "HTTP/1.1 %s Early\r\nContent-Length: 2\r\n\r\nok",
	         q->path + strlen("/early/"));
	server_say(fd, head);
	server_wait_close(fd);
	return false;
}

/* Answers the first request of each connection and hangs up at the second one. */
static bool do_once(int fd, const struct server_request *q)
{
	return q->number == 1 && do_plain(fd, q);
}

static bool do_from(int fd, const struct server_request *q)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	char from[INET_ADDRSTRLEN] = "", head[128];
	(void)q;
	if (getpeername(fd, (struct sockaddr *)&a, &len) == 0)
		inet_ntop(AF_INET, &a.sin_addr, from, sizeof(from));
	snprintf(head, sizeof(head), OK_HEAD "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
	         strlen(from), from);
	server_say(fd, head);
	return false;
}

/* The body of the request is the answer, byte for byte. */
static bool do_raw(int fd, const struct server_request *q)
{
	server_send(fd, q->body, q->len - (size_t)(q->body - q->text));
	return strncmp(q->path, "/raw/keep", 9) == 0;
}

/* The same, byte by byte: most come alone. */
static bool do_raw_bytes(int fd, const struct server_request *q)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (const char *c = q->body; c < q->text + q->len; c++)
		server_send(fd, c, 1);
	return strncmp(q->path, "/raw-bytes/keep", 15) == 0;
}

static const struct {
	const char *path;
	bool (*answer)(int fd, const struct server_request *q);
} behaviours[] = {
	{ "/raw-bytes/", do_raw_bytes },
	{ "/raw/", do_raw },
	{ "/plain", do_plain },
	{ "/early/", do_early },
	{ "/once", do_once },
	{ "/from", do_from },
	{ "/echo", do_echo },
	{ "/sse/close", do_sse_close },
	{ "/sse/cut", do_sse_cut },
	{ "/sse/stall", do_sse_stall },
	{ "/sse/html", do_sse_html },
	{ "/sse", do_sse },
	{ "/reset", do_reset },
	{ "/cut-chunk", do_cut_chunk },
	{ "/cut-length", do_cut_length },
	{ "/bad-chunk", do_bad_chunk },
	{ "/silent", do_silent },
	{ "/slow-head", do_slow_head },
	{ "/hang-up", do_hang_up },
	{ "/bad-http", do_bad_http },
	{ "/many-headers", do_many_headers },
	{ "/long-header", do_long_header },
	{ "/continue", do_continue },
	{ "/trailers", do_trailers },
	{ "/redirect", do_redirect },
	{ "/status/", do_status },
	{ "/close-silently", do_close_silently },
	{ "/close", do_close },
	{ "/big", do_big },
};

static bool server_answer(struct server *s, int fd, const struct server_request *q)
{
	(void)s;
	for (size_t i = 0; i < sizeof(behaviours) / sizeof(*behaviours); i++)
		if (strncmp(q->path, behaviours[i].path, strlen(behaviours[i].path)) == 0)
			return behaviours[i].answer(fd, q);
	return false;
}

/* ---- the client's side ---- */

struct job {
	struct exchange x; /* first: a job is its exchange */
	unsigned firsts, chunks, dones;
	unsigned again; /* submit it this often from its own done */
	struct job *other;
	bool in_call; /* inside client_submit() or client_cancel() */
};

/* Which transport the suite runs over. */
static client_factory *new_client = curl_client_new;

static bool is_direct(void)
{
	return new_client == direct_client_new;
}

static unsigned worker_count; /* of each fixture; 0: the client is on the loop's thread */

struct fixture {
	struct loop *loop;
	struct workers *workers;
	struct client *client;
	struct server *server;
	struct loop_timer guard;
	bool expired;
	unsigned done, want;
	void (*on_first)(struct fixture *f, struct job *j);
	void (*on_chunk)(struct fixture *f, struct job *j);
	void (*on_done)(struct fixture *f, struct job *j);
};

static void sink_first(void *ctx, struct exchange *x)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	j->firsts++;
	assert_int_equal(j->x.response.chunks, 1);
	if (f->on_first)
		f->on_first(f, j);
}

static void sink_chunk(void *ctx, struct exchange *x, const struct delta *d)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	assert_true(delta_has_content(d));
	assert_true(j->firsts > 0);
	j->chunks++;
	if (f->on_chunk)
		f->on_chunk(f, j);
}

static void sink_done(void *ctx, struct exchange *x)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	assert_false(j->in_call);
	assert_int_equal(x->timer.slot, 0); /* or it would fire on freed memory */
	j->dones++;
	f->done++;
	if (f->on_done)
		f->on_done(f, j);
	if (f->done >= f->want)
		loop_stop(f->loop);
}

static const struct client_sink sink = { .first = sink_first,
	                                 .chunk = sink_chunk,
	                                 .done = sink_done };

static void on_guard(struct loop_timer *t, uint64_t now_ns)
{
	struct fixture *f = t->data;
	(void)now_ns;
	f->expired = true;
	loop_stop(f->loop);
}

static void make_client(struct fixture *f, const struct client_config *config)
{
	struct client_config c = *config;
	struct error e = { 0 };
	const char *url = f->server->url;
	if (!c.urls) {
		c.urls = &url;
		c.url_count = 1;
	}
	if (!worker_count) {
		if (new_client(&f->client, f->loop, &c, &sink, f, &e))
			fail_msg("%s", e.text);
		return;
	}
	/* Tiny rings: all that finds no room in them has to get on as well. */
	struct workers_config w = { .count = worker_count, .ring_items = 2, .chunk_bytes = 1 };
	if (workers_new(&f->workers, f->loop, &w, &e) ||
	    worker_client_new(&f->client, f->workers, new_client, &c, &sink, f, &e) ||
	    workers_start(f->workers, &e))
		fail_msg("%s", e.text);
}

static void drop_client(struct fixture *f)
{
	client_free(f->client);
	workers_free(f->workers);
	f->client = NULL;
	f->workers = NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(loop_new(&f->loop), 0);
	f->server = server_start(NULL);
	f->guard = (struct loop_timer){ .fn = on_guard, .data = f };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->client && client_inflight(f->client))
		return -1; /* the test failed, and its exchanges lay on its stack */
	drop_client(f);
	loop_timer_stop(f->loop, &f->guard);
	loop_free(f->loop);
	server_stop(f->server);
	free(f);
	return 0;
}

static void submit(struct fixture *f, struct job *j)
{
	j->in_call = true;
	assert_int_equal(client_submit(f->client, &j->x), 0);
	j->in_call = false;
}

/* Until n more exchanges are done. */
static void run(struct fixture *f, unsigned n)
{
	f->done = 0;
	f->want = n;
	assert_int_equal(loop_timer_start(f->loop, &f->guard, clock_now() + GUARD_NS), 0);
	assert_int_equal(loop_run(f->loop), 0);
	loop_timer_stop(f->loop, &f->guard);
	assert_false(f->expired);
	assert_int_equal(f->done, n);
}

/* One exchange with this path. */
static struct response *one(struct fixture *f, struct job *j, const char *path)
{
	j->x.path = path;
	submit(f, j);
	run(f, 1);
	assert_int_equal(client_inflight(f->client), 0);
	return &j->x.response;
}

static void buffer_is(const struct buffer *b, const char *expected)
{
	assert_int_equal(b->len, strlen(expected));
	assert_memory_equal(b->data, expected, b->len);
}

static bool body_has(const struct response *r, const char *text)
{
	return r->body.data && memmem(r->body.data, r->body.len, text, strlen(text)) != NULL;
}

/* ---- tests ---- */

static void connections_are_kept(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ .path = "/plain" });
	for (int i = 0; i < 50; i++) {
		struct response *r = one(f, &j, i % 2 ? NULL : "/plain");
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_int_equal(r->status, 200);
		buffer_is(&r->body, "hello");
		assert_int_equal(r->bytes, 5);
		assert_true(r->sent_ns > 0 && r->sent_ns <= r->first_byte_ns);
		assert_true(r->first_byte_ns <= r->first_ns);
		assert_true(r->first_ns <= r->finished_ns);
	}
	assert_int_equal(client_connections(f->client), 1);
	assert_int_equal(client_reconnects(f->client), 0);
	assert_int_equal(f->server->accepted, 1);
	assert_int_equal(f->server->requests, 50);
	response_free(&j.x.response);
}

static void a_stream_in_odd_splits(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_text = true };
	make_client(f, &(struct client_config){ .path = "/sse", .decoder = DECODE_CHAT });
	for (int i = 0; i < 3; i++) {
		j.firsts = j.chunks = 0;
		struct response *r = one(f, &j, NULL);
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_true(r->streamed && r->done);
		buffer_is(&r->text, "abc");
		assert_int_equal(r->chunks, 3);
		assert_int_equal(j.firsts, 1);
		assert_int_equal(j.chunks, 3);
		assert_true(r->first_byte_ns <= r->first_ns && r->first_ns <= r->last_ns);
		assert_true(r->last_ns <= r->finished_ns);
	}
	assert_int_equal(client_connections(f->client), 1);
	response_free(&j.x.response);
}

static const struct {
	const char *path;
	enum failure failure;
	int status;
	const char *error; /* a part of it */
} failures[] = {
	{ "/sse/close", FAILURE_NONE, 200, "" },
	{ "/sse/cut", FAILURE_TRUNCATED, 200, "1 events" },
	{ "/sse/html", FAILURE_BAD_SSE, 200, "<html>" },
	{ "/reset", FAILURE_RESET, 200, "" },
	{ "/cut-chunk", FAILURE_RESET, 200, "" },
	{ "/cut-length", FAILURE_RESET, 200, "" },
	{ "/bad-chunk", FAILURE_BAD_HTTP, 200, "chunk" },
	{ "/hang-up", FAILURE_RESET, 0, "" },
	{ "/bad-http", FAILURE_BAD_HTTP, 0, "" },
	{ "/many-headers", FAILURE_TOO_LARGE, 0, "" },
	{ "/long-header", FAILURE_TOO_LARGE, 0, "" },
	{ "/status/401", FAILURE_HTTP, 401, "no, thank you" },
	{ "/status/429", FAILURE_HTTP, 429, "no, thank you" },
	{ "/status/500", FAILURE_HTTP, 500, "no, thank you" },
	{ "/plain", FAILURE_BAD_JSON, 200, "hello" },
};

static void failures_have_their_class(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){ .decoder = DECODE_CHAT });
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		struct response *r = one(f, &j, failures[i].path);
		if (r->failure != failures[i].failure || r->status != failures[i].status ||
		    !strstr(r->error, failures[i].error))
			fail_msg("%s: %s, status %d, \"%s\"", failures[i].path,
			         failure_name(r->failure), r->status, r->error);
		assert_int_equal(r->error[0] == '\0', r->failure == FAILURE_NONE);
	}
	assert_int_equal(j.dones, sizeof(failures) / sizeof(*failures));
	/* And the client still works. */
	assert_int_equal(one(f, &j, "/sse")->failure, FAILURE_NONE);
	response_free(&j.x.response);
}

static void what_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ 0 });
	struct response *r = one(f, &j, "/continue");
	assert_int_equal(r->failure, FAILURE_NONE);
	assert_int_equal(r->status, 200);
	buffer_is(&r->body, "ok");
	r = one(f, &j, "/trailers");
	assert_int_equal(r->failure, FAILURE_NONE);
	buffer_is(&r->body, "ok");
	r = one(f, &j, "/redirect"); /* is not followed */
	assert_int_equal(r->failure, FAILURE_NONE);
	assert_int_equal(r->status, 302);
	r = one(f, &j, "/big");
	assert_int_equal(r->failure, FAILURE_NONE);
	assert_int_equal(r->body.len, 4194304);
	response_free(&j.x.response);
}

#define RAW(text) (text), sizeof(text) - 1

/* Odd answers, and whether the next request goes over the same connection: not when there is
 * more than the answer, which has to come at once, or it could be taken for the next one. */
static const struct {
	const char *name;
	const char *answer;
	size_t len;
	enum failure curl, direct;
	int status;
	uint64_t bytes;
	enum { CLOSES, KEEPS, SAYS_MORE } after;
} odd_answers[] = {
	{ "LF alone ends lines", RAW("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, KEEPS },
	{ "no reason phrase", RAW("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), FAILURE_NONE,
	  FAILURE_NONE, 200, 0, KEEPS },
	{ "HTTP/1.0 closes", RAW("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, CLOSES },
	{ "HTTP/1.0 that keeps",
	  RAW("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, KEEPS },
	{ "close among the options",
	  RAW("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, CLOSES },
	{ "204 has no body", RAW("HTTP/1.1 204 None\r\n\r\n"), FAILURE_NONE, FAILURE_NONE, 204, 0,
	  KEEPS },
	{ "304 has no body", RAW("HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n"), FAILURE_NONE,
	  FAILURE_NONE, 304, 0, KEEPS },
	{ "a body up to the close", RAW("HTTP/1.1 200 OK\r\n\r\nuntil the end"), FAILURE_NONE,
	  FAILURE_NONE, 200, 13, CLOSES },
	{ "the same length twice",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, KEEPS },
	{ "the same length twice in a list",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"), FAILURE_NONE, FAILURE_NONE, 200,
	  2, KEEPS },
	{ "a length of many digits",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 000000000000000000000000000002\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, KEEPS },
	{ "a length beyond all measure",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 100000000000000000000000000002\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, CLOSES },
	{ "HTTP/2 in words", RAW("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, CLOSES },
	{ "a folded line that says nothing",
	  RAW("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, KEEPS },
	{ "odd names", RAW("HTTP/1.1 200 OK\r\nX y: 1\r\n(z) : 2\r\nContent-Length: 2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, KEEPS },
	{ "204 with a body", RAW("HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_NONE, 204, 0, SAYS_MORE },
	{ "the last LF is missing",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, CLOSES },
	{ "extensions and trailers",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "02;a=\"b\";c\r\nok\r\nA\r\n0123456789\r\n000\r\nX-T: 1\r\nX-U: 2\r\n\r\n"),
	  FAILURE_NONE, FAILURE_NONE, 200, 12, KEEPS },
	{ "several heads before the last",
	  RAW("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
	      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_NONE, 200, 2, KEEPS },
	{ "more than the length says",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"), FAILURE_NONE,
	  FAILURE_NONE, 200, 2, SAYS_MORE },
	{ "a second answer that nobody asked for",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	      "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
	  FAILURE_NONE, FAILURE_NONE, 200, 0, SAYS_MORE },
	{ "nothing but a line end", RAW("\r\n"), FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a protocol that nobody asked for",
	  RAW("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a status line in small letters", RAW("http/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a head that begins with a folded line", RAW("HTTP/1.1 200 OK\r\n X: 1\r\n\r\nok"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a version that there is not", RAW("HTTP/1.2 200 OK\r\n\r\n"), FAILURE_BAD_HTTP,
	  FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a status of two digits", RAW("HTTP/1.1 20 OK\r\n\r\n"), FAILURE_BAD_HTTP,
	  FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a NUL in the head", RAW("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a length in words", RAW("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a length below 0", RAW("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 0, 0, CLOSES },
	{ "a chunk of no size", RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 200, 0, CLOSES },
	{ "a chunk's size of too many digits",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "00000000000000000002\r\nok\r\n0\r\n\r\n"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 200, 0, CLOSES },
	{ "a chunk longer than its size",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n"),
	  FAILURE_BAD_HTTP, FAILURE_BAD_HTTP, 200, 2, CLOSES },
	{ "the last chunk is missing",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), FAILURE_RESET,
	  FAILURE_RESET, 200, 2, CLOSES },
	{ "the end of the trailers is missing",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"),
	  FAILURE_RESET, FAILURE_RESET, 200, 2, CLOSES },
	{ "half a head", RAW("HTTP/1.1 200 OK\r\nContent-Le"), FAILURE_RESET, FAILURE_RESET, 0, 0,
	  CLOSES },
	{ "half a status line", RAW("HTTP/1.1 2"), FAILURE_RESET, FAILURE_RESET, 0, 0, CLOSES },
	{ "a head of 1xx alone", RAW("HTTP/1.1 100 Continue\r\n\r\n"), FAILURE_RESET, FAILURE_RESET,
	  0, 0, CLOSES },
	/* What only plain sockets refuse. */
	{ "lengths that differ",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 2\r\n\r\nok"), FAILURE_NONE,
	  FAILURE_BAD_HTTP, 200, 2, KEEPS },
	{ "chunks and a length",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "2\r\nok\r\n0\r\n\r\n"),
	  FAILURE_NONE, FAILURE_BAD_HTTP, 200, 2, KEEPS },
	{ "a length with a sign", RAW("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_BAD_HTTP, 200, 2, KEEPS },
	{ "a blank before the colon of the length",
	  RAW("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"), FAILURE_NONE, FAILURE_BAD_HTTP,
	  200, 2, CLOSES },
	{ "a folded length", RAW("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n 3\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_BAD_HTTP, 200, 2, KEEPS },
	{ "a CR within a line", RAW("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"),
	  FAILURE_NONE, FAILURE_BAD_HTTP, 200, 2, KEEPS },
	{ "chunk lines that end in LF",
	  RAW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n"), FAILURE_NONE,
	  FAILURE_BAD_HTTP, 200, 2, KEEPS },
};

static void odd_answer(struct fixture *f, size_t i, const char *way)
{
	bool kept = odd_answers[i].after == KEEPS;
	char path[64];
	struct job j = { .x.body = odd_answers[i].answer, .x.body_len = odd_answers[i].len };
	enum failure want = is_direct() ? odd_answers[i].direct : odd_answers[i].curl;
	make_client(f, &(struct client_config){ 0 });
	snprintf(path, sizeof(path), "%s%s", way, kept ? "keep" : "close");
	struct response *r = one(f, &j, path);
	bool strict = want != odd_answers[i].curl;
	if (r->failure != want ||
	    (!strict && (r->status != odd_answers[i].status || r->bytes != odd_answers[i].bytes)))
		fail_msg("%s: %s, status %d, %llu bytes, \"%s\"", odd_answers[i].name,
		         failure_name(r->failure), r->status, (unsigned long long)r->bytes,
		         r->error);
	assert_int_equal(r->error[0] == '\0', want == FAILURE_NONE);
	assert_true(r->sent_ns > 0 && r->sent_ns <= r->finished_ns);
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	if (client_connections(f->client) != (kept && !strict ? 1 : 2))
		fail_msg("%s: %llu connections", odd_answers[i].name,
		         (unsigned long long)client_connections(f->client));
	response_free(&j.x.response);
	drop_client(f);
}

static void odd_answers_come_to_the_same(void **state)
{
	for (size_t i = 0; i < sizeof(odd_answers) / sizeof(*odd_answers); i++) {
		odd_answer(*state, i, "/raw/");
		if (odd_answers[i].after != SAYS_MORE)
			odd_answer(*state, i, "/raw-bytes/");
	}
}

/* `count` lines of `len` bytes between begin and end, as an answer. */
static struct response *many_lines(struct fixture *f, struct job *j, const char *begin,
                                   size_t count, size_t len, const char *end)
{
	size_t at = strlen(begin), all = at + count * len + strlen(end);
	char *answer = malloc(all + 1);
	assert_non_null(answer);
	memcpy(answer, begin, at);
	for (size_t i = 0; i < count; i++, at += len) {
		memset(answer + at, 'x', len);
		answer[at + 1] = ':';
		memcpy(answer + at + len - 2, "\r\n", 2);
	}
	memcpy(answer + at, end, strlen(end) + 1);
	j->x.body = answer;
	j->x.body_len = all;
	struct response *r = one(f, j, "/raw/keep");
	j->x.body = NULL;
	free(answer);
	return r;
}

static void many_lines_are_taken_within_bounds(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	static const struct {
		const char *begin, *end;
		size_t count, len;
		enum failure failure;
	} rows[] = {
		{ OK_HEAD, "Content-Length: 2\r\n\r\nok", 20000, 6, FAILURE_NONE },
		{ OK_HEAD, "Content-Length: 2\r\n\r\nok", 60000, 6, FAILURE_TOO_LARGE },
		{ OK_HEAD, "Content-Length: 2\r\n\r\nok", 2, 102399, FAILURE_NONE },
		{ OK_HEAD, "Content-Length: 2\r\n\r\nok", 2, 102400, FAILURE_TOO_LARGE },
		{ OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "\r\n", 900, 1024,
		  FAILURE_NONE },
		{ OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "\r\n", 2, 4095,
		  FAILURE_NONE },
		{ OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", "\r\n", 2, 4096,
		  FAILURE_BAD_HTTP },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		make_client(f, &(struct client_config){ 0 });
		struct response *r =
			many_lines(f, &j, rows[i].begin, rows[i].count, rows[i].len, rows[i].end);
		if (r->failure != rows[i].failure)
			fail_msg("row %zu: %s, \"%s\"", i, failure_name(r->failure), r->error);
		assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
		assert_int_equal(client_connections(f->client), rows[i].failure ? 2 : 1);
		drop_client(f);
	}
	response_free(&j.x.response);
}

/* What is behind an answer without a body could be taken for the next one. Some versions of
 * libcurl drop what came with it and go on. */
static void a_body_where_none_can_be(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	static const char answer[] = "HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok";
	make_client(f, &(struct client_config){ 0 });
	for (int i = 0; i < 4; i++) {
		j.x.body = answer;
		j.x.body_len = sizeof(answer) - 1;
		struct response *r = one(f, &j, "/raw/keep");
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_int_equal(r->status, 204);
		assert_int_equal(r->bytes, 0);
	}
	if (is_direct())
		assert_int_equal(client_connections(f->client), 4);
	j.x.body = NULL;
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	response_free(&j.x.response);
}

#define CROWD 600 /* more than are connected at a time */

/* So many at once to one url: all of them end with this failure. */
static void all_fail(struct fixture *f, const struct client_config *config, enum failure failure)
{
	struct job *jobs = calloc(CROWD, sizeof(*jobs));
	assert_non_null(jobs);
	make_client(f, config);
	for (int i = 0; i < CROWD; i++) {
		jobs[i].x.path = "/plain";
		submit(f, &jobs[i]);
	}
	run(f, CROWD);
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(jobs[i].x.response.failure, failure);
		assert_int_equal(jobs[i].dones, 1);
		response_free(&jobs[i].x.response);
	}
	assert_int_equal(client_connections(f->client), 0);
	free(jobs);
}

static void nobody_listens(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	struct server *gone = server_start(NULL);
	char url[64];
	snprintf(url, sizeof(url), "%s", gone->url);
	server_stop(gone);
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url }, .url_count = 1 });
	for (int i = 0; i < 3; i++) {
		struct response *r = one(f, &j, "/plain");
		assert_int_equal(r->failure, FAILURE_REFUSED);
		assert_int_equal(r->status, 0);
		assert_int_equal(r->sent_ns, 0);
		assert_int_equal(r->first_byte_ns, 0);
		assert_true(r->error[0]);
	}
	assert_int_equal(client_connections(f->client), 0); /* none ever stood */
	response_free(&j.x.response);
}

static void nobody_listens_to_a_crowd(void **state)
{
	struct fixture *f = *state;
	struct server *gone = server_start(NULL);
	char url[64];
	snprintf(url, sizeof(url), "%s", gone->url);
	server_stop(gone);
	all_fail(f, &(struct client_config){ .urls = (const char *[]){ url }, .url_count = 1 },
	         FAILURE_REFUSED);
}

/* A unix socket whose backlog is full says so at once, and is asked again. */
static void nobody_accepts_on_a_unix_socket(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/perigee-test-XXXXXX";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fill = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_non_null(mkdtemp(dir));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(connect(fill, (struct sockaddr *)&a, sizeof(a)), 0);
	if (is_direct())
		all_fail(f,
		         &(struct client_config){ .unix_socket = a.sun_path,
		                                  .connect_timeout_ns = 50 * NS_PER_MS },
		         FAILURE_CONNECT_TIMEOUT);
	close(fill);
	close(fd);
	unlink(a.sun_path);
	rmdir(dir);
}

/* "localhost" is ::1 first on most systems, where nobody listens. */
static void a_name_with_several_addresses(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	char url[64];
	snprintf(url, sizeof(url), "http://localhost%s", strrchr(f->server->url, ':'));
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url }, .url_count = 1 });
	for (int i = 0; i < 3; i++)
		assert_int_equal(one(f, &j, i ? "/plain" : "/close")->failure, FAILURE_NONE);
	response_free(&j.x.response);
}

static void the_name_is_unknown(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){
			       .urls = (const char *[]){ "http://nonexistent.invalid" },
			       .url_count = 1 });
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_DNS);
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_DNS);
	response_free(&j.x.response);
}

/* A full backlog: the kernel answers no further SYN. */
static void nobody_accepts(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	char url[64];
	int fill[4];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	for (int i = 0; i < 4; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&a, len);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%d", ntohs(a.sin_port));
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url },
	                                        .url_count = 1,
	                                        .connect_timeout_ns = 100 * NS_PER_MS });
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_CONNECT_TIMEOUT);
	assert_int_equal(j.x.response.sent_ns, 0);
	drop_client(f);
	all_fail(f,
	         &(struct client_config){ .urls = (const char *[]){ url },
	                                  .url_count = 1,
	                                  .connect_timeout_ns = 100 * NS_PER_MS },
	         FAILURE_CONNECT_TIMEOUT);
	drop_client(f);
	/* The first ones are given up before the loop has seen their sockets. */
	all_fail(f,
	         &(struct client_config){ .urls = (const char *[]){ url },
	                                  .url_count = 1,
	                                  .connect_timeout_ns = NS_PER_MS },
	         FAILURE_CONNECT_TIMEOUT);
	for (int i = 0; i < 4; i++)
		close(fill[i]);
	close(fd);
	response_free(&j.x.response);
}

static void submit_again(struct fixture *f, struct job *j)
{
	if (j->again) {
		j->again--;
		submit(f, j);
	}
}

static void no_descriptors_are_left(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	struct rlimit before, tight;
	make_client(f, &(struct client_config){ 0 });
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	int next = dup(0); /* the lowest free descriptor */
	close(next);
	tight = (struct rlimit){ .rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	f->on_done = submit_again; /* each one fails in the turn that starts it */
	j.again = 9;
	j.x.path = "/plain";
	submit(f, &j);
	run(f, 10);
	enum failure why = j.x.response.failure;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(why, FAILURE_CLIENT);
	assert_int_equal(client_connections(f->client), 0);
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	assert_int_equal(client_connections(f->client), 1);
	response_free(&j.x.response);
}

static void the_environment_names_a_proxy(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	make_client(f, &(struct client_config){ 0 });
	enum failure why = one(f, &j, "/plain")->failure;
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
	assert_int_equal(why, FAILURE_NONE);
	response_free(&j.x.response);
}

static void a_body_above_the_limit(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ .max_response_bytes = 1000 });
	struct response *r = one(f, &j, "/big");
	assert_int_equal(r->failure, FAILURE_TOO_LARGE);
	assert_true(r->body.len <= 1000);
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	assert_int_equal(client_connections(f->client), 2); /* the rest was not read */
	j.x.response.keep_body = false;
	assert_int_equal(one(f, &j, "/big")->failure, FAILURE_NONE);
	assert_int_equal(j.x.response.bytes, 4194304);
	response_free(&j.x.response);
}

static void no_tls_there(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	char url[64];
	snprintf(url, sizeof(url), "https%s", f->server->url + 4);
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url },
	                                        .url_count = 1,
	                                        .connect_timeout_ns = GUARD_NS });
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_TLS);
	response_free(&j.x.response);
}

static void deadlines_end_an_exchange(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *path;
		bool first_byte, whole;
		enum failure failure;
		uint32_t chunks;
	} rows[] = {
		{ "/silent", true, false, FAILURE_FIRST_BYTE_TIMEOUT, 0 },
		{ "/silent", false, true, FAILURE_TIMEOUT, 0 },
		{ "/slow-head", true, false, FAILURE_FIRST_BYTE_TIMEOUT, 0 },
		{ "/sse/stall", true, true, FAILURE_TIMEOUT, 2 },
	};
	make_client(f, &(struct client_config){ .decoder = DECODE_CHAT });
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct job j = { 0 };
		uint64_t now = clock_now();
		if (rows[i].first_byte)
			j.x.first_byte_deadline_ns =
				now + (rows[i].whole ? NS_PER_S : 50 * NS_PER_MS);
		if (rows[i].whole)
			j.x.deadline_ns =
				now + (rows[i].first_byte ? 1100 * NS_PER_MS : 50 * NS_PER_MS);
		struct response *r = one(f, &j, rows[i].path);
		assert_int_equal(r->failure, rows[i].failure);
		assert_int_equal(r->chunks, rows[i].chunks);
		assert_true(r->sent_ns > 0);
		assert_true(r->finished_ns >= now + 50 * NS_PER_MS);
		response_free(&j.x.response);
	}
	/* A connection whose answer was not awaited is not used again. */
	struct job j = { 0 };
	assert_int_equal(one(f, &j, "/sse")->failure, FAILURE_NONE);
	assert_int_equal(client_connections(f->client), 5);
	response_free(&j.x.response);
}

static void a_deadline_in_the_past(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.deadline_ns = 1 };
	make_client(f, &(struct client_config){ 0 });
	assert_int_equal(one(f, &j, "/silent")->failure, FAILURE_TIMEOUT);
	response_free(&j.x.response);
}

static void a_deadline_that_holds_does_nothing(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){ 0 });
	for (int i = 0; i < 5; i++) {
		j.x.deadline_ns = clock_now() + 10 * NS_PER_S;
		j.x.first_byte_deadline_ns = clock_now() + 5 * NS_PER_S;
		assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	}
	assert_int_equal(client_connections(f->client), 1);
	response_free(&j.x.response);
}

static void servers_that_close(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){ 0 });
	for (int i = 0; i < 3; i++)
		assert_int_equal(one(f, &j, "/close")->failure, FAILURE_NONE);
	assert_int_equal(client_connections(f->client), 3);
	assert_int_equal(client_reconnects(f->client), 2);
	/* A kept connection that died meanwhile is found dead or tried once more. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(one(f, &j, "/close-silently")->failure, FAILURE_NONE);
	response_free(&j.x.response);
}

static void a_request_that_met_the_close_is_sent_again(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ 0 });
	for (int i = 0; i < 5; i++) {
		struct response *r = one(f, &j, "/once");
		assert_int_equal(r->failure, FAILURE_NONE);
		buffer_is(&r->body, "hello");
		assert_true(r->sent_ns <= r->first_byte_ns);
	}
	assert_int_equal(client_connections(f->client), 5);
	assert_int_equal(client_reconnects(f->client), 4);
	assert_int_equal(f->server->requests, 9);
	/* On a new connection nobody could have closed it by chance. */
	drop_client(f);
	make_client(f, &(struct client_config){ 0 });
	for (int i = 0; i < 3; i++)
		assert_int_equal(one(f, &j, "/hang-up")->failure, FAILURE_RESET);
	assert_int_equal(client_reconnects(f->client), 0); /* none was ever kept */
	assert_int_equal(f->server->requests, 12);
	response_free(&j.x.response);
}

static void an_answer_may_come_before_the_request_is_sent(void **state)
{
	struct fixture *f = *state;
	static char body[16 << 20]; /* more than the sockets hold */
	static const struct {
		const char *path;
		enum failure failure;
		int status;
	} rows[] = { { "/early/200", FAILURE_NONE, 200 }, { "/early/413", FAILURE_HTTP, 413 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct job j = { .x = { .body = body, .body_len = sizeof(body) } };
		make_client(f, &(struct client_config){ 0 });
		struct response *r = one(f, &j, rows[i].path);
		assert_int_equal(r->failure, rows[i].failure);
		assert_int_equal(r->status, rows[i].status);
		assert_int_equal(r->bytes, 2);
		/* What was not sent would be taken for the next request. */
		j.x.body = NULL;
		if (is_direct() || rows[i].failure) {
			assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
			assert_int_equal(client_connections(f->client), 2);
		}
		response_free(&j.x.response);
		drop_client(f);
	}
}

static void an_idle_connection_that_closes_does_not_spin(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){ 0 });
	assert_int_equal(one(f, &j, "/close-silently")->failure, FAILURE_NONE);
	/* The close arrives in the first turns; then there is nothing left to wake for. */
	unsigned turns = 0;
	uint64_t until = clock_now() + 100 * NS_PER_MS;
	loop_set_spin(f->loop, 0);
	for (uint64_t now = clock_now(); now < until; now = clock_now(), turns++)
		assert_int_equal(loop_turn(f->loop, until - now), 0);
	assert_true(turns < 20);
	response_free(&j.x.response);
}

static void methods_and_bodies(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ .path = "/echo?x=1" });
	static const struct {
		const char *method, *body;
		const char *line;
		const char *has, *has_not;
	} rows[] = {
		{ NULL, "{\"a\":1}", "POST /echo?x=1 HTTP/1.1\r\n",
		  "\r\nContent-Type: application/json\r\n", "urlencoded" },
		{ NULL, NULL, "POST /echo?x=1 HTTP/1.1\r\n", "\r\nContent-Length: 0\r\n",
		  "Content-Type" },
		{ "GET", NULL, "GET /echo?x=1 HTTP/1.1\r\n", "\r\nUser-Agent: perigee\r\n",
		  "Content-" },
		{ "PUT", "x", "PUT /echo?x=1 HTTP/1.1\r\n", "\r\nContent-Length: 1\r\n", "POST" },
		{ "DELETE", NULL, "DELETE /echo?x=1 HTTP/1.1\r\n", "\r\nHost: 127.0.0.1",
		  "Content-" },
		{ "POST", "yy", "POST /echo?x=1 HTTP/1.1\r\n", "\r\nContent-Length: 2\r\n",
		  "Expect" },
		{ "GET", "z", "GET /echo?x=1 HTTP/1.1\r\n", "\r\nContent-Length: 1\r\n", "POST" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		j.x.method = rows[i].method;
		j.x.body = rows[i].body;
		j.x.body_len = rows[i].body ? strlen(rows[i].body) : 0;
		struct response *r = one(f, &j, NULL);
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_memory_equal(r->body.data, rows[i].line, strlen(rows[i].line));
		assert_true(body_has(r, rows[i].has));
		assert_false(body_has(r, rows[i].has_not));
		if (rows[i].body)
			assert_memory_equal(r->body.data + r->body.len - j.x.body_len, rows[i].body,
			                    j.x.body_len);
	}
	j.x.method = "HEAD";
	j.x.body = NULL;
	assert_int_equal(one(f, &j, "/status/204")->failure, FAILURE_NONE);
	assert_int_equal(j.x.response.bytes, 0);
	assert_int_equal(one(f, &j, "/status/404")->failure, FAILURE_HTTP);
	j.x.method = "GET"; /* after HEAD a body is read again */
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	assert_int_equal(j.x.response.bytes, 5);
	assert_int_equal(client_connections(f->client), 1);
	response_free(&j.x.response);
}

static void paths_go_out_without_dots(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x = { .method = "GET", .response.keep_body = true } };
	static const char *const rows[][2] = {
		{ "/echo/.", "GET /echo/ " },
		{ "/echo/a/..", "GET /echo/ " },
		{ "/./echo/a/./b/../c", "GET /echo/a/c " },
		{ "/../../echo", "GET /echo " },
		{ "/echo/.a/..b/...", "GET /echo/.a/..b/... " },
		{ "/echo?x=/./y/../z", "GET /echo?x=/./y/../z " },
		{ "/x/../echo?/../", "GET /echo?/../ " },
		{ "/echo/\xc3\xa4?\xc3\xa4", "GET /echo/%c3%a4?\xc3\xa4 " },
	};
	make_client(f, &(struct client_config){ 0 });
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct response *r = one(f, &j, rows[i][0]);
		assert_int_equal(r->failure, FAILURE_NONE);
		if (strncmp(r->body.data, rows[i][1], strlen(rows[i][1])) != 0)
			fail_msg("%s: %.40s", rows[i][0], r->body.data);
	}
	response_free(&j.x.response);
}

static void a_large_body_is_sent_without_asking(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_body = true };
	static char body[1500000]; /* above 1 MB libcurl would ask first */
	memset(body, 'q', sizeof(body));
	make_client(f, &(struct client_config){ 0 });
	j.x.body = body;
	j.x.body_len = sizeof(body);
	struct response *r = one(f, &j, "/echo");
	assert_int_equal(r->failure, FAILURE_NONE);
	assert_false(body_has(r, "Expect"));
	assert_memory_equal(r->body.data + r->body.len - sizeof(body), body, sizeof(body));
	response_free(&j.x.response);
}

static void headers_merge_by_name(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x = { .response.keep_body = true, .body = "x", .body_len = 1 } };
	static const char *const common[] = { "Authorization: Bearer one", "X-A: common",
		                              "X-B: b" };
	static const char *const own[] = { "x-a: own", "X-B:", "X-C: c", "content-type: text/plain",
		                           "USER-AGENT: me" };
	make_client(f, &(struct client_config){
			       .headers = common, .header_count = 3, .path = "/echo" });
	struct response *r = one(f, &j, NULL);
	assert_true(body_has(r, "\r\nX-A: common\r\n") && body_has(r, "\r\nX-B: b\r\n"));
	j.x.headers = own;
	j.x.header_count = 5;
	r = one(f, &j, NULL);
	assert_true(body_has(r, "\r\nAuthorization: Bearer one\r\n"));
	assert_true(body_has(r, "\r\nx-a: own\r\n") && !body_has(r, "common"));
	assert_false(body_has(r, "X-B"));
	assert_true(body_has(r, "\r\nX-C: c\r\n"));
	assert_true(body_has(r, "\r\ncontent-type: text/plain\r\n") && !body_has(r, "json"));
	assert_true(body_has(r, "\r\nUSER-AGENT: me\r\n") && !body_has(r, "perigee"));
	j.x.header_count = 0; /* and the next one is as the first */
	r = one(f, &j, NULL);
	assert_true(body_has(r, "\r\nX-A: common\r\n") && !body_has(r, "X-C"));
	response_free(&j.x.response);
}

static void what_would_break_the_request_is_refused(void **state)
{
	struct fixture *f = *state;
	make_client(f, &(struct client_config){ 0 });
	static const char *const paths[] = { "plain", ".evil.example/", "/a b", "/a\r\nX: y",
		                             "/#x" };
	static const char *const headers[] = { "no colon", ": no name", "A B: c", "A: b\r\nC: d",
		                               "" };
	struct job j = { 0 };
	for (size_t i = 0; i < 5; i++) {
		j.x = (struct exchange){ .path = paths[i] };
		assert_int_equal(client_submit(f->client, &j.x), STATUS_EINVAL);
		j.x = (struct exchange){ .headers = &headers[i], .header_count = 1 };
		assert_int_equal(client_submit(f->client, &j.x), STATUS_EINVAL);
	}
	j.x = (struct exchange){ .method = "GET /x" };
	assert_int_equal(client_submit(f->client, &j.x), STATUS_EINVAL);
	j.x = (struct exchange){ .path = "/plain" };
	submit(f, &j);
	assert_int_equal(client_submit(f->client, &j.x), STATUS_EINVAL); /* in flight already */
	run(f, 1);
	assert_int_equal(j.dones, 1);
	response_free(&j.x.response);
}

static void bad_configurations_are_named(void **state)
{
	struct fixture *f = *state;
	static const char *const urls[] = { "",
		                            "127.0.0.1",
		                            "ftp://h",
		                            "http://",
		                            "http://h:port",
		                            "http://h/?q",
		                            "http://h/#f",
		                            "file:///etc/passwd" };
	struct client *c = NULL;
	struct error e;
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct client_config config = { .urls = &urls[i], .url_count = 1 };
		e.text[0] = '\0';
		assert_int_equal(new_client(&c, f->loop, &config, &sink, f, &e), STATUS_EINVAL);
		assert_non_null(strstr(e.text, "url"));
		assert_null(c);
	}
	const char *good = "http://127.0.0.1", *bad_header = "bad";
	const char *foreign = "192.0.2.1"; /* no interface here has it */
	struct client_config bad[] = {
		{ .url_count = 0 },
		{ .urls = &good, .url_count = 1, .path = "v1" },
		{ .urls = &good, .url_count = 1, .method = "P O" },
		{ .urls = &good, .url_count = 1, .headers = &bad_header, .header_count = 1 },
		{ .urls = &good, .url_count = 1, .sources = &good, .source_count = 1 },
		{ .urls = &good, .url_count = 1, .sources = &foreign, .source_count = 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(new_client(&c, f->loop, &bad[i], &sink, f, &e), STATUS_EINVAL);
}

static void endpoints_take_turns(void **state)
{
	struct fixture *f = *state;
	struct server *second = server_start(NULL);
	char slash[80];
	snprintf(slash, sizeof(slash), "%s/", second->url);
	const char *urls[] = { f->server->url, slash };
	struct job j = { 0 };
	make_client(f, &(struct client_config){ .urls = urls, .url_count = 2, .path = "/plain" });
	for (unsigned i = 0; i < 9; i++) {
		j.x.endpoint = i;
		assert_int_equal(one(f, &j, i % 3 ? NULL : "/close-silently")->failure,
		                 FAILURE_NONE);
	}
	assert_true(f->server->requests == 5 && second->requests == 4);
	drop_client(f);
	server_stop(second);
	response_free(&j.x.response);
}

static void connections_come_from_the_sources_in_turn(void **state)
{
	struct fixture *f = *state;
	static const char *const sources[] = { "127.0.0.2", "127.0.0.3" };
	struct job a = { .x = { .path = "/from", .response.keep_body = true } }, b = a;
	make_client(f, &(struct client_config){ .sources = sources, .source_count = 2 });
	submit(f, &a);
	submit(f, &b);
	run(f, 2);
	assert_int_equal(a.x.response.failure, FAILURE_NONE);
	assert_int_equal(b.x.response.failure, FAILURE_NONE);
	bool second = body_has(&a.x.response, "127.0.0.3");
	buffer_is(&a.x.response.body, sources[second]);
	buffer_is(&b.x.response.body, sources[!second]);
	response_free(&a.x.response);
	response_free(&b.x.response);
}

static void a_source_of_another_family(void **state)
{
	struct fixture *f = *state;
	static const char *const sources[] = { "::1" };
	struct job j = { 0 };
	struct socket_address a;
	if (address_source(&a, sources[0], NULL))
		skip(); /* no IPv6 here */
	make_client(f, &(struct client_config){ .sources = sources, .source_count = 1 });
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_CONNECT);
	response_free(&j.x.response);
}

#ifdef __linux__
#define SKIPPED 77

/* In a network of its own, in which there are two local ports, both taken. */
static int look_at_source_without_ports(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct socket_address a;
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return SKIPPED;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
	if (ioctl(fd, SIOCSIFFLAGS, &lo) || !range || fputs("40000 40001", range) < 0 ||
	    fclose(range))
		return SKIPPED;
	while (bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0)
		fd = socket(AF_INET, SOCK_STREAM, 0);
	return errno == EADDRINUSE && address_source(&a, "127.0.0.1", NULL) == 0 ? 0 : 1;
}

/* Connections of an earlier run hold ports for a minute; others from there may still have them. */
static void a_source_whose_ports_are_taken(void **state)
{
	int status;
	(void)state;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(look_at_source_without_ports());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip(); /* no network of its own here */
	assert_int_equal(status, 0);
}
#endif

static void a_unix_socket(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/tmp/perigee-test-XXXXXX", path[64];
	struct job j = { .x.response.keep_text = true };
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	make_client(f, &(struct client_config){ .unix_socket = path, .decoder = DECODE_CHAT });
	assert_int_equal(one(f, &j, "/sse")->failure, FAILURE_CONNECT); /* no such file */
	struct server *s = server_start(path);
	for (int i = 0; i < 3; i++)
		assert_int_equal(one(f, &j, "/sse")->failure, FAILURE_NONE);
	buffer_is(&j.x.response.text, "abc");
	assert_int_equal(s->accepted, 1);
	assert_int_equal(f->server->accepted, 0);
	drop_client(f);
	server_stop(s);
	unlink(path);
	rmdir(dir);
	response_free(&j.x.response);
}

#define PARALLEL 300 /* more than one multi handle takes */

static void succeed_again(struct fixture *f, struct job *j)
{
	assert_int_equal(j->x.response.failure, FAILURE_NONE);
	submit_again(f, j);
}

/* Of many at once, others' kept connections become free while it waits for a new one. */
static void what_is_sent_again_meets_no_other_close(void **state)
{
	struct fixture *f = *state;
	struct job jobs[8] = { 0 };
	const int n = sizeof(jobs) / sizeof(*jobs);
	if (!is_direct())
		return; /* libcurl takes any connection, and gives up at the fifth */
	make_client(f, &(struct client_config){ .path = "/once" });
	f->on_done = succeed_again;
	for (int i = 0; i < n; i++) {
		jobs[i].again = 40;
		submit(f, &jobs[i]);
	}
	run(f, 41 * (unsigned)n);
	for (int i = 0; i < n; i++)
		response_free(&jobs[i].x.response);
}

static void many_at_once(void **state)
{
	struct fixture *f = *state;
	struct job *jobs = calloc(PARALLEL, sizeof(*jobs));
	assert_non_null(jobs);
	make_client(f, &(struct client_config){ .path = "/sse", .decoder = DECODE_CHAT });
	f->on_done = succeed_again; /* from inside done */
	for (int i = 0; i < PARALLEL; i++) {
		jobs[i].again = 4;
		jobs[i].x.deadline_ns = clock_now() + 2 * GUARD_NS;
		submit(f, &jobs[i]);
	}
	assert_int_equal(client_inflight(f->client), PARALLEL);
	run(f, 5 * PARALLEL);
	assert_int_equal(client_inflight(f->client), 0);
	assert_true(client_connections(f->client) <= PARALLEL);
	for (int i = 0; i < PARALLEL; i++) {
		assert_int_equal(jobs[i].dones, 5);
		assert_int_equal(jobs[i].firsts, 5);
		assert_int_equal(jobs[i].chunks, 15);
		response_free(&jobs[i].x.response);
	}
	free(jobs);
}

/* Submits one more job each time that it may. */
struct rush {
	struct loop_hook hook;
	struct fixture *f;
	struct job *jobs;
	unsigned sent;
	char order[16 * PARALLEL]; /* 'd': a done, 'u': the urgent one */
	size_t len;
};

static struct rush *the_rush;

static void note(struct rush *r, char what)
{
	assert_true(r->len < sizeof(r->order));
	r->order[r->len++] = what;
}

static void note_done(struct fixture *f, struct job *j)
{
	(void)f;
	assert_int_equal(j->x.response.failure, FAILURE_NONE);
	note(the_rush, 'd');
}

static void on_urgent(struct loop_hook *h, uint64_t now_ns)
{
	struct rush *r = h->data;
	assert_true(now_ns > 0);
	note(r, 'u');
	if (r->sent < PARALLEL)
		submit(r->f, &r->jobs[r->sent++]);
	client_send(r->f->client);
	loop_set_urgent(r->f->loop, h, 1);
}

static void what_is_urgent_goes_between_two_ends(void **state)
{
	struct fixture *f = *state;
	struct rush *r = the_rush = calloc(1, sizeof(*r));
	assert_non_null(r);
	*r = (struct rush){ .hook = { .fn = on_urgent, .data = r }, .f = f };
	r->jobs = calloc(PARALLEL, sizeof(*r->jobs));
	assert_non_null(r->jobs);
	make_client(f, &(struct client_config){ .path = "/plain" });
	f->on_done = note_done;
	while (r->sent < PARALLEL / 2)
		submit(f, &r->jobs[r->sent++]);
	loop_set_urgent(f->loop, &r->hook, 1);
	run(f, PARALLEL);
	loop_set_urgent(f->loop, NULL, UINT64_MAX);
	assert_int_equal(client_inflight(f->client), 0);
	for (size_t i = 0; i < r->len; i++)
		assert_true(r->order[i] == 'u' || (i + 1 < r->len && r->order[i + 1] == 'u'));
	for (unsigned i = 0; i < PARALLEL; i++) {
		assert_int_equal(r->jobs[i].dones, 1);
		response_free(&r->jobs[i].x.response);
	}
	free(r->jobs);
	free(r);
}

static void cancel_now(struct fixture *f, struct job *j)
{
	j->in_call = true;
	client_cancel(f->client, &j->x, FAILURE_CANCELLED);
	j->in_call = false;
}

static void cancel_before_anything(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.path = "/silent" };
	make_client(f, &(struct client_config){ 0 });
	client_cancel(f->client, &j.x, FAILURE_CANCELLED); /* not in flight: nothing */
	submit(f, &j);
	cancel_now(f, &j);
	client_cancel(f->client, &j.x, FAILURE_ABANDONED); /* the first reason stays */
	assert_int_equal(j.dones, 0);
	run(f, 1);
	assert_int_equal(j.dones, 1);
	assert_int_equal(j.x.response.failure, FAILURE_CANCELLED);
	cancel_now(f, &j); /* over: nothing */
	assert_int_equal(client_inflight(f->client), 0);
	assert_int_equal(one(f, &j, "/plain")->failure, FAILURE_NONE);
	response_free(&j.x.response);
}

static void cancel_from_first(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	make_client(f, &(struct client_config){ .decoder = DECODE_CHAT });
	f->on_first = cancel_now;
	assert_int_equal(one(f, &j, "/sse/stall")->failure, FAILURE_CANCELLED);
	assert_int_equal(j.firsts, 1);
	assert_int_equal(j.chunks, 0);
	f->on_first = NULL;
	f->on_chunk = cancel_now;
	j.firsts = 0;
	assert_int_equal(one(f, &j, "/sse/stall")->failure, FAILURE_CANCELLED);
	assert_int_equal(j.chunks,
	                 1); /* nothing after the cancel, though two events came at once */
	assert_int_equal(j.dones, 2);
	assert_int_equal(client_connections(f->client), 2);
	response_free(&j.x.response);
}

static void submit_other(struct fixture *f, struct job *j)
{
	if (j->other && !j->other->dones && !j->other->x.flying)
		submit(f, j->other);
}

static void submit_from_first(void **state)
{
	struct fixture *f = *state;
	struct job b = { .x.path = "/sse" }, a = { .x.path = "/sse", .other = &b };
	make_client(f, &(struct client_config){ .decoder = DECODE_CHAT });
	f->on_first = submit_other;
	submit(f, &a);
	run(f, 2);
	assert_int_equal(a.x.response.failure, FAILURE_NONE);
	assert_int_equal(b.x.response.failure, FAILURE_NONE);
	response_free(&a.x.response);
	response_free(&b.x.response);
}

static void cancel_other(struct fixture *f, struct job *j)
{
	if (j->other)
		cancel_now(f, j->other);
}

static void cancel_another_from_done(void **state)
{
	struct fixture *f = *state;
	struct job b = { .x.path = "/silent" }, a = { .x.path = "/plain", .other = &b };
	make_client(f, &(struct client_config){ 0 });
	f->on_done = cancel_other;
	submit(f, &b);
	submit(f, &a);
	run(f, 2);
	assert_int_equal(a.x.response.failure, FAILURE_NONE);
	assert_int_equal(b.x.response.failure, FAILURE_CANCELLED);
	assert_int_equal(a.dones + b.dones, 2);
	response_free(&a.x.response);
	response_free(&b.x.response);
}

/* Each done cancels the next one, which may have ended in the same turn. */
static void cancels_race_with_ends(void **state)
{
	struct fixture *f = *state;
	struct job jobs[32] = { 0 };
	make_client(f, &(struct client_config){ .path = "/plain" });
	f->on_done = cancel_other;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 32; i++) {
			jobs[i].other = &jobs[(i + 1) % 32];
			submit(f, &jobs[i]);
		}
		run(f, 32);
	}
	for (int i = 0; i < 32; i++) {
		assert_int_equal(jobs[i].dones, 20);
		response_free(&jobs[i].x.response);
	}
}

static void refused_while_closing(struct fixture *f, struct job *j)
{
	assert_int_equal(client_submit(f->client, &j->x), STATUS_ECLOSED);
}

static void free_with_exchanges_in_flight(void **state)
{
	struct fixture *f = *state;
	static const char *const paths[] = { "/silent", "/sse/stall", "/slow-head" };
	struct job jobs[16] = { 0 };
	make_client(f, &(struct client_config){ .decoder = DECODE_CHAT });
	for (int i = 0; i < 12; i++) {
		jobs[i].x.path = paths[i % 3];
		jobs[i].x.deadline_ns = clock_now() + GUARD_NS;
		submit(f, &jobs[i]);
	}
	struct job last = { .x.path = "/sse" };
	submit(f, &last);
	run(f, 1);
	for (int i = 12; i < 16; i++) { /* these have hardly begun */
		jobs[i].x.path = paths[0];
		submit(f, &jobs[i]);
	}
	f->on_done = refused_while_closing;
	f->done = 0;
	drop_client(f);
	assert_int_equal(f->done, 16);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_int_equal(jobs[i].x.response.failure, FAILURE_ABANDONED);
		response_free(&jobs[i].x.response);
	}
	response_free(&last.x.response);
}

static void free_while_resolving(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.path = "/" };
	make_client(f, &(struct client_config){
			       .urls = (const char *[]){ "http://nonexistent.invalid" },
			       .url_count = 1 });
	submit(f, &j);
	assert_int_equal(loop_turn(f->loop, 0), 0);
	drop_client(f);
	assert_int_equal(j.dones, 1);
	response_free(&j.x.response);
}

/* ---- a server that others wrote ---- */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A self-signed certificate for localhost in dir. */
static void make_certificate(const char *dir)
{
	char key[128], cert[128], line[512];
	struct process *p = NULL;
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	const char *argv[] = { "openssl",
		               "req",
		               "-x509",
		               "-newkey",
		               "ec",
		               "-pkeyopt",
		               "ec_paramgen_curve:prime256v1",
		               "-nodes",
		               "-days",
		               "2",
		               "-subj",
		               "/CN=localhost",
		               "-addext",
		               "subjectAltName=DNS:localhost",
		               "-keyout",
		               key,
		               "-out",
		               cert,
		               NULL };
	if (process_spawn(&p, argv, NULL))
		skip(); /* not installed */
	while (process_read_line(p, line, sizeof(line), clock_now() + 10 * NS_PER_S) >= 0)
		;
	assert_int_equal(process_stop(p, clock_now() + 10 * NS_PER_S), 0);
}

/* In dir, on dir/socket and, over TLS, on dir/tls; ready when it returns. */
static struct process *start_nginx(const char *dir)
{
	char config[2048], conf_path[128], prefix[128], line[512];
	struct process *p = NULL;
	snprintf(config, sizeof(config),
	         "daemon off; worker_processes 1; pid pid; error_log /dev/stdout notice;\n"
	         "events {} http { access_log off; root %s; keepalive_requests 1000000;\n"
	         "client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n"
	         "uwsgi_temp_path t4; scgi_temp_path t5;\n"
	         "ssl_certificate cert.pem; ssl_certificate_key key.pem;\n"
	         "server { listen unix:%s/socket; listen unix:%s/tls ssl; } }\n",
	         dir, dir, dir);
	write_file(dir, "nginx.conf", config);
	snprintf(conf_path, sizeof(conf_path), "%s/nginx.conf", dir);
	snprintf(prefix, sizeof(prefix), "%s/", dir);
	const char *argv[] = { "nginx", "-e", "/dev/stdout", "-p", prefix, "-c", conf_path, NULL };
	if (process_spawn(&p, argv, NULL))
		skip(); /* not installed */
	uint64_t deadline = clock_now() + 10 * NS_PER_S;
	while (process_read_line(p, line, sizeof(line), deadline) >= 0)
		if (strstr(line, "start worker process"))
			return p;
	process_stop(p, clock_now());
	fail_msg("nginx does not start: %s", line);
	return NULL;
}

struct nginx {
	char dir[64], socket[80], tls[80], cert[80];
	struct process *process;
};

static void nginx_open(struct nginx *n)
{
	snprintf(n->dir, sizeof(n->dir), "/tmp/perigee-test-XXXXXX");
	assert_non_null(mkdtemp(n->dir));
	assert_int_equal(chmod(n->dir, 0755), 0);
	snprintf(n->socket, sizeof(n->socket), "%s/socket", n->dir);
	snprintf(n->tls, sizeof(n->tls), "%s/tls", n->dir);
	snprintf(n->cert, sizeof(n->cert), "%s/cert.pem", n->dir);
	write_file(n->dir, "hello.txt", "hello from a file\n");
	make_certificate(n->dir);
	n->process = start_nginx(n->dir);
}

static void nginx_close(struct nginx *n)
{
	char line[128];
	struct process *rm = NULL;
	process_stop(n->process, clock_now());
	const char *argv[] = { "rm", "-r", n->dir, NULL };
	assert_int_equal(process_spawn(&rm, argv, NULL), 0);
	while (process_read_line(rm, line, sizeof(line), clock_now() + 10 * NS_PER_S) >= 0)
		;
	assert_int_equal(process_stop(rm, clock_now() + 10 * NS_PER_S), 0);
}

static void nginx_serves_a_file(void **state)
{
	struct fixture *f = *state;
	struct nginx n;
	struct job j = { .x.response.keep_body = true };
	nginx_open(&n);
	make_client(f, &(struct client_config){ .unix_socket = n.socket, .method = "GET" });
	for (int i = 0; i < 20; i++) {
		struct response *r = one(f, &j, "/hello.txt");
		assert_int_equal(r->failure, FAILURE_NONE);
		buffer_is(&r->body, "hello from a file\n");
	}
	assert_int_equal(client_connections(f->client), 1);
	struct response *r = one(f, &j, "/missing");
	assert_int_equal(r->failure, FAILURE_HTTP);
	assert_int_equal(r->status, 404);
	assert_true(body_has(r, "nginx"));
	j.x.method = "HEAD";
	assert_int_equal(one(f, &j, "/hello.txt")->failure, FAILURE_NONE);
	assert_int_equal(j.x.response.bytes, 0);
	response_free(&j.x.response);
	nginx_close(&n);
}

static void certificates_are_verified(void **state)
{
	struct fixture *f = *state;
	struct nginx n;
	nginx_open(&n);
	const struct {
		const char *url, *ca_file;
		bool insecure;
		enum failure failure;
	} rows[] = {
		{ "https://localhost", NULL, false, FAILURE_TLS },
		{ "https://localhost", n.cert, false, FAILURE_NONE },
		{ "https://other.example", n.cert, false, FAILURE_TLS },
		{ "https://other.example", NULL, true, FAILURE_NONE },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct job j = { .x.response.keep_body = true };
		make_client(f, &(struct client_config){ .urls = &rows[i].url,
		                                        .url_count = 1,
		                                        .unix_socket = n.tls,
		                                        .method = "GET",
		                                        .ca_file = rows[i].ca_file,
		                                        .insecure = rows[i].insecure });
		for (int k = 0; k < 3; k++)
			assert_int_equal(one(f, &j, "/hello.txt")->failure, rows[i].failure);
		if (rows[i].failure == FAILURE_NONE)
			assert_int_equal(client_connections(f->client), 1);
		response_free(&j.x.response);
		drop_client(f);
	}
	nginx_close(&n);
}

/* A program that prints the port that it listens on, on this host. */
static struct process *start_program(const char *const *argv, const char *host, char *url,
                                     size_t size)
{
	struct process *p = NULL;
	char line[512];
	if (process_spawn(&p, argv, NULL))
		skip(); /* not installed */
	uint64_t deadline = clock_now() + 10 * NS_PER_S;
	while (process_read_line(p, line, sizeof(line), deadline) >= 0) {
		const char *port = strstr(line, "port ");
		if (port) {
			snprintf(url, size, "http://%s:%d", host, (int)strtol(port + 5, NULL, 10));
			return p;
		}
	}
	process_stop(p, clock_now());
	skip();
	return NULL;
}

/* Speaks HTTP/1.0: each answer ends with its connection. */
static void python_serves_files(struct fixture *f, const char *address, const char *host)
{
	char command[160], url[64];
	snprintf(command, sizeof(command),
	         "exec python3 -u -m http.server --bind %s -d tests/c 0 2>/dev/null", address);
	const char *const argv[] = { "sh", "-c", command, NULL };
	struct process *p = start_program(argv, host, url, sizeof(url));
	struct job j = { .x.method = "GET", .x.response.keep_body = true };
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url }, .url_count = 1 });
	for (int i = 0; i < 3; i++) {
		struct response *r = one(f, &j, "/support.h");
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_true(body_has(r, "PERIGEE_TESTS_SUPPORT_H"));
		assert_int_equal(r->bytes, r->body.len);
	}
	assert_int_equal(one(f, &j, "/missing")->status, 404);
	assert_int_equal(one(f, &j, "/")->failure, FAILURE_NONE);
	j.x.method = "HEAD";
	assert_int_equal(one(f, &j, "/support.h")->failure, FAILURE_NONE);
	assert_int_equal(j.x.response.bytes, 0);
	j.x.method = "POST";
	assert_int_equal(one(f, &j, "/support.h")->status, 501);
	assert_int_equal(client_connections(f->client), 7);
	response_free(&j.x.response);
	process_stop(p, clock_now());
}

static void python_serves_over_ipv4(void **state)
{
	python_serves_files(*state, "127.0.0.1", "127.0.0.1");
}

static void python_serves_over_ipv6(void **state)
{
	python_serves_files(*state, "::1", "[::1]");
}

#define NODE_SERVER                                                                                \
	"const s = require('http').createServer((q, r) => {"                                       \
	"  let body = ''; q.on('data', d => body += d); q.on('end', () => {"                       \
	"    if (q.url == '/none') { r.statusCode = 204; return r.end(); }"                        \
	"    r.setHeader('Trailer', 'X-T'); r.write('<'); r.write(body.slice(0, 1e6)); "           \
	"r.write('>');"                                                                            \
	"    r.addTrailers({ 'X-T': 'end' }); r.end(); }); });"                                    \
	"s.listen(0, '127.0.0.1', () => console.log('port ' + s.address().port));"                 \
	"process.stdin.on('end', () => process.exit(0)).resume();"

/* Chunks, trailers, kept connections; it reads requests in chunks as well. */
static void node_echoes(void **state)
{
	struct fixture *f = *state;
	const char *const argv[] = { "node", "-e", NODE_SERVER, NULL };
	static const char *const in_chunks[] = { "Transfer-Encoding: chunked" };
	static char large[300000];
	char url[64];
	struct process *p = start_program(argv, "127.0.0.1", url, sizeof(url));
	memset(large, 'l', sizeof(large) - 1);
	const char *const bodies[] = { "hello", "", large };
	struct job j = { .x.response.keep_body = true };
	make_client(f, &(struct client_config){ .urls = (const char *[]){ url }, .url_count = 1 });
	for (size_t i = 0; i < 6; i++) {
		const char *body = bodies[i / 2];
		j.x.body = body;
		j.x.body_len = strlen(body);
		j.x.headers = in_chunks;
		j.x.header_count = i % 2;
		struct response *r = one(f, &j, "/echo");
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_int_equal(r->body.len, j.x.body_len + 2);
		assert_memory_equal(r->body.data + 1, body, j.x.body_len);
	}
	j.x.header_count = 0;
	assert_int_equal(one(f, &j, "/none")->status, 204);
	j.x.body = NULL;
	j.x.method = "GET";
	assert_int_equal(one(f, &j, "/none")->status, 204);
	buffer_is(&one(f, &j, "/echo")->body, "<>");
	assert_int_equal(client_connections(f->client), 1);
	response_free(&j.x.response);
	process_stop(p, clock_now() + NS_PER_S);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(connections_are_kept),
		TEST(a_stream_in_odd_splits),
		TEST(failures_have_their_class),
		TEST(what_is_no_failure),
		TEST(odd_answers_come_to_the_same),
		TEST(many_lines_are_taken_within_bounds),
		TEST(a_body_where_none_can_be),
		TEST(nobody_listens),
		TEST(nobody_listens_to_a_crowd),
		TEST(nobody_accepts_on_a_unix_socket),
		TEST(a_name_with_several_addresses),
		TEST(the_name_is_unknown),
		TEST(nobody_accepts),
		TEST(no_descriptors_are_left),
		TEST(the_environment_names_a_proxy),
		TEST(a_body_above_the_limit),
		TEST(deadlines_end_an_exchange),
		TEST(a_deadline_in_the_past),
		TEST(a_deadline_that_holds_does_nothing),
		TEST(servers_that_close),
		TEST(a_request_that_met_the_close_is_sent_again),
		TEST(an_answer_may_come_before_the_request_is_sent),
		TEST(an_idle_connection_that_closes_does_not_spin),
		TEST(methods_and_bodies),
		TEST(paths_go_out_without_dots),
		TEST(a_large_body_is_sent_without_asking),
		TEST(headers_merge_by_name),
		TEST(what_would_break_the_request_is_refused),
		TEST(bad_configurations_are_named),
		TEST(endpoints_take_turns),
		TEST(connections_come_from_the_sources_in_turn),
		TEST(a_source_of_another_family),
		TEST(a_unix_socket),
		TEST(what_is_sent_again_meets_no_other_close),
		TEST(many_at_once),
		TEST(what_is_urgent_goes_between_two_ends),
		TEST(cancel_before_anything),
		TEST(cancel_from_first),
		TEST(submit_from_first),
		TEST(cancel_another_from_done),
		TEST(cancels_race_with_ends),
		TEST(free_with_exchanges_in_flight),
		TEST(free_while_resolving),
		TEST(nginx_serves_a_file),
		TEST(python_serves_over_ipv4),
		TEST(python_serves_over_ipv6),
		TEST(node_echoes),
	};
#ifdef __linux__
	static const struct CMUnitTest sources[] = {
		cmocka_unit_test(a_source_whose_ports_are_taken),
	};
#endif
	static const struct CMUnitTest over_tls[] = {
		TEST(no_tls_there),
		TEST(certificates_are_verified),
	};
	int failed = cmocka_run_group_tests_name("curl, TLS", over_tls, NULL, NULL);
#ifdef __linux__
	failed += cmocka_run_group_tests_name("sources", sources, NULL, NULL);
#endif
	for (worker_count = 0; worker_count <= 2; worker_count++) {
		new_client = curl_client_new;
		failed += cmocka_run_group_tests_name("curl", tests, NULL, NULL);
		new_client = direct_client_new;
		failed += cmocka_run_group_tests_name("direct", tests, NULL, NULL);
	}
	return failed;
}
