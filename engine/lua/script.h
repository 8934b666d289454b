/* script.h - the Lua side of a session: what the session's binding files share.
 *
 * A script_session stands behind the session userdata, a script_phase behind
 * each phase. Registry references are taken when a phase is added and released
 * in one place, when the session closes. The engine enters Lua only through
 * script_enter(), which never lets an error unwind through it. */
#ifndef PERIGEE_LUA_SCRIPT_H
#define PERIGEE_LUA_SCRIPT_H

#include "session/session.h"

#include "lua/binding.h"
#include "lua/collector.h"

#define SESSION_CLASS "perigee.session"
#define PHASE_CLASS   "perigee.phase"
#define RESULT_CLASS  "perigee.result"

#define SCRIPT_MAX_RESULTS 1000000
#define SCRIPT_MAX_INDEX   0x1p53 /* whole numbers are exact up to there */

enum script_hook {
	HOOK_ISSUE,
	HOOK_FIRST,
	HOOK_CHUNK,
	HOOK_ERROR,
	HOOK_COMPLETE,
	HOOK_PHASE_START,
	HOOK_PHASE_END,
	HOOK_TICK,
	HOOK_COUNT
};

/* Of a session: phases are added before its run, and it runs once. */
enum script_stage { STAGE_OPEN, STAGE_RUNNING, STAGE_RAN };

/* The results of the build function, by their place on the stack. */
enum {
	BUILT_BODY = 1,
	BUILT_INDEX,
	BUILT_PATH,
	BUILT_HEADERS,
	BUILT_TAG,
	BUILT_METHOD,
	BUILT_PROMPT,
	BUILT_TOKENS_LEAST, /* of the answer, as asked */
	BUILT_TOKENS_MOST,
	BUILT_COUNT = BUILT_TOKENS_MOST
};

/* What script_enter() calls. */
struct script_entry {
	int ref, explain; /* references to the protected function and to its message handler */
	lua_CFunction fn; /* of the entry that begins, as is arg */
	void *arg;
};

struct script_session {
	lua_State *L; /* the main thread of the script's state */
	struct session *session;
	struct loop *own_loop; /* on simulated time; NULL: the state's loop serves */
	enum script_stage stage;
	bool closing; /* handlers are not called any more */
	int self;     /* reference to the session's userdata while it is open */
	struct script_entry entry;
	int tick;                 /* reference to on_tick */
	int answer, tap;          /* references to simulate.answer and on_event */
	uint64_t asked;           /* calls of answer so far, of all clients */
	int result;               /* reference to the one result userdata */
	struct request **current; /* the box inside it: the request a handler may look at */
	struct buffer scratch;    /* text of a chunk on its way to a handler */
	struct collector collector;
	struct meter *meter; /* of the time inside the script; NULL: it is not measured */
	uint64_t limit_ns;   /* a call that takes longer is interrupted; 0: none is */
	char **rescue;       /* argv of what writes the report when nothing else can; or NULL */
	struct script_phase **phases;
	int phase_count;
};

struct script_phase {
	struct script_session *script;
	struct phase *phase;
	struct driver driver;
	int schedule, build; /* references to functions; LUA_NOREF: absent */
	int sample;          /* likewise: index -> sample */
	int stop_when;       /* likewise: p -> does it end? */
	int ask;             /* likewise: what a script gives p:issue() -> content */
	bool kept;           /* what build gives has a body that it keeps, and an index: no more */
	uint64_t lent;       /* such bodies that requests still have */
	double samples;      /* how many there are: p:issue() takes 1 to this */
	int conclusion;      /* reference to what the strategy found, as JSON; LUA_NOREF: nothing */
	int knobs;  /* reference to the load's table { rate = { get, set } }; LUA_NOREF: absent */
	int thread; /* reference to the strategy's coroutine */
	lua_State *co;
	int hooks[HOOK_COUNT];
	int self;    /* reference to the phase's userdata */
	int results; /* reference to the list of kept results; LUA_NOREF: not gathered */
	int result_count;
	double at_s;     /* of the latest arrival scheduled, from the phase's start */
	double arrivals; /* scheduled so far */
};

/* Run fn(lightuserdata arg) with all that it does in Lua, lack of memory and
 * finalizers that raise included, unable to unwind through the engine: an error
 * ends the session in order, named by `what` and the phase (NULL: none). It is measured,
 * and interrupted when it does not return. What fn calls may raise: the error gets a traceback.
 * Returns 0 or STATUS_ESCRIPT. */
int script_enter(struct script_session *ss, lua_CFunction fn, void *arg, const struct phase *phase,
                 const char *what);

/* The same for a plain call, without a function of C in between: push ss->entry.explain, the
 * function and nargs arguments, none of which may need memory. Then nresults stand above explain;
 * after a failure nothing does. */
int script_call(struct script_session *ss, int nargs, int nresults, const struct phase *phase,
                const char *what);

/* What a call in protected mode has left on the stack becomes the session's error. Pops it.
 * Returns STATUS_ESCRIPT. */
int script_fail(struct script_session *ss, const struct phase *phase, const char *what);

/* The same around lua_resume(): before it, and after it with what script_begin() gave. */
uint64_t script_begin(struct script_session *ss, const struct phase *phase, const char *what);
void script_end(struct script_session *ss, uint64_t begun);

/* Make what script_enter() needs, so that an entry allocates nothing; release it. */
void script_entry_make(lua_State *L, struct script_session *ss);
void script_entry_free(struct script_session *ss);

/* Push what a registry reference stands for. */
void script_push(lua_State *L, int ref);

/* driver.c: fill sp->driver from the config table at index t; references are taken.
 * Raises an error for a wrong type. */
void script_phase_read(lua_State *L, struct script_phase *sp, int t);
void script_phase_free(struct script_phase *sp);

/* ---- content that a script gives (l_content.c); t is the stack index of its table ---- */

/* Is it whole, or is it the sample's with changes? */
bool content_has_body(lua_State *L, int t);

/* Replace what was built, at the stack indices of BUILT_*, by what the content has of it. */
void content_lay_over(lua_State *L, int t);

/* What only content has. Texts are borrowed from the table. */
void content_read(lua_State *L, int t, struct job *job);

/* Ask for a request of the content on top of the stack, now or after a delay; pops it.
 * A Lua function's results: the id (true when it comes later), or nil, message, code. */
int content_issue(lua_State *L, struct script_phase *sp, double delay_s);

/* Push the content of one more attempt at a job. */
void content_push_again(lua_State *L, const struct job *job);

/* The Lua function r:keep(): a plain table with all that is known of r. */
int result_keep(lua_State *L);

/* A sim_model's answer and a session's on_event, with the script_session as ctx: they
 * call the functions that ss->answer and ss->tap refer to. */
int simulate_answer(void *ctx, const struct exchange *x, uint64_t number, uint64_t now_ns,
                    struct sim_answer *out);
void simulate_tap(void *ctx, const struct event *e);

/* t[key] = { ns, count, max_ns } of the table on top of the stack; nothing when ns is negative. */
void report_set_cost(lua_State *L, const char *key, int64_t ns, int64_t count, int64_t max_ns);

/* t.transport, of the table at t. */
enum transport script_transport(lua_State *L, int t);

/* What of a report is told: without the intervals of percentiles, which take a millisecond or two
 * of a thread that may have to measure; with them; and with the series over time, too, in the place
 * of its last bins. */
enum report_detail { REPORT_BRIEF, REPORT_INTERVALS, REPORT_WHOLE };

/* Push the metrics of one phase, or nil; of the whole session. */
void report_push_phase(lua_State *L, const struct phase_metrics *m, enum report_detail detail);
void report_push(lua_State *L, const struct fold *f, enum report_detail detail);

/* Push the metrics of the phases whose numbers (from 1) are in the list at that index, as if they
 * were one; nil when none of them showed up. */
void report_push_together(lua_State *L, const struct fold *f, int list);

/* Push { refused = 3, http_429 = 1 }. */
void report_push_errors(lua_State *L, const struct tally *m);

/* t.issued, t.completed and the other counters of a phase or a tag. */
void report_set_counts(lua_State *L, const struct tally *m);

/* A running phase lasts until its latest event so far. */
double report_duration_ns(const struct phase_metrics *m);

/* Push { session_id, phases } with no more than a page for Prometheus has of a phase: counters,
 * errors, and of the times count, mean and percentiles at most 0.1 % above. phases[i] is false
 * where t[i], of the table at t, is there. Cheap: nothing is sorted. */
void report_push_numbers(lua_State *L, const struct fold *f, int t);

/* A bin of the series, or several, into the table at the top. */
void report_set_point(lua_State *L, const struct series_point *p);

/* t.recent of a running phase, for the table on top of the stack: what the last seconds brought
 * and the last bins of its series, as glance() gives them; nothing when there are none. */
void report_set_recent(lua_State *L, const struct phase_metrics *m);

/* Push the sums of a distribution as MLPerf's tools have them; nil without a value. */
void report_push_rollup(lua_State *L, struct distribution *d);

/* Push the list of { phase, metric, max, started_ns, ended_ns (ns), percentiles (text, ms), encoded
 * (text), curve = { ns, share, ... }, tags = { { tag, curve }, ... } of the busiest
 * ones (latency and ttft) }, one for each time that has values. */
void report_push_histograms(lua_State *L, const struct fold *f);

/* The Lua function p:window(). */
int window_new_of_phase(lua_State *L);

/* Define the classes. */
void script_phase_class(lua_State *L);
void script_window_class(lua_State *L);
void script_result_class(lua_State *L);

#endif
