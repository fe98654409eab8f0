/*
 * jobs_load.c - job files for the service. A fault in one is told as the command line tells it, with its place, JSON
 * Pointer and suggestion, in a list "errors" of the problem.
 */
#include "jobs_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "http_text.h"

static void on_fault(void *ctx, const struct bm_diagnostic *d)
{
	struct serve_jobs *j = ctx;
	struct bm_buf *b = &j->faults;
	const char *slash = d->file != NULL ? strrchr(d->file, '/') : NULL;
	const char *file = slash != NULL ? slash + 1 : d->file;

	if (d->is_warning)
		return;
	bm_buf_puts(b, j->fault_count++ > 0 ? ",{" : "{");
	if (file != NULL && !j->no_places) {
		bm_json_put_name(b, "file", file, strlen(file));
		bm_buf_putc(b, ',');
	}
	if (d->line > 0 && !j->no_places)
		bm_buf_printf(b, "\"line\":%u,\"column\":%u,", d->line, d->column);
	bm_buf_puts(b, "\"pointer\":");
	bm_json_put_string(b, d->pointer != NULL ? d->pointer : "", d->pointer != NULL ? strlen(d->pointer) : 0);
	bm_buf_puts(b, ",\"message\":");
	bm_json_put_string(b, d->message, strlen(d->message));
	if (d->suggestion != NULL) {
		bm_buf_puts(b, ",\"suggestion\":");
		bm_json_put_string(b, d->suggestion, strlen(d->suggestion));
	}
	bm_buf_putc(b, '}');
}

static void reply_faults(struct serve_request *r, struct serve_jobs *j, const struct bm_error *err)
{
	struct bm_buf more = {0};

	if (j->fault_count == 0) {
		serve_problem_with(r, err->status == BM_ERR_USAGE ? 422 : serve_status_of(err), NULL, err->text);
		return;
	}
	bm_buf_puts(&more, ",\"errors\":[");
	bm_buf_puts(&more, j->faults.oom ? "" : j->faults.data);
	bm_buf_putc(&more, ']');
	serve_problem_with(r, 422, more.oom ? NULL : more.data, "the job file has faults; nothing was done");
	bm_buf_fini(&more);
}

void serve_jobs_fini(struct serve_jobs *j)
{
	bm_jobs_destroy(j->jobs);
	for (size_t i = 0; i < j->set_count; i++)
		free(j->sets[i]);
	free(j->sets);
	bm_buf_fini(&j->faults);
	memset(j, 0, sizeof(*j));
}

bool serve_jobs_load(struct serve_request *r, const char *name, char **sets, size_t set_count, struct serve_jobs *out)
{
	struct bm_jobs_options opt = {
		.sets = (const char *const *)sets, .set_count = set_count, .on_diagnostic = on_fault, .ctx = out};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf path = {0};
	bool good = false;

	memset(out, 0, sizeof(*out));
	out->sets = sets;
	out->set_count = set_count;
	bm_buf_printf(&path, "%s/%s.json", r->srv->opt.jobs != NULL ? r->srv->opt.jobs : "", name);
	if (path.oom) {
		serve_problem(r, 503, "out of memory");
	} else if (r->srv->opt.jobs == NULL || strchr(name, '/') != NULL ||
	           http_path_check(name, strlen(name)) != HTTP_PATH_GOOD || access(path.data, F_OK) != 0) {
		serve_problem(r, 404, "there is no job of this name here");
	} else {
		good = bm_jobs_create(&opt, &out->jobs, &err) == BM_OK &&
		       bm_jobs_add_file(out->jobs, path.data, &err) == BM_OK && bm_jobs_check(out->jobs, &err) == BM_OK;
		if (!good)
			reply_faults(r, out, &err);
	}
	bm_buf_fini(&path);
	if (!good)
		serve_jobs_fini(out);
	return good;
}

bool serve_jobs_submit(struct serve_request *r, const char *text, bool as_sent, char **sets, size_t set_count,
                       struct serve_jobs *out)
{
	struct bm_jobs_options opt = {.sets = (const char *const *)sets,
	                              .set_count = set_count,
	                              .no_environment = true,
	                              .on_diagnostic = on_fault,
	                              .ctx = out};
	struct bm_error err = BM_ERROR_INIT;
	char *base = r->srv->opt.submit_root_count > 0 ? realpath(r->srv->opt.submit_roots[0], NULL) : NULL;
	bool good = false;

	memset(out, 0, sizeof(*out));
	out->sets = sets;
	out->set_count = set_count;
	out->no_places = !as_sent;
	if (base == NULL) {
		serve_problem(r, 403,
		              "this service runs only the jobs that it has: it was started without --allow-submit");
	} else {
		good = bm_jobs_create(&opt, &out->jobs, &err) == BM_OK &&
		       bm_jobs_add_text(out->jobs, "submitted", text, strlen(text), base, &err) == BM_OK &&
		       bm_jobs_check(out->jobs, &err) == BM_OK && serve_jobs_confine(r->srv, out);
		if (!good)
			reply_faults(r, out, &err);
	}
	free(base);
	if (!good)
		serve_jobs_fini(out);
	return good;
}

bool serve_jobs_check(struct serve_request *r, char **sets, size_t set_count, struct serve_jobs *out)
{
	struct bm_jobs_options opt = {.sets = (const char *const *)sets,
	                              .set_count = set_count,
	                              .no_environment = true,
	                              .on_diagnostic = on_fault,
	                              .ctx = out};
	struct bm_error err = BM_ERROR_INIT;
	bool good;

	memset(out, 0, sizeof(*out));
	out->sets = sets;
	out->set_count = set_count;
	good = bm_jobs_create(&opt, &out->jobs, &err) == BM_OK &&
	       bm_jobs_add_text(out->jobs, "job.json", r->body.len > 0 ? r->body.data : "", r->body.len,
	                        r->srv->opt.jobs, &err) == BM_OK &&
	       bm_jobs_check(out->jobs, &err) == BM_OK;
	if (!good) {
		reply_faults(r, out, &err);
		serve_jobs_fini(out);
	}
	return good;
}
