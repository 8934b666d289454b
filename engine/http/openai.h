/* openai.h - what one OpenAI JSON object says: a stream's chunk or a whole answer.
 *
 * Chat (choices[].delta or .message: content, reasoning_content or reasoning,
 * tool_calls), completions (choices[].text), usage, error objects. Pure; the
 * strings are slices of the input, still JSON-escaped. */
#ifndef PERIGEE_HTTP_OPENAI_H
#define PERIGEE_HTTP_OPENAI_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A JSON string inside the input: without its quotes, escapes as they stand. */
struct json_slice {
	const char *data; /* NULL: absent */
	size_t len;
	bool escaped;
};

/* Of several choices the first one that carries anything counts. */
struct delta {
	struct json_slice content;
	struct json_slice reasoning;
	struct json_slice tool; /* arguments (or name) of the first tool call */
	struct json_slice finish_reason;
	struct json_slice error; /* message of an error object */
	bool tool_is_name;       /* tool is the name: there were no arguments */
	bool has_choices;        /* there was a list of choices, perhaps an empty one */
	bool has_error;
	bool has_usage;
	int64_t tokens_in, tokens_out, tokens_cached; /* -1: not told */
	uint64_t now_ns;                              /* when it arrived; set by response */
};

/* Does it carry generated output? A role-only or empty delta does not. */
bool delta_has_content(const struct delta *d);

/* Read one object. Returns 0; or STATUS_EPROTO with *error a static text. */
int openai_decode(struct delta *d, const char *json, size_t len, const char **error);

/* The chunks of a stream mostly differ in nothing but their text. A pattern holds one that was
 * read; of the next one that is the same around its text only that is looked at. Of zeroed
 * memory. */
struct openai_pattern {
	struct buffer chunk; /* empty: none */
	size_t before;       /* bytes in front of the text */
	size_t after;        /* and behind it */
	unsigned part;       /* which of a delta's texts it is */
	bool tool_is_name;
};

/* As openai_decode(), with the same result. */
int openai_decode_chunk(struct openai_pattern *p, struct delta *d, const char *json, size_t len,
                        const char **error);
void openai_pattern_reset(struct openai_pattern *p); /* keeps the memory */
void openai_pattern_free(struct openai_pattern *p);

/* Append the slice, unescaped. Returns 0, STATUS_ELIMIT or STATUS_ENOMEM. */
int json_slice_text(const struct json_slice *s, struct buffer *out);

#endif
