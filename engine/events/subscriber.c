#include "events/subscriber.h"

#include "events/msgpack.h"
#include "events/seq_window.h"
#include "events/zsocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define BATCH_TOPIC  "batch" /* of the mlcommons framing */
#define CHUNK_ROOM   16384   /* gaps kept of one record */
#define TOPICS_MAX   256     /* whose frame numbers are followed */
#define RECONNECT_MS 20

struct topic_state {
	char topic[EVENT_TOPIC_SIZE];
	uint64_t next_frame;
};

struct subscriber {
	void (*fn)(void *ctx, const struct event *e);
	void *ctx;

	void *context, *socket;
	struct zsocket_watch *watch;
	bool in_parts; /* a message in several parts has begun */

	char **prefixes; /* NULL-terminated; NULL: everything */
	struct subscriber_stats stats;
	struct seq_window seen;
	uint64_t left_out;                   /* the most that a record told */
	uint64_t old_missing, old_duplicate; /* of sessions before this one */
	unsigned topic_count;
	struct topic_state topics[TOPICS_MAX];
	uint32_t chunk_space[CHUNK_ROOM];
};

/* ---- losses ---- */

static uint64_t session_missing(const struct subscriber *s)
{
	uint64_t holes = seq_window_missing(&s->seen);
	return holes > s->left_out ? holes - s->left_out : 0;
}

static void new_session(struct subscriber *s)
{
	s->old_missing += session_missing(s);
	s->old_duplicate += s->seen.duplicate;
	s->left_out = 0;
	seq_window_init(&s->seen);
}

static void account_record(struct subscriber *s, const struct event *e)
{
	s->stats.records++;
	if (s->prefixes)
		return;
	if (e->type == EVENT_SESSION_STARTED && e->seq == 0 && s->seen.next > 0)
		new_session(s);
	if (e->left_out > s->left_out)
		s->left_out = e->left_out;
	seq_window_add(&s->seen, e->seq);
}

/* Linear: there are a few dozen topics, and a frame carries many records. */
static struct topic_state *topic_state(struct subscriber *s, const char *topic)
{
	for (unsigned i = 0; i < s->topic_count; i++)
		if (memcmp(s->topics[i].topic, topic, EVENT_TOPIC_SIZE) == 0)
			return &s->topics[i];
	if (s->topic_count == TOPICS_MAX)
		return NULL;
	struct topic_state *t = &s->topics[s->topic_count++];
	memcpy(t->topic, topic, EVENT_TOPIC_SIZE);
	t->next_frame = 0;
	return t;
}

/* A number below the expected one is the first frame of another publisher. */
static void account_frame(struct subscriber *s, const char *topic, uint64_t number)
{
	struct topic_state *t = topic_state(s, topic);
	if (!t)
		return;
	if (number > t->next_frame)
		s->stats.lost_frames += number - t->next_frame;
	t->next_frame = number + 1;
}

/* ---- frames ---- */

/* The mlcommons framing brings every type in one topic: filter here too. */
static bool is_wanted(const struct subscriber *s, const struct event *e)
{
	char topic[EVENT_TOPIC_SIZE];
	if (!s->prefixes)
		return true;
	event_topic_bytes(e, topic);
	for (char **prefix = s->prefixes; *prefix; prefix++)
		if (strncmp(topic, *prefix, strlen(*prefix)) == 0)
			return true;
	return false;
}

static void take_record(struct subscriber *s, const char *data, size_t len)
{
	struct event e;
	if (event_decode(&e, data, len, s->chunk_space, CHUNK_ROOM)) {
		s->stats.corrupt++;
		return;
	}
	account_record(s, &e);
	if (is_wanted(s, &e))
		s->fn(s->ctx, &e);
}

/* The values after the frame number: bins, one record each. */
static int take_records(struct subscriber *s, struct msgpack *m, uint32_t count)
{
	struct msgpack_value v;
	for (uint32_t i = 0; i < count; i++) {
		if (msgpack_next(m, &v) || v.type != MSGPACK_BIN)
			return STATUS_EPROTO;
		take_record(s, v.data, v.count);
	}
	return m->at == m->end ? STATUS_OK : STATUS_EPROTO;
}

static int take_array(struct subscriber *s, const char *topic, struct msgpack *m, uint32_t count)
{
	struct msgpack_value number;
	if (strncmp(topic, BATCH_TOPIC, EVENT_TOPIC_SIZE) == 0)
		return take_records(s, m, count);
	if (!count || msgpack_next(m, &number) || number.type != MSGPACK_UINT)
		return STATUS_EPROTO;
	account_frame(s, topic, number.u);
	return take_records(s, m, count - 1);
}

static void take_frame(struct subscriber *s, const char *data, size_t size)
{
	struct msgpack m;
	struct msgpack_value head;
	s->stats.frames++;
	if (size <= EVENT_TOPIC_SIZE) {
		s->stats.corrupt++;
		return;
	}
	const char *payload = data + EVENT_TOPIC_SIZE;
	msgpack_init(&m, payload, size - EVENT_TOPIC_SIZE);
	if (msgpack_next(&m, &head))
		s->stats.corrupt++;
	else if (head.type == MSGPACK_MAP)
		take_record(s, payload, size - EVENT_TOPIC_SIZE);
	else if (head.type != MSGPACK_ARRAY || take_array(s, data, &m, head.count))
		s->stats.corrupt++;
}

/* ---- the socket ---- */

/* A part of a message in several parts is no frame of ours. */
static void take_message(struct subscriber *s, zmq_msg_t *msg)
{
	bool part = s->in_parts || zmq_msg_more(msg);
	s->in_parts = zmq_msg_more(msg);
	if (!part) {
		take_frame(s, zmq_msg_data(msg), zmq_msg_size(msg));
	} else if (!s->in_parts) {
		s->stats.frames++;
		s->stats.corrupt++;
	}
}

static bool take(void *ctx)
{
	struct subscriber *s = ctx;
	zmq_msg_t msg;
	zmq_msg_init(&msg);
	int rc = zmq_msg_recv(&msg, s->socket, ZMQ_DONTWAIT);
	bool again = rc >= 0 || errno == EINTR;
	if (rc >= 0)
		take_message(s, &msg);
	zmq_msg_close(&msg);
	return again;
}

/* ---- life ---- */

static int copy_prefixes(struct subscriber *s, const char *const *topics)
{
	size_t n = 0;
	for (; topics && topics[n]; n++)
		if (!*topics[n])
			return STATUS_OK; /* the empty prefix: everything */
	if (!n)
		return STATUS_OK;
	s->prefixes = calloc(n + 1, sizeof(*s->prefixes));
	for (size_t i = 0; s->prefixes && i < n; i++)
		if (!(s->prefixes[i] = strdup(topics[i])))
			return STATUS_ENOMEM;
	return s->prefixes ? STATUS_OK : STATUS_ENOMEM;
}

/* ZeroMQ filters by prefix as well, but cannot look into a batch. */
static int subscribe(struct subscriber *s)
{
	if (!s->prefixes)
		return zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, "", 0);
	for (char **prefix = s->prefixes; *prefix; prefix++)
		if (zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, *prefix, strlen(*prefix)))
			return -1;
	/* With its NUL, so that a topic that begins alike does not come. */
	return zmq_setsockopt(s->socket, ZMQ_SUBSCRIBE, BATCH_TOPIC, sizeof(BATCH_TOPIC));
}

static int connect_socket(struct subscriber *s, const char *address, struct error *e)
{
	int linger = 0, reconnect = RECONNECT_MS;
	s->context = zmq_ctx_new();
	s->socket = s->context ? zmq_socket(s->context, ZMQ_SUB) : NULL;
	if (!s->socket || zmq_setsockopt(s->socket, ZMQ_LINGER, &linger, sizeof(linger)) ||
	    zmq_setsockopt(s->socket, ZMQ_RECONNECT_IVL, &reconnect, sizeof(reconnect)) ||
	    subscribe(s) || zmq_connect(s->socket, address))
		return zsocket_failure(address, e);
	return STATUS_OK;
}

int subscriber_open(struct subscriber **out, struct loop *loop, const char *address,
                    const char *const *topics, void (*fn)(void *ctx, const struct event *e),
                    void *ctx, struct error *e)
{
	if (!address || !*address)
		return error_set(e, STATUS_EINVAL, "an address to connect to is missing");
	struct subscriber *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	s->fn = fn;
	s->ctx = ctx;
	int err = copy_prefixes(s, topics);
	if (err)
		error_set(e, err, "out of memory");
	if (!err)
		err = connect_socket(s, address, e);
	if (!err)
		err = zsocket_watch_open(&s->watch, loop, s->socket, take, s, e);
	if (err) {
		subscriber_close(s);
		return err;
	}
	*out = s;
	return STATUS_OK;
}

void subscriber_stats(const struct subscriber *s, struct subscriber_stats *out)
{
	*out = s->stats;
	out->missing = s->old_missing + session_missing(s);
	out->duplicate = s->old_duplicate + s->seen.duplicate;
}

void subscriber_close(struct subscriber *s)
{
	if (!s)
		return;
	zsocket_watch_close(s->watch);
	zsocket_close(s->context, s->socket);
	for (char **prefix = s->prefixes; prefix && *prefix; prefix++)
		free(*prefix);
	free(s->prefixes);
	free(s);
}
