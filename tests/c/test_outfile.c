/* Result files have one writer at a time. */
#include "support.h"

#include "base/outfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static int make_path(void **state)
{
	(void)state;
	strcpy(path, "/tmp/perigee-outfile-XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, "old", 3) != 3)
		return -1;
	return close(fd);
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

static off_t size_of(const char *name)
{
	struct stat st;
	assert_int_equal(stat(name, &st), 0);
	return st.st_size;
}

static void a_file_is_emptied(void **state)
{
	int fd = -1;
	(void)state;
	assert_int_equal(outfile_open(&fd, path, NULL), STATUS_OK);
	assert_int_equal(size_of(path), 0);
	close(fd);
}

static void a_second_writer_is_refused_and_empties_nothing(void **state)
{
	int fd = -1, second = -1;
	struct error e;
	(void)state;
	assert_int_equal(outfile_open(&fd, path, NULL), STATUS_OK);
	assert_int_equal(write(fd, "new", 3), 3);
	assert_int_equal(outfile_open(&second, path, &e), STATUS_EAGAIN);
	assert_int_equal(second, -1);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "another run writes to it"));
	assert_int_equal(size_of(path), 3);
	close(fd);
	assert_int_equal(outfile_open(&second, path, &e), STATUS_OK);
	close(second);
}

static void a_device_takes_any_number(void **state)
{
	int a = -1, b = -1;
	(void)state;
	assert_int_equal(outfile_open(&a, "/dev/null", NULL), STATUS_OK);
	assert_int_equal(outfile_open(&b, "/dev/null", NULL), STATUS_OK);
	close(a);
	close(b);
}

static void what_cannot_be_opened_is_named(void **state)
{
	int fd = -1;
	struct error e;
	(void)state;
	assert_int_equal(outfile_open(&fd, "/nowhere/at/all", &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nowhere/at/all: No such file"));
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_emptied, make_path, remove_path),
		cmocka_unit_test_setup_teardown(a_second_writer_is_refused_and_empties_nothing,
		                                make_path, remove_path),
		cmocka_unit_test(a_device_takes_any_number),
		cmocka_unit_test(what_cannot_be_opened_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
