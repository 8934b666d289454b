/* l_log.c - what an event log tells: the report that its run had, the events as
 * JSON lines, and the requests for a replay. */
#include "events/log_reader.h"
#include "metrics/fold.h"

#include "lua/script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOG_CLASS  "perigee.log"
#define LINE_LIMIT ((size_t)1 << 30)

/* One reading of a log: a userdata, so that an error of Lua's cannot leak it. */
struct reading {
	struct log_reader *reader;
	struct fold *fold;
	FILE *out;
	struct buffer line;
};

static int reading_gc(lua_State *L)
{
	struct reading *r = lua_touserdata(L, 1);
	log_reader_close(r->reader);
	fold_free(r->fold);
	if (r->out)
		fclose(r->out);
	buffer_free(&r->line);
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

/* read_log(path) -> { report, run_config, run_outcome (JSON texts), ended, stats } | nil, message,
 * code */
static int l_read(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct reading *r;
	struct event event;
	struct error e;
	int err = open_reading(L, path, &r, &e);
	if (!err && fold_new(&r->fold))
		err = error_set(&e, STATUS_ENOMEM, "%s: out of memory", path);
	if (err)
		return binding_failure(L, err, e.text);
	lua_newtable(L);
	int t = lua_gettop(L), rc;
	bool ended = false;
	while ((rc = log_reader_next(r->reader, &event)) == 1) {
		ended |= event.type == EVENT_SESSION_ENDED;
		take_text(L, t, &event, "run_config");
		take_text(L, t, &event, "run_outcome");
		fold_put(r->fold, &event); /* what it cannot count shows in fold_lost() */
	}
	if (rc < 0) {
		lua_pushfstring(L, "%s: %s", path, status_text(rc));
		return binding_failure(L, rc, lua_tostring(L, -1));
	}
	report_push(L, r->fold);
	lua_setfield(L, t, "report");
	push_stats(L, r->reader);
	lua_setfield(L, t, "stats");
	lua_pushboolean(L, ended);
	lua_setfield(L, t, "ended");
	return 1;
}

static int write_lines(struct reading *r, const char *to, struct error *e)
{
	struct event event;
	int rc;
	while ((rc = log_reader_next(r->reader, &event)) == 1) {
		buffer_clear(&r->line);
		int err = event_json(&event, &r->line);
		if (!err)
			err = buffer_append(&r->line, "\n", 1);
		if (err)
			return error_set(e, err, "%s: %s", to, status_text(err));
		if (fwrite(r->line.data, 1, r->line.len, r->out) != r->line.len)
			return error_set(e, status_from_errno(errno), "%s: %s", to,
			                 strerror(errno));
	}
	if (rc < 0)
		return error_set(e, rc, "reading the log: %s", status_text(rc));
	return fflush(r->out)
	               ? error_set(e, status_from_errno(errno), "%s: %s", to, strerror(errno))
	               : STATUS_OK;
}

/* export_log(path, jsonl) -> stats | nil, message, code. jsonl "-": standard output. */
static int l_export(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
	struct reading *r;
	struct error e;
	int err = open_reading(L, path, &r, &e);
	if (err)
		return binding_failure(L, err, e.text);
	r->out = fopen(strcmp(to, "-") ? to : "/dev/stdout", "we");
	err = r->out ? write_lines(r, to, &e)
	             : error_set(&e, status_from_errno(errno), "%s: %s", to, strerror(errno));
	if (err)
		return binding_failure(L, err, e.text);
	push_stats(L, r->reader);
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

void binding_log(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "read_log", l_read },
		{ "export_log", l_export },
		{ "log_requests", l_requests },
		{ NULL, NULL },
	};
	static const luaL_Reg none[] = { { NULL, NULL } };
	binding_class(L, LOG_CLASS, none, reading_gc);
	luaL_register(L, NULL, functions);
}
