#include "lua/vigil.h"

#include "base/clock.h"

#define ORPHAN_NS NS_PER_S /* silence that is enough when the parent is gone */

void vigil_finish(struct vigil *v, const char *outcome)
{
	if (!v->outcome)
		v->outcome = outcome;
	loop_stop(v->loop);
}

void vigil_touch(struct vigil *v)
{
	v->last_ns = loop_now(v->loop);
}

static void on_idle(struct loop_timer *t, uint64_t now_ns)
{
	struct vigil *v = t->data;
	if (now_ns - v->last_ns >= v->idle_ns)
		vigil_finish(v, "idle");
	else
		loop_timer_start(v->loop, t, v->last_ns + v->idle_ns);
}

static void on_signal(void *data, int signum)
{
	struct vigil *v = data;
	v->signum = signum;
	vigil_finish(v, "interrupted");
}

static void on_input_end(void *ctx)
{
	struct vigil *v = ctx;
	if (v->idle_ns > ORPHAN_NS)
		v->idle_ns = ORPHAN_NS;
	vigil_touch(v);
	loop_timer_start(v->loop, &v->idle, v->last_ns + v->idle_ns);
}

int vigil_begin(struct vigil *v, struct loop *loop, uint64_t idle_ns, bool until_eof)
{
	*v = (struct vigil){ .loop = loop, .idle_ns = idle_ns };
	v->idle = (struct loop_timer){ .fn = on_idle, .data = v };
	v->last_ns = loop_refresh(loop);
	int err = loop_timer_start(loop, &v->idle, v->last_ns + idle_ns);
	if (!err)
		err = loop_on_signal(loop, on_signal, v);
	if (err || !until_eof)
		return err;
	err = input_watch_open(&v->input, loop, on_input_end, v);
	if (!err && !v->input) /* a file, or closed: at its end already */
		on_input_end(v);
	return err;
}

int vigil_run(struct vigil *v)
{
	return v->outcome ? STATUS_OK : loop_run(v->loop);
}

void vigil_end(struct vigil *v)
{
	loop_on_signal(v->loop, NULL, NULL);
	loop_timer_stop(v->loop, &v->idle);
	input_watch_close(v->input);
	loop_turn(v->loop, 0); /* the close callbacks */
}
