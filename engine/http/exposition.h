/* exposition.h - a page of text for whoever asks: GET /metrics, as Prometheus does.
 *
 * Serves from the loop of a session that measures, so it is bounded in all it does:
 * connections, the size of a request and of the page, the time of both together, and
 * how often the page is made. Each connection is for one request. Owned and used on
 * the loop's thread. */
#ifndef PERIGEE_HTTP_EXPOSITION_H
#define PERIGEE_HTTP_EXPOSITION_H

#include "base/buffer.h"
#include "base/loop.h"
#include "base/status.h"

#define EXPOSITION_CONNECTIONS 16                 /* one more is closed at once */
#define EXPOSITION_HEAD        8192               /* bytes of a request */
#define EXPOSITION_PAGE        ((size_t)16 << 20) /* bytes of the page */
#define EXPOSITION_DEADLINE_NS (10000000000ull)   /* of a connection outside of tests */
#define EXPOSITION_FRESH_NS    (250000000ull)     /* a page younger than this is served again */

struct exposition;

/* Serve the page at address: "9095" and ":9095" are 127.0.0.1, "HOST:PORT" has a numeric
 * host or localhost, "[::1]:9095"; port 0 takes a free one. make(ctx, page) appends the page
 * to an empty buffer and returns 0, or a status: then the answer is 500. It is called from
 * the loop, only when somebody asks; it must not close the exposition. A connection is closed
 * deadline_ns after its first moment, whatever it does.
 * Returns 0, STATUS_EINVAL (the address is none), _EADDRINUSE, _EACCES, _ENOMEM or _EIO,
 * with e naming the address. */
int exposition_open(struct exposition **out, struct loop *loop, const char *address,
                    int (*make)(void *ctx, struct buffer *page), void *ctx, uint64_t deadline_ns,
                    struct error *e);

/* "http://127.0.0.1:9095/metrics", with the real port. */
const char *exposition_url(const struct exposition *x);

/* Stop listening, close every connection. The memory goes with the close callbacks, in the
 * loop's next turns or in loop_free(). NULL is fine. */
void exposition_close(struct exposition *x);

#endif
