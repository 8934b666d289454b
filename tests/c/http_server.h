/* http_server.h - a small HTTP/1.1 server of plain blocking sockets, for tests.
 *
 * A thread accepts, each connection has a thread of its own; the path of a request
 * names the behaviour. Starts on a free port of 127.0.0.1, or on a unix socket. */
#ifndef PERIGEE_TESTS_HTTP_SERVER_H
#define PERIGEE_TESTS_HTTP_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SERVER_CONNECTIONS 1024
#define REQUEST_BYTES      (2 << 20)

struct server {
	int fd;
	char url[64];
	pthread_t thread;
	pthread_t threads[SERVER_CONNECTIONS]; /* one per connection */
	int fds[SERVER_CONNECTIONS];
	atomic_int accepted;
	atomic_int requests;
};

struct server_request {
	char text[REQUEST_BYTES + 1]; /* head and body, terminated */
	size_t len;
	unsigned number; /* of its connection, from 1 */
	char *body;
	char path[128];
};

struct server_connection {
	struct server *server;
	int fd;
};

static inline void server_send(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static inline void server_say(int fd, const char *text)
{
	server_send(fd, text, strlen(text));
}

/* Until the client closes: how a server that never answers ends. */
static inline void server_wait_close(int fd)
{
	char c[512];
	while (recv(fd, c, sizeof(c), 0) > 0)
		;
}

/* Close with a reset instead of an orderly end. */
static inline void server_reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

/* False at the end of the connection. */
static inline bool server_read(int fd, struct server_request *q)
{
	q->len = 0;
	for (;;) {
		q->text[q->len] = '\0';
		if (q->text[0] == 0x16) { /* a TLS handshake is answered in plain text */
			snprintf(q->path, sizeof(q->path), "/plain");
			return true;
		}
		char *end = strstr(q->text, "\r\n\r\n");
		if (end && strstr(q->text, " /early")) { /* is answered before its body came */
			q->body = end + 4;
			return sscanf(q->text, "%*s %127s", q->path) == 1;
		}
		const char *length = strcasestr(q->text, "content-length:");
		size_t body = end && length && length < end ? strtoul(length + 15, NULL, 10) : 0;
		if (end && q->len >= (size_t)(end + 4 - q->text) + body) {
			q->body = end + 4;
			return sscanf(q->text, "%*s %127s", q->path) == 1;
		}
		ssize_t n = q->len < REQUEST_BYTES
		                    ? recv(fd, q->text + q->len, REQUEST_BYTES - q->len, 0)
		                    : 0;
		if (n <= 0)
			return false;
		q->len += (size_t)n;
	}
}

/* The test's: answer one request; false closes the connection. */
static bool server_answer(struct server *s, int fd, const struct server_request *q);

static inline void *server_talk(void *arg)
{
	struct server_connection *c = arg;
	struct server_request *q = malloc(sizeof(*q));
	if (q)
		q->number = 0;
	while (q && server_read(c->fd, q)) {
		q->number++;
		atomic_fetch_add(&c->server->requests, 1);
		if (!server_answer(c->server, c->fd, q))
			break;
	}
	free(q);
	/* server_stop() may shut it down but only this thread closes it. */
	for (int i = 0; i < SERVER_CONNECTIONS; i++)
		if (__atomic_load_n(&c->server->fds[i], __ATOMIC_ACQUIRE) == c->fd)
			__atomic_store_n(&c->server->fds[i], -1, __ATOMIC_RELEASE);
	close(c->fd);
	free(c);
	return NULL;
}

/* accept() takes its descriptor before it waits, so a test that leaves none ends
 * it at once: then wait for a connection without one. */
static inline int server_next(struct server *s)
{
	int fd;
	while ((fd = accept(s->fd, NULL, NULL)) < 0 && errno == EMFILE)
		poll(&(struct pollfd){ .fd = s->fd, .events = POLLIN }, 1, -1);
	return fd;
}

static inline void *server_accept(void *arg)
{
	struct server *s = arg;
	int fd;
	while (s->accepted < SERVER_CONNECTIONS && (fd = server_next(s)) >= 0) {
		struct server_connection *c = malloc(sizeof(*c));
		if (!c)
			abort();
		*c = (struct server_connection){ s, fd };
		int n = s->accepted;
		__atomic_store_n(&s->fds[n], fd, __ATOMIC_RELEASE);
		if (pthread_create(&s->threads[n], NULL, server_talk, c))
			abort();
		atomic_fetch_add(&s->accepted, 1);
	}
	return NULL;
}

/* unix_path NULL: TCP. */
static inline struct server *server_start(const char *unix_path)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr *a = unix_path ? (struct sockaddr *)&un : (struct sockaddr *)&in;
	socklen_t len = unix_path ? sizeof(un) : sizeof(in);
	if (!s)
		abort();
	memset(s->fds, -1, sizeof(s->fds));
	if (unix_path)
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", unix_path);
	s->fd = socket(a->sa_family, SOCK_STREAM, 0);
	if (s->fd < 0 || bind(s->fd, a, len) || listen(s->fd, 1024))
		abort();
	len = sizeof(in);
	if (!unix_path && getsockname(s->fd, (struct sockaddr *)&in, &len))
		abort();
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(in.sin_port));
	if (pthread_create(&s->thread, NULL, server_accept, s))
		abort();
	return s;
}

static inline void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (int i = 0; i < s->accepted; i++) {
		int fd = __atomic_load_n(&s->fds[i], __ATOMIC_ACQUIRE);
		if (fd >= 0)
			shutdown(fd, SHUT_RDWR);
		pthread_join(s->threads[i], NULL);
	}
	free(s);
}

#endif
