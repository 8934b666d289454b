/* What no script and no endpoint can bring about: a session whose HTTP worker dies or hangs, and
 * one whose arrivals come in the very moment in which a request ends. */
#include "base/clock.h"
#include "session/session.h"

#include "http_server.h"
#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>

#define REQUESTS 12

#define STREAM                                                                                     \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 61\r\n\r\n"         \
	"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n"

static bool server_answer(struct server *s, int fd, const struct server_request *q)
{
	(void)s;
	if (!strcmp(q->path, "/never")) {
		server_wait_close(fd);
		return false;
	}
	bool stream = strcmp(q->path, "/stream") == 0;
	server_say(fd, stream ? STREAM : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	return true;
}

struct fixture {
	struct loop *loop;
	struct server *server;
	char requests_file[64];
	struct session *session;
	struct loop_timer timer; /* strikes when all are in flight */
	void (*strike)(void);
	unsigned completed, failed, released;
};

/* ---- the one worker thread, struck by a signal ---- */

static atomic_bool let_go;

static void die(int signum)
{
	(void)signum;
	pthread_exit(NULL);
}

/* pthread_exit() loads a library when it is first called, which a handler must not. */
static void *leave(void *unused)
{
	pthread_exit(unused);
}

static void load_exit(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, leave, NULL))
		abort();
	pthread_join(thread, NULL);
}

static void hang(int signum)
{
	(void)signum;
	while (!atomic_load(&let_go))
		poll(NULL, 0, 10);
}

/* A thread that has both signals of a session blocked is a worker. */
static bool is_worker(const char *tid)
{
	char path[64], line[256];
	unsigned long long blocked = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", tid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "SigBlk: %llx", &blocked);
	if (f)
		fclose(f);
	unsigned long long both = 1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1);
	return (blocked & both) == both && !(blocked >> (SIGUSR1 - 1) & 1);
}

static void strike_worker(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *d;
	unsigned struck = 0;
	assert_non_null(tasks);
	while ((d = readdir(tasks)))
		if (d->d_name[0] != '.' && is_worker(d->d_name)) {
			syscall(SYS_tgkill, getpid(), atoi(d->d_name), SIGUSR1);
			struck++;
		}
	closedir(tasks);
	assert_int_equal(struck, 1);
}

/* ---- the driver ---- */

/* All at once, and one more that never comes. */
static int schedule(void *ctx, struct phase *p, uint64_t *due, int n)
{
	(void)ctx, (void)p;
	assert_true(n > REQUESTS);
	for (int i = 0; i <= REQUESTS; i++)
		due[i] = i < REQUESTS ? 0 : 3600 * NS_PER_S;
	return REQUESTS + 1;
}

static int build(void *ctx, struct phase *p, uint64_t i, const struct want *want, struct job *out)
{
	(void)ctx, (void)p, (void)want;
	*out = (struct job){ .body = "x", .body_len = 1, .index = (int64_t)i };
	out->path = i % 2 ? "/never" : "/ok";
	return BUILD_OK;
}

static void release(void *ctx, struct job *job)
{
	struct fixture *f = ctx;
	(void)job;
	f->released++;
}

static void complete(void *ctx, struct request *r)
{
	struct fixture *f = ctx;
	const struct response *res = &r->exchange.response;
	if (res->failure == FAILURE_NONE) {
		f->completed++;
		return;
	}
	assert_int_equal(res->failure, FAILURE_CLIENT);
	f->failed++;
}

static void on_timer(struct loop_timer *t, uint64_t now_ns)
{
	struct fixture *f = t->data;
	if (f->completed == REQUESTS / 2 && f->server->requests == REQUESTS)
		f->strike();
	else
		loop_timer_start(f->loop, t, now_ns + NS_PER_MS);
}

/* ---- the run ---- */

static void open_session(struct fixture *f, const struct driver *driver,
                         const struct phase_config *phase_config, unsigned workers,
                         enum decoder decoder)
{
	struct session_config config = { .name = "struck",
		                         .requests_file = f->requests_file,
		                         .workers = workers };
	struct client_config client_config = { .urls = (const char *[]){ f->server->url },
		                               .url_count = 1,
		                               .decoder = decoder };
	struct client *client;
	struct phase *phase;
	struct error e;
	if (session_new(&f->session, f->loop, &config, &e) ||
	    session_add_client(f->session, &client_config, &client, &e) ||
	    session_add_phase(f->session, phase_config, client, driver, f, &phase, &e))
		fail_msg("%s", e.text);
}

static unsigned lines_with(const char *path, const char *text)
{
	char line[4096];
	unsigned n = 0;
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, text) != NULL;
	fclose(file);
	return n;
}

static void play(struct fixture *f, void (*handler)(int), const char *how)
{
	static const struct driver driver = {
		.schedule = schedule, .build = build, .release = release, .complete = complete
	};
	struct session_result result;
	signal(SIGUSR1, handler);
	const struct phase_config config = { .name = "only",
		                             .drain = true,
		                             .drain_ns = 600 * NS_PER_S };
	open_session(f, &driver, &config, 1, DECODE_RAW);
	f->strike = strike_worker;
	f->timer = (struct loop_timer){ .fn = on_timer, .data = f };
	assert_ok(loop_timer_start(f->loop, &f->timer, 1));
	session_run(f->session, &result);
	assert_int_equal(result.outcome, SESSION_FAILED);
	assert_string_equal(result.error.text, how);
	assert_int_equal(f->completed, REQUESTS / 2); /* what was measured is kept, */
	assert_int_equal(f->failed, REQUESTS / 2);    /* what was in flight is told */
	assert_int_equal(lines_with(f->requests_file, "\"ok\":true"), REQUESTS / 2);
	assert_int_equal(lines_with(f->requests_file, "\"error\":\"client\""), REQUESTS / 2);
	assert_int_equal(lines_with(f->requests_file, how), REQUESTS / 2);
	const struct phase_metrics *m = fold_phase(session_fold(f->session), 0);
	assert_string_equal(m->end_reason, "client");
	assert_int_equal(m->all.issued, REQUESTS);
	session_free(f->session, 0, NULL);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_ok(loop_new(&f->loop));
	f->server = server_start(NULL);
	snprintf(f->requests_file, sizeof(f->requests_file), "/tmp/perigee_session_XXXXXX");
	int fd = mkstemp(f->requests_file);
	assert_true(fd >= 0);
	close(fd);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unlink(f->requests_file);
	loop_timer_stop(f->loop, &f->timer);
	server_stop(f->server);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void a_worker_dies(void **state)
{
	struct fixture *f = *state;
	play(f, die, "HTTP worker 0 died: its thread ended");
	assert_int_equal(f->released, REQUESTS);
}

/* What it may still read is kept. */
static void a_worker_hangs(void **state)
{
	struct fixture *f = *state;
	play(f, hang, "HTTP worker 0 hangs");
	assert_int_equal(f->released, REQUESTS / 2);
}

/* ---- an arrival that comes while the end of a request is not delivered yet ---- */

#define ARRIVALS 5
#define GAP_NS   (100 * NS_PER_MS)

static int schedule_gaps(void *ctx, struct phase *p, uint64_t *due, int n)
{
	(void)ctx, (void)p;
	assert_true(n >= ARRIVALS);
	due[0] = 0;
	for (int i = 1; i < ARRIVALS; i++)
		due[i] = due[i - 1] + GAP_NS;
	return ARRIVALS;
}

static int build_stream(void *ctx, struct phase *p, uint64_t i, const struct want *want,
                        struct job *out)
{
	(void)ctx, (void)p, (void)want;
	*out = (struct job){ .body = "x", .body_len = 1, .path = "/stream", .index = (int64_t)i };
	return BUILD_OK;
}

/* Until the next arrival is due; the rest of the answer has been read by then. */
static void wait_for_next(void *ctx, struct request *r)
{
	(void)ctx;
	while (clock_now() < r->scheduled_ns + GAP_NS)
		;
}

static void what_has_ended_makes_room_first(void **state)
{
	static const struct driver driver = { .schedule = schedule_gaps,
		                              .build = build_stream,
		                              .release = release,
		                              .first = wait_for_next,
		                              .complete = complete };
	const struct phase_config config = { .name = "only",
		                             .drain = true,
		                             .drain_ns = 600 * NS_PER_S,
		                             .max_inflight = 1,
		                             .overload = OVERLOAD_DROP };
	struct fixture *f = *state;
	struct session_result result;
	open_session(f, &driver, &config, 0, DECODE_CHAT);
	session_run(f->session, &result);
	const struct phase_metrics *m = fold_phase(session_fold(f->session), 0);
	assert_true(m->dropped == 0);
	assert_int_equal(f->completed, ARRIVALS);
	session_free(f->session, 0, NULL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_worker_dies), TEST(a_worker_hangs),
		                            TEST(what_has_ended_makes_room_first) };
	load_exit();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
