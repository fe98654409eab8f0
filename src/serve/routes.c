/*
 * routes.c - the table of routes: what there is, who handles it, and what the OpenAPI document says of it.
 */
#include <string.h>

#include "serve_internal.h"
#include "tus.h"

const struct serve_route serve_routes[] = {
	{
		.method = "GET",
		.pattern = "/",
		.is_open = true,
		.end = serve_get_page,
		.summary = "The page: this service for people",
		.statuses = "200 304",
	},
	{
		.method = "GET",
		.pattern = "/page/{file}",
		.is_open = true,
		.end = serve_get_page_file,
		.summary = "The page's style sheet, scripts and icon",
		.statuses = "200 304 404",
	},
	{
		.method = "GET",
		.pattern = "/healthz",
		.is_open = true,
		.end = serve_get_health,
		.summary = "Is the service up? 503 while it is being stopped",
		.statuses = "200 503",
	},
	{
		.method = "GET",
		.pattern = "/metrics",
		.end = serve_get_metrics,
		.summary = "Counters, in the text format of Prometheus",
		.statuses = "200",
	},
	{
		.method = "GET",
		.pattern = "/openapi.json",
		.is_open = true,
		.end = serve_get_openapi,
		.summary = "This document",
		.statuses = "200",
	},
	{
		.method = "POST",
		.pattern = "/v1/session",
		.has_body = true,
		.end = serve_post_session,
		.summary =
			"A cookie that for an hour stands for the token where files are fetched: for links and players",
		.statuses = "204",
	},
	{
		.method = "DELETE",
		.pattern = "/v1/session",
		.end = serve_delete_session,
		.summary = "The browser forgets the cookie",
		.statuses = "204",
	},
	{
		.method = "GET",
		.pattern = "/v1/files/{path}",
		.takes_session = true,
		.takes_dirs = true,
		.end = serve_get_file,
		.summary = "A file of the outbox, or ranges of it; with / at its end: what a directory holds",
		.statuses = "200 206 304 404 412 414 416 422 503",
		.query = "decode after limit",
	},
	{
		.method = "HEAD",
		.pattern = "/v1/files/{path}",
		.takes_session = true,
		.takes_dirs = true,
		.end = serve_get_file,
		.summary = "What GET would say of the file",
		.statuses = "200 206 304 404 412 414 416 422 503",
		.query = "decode",
	},
	{
		.method = "PUT",
		.pattern = "/v1/files/{path}",
		.has_body = true,
		.begin = serve_upload_begin,
		.data = serve_upload_data,
		.end = serve_upload_end,
		.summary = "A file for the inbox, through a job as it arrives",
		.statuses = "201 404 409 412 413 414 415 422 501 503 507",
		.query = "job",
	},
	{
		.method = "POST",
		.pattern = "/v1/files/{path}",
		.has_body = true,
		.begin = serve_upload_begin,
		.data = serve_upload_data,
		.end = serve_upload_end,
		.summary = "As PUT",
		.statuses = "201 404 409 412 413 414 415 422 501 503 507",
		.query = "job",
	},
	{
		.method = "POST",
		.pattern = "/v1/files",
		.has_body = true,
		.begin = serve_form_begin,
		.data = serve_form_data,
		.end = serve_form_end,
		.summary = "The files of an HTML form (multipart/form-data), for the inbox",
		.statuses = "201 404 409 412 413 415 422 503 507",
		.query = "dir job",
	},
	{
		.method = "OPTIONS",
		.pattern = "/v1/tus",
		.end = serve_tus_options,
		.summary = "What the service knows of tus (resumable uploads)",
		.statuses = "204",
	},
	{
		.method = "POST",
		.pattern = "/v1/tus",
		.has_body = true,
		.begin = serve_tus_create,
		.data = serve_tus_data,
		.end = serve_tus_end,
		.summary = "A new resumable upload; filename and job are in Upload-Metadata",
		.statuses = "201 404 409 412 413 415 422 501 503 507",
	},
	{
		.method = "HEAD",
		.pattern = "/v1/tus/{id}",
		.end = serve_tus_head,
		.summary = "How far a resumable upload is",
		.statuses = "200 404 410 412",
	},
	{
		.method = "PATCH",
		.pattern = "/v1/tus/{id}",
		.has_body = true,
		.begin = serve_tus_patch,
		.data = serve_tus_data,
		.end = serve_tus_end,
		.summary =
			"Goes on with a resumable upload; the last one is answered when the file went through its job",
		.statuses = "204 404 409 410 412 413 415 422 423 460 503 507",
	},
	{
		.method = "DELETE",
		.pattern = "/v1/tus/{id}",
		.end = serve_tus_delete,
		.summary = "Gives a resumable upload up",
		.statuses = "204 404 410 412 423",
	},
	{
		.method = "GET",
		.pattern = "/v1/service",
		.end = serve_get_service,
		.summary = "What this service was started with",
		.statuses = "200",
	},
	{
		.method = "GET",
		.pattern = "/v1/catalog",
		.end = serve_get_catalog,
		.summary =
			"What is on record of audited directories: when files were last verified, and which are not well",
		.statuses = "200 404 503",
	},
	{
		.method = "GET",
		.pattern = "/v1/jobs",
		.end = serve_get_jobs,
		.summary = "The names of the jobs that can be run",
		.statuses = "200 404",
	},
	{
		.method = "POST",
		.pattern = "/v1/jobs",
		.has_body = true,
		.end = serve_check_job,
		.summary =
			"What is wrong with the job file that is the body? set=NAME=VALUE, repeatable, is for its ${NAME}",
		.statuses = "200 413 422",
		.query = "set",
	},
	{
		.method = "GET",
		.pattern = "/v1/jobs/{name}",
		.end = serve_get_job,
		.summary = "A job file",
		.statuses = "200 404",
	},
	{
		.method = "GET",
		.pattern = "/v1/runs",
		.end = serve_get_runs,
		.summary =
			"The runs that are queued, under way and over (of these the last `limit`); the last one first",
		.statuses = "200 404",
		.query = "limit",
	},
	{
		.method = "POST",
		.pattern = "/v1/runs",
		.has_body = true,
		.end = serve_post_run,
		.summary =
			"Queues a run: {\"job\": NAME} or {\"file\": {...} or its text}, both with \"set\": {NAME: VALUE}, or {\"resume\": ID}",
		.statuses = "202 404 409 413 422 503",
	},
	{
		.method = "GET",
		.pattern = "/v1/runs/{id}",
		.end = serve_get_run,
		.summary = "A run: its state and how far it is",
		.statuses = "200 404",
	},
	{
		.method = "DELETE",
		.pattern = "/v1/runs/{id}",
		.end = serve_delete_run,
		.summary = "Cancels a run",
		.statuses = "202 404 409",
	},
	{
		.method = "GET",
		.pattern = "/v1/runs/{id}/report",
		.end = serve_get_report,
		.summary = "The report of a run, JSON Lines",
		.statuses = "200 404",
	},
	{
		.method = "GET",
		.pattern = "/v1/runs/{id}/events",
		.end = serve_get_events,
		.summary = "Server-Sent Events: run at each change, end when it is over",
		.statuses = "200 404",
	},
};
const size_t serve_route_count = sizeof(serve_routes) / sizeof(serve_routes[0]);

/* Does path fit the pattern? *tail is the part that its {name} stands for. */
static bool fits(const char *pattern, const char *path, const char **tail, size_t *tail_len)
{
	const char *brace = strchr(pattern, '{');
	size_t head = brace != NULL ? (size_t)(brace - pattern) : strlen(pattern);
	const char *rest;

	*tail = NULL;
	*tail_len = 0;
	if (strncmp(pattern, path, head) != 0)
		return false;
	if (brace == NULL)
		return path[head] == '\0';
	*tail = path + head;
	if (strcmp(brace, "{path}") == 0) {
		*tail_len = strlen(*tail);
		return true;
	}
	rest = strchr(brace, '}') + 1;
	*tail_len = strcspn(*tail, "/");
	return *tail_len > 0 && strcmp(*tail + *tail_len, rest) == 0;
}

enum serve_find serve_route_find(const char *method, const char *path, const struct serve_route **out,
                                 const char **tail, size_t *tail_len, struct bm_buf *allow)
{
	enum serve_find found = SERVE_NO_PATH;

	*out = NULL;
	for (size_t i = 0; i < serve_route_count; i++) {
		if (!fits(serve_routes[i].pattern, path, tail, tail_len))
			continue;
		if (strcmp(serve_routes[i].method, method) == 0) {
			*out = &serve_routes[i];
			return SERVE_FOUND;
		}
		found = SERVE_NO_METHOD;
		bm_buf_printf(allow, "%s%s", allow->len > 0 ? ", " : "", serve_routes[i].method);
	}
	return found;
}
