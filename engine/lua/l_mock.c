/* l_mock.c - perigee_engine.mock: run the built-in endpoint in this process. */
#include "base/input.h"
#include "mock/mock.h"

#include "lua/binding.h"

#include <string.h>

#define MAX_COUNT 0x1p48

/* ---- options ---- */

static const char *const mode_names[] = { "echo", "max", "timed", NULL };
static const char *const kind_names[] = { "fixed", "uniform", "exp", "normal", "lognormal", NULL };

static double opt_count(lua_State *L, int t, const char *key, double max)
{
	double v = binding_opt_number(L, t, key, 0);
	if (!(v >= 0 && v <= max))
		luaL_error(L, "%s: a number within 0..%f expected", key, max);
	return v;
}

/* t[key]: a number, or { kind = name, a = number, b = number }. */
static struct mock_draw opt_draw(lua_State *L, int t, const char *key, double unit)
{
	struct mock_draw d = { 0 };
	lua_getfield(L, t, key);
	int v = lua_gettop(L);
	if (lua_type(L, v) == LUA_TNUMBER) {
		d.a = lua_tonumber(L, v) * unit;
	} else if (lua_istable(L, v)) {
		d.kind = (enum mock_distribution)binding_opt_choice(L, v, "kind", kind_names,
		                                                    MOCK_FIXED);
		d.a = binding_opt_number(L, v, "a", 0) * unit;
		d.b = binding_opt_number(L, v, "b", 0) * (d.kind == MOCK_LOGNORMAL ? 1 : unit);
	} else if (!lua_isnil(L, v)) {
		luaL_error(L, "%s: a number or a table expected, got %s", key, luaL_typename(L, v));
	}
	lua_pop(L, 1);
	return d;
}

/* t.faults: { name = probability }. */
static void opt_faults(lua_State *L, int t, double *fault)
{
	lua_getfield(L, t, "faults");
	int list = lua_gettop(L);
	if (!lua_isnil(L, list) && !lua_istable(L, list))
		luaL_error(L, "faults: a table expected, got %s", luaL_typename(L, list));
	for (lua_pushnil(L); lua_istable(L, list) && lua_next(L, list); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "faults: names with probabilities expected");
		enum mock_fault f = mock_fault_from_name(lua_tostring(L, -2));
		if (f == MOCK_FAULT_COUNT)
			luaL_error(L, "faults: unknown fault '%s'", lua_tostring(L, -2));
		fault[f] = lua_tonumber(L, -1);
	}
	lua_settop(L, list - 1);
}

/* The strings live as long as the table. */
static struct mock_config read_config(lua_State *L, int t)
{
	struct mock_config c = {
		.host = binding_opt_string(L, t, "host"),
		.port = (uint16_t)opt_count(L, t, "port", 65535),
		.unix_socket = binding_opt_string(L, t, "unix"),
		.mode = (enum mock_mode)binding_opt_choice(L, t, "mode", mode_names, MOCK_ECHO),
		.ttft = opt_draw(L, t, "ttft", 1e9),
		.tpot = opt_draw(L, t, "tpot", 1e9),
		.tokens = opt_draw(L, t, "tokens", 1),
		.token_bytes = (size_t)opt_count(L, t, "token_bytes", MAX_COUNT),
		.cached_tokens = (uint64_t)opt_count(L, t, "cached_tokens", MAX_COUNT),
		.seed = (uint64_t)opt_count(L, t, "seed", 0x1p53),
		.fault_status = (int)opt_count(L, t, "fault_status", 999),
		.api_key = binding_opt_string(L, t, "api_key"),
		.max_connections = (unsigned)opt_count(L, t, "max_connections", 1 << 20),
		.max_body = (size_t)opt_count(L, t, "max_body", MAX_COUNT),
		.log = binding_opt_string(L, t, "log"),
	};
	opt_faults(L, t, c.fault);
	return c;
}

/* ---- run ---- */

static void on_signal(void *data, int signum)
{
	(void)signum;
	loop_stop(data);
}

static void push_stats(lua_State *L, const struct mock *m)
{
	struct mock_stats st;
	mock_stats(m, &st);
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{ "connections", st.connections }, { "requests", st.requests },
		{ "responses", st.responses },     { "faults", st.faults },
		{ "bytes_in", st.bytes_in },       { "bytes_out", st.bytes_out },
	};
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		lua_pushnumber(L, (lua_Number)fields[i].value);
		lua_setfield(L, -2, fields[i].name);
	}
}

/* Call the table's on_listen(port), if it has one. */
static int tell_listening(lua_State *L, int t, const struct mock *m, struct error *e)
{
	lua_getfield(L, t, "on_listen");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return STATUS_OK;
	}
	lua_pushinteger(L, mock_port(m));
	return binding_call(L, 1, 0, e);
}

static void on_input_end(void *ctx)
{
	loop_stop(ctx);
}

/* Run until a signal, or until the end of standard input. */
static int run(struct loop *loop, bool until_eof, struct error *e)
{
	struct input_watch *w = NULL;
	int err = until_eof ? input_watch_open(&w, loop, on_input_end, loop) : STATUS_OK;
	if (!err && (!until_eof || w))
		err = loop_run(loop);
	input_watch_close(w);
	return err ? error_set(e, err, "cannot run the event loop: %s", status_text(err)) : err;
}

/* Signals are watched before anyone hears of the port: who does may send one. */
static int serve(lua_State *L, struct loop *loop, const struct mock *m, struct error *e)
{
	bool until_eof = binding_opt_bool(L, 1, "until_eof", false);
	int err = loop_on_signal(loop, on_signal, loop);
	if (err)
		error_set(e, err, "cannot watch for signals: %s", status_text(err));
	if (!err)
		err = tell_listening(L, 1, m, e);
	if (!err)
		err = run(loop, until_eof, e);
	loop_on_signal(loop, NULL, NULL);
	return err;
}

/* mock{ options } -> stats | nil, message, code. Blocks. */
static int l_mock(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	struct mock_config config = read_config(L, 1);
	struct loop *loop = binding_idle_loop(L);
	struct mock *m = NULL;
	struct error e = { 0 };
	int err = mock_new(&m, loop, &config, &e);
	if (!err) {
		err = serve(L, loop, m, &e);
		int lost = mock_close_log(m, err ? NULL : &e);
		err = err ? err : lost;
	}
	if (!err)
		push_stats(L, m);
	mock_free(m);
	loop_turn(loop, 0); /* the close callbacks */
	return err ? binding_failure(L, err, e.text) : 1;
}

void binding_mock(lua_State *L)
{
	lua_pushcfunction(L, l_mock);
	lua_setfield(L, -2, "mock");
}
