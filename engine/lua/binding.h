/* binding.h - what the binding files share. The only C that sees lua.h.
 *
 * A class is a full userdata holding one pointer (a box): NULL means closed.
 * Expected failures return nil, message, code; misuse raises an error. */
#ifndef PERIGEE_LUA_BINDING_H
#define PERIGEE_LUA_BINDING_H

#include "base/loop.h"
#include "base/status.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* Each adds its functions to the module table on top of the stack. */
void binding_log(lua_State *L);
void binding_rng(lua_State *L);
void binding_histogram(lua_State *L);
void binding_json(lua_State *L);
void binding_session(lua_State *L);
void binding_system(lua_State *L);
void binding_subscriber(lua_State *L);
void binding_aggregate(lua_State *L);
void binding_beacon(lua_State *L);
void binding_control(lua_State *L);
void binding_exposition(lua_State *L);
void binding_mock(lua_State *L);
void binding_transport(lua_State *L);
void binding_input(lua_State *L);
void binding_floor(lua_State *L);
void binding_batches(lua_State *L);
void binding_glance(lua_State *L);
void binding_terminal(lua_State *L);

/* The Lua functions json.decode(text) and json.encode(value [, indent]). */
int binding_json_decode(lua_State *L);
int binding_json_encode(lua_State *L);

/* Define a class: metatable `name` with methods, __gc and __tostring. */
void binding_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);

/* Push an empty box of the class; fill it as the last step of a constructor. */
void **binding_box(lua_State *L, const char *name);

/* The object in the box at arg; an error when it is another type or closed. */
void *binding_check(lua_State *L, int arg, const char *name);

/* Push nil, message, code. Returns 3. */
int binding_failure(lua_State *L, int status, const char *text);

/* Replace the error value on top of the stack, which may be anything, with its text.
 * Never raises. The text lives as long as it stays there. */
const char *binding_error_text(lua_State *L);

/* Call the function below nargs arguments on the stack, as lua_pcall does, with
 * a traceback. On an error the stack is as before the function was pushed and
 * *e holds the message with file, line and traceback. Returns 0 or STATUS_ESCRIPT. */
int binding_call(lua_State *L, int nargs, int nresults, struct error *e);

/* The loop of this Lua state, made on first use and freed with the state.
 * Raises an error when it cannot be made. */
struct loop *binding_loop(lua_State *L);

/* For functions that run it: an error when a handler calls them. */
struct loop *binding_idle_loop(lua_State *L);

/* ---- reading tables of options (index `t` is absolute) ---- */

/* t[key] as seconds, in ns; dflt when nil. An error when it is not a number >= 0. */
uint64_t binding_opt_ns(lua_State *L, int t, const char *key, uint64_t dflt);
double binding_opt_number(lua_State *L, int t, const char *key, double dflt);

/* t[key] as a count of at most max, which is below 2^53; 0 when nil. */
uint64_t binding_opt_count(lua_State *L, int t, const char *key, uint64_t max);
bool binding_opt_bool(lua_State *L, int t, const char *key, bool dflt);

/* Push t[key]; an error when it is neither nil nor of this type. */
void binding_opt_type(lua_State *L, int t, const char *key, int type);

/* t[key] as a string that lives as long as the table; NULL when nil. */
const char *binding_opt_string(lua_State *L, int t, const char *key);

/* t[key], a string, as an index into names, which end with NULL; dflt when nil. */
int binding_opt_choice(lua_State *L, int t, const char *key, const char *const *names, int dflt);

/* t[key] as a list of strings. *out is a userdata left on the stack (so are
 * the strings, through the table): valid until it is popped. Returns the count;
 * pushes exactly one value. */
size_t binding_opt_strings(lua_State *L, int t, const char *key, const char *const **out);

/* t[key] = v, of the table on top of the stack. */
void binding_set_number(lua_State *L, const char *key, double v);

/* Open a file for JSON lines; "-" is standard output, which then has to be written by
 * nobody else until the stream is closed. Returns 0 or a status, e names the path. */
int binding_open_lines(FILE **out, const char *path, struct error *e);

#endif
