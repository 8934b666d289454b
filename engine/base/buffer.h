/* buffer.h - bytes that grow up to a limit set at birth.
 *
 * The owner embeds the struct; a zeroed one with a limit is valid and empty.
 * A failed call leaves the contents as they were. Any thread, one at a time. */
#ifndef PERIGEE_BASE_BUFFER_H
#define PERIGEE_BASE_BUFFER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *data; /* len bytes, not terminated; NULL until the first append */
	size_t len;
	size_t cap;   /* bytes of room; one more is allocated, for printf's NUL */
	size_t limit; /* len never passes this */
};

void buffer_init(struct buffer *b, size_t limit);
void buffer_free(struct buffer *b); /* leaves an empty buffer with the same limit */

/* Forget the contents, keep the memory. */
void buffer_clear(struct buffer *b);

/* Forget the contents, and the memory too when it is larger than keep bytes. */
void buffer_trim(struct buffer *b, size_t keep);

/* The memory for it, where there is less. */
int buffer_grow(struct buffer *b, size_t n);

/* Room for n more bytes. Returns 0, STATUS_ELIMIT or STATUS_ENOMEM. */
static inline int buffer_reserve(struct buffer *b, size_t n)
{
	/* Both: a limit may have been lowered since. */
	bool fits = n <= b->cap - b->len && n <= b->limit - b->len;
	return fits ? STATUS_OK : buffer_grow(b, n);
}

/* Where the next byte goes: writers of many small parts reserve once, write there and
 * set len themselves. */
static inline char *buffer_end(const struct buffer *b)
{
	return b->data + b->len;
}

/* Append n bytes; the same returns. */
int buffer_append(struct buffer *b, const void *data, size_t n);
int buffer_append_str(struct buffer *b, const char *s);

/* Append formatted text; also STATUS_EINVAL for a format that cannot be printed. */
int buffer_printf(struct buffer *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Remove the first n bytes (n <= len). */
void buffer_consume(struct buffer *b, size_t n);

#endif
