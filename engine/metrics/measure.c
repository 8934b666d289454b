#include "metrics/measure.h"

const char *metric_name(enum metric m)
{
	static const char *const names[METRIC_COUNT] = {
#define X(id, name, time, text) [METRIC_##id] = name,
		METRIC_MAP(X)
#undef X
	};
	return (unsigned)m < METRIC_COUNT ? names[m] : "unknown";
}

int64_t complete_span(uint64_t from_ns, uint64_t to_ns)
{
	if (!from_ns || !to_ns)
		return EVENT_NONE;
	return to_ns > from_ns ? (int64_t)(to_ns - from_ns) : 0;
}

int64_t complete_latency(const struct event *e)
{
	return complete_span(e->scheduled_ns, e->timestamp_ns);
}

int64_t complete_service_time(const struct event *e)
{
	return complete_span(e->issued_ns, e->timestamp_ns);
}

int64_t complete_ttft(const struct event *e)
{
	return complete_span(e->scheduled_ns, e->first_ns);
}

int64_t complete_tpot(const struct event *e)
{
	if (e->tokens_out < 2)
		return EVENT_NONE;
	int64_t decode = complete_span(e->first_ns, e->timestamp_ns);
	return decode < 0 ? EVENT_NONE : decode / (e->tokens_out - 1);
}

void complete_values(const struct event *e, int64_t values[METRIC_COUNT])
{
	for (int i = 0; i < METRIC_COUNT; i++)
		values[i] = EVENT_NONE;
	values[METRIC_LATENCY] = complete_latency(e);
	values[METRIC_SERVICE_TIME] = complete_service_time(e);
	values[METRIC_LATENESS] = complete_span(e->scheduled_ns, e->issued_ns);
	values[METRIC_TTFT] = complete_ttft(e);
	values[METRIC_TTFT_SERVICE] = complete_span(e->issued_ns, e->first_ns);
	values[METRIC_TPOT] = complete_tpot(e);
}
