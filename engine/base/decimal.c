#include "base/decimal.h"

#include <string.h>

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
			    "34353637383940414243444546474849505152535455565758596061626364656667"
			    "6869707172737475767778798081828384858687888990919293949596979899";

/* The digits of v, ending at end; at least `least`. Returns where they begin. */
static char *digits_before(char *end, uint64_t v, unsigned least)
{
	char *p = end;
	while (v >= 100) {
		p -= 2;
		memcpy(p, pairs + v % 100 * 2, 2);
		v /= 100;
	}
	if (v >= 10) {
		p -= 2;
		memcpy(p, pairs + v * 2, 2);
	} else if (v || p == end) {
		*--p = (char)('0' + v);
	}
	while (p > end - least)
		*--p = '0';
	return p;
}

char *decimal_put(char *out, uint64_t v)
{
	char digits[DECIMAL_SIZE], *end = digits + sizeof(digits);
	const char *p = digits_before(end, v, 0);
	memcpy(out, p, (size_t)(end - p));
	return out + (end - p);
}

char *decimal_put_scaled(char *out, int64_t v, unsigned decimals)
{
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, scale = 1;
	if (v < 0)
		*out++ = '-';
	for (; decimals && left % 10 == 0; decimals--) /* of 0 all of them */
		left /= 10;
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	out = decimal_put(out, left / scale);
	if (!decimals)
		return out;
	char digits[DECIMAL_SIZE], *end = digits + sizeof(digits);
	*out++ = '.';
	memcpy(out, digits_before(end, left % scale, decimals), decimals);
	return out + decimals;
}
