#include "base/clock.h"
#include "base/worker.h"

#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define GUARD_NS (60 * NS_PER_S) /* a test that takes longer has failed */
#define PARCELS  5000

enum deed {
	ANSWER, /* reply */
	TWICE,  /* reply, and wait until that is taken before the second one */
	HANG,   /* until `go` */
	LEAVE,  /* the thread ends in the middle of things */
};

struct letter {
	struct parcel parcel; /* first */
	enum deed deed;
	unsigned number;
	struct letter *other; /* the second answer */
};

struct fixture {
	struct loop *loop;
	struct worker *worker;
	sem_t go;
	atomic_uint waits; /* how often it was told to go on */
	atomic_bool hangs;
};

/* On the worker's thread. */
static void on_parcel(void *ctx, struct parcel *p)
{
	struct fixture *f = ctx;
	struct letter *l = (struct letter *)p;
	switch (l->deed) {
	case HANG:
		atomic_store(&f->hangs, true);
		sem_wait(&f->go);
		break;
	case LEAVE:
		worker_reply(f->worker, p);
		pthread_exit(NULL);
	case TWICE:
		worker_reply(f->worker, p);
		atomic_fetch_add(&f->waits, worker_await_taken(f->worker));
		worker_reply(f->worker, &l->other->parcel);
		return;
	default:
		break;
	}
	worker_reply(f->worker, p);
}

static void begin(struct fixture *f, size_t ring_items)
{
	struct worker_config config = { .ring_items = ring_items,
		                        .on_parcel = on_parcel,
		                        .ctx = f };
	assert_ok(worker_new(&f->worker, f->loop, &config));
	assert_ok(worker_start(f->worker));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_ok(loop_new(&f->loop));
	assert_int_equal(sem_init(&f->go, 0, 0), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->worker) {
		if (!worker_stop(f->worker, GUARD_NS))
			return -1;
		worker_free(f->worker);
	}
	loop_free(f->loop);
	sem_destroy(&f->go);
	free(f);
	return 0;
}

/* The next one that comes back, as an owner's loop takes it. */
static struct letter *next_back(struct fixture *f)
{
	uint64_t deadline = clock_now() + GUARD_NS;
	struct parcel *p;
	worker_flush(f->worker);
	while (!(p = worker_take(f->worker))) {
		assert_true(clock_now() < deadline);
		worker_flush(f->worker);
		if (worker_rest(f->worker))
			assert_ok(loop_turn(f->loop, NS_PER_S));
	}
	return (struct letter *)p;
}

static void send(struct fixture *f, struct letter *l, enum deed deed)
{
	l->deed = deed;
	worker_post(f->worker, &l->parcel);
}

/* More than both rings hold: what finds no room keeps its place. */
static void parcels_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct letter *letters = calloc(PARCELS, sizeof(*letters));
	assert_non_null(letters);
	begin(f, 4);
	for (unsigned i = 0; i < PARCELS; i++) {
		letters[i].number = i;
		send(f, &letters[i], ANSWER);
	}
	for (unsigned i = 0; i < PARCELS; i++)
		assert_int_equal(next_back(f)->number, i);
	assert_null(worker_take(f->worker));
	free(letters);
}

static void a_worker_that_turns_is_not_stuck(void **state)
{
	struct fixture *f = *state;
	struct letter l = { 0 };
	begin(f, 0);
	for (int i = 0; i < 20; i++) {
		send(f, &l, ANSWER);
		next_back(f); /* it has turned */
		assert_false(worker_is_stuck(f->worker));
		assert_false(worker_has_ended(f->worker));
	}
}

static void a_worker_that_hangs_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct letter l = { 0 };
	begin(f, 0);
	send(f, &l, HANG);
	worker_flush(f->worker);
	uint64_t deadline = clock_now() + GUARD_NS;
	while (!atomic_load(&f->hangs)) {
		assert_true(clock_now() < deadline);
		loop_turn(f->loop, NS_PER_MS);
	}
	/* The first call may see a turn that came before. */
	unsigned calls = 0;
	while (!worker_is_stuck(f->worker)) {
		assert_true(clock_now() < deadline);
		calls++;
		loop_turn(f->loop, NS_PER_MS);
	}
	assert_true(calls >= 4);
	assert_false(worker_stop(f->worker, NS_PER_MS));
	sem_post(&f->go);
	assert_true(worker_stop(f->worker, GUARD_NS));
	assert_ptr_equal(worker_take(f->worker), &l.parcel); /* sent after it was told to end */
}

static void a_thread_that_ends_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct letter letters[8] = { 0 };
	begin(f, 2);
	for (unsigned i = 0; i < 8; i++) {
		letters[i].number = i;
		send(f, &letters[i], i < 6 ? ANSWER : LEAVE);
	}
	/* What it sent is not lost with it; what it never took does not come back. */
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(next_back(f)->number, i);
	uint64_t deadline = clock_now() + GUARD_NS;
	while (!worker_has_ended(f->worker)) {
		assert_true(clock_now() < deadline);
		loop_turn(f->loop, NS_PER_S);
	}
	assert_null(worker_take(f->worker));
	assert_false(worker_is_stuck(f->worker));
}

static void a_worker_waits_for_its_owner(void **state)
{
	struct fixture *f = *state;
	struct letter first = { .number = 1 }, second = { .number = 2 };
	first.other = &second;
	begin(f, 0);
	send(f, &first, TWICE);
	assert_ptr_equal(next_back(f), &first);
	assert_ptr_equal(next_back(f), &second);
	assert_int_equal(atomic_load(&f->waits), 1);
}

/* Nobody takes: only the stop ends its wait. */
static void a_worker_that_waits_can_be_stopped(void **state)
{
	struct fixture *f = *state;
	struct letter first = { 0 }, second = { 0 };
	first.other = &second;
	begin(f, 0);
	send(f, &first, TWICE);
	worker_flush(f->worker);
	loop_turn(f->loop, GUARD_NS); /* its wake */
	assert_true(worker_stop(f->worker, GUARD_NS));
	assert_int_equal(atomic_load(&f->waits), 0);
	assert_ptr_equal(worker_take(f->worker), &first.parcel);
	assert_ptr_equal(worker_take(f->worker), &second.parcel);
}

static void one_that_never_started(void **state)
{
	struct fixture *f = *state;
	struct worker_config config = { .on_parcel = on_parcel, .ctx = f };
	assert_ok(worker_new(&f->worker, f->loop, &config));
	assert_false(worker_has_ended(f->worker));
	assert_false(worker_is_stuck(f->worker));
	assert_non_null(worker_loop(f->worker));
	worker_free(NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parcels_keep_their_order),       TEST(a_worker_that_turns_is_not_stuck),
		TEST(a_worker_that_hangs_is_noticed), TEST(a_thread_that_ends_is_noticed),
		TEST(a_worker_waits_for_its_owner),   TEST(a_worker_that_waits_can_be_stopped),
		TEST(one_that_never_started),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
