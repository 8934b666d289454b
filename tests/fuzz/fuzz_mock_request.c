/* Requests to the built-in endpoint. The first byte chooses the size of the pieces
 * that the rest arrives in; whole and in pieces must come to the same. */
#include "mock/ask.h"
#include "mock/request.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BODY 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum request_event parse(struct request *r, char *copy, const uint8_t *data, size_t size,
                                size_t step)
{
	enum request_event ev = REQUEST_MORE;
	request_init(r, MAX_BODY);
	for (size_t have = 0; have < size && ev == REQUEST_MORE;) {
		size_t n = step < size - have ? step : size - have;
		memcpy(copy + have, data + have, n);
		have += n;
		do
			ev = request_parse(r, copy, have);
		while (ev == REQUEST_CONTINUE);
	}
	return ev;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void read_body(const char *data, struct span body)
{
	struct ask a;
	const char *reason;
	ask_init(&a, MAX_BODY);
	for (int chat = 0; chat < 2; chat++)
		ask_read(&a, chat, data + body.at, body.len, &reason);
	ask_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	size_t step = data[0] ? data[0] : 1, len = size - 1;
	char *whole = malloc(len), *pieces = malloc(len);
	check(whole && pieces);
	struct request a, b;
	enum request_event first = parse(&a, whole, data + 1, len, len);
	enum request_event second = parse(&b, pieces, data + 1, len, step);
	check(first == second);
	if (first == REQUEST_DONE) {
		check(a.size == b.size && a.size <= len && a.body.len == b.body.len);
		check(a.body.len <= MAX_BODY);
		check(memcmp(whole + a.body.at, pieces + b.body.at, a.body.len) == 0);
		read_body(whole, a.body);
	}
	free(whole);
	free(pieces);
	return 0;
}
