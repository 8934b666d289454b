/* The publisher and the subscriber against each other and against raw sockets. */
#include "events/msgpack.h"

#include "publisher_support.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- raw sockets ---- */

struct raw {
	void *context, *socket;
	char frame[1 << 16];
	int size;
};

static struct raw *raw_open(int type, const char *address, bool bind)
{
	struct raw *r = calloc(1, sizeof(*r));
	int timeout = 20000, zero = 0;
	assert_non_null(r);
	r->context = zmq_ctx_new();
	r->socket = zmq_socket(r->context, type);
	assert_non_null(r->socket);
	zmq_setsockopt(r->socket, ZMQ_RCVTIMEO, &timeout, sizeof(timeout));
	zmq_setsockopt(r->socket, ZMQ_LINGER, &zero, sizeof(zero));
	if (type == ZMQ_SUB)
		assert_int_equal(zmq_setsockopt(r->socket, ZMQ_SUBSCRIBE, "", 0), 0);
	assert_int_equal(bind ? zmq_bind(r->socket, address) : zmq_connect(r->socket, address), 0);
	return r;
}

static void raw_close(struct raw *r)
{
	zmq_close(r->socket);
	zmq_ctx_term(r->context);
	free(r);
}

/* The topic of the next frame, which is then in r->frame. */
static const char *raw_topic(struct raw *r)
{
	do
		r->size = zmq_recv(r->socket, r->frame, sizeof(r->frame), 0);
	while (r->size < 0 && errno == EINTR);
	if (r->size < EVENT_TOPIC_SIZE)
		fail_msg("no frame: %s", zmq_strerror(errno));
	assert_int_equal(r->frame[EVENT_TOPIC_SIZE - 1], 0);
	return r->frame;
}

/* Read the frame's array; returns the records in it, *number is its first value
 * or -1 when that is a record as well; *first is the first record. */
static uint32_t raw_records(struct raw *r, int64_t *number, struct event *first)
{
	struct msgpack m;
	struct msgpack_value v;
	msgpack_init(&m, r->frame + EVENT_TOPIC_SIZE, (size_t)r->size - EVENT_TOPIC_SIZE);
	assert_int_equal(msgpack_next(&m, &v), STATUS_OK);
	assert_int_equal(v.type, MSGPACK_ARRAY);
	uint32_t count = v.count;
	*number = -1;
	assert_int_equal(msgpack_next(&m, &v), STATUS_OK);
	if (v.type == MSGPACK_UINT) {
		*number = (int64_t)v.u;
		count--;
		assert_int_equal(msgpack_next(&m, &v), STATUS_OK);
	}
	assert_int_equal(v.type, MSGPACK_BIN);
	assert_int_equal(event_decode(first, v.data, v.count, NULL, 0), STATUS_OK);
	assert_int_equal(msgpack_skip(&m, count - 1), STATUS_OK);
	assert_ptr_equal(m.at, m.end);
	return count;
}

static void assert_batch(struct raw *r, const char *topic, int64_t number, uint32_t count)
{
	struct event first;
	int64_t n;
	assert_string_equal(raw_topic(r), topic);
	assert_int_equal(raw_records(r, &n, &first), count);
	assert_int_equal(n, number);
}

static void assert_bare(struct raw *r, const char *topic, struct event *e)
{
	assert_string_equal(raw_topic(r), topic);
	assert_int_equal(event_decode(e, r->frame + EVENT_TOPIC_SIZE,
	                              (size_t)r->size - EVENT_TOPIC_SIZE, NULL, 0),
	                 STATUS_OK);
	assert_string_equal(event_topic(e->type), topic);
}

/* ---- delivery ---- */

static void run_session(enum framing framing, const char *address, uint32_t threshold)
{
	const uint64_t samples = 2500;
	open_publisher((struct publisher_config){
		.framing = framing, .address = address, .send_threshold = threshold });
	open_subscriber(t.loop, NULL, 1);
	assert_int_equal(put(EVENT_SESSION_STARTED), STATUS_OK);
	put(EVENT_PHASE_START);
	for (uint64_t i = 0; i < samples; i++) {
		assert_int_equal(put(EVENT_SAMPLE_ISSUED), STATUS_OK);
		put(EVENT_SAMPLE_RECV_FIRST);
		if (i % 100 == 0)
			put_custom("odd");
		put(EVENT_SAMPLE_COMPLETE);
	}
	put(EVENT_PHASE_END);
	put(EVENT_SESSION_ENDED);
	uint64_t left_out = framing == FRAMING_MLCOMMONS ? 2 + samples / 100 : 0;
	turn_until_seen(t.seq - left_out);
	assert_no_loss();
	struct publisher_stats st = pub_stats();
	assert_int_equal(st.left_out, left_out);
	assert_int_equal(st.put, t.seq - left_out);
	assert_int_equal(st.sent, st.put);
	assert_int_equal(st.dropped + st.buffered + st.pending, 0);
	assert_int_equal(st.batches, sub_stats().frames);
	if (threshold == 1)
		assert_int_equal(st.batches, st.put);
	else
		assert_true(st.batches < 60);
}

static void test_topic_framing_over_ipc(void **state)
{
	(void)state;
	run_session(FRAMING_TOPIC, NULL, 0);
}

static void test_mlcommons_framing_over_ipc(void **state)
{
	(void)state;
	run_session(FRAMING_MLCOMMONS, NULL, 0);
}

static void test_topic_framing_over_tcp(void **state)
{
	(void)state;
	run_session(FRAMING_TOPIC, "tcp://127.0.0.1:*", 0);
	assert_null(strchr(publisher_address(t.p), '*'));
}

static void test_mlcommons_framing_over_tcp(void **state)
{
	(void)state;
	run_session(FRAMING_MLCOMMONS, "tcp://127.0.0.1:0", 0);
	assert_null(strstr(publisher_address(t.p), ":0"));
}

static void test_threshold_one_sends_each_at_once(void **state)
{
	(void)state;
	run_session(FRAMING_TOPIC, NULL, 1);
}

static void test_threshold_one_in_mlcommons_framing(void **state)
{
	(void)state;
	run_session(FRAMING_MLCOMMONS, NULL, 1);
}

/* As the session does. */
static bool pass_or_put(enum event_type type)
{
	struct event e;
	event_init(&e, type, clock_now());
	e.seq = t.seq;
	if (!publisher_pass(t.p, &e)) {
		put(type);
		return false;
	}
	t.seq++;
	return true;
}

static void pass_until_heard(enum framing framing)
{
	open_publisher((struct publisher_config){ .framing = framing });
	assert_false(pass_or_put(EVENT_SESSION_STARTED)); /* control events are never passed */
	assert_true(pass_or_put(EVENT_SAMPLE_ISSUED));
	assert_true(pass_or_put(EVENT_SAMPLE_COMPLETE));
	struct publisher_stats st = pub_stats();
	assert_int_equal(st.put, 3);
	assert_int_equal(st.sent, 3);
	assert_int_equal(st.batches, 1);

	open_subscriber(t.loop, NULL, 1);
	assert_false(pass_or_put(EVENT_SAMPLE_ISSUED));
	assert_false(pass_or_put(EVENT_SAMPLE_COMPLETE));
	assert_false(pass_or_put(EVENT_SESSION_ENDED));
	turn_until_seen(3);
	assert_int_equal(t.seen.seq[0], 3);
	assert_int_equal(sub_stats().missing, 3); /* it came late, and is told so */
	assert_int_equal(sub_stats().lost_frames, framing == FRAMING_TOPIC ? 2 : 0);
	assert_int_equal(sub_stats().corrupt + sub_stats().duplicate, 0);
}

static void test_what_nobody_hears_is_passed(void **state)
{
	(void)state;
	pass_until_heard(FRAMING_TOPIC);
}

static void test_what_nobody_hears_is_passed_in_mlcommons_framing(void **state)
{
	(void)state;
	pass_until_heard(FRAMING_MLCOMMONS);
}

/* What has been put may find a subscriber yet, who would miss what was passed behind it. */
static void test_nothing_passes_what_is_on_its_way(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	put(EVENT_SAMPLE_ISSUED);
	assert_false(pass_or_put(EVENT_SAMPLE_COMPLETE));
	publisher_flush(t.p);
	assert_true(pass_or_put(EVENT_SAMPLE_ISSUED));
}

/* When the last one has gone. */
static void test_events_are_passed_again(void **state)
{
	uint64_t deadline = soon();
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	open_subscriber(t.loop, NULL, 1);
	assert_false(pass_or_put(EVENT_SAMPLE_ISSUED));
	publisher_flush(t.p);
	turn_until_seen(1);
	subscriber_close(t.s);
	t.s = NULL;
	while (!pass_or_put(EVENT_SAMPLE_ISSUED) && clock_now() < deadline) {
		publisher_flush(t.p);
		loop_turn(t.loop, NS_PER_MS);
	}
	assert_int_equal(pub_stats().subscriptions, 0);
	assert_true(pass_or_put(EVENT_SAMPLE_COMPLETE));
}

static void test_a_single_record_is_a_batch_of_one(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	struct raw *r = raw_open(ZMQ_SUB, t.address, false);
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	for (int i = 0; i < 3; i++) {
		put(EVENT_SAMPLE_ISSUED);
		assert_int_equal(publisher_flush(t.p), STATUS_OK);
		assert_batch(r, "sample.issued", i, 1);
	}
	raw_close(r);
}

static void test_a_single_record_is_bare_in_mlcommons_framing(void **state)
{
	struct event e;
	int64_t number;
	(void)state;
	open_publisher((struct publisher_config){ .framing = FRAMING_MLCOMMONS });
	struct raw *r = raw_open(ZMQ_SUB, t.address, false);
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	put(EVENT_SAMPLE_COMPLETE);
	publisher_flush(t.p);
	assert_bare(r, "sample.complete", &e);

	put(EVENT_SAMPLE_COMPLETE); /* seq 1, before the other in a batch, too */
	put(EVENT_SAMPLE_ISSUED);
	publisher_flush(t.p);
	assert_string_equal(raw_topic(r), "batch");
	assert_int_equal(raw_records(r, &number, &e), 2);
	assert_int_equal(number, -1);
	assert_int_equal(e.seq, 1);

	put_custom("x");
	put(EVENT_SESSION_ENDED);
	assert_bare(r, "session.ended", &e);
	assert_int_equal(e.left_out, 1);
	raw_close(r);
}

static void test_a_control_event_follows_all_others_in_causal_order(void **state)
{
	static const enum event_type reversed[] = { EVENT_SAMPLE_COMPLETE, EVENT_ERROR_CLIENT,
		                                    EVENT_SAMPLE_RECV_FIRST, EVENT_SAMPLE_ISSUED };
	(void)state;
	open_publisher((struct publisher_config){ .max_age_ns = PATIENCE });
	struct raw *r = raw_open(ZMQ_SUB, t.address, false);
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	put_custom("note");
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof(reversed) / sizeof(*reversed); i++)
			put(reversed[i]);
	assert_int_equal(pub_stats().batches, 0);
	put(EVENT_SESSION_STOP_TRACKING);
	assert_batch(r, "sample.issued", 0, 2);
	assert_batch(r, "sample.recv_first", 0, 2);
	assert_batch(r, "error.client", 0, 2);
	assert_batch(r, "sample.complete", 0, 2);
	assert_batch(r, "custom.note", 0, 1);
	assert_batch(r, "session.stop_performance_tracking", 0, 1);

	put(EVENT_SAMPLE_COMPLETE);
	put(EVENT_PHASE_END);
	put(EVENT_SAMPLE_ISSUED);
	put(EVENT_PHASE_START);
	assert_batch(r, "sample.complete", 1, 1);
	assert_batch(r, "custom.phase_end", 0, 1);
	assert_batch(r, "sample.issued", 1, 1);
	assert_batch(r, "custom.phase_start", 0, 1);
	raw_close(r);
}

static void test_age_alone_flushes(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ .max_age_ns = NS_PER_MS });
	open_subscriber(t.loop, NULL, 1);
	for (uint64_t i = 1; i <= 3; i++) {
		put(EVENT_SAMPLE_ISSUED);
		assert_int_equal(pub_stats().buffered, 1);
		turn_until_seen(i);
	}
	assert_no_loss();
}

static void test_bytes_alone_flush(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ .batch_bytes = 4096, .max_age_ns = PATIENCE });
	open_subscriber(t.loop, NULL, 1);
	while (!pub_stats().batches)
		assert_int_equal(put(EVENT_SAMPLE_ISSUED), STATUS_OK);
	assert_in_range(t.seq, 10, 100);
	turn_until_seen(t.seq);
}

static void test_more_custom_names_than_topics(void **state)
{
	char name[16];
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	open_subscriber(t.loop, NULL, 1);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			snprintf(name, sizeof(name), "name-%d", i);
			assert_int_equal(put_custom(name), STATUS_OK);
		}
	}
	put(EVENT_SESSION_ENDED);
	turn_until_seen(t.seq);
	assert_no_loss();
}

static void test_a_subscriber_gets_only_its_topics(void **state)
{
	static const char *const topics[] = { "sample.c", "session.", NULL };
	for (int framing = FRAMING_TOPIC; framing <= FRAMING_MLCOMMONS; framing++) {
		open_publisher((struct publisher_config){ .framing = (enum framing)framing });
		open_subscriber(t.loop, topics, 3);
		put(EVENT_SESSION_STARTED);
		for (int i = 0; i < 10; i++) {
			put(EVENT_SAMPLE_ISSUED);
			put(EVENT_SAMPLE_COMPLETE);
		}
		put(EVENT_SESSION_ENDED);
		turn_until_seen(12);
		assert_int_equal(t.seen.type[0], EVENT_SESSION_STARTED);
		for (int i = 1; i <= 10; i++)
			assert_int_equal(t.seen.type[i], EVENT_SAMPLE_COMPLETE);
		assert_int_equal(t.seen.type[11], EVENT_SESSION_ENDED);
		assert_no_loss();
		teardown(state);
		setup(state);
	}
}

/* ---- close ---- */

static void test_close_flushes_and_removes_the_file(void **state)
{
	uint64_t undelivered = 1;
	struct stat st;
	(void)state;
	open_publisher((struct publisher_config){ .max_age_ns = PATIENCE });
	open_subscriber(t.loop, NULL, 1);
	for (int i = 0; i < 10; i++)
		put(EVENT_SAMPLE_ISSUED);
	assert_int_equal(stat(t.address + strlen("ipc://"), &st), 0);
	assert_int_equal(publisher_close(t.p, soon(), &undelivered), STATUS_OK);
	t.p = NULL;
	assert_int_equal(undelivered, 0);
	assert_int_equal(stat(t.address + strlen("ipc://"), &st), -1);
	turn_until_seen(10);
	assert_no_loss();
}

static void test_without_a_subscriber_nothing_is_kept(void **state)
{
	uint64_t undelivered = 1;
	(void)state;
	open_publisher((struct publisher_config){ .send_threshold = 10, .max_bytes = 1 << 16 });
	for (int i = 0; i < 5000; i++)
		assert_int_equal(put(EVENT_SAMPLE_ISSUED), STATUS_OK);
	assert_int_equal(pub_stats().sent, 5000);
	assert_int_equal(pub_stats().held, 0);
	assert_int_equal(publisher_close(t.p, soon(), &undelivered), STATUS_OK);
	t.p = NULL;
	assert_int_equal(undelivered, 0);
	assert_int_equal(publisher_close(NULL, 0, &undelivered), STATUS_OK);
}

/* ---- slow, killed and late subscribers ---- */

/* Put until records are refused, while nobody reads. */
static void fill(size_t max_bytes)
{
	open_publisher((struct publisher_config){ .send_threshold = 10,
	                                          .max_bytes = max_bytes,
	                                          .hwm = 4,
	                                          .overflow = OVERFLOW_DROP });
}

static void put_until_refused(size_t max_bytes)
{
	uint64_t deadline = soon();
	while (!pub_stats().dropped) {
		assert_true(clock_now() < deadline);
		for (int i = 0; i < 100; i++)
			put(EVENT_SAMPLE_COMPLETE);
		assert_true(pub_stats().held <= max_bytes);
	}
	for (int i = 0; i < 1000; i++)
		put(EVENT_SAMPLE_COMPLETE);
}

static void test_a_stopped_subscriber_costs_counted_records(void **state)
{
	const size_t max_bytes = 1 << 17;
	struct loop *other; /* of the subscriber, turned only later */
	(void)state;
	assert_int_equal(loop_new(&other), STATUS_OK);
	fill(max_bytes);
	open_subscriber(other, NULL, 1);
	put(EVENT_SESSION_STARTED);
	put_until_refused(max_bytes);
	struct publisher_stats st = pub_stats();
	assert_true(st.dropped > 0);
	assert_int_equal(st.put + st.dropped, t.seq);
	assert_int_equal(put(EVENT_SESSION_ENDED), STATUS_OK); /* has room of its own */

	for (uint64_t deadline = soon(); !t.seen.ended;) {
		assert_true(clock_now() < deadline);
		loop_turn(other, NS_PER_MS);
		loop_turn(t.loop, NS_PER_MS);
	}
	st = pub_stats();
	assert_int_equal(t.seen.count, st.put);
	assert_int_equal(sub_stats().missing, st.dropped);
	assert_int_equal(sub_stats().duplicate + sub_stats().corrupt + sub_stats().lost_frames, 0);
	subscriber_close(t.s);
	t.s = NULL;
	loop_free(other);
}

static void test_close_gives_up_at_its_deadline_and_says_what_is_left(void **state)
{
	const size_t max_bytes = 1 << 22; /* far more than the system takes by itself */
	uint64_t undelivered = 0;
	(void)state;
	fill(max_bytes);
	pid_t pid = spawn_subscriber();
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	put_until_refused(max_bytes);
	assert_int_equal(publisher_close(t.p, clock_now() + NS_PER_MS, &undelivered),
	                 STATUS_ETIMEDOUT);
	t.p = NULL;
	assert_true(undelivered > 0);
	end_child(pid);
}

static void test_a_killed_subscriber_lets_the_others_go_on(void **state)
{
	(void)state;
	fill(1 << 17);
	pid_t pid = spawn_subscriber();
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	open_subscriber(t.loop, NULL, 2);
	put_until_refused(1 << 17);
	end_child(pid);
	for (uint64_t deadline = soon(); pub_stats().pending || pub_stats().subscriptions > 1;) {
		assert_true(clock_now() < deadline);
		loop_turn(t.loop, 10 * NS_PER_MS);
	}
	assert_int_equal(put(EVENT_SESSION_ENDED), STATUS_OK);
	turn_until_seen(pub_stats().put);
	assert_int_equal(sub_stats().missing, pub_stats().dropped);
}

static void test_a_late_subscriber_has_missed_what_was_before(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	put(EVENT_SESSION_STARTED);
	for (int i = 0; i < 99; i++)
		put(EVENT_SAMPLE_ISSUED);
	publisher_flush(t.p);
	open_subscriber(t.loop, NULL, 1);
	put(EVENT_SAMPLE_ISSUED);
	put(EVENT_SESSION_ENDED);
	turn_until_seen(2);
	assert_int_equal(sub_stats().missing, 100);
	assert_int_equal(sub_stats().lost_frames, 1);
}

static void test_a_second_session_is_counted_anew(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	open_subscriber(t.loop, NULL, 1);
	put(EVENT_SESSION_STARTED);
	t.seq += 5; /* lost */
	put(EVENT_SESSION_ENDED);
	t.seq = 0;
	put(EVENT_SESSION_STARTED);
	t.seq += 2;
	put(EVENT_SESSION_ENDED);
	turn_until_seen(4);
	assert_int_equal(sub_stats().missing, 7);
	assert_int_equal(sub_stats().duplicate, 0);
}

static void test_await_proves_the_subscription(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	assert_int_equal(publisher_await(t.p, 1, clock_now() + NS_PER_MS), STATUS_ETIMEDOUT);
	assert_int_equal(publisher_await(t.p, 0, clock_now()), STATUS_OK);
	struct raw *a = raw_open(ZMQ_SUB, t.address, false);
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	struct raw *b = raw_open(ZMQ_SUB, t.address, false);
	assert_int_equal(publisher_await(t.p, 2, soon()), STATUS_OK);
	raw_close(a);
	for (uint64_t deadline = soon(); pub_stats().subscriptions != 1;) {
		assert_true(clock_now() < deadline);
		loop_turn(t.loop, 10 * NS_PER_MS);
	}
	put(EVENT_SESSION_ENDED);
	assert_batch(b, "session.ended", 0, 1);
	raw_close(b);
}

/* ---- limits and addresses ---- */

static void test_a_record_beyond_the_limit_is_dropped_and_counted(void **state)
{
	static char big[1 << 16];
	struct event e;
	(void)state;
	open_publisher((struct publisher_config){ .max_bytes = 1 << 14 });
	event_init(&e, EVENT_SAMPLE_COMPLETE, 1);
	memset(big, 'x', sizeof(big));
	e.text = (struct slice){ big, sizeof(big) };
	assert_int_equal(publisher_put(t.p, &e), STATUS_ELIMIT);
	e.text.len = 15000; /* within the limit, but not beside what is kept for the end */
	assert_int_equal(publisher_put(t.p, &e), STATUS_ELIMIT);
	assert_int_equal(pub_stats().dropped, 2);
	assert_int_equal(pub_stats().held, 0);
	e.text.len = 13500;
	assert_int_equal(publisher_put(t.p, &e), STATUS_OK);
	assert_int_equal(pub_stats().put, 1);
}

static int try_open(const char *address, struct error *e)
{
	struct publisher *p = NULL;
	struct publisher_config config = { .address = address };
	int err = publisher_open(&p, t.loop, &config, e);
	if (!err)
		publisher_close(p, clock_now(), NULL);
	else
		assert_null(p);
	return err;
}

static void assert_refused(const char *address, int status)
{
	struct error e = { 0 };
	assert_int_equal(try_open(address, &e), status);
	assert_int_equal(e.status, status);
	if (address && !strstr(e.text, address))
		fail_msg("the message does not name %s: %s", address, e.text);
}

static void test_an_address_in_use_is_refused(void **state)
{
	(void)state;
	open_publisher((struct publisher_config){ 0 });
	assert_refused(t.address, STATUS_EADDRINUSE);
	open_subscriber(t.loop, NULL, 1); /* the first one is still reachable */
	teardown(state);
	setup(state);
	open_publisher((struct publisher_config){ .address = "tcp://127.0.0.1:*" });
	assert_refused(publisher_address(t.p), STATUS_EADDRINUSE);
}

static void test_a_file_that_is_no_socket_is_kept(void **state)
{
	const char *path = t.address + strlen("ipc://");
	(void)state;
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_refused(t.address, STATUS_EADDRINUSE);
	assert_int_equal(unlink(path), 0);
}

static void test_a_socket_file_left_behind_is_replaced(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/events", t.dir);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	open_publisher((struct publisher_config){ 0 });
	open_subscriber(t.loop, NULL, 1);
}

static void test_bad_addresses_are_refused(void **state)
{
	char address[300];
	(void)state;
	assert_refused(NULL, STATUS_EINVAL);
	assert_refused("", STATUS_EINVAL);
	assert_refused("inproc://x", STATUS_EINVAL);
	assert_refused("ipc://", STATUS_EINVAL);
	assert_refused("tcp://127.0.0.1", STATUS_EINVAL);
	assert_refused("tcp://127.0.0.1:99999", STATUS_EINVAL);
	snprintf(address, sizeof(address), "ipc://%s/%0200d", t.dir, 0);
	assert_refused(address, STATUS_EINVAL);
	snprintf(address, sizeof(address), "ipc://%s/none/events", t.dir);
	assert_refused(address, STATUS_ENOENT);
	struct error e;
	struct subscriber *s = NULL;
	assert_int_equal(subscriber_open(&s, t.loop, "nonsense", NULL, on_event, NULL, &e),
	                 STATUS_EINVAL);
	assert_int_equal(subscriber_open(&s, t.loop, NULL, NULL, on_event, NULL, &e),
	                 STATUS_EINVAL);
	assert_null(s);
}

static void test_an_unwritable_folder_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(seteuid(65534), 0);
		assert_refused(t.address, STATUS_EACCES); /* the folder is root's alone */
		assert_int_equal(seteuid(0), 0);
		return;
	}
	assert_int_equal(chmod(t.dir, 0500), 0);
	assert_refused(t.address, STATUS_EACCES);
	assert_int_equal(chmod(t.dir, 0700), 0);
}

/* ---- corrupt frames ---- */

#define TOPIC "sample.issued\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define BATCH "batch\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_corrupt_frames_are_counted_and_passed_over(void **state)
{
	static const struct {
		const char *data;
		size_t size;
	} rows[] = {
		{ "", 0 },
		{ "short", 5 },
		{ TOPIC, 40 },                            /* no payload */
		{ TOPIC "\xc1", 41 },                     /* no MessagePack */
		{ TOPIC "\x07", 41 },                     /* neither map nor array */
		{ TOPIC "\x80", 41 },                     /* a map without keys */
		{ TOPIC "\x90", 41 },                     /* an array without its number */
		{ TOPIC "\x92\xa1x\xc0", 44 },            /* a number that is none */
		{ TOPIC "\x92\x00\xa1x", 44 },            /* a record that is no bin */
		{ TOPIC "\x92\x01\xc4\x01\x80", 45 },     /* a record that does not decode */
		{ TOPIC "\x91\x02\xc0", 43 },             /* something behind the array */
		{ BATCH "\x92\xc4\x01", 43 },             /* a bin cut short */
		{ BATCH "\xdd\xff\xff\xff\xff\xc0", 46 }, /* more than there is */
	};
	const size_t n = sizeof(rows) / sizeof(*rows);
	struct error e;
	struct buffer good;
	struct event event;
	(void)state;
	struct raw *r = raw_open(ZMQ_XPUB, "tcp://127.0.0.1:*", true);
	char address[256];
	size_t size = sizeof(address);
	assert_int_equal(zmq_getsockopt(r->socket, ZMQ_LAST_ENDPOINT, address, &size), 0);
	assert_int_equal(subscriber_open(&t.s, t.loop, address, NULL, on_event, &t.seen, &e), 0);
	assert_true(zmq_recv(r->socket, r->frame, sizeof(r->frame), 0) > 0);

	for (size_t i = 0; i < n; i++)
		assert_true(zmq_send(r->socket, rows[i].data, rows[i].size, 0) >= 0);
	assert_true(zmq_send(r->socket, "two", 3, ZMQ_SNDMORE) >= 0);
	assert_true(zmq_send(r->socket, "parts", 5, 0) >= 0);
	buffer_init(&good, 4096);
	assert_int_equal(buffer_append(&good, TOPIC, 40), STATUS_OK);
	event_init(&event, EVENT_SAMPLE_ISSUED, 1);
	assert_int_equal(event_encode(&event, &good), STATUS_OK);
	assert_true(zmq_send(r->socket, good.data, good.len, 0) > 0);
	assert_true(zmq_send(r->socket, good.data, good.len, 0) > 0);
	buffer_free(&good);

	turn_until_seen(2);
	struct subscriber_stats st = sub_stats();
	assert_int_equal(st.corrupt, n + 1);
	assert_int_equal(st.frames, n + 3);
	assert_int_equal(st.records, 2);
	assert_int_equal(st.duplicate, 1);
	raw_close(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_topic_framing_over_ipc),
		T(test_mlcommons_framing_over_ipc),
		T(test_topic_framing_over_tcp),
		T(test_mlcommons_framing_over_tcp),
		T(test_threshold_one_sends_each_at_once),
		T(test_threshold_one_in_mlcommons_framing),
		T(test_what_nobody_hears_is_passed),
		T(test_what_nobody_hears_is_passed_in_mlcommons_framing),
		T(test_nothing_passes_what_is_on_its_way),
		T(test_events_are_passed_again),
		T(test_a_single_record_is_a_batch_of_one),
		T(test_a_single_record_is_bare_in_mlcommons_framing),
		T(test_a_control_event_follows_all_others_in_causal_order),
		T(test_age_alone_flushes),
		T(test_bytes_alone_flush),
		T(test_more_custom_names_than_topics),
		T(test_a_subscriber_gets_only_its_topics),
		T(test_close_flushes_and_removes_the_file),
		T(test_without_a_subscriber_nothing_is_kept),
		T(test_a_stopped_subscriber_costs_counted_records),
		T(test_close_gives_up_at_its_deadline_and_says_what_is_left),
		T(test_a_killed_subscriber_lets_the_others_go_on),
		T(test_a_late_subscriber_has_missed_what_was_before),
		T(test_a_second_session_is_counted_anew),
		T(test_await_proves_the_subscription),
		T(test_a_record_beyond_the_limit_is_dropped_and_counted),
		T(test_an_address_in_use_is_refused),
		T(test_a_file_that_is_no_socket_is_kept),
		T(test_a_socket_file_left_behind_is_replaced),
		T(test_bad_addresses_are_refused),
		T(test_an_unwritable_folder_is_refused),
		T(test_corrupt_frames_are_counted_and_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
