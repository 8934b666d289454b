#include "events/event.h"

#include "events/event_keys.h"

#include <endian.h>
#include <string.h>

#define CUSTOM_PREFIX     "custom."
#define CUSTOM_PREFIX_LEN (sizeof(CUSTOM_PREFIX) - 1)

_Static_assert(CUSTOM_PREFIX_LEN + EVENT_CUSTOM_MAX < EVENT_TOPIC_SIZE, "a topic ends with a NUL");

const struct event_key event_keys[EVENT_KEY_COUNT] = {
#define X(key, kind_, member)                                                                      \
	{ key, sizeof(key) - 1, KIND_##kind_, (uint16_t)offsetof(struct event, member) },
	EVENT_KEYS(X)
#undef X
};

/* Every field absent. */
static const struct event blank = {
	.phase = EVENT_NONE,
	.worker_id = EVENT_NONE,
	.index = EVENT_NONE,
	.turn = EVENT_NONE,
	.bytes_in = EVENT_NONE,
	.bytes_out = EVENT_NONE,
	.tokens_in = EVENT_NONE,
	.tokens_out = EVENT_NONE,
	.tokens_cached = EVENT_NONE,
	.tokens_least = EVENT_NONE,
	.tokens_most = EVENT_NONE,
	.suspended_ns = EVENT_NONE,
	.dropped = EVENT_NONE,
	.late = EVENT_NONE,
	.catch_ups = EVENT_NONE,
	.worst_late_ns = EVENT_NONE,
	.busy_ns = EVENT_NONE,
	.spin_ns = EVENT_NONE,
	.connections = EVENT_NONE,
	.reconnects = EVENT_NONE,
	.worker_busy_ns = EVENT_NONE,
	.open_load = EVENT_NONE,
	.goal_requests = EVENT_NONE,
	.goal_duration_ns = EVENT_NONE,
	.lua_ns = EVENT_NONE,
	.lua_calls = EVENT_NONE,
	.lua_max_ns = EVENT_NONE,
	.gc_ns = EVENT_NONE,
	.gc_steps = EVENT_NONE,
	.gc_max_ns = EVENT_NONE,
	.first_event_after_ns = EVENT_NONE,
	.first_content_after_ns = EVENT_NONE,
	.first_reasoning_after_ns = EVENT_NONE,
	.slo_latency_ns = EVENT_NONE,
	.slo_ttft_ns = EVENT_NONE,
	.slo_tpot_ns = EVENT_NONE,
};

void event_init(struct event *e, enum event_type type, uint64_t timestamp_ns)
{
	memcpy(e, &blank, sizeof(*e));
	e->type = type;
	e->timestamp_ns = timestamp_ns;
}

static const struct topic {
	size_t len;
	char text[EVENT_TOPIC_SIZE]; /* padded with NUL */
} topics[EVENT_TYPE_COUNT] = {
#define X(id, topic) { sizeof(topic) - 1, topic },
	EVENT_MAP(X)
#undef X
};

const char *event_topic(enum event_type type)
{
	return (unsigned)type < EVENT_TYPE_COUNT ? topics[type].text : "unknown";
}

enum event_type event_type_of(struct slice topic)
{
	enum event_type type = 0;
	while (type < EVENT_CUSTOM && (topics[type].len != topic.len ||
	                               memcmp(topics[type].text, topic.data, topic.len) != 0))
		type++;
	return type;
}

/* A name from a script may hold anything, a topic only visible ASCII. */
static size_t put_custom(char *out, struct slice name)
{
	size_t n = name.len < EVENT_CUSTOM_MAX ? name.len : EVENT_CUSTOM_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = name.data[i] > 0x20 && name.data[i] < 0x7f ? name.data[i] : '_';
	return n;
}

size_t event_full_topic(const struct event *e, char out[EVENT_TOPIC_SIZE])
{
	size_t n;
	if (e->type == EVENT_CUSTOM) {
		memcpy(out, CUSTOM_PREFIX, CUSTOM_PREFIX_LEN);
		n = CUSTOM_PREFIX_LEN + put_custom(out + CUSTOM_PREFIX_LEN, e->custom);
	} else {
		const struct topic *topic = &topics[e->type];
		memcpy(out, topic->text, EVENT_TOPIC_SIZE);
		return topic->len;
	}
	memset(out + n, 0, EVENT_TOPIC_SIZE - n);
	return n;
}

void event_topic_bytes(const struct event *e, char out[EVENT_TOPIC_SIZE])
{
	event_full_topic(e, out);
}

bool event_is_reserved(struct slice custom)
{
	static const char *const ours[] = { "custom.phase_start", "custom.phase_end",
		                            "custom.run_config",  "custom.run_outcome",
		                            "custom.conclusion",  "custom.scrape" };
	struct event e = { .type = EVENT_CUSTOM, .custom = custom };
	char topic[EVENT_TOPIC_SIZE]; /* has room for a terminating NUL */
	event_topic_bytes(&e, topic);
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strcmp(topic, ours[i]) == 0)
			return true;
	return false;
}

bool event_is_control(enum event_type type)
{
	return type <= EVENT_SESSION_STOP_TRACKING;
}

static bool is_error(enum event_type type)
{
	return type >= EVENT_ERROR_GENERIC && type <= EVENT_ERROR_CLIENT;
}

static struct slice or_empty(struct slice s)
{
	return s.data ? s : (struct slice){ "", 0 };
}

void event_data(const struct event *e, struct event_data *out)
{
	*out = (struct event_data){ 0 };
	if (is_error(e->type)) {
		if (!e->error_type.data && !e->error_message.data)
			return;
		out->tag = EVENT_DATA_ERROR;
		out->part[0] = or_empty(e->error_type);
		out->part[1] = or_empty(e->error_message);
		out->count = 2;
		return;
	}
	if (!e->text.data && !e->reasoning.data)
		return;
	out->part[0] = or_empty(e->text);
	out->part[1] = e->reasoning;
	out->count = 1;
	if (e->type == EVENT_SAMPLE_ISSUED) {
		out->tag = EVENT_DATA_PROMPT;
	} else if (e->type != EVENT_CUSTOM) {
		out->tag = EVENT_DATA_TEXT;
		out->count = e->reasoning.data ? 2 : 1;
	}
}

/* Eight hexadecimal digits of v at out: its nibbles are spread over the bytes of one word. */
static void put_hex32(uint32_t v, char out[8])
{
	uint64_t x = v;
	x = (x << 16 | x) & 0x0000ffff0000ffff;
	x = (x << 8 | x) & 0x00ff00ff00ff00ff;
	x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
	uint64_t letters = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
	x = htobe64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));
	memcpy(out, &x, sizeof(x));
}

void event_uuid_hex(const uint64_t uuid[2], char out[32])
{
	for (int i = 0; i < 2; i++) {
		put_hex32((uint32_t)(uuid[i] >> 32), out + 16 * i);
		put_hex32((uint32_t)uuid[i], out + 16 * i + 8);
	}
}
