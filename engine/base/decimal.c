#include "base/decimal.h"

#include <endian.h>
#include <string.h>

#define DIGITS      8  /* of a word */
#define HIGH_DIGITS 16 /* room for those before the last eight: 12 at most */

static const uint64_t powers[DECIMAL_MAX_FRAC + 1] = {
	1u,
	10u,
	100u,
	1000u,
	10000u,
	100000u,
	1000000u,
	10000000u,
	100000000u,
	1000000000u,
	10000000000u,
	100000000000u,
	1000000000000u,
	10000000000000u,
	100000000000000u,
	1000000000000000u,
	10000000000000000u,
	100000000000000000u,
	1000000000000000000u,
	10000000000000000000u,
};

/* The eight digits of v < 10^8 as numbers, the first one in the lowest byte. The word is split in
 * halves, quarters and bytes; both products give the whole part of a division. */
static uint64_t digits_of(uint32_t v)
{
	uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32;
	uint64_t q = (x * 10486 >> 20) & 0x0000007f0000007f; /* of 100 */
	x = (x - q * 100) << 16 | q;
	q = (x * 103 >> 10) & 0x000f000f000f000f; /* of 10 */
	return (x - q * 10) << 8 | q;
}

static void put_digits(char *out, uint64_t digits)
{
	digits = htole64(digits + 0x3030303030303030);
	memcpy(out, &digits, DIGITS);
}

char *decimal_put(char *out, uint64_t v)
{
	if (v < 10) { /* many are, and the first digit of a stamp */
		*out = (char)('0' + v);
		return out + 1;
	}
	if (v >= powers[DIGITS]) {
		out = decimal_put(out, v / powers[DIGITS]);
		put_digits(out, digits_of((uint32_t)(v % powers[DIGITS])));
		return out + DIGITS;
	}
	uint64_t digits = digits_of((uint32_t)v);
	unsigned zeros = (unsigned)__builtin_ctzll(digits) / 8;
	put_digits(out, digits >> 8 * zeros);
	return out + DIGITS - zeros;
}

char *decimal_put_near(char *out, uint64_t v, struct decimal_near *n)
{
	uint64_t high = v / powers[DIGITS];
	if (!high)
		return decimal_put(out, v);
	if (high != n->high) {
		n->high = high;
		n->len = (unsigned)(decimal_put(n->digits, high) - n->digits);
	}
	memcpy(out, n->digits, HIGH_DIGITS); /* a fixed size is a store or two */
	out += n->len;
	put_digits(out, digits_of((uint32_t)(v % powers[DIGITS])));
	return out + DIGITS;
}

char *decimal_put_scaled(char *out, int64_t v, unsigned decimals)
{
	uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	if (v < 0)
		*out++ = '-';
	out = decimal_put(out, left / powers[decimals]);
	left %= powers[decimals];
	if (!left)
		return out;
	*out++ = '.';
	for (; decimals > DIGITS; decimals -= DIGITS, out += DIGITS) {
		uint64_t scale = powers[decimals - DIGITS];
		put_digits(out, digits_of((uint32_t)(left / scale)));
		left %= scale;
	}
	put_digits(out, digits_of((uint32_t)(left * powers[DIGITS - decimals])));
	for (out += decimals; out[-1] == '0';)
		out--;
	return out;
}
