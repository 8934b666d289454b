/* l_session.c - perigee_engine.session: phases, run, report. */
#include "base/clock.h"
#include "base/process.h"
#include "base/terminal.h"
#include "http/workers.h"

#include "lua/script.h"
#include "lua/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_DRAIN_NS (300 * NS_PER_S)
#define CLOSE_TIMEOUT_S  60
#define VIRTUAL_START_NS NS_PER_S
#define MAX_SLOTS        ((uint64_t)1 << 31)
#define RESCUE_NS        (30 * NS_PER_S)
#define EXIT_SCRIPT      2
#define CLIENTS_KEY      "clients" /* in the session's environment: client table -> client */

static struct script_session *check(lua_State *L)
{
	return binding_check(L, 1, SESSION_CLASS);
}

static struct script_session *check_idle(lua_State *L)
{
	struct script_session *ss = check(L);
	if (ss->stage == STAGE_RUNNING)
		luaL_error(L, "the session is running: a handler cannot do that");
	return ss;
}

/* What comes before the run. */
static struct script_session *check_open(lua_State *L)
{
	struct script_session *ss = check_idle(L);
	if (ss->stage == STAGE_RAN)
		luaL_error(L, "the session has run: make another one");
	return ss;
}

/* ---- options ---- */

#define MAX_COUNT ((uint64_t)1 << 52)

static uint64_t opt_count(lua_State *L, int t, const char *key)
{
	return binding_opt_count(L, t, key, MAX_COUNT);
}

static void read_events(lua_State *L, int t, struct publisher_config *c)
{
	static const char *const framings[] = { "topic", "mlcommons", NULL };
	static const char *const overflows[] = { "spill", "drop", "block", NULL };
	*c = (struct publisher_config){
		.address = binding_opt_string(L, t, "address"),
		.framing =
			(enum framing)binding_opt_choice(L, t, "framing", framings, FRAMING_TOPIC),
		.send_threshold = (uint32_t)binding_opt_count(L, t, "send_threshold", UINT32_MAX),
		.max_age_ns = binding_opt_ns(L, t, "max_age", 0),
		.batch_bytes = (size_t)opt_count(L, t, "batch_bytes"),
		.max_bytes = (size_t)opt_count(L, t, "max_bytes"),
		.overflow = (enum overflow)binding_opt_choice(L, t, "overflow", overflows,
		                                              OVERFLOW_SPILL),
		.queue_bytes = (size_t)opt_count(L, t, "queue_bytes"),
		.block_ns = binding_opt_ns(L, t, "block_timeout", 0),
		.spill_dir = binding_opt_string(L, t, "spill_dir"),
		.spill_limit = opt_count(L, t, "spill_limit"),
	};
	if (!c->address)
		luaL_error(L, "events.address: a string expected, got nil");
}

static void read_phase(lua_State *L, int t, struct phase_config *c)
{
	static const char *const kinds[] = { "performance", "warmup", "accuracy", NULL };
	static const char *const overloads[] = { "queue", "drop", "abort", NULL };
	*c = (struct phase_config){
		.name = binding_opt_string(L, t, "name"),
		.kind = (enum phase_kind)binding_opt_choice(L, t, "kind", kinds, PHASE_PERFORMANCE),
		.requests = opt_count(L, t, "requests"),
		.min_requests = opt_count(L, t, "min_requests"),
		.duration_ns = binding_opt_ns(L, t, "duration", 0),
		.min_duration_ns = binding_opt_ns(L, t, "min_duration", 0),
		.max_duration_ns = binding_opt_ns(L, t, "max_duration", 0),
		.max_error_rate = binding_opt_number(L, t, "max_error_rate", 0),
		.error_rate_requests = opt_count(L, t, "error_rate_requests"),
		.stall_ns = binding_opt_ns(L, t, "stall", 0),
		.slo_latency_ns = binding_opt_ns(L, t, "slo_latency", 0),
		.slo_ttft_ns = binding_opt_ns(L, t, "slo_ttft", 0),
		.slo_tpot_ns = binding_opt_ns(L, t, "slo_tpot", 0),
		.deadline_ns = binding_opt_ns(L, t, "deadline", 0),
		.max_inflight = opt_count(L, t, "max_inflight"),
		.tick_ns = binding_opt_ns(L, t, "tick", NS_PER_S),
		.overload = (enum overload)binding_opt_choice(L, t, "overload", overloads,
		                                              OVERLOAD_QUEUE),
		.paired = binding_opt_bool(L, t, "paired", false),
		.keep_text = binding_opt_bool(L, t, "keep_text", false),
		.keep_body = binding_opt_bool(L, t, "keep_body", false),
		.record_text = binding_opt_bool(L, t, "record_text", false),
		.record_body = binding_opt_bool(L, t, "record_body", false),
		.chunk_events = binding_opt_bool(L, t, "chunk_events", false),
		.drain = true,
		.drain_ns = DEFAULT_DRAIN_NS,
	};
	if (!c->name)
		luaL_error(L, "name: a string expected, got nil");
	lua_getfield(L, t, "drain");
	if (lua_isboolean(L, -1))
		c->drain = lua_toboolean(L, -1);
	else
		c->drain_ns = binding_opt_ns(L, t, "drain", DEFAULT_DRAIN_NS);
	lua_pop(L, 1);
}

/* ---- clients ---- */

/* Leaves what must stay alive for the call on the stack. */
static void read_client(lua_State *L, int t, struct client_config *c)
{
	static const char *const decoders[] = { "raw", "chat", "completions", NULL };
	*c = (struct client_config){
		.unix_socket = binding_opt_string(L, t, "unix_socket"),
		.path = binding_opt_string(L, t, "path"),
		.method = binding_opt_string(L, t, "method"),
		.decoder = (enum decoder)binding_opt_choice(L, t, "decoder", decoders, DECODE_RAW),
		.transport = script_transport(L, t),
		.connect_timeout_ns = binding_opt_ns(L, t, "connect_timeout", 0),
		.insecure = binding_opt_bool(L, t, "insecure", false),
		.ca_file = binding_opt_string(L, t, "ca_file"),
		.max_response_bytes = (size_t)opt_count(L, t, "max_response_bytes"),
	};
	c->url_count = binding_opt_strings(L, t, "urls", &c->urls);
	c->header_count = binding_opt_strings(L, t, "headers", &c->headers);
	c->source_count = binding_opt_strings(L, t, "source_addresses", &c->sources);
	if (!c->url_count)
		luaL_error(L, "client.urls: a list of at least one url expected");
}

/* The client of the table at t: one per table, so that phases share connections. */
static int client_for(lua_State *L, struct script_session *ss, int t, struct client **out,
                      struct error *e)
{
	lua_getfenv(L, 1);
	lua_getfield(L, -1, CLIENTS_KEY);
	int clients = lua_gettop(L);
	lua_pushvalue(L, t);
	lua_rawget(L, clients);
	*out = lua_touserdata(L, -1);
	if (*out)
		return STATUS_OK;
	struct client_config config;
	read_client(L, t, &config);
	int err = session_add_client(ss->session, &config, out, e);
	if (err)
		return err;
	lua_pushvalue(L, t);
	lua_pushlightuserdata(L, *out);
	lua_rawset(L, clients);
	return STATUS_OK;
}

/* ---- session ---- */

static int call_tick(lua_State *L)
{
	struct script_session *ss = lua_touserdata(L, 1);
	script_push(L, ss->tick);
	script_push(L, ss->self);
	lua_call(L, 1, 0);
	return 0;
}

static void on_tick(void *ctx)
{
	struct script_session *ss = ctx;
	script_enter(ss, call_tick, ss, NULL, "on_tick");
}

/* On the watch's thread, when a call cannot be interrupted: the log is brought to the disk,
 * and another process makes the report of it. */
static void end_process(void *ctx)
{
	struct script_session *ss = ctx;
	session_salvage(ss->session);
	terminal_restore();
	if (ss->rescue)
		process_run_last(ss->rescue, RESCUE_NS);
	_exit(EXIT_SCRIPT);
}

static void free_rescue(struct script_session *ss)
{
	for (char **word = ss->rescue; word && *word; word++)
		free(*word);
	free(ss->rescue);
}

/* Copies: they are read while nothing can be asked of Lua. */
static int copy_rescue(struct script_session *ss, const char *const *argv, size_t n)
{
	if (!n)
		return STATUS_OK;
	ss->rescue = calloc(n + 1, sizeof(*ss->rescue));
	for (size_t i = 0; ss->rescue && i < n; i++)
		if (!(ss->rescue[i] = strdup(argv[i])))
			return STATUS_ENOMEM;
	return ss->rescue ? STATUS_OK : STATUS_ENOMEM;
}

static void release(struct script_session *ss, uint64_t deadline_ns, uint64_t *undelivered)
{
	lua_State *L = ss->L;
	ss->closing = true;
	session_free(ss->session, deadline_ns, undelivered);
	loop_free(ss->own_loop);
	for (int i = 0; i < ss->phase_count; i++) {
		script_push(L, ss->phases[i]->self);
		void **box = lua_touserdata(L, -1);
		if (box)
			*box = NULL;
		lua_pop(L, 1);
		script_phase_free(ss->phases[i]);
	}
	luaL_unref(L, LUA_REGISTRYINDEX, ss->self);
	script_entry_free(ss);
	luaL_unref(L, LUA_REGISTRYINDEX, ss->tick);
	luaL_unref(L, LUA_REGISTRYINDEX, ss->answer);
	luaL_unref(L, LUA_REGISTRYINDEX, ss->tap);
	luaL_unref(L, LUA_REGISTRYINDEX, ss->result);
	buffer_free(&ss->scratch);
	free_rescue(ss);
	free(ss->phases);
	free(ss);
}

/* What the functions of a session's table become, in the order in which read_functions()
 * pushes them. */
enum { FUNCTION_TICK, FUNCTION_ANSWER, FUNCTION_TAP };

/* Push them, nil where there is none. A session that simulates runs on simulated time. */
static void read_functions(lua_State *L, struct session_config *c, struct sim_model *model)
{
	binding_opt_type(L, 1, "on_tick", LUA_TFUNCTION);
	if (lua_isfunction(L, -1))
		c->on_tick = on_tick;
	binding_opt_type(L, 1, "simulate", LUA_TTABLE);
	if (lua_istable(L, -1)) {
		int t = lua_gettop(L);
		*model = (struct sim_model){ .answer = simulate_answer };
		model->slots = (unsigned)binding_opt_count(L, t, "slots", MAX_SLOTS);
		binding_opt_type(L, t, "answer", LUA_TFUNCTION);
		if (lua_isnil(L, -1))
			luaL_error(L, "simulate.answer: a function expected, got nil");
		lua_replace(L, t);
		c->model = model;
		c->handle_signals = false;
	}
	binding_opt_type(L, 1, "on_event", LUA_TFUNCTION);
	if (lua_isfunction(L, -1))
		c->on_event = simulate_tap;
}

static void read_session(lua_State *L, struct session_config *c, struct publisher_config *events)
{
	*c = (struct session_config){
		.name = binding_opt_string(L, 1, "name"),
		.subscribers = (unsigned)binding_opt_count(L, 1, "subscribers", UINT32_MAX),
		.subscribers_timeout_ns =
			binding_opt_ns(L, 1, "subscribers_timeout", 30 * NS_PER_S),
		.requests_file = binding_opt_string(L, 1, "requests_file"),
		.log_file = binding_opt_string(L, 1, "log_file"),
		.description = binding_opt_string(L, 1, "description"),
		.tick_ns = binding_opt_ns(L, 1, "tick", 0),
		.handle_signals = binding_opt_bool(L, 1, "handle_signals", true),
		.max_inflight = opt_count(L, 1, "max_inflight"),
		.workers = (unsigned)binding_opt_count(L, 1, "workers", WORKERS_MAX),
	};
	if (c->description)
		c->description_len = strlen(c->description);
	binding_opt_type(L, 1, "events", LUA_TTABLE);
	if (lua_istable(L, -1)) {
		read_events(L, lua_gettop(L), events);
		c->events = events;
	}
}

/* Whatever raises from here on: the box is empty or releases all. */
static void fill_session(lua_State *L, struct script_session *ss, int functions, int self)
{
	script_entry_make(L, ss);
	lua_pushvalue(L, functions + FUNCTION_TICK);
	ss->tick = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, functions + FUNCTION_ANSWER);
	ss->answer = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushvalue(L, functions + FUNCTION_TAP);
	ss->tap = luaL_ref(L, LUA_REGISTRYINDEX);
	ss->current = (struct request **)binding_box(L, RESULT_CLASS);
	ss->result = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	lua_newtable(L);
	lua_setfield(L, -2, CLIENTS_KEY);
	lua_getfield(L, 1, "description"); /* the session borrows it until its run is over */
	lua_setfield(L, -2, "description");
	lua_setfenv(L, self);
	lua_pushvalue(L, self);
	ss->self = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* session{...} -> session | nil, message, code */
static int l_new(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	struct loop *loop = binding_loop(L);
	struct session_config config;
	struct publisher_config events;
	struct sim_model model;
	read_session(L, &config, &events);
	int functions = lua_gettop(L) + 1;
	read_functions(L, &config, &model);
	uint64_t limit_ns = binding_opt_ns(L, 1, "handler_timeout", WATCH_DEFAULT_NS);
	const char *const *rescue;
	size_t words = binding_opt_strings(L, 1, "rescue", &rescue);
	int watched = watch_open(L, limit_ns);
	if (watched)
		return binding_failure(L, watched, "the watch over Lua calls cannot be started");

	void **box = binding_box(L, SESSION_CLASS);
	int self = lua_gettop(L);
	struct script_session *ss = calloc(1, sizeof(*ss));
	if (!ss)
		return binding_failure(L, STATUS_ENOMEM, NULL);
	ss->L = L;
	ss->tick = ss->answer = ss->tap = ss->self = ss->result = LUA_NOREF;
	ss->entry.ref = ss->entry.explain = LUA_NOREF;
	buffer_init(&ss->scratch, (size_t)64 << 20);
	ss->limit_ns = limit_ns;
	config.ctx = model.ctx = ss;
	struct error e = { 0 };
	int err = copy_rescue(ss, rescue, words);
	if (!err && config.model)
		err = loop_new_virtual(&ss->own_loop, VIRTUAL_START_NS);
	if (!err)
		err = session_new(&ss->session, ss->own_loop ? ss->own_loop : loop, &config, &e);
	if (err) {
		release(ss, 0, NULL);
		return binding_failure(L, err, *e.text ? e.text : NULL);
	}
	*box = ss;
	fill_session(L, ss, functions, self);
	return 1;
}

static int grow_phases(struct script_session *ss)
{
	size_t size = ((size_t)ss->phase_count + 1) * sizeof(struct script_phase *);
	struct script_phase **phases = realloc(ss->phases, size);
	if (!phases)
		return STATUS_ENOMEM;
	ss->phases = phases;
	return STATUS_OK;
}

static struct script_phase *new_script_phase(struct script_session *ss)
{
	struct script_phase *sp = grow_phases(ss) ? NULL : calloc(1, sizeof(*sp));
	if (!sp)
		return NULL;
	sp->script = ss;
	sp->schedule = sp->build = sp->sample = sp->thread = sp->self = sp->results = LUA_NOREF;
	sp->knobs = sp->conclusion = sp->stop_when = sp->ask = LUA_NOREF;
	for (int i = 0; i < HOOK_COUNT; i++)
		sp->hooks[i] = LUA_NOREF;
	ss->phases[ss->phase_count++] = sp; /* from here on the session frees it */
	return sp;
}

/* session:phase{...} -> phase | nil, message, code */
static int l_phase(lua_State *L)
{
	struct script_session *ss = check_open(L);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	lua_getfield(L, 2, "client");
	luaL_argcheck(L, lua_istable(L, 3), 2, "client: a table expected");
	struct phase_config config;
	struct client *client;
	struct error e;
	read_phase(L, 2, &config);
	config.first_byte_ns = binding_opt_ns(L, 3, "first_byte_timeout", 0);
	if (!config.deadline_ns)
		config.deadline_ns = binding_opt_ns(L, 3, "timeout", 0);
	int err = client_for(L, ss, 3, &client, &e);
	if (err)
		return binding_failure(L, err, e.text);

	struct script_phase *sp = new_script_phase(ss);
	if (!sp)
		return binding_failure(L, STATUS_ENOMEM, NULL);
	void **box = binding_box(L, PHASE_CLASS);
	*box = sp;
	lua_pushvalue(L, -1);
	sp->self = luaL_ref(L, LUA_REGISTRYINDEX);
	script_phase_read(L, sp, 2);
	if (sp->co) { /* the strategy's argument */
		lua_pushvalue(L, -1);
		lua_xmove(L, sp->co, 1);
	}
	err = session_add_phase(ss->session, &config, client, &sp->driver, sp, &sp->phase, &e);
	if (err) {
		*box = NULL;
		return binding_failure(L, err, e.text);
	}
	return 1;
}

static void push_problem(lua_State *L, int *n, const char *fmt, double count)
{
	char text[160];
	snprintf(text, sizeof(text), fmt, count);
	lua_pushstring(L, text);
	lua_rawseti(L, -2, ++*n);
}

static void push_problems(lua_State *L, const struct session *s, const struct session_result *r)
{
	const struct publisher *p = session_publisher(s);
	struct publisher_stats stats = { 0 };
	int n = 0;
	if (p)
		publisher_stats(p, &stats);
	lua_newtable(L);
	if (r->events_dropped)
		push_problem(L, &n,
		             stats.spill_error
		                     ? "%.0f events were dropped: the subscribers were too slow, "
		                       "and the spill file failed or was full"
		                     : "%.0f events were dropped: the subscribers were too slow",
		             (double)r->events_dropped);
	if (r->subscribers_lost)
		push_problem(L, &n,
		             "%.0f of the event subscriptions that were awaited were gone before "
		             "the end",
		             r->subscribers_lost);
	if (r->records_lost)
		push_problem(L, &n, "%.0f lines of requests.jsonl were lost",
		             (double)r->records_lost);
}

static void collector_failed(void *ctx)
{
	script_fail(ctx, NULL, "a finalizer");
}

/* On simulated time nothing costs anything, and there is no idle time to collect in. */
static void run_session(lua_State *L, struct script_session *ss, struct session_result *r)
{
	if (!ss->own_loop) {
		ss->meter = session_meter(ss->session, SESSION_METER_SCRIPT);
		ss->collector = (struct collector){
			.failed = collector_failed,
			.ctx = ss,
			.limit_ns = ss->limit_ns,
		};
		collector_begin(&ss->collector, L, binding_loop(L),
		                session_meter(ss->session, SESSION_METER_COLLECTOR));
		watch_set_last_resort(end_process, ss);
	}
	session_run(ss->session, r);
	if (!ss->own_loop)
		watch_set_last_resort(NULL, NULL);
	collector_end(&ss->collector);
}

/* session:run() -> { outcome, signal, error, code, worker_waits, problems } */
static int l_run(lua_State *L)
{
	static const char *const names[] = { "ok", "failed", "interrupted", "script_error" };
	struct script_session *ss = check_open(L);
	struct session_result r;
	if (!ss->own_loop)
		binding_idle_loop(L);
	ss->L = L; /* the thread that runs the loop */
	ss->stage = STAGE_RUNNING;
	run_session(L, ss, &r);
	ss->stage = STAGE_RAN;
	lua_newtable(L);
	lua_pushstring(L, names[r.outcome]);
	lua_setfield(L, -2, "outcome");
	if (r.signal)
		binding_set_number(L, "signal", r.signal);
	if (r.error.status) {
		lua_pushstring(L, r.error.text);
		lua_setfield(L, -2, "error");
		lua_pushstring(L, status_name(r.error.status));
		lua_setfield(L, -2, "code");
	}
	if (r.worker_waits)
		binding_set_number(L, "worker_waits", (double)r.worker_waits);
	push_problems(L, ss->session, &r);
	lua_setfield(L, -2, "problems");
	return 1;
}

/* session:stop([why]): "script" or "check" */
static int l_stop(lua_State *L)
{
	static const char *const names[] = { "script", "check", NULL };
	static const enum phase_stop reasons[] = { PHASE_STOP_SCRIPT, PHASE_STOP_CHECK };
	session_stop(check(L)->session, reasons[luaL_checkoption(L, 2, "script", names)]);
	return 0;
}

/* session:report() -> the numbers so far, see report_push() */
static int l_report(lua_State *L)
{
	report_push(L, session_fold(check(L)->session), REPORT_WHOLE);
	return 1;
}

/* session:numbers(known) -> those that a page has, see report_push_numbers() */
static int l_numbers(lua_State *L)
{
	const struct fold *f = session_fold(check(L)->session);
	luaL_checktype(L, 2, LUA_TTABLE);
	report_push_numbers(L, f, 2);
	return 1;
}

/* session:connections() -> opened so far, of all phases */
static int l_connections(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)session_connections(check(L)->session));
	return 1;
}

/* session:histograms() -> list, see report_push_histograms() */
static int l_histograms(lua_State *L)
{
	report_push_histograms(L, session_fold(check(L)->session));
	return 1;
}

/* session:overall() -> the same of all performance phases together; nil when there are none */
static int l_overall(lua_State *L)
{
	struct phase_metrics *all;
	int err = fold_overall(session_fold(check(L)->session), &all);
	if (err)
		return luaL_error(L, "session:overall: %s", status_text(err));
	report_push_phase(L, all, REPORT_BRIEF);
	phase_metrics_free(all);
	return 1;
}

/* session:together(list) -> the same of these phases, see report_push_together() */
static int l_together(lua_State *L)
{
	luaL_checktype(L, 2, LUA_TTABLE);
	report_push_together(L, session_fold(check(L)->session), 2);
	return 1;
}

static int l_address(lua_State *L)
{
	const struct publisher *p = session_publisher(check(L)->session);
	if (p)
		lua_pushstring(L, publisher_address(p));
	else
		lua_pushnil(L);
	return 1;
}

/* session:flush() -> true | nil, message, code: send the events that are buffered */
static int l_flush(lua_State *L)
{
	struct publisher *p = session_publisher(check(L)->session);
	int err = p ? publisher_flush(p) : STATUS_OK;
	if (err)
		return binding_failure(L, err, "events were dropped");
	lua_pushboolean(L, 1);
	return 1;
}

/* session:stats() -> what became of the events so far; nil without a publisher */
static int l_stats(lua_State *L)
{
	const struct publisher *p = session_publisher(check(L)->session);
	struct publisher_stats s;
	if (!p) {
		lua_pushnil(L);
		return 1;
	}
	publisher_stats(p, &s);
	const struct {
		const char *key;
		uint64_t value;
	} fields[] = {
		{ "put", s.put },
		{ "sent", s.sent },
		{ "dropped", s.dropped },
		{ "left_out", s.left_out },
		{ "batches", s.batches },
		{ "bytes", s.bytes },
		{ "buffered", s.buffered },
		{ "pending", s.pending },
		{ "held", s.held },
		{ "spilled", s.spilled },
		{ "spill_bytes", s.spill_bytes },
		{ "blocked_ns", s.blocked_ns },
		{ "subscriptions", s.subscriptions },
	};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		binding_set_number(L, fields[i].key, (double)fields[i].value);
	return 1;
}

/* session:await(count, timeout) -> true | nil, message, code: so many subscriptions */
static int l_await(lua_State *L)
{
	struct script_session *ss = check(L);
	double count = luaL_checknumber(L, 2);
	luaL_argcheck(L, count >= 0 && count <= 1e6, 2, "a count expected");
	uint64_t timeout = clock_from_seconds(luaL_checknumber(L, 3));
	ss->L = L;
	int err = session_await(ss->session, (unsigned)count, timeout);
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

/* session:emit(name [, text]) -> true | nil, message, code: a custom.<name> event */
static int l_emit(lua_State *L)
{
	struct script_session *ss = check(L);
	struct slice name, text = { 0 };
	name.data = luaL_checklstring(L, 2, &name.len);
	text.data = luaL_optlstring(L, 3, NULL, &text.len);
	luaL_argcheck(L, name.len > 0 && name.len <= 32, 2, "a name of 1 to 32 bytes expected");
	luaL_argcheck(L, !event_is_reserved(name), 2,
	              "a name that perigee does not use itself expected");
	int err = session_custom_event(ss->session, name, text);
	if (err)
		return binding_failure(L, err,
		                       err == STATUS_ECLOSED ? "the session is not running" : NULL);
	lua_pushboolean(L, 1);
	return 1;
}

/* tell_scrape(session, line) -> true | nil, message, code: a custom.scrape event, whose name no
 * script may use */
static int l_tell_scrape(lua_State *L)
{
	struct script_session *ss = check(L);
	struct slice line;
	line.data = luaL_checklstring(L, 2, &line.len);
	int err = session_custom_event(ss->session, (struct slice){ "scrape", 6 }, line);
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static uint64_t deadline_arg(lua_State *L)
{
	return clock_now() + clock_from_seconds(luaL_optnumber(L, 2, CLOSE_TIMEOUT_S));
}

/* session:close_events([timeout]) -> event records that were not delivered. What is
 * told afterwards reaches the log alone. */
static int l_close_events(lua_State *L)
{
	struct script_session *ss = check(L);
	lua_pushnumber(L, (double)session_close_events(ss->session, deadline_arg(L)));
	return 1;
}

/* session:close_log([outcome]) -> true | nil, message, code when records were lost. The
 * outcome is its last record. */
static int l_close_log(lua_State *L)
{
	struct error e;
	struct slice outcome = { 0 };
	outcome.data = luaL_optlstring(L, 2, NULL, &outcome.len);
	int err = session_close_log(check(L)->session, outcome, &e);
	if (err)
		return binding_failure(L, err, e.text);
	lua_pushboolean(L, 1);
	return 1;
}

/* session:linger([timeout]) -> the signal that ended it, or nil: wait until the events have left */
static int l_linger(lua_State *L)
{
	struct script_session *ss = check(L);
	double timeout = luaL_optnumber(L, 2, CLOSE_TIMEOUT_S);
	ss->L = L;
	int signum = session_linger(ss->session, clock_now() + clock_from_seconds(timeout));
	if (signum)
		lua_pushinteger(L, signum);
	else
		lua_pushnil(L);
	return 1;
}

/* session:close([timeout]) -> event records that were not delivered */
static int l_close(lua_State *L)
{
	struct script_session *ss = check_idle(L);
	uint64_t undelivered, deadline_ns = deadline_arg(L);
	void **box = lua_touserdata(L, 1);
	*box = NULL;
	ss->L = L;
	release(ss, deadline_ns, &undelivered);
	lua_pushnumber(L, (double)undelivered);
	return 1;
}

/* A session that runs is only collected by the end of the process, called for by
 * a handler: what stands below it on the C stack still uses it. */
static int l_gc(lua_State *L)
{
	struct script_session **box = lua_touserdata(L, 1);
	struct script_session *ss = *box;
	*box = NULL;
	if (!ss || ss->stage == STAGE_RUNNING)
		return 0;
	ss->L = L; /* the thread that it knew may be gone */
	release(ss, clock_now(), NULL);
	return 0;
}

void binding_session(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "phase", l_phase },
		{ "await", l_await },
		{ "run", l_run },
		{ "stop", l_stop },
		{ "report", l_report },
		{ "numbers", l_numbers },
		{ "connections", l_connections },
		{ "histograms", l_histograms },
		{ "overall", l_overall },
		{ "together", l_together },
		{ "stats", l_stats },
		{ "address", l_address },
		{ "emit", l_emit },
		{ "flush", l_flush },
		{ "linger", l_linger },
		{ "close_events", l_close_events },
		{ "close_log", l_close_log },
		{ "close", l_close },
		{ NULL, NULL },
	};
	binding_class(L, SESSION_CLASS, methods, l_gc);
	script_phase_class(L);
	script_window_class(L);
	script_result_class(L);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "session");
	lua_pushcfunction(L, l_tell_scrape);
	lua_setfield(L, -2, "tell_scrape");
}
