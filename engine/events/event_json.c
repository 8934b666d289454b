#include "events/event.h"

#include "base/decimal.h"
#include "base/json.h"
#include "base/status.h"
#include "events/event_keys.h"

#include <string.h>

/* The first failure sticks and makes the rest do nothing. */
struct json_out {
	struct buffer *out;
	int err;
	bool first; /* no pair written yet */
};

static void put(struct json_out *j, const char *s, size_t n)
{
	if (!j->err)
		j->err = buffer_append(j->out, s, n);
}

static void put_text(struct json_out *j, struct slice s)
{
	if (!j->err)
		j->err = json_put_string(j->out, s.data ? s.data : "", s.len);
}

/* Exact for all 64 bits, which a double is not. */
static void put_uint(struct json_out *j, uint64_t v)
{
	char digits[DECIMAL_SIZE];
	put(j, digits, (size_t)(decimal_put(digits, v) - digits));
}

static void put_key(struct json_out *j, const struct event_key *key)
{
	put(j, j->first ? "{\"" : ",\"", 2);
	put(j, key->name, key->len);
	put(j, "\":", 2);
	j->first = false;
}

static void put_uint_pair(struct json_out *j, const struct event_key *key, uint64_t v)
{
	put_key(j, key);
	put_uint(j, v);
}

static void put_text_pair(struct json_out *j, const struct event_key *key, struct slice s)
{
	if (!s.data)
		return;
	put_key(j, key);
	put_text(j, s);
}

static void put_type(struct json_out *j, const struct event_key *key, const struct event *e)
{
	char topic[EVENT_TOPIC_SIZE];
	put_text_pair(j, key, (struct slice){ topic, event_full_topic(e, topic) });
}

static void put_uuid(struct json_out *j, const struct event_key *key, const uint64_t uuid[2])
{
	char hex[32];
	if (!uuid[0] && !uuid[1])
		return;
	event_uuid_hex(uuid, hex);
	put_text_pair(j, key, (struct slice){ hex, sizeof(hex) });
}

static void put_data(struct json_out *j, const struct event_key *key, const struct event *e)
{
	struct event_data d;
	event_data(e, &d);
	if (!d.count)
		return;
	put_key(j, key);
	if (d.tag) {
		put(j, "[", 1);
		put_text(j, (struct slice){ d.tag, strlen(d.tag) });
	}
	for (unsigned i = 0; i < d.count; i++) {
		if (d.tag)
			put(j, ",", 1);
		put_text(j, d.part[i]);
	}
	if (d.tag)
		put(j, "]", 1);
}

static void put_gaps(struct json_out *j, const struct event_key *key, const struct event *e)
{
	if (!e->chunk_us_count)
		return;
	put_key(j, key);
	for (uint32_t i = 0; i < e->chunk_us_count; i++) {
		put(j, i ? "," : "[", 1);
		put_uint(j, e->chunk_us[i]);
	}
	put(j, "]", 1);
}

static void put_failure(struct json_out *j, const struct event_key *key, enum failure f)
{
	const char *name = failure_name(f);
	if (f != FAILURE_NONE)
		put_text_pair(j, key, (struct slice){ name, strlen(name) });
}

bool event_key_integer(const struct event_key *key, const struct event *e, uint64_t *out)
{
	const void *member = (const char *)e + key->offset;
	int64_t i;
	switch ((enum event_kind)key->kind) {
	case KIND_STAMP:
		*out = *(const uint64_t *)member;
		return true;
	case KIND_TIME:
		*out = *(const uint64_t *)member;
		return *out != 0;
	case KIND_COUNT:
		*out = *(const uint32_t *)member;
		return *out != 0;
	case KIND_CODE:
		i = *(const int32_t *)member;
		*out = (uint64_t)i;
		return i > 0;
	case KIND_ID:
		i = *(const int32_t *)member;
		*out = (uint64_t)i;
		return i >= 0;
	case KIND_TURN:
	case KIND_NUMBER:
		i = *(const int64_t *)member;
		*out = (uint64_t)i;
		return i >= 0;
	default:
		return false;
	}
}

static void put_pair(struct json_out *j, const struct event_key *key, const struct event *e)
{
	const void *member = (const char *)e + key->offset;
	uint64_t v;
	switch ((enum event_kind)key->kind) {
	case KIND_TYPE:
		put_type(j, key, e);
		return;
	case KIND_UUID:
		put_uuid(j, key, member);
		return;
	case KIND_DATA:
		put_data(j, key, e);
		return;
	case KIND_GAPS:
		put_gaps(j, key, e);
		return;
	case KIND_FAILURE:
		put_failure(j, key, e->failure);
		return;
	case KIND_NAME:
	case KIND_TEXT:
		put_text_pair(j, key, *(const struct slice *)member);
		return;
	default:
		if (event_key_integer(key, e, &v))
			put_uint_pair(j, key, v);
	}
}

int event_json_keys(const struct event *e, uint64_t keys, struct buffer *out)
{
	size_t len = out->len;
	struct json_out j = { .out = out, .first = true };
	for (unsigned i = 0; i < EVENT_KEY_COUNT && !j.err; i++)
		if (keys & EVENT_KEY_BIT(i))
			put_pair(&j, &event_keys[i], e);
	if (!j.first)
		put(&j, "}", 1);
	if (j.err)
		out->len = len;
	return j.err;
}

int event_json(const struct event *e, struct buffer *out)
{
	return event_json_keys(e, EVENT_KEY_BIT(EVENT_KEY_COUNT) - 1, out);
}
