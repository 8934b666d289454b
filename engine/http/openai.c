#include "http/openai.h"

#include "base/json.h"
#include "base/status.h"

#include <string.h>

/* A reader is called with a key, or an array's element, as the current token and
 * returns with the last token of its value; false on malformed JSON. */
typedef bool reader(struct json *j, struct delta *d);

/* The length of a literal is known to the compiler: one compare, one memcmp. */
#define KEY_IS(j, text)                                                                            \
	((j)->size == sizeof(text) - 1 && memcmp((j)->start, text, sizeof(text) - 1) == 0)

bool delta_has_content(const struct delta *d)
{
	return d->content.len || d->reasoning.len || d->tool.len;
}

int json_slice_text(const struct json_slice *s, struct buffer *out)
{
	if (!s->escaped)
		return buffer_append(out, s->data, s->len);
	struct json token = { .start = s->data, .size = s->len, .escaped = true };
	return json_text(&token, out);
}

static bool carries(const struct delta *d)
{
	return delta_has_content(d) || d->finish_reason.len;
}

/* The value of the current key as a string; anything else is passed over. */
static bool read_string(struct json *j, struct json_slice *out)
{
	if (json_next(j) == JSON_STRING)
		*out = (struct json_slice){ j->start, j->size, j->escaped };
	return json_skip(j);
}

static bool read_count(struct json *j, int64_t *out)
{
	if (json_next(j) == JSON_NUMBER)
		*out = json_count(j);
	return json_skip(j);
}

/* Call member() for each key of the object that begins with the current token. */
static bool members(struct json *j, struct delta *d, reader *member)
{
	while (json_next(j) == JSON_KEY)
		if (!member(j, d))
			return false;
	return j->type == JSON_OBJECT_END;
}

/* The same for the value of the current key; another type of value is passed over. */
static bool read_object(struct json *j, struct delta *d, reader *member)
{
	return json_next(j) == JSON_OBJECT_BEGIN ? members(j, d, member) : json_skip(j);
}

/* Call item() for each element of the array, likewise. */
static bool read_array(struct json *j, struct delta *d, reader *item)
{
	if (json_next(j) != JSON_ARRAY_BEGIN)
		return json_skip(j);
	while (json_next(j) != JSON_ARRAY_END)
		if (j->type == JSON_ERROR || !item(j, d))
			return false;
	return true;
}

static bool function_member(struct json *j, struct delta *d)
{
	bool arguments = KEY_IS(j, "arguments");
	if (!arguments && !KEY_IS(j, "name"))
		return json_skip(j);
	struct json_slice s = { 0 };
	if (!read_string(j, &s))
		return false;
	if (s.len && (arguments || !d->tool.len)) {
		d->tool = s;
		d->tool_is_name = !arguments;
	}
	return true;
}

static bool tool_call_member(struct json *j, struct delta *d)
{
	return KEY_IS(j, "function") ? read_object(j, d, function_member) : json_skip(j);
}

static bool tool_call(struct json *j, struct delta *d)
{
	if (j->type != JSON_OBJECT_BEGIN || d->tool.len)
		return json_skip(j);
	return members(j, d, tool_call_member);
}

static bool message_member(struct json *j, struct delta *d)
{
	if (KEY_IS(j, "content"))
		return read_string(j, &d->content);
	if (KEY_IS(j, "reasoning_content") || KEY_IS(j, "reasoning")) {
		struct json_slice s = { 0 };
		if (!read_string(j, &s))
			return false;
		if (!d->reasoning.len) /* some servers send both, one of them null */
			d->reasoning = s;
		return true;
	}
	if (KEY_IS(j, "tool_calls"))
		return read_array(j, d, tool_call);
	return json_skip(j);
}

static bool choice_member(struct json *j, struct delta *d)
{
	if (KEY_IS(j, "delta") || KEY_IS(j, "message"))
		return read_object(j, d, message_member);
	if (KEY_IS(j, "text"))
		return read_string(j, &d->content);
	if (KEY_IS(j, "finish_reason"))
		return read_string(j, &d->finish_reason);
	return json_skip(j);
}

static bool choice(struct json *j, struct delta *d)
{
	if (j->type != JSON_OBJECT_BEGIN || carries(d))
		return json_skip(j);
	return members(j, d, choice_member);
}

static bool prompt_details_member(struct json *j, struct delta *d)
{
	return KEY_IS(j, "cached_tokens") ? read_count(j, &d->tokens_cached) : json_skip(j);
}

static bool usage_member(struct json *j, struct delta *d)
{
	d->has_usage = true;
	if (KEY_IS(j, "prompt_tokens"))
		return read_count(j, &d->tokens_in);
	if (KEY_IS(j, "completion_tokens"))
		return read_count(j, &d->tokens_out);
	if (KEY_IS(j, "prompt_tokens_details"))
		return read_object(j, d, prompt_details_member);
	if (KEY_IS(j, "prompt_cache_hit_tokens") || KEY_IS(j, "cached_tokens") ||
	    KEY_IS(j, "num_cached_tokens"))
		return read_count(j, &d->tokens_cached);
	return json_skip(j);
}

static bool error_member(struct json *j, struct delta *d)
{
	return KEY_IS(j, "message") ? read_string(j, &d->error) : json_skip(j);
}

static bool read_error(struct json *j, struct delta *d)
{
	switch (json_next(j)) {
	case JSON_STRING:
		d->has_error = true;
		d->error = (struct json_slice){ j->start, j->size, j->escaped };
		return true;
	case JSON_OBJECT_BEGIN:
		d->has_error = true;
		return members(j, d, error_member);
	default: /* null: there is none */
		return json_skip(j);
	}
}

/* The other shape of an error: {"object": "error", "message": "..."}. */
struct flat_error {
	struct json_slice object;
	struct json_slice message;
};

static bool top_member(struct json *j, struct delta *d, struct flat_error *flat)
{
	if (KEY_IS(j, "choices")) {
		bool ok = read_array(j, d, choice);
		d->has_choices |= ok && j->type == JSON_ARRAY_END;
		return ok;
	}
	if (KEY_IS(j, "usage"))
		return read_object(j, d, usage_member);
	if (KEY_IS(j, "error"))
		return read_error(j, d);
	if (KEY_IS(j, "object"))
		return read_string(j, &flat->object);
	if (KEY_IS(j, "message"))
		return read_string(j, &flat->message);
	return json_skip(j);
}

int openai_decode(struct delta *d, const char *json, size_t len, const char **error)
{
	struct json j;
	struct flat_error flat = { 0 };
	*d = (struct delta){ .tokens_in = -1, .tokens_out = -1, .tokens_cached = -1 };
	json_init(&j, json, len);
	if (json_next(&j) != JSON_OBJECT_BEGIN) {
		*error = j.type == JSON_ERROR ? j.error : "an object was expected";
		return STATUS_EPROTO;
	}
	while (json_next(&j) == JSON_KEY && top_member(&j, d, &flat))
		;
	if (j.type != JSON_OBJECT_END || json_next(&j) != JSON_END) {
		*error = j.error ? j.error : "malformed";
		return STATUS_EPROTO;
	}
	if (flat.object.len == 5 && memcmp(flat.object.data, "error", 5) == 0) {
		d->has_error = true;
		d->error = flat.message;
	}
	return STATUS_OK;
}

/* ---- chunks that repeat ---- */

#define PATTERN_BYTES 4096 /* of a longer chunk the text is most */
#define PARTS         3    /* texts of a delta */

static struct json_slice *part_of(struct delta *d, unsigned part)
{
	return part == 0 ? &d->content : part == 1 ? &d->reasoning : &d->tool;
}

/* How decoding goes on depends on what is there besides, and on whether a text is empty, but
 * not on what the text says. So one that is not empty may stand for another. */
static bool holds_one_text(struct delta *d, unsigned *part)
{
	unsigned found = 0;
	for (unsigned i = 0; i < PARTS; i++) {
		if (!part_of(d, i)->len)
			continue;
		*part = i;
		found++;
	}
	return found == 1 && !d->finish_reason.len && !d->has_usage && !d->has_error;
}

static void learn(struct openai_pattern *p, struct delta *d, const char *json, size_t len)
{
	p->chunk.limit = PATTERN_BYTES;
	buffer_clear(&p->chunk);
	/* Out of memory: the next chunk is read in full, too. */
	if (!holds_one_text(d, &p->part) || buffer_append(&p->chunk, json, len))
		return;
	const struct json_slice *s = part_of(d, p->part);
	p->before = (size_t)(s->data - json);
	p->after = len - p->before - s->len;
	p->tool_is_name = d->tool_is_name;
}

static bool fits(const struct openai_pattern *p, const char *json, size_t len,
                 struct json_slice *text)
{
	if (!p->chunk.len || len <= p->before + p->after)
		return false;
	const char *end = json + len - p->after; /* on the quote */
	text->data = json + p->before;
	text->len = (size_t)(end - text->data);
	return memcmp(json, p->chunk.data, p->before) == 0 &&
	       memcmp(end, p->chunk.data + p->chunk.len - p->after, p->after) == 0 &&
	       json_string_end(text->data, json + len, &text->escaped) == end;
}

int openai_decode_chunk(struct openai_pattern *p, struct delta *d, const char *json, size_t len,
                        const char **error)
{
	struct json_slice text;
	if (fits(p, json, len, &text)) {
		*d = (struct delta){ .tokens_in = -1, .tokens_out = -1, .tokens_cached = -1 };
		*part_of(d, p->part) = text;
		d->tool_is_name = p->tool_is_name;
		d->has_choices = true;
		return STATUS_OK;
	}
	int err = openai_decode(d, json, len, error);
	if (!err)
		learn(p, d, json, len);
	return err;
}

void openai_pattern_reset(struct openai_pattern *p)
{
	buffer_clear(&p->chunk);
}

void openai_pattern_free(struct openai_pattern *p)
{
	buffer_free(&p->chunk);
}
