/* event_keys.h - the keys of a record: one table for the encoder, the decoder,
 * the JSON form and the database. Private to event*.c and sqlite.c. */
#ifndef PERIGEE_EVENTS_EVENT_KEYS_H
#define PERIGEE_EVENTS_EVENT_KEYS_H

#include "events/event.h"

/* Kinds, and when a field is absent:
 *   TYPE, STAMP (uint64_t)             never
 *   UUID, NAME (slice), TURN (int64_t) never on the wire: "", "" and nil stand for none
 *   DATA                               nil when there is none
 *   TEXT (slice)                       data is NULL
 *   TIME (uint64_t), COUNT (uint32_t), CODE (int32_t)  0
 *   ID (int32_t), NUMBER (int64_t)     negative
 *   FAILURE                            FAILURE_NONE
 *   GAPS                               no values */

/*  key, kind, member. In the order of writing; at most 31 bytes a key. Those that a sample's
 *  record may have, and those of all others. */
#define EVENT_SAMPLE_KEYS(X)                                                                       \
	X("event_type", TYPE, type)                                                                \
	X("timestamp_ns", STAMP, timestamp_ns)                                                     \
	X("sample_uuid", UUID, uuid)                                                               \
	X("conversation_id", NAME, conversation_id)                                                \
	X("turn", TURN, turn)                                                                      \
	X("data", DATA, text)                                                                      \
	X("finish_reason", TEXT, finish_reason)                                                    \
	X("worker_id", ID, worker_id)                                                              \
	X("seq", STAMP, seq)                                                                       \
	X("phase", ID, phase)                                                                      \
	X("index", NUMBER, index)                                                                  \
	X("tag", TEXT, tag)                                                                        \
	X("scheduled_ns", TIME, scheduled_ns)                                                      \
	X("issued_ns", TIME, issued_ns)                                                            \
	X("sent_ns", TIME, sent_ns)                                                                \
	X("first_byte_ns", TIME, first_byte_ns)                                                    \
	X("first_ns", TIME, first_ns)                                                              \
	X("first_event_after_ns", NUMBER, first_event_after_ns)                                    \
	X("first_content_after_ns", NUMBER, first_content_after_ns)                                \
	X("first_reasoning_after_ns", NUMBER, first_reasoning_after_ns)                            \
	X("failure", FAILURE, failure)                                                             \
	X("http_status", CODE, http_status)                                                        \
	X("chunks", COUNT, chunks)                                                                 \
	X("bytes_in", NUMBER, bytes_in)                                                            \
	X("bytes_out", NUMBER, bytes_out)                                                          \
	X("tokens_in", NUMBER, tokens_in)                                                          \
	X("tokens_out", NUMBER, tokens_out)                                                        \
	X("tokens_cached", NUMBER, tokens_cached)                                                  \
	X("tokens_least", NUMBER, tokens_least)                                                    \
	X("tokens_most", NUMBER, tokens_most)                                                      \
	X("chunk_times", GAPS, chunk_us)                                                           \
	X("left_out", TIME, left_out)                                                              \
	X("body", TEXT, body)                                                                      \
	X("path", TEXT, path)                                                                      \
	X("method", TEXT, method)

#define EVENT_OTHER_KEYS(X)                                                                        \
	X("session_id", TEXT, session_id)                                                          \
	X("name", TEXT, name)                                                                      \
	X("realtime_ns", TIME, realtime_ns)                                                        \
	X("suspended_ns", NUMBER, suspended_ns)                                                    \
	X("kind", TEXT, kind)                                                                      \
	X("end_reason", TEXT, end_reason)                                                          \
	X("dropped", NUMBER, dropped)                                                              \
	X("unsent", TIME, unsent)                                                                  \
	X("late", NUMBER, late)                                                                    \
	X("catch_ups", NUMBER, catch_ups)                                                          \
	X("worst_late_ns", NUMBER, worst_late_ns)                                                  \
	X("busy_ns", NUMBER, busy_ns)                                                              \
	X("spin_ns", NUMBER, spin_ns)                                                              \
	X("connections", NUMBER, connections)                                                      \
	X("reconnects", NUMBER, reconnects)                                                        \
	X("worker_busy_ns", NUMBER, worker_busy_ns)                                                \
	X("open_load", NUMBER, open_load)                                                          \
	X("goal_requests", NUMBER, goal_requests)                                                  \
	X("goal_duration_ns", NUMBER, goal_duration_ns)                                            \
	X("lua_ns", NUMBER, lua_ns)                                                                \
	X("lua_calls", NUMBER, lua_calls)                                                          \
	X("lua_max_ns", NUMBER, lua_max_ns)                                                        \
	X("gc_ns", NUMBER, gc_ns)                                                                  \
	X("gc_steps", NUMBER, gc_steps)                                                            \
	X("gc_max_ns", NUMBER, gc_max_ns)                                                          \
	X("slo_latency_ns", NUMBER, slo_latency_ns)                                                \
	X("slo_ttft_ns", NUMBER, slo_ttft_ns)                                                      \
	X("slo_tpot_ns", NUMBER, slo_tpot_ns)

#define EVENT_KEYS(X) EVENT_SAMPLE_KEYS(X) EVENT_OTHER_KEYS(X)

enum event_kind {
	KIND_TYPE,
	KIND_STAMP,
	KIND_UUID,
	KIND_NAME,
	KIND_TURN,
	KIND_DATA,
	KIND_TEXT,
	KIND_TIME,
	KIND_COUNT,
	KIND_CODE,
	KIND_ID,
	KIND_NUMBER,
	KIND_FAILURE,
	KIND_GAPS,
};

struct event_key {
	const char *name;
	uint8_t len;
	uint8_t kind;
	uint16_t offset; /* of the member in struct event */
};

/* EVENT_KEY_seq and so on: where the key of a member stands in the table. */
enum event_key_index {
#define X(key, kind, member) EVENT_KEY_##member,
	EVENT_KEYS(X)
#undef X
		EVENT_KEY_COUNT
};

/* Sets of keys: bit i stands for key i. */
#define EVENT_KEY_BIT(i) ((uint64_t)1 << (i))
_Static_assert(EVENT_KEY_COUNT < 64, "a set of keys has 64 bits");

extern const struct event_key event_keys[EVENT_KEY_COUNT];

#define EVENT_DATA_TEXT   "TextModelOutput"
#define EVENT_DATA_PROMPT "PromptData"
#define EVENT_DATA_ERROR  "ErrorData"

/* What the value of "data" is made of: a tag and up to two texts, or no tag and
 * one text (CUSTOM), or nothing (count 0). */
struct event_data {
	const char *tag;
	struct slice part[2];
	unsigned count; /* of the parts */
};

void event_data(const struct event *e, struct event_data *out);

/* The value of a key whose member is a number; false when it is absent or the
 * key is of another kind. */
bool event_key_integer(const struct event_key *key, const struct event *e, uint64_t *out);

/* Append these keys of e as a JSON object, nothing when all of them are absent.
 * Returns as event_json(). */
int event_json_keys(const struct event *e, uint64_t keys, struct buffer *out);

/* Write the full topic of e into out, padded with NUL. Returns its length. */
size_t event_full_topic(const struct event *e, char out[EVENT_TOPIC_SIZE]);

#endif
