/* l_input.c - perigee_engine.on_input_end: a function that is called when standard input ends. */
#include "base/input.h"

#include "lua/binding.h"

#include <stdlib.h>

#define INPUT_CLASS "perigee.input"

struct script_input {
	lua_State *L; /* the thread that made it: the one that runs the loop */
	struct input_watch *watch;
	int handler; /* reference to fn */
};

static void on_end(void *ctx)
{
	struct script_input *si = ctx;
	struct error e;
	lua_rawgeti(si->L, LUA_REGISTRYINDEX, si->handler);
	if (binding_call(si->L, 0, 0, &e))
		fprintf(stderr, "perigee: the end of standard input: %s\n", e.text);
}

static int input_gc(lua_State *L)
{
	struct script_input **box = luaL_checkudata(L, 1, INPUT_CLASS);
	struct script_input *si = *box;
	*box = NULL;
	if (!si)
		return 0;
	input_watch_close(si->watch);
	luaL_unref(L, LUA_REGISTRYINDEX, si->handler);
	free(si);
	return 0;
}

/* on_input_end(fn) -> watch, to be kept until its close(); fn() is called once, from the loop.
 * | nil, message, code: "ECLOSED" when it is a file or closed, which have their end at once */
static int l_on_input_end(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TFUNCTION);
	lua_settop(L, 1);
	struct loop *loop = binding_loop(L);
	struct script_input **box = (struct script_input **)binding_box(L, INPUT_CLASS);
	struct script_input *si = calloc(1, sizeof(*si));
	if (!si)
		return binding_failure(L, STATUS_ENOMEM, NULL);
	*si = (struct script_input){ .L = L, .handler = LUA_NOREF };
	*box = si;
	lua_pushvalue(L, 1);
	si->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	int err = input_watch_open(&si->watch, loop, on_end, si);
	if (!err && !si->watch)
		err = STATUS_ECLOSED;
	return err ? binding_failure(L, err, NULL) : 1;
}

void binding_input(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "close", input_gc },
		{ NULL, NULL },
	};
	binding_class(L, INPUT_CLASS, methods, input_gc);
	lua_pushcfunction(L, l_on_input_end);
	lua_setfield(L, -2, "on_input_end");
}
