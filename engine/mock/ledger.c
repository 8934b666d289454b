#include "mock/ledger.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BUFFER 65536

struct ledger {
	FILE *file;
	char *path;
	int failure; /* errno of the first write that failed; 0: none */
};

int ledger_open(struct ledger **out, const char *path, struct error *e)
{
	struct ledger *l = calloc(1, sizeof(*l));
	if (l)
		l->path = strdup(path);
	int err = l && l->path ? file_create_stream(&l->file, path, FILE_BUFFER, e)
	                       : error_set(e, STATUS_ENOMEM, "%s: out of memory", path);
	if (err) {
		if (l)
			free(l->path);
		free(l);
		return err;
	}
	*out = l;
	return STATUS_OK;
}

void ledger_put(struct ledger *l, const struct ledger_entry *x)
{
	if (l->failure)
		return;
	int n = fprintf(l->file,
	                "{\"number\":%" PRIu64 ",\"received_ns\":%" PRIu64 ",\"first_ns\":%" PRIu64
	                ",\"finished_ns\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64
	                ",\"completion_tokens\":%" PRIu64 "}\n",
	                x->number, x->received_ns, x->first_ns, x->finished_ns, x->prompt_tokens,
	                x->completion_tokens);
	if (n < 0)
		l->failure = errno ? errno : EIO;
}

int ledger_close(struct ledger *l, struct error *e)
{
	if (!l)
		return STATUS_OK;
	errno = 0;
	if (fclose(l->file) && !l->failure)
		l->failure = errno ? errno : EIO;
	int status = status_from_errno(l->failure);
	if (l->failure && e)
		error_set(e, status, "%s: %s; lines were lost", l->path, strerror(l->failure));
	free(l->path);
	free(l);
	return status;
}
