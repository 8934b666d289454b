/* CPU per record of the fold alone: pairs of issue and complete, made beforehand.
 *   build/cc/bench/bench_fold [requests] [gaps per response] [tags] */
#include "base/clock.h"
#include "metrics/fold.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GAPS_MAX 1024
#define RING     1024 /* requests that are made before the clock runs, and put again and again */
#define T0       1700000000000ULL

static uint32_t gaps[GAPS_MAX];
static char names[RING][16];

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void make(struct event *issued, struct event *complete, uint32_t i, uint32_t gap_count,
                 uint32_t tags)
{
	event_init(issued, EVENT_SAMPLE_ISSUED, T0 + i * 1000ULL);
	issued->phase = 0;
	issued->index = i;
	issued->uuid[0] = i * 0x9e3779b97f4a7c15ULL + 1;
	issued->uuid[1] = i;
	issued->scheduled_ns = issued->timestamp_ns - 500;
	if (tags) {
		int n = snprintf(names[i], sizeof(names[i]), "tag-%u", i % tags);
		issued->tag = (struct slice){ names[i], (size_t)n };
	}
	*complete = *issued;
	complete->type = EVENT_SAMPLE_COMPLETE;
	complete->issued_ns = issued->timestamp_ns;
	complete->timestamp_ns += 5000000 + i * 7919ULL % 3000000;
	complete->sent_ns = complete->issued_ns + 1000;
	complete->first_byte_ns = complete->issued_ns + 90000 + i * 131;
	complete->first_ns = complete->issued_ns + 100000 + i * 131;
	complete->http_status = 200;
	complete->chunks = gap_count + 1;
	complete->chunk_us = gaps;
	complete->chunk_us_count = gap_count;
	complete->bytes_in = 4000;
	complete->bytes_out = 600;
	complete->tokens_in = 100;
	complete->tokens_out = 128;
	complete->finish_reason = (struct slice){ "stop", 4 };
}

int main(int argc, char **argv)
{
	uint64_t requests = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
	uint32_t gap_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 16;
	uint32_t tags = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	struct event *issued = calloc(RING, sizeof(*issued));
	struct event *complete = calloc(RING, sizeof(*complete));
	struct fold *f;
	if (!issued || !complete || gap_count > GAPS_MAX || fold_new(&f))
		return 1;
	for (uint32_t i = 0; i < gap_count; i++)
		gaps[i] = 900 + i * 7;
	for (uint32_t i = 0; i < RING; i++)
		make(&issued[i], &complete[i], i, gap_count, tags);
	double from = cpu_ns();
	for (uint64_t i = 0; i < requests; i++) {
		struct event *a = &issued[i % RING], *b = &complete[i % RING];
		fold_put(f, a);
		fold_put(f, b);
		/* The next round of the ring happens later. */
		a->timestamp_ns += RING * 1000;
		a->scheduled_ns += RING * 1000;
		b->scheduled_ns += RING * 1000;
		b->issued_ns += RING * 1000;
		b->first_byte_ns += RING * 1000;
		b->first_ns += RING * 1000;
		b->timestamp_ns += RING * 1000;
	}
	double took = cpu_ns() - from;
	printf("{\"bench\":\"fold\",\"records\":%llu,\"gaps_per_response\":%u,\"tags\":%u,"
	       "\"cpu_ns_per_record\":%.1f}\n",
	       (unsigned long long)requests * 2, gap_count, tags, took / (double)(requests * 2));
	fold_free(f);
	free(issued);
	free(complete);
	return 0;
}
