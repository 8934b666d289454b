#include "http/sim.h"

#include "base/json.h"
#include "http/transport.h"

#include <stdlib.h>
#include <string.h>

#define MAX_EVENT ((size_t)64 << 20)
#define MADE_UP   "token "

/* One exchange on its way. */
struct flight {
	struct loop_timer timer; /* of the next thing that comes back */
	struct exchange *x;
	struct sim *sim;
	struct sim_answer answer; /* text is the flight's own */
	bool streamed, usage;     /* what the body asks for */
	bool served;              /* holds a slot */
	bool ended;               /* waits for the sweep */
	uint32_t told;            /* tokens that came back */
	uint64_t ended_ns;
	struct flight *prev, *next; /* in the queue or in the list of those that ended */
};

struct flights {
	struct flight *first, *last;
};

struct sim {
	struct client base; /* first: the book casts back */
	struct sim_model model;
	uint64_t asked;       /* exchanges so far */
	unsigned busy;        /* slots in use */
	struct flights queue; /* wait for a slot */
	struct flights ended; /* to be told in the next sweep */
	struct buffer bytes;  /* of one event */
};

static void append(struct flights *l, struct flight *f)
{
	f->prev = l->last;
	f->next = NULL;
	*(l->last ? &l->last->next : &l->first) = f;
	l->last = f;
}

static void take_out(struct flights *l, struct flight *f)
{
	*(f->prev ? &f->prev->next : &l->first) = f->next;
	*(f->next ? &f->next->prev : &l->last) = f->prev;
}

/* ---- what was asked for ---- */

/* The two flags that decide the form of an answer; what is no JSON has none. */
static void read_body(struct flight *f)
{
	struct json j;
	bool streamed = false, usage = false;
	json_init(&j, f->x->body ? f->x->body : "", f->x->body_len);
	while (json_next(&j) > JSON_END) {
		if (j.type != JSON_KEY)
			continue;
		bool stream = j.depth == 1 && json_is(&j, "stream");
		bool options = j.depth == 1 && json_is(&j, "stream_options");
		bool include = j.depth == 2 && json_is(&j, "include_usage");
		if (stream)
			streamed = json_next(&j) == JSON_TRUE;
		else if (include)
			usage = json_next(&j) == JSON_TRUE;
		else if (!options && !json_skip(&j))
			break;
	}
	f->streamed = streamed && f->sim->base.decoder != DECODE_RAW;
	f->usage = usage;
}

/* ---- bytes ---- */

static bool is_chat(const struct flight *f)
{
	return f->sim->base.decoder == DECODE_CHAT;
}

/* Token i of the text: equal shares that split no character. */
static size_t share_begin(const struct sim_answer *a, uint32_t i)
{
	size_t at = (size_t)((unsigned __int128)a->text_len * i / a->tokens);
	while (at < a->text_len && ((unsigned char)a->text[at] & 0xc0) == 0x80)
		at++;
	return at;
}

static int put_share(struct buffer *b, const struct flight *f, uint32_t i)
{
	const struct sim_answer *a = &f->answer;
	if (!a->text)
		return json_put_string(b, MADE_UP, strlen(MADE_UP));
	size_t from = share_begin(a, i), to = share_begin(a, i + 1);
	return json_put_string(b, a->text + from, to - from);
}

static int put_usage(struct buffer *b, const struct flight *f)
{
	int64_t in = f->answer.tokens_in;
	if (in < 0)
		in = (int64_t)f->x->body_len / 4;
	return buffer_printf(b, "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%u}",
	                     (long long)in, f->answer.tokens);
}

static int put_token(struct buffer *b, const struct flight *f, uint32_t i)
{
	int err = buffer_append_str(b, is_chat(f) ? "data: {\"choices\":[{\"delta\":{\"content\":"
	                                          : "data: {\"choices\":[{\"text\":");
	if (!err)
		err = put_share(b, f, i);
	return err ? err : buffer_append_str(b, is_chat(f) ? "}}]}\n\n" : "}]}\n\n");
}

static int put_finish(struct buffer *b, const struct flight *f)
{
	int err = buffer_append_str(b, is_chat(f) ? "data: {\"choices\":[{\"delta\":{},"
	                                          : "data: {\"choices\":[{\"text\":\"\",");
	if (!err)
		err = buffer_append_str(b, "\"finish_reason\":\"stop\"}]}\n\n");
	if (!err && f->usage) {
		err = buffer_append_str(b, "data: {\"choices\":[],");
		if (!err)
			err = put_usage(b, f);
		if (!err)
			err = buffer_append_str(b, "}\n\n");
	}
	return err ? err : buffer_append_str(b, "data: [DONE]\n\n");
}

static int put_text(struct buffer *b, const struct flight *f)
{
	const struct sim_answer *a = &f->answer;
	if (a->text)
		return json_put_string(b, a->text, a->text_len);
	int err = buffer_append_str(b, "\"");
	for (uint32_t i = 0; !err && i < a->tokens; i++)
		err = buffer_append_str(b, MADE_UP);
	return err ? err : buffer_append_str(b, "\"");
}

/* All of an answer that is no stream. */
static int put_whole(struct buffer *b, const struct flight *f)
{
	const struct sim_answer *a = &f->answer;
	if (f->sim->base.decoder == DECODE_RAW)
		return a->text ? buffer_append(b, a->text, a->text_len)
		               : buffer_append_str(b, MADE_UP);
	int err = buffer_append_str(b, is_chat(f) ? "{\"choices\":[{\"message\":{\"content\":"
	                                          : "{\"choices\":[{\"text\":");
	if (!err)
		err = put_text(b, f);
	if (!err)
		err = buffer_append_str(b, is_chat(f) ? "},\"finish_reason\":\"stop\"}],"
		                                      : ",\"finish_reason\":\"stop\"}],");
	if (!err)
		err = put_usage(b, f);
	return err ? err : buffer_append_str(b, "}");
}

static int put_refusal(struct buffer *b, const struct flight *f)
{
	const struct sim_answer *a = &f->answer;
	const char *text = a->text ? a->text : "simulated error";
	int err = buffer_append_str(b, "{\"error\":{\"message\":");
	if (!err)
		err = json_put_string(b, text, a->text ? a->text_len : strlen(text));
	return err ? err : buffer_append_str(b, "}}");
}

/* ---- a flight's course ---- */

static void finish(struct flight *f, uint64_t now_ns)
{
	f->ended = true;
	f->ended_ns = now_ns;
	append(&f->sim->ended, f);
}

/* Feed what `put` writes. True: the rest is of no use, the flight has ended. */
static bool feed(struct flight *f, int err, uint64_t now_ns)
{
	const struct buffer *b = &f->sim->bytes;
	if (err) { /* out of memory: it breaks */
		f->answer.failure = FAILURE_CLIENT;
		finish(f, now_ns);
		return true;
	}
	if (!response_bytes(&f->x->response, b->data, b->len, now_ns))
		return false;
	finish(f, now_ns);
	return true;
}

static void come_whole(struct flight *f, uint64_t now_ns)
{
	struct buffer *b = &f->sim->bytes;
	bool refused = f->answer.status >= 400;
	const char *type = f->sim->base.decoder == DECODE_RAW ? "text/plain" : "application/json";
	response_head(&f->x->response, f->answer.status, type, now_ns);
	if (!feed(f, refused ? put_refusal(b, f) : put_whole(b, f), now_ns))
		finish(f, now_ns);
}

static bool breaks_now(const struct flight *f)
{
	return f->answer.failure != FAILURE_NONE && f->told == f->answer.tokens;
}

/* The next token of a stream, and its end with the last one. */
static void come_token(struct flight *f, uint64_t now_ns)
{
	struct buffer *b = &f->sim->bytes;
	if (f->told == 0)
		response_head(&f->x->response, f->answer.status, "text/event-stream", now_ns);
	if (f->told < f->answer.tokens) {
		if (feed(f, put_token(b, f, f->told), now_ns))
			return;
		f->told++;
	}
	if (breaks_now(f)) {
		finish(f, now_ns);
		return;
	}
	if (f->told < f->answer.tokens) { /* a timer that has fired has its place: it cannot fail */
		loop_timer_start(f->sim->base.loop, &f->timer, now_ns + f->answer.tpot_ns);
		return;
	}
	buffer_clear(b);
	if (!feed(f, put_finish(b, f), now_ns))
		finish(f, now_ns);
}

static void on_due(struct loop_timer *t, uint64_t now_ns)
{
	struct flight *f = t->data;
	buffer_clear(&f->sim->bytes);
	if (f->answer.status >= 400)
		come_whole(f, now_ns);
	else if (f->answer.failure != FAILURE_NONE && (!f->streamed || !f->answer.tokens))
		finish(f, now_ns);
	else if (f->streamed)
		come_token(f, now_ns);
	else
		come_whole(f, now_ns);
}

/* When an answer that comes in one piece is there. */
static uint64_t whole_delay(const struct flight *f)
{
	const struct sim_answer *a = &f->answer;
	bool generated = !f->streamed && a->status < 400 && a->tokens > 1;
	return a->ttft_ns + (generated ? a->tpot_ns * (a->tokens - 1) : 0);
}

static int serve(struct flight *f, uint64_t now_ns)
{
	f->served = true;
	f->sim->busy++;
	return loop_timer_start(f->sim->base.loop, &f->timer, now_ns + whole_delay(f));
}

static bool has_slot(const struct sim *s)
{
	return !s->model.slots || s->busy < s->model.slots;
}

/* It is out of all lists. The next one takes its slot. */
static void land(struct flight *f)
{
	struct sim *s = f->sim;
	uint64_t now = loop_now(s->base.loop);
	loop_timer_stop(s->base.loop, &f->timer);
	s->busy -= f->served;
	f->x->transport = NULL;
	free((char *)f->answer.text);
	free(f);
	while (s->queue.first && has_slot(s)) {
		struct flight *next = s->queue.first;
		take_out(&s->queue, next);
		if (serve(next, now)) {
			next->answer.failure = FAILURE_CLIENT;
			finish(next, now);
			loop_poke(s->base.loop);
		}
	}
}

/* ---- the transport ---- */

static int keep_answer(struct flight *f, const struct sim_answer *a)
{
	f->answer = *a;
	f->answer.text = NULL;
	if (!a->text)
		return STATUS_OK;
	char *text = malloc(a->text_len + 1);
	if (!text)
		return STATUS_ENOMEM;
	memcpy(text, a->text, a->text_len);
	text[a->text_len] = '\0';
	f->answer.text = text;
	return STATUS_OK;
}

static int sim_start(struct client *base, struct exchange *x)
{
	struct sim *s = (struct sim *)base;
	uint64_t now = loop_now(base->loop);
	struct sim_answer a = { .tokens = 1, .tokens_in = -1, .status = 200 };
	int err = s->model.answer(s->model.ctx, x, s->asked++, now, &a);
	if (err)
		return err;
	struct flight *f = calloc(1, sizeof(*f));
	if (!f || keep_answer(f, &a)) {
		free(f);
		return STATUS_ENOMEM;
	}
	f->x = x;
	f->sim = s;
	f->timer = (struct loop_timer){ .fn = on_due, .data = f };
	read_body(f);
	x->transport = f;
	x->response.sent_ns = now;
	if (!has_slot(s))
		append(&s->queue, f);
	else if (serve(f, now)) {
		land(f);
		return STATUS_ENOMEM;
	}
	return STATUS_OK;
}

static void sim_abort(struct client *base, struct exchange *x)
{
	struct sim *s = (struct sim *)base;
	struct flight *f = x->transport;
	if (f->ended)
		take_out(&s->ended, f);
	else if (!f->served)
		take_out(&s->queue, f);
	land(f);
}

/* Those that end by what done does wait for the next turn. */
static void sim_sweep(struct client *base)
{
	struct sim *s = (struct sim *)base;
	struct flight *last = s->ended.last;
	for (bool more = last != NULL; more;) {
		struct flight *f = s->ended.first;
		struct exchange *x = f->x;
		enum failure why = f->answer.failure;
		uint64_t ended_ns = f->ended_ns;
		more = f != last;
		take_out(&s->ended, f);
		land(f);
		client_ended(base, x, why, NULL, ended_ns);
	}
}

/* All that was started has its timer. */
static void sim_send(struct client *base)
{
	(void)base;
}

static uint64_t sim_connections(const struct client *base)
{
	(void)base;
	return 0;
}

static void sim_free(struct client *base)
{
	struct sim *s = (struct sim *)base;
	buffer_free(&s->bytes);
	client_fini(base);
	free(s);
}

static const struct client_ops sim_ops = {
	.start = sim_start,
	.abort = sim_abort,
	.sweep = sim_sweep,
	.send = sim_send,
	.connections = sim_connections,
	.free = sim_free,
};

int sim_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                   const struct sim_model *model, const struct client_sink *sink, void *ctx,
                   struct error *e)
{
	struct sim *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	int err = client_init(&s->base, &sim_ops, loop, config, sink, ctx, e);
	if (err) {
		free(s);
		return err;
	}
	s->model = *model;
	buffer_init(&s->bytes, MAX_EVENT);
	client_open(&s->base);
	*out = &s->base;
	return STATUS_OK;
}
