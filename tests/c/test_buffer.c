#include "base/buffer.h"

#include "support.h"

static void holds_what_was_appended(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 1 << 20);
	for (int i = 0; i < 1000; i++)
		assert_ok(buffer_append(&b, "0123456789", 10));
	assert_int_equal(b.len, 10000);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.data[i], '0' + i % 10);
	buffer_free(&b);
}

static void is_valid_when_zeroed_with_a_limit(void **state)
{
	(void)state;
	struct buffer b = { .limit = 8 };
	assert_ok(buffer_append_str(&b, "abc"));
	assert_memory_equal(b.data, "abc", 3);
	buffer_free(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.limit, 8);
	assert_ok(buffer_append_str(&b, "again"));
	buffer_free(&b);
}

static void takes_its_limit_and_not_a_byte_more(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 'x', sizeof(text));
	for (size_t limit = 0; limit < sizeof(text); limit += 37) {
		struct buffer b;
		buffer_init(&b, limit);
		assert_ok(buffer_append(&b, text, limit / 2));
		assert_ok(buffer_append(&b, text, limit - limit / 2));
		assert_int_equal(b.len, limit);
		assert_int_equal(buffer_append(&b, "y", 1), STATUS_ELIMIT);
		assert_int_equal(buffer_reserve(&b, SIZE_MAX), STATUS_ELIMIT);
		assert_ok(buffer_append(&b, "y", 0));
		assert_int_equal(b.len, limit);
		if (limit)
			assert_memory_equal(b.data, text, limit);
		buffer_free(&b);
	}
}

static void reports_memory_that_is_not_there(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, SIZE_MAX);
	assert_ok(buffer_append_str(&b, "kept"));
	assert_int_equal(buffer_reserve(&b, SIZE_MAX / 2 + 1), STATUS_ENOMEM);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "kept", 4);
	buffer_free(&b);
}

static void reserves_without_a_change_of_contents(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 4096);
	assert_ok(buffer_append_str(&b, "ab"));
	assert_ok(buffer_reserve(&b, 4000));
	assert_true(b.cap >= 4002);
	assert_true(b.cap <= b.limit);
	char *data = b.data;
	memset(b.data + b.len, 'z', 4000);
	b.len += 4000;
	assert_ptr_equal(b.data, data);
	assert_memory_equal(b.data, "abz", 3);
	buffer_free(&b);
}

static void prints(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 64);
	assert_ok(buffer_printf(&b, "%d-%s", 42, "x"));
	assert_ok(buffer_printf(&b, "%s", ""));
	assert_ok(buffer_printf(&b, "%c", '!'));
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "42-x!", 5);
	assert_int_equal(buffer_printf(&b, "%70d", 1), STATUS_ELIMIT);
	assert_int_equal(b.len, 5);
	assert_memory_equal(b.data, "42-x!", 5);
	buffer_free(&b);
}

static void prints_up_to_the_limit(void **state)
{
	(void)state;
	for (size_t limit = 1; limit < 600; limit += 7) {
		struct buffer b;
		buffer_init(&b, limit);
		assert_ok(buffer_printf(&b, "%*d", (int)limit, 7));
		assert_int_equal(b.len, limit);
		assert_int_equal(b.data[limit - 1], '7');
		assert_ok(buffer_printf(&b, "%s", ""));
		assert_int_equal(buffer_printf(&b, "%s", "x"), STATUS_ELIMIT);
		assert_int_equal(b.len, limit);
		buffer_free(&b);
	}
}

static void consumes_from_the_front(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 64);
	assert_ok(buffer_append_str(&b, "abcdef"));
	buffer_consume(&b, 0);
	assert_int_equal(b.len, 6);
	buffer_consume(&b, 2);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "cdef", 4);
	buffer_consume(&b, 4);
	assert_int_equal(b.len, 0);
	assert_ok(buffer_append_str(&b, "g"));
	assert_memory_equal(b.data, "g", 1);
	buffer_free(&b);
}

static void keeps_or_gives_back_memory_when_cleared(void **state)
{
	(void)state;
	struct buffer b;
	buffer_init(&b, 1 << 16);
	assert_ok(buffer_reserve(&b, 5000));
	assert_ok(buffer_append_str(&b, "x"));
	size_t cap = b.cap;
	buffer_clear(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, cap);
	buffer_trim(&b, cap);
	assert_int_equal(b.cap, cap);
	assert_ok(buffer_append_str(&b, "x"));
	buffer_trim(&b, cap - 1);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	assert_null(b.data);
	assert_int_equal(b.limit, 1 << 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_what_was_appended),
		cmocka_unit_test(is_valid_when_zeroed_with_a_limit),
		cmocka_unit_test(takes_its_limit_and_not_a_byte_more),
		cmocka_unit_test(reports_memory_that_is_not_there),
		cmocka_unit_test(reserves_without_a_change_of_contents),
		cmocka_unit_test(prints),
		cmocka_unit_test(prints_up_to_the_limit),
		cmocka_unit_test(consumes_from_the_front),
		cmocka_unit_test(keeps_or_gives_back_memory_when_cleared),
	};
	return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
