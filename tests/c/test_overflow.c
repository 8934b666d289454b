/* The publisher under subscribers that are stopped, killed or slow, and under sends
 * that fail: what each policy promises, proved by sequence numbers. Where all
 * events are of one type, they have to come in the very order of the puts. */
#include "events/publisher_test.h"

#include "publisher_support.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#define FEW     100
#define SPILLED 3000 /* records, at least, that a test wants on disk */

static struct loop *other; /* of a subscriber that stands still until it is turned */

static int setup_other(void **state)
{
	return setup(state) || loop_new(&other);
}

static int teardown_other(void **state)
{
	publisher_test_send = zmq_msg_send;
	subscriber_close(t.s);
	t.s = NULL;
	loop_free(other);
	other = NULL;
	return teardown(state);
}

/* Small bounds, so that little reaches each of them. */
static struct publisher_config small(enum overflow overflow)
{
	return (struct publisher_config){ .send_threshold = 10,
		                          .hwm = 1,
		                          .max_bytes = 1 << 16,
		                          .queue_bytes = 1 << 13,
		                          .overflow = overflow,
		                          .spill_dir = t.dir };
}

static void turn_both(void)
{
	loop_turn(other, NS_PER_MS);
	loop_turn(t.loop, NS_PER_MS);
}

static void turn_both_until_ended(void)
{
	for (uint64_t deadline = soon(); !t.seen.ended; turn_both())
		if (clock_now() > deadline)
			fail_msg("the end did not come, but %llu events",
			         (unsigned long long)t.seen.count);
}

static void assert_conserved(void)
{
	struct publisher_stats st = pub_stats();
	assert_int_equal(st.put + st.left_out + st.dropped, t.seq);
	assert_int_equal(st.sent + st.buffered + st.pending, st.put);
}

/* Put until so many records are on disk, while nobody reads. */
static void put_until_spilled(uint64_t records)
{
	size_t max_bytes = 1 << 16;
	for (uint64_t deadline = soon(); pub_stats().spilled < records;) {
		assert_true(clock_now() < deadline);
		for (int i = 0; i < 100; i++)
			assert_int_equal(put(EVENT_SAMPLE_COMPLETE), STATUS_OK);
		assert_true(pub_stats().held <= max_bytes);
	}
	assert_conserved();
}

static int send_refused(zmq_msg_t *msg, void *socket, int flags)
{
	(void)msg, (void)socket, (void)flags;
	errno = EAGAIN;
	return -1;
}

static void assert_all_given_back(void)
{
	for (uint64_t deadline = soon(); pub_stats().held; turn_both())
		assert_true(clock_now() < deadline);
	struct publisher_stats st = pub_stats();
	assert_int_equal(st.pending + st.buffered + st.spill_bytes, 0);
	assert_int_equal(st.sent, st.put);
}

static void assert_everything_came_in_order(void)
{
	assert_no_loss();
	assert_int_equal(t.seen.count, t.seq);
	assert_int_equal(t.seen.disordered, 0);
	assert_int_equal(pub_stats().dropped, 0);
}

/* ---- spill ---- */

static void run_stopped_and_continued(struct publisher_config config)
{
	open_publisher(config);
	open_subscriber(other, NULL, 1);
	put_until_spilled(SPILLED);
	assert_int_equal(put(EVENT_SESSION_ENDED), STATUS_OK);
	turn_both_until_ended();
	assert_everything_came_in_order();
	assert_all_given_back();
	put(EVENT_SAMPLE_COMPLETE); /* and again past the file */
	publisher_flush(t.p);
	for (uint64_t deadline = soon(); t.seen.count < t.seq; turn_both())
		assert_true(clock_now() < deadline);
	assert_everything_came_in_order();
}

static void test_a_stopped_subscriber_gets_all_when_it_goes_on(void **state)
{
	(void)state;
	run_stopped_and_continued(small(OVERFLOW_SPILL));
}

static void test_so_it_does_in_batches_of_one(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	(void)state;
	config.send_threshold = 1;
	config.hwm = 100;
	run_stopped_and_continued(config);
}

static void test_so_it_does_in_mlcommons_framing(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	(void)state;
	config.framing = FRAMING_MLCOMMONS;
	run_stopped_and_continued(config);
}

static void test_so_it_does_with_batches_larger_than_the_queue(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	(void)state;
	config.send_threshold = 1000;
	config.queue_bytes = 1;
	run_stopped_and_continued(config);
}

static void test_memory_is_bounded_when_zeromq_would_take_all(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	(void)state;
	config.hwm = 1 << 20;
	run_stopped_and_continued(config);
}

/* What is in batches moves on before a record is said not to fit. */
static void test_a_large_record_finds_room_behind_small_ones(void **state)
{
	static char big[50000];
	for (size_t i = 0; i < 3; i++) {
		struct publisher_config config = small((enum overflow)i);
		struct event e;
		config.send_threshold = 1000;
		open_publisher(config);
		while (pub_stats().held < 7800) /* an eighth would be sent */
			put(EVENT_SAMPLE_COMPLETE);
		event_init(&e, EVENT_SAMPLE_COMPLETE, 1);
		e.text = (struct slice){ big, sizeof(big) };
		assert_int_equal(publisher_put(t.p, &e),
		                 i == OVERFLOW_DROP ? STATUS_ELIMIT : STATUS_OK);
		teardown_other(state);
		setup_other(state);
	}
}

static void test_nothing_passes_what_is_spilled(void **state)
{
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	open_subscriber(other, NULL, 1);
	put_until_spilled(SPILLED);
	for (uint64_t deadline = soon(); pub_stats().spill_bytes; turn_both()) {
		assert_true(clock_now() < deadline);
		for (int i = 0; i < 3; i++)
			put(EVENT_SAMPLE_COMPLETE);
		assert_conserved();
	}
	assert_true(t.seq > SPILLED);
	put(EVENT_SESSION_ENDED);
	turn_both_until_ended();
	assert_everything_came_in_order();
	assert_all_given_back();
}

static void test_topics_keep_their_order_through_the_file(void **state)
{
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	open_subscriber(other, NULL, 1);
	put(EVENT_SESSION_STARTED);
	for (uint64_t deadline = soon(); pub_stats().spilled < SPILLED;) {
		assert_true(clock_now() < deadline);
		put(EVENT_PHASE_START);
		for (int i = 0; i < 7; i++) {
			put(EVENT_SAMPLE_ISSUED);
			put(EVENT_SAMPLE_COMPLETE);
		}
		put(EVENT_PHASE_END);
	}
	put(EVENT_SESSION_ENDED);
	turn_both_until_ended();
	assert_no_loss();
	assert_int_equal(t.seen.count, t.seq);
	/* No frame spans a phase: each phase's 16 events stand together. */
	for (uint64_t i = 1; i + 16 < t.seen.count && i + 16 < SEEN_MAX; i += 16) {
		assert_int_equal(t.seen.type[i], EVENT_PHASE_START);
		assert_int_equal(t.seen.type[i + 15], EVENT_PHASE_END);
		assert_int_equal(t.seen.type[i + 1], EVENT_SAMPLE_ISSUED);
	}
}

static void test_a_killed_subscriber_gives_its_memory_back(void **state)
{
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	pid_t pid = spawn_subscriber();
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	open_subscriber(other, NULL, 2);
	put_until_spilled(SPILLED);
	end_child(pid);
	put(EVENT_SESSION_ENDED);
	turn_both_until_ended();
	assert_everything_came_in_order();
	assert_all_given_back();
	assert_int_equal(pub_stats().subscriptions, 1);
}

static void test_close_drains_the_file(void **state)
{
	uint64_t undelivered = 1;
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	pid_t pid = spawn_subscriber(); /* in the way until it is gone */
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	put_until_spilled(SPILLED);
	end_child(pid);
	assert_int_equal(publisher_close(t.p, soon(), &undelivered), STATUS_OK);
	t.p = NULL;
	assert_int_equal(undelivered, 0);
}

static void test_close_counts_what_is_on_disk(void **state)
{
	uint64_t undelivered = 0;
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	publisher_test_send = send_refused;
	put_until_spilled(SPILLED);
	assert_int_equal(pub_stats().pending, t.seq);
	assert_int_equal(publisher_close(t.p, clock_now() + NS_PER_MS, &undelivered),
	                 STATUS_ETIMEDOUT);
	t.p = NULL;
	assert_int_equal(undelivered, t.seq);
}

/* ---- a spill file that fails ---- */

/* Put until some are lost, then let the subscriber go on: it misses just those. */
static void lose_some_and_go_on(int expected_error)
{
	for (uint64_t deadline = soon(); pub_stats().dropped < 1000;) {
		assert_true(clock_now() < deadline);
		put(EVENT_SAMPLE_COMPLETE);
		assert_true(pub_stats().held <= 1 << 16);
	}
	assert_conserved();
	assert_int_equal(pub_stats().spill_error, expected_error);
	assert_true(pub_stats().spilled > 0);
}

static void assert_only_the_dropped_are_missing(void)
{
	/* The end itself may be refused while the file is full. */
	for (uint64_t deadline = soon(); pub_stats().held; turn_both())
		assert_true(clock_now() < deadline);
	put(EVENT_SESSION_ENDED);
	turn_both_until_ended();
	struct subscriber_stats st = sub_stats();
	assert_int_equal(st.duplicate + st.corrupt, 0);
	assert_int_equal(st.missing, pub_stats().dropped);
	assert_int_equal(t.seen.count, pub_stats().put);
	assert_all_given_back();
}

static void test_a_full_disk_costs_counted_records(void **state)
{
	struct rlimit before, limited;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limited = (struct rlimit){ .rlim_cur = 1 << 18, .rlim_max = before.rlim_max };
	open_publisher(small(OVERFLOW_SPILL));
	open_subscriber(other, NULL, 1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
	lose_some_and_go_on(STATUS_ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_only_the_dropped_are_missing();
}

static void test_the_limit_of_the_file_costs_counted_records(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	(void)state;
	config.spill_limit = 1 << 18;
	open_publisher(config);
	open_subscriber(other, NULL, 1);
	lose_some_and_go_on(STATUS_ELIMIT);
	assert_true(pub_stats().spill_bytes <= 1 << 18);
	assert_only_the_dropped_are_missing();
}

static int spill_fd(void)
{
	char link[64], target[256];
	for (int fd = 0; fd < 1024; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (strstr(target, t.dir) && strstr(target, "spill"))
			return fd;
	}
	fail_msg("no spill file is open");
	return -1;
}

static void test_an_unreadable_file_costs_counted_records(void **state)
{
	(void)state;
	open_publisher(small(OVERFLOW_SPILL));
	open_subscriber(other, NULL, 1);
	publisher_test_send = send_refused;
	put_until_spilled(SPILLED);
	uint64_t spilled = pub_stats().spilled;
	assert_int_equal(ftruncate(spill_fd(), 0), 0);
	publisher_test_send = zmq_msg_send;
	assert_only_the_dropped_are_missing();
	assert_int_equal(pub_stats().dropped, spilled);
	assert_int_equal(pub_stats().spill_error, STATUS_EIO);
	assert_conserved();
}

static void test_a_folder_that_cannot_hold_the_file_is_refused(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	struct publisher *p = NULL;
	struct error e;
	(void)state;
	config.address = t.address;
	config.spill_dir = "/nonexistent";
	assert_int_equal(publisher_open(&p, t.loop, &config, &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent"));
	assert_null(p);
	config.overflow = OVERFLOW_DROP; /* needs no file */
	open_publisher(config);
}

/* ---- block ---- */

static void test_a_blocked_put_gives_up_at_its_deadline(void **state)
{
	struct publisher_config config = small(OVERFLOW_BLOCK);
	(void)state;
	config.block_ns = NS_PER_MS;
	open_publisher(config);
	pid_t pid = spawn_subscriber();
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	for (uint64_t deadline = soon(); pub_stats().dropped < 10;) {
		assert_true(clock_now() < deadline);
		put(EVENT_SAMPLE_COMPLETE);
		assert_true(pub_stats().held <= config.max_bytes);
	}
	assert_conserved();
	assert_in_range(pub_stats().blocked_ns, 10 * config.block_ns, PATIENCE);
	assert_int_equal(pub_stats().spilled, 0);
	end_child(pid);
}

static void *turn_other(void *unused)
{
	uint64_t deadline = soon();
	while (!t.seen.ended && clock_now() < deadline)
		loop_turn(other, NS_PER_MS);
	return unused;
}

/* The socket takes nothing until the bound is reached and puts have waited a few
 * times, then all until little is left. */
static bool open_wide;
static int refusals;

static int send_once_full(zmq_msg_t *msg, void *socket, int flags)
{
	size_t held = pub_stats().held;
	if (held < 10000)
		open_wide = false, refusals = 0;
	if (!open_wide && held > 55000 && ++refusals == 8)
		open_wide = true;
	if (open_wide)
		return zmq_msg_send(msg, socket, flags);
	errno = EAGAIN;
	return -1;
}

static void test_blocked_puts_lose_nothing_when_the_subscriber_reads(void **state)
{
	struct publisher_config config = small(OVERFLOW_BLOCK);
	pthread_t thread;
	(void)state;
	config.block_ns = PATIENCE;
	open_publisher(config);
	open_subscriber(other, NULL, 1);
	assert_int_equal(pthread_create(&thread, NULL, turn_other, NULL), 0);
	publisher_test_send = send_once_full;
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(put(EVENT_SAMPLE_COMPLETE), STATUS_OK);
		assert_true(pub_stats().held <= config.max_bytes);
	}
	assert_int_equal(put(EVENT_SESSION_ENDED), STATUS_OK);
	assert_true(pub_stats().blocked_ns > 0);
	publisher_test_send = zmq_msg_send;
	assert_int_equal(publisher_close(t.p, soon(), NULL), STATUS_OK);
	t.p = NULL;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_no_loss();
	assert_int_equal(t.seen.count, t.seq);
	assert_int_equal(t.seen.disordered, 0);
}

static void test_a_record_that_never_fits_does_not_block(void **state)
{
	static char big[1 << 17];
	struct publisher_config config = small(OVERFLOW_BLOCK);
	struct event e;
	(void)state;
	config.block_ns = UINT64_MAX; /* would hang */
	open_publisher(config);
	event_init(&e, EVENT_SAMPLE_COMPLETE, 1);
	e.text = (struct slice){ big, sizeof(big) };
	assert_int_equal(publisher_put(t.p, &e), STATUS_ELIMIT);
	assert_int_equal(pub_stats().dropped, 1);
}

/* ---- sends that fail ---- */

static struct {
	uint64_t calls;
	uint64_t at, count; /* these sends fail */
	int err;
	bool reenter; /* flush and put from inside send number `at` */
	bool end;     /* end the context before send number `at` */
} inject;

static int send_injected(zmq_msg_t *msg, void *socket, int flags)
{
	uint64_t call = inject.calls++;
	if (call == inject.at && inject.end)
		zmq_ctx_shutdown(publisher_test_context(t.p));
	if (call == inject.at && inject.reenter) {
		for (int i = 0; i < 25; i++) /* fills batches, too */
			put(EVENT_SAMPLE_COMPLETE);
		publisher_flush(t.p);
	}
	if (inject.err && call >= inject.at && call - inject.at < inject.count) {
		errno = inject.err;
		return -1;
	}
	return zmq_msg_send(msg, socket, flags);
}

static void run_injected(struct publisher_config config)
{
	open_publisher(config);
	open_subscriber(t.loop, NULL, 1);
	publisher_test_send = send_injected;
	for (int i = 0; i < FEW; i++) {
		assert_int_equal(put(EVENT_SAMPLE_COMPLETE), STATUS_OK);
		assert_conserved();
	}
	assert_int_equal(put(EVENT_SESSION_ENDED), STATUS_OK);
	turn_until_seen(t.seq);
	assert_everything_came_in_order();
	assert_true(inject.calls > inject.at);
}

static const int errors[] = { EINTR, EAGAIN, ETERM, ENOMEM, EHOSTUNREACH };
static const enum overflow overflows[] = { OVERFLOW_SPILL, OVERFLOW_DROP, OVERFLOW_BLOCK };

/* Each failure, at the first send and later, once and for a while, in frames of
 * one record and of more, under each policy. */
static void test_a_send_that_fails_keeps_its_records(void **state)
{
	static const struct {
		uint64_t at, count;
		uint32_t threshold;
	} rows[] = {
		{ 0, 1, 1 }, { 0, 1, 7 }, { 3, 1, 7 }, { 5, 12, 1 }, { 2, 20, 7 }, { 0, 9, 0 }
	};
	const size_t n = sizeof(rows) / sizeof(*rows);
	for (size_t i = 0; i < n * 5 * 3; i++) {
		struct publisher_config config = small(overflows[i / n / 5]);
		config.send_threshold = rows[i % n].threshold;
		config.queue_bytes = 1; /* one frame */
		config.hwm = 0;         /* the default: only the injected failures */
		memset(&inject, 0, sizeof(inject));
		inject.err = errors[i / n % 5];
		inject.at = rows[i % n].at;
		inject.count = rows[i % n].count;
		run_injected(config);
		bool many = inject.err != EINTR && inject.count > 1 && rows[i % n].threshold;
		if (config.overflow != OVERFLOW_SPILL)
			assert_int_equal(pub_stats().spilled, 0);
		else if (many)
			assert_true(pub_stats().spilled > 0);
		teardown_other(state);
		setup_other(state);
	}
}

static void test_a_flush_inside_a_flush_loses_and_repeats_nothing(void **state)
{
	for (int i = 0; i < 3 * 4; i++) {
		struct publisher_config config = small(overflows[i / 4]);
		memset(&inject, 0, sizeof(inject));
		inject.reenter = true;
		inject.at = i & 1 ? 4 : 0;
		inject.err = i & 2 ? EAGAIN : 0; /* the outer send fails after that */
		inject.count = 3;
		run_injected(config);
		assert_int_equal(t.seq, FEW + 25 + 1);
		teardown_other(state);
		setup_other(state);
	}
}

static void test_close_sends_what_a_failed_flush_left(void **state)
{
	for (size_t i = 0; i < 3 * 5; i++) {
		uint64_t undelivered = 1;
		struct publisher_config config = small(overflows[i / 5]);
		config.queue_bytes = 1;
		memset(&inject, 0, sizeof(inject));
		inject.err = errors[i % 5];
		inject.count = inject.err == EINTR ? 30 : UINT64_MAX;
		open_publisher(config);
		open_subscriber(t.loop, NULL, 1);
		publisher_test_send = send_injected;
		for (int k = 0; k < FEW; k++)
			put(EVENT_SAMPLE_COMPLETE);
		if (inject.err != EINTR)
			assert_int_equal(pub_stats().sent, 0);
		inject.count = inject.calls + 5; /* it ends while the close waits */
		assert_int_equal(publisher_close(t.p, soon(), &undelivered), STATUS_OK);
		t.p = NULL;
		assert_int_equal(undelivered, 0);
		turn_until_seen(FEW);
		assert_no_loss();
		assert_int_equal(t.seen.disordered, 0);
		teardown_other(state);
		setup_other(state);
	}
}

static void test_a_context_that_ends_in_mid_flush_leaves_a_true_account(void **state)
{
	for (int i = 0; i < 3; i++) {
		uint64_t undelivered = 0;
		struct publisher_config config = small(overflows[i]);
		config.block_ns = NS_PER_MS;
		config.hwm = 100;
		memset(&inject, 0, sizeof(inject));
		inject.end = true;
		inject.at = 4;
		open_publisher(config);
		pid_t pid = spawn_subscriber();
		assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
		publisher_test_send = send_injected;
		for (int k = 0; k < 1000; k++) {
			put(EVENT_SAMPLE_COMPLETE);
			assert_true(pub_stats().held <= config.max_bytes);
		}
		loop_turn(t.loop, NS_PER_MS);
		assert_conserved();
		struct publisher_stats st = pub_stats();
		assert_in_range(st.sent, 40, st.put - 1); /* ZeroMQ notes the end a little later */
		assert_int_equal(st.dropped > 0, config.overflow != OVERFLOW_SPILL);
		assert_int_equal(publisher_close(t.p, clock_now() + NS_PER_MS, &undelivered),
		                 STATUS_ETIMEDOUT);
		t.p = NULL;
		assert_in_range(undelivered, st.pending + st.buffered, st.put);
		end_child(pid);
		teardown_other(state);
		setup_other(state);
	}
}

/* ZeroMQ has more than the system takes: nothing can be waited for. */
static void test_close_returns_after_the_end_of_the_context(void **state)
{
	struct publisher_config config = small(OVERFLOW_SPILL);
	uint64_t undelivered = 0;
	(void)state;
	config.max_bytes = 1 << 24;
	config.hwm = 10000;
	open_publisher(config);
	pid_t pid = spawn_subscriber();
	assert_int_equal(publisher_await(t.p, 1, soon()), STATUS_OK);
	while (pub_stats().held < 1 << 22)
		put(EVENT_SAMPLE_COMPLETE);
	zmq_ctx_shutdown(publisher_test_context(t.p));
	alarm(PATIENCE / NS_PER_S); /* ends the program */
	assert_int_equal(publisher_close(t.p, clock_now() + NS_PER_MS, &undelivered),
	                 STATUS_ETIMEDOUT);
	alarm(0);
	t.p = NULL;
	assert_true(undelivered > 0);
	end_child(pid);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup_other, teardown_other)
	const struct CMUnitTest tests[] = {
		T(test_a_stopped_subscriber_gets_all_when_it_goes_on),
		T(test_so_it_does_in_batches_of_one),
		T(test_so_it_does_in_mlcommons_framing),
		T(test_so_it_does_with_batches_larger_than_the_queue),
		T(test_memory_is_bounded_when_zeromq_would_take_all),
		T(test_a_large_record_finds_room_behind_small_ones),
		T(test_nothing_passes_what_is_spilled),
		T(test_topics_keep_their_order_through_the_file),
		T(test_a_killed_subscriber_gives_its_memory_back),
		T(test_close_drains_the_file),
		T(test_close_counts_what_is_on_disk),
		T(test_a_full_disk_costs_counted_records),
		T(test_the_limit_of_the_file_costs_counted_records),
		T(test_an_unreadable_file_costs_counted_records),
		T(test_a_folder_that_cannot_hold_the_file_is_refused),
		T(test_a_blocked_put_gives_up_at_its_deadline),
		T(test_blocked_puts_lose_nothing_when_the_subscriber_reads),
		T(test_a_record_that_never_fits_does_not_block),
		T(test_a_send_that_fails_keeps_its_records),
		T(test_a_flush_inside_a_flush_loses_and_repeats_nothing),
		T(test_close_sends_what_a_failed_flush_left),
		T(test_a_context_that_ends_in_mid_flush_leaves_a_true_account),
		T(test_close_returns_after_the_end_of_the_context),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
