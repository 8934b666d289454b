/* l_window.c - p:window(): what a phase measures from now on, for strategies that judge
 * one step after another. */
#include "metrics/window.h"

#include "lua/script.h"

#include <stdlib.h>

#define WINDOW_CLASS "perigee.window"

/* What the box of the class points to. */
struct script_window {
	struct window *window;
	uint64_t dropped; /* at its begin: the events tell it at the end of a phase only */
};

static void free_window(struct script_window *sw)
{
	if (sw)
		window_free(sw->window);
	free(sw);
}

/* The phase that it is of; an error when its session is closed. */
static struct script_phase *phase_of(lua_State *L)
{
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, 1);
	struct script_phase *sp = binding_check(L, lua_gettop(L), PHASE_CLASS);
	lua_pop(L, 2); /* the environment holds it */
	return sp;
}

static const struct phase_metrics *metrics_of(const struct script_phase *sp)
{
	return fold_phase(session_fold(sp->script->session), sp->phase->index);
}

static void begin(lua_State *L, struct script_window *sw, const struct script_phase *sp)
{
	sw->dropped = sp->phase->dropped;
	if (window_begin(sw->window, metrics_of(sp), session_now(sp->script->session)))
		luaL_error(L, "out of memory");
}

/* p:window() -> window; it begins now */
int window_new_of_phase(lua_State *L)
{
	struct script_phase *sp = binding_check(L, 1, PHASE_CLASS);
	void **box = binding_box(L, WINDOW_CLASS);
	struct script_window *sw = calloc(1, sizeof(*sw));
	*box = sw;
	if (!sw || window_new(&sw->window))
		return luaL_error(L, "out of memory");
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	begin(L, sw, sp);
	return 1;
}

/* window:restart(): it begins anew, now */
static int l_restart(lua_State *L)
{
	begin(L, binding_check(L, 1, WINDOW_CLASS), phase_of(L));
	return 0;
}

/* window:report() -> as p:report(), of what came since its begin */
static int l_report(lua_State *L)
{
	struct script_window *sw = binding_check(L, 1, WINDOW_CLASS);
	const struct script_phase *sp = phase_of(L);
	const struct phase_metrics *m = window_read(sw->window, metrics_of(sp));
	if (!m)
		return luaL_error(L, "out of memory");
	report_push_phase(L, m);
	binding_set_number(L, "dropped", (double)(sp->phase->dropped - sw->dropped));
	return 1;
}

static int l_gc(lua_State *L)
{
	void **box = luaL_checkudata(L, 1, WINDOW_CLASS);
	free_window(*box);
	*box = NULL;
	return 0;
}

void script_window_class(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "restart", l_restart },
		{ "report", l_report },
		{ NULL, NULL },
	};
	binding_class(L, WINDOW_CLASS, methods, l_gc);
}
