#include "session/floor.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "base/rng.h"
#include "base/status.h"
#include "events/publisher.h"
#include "http/response.h"
#include "session/pacer.h"

#include <string.h>

/* ---- pacing ---- */

struct pacing {
	struct loop *loop;
	struct pacer *pacer;
	struct histogram *lateness;
	struct loop_hook hook;
	struct loop_timer wake;
	struct rng rng;
	double gap_ns, at_ns;
	enum floor_arrivals arrivals;
	uint64_t end_ns; /* from the start */
};

static int pull(void *ctx, uint64_t *due, int n)
{
	struct pacing *p = ctx;
	for (int i = 0; i < n; i++) {
		p->at_ns += p->arrivals == FLOOR_POISSON ? rng_exponential(&p->rng, p->gap_ns)
		                                         : p->gap_ns;
		if (p->at_ns > (double)p->end_ns)
			return i;
		due[i] = (uint64_t)p->at_ns;
	}
	return n;
}

static void on_wake(struct loop_timer *t, uint64_t now_ns)
{
	(void)t, (void)now_ns; /* the hook does the work */
}

/* As the session does it: what is due, then the wake-up for the next. */
static void on_turn(struct loop_hook *h, uint64_t now_ns)
{
	struct pacing *p = h->data;
	uint64_t due;
	int more;
	while ((more = pacer_peek(p->pacer, &due)) > 0 && due <= now_ns) {
		histogram_add(p->lateness, loop_refresh(p->loop) - due);
		pacer_pop(p->pacer);
	}
	if (more > 0)
		loop_timer_start(p->loop, &p->wake, due);
	else
		loop_stop(p->loop);
}

static void read_lateness(struct floor_lateness *out, const struct histogram *h)
{
	out->count = histogram_count(h);
	out->p50_ns = histogram_quantile(h, 0.5);
	out->p99_ns = histogram_quantile(h, 0.99);
	out->max_ns = histogram_max(h);
}

static int run_pacing(struct pacing *p, struct floor_pacing *out)
{
	uint64_t from_ns = clock_now(), cpu_ns = clock_thread_cpu();
	pacer_start(p->pacer, from_ns);
	loop_hook_add(p->loop, &p->hook);
	int err = loop_timer_start(p->loop, &p->wake, from_ns);
	if (!err)
		err = loop_run(p->loop);
	loop_hook_remove(p->loop, &p->hook);
	if (err)
		return err;
	double wall_ns = (double)(clock_now() - from_ns);
	read_lateness(&out->lateness, p->lateness);
	loop_stats(p->loop, &out->loop);
	out->cpu_share = (double)(clock_thread_cpu() - cpu_ns) / wall_ns;
	out->spin_share = (double)out->loop.spin_ns / wall_ns;
	return STATUS_OK;
}

int floor_pacing(struct floor_pacing *out, double rate, enum floor_arrivals arrivals,
                 uint64_t duration_ns, uint64_t spin_ns)
{
	struct pacing p = { .gap_ns = 1e9 / rate, .arrivals = arrivals, .end_ns = duration_ns };
	p.hook = (struct loop_hook){ .fn = on_turn, .data = &p };
	p.wake = (struct loop_timer){ .fn = on_wake };
	rng_init(&p.rng, 1, 1);
	int err = loop_new(&p.loop);
	if (!err)
		err = pacer_new(&p.pacer, pull, &p);
	if (!err)
		err = histogram_new(&p.lateness);
	if (!err) {
		loop_set_spin(p.loop, spin_ns);
		err = run_pacing(&p, out);
	}
	histogram_free(p.lateness);
	pacer_free(p.pacer);
	loop_free(p.loop);
	return err;
}

/* ---- timer, clock ---- */

struct sleeper {
	struct loop *loop;
	struct loop_timer timer;
	struct histogram *lateness;
	unsigned left;
};

static void on_sleep_end(struct loop_timer *t, uint64_t now_ns)
{
	struct sleeper *s = t->data;
	histogram_add(s->lateness, now_ns - t->due_ns);
	if (s->left-- == 0)
		loop_stop(s->loop);
	else
		loop_timer_start(s->loop, t,
		                 loop_refresh(s->loop) + NS_PER_MS); /* its slot is kept */
}

int floor_timer(struct floor_lateness *out, unsigned count)
{
	struct sleeper s = { .left = count - 1 };
	s.timer = (struct loop_timer){ .fn = on_sleep_end, .data = &s };
	int err = loop_new(&s.loop);
	if (!err)
		err = histogram_new(&s.lateness);
	if (!err) {
		loop_set_spin(s.loop, 0);
		err = loop_timer_start(s.loop, &s.timer, loop_now(s.loop) + NS_PER_MS);
	}
	if (!err)
		err = loop_run(s.loop);
	if (!err)
		read_lateness(out, s.lateness);
	histogram_free(s.lateness);
	loop_free(s.loop);
	return err;
}

double floor_clock(void)
{
	enum { READINGS = 10000 };
	uint64_t from_ns = clock_now(), now_ns = from_ns;
	for (int i = 0; i < READINGS; i++)
		now_ns = clock_now();
	return (double)(now_ns - from_ns) / READINGS;
}

/* ---- parsing ---- */

#define CHUNK                                                                                      \
	"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,"         \
	"\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ten chars \"},"        \
	"\"finish_reason\":null}]}\n\n"
#define CHUNKS   64
#define PARSE_NS (50 * NS_PER_MS)
#define BODY_HEAD                                                                                  \
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","     \
	"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\""
#define BODY_TAIL                                                                                  \
	"\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":8,"                         \
	"\"completion_tokens\":160,\"total_tokens\":168}}"

/* CPU time of one response of these bytes, read at once. */
static double parse(const struct buffer *bytes, const char *type, bool *good)
{
	struct response r = { 0 };
	uint64_t from_ns = clock_thread_cpu(), spent_ns, count = 0;
	response_init(&r, (size_t)1 << 20);
	do {
		response_start(&r, DECODE_CHAT, NULL, NULL);
		response_head(&r, 200, type, 1);
		response_bytes(&r, bytes->data, bytes->len, 2);
		response_end(&r, FAILURE_NONE, NULL, 3);
		count++;
		spent_ns = clock_thread_cpu() - from_ns;
	} while (spent_ns < PARSE_NS);
	*good = r.failure == FAILURE_NONE;
	response_free(&r);
	return (double)spent_ns / (double)count;
}

int floor_stream(double *event_ns)
{
	struct buffer b;
	bool good = false;
	double ns = 0;
	buffer_init(&b, (size_t)1 << 20);
	int err = STATUS_OK;
	for (int i = 0; i < CHUNKS && !err; i++)
		err = buffer_append_str(&b, CHUNK);
	if (!err)
		err = buffer_append_str(&b, "data: [DONE]\n\n");
	if (!err)
		ns = parse(&b, "text/event-stream", &good);
	buffer_free(&b);
	if (err || !good)
		return err ? err : STATUS_EIO;
	*event_ns = ns / CHUNKS;
	return STATUS_OK;
}

int floor_answer(double *answer_ns)
{
	struct buffer b;
	bool good = false;
	double ns = 0;
	buffer_init(&b, (size_t)1 << 20);
	int err = buffer_append_str(&b, BODY_HEAD);
	for (int i = 0; i < 80 && !err; i++)
		err = buffer_append_str(&b, "ten chars ");
	if (!err)
		err = buffer_append_str(&b, BODY_TAIL);
	if (!err)
		ns = parse(&b, "application/json", &good);
	buffer_free(&b);
	if (err || !good)
		return err ? err : STATUS_EIO;
	*answer_ns = ns;
	return STATUS_OK;
}

/* ---- events ---- */

static void fill_event(struct event *e, uint64_t i)
{
	event_init(e, EVENT_SAMPLE_COMPLETE, NS_PER_S + i);
	e->seq = i;
	e->phase = 0;
	e->index = (int64_t)i;
	e->uuid[0] = e->uuid[1] = i + 1;
	e->scheduled_ns = e->issued_ns = e->sent_ns = e->first_byte_ns = e->first_ns = NS_PER_S;
	e->http_status = 200;
	e->chunks = 16;
	e->bytes_in = 4000;
	e->bytes_out = 600;
	e->tokens_in = 100;
	e->tokens_out = 128;
	e->finish_reason = (struct slice){ "stop", 4 };
}

int floor_publisher(double *record_ns, const char *address)
{
	enum { RECORDS = 100000 };
	struct publisher_config config = { .address = address };
	struct loop *loop;
	struct publisher *p;
	struct event e;
	struct error error;
	int err = loop_new(&loop);
	if (err)
		return err;
	err = publisher_open(&p, loop, &config, &error);
	if (err) {
		loop_free(loop);
		return err;
	}
	uint64_t from_ns = clock_thread_cpu();
	for (uint64_t i = 0; i < RECORDS; i++) {
		fill_event(&e, i);
		publisher_put(p, &e);
	}
	publisher_flush(p);
	*record_ns = (double)(clock_thread_cpu() - from_ns) / RECORDS;
	publisher_close(p, clock_now() + NS_PER_S, NULL);
	loop_free(loop);
	return STATUS_OK;
}
