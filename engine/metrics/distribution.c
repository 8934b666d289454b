#include "metrics/distribution.h"

#include "base/histogram.h"
#include "base/status.h"
#include "metrics/batch_means.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16
#define LAST_ROOM  1024
/* Values that become counts with each new one: all in one go would hold up the thread that
 * measures, for half a millisecond with all metrics of a phase. */
#define MOVED_AT_ONCE 4

/* A value and its place among those that came, in one word: sorting words sorts the values, and the
 * order in which they came, which tells how they are correlated, is not lost. */
#define PLACE_BITS 14
#define PLACES     ((uint64_t)1 << PLACE_BITS)
#define MOST       (UINT64_MAX >> PLACE_BITS) /* 13 days in ns */
_Static_assert(DISTRIBUTION_EXACT <= PLACES, "each value has a place");

struct distribution {
	uint64_t *words;     /* the first values; NULL: none yet */
	uint32_t kept, room; /* words that are there, and that have room */
	uint32_t counted;    /* how many of them, the last ones, are in the histogram, too */
	bool sorted;
	struct histogram *histogram; /* NULL until there are too many values */
};

static uint64_t word_of(uint64_t value, uint32_t place)
{
	return (value < MOST ? value : MOST) << PLACE_BITS | place;
}

static uint64_t value_of(uint64_t word)
{
	return word >> PLACE_BITS;
}

/* Words that no histogram counts. */
static uint32_t uncounted(const struct distribution *d)
{
	return d->kept - d->counted;
}

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
	free(d->words);
	free(d);
}

/* Up to n of the words become counts. */
static void move(struct distribution *d, uint32_t n)
{
	for (; n > 0 && uncounted(d) > 0; n--) {
		d->counted++;
		histogram_add(d->histogram, value_of(d->words[d->kept - d->counted]));
	}
}

/* Before anything is read: either none are counts, or all are. */
static void settle(struct distribution *d)
{
	if (d->histogram)
		move(d, uncounted(d));
}

static int grow(struct distribution *d)
{
	/* The last step is a large one: what no value touches takes no memory, and copies of
	 * many values would be felt. */
	uint32_t room = d->room ? d->room * 4 : FIRST_ROOM;
	if (room > LAST_ROOM)
		room = DISTRIBUTION_EXACT;
	uint64_t *grown = realloc(d->words, room * sizeof(*grown));
	if (!grown)
		return STATUS_ENOMEM;
	d->words = grown;
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
		d->words[d->kept] = word_of(v, d->kept);
		d->kept++;
		d->sorted = false;
		return STATUS_OK;
	}
	histogram_add(d->histogram, v);
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
	move(d, MOVED_AT_ONCE);
	return STATUS_OK;
}

/* The words of from behind those of d, which has room for them. */
static int append_words(struct distribution *d, const struct distribution *from)
{
	while (d->room < d->kept + from->kept)
		if (grow(d))
			return STATUS_ENOMEM;
	for (uint32_t i = 0; i < from->kept; i++)
		d->words[d->kept + i] = from->words[i] + d->kept; /* the places follow, too */
	d->kept += from->kept;
	d->sorted = false;
	return STATUS_OK;
}

int distribution_merge(struct distribution *d, const struct distribution *from)
{
	bool are_few = d->kept + from->kept <= DISTRIBUTION_EXACT;
	if (are_few && !d->histogram && !from->histogram)
		return append_words(d, from);
	if (!d->histogram && histogram_new(&d->histogram))
		return STATUS_ENOMEM;
	distribution_merge_into(from, d->histogram);
	if (d->kept)
		return STATUS_OK;
	int err = append_words(d, from); /* they tell of the correlation, and are counted */
	d->counted = d->kept;
	return err;
}

uint64_t distribution_count(const struct distribution *d)
{
	return (d->histogram ? histogram_count(d->histogram) : 0) + uncounted(d);
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
	qsort(d->words, d->kept, sizeof(*d->words), compare);
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
		sum += value_of(d->words[i]);
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
		double off = (double)value_of(d->words[i]) - mean;
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
	return value_of(d->words[rank - 1]);
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
	for (uint32_t i = 0; i < uncounted(d); i++)
		histogram_add(h, value_of(d->words[i]));
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
		if (value_of(d->words[middle]) < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The means over batches of the words of a mark: 1 where the value is at most that one. Returns the
 * mean of all. */
static double batch_marks(const struct distribution *d, uint64_t value, double *means, int batches)
{
	double sum = 0;
	uint32_t length = d->kept / (uint32_t)batches;
	uint32_t counts[BATCH_MEANS_MOST + 1] = { 0 }; /* the last: those that are too many */
	for (uint32_t i = 0; i < d->kept; i++) {
		uint32_t batch = (uint32_t)(d->words[i] & (PLACES - 1)) / length;
		counts[batch < (uint32_t)batches ? batch : BATCH_MEANS_MOST] +=
			value_of(d->words[i]) <= value;
	}
	for (int b = 0; b < batches; b++) {
		means[b] = (double)counts[b] / length;
		sum += means[b];
	}
	return sum / batches;
}

double distribution_independent(struct distribution *d, double q)
{
	double n = (double)distribution_count(d), means[BATCH_MEANS_MOST], df;
	int batches = batch_means_count(d->kept);
	if (!batches)
		return n;
	double share = batch_marks(d, distribution_quantile(d, q), means, batches);
	if (share <= 0 || share >= 1)
		return n;
	double factor = batch_means_variance(means, batches, &df) * d->kept / (share * (1 - share));
	/* As much less as Student's t is beyond the normal distribution: of the variance, too,
	 * there is only an estimate. */
	double wider = student_t(df) / student_t(INFINITY);
	return n / fmax(factor * wider * wider, 1);
}
