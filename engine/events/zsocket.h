/* zsocket.h - what our ZeroMQ sockets share: an end, a failure, and a place in the loop.
 *
 * The descriptor of a ZeroMQ socket tells of a change, not of a state: after each
 * look the socket must be read until it is empty. A watch does so, so many messages
 * in one turn, that the loop's others have theirs. Loop's thread only. */
#ifndef PERIGEE_EVENTS_ZSOCKET_H
#define PERIGEE_EVENTS_ZSOCKET_H

#include "base/loop.h"
#include "base/status.h"

#include <stdbool.h>

/* Close a socket of its own context, which waits as the socket's linger says. NULLs are fine. */
void zsocket_close(void *context, void *socket);

/* Fill e from errno, as a ZeroMQ call on this address left it. Returns its status. */
int zsocket_failure(const char *address, struct error *e);

struct zsocket_watch;

/* Call take(ctx), which reads one message and returns false when there was none,
 * until then. It must not close the watch. The socket is borrowed until
 * zsocket_watch_close(). *out belongs to the caller, who closes it before the socket
 * and the loop. Returns 0, STATUS_ENOMEM or STATUS_EIO with e filled. */
int zsocket_watch_open(struct zsocket_watch **out, struct loop *loop, void *socket,
                       bool (*take)(void *ctx), void *ctx, struct error *e);

void zsocket_watch_close(struct zsocket_watch *w); /* NULL is fine */

#endif
