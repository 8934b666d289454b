/* fold.h - turns events into counters and histograms, phase by phase.
 *
 * The one definition of every number in a report: the same code runs live in
 * the session, in a subscriber process and over a log. Reads no clock. One
 * writer; a reader on the same thread may look at any time. */
#ifndef PERIGEE_METRICS_FOLD_H
#define PERIGEE_METRICS_FOLD_H

#include "events/event.h"
#include "metrics/examples.h"
#include "metrics/series.h"
#include "metrics/tags.h"

#include <stdbool.h>
#include <stdint.h>

#define FOLD_MAX_PHASES 4096
#define FOLD_NAME_SIZE  64

/* What the other clocks did beside CLOCK_MONOTONIC, from the end of the phase before, or the
 * session's start, to the end of this one. */
struct clocks {
	bool known;
	int64_t step_ns;      /* CLOCK_REALTIME was set, forward or back */
	int64_t suspended_ns; /* the machine slept */
};

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
	uint64_t unsent;  /* arrivals that were due at its end, and held back: never issued */

	/* the script's and its collector's share of the thread; negative: not known */
	int64_t lua_ns, lua_calls, lua_max_ns;
	int64_t gc_ns, gc_steps, gc_max_ns;

	/* told at the end of a phase; EVENT_NONE: not told, or it has no schedule */
	int64_t late, catch_ups, worst_late_ns;
	int64_t busy_ns, spin_ns, worker_busy_ns;
	int64_t connections, reconnects;
	struct clocks clocks;

	struct slo slo;
	struct tally all;
	struct series *series; /* NULL until the first event of a request */
	struct tags *tags;     /* NULL: no request had one */
	struct examples examples;
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

/* Add a phase to *sum, which is NULL before the first: the counts, the merged distributions, their
 * durations one after the other. Nothing of one that never showed up. *sum belongs to the caller,
 * also after a failure: phase_metrics_free(). Returns 0 or STATUS_ENOMEM. */
int fold_add_phase(const struct fold *f, int index, struct phase_metrics **sum);

/* All performance phases together, as fold_add_phase() does. *out belongs to the caller:
 * phase_metrics_free(); NULL when there is no such phase. Returns 0 or STATUS_ENOMEM. */
int fold_overall(const struct fold *f, struct phase_metrics **out);
void phase_metrics_free(struct phase_metrics *m); /* NULL is fine */

/* What a phase measures from a moment on. Zeroed memory of the caller's is one that is closed;
 * one that is open is fed by the fold, which costs about as much per request as a tag. */
struct fold_window {
	struct tally tally;
	uint64_t begun_ns;
	int phase;
	struct fold *fold;               /* NULL: closed, or the fold is gone */
	struct fold_window *prev, *next; /* of the fold's open ones */
};

/* Open w, or let an open one begin anew: it is empty then. */
void fold_window_open(struct fold *f, struct fold_window *w, int phase, uint64_t now_ns);

/* Its numbers as those of a phase that began with it, as far as the phase itself is known. They
 * borrow what w holds. */
void fold_window_read(const struct fold_window *w, struct phase_metrics *out);

/* Free what it holds. Before or after the fold is freed; one that is closed is left alone. */
void fold_window_close(struct fold_window *w);

/* "" until SESSION_STARTED. The pair ties monotonic stamps to the calendar. */
const char *fold_session_id(const struct fold *f);
uint64_t fold_started_ns(const struct fold *f);
uint64_t fold_started_realtime_ns(const struct fold *f);

#endif
