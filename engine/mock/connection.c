#include "mock/connection.h"

#include "base/clock.h"

#include <string.h>
#include <uv.h>

#define REFUSED_MAX  64       /* connections past the limit, being told so */
#define LINGER_NS    NS_PER_S /* for what is still under way to a closing connection */
#define PIPELINE_MAX 65536    /* bytes taken in while an answer is under way */
#define KEEP         16384    /* bytes of each buffer kept for the next connection */
#define KEEP_OUT     131072   /* the same of the output, between two answers */

enum state {
	CONN_READING,  /* waits for (the rest of) a request */
	CONN_REPLYING, /* an answer is being made and written */
	CONN_STUCK,    /* a fault: silent until the client goes */
	CONN_LINGER,   /* all is said: reads until the client goes, or for LINGER_NS */
	CONN_CLOSING,  /* the close callback is to come */
};

struct connection {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	struct connections *set;
	struct connection *next, **link; /* in set->first */
	enum state state;
	bool made;    /* its memory has been initialised */
	bool writing; /* .write is under way */
	bool paused;  /* not reading */
	uv_write_t write;
	uv_shutdown_t shutdown;
	size_t unsent; /* bytes of .write */
	struct loop_timer timer;
	struct request request;
	struct answer answer;
	struct ledger_entry entry; /* of the answer, when there is a ledger */
	struct buffer in;          /* what is not yet consumed; the request begins at 0 */
	struct buffer out;         /* what is to be written next */
};

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void go_on(struct connection *c, uint64_t now_ns);

/* ---- end ---- */

static void on_closed(uv_handle_t *h)
{
	struct connection *c = h->data;
	struct connections *set = c->set;
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	set->service->open--;
	service_ended(set->service, &c->answer, false);
	buffer_trim(&c->in, KEEP);
	buffer_trim(&c->out, KEEP);
	answer_trim(&c->answer);
	pool_put(set->pool, c);
	set->on_closed(set->data);
}

/* The only way into CONN_CLOSING. */
static void leave(struct connection *c, bool reset)
{
	if (c->state == CONN_CLOSING)
		return;
	c->state = CONN_CLOSING;
	loop_timer_stop(c->set->loop, &c->timer);
	if (reset && c->uv.handle.type == UV_TCP && !uv_tcp_close_reset(&c->uv.tcp, on_closed))
		return;
	uv_close(&c->uv.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct connection *c = req->data;
	if (status < 0)
		leave(c, false);
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
	struct connection *c = req->data;
	c->writing = false;
	if (c->state == CONN_CLOSING)
		return;
	if (status < 0) {
		leave(c, false);
		return;
	}
	c->set->service->stats.bytes_out += c->unsent;
	buffer_clear(&c->out);
	go_on(c, loop_refresh(c->set->loop));
}

/* What the socket does not take at once goes on its way, and .writing is set. */
static void send_bytes(struct connection *c, const char *data, size_t len)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)len);
	int n = uv_try_write(&c->uv.stream, &buf, 1);
	if (n < 0 && n != UV_EAGAIN) {
		leave(c, false);
		return;
	}
	size_t sent = n < 0 ? 0 : (size_t)n;
	c->set->service->stats.bytes_out += sent;
	if (sent == len)
		return;
	c->unsent = len - sent;
	c->write.data = c;
	buf = uv_buf_init(buf.base + sent, (unsigned)c->unsent);
	if (uv_write(&c->write, &c->uv.stream, &buf, 1, on_written))
		leave(c, false);
	else
		c->writing = true;
}

/* ---- answers ---- */

static void linger(struct connection *c)
{
	uint64_t until = loop_refresh(c->set->loop) + LINGER_NS;
	c->state = CONN_LINGER;
	c->shutdown.data = c;
	if (c->paused)
		uv_read_start(&c->uv.stream, on_alloc, on_read);
	if (loop_timer_start(c->set->loop, &c->timer, until) ||
	    uv_shutdown(&c->shutdown, &c->uv.stream, on_shutdown))
		leave(c, false);
}

static void finish(struct connection *c)
{
	c->set->service->stats.responses++;
	service_ended(c->set->service, &c->answer, true);
	answer_trim(&c->answer);
	buffer_trim(&c->out, KEEP_OUT);
	if (c->answer.keep_alive)
		c->state = CONN_READING;
	else
		linger(c);
}

/* Bytes of the answer are about to be written. */
static void note_bytes(struct connection *c)
{
	if (!c->set->service->ledger || !c->answer.completes)
		return;
	c->entry.finished_ns = loop_refresh(c->set->loop);
	if (!c->entry.first_ns && c->answer.completion.ask.stream && c->answer.completion.next)
		c->entry.first_ns = c->entry.finished_ns;
}

static void note_end(struct connection *c)
{
	struct ledger *ledger = c->set->service->ledger;
	if (!ledger || !c->answer.completes)
		return;
	c->entry.number = c->answer.number;
	c->entry.prompt_tokens = c->answer.completion.ask.prompt_words;
	c->entry.completion_tokens = c->answer.completion.tokens;
	ledger_put(ledger, &c->entry);
}

/* Write the answer until it is complete, has to wait, or the socket is full. */
static void pump(struct connection *c, uint64_t now_ns)
{
	while (c->state == CONN_REPLYING && !c->writing) {
		if (c->out.len) {
			send_bytes(c, c->out.data, c->out.len);
			if (!c->writing)
				buffer_clear(&c->out);
			continue;
		}
		switch (answer_step(&c->answer, &c->out, now_ns)) {
		case ANSWER_MORE:
			note_bytes(c);
			break;
		case ANSWER_WAIT:
			if (loop_timer_start(c->set->loop, &c->timer, c->answer.wake_ns))
				leave(c, false);
			return;
		case ANSWER_END:
			note_end(c);
			finish(c);
			break;
		case ANSWER_STUCK:
			c->state = CONN_STUCK;
			break;
		case ANSWER_RESET:
			leave(c, true);
			break;
		default:
			leave(c, false);
			break;
		}
	}
}

static void refuse(struct connection *c, int status, const char *reason)
{
	c->state = CONN_REPLYING;
	service_refuse(status, reason, &c->answer, &c->out);
	pump(c, loop_now(c->set->loop));
}

/* The request at data is complete. */
static void answer(struct connection *c, const char *data)
{
	struct service *s = c->set->service;
	const struct buffer *canned = service_canned(s, &c->request, data);
	if (canned) {
		send_bytes(c, canned->data, canned->len);
		if (!c->writing)
			return;
		/* Counted as a response already; pump() must not do it again. */
		s->stats.responses--;
		c->state = CONN_REPLYING;
		answer_fixed(&c->answer, ANSWER_END, true);
		return;
	}
	uint64_t now = loop_refresh(c->set->loop);
	c->state = CONN_REPLYING;
	c->entry = (struct ledger_entry){ .received_ns = now };
	service_answer(s, &c->request, data, &c->answer, &c->out, now);
	pump(c, now);
}

/* ---- reading ---- */

static void tell_continue(struct connection *c)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)line, sizeof(line) - 1);
	int n = uv_try_write(&c->uv.stream, &buf, 1);
	if (n != (int)buf.len) /* a client that has no room for this is beyond help */
		leave(c, false);
	else
		c->set->service->stats.bytes_out += (size_t)n;
}

/* Answer the complete requests at the head of data; returns the bytes used. */
static size_t take_requests(struct connection *c, char *data, size_t len)
{
	size_t used = 0;
	while (c->state == CONN_READING && used < len) {
		switch (request_parse(&c->request, data + used, len - used)) {
		case REQUEST_MORE:
			return used;
		case REQUEST_CONTINUE:
			tell_continue(c);
			break;
		case REQUEST_DONE:
			answer(c, data + used);
			used += c->request.size;
			request_init(&c->request, c->set->service->max_body);
			break;
		case REQUEST_BAD:
			refuse(c, c->request.status, c->request.reason);
			return len;
		}
	}
	return used;
}

/* data is c->in's, or new bytes while that is empty. What is not used is kept. */
static void consume(struct connection *c, char *data, size_t len)
{
	bool own = data == c->in.data;
	size_t used = take_requests(c, data, len);
	if (c->state != CONN_READING && c->state != CONN_REPLYING)
		used = len;
	if (!own) {
		if (used < len && buffer_append(&c->in, data + used, len - used))
			leave(c, false);
		return;
	}
	buffer_consume(&c->in, used);
	if (c->in.len == 0)
		buffer_trim(&c->in, KEEP);
}

static void pause_reading(struct connection *c)
{
	if (!c->paused)
		uv_read_stop(&c->uv.stream);
	c->paused = true;
}

/* An answer got written, or may be. If it is complete, turn to the next request. */
static void go_on(struct connection *c, uint64_t now_ns)
{
	pump(c, now_ns);
	if (c->state == CONN_READING && c->in.len)
		consume(c, c->in.data, c->in.len);
	if (c->state != CONN_READING || !c->paused)
		return;
	c->paused = false;
	if (uv_read_start(&c->uv.stream, on_alloc, on_read))
		leave(c, false);
}

static bool deaf(const struct connection *c)
{
	return c->state == CONN_STUCK || c->state == CONN_LINGER;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	struct connection *c = h->data;
	(void)hint;
	*buf = uv_buf_init(c->set->scratch, sizeof(c->set->scratch));
	if (c->in.len == 0 || deaf(c))
		return;
	if (buffer_reserve(&c->in, CONNECTION_READ))
		*buf = uv_buf_init(NULL, 0); /* on_read() gets UV_ENOBUFS */
	else
		*buf = uv_buf_init(c->in.data + c->in.len, CONNECTION_READ);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = stream->data;
	if (n < 0) {
		leave(c, false);
		return;
	}
	size_t len = (size_t)n;
	c->set->service->stats.bytes_in += len;
	if (n == 0 || deaf(c))
		return;
	bool own = buf->base != c->set->scratch;
	if (own)
		c->in.len += len;
	if (c->state == CONN_READING)
		consume(c, own ? c->in.data : buf->base, own ? c->in.len : len);
	else if (!own && buffer_append(&c->in, buf->base, len))
		leave(c, false);
	if (c->state == CONN_REPLYING && c->in.len >= PIPELINE_MAX)
		pause_reading(c);
}

/* ---- life ---- */

static void on_timer(struct loop_timer *t, uint64_t now_ns)
{
	struct connection *c = t->data;
	if (c->state == CONN_LINGER)
		leave(c, false);
	else
		go_on(c, now_ns);
}

static void on_pool_free(void *object)
{
	struct connection *c = object;
	if (!c->made)
		return;
	answer_free(&c->answer);
	buffer_free(&c->in);
	buffer_free(&c->out);
}

/* A connection from the pool; its uv handle is not yet initialised. */
static void prepare(struct connections *set, struct connection *c)
{
	size_t max_body = set->service->max_body;
	if (!c->made) {
		answer_init(&c->answer, max_body);
		/* The largest request, with the framing and trailers of its body,
		 * and what was read together with its end. */
		buffer_init(&c->in, max_body + 4 * (size_t)REQUEST_MAX_HEAD + CONNECTION_READ);
		buffer_init(&c->out, max_body < SIZE_MAX / 16 ? 8 * max_body + PIPELINE_MAX * 4
		                                              : SIZE_MAX / 2);
		c->made = true;
	}
	c->set = set;
	c->state = CONN_READING;
	c->writing = c->paused = false;
	c->timer = (struct loop_timer){ .fn = on_timer, .data = c };
	request_init(&c->request, max_body);
}

static int init_handle(struct connection *c, uv_stream_t *listener)
{
	uv_loop_t *uv = loop_uv(c->set->loop);
	int err = listener->type == UV_TCP ? uv_tcp_init(uv, &c->uv.tcp)
	                                   : uv_pipe_init(uv, &c->uv.pipe, 0);
	c->uv.handle.data = c;
	return err;
}

bool connections_accept(struct connections *set, uv_stream_t *listener)
{
	struct connection *c = pool_get(set->pool);
	if (!c)
		return false;
	prepare(set, c);
	if (init_handle(c, listener)) {
		pool_put(set->pool, c);
		return false;
	}
	struct service *s = set->service;
	c->next = set->first;
	c->link = &set->first;
	if (c->next)
		c->next->link = &c->next;
	set->first = c;
	s->stats.connections++;
	s->open++;
	if (uv_accept(listener, &c->uv.stream) || uv_read_start(&c->uv.stream, on_alloc, on_read)) {
		leave(c, false);
		return true;
	}
	if (c->uv.handle.type == UV_TCP)
		uv_tcp_nodelay(&c->uv.tcp, 1);
	if (s->open > set->max)
		refuse(c, 503, "too many connections");
	return true;
}

int connections_init(struct connections *set, struct loop *loop, struct service *service,
                     unsigned max)
{
	set->loop = loop;
	set->service = service;
	set->first = NULL;
	set->max = max;
	return pool_new(&set->pool, sizeof(struct connection), (size_t)max + REFUSED_MAX);
}

void connections_free(struct connections *set)
{
	pool_free(set->pool, on_pool_free);
	set->pool = NULL;
}

void connections_close(struct connections *set)
{
	for (struct connection *c = set->first; c; c = c->next)
		leave(c, false);
}
