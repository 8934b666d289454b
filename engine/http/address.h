/* address.h - from a base url to the socket addresses behind it, and back to words.
 *
 * What plain sockets can serve: "http://host[:port][/prefix]" over TCP, or a unix socket
 * in place of the host. A name is looked up once. One thread at a time. */
#ifndef PERIGEE_HTTP_ADDRESS_H
#define PERIGEE_HTTP_ADDRESS_H

#include "base/failure.h"
#include "base/status.h"

#include <stddef.h>
#include <sys/socket.h>

struct socket_address {
	struct sockaddr_storage data;
	socklen_t len;
};

struct address {
	char *host;   /* a name or a number, without brackets */
	char *port;   /* digits */
	char *field;  /* the value of the Host field */
	char *prefix; /* the path, without a slash at its end; "" when there is none */
	struct socket_address *list;
	size_t count; /* of list; 0: not resolved */
};

/* Read the url into a zeroed *a. Returns 0; STATUS_EINVAL with *problem a static text when it
 * is none, or one that plain sockets do not serve; STATUS_ENOMEM. address_free() in any case. */
int address_parse(struct address *a, const char *url, const char **problem);
void address_free(struct address *a);

/* Look its host up, which may take as long as the system's resolver wants. Returns 0, or
 * STATUS_ENOENT with e filled when there is no such host, or STATUS_ENOMEM. */
int address_resolve(struct address *a, struct error *e);

/* Make it the unix socket at path. Returns 0, or a status with e filled. */
int address_set_unix(struct address *a, const char *path, struct error *e);

/* Have the connections of a socket come from there. Returns as bind(). */
int address_bind(int fd, const struct socket_address *from);

/* Read a numeric address of an interface of this machine, port 0, and see that it can be
 * used. Returns 0 or STATUS_EINVAL with e filled. */
int address_source(struct socket_address *out, const char *text, struct error *e);

/* "127.0.0.1:8000", "[::1]:8000" or the path of a unix socket. */
void address_show(const struct socket_address *a, char *text, size_t size);

/* What EADDRNOTAVAIL means to the person who has to act on it. */
#define ADDRESS_NO_PORT "no local port is left, source_addresses gives more"

/* The class of a connection that failed with this errno. */
enum failure address_failure(int err);

#endif
