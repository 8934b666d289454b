/* sqlite.h - writes events into a SQLite database.
 *
 * The only module that knows SQLite. Used by one thread; blocks on the disk and
 * on other writers, at most for the busy time. docs/events.md lists the tables.
 *
 * Rows are keyed by session and seq: an event that is there already is counted as
 * known and changes nothing, so that a database may be opened again and fed the
 * same events once more. Only some records name their session. What comes before
 * the first that does is kept under a name of its own, "late-1" or the next free
 * one, and moves to the session as soon as a record names it.
 *
 * After a failure nothing more is written and every event is counted as lost. */
#ifndef PERIGEE_EVENTS_SQLITE_H
#define PERIGEE_EVENTS_SQLITE_H

#include "base/status.h"
#include "events/event.h"

struct sqlite_stats {
	uint64_t stored;  /* rows that are new */
	uint64_t known;   /* events that were there already */
	uint64_t lost;    /* events given that are not in the database */
	uint64_t commits; /* transactions */
};

struct sqlite;

/* Open or make the database at path. One of another program or of a newer schema
 * is refused. busy_ms: how long to wait for others that have it locked.
 * Returns 0, STATUS_EPROTO (not a database of ours), or what sqlite_put() may
 * return, with e filled. */
int sqlite_open(struct sqlite **out, const char *path, unsigned busy_ms, struct error *e);

/* Add one event to the open transaction, beginning one if there is none. Returns 0,
 * STATUS_ENOSPC, _EACCES, _EAGAIN (locked by another), _ENOMEM, _ELIMIT or _EIO with
 * error filled; after a failure always the same. */
int sqlite_put(struct sqlite *s, const struct event *e, struct error *error);

/* End the open transaction: what was put is on disk unless the machine itself fails. */
int sqlite_commit(struct sqlite *s, struct error *error);

/* Events of an open transaction count as stored. */
void sqlite_stats(const struct sqlite *s, struct sqlite_stats *out);

/* Commit and free. stats (may be NULL): the final ones. NULL s is fine. */
int sqlite_close(struct sqlite *s, struct sqlite_stats *stats, struct error *error);

#endif
