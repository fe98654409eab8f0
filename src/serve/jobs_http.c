/*
 * jobs_http.c - /v1/jobs: which jobs there are, the text of one, and what is wrong with a text.
 *
 * POST /v1/jobs looks at a job file that is sent as the body, as bytemill validate does before it looks at the disk: keys,
 * types, ranges, combinations. It opens none of the files that the job names, and knows nothing of the service's environment,
 * so it tells nobody more than the job file says. Nothing is kept, and nothing is run.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_job.h"
#include "bm_text.h"
#include "http_text.h"
#include "jobs_load.h"

#define SUFFIX ".json"
#define JOBS_MAX 10000
#define SETS_MAX 1000

static bool has_jobs(struct serve_request *r)
{
	if (r->srv->opt.jobs != NULL)
		return true;
	serve_problem(r, 404, "this service has no jobs of its own: it was started without --jobs");
	return false;
}

/* The length of NAME in NAME.json, or 0. */
static size_t name_len(const char *file)
{
	size_t len = strlen(file), suffix = strlen(SUFFIX);

	if (len <= suffix || strcmp(file + len - suffix, SUFFIX) != 0 || file[0] == '.' || !bm_utf8_valid(file, len))
		return 0;
	return len - suffix;
}

static int is_job(const struct dirent *e)
{
	return name_len(e->d_name) > 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

void serve_get_jobs(struct serve_request *r)
{
	struct dirent **list = NULL;
	struct bm_buf b = {0};
	int n;

	n = r->srv->opt.jobs != NULL ? scandir(r->srv->opt.jobs, &list, is_job, by_bytes) : 0;
	if (n < 0) {
		serve_problem(r, 500, "cannot read the directory of jobs: %s", strerror(errno));
		return;
	}
	bm_buf_puts(&b, "{\"jobs\":[");
	for (int i = 0; i < n; i++) {
		if (i < JOBS_MAX) {
			bm_buf_puts(&b, i > 0 ? "," : "");
			bm_json_put_string(&b, list[i]->d_name, name_len(list[i]->d_name));
		}
		free(list[i]);
	}
	free(list);
	bm_buf_puts(&b, "]}\n");
	serve_reply_json(r, 200, &b);
}

void serve_get_job(struct serve_request *r)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf path = {0}, b = {0};
	char *text = NULL;
	size_t len = 0;

	if (!has_jobs(r))
		return;
	bm_buf_printf(&path, "%s/%s" SUFFIX, r->srv->opt.jobs, r->tail.data);
	if (path.oom)
		serve_problem(r, 503, "out of memory");
	else if (strchr(r->tail.data, '/') != NULL || r->tail.data[0] == '.')
		serve_problem(r, 404, "there is no job of this name here");
	else if (bm_json_read_file(path.data, &text, &len, &err) != BM_OK)
		serve_problem(r, err.sys_errno == ENOENT ? 404 : serve_status_of(&err), "%s",
		              err.sys_errno == ENOENT ? "there is no job of this name here" : err.text);
	else
		bm_buf_put(&b, text, len);
	if (!r->is_replied)
		serve_reply_json(r, 200, &b);
	free(text);
	bm_buf_fini(&path);
}

struct sets {
	char **items;
	size_t count;
	bool bad;
};

static enum MHD_Result take_set(void *ctx, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct sets *s = ctx;
	struct bm_buf b = {0};

	(void)kind;
	if (strcmp(key, "set") != 0)
		return MHD_YES;
	s->bad = s->bad || value == NULL || s->count == SETS_MAX || !http_query_decode(value, strlen(value), &b) ||
	         b.oom || b.len == 0 || strchr(b.data + 1, '=') == NULL;
	if (!s->bad)
		s->items[s->count] = bm_buf_take(&b);
	s->bad = s->bad || s->items[s->count++] == NULL;
	bm_buf_fini(&b);
	return MHD_YES;
}

void serve_check_job(struct serve_request *r)
{
	struct sets s = {.items = bm_calloc_array(SETS_MAX + 1, sizeof(char *))};
	struct serve_jobs jobs;
	struct bm_buf b = {0};
	bool loads;

	if (s.items == NULL) {
		serve_problem(r, 503, "out of memory");
		return;
	}
	(void)MHD_get_connection_values(r->conn, MHD_GET_ARGUMENT_KIND, take_set, &s);
	if (s.bad) {
		for (size_t i = 0; i < SETS_MAX; i++)
			free(s.items[i]);
		free(s.items);
		serve_problem(r, 400, "the parameter set is NAME=VALUE, and there are %d at most", SETS_MAX);
		return;
	}
	loads = serve_jobs_check(r, s.items, s.count, &jobs); /* takes the sets */
	if (!loads)
		return;
	bm_buf_puts(&b, "{\"jobs\":[");
	for (size_t i = 0; i < jobs.jobs->count; i++) {
		const char *name = jobs.jobs->jobs[i]->p.name;

		bm_buf_puts(&b, i > 0 ? "," : "");
		bm_json_put_string(&b, name, strlen(name));
	}
	bm_buf_puts(&b, "]}\n");
	serve_jobs_fini(&jobs);
	serve_reply_json(r, 200, &b);
}
