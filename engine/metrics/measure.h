/* measure.h - what is measured of one request, from its complete event.
 *
 * The one definition of each value that distributions, records and handlers show.
 * Pure functions, any thread. */
#ifndef PERIGEE_METRICS_MEASURE_H
#define PERIGEE_METRICS_MEASURE_H

#include "events/event.h"

#include <stdbool.h>
#include <stdint.h>

/*  enum, name, definition. Times in nanoseconds. Of successful requests (LATENESS: of all
 *  that ended). */
#define METRIC_MAP(X)                                                                              \
	X(LATENCY, "latency", "finished - scheduled")                                              \
	X(SERVICE_TIME, "service_time", "finished - issued")                                       \
	X(LATENESS, "lateness", "issued - scheduled")                                              \
	X(TTFT, "ttft", "first content-bearing delta - scheduled")                                 \
	X(TTFT_SERVICE, "ttft_service", "first content-bearing delta - issued")                    \
	X(TPOT, "tpot", "(finished - first content-bearing delta) / (tokens_out - 1)")             \
	X(ITL, "itl", "gap between two content-bearing chunks of a stream")                        \
	X(ITL_TOKEN, "itl_token", "such a gap / (tokens_out / chunks) of its response")            \
	X(FIRST_BYTE, "first_byte", "first byte of the response - scheduled")                      \
	X(FIRST_EVENT, "first_event", "first event of a stream with data - scheduled")             \
	X(FIRST_CONTENT, "first_content", "first delta with content - scheduled")                  \
	X(FIRST_REASONING, "first_reasoning", "first delta with reasoning - scheduled")            \
	X(INPUT_TOKENS, "input_tokens", "tokens_in of a response")                                 \
	X(OUTPUT_TOKENS, "output_tokens", "tokens_out of a response")

enum metric {
#define X(id, name, text) METRIC_##id,
	METRIC_MAP(X)
#undef X
		METRIC_COUNT
};

const char *metric_name(enum metric m);
bool metric_is_time(enum metric m); /* else a count of tokens */

/* to - from, never negative; EVENT_NONE when one of them never happened (is 0). */
int64_t complete_span(uint64_t from_ns, uint64_t to_ns);

/* Of one SAMPLE_COMPLETE; EVENT_NONE when undefined. */
int64_t complete_latency(const struct event *e);
int64_t complete_service_time(const struct event *e);
int64_t complete_ttft(const struct event *e);
int64_t complete_tpot(const struct event *e);

/* What a good request keeps: bounds in ns; 0: none. */
struct slo {
	int64_t latency_ns, ttft_ns, tpot_ns;
};

bool slo_is_set(const struct slo *slo);

struct measures {
	int64_t values[METRIC_COUNT]; /* EVENT_NONE: undefined, or many (gaps) */
	bool good;                    /* a success that keeps all bounds; false without any */
};

/* Of one SAMPLE_COMPLETE. A bound on what the request does not have is not kept, but for
 * the tpot of an answer that is known to have fewer than two tokens. */
void complete_measures(const struct event *e, const struct slo *slo, struct measures *out);

#endif
