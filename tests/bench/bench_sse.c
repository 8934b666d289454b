/* CPU per server-sent event: chunked HTTP parsed, events split, OpenAI JSON decoded and
 * counted, beside a bare loop that reads the same bytes and looks for line ends. Both read
 * from a file in memory. As JSON lines; run from anywhere:
 *   build/cc/bench/bench_sse [megabytes per round] [rounds] */
#include "base/clock.h"
#include "http/http1.h"
#include "http/response.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)

static const struct {
	const char *name;
	unsigned events;  /* of a response */
	unsigned content; /* bytes of an event's text */
} shapes[] = {
	{ "16 events of 10 characters", 16, 10 },
	{ "256 events of 1 character", 256, 1 },
	{ "4 events of 64 KiB", 4, 65536 },
};

static char bytes[READ_BYTES];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void put_chunk(struct buffer *b, const char *text, size_t len)
{
	buffer_printf(b, "%zx\r\n", len);
	buffer_append(b, text, len);
	buffer_append_str(b, "\r\n");
}

/* One response as an inference server streams it. */
static void put_response(struct buffer *b, unsigned events, unsigned content)
{
	struct buffer e;
	buffer_init(&e, SIZE_MAX);
	buffer_append_str(b, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	                     "Transfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i <= events; i++) {
		buffer_clear(&e);
		buffer_append_str(&e, "data: {\"id\":\"chatcmpl-c0737b7cf89e44ab\",\"object\":"
		                      "\"chat.completion.chunk\",\"created\":1795496871,\"model\":"
		                      "\"m\",\"choices\":[{\"index\":0,\"delta\":{");
		if (i < events)
			buffer_append_str(&e, "\"content\":\"");
		for (unsigned k = 0; i < events && k < content; k++)
			buffer_append(&e, "x", 1);
		buffer_append_str(&e,
		                  i < events ? "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n"
		                             : "},\"finish_reason\":\"stop\"}]}\n\n");
		put_chunk(b, e.data, e.len);
	}
	put_chunk(b, "data: [DONE]\n\n", 14);
	buffer_append_str(b, "0\r\n\r\n");
	buffer_free(&e);
}

/* So many whole responses that they come to about `size` bytes. */
static int make_file(unsigned events, unsigned content, size_t size, uint64_t *responses)
{
	struct buffer b;
	int fd = memfd_create("bench_sse", 0);
	buffer_init(&b, SIZE_MAX);
	put_response(&b, events, content);
	if (fd < 0)
		die("memfd_create");
	*responses = size / b.len + 1;
	for (uint64_t i = 0; i < *responses; i++)
		if (write(fd, b.data, b.len) != (ssize_t)b.len)
			die("write");
	buffer_free(&b);
	return fd;
}

static uint64_t run_bare(int fd)
{
	uint64_t lines = 0;
	ssize_t n;
	while ((n = read(fd, bytes, READ_BYTES)) > 0)
		for (const char *p = bytes, *end = bytes + n;
		     p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
			lines++;
	return lines;
}

static void on_delta(void *ctx, const struct delta *d, bool first)
{
	(void)first;
	*(uint64_t *)ctx += d->content.len;
}

static uint64_t run_parsed(int fd, struct response *r, struct http1 *p, uint64_t *told)
{
	uint64_t chunks = 0;
	ssize_t n;
	http1_start(p, false);
	response_start(r, DECODE_CHAT, on_delta, told);
	while ((n = read(fd, bytes, READ_BYTES)) > 0) {
		uint64_t now = clock_now();
		const char *at = bytes, *end = bytes + n;
		enum http1_event e;
		while ((e = http1_next(p, &at, end)) != HTTP1_MORE) {
			if (e == HTTP1_HEAD)
				response_head(r, p->status, p->content_type, now);
			else if (e == HTTP1_BODY && response_bytes(r, p->data, p->len, now))
				die(r->error);
			if (e != HTTP1_END)
				continue;
			response_end(r, FAILURE_NONE, NULL, now);
			if (r->failure)
				die(r->error);
			chunks += r->chunks;
			http1_start(p, false);
			response_start(r, DECODE_CHAT, on_delta, told);
		}
	}
	return chunks;
}

static void compare(size_t shape, size_t size, unsigned rounds)
{
	uint64_t responses, bare = UINT64_MAX, parsed = UINT64_MAX, told = 0;
	struct response r = { 0 };
	struct http1 p = { 0 };
	unsigned events = shapes[shape].events, content = shapes[shape].content;
	int fd = make_file(events, content, size, &responses);
	response_init(&r, (size_t)1 << 20);
	for (unsigned i = 0; i < rounds; i++) { /* the least disturbed round of each */
		lseek(fd, 0, SEEK_SET);
		uint64_t t0 = clock_thread_cpu();
		run_bare(fd);
		uint64_t t1 = clock_thread_cpu();
		lseek(fd, 0, SEEK_SET);
		uint64_t t2 = clock_thread_cpu();
		uint64_t chunks = run_parsed(fd, &r, &p, &told);
		uint64_t t3 = clock_thread_cpu();
		if (chunks != responses * events)
			die("events were lost");
		bare = t1 - t0 < bare ? t1 - t0 : bare;
		parsed = t3 - t2 < parsed ? t3 - t2 : parsed;
	}
	if (told != rounds * responses * events * content)
		die("text was lost");
	double total = (double)(responses * (events + 2));
	printf("{\"bench\":\"sse\",\"shape\":\"%s\",\"events\":%.0f,\"ns_per_event\":%.1f,\"bare_"
	       "ns_per_event\":%.1f,"
	       "\"ratio\":%.2f,\"events_per_s\":%.0f}\n",
	       shapes[shape].name, total, (double)parsed / total, (double)bare / total,
	       (double)parsed / (double)bare, total * 1e9 / (double)parsed);
	response_free(&r);
	http1_free(&p);
	close(fd);
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		compare(i, size, rounds);
	return 0;
}
