#include "events/event_names.h"

#include "base/status.h"
#include "events/event_keys.h"

#include <string.h>

int event_names_put(struct buffer *out)
{
	static const char names[] =
#define X(key, kind, member) key "\0"
		EVENT_KEYS(X) "\0"
#undef X
#define X(id, topic) topic "\0"
		EVENT_MAP(X); /* the literal's own NUL ends the list */
#undef X
	return buffer_append(out, names, sizeof(names));
}

static const struct event_key *find_key(const char *name, size_t len)
{
	for (unsigned i = 0; i < EVENT_KEY_COUNT; i++)
		if (event_keys[i].len == len && memcmp(event_keys[i].name, name, len) == 0)
			return &event_keys[i];
	return NULL;
}

/* The text at *at, which moves behind it. False: it has no end. */
static bool next_text(const char **at, const char *end, struct slice *out)
{
	const char *nul = memchr(*at, '\0', (size_t)(end - *at));
	if (!nul)
		return false;
	*out = (struct slice){ *at, (size_t)(nul - *at) };
	*at = nul + 1;
	return true;
}

int event_names_read(struct event_names *n, const char *data, size_t len)
{
	const char *at = data, *end = data + len;
	struct slice s;
	bool more;
	n->key_count = n->type_count = 0;
	while ((more = next_text(&at, end, &s)) && s.len && n->key_count < EVENT_NAMES_MAX)
		n->keys[n->key_count++] = find_key(s.data, s.len);
	if (!more || s.len)
		return STATUS_EPROTO;
	while ((more = next_text(&at, end, &s)) && s.len && n->type_count < EVENT_NAMES_MAX)
		n->types[n->type_count++] = event_type_of(s);
	return more && !s.len ? STATUS_OK : STATUS_EPROTO;
}

const struct event_key *event_names_key(const struct event_names *names, uint64_t number)
{
	return names && number < names->key_count ? names->keys[number] : NULL;
}

enum event_type event_names_type(const struct event_names *names, uint64_t number)
{
	return names && number < names->type_count ? names->types[number] : EVENT_CUSTOM;
}
