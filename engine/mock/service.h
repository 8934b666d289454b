/* service.h - what the endpoint does with a complete request: routes, keys,
 * faults, and the precomputed answers of MOCK_MAX. Knows no sockets. One per
 * endpoint, on the loop's thread. */
#ifndef PERIGEE_MOCK_SERVICE_H
#define PERIGEE_MOCK_SERVICE_H

#include "mock/answer.h"
#include "mock/ledger.h"
#include "mock/mock.h"
#include "mock/request.h"

/* The precomputed answers: chat or not, streamed or not, and for all else. */
enum {
	CANNED_OTHER,
	CANNED_CHAT,
	CANNED_CHAT_STREAM,
	CANNED_TEXT,
	CANNED_TEXT_STREAM,
	CANNED_COUNT
};

struct service {
	struct answer_style style;
	struct mock_stats stats;
	size_t open; /* connections now */
	size_t max_body;
	uint64_t numbers;     /* completion requests so far */
	unsigned running;     /* completions being answered: at most one per connection */
	unsigned max_running; /* the limit of connections */
	uint64_t prompt_tokens, generation_tokens; /* of completions that have ended */
	struct ledger *ledger;                     /* NULL: none */
	char *api_key;                             /* NULL: none asked */
	bool faulty;                               /* some probability is above 0 */
	double fault[MOCK_FAULT_COUNT];
	int fault_status;
	struct buffer canned[CANNED_COUNT]; /* MAX */
};

/* Check and copy what it needs of the config. Returns 0, STATUS_EINVAL or
 * STATUS_ENOMEM, with e filled; in any case service_free() is fine. */
int service_init(struct service *s, const struct mock_config *config, struct error *e);
void service_free(struct service *s);

/* The whole answer to a request of MOCK_MAX, ready to be written, and counted.
 * NULL: service_answer() is to be called. */
const struct buffer *service_canned(struct service *s, const struct request *r, const char *data);

/* Start *a, with what stands in out (empty before) as its beginning. */
void service_answer(struct service *s, const struct request *r, const char *data, struct answer *a,
                    struct buffer *out, uint64_t now_ns);

/* The answer is over: whole, or cut off with its connection. Once more does nothing. */
void service_ended(struct service *s, struct answer *a, bool whole);

/* The same for what is no request: an error, and then the end of the connection. */
void service_refuse(int status, const char *reason, struct answer *a, struct buffer *out);

#endif
