/* log_writer.h - appends events to a log file that survives the death of its writer.
 *
 * put() runs on the session's thread and only encodes into memory; blocks go to
 * the file on a thread of their own, through a queue of bounded size. A block is
 * handed over at a number of bytes, at an age, after a control event, and at close:
 * a process that is killed loses at most what was not handed over or not yet
 * written. A failed write (disk full) ends the logging: the file is cut back to
 * its last good block, all further records are counted as lost, the run goes on. */
#ifndef PERIGEE_EVENTS_LOG_WRITER_H
#define PERIGEE_EVENTS_LOG_WRITER_H

#include "base/loop.h"
#include "base/status.h"
#include "events/event.h"

struct log_config {
	const char *path;
	size_t block_bytes;  /* 0: 256 KiB */
	size_t queue_bytes;  /* bound on blocks that wait for the disk; 0: 64 MiB */
	uint64_t max_age_ns; /* 0: 100 ms */
};

struct log_stats {
	uint64_t put;     /* records accepted */
	uint64_t written; /* records in the file */
	uint64_t lost;    /* records refused or not written */
	uint64_t blocks;
	uint64_t bytes; /* of the file */
};

struct log_writer;

/* Create or empty the file, which no other log_writer may have open. *out belongs to the caller,
 * who closes it before freeing the loop. Returns 0 or a status with e naming the path. */
int log_writer_open(struct log_writer **out, struct loop *loop, const struct log_config *config,
                    struct error *e);

/* Accept one event. Returns 0, or STATUS_ELIMIT (the disk is too slow), STATUS_ENOMEM, or what
 * ended the logging: it was lost and counted. */
int log_writer_put(struct log_writer *w, const struct event *e);

/* Hand over what is gathered; does not wait for the disk. */
void log_writer_flush(struct log_writer *w);

/* For a process that is about to end, on another thread while the session's own is
 * stopped for good: the same, and wait until the disk has it, for 2 s at most. Allocates
 * nothing. Locks that the stopped thread holds are not waited for. */
void log_writer_salvage(struct log_writer *w);

void log_writer_stats(struct log_writer *w, struct log_stats *out);

/* Hand over, wait for the disk, free. NULL is fine. Returns 0, or what was
 * lost: a status with e naming the path, the cause and the number of records. */
int log_writer_close(struct log_writer *w, struct error *e);

#endif
