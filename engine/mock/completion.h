/* completion.h - the JSON of one completion: the events of a stream, or a whole body.
 *
 * Made of an ask, and of words: the prompt's, or letters. Everything appends to a
 * buffer; a function returns false when its limit or the memory is exhausted,
 * and then the completion is of no use. Pure. Memory is kept between uses. */
#ifndef PERIGEE_MOCK_COMPLETION_H
#define PERIGEE_MOCK_COMPLETION_H

#include "mock/ask.h"

struct completion_terms {
	bool echo;          /* the words of the ask come back */
	bool chunked;       /* each event is a chunk */
	uint64_t id;        /* of its JSON objects */
	uint64_t created;   /* seconds since 1970 */
	uint64_t tokens;    /* how many, when not echo */
	size_t token_bytes; /* characters of each, at least 1, when not echo */
	uint64_t cached;    /* tokens of the prompt that are told as cached, at most */
};

struct completion {
	struct ask ask;        /* to be read before completion_start() */
	uint64_t tokens, next; /* how many, and the next one's index */

	/* ---- private ---- */
	struct completion_terms terms;
	bool capped;           /* max_tokens cut it */
	uint64_t reasoning;    /* how many of the tokens are reasoning */
	size_t word;           /* echo: position in the prompt */
	struct buffer about;   /* the common beginning of its JSON objects */
	struct buffer event;   /* the event being built */
	struct buffer text;    /* of one token, or of many */
	struct buffer escaped; /* the same as part of a tool's JSON arguments */
};

/* Once in the life of the memory. max_body: of the requests. */
void completion_init(struct completion *c, size_t max_body);
void completion_free(struct completion *c);

/* Forget large memory. */
void completion_trim(struct completion *c);

/* Begin with c->ask; max_tokens and what it implies are settled. */
bool completion_start(struct completion *c, const struct completion_terms *terms);

/* ---- a stream, in this order ---- */
bool completion_role(struct completion *c, struct buffer *out);  /* nothing, unless it is a chat */
bool completion_token(struct completion *c, struct buffer *out); /* while next < tokens */
bool completion_tail(struct completion *c, struct buffer *out);  /* from finish reason to the end */

/* ---- parts of it, for faults ---- */
bool completion_event(struct completion *c, struct buffer *out, const char *line);
bool completion_error(struct completion *c, struct buffer *out); /* an error object and [DONE] */
bool completion_bytes(struct completion *c, struct buffer *out, const char *data, size_t len);
bool completion_end(struct completion *c, struct buffer *out); /* of the HTTP body */

/* ---- whole: a body of the first n tokens; cut: without a finish reason ---- */
bool completion_body(struct completion *c, struct buffer *out, uint64_t n, bool cut);

#endif
