/* interval_log.h - the histogram log of a run with a line for each interval.
 *
 * For the tools that draw a histogram log over time. Made of the event log when the run is
 * over, so that it costs a run nothing: a request counts in the interval in which it ended,
 * or in the one that is open where its record came late; none is lost. Memory is that of one
 * interval of each phase and tag. One thread. */
#ifndef PERIGEE_METRICS_INTERVAL_LOG_H
#define PERIGEE_METRICS_INTERVAL_LOG_H

#include "base/status.h"

#include <stdint.h>

/* Write to path what the event log at log_path tells of each interval of width_ns (above 0) from
 * the phase's start: lines tagged PHASE.METRIC, and PHASE.METRIC.TAG for each tag, with stamps in
 * seconds from the session's start. An interval without values has no line; the last one of a
 * phase lasts until its last request. Whatever of the log is damaged is passed over.
 * Returns 0, or a status with e naming the file. */
int interval_log_write(const char *log_path, const char *path, uint64_t width_ns, struct error *e);

#endif
