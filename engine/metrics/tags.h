/* tags.h - the tallies of a phase by the tag of its requests.
 *
 * At most TAGS_MAX names: when only one place is left, every further name is counted
 * there, under TAGS_OTHER. Names are made valid UTF-8 and cut to TAGS_NAME_SIZE - 1
 * bytes, so that a stream or a log of the events gives the same ones. Zeroed memory is
 * an empty table. One writer. */
#ifndef PERIGEE_METRICS_TAGS_H
#define PERIGEE_METRICS_TAGS_H

#include "metrics/tally.h"

#define TAGS_MAX       256
#define TAGS_NAME_SIZE 64
#define TAGS_OTHER     "other"

struct tag {
	char name[TAGS_NAME_SIZE];
	struct tally tally;
};

struct tags {
	struct tag *list[TAGS_MAX]; /* in the order of their first request */
	int count;
	bool full; /* there were more names than places */
	/* Open addressing: index in the list + 1; 0: free. */
	uint16_t slots[TAGS_MAX * 2];
};

void tags_free(struct tags *t);

/* The tag of that name, made on first sight. NULL: no memory. */
struct tag *tags_get(struct tags *t, struct slice name);

#endif
