#include "metrics/order_ranks.h"

#include "support.h"

/* The tables of nonparametric intervals, and sums of binomials by hand. */
static void ranks_are_those_of_the_binomial(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		double q;
		uint64_t low, high;
		const char *why;
	} rows[] = {
		{ 10, 0.5, 2, 9, "P(B <= 1) = 0.0107, P(B <= 2) = 0.0547" },
		{ 5, 0.5, 0, 0, "P(B = 0) = 0.031 is above 0.025" },
		{ 6, 0.5, 1, 6, "P(B = 0) = 0.0156" },
		{ 20, 0.5, 6, 15, "P(B <= 5) = 0.0207, P(B <= 6) = 0.0577" },
		{ 100, 0.99, 97, 0, "P(B <= 96) = 0.018, P(B <= 97) = 0.079; P(B = 100) = 0.366" },
		{ 300, 0.99, 293, 0,
		  "P(B <= 292) = 0.0119, P(B <= 293) = 0.0340; P(B = 300) = 0.049" },
		{ 368, 0.99, 360, 368, "P(B = 368) = 0.0248: the first upper bound" },
		{ 367, 0.99, 359, 0, "P(B = 367) = 0.02502" },
		{ 1, 0.5, 0, 0, "one value bounds nothing" },
		{ 0, 0.5, 0, 0, "nothing" },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t low = 77, high = 77;
		order_ranks(rows[i].n, rows[i].q, 0.95, &low, &high);
		if (low != rows[i].low || high != rows[i].high)
			fail_msg("n = %d, q = %g: %d..%d, expected %d..%d (%s)", (int)rows[i].n,
			         rows[i].q, (int)low, (int)high, (int)rows[i].low,
			         (int)rows[i].high, rows[i].why);
	}
}

/* 1e6 at p50: 500000 -+ 1.96 * 500. */
static void large_numbers_are_approximated(void **state)
{
	(void)state;
	uint64_t low, high;
	order_ranks(1000000, 0.5, 0.95, &low, &high);
	assert_int_equal(low, 499020);
	assert_int_equal(high, 500981);
	order_ranks(1000000000, 0.999, 0.95, &low, &high);
	assert_in_range(low, 998998000, 998998100);
	assert_in_range(high, 999001900, 999002000);
}

/* Where one way ends and the other begins they agree. */
static void both_ways_agree(void **state)
{
	(void)state;
	uint64_t low, high, next_low, next_high;
	order_ranks(50505, 0.99, 0.95, &low, &high);
	order_ranks(50506, 0.99, 0.95, &next_low, &next_high);
	assert_in_range(next_low, low - 2, low + 2);
	assert_in_range(next_high, high - 2, high + 2);
}

/* 100 values that are worth 20: their ranks 6 and 15 of 21 parts. */
static void correlated_values_have_ranks_further_apart(void **state)
{
	(void)state;
	static const struct {
		uint64_t n;
		double independent;
		uint64_t low, high;
	} rows[] = {
		{ 100, 20, 28, 73 },   { 100, 20.9, 28, 73 }, { 100, 100, 40, 61 },
		{ 100, 1000, 40, 61 }, { 6, 6, 1, 6 },        { 100, 6, 14, 87 },
		{ 100, 5, 0, 0 },      { 100, 0.3, 0, 0 },    { 0, 0, 0, 0 },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t low = 77, high = 77;
		order_ranks_of(rows[i].n, rows[i].independent, 0.5, 0.95, &low, &high);
		if (low != rows[i].low || high != rows[i].high)
			fail_msg("%d worth %g: %d..%d, expected %d..%d", (int)rows[i].n,
			         rows[i].independent, (int)low, (int)high, (int)rows[i].low,
			         (int)rows[i].high);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_are_those_of_the_binomial),
		cmocka_unit_test(large_numbers_are_approximated),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(correlated_values_have_ranks_further_apart),
	};
	return cmocka_run_group_tests_name("order_ranks", tests, NULL, NULL);
}
