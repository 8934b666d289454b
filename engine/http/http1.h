/* http1.h - incremental parser of HTTP/1.0 and 1.1 responses (RFC 9112).
 *
 * Takes any split of the input and hands the body out as slices of it. Nothing is copied
 * but a line that is split over two inputs. Frames the body by Content-Length, by chunks or
 * by the end of the connection, passes over 1xx heads, extensions and trailers. What it makes
 * of odd responses is what libcurl makes of them, but that it refuses with a reason where two
 * readers could find different ends of the body. Of the head it keeps the status and the
 * content type. A head that is byte for byte the latest one, as most of an endpoint are, is not
 * read again. Pure; one thread at a time. */
#ifndef PERIGEE_HTTP_HTTP1_H
#define PERIGEE_HTTP_HTTP1_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The limits are libcurl's, but the first, which its transport has, too, and the last. */
#define HTTP1_HEAD_BYTES    ((size_t)256 * 1024) /* of all heads of one response */
#define HTTP1_LINE_BYTES    ((size_t)100 * 1024) /* of one line of these, with its end */
#define HTTP1_TRAILER_BYTES ((size_t)4093)       /* of one line of the trailers */
#define HTTP1_CHUNK_BYTES   ((size_t)16 * 1024)  /* of a chunk's size and extensions */
#define HTTP1_KNOWN_BYTES   ((size_t)1024)       /* of a head that is remembered */

/* What is wrong with a status 101. */
#define HTTP1_SWITCH "a switch of the protocol, HTTP status 101, that was not asked for"

enum http1_event {
	HTTP1_MORE,  /* all input is used up */
	HTTP1_HEAD,  /* the final head is complete: head */
	HTTP1_BODY,  /* some of the body: data, len, borrowed from the input */
	HTTP1_END,   /* the response is complete; what follows is not part of it */
	HTTP1_BAD,   /* it is malformed: error */
	HTTP1_LARGE, /* a limit is passed: error */
	HTTP1_CUT,   /* the connection ended before the response: error */
};

enum http1_state {
	HTTP1_AT_STATUS,
	HTTP1_AT_FIELD,
	HTTP1_AT_LENGTH,     /* the body, `left` bytes of it to come */
	HTTP1_AT_CHUNK_SIZE, /* its line */
	HTTP1_AT_CHUNK,      /* `left` bytes of it to come */
	HTTP1_AT_CHUNK_CR,
	HTTP1_AT_CHUNK_LF,
	HTTP1_AT_TRAILER,
	HTTP1_AT_CLOSE, /* a body that ends with the connection */
	HTTP1_AT_END,
};

/* What a head says. */
struct http1_head {
	int status;
	int version;            /* 10, 11 or 20 */
	char content_type[128]; /* cut; "" when there is none */
	bool has_length, has_coding, chunked;
	bool close;      /* the connection ends with the answer; stays over heads of 1xx */
	uint64_t length; /* UINT64_MAX: beyond all measure */
};

/* The latest head that came in one piece, for any number of parsers of one thread. Zeroed: none. */
struct http1_known {
	struct http1_head head;
	size_t len;
	char bytes[HTTP1_KNOWN_BYTES];
};

struct http1 {
	/* ---- results ---- */
	struct http1_head head;
	const char *data;
	size_t len;
	const char *error; /* static text */
	bool begun;        /* a byte of the response has come */
	bool keep;         /* at HTTP1_END: the connection may serve another request */

	/* ---- private ---- */
	enum http1_state state;
	enum { HTTP1_STATUS, HTTP1_FRAMING, HTTP1_FIELD } before; /* the line of the head */
	bool is_head;                                             /* it answers a HEAD request */
	uint64_t left;
	size_t head_bytes;
	struct buffer line;        /* the beginning of a line that is not complete yet */
	struct http1_known *known; /* the owner's, who sets it once; NULL: each head is read */
};

/* Before each response; of zeroed memory the first time. head: it answers HEAD. */
void http1_start(struct http1 *p, bool head);
void http1_free(struct http1 *p);

/* Take what stands at *at, up to end, and move *at behind it. After HTTP1_MORE the input may
 * go away; after the last four events nothing but http1_start() and http1_free() may follow. */
enum http1_event http1_next(struct http1 *p, const char **at, const char *end);

/* Read a status line, without its end, into *status and *version (10, 11, 20). Returns NULL, or
 * why it is none: a static text. */
const char *http1_status_line(const char *line, size_t len, int *status, int *version);

/* The connection has ended: HTTP1_END or HTTP1_CUT. */
enum http1_event http1_finish(struct http1 *p);

#endif
