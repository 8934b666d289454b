/* ns of the session's thread per record, encode and send, at several batch sizes.
 * A subscriber in a process of its own takes the frames and throws them away. */
#include "base/clock.h"
#include "events/publisher.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
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
	printf("encode %-16s %6.0f ns  %zu bytes\n", event_topic(type), ns, out.len);
	buffer_free(&out);
}

static void bench_send(uint32_t batch, enum framing framing)
{
	struct publisher_config config = { .address = "ipc:///tmp/perigee-bench-publisher",
		                           .framing = framing,
		                           .send_threshold = batch,
		                           .batch_bytes = 1 << 20 };
	struct publisher *p;
	struct loop *loop;
	struct error error;
	struct event e;
	if (loop_new(&loop) || publisher_open(&p, loop, &config, &error))
		exit(1);
	pid_t pid = fork();
	if (pid == 0)
		drain_forever(publisher_address(p));
	publisher_await(p, 1, clock_now() + 5 * NS_PER_S);
	uint64_t count = batch < 10 ? RECORDS / 10 : RECORDS, from = clock_thread_cpu();
	for (uint64_t i = 0; i < count; i++) {
		fill_event(&e, i & 1 ? EVENT_SAMPLE_COMPLETE : EVENT_SAMPLE_ISSUED, i);
		publisher_put(p, &e);
	}
	publisher_flush(p);
	double ns = (double)(clock_thread_cpu() - from) / (double)count;
	struct publisher_stats st;
	publisher_stats(p, &st);
	printf("put and send %-9s batch %4u %6.0f ns  dropped %llu\n",
	       framing == FRAMING_TOPIC ? "topic" : "mlcommons", batch, ns,
	       (unsigned long long)st.dropped);
	publisher_close(p, clock_now() + 5 * NS_PER_S, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	loop_free(loop);
}

int main(void)
{
	static const uint32_t batches[] = { 1, 10, 100, 1000 };
	bench_encode(EVENT_SAMPLE_ISSUED);
	bench_encode(EVENT_SAMPLE_COMPLETE);
	for (int framing = FRAMING_TOPIC; framing <= FRAMING_MLCOMMONS; framing++)
		for (size_t i = 0; i < sizeof(batches) / sizeof(*batches); i++)
			bench_send(batches[i], (enum framing)framing);
	return 0;
}
