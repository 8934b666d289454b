#include "base/histogram.h"

#include "base/status.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

/* Values below SUB_COUNT have a bucket each; every doubling above adds
 * SUB_HALF buckets, so a bucket is at most value / 1024 wide: three digits. */
#define SUB_BITS  11
#define SUB_COUNT HISTOGRAM_SUB_BUCKETS
#define SUB_HALF  (SUB_COUNT / 2)
#define BUCKETS   ((HISTOGRAM_DOUBLINGS + 1) * SUB_HALF)

_Static_assert(SUB_COUNT == 1u << SUB_BITS, "a sub-bucket is found by shifting");

struct histogram {
	uint64_t count;
	uint64_t saturated;
	uint64_t min, max;
	unsigned __int128 sum; /* exact, so that the order of adding changes no digit */
	uint64_t counts[BUCKETS];
};

static unsigned bucket_of(uint64_t v)
{
	if (v < SUB_COUNT)
		return (unsigned)v;
	unsigned shift = 63u - (unsigned)__builtin_clzll(v) - (SUB_BITS - 1);
	return shift * SUB_HALF + (unsigned)(v >> shift);
}

/* The highest value that falls into bucket i. */
static uint64_t bucket_top(unsigned i)
{
	if (i < SUB_COUNT)
		return i;
	unsigned shift = i / SUB_HALF - 1;
	uint64_t sub = i - shift * SUB_HALF;
	return ((sub + 1) << shift) - 1;
}

uint64_t histogram_bottom(uint64_t v)
{
	if (v < SUB_COUNT)
		return v;
	unsigned shift = 63u - (unsigned)__builtin_clzll(v) - (SUB_BITS - 1);
	return v >> shift << shift;
}

static uint64_t bucket_middle(unsigned i)
{
	unsigned shift = i < SUB_COUNT ? 0 : i / SUB_HALF - 1;
	return bucket_top(i) - ((1ULL << shift) - 1) / 2;
}

int histogram_new(struct histogram **out)
{
	/* Zero pages of the system: what no value touches takes no memory. Memory that calloc() has
	 * had before would be cleared: 1 ms for the metrics of a phase, in the middle of a run. */
	struct histogram *h =
		mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		return STATUS_ENOMEM;
	h->min = UINT64_MAX;
	*out = h;
	return STATUS_OK;
}

void histogram_free(struct histogram *h)
{
	if (h)
		munmap(h, sizeof(*h));
}

static inline void count(struct histogram *h, uint64_t v, uint64_t n)
{
	if (v < h->min)
		h->min = v;
	if (v > h->max)
		h->max = v;
	h->count += n;
	h->sum += (unsigned __int128)v * n;
	if (v > HISTOGRAM_MAX_NS) {
		h->saturated += n;
		v = HISTOGRAM_MAX_NS;
	}
	h->counts[bucket_of(v)] += n;
}

void histogram_add_n(struct histogram *h, uint64_t v, uint64_t n)
{
	if (n)
		count(h, v, n);
}

void histogram_add(struct histogram *h, uint64_t v)
{
	count(h, v, 1);
}

void histogram_add_each(struct histogram *h, const uint32_t *values, uint32_t n, double unit_ns)
{
	for (uint32_t i = 0; i < n; i++)
		count(h, (uint64_t)((double)values[i] * unit_ns), 1);
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	h->count += from->count;
	h->saturated += from->saturated;
	h->sum += from->sum;
	if (from->min < h->min)
		h->min = from->min;
	if (from->max > h->max)
		h->max = from->max;
	for (unsigned i = 0; i < BUCKETS; i++)
		h->counts[i] += from->counts[i];
}

uint64_t histogram_count(const struct histogram *h)
{
	return h->count;
}

uint64_t histogram_saturated(const struct histogram *h)
{
	return h->saturated;
}

uint64_t histogram_min(const struct histogram *h)
{
	return h->count ? h->min : 0;
}

uint64_t histogram_max(const struct histogram *h)
{
	return h->max;
}

double histogram_sum(const struct histogram *h)
{
	return (double)h->sum;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

/* Buckets outside of these are empty. */
static unsigned first_bucket(const struct histogram *h)
{
	return bucket_of(h->min < HISTOGRAM_MAX_NS ? h->min : HISTOGRAM_MAX_NS);
}

static unsigned last_bucket(const struct histogram *h)
{
	return bucket_of(h->max < HISTOGRAM_MAX_NS ? h->max : HISTOGRAM_MAX_NS);
}

void histogram_reset(struct histogram *h)
{
	unsigned first = first_bucket(h), last = last_bucket(h);
	if (h->count)
		memset(&h->counts[first], 0, (last - first + 1) * sizeof(h->counts[0]));
	h->count = h->saturated = h->max = 0;
	h->min = UINT64_MAX;
	h->sum = 0;
}

static double bucket_mean(const struct histogram *h)
{
	double sum = 0;
	for (unsigned i = first_bucket(h); i <= last_bucket(h); i++)
		if (h->counts[i])
			sum += (double)bucket_middle(i) * (double)h->counts[i];
	return sum / (double)h->count;
}

double histogram_std(const struct histogram *h)
{
	if (!h->count)
		return 0;
	/* Around the buckets' own mean: equal values then have no deviation. */
	double mean = bucket_mean(h), squares = 0;
	for (unsigned i = first_bucket(h); i <= last_bucket(h); i++) {
		if (!h->counts[i])
			continue;
		double d = (double)bucket_middle(i) - mean;
		squares += d * d * (double)h->counts[i];
	}
	return sqrt(squares / (double)h->count);
}

/* The position of a reader that goes from low ranks to high ones. */
struct cursor {
	unsigned bucket;
	uint64_t below; /* values in the buckets before */
};

static uint64_t seek(const struct histogram *h, struct cursor *c, uint64_t rank)
{
	if (rank >= h->count)
		return h->max;
	for (unsigned last = last_bucket(h); c->bucket < last; c->bucket++) {
		if (c->below + h->counts[c->bucket] >= rank)
			break;
		c->below += h->counts[c->bucket];
	}
	uint64_t top = bucket_top(c->bucket);
	return top > h->max ? h->max : top;
}

uint64_t histogram_at_rank(const struct histogram *h, uint64_t rank)
{
	struct cursor c = { .bucket = first_bucket(h) };
	return h->count ? seek(h, &c, rank) : 0;
}

bool histogram_next(const struct histogram *h, struct histogram_bucket *b)
{
	for (unsigned i = b->index + 1; i < BUCKETS; i++) {
		if (!h->counts[i])
			continue;
		*b = (struct histogram_bucket){ i, bucket_top(i), h->counts[i] };
		return true;
	}
	return false;
}

uint64_t histogram_below(const struct histogram *h, uint64_t value_ns)
{
	uint64_t below = 0;
	unsigned last = h->count ? last_bucket(h) : 0;
	for (unsigned i = first_bucket(h); i <= last && bucket_top(i) < value_ns; i++)
		below += h->counts[i];
	return below;
}

static uint64_t rank_of(const struct histogram *h, double q)
{
	/* One step down: 0.07 * 100 must not become the eighth of 100 values. */
	double share = !(q > 0) ? 0 : q > 1 ? 1 : q;
	double want = ceil(nextafter(share * (double)h->count, 0));
	return want < 1 ? 1 : (uint64_t)want;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	return histogram_at_rank(h, rank_of(h, q));
}

void histogram_quantiles(const struct histogram *h, const double *q, size_t n, uint64_t *out)
{
	struct cursor c = { .bucket = first_bucket(h) };
	for (size_t i = 0; i < n; i++)
		out[i] = h->count ? seek(h, &c, rank_of(h, q[i])) : 0;
}
