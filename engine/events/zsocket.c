#include "events/zsocket.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>
#include <zmq.h>

#define MESSAGES_PER_TURN 256

void zsocket_close(void *context, void *socket)
{
	if (socket)
		zmq_close(socket);
	while (context && zmq_ctx_term(context) && errno == EINTR)
		;
}

int zsocket_failure(const char *address, struct error *e)
{
	int status = errno == EPROTONOSUPPORT ? STATUS_EINVAL : status_from_errno(errno);
	return error_set(e, status, "%s: %s", address, zmq_strerror(errno));
}

/* ---- watch ---- */

struct zsocket_watch {
	struct loop *loop;
	bool (*take)(void *ctx);
	void *ctx;
	uv_poll_t poll; /* its close callback frees all */
	struct loop_hook hook;
	bool more; /* the socket may not be empty */
};

static void again(struct zsocket_watch *w)
{
	w->more = true;
	loop_poke(w->loop);
}

static void drain(struct zsocket_watch *w)
{
	w->more = false;
	for (int i = 0; i < MESSAGES_PER_TURN; i++)
		if (!w->take(w->ctx))
			return;
	again(w);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	(void)status, (void)events;
	drain(h->data);
}

static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct zsocket_watch *w = h->data;
	(void)now_ns;
	if (w->more)
		drain(w);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

int zsocket_watch_open(struct zsocket_watch **out, struct loop *loop, void *socket,
                       bool (*take)(void *ctx), void *ctx, struct error *e)
{
	int fd;
	size_t size = sizeof(fd);
	if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size))
		return error_set(e, STATUS_EIO, "%s", zmq_strerror(zmq_errno()));
	struct zsocket_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	*w = (struct zsocket_watch){ .loop = loop, .take = take, .ctx = ctx };
	w->hook = (struct loop_hook){ .fn = on_turn, .data = w };
	if (uv_poll_init(loop_uv(loop), &w->poll, fd)) {
		free(w);
		return error_set(e, STATUS_EIO, "cannot watch the socket's descriptor");
	}
	w->poll.data = w;
	loop_hook_add(loop, &w->hook);
	if (uv_poll_start(&w->poll, UV_READABLE, on_readable)) {
		zsocket_watch_close(w);
		return error_set(e, STATUS_EIO, "cannot watch the socket's descriptor");
	}
	/* What the descriptor told before it was watched is read in the first turn. */
	again(w);
	*out = w;
	return STATUS_OK;
}

void zsocket_watch_close(struct zsocket_watch *w)
{
	if (!w)
		return;
	loop_hook_remove(w->loop, &w->hook);
	uv_close((uv_handle_t *)&w->poll, on_closed);
}
