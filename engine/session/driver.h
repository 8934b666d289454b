/* driver.h - what a phase asks of its owner: when, what, and whom to tell.
 *
 * Built-in and scripted behaviour fill the same struct of functions. All are
 * called on the session thread, never from inside one another. A NULL handler
 * costs nothing. Functions that return int give 0 or a negative status; on
 * STATUS_ESCRIPT they have told the session why through session_fail(). */
#ifndef PERIGEE_SESSION_DRIVER_H
#define PERIGEE_SESSION_DRIVER_H

#include "http/openai.h"

#include <stddef.h>
#include <stdint.h>

struct phase;
struct request;
struct want;

/* The content of one request. Strings are borrowed until driver.release(). */
struct job {
	const char *body;
	size_t body_len;
	const char *path;           /* NULL: the client's */
	const char *method;         /* NULL: the client's */
	const char *const *headers; /* "Name: value" */
	size_t header_count;
	const char *tag; /* NULL: none */
	size_t tag_len;
	int64_t index;            /* of the sample, from 0; -1: none */
	const char *conversation; /* NULL: none */
	size_t conversation_len;
	int64_t turn;         /* of the conversation; -1: none */
	uint64_t deadline_ns; /* from its issue; 0: the phase's */
	uint32_t attempt;     /* from 1; 0: the first one, too */
	const char *prompt;   /* NULL: not to be recorded */
	size_t prompt_len;
	/* what the answer's tokens were asked to be; 0: nothing was said */
	int64_t tokens_least, tokens_most;
	intptr_t anchor; /* the driver's own: what keeps the strings alive */
};

enum build_result {
	BUILD_OK,
	BUILD_SKIP, /* nothing to send for this one */
	BUILD_END,  /* no more content: the phase ends */
};

enum resume_result {
	RESUME_ALIVE, /* it waits: see phase_strategy_sleep() and phase_strategy_wait() */
	RESUME_ENDED,
};

struct driver {
	/* Open load: intended times, ns from the phase's start, ascending. Fill up to
	 * n, return how many; fewer than n ends the schedule. PACER_NEVER as the last one: nothing
	 * more until it is planned anew. NULL: a strategy issues. */
	int (*schedule)(void *ctx, struct phase *p, uint64_t *due, int n);
	/* Run the strategy until it waits. A resume_result or a status. With a schedule as
	 * well it watches over that one; its end is the phase's. */
	int (*resume)(void *ctx, struct phase *p);
	/* Content of request i (from 0) as it is wanted; takes want->content, whatever
	 * becomes of it. A build_result or a status. */
	int (*build)(void *ctx, struct phase *p, uint64_t i, const struct want *want,
	             struct job *out);
	void (*release)(void *ctx, struct job *job);
	/* Content or an alarm of the driver's own that the phase will not use: it stopped.
	 * NULL: the driver gives none. */
	void (*forget)(void *ctx, intptr_t what);
	/* One that phase_alarm() set is due. Takes it. */
	void (*alarm)(void *ctx, struct phase *p, intptr_t what);

	void (*issue)(void *ctx, struct request *r);
	void (*first)(void *ctx, struct request *r);
	void (*chunk)(void *ctx, struct request *r, const struct delta *d);
	void (*error)(void *ctx, struct request *r); /* before complete, of a failed one */
	void (*complete)(void *ctx, struct request *r);
	void (*phase_start)(void *ctx, struct phase *p);
	void (*phase_end)(void *ctx, struct phase *p);
	/* The script's own stop rule, after requests have ended and at ticks: 1 ends the phase, 0
	 * does not; or a status. */
	int (*stop_when)(void *ctx, struct phase *p);
	/* About every config.tick_ns from the phase's start to its end. */
	void (*tick)(void *ctx, struct phase *p);
};

#endif
