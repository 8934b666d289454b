/* utf8.h - what is valid UTF-8 (RFC 3629). Pure functions. */
#ifndef PERIGEE_BASE_UTF8_H
#define PERIGEE_BASE_UTF8_H

#include <stddef.h>

/* What stands for bytes that are not valid: U+FFFD. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Length of the valid sequence at s, of which `left` (> 0) bytes are there; 0
 * when there is none: no overlong forms, no surrogates, at most U+10FFFF. */
size_t utf8_len(const char *s, size_t left);

/* Write the code point (at most U+10FFFF); returns the bytes written. */
size_t utf8_put(char out[4], unsigned code);

/* Copy what fits of the text at s into out, terminated: whole sequences up to the first
 * NUL, U+FFFD for each byte that is not valid. size > 0. Returns the bytes written. */
size_t utf8_fit(char *out, size_t size, const char *s, size_t len);

#endif
