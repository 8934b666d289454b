#include "session/journal.h"

#include "base/clock.h"
#include "events/log_writer.h"
#include "metrics/recorder.h"

#include <stdlib.h>

struct journal {
	struct fold *fold;
	struct publisher *publisher; /* NULL: none */
	struct log_writer *log;      /* NULL: none */
	struct recorder *recorder;   /* NULL: none */
	void (*on_event)(void *ctx, const struct event *e);
	void *ctx;
	uint64_t next_seq;
	uint64_t dropped; /* by the publisher, once it is closed */
};

static int open_outputs(struct journal *j, struct loop *loop, const struct journal_config *c,
                        struct error *e)
{
	int err = STATUS_OK;
	if (c->events)
		err = publisher_open(&j->publisher, loop, c->events, e);
	if (!err && c->log_file) {
		struct log_config log = { .path = c->log_file };
		err = log_writer_open(&j->log, loop, &log, e);
	}
	if (!err && c->requests_file)
		err = recorder_open(&j->recorder, c->requests_file, e);
	return err;
}

int journal_open(struct journal **out, struct loop *loop, const struct journal_config *config,
                 struct error *e)
{
	struct journal *j = calloc(1, sizeof(*j));
	if (!j || fold_new(&j->fold)) {
		free(j);
		return error_set(e, STATUS_ENOMEM, "session: out of memory");
	}
	j->on_event = config->on_event;
	j->ctx = config->ctx;
	int err = open_outputs(j, loop, config, e);
	if (err) {
		journal_free(j);
		return err;
	}
	*out = j;
	return STATUS_OK;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	publisher_close(j->publisher, clock_now(), NULL);
	log_writer_close(j->log, NULL);
	recorder_close(j->recorder, NULL);
	fold_free(j->fold);
	free(j);
}

static void record(struct journal *j, const struct event *e)
{
	const struct phase_metrics *m = fold_phase(j->fold, e->phase);
	recorder_put(j->recorder, e, m ? m->name : "", fold_started_ns(j->fold));
}

void journal_put(struct journal *j, struct event *e)
{
	e->seq = j->next_seq++;
	fold_put(j->fold, e);
	if (j->publisher && !publisher_pass(j->publisher, e))
		publisher_put(j->publisher, e);
	if (j->log)
		log_writer_put(j->log, e);
	if (j->recorder && e->type == EVENT_SAMPLE_COMPLETE)
		record(j, e);
	if (j->on_event)
		j->on_event(j->ctx, e);
}

struct fold *journal_fold(const struct journal *j)
{
	return j->fold;
}

struct publisher *journal_publisher(const struct journal *j)
{
	return j->publisher;
}

bool journal_has_log(const struct journal *j)
{
	return j->log != NULL;
}

static uint64_t dropped_by(const struct publisher *p)
{
	struct publisher_stats stats = { 0 };
	if (p)
		publisher_stats(p, &stats);
	return stats.dropped;
}

uint64_t journal_dropped(const struct journal *j)
{
	return j->dropped + dropped_by(j->publisher) + fold_lost(j->fold);
}

int journal_close_requests(struct journal *j, uint64_t *lost, struct error *e)
{
	*lost = j->recorder ? recorder_lost(j->recorder) : 0;
	int status = recorder_close(j->recorder, e);
	j->recorder = NULL;
	return status;
}

uint64_t journal_close_events(struct journal *j, uint64_t deadline_ns)
{
	uint64_t undelivered = 0;
	j->dropped += dropped_by(j->publisher);
	publisher_close(j->publisher, deadline_ns, &undelivered);
	j->publisher = NULL;
	return undelivered;
}

void journal_salvage(struct journal *j)
{
	if (j->log)
		log_writer_salvage(j->log);
}

int journal_close_log(struct journal *j, struct error *e)
{
	int status = log_writer_close(j->log, e);
	j->log = NULL;
	return status;
}
