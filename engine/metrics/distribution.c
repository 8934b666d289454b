#include "metrics/distribution.h"

#include "base/histogram.h"
#include "base/status.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_ROOM 16
#define LAST_ROOM  1024
/* Values that become counts with each new one: all in one go would hold up the thread that
 * measures, for half a millisecond with all metrics of a phase. */
#define MOVED_AT_ONCE 4

struct distribution {
	uint64_t *values;    /* those that are not in the histogram; NULL: none, or none yet */
	uint32_t kept, room; /* values that are there, and that have room */
	bool sorted;
	struct histogram *histogram; /* NULL until there are too many values */
};

int distribution_new(struct distribution **out)
{
	struct distribution *d = calloc(1, sizeof(*d));
	if (!d)
		return STATUS_ENOMEM;
	*out = d;
	return STATUS_OK;
}

void distribution_free(struct distribution *d)
{
	if (!d)
		return;
	histogram_free(d->histogram);
	free(d->values);
	free(d);
}

/* Up to n of the values become counts. */
static void move(struct distribution *d, uint32_t n)
{
	for (; n > 0 && d->kept > 0; n--)
		histogram_add(d->histogram, d->values[--d->kept]);
	if (d->kept > 0)
		return;
	free(d->values);
	d->values = NULL;
	d->room = 0;
}

/* Before anything is read: either all are values, or all are counts. */
static void settle(struct distribution *d)
{
	if (d->histogram && d->kept)
		move(d, d->kept);
}

static int grow(struct distribution *d)
{
	/* The last step is a large one: what no value touches takes no memory, and copies of
	 * many values would be felt. */
	uint32_t room = d->room ? d->room * 4 : FIRST_ROOM;
	if (room > LAST_ROOM)
		room = DISTRIBUTION_EXACT;
	uint64_t *grown = realloc(d->values, room * sizeof(*grown));
	if (!grown)
		return STATUS_ENOMEM;
	d->values = grown;
	d->room = room;
	return STATUS_OK;
}

/* Room for one more value, perhaps in a histogram. */
static int make_room(struct distribution *d)
{
	return d->kept == DISTRIBUTION_EXACT ? histogram_new(&d->histogram) : grow(d);
}

int distribution_add(struct distribution *d, uint64_t v)
{
	int err = !d->histogram && d->kept == d->room ? make_room(d) : STATUS_OK;
	if (err)
		return err;
	if (!d->histogram) {
		d->values[d->kept++] = v;
		d->sorted = false;
		return STATUS_OK;
	}
	histogram_add(d->histogram, v);
	if (d->values)
		move(d, MOVED_AT_ONCE);
	return STATUS_OK;
}

int distribution_add_each(struct distribution *d, const uint32_t *values, uint32_t n, double unit)
{
	int err = STATUS_OK;
	uint32_t i = 0;
	for (; !err && i < n && !d->histogram; i++)
		err = distribution_add(d, (uint64_t)((double)values[i] * unit));
	if (err || i == n)
		return err;
	histogram_add_each(d->histogram, values + i, n - i, unit);
	if (d->values)
		move(d, MOVED_AT_ONCE);
	return STATUS_OK;
}

int distribution_merge(struct distribution *d, const struct distribution *from)
{
	int err = from->histogram && !d->histogram ? histogram_new(&d->histogram) : STATUS_OK;
	if (!err && from->histogram)
		histogram_merge(d->histogram, from->histogram);
	for (uint32_t i = 0; !err && i < from->kept; i++)
		err = distribution_add(d, from->values[i]);
	return err;
}

uint64_t distribution_count(const struct distribution *d)
{
	return (d->histogram ? histogram_count(d->histogram) : 0) + d->kept;
}

bool distribution_is_exact(const struct distribution *d)
{
	return !d->histogram;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void sort(struct distribution *d)
{
	if (d->sorted || !d->kept)
		return;
	qsort(d->values, d->kept, sizeof(*d->values), compare);
	d->sorted = true;
}

uint64_t distribution_min(struct distribution *d)
{
	settle(d);
	return d->histogram ? histogram_min(d->histogram) : distribution_rank(d, 1);
}

uint64_t distribution_max(struct distribution *d)
{
	settle(d);
	return d->histogram ? histogram_max(d->histogram) : distribution_rank(d, d->kept);
}

double distribution_sum(struct distribution *d)
{
	settle(d);
	if (d->histogram)
		return histogram_sum(d->histogram);
	unsigned __int128 sum = 0; /* exact: the order of the values changes no digit */
	for (uint32_t i = 0; i < d->kept; i++)
		sum += d->values[i];
	return (double)sum;
}

double distribution_mean(struct distribution *d)
{
	uint64_t n = distribution_count(d);
	return n ? distribution_sum(d) / (double)n : 0;
}

double distribution_std(struct distribution *d)
{
	settle(d);
	if (d->histogram)
		return histogram_std(d->histogram);
	if (!d->kept)
		return 0;
	sort(d); /* so that the order of the values changes no digit */
	double mean = distribution_mean(d), squares = 0;
	for (uint32_t i = 0; i < d->kept; i++) {
		double off = (double)d->values[i] - mean;
		squares += off * off;
	}
	return sqrt(squares / d->kept);
}

uint64_t distribution_rank(struct distribution *d, uint64_t rank)
{
	uint64_t n = distribution_count(d);
	if (!n)
		return 0;
	rank = rank < 1 ? 1 : rank > n ? n : rank;
	settle(d);
	if (d->histogram)
		return histogram_at_rank(d->histogram, rank);
	sort(d);
	return d->values[rank - 1];
}

uint64_t distribution_rank_of(uint64_t n, double q)
{
	/* One step down: 0.07 * 100 must not become the eighth of 100 values. */
	double share = !(q > 0) ? 0 : q > 1 ? 1 : q;
	double rank = ceil(nextafter(share * (double)n, 0));
	return rank < 1 ? 1 : (uint64_t)rank;
}

uint64_t distribution_quantile(struct distribution *d, double q)
{
	return distribution_rank(d, distribution_rank_of(distribution_count(d), q));
}

void distribution_merge_into(const struct distribution *d, struct histogram *h)
{
	if (d->histogram)
		histogram_merge(h, d->histogram);
	for (uint32_t i = 0; i < d->kept; i++)
		histogram_add(h, d->values[i]);
}

const struct histogram *distribution_counts(struct distribution *d, struct histogram *h)
{
	settle(d);
	if (d->histogram)
		return d->histogram;
	histogram_reset(h);
	distribution_merge_into(d, h);
	return h;
}

uint64_t distribution_below(struct distribution *d, uint64_t value)
{
	settle(d);
	if (d->histogram)
		return histogram_below(d->histogram, value);
	sort(d);
	uint32_t low = 0, high = d->kept;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (d->values[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
