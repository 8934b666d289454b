/* fold.h - turns events into counters and histograms, phase by phase.
 *
 * The one definition of every number in a report: the same code runs live in
 * the session, in a subscriber process and over a log. Reads no clock. One
 * writer; a reader on the same thread may look at any time. */
#ifndef PERIGEE_METRICS_FOLD_H
#define PERIGEE_METRICS_FOLD_H

#include "events/event.h"
#include "metrics/series.h"
#include "metrics/tags.h"

#include <stdbool.h>
#include <stdint.h>

#define FOLD_MAX_PHASES 4096
#define FOLD_NAME_SIZE  64

/* One phase's numbers. Callers read only. */
struct phase_metrics {
	char name[FOLD_NAME_SIZE];
	char kind[16];
	char end_reason[32]; /* "" while it runs */
	bool started, ended;
	bool open_load; /* it has a schedule of its own, so a rate was asked */
	uint64_t started_ns, ended_ns;
	int64_t goal_requests, goal_duration_ns; /* what ends it; 0: no such rule, or not told */
	uint64_t dropped; /* arrivals refused by overload = "drop": never issued */

	struct slo slo;
	struct tally all;
	struct series *series; /* NULL until the first event of a request */
	struct tags *tags;     /* NULL: no request had one */
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

#endif
