/* window.h - what a phase measured between two moments.
 *
 * Histograms and counters only grow, so the numbers of a window are those of now
 * less a copy of those at its begin: exact, and nothing is paid per event. Of
 * distributions min and max are known to the grain of a bucket. Begin and read each copy what
 * a phase has, about a millisecond. Reads no clock; the thread of the fold. */
#ifndef PERIGEE_METRICS_WINDOW_H
#define PERIGEE_METRICS_WINDOW_H

#include "metrics/fold.h"

struct window;

/* Returns 0 or STATUS_ENOMEM. Nothing is in it before window_begin(). */
int window_new(struct window **out);
void window_free(struct window *w); /* NULL is fine */

/* What is counted from now on belongs to it. m is that phase's of a fold; NULL: nothing was told
 * of it yet. Returns 0, or STATUS_ENOMEM, and then the window is empty. */
int window_begin(struct window *w, const struct phase_metrics *m, uint64_t now_ns);

/* The numbers since then, of the same phase; valid until the next call. Its times of first
 * arrival and issue are that of the begin. NULL when memory is short. */
const struct phase_metrics *window_read(struct window *w, const struct phase_metrics *m);

#endif
