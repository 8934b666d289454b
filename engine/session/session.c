#include "session/session.h"

#include "base/clock.h"
#include "http/choice.h"
#include "http/workers.h"
#include "session/journal.h"
#include "session/requests.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAX_CLIENTS      256
#define DEFAULT_INFLIGHT ((uint64_t)1 << 20)
#define ISSUES_PER_TURN  64                  /* then the I/O has its turn */
#define URGENT_NS        (100 * NS_PER_US)   /* an arrival that is later is no longer urgent */
#define MAX_UNSENT       ((uint64_t)1 << 20) /* counted no further: a schedule may have no end */
#define STOP_DRAIN_NS    (30 * NS_PER_S)     /* a stopped run drains no longer than this */
#define SIGNAL_GRAIN_NS  (50 * NS_PER_MS)    /* how long a signal may wait outside the loop's run */
#define STRAGGLER_NS     (5 * NS_PER_S)      /* at the end, for phases that did not drain */

struct session {
	struct loop *loop; /* borrowed */
	struct session_config config;
	struct sim_model model; /* config.model points here, or is NULL */
	char *name;
	uint64_t id[2];

	struct workers *workers; /* NULL: HTTP is on this thread */
	struct client *clients[MAX_CLIENTS];
	int client_count;
	struct phase *phases[FOLD_MAX_PHASES];
	int phase_count;
	int current; /* index of the phase whose turn it is; phase_count: past the last */

	struct journal *journal;
	struct requests *requests;
	uint64_t started_ns;

	struct meter meters[SESSION_METER_COUNT];

	struct loop_hook hook;
	struct loop_hook urgent; /* what is due while a turn is not over */
	struct loop_timer wake;  /* its only work is to begin a turn */
	struct loop_timer tick;
	struct loop_timer phase_tick;     /* of the current phase */
	uint64_t busy_ns, spin_ns;        /* of the thread, when the current phase began */
	uint64_t connections, reconnects; /* that the ends of phases have told */
	bool stopping;                    /* no further phase begins */
	bool loadgen_stopped;             /* nothing will be issued any more, and that was told */
	uint64_t straggler_deadline; /* past the last phase: when to give up; 0: not there yet */
	bool ended;
	int signal;         /* the first one, which stopped the session */
	int latest_signal;  /* cleared by who waits for the next one */
	bool holds_signals; /* until it is freed: a signal may come while events leave */
	bool running;       /* between its first and its last event */
	unsigned subscribers_lost;
	struct error error;
};

/* ---- events ---- */

static void emit(struct session *s, struct event *e)
{
	journal_put(s->journal, e);
}

static void emit_plain(struct session *s, enum event_type type, int32_t phase)
{
	struct event e;
	event_init(&e, type, loop_now(s->loop));
	e.phase = phase;
	emit(s, &e);
}

static struct slice slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

/* Who joined late learns here which session it is. */
static void emit_named(struct session *s, struct event *e)
{
	char hex[32];
	event_uuid_hex(s->id, hex);
	e->session_id = (struct slice){ hex, sizeof(hex) };
	emit(s, e);
}

/* Simulated time is its own calendar, and never sleeps. */
static void set_clocks(const struct session *s, struct event *e)
{
	bool simulated = loop_is_virtual(s->loop);
	e->realtime_ns = simulated ? e->timestamp_ns : clock_realtime_at(e->timestamp_ns);
	e->suspended_ns = simulated ? 0 : (int64_t)clock_suspended();
}

static void emit_started(struct session *s)
{
	struct event e;
	event_init(&e, EVENT_SESSION_STARTED, s->started_ns);
	e.name = slice_of(s->name);
	set_clocks(s, &e);
	emit_named(s, &e);
}

static void emit_ended(struct session *s)
{
	struct event e;
	event_init(&e, EVENT_SESSION_ENDED, loop_now(s->loop));
	emit_named(s, &e);
}

/* What the run is, for those who only see its events. */
static void emit_description(struct session *s)
{
	if (s->config.description)
		session_custom_event(
			s, slice_of("run_config"),
			(struct slice){ s->config.description, s->config.description_len });
}

static void set_costs(const struct session *s, struct event *e)
{
	struct meter_reading r;
	if (session_cost(s, SESSION_METER_SCRIPT, &r)) {
		e->lua_ns = (int64_t)r.ns;
		e->lua_calls = (int64_t)r.spans;
		e->lua_max_ns = (int64_t)r.longest_ns;
	}
	if (session_cost(s, SESSION_METER_COLLECTOR, &r)) {
		e->gc_ns = (int64_t)r.ns;
		e->gc_steps = (int64_t)r.spans;
		e->gc_max_ns = (int64_t)r.longest_ns;
	}
}

static void emit_phase(struct session *s, enum event_type type, const struct phase *p)
{
	struct event e;
	phase_event(p, &e, type, loop_now(s->loop));
	if (type == EVENT_PHASE_END) {
		set_costs(s, &e);
		set_clocks(s, &e);
	}
	emit_named(s, &e);
}

int session_custom_event(struct session *s, struct slice name, struct slice text)
{
	struct event e;
	bool to_log_alone =
		journal_has_log(s->journal) && !journal_publisher(s->journal) && s->started_ns;
	if (!s->running && !to_log_alone)
		return STATUS_ECLOSED;
	event_init(&e, EVENT_CUSTOM, loop_now(s->loop));
	e.custom = name;
	e.text = text;
	if (s->current < s->phase_count && s->phases[s->current]->state != PHASE_IDLE)
		e.phase = s->current;
	uint64_t dropped = journal_dropped(s->journal);
	emit(s, &e);
	return journal_dropped(s->journal) == dropped ? STATUS_OK : STATUS_ELIMIT;
}

/* ---- stops ---- */

static struct phase *current_phase(struct session *s)
{
	return s->current < s->phase_count ? s->phases[s->current] : NULL;
}

void session_stop(struct session *s, enum phase_stop why)
{
	struct phase *p = current_phase(s);
	s->stopping = true;
	if (p) {
		phase_request_stop(p, why, loop_now(s->loop));
		if (p->config.drain_ns > STOP_DRAIN_NS)
			p->config.drain_ns = STOP_DRAIN_NS;
	}
	loop_poke(s->loop);
}

static void fail(struct session *s, const struct error *e, enum phase_stop why)
{
	if (!s->error.status)
		s->error = *e;
	session_stop(s, why);
}

void session_fail(struct session *s, const struct error *e)
{
	fail(s, e, PHASE_STOP_SCRIPT_ERROR);
}

void session_stop_phase(struct session *s, struct phase *p, enum phase_stop why)
{
	phase_request_stop(p, why, loop_now(s->loop));
	loop_poke(s->loop);
}

void session_cancel(struct session *s, struct request *r)
{
	(void)s;
	requests_cancel(r, FAILURE_CANCELLED);
}

bool session_cancel_id(struct session *s, struct phase *p, uint64_t id)
{
	return requests_cancel_id(s->requests, p, id);
}

int session_want(struct session *s, struct phase *p, int64_t index, intptr_t content, uint64_t *id)
{
	return requests_want(s->requests, p, index, content, id);
}

/* Any end counts: a closed load also waits for the stragglers of the phase before. */
static void on_ended(void *ctx)
{
	struct phase *p = current_phase(ctx);
	if (p)
		p->strategy_event = true;
}

static void on_failed(void *ctx, const struct error *e, enum phase_stop why)
{
	fail(ctx, e, why);
}

static void on_signal(void *data, int signum)
{
	struct session *s = data;
	s->latest_signal = signum;
	if (s->signal) {
		requests_abandon(s->requests, NULL);
		loop_poke(s->loop);
		return;
	}
	s->signal = signum;
	session_stop(s, PHASE_STOP_INTERRUPTED);
}

static void run_alarms(struct session *s, struct phase *p)
{
	intptr_t what;
	while (p->state == PHASE_RUNNING && alarms_pop(p->alarms, loop_now(s->loop), &what))
		p->driver->alarm(p->driver_ctx, p, what);
}

static void run_strategy(struct session *s, struct phase *p)
{
	if (!phase_strategy_ready(p, loop_now(s->loop)))
		return;
	p->strategy_waits = false;
	p->strategy_wake_ns = 0;
	p->strategy_told = p->state == PHASE_DRAINING;
	if (p->driver->resume(p->driver_ctx, p) != RESUME_ALIVE)
		p->strategy_ended = true;
}

/* A strategy that returned has asked for all that it wants. */
static void end_strategy(struct session *s, struct phase *p)
{
	if (p->driver->resume && p->strategy_ended && !p->want_count)
		phase_request_stop(p, PHASE_STOP_SCHEDULE, loop_now(s->loop));
}

/* A strategy that waits while nothing is in flight or due, and no rule that ends the phase. */
static void end_deadlock(struct session *s, struct phase *p)
{
	uint64_t now = loop_now(s->loop);
	if (p->state != PHASE_RUNNING || requests_inflight(s->requests) || p->want_count ||
	    !p->driver->resume)
		return;
	if (phase_strategy_ready(p, now) || phase_next_wake(p, now) != UINT64_MAX)
		return;
	struct error e;
	error_set(&e, STATUS_ESCRIPT,
	          "phase '%s': the strategy waits, but nothing is in flight and no duration ends "
	          "the phase",
	          p->name);
	session_fail(s, &e);
}

/* ---- phases ---- */

static void on_phase_tick(struct loop_timer *t, uint64_t now_ns)
{
	struct session *s = t->data;
	struct phase *p = current_phase(s);
	p->ended_some = true;
	if (p->driver->tick)
		p->driver->tick(p->driver_ctx, p);
	loop_timer_start(s->loop, t, now_ns + p->config.tick_ns); /* slots are kept: cannot fail */
}

static void start_ticks(struct session *s, struct phase *p)
{
	if (!(p->driver->tick || p->driver->stop_when) || !p->config.tick_ns)
		return;
	int err = loop_timer_start(s->loop, &s->phase_tick, p->started_ns + p->config.tick_ns);
	struct error e;
	if (err && error_set(&e, err, "phase '%s': ticks: %s", p->name, status_text(err)))
		session_fail(s, &e);
}

/* What the thread has spent so far, apart from polling. Simulated time costs nothing. */
static void read_costs(const struct session *s, uint64_t *busy_ns, uint64_t *spin_ns)
{
	struct loop_stats stats = { 0 };
	uint64_t cpu_ns = loop_is_virtual(s->loop) ? 0 : clock_thread_cpu();
	loop_stats(s->loop, &stats);
	*spin_ns = stats.spin_ns;
	*busy_ns = cpu_ns > stats.spin_ns ? cpu_ns - stats.spin_ns : 0;
}

static void count_costs(const struct session *s, struct phase *p)
{
	uint64_t busy_ns, spin_ns;
	read_costs(s, &busy_ns, &spin_ns);
	p->busy_ns = busy_ns > s->busy_ns ? busy_ns - s->busy_ns : 0;
	p->spin_ns = spin_ns - s->spin_ns;
	if (s->workers)
		p->worker_busy_ns = (int64_t)workers_busiest_ns(s->workers);
}

/* How much a count that may lag behind has grown since it was told. */
static uint64_t growth(uint64_t *told, uint64_t now)
{
	uint64_t more = now > *told ? now - *told : 0;
	*told += more;
	return more;
}

uint64_t session_connections(const struct session *s)
{
	uint64_t opened = 0;
	for (int i = 0; i < s->client_count; i++)
		opened += client_connections(s->clients[i]);
	return opened;
}

static void count_connections(struct session *s, struct phase *p)
{
	uint64_t again = 0;
	for (int i = 0; i < s->client_count; i++)
		again += client_reconnects(s->clients[i]);
	p->connections = growth(&s->connections, session_connections(s));
	p->reconnects = growth(&s->reconnects, again);
}

static void start_phase(struct session *s, struct phase *p)
{
	read_costs(s, &s->busy_ns, &s->spin_ns);
	if (s->workers)
		workers_mark(s->workers);
	phase_enter(p, PHASE_RUNNING, loop_refresh(s->loop));
	for (int i = 0; i < SESSION_METER_COUNT; i++)
		meter_mark(&s->meters[i]);
	emit_phase(s, EVENT_PHASE_START, p);
	if (p->config.kind == PHASE_PERFORMANCE)
		emit_plain(s, EVENT_SESSION_START_TRACKING, p->index);
	if (p->driver->phase_start)
		p->driver->phase_start(p->driver_ctx, p);
	start_ticks(s, p);
}

/* Arrivals that a stop rule or a stop from outside cut off although they were due: max_inflight
 * held them back, or the client was late. Nobody else would tell of them. */
static void count_unsent(struct phase *p)
{
	uint64_t due;
	bool complete = p->stop == PHASE_STOP_REQUESTS || p->stop == PHASE_STOP_CONTENT ||
	                p->stop == PHASE_STOP_SCHEDULE || p->stop == PHASE_STOP_SCRIPT_ERROR;
	if (!p->pacer || complete)
		return;
	uint64_t end_ns = phase_meant_end(p);
	while (p->unsent < MAX_UNSENT && pacer_peek(p->pacer, &due) == 1 && due < end_ns) {
		pacer_pop(p->pacer);
		p->unsent++;
	}
}

static void end_phase(struct session *s, struct phase *p)
{
	count_unsent(p);
	loop_timer_stop(s->loop, &s->phase_tick);
	count_costs(s, p);
	count_connections(s, p);
	phase_enter(p, PHASE_ENDED,
	            loop_refresh(s->loop)); /* what the turn has cost is part of it */
	if (p->config.kind == PHASE_PERFORMANCE)
		emit_plain(s, EVENT_SESSION_STOP_TRACKING, p->index);
	emit_phase(s, EVENT_PHASE_END, p);
	if (p->driver->phase_end)
		p->driver->phase_end(p->driver_ctx, p);
	s->current++;
}

static void ask_script(struct session *s, struct phase *p)
{
	uint64_t now = loop_now(s->loop);
	if (!p->driver->stop_when || !phase_take_look(p, now))
		return;
	if (p->driver->stop_when(p->driver_ctx, p) == 1)
		phase_request_stop(p, PHASE_STOP_STOP_WHEN, now);
}

/* What is in flight will not end. A stall is told as the phase's end, unless the session
 * was stopped. */
static bool drain_is_over(struct session *s, struct phase *p)
{
	uint64_t now = loop_now(s->loop);
	bool stalled = phase_stalled(p, now);
	if (stalled && !s->stopping)
		p->stop = PHASE_STOP_STALL;
	return stalled || p->stop == PHASE_STOP_STALL || phase_drain_expired(p, now);
}

static void drain_phase(struct session *s, struct phase *p)
{
	if (p->inflight && p->config.drain) {
		if (drain_is_over(s, p))
			requests_abandon(s->requests, p);
		if (p->inflight)
			return;
	}
	end_phase(s, p);
}

static void run_phase(struct session *s, struct phase *p)
{
	if (p->state == PHASE_IDLE)
		start_phase(s, p);
	phase_may_issue(p, loop_now(s->loop)); /* the engine's rules go before the script's */
	ask_script(s, p);
	run_alarms(s, p);
	run_strategy(s, p);
	int budget = requests_issue_wants(s->requests, p, ISSUES_PER_TURN);
	if (p->pacer)
		budget = requests_issue_arrivals(s->requests, p, budget);
	end_strategy(s, p);
	phase_may_issue(p, loop_now(s->loop)); /* the rules may hold although nothing is due */
	end_deadlock(s, p);
	if (p->state == PHASE_DRAINING) {
		requests_drop_ready(s->requests, p);
		run_strategy(s, p);
		drain_phase(s, p);
	}
	/* What ended or was skipped while it issued: nothing else begins a turn for it. */
	if (budget == 0 || phase_strategy_ready(p, loop_now(s->loop)))
		loop_poke(s->loop);
}

/* Nothing will be issued any more: the last phase drains, or none is left. */
static void tell_loadgen_stop(struct session *s)
{
	const struct phase *p = current_phase(s);
	bool last = s->stopping || s->current >= s->phase_count - 1;
	if (s->loadgen_stopped || !last || (p && p->state < PHASE_DRAINING))
		return;
	s->loadgen_stopped = true;
	emit_plain(s, EVENT_SESSION_STOP_LOADGEN, EVENT_NONE);
}

/* After the last phase: those that did not drain get a moment for their stragglers. */
static void wait_for_stragglers(struct session *s)
{
	uint64_t now = loop_now(s->loop);
	if (!s->straggler_deadline)
		s->straggler_deadline = now + STRAGGLER_NS;
	if (requests_inflight(s->requests) && now >= s->straggler_deadline)
		requests_abandon(s->requests, NULL);
	if (requests_inflight(s->requests))
		return;
	s->ended = true;
	loop_stop(s->loop);
}

static void arm_wake(struct session *s)
{
	struct phase *p = current_phase(s);
	uint64_t due = p ? phase_next_wake(p, loop_now(s->loop)) : s->straggler_deadline;
	if (due == UINT64_MAX)
		loop_timer_stop(s->loop, &s->wake);
	else if (!s->wake.slot || s->wake.due_ns != due)
		loop_timer_start(s->loop, &s->wake, due); /* slots are kept: cannot fail */
}

static void arm_urgent(struct session *s)
{
	struct phase *p = current_phase(s);
	loop_set_urgent(s->loop, &s->urgent,
	                p ? phase_next_arrival(p, loop_now(s->loop)) : UINT64_MAX);
}

/* Between two completions: an arrival that is due does not wait for the others. One that is late
 * already was held up by something else; then what has ended goes first, as its connections
 * are needed, and so it does when its room is. Stop rules and strategies have their turn in
 * on_turn(). */
static void on_urgent(struct loop_hook *h, uint64_t now_ns)
{
	struct session *s = h->data;
	struct phase *p = current_phase(s);
	uint64_t due = phase_next_arrival(p, now_ns);
	if (due > now_ns || now_ns - due > URGENT_NS || phase_is_full(p))
		return;
	requests_issue_arrivals(s->requests, p, 1);
	client_send(p->client);
	arm_urgent(s);
}

/* Once per turn, after everything else. */
static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct session *s = h->data;
	struct phase *p;
	(void)now_ns;
	while ((p = current_phase(s))) {
		int at = s->current;
		if (s->stopping && p->state == PHASE_IDLE) {
			s->current = s->phase_count;
			break;
		}
		run_phase(s, p);
		if (s->current == at)
			break;
	}
	tell_loadgen_stop(s);
	if (!current_phase(s))
		wait_for_stragglers(s);
	if (!s->ended)
		arm_wake(s);
	arm_urgent(s);
}

static void on_wake(struct loop_timer *t, uint64_t now_ns)
{
	(void)t, (void)now_ns; /* the turn's hook does the work */
}

static void on_tick(struct loop_timer *t, uint64_t now_ns)
{
	struct session *s = t->data;
	s->config.on_tick(s->config.ctx);
	loop_timer_start(s->loop, t, now_ns + s->config.tick_ns);
}

/* ---- run ---- */

static uint64_t abandoned(const struct session *s)
{
	uint64_t n = 0;
	for (int i = 0; i < s->phase_count; i++)
		if (s->phases[i]->config.drain)
			n += s->phases[i]->abandoned;
	return n;
}

static void tell_result(struct session *s, struct session_result *r)
{
	struct error e = { 0 };
	if (journal_close_requests(s->journal, &r->records_lost, &e) && !s->error.status)
		s->error = e;
	r->signal = s->signal;
	r->error = s->error;
	r->abandoned = abandoned(s);
	r->events_dropped = journal_dropped(s->journal);
	r->subscribers_lost = s->subscribers_lost;
	r->worker_waits = s->workers ? workers_waits(s->workers) : 0;
	if (s->error.status == STATUS_ESCRIPT)
		r->outcome = SESSION_SCRIPT_ERROR;
	else if (s->signal)
		r->outcome = SESSION_INTERRUPTED;
	else if (s->error.status || r->abandoned || r->events_dropped || r->records_lost ||
	         r->subscribers_lost)
		r->outcome = SESSION_FAILED;
	else
		r->outcome = SESSION_OK;
}

/* In steps: a signal ends the waiting. */
int session_await(struct session *s, unsigned count, uint64_t timeout_ns)
{
	struct publisher *p = journal_publisher(s->journal);
	if (!p)
		return STATUS_EINVAL;
	uint64_t now = loop_refresh(s->loop), deadline = now + timeout_ns;
	int err;
	do {
		uint64_t step = now + SIGNAL_GRAIN_NS;
		err = publisher_await(p, count, step < deadline ? step : deadline);
		now = loop_now(s->loop);
	} while (err == STATUS_ETIMEDOUT && now < deadline && !s->signal);
	return err;
}

/* Ready means: subscribed. */
static int await_subscribers(struct session *s)
{
	if (!s->config.subscribers)
		return STATUS_OK;
	int err = session_await(s, s->config.subscribers, s->config.subscribers_timeout_ns);
	if (err && !s->signal)
		error_set(&s->error, err,
		          "%u event subscriber(s) were expected at %s and did not come",
		          s->config.subscribers, publisher_address(journal_publisher(s->journal)));
	return err;
}

/* Those that were awaited should have stayed: before session.ended none has a reason to leave. */
static void count_subscribers(struct session *s)
{
	struct publisher_stats stats;
	if (!s->config.subscribers)
		return;
	publisher_flush(journal_publisher(s->journal));
	publisher_stats(journal_publisher(s->journal), &stats);
	if (stats.subscriptions < s->config.subscribers)
		s->subscribers_lost = s->config.subscribers - (unsigned)stats.subscriptions;
}

static int run_loop(struct session *s)
{
	loop_hook_add(s->loop, &s->hook);
	int err = loop_timer_start(s->loop, &s->wake, s->started_ns);
	if (!err && s->config.on_tick && s->config.tick_ns)
		err = loop_timer_start(s->loop, &s->tick, s->started_ns + s->config.tick_ns);
	if (!err)
		err = loop_run(s->loop);
	loop_timer_stop(s->loop, &s->wake);
	loop_timer_stop(s->loop, &s->tick);
	loop_timer_stop(s->loop, &s->phase_tick);
	loop_hook_remove(s->loop, &s->hook);
	loop_set_urgent(s->loop, NULL, UINT64_MAX);
	return err;
}

void session_run(struct session *s, struct session_result *result)
{
	*result = (struct session_result){ 0 };
	struct error e;
	if (s->workers && workers_start(s->workers, &e)) {
		s->error = e;
		tell_result(s, result);
		return;
	}
	s->holds_signals = s->config.handle_signals;
	if (s->holds_signals)
		loop_on_signal(s->loop, on_signal, s);
	if (!await_subscribers(s) && !s->signal) {
		s->started_ns = loop_refresh(s->loop);
		for (int i = 0; i < SESSION_METER_COUNT; i++)
			meter_start(&s->meters[i], s->started_ns);
		emit_started(s);
		s->running = true;
		emit_description(s);
		int err = run_loop(s);
		if (err == STATUS_ETIMEDOUT && !s->error.status)
			error_set(&s->error, err,
			          "simulated time stands still: nothing is due, and no rule ends "
			          "the phase");
		else if (err && !s->error.status)
			error_set(&s->error, err, "event loop: %s", status_text(err));
		loop_refresh(s->loop);
		count_subscribers(s);
		emit_ended(s);
		s->running = false;
	}
	if (journal_publisher(s->journal))
		publisher_flush(journal_publisher(s->journal));
	tell_result(s, result);
}

/* ---- life ---- */

static int open_journal(struct session *s, const struct session_config *c, struct error *e)
{
	struct journal_config config = {
		.events = c->events,
		.log_file = c->log_file,
		.requests_file = c->requests_file,
		.on_event = c->on_event,
		.ctx = c->ctx,
	};
	return journal_open(&s->journal, s->loop, &config, e);
}

/* On simulated time one run is like another. */
static void identify(struct session *s)
{
	if (loop_is_virtual(s->loop))
		s->id[0] = s->id[1] = 1;
	else if (getrandom(s->id, sizeof(s->id), 0) != sizeof(s->id))
		s->id[0] = clock_realtime(), s->id[1] = clock_now();
}

static int make_requests(struct session *s)
{
	struct requests_config config = {
		.loop = s->loop,
		.journal = s->journal,
		.id = { s->id[0], s->id[1] },
		.max = s->config.max_inflight,
		.failed = on_failed,
		.ended = on_ended,
		.ctx = s,
	};
	return requests_new(&s->requests, &config);
}

static int check_config(const struct loop *loop, const struct session_config *c, struct error *e)
{
	if (c->subscribers && !c->events)
		return error_set(e, STATUS_EINVAL, "subscribers are awaited, but events are off");
	if (loop_is_virtual(loop) && (!c->model || c->events || c->handle_signals))
		return error_set(e, STATUS_EINVAL,
		                 "simulated time goes with a model, without a publisher and "
		                 "without signals");
	if (c->workers && c->model)
		return error_set(e, STATUS_EINVAL, "a model goes without workers");
	return STATUS_OK;
}

int session_new(struct session **out, struct loop *loop, const struct session_config *config,
                struct error *e)
{
	int err = check_config(loop, config, e);
	if (err)
		return err;
	struct session *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, STATUS_ENOMEM, "session: out of memory");
	s->loop = loop;
	s->config = *config;
	s->hook = (struct loop_hook){ .fn = on_turn, .data = s };
	s->urgent = (struct loop_hook){ .fn = on_urgent, .data = s };
	s->wake = (struct loop_timer){ .fn = on_wake, .data = s };
	s->tick = (struct loop_timer){ .fn = on_tick, .data = s };
	s->phase_tick = (struct loop_timer){ .fn = on_phase_tick, .data = s };
	if (!s->config.max_inflight)
		s->config.max_inflight = DEFAULT_INFLIGHT;
	if (config->model) {
		s->model = *config->model;
		s->config.model = &s->model;
	}
	identify(s);

	err = STATUS_ENOMEM;
	s->name = strdup(config->name ? config->name : "");
	if (!s->name)
		error_set(e, err, "session: out of memory");
	else
		err = open_journal(s, config, e);
	if (!err && (err = make_requests(s)))
		error_set(e, err, "session: out of memory");
	if (!err && config->workers)
		err = workers_new(&s->workers, loop,
		                  &(struct workers_config){ .count = config->workers }, e);
	if (err) {
		session_free(s, 0, NULL);
		return err;
	}
	*out = s;
	return STATUS_OK;
}

int session_add_client(struct session *s, const struct client_config *config, struct client **out,
                       struct error *e)
{
	if (s->client_count == MAX_CLIENTS)
		return error_set(e, STATUS_ELIMIT, "more than %d different targets", MAX_CLIENTS);
	int err;
	if (s->config.model)
		err = sim_client_new(out, s->loop, config, &s->model, &requests_sink, s->requests,
		                     e);
	else if (s->workers)
		err = worker_client_new(out, s->workers, choice_client_new, config, &requests_sink,
		                        s->requests, e);
	else
		err = choice_client_new(out, s->loop, config, &requests_sink, s->requests, e);
	if (!err)
		s->clients[s->client_count++] = *out;
	return err;
}

int session_add_phase(struct session *s, const struct phase_config *config, struct client *client,
                      const struct driver *driver, void *ctx, struct phase **out, struct error *e)
{
	if (s->phase_count == FOLD_MAX_PHASES)
		return error_set(e, STATUS_ELIMIT, "more than %d phases", FOLD_MAX_PHASES);
	struct phase *p;
	int err = phase_new(&p, config, driver, ctx);
	if (err)
		return error_set(e, err, "phase '%s': %s", config->name, status_text(err));
	p->session = s;
	p->client = client;
	p->index = s->phase_count;
	s->phases[s->phase_count++] = p;
	*out = p;
	return STATUS_OK;
}

struct meter *session_meter(struct session *s, enum session_meter which)
{
	return &s->meters[which];
}

bool session_cost(const struct session *s, enum session_meter which, struct meter_reading *out)
{
	if (loop_is_virtual(s->loop))
		return false;
	meter_read(&s->meters[which], clock_now(), out);
	return true;
}

uint64_t session_now(const struct session *s)
{
	return loop_now(s->loop);
}

uint64_t session_inflight(const struct session *s)
{
	const struct phase *p = s->current < s->phase_count ? s->phases[s->current] : NULL;
	uint64_t ready = p && p->ready; /* nobody knows of it yet */
	return requests_count(s->requests) - ready + (p ? p->want_count : 0);
}

struct fold *session_fold(const struct session *s)
{
	return journal_fold(s->journal);
}

struct publisher *session_publisher(const struct session *s)
{
	return journal_publisher(s->journal);
}

uint64_t session_close_events(struct session *s, uint64_t deadline_ns)
{
	return journal_close_events(s->journal, deadline_ns);
}

int session_close_log(struct session *s, struct slice outcome, struct error *e)
{
	if (journal_has_log(s->journal) && outcome.data)
		session_custom_event(s, slice_of("run_outcome"), outcome);
	return journal_close_log(s->journal, e);
}

void session_salvage(struct session *s)
{
	journal_salvage(s->journal);
}

int session_linger(struct session *s, uint64_t deadline_ns)
{
	struct publisher *p = journal_publisher(s->journal);
	s->latest_signal = 0;
	while (p && !s->latest_signal) {
		uint64_t now = loop_refresh(s->loop), step = now + SIGNAL_GRAIN_NS;
		if (now >= deadline_ns ||
		    !publisher_drain(p, step < deadline_ns ? step : deadline_ns))
			break;
		loop_turn(s->loop, 0); /* signals come with a turn */
	}
	return s->latest_signal;
}

void session_free(struct session *s, uint64_t deadline_ns, uint64_t *undelivered)
{
	uint64_t left = 0;
	for (int i = 0; s && i < s->client_count; i++)
		client_free(s->clients[i]); /* what that ends is told as well */
	if (s)
		workers_free(s->workers);
	if (s && s->journal)
		left = journal_close_events(s->journal, deadline_ns);
	if (undelivered)
		*undelivered = left;
	if (!s)
		return;
	journal_free(s->journal);
	for (int i = 0; i < s->phase_count; i++) {
		requests_drop_ready(s->requests, s->phases[i]);
		phase_free(s->phases[i]);
	}
	requests_free(s->requests);
	if (s->holds_signals)
		loop_on_signal(s->loop, NULL, NULL);
	free(s->name);
	free(s);
}
