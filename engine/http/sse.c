#include "http/sse.h"

#include "base/status.h"

#include <string.h>

#define KEEP_BYTES (256 * 1024) /* a reset gives larger buffers back */

void sse_init(struct sse *s, size_t max_event)
{
	s->line.limit = s->data.limit = s->name.limit = max_event;
}

void sse_free(struct sse *s)
{
	buffer_free(&s->line);
	buffer_free(&s->data);
	buffer_free(&s->name);
	sse_reset(s);
}

static void forget_event(struct sse *s)
{
	s->data.len = s->name.len = 0;
	s->slice = NULL;
	s->held = s->has_data = s->has_name = false;
}

void sse_reset(struct sse *s)
{
	buffer_trim(&s->line, KEEP_BYTES);
	buffer_trim(&s->data, KEEP_BYTES);
	buffer_trim(&s->name, KEEP_BYTES);
	forget_event(s);
	s->after_cr = s->started = false;
	s->bad = NULL;
	s->bad_len = 0;
}

/* ---- fields ---- */

/* The input goes away: keep the slice. */
static int own_slice(struct sse *s)
{
	if (!s->slice || s->held)
		return STATUS_OK;
	int err = buffer_append(&s->data, s->slice, s->slice_len);
	s->slice = NULL;
	return err;
}

/* A second data line comes: s->data := the first one. */
static int gather_slice(struct sse *s)
{
	if (!s->held)
		return own_slice(s);
	memmove(s->data.data, s->slice, s->slice_len);
	s->data.len = s->slice_len;
	s->slice = NULL;
	s->held = false;
	return STATUS_OK;
}

/* The value lies in s->line, which is about to be used again. A long one would be dear to
 * copy once more. */
static void hold_line(struct sse *s)
{
	struct buffer line = s->line;
	s->line = s->data;
	s->data = line;
	s->held = true;
}

/* stable: value lies in the caller's input, not in s->line. */
static int add_data(struct sse *s, const char *value, size_t len, bool stable)
{
	if (!s->has_data) {
		s->has_data = true;
		s->slice = value;
		s->slice_len = len;
		if (!stable)
			hold_line(s);
		return STATUS_OK;
	}
	int err = gather_slice(s);
	if (!err)
		err = buffer_append(&s->data, "\n", 1);
	return err ? err : buffer_append(&s->data, value, len);
}

static int set_name(struct sse *s, const char *value, size_t len)
{
	s->has_name = true;
	buffer_clear(&s->name);
	return buffer_append(&s->name, value, len);
}

static bool same(const char *a, size_t len, const char *b)
{
	return len == strlen(b) && memcmp(a, b, len) == 0;
}

static int bad_line(struct sse *s, const char *line, size_t len)
{
	if (!s->strict)
		return STATUS_OK;
	s->bad = line;
	s->bad_len = len;
	return STATUS_EPROTO;
}

/* Any line but an empty one. */
static int take_field(struct sse *s, const char *line, size_t len, bool stable)
{
	if (len > 6 && memcmp(line, "data: ", 6) == 0)
		return add_data(s, line + 6, len - 6, stable);
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : len;
	const char *value = colon ? colon + 1 : line + len;
	size_t value_len = len - (size_t)(value - line);
	if (value_len && *value == ' ') {
		value++;
		value_len--;
	}
	if (same(line, name_len, "data"))
		return add_data(s, value, value_len, stable);
	if (same(line, name_len, "event"))
		return set_name(s, value, value_len);
	if (name_len == 0 || same(line, name_len, "id") || same(line, name_len, "retry"))
		return STATUS_OK;
	return bad_line(s, line, len);
}

static void fill_event(const struct sse *s, struct sse_event *event)
{
	*event = (struct sse_event){ 0 };
	event->data = s->slice ? s->slice : s->data.len ? s->data.data : "";
	event->len = s->slice ? s->slice_len : s->data.len;
	if (s->has_name) {
		event->name = s->name.len ? s->name.data : "";
		event->name_len = s->name.len;
	}
}

/* ---- lines ---- */

static int take_line(struct sse *s, const char *line, size_t len, bool stable,
                     int (*fn)(void *ctx, const struct sse_event *event), void *ctx)
{
	if (len > s->line.limit)
		return STATUS_ELIMIT;
	if (!s->started) {
		s->started = true;
		if (len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
			line += 3;
			len -= 3;
		}
	}
	if (len)
		return take_field(s, line, len, stable);
	int rc = 0;
	if (s->has_data) {
		struct sse_event event;
		fill_event(s, &event);
		rc = fn(ctx, &event);
	}
	forget_event(s);
	return rc;
}

/* The first line end in [p, end), which is not empty; NULL when there is none. */
static const char *find_line_end(const char *p, const char *end)
{
	if (*p == '\n') /* each second one */
		return p;
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *cr = memchr(p, '\r', (size_t)((lf ? lf : end) - p));
	return cr ? cr : lf;
}

/* The rest of the line whose beginning is in s->line. */
static int take_joined_line(struct sse *s, const char *tail, size_t len,
                            int (*fn)(void *ctx, const struct sse_event *event), void *ctx)
{
	int rc = buffer_append(&s->line, tail, len);
	if (rc)
		return rc;
	rc = take_line(s, s->line.data, s->line.len, false, fn, ctx);
	if (rc != STATUS_EPROTO) /* else s->bad may point into it */
		buffer_clear(&s->line);
	return rc;
}

int sse_feed(struct sse *s, const char *data, size_t len,
             int (*fn)(void *ctx, const struct sse_event *event), void *ctx)
{
	const char *p = data, *end = data + len;
	while (p < end) {
		if (s->after_cr) {
			s->after_cr = false;
			p += *p == '\n';
			continue;
		}
		const char *eol = find_line_end(p, end);
		if (!eol)
			break;
		size_t n = (size_t)(eol - p);
		int rc = s->line.len ? take_joined_line(s, p, n, fn, ctx)
		                     : take_line(s, p, n, true, fn, ctx);
		if (rc)
			return rc;
		s->after_cr = *eol == '\r';
		p = eol + 1;
	}
	int err = own_slice(s);
	return err || p >= end ? err : buffer_append(&s->line, p, (size_t)(end - p));
}

bool sse_partial(const struct sse *s)
{
	return s->line.len || s->has_data || s->has_name;
}

/* A cut can leave any beginning of a field's name. */
static bool begins_field(const char *line, size_t len)
{
	static const char *const names[] = { "data", "event", "id", "retry" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (len <= strlen(names[i]) && memcmp(line, names[i], len) == 0)
			return true;
	return false;
}

static int ignore_event(void *ctx, const struct sse_event *event)
{
	(void)ctx, (void)event;
	return 0;
}

int sse_finish(struct sse *s, struct sse_event *event)
{
	*event = (struct sse_event){ 0 };
	int err = STATUS_OK;
	/* A lone BOM leaves an empty line, which must not end the event: there is none yet. */
	if (s->line.len && !begins_field(s->line.data, s->line.len))
		err = take_line(s, s->line.data, s->line.len, false, ignore_event, NULL);
	if (!err && s->has_data)
		fill_event(s, event);
	return err;
}
