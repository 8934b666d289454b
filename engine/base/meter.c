#include "base/meter.h"

void meter_start(struct meter *m, uint64_t now_ns)
{
	*m = (struct meter){ .start_ns = now_ns, .start_ticks = clock_ticks() };
}

void meter_mark(struct meter *m)
{
	m->mark_ticks = m->ticks;
	m->mark_spans = m->spans;
	m->longest = 0;
}

void meter_read(const struct meter *m, uint64_t now_ns, struct meter_reading *out)
{
	uint64_t ticks = clock_ticks() - m->start_ticks;
	double tick_ns =
		ticks && now_ns > m->start_ns ? (double)(now_ns - m->start_ns) / (double)ticks : 0;
	*out = (struct meter_reading){
		.ns = (uint64_t)((double)(m->ticks - m->mark_ticks) * tick_ns),
		.spans = m->spans - m->mark_spans,
		.longest_ns = (uint64_t)((double)m->longest * tick_ns),
	};
}
