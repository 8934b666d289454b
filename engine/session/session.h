/* session.h - runs phases: issues requests when they are due, follows them to
 * their end, tells events, and stops in order.
 *
 * Owns the clients, the journal (where its events go) and the requests (requests.h).
 * Session thread only. The order of things within one turn of the loop:
 * I/O and its callbacks, timers, the clients' hooks, then the session's hook,
 * which runs the strategy, issues what is due and looks at the stop rules.
 * Nothing is issued from inside a callback. Rules:
 *  1. Each issued request ends exactly once, in finish() of requests.c.
 *  2. Its events are told in this order: issued, recv_first, recv_non_first,
 *     error, complete; a request counts for the phase that issued it.
 *  3. A stop (signal, script, error) ends issuing at once and drains; a second
 *     signal abandons what is in flight. Events and files are written in all cases. */
#ifndef PERIGEE_SESSION_SESSION_H
#define PERIGEE_SESSION_SESSION_H

#include "base/loop.h"
#include "base/meter.h"
#include "base/status.h"
#include "events/publisher.h"
#include "http/client.h"
#include "http/sim.h"
#include "metrics/fold.h"
#include "session/phase.h"
#include "session/request.h"

struct session;

struct session_config {
	const char *name;                      /* of the scenario; copied */
	const struct publisher_config *events; /* NULL: no publisher */
	unsigned subscribers; /* wait for so many subscriptions before the first request */
	uint64_t subscribers_timeout_ns;
	const char *requests_file;  /* NULL: none */
	const char *log_file;       /* of the event log; NULL: none */
	const char *description;    /* JSON, told as custom.run_config at the start; NULL: none */
	size_t description_len;     /* borrowed until session_run() returns */
	uint64_t tick_ns;           /* 0: no ticks */
	void (*on_tick)(void *ctx); /* about every tick_ns while running */
	void *ctx;
	bool handle_signals;   /* SIGINT and SIGTERM stop the session, until it is freed */
	uint64_t max_inflight; /* of all phases together; 0: 1 Mi */
	unsigned workers;      /* threads for HTTP; 0: on the loop's own */
	/* Answers in place of every endpoint; NULL: real ones. Copied. */
	const struct sim_model *model;
	/* Each event as it is told; borrowed for the call. NULL: not wanted. */
	void (*on_event)(void *ctx, const struct event *e);
};

enum session_outcome {
	SESSION_OK,
	SESSION_FAILED,      /* abandoned requests, lost events or records, a service that failed */
	SESSION_INTERRUPTED, /* by a signal */
	SESSION_SCRIPT_ERROR, /* session_fail() with STATUS_ESCRIPT */
};

struct session_result {
	enum session_outcome outcome;
	int signal;         /* that interrupted it; 0: none */
	struct error error; /* text is "" when there is none */
	uint64_t abandoned; /* of phases that drain */
	uint64_t events_dropped;
	uint64_t records_lost;     /* of requests.jsonl */
	unsigned subscribers_lost; /* of those awaited, gone before the end */
	uint64_t worker_waits;     /* times that a worker was held up by this thread */
};

/* Opens publisher and recorder. The loop is borrowed; one on simulated time takes a model,
 * no publisher and no signals, and then a session has the same ids and calendar each time.
 * Returns 0 or a status with e filled. */
int session_new(struct session **out, struct loop *loop, const struct session_config *config,
                struct error *e);

/* A client for phases to use; the session owns it. Returns 0 or a status with e filled. */
int session_add_client(struct session *s, const struct client_config *config, struct client **out,
                       struct error *e);

/* Phases run in the order of adding. The phase belongs to the session. */
int session_add_phase(struct session *s, const struct phase_config *config, struct client *client,
                      const struct driver *driver, void *ctx, struct phase **out, struct error *e);

/* Turn the loop until there are so many subscriptions to the events; before the run.
 * Returns as publisher_await(), or STATUS_EINVAL when events are off. */
int session_await(struct session *s, unsigned count, uint64_t timeout_ns);

/* Run all phases. Once per session. */
void session_run(struct session *s, struct session_result *result);

/* End in order: no more phases, drain, report. why is told as the phase's end. */
void session_stop(struct session *s, enum phase_stop why);

/* session_stop() because something failed; the first error is kept. */
void session_fail(struct session *s, const struct error *e);

/* Stop one phase: it drains and the next one begins. */
void session_stop_phase(struct session *s, struct phase *p, enum phase_stop why);

/* Ask phase p for one more request of this content (0: the sample's); *id names it.
 * Returns as phase_want(). */
int session_want(struct session *s, struct phase *p, int64_t index, intptr_t content, uint64_t *id);

/* End a request early, as CANCELLED. */
void session_cancel(struct session *s, struct request *r);

/* The same by its id; one that is not yet sent is taken back, and nothing is told of it.
 * False: phase p has none of this id that has not ended. */
bool session_cancel_id(struct session *s, struct phase *p, uint64_t id);

/* Tell a user's event under custom.<name>. Returns 0, STATUS_ECLOSED when the session
 * does not run, or STATUS_ELIMIT when the event was dropped. */
int session_custom_event(struct session *s, struct slice name, struct slice text);

/* What the driver does on the session's thread is measured here by whoever does it: the
 * calls into the script, and the steps of its collector between them. */
enum session_meter { SESSION_METER_SCRIPT, SESSION_METER_COLLECTOR, SESSION_METER_COUNT };

struct meter *session_meter(struct session *s, enum session_meter which);

/* What it cost since the start of the current phase. False on simulated time, where
 * nothing costs anything. */
bool session_cost(const struct session *s, enum session_meter which, struct meter_reading *out);

uint64_t session_now(const struct session *s);         /* of this turn */
uint64_t session_connections(const struct session *s); /* opened so far, of all phases */
uint64_t session_inflight(const struct session *s);    /* of all phases, asked for included */
struct fold *session_fold(const struct session *s);
struct publisher *session_publisher(const struct session *s); /* NULL: none */

/* Wait until the subscribers' events have left or deadline_ns; a signal ends it, and is
 * returned. 0: none came. After session_run(). */
int session_linger(struct session *s, uint64_t deadline_ns);

/* Close the publisher: flush, wait until deadline_ns. Returns the event records that
 * did not leave. What is told afterwards reaches the log alone. */
uint64_t session_close_events(struct session *s, uint64_t deadline_ns);

/* Write out and close the log; outcome (may be absent) is JSON, its last record. Returns 0, or a
 * status with e when records were lost. */
int session_close_log(struct session *s, struct slice outcome, struct error *e);

/* For a process that is about to end, on another thread while the session's own is stopped
 * for good: bring what the log has gathered to the disk. */
void session_salvage(struct session *s);

/* Free all, closing what is open: events wait until deadline_ns. *undelivered (may be
 * NULL): records that did not leave. NULL is fine. */
void session_free(struct session *s, uint64_t deadline_ns, uint64_t *undelivered);

#endif
