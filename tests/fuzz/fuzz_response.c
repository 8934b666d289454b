/* A response in pieces must come to the same verdict as in one. The first byte
 * chooses decoder, status, content type and what is kept. */
#include "http/response.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct response *r, unsigned options, const char *text, size_t size, bool split)
{
	uint64_t now = 1000;
	response_init(r, 512);
	r->keep_text = options & 1;
	r->keep_body = options & 2;
	response_start(r, (enum decoder)(options >> 2 & 3) % 3, NULL, NULL);
	response_head(r, options & 16 ? 500 : 200,
	              options & 32 ? "application/json" : "text/event-stream", now);
	for (size_t at = 0, n; at < size; at += n) {
		n = split ? 1 + (unsigned char)text[at] % 17 : size;
		n = n < size - at ? n : size - at;
		now += 1000;
		response_bytes(r, text + at, n, now);
	}
	response_end(r, FAILURE_NONE, NULL, now);
}

static bool same_bytes(const struct buffer *a, const struct buffer *b)
{
	return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

/* Whether a limit or a bad event is met first, and how much of the body a failure
 * leaves, depends on the split; all else does not. */
static void compare(const struct response *a, const struct response *b)
{
	if (a->bytes != b->bytes)
		abort();
	if (a->failure == FAILURE_TOO_LARGE || b->failure == FAILURE_TOO_LARGE)
		return;
	if (a->failure != b->failure || a->events != b->events || a->chunks != b->chunks ||
	    a->tokens_out != b->tokens_out || strcmp(a->finish_reason, b->finish_reason) != 0 ||
	    strcmp(a->error, b->error) != 0 || !same_bytes(&a->text, &b->text))
		abort();
	if ((a->failure == FAILURE_NONE || a->failure == FAILURE_HTTP) &&
	    !same_bytes(&a->body, &b->body))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct response a = { 0 }, b = { 0 };
	if (!size)
		return 0;
	const char *text = (const char *)data + 1;
	run(&a, data[0], text, size - 1, false);
	run(&b, data[0], text, size - 1, true);
	compare(&a, &b);
	response_free(&a);
	response_free(&b);
	return 0;
}
