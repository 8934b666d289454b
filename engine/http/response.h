/* response.h - from the bytes of one response to what they mean.
 *
 * Transports feed a response its head, its bytes and its end; it decodes
 * server-sent events and OpenAI JSON, keeps stamps, counts and text, and
 * decides whether the response is a success. Knows no sockets and reads no
 * clock. One thread at a time. Memory is kept between uses. */
#ifndef PERIGEE_HTTP_RESPONSE_H
#define PERIGEE_HTTP_RESPONSE_H

#include "base/buffer.h"
#include "base/failure.h"
#include "http/openai.h"
#include "http/sse.h"

#include <stdbool.h>
#include <stdint.h>

enum decoder {
	DECODE_RAW,         /* any body; first_ns is the first body byte */
	DECODE_CHAT,        /* OpenAI chat completions, streamed or whole */
	DECODE_COMPLETIONS, /* OpenAI completions, streamed or whole */
};

#define RESPONSE_ERROR_BODY 4096  /* bytes of the body kept when the status is 400 or above */
#define RESPONSE_CHUNK_GAPS 65536 /* gaps kept in chunk_us; later ones are only counted */

struct response {
	/* ---- set by the owner before response_start() ---- */
	bool keep_text; /* gather content and reasoning; else they are only counted */
	bool keep_body; /* gather the raw body */

	/* ---- results ---- */
	uint64_t sent_ns;            /* the transport began to send; 0: it never did */
	uint64_t first_byte_ns;      /* first byte of the head */
	uint64_t first_event_ns;     /* first event of a stream with data, whatever it says */
	uint64_t first_content_ns;   /* first delta with content */
	uint64_t first_reasoning_ns; /* first delta with reasoning */
	uint64_t first_ns; /* first content-bearing delta of a stream; RAW: first body byte */
	uint64_t last_ns;  /* latest content-bearing delta */
	uint64_t finished_ns;
	enum failure failure;
	char error[256];   /* detail for people; "" when there is none */
	int status;        /* HTTP; 0: no head came */
	bool streamed;     /* it was text/event-stream */
	bool done;         /* [DONE] was seen */
	uint64_t bytes;    /* of the body */
	uint32_t events;   /* SSE events with data */
	uint32_t chunks;   /* content-bearing deltas */
	int64_t tokens_in; /* from usage; -1: not told */
	int64_t tokens_out;
	int64_t tokens_cached;
	bool fresh;              /* its connection was opened for it, by the transport */
	char finish_reason[32];  /* "" when not told */
	struct buffer text;      /* content, when keep_text */
	struct buffer reasoning; /* when keep_text */
	struct buffer tools;     /* concatenated tool call arguments, when keep_text */
	struct buffer body;      /* when keep_body, or the beginning of an error's */
	uint32_t *chunk_us; /* gaps between chunks in us, chunks - 1 of them, up to the limit */
	uint32_t chunk_us_count;

	/* ---- private ---- */
	uint32_t chunk_us_cap;
	enum decoder decoder;
	struct sse sse;
	struct openai_pattern pattern;
	uint64_t now_ns;  /* of the bytes that are being decoded */
	size_t max_bytes; /* of text, reasoning, tools and body each */
	bool failed;      /* the rest of the bytes is only counted */
	void (*on_delta)(void *ctx, const struct delta *d, bool first);
	void *on_delta_ctx;
};

/* Set the limit of each kept part. Of zeroed memory, or again; the memory that is
 * held stays. A client does it for its exchanges. */
void response_init(struct response *r, size_t max_bytes);
void response_free(struct response *r);

/* Before each use: forget the last response, keep the memory.
 * on_delta (may be NULL) is called for each content-bearing delta. */
void response_start(struct response *r, enum decoder decoder,
                    void (*on_delta)(void *ctx, const struct delta *d, bool first), void *ctx);

/* The head is complete. content_type may be NULL. */
void response_head(struct response *r, int status, const char *content_type, uint64_t now_ns);

/* Some body bytes, split anywhere. Returns 0, or STATUS_EPROTO when the rest
 * is of no use (the failure is set): the transport may close. */
int response_bytes(struct response *r, const char *data, size_t len, uint64_t now_ns);

/* In place of bytes: a delta that was decoded elsewhere and arrived at d->now_ns. It is
 * counted, kept and told. Returns as response_bytes(). */
int response_delta(struct response *r, const struct delta *d);

/* to := what from has gathered, with its memory; from gets that of to. For a response
 * that was decoded elsewhere, after its end. */
void response_hand_over(struct response *to, struct response *from);

/* The transport is through. why: FAILURE_NONE, or what cut it short, with an
 * optional text. Decides the final failure; the first one found stays. */
void response_end(struct response *r, enum failure why, const char *text, uint64_t now_ns);

#endif
