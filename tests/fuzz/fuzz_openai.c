/* Whatever is decoded lies inside the input and can be unescaped; and the lines of the input, as
 * chunks one after the other, say what each of them says alone. */
#include "base/status.h"
#include "http/openai.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct json_slice *s, const char *text, size_t size)
{
	struct buffer out;
	if (!s->data)
		return;
	if (s->data < text || s->data + s->len > text + size)
		abort();
	buffer_init(&out, s->len); /* unescaping never grows */
	if (json_slice_text(s, &out))
		abort();
	buffer_free(&out);
}

static bool differs(const struct json_slice *a, const struct json_slice *b)
{
	return a->len != b->len || (a->len && (a->data != b->data || a->escaped != b->escaped));
}

static void check_chunk(struct openai_pattern *p, const char *text, size_t size)
{
	struct delta a, b;
	const char *why;
	int err = openai_decode(&a, text, size, &why);
	if (openai_decode_chunk(p, &b, text, size, &why) != err)
		abort();
	if (err)
		return;
	if (differs(&a.content, &b.content) || differs(&a.reasoning, &b.reasoning) ||
	    differs(&a.tool, &b.tool) || differs(&a.finish_reason, &b.finish_reason) ||
	    differs(&a.error, &b.error))
		abort();
	if (a.tool_is_name != b.tool_is_name || a.has_choices != b.has_choices ||
	    a.has_error != b.has_error || a.has_usage != b.has_usage ||
	    a.tokens_in != b.tokens_in || a.tokens_out != b.tokens_out)
		abort();
}

static void check_chunks(const char *text, size_t size)
{
	struct openai_pattern p = { 0 };
	const char *end = text + size;
	while (text < end) {
		const char *lf = memchr(text, '\n', (size_t)(end - text));
		const char *stop = lf ? lf : end;
		check_chunk(&p, text, (size_t)(stop - text));
		text = stop + 1;
	}
	openai_pattern_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *error = NULL;
	struct delta d;
	if (openai_decode(&d, text, size, &error) && !error)
		abort();
	check(&d.content, text, size);
	check(&d.reasoning, text, size);
	check(&d.tool, text, size);
	check(&d.finish_reason, text, size);
	check(&d.error, text, size);
	if (size)
		check_chunks(text, size);
	return 0;
}
