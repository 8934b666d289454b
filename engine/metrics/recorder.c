#include "metrics/recorder.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "metrics/fold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BUFFER ((size_t)1 << 18)
#define LINE_LIMIT  ((size_t)256 << 20) /* a recorded text is bounded by the client long before */

struct recorder {
	FILE *file;
	char *path;
	struct buffer line;
	uint64_t lost;
	int failure; /* errno of the first write that failed; 0: none */
};

static void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	if (r->file)
		fclose(r->file);
	buffer_free(&r->line);
	free(r->path);
	free(r);
}

int recorder_open(struct recorder **out, const char *path, struct error *e)
{
	struct recorder *r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	buffer_init(&r->line, LINE_LIMIT);
	r->path = strdup(path);
	int err = r->path ? file_create_stream(&r->file, path, FILE_BUFFER, e)
	                  : error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	if (err) {
		recorder_free(r);
		return err;
	}
	*out = r;
	return STATUS_OK;
}

/* ---- one line ---- */

static int put_key(struct buffer *b, const char *key)
{
	size_t len = strlen(key);
	int err = buffer_reserve(b, len + 4);
	if (err)
		return err;
	char *p = b->data + b->len;
	if (b->len > 1)
		*p++ = ',';
	*p++ = '"';
	memcpy(p, key, len);
	p += len;
	*p++ = '"';
	*p++ = ':';
	b->len = (size_t)(p - b->data);
	return STATUS_OK;
}

static int put_text(struct buffer *b, const char *key, struct slice s)
{
	if (!s.data)
		return STATUS_OK;
	int err = put_key(b, key);
	return err ? err : json_put_string(b, s.data, s.len);
}

static int put_count(struct buffer *b, const char *key, int64_t v)
{
	if (v < 0)
		return STATUS_OK;
	int err = put_key(b, key);
	return err ? err : json_put_decimal(b, v, 0);
}

/* Nanoseconds in a unit of 10^decimals ns; absent when negative. */
static int put_scaled(struct buffer *b, const char *key, int64_t ns, unsigned decimals)
{
	if (ns < 0)
		return STATUS_OK;
	int err = put_key(b, key);
	return err ? err : json_put_decimal(b, ns, decimals);
}

static int put_stamp(struct buffer *b, const char *key, uint64_t ns, uint64_t origin_ns)
{
	return ns >= origin_ns ? put_count(b, key, (int64_t)(ns - origin_ns)) : STATUS_OK;
}

static int put_identity(struct buffer *b, const struct event *e, const char *phase)
{
	char uuid[32];
	event_uuid_hex(e->uuid, uuid);
	int err = put_text(b, "sample_uuid", (struct slice){ uuid, sizeof(uuid) });
	if (!err)
		err = put_text(b, "phase", (struct slice){ phase, strlen(phase) });
	if (!err)
		err = put_count(b, "index", e->index);
	if (!err)
		err = put_text(b, "tag", e->tag);
	if (!err)
		err = put_count(b, "worker_id", e->worker_id);
	if (!err)
		err = put_key(b, "ok");
	return err ? err : buffer_append_str(b, e->failure == FAILURE_NONE ? "true" : "false");
}

static int put_failure(struct buffer *b, const struct event *e)
{
	if (e->failure == FAILURE_NONE)
		return STATUS_OK;
	const char *name = failure_name(e->failure);
	int err = put_text(b, "error", (struct slice){ name, strlen(name) });
	return err ? err : put_text(b, "error_message", e->error_message);
}

static int put_stamps(struct buffer *b, const struct event *e, uint64_t origin_ns)
{
	int err = put_stamp(b, "scheduled_ns", e->scheduled_ns, origin_ns);
	if (!err)
		err = put_stamp(b, "issued_ns", e->issued_ns, origin_ns);
	if (!err)
		err = put_stamp(b, "sent_ns", e->sent_ns, origin_ns);
	if (!err)
		err = put_stamp(b, "first_byte_ns", e->first_byte_ns, origin_ns);
	if (!err)
		err = put_stamp(b, "first_ns", e->first_ns, origin_ns);
	return err ? err : put_stamp(b, "finished_ns", e->timestamp_ns, origin_ns);
}

static int put_measures(struct buffer *b, const struct event *e)
{
	int64_t late =
		e->issued_ns > e->scheduled_ns ? (int64_t)(e->issued_ns - e->scheduled_ns) : 0;
	int err = put_scaled(b, "latency_ms", complete_latency(e), 6);
	if (!err)
		err = put_scaled(b, "service_time_ms", complete_service_time(e), 6);
	if (!err)
		err = put_scaled(b, "lateness_us", late, 3);
	if (!err)
		err = put_scaled(b, "ttft_ms", complete_ttft(e), 6);
	return err ? err : put_scaled(b, "tpot_ms", complete_tpot(e), 6);
}

static int put_counts(struct buffer *b, const struct event *e)
{
	int err = e->http_status ? put_count(b, "http_status", e->http_status) : STATUS_OK;
	if (!err)
		err = put_count(b, "chunks", e->chunks);
	if (!err)
		err = put_count(b, "tokens_in", e->tokens_in);
	if (!err)
		err = put_count(b, "tokens_out", e->tokens_out);
	if (!err)
		err = put_count(b, "bytes_in", e->bytes_in);
	if (!err)
		err = put_count(b, "bytes_out", e->bytes_out);
	if (!err)
		err = put_text(b, "finish_reason", e->finish_reason);
	if (!err)
		err = put_text(b, "text", e->text);
	return err ? err : put_text(b, "reasoning", e->reasoning);
}

static int compose(struct buffer *b, const struct event *e, const char *phase, uint64_t origin_ns)
{
	buffer_clear(b);
	int err = buffer_append(b, "{", 1);
	if (!err)
		err = put_identity(b, e, phase);
	if (!err)
		err = put_failure(b, e);
	if (!err)
		err = put_stamps(b, e, origin_ns);
	if (!err)
		err = put_measures(b, e);
	if (!err)
		err = put_counts(b, e);
	return err ? err : buffer_append(b, "}\n", 2);
}

int recorder_put(struct recorder *r, const struct event *e, const char *phase, uint64_t origin_ns)
{
	int err =
		r->failure ? status_from_errno(r->failure) : compose(&r->line, e, phase, origin_ns);
	if (!err && fwrite(r->line.data, 1, r->line.len, r->file) != r->line.len) {
		r->failure = errno ? errno : EIO;
		err = status_from_errno(r->failure);
	}
	if (err)
		r->lost++;
	return err;
}

uint64_t recorder_lost(const struct recorder *r)
{
	return r->lost;
}

int recorder_close(struct recorder *r, struct error *e)
{
	if (!r)
		return STATUS_OK;
	if (!r->failure && fflush(r->file))
		r->failure = errno;
	int status = status_from_errno(r->failure);
	if (r->failure)
		error_set(e, status, "%s: %s; %llu lines or more were lost", r->path,
		          strerror(r->failure), (unsigned long long)r->lost);
	else if (r->lost)
		status = error_set(e, STATUS_ENOMEM, "%s: %llu lines were lost", r->path,
		                   (unsigned long long)r->lost);
	recorder_free(r);
	return status;
}
