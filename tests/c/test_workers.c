/* Clients on worker threads, over a transport of the test's own: it has no sockets, and
 * the path of an exchange says what becomes of it. Real sockets: test_curl.c. */
#include "base/clock.h"
#include "http/transport.h"
#include "http/workers.h"

#include "support.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define GUARD_NS (60 * NS_PER_S) /* a test that takes longer has failed */
#define DATA(t)  "data: {\"choices\":[{\"delta\":{\"content\":\"" t "\"}}]}\n\n"
#define DONE     "data: [DONE]\n\n"

/* ---- the inner transport ---- */

struct stub {
	struct client base; /* first */
	struct exchange **begun;
	size_t count, cap;
};

static sem_t let_go;               /* who hangs waits for it */
static atomic_bool held;           /* /held ends once this is false */
static atomic_uint begun, aborted; /* of all stubs */

static int stub_start(struct client *c, struct exchange *x)
{
	struct stub *s = (struct stub *)c;
	if (s->count == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		s->begun = realloc(s->begun, s->cap * sizeof(struct exchange *));
		if (!s->begun)
			abort();
	}
	x->response.sent_ns = loop_now(c->loop);
	s->begun[s->count++] = x;
	atomic_fetch_add(&begun, 1);
	loop_poke(c->loop);
	if (!strcmp(x->path, "/hang"))
		sem_wait(&let_go);
	if (!strcmp(x->path, "/leave"))
		loop_stop(c->loop);
	if (!strcmp(x->path, "/exit"))
		pthread_exit(NULL);
	return strcmp(x->path, "/refused") ? STATUS_OK : (s->count--, STATUS_ELIMIT);
}

static void stub_abort(struct client *c, struct exchange *x)
{
	struct stub *s = (struct stub *)c;
	for (size_t i = 0; i < s->count; i++)
		if (s->begun[i] == x) {
			s->begun[i] = s->begun[--s->count];
			atomic_fetch_add(&aborted, 1);
			return;
		}
	abort(); /* not begun, or over */
}

static void stream(struct stub *s, struct exchange *x, int deltas)
{
	struct response *r = &x->response;
	uint64_t now = loop_now(s->base.loop);
	response_head(r, 200, "text/event-stream", now);
	for (int i = 0; i < deltas; i++)
		response_bytes(r, DATA("abc"), strlen(DATA("abc")), now);
	response_bytes(r, DONE, strlen(DONE), now);
}

/* False: it goes on. */
static bool advance(struct stub *s, struct exchange *x)
{
	uint64_t now = loop_now(s->base.loop);
	bool first = !strcmp(x->path, "/first") && !x->response.chunks;
	if (first) {
		response_head(&x->response, 200, "text/event-stream", now);
		response_bytes(&x->response, DATA("abc"), strlen(DATA("abc")), now);
	}
	bool streams = !strncmp(x->path, "/stream", 7);
	if (!streams && (strcmp(x->path, "/held") || atomic_load(&held)))
		return false;
	stream(s, x, streams ? atoi(x->path + 7) : 0);
	return true;
}

static void stub_sweep(struct client *c)
{
	struct stub *s = (struct stub *)c;
	for (size_t i = 0; i < s->count;) {
		struct exchange *x = s->begun[i];
		if (!advance(s, x)) {
			i++;
			continue;
		}
		s->begun[i] = s->begun[--s->count];
		client_ended(c, x, FAILURE_NONE, NULL, loop_now(c->loop));
	}
}

static void stub_send(struct client *c)
{
	(void)c;
}

static uint64_t stub_connections(const struct client *c)
{
	(void)c;
	return 1;
}

static void stub_free(struct client *c)
{
	client_fini(c);
	free(((struct stub *)c)->begun);
	free(c);
}

static int stub_new(struct client **out, struct loop *loop, const struct client_config *config,
                    const struct client_sink *sink, void *ctx, struct error *e)
{
	static const struct client_ops ops = {
		.start = stub_start,
		.abort = stub_abort,
		.sweep = stub_sweep,
		.send = stub_send,
		.connections = stub_connections,
		.free = stub_free,
	};
	struct stub *s = calloc(1, sizeof(*s));
	if (!s)
		return STATUS_ENOMEM;
	int err = client_init(&s->base, &ops, loop, config, sink, ctx, e);
	if (err) {
		free(s);
		return err;
	}
	client_open(&s->base);
	*out = &s->base;
	return STATUS_OK;
}

/* ---- the caller's side ---- */

struct job {
	struct exchange x; /* first */
	unsigned firsts, chunks, dones;
	char seen[64]; /* the texts of its chunks */
};

struct fixture {
	struct loop *loop;
	struct workers *workers;
	struct client *client;
	struct loop_timer guard;
	bool expired;
	unsigned done, want;
	unsigned broken; /* how often it was told */
	struct error why;
	void (*on_first)(struct fixture *f, struct job *j);
	void (*on_chunk)(struct fixture *f, struct job *j);
	void (*on_done)(struct fixture *f, struct job *j);
};

static void sink_first(void *ctx, struct exchange *x)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	j->firsts++;
	if (f->on_first)
		f->on_first(f, j);
}

static void sink_chunk(void *ctx, struct exchange *x, const struct delta *d)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	size_t at = strlen(j->seen);
	j->chunks++;
	assert_int_equal(x->response.chunks, j->chunks);
	if (at + d->content.len < sizeof(j->seen))
		memcpy(j->seen + at, d->content.data, d->content.len);
	if (f->on_chunk)
		f->on_chunk(f, j);
}

static void sink_done(void *ctx, struct exchange *x)
{
	struct fixture *f = ctx;
	struct job *j = (struct job *)x;
	j->dones++;
	f->done++;
	if (f->on_done)
		f->on_done(f, j);
	if (f->done >= f->want)
		loop_stop(f->loop);
}

static void sink_broken(void *ctx, const struct error *why)
{
	struct fixture *f = ctx;
	f->broken++;
	f->why = *why;
	loop_stop(f->loop);
}

static const struct client_sink sink = {
	.first = sink_first,
	.chunk = sink_chunk,
	.done = sink_done,
	.broken = sink_broken,
};

static void on_guard(struct loop_timer *t, uint64_t now_ns)
{
	struct fixture *f = t->data;
	(void)now_ns;
	f->expired = true;
	loop_stop(f->loop);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_ok(loop_new(&f->loop));
	f->guard = (struct loop_timer){ .fn = on_guard, .data = f };
	assert_int_equal(sem_init(&let_go, 0, 0), 0);
	atomic_store(&held, true);
	atomic_store(&begun, 0);
	atomic_store(&aborted, 0);
	*state = f;
	return 0;
}

static void drop_client(struct fixture *f)
{
	client_free(f->client);
	workers_free(f->workers);
	f->client = NULL;
	f->workers = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->client && client_inflight(f->client))
		return -1; /* the test failed, and its exchanges lay on its stack */
	drop_client(f);
	loop_timer_stop(f->loop, &f->guard);
	loop_free(f->loop);
	free(f);
	return 0;
}

static const struct client_config somewhere = {
	.urls = (const char *[]){ "http://127.0.0.1:1" },
	.url_count = 1,
	.decoder = DECODE_CHAT,
};

static void begin(struct fixture *f, const struct workers_config *config)
{
	struct error e;
	if (workers_new(&f->workers, f->loop, config, &e) ||
	    worker_client_new(&f->client, f->workers, stub_new, &somewhere, &sink, f, &e) ||
	    workers_start(f->workers, &e))
		fail_msg("%s", e.text);
}

static void submit(struct fixture *f, struct job *j, const char *path)
{
	j->x.path = path;
	assert_ok(client_submit(f->client, &j->x));
}

/* Until n exchanges are done, or the client is broken. */
static void run(struct fixture *f, unsigned n)
{
	f->done = 0;
	f->want = n;
	assert_ok(loop_timer_start(f->loop, &f->guard, clock_now() + GUARD_NS));
	assert_ok(loop_run(f->loop));
	loop_timer_stop(f->loop, &f->guard);
	assert_false(f->expired);
}

/* Turn until the stubs have begun n. */
static void until_begun(struct fixture *f, unsigned n)
{
	uint64_t deadline = clock_now() + GUARD_NS;
	while (atomic_load(&begun) < n) {
		assert_true(clock_now() < deadline);
		assert_ok(loop_turn(f->loop, NS_PER_MS));
	}
}

/* ---- tests ---- */

static void exchanges_are_spread(void **state)
{
	struct fixture *f = *state;
	struct job jobs[9] = { 0 };
	unsigned of[3] = { 0 };
	begin(f, &(struct workers_config){ .count = 3 });
	for (int i = 0; i < 9; i++) {
		submit(f, &jobs[i], "/held");
		assert_true(jobs[i].x.worker >= 0 && jobs[i].x.worker < 3);
		of[jobs[i].x.worker]++;
	}
	for (int i = 0; i < 3; i++)
		assert_int_equal(of[i], 3);
	uint64_t submitted = loop_now(f->loop);
	atomic_store(&held, false);
	run(f, 9);
	for (int i = 0; i < 9; i++) {
		const struct exchange *x = &jobs[i].x;
		assert_int_equal(x->response.failure, FAILURE_NONE);
		assert_true(x->started_ns >= submitted);
		assert_true(x->response.sent_ns >= x->started_ns);
		assert_true(x->response.finished_ns >= x->response.sent_ns);
		response_free(&jobs[i].x.response);
	}
}

static void the_busiest_is_told(void **state)
{
	struct fixture *f = *state;
	struct job jobs[9] = { 0 };
	begin(f, &(struct workers_config){ .count = 3 });
	atomic_store(&held, false);
	workers_mark(f->workers);
	for (int i = 0; i < 9; i++)
		submit(f, &jobs[i], "/held");
	run(f, 9);
#ifdef __linux__
	assert_true(workers_busiest_ns(f->workers) > 0);
#else
	assert_int_equal(workers_busiest_ns(f->workers), 0);
#endif
	for (int i = 0; i < 9; i++)
		response_free(&jobs[i].x.response);
}

static void what_came_in_changes_hands(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_text = true };
	begin(f, &(struct workers_config){ .count = 1, .ring_items = 1, .chunk_bytes = 1 });
	for (int i = 1; i <= 3; i++) { /* memory goes to and fro */
		submit(f, &j, "/stream3");
		run(f, 1);
		const struct response *r = &j.x.response;
		assert_int_equal(r->failure, FAILURE_NONE);
		assert_int_equal(j.firsts, i);
		assert_int_equal(j.chunks, 3);
		assert_string_equal(j.seen, "abcabcabc");
		assert_int_equal(r->text.len, 9);
		assert_memory_equal(r->text.data, "abcabcabc", 9);
		assert_int_equal(r->chunk_us_count, 2);
		assert_int_equal(r->status, 200);
		assert_true(r->first_ns && r->first_ns <= r->finished_ns);
		j.chunks = 0;
		memset(j.seen, 0, sizeof(j.seen));
	}
	response_free(&j.x.response);
}

static void text_so_far(struct fixture *f, struct job *j)
{
	const struct response *r = &j->x.response;
	(void)f;
	assert_int_equal(r->text.len, 3 * j->chunks);
	assert_true(r->first_ns && r->first_byte_ns && r->sent_ns);
	assert_true(r->streamed);
}

static void a_handler_sees_what_came_so_far(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.response.keep_text = true };
	begin(f, &(struct workers_config){ .count = 1 });
	f->on_chunk = text_so_far;
	submit(f, &j, "/stream7");
	run(f, 1);
	assert_int_equal(workers_waits(f->workers), 0);
	assert_int_equal(j.chunks, 7);
	response_free(&j.x.response);
}

static void chunks_that_nobody_wants_stay_there(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.skip_chunks = true };
	begin(f, &(struct workers_config){ .count = 1 });
	submit(f, &j, "/stream5");
	run(f, 1);
	assert_int_equal(j.firsts, 1);
	assert_int_equal(j.chunks, 0);
	assert_int_equal(j.x.response.chunks, 5);
	assert_int_equal(j.x.response.failure, FAILURE_NONE);
	response_free(&j.x.response);
}

static void a_refusal_of_the_worker_is_a_failure(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	begin(f, &(struct workers_config){ .count = 1 });
	submit(f, &j, "/refused");
	run(f, 1);
	assert_int_equal(j.x.response.failure, FAILURE_CLIENT);
	assert_string_equal(j.x.response.error, "limit reached");
	response_free(&j.x.response);
}

static void cancel_now(struct fixture *f, struct job *j)
{
	client_cancel(f->client, &j->x, FAILURE_CANCELLED);
}

static void cancel_in_the_ring(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	begin(f, &(struct workers_config){ .count = 1 });
	for (int i = 0; i < 3; i++) {
		submit(f, &j, "/held");
		cancel_now(f, &j);
		cancel_now(f, &j); /* once is enough */
		run(f, 1);
		assert_int_equal(j.x.response.failure, FAILURE_CANCELLED);
	}
	assert_int_equal(j.dones, 3);
	assert_int_equal(atomic_load(&aborted), 3);
	response_free(&j.x.response);
}

/* Nothing is told of a stream after its cancel, although more lies in the ring. */
static void cancel_from_a_handler(void **state)
{
	struct fixture *f = *state;
	struct job j = { 0 };
	begin(f, &(struct workers_config){ .count = 1 });
	f->on_first = cancel_now;
	submit(f, &j, "/stream5");
	run(f, 1);
	assert_int_equal(j.firsts, 1);
	assert_int_equal(j.chunks, 0);
	assert_int_equal(j.x.response.failure, FAILURE_CANCELLED);
	f->on_first = NULL;
	f->on_chunk = cancel_now;
	submit(f, &j, "/first");
	run(f, 1);
	assert_int_equal(j.firsts, 2);
	assert_int_equal(j.chunks, 1);
	assert_int_equal(j.x.response.failure, FAILURE_CANCELLED);
	response_free(&j.x.response);
}

static void deadlines_are_kept_there(void **state)
{
	struct fixture *f = *state;
	struct job j = { .x.deadline_ns = clock_now() + NS_PER_MS };
	struct job first = { .x.first_byte_deadline_ns = clock_now() + NS_PER_MS };
	begin(f, &(struct workers_config){ .count = 2 });
	submit(f, &j, "/held");
	submit(f, &first, "/held");
	run(f, 2);
	assert_int_equal(j.x.response.failure, FAILURE_TIMEOUT);
	assert_int_equal(first.x.response.failure, FAILURE_FIRST_BYTE_TIMEOUT);
	assert_true(j.x.response.finished_ns >= j.x.deadline_ns);
	response_free(&j.x.response);
	response_free(&first.x.response);
}

#define CROWD 10000

static void ten_thousand_over_tiny_rings(void **state)
{
	struct fixture *f = *state;
	struct job *jobs = calloc(CROWD, sizeof(*jobs));
	assert_non_null(jobs);
	begin(f, &(struct workers_config){ .count = 2, .ring_items = 2, .chunk_bytes = 4096 });
	for (int i = 0; i < CROWD; i++)
		submit(f, &jobs[i], i % 2 ? "/held" : "/stream3");
	assert_int_equal(client_inflight(f->client), CROWD);
	for (int i = 3; i < CROWD; i += 4) /* some of them are cancelled, wherever they are */
		cancel_now(f, &jobs[i]);
	atomic_store(&held, false);
	run(f, CROWD);
	assert_int_equal(client_inflight(f->client), 0);
	assert_true(workers_waits(f->workers) > 0); /* 4 KiB hold but a few deltas */
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_int_equal(jobs[i].chunks, i % 2 ? 0 : 3);
		if (i % 4 == 3)
			assert_int_equal(jobs[i].x.response.failure, FAILURE_CANCELLED);
		response_free(&jobs[i].x.response);
	}
	free(jobs);
}

static void refused_while_closing(struct fixture *f, struct job *j)
{
	assert_int_equal(client_submit(f->client, &j->x), STATUS_ECLOSED);
}

static void closed_with_work_everywhere(void **state)
{
	struct fixture *f = *state;
	struct job jobs[64] = { 0 };
	begin(f, &(struct workers_config){ .count = 2, .ring_items = 2, .chunk_bytes = 1 });
	for (int i = 0; i < 32; i++)
		submit(f, &jobs[i], i % 2 ? "/held" : "/first");
	until_begun(f, 32);
	for (int i = 32; i < 64; i++) /* these have not left */
		submit(f, &jobs[i], "/held");
	f->on_done = refused_while_closing;
	f->want = UINT32_MAX;
	drop_client(f);
	assert_int_equal(f->done, 64);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(jobs[i].dones, 1);
		assert_int_equal(jobs[i].x.response.failure, FAILURE_ABANDONED);
		assert_false(jobs[i].x.lost);
		response_free(&jobs[i].x.response);
	}
}

/* What the others have goes on; what the dead one had ends as the client's failure. */
static void check_broken(struct fixture *f, struct job *victim, struct job *other, const char *how)
{
	run(f, UINT32_MAX);
	assert_int_equal(f->broken, 1);
	assert_string_equal(f->why.text, how);
	assert_int_equal(victim->dones, 1);
	assert_int_equal(victim->x.response.failure, FAILURE_CLIENT);
	assert_string_equal(victim->x.response.error, how);
	assert_int_equal(other->dones, 0);
	struct job late = { .x.path = "/stream1" };
	assert_int_equal(client_submit(f->client, &late.x), STATUS_ECLOSED);
	cancel_now(f, other);
	run(f, 1);
	assert_int_equal(other->x.response.failure, FAILURE_CANCELLED);
	assert_int_equal(f->broken, 1);
	assert_int_equal(client_inflight(f->client), 0);
	response_free(&victim->x.response);
	response_free(&other->x.response);
}

static void a_worker_that_dies(void **state)
{
	static const char *const ways[] = { "/leave", "/exit" };
	struct fixture *f = *state;
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct job measured = { 0 }, victim = { 0 }, other = { 0 };
		begin(f, &(struct workers_config){ .count = 2 });
		submit(f, &measured, "/stream2");
		run(f, 1);
		submit(f, &victim, ways[i]);
		submit(f, &other, "/held");
		check_broken(f, &victim, &other, "HTTP worker 0 died: its thread ended");
		assert_false(victim.x.lost);
		assert_int_equal(measured.dones, 1);
		response_free(&measured.x.response);
		drop_client(f);
		f->broken = 0;
	}
}

static void a_worker_that_hangs(void **state)
{
	struct fixture *f = *state;
	struct job victim = { 0 }, other = { 0 };
	begin(f, &(struct workers_config){ .count = 2, .watch_ns = 200 * NS_PER_MS });
	submit(f, &victim, "/hang");
	submit(f, &other, "/held");
	check_broken(f, &victim, &other, "HTTP worker 0 hangs");
	assert_true(victim.x.lost); /* it may still read what that points to */
	drop_client(f);
	sem_post(&let_go); /* and goes on, in what was left to it */
}

static void bad_configurations_are_named(void **state)
{
	struct fixture *f = *state;
	struct client *c = NULL;
	struct error e;
	assert_int_equal(workers_new(&f->workers, f->loop, &(struct workers_config){ 0 }, &e),
	                 STATUS_EINVAL);
	assert_string_equal(e.text, "workers: 1 to 64 expected, got 0");
	assert_null(f->workers);
	begin(f, &(struct workers_config){ .count = 1 });
	assert_int_equal(worker_client_new(&c, f->workers, stub_new, &somewhere, &sink, f, &e),
	                 STATUS_EINVAL);
	assert_string_equal(e.text, "clients are made before their workers start");
	drop_client(f);
	assert_ok(workers_new(&f->workers, f->loop, &(struct workers_config){ .count = 2 }, &e));
	struct client_config bad = { .url_count = 0 };
	assert_int_equal(worker_client_new(&c, f->workers, stub_new, &bad, &sink, f, &e),
	                 STATUS_EINVAL);
	assert_ok(worker_client_new(&f->client, f->workers, stub_new, &somewhere, &sink, f, &e));
	struct job j = { 0 };
	assert_int_equal(client_submit(f->client, &j.x), STATUS_ECLOSED); /* not started */
	response_free(&j.x.response);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exchanges_are_spread),
		TEST(the_busiest_is_told),
		TEST(what_came_in_changes_hands),
		TEST(a_handler_sees_what_came_so_far),
		TEST(chunks_that_nobody_wants_stay_there),
		TEST(a_refusal_of_the_worker_is_a_failure),
		TEST(cancel_in_the_ring),
		TEST(cancel_from_a_handler),
		TEST(deadlines_are_kept_there),
		TEST(ten_thousand_over_tiny_rings),
		TEST(closed_with_work_everywhere),
		TEST(a_worker_that_dies),
		TEST(a_worker_that_hangs),
		TEST(bad_configurations_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
