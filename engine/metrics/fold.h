/* fold.h - turns events into counters and histograms, phase by phase.
 *
 * The one definition of every number in a report: the same code runs live in
 * the session, in a subscriber process and over a log. Reads no clock. One
 * writer; a reader on the same thread may look at any time. */
#ifndef PERIGEE_METRICS_FOLD_H
#define PERIGEE_METRICS_FOLD_H

#include "base/histogram.h"
#include "events/event.h"

#include <stdbool.h>
#include <stdint.h>

#define FOLD_MAX_PHASES     4096
#define FOLD_NAME_SIZE      64
#define FOLD_FINISH_REASONS 16
#define FOLD_FIRST_STATUS   400 /* HTTP statuses that count as failures */
#define FOLD_STATUS_COUNT   600

/*  enum, name, definition. All in nanoseconds, of successful requests (LATENESS: of all issued). */
#define METRIC_MAP(X)                                                                              \
	X(LATENCY, "latency", "finished - scheduled")                                              \
	X(SERVICE_TIME, "service_time", "finished - issued")                                       \
	X(LATENESS, "lateness", "issued - scheduled")                                              \
	X(TTFT, "ttft", "first content delta - scheduled")                                         \
	X(TTFT_SERVICE, "ttft_service", "first content delta - issued")                            \
	X(TPOT, "tpot", "(finished - first content delta) / (tokens_out - 1)")                     \
	X(ITL, "itl", "gap between two content-bearing chunks of a stream")

enum metric {
#define X(id, name, text) METRIC_##id,
	METRIC_MAP(X)
#undef X
		METRIC_COUNT
};

const char *metric_name(enum metric m);

/* One phase's numbers. Callers read only.
 * issued = completed + failed + abandoned + cancelled + those in flight. */
struct phase_metrics {
	char name[FOLD_NAME_SIZE];
	char kind[16];
	char end_reason[32]; /* "" while it runs */
	bool started, ended;
	bool open_load; /* it has a schedule of its own, so a rate was asked */
	uint64_t started_ns, ended_ns;
	int64_t goal_requests, goal_duration_ns; /* what ends it; 0: no such rule, or not told */

	uint64_t issued;
	uint64_t completed; /* successes */
	uint64_t failed;    /* neither success, nor abandoned, nor cancelled */
	uint64_t abandoned; /* in flight when the drain deadline passed */
	uint64_t cancelled; /* by the script */
	uint64_t dropped;   /* arrivals refused by overload = "drop": never issued */

	/* told at the end of a phase; EVENT_NONE: not told, or it has no schedule */
	int64_t late, catch_ups, worst_late_ns;
	int64_t busy_ns, spin_ns;

	uint64_t first_scheduled_ns, last_scheduled_ns;
	uint64_t first_issued_ns, last_issued_ns;
	uint64_t last_finished_ns;

	uint64_t tokens_in, tokens_out; /* sums over the responses that told them */
	uint64_t token_responses;       /* how many told tokens_out */
	uint64_t chunks, bytes_in, bytes_out;

	struct histogram *histograms[METRIC_COUNT]; /* NULL until the first value */
	uint64_t failures[FAILURE_COUNT];
	uint32_t statuses[FOLD_STATUS_COUNT]; /* of FAILURE_HTTP, [0] is status 400 */
	struct {
		char name[32];
		uint64_t count;
	} finish_reasons[FOLD_FINISH_REASONS]; /* the last one gathers the rest as "other" */
};

struct fold;

/* Returns 0 or STATUS_ENOMEM. */
int fold_new(struct fold **out);
void fold_free(struct fold *f); /* NULL is fine */

/* Take one event. Returns 0, or STATUS_ENOMEM / STATUS_ELIMIT when a part of it
 * could not be counted; fold_lost() tells how often. */
int fold_put(struct fold *f, const struct event *e);

uint64_t fold_lost(const struct fold *f);

/* Phases are numbered as in the events; NULL for one that never showed up. */
int fold_phase_count(const struct fold *f);
const struct phase_metrics *fold_phase(const struct fold *f, int index);

/* "" until SESSION_STARTED. The pair ties monotonic stamps to the calendar. */
const char *fold_session_id(const struct fold *f);
uint64_t fold_started_ns(const struct fold *f);
uint64_t fold_started_realtime_ns(const struct fold *f);

/* Derived stamps of one SAMPLE_COMPLETE, for records and handlers; EVENT_NONE when undefined. */
int64_t complete_latency(const struct event *e);
int64_t complete_service_time(const struct event *e);
int64_t complete_ttft(const struct event *e);
int64_t complete_tpot(const struct event *e);

#endif
