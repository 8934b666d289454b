#include "metrics/window.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

struct window {
	struct phase_metrics before; /* at the begin; owns its histograms */
	struct phase_metrics since;  /* likewise */
	uint64_t begin_ns;
};

int window_new(struct window **out)
{
	struct window *w = calloc(1, sizeof(*w));
	if (!w)
		return STATUS_ENOMEM;
	*out = w;
	return STATUS_OK;
}

void window_free(struct window *w)
{
	for (int i = 0; w && i < METRIC_COUNT; i++) {
		histogram_free(w->before.histograms[i]);
		histogram_free(w->since.histograms[i]);
	}
	free(w);
}

/* Copy all but the histograms, which are to's own. m NULL: all is 0. */
static void copy_counters(struct phase_metrics *to, const struct phase_metrics *m)
{
	struct histogram *own[METRIC_COUNT];
	memcpy(own, to->histograms, sizeof(own));
	if (m)
		*to = *m;
	else
		memset(to, 0, sizeof(*to));
	memcpy(to->histograms, own, sizeof(own));
}

int window_begin(struct window *w, const struct phase_metrics *m, uint64_t now_ns)
{
	w->begin_ns = now_ns;
	copy_counters(&w->before, m);
	for (int i = 0; i < METRIC_COUNT; i++) {
		struct histogram **own = &w->before.histograms[i];
		if (!m || !m->histograms[i]) {
			histogram_free(*own);
			*own = NULL;
			continue;
		}
		if (!*own && histogram_new(own))
			return STATUS_ENOMEM;
		histogram_reset(*own);
		histogram_merge(*own, m->histograms[i]);
	}
	return STATUS_OK;
}

static void subtract_counters(struct phase_metrics *m, const struct phase_metrics *before)
{
	m->issued -= before->issued;
	m->completed -= before->completed;
	m->failed -= before->failed;
	m->abandoned -= before->abandoned;
	m->cancelled -= before->cancelled;
	m->dropped -= before->dropped;
	m->tokens_in -= before->tokens_in;
	m->tokens_out -= before->tokens_out;
	m->token_responses -= before->token_responses;
	m->chunks -= before->chunks;
	m->bytes_in -= before->bytes_in;
	m->bytes_out -= before->bytes_out;
	for (int i = 0; i < FAILURE_COUNT; i++)
		m->failures[i] -= before->failures[i];
	for (int i = 0; i < FOLD_STATUS_COUNT; i++)
		m->statuses[i] -= before->statuses[i];
	for (int i = 0; i < FOLD_FINISH_REASONS; i++) /* a place once taken keeps its name */
		m->finish_reasons[i].count -= before->finish_reasons[i].count;
}

static int subtract_histogram(struct histogram **out, const struct histogram *now,
                              const struct histogram *before)
{
	if (!now) {
		histogram_free(*out);
		*out = NULL;
		return STATUS_OK;
	}
	if (!*out && histogram_new(out))
		return STATUS_ENOMEM;
	histogram_difference(*out, now, before);
	return STATUS_OK;
}

const struct phase_metrics *window_read(struct window *w, const struct phase_metrics *m)
{
	struct phase_metrics *since = &w->since;
	copy_counters(since, m);
	subtract_counters(since, &w->before);
	since->started_ns = w->begin_ns;
	since->first_scheduled_ns = since->first_issued_ns = since->issued ? w->begin_ns : 0;
	for (int i = 0; i < METRIC_COUNT; i++)
		if (subtract_histogram(&since->histograms[i], m ? m->histograms[i] : NULL,
		                       w->before.histograms[i]))
			return NULL;
	return since;
}
