/* event.h - what happened, as one record, and its form on the wire.
 *
 * Events are the truth of a run: the fold, the publisher and every file are
 * made from them. A struct event borrows all that it points to; whoever keeps
 * one copies. Pure functions, any thread.
 *
 * Wire form of one record: a MessagePack map; docs/events.md lists the keys. Packed form, of the
 * log: the same with numbers in place of names; docs/log.md has it. */
#ifndef PERIGEE_EVENTS_EVENT_H
#define PERIGEE_EVENTS_EVENT_H

#include "base/buffer.h"
#include "base/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_TOPIC_SIZE 40 /* topics are padded to it with NUL on the wire */
#define EVENT_CUSTOM_MAX 32 /* bytes of the name of a custom event */

/*  enum, topic. In the causal order in which a flush sends them. */
#define EVENT_MAP(X)                                                                               \
	X(SESSION_STARTED, "session.started")                                                      \
	X(SESSION_ENDED, "session.ended")                                                          \
	X(SESSION_STOP_LOADGEN, "session.stop_loadgen")                                            \
	X(SESSION_START_TRACKING, "session.start_performance_tracking")                            \
	X(SESSION_STOP_TRACKING, "session.stop_performance_tracking")                              \
	X(SAMPLE_ISSUED, "sample.issued")                                                          \
	X(SAMPLE_RECV_FIRST, "sample.recv_first")                                                  \
	X(SAMPLE_RECV_NON_FIRST, "sample.recv_non_first")                                          \
	X(ERROR_GENERIC, "error.generic")                                                          \
	X(ERROR_LOADGEN, "error.loadgen")                                                          \
	X(ERROR_SESSION, "error.session")                                                          \
	X(ERROR_CLIENT, "error.client")                                                            \
	X(SAMPLE_COMPLETE, "sample.complete")                                                      \
	X(PHASE_START, "custom.phase_start")                                                       \
	X(PHASE_END, "custom.phase_end")                                                           \
	X(CUSTOM, "custom") /* the topic is custom.<event.custom> */

enum event_type {
#define X(id, topic) EVENT_##id,
	EVENT_MAP(X)
#undef X
		EVENT_TYPE_COUNT
};

struct slice {
	const char *data; /* not terminated; NULL: absent */
	size_t len;
};

/* The value of a count or a time that is not there. */
#define EVENT_NONE (-1)

/* Fields that do not belong to the type are left absent: 0 for times and
 * pointers, EVENT_NONE for the signed ones. event_init() sets all so. */
struct event {
	enum event_type type;
	struct slice custom; /* CUSTOM: the name after "custom."; written cut to EVENT_CUSTOM_MAX
	                        bytes, with '_' for each byte that is not visible ASCII */

	/* every event */
	uint64_t seq;          /* gap-free per session, from 0 */
	uint64_t timestamp_ns; /* when it happened (monotonic), not when it was told */
	int32_t phase;         /* index of the phase, from 0 */
	int32_t worker_id;

	/* about one sample */
	uint64_t uuid[2]; /* {0, 0}: not about a sample */
	int64_t index;    /* of the sample in its dataset, from 0 */
	int64_t turn;
	struct slice conversation_id;
	struct slice tag;

	/* SAMPLE_ISSUED, SAMPLE_COMPLETE */
	uint64_t scheduled_ns; /* when it was meant to be issued */

	/* SAMPLE_COMPLETE; timestamp_ns is when the response ended */
	uint64_t issued_ns;
	uint64_t sent_ns;       /* the request was on its way */
	uint64_t first_byte_ns; /* of the response's body or head */
	uint64_t first_ns;      /* first non-empty content, reasoning or tool delta */
	/* From issued_ns: to the first server-sent event with data, whatever it said, and to the
	 * first delta with content and with reasoning. */
	int64_t first_event_after_ns, first_content_after_ns, first_reasoning_after_ns;
	enum failure failure;
	int32_t http_status; /* 0: no response */
	uint32_t chunks;     /* content-bearing deltas */
	int64_t bytes_in, bytes_out;
	int64_t tokens_in, tokens_out;     /* from the server's usage */
	int64_t tokens_cached;             /* likewise: those of tokens_in that it had cached */
	int64_t tokens_least, tokens_most; /* what the request asked tokens_out to be */
	struct slice finish_reason;
	const uint32_t *chunk_us; /* gaps between chunks; [0] is first_ns to the second chunk */
	uint32_t chunk_us_count;

	/* data: output of COMPLETE and RECV_*, prompt of ISSUED, with record_text only;
	 * what the script told with a CUSTOM event */
	struct slice text;
	struct slice reasoning;

	/* ISSUED, with record_body only: what was sent, for a replay (text, as UTF-8) */
	struct slice body;
	struct slice path, method; /* where they are not the target's own */

	/* ERROR_*: data is [class, message] */
	struct slice error_type;
	struct slice error_message;

	/* SESSION_STARTED; session_id also SESSION_ENDED, PHASE_START, PHASE_END */
	struct slice session_id; /* 32 hex digits */
	struct slice name;       /* of the scenario; PHASE_*: of the phase */
	/* also PHASE_END: the other clocks at timestamp_ns */
	uint64_t realtime_ns; /* CLOCK_REALTIME */
	int64_t suspended_ns; /* how long the machine has slept since its start */

	/* PHASE_START, PHASE_END */
	struct slice kind;       /* "performance", "warmup", "accuracy" */
	struct slice end_reason; /* PHASE_END: which rule ended it */
	uint64_t unsent;       /* PHASE_END: arrivals that were due and not sent when it stopped */
	int64_t dropped;       /* PHASE_END: arrivals refused by overload = "drop" */
	int64_t open_load;     /* PHASE_START: 1 when it has a schedule of its own */
	int64_t goal_requests; /* PHASE_START: it ends after so many */
	int64_t late;          /* PHASE_END: arrivals that the client itself issued late */
	int64_t catch_ups;     /* PHASE_END: times that it had to make up for lost time */
	int64_t worst_late_ns; /* PHASE_END: of these arrivals */
	int64_t busy_ns;       /* PHASE_END: CPU time of the session's thread, spin left out */
	int64_t spin_ns;       /* PHASE_END: spent polling for what was due next */
	int64_t connections;   /* PHASE_END: opened in the phase, by all clients */
	int64_t reconnects;    /* PHASE_END: of these, made because the endpoint had closed one */
	int64_t goal_duration_ns; /* PHASE_START: or after so long */
	/* PHASE_END: CPU time of the HTTP worker that had most to do; absent without workers */
	int64_t worker_busy_ns;
	/* PHASE_END: of the thread that measures, from the phase's start; absent on simulated time
	 */
	int64_t lua_ns, lua_calls, lua_max_ns; /* inside the script */
	int64_t gc_ns, gc_steps, gc_max_ns;    /* in its collector, between turns */
	int64_t slo_latency_ns, slo_ttft_ns,
		slo_tpot_ns; /* PHASE_START: what a good request keeps */

	/* Set by the publisher alone: records of custom events before this one that the
	 * mlcommons framing could not carry, so that their seq is no loss. */
	uint64_t left_out;
};

void event_init(struct event *e, enum event_type type, uint64_t timestamp_ns);

/* "sample.complete"; for CUSTOM "custom". */
const char *event_topic(enum event_type type);

/* The type of that topic; CUSTOM when it is none of the others'. */
enum event_type event_type_of(struct slice topic);

/* Write the full topic of e, NUL-padded, into out. */
void event_topic_bytes(const struct event *e, char out[EVENT_TOPIC_SIZE]);

/* Would a custom event of that name pass for one that a session itself tells? */
bool event_is_reserved(struct slice custom);

/* Does the type bypass batching (session.*)? */
bool event_is_control(enum event_type type);

/* Append the MessagePack record; bytes of texts that are not UTF-8 become U+FFFD.
 * Returns 0, STATUS_ELIMIT (near the buffer's limit also when it might just fit)
 * or STATUS_ENOMEM; after a failure the buffer is as before. */
int event_encode(const struct event *e, struct buffer *out);

/* The same in the packed form of the log: a third of the bytes. */
int event_pack(const struct event *e, struct buffer *out);

/* Read one record of len bytes; *e borrows from data and from chunk_space, which
 * the caller lends for chunk_us: chunk_room values (0: NULL is fine), the rest is
 * passed over. Unknown keys are skipped; event_type and timestamp_ns must be there.
 * Returns 0 or STATUS_EPROTO, and then *e is not to be used. */
int event_decode(struct event *e, const char *data, size_t len, uint32_t *chunk_space,
                 uint32_t chunk_room);

/* The same of a record that may be packed, by a writer whose names these are. */
struct event_names;
int event_unpack(struct event *e, const struct event_names *names, const char *data, size_t len,
                 uint32_t *chunk_space, uint32_t chunk_room);

/* Append the event as one JSON object without a newline, the same keys as the
 * wire's; absent fields are left out. Returns as event_encode(). */
int event_json(const struct event *e, struct buffer *out);

/* The uuid as 32 lower-case hex digits, not terminated. */
void event_uuid_hex(const uint64_t uuid[2], char out[32]);

#endif
