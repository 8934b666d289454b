/* Any bytes as a JSON document: scanned whole, skipped whole, each string read
 * and written back; and the same bytes as a string to be written. */
#include "base/json.h"

#include "base/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			abort();                                                                   \
	} while (0)

#define LIMIT (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text of the one string that is the document. */
static void read_string(const struct buffer *document, struct buffer *out)
{
	struct json j;
	json_init(&j, document->data, document->len);
	CHECK(json_next(&j) == JSON_STRING);
	CHECK(json_text(&j, out) == STATUS_OK);
	CHECK(json_next(&j) == JSON_END);
}

/* What was written once is valid UTF-8, so that it survives the second time. */
static void write_and_read(const char *text, size_t len)
{
	struct buffer written = { .limit = LIMIT }, first = written, second = written;
	CHECK(json_put_string(&written, text, len) == STATUS_OK);
	read_string(&written, &first);
	buffer_clear(&written);
	CHECK(json_put_string(&written, first.data, first.len) == STATUS_OK);
	read_string(&written, &second);
	CHECK(first.len == second.len);
	CHECK(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
	buffer_free(&written);
	buffer_free(&first);
	buffer_free(&second);
}

static void check_string(const struct json *j)
{
	struct buffer text = { .limit = LIMIT };
	CHECK(json_text(j, &text) == STATUS_OK);
	CHECK(text.len <= j->size);
	if (text.len)
		write_and_read(text.data, text.len);
	buffer_free(&text);
}

static void check_number(const struct json *j)
{
	double v = json_number(j);
	CHECK(!isnan(v));
	int64_t n = json_count(j);
	CHECK(n < 0 || (double)n == v);
	struct buffer out = { .limit = 64 };
	CHECK(json_put_number(&out, v) == STATUS_OK);
	struct json again;
	json_init(&again, out.data, out.len);
	enum json_type type = json_next(&again);
	CHECK(isinf(v) ? type == JSON_NULL : type == JSON_NUMBER && json_number(&again) == v);
	buffer_free(&out);
}

/* Is it a document? */
static bool scan(const char *text, size_t len)
{
	struct json j;
	json_init(&j, text, len);
	enum json_type type;
	size_t tokens = 0;
	while ((type = json_next(&j)) != JSON_END && type != JSON_ERROR) {
		CHECK(++tokens <= len);
		CHECK(j.pos <= len);
		if (type == JSON_STRING || type == JSON_KEY)
			check_string(&j);
		if (type == JSON_NUMBER)
			check_number(&j);
	}
	size_t pos = j.pos;
	CHECK(pos <= len);
	CHECK(json_next(&j) == type && j.pos == pos);
	return type == JSON_END;
}

static bool skip(const char *text, size_t len)
{
	struct json j;
	json_init(&j, text, len);
	return json_next(&j) != JSON_ERROR && json_skip(&j) && json_next(&j) == JSON_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1); /* no byte behind it may be read */
	if (!text)
		return 0;
	memcpy(text, data, size);
	CHECK(scan(text, size) == skip(text, size));
	write_and_read(text, size);
	free(text);
	return 0;
}
