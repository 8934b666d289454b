/* A response split in every way must come to the same, its head remembered or not. The first
 * byte chooses the size of the pieces and whether it answers HEAD; short inputs are also split
 * in two everywhere. */
#include "../c/http1_support.h"

#include <stdint.h>
#include <stdlib.h>

#define EVERYWHERE 512 /* inputs up to here: the cost is quadratic */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How much of it has been used when it is refused depends on the split. */
static void compare(const struct http1_result *a, const struct http1_result *b)
{
	size_t n = a->body_len < sizeof(a->body) ? a->body_len : sizeof(a->body);
	if (a->end != b->end || a->status != b->status || a->head != b->head ||
	    a->keep != b->keep || a->body_len != b->body_len || memcmp(a->body, b->body, n) != 0 ||
	    memcmp(a->type, b->type, sizeof(a->type)) != 0 || strcmp(a->error, b->error) != 0)
		abort();
	if (a->end == HTTP1_END && a->used != b->used)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	bool is_head = data[0] & 1;
	size_t step = 1 + (data[0] >> 1), len = size - 1;
	char *text = malloc(len); /* of its own, so that reading on is found */
	if (!text)
		abort();
	memcpy(text, data + 1, len);
	struct http1_known known = { 0 };
	struct http1 p = { .known = &known };
	struct http1_result whole = http1_run(&p, is_head, text, len, len, len);
	struct http1_result pieces = http1_run(&p, is_head, text, len, step, step);
	compare(&whole, &pieces);
	for (size_t at = 1; len <= EVERYWHERE && at < len; at++) {
		pieces = http1_run(&p, is_head, text, len, at, len);
		compare(&whole, &pieces);
	}
	http1_free(&p);
	free(text);
	return 0;
}
