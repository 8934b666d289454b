/* outfile.h - opens a result file for its only writer.
 *
 * Two writers of one file would each spoil what the other has measured, so the
 * file is locked until its descriptor is closed, and emptied only after that.
 * The lock is advisory: it keeps out other runs, not other programs. */
#ifndef PERIGEE_BASE_OUTFILE_H
#define PERIGEE_BASE_OUTFILE_H

#include "base/status.h"

/* Create or empty path; *fd belongs to the caller, who closes it.
 * Returns 0 or a status with e naming path (STATUS_EAGAIN: another run writes to it),
 * and then *fd is untouched. */
int outfile_open(int *fd, const char *path, struct error *e);

#endif
