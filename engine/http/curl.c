/* curl.c - the transport over libcurl's multi socket interface.
 *
 * Exchanges are spread over shards, each a multi handle of its own, because
 * libcurl looks for a free connection by walking all those to a host.
 *
 * What makes it cheaper than the usual pairing of curl and libuv:
 *  - A uv_poll handle lives as long as its socket. libcurl takes its interest
 *    away and back with each request; only a changed mask reaches libuv, so a
 *    request on a kept connection costs no epoll_ctl.
 *  - Easy handles are configured once; a request sets what differs from the
 *    last one of the handle.
 *  - curl's timer is moved only to an earlier time; one that fires too early
 *    looks again.
 *
 * Life of a slot (an easy handle): free -> waiting (started) -> attached to a
 * shard -> ended (its message was collected) -> free. Nothing is attached or
 * detached but in send(), sweep() and abort(), which never run inside a callback of curl. */
#include "base/clock.h"
#include "base/limits.h"
#include "http/address.h"
#include "http/http1.h"
#include "http/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define SHARD_EXCHANGES 256
#define MAX_CONNECTIONS 65536L /* idle ones kept per shard: all of them */
#define RECEIVE_BUFFER  8192L  /* per exchange in flight, so less than curl's 16 KiB */

struct curl_client;

struct shard {
	struct curl_client *owner;
	CURLM *multi;
	struct loop_timer timer;
	uint64_t due_ns; /* when curl wants to be called; 0: not */
	bool kick;       /* it wants to be called in this turn */
	bool dirty;      /* in the owner's list of shards to kick */
	unsigned attached;
	struct shard *next_dirty;
};

/* What a handle was told last, so that only changes are set. */
enum shape {
	SHAPE_NONE,
	SHAPE_BODY,  /* POST, or a custom method with a body */
	SHAPE_EMPTY, /* GET, or a custom method without a body */
	SHAPE_HEAD,
};

enum slot_state {
	SLOT_FREE,
	SLOT_WAITING,  /* in the owner's waiting list */
	SLOT_ATTACHED, /* curl works on it */
	SLOT_ENDED,    /* in the owner's ended list, still attached */
};

struct slot {
	CURL *easy;
	struct curl_client *owner;
	struct shard *shard; /* while attached */
	struct exchange *x;  /* NULL: aborted, only to be recycled */
	struct slot *next;   /* in the one list its state names */
	struct slot *next_all;
	enum slot_state state;

	enum shape shape;
	char *method;                  /* custom method that is set; NULL: none */
	CURLU *url;                    /* one of the client's own that is set; NULL: another */
	const struct curl_slist *list; /* header list that is set */
	struct curl_slist *own_list;   /* of this exchange; NULL: the client's */

	uint64_t submitted_ns;
	uint64_t ended_ns;
	size_t head_bytes;
	bool in_head; /* its status line has come; those of 1xx are others */
	bool head_done;
	enum failure refused; /* why a callback of ours stopped the transfer */
	const char *reason;   /* of that in words; NULL: the response says better */
	int socket_errno;     /* of a socket that we could not make */
	CURLcode result;
	char source[72]; /* curl's word for the local address of its connections; "": any */
	char error[CURL_ERROR_SIZE];
};

struct slot_list {
	struct slot *first, *last;
};

/* A socket that libuv watches. Freed in the close callback. */
struct watch {
	uv_poll_t poll;
	struct curl_client *owner;
	struct shard *shard; /* whose multi handle last asked for it */
	int fd;
	int wanted;   /* UV_READABLE | UV_WRITABLE by curl's word */
	int armed;    /* what libuv was told */
	bool foreign; /* not opened by us (the resolver's): goes when curl says so */
	bool closing;
};

struct curl_client {
	struct client base; /* first: client and transport are one object */
	struct shard **shards;
	size_t shard_count, shard_cap;
	struct shard *dirty;
	struct slot *all;
	struct slot *free;
	struct slot_list waiting;
	struct slot_list ended;
	struct watch **watches; /* by descriptor */
	size_t watch_cap;
	uint64_t connections;
	size_t next_source;
	CURLU **urls;                  /* the client's own, parsed once */
	struct curl_slist *body_list;  /* headers of a request with a body */
	struct curl_slist *empty_list; /* and of one without */
};

static void slot_push(struct slot_list *l, struct slot *s)
{
	s->next = NULL;
	*(l->last ? &l->last->next : &l->first) = s;
	l->last = s;
}

static struct slot *slot_pop(struct slot_list *l)
{
	struct slot *s = l->first;
	if (s) {
		l->first = s->next;
		if (!l->first)
			l->last = NULL;
	}
	return s;
}

/* ---- sockets ---- */

static struct watch *watch_at(const struct curl_client *c, int fd)
{
	return (size_t)fd < c->watch_cap ? c->watches[fd] : NULL;
}

static void on_watch_closed(uv_handle_t *h)
{
	free(h->data);
}

/* Before the descriptor is closed. */
static void watch_close(struct watch *w)
{
	w->owner->watches[w->fd] = NULL;
	w->closing = true;
	uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static bool watch_room(struct curl_client *c, int fd)
{
	if ((size_t)fd < c->watch_cap)
		return true;
	size_t cap = c->watch_cap ? c->watch_cap : 64;
	while (cap <= (size_t)fd)
		cap *= 2;
	struct watch **watches = realloc(c->watches, cap * sizeof(*watches));
	if (!watches)
		return false;
	memset(watches + c->watch_cap, 0, (cap - c->watch_cap) * sizeof(*watches));
	c->watches = watches;
	c->watch_cap = cap;
	return true;
}

static struct watch *watch_open(struct curl_client *c, int fd, bool foreign)
{
	struct watch *old = watch_at(c, fd);
	if (old) /* its descriptor was closed behind our back */
		watch_close(old);
	struct watch *w = watch_room(c, fd) ? calloc(1, sizeof(*w)) : NULL;
	if (!w)
		return NULL;
	if (uv_poll_init(loop_uv(c->base.loop), &w->poll, fd)) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->owner = c;
	w->fd = fd;
	w->foreign = foreign;
	c->watches[fd] = w;
	return w;
}

static void on_poll(uv_poll_t *h, int status, int events);

/* Interest that is gone stays armed: an idle connection rarely speaks, and when
 * it does on_poll() disarms it. */
static void watch_arm(struct watch *w)
{
	if (w->closing || !w->wanted || w->wanted == w->armed)
		return;
	/* Fails for closing handles only. */
	if (uv_poll_start(&w->poll, w->wanted, on_poll) == 0)
		w->armed = w->wanted;
}

static void collect(struct shard *s);

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct watch *w = h->data;
	struct shard *s = w->shard;
	if (status < 0) { /* the socket has an error: libuv has stopped the handle */
		w->armed = 0;
		events = w->wanted;
	} else if (!(events & w->wanted)) {
		uv_poll_stop(&w->poll);
		w->armed = 0;
		watch_arm(w);
		return;
	}
	if (!events)
		return;
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
	            (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
	            (status < 0 ? CURL_CSELECT_ERR : 0);
	int running;
	loop_refresh(w->owner->base.loop);
	curl_multi_socket_action(s->multi, w->fd, flags, &running);
	collect(s);
	watch_arm(w); /* freed in its close callback at the earliest: still there */
	loop_yield(w->owner->base.loop);
}

/* Did its connection come about? curl closes the socket of one that did not without
 * on_close_socket(), and libuv ends the process when it is to watch what is closed. */
static bool was_connected(CURL *easy)
{
	curl_off_t us = 0;
	curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &us);
	return us > 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *unused)
{
	struct shard *s = data;
	struct watch *w = watch_at(s->owner, fd);
	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			w->wanted = 0;
		if (w && (w->foreign || !was_connected(easy)))
			watch_close(w);
		return 0;
	}
	if (!w)
		w = watch_open(s->owner, fd, true);
	if (!w) /* the resolver is polled by curl's timer as well */
		return 0;
	w->shard = s;
	w->wanted =
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	watch_arm(w);
	return 0;
}

static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct slot *s = data;
	(void)purpose;
#ifdef SOCK_CLOEXEC
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
#else
	int fd = socket(a->family, a->socktype, a->protocol);
#endif
	if (fd < 0) {
		s->socket_errno = errno;
		return CURL_SOCKET_BAD;
	}
	if (!watch_open(s->owner, fd, false)) {
		s->socket_errno = ENOMEM;
		close(fd);
		return CURL_SOCKET_BAD;
	}
	return fd;
}

static int on_close_socket(void *data, curl_socket_t fd)
{
	struct watch *w = watch_at(data, fd);
	if (w)
		watch_close(w);
	return close(fd);
}

/* ---- curl's timer ---- */

static void kick(struct shard *s)
{
	s->kick = true;
	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = s->owner->dirty;
	s->owner->dirty = s;
}

/* Never acts: curl may be in the middle of something. */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *data)
{
	struct shard *s = data;
	struct loop *loop = s->owner->base.loop;
	(void)multi;
	s->kick = false;
	s->due_ns = 0;
	if (timeout_ms == 0) {
		kick(s);
	} else if (timeout_ms > 0) {
		s->due_ns = loop_now(loop) + (uint64_t)timeout_ms * NS_PER_MS;
		if (!s->timer.slot || s->timer.due_ns > s->due_ns)
			return loop_timer_start(loop, &s->timer, s->due_ns) ? -1 : 0;
	}
	return 0;
}

static void on_timer(struct loop_timer *t, uint64_t now_ns)
{
	struct shard *s = t->data;
	if (!s->due_ns)
		return;
	if (s->due_ns > now_ns && loop_timer_start(s->owner->base.loop, t, s->due_ns) == 0)
		return;
	s->due_ns = 0;
	kick(s); /* send() comes next */
}

/* ---- what comes in ---- */

static size_t refuse(struct slot *s, enum failure why, const char *reason)
{
	s->refused = why;
	s->reason = reason;
	return 0;
}

/* libcurl takes for a success what only begins like a status line. */
static const char *line_problem(struct slot *s, const char *data, size_t len)
{
	int status, version;
	if (s->in_head)
		return NULL;
	s->in_head = true;
	while (len && (data[len - 1] == '\n' || data[len - 1] == '\r'))
		len--;
	return http1_status_line(data, len, &status, &version);
}

/* The bytes taken; fewer than len end the transfer. */
static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
	struct slot *s = arg;
	struct response *r = &s->x->response;
	(void)one;
	if (s->head_done) /* trailers */
		return len;
	/* An answer may come while its own request is being sent: the turn's time
	 * would be older than that. */
	uint64_t now = loop_now(s->owner->base.loop);
	if (!r->first_byte_ns)
		now = r->first_byte_ns = loop_refresh(s->owner->base.loop);
	s->head_bytes += len;
	if (s->head_bytes > HTTP1_HEAD_BYTES)
		return refuse(s, FAILURE_TOO_LARGE, "the head is too large");
	const char *problem = line_problem(s, data, len);
	if (problem)
		return refuse(s, FAILURE_BAD_HTTP, problem);
	if (data[0] != '\r' && data[0] != '\n')
		return len;
	long status = 0;
	char *type = NULL;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
	s->in_head = false;
	if (status == 101)
		return refuse(s, FAILURE_BAD_HTTP, HTTP1_SWITCH);
	if (status / 100 == 1)
		return len;
	s->head_done = true;
	response_head(r, (int)status, type, now);
	return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct slot *s = arg;
	struct exchange *x = s->x;
	(void)one;
	/* The turn's time may be older than these bytes: a client that was held up after it
	 * would tell that they came before they were sent. */
	uint64_t now = loop_refresh(s->owner->base.loop);
	if (x->verdict || response_bytes(&x->response, data, len, now))
		return refuse(s, FAILURE_CLIENT, NULL);
	return len;
}

/* ---- slots ---- */

static void slot_free(struct slot *s)
{
	if (s->easy)
		curl_easy_cleanup(s->easy);
	curl_slist_free_all(s->own_list);
	free(s->method);
	free(s);
}

static int set_once(struct slot *s, const struct client *c)
{
	CURL *e = s->easy;
	int bad = 0;
#define SET(option, value) (bad |= curl_easy_setopt(e, CURLOPT_##option, value) != CURLE_OK)
	SET(PRIVATE, s);
	SET(ERRORBUFFER, s->error);
	SET(WRITEFUNCTION, on_body);
	SET(WRITEDATA, s);
	SET(HEADERFUNCTION, on_header);
	SET(HEADERDATA, s);
	SET(OPENSOCKETFUNCTION, on_open_socket);
	SET(OPENSOCKETDATA, s);
	SET(CLOSESOCKETFUNCTION, on_close_socket);
	SET(CLOSESOCKETDATA, s->owner);
	SET(NOSIGNAL, 1L);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(HTTP09_ALLOWED, 0L);
	SET(TCP_NODELAY, 1L);
	SET(PROXY, "");    /* a measurement is not proxied by an environment, */
	SET(NOPROXY, "*"); /* which need not be asked about exceptions either */
	SET(CONNECTTIMEOUT_MS, (long)((c->connect_timeout_ns + NS_PER_MS - 1) / NS_PER_MS));
	SET(DNS_CACHE_TIMEOUT, -1L);
	SET(BUFFERSIZE, RECEIVE_BUFFER);
	if (c->insecure) {
		SET(SSL_VERIFYPEER, 0L);
		SET(SSL_VERIFYHOST, 0L);
	}
	if (c->ca_file)
		SET(CAINFO, c->ca_file);
	if (c->unix_socket)
		SET(UNIX_SOCKET_PATH, c->unix_socket);
	if (s->source[0])
		SET(INTERFACE, s->source);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(PROTOCOLS_STR, "http,https");
#else
	SET(PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	return bad ? STATUS_ENOMEM : STATUS_OK;
}

static struct slot *slot_get(struct curl_client *c)
{
	struct slot *s = c->free;
	if (s) {
		c->free = s->next;
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->owner = c;
	if (c->base.source_count)
		snprintf(s->source, sizeof(s->source), "host!%s",
		         c->base.sources[c->next_source++ % c->base.source_count]);
	s->easy = curl_easy_init();
	if (!s->easy || set_once(s, &c->base)) {
		slot_free(s);
		return NULL;
	}
	s->next_all = c->all;
	c->all = s;
	return s;
}

static void slot_put(struct slot *s)
{
	if (s->own_list) {
		curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, NULL);
		curl_slist_free_all(s->own_list);
		s->own_list = NULL;
		s->list = NULL;
	}
	s->x = NULL;
	s->state = SLOT_FREE;
	s->next = s->owner->free;
	s->owner->free = s;
}

/* ---- one request ---- */

static int add_header(void *arg, const char *header)
{
	struct curl_slist **list = arg;
	struct curl_slist *longer = curl_slist_append(*list, header);
	if (!longer)
		return STATUS_ENOMEM;
	*list = longer;
	return STATUS_OK;
}

/* *out := the headers of x, then what silences curl's own (the first of a name counts). */
static int make_list(const struct client *c, const struct exchange *x, struct curl_slist **out)
{
	struct curl_slist *list = NULL;
	int err = client_each_header(c, x, add_header, &list);
	if (!err)
		err = add_header(&list, "Expect:");
	if (!err && x && !x->body)
		err = add_header(&list, "Content-Type:");
	if (err) {
		curl_slist_free_all(list);
		return err;
	}
	*out = list;
	return STATUS_OK;
}

static int set_headers(struct slot *s, const struct exchange *x)
{
	struct curl_client *c = s->owner;
	const struct curl_slist *list = x->body ? c->body_list : c->empty_list;
	if (x->header_count) {
		int err = make_list(&c->base, x, &s->own_list);
		if (err)
			return err;
		list = s->own_list;
	}
	if (list == s->list)
		return STATUS_OK;
	s->list = list;
	return curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, list) ? STATUS_ENOMEM : STATUS_OK;
}

static int set_url(struct slot *s, const struct exchange *x)
{
	const struct client *c = &s->owner->base;
	size_t i = x->endpoint % c->url_count;
	if (!x->path) {
		CURLU *own = s->owner->urls[i];
		if (s->url == own)
			return STATUS_OK;
		s->url = own;
		return curl_easy_setopt(s->easy, CURLOPT_CURLU, own) ? STATUS_ENOMEM : STATUS_OK;
	}
	char *url;
	if (asprintf(&url, "%s%s", c->bases[i], x->path) < 0)
		return STATUS_ENOMEM;
	s->url = NULL;
	CURLcode rc = curl_easy_setopt(s->easy, CURLOPT_CURLU, NULL);
	if (!rc)
		rc = curl_easy_setopt(s->easy, CURLOPT_URL, url); /* copies */
	free(url);
	return rc ? STATUS_ENOMEM : STATUS_OK;
}

static bool same_method(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* curl knows three shapes of a request, each of which undoes the others; a name
 * set beside it changes only the request line. */
static int set_method(struct slot *s, const char *method, bool body)
{
	bool head = strcmp(method, "HEAD") == 0;
	bool post = strcmp(method, "POST") == 0;
	enum shape shape = head ? SHAPE_HEAD : body || post ? SHAPE_BODY : SHAPE_EMPTY;
	const char *usual = head ? "HEAD" : shape == SHAPE_BODY ? "POST" : "GET";
	const char *custom = strcmp(method, usual) == 0 ? NULL : method;
	int bad = 0;
	CURL *e = s->easy;
	if (shape != s->shape) {
		if (head)
			SET(NOBODY, 1L);
		else if (shape == SHAPE_BODY)
			SET(POST, 1L);
		else
			SET(HTTPGET, 1L);
		s->shape = shape;
	}
	if (!same_method(custom, s->method)) {
		free(s->method);
		s->method = custom ? strdup(custom) : NULL;
		bad |= custom && !s->method;
		SET(CUSTOMREQUEST, s->method);
	}
	return bad ? STATUS_ENOMEM : STATUS_OK;
}

static int set_request(struct slot *s, const struct exchange *x)
{
	CURL *e = s->easy;
	int bad = 0;
	int err = set_url(s, x);
	if (!err)
		err = set_method(s, client_method(&s->owner->base, x), x->body != NULL);
	if (!err)
		err = set_headers(s, x);
	if (err || s->shape != SHAPE_BODY)
		return err;
	SET(POSTFIELDSIZE_LARGE, (curl_off_t)(x->body ? x->body_len : 0));
	SET(POSTFIELDS, x->body ? x->body : "");
	return bad ? STATUS_ENOMEM : STATUS_OK;
}

static int curl_start(struct client *base, struct exchange *x)
{
	struct curl_client *c = (struct curl_client *)base;
	struct slot *s = slot_get(c);
	if (!s)
		return STATUS_ENOMEM;
	int err = set_request(s, x);
	if (err) {
		s->shape = SHAPE_NONE;
		s->url = NULL;
		slot_put(s);
		return err;
	}
	s->x = x;
	s->submitted_ns = loop_now(base->loop);
	s->head_bytes = 0;
	s->in_head = s->head_done = false;
	s->refused = FAILURE_NONE;
	s->reason = NULL;
	s->socket_errno = 0;
	s->error[0] = '\0';
	s->state = SLOT_WAITING;
	slot_push(&c->waiting, s); /* inside a callback curl takes no new handle: send() does */
	x->transport = s;
	return STATUS_OK;
}

/* ---- shards ---- */

static void shard_free(struct shard *s)
{
	if (!s)
		return;
	if (s->multi)
		curl_multi_cleanup(s->multi);
	loop_timer_stop(s->owner->base.loop, &s->timer);
	free(s);
}

static struct shard *shard_new(struct curl_client *c)
{
	struct shard *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->owner = c;
	s->timer = (struct loop_timer){ .fn = on_timer, .data = s };
	s->multi = curl_multi_init();
	if (!s->multi || curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket) ||
	    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s) ||
	    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) ||
	    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s) ||
	    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, MAX_CONNECTIONS) ||
	    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING)) {
		shard_free(s);
		return NULL;
	}
	return s;
}

/* The first one with room, so that connections are used again where they are. */
static struct shard *shard_pick(struct curl_client *c)
{
	for (size_t i = 0; i < c->shard_count; i++)
		if (c->shards[i]->attached < SHARD_EXCHANGES)
			return c->shards[i];
	if (c->shard_count == c->shard_cap) {
		size_t cap = c->shard_cap ? c->shard_cap * 2 : 8;
		struct shard **shards = realloc(c->shards, cap * sizeof(*shards));
		if (!shards)
			return NULL;
		c->shards = shards;
		c->shard_cap = cap;
	}
	struct shard *s = shard_new(c);
	if (s)
		c->shards[c->shard_count++] = s;
	return s;
}

static void end_with(struct slot *s, CURLcode result)
{
	s->result = result;
	s->ended_ns = loop_now(s->owner->base.loop);
	s->state = SLOT_ENDED;
	slot_push(&s->owner->ended, s);
}

static void attach(struct slot *s)
{
	struct shard *sh = shard_pick(s->owner);
	if (!sh || curl_multi_add_handle(sh->multi, s->easy)) {
		end_with(s, CURLE_OUT_OF_MEMORY);
		return;
	}
	sh->attached++;
	s->shard = sh;
	s->state = SLOT_ATTACHED;
}

static void detach(struct slot *s)
{
	if (!s->shard)
		return;
	curl_multi_remove_handle(s->shard->multi, s->easy);
	s->shard->attached--;
	s->shard = NULL;
}

/* Take over what ended, with its time: the message dies with the next call. */
static void collect(struct shard *sh)
{
	struct CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(sh->multi, &left))) {
		struct slot *s = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
		end_with(s, m->data.result);
	}
}

/* ---- how it ended ---- */

static int os_errno(const struct slot *s)
{
	long err = 0;
	curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &err);
	return s->socket_errno ? s->socket_errno : (int)err;
}

static enum failure classify(const struct slot *s)
{
	if (s->refused)
		return s->refused;
	switch (s->result) {
	case CURLE_OK: /* also of a connection that ended within the head */
		return s->head_done ? FAILURE_NONE : FAILURE_RESET;
	case CURLE_COULDNT_RESOLVE_HOST:
		return FAILURE_DNS;
	case CURLE_COULDNT_CONNECT:
		return address_failure(os_errno(s));
	case CURLE_OPERATION_TIMEDOUT: /* the only time limit that curl is given */
		return FAILURE_CONNECT_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return FAILURE_TLS;
	case CURLE_RECV_ERROR: /* curl has no code of its own for bad chunks */
		return strstr(s->error, "chunk") ? FAILURE_BAD_HTTP : FAILURE_RESET;
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return FAILURE_RESET;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, that is: no head at all */
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_BAD_FUNCTION_ARGUMENT: /* a head whose first line is a folded one */
		return FAILURE_BAD_HTTP;
	case CURLE_OUT_OF_MEMORY: /* curl's word for a header line above 100 KB, too */
		return s->x->response.first_byte_ns && !s->head_done ? FAILURE_TOO_LARGE
		                                                     : FAILURE_CLIENT;
	default:
		return FAILURE_CLIENT;
	}
}

/* New connections of the exchange that stood: older versions count attempts, too. */
static unsigned count_opened(const struct slot *s)
{
	curl_off_t us = 0;
	long opened = 0;
	curl_easy_getinfo(s->easy, CURLINFO_CONNECT_TIME_T, &us);
	curl_easy_getinfo(s->easy, CURLINFO_NUM_CONNECTS, &opened);
	return us > 0 && opened > 0 ? (unsigned)opened : 0;
}

/* What curl knows of the exchange: when it was sent, and over which kind of connection. Once
 * for each. */
static void stamp_sent(const struct slot *s)
{
	struct response *r = &s->x->response;
	unsigned opened = count_opened(s);
	curl_off_t us = 0;
	curl_easy_getinfo(s->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
	s->owner->connections += opened;
	r->fresh = opened > 0;
	r->sent_ns = us > 0 ? s->submitted_ns + (uint64_t)us * NS_PER_US : 0;
	if (r->first_byte_ns && r->sent_ns > r->first_byte_ns)
		r->sent_ns = r->first_byte_ns;
}

/* curl names the host and port of the url, which say nothing about a unix socket, nor
 * about a socket that could not be made. */
static void describe(const struct slot *s, char *text, size_t size)
{
	const char *path = s->owner->base.unix_socket;
	int err = os_errno(s);
	if (s->socket_errno) {
		snprintf(text, size, "no socket: %s", strerror(s->socket_errno));
		return;
	}
	if (s->reason)
		snprintf(text, size, "%s", s->reason);
	else if (path && err && s->result == CURLE_COULDNT_CONNECT)
		snprintf(text, size, "%s: %s", path, strerror(err));
	else if (err == EADDRNOTAVAIL)
		snprintf(text, size, "%.128s: %s", s->error, ADDRESS_NO_PORT);
	else if (s->result == CURLE_OK)
		snprintf(text, size, "the connection was closed within the head of the answer");
	else
		snprintf(text, size, "%s", s->error[0] ? s->error : curl_easy_strerror(s->result));
}

/* Recycle the slot first: done may want one at once. */
static void end_slot(struct slot *s)
{
	struct curl_client *c = s->owner;
	struct exchange *x = s->x;
	if (!x) {
		detach(s);
		slot_put(s);
		return;
	}
	char text[CURL_ERROR_SIZE] = "";
	enum failure why = classify(s);
	if (why)
		describe(s, text, sizeof(text));
	uint64_t ended_ns = s->ended_ns;
	stamp_sent(s);
	detach(s);
	slot_put(s);
	client_ended(&c->base, x, why, text, ended_ns);
}

static void curl_abort(struct client *base, struct exchange *x)
{
	struct slot *s = x->transport;
	(void)base;
	if (s->state == SLOT_ATTACHED) {
		stamp_sent(s);
		detach(s);
		slot_put(s);
		return;
	}
	if (s->state == SLOT_ENDED)
		stamp_sent(s);
	s->x = NULL; /* its list recycles it */
}

/* ---- the turn ---- */

static void attach_waiting(struct curl_client *c)
{
	struct slot *s;
	while ((s = slot_pop(&c->waiting))) {
		if (s->x)
			attach(s);
		else
			slot_put(s);
	}
}

/* Each shard at most once: one that wants more is on the new list. */
static void run_dirty(struct curl_client *c)
{
	struct shard *list = c->dirty;
	c->dirty = NULL;
	while (list) {
		struct shard *s = list;
		list = s->next_dirty;
		s->dirty = false;
		if (!s->kick)
			continue;
		s->kick = false;
		loop_refresh(c->base.loop);
		int running;
		curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
		collect(s);
	}
}

/* Those that end by what done does wait for the next turn. */
static void curl_sweep(struct client *base)
{
	struct curl_client *c = (struct curl_client *)base;
	struct slot *last = c->ended.last;
	for (struct slot *s = NULL; s != last;) {
		s = slot_pop(&c->ended);
		end_slot(s);
		loop_yield(base->loop);
	}
}

static void curl_send(struct client *base)
{
	struct curl_client *c = (struct curl_client *)base;
	attach_waiting(c);
	run_dirty(c);
	if (c->dirty || c->ended.first)
		loop_poke(base->loop);
}

/* ---- life ---- */

static uint64_t curl_connections(const struct client *base)
{
	return ((const struct curl_client *)base)->connections;
}

static void curl_destroy(struct client *base)
{
	struct curl_client *c = (struct curl_client *)base;
	/* What is left in the ended list belongs to no exchange. */
	for (struct slot *s = c->all, *next; s; s = next) {
		next = s->next_all;
		if (s->shard)
			detach(s);
		slot_free(s);
	}
	for (size_t i = 0; i < c->shard_count; i++)
		shard_free(c->shards[i]);
	for (size_t fd = 0; fd < c->watch_cap; fd++)
		if (c->watches[fd])
			watch_close(c->watches[fd]);
	for (size_t i = 0; c->urls && i < base->url_count; i++)
		curl_url_cleanup(c->urls[i]);
	free(c->urls);
	curl_slist_free_all(c->body_list);
	curl_slist_free_all(c->empty_list);
	free(c->shards);
	free(c->watches);
	client_fini(base);
	free(c);
	curl_global_cleanup();
}

static const struct client_ops curl_ops = {
	.start = curl_start,
	.abort = curl_abort,
	.sweep = curl_sweep,
	.send = curl_send,
	.connections = curl_connections,
	.free = curl_destroy,
};

static bool has_part(CURLU *u, CURLUPart part)
{
	char *value = NULL;
	bool has = curl_url_get(u, part, &value, 0) == CURLUE_OK;
	curl_free(value);
	return has;
}

static const char *url_problem(CURLU *u, const char *url)
{
	CURLUcode rc = curl_url_set(u, CURLUPART_URL, url, 0);
	if (rc == CURLUE_OUT_OF_MEMORY)
		return "out of memory";
	if (rc || !has_part(u, CURLUPART_HOST))
		return "\"http://host:port\" was expected";
	if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
		return "the scheme must be http or https";
	if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		return "a base url has no query and no fragment";
	return NULL;
}

/* Parsed once: for a text curl would do it with each request, a tenth of all it does. */
static int make_urls(struct curl_client *own, struct error *e)
{
	const struct client *c = &own->base;
	own->urls = calloc(c->url_count, sizeof(CURLU *));
	if (!own->urls)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	for (size_t i = 0; i < c->url_count; i++) {
		CURLU *u = own->urls[i] = curl_url();
		const char *problem = u ? url_problem(u, c->bases[i]) : "out of memory";
		if (!problem && curl_url_set(u, CURLUPART_URL, c->urls[i], 0))
			problem = "its path is malformed";
		if (problem)
			return error_set(e, u ? STATUS_EINVAL : STATUS_ENOMEM, "url \"%s\": %s",
			                 c->bases[i], problem);
	}
	return STATUS_OK;
}

static int make_lists(struct curl_client *c)
{
	struct exchange empty = { 0 };
	int err = make_list(&c->base, NULL, &c->body_list);
	return err ? err : make_list(&c->base, &empty, &c->empty_list);
}

int curl_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                    const struct client_sink *sink, void *ctx, struct error *e)
{
	struct curl_client *c = calloc(1, sizeof(*c));
	if (!c || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(c);
		return error_set(e, STATUS_ENOMEM, "libcurl: out of memory");
	}
	int err = client_init(&c->base, &curl_ops, loop, config, sink, ctx, e);
	if (err) {
		free(c);
		curl_global_cleanup();
		return err;
	}
	struct slot *first = NULL;
	err = make_urls(c, e);
	if (!err && make_lists(c))
		err = error_set(e, STATUS_ENOMEM, "out of memory");
	if (!err && !(first = slot_get(c)))
		err = error_set(e, STATUS_EIO, "libcurl refuses an option that is needed");
	if (err) {
		curl_destroy(&c->base);
		return err;
	}
	slot_put(first);
	limits_raise_descriptors();
	client_open(&c->base);
	*out = &c->base;
	return STATUS_OK;
}
