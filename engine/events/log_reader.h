/* log_reader.h - reads the events of a log file, in the order of writing.
 *
 * A block that fails its check is passed over: when good blocks follow, it
 * counts as damaged; when none does, it is the torn tail of a writer that was
 * killed. Neither is an error; both are told. One thread. */
#ifndef PERIGEE_EVENTS_LOG_READER_H
#define PERIGEE_EVENTS_LOG_READER_H

#include "base/status.h"
#include "events/event.h"

struct log_reader_stats {
	uint64_t blocks;
	uint64_t records;
	uint64_t damaged_bytes;   /* in the middle of the file: skipped */
	uint64_t damaged_records; /* in good blocks, not decoded */
	uint64_t torn_bytes;      /* after the last good block */
	uint64_t missing_records; /* numbers that are not there before the last one that is */
};

struct log_reader;

/* Returns 0, or a status with e naming the path: no such file, not a log, a version
 * that is not known. */
int log_reader_open(struct log_reader **out, const char *path, struct error *e);

/* The next event; what it points to stays until the next call.
 * Returns 1, 0 at the end, or STATUS_EIO or STATUS_ENOMEM. */
int log_reader_next(struct log_reader *r, struct event *e);

void log_reader_stats(const struct log_reader *r, struct log_reader_stats *out);
void log_reader_close(struct log_reader *r); /* NULL is fine */

#endif
