/* Odd answers, made at random from fixed seeds: both transports make the same of them, but
 * for what plain sockets refuse on purpose. `test_transports FIRST COUNT` looks at other seeds. */
#include "base/clock.h"
#include "base/rng.h"
#include "http/client.h"
#include "http/direct.h"
#include "http/http1.h"

#include "http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEEDS       1500
#define BATCH       100             /* seeds per server, which takes 1024 connections */
#define DEADLINE_NS (2 * NS_PER_S)  /* of an exchange: far more than any takes that ends */
#define GUARD_NS    (20 * NS_PER_S) /* of each wait */
#define ANSWER_MAX  8192

/* ---- the server ---- */

struct answer {
	char data[ANSWER_MAX];
	size_t len;
};

/* What it says to /odd/... */
static struct answer current;
static pthread_mutex_t current_lock = PTHREAD_MUTEX_INITIALIZER;

/* A client that has had enough does not wait until all is sent: hence the copy. */
static void copy_answer(struct answer *to, const struct answer *from)
{
	pthread_mutex_lock(&current_lock);
	memcpy(to->data, from->data, from->len);
	to->len = from->len;
	pthread_mutex_unlock(&current_lock);
}

/* What it was asked on other paths. */
static struct answer asked;

static void keep_request(const struct server_request *q)
{
	pthread_mutex_lock(&current_lock);
	asked.len = q->len < ANSWER_MAX ? q->len : ANSWER_MAX;
	memcpy(asked.data, q->text, asked.len);
	pthread_mutex_unlock(&current_lock);
}

static bool server_answer(struct server *s, int fd, const struct server_request *q)
{
	struct answer a;
	(void)s;
	if (strcmp(q->path, "/plain") == 0) {
		server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
		return true;
	}
	if (strncmp(q->path, "/odd/", 5) != 0) {
		keep_request(q);
		server_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		return true;
	}
	copy_answer(&a, &current);
	server_send(fd, a.data, a.len);
	return strcmp(q->path, "/odd/keep") == 0;
}

/* ---- the clients ---- */

struct fixture {
	struct loop *loop;
	struct server *server;
	struct loop_timer guard;
	bool expired;
};

struct outcome {
	enum failure failure;
	int status;
	bool streamed;
	uint64_t bytes;
	char body[1024];      /* its beginning */
	uint64_t connections; /* after one more request */
	char error[256];
};

static void on_guard(struct loop_timer *t, uint64_t now_ns)
{
	struct fixture *f = t->data;
	(void)now_ns;
	f->expired = true;
	loop_stop(f->loop);
}

static void on_done(void *ctx, struct exchange *x)
{
	struct fixture *f = ctx;
	(void)x;
	loop_stop(f->loop);
}

static const struct client_sink sink = { .done = on_done };

static struct response *one(struct fixture *f, struct client *c, struct exchange *x,
                            const char *method, const char *path)
{
	x->method = method;
	x->path = path;
	x->deadline_ns = clock_now() + DEADLINE_NS;
	assert_int_equal(loop_timer_start(f->loop, &f->guard, clock_now() + GUARD_NS), 0);
	assert_int_equal(client_submit(c, x), 0);
	assert_int_equal(loop_run(f->loop), 0);
	loop_timer_stop(f->loop, &f->guard);
	assert_false(f->expired);
	return &x->response;
}

static void ask(struct fixture *f, client_factory *factory, const char *method, const char *path,
                struct outcome *out)
{
	struct exchange x = { .response.keep_body = true };
	const char *url = f->server->url;
	struct client_config config = { .urls = &url, .url_count = 1 };
	struct client *c = NULL;
	struct error e = { 0 };
	if (factory(&c, f->loop, &config, &sink, f, &e))
		fail_msg("%s", e.text);
	struct response *r = one(f, c, &x, method, path);
	memset(out, 0, sizeof(*out));
	out->failure = r->failure;
	out->status = r->status;
	out->streamed = r->streamed;
	out->bytes = r->bytes;
	size_t len = r->body.len < sizeof(out->body) ? r->body.len : sizeof(out->body);
	if (len)
		memcpy(out->body, r->body.data, len);
	snprintf(out->error, sizeof(out->error), "%s", r->error);
	assert_int_equal(one(f, c, &x, "GET", "/plain")->failure, FAILURE_NONE);
	out->connections = client_connections(c);
	response_free(&x.response);
	client_free(c);
}

/* ---- odd answers ---- */

static void put(struct answer *a, const char *text, size_t len)
{
	if (len > ANSWER_MAX - a->len)
		len = ANSWER_MAX - a->len;
	memcpy(a->data + a->len, text, len);
	a->len += len;
}

static void say(struct answer *a, const char *text)
{
	put(a, text, strlen(text));
}

#define PICK(r, list) ((list)[rng_below((r), sizeof(list) / sizeof(*(list)))])

static bool chance(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

static void end_line(struct rng *r, struct answer *a)
{
	static const char *const odd[] = { "\n", "\r\r\n", " \r\n", "\t\r\n", "\r", "\n\r" };
	say(a, chance(r, 6) ? PICK(r, odd) : "\r\n");
}

static const char *status_line(struct rng *r)
{
	static const char *const good[] = { "HTTP/1.1 200 OK",   "HTTP/1.1 200 OK",
		                            "HTTP/1.1 200 OK",   "HTTP/1.0 200 OK",
		                            "HTTP/1.1 204 None", "HTTP/1.1 304 Same",
		                            "HTTP/1.1 404 No" };
	static const char *const odd[] = {
		"HTTP/1.1 200",
		"HTTP/1.1 200 ",
		"HTTP/1.1  200 OK",
		"HTTP/2.0 200 OK",
		"HTTP/2 200 OK",
		"HTTP/1.2 200 OK",
		"HTTP/0.9 200 OK",
		"HTTP/1.1 099 OK",
		"HTTP/1.1 000 OK",
		"HTTP/1.1 20 OK",
		"HTTP/1.1 2000 OK",
		"HTTP/1.1 999 OK",
		"HTTP/1.1 600 OK",
		"http/1.1 200 OK",
		"HTTP/1.1\t200 OK",
		"HTTP/1.1 200\tOK",
		"HTTP/11 200 OK",
		"HTTP/1.10 200",
		"HTTP/01.1 200 OK",
		"HTTP/3 200 OK",
		"ICY 200 OK",
		"HTTP/1.1 +200 O",
		"HTTP/1.1 2x0 OK",
		"HTTP/1.1 205 Reset",
		"HTTP/1.1 101 Sw",
		"HTTP/1.1 206 Pt",
		"HTTP/1.1 401 Who",
		"HTTP/1.1 407 Who",
		"HTTP/1.1 417 No",
		"HTTP/1.1 301 To",
		"HTTP/1.1 408 Slow",
		"HTTP/1.1 200 O\tK\x80",
		" HTTP/1.1 200 OK",
		"HTTP/1.",
		"H",
		"",
		"HTTP/1.1 200 OK",
	};
	return chance(r, 30) ? PICK(r, odd) : PICK(r, good);
}

static void interim(struct rng *r, struct answer *a)
{
	static const char *const heads[] = {
		"HTTP/1.1 100 Continue\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nX: 1\r\n",
		"HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n",
		"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n",
		"HTTP/1.0 100 Continue\r\n",
		"HTTP/1.1 100 Continue\r\nConnection: close\r\n",
		"HTTP/1.1 199 What\r\n",
	};
	say(a, PICK(r, heads));
	end_line(r, a);
}

static void field(struct rng *r, struct answer *a)
{
	static const char *const fields[] = {
		"X-A: 1",
		"Content-Type: text/plain",
		"Content-Type: text/event-stream",
		"Content-Type:text/event-stream;charset=utf-8",
		"Content-Type: ",
		"content-TYPE:\t text/event-stream \t",
		"Connection: close",
		"Connection: keep-alive",
		"Connection: close, keep-alive",
		"Connection: keep-alive, close",
		"Connection: foo",
		"Connection: foo,close",
		"Connection: \"close\"",
		"Connection: closed",
		"Connection: Keep-Alive, foo",
		"connection:close",
		"Proxy-Connection: close",
		"Proxy-Connection: keep-alive",
		"Keep-Alive: timeout=5, max=0",
		"Content-Encoding: gzip",
		"Server: a \t b",
		"Date: x\x80y",
		"X-Empty:",
		"Location: /plain",
		"WWW-Authenticate: Basic realm=x",
		"Set-Cookie: a=b",
		"Trailer: X-T",
		"Upgrade: h2c",
		"Alt-Svc: h2=\":1\"",
		"Refresh: 0",
		"Content-Range: bytes 0-1/2",
		"Strict-Transport-Security: max-age=1",
		"Retry-After: 1",
	};
	static const char *const odd[] = { " folded",
		                           "\tfolded",
		                           ": no name",
		                           "no colon",
		                           "a b: c",
		                           "X : 1",
		                           "(x): 1",
		                           "X-\x80: 1",
		                           "X\t: 1",
		                           " X: 1",
		                           ":",
		                           "Connection : close",
		                           "Content-Type : text/event-stream" };
	say(a, chance(r, 15) ? PICK(r, odd) : PICK(r, fields));
	end_line(r, a);
}

static void length_field(struct rng *r, struct answer *a, size_t len)
{
	static const char *const odd[] = {
		"Content-Length: +2",
		"Content-Length: -2",
		"Content-Length : 2",
		"Content-Length: 2 2",
		"Content-Length: 2, 2",
		"Content-Length: 2,3",
		"Content-Length: 0x2",
		"Content-Length: 002",
		"Content-Length: 2x",
		"Content-Length: 2;",
		"Content-Length: \"2\"",
		"Content-Length:",
		"Content-Length: 2.0",
		"Content-Length: 99999999999999999999999",
		"Content-Length: 9223372036854775807",
		"Content-Length: 9223372036854775808",
		"Content-Length: 18446744073709551618",
		"Content-Length: 4294967298",
		"Content-Length: 00000000000000000000000000000002",
		"Content-Length: two",
		"content-length:2",
		"Content-Length:\t2\t",
		"Content-Length: 2\v",
		" Content-Length: 2",
		"Content-Length\t: 2",
		"Content-Length: 3",
		"Content-Length: 0",
	};
	char good[48];
	snprintf(good, sizeof(good), "Content-Length: %zu", len);
	say(a, chance(r, 30) ? PICK(r, odd) : good);
	end_line(r, a);
}

static void coding_field(struct rng *r, struct answer *a)
{
	static const char *const odd[] = {
		"Transfer-Encoding: gzip, chunked",
		"Transfer-Encoding: chunked, gzip",
		"Transfer-Encoding: gzip",
		"Transfer-Encoding: identity",
		"Transfer-Encoding: CHUNKED",
		"Transfer-Encoding: chunked, chunked",
		"Transfer-Encoding: ,chunked",
		"Transfer-Encoding: chunked,",
		"Transfer-Encoding: chunked;a=b",
		"Transfer-Encoding: \"chunked\"",
		"Transfer-Encoding: xchunked",
		"Transfer-Encoding: chunkedx",
		"Transfer-Encoding:",
		"Transfer-Encoding : chunked",
		"Transfer-Encoding:\tchunked\t",
		"Transfer-Encoding: identity, chunked",
		"Transfer-Encoding: nonsense",
		"Transfer-Encoding: br",
		"Transfer-Encoding: deflate",
		" Transfer-Encoding: chunked",
		"Transfer-Encoding: x y",
	};
	say(a, chance(r, 30) ? PICK(r, odd) : "Transfer-Encoding: chunked");
	end_line(r, a);
}

static void chunk(struct rng *r, struct answer *a, const char *data, size_t len)
{
	static const char *const odd[] = {
		"2 ",
		" 2",
		"2\t",
		"0x2",
		"+2",
		"-2",
		"",
		"2;a",
		"2;a=b",
		"2 ;a=\"b\"",
		"g",
		"02",
		"0002",
		"2x",
		"2,",
		"2\v",
		"ffffffffffffffff",
		"7fffffffffffffff",
		"fffffffffffffffff",
		"000000000000000000002",
		"0000000000000002",
		"2;\x80",
		"2;\r",
		"00000000000000002",
		"8000000000000000",
		"fffffff",
		"2 2",
	};
	char size[32];
	snprintf(size, sizeof(size), chance(r, 50) ? "%zx" : "%zX", len);
	say(a, chance(r, 12) ? PICK(r, odd) : size);
	end_line(r, a);
	put(a, data, len);
	end_line(r, a);
}

static void body(struct rng *r, struct answer *a, bool chunked, const char *data, size_t len)
{
	if (!chunked) {
		put(a, data, len);
		return;
	}
	for (size_t at = 0, n; at < len; at += n) {
		n = 1 + rng_below(r, len - at);
		chunk(r, a, data + at, n);
	}
	static const char *const last[] = {
		"0", "00", "0;x", "0 ", "000000000", "-0", "0x0", "0\t;"
	};
	say(a, chance(r, 15) ? PICK(r, last) : "0");
	end_line(r, a);
	while (chance(r, 25))
		field(r, a);
	end_line(r, a);
}

/* Change, take away or add some bytes. */
static void damage(struct rng *r, struct answer *a)
{
	static const char some[] = "\0\r\n\t :;,0129afxHTP/.\x7f\xff";
	size_t at = rng_below(r, a->len + 1);
	switch (rng_below(r, 4)) {
	case 0: /* an early end */
		a->len = at;
		return;
	case 1:
		if (at < a->len)
			a->data[at] = some[rng_below(r, sizeof(some) - 1)];
		return;
	case 2:
		if (at < a->len) {
			memmove(a->data + at, a->data + at + 1, a->len - at - 1);
			a->len--;
		}
		return;
	default:
		if (a->len == ANSWER_MAX)
			return;
		memmove(a->data + at + 1, a->data + at, a->len - at);
		a->data[at] = some[rng_below(r, sizeof(some) - 1)];
		a->len++;
	}
}

static void make_answer(uint64_t seed, struct answer *a)
{
	struct rng r;
	rng_init(&r, seed, 0);
	a->len = 0;
	static const char text[] = "ok0123456789\r\n\r\nHTTP/1.1 200 OK\r\n\r\ndata: x\n\n";
	static const size_t lens[] = { 0, 1, 2, 2, 2, 2, 2, 3, 16, sizeof(text) - 1 };
	size_t len = PICK(&r, lens);
	bool chunked = chance(&r, 45);
	while (chance(&r, 12))
		interim(&r, a);
	say(a, status_line(&r));
	end_line(&r, a);
	while (chance(&r, 40))
		field(&r, a);
	while (!chunked && chance(&r, 50))
		length_field(&r, a, len);
	while (chunked && chance(&r, 60))
		coding_field(&r, a);
	if (chance(&r, 6))
		length_field(&r, a, len);
	while (chance(&r, 30))
		field(&r, a);
	end_line(&r, a);
	body(&r, a, chunked, text, len);
	if (chance(&r, 5))
		say(a, "more");
	while (chance(&r, 20))
		damage(&r, a);
}

/* ---- the comparison ---- */

/* What plain sockets refuse on purpose, because another reader could see another end of the
 * body in it, or go on to the next answer at another place. docs/reference.md tells them. */
static const char *const strict[] = {
	"a CR within a line of HTTP",
	"a NUL in the head",
	"a folded line in the HTTP head",
	"a blank before a colon in the HTTP head",
	"a malformed field name in the HTTP head",
	"a Content-Length of the HTTP head that is no length",
	"two Content-Lengths in the HTTP head that differ",
	"a Transfer-Encoding in the HTTP head other than chunked",
	"both Transfer-Encoding and Content-Length in the HTTP head",
	"a chunk's size that does not end in CR LF",
	"a chunk's size is no hexadecimal number",
	"a chunk is longer than its size",
};

static bool is_strict(const char *error)
{
	for (size_t i = 0; i < sizeof(strict) / sizeof(*strict); i++)
		if (error && strcmp(error, strict[i]) == 0)
			return true;
	return false;
}

/* What the parser alone makes of it. */
struct parsed {
	bool strict;   /* refused on purpose */
	bool complete; /* it ends by itself: its connection may stay open */
	bool more;     /* there is more than the answer: plain sockets close its connection */
	bool old;      /* HTTP/1.0 in chunks: likewise */
};

static struct parsed parse(const struct answer *a, bool head)
{
	struct http1 p = { 0 };
	const char *at = a->data, *end = a->data + a->len;
	enum http1_event e;
	http1_start(&p, head);
	do
		e = http1_next(&p, &at, end);
	while (e == HTTP1_HEAD || e == HTTP1_BODY);
	struct parsed r = { .strict = e == HTTP1_BAD && is_strict(p.error),
		            .complete = e == HTTP1_END,
		            .more = e == HTTP1_END && at < end,
		            .old = p.head.version == 10 && p.head.chunked };
	http1_free(&p);
	return r;
}

static bool is_same(const struct outcome *curl, const struct outcome *direct, struct parsed p)
{
	if (p.strict)
		return direct->failure == FAILURE_BAD_HTTP || direct->failure == FAILURE_HTTP;
	bool closes = p.more || p.old;
	return curl->failure == direct->failure && curl->status == direct->status &&
	       curl->streamed == direct->streamed && curl->bytes == direct->bytes &&
	       memcmp(curl->body, direct->body, sizeof(curl->body)) == 0 &&
	       (closes ? direct->connections == 2 : curl->connections == direct->connections);
}

static void show_answer(const struct answer *a)
{
	for (size_t i = 0; i < a->len; i++) {
		unsigned char c = (unsigned char)a->data[i];
		if (c == '\r' || c == '\n')
			fputs(c == '\r' ? "\\r" : "\\n", stderr);
		else
			fprintf(stderr, c < ' ' || c >= 0x7f || c == '\\' ? "\\x%02x" : "%c", c);
	}
	fputc('\n', stderr);
}

static void show_outcome(const char *who, const struct outcome *o)
{
	fprintf(stderr, "  %s: %s, status %d, %llu bytes, %llu connections%s, \"%s\"\n", who,
	        failure_name(o->failure), o->status, (unsigned long long)o->bytes,
	        (unsigned long long)o->connections, o->streamed ? ", streamed" : "", o->error);
}

/* The number of differences. */
static unsigned compare(struct fixture *f, uint64_t seed, const struct answer *a, bool head,
                        bool keep)
{
	struct outcome curl, direct;
	const char *method = head ? "HEAD" : "GET", *path = keep ? "/odd/keep" : "/odd/close";
	ask(f, curl_client_new, method, path, &curl);
	ask(f, direct_client_new, method, path, &direct);
	if (is_same(&curl, &direct, parse(a, head)))
		return 0;
	fprintf(stderr, "seed %llu, %s, %s: ", (unsigned long long)seed, method,
	        keep ? "kept" : "closed");
	show_answer(a);
	show_outcome("curl", &curl);
	show_outcome("direct", &direct);
	return 1;
}

static unsigned run_seed(struct fixture *f, uint64_t seed)
{
	struct answer a;
	bool head = seed % 16 == 0;
	make_answer(seed, &a);
	copy_answer(&current, &a);
	unsigned n = compare(f, seed, &a, head, false);
	if (parse(&a, head).complete)
		n += compare(f, seed, &a, head, true);
	return n;
}

/* ---- requests ---- */

struct ask {
	const char *method, *body;
	const char *headers[8];
	size_t header_count;
	char path[256], url[256];
	bool own; /* the path is the client's own */
};

static void make_ask(uint64_t seed, const char *base, struct ask *q)
{
	static const char *const methods[] = { NULL,  NULL,      "GET",  "PUT",  "DELETE", "PATCH",
		                               "get", "OPTIONS", "X-YZ", "POST", "HEAD" };
	static const char *const bodies[] = { NULL, NULL, "", "x", "{\"a\": 1}" };
	static const char *const parts[] = { "/a",     "/b/../c", "/./d", "/%2e%2e/e", "//",
		                             "/a;b=1", "/.",      "/..",  "/\xc3\xa4", "/a%20b",
		                             "/",      "/a:b",    "/@",   "/[x]",      "/a'\"<>" };
	static const char *const queries[] = { "?x=1", "?",      "?a=/../b",
		                               "?a?b", "?x=%zz", "?\xc3\xa4" };
	static const char *const bases[] = { "", "", "/p", "/p/", "/p/../q", "/p//", "/\xc3\xa4" };
	static const char *const headers[] = {
		"X-A: 1",
		"x-a: 2",
		"Accept: x",
		"accept:",
		"Host: other",
		"User-Agent: me",
		"User-Agent:",
		"Content-Type: t",
		"content-type:",
		"Connection: close",
		"Connection: keep-alive",
		"Cookie: a=b",
		"Authorization: Bearer x",
		"TE: trailers",
		"Upgrade: h2c",
		"X-Empty:",
		"X-Blank: ",
		"X-Tab:\tx",
		"Range: bytes=0-1",
		"Accept-Encoding: gzip",
		"X-B: \xa4",
		"Host:",
		"If-Modified-Since: x",
		"Proxy-Connection: close",
		"Content-Encoding: gzip",
	};
	struct rng r;
	rng_init(&r, seed, 1);
	*q = (struct ask){ .method = PICK(&r, methods), .body = PICK(&r, bodies) };
	strcpy(q->path, "/asked");
	while (chance(&r, 40) && strlen(q->path) < 200)
		strcat(q->path, PICK(&r, parts));
	if (chance(&r, 20))
		strcat(q->path, PICK(&r, queries));
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers) && q->header_count < 8; i++)
		if (chance(&r, 8))
			q->headers[q->header_count++] = headers[i];
	q->own = chance(&r, 50);
	snprintf(q->url, sizeof(q->url), "%s%s", base, PICK(&r, bases));
}

/* The lines of the head in an order of their own. */
static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_fields(struct answer *a)
{
	char *lines[64], *copy = strndup(a->data, a->len), *at = copy;
	char *body = copy ? strstr(copy, "\r\n\r\n") : NULL;
	size_t n = 0;
	if (!body)
		fail_msg("no head: %.*s", (int)a->len, a->data);
	body[1] = '\0'; /* the end of the last line stays, in part as that of the others */
	for (char *line; n < 64 && (line = strsep(&at, "\n")); n++)
		lines[n] = line;
	qsort(lines + 1, n - 1, sizeof(*lines), by_text);
	struct answer sorted = { .len = 0 };
	for (size_t i = 0; i < n; i++) {
		say(&sorted, lines[i]);
		say(&sorted, "\n");
	}
	say(&sorted, body + 2);
	memcpy(a->data, sorted.data, sorted.len);
	a->len = sorted.len;
	free(copy);
}

static void send_ask(struct fixture *f, client_factory *factory, const struct ask *q,
                     struct answer *seen, struct outcome *out)
{
	struct exchange x = { .body = q->body,
		              .body_len = q->body ? strlen(q->body) : 0,
		              .headers = q->headers,
		              .header_count = q->header_count };
	const char *url = q->url;
	struct client_config config = { .urls = &url, .url_count = 1 };
	struct client *c = NULL;
	struct error e = { 0 };
	config.path = q->own ? q->path : NULL;
	*out = (struct outcome){ .failure = FAILURE_CLIENT };
	seen->len = 0;
	copy_answer(&asked, seen);
	if (factory(&c, f->loop, &config, &sink, f, &e)) {
		snprintf(out->error, sizeof(out->error), "%.255s", e.text);
		return;
	}
	struct response *r = one(f, c, &x, q->method, q->own ? NULL : q->path);
	out->failure = r->failure;
	out->status = r->status;
	out->connections = client_connections(c);
	snprintf(out->error, sizeof(out->error), "%s", r->error);
	copy_answer(seen, &asked);
	if (seen->len)
		sort_fields(seen);
	response_free(&x.response);
	client_free(c);
}

static unsigned ask_seed(struct fixture *f, uint64_t seed)
{
	struct ask q;
	struct answer by_curl, by_direct;
	struct outcome curl, direct;
	make_ask(seed, f->server->url, &q);
	send_ask(f, curl_client_new, &q, &by_curl, &curl);
	send_ask(f, direct_client_new, &q, &by_direct, &direct);
	if (curl.failure == direct.failure && by_curl.len == by_direct.len &&
	    memcmp(by_curl.data, by_direct.data, by_curl.len) == 0)
		return 0;
	fprintf(stderr, "seed %llu, %s%s\n", (unsigned long long)seed, q.url, q.path);
	show_outcome("curl", &curl);
	show_answer(&by_curl);
	show_outcome("direct", &direct);
	show_answer(&by_direct);
	return 1;
}

/* ---- seeds ---- */

static unsigned run_batch(unsigned (*run)(struct fixture *, uint64_t), uint64_t first,
                          unsigned count)
{
	struct fixture f = { 0 };
	unsigned n = 0;
	assert_int_equal(loop_new(&f.loop), 0);
	f.server = server_start(NULL);
	f.guard = (struct loop_timer){ .fn = on_guard, .data = &f };
	for (unsigned i = 0; i < count; i++)
		n += run(&f, first + i);
	loop_free(f.loop);
	server_stop(f.server);
	return n;
}

static uint64_t first_seed = 1, seed_count = SEEDS;

static void run_seeds(unsigned (*run)(struct fixture *, uint64_t))
{
	unsigned n = 0;
	for (uint64_t at = 0; at < seed_count; at += BATCH) {
		uint64_t left = seed_count - at;
		n += run_batch(run, first_seed + at, left < BATCH ? (unsigned)left : BATCH);
	}
	assert_int_equal(n, 0);
}

static void both_make_the_same_of_odd_answers(void **state)
{
	(void)state;
	run_seeds(run_seed);
}

static void both_send_the_same_requests(void **state)
{
	(void)state;
	run_seeds(ask_seed);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_make_the_same_of_odd_answers),
		cmocka_unit_test(both_send_the_same_requests),
	};
	if (argc == 3) {
		first_seed = strtoull(argv[1], NULL, 10);
		seed_count = strtoull(argv[2], NULL, 10);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
