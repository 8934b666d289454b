#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *status_name(int status)
{
	switch (status) {
#define X(name, value, text)                                                                       \
	case value:                                                                                \
		return #name;
		STATUS_MAP(X)
#undef X
	default:
		return "EUNKNOWN";
	}
}

const char *status_text(int status)
{
	switch (status) {
#define X(name, value, text)                                                                       \
	case value:                                                                                \
		return text;
		STATUS_MAP(X)
#undef X
	default:
		return "unknown status";
	}
}

int status_from_errno(int err)
{
	switch (err) {
	case 0:
		return STATUS_OK;
	case EINVAL:
		return STATUS_EINVAL;
	case ENOMEM:
		return STATUS_ENOMEM;
	case EAGAIN:
		return STATUS_EAGAIN;
	case ETIMEDOUT:
		return STATUS_ETIMEDOUT;
	case EADDRINUSE:
		return STATUS_EADDRINUSE;
	case ENOENT:
	case ENOTDIR:
		return STATUS_ENOENT;
	case EACCES:
	case EPERM:
	case EROFS:
		return STATUS_EACCES;
	case EFBIG: /* a limit on the file is a full disk, too */
	case ENOSPC:
	case EDQUOT:
		return STATUS_ENOSPC;
	default:
		return STATUS_EIO;
	}
}

int error_set(struct error *e, int status, const char *fmt, ...)
{
	if (!e)
		return status;
	va_list ap;
	va_start(ap, fmt);
	e->status = status;
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return status;
}
