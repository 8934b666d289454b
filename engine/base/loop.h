/* loop.h - the one owner of the uv_loop_t.
 *
 * Gives what libuv lacks for pacing: timers in nanoseconds (a heap over one
 * timerfd with a spin tail, see spin.h; uv_timer is 1 ms grained) and a hook that
 * runs once per turn, after all I/O of it. All calls on the thread that runs the loop,
 * except loop_wake(). The structs below are embedded in their owner, who stops
 * them before freeing them. */
#ifndef PERIGEE_BASE_LOOP_H
#define PERIGEE_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct loop;

/* From then on the process ignores SIGPIPE and SIGXFSZ: a peer may close at any time,
 * and a file at its limit is a failed write like that of a full disk.
 * Returns 0, STATUS_ENOMEM or STATUS_EIO, and then *out is untouched. */
int loop_new(struct loop **out);

/* A loop on simulated time, which begins at start_ns (above 0: 0 is no time). Nothing
 * is waited for: when no poke asks for another turn, time jumps to the next timer.
 * It watches no descriptors and no signals and has no loop_uv(); one thread uses it.
 * Returns 0 or STATUS_ENOMEM, and then *out is untouched. */
int loop_new_virtual(struct loop **out, uint64_t start_ns);
bool loop_is_virtual(const struct loop *l);

/* Closes what the loop itself opened, runs pending close callbacks, frees.
 * Whoever added handles to loop_uv() has closed them before. */
void loop_free(struct loop *l);

/* For modules that speak to libuv themselves (http/curl, mock). */
struct uv_loop_s *loop_uv(struct loop *l);

/* Run until loop_stop(). Returns 0, or a status when libuv failed; on simulated time
 * STATUS_ETIMEDOUT when no timer is left, so that nothing can happen any more. */
int loop_run(struct loop *l);

/* Run one turn, waiting for at most timeout_ns (UINT64_MAX: without limit).
 * For teardown and tests. */
int loop_turn(struct loop *l, uint64_t timeout_ns);

/* When a timer is due next, as far as is known: 0 when a poke asks for a turn at once,
 * UINT64_MAX when nothing but I/O ends the wait. */
uint64_t loop_next_due(const struct loop *l);

/* Inside loop_run() or loop_turn()? Neither may be called then. */
bool loop_is_running(const struct loop *l);

/* End loop_run() after this turn. */
void loop_stop(struct loop *l);

/* Monotonic ns, read once after each wait; loop_refresh() reads it anew. Simulated time
 * stands still within a turn. */
uint64_t loop_now(const struct loop *l);
uint64_t loop_refresh(struct loop *l);

/* ---- timers ---- */
struct loop_timer {
	void (*fn)(struct loop_timer *t, uint64_t now_ns); /* set by the owner */
	void *data;                                        /* the owner's */
	uint64_t due_ns;
	size_t slot;  /* heap position + 1; 0: not armed */
	uint64_t seq; /* ties break in the order of arming */
};

/* (Re)arm: fn runs once, at the first turn at or after due_ns; at once when that
 * is past. Armed from inside a timer's fn, in the next turn at the earliest, and
 * a past due_ns becomes now. Returns 0 or STATUS_ENOMEM. */
int loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t due_ns);
void loop_timer_stop(struct loop *l, struct loop_timer *t); /* not armed: nothing */

#define LOOP_SPIN_DEFAULT 100000 /* ns */

/* The last moment before a due time is spent polling instead of sleeping, so that the
 * timer's own grain does not show: as long as spin.h finds to pay, max_ns at most. All
 * I/O is served meanwhile. 0 turns it off; the default is LOOP_SPIN_DEFAULT. */
void loop_set_spin(struct loop *l, uint64_t max_ns);

/* What the waits amounted to, since the loop was made. */
struct loop_stats {
	uint64_t turns;
	uint64_t spin_ns;   /* polled before due times with nothing to do */
	uint64_t window_ns; /* the spin as it is now */
	uint64_t grain_ns;  /* nearly all sleeps end no later than this */
};

void loop_stats(const struct loop *l, struct loop_stats *out);

/* ---- once per turn ---- */
struct loop_hook {
	void (*fn)(struct loop_hook *h, uint64_t now_ns);
	void *data;
	struct loop_hook *next;
};

/* fn runs after the I/O and timers of each turn, in the order of adding. It may
 * add and remove hooks, itself included; one removed does not run any more. */
void loop_hook_add(struct loop *l, struct loop_hook *h);

/* fn runs after all those, just before the loop waits again: what they gathered
 * can be sent in one go. loop_poke() in it makes the wait return at once. */
void loop_hook_add_last(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop *l, struct loop_hook *h); /* from either list */

/* From due_ns on h may not wait for the rest of a long turn: it runs as soon as somebody who has
 * done one of many things says so with loop_yield(), and then once more only when it is set
 * anew. One hook at a time; UINT64_MAX: none. On simulated time, which stands still within a
 * turn, none ever runs. */
void loop_set_urgent(struct loop *l, struct loop_hook *h, uint64_t due_ns);

/* Between two things of a turn, where starting requests does no harm. */
void loop_yield(struct loop *l);

/* The next wait returns at once: there is work that no descriptor announces. */
void loop_poke(struct loop *l);

/* loop_poke() from another thread. */
void loop_wake(struct loop *l);

/* ---- signals ---- */
/* fn(data, signum) on the loop's thread for SIGINT and SIGTERM until called
 * again with NULL; one loop of the process at a time. While a callback does not
 * return nothing can be told: a signal that comes 5 s after the first one that
 * waits ends the process, as it does without us. Returns 0 or STATUS_EIO. */
int loop_on_signal(struct loop *l, void (*fn)(void *data, int signum), void *data);

#endif
