/* event_decode() of any bytes; what it accepts must survive a round trip. */
#include "base/status.h"
#include "events/event.h"

#include <stdlib.h>

#define ROOM  64
#define LIMIT ((size_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event e, again;
	uint32_t space[ROOM], space_again[ROOM];
	if (event_decode(&e, (const char *)data, size, space, ROOM))
		return 0;
	struct buffer out;
	buffer_init(&out, LIMIT);
	if (event_encode(&e, &out) || event_decode(&again, out.data, out.len, space_again, ROOM))
		abort();
	if (again.type != e.type || again.seq != e.seq || again.chunk_us_count != e.chunk_us_count)
		abort();
	buffer_clear(&out);
	if (event_json(&e, &out))
		abort();
	buffer_free(&out);
	return 0;
}
