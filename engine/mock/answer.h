/* answer.h - one completion on its way out: which bytes come when.
 *
 * Knows no sockets and reads no clock. The caller asks for the next step
 * whenever everything before is written, and then does what it says. One per
 * connection; memory is kept between uses. */
#ifndef PERIGEE_MOCK_ANSWER_H
#define PERIGEE_MOCK_ANSWER_H

#include "base/rng.h"
#include "mock/completion.h"
#include "mock/fault.h"
#include "mock/reply.h"

enum answer_step {
	ANSWER_MORE,  /* bytes were appended: write them, then ask again */
	ANSWER_WAIT,  /* nothing before .wake_ns */
	ANSWER_END,   /* the response is complete */
	ANSWER_STUCK, /* nothing more will ever come; the connection stays open */
	ANSWER_RESET, /* reset the connection */
	ANSWER_CLOSE, /* close it: a fault, or the memory was short */
};

/* What the answers of one endpoint have in common; outlives them. */
struct answer_style {
	enum mock_mode mode;
	struct mock_draw ttft, tpot, tokens;
	size_t token_bytes;
	uint64_t cached_tokens;
	uint64_t seed;
};

/* What is particular about one. */
struct answer_terms {
	uint64_t number; /* of the request: keys its random numbers */
	uint64_t now_ns; /* when the request was complete */
	uint64_t created;
	enum mock_fault fault; /* not STATUS, which is no completion */
	bool keep_alive;
	bool http10; /* an answer of unknown length ends with the connection */
};

struct answer {
	struct completion completion; /* its .ask is to be read before answer_start() */
	bool completes;               /* it is a completion: answer_start() began it */
	uint64_t number;              /* of its request, when it is one */
	uint64_t wake_ns;             /* ANSWER_WAIT */
	bool keep_alive;              /* ANSWER_END: the connection may go on */

	/* ---- private ---- */
	const struct answer_style *style;
	uint8_t phase;
	uint8_t last; /* the step to tell when stopped */
	bool chunked;
	enum mock_fault fault;
	struct rng gaps;
	uint64_t strike;    /* the fault comes before this token */
	uint64_t due_ns;    /* of the next token; of all, when not streamed */
	uint64_t slow_ns;   /* of the next byte of a slow head */
	size_t slow;        /* SLOW_HEADERS: bytes of the head that are out */
	struct buffer head; /* a slow one */
	struct buffer body; /* of an answer that is not streamed */
};

/* Once in the life of the memory. max_body: of the requests. */
void answer_init(struct answer *a, size_t max_body);
void answer_free(struct answer *a);

/* A response that the caller has written itself: only its end is to be told. */
void answer_fixed(struct answer *a, enum answer_step last, bool keep_alive);

/* Begin to answer a->completion.ask. style is borrowed. */
void answer_start(struct answer *a, const struct answer_style *style,
                  const struct answer_terms *terms);

/* Append to out, which is empty, what is due at now_ns. */
enum answer_step answer_step(struct answer *a, struct buffer *out, uint64_t now_ns);

/* Forget large memory between answers. */
void answer_trim(struct answer *a);

#endif
