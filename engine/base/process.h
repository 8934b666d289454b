/* process.h - a child program that lives no longer than its parent.
 *
 * The child's standard input is a pipe that closes when the parent ends, however
 * it ends: a well-behaved child exits at its end. Standard output comes back
 * line by line. One thread at a time, the loop's when it is watched; blocks only up
 * to the deadlines given. */
#ifndef PERIGEE_BASE_PROCESS_H
#define PERIGEE_BASE_PROCESS_H

#include "base/loop.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

struct process;

/* Start argv[0] (searched in PATH) with argv, which ends with NULL.
 * *out belongs to the caller. Returns 0 or a status, with e filled. */
int process_spawn(struct process **out, const char *const *argv, struct error *e);

/* For kill(2), until the child's end is known. */
long process_pid(const struct process *p);

/* The next line of its output, without the newline, cut to size - 1 bytes (and to
 * 4096); size is at least 1.
 * Returns its length, STATUS_ECLOSED at the end, STATUS_ETIMEDOUT at deadline_ns. */
int process_read_line(struct process *p, char *line, size_t size, uint64_t deadline_ns);

/* Call fn(ctx, p) from the loop when output has come or ended, until the end has been
 * read with process_read_line(), which is how one learns at once that the child is
 * gone. Until process_stop(), which comes before the end of the loop. fn must not stop
 * it. Returns 0, STATUS_ENOMEM or STATUS_EIO. */
int process_watch(struct process *p, struct loop *loop, void (*fn)(void *ctx, struct process *p),
                  void *ctx);

/* Close its input, which asks a well-behaved child to end. Its output can still be read. */
void process_close_input(struct process *p);

/* Wait for its end without asking for it; drops what it still says. *status is as
 * process_stop() returns it. Returns 0, or STATUS_ETIMEDOUT at deadline_ns. */
int process_wait(struct process *p, int *status, uint64_t deadline_ns);

/* Close its input, drop what it still says, wait; at deadline_ns send SIGTERM, 1 s later SIGKILL.
 * Frees p. Returns the exit status, or 128 + the signal that ended it. NULL: 0. */
int process_stop(struct process *p, uint64_t deadline_ns);

/* Run argv to its end, or kill it after timeout_ns. Allocates nothing: for a process that is
 * about to end, from any thread. Its output is ours. */
void process_run_last(char *const *argv, uint64_t timeout_ns);

#endif
