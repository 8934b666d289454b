/* The histogram log over time: of events at known times, read as its lines. */
#include "metrics/interval_log.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "events/log_writer.h"
#include "metrics/hdr.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T0    (1000 * NS_PER_S)
#define WIDTH (100 * NS_PER_MS)

static char log_path[] = "/tmp/perigee-events-XXXXXX", path[] = "/tmp/perigee-hlog-XXXXXX";

static int make_paths(void **state)
{
	(void)state;
	strcpy(log_path + sizeof(log_path) - 7, "XXXXXX");
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	int log_fd = mkstemp(log_path), fd = mkstemp(path);
	return log_fd < 0 || fd < 0 || close(log_fd) || close(fd);
}

static int remove_paths(void **state)
{
	(void)state;
	return unlink(log_path) || unlink(path);
}

static struct slice text(const char *s)
{
	return (struct slice){ s, strlen(s) };
}

/* ---- an event log ---- */

struct writing {
	struct loop *loop;
	struct log_writer *log;
	uint64_t seq;
};

static void put(struct writing *w, struct event e)
{
	e.seq = w->seq++;
	assert_ok(log_writer_put(w->log, &e));
}

static struct event blank(enum event_type type, int phase, uint64_t timestamp_ns)
{
	struct event e;
	event_init(&e, type, timestamp_ns);
	e.phase = phase;
	return e;
}

static void begin(struct writing *w)
{
	struct error e;
	const struct log_config config = { .path = log_path };
	*w = (struct writing){ 0 };
	assert_ok(loop_new(&w->loop));
	assert_ok(log_writer_open(&w->log, w->loop, &config, &e));
	struct event started = blank(EVENT_SESSION_STARTED, EVENT_NONE, T0);
	started.realtime_ns = 1700000000 * NS_PER_S + 250 * NS_PER_MS;
	put(w, started);
}

static void end(struct writing *w)
{
	struct error e;
	assert_ok(log_writer_close(w->log, &e));
	loop_free(w->loop);
}

static void start_phase(struct writing *w, int phase, const char *name, unsigned at_ms)
{
	struct event e = blank(EVENT_PHASE_START, phase, T0 + at_ms * NS_PER_MS);
	e.name = text(name);
	e.kind = text("performance");
	put(w, e);
}

/* A success of so many ms; tag NULL: none. */
static void complete(struct writing *w, int phase, unsigned at_ms, unsigned took_ms,
                     const char *tag)
{
	struct event e = blank(EVENT_SAMPLE_COMPLETE, phase, T0 + at_ms * NS_PER_MS);
	e.scheduled_ns = e.issued_ns = e.timestamp_ns - took_ms * NS_PER_MS;
	e.http_status = 200;
	if (tag)
		e.tag = text(tag);
	put(w, e);
}

/* ---- lines ---- */

/* The line of a metric whose values are these, in ms, up to a 0. */
static void expect_line(struct buffer *b, const char *head, const unsigned *ms)
{
	struct histogram *h;
	assert_ok(histogram_new(&h));
	for (; *ms; ms++)
		histogram_add(h, *ms * NS_PER_MS);
	assert_ok(buffer_printf(b, "%s,%.3f,", head, (double)histogram_max(h) / 1e6));
	assert_ok(hdr_put_encoded(b, h));
	assert_ok(buffer_append_str(b, "\n"));
	histogram_free(h);
}

/* The lines of the latency alone, behind a head. */
static void assert_latency_lines(struct buffer *expected)
{
	static char line[65536];
	struct buffer got;
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	buffer_init(&got, 1 << 20);
	while (fgets(line, sizeof(line), f))
		if (line[0] != 'T' || strstr(line, ".latency"))
			assert_ok(buffer_append_str(&got, line));
	fclose(f);
	assert_ok(buffer_append(&got, "", 1));
	assert_ok(buffer_append(expected, "", 1));
	assert_string_equal(got.data, expected->data);
	buffer_free(&got);
	buffer_free(expected);
}

static void expect_head(struct buffer *b)
{
	buffer_init(b, 1 << 20);
	assert_ok(buffer_append_str(
		b, "#[Histogram log format version 1.3]\n"
		   "#[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20Z]\n"
		   "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
		   "\"Interval_Compressed_Histogram\"\n"));
}

#define LINE(head, ...) expect_line(&want, "Tag=" head, (const unsigned[]){ __VA_ARGS__, 0 })

static void has_a_line_for_each_interval_with_values(void **state)
{
	struct writing w;
	struct buffer want;
	struct error e;
	(void)state;
	begin(&w);
	start_phase(&w, 0, "a, b", 50);
	complete(&w, 0, 60, 5, NULL);
	complete(&w, 0, 149, 7, NULL);
	complete(&w, 0, 150, 9, NULL); /* the first moment of the second interval */
	complete(&w, 0, 145, 8, NULL); /* told late by a worker: it counts in the open one */
	complete(&w, 0, 470, 300, NULL);
	complete(&w, 0, 480, 30, NULL); /* the last one ends here */
	end(&w);
	assert_ok(interval_log_write(log_path, path, WIDTH, &e));
	expect_head(&want);
	LINE("a__b.latency,0.050,0.100", 5, 7);
	LINE("a__b.latency,0.150,0.100", 9, 8);
	LINE("a__b.latency,0.450,0.030", 300, 30);
	assert_latency_lines(&want);
}

/* A phase that was not drained ends in the next one. */
static void keeps_phases_and_tags_apart(void **state)
{
	struct writing w;
	struct buffer want;
	struct error e;
	(void)state;
	begin(&w);
	start_phase(&w, 0, "first", 0);
	complete(&w, 0, 10, 1, "x");
	complete(&w, 0, 20, 2, "y y");
	start_phase(&w, 1, "second", 130);
	complete(&w, 1, 140, 3, NULL);
	complete(&w, 0, 150, 4, "x");
	complete(&w, 1, 400, 5, "x");
	end(&w);
	assert_ok(interval_log_write(log_path, path, WIDTH, &e));
	expect_head(&want);
	LINE("first.latency,0.000,0.100", 1, 2);
	LINE("first.latency.x,0.000,0.100", 1);
	LINE("first.latency.y_y,0.000,0.100", 2);
	LINE("first.latency,0.100,0.100", 4);
	LINE("first.latency.x,0.100,0.100", 4);
	LINE("second.latency,0.130,0.100", 3);
	LINE("second.latency,0.330,0.070", 5);
	LINE("second.latency.x,0.330,0.070", 5);
	assert_latency_lines(&want);
}

static void has_no_line_without_requests(void **state)
{
	struct writing w;
	struct buffer want;
	struct error e;
	(void)state;
	begin(&w);
	start_phase(&w, 0, "idle", 0);
	end(&w);
	assert_ok(interval_log_write(log_path, path, WIDTH, &e));
	expect_head(&want);
	assert_latency_lines(&want);
}

static void names_the_file_that_fails(void **state)
{
	struct writing w;
	struct error e;
	(void)state;
	assert_int_equal(interval_log_write("/nowhere/x.plog", path, WIDTH, &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nowhere/x.plog"));
	begin(&w);
	complete(&w, 0, 10, 1, NULL); /* a log that has lost the phase's start */
	end(&w);
	assert_int_equal(interval_log_write(log_path, "/nowhere/x", WIDTH, &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nowhere/x"));
	assert_int_equal(interval_log_write(log_path, "/dev/full", WIDTH, &e), STATUS_ENOSPC);
	assert_non_null(strstr(e.text, "/dev/full"));
	assert_ok(interval_log_write(log_path, path, WIDTH, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_paths, remove_paths)
		TEST(has_a_line_for_each_interval_with_values),
		TEST(keeps_phases_and_tags_apart),
		TEST(has_no_line_without_requests),
		TEST(names_the_file_that_fails),
	};
	return cmocka_run_group_tests_name("interval_log", tests, NULL, NULL);
}
