#include "events/sqlite.h"

#include "events/event_keys.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 0x70726765 /* "prge", in the head of the file */
#define SCHEMA_VERSION 1
#define SESSION_MAX    64 /* bytes of a session's name, cut beyond */
#define DATA_LIMIT     ((size_t)1 << 30)
#define LATE           "late-"
#define TEXT_OF(x)     TEXT_OF_(x)
#define TEXT_OF_(x)    #x

/*  member of struct event, column, its type. The keys of a record that have a column
 * of their own; data and session_id are handled apart, and the others go into the
 * column data as JSON. */
#define COLUMNS(X)                                                                                 \
	X(seq, "seq", "INTEGER NOT NULL")                                                          \
	X(type, "event_type", "TEXT NOT NULL")                                                     \
	X(timestamp_ns, "timestamp_ns", "INTEGER NOT NULL")                                        \
	X(uuid, "sample_uuid", "TEXT")                                                             \
	X(phase, "phase", "INTEGER")                                                               \
	X(index, "sample_index", "INTEGER")                                                        \
	X(conversation_id, "conversation_id", "TEXT")                                              \
	X(turn, "turn", "INTEGER")                                                                 \
	X(worker_id, "worker_id", "INTEGER")                                                       \
	X(tag, "tag", "TEXT")                                                                      \
	X(scheduled_ns, "scheduled_ns", "INTEGER")                                                 \
	X(issued_ns, "issued_ns", "INTEGER")                                                       \
	X(sent_ns, "sent_ns", "INTEGER")                                                           \
	X(first_byte_ns, "first_byte_ns", "INTEGER")                                               \
	X(first_ns, "first_ns", "INTEGER")                                                         \
	X(failure, "failure", "TEXT")                                                              \
	X(http_status, "http_status", "INTEGER")                                                   \
	X(chunks, "chunks", "INTEGER")                                                             \
	X(bytes_in, "bytes_in", "INTEGER")                                                         \
	X(bytes_out, "bytes_out", "INTEGER")                                                       \
	X(tokens_in, "tokens_in", "INTEGER")                                                       \
	X(tokens_out, "tokens_out", "INTEGER")                                                     \
	X(finish_reason, "finish_reason", "TEXT")

static const uint8_t column_keys[] = {
#define X(member, name, type) EVENT_KEY_##member,
	COLUMNS(X)
#undef X
};

#define REST_KEYS                                                                                  \
	(EVENT_KEY_BIT(EVENT_KEY_COUNT) - 1 - EVENT_KEY_BIT(EVENT_KEY_session_id) -                \
	 EVENT_KEY_BIT(EVENT_KEY_text) COLUMNS(MINUS_BIT))
#define MINUS_BIT(member, name, type) -EVENT_KEY_BIT(EVENT_KEY_##member)

#define DEFINE(member, name, type) name " " type ", "
#define NAME(member, name, type)   ", " name
#define MARK(member, name, type)   ", ?"
#define COLUMN_DEFINITIONS         COLUMNS(DEFINE)
#define COLUMN_NAMES               COLUMNS(NAME)
#define COLUMN_MARKS               COLUMNS(MARK)

#define SQL_SESSIONS                                                                               \
	"CREATE TABLE sessions (session_id TEXT NOT NULL PRIMARY KEY, name TEXT,"                  \
	" started_ns INTEGER, realtime_ns INTEGER, ended_ns INTEGER) WITHOUT ROWID;"
#define SQL_EVENTS                                                                                 \
	"CREATE TABLE events (session_id TEXT NOT NULL, " COLUMN_DEFINITIONS                       \
	"error_type TEXT, error_message TEXT, text TEXT, reasoning TEXT, data TEXT,"               \
	" PRIMARY KEY (session_id, seq));"                                                         \
	"CREATE INDEX events_type ON events (event_type, phase);"                                  \
	"CREATE INDEX events_sample ON events (sample_uuid) WHERE sample_uuid IS NOT NULL;"
#define ID_TEXT      TEXT_OF(APPLICATION_ID)
#define VERSION_TEXT TEXT_OF(SCHEMA_VERSION)
#define SQL_VERSION  "PRAGMA application_id = " ID_TEXT "; PRAGMA user_version = " VERSION_TEXT
/* The rows of sample_uuid's index go all over the place: pages are kept in 64 MiB of
 * memory and copied from the journal in as large a lot, which saves a third. */
#define SQL_SETTINGS                                                                               \
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"                                  \
	"PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384"
#define SQL_INSERT                                                                                 \
	"INSERT INTO events (session_id" COLUMN_NAMES                                              \
	", error_type, error_message, text, reasoning, data) VALUES (?" COLUMN_MARKS               \
	", ?, ?, ?, ?, ?) ON CONFLICT (session_id, seq) DO NOTHING"

/*  statement, text. Prepared once. */
#define STATEMENTS(X)                                                                              \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                \
	X(COMMIT, "COMMIT")                                                                        \
	X(EVENT, SQL_INSERT)                                                                       \
	X(SESSION, "INSERT INTO sessions (session_id) VALUES (?)"                                  \
	           " ON CONFLICT (session_id) DO NOTHING")                                         \
	X(STARTED, "UPDATE sessions SET name = ?2, started_ns = ?3, realtime_ns = ?4"              \
	           " WHERE session_id = ?1")                                                       \
	X(ENDED, "UPDATE sessions SET ended_ns = ?2 WHERE session_id = ?1")                        \
	X(MOVE, "UPDATE OR IGNORE events SET session_id = ?2 WHERE session_id = ?1")               \
	X(MOVED, "DELETE FROM events WHERE session_id = ?1")                                       \
	X(FORGET, "DELETE FROM sessions WHERE session_id = ?1")                                    \
	X(LATEST, "SELECT coalesce(max(CAST(substr(session_id, 6) AS INTEGER)), 0) FROM sessions"  \
	          " WHERE session_id GLOB '" LATE "*'")

enum statement {
#define X(id, text) STATEMENT_##id,
	STATEMENTS(X)
#undef X
		STATEMENT_COUNT
};

struct sqlite {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct sqlite_stats stats, committed; /* the latter as of the last commit */
	char session[SESSION_MAX];            /* of the events now; "": none has come */
	size_t session_len;
	bool late;            /* session is a name of our own */
	bool open;            /* a transaction is */
	struct error failure; /* status 0: none */

	/* What the insert borrows. */
	char topic[EVENT_TOPIC_SIZE], hex[32];
	struct buffer data;
};

/* ---- failures ---- */

static int status_of(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_FULL:
		return STATUS_ENOSPC;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		return STATUS_EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return STATUS_EAGAIN;
	case SQLITE_NOMEM:
		return STATUS_ENOMEM;
	case SQLITE_TOOBIG:
		return STATUS_ELIMIT;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return STATUS_EPROTO;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR: {
		int err = db ? sqlite3_system_errno(db) : 0;
		return err ? status_from_errno(err) : STATUS_EIO;
	}
	default:
		return STATUS_EIO;
	}
}

/* What SQLite says, and what the system said when that is the cause. */
static int describe(struct sqlite *s, int rc, struct error *e)
{
	int err = s->db ? sqlite3_system_errno(s->db) : 0;
	bool io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
	const char *what = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
	return error_set(e, status_of(s->db, rc), "%s: %s%s%s", s->path, what,
	                 io && err ? ": " : "", io && err ? strerror(err) : "");
}

/* The transaction is given up: what it held is lost, and so is all that follows. */
static int fail(struct sqlite *s, int rc)
{
	describe(s, rc, &s->failure);
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	uint64_t given = s->stats.stored + s->stats.known;
	s->stats = s->committed;
	s->stats.lost = given - s->stats.stored - s->stats.known;
	s->open = false;
	return s->failure.status;
}

/* ---- statements ---- */

/* The first failure sticks. What is bound is not copied: it outlives the step. */
struct binder {
	struct sqlite *s;
	sqlite3_stmt *st;
	int at; /* of the last parameter bound */
	int rc;
};

static void bind_text(struct binder *b, struct slice text)
{
	int rc = text.data ? sqlite3_bind_text64(b->st, ++b->at, text.data, text.len, SQLITE_STATIC,
	                                         SQLITE_UTF8)
	                   : sqlite3_bind_null(b->st, ++b->at);
	b->rc = b->rc ? b->rc : rc;
}

static void bind_integer(struct binder *b, bool present, uint64_t v)
{
	int rc = present ? sqlite3_bind_int64(b->st, ++b->at, (sqlite3_int64)v)
	                 : sqlite3_bind_null(b->st, ++b->at);
	b->rc = b->rc ? b->rc : rc;
}

/* Most statements begin with the session. */
static struct binder for_session(struct sqlite *s, enum statement id)
{
	struct binder b = { .s = s, .st = s->statements[id] };
	bind_text(&b, (struct slice){ s->session, s->session_len });
	return b;
}

static int run(struct binder *b)
{
	if (b->rc)
		return fail(b->s, b->rc);
	sqlite3_step(b->st);
	int rc = sqlite3_reset(b->st); /* the step's own result, told exactly */
	return rc ? fail(b->s, rc) : STATUS_OK;
}

static int run_plain(struct sqlite *s, enum statement id)
{
	struct binder b = { .s = s, .st = s->statements[id] };
	return run(&b);
}

static int run_for_session(struct sqlite *s, enum statement id)
{
	struct binder b = for_session(s, id);
	return run(&b);
}

static int begin(struct sqlite *s)
{
	if (s->open)
		return STATUS_OK;
	int err = run_plain(s, STATEMENT_BEGIN);
	s->open = !err;
	return err;
}

/* ---- sessions ---- */

/* The events from now on are of this one. */
static int enter_session(struct sqlite *s, struct slice name, bool late)
{
	memcpy(s->session, name.data, name.len);
	s->session_len = name.len;
	s->late = late;
	return run_for_session(s, STATEMENT_SESSION);
}

static int enter_late(struct sqlite *s)
{
	char name[32];
	sqlite3_stmt *st = s->statements[STATEMENT_LATEST];
	long long last = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	int rc = sqlite3_reset(st);
	if (rc)
		return fail(s, rc);
	int n = snprintf(name, sizeof(name), LATE "%lld", last + 1);
	return enter_session(s, (struct slice){ name, (size_t)n }, true);
}

/* What came under a name of our own is of the session `name`. Rows that this has
 * already stay behind and are deleted. */
static int move_late(struct sqlite *s, struct slice name)
{
	struct binder move = for_session(s, STATEMENT_MOVE);
	bind_text(&move, name);
	int err = run(&move);
	err = err ? err : run_for_session(s, STATEMENT_MOVED);
	if (err)
		return err;
	uint64_t twice = (uint64_t)sqlite3_changes(s->db);
	s->stats.stored -= twice;
	s->stats.known += twice;
	err = run_for_session(s, STATEMENT_FORGET);
	return err ? err : enter_session(s, name, false);
}

/* A session that starts is another one than that of the events before it. */
static int follow_session(struct sqlite *s, const struct event *e)
{
	struct slice name = e->session_id;
	if (!name.data || !name.len)
		return s->session_len ? STATUS_OK : enter_late(s);
	name.len = name.len < SESSION_MAX ? name.len : SESSION_MAX;
	if (s->late && e->type != EVENT_SESSION_STARTED)
		return move_late(s, name);
	if (name.len == s->session_len && memcmp(name.data, s->session, name.len) == 0)
		return STATUS_OK;
	return enter_session(s, name, false);
}

static int tell_session(struct sqlite *s, const struct event *e)
{
	if (e->type == EVENT_SESSION_STARTED) {
		struct binder started = for_session(s, STATEMENT_STARTED);
		bind_text(&started, e->name);
		bind_integer(&started, true, e->timestamp_ns);
		bind_integer(&started, e->realtime_ns != 0, e->realtime_ns);
		return run(&started);
	}
	if (e->type == EVENT_SESSION_ENDED) {
		struct binder ended = for_session(s, STATEMENT_ENDED);
		bind_integer(&ended, true, e->timestamp_ns);
		return run(&ended);
	}
	return STATUS_OK;
}

/* ---- one event ---- */

static void bind_topic(struct binder *b, const struct event *e)
{
	size_t len = event_full_topic(e, b->s->topic);
	bind_text(b, (struct slice){ b->s->topic, len });
}

static void bind_uuid(struct binder *b, const uint64_t uuid[2])
{
	bool present = uuid[0] || uuid[1];
	event_uuid_hex(uuid, b->s->hex);
	bind_text(b, (struct slice){ present ? b->s->hex : NULL, sizeof(b->s->hex) });
}

static void bind_failure(struct binder *b, enum failure f)
{
	const char *name = f == FAILURE_NONE ? NULL : failure_name(f);
	bind_text(b, (struct slice){ name, name ? strlen(name) : 0 });
}

static void bind_key(struct binder *b, const struct event_key *key, const struct event *e)
{
	uint64_t v = 0;
	switch ((enum event_kind)key->kind) {
	case KIND_TYPE:
		bind_topic(b, e);
		return;
	case KIND_UUID:
		bind_uuid(b, e->uuid);
		return;
	case KIND_FAILURE:
		bind_failure(b, e->failure);
		return;
	case KIND_NAME:
	case KIND_TEXT:
		bind_text(b, *(const struct slice *)(const void *)((const char *)e + key->offset));
		return;
	default: {
		bool present = event_key_integer(key, e, &v);
		bind_integer(b, present, v);
	}
	}
}

static int insert(struct sqlite *s, const struct event *e)
{
	struct binder b = for_session(s, STATEMENT_EVENT);
	buffer_clear(&s->data);
	if (event_json_keys(e, REST_KEYS, &s->data))
		return fail(s, SQLITE_NOMEM);
	for (size_t i = 0; i < sizeof(column_keys); i++)
		bind_key(&b, &event_keys[column_keys[i]], e);
	bind_text(&b, e->error_type);
	bind_text(&b, e->error_message);
	bind_text(&b, e->text);
	bind_text(&b, e->reasoning);
	bind_text(&b, (struct slice){ s->data.len ? s->data.data : NULL, s->data.len });
	return run(&b);
}

static int repeat_failure(const struct sqlite *s, struct error *error)
{
	return error_set(error, s->failure.status, "%s", s->failure.text);
}

int sqlite_put(struct sqlite *s, const struct event *e, struct error *error)
{
	int err = s->failure.status;
	err = err ? err : begin(s);
	err = err ? err : follow_session(s, e);
	err = err ? err : tell_session(s, e);
	err = err ? err : insert(s, e); /* last: it counts */
	if (err) {
		s->stats.lost++;
		return repeat_failure(s, error);
	}
	if (sqlite3_changes(s->db))
		s->stats.stored++;
	else
		s->stats.known++;
	return STATUS_OK;
}

int sqlite_commit(struct sqlite *s, struct error *error)
{
	if (s->failure.status)
		return repeat_failure(s, error);
	if (!s->open)
		return STATUS_OK;
	if (run_plain(s, STATEMENT_COMMIT))
		return repeat_failure(s, error);
	s->open = false;
	s->stats.commits++;
	s->committed = s->stats;
	return STATUS_OK;
}

void sqlite_stats(const struct sqlite *s, struct sqlite_stats *out)
{
	*out = s->stats;
}

/* ---- life ---- */

static int pragma(struct sqlite *s, const char *text, long long *out)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, text, -1, &st, NULL);
	if (rc)
		return rc;
	*out = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	return sqlite3_finalize(st);
}

/* Is it ours, new, or somebody else's? In a transaction, so that of two that make
 * the same database one waits. */
static int check_schema(struct sqlite *s, struct error *e)
{
	long long id, version, objects;
	int rc = pragma(s, "PRAGMA application_id", &id);
	rc = rc ? rc : pragma(s, "PRAGMA user_version", &version);
	rc = rc ? rc : pragma(s, "SELECT count(*) FROM sqlite_master", &objects);
	if (rc)
		return describe(s, rc, e);
	if (id == APPLICATION_ID && version == SCHEMA_VERSION)
		return STATUS_OK;
	if (id == APPLICATION_ID)
		return error_set(e, STATUS_EPROTO,
		                 "%s: its schema has version %lld, this perigee knows version %d",
		                 s->path, version, SCHEMA_VERSION);
	if (id || version || objects)
		return error_set(e, STATUS_EPROTO, "%s: the database of another program", s->path);
	rc = sqlite3_exec(s->db, SQL_SESSIONS SQL_EVENTS SQL_VERSION, NULL, NULL, NULL);
	return rc ? describe(s, rc, e) : STATUS_OK;
}

static int prepare_schema(struct sqlite *s, struct error *e)
{
	int rc = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc)
		return describe(s, rc, e);
	int err = check_schema(s, e);
	if (err)
		return err; /* closing rolls back */
	rc = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
	return rc ? describe(s, rc, e) : STATUS_OK;
}

static int prepare_statements(struct sqlite *s, struct error *e)
{
	static const char *const texts[] = {
#define X(id, text) text,
		STATEMENTS(X)
#undef X
	};
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
		                            &s->statements[i], NULL);
		if (rc)
			return describe(s, rc, e);
	}
	return STATUS_OK;
}

static int open_database(struct sqlite *s, unsigned busy_ms, struct error *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
	if (rc)
		return describe(s, rc, e);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, (int)busy_ms);
	/* A file that may not be written is opened for reading instead. */
	if (sqlite3_db_readonly(s->db, "main") == 1)
		return error_set(e, STATUS_EACCES, "%s: read-only", s->path);
	int err = prepare_schema(s, e);
	if (err)
		return err;
	rc = sqlite3_exec(s->db, SQL_SETTINGS, NULL, NULL, NULL);
	if (rc)
		return describe(s, rc, e);
	return prepare_statements(s, e);
}

static void destroy(struct sqlite *s)
{
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(s->statements[i]);
	sqlite3_close(s->db);
	buffer_free(&s->data);
	free(s->path);
	free(s);
}

int sqlite_open(struct sqlite **out, const char *path, unsigned busy_ms, struct error *e)
{
	struct sqlite *s = calloc(1, sizeof(*s));
	if (s)
		s->path = strdup(path);
	if (!s || !s->path) {
		free(s);
		return error_set(e, STATUS_ENOMEM, "out of memory");
	}
	buffer_init(&s->data, DATA_LIMIT);
	int err = open_database(s, busy_ms, e);
	if (err) {
		destroy(s);
		return err;
	}
	*out = s;
	return STATUS_OK;
}

int sqlite_close(struct sqlite *s, struct sqlite_stats *stats, struct error *error)
{
	if (!s)
		return STATUS_OK;
	int err = sqlite_commit(s, error);
	if (stats)
		*stats = s->stats;
	destroy(s);
	return err;
}
