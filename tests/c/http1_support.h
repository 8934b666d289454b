/* http1_support.h - a response fed to the parser in pieces, and what it came to. */
#ifndef PERIGEE_TESTS_HTTP1_SUPPORT_H
#define PERIGEE_TESTS_HTTP1_SUPPORT_H

#include "http/http1.h"

#include <string.h>

struct http1_result {
	enum http1_event end; /* of the whole, the end of the connection included */
	int status;
	bool head, keep;
	size_t used; /* bytes of the input that belong to it */
	size_t body_len;
	char body[4096]; /* the beginning */
	char type[128];
	const char *error; /* static text; "" when there is none */
};

static inline void http1_take_body(struct http1_result *r, const struct http1 *p)
{
	size_t room =
		sizeof(r->body) - (r->body_len < sizeof(r->body) ? r->body_len : sizeof(r->body));
	memcpy(r->body + sizeof(r->body) - room, p->data, p->len < room ? p->len : room);
	r->body_len += p->len;
}

/* One piece. True: the response has ended. */
static inline bool http1_take_piece(struct http1_result *r, struct http1 *p, const char *data,
                                    size_t len)
{
	const char *at = data;
	for (;;) {
		r->end = http1_next(p, &at, data + len);
		if (r->end == HTTP1_HEAD) {
			r->head = true;
		} else if (r->end == HTTP1_BODY) {
			http1_take_body(r, p);
		} else {
			r->used += (size_t)(at - data);
			return r->end != HTTP1_MORE;
		}
	}
}

/* The input in pieces of `first` bytes and then `step` each; *p is left for another one. */
static inline struct http1_result http1_run(struct http1 *p, bool is_head, const char *data,
                                            size_t len, size_t first, size_t step)
{
	struct http1_result r = { .end = HTTP1_MORE, .error = "" };
	bool over = false;
	http1_start(p, is_head);
	for (size_t at = 0, n = first; !over && at < len; at += n, n = step) {
		n = n < len - at ? n : len - at;
		over = http1_take_piece(&r, p, data + at, n);
	}
	if (!over)
		r.end = http1_finish(p);
	r.status = r.head ? p->head.status : 0;
	r.keep = r.end == HTTP1_END && p->keep;
	if (r.end != HTTP1_END)
		r.error = p->error;
	memcpy(r.type, p->head.content_type, sizeof(r.type));
	return r;
}

#endif
