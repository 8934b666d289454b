/* json.h - a pull scanner for JSON text, and a writer into a buffer.
 *
 * The scanner allocates nothing and copies nothing: tokens are slices of the
 * input. It checks the grammar of RFC 8259 as it goes, so that a document
 * read to JSON_END without JSON_ERROR is valid (UTF-8 is not checked). */
#ifndef PERIGEE_BASE_JSON_H
#define PERIGEE_BASE_JSON_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 512

enum json_type {
	JSON_ERROR, /* and json.error tells what is wrong, json.pos where */
	JSON_END,   /* the document is complete */
	JSON_OBJECT_BEGIN,
	JSON_OBJECT_END,
	JSON_ARRAY_BEGIN,
	JSON_ARRAY_END,
	JSON_KEY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json {
	const char *text;
	size_t len;
	size_t pos;        /* of the next byte to read; after an error, of the culprit */
	const char *error; /* static text */
	enum json_type type;

	/* The token: for strings and keys without the quotes, still escaped. */
	const char *start;
	size_t size;
	bool escaped; /* it holds a backslash */

	unsigned depth;
	uint8_t state;                      /* what may come next; private */
	uint8_t object[JSON_MAX_DEPTH / 8]; /* one bit per level: object or array */
};

/* Scan text[0..len), which the caller keeps alive and unchanged. */
void json_init(struct json *j, const char *text, size_t len);

/* The next token. After JSON_ERROR and JSON_END it returns the same again. */
enum json_type json_next(struct json *j);

/* Pass over the value that begins with the current token (or, after JSON_KEY,
 * the value of the key). False on an error. */
bool json_skip(struct json *j);

/* Is the current KEY or STRING token this text? Compares raw bytes. */
bool json_is(const struct json *j, const char *text);

/* The quote that ends the string whose inside begins at text; NULL when it is malformed or has
 * no end. *escaped: it holds a backslash. */
const char *json_string_end(const char *text, const char *end, bool *escaped);

/* Append the current KEY or STRING token, unescaped to UTF-8 (a lone surrogate
 * becomes U+FFFD). Returns 0, STATUS_ENOMEM, or STATUS_ELIMIT when there is no
 * room for the token as it stands, escaped. */
int json_text(const struct json *j, struct buffer *out);

/* The current NUMBER token. */
double json_number(const struct json *j);

/* The current NUMBER token as a non-negative integer; -1 when it is none. */
int64_t json_count(const struct json *j);

/* ---- writer ---- */

/* Append a quoted string; bytes that are not UTF-8 become U+FFFD. Returns 0,
 * STATUS_ELIMIT or STATUS_ENOMEM, and then the buffer is as before. */
int json_put_string(struct buffer *out, const char *s, size_t len);

/* Append a number in the shortest form that reads back the same; NaN and
 * infinities become null. The same returns. */
int json_put_number(struct buffer *out, double v);

#endif
