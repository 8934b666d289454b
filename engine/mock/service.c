#include "mock/service.h"

#include "base/clock.h"
#include "mock/draw.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TOKEN_BYTES 5
#define MAX_TOKEN_BYTES     65536
#define DEFAULT_BODY        ((size_t)64 << 20)
#define CANNED_LIMIT        ((size_t)1 << 30)
#define STREAM_FAULT        3 /* of a request's random numbers; answer.c has 1 and 2 */

/* One request under way. */
struct call {
	struct service *s;
	const struct request *r;
	const char *data;
	struct answer *a;
	struct buffer *out;
	uint64_t now_ns;
};

/* ---- fixed replies ---- */

static void reply_fixed(struct answer *a, struct buffer *out, int status, const char *body,
                        size_t len, bool keep_alive, bool head_only)
{
	bool ok = reply_head(out, status, REPLY_JSON, (int64_t)len, keep_alive) &&
	          (head_only || !buffer_append(out, body, len));
	answer_fixed(a, ok ? ANSWER_END : ANSWER_CLOSE, keep_alive);
}

static void reply_body(const struct call *c, int status, const struct buffer *body)
{
	reply_fixed(c->a, c->out, status, body->data, body->len, c->r->keep_alive,
	            request_is(c->data, c->r->method, "HEAD"));
}

static void reply_error(const struct call *c, int status, const char *message)
{
	struct buffer body;
	buffer_init(&body, 4096);
	if (reply_error_json(&body, status, message))
		reply_body(c, status, &body);
	else
		answer_fixed(c->a, ANSWER_CLOSE, false);
	buffer_free(&body);
}

void service_ended(struct service *s, struct answer *a, bool whole)
{
	const struct completion *c = &a->completion;
	if (!a->completes)
		return;
	a->completes = false;
	s->running--;
	s->prompt_tokens += c->ask.prompt_words;
	s->generation_tokens += whole ? c->tokens : c->next;
}

void service_refuse(int status, const char *reason, struct answer *a, struct buffer *out)
{
	struct buffer body;
	buffer_init(&body, 4096);
	if (reply_error_json(&body, status, reason))
		reply_fixed(a, out, status, body.data, body.len, false, false);
	else
		answer_fixed(a, ANSWER_CLOSE, false);
	buffer_free(&body);
}

/* ---- completions ---- */

static bool authorized(const struct service *s, const struct request *r, const char *data)
{
	static const char scheme[] = "Bearer ";
	size_t n = sizeof(scheme) - 1, key = s->api_key ? strlen(s->api_key) : 0;
	const char *value = data + r->authorization.at;
	if (!s->api_key)
		return true;
	return r->authorization.len == n + key && memcmp(value, scheme, n) == 0 &&
	       memcmp(value + n, s->api_key, key) == 0;
}

/* False when the request asks for a fault that does not exist. */
static bool choose_fault(const struct call *c, uint64_t number, struct fault *f)
{
	struct service *s = c->s;
	*f = (struct fault){ MOCK_FAULT_COUNT, s->fault_status };
	if (c->r->fault.len)
		return fault_parse(f, c->data + c->r->fault.at, c->r->fault.len) == STATUS_OK;
	if (s->faulty) {
		struct rng r;
		rng_init(&r, s->style.seed, rng_mix(number, STREAM_FAULT));
		f->kind = fault_draw(s->fault, &r);
	}
	return true;
}

static void complete(const struct call *c, bool chat)
{
	struct service *s = c->s;
	struct fault fault;
	uint64_t number = s->numbers++;
	const char *reason = NULL;
	if (!choose_fault(c, number, &fault)) {
		reply_error(c, 400, "x-perigee-fault: unknown fault");
		return;
	}
	s->stats.faults += fault.kind != MOCK_FAULT_COUNT;
	if (fault.kind == MOCK_FAULT_STATUS) {
		reply_error(c, fault.status, "injected fault: status");
		return;
	}
	int err = ask_read(&c->a->completion.ask, chat, c->data + c->r->body.at, c->r->body.len,
	                   &reason);
	if (err) {
		reply_error(c, err == STATUS_ENOMEM ? 500 : 400,
		            reason ? reason : status_text(err));
		return;
	}
	struct answer_terms terms = {
		.number = number,
		.now_ns = c->now_ns,
		.created = clock_realtime() / NS_PER_S,
		.fault = fault.kind,
		.keep_alive = c->r->keep_alive,
		.http10 = c->r->http10,
	};
	answer_start(c->a, &s->style, &terms);
	s->running += c->a->completes;
}

static void post_chat(const struct call *c)
{
	complete(c, true);
}

static void post_completions(const struct call *c)
{
	complete(c, false);
}

/* ---- the other routes ---- */

static void reply_text(const struct call *c, const char *json)
{
	reply_fixed(c->a, c->out, 200, json, strlen(json), c->r->keep_alive,
	            request_is(c->data, c->r->method, "HEAD"));
}

static void get_models(const struct call *c)
{
	reply_text(c,
	           "{\"object\":\"list\",\"data\":[{\"id\":\"perigee-mock\",\"object\":\"model\","
	           "\"created\":0,\"owned_by\":\"perigee\"}]}");
}

static void get_health(const struct call *c)
{
	reply_text(c, "{\"status\":\"ok\"}");
}

static void get_stats(const struct call *c)
{
	const struct mock_stats *st = &c->s->stats;
	struct buffer body;
	buffer_init(&body, 4096);
	if (buffer_printf(&body,
	                  "{\"connections\":%" PRIu64 ",\"open\":%zu,\"requests\":%" PRIu64
	                  ",\"responses\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"bytes_in\":%" PRIu64
	                  ",\"bytes_out\":%" PRIu64 "}",
	                  st->connections, c->s->open, st->requests, st->responses, st->faults,
	                  st->bytes_in, st->bytes_out))
		answer_fixed(c->a, ANSWER_CLOSE, false);
	else
		reply_body(c, 200, &body);
	buffer_free(&body);
}

/* Under the names of vLLM, so that what reads those has something real to read. */
static bool write_metrics(const struct service *s, struct buffer *out)
{
#define LABELS "{engine=\"0\",model_name=\"perigee-mock\"}"
	static const struct {
		const char *name, *kind, *help;
	} families[] = {
		{ "num_requests_running", "gauge", "Completions being answered." },
		{ "num_requests_waiting", "gauge",
		  "Completions waiting: none, each is begun at once." },
		{ "kv_cache_usage_perc", "gauge",
		  "Completions being answered, of as many as may be." },
		{ "prompt_tokens_total", "counter", "Words of the prompts of ended completions." },
		{ "generation_tokens_total", "counter", "Tokens of ended completions." },
	};
	const double values[] = { (double)s->running, 0, (double)s->running / s->max_running,
		                  (double)s->prompt_tokens, (double)s->generation_tokens };
	int err = STATUS_OK;
	for (size_t i = 0; !err && i < sizeof(families) / sizeof(*families); i++)
		err = buffer_printf(
			out, "# HELP vllm:%s %s\n# TYPE vllm:%s %s\nvllm:%s" LABELS " %.17g\n",
			families[i].name, families[i].help, families[i].name, families[i].kind,
			families[i].name, values[i]);
	return !err;
#undef LABELS
}

static void get_metrics(const struct call *c)
{
	struct buffer body;
	buffer_init(&body, 4096);
	bool head_only = request_is(c->data, c->r->method, "HEAD");
	bool ok = write_metrics(c->s, &body) &&
	          reply_head(c->out, 200, REPLY_METRICS, (int64_t)body.len, c->r->keep_alive) &&
	          (head_only || !buffer_append(c->out, body.data, body.len));
	answer_fixed(c->a, ok ? ANSWER_END : ANSWER_CLOSE, c->r->keep_alive);
	buffer_free(&body);
}

/* ---- routing ---- */

static const struct route {
	const char *path;
	const char *method;
	bool key; /* behind the API key */
	int canned, canned_stream;
	void (*fn)(const struct call *c);
} routes[] = {
	{ "/v1/chat/completions", "POST", true, CANNED_CHAT, CANNED_CHAT_STREAM, post_chat },
	{ "/v1/completions", "POST", true, CANNED_TEXT, CANNED_TEXT_STREAM, post_completions },
	{ "/v1/models", "GET", true, -1, -1, get_models },
	{ "/health", "GET", false, -1, -1, get_health },
	{ "/stats", "GET", false, -1, -1, get_stats },
	{ "/metrics", "GET", false, -1, -1, get_metrics },
};

static const struct route *find_route(const struct request *r, const char *data)
{
	struct span path = r->target;
	const char *query = memchr(data + path.at, '?', path.len);
	if (query)
		path.len = (size_t)(query - data) - path.at;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (request_is(data, path, routes[i].path))
			return &routes[i];
	return NULL;
}

static bool allows(const struct route *route, const struct request *r, const char *data)
{
	return request_is(data, r->method, route->method) ||
	       (*route->method == 'G' && request_is(data, r->method, "HEAD"));
}

void service_answer(struct service *s, const struct request *r, const char *data, struct answer *a,
                    struct buffer *out, uint64_t now_ns)
{
	struct call c = { s, r, data, a, out, now_ns };
	const struct route *route = find_route(r, data);
	s->stats.requests++;
	if ((!route || !allows(route, r, data)) && s->style.mode == MOCK_MAX)
		reply_text(&c, "{}");
	else if (!route)
		reply_error(&c, 404, "no such path");
	else if (!allows(route, r, data))
		reply_error(&c, 405, "the path has no such method");
	else if (route->key && !authorized(s, r, data))
		reply_error(&c, 401, "wrong or missing API key");
	else
		route->fn(&c);
}

/* ---- MOCK_MAX ---- */

/* Is there "stream": true? Inside of a JSON string the quotes would be escaped. */
static bool wants_stream(const char *body, size_t len)
{
	static const char key[] = "\"stream\"";
	const char *end = body + len, *p = memmem(body, len, key, sizeof(key) - 1);
	if (!p)
		return false;
	for (p += sizeof(key) - 1; p < end && (*p == ':' || *p == ' '); p++)
		;
	return end - p >= 4 && memcmp(p, "true", 4) == 0;
}

const struct buffer *service_canned(struct service *s, const struct request *r, const char *data)
{
	if (s->style.mode != MOCK_MAX || s->faulty || r->fault.len || !r->keep_alive)
		return NULL;
	const struct route *route = find_route(r, data);
	int i = CANNED_OTHER;
	if (route && allows(route, r, data)) {
		if (route->canned < 0 || !authorized(s, r, data))
			return NULL;
		i = wants_stream(data + r->body.at, r->body.len) ? route->canned_stream
		                                                 : route->canned;
	} else if (request_is(data, r->method, "HEAD")) {
		return NULL;
	}
	s->stats.requests++;
	s->stats.responses++;
	return &s->canned[i];
}

/* Run an answer to its end into out. */
static bool can(struct service *s, struct answer *a, bool chat, const char *json,
                struct buffer *out)
{
	struct answer_terms terms = { .fault = MOCK_FAULT_COUNT,
		                      .keep_alive = true,
		                      .created = clock_realtime() / NS_PER_S };
	const char *reason;
	struct buffer part;
	buffer_init(&part, CANNED_LIMIT);
	bool ok = ask_read(&a->completion.ask, chat, json, strlen(json), &reason) == STATUS_OK;
	enum answer_step step = ANSWER_CLOSE;
	if (ok)
		answer_start(a, &s->style, &terms);
	while (ok && (step = answer_step(a, &part, 0)) == ANSWER_MORE) {
		ok = !buffer_append(out, part.data, part.len);
		buffer_clear(&part);
	}
	buffer_free(&part);
	return ok && step == ANSWER_END;
}

static int fill_cans(struct service *s)
{
#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"
#define STREAM   ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"
	struct answer a;
	answer_init(&a, CANNED_LIMIT / 4);
	bool ok = can(s, &a, true, "{" MESSAGES "}", &s->canned[CANNED_CHAT]) &&
	          can(s, &a, true, "{" MESSAGES STREAM "}", &s->canned[CANNED_CHAT_STREAM]) &&
	          can(s, &a, false, "{\"prompt\":\"hello\"}", &s->canned[CANNED_TEXT]) &&
	          can(s, &a, false, "{\"prompt\":\"hello\"" STREAM "}",
	              &s->canned[CANNED_TEXT_STREAM]) &&
	          reply_head(&s->canned[CANNED_OTHER], 200, REPLY_JSON, 2, true) &&
	          !buffer_append_str(&s->canned[CANNED_OTHER], "{}");
	answer_free(&a);
	return ok ? STATUS_OK : STATUS_ENOMEM;
#undef MESSAGES
#undef STREAM
}

/* ---- life ---- */

static int check_config(const struct mock_config *c, struct error *e)
{
	if ((unsigned)c->mode > MOCK_TIMED)
		return error_set(e, STATUS_EINVAL, "mode: echo, max or timed was expected");
	if (!draw_valid(&c->ttft) || !draw_valid(&c->tpot) || !draw_valid(&c->tokens))
		return error_set(e, STATUS_EINVAL,
		                 "ttft, tpot, tokens: parameters must be finite, not negative, "
		                 "and a range in order");
	if (c->token_bytes > MAX_TOKEN_BYTES)
		return error_set(e, STATUS_EINVAL, "token_bytes: must be at most %d",
		                 MAX_TOKEN_BYTES);
	if (c->fault_status && (c->fault_status < 400 || c->fault_status > 599))
		return error_set(e, STATUS_EINVAL, "fault_status: must be within 400..599");
	double sum = 0;
	for (int i = 0; i < MOCK_FAULT_COUNT; i++) {
		if (!(c->fault[i] >= 0))
			return error_set(e, STATUS_EINVAL, "fault %s: must be within 0..1",
			                 mock_fault_name((enum mock_fault)i));
		sum += c->fault[i];
	}
	if (sum > 1 + 1e-9)
		return error_set(e, STATUS_EINVAL,
		                 "fault: the probabilities add up to more than 1");
	return STATUS_OK;
}

int service_init(struct service *s, const struct mock_config *c, struct error *e)
{
	*s = (struct service){
		.style = {
			.mode = c->mode,
			.ttft = c->ttft,
			.tpot = c->tpot,
			.tokens = c->tokens,
			.token_bytes = c->token_bytes ? c->token_bytes : DEFAULT_TOKEN_BYTES,
			.cached_tokens = c->cached_tokens,
			.seed = c->seed,
		},
		.max_body = c->max_body ? c->max_body : DEFAULT_BODY,
		.max_running = c->max_connections ? c->max_connections : MOCK_CONNECTIONS,
		.fault_status = c->fault_status ? c->fault_status : 500,
	};
	for (int i = 0; i < CANNED_COUNT; i++)
		buffer_init(&s->canned[i], CANNED_LIMIT);
	int err = check_config(c, e);
	if (err)
		return err;
	for (int i = 0; i < MOCK_FAULT_COUNT; i++) {
		s->fault[i] = c->fault[i];
		s->faulty = s->faulty || c->fault[i] > 0;
	}
	if (c->api_key && !(s->api_key = strdup(c->api_key)))
		return error_set(e, STATUS_ENOMEM, "out of memory");
	if (c->mode == MOCK_MAX && fill_cans(s))
		return error_set(e, STATUS_ENOMEM, "out of memory for the precomputed answers");
	return STATUS_OK;
}

void service_free(struct service *s)
{
	for (int i = 0; i < CANNED_COUNT; i++)
		buffer_free(&s->canned[i]);
	free(s->api_key);
	s->api_key = NULL;
	ledger_close(s->ledger, NULL);
	s->ledger = NULL;
}
