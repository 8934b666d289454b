/* control.h - a socket that takes commands, and the one request that sends one.
 *
 * ZeroMQ REP: a request is one frame of text, its reply another. Whoever can
 * connect can command: an ipc socket belongs in a folder of its owner's alone.
 * A request that is no single frame of 1 to CONTROL_MAX bytes is answered with
 * an error by the socket itself, and so is one that finds no answer. Loop's thread. */
#ifndef PERIGEE_EVENTS_CONTROL_H
#define PERIGEE_EVENTS_CONTROL_H

#include "base/buffer.h"
#include "base/loop.h"
#include "base/status.h"

#define CONTROL_MAX 4096 /* bytes of a request */

struct control;

/* Bind; answer(ctx, text, len, reply) appends the reply to each request, from a turn
 * of the loop, and must not close the control. *out belongs to the caller, who closes
 * it before the loop. Returns as publisher_open(). */
int control_open(struct control **out, struct loop *loop, const char *address,
                 void (*answer)(void *ctx, const char *text, size_t len, struct buffer *reply),
                 void *ctx, struct error *e);

/* The bound address, with the real port. */
const char *control_address(const struct control *c);

void control_close(struct control *c); /* NULL is fine */

/* Send one request and wait for its reply, which is appended. Needs no loop.
 * Returns 0, STATUS_EINVAL, _ETIMEDOUT, _ELIMIT, _ENOMEM or _EIO with e filled. */
int control_request(const char *address, const char *text, size_t len, struct buffer *reply,
                    uint64_t deadline_ns, struct error *e);

#endif
