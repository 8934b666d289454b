/* hdr.h - histograms in the two forms that the tools around HdrHistogram read.
 *
 * The percentile distribution (.hgrm) for people and plotters, and the compact
 * encoding V2 as it stands in a histogram log. Pure; any thread.
 * Formats: github.com/HdrHistogram/HdrHistogram, AbstractHistogram and HistogramLogWriter. */
#ifndef PERIGEE_METRICS_HDR_H
#define PERIGEE_METRICS_HDR_H

#include "base/buffer.h"
#include "base/histogram.h"

/* Append the percentile distribution of h, its values divided by unit (1e6: ms of ns), with
 * ticks lines for each halving of the distance to 100 %. Returns 0, STATUS_ELIMIT or
 * STATUS_ENOMEM, and then the buffer is as it was. */
int hdr_put_percentiles(struct buffer *out, const struct histogram *h, double unit, unsigned ticks);

/* Append the base64 text of h's compressed V2 encoding. The same returns. */
int hdr_put_encoded(struct buffer *out, const struct histogram *h);

#endif
