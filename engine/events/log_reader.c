#include "events/log_reader.h"

#include "base/buffer.h"
#include "events/event_names.h"
#include "events/log_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_HEAD 4u
#define CHUNK_ROOM  65536u
#define SEARCH_STEP 65536u

struct log_reader {
	FILE *file;
	struct event_names names; /* of the numbers in its records */
	uint64_t at;              /* offset of the next block */
	struct buffer payload;    /* of the current block */
	size_t record_at;
	uint32_t records_left;
	uint64_t next_seq; /* of the next record when none is missing */
	struct log_reader_stats stats;
	uint32_t chunk_us[CHUNK_ROOM];
};

/* len bytes at the offset; false: the file ends before, or cannot be read. */
static bool read_at(struct log_reader *r, uint64_t at, char *to, size_t len)
{
	return fseeko(r->file, (off_t)at, SEEK_SET) == 0 && fread(to, 1, len, r->file) == len;
}

static bool check_header(const char *head)
{
	return memcmp(head, LOG_MAGIC, strlen(LOG_MAGIC)) == 0 &&
	       log_get32(head + LOG_HEADER_CRC) == crc32c(0, head, LOG_HEADER_CRC) &&
	       log_get32(head + 12) >= LOG_HEADER_SIZE;
}

/* The names behind the header. Those of version 1 lie in each record. */
static int read_names(struct log_reader *r, const char *head)
{
	uint32_t len = log_get32(head + 12) - LOG_HEADER_SIZE;
	if (log_get32(head + 8) == 1)
		return STATUS_OK;
	if (len > LOG_NAMES_MAX)
		return STATUS_EPROTO;
	int err = buffer_reserve(&r->payload, len);
	if (err)
		return err;
	char *names = r->payload.data;
	if (!read_at(r, LOG_HEADER_SIZE, names, len) ||
	    log_get32(head + LOG_NAMES_CRC) != crc32c(0, names, len))
		return STATUS_EPROTO;
	return event_names_read(&r->names, names, len);
}

static int read_header(struct log_reader *r, const char *path, struct error *e)
{
	char head[LOG_HEADER_SIZE];
	if (!read_at(r, 0, head, sizeof(head)) || !check_header(head))
		return error_set(e, STATUS_EPROTO, "%s: not an event log", path);
	uint32_t version = log_get32(head + 8);
	if (version < 1 || version > LOG_VERSION)
		return error_set(e, STATUS_EPROTO,
		                 "%s: version %u of the log format; 1 to %u are known", path,
		                 version, LOG_VERSION);
	int err = read_names(r, head);
	if (err == STATUS_EPROTO)
		return error_set(e, err, "%s: the list of its names is damaged", path);
	if (err)
		return error_set(e, err, "%s: out of memory", path);
	r->at = log_get32(head + 12);
	return STATUS_OK;
}

int log_reader_open(struct log_reader **out, const char *path, struct error *e)
{
	struct log_reader *r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	buffer_init(&r->payload, LOG_BLOCK_MAX);
	r->file = fopen(path, "rbe");
	int err = r->file ? read_header(r, path, e)
	                  : error_set(e, status_from_errno(errno), "%s: %s", path, strerror(errno));
	if (err) {
		log_reader_close(r);
		return err;
	}
	*out = r;
	return STATUS_OK;
}

void log_reader_close(struct log_reader *r)
{
	if (!r)
		return;
	if (r->file)
		fclose(r->file);
	buffer_free(&r->payload);
	free(r);
}

/* ---- blocks ---- */

/* Read and check the block at the offset. 1, 0 when there is no good one, or a status. */
static int load_block(struct log_reader *r, uint64_t at)
{
	char head[LOG_BLOCK_HEAD_SIZE];
	if (!read_at(r, at, head, sizeof(head)) || log_get32(head) != LOG_BLOCK_MAGIC)
		return 0;
	uint32_t bytes = log_get32(head + 4);
	if (bytes > LOG_BLOCK_MAX)
		return 0;
	buffer_clear(&r->payload);
	int err = buffer_reserve(&r->payload, bytes);
	if (err)
		return err;
	if (!read_at(r, at + sizeof(head), r->payload.data, bytes))
		return 0;
	if (log_get32(head + LOG_BLOCK_CRC) != log_block_crc(head, r->payload.data, bytes))
		return 0;
	r->payload.len = bytes;
	r->record_at = 0;
	r->records_left = log_get32(head + 8);
	r->at = at + sizeof(head) + bytes;
	r->stats.blocks++;
	return 1;
}

/* The offset of the next thing that looks like a block after `from`; 0: none. */
static uint64_t find_magic(struct log_reader *r, uint64_t from)
{
	char window[SEARCH_STEP], magic[4];
	log_put32(magic, LOG_BLOCK_MAGIC);
	for (;;) {
		if (fseeko(r->file, (off_t)from, SEEK_SET))
			return 0;
		size_t n = fread(window, 1, sizeof(window), r->file);
		const char *hit = n < 4 ? NULL : memmem(window, n, magic, 4);
		if (hit)
			return from + (uint64_t)(hit - window);
		if (n < sizeof(window))
			return 0;
		from += n - 3; /* it may lie across the windows */
	}
}

static uint64_t file_size(struct log_reader *r)
{
	off_t size = fseeko(r->file, 0, SEEK_END) ? 0 : ftello(r->file);
	return size > 0 ? (uint64_t)size : 0;
}

/* The next good block: 1, 0 at the end, or a status. */
static int next_block(struct log_reader *r)
{
	uint64_t bad = r->at, at = r->at;
	for (;;) {
		int rc = load_block(r, at);
		if (rc > 0)
			r->stats.damaged_bytes += at - bad;
		if (rc)
			return rc;
		at = find_magic(r, at + 1);
		if (at)
			continue;
		if (ferror(r->file))
			return STATUS_EIO;
		uint64_t size = file_size(r);
		r->stats.torn_bytes = size > bad ? size - bad : 0;
		return 0;
	}
}

/* A writer whose disk was too slow leaves out whole blocks, and no check sees that. */
static void account(struct log_reader *r, uint64_t seq)
{
	r->stats.records++;
	if (seq > r->next_seq)
		r->stats.missing_records += seq - r->next_seq;
	r->next_seq = seq + 1;
}

int log_reader_next(struct log_reader *r, struct event *e)
{
	for (;;) {
		while (!r->records_left) {
			int rc = next_block(r);
			if (rc <= 0)
				return rc;
		}
		size_t left = r->payload.len - r->record_at;
		const char *p = r->payload.data + r->record_at;
		uint32_t len = left < RECORD_HEAD ? 0 : log_get32(p);
		if (left < RECORD_HEAD ||
		    len > left - RECORD_HEAD) { /* a good checksum over bad contents */
			r->stats.damaged_records += r->records_left;
			r->records_left = 0;
			continue;
		}
		r->record_at += RECORD_HEAD + len;
		r->records_left--;
		if (!event_unpack(e, &r->names, p + RECORD_HEAD, len, r->chunk_us, CHUNK_ROOM)) {
			account(r, e->seq);
			return 1;
		}
		r->stats.damaged_records++;
	}
}

void log_reader_stats(const struct log_reader *r, struct log_reader_stats *out)
{
	*out = r->stats;
}
