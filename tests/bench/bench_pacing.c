/* How exactly arrivals are issued, as JSON lines: the loop and the pacer alone, against an
 * endpoint that costs nothing.
 *   bench_pacing [SECONDS] [SPIN_US]   of each row (default 2); the longest spin */
#include "session/floor.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static void row(double rate, enum floor_arrivals arrivals, uint64_t duration_ns, uint64_t spin_ns)
{
	struct floor_pacing p;
	if (floor_pacing(&p, rate, arrivals, duration_ns, spin_ns))
		exit(1);
	printf("{\"bench\":\"pacing\",\"arrivals\":\"%s\",\"rate\":%.0f,\"issued\":%llu,"
	       "\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.1f,\"cpu_share\":%.3f,"
	       "\"spin_share\":%.3f,\"window_us\":%.1f,\"grain_us\":%.1f}\n",
	       arrivals == FLOOR_POISSON ? "poisson" : "constant", rate,
	       (unsigned long long)p.lateness.count, (double)p.lateness.p50_ns / 1e3,
	       (double)p.lateness.p99_ns / 1e3, (double)p.lateness.max_ns / 1e3, p.cpu_share,
	       p.spin_share, (double)p.loop.window_ns / 1e3, (double)p.loop.grain_ns / 1e3);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const double rates[] = { 100, 1000, 10000, 50000, 100000 };
	uint64_t duration_ns = clock_from_seconds(argc > 1 ? strtod(argv[1], NULL) : 2);
	uint64_t spin_ns = argc > 2 ? (uint64_t)(strtod(argv[2], NULL) * 1e3) : LOOP_SPIN_DEFAULT;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		row(rates[i], FLOOR_POISSON, duration_ns, spin_ns);
		row(rates[i], FLOOR_CONSTANT, duration_ns, spin_ns);
	}
	return 0;
}
