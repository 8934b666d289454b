/* connection.h - one HTTP/1.1 connection over a plain socket, used for one exchange at a time.
 *
 * It connects, sends what it is given, feeds the answer to the exchange's response and tells
 * its owner how that ended. A uv_poll handle lives as long as the connection and stays armed,
 * so that a peer that closes an idle one is noticed and none has to be probed before use.
 * Callbacks come from the loop's I/O alone, never from inside a function of this header; in
 * them the owner may call any of these. Thread of the loop. */
#ifndef PERIGEE_HTTP_CONNECTION_H
#define PERIGEE_HTTP_CONNECTION_H

#include "http/address.h"
#include "http/client.h"
#include "http/http1.h"

#include <uv.h>

struct connection;

struct connection_events {
	/* It stands (err 0), or came to nothing (an errno): then the owner closes it. */
	void (*connected)(struct connection *c, int err);
	/* The answer is over: with FAILURE_NONE it is complete, else what cut it short and a
	 * text. reusable: another exchange may follow; else the owner closes it. */
	void (*ended)(struct connection *c, enum failure why, const char *text, bool reusable);
	/* The peer of an idle one has closed, or said what nobody asked for: close it. */
	void (*spoiled)(struct connection *c);
};

/* What all connections of a client have in common. */
struct connection_group {
	struct loop *loop;
	const struct connection_events *events;
	char *bytes; /* what was received, until it is parsed */
	struct http1_known known;
};

enum connection_state {
	CONNECTION_CONNECTING,
	CONNECTION_IDLE,
	CONNECTION_BUSY,
	CONNECTION_CLOSED, /* freed in the close callback of its handle */
};

struct connection {
	/* ---- the owner's ---- */
	void *endpoint, *flight;
	struct connection *prev, *next;
	size_t address, tries; /* which address it is to, and how many are left to try */
	uint64_t give_up_ns;   /* while it connects */

	/* ---- private ---- */
	uv_poll_t poll;
	struct connection_group *group;
	enum connection_state state;
	int fd;
	int armed;          /* what libuv was told to watch */
	bool used;          /* it has served an exchange */
	bool sent;          /* it was given one */
	struct exchange *x; /* while busy */
	struct buffer rest; /* of the request: what is not sent yet and not in the body */
	size_t body_sent;   /* bytes of the exchange's own body that are sent */
	bool body_left;     /* some of it may not be sent yet */
	struct http1 parser;
};

/* Fill *g. Returns 0 or STATUS_ENOMEM; connection_group_fini() in any case, when all its
 * connections are closed. */
int connection_group_init(struct connection_group *g, struct loop *loop,
                          const struct connection_events *events);
void connection_group_fini(struct connection_group *g);

/* Begin to connect; from NULL: the system chooses. Returns 0 or an errno; EAGAIN: later, a
 * unix socket's backlog is full. */
int connection_open(struct connection **out, struct connection_group *g,
                    const struct socket_address *to, const struct socket_address *from);

/* The callbacks are over. */
void connection_close(struct connection *c);

/* On one that stands and is idle: send the request, x->body behind it when body_follows, else
 * it is in the request already. x is borrowed until `ended` or connection_close(). A failure
 * shows in `ended`. */
void connection_send(struct connection *c, struct exchange *x, const struct buffer *request,
                     bool body_follows, bool is_head);

/* Was it given an exchange before? */
bool connection_is_kept(const struct connection *c);

/* In `ended`, of a reset: could the peer have closed it before it saw the request? */
bool connection_was_stale(const struct connection *c);

#endif
