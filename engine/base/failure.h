/* failure.h - the classes of a failed request.
 *
 * One table for the client that finds a failure, the events that carry it and
 * the report that counts it. The names are on the wire and in files: they do
 * not change. */
#ifndef PERIGEE_BASE_FAILURE_H
#define PERIGEE_BASE_FAILURE_H

#include <stddef.h>

/*  enum, name on the wire, what it means */
#define FAILURE_MAP(X)                                                                             \
	X(NONE, "none", "the request succeeded")                                                   \
	X(DNS, "dns", "the host name could not be resolved")                                       \
	X(REFUSED, "refused", "the endpoint refused the connection")                               \
	X(CONNECT, "connect", "the endpoint could not be reached")                                 \
	X(CONNECT_TIMEOUT, "connect_timeout", "no connection before the connect deadline")         \
	X(TLS, "tls", "TLS handshake or certificate verification failed")                          \
	X(RESET, "reset", "the connection was reset or closed before the response ended")          \
	X(FIRST_BYTE_TIMEOUT, "first_byte_timeout", "no response byte before its deadline")        \
	X(TIMEOUT, "timeout", "the response did not end before the request's deadline")            \
	X(HTTP, "http", "the endpoint answered with a status of 400 or above")                     \
	X(BAD_HTTP, "bad_http", "the response is not valid HTTP")                                  \
	X(TRUNCATED, "truncated", "the stream ended without a finish reason or [DONE]")            \
	X(BAD_SSE, "bad_sse", "the stream is not valid server-sent events")                        \
	X(BAD_JSON, "bad_json", "a response or an event is not the JSON that was expected")        \
	X(STREAM_ERROR, "stream_error", "the stream carried an error event")                       \
	X(TOO_LARGE, "too_large", "a response part passed the client's limit")                     \
	X(CANCELLED, "cancelled", "cancelled by the script")                                       \
	X(ABANDONED, "abandoned", "still in flight when its drain deadline passed")                \
	X(CLIENT, "client", "the client itself failed (memory, descriptors, ports)")

enum failure {
#define X(id, name, text) FAILURE_##id,
	FAILURE_MAP(X)
#undef X
		FAILURE_COUNT
};

/* "refused"; "unknown" for a value outside the table. */
const char *failure_name(enum failure f);

/* What it means, for people; never NULL. */
const char *failure_text(enum failure f);

/* The failure with this name; FAILURE_COUNT when there is none. */
enum failure failure_from_name(const char *name, size_t len);

#endif
