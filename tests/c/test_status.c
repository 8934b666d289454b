#include "base/status.h"

#include "support.h"

#include <errno.h>

static void has_a_name_and_a_text_for_each_value(void **state)
{
	(void)state;
	assert_string_equal(status_name(STATUS_OK), "OK");
	assert_string_equal(status_name(STATUS_ELIMIT), "ELIMIT");
	assert_string_equal(status_text(STATUS_ENOSPC), "no space left on device");
	for (int s = STATUS_OK; s >= STATUS_ENOSPC; s--) {
		assert_string_not_equal(status_name(s), "EUNKNOWN");
		assert_string_not_equal(status_text(s), "unknown status");
	}
	for (int s = STATUS_ENOSPC - 1; s < 100; s += 100 - STATUS_ENOSPC) {
		assert_string_equal(status_name(s), "EUNKNOWN");
		assert_string_equal(status_text(s), "unknown status");
	}
}

static void comes_from_errno(void **state)
{
	(void)state;
	static const struct {
		int err, status;
	} rows[] = {
		{ 0, STATUS_OK },
		{ EINVAL, STATUS_EINVAL },
		{ ENOMEM, STATUS_ENOMEM },
		{ EAGAIN, STATUS_EAGAIN },
		{ ETIMEDOUT, STATUS_ETIMEDOUT },
		{ EADDRINUSE, STATUS_EADDRINUSE },
		{ ENOENT, STATUS_ENOENT },
		{ ENOTDIR, STATUS_ENOENT },
		{ EACCES, STATUS_EACCES },
		{ EPERM, STATUS_EACCES },
		{ EROFS, STATUS_EACCES },
		{ ENOSPC, STATUS_ENOSPC },
		{ EDQUOT, STATUS_ENOSPC },
		{ EBADF, STATUS_EIO },
		{ 99999, STATUS_EIO },
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(status_from_errno(rows[i].err), rows[i].status);
}

static void error_keeps_status_and_text(void **state)
{
	(void)state;
	struct error e;
	assert_int_equal(error_set(&e, STATUS_EIO, "%s: %d", "file", 7), STATUS_EIO);
	assert_int_equal(e.status, STATUS_EIO);
	assert_string_equal(e.text, "file: 7");
	assert_int_equal(error_set(NULL, STATUS_ENOMEM, "nobody reads it"), STATUS_ENOMEM);
}

static void error_cuts_a_text_that_is_too_long(void **state)
{
	(void)state;
	struct error e;
	error_set(&e, STATUS_EPROTO, "%*d", (int)sizeof(e.text) + 100, 1);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_a_name_and_a_text_for_each_value),
		cmocka_unit_test(comes_from_errno),
		cmocka_unit_test(error_keeps_status_and_text),
		cmocka_unit_test(error_cuts_a_text_that_is_too_long),
	};
	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
