#include "session/pacer.h"

#include "base/status.h"

#include <stdlib.h>

/* 256 times 30 to 60 ns of Lua: too short to make anybody late. */
#define BATCH 256

struct pacer {
	pacer_pull pull;
	void *ctx;
	uint64_t start_ns;
	uint64_t last_ns; /* latest due time handed out: times never decrease */
	int at, count;    /* of the batch */
	uint64_t latest;  /* of the batches before this one: the last time, from the start */
	bool ended;       /* the last batch is here */
	int end;          /* what to tell after it: 0 or the status of the pull */
	uint64_t due[BATCH];
};

int pacer_new(struct pacer **out, pacer_pull pull, void *ctx)
{
	struct pacer *p = calloc(1, sizeof(*p));
	if (!p)
		return STATUS_ENOMEM;
	p->pull = pull;
	p->ctx = ctx;
	*out = p;
	return STATUS_OK;
}

void pacer_free(struct pacer *p)
{
	free(p);
}

void pacer_start(struct pacer *p, uint64_t start_ns)
{
	p->start_ns = p->last_ns = start_ns;
}

static int refill(struct pacer *p)
{
	if (p->ended)
		return p->end;
	if (p->count)
		p->latest = p->due[p->count - 1];
	int n = p->pull(p->ctx, p->due, BATCH);
	p->ended = n < BATCH;
	if (n <= 0)
		return p->end = n;
	p->at = 0;
	p->count = n;
	return 1;
}

int pacer_peek(struct pacer *p, uint64_t *due_ns)
{
	if (p->at == p->count) {
		int rc = refill(p);
		if (rc <= 0)
			return rc;
	}
	if (p->due[p->at] == PACER_NEVER) {
		*due_ns = PACER_NEVER;
		return 1;
	}
	uint64_t due = p->start_ns + p->due[p->at];
	*due_ns = due > p->last_ns ? due : p->last_ns;
	return 1;
}

void pacer_pop(struct pacer *p)
{
	uint64_t due = p->start_ns + p->due[p->at++];
	if (due > p->last_ns)
		p->last_ns = due;
}

static bool is_due(const struct pacer *p, int i, uint64_t now_ns)
{
	return p->due[i] != PACER_NEVER && p->start_ns + p->due[i] <= now_ns;
}

bool pacer_is_due(const struct pacer *p, uint64_t now_ns)
{
	return p->at < p->count && is_due(p, p->at, now_ns);
}

bool pacer_reaches(const struct pacer *p, uint64_t now_ns)
{
	return p->ended || (p->count && !is_due(p, p->count - 1, now_ns));
}

int pacer_replan(struct pacer *p, uint64_t now_ns, uint64_t *last)
{
	int keep = p->at;
	while (keep < p->count && is_due(p, keep, now_ns))
		keep++;
	int forgotten = p->count - keep;
	p->count = keep;
	if (forgotten && p->end >= 0)
		p->ended = false;
	if (keep)
		p->latest = p->due[keep - 1];
	if (last)
		*last = p->latest;
	return forgotten;
}
