/* file.h - a file for one writer's output. */
#ifndef PERIGEE_BASE_FILE_H
#define PERIGEE_BASE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Create or empty the file. A regular one stays locked until it is closed, so that no
 * other writer that opens it so empties it or writes between. Readers are not kept out.
 * *fd belongs to the caller, who closes it. Returns 0, STATUS_EACCES when another
 * program writes to it (which then keeps what it has), or a status; e names the path. */
int file_create(int *fd, const char *path, struct error *e);

/* The same as a stream with a buffer of that size. */
int file_create_stream(FILE **out, const char *path, size_t buffer, struct error *e);

/* Rename part over path, unless another program writes to path, or path is the larger one and
 * keep_larger is set. Returns 0, STATUS_EACCES for these two, or a status; e names the path, and
 * part is still there. */
int file_replace(const char *part, const char *path, bool keep_larger, struct error *e);

/* Open on /dev/null which of standard input, output and error are closed. Else the next files and
 * sockets would take their numbers: what is printed would go into a log, and libuv ends the process
 * when it is to close one of them. Comes before anything is opened. Returns 0 or a status; e tells.
 */
int file_hold_standard(struct error *e);

#endif
