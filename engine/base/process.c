#include "base/process.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

extern char **environ;

#define LINE_MAX_BYTES 4096
#define LAST_POLL_US   1000
#define DROPS_PER_LOOK 16 /* times LINE_MAX_BYTES: what a pipe holds */

struct process_watch {
	uv_poll_t poll; /* its close callback frees all */
	struct process *process;
	void (*fn)(void *ctx, struct process *p);
	void *ctx;
};

struct process {
	pid_t pid;
	bool reaped;                 /* it has ended, as status says */
	int status;                  /* of waitpid() */
	struct process_watch *watch; /* NULL: nobody asked */
	int in;                      /* its standard input; -1: closed */
	int out;                     /* its standard output, non-blocking */
	size_t len;
	bool cut; /* the last line was longer than that: its rest is to be dropped */
	char buffered[LINE_MAX_BYTES]; /* output read and not yet handed out */
};

static int make_pipe(int fd[2])
{
	if (pipe(fd))
		return -1;
	fcntl(fd[0], F_SETFD, FD_CLOEXEC);
	fcntl(fd[1], F_SETFD, FD_CLOEXEC);
	return 0;
}

static void close_pair(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static int spawn_with_pipes(pid_t *pid, const char *const *argv, int child_in, int child_out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc) {
		posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	/* A group of its own: a ^C at the terminal is the parent's to handle. */
	rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, child_in, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, child_out, 1);
	if (!rc)
		rc = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv,
		                  environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int process_spawn(struct process **out, const char *const *argv, struct error *e)
{
	int in[2] = { -1, -1 }, result[2] = { -1, -1 };
	struct process *p = calloc(1, sizeof(*p));
	if (!p)
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", argv[0]);
	int rc = make_pipe(in) || make_pipe(result) ? errno : 0;
	if (!rc)
		rc = spawn_with_pipes(&p->pid, argv, in[0], result[1]);
	if (rc) {
		close_pair(in);
		close_pair(result);
		free(p);
		return error_set(e, status_from_errno(rc), "cannot start %s: %s", argv[0],
		                 strerror(rc));
	}
	close(in[0]);
	close(result[1]);
	p->in = in[1];
	p->out = result[0];
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	*out = p;
	return STATUS_OK;
}

long process_pid(const struct process *p)
{
	return (long)p->pid;
}

/* Hand out the first len bytes of the buffer and drop them and `skip` more. */
static int take_line(struct process *p, char *line, size_t size, size_t len, size_t skip)
{
	size_t n = len < size - 1 ? len : size - 1;
	memcpy(line, p->buffered, n);
	line[n] = '\0';
	p->len -= len + skip;
	memmove(p->buffered, p->buffered + len + skip, p->len);
	return (int)n;
}

static int poll_until(int fd, uint64_t deadline_ns)
{
	uint64_t now = clock_now();
	uint64_t ms = now >= deadline_ns ? 0 : (deadline_ns - now) / NS_PER_MS + 1;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int rc = poll(&pfd, 1, ms < INT_MAX ? (int)ms : INT_MAX);
	if (rc < 0 && errno != EINTR)
		return STATUS_EIO;
	return rc <= 0 && clock_now() >= deadline_ns ? STATUS_ETIMEDOUT : STATUS_OK;
}

/* Drop the rest of a line that was cut, as far as it has come in. */
static void drop_rest(struct process *p)
{
	char *end = memchr(p->buffered, '\n', p->len);
	size_t n = end ? (size_t)(end - p->buffered) + 1 : p->len;
	p->len -= n;
	memmove(p->buffered, p->buffered + n, p->len);
	p->cut = !end;
}

int process_read_line(struct process *p, char *line, size_t size, uint64_t deadline_ns)
{
	for (;;) {
		if (p->cut)
			drop_rest(p);
		char *end = memchr(p->buffered, '\n', p->len);
		if (end)
			return take_line(p, line, size, (size_t)(end - p->buffered), 1);
		if (p->len == sizeof(p->buffered)) {
			p->cut = true;
			return take_line(p, line, size, p->len, 0);
		}

		ssize_t n = read(p->out, p->buffered + p->len, sizeof(p->buffered) - p->len);
		if (n > 0) {
			p->len += (size_t)n;
			if (p->cut && clock_now() >= deadline_ns)
				return STATUS_ETIMEDOUT; /* a line without end */
			continue;
		}
		if (n == 0 && p->watch)
			uv_poll_stop(&p->watch->poll);
		if (n == 0)
			return p->len ? take_line(p, line, size, p->len, 0) : STATUS_ECLOSED;
		if (errno != EAGAIN && errno != EINTR)
			return STATUS_EIO;
		int err = poll_until(p->out, deadline_ns);
		if (err)
			return err;
	}
}

/* Output that nobody reads any more must not hold the child up. */
static void drop_output(struct process *p)
{
	for (int i = 0; i < DROPS_PER_LOOK; i++)
		if (read(p->out, p->buffered, sizeof(p->buffered)) <= 0)
			return;
}

/* ---- the end ---- */

/* Reap until the deadline; false when it still runs. */
static bool reap(struct process *p, uint64_t deadline_ns)
{
	while (!p->reaped) {
		pid_t done = waitpid(p->pid, &p->status, WNOHANG);
		if (done < 0 && errno != EINTR)
			p->status = 0;
		p->reaped = done == p->pid || (done < 0 && errno != EINTR);
		if (p->reaped || clock_now() >= deadline_ns)
			break;
		drop_output(p);
		nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
	}
	return p->reaped;
}

static int exit_status(const struct process *p)
{
	return WIFSIGNALED(p->status) ? 128 + WTERMSIG(p->status) : WEXITSTATUS(p->status);
}

void process_close_input(struct process *p)
{
	if (p->in >= 0)
		close(p->in);
	p->in = -1;
}

int process_wait(struct process *p, int *status, uint64_t deadline_ns)
{
	if (!reap(p, deadline_ns))
		return STATUS_ETIMEDOUT;
	*status = exit_status(p);
	return STATUS_OK;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

int process_stop(struct process *p, uint64_t deadline_ns)
{
	if (!p)
		return 0;
	process_close_input(p);
	if (p->watch)
		uv_close((uv_handle_t *)&p->watch->poll, on_closed);
	if (!reap(p, deadline_ns)) {
		kill(p->pid, SIGTERM);
		if (!reap(p, clock_now() + NS_PER_S)) {
			kill(p->pid, SIGKILL);
			waitpid(p->pid, &p->status, 0);
		}
	}
	int status = exit_status(p);
	close(p->out);
	free(p);
	return status;
}

/* ---- watch ---- */

static void on_output(uv_poll_t *h, int status, int events)
{
	struct process_watch *w = h->data;
	(void)status, (void)events;
	w->fn(w->ctx, w->process);
}

int process_watch(struct process *p, struct loop *loop, void (*fn)(void *ctx, struct process *p),
                  void *ctx)
{
	struct process_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return STATUS_ENOMEM;
	*w = (struct process_watch){ .process = p, .fn = fn, .ctx = ctx };
	if (uv_poll_init(loop_uv(loop), &w->poll, p->out)) {
		free(w);
		return STATUS_EIO;
	}
	w->poll.data = w;
	p->watch = w;
	return uv_poll_start(&w->poll, UV_READABLE, on_output) ? STATUS_EIO : STATUS_OK;
}

void process_run_last(char *const *argv, uint64_t timeout_ns)
{
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	sigemptyset(&none);
	if (posix_spawnattr_init(&attr))
		return;
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	int rc = posix_spawnp(&pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc)
		return;
	uint64_t deadline = clock_now() + timeout_ns;
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (clock_now() >= deadline)
			kill(pid, SIGKILL);
		usleep(LAST_POLL_US);
	}
}
