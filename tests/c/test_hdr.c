#include "metrics/hdr.h"

#include "support.h"

static struct histogram *of(const uint64_t *values, size_t n)
{
	struct histogram *h;
	assert_ok(histogram_new(&h));
	for (size_t i = 0; i < n; i++)
		histogram_add(h, values[i]);
	return h;
}

/* The text that fn(h) appends to what is there already. */
static const char *text_of(int (*fn)(struct buffer *, const struct histogram *),
                           const struct histogram *h)
{
	static char text[4096];
	struct buffer out;
	buffer_init(&out, 1 << 20);
	assert_ok(buffer_append_str(&out, "before "));
	assert_ok(fn(&out, h));
	assert_in_range(out.len, 7, sizeof(text));
	memcpy(text, out.data + 7, out.len - 7);
	text[out.len - 7] = '\0';
	buffer_free(&out);
	return text;
}

static int percentiles(struct buffer *out, const struct histogram *h)
{
	return hdr_put_percentiles(out, h, 1e6, 2);
}

/* Ten values of 1 to 10 ms: with two lines a halving, levels of 0, 25, 50, 62.5, 75, ... % */
static void percentiles_have_their_lines(void **state)
{
	(void)state;
	uint64_t values[10];
	for (size_t i = 0; i < COUNT_OF(values); i++)
		values[i] = (i + 1) * 1000000;
	struct histogram *h = of(values, COUNT_OF(values));
	assert_string_equal(text_of(percentiles, h),
	                    "       Value     Percentile TotalCount 1/(1-Percentile)\n"
	                    "\n"
	                    "       1.000 0.000000000000          1           1.00\n"
	                    "       3.000 0.250000000000          3           1.33\n"
	                    "       5.001 0.500000000000          5           2.00\n"
	                    "       7.000 0.625000000000          7           2.67\n"
	                    "       8.004 0.750000000000          8           4.00\n"
	                    "       9.003 0.812500000000          9           5.33\n"
	                    "       9.003 0.875000000000          9           8.00\n"
	                    "      10.000 1.000000000000         10\n"
	                    "#[Mean    =        5.500, StdDeviation   =        2.872]\n"
	                    "#[Max     =       10.000, Total count    =           10]\n"
	                    "#[Buckets =           32, SubBuckets     =         2048]\n");
	histogram_free(h);
}

static void an_empty_histogram_has_no_lines(void **state)
{
	(void)state;
	struct histogram *h = of(NULL, 0);
	const char *text = text_of(percentiles, h);
	assert_non_null(strstr(text, "1/(1-Percentile)\n\n#[Mean    =        0.000"));
	histogram_free(h);
}

/* By hand from the format: counts of 0 (two of them), 1 empty, 2, then 997 empty, 1000. */
static void the_encoding_has_these_bytes(void **state)
{
	(void)state;
	static const uint64_t values[] = { 0, 0, 2, 1000 };
	struct histogram *h = of(values, COUNT_OF(values));
	/* 1c849314 len 7801 | 01 2e00 d1ff | 1c849313 00000006 00000000 00000003 1 3.6e12 1.0
	 * | 04 00 02 c9 0f 02 | adler32 */
	assert_string_equal(text_of(hdr_put_encoded, h),
	                    "HISTFAAAADl4AQEuANH/HISTEwAAAAYAAAAAAAAAAwAAAAAAAAABAAADRjC4oAA/8AAA"
	                    "AAAAAAQAAskPAmuABTE=");
	histogram_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_have_their_lines),
		cmocka_unit_test(an_empty_histogram_has_no_lines),
		cmocka_unit_test(the_encoding_has_these_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
