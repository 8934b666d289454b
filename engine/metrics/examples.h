/* examples.h - what was said of the first failed request of each class.
 *
 * Zeroed memory is an empty one. One writer; reads no clock. */
#ifndef PERIGEE_METRICS_EXAMPLES_H
#define PERIGEE_METRICS_EXAMPLES_H

#include "events/event.h"

#include <stddef.h>

#define EXAMPLES_MAX 32 /* classes, each HTTP status is one; those that come later have none */

struct example {
	enum failure failure;
	int status; /* of FAILURE_HTTP; else 0 */
	char text[256];
};

struct examples {
	struct example *list; /* in the order of their coming */
	size_t count;
	/* The latest message: its class is known for sure when the request ends. */
	uint64_t uuid[2];
	char text[256];
};

/* An ERROR event, which comes just before the end of its request. */
void examples_message(struct examples *x, const struct event *e);

/* SAMPLE_COMPLETE of a request that failed; one that said nothing is no example. Returns 0 or
 * STATUS_ENOMEM. */
int examples_put(struct examples *x, const struct event *e);

/* Free what it holds, not itself. */
void examples_free(struct examples *x);

#endif
