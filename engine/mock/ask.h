/* ask.h - what the JSON of a completion request asks for. Pure. */
#ifndef PERIGEE_MOCK_ASK_H
#define PERIGEE_MOCK_ASK_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ask {
	bool chat; /* else /v1/completions */
	bool stream;
	bool include_usage;
	bool reasoning;        /* asked for by reasoning_effort or the model's name */
	bool tools;            /* answer with a call of .tool */
	uint64_t max_tokens;   /* UINT64_MAX: not capped */
	uint64_t prompt_words; /* of all messages, or of the prompt */
	struct buffer model;   /* "" when not named */
	struct buffer tool;    /* name of the first function; "" when it has none */
	struct buffer text;    /* of the last user message, or the prompt */
};

/* Once in the life of the memory. max_body bounds each text. */
void ask_init(struct ask *a, size_t max_body);
void ask_free(struct ask *a);

/* Read a request's body; texts are copied, memory of the last use is kept.
 * Returns 0, STATUS_EPROTO with *reason a static text, STATUS_ENOMEM. */
int ask_read(struct ask *a, bool chat, const char *json, size_t len, const char **reason);

/* Step through the words of a text. *word of *len bytes; false at the end. */
bool ask_next_word(const struct buffer *text, size_t *pos, const char **word, size_t *len);

/* The words behind the first `from` bytes. */
uint64_t ask_count_words(const struct buffer *text, size_t from);

#endif
