#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int failure(const char *path, struct error *e)
{
	return error_set(e, status_from_errno(errno), "%s: %s", path, strerror(errno));
}

/* Some file systems know no locks: there it is written without. */
static int take(int fd, const char *path, struct error *e)
{
	struct stat st;
	if (fstat(fd, &st))
		return failure(path, e);
	if (!S_ISREG(st.st_mode))
		return STATUS_OK;
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return error_set(e, STATUS_EACCES, "%s: another run writes to it", path);
	return ftruncate(fd, 0) ? failure(path, e) : STATUS_OK;
}

int file_create(int *out, const char *path, struct error *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return failure(path, e);
	int err = take(fd, path, e);
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return STATUS_OK;
}

int file_create_stream(FILE **out, const char *path, size_t buffer, struct error *e)
{
	int fd, err = file_create(&fd, path, e);
	if (err)
		return err;
	FILE *f = fdopen(fd, "w");
	if (!f) {
		err = failure(path, e);
		close(fd);
		return err;
	}
	setvbuf(f, NULL, _IOFBF, buffer);
	*out = f;
	return STATUS_OK;
}

/* May what is at path go? It stays locked while fd is open. */
static int release(int fd, const char *part, const char *path, bool keep_larger, struct error *e)
{
	struct stat old, new;
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return error_set(e, STATUS_EACCES, "%s: another run writes to it", path);
	if (fstat(fd, &old))
		return failure(path, e);
	if (stat(part, &new))
		return failure(part, e);
	if (keep_larger && old.st_size > new.st_size)
		return error_set(e, STATUS_EACCES, "%s: has more than what would replace it", path);
	return STATUS_OK;
}

int file_replace(const char *part, const char *path, bool keep_larger, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = STATUS_OK;
	if (fd < 0 && errno != ENOENT)
		return failure(path, e);
	if (fd >= 0)
		err = release(fd, part, path, keep_larger, e);
	if (!err && rename(part, path))
		err = failure(path, e);
	if (fd >= 0)
		close(fd);
	return err;
}

int file_hold_standard(struct error *e)
{
	int fd;
	do { /* the lowest number that is free */
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return failure("/dev/null", e);
	} while (fd <= STDERR_FILENO);
	close(fd);
	return STATUS_OK;
}
