/* What the publisher costs, as JSON lines. A subscriber in a process of its own
 * takes the frames and throws them away.
 *   bench_publisher            ns of the session's thread per record, at several batch sizes
 *   bench_publisher RECORDS    memory and CPU under a subscriber that is stopped */
#include "base/clock.h"
#include "events/publisher.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define RECORDS 2000000

static void drain_forever(const char *address)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
	zmq_msg_t msg;
	zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
	zmq_connect(socket, address);
	zmq_msg_init(&msg);
	for (;;)
		zmq_msg_recv(&msg, socket, 0);
}

static void fill_event(struct event *e, enum event_type type, uint64_t i)
{
	event_init(e, type, 1700000000000ULL + i);
	e->seq = i;
	e->phase = 0;
	e->worker_id = 1;
	e->index = (int64_t)(i % 10000);
	e->uuid[0] = i * 0x9e3779b97f4a7c15ULL;
	e->uuid[1] = i;
	e->scheduled_ns = e->timestamp_ns - 500;
	if (type != EVENT_SAMPLE_COMPLETE)
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

static void bench_encode(enum event_type type)
{
	struct buffer out;
	struct event e;
	buffer_init(&out, 1 << 20);
	uint64_t from = clock_thread_cpu();
	for (uint64_t i = 0; i < RECORDS; i++) {
		fill_event(&e, type, i);
		buffer_clear(&out);
		if (event_encode(&e, &out))
			exit(1);
	}
	double ns = (double)(clock_thread_cpu() - from) / RECORDS;
	printf("{\"bench\":\"encode\",\"type\":\"%s\",\"ns_per_record\":%.0f,\"bytes\":%zu}\n",
	       event_topic(type), ns, out.len);
	buffer_free(&out);
}

/* A publisher, and a subscriber to it in a process of its own. */
struct pair {
	struct loop *loop;
	struct publisher *p;
	pid_t subscriber;
	char dir[64];
};

static void open_pair(struct pair *pair, struct publisher_config config)
{
	struct error e;
	char address[128];
	snprintf(pair->dir, sizeof(pair->dir), "/tmp/perigee-bench-XXXXXX");
	if (!mkdtemp(pair->dir))
		exit(1);
	snprintf(address, sizeof(address), "ipc://%s/events", pair->dir);
	config.address = address;
	if (loop_new(&pair->loop) || publisher_open(&pair->p, pair->loop, &config, &e))
		exit(1);
	pair->subscriber = fork();
	if (pair->subscriber == 0)
		drain_forever(address);
	if (publisher_await(pair->p, 1, clock_now() + 20 * NS_PER_S))
		exit(1);
}

/* Returns the records that were not delivered. */
static uint64_t close_pair(struct pair *pair)
{
	uint64_t undelivered;
	publisher_close(pair->p, clock_now() + 300 * NS_PER_S, &undelivered);
	kill(pair->subscriber, SIGKILL);
	waitpid(pair->subscriber, NULL, 0);
	loop_free(pair->loop);
	rmdir(pair->dir);
	return undelivered;
}

static void bench_send(uint32_t batch, enum framing framing)
{
	struct pair pair;
	struct publisher_stats st;
	struct event e;
	open_pair(&pair, (struct publisher_config){ .framing = framing,
	                                            .send_threshold = batch,
	                                            .batch_bytes = 1 << 20,
	                                            /* so that nothing goes to disk */
	                                            .max_bytes = (size_t)4 << 30,
	                                            .queue_bytes = (size_t)1 << 30 });
	uint64_t count = batch < 10 ? RECORDS / 10 : RECORDS, from = clock_thread_cpu();
	for (uint64_t i = 0; i < count; i++) {
		fill_event(&e, i & 1 ? EVENT_SAMPLE_COMPLETE : EVENT_SAMPLE_ISSUED, i);
		publisher_put(pair.p, &e);
	}
	publisher_flush(pair.p);
	double ns = (double)(clock_thread_cpu() - from) / (double)count;
	publisher_stats(pair.p, &st);
	uint64_t undelivered = close_pair(&pair);
	printf("{\"bench\":\"put_and_send\",\"framing\":\"%s\",\"batch\":%u,\"ns_per_record\":%.0f,"
	       "\"records\":%llu,\"spilled\":%llu,\"dropped\":%llu,\"undelivered\":%llu}\n",
	       framing == FRAMING_TOPIC ? "topic" : "mlcommons", batch, ns,
	       (unsigned long long)count, (unsigned long long)st.spilled,
	       (unsigned long long)st.dropped, (unsigned long long)undelivered);
}

static double cpu_s(const struct rusage *r)
{
	return (double)(r->ru_utime.tv_sec + r->ru_stime.tv_sec) +
	       (double)(r->ru_utime.tv_usec + r->ru_stime.tv_usec) / 1e6;
}

/* Nobody reads while `count` records are put; then the subscriber goes on and gets all. */
static void bench_stopped(uint64_t count)
{
	struct pair pair;
	struct publisher_stats st;
	struct rusage before, put, end;
	struct event e;
	open_pair(&pair, (struct publisher_config){ 0 });
	kill(pair.subscriber, SIGSTOP);
	getrusage(RUSAGE_SELF, &before);
	uint64_t from = clock_now();
	for (uint64_t i = 0; i < count; i++) {
		fill_event(&e, EVENT_SAMPLE_ISSUED, i);
		publisher_put(pair.p, &e);
	}
	publisher_flush(pair.p);
	uint64_t wall = clock_now() - from;
	getrusage(RUSAGE_SELF, &put);
	publisher_stats(pair.p, &st);
	kill(pair.subscriber, SIGCONT);
	uint64_t undelivered = close_pair(&pair);
	getrusage(RUSAGE_SELF, &end);
	printf("{\"bench\":\"stopped_subscriber\",\"records\":%llu,\"cpu_ns_per_record\":%.0f,"
	       "\"wall_s\":%.1f,"
	       "\"rss_mib_before\":%.0f,\"peak_rss_mib\":%.0f,\"held_mib\":%.0f,\"spill_mib\":%.0f,"
	       "\"spilled\":%llu,"
	       "\"dropped\":%llu,\"cpu_ns_per_record_with_delivery\":%.0f,\"undelivered\":%llu}\n",
	       (unsigned long long)count, (cpu_s(&put) - cpu_s(&before)) * 1e9 / (double)count,
	       (double)wall / 1e9, (double)before.ru_maxrss / 1024, (double)end.ru_maxrss / 1024,
	       (double)st.held / 1048576, (double)st.spill_bytes / 1048576,
	       (unsigned long long)st.spilled, (unsigned long long)st.dropped,
	       (cpu_s(&end) - cpu_s(&before)) * 1e9 / (double)count,
	       (unsigned long long)undelivered);
}

int main(int argc, char **argv)
{
	static const uint32_t batches[] = { 1, 10, 100, 1000 };
	if (argc > 1) {
		bench_stopped(strtoull(argv[1], NULL, 10));
		return 0;
	}
	bench_encode(EVENT_SAMPLE_ISSUED);
	bench_encode(EVENT_SAMPLE_COMPLETE);
	for (int framing = FRAMING_TOPIC; framing <= FRAMING_MLCOMMONS; framing++)
		for (size_t i = 0; i < sizeof(batches) / sizeof(*batches); i++)
			bench_send(batches[i], (enum framing)framing);
	return 0;
}
