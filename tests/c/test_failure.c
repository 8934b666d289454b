#include "base/failure.h"

#include "support.h"

static void names_go_there_and_back(void **state)
{
	(void)state;
	for (int f = 0; f < FAILURE_COUNT; f++) {
		const char *name = failure_name((enum failure)f);
		assert_int_equal(failure_from_name(name, strlen(name)), f);
		assert_true(strlen(failure_text((enum failure)f)) > 0);
		for (int other = 0; other < f; other++)
			assert_string_not_equal(name, failure_name((enum failure)other));
	}
}

static void names_on_the_wire_do_not_change(void **state)
{
	(void)state;
	static const char *const names[] = {
		"none",
		"dns",
		"refused",
		"connect",
		"connect_timeout",
		"tls",
		"reset",
		"first_byte_timeout",
		"timeout",
		"http",
		"bad_http",
		"truncated",
		"bad_sse",
		"bad_json",
		"stream_error",
		"too_large",
		"cancelled",
		"abandoned",
		"client",
	};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		assert_string_equal(failure_name((enum failure)i), names[i]);
}

static void what_is_not_in_the_table_is_unknown(void **state)
{
	(void)state;
	assert_string_equal(failure_name(FAILURE_COUNT), "unknown");
	assert_string_equal(failure_name((enum failure) - 1), "unknown");
	assert_string_equal(failure_text(FAILURE_COUNT), "unknown failure");
	assert_int_equal(failure_from_name("ref", 3), FAILURE_COUNT);
	assert_int_equal(failure_from_name("refused!", 8), FAILURE_COUNT);
	assert_int_equal(failure_from_name("refused!", 7), FAILURE_REFUSED);
	assert_int_equal(failure_from_name(NULL, 0), FAILURE_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_go_there_and_back),
		cmocka_unit_test(names_on_the_wire_do_not_change),
		cmocka_unit_test(what_is_not_in_the_table_is_unknown),
	};
	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
