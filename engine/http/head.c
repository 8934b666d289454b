#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_LIMIT ((size_t)16 << 20)

/* ---- the target of a request ---- */

/* Up to and with the last slash before `len`, but not below `floor`. */
static size_t parent(const char *path, size_t len, size_t floor)
{
	while (len > floor && path[--len] != '/')
		;
	return len;
}

/* Take "/./" and "/../" out of out->data[from..], up to the query (RFC 3986, 5.2.4):
 * libcurl sends no others. */
static void remove_dots(struct buffer *out, size_t from)
{
	char *s = out->data;
	const char *query = memchr(s + from, '?', out->len - from);
	size_t end = query ? (size_t)(query - s) : out->len, to = from;
	for (size_t at = from; at < end;) {
		size_t next = at + 1; /* past the slash; next: the end of the segment */
		while (next < end && s[next] != '/')
			next++;
		size_t n = next - at - 1;
		bool one = n == 1 && s[at + 1] == '.';
		bool two = n == 2 && s[at + 1] == '.' && s[at + 2] == '.';
		if (two)
			to = parent(s, to, from);
		if (!one && !two) {
			memmove(s + to, s + at, next - at);
			to += next - at;
		} else if (next == end) {
			s[to++] = '/';
		}
		at = next;
	}
	memmove(s + to, s + end, out->len - end);
	out->len -= end - to;
}

/* The same for bytes that a url cannot have; libcurl leaves those of the query alone. */
static int encode_path(struct buffer *out, size_t from)
{
	int err = STATUS_OK;
	char *copy = strndup(out->data + from, out->len - from);
	if (!copy)
		return STATUS_ENOMEM;
	out->len = from;
	const char *s = copy;
	for (; !err && *s && *s != '?'; s++)
		err = (unsigned char)*s < 0x80 ? buffer_append(out, s, 1)
		                               : buffer_printf(out, "%%%02x", (unsigned char)*s);
	if (!err)
		err = buffer_append_str(out, s);
	free(copy);
	return err;
}

static bool has_high_bytes(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80)
			return true;
	return false;
}

static int put_target(struct buffer *out, const struct address *a, const char *path)
{
	size_t from = out->len;
	int err = buffer_append_str(out, a->prefix);
	if (!err)
		err = buffer_append_str(out, path ? path : "");
	if (!err && (out->len == from || out->data[from] != '/'))
		err = buffer_append_str(out, "/");
	if (!err && memmem(out->data + from, out->len - from, "/.", 2))
		remove_dots(out, from);
	if (!err && has_high_bytes(out->data + from, out->len - from))
		err = encode_path(out, from);
	return err;
}

/* ---- fields ---- */

/* Which fields the caller brings, or takes away. */
struct own_fields {
	bool host, accept, length, coding, chunked;
};

struct writer {
	struct buffer *out;
	struct own_fields own;
};

/* The value of a field that is called so; NULL when it is another. */
static const char *value_of(const char *header, const char *name)
{
	size_t n = strlen(name);
	if (strncasecmp(header, name, n) != 0 || header[n] != ':')
		return NULL;
	header += n + 1;
	return header + strspn(header, " \t");
}

static int note_field(void *arg, const char *header)
{
	struct own_fields *own = arg;
	const char *coding = value_of(header, "Transfer-Encoding");
	own->host |= value_of(header, "Host") != NULL;
	own->accept |= value_of(header, "Accept") != NULL;
	own->length |= value_of(header, "Content-Length") != NULL;
	own->coding |= coding != NULL;
	own->chunked |= coding && strncasecmp(coding, "chunked", 7) == 0;
	return STATUS_OK;
}

/* A length beside chunks would be a second one. */
static int put_field(void *arg, const char *header)
{
	struct writer *w = arg;
	const char *value = header + strcspn(header, ":") + 1;
	if (!value[strspn(value, " \t")])
		return STATUS_OK;
	if (w->own.chunked && value_of(header, "Content-Length"))
		return STATUS_OK;
	int err = buffer_append_str(w->out, header);
	return err ? err : buffer_append(w->out, "\r\n", 2);
}

/* All but the length and the empty line. x NULL: of the template. */
static int put_fields(struct buffer *out, const struct client *c, const struct address *a,
                      const struct exchange *x, struct own_fields *own)
{
	struct writer w = { .out = out };
	int err = buffer_append_str(out, x ? client_method(c, x) : c->method);
	if (!err)
		err = buffer_append(out, " ", 1);
	if (!err)
		err = put_target(out, a, x && x->path ? x->path : c->path);
	if (!err)
		err = buffer_append_str(out, " HTTP/1.1\r\n");
	client_each_header(c, x, note_field, &w.own);
	if (!err && !w.own.host)
		err = buffer_printf(out, "Host: %s\r\n", a->field);
	if (!err)
		err = client_each_header(c, x, put_field, &w);
	if (!err && !w.own.accept)
		err = buffer_append_str(out, "Accept: */*\r\n");
	*own = w.own;
	return err;
}

/* ---- the length ---- */

static int put_length(struct buffer *out, size_t n)
{
	char digits[24];
	size_t at = sizeof(digits) - 4;
	memcpy(digits + at, "\r\n\r\n", 4);
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	return buffer_append(out, digits + at, sizeof(digits) - at);
}

bool head_has_body(const struct client *c, const struct exchange *x)
{
	const char *method = x ? client_method(c, x) : c->method;
	return strcmp(method, "HEAD") != 0 && (!x || x->body || strcmp(method, "POST") == 0);
}

int head_template_init(struct head_template *t, const struct client *c, const struct address *a)
{
	struct own_fields own;
	buffer_init(&t->text, HEAD_LIMIT);
	int err = put_fields(&t->text, c, a, NULL, &own);
	if (!err && (own.length || own.coding || !head_has_body(c, NULL)))
		buffer_clear(&t->text);
	else if (!err)
		err = buffer_append_str(&t->text, "Content-Length: ");
	return err;
}

void head_template_free(struct head_template *t)
{
	buffer_free(&t->text);
}

int head_put(struct buffer *out, const struct head_template *t, const struct client *c,
             const struct address *a, const struct exchange *x, bool *framed)
{
	int err;
	*framed = false;
	if (t->text.len && x->body && !x->path && !x->method && !x->header_count) {
		err = buffer_append(out, t->text.data, t->text.len);
		return err ? err : put_length(out, x->body_len);
	}
	struct own_fields own;
	bool body = head_has_body(c, x);
	err = put_fields(out, c, a, x, &own);
	*framed = body && own.chunked;
	if (err || !body || own.length || own.chunked)
		return err ? err : buffer_append(out, "\r\n", 2);
	err = buffer_append_str(out, "Content-Length: ");
	return err ? err : put_length(out, x->body ? x->body_len : 0);
}

int head_put_chunk_begin(struct buffer *out, const struct exchange *x)
{
	size_t len = x->body ? x->body_len : 0;
	return len ? buffer_printf(out, "%zx\r\n", len) : STATUS_OK;
}

int head_put_chunk_end(struct buffer *out, const struct exchange *x)
{
	size_t len = x->body ? x->body_len : 0;
	return buffer_append_str(out, len ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
}
