#include "events/seq_window.h"

#include <string.h>

#define WORDS (SEQ_WINDOW / 64)

void seq_window_init(struct seq_window *w)
{
	memset(w, 0, sizeof(*w));
}

static uint64_t *word_of(struct seq_window *w, uint64_t seq)
{
	return &w->bits[seq / 64 % WORDS];
}

/* Decide words until seq fits into the window. */
static void slide(struct seq_window *w, uint64_t seq)
{
	uint64_t words = (seq - w->base - SEQ_WINDOW) / 64 + 1;
	uint64_t looked_at = words < WORDS ? words : WORDS;
	for (uint64_t i = 0; i < looked_at; i++) {
		uint64_t *word = word_of(w, w->base);
		w->gone += 64 - (unsigned)__builtin_popcountll(*word);
		*word = 0;
		w->base += 64;
	}
	/* A jump over more than a window: none of these was seen. */
	w->gone += (words - looked_at) * 64;
	w->base += (words - looked_at) * 64;
}

void seq_window_add(struct seq_window *w, uint64_t seq)
{
	if (seq < w->base) {
		w->duplicate++;
		return;
	}
	if (seq - w->base >= SEQ_WINDOW)
		slide(w, seq);
	uint64_t *word = word_of(w, seq), bit = 1ULL << (seq % 64);
	if (*word & bit)
		w->duplicate++;
	*word |= bit;
	if (seq >= w->next)
		w->next = seq + 1;
}

uint64_t seq_window_missing(const struct seq_window *w)
{
	uint64_t seen = 0;
	for (unsigned i = 0; i < WORDS; i++)
		seen += (unsigned)__builtin_popcountll(w->bits[i]);
	return w->gone + (w->next - w->base) - seen;
}
