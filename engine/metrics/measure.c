#include "metrics/measure.h"

const char *metric_name(enum metric m)
{
	static const char *const names[METRIC_COUNT] = {
#define X(id, name, text) [METRIC_##id] = name,
		METRIC_MAP(X)
#undef X
	};
	return (unsigned)m < METRIC_COUNT ? names[m] : "unknown";
}

bool metric_is_time(enum metric m)
{
	return m != METRIC_INPUT_TOKENS && m != METRIC_OUTPUT_TOKENS;
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

/* From the scheduled time to what is told as a span from the issue. */
static int64_t since_scheduled(const struct event *e, int64_t after_ns)
{
	return after_ns < 0 ? EVENT_NONE
	                    : complete_span(e->scheduled_ns, e->issued_ns + (uint64_t)after_ns);
}

bool slo_is_set(const struct slo *slo)
{
	return slo->latency_ns || slo->ttft_ns || slo->tpot_ns;
}

static bool keeps(int64_t bound_ns, int64_t value)
{
	return !bound_ns || (value >= 0 && value <= bound_ns);
}

static bool is_good(const struct event *e, const struct slo *slo, const int64_t *values)
{
	if (e->failure != FAILURE_NONE || !slo_is_set(slo))
		return false;
	bool one_token = e->tokens_out == 0 || e->tokens_out == 1;
	return keeps(slo->latency_ns, values[METRIC_LATENCY]) &&
	       keeps(slo->ttft_ns, values[METRIC_TTFT]) &&
	       (one_token || keeps(slo->tpot_ns, values[METRIC_TPOT]));
}

void complete_measures(const struct event *e, const struct slo *slo, struct measures *out)
{
	int64_t *v = out->values;
	for (int i = 0; i < METRIC_COUNT; i++)
		v[i] = EVENT_NONE;
	v[METRIC_LATENCY] = complete_latency(e);
	v[METRIC_SERVICE_TIME] = complete_service_time(e);
	v[METRIC_LATENESS] = complete_span(e->scheduled_ns, e->issued_ns);
	v[METRIC_TTFT] = complete_ttft(e);
	v[METRIC_TTFT_SERVICE] = complete_span(e->issued_ns, e->first_ns);
	v[METRIC_TPOT] = complete_tpot(e);
	v[METRIC_FIRST_BYTE] = complete_span(e->scheduled_ns, e->first_byte_ns);
	v[METRIC_FIRST_EVENT] = since_scheduled(e, e->first_event_after_ns);
	v[METRIC_FIRST_CONTENT] = since_scheduled(e, e->first_content_after_ns);
	v[METRIC_FIRST_REASONING] = since_scheduled(e, e->first_reasoning_after_ns);
	v[METRIC_INPUT_TOKENS] = e->tokens_in;
	v[METRIC_OUTPUT_TOKENS] = e->tokens_out;
	out->good = is_good(e, slo, v);
}
