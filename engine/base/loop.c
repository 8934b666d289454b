#include "base/loop.h"

#include "base/clock.h"
#include "base/spin.h"
#include "base/status.h"
#include "base/terminal.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#ifdef __linux__
#include <sys/timerfd.h>
#endif

#define SPIN_PERIOD_NS (100 * NS_PER_MS)
#define IDLE_FACTOR    3 /* a polling turn longer than so many of the shortest did work */
#define STUCK_NS       (5 * NS_PER_S) /* a signal that no turn takes for so long: nobody will */
#define SIGNALS        2

static const int signal_numbers[SIGNALS] = { SIGINT, SIGTERM };

/* Who takes the signals. What a signal does is the process's, so this is static. */
static struct loop *_Atomic signal_loop;

/* Simulated time: who keeps poking within one instant, as a strategy that sleeps for 0 s
 * does, would hold time for ever. After so many turns each takes a microsecond. */
#define STILL_TURNS 100000
#define CREEP_NS    NS_PER_US

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare; /* before the wait: arm the alarm */
	uv_check_t check;     /* after the wait: read the clock, timers, hooks */
	uv_idle_t idle;       /* active: the wait returns at once */
	uv_async_t async;     /* loop_wake(), signals */
#ifdef __linux__
	uv_poll_t alarm; /* readable when the timerfd fires */
	int alarm_fd;
#else
	uv_timer_t alarm; /* 1 ms grain, rounded down; the spin covers the rest */
#endif
	uint64_t alarm_ns;      /* what the alarm is set to; 0: off */
	uint64_t turn_limit_ns; /* loop_turn(): wake at the latest then; 0: none */
	uint64_t now_ns;
	struct spin spin;
	uint64_t polls_since_ns; /* this turn polls before a due time, from then; 0: it does not */
	uint64_t least_poll_ns;  /* the shortest such turn so far */
	uint64_t spin_total_ns;
	uint64_t turns;
	uint64_t period_ns; /* when the spin's period began */
	long preempted;     /* of the thread, by then */
	bool poked;
	bool idling;
	bool sleeps; /* until the alarm, which was set for later */
	int handles; /* open uv handles of ours */

	bool is_virtual;      /* now_ns is simulated; nothing of libuv is open */
	bool stopped;         /* virtual: loop_stop() was called */
	uint64_t still_turns; /* virtual: turns since time moved by a jump */

	struct loop_timer **heap;
	size_t heap_len, heap_cap;
	uint64_t next_seq;

	bool firing;         /* timers run */
	atomic_bool running; /* inside uv_run() */

	struct loop_hook *hooks;
	struct loop_hook *last_hooks;
	struct loop_hook *next_hook; /* while hooks run: the one whose turn is next */
	struct loop_hook *urgent;    /* runs between them, too, from urgent_ns on */
	uint64_t urgent_ns;
	void (*on_signal)(void *data, int signum);
	void *on_signal_data;
	/* Written where a signal arrives, on any thread. */
	atomic_uint signals_came[SIGNALS];
	_Atomic uint64_t signal_ns; /* when the first of these came; 0: none */
};

/* ---- heap ---- */

static bool earlier(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

static void heap_set(struct loop *l, size_t i, struct loop_timer *t)
{
	l->heap[i] = t;
	t->slot = i + 1;
}

static void heap_up(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];
	while (i > 0) {
		size_t parent = (i - 1) / 2;
		if (!earlier(t, l->heap[parent]))
			break;
		heap_set(l, i, l->heap[parent]);
		i = parent;
	}
	heap_set(l, i, t);
}

static void heap_down(struct loop *l, size_t i)
{
	struct loop_timer *t = l->heap[i];
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= l->heap_len)
			break;
		if (child + 1 < l->heap_len && earlier(l->heap[child + 1], l->heap[child]))
			child++;
		if (!earlier(l->heap[child], t))
			break;
		heap_set(l, i, l->heap[child]);
		i = child;
	}
	heap_set(l, i, t);
}

int loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t due_ns)
{
	/* One that lags behind its own schedule queues up after all that are due
	 * now; in front of them it would keep them from ever running. */
	if (l->firing && due_ns < l->now_ns)
		due_ns = l->now_ns;
	t->due_ns = due_ns;
	t->seq = l->next_seq++;
	if (t->slot) {
		size_t i = t->slot - 1;
		heap_up(l, i);
		heap_down(l, t->slot - 1);
		return STATUS_OK;
	}
	if (l->heap_len == l->heap_cap) {
		size_t cap = l->heap_cap ? l->heap_cap * 2 : 64;
		struct loop_timer **heap = realloc(l->heap, cap * sizeof(*heap));
		if (!heap)
			return STATUS_ENOMEM;
		l->heap = heap;
		l->heap_cap = cap;
	}
	l->heap[l->heap_len] = t;
	heap_up(l, l->heap_len++);
	return STATUS_OK;
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	if (!t->slot)
		return;
	size_t i = t->slot - 1;
	struct loop_timer *last = l->heap[--l->heap_len];
	t->slot = 0;
	if (last == t)
		return;
	heap_set(l, i, last);
	heap_up(l, i);
	heap_down(l, last->slot - 1);
}

/* Timers armed by a callback for a time already past wait for the next turn,
 * so that one that re-arms itself cannot starve the I/O. */
static void run_timers(struct loop *l)
{
	uint64_t until_seq = l->next_seq;
	l->firing = true;
	while (l->heap_len) {
		struct loop_timer *t = l->heap[0];
		if (t->due_ns > l->now_ns || t->seq >= until_seq)
			break;
		loop_timer_stop(l, t);
		t->fn(t, l->now_ns);
	}
	l->firing = false;
}

/* ---- the wait ---- */

static void on_idle(uv_idle_t *h)
{
	(void)h;
}

static void set_idle(struct loop *l, bool on)
{
	if (on == l->idling)
		return;
	l->idling = on;
	if (on)
		uv_idle_start(&l->idle, on_idle);
	else
		uv_idle_stop(&l->idle);
}

#ifdef __linux__
static void on_alarm(uv_poll_t *h, int status, int events)
{
	struct loop *l = h->data;
	uint64_t expirations;
	(void)status, (void)events;
	if (read(l->alarm_fd, &expirations, sizeof(expirations)) <= 0)
		return;
	if (l->sleeps) /* else it only comes to notice now */
		spin_woke(&l->spin, clock_now() - l->alarm_ns);
	l->alarm_ns = 0;
}

static void set_alarm(struct loop *l, uint64_t due_ns)
{
	if (due_ns == l->alarm_ns)
		return;
	struct itimerspec its = { 0 };
	its.it_value.tv_sec = (time_t)(due_ns / NS_PER_S);
	its.it_value.tv_nsec = (long)(due_ns % NS_PER_S);
	timerfd_settime(l->alarm_fd, TFD_TIMER_ABSTIME, &its, NULL);
	l->alarm_ns = due_ns;
}

static int open_alarm(struct loop *l)
{
	l->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->alarm_fd < 0)
		return STATUS_EIO;
	if (uv_poll_init(&l->uv, &l->alarm, l->alarm_fd))
		return STATUS_EIO;
	l->handles++;
	l->alarm.data = l;
	return uv_poll_start(&l->alarm, UV_READABLE, on_alarm) ? STATUS_EIO : STATUS_OK;
}

static void close_alarm(struct loop *l)
{
	if (l->alarm_fd >= 0)
		close(l->alarm_fd);
}
#else
static void on_alarm(uv_timer_t *h)
{
	((struct loop *)h->data)->alarm_ns = 0;
}

static void set_alarm(struct loop *l, uint64_t due_ns)
{
	if (due_ns == l->alarm_ns)
		return;
	l->alarm_ns = due_ns;
	if (!due_ns) {
		uv_timer_stop(&l->alarm);
		return;
	}
	uv_update_time(&l->uv);
	uint64_t left = due_ns > l->now_ns ? due_ns - l->now_ns : 0;
	uv_timer_start(&l->alarm, on_alarm, left / NS_PER_MS, 0);
}

static int open_alarm(struct loop *l)
{
	if (uv_timer_init(&l->uv, &l->alarm))
		return STATUS_EIO;
	l->handles++;
	l->alarm.data = l;
	return STATUS_OK;
}

static void close_alarm(struct loop *l)
{
	(void)l;
}
#endif

/* A hook may add and remove any. */
static void run_hooks(struct loop *l, struct loop_hook *hook)
{
	for (; hook; hook = l->next_hook) {
		l->next_hook = hook->next;
		hook->fn(hook, l->now_ns);
	}
}

/* How often the thread lost its core to another one. */
static long preemptions(void)
{
#ifdef RUSAGE_THREAD
	struct rusage usage;
	if (!getrusage(RUSAGE_THREAD, &usage))
		return usage.ru_nivcsw;
#endif
	return 0;
}

static void judge_spin(struct loop *l)
{
	if (l->now_ns - l->period_ns < SPIN_PERIOD_NS)
		return;
	long now = preemptions();
	spin_period(&l->spin, (uint64_t)(now - l->preempted));
	l->preempted = now;
	l->period_ns = l->now_ns;
}

/* Is the next due time so near that sleeping until then would pass it? */
static bool spins(struct loop *l, uint64_t due)
{
	return due && due <= loop_refresh(l) + l->spin.window_ns;
}

/* A turn that polled ends now. One that is longer than others had I/O to serve. */
static void count_poll(struct loop *l)
{
	uint64_t ns = l->now_ns - l->polls_since_ns;
	if (ns < l->least_poll_ns)
		l->least_poll_ns = ns;
	if (ns <= IDLE_FACTOR * l->least_poll_ns)
		l->spin_total_ns += ns;
}

static void begin_poll(struct loop *l)
{
	if (l->polls_since_ns)
		count_poll(l);
	else
		judge_spin(l);
	l->polls_since_ns = l->now_ns;
}

static void on_prepare(uv_prepare_t *h)
{
	struct loop *l = h->data;
	run_hooks(l, l->last_hooks);
	uint64_t due = l->heap_len ? l->heap[0]->due_ns : 0;
	if (l->turn_limit_ns && (!due || l->turn_limit_ns < due))
		due = l->turn_limit_ns;

	bool poll = spins(l, due), at_once = l->poked || poll;
	l->poked = false;
	if (poll)
		begin_poll(l);
	else
		l->polls_since_ns = 0;
	set_idle(l, at_once);
	/* The alarm may stay as it is, at worst it wakes us once more. */
	if (!at_once)
		set_alarm(l, due ? due - l->spin.window_ns : 0);
	l->sleeps = !at_once && l->alarm_ns > l->now_ns;
}

static void on_check(uv_check_t *h)
{
	struct loop *l = h->data;
	loop_refresh(l);
	l->turns++;
	if (l->polls_since_ns && l->heap_len && l->heap[0]->due_ns <= l->now_ns) {
		count_poll(l);
		l->polls_since_ns = 0;
	}
	run_timers(l);
	run_hooks(l, l->hooks);
}

/* ---- simulated time ---- */

/* When the next turn takes place; 0: never. */
static uint64_t next_instant(struct loop *l)
{
	uint64_t due = l->heap_len ? l->heap[0]->due_ns : 0;
	if (l->turn_limit_ns && (!due || l->turn_limit_ns < due))
		due = l->turn_limit_ns;
	if (l->poked || (due && due < l->now_ns))
		due = l->now_ns;
	l->poked = false;
	return due;
}

static int turn_virtual(struct loop *l)
{
	run_hooks(l, l->last_hooks);
	uint64_t next = next_instant(l);
	if (!next)
		return STATUS_ETIMEDOUT;
	if (next > l->now_ns)
		l->still_turns = 0;
	else if (++l->still_turns > STILL_TURNS)
		next += CREEP_NS;
	l->now_ns = next;
	run_timers(l);
	run_hooks(l, l->hooks);
	return STATUS_OK;
}

static int run_virtual(struct loop *l, uv_run_mode mode)
{
	int err = STATUS_OK;
	while (!err && !l->stopped) {
		err = turn_virtual(l);
		if (mode == UV_RUN_ONCE)
			break;
	}
	l->stopped = false;
	return err;
}

/* What else wakes the loop wants the turn itself. */
static void on_async(uv_async_t *h)
{
	struct loop *l = h->data;
	atomic_store(&l->signal_ns, 0);
	for (int i = 0; i < SIGNALS; i++)
		for (unsigned n = atomic_exchange(&l->signals_came[i], 0); n && l->on_signal; n--)
			l->on_signal(l->on_signal_data, signal_numbers[i]);
}

/* Only what may be done anywhere: atomics, the clock, uv_async_send(). A callback that never
 * returns would make the process deaf; then a further signal does what it does by default. */
static void on_arrival(int signum)
{
	struct loop *l = atomic_load(&signal_loop);
	int saved = errno;
	if (!l)
		return;
	uint64_t now = clock_now(), none = 0;
	if (!atomic_compare_exchange_strong(&l->signal_ns, &none, now) &&
	    atomic_load(&l->running) && now - none >= STUCK_NS) {
		terminal_restore();
		signal(signum, SIG_DFL);
		raise(signum);
	}
	for (int i = 0; i < SIGNALS; i++)
		if (signal_numbers[i] == signum)
			atomic_fetch_add(&l->signals_came[i], 1);
	uv_async_send(&l->async);
	errno = saved;
}

/* ---- life ---- */

/* uv_prepare, uv_check, uv_idle and uv_async have alike init calls that cannot
 * fail, except for the async's pipe. */
static int open_handles(struct loop *l)
{
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	l->handles += 3;
	l->prepare.data = l->check.data = l->idle.data = l->async.data = l;
	if (uv_async_init(&l->uv, &l->async, on_async))
		return STATUS_EIO;
	l->handles++;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	return open_alarm(l);
}

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));
	if (!l)
		return STATUS_ENOMEM;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	spin_init(&l->spin, LOOP_SPIN_DEFAULT);
	l->urgent_ns = UINT64_MAX;
	l->preempted = preemptions();
	l->least_poll_ns = UINT64_MAX / IDLE_FACTOR;
#ifdef __linux__
	l->alarm_fd = -1;
#endif
	if (uv_loop_init(&l->uv)) {
		free(l);
		return STATUS_EIO;
	}
	loop_refresh(l);
	int err = open_handles(l);
	if (err) {
		loop_free(l);
		return err;
	}
	*out = l;
	return STATUS_OK;
}

int loop_new_virtual(struct loop **out, uint64_t start_ns)
{
	assert(start_ns > 0);
	struct loop *l = calloc(1, sizeof(*l));
	if (!l)
		return STATUS_ENOMEM;
	l->is_virtual = true;
	l->urgent_ns = UINT64_MAX;
	l->now_ns = start_ns;
	*out = l;
	return STATUS_OK;
}

bool loop_is_virtual(const struct loop *l)
{
	return l->is_virtual;
}

static void close_own(uv_handle_t *h, void *arg)
{
	struct loop *l = arg;
	if (h->data == l && !uv_is_closing(h))
		uv_close(h, NULL);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->on_signal)
		loop_on_signal(l, NULL, NULL);
	if (l->handles) {
		uv_walk(&l->uv, close_own, l);
		while (uv_run(&l->uv, UV_RUN_NOWAIT))
			;
	}
	if (!l->is_virtual) {
		close_alarm(l);
		uv_loop_close(&l->uv);
	}
	free(l->heap);
	free(l);
}

struct uv_loop_s *loop_uv(struct loop *l)
{
	assert(!l->is_virtual);
	return &l->uv;
}

static int run(struct loop *l, uv_run_mode mode)
{
	assert(!l->running);
	l->running = true;
	int err = STATUS_OK;
	if (l->is_virtual)
		err = run_virtual(l, mode);
	else if (uv_run(&l->uv, mode) < 0)
		err = STATUS_EIO;
	l->running = false;
	return err;
}

int loop_run(struct loop *l)
{
	loop_refresh(l);
	return run(l, UV_RUN_DEFAULT);
}

bool loop_is_running(const struct loop *l)
{
	return l->running;
}

int loop_turn(struct loop *l, uint64_t timeout_ns)
{
	uint64_t now = loop_refresh(l);
	l->turn_limit_ns = timeout_ns < UINT64_MAX - now ? now + timeout_ns : 0;
	int err = run(l, UV_RUN_ONCE);
	l->turn_limit_ns = 0;
	return err;
}

uint64_t loop_next_due(const struct loop *l)
{
	if (l->poked)
		return 0;
	return l->heap_len ? l->heap[0]->due_ns : UINT64_MAX;
}

void loop_stop(struct loop *l)
{
	if (l->is_virtual)
		l->stopped = true;
	else
		uv_stop(&l->uv);
}

uint64_t loop_now(const struct loop *l)
{
	return l->now_ns;
}

uint64_t loop_refresh(struct loop *l)
{
	if (!l->is_virtual)
		l->now_ns = clock_now();
	return l->now_ns;
}

void loop_set_spin(struct loop *l, uint64_t max_ns)
{
	spin_init(&l->spin, max_ns);
}

void loop_stats(const struct loop *l, struct loop_stats *out)
{
	*out = (struct loop_stats){
		.turns = l->turns,
		.spin_ns = l->spin_total_ns,
		.window_ns = l->spin.window_ns,
		.grain_ns = l->spin.grain_ns,
	};
}

static void append_hook(struct loop_hook **list, struct loop_hook *h)
{
	while (*list)
		list = &(*list)->next;
	h->next = NULL;
	*list = h;
}

static void remove_hook(struct loop_hook **list, struct loop_hook *h)
{
	while (*list && *list != h)
		list = &(*list)->next;
	if (*list)
		*list = h->next;
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
	append_hook(&l->hooks, h);
}

void loop_hook_add_last(struct loop *l, struct loop_hook *h)
{
	append_hook(&l->last_hooks, h);
}

void loop_hook_remove(struct loop *l, struct loop_hook *h)
{
	if (l->next_hook == h)
		l->next_hook = h->next;
	remove_hook(&l->hooks, h);
	remove_hook(&l->last_hooks, h);
}

void loop_set_urgent(struct loop *l, struct loop_hook *h, uint64_t due_ns)
{
	l->urgent = h;
	l->urgent_ns = l->is_virtual ? UINT64_MAX : due_ns;
}

void loop_yield(struct loop *l)
{
	if (l->urgent_ns == UINT64_MAX || l->urgent_ns > loop_refresh(l))
		return;
	l->urgent_ns = UINT64_MAX; /* what it does yields to nobody */
	l->urgent->fn(l->urgent, l->now_ns);
}

void loop_poke(struct loop *l)
{
	l->poked = true;
}

void loop_wake(struct loop *l)
{
	assert(!l->is_virtual);
	uv_async_send(&l->async);
}

int loop_on_signal(struct loop *l, void (*fn)(void *data, int signum), void *data)
{
	struct sigaction action = { .sa_flags = SA_RESTART };
	assert(!l->is_virtual);
	action.sa_handler = fn ? on_arrival : SIG_DFL;
	sigfillset(&action.sa_mask);
	l->on_signal = fn;
	l->on_signal_data = data;
	if (fn)
		atomic_store(&signal_loop, l);
	for (int i = 0; i < SIGNALS; i++)
		if (sigaction(signal_numbers[i], &action, NULL))
			return STATUS_EIO;
	if (!fn)
		atomic_store(&signal_loop, NULL);
	return STATUS_OK;
}
