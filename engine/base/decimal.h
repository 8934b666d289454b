/* decimal.h - integers as decimal digits, for writers that make millions of them.
 *
 * Pure; writes into the caller's room, never a NUL. Digits are written eight at a time: up
 * to DECIMAL_SIZE bytes of the room may change, whatever the length of the number. Any
 * thread. */
#ifndef PERIGEE_BASE_DECIMAL_H
#define PERIGEE_BASE_DECIMAL_H

#include <stdint.h>

#define DECIMAL_SIZE     32
#define DECIMAL_MAX_FRAC 19

/* The digits before the last eight of the latest number. Zeroed: none. */
struct decimal_near {
	uint64_t high;
	unsigned len;
	char digits[DECIMAL_SIZE];
};

/* Write v at out. Returns the end of what was written. */
char *decimal_put(char *out, uint64_t v);

/* The same for one of many that mostly differ in their last eight digits, as the stamps in
 * nanoseconds of one tenth of a second do. */
char *decimal_put_near(char *out, uint64_t v, struct decimal_near *n);

/* Write v / 10^decimals (at most DECIMAL_MAX_FRAC) exactly, without trailing zeros. The same
 * return. */
char *decimal_put_scaled(char *out, int64_t v, unsigned decimals);

#endif
