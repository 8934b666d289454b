/* fault.h - which fault a request meets: asked for by its header, or by chance. Pure. */
#ifndef PERIGEE_MOCK_FAULT_H
#define PERIGEE_MOCK_FAULT_H

#include "base/rng.h"
#include "mock/mock.h"

struct fault {
	enum mock_fault kind; /* MOCK_FAULT_COUNT: none */
	int status;           /* of MOCK_FAULT_STATUS */
};

/* Read the header's value, "kind" or "status=NNN", into *f, whose status is set
 * already. Returns 0 or STATUS_EINVAL. */
int fault_parse(struct fault *f, const char *value, size_t len);

/* Draw one by the probabilities; they add up, at most to 1. */
enum mock_fault fault_draw(const double probability[MOCK_FAULT_COUNT], struct rng *r);

#endif
