/* journal.h - numbers the events of a session and hands each to all who listen:
 * the fold, the publisher, the event log, requests.jsonl, and a tap for tests.
 *
 * Owned by the session, used on its thread. What a listener loses it counts; the
 * journal tells the sums. */
#ifndef PERIGEE_SESSION_JOURNAL_H
#define PERIGEE_SESSION_JOURNAL_H

#include "base/loop.h"
#include "base/status.h"
#include "events/publisher.h"
#include "metrics/fold.h"

struct journal_config {
	const struct publisher_config *events; /* NULL: no publisher */
	const char *log_file;                  /* of the event log; NULL: none */
	const char *requests_file;             /* requests.jsonl; NULL: none */
	/* Each event, after the others were told; borrowed for the call. NULL: not wanted. */
	void (*on_event)(void *ctx, const struct event *e);
	void *ctx;
};

struct journal;

/* Open all outputs. Returns 0 or a status with e naming the one that failed. */
int journal_open(struct journal **out, struct loop *loop, const struct journal_config *config,
                 struct error *e);

/* Set e->seq, which is gap-free from 0, and tell all. */
void journal_put(struct journal *j, struct event *e);

struct fold *journal_fold(const struct journal *j);

/* NULL: none, or closed. */
struct publisher *journal_publisher(const struct journal *j);

/* Is there a log that still takes events? */
bool journal_has_log(const struct journal *j);

/* Events that a listener dropped or could not count so far. */
uint64_t journal_dropped(const struct journal *j);

/* Close requests.jsonl. Returns 0, or a status with e; *lost: lines (0 when none). */
int journal_close_requests(struct journal *j, uint64_t *lost, struct error *e);

/* Close the publisher: flush, wait until deadline_ns. Returns the event records that
 * did not leave. What is put afterwards reaches the log alone. */
uint64_t journal_close_events(struct journal *j, uint64_t deadline_ns);

/* As log_writer_salvage(), when there is a log. */
void journal_salvage(struct journal *j);

/* Write out and close the log. Returns 0, or a status with e when records were lost. */
int journal_close_log(struct journal *j, struct error *e);

/* Free all; what is open is closed without waiting. NULL is fine. */
void journal_free(struct journal *j);

#endif
