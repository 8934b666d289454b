/* decimal.h - integers as decimal digits, for writers that make millions of them.
 *
 * Pure; writes into the caller's room, never a NUL. Any thread. */
#ifndef PERIGEE_BASE_DECIMAL_H
#define PERIGEE_BASE_DECIMAL_H

#include <stdint.h>

/* Room for any value: a sign, 20 digits and a point, or "0." and 19 decimals. */
#define DECIMAL_SIZE     24
#define DECIMAL_MAX_FRAC 19

/* Write v at out. Returns the end of what was written. */
char *decimal_put(char *out, uint64_t v);

/* Write v / 10^decimals (at most DECIMAL_MAX_FRAC) exactly, without trailing zeros. The same
 * return. */
char *decimal_put_scaled(char *out, int64_t v, unsigned decimals);

#endif
