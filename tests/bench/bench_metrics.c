/* Records per second through `perigee metrics`, in a process of its own: from the
 * first record published to the end of that process. Run from the tree's root:
 *   build/cc/bench/bench_metrics [records] [gaps per response] */
#include "base/clock.h"
#include "base/process.h"
#include "events/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define ADDRESS  "ipc:///tmp/perigee-bench-metrics"
#define FINAL    "/tmp/perigee-bench-metrics.json"
#define HELD_MAX ((size_t)64 << 20) /* then the subscriber sets the pace */
#define GAPS_MAX 1024
#define T0       1700000000000ULL
#define WAIT_S   120

static struct loop *loop;
static struct publisher *publisher;
static uint64_t seq;
static uint32_t gaps[GAPS_MAX];

static void die(const char *what)
{
	fprintf(stderr, "bench_metrics: %s\n", what);
	exit(1);
}

static void put(struct event *e)
{
	struct publisher_stats st;
	e->seq = seq++;
	if (publisher_put(publisher, e))
		die("a record was dropped");
	if (seq % 1024)
		return;
	publisher_stats(publisher, &st);
	while (st.held > HELD_MAX) {
		loop_turn(loop, NS_PER_MS);
		publisher_stats(publisher, &st);
	}
}

static void put_plain(enum event_type type, int32_t phase)
{
	struct event e;
	event_init(&e, type, T0 + seq);
	e.phase = phase;
	e.name = (struct slice){ "steady", 6 };
	e.kind = (struct slice){ "performance", 11 };
	put(&e);
}

static void put_request(uint64_t i, uint32_t gap_count)
{
	struct event e;
	event_init(&e, EVENT_SAMPLE_ISSUED, T0 + i * 1000);
	e.phase = 0;
	e.index = (int64_t)(i % 1000);
	e.uuid[0] = i * 0x9e3779b97f4a7c15ULL;
	e.uuid[1] = i;
	e.scheduled_ns = e.timestamp_ns - 500;
	put(&e);
	e.type = EVENT_SAMPLE_COMPLETE;
	e.issued_ns = e.timestamp_ns;
	e.timestamp_ns += 5000000 + i % 1000000;
	e.sent_ns = e.first_byte_ns = e.issued_ns + 1000;
	e.first_ns = e.issued_ns + 100000;
	e.http_status = 200;
	e.chunks = gap_count + 1;
	e.chunk_us = gaps;
	e.chunk_us_count = gap_count;
	e.bytes_in = 4000;
	e.bytes_out = 600;
	e.tokens_in = 100;
	e.tokens_out = 128;
	e.finish_reason = (struct slice){ "stop", 4 };
	put(&e);
}

static struct process *start(void)
{
	static const char *const argv[] = { "scripts/perigee", "metrics", "--connect", ADDRESS,
		                            "--out",           FINAL,     "--quiet",   NULL };
	struct process *p;
	struct error e;
	char line[256];
	if (process_spawn(&p, argv, &e))
		die(e.text);
	if (process_read_line(p, line, sizeof(line), clock_now() + 20 * NS_PER_S) < 0 ||
	    publisher_await(publisher, 1, clock_now() + 20 * NS_PER_S))
		die("perigee metrics did not subscribe");
	return p;
}

int main(int argc, char **argv)
{
	uint64_t records = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
	uint32_t gap_count = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 16;
	struct publisher_config config = { .address = ADDRESS };
	struct error e;
	struct rusage used;
	int status;
	if (gap_count > GAPS_MAX || loop_new(&loop) ||
	    publisher_open(&publisher, loop, &config, &e))
		die("cannot begin");
	for (uint32_t i = 0; i < gap_count; i++)
		gaps[i] = 900 + i * 7;
	struct process *p = start();
	uint64_t from = clock_now();
	put_plain(EVENT_SESSION_STARTED, EVENT_NONE);
	put_plain(EVENT_PHASE_START, 0);
	for (uint64_t i = 0; i < records / 2; i++)
		put_request(i, gap_count);
	put_plain(EVENT_PHASE_END, 0);
	put_plain(EVENT_SESSION_ENDED, EVENT_NONE);
	publisher_close(publisher, clock_now() + WAIT_S * NS_PER_S, NULL);
	if (process_wait(p, &status, clock_now() + WAIT_S * NS_PER_S) || status)
		die("perigee metrics failed");
	double wall_s = (double)(clock_now() - from) / 1e9;
	process_stop(p, clock_now());
	getrusage(RUSAGE_CHILDREN, &used);
	double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	               (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	printf("{\"bench\":\"metrics\",\"records\":%llu,\"gaps_per_response\":%u,\"records_per_s\":"
	       "%.0f,"
	       "\"cpu_ns_per_record\":%.0f,\"max_rss_mb\":%.1f}\n",
	       (unsigned long long)seq, gap_count, (double)seq / wall_s, cpu_s * 1e9 / (double)seq,
	       (double)used.ru_maxrss / 1024);
	remove(FINAL);
	loop_free(loop);
	return 0;
}
