/* status.h - the one failure scheme of the engine.
 *
 * A function returns 0 or a negative status. Where a person has to act on the
 * failure it also fills a struct error, whose text names the file, the address
 * or the option at fault. Nothing here allocates; safe on any thread. */
#ifndef PERIGEE_BASE_STATUS_H
#define PERIGEE_BASE_STATUS_H

#include <stddef.h>

/*  name, value, text */
#define STATUS_MAP(X)                                                                              \
	X(OK, 0, "ok")                                                                             \
	X(EINVAL, -1, "invalid argument")                                                          \
	X(ENOMEM, -2, "out of memory")                                                             \
	X(EIO, -3, "input/output error")                                                           \
	X(ELIMIT, -4, "limit reached")                                                             \
	X(EAGAIN, -5, "try again")                                                                 \
	X(ECLOSED, -6, "closed")                                                                   \
	X(ETIMEDOUT, -7, "timed out")                                                              \
	X(EPROTO, -8, "malformed data")                                                            \
	X(ESCRIPT, -9, "script error")                                                             \
	X(EADDRINUSE, -10, "address already in use")                                               \
	X(ENOENT, -11, "no such file")                                                             \
	X(EACCES, -12, "permission denied")                                                        \
	X(ENOSPC, -13, "no space left on device")

enum status {
#define X(name, value, text) STATUS_##name = (value),
	STATUS_MAP(X)
#undef X
};

/* "EINVAL"; "EUNKNOWN" for a value outside the table. */
const char *status_name(int status);

/* "invalid argument"; never NULL. */
const char *status_text(int status);

/* The status nearest to an errno value (EIO when none is nearer). */
int status_from_errno(int err);

/* A failure that a person reads. text is always terminated, cut when too long. */
struct error {
	int status;
	char text[2048]; /* room for a script's traceback */
};

/* Fill *e (NULL is fine) and return status, so that a function can end with
 * `return error_set(e, STATUS_EINVAL, "...")`. */
int error_set(struct error *e, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
