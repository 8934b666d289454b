/* choice.h - which transport a client gets, and why. */
#ifndef PERIGEE_HTTP_CHOICE_H
#define PERIGEE_HTTP_CHOICE_H

#include "http/client.h"

struct choice {
	bool direct;     /* else libcurl */
	const char *why; /* static text */
};

/* What the urls and the wish of config come to. Returns 0, or STATUS_EINVAL with e filled when
 * the direct transport is asked for and cannot serve a url. Without traffic. */
int choice_make(struct choice *out, const struct client_config *config, struct error *e);

/* A client over the transport so chosen; as curl_client_new(). */
int choice_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                      const struct client_sink *sink, void *ctx, struct error *e);

#endif
