#include "metrics/recorder.h"

#include "base/buffer.h"
#include "base/decimal.h"
#include "base/file.h"
#include "base/json.h"
#include "metrics/fold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So much is gathered: a write takes 1.5 us for each KiB, and arrivals wait meanwhile. */
#define WRITE_SIZE ((size_t)1 << 14)
#define KEEP_SIZE  ((size_t)1 << 19)   /* a large text is not to hold its memory for ever */
#define ROOM_LIMIT ((size_t)256 << 20) /* a recorded text is bounded by the client long before */

/* A line's numbers, keys, id and phase together; its texts make room for themselves. */
#define NUMBERS_ROOM 2048

struct recorder {
	int fd;
	char *path;
	struct buffer lines; /* whole ones, on their way into the file */
	uint64_t count;      /* of them */
	struct decimal_near near;
	char *phase;         /* of the latest one */
	struct buffer named; /* key and name of that phase as a line has them */
	uint64_t lost;
	int failure; /* errno of the first write that failed; 0: none */
};

static void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	buffer_free(&r->lines);
	buffer_free(&r->named);
	free(r->phase);
	free(r->path);
	free(r);
}

int recorder_open(struct recorder **out, const char *path, struct error *e)
{
	struct recorder *r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	buffer_init(&r->lines, ROOM_LIMIT);
	buffer_init(&r->named, NUMBERS_ROOM);
	r->fd = -1;
	r->path = strdup(path);
	int err = r->path ? file_create(&r->fd, path, e)
	                  : error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	if (err) {
		recorder_free(r);
		return err;
	}
	*out = r;
	return STATUS_OK;
}

/* ---- one line ---- */

/* The parts of a line know their room: it was reserved before. */
struct line {
	struct buffer *buffer;
	size_t before;             /* bytes of the lines before it */
	char *end;                 /* where the next byte goes */
	struct decimal_near *near; /* of its stamps */
	int err;                   /* of the texts; the first one stays */
};

static void put_literal(struct line *l, const char *text, size_t n)
{
	memcpy(l->end, text, n);
	l->end += n;
}

/* With a constant key the copy is a few stores. */
#define PUT(l, literal) put_literal(l, literal, sizeof(literal) - 1)

#define PUT_COUNT(l, key, v)                                                                       \
	do {                                                                                       \
		if ((v) >= 0) {                                                                    \
			PUT(l, ",\"" key "\":");                                                   \
			(l)->end = decimal_put((l)->end, (uint64_t)(v));                           \
		}                                                                                  \
	} while (0)

/* Nanoseconds in a unit of 10^decimals ns; absent when negative. */
#define PUT_SCALED(l, key, ns, decimals)                                                           \
	do {                                                                                       \
		int64_t scaled_ = (ns);                                                            \
		if (scaled_ >= 0) {                                                                \
			PUT(l, ",\"" key "\":");                                                   \
			(l)->end = decimal_put_scaled((l)->end, scaled_, decimals);                \
		}                                                                                  \
	} while (0)

#define PUT_STAMP(l, key, ns, origin_ns)                                                           \
	do {                                                                                       \
		if ((ns) >= (origin_ns)) {                                                         \
			PUT(l, ",\"" key "\":");                                                   \
			(l)->end = decimal_put_near((l)->end, (ns) - (origin_ns), (l)->near);      \
		}                                                                                  \
	} while (0)

/* A stamp that is told as a span from the issue. */
#define PUT_AFTER(l, key, e, after_ns, origin_ns)                                                  \
	do {                                                                                       \
		if ((e)->after_ns >= 0)                                                            \
			PUT_STAMP(l, key, (e)->issued_ns + (uint64_t)(e)->after_ns, origin_ns);    \
	} while (0)

static void put_text(struct line *l, const char *key, struct slice s)
{
	struct buffer *b = l->buffer;
	if (!s.data || l->err)
		return;
	b->len = (size_t)(l->end - b->data);
	l->err = buffer_append_str(b, key);
	if (!l->err)
		l->err = json_put_string(b, s.data, s.len);
	if (!l->err)
		l->err = buffer_reserve(b, NUMBERS_ROOM);
	if (l->err) /* the line will be thrown away: what is still to come goes over it */
		b->len = l->before;
	l->end = buffer_end(b);
}

#define PUT_TEXT(l, key, slice) put_text(l, ",\"" key "\":", slice)

static struct slice slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

static void put_identity(struct line *l, const struct event *e, const struct buffer *named)
{
	PUT(l, "{\"sample_uuid\":\"");
	event_uuid_hex(e->uuid, l->end);
	l->end += 32;
	put_literal(l, named->data, named->len);
	PUT_COUNT(l, "index", e->index);
	PUT_TEXT(l, "conversation_id", e->conversation_id);
	PUT_COUNT(l, "turn", e->turn);
	PUT_TEXT(l, "tag", e->tag);
	PUT_COUNT(l, "worker_id", e->worker_id);
	if (e->failure == FAILURE_NONE) {
		PUT(l, ",\"ok\":true");
		return;
	}
	PUT(l, ",\"ok\":false");
	PUT_TEXT(l, "error", slice_of(failure_name(e->failure)));
	PUT_TEXT(l, "error_message", e->error_message);
}

static void put_stamps(struct line *l, const struct event *e, uint64_t origin_ns)
{
	PUT_STAMP(l, "scheduled_ns", e->scheduled_ns, origin_ns);
	PUT_STAMP(l, "issued_ns", e->issued_ns, origin_ns);
	PUT_STAMP(l, "sent_ns", e->sent_ns, origin_ns);
	PUT_STAMP(l, "first_byte_ns", e->first_byte_ns, origin_ns);
	PUT_STAMP(l, "first_ns", e->first_ns, origin_ns);
	PUT_AFTER(l, "first_event_ns", e, first_event_after_ns, origin_ns);
	PUT_AFTER(l, "first_content_ns", e, first_content_after_ns, origin_ns);
	PUT_AFTER(l, "first_reasoning_ns", e, first_reasoning_after_ns, origin_ns);
	PUT_STAMP(l, "finished_ns", e->timestamp_ns, origin_ns);
}

static void put_measures(struct line *l, const struct event *e)
{
	int64_t late =
		e->issued_ns > e->scheduled_ns ? (int64_t)(e->issued_ns - e->scheduled_ns) : 0;
	PUT_SCALED(l, "latency_ms", complete_latency(e), 6);
	PUT_SCALED(l, "service_time_ms", complete_service_time(e), 6);
	PUT_SCALED(l, "lateness_us", late, 3);
	PUT_SCALED(l, "ttft_ms", complete_ttft(e), 6);
	PUT_SCALED(l, "tpot_ms", complete_tpot(e), 6);
}

static void put_counts(struct line *l, const struct event *e)
{
	if (e->http_status)
		PUT_COUNT(l, "http_status", e->http_status);
	PUT_COUNT(l, "chunks", (int64_t)e->chunks);
	PUT_COUNT(l, "tokens_in", e->tokens_in);
	PUT_COUNT(l, "tokens_out", e->tokens_out);
	PUT_COUNT(l, "tokens_cached", e->tokens_cached);
	PUT_COUNT(l, "bytes_in", e->bytes_in);
	PUT_COUNT(l, "bytes_out", e->bytes_out);
	PUT_TEXT(l, "finish_reason", e->finish_reason);
	if (e->text.len)
		PUT_TEXT(l, "text", e->text);
	if (e->reasoning.len)
		PUT_TEXT(l, "reasoning", e->reasoning);
}

/* Its name is written once, not for each line. */
static int keep_phase(struct recorder *r, const char *phase)
{
	if (r->phase && strcmp(r->phase, phase) == 0)
		return STATUS_OK;
	free(r->phase);
	buffer_clear(&r->named);
	r->phase = NULL;
	int err = buffer_append_str(&r->named, "\",\"phase\":");
	if (!err)
		err = json_put_string(&r->named, phase, strlen(phase));
	if (!err && !(r->phase = strdup(phase)))
		err = STATUS_ENOMEM;
	return err;
}

/* Append a whole line, or nothing. */
static int compose(struct recorder *r, const struct event *e, uint64_t origin_ns)
{
	struct buffer *b = &r->lines;
	size_t before = b->len;
	struct line l = { .buffer = b, .before = before, .near = &r->near };
	l.err = buffer_reserve(b, NUMBERS_ROOM);
	if (l.err)
		return l.err;
	l.end = buffer_end(b);
	put_identity(&l, e, &r->named);
	put_stamps(&l, e, origin_ns);
	put_measures(&l, e);
	put_counts(&l, e);
	PUT(&l, "}\n");
	b->len = l.err ? before : (size_t)(l.end - b->data);
	return l.err;
}

/* ---- writing ---- */

/* What cannot be written is lost, and so is all that follows. */
static int write_out(struct recorder *r)
{
	const char *data = r->lines.data, *end = data + r->lines.len;
	while (data < end && !r->failure) {
		ssize_t n = write(r->fd, data, (size_t)(end - data));
		if (n > 0)
			data += n;
		else if (n == 0 || errno != EINTR)
			r->failure = n < 0 ? errno : EIO;
	}
	if (r->failure)
		r->lost += r->count;
	r->count = 0;
	buffer_trim(&r->lines, KEEP_SIZE);
	return status_from_errno(r->failure);
}

int recorder_put(struct recorder *r, const struct event *e, const char *phase, uint64_t origin_ns)
{
	int err = r->failure ? status_from_errno(r->failure) : keep_phase(r, phase);
	if (!err)
		err = compose(r, e, origin_ns);
	if (err) {
		r->lost++;
		return err;
	}
	r->count++;
	return r->lines.len < WRITE_SIZE ? STATUS_OK : write_out(r);
}

uint64_t recorder_lost(const struct recorder *r)
{
	return r->lost;
}

int recorder_close(struct recorder *r, struct error *e)
{
	if (!r)
		return STATUS_OK;
	int status = write_out(r);
	if (r->failure)
		error_set(e, status, "%s: %s; %llu lines were lost", r->path, strerror(r->failure),
		          (unsigned long long)r->lost);
	else if (r->lost)
		status = error_set(e, STATUS_ENOMEM, "%s: %llu lines were lost", r->path,
		                   (unsigned long long)r->lost);
	recorder_free(r);
	return status;
}
