/* l_exposition.c - perigee_engine.exposition: a page of text served by HTTP, made by a Lua
 * function. */
#include "http/exposition.h"

#include "lua/binding.h"

#include <stdlib.h>

#define EXPOSITION_CLASS "perigee.exposition"

struct script_exposition {
	lua_State *L; /* the thread that made it: the one that runs the loop */
	struct exposition *exposition;
	int handler; /* reference to on_get */
};

static int make(void *ctx, struct buffer *page)
{
	struct script_exposition *se = ctx;
	lua_State *L = se->L;
	struct error e;
	size_t size;
	lua_rawgeti(L, LUA_REGISTRYINDEX, se->handler);
	int err = binding_call(L, 0, 1, &e);
	if (err) {
		fprintf(stderr, "perigee: the page of metrics: %s\n", e.text);
		return err;
	}
	const char *text = lua_tolstring(L, -1, &size);
	err = text ? buffer_append(page, text, size) : STATUS_EINVAL;
	lua_pop(L, 1);
	return err;
}

static void release(lua_State *L, struct script_exposition **box)
{
	struct script_exposition *se = *box;
	*box = NULL;
	if (!se)
		return;
	exposition_close(se->exposition);
	luaL_unref(L, LUA_REGISTRYINDEX, se->handler);
	free(se);
}

/* exposition{ address =, on_get = function() return text end } -> exposition | nil, message,
 * code */
static int l_exposition(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	const char *address = binding_opt_string(L, 1, "address");
	luaL_argcheck(L, address, 1, "address: a string expected");
	struct loop *loop = binding_loop(L);
	struct script_exposition **box =
		(struct script_exposition **)binding_box(L, EXPOSITION_CLASS);
	lua_getfield(L, 1, "on_get");
	luaL_argcheck(L, lua_isfunction(L, -1), 1, "on_get: a function expected");
	struct script_exposition *se = calloc(1, sizeof(*se));
	if (!se)
		return binding_failure(L, STATUS_ENOMEM, NULL);
	*se = (struct script_exposition){ .L = L, .handler = LUA_NOREF };
	*box = se;
	se->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	struct error e;
	int err = exposition_open(&se->exposition, loop, address, make, se, EXPOSITION_DEADLINE_NS,
	                          &e);
	if (!err)
		return 1;
	release(L, box);
	return binding_failure(L, err, e.text);
}

static int l_url(lua_State *L)
{
	struct script_exposition *se = binding_check(L, 1, EXPOSITION_CLASS);
	lua_pushstring(L, exposition_url(se->exposition));
	return 1;
}

/* exposition:close(). Twice is fine. */
static int l_close(lua_State *L)
{
	release(L, luaL_checkudata(L, 1, EXPOSITION_CLASS));
	return 0;
}

void binding_exposition(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "url", l_url },
		{ "close", l_close },
		{ NULL, NULL },
	};
	binding_class(L, EXPOSITION_CLASS, methods, l_close);
	lua_pushcfunction(L, l_exposition);
	lua_setfield(L, -2, "exposition");
}
