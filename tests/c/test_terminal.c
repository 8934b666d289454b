#include "base/terminal.h"

#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define DEADLINE_MS 20000
#define RESTORED    "\r\33[0m\33[J\33[?25h" /* attributes, what is below, the cursor */

/* A pseudo-terminal that changes no byte: what is written to `slave` is read from `master`. */
struct pty {
	int master, slave;
};

static int setup(void **state)
{
	static struct pty p;
	struct termios t;
	p.master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(p.master >= 0);
	assert_int_equal(grantpt(p.master), 0);
	assert_int_equal(unlockpt(p.master), 0);
	p.slave = open(ptsname(p.master), O_RDWR | O_NOCTTY);
	assert_true(p.slave >= 0);
	assert_int_equal(tcgetattr(p.slave, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(p.slave, TCSANOW, &t), 0);
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pty *p = *state;
	terminal_release();
	if (p->master >= 0)
		close(p->master);
	close(p->slave);
	return 0;
}

/* Exactly these bytes come. */
static void assert_shown(int fd, const char *text)
{
	char got[256];
	size_t len = strlen(text), n = 0;
	assert_true(len <= sizeof(got));
	while (n < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		ssize_t more = read(fd, got + n, len - n);
		assert_true(more > 0);
		n += (size_t)more;
	}
	assert_memory_equal(got, text, len);
}

/* What is written now comes next: so nothing was before it. */
static void assert_nothing_shown(const struct pty *p)
{
	assert_int_equal(write(p->slave, ".", 1), 1);
	assert_shown(p->master, ".");
}

static int open_descriptors(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void shows_what_is_written_and_restores_while_it_is_held(void **state)
{
	struct pty *p = *state;
	terminal_restore();
	terminal_release(); /* none is held */
	assert_nothing_shown(p);
	terminal_hold(p->slave);
	assert_int_equal(terminal_write("\33[?25lframe", 11), 11);
	assert_shown(p->master, "\33[?25lframe");
	terminal_restore();
	assert_shown(p->master, RESTORED);
	terminal_release();
	terminal_restore();
	assert_nothing_shown(p);
}

/* A description of its own: the shell's stays one that blocks, and all of ours are closed. */
static void leaves_the_callers_descriptor_as_it_is(void **state)
{
	struct pty *p = *state;
	int before = open_descriptors();
	terminal_hold(p->slave);
	assert_false(fcntl(p->slave, F_GETFL) & O_NONBLOCK);
	terminal_hold(p->slave); /* anew */
	terminal_release();
	terminal_release();
	assert_int_equal(open_descriptors(), before);
	assert_nothing_shown(p);
}

static void takes_what_it_has_room_for(void **state)
{
	static char text[1 << 20], got[1 << 20];
	struct pty *p = *state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 23);
	terminal_hold(p->slave);
	size_t sent = terminal_write(text, sizeof(text)), read_so_far = 0;
	assert_true(sent < sizeof(text)); /* nobody reads, and it did not wait */
	assert_int_equal(terminal_write(text + sent, sizeof(text) - sent), 0);
	while (read_so_far < sizeof(text)) {
		struct pollfd poll_master = { .fd = p->master, .events = POLLIN };
		assert_int_equal(poll(&poll_master, 1, DEADLINE_MS), 1);
		ssize_t n = read(p->master, got + read_so_far, sizeof(got) - read_so_far);
		assert_true(n > 0);
		read_so_far += (size_t)n;
		sent += terminal_write(text + sent, sizeof(text) - sent);
	}
	assert_memory_equal(got, text, sizeof(text));
}

static void takes_all_when_the_terminal_is_gone(void **state)
{
	struct pty *p = *state;
	terminal_hold(p->slave);
	close(p->master);
	p->master = -1;
	assert_int_equal(terminal_write("frame", 5), 5);
	errno = 7;
	terminal_restore();
	assert_int_equal(errno, 7); /* a handler disturbs nobody */
}

/* Then what the caller has is used, and stays open. */
static void writes_to_what_is_no_terminal(void **state)
{
	int fds[2];
	(void)state;
	assert_int_equal(pipe(fds), 0);
	terminal_hold(fds[1]);
	assert_int_equal(terminal_write("frame", 5), 5);
	terminal_restore();
	terminal_release();
	assert_int_equal(write(fds[1], ".", 1), 1);
	assert_shown(fds[0], "frame" RESTORED ".");
	close(fds[0]);
	close(fds[1]);
}

static void (*handler_of(int signum))(int)
{
	struct sigaction action;
	assert_int_equal(sigaction(signum, NULL, &action), 0);
	return action.sa_handler;
}

static void on_quit(int signum)
{
	(void)signum;
}

static void takes_signals_that_nobody_else_has(void **state)
{
	struct pty *p = *state;
	signal(SIGQUIT, on_quit);
	signal(SIGTSTP, SIG_IGN);
	terminal_hold(p->slave);
	assert_ptr_equal(handler_of(SIGQUIT), on_quit);
	assert_ptr_equal(handler_of(SIGTSTP), SIG_IGN);
	terminal_release();
	assert_ptr_equal(handler_of(SIGQUIT), on_quit);
	assert_ptr_equal(handler_of(SIGTSTP), SIG_IGN);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGTSTP, SIG_DFL);
	terminal_hold(p->slave);
	assert_ptr_not_equal(handler_of(SIGQUIT), SIG_DFL);
	assert_ptr_not_equal(handler_of(SIGTSTP), SIG_DFL);
	terminal_release();
	assert_ptr_equal(handler_of(SIGQUIT), SIG_DFL);
	assert_ptr_equal(handler_of(SIGTSTP), SIG_DFL);
}

/* ---- ends of a process that holds the terminal ---- */

/* The child has shown ">" when it comes to its end, and was not told to show anything more. */
static pid_t hold_in_child(const struct pty *p, void (*end)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0 };
		setrlimit(RLIMIT_CORE, &none);
		terminal_hold(p->slave);
		terminal_write(">", 1);
		end();
		_exit(99);
	}
	assert_shown(p->master, ">");
	return pid;
}

static int status_of(pid_t pid, int options)
{
	int status;
	alarm(DEADLINE_MS / 1000); /* ends this test, too, when a child does not */
	assert_int_equal(waitpid(pid, &status, options), pid);
	alarm(0);
	return status;
}

static void end_by_exit(void)
{
	exit(3);
}

static void end_at_once(void)
{
	_exit(4);
}

static void end_by_quit(void)
{
	raise(SIGQUIT);
}

/* Stopped, it goes on and is released in order. */
static void stop_and_go_on(void)
{
	raise(SIGTSTP);
	terminal_write("again", 5);
	terminal_release();
	exit(5);
}

static void restores_at_exit(void **state)
{
	struct pty *p = *state;
	int status = status_of(hold_in_child(p, end_by_exit), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	assert_shown(p->master, RESTORED);
	/* who ends at once gets nothing done: it has to call terminal_restore() before */
	status = status_of(hold_in_child(p, end_at_once), 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 4);
	assert_nothing_shown(p);
}

static void restores_when_it_is_killed_by_a_signal(void **state)
{
	struct pty *p = *state;
	int status = status_of(hold_in_child(p, end_by_quit), 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
	assert_shown(p->master, RESTORED);
	assert_nothing_shown(p);
}

static void restores_while_it_is_stopped(void **state)
{
	struct pty *p = *state;
	pid_t pid = hold_in_child(p, stop_and_go_on);
	int status = status_of(pid, WUNTRACED);
	assert_true(WIFSTOPPED(status));
	assert_shown(p->master, RESTORED);
	assert_nothing_shown(p);
	assert_int_equal(kill(pid, SIGCONT), 0);
	status = status_of(pid, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	assert_shown(p->master, "again");
	assert_nothing_shown(p); /* it was released: nothing to restore at its end */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(shows_what_is_written_and_restores_while_it_is_held),
		TEST(leaves_the_callers_descriptor_as_it_is),
		TEST(takes_what_it_has_room_for),
		TEST(takes_all_when_the_terminal_is_gone),
		TEST(writes_to_what_is_no_terminal),
		TEST(takes_signals_that_nobody_else_has),
		TEST(restores_at_exit),
		TEST(restores_when_it_is_killed_by_a_signal),
		TEST(restores_while_it_is_stopped),
	};
	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
