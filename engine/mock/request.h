/* request.h - incremental parser of HTTP/1.x requests.
 *
 * The caller keeps the bytes: it hands in everything since the request's first
 * byte, each time with more behind it, at any address. Nothing is allocated;
 * chunked bodies are decoded in place, so the bytes must come back as the
 * parser left them. Pure; one thread at a time. */
#ifndef PERIGEE_MOCK_REQUEST_H
#define PERIGEE_MOCK_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_MAX_HEAD 65536 /* bytes of request line and headers; also of trailers */

enum request_event {
	REQUEST_MORE,     /* incomplete: call again with more bytes */
	REQUEST_CONTINUE, /* the client waits for "100 Continue"; told once, then call again */
	REQUEST_DONE,     /* complete: the next one begins at .size */
	REQUEST_BAD,      /* answer .status and close; the parser stays here */
};

/* A part of the request: data + at. Survives a move of the data. */
struct span {
	size_t at, len;
};

struct request {
	struct span method;
	struct span target;
	struct span authorization; /* value of the header; len 0: absent */
	struct span fault;         /* of x-perigee-fault */
	struct span body;          /* decoded; contiguous */
	bool keep_alive;
	bool http10; /* no chunked answers */

	size_t size;        /* DONE: bytes of the whole request */
	int status;         /* BAD: the status to answer with */
	const char *reason; /* BAD: static text */

	/* ---- private ---- */
	uint8_t state;
	bool has_length, chunked, expect;
	size_t pos;      /* parsed up to here */
	size_t scanned;  /* no line end before here */
	size_t trailers; /* where they begin */
	uint64_t left;   /* body bytes to come (of the chunk, when chunked) */
	size_t max_body;
};

/* For each request anew. max_body bounds the body, chunk framing included. */
void request_init(struct request *r, size_t max_body);

/* data[0..len): all bytes since the request's first. */
enum request_event request_parse(struct request *r, char *data, size_t len);

/* Does the span hold this text? */
bool request_is(const char *data, struct span s, const char *text);

#endif
