#include "mock/reply.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
	int status;
	const char *reason; /* of the status line */
	const char *type;   /* of the error object */
} statuses[] = {
	{ 200, "OK", "" },
	{ 400, "Bad Request", "invalid_request_error" },
	{ 401, "Unauthorized", "authentication_error" },
	{ 403, "Forbidden", "permission_error" },
	{ 404, "Not Found", "not_found_error" },
	{ 405, "Method Not Allowed", "invalid_request_error" },
	{ 413, "Content Too Large", "invalid_request_error" },
	{ 417, "Expectation Failed", "invalid_request_error" },
	{ 429, "Too Many Requests", "rate_limit_error" },
	{ 431, "Request Header Fields Too Large", "invalid_request_error" },
	{ 500, "Internal Server Error", "server_error" },
	{ 501, "Not Implemented", "server_error" },
	{ 502, "Bad Gateway", "server_error" },
	{ 503, "Service Unavailable", "server_error" },
	{ 504, "Gateway Timeout", "server_error" },
	{ 505, "HTTP Version Not Supported", "invalid_request_error" },
};

#define STATUS_COUNT (sizeof(statuses) / sizeof(statuses[0]))

static size_t find(int status)
{
	size_t i = 0;
	while (i < STATUS_COUNT && statuses[i].status != status)
		i++;
	return i;
}

static const char *reason_of(int status)
{
	size_t i = find(status);
	return i < STATUS_COUNT ? statuses[i].reason : "Error";
}

static const char *type_of(int status)
{
	size_t i = find(status);
	if (i < STATUS_COUNT)
		return statuses[i].type;
	return status < 500 ? "invalid_request_error" : "server_error";
}

bool reply_head(struct buffer *out, int status, const char *type, int64_t length, bool keep_alive)
{
	char framing[64] = "";
	if (length == REPLY_CHUNKED)
		snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
	else if (length >= 0)
		snprintf(framing, sizeof(framing), "Content-Length: %" PRId64 "\r\n", length);
	return !buffer_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s%s%s\r\n", status,
	                      reason_of(status), type, framing,
	                      status == 429 ? "Retry-After: 1\r\n" : "",
	                      status == 405 ? "Allow: GET, POST\r\n" : "",
	                      keep_alive ? "" : "Connection: close\r\n");
}

bool reply_chunk(struct buffer *out, const char *data, size_t len)
{
	char size[2 * sizeof(len) + 2], *p = size + sizeof(size);
	*--p = '\n';
	*--p = '\r';
	for (size_t n = len; n > 0; n >>= 4)
		*--p = "0123456789abcdef"[n & 15];
	return !buffer_append(out, p, (size_t)(size + sizeof(size) - p)) &&
	       !buffer_append(out, data, len) && !buffer_append(out, "\r\n", 2);
}

bool reply_last_chunk(struct buffer *out)
{
	return !buffer_append(out, "0\r\n\r\n", 5);
}

bool reply_error_json(struct buffer *out, int status, const char *message)
{
	return !buffer_append_str(out, "{\"error\":{\"message\":") &&
	       !json_put_string(out, message, strlen(message)) &&
	       !buffer_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":null}}",
	                      type_of(status));
}

bool reply_about_json(struct buffer *out, const struct reply_about *about)
{
	const char *object = about->chat
	                             ? (about->stream ? "chat.completion.chunk" : "chat.completion")
	                             : "text_completion";
	return !buffer_printf(out,
	                      "{\"id\":\"%s-%016" PRIx64 "\",\"object\":\"%s\",\"created\":%" PRIu64
	                      ",\"model\":",
	                      about->chat ? "chatcmpl" : "cmpl", about->number, object,
	                      about->created) &&
	       !json_put_string(out, about->model, about->model_len);
}

bool reply_usage_json(struct buffer *out, const struct reply_usage *u)
{
	if (buffer_printf(out,
	                  "\"usage\":{\"prompt_tokens\":%" PRIu64 ",\"completion_tokens\":%" PRIu64
	                  ",\"total_tokens\":%" PRIu64,
	                  u->prompt, u->completion, u->prompt + u->completion))
		return false;
	if (u->cached &&
	    buffer_printf(out, ",\"prompt_tokens_details\":{\"cached_tokens\":%" PRIu64 "}",
	                  u->cached))
		return false;
	if (u->reasoning &&
	    buffer_printf(out, ",\"completion_tokens_details\":{\"reasoning_tokens\":%" PRIu64 "}",
	                  u->reasoning))
		return false;
	return !buffer_append(out, "}", 1);
}
