#include "base/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define NONE      (-1)
#define NAME_SIZE 256

static atomic_int held = NONE;
static bool own; /* the descriptor is ours to close */

void terminal_restore(void)
{
	static const char show[] = "\r\33[0m\33[J\33[?25h";
	int fd = atomic_load(&held), saved = errno;
	ssize_t written = fd == NONE ? 0 : write(fd, show, sizeof(show) - 1);
	(void)written; /* the terminal is gone, and nobody is left to be told */
	errno = saved;
}

/* SIGSTOP stands for the default of SIGTSTP, which a handler replaces. */
static void on_signal(int signum)
{
	int saved = errno;
	terminal_restore();
	if (signum != SIGTSTP)
		signal(signum, SIG_DFL);
	raise(signum == SIGTSTP ? SIGSTOP : signum);
	errno = saved;
}

/* Not where somebody wants a signal ignored, or has a handler. */
static void handle(int signum, void (*from)(int), void (*to)(int))
{
	struct sigaction action;
	if (sigaction(signum, NULL, &action) || action.sa_handler != from)
		return;
	action = (struct sigaction){ .sa_handler = to, .sa_flags = SA_RESTART };
	sigemptyset(&action.sa_mask);
	sigaction(signum, &action, NULL);
}

/* A second description of the same terminal; NONE when it cannot be opened. */
static int open_again(int fd)
{
	char name[NAME_SIZE];
	if (ttyname_r(fd, name, sizeof(name)))
		return NONE;
	return open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void terminal_hold(int fd)
{
	static bool registered;
	terminal_release();
	if (!registered)
		registered = atexit(terminal_restore) == 0;
	int again = open_again(fd);
	own = again != NONE;
	atomic_store(&held, own ? again : fd);
	handle(SIGQUIT, SIG_DFL, on_signal);
	handle(SIGTSTP, SIG_DFL, on_signal);
}

size_t terminal_write(const char *data, size_t len)
{
	size_t done = 0;
	while (done < len) {
		ssize_t n = write(atomic_load(&held), data + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? done : len;
		done += (size_t)n;
	}
	return done;
}

void terminal_release(void)
{
	int fd = atomic_exchange(&held, NONE);
	if (fd == NONE)
		return;
	handle(SIGQUIT, on_signal, SIG_DFL);
	handle(SIGTSTP, on_signal, SIG_DFL);
	if (own)
		close(fd);
}
