/* Any split of an input must give the same events as the whole of it. */
#include "base/status.h"
#include "http/sse.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The events so far, as one number (FNV-1a over lengths and bytes). */
static void mix(uint64_t *sum, const char *s, size_t len)
{
	*sum = (*sum ^ len) * 0x100000001b3;
	for (size_t i = 0; i < len; i++)
		*sum = (*sum ^ (unsigned char)s[i]) * 0x100000001b3;
}

static int on_event(void *ctx, const struct sse_event *e)
{
	mix(ctx, e->data, e->len);
	mix(ctx, e->name ? e->name : "", e->name_len);
	return 0;
}

/* Pieces of 1 + the value of the byte that begins each. */
static int run(const char *text, size_t size, bool split, bool strict, uint64_t *sum)
{
	struct sse s = { .strict = strict };
	int rc = 0;
	*sum = 0;
	sse_init(&s, 64);
	for (size_t at = 0, n; !rc && at < size; at += n) {
		n = split ? 1 + (unsigned char)text[at] % 17 : size;
		n = n < size - at ? n : size - at;
		rc = sse_feed(&s, text + at, n, on_event, sum);
	}
	if (!rc) {
		struct sse_event e;
		rc = sse_finish(&s, &e);
		if (e.data)
			on_event(sum, &e);
	}
	sse_free(&s);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int strict = 0; strict < 2; strict++) {
		uint64_t whole, split;
		int a = run((const char *)data, size, false, strict, &whole);
		int b = run((const char *)data, size, true, strict, &split);
		if (a != b || whole != split)
			abort();
	}
	return 0;
}
