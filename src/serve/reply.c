/*
 * reply.c - what a client is told: JSON, problems (RFC 9457), and the header fields that every reply has.
 *
 * Texts of errors come from the engine fit for a terminal; in JSON they are escaped once more as JSON wants it. A
 * reply to a HEAD is built as that to a GET: libmicrohttpd leaves the body out.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "http_text.h"
#include "serve_internal.h"

const char *serve_status_text(unsigned status)
{
	const char *text = status == 460 ? "Checksum Mismatch" : MHD_get_reason_phrase_for(status);

	return text != NULL ? text : "Unknown";
}

const char *serve_header(struct serve_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->conn, MHD_HEADER_KIND, name);
}

bool serve_query(struct serve_request *r, const char *name, struct bm_buf *out)
{
	const char *raw = MHD_lookup_connection_value(r->conn, MHD_GET_ARGUMENT_KIND, name);

	if (raw == NULL || r->is_replied)
		return false;
	if (http_query_decode(raw, strlen(raw), out) && !out->oom)
		return true;
	serve_problem(r, 400, "the parameter \"%s\" is not percent-encoded as a URL wants it", name);
	return false;
}

void serve_add_header(struct serve_request *r, const char *name, const char *value)
{
	bm_buf_printf(&r->headers, "%s: %s\n", name, value);
}

void serve_count_status(struct bm_serve *s, unsigned status)
{
	if (status < 300)
		serve_count(s, SERVE_COUNT_2XX, 1);
	else if (status < 400)
		serve_count(s, SERVE_COUNT_3XX, 1);
	else if (status < 500)
		serve_count(s, SERVE_COUNT_4XX, 1);
	else
		serve_count(s, SERVE_COUNT_5XX, 1);
}

enum MHD_Result serve_queue(struct serve_request *r, unsigned status, struct MHD_Response *response)
{
	enum MHD_Result queued = MHD_queue_response(r->conn, status, response);

	if (r->is_long) {
		r->has_patience = true;
		(void)MHD_set_connection_option(r->conn, MHD_CONNECTION_OPTION_TIMEOUT,
		                                serve_seconds(r->srv->opt.read_timeout_ms));
		serve_client_phase(r->srv, r->client, SERVE_REPLY, 0);
	}
	MHD_destroy_response(response);
	return queued;
}

void serve_reply(struct serve_request *r, unsigned status, struct MHD_Response *response)
{
	char *save = NULL;

	if (r->is_replied || response == NULL) {
		if (response != NULL)
			MHD_destroy_response(response);
		return;
	}
	r->is_replied = true;
	for (char *line = r->headers.len > 0 ? strtok_r(r->headers.data, "\n", &save) : NULL; line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		char *value = strstr(line, ": ");

		*value = '\0';
		(void)MHD_add_response_header(response, line, value + 2);
	}
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (atomic_load(&r->srv->draining))
		(void)MHD_add_response_header(response, "Connection", "close");
	serve_count_status(r->srv, status);
	if (r->in_body) {
		r->deferred = response;
		r->deferred_status = status;
		return;
	}
	(void)serve_queue(r, status, response);
}

static void reply_text(struct serve_request *r, unsigned status, const char *type, struct bm_buf *text)
{
	size_t len = text->len;
	char *data = text->oom ? NULL : bm_buf_take(text);
	struct MHD_Response *response;

	if (data == NULL) {
		data = strdup("{}");
		len = 2;
		status = 500;
	}
	bm_buf_fini(text);
	if (data == NULL)
		return; /* the connection is closed for want of a reply */
	response = MHD_create_response_from_buffer(len, data, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(data);
		return;
	}
	serve_add_header(r, "Content-Type", type);
	serve_add_header(r, "Cache-Control", "no-store");
	r->is_long = len > SERVE_LONG_BYTES;
	serve_reply(r, status, response);
}

void serve_reply_json(struct serve_request *r, unsigned status, struct bm_buf *json)
{
	reply_text(r, status, "application/json", json);
}

void serve_reply_empty(struct serve_request *r, unsigned status)
{
	serve_reply(r, status, MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
}

void serve_problem_with(struct serve_request *r, unsigned status, const char *more, const char *detail)
{
	struct bm_buf b = {0};

	bm_buf_printf(&b,
	              "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"detail\":", serve_status_text(status),
	              status);
	bm_json_put_string(&b, detail, strlen(detail));
	bm_buf_puts(&b, more != NULL ? more : "");
	bm_buf_puts(&b, "}\n");
	if (status == 401)
		serve_add_header(r, "WWW-Authenticate", "Bearer realm=\"bytemill\"");
	if (status == 503)
		serve_add_header(r, "Retry-After", "2");
	reply_text(r, status, "application/problem+json", &b);
}

void serve_problem(struct serve_request *r, unsigned status, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	serve_problem_with(r, status, NULL, text);
}

unsigned serve_status_of(const struct bm_error *err)
{
	switch (err->status) {
	case BM_ERR_MISMATCH:
	case BM_ERR_FORMAT:
	case BM_ERR_TRUNCATED:
	case BM_ERR_USAGE:
		return 400;
	case BM_ERR_LIMIT:
		return 413;
	case BM_ERR_EXISTS:
	case BM_ERR_CONFLICT:
		return 409;
	case BM_ERR_NOMEM:
	case BM_ERR_CANCELLED:
		return 503;
	default:
		break;
	}
	switch (err->sys_errno) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return 507;
	case ENOENT:
	case ENOTDIR:
		return 404;
	case EACCES:
	case EPERM:
	case EROFS:
		return 403;
	case ENAMETOOLONG:
		return 414;
	case EISDIR:
		return 409;
	default:
		return 500;
	}
}

void serve_problem_error(struct serve_request *r, const struct bm_error *err)
{
	serve_problem_with(r, serve_status_of(err), NULL,
	                   err->text[0] != '\0' ? err->text : bm_status_text(err->status));
}
