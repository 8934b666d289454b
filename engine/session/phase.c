#include "session/phase.h"

#include "base/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WANTS 64
#define MOST_LEAD   200000 /* ns: content is not asked for any earlier */

const char *phase_stop_name(enum phase_stop why)
{
	static const char *const names[PHASE_STOP_COUNT] = {
#define X(id, name) [PHASE_STOP_##id] = name,
		PHASE_STOP_MAP(X)
#undef X
	};
	return (unsigned)why < PHASE_STOP_COUNT ? names[why] : "unknown";
}

const char *phase_kind_name(enum phase_kind kind)
{
	switch (kind) {
	case PHASE_WARMUP:
		return "warmup";
	case PHASE_ACCURACY:
		return "accuracy";
	default:
		return "performance";
	}
}

static int pull_schedule(void *ctx, uint64_t *due, int n)
{
	struct phase *p = ctx;
	return p->driver->schedule(p->driver_ctx, p, due, n);
}

int phase_new(struct phase **out, const struct phase_config *config, const struct driver *driver,
              void *ctx)
{
	size_t len = strlen(config->name);
	if (len == 0 || len >= PHASE_NAME_SIZE || !driver->build || !driver->release)
		return STATUS_EINVAL;
	if (!driver->schedule && !driver->resume)
		return STATUS_EINVAL;
	struct phase *p = calloc(1, sizeof(*p));
	if (!p)
		return STATUS_ENOMEM;
	memcpy(p->name, config->name, len + 1);
	p->config = *config;
	p->config.name = p->name;
	p->driver = driver;
	p->driver_ctx = ctx;
	p->strategy_ended = !driver->resume;
	p->worker_busy_ns = EVENT_NONE;
	if (driver->schedule && pacer_new(&p->pacer, pull_schedule, p)) {
		phase_free(p);
		return STATUS_ENOMEM;
	}
	*out = p;
	return STATUS_OK;
}

/* Asked for, never issued: nothing was measured. */
static void forget_wants(struct phase *p)
{
	intptr_t what;
	while (p->want_count) {
		struct want w = phase_take_want(p);
		if (w.content)
			p->driver->forget(p->driver_ctx, w.content);
	}
	while (alarms_pop(p->alarms, UINT64_MAX, &what))
		p->driver->forget(p->driver_ctx, what);
}

void phase_free(struct phase *p)
{
	if (!p)
		return;
	forget_wants(p);
	alarms_free(p->alarms);
	pacer_free(p->pacer);
	free(p->wants);
	free(p);
}

static struct slice slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

/* What ends a phase, as far as it is known before. */
static void set_goals(struct event *e, const struct phase_config *c)
{
	uint64_t duration_ns = c->duration_ns ? c->duration_ns : c->max_duration_ns;
	if (c->requests)
		e->goal_requests = (int64_t)c->requests;
	if (duration_ns)
		e->goal_duration_ns = (int64_t)duration_ns;
}

/* The client's own share in what was measured. */
static void set_client(struct event *e, const struct phase *p)
{
	e->busy_ns = (int64_t)p->busy_ns;
	e->spin_ns = (int64_t)p->spin_ns;
	e->connections = (int64_t)p->connections;
	e->reconnects = (int64_t)p->reconnects;
	e->worker_busy_ns = p->worker_busy_ns;
	if (!p->pacer)
		return;
	e->late = (int64_t)p->late;
	e->catch_ups = (int64_t)p->catch_ups;
	e->worst_late_ns = (int64_t)p->worst_late_ns;
}

static void set_slo(struct event *e, const struct phase_config *c)
{
	if (c->slo_latency_ns)
		e->slo_latency_ns = (int64_t)c->slo_latency_ns;
	if (c->slo_ttft_ns)
		e->slo_ttft_ns = (int64_t)c->slo_ttft_ns;
	if (c->slo_tpot_ns)
		e->slo_tpot_ns = (int64_t)c->slo_tpot_ns;
}

void phase_event(const struct phase *p, struct event *e, enum event_type type, uint64_t now_ns)
{
	event_init(e, type, now_ns);
	e->phase = p->index;
	e->name = slice_of(p->name);
	e->kind = slice_of(phase_kind_name(p->config.kind));
	if (type == EVENT_PHASE_START) {
		e->open_load = p->pacer != NULL;
		set_goals(e, &p->config);
		set_slo(e, &p->config);
	} else {
		e->end_reason = slice_of(phase_stop_name(p->stop));
		e->dropped = (int64_t)p->dropped;
		e->scheduled_ns = p->last_dropped_ns;
		e->unsent = p->unsent;
		set_client(e, p);
	}
}

void phase_enter(struct phase *p, enum phase_state next, uint64_t now_ns)
{
	assert(next == p->state + 1);
	p->state = next;
	if (next == PHASE_RUNNING) {
		p->started_ns = p->quiet_since_ns = now_ns;
		if (p->pacer)
			pacer_start(p->pacer, now_ns);
	} else if (next == PHASE_DRAINING) {
		p->stopped_ns = now_ns;
		forget_wants(p);
	}
}

void phase_request_stop(struct phase *p, enum phase_stop why, uint64_t now_ns)
{
	if (p->state != PHASE_RUNNING)
		return;
	p->stop = why;
	phase_enter(p, PHASE_DRAINING, now_ns);
}

void phase_count_issue(struct phase *p, uint64_t now_ns)
{
	p->issued++;
	if (p->inflight++ == 0) /* nothing could have ended before */
		p->quiet_since_ns = now_ns;
}

/* Up at once, down by and by. What takes longer than the limit is not waited for. */
void phase_count_build(struct phase *p, uint64_t took_ns)
{
	if (took_ns > p->lead_ns)
		p->lead_ns = took_ns < MOST_LEAD ? took_ns : MOST_LEAD;
	else
		p->lead_ns -= (p->lead_ns - took_ns) / 16;
}

bool phase_is_full(const struct phase *p)
{
	return p->config.max_inflight && p->inflight >= p->config.max_inflight;
}

/* Not one that the phase's end will forestall. */
bool phase_may_prepare(const struct phase *p, uint64_t due_ns, uint64_t now_ns)
{
	const struct phase_config *c = &p->config;
	uint64_t at = due_ns - p->started_ns;
	if (p->ready || due_ns > now_ns + p->lead_ns)
		return false;
	return !(c->duration_ns && at >= c->duration_ns) &&
	       !(c->max_duration_ns && at >= c->max_duration_ns);
}

static bool is_late(const struct phase *p, uint64_t due_ns, uint64_t at_ns)
{
	return due_ns > p->full_ns && at_ns > due_ns + PHASE_LATE_NS;
}

static void note_worst(struct phase *p, uint64_t late_ns)
{
	if (late_ns > p->worst_late_ns)
		p->worst_late_ns = late_ns;
}

void phase_count_lateness(struct phase *p, uint64_t due_ns, uint64_t now_ns)
{
	bool late = is_late(p, due_ns, now_ns);
	if (late) {
		p->late++;
		p->catch_ups += !p->catching_up;
		note_worst(p, now_ns - due_ns);
	}
	p->catching_up = late;
}

/* Told out of order, so the rows stay those of the session's own. */
void phase_count_handover(struct phase *p, uint64_t due_ns, uint64_t issued_ns, uint64_t started_ns)
{
	if (!is_late(p, due_ns, started_ns))
		return;
	p->late += !is_late(p, due_ns, issued_ns);
	note_worst(p, started_ns - due_ns);
}

void phase_count_end(struct phase *p, enum failure failure, uint64_t now_ns)
{
	p->inflight--;
	p->ended_some = true;
	p->quiet_since_ns = now_ns;
	if (failure == FAILURE_NONE) {
		p->completed++;
		return;
	}
	p->failed++;
	if (failure == FAILURE_ABANDONED)
		p->abandoned++;
	if (failure == FAILURE_CANCELLED)
		p->cancelled++;
}

static bool errs_too_often(const struct phase *p)
{
	uint64_t bad = p->failed - p->cancelled, ended = p->completed + bad;
	return p->config.error_rate_requests && ended >= p->config.error_rate_requests &&
	       (double)bad > p->config.max_error_rate * (double)ended;
}

static bool minimum_met(const struct phase *p, uint64_t now_ns)
{
	return p->issued >= p->config.min_requests &&
	       now_ns - p->started_ns >= p->config.min_duration_ns;
}

bool phase_stalled(const struct phase *p, uint64_t now_ns)
{
	return p->config.stall_ns && p->inflight &&
	       now_ns - p->quiet_since_ns >= p->config.stall_ns;
}

enum phase_stop phase_check(const struct phase *p, uint64_t now_ns)
{
	const struct phase_config *c = &p->config;
	uint64_t elapsed = now_ns - p->started_ns;
	if (phase_stalled(p, now_ns))
		return PHASE_STOP_STALL;
	if (errs_too_often(p))
		return PHASE_STOP_ERROR_RATE;
	if (c->max_duration_ns && elapsed >= c->max_duration_ns)
		return PHASE_STOP_MAX_DURATION;
	if (!minimum_met(p, now_ns))
		return PHASE_STOP_NONE;
	if (c->requests && p->issued >= c->requests)
		return PHASE_STOP_REQUESTS;
	if (c->duration_ns && elapsed >= c->duration_ns)
		return PHASE_STOP_DURATION;
	return PHASE_STOP_NONE;
}

bool phase_may_issue(struct phase *p, uint64_t now_ns)
{
	if (p->state != PHASE_RUNNING)
		return false;
	enum phase_stop why = phase_check(p, now_ns);
	if (why == PHASE_STOP_NONE)
		return true;
	phase_request_stop(p, why, now_ns);
	return false;
}

uint64_t phase_meant_end(const struct phase *p)
{
	const struct phase_config *c = &p->config;
	uint64_t lasts = UINT64_MAX;
	if (p->stop == PHASE_STOP_MAX_DURATION)
		lasts = c->max_duration_ns;
	else if (p->stop == PHASE_STOP_DURATION && !c->min_requests)
		lasts = c->duration_ns > c->min_duration_ns ? c->duration_ns : c->min_duration_ns;
	return p->stopped_ns - p->started_ns > lasts ? p->started_ns + lasts : p->stopped_ns;
}

bool phase_take_look(struct phase *p, uint64_t now_ns)
{
	if (!p->ended_some || p->state != PHASE_RUNNING || !minimum_met(p, now_ns))
		return false;
	p->ended_some = false;
	return true;
}

static void sooner(uint64_t *wake, uint64_t base_ns, uint64_t span_ns)
{
	if (span_ns && base_ns + span_ns < *wake)
		*wake = base_ns + span_ns;
}

/* Once the requests are issued only the minimum duration is left to wait for. */
static void wake_for_duration(const struct phase *p, uint64_t now_ns, uint64_t *wake)
{
	const struct phase_config *c = &p->config;
	uint64_t elapsed = now_ns - p->started_ns;
	sooner(wake, p->started_ns, c->max_duration_ns);
	if (elapsed < c->duration_ns)
		sooner(wake, p->started_ns, c->duration_ns);
	if (elapsed < c->min_duration_ns)
		sooner(wake, p->started_ns, c->min_duration_ns);
}

uint64_t phase_next_arrival(struct phase *p, uint64_t now_ns)
{
	uint64_t due;
	bool full = phase_is_full(p) && p->config.overload == OVERLOAD_QUEUE;
	if (p->state != PHASE_RUNNING || !p->pacer || full || pacer_peek(p->pacer, &due) != 1)
		return UINT64_MAX;
	/* Once it may be made it is made: looking again before it is due would change nothing. */
	if (due != PACER_NEVER && !p->ready && due > now_ns + p->lead_ns)
		due -= p->lead_ns;
	return due;
}

uint64_t phase_next_wake(struct phase *p, uint64_t now_ns)
{
	uint64_t wake = UINT64_MAX;
	if (p->state == PHASE_DRAINING) {
		sooner(&wake, p->stopped_ns, p->config.drain_ns);
		if (p->inflight)
			sooner(&wake, p->quiet_since_ns, p->config.stall_ns);
		return wake;
	}
	if (p->state != PHASE_RUNNING)
		return wake;
	wake_for_duration(p, now_ns, &wake);
	if (p->inflight)
		sooner(&wake, p->quiet_since_ns, p->config.stall_ns);
	if (p->strategy_wake_ns && p->strategy_wake_ns < wake)
		wake = p->strategy_wake_ns;
	if (alarms_next(p->alarms) < wake)
		wake = alarms_next(p->alarms);
	uint64_t arrival = phase_next_arrival(p, now_ns);
	return arrival < wake ? arrival : wake;
}

bool phase_drain_expired(const struct phase *p, uint64_t now_ns)
{
	return p->state == PHASE_DRAINING && now_ns - p->stopped_ns >= p->config.drain_ns;
}

/* ---- wants ---- */

static int grow_wants(struct phase *p)
{
	if (p->want_cap == PHASE_MAX_WANTS)
		return STATUS_ELIMIT;
	size_t cap = p->want_cap ? p->want_cap * 2 : FIRST_WANTS;
	struct want *wants = malloc(cap * sizeof(*wants));
	if (!wants)
		return STATUS_ENOMEM;
	for (size_t i = 0; i < p->want_count; i++)
		wants[i] = p->wants[(p->want_at + i) % p->want_cap];
	free(p->wants);
	p->wants = wants;
	p->want_at = 0;
	p->want_cap = cap;
	return STATUS_OK;
}

int phase_want(struct phase *p, const struct want *want)
{
	if (p->state != PHASE_RUNNING)
		return STATUS_ECLOSED;
	int err = p->want_count == p->want_cap ? grow_wants(p) : STATUS_OK;
	if (err)
		return err;
	size_t at = (p->want_at + p->want_count++) % p->want_cap;
	p->wants[at] = *want;
	return STATUS_OK;
}

bool phase_unwant(struct phase *p, uint64_t id)
{
	size_t i = 0;
	while (i < p->want_count && p->wants[(p->want_at + i) % p->want_cap].id != id)
		i++;
	if (i == p->want_count)
		return false;
	intptr_t content = p->wants[(p->want_at + i) % p->want_cap].content;
	for (p->want_count--; i < p->want_count; i++)
		p->wants[(p->want_at + i) % p->want_cap] =
			p->wants[(p->want_at + i + 1) % p->want_cap];
	if (content)
		p->driver->forget(p->driver_ctx, content);
	return true;
}

struct want phase_take_want(struct phase *p)
{
	struct want w = p->wants[p->want_at];
	p->want_at = (p->want_at + 1) % p->want_cap;
	p->want_count--;
	return w;
}

int phase_alarm(struct phase *p, uint64_t due_ns, intptr_t what)
{
	if (p->state != PHASE_RUNNING)
		return STATUS_ECLOSED;
	int err = p->alarms ? STATUS_OK : alarms_new(&p->alarms, PHASE_MAX_ALARMS);
	return err ? err : alarms_add(p->alarms, due_ns, what);
}

uint64_t phase_outstanding(const struct phase *p)
{
	return p->inflight + p->want_count;
}

bool phase_idle(const struct phase *p, uint64_t now_ns)
{
	bool issues = p->state == PHASE_RUNNING && p->pacer;
	return !phase_outstanding(p) && !(issues && pacer_is_due(p->pacer, now_ns));
}

/* ---- strategy ---- */

void phase_strategy_sleep(struct phase *p, uint64_t until_ns)
{
	p->strategy_wake_ns = until_ns ? until_ns : 1;
}

void phase_strategy_wait(struct phase *p, uint64_t until_ns)
{
	p->strategy_wake_ns = until_ns;
	p->strategy_waits = true;
	p->strategy_event = false;
}

bool phase_strategy_ready(const struct phase *p, uint64_t now_ns)
{
	if (p->strategy_ended || p->strategy_told)
		return false;
	if (p->state == PHASE_DRAINING) /* it may tidy up, once */
		return p->strategy_waits || p->strategy_wake_ns;
	if (p->state != PHASE_RUNNING)
		return false;
	if (p->strategy_waits ? p->strategy_event : !p->strategy_wake_ns)
		return true;
	return p->strategy_wake_ns && now_ns >= p->strategy_wake_ns;
}
