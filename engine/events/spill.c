#include "events/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define GIVE_BACK ((uint64_t)4 << 20) /* bytes taken between two steps of giving back */

/* Before each frame in the file. */
struct head {
	uint32_t size;
	uint32_t records;
};

struct spill {
	int fd;
	uint64_t limit;
	uint64_t from, to;   /* offsets of the oldest frame and behind the last */
	uint64_t given_back; /* offset up to which the file holds no blocks any more */
	uint64_t records;
	struct head head; /* of the oldest frame, once it is peeked at */
	bool peeked;
};

static int failure(int err)
{
	return err == EFBIG ? STATUS_ENOSPC : status_from_errno(err);
}

int spill_open(struct spill **out, const char *dir, uint64_t limit, struct error *e)
{
	char path[PATH_MAX];
	if (!dir || !*dir)
		dir = getenv("TMPDIR");
	if (!dir || !*dir)
		dir = "/tmp";
	int n = snprintf(path, sizeof(path), "%s/perigee-spill-XXXXXX", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(e, STATUS_EINVAL, "%.100s...: the path is too long", dir);
	struct spill *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	s->limit = limit;
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0) {
		int err = errno;
		free(s);
		return error_set(e, failure(err), "no spill file for events in %s: %s", dir,
		                 strerror(err));
	}
	unlink(path);
	*out = s;
	return STATUS_OK;
}

void spill_close(struct spill *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s);
}

/* Step over n bytes that were written. */
static void advance(struct iovec **v, int *count, size_t n)
{
	while (*count && n >= (*v)->iov_len) {
		n -= (*v)->iov_len;
		(*v)++;
		(*count)--;
	}
	if (*count) {
		(*v)->iov_base = (char *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
}

static int write_all(int fd, struct iovec *v, int count, uint64_t at)
{
	while (count) {
		ssize_t n = pwritev(fd, v, count, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? failure(errno) : STATUS_EIO;
		at += (uint64_t)n;
		advance(&v, &count, (size_t)n);
	}
	return STATUS_OK;
}

static int read_all(int fd, void *data, size_t size, uint64_t at)
{
	char *to = data;
	while (size) {
		ssize_t n = pread(fd, to, size, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return STATUS_EIO;
		to += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
	return STATUS_OK;
}

int spill_append(struct spill *s, const void *data, uint32_t size, uint32_t records)
{
	struct head head = { size, records };
	struct iovec v[] = { { &head, sizeof(head) }, { (void *)(uintptr_t)data, size } };
	uint64_t total = sizeof(head) + size;
	if (total > s->limit || spill_bytes(s) > s->limit - total)
		return STATUS_ELIMIT;
	int err = write_all(s->fd, v, size ? 2 : 1, s->to);
	if (err)
		return err; /* what was written in part is behind the end, and written over */
	s->to += total;
	s->records += records;
	return STATUS_OK;
}

int spill_peek(struct spill *s, uint32_t *size, uint32_t *records)
{
	if (s->from == s->to)
		return STATUS_EAGAIN;
	if (!s->peeked) {
		int err = read_all(s->fd, &s->head, sizeof(s->head), s->from);
		if (err || s->head.size > s->to - s->from - sizeof(s->head) ||
		    s->head.records > s->records)
			return STATUS_EIO;
		s->peeked = true;
	}
	*size = s->head.size;
	*records = s->head.records;
	return STATUS_OK;
}

/* Not being able to is no failure: the file then only stays longer. */
static void give_back(struct spill *s)
{
	if (s->from == s->to) {
		spill_clear(s);
		return;
	}
#ifdef FALLOC_FL_PUNCH_HOLE
	if (s->from - s->given_back < GIVE_BACK)
		return;
	int err = fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->given_back,
	                    (off_t)(s->from - s->given_back));
	(void)err;
	s->given_back = s->from;
#endif
}

int spill_take(struct spill *s, void *data)
{
	int err = read_all(s->fd, data, s->head.size, s->from + sizeof(s->head));
	if (err)
		return err;
	s->from += sizeof(s->head) + s->head.size;
	s->records -= s->head.records;
	s->peeked = false;
	give_back(s);
	return STATUS_OK;
}

void spill_clear(struct spill *s)
{
	int err = ftruncate(s->fd, 0);
	(void)err; /* the next frames are written over the old ones */
	s->from = s->to = s->given_back = s->records = 0;
	s->peeked = false;
}

uint64_t spill_records(const struct spill *s)
{
	return s->records;
}

uint64_t spill_bytes(const struct spill *s)
{
	return s->to - s->from;
}
