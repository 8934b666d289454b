#include "base/process.h"

#include "base/clock.h"

#include "support.h"

#include <signal.h>
#include <stdio.h>

static uint64_t soon(void)
{
	return clock_now() + 20 * NS_PER_S; /* for what must come */
}

static struct process *shell(const char *script)
{
	struct process *p;
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct error e;
	assert_ok(process_spawn(&p, argv, &e));
	return p;
}

static void assert_line(struct process *p, const char *want)
{
	char line[8192];
	assert_int_equal(process_read_line(p, line, sizeof(line), soon()), strlen(want));
	assert_string_equal(line, want);
}

static void assert_end(struct process *p)
{
	char line[16];
	assert_int_equal(process_read_line(p, line, sizeof(line), soon()), STATUS_ECLOSED);
	assert_int_equal(process_read_line(p, line, sizeof(line), soon()), STATUS_ECLOSED);
}

static void lines_come_one_by_one(void **state)
{
	(void)state;
	struct process *p = shell("printf 'one\\n\\ntwo words\\nlast'");
	assert_line(p, "one");
	assert_line(p, "");
	assert_line(p, "two words");
	assert_line(p, "last"); /* without a newline */
	assert_end(p);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void lines_may_be_written_in_pieces(void **state)
{
	(void)state;
	/* Another program per piece: separate writes. */
	struct process *p =
		shell("for i in 1 2 3; do printf a; env printf 'b\\nc'; env printf 'd\\n'; done");
	for (int i = 0; i < 3; i++) {
		assert_line(p, "ab");
		assert_line(p, "cd");
	}
	assert_end(p);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void many_lines_pass_the_buffer(void **state)
{
	(void)state;
	struct process *p = shell("i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done");
	for (int i = 0; i < 3000; i++) {
		char want[32];
		snprintf(want, sizeof(want), "line-%d", i);
		assert_line(p, want);
	}
	assert_end(p);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void a_line_is_cut_to_the_room_it_gets(void **state)
{
	(void)state;
	struct process *p = shell("printf '12345678\\nnext\\n'");
	char line[6];
	assert_int_equal(process_read_line(p, line, sizeof(line), soon()), 5);
	assert_string_equal(line, "12345");
	assert_line(p, "next");
	assert_end(p);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void a_line_longer_than_the_buffer_is_one_line(void **state)
{
	(void)state;
	static const char *const scripts[] = {
		"printf '%4095d\\nnext\\n' 1", "printf '%4096d\\nnext\\n' 1",
		"printf '%4097d\\nnext\\n' 1", "printf '%50000d\\nnext\\n' 1",
		"printf '%50000d\\nnext' 1",
	};
	for (size_t i = 0; i < COUNT_OF(scripts); i++) {
		struct process *p = shell(scripts[i]);
		char line[8192];
		int n = process_read_line(p, line, sizeof(line), soon());
		assert_true(n >= 4095 && n <= 4096);
		assert_int_equal(strspn(line, " 1"), n);
		assert_line(p, "next");
		assert_end(p);
		assert_int_equal(process_stop(p, soon()), 0);
	}
}

static void a_line_without_end_ends_at_the_deadline(void **state)
{
	(void)state;
	struct process *p = shell("exec cat /dev/zero");
	char line[16];
	assert_int_equal(process_read_line(p, line, sizeof(line), soon()), 15);
	assert_int_equal(process_read_line(p, line, sizeof(line), clock_now() + NS_PER_MS),
	                 STATUS_ETIMEDOUT);
	assert_int_equal(process_stop(p, clock_now()), 128 + SIGTERM);
}

static void waits_for_a_line_however_far_the_deadline_is(void **state)
{
	(void)state;
	/* 2^32 ms and a little, the end of time, and no room for a sum. */
	const uint64_t far[] = { clock_now() + (NS_PER_MS << 32), UINT64_MAX / 2, UINT64_MAX };
	for (size_t i = 0; i < COUNT_OF(far); i++) {
		struct process *p = shell("sleep 0.1; echo late");
		char line[16];
		assert_int_equal(process_read_line(p, line, sizeof(line), far[i]), 4);
		assert_string_equal(line, "late");
		assert_int_equal(process_stop(p, soon()), 0);
	}
}

static void waits_for_a_line_until_the_deadline(void **state)
{
	(void)state;
	struct process *p = shell("echo ready; printf half; read x; echo; echo end of input");
	char line[64];
	assert_line(p, "ready");
	assert_int_equal(process_read_line(p, line, sizeof(line), clock_now() + NS_PER_MS),
	                 STATUS_ETIMEDOUT);
	assert_int_equal(process_read_line(p, line, sizeof(line), 0), STATUS_ETIMEDOUT);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void the_end_of_its_input_tells_the_child_to_go(void **state)
{
	(void)state;
	struct process *p = shell("cat; exit 7");
	assert_int_equal(process_stop(p, soon()), 7);
}

static void its_last_words_can_be_read_when_its_input_is_closed(void **state)
{
	(void)state;
	struct process *p = shell("cat; echo last words");
	process_close_input(p);
	process_close_input(p);
	assert_line(p, "last words");
	assert_end(p);
	assert_int_equal(process_stop(p, soon()), 0);
}

static void a_child_that_says_much_before_it_goes_is_not_held_up(void **state)
{
	(void)state;
	struct process *p =
		shell("cat; head -c 300000 /dev/zero; exit 7"); /* more than a pipe holds */
	assert_int_equal(process_stop(p, soon()), 7);
}

static void its_input_ends_although_siblings_live(void **state)
{
	(void)state;
	struct process *first = shell("cat; exit 3"), *second = shell("cat; exit 4");
	assert_int_equal(process_stop(first, soon()), 3);
	assert_int_equal(process_stop(second, soon()), 4);
}

static void a_child_that_stays_is_terminated(void **state)
{
	(void)state;
	struct process *p = shell("echo ready; exec sleep 60");
	assert_line(p, "ready");
	assert_int_equal(process_stop(p, clock_now()), 128 + SIGTERM);
}

static void a_child_may_clean_up_when_terminated(void **state)
{
	(void)state;
	struct process *p = shell("trap 'exit 9' TERM; echo ready; while :; do :; done");
	assert_line(p, "ready");
	assert_int_equal(process_stop(p, clock_now()), 9);
}

static void a_child_that_ignores_that_is_killed(void **state)
{
	(void)state;
	struct process *p = shell("trap '' TERM; echo ready; exec sleep 60");
	assert_line(p, "ready");
	assert_int_equal(process_stop(p, clock_now()), 128 + SIGKILL);
}

static void tells_how_the_child_ended(void **state)
{
	(void)state;
	struct process *p = shell("exit 42");
	assert_int_equal(process_stop(p, soon()), 42);
	p = shell("kill -9 $$");
	assert_int_equal(process_stop(p, soon()), 128 + SIGKILL);
	assert_int_equal(process_stop(NULL, 0), 0);
}

static void a_program_that_is_not_there_is_named(void **state)
{
	(void)state;
	struct process *p = (void *)state;
	struct error e;
	const char *const argv[] = { "perigee-no-such-program", NULL };
	assert_int_equal(process_spawn(&p, argv, &e), STATUS_ENOENT);
	assert_int_equal(e.status, STATUS_ENOENT);
	assert_non_null(strstr(e.text, "perigee-no-such-program"));
	const char *const folder[] = { "/", NULL };
	assert_int_equal(process_spawn(&p, folder, &e), STATUS_EACCES);
	assert_int_equal(process_spawn(&p, folder, NULL), STATUS_EACCES);
	assert_ptr_equal(p, (void *)state);
}

static int open_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++) {
		int copy = dup(fd);
		n += copy >= 0;
		if (copy >= 0)
			close(copy);
	}
	return n;
}

static void no_descriptor_is_left_open(void **state)
{
	(void)state;
	const char *const argv[] = { "perigee-no-such-program", NULL };
	struct process *p;
	int before = open_descriptors();
	for (int i = 0; i < 5; i++) {
		assert_int_equal(process_stop(shell("exit 0"), soon()), 0);
		assert_int_equal(process_spawn(&p, argv, NULL), STATUS_ENOENT);
	}
	assert_int_equal(open_descriptors(), before);
}

static void the_child_has_a_process_group_of_its_own(void **state)
{
	(void)state;
	struct process *p =
		shell("echo $$ $(ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat)");
	char line[64];
	int pid = 0, group = 0;
	assert_true(process_read_line(p, line, sizeof(line), soon()) > 0);
	assert_int_equal(sscanf(line, "%d %d", &pid, &group), 2);
	assert_int_equal(pid, group);
	assert_int_equal(process_stop(p, soon()), 0);
}

/* ---- watch and wait ---- */

struct log {
	char text[256];
	int ends, calls;
};

/* As a supervisor does: all lines that are there, and the end. */
static void note(void *ctx, struct process *p)
{
	struct log *log = ctx;
	char line[64];
	int n;
	log->calls++;
	while ((n = process_read_line(p, line, sizeof(line), 0)) >= 0) {
		strcat(log->text, line);
		strcat(log->text, ";");
	}
	if (n == STATUS_ECLOSED)
		log->ends++;
}

static void a_watched_child_is_heard_and_its_end_is_told_once(void **state)
{
	(void)state;
	struct loop *loop;
	struct log log = { 0 };
	assert_ok(loop_new(&loop));
	struct process *p = shell("echo one; read line; echo two; kill -9 $$");
	assert_ok(process_watch(p, loop, note, &log));
	while (strcmp(log.text, "one;") != 0)
		assert_ok(loop_turn(loop, 20 * NS_PER_S));
	assert_int_equal(log.ends, 0);
	int status;
	assert_int_equal(process_wait(p, &status, clock_now()), STATUS_ETIMEDOUT);
	struct process *other = shell("exit 3"); /* its end is not the first one's */
	assert_ok(process_wait(other, &status, soon()));
	assert_int_equal(status, 3);
	assert_ok(process_wait(other, &status, soon())); /* asked again */
	assert_int_equal(status, 3);
	assert_int_equal(process_stop(other, soon()), 3);
	assert_int_equal(log.ends, 0);
	assert_int_equal(process_stop(p, soon()), 128 + SIGKILL);
	loop_turn(loop, 0);
	loop_free(loop);
}

static void the_end_of_a_watched_child_is_not_told_again(void **state)
{
	(void)state;
	struct loop *loop;
	struct log log = { 0 };
	int status;
	assert_ok(loop_new(&loop));
	struct process *p = shell("echo last; kill -9 $$");
	assert_ok(process_watch(p, loop, note, &log));
	while (!log.ends)
		assert_ok(loop_turn(loop, 20 * NS_PER_S));
	assert_string_equal(log.text, "last;");
	int calls = log.calls;
	for (int i = 0; i < 20; i++)
		loop_turn(loop, 0);
	assert_int_equal(log.calls, calls);
	assert_int_equal(log.ends, 1);
	assert_ok(process_wait(p, &status, soon()));
	assert_int_equal(status, 128 + SIGKILL);
	assert_int_equal(process_stop(p, soon()), 128 + SIGKILL);
	loop_turn(loop, 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_one_by_one),
		cmocka_unit_test(lines_may_be_written_in_pieces),
		cmocka_unit_test(many_lines_pass_the_buffer),
		cmocka_unit_test(a_line_is_cut_to_the_room_it_gets),
		cmocka_unit_test(a_line_longer_than_the_buffer_is_one_line),
		cmocka_unit_test(a_line_without_end_ends_at_the_deadline),
		cmocka_unit_test(waits_for_a_line_however_far_the_deadline_is),
		cmocka_unit_test(waits_for_a_line_until_the_deadline),
		cmocka_unit_test(the_end_of_its_input_tells_the_child_to_go),
		cmocka_unit_test(its_last_words_can_be_read_when_its_input_is_closed),
		cmocka_unit_test(a_child_that_says_much_before_it_goes_is_not_held_up),
		cmocka_unit_test(its_input_ends_although_siblings_live),
		cmocka_unit_test(a_child_that_stays_is_terminated),
		cmocka_unit_test(a_child_may_clean_up_when_terminated),
		cmocka_unit_test(a_child_that_ignores_that_is_killed),
		cmocka_unit_test(tells_how_the_child_ended),
		cmocka_unit_test(a_program_that_is_not_there_is_named),
		cmocka_unit_test(no_descriptor_is_left_open),
		cmocka_unit_test(the_child_has_a_process_group_of_its_own),
		cmocka_unit_test(a_watched_child_is_heard_and_its_end_is_told_once),
		cmocka_unit_test(the_end_of_a_watched_child_is_not_told_again),
	};
	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
