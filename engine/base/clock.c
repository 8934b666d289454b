#include "base/clock.h"

#include <time.h>

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
