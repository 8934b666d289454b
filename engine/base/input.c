#include "base/input.h"

#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct input_watch {
	uv_poll_t poll; /* its close callback frees all */
	void (*fn)(void *ctx);
	void *ctx;
};

static void on_input(uv_poll_t *h, int status, int events)
{
	struct input_watch *w = h->data;
	char ignored[4096];
	(void)events;
	ssize_t n = status < 0 ? 0 : read(STDIN_FILENO, ignored, sizeof(ignored));
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	uv_poll_stop(h);
	w->fn(w->ctx);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

int input_watch_open(struct input_watch **out, struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	*out = NULL;
	int flags = fcntl(STDIN_FILENO, F_GETFL);
	if (flags < 0)
		return STATUS_OK;
	struct input_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return STATUS_ENOMEM;
	w->fn = fn;
	w->ctx = ctx;
	w->poll.data = w;
	if (uv_poll_init(loop_uv(loop), &w->poll, STDIN_FILENO)) {
		free(w);
		return STATUS_OK;
	}
	/* libuv made it non-blocking, which others who share it would see. */
	fcntl(STDIN_FILENO, F_SETFL, flags);
	uv_poll_start(&w->poll, UV_READABLE, on_input);
	*out = w;
	return STATUS_OK;
}

void input_watch_close(struct input_watch *w)
{
	if (w)
		uv_close((uv_handle_t *)&w->poll, on_closed);
}
