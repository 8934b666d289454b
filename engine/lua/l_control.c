/* l_control.c - perigee_engine.control: commands from outside, answered by a Lua function. */
#include "base/clock.h"
#include "events/control.h"

#include "lua/binding.h"

#include <stdlib.h>

#define CONTROL_CLASS "perigee.control"
#define REPLY_LIMIT   ((size_t)1 << 20)

struct script_control {
	lua_State *L; /* the thread that made it: the one that runs the loop */
	struct control *control;
	int handler; /* reference to on_request */
};

static void answer(void *ctx, const char *text, size_t len, struct buffer *reply)
{
	struct script_control *sc = ctx;
	lua_State *L = sc->L;
	struct error e;
	size_t size;
	lua_rawgeti(L, LUA_REGISTRYINDEX, sc->handler);
	lua_pushlstring(L, text, len);
	if (binding_call(L, 1, 1, &e))
		return; /* the socket says that there is no answer */
	const char *said = lua_tolstring(L, -1, &size);
	if (said)
		buffer_append(reply, said, size);
	lua_pop(L, 1);
}

static void release(lua_State *L, struct script_control **box)
{
	struct script_control *sc = *box;
	*box = NULL;
	if (!sc)
		return;
	control_close(sc->control);
	luaL_unref(L, LUA_REGISTRYINDEX, sc->handler);
	free(sc);
}

/* control{ address =, on_request = function(text) return reply end } -> control | nil, message,
 * code */
static int l_control(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	const char *address = binding_opt_string(L, 1, "address");
	luaL_argcheck(L, address, 1, "address: a string expected");
	struct loop *loop = binding_loop(L);
	struct script_control **box = (struct script_control **)binding_box(L, CONTROL_CLASS);
	lua_getfield(L, 1, "on_request");
	luaL_argcheck(L, lua_isfunction(L, -1), 1, "on_request: a function expected");
	struct script_control *sc = calloc(1, sizeof(*sc));
	if (!sc)
		return binding_failure(L, STATUS_ENOMEM, NULL);
	*sc = (struct script_control){ .L = L, .handler = LUA_NOREF };
	*box = sc;
	sc->handler = luaL_ref(L, LUA_REGISTRYINDEX);
	struct error e;
	int err = control_open(&sc->control, loop, address, answer, sc, &e);
	if (!err)
		return 1;
	release(L, box);
	return binding_failure(L, err, e.text);
}

static int l_address(lua_State *L)
{
	struct script_control *sc = binding_check(L, 1, CONTROL_CLASS);
	lua_pushstring(L, control_address(sc->control));
	return 1;
}

/* control:close(). Twice is fine. */
static int l_close(lua_State *L)
{
	release(L, luaL_checkudata(L, 1, CONTROL_CLASS));
	return 0;
}

/* control_request(address, text, timeout) -> reply | nil, message, code */
static int l_request(lua_State *L)
{
	size_t len;
	const char *address = luaL_checkstring(L, 1);
	const char *text = luaL_checklstring(L, 2, &len);
	uint64_t deadline = clock_now() + clock_from_seconds(luaL_checknumber(L, 3));
	struct buffer reply;
	struct error e;
	buffer_init(&reply, REPLY_LIMIT);
	int err = control_request(address, text, len, &reply, deadline, &e);
	if (!err)
		lua_pushlstring(L, reply.data ? reply.data : "", reply.len);
	buffer_free(&reply);
	return err ? binding_failure(L, err, e.text) : 1;
}

void binding_control(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "address", l_address },
		{ "close", l_close },
		{ NULL, NULL },
	};
	binding_class(L, CONTROL_CLASS, methods, l_close);
	lua_pushcfunction(L, l_control);
	lua_setfield(L, -2, "control");
	lua_pushcfunction(L, l_request);
	lua_setfield(L, -2, "control_request");
}
