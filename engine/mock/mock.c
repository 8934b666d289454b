#include "mock/mock.h"

#include "mock/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define BACKLOG 4096

struct mock {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} listener;
	struct service service;
	struct connections connections;
	uint16_t port;
	bool listening; /* the listener's handle is open */
	bool closing;
	bool waiting; /* a connection stands in the listener, for want of room */
};

static int uv_failure(struct error *e, int rc, const char *address)
{
	return error_set(e, status_from_errno(-rc), "%s: %s", address, uv_strerror(rc));
}

/* ---- end ---- */

/* The memory goes with the last handle. */
static void free_if_closed(struct mock *m)
{
	if (!m->closing || m->listening || m->service.open)
		return;
	connections_free(&m->connections);
	service_free(&m->service);
	free(m);
}

static void on_listener_closed(uv_handle_t *h)
{
	struct mock *m = h->data;
	m->listening = false;
	free_if_closed(m);
}

void mock_free(struct mock *m)
{
	if (!m || m->closing)
		return;
	m->closing = true;
	if (m->listening)
		uv_close(&m->listener.handle, on_listener_closed);
	connections_close(&m->connections);
	free_if_closed(m);
}

/* ---- connections ---- */

static void accept_next(struct mock *m)
{
	m->waiting = !connections_accept(&m->connections, &m->listener.stream);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct mock *m = listener->data;
	if (status == 0 && !m->closing)
		accept_next(m);
}

static void on_connection_closed(void *data)
{
	struct mock *m = data;
	if (m->waiting && !m->closing)
		accept_next(m);
	free_if_closed(m);
}

/* ---- listening ---- */

static int parse_address(const struct mock_config *c, struct sockaddr_storage *out)
{
	const char *host = c->host ? c->host : "127.0.0.1";
	if (!uv_ip4_addr(host, c->port, (struct sockaddr_in *)(void *)out))
		return 0;
	return uv_ip6_addr(host, c->port, (struct sockaddr_in6 *)(void *)out);
}

static uint16_t bound_port(struct mock *m)
{
	struct sockaddr_storage a;
	int len = sizeof(a);
	if (uv_tcp_getsockname(&m->listener.tcp, (struct sockaddr *)&a, &len))
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&a)->sin6_port
	                                     : ((struct sockaddr_in *)(void *)&a)->sin_port);
}

static int listen_tcp(struct mock *m, struct loop *loop, const struct mock_config *c,
                      struct error *e)
{
	const char *host = c->host ? c->host : "127.0.0.1";
	struct sockaddr_storage address;
	char where[128];
	snprintf(where, sizeof(where), "%s port %u", host, c->port);
	if (parse_address(c, &address))
		return error_set(e, STATUS_EINVAL, "%s: a numeric address was expected", host);
	int rc = uv_tcp_init(loop_uv(loop), &m->listener.tcp);
	if (rc)
		return uv_failure(e, rc, where);
	m->listening = true;
	rc = uv_tcp_bind(&m->listener.tcp, (struct sockaddr *)&address, 0);
	if (!rc)
		rc = uv_listen(&m->listener.stream, BACKLOG, on_connection);
	if (rc)
		return uv_failure(e, rc, where);
	m->port = bound_port(m);
	return STATUS_OK;
}

/* A socket file that nobody listens to is left over from a process that was
 * killed: remove it. */
static void remove_stale(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) && errno == ECONNREFUSED)
		unlink(path);
	close(fd);
}

static int listen_unix(struct mock *m, struct loop *loop, const char *path, struct error *e)
{
	struct sockaddr_un limit;
	if (strlen(path) >= sizeof(limit.sun_path) || !*path)
		return error_set(e, STATUS_EINVAL, "%s: path of a socket is empty or too long",
		                 path);
	int rc = uv_pipe_init(loop_uv(loop), &m->listener.pipe, 0);
	if (rc)
		return uv_failure(e, rc, path);
	m->listening = true;
	remove_stale(path);
	rc = uv_pipe_bind(&m->listener.pipe, path);
	if (!rc)
		rc = uv_listen(&m->listener.stream, BACKLOG, on_connection);
	return rc ? uv_failure(e, rc, path) : STATUS_OK;
}

/* ---- life ---- */

int mock_new(struct mock **out, struct loop *loop, const struct mock_config *config,
             struct error *e)
{
	struct mock *m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	m->listener.handle.data = m;
	m->connections.on_closed = on_connection_closed;
	m->connections.data = m;
	unsigned max = config->max_connections ? config->max_connections : MOCK_CONNECTIONS;
	int err = service_init(&m->service, config, e);
	if (!err) {
		err = connections_init(&m->connections, loop, &m->service, max);
		if (err)
			error_set(e, err, "out of memory");
	}
	if (!err && config->log)
		err = ledger_open(&m->service.ledger, config->log, e);
	if (!err)
		err = config->unix_socket ? listen_unix(m, loop, config->unix_socket, e)
		                          : listen_tcp(m, loop, config, e);
	if (err) {
		mock_free(m);
		return err;
	}
	*out = m;
	return STATUS_OK;
}

uint16_t mock_port(const struct mock *m)
{
	return m->port;
}

int mock_close_log(struct mock *m, struct error *e)
{
	struct ledger *ledger = m->service.ledger;
	m->service.ledger = NULL;
	return ledger_close(ledger, e);
}

void mock_stats(const struct mock *m, struct mock_stats *out)
{
	*out = m->service.stats;
}
