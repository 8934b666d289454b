#include "http/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES      ((size_t)256 * 1024)
#define READS_PER_EVENT 8 /* then the others have their turn */

int connection_group_init(struct connection_group *g, struct loop *loop,
                          const struct connection_events *events)
{
	*g = (struct connection_group){ .loop = loop, .events = events };
	g->bytes = malloc(READ_BYTES);
	return g->bytes ? STATUS_OK : STATUS_ENOMEM;
}

void connection_group_fini(struct connection_group *g)
{
	free(g->bytes);
}

/* ---- life ---- */

static void on_poll(uv_poll_t *h, int status, int events);

static void arm(struct connection *c, int events)
{
	/* Fails for closing handles only. */
	if (c->armed != events && uv_poll_start(&c->poll, events, on_poll) == 0)
		c->armed = events;
}

static int new_socket(int family)
{
#ifdef SOCK_NONBLOCK
	return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
	int fd = socket(family, SOCK_STREAM, 0);
	if (fd >= 0 && (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))) {
		close(fd);
		return -1;
	}
	return fd;
#endif
}

/* Returns the descriptor, or -1 with errno set. */
static int begin_connect(const struct socket_address *to, const struct socket_address *from)
{
	int on = 1;
	int fd = new_socket(to->data.ss_family);
	if (fd < 0)
		return -1;
	if (to->data.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((!from || address_bind(fd, from) == 0) &&
	    (connect(fd, (const struct sockaddr *)&to->data, to->len) == 0 || errno == EINPROGRESS))
		return fd;
	int err = errno;
	close(fd);
	errno = err;
	return -1;
}

int connection_open(struct connection **out, struct connection_group *g,
                    const struct socket_address *to, const struct socket_address *from)
{
	int fd = begin_connect(to, from);
	if (fd < 0)
		return errno;
	struct connection *c = calloc(1, sizeof(*c));
	if (!c || uv_poll_init(loop_uv(g->loop), &c->poll, fd)) {
		free(c);
		close(fd);
		return ENOMEM;
	}
	c->poll.data = c;
	c->group = g;
	c->parser.known = &g->known;
	c->fd = fd;
	buffer_init(&c->rest, SIZE_MAX);
	arm(c, UV_WRITABLE);
	*out = c;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

void connection_close(struct connection *c)
{
	c->state = CONNECTION_CLOSED;
	http1_free(&c->parser);
	buffer_free(&c->rest);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	close(c->fd);
}

/* ---- sending ---- */

/* The loop has the process ignore SIGPIPE. */
static ssize_t send_two(int fd, const char *head, size_t head_len, const char *body,
                        size_t body_len)
{
	if (!body_len)
		return send(fd, head, head_len, 0);
	struct iovec parts[] = { { (void *)head, head_len }, { (void *)body, body_len } };
	struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
	return sendmsg(fd, &m, 0);
}

/* Is all of it sent? What is not stays in c->rest and in the body. A broken connection
 * shows when it is read, where an answer may have come before. */
static bool send_some(struct connection *c, const char *head, size_t head_len)
{
	size_t body_len = c->body_left ? c->x->body_len - c->body_sent : 0;
	const char *body = body_len ? c->x->body + c->body_sent : NULL;
	ssize_t n;
	do
		n = send_two(c->fd, head, head_len, body, body_len);
	while (n < 0 && errno == EINTR);
	size_t sent = n < 0 ? 0 : (size_t)n;
	if (sent == head_len + body_len) {
		c->body_left = false;
		return true;
	}
	size_t of_head = sent < head_len ? sent : head_len;
	c->body_sent += sent - of_head;
	if (head == c->rest.data)
		buffer_consume(&c->rest, of_head);
	else if (buffer_append(&c->rest, head + of_head, head_len - of_head))
		shutdown(c->fd, SHUT_RDWR); /* out of memory: as if the peer had gone */
	return false;
}

static void send_rest(struct connection *c)
{
	if (!send_some(c, c->rest.data, c->rest.len))
		return;
	buffer_free(&c->rest);
	arm(c, UV_READABLE);
}

static bool is_all_sent(const struct connection *c)
{
	return !c->rest.len && !c->body_left;
}

void connection_send(struct connection *c, struct exchange *x, const struct buffer *request,
                     bool body_follows, bool is_head)
{
	c->state = CONNECTION_BUSY;
	c->x = x;
	c->body_sent = 0;
	c->body_left = body_follows;
	http1_start(&c->parser, is_head);
	x->response.fresh = !c->sent;
	c->sent = true;
	x->response.sent_ns = loop_refresh(c->group->loop);
	bool all = send_some(c, request->data, request->len);
	arm(c, all ? UV_READABLE : UV_READABLE | UV_WRITABLE);
}

/* ---- receiving ---- */

static void end(struct connection *c, enum failure why, const char *text, bool keep)
{
	keep = keep && is_all_sent(c);
	c->state = CONNECTION_IDLE;
	c->x = NULL;
	c->group->events->ended(c, why, text, keep);
	c->used = true; /* its memory outlives the callback */
}

/* What was received. False: the answer is over, or of no use to anyone. */
static bool take_bytes(struct connection *c, const char *at, size_t len, uint64_t now_ns)
{
	const char *stop = at + len;
	struct http1 *p = &c->parser;
	struct exchange *x = c->x;
	while (!x->verdict) {
		enum http1_event event = http1_next(p, &at, stop);
		if (p->head.status && !x->response.first_byte_ns)
			x->response.first_byte_ns = now_ns; /* as libcurl: of a whole line */
		switch (event) {
		case HTTP1_MORE:
			return true;
		case HTTP1_HEAD:
			response_head(&x->response, p->head.status,
			              *p->head.content_type ? p->head.content_type : NULL, now_ns);
			break;
		case HTTP1_BODY:
			if (response_bytes(&x->response, p->data, p->len, now_ns)) {
				end(c, FAILURE_CLIENT, "", false); /* the response says better */
				return false;
			}
			break;
		case HTTP1_END:
			end(c, FAILURE_NONE, "", p->keep && at == stop);
			return false;
		case HTTP1_LARGE:
			end(c, FAILURE_TOO_LARGE, p->error, false);
			return false;
		default:
			end(c, FAILURE_BAD_HTTP, p->error, false);
			return false;
		}
	}
	return false;
}

/* The peer has closed (err 0) or broken the connection. */
static void on_end(struct connection *c, int err)
{
	if (err == ECONNRESET)
		end(c, FAILURE_RESET, "the connection was reset by the peer", false);
	else if (err)
		end(c, FAILURE_RESET, strerror(err), false);
	else if (http1_finish(&c->parser) == HTTP1_END)
		end(c, FAILURE_NONE, "", false);
	else
		end(c, FAILURE_RESET, c->parser.error, false);
}

bool connection_is_kept(const struct connection *c)
{
	return c->sent;
}

bool connection_was_stale(const struct connection *c)
{
	return c->used && !c->parser.begun;
}

/* broken: read on until the end, for no event will come any more. */
static void receive(struct connection *c, bool broken)
{
	struct connection_group *g = c->group;
	for (int i = 0; broken || i < READS_PER_EVENT; i++) {
		ssize_t n = recv(c->fd, g->bytes, READ_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		uint64_t now = loop_refresh(g->loop); /* the bytes were there before now */
		if (n <= 0) {
			on_end(c, n < 0 ? errno : 0);
			return;
		}
		if (!take_bytes(c, g->bytes, (size_t)n, now))
			return;
		if ((size_t)n < READ_BYTES && !broken)
			return;
	}
}

/* ---- events ---- */

static void on_connected(struct connection *c)
{
	int err = 0;
	socklen_t len = sizeof(err);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (!err) {
		c->state = CONNECTION_IDLE;
		arm(c, UV_READABLE);
	}
	c->group->events->connected(c, err);
}

static void on_busy(struct connection *c, bool broken, int events)
{
	if (c->x->verdict) /* its end is on its way */
		return;
	if (!broken && events & UV_WRITABLE)
		send_rest(c);
	if (broken || events & UV_READABLE)
		receive(c, broken);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct connection *c = h->data;
	struct loop *loop = c->group->loop;
	bool broken = status < 0; /* the socket has an error: libuv has stopped the handle */
	if (broken)
		c->armed = 0;
	if (c->state != CONNECTION_BUSY) /* else reading and sending do it */
		loop_refresh(loop);
	if (c->state == CONNECTION_CONNECTING)
		on_connected(c);
	else if (c->state == CONNECTION_BUSY)
		on_busy(c, broken, events);
	else if (c->state == CONNECTION_IDLE)
		c->group->events->spoiled(c);
	loop_yield(loop);
}
