/* connection.h - the sockets of one endpoint: bytes in, requests to the service,
 * answers out.
 *
 * Owned and used on the loop's thread. Rules of life:
 *  1. A connection is in the pool's hands, or open, or closing. It goes back to
 *     the pool in the close callback and nowhere else.
 *  2. At most one write is on its way. What is written stays unchanged until
 *     then, and nothing is produced: a client that does not read stops its answer.
 *  3. Requests are taken one at a time. Bytes behind a request wait; past a
 *     bound the socket is not read any more.
 *  4. Who is refused, or wants no keep-alive, gets the answer, then the end of the
 *     stream, and is listened to a little longer, so that no reset overtakes it. */
#ifndef PERIGEE_MOCK_CONNECTION_H
#define PERIGEE_MOCK_CONNECTION_H

#include "base/loop.h"
#include "base/pool.h"
#include "mock/service.h"

#define CONNECTION_READ 65536

struct connection;
struct uv_stream_s;

/* All connections of one endpoint. */
struct connections {
	struct loop *loop;
	struct service *service;
	struct pool *pool;
	struct connection *first; /* the open ones */
	unsigned max;
	void (*on_closed)(void *data); /* after each that has gone */
	void *data;
	char scratch[CONNECTION_READ]; /* what is read is looked at here first */
};

/* Returns 0 or STATUS_ENOMEM. service and loop are borrowed. */
int connections_init(struct connections *set, struct loop *loop, struct service *service,
                     unsigned max);

/* All have gone before. */
void connections_free(struct connections *set);

/* Take the listener's next connection. One past the limit is answered 503.
 * False: there is not even room for that; it stays in the listener until the
 * next on_closed. */
bool connections_accept(struct connections *set, struct uv_stream_s *listener);

/* Begin to close all; on_closed tells when each has gone. */
void connections_close(struct connections *set);

#endif
