#include "events/beacon.h"

#include "base/clock.h"
#include "events/event.h"

#include "support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <zmq.h>

struct seen {
	int count;
	char last[64];
};

static void on_text(void *ctx, const char *text, size_t len)
{
	struct seen *s = ctx;
	assert_true(len < sizeof(s->last));
	memcpy(s->last, text, len);
	s->last[len] = '\0';
	s->count++;
}

static struct loop *loop;
static struct beacon *beacon;

static int setup(void **state)
{
	struct error e;
	(void)state;
	assert_ok(loop_new(&loop));
	assert_ok(beacon_open(&beacon, "tcp://127.0.0.1:*", &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	beacon_close(beacon);
	loop_free(loop);
	return 0;
}

static struct watcher *watch(struct seen *s)
{
	struct watcher *w;
	struct error e;
	assert_ok(watcher_open(&w, loop, beacon_address(beacon), on_text, s, &e));
	return w;
}

static void say(const char *text)
{
	assert_ok(beacon_send(beacon, text, strlen(text)));
}

/* Say it until it is seen: a watcher that is not yet there misses what was said. */
static void say_until_seen(struct seen *s, const char *text)
{
	uint64_t deadline = clock_now() + 20 * NS_PER_S;
	while (strcmp(s->last, text) != 0) {
		assert_true(clock_now() < deadline);
		say(text);
		loop_turn(loop, NS_PER_MS);
	}
}

static void what_is_said_is_seen(void **state)
{
	(void)state;
	struct seen a = { 0 }, b = { 0 };
	struct watcher *first = watch(&a), *second = watch(&b);
	say_until_seen(&a, "one");
	say_until_seen(&b, "two");
	say_until_seen(&a, "{\"state\":\"ended\"}");
	watcher_close(first);
	watcher_close(second);
}

static void an_empty_text_is_a_text(void **state)
{
	(void)state;
	struct seen s = { 0 };
	struct watcher *w = watch(&s);
	say_until_seen(&s, "something");
	say_until_seen(&s, "");
	watcher_close(w);
}

static void a_watcher_that_does_not_read_sees_what_is_latest(void **state)
{
	(void)state;
	struct seen s = { 0 };
	struct watcher *w = watch(&s);
	say_until_seen(&s, "begin");
	int before = s.count;
	for (int i = 0; i < 5000; i++)
		say("between"); /* never waits, although nobody turns the loop */
	say_until_seen(&s, "last");
	assert_true(s.count - before < 1000); /* many were left out */
	watcher_close(w);
}

static void the_last_text_leaves_before_the_end(void **state)
{
	(void)state;
	struct seen s = { 0 };
	struct watcher *w = watch(&s);
	say_until_seen(&s, "running");
	say("ended");
	beacon_close(beacon);
	beacon = NULL;
	uint64_t deadline = clock_now() + 20 * NS_PER_S;
	while (strcmp(s.last, "ended") != 0) {
		assert_true(clock_now() < deadline);
		loop_turn(loop, NS_PER_MS);
	}
	watcher_close(w);
}

/* As somebody else's program would read it. */
static void a_frame_is_a_padded_topic_and_the_text(void **state)
{
	(void)state;
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
	int timeout = 20;
	char data[128];
	assert_int_equal(zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof(timeout)), 0);
	assert_int_equal(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "snapshot", 8), 0);
	assert_int_equal(zmq_connect(socket, beacon_address(beacon)), 0);
	int n = -1;
	for (int i = 0; i < 1000 && n < 0; i++) {
		say("{}");
		n = zmq_recv(socket, data, sizeof(data), 0);
	}
	assert_int_equal(n, EVENT_TOPIC_SIZE + 2);
	assert_memory_equal(data, "snapshot\0\0\0", 11);
	assert_memory_equal(data + EVENT_TOPIC_SIZE, "{}", 2);
	zmq_close(socket);
	zmq_ctx_term(context);
}

/* A publisher of other things: no snapshot, and nothing breaks. */
static void other_frames_are_passed_over(void **state)
{
	(void)state;
	struct seen s = { 0 };
	struct watcher *w;
	struct error e;
	char address[256], frame[EVENT_TOPIC_SIZE + 2] = "snapshot";
	size_t size = sizeof(address);
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUB);
	assert_int_equal(zmq_bind(socket, "tcp://127.0.0.1:*"), 0);
	assert_int_equal(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, address, &size), 0);
	assert_ok(watcher_open(&w, loop, address, on_text, &s, &e));
	memcpy(frame + EVENT_TOPIC_SIZE, "ok", 2);
	uint64_t deadline = clock_now() + 20 * NS_PER_S;
	while (!s.count) {
		assert_true(clock_now() < deadline);
		zmq_send(socket, frame, EVENT_TOPIC_SIZE - 1, 0); /* too short */
		zmq_send(socket, "snapshots are here, more than forty bytes", 41, 0);
		zmq_send(socket, frame, sizeof(frame), 0);
		loop_turn(loop, NS_PER_MS);
	}
	assert_string_equal(s.last, "ok");
	watcher_close(w);
	zmq_close(socket);
	zmq_ctx_term(context);
}

static void bad_addresses_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "nowhere", "udp://127.0.0.1:1", "tcp://127.0.0.1:x",
		                           "ipc://" };
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct beacon *b = NULL;
		struct error e;
		assert_int_equal(beacon_open(&b, bad[i], &e), STATUS_EINVAL);
		assert_null(b);
	}
	struct watcher *w = NULL;
	struct error e;
	assert_int_equal(watcher_open(&w, loop, "x://y", on_text, NULL, &e), STATUS_EINVAL);
	assert_int_equal(watcher_open(&w, loop, NULL, on_text, NULL, &e), STATUS_EINVAL);
	assert_null(w);
	beacon_close(NULL);
	watcher_close(NULL);
}

static void a_socket_file_is_removed_with_its_beacon(void **state)
{
	(void)state;
	struct beacon *b, *other = NULL;
	struct error e;
	struct stat st;
	char path[64], address[80];
	snprintf(path, sizeof(path), "/tmp/perigee-beacon-%d", (int)getpid());
	snprintf(address, sizeof(address), "ipc://%s", path);
	assert_ok(beacon_open(&b, address, &e));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(beacon_open(&other, address, &e), STATUS_EADDRINUSE);
	beacon_close(b);
	assert_int_not_equal(stat(path, &st), 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_said_is_seen),
		T(an_empty_text_is_a_text),
		T(a_watcher_that_does_not_read_sees_what_is_latest),
		T(the_last_text_leaves_before_the_end),
		T(a_frame_is_a_padded_topic_and_the_text),
		T(other_frames_are_passed_over),
		T(bad_addresses_are_refused),
		T(a_socket_file_is_removed_with_its_beacon),
	};
	return cmocka_run_group_tests_name("beacon", tests, NULL, NULL);
}
