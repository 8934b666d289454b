/* Whatever is decoded lies inside the input and can be unescaped. */
#include "base/status.h"
#include "http/openai.h"

#include <stdint.h>
#include <stdlib.h>

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
	return 0;
}
