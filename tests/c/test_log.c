/* The event log: what is written comes back, whatever happens to the writer or the file. */
#include "support.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "events/log_format.h"
#include "events/log_reader.h"
#include "events/log_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];

static int make_path(void **state)
{
	(void)state;
	strcpy(path, "/tmp/perigee-log-XXXXXX");
	int fd = mkstemp(path);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static int remove_path(void **state)
{
	(void)state;
	return unlink(path);
}

static void fill(struct event *e, uint64_t seq)
{
	event_init(e, EVENT_SAMPLE_ISSUED, 1000 + seq);
	e->seq = seq;
	e->phase = 0;
	e->index = (int64_t)seq;
	e->uuid[0] = 7;
	e->uuid[1] = seq;
	e->scheduled_ns = 999 + seq;
}

static struct log_writer *open_writer(struct loop *loop, struct log_config config)
{
	struct log_writer *w = NULL;
	struct error e = { 0 };
	config.path = path;
	if (log_writer_open(&w, loop, &config, &e))
		fail_msg("%s", e.text);
	return w;
}

/* Write records first..last-1. */
static void put_range(struct log_writer *w, uint64_t first, uint64_t last)
{
	struct event e;
	for (uint64_t seq = first; seq < last; seq++) {
		fill(&e, seq);
		assert_int_equal(log_writer_put(w, &e), STATUS_OK);
	}
}

static void write_log(uint64_t records, struct log_config config)
{
	struct loop *loop;
	struct error e = { 0 };
	assert_int_equal(loop_new(&loop), STATUS_OK);
	struct log_writer *w = open_writer(loop, config);
	put_range(w, 0, records);
	assert_int_equal(log_writer_close(w, &e), STATUS_OK);
	loop_free(loop);
}

/* Read all; every record that is there is whole, and seq only goes up. */
static uint64_t read_log(struct log_reader_stats *stats, uint64_t *last_seq)
{
	struct log_reader *r;
	struct error error = { 0 };
	struct event e;
	uint64_t n = 0;
	if (log_reader_open(&r, path, &error))
		fail_msg("%s", error.text);
	while (log_reader_next(r, &e) == 1) {
		assert_true(n == 0 || e.seq > *last_seq);
		assert_int_equal(e.timestamp_ns, 1000 + e.seq);
		assert_int_equal(e.index, (int64_t)e.seq);
		assert_int_equal(e.uuid[1], e.seq);
		*last_seq = e.seq;
		n++;
	}
	log_reader_stats(r, stats);
	log_reader_close(r);
	assert_int_equal(stats->records, n);
	return n;
}

static off_t size_of_log(void)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Where the first block begins. */
static off_t size_of_header(void)
{
	char head[LOG_HEADER_SIZE];
	int fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, head, sizeof(head)), sizeof(head));
	close(fd);
	return (off_t)log_get32(head + 12);
}

static void crc_has_its_known_values(void **state)
{
	(void)state;
	uint8_t zeros[32] = { 0 };
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void crc_is_the_same_on_any_processor(void **state)
{
	(void)state;
	uint8_t data[100];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(7 * i + 3);
	for (size_t from = 0; from < 9; from++)
		for (size_t n = 0; n <= sizeof(data) - from; n++)
			assert_int_equal(crc32c(5, data + from, n),
			                 crc32c_portable(5, data + from, n));
}

static void what_is_written_comes_back(void **state)
{
	(void)state;
	struct log_reader_stats stats;
	uint64_t last;
	write_log(5000, (struct log_config){ .block_bytes = 4096 });
	assert_int_equal(read_log(&stats, &last), 5000);
	assert_int_equal(last, 4999);
	assert_true(stats.blocks > 50);
	assert_int_equal(stats.torn_bytes + stats.damaged_bytes + stats.damaged_records, 0);
}

static void an_empty_log_is_a_log(void **state)
{
	(void)state;
	struct log_reader_stats stats;
	uint64_t last;
	write_log(0, (struct log_config){ 0 });
	assert_int_equal(read_log(&stats, &last), 0);
	assert_int_equal(size_of_log(), size_of_header());
}

static void a_block_waits_no_longer_than_its_age(void **state)
{
	(void)state;
	struct loop *loop;
	struct log_stats stats;
	uint64_t deadline = clock_now() + 20 * NS_PER_S;
	assert_int_equal(loop_new(&loop), STATUS_OK);
	struct log_writer *w = open_writer(loop, (struct log_config){ .max_age_ns = NS_PER_MS });
	put_range(w, 0, 3);
	do {
		loop_turn(loop, 5 * NS_PER_MS);
		log_writer_stats(w, &stats);
	} while (stats.written < 3 && clock_now() < deadline);
	assert_int_equal(stats.written, 3);
	assert_int_equal(stats.blocks, 1);
	assert_int_equal(log_writer_close(w, NULL), STATUS_OK);
	loop_free(loop);
}

static void a_control_event_goes_out_at_once(void **state)
{
	(void)state;
	struct loop *loop;
	struct log_stats stats;
	struct event e;
	uint64_t deadline = clock_now() + 20 * NS_PER_S;
	assert_int_equal(loop_new(&loop), STATUS_OK);
	struct log_writer *w =
		open_writer(loop, (struct log_config){ .max_age_ns = 60 * NS_PER_S });
	put_range(w, 0, 1);
	event_init(&e, EVENT_SESSION_ENDED, 5);
	assert_int_equal(log_writer_put(w, &e), STATUS_OK);
	do
		log_writer_stats(w, &stats);
	while (stats.written < 2 && clock_now() < deadline);
	assert_int_equal(stats.written, 2);
	assert_int_equal(log_writer_close(w, NULL), STATUS_OK);
	loop_free(loop);
}

/* A log cut anywhere gives all whole blocks before the cut, and tells the rest as torn. */
static void every_cut_is_a_torn_tail(void **state)
{
	(void)state;
	struct log_reader_stats stats;
	uint64_t last, whole = 0;
	write_log(60, (struct log_config){ .block_bytes = 300 });
	off_t size = size_of_log(), header = size_of_header();
	for (off_t cut = size - 1; cut >= header; cut--) {
		assert_int_equal(truncate(path, cut), 0);
		uint64_t n = read_log(&stats, &last);
		assert_true(n == 0 || last == n - 1);
		assert_true(whole == 0 || n <= whole);
		assert_int_equal(stats.damaged_bytes, 0);
		whole = n;
	}
	assert_int_equal(whole, 0);
}

/* One bad byte costs the block it is in and nothing else. */
static void a_damaged_byte_costs_one_block(void **state)
{
	(void)state;
	struct log_reader_stats clean, stats;
	uint64_t last;
	write_log(60, (struct log_config){ .block_bytes = 300 });
	read_log(&clean, &last);
	uint64_t most = 60 / clean.blocks + 2;
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (off_t at = size_of_header(); at < size_of_log(); at++) {
		char c, bad;
		assert_int_equal(pread(fd, &c, 1, at), 1);
		bad = (char)(c ^ 0x41);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		uint64_t n = read_log(&stats, &last);
		assert_true(n < 60 && n + most >= 60);
		assert_true(stats.damaged_bytes + stats.torn_bytes > 0);
		assert_int_equal(stats.missing_records, last + 1 - n);
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
}

static void what_is_no_log_is_refused(void **state)
{
	(void)state;
	struct log_reader *r;
	struct error e = { 0 };
	int fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "{\"event\":1}\n", 12), 12);
	close(fd);
	assert_int_equal(log_reader_open(&r, path, &e), STATUS_EPROTO);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(log_reader_open(&r, "/nonexistent/log", &e), STATUS_ENOENT);

	char head[LOG_HEADER_SIZE];
	write_log(1, (struct log_config){ 0 });
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	log_put32(head + 8, LOG_VERSION + 1);
	log_put32(head + LOG_HEADER_CRC, crc32c(0, head, LOG_HEADER_CRC));
	assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	close(fd);
	assert_int_equal(log_reader_open(&r, path, &e), STATUS_EPROTO);
	assert_non_null(strstr(e.text, "version 3 of the log format; 1 to 2 are known"));
}

/* A log of records with names of their own, as version 1 had them. */
static void write_version_1(uint64_t records)
{
	char head[LOG_HEADER_SIZE] = LOG_MAGIC, block[LOG_BLOCK_HEAD_SIZE] = { 0 }, len[4];
	struct buffer payload;
	struct event e;
	buffer_init(&payload, LOG_BLOCK_MAX);
	for (uint64_t seq = 0; seq < records; seq++) {
		size_t at = payload.len;
		fill(&e, seq);
		assert_int_equal(buffer_append(&payload, len, sizeof(len)), STATUS_OK);
		assert_int_equal(event_encode(&e, &payload), STATUS_OK);
		log_put32(payload.data + at, (uint32_t)(payload.len - at - sizeof(len)));
	}
	log_put32(head + 8, 1);
	log_put32(head + 12, LOG_HEADER_SIZE);
	log_put32(head + LOG_HEADER_CRC, crc32c(0, head, LOG_HEADER_CRC));
	log_put32(block, LOG_BLOCK_MAGIC);
	log_put32(block + 4, (uint32_t)payload.len);
	log_put32(block + 8, (uint32_t)records);
	log_put32(block + LOG_BLOCK_CRC, log_block_crc(block, payload.data, payload.len));
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(head, sizeof(head), 1, f), 1);
	assert_int_equal(fwrite(block, sizeof(block), 1, f), 1);
	assert_int_equal(fwrite(payload.data, payload.len, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	buffer_free(&payload);
}

static void a_log_of_version_1_is_read(void **state)
{
	(void)state;
	struct log_reader_stats stats;
	uint64_t last;
	write_version_1(100);
	assert_int_equal(read_log(&stats, &last), 100);
	assert_int_equal(stats.blocks, 1);
	assert_int_equal(stats.torn_bytes + stats.damaged_bytes + stats.damaged_records, 0);
}

/* Without its names nothing in the file has a meaning. */
static void damaged_names_are_told(void **state)
{
	(void)state;
	struct log_reader *r;
	struct error e = { 0 };
	write_log(3, (struct log_config){ 0 });
	int fd = open(path, O_RDWR);
	for (off_t at = LOG_HEADER_SIZE; at < size_of_header(); at += 37) {
		char c, bad;
		assert_int_equal(pread(fd, &c, 1, at), 1);
		bad = (char)(c ^ 0x41);
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		assert_int_equal(log_reader_open(&r, path, &e), STATUS_EPROTO);
		assert_non_null(strstr(e.text, "the list of its names is damaged"));
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
	}
	close(fd);
}

static void a_file_that_cannot_be_made_is_named(void **state)
{
	(void)state;
	struct loop *loop;
	struct log_writer *w;
	struct error e = { 0 };
	struct log_config config = { .path = "/nonexistent/events.plog" };
	assert_int_equal(loop_new(&loop), STATUS_OK);
	assert_int_equal(log_writer_open(&w, loop, &config, &e), STATUS_ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/events.plog"));
	loop_free(loop);
}

/* The disk is full after 20 kB: logging ends, is counted, and the file stays good. */
static void a_full_disk_ends_the_log_in_order(void **state)
{
	(void)state;
	struct rlimit before, limit;
	struct loop *loop;
	struct error e = { 0 };
	struct log_reader_stats stats;
	uint64_t last = 0;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ .rlim_cur = 20000, .rlim_max = before.rlim_max };
	assert_int_equal(loop_new(&loop), STATUS_OK);
	struct log_writer *w = open_writer(loop, (struct log_config){ .block_bytes = 3000 });
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	put_range(w, 0, 1000); /* accepted: the run goes on */
	int status = log_writer_close(w, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(status < 0);
	assert_non_null(strstr(e.text, path));
	uint64_t n = read_log(&stats, &last);
	assert_true(n > 0 && n < 1000);
	assert_int_equal(last, n - 1);
	assert_int_equal(stats.torn_bytes, 0);
	char lost[32];
	snprintf(lost, sizeof(lost), "%llu records", (unsigned long long)(1000 - n));
	assert_non_null(strstr(e.text, lost));
	loop_free(loop);
}

static void a_slow_disk_loses_by_count_and_not_in_memory(void **state)
{
	(void)state;
	struct loop *loop;
	struct error e = { 0 };
	struct log_stats stats;
	assert_int_equal(loop_new(&loop), STATUS_OK);
	/* No block ever fits into the queue. */
	struct log_writer *w =
		open_writer(loop, (struct log_config){ .block_bytes = 1000, .queue_bytes = 100 });
	put_range(w, 0, 100);
	log_writer_flush(w);
	log_writer_stats(w, &stats);
	assert_int_equal(stats.lost, 100);
	assert_int_equal(stats.written, 0);
	assert_int_equal(log_writer_close(w, &e), STATUS_ELIMIT);
	assert_non_null(strstr(e.text, "100 records"));
	loop_free(loop);
}

static void a_record_too_large_for_the_open_block_gets_its_own(void **state)
{
	(void)state;
	struct loop *loop;
	struct log_stats stats;
	struct event e;
	const size_t size = LOG_BLOCK_MAX - 2000; /* the other keys need room */
	char *text = malloc(size);
	assert_non_null(text);
	memset(text, 'x', size);
	assert_int_equal(loop_new(&loop), STATUS_OK);
	struct log_writer *w =
		open_writer(loop, (struct log_config){ .block_bytes = LOG_BLOCK_MAX,
	                                               .queue_bytes = 4 * (size_t)LOG_BLOCK_MAX });
	put_range(w, 0, 100);
	fill(&e, 100);
	e.text = (struct slice){ text, size };
	assert_int_equal(log_writer_put(w, &e), STATUS_OK);
	log_writer_stats(w, &stats);
	assert_int_equal(stats.lost, 0);
	assert_int_equal(log_writer_close(w, NULL), STATUS_OK);
	loop_free(loop);
	free(text);
	struct log_reader_stats read;
	uint64_t last;
	assert_int_equal(read_log(&read, &last), 101);
	assert_int_equal(read.blocks, 2);
}

/* The child writes until it is killed; each `told` byte says that a flush of 100 more was done. */
static void write_until_killed(int told)
{
	struct loop *loop;
	struct log_stats stats;
	if (loop_new(&loop))
		_exit(1);
	struct log_writer *w = open_writer(loop, (struct log_config){ .block_bytes = 2000 });
	for (uint64_t seq = 0;; seq += 100) {
		put_range(w, seq, seq + 100);
		log_writer_flush(w);
		do
			log_writer_stats(w, &stats);
		while (stats.written < seq + 100);
		if (write(told, "", 1) != 1)
			_exit(1);
	}
}

static void kill_9_loses_at_most_what_was_not_flushed(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		int pipe_fd[2];
		char byte[64];
		assert_int_equal(pipe(pipe_fd), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(pipe_fd[1]);
		close(pipe_fd[1]);
		uint64_t flushed = 0, want = 1 + round % 7;
		while (flushed < want) {
			ssize_t n =
				read(pipe_fd[0], byte, want - flushed < 64 ? want - flushed : 64);
			assert_true(n > 0);
			flushed += (uint64_t)n;
		}
		for (volatile unsigned spin = 0; spin < round * 97 % 5000; spin++)
			; /* some other moment each time */
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(pipe_fd[0]);

		struct log_reader_stats stats;
		uint64_t last = 0, n = read_log(&stats, &last);
		assert_true(n >= flushed * 100);
		assert_int_equal(last, n - 1);
		assert_int_equal(stats.damaged_bytes, 0);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_path, remove_path)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crc_has_its_known_values),
		TEST(crc_is_the_same_on_any_processor),
		TEST(what_is_written_comes_back),
		TEST(an_empty_log_is_a_log),
		TEST(a_block_waits_no_longer_than_its_age),
		TEST(a_control_event_goes_out_at_once),
		TEST(every_cut_is_a_torn_tail),
		TEST(a_damaged_byte_costs_one_block),
		TEST(what_is_no_log_is_refused),
		TEST(a_log_of_version_1_is_read),
		TEST(damaged_names_are_told),
		TEST(a_file_that_cannot_be_made_is_named),
		TEST(a_full_disk_ends_the_log_in_order),
		TEST(a_slow_disk_loses_by_count_and_not_in_memory),
		TEST(a_record_too_large_for_the_open_block_gets_its_own),
		TEST(kill_9_loses_at_most_what_was_not_flushed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
