#include "base/clock.h"

#include <time.h>

#define OFFSET_READS 5 /* one of them is hardly ever interrupted */

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts); /* cannot fail for the ids used here */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t clock_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* What another clock is ahead of CLOCK_MONOTONIC, as a difference modulo 2^64. Of several reads
 * the one that lies between the closest two of CLOCK_MONOTONIC. */
static uint64_t offset_of(clockid_t id)
{
	uint64_t best = UINT64_MAX, offset = 0;
	for (int i = 0; i < OFFSET_READS; i++) {
		uint64_t before = clock_now(), other = read_clock(id);
		uint64_t width = clock_now() - before;
		if (width >= best)
			continue;
		best = width;
		offset = other - before - width / 2;
	}
	return offset;
}

uint64_t clock_realtime_at(uint64_t monotonic_ns)
{
	return monotonic_ns + offset_of(CLOCK_REALTIME);
}

uint64_t clock_suspended(void)
{
#ifdef CLOCK_BOOTTIME
	uint64_t offset = offset_of(CLOCK_BOOTTIME);
	return (int64_t)offset > 0 ? offset
	                           : 0; /* a machine that never slept reads as some ns below */
#else
	return 0;
#endif
}

uint64_t clock_thread_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_cpu_of(pthread_t thread)
{
#ifdef __linux__
	clockid_t id;
	struct timespec ts;
	if (pthread_getcpuclockid(thread, &id) == 0 && clock_gettime(id, &ts) == 0)
		return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
#else
	(void)thread;
#endif
	return 0;
}

uint64_t clock_from_seconds(double s)
{
	double ns = s * 1e9;
	if (!(ns > 0))
		return 0;
	return ns >= 9.2e18 ? (uint64_t)9.2e18 : (uint64_t)(ns + 0.5);
}
