#include "events/beacon.h"

#include "events/address.h"
#include "events/event.h"
#include "events/zsocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define LINGER_MS    1000
#define QUEUE        16 /* messages, on each side */
#define RECONNECT_MS 20
#define ADDRESS_SIZE 512

static const char topic[EVENT_TOPIC_SIZE] = BEACON_TOPIC;

/* ---- beacon ---- */

struct beacon {
	void *context, *socket;
	char address[ADDRESS_SIZE];
	struct socket_file file;
};

static int bind_socket(struct beacon *b, const char *address)
{
	int linger = LINGER_MS, queue = QUEUE;
	size_t size = sizeof(b->address);
	b->context = zmq_ctx_new();
	b->socket = b->context ? zmq_socket(b->context, ZMQ_PUB) : NULL;
	if (!b->socket || zmq_setsockopt(b->socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_setsockopt(b->socket, ZMQ_SNDHWM, &queue, sizeof(queue)) ||
	    zmq_bind(b->socket, address))
		return -1;
	return zmq_getsockopt(b->socket, ZMQ_LAST_ENDPOINT, b->address, &size);
}

int beacon_open(struct beacon **out, const char *address, struct error *e)
{
	int err = address_prepare(address, e);
	if (err)
		return err;
	struct beacon *b = calloc(1, sizeof(*b));
	if (!b)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	if (bind_socket(b, address)) {
		err = zsocket_failure(address, e);
		beacon_close(b);
		return err;
	}
	socket_file_note(&b->file, b->address);
	*out = b;
	return STATUS_OK;
}

const char *beacon_address(const struct beacon *b)
{
	return b->address;
}

int beacon_send(struct beacon *b, const char *text, size_t len)
{
	zmq_msg_t msg;
	if (zmq_msg_init_size(&msg, sizeof(topic) + len))
		return STATUS_ENOMEM;
	char *data = zmq_msg_data(&msg);
	memcpy(data, topic, sizeof(topic));
	if (len)
		memcpy(data + sizeof(topic), text, len);
	int rc;
	do
		rc = zmq_msg_send(&msg, b->socket, ZMQ_DONTWAIT);
	while (rc < 0 && errno == EINTR);
	if (rc >= 0)
		return STATUS_OK;
	zmq_msg_close(&msg);
	return STATUS_EIO;
}

void beacon_close(struct beacon *b)
{
	if (!b)
		return;
	zsocket_close(b->context, b->socket);
	socket_file_remove(&b->file);
	free(b);
}

/* ---- watcher ---- */

struct watcher {
	void *context, *socket;
	struct zsocket_watch *watch;
	zmq_msg_t latest; /* read and not yet told */
	bool is_new;
	void (*fn)(void *ctx, const char *text, size_t len);
	void *ctx;
};

/* What is no snapshot is passed over. */
static bool is_snapshot(zmq_msg_t *msg)
{
	return zmq_msg_size(msg) >= sizeof(topic) && !zmq_msg_more(msg) &&
	       memcmp(zmq_msg_data(msg), topic, sizeof(topic)) == 0;
}

static void tell(struct watcher *w)
{
	const char *data = zmq_msg_data(&w->latest);
	w->is_new = false;
	w->fn(w->ctx, data + sizeof(topic), zmq_msg_size(&w->latest) - sizeof(topic));
}

static bool take(void *ctx)
{
	struct watcher *w = ctx;
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	int rc = zmq_msg_recv(&msg, w->socket, ZMQ_DONTWAIT);
	bool again = rc >= 0 || errno == EINTR;
	if (rc >= 0 && is_snapshot(&msg))
		w->is_new = zmq_msg_move(&w->latest, &msg) == 0;
	zmq_msg_close(&msg);
	if (!again && w->is_new)
		tell(w);
	return again;
}

static int connect_socket(struct watcher *w, const char *address)
{
	int linger = 0, queue = QUEUE, reconnect = RECONNECT_MS;
	w->context = zmq_ctx_new();
	w->socket = w->context ? zmq_socket(w->context, ZMQ_SUB) : NULL;
	if (!w->socket || zmq_setsockopt(w->socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_setsockopt(w->socket, ZMQ_RCVHWM, &queue, sizeof(queue)) ||
	    zmq_setsockopt(w->socket, ZMQ_RECONNECT_IVL, &reconnect, sizeof(reconnect)) ||
	    zmq_setsockopt(w->socket, ZMQ_SUBSCRIBE, topic, sizeof(topic)))
		return -1;
	return zmq_connect(w->socket, address);
}

int watcher_open(struct watcher **out, struct loop *loop, const char *address,
                 void (*fn)(void *ctx, const char *text, size_t len), void *ctx, struct error *e)
{
	if (!address || !*address)
		return error_set(e, STATUS_EINVAL, "an address to connect to is missing");
	struct watcher *w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	w->fn = fn;
	w->ctx = ctx;
	zmq_msg_init(&w->latest);
	int err = connect_socket(w, address) ? zsocket_failure(address, e) : STATUS_OK;
	if (!err)
		err = zsocket_watch_open(&w->watch, loop, w->socket, take, w, e);
	if (err) {
		watcher_close(w);
		return err;
	}
	*out = w;
	return STATUS_OK;
}

void watcher_close(struct watcher *w)
{
	if (!w)
		return;
	zsocket_watch_close(w->watch);
	zsocket_close(w->context, w->socket);
	zmq_msg_close(&w->latest);
	free(w);
}
