#include "http/choice.h"

#include "http/direct.h"

int choice_make(struct choice *out, const struct client_config *config, struct error *e)
{
	if (config->transport == TRANSPORT_CURL) {
		*out = (struct choice){ .why = "asked for" };
		return STATUS_OK;
	}
	size_t at = 0;
	const char *refusal = direct_refusal(config->urls, config->url_count, &at);
	if (config->transport == TRANSPORT_DIRECT && refusal)
		return error_set(e, STATUS_EINVAL, "transport \"direct\": url \"%s\": %s",
		                 config->urls[at], refusal);
	*out = (struct choice){ .direct = !refusal, .why = refusal };
	if (!refusal)
		out->why = config->transport == TRANSPORT_DIRECT ? "asked for" : "plain http://";
	return STATUS_OK;
}

int choice_client_new(struct client **out, struct loop *loop, const struct client_config *config,
                      const struct client_sink *sink, void *ctx, struct error *e)
{
	struct choice choice = { 0 };
	int err = choice_make(&choice, config, e);
	if (err)
		return err;
	return choice.direct ? direct_client_new(out, loop, config, sink, ctx, e)
	                     : curl_client_new(out, loop, config, sink, ctx, e);
}
