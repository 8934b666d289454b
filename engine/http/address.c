#include "http/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

#define SCHEME "http://"

/* ---- the url ---- */

static bool is_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

/* Names with other characters need a conversion that is libcurl's. */
static bool is_host(const char *s, size_t len, bool in_brackets)
{
	static const char alphanumeric[] = "0123456789abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	for (size_t i = 0; i < len; i++)
		if (!s[i] ||
		    (!strchr(alphanumeric, s[i]) && !strchr(in_brackets ? ":." : "-._", s[i])))
			return false;
	return len > 0;
}

static const char *find_problem(const char *url)
{
	const char *colon = strstr(url, "://");
	if (strncasecmp(url, "https://", 8) == 0)
		return "TLS is libcurl's to speak";
	if (!colon || colon == url)
		return "\"http://host:port\" was expected";
	if (strncasecmp(url, SCHEME, sizeof(SCHEME) - 1) != 0)
		return "the scheme must be http or https";
	if (strpbrk(url, "?#"))
		return "a base url has no query and no fragment";
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return "a url has no spaces and no control characters";
	return NULL;
}

/* host[:port] into *host_len and *port; false when it is neither. */
static bool split(const char *authority, size_t len, size_t *host_len, const char **port,
                  size_t *port_len)
{
	bool brackets = len && authority[0] == '[';
	const char *end = authority + len;
	const char *stop = brackets ? memchr(authority, ']', len) : memchr(authority, ':', len);
	if (brackets && !stop)
		return false;
	stop = brackets ? stop + 1 : stop ? stop : end;
	*host_len = (size_t)(stop - authority);
	*port = stop < end ? stop + 1 : end;
	*port_len = (size_t)(end - *port);
	return stop == end || *stop == ':';
}

static int keep(struct address *a, const char *authority, size_t host_len, const char *port,
                size_t port_len, const char *prefix)
{
	bool brackets = authority[0] == '[';
	size_t len = strlen(prefix);
	while (len && prefix[len - 1] == '/')
		len--;
	a->host = strndup(authority + brackets, host_len - 2 * brackets);
	a->port = port_len ? strndup(port, port_len) : strdup("80");
	a->prefix = strndup(prefix, len);
	if (!a->host || !a->port || !a->prefix)
		return STATUS_ENOMEM;
	bool usual = strcmp(a->port, "80") == 0;
	int n = asprintf(&a->field, "%.*s%s%s", (int)host_len, authority, usual ? "" : ":",
	                 usual ? "" : a->port);
	if (n >= 0)
		return STATUS_OK;
	a->field = NULL;
	return STATUS_ENOMEM;
}

int address_parse(struct address *a, const char *url, const char **problem)
{
	*problem = find_problem(url);
	if (*problem)
		return STATUS_EINVAL;
	const char *authority = url + sizeof(SCHEME) - 1, *port;
	size_t len = strcspn(authority, "/"), host_len, port_len;
	if (memchr(authority, '@', len)) {
		*problem = "a user's name in the url is libcurl's to send";
		return STATUS_EINVAL;
	}
	bool whole = split(authority, len, &host_len, &port, &port_len);
	if (!whole || !host_len || port_len > 5 || !is_digits(port, port_len) ||
	    (port_len && (atol(port) < 1 || atol(port) > 65535))) {
		*problem = "\"http://host:port\" was expected";
		return STATUS_EINVAL;
	}
	bool brackets = authority[0] == '[';
	if (!is_host(authority + brackets, host_len - 2 * brackets, brackets)) {
		*problem = "a host with such characters is libcurl's to look up";
		return STATUS_EINVAL;
	}
	int err = keep(a, authority, host_len, port, port_len, authority + len);
	if (err)
		*problem = status_text(err);
	return err;
}

void address_free(struct address *a)
{
	free(a->host);
	free(a->port);
	free(a->field);
	free(a->prefix);
	free(a->list);
	*a = (struct address){ 0 };
}

/* ---- sockets ---- */

static int keep_list(struct address *a, const struct addrinfo *list)
{
	size_t count = 0;
	for (const struct addrinfo *i = list; i; i = i->ai_next)
		count += i->ai_addrlen <= sizeof(struct sockaddr_storage);
	a->list = calloc(count ? count : 1, sizeof(*a->list));
	if (!a->list)
		return STATUS_ENOMEM;
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		if (i->ai_addrlen > sizeof(struct sockaddr_storage))
			continue;
		memcpy(&a->list[a->count].data, i->ai_addr, i->ai_addrlen);
		a->list[a->count++].len = i->ai_addrlen;
	}
	return STATUS_OK;
}

int address_resolve(struct address *a, struct error *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int rc = getaddrinfo(a->host, a->port, &hints, &list);
	if (rc == EAI_MEMORY)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	if (rc)
		return error_set(e, STATUS_ENOENT, "could not resolve host %s: %s", a->host,
		                 gai_strerror(rc));
	int err = keep_list(a, list);
	freeaddrinfo(list);
	return err ? error_set(e, err, "out of memory") : STATUS_OK;
}

int address_set_unix(struct address *a, const char *path, struct error *e)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	if (len >= sizeof(un.sun_path))
		return error_set(e, STATUS_EINVAL,
		                 "unix socket \"%s\": its path is longer than %zu bytes", path,
		                 sizeof(un.sun_path) - 1);
	a->list = calloc(1, sizeof(*a->list));
	if (!a->list)
		return error_set(e, STATUS_ENOMEM, "out of memory");
	memcpy(un.sun_path, path, len);
	memcpy(&a->list->data, &un, sizeof(un));
	a->list->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	a->count = 1;
	return STATUS_OK;
}

int address_bind(int fd, const struct socket_address *from)
{
#ifdef IP_BIND_ADDRESS_NO_PORT
	/* The port is chosen with the connection: one may serve several endpoints. */
	int on = 1;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
#endif
	return bind(fd, (const struct sockaddr *)&from->data, from->len);
}

int address_source(struct socket_address *out, const char *text, struct error *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list = NULL;
	if (getaddrinfo(text, "0", &hints, &list) || !list)
		return error_set(e, STATUS_EINVAL,
		                 "source address \"%s\": a numeric address was expected", text);
	memcpy(&out->data, list->ai_addr, list->ai_addrlen);
	out->len = list->ai_addrlen;
	freeaddrinfo(list);
	int fd = socket(out->data.ss_family, SOCK_STREAM, 0);
	int err = fd < 0 || address_bind(fd, out) ? errno : 0;
	if (fd >= 0)
		close(fd);
	return err ? error_set(e, STATUS_EINVAL, "source address \"%s\": %s", text, strerror(err))
	           : STATUS_OK;
}

void address_show(const struct socket_address *a, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->data;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->data;
	switch (a->data.ss_family) {
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(in6->sin6_port));
		break;
	default:
		snprintf(text, size, "%s", ((const struct sockaddr_un *)&a->data)->sun_path);
	}
}

enum failure address_failure(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return FAILURE_REFUSED;
	case EADDRNOTAVAIL:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return FAILURE_CLIENT;
	default:
		return FAILURE_CONNECT;
	}
}
