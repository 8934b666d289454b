/* l_log.c - what an event log tells: the report that its run had, the events as
 * JSON lines, the requests for a replay, and the gaps of streams. */
#include "events/log_reader.h"
#include "events/sqlite.h"
#include "metrics/fold.h"
#include "metrics/interval_log.h"
#include "metrics/recorder.h"

#include "lua/script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_CLASS       "perigee.log"
#define LINE_LIMIT      ((size_t)1 << 30)
#define BUSY_MS         5000u
#define ROWS_PER_COMMIT 10000u

/* One reading of a log: a userdata, so that an error of Lua's cannot leak it. */
struct reading {
	struct log_reader *reader;
	struct fold *fold;
	FILE *out; /* of the JSON lines; NULL: none */
	const char *out_path;
	struct sqlite *db; /* NULL: none */
	struct buffer line;
	struct recorder *requests; /* NULL: none */
	struct buffer message;     /* of the latest error, and whose it was */
	uint64_t message_uuid[2];
};

static int reading_gc(lua_State *L)
{
	struct reading *r = lua_touserdata(L, 1);
	log_reader_close(r->reader);
	fold_free(r->fold);
	if (r->out)
		fclose(r->out);
	sqlite_close(r->db, NULL, NULL);
	buffer_free(&r->line);
	recorder_close(r->requests, NULL);
	buffer_free(&r->message);
	*r = (struct reading){ 0 };
	return 0;
}

/* Push a reading of the log at path, or return its failure. */
static int open_reading(lua_State *L, const char *path, struct reading **out, struct error *e)
{
	struct reading *r = lua_newuserdata(L, sizeof(*r));
	*r = (struct reading){ 0 };
	luaL_getmetatable(L, LOG_CLASS);
	lua_setmetatable(L, -2);
	buffer_init(&r->line, LINE_LIMIT);
	buffer_init(&r->message, LINE_LIMIT);
	*out = r;
	return log_reader_open(&r->reader, path, e);
}

static void push_stats(lua_State *L, const struct log_reader *reader)
{
	struct log_reader_stats s;
	log_reader_stats(reader, &s);
	const struct {
		const char *key;
		uint64_t value;
	} fields[] = {
		{ "blocks", s.blocks },
		{ "records", s.records },
		{ "damaged_bytes", s.damaged_bytes },
		{ "damaged_records", s.damaged_records },
		{ "torn_bytes", s.torn_bytes },
		{ "missing_records", s.missing_records },
	};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		lua_pushnumber(L, (double)fields[i].value);
		lua_setfield(L, -2, fields[i].key);
	}
}

static bool is_custom(const struct event *e, const char *name)
{
	return e->type == EVENT_CUSTOM && e->custom.len == strlen(name) &&
	       memcmp(e->custom.data, name, e->custom.len) == 0;
}

/* Set t[key] to the event's text, when it is the custom event of that name. */
static void take_text(lua_State *L, int t, const struct event *e, const char *name)
{
	if (!is_custom(e, name) || !e->text.data)
		return;
	lua_pushlstring(L, e->text.data, e->text.len);
	lua_setfield(L, t, name);
}

/* Put the event's text at the end of the list t.scrapes, when it is a page of a server's. */
static void take_scrape(lua_State *L, int t, const struct event *e)
{
	if (!is_custom(e, "scrape") || !e->text.data)
		return;
	lua_getfield(L, t, "scrapes");
	lua_pushlstring(L, e->text.data, e->text.len);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

/* What a failed request's record needs of its error, which was told just before. */
static void keep_message(struct reading *r, const struct event *e)
{
	buffer_clear(&r->message);
	memcpy(r->message_uuid, e->uuid, sizeof(r->message_uuid));
	if (e->error_message.len)
		buffer_append(&r->message, e->error_message.data, e->error_message.len);
}

static bool is_messages(const struct reading *r, const struct event *e)
{
	return e->failure != FAILURE_NONE && r->message.len &&
	       memcmp(r->message_uuid, e->uuid, sizeof(r->message_uuid)) == 0;
}

/* A line of requests.jsonl, as the run wrote it. What is lost is told when the file is closed. */
static void record(struct reading *r, struct event *e)
{
	if (!r->requests)
		return;
	if (e->type == EVENT_ERROR_CLIENT)
		keep_message(r, e);
	if (e->type != EVENT_SAMPLE_COMPLETE)
		return;
	const struct phase_metrics *m = fold_phase(r->fold, e->phase);
	if (is_messages(r, e))
		e->error_message = (struct slice){ r->message.data, r->message.len };
	recorder_put(r->requests, e, m ? m->name : "", fold_started_ns(r->fold));
}

static void set_requests_problem(lua_State *L, int t, const struct error *e)
{
	lua_pushstring(L, e->text);
	lua_setfield(L, t, "requests_problem");
}

static void open_requests(lua_State *L, int t, struct reading *r, const char *path)
{
	struct error e;
	if (path && recorder_open(&r->requests, path, &e))
		set_requests_problem(L, t, &e);
}

static void close_requests(lua_State *L, int t, struct reading *r)
{
	struct error e;
	if (recorder_close(r->requests, &e))
		set_requests_problem(L, t, &e);
	r->requests = NULL;
}

/* Fold all events; the texts about the run go into t. Returns as log_reader_next() at its end. */
static int fold_events(lua_State *L, int t, struct reading *r)
{
	struct event event;
	bool ended = false;
	int rc;
	while ((rc = log_reader_next(r->reader, &event)) == 1) {
		ended |= event.type == EVENT_SESSION_ENDED;
		take_text(L, t, &event, "run_config");
		take_text(L, t, &event, "run_outcome");
		take_scrape(L, t, &event);
		fold_put(r->fold, &event); /* what it cannot count is told as uncounted */
		record(r, &event);
	}
	lua_pushboolean(L, ended);
	lua_setfield(L, t, "ended");
	return rc;
}

/* t.together: for each list of phase numbers that the function at index 3 makes of run_config what
 * report_push_together() gives; nothing without a function or a run_config. */
static void set_together(lua_State *L, int t, const struct fold *f)
{
	lua_getfield(L, t, "run_config");
	if (lua_isnil(L, 3) || lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	lua_pushvalue(L, 3);
	lua_insert(L, -2);
	lua_call(L, 1, 1); /* lists */
	luaL_checktype(L, -1, LUA_TTABLE);
	lua_newtable(L); /* lists, together */
	for (int i = 1; i <= (int)lua_objlen(L, -2); i++) {
		lua_rawgeti(L, -2, i);
		report_push_together(L, f, lua_gettop(L));
		lua_rawseti(L, -3, i);
		lua_pop(L, 1);
	}
	lua_setfield(L, t, "together");
	lua_pop(L, 1);
}

/* read_log(path [, path to write requests.jsonl to [, fn(run_config) -> lists of phase numbers]])
 * -> { report, histograms, run_config, run_outcome (JSON texts), scrapes (a list of them), ended,
 * stats, requests_problem (what was not written, and why), together (of the lists, see
 * report_push_together()) } | nil, message, code */
static int l_read(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1), *requests = luaL_optstring(L, 2, NULL);
	struct reading *r;
	struct error e;
	lua_settop(L, 3);
	int err = open_reading(L, path, &r, &e);
	if (!err && fold_new(&r->fold))
		err = error_set(&e, STATUS_ENOMEM, "%s: out of memory", path);
	if (err)
		return binding_failure(L, err, e.text);
	lua_newtable(L);
	int t = lua_gettop(L);
	lua_newtable(L);
	lua_setfield(L, t, "scrapes");
	open_requests(L, t, r, requests);
	int rc = fold_events(L, t, r);
	if (rc < 0) {
		lua_pushfstring(L, "%s: %s", path, status_text(rc));
		return binding_failure(L, rc, lua_tostring(L, -1));
	}
	close_requests(L, t, r);
	report_push(L, r->fold, REPORT_WHOLE);
	lua_setfield(L, t, "report");
	report_push_histograms(L, r->fold);
	lua_setfield(L, t, "histograms");
	set_together(L, t, r->fold);
	push_stats(L, r->reader);
	lua_pushnumber(L, (double)fold_lost(r->fold));
	lua_setfield(L, -2, "uncounted");
	lua_setfield(L, t, "stats");
	return 1;
}

static int write_line(struct reading *r, const struct event *event, struct error *e)
{
	buffer_clear(&r->line);
	int err = event_json(event, &r->line);
	if (!err)
		err = buffer_append(&r->line, "\n", 1);
	if (err)
		return error_set(e, err, "%s: %s", r->out_path, status_text(err));
	if (fwrite(r->line.data, 1, r->line.len, r->out) != r->line.len)
		return error_set(e, status_from_errno(errno), "%s: %s", r->out_path,
		                 strerror(errno));
	return STATUS_OK;
}

/* One transaction for each ROWS_PER_COMMIT events. */
static int store_row(struct reading *r, const struct event *event, uint64_t n, struct error *e)
{
	int err = sqlite_put(r->db, event, e);
	return !err && n % ROWS_PER_COMMIT == 0 ? sqlite_commit(r->db, e) : err;
}

static int copy_events(struct reading *r, bool *ended, struct error *e)
{
	struct event event;
	int rc, err = STATUS_OK;
	uint64_t n = 0;
	while (!err && (rc = log_reader_next(r->reader, &event)) == 1) {
		*ended |= event.type == EVENT_SESSION_ENDED;
		if (r->out)
			err = write_line(r, &event, e);
		if (!err && r->db)
			err = store_row(r, &event, ++n, e);
	}
	if (!err && rc < 0)
		err = error_set(e, rc, "reading the log: %s", status_text(rc));
	if (!err && r->db)
		err = sqlite_commit(r->db, e);
	if (!err && r->out && fflush(r->out))
		err = error_set(e, status_from_errno(errno), "%s: %s", r->out_path,
		                strerror(errno));
	return err;
}

/* Opening it for output would empty the log before it is read. */
static bool is_same_file(const char *path, const char *other)
{
	struct stat a, b;
	return path && other && !stat(path, &a) && !stat(other, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int open_exports(struct reading *r, const char *jsonl, const char *sqlite, struct error *e)
{
	if (sqlite) {
		int err = sqlite_open(&r->db, sqlite, BUSY_MS, e);
		if (err)
			return err;
	}
	r->out_path = jsonl;
	return jsonl ? binding_open_lines(&r->out, jsonl, e) : STATUS_OK;
}

/* export_log{ from =, jsonl =, sqlite = } -> stats, with ended: has it the end of its session?
 * | nil, message, code. jsonl "-": standard output. */
static int l_export(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	const char *from = binding_opt_string(L, 1, "from");
	const char *jsonl = binding_opt_string(L, 1, "jsonl");
	const char *sqlite = binding_opt_string(L, 1, "sqlite");
	luaL_argcheck(L, from, 1, "from: the path of a log expected");
	struct reading *r;
	struct error e;
	bool ended = false;
	int err = open_reading(L, from, &r, &e);
	if (!err && is_same_file(from, jsonl))
		err = error_set(&e, STATUS_EINVAL, "%s: is the log itself", jsonl);
	if (!err)
		err = open_exports(r, jsonl, sqlite, &e);
	if (!err)
		err = copy_events(r, &ended, &e);
	if (err)
		return binding_failure(L, err, e.text);
	push_stats(L, r->reader);
	lua_pushboolean(L, ended);
	lua_setfield(L, -2, "ended");
	return 1;
}

static void set_slice(lua_State *L, const char *key, struct slice s)
{
	if (!s.data)
		return;
	lua_pushlstring(L, s.data, s.len);
	lua_setfield(L, -2, key);
}

/* { body, path, method, tag, index, at (s from the phase's start) } */
static void push_request(lua_State *L, const struct event *e, uint64_t phase_start_ns)
{
	double at =
		e->scheduled_ns > phase_start_ns ? (double)(e->scheduled_ns - phase_start_ns) : 0;
	lua_newtable(L);
	set_slice(L, "body", e->body);
	set_slice(L, "path", e->path);
	set_slice(L, "method", e->method);
	set_slice(L, "tag", e->tag);
	lua_pushnumber(L, (double)e->index + 1);
	lua_setfield(L, -2, "index");
	lua_pushnumber(L, at / 1e9);
	lua_setfield(L, -2, "at");
}

/* log_requests(path) -> list of phases { name, kind, requests = { ... } } | nil, message, code */
static int l_requests(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct reading *r;
	struct event event;
	struct error e;
	uint64_t start_ns[FOLD_MAX_PHASES] = { 0 };
	int err = open_reading(L, path, &r, &e);
	if (err)
		return binding_failure(L, err, e.text);
	lua_newtable(L);
	int phases = lua_gettop(L), rc;
	while ((rc = log_reader_next(r->reader, &event)) == 1) {
		if (event.phase < 0 || event.phase >= FOLD_MAX_PHASES)
			continue;
		if (event.type == EVENT_PHASE_START) {
			start_ns[event.phase] = event.timestamp_ns;
			lua_newtable(L);
			set_slice(L, "name", event.name);
			set_slice(L, "kind", event.kind);
			lua_newtable(L);
			lua_setfield(L, -2, "requests");
			lua_rawseti(L, phases, event.phase + 1);
		} else if (event.type == EVENT_SAMPLE_ISSUED && start_ns[event.phase]) {
			lua_rawgeti(L, phases, event.phase + 1);
			lua_getfield(L, -1, "requests");
			push_request(L, &event, start_ns[event.phase]);
			lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
			lua_settop(L, phases);
		}
	}
	if (rc < 0) {
		lua_pushfstring(L, "%s: %s", path, status_text(rc));
		return binding_failure(L, rc, lua_tostring(L, -1));
	}
	return 1;
}

/* log_intervals(log, path, seconds) -> true | nil, message, code. Writes a histogram log. */
static int l_intervals(lua_State *L)
{
	const char *log_path = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
	double ns = luaL_checknumber(L, 3) * 1e9;
	struct error e;
	luaL_argcheck(L, ns >= 1 && ns < 0x1p63, 3, "a time above 0 expected");
	if (is_same_file(log_path, path))
		return luaL_error(L, "%s: is the log itself", path);
	int err = interval_log_write(log_path, path, (uint64_t)ns, &e);
	if (err)
		return binding_failure(L, err, e.text);
	lua_pushboolean(L, 1);
	return 1;
}

/* Call the function at index 2 with the gaps of a success. The list at index 3 is used again. */
static void tell_gaps(lua_State *L, const struct event *e)
{
	for (uint32_t i = 0; i < e->chunk_us_count; i++) {
		lua_pushnumber(L, e->chunk_us[i]);
		lua_rawseti(L, 3, (int)i + 1);
	}
	lua_pushvalue(L, 2);
	lua_pushinteger(L, e->phase + 1);
	lua_pushvalue(L, 3);
	lua_pushinteger(L, (lua_Integer)e->chunk_us_count);
	if (e->tokens_out > 0)
		lua_pushnumber(L, (double)e->chunks / (double)e->tokens_out);
	else
		lua_pushnil(L);
	lua_call(L, 4, 0);
}

/* log_gaps(path, fn) -> true | nil, message, code: fn(number of the phase, gaps in microseconds,
 * how many of that list, chunks for each token or nil) for each success, in the order of ending. */
static int l_gaps(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct reading *r;
	struct event event;
	struct error e;
	int rc;
	luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	lua_newtable(L);
	int err = open_reading(L, path, &r, &e);
	if (err)
		return binding_failure(L, err, e.text);
	while ((rc = log_reader_next(r->reader, &event)) == 1)
		if (event.type == EVENT_SAMPLE_COMPLETE && event.failure == FAILURE_NONE)
			tell_gaps(L, &event);
	if (rc < 0) {
		lua_pushfstring(L, "%s: %s", path, status_text(rc));
		return binding_failure(L, rc, lua_tostring(L, -1));
	}
	lua_pushboolean(L, true);
	return 1;
}

void binding_log(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "read_log", l_read },         { "export_log", l_export },
		{ "log_requests", l_requests }, { "log_intervals", l_intervals },
		{ "log_gaps", l_gaps },         { NULL, NULL },
	};
	static const luaL_Reg none[] = { { NULL, NULL } };
	binding_class(L, LOG_CLASS, none, reading_gc);
	luaL_register(L, NULL, functions);
}
