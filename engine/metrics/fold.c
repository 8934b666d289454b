#include "metrics/fold.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

struct fold {
	struct phase_metrics *phases[FOLD_MAX_PHASES];
	int phase_count; /* highest index seen + 1 */
	uint64_t lost;
	char session_id[33];
	uint64_t started_ns, started_realtime_ns;
};

int fold_new(struct fold **out)
{
	struct fold *f = calloc(1, sizeof(*f));
	if (!f)
		return STATUS_ENOMEM;
	*out = f;
	return STATUS_OK;
}

static void phase_metrics_free(struct phase_metrics *m)
{
	if (!m)
		return;
	tally_free(&m->all);
	series_free(m->series);
	if (m->tags)
		tags_free(m->tags);
	free(m->tags);
	free(m);
}

void fold_free(struct fold *f)
{
	for (int i = 0; f && i < f->phase_count; i++)
		phase_metrics_free(f->phases[i]);
	free(f);
}

static void copy_text(char *to, size_t size, struct slice from)
{
	size_t n = from.len < size - 1 ? from.len : size - 1;
	if (n)
		memcpy(to, from.data, n);
	to[n] = '\0';
}

/* The metrics of the event's phase, made on first sight. */
static struct phase_metrics *phase_of(struct fold *f, const struct event *e)
{
	if (e->phase < 0 || e->phase >= FOLD_MAX_PHASES)
		return NULL;
	struct phase_metrics **slot = &f->phases[e->phase];
	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		if (*slot && e->phase >= f->phase_count)
			f->phase_count = e->phase + 1;
	}
	return *slot;
}

/* The tally of the event's tag; *out is NULL when it has none. */
static int tagged(struct phase_metrics *m, const struct event *e, struct tally **out)
{
	*out = NULL;
	if (!e->tag.data)
		return STATUS_OK;
	if (!m->tags)
		m->tags = calloc(1, sizeof(*m->tags));
	struct tag *tag = m->tags ? tags_get(m->tags, e->tag) : NULL;
	if (!tag)
		return STATUS_ENOMEM;
	*out = &tag->tally;
	return STATUS_OK;
}

/* A log that lost the phase's start begins with its first request. */
static struct series *series_of(struct phase_metrics *m, const struct event *e)
{
	if (!m->series)
		series_new(&m->series, m->started_ns ? m->started_ns : e->scheduled_ns);
	return m->series;
}

static int put_issued(struct phase_metrics *m, const struct event *e)
{
	struct tally *own = NULL;
	struct series *s = series_of(m, e);
	int err = tally_issued(&m->all, e);
	if (!err)
		err = s ? series_issued(s, e->scheduled_ns, e->timestamp_ns) : STATUS_ENOMEM;
	if (!err)
		err = tagged(m, e, &own);
	return err || !own ? err : tally_issued(own, e);
}

static int put_complete(struct phase_metrics *m, const struct event *e)
{
	struct measures of;
	struct tally *own = NULL;
	struct series *s = series_of(m, e);
	complete_measures(e, &m->slo, &of);
	const struct series_end end = {
		.ok = e->failure == FAILURE_NONE,
		.good = of.good,
		.latency_ns = of.values[METRIC_LATENCY],
		.ttft_ns = of.values[METRIC_TTFT],
		.tokens_out = e->tokens_out,
	};
	int err = tally_complete(&m->all, e, &of);
	if (!err)
		err = s ? series_ended(s, e->timestamp_ns, &end) : STATUS_ENOMEM;
	if (!err)
		err = tagged(m, e, &own);
	return err || !own ? err : tally_complete(own, e, &of);
}

static void put_phase_start(struct phase_metrics *m, const struct event *e)
{
	m->started = true;
	m->started_ns = e->timestamp_ns;
	m->open_load = e->open_load == 1;
	m->goal_requests = e->goal_requests > 0 ? e->goal_requests : 0;
	m->goal_duration_ns = e->goal_duration_ns > 0 ? e->goal_duration_ns : 0;
	m->slo.latency_ns = e->slo_latency_ns > 0 ? e->slo_latency_ns : 0;
	m->slo.ttft_ns = e->slo_ttft_ns > 0 ? e->slo_ttft_ns : 0;
	m->slo.tpot_ns = e->slo_tpot_ns > 0 ? e->slo_tpot_ns : 0;
	copy_text(m->name, sizeof(m->name), e->name);
	copy_text(m->kind, sizeof(m->kind), e->kind);
}

static void put_phase_end(struct phase_metrics *m, const struct event *e)
{
	m->ended = true;
	m->ended_ns = e->timestamp_ns;
	m->dropped = e->dropped > 0 ? (uint64_t)e->dropped : 0;
	copy_text(m->end_reason, sizeof(m->end_reason), e->end_reason);
}

static int put_in_phase(struct phase_metrics *m, const struct event *e)
{
	switch (e->type) {
	case EVENT_PHASE_START:
		put_phase_start(m, e);
		return STATUS_OK;
	case EVENT_PHASE_END:
		put_phase_end(m, e);
		return STATUS_OK;
	case EVENT_SAMPLE_ISSUED:
		return put_issued(m, e);
	case EVENT_SAMPLE_COMPLETE:
		return put_complete(m, e);
	default:
		return STATUS_OK;
	}
}

int fold_put(struct fold *f, const struct event *e)
{
	if (e->type == EVENT_SESSION_STARTED) {
		copy_text(f->session_id, sizeof(f->session_id), e->session_id);
		f->started_ns = e->timestamp_ns;
		f->started_realtime_ns = e->realtime_ns;
	}
	if (e->phase < 0)
		return STATUS_OK;
	struct phase_metrics *m = phase_of(f, e);
	int err = !m ? STATUS_ELIMIT : put_in_phase(m, e);
	if (err)
		f->lost++;
	return err;
}

uint64_t fold_lost(const struct fold *f)
{
	return f->lost;
}

int fold_phase_count(const struct fold *f)
{
	return f->phase_count;
}

const struct phase_metrics *fold_phase(const struct fold *f, int index)
{
	return index >= 0 && index < f->phase_count ? f->phases[index] : NULL;
}

const char *fold_session_id(const struct fold *f)
{
	return f->session_id;
}

uint64_t fold_started_ns(const struct fold *f)
{
	return f->started_ns;
}

uint64_t fold_started_realtime_ns(const struct fold *f)
{
	return f->started_realtime_ns;
}
