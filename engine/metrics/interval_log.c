#include "metrics/interval_log.h"

#include "base/histogram.h"
#include "events/log_reader.h"
#include "metrics/fold.h"
#include "metrics/hdr.h"
#include "metrics/tags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_LIMIT ((size_t)4 << 20)

/* The open interval of a phase. */
struct stretch {
	char name[FOLD_NAME_SIZE];
	uint64_t begun_ns;         /* of the phase */
	uint64_t from_ns, last_ns; /* of the interval, and its latest end of a request */
	bool open;                 /* it has requests */
	struct tally all;
	struct tags tags;
};

struct interval_log {
	const char *path;
	FILE *out;
	uint64_t width_ns;
	uint64_t origin_ns; /* of the stamps: the session's start */
	uint64_t due_ns;    /* when the first of the open intervals ends */
	struct histogram *histogram;
	struct buffer line;
	struct stretch *phases[FOLD_MAX_PHASES];
	int phase_count;
	struct error *error;
};

static int fail(struct interval_log *v, int status)
{
	return error_set(v->error, status, "%s: %s", v->path, status_text(status));
}

static int write_out(struct interval_log *v, const char *data, size_t len)
{
	if (fwrite(data, 1, len, v->out) == len)
		return STATUS_OK;
	return error_set(v->error, status_from_errno(errno), "%s: %s", v->path, strerror(errno));
}

/* ---- lines ---- */

/* A tag ends at a comma. */
static int put_name(struct buffer *out, const char *name)
{
	size_t from = out->len;
	int err = buffer_append_str(out, name);
	for (size_t i = from; !err && i < out->len; i++)
		if (out->data[i] == ',' || (unsigned char)out->data[i] <= ' ')
			out->data[i] = '_';
	return err;
}

static double seconds(const struct interval_log *v, uint64_t ns)
{
	return ns > v->origin_ns ? (double)(ns - v->origin_ns) / 1e9 : 0;
}

static int put_line(struct interval_log *v, const struct stretch *s, const char *tag,
                    enum metric metric, uint64_t to_ns)
{
	struct buffer *b = &v->line;
	double max_ms = (double)histogram_max(v->histogram) / 1e6;
	buffer_clear(b);
	int err = buffer_append_str(b, "Tag=");
	if (!err)
		err = put_name(b, s->name);
	if (!err)
		err = buffer_printf(b, ".%s%s", metric_name(metric), tag ? "." : "");
	if (!err && tag)
		err = put_name(b, tag);
	if (!err)
		err = buffer_printf(b, ",%.3f,%.3f,%.3f,", seconds(v, s->from_ns),
		                    (double)(to_ns - s->from_ns) / 1e9, max_ms);
	if (!err)
		err = hdr_put_encoded(b, v->histogram);
	if (!err)
		err = buffer_append(b, "\n", 1);
	return err ? fail(v, err) : write_out(v, b->data, b->len);
}

/* The lines of a tally, which is empty then. */
static int put_tally(struct interval_log *v, const struct stretch *s, const char *tag,
                     struct tally *t, uint64_t to_ns)
{
	int err = STATUS_OK;
	for (int i = 0; !err && i < METRIC_COUNT; i++) {
		if (!t->distributions[i] || !metric_is_time((enum metric)i))
			continue;
		histogram_reset(v->histogram);
		distribution_merge_into(t->distributions[i], v->histogram);
		err = put_line(v, s, tag, (enum metric)i, to_ns);
	}
	tally_free(t);
	memset(t, 0, sizeof(*t));
	return err;
}

static int close_stretch(struct interval_log *v, struct stretch *s, uint64_t to_ns)
{
	int err = put_tally(v, s, NULL, &s->all, to_ns);
	for (int i = 0; !err && i < s->tags.count; i++)
		err = put_tally(v, s, s->tags.list[i]->name, &s->tags.list[i]->tally, to_ns);
	s->open = false;
	return err;
}

/* ---- events ---- */

/* The lines of all intervals that end before now; UINT64_MAX: of the last ones. */
static int close_due(struct interval_log *v, uint64_t now_ns)
{
	int err = STATUS_OK;
	v->due_ns = UINT64_MAX;
	for (int i = 0; !err && i < v->phase_count; i++) {
		struct stretch *s = v->phases[i];
		if (!s || !s->open)
			continue;
		uint64_t to_ns = s->from_ns + v->width_ns;
		if (now_ns == UINT64_MAX)
			err = close_stretch(v, s, s->last_ns < to_ns ? s->last_ns : to_ns);
		else if (to_ns <= now_ns)
			err = close_stretch(v, s, to_ns);
		else if (to_ns < v->due_ns)
			v->due_ns = to_ns;
	}
	return err;
}

/* The event's phase, made on first sight; NULL: no memory. */
static struct stretch *stretch_of(struct interval_log *v, const struct event *e)
{
	struct stretch **slot = &v->phases[e->phase];
	if (!*slot && (*slot = calloc(1, sizeof(**slot)))) {
		/* A log that lost the phase's start begins with its first request. */
		(*slot)->begun_ns =
			e->type == EVENT_PHASE_START ? e->timestamp_ns : e->scheduled_ns;
		if (e->phase >= v->phase_count)
			v->phase_count = e->phase + 1;
	}
	return *slot;
}

static void open_stretch(struct interval_log *v, struct stretch *s, uint64_t now_ns)
{
	uint64_t since = now_ns > s->begun_ns ? now_ns - s->begun_ns : 0;
	s->open = true;
	s->from_ns = s->last_ns = s->begun_ns + since / v->width_ns * v->width_ns;
	if (s->from_ns + v->width_ns < v->due_ns)
		v->due_ns = s->from_ns + v->width_ns;
}

static int put_complete(struct interval_log *v, struct stretch *s, const struct event *e)
{
	static const struct slo none;
	struct measures of;
	struct tag *tag = NULL;
	if (!s->open)
		open_stretch(v, s, e->timestamp_ns);
	if (e->timestamp_ns > s->last_ns)
		s->last_ns = e->timestamp_ns;
	complete_measures(e, &none, &of);
	int err = tally_complete(&s->all, e, &of);
	if (e->tag.data && !(tag = tags_get(&s->tags, e->tag)))
		err = STATUS_ENOMEM;
	if (tag && err != STATUS_ENOMEM)
		err = tally_complete(&tag->tally, e, &of);
	/* Any other says that a failure is of no known class: it has no times. */
	return err == STATUS_ENOMEM ? fail(v, err) : STATUS_OK;
}

/* Readers make times of the day of the stamps by it. */
static int put_start(struct interval_log *v, const struct event *e)
{
	time_t at = (time_t)(e->realtime_ns / 1000000000u);
	struct tm utc;
	char text[64] = "";
	v->origin_ns = e->timestamp_ns;
	if (gmtime_r(&at, &utc))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	buffer_clear(&v->line);
	int err = buffer_printf(&v->line, "#[StartTime: %.3f (seconds since epoch), %s]\n",
	                        (double)e->realtime_ns / 1e9, text);
	return err ? fail(v, err) : write_out(v, v->line.data, v->line.len);
}

static void set_name(struct stretch *s, struct slice name)
{
	size_t n = name.len < sizeof(s->name) ? name.len : sizeof(s->name) - 1;
	if (n)
		memcpy(s->name, name.data, n);
}

static int put_event(struct interval_log *v, const struct event *e)
{
	if (e->type == EVENT_SESSION_STARTED)
		return put_start(v, e);
	bool starts = e->type == EVENT_PHASE_START, completes = e->type == EVENT_SAMPLE_COMPLETE;
	if (!(starts || completes) || e->phase < 0 || e->phase >= FOLD_MAX_PHASES)
		return STATUS_OK;
	int err = e->timestamp_ns >= v->due_ns ? close_due(v, e->timestamp_ns) : STATUS_OK;
	if (err)
		return err;
	struct stretch *s = stretch_of(v, e);
	if (!s)
		return fail(v, STATUS_ENOMEM);
	if (completes)
		return put_complete(v, s, e);
	set_name(s, e->name);
	return STATUS_OK;
}

/* ---- the whole ---- */

static int copy(struct interval_log *v, struct log_reader *reader, const char *log_path)
{
	static const char version[] = "#[Histogram log format version 1.3]\n",
			  legend[] = "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
				     "\"Interval_Compressed_Histogram\"\n";
	struct event event;
	bool begun = false; /* the legend stands behind the start */
	int rc = 0, err = write_out(v, version, sizeof(version) - 1);
	while (!err && (rc = log_reader_next(reader, &event)) == 1) {
		err = put_event(v, &event);
		if (!err && !begun)
			err = write_out(v, legend, sizeof(legend) - 1);
		begun = true;
	}
	if (!err && rc < 0)
		return error_set(v->error, rc, "%s: %s", log_path, status_text(rc));
	return err ? err : close_due(v, UINT64_MAX);
}

static void release(struct interval_log *v)
{
	for (int i = 0; i < v->phase_count; i++) {
		if (!v->phases[i])
			continue;
		tally_free(&v->phases[i]->all);
		tags_free(&v->phases[i]->tags);
		free(v->phases[i]);
	}
	histogram_free(v->histogram);
	buffer_free(&v->line);
	free(v);
}

int interval_log_write(const char *log_path, const char *path, uint64_t width_ns, struct error *e)
{
	struct log_reader *reader;
	int err = log_reader_open(&reader, log_path, e);
	if (err)
		return err;
	struct interval_log *v = calloc(1, sizeof(*v));
	if (!v || histogram_new(&v->histogram)) {
		free(v);
		log_reader_close(reader);
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	}
	v->path = path;
	v->width_ns = width_ns;
	v->due_ns = UINT64_MAX;
	v->error = e;
	buffer_init(&v->line, LINE_LIMIT);
	v->out = fopen(path, "we");
	if (!v->out)
		err = error_set(e, status_from_errno(errno), "%s: %s", path, strerror(errno));
	else
		err = copy(v, reader, log_path);
	if (v->out && fclose(v->out) && !err)
		err = error_set(e, status_from_errno(errno), "%s: %s", path, strerror(errno));
	release(v);
	log_reader_close(reader);
	return err;
}
