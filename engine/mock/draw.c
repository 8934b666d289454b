#include "mock/draw.h"

#include "base/clock.h"

#include <math.h>

#define MAX_NS (3600.0 * 1e9)

bool draw_valid(const struct mock_draw *d)
{
	if (!isfinite(d->a) || !isfinite(d->b) || d->a < 0 || d->b < 0)
		return false;
	return (unsigned)d->kind <= MOCK_LOGNORMAL && (d->kind != MOCK_UNIFORM || d->b >= d->a);
}

static double draw(const struct mock_draw *d, struct rng *r)
{
	switch (d->kind) {
	case MOCK_UNIFORM:
		return d->a + (d->b - d->a) * rng_uniform(r);
	case MOCK_EXPONENTIAL:
		return rng_exponential(r, d->a);
	case MOCK_NORMAL:
		return rng_normal(r, d->a, d->b);
	case MOCK_LOGNORMAL:
		return d->a > 0 ? rng_lognormal(r, log(d->a), d->b) : 0;
	default:
		return d->a;
	}
}

static double clamp(double v, double max)
{
	return v > 0 ? fmin(v, max) : 0;
}

uint64_t draw_ns(const struct mock_draw *d, struct rng *r)
{
	return (uint64_t)clamp(draw(d, r), MAX_NS);
}

uint64_t draw_tokens(const struct mock_draw *d, struct rng *r)
{
	return (uint64_t)(clamp(draw(d, r), DRAW_MAX_TOKENS) + 0.5);
}
