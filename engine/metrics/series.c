#include "metrics/series.h"

#include "base/status.h"

#include <stdlib.h>
#include <string.h>

/* Counts of values in steps of 2^10 ns: SUB_COUNT single steps, then SUB_HALF buckets for
 * each doubling, up to the top of the range (more than an hour). */
#define STEP_BITS 10
#define SUB_BITS  5
#define SUB_COUNT (1u << SUB_BITS)
#define SUB_HALF  (SUB_COUNT / 2)
#define MAX_BITS  32
#define BUCKETS   ((MAX_BITS - SUB_BITS + 2) * SUB_HALF)

struct sketch {
	uint32_t counts[BUCKETS]; /* stay at their maximum */
};

struct bin {
	uint64_t asked, issued, completed, failed, good, tokens_out;
	uint32_t failures[FAILURE_COUNT];
	uint64_t inflight_max;
	uint64_t lateness_count, lateness_max;
	uint64_t latency_sum, latency_count, ttft_count;
	struct sketch *latency, *ttft; /* NULL: no value */
};

struct series {
	uint64_t start_ns, width_ns;
	uint64_t inflight;
	int latest;              /* the bin that was last found, and where it begins */
	uint64_t latest_from_ns; /* after the start */
	int count;               /* bins that something fell into, or lie before such a one */
	struct bin bins[SERIES_BINS];
};

int series_new(struct series **out, uint64_t start_ns)
{
	struct series *s = calloc(1, sizeof(*s));
	if (!s)
		return STATUS_ENOMEM;
	s->start_ns = start_ns;
	s->width_ns = SERIES_WIDTH_NS;
	*out = s;
	return STATUS_OK;
}

void series_free(struct series *s)
{
	for (int i = 0; s && i < s->count; i++) {
		free(s->bins[i].latency);
		free(s->bins[i].ttft);
	}
	free(s);
}

/* ---- sketches ---- */

static unsigned bucket_of(uint64_t value_ns)
{
	uint64_t v = value_ns >> STEP_BITS;
	if (v < SUB_COUNT)
		return (unsigned)v;
	if (v >> MAX_BITS)
		return BUCKETS - 1;
	unsigned shift = 63u - (unsigned)__builtin_clzll(v) - (SUB_BITS - 1);
	return shift * SUB_HALF + (unsigned)(v >> shift);
}

static uint64_t bucket_middle(unsigned i)
{
	unsigned shift = i < SUB_COUNT ? 0 : i / SUB_HALF - 1;
	uint64_t sub = i - shift * SUB_HALF;
	return (sub << (shift + STEP_BITS)) + (1ULL << (shift + STEP_BITS)) / 2;
}

static int sketch_add(struct sketch **s, uint64_t value_ns)
{
	if (!*s)
		*s = calloc(1, sizeof(**s));
	if (!*s)
		return STATUS_ENOMEM;
	uint32_t *n = &(*s)->counts[bucket_of(value_ns)];
	if (*n < UINT32_MAX)
		++*n;
	return STATUS_OK;
}

/* *into takes the counts of from, which is gone. */
static void sketch_take(struct sketch **into, struct sketch *from)
{
	if (!*into) {
		*into = from;
		return;
	}
	for (unsigned i = 0; from && i < BUCKETS; i++) {
		uint64_t sum = (uint64_t)(*into)->counts[i] + from->counts[i];
		(*into)->counts[i] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
	}
	free(from);
}

/* ---- bins ---- */

static void bin_take(struct bin *b, struct bin *from)
{
	b->asked += from->asked;
	b->issued += from->issued;
	b->completed += from->completed;
	b->failed += from->failed;
	b->good += from->good;
	b->tokens_out += from->tokens_out;
	for (int i = 0; i < FAILURE_COUNT; i++)
		b->failures[i] += from->failures[i];
	if (from->inflight_max > b->inflight_max)
		b->inflight_max = from->inflight_max;
	b->lateness_count += from->lateness_count;
	if (from->lateness_max > b->lateness_max)
		b->lateness_max = from->lateness_max;
	b->latency_sum += from->latency_sum;
	b->latency_count += from->latency_count;
	b->ttft_count += from->ttft_count;
	sketch_take(&b->latency, from->latency);
	sketch_take(&b->ttft, from->ttft);
	*from = (struct bin){ 0 };
}

static void halve(struct series *s)
{
	for (int i = 1; i < s->count; i++) {
		if (i % 2)
			bin_take(&s->bins[i / 2], &s->bins[i]);
		else
			s->bins[i / 2] = s->bins[i], s->bins[i] = (struct bin){ 0 };
	}
	s->count = (s->count + 1) / 2;
	s->width_ns *= 2;
	s->latest = 0;
	s->latest_from_ns = 0;
}

static struct bin *bin_at(struct series *s, uint64_t at_ns)
{
	uint64_t since = at_ns > s->start_ns ? at_ns - s->start_ns : 0;
	if (since - s->latest_from_ns < s->width_ns && s->latest < s->count) /* mostly */
		return &s->bins[s->latest];
	while (since / s->width_ns >= SERIES_BINS)
		halve(s);
	s->latest = (int)(since / s->width_ns);
	s->latest_from_ns = (uint64_t)s->latest * s->width_ns;
	if (s->latest >= s->count)
		s->count = s->latest + 1;
	return &s->bins[s->latest];
}

int series_issued(struct series *s, uint64_t scheduled_ns, uint64_t issued_ns)
{
	bin_at(s, scheduled_ns)->asked++;
	struct bin *b = bin_at(s, issued_ns);
	b->issued++;
	s->inflight++;
	if (s->inflight > b->inflight_max)
		b->inflight_max = s->inflight;
	return STATUS_OK;
}

static void add_lateness(struct bin *b, uint64_t lateness_ns)
{
	b->lateness_count++;
	if (lateness_ns > b->lateness_max)
		b->lateness_max = lateness_ns;
}

int series_ended(struct series *s, uint64_t at_ns, const struct series_end *end)
{
	if (end->lateness_ns >= 0)
		add_lateness(bin_at(s, end->issued_ns), (uint64_t)end->lateness_ns);
	struct bin *b = bin_at(s, at_ns);
	int err = STATUS_OK;
	if (s->inflight > b->inflight_max)
		b->inflight_max = s->inflight;
	s->inflight -= s->inflight > 0;
	if (end->failure != FAILURE_NONE) {
		b->failed++;
		b->failures[end->failure]++;
		return STATUS_OK;
	}
	b->completed++;
	b->good += end->good;
	if (end->tokens_out > 0)
		b->tokens_out += (uint64_t)end->tokens_out;
	if (end->latency_ns >= 0) {
		b->latency_sum += (uint64_t)end->latency_ns;
		b->latency_count++;
		err = sketch_add(&b->latency, (uint64_t)end->latency_ns);
	}
	if (!err && end->ttft_ns >= 0) {
		b->ttft_count++;
		err = sketch_add(&b->ttft, (uint64_t)end->ttft_ns);
	}
	return err;
}

/* ---- reading ---- */

int series_count(const struct series *s)
{
	return s->count;
}

uint64_t series_width_ns(const struct series *s)
{
	return s->width_ns;
}

void series_mean(const struct series *s, int i, uint64_t *completed, double *latency_mean)
{
	const struct bin *b = &s->bins[i];
	*completed = b->completed;
	*latency_mean = b->latency_count ? (double)b->latency_sum / (double)b->latency_count : 0;
}

static void add_counts(uint64_t sums[BUCKETS], const struct sketch *s)
{
	for (unsigned i = 0; s && i < BUCKETS; i++)
		sums[i] += s->counts[i];
}

static uint64_t quantile(const uint64_t sums[BUCKETS], uint64_t n, unsigned percent)
{
	uint64_t rank = (n * percent + 99) / 100, seen = 0;
	for (unsigned i = 0; n && i < BUCKETS; i++) {
		seen += sums[i];
		if (seen >= rank)
			return bucket_middle(i);
	}
	return 0;
}

void series_read(const struct series *s, int from, int to, struct series_point *out)
{
	uint64_t latency[BUCKETS] = { 0 }, ttft[BUCKETS] = { 0 }, latency_sum = 0;
	*out = (struct series_point){ 0 };
	for (int i = 0; i < to; i++) {
		const struct bin *b = &s->bins[i];
		out->inflight += b->issued - b->completed - b->failed;
		if (i < from)
			continue;
		out->asked += b->asked;
		out->issued += b->issued;
		out->completed += b->completed;
		out->failed += b->failed;
		for (int k = 0; k < FAILURE_COUNT; k++)
			out->failures[k] += b->failures[k];
		out->good += b->good;
		out->tokens_out += b->tokens_out;
		if (b->inflight_max > out->inflight_max)
			out->inflight_max = b->inflight_max;
		out->lateness_count += b->lateness_count;
		if (b->lateness_max > out->lateness_max)
			out->lateness_max = b->lateness_max;
		latency_sum += b->latency_sum;
		out->latency_count += b->latency_count;
		out->ttft_count += b->ttft_count;
		add_counts(latency, b->latency);
		add_counts(ttft, b->ttft);
	}
	out->latency_mean =
		out->latency_count ? (double)latency_sum / (double)out->latency_count : 0;
	out->latency_p50 = quantile(latency, out->latency_count, 50);
	out->latency_p90 = quantile(latency, out->latency_count, 90);
	out->latency_p99 = quantile(latency, out->latency_count, 99);
	out->ttft_p50 = quantile(ttft, out->ttft_count, 50);
	out->ttft_p90 = quantile(ttft, out->ttft_count, 90);
	out->ttft_p99 = quantile(ttft, out->ttft_count, 99);
}
