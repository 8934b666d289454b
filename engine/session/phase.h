/* phase.h - one phase: its limits, its counters and its stop rules.
 *
 * Reads no clock and does no I/O: the session calls with `now`, so that tests
 * play any course of time. Owned by the session, used on its thread. The
 * struct is open to engine/session and to the binding, which reads counters. */
#ifndef PERIGEE_SESSION_PHASE_H
#define PERIGEE_SESSION_PHASE_H

#include "base/failure.h"
#include "events/event.h"
#include "session/alarms.h"
#include "session/driver.h"
#include "session/pacer.h"

#include <stdbool.h>
#include <stdint.h>

#define PHASE_NAME_SIZE 64

enum phase_kind { PHASE_PERFORMANCE, PHASE_WARMUP, PHASE_ACCURACY };

enum overload {
	OVERLOAD_QUEUE, /* arrivals wait; their latency counts from the intended time */
	OVERLOAD_DROP,  /* arrivals beyond max_inflight are dropped and counted */
	OVERLOAD_ABORT, /* the run fails */
};

/* 0 means: no such rule. Times in ns. */
struct phase_config {
	const char *name; /* copied, at most PHASE_NAME_SIZE - 1 bytes */
	enum phase_kind kind;
	uint64_t requests;
	uint64_t min_requests;
	uint64_t duration_ns;
	uint64_t min_duration_ns;
	uint64_t max_duration_ns;
	double max_error_rate;        /* share of the requests that ended, 0..1 */
	uint64_t error_rate_requests; /* how many have to have ended first; 0: no such rule */
	uint64_t stall_ns;            /* no completion for so long while some are in flight */
	bool drain;                   /* wait for what is in flight before the next phase */
	uint64_t drain_ns;            /* for so long at most; 0: not at all */
	uint64_t deadline_ns;         /* per request, from its issue */
	uint64_t first_byte_ns;       /* likewise, until the first byte */
	uint64_t max_inflight;        /* of an open load */
	uint64_t tick_ns;             /* between two calls of driver.tick */
	enum overload overload;
	uint64_t slo_latency_ns, slo_ttft_ns, slo_tpot_ns; /* what a good request keeps */
	bool paired; /* each arrival has content of its own, which is dropped with it */
	bool keep_text, keep_body;
	bool record_text;  /* prompts and outputs go into the events */
	bool record_body;  /* bodies go into the events, so that a log can be replayed */
	bool chunk_events; /* each delta is an event */
};

enum phase_state {
	PHASE_IDLE,     /* its turn has not come */
	PHASE_RUNNING,  /* issues requests */
	PHASE_DRAINING, /* issues no more, waits for what is in flight */
	PHASE_ENDED,    /* told its end; stragglers of drain = false may still come in */
	PHASE_STATE_COUNT
};

/* Why a phase stopped issuing; names are in events and reports. */
#define PHASE_STOP_MAP(X)                                                                          \
	X(NONE, "")                                                                                \
	X(REQUESTS, "requests") /* the number asked for was issued */                              \
	X(DURATION, "duration")                                                                    \
	X(MAX_DURATION, "max_duration")                                                            \
	X(SCHEDULE, "schedule") /* the schedule or the strategy ended */                           \
	X(CONTENT, "content")   /* no more samples */                                              \
	X(STALL, "stall")                                                                          \
	X(ERROR_RATE, "error_rate") /* above max_error_rate */                                     \
	X(STOP_WHEN, "stop_when")   /* the script's function said so */                            \
	X(OVERLOAD, "overload")                                                                    \
	X(SCRIPT, "script") /* p:stop() or session:stop() */                                       \
	X(CHECK, "check")   /* one that may end the run does not hold */                           \
	X(SCRIPT_ERROR, "script_error")                                                            \
	X(CLIENT, "client")           /* it cannot go on: an HTTP worker died */                   \
	X(INTERRUPTED, "interrupted") /* by a signal */

enum phase_stop {
#define X(id, name) PHASE_STOP_##id,
	PHASE_STOP_MAP(X)
#undef X
		PHASE_STOP_COUNT
};

const char *phase_stop_name(enum phase_stop why);
const char *phase_kind_name(enum phase_kind kind);

/* A request that is to be sent: one that a strategy or a handler asked for, or an arrival. */
struct want {
	uint64_t id;
	uint64_t scheduled_ns; /* when it was asked for; of an arrival: when it is due */
	int64_t index;         /* of the sample; -1: the order decides */
	int64_t arrival;       /* number of the arrival, from 0; -1: it was asked for */
	intptr_t content;      /* the driver's own: what is to be sent; 0: the sample's */
};

#define PHASE_MAX_WANTS  ((size_t)1 << 20)
#define PHASE_MAX_ALARMS ((size_t)1 << 20)

struct phase {
	char name[PHASE_NAME_SIZE];
	struct phase_config config;
	const struct driver *driver; /* borrowed */
	void *driver_ctx;
	struct session *session;
	struct client *client; /* borrowed from the session */
	int32_t index;         /* from 0, as in the events */

	enum phase_state state;
	enum phase_stop stop;
	uint64_t started_ns;
	uint64_t stopped_ns;     /* issuing ended */
	uint64_t quiet_since_ns; /* latest end, or the issue that found nothing in flight */

	uint64_t built; /* requests asked of the driver, skipped ones included */
	uint64_t issued;
	uint64_t inflight;  /* issued and not yet ended */
	uint64_t completed; /* successes */
	uint64_t failed;    /* all other ends */
	uint64_t abandoned; /* of the failed */
	uint64_t cancelled; /* likewise: by the script, so no error */
	bool ended_some;    /* or ticked, since stop_when was asked */
	uint64_t dropped;
	uint64_t last_dropped_ns; /* intended time of the latest one */
	uint64_t unsent;          /* arrivals that were due when it stopped, and held back */
	uint64_t skipped;         /* the driver had nothing to send */
	uint64_t skipped_in_row;

	struct pacer *pacer;   /* open load; else NULL */
	int64_t arrivals;      /* taken from it: issued, skipped or dropped */
	struct request *ready; /* made for the next arrival, ahead of its time; by the session */
	uint64_t lead_ns;      /* how long ahead: what making one takes */
	uint64_t full_ns;      /* arrivals due until then were held back by max_inflight */
	uint64_t late;         /* arrivals that the client itself issued late */
	uint64_t catch_ups;    /* rows of such arrivals */
	uint64_t worst_late_ns;
	bool catching_up;

	/* of the session's thread, while the phase was the current one; by the session */
	uint64_t busy_ns, spin_ns; /* CPU time without the spin; the spin */
	uint64_t connections, reconnects;
	int64_t worker_busy_ns; /* CPU time of the busiest HTTP worker; EVENT_NONE: none */

	/* what strategies and handlers asked for, oldest first; a ring */
	struct want *wants;
	size_t want_at, want_count, want_cap;
	struct alarms *alarms; /* of the driver's; NULL: there was none yet */

	/* strategy */
	bool strategy_ended;
	bool strategy_told;        /* that the phase stopped: it is not resumed again */
	bool strategy_waits;       /* for a completion (or for the stop) */
	uint64_t strategy_wake_ns; /* sleeps or waits until then at most; 0: no such time */
	bool strategy_event;       /* a request of the session ended since it began to wait */
};

/* Returns 0, STATUS_EINVAL or STATUS_ENOMEM. driver and ctx are borrowed. */
int phase_new(struct phase **out, const struct phase_config *config, const struct driver *driver,
              void *ctx);
void phase_free(struct phase *p); /* NULL is fine */

/* PHASE_START or PHASE_END of it, as it stands. */
void phase_event(const struct phase *p, struct event *e, enum event_type type, uint64_t now_ns);

/* The only writer of p->state. */
void phase_enter(struct phase *p, enum phase_state next, uint64_t now_ns);

/* Begin to drain for this reason; the first reason stays. Nothing when not running. */
void phase_request_stop(struct phase *p, enum phase_stop why, uint64_t now_ns);

/* The only writers of the counters of requests. */
void phase_count_issue(struct phase *p, uint64_t now_ns);
void phase_count_end(struct phase *p, enum failure failure, uint64_t now_ns);

#define PHASE_LATE_NS 1000000 /* later than this is late */

/* Making a request took so long. */
void phase_count_build(struct phase *p, uint64_t took_ns);

/* Are max_inflight requests in flight? */
bool phase_is_full(const struct phase *p);

/* May the request of an arrival be made now, although it is due later? */
bool phase_may_prepare(const struct phase *p, uint64_t due_ns, uint64_t now_ns);

/* An arrival that was due is issued now. */
void phase_count_lateness(struct phase *p, uint64_t due_ns, uint64_t now_ns);

/* Such an arrival, handed over at issued_ns, was taken by a worker at started_ns. */
void phase_count_handover(struct phase *p, uint64_t due_ns, uint64_t issued_ns,
                          uint64_t started_ns);

/* Which rule says now that the phase should stop issuing; PHASE_STOP_NONE: none. */
enum phase_stop phase_check(const struct phase *p, uint64_t now_ns);

/* May it issue now? Where a rule says no it begins to drain. */
bool phase_may_issue(struct phase *p, uint64_t now_ns);

/* May the script's own rule be asked now? Only after something ended or a tick, and when the
 * minimums are met; then it may not until the next time. */
bool phase_take_look(struct phase *p, uint64_t now_ns);

/* When a phase that has stopped should have: a thread that is late stops it later. */
uint64_t phase_meant_end(const struct phase *p);

/* When to look after the next arrival, which may have to be made first; may lie in the past.
 * UINT64_MAX: none is planned, or none may come while so many are in flight. */
uint64_t phase_next_arrival(struct phase *p, uint64_t now_ns);

/* When to look again, for the rules that depend on time alone: the next due
 * arrival, sleep, duration, stall or drain deadline. UINT64_MAX: nothing to wait for. */
uint64_t phase_next_wake(struct phase *p, uint64_t now_ns);

/* Are requests in flight, and none has ended for the time of `stall`? Draining or not. */
bool phase_stalled(const struct phase *p, uint64_t now_ns);

/* Has draining taken too long? */
bool phase_drain_expired(const struct phase *p, uint64_t now_ns);

/* ---- for strategies and handlers ---- */

/* Ask for one more request. On success the phase takes its content: build() or forget() of
 * the driver gets it. Returns 0, STATUS_ECLOSED (it issues no more) or
 * STATUS_ELIMIT / STATUS_ENOMEM. */
int phase_want(struct phase *p, const struct want *want);

/* Take back what was asked for and is not yet sent. False: there is none of this id. */
bool phase_unwant(struct phase *p, uint64_t id);

/* The oldest want, for build(). Only when there is one. */
struct want phase_take_want(struct phase *p);

/* driver.alarm gets `what` at due_ns, or driver.forget when the phase stops before.
 * Returns as phase_want(). */
int phase_alarm(struct phase *p, uint64_t due_ns, intptr_t what);
void phase_strategy_sleep(struct phase *p, uint64_t until_ns);

/* Until a request ends, or until_ns; 0: for as long as it takes. */
void phase_strategy_wait(struct phase *p, uint64_t until_ns);

/* Should the strategy run now? */
bool phase_strategy_ready(const struct phase *p, uint64_t now_ns);

/* In flight and asked for: what a closed load compares with its target. */
uint64_t phase_outstanding(const struct phase *p);

/* Is nothing outstanding, and no arrival due that max_inflight holds back? */
bool phase_idle(const struct phase *p, uint64_t now_ns);

#endif
