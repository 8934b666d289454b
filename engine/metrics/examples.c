#include "metrics/examples.h"

#include "base/status.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_known(const struct examples *x, enum failure failure, int status)
{
	for (size_t i = 0; i < x->count; i++)
		if (x->list[i].failure == failure && x->list[i].status == status)
			return true;
	return false;
}

void examples_message(struct examples *x, const struct event *e)
{
	memcpy(x->uuid, e->uuid, sizeof(x->uuid));
	utf8_fit(x->text, sizeof(x->text), e->error_message.data, e->error_message.len);
}

int examples_put(struct examples *x, const struct event *e)
{
	int status = e->failure == FAILURE_HTTP ? e->http_status : 0;
	if (!x->text[0] || memcmp(x->uuid, e->uuid, sizeof(x->uuid)) != 0 ||
	    x->count == EXAMPLES_MAX || is_known(x, e->failure, status))
		return STATUS_OK;
	struct example *list = realloc(x->list, (x->count + 1) * sizeof(*list));
	if (!list)
		return STATUS_ENOMEM;
	x->list = list;
	x->list[x->count] = (struct example){ .failure = e->failure, .status = status };
	memcpy(x->list[x->count].text, x->text, sizeof(x->text));
	x->count++;
	return STATUS_OK;
}

void examples_free(struct examples *x)
{
	free(x->list);
}
