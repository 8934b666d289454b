/* client.h - the interface of an HTTP client.
 *
 * The owner embeds a struct exchange in its request, fills the first part and
 * submits it; the client fills `response` and calls the sink. Transports
 * implement struct client_ops (transport.h); callers never see which.
 * Lifetime rules:
 *  1. After client_submit() returned 0, sink->done is called exactly once for
 *     the exchange, also after client_cancel() and from client_free().
 *  2. done is never called from inside client_submit() or client_cancel().
 *  3. Until done returns, the client borrows the exchange and all it points to;
 *     afterwards it does not touch them.
 *  4. first and chunk come before done; none of them after client_cancel(). A sink
 *     may call any client function but client_free().
 *  5. exchange.lost, set in done, is the exception to rule 3: what method, path, body and
 *     headers point to must stay as it is for the rest of the process.
 * All calls and callbacks are on the thread of the loop. */
#ifndef PERIGEE_HTTP_CLIENT_H
#define PERIGEE_HTTP_CLIENT_H

#include "base/loop.h"
#include "base/status.h"
#include "http/response.h"

/* Zeroed before its first use; afterwards its memory is reused with the next
 * submit, until the owner calls response_free(). */
struct exchange {
	/* ---- set by the owner ---- */
	const char *method; /* "POST"; NULL: the client's own */
	const char *path;   /* "/v1/..."; NULL: the client's own. Never starts a new host */
	const char *body;   /* NULL: none */
	size_t body_len;
	const char *const *headers; /* "Name: value", added or replacing by name; an empty
	                               value takes a field of the client's away */
	size_t header_count;
	uint64_t deadline_ns;            /* absolute, for the whole exchange; 0: none */
	uint64_t first_byte_deadline_ns; /* absolute; 0: none */
	unsigned endpoint;               /* taken modulo the number of endpoints */
	bool skip_chunks;                /* sink->chunk is not wanted for this one */

	/* ---- filled by the client ---- */
	struct response response;
	int worker;          /* which worker thread has it, from 0; -1: the loop's own */
	uint64_t started_ns; /* when a worker took it over; 0: not told, or none did */
	bool lost;           /* a stuck worker may still read what this points to: rule 5 */

	/* ---- private to the client ---- */
	struct loop_timer timer;      /* the nearer of the two deadlines */
	void *transport;              /* the transport's own record of it */
	struct exchange *prev, *next; /* in one of the client's lists */
	enum failure verdict;         /* why it was cut short; FAILURE_NONE: it was not */
	bool flying;                  /* submitted and done not yet called */
};

struct client_sink {
	/* The first content-bearing delta of a stream arrived. May be NULL. */
	void (*first)(void *ctx, struct exchange *x);
	/* Each content-bearing delta, the first included. NULL: not wanted, costs nothing. */
	void (*chunk)(void *ctx, struct exchange *x, const struct delta *d);
	/* The exchange ended; response is complete and owned by the exchange. */
	void (*done)(void *ctx, struct exchange *x);
	/* The client cannot go on: a thread of it died. Told once; from then on submits are
	 * refused, and what is in flight ends as CLIENT. May be NULL. */
	void (*broken)(void *ctx, const struct error *why);
};

enum transport {
	TRANSPORT_AUTO,   /* direct where it can serve the urls */
	TRANSPORT_DIRECT, /* plain sockets */
	TRANSPORT_CURL,
};

/* Strings are copied. */
struct client_config {
	const char *const *urls; /* base urls "http://host:port[/prefix]"; used round-robin by
	                            exchange.endpoint */
	size_t url_count;
	const char *unix_socket;    /* connect to this path instead; NULL: TCP */
	const char *const *sources; /* local addresses that connections come from, in turn */
	size_t source_count;        /* 0: the system chooses */
	const char *path;           /* appended to the base url; NULL: "" */
	const char *method;         /* NULL: "POST" */
	const char *const *headers; /* "Name: value", sent with every request */
	size_t header_count;
	enum decoder decoder;
	enum transport transport;    /* for choice.h */
	uint64_t connect_timeout_ns; /* 0: 10 s */
	bool insecure;               /* do not verify the TLS certificate */
	const char *ca_file;         /* NULL: the system's */
	size_t max_response_bytes;   /* of one kept body or text; 0: 64 MiB */
};

struct client;

/* A client over libcurl. *out belongs to the caller. Returns 0 or a status with
 * e filled (a malformed url names it). sink and ctx are borrowed until client_free(). */
int curl_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                    const struct client_sink *sink, void *ctx, struct error *e);

/* What makes a client of one kind; as curl_client_new(). */
typedef int client_factory(struct client **out, struct loop *loop,
                           const struct client_config *config, const struct client_sink *sink,
                           void *ctx, struct error *e);

/* Start the exchange. Returns 0; else nothing was started and done is not called:
 * STATUS_EINVAL (method, path or a header is malformed, or x is in flight already),
 * STATUS_ECLOSED (from inside client_free(), or the client is broken), STATUS_ENOMEM. */
int client_submit(struct client *c, struct exchange *x);

/* What was submitted in this turn leaves now, not with its end. Not from a sink callback. */
void client_send(struct client *c);

/* End it early: done comes in this or the next turn with the given failure
 * (CANCELLED, ABANDONED). An exchange that is not in flight is left alone. */
void client_cancel(struct client *c, struct exchange *x, enum failure why);

unsigned client_inflight(const struct client *c);

/* Connections that were opened and stood, so far: with keep-alive far fewer than requests. May
 * lag behind until what is in flight has ended. */
uint64_t client_connections(const struct client *c);

/* How many of these were opened because the endpoint had closed a kept one: those over which a
 * request went, beyond the most that were in use at a time and those that perigee gave up. May
 * lag behind until what is in flight has ended. */
uint64_t client_reconnects(const struct client *c);

/* Ends what is in flight as ABANDONED (done is called), closes, frees. NULL is fine. */
void client_free(struct client *c);

#endif
