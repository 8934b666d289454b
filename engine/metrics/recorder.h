/* recorder.h - writes one JSON line per ended request (requests.jsonl).
 *
 * One thread: the session's, or that of a report from the log. A write that fails
 * (disk full) stops the recording: the run goes on, the loss is counted and told at
 * the end. */
#ifndef PERIGEE_METRICS_RECORDER_H
#define PERIGEE_METRICS_RECORDER_H

#include "base/status.h"
#include "events/event.h"

#include <stdint.h>

struct recorder;

/* Create or empty path, which no other run may write to meanwhile.
 * Returns 0 or a status with e naming the path. */
int recorder_open(struct recorder **out, const char *path, struct error *e);

/* Write a SAMPLE_COMPLETE. Stamps are told relative to origin_ns.
 * Returns 0, or a status: the line was lost and counted. */
int recorder_put(struct recorder *r, const struct event *e, const char *phase, uint64_t origin_ns);

uint64_t recorder_lost(const struct recorder *r); /* lines */

/* Write out and free. Returns 0, or the first failure, with e naming path and
 * the lines lost. NULL is fine. */
int recorder_close(struct recorder *r, struct error *e);

#endif
