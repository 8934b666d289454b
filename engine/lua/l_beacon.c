/* l_beacon.c - perigee_engine.beacon and .watch: snapshots of a session, told and seen. */
#include "base/clock.h"
#include "events/beacon.h"

#include "lua/binding.h"
#include "lua/vigil.h"

#define BEACON_CLASS    "perigee.beacon"
#define DEFAULT_IDLE_NS (300 * NS_PER_S)

/* beacon(address) -> beacon | nil, message, code */
static int l_beacon(lua_State *L)
{
	const char *address = luaL_checkstring(L, 1);
	struct error e;
	void **box = binding_box(L, BEACON_CLASS);
	int err = beacon_open((struct beacon **)box, address, &e);
	return err ? binding_failure(L, err, e.text) : 1;
}

/* beacon:send(text) -> true | nil, message, code */
static int l_send(lua_State *L)
{
	struct beacon *b = binding_check(L, 1, BEACON_CLASS);
	size_t len;
	const char *text = luaL_checklstring(L, 2, &len);
	int err = beacon_send(b, text, len);
	if (err)
		return binding_failure(L, err, NULL);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_address(lua_State *L)
{
	lua_pushstring(L, beacon_address(binding_check(L, 1, BEACON_CLASS)));
	return 1;
}

/* beacon:close(): the last text gets a moment to leave. Twice is fine. */
static int l_close(lua_State *L)
{
	struct beacon **box = luaL_checkudata(L, 1, BEACON_CLASS);
	struct beacon *b = *box;
	*box = NULL;
	beacon_close(b);
	return 0;
}

/* ---- watch ---- */

/* Lives on the C stack of one call, as in l_aggregate.c. */
struct look {
	lua_State *L;
	int handler; /* stack index of on_text */
	struct vigil vigil;
	const char *text;
	size_t len;
	struct error error;
};

/* Runs protected. (on_text, look) -> did it say stop? */
static int deliver(lua_State *L)
{
	const struct look *k = lua_touserdata(L, 2);
	lua_settop(L, 1);
	lua_pushlstring(L, k->text, k->len);
	lua_call(L, 1, 1);
	lua_pushboolean(L, lua_isboolean(L, -1) && !lua_toboolean(L, -1));
	return 1;
}

static void on_text(void *ctx, const char *text, size_t len)
{
	struct look *k = ctx;
	lua_State *L = k->L;
	if (k->vigil.outcome)
		return;
	vigil_touch(&k->vigil);
	k->text = text;
	k->len = len;
	lua_pushvalue(L, k->handler + 1); /* deliver */
	lua_pushvalue(L, k->handler);
	lua_pushlightuserdata(L, k);
	if (binding_call(L, 2, 1, &k->error)) {
		vigil_finish(&k->vigil, "script_error");
		return;
	}
	if (lua_toboolean(L, -1))
		vigil_finish(&k->vigil, "ended");
	lua_pop(L, 1);
}

static int look_on(struct look *k, struct loop *loop, const char *address)
{
	struct watcher *w;
	int err = watcher_open(&w, loop, address, on_text, k, &k->error);
	if (err)
		return err;
	err = vigil_run(&k->vigil);
	watcher_close(w);
	if (k->error.status)
		return k->error.status;
	return err ? error_set(&k->error, err, "the event loop failed") : err;
}

/* watch{ connect =, idle_timeout =, on_text = function(text) return false to stop end }
 *   -> { outcome, signal } | nil, message, code
 * outcome is "ended", "idle" or "interrupted". Blocks. */
static int l_watch(lua_State *L)
{
	struct look k = { .L = L };
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	const char *address = binding_opt_string(L, 1, "connect");
	luaL_argcheck(L, address, 1, "connect: an address expected");
	uint64_t idle_ns = binding_opt_ns(L, 1, "idle_timeout", DEFAULT_IDLE_NS);
	lua_getfield(L, 1, "on_text");
	luaL_argcheck(L, lua_isfunction(L, -1), 1, "on_text: a function expected");
	k.handler = lua_gettop(L);
	lua_pushcfunction(L, deliver);
	struct loop *loop = binding_loop(L);
	luaL_checkstack(L, LUA_MINSTACK, NULL);

	int err = vigil_begin(&k.vigil, loop, idle_ns, false);
	if (err)
		error_set(&k.error, err, "cannot watch for signals");
	else
		err = look_on(&k, loop, address);
	vigil_end(&k.vigil);
	if (err)
		return binding_failure(L, err, k.error.text);
	lua_newtable(L);
	lua_pushstring(L, k.vigil.outcome);
	lua_setfield(L, -2, "outcome");
	if (k.vigil.signum) {
		lua_pushinteger(L, k.vigil.signum);
		lua_setfield(L, -2, "signal");
	}
	return 1;
}

void binding_beacon(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "send", l_send },
		{ "address", l_address },
		{ "close", l_close },
		{ NULL, NULL },
	};
	binding_class(L, BEACON_CLASS, methods, l_close);
	lua_pushcfunction(L, l_beacon);
	lua_setfield(L, -2, "beacon");
	lua_pushcfunction(L, l_watch);
	lua_setfield(L, -2, "watch");
}
