/* transport.h - what client.c and the transports behind it share.
 *
 * client.c keeps the book: which exchanges are in flight, their deadlines,
 * cancels and the one call of done. A transport only moves bytes. It embeds
 * struct client as its first member, starts what it is given, feeds
 * exchange.response and reports each end with client_ended(). Thread of the loop.
 *
 *  1. start() makes the transport borrow x until it calls client_ended() for it
 *     or abort() is called. It may run inside any sink callback.
 *  2. sweep() is called once per loop turn, after the I/O; client_ended() may be
 *     called only from there.
 *  3. send() is called once per loop turn, just before the loop waits, and by
 *     client_send(): what was started since then goes out together. It pokes the loop when
 *     it finds an end.
 *  4. abort() is called only from the hook, outside sweep(), and from client_free();
 *     afterwards the transport does not touch x, and an unfinished connection is closed.
 *  5. Bytes of an exchange whose verdict is set are of no use to anyone. */
#ifndef PERIGEE_HTTP_TRANSPORT_H
#define PERIGEE_HTTP_TRANSPORT_H

#include "http/client.h"

struct client_ops {
	/* Returns 0, or a status and then nothing was started. */
	int (*start)(struct client *c, struct exchange *x);
	void (*abort)(struct client *c, struct exchange *x);
	/* For a transport that cannot let go of x at once, in place of abort(): x has a
	 * verdict and its end is wanted soon. May run inside any sink callback. Such a
	 * transport keeps the deadlines itself. NULL: there is abort(). */
	void (*cancel)(struct client *c, struct exchange *x, enum failure why);
	/* Goes with cancel(): client_free() wants the end of all that is in flight now. */
	void (*close)(struct client *c);
	void (*sweep)(struct client *c);
	void (*send)(struct client *c);
	uint64_t (*connections)(const struct client *c);
	/* NULL: the book knows. */
	uint64_t (*reconnects)(const struct client *c);
	void (*free)(struct client *c); /* nothing is in flight; calls client_fini() */
};

/* The exchanges in flight to one endpoint. */
struct endpoint_use {
	unsigned now, most;
};

/* First in, first out. */
struct exchange_list {
	struct exchange *first, *last;
};

struct client {
	const struct client_ops *ops;
	struct loop *loop;
	struct loop_hook hook;      /* after the I/O of a turn */
	struct loop_hook last_hook; /* before the wait */
	const struct client_sink *sink;
	void *ctx;

	/* The configuration, owned. */
	char **bases; /* base urls without a trailing slash */
	char **urls;  /* the same with the client's own path */
	size_t url_count;
	char *path;        /* the client's own; "" */
	char *unix_socket; /* NULL: TCP */
	char *method;
	char **headers; /* with User-Agent, which a caller may replace */
	size_t header_count;
	char *ca_file;  /* NULL: the system's */
	char **sources; /* numeric local addresses that connections come from, in turn */
	size_t source_count;
	enum decoder decoder;
	uint64_t connect_timeout_ns;
	bool insecure;
	size_t max_response_bytes;

	/* The book. */
	struct exchange_list flying; /* started, no verdict */
	struct exchange_list cut;    /* have a verdict; the next hook aborts and reports them */
	unsigned inflight;           /* in both lists */
	struct endpoint_use *uses;   /* one per url */
	uint64_t fresh;              /* exchanges that paid a new connection */
	uint64_t needed;             /* so many it takes when the endpoint closes none */
	bool closing;                /* client_free() runs: nothing new is started */
};

/* Fill a zeroed *c with copies of config. On failure nothing is left to free.
 * Checks all but the syntax of the urls. */
int client_init(struct client *c, const struct client_ops *ops, struct loop *loop,
                const struct client_config *config, const struct client_sink *sink, void *ctx,
                struct error *e);
void client_fini(struct client *c);

/* Begin to call ops->sweep() and send(). client_free() ends it. */
void client_open(struct client *c);

/* x ended by itself: with FAILURE_NONE when the response is complete, else with
 * what cut it short and a text (NULL is fine). Calls done: x may be gone afterwards. */
void client_ended(struct client *c, struct exchange *x, enum failure why, const char *text,
                  uint64_t now_ns);

/* The same of an x whose response has ended already, in a client of another thread. */
void client_settled(struct client *c, struct exchange *x);

/* The method of x. */
const char *client_method(const struct client *c, const struct exchange *x);

/* Call fn for each header field of x ("Name: value"): the client's own and the
 * default Content-Type of a body where x does not replace them, then those of x. An empty
 * value says that the field is not to be sent. Stops at the first that returns
 * not 0 and returns that. x NULL: of a request with a body and nothing of its own. */
int client_each_header(const struct client *c, const struct exchange *x,
                       int (*fn)(void *arg, const char *header), void *arg);

#endif
