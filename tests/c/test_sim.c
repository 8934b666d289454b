/* The client without sockets, on simulated time: what a model says arrives as bytes, when it is
 * due. */
#include "http/sim.h"

#include "base/clock.h"

#include "support.h"

#define MS        NS_PER_MS
#define START     NS_PER_S
#define CHAT      "{\"model\":\"m\",\"messages\":[{\"stream\":false}],\"stream\":true"
#define STREAM    CHAT "}"
#define USAGE     CHAT ",\"stream_options\":{\"include_usage\":true}}"
#define MAX_CALLS 16

/* A client, its loop, and what its sink was told. */
struct world {
	struct loop *loop;
	struct client *client;
	struct sim_answer answers[MAX_CALLS]; /* by number; all zero: the default */
	int refusal;                          /* what the model returns */
	uint64_t asked_ns[MAX_CALLS];
	int asked;
	struct exchange *done[MAX_CALLS];
	int done_count, firsts, chunks;
};

static int model_answer(void *ctx, const struct exchange *x, uint64_t number, uint64_t now_ns,
                        struct sim_answer *out)
{
	struct world *w = ctx;
	assert_non_null(x);
	assert_true(number == (uint64_t)w->asked);
	assert_true(out->tokens == 1 && out->status == 200 && out->failure == FAILURE_NONE);
	w->asked_ns[w->asked++] = now_ns;
	if (w->answers[number].status)
		*out = w->answers[number];
	return w->refusal;
}

static void on_first(void *ctx, struct exchange *x)
{
	(void)x;
	((struct world *)ctx)->firsts++;
}

static void on_chunk(void *ctx, struct exchange *x, const struct delta *d)
{
	(void)x, (void)d;
	((struct world *)ctx)->chunks++;
}

static void on_done(void *ctx, struct exchange *x)
{
	struct world *w = ctx;
	assert_true(w->done_count < MAX_CALLS);
	w->done[w->done_count++] = x;
}

static const struct client_sink sink = { .first = on_first, .chunk = on_chunk, .done = on_done };

static void open_world(struct world *w, enum decoder decoder, unsigned slots)
{
	static const char *const urls[] = { "http://simulated" };
	struct client_config config = { .urls = urls, .url_count = 1, .decoder = decoder };
	struct sim_model model = { .answer = model_answer, .ctx = w, .slots = slots };
	struct error e;
	*w = (struct world){ 0 };
	assert_ok(loop_new_virtual(&w->loop, START));
	assert_ok(sim_client_new(&w->client, w->loop, &config, &model, &sink, w, &e));
}

static void close_world(struct world *w)
{
	client_free(w->client);
	loop_free(w->loop);
}

static struct sim_answer tokens(uint32_t n, uint64_t ttft_ns, uint64_t tpot_ns)
{
	return (struct sim_answer){
		.tokens = n, .ttft_ns = ttft_ns, .tpot_ns = tpot_ns, .tokens_in = -1, .status = 200
	};
}

static void submit(struct world *w, struct exchange *x, const char *body)
{
	x->body = body;
	x->body_len = strlen(body);
	x->response.keep_text = true;
	assert_ok(client_submit(w->client, x));
}

/* Until nothing is left to happen. */
static void run(struct world *w)
{
	assert_int_equal(loop_run(w->loop), STATUS_ETIMEDOUT);
	assert_int_equal(client_inflight(w->client), 0);
}

static void assert_text(const struct buffer *b, const char *text)
{
	assert_int_equal(b->len, strlen(text));
	assert_memory_equal(b->data, text, b->len);
}

static void a_stream_arrives_token_by_token(void **state)
{
	struct world w;
	struct exchange x = { 0 };
	const struct response *r = &x.response;
	(void)state;
	open_world(&w, DECODE_CHAT, 0);
	w.answers[0] = tokens(4, 50 * MS, 5 * MS);
	submit(&w, &x, USAGE);
	run(&w);
	assert_int_equal(w.done_count, 1);
	assert_int_equal(r->failure, FAILURE_NONE);
	assert_int_equal(r->status, 200);
	assert_true(r->streamed && r->done);
	assert_true(r->sent_ns == START);
	assert_true(r->first_byte_ns == START + 50 * MS);
	assert_true(r->first_ns == START + 50 * MS);
	assert_true(r->finished_ns == START + 65 * MS);
	assert_int_equal(r->chunks, 4);
	assert_int_equal(r->chunk_us_count, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(r->chunk_us[i], 5000);
	assert_int_equal(r->tokens_out, 4);
	assert_int_equal(r->tokens_in, strlen(USAGE) / 4);
	assert_string_equal(r->finish_reason, "stop");
	assert_int_equal(w.firsts, 1);
	assert_int_equal(w.chunks, 4);
	response_free(&x.response);
	close_world(&w);
}

static void usage_comes_only_when_it_is_asked_for(void **state)
{
	struct world w;
	struct exchange x = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 0);
	submit(&w, &x, STREAM);
	run(&w);
	assert_int_equal(x.response.failure, FAILURE_NONE);
	assert_int_equal(x.response.tokens_out, -1);
	response_free(&x.response);
	close_world(&w);
}

static void a_text_is_shared_out_without_splitting_characters(void **state)
{
	static const char text[] = "h\xc3\xa9 \"\xe2\x82\xac\"\n\xf0\x9f\x8c\x99!";
	struct world w;
	struct exchange x = { 0 };
	(void)state;
	for (uint32_t n = 1; n <= sizeof(text); n++) {
		open_world(&w, n % 2 ? DECODE_CHAT : DECODE_COMPLETIONS, 0);
		w.answers[0] = tokens(n, 0, 0);
		w.answers[0].text = text;
		w.answers[0].text_len = sizeof(text) - 1;
		submit(&w, &x, STREAM);
		run(&w);
		assert_int_equal(x.response.failure, FAILURE_NONE);
		assert_text(&x.response.text, text);
		close_world(&w);
	}
	response_free(&x.response);
}

static void an_answer_that_is_no_stream_comes_whole(void **state)
{
	struct world w;
	struct exchange x = { 0 };
	(void)state;
	for (int k = 0; k < 2; k++) {
		open_world(&w, k ? DECODE_COMPLETIONS : DECODE_CHAT, 0);
		w.answers[0] = tokens(3, 20 * MS, 10 * MS);
		submit(&w, &x, "{\"prompt\":\"\\\"stream\\\":true\"}");
		run(&w);
		assert_int_equal(x.response.failure, FAILURE_NONE);
		assert_false(x.response.streamed);
		assert_true(x.response.finished_ns == START + 40 * MS);
		assert_int_equal(x.response.tokens_out, 3);
		assert_text(&x.response.text, "token token token ");
		close_world(&w);
	}
	response_free(&x.response);
}

static void a_raw_answer_is_the_text(void **state)
{
	struct world w;
	struct exchange x = { 0 };
	(void)state;
	open_world(&w, DECODE_RAW, 0);
	w.answers[0] = tokens(1, 7 * MS, 0);
	w.answers[0].text = "pong";
	w.answers[0].text_len = 4;
	x.response.keep_body = true;
	submit(&w, &x, "ping");
	run(&w);
	assert_int_equal(x.response.failure, FAILURE_NONE);
	assert_text(&x.response.body, "pong");
	assert_true(x.response.first_ns == START + 7 * MS);
	response_free(&x.response);
	close_world(&w);
}

static void errors_are_those_of_a_real_endpoint(void **state)
{
	struct world w;
	struct exchange x[4] = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 0);
	w.answers[0] = tokens(4, 30 * MS, 5 * MS);
	w.answers[0].status = 503;
	w.answers[1] = tokens(0, 30 * MS, 5 * MS);
	w.answers[1].failure = FAILURE_REFUSED;
	w.answers[2] = tokens(2, 30 * MS, 5 * MS);
	w.answers[2].failure = FAILURE_RESET;
	w.answers[3] = tokens(0, 30 * MS, 5 * MS);
	for (int i = 0; i < 4; i++)
		submit(&w, &x[i], USAGE);
	run(&w);
	assert_int_equal(x[0].response.failure, FAILURE_HTTP);
	assert_int_equal(x[0].response.status, 503);
	assert_string_equal(x[0].response.error, "simulated error");
	assert_true(x[0].response.finished_ns == START + 30 * MS);
	assert_int_equal(x[1].response.failure, FAILURE_REFUSED);
	assert_int_equal(x[1].response.status, 0);
	assert_int_equal(x[2].response.failure, FAILURE_RESET);
	assert_int_equal(x[2].response.chunks, 2);
	assert_true(x[2].response.finished_ns == START + 35 * MS);
	assert_int_equal(x[3].response.failure, FAILURE_NONE);
	assert_int_equal(x[3].response.chunks, 0);
	for (int i = 0; i < 4; i++)
		response_free(&x[i].response);
	close_world(&w);
}

static void deadlines_cut_an_answer_short(void **state)
{
	struct world w;
	struct exchange x[3] = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 0);
	for (int i = 0; i < 3; i++)
		w.answers[i] = tokens(10, 50 * MS, 10 * MS);
	x[0].deadline_ns = START + 75 * MS;
	x[1].first_byte_deadline_ns = START + 40 * MS;
	x[2].first_byte_deadline_ns = START + 60 * MS;
	for (int i = 0; i < 3; i++)
		submit(&w, &x[i], STREAM);
	run(&w);
	assert_int_equal(x[0].response.failure, FAILURE_TIMEOUT);
	assert_true(x[0].response.finished_ns == START + 75 * MS);
	assert_int_equal(x[0].response.chunks, 3);
	assert_int_equal(x[1].response.failure, FAILURE_FIRST_BYTE_TIMEOUT);
	assert_true(x[1].response.finished_ns == START + 40 * MS);
	assert_int_equal(x[2].response.failure, FAILURE_NONE);
	for (int i = 0; i < 3; i++)
		response_free(&x[i].response);
	close_world(&w);
}

/* One slot: the second begins when the first has ended. Times count from the slot. */
static void exchanges_wait_for_a_slot_in_order(void **state)
{
	struct world w;
	struct exchange x[4] = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 2);
	for (int i = 0; i < 4; i++) {
		w.answers[i] = tokens(1, 100 * MS, 0);
		submit(&w, &x[i], STREAM);
	}
	w.answers[1].ttft_ns = 100 * MS;
	run(&w);
	for (int i = 0; i < 4; i++) {
		assert_ptr_equal(w.done[i], &x[i]);
		assert_true(w.asked_ns[i] == START);
		assert_true(x[i].response.sent_ns == START);
		assert_true(x[i].response.finished_ns == START + (i < 2 ? 100 : 200) * MS);
		response_free(&x[i].response);
	}
	close_world(&w);
}

static void a_cancel_frees_its_slot_and_its_place_in_the_queue(void **state)
{
	struct world w;
	struct exchange x[4] = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 1);
	for (int i = 0; i < 4; i++) {
		w.answers[i] = tokens(1, 100 * MS, 0);
		submit(&w, &x[i], STREAM);
	}
	client_cancel(w.client, &x[0], FAILURE_CANCELLED);
	client_cancel(w.client, &x[2], FAILURE_ABANDONED);
	assert_int_equal(w.done_count, 0);
	run(&w);
	assert_int_equal(w.done_count, 4);
	assert_int_equal(x[0].response.failure, FAILURE_CANCELLED);
	assert_int_equal(x[2].response.failure, FAILURE_ABANDONED);
	assert_true(x[0].response.finished_ns == START && x[2].response.finished_ns == START);
	assert_true(x[1].response.finished_ns == START + 100 * MS);
	assert_true(x[3].response.finished_ns == START + 200 * MS);
	for (int i = 0; i < 4; i++)
		response_free(&x[i].response);
	close_world(&w);
}

static void a_model_may_refuse(void **state)
{
	struct world w;
	struct exchange x = { .body = "{}", .body_len = 2 };
	(void)state;
	open_world(&w, DECODE_CHAT, 1);
	w.refusal = STATUS_ESCRIPT;
	assert_int_equal(client_submit(w.client, &x), STATUS_ESCRIPT);
	assert_int_equal(client_inflight(w.client), 0);
	w.refusal = STATUS_OK;
	submit(&w, &x, STREAM);
	run(&w);
	assert_int_equal(w.done_count, 1);
	response_free(&x.response);
	close_world(&w);
}

static void what_is_in_flight_ends_with_the_client(void **state)
{
	struct world w;
	struct exchange x[3] = { 0 };
	(void)state;
	open_world(&w, DECODE_CHAT, 1);
	for (int i = 0; i < 3; i++)
		submit(&w, &x[i], STREAM);
	client_free(w.client);
	assert_int_equal(w.done_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(x[i].response.failure, FAILURE_ABANDONED);
		response_free(&x[i].response);
	}
	loop_free(w.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_arrives_token_by_token),
		cmocka_unit_test(usage_comes_only_when_it_is_asked_for),
		cmocka_unit_test(a_text_is_shared_out_without_splitting_characters),
		cmocka_unit_test(an_answer_that_is_no_stream_comes_whole),
		cmocka_unit_test(a_raw_answer_is_the_text),
		cmocka_unit_test(errors_are_those_of_a_real_endpoint),
		cmocka_unit_test(deadlines_cut_an_answer_short),
		cmocka_unit_test(exchanges_wait_for_a_slot_in_order),
		cmocka_unit_test(a_cancel_frees_its_slot_and_its_place_in_the_queue),
		cmocka_unit_test(a_model_may_refuse),
		cmocka_unit_test(what_is_in_flight_ends_with_the_client),
	};
	return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
