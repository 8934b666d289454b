#include "base/json.h"

#include "base/status.h"
#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may come next. */
enum {
	WANT_VALUE,        /* a value must come */
	WANT_FIRST_KEY,    /* after { */
	WANT_FIRST_ITEM,   /* after [ */
	WANT_COMMA_OR_END, /* after a value inside something */
	WANT_NOTHING,      /* the document is complete */
	WANT_FAILED,
};

void json_init(struct json *j, const char *text, size_t len)
{
	*j = (struct json){ .text = text, .len = len, .state = WANT_VALUE };
}

static enum json_type fail(struct json *j, const char *error)
{
	j->state = WANT_FAILED;
	j->error = error;
	return j->type = JSON_ERROR;
}

static int peek(const struct json *j)
{
	return j->pos < j->len ? (unsigned char)j->text[j->pos] : -1;
}

static void skip_spaces(struct json *j)
{
	while (j->pos < j->len) {
		char c = j->text[j->pos];
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			return;
		j->pos++;
	}
}

/* Most of what machines write has none. */
static inline void skip_space(struct json *j)
{
	if (j->pos < j->len && (unsigned char)j->text[j->pos] <= ' ')
		skip_spaces(j);
}

static bool in_object(const struct json *j)
{
	unsigned level = j->depth - 1;
	return (j->object[level / 8] >> (level % 8)) & 1;
}

static enum json_type after_value(struct json *j, enum json_type type)
{
	j->state = j->depth ? WANT_COMMA_OR_END : WANT_NOTHING;
	return j->type = type;
}

static enum json_type open_level(struct json *j, bool object)
{
	if (j->depth == JSON_MAX_DEPTH)
		return fail(j, "nested too deeply");
	unsigned level = j->depth++;
	uint8_t bit = (uint8_t)(1u << (level % 8));
	j->object[level / 8] =
		(uint8_t)(object ? j->object[level / 8] | bit : j->object[level / 8] & ~bit);
	j->pos++;
	j->state = object ? WANT_FIRST_KEY : WANT_FIRST_ITEM;
	return j->type = object ? JSON_OBJECT_BEGIN : JSON_ARRAY_BEGIN;
}

static enum json_type close_level(struct json *j)
{
	enum json_type type = in_object(j) ? JSON_OBJECT_END : JSON_ARRAY_END;
	j->depth--;
	j->pos++;
	return after_value(j, type);
}

static bool is_hex(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* *at is on a backslash. Moves it behind the escape, or to what is wrong with it. */
static bool skip_escape(const char **at, const char *end)
{
	const char *p = ++*at;
	if (p == end || *p == '\0' || !strchr("\"\\/bfnrtu", *p))
		return false;
	(*at)++;
	for (int i = 0; *p == 'u' && i < 4; i++, (*at)++)
		if (*at == end || !is_hex(**at))
			return false;
	return true;
}

/* Sixteen bytes at a time: any vector unit has that, and without one it is plain code. */
typedef unsigned char block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

#define LONG_BLOCKS 4 /* looked at together once a string is longer than one */

/* All bits of the bytes that are not plain text of a string: a quote, a backslash or a
 * control character. */
static halves find_special(const char *p)
{
	block b;
	memcpy(&b, p, sizeof(b));
	return (halves)((b == '"') | (b == '\\') | (b < 0x20));
}

/* The place of the first byte of eight that has bits, of which one has. */
static unsigned first_byte(uint64_t bits)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	bits = __builtin_bswap64(bits);
#endif
	return (unsigned)__builtin_ctzll(bits) / 8;
}

/* The first byte of the 64 at each step that may be special; short of `end` by less than that
 * when there is none. */
static const char *skip_blocks(const char *p, const char *end)
{
	for (; end - p >= (ptrdiff_t)(LONG_BLOCKS * sizeof(block));
	     p += LONG_BLOCKS * sizeof(block)) {
		halves any = find_special(p);
		for (size_t i = 1; i < LONG_BLOCKS; i++)
			any |= find_special(p + i * sizeof(block));
		if (any[0] | any[1])
			break;
	}
	return p;
}

/* The first byte that is special; end when there is none. */
static const char *skip_plain(const char *p, const char *end)
{
	bool is_long = false;
	while (end - p >= (ptrdiff_t)sizeof(block)) {
		halves special = find_special(p);
		if (special[0])
			return p + first_byte(special[0]);
		if (special[1])
			return p + sizeof(uint64_t) + first_byte(special[1]);
		p += sizeof(block);
		if (!is_long)
			p = skip_blocks(p, end);
		is_long = true;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

/* *at is inside a string. Moves it to the first byte that is no part of it, end when there is
 * none; false: to what is wrong with an escape. */
static inline bool skip_string(const char **at, const char *end, bool *escaped)
{
	for (;;) {
		*at = skip_plain(*at, end);
		if (*at == end || **at != '\\')
			return true;
		*escaped = true;
		if (!skip_escape(at, end))
			return false;
	}
}

/* j->pos is on the opening quote. */
static bool scan_string(struct json *j)
{
	const char *p = j->text + j->pos + 1, *end = j->text + j->len;
	j->start = p;
	j->escaped = false;
	bool good = skip_string(&p, end, &j->escaped);
	j->pos = (size_t)(p - j->text);
	if (good && p < end && *p == '"') {
		j->size = (size_t)(p - j->start);
		j->pos++;
		return true;
	}
	fail(j, !good      ? "bad escape in a string"
	        : p == end ? "unterminated string"
	                   : "control character in a string");
	return false;
}

const char *json_string_end(const char *text, const char *end, bool *escaped)
{
	const char *at = text;
	*escaped = false;
	return skip_string(&at, end, escaped) && at < end && *at == '"' ? at : NULL;
}

static size_t scan_digits(struct json *j)
{
	size_t from = j->pos;
	while (j->pos < j->len && j->text[j->pos] >= '0' && j->text[j->pos] <= '9')
		j->pos++;
	return j->pos - from;
}

static enum json_type scan_number(struct json *j)
{
	j->start = j->text + j->pos;
	if (peek(j) == '-')
		j->pos++;
	bool zero = peek(j) == '0';
	size_t digits = scan_digits(j);
	if (zero && digits > 1)
		j->pos -= digits - 1; /* nothing but the zero may stand there */
	if (digits == 0 || (zero && digits > 1))
		return fail(j, "bad number");
	if (peek(j) == '.') {
		j->pos++;
		if (!scan_digits(j))
			return fail(j, "bad number");
	}
	if (peek(j) == 'e' || peek(j) == 'E') {
		j->pos++;
		if (peek(j) == '+' || peek(j) == '-')
			j->pos++;
		if (!scan_digits(j))
			return fail(j, "bad number");
	}
	j->size = (size_t)(j->text + j->pos - j->start);
	return after_value(j, JSON_NUMBER);
}

static enum json_type scan_word(struct json *j, const char *word, enum json_type type)
{
	size_t n = strlen(word);
	if (j->len - j->pos < n || memcmp(j->text + j->pos, word, n) != 0)
		return fail(j, "unknown word");
	j->start = j->text + j->pos;
	j->size = n;
	j->pos += n;
	return after_value(j, type);
}

static enum json_type scan_value(struct json *j)
{
	int c = peek(j);
	switch (c) {
	case -1:
		return fail(j, "unexpected end of text");
	case '{':
		return open_level(j, true);
	case '[':
		return open_level(j, false);
	case '"':
		return scan_string(j) ? after_value(j, JSON_STRING) : JSON_ERROR;
	case 't':
		return scan_word(j, "true", JSON_TRUE);
	case 'f':
		return scan_word(j, "false", JSON_FALSE);
	case 'n':
		return scan_word(j, "null", JSON_NULL);
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			return scan_number(j);
		return fail(j, "a value was expected");
	}
}

static enum json_type scan_key(struct json *j)
{
	if (peek(j) != '"')
		return fail(j, "a key in quotes was expected");
	if (!scan_string(j))
		return JSON_ERROR;
	skip_space(j);
	if (peek(j) != ':')
		return fail(j, "':' was expected after a key");
	j->pos++;
	j->state = WANT_VALUE;
	return j->type = JSON_KEY;
}

static enum json_type after_comma(struct json *j)
{
	bool object = in_object(j);
	int c = peek(j);
	if (c == (object ? '}' : ']'))
		return close_level(j);
	if (c != ',')
		return fail(j, object ? "',' or '}' was expected" : "',' or ']' was expected");
	j->pos++;
	skip_space(j);
	return object ? scan_key(j) : scan_value(j);
}

enum json_type json_next(struct json *j)
{
	if (j->state == WANT_FAILED)
		return JSON_ERROR;
	skip_space(j);
	switch (j->state) {
	case WANT_VALUE:
		return scan_value(j);
	case WANT_FIRST_KEY:
		return peek(j) == '}' ? close_level(j) : scan_key(j);
	case WANT_FIRST_ITEM:
		return peek(j) == ']' ? close_level(j) : scan_value(j);
	case WANT_COMMA_OR_END:
		return after_comma(j);
	default: /* WANT_NOTHING */
		if (j->pos < j->len)
			return fail(j, "text after the end of the value");
		return j->type = JSON_END;
	}
}

bool json_skip(struct json *j)
{
	if (j->type == JSON_KEY && json_next(j) == JSON_ERROR)
		return false;
	if (j->type != JSON_OBJECT_BEGIN && j->type != JSON_ARRAY_BEGIN)
		return j->type != JSON_ERROR;
	unsigned until = j->depth - 1;
	while (j->depth > until)
		if (json_next(j) == JSON_ERROR)
			return false;
	return true;
}

bool json_is(const struct json *j, const char *text)
{
	return strlen(text) == j->size && memcmp(j->start, text, j->size) == 0;
}

/* ---- values ---- */

static unsigned hex4(const char *s)
{
	unsigned v = 0;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		v = v * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return v;
}

/* s stands after "\u"; returns the bytes read (4, or 10 for a pair). */
static size_t read_unicode(const char *s, const char *end, unsigned *code)
{
	unsigned c = hex4(s);
	*code = c;
	if (c < 0xd800 || c > 0xdfff)
		return 4;
	*code = 0xfffd;
	if (c > 0xdbff || end - s < 10 || s[4] != '\\' || s[5] != 'u')
		return 4;
	unsigned low = hex4(s + 6);
	if (low < 0xdc00 || low > 0xdfff)
		return 4;
	*code = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	return 10;
}

static char simple_escape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

int json_text(const struct json *j, struct buffer *out)
{
	if (!j->escaped)
		return buffer_append(out, j->start, j->size);
	int err = buffer_reserve(out, j->size); /* unescaping never grows */
	if (err)
		return err;
	const char *s = j->start, *end = s + j->size;
	char *to = out->data + out->len;
	while (s < end) {
		const char *slash = memchr(s, '\\', (size_t)(end - s));
		size_t plain = (size_t)((slash ? slash : end) - s);
		memcpy(to, s, plain);
		to += plain;
		s += plain;
		if (!slash)
			break;
		if (s[1] != 'u') {
			*to++ = simple_escape(s[1]);
			s += 2;
			continue;
		}
		unsigned code;
		s += 2;
		s += read_unicode(s, end, &code);
		to += utf8_put(to, code);
	}
	out->len = (size_t)(to - out->data);
	return STATUS_OK;
}

double json_number(const struct json *j)
{
	/* The token ends at a byte that is no part of a number or at the end of
	 * the text, which need not be terminated: copy. */
	char tmp[64];
	if (j->size < sizeof(tmp)) {
		memcpy(tmp, j->start, j->size);
		tmp[j->size] = '\0';
		return strtod(tmp, NULL);
	}
	char *copy = strndup(j->start, j->size);
	double v = copy ? strtod(copy, NULL) : NAN;
	free(copy);
	return v;
}

int64_t json_count(const struct json *j)
{
	if (j->type != JSON_NUMBER)
		return -1;
	int64_t v = 0;
	for (size_t i = 0; i < j->size; i++) {
		int digit = j->start[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, digit, &v))
			return -1;
	}
	return v;
}

/* ---- writer ---- */

static int put_special(struct buffer *out, unsigned char c)
{
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (const char *p = names; *p; p += 2)
		if ((unsigned char)p[0] == c)
			return buffer_append(out, (char[]){ '\\', p[1] }, 2);
	return buffer_printf(out, "\\u%04x", c);
}

#define EACH_BYTE(v) (0x0101010101010101 * (uint64_t)(v))

/* Is any byte of x below n (at most 0x80)? */
static bool any_below(uint64_t x, unsigned n)
{
	return (x - EACH_BYTE(n)) & ~x & EACH_BYTE(0x80);
}

/* Bytes at the start of s that a string holds as they are: ASCII, in steps of eight. */
static size_t plain_run(const unsigned char *s, size_t len)
{
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		uint64_t x;
		memcpy(&x, s + i, sizeof(x));
		if ((x & EACH_BYTE(0x80)) || any_below(x, 0x20) ||
		    any_below(x ^ EACH_BYTE('"'), 1) || any_below(x ^ EACH_BYTE('\\'), 1))
			break;
	}
	return i;
}

int json_put_string(struct buffer *out, const char *s, size_t len)
{
	if (len == 0) /* then s may be NULL, with which one must not calculate */
		s = "";
	const unsigned char *p = (const unsigned char *)s, *end = p + len;
	size_t before = out->len;
	int err = buffer_append(out, "\"", 1);
	while (!err && p < end) {
		const unsigned char *from = p;
		size_t n = 1;
		p += plain_run(p, (size_t)(end - p));
		while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' &&
		       (n = *p < 0x80 ? 1 : utf8_len((const char *)p, (size_t)(end - p))) != 0)
			p += n;
		err = buffer_append(out, from, (size_t)(p - from));
		if (err || p == end)
			break;
		err = n ? put_special(out, *p) : buffer_append(out, UTF8_REPLACEMENT, 3);
		p++;
	}
	if (!err)
		err = buffer_append(out, "\"", 1);
	if (err)
		out->len = before;
	return err;
}

int json_put_number(struct buffer *out, double v)
{
	if (!isfinite(v))
		return buffer_append_str(out, "null");
	if (v == floor(v) && fabs(v) < 1e15)
		return buffer_printf(out, "%.0f", v == 0 ? 0.0 : v);
	char tmp[32];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(tmp, sizeof(tmp), "%.*g", digits, v);
		if (strtod(tmp, NULL) == v)
			break;
	}
	return buffer_append_str(out, tmp);
}
