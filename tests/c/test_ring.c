#include "base/ring.h"

#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#define GUARD_S 60 /* a wait that takes longer has failed */

static void first_in_first_out(void **state)
{
	struct ring *r;
	char items[4];
	(void)state;
	assert_ok(ring_new(&r, 4));
	for (int round = 0; round < 5; round++) { /* positions wrap around the ring */
		assert_null(ring_pop(r));
		for (int i = 0; i < 3; i++)
			assert_true(ring_push(r, &items[i]));
		for (int i = 0; i < 3; i++)
			assert_ptr_equal(ring_pop(r), &items[i]);
	}
	ring_free(r);
}

static void a_full_ring_refuses(void **state)
{
	struct ring *r;
	char items[5];
	(void)state;
	assert_ok(ring_new(&r, 3)); /* rounded up to 4 */
	for (int i = 0; i < 4; i++)
		assert_true(ring_push(r, &items[i]));
	assert_false(ring_wants_room(r));
	assert_false(ring_push(r, &items[4]));
	assert_true(ring_wants_room(r));
	assert_false(ring_wants_room(r)); /* told once */
	assert_ptr_equal(ring_pop(r), &items[0]);
	assert_true(ring_push(r, &items[4]));
	for (int i = 1; i < 5; i++)
		assert_ptr_equal(ring_pop(r), &items[i]);
	assert_null(ring_pop(r));
	ring_free(r);
}

static void who_rests_is_woken_once(void **state)
{
	struct ring *r;
	char item;
	(void)state;
	assert_ok(ring_new(&r, 1));
	assert_true(ring_push(r, &item));
	assert_false(ring_wants_item(r)); /* nobody rests */
	assert_false(ring_rest(r));       /* there is an item */
	assert_non_null(ring_pop(r));
	assert_true(ring_rest(r));
	assert_true(ring_push(r, &item));
	assert_true(ring_wants_item(r));
	assert_false(ring_wants_item(r));
	assert_non_null(ring_pop(r));
	assert_true(ring_rest(r));
	assert_false(ring_wants_item(r)); /* nothing came: two that rest let each other be */
	ring_free(r);
}

static void odd_sizes(void **state)
{
	struct ring *r;
	(void)state;
	assert_int_equal(ring_new(&r, 0), STATUS_EINVAL);
	assert_int_equal(ring_new(&r, ((size_t)1 << 30) + 1), STATUS_EINVAL);
	ring_free(NULL);
}

/* ---- two threads ---- */

struct item {
	size_t number; /* plain memory: the ring alone orders it */
};

struct pair {
	struct ring *ring;
	size_t count;
	struct item *items;
	sem_t items_came, room_came; /* how each side sleeps */
};

/* False: it was never woken. */
static bool sleep_on(sem_t *s)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GUARD_S;
	return sem_timedwait(s, &until) == 0;
}

static void *produce(void *arg)
{
	struct pair *p = arg;
	for (size_t i = 0; i < p->count; i++) {
		p->items[i].number = i;
		while (!ring_push(p->ring, &p->items[i]))
			if (!sleep_on(&p->room_came))
				return NULL;
		if (ring_wants_item(p->ring))
			sem_post(&p->items_came);
	}
	return NULL;
}

/* How many came in order. */
static size_t consume(struct pair *p)
{
	size_t n = 0;
	while (n < p->count) {
		const struct item *item = ring_pop(p->ring);
		if (item) {
			if (item->number != n)
				return n;
			n++;
			continue;
		}
		if (ring_wants_room(p->ring))
			sem_post(&p->room_came);
		if (ring_rest(p->ring) && !sleep_on(&p->items_came))
			return n;
	}
	return n;
}

/* Each side sleeps as soon as it may: a wake that is missed ends the test. */
static void both_sides_sleep_and_nothing_is_lost(void **state)
{
	static const size_t sizes[] = { 1, 2, 64 };
	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct pair p = { .count = 50000 };
		pthread_t producer;
		p.items = calloc(p.count, sizeof(*p.items));
		assert_non_null(p.items);
		assert_ok(ring_new(&p.ring, sizes[i]));
		sem_init(&p.items_came, 0, 0);
		sem_init(&p.room_came, 0, 0);
		assert_int_equal(pthread_create(&producer, NULL, produce, &p), 0);
		size_t came = consume(&p);
		pthread_join(producer, NULL);
		assert_int_equal(came, p.count);
		ring_free(p.ring);
		free(p.items);
		sem_destroy(&p.items_came);
		sem_destroy(&p.room_came);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_in_first_out),
		cmocka_unit_test(a_full_ring_refuses),
		cmocka_unit_test(who_rests_is_woken_once),
		cmocka_unit_test(odd_sizes),
		cmocka_unit_test(both_sides_sleep_and_nothing_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
