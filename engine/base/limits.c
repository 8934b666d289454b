#include "base/limits.h"

#include <stdio.h>
#include <sys/resource.h>

uint64_t limits_raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return UINT64_MAX;
	if (limit.rlim_cur != limit.rlim_max) {
		struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };
		if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
			limit = raised;
	}
	return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : (uint64_t)limit.rlim_cur;
}

uint64_t limits_ports(void)
{
	unsigned from = 0, to = 0;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	if (!f)
		return 0;
	int got = fscanf(f, "%u %u", &from, &to);
	fclose(f);
	return got == 2 && to >= from ? (uint64_t)(to - from) + 1 : 0;
}
