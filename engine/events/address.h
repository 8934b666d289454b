/* address.h - the addresses a publisher can bind: tcp:// and ipc://.
 *
 * ZeroMQ takes over the socket file of a program that still listens on it, and
 * leaves files behind; this guards against the one and cleans up the other.
 * Called at open and close, on the owner's thread. */
#ifndef PERIGEE_EVENTS_ADDRESS_H
#define PERIGEE_EVENTS_ADDRESS_H

#include "base/status.h"

#include <sys/types.h>
#include <sys/un.h>

/* The socket file that we made; path is "" when there is none. */
struct socket_file {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t device; /* device and inode tell ours from one made later */
	ino_t inode;
};

/* Check the address before it is bound, and remove a socket file that nobody
 * listens on. Returns 0, or STATUS_EINVAL, _EADDRINUSE, _EACCES, _ENOENT or _EIO
 * with e filled. */
int address_prepare(const char *address, struct error *e);

/* Remember the file of the address that was just bound, and close it to other users. */
void socket_file_note(struct socket_file *f, const char *address);

/* Remove it, unless another file has taken its place. */
void socket_file_remove(const struct socket_file *f);

#endif
