/* head.h - writes HTTP/1.1 requests for plain sockets, field for field as libcurl would.
 *
 * What does not differ between the requests of a client is written once, into a template;
 * a request that has nothing of its own costs a copy of it and the length of its body.
 * Pure; one thread at a time. */
#ifndef PERIGEE_HTTP_HEAD_H
#define PERIGEE_HTTP_HEAD_H

#include "http/address.h"
#include "http/transport.h"

/* Of one endpoint. */
struct head_template {
	struct buffer text; /* up to the value of Content-Length; empty: there is none to use */
};

/* Write t for requests with a body and nothing of their own. Returns 0, STATUS_ELIMIT or
 * STATUS_ENOMEM; head_template_free() in any case. */
int head_template_init(struct head_template *t, const struct client *c, const struct address *a);
void head_template_free(struct head_template *t);

/* Does x send a body, be it empty? HEAD never does. x NULL: one with a body and nothing of its own.
 */
bool head_has_body(const struct client *c, const struct exchange *x);

/* Append the head of x. *framed: the body goes behind it as one chunk, between what
 * head_put_chunk_begin() and head_put_chunk_end() write, for x asks for that coding.
 * Returns 0, STATUS_ELIMIT or STATUS_ENOMEM. */
int head_put(struct buffer *out, const struct head_template *t, const struct client *c,
             const struct address *a, const struct exchange *x, bool *framed);
int head_put_chunk_begin(struct buffer *out, const struct exchange *x);
int head_put_chunk_end(struct buffer *out, const struct exchange *x);

#endif
