/* msgpack.h - the part of MessagePack that events need: a writer over a plain
 * pointer and a pull reader.
 *
 * The put functions write at p, which has the room they name, and return the
 * byte after; they check nothing, so that an encoder can reserve once. The
 * reader allocates nothing, copies nothing and never recurses. Any thread. */
#ifndef PERIGEE_EVENTS_MSGPACK_H
#define PERIGEE_EVENTS_MSGPACK_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- writer ---- */

#define MSGPACK_HEAD_MAX 5 /* bytes of the longest header of a str, bin, array or map */
#define MSGPACK_INT_MAX  9 /* bytes of the longest integer */

static inline char *msgpack_put_byte(char *p, unsigned v)
{
	*p = (char)v;
	return p + 1;
}

static inline char *msgpack_put_be16(char *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *msgpack_put_be32(char *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *msgpack_put_be64(char *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static inline char *msgpack_put_nil(char *p)
{
	return msgpack_put_byte(p, 0xc0);
}

/* Up to MSGPACK_INT_MAX bytes, and it may write on all of them. Without a branch for each width:
 * which one it will be cannot be foretold. */
static inline char *msgpack_put_uint(char *p, uint64_t v)
{
	if (v < 0x80)
		return msgpack_put_byte(p, (unsigned)v);
	/* 0 to 3, by the bytes that are zero: it is stored in 8, 4, 2 or 1. */
	static const uint8_t log2_of[8] = { 3, 3, 3, 3, 2, 2, 1, 0 };
	unsigned log2 = log2_of[__builtin_clzll(v) / 8];
	unsigned width = 1u << log2;
	msgpack_put_byte(p, 0xcc + log2);
	msgpack_put_be64(p + 1, v << (64 - 8 * width));
	return p + 1 + width;
}

/* The header of a text of n bytes, up to MSGPACK_HEAD_MAX bytes. */
static inline char *msgpack_put_str_head(char *p, uint32_t n)
{
	if (n < 32)
		return msgpack_put_byte(p, 0xa0 | n);
	if (n <= UINT8_MAX)
		return msgpack_put_byte(msgpack_put_byte(p, 0xd9), n);
	if (n <= UINT16_MAX)
		return msgpack_put_be16(msgpack_put_byte(p, 0xda), (uint16_t)n);
	return msgpack_put_be32(msgpack_put_byte(p, 0xdb), n);
}

/* The header of an array of n values, up to MSGPACK_HEAD_MAX bytes. */
static inline char *msgpack_put_array_head(char *p, uint32_t n)
{
	if (n < 16)
		return msgpack_put_byte(p, 0x90 | n);
	if (n <= UINT16_MAX)
		return msgpack_put_be16(msgpack_put_byte(p, 0xdc), (uint16_t)n);
	return msgpack_put_be32(msgpack_put_byte(p, 0xdd), n);
}

static inline char *msgpack_put_bin8(char *p, uint8_t n)
{
	return msgpack_put_byte(msgpack_put_byte(p, 0xc4), n);
}

/* Headers of a fixed width, to be filled in when the count is known. */
static inline char *msgpack_put_map16(char *p, uint16_t n)
{
	return msgpack_put_be16(msgpack_put_byte(p, 0xde), n);
}

static inline char *msgpack_put_array32(char *p, uint32_t n)
{
	return msgpack_put_be32(msgpack_put_byte(p, 0xdd), n);
}

static inline char *msgpack_put_bin32(char *p, uint32_t n)
{
	return msgpack_put_be32(msgpack_put_byte(p, 0xc6), n);
}

/* Bytes of s as UTF-8, when each byte that is no part of a valid sequence
 * becomes U+FFFD: equal to len exactly when s is valid. */
size_t msgpack_text_size(const char *s, size_t len);

/* Write header and text. size is what msgpack_text_size() gave for it; room for
 * MSGPACK_HEAD_MAX + size bytes. */
char *msgpack_put_text(char *p, const char *s, size_t len, size_t size);

/* ---- reader ---- */

enum msgpack_type {
	MSGPACK_NIL,
	MSGPACK_BOOL,
	MSGPACK_UINT, /* every integer that is not negative */
	MSGPACK_INT,  /* negative */
	MSGPACK_FLOAT,
	MSGPACK_STR,
	MSGPACK_BIN,
	MSGPACK_EXT, /* data without its type byte */
	MSGPACK_ARRAY,
	MSGPACK_MAP,
};

struct msgpack {
	const char *at; /* the next byte to read */
	const char *end;
};

struct msgpack_value {
	enum msgpack_type type;
	uint32_t count; /* ARRAY: values that follow; MAP: pairs; STR, BIN, EXT: bytes at data */
	union {
		bool boolean;
		uint64_t u;
		int64_t i;
		double number;
		const char *data; /* a slice of the input, not terminated */
	};
};

void msgpack_init(struct msgpack *m, const char *data, size_t len);

/* Read one value; of an array or a map only the header. A count that the rest of
 * the input cannot hold is refused. Returns 0 or STATUS_EPROTO. */
int msgpack_next(struct msgpack *m, struct msgpack_value *v);

/* Eight bytes of what a value points to. */
static inline uint64_t msgpack_get_be64(const char *data)
{
	uint64_t v;
	memcpy(&v, data, sizeof(v));
	return be64toh(v);
}

/* Pass over n whole values, however nested. Returns 0 or STATUS_EPROTO. */
int msgpack_skip(struct msgpack *m, uint64_t n);

/* Pass over what belongs to v, whose header was read: nothing for a scalar. */
int msgpack_skip_rest(struct msgpack *m, const struct msgpack_value *v);

#endif
