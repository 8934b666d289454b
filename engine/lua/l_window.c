/* l_window.c - p:window(): what a phase measures from now on, for strategies that judge
 * one step after another. */
#include "lua/script.h"

#include <stdlib.h>

#define WINDOW_CLASS "perigee.window"

/* What the box of the class points to. */
struct script_window {
	struct fold_window window;
	uint64_t dropped; /* at its begin: the events tell it at the end of a phase only */
};

/* The phase that it is of; an error when its session is closed. */
static struct script_phase *phase_of(lua_State *L)
{
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, 1);
	struct script_phase *sp = binding_check(L, lua_gettop(L), PHASE_CLASS);
	lua_pop(L, 2); /* the environment holds it */
	return sp;
}

static void begin(struct script_window *sw, const struct script_phase *sp)
{
	struct session *session = sp->script->session;
	sw->dropped = sp->phase->dropped;
	fold_window_open(session_fold(session), &sw->window, sp->phase->index,
	                 session_now(session));
}

/* p:window() -> window; it begins now */
int window_new_of_phase(lua_State *L)
{
	struct script_phase *sp = binding_check(L, 1, PHASE_CLASS);
	void **box = binding_box(L, WINDOW_CLASS);
	struct script_window *sw = calloc(1, sizeof(*sw));
	*box = sw;
	if (!sw)
		return luaL_error(L, "out of memory");
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	begin(sw, sp);
	return 1;
}

/* window:restart(): it begins anew, now */
static int l_restart(lua_State *L)
{
	begin(binding_check(L, 1, WINDOW_CLASS), phase_of(L));
	return 0;
}

/* window:report() -> as p:report(), of what came since its begin */
static int l_report(lua_State *L)
{
	struct script_window *sw = binding_check(L, 1, WINDOW_CLASS);
	const struct script_phase *sp = phase_of(L);
	struct phase_metrics m;
	fold_window_read(&sw->window, &m);
	report_push_phase(L, &m, REPORT_BRIEF);
	binding_set_number(L, "dropped", (double)(sp->phase->dropped - sw->dropped));
	return 1;
}

static int l_gc(lua_State *L)
{
	struct script_window **box = luaL_checkudata(L, 1, WINDOW_CLASS);
	if (*box)
		fold_window_close(&(*box)->window);
	free(*box);
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
