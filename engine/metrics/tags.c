#include "metrics/tags.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS (sizeof(((struct tags *)0)->slots) / sizeof(uint16_t))

void tags_free(struct tags *t)
{
	for (int i = 0; i < t->count; i++) {
		tally_free(&t->list[i]->tally);
		free(t->list[i]);
	}
}

/* FNV-1a: names are short. */
static uint32_t hash(struct slice name)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.data[i]) * 16777619u;
	return h;
}

/* Where the name stands, or the free slot for it: the table is never full. */
static uint16_t *find(struct tags *t, struct slice name)
{
	for (size_t i = hash(name) % SLOTS;; i = (i + 1) % SLOTS) {
		uint16_t *slot = &t->slots[i];
		if (!*slot)
			return slot;
		const char *known = t->list[*slot - 1]->name;
		if (strncmp(known, name.data, name.len) == 0 && known[name.len] == '\0')
			return slot;
	}
}

struct tag *tags_get(struct tags *t, struct slice text)
{
	char buf[TAGS_NAME_SIZE];
	struct slice name = { buf, utf8_fit(buf, sizeof(buf), text.data, text.len) };
	uint16_t *slot = find(t, name);
	if (!*slot && t->count >= TAGS_MAX - 1) {
		t->full = true;
		name = (struct slice){ TAGS_OTHER, sizeof(TAGS_OTHER) - 1 };
		slot = find(t, name);
	}
	if (*slot)
		return t->list[*slot - 1];
	struct tag *tag = calloc(1, sizeof(*tag));
	if (!tag)
		return NULL;
	memcpy(tag->name, name.data, name.len);
	t->list[t->count++] = tag;
	*slot = (uint16_t)t->count;
	return tag;
}
