#include "events/log_writer.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/file.h"
#include "events/event_names.h"
#include "events/log_format.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_HEAD   4u /* its length */
#define SALVAGE_US    1000
#define SALVAGE_TRIES 2000

struct block {
	struct block *next;
	struct buffer data; /* head and payload */
	uint32_t records;
	uint64_t first_seq;
};

struct log_writer {
	/* the session's thread */
	struct loop *loop;
	char *path;
	struct block *current; /* being filled; NULL: nothing is */
	struct loop_timer age;
	size_t block_bytes, queue_bytes;
	uint64_t max_age_ns;
	uint64_t put;

	/* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct block *queue, **queue_end;
	size_t queued_bytes;
	bool closing;
	uint64_t lost, written, blocks;
	int failure; /* errno that ended the logging; 0: none */

	/* the writer's thread */
	pthread_t thread;
	int fd;
	uint64_t bytes; /* of the file up to its last good block; read under the lock */
};

/* ---- the writer's thread ---- */

/* All of it, or an errno. */
static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static void block_free(struct block *b)
{
	if (!b)
		return;
	buffer_free(&b->data);
	free(b);
}

static void seal(struct block *b)
{
	char *head = b->data.data;
	const char *payload = head + LOG_BLOCK_HEAD_SIZE;
	uint32_t bytes = (uint32_t)(b->data.len - LOG_BLOCK_HEAD_SIZE);
	log_put32(head, LOG_BLOCK_MAGIC);
	log_put32(head + 4, bytes);
	log_put32(head + 8, b->records);
	log_put64(head + 16, b->first_seq);
	log_put32(head + LOG_BLOCK_CRC, log_block_crc(head, payload, bytes));
}

/* What a failed write left is cut off, so that the file ends with a good block. */
static int write_block(struct log_writer *w, struct block *b)
{
	seal(b);
	int err = write_all(w->fd, b->data.data, b->data.len);
	if (err && ftruncate(w->fd, (off_t)w->bytes))
		return err; /* readers know a torn tail */
	return err;
}

static struct block *next_block(struct log_writer *w)
{
	while (!w->queue && !w->closing)
		pthread_cond_wait(&w->work, &w->lock);
	struct block *b = w->queue;
	if (!b)
		return NULL;
	w->queue = b->next;
	if (!w->queue)
		w->queue_end = &w->queue;
	return b;
}

static void *write_blocks(void *arg)
{
	struct log_writer *w = arg;
	struct block *b;
	pthread_mutex_lock(&w->lock);
	while ((b = next_block(w))) {
		int err = w->failure;
		if (!err) {
			pthread_mutex_unlock(&w->lock);
			err = write_block(w, b);
			pthread_mutex_lock(&w->lock);
		}
		w->queued_bytes -= b->data.len;
		if (err) {
			w->failure = err;
			w->lost += b->records;
		} else {
			w->bytes += b->data.len;
			w->written += b->records;
			w->blocks++;
		}
		block_free(b);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the session's thread ---- */

static void lose(struct log_writer *w, uint64_t records)
{
	pthread_mutex_lock(&w->lock);
	w->lost += records;
	pthread_mutex_unlock(&w->lock);
}

/* Under the lock. */
static void enqueue(struct log_writer *w, struct block *b)
{
	b->next = NULL;
	*w->queue_end = b;
	w->queue_end = &b->next;
	w->queued_bytes += b->data.len;
	pthread_cond_signal(&w->work);
}

/* Give the block to the thread, or count it as lost. */
static void hand_over(struct log_writer *w, struct block *b)
{
	pthread_mutex_lock(&w->lock);
	bool full = w->queued_bytes + b->data.len > w->queue_bytes;
	if (full || w->failure) {
		w->lost += b->records;
		pthread_mutex_unlock(&w->lock);
		block_free(b);
		return;
	}
	enqueue(w, b);
	pthread_mutex_unlock(&w->lock);
}

void log_writer_flush(struct log_writer *w)
{
	struct block *b = w->current;
	loop_timer_stop(w->loop, &w->age);
	w->current = NULL;
	if (b)
		hand_over(w, b);
}

static void on_age(struct loop_timer *t, uint64_t now_ns)
{
	(void)now_ns;
	log_writer_flush(t->data);
}

static struct block *begin_block(struct log_writer *w, uint64_t first_seq)
{
	struct block *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	buffer_init(&b->data, LOG_BLOCK_HEAD_SIZE + (size_t)LOG_BLOCK_MAX);
	b->first_seq = first_seq;
	if (buffer_reserve(&b->data, LOG_BLOCK_HEAD_SIZE + w->block_bytes)) {
		block_free(b);
		return NULL;
	}
	memset(b->data.data, 0, LOG_BLOCK_HEAD_SIZE);
	b->data.len = LOG_BLOCK_HEAD_SIZE;
	return b;
}

static int append(struct block *b, const struct event *e)
{
	size_t at = b->data.len;
	int err = buffer_reserve(&b->data, RECORD_HEAD);
	if (err)
		return err;
	b->data.len += RECORD_HEAD;
	err = event_pack(e, &b->data);
	if (err) {
		b->data.len = at;
		return err;
	}
	log_put32(b->data.data + at, (uint32_t)(b->data.len - at - RECORD_HEAD));
	b->records++;
	return STATUS_OK;
}

int log_writer_put(struct log_writer *w, const struct event *e)
{
	if (!w->current)
		w->current = begin_block(w, e->seq);
	int err = w->current ? append(w->current, e) : STATUS_ENOMEM;
	if (err == STATUS_ELIMIT && w->current->records) { /* a block of its own holds more */
		log_writer_flush(w);
		w->current = begin_block(w, e->seq);
		err = w->current ? append(w->current, e) : STATUS_ENOMEM;
	}
	if (err) {
		lose(w, 1);
		return err;
	}
	w->put++;
	if (w->current->data.len >= w->block_bytes || event_is_control(e->type) ||
	    e->type == EVENT_PHASE_END)
		log_writer_flush(w);
	else if (!w->age.slot &&
	         loop_timer_start(w->loop, &w->age, loop_now(w->loop) + w->max_age_ns))
		log_writer_flush(w);
	return STATUS_OK;
}

/* The queue is empty when its last block is being written: the thread needs the lock
 * once more to say that it is done, and then the sum is 0. */
void log_writer_salvage(struct log_writer *w)
{
	bool handed = false, done = false;
	for (int i = 0; i < SALVAGE_TRIES && !done; i++) {
		if (!pthread_mutex_trylock(&w->lock)) {
			if (!handed && w->current)
				enqueue(w, w->current);
			handed = true;
			done = w->queued_bytes == 0;
			pthread_mutex_unlock(&w->lock);
		}
		if (!done)
			usleep(SALVAGE_US);
	}
}

void log_writer_stats(struct log_writer *w, struct log_stats *out)
{
	pthread_mutex_lock(&w->lock);
	*out = (struct log_stats){
		.put = w->put,
		.written = w->written,
		.lost = w->lost,
		.blocks = w->blocks,
		.bytes = w->bytes,
	};
	pthread_mutex_unlock(&w->lock);
}

/* ---- life ---- */

static void put_header(char *head, const char *names, size_t names_len)
{
	memcpy(head, LOG_MAGIC, strlen(LOG_MAGIC));
	log_put32(head + 8, LOG_VERSION);
	log_put32(head + 12, (uint32_t)(LOG_HEADER_SIZE + names_len));
	log_put64(head + 16, clock_realtime());
	log_put32(head + LOG_HEADER_CRC, crc32c(0, head, LOG_HEADER_CRC));
	log_put32(head + LOG_NAMES_CRC, crc32c(0, names, names_len));
}

/* 0 or an errno. */
static int write_header(struct log_writer *w)
{
	static const char zero[LOG_HEADER_SIZE];
	struct buffer b;
	buffer_init(&b, LOG_HEADER_SIZE + LOG_NAMES_MAX);
	int err = buffer_append(&b, zero, sizeof(zero)) || event_names_put(&b) ? ENOMEM : 0;
	if (!err) {
		put_header(b.data, b.data + LOG_HEADER_SIZE, b.len - LOG_HEADER_SIZE);
		err = write_all(w->fd, b.data, b.len);
	}
	if (!err)
		w->bytes = b.len;
	buffer_free(&b);
	return err;
}

static void destroy(struct log_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->work);
	free(w->path);
	free(w);
}

int log_writer_open(struct log_writer **out, struct loop *loop, const struct log_config *config,
                    struct error *e)
{
	struct log_writer *w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", config->path);
	w->fd = -1;
	w->loop = loop;
	w->age = (struct loop_timer){ .fn = on_age, .data = w };
	w->block_bytes = config->block_bytes ? config->block_bytes : 256 * (size_t)1024;
	w->queue_bytes = config->queue_bytes ? config->queue_bytes : 64 * (size_t)1024 * 1024;
	w->max_age_ns = config->max_age_ns ? config->max_age_ns : 100 * NS_PER_MS;
	w->queue_end = &w->queue;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	w->path = strdup(config->path);
	int status = w->path ? file_create(&w->fd, config->path, e) : STATUS_OK;
	if (status) {
		destroy(w);
		return status;
	}
	int err = w->path ? write_header(w) : ENOMEM;
	if (!err)
		err = pthread_create(&w->thread, NULL, write_blocks, w);
	if (err) {
		destroy(w);
		return error_set(e, status_from_errno(err), "%s: %s", config->path, strerror(err));
	}
	*out = w;
	return STATUS_OK;
}

int log_writer_close(struct log_writer *w, struct error *e)
{
	if (!w)
		return STATUS_OK;
	log_writer_flush(w);
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	int status = STATUS_OK;
	if (w->lost)
		status = error_set(e, w->failure ? status_from_errno(w->failure) : STATUS_ELIMIT,
		                   "%s: %llu records were not written: %s", w->path,
		                   (unsigned long long)w->lost,
		                   w->failure ? strerror(w->failure) : "the disk was too slow");
	destroy(w);
	return status;
}
