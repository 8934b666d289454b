#include "metrics/fold.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_NOISE_NS 1000000 /* two clocks that are read one after the other differ by less */

struct fold {
	struct phase_metrics *phases[FOLD_MAX_PHASES];
	int phase_count;             /* highest index seen + 1 */
	struct fold_window *windows; /* that are open */
	uint64_t lost;
	char session_id[33];
	uint64_t started_ns, started_realtime_ns;
	bool has_clocks;
	uint64_t realtime_offset_ns, suspended_ns; /* as of the latest event that told them */
};

int fold_new(struct fold **out)
{
	struct fold *f = calloc(1, sizeof(*f));
	if (!f)
		return STATUS_ENOMEM;
	*out = f;
	return STATUS_OK;
}

void phase_metrics_free(struct phase_metrics *m)
{
	if (!m)
		return;
	tally_free(&m->all);
	series_free(m->series);
	if (m->tags)
		tags_free(m->tags);
	free(m->tags);
	examples_free(&m->examples);
	free(m);
}

void fold_free(struct fold *f)
{
	for (struct fold_window *w = f ? f->windows : NULL; w; w = w->next)
		w->fold = NULL;
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

/* Nothing is told of it yet. */
static void begin_metrics(struct phase_metrics *m)
{
	memset(m, 0, sizeof(*m));
	m->lua_ns = m->gc_ns = EVENT_NONE;
	m->late = m->catch_ups = m->worst_late_ns = EVENT_NONE;
	m->busy_ns = m->spin_ns = m->worker_busy_ns = EVENT_NONE;
	m->connections = m->reconnects = EVENT_NONE;
}

static struct phase_metrics *new_phase_metrics(void)
{
	struct phase_metrics *m = malloc(sizeof(*m));
	if (m)
		begin_metrics(m);
	return m;
}

/* The metrics of the event's phase, made on first sight. */
static struct phase_metrics *phase_of(struct fold *f, const struct event *e)
{
	if (e->phase < 0 || e->phase >= FOLD_MAX_PHASES)
		return NULL;
	struct phase_metrics **slot = &f->phases[e->phase];
	if (!*slot) {
		*slot = new_phase_metrics();
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

static int put_issued(struct fold *f, struct phase_metrics *m, const struct event *e)
{
	struct tally *own = NULL;
	struct series *s = series_of(m, e);
	tally_issued(&m->all, e);
	int err = s ? series_issued(s, e->scheduled_ns, e->timestamp_ns) : STATUS_ENOMEM;
	if (!err)
		err = tagged(m, e, &own);
	if (!err && own)
		tally_issued(own, e);
	for (struct fold_window *w = f->windows; w; w = w->next)
		if (w->phase == e->phase)
			tally_issued(&w->tally, e);
	return err;
}

static int put_complete(struct fold *f, struct phase_metrics *m, const struct event *e)
{
	struct measures of;
	struct tally *own = NULL;
	struct series *s = series_of(m, e);
	complete_measures(e, &m->slo, &of);
	const struct series_end end = {
		.failure = e->failure,
		.good = of.good,
		.issued_ns = e->issued_ns,
		.lateness_ns = of.values[METRIC_LATENESS],
		.latency_ns = of.values[METRIC_LATENCY],
		.ttft_ns = of.values[METRIC_TTFT],
		.tokens_out = e->tokens_out,
	};
	int err = tally_complete(&m->all, e, &of);
	if (!err && end.failure)
		err = examples_put(&m->examples, e);
	if (!err)
		err = s ? series_ended(s, e->timestamp_ns, &end) : STATUS_ENOMEM;
	if (!err)
		err = tagged(m, e, &own);
	if (!err && own)
		err = tally_complete(own, e, &of);
	for (struct fold_window *w = f->windows; !err && w; w = w->next)
		if (w->phase == e->phase)
			err = tally_complete(&w->tally, e, &of);
	return err;
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
	m->unsent = e->unsent;
	m->dropped = e->dropped > 0 ? (uint64_t)e->dropped : 0;
	if (e->scheduled_ns > m->all.last_scheduled_ns) /* of the last one that was dropped */
		m->all.last_scheduled_ns = e->scheduled_ns;
	m->late = e->late;
	m->catch_ups = e->catch_ups;
	m->worst_late_ns = e->worst_late_ns;
	m->busy_ns = e->busy_ns;
	m->spin_ns = e->spin_ns;
	m->connections = e->connections;
	m->reconnects = e->reconnects;
	m->worker_busy_ns = e->worker_busy_ns;
	copy_text(m->end_reason, sizeof(m->end_reason), e->end_reason);
	m->lua_ns = e->lua_ns;
	m->lua_calls = e->lua_calls;
	m->lua_max_ns = e->lua_max_ns;
	m->gc_ns = e->gc_ns;
	m->gc_steps = e->gc_steps;
	m->gc_max_ns = e->gc_max_ns;
}

static int64_t without_noise(uint64_t difference)
{
	return difference + CLOCK_NOISE_NS <= 2 * CLOCK_NOISE_NS ? 0 : (int64_t)difference;
}

/* Differences modulo 2^64: a clock may have been set to any time. out NULL: nothing to tell yet. */
static void compare_clocks(struct fold *f, const struct event *e, struct clocks *out)
{
	if (!e->realtime_ns || e->suspended_ns < 0)
		return;
	uint64_t offset = e->realtime_ns - e->timestamp_ns;
	uint64_t slept = (uint64_t)e->suspended_ns - f->suspended_ns;
	if (out && f->has_clocks) {
		out->known = true;
		out->suspended_ns = without_noise(slept);
		out->step_ns = without_noise(offset - f->realtime_offset_ns - slept);
	}
	f->has_clocks = true;
	f->realtime_offset_ns = offset;
	f->suspended_ns = (uint64_t)e->suspended_ns;
}

static int put_in_phase(struct fold *f, struct phase_metrics *m, const struct event *e)
{
	switch (e->type) {
	case EVENT_PHASE_START:
		put_phase_start(m, e);
		return STATUS_OK;
	case EVENT_PHASE_END:
		put_phase_end(m, e);
		compare_clocks(f, e, &m->clocks);
		return STATUS_OK;
	case EVENT_SAMPLE_ISSUED:
		return put_issued(f, m, e);
	case EVENT_SAMPLE_COMPLETE:
		return put_complete(f, m, e);
	case EVENT_ERROR_CLIENT:
		examples_message(&m->examples, e);
		return STATUS_OK;
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
		compare_clocks(f, e, NULL);
	}
	if (e->phase < 0)
		return STATUS_OK;
	struct phase_metrics *m = phase_of(f, e);
	int err = !m ? STATUS_ELIMIT : put_in_phase(f, m, e);
	if (err)
		f->lost++;
	return err;
}

/* ---- all of a kind ---- */

static uint64_t duration_ns(const struct phase_metrics *m)
{
	uint64_t end =
		m->ended_ns > m->all.last_finished_ns ? m->ended_ns : m->all.last_finished_ns;
	return end > m->started_ns ? end - m->started_ns : 0;
}

int fold_add_phase(const struct fold *f, int index, struct phase_metrics **sum)
{
	const struct phase_metrics *m = fold_phase(f, index);
	if (!m)
		return STATUS_OK;
	if (!*sum && !(*sum = new_phase_metrics()))
		return STATUS_ENOMEM;
	struct phase_metrics *all = *sum;
	all->ended_ns += duration_ns(m);
	all->dropped += m->dropped;
	all->unsent += m->unsent;
	return tally_merge(&all->all, &m->all);
}

int fold_overall(const struct fold *f, struct phase_metrics **out)
{
	struct phase_metrics *all = NULL;
	for (int i = 0; i < f->phase_count; i++) {
		const struct phase_metrics *m = f->phases[i];
		if (!m || strcmp(m->kind, "performance") != 0)
			continue;
		if (fold_add_phase(f, i, &all)) {
			phase_metrics_free(all);
			return STATUS_ENOMEM;
		}
	}
	*out = all;
	return STATUS_OK;
}

/* ---- windows ---- */

void fold_window_open(struct fold *f, struct fold_window *w, int phase, uint64_t now_ns)
{
	fold_window_close(w);
	*w = (struct fold_window){
		.begun_ns = now_ns, .phase = phase, .fold = f, .next = f->windows
	};
	if (f->windows)
		f->windows->prev = w;
	f->windows = w;
}

void fold_window_read(const struct fold_window *w, struct phase_metrics *out)
{
	const struct phase_metrics *m = w->fold ? fold_phase(w->fold, w->phase) : NULL;
	if (m)
		*out = *m;
	else
		begin_metrics(out);
	out->all = w->tally;
	out->tags = NULL;
	out->examples = (struct examples){ 0 };
	out->started_ns = w->begun_ns;
	/* A rate is of the whole time, also of that before the first arrival. */
	out->all.first_scheduled_ns = out->all.first_issued_ns = w->tally.issued ? w->begun_ns : 0;
}

void fold_window_close(struct fold_window *w)
{
	struct fold *f = w->fold;
	if (f && w->prev)
		w->prev->next = w->next;
	else if (f)
		f->windows = w->next;
	if (f && w->next)
		w->next->prev = w->prev;
	tally_free(&w->tally);
	*w = (struct fold_window){ 0 };
}

/* ---- reading ---- */

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
