#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256

void buffer_init(struct buffer *b, size_t limit)
{
	*b = (struct buffer){ .limit = limit };
}

void buffer_free(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->limit);
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
}

void buffer_trim(struct buffer *b, size_t keep)
{
	if (b->cap > keep)
		buffer_free(b);
	else
		b->len = 0;
}

int buffer_grow(struct buffer *b, size_t n)
{
	if (n > b->limit - b->len)
		return STATUS_ELIMIT;
	size_t need = b->len + n;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > b->limit / 2 ? b->limit : cap * 2;
	if (cap > b->limit)
		cap = b->limit;
	char *data = cap < SIZE_MAX ? realloc(b->data, cap + 1) : NULL;
	if (!data)
		return STATUS_ENOMEM;
	b->data = data;
	b->cap = cap;
	return STATUS_OK;
}

int buffer_append(struct buffer *b, const void *data, size_t n)
{
	if (n == 0)
		return STATUS_OK;
	int err = buffer_reserve(b, n);
	if (err)
		return err;
	memcpy(b->data + b->len, data, n);
	b->len += n;
	return STATUS_OK;
}

int buffer_append_str(struct buffer *b, const char *s)
{
	return buffer_append(b, s, strlen(s));
}

int buffer_printf(struct buffer *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	int err = n < 0 ? STATUS_EINVAL : buffer_reserve(b, (size_t)n);
	if (!err && n > 0) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return err;
}

void buffer_consume(struct buffer *b, size_t n)
{
	if (n < b->len)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}
