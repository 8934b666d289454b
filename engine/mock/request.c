#include "mock/request.h"

#include <string.h>
#include <strings.h>

#define MAX_CHUNK_LINE 1024 /* size and extensions */

enum {
	AT_REQUEST_LINE,
	AT_HEADER,
	AT_EXPECT, /* the head is complete, 100-continue not yet told */
	AT_BODY,   /* .left bytes of it */
	AT_CHUNK_SIZE,
	AT_CHUNK_DATA, /* .left bytes of it */
	AT_CHUNK_END,  /* the line end behind the data */
	AT_TRAILER,
	AT_END,
	AT_ERROR,
};

void request_init(struct request *r, size_t max_body)
{
	*r = (struct request){ .keep_alive = true, .max_body = max_body };
}

bool request_is(const char *data, struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(data + s.at, text, s.len) == 0;
}

/* ---- helpers ---- */

static void bad(struct request *r, int status, const char *reason)
{
	r->state = AT_ERROR;
	r->status = status;
	r->reason = reason;
}

static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_token_char(s[i]))
			return false;
	return n > 0;
}

static bool equals(const char *s, size_t n, const char *lower)
{
	return n == strlen(lower) && strncasecmp(s, lower, n) == 0;
}

/* Take the next line, without its end. A bare LF ends one too. At most max bytes
 * may stand between `from` and its end. False: not there yet, or refused. */
static bool take_line(struct request *r, const char *data, size_t len, size_t from, size_t max,
                      struct span *line)
{
	const char *end = memchr(data + r->scanned, '\n', len - r->scanned);
	size_t stop = end ? (size_t)(end - data) : len;
	if (stop - from > max) {
		bad(r, r->state <= AT_HEADER ? 431 : 400, "a line or the head is too long");
		return false;
	}
	r->scanned = end ? stop + 1 : len;
	if (!end)
		return false;
	size_t n = stop - r->pos;
	if (n > 0 && data[stop - 1] == '\r')
		n--;
	*line = (struct span){ r->pos, n };
	r->pos = stop + 1;
	return true;
}

/* ---- head ---- */

static void read_request_line(struct request *r, const char *data, struct span line)
{
	if (line.len == 0)
		return; /* blank lines before a request are passed over */
	const char *s = data + line.at, *end = s + line.len;
	const char *target = memchr(s, ' ', line.len);
	const char *version = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
	if (!version || version == target + 1 || !is_token(s, (size_t)(target - s))) {
		bad(r, 400, "malformed request line");
		return;
	}
	r->method = (struct span){ line.at, (size_t)(target - s) };
	r->target = (struct span){ (size_t)(target + 1 - data), (size_t)(version - target - 1) };
	version++;
	if (equals(version, (size_t)(end - version), "http/1.0")) {
		r->http10 = true;
		r->keep_alive = false;
	} else if (!equals(version, (size_t)(end - version), "http/1.1")) {
		bad(r, 505, "HTTP/1.1 is spoken here");
		return;
	}
	r->state = AT_HEADER;
}

static void read_length(struct request *r, const char *s, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || n > 18) {
			bad(r, 400, "malformed Content-Length");
			return;
		}
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (n == 0 || (r->has_length && v != r->left)) {
		bad(r, 400, "malformed Content-Length");
		return;
	}
	r->has_length = true;
	r->left = v;
}

/* The Connection header: a comma-separated list, of which only "close" counts.
 * HTTP/1.0's keep-alive is not offered. */
static void read_connection(struct request *r, const char *s, size_t n)
{
	while (n > 0) {
		const char *comma = memchr(s, ',', n);
		size_t item = comma ? (size_t)(comma - s) : n, skip = item + (comma != NULL);
		const char *word = s;
		while (item > 0 && (*word == ' ' || *word == '\t'))
			word++, item--;
		while (item > 0 && (word[item - 1] == ' ' || word[item - 1] == '\t'))
			item--;
		if (equals(word, item, "close"))
			r->keep_alive = false;
		s += skip;
		n -= skip;
	}
}

static void use_header(struct request *r, const char *data, struct span name, struct span value)
{
	const char *k = data + name.at, *v = data + value.at;
	switch (name.len) {
	case 6:
		if (equals(k, name.len, "expect")) {
			if (equals(v, value.len, "100-continue"))
				r->expect = true;
			else
				bad(r, 417, "unknown expectation");
		}
		break;
	case 10:
		if (equals(k, name.len, "connection"))
			read_connection(r, v, value.len);
		break;
	case 13:
		if (equals(k, name.len, "authorization"))
			r->authorization = value;
		break;
	case 14:
		if (equals(k, name.len, "content-length"))
			read_length(r, v, value.len);
		break;
	case 15:
		if (equals(k, name.len, "x-perigee-fault"))
			r->fault = value;
		break;
	case 17:
		if (!equals(k, name.len, "transfer-encoding"))
			break;
		if (!r->chunked && equals(v, value.len, "chunked"))
			r->chunked = true;
		else
			bad(r, 501, "unknown transfer encoding");
		break;
	default:
		break;
	}
}

static void read_header(struct request *r, const char *data, struct span line)
{
	const char *s = data + line.at;
	const char *colon = memchr(s, ':', line.len);
	if (!colon || !is_token(s, (size_t)(colon - s))) {
		bad(r, 400, "malformed header");
		return;
	}
	struct span name = { line.at, (size_t)(colon - s) };
	struct span value = { name.at + name.len + 1, line.len - name.len - 1 };
	while (value.len > 0 && (data[value.at] == ' ' || data[value.at] == '\t'))
		value.at++, value.len--;
	while (value.len > 0 && strchr(" \t\r", data[value.at + value.len - 1]) &&
	       data[value.at + value.len - 1])
		value.len--;
	if (memchr(data + value.at, '\0', value.len)) {
		bad(r, 400, "malformed header");
		return;
	}
	use_header(r, data, name, value);
}

static void end_head(struct request *r)
{
	if (r->chunked && (r->has_length || r->http10)) {
		bad(r, 400, "Transfer-Encoding beside Content-Length or in HTTP/1.0");
		return;
	}
	if (r->left > r->max_body) {
		bad(r, 413, "the body is too large");
		return;
	}
	r->body.at = r->pos;
	r->state = r->expect && !r->http10 ? AT_EXPECT : r->chunked ? AT_CHUNK_SIZE : AT_BODY;
}

/* ---- body ---- */

static void read_chunk_size(struct request *r, const char *data, struct span line)
{
	const char *s = data + line.at;
	uint64_t v = 0;
	size_t i = 0;
	for (; i < line.len; i++) {
		char c = s[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
		                 : (c | 32) >= 'a' && (c | 32) <= 'f'
		                         ? (unsigned)((c | 32) - 'a') + 10
		                         : 16;
		if (digit == 16 || i == 15)
			break;
		v = v * 16 + digit;
	}
	if (i == 0 || (i < line.len && s[i] != ';' && s[i] != ' ' && s[i] != '\t')) {
		bad(r, 400, "malformed chunk size");
		return;
	}
	/* Framing counts, with some slack, so that tiny chunks cannot grow the
	 * caller's buffer past the limit. */
	if (v > r->max_body - r->body.len ||
	    r->pos - r->body.at + v > r->max_body + MAX_CHUNK_LINE) {
		bad(r, 413, "the body is too large");
		return;
	}
	r->left = v;
	r->state = v ? AT_CHUNK_DATA : AT_TRAILER;
	r->trailers = r->pos;
}

/* Move the chunk's bytes that are here down behind the body so far. */
static void take_chunk_data(struct request *r, char *data, size_t len)
{
	size_t n = len - r->pos;
	if (n > r->left)
		n = (size_t)r->left;
	memmove(data + r->body.at + r->body.len, data + r->pos, n);
	r->body.len += n;
	r->pos += n;
	r->scanned = r->pos;
	r->left -= n;
	if (r->left == 0)
		r->state = AT_CHUNK_END;
}

/* One line of a chunked body that is not data. False: it is not there yet. */
static bool step_chunk_line(struct request *r, char *data, size_t len)
{
	struct span line;
	bool trailer = r->state == AT_TRAILER;
	if (!take_line(r, data, len, trailer ? r->trailers : r->pos,
	               trailer ? REQUEST_MAX_HEAD : MAX_CHUNK_LINE, &line))
		return false;
	if (r->state == AT_CHUNK_SIZE)
		read_chunk_size(r, data, line);
	else if (trailer)
		r->state = line.len ? AT_TRAILER : AT_END;
	else if (line.len)
		bad(r, 400, "a chunk is longer than its size");
	else
		r->state = AT_CHUNK_SIZE;
	return true;
}

static bool step_chunked(struct request *r, char *data, size_t len)
{
	if (r->state != AT_CHUNK_DATA)
		return step_chunk_line(r, data, len);
	take_chunk_data(r, data, len);
	return r->state != AT_CHUNK_DATA;
}

static bool step_body(struct request *r, size_t len)
{
	if (len - r->pos < r->left)
		return false;
	r->body.len = (size_t)r->left;
	r->pos += r->body.len;
	r->state = AT_END;
	return true;
}

/* ---- machine ---- */

static bool step_head(struct request *r, const char *data, size_t len)
{
	struct span line;
	if (!take_line(r, data, len, 0, REQUEST_MAX_HEAD, &line))
		return false;
	if (r->state == AT_REQUEST_LINE)
		read_request_line(r, data, line);
	else if (line.len)
		read_header(r, data, line);
	else
		end_head(r);
	return true;
}

enum request_event request_parse(struct request *r, char *data, size_t len)
{
	bool moved = true;
	while (moved) {
		switch (r->state) {
		case AT_REQUEST_LINE:
		case AT_HEADER:
			moved = step_head(r, data, len);
			break;
		case AT_EXPECT:
			r->state = r->chunked ? AT_CHUNK_SIZE : AT_BODY;
			/* Not asked for when the body is already on its way. */
			if (len == r->pos && (r->chunked || r->left))
				return REQUEST_CONTINUE;
			break;
		case AT_BODY:
			moved = step_body(r, len);
			break;
		case AT_END:
			r->size = r->pos;
			return REQUEST_DONE;
		case AT_ERROR:
			return REQUEST_BAD;
		default:
			moved = step_chunked(r, data, len);
			break;
		}
	}
	return r->state == AT_ERROR ? REQUEST_BAD : REQUEST_MORE;
}
