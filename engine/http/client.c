#include "http/client.h"

#include "base/clock.h"
#include "http/address.h"
#include "http/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_CONNECT_NS (10 * NS_PER_S)
#define DEFAULT_MAX_BYTES  ((size_t)64 * 1024 * 1024)
#define USER_AGENT         "User-Agent: perigee"
#define BODY_TYPE          "Content-Type: application/json"

/* ---- what goes on the wire ---- */

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return len > 0;
}

/* A path that could end the request line, or the host before it, is refused. */
static bool is_path(const char *s)
{
	if (*s && *s != '/')
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '#')
			return false;
	return true;
}

static size_t name_len(const char *header)
{
	return strcspn(header, ":");
}

static bool is_header(const char *s)
{
	size_t n = name_len(s);
	if (s[n] != ':' || !is_token(s, n))
		return false;
	for (s += n; *s; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

static bool same_name(const char *a, const char *b)
{
	size_t n = name_len(a);
	return n == name_len(b) && strncasecmp(a, b, n) == 0;
}

static bool has_header(const char *const *headers, size_t count, const char *like)
{
	for (size_t i = 0; i < count; i++)
		if (same_name(headers[i], like))
			return true;
	return false;
}

const char *client_method(const struct client *c, const struct exchange *x)
{
	return x->method ? x->method : c->method;
}

int client_each_header(const struct client *c, const struct exchange *x,
                       int (*fn)(void *arg, const char *header), void *arg)
{
	const char *const *own = x ? x->headers : NULL;
	const char *const *common = (const char *const *)c->headers;
	size_t count = x ? x->header_count : 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < c->header_count; i++)
		if (!has_header(own, count, common[i]))
			rc = fn(arg, common[i]);
	bool body = !x || x->body;
	if (!rc && body && !has_header(own, count, BODY_TYPE) &&
	    !has_header(common, c->header_count, BODY_TYPE))
		rc = fn(arg, BODY_TYPE);
	for (size_t i = 0; !rc && i < count; i++)
		rc = fn(arg, own[i]);
	return rc;
}

/* ---- configuration ---- */

static int check_config(const struct client_config *config, struct error *e)
{
	if (config->url_count == 0)
		return error_set(e, STATUS_EINVAL, "a client needs at least one url");
	if (config->path && !is_path(config->path))
		return error_set(e, STATUS_EINVAL,
		                 "path \"%s\": it must begin with / and hold no spaces or #",
		                 config->path);
	if (config->method && !is_token(config->method, strlen(config->method)))
		return error_set(e, STATUS_EINVAL, "method \"%s\" is no HTTP method",
		                 config->method);
	for (size_t i = 0; i < config->header_count; i++)
		if (!is_header(config->headers[i]))
			return error_set(e, STATUS_EINVAL,
			                 "header \"%s\": \"Name: value\" was expected",
			                 config->headers[i]);
	for (size_t i = 0; i < config->source_count; i++) {
		struct socket_address a;
		int err = address_source(&a, config->sources[i], e);
		if (err)
			return err;
	}
	return STATUS_OK;
}

static bool copy_string(char **to, const char *from)
{
	return !from || (*to = strdup(from)) != NULL;
}

static bool copy_urls(struct client *c, const struct client_config *config)
{
	const char *path = config->path ? config->path : "";
	c->bases = calloc(config->url_count, sizeof(*c->bases));
	c->urls = calloc(config->url_count, sizeof(*c->urls));
	c->uses = calloc(config->url_count, sizeof(*c->uses));
	if (!c->bases || !c->urls || !c->uses)
		return false;
	c->url_count = config->url_count;
	for (size_t i = 0; i < c->url_count; i++) {
		const char *base = config->urls[i];
		size_t len = strlen(base);
		while (len && base[len - 1] == '/')
			len--;
		c->bases[i] = strndup(base, len);
		if (!c->bases[i] || asprintf(&c->urls[i], "%s%s", c->bases[i], path) < 0) {
			c->urls[i] = NULL; /* asprintf leaves it undefined */
			return false;
		}
	}
	return true;
}

static bool copy_headers(struct client *c, const struct client_config *config)
{
	c->headers = calloc(config->header_count + 1, sizeof(*c->headers));
	if (!c->headers)
		return false;
	if (!has_header(config->headers, config->header_count, USER_AGENT)) {
		if (!copy_string(&c->headers[0], USER_AGENT))
			return false;
		c->header_count = 1;
	}
	for (size_t i = 0; i < config->header_count; i++) {
		if (!copy_string(&c->headers[c->header_count], config->headers[i]))
			return false;
		c->header_count++;
	}
	return true;
}

static bool copy_sources(struct client *c, const struct client_config *config)
{
	c->sources = calloc(config->source_count + 1, sizeof(*c->sources));
	if (!c->sources)
		return false;
	for (; c->source_count < config->source_count; c->source_count++)
		if (!copy_string(&c->sources[c->source_count], config->sources[c->source_count]))
			return false;
	return true;
}

static void on_turn(struct loop_hook *hook, uint64_t now_ns);
static void on_last(struct loop_hook *hook, uint64_t now_ns);

int client_init(struct client *c, const struct client_ops *ops, struct loop *loop,
                const struct client_config *config, const struct client_sink *sink, void *ctx,
                struct error *e)
{
	int err = check_config(config, e);
	if (err)
		return err;
	c->ops = ops;
	c->loop = loop;
	c->hook = (struct loop_hook){ .fn = on_turn, .data = c };
	c->last_hook = (struct loop_hook){ .fn = on_last, .data = c };
	c->sink = sink;
	c->ctx = ctx;
	c->decoder = config->decoder;
	c->insecure = config->insecure;
	c->connect_timeout_ns =
		config->connect_timeout_ns ? config->connect_timeout_ns : DEFAULT_CONNECT_NS;
	c->max_response_bytes =
		config->max_response_bytes ? config->max_response_bytes : DEFAULT_MAX_BYTES;
	if (copy_urls(c, config) && copy_headers(c, config) && copy_sources(c, config) &&
	    copy_string(&c->path, config->path ? config->path : "") &&
	    copy_string(&c->unix_socket, config->unix_socket) &&
	    copy_string(&c->ca_file, config->ca_file) &&
	    copy_string(&c->method, config->method ? config->method : "POST"))
		return STATUS_OK;
	client_fini(c);
	return error_set(e, STATUS_ENOMEM, "out of memory");
}

static void free_strings(char **list, size_t count)
{
	for (size_t i = 0; list && i < count; i++)
		free(list[i]);
	free(list);
}

void client_fini(struct client *c)
{
	free_strings(c->bases, c->url_count);
	free_strings(c->urls, c->url_count);
	free(c->uses);
	free_strings(c->headers, c->header_count);
	free_strings(c->sources, c->source_count);
	free(c->path);
	free(c->unix_socket);
	free(c->ca_file);
	free(c->method);
}

void client_open(struct client *c)
{
	loop_hook_add(c->loop, &c->hook);
	loop_hook_add_last(c->loop, &c->last_hook);
}

/* ---- the book ---- */

static void list_append(struct exchange_list *l, struct exchange *x)
{
	x->prev = l->last;
	x->next = NULL;
	*(l->last ? &l->last->next : &l->first) = x;
	l->last = x;
}

static void list_remove(struct exchange_list *l, struct exchange *x)
{
	*(x->prev ? &x->prev->next : &l->first) = x->next;
	*(x->next ? &x->next->prev : &l->last) = x->prev;
}

static void cut(struct client *c, struct exchange *x, enum failure why)
{
	list_remove(&c->flying, x);
	x->verdict = why;
	list_append(&c->cut, x);
	loop_timer_stop(c->loop, &x->timer);
	loop_poke(c->loop);
}

void client_cancel(struct client *c, struct exchange *x, enum failure why)
{
	if (!x->flying || x->verdict != FAILURE_NONE)
		return;
	if (why == FAILURE_NONE)
		why = FAILURE_CANCELLED;
	if (!c->ops->cancel) {
		cut(c, x, why);
		return;
	}
	x->verdict = why;
	c->ops->cancel(c, x, why);
}

void client_ended(struct client *c, struct exchange *x, enum failure why, const char *text,
                  uint64_t now_ns)
{
	if (x->verdict)
		response_end(&x->response, x->verdict, NULL, now_ns);
	else
		response_end(&x->response, why, text, now_ns);
	client_settled(c, x);
}

static struct endpoint_use *use_of(struct client *c, const struct exchange *x)
{
	return &c->uses[x->endpoint % c->url_count];
}

/* Does the next exchange need another connection although the endpoint closed no kept one?
 * A new one that failed at its first exchange was never kept, and what never got one has
 * none to give up. */
static bool gave_up(const struct exchange *x)
{
	enum failure why = x->response.failure;
	bool theirs = why == FAILURE_RESET || why == FAILURE_TRUNCATED;
	if (why == FAILURE_NONE || why == FAILURE_HTTP)
		return false;
	return x->response.fresh || (x->response.sent_ns && !theirs);
}

static void count_use(struct client *c, const struct exchange *x)
{
	use_of(c, x)->now--;
	c->fresh += x->response.fresh;
	c->needed += gave_up(x);
}

void client_settled(struct client *c, struct exchange *x)
{
	bool is_cut = x->verdict && !c->ops->cancel;
	count_use(c, x);
	list_remove(is_cut ? &c->cut : &c->flying, x);
	loop_timer_stop(c->loop, &x->timer);
	x->flying = false;
	c->inflight--;
	c->sink->done(c->ctx, x);
}

static void end_cut(struct client *c, struct exchange *x)
{
	c->ops->abort(c, x);
	client_ended(c, x, x->verdict, NULL, loop_now(c->loop));
}

/* First the cuts: what their done starts is sent in this very turn. Those that
 * come up meanwhile wait for the next turn, which client_cancel() has hastened. */
static void on_turn(struct loop_hook *hook, uint64_t now_ns)
{
	struct client *c = hook->data;
	(void)now_ns;
	struct exchange *last = c->cut.last;
	for (struct exchange *x = NULL; x != last;) {
		x = c->cut.first;
		end_cut(c, x);
	}
	c->ops->sweep(c);
}

static void on_last(struct loop_hook *hook, uint64_t now_ns)
{
	struct client *c = hook->data;
	(void)now_ns;
	c->ops->send(c);
}

/* One timer for both deadlines. It is not moved when the first byte comes,
 * which would cost every exchange: it looks again when it fires. */
static uint64_t nearer_deadline(const struct exchange *x)
{
	uint64_t first = x->response.first_byte_ns ? 0 : x->first_byte_deadline_ns;
	if (!first || !x->deadline_ns)
		return first ? first : x->deadline_ns;
	return first < x->deadline_ns ? first : x->deadline_ns;
}

static void on_deadline(struct loop_timer *t, uint64_t now_ns)
{
	struct client *c = t->data;
	struct exchange *x = (struct exchange *)((char *)t - offsetof(struct exchange, timer));
	uint64_t due = nearer_deadline(x);
	if (!due)
		return;
	if (due > now_ns && loop_timer_start(c->loop, t, due) == STATUS_OK)
		return;
	cut(c, x, due == x->deadline_ns ? FAILURE_TIMEOUT : FAILURE_FIRST_BYTE_TIMEOUT);
}

static void on_delta(void *ctx, const struct delta *d, bool first)
{
	struct exchange *x = ctx;
	struct client *c = x->timer.data;
	if (first && c->sink->first && !x->verdict)
		c->sink->first(c->ctx, x);
	if (c->sink->chunk && !x->skip_chunks && !x->verdict)
		c->sink->chunk(c->ctx, x, d);
}

static bool may_send(const struct exchange *x)
{
	if (x->path && !is_path(x->path))
		return false;
	if (x->method && !is_token(x->method, strlen(x->method)))
		return false;
	for (size_t i = 0; i < x->header_count; i++)
		if (!is_header(x->headers[i]))
			return false;
	return true;
}

int client_submit(struct client *c, struct exchange *x)
{
	if (c->closing)
		return STATUS_ECLOSED;
	if (x->flying || !may_send(x))
		return STATUS_EINVAL;
	bool deltas = c->sink->first || (c->sink->chunk && !x->skip_chunks);
	response_init(&x->response, c->max_response_bytes);
	response_start(&x->response, c->decoder, deltas ? on_delta : NULL, x);
	x->verdict = FAILURE_NONE;
	x->transport = NULL;
	x->worker = -1;
	x->started_ns = 0;
	x->lost = false;
	x->timer = (struct loop_timer){ .fn = on_deadline, .data = c };
	uint64_t due = c->ops->cancel ? 0 : nearer_deadline(x);
	int err = due ? loop_timer_start(c->loop, &x->timer, due) : STATUS_OK;
	if (!err)
		err = c->ops->start(c, x);
	if (err) {
		loop_timer_stop(c->loop, &x->timer);
		return err;
	}
	x->flying = true;
	list_append(&c->flying, x);
	c->inflight++;
	struct endpoint_use *use = use_of(c, x);
	if (++use->now > use->most) {
		use->most = use->now;
		c->needed++;
	}
	return STATUS_OK;
}

void client_send(struct client *c)
{
	c->ops->send(c);
}

unsigned client_inflight(const struct client *c)
{
	return c->inflight;
}

uint64_t client_connections(const struct client *c)
{
	return c->ops->connections(c);
}

uint64_t client_reconnects(const struct client *c)
{
	if (c->ops->reconnects)
		return c->ops->reconnects(c);
	return c->fresh > c->needed ? c->fresh - c->needed : 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	c->closing = true;
	if (c->ops->close)
		c->ops->close(c);
	while (c->flying.first)
		cut(c, c->flying.first, FAILURE_ABANDONED);
	while (c->cut.first)
		end_cut(c, c->cut.first);
	loop_hook_remove(c->loop, &c->hook);
	loop_hook_remove(c->loop, &c->last_hook);
	c->ops->free(c);
}
