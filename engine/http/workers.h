/* workers.h - HTTP on threads of its own: clients whose exchanges are spread over them.
 *
 * Each worker thread has a loop and one inner client per client, of any kind that a
 * client_factory makes. To the caller it is one more client with the rules of client.h:
 * all calls and callbacks are on the thread of the caller's loop, in its turn. What is
 * sent, received and decoded is the worker's work; its clock gives the stamps, so that
 * no latency holds the time that news of it takes to come back.
 *
 *  1. An exchange goes to the worker with the fewest in flight and stays there.
 *  2. What it points to is borrowed by the worker until done. Nothing is copied on the
 *     way there; what came in changes hands with the end; a delta's text is copied, when
 *     the sink wants chunks or it is kept.
 *  3. Rings are bounded; what finds no room waits in its sender's list, which holds no
 *     more than what is in flight, and config.chunk_bytes of deltas. A worker that has
 *     sent more of those waits for the caller to take them: nothing is lost, its sockets
 *     are read later, and workers_waits() counts it.
 *  4. A worker that dies or hangs breaks all clients: exchanges that it had end as
 *     CLIENT, sink->broken is told, nothing new is started. */
#ifndef PERIGEE_HTTP_WORKERS_H
#define PERIGEE_HTTP_WORKERS_H

#include "http/client.h"

#define WORKERS_MAX 64

struct workers;

struct workers_config {
	unsigned count;     /* threads, 1 to WORKERS_MAX */
	size_t ring_items;  /* of each ring; 0: 4096 */
	size_t chunk_bytes; /* of deltas of one worker on their way; 0: 32 MiB */
	uint64_t watch_ns;  /* between two looks at the workers, of which five find one stuck;
	                       0: 1 s */
};

/* loop (not on simulated time) is borrowed. *out belongs to the caller. Returns 0, or a
 * status with e filled. */
int workers_new(struct workers **out, struct loop *loop, const struct workers_config *config,
                struct error *e);

/* A client whose inner ones `make` makes. As curl_client_new(), before workers_start(). */
int worker_client_new(struct client **out, struct workers *ws, client_factory *make,
                      const struct client_config *config, const struct client_sink *sink, void *ctx,
                      struct error *e);

/* Start the threads: before the first submit. Returns 0 or a status with e filled. */
int workers_start(struct workers *ws, struct error *e);

/* How often a worker had to wait for the caller: its stamps are late by that. */
uint64_t workers_waits(const struct workers *ws);

/* CPU time that the busiest worker has used since the latest workers_mark(); 0 when the system
 * does not tell (clock.h). */
void workers_mark(struct workers *ws);
uint64_t workers_busiest_ns(const struct workers *ws);

/* After client_free() of each client; the first of these ends the threads. What a stuck
 * worker may still touch is not freed. NULL is fine. */
void workers_free(struct workers *ws);

#endif
