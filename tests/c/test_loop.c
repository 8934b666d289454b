#include "base/loop.h"

#include "base/clock.h"
#include "base/rng.h"

#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <uv.h>

#define DEADLINE (10 * NS_PER_S) /* for what must come; nothing is measured */
#define LOG_SIZE 1024

/* A timer or a hook that writes its letter into the common log. */
struct log {
	char text[LOG_SIZE];
	size_t len;
};

struct probe {
	struct loop_timer timer;
	struct loop_hook hook;
	struct loop *loop;
	struct log *log;
	char letter;
	int calls;
	uint64_t asked_ns; /* what the timer was armed for */
	struct probe *other;
	int fd; /* of a pipe: where to read */
};

static void write_log(struct probe *p)
{
	p->calls++;
	if (p->log && p->log->len < LOG_SIZE - 1)
		p->log->text[p->log->len++] = p->letter;
}

static void on_timer(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	assert_true(now_ns >= p->asked_ns);
	assert_true(clock_now() >= p->asked_ns);
	assert_int_equal(t->slot, 0);
	write_log(p);
}

static void on_hook(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	assert_true(now_ns > 0);
	write_log(p);
}

static struct probe make(struct loop *l, struct log *log, char letter)
{
	return (struct probe){ .loop = l, .log = log, .letter = letter };
}

static void arm(struct probe *p, uint64_t due_ns)
{
	if (!p->timer.fn)
		p->timer.fn = on_timer;
	p->timer.data = p;
	p->asked_ns = due_ns;
	assert_ok(loop_timer_start(p->loop, &p->timer, due_ns));
}

static void hook(struct probe *p, void (*fn)(struct loop_hook *h, uint64_t now_ns))
{
	p->hook.fn = fn;
	p->hook.data = p;
	loop_hook_add(p->loop, &p->hook);
}

static void turns_until(struct loop *l, const int *count, int wanted)
{
	uint64_t deadline = clock_now() + DEADLINE;
	while (*count < wanted) {
		assert_true(clock_now() < deadline);
		assert_ok(loop_turn(l, DEADLINE));
	}
}

static int setup(void **state)
{
	return loop_new((struct loop **)state);
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

/* ---- timers ---- */

static void timers_fire_in_due_order_and_never_before(void **state)
{
	struct loop *l = *state;
	static struct probe probes[200];
	static const uint64_t spins[] = { 50 * NS_PER_US, 0, NS_PER_S };
	for (size_t k = 0; k < COUNT_OF(spins); k++) {
		struct rng r;
		rng_init(&r, 1, k);
		loop_set_spin(l, spins[k]);
		struct probe end = make(l, NULL, 'e');
		uint64_t now = clock_now(), order[COUNT_OF(probes)];
		for (size_t i = 0; i < COUNT_OF(probes); i++) {
			probes[i] = make(l, NULL, 't');
			order[i] = now + rng_below(&r, 5 * NS_PER_MS);
			arm(&probes[i], order[i]);
		}
		arm(&end, now + 5 * NS_PER_MS);
		uint64_t deadline = clock_now() + DEADLINE;
		while (!end.calls) {
			assert_true(clock_now() < deadline);
			assert_ok(loop_turn(l, DEADLINE));
			/* Whoever fired was due before whoever did not. */
			uint64_t fired = 0, waits = UINT64_MAX;
			for (size_t i = 0; i < COUNT_OF(probes); i++) {
				if (probes[i].calls && order[i] > fired)
					fired = order[i];
				if (!probes[i].calls && order[i] < waits)
					waits = order[i];
			}
			assert_true(fired <= waits);
		}
		for (size_t i = 0; i < COUNT_OF(probes); i++)
			assert_int_equal(probes[i].calls, 1);
	}
}

/* Polls before due times until something was polled for; a busy machine may wake us too late for
 * that. */
static void what_is_polled_is_counted(void **state)
{
	struct loop *l = *state;
	struct loop_stats stats;
	struct probe p = make(l, NULL, 't');
	uint64_t began = clock_now(), deadline = began + DEADLINE;
	loop_set_spin(l, 0);
	for (int i = 1; i <= 20; i++) {
		arm(&p, clock_now() + 100 * NS_PER_US);
		turns_until(l, &p.calls, i);
	}
	loop_stats(l, &stats);
	assert_true(stats.turns >= 20);
	assert_int_equal(stats.spin_ns, 0);
	assert_int_equal(stats.window_ns, 0);
	loop_set_spin(l, LOOP_SPIN_DEFAULT);
	while (!stats.spin_ns) {
		assert_true(clock_now() < deadline);
		arm(&p, clock_now() + 100 * NS_PER_US);
		turns_until(l, &p.calls, p.calls + 1);
		loop_stats(l, &stats);
	}
	assert_true(stats.spin_ns <= clock_now() - began);
	assert_true(stats.window_ns > 0 && stats.window_ns <= LOOP_SPIN_DEFAULT);
}

static void timers_of_one_turn_fire_in_due_order(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	static const char letters[] = "hcabgfed";
	struct probe p[8];
	for (size_t i = 0; i < COUNT_OF(p); i++) {
		p[i] = make(l, &log, letters[i]);
		arm(&p[i], (uint64_t)letters[i]); /* long past */
	}
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "abcdefgh");
}

static void ties_fire_in_the_order_of_arming(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe p[26];
	uint64_t due = clock_now() + NS_PER_MS;
	for (size_t i = 0; i < COUNT_OF(p); i++)
		p[i] = make(l, &log, (char)('a' + i));
	for (size_t i = 0; i < COUNT_OF(p); i++)
		arm(&p[(i * 7) % 26], due);
	turns_until(l, &p[(25 * 7) % 26].calls, 1);
	for (size_t i = 0; i < COUNT_OF(p); i++)
		assert_int_equal(log.text[i], 'a' + (i * 7) % 26);
}

static void arming_again_moves_a_timer(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c');
	arm(&a, 10);
	arm(&b, 20);
	arm(&c, 30);
	arm(&a, 25); /* later */
	arm(&c, 5);  /* earlier */
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "cba");
	assert_ok(loop_turn(l, 0));
	assert_int_equal(log.len, 3);
}

static void a_stopped_timer_does_not_fire(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b');
	arm(&a, 1);
	arm(&b, 2);
	loop_timer_stop(l, &a.timer);
	loop_timer_stop(l, &a.timer); /* not armed: nothing */
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "b");
	arm(&a, 1);
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "ba");
}

static uint64_t last_due_ns;

static void on_timer_in_order(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	on_timer(t, now_ns);
	assert_true(p->asked_ns >= last_due_ns);
	last_due_ns = p->asked_ns;
}

/* Many starts, moves and stops; then the order of what is left tells on the heap. */
static void the_heap_survives_any_course(void **state)
{
	struct loop *l = *state;
	static struct probe probes[300];
	struct rng r;
	rng_init(&r, 3, 0);
	struct log log = { 0 };
	last_due_ns = 0;
	for (size_t i = 0; i < COUNT_OF(probes); i++) {
		probes[i] = make(l, &log, 'x');
		probes[i].timer.fn = on_timer_in_order;
	}
	for (int i = 0; i < 20000; i++) {
		struct probe *p = &probes[rng_below(&r, COUNT_OF(probes))];
		if (rng_below(&r, 3) == 0)
			loop_timer_stop(l, &p->timer);
		else
			arm(p, 1 + rng_below(&r, 1000));
	}
	size_t armed = 0;
	for (size_t i = 0; i < COUNT_OF(probes); i++)
		armed += probes[i].timer.slot != 0;
	assert_true(armed > 100);
	assert_ok(loop_turn(l, DEADLINE));
	assert_int_equal(log.len, armed);
}

static void on_timer_stop_other(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	on_timer(t, now_ns);
	loop_timer_stop(p->loop, &p->other->timer);
}

static void a_callback_may_stop_a_timer_that_is_due_as_well(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c');
	a.timer.fn = on_timer_stop_other;
	a.other = &b;
	arm(&a, 1);
	arm(&b, 2);
	arm(&c, 3);
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "ac");
}

/* Always late: it arms itself for a time long past. */
static void on_timer_again(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	on_timer(t, now_ns);
	arm(p, 1);
}

static void on_pipe(uv_poll_t *h, int status, int events)
{
	struct probe *p = h->data;
	char byte;
	assert_int_equal(status, 0);
	assert_int_equal(events, UV_READABLE);
	assert_int_equal(read(p->fd, &byte, 1), 1);
	write_log(p);
}

static void open_pipe(struct probe *p, uv_poll_t *poll, int fd[2])
{
	assert_int_equal(pipe(fd), 0);
	p->fd = fd[0];
	poll->data = p;
	assert_int_equal(uv_poll_init(loop_uv(p->loop), poll, fd[0]), 0);
	assert_int_equal(uv_poll_start(poll, UV_READABLE, on_pipe), 0);
}

static void close_pipe(struct loop *l, uv_poll_t *poll, int fd[2])
{
	uv_close((uv_handle_t *)poll, NULL);
	assert_ok(loop_turn(l, 0));
	close(fd[0]);
	close(fd[1]);
}

static void a_timer_that_arms_itself_lets_io_through(void **state)
{
	struct loop *l = *state;
	struct probe again = make(l, NULL, 'a'), io = make(l, NULL, 'i'), h = make(l, NULL, 'h');
	uv_poll_t poll;
	int fd[2];
	again.timer.fn = on_timer_again;
	arm(&again, 1);
	hook(&h, on_hook);
	open_pipe(&io, &poll, fd);
	assert_int_equal(write(fd[1], "x", 1), 1);
	turns_until(l, &io.calls, 1);
	turns_until(l, &again.calls, 5);
	assert_int_equal(again.calls, h.calls); /* once per turn */
	close_pipe(l, &poll, fd);
	loop_timer_stop(l, &again.timer);
}

/* It lags behind a schedule of its own; others are due in between. */
static void a_timer_that_arms_itself_lets_other_timers_through(void **state)
{
	struct loop *l = *state;
	struct probe again = make(l, NULL, 'a'), other = make(l, NULL, 'o');
	again.timer.fn = on_timer_again;
	arm(&again, 1);
	arm(&other, 2);
	turns_until(l, &again.calls, 5);
	assert_int_equal(other.calls, 1);
	arm(&other, 2); /* and one that comes later */
	turns_until(l, &again.calls, 10);
	assert_int_equal(other.calls, 2);
	assert_int_equal(again.calls, 10);
	loop_timer_stop(l, &again.timer);
}

/* ---- hooks ---- */

static void hooks_run_last_in_the_order_of_adding(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c'),
		     t = make(l, &log, 't'), io = make(l, &log, 'i');
	uv_poll_t poll;
	int fd[2];
	open_pipe(&io, &poll, fd);
	assert_int_equal(write(fd[1], "x", 1), 1);
	arm(&t, 1);
	hook(&a, on_hook);
	hook(&b, on_hook);
	hook(&c, on_hook);
	assert_ok(loop_turn(l, DEADLINE));
	assert_string_equal(log.text, "itabc");

	loop_hook_remove(l, &b.hook);
	loop_hook_remove(l, &b.hook); /* not there: nothing */
	assert_ok(loop_turn(l, 0));
	assert_string_equal(log.text, "itabcac");
	close_pipe(l, &poll, fd);
	loop_hook_remove(l, &a.hook);
	loop_hook_remove(l, &c.hook);
	assert_ok(loop_turn(l, 0));
	assert_string_equal(log.text, "itabcacac");
}

static void on_hook_remove_self(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	loop_hook_remove(p->loop, h);
}

static void on_hook_remove_other(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	loop_hook_remove(p->loop, &p->other->hook);
}

static void a_hook_may_remove_the_one_after_it(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c');
	a.other = &b;
	hook(&a, on_hook_remove_other);
	hook(&b, on_hook);
	hook(&c, on_hook);
	assert_ok(loop_turn(l, 0));
	assert_string_equal(log.text, "ac");
	loop_hook_remove(l, &a.hook);
	loop_hook_remove(l, &c.hook);
}

static void on_hook_add_other(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	if (p->calls == 1)
		hook(p->other, on_hook);
}

static void hooks_may_come_and_go_while_they_run(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c'),
		     d = make(l, &log, 'd');
	hook(&a, on_hook_remove_self);
	hook(&b, on_hook_add_other);
	b.other = &d;
	hook(&c, on_hook);
	assert_ok(loop_turn(l, 0));
	assert_memory_equal(log.text, "abc", 3);
	log.len = 0;
	assert_ok(loop_turn(l, 0));
	assert_memory_equal(log.text, "bcd", 3);
	loop_hook_remove(l, &b.hook);
	loop_hook_remove(l, &c.hook);
	loop_hook_remove(l, &d.hook);
}

/* ---- what is urgent ---- */

static void an_urgent_hook_runs_once_it_is_due(void **state)
{
	struct loop *l = *state;
	struct probe a = make(l, NULL, 'a'), b = make(l, NULL, 'b');
	a.hook = (struct loop_hook){ .fn = on_hook, .data = &a };
	b.hook = (struct loop_hook){ .fn = on_hook, .data = &b };
	loop_yield(l); /* nothing is set */
	loop_set_urgent(l, &a.hook, clock_now() + DEADLINE);
	loop_yield(l);
	assert_int_equal(a.calls, 0);
	loop_set_urgent(l, &a.hook, clock_now());
	loop_yield(l);
	loop_yield(l); /* it was not set anew */
	assert_int_equal(a.calls, 1);
	loop_set_urgent(l, &a.hook, 1);
	loop_set_urgent(l, &b.hook, 1); /* takes its place */
	loop_yield(l);
	loop_set_urgent(l, NULL, UINT64_MAX);
	loop_yield(l);
	assert_int_equal(a.calls, 1);
	assert_int_equal(b.calls, 1);
}

static void on_hook_yield(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	loop_yield(p->loop);
}

static void an_urgent_hook_yields_to_nobody(void **state)
{
	struct loop *l = *state;
	struct probe a = make(l, NULL, 'a');
	a.hook = (struct loop_hook){ .fn = on_hook_yield, .data = &a };
	loop_set_urgent(l, &a.hook, 1);
	loop_yield(l);
	assert_int_equal(a.calls, 1);
}

static void nothing_is_urgent_on_simulated_time(void **state)
{
	(void)state;
	struct loop *l;
	assert_ok(loop_new_virtual(&l, NS_PER_S));
	struct probe a = make(l, NULL, 'a');
	a.hook = (struct loop_hook){ .fn = on_hook, .data = &a };
	loop_yield(l);
	loop_set_urgent(l, &a.hook, 1);
	loop_yield(l);
	assert_int_equal(a.calls, 0);
	loop_free(l);
}

/* ---- waiting ---- */

static void a_turn_waits_no_longer_than_asked(void **state)
{
	struct loop *l = *state;
	struct probe late = make(l, NULL, 'l');
	arm(&late, clock_now() + DEADLINE);
	for (int i = 0; i < 3; i++)
		assert_ok(loop_turn(l, 0));
	assert_ok(loop_turn(l, NS_PER_MS));
	assert_int_equal(late.calls, 0);
	loop_timer_stop(l, &late.timer);
}

static void a_turn_may_wait_for_ever(void **state)
{
	struct loop *l = *state;
	struct probe t = make(l, NULL, 't');
	loop_set_spin(l, 0);
	arm(&t, clock_now() + 20 * NS_PER_MS);
	int turns = 0;
	for (; !t.calls; turns++)
		assert_ok(loop_turn(l, UINT64_MAX));
	assert_true(turns < 20); /* it slept */
}

static void a_poke_ends_the_next_wait(void **state)
{
	struct loop *l = *state;
	struct probe late = make(l, NULL, 'l');
	loop_set_spin(l, 0); /* so that only the turn in which it fires ends that late */
	arm(&late, clock_now() + DEADLINE);
	loop_poke(l);
	assert_ok(loop_turn(l, 2 * DEADLINE));
	assert_int_equal(late.calls, 0);
	loop_timer_stop(l, &late.timer);
}

static void *wake(void *loop)
{
	loop_wake(loop);
	return NULL;
}

static void another_thread_may_wake_it(void **state)
{
	struct loop *l = *state;
	struct probe late = make(l, NULL, 'l');
	loop_set_spin(l, 0);
	arm(&late, clock_now() + DEADLINE);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, wake, l), 0);
	assert_ok(loop_turn(l, 2 * DEADLINE));
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(late.calls, 0);
	loop_timer_stop(l, &late.timer);
}

static void now_is_read_once_per_turn(void **state)
{
	struct loop *l = *state;
	uint64_t before = clock_now();
	assert_ok(loop_turn(l, 0));
	uint64_t now = loop_now(l);
	assert_true(now >= before && now <= clock_now());
	assert_true(loop_now(l) == now);
	uint64_t fresh = loop_refresh(l);
	assert_true(fresh >= now);
	assert_true(loop_now(l) == fresh);
}

/* ---- running ---- */

static void on_timer_stop_loop(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	on_timer(t, now_ns);
	loop_stop(p->loop);
}

static void on_hook_stop_loop(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	if (p->calls == 3)
		loop_stop(p->loop);
	loop_poke(p->loop);
}

static void stop_ends_the_run_after_the_turn(void **state)
{
	struct loop *l = *state;
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), h = make(l, &log, 'h');
	a.timer.fn = on_timer_stop_loop;
	arm(&a, 1);
	arm(&b, 2);
	hook(&h, on_hook);
	assert_ok(loop_run(l));
	assert_string_equal(log.text, "abh");
	loop_hook_remove(l, &h.hook);

	struct probe stops = make(l, NULL, 's'); /* and once more, from a hook */
	hook(&stops, on_hook_stop_loop);
	loop_poke(l);
	assert_ok(loop_run(l));
	assert_int_equal(stops.calls, 3);
	loop_hook_remove(l, &stops.hook);
}

static void on_signal(void *data, int signum)
{
	int *seen = data;
	seen[signum == SIGINT ? 0 : signum == SIGTERM ? 1 : 2]++;
}

static void signals_come_on_the_thread_of_the_loop(void **state)
{
	struct loop *l = *state;
	int seen[3] = { 0 };
	assert_ok(loop_on_signal(l, on_signal, seen));
	assert_int_equal(raise(SIGINT), 0);
	turns_until(l, &seen[0], 1);
	assert_int_equal(raise(SIGTERM), 0);
	turns_until(l, &seen[1], 1);
	assert_int_equal(raise(SIGINT), 0);
	turns_until(l, &seen[0], 2);
	assert_int_equal(seen[2], 0);

	assert_ok(loop_on_signal(l, NULL, NULL));
	struct sigaction now;
	assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
	assert_int_equal(sigaction(SIGINT, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_DFL);
}

static void can_be_freed_with_timers_hooks_and_signals_set(void **state)
{
	(void)state;
	struct loop *l;
	int seen[3];
	assert_ok(loop_new(&l));
	struct probe p[100], h = make(l, NULL, 'h');
	for (size_t i = 0; i < COUNT_OF(p); i++) {
		p[i] = make(l, NULL, 'p');
		arm(&p[i], clock_now() + DEADLINE);
	}
	hook(&h, on_hook);
	assert_ok(loop_on_signal(l, on_signal, seen));
	loop_wake(l);
	loop_free(l);
	for (size_t i = 0; i < COUNT_OF(p); i++)
		assert_int_equal(p[i].calls, 0);
	loop_free(NULL);
}

/* ---- simulated time ---- */

#define HOUR    (3600 * NS_PER_S)
#define INSTANT 1000

static struct loop *new_virtual(void)
{
	struct loop *l;
	assert_ok(loop_new_virtual(&l, INSTANT));
	return l;
}

static void on_instant(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	assert_true(now_ns == p->asked_ns);
	assert_true(loop_now(p->loop) == now_ns);
	write_log(p);
}

static void arm_instant(struct probe *p, uint64_t due_ns)
{
	p->timer.fn = on_instant;
	arm(p, due_ns);
}

static void on_instant_stop(struct loop_timer *t, uint64_t now_ns)
{
	on_instant(t, now_ns);
	loop_stop(((struct probe *)t->data)->loop);
}

static void simulated_time_jumps_to_each_timer(void **state)
{
	(void)state;
	struct loop *l = new_virtual();
	struct log log = { 0 };
	struct probe a = make(l, &log, 'a'), b = make(l, &log, 'b'), c = make(l, &log, 'c'),
		     end = make(l, &log, 'e'), h = make(l, &log, '.');
	assert_true(loop_is_virtual(l));
	assert_true(loop_now(l) == INSTANT);
	hook(&h, on_hook);
	arm_instant(&c, 3 * HOUR);
	arm_instant(&a, 1 * HOUR);
	arm_instant(&b, 1 * HOUR);
	end.timer.fn = on_instant_stop;
	arm(&end, 1000 * HOUR);
	assert_ok(loop_run(l));
	assert_string_equal(log.text, "ab.c.e.");
	assert_true(loop_refresh(l) == 1000 * HOUR);
	loop_free(l);
}

static void simulated_turns_end_at_their_limit(void **state)
{
	(void)state;
	struct loop *l = new_virtual();
	struct probe p = make(l, NULL, 'p');
	arm_instant(&p, INSTANT + 10);
	assert_ok(loop_turn(l, 4));
	assert_true(loop_now(l) == INSTANT + 4);
	assert_int_equal(p.calls, 0);
	assert_ok(loop_turn(l, UINT64_MAX));
	assert_true(loop_now(l) == INSTANT + 10);
	assert_int_equal(p.calls, 1);
	loop_free(l);
}

static void a_poke_holds_simulated_time(void **state)
{
	(void)state;
	struct loop *l = new_virtual();
	struct probe p = make(l, NULL, 'p'), h = make(l, NULL, 'h');
	hook(&h, on_hook);
	arm_instant(&p, HOUR);
	loop_poke(l);
	assert_ok(loop_turn(l, UINT64_MAX));
	assert_true(loop_now(l) == INSTANT);
	assert_int_equal(p.calls, 0);
	assert_int_equal(h.calls, 1);
	assert_ok(loop_turn(l, UINT64_MAX));
	assert_int_equal(p.calls, 1);
	loop_free(l);
}

static void on_hook_poke(struct loop_hook *h, uint64_t now_ns)
{
	struct probe *p = h->data;
	on_hook(h, now_ns);
	loop_poke(p->loop);
}

static void on_late_stop(struct loop_timer *t, uint64_t now_ns)
{
	struct probe *p = t->data;
	assert_true(now_ns >= p->asked_ns);
	loop_stop(p->loop);
}

/* A strategy that sleeps for 0 s until a duration has passed. */
static void who_pokes_for_ever_does_not_hold_simulated_time(void **state)
{
	(void)state;
	struct loop *l = new_virtual();
	struct probe p = make(l, NULL, 'p'), h = make(l, NULL, 'h');
	hook(&h, on_hook_poke);
	p.timer.fn = on_late_stop;
	arm(&p, INSTANT + 20 * NS_PER_MS);
	loop_poke(l);
	assert_ok(loop_run(l));
	assert_true(h.calls > 1000);
	loop_free(l);
}

static void simulated_time_without_a_timer_ends_the_run(void **state)
{
	(void)state;
	struct loop *l = new_virtual();
	struct probe p = make(l, NULL, 'p');
	arm_instant(&p, HOUR);
	assert_int_equal(loop_run(l), STATUS_ETIMEDOUT);
	assert_int_equal(p.calls, 1);
	assert_false(loop_is_running(l));
	loop_stop(l); /* before the run: it ends at once */
	assert_ok(loop_run(l));
	loop_free(l);
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(timers_fire_in_due_order_and_never_before),
		LOOP_TEST(what_is_polled_is_counted),
		LOOP_TEST(timers_of_one_turn_fire_in_due_order),
		LOOP_TEST(ties_fire_in_the_order_of_arming),
		LOOP_TEST(arming_again_moves_a_timer),
		LOOP_TEST(a_stopped_timer_does_not_fire),
		LOOP_TEST(the_heap_survives_any_course),
		LOOP_TEST(a_callback_may_stop_a_timer_that_is_due_as_well),
		LOOP_TEST(a_timer_that_arms_itself_lets_io_through),
		LOOP_TEST(a_timer_that_arms_itself_lets_other_timers_through),
		LOOP_TEST(hooks_run_last_in_the_order_of_adding),
		LOOP_TEST(a_hook_may_remove_the_one_after_it),
		LOOP_TEST(hooks_may_come_and_go_while_they_run),
		LOOP_TEST(an_urgent_hook_runs_once_it_is_due),
		LOOP_TEST(an_urgent_hook_yields_to_nobody),
		cmocka_unit_test(nothing_is_urgent_on_simulated_time),
		LOOP_TEST(a_turn_waits_no_longer_than_asked),
		LOOP_TEST(a_turn_may_wait_for_ever),
		LOOP_TEST(a_poke_ends_the_next_wait),
		LOOP_TEST(another_thread_may_wake_it),
		LOOP_TEST(now_is_read_once_per_turn),
		LOOP_TEST(stop_ends_the_run_after_the_turn),
		LOOP_TEST(signals_come_on_the_thread_of_the_loop),
		cmocka_unit_test(simulated_time_jumps_to_each_timer),
		cmocka_unit_test(simulated_turns_end_at_their_limit),
		cmocka_unit_test(a_poke_holds_simulated_time),
		cmocka_unit_test(who_pokes_for_ever_does_not_hold_simulated_time),
		cmocka_unit_test(simulated_time_without_a_timer_ends_the_run),
		cmocka_unit_test(can_be_freed_with_timers_hooks_and_signals_set),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
