/*
 * info.c - what the service says of itself: /healthz, /metrics (Prometheus' text format), /openapi.json.
 *
 * The OpenAPI document is made from the table of routes, so that it cannot leave one out.
 */
#include <inttypes.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "runs.h"
#include "serve_internal.h"

void serve_get_health(struct serve_request *r)
{
	struct bm_buf b = {0};

	if (atomic_load(&r->srv->draining)) {
		serve_problem(r, 503, "the service is being stopped");
		return;
	}
	bm_buf_printf(&b, "{\"status\":\"ok\",\"version\":\"%s\"}\n", bm_version());
	serve_reply_json(r, 200, &b);
}

static void put_metric(struct bm_buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
	bm_buf_printf(b, "# HELP bytemill_serve_%s %s\n# TYPE bytemill_serve_%s %s\nbytemill_serve_%s %" PRIu64 "\n",
	              name, help, name, type, name, value);
}

void serve_get_metrics(struct serve_request *r)
{
	static const struct {
		const char *name, *help;
	} rows[SERVE_COUNTERS] = {
		[SERVE_COUNT_REQUESTS] = {"requests_total", "Requests that were begun."},
		[SERVE_COUNT_2XX] = {"replies_2xx_total", "Replies of success."},
		[SERVE_COUNT_3XX] = {"replies_3xx_total", "Replies that a condition was met."},
		[SERVE_COUNT_4XX] = {"replies_4xx_total", "Replies that the request was at fault."},
		[SERVE_COUNT_5XX] = {"replies_5xx_total", "Replies that the service was at fault."},
		[SERVE_COUNT_UPLOADS] = {"uploads_total", "Files that were taken in."},
		[SERVE_COUNT_UPLOAD_BYTES] = {"upload_bytes_total",
	                                      "Bytes that came in uploads, also of those that failed."},
		[SERVE_COUNT_DOWNLOADS] = {"downloads_total", "Files, or parts of them, that were given out."},
		[SERVE_COUNT_CUT] = {"connections_cut_total", "Connections of clients that were silent or too slow."},
	};
	struct bm_serve *s = r->srv;
	struct bm_buf b = {0};
	struct MHD_Response *response;
	size_t len;
	char *text;

	for (size_t i = 0; i < SERVE_COUNTERS; i++)
		put_metric(&b, rows[i].name, "counter", rows[i].help, atomic_load(&s->counters[i]));
	pthread_mutex_lock(&s->clients_lock);
	put_metric(&b, "connections", "gauge", "Connections that are open.", s->client_count);
	pthread_mutex_unlock(&s->clients_lock);
	if (s->runs != NULL) {
		unsigned counts[SERVE_RUN_STATES];

		serve_runs_count(s->runs, counts);
		bm_buf_puts(
			&b,
			"# HELP bytemill_serve_runs Runs that are known, by state.\n# TYPE bytemill_serve_runs gauge\n");
		for (int i = 0; i < SERVE_RUN_STATES; i++)
			bm_buf_printf(&b, "bytemill_serve_runs{state=\"%s\"} %u\n", serve_run_state_names[i],
			              counts[i]);
	}
	put_metric(&b, "upload_memory_bytes", "gauge", "Of the budget, what uploads have in use.",
	           atomic_load(&s->budget_used));
	put_metric(&b, "uptime_seconds", "gauge", "Since the service was started.",
	           (uint64_t)(serve_now_ms() - s->start_ms) / 1000);
	len = b.len;
	text = bm_buf_take(&b);
	response = text != NULL ? MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) : NULL;
	if (response == NULL) {
		serve_problem(r, 503, "out of memory");
		return;
	}
	serve_add_header(r, "Content-Type", "text/plain; version=0.0.4");
	serve_reply(r, 200, response);
}

/* ---- OpenAPI ---- */

static void put_lower(struct bm_buf *b, const char *text)
{
	for (; *text != '\0'; text++)
		bm_buf_putc(b, *text >= 'A' && *text <= 'Z' ? (char)(*text + 32) : *text);
}

static void put_parameter(struct bm_buf *b, const char *in, const char *name, size_t len, bool *any)
{
	bm_buf_printf(b, "%s{\"name\":\"%.*s\",\"in\":\"%s\",\"required\":%s,\"schema\":{\"type\":\"string\"}}",
	              *any ? "," : "", (int)len, name, in, strcmp(in, "path") == 0 ? "true" : "false");
	*any = true;
}

static void put_operation(struct bm_buf *b, const struct serve_route *t)
{
	const char *brace = strchr(t->pattern, '{');
	bool any = false;
	unsigned status;

	bm_buf_putc(b, '"');
	put_lower(b, t->method);
	bm_buf_puts(b, "\":{\"summary\":");
	bm_json_put_string(b, t->summary, strlen(t->summary));
	bm_buf_puts(b, ",\"parameters\":[");
	if (brace != NULL)
		put_parameter(b, "path", brace + 1, strcspn(brace + 1, "}"), &any);
	for (const char *p = t->query; p != NULL && *p != '\0';) {
		size_t len = strcspn(p, " ");

		put_parameter(b, "query", p, len, &any);
		p += len + strspn(p + len, " ");
	}
	bm_buf_printf(b, "],%s\"responses\":{", t->is_open ? "\"security\":[]," : "");
	for (const char *p = t->statuses; *p != '\0'; p += strspn(p, "0123456789"), p += *p == ' ') {
		status = (unsigned)(p[0] - '0') * 100 + (unsigned)(p[1] - '0') * 10 + (unsigned)(p[2] - '0');
		bm_buf_printf(b, "\"%u\":{\"description\":\"%s\"},", status, serve_status_text(status));
	}
	bm_buf_puts(b, "\"default\":{\"description\":\"A problem\",\"content\":{\"application/problem+json\":"
	               "{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}");
}

static void put_openapi(struct bm_buf *b)
{
	const char *last = "";

	bm_buf_printf(b, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Bytemill\",\"version\":\"%s\"},\"paths\":{",
	              bm_version());
	/* The rows of one path stand together. */
	for (size_t i = 0; i < serve_route_count; i++) {
		const struct serve_route *t = &serve_routes[i];

		if (strcmp(last, t->pattern) != 0)
			bm_buf_printf(b, "%s\"%s\":{", i > 0 ? "}," : "", t->pattern);
		else
			bm_buf_putc(b, ',');
		last = t->pattern;
		put_operation(b, t);
	}
	bm_buf_puts(
		b, "}},\"security\":[{\"token\":[]}],\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\","
		   "\"scheme\":\"bearer\"}},\"schemas\":{\"Problem\":{\"type\":\"object\",\"description\":\"RFC 9457\","
		   "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
		   "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"}}}}}}\n");
}

void serve_get_openapi(struct serve_request *r)
{
	struct bm_buf b = {0};

	put_openapi(&b);
	serve_reply_json(r, 200, &b);
}

enum bm_status bm_serve_print_openapi(FILE *out, struct bm_error *err)
{
	struct bm_buf b = {0};
	enum bm_status status = serve_mhd_load(err); /* it knows the names of the statuses */

	if (status != BM_OK)
		return status;
	put_openapi(&b);
	if (b.oom)
		status = bm_error_set_nomem(err);
	else
		fputs(b.data, out);
	bm_buf_fini(&b);
	return status;
}
