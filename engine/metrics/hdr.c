#include "metrics/hdr.h"

#include "base/status.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* ---- percentiles ---- */

/* Distance of the lines at this level: it halves each time the rest to 100 % does. */
static double step_at(double level, unsigned ticks)
{
	double halvings = floor(log2(100 / (100 - level))) + 1;
	return 100 / (ticks * exp2(halvings));
}

static int put_line(struct buffer *out, double value, double level, uint64_t count)
{
	if (level >= 100)
		return buffer_printf(out, "%12.3f %2.12f %10llu\n", value, 1.0,
		                     (unsigned long long)count);
	return buffer_printf(out, "%12.3f %2.12f %10llu %14.2f\n", value, level / 100,
	                     (unsigned long long)count, 1 / (1 - level / 100));
}

static int put_levels(struct buffer *out, const struct histogram *h, double unit, unsigned ticks)
{
	struct histogram_bucket b = { .index = HISTOGRAM_FIRST };
	double total = (double)histogram_count(h), level = 0;
	uint64_t seen = 0;
	int err = STATUS_OK;
	while (!err && histogram_next(h, &b)) {
		seen += b.count;
		bool last = seen == histogram_count(h);
		double value = (double)(last ? histogram_max(h) : b.top) / unit;
		double reached = 100 * (double)seen / total;
		for (; !err && !last && level <= reached; level += step_at(level, ticks))
			err = put_line(out, value, level, seen);
		if (!err && last)
			err = put_line(out, value, 100, seen);
	}
	return err;
}

int hdr_put_percentiles(struct buffer *out, const struct histogram *h, double unit, unsigned ticks)
{
	size_t before = out->len;
	int err = buffer_printf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
	                        "1/(1-Percentile)");
	if (!err)
		err = put_levels(out, h, unit, ticks);
	if (!err)
		err = buffer_printf(out,
		                    "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n"
		                    "#[Max     = %12.3f, Total count    = %12llu]\n"
		                    "#[Buckets = %12u, SubBuckets     = %12u]\n",
		                    histogram_mean(h) / unit, histogram_std(h) / unit,
		                    (double)histogram_max(h) / unit,
		                    (unsigned long long)histogram_count(h), HISTOGRAM_DOUBLINGS,
		                    HISTOGRAM_SUB_BUCKETS);
	if (err)
		out->len = before;
	return err;
}

/* ---- encoding ---- */

#define COOKIE            0x1c849313u /* V2, varying length words */
#define COMPRESSED_COOKIE 0x1c849314u
#define HEAD_SIZE         40
#define DIGITS            3
#define WORD_MAX          9
#define STORED_MAX        65535u /* bytes of one block that is not compressed, RFC 1951 3.2.4 */
#define ADLER_MODULUS     65521u

static int put_be32(struct buffer *out, uint32_t v)
{
	v = htobe32(v);
	return buffer_append(out, &v, sizeof(v));
}

static int put_be64(struct buffer *out, uint64_t v)
{
	v = htobe64(v);
	return buffer_append(out, &v, sizeof(v));
}

/* ZigZag, then seven bits a byte from low to high; a ninth byte holds eight. */
static int put_word(struct buffer *out, int64_t v)
{
	uint64_t z = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
	char bytes[WORD_MAX];
	size_t n = 0;
	while (z >= 0x80 && n < WORD_MAX - 1) {
		bytes[n++] = (char)(z | 0x80);
		z >>= 7;
	}
	bytes[n++] = (char)z;
	return buffer_append(out, bytes, n);
}

/* A run of empty buckets is its negative length; a single one is 0. */
static int put_counts(struct buffer *out, const struct histogram *h)
{
	struct histogram_bucket b = { .index = HISTOGRAM_FIRST };
	unsigned next = 0;
	int err = STATUS_OK;
	while (!err && histogram_next(h, &b)) {
		unsigned empty = b.index - next;
		if (empty)
			err = put_word(out, empty > 1 ? -(int64_t)empty : 0);
		if (!err)
			err = put_word(out, (int64_t)b.count);
		next = b.index + 1;
	}
	return err;
}

static int put_plain(struct buffer *out, const struct histogram *h)
{
	double ratio = 1;
	uint64_t ratio_bits;
	memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
	int err = put_be32(out, COOKIE);
	if (!err)
		err = put_be32(out, 0); /* length of the counts, filled in below */
	if (!err)
		err = put_be32(out, 0); /* no normalizing offset */
	if (!err)
		err = put_be32(out, DIGITS);
	if (!err)
		err = put_be64(out, 1);
	if (!err)
		err = put_be64(out, HISTOGRAM_MAX_NS);
	if (!err)
		err = put_be64(out, ratio_bits);
	if (!err)
		err = put_counts(out, h);
	if (err)
		return err;
	uint32_t len = htobe32((uint32_t)(out->len - HEAD_SIZE));
	memcpy(out->data + 4, &len, sizeof(len));
	return STATUS_OK;
}

static uint32_t adler32(const uint8_t *p, size_t len)
{
	uint32_t a = 1, b = 0;
	for (size_t i = 0; i < len; i++) {
		a = (a + p[i]) % ADLER_MODULUS;
		b = (b + a) % ADLER_MODULUS;
	}
	return b << 16 | a;
}

/* A zlib stream (RFC 1950) whose blocks are stored as they are: a histogram is small, and
 * every reader takes it. */
static int put_zlib(struct buffer *out, const struct buffer *plain)
{
	int err = buffer_append(out, "\x78\x01", 2);
	for (size_t at = 0; !err && at < plain->len;) {
		size_t left = plain->len - at, n = left < STORED_MAX ? left : STORED_MAX;
		const char head[5] = { n == left, (char)n, (char)(n >> 8), (char)~n,
			               (char)(~n >> 8) };
		err = buffer_append(out, head, sizeof(head));
		if (!err)
			err = buffer_append(out, plain->data + at, n);
		at += n;
	}
	return err ? err : put_be32(out, adler32((const uint8_t *)plain->data, plain->len));
}

static int put_compressed(struct buffer *out, const struct buffer *plain)
{
	int err = put_be32(out, COMPRESSED_COOKIE);
	if (!err)
		err = put_be32(out, 0);
	if (!err)
		err = put_zlib(out, plain);
	if (err)
		return err;
	uint32_t len = htobe32((uint32_t)(out->len - 8));
	memcpy(out->data + 4, &len, sizeof(len));
	return STATUS_OK;
}

static int put_base64(struct buffer *out, const uint8_t *p, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int err = buffer_reserve(out, (len + 2) / 3 * 4);
	if (err)
		return err;
	char *to = buffer_end(out);
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		             (n > 2 ? p[i + 2] : 0);
		*to++ = digits[v >> 18];
		*to++ = digits[v >> 12 & 63];
		*to++ = n > 1 ? digits[v >> 6 & 63] : '=';
		*to++ = n > 2 ? digits[v & 63] : '=';
	}
	out->len = (size_t)(to - out->data);
	return STATUS_OK;
}

int hdr_put_encoded(struct buffer *out, const struct histogram *h)
{
	struct buffer plain, packed;
	buffer_init(&plain, (size_t)1 << 20);
	buffer_init(&packed, (size_t)1 << 20);
	int err = put_plain(&plain, h);
	if (!err)
		err = put_compressed(&packed, &plain);
	if (!err)
		err = put_base64(out, (const uint8_t *)packed.data, packed.len);
	buffer_free(&plain);
	buffer_free(&packed);
	return err;
}
