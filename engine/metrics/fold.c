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

const char *metric_name(enum metric m)
{
	static const char *const names[METRIC_COUNT] = {
#define X(id, name, text) [METRIC_##id] = name,
		METRIC_MAP(X)
#undef X
	};
	return (unsigned)m < METRIC_COUNT ? names[m] : "unknown";
}

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
	for (int i = 0; m && i < METRIC_COUNT; i++)
		histogram_free(m->histograms[i]);
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

static int observe(struct phase_metrics *m, enum metric metric, int64_t value_ns)
{
	if (value_ns < 0)
		return STATUS_OK;
	if (!m->histograms[metric]) {
		int err = histogram_new(&m->histograms[metric]);
		if (err)
			return err;
	}
	histogram_add(m->histograms[metric], (uint64_t)value_ns);
	return STATUS_OK;
}

/* to - from, never negative; EVENT_NONE when one of them never happened. */
static int64_t span(uint64_t from_ns, uint64_t to_ns)
{
	if (!from_ns || !to_ns)
		return EVENT_NONE;
	return to_ns > from_ns ? (int64_t)(to_ns - from_ns) : 0;
}

int64_t complete_latency(const struct event *e)
{
	return span(e->scheduled_ns, e->timestamp_ns);
}

int64_t complete_service_time(const struct event *e)
{
	return span(e->issued_ns, e->timestamp_ns);
}

int64_t complete_ttft(const struct event *e)
{
	return span(e->scheduled_ns, e->first_ns);
}

int64_t complete_tpot(const struct event *e)
{
	if (e->tokens_out < 2)
		return EVENT_NONE;
	int64_t decode = span(e->first_ns, e->timestamp_ns);
	return decode < 0 ? EVENT_NONE : decode / (e->tokens_out - 1);
}

static void put_issued(struct phase_metrics *m, const struct event *e)
{
	if (m->issued++ == 0) {
		m->first_scheduled_ns = e->scheduled_ns;
		m->first_issued_ns = e->timestamp_ns;
	}
	if (e->scheduled_ns > m->last_scheduled_ns)
		m->last_scheduled_ns = e->scheduled_ns;
	m->last_issued_ns = e->timestamp_ns;
}

static int count_failure(struct phase_metrics *m, const struct event *e)
{
	if ((unsigned)e->failure >= FAILURE_COUNT) { /* from a stream of another version */
		m->failed++;
		return STATUS_ELIMIT;
	}
	m->failures[e->failure]++;
	if (e->failure == FAILURE_ABANDONED)
		m->abandoned++;
	else if (e->failure == FAILURE_CANCELLED)
		m->cancelled++;
	else
		m->failed++;
	int status = e->http_status - FOLD_FIRST_STATUS;
	if (e->failure == FAILURE_HTTP && status >= 0 && status < FOLD_STATUS_COUNT)
		m->statuses[status]++;
	return STATUS_OK;
}

static void count_finish_reason(struct phase_metrics *m, struct slice reason)
{
	/* Compare what fits, or a long one would take a new place each time. */
	size_t room = sizeof(m->finish_reasons[0].name) - 1;
	reason.len = reason.len ? strnlen(reason.data, reason.len < room ? reason.len : room) : 0;
	if (!reason.len)
		return;
	int i = 0;
	for (; i < FOLD_FINISH_REASONS - 1; i++) {
		const char *name = m->finish_reasons[i].name;
		if (!*name ||
		    (strlen(name) == reason.len && !memcmp(name, reason.data, reason.len)))
			break;
	}
	if (i == FOLD_FINISH_REASONS - 1)
		reason = (struct slice){ "other", 5 };
	copy_text(m->finish_reasons[i].name, sizeof(m->finish_reasons[i].name), reason);
	m->finish_reasons[i].count++;
}

static void count_tokens(struct phase_metrics *m, const struct event *e)
{
	if (e->tokens_in > 0)
		m->tokens_in += (uint64_t)e->tokens_in;
	if (e->tokens_out >= 0) {
		m->tokens_out += (uint64_t)e->tokens_out;
		m->token_responses++;
	}
}

static int put_success(struct phase_metrics *m, const struct event *e)
{
	m->completed++;
	count_tokens(m, e);
	count_finish_reason(m, e->finish_reason);
	int err = observe(m, METRIC_LATENCY, complete_latency(e));
	if (!err)
		err = observe(m, METRIC_SERVICE_TIME, complete_service_time(e));
	if (!err)
		err = observe(m, METRIC_TTFT, complete_ttft(e));
	if (!err)
		err = observe(m, METRIC_TTFT_SERVICE, span(e->issued_ns, e->first_ns));
	if (!err)
		err = observe(m, METRIC_TPOT, complete_tpot(e));
	for (uint32_t i = 0; !err && i < e->chunk_us_count; i++)
		err = observe(m, METRIC_ITL, (int64_t)e->chunk_us[i] * 1000);
	return err;
}

static int put_complete(struct phase_metrics *m, const struct event *e)
{
	m->chunks += e->chunks;
	if (e->bytes_in > 0)
		m->bytes_in += (uint64_t)e->bytes_in;
	if (e->bytes_out > 0)
		m->bytes_out += (uint64_t)e->bytes_out;
	if (e->timestamp_ns > m->last_finished_ns)
		m->last_finished_ns = e->timestamp_ns;
	/* Only now is it known when a worker took it; each request that is issued ends. */
	int err = observe(m, METRIC_LATENESS, span(e->scheduled_ns, e->issued_ns));
	if (err)
		return err;
	return e->failure == FAILURE_NONE ? put_success(m, e) : count_failure(m, e);
}

static void put_phase_start(struct phase_metrics *m, const struct event *e)
{
	m->started = true;
	m->started_ns = e->timestamp_ns;
	m->open_load = e->open_load == 1;
	m->goal_requests = e->goal_requests > 0 ? e->goal_requests : 0;
	m->goal_duration_ns = e->goal_duration_ns > 0 ? e->goal_duration_ns : 0;
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
		put_issued(m, e);
		return STATUS_OK;
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
