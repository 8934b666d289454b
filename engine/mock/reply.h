/* reply.h - the bytes of responses: heads, chunks, events and JSON bodies.
 *
 * Everything appends to a buffer; a function returns false when the buffer's
 * limit or the memory is exhausted, and then the response is of no use. Pure. */
#ifndef PERIGEE_MOCK_REPLY_H
#define PERIGEE_MOCK_REPLY_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_JSON    "application/json"
#define REPLY_EVENTS  "text/event-stream; charset=utf-8"
#define REPLY_METRICS "text/plain; version=0.0.4; charset=utf-8"

enum {
	REPLY_CHUNKED = -1,   /* instead of a length */
	REPLY_UNTIL_END = -2, /* the same for HTTP/1.0: the end of the connection */
};

/* Status line and headers. length: bytes of the body, or one of the above. */
bool reply_head(struct buffer *out, int status, const char *type, int64_t length, bool keep_alive);

/* A chunk of a chunked body; len 0 would end it: use reply_last_chunk(). */
bool reply_chunk(struct buffer *out, const char *data, size_t len);
bool reply_last_chunk(struct buffer *out);

/* An error object in OpenAI's form. */
bool reply_error_json(struct buffer *out, int status, const char *message);

/* What all objects of one answer have in common. */
struct reply_about {
	bool chat;
	bool stream;
	uint64_t number;  /* the id */
	uint64_t created; /* seconds since 1970 */
	const char *model;
	size_t model_len;
};

/* {"id": ... "model": "..." without the closing brace. */
bool reply_about_json(struct buffer *out, const struct reply_about *about);

struct reply_usage {
	uint64_t prompt, completion, reasoning, cached; /* tokens; the latter two of the former */
};

/* "usage":{...} */
bool reply_usage_json(struct buffer *out, const struct reply_usage *u);

#endif
