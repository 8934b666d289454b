/* clock.h - the only place that reads a clock. Nanoseconds; safe on any thread. */
#ifndef PERIGEE_BASE_CLOCK_H
#define PERIGEE_BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

/* CLOCK_MONOTONIC: what every time stamp of the engine is. */
uint64_t clock_now(void);

/* CLOCK_REALTIME, for the one pair that ties a session to the calendar. */
uint64_t clock_realtime(void);

/* CLOCK_REALTIME at a moment of clock_now(), to about a microsecond. */
uint64_t clock_realtime_at(uint64_t monotonic_ns);

/* How long the machine has slept since its start: what CLOCK_BOOTTIME counts beside
 * CLOCK_MONOTONIC; 0 where that cannot be told. */
uint64_t clock_suspended(void);

/* CPU time used by the calling thread. */
uint64_t clock_thread_cpu(void);

/* The same of another thread of the process, which has not been joined. 0: it has ended, or the
 * system (macOS) does not tell. */
uint64_t clock_cpu_of(pthread_t thread);

/* A counter of the CPU that runs at a constant rate and is read in a few nanoseconds, for
 * spans alone: its unit is unknown (see meter.h), and where the CPU has none it is clock_now(). */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return clock_now();
#endif
}

/* Seconds to nanoseconds, clamped to [0, 2^63). NaN becomes 0. */
uint64_t clock_from_seconds(double s);

#endif
