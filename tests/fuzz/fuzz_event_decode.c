/* event_decode() and event_unpack() of any bytes; what they accept must survive a round trip. */
#include "base/status.h"
#include "events/event.h"
#include "events/event_names.h"

#include <stdlib.h>

#define ROOM  64
#define LIMIT ((size_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void own_names(struct event_names *names)
{
	struct buffer list;
	buffer_init(&list, LIMIT);
	if (event_names_put(&list) || event_names_read(names, list.data, list.len))
		abort();
	buffer_free(&list);
}

static void assert_same(const struct event *a, const struct event *b)
{
	if (a->type != b->type || a->seq != b->seq || a->chunk_us_count != b->chunk_us_count)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event e, again;
	struct event_names names;
	uint32_t space[ROOM], space_again[ROOM];
	own_names(&names);
	event_names_read(&(struct event_names){ 0 }, (const char *)data, size);
	if (event_unpack(&e, &names, (const char *)data, size, space, ROOM))
		return 0;
	struct buffer out;
	buffer_init(&out, LIMIT);
	if (event_encode(&e, &out) || event_decode(&again, out.data, out.len, space_again, ROOM))
		abort();
	assert_same(&e, &again);
	buffer_clear(&out);
	if (event_pack(&e, &out) ||
	    event_unpack(&again, &names, out.data, out.len, space_again, ROOM))
		abort();
	assert_same(&e, &again);
	buffer_clear(&out);
	if (event_json(&e, &out))
		abort();
	buffer_free(&out);
	return 0;
}
