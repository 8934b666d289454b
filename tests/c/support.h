/* support.h - what several C tests share. */
#ifndef PERIGEE_TESTS_SUPPORT_H
#define PERIGEE_TESTS_SUPPORT_H

#include "base/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define assert_ok(call) assert_int_equal((call), STATUS_OK)

/* Within an absolute distance. */
#define assert_near(a, b, distance) assert_near_at((a), (b), (distance), __FILE__, __LINE__)

static inline void assert_near_at(double a, double b, double distance, const char *file, int line)
{
	if (fabs(a - b) <= distance)
		return;
	print_error("%.17g is not within %g of %.17g\n", a, distance, b);
	_fail(file, line);
}

/* Bytes that end where reading on would end the process. */
struct guarded {
	char *data;
	void *map;
	size_t map_size;
};

static inline struct guarded guarded_copy(const char *data, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (len + page - 1) / page * page;
	struct guarded g = { .map_size = room + page };
	g.map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g.map != MAP_FAILED);
	g.data = (char *)g.map + room - len;
	memcpy(g.data, data, len);
	assert_int_equal(mprotect((char *)g.map + room, page, PROT_NONE), 0);
	return g;
}

static inline void guarded_free(struct guarded *g)
{
	munmap(g->map, g->map_size);
}

#endif
