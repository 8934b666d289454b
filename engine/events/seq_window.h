/* seq_window.h - which numbers of a gap-free sequence were seen.
 *
 * Counts holes and repetitions exactly as long as a number comes at most
 * SEQ_WINDOW below the highest. Pure; the owner embeds the struct. */
#ifndef PERIGEE_EVENTS_SEQ_WINDOW_H
#define PERIGEE_EVENTS_SEQ_WINDOW_H

#include <stdint.h>

#define SEQ_WINDOW 65536 /* numbers; a multiple of 64 */

struct seq_window {
	uint64_t base;      /* numbers below are decided; a multiple of 64 */
	uint64_t next;      /* one above the highest seen */
	uint64_t gone;      /* holes below base */
	uint64_t duplicate; /* seen twice, or below base */
	uint64_t bits[SEQ_WINDOW / 64];
};

void seq_window_init(struct seq_window *w);

void seq_window_add(struct seq_window *w, uint64_t seq);

/* Numbers below the highest seen that were not seen. */
uint64_t seq_window_missing(const struct seq_window *w);

#endif
