#include "mock/fault.h"

#include <string.h>

static const char *const names[MOCK_FAULT_COUNT] = {
#define X(id, name) [MOCK_FAULT_##id] = name,
	MOCK_FAULT_MAP(X)
#undef X
};

static enum mock_fault find(const char *name, size_t len)
{
	int i = 0;
	while (i < MOCK_FAULT_COUNT &&
	       (strlen(names[i]) != len || memcmp(names[i], name, len) != 0))
		i++;
	return (enum mock_fault)i;
}

enum mock_fault mock_fault_from_name(const char *name)
{
	return find(name, strlen(name));
}

const char *mock_fault_name(enum mock_fault f)
{
	return (unsigned)f < MOCK_FAULT_COUNT ? names[f] : NULL;
}

static bool parse_status(struct fault *f, const char *s, size_t len)
{
	if (len != 3)
		return false;
	int v = 0;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	f->status = v;
	return v >= 400 && v <= 599;
}

int fault_parse(struct fault *f, const char *value, size_t len)
{
	const char *equals = memchr(value, '=', len);
	size_t name = equals ? (size_t)(equals - value) : len;
	f->kind = find(value, name);
	if (f->kind == MOCK_FAULT_COUNT)
		return STATUS_EINVAL;
	if (!equals)
		return STATUS_OK;
	bool ok = f->kind == MOCK_FAULT_STATUS && parse_status(f, equals + 1, len - name - 1);
	return ok ? STATUS_OK : STATUS_EINVAL;
}

enum mock_fault fault_draw(const double probability[MOCK_FAULT_COUNT], struct rng *r)
{
	double u = rng_uniform(r);
	for (int i = 0; i < MOCK_FAULT_COUNT; i++) {
		u -= probability[i];
		if (u < 0)
			return (enum mock_fault)i;
	}
	return MOCK_FAULT_COUNT;
}
