/* What `perigee events` costs: publishes RECORDS events to a real one, waits for it,
 * and prints its rate and the CPU of both sides as a line of JSON.
 *   bench_events RECORDS SUBSCRIPTIONS NAME command...    "ADDR" in the command: the address */
#include "base/clock.h"
#include "events/publisher.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE (600 * NS_PER_S)

static void die(const char *what)
{
	fprintf(stderr, "bench_events: %s\n", what);
	exit(1);
}

static pid_t start(char **command, const char *address)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (char **word = command; *word; word++)
		if (strcmp(*word, "ADDR") == 0)
			*word = strdup(address);
	execvp(*command, command);
	_exit(127);
}

static double cpu_of(int who)
{
	struct rusage u;
	getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

/* Issued, first content and end of one sample after the other. */
static void fill_event(struct event *e, uint64_t i)
{
	static const enum event_type types[] = { EVENT_SAMPLE_ISSUED, EVENT_SAMPLE_RECV_FIRST,
		                                 EVENT_SAMPLE_COMPLETE };
	uint64_t sample = i / 3;
	event_init(e, types[i % 3], 1700000000000ULL + i);
	e->phase = 0;
	e->worker_id = 1;
	e->index = (int64_t)(sample % 10000);
	e->uuid[0] = 0x5e5e5e5e5e5e5e5eULL; /* of the session */
	e->uuid[1] = (sample + 1) * 0x9e3779b97f4a7c15ULL;
	e->scheduled_ns = e->timestamp_ns - 500;
	if (e->type != EVENT_SAMPLE_COMPLETE)
		return;
	e->issued_ns = e->scheduled_ns;
	e->sent_ns = e->first_byte_ns = e->first_ns = e->timestamp_ns;
	e->http_status = 200;
	e->chunks = 16;
	e->bytes_in = 4000;
	e->bytes_out = 600;
	e->tokens_in = 100;
	e->tokens_out = 128;
	e->finish_reason = (struct slice){ "stop", 4 };
}

/* As often as it takes: nothing is to be dropped here. */
static void put(struct loop *loop, struct publisher *p, struct event *e)
{
	static uint64_t seq;
	e->seq = seq++;
	while (publisher_put(p, e))
		loop_turn(loop, NS_PER_MS);
}

static void publish(struct loop *loop, struct publisher *p, uint64_t records)
{
	struct event e;
	event_init(&e, EVENT_SESSION_STARTED, 1);
	e.session_id = (struct slice){ "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e", 32 };
	put(loop, p, &e);
	for (uint64_t i = 0; i < records; i++) {
		fill_event(&e, i);
		put(loop, p, &e);
		if (i % 1000 == 0)
			loop_turn(loop, 0);
	}
	event_init(&e, EVENT_SESSION_ENDED, 2);
	put(loop, p, &e);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		die("RECORDS SUBSCRIPTIONS NAME command...");
	uint64_t records = strtoull(argv[1], NULL, 10);
	struct publisher_config config = { .address = "ipc:///tmp/perigee-bench-events" };
	struct publisher *p;
	struct loop *loop;
	struct error e;
	int status;
	if (loop_new(&loop) || publisher_open(&p, loop, &config, &e))
		die("no publisher");
	pid_t pid = start(argv + 4, publisher_address(p));
	if (publisher_await(p, (unsigned)strtoul(argv[2], NULL, 10), clock_now() + 30 * NS_PER_S))
		die("no subscription came");
	uint64_t from = clock_now();
	double own = cpu_of(RUSAGE_SELF);
	publish(loop, p, records);
	publisher_close(p, clock_now() + PATIENCE, NULL);
	own = cpu_of(RUSAGE_SELF) - own;
	if (waitpid(pid, &status, 0) != pid || status)
		die("the subscriber failed");
	double s = (double)(clock_now() - from) / (double)NS_PER_S, n = (double)records;
	printf("{\"bench\":\"events\",\"what\":\"%s\",\"records\":%llu,\"records_per_s\":%.0f,"
	       "\"subscriber_ns_per_record\":%.0f,\"publisher_ns_per_record\":%.0f}\n",
	       argv[3], (unsigned long long)records, n / s, cpu_of(RUSAGE_CHILDREN) / n, own / n);
	loop_free(loop);
	return 0;
}
