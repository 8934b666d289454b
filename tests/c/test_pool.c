#include "base/pool.h"

#include "support.h"

#define OBJECTS 300 /* several slabs, the last one partly used */

struct object {
	uint64_t id;
	uint64_t finished;
	char text[25]; /* an odd size */
};

static void hands_out_zeroed_aligned_objects_apart_from_each_other(void **state)
{
	(void)state;
	struct pool *p;
	char *seen[OBJECTS];
	assert_ok(pool_new(&p, 41, OBJECTS));
	for (size_t i = 0; i < OBJECTS; i++) {
		seen[i] = pool_get(p);
		assert_non_null(seen[i]);
		assert_int_equal((uintptr_t)seen[i] % 16, 0);
		for (size_t k = 0; k < 41; k++)
			assert_int_equal(seen[i][k], 0);
		memset(seen[i], (int)(i % 251), 41);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		for (size_t k = 0; k < 41; k++)
			assert_int_equal((unsigned char)seen[i][k], i % 251);
	pool_free(p, NULL);
}

static void stops_at_its_maximum(void **state)
{
	(void)state;
	struct pool *p;
	assert_ok(pool_new(&p, 1, 2));
	void *a = pool_get(p), *b = pool_get(p);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(pool_get(p));
	assert_int_equal(pool_used(p), 2);
	pool_put(p, a);
	assert_int_equal(pool_used(p), 1);
	assert_ptr_equal(pool_get(p), a);
	assert_null(pool_get(p));
	pool_free(p, NULL);
}

static void keeps_contents_and_address_of_free_objects(void **state)
{
	(void)state;
	struct pool *p;
	struct object *all[OBJECTS];
	assert_ok(pool_new(&p, sizeof(struct object), OBJECTS));
	for (uint64_t i = 0; i < OBJECTS; i++) {
		all[i] = pool_get(p);
		all[i]->id = i + 1;
	}
	for (size_t i = 0; i < OBJECTS; i++)
		pool_put(p, all[i]);
	assert_int_equal(pool_used(p), 0);

	uint64_t sum = 0;
	for (size_t i = 0; i < OBJECTS; i++) {
		struct object *o = pool_get(p);
		assert_ptr_equal(o, all[o->id - 1]);
		sum += o->id;
	}
	assert_int_equal(sum, OBJECTS * (OBJECTS + 1) / 2);
	pool_free(p, NULL);
}

static int finished_once, finished_twice;

static void finish(void *object)
{
	struct object *o = object;
	if (o->finished++)
		finished_twice++;
	else
		finished_once++;
}

static void finishes_each_object_ever_handed_out_once(void **state)
{
	(void)state;
	struct pool *p;
	assert_ok(pool_new(&p, sizeof(struct object), 1000));
	void *first[130];
	for (size_t i = 0; i < COUNT_OF(first); i++)
		first[i] = pool_get(p);
	for (size_t i = 0; i < 70; i++)
		pool_put(p, first[i]);
	for (size_t i = 0; i < 20; i++)
		pool_get(p);
	finished_once = finished_twice = 0;
	pool_free(p, finish);
	assert_int_equal(finished_once, 130);
	assert_int_equal(finished_twice, 0);
}

static void refuses_impossible_sizes(void **state)
{
	(void)state;
	struct pool *p = (void *)state;
	assert_int_equal(pool_new(&p, 0, 1), STATUS_EINVAL);
	assert_int_equal(pool_new(&p, 1, 0), STATUS_EINVAL);
	assert_int_equal(pool_new(&p, SIZE_MAX, 1), STATUS_EINVAL);
	assert_ptr_equal(p, (void *)state);
	pool_free(NULL, NULL);
}

/* Under AddressSanitizer an allocation that cannot succeed fails as it does elsewhere. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void gives_null_when_memory_is_short(void **state)
{
	(void)state;
	struct pool *p;
	assert_ok(pool_new(&p, SIZE_MAX / 256, 1));
	assert_null(pool_get(p));
	assert_int_equal(pool_used(p), 0);
	pool_free(p, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_zeroed_aligned_objects_apart_from_each_other),
		cmocka_unit_test(stops_at_its_maximum),
		cmocka_unit_test(keeps_contents_and_address_of_free_objects),
		cmocka_unit_test(finishes_each_object_ever_handed_out_once),
		cmocka_unit_test(refuses_impossible_sizes),
		cmocka_unit_test(gives_null_when_memory_is_short),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
