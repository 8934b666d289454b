#include "events/msgpack.h"

#include "base/status.h"
#include "base/utf8.h"

#include <string.h>

/* ---- text ---- */

#define REPLACEMENT_SIZE (sizeof(UTF8_REPLACEMENT) - 1)

/* Bytes of plain ASCII at the start of s, in steps of eight, then single ones. */
static size_t ascii_run(const char *s, size_t len)
{
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		uint64_t word;
		memcpy(&word, s + i, sizeof(word));
		if (word & 0x8080808080808080ULL)
			break;
	}
	while (i < len && !(s[i] & 0x80))
		i++;
	return i;
}

size_t msgpack_text_size(const char *s, size_t len)
{
	size_t i = 0, size = len;
	if (!len)
		return 0;
	while ((i += ascii_run(s + i, len - i)) < len) {
		size_t n = utf8_len(s + i, len - i);
		if (!n)
			size += REPLACEMENT_SIZE - 1;
		i += n ? n : 1;
	}
	return size;
}

static char *put_repaired(char *p, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = s[i] & 0x80 ? utf8_len(s + i, len - i) : 1;
		if (n) {
			memcpy(p, s + i, n);
			p += n;
			i += n;
		} else {
			memcpy(p, UTF8_REPLACEMENT, REPLACEMENT_SIZE);
			p += REPLACEMENT_SIZE;
			i++;
		}
	}
	return p;
}

char *msgpack_put_text(char *p, const char *s, size_t len, size_t size)
{
	p = msgpack_put_str_head(p, (uint32_t)size);
	if (size != len)
		return put_repaired(p, s, len);
	if (len)
		memcpy(p, s, len);
	return p + len;
}

/* ---- reader ---- */

void msgpack_init(struct msgpack *m, const char *data, size_t len)
{
	m->at = data;
	m->end = len ? data + len : data;
}

static size_t left(const struct msgpack *m)
{
	return (size_t)(m->end - m->at);
}

/* Big-endian, width bytes; false at the end of the input. */
static bool take(struct msgpack *m, unsigned width, uint64_t *out)
{
	if (left(m) < width)
		return false;
	uint64_t v = 0;
	for (unsigned i = 0; i < width; i++)
		v = v << 8 | (unsigned char)m->at[i];
	m->at += width;
	*out = v;
	return true;
}

static int read_uint(struct msgpack *m, struct msgpack_value *v, unsigned width)
{
	v->type = MSGPACK_UINT;
	return take(m, width, &v->u) ? STATUS_OK : STATUS_EPROTO;
}

static int read_int(struct msgpack *m, struct msgpack_value *v, unsigned width)
{
	uint64_t raw;
	if (!take(m, width, &raw))
		return STATUS_EPROTO;
	unsigned shift = 64 - 8 * width;
	v->i = (int64_t)(raw << shift) >> shift;
	v->type = v->i < 0 ? MSGPACK_INT : MSGPACK_UINT;
	return STATUS_OK;
}

static int read_float(struct msgpack *m, struct msgpack_value *v, unsigned width)
{
	uint64_t raw;
	if (!take(m, width, &raw))
		return STATUS_EPROTO;
	v->type = MSGPACK_FLOAT;
	if (width == 8) {
		memcpy(&v->number, &raw, sizeof(v->number));
		return STATUS_OK;
	}
	float single;
	uint32_t raw32 = (uint32_t)raw;
	memcpy(&single, &raw32, sizeof(single));
	v->number = (double)single;
	return STATUS_OK;
}

/* extra: bytes between the length and the data (the type byte of an ext). */
static int slice_of(struct msgpack *m, struct msgpack_value *v, enum msgpack_type type, uint64_t n,
                    unsigned extra)
{
	if (left(m) < extra || left(m) - extra < n)
		return STATUS_EPROTO;
	v->type = type;
	v->count = (uint32_t)n;
	v->data = m->at + extra;
	m->at += extra + n;
	return STATUS_OK;
}

static int read_slice(struct msgpack *m, struct msgpack_value *v, enum msgpack_type type,
                      unsigned width)
{
	uint64_t n;
	if (!take(m, width, &n))
		return STATUS_EPROTO;
	return slice_of(m, v, type, n, type == MSGPACK_EXT);
}

static int group_of(struct msgpack *m, struct msgpack_value *v, enum msgpack_type type, uint64_t n)
{
	if (n * (type == MSGPACK_MAP ? 2 : 1) > left(m)) /* a value has one byte at least */
		return STATUS_EPROTO;
	v->type = type;
	v->count = (uint32_t)n;
	return STATUS_OK;
}

static int read_group(struct msgpack *m, struct msgpack_value *v, enum msgpack_type type,
                      unsigned width)
{
	uint64_t n;
	return take(m, width, &n) ? group_of(m, v, type, n) : STATUS_EPROTO;
}

static int read_bool(struct msgpack_value *v, bool boolean)
{
	v->type = MSGPACK_BOOL;
	v->boolean = boolean;
	return STATUS_OK;
}

static int read_small(struct msgpack_value *v, unsigned char b)
{
	v->i = (int8_t)b;
	v->type = v->i < 0 ? MSGPACK_INT : MSGPACK_UINT;
	return STATUS_OK;
}

/* The values whose first byte is 0xc0 to 0xdf. */
static int read_wide(struct msgpack *m, struct msgpack_value *v, unsigned char b)
{
	switch (b) {
	case 0xc0:
		v->type = MSGPACK_NIL;
		return STATUS_OK;
	case 0xc2:
	case 0xc3:
		return read_bool(v, b == 0xc3);
	case 0xc4:
	case 0xc5:
	case 0xc6:
		return read_slice(m, v, MSGPACK_BIN, 1u << (b - 0xc4));
	case 0xc7:
	case 0xc8:
	case 0xc9:
		return read_slice(m, v, MSGPACK_EXT, 1u << (b - 0xc7));
	case 0xca:
	case 0xcb:
		return read_float(m, v, b == 0xca ? 4 : 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return read_uint(m, v, 1u << (b - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return read_int(m, v, 1u << (b - 0xd0));
	case 0xd4:
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		return slice_of(m, v, MSGPACK_EXT, 1u << (b - 0xd4), 1);
	case 0xd9:
	case 0xda:
	case 0xdb:
		return read_slice(m, v, MSGPACK_STR, 1u << (b - 0xd9));
	case 0xdc:
	case 0xdd:
		return read_group(m, v, MSGPACK_ARRAY, b == 0xdc ? 2 : 4);
	case 0xde:
	case 0xdf:
		return read_group(m, v, MSGPACK_MAP, b == 0xde ? 2 : 4);
	default: /* 0xc1 is never used */
		return STATUS_EPROTO;
	}
}

int msgpack_next(struct msgpack *m, struct msgpack_value *v)
{
	if (m->at == m->end)
		return STATUS_EPROTO;
	unsigned char b = (unsigned char)*m->at++;
	if (b < 0x80 || b >= 0xe0)
		return read_small(v, b);
	if (b < 0x90)
		return group_of(m, v, MSGPACK_MAP, b & 0x0f);
	if (b < 0xa0)
		return group_of(m, v, MSGPACK_ARRAY, b & 0x0f);
	if (b < 0xc0)
		return slice_of(m, v, MSGPACK_STR, b & 0x1f, 0);
	return read_wide(m, v, b);
}

/* A counter of values still to come takes the place of a stack, so that no input
 * can nest too deeply; it never passes the bytes that are left. */
int msgpack_skip(struct msgpack *m, uint64_t n)
{
	for (struct msgpack_value v; n > 0; n--) {
		if (n > left(m) || msgpack_next(m, &v))
			return STATUS_EPROTO;
		if (v.type == MSGPACK_ARRAY)
			n += v.count;
		else if (v.type == MSGPACK_MAP)
			n += 2 * (uint64_t)v.count;
	}
	return STATUS_OK;
}

int msgpack_skip_rest(struct msgpack *m, const struct msgpack_value *v)
{
	if (v->type == MSGPACK_ARRAY)
		return msgpack_skip(m, v->count);
	if (v->type == MSGPACK_MAP)
		return msgpack_skip(m, 2 * (uint64_t)v->count);
	return STATUS_OK;
}
