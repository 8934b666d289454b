/* spill.h - a first-in first-out queue of frames on disk.
 *
 * Owned by the publisher's outlet, used on its thread only. The frames stand in
 * one file that has no name: it goes when the process ends, however it ends. What
 * was taken is given back to the disk in steps, all of it when the queue is empty.
 * Memory: a few hundred bytes, whatever is in it. Calls wait for the file system,
 * as a rule for its cache alone. */
#ifndef PERIGEE_EVENTS_SPILL_H
#define PERIGEE_EVENTS_SPILL_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct spill;

/* The file is made at once, so that a folder that cannot hold it is told before
 * it is needed. dir: NULL or "": $TMPDIR, else /tmp. limit: bytes the frames may
 * take, UINT64_MAX: what the disk has.
 * Returns 0, STATUS_ENOENT, _EACCES, _ENOSPC, _EINVAL, _ENOMEM or _EIO with e filled. */
int spill_open(struct spill **out, const char *dir, uint64_t limit, struct error *e);

/* What is in it is gone. NULL is fine. */
void spill_close(struct spill *s);

/* Put a frame at the end. A failed call leaves the queue as it was: returns 0,
 * STATUS_ELIMIT, STATUS_ENOSPC (a full disk, a quota, a limit on file sizes) or STATUS_EIO. */
int spill_append(struct spill *s, const void *data, uint32_t size, uint32_t records);

/* The sizes of the oldest frame. Returns 0, STATUS_EAGAIN when there is none, or
 * STATUS_EIO; then nothing behind it can be found either. */
int spill_peek(struct spill *s, uint32_t *size, uint32_t *records);

/* Copy the oldest frame, of which spill_peek() told the size, and remove it.
 * Returns 0 or STATUS_EIO, and then it is still there. */
int spill_take(struct spill *s, void *data);

/* Forget all frames; for a file that cannot be read any more. */
void spill_clear(struct spill *s);

uint64_t spill_records(const struct spill *s); /* in it now */
uint64_t spill_bytes(const struct spill *s);   /* that its frames take now */

#endif
