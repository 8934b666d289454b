/* l_json.c - perigee_engine.json: JSON text to Lua values and back. */
#include "base/json.h"

#include "lua/binding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT  ((size_t)1 << 31)
#define MAX_DEPTH 200

/* Marks a table as an array, so that an empty one is written as []. */
#define ARRAY_CLASS "perigee.json.array"

/* ---- decode ---- */

static int read_value(lua_State *L, struct json *j, struct buffer *tmp);

static bool push_text(lua_State *L, struct json *j, struct buffer *tmp)
{
	if (!j->escaped) {
		lua_pushlstring(L, j->start, j->size);
		return true;
	}
	buffer_clear(tmp);
	if (json_text(j, tmp))
		return false;
	lua_pushlstring(L, tmp->data, tmp->len);
	return true;
}

static int read_object(lua_State *L, struct json *j, struct buffer *tmp)
{
	lua_newtable(L);
	while (json_next(j) == JSON_KEY) {
		if (!push_text(L, j, tmp))
			return STATUS_ENOMEM;
		json_next(j);
		int err = read_value(L, j, tmp);
		if (err)
			return err;
		lua_rawset(L, -3);
	}
	return j->type == JSON_OBJECT_END ? STATUS_OK : STATUS_EPROTO;
}

static int read_array(lua_State *L, struct json *j, struct buffer *tmp)
{
	lua_newtable(L);
	for (int i = 1; json_next(j) != JSON_ARRAY_END; i++) {
		int err = read_value(L, j, tmp);
		if (err)
			return err;
		lua_rawseti(L, -2, i);
	}
	luaL_getmetatable(L, ARRAY_CLASS);
	lua_setmetatable(L, -2);
	return STATUS_OK;
}

/* Push the value that begins with the current token. */
static int read_value(lua_State *L, struct json *j, struct buffer *tmp)
{
	if (j->depth > MAX_DEPTH) {
		j->error = "nested too deeply";
		return STATUS_EPROTO;
	}
	luaL_checkstack(L, 4, "JSON nested too deeply");
	switch (j->type) {
	case JSON_OBJECT_BEGIN:
		return read_object(L, j, tmp);
	case JSON_ARRAY_BEGIN:
		return read_array(L, j, tmp);
	case JSON_STRING:
		return push_text(L, j, tmp) ? STATUS_OK : STATUS_ENOMEM;
	case JSON_NUMBER:
		lua_pushnumber(L, json_number(j));
		return STATUS_OK;
	case JSON_TRUE:
	case JSON_FALSE:
		lua_pushboolean(L, j->type == JSON_TRUE);
		return STATUS_OK;
	case JSON_NULL:
		lua_pushlightuserdata(L, NULL);
		return STATUS_OK;
	default:
		return STATUS_EPROTO;
	}
}

/* decode(text) -> value | nil, "message at byte N", code. null is json.null. */
int binding_json_decode(lua_State *L)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	struct json j;
	struct buffer *tmp = lua_newuserdata(L, sizeof(*tmp));
	buffer_init(tmp, len + 1);
	json_init(&j, text, len);
	json_next(&j);
	int err = read_value(L, &j, tmp);
	if (!err && json_next(&j) != JSON_END)
		err = STATUS_EPROTO;
	buffer_free(tmp);
	if (!err)
		return 1;
	if (err == STATUS_ENOMEM)
		return binding_failure(L, err, NULL);
	lua_pushfstring(L, "%s at byte %d", j.error ? j.error : "bad JSON", (int)j.pos + 1);
	return binding_failure(L, err, lua_tostring(L, -1));
}

/* ---- encode ---- */

struct writer {
	lua_State *L;
	struct buffer *out;
	int indent; /* spaces per level; 0: one line */
	char problem[128];
};

static int put_value(struct writer *w, int index, int depth);

static int fail(struct writer *w, const char *what, const char *type)
{
	snprintf(w->problem, sizeof(w->problem), "cannot write %s %s as JSON", what, type);
	return STATUS_EINVAL;
}

static int put_newline(struct writer *w, int depth)
{
	if (!w->indent)
		return STATUS_OK;
	int err = buffer_append(w->out, "\n", 1);
	for (int i = 0; !err && i < depth * w->indent; i++)
		err = buffer_append(w->out, " ", 1);
	return err;
}

/* A table is an array when it is marked so, or has entries 1..n and no others. */
static int array_length(lua_State *L, int index, bool *is_array)
{
	int n = (int)lua_objlen(L, index), count = 0;
	*is_array = false;
	if (lua_getmetatable(L, index)) {
		luaL_getmetatable(L, ARRAY_CLASS);
		*is_array = lua_rawequal(L, -1, -2);
		lua_pop(L, 2);
	}
	if (*is_array || n == 0)
		return n;
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
		count++;
	*is_array = count == n;
	return n;
}

static int put_array(struct writer *w, int index, int n, int depth)
{
	int err = buffer_append(w->out, "[", 1);
	for (int i = 1; !err && i <= n; i++) {
		if (i > 1)
			err = buffer_append(w->out, ",", 1);
		if (!err)
			err = put_newline(w, depth + 1);
		if (err)
			break;
		lua_rawgeti(w->L, index, i);
		err = put_value(w, lua_gettop(w->L), depth + 1);
		lua_pop(w->L, 1);
	}
	if (!err && n)
		err = put_newline(w, depth);
	return err ? err : buffer_append(w->out, "]", 1);
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Push a userdata with the table's keys in order, so that equal tables give
 * equal text. NULL when a key is no string. */
static const char **sorted_keys(struct writer *w, int index, size_t *count)
{
	lua_State *L = w->L;
	size_t n = 0;
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
		n++;
	const char **keys = lua_newuserdata(L, (n + 1) * sizeof(*keys));
	size_t i = 0;
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING) {
			fail(w, "a key of type", luaL_typename(L, -2));
			lua_pop(L, 3);
			return NULL;
		}
		keys[i++] = lua_tostring(L, -2);
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	*count = n;
	return keys;
}

static int put_object(struct writer *w, int index, int depth)
{
	size_t n = 0;
	const char **keys = sorted_keys(w, index, &n);
	if (!keys)
		return STATUS_EINVAL;
	int err = buffer_append(w->out, "{", 1);
	for (size_t i = 0; !err && i < n; i++) {
		if (i)
			err = buffer_append(w->out, ",", 1);
		if (!err)
			err = put_newline(w, depth + 1);
		lua_getfield(w->L, index, keys[i]);
		if (!err)
			err = json_put_string(w->out, keys[i], strlen(keys[i]));
		if (!err)
			err = buffer_append_str(w->out, w->indent ? ": " : ":");
		if (!err)
			err = put_value(w, lua_gettop(w->L), depth + 1);
		lua_pop(w->L, 1);
	}
	lua_pop(w->L, 1);
	if (!err && n)
		err = put_newline(w, depth);
	return err ? err : buffer_append(w->out, "}", 1);
}

static int put_table(struct writer *w, int index, int depth)
{
	bool is_array;
	if (depth >= MAX_DEPTH)
		return fail(w, "a table nested", "too deeply");
	int n = array_length(w->L, index, &is_array);
	return is_array ? put_array(w, index, n, depth) : put_object(w, index, depth);
}

static int put_value(struct writer *w, int index, int depth)
{
	lua_State *L = w->L;
	size_t len;
	luaL_checkstack(L, 8, "table nested too deeply");
	switch (lua_type(L, index)) {
	case LUA_TSTRING: {
		const char *s = lua_tolstring(L, index, &len);
		return json_put_string(w->out, s, len);
	}
	case LUA_TNUMBER:
		return json_put_number(w->out, lua_tonumber(L, index));
	case LUA_TBOOLEAN:
		return buffer_append_str(w->out, lua_toboolean(L, index) ? "true" : "false");
	case LUA_TTABLE:
		return put_table(w, index, depth);
	case LUA_TLIGHTUSERDATA:
		if (!lua_touserdata(L, index))
			return buffer_append_str(w->out, "null");
		/* fall through */
	default:
		return fail(w, "a value of type", luaL_typename(L, index));
	}
}

/* encode(value [, indent]) -> text. Object keys are sorted. Misuse is an error. */
int binding_json_encode(lua_State *L)
{
	luaL_checkany(L, 1);
	int indent = (int)luaL_optinteger(L, 2, 0);
	struct buffer *out = lua_newuserdata(L, sizeof(*out));
	buffer_init(out, MAX_TEXT);
	struct writer w = { .L = L, .out = out, .indent = indent };
	int err = put_value(&w, 1, 0);
	if (!err)
		lua_pushlstring(L, out->data, out->len);
	buffer_free(out);
	if (err)
		return luaL_error(L, "%s", *w.problem ? w.problem : status_text(err));
	return 1;
}

/* array([t]) -> t, marked as an array */
static int l_array(lua_State *L)
{
	lua_settop(L, 1);
	if (lua_isnil(L, 1)) {
		lua_settop(L, 0);
		lua_newtable(L);
	}
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_getmetatable(L, ARRAY_CLASS);
	lua_setmetatable(L, 1);
	return 1;
}

void binding_json(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "decode", binding_json_decode },
		{ "encode", binding_json_encode },
		{ "array", l_array },
		{ NULL, NULL },
	};
	luaL_newmetatable(L, ARRAY_CLASS);
	lua_pushstring(L, ARRAY_CLASS);
	lua_setfield(L, -2, "__name");
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	lua_pushlightuserdata(L, NULL);
	lua_setfield(L, -2, "null");
	lua_setfield(L, -2, "json");
}
