/* sim.h - a client without sockets: a model answers instead of an endpoint.
 *
 * Meant for a loop on simulated time (it works on any). What a model says becomes real
 * bytes - a head, server-sent events of the OpenAI kind, JSON - that are fed to the
 * exchange's response when they are due, so that all but the transport is the real code.
 * The rules of client.h hold. Thread of the loop. */
#ifndef PERIGEE_HTTP_SIM_H
#define PERIGEE_HTTP_SIM_H

#include "http/client.h"

/* What becomes of one exchange. */
struct sim_answer {
	uint64_t ttft_ns;     /* from the slot's begin to the head and the first token */
	uint64_t tpot_ns;     /* between tokens */
	uint32_t tokens;      /* of a stream: one event each; 0: it ends without any */
	int64_t tokens_in;    /* of the usage; -1: a quarter of the body's bytes */
	int status;           /* from 400 on: an error body at ttft_ns */
	enum failure failure; /* not FAILURE_NONE: it breaks so, after `tokens` tokens */
	const char *text;     /* shared out to the tokens; NULL: made up. Read within the call */
	size_t text_len;
};

struct sim_model {
	/* Exchange `number` (from 0) was submitted at now_ns: fill *out, which holds a
	 * success of one token at once. Returns 0, or a status with which client_submit()
	 * fails. Calls no function of the client. */
	int (*answer)(void *ctx, const struct exchange *x, uint64_t number, uint64_t now_ns,
	              struct sim_answer *out);
	void *ctx;
	unsigned slots; /* exchanges served at a time, the others wait in order; 0: all */
};

/* As curl_client_new(); the urls are not looked at. *model is copied, its ctx borrowed
 * until client_free(). */
int sim_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                   const struct sim_model *model, const struct client_sink *sink, void *ctx,
                   struct error *e);

#endif
