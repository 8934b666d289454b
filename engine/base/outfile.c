#include "base/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only a regular file has contents to protect: any number may write to /dev/null. A file
 * system without locks must not stop the run. Returns 0 or an errno. */
static int take(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return EWOULDBLOCK;
	return ftruncate(fd, 0) ? errno : 0;
}

int outfile_open(int *fd, const char *path, struct error *e)
{
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	int err = file < 0 ? errno : take(file);
	if (!err) {
		*fd = file;
		return STATUS_OK;
	}
	if (file >= 0)
		close(file);
	return error_set(e, status_from_errno(err), "%s: %s", path,
	                 err == EWOULDBLOCK ? "another run writes to it" : strerror(err));
}
