/* The queue on disk: order, bounds, space given back, and files that fail. */
#include "events/spill.h"

#include "support.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MIB ((uint32_t)1 << 20)

static struct {
	char dir[64];
	struct spill *s;
	int fd; /* of its file */
} t;

static void open_spill(uint64_t limit)
{
	struct error e = { 0 };
	t.fd = open("/dev/null", O_RDONLY); /* the lowest free one: the file gets it */
	close(t.fd);
	if (spill_open(&t.s, t.dir, limit, &e))
		fail_msg("%s", e.text);
}

static int setup(void **state)
{
	(void)state;
	snprintf(t.dir, sizeof(t.dir), "/tmp/perigee-test-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	open_spill(UINT64_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spill_close(t.s);
	return rmdir(t.dir); /* fails when a file was left behind */
}

static struct stat file_stat(void)
{
	struct stat st;
	assert_int_equal(fstat(t.fd, &st), 0);
	return st;
}

/* A frame whose bytes tell which one it is. */
static char *frame(uint64_t number, uint32_t size)
{
	char *data = malloc(size + 1);
	assert_non_null(data);
	for (uint32_t i = 0; i < size; i++)
		data[i] = (char)(number * 31 + i);
	return data;
}

static int append(uint64_t number, uint32_t size)
{
	char *data = frame(number, size);
	int err = spill_append(t.s, data, size, (uint32_t)number + 1);
	free(data);
	return err;
}

static void assert_next(uint64_t number, uint32_t size)
{
	uint32_t got_size, records;
	assert_ok(spill_peek(t.s, &got_size, &records));
	assert_int_equal(got_size, size);
	assert_int_equal(records, number + 1);
	char *expected = frame(number, size), *got = frame(number + 1, size);
	assert_ok(spill_take(t.s, got));
	assert_memory_equal(got, expected, size);
	free(expected);
	free(got);
}

static void assert_empty(void)
{
	uint32_t size, records;
	assert_int_equal(spill_peek(t.s, &size, &records), STATUS_EAGAIN);
	assert_int_equal(spill_records(t.s), 0);
	assert_int_equal(spill_bytes(t.s), 0);
	assert_int_equal(file_stat().st_size, 0);
}

static void test_frames_come_out_as_they_went_in(void **state)
{
	static const uint32_t sizes[] = { 1, 0, 100000, 7, 0 };
	(void)state;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			assert_ok(append(i, sizes[i]));
		assert_int_equal(spill_records(t.s), 15);
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			assert_next(i, sizes[i]);
		assert_empty();
	}
}

/* Any course of appends and takes, against two counters. */
static void test_appends_and_takes_in_any_order(void **state)
{
	uint64_t in = 0, out = 0;
	unsigned seed = 7;
	(void)state;
	while (out < 5000) {
		bool put = in == out || (in < 5000 && rand_r(&seed) % 100 < 52);
		if (put) {
			assert_ok(append(in, (uint32_t)(in * 37 % 3000)));
			in++;
		} else {
			assert_next(out, (uint32_t)(out * 37 % 3000));
			out++;
		}
	}
	assert_empty();
}

static void test_the_file_has_no_name(void **state)
{
	struct stat st = file_stat();
	(void)state;
	assert_int_equal(st.st_nlink, 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 077, 0);
	assert_ok(append(0, 10));
	assert_int_equal(file_stat().st_nlink, 0);
}

static bool can_punch_holes(void)
{
#ifdef FALLOC_FL_PUNCH_HOLE
	bool can;
	assert_ok(append(0, MIB));
	can = !fallocate(t.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	spill_clear(t.s);
	return can;
#else
	return false;
#endif
}

static void test_space_is_given_back_while_there_is_more(void **state)
{
	(void)state;
	if (!can_punch_holes())
		skip();
	for (uint64_t i = 0; i < 32; i++)
		assert_ok(append(i, MIB));
	assert_true(file_stat().st_blocks * 512 >= 32 * (blkcnt_t)MIB);
	for (uint64_t i = 0; i < 24; i++)
		assert_next(i, MIB);
	assert_true(file_stat().st_blocks * 512 <= 16 * (blkcnt_t)MIB);
	for (uint64_t i = 24; i < 32; i++)
		assert_next(i, MIB);
	assert_empty();
}

static void test_the_limit_counts_what_is_in_it_now(void **state)
{
	(void)state;
	spill_close(t.s);
	open_spill(1000);
	assert_ok(append(0, 400));
	assert_ok(append(1, 500));
	assert_int_equal(append(2, 100), STATUS_ELIMIT);
	assert_int_equal(append(2, 2000), STATUS_ELIMIT);
	assert_next(0, 400);
	assert_ok(append(2, 100));
	assert_next(1, 500);
	assert_next(2, 100);
	assert_empty();
}

/* A limit on file sizes stands for a full disk: a write is cut short, the next fails. */
static void test_a_full_disk_leaves_the_queue_as_it_was(void **state)
{
	struct rlimit before, small;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ .rlim_cur = 10000, .rlim_max = before.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_ok(append(0, 6000));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int cut_short = append(1, 6000), refused = append(1, 100000), fits = append(1, 3000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(cut_short, STATUS_ENOSPC);
	assert_int_equal(refused, STATUS_ENOSPC);
	assert_ok(fits);
	assert_int_equal(spill_records(t.s), 1 + 2);
	assert_next(0, 6000);
	assert_next(1, 3000);
	assert_empty();
}

static void test_a_device_without_space(void **state)
{
	(void)state;
	int full = open("/dev/full", O_RDWR);
	if (full < 0)
		skip();
	assert_int_equal(dup2(full, t.fd), t.fd);
	close(full);
	assert_int_equal(append(0, 10), STATUS_ENOSPC);
	assert_int_equal(spill_records(t.s), 0);
}

static void test_a_file_cut_short_is_an_error(void **state)
{
	uint32_t size, records;
	char data[1000];
	(void)state;
	assert_ok(append(0, 1000));
	assert_ok(append(1, 1000));
	assert_int_equal(ftruncate(t.fd, 500), 0);
	assert_ok(spill_peek(t.s, &size, &records));
	assert_int_equal(spill_take(t.s, data), STATUS_EIO);
	assert_int_equal(spill_records(t.s), 3); /* still there, for the caller to count */
	spill_clear(t.s);
	assert_empty();
	assert_ok(append(5, 10));
	assert_int_equal(ftruncate(t.fd, 3), 0);
	assert_int_equal(spill_peek(t.s, &size, &records), STATUS_EIO);
}

static void test_a_head_that_cannot_be_is_an_error(void **state)
{
	static const uint32_t heads[][2] = {
		{ 1001, 1 }, { UINT32_MAX, 1 }, { 1000, 2 }, { 0, UINT32_MAX }
	};
	uint32_t size, records;
	(void)state;
	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		assert_ok(append(0, 1000));
		assert_int_equal(pwrite(t.fd, heads[i], sizeof(heads[i]), 0), sizeof(heads[i]));
		assert_int_equal(spill_peek(t.s, &size, &records), STATUS_EIO);
		spill_clear(t.s);
	}
}

static void test_a_folder_that_cannot_hold_it_is_refused(void **state)
{
	static char longer[8192];
	struct error e;
	struct spill *s = NULL;
	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	assert_int_equal(spill_open(&s, "/nonexistent", 1, &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent"));
	assert_int_equal(spill_open(&s, "/dev/null", 1, &e), STATUS_ENOENT);
	assert_int_equal(spill_open(&s, longer, 1, &e), STATUS_EINVAL);
	assert_null(s);
	spill_close(NULL);
}

static void test_the_folder_is_that_of_the_environment_by_default(void **state)
{
	struct error e;
	struct spill *s = NULL;
	const char *before = getenv("TMPDIR");
	char *kept = before ? strdup(before) : NULL;
	(void)state;
	setenv("TMPDIR", "/nonexistent", 1);
	assert_int_equal(spill_open(&s, NULL, 1, &e), STATUS_ENOENT);
	assert_int_equal(spill_open(&s, "", 1, &e), STATUS_ENOENT);
	assert_ok(spill_open(&s, t.dir, 1, &e));
	spill_close(s);
	setenv("TMPDIR", "", 1);
	assert_ok(spill_open(&s, NULL, 1, &e));
	spill_close(s);
	if (kept)
		setenv("TMPDIR", kept, 1);
	else
		unsetenv("TMPDIR");
	free(kept);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_frames_come_out_as_they_went_in),
		T(test_appends_and_takes_in_any_order),
		T(test_the_file_has_no_name),
		T(test_space_is_given_back_while_there_is_more),
		T(test_the_limit_counts_what_is_in_it_now),
		T(test_a_full_disk_leaves_the_queue_as_it_was),
		T(test_a_device_without_space),
		T(test_a_file_cut_short_is_an_error),
		T(test_a_head_that_cannot_be_is_an_error),
		T(test_a_folder_that_cannot_hold_it_is_refused),
		T(test_the_folder_is_that_of_the_environment_by_default),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
