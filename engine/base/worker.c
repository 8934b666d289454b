#include "base/worker.h"

#include "base/clock.h"
#include "base/ring.h"
#include "base/status.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#define DEFAULT_ITEMS 4096
#define LOOKS_STUCK   5 /* calls of worker_is_stuck() in a row without a turn */

/* Parcels that found no room. */
struct queue {
	struct parcel *first, *last;
};

struct worker {
	struct worker_config config;
	struct loop *owner; /* borrowed */
	struct loop *loop;
	struct ring *there; /* owner -> worker */
	struct ring *back;  /* worker -> owner */

	/* The owner's. */
	struct queue posts;
	uint64_t turns_seen;
	unsigned looks; /* in a row that saw no new turn */
	bool started;
	pthread_t thread;

	/* The worker's; the owner's once it has ended. */
	struct queue replies;
	struct loop_hook hook, last_hook;

	/* Of both. */
	_Atomic uint64_t turns;
	atomic_bool stop;  /* the owner wants it to end */
	atomic_bool ended; /* written under the lock */
	atomic_bool waits; /* for the owner to take; written under the lock */
	uv_mutex_t lock;
	uv_cond_t taken; /* or the owner wants it to end */
	uv_cond_t gone;
};

static void queue_put(struct queue *q, struct parcel *p)
{
	p->next = NULL;
	*(q->last ? &q->last->next : &q->first) = p;
	q->last = p;
}

static struct parcel *queue_take(struct queue *q)
{
	struct parcel *p = q->first;
	if (p) {
		q->first = p->next;
		if (!q->first)
			q->last = NULL;
	}
	return p;
}

/* In order: behind what waits already. */
static void put(struct ring *r, struct queue *q, struct parcel *p)
{
	if (q->first || !ring_push(r, p))
		queue_put(q, p);
}

static void flush(struct ring *r, struct queue *q)
{
	while (q->first) {
		struct parcel *next = q->first->next; /* once pushed it is not ours */
		if (!ring_push(r, q->first))
			return;
		q->first = next;
		if (!next)
			q->last = NULL;
	}
}

/* ---- the owner ---- */

void worker_post(struct worker *w, struct parcel *p)
{
	put(w->there, &w->posts, p);
}

void worker_flush(struct worker *w)
{
	flush(w->there, &w->posts);
	if (ring_wants_item(w->there))
		loop_wake(w->loop);
}

static void release_waiting(struct worker *w)
{
	if (!atomic_load(&w->waits))
		return;
	uv_mutex_lock(&w->lock);
	atomic_store(&w->waits, false);
	uv_cond_signal(&w->taken);
	uv_mutex_unlock(&w->lock);
}

struct parcel *worker_take(struct worker *w)
{
	bool ended = atomic_load(&w->ended); /* before the look: it may push and end */
	struct parcel *p = ring_pop(w->back);
	if (p)
		return p;
	if (ended)
		return queue_take(&w->replies);
	if (ring_wants_room(w->back))
		loop_wake(w->loop);
	release_waiting(w);
	return NULL;
}

bool worker_rest(struct worker *w)
{
	return ring_rest(w->back);
}

uint64_t worker_cpu(const struct worker *w)
{
	return w->started && !atomic_load(&w->ended) ? clock_cpu_of(w->thread) : 0;
}

bool worker_has_ended(const struct worker *w)
{
	return w->started && atomic_load(&w->ended);
}

bool worker_is_stuck(struct worker *w)
{
	if (!w->started || atomic_load(&w->ended))
		return false;
	uint64_t turns = atomic_load_explicit(&w->turns, memory_order_relaxed);
	bool turned = turns != w->turns_seen || atomic_load(&w->waits);
	w->turns_seen = turns;
	w->looks = turned ? 0 : w->looks + 1;
	loop_wake(w->loop); /* one that is idle turns for the next look */
	return w->looks >= LOOKS_STUCK;
}

/* ---- the worker ---- */

void worker_reply(struct worker *w, struct parcel *p)
{
	put(w->back, &w->replies, p);
}

bool worker_await_taken(struct worker *w)
{
	flush(w->back, &w->replies);
	uv_mutex_lock(&w->lock);
	atomic_store(&w->waits, true);
	loop_wake(w->owner);
	while (atomic_load(&w->waits) && !atomic_load(&w->stop))
		uv_cond_wait(&w->taken, &w->lock);
	atomic_store(&w->waits, false);
	uv_mutex_unlock(&w->lock);
	return !atomic_load(&w->stop);
}

static void on_turn(struct loop_hook *hook, uint64_t now_ns)
{
	struct worker *w = hook->data;
	struct parcel *p;
	(void)now_ns;
	atomic_fetch_add_explicit(&w->turns, 1, memory_order_relaxed);
	if (atomic_load(&w->stop)) {
		loop_stop(w->loop);
		return;
	}
	while ((p = ring_pop(w->there)))
		w->config.on_parcel(w->config.ctx, p);
	if (ring_wants_room(w->there))
		loop_wake(w->owner);
}

static void on_last(struct loop_hook *hook, uint64_t now_ns)
{
	struct worker *w = hook->data;
	(void)now_ns;
	flush(w->back, &w->replies);
	if (ring_wants_item(w->back))
		loop_wake(w->owner);
	if (!ring_rest(w->there))
		loop_poke(w->loop);
}

/* However the thread ends, also by pthread_exit() in a library. */
static void on_thread_end(void *arg)
{
	struct worker *w = arg;
	uv_mutex_lock(&w->lock);
	atomic_store(&w->ended, true);
	uv_cond_signal(&w->gone);
	loop_wake(w->owner); /* inside the lock: worker_stop() has not returned */
	uv_mutex_unlock(&w->lock);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	pthread_cleanup_push(on_thread_end, w);
	loop_run(w->loop);
	pthread_cleanup_pop(1);
	return NULL;
}

/* ---- life ---- */

int worker_new(struct worker **out, struct loop *owner, const struct worker_config *config)
{
	size_t items = config->ring_items ? config->ring_items : DEFAULT_ITEMS;
	struct worker *w = calloc(1, sizeof(*w));
	if (!w)
		return STATUS_ENOMEM;
	w->config = *config;
	w->owner = owner;
	w->hook = (struct loop_hook){ .fn = on_turn, .data = w };
	w->last_hook = (struct loop_hook){ .fn = on_last, .data = w };
	uv_mutex_init(&w->lock); /* these three fail only without memory, */
	uv_cond_init(&w->taken); /* which glibc does not ask for */
	uv_cond_init(&w->gone);
	int err = ring_new(&w->there, items);
	if (!err)
		err = ring_new(&w->back, items);
	if (!err)
		err = loop_new(&w->loop);
	if (err) {
		worker_free(w);
		return err;
	}
	loop_set_spin(w->loop, 0); /* nothing of its is paced; the owner's is */
	*out = w;
	return STATUS_OK;
}

struct loop *worker_loop(struct worker *w)
{
	return w->loop;
}

int worker_start(struct worker *w)
{
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	loop_hook_add(w->loop, &w->hook);
	loop_hook_add_last(w->loop, &w->last_hook);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	w->started = pthread_create(&w->thread, NULL, run, w) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->started ? STATUS_OK : STATUS_EIO;
}

bool worker_stop(struct worker *w, uint64_t timeout_ns)
{
	if (!w->started)
		return true;
	uv_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	uv_cond_signal(&w->taken);
	loop_wake(w->loop);
	while (!atomic_load(&w->ended))
		if (uv_cond_timedwait(&w->gone, &w->lock, timeout_ns))
			break;
	bool ended = atomic_load(&w->ended);
	uv_mutex_unlock(&w->lock);
	if (!ended)
		return false;
	pthread_join(w->thread, NULL);
	w->started = false;
	loop_hook_remove(w->loop, &w->hook);
	loop_hook_remove(w->loop, &w->last_hook);
	return true;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	loop_free(w->loop);
	ring_free(w->there);
	ring_free(w->back);
	uv_mutex_destroy(&w->lock);
	uv_cond_destroy(&w->taken);
	uv_cond_destroy(&w->gone);
	free(w);
}
