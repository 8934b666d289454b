#include "base/status.h"
#include "events/msgpack.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the standard headers, which it needs */
#include <cmocka.h>

#define BYTES(s) (s), sizeof(s) - 1

/* The bytes in memory of exactly their size, so that a sanitizer sees a read beyond. */
static char *exact(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, data, len);
	return copy;
}

static int read_one(const char *data, size_t len, struct msgpack_value *v)
{
	struct msgpack m;
	msgpack_init(&m, data, len);
	int err = msgpack_next(&m, v);
	if (!err && v->type != MSGPACK_ARRAY && v->type != MSGPACK_MAP)
		assert_ptr_equal(m.at, m.end);
	return err;
}

static void test_uint_round_trips_in_the_shortest_form(void **state)
{
	static const struct {
		uint64_t v;
		size_t size;
	} rows[] = {
		{ 0, 1 },         { 127, 1 },        { 128, 2 },
		{ 255, 2 },       { 256, 3 },        { 65535, 3 },
		{ 65536, 5 },     { UINT32_MAX, 5 }, { (uint64_t)UINT32_MAX + 1, 9 },
		{ INT64_MAX, 9 }, { UINT64_MAX, 9 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char out[MSGPACK_INT_MAX];
		struct msgpack_value v;
		size_t n = (size_t)(msgpack_put_uint(out, rows[i].v) - out);
		assert_int_equal(n, rows[i].size);
		assert_int_equal(read_one(out, n, &v), STATUS_OK);
		assert_int_equal(v.type, MSGPACK_UINT);
		assert_true(v.u == rows[i].v);
	}
}

static void test_signed_integers_are_read(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		int64_t v;
	} rows[] = {
		{ BYTES("\xff"), -1 },
		{ BYTES("\xe0"), -32 },
		{ BYTES("\xd0\x80"), -128 },
		{ BYTES("\xd1\xff\x00"), -256 },
		{ BYTES("\xd2\x80\x00\x00\x00"), INT32_MIN },
		{ BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), INT64_MIN },
		{ BYTES("\xd0\x7f"), 127 }, /* written signed, but not negative */
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msgpack_value v;
		assert_int_equal(read_one(rows[i].data, rows[i].len, &v), STATUS_OK);
		assert_int_equal(v.type, rows[i].v < 0 ? MSGPACK_INT : MSGPACK_UINT);
		assert_true(v.i == rows[i].v);
	}
}

static void test_other_scalars_are_read(void **state)
{
	struct msgpack_value v;
	(void)state;
	assert_int_equal(read_one(BYTES("\xc0"), &v), STATUS_OK);
	assert_int_equal(v.type, MSGPACK_NIL);
	assert_int_equal(read_one(BYTES("\xc3"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_BOOL && v.boolean);
	assert_int_equal(read_one(BYTES("\xc2"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_BOOL && !v.boolean);
	assert_int_equal(read_one(BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_FLOAT && fabs(v.number - 1.5) < 1e-12);
	assert_int_equal(read_one(BYTES("\xca\xbf\xc0\x00\x00"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_FLOAT && fabs(v.number + 1.5) < 1e-12);
	assert_int_equal(read_one(BYTES("\xc4\x02\x00\x01"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_BIN && v.count == 2 && v.data[1] == 1);
	assert_int_equal(read_one(BYTES("\xd5\x07xy"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_EXT && v.count == 2 && v.data[0] == 'x');
	assert_int_equal(read_one(BYTES("\xc7\x03\x07xyz"), &v), STATUS_OK);
	assert_true(v.type == MSGPACK_EXT && v.count == 3 && v.data[2] == 'z');
}

static void test_text_round_trips_at_each_header_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 31, 32, 255, 256, 65535, 65536 };
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t len = sizes[i];
		char *text = malloc(len + 1), *out = malloc(len + MSGPACK_HEAD_MAX);
		assert_true(text && out);
		memset(text, 'a', len);
		assert_int_equal(msgpack_text_size(text, len), len);
		char *end = msgpack_put_text(out, text, len, len);
		struct msgpack_value v;
		assert_int_equal(read_one(out, (size_t)(end - out), &v), STATUS_OK);
		assert_true(v.type == MSGPACK_STR && v.count == len);
		assert_memory_equal(v.data, text, len);
		free(text);
		free(out);
	}
}

static void test_bytes_that_are_no_utf8_are_replaced(void **state)
{
#define BAD "\xef\xbf\xbd"
	static const struct {
		const char *in, *out, *why;
	} rows[] = {
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "two bytes" },
		{ "\xe2\x82\xac", "\xe2\x82\xac", "three bytes" },
		{ "\xf0\x9f\x8c\x95", "\xf0\x9f\x8c\x95", "four bytes" },
		{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", "the last code point" },
		{ "12345678\xff", "12345678" BAD, "after a whole word of ASCII" },
		{ "\x80", BAD, "a continuation alone" },
		{ "\xc3", BAD, "cut short" },
		{ "a\xe2\x82z", "a" BAD BAD "z", "cut short inside" },
		{ "\xc0\x80", BAD BAD, "overlong" },
		{ "\xe0\x80\x80", BAD BAD BAD, "overlong" },
		{ "\xed\xa0\x80", BAD BAD BAD, "a surrogate" },
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD, "beyond U+10FFFF" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = strlen(rows[i].in), want = strlen(rows[i].out);
		char *in = exact(rows[i].in, len), out[64];
		size_t size = msgpack_text_size(in, len);
		assert_int_equal(size, want);
		assert_int_equal(msgpack_put_text(out, in, len, size) - out, want + 1);
		assert_memory_equal(out + 1, rows[i].out, want);
		free(in);
	}
}

static void test_malformed_input_is_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *why;
	} rows[] = {
		{ BYTES(""), "nothing" },
		{ BYTES("\xc1"), "the byte that is never used" },
		{ BYTES("\xcc"), "an integer without its byte" },
		{ BYTES("\xcf\x01\x02\x03"), "an integer cut short" },
		{ BYTES("\xcb\x01"), "a float cut short" },
		{ BYTES("\xa3yo"), "a text cut short" },
		{ BYTES("\xd9"), "a text without its length" },
		{ BYTES("\xdb\xff\xff\xff\xffx"), "a text of 4 GiB" },
		{ BYTES("\xc6\x00\x00\x00\x02x"), "a bin cut short" },
		{ BYTES("\xd4"), "an ext without its type" },
		{ BYTES("\xc9\xff\xff\xff\xff\x01"), "an ext of 4 GiB" },
		{ BYTES("\x91"), "an array whose value is missing" },
		{ BYTES("\xdd\xff\xff\xff\xff\xc0"), "an array of 4 Gi values" },
		{ BYTES("\x81\xc0"), "a map whose value is missing" },
		{ BYTES("\xdf\xff\xff\xff\xff\xc0\xc0"), "a map of 4 Gi pairs" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *data = exact(rows[i].data, rows[i].len);
		struct msgpack m;
		struct msgpack_value v;
		assert_int_equal(read_one(data, rows[i].len, &v), STATUS_EPROTO);
		msgpack_init(&m, data, rows[i].len);
		assert_int_equal(msgpack_skip(&m, 1), STATUS_EPROTO);
		free(data);
	}
}

static void test_skip_passes_over_any_value(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} rows[] = {
		{ BYTES("\xc0") },
		{ BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x00") },
		{ BYTES("\x93\x01\xa1x\x92\x01\x02") },
		{ BYTES("\x82\xa1"
		        "a\x91\xc0\xa1"
		        "b\xc4\x01z") },
		{ BYTES("\xd8\x05"
		        "0123456789abcdef") },
		{ BYTES("\xdc\x00\x01\xde\x00\x01\x01\x02") },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct msgpack m;
		for (size_t len = 0; len <= rows[i].len; len++) {
			char *data = exact(rows[i].data, len);
			msgpack_init(&m, data, len);
			bool whole = len == rows[i].len;
			assert_int_equal(msgpack_skip(&m, 1), whole ? STATUS_OK : STATUS_EPROTO);
			if (whole)
				assert_ptr_equal(m.at, m.end);
			free(data);
		}
	}
}

static void test_skip_takes_no_stack_for_depth(void **state)
{
	const size_t depth = 8 << 20; /* a recursion would need a GiB */
	char *data = malloc(depth);
	struct msgpack m;
	(void)state;
	assert_non_null(data);
	memset(data, '\x91', depth);
	msgpack_init(&m, data, depth);
	assert_int_equal(msgpack_skip(&m, 1), STATUS_EPROTO);
	data[depth - 1] = '\xc0';
	msgpack_init(&m, data, depth);
	assert_int_equal(msgpack_skip(&m, 1), STATUS_OK);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uint_round_trips_in_the_shortest_form),
		cmocka_unit_test(test_signed_integers_are_read),
		cmocka_unit_test(test_other_scalars_are_read),
		cmocka_unit_test(test_text_round_trips_at_each_header_size),
		cmocka_unit_test(test_bytes_that_are_no_utf8_are_replaced),
		cmocka_unit_test(test_malformed_input_is_refused),
		cmocka_unit_test(test_skip_passes_over_any_value),
		cmocka_unit_test(test_skip_takes_no_stack_for_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
