/* tally.h - the numbers of a group of requests: of a phase, or of one tag in it.
 *
 * Fed with the issue and the end of each request. Zeroed memory is an empty one.
 * One writer; reads no clock. */
#ifndef PERIGEE_METRICS_TALLY_H
#define PERIGEE_METRICS_TALLY_H

#include "events/event.h"
#include "metrics/distribution.h"
#include "metrics/measure.h"

#include <stdint.h>

#define TALLY_FINISH_REASONS 16
#define TALLY_FIRST_STATUS   400 /* HTTP statuses that count as failures */
#define TALLY_STATUS_COUNT   600

/* Answers of those that told tokens_out, of requests that asked for a length. */
struct lengths {
	uint64_t answers;
	uint64_t too_short, too_long;
	uint64_t asked, got; /* sums: the most that was asked for, else the least, and tokens_out */
};

/* issued = completed + failed + abandoned + cancelled + those in flight. */
struct tally {
	uint64_t issued;
	uint64_t completed; /* successes */
	uint64_t failed;    /* neither success, nor abandoned, nor cancelled */
	uint64_t abandoned; /* in flight when the drain deadline passed */
	uint64_t cancelled; /* by the script */
	uint64_t good;      /* successes that keep every bound of the phase's SLO */

	uint64_t first_scheduled_ns, last_scheduled_ns;
	uint64_t first_issued_ns, last_issued_ns;
	uint64_t last_finished_ns;
	/* The latest issue of those that succeeded, and its end: LoadGen's completed window
	 * goes from the first issue to there. */
	uint64_t window_issued_ns, window_finished_ns;

	uint64_t tokens_in, tokens_out; /* sums over the responses that told them */
	uint64_t token_responses;       /* how many told tokens_out */
	uint64_t tokens_cached;         /* of tokens_in, where that was told */
	struct lengths lengths;
	uint64_t chunks, bytes_in, bytes_out;

	struct distribution *distributions[METRIC_COUNT]; /* NULL until the first value */
	uint64_t failures[FAILURE_COUNT];
	uint32_t statuses[TALLY_STATUS_COUNT]; /* of FAILURE_HTTP, [0] is status 400 */
	struct {
		char name[32];
		uint64_t count;
	} finish_reasons[TALLY_FINISH_REASONS]; /* the last one gathers the rest as "other" */
};

/* Free what it holds, not itself. */
void tally_free(struct tally *t);

/* SAMPLE_ISSUED. */
void tally_issued(struct tally *t, const struct event *e);

/* SAMPLE_COMPLETE, with what complete_measures() says of it. Returns 0, STATUS_ENOMEM, or
 * STATUS_ELIMIT for a failure of no known class. */
int tally_complete(struct tally *t, const struct event *e, const struct measures *m);

/* Add the counts, reasons and distributions of from; of its times nothing. Returns 0 or
 * STATUS_ENOMEM. */
int tally_merge(struct tally *t, const struct tally *from);

#endif
