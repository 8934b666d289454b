#include "http/exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define TYPE_PAGE "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_TEXT "text/plain; charset=utf-8"
#define BACKLOG   64

enum visitor_state {
	VISITOR_NONE,    /* free */
	VISITOR_ASKING,  /* its request is being read */
	VISITOR_TOLD,    /* answered: what it still sends is dropped until it goes */
	VISITOR_CLOSING, /* the close callback is to come */
};

struct visitor {
	uv_tcp_t tcp;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct loop_timer deadline;
	struct exposition *owner;
	enum visitor_state state;
	bool said_all;     /* it will send nothing more: it has asked, and reads */
	bool written;      /* the whole answer */
	struct buffer out; /* the answer, unchanged until it is written */
	size_t got;        /* bytes in head */
	char head[EXPOSITION_HEAD];
};

struct exposition {
	uv_tcp_t listener;
	struct loop *loop;
	int (*make)(void *ctx, struct buffer *page);
	void *ctx;
	uint64_t deadline_ns; /* of a connection */
	struct buffer page;
	uint64_t made_ns; /* when the page was made; 0: never */
	unsigned open;    /* handles that are not yet closed, the listener's included */
	bool closing;
	char url[128];
	struct visitor visitors[EXPOSITION_CONNECTIONS];
};

/* ---- end ---- */

static void handle_gone(struct exposition *x)
{
	if (--x->open || !x->closing)
		return;
	for (size_t i = 0; i < EXPOSITION_CONNECTIONS; i++)
		buffer_free(&x->visitors[i].out);
	buffer_free(&x->page);
	free(x);
}

static void on_listener_closed(uv_handle_t *h)
{
	handle_gone(h->data);
}

static void on_visitor_closed(uv_handle_t *h)
{
	struct visitor *v = h->data;
	v->state = VISITOR_NONE;
	buffer_trim(&v->out, EXPOSITION_HEAD);
	handle_gone(v->owner);
}

static void leave(struct visitor *v)
{
	if (v->state == VISITOR_NONE || v->state == VISITOR_CLOSING)
		return;
	v->state = VISITOR_CLOSING;
	loop_timer_stop(v->owner->loop, &v->deadline);
	uv_close((uv_handle_t *)&v->tcp, on_visitor_closed);
}

static void on_deadline(struct loop_timer *t, uint64_t now_ns)
{
	(void)now_ns;
	leave(t->data);
}

void exposition_close(struct exposition *x)
{
	if (!x)
		return;
	x->closing = true;
	for (size_t i = 0; i < EXPOSITION_CONNECTIONS; i++)
		leave(&x->visitors[i]);
	uv_close((uv_handle_t *)&x->listener, on_listener_closed);
}

/* ---- answers ---- */

static void on_shutdown(uv_shutdown_t *req, int status)
{
	if (status < 0)
		leave(req->data);
}

/* The end of the stream follows the answer; the visitor's own end closes, so that no
 * reset overtakes what it has not read yet. */
static void on_written(uv_write_t *req, int status)
{
	struct visitor *v = req->data;
	if (v->state != VISITOR_TOLD)
		return;
	v->shutdown.data = v;
	v->written = true;
	if (status < 0 || v->said_all ||
	    uv_shutdown(&v->shutdown, (uv_stream_t *)&v->tcp, on_shutdown))
		leave(v);
}

/* What was appended to v->out goes out. */
static void send_answer(struct visitor *v, bool complete)
{
	uv_buf_t buf = uv_buf_init(v->out.data, (unsigned)v->out.len);
	v->state = VISITOR_TOLD;
	v->write.data = v;
	if (!complete || uv_write(&v->write, (uv_stream_t *)&v->tcp, &buf, 1, on_written))
		leave(v);
}

static void answer(struct visitor *v, const char *status, const char *type, const char *text,
                   size_t len, bool head_only)
{
	int err = buffer_printf(&v->out,
	                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	                        "%sConnection: close\r\n\r\n",
	                        status, type, len,
	                        strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");
	if (!err && !head_only)
		err = buffer_append(&v->out, text, len);
	send_answer(v, !err);
}

static void refuse(struct visitor *v, const char *status)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s\n", status);
	answer(v, status, TYPE_TEXT, text, (size_t)n, false);
}

/* Make the page, unless it is fresh. */
static int refresh(struct exposition *x)
{
	uint64_t now = loop_now(x->loop);
	if (x->made_ns && now - x->made_ns < EXPOSITION_FRESH_NS)
		return STATUS_OK;
	buffer_clear(&x->page);
	x->made_ns = 0;
	int err = x->make(x->ctx, &x->page);
	if (!err)
		x->made_ns = now;
	return err;
}

static bool is(const char *word, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(word, text, len) == 0;
}

/* The request line is line[0..len): "GET /metrics?query HTTP/1.1". */
static void take_request(struct visitor *v, const char *line, size_t len)
{
	struct exposition *x = v->owner;
	const char *end = line + len, *path = memchr(line, ' ', len);
	const char *version = path ? memchr(path + 1, ' ', (size_t)(end - path - 1)) : NULL;
	if (!version || end - version < 8 || memcmp(version, " HTTP/1.", 8) != 0) {
		refuse(v, "400 Bad Request");
		return;
	}
	size_t method_len = (size_t)(path++ - line), path_len = (size_t)(version - path);
	const char *query = memchr(path, '?', path_len);
	bool head_only = is(line, method_len, "HEAD");
	if (query)
		path_len = (size_t)(query - path);
	if (!is(path, path_len, "/metrics"))
		refuse(v, "404 Not Found");
	else if (!head_only && !is(line, method_len, "GET"))
		refuse(v, "405 Method Not Allowed");
	else if (refresh(x))
		refuse(v, "500 Internal Server Error");
	else
		answer(v, "200 OK", TYPE_PAGE, x->page.data ? x->page.data : "", x->page.len,
		       head_only);
}

/* ---- requests ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	struct visitor *v = h->data;
	(void)hint;
	if (v->state != VISITOR_ASKING)
		v->got = 0; /* what comes now is not looked at */
	*buf = uv_buf_init(v->head + v->got, (unsigned)(sizeof(v->head) - v->got));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct visitor *v = stream->data;
	(void)buf;
	if (n == UV_EOF && v->state == VISITOR_TOLD && !v->written) {
		v->said_all = true;
		return;
	}
	if (n < 0) {
		leave(v);
		return;
	}
	if (v->state != VISITOR_ASKING)
		return;
	v->got += (size_t)n;
	if (memmem(v->head, v->got, "\r\n\r\n", 4))
		take_request(v, v->head, (size_t)((char *)memchr(v->head, '\r', v->got) - v->head));
	else if (v->got == sizeof(v->head))
		refuse(v, "431 Request Header Fields Too Large");
}

static struct visitor *free_visitor(struct exposition *x)
{
	for (size_t i = 0; i < EXPOSITION_CONNECTIONS; i++)
		if (x->visitors[i].state == VISITOR_NONE)
			return &x->visitors[i];
	return NULL;
}

/* One too many: taken, so that it does not wait, and closed. */
static void on_turned_away(uv_handle_t *h)
{
	handle_gone(h->data);
	free(h);
}

static void turn_away(struct exposition *x)
{
	uv_tcp_t *tcp = malloc(sizeof(*tcp));
	if (!tcp || uv_tcp_init(loop_uv(x->loop), tcp)) {
		free(tcp);
		return;
	}
	tcp->data = x;
	x->open++;
	uv_accept((uv_stream_t *)&x->listener, (uv_stream_t *)tcp);
	uv_close((uv_handle_t *)tcp, on_turned_away);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct exposition *x = listener->data;
	if (status < 0 || x->closing)
		return;
	struct visitor *v = free_visitor(x);
	if (!v || uv_tcp_init(loop_uv(x->loop), &v->tcp)) {
		turn_away(x);
		return;
	}
	x->open++;
	v->tcp.data = v;
	v->owner = x;
	v->state = VISITOR_ASKING;
	v->got = 0;
	v->said_all = v->written = false;
	v->deadline = (struct loop_timer){ .fn = on_deadline, .data = v };
	buffer_clear(&v->out);
	if (uv_accept(listener, (uv_stream_t *)&v->tcp) ||
	    uv_read_start((uv_stream_t *)&v->tcp, on_alloc, on_read) ||
	    loop_timer_start(x->loop, &v->deadline, loop_now(x->loop) + x->deadline_ns))
		leave(v);
}

/* ---- birth ---- */

/* "9095", ":9095", "HOST:PORT" or "[HOST]:PORT". Returns 0 or STATUS_EINVAL. */
static int parse_address(const char *text, struct sockaddr_storage *out)
{
	char host[64] = "127.0.0.1", *end;
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	size_t len = colon ? (size_t)(colon - text) : 0;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	unsigned long number = strtoul(port, &end, 10);
	if (*port < '0' || *port > '9' || *end || number > 65535 || len >= sizeof(host))
		return STATUS_EINVAL;
	if (len && !is(text, len, "localhost")) {
		memcpy(host, text, len);
		host[len] = '\0';
	}
	if (!uv_ip4_addr(host, (int)number, (struct sockaddr_in *)(void *)out) ||
	    !uv_ip6_addr(host, (int)number, (struct sockaddr_in6 *)(void *)out))
		return STATUS_OK;
	return STATUS_EINVAL;
}

static int set_url(struct exposition *x)
{
	struct sockaddr_storage a;
	char host[64];
	int len = sizeof(a), rc = uv_tcp_getsockname(&x->listener, (struct sockaddr *)&a, &len);
	if (rc)
		return rc;
	bool six = a.ss_family == AF_INET6;
	const struct sockaddr_in *in = (const void *)&a;
	const struct sockaddr_in6 *in6 = (const void *)&a;
	rc = six ? uv_ip6_name(in6, host, sizeof(host)) : uv_ip4_name(in, host, sizeof(host));
	snprintf(x->url, sizeof(x->url), six ? "http://[%s]:%u/metrics" : "http://%s:%u/metrics",
	         host, ntohs(six ? in6->sin6_port : in->sin_port));
	return rc;
}

int exposition_open(struct exposition **out, struct loop *loop, const char *address,
                    int (*make)(void *ctx, struct buffer *page), void *ctx, uint64_t deadline_ns,
                    struct error *e)
{
	struct sockaddr_storage where;
	*out = NULL;
	if (parse_address(address, &where))
		return error_set(e, STATUS_EINVAL,
		                 "%s: PORT or HOST:PORT was expected, with a numeric host",
		                 address);
	struct exposition *x = calloc(1, sizeof(*x));
	if (!x || uv_tcp_init(loop_uv(loop), &x->listener)) {
		free(x);
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", address);
	}
	x->loop = loop;
	x->make = make;
	x->ctx = ctx;
	x->deadline_ns = deadline_ns;
	x->open = 1;
	x->listener.data = x;
	buffer_init(&x->page, EXPOSITION_PAGE);
	for (size_t i = 0; i < EXPOSITION_CONNECTIONS; i++)
		buffer_init(&x->visitors[i].out, EXPOSITION_PAGE + EXPOSITION_HEAD);
	int rc = uv_tcp_bind(&x->listener, (struct sockaddr *)&where, 0);
	if (!rc)
		rc = uv_listen((uv_stream_t *)&x->listener, BACKLOG, on_connection);
	if (!rc)
		rc = set_url(x);
	if (rc) {
		exposition_close(x);
		return error_set(e, status_from_errno(-rc), "%s: %s", address, uv_strerror(rc));
	}
	*out = x;
	return STATUS_OK;
}

const char *exposition_url(const struct exposition *x)
{
	return x->url;
}
