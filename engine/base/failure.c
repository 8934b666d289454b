#include "base/failure.h"

#include <string.h>

static const struct {
	const char *name;
	const char *text;
} table[FAILURE_COUNT] = {
#define X(id, name, text) [FAILURE_##id] = { name, text },
	FAILURE_MAP(X)
#undef X
};

const char *failure_name(enum failure f)
{
	return (unsigned)f < FAILURE_COUNT ? table[f].name : "unknown";
}

const char *failure_text(enum failure f)
{
	return (unsigned)f < FAILURE_COUNT ? table[f].text : "unknown failure";
}

enum failure failure_from_name(const char *name, size_t len)
{
	for (int i = 0; i < FAILURE_COUNT; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return (enum failure)i;
	return FAILURE_COUNT;
}
