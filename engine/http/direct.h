/* direct.h - a client over plain sockets: HTTP/1.1 with kept connections, http:// only.
 *
 * It is there for speed: a request on a kept connection costs one send and one receive, and
 * nothing is allocated for it. Where results would differ from libcurl's, libcurl is right,
 * but that malformed responses are refused that libcurl puts up with (http1.h).
 * The rules of client.h hold. Thread of the loop. */
#ifndef PERIGEE_HTTP_DIRECT_H
#define PERIGEE_HTTP_DIRECT_H

#include "http/client.h"

/* As curl_client_new(). Names are looked up within the call; one that is unknown is the
 * failure of each request. */
int direct_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                      const struct client_sink *sink, void *ctx, struct error *e);

/* Why a client for such urls must be libcurl's: a static text, of urls[*at]; NULL when it
 * need not be. */
const char *direct_refusal(const char *const *urls, size_t url_count, size_t *at);

#endif
