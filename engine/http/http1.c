#include "http/http1.h"

#include <string.h>
#include <strings.h>

#define KEEP_BYTES     4096 /* of a line; a new start gives more back */
#define NO_STATUS_LINE "no HTTP/1 status line"
#define NO_COLON       "a line without a colon in the HTTP head or trailers"
#define CR_WITHIN      "a CR within a line of HTTP"

/* A line that is whole, without its end. */
struct line {
	const char *data;
	size_t len;
	bool cr; /* it ended in CR LF, not in LF alone */
};

void http1_start(struct http1 *p, bool head)
{
	p->state = HTTP1_AT_STATUS;
	p->is_head = head;
	p->head.status = 0;
	p->head.content_type[0] = '\0';
	p->error = NULL;
	p->begun = p->keep = p->head.close = false;
	p->head_bytes = 0;
	p->line.limit = HTTP1_LINE_BYTES;
	buffer_trim(&p->line, KEEP_BYTES);
}

void http1_free(struct http1 *p)
{
	buffer_free(&p->line);
}

static enum http1_event bad(struct http1 *p, const char *why)
{
	p->error = why;
	return HTTP1_BAD;
}

static enum http1_event large(struct http1 *p, const char *why)
{
	p->error = why;
	return HTTP1_LARGE;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ---- lines ---- */

/* What cannot become a status line need not be waited for. */
static bool may_be_status(const char *data, size_t len)
{
	static const char begin[] = "HTTP/";
	return strncasecmp(data, begin, len < sizeof(begin) - 1 ? len : sizeof(begin) - 1) == 0;
}

/* A line, or the beginning of one; its own end is not in `len`. */
static enum http1_event check_bytes(struct http1 *p, const char *data, size_t len)
{
	if (p->state == HTTP1_AT_STATUS && !may_be_status(data, len))
		return bad(p, NO_STATUS_LINE);
	if (memchr(data, '\r', len))
		return bad(p, CR_WITHIN);
	return HTTP1_MORE;
}

static enum http1_event keep_part(struct http1 *p, const char *data, size_t len)
{
	if (buffer_append(&p->line, data, len))
		return large(p, "out of memory for a line of the head");
	len = p->line.len;
	return check_bytes(p, p->line.data, len - (p->line.data[len - 1] == '\r'));
}

/* `len` more bytes of the line came, with its end or without. */
static enum http1_event check_length(struct http1 *p, size_t len, bool ended)
{
	size_t all = p->line.len + len;
	if (p->state == HTTP1_AT_CHUNK_SIZE)
		return all > HTTP1_CHUNK_BYTES ? bad(p, "the line of a chunk's size is too long")
		                               : HTTP1_END;
	if (p->state == HTTP1_AT_TRAILER)
		return all > HTTP1_TRAILER_BYTES + 1 ? bad(p, "a line of the trailers is too long")
		                                     : HTTP1_END;
	if (all + ended >= HTTP1_LINE_BYTES)
		return large(p, "a line of the head is too long");
	p->head_bytes += ended ? all + 1 : 0;
	return p->head_bytes > HTTP1_HEAD_BYTES ? large(p, "the head is too large") : HTTP1_END;
}

/* HTTP1_END: a whole line is in *l. It lies in p->line when it came in parts. */
static enum http1_event read_line(struct http1 *p, const char **at, const char *end, struct line *l)
{
	const char *begin = *at;
	const char *lf = memchr(begin, '\n', (size_t)(end - begin));
	size_t len = (size_t)((lf ? lf : end) - begin);
	*at = lf ? lf + 1 : end;
	p->begun = true;
	enum http1_event e = check_length(p, len, lf != NULL);
	if (e != HTTP1_END)
		return e;
	if (!lf || p->line.len) {
		e = keep_part(p, begin, len);
		if (e != HTTP1_MORE || !lf)
			return e;
		begin = p->line.data;
		len = p->line.len;
		p->line.len = 0; /* the bytes stay until the next part */
	}
	l->cr = len && begin[len - 1] == '\r';
	l->data = begin;
	l->len = len - l->cr;
	e = check_bytes(p, l->data, l->len);
	if (e != HTTP1_MORE)
		return e;
	bool of_head = p->state == HTTP1_AT_STATUS || p->state == HTTP1_AT_FIELD;
	if (of_head && memchr(l->data, '\0', l->len))
		return bad(p, "a NUL in the head");
	return HTTP1_END;
}

/* ---- the head ---- */

/* What comes behind the version, which is told as 10, 11 or 20; NULL: it is none. A few servers
 * say HTTP/2 over a connection that is not. */
static const char *skip_version(const char *s, size_t len, int *version)
{
	static const struct {
		const char *text;
		int version;
	} versions[] = { { "1.1 ", 11 }, { "1.0 ", 10 }, { "2.0 ", 20 }, { "2 ", 20 } };
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		size_t n = strlen(versions[i].text);
		if (len >= n && memcmp(s, versions[i].text, n) == 0) {
			*version = versions[i].version;
			return s + n;
		}
	}
	return NULL;
}

const char *http1_status_line(const char *line, size_t len, int *status, int *version)
{
	const char *end = line + len;
	if (len < 5 || memcmp(line, "HTTP/", 5) != 0)
		return NO_STATUS_LINE;
	const char *s = skip_version(line + 5, len - 5, version);
	if (!s)
		return "an HTTP version that is none of 1.0, 1.1 and 2";
	if (end - s < 3 || !is_digit(s[0]) || !is_digit(s[1]) || !is_digit(s[2]) ||
	    (end - s > 3 && is_digit(s[3])))
		return "a status in the HTTP head that is no number of three digits";
	*status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	return *status < 100 ? "a status in the HTTP head below 100" : NULL;
}

static enum http1_event take_status(struct http1 *p, const struct line *l)
{
	int status;
	const char *problem = http1_status_line(l->data, l->len, &status, &p->head.version);
	if (problem)
		return bad(p, problem);
	p->head.status = status;
	p->head.has_length = p->head.has_coding = p->head.chunked = false;
	p->head.close |= p->head.version != 11;
	p->head.content_type[0] = '\0';
	p->before = HTTP1_STATUS;
	p->state = HTTP1_AT_FIELD;
	return HTTP1_MORE;
}

/* Is it the name, which is given in small letters? */
static bool is_name(const char *data, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lower(data[i]) != name[i])
			return false;
	return true;
}

#define NAME_IS(data, len, name)                                                                   \
	((len) == sizeof(name) - 1 && is_name(data, name, sizeof(name) - 1))

/* The next item of a list, without the blanks around it; false: there is none. */
static bool next_item(const char **at, const char *end, const char **item, size_t *len)
{
	if (*at > end)
		return false;
	const char *v = *at, *comma = memchr(v, ',', (size_t)(end - v));
	const char *last = comma ? comma : end;
	*at = last + 1;
	while (v < last && is_blank(*v))
		v++;
	while (last > v && is_blank(last[-1]))
		last--;
	*item = v;
	*len = (size_t)(last - v);
	return true;
}

/* Digits; UINT64_MAX for more than libcurl can count. */
static bool read_length(const char *v, size_t len, uint64_t *out)
{
	uint64_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(v[i]))
			return false;
		n = n > INT64_MAX / 10 ? UINT64_MAX : n * 10 + (uint64_t)(v[i] - '0');
	}
	*out = n > INT64_MAX ? UINT64_MAX : n;
	return len > 0;
}

/* May be told several times, also in one field (RFC 9110, 8.6). */
static enum http1_event take_length(struct http1 *p, const char *v, size_t len)
{
	const char *end = v + len, *item;
	uint64_t n;
	while (next_item(&v, end, &item, &len)) {
		if (!read_length(item, len, &n))
			return bad(p, "a Content-Length of the HTTP head that is no length");
		if (p->head.has_length && p->head.length != n)
			return bad(p, "two Content-Lengths in the HTTP head that differ");
		p->head.has_length = true;
		p->head.length = n;
		p->head.close |= n == UINT64_MAX;
	}
	return HTTP1_MORE;
}

static enum http1_event take_coding(struct http1 *p, const char *v, size_t len)
{
	const char *end = v + len, *item;
	p->head.has_coding = true;
	while (next_item(&v, end, &item, &len)) {
		if (NAME_IS(item, len, "chunked"))
			p->head.chunked = true;
		else if (len && !NAME_IS(item, len, "identity"))
			return bad(p, "a Transfer-Encoding in the HTTP head other than chunked");
	}
	p->head.close |= !p->head.chunked;
	return HTTP1_MORE;
}

/* Is the word, which is given in small letters, in there? */
static bool holds(const char *v, size_t len, const char *word)
{
	size_t n = strlen(word);
	for (; len >= n; v++, len--)
		if (is_name(v, word, n))
			return true;
	return false;
}

/* As libcurl: the words count wherever they stand, and what keeps goes first. */
static void take_connection(struct http1 *p, const char *v, size_t len)
{
	if (p->head.version == 10 && holds(v, len, "keep-alive"))
		p->head.close = false;
	else if (holds(v, len, "close"))
		p->head.close = true;
}

static void take_type(struct http1 *p, const char *v, size_t len)
{
	if (!len)
		return; /* says nothing */
	size_t n = len < sizeof(p->head.content_type) - 1 ? len : sizeof(p->head.content_type) - 1;
	memcpy(p->head.content_type, v, n);
	p->head.content_type[n] = '\0';
}

/* The length of the token (RFC 9110, 5.6.2: letters, digits and some marks) at s. */
static size_t token_len(const char *s, size_t len)
{
	/* Bits of the characters 32..63, 64..95 and 96..127. */
	static const uint32_t tokens[] = { 0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0 };
	size_t i = 0;
	while (i < len && tokens[(unsigned char)s[i] / 32] >> ((unsigned char)s[i] % 32) & 1)
		i++;
	return i;
}

/* Do its letters name a field that says where the body ends, whatever is between them? */
static bool resembles_framing(const char *s, size_t len)
{
	static const char *const names[] = { "contentlength", "transferencoding" };
	size_t at[] = { 0, 0 }; /* in the names */
	for (size_t i = 0; i < len; i++) {
		char c = lower(s[i]);
		if (c < 'a' || c > 'z')
			continue;
		for (size_t k = 0; k < 2; k++) {
			at[k] = c == names[k][at[k]] ? at[k] + 1 : c == names[k][0];
			if (!names[k][at[k]])
				return true;
		}
	}
	return false;
}

/* A line that is no field is passed over, as by libcurl, unless some reader could take it for
 * one that says where the body ends. */
static enum http1_event take_odd_line(struct http1 *p, const struct line *l)
{
	const char *colon = memchr(l->data, ':', l->len);
	size_t name = colon ? (size_t)(colon - l->data) : l->len;
	bool folded = is_blank(l->data[0]);
	if (!colon && !folded)
		return bad(p, NO_COLON);
	bool framing = resembles_framing(l->data, name);
	if (folded && (framing || p->before != HTTP1_FIELD))
		return bad(p, "a folded line in the HTTP head");
	if (!framing)
		return HTTP1_MORE;
	return bad(p, is_blank(colon[-1]) ? "a blank before a colon in the HTTP head"
	                                  : "a malformed field name in the HTTP head");
}

/* A field's line into its parts, without the blanks around the value; false: it is none. */
static bool split_field(const struct line *l, size_t *name, const char **value, size_t *len)
{
	*name = token_len(l->data, l->len);
	if (!*name || *name == l->len || l->data[*name] != ':')
		return false;
	const char *v = l->data + *name + 1, *end = l->data + l->len;
	while (v < end && is_blank(*v))
		v++;
	while (end > v && is_blank(end[-1]))
		end--;
	*value = v;
	*len = (size_t)(end - v);
	return true;
}

/* By its status. */
static bool has_body(const struct http1 *p)
{
	return p->head.status >= 200 && p->head.status != 204 && p->head.status != 304;
}

static enum http1_event end_head(struct http1 *p)
{
	if (p->head.status == 101)
		return bad(p, HTTP1_SWITCH);
	if (p->head.status < 200) {
		p->state = HTTP1_AT_STATUS;
		return HTTP1_MORE;
	}
	if (p->head.has_coding && p->head.has_length)
		return bad(p, "both Transfer-Encoding and Content-Length in the HTTP head");
	/* Of HTTP/1.0 chunks say nothing of what comes after them. */
	p->keep = !p->head.close && (p->head.version != 10 || !p->head.chunked);
	if (p->is_head || !has_body(p)) {
		p->state = HTTP1_AT_END;
	} else if (p->head.chunked) {
		p->state = HTTP1_AT_CHUNK_SIZE;
	} else if (p->head.has_length && p->head.length != UINT64_MAX) {
		p->left = p->head.length;
		p->state = p->left ? HTTP1_AT_LENGTH : HTTP1_AT_END;
	} else {
		p->keep = false;
		p->state = HTTP1_AT_CLOSE;
	}
	return HTTP1_HEAD;
}

static enum http1_event take_framing(struct http1 *p, bool is_length, const char *v, size_t len)
{
	p->before = HTTP1_FRAMING;
	if (!has_body(p))
		return HTTP1_MORE;
	return is_length ? take_length(p, v, len) : take_coding(p, v, len);
}

static enum http1_event take_field(struct http1 *p, const struct line *l)
{
	size_t name, len;
	const char *value;
	if (!l->len)
		return end_head(p);
	if (!split_field(l, &name, &value, &len))
		return take_odd_line(p, l);
	bool is_length = NAME_IS(l->data, name, "content-length");
	if (is_length || NAME_IS(l->data, name, "transfer-encoding"))
		return take_framing(p, is_length, value, len);
	p->before = HTTP1_FIELD;
	if (NAME_IS(l->data, name, "connection"))
		take_connection(p, value, len);
	else if (NAME_IS(l->data, name, "content-type"))
		take_type(p, value, len);
	return HTTP1_MORE;
}

/* ---- chunks ---- */

static int hex_value(char c)
{
	c = lower(c);
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void begin_chunk(struct http1 *p, uint64_t len)
{
	p->left = len;
	p->state = len ? HTTP1_AT_CHUNK : HTTP1_AT_TRAILER;
}

/* A size that is whole and has nothing behind it, as nearly all are. */
static bool take_plain_size(struct http1 *p, const char **at, const char *end)
{
	const char *s = *at;
	uint64_t n = 0;
	for (int v; s < end && s - *at < 15 && (v = hex_value(*s)) >= 0; s++)
		n = n * 16 + (uint64_t)v;
	if (p->line.len || s == *at || end - s < 2 || s[0] != '\r' || s[1] != '\n')
		return false;
	*at = s + 2;
	begin_chunk(p, n);
	return true;
}

static enum http1_event take_chunk_size(struct http1 *p, const struct line *l)
{
	size_t i = 0;
	uint64_t n = 0;
	if (!l->cr)
		return bad(p, "a chunk's size that does not end in CR LF");
	for (int v; i < l->len && (v = hex_value(l->data[i])) >= 0; i++) {
		if (i == 16)
			return bad(p, "a chunk's size is too large");
		n = n * 16 + (uint64_t)v;
	}
	if (!i)
		return bad(p, "a chunk's size is no hexadecimal number");
	if (n > INT64_MAX)
		return bad(p, "a chunk's size is too large");
	while (i < l->len && is_blank(l->data[i]))
		i++;
	if (i < l->len && l->data[i] != ';')
		return bad(p, "a chunk's size is no hexadecimal number");
	begin_chunk(p, n);
	return HTTP1_MORE;
}

/* What it says is of no use to anyone. */
static enum http1_event take_trailer(struct http1 *p, const struct line *l)
{
	if (l->len && !is_blank(l->data[0]) && !memchr(l->data, ':', l->len))
		return bad(p, NO_COLON);
	if (l->len)
		return HTTP1_MORE;
	p->state = HTTP1_AT_END;
	return HTTP1_END;
}

static enum http1_event take_chunk_end(struct http1 *p, const char **at)
{
	char want = p->state == HTTP1_AT_CHUNK_CR ? '\r' : '\n';
	if (**at != want)
		return bad(p, "a chunk is longer than its size");
	(*at)++;
	p->state = want == '\r' ? HTTP1_AT_CHUNK_LF : HTTP1_AT_CHUNK_SIZE;
	return HTTP1_MORE;
}

/* ---- all of it ---- */

/* Up to `left` bytes of the body; `after` is what follows the last one. */
static enum http1_event take_body(struct http1 *p, const char **at, const char *end,
                                  enum http1_state after)
{
	size_t have = (size_t)(end - *at);
	p->data = *at;
	p->len = have < p->left ? have : (size_t)p->left;
	*at += p->len;
	p->left -= p->len;
	if (!p->left)
		p->state = after;
	return HTTP1_BODY;
}

static enum http1_event take_line(struct http1 *p, const char **at, const char *end)
{
	struct line l;
	enum http1_event e = read_line(p, at, end, &l);
	if (e != HTTP1_END)
		return e;
	switch (p->state) {
	case HTTP1_AT_STATUS:
		return take_status(p, &l);
	case HTTP1_AT_FIELD:
		return take_field(p, &l);
	case HTTP1_AT_TRAILER:
		return take_trailer(p, &l);
	default:
		return take_chunk_size(p, &l);
	}
}

/* Is it the latest head once more? Then it is taken. */
static bool take_known(struct http1 *p, const char **at, const char *end)
{
	const struct http1_known *k = p->known;
	if (p->begun || !k || !k->len || (size_t)(end - *at) < k->len ||
	    memcmp(*at, k->bytes, k->len) != 0)
		return false;
	*at += k->len;
	p->begun = true;
	p->head = k->head;
	return true;
}

static void remember(struct http1 *p, const char *head, size_t len)
{
	struct http1_known *k = p->known;
	if (!k || len > sizeof(k->bytes))
		return;
	k->head = p->head;
	k->len = len;
	memcpy(k->bytes, head, len);
}

enum http1_event http1_next(struct http1 *p, const char **at, const char *end)
{
	enum http1_event e = HTTP1_MORE;
	const char *head = p->begun ? NULL : *at;
	if (p->state == HTTP1_AT_END)
		return HTTP1_END;
	if (take_known(p, at, end))
		return end_head(p);
	while (e == HTTP1_MORE && *at < end) {
		switch (p->state) {
		case HTTP1_AT_LENGTH:
			return take_body(p, at, end, HTTP1_AT_END);
		case HTTP1_AT_CHUNK:
			return take_body(p, at, end, HTTP1_AT_CHUNK_CR);
		case HTTP1_AT_CLOSE:
			p->left = UINT64_MAX;
			return take_body(p, at, end, HTTP1_AT_CLOSE);
		case HTTP1_AT_CHUNK_CR:
		case HTTP1_AT_CHUNK_LF:
			e = take_chunk_end(p, at);
			break;
		case HTTP1_AT_CHUNK_SIZE:
			if (!take_plain_size(p, at, end))
				e = take_line(p, at, end);
			break;
		default:
			e = take_line(p, at, end);
		}
	}
	if (e == HTTP1_HEAD && head)
		remember(p, head, (size_t)(*at - head));
	return e;
}

/* Is all there but the last LF? */
static bool lacks_lf_alone(const struct http1 *p)
{
	return p->state == HTTP1_AT_TRAILER && p->line.len == 1 && p->line.data[0] == '\r';
}

enum http1_event http1_finish(struct http1 *p)
{
	if (lacks_lf_alone(p))
		p->state = HTTP1_AT_END;
	switch (p->state) {
	case HTTP1_AT_CLOSE:
	case HTTP1_AT_END:
		p->state = HTTP1_AT_END;
		return HTTP1_END;
	case HTTP1_AT_STATUS:
	case HTTP1_AT_FIELD:
		p->error = p->begun ? "the connection was closed within the head of the answer"
		                    : "the connection was closed before an answer came";
		return HTTP1_CUT;
	default:
		p->error = "the connection was closed before the body of the answer ended";
		return HTTP1_CUT;
	}
}
