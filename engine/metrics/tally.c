#include "metrics/tally.h"

#include "base/clock.h"
#include "base/status.h"
#include "base/utf8.h"

#include <string.h>

void tally_free(struct tally *t)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		distribution_free(t->distributions[i]);
}

/* The distribution of a metric, made with its first value; NULL: no memory. */
static struct distribution *distribution(struct tally *t, enum metric m)
{
	if (!t->distributions[m])
		distribution_new(&t->distributions[m]);
	return t->distributions[m];
}

static int observe(struct tally *t, enum metric metric, int64_t value)
{
	if (value < 0)
		return STATUS_OK;
	struct distribution *d = distribution(t, metric);
	return d ? distribution_add(d, (uint64_t)value) : STATUS_ENOMEM;
}

static int observe_gaps(struct tally *t, enum metric metric, const struct event *e, double unit)
{
	struct distribution *d = distribution(t, metric);
	return d ? distribution_add_each(d, e->chunk_us, e->chunk_us_count, unit) : STATUS_ENOMEM;
}

/* Between chunks, and as if each of the response's tokens had come in a chunk of its own. */
static int put_gaps(struct tally *t, const struct event *e)
{
	if (!e->chunk_us_count)
		return STATUS_OK;
	int err = observe_gaps(t, METRIC_ITL, e, NS_PER_US);
	if (err || e->tokens_out < 1)
		return err;
	double chunks_per_token = (double)e->chunks / (double)e->tokens_out;
	return observe_gaps(t, METRIC_ITL_TOKEN, e, NS_PER_US * chunks_per_token);
}

void tally_issued(struct tally *t, const struct event *e)
{
	if (t->issued++ == 0) {
		t->first_scheduled_ns = e->scheduled_ns;
		t->first_issued_ns = e->timestamp_ns;
	}
	if (e->scheduled_ns > t->last_scheduled_ns)
		t->last_scheduled_ns = e->scheduled_ns;
	t->last_issued_ns = e->timestamp_ns;
}

static int count_failure(struct tally *t, const struct event *e)
{
	if ((unsigned)e->failure >= FAILURE_COUNT) { /* from a stream of another version */
		t->failed++;
		return STATUS_ELIMIT;
	}
	t->failures[e->failure]++;
	if (e->failure == FAILURE_ABANDONED)
		t->abandoned++;
	else if (e->failure == FAILURE_CANCELLED)
		t->cancelled++;
	else
		t->failed++;
	int status = e->http_status - TALLY_FIRST_STATUS;
	if (e->failure == FAILURE_HTTP && status >= 0 && status < TALLY_STATUS_COUNT)
		t->statuses[status]++;
	return STATUS_OK;
}

static void add_finish_reason(struct tally *t, struct slice text, uint64_t n)
{
	/* Compare what fits, or a long one would take a new place each time. */
	char reason[sizeof(t->finish_reasons[0].name)];
	if (!utf8_fit(reason, sizeof(reason), text.data, text.len))
		return;
	int i = 0;
	while (i < TALLY_FINISH_REASONS - 1 && *t->finish_reasons[i].name &&
	       strcmp(t->finish_reasons[i].name, reason) != 0)
		i++;
	if (i == TALLY_FINISH_REASONS - 1)
		memcpy(reason, "other", sizeof("other"));
	memcpy(t->finish_reasons[i].name, reason, sizeof(reason));
	t->finish_reasons[i].count += n;
}

static void count_length(struct lengths *l, const struct event *e)
{
	int64_t asked = e->tokens_most >= 0 ? e->tokens_most : e->tokens_least;
	if (asked < 0)
		return;
	l->answers++;
	l->asked += (uint64_t)asked;
	l->got += (uint64_t)e->tokens_out;
	l->too_short += e->tokens_out < e->tokens_least;
	l->too_long += e->tokens_most >= 0 && e->tokens_out > e->tokens_most;
}

static void count_tokens(struct tally *t, const struct event *e)
{
	if (e->tokens_in > 0)
		t->tokens_in += (uint64_t)e->tokens_in;
	if (e->tokens_cached > 0)
		t->tokens_cached += (uint64_t)e->tokens_cached;
	if (e->tokens_out >= 0) {
		t->tokens_out += (uint64_t)e->tokens_out;
		t->token_responses++;
		count_length(&t->lengths, e);
	}
}

static int put_success(struct tally *t, const struct event *e, const struct measures *m)
{
	t->completed++;
	t->good += m->good;
	if (e->issued_ns >= t->window_issued_ns) {
		t->window_issued_ns = e->issued_ns;
		t->window_finished_ns = e->timestamp_ns;
	}
	count_tokens(t, e);
	add_finish_reason(t, e->finish_reason, 1);
	int err = STATUS_OK;
	for (int i = 0; !err && i < METRIC_COUNT; i++)
		if (i != METRIC_LATENESS) /* which failures have, too */
			err = observe(t, (enum metric)i, m->values[i]);
	return err ? err : put_gaps(t, e);
}

int tally_complete(struct tally *t, const struct event *e, const struct measures *m)
{
	t->chunks += e->chunks;
	if (e->bytes_in > 0)
		t->bytes_in += (uint64_t)e->bytes_in;
	if (e->bytes_out > 0)
		t->bytes_out += (uint64_t)e->bytes_out;
	if (e->timestamp_ns > t->last_finished_ns)
		t->last_finished_ns = e->timestamp_ns;
	/* Only now is it known when a worker took it; each request that is issued ends. */
	int err = observe(t, METRIC_LATENESS, m->values[METRIC_LATENESS]);
	if (err)
		return err;
	return e->failure == FAILURE_NONE ? put_success(t, e, m) : count_failure(t, e);
}

static void add_counts(struct tally *t, const struct tally *from)
{
	t->issued += from->issued;
	t->completed += from->completed;
	t->failed += from->failed;
	t->abandoned += from->abandoned;
	t->cancelled += from->cancelled;
	t->good += from->good;
	t->tokens_in += from->tokens_in;
	t->tokens_out += from->tokens_out;
	t->token_responses += from->token_responses;
	t->tokens_cached += from->tokens_cached;
	t->lengths.answers += from->lengths.answers;
	t->lengths.too_short += from->lengths.too_short;
	t->lengths.too_long += from->lengths.too_long;
	t->lengths.asked += from->lengths.asked;
	t->lengths.got += from->lengths.got;
	t->chunks += from->chunks;
	t->bytes_in += from->bytes_in;
	t->bytes_out += from->bytes_out;
	for (int i = 0; i < FAILURE_COUNT; i++)
		t->failures[i] += from->failures[i];
	for (int i = 0; i < TALLY_STATUS_COUNT; i++)
		t->statuses[i] += from->statuses[i];
}

int tally_merge(struct tally *t, const struct tally *from)
{
	int err = STATUS_OK;
	add_counts(t, from);
	for (int i = 0; i < TALLY_FINISH_REASONS; i++) {
		const char *name = from->finish_reasons[i].name;
		if (from->finish_reasons[i].count)
			add_finish_reason(t, (struct slice){ name, strlen(name) },
			                  from->finish_reasons[i].count);
	}
	for (int i = 0; !err && i < METRIC_COUNT; i++) {
		if (!from->distributions[i])
			continue;
		struct distribution *d = distribution(t, (enum metric)i);
		err = d ? distribution_merge(d, from->distributions[i]) : STATUS_ENOMEM;
	}
	return err;
}
