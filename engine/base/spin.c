#include "base/spin.h"

#define UNIT_NS    32    /* of a step of the estimate */
#define COVERED    63    /* wake-ups within the window for each one beyond it */
#define FIRST_NS   25000 /* until there is something measured: up is faster than down */
#define LEAST_NS   2000  /* a shorter window is not worth its turns of the loop */
#define CONTENTION 4     /* preemptions in a period that are no accident */
#define STEPS      16    /* quiet periods until all is allowed again */
#define MOST_HELD  63    /* periods until a next try after contention */

static void fit(struct spin *s)
{
	uint64_t window = s->grain_ns > LEAST_NS ? s->grain_ns : LEAST_NS;
	s->window_ns = window < s->allowed_ns ? window : s->allowed_ns;
}

void spin_init(struct spin *s, uint64_t max_ns)
{
	*s = (struct spin){ .max_ns = max_ns, .allowed_ns = max_ns };
	s->grain_ns = FIRST_NS < max_ns ? FIRST_NS : max_ns;
	fit(s);
}

/* A quantile by steps: down a little for each that is covered, up by as many steps for one
 * that is not, so that it rests where 1 of 64 is beyond it. What no window can cover is no
 * grain of a timer but a core that was not free: a longer window would only add to that. */
void spin_woke(struct spin *s, uint64_t late_ns)
{
	if (late_ns > s->max_ns)
		return;
	if (late_ns > s->grain_ns)
		s->grain_ns += COVERED * UNIT_NS;
	else
		s->grain_ns -= s->grain_ns > UNIT_NS ? UNIT_NS : s->grain_ns;
	if (s->grain_ns > s->max_ns)
		s->grain_ns = s->max_ns;
	fit(s);
}

/* Each try that meets contention again makes the wait for the next one longer. */
static void yield(struct spin *s)
{
	s->allowed_ns = s->window_ns / 2 >= LEAST_NS ? s->window_ns / 2 : 0;
	s->hold = s->hold < MOST_HELD ? 2 * s->hold + 1 : MOST_HELD;
	s->held = s->hold;
}

static void try_more(struct spin *s)
{
	s->allowed_ns += s->max_ns / STEPS;
	if (s->allowed_ns < s->max_ns)
		return;
	s->allowed_ns = s->max_ns;
	s->hold = 0;
}

void spin_period(struct spin *s, uint64_t preempted)
{
	if (preempted >= CONTENTION)
		yield(s);
	else if (s->held)
		s->held--;
	else
		try_more(s);
	fit(s);
}
