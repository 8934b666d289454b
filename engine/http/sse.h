/* sse.h - incremental parser for server-sent events (WHATWG HTML, section 9.2).
 *
 * Takes any split of the input; CR, LF and CRLF line ends, comments, multi-line
 * data, a leading BOM. An event that lies whole in one input is handed out
 * without a copy. One thread at a time. */
#ifndef PERIGEE_HTTP_SSE_H
#define PERIGEE_HTTP_SSE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct sse_event {
	const char *data; /* the data lines joined by LF; borrowed during the call */
	size_t len;
	const char *name; /* the event field, NULL when absent */
	size_t name_len;
};

struct sse {
	bool strict; /* set by the owner: a line that is no field of the standard
	                (HTML, bare JSON) ends the parse with STATUS_EPROTO */

	/* ---- results ---- */
	const char *bad; /* after STATUS_EPROTO: that line, valid until the next call */
	size_t bad_len;

	/* ---- private ---- */
	struct buffer line; /* a line that is not complete yet */
	struct buffer data; /* data lines of the event so far */
	struct buffer name;
	const char *slice; /* the only data line so far; NULL: see data */
	size_t slice_len;
	bool held; /* slice lies in the memory of data, else in the input */
	bool has_data;
	bool has_name;
	bool after_cr; /* a LF that comes next belongs to the last line end */
	bool started;  /* past the BOM */
};

/* Of zeroed memory, or again: set the limit of each line and each event's data. */
void sse_init(struct sse *s, size_t max_event);
void sse_free(struct sse *s);
void sse_reset(struct sse *s); /* for the next stream; keeps the memory */

/* Parse len bytes; fn(ctx, event) for each event that completes. fn returns 0,
 * or anything else to stop: that value is returned and the rest of data dropped.
 * Returns 0, STATUS_ELIMIT (line or event too large), STATUS_ENOMEM or, when
 * strict, STATUS_EPROTO. After a failure only sse_reset() and sse_free() may follow. */
int sse_feed(struct sse *s, const char *data, size_t len,
             int (*fn)(void *ctx, const struct sse_event *event), void *ctx);

/* Is there an unfinished line or event? True at the end of a stream that was cut. */
bool sse_partial(const struct sse *s);

/* The input is over: what its unfinished event holds, the last line taken as
 * complete. The standard drops it; the caller decides. Without any event->data
 * is NULL. Returns as sse_feed(); sse_reset() must follow. */
int sse_finish(struct sse *s, struct sse_event *event);

#endif
