#include "lua/binding.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define LINES_BUFFER ((size_t)1 << 20)

#define LOOP_CLASS "perigee.loop"

static int box_tostring(lua_State *L)
{
	void **box = lua_touserdata(L, 1);
	lua_pushfstring(L, "%s: %s", lua_tostring(L, lua_upvalueindex(1)),
	                box && *box ? "open" : "closed");
	return 1;
}

void binding_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
	luaL_newmetatable(L, name);
	lua_newtable(L);
	luaL_register(L, NULL, methods);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, gc);
	lua_setfield(L, -2, "__gc");
	lua_pushstring(L, name);
	lua_pushcclosure(L, box_tostring, 1);
	lua_setfield(L, -2, "__tostring");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pop(L, 1);
}

void **binding_box(lua_State *L, const char *name)
{
	void **box = lua_newuserdata(L, sizeof(*box));
	*box = NULL; /* closed: safe for __gc from here on */
	luaL_getmetatable(L, name);
	lua_setmetatable(L, -2);
	return box;
}

void *binding_check(lua_State *L, int arg, const char *name)
{
	void **box = luaL_checkudata(L, arg, name);
	if (!*box)
		luaL_error(L, "%s is closed", name);
	return *box;
}

int binding_failure(lua_State *L, int status, const char *text)
{
	lua_pushnil(L);
	lua_pushstring(L, text && *text ? text : status_text(status));
	lua_pushstring(L, status_name(status));
	return 3;
}

static int call_tostring(lua_State *L)
{
	return luaL_callmeta(L, 1, "__tostring") ? 1 : 0;
}

const char *binding_error_text(lua_State *L)
{
	if (lua_isstring(L, -1))
		return lua_tostring(L, -1);
	const char *type = luaL_typename(L, -1);
	lua_pushcfunction(L, call_tostring); /* the script's: it may raise, or give no text */
	lua_insert(L, -2);
	if (lua_pcall(L, 1, 1, 0) || !lua_isstring(L, -1)) {
		lua_pop(L, 1);
		lua_pushfstring(L, "(error object is a %s)", type);
	}
	return lua_tostring(L, -1);
}

static int traceback(lua_State *L)
{
	lua_settop(L, 1);
	luaL_traceback(L, L, binding_error_text(L), 1);
	return 1;
}

int binding_call(lua_State *L, int nargs, int nresults, struct error *e)
{
	int at = lua_gettop(L) - nargs; /* of the function */
	lua_pushcfunction(L, traceback);
	lua_insert(L, at);
	int rc = lua_pcall(L, nargs, nresults, at);
	lua_remove(L, at);
	if (!rc)
		return STATUS_OK;
	const char *text = lua_tostring(L, -1);
	error_set(e, STATUS_ESCRIPT, "%s", text ? text : "error without a message");
	lua_pop(L, 1);
	return STATUS_ESCRIPT;
}

static int loop_gc(lua_State *L)
{
	struct loop **box = lua_touserdata(L, 1);
	if (*box && !loop_is_running(*box)) /* else a handler ends the process */
		loop_free(*box);
	*box = NULL;
	return 0;
}

struct loop *binding_loop(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "perigee.loop.instance");
	void **box = lua_touserdata(L, -1);
	if (!box) {
		static const luaL_Reg none[] = { { NULL, NULL } };
		lua_pop(L, 1);
		binding_class(L, LOOP_CLASS, none, loop_gc);
		box = binding_box(L, LOOP_CLASS);
		int err = loop_new((struct loop **)box);
		if (err)
			luaL_error(L, "cannot make an event loop: %s", status_text(err));
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, "perigee.loop.instance");
	}
	lua_pop(L, 1);
	return *box;
}

struct loop *binding_idle_loop(lua_State *L)
{
	struct loop *loop = binding_loop(L);
	if (loop_is_running(loop))
		luaL_error(L, "the event loop is running: a handler cannot run it again");
	return loop;
}

/* ---- output ---- */

int binding_open_lines(FILE **out, const char *path, struct error *e)
{
	if (strcmp(path, "-") != 0)
		return file_create_stream(out, path, LINES_BUFFER, e);
	fflush(stdout);
	int fd = dup(STDOUT_FILENO); /* a stream of our own, with a large buffer */
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		int status =
			error_set(e, status_from_errno(errno), "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return status;
	}
	setvbuf(f, NULL, _IOFBF, LINES_BUFFER);
	*out = f;
	return STATUS_OK;
}

/* ---- options ---- */

static void bad_option(lua_State *L, const char *key, const char *want, int index)
{
	luaL_error(L, "%s: %s expected, got %s", key, want, luaL_typename(L, index));
}

double binding_opt_number(lua_State *L, int t, const char *key, double dflt)
{
	lua_getfield(L, t, key);
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			bad_option(L, key, "a number", -1);
		dflt = lua_tonumber(L, -1);
	}
	lua_pop(L, 1);
	return dflt;
}

uint64_t binding_opt_ns(lua_State *L, int t, const char *key, uint64_t dflt)
{
	lua_getfield(L, t, key);
	bool given = !lua_isnil(L, -1);
	lua_pop(L, 1);
	double s = binding_opt_number(L, t, key, 0);
	if (!(s >= 0))
		luaL_error(L, "%s: seconds >= 0 expected", key);
	return given ? clock_from_seconds(s) : dflt;
}

uint64_t binding_opt_count(lua_State *L, int t, const char *key, uint64_t max)
{
	double v = binding_opt_number(L, t, key, 0);
	if (!(v >= 0 && v <= (double)max && v == floor(v)))
		luaL_error(L, "%s: a whole number within 0..%f expected", key, (double)max);
	return (uint64_t)v;
}

void binding_opt_type(lua_State *L, int t, const char *key, int type)
{
	lua_getfield(L, t, key);
	if (!lua_isnil(L, -1) && lua_type(L, -1) != type)
		luaL_error(L, "%s: a %s expected, got %s", key, lua_typename(L, type),
		           luaL_typename(L, -1));
}

bool binding_opt_bool(lua_State *L, int t, const char *key, bool dflt)
{
	lua_getfield(L, t, key);
	if (!lua_isnil(L, -1))
		dflt = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return dflt;
}

const char *binding_opt_string(lua_State *L, int t, const char *key)
{
	lua_getfield(L, t, key);
	const char *s = NULL;
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TSTRING)
			bad_option(L, key, "a string", -1);
		s = lua_tostring(L, -1);
	}
	lua_pop(L, 1);
	return s;
}

int binding_opt_choice(lua_State *L, int t, const char *key, const char *const *names, int dflt)
{
	const char *s = binding_opt_string(L, t, key);
	if (!s)
		return dflt;
	for (int i = 0; names[i]; i++)
		if (strcmp(s, names[i]) == 0)
			return i;
	return luaL_error(L, "%s: unknown value '%s'", key, s);
}

size_t binding_opt_strings(lua_State *L, int t, const char *key, const char *const **out)
{
	lua_getfield(L, t, key);
	int list = lua_gettop(L);
	if (lua_isnil(L, list)) {
		*out = NULL;
		return 0;
	}
	if (!lua_istable(L, list))
		bad_option(L, key, "a list of strings", list);
	size_t n = lua_objlen(L, list);
	const char **strings = lua_newuserdata(L, (n + 1) * sizeof(*strings));
	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, list, (int)i + 1);
		if (lua_type(L, -1) != LUA_TSTRING)
			bad_option(L, key, "a list of strings", -1);
		strings[i] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	strings[n] = NULL;
	lua_remove(L, list);
	*out = strings;
	return n;
}

void binding_set_number(lua_State *L, const char *key, double v)
{
	lua_pushnumber(L, v);
	lua_setfield(L, -2, key);
}
