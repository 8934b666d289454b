#include "events/address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define IPC "ipc://"
#define TCP "tcp://"

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* The file of an ipc address; NULL when it has none (tcp, abstract names). */
static const char *file_of(const char *address)
{
	if (!starts_with(address, IPC) || address[strlen(IPC)] == '@')
		return NULL;
	return address + strlen(IPC);
}

static int in_use(const char *address, struct error *e)
{
	return error_set(e, STATUS_EADDRINUSE, "%s: another program listens on it", address);
}

/* Does somebody listen on the socket file? 0: nobody. */
static int probe(const char *address, const char *path, struct error *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	memcpy(sa.sun_path, path, strlen(path)); /* shorter: checked by the caller */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(e, STATUS_EIO, "%s: %s", address, strerror(errno));
	int rc = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	int err = rc ? errno : 0;
	close(fd);
	if (err == ECONNREFUSED || err == ENOENT)
		return STATUS_OK;
	if (err == 0 || err == EAGAIN || err == EINPROGRESS)
		return in_use(address, e);
	return error_set(e, status_from_errno(err), "%s: %s", address, strerror(err));
}

static int prepare_file(const char *address, const char *path, struct error *e)
{
	struct stat st;
	if (!*path || strlen(path) >= sizeof(((struct socket_file *)0)->path))
		return error_set(e, STATUS_EINVAL,
		                 "%s: the path of a socket has 1 to %zu characters", address,
		                 sizeof(((struct socket_file *)0)->path) - 1);
	if (*path == '*')
		return STATUS_OK; /* ZeroMQ makes up a name */
	if (lstat(path, &st)) {
		if (errno == ENOENT)
			return STATUS_OK; /* a missing folder shows when it is bound */
		return error_set(e, status_from_errno(errno), "%s: %s", address, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return error_set(e, STATUS_EADDRINUSE, "%s: the file exists and is no socket",
		                 address);
	int err = probe(address, path, e);
	if (err)
		return err;
	if (unlink(path) && errno != ENOENT)
		return error_set(e, status_from_errno(errno), "%s: %s", address, strerror(errno));
	return STATUS_OK;
}

/* ZeroMQ takes the lower 16 bits of any number. */
static int check_port(const char *address, struct error *e)
{
	const char *colon = strrchr(address, ':');
	char *end;
	if (strcmp(colon + 1, "*") == 0)
		return STATUS_OK;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end || port > 65535)
		return error_set(e, STATUS_EINVAL, "%s: a port is 0 to 65535 or *", address);
	return STATUS_OK;
}

int address_prepare(const char *address, struct error *e)
{
	if (!address || (!starts_with(address, IPC) && !starts_with(address, TCP)))
		return error_set(e, STATUS_EINVAL,
		                 "%s: an address is " IPC "PATH or " TCP "HOST:PORT",
		                 address ? address : "(none)");
	if (starts_with(address, TCP))
		return check_port(address, e);
	const char *path = file_of(address);
	return path ? prepare_file(address, path, e) : STATUS_OK;
}

void socket_file_note(struct socket_file *f, const char *address)
{
	const char *path = file_of(address);
	struct stat st;
	*f = (struct socket_file){ 0 };
	if (!path || strlen(path) >= sizeof(f->path) || lstat(path, &st))
		return;
	int err = chmod(path, S_IRUSR | S_IWUSR); /* whatever the umask is */
	(void)err;                                /* then it stays as it was bound */
	memcpy(f->path, path, strlen(path));
	f->device = st.st_dev;
	f->inode = st.st_ino;
}

void socket_file_remove(const struct socket_file *f)
{
	struct stat st;
	if (*f->path && !lstat(f->path, &st) && st.st_dev == f->device && st.st_ino == f->inode)
		unlink(f->path);
}
