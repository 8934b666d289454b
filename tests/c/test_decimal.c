#include "base/decimal.h"

#include "base/rng.h"

#include "support.h"

#include <inttypes.h>
#include <stdio.h>

static const char *whole(uint64_t v)
{
	static char out[DECIMAL_SIZE + 1];
	*decimal_put(out, v) = '\0';
	return out;
}

static const char *scaled(int64_t v, unsigned decimals)
{
	static char out[DECIMAL_SIZE + 1];
	*decimal_put_scaled(out, v, decimals) = '\0';
	return out;
}

static void writes_what_printf_writes(void **state)
{
	(void)state;
	char expected[32];
	uint64_t power = 1;
	for (int digits = 1; digits <= 20; digits++, power *= 10)
		for (int64_t d = -1; d <= 1; d++) {
			uint64_t v = power + (uint64_t)d;
			snprintf(expected, sizeof(expected), "%" PRIu64, v);
			assert_string_equal(whole(v), expected);
		}
	for (uint64_t i = 0; i < 100000; i++) {
		uint64_t v = rng_mix(1, i) >> (i % 64);
		snprintf(expected, sizeof(expected), "%" PRIu64, v);
		assert_string_equal(whole(v), expected);
	}
	assert_string_equal(whole(UINT64_MAX), "18446744073709551615");
}

static void writes_near_numbers_alike(void **state)
{
	(void)state;
	struct decimal_near near = { 0 };
	char expected[32], out[DECIMAL_SIZE + 1];
	for (uint64_t i = 0; i < 100000; i++) {
		/* Now and then one of another size; between them those that are near. */
		uint64_t v = rng_mix(1, i / 3) >> (i / 3 % 64);
		v += v < UINT64_MAX - 3 ? i % 3 : 0;
		snprintf(expected, sizeof(expected), "%" PRIu64, v);
		*decimal_put_near(out, v, &near) = '\0';
		assert_string_equal(out, expected);
	}
}

static void scales_exactly_without_trailing_zeros(void **state)
{
	(void)state;
	static const struct {
		int64_t v;
		unsigned decimals;
		const char *text;
	} rows[] = {
		{ 0, 0, "0" },
		{ 0, 6, "0" },
		{ 7, 0, "7" },
		{ 7, 3, "0.007" },
		{ 70, 3, "0.07" },
		{ 1000, 3, "1" },
		{ 1230000, 6, "1.23" },
		{ 123456789, 6, "123.456789" },
		{ -1500, 3, "-1.5" },
		{ INT64_MAX, 0, "9223372036854775807" },
		{ INT64_MAX, 6, "9223372036854.775807" },
		{ INT64_MIN, 18, "-9.223372036854775808" },
		{ 1, DECIMAL_MAX_FRAC, "0.0000000000000000001" },
		{ INT64_MIN, DECIMAL_MAX_FRAC, "-0.9223372036854775808" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_string_equal(scaled(rows[i].v, rows[i].decimals), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_printf_writes),
		cmocka_unit_test(writes_near_numbers_alike),
		cmocka_unit_test(scales_exactly_without_trailing_zeros),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
