/* publisher_support.h - a publisher, a subscriber and what was told, for C tests. */
#ifndef PERIGEE_TESTS_PUBLISHER_SUPPORT_H
#define PERIGEE_TESTS_PUBLISHER_SUPPORT_H

#include "base/clock.h"
#include "events/publisher.h"
#include "events/subscriber.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>
/* after the standard headers, which it needs */
#include <cmocka.h>

#define PATIENCE (20 * NS_PER_S) /* of every wait; reached only when a test fails */
#define SEEN_MAX 4096

/* What a subscriber was told. */
struct seen {
	uint64_t count;
	uint64_t disordered; /* events whose seq was not their place among those told */
	uint64_t seq[SEEN_MAX];
	enum event_type type[SEEN_MAX];
	bool ended;
};

static struct {
	char dir[64];
	char address[128]; /* ipc, in dir */
	struct loop *loop;
	struct publisher *p;
	struct subscriber *s;
	struct seen seen;
	uint64_t seq; /* of the next event put */
} t;

static inline uint64_t soon(void)
{
	return clock_now() + PATIENCE;
}

static inline int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/perigee-test-XXXXXX");
	if (!mkdtemp(t.dir) || loop_new(&t.loop))
		return -1;
	snprintf(t.address, sizeof(t.address), "ipc://%s/events", t.dir);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	subscriber_close(t.s);
	publisher_close(t.p, clock_now(), NULL);
	loop_free(t.loop);
	return rmdir(t.dir); /* fails when a socket file was left behind */
}

static inline void open_publisher(struct publisher_config config)
{
	struct error e = { 0 };
	if (!config.address)
		config.address = t.address;
	if (publisher_open(&t.p, t.loop, &config, &e))
		fail_msg("%s", e.text);
}

static inline void on_event(void *ctx, const struct event *e)
{
	struct seen *seen = ctx;
	if (seen->count < SEEN_MAX) {
		seen->seq[seen->count] = e->seq;
		seen->type[seen->count] = e->type;
	}
	seen->disordered += e->seq != seen->count;
	seen->count++;
	seen->ended |= e->type == EVENT_SESSION_ENDED;
}

static inline void open_subscriber(struct loop *loop, const char *const *topics, unsigned await)
{
	struct error e = { 0 };
	if (subscriber_open(&t.s, loop, publisher_address(t.p), topics, on_event, &t.seen, &e))
		fail_msg("%s", e.text);
	assert_int_equal(publisher_await(t.p, await, soon()), STATUS_OK);
}

static inline int put(enum event_type type)
{
	struct event e;
	event_init(&e, type, clock_now());
	e.seq = t.seq++;
	if (type >= EVENT_SAMPLE_ISSUED && type <= EVENT_SAMPLE_COMPLETE) {
		e.uuid[1] = e.seq;
		e.index = (int64_t)e.seq;
	}
	return publisher_put(t.p, &e);
}

static inline int put_custom(const char *name)
{
	struct event e;
	event_init(&e, EVENT_CUSTOM, clock_now());
	e.custom = (struct slice){ name, strlen(name) };
	e.seq = t.seq++;
	return publisher_put(t.p, &e);
}

static inline struct publisher_stats pub_stats(void)
{
	struct publisher_stats st;
	publisher_stats(t.p, &st);
	return st;
}

static inline struct subscriber_stats sub_stats(void)
{
	struct subscriber_stats st;
	subscriber_stats(t.s, &st);
	return st;
}

static inline void turn_until_seen(uint64_t count)
{
	uint64_t deadline = soon();
	while (t.seen.count < count) {
		if (clock_now() > deadline)
			fail_msg("%llu of %llu events came", (unsigned long long)t.seen.count,
			         (unsigned long long)count);
		assert_int_equal(loop_turn(t.loop, 10 * NS_PER_MS), STATUS_OK);
	}
}

static inline void assert_no_loss(void)
{
	struct subscriber_stats st = sub_stats();
	assert_int_equal(st.corrupt, 0);
	assert_int_equal(st.missing, 0);
	assert_int_equal(st.duplicate, 0);
	assert_int_equal(st.lost_frames, 0);
}

/* A subscriber in a process of its own. */
static inline pid_t spawn_subscriber(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails before its end */
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
	int one = 1;
	zmq_setsockopt(socket, ZMQ_RCVHWM, &one, sizeof(one));
	zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
	zmq_connect(socket, publisher_address(t.p));
	for (;;)
		pause();
}

static inline void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

#endif
