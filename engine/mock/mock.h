/* mock.h - the built-in inference endpoint: OpenAI chat and completions over
 * HTTP/1.1, streamed or not, on one thread and the caller's loop.
 *
 * Owned and used on the loop's thread. Connections, requests and buffers are
 * bounded by the config; what passes a bound is answered 413, 431 or 503. */
#ifndef PERIGEE_MOCK_MOCK_H
#define PERIGEE_MOCK_MOCK_H

#include "base/loop.h"
#include "base/status.h"

#define MOCK_CONNECTIONS 65536 /* limit of connections when none is given */

enum mock_mode {
	MOCK_ECHO,  /* answers with the prompt's words, as fast as it can */
	MOCK_MAX,   /* precomputed bytes, whatever is asked; 200 for any other path */
	MOCK_TIMED, /* waits for ttft, then tpot between tokens */
};

/*  enum, name of the option and of the x-perigee-fault header's value */
#define MOCK_FAULT_MAP(X)                                                                          \
	X(STATUS, "status")             /* answers mock_config.fault_status */                     \
	X(RESET, "reset")               /* TCP reset in the middle of the stream */                \
	X(STALL, "stall")               /* stops in the middle and keeps the connection open */    \
	X(HANG, "hang")                 /* takes the request, never answers */                     \
	X(TRUNCATE, "truncate")         /* ends the stream early, in good HTTP, without [DONE] */  \
	X(CLOSE, "close")               /* closes in the middle of the body */                     \
	X(BAD_SSE, "bad_sse")           /* lines that are no server-sent events */                 \
	X(BAD_JSON, "bad_json")         /* an event that is no JSON */                             \
	X(BAD_HTTP, "bad_http")         /* bytes that are no HTTP response */                      \
	X(ERROR_EVENT, "error_event")   /* an error object inside the stream */                    \
	X(SLOW_HEADERS, "slow_headers") /* the head byte by byte */

enum mock_fault {
#define X(id, name) MOCK_FAULT_##id,
	MOCK_FAULT_MAP(X)
#undef X
		MOCK_FAULT_COUNT
};

enum mock_distribution {
	MOCK_FIXED,       /* a */
	MOCK_UNIFORM,     /* a..b */
	MOCK_EXPONENTIAL, /* mean a */
	MOCK_NORMAL,      /* mean a, std b, not below 0 */
	MOCK_LOGNORMAL,   /* median a, sigma b (dimensionless) */
};

struct mock_draw {
	enum mock_distribution kind;
	double a, b; /* ns, or tokens */
};

struct mock_config {
	const char *host;        /* numeric address; NULL: "127.0.0.1" */
	uint16_t port;           /* 0: any free one */
	const char *unix_socket; /* instead of host and port; NULL: TCP */
	enum mock_mode mode;
	struct mock_draw ttft;   /* TIMED */
	struct mock_draw tpot;   /* TIMED: gap before each token after the first */
	struct mock_draw tokens; /* TIMED and MAX: answer length; in TIMED max_tokens caps it */
	uint64_t cached_tokens;  /* of each prompt, so many at most are told as cached; 0: none told
	                          */
	size_t token_bytes;      /* characters per token in TIMED and MAX; 0: 5 */
	uint64_t seed;
	double fault[MOCK_FAULT_COUNT]; /* probability of each; at most 1 together */
	int fault_status;               /* 0: 500 */
	const char *api_key; /* NULL: none asked; else "Authorization: Bearer" must match or 401 */
	unsigned max_connections; /* 0: MOCK_CONNECTIONS */
	size_t max_body;          /* 0: 64 MiB */
	const char *log;          /* file of ledger.h's lines, not of MOCK_MAX; NULL: none */
};

struct mock_stats {
	uint64_t connections, requests, responses, faults, bytes_in, bytes_out;
};

struct mock;

/* Bind, listen and serve on the loop until mock_free(). Strings are copied. A unix
 * socket that nobody listens to is replaced. Returns 0, STATUS_EADDRINUSE, _EACCES,
 * _EINVAL, _ENOMEM, _EIO with e filled. */
int mock_new(struct mock **out, struct loop *loop, const struct mock_config *config,
             struct error *e);

uint16_t mock_port(const struct mock *m); /* the real one; 0 for a unix socket */
void mock_stats(const struct mock *m, struct mock_stats *out);

/* Write out and close the log: no line comes afterwards. Returns 0, or a status with e when
 * lines were lost. */
int mock_close_log(struct mock *m, struct error *e);

/* Stop listening, close every connection. The memory goes with the close callbacks,
 * in the loop's next turns or in loop_free(). NULL is fine. */
void mock_free(struct mock *m);

/* The fault with this name; MOCK_FAULT_COUNT when there is none. */
enum mock_fault mock_fault_from_name(const char *name);
const char *mock_fault_name(enum mock_fault f); /* NULL outside the table */

#endif
