/* msgpack_skip() of any bytes stays inside them and agrees with a value by value walk. */
#include "events/msgpack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct msgpack whole, walk;
	struct msgpack_value v;
	msgpack_init(&whole, (const char *)data, size);
	int skipped = msgpack_skip(&whole, 1);
	msgpack_init(&walk, (const char *)data, size);
	int walked = msgpack_next(&walk, &v);
	if (!walked)
		walked = msgpack_skip_rest(&walk, &v);
	if (skipped != walked || (!skipped && whole.at != walk.at) || whole.at > whole.end)
		abort();
	return 0;
}
