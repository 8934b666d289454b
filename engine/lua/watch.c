#include "lua/watch.h"

#include "base/clock.h"
#include "base/status.h"

#include <assert.h>
#include <errno.h>
#include <lauxlib.h>
#include <luajit.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

#define WATCH_CLASS  "perigee.watch"
#define WATCH_THREAD "perigee.watch.thread"
#define LOOKS        8                 /* in the time of the shortest limit */
#define MOST_NS      (250 * NS_PER_MS) /* between two looks */
#define LEAST_NS     (5 * NS_PER_MS)
#define GRACE_NS     (2 * NS_PER_S) /* at least, for an interrupted call to end */
#define PARK_US      1000
#define PARK_TRIES   1000

/* What a signal does is the process's, so this is static. */
static struct watch {
	/* the script's thread */
	lua_State *L; /* a Lua thread of the watch's own; NULL: closed */
	pthread_t script;
	unsigned depth;
	char place[256];           /* "file:line: " of the interrupted call; "": none is */
	struct sigaction profiler; /* LuaJIT's own handler of the signal */

	/* of the outermost call, written before `call` */
	const char *_Atomic phase, *_Atomic what;
	_Atomic uint64_t limit_ns;

	_Atomic uint64_t call;    /* odd: inside, the same number as long as it is the same call */
	_Atomic uint64_t overdue; /* the call to interrupt */
	atomic_bool park;         /* the script's thread shall sleep for good ... */
	atomic_bool parked;       /* ... and does */

	/* the watch's thread; the rest under the lock */
	uv_thread_t thread;
	uv_mutex_t lock;
	uv_cond_t wake;
	uint64_t tick_ns;
	bool closing;
	void (*last_resort)(void *ctx);
	void *last_resort_ctx;
} watch;

/* ---- interrupting, on the script's thread ---- */

static int describe_limit(char *out, size_t size)
{
	return snprintf(out, size, "%g s", (double)watch.limit_ns / 1e9);
}

/* Raises at every instruction until the call has left Lua: a pcall() in the script does
 * not hold it. It is told where that was the first time. */
static void on_hook(lua_State *L, lua_Debug *ar)
{
	char limit[32];
	(void)ar;
	describe_limit(limit, sizeof(limit));
	if (!*watch.place) {
		luaL_where(L, 0);
		snprintf(watch.place, sizeof(watch.place), "%s", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	lua_pushfstring(L, "%sdid not return within %s", watch.place, limit);
	lua_error(L);
}

void watch_calm(lua_State *L)
{
	if (atomic_load_explicit(&watch.overdue, memory_order_relaxed) ==
	    atomic_load_explicit(&watch.call, memory_order_relaxed))
		lua_sethook(L, NULL, 0, 0);
}

/* Where LuaJIT's profiler would tell a sample; that compiled code comes here is all that
 * is wanted of it. */
static void on_sample(void *data, lua_State *L, int samples, int vmstate)
{
	(void)data, (void)L, (void)samples, (void)vmstate;
}

static void on_signal(int signum)
{
	uint64_t call = atomic_load(&watch.call);
	int saved = errno;
	while (atomic_load(&watch.park)) {
		atomic_store(&watch.parked, true);
		usleep(PARK_US);
	}
	if ((call & 1) && call == atomic_load(&watch.overdue)) {
		lua_sethook(watch.L, on_hook, LUA_MASKCOUNT, 1);
		watch.profiler.sa_handler(signum); /* makes compiled code leave */
	}
	errno = saved;
}

bool watch_enter(const char *phase, const char *what, uint64_t limit_ns)
{
	if (watch.depth++ > 0)
		return false;
	atomic_store_explicit(&watch.phase, phase, memory_order_relaxed);
	atomic_store_explicit(&watch.what, what, memory_order_relaxed);
	atomic_store_explicit(&watch.limit_ns, limit_ns, memory_order_relaxed);
	uint64_t call = atomic_load_explicit(&watch.call, memory_order_relaxed);
	atomic_store_explicit(&watch.call, call + 1, memory_order_release);
	return true;
}

void watch_leave(void)
{
	assert(watch.depth > 0);
	if (--watch.depth > 0)
		return;
	uint64_t call = atomic_load_explicit(&watch.call, memory_order_relaxed);
	atomic_store_explicit(&watch.call, call + 1, memory_order_release);
	if (atomic_load_explicit(&watch.overdue, memory_order_relaxed) != call || !watch.L)
		return;
	lua_sethook(watch.L, NULL, 0, 0);
	*watch.place = '\0';
}

/* ---- looking, on the watch's thread ---- */

/* Writes to standard error without the C library's locks, which the script may hold. */
static void tell_the_end(void)
{
	char text[512], limit[32];
	const char *phase = watch.phase, *what = watch.what;
	describe_limit(limit, sizeof(limit));
	int n = snprintf(text, sizeof(text),
	                 "perigee: %s%s%s%s did not return within %s, and could not be "
	                 "interrupted: it is in C code. The run ends here.\n",
	                 phase ? "phase '" : "", phase ? phase : "", phase ? "', " : "", what,
	                 limit);
	size_t len = n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1;
	if (write(STDERR_FILENO, text, len) < 0)
		return;
}

/* The script's thread stops where it is, so that what it owns can be read. */
static void park(void)
{
	atomic_store(&watch.parked, false);
	atomic_store(&watch.park, true);
	pthread_kill(watch.script, SIGPROF);
	for (int i = 0; i < PARK_TRIES && !atomic_load(&watch.parked); i++)
		usleep(PARK_US);
}

static void end_process(uint64_t call)
{
	park();
	if (atomic_load(&watch.call) == call) {
		tell_the_end();
		watch.last_resort(watch.last_resort_ctx);
	}
	atomic_store(&watch.park, false); /* it came back just now */
}

/* A call has been under way for inside_ns. */
static void judge(uint64_t call, uint64_t inside_ns)
{
	uint64_t limit = atomic_load(&watch.limit_ns);
	if (!limit || inside_ns < limit || atomic_load(&watch.call) != call)
		return;
	atomic_store(&watch.overdue, call);
	pthread_kill(watch.script, SIGPROF);
	uint64_t grace = limit > GRACE_NS ? limit : GRACE_NS;
	if (watch.last_resort && inside_ns >= limit + grace)
		end_process(call);
}

static void *look(void *arg)
{
	uint64_t seen = 0, inside_ns = 0;
	(void)arg;
	uv_mutex_lock(&watch.lock);
	while (!watch.closing) {
		uint64_t tick = watch.tick_ns;
		if (uv_cond_timedwait(&watch.wake, &watch.lock, tick) != UV_ETIMEDOUT)
			continue;
		uint64_t call = atomic_load_explicit(&watch.call, memory_order_acquire);
		inside_ns = call == seen ? inside_ns + tick : 0;
		seen = call;
		if (call & 1)
			judge(call, inside_ns);
	}
	uv_mutex_unlock(&watch.lock);
	return NULL;
}

static void run_thread(void *arg)
{
	look(arg);
}

/* ---- life ---- */

/* The profiler makes compiled code look at hooks; its timer is not needed. */
static int take_signal(lua_State *L)
{
	struct itimerval off = { 0 };
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: a read ends */
	luaJIT_profile_start(L, "l", on_sample, NULL);
	setitimer(ITIMER_PROF, &off, NULL);
	sigfillset(&action.sa_mask);
	return sigaction(SIGPROF, &action, &watch.profiler) ? STATUS_EIO : STATUS_OK;
}

/* The thread is deaf: signals are for those who handle them. */
static int start_thread(void)
{
	sigset_t all, saved;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	int err = uv_thread_create(&watch.thread, run_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return err ? STATUS_EIO : STATUS_OK;
}

static void close_watch(void)
{
	uv_mutex_lock(&watch.lock);
	watch.closing = true;
	uv_cond_signal(&watch.wake);
	uv_mutex_unlock(&watch.lock);
	uv_thread_join(&watch.thread);
	uv_cond_destroy(&watch.wake);
	uv_mutex_destroy(&watch.lock);
	luaJIT_profile_stop(watch.L);
	watch.L = NULL;
}

static int l_gc(lua_State *L)
{
	(void)L;
	close_watch();
	return 0;
}

static uint64_t tick_for(uint64_t limit_ns)
{
	uint64_t tick = limit_ns / LOOKS;
	return tick < LEAST_NS ? LEAST_NS : tick > MOST_NS ? MOST_NS : tick;
}

/* The watch lives as long as the state, and its Lua thread likewise. */
static lua_State *tie_to_state(lua_State *L)
{
	lua_newuserdata(L, 1);
	if (luaL_newmetatable(L, WATCH_CLASS)) {
		lua_pushcfunction(L, l_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	lua_setfield(L, LUA_REGISTRYINDEX, WATCH_CLASS);
	lua_State *own = lua_newthread(L);
	lua_setfield(L, LUA_REGISTRYINDEX, WATCH_THREAD);
	return own;
}

static bool is_of_state(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, WATCH_CLASS);
	bool found = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return found;
}

static int open_watch(lua_State *L, uint64_t limit_ns)
{
	watch.tick_ns = tick_for(limit_ns);
	watch.script = pthread_self();
	watch.closing = false;
	if (uv_mutex_init(&watch.lock))
		return STATUS_EIO;
	if (uv_cond_init(&watch.wake)) {
		uv_mutex_destroy(&watch.lock);
		return STATUS_EIO;
	}
	int err = take_signal(L);
	if (!err)
		err = start_thread();
	if (err) {
		luaJIT_profile_stop(L);
		uv_cond_destroy(&watch.wake);
		uv_mutex_destroy(&watch.lock);
		return err;
	}
	watch.L = tie_to_state(L);
	return STATUS_OK;
}

int watch_open(lua_State *L, uint64_t limit_ns)
{
	if (!watch.L)
		return open_watch(L, limit_ns);
	if (!is_of_state(L))
		return STATUS_EINVAL;
	uv_mutex_lock(&watch.lock);
	if (limit_ns && tick_for(limit_ns) < watch.tick_ns)
		watch.tick_ns = tick_for(limit_ns);
	uv_mutex_unlock(&watch.lock);
	return STATUS_OK;
}

void watch_set_last_resort(void (*fn)(void *ctx), void *ctx)
{
	if (!watch.L)
		return;
	uv_mutex_lock(&watch.lock);
	watch.last_resort = fn;
	watch.last_resort_ctx = ctx;
	uv_mutex_unlock(&watch.lock);
}
