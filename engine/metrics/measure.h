/* measure.h - what is measured of one request, from its complete event.
 *
 * The one definition of each value that distributions, records and handlers show.
 * Pure functions, any thread. */
#ifndef PERIGEE_METRICS_MEASURE_H
#define PERIGEE_METRICS_MEASURE_H

#include "events/event.h"

#include <stdbool.h>
#include <stdint.h>

/*  enum, name, is it a time (ns), definition. Of successes (LATENESS: of all that ended). */
#define METRIC_MAP(X)                                                                              \
	X(LATENCY, "latency", true, "finished - scheduled")                                        \
	X(SERVICE_TIME, "service_time", true, "finished - issued")                                 \
	X(LATENESS, "lateness", true, "issued - scheduled")                                        \
	X(TTFT, "ttft", true, "first content-bearing delta - scheduled")                           \
	X(TTFT_SERVICE, "ttft_service", true, "first content-bearing delta - issued")              \
	X(TPOT, "tpot", true, "(finished - first content-bearing delta) / (tokens_out - 1)")       \
	X(ITL, "itl", true, "gap between two content-bearing chunks of a stream")

enum metric {
#define X(id, name, time, text) METRIC_##id,
	METRIC_MAP(X)
#undef X
		METRIC_COUNT
};

const char *metric_name(enum metric m);

/* to - from, never negative; EVENT_NONE when one of them never happened (is 0). */
int64_t complete_span(uint64_t from_ns, uint64_t to_ns);

/* Of one SAMPLE_COMPLETE; EVENT_NONE when undefined. */
int64_t complete_latency(const struct event *e);
int64_t complete_service_time(const struct event *e);
int64_t complete_ttft(const struct event *e);
int64_t complete_tpot(const struct event *e);

/* All that one SAMPLE_COMPLETE has one value of; EVENT_NONE elsewhere (gaps are many). */
void complete_values(const struct event *e, int64_t values[METRIC_COUNT]);

#endif
