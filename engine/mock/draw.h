/* draw.h - numbers from the distributions of mock_config. Pure. */
#ifndef PERIGEE_MOCK_DRAW_H
#define PERIGEE_MOCK_DRAW_H

#include "base/rng.h"
#include "mock/mock.h"

#define DRAW_MAX_TOKENS (1u << 20) /* bounds an answer whatever the distribution says */

/* Are the parameters finite, not negative and, for a range, in order? */
bool draw_valid(const struct mock_draw *d);

/* A duration in ns, at least 0 and at most an hour. */
uint64_t draw_ns(const struct mock_draw *d, struct rng *r);

/* A count of tokens, 0..DRAW_MAX_TOKENS. */
uint64_t draw_tokens(const struct mock_draw *d, struct rng *r);

#endif
