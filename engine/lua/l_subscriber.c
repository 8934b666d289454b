/* l_subscriber.c - perigee_engine.subscribe: follows a publisher until its session ends. */
#include "base/buffer.h"
#include "base/clock.h"
#include "events/sqlite.h"
#include "events/subscriber.h"

#include "lua/binding.h"
#include "lua/vigil.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_IDLE_NS (300 * NS_PER_S)
#define FLUSH_NS        NS_PER_S
#define KEEP_BYTES      ((size_t)1 << 20) /* of memory, between two events */
#define JSON_LIMIT      ((size_t)1 << 30)
#define BUSY_MS         5000 /* for others that write to the same database */

/* Lives on the C stack of one call. No Lua error is raised while anything in it
 * is open: Lua is entered through binding_call() only. */
struct follow {
	lua_State *L;
	int handler; /* stack index of on_event, 0: none */
	struct vigil vigil;
	struct subscriber *sub;
	FILE *out;          /* NULL: no JSONL */
	struct buffer json; /* the event being written */
	struct sqlite *db;  /* NULL: no database */
	struct loop_timer flush;
	struct loop_hook hook;
	uint64_t frames; /* as of the last turn */
	uint64_t written;
	bool ended; /* session.ended was received */
	struct error error;
};

/* ---- what is done with an event ---- */

static bool has_failed(const struct follow *f)
{
	return f->vigil.outcome && strcmp(f->vigil.outcome, "write_failed") == 0;
}

static void write_failed(struct follow *f, int status, const char *what)
{
	if (has_failed(f))
		return;
	error_set(&f->error, status, "cannot write: %s", what);
	f->vigil.outcome = NULL; /* also when the session has just ended */
	vigil_finish(&f->vigil, "write_failed");
}

static void file_failed(struct follow *f, int err)
{
	write_failed(f, status_from_errno(err), strerror(err));
}

static void write_json(struct follow *f)
{
	errno = 0;
	if (fwrite(f->json.data, 1, f->json.len, f->out) != f->json.len)
		file_failed(f, errno ? errno : EIO);
	else
		f->written++;
}

/* In protected mode: making the string may fail, too. */
static int deliver(lua_State *L)
{
	const struct follow *f = lua_touserdata(L, 2);
	lua_settop(L, 1);
	lua_pushlstring(L, f->json.data, f->json.len - 1); /* without the newline */
	lua_call(L, 1, 0);
	return 0;
}

static void call_handler(struct follow *f)
{
	lua_State *L = f->L;
	lua_pushvalue(L, f->handler + 1); /* deliver */
	lua_pushvalue(L, f->handler);
	lua_pushlightuserdata(L, f);
	if (binding_call(L, 2, 0, &f->error))
		vigil_finish(&f->vigil, "script_error");
}

/* Also when something has failed: the database counts what it did not get. */
static void store(struct follow *f, const struct event *e)
{
	struct error error;
	int err = sqlite_put(f->db, e, &error);
	if (err)
		write_failed(f, err, error.text);
}

static void commit(struct follow *f)
{
	struct error error;
	int err = f->db ? sqlite_commit(f->db, &error) : STATUS_OK;
	if (err)
		write_failed(f, err, error.text);
}

static void on_event(void *ctx, const struct event *e)
{
	struct follow *f = ctx;
	vigil_touch(&f->vigil);
	f->ended |= e->type == EVENT_SESSION_ENDED;
	if (f->db)
		store(f, e);
	if (f->vigil.outcome || (!f->out && !f->handler))
		return;
	buffer_trim(&f->json, KEEP_BYTES);
	int err = event_json(e, &f->json);
	if (!err)
		err = buffer_append(&f->json, "\n", 1);
	if (err) {
		error_set(&f->error, err, "an event as JSON: %s", status_text(err));
		vigil_finish(&f->vigil, "write_failed");
		return;
	}
	if (f->out)
		write_json(f);
	if (f->handler && !f->vigil.outcome)
		call_handler(f);
}

/* ---- when to stop ---- */

static void on_flush(struct loop_timer *t, uint64_t now_ns)
{
	struct follow *f = t->data;
	if (f->out && fflush(f->out))
		file_failed(f, errno);
	loop_timer_start(f->vigil.loop, t, now_ns + FLUSH_NS);
}

/* The end is there: one more turn that brings nothing shows that all is read. */
static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct follow *f = h->data;
	struct subscriber_stats st;
	(void)now_ns;
	commit(f); /* what came in this turn is one batch */
	if (!f->ended)
		return;
	subscriber_stats(f->sub, &st);
	if (st.frames == f->frames)
		vigil_finish(&f->vigil, "ended");
	f->frames = st.frames;
	loop_poke(f->vigil.loop);
}

/* ---- life ---- */

static int open_output(struct follow *f, const char *path)
{
	return path ? binding_open_lines(&f->out, path, &f->error) : STATUS_OK;
}

static int start(struct follow *f, const char *address, const char *const *topics)
{
	struct loop *loop = f->vigil.loop;
	int err = subscriber_open(&f->sub, loop, address, topics, on_event, f, &f->error);
	if (err)
		return err;
	f->flush = (struct loop_timer){ .fn = on_flush, .data = f };
	f->hook = (struct loop_hook){ .fn = on_turn, .data = f };
	loop_hook_add(loop, &f->hook); /* after the subscriber's: it has read by then */
	if (loop_timer_start(loop, &f->flush, loop_now(loop) + FLUSH_NS))
		return error_set(&f->error, STATUS_ENOMEM, "out of memory");
	return STATUS_OK;
}

static void close_database(struct follow *f, struct sqlite_stats *stored)
{
	struct error error;
	int err = sqlite_close(f->db, stored, &error);
	if (err)
		write_failed(f, err, error.text);
}

static void stop(struct follow *f, struct subscriber_stats *stats, struct sqlite_stats *stored)
{
	loop_timer_stop(f->vigil.loop, &f->flush);
	if (f->sub) {
		loop_hook_remove(f->vigil.loop, &f->hook);
		subscriber_stats(f->sub, stats);
	}
	subscriber_close(f->sub);
	vigil_end(&f->vigil);
	if (f->out && fclose(f->out))
		file_failed(f, errno);
	close_database(f, stored);
	buffer_free(&f->json);
}

static int push_result(lua_State *L, const struct follow *f, const struct subscriber_stats *st,
                       const struct sqlite_stats *stored)
{
	lua_newtable(L);
	binding_set_number(L, "records", (double)st->records);
	binding_set_number(L, "frames", (double)st->frames);
	binding_set_number(L, "corrupt", (double)st->corrupt);
	binding_set_number(L, "missing", (double)st->missing);
	binding_set_number(L, "duplicate", (double)st->duplicate);
	binding_set_number(L, "lost_frames", (double)st->lost_frames);
	binding_set_number(L, "written", (double)f->written);
	binding_set_number(L, "stored", (double)stored->stored);
	binding_set_number(L, "known", (double)stored->known);
	binding_set_number(L, "unstored", (double)stored->lost);
	lua_pushboolean(L, f->ended);
	lua_setfield(L, -2, "ended");
	lua_pushstring(L, f->vigil.outcome);
	lua_setfield(L, -2, "outcome");
	if (f->vigil.signum)
		binding_set_number(L, "signal", f->vigil.signum);
	if (*f->error.text) {
		lua_pushstring(L, f->error.text);
		lua_setfield(L, -2, "message");
	}
	return 1;
}

/* The end must come whatever the topics are, and for a database the start, which
 * names the session. Pushes one value. */
static const char *const *with_session(lua_State *L, const char *const *topics, size_t n,
                                       bool start)
{
	if (!n)
		return NULL;
	const char **all = lua_newuserdata(L, (n + 3) * sizeof(*all));
	memcpy(all, topics, n * sizeof(*all));
	all[n++] = event_topic(EVENT_SESSION_ENDED);
	if (start)
		all[n++] = event_topic(EVENT_SESSION_STARTED);
	all[n] = NULL;
	return all;
}

/* subscribe{ connect =, topics = {..}, jsonl = PATH | "-", sqlite = PATH,
 *   idle_timeout = s, until_eof = true, on_event = function(json) } -> { records, frames, corrupt,
 *   missing, duplicate, lost_frames, written, stored, known, unstored, ended, outcome,
 *   signal, message } | nil, message, code
 * outcome is "ended", "idle", "interrupted" or "write_failed". session.ended comes
 * whatever the topics are, session.started as well for a database. Blocks. */
static int l_subscribe(lua_State *L)
{
	struct follow f = { .L = L };
	struct subscriber_stats stats = { 0 };
	struct sqlite_stats stored = { 0 };
	const char *const *topics;
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	const char *address = binding_opt_string(L, 1, "connect");
	luaL_argcheck(L, address, 1, "connect: an address expected");
	const char *path = binding_opt_string(L, 1, "jsonl");
	const char *database = binding_opt_string(L, 1, "sqlite");
	uint64_t idle_ns = binding_opt_ns(L, 1, "idle_timeout", DEFAULT_IDLE_NS);
	bool until_eof = binding_opt_bool(L, 1, "until_eof", false);
	size_t n = binding_opt_strings(L, 1, "topics", &topics);
	topics = with_session(L, topics, n, database);
	lua_getfield(L, 1, "on_event");
	if (!lua_isnil(L, -1)) {
		luaL_checktype(L, -1, LUA_TFUNCTION);
		f.handler = lua_gettop(L);
		lua_pushcfunction(L, deliver);
	}
	struct loop *loop = binding_idle_loop(L);
	luaL_checkstack(L, LUA_MINSTACK, NULL);
	buffer_init(&f.json, JSON_LIMIT);

	int err = vigil_begin(&f.vigil, loop, idle_ns, until_eof);
	if (err)
		error_set(&f.error, err, "cannot watch for signals");
	if (!err && database)
		err = sqlite_open(&f.db, database, BUSY_MS, &f.error);
	if (!err)
		err = open_output(&f, path); /* which empties the file */
	if (!err)
		err = start(&f, address, topics);
	if (!err && vigil_run(&f.vigil))
		err = error_set(&f.error, STATUS_EIO, "the event loop failed");
	stop(&f, &stats, &stored);
	if (!err && f.error.status == STATUS_ESCRIPT)
		err = STATUS_ESCRIPT;
	if (err)
		return binding_failure(L, err, f.error.text);
	return push_result(L, &f, &stats, &stored);
}

void binding_subscriber(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "subscribe", l_subscribe },
		{ NULL, NULL },
	};
	luaL_register(L, NULL, functions);
}
