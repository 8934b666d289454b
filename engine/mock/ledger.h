/* ledger.h - what the endpoint did, and when: a line of JSON for each completion that it sent
 * to its end. The truth that a client's figures can be compared with.
 *
 * Stamps are CLOCK_MONOTONIC, taken before the bytes go to the socket. On the loop's thread. */
#ifndef PERIGEE_MOCK_LEDGER_H
#define PERIGEE_MOCK_LEDGER_H

#include "base/status.h"

#include <stdint.h>

struct ledger_entry {
	uint64_t number;      /* of the completion request, from 0 */
	uint64_t received_ns; /* the request was complete */
	uint64_t first_ns;    /* before the first token's bytes; 0: not streamed */
	uint64_t finished_ns; /* before the last bytes */
	uint64_t prompt_tokens, completion_tokens;
};

struct ledger;

/* Create or empty the file. Returns 0 or a status with e naming the path. */
int ledger_open(struct ledger **out, const char *path, struct error *e);

/* What cannot be written is told by ledger_close(). */
void ledger_put(struct ledger *l, const struct ledger_entry *entry);

/* Returns 0, or a status with e when lines were lost. NULL is fine. */
int ledger_close(struct ledger *l, struct error *e);

#endif
