#include "events/event.h"

#include "base/status.h"
#include "events/event_keys.h"
#include "events/event_names.h"
#include "events/msgpack.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- encode ---- */

/* A record on the wire has names for keys; a packed one, of the log, has numbers (event_names.h)
 * and leaves out what is absent. */
enum form { FORM_NAMED, FORM_PACKED };

struct writer {
	char *p;
	uint16_t keys; /* written so far */
};

/* All constants at every call: what does not belong to the form is compiled away. */
struct key {
	const char *name;
	size_t len;
	unsigned number;
	enum form form;
};

/* The copy of a constant length becomes a few stores. */
ALWAYS_INLINE void write_key(struct writer *w, struct key k)
{
	w->keys++;
	if (k.form == FORM_PACKED) {
		w->p = msgpack_put_byte(w->p, k.number);
		return;
	}
	*w->p = (char)(0xa0 | k.len);
	memcpy(w->p + 1, k.name, k.len);
	w->p += 1 + k.len;
}

ALWAYS_INLINE void write_text(struct writer *w, struct slice s)
{
	w->p = msgpack_put_text(w->p, s.data, s.len, msgpack_text_size(s.data, s.len));
}

ALWAYS_INLINE void write_str(struct writer *w, const char *s)
{
	write_text(w, (struct slice){ s, strlen(s) });
}

ALWAYS_INLINE void write_uint(struct writer *w, struct key k, uint64_t v)
{
	write_key(w, k);
	w->p = msgpack_put_uint(w->p, v);
}

ALWAYS_INLINE void write_TYPE(struct writer *w, struct key k, const struct event *e)
{
	char topic[EVENT_TOPIC_SIZE];
	write_key(w, k);
	if (k.form == FORM_PACKED && e->type != EVENT_CUSTOM) {
		w->p = msgpack_put_byte(w->p, e->type);
		return;
	}
	size_t len = event_full_topic(e, topic);
	w->p = msgpack_put_str_head(w->p, (uint32_t)len);
	memcpy(w->p, topic, sizeof(topic)); /* all of it: a copy of fixed size is a few stores */
	w->p += len;
}

ALWAYS_INLINE void write_STAMP(struct writer *w, struct key k, const uint64_t *v)
{
	write_uint(w, k, *v);
}

ALWAYS_INLINE void write_UUID(struct writer *w, struct key k, const uint64_t *uuid)
{
	bool absent = !uuid[0] && !uuid[1];
	if (k.form == FORM_NAMED) {
		write_key(w, k);
		w->p = msgpack_put_str_head(w->p, absent ? 0 : 32);
		if (!absent)
			event_uuid_hex(uuid, w->p);
		w->p += absent ? 0 : 32;
	} else if (!absent) {
		write_key(w, k);
		w->p = msgpack_put_bin8(w->p, 16);
		w->p = msgpack_put_be64(msgpack_put_be64(w->p, uuid[0]), uuid[1]);
	}
}

ALWAYS_INLINE void write_NAME(struct writer *w, struct key k, const struct slice *s)
{
	if (k.form == FORM_PACKED && !s->len)
		return;
	write_key(w, k);
	write_text(w, *s);
}

ALWAYS_INLINE void write_TURN(struct writer *w, struct key k, const int64_t *v)
{
	if (*v >= 0) {
		write_uint(w, k, (uint64_t)*v);
	} else if (k.form == FORM_NAMED) {
		write_key(w, k);
		w->p = msgpack_put_nil(w->p);
	}
}

static void write_parts(struct writer *w, const struct event_data *d)
{
	if (d->tag) {
		w->p = msgpack_put_array_head(w->p, 1 + d->count);
		write_str(w, d->tag);
	}
	for (unsigned i = 0; i < d->count; i++)
		write_text(w, d->part[i]);
}

ALWAYS_INLINE void write_DATA(struct writer *w, struct key k, const struct event *e)
{
	struct event_data d;
	event_data(e, &d);
	if (k.form == FORM_PACKED && !d.count)
		return;
	write_key(w, k);
	if (d.count)
		write_parts(w, &d);
	else
		w->p = msgpack_put_nil(w->p);
}

ALWAYS_INLINE void write_TEXT(struct writer *w, struct key k, const struct slice *s)
{
	if (!s->data)
		return;
	write_key(w, k);
	write_text(w, *s);
}

ALWAYS_INLINE void write_TIME(struct writer *w, struct key k, const uint64_t *v)
{
	if (*v)
		write_uint(w, k, *v);
}

ALWAYS_INLINE void write_COUNT(struct writer *w, struct key k, const uint32_t *v)
{
	if (*v)
		write_uint(w, k, *v);
}

ALWAYS_INLINE void write_CODE(struct writer *w, struct key k, const int32_t *v)
{
	if (*v > 0)
		write_uint(w, k, (uint64_t)*v);
}

ALWAYS_INLINE void write_ID(struct writer *w, struct key k, const int32_t *v)
{
	if (*v >= 0)
		write_uint(w, k, (uint64_t)*v);
}

ALWAYS_INLINE void write_NUMBER(struct writer *w, struct key k, const int64_t *v)
{
	if (*v >= 0)
		write_uint(w, k, (uint64_t)*v);
}

ALWAYS_INLINE void write_FAILURE(struct writer *w, struct key k, const enum failure *f)
{
	if (*f == FAILURE_NONE)
		return;
	write_key(w, k);
	write_str(w, failure_name(*f));
}

ALWAYS_INLINE void write_GAPS(struct writer *w, struct key k, const struct event *e)
{
	if (!e->chunk_us_count)
		return;
	write_key(w, k);
	w->p = msgpack_put_array_head(w->p, e->chunk_us_count);
	for (uint32_t i = 0; i < e->chunk_us_count; i++)
		w->p = msgpack_put_uint(w->p, e->chunk_us[i]);
}

/* Some kinds need more than one member. */
#define MEMBER_TYPE(e, member)    (e)
#define MEMBER_DATA(e, member)    (e)
#define MEMBER_GAPS(e, member)    (e)
#define MEMBER_UUID(e, member)    ((e)->member)
#define MEMBER_STAMP(e, member)   (&(e)->member)
#define MEMBER_NAME(e, member)    (&(e)->member)
#define MEMBER_TURN(e, member)    (&(e)->member)
#define MEMBER_TEXT(e, member)    (&(e)->member)
#define MEMBER_TIME(e, member)    (&(e)->member)
#define MEMBER_COUNT(e, member)   (&(e)->member)
#define MEMBER_CODE(e, member)    (&(e)->member)
#define MEMBER_ID(e, member)      (&(e)->member)
#define MEMBER_NUMBER(e, member)  (&(e)->member)
#define MEMBER_FAILURE(e, member) (&(e)->member)

/* The most that everything but the texts and the gaps can need: every key with
 * an integer, and on top the topic, the uuid, the tag of the data, the name of
 * the failure and the headers of the texts. */
enum {
#define X(key, kind, member) +(int)sizeof(key) + MSGPACK_INT_MAX
	FIXED_ROOM = 256 EVENT_KEYS(X)
#undef X
};

/* Texts shorter than this in all are given the worst case instead of a scan. */
#define SHORT_TEXTS 1024
#define TEXTS_LIMIT (UINT32_MAX / 4)

/* Of each text among the keys; those of DATA are no keys of their own. */
#define EACH_TYPE(f, e, member)
#define EACH_DATA(f, e, member)                                                                    \
	f((e)->text) f((e)->reasoning) f((e)->error_type) f((e)->error_message)
#define EACH_GAPS(f, e, member)
#define EACH_UUID(f, e, member)
#define EACH_STAMP(f, e, member)
#define EACH_NAME(f, e, member) f((e)->member)
#define EACH_TURN(f, e, member)
#define EACH_TEXT(f, e, member) f((e)->member)
#define EACH_TIME(f, e, member)
#define EACH_COUNT(f, e, member)
#define EACH_CODE(f, e, member)
#define EACH_ID(f, e, member)
#define EACH_NUMBER(f, e, member)
#define EACH_FAILURE(f, e, member)

#define PLUS_LENGTH(text) +(text).len
#define PLUS_SIZE(text)   +msgpack_text_size((text).data, (text).len)

/* Bytes that the record can need at most. */
static int room_for(const struct event *e, size_t *out)
{
#define X(key, kind, member) EACH_##kind(PLUS_LENGTH, e, member)
	size_t texts = 0 EVENT_KEYS(X);
#undef X
	if (texts > TEXTS_LIMIT)
		return STATUS_ELIMIT;
#define X(key, kind, member) EACH_##kind(PLUS_SIZE, e, member)
	size_t sizes = texts <= SHORT_TEXTS ? texts * 3 : 0 EVENT_KEYS(X);
#undef X
	*out = FIXED_ROOM + sizes + (size_t)e->chunk_us_count * MSGPACK_HEAD_MAX;
	return STATUS_OK;
}

static bool is_of_sample(enum event_type type)
{
	return type >= EVENT_SAMPLE_ISSUED && type <= EVENT_SAMPLE_COMPLETE;
}

ALWAYS_INLINE int encode(const struct event *e, struct buffer *out, enum form form)
{
	size_t room;
	int err = room_for(e, &room);
	if (!err)
		err = buffer_reserve(out, room);
	if (err)
		return err;
	char *start = out->data + out->len;
	struct writer w = { .p = msgpack_put_map16(start, 0) };
#define KEY(name, member)    ((struct key){ name, sizeof(name) - 1, EVENT_KEY_##member, form })
#define X(key, kind, member) write_##kind(&w, KEY(key, member), MEMBER_##kind(e, member));
	EVENT_SAMPLE_KEYS(X)
	if (!is_of_sample(e->type)) {
		EVENT_OTHER_KEYS(X)
	}
#undef X
#undef KEY
	msgpack_put_map16(start, w.keys);
	out->len = (size_t)(w.p - out->data);
	return STATUS_OK;
}

int event_encode(const struct event *e, struct buffer *out)
{
	return encode(e, out, FORM_NAMED);
}

int event_pack(const struct event *e, struct buffer *out)
{
	return encode(e, out, FORM_PACKED);
}

/* ---- decode ---- */

struct reader {
	struct msgpack in;
	const struct event_names *names; /* what numbers stand for; NULL: for nothing */
	uint32_t *chunk_space;
	uint32_t chunk_room;
	unsigned next; /* the key that probably comes next: writers keep an order */
	bool typed, stamped;
};

static struct slice value_slice(const struct msgpack_value *v)
{
	return (struct slice){ v->data, v->count };
}

static bool is_text(const struct slice *s, const char *text)
{
	return s->len == strlen(text) && memcmp(s->data, text, s->len) == 0;
}

static int read_type(const struct reader *r, struct event *e, const struct msgpack_value *v)
{
	if (v->type == MSGPACK_UINT) {
		e->type = event_names_type(r->names, v->u);
		return e->type == EVENT_CUSTOM ? STATUS_EPROTO : STATUS_OK;
	}
	if (v->type != MSGPACK_STR)
		return STATUS_EPROTO;
	struct slice topic = value_slice(v);
	e->type = event_type_of(topic);
	if (e->type != EVENT_CUSTOM)
		return STATUS_OK;
	static const char prefix[] = "custom.";
	size_t n = sizeof(prefix) - 1;
	if (topic.len < n || topic.len > n + EVENT_CUSTOM_MAX || memcmp(topic.data, prefix, n) != 0)
		return STATUS_EPROTO;
	e->custom = (struct slice){ topic.data + n, topic.len - n };
	return STATUS_OK;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static int read_uuid(uint64_t uuid[2], const struct msgpack_value *v)
{
	if (v->type == MSGPACK_BIN && v->count == 16) {
		uuid[0] = msgpack_get_be64(v->data);
		uuid[1] = msgpack_get_be64(v->data + 8);
		return STATUS_OK;
	}
	if (v->type != MSGPACK_STR || (v->count != 0 && v->count != 32))
		return STATUS_EPROTO;
	uuid[0] = uuid[1] = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		int digit = hex_digit(v->data[i]);
		if (digit < 0)
			return STATUS_EPROTO;
		uuid[i / 16] = uuid[i / 16] << 4 | (unsigned)digit;
	}
	return STATUS_OK;
}

static int read_uint(uint64_t *out, const struct msgpack_value *v, uint64_t max)
{
	if (v->type != MSGPACK_UINT || v->u > max)
		return STATUS_EPROTO;
	*out = v->u;
	return STATUS_OK;
}

static int read_text(struct slice *out, const struct msgpack_value *v)
{
	if (v->type != MSGPACK_STR)
		return STATUS_EPROTO;
	*out = value_slice(v);
	return STATUS_OK;
}

static int read_failure(enum failure *out, const struct msgpack_value *v)
{
	if (v->type != MSGPACK_STR)
		return STATUS_EPROTO;
	*out = failure_from_name(v->data, v->count);
	return *out == FAILURE_COUNT ? STATUS_EPROTO : STATUS_OK;
}

/* Where the texts behind a tag of "data" belong; a tag of others goes nowhere. */
static void data_targets(struct event *e, const struct slice *tag, struct slice *to[2])
{
	to[0] = to[1] = NULL;
	if (is_text(tag, EVENT_DATA_TEXT)) {
		to[0] = &e->text;
		to[1] = &e->reasoning;
	} else if (is_text(tag, EVENT_DATA_PROMPT)) {
		to[0] = &e->text;
	} else if (is_text(tag, EVENT_DATA_ERROR)) {
		to[0] = &e->error_type;
		to[1] = &e->error_message;
	}
}

/* Parts that are no text (lists of chunks, tool calls) are passed over. */
static int read_data(struct reader *r, struct event *e, const struct msgpack_value *v)
{
	if (v->type == MSGPACK_STR)
		return read_text(&e->text, v);
	if (v->type != MSGPACK_ARRAY || !v->count)
		return msgpack_skip_rest(&r->in, v);
	struct msgpack_value part;
	struct slice tag, *to[2];
	if (msgpack_next(&r->in, &part) || read_text(&tag, &part))
		return STATUS_EPROTO;
	data_targets(e, &tag, to);
	for (uint32_t i = 0; i + 1 < v->count; i++) {
		if (msgpack_next(&r->in, &part))
			return STATUS_EPROTO;
		if (part.type == MSGPACK_STR && i < 2 && to[i])
			*to[i] = value_slice(&part);
		else if (msgpack_skip_rest(&r->in, &part))
			return STATUS_EPROTO;
	}
	return STATUS_OK;
}

static int read_gaps(struct reader *r, struct event *e, const struct msgpack_value *v)
{
	if (v->type != MSGPACK_ARRAY)
		return STATUS_EPROTO;
	e->chunk_us = r->chunk_space;
	e->chunk_us_count = 0;
	for (uint32_t i = 0; i < v->count; i++) {
		struct msgpack_value gap;
		uint64_t us;
		if (msgpack_next(&r->in, &gap) || read_uint(&us, &gap, UINT32_MAX))
			return STATUS_EPROTO;
		if (i < r->chunk_room)
			r->chunk_space[e->chunk_us_count++] = (uint32_t)us;
	}
	return STATUS_OK;
}

/* Store v in the member that the key names. nil leaves it absent. */
static int read_value(struct reader *r, struct event *e, const struct event_key *key,
                      const struct msgpack_value *v)
{
	void *member = (char *)e + key->offset;
	uint64_t u = 0;
	int err = STATUS_OK;
	if (v->type == MSGPACK_NIL)
		return STATUS_OK;
	switch ((enum event_kind)key->kind) {
	case KIND_TYPE:
		r->typed = true;
		return read_type(r, e, v);
	case KIND_UUID:
		return read_uuid(e->uuid, v);
	case KIND_DATA:
		return read_data(r, e, v);
	case KIND_FAILURE:
		return read_failure(&e->failure, v);
	case KIND_GAPS:
		return read_gaps(r, e, v);
	case KIND_NAME: /* "" stands for none */
		return v->type == MSGPACK_STR && !v->count ? STATUS_OK : read_text(member, v);
	case KIND_TEXT:
		return read_text(member, v);
	case KIND_STAMP:
	case KIND_TIME:
		r->stamped |= member == &e->timestamp_ns;
		return read_uint(member, v, INT64_MAX); /* so that differences fit, too */
	case KIND_TURN:
	case KIND_NUMBER:
		err = read_uint(&u, v, INT64_MAX);
		if (!err)
			*(int64_t *)member = (int64_t)u;
		return err;
	case KIND_COUNT:
		err = read_uint(&u, v, UINT32_MAX);
		if (!err)
			*(uint32_t *)member = (uint32_t)u;
		return err;
	case KIND_CODE:
	case KIND_ID:
		err = read_uint(&u, v, INT32_MAX);
		if (!err)
			*(int32_t *)member = (int32_t)u;
		return err;
	}
	return STATUS_EPROTO;
}

static const struct event_key *find_key(struct reader *r, const char *name, size_t len)
{
	for (unsigned tried = 0; tried < EVENT_KEY_COUNT; tried++) {
		const struct event_key *key = &event_keys[r->next];
		r->next = r->next + 1 < EVENT_KEY_COUNT ? r->next + 1 : 0;
		if (key->len == len && memcmp(key->name, name, len) == 0)
			return key;
	}
	return NULL;
}

static int read_pair(struct reader *r, struct event *e)
{
	struct msgpack_value v;
	if (msgpack_next(&r->in, &v))
		return STATUS_EPROTO;
	bool number = v.type == MSGPACK_UINT && r->names;
	if (!number && v.type != MSGPACK_STR)
		return STATUS_EPROTO;
	const struct event_key *key =
		number ? event_names_key(r->names, v.u) : find_key(r, v.data, v.count);
	if (msgpack_next(&r->in, &v))
		return STATUS_EPROTO;
	return key ? read_value(r, e, key, &v) : msgpack_skip_rest(&r->in, &v);
}

int event_unpack(struct event *e, const struct event_names *names, const char *data, size_t len,
                 uint32_t *chunk_space, uint32_t chunk_room)
{
	struct reader r = { .names = names, .chunk_space = chunk_space, .chunk_room = chunk_room };
	struct msgpack_value map;
	event_init(e, EVENT_CUSTOM, 0);
	msgpack_init(&r.in, data, len);
	if (msgpack_next(&r.in, &map) || map.type != MSGPACK_MAP)
		return STATUS_EPROTO;
	for (uint32_t i = 0; i < map.count; i++)
		if (read_pair(&r, e))
			return STATUS_EPROTO;
	return r.typed && r.stamped && r.in.at == r.in.end ? STATUS_OK : STATUS_EPROTO;
}

int event_decode(struct event *e, const char *data, size_t len, uint32_t *chunk_space,
                 uint32_t chunk_room)
{
	return event_unpack(e, NULL, data, len, chunk_space, chunk_room);
}
