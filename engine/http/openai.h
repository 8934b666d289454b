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

/* Append the slice, unescaped. Returns 0, STATUS_ELIMIT or STATUS_ENOMEM. */
int json_slice_text(const struct json_slice *s, struct buffer *out);

#endif
