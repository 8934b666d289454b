#include "events/control.h"

#include "base/clock.h"

#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <zmq.h>

/* The control runs on the loop of this thread, who asks is another. */
struct asker {
	pthread_t thread;
	const char *address;
	const char *parts[4]; /* of one message; NULL ends */
	size_t size;          /* of the first part; 0: its length */
	char reply[256];
	_Atomic(int) done;
};

static struct loop *loop;
static struct control *control;
static int asked;

static void answer(void *ctx, const char *text, size_t len, struct buffer *reply)
{
	(void)ctx;
	asked++;
	if (len == 6 && memcmp(text, "silent", 6) == 0)
		return;
	buffer_printf(reply, "re: %.*s", (int)len, text);
}

static int setup(void **state)
{
	struct error e;
	(void)state;
	asked = 0;
	assert_ok(loop_new(&loop));
	assert_ok(control_open(&control, loop, "tcp://127.0.0.1:*", answer, NULL, &e));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_close(control);
	loop_free(loop);
	return 0;
}

static void *ask_raw(void *arg)
{
	struct asker *a = arg;
	int timeout = 20000, linger = 0;
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_REQ);
	zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
	zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
	zmq_connect(socket, a->address);
	for (int i = 0; a->parts[i]; i++) {
		size_t size = i == 0 && a->size ? a->size : strlen(a->parts[i]);
		zmq_send(socket, a->parts[i], size, a->parts[i + 1] ? ZMQ_SNDMORE : 0);
	}
	int n = zmq_recv(socket, a->reply, sizeof(a->reply) - 1, 0);
	if (n >= (int)sizeof(a->reply)) /* it tells the size of what it cut */
		n = sizeof(a->reply) - 1;
	a->reply[n > 0 ? n : 0] = '\0';
	zmq_close(socket);
	zmq_ctx_term(context);
	atomic_store(&a->done, 1);
	loop_wake(loop);
	return NULL;
}

static void serve(struct asker *a)
{
	uint64_t deadline = clock_now() + 25 * NS_PER_S;
	while (!atomic_load(&a->done)) {
		assert_true(clock_now() < deadline);
		loop_turn(loop, NS_PER_S);
	}
	pthread_join(a->thread, NULL);
}

static void ask(struct asker *a)
{
	a->address = control_address(control);
	assert_int_equal(pthread_create(&a->thread, NULL, ask_raw, a), 0);
	serve(a);
}

static void each_request_gets_its_answer(void **state)
{
	(void)state;
	char text[16], want[32];
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "rate %d", i);
		snprintf(want, sizeof(want), "re: rate %d", i);
		struct asker a = { .parts = { text } };
		ask(&a);
		assert_string_equal(a.reply, want);
	}
	assert_int_equal(asked, 20);
}

static void malformed_requests_are_answered_and_not_asked(void **state)
{
	(void)state;
	static char big[CONTROL_MAX + 1];
	memset(big, 'x', sizeof(big));
	struct asker requests[] = {
		{ .parts = { "" } },                       /* empty */
		{ .parts = { "stop", "now" } },            /* two parts */
		{ .parts = { "", "stop" } },               /* an empty part before it */
		{ .parts = { big }, .size = sizeof(big) }, /* too long */
	};
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		ask(&requests[i]);
		assert_string_equal(requests[i].reply,
		                    "{\"ok\":false,\"error\":\"malformed request\"}");
	}
	assert_int_equal(asked, 0);
	struct asker longest = { .parts = { big }, .size = CONTROL_MAX };
	ask(&longest);
	assert_int_equal(asked, 1);
	struct asker after = { .parts = { "status" } };
	ask(&after);
	assert_string_equal(after.reply, "re: status");
}

static void no_answer_is_an_answer(void **state)
{
	(void)state;
	struct asker a = { .parts = { "silent" } };
	ask(&a);
	assert_string_equal(a.reply, "{\"ok\":false,\"error\":\"no answer\"}");
}

static void who_asks_and_leaves_does_no_harm(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_REQ);
		assert_int_equal(zmq_connect(socket, control_address(control)), 0);
		zmq_send(socket, "stop", 4, 0);
		int before = asked;
		uint64_t deadline = clock_now() + 20 * NS_PER_S;
		while (i % 2 == 0 && asked == before) { /* some leave unheard */
			assert_true(clock_now() < deadline);
			loop_turn(loop, NS_PER_MS);
		}
		int linger = 0;
		zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
		zmq_close(socket);
		zmq_ctx_term(context);
	}
	struct asker a = { .parts = { "status" } };
	ask(&a);
	assert_string_equal(a.reply, "re: status");
}

/* ---- control_request() ---- */

static void *ask_well(void *arg)
{
	struct asker *a = arg;
	struct buffer reply;
	struct error e;
	buffer_init(&reply, sizeof(a->reply) - 1);
	int err = control_request(a->address, a->parts[0], strlen(a->parts[0]), &reply,
	                          clock_now() + 20 * NS_PER_S, &e);
	if (!err)
		memcpy(a->reply, reply.data, reply.len);
	buffer_free(&reply);
	atomic_store(&a->done, 1);
	loop_wake(loop);
	return NULL;
}

static void a_request_returns_the_reply(void **state)
{
	(void)state;
	struct asker a = { .address = control_address(control), .parts = { "status" } };
	assert_int_equal(pthread_create(&a.thread, NULL, ask_well, &a), 0);
	serve(&a);
	assert_string_equal(a.reply, "re: status");
}

static void a_request_to_nobody_times_out(void **state)
{
	(void)state;
	struct buffer reply;
	struct error e;
	buffer_init(&reply, 100);
	assert_int_equal(control_request("ipc:///nonexistent/control", "stop", 4, &reply,
	                                 clock_now() + NS_PER_MS, &e),
	                 STATUS_ETIMEDOUT);
	assert_non_null(strstr(e.text, "ipc:///nonexistent/control"));
	assert_int_equal(control_request("x://y", "stop", 4, &reply, clock_now(), &e),
	                 STATUS_EINVAL);
	buffer_free(&reply);
}

static void bad_addresses_are_refused(void **state)
{
	(void)state;
	struct control *c = NULL;
	struct error e;
	assert_int_equal(control_open(&c, loop, "nowhere", answer, NULL, &e), STATUS_EINVAL);
	assert_int_equal(control_open(&c, loop, control_address(control), answer, NULL, &e),
	                 STATUS_EADDRINUSE);
	assert_null(c);
	control_close(NULL);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_request_gets_its_answer), T(malformed_requests_are_answered_and_not_asked),
		T(no_answer_is_an_answer),       T(who_asks_and_leaves_does_no_harm),
		T(a_request_returns_the_reply),  T(a_request_to_nobody_times_out),
		T(bad_addresses_are_refused),
	};
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
