#include "base/status.h"
#include "events/event.h"
#include "events/event_names.h"
#include "events/msgpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the standard headers, which it needs */
#include <cmocka.h>

#define ROOM     64
#define BYTES(s) (s), sizeof(s) - 1

static struct slice text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

static const uint32_t gaps[] = { 0, 127, 128, 65535, 65536, UINT32_MAX };

/* An event with every field that its type can have. */
static struct event full(enum event_type type)
{
	struct event e;
	event_init(&e, type, 1234567890123456789ULL);
	e.seq = 4000000000ULL + (uint64_t)type;
	e.phase = 3;
	e.worker_id = 0;
	switch (type) {
	case EVENT_SESSION_STARTED:
		e.session_id = text("0123456789abcdef0123456789abcdef");
		e.name = text("chat-sweep");
		e.realtime_ns = 1800000000000000000ULL;
		e.suspended_ns = 0;
		return e;
	case EVENT_PHASE_START:
	case EVENT_PHASE_END:
		e.name = text("rate-10");
		e.kind = text("performance");
		e.end_reason = text("duration");
		e.realtime_ns = 1800000000000000001ULL;
		e.suspended_ns = 86400000000000;
		e.connections = 64;
		e.reconnects = 0;
		e.dropped = 0;
		e.open_load = 1;
		e.goal_requests = 1000;
		e.goal_duration_ns = 60000000000;
		e.worker_busy_ns = 2500000000;
		e.lua_ns = 123456789;
		e.lua_calls = 1000;
		e.lua_max_ns = 0;
		e.gc_ns = 5000000000;
		e.gc_steps = 70000;
		e.gc_max_ns = 12000000;
		e.slo_latency_ns = 2000000000;
		e.slo_ttft_ns = 500000000;
		e.slo_tpot_ns = 50000000;
		return e;
	case EVENT_CUSTOM:
		e.custom = text("cache_hit");
		e.text = text("what the script told");
		return e;
	default:
		break;
	}
	if (event_is_control(type))
		return e;
	e.uuid[0] = 0x0123456789abcdefULL;
	e.uuid[1] = 1;
	e.index = 0;
	e.turn = 0;
	e.conversation_id = text("conversation");
	e.tag = text("long");
	if (type >= EVENT_ERROR_GENERIC && type <= EVENT_ERROR_CLIENT) {
		e.error_type = text("reset");
		e.error_message = text("connection reset by peer");
		return e;
	}
	e.text = text("gr\xc3\xbc\xc3\x9f dich");
	e.scheduled_ns = 1;
	if (type == EVENT_SAMPLE_ISSUED)
		return e;
	e.reasoning = text("because");
	e.issued_ns = 2;
	e.sent_ns = 3;
	e.first_byte_ns = 4;
	e.first_ns = 5;
	e.first_event_after_ns = 0;
	e.first_content_after_ns = 130;
	e.first_reasoning_after_ns = 70000;
	e.failure = FAILURE_TRUNCATED;
	e.http_status = 200;
	e.chunks = 7;
	e.bytes_in = 1 << 20;
	e.bytes_out = 512;
	e.tokens_in = 0;
	e.tokens_out = 100000;
	e.tokens_cached = 0;
	e.tokens_least = 1;
	e.tokens_most = 1 << 16;
	e.finish_reason = text("stop");
	e.chunk_us = gaps;
	e.chunk_us_count = sizeof(gaps) / sizeof(*gaps);
	return e;
}

static void assert_slice(struct slice a, struct slice b)
{
	assert_int_equal(a.len, b.len);
	assert_int_equal(!a.data, !b.data);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
}

static void assert_event(const struct event *a, const struct event *b)
{
	assert_int_equal(a->type, b->type);
	assert_slice(a->custom, b->custom);
	assert_true(a->seq == b->seq);
	assert_true(a->timestamp_ns == b->timestamp_ns);
	assert_int_equal(a->phase, b->phase);
	assert_int_equal(a->worker_id, b->worker_id);
	assert_memory_equal(a->uuid, b->uuid, sizeof(a->uuid));
	assert_true(a->index == b->index);
	assert_true(a->turn == b->turn);
	assert_slice(a->conversation_id, b->conversation_id);
	assert_slice(a->tag, b->tag);
	assert_true(a->scheduled_ns == b->scheduled_ns);
	assert_true(a->issued_ns == b->issued_ns);
	assert_true(a->sent_ns == b->sent_ns);
	assert_true(a->first_byte_ns == b->first_byte_ns);
	assert_true(a->first_ns == b->first_ns);
	assert_true(a->first_event_after_ns == b->first_event_after_ns);
	assert_true(a->first_content_after_ns == b->first_content_after_ns);
	assert_true(a->first_reasoning_after_ns == b->first_reasoning_after_ns);
	assert_int_equal(a->failure, b->failure);
	assert_int_equal(a->http_status, b->http_status);
	assert_int_equal(a->chunks, b->chunks);
	assert_true(a->bytes_in == b->bytes_in);
	assert_true(a->bytes_out == b->bytes_out);
	assert_true(a->tokens_in == b->tokens_in);
	assert_true(a->tokens_out == b->tokens_out);
	assert_true(a->tokens_cached == b->tokens_cached);
	assert_true(a->tokens_least == b->tokens_least);
	assert_true(a->tokens_most == b->tokens_most);
	assert_slice(a->finish_reason, b->finish_reason);
	assert_int_equal(a->chunk_us_count, b->chunk_us_count);
	if (a->chunk_us_count)
		assert_memory_equal(a->chunk_us, b->chunk_us,
		                    a->chunk_us_count * sizeof(*a->chunk_us));
	assert_slice(a->text, b->text);
	assert_slice(a->reasoning, b->reasoning);
	assert_slice(a->error_type, b->error_type);
	assert_slice(a->error_message, b->error_message);
	assert_slice(a->session_id, b->session_id);
	assert_slice(a->name, b->name);
	assert_true(a->realtime_ns == b->realtime_ns);
	assert_true(a->suspended_ns == b->suspended_ns);
	assert_true(a->connections == b->connections);
	assert_true(a->reconnects == b->reconnects);
	assert_slice(a->kind, b->kind);
	assert_slice(a->end_reason, b->end_reason);
	assert_true(a->dropped == b->dropped);
	assert_true(a->open_load == b->open_load);
	assert_true(a->goal_requests == b->goal_requests);
	assert_true(a->worker_busy_ns == b->worker_busy_ns);
	assert_true(a->lua_ns == b->lua_ns && a->lua_calls == b->lua_calls);
	assert_true(a->lua_max_ns == b->lua_max_ns && a->gc_ns == b->gc_ns);
	assert_true(a->gc_steps == b->gc_steps && a->gc_max_ns == b->gc_max_ns);
	assert_true(a->goal_duration_ns == b->goal_duration_ns);
	assert_true(a->slo_latency_ns == b->slo_latency_ns);
	assert_true(a->slo_ttft_ns == b->slo_ttft_ns);
	assert_true(a->slo_tpot_ns == b->slo_tpot_ns);
	assert_true(a->left_out == b->left_out);
}

static void encode(const struct event *e, struct buffer *out)
{
	buffer_init(out, 1 << 20);
	assert_int_equal(event_encode(e, out), STATUS_OK);
}

static void test_every_type_round_trips_full_and_bare(void **state)
{
	(void)state;
	for (enum event_type type = 0; type < EVENT_TYPE_COUNT; type++) {
		struct event in[2] = { full(type) }, out;
		event_init(&in[1], type, 5);
		in[1].custom = in[0].custom;
		in[1].left_out = 9;
		for (int i = 0; i < 2; i++) {
			struct buffer b;
			uint32_t space[ROOM];
			encode(&in[i], &b);
			assert_int_equal(event_decode(&out, b.data, b.len, space, ROOM), 0);
			assert_event(&in[i], &out);
			buffer_free(&b);
		}
	}
}

/* Names as a writer has them. */
static void read_names(struct event_names *names, const char *list, size_t len)
{
	assert_int_equal(event_names_read(names, list, len), STATUS_OK);
}

static void own_names(struct event_names *names)
{
	struct buffer b;
	buffer_init(&b, 1 << 16);
	assert_int_equal(event_names_put(&b), STATUS_OK);
	read_names(names, b.data, b.len);
	buffer_free(&b);
}

static void test_packed_records_round_trip(void **state)
{
	struct event_names names;
	(void)state;
	own_names(&names);
	for (enum event_type type = 0; type < EVENT_TYPE_COUNT; type++) {
		struct event in[2] = { full(type) }, out;
		event_init(&in[1], type, 5);
		in[1].custom = in[0].custom;
		for (int i = 0; i < 2; i++) {
			struct buffer b;
			uint32_t space[ROOM];
			buffer_init(&b, 1 << 20);
			assert_int_equal(event_pack(&in[i], &b), STATUS_OK);
			assert_int_equal(event_unpack(&out, &names, b.data, b.len, space, ROOM), 0);
			assert_event(&in[i], &out);
			for (size_t len = 0; len < b.len; len++)
				assert_int_equal(
					event_unpack(&out, &names, b.data, len, space, ROOM),
					STATUS_EPROTO);
			buffer_free(&b);
		}
	}
}

/* A writer of another version: its numbers are others, and some names are not known here. */
static void test_names_give_numbers_their_meaning(void **state)
{
	static const char list[] = "of_tomorrow\0seq\0timestamp_ns\0event_type\0\0"
				   "sample.tomorrow\0sample.complete\0";
	static const char record[] = "\x84\x00\xc3\x03\x01\x02\x07\x01\x05";
	static const char of_tomorrow[] = "\x82\x03\x00\x02\x07", nobody[] = "\x82\x03\x02\x02\x07";
	struct event_names names;
	struct event e;
	(void)state;
	read_names(&names, list, sizeof(list));
	assert_int_equal(event_unpack(&e, &names, record, sizeof(record) - 1, NULL, 0), STATUS_OK);
	assert_int_equal(e.type, EVENT_SAMPLE_COMPLETE);
	assert_int_equal(e.timestamp_ns, 7);
	assert_int_equal(e.seq, 5);
	assert_int_equal(event_unpack(&e, &names, of_tomorrow, sizeof(of_tomorrow) - 1, NULL, 0),
	                 STATUS_EPROTO);
	assert_int_equal(event_unpack(&e, &names, nobody, sizeof(nobody) - 1, NULL, 0),
	                 STATUS_EPROTO);
	/* On the wire numbers stand for nothing. */
	assert_int_equal(event_decode(&e, record, sizeof(record) - 1, NULL, 0), STATUS_EPROTO);
	for (size_t len = 0; len < sizeof(list); len++)
		assert_int_equal(event_names_read(&names, list, len), STATUS_EPROTO);
}

/* The maps that MLPerf endpoints' decoder expects, byte by byte. */
static void test_records_have_these_bytes(void **state)
{
	struct buffer b;
	struct event e;
	(void)state;
	event_init(&e, EVENT_SAMPLE_ISSUED, 258);
	e.uuid[0] = 0xfedcba9876543210ULL;
	e.uuid[1] = 0xff;
	e.text = text("hi");
	e.index = 2;
	e.worker_id = 1;
	encode(&e, &b);
	static const char issued[] = "\xde\x00\x09"
				     "\xaa"
				     "event_type"
				     "\xad"
				     "sample.issued"
				     "\xac"
				     "timestamp_ns"
				     "\xcd\x01\x02"
				     "\xab"
				     "sample_uuid"
				     "\xd9\x20"
				     "fedcba987654321000000000000000ff"
				     "\xaf"
				     "conversation_id"
				     "\xa0"
				     "\xa4"
				     "turn"
				     "\xc0"
				     "\xa4"
				     "data"
				     "\x92\xaa"
				     "PromptData"
				     "\xa2"
				     "hi"
				     "\xa9"
				     "worker_id"
				     "\x01"
				     "\xa3"
				     "seq"
				     "\x00"
				     "\xa5"
				     "index"
				     "\x02";
	assert_int_equal(b.len, sizeof(issued) - 1);
	assert_memory_equal(b.data, issued, b.len);
	buffer_free(&b);

	event_init(&e, EVENT_ERROR_CLIENT, 0);
	e.turn = 4;
	e.conversation_id = text("c");
	e.error_type = text("dns");
	encode(&e, &b);
	static const char error[] = "\xde\x00\x07"
				    "\xaa"
				    "event_type"
				    "\xac"
				    "error.client"
				    "\xac"
				    "timestamp_ns"
				    "\x00"
				    "\xab"
				    "sample_uuid"
				    "\xa0"
				    "\xaf"
				    "conversation_id"
				    "\xa1"
				    "c"
				    "\xa4"
				    "turn"
				    "\x04"
				    "\xa4"
				    "data"
				    "\x93\xa9"
				    "ErrorData"
				    "\xa3"
				    "dns"
				    "\xa0"
				    "\xa3"
				    "seq"
				    "\x00";
	assert_int_equal(b.len, sizeof(error) - 1);
	assert_memory_equal(b.data, error, b.len);
	buffer_free(&b);
}

static bool contains(const struct buffer *b, const char *bytes, size_t len)
{
	return memmem(b->data, b->len, bytes, len) != NULL;
}

static void test_output_is_a_text_model_output(void **state)
{
	struct buffer b;
	struct event e;
	(void)state;
	event_init(&e, EVENT_SAMPLE_COMPLETE, 1);
	e.text = text("x");
	encode(&e, &b);
	assert_true(contains(&b, BYTES("\xa4"
	                               "data\x92\xaf"
	                               "TextModelOutput\xa1"
	                               "x")));
	buffer_free(&b);
	e.text = (struct slice){ NULL, 0 };
	e.reasoning = text("y");
	encode(&e, &b);
	assert_true(contains(&b, BYTES("\xa4"
	                               "data\x93\xaf"
	                               "TextModelOutput\xa0\xa1"
	                               "y")));
	buffer_free(&b);
}

static void test_bad_utf8_in_text_becomes_a_replacement(void **state)
{
	char *big = malloc(5000);
	struct buffer b;
	struct event e, out;
	(void)state;
	assert_non_null(big);
	memset(big, '\xff', 5000);
	event_init(&e, EVENT_SAMPLE_COMPLETE, 1);
	e.text = (struct slice){ big, 5000 };
	e.tag = text("a\xff");
	encode(&e, &b);
	assert_int_equal(event_decode(&out, b.data, b.len, NULL, 0), STATUS_OK);
	assert_slice(out.tag, text("a\xef\xbf\xbd"));
	assert_int_equal(out.text.len, 15000);
	for (size_t i = 0; i < out.text.len; i += 3)
		assert_memory_equal(out.text.data + i, "\xef\xbf\xbd", 3);
	buffer_free(&b);
	free(big);
}

static void test_custom_names_are_cut_and_cleaned(void **state)
{
	char topic[EVENT_TOPIC_SIZE];
	struct buffer b;
	struct event e, out;
	(void)state;
	event_init(&e, EVENT_CUSTOM, 1);
	e.custom = text("a name that has \xc3\xbc and is far longer than the topic");
	event_topic_bytes(&e, topic);
	assert_string_equal(topic, "custom.a_name_that_has____and_is_far_lo");
	encode(&e, &b);
	assert_int_equal(event_decode(&out, b.data, b.len, NULL, 0), STATUS_OK);
	assert_slice(out.custom, text("a_name_that_has____and_is_far_lo"));
	buffer_free(&b);
}

static void test_topics_are_padded_with_nul(void **state)
{
	static const char want[EVENT_TOPIC_SIZE] = "session.start_performance_tracking";
	char topic[EVENT_TOPIC_SIZE];
	struct event e;
	(void)state;
	memset(topic, 'x', sizeof(topic));
	event_init(&e, EVENT_SESSION_START_TRACKING, 1);
	event_topic_bytes(&e, topic);
	assert_memory_equal(topic, want, sizeof(want));
	assert_string_equal(event_topic(EVENT_CUSTOM), "custom");
	assert_string_equal(event_topic(EVENT_TYPE_COUNT), "unknown");
}

/* Each text alone is larger than what is kept for numbers and keys. */
static void test_any_text_may_be_large(void **state)
{
	(void)state;
	static const size_t texts[] = {
		offsetof(struct event, conversation_id),
		offsetof(struct event, tag),
		offsetof(struct event, text),
		offsetof(struct event, finish_reason),
		offsetof(struct event, session_id),
		offsetof(struct event, name),
		offsetof(struct event, kind),
		offsetof(struct event, end_reason),
		offsetof(struct event, body),
		offsetof(struct event, path),
		offsetof(struct event, method),
	};
	enum { LARGE = 100000 };
	char *large = malloc(LARGE);
	assert_non_null(large);
	memset(large, 'x', LARGE);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct event e, back;
		struct buffer b;
		event_init(&e, EVENT_PHASE_START, 1);
		*(struct slice *)(void *)((char *)&e + texts[i]) = (struct slice){ large, LARGE };
		buffer_init(&b, 1 << 20);
		assert_int_equal(event_encode(&e, &b), STATUS_OK);
		assert_true(b.len <= b.cap);
		assert_int_equal(event_decode(&back, b.data, b.len, NULL, 0), STATUS_OK);
		struct slice *s = (struct slice *)(void *)((char *)&back + texts[i]);
		assert_int_equal(s->len, LARGE);
		buffer_free(&b);
	}
	free(large);
}

static void test_a_full_buffer_is_left_as_it_was(void **state)
{
	struct event e = full(EVENT_SAMPLE_COMPLETE);
	struct buffer b;
	(void)state;
	buffer_init(&b, 100);
	assert_int_equal(buffer_append(&b, "before", 6), STATUS_OK);
	assert_int_equal(event_encode(&e, &b), STATUS_ELIMIT);
	assert_int_equal(event_json(&e, &b), STATUS_ELIMIT);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "before", 6);
	buffer_free(&b);
}

static void test_cut_records_are_refused_at_every_length(void **state)
{
	struct event e = full(EVENT_SAMPLE_COMPLETE), out;
	struct buffer b;
	uint32_t space[ROOM];
	(void)state;
	encode(&e, &b);
	for (size_t len = 0; len < b.len; len++) {
		char *cut = malloc(len ? len : 1); /* exact, for the sanitizer */
		assert_non_null(cut);
		memcpy(cut, b.data, len);
		assert_int_equal(event_decode(&out, cut, len, space, ROOM), STATUS_EPROTO);
		free(cut);
	}
	assert_int_equal(buffer_append(&b, "\xc0", 1), STATUS_OK);
	assert_int_equal(event_decode(&out, b.data, b.len, space, ROOM), STATUS_EPROTO);
	buffer_free(&b);
}

#define STAMP                                                                                      \
	"\xac"                                                                                     \
	"timestamp_ns\x01"
#define TYPE                                                                                       \
	"\xaa"                                                                                     \
	"event_type\xad"                                                                           \
	"sample.issued"

static void test_wrong_values_are_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *why;
	} rows[] = {
		{ BYTES("\x90"), "no map" },
		{ BYTES("\x81" TYPE), "no timestamp" },
		{ BYTES("\x81" STAMP), "no type" },
		{ BYTES("\x82" STAMP "\xaa"
		        "event_type\xa4"
		        "what"),
		  "an unknown type" },
		{ BYTES("\x82" STAMP "\xaa"
		        "event_type\x01"),
		  "a type that is no text" },
		{ BYTES("\x82" TYPE "\xac"
		        "timestamp_ns\xff"),
		  "a negative time" },
		{ BYTES("\x82" TYPE "\xac"
		        "timestamp_ns\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
		  "a time beyond 63 bits" },
		{ BYTES("\x83" TYPE STAMP "\xab"
		        "sample_uuid\xa2"
		        "ab"),
		  "a short uuid" },
		{ BYTES("\x83" TYPE STAMP "\xab"
		        "sample_uuid\xd9\x20"
		        "0123456789abcdef0123456789abcdeg"),
		  "no hex" },
		{ BYTES("\x83" TYPE STAMP "\xa7"
		        "failure\xa4"
		        "luck"),
		  "an unknown failure" },
		{ BYTES("\x83" TYPE STAMP "\xa5"
		        "phase\xce\xff\xff\xff\xff"),
		  "a phase too large" },
		{ BYTES("\x83" TYPE STAMP "\xa3"
		        "tag\x01"),
		  "a tag that is no text" },
		{ BYTES("\x83" TYPE STAMP "\xab"
		        "chunk_times\x91\xa0"),
		  "a gap that is no number" },
		{ BYTES("\x83" TYPE STAMP "\xab"
		        "chunk_times\x01"),
		  "gaps that are no list" },
		{ BYTES("\x83" TYPE STAMP "\x01\x01"), "a key that is no text" },
		{ BYTES("\x83" TYPE STAMP "\xa4"
		        "data\x91\x01"),
		  "data without a tag" },
	};
	struct event e;
	uint32_t space[ROOM];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (event_decode(&e, rows[i].data, rows[i].len, space, ROOM) != STATUS_EPROTO)
			fail_msg("accepted: %s", rows[i].why);
}

static void test_unknown_keys_and_parts_are_passed_over(void **state)
{
	static const char record[] = "\x86" STAMP "\xa5"
				     "extra\x81\xa1"
				     "a\x92\x01\xd4\x01z"
				     "\xa4"
				     "data\x94\xaf"
				     "TextModelOutput\x92\xa1"
				     "a\xa1"
				     "b\xa1"
				     "r\x90"
				     "\xa3"
				     "tag\xc0" TYPE "\xa3"
				     "seq\x07";
	struct event e;
	(void)state;
	assert_int_equal(event_decode(&e, BYTES(record), NULL, 0), STATUS_OK);
	assert_int_equal(e.type, EVENT_SAMPLE_ISSUED);
	assert_int_equal(e.seq, 7);
	assert_null(e.text.data); /* a list of chunks */
	assert_slice(e.reasoning, text("r"));
	assert_null(e.tag.data); /* nil */
}

static void test_gaps_beyond_the_room_are_passed_over(void **state)
{
	struct event e = full(EVENT_SAMPLE_COMPLETE), out;
	struct buffer b;
	uint32_t space[2];
	(void)state;
	encode(&e, &b);
	assert_int_equal(event_decode(&out, b.data, b.len, space, 2), STATUS_OK);
	assert_int_equal(out.chunk_us_count, 2);
	assert_memory_equal(out.chunk_us, gaps, sizeof(space));
	assert_slice(out.finish_reason, e.finish_reason);
	buffer_free(&b);
}

static void assert_json(const struct event *e, const char *want)
{
	struct buffer b;
	buffer_init(&b, 1 << 20);
	assert_int_equal(event_json(e, &b), STATUS_OK);
	assert_int_equal(buffer_append(&b, "", 1), STATUS_OK);
	assert_string_equal(b.data, want);
	buffer_free(&b);
}

static void test_json_has_the_keys_of_the_wire(void **state)
{
	struct event e;
	(void)state;
	event_init(&e, EVENT_SESSION_ENDED, UINT64_MAX);
	assert_json(&e, "{\"event_type\":\"session.ended\","
	                "\"timestamp_ns\":18446744073709551615,\"seq\":0}");
	e = full(EVENT_CUSTOM);
	assert_json(&e, "{\"event_type\":\"custom.cache_hit\","
	                "\"timestamp_ns\":1234567890123456789,\"data\":\"what the script told\","
	                "\"worker_id\":0,\"seq\":4000000015,\"phase\":3}");
	e = full(EVENT_SAMPLE_COMPLETE);
	e.text = text("say \"\xff\"\n");
	assert_json(&e,
	            "{\"event_type\":\"sample.complete\",\"timestamp_ns\":1234567890123456789,"
	            "\"sample_uuid\":\"0123456789abcdef0000000000000001\","
	            "\"conversation_id\":\"conversation\",\"turn\":0,"
	            "\"data\":[\"TextModelOutput\",\"say \\\"\xef\xbf\xbd\\\"\\n\",\"because\"],"
	            "\"finish_reason\":\"stop\",\"worker_id\":0,\"seq\":4000000012,\"phase\":3,"
	            "\"index\":0,\"tag\":\"long\",\"scheduled_ns\":1,\"issued_ns\":2,"
	            "\"sent_ns\":3,\"first_byte_ns\":4,\"first_ns\":5,"
	            "\"first_event_after_ns\":0,\"first_content_after_ns\":130,"
	            "\"first_reasoning_after_ns\":70000,"
	            "\"failure\":\"truncated\",\"http_status\":200,\"chunks\":7,"
	            "\"bytes_in\":1048576,\"bytes_out\":512,\"tokens_in\":0,"
	            "\"tokens_out\":100000,\"tokens_cached\":0,\"tokens_least\":1,"
	            "\"tokens_most\":65536,\"chunk_times\":[0,127,128,65535,65536,4294967295]}");
}

static void test_uuids_are_32_hex_digits(void **state)
{
	(void)state;
	char hex[33] = { 0 }, expected[33];
	for (unsigned i = 0; i < 64; i++) { /* each nibble with each value, and its neighbours */
		uint64_t uuid[2] = { 0x0123456789abcdefu << i | 0xfedcba9876543210u >> (63 - i),
			             UINT64_MAX << i };
		event_uuid_hex(uuid, hex);
		snprintf(expected, sizeof(expected), "%016llx%016llx", (unsigned long long)uuid[0],
		         (unsigned long long)uuid[1]);
		assert_string_equal(hex, expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_round_trips_full_and_bare),
		cmocka_unit_test(test_packed_records_round_trip),
		cmocka_unit_test(test_names_give_numbers_their_meaning),
		cmocka_unit_test(test_records_have_these_bytes),
		cmocka_unit_test(test_output_is_a_text_model_output),
		cmocka_unit_test(test_bad_utf8_in_text_becomes_a_replacement),
		cmocka_unit_test(test_custom_names_are_cut_and_cleaned),
		cmocka_unit_test(test_topics_are_padded_with_nul),
		cmocka_unit_test(test_any_text_may_be_large),
		cmocka_unit_test(test_a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(test_cut_records_are_refused_at_every_length),
		cmocka_unit_test(test_wrong_values_are_refused),
		cmocka_unit_test(test_unknown_keys_and_parts_are_passed_over),
		cmocka_unit_test(test_gaps_beyond_the_room_are_passed_over),
		cmocka_unit_test(test_json_has_the_keys_of_the_wire),
		cmocka_unit_test(test_uuids_are_32_hex_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
