/* The database of events against SQLite itself. */
#include "events/sqlite.h"
#include "support.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SESSION  "0123456789abcdef0123456789abcdef"
#define OTHER    "fedcba9876543210fedcba9876543210"
#define SLICE(s) ((struct slice){ (s), sizeof(s) - 1 })

static struct {
	char dir[64], path[128];
	struct sqlite *db;
	sqlite3 *reader; /* a connection of the test's own */
	char answer[4096];
	struct error e;
} t;

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	snprintf(t.dir, sizeof(t.dir), "/tmp/perigee-test-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	snprintf(t.path, sizeof(t.path), "%s/events.db", t.dir);
	return 0;
}

static int teardown(void **state)
{
	static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
	char path[256];
	(void)state;
	sqlite_close(t.db, NULL, &t.e);
	sqlite3_close(t.reader);
	for (size_t i = 0; i < COUNT_OF(endings); i++) {
		snprintf(path, sizeof(path), "%s%s", t.path, endings[i]);
		unlink(path);
	}
	return rmdir(t.dir);
}

static void open_db(unsigned busy_ms)
{
	if (sqlite_open(&t.db, t.path, busy_ms, &t.e))
		fail_msg("%s", t.e.text);
}

static struct sqlite_stats close_db(void)
{
	struct sqlite_stats st;
	assert_ok(sqlite_close(t.db, &st, &t.e));
	t.db = NULL;
	return st;
}

/* Run SQL on the test's connection. */
static int sql(const char *text)
{
	if (!t.reader)
		assert_int_equal(sqlite3_open(t.path, &t.reader), SQLITE_OK);
	return sqlite3_exec(t.reader, text, NULL, NULL, NULL);
}

/* The rows as text: values divided by '|', NULL as '-', rows ended by ';'. */
static const char *ask(const char *query)
{
	sqlite3_stmt *st;
	size_t n = 0;
	assert_int_equal(sql("SELECT 1"), SQLITE_OK);
	if (sqlite3_prepare_v2(t.reader, query, -1, &st, NULL))
		fail_msg("%s: %s", query, sqlite3_errmsg(t.reader));
	t.answer[0] = '\0';
	while (sqlite3_step(st) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const char *text = (const char *)sqlite3_column_text(st, i);
			n += (size_t)snprintf(t.answer + n, sizeof(t.answer) - n, "%s%s",
			                      i ? "|" : "", text ? text : "-");
			assert_true(n < sizeof(t.answer) - 2);
		}
		t.answer[n++] = ';';
		t.answer[n] = '\0';
	}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return t.answer;
}

static struct event event_of(enum event_type type, uint64_t seq)
{
	struct event e;
	event_init(&e, type, 1000 + seq);
	e.seq = seq;
	if (type == EVENT_SESSION_STARTED) {
		e.session_id = SLICE(SESSION);
		e.name = SLICE("chat");
		e.realtime_ns = 77;
	}
	return e;
}

static int put(enum event_type type, uint64_t seq)
{
	struct event e = event_of(type, seq);
	return sqlite_put(t.db, &e, &t.e);
}

static void put_named(enum event_type type, uint64_t seq, struct slice session)
{
	struct event e = event_of(type, seq);
	e.session_id = session;
	assert_ok(sqlite_put(t.db, &e, &t.e));
}

static void put_samples(uint64_t from, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_ok(put(EVENT_SAMPLE_COMPLETE, from + i));
}

/* ---- columns ---- */

static void test_a_complete_event_fills_its_columns(void **state)
{
	static const uint32_t gaps[] = { 5, 7 };
	struct event e = event_of(EVENT_SAMPLE_COMPLETE, 9);
	(void)state;
	e.phase = 2;
	e.worker_id = 3;
	e.uuid[0] = 0xab;
	e.uuid[1] = 0xcd;
	e.index = 4;
	e.turn = 0;
	e.conversation_id = SLICE("talk");
	e.tag = SLICE("it's \"x\"");
	e.scheduled_ns = 11, e.issued_ns = 12, e.sent_ns = 13, e.first_byte_ns = 14;
	e.first_ns = INT64_MAX;
	e.failure = FAILURE_NONE + 1;
	e.http_status = 503;
	e.chunks = UINT32_MAX;
	e.bytes_in = 15, e.bytes_out = 16, e.tokens_in = 17, e.tokens_out = 0;
	e.finish_reason = SLICE("stop");
	e.text = SLICE("out"), e.reasoning = SLICE("why");
	e.chunk_us = gaps, e.chunk_us_count = 2;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	assert_ok(sqlite_put(t.db, &e, &t.e));
	close_db();
	char expected[1024];
	snprintf(expected, sizeof(expected),
	         SESSION "|9|sample.complete|1009|00000000000000ab00000000000000cd|2|4|talk|0|3|"
	                 "it's \"x\"|11|12|13|14|9223372036854775807|%s|503|4294967295|15|16|17|0|"
	                 "stop|-|-|out|why|{\"chunk_times\":[5,7]};",
	         failure_name(e.failure));
	assert_string_equal(
		ask("SELECT session_id, seq, event_type, timestamp_ns, sample_uuid, phase, "
	            "sample_index,"
	            " conversation_id, turn, worker_id, tag, scheduled_ns, issued_ns, sent_ns,"
	            " first_byte_ns, first_ns, failure, http_status, chunks, bytes_in, bytes_out,"
	            " tokens_in, tokens_out, finish_reason, error_type, error_message, text,"
	            " reasoning, data FROM events WHERE seq = 9"),
		expected);
}

static void test_what_is_absent_is_null(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	assert_ok(put(EVENT_SAMPLE_COMPLETE, 1));
	close_db();
	assert_string_equal(ask("SELECT sample_uuid, phase, sample_index, conversation_id, turn,"
	                        " worker_id, tag, scheduled_ns, failure, http_status, chunks,"
	                        " bytes_in, finish_reason, text, data FROM events WHERE seq = 1"),
	                    "-|-|-|-|-|-|-|-|-|-|-|-|-|-|-;");
}

static void test_the_rest_is_json(void **state)
{
	(void)state;
	open_db(0);
	struct event e = event_of(EVENT_PHASE_END, 0);
	e.kind = SLICE("warmup");
	e.end_reason = SLICE("requests");
	e.dropped = 3;
	assert_ok(sqlite_put(t.db, &e, &t.e));
	e = event_of(EVENT_ERROR_CLIENT, 1);
	e.error_type = SLICE("refused");
	e.error_message = SLICE("nobody listens");
	assert_ok(sqlite_put(t.db, &e, &t.e));
	e = event_of(EVENT_CUSTOM, 2);
	e.custom = SLICE("mark");
	e.text = SLICE("told");
	assert_ok(sqlite_put(t.db, &e, &t.e));
	close_db();
	assert_string_equal(
		ask("SELECT event_type, error_type, error_message, text, data FROM events"
	            " ORDER BY seq"),
		"custom.phase_end|-|-|-|{\"kind\":\"warmup\",\"end_reason\":\"requests\","
		"\"dropped\":3};"
		"error.client|refused|nobody listens|-|-;"
		"custom.mark|-|-|told|-;");
}

static void test_sessions_have_a_table(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	assert_ok(put(EVENT_SESSION_ENDED, 1));
	put_named(EVENT_SESSION_STARTED, 0, SLICE(OTHER));
	close_db();
	assert_string_equal(ask("SELECT * FROM sessions ORDER BY session_id"),
	                    SESSION "|chat|1000|77|1001;" OTHER "|chat|1000|77|-;");
	assert_string_equal(ask("SELECT session_id, seq FROM events ORDER BY session_id, seq"),
	                    SESSION "|0;" SESSION "|1;" OTHER "|0;");
}

static void test_the_indexes_are_used(void **state)
{
	(void)state;
	open_db(0);
	close_db();
	assert_non_null(strstr(ask("EXPLAIN QUERY PLAN SELECT count(*) FROM events"
	                           " WHERE event_type = 'sample.complete' AND phase = 1"),
	                       "events_type"));
	assert_non_null(
		strstr(ask("EXPLAIN QUERY PLAN SELECT seq FROM events WHERE sample_uuid = 'a'"),
	               "events_sample"));
}

/* ---- once and only once ---- */

static void test_a_second_delivery_changes_nothing(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 5);
	assert_ok(sqlite_commit(t.db, &t.e));
	put_samples(3, 5);
	struct sqlite_stats st = close_db();
	assert_int_equal(st.stored, 8);
	assert_int_equal(st.known, 3);
	assert_int_equal(st.lost, 0);
	assert_string_equal(ask("SELECT count(*), max(seq) FROM events"), "8|7;");
}

static void test_opened_again_it_goes_on(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 5);
	close_db();
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 10);
	struct sqlite_stats st = close_db();
	assert_int_equal(st.stored, 5);
	assert_int_equal(st.known, 6);
	assert_string_equal(ask("SELECT session_id, count(*) FROM events GROUP BY 1"),
	                    SESSION "|11;");
}

static void test_late_events_move_to_their_session(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 5);
	close_db();
	open_db(0);
	put_samples(4, 4); /* 4 and 5 are there */
	assert_string_equal(ask("SELECT count(*) FROM events"), "6;");
	assert_ok(sqlite_commit(t.db, &t.e));
	assert_string_equal(ask("SELECT session_id, count(*) FROM events GROUP BY 1"),
	                    SESSION "|6;late-1|4;");
	put_named(EVENT_SESSION_ENDED, 8, SLICE(SESSION));
	struct sqlite_stats st = close_db();
	assert_int_equal(st.stored, 3);
	assert_int_equal(st.known, 2);
	assert_string_equal(ask("SELECT session_id, count(*), max(seq) FROM events GROUP BY 1"),
	                    SESSION "|9|8;");
	assert_string_equal(ask("SELECT session_id, ended_ns FROM sessions"), SESSION "|1008;");
}

static void test_late_events_of_two_sessions_do_not_mix(void **state)
{
	(void)state;
	for (int i = 0; i < 11; i++) {
		open_db(0);
		put_samples(4, 2);
		assert_int_equal(close_db().stored, 2);
	}
	open_db(0);
	put_samples(7, 1);
	assert_ok(put(EVENT_SESSION_STARTED, 0)); /* another session than what came before */
	put_samples(1, 1);
	close_db();
	assert_string_equal(ask("SELECT count(DISTINCT session_id), count(*) FROM events"
	                        " WHERE session_id LIKE 'late-%'"),
	                    "12|23;");
	assert_string_equal(ask("SELECT seq FROM events WHERE session_id = '" SESSION "'"), "0;1;");
}

/* ---- transactions ---- */

static void test_a_batch_is_one_transaction(void **state)
{
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 99);
	assert_string_equal(ask("SELECT count(*) FROM events"), "0;");
	assert_ok(sqlite_commit(t.db, &t.e));
	assert_ok(sqlite_commit(t.db, &t.e)); /* nothing to commit */
	assert_string_equal(ask("SELECT count(*) FROM events"), "100;");
	put_samples(100, 5);
	assert_int_equal(close_db().commits, 2);
	assert_string_equal(ask("SELECT count(*) FROM events"), "105;");
	assert_string_equal(ask("PRAGMA journal_mode"), "wal;");
}

static void test_a_lock_of_another_is_told(void **state)
{
	(void)state;
	open_db(10);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	put_samples(1, 5);
	assert_ok(sqlite_commit(t.db, &t.e));
	assert_int_equal(sql("BEGIN IMMEDIATE"), SQLITE_OK);
	assert_int_equal(put(EVENT_SAMPLE_COMPLETE, 6), STATUS_EAGAIN);
	assert_non_null(strstr(t.e.text, t.path));
	assert_non_null(strstr(t.e.text, "locked"));
	assert_int_equal(sql("COMMIT"), SQLITE_OK);
	assert_int_equal(put(EVENT_SAMPLE_COMPLETE, 7), STATUS_EAGAIN); /* a gap would be hidden */
	struct sqlite_stats st;
	assert_int_equal(sqlite_close(t.db, &st, &t.e), STATUS_EAGAIN);
	t.db = NULL;
	assert_int_equal(st.stored, 6);
	assert_int_equal(st.lost, 2);
	assert_string_equal(ask("SELECT count(*) FROM events"), "6;");
}

static void limit_files(rlim_t size)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_no_room_on_the_disk_is_told_and_counted(void **state)
{
	uint64_t given = 1, failed = 0;
	(void)state;
	open_db(0);
	assert_ok(put(EVENT_SESSION_STARTED, 0));
	assert_ok(sqlite_commit(t.db, &t.e));
	signal(SIGXFSZ, SIG_IGN);
	limit_files(256 * 1024);
	while (!failed && given < 100000) {
		failed += put(EVENT_SAMPLE_COMPLETE, given++) != STATUS_OK;
		if (given % 100 == 0)
			failed += sqlite_commit(t.db, &t.e) != STATUS_OK;
	}
	assert_int_not_equal(put(EVENT_SAMPLE_COMPLETE, given++), STATUS_OK);
	struct sqlite_stats st;
	int err = sqlite_close(t.db, &st, &t.e);
	t.db = NULL;
	limit_files(RLIM_INFINITY);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_not_equal(err, STATUS_OK);
	assert_non_null(strstr(t.e.text, t.path));
	assert_true(failed && st.stored > 1);
	assert_int_equal(st.stored + st.lost, given);
	char expected[64];
	snprintf(expected, sizeof(expected), "%llu;", (unsigned long long)st.stored);
	assert_string_equal(ask("SELECT count(*) FROM events"), expected);
	assert_string_equal(ask("PRAGMA integrity_check"), "ok;");
}

/* ---- refused ---- */

static void assert_refused(int status, const char *text)
{
	assert_int_equal(sqlite_open(&t.db, t.path, 0, &t.e), status);
	assert_non_null(strstr(t.e.text, t.path));
	if (!strstr(t.e.text, text))
		fail_msg("'%s' is not in '%s'", text, t.e.text);
}

static void test_a_foreign_database_is_refused(void **state)
{
	(void)state;
	sql("CREATE TABLE events (a)");
	assert_refused(STATUS_EPROTO, "another program");
	assert_string_equal(ask("SELECT name FROM sqlite_master"), "events;");
	assert_string_equal(ask("PRAGMA journal_mode"), "delete;"); /* left as it was */
}

static void test_a_newer_schema_is_refused(void **state)
{
	(void)state;
	open_db(0);
	close_db();
	sql("PRAGMA user_version = 2");
	assert_refused(STATUS_EPROTO, "version 2");
}

static void test_a_file_that_is_no_database_is_refused(void **state)
{
	(void)state;
	FILE *f = fopen(t.path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		fputs("no database\n", f);
	fclose(f);
	assert_refused(STATUS_EPROTO, "not a database");
}

static void test_a_missing_folder_is_told(void **state)
{
	(void)state;
	snprintf(t.path, sizeof(t.path), "%s/missing/events.db", t.dir);
	assert_refused(STATUS_ENOENT, "No such file");
}

static void test_a_file_that_may_not_be_written_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip(); /* root may write everything */
	open_db(0);
	close_db();
	assert_int_equal(chmod(t.path, 0400), 0);
	assert_refused(STATUS_EACCES, "read-only");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_complete_event_fills_its_columns),
		T(test_what_is_absent_is_null),
		T(test_the_rest_is_json),
		T(test_sessions_have_a_table),
		T(test_the_indexes_are_used),
		T(test_a_second_delivery_changes_nothing),
		T(test_opened_again_it_goes_on),
		T(test_late_events_move_to_their_session),
		T(test_late_events_of_two_sessions_do_not_mix),
		T(test_a_batch_is_one_transaction),
		T(test_a_lock_of_another_is_told),
		T(test_no_room_on_the_disk_is_told_and_counted),
		T(test_a_foreign_database_is_refused),
		T(test_a_newer_schema_is_refused),
		T(test_a_file_that_is_no_database_is_refused),
		T(test_a_missing_folder_is_told),
		T(test_a_file_that_may_not_be_written_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
