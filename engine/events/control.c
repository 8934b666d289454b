#include "events/control.h"

#include "base/clock.h"
#include "events/address.h"
#include "events/zsocket.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define REPLY_LIMIT  ((size_t)1 << 20)
#define LINGER_MS    1000
#define ADDRESS_SIZE 512

#define MALFORMED "{\"ok\":false,\"error\":\"malformed request\"}"
#define NO_ANSWER "{\"ok\":false,\"error\":\"no answer\"}"

struct control {
	void *context, *socket;
	struct zsocket_watch *watch;
	char address[ADDRESS_SIZE];
	struct socket_file file;
	void (*answer)(void *ctx, const char *text, size_t len, struct buffer *reply);
	void *ctx;
	struct buffer reply;
};

/* ---- the session's side ---- */

/* Read the parts after the first; were there any? */
static bool drop_parts(struct control *c, const zmq_msg_t *first)
{
	bool more = zmq_msg_more(first), any = more;
	while (more) {
		zmq_msg_t part;
		zmq_msg_init(&part);
		more = zmq_msg_recv(&part, c->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&part);
		zmq_msg_close(&part);
	}
	return any;
}

/* Never waits: whoever asked and left gets nothing. */
static void reply(struct control *c, zmq_msg_t *request)
{
	size_t size = zmq_msg_size(request);
	const char *text = MALFORMED;
	size_t len = strlen(MALFORMED);
	if (!drop_parts(c, request) && size > 0 && size <= CONTROL_MAX) {
		buffer_clear(&c->reply);
		c->answer(c->ctx, zmq_msg_data(request), size, &c->reply);
		text = c->reply.len ? c->reply.data : NO_ANSWER;
		len = c->reply.len ? c->reply.len : strlen(NO_ANSWER);
	}
	while (zmq_send(c->socket, text, len, ZMQ_DONTWAIT) < 0 && errno == EINTR)
		;
}

static bool take(void *ctx)
{
	struct control *c = ctx;
	zmq_msg_t request;
	zmq_msg_init(&request);
	int rc = zmq_msg_recv(&request, c->socket, ZMQ_DONTWAIT);
	bool again = rc >= 0 || errno == EINTR;
	if (rc >= 0)
		reply(c, &request);
	zmq_msg_close(&request);
	return again;
}

static int bind_socket(struct control *c, const char *address)
{
	int linger = LINGER_MS;
	int64_t max = CONTROL_MAX * 16; /* beyond it ZeroMQ closes the connection */
	size_t size = sizeof(c->address);
	c->context = zmq_ctx_new();
	c->socket = c->context ? zmq_socket(c->context, ZMQ_REP) : NULL;
	if (!c->socket || zmq_setsockopt(c->socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_setsockopt(c->socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) ||
	    zmq_bind(c->socket, address))
		return -1;
	return zmq_getsockopt(c->socket, ZMQ_LAST_ENDPOINT, c->address, &size);
}

int control_open(struct control **out, struct loop *loop, const char *address,
                 void (*answer)(void *ctx, const char *text, size_t len, struct buffer *reply),
                 void *ctx, struct error *e)
{
	int err = address_prepare(address, e);
	if (err)
		return err;
	struct control *c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	c->answer = answer;
	c->ctx = ctx;
	buffer_init(&c->reply, REPLY_LIMIT);
	if (bind_socket(c, address))
		err = zsocket_failure(address, e);
	else
		socket_file_note(&c->file, c->address);
	if (!err)
		err = zsocket_watch_open(&c->watch, loop, c->socket, take, c, e);
	if (err) {
		control_close(c);
		return err;
	}
	*out = c;
	return STATUS_OK;
}

const char *control_address(const struct control *c)
{
	return c->address;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	zsocket_watch_close(c->watch);
	zsocket_close(c->context, c->socket);
	socket_file_remove(&c->file);
	buffer_free(&c->reply);
	free(c);
}

/* ---- the other side ---- */

static int left_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_now();
	uint64_t ms = now < deadline_ns ? (deadline_ns - now) / NS_PER_MS + 1 : 0;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int receive(void *socket, struct buffer *out, uint64_t deadline_ns)
{
	for (;;) {
		zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };
		int rc = zmq_poll(&item, 1, left_ms(deadline_ns));
		if (rc < 0 && errno != EINTR)
			return STATUS_EIO;
		if (rc > 0)
			break;
		if (clock_now() >= deadline_ns)
			return STATUS_ETIMEDOUT;
	}
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	int err = STATUS_EIO;
	if (zmq_msg_recv(&msg, socket, ZMQ_DONTWAIT) >= 0)
		err = buffer_append(out, zmq_msg_data(&msg), zmq_msg_size(&msg));
	zmq_msg_close(&msg);
	return err;
}

int control_request(const char *address, const char *text, size_t len, struct buffer *out,
                    uint64_t deadline_ns, struct error *e)
{
	int linger = 0, err;
	void *context = zmq_ctx_new();
	void *socket = context ? zmq_socket(context, ZMQ_REQ) : NULL;
	if (!socket || zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_connect(socket, address) || zmq_send(socket, text, len, ZMQ_DONTWAIT) < 0) {
		err = zsocket_failure(address, e);
	} else {
		err = receive(socket, out, deadline_ns);
		if (err)
			error_set(e, err, "%s: %s", address,
			          err == STATUS_ETIMEDOUT ? "no answer" : status_text(err));
	}
	zsocket_close(context, socket);
	return err;
}
