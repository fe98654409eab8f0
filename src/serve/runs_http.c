/*
 * runs_http.c - /v1/runs: starting runs, looking at them, cancelling them, watching them (Server-Sent Events).
 *
 * What a POST says is one JSON object: {"job": NAME, "set": {...}}, or {"file": {...}, "set": {...}} with a whole job
 * file (submit.c) or, so that faults have lines, its text; or {"resume": ID} for what an earlier POST said, where its run
 * is over.
 *
 * An event stream is a response whose bytes are made when there is news; in between its connection is suspended. Now
 * and then a comment is sent, so that a client that is gone is noticed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_text.h"
#include "http_text.h"
#include "runs.h"

#define SETS_MAX 1000

/* ---- POST ---- */

struct faults {
	struct bm_buf text; /* objects, with commas between them */
};

static void on_fault(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	struct faults *f = ctx;

	bm_buf_printf(&f->text, "%s{\"line\":%u,\"column\":%u,\"pointer\":", f->text.len > 0 ? "," : "", at.line,
	              at.column);
	bm_json_put_string(&f->text, pointer, strlen(pointer));
	bm_buf_puts(&f->text, ",\"message\":");
	bm_json_put_string(&f->text, text, strlen(text));
	bm_buf_putc(&f->text, '}');
}

/* The body as an object; NULL: replied. */
static json_t *parse_body(struct serve_request *r)
{
	struct faults f = {{0}};
	json_t *o = bm_json_parse(r->body.data != NULL ? r->body.data : "", r->body.len, on_fault, &f);
	struct bm_buf more = {0};

	if (o != NULL && !json_is_object(o)) {
		json_decref(o);
		o = NULL;
		on_fault(&f, (struct bm_json_place){1, 1}, "", "is no object");
	}
	if (o == NULL) {
		bm_buf_printf(&more, ",\"errors\":[%s]", f.text.oom || f.text.data == NULL ? "" : f.text.data);
		serve_problem_with(r, 422, more.oom ? NULL : more.data,
		                   "the body is not the JSON object that asks for a run");
	}
	bm_buf_fini(&more);
	bm_buf_fini(&f.text);
	return o;
}

static void refuse(struct serve_request *r, const char *pointer, const char *text, const char *suggestion)
{
	struct bm_buf more = {0};

	bm_buf_puts(&more, ",\"errors\":[{\"pointer\":");
	bm_json_put_string(&more, pointer, strlen(pointer));
	bm_buf_puts(&more, ",\"message\":");
	bm_json_put_string(&more, text, strlen(text));
	if (suggestion != NULL) {
		bm_buf_puts(&more, ",\"suggestion\":");
		bm_json_put_string(&more, suggestion, strlen(suggestion));
	}
	bm_buf_puts(&more, "}]");
	serve_problem_with(r, 422, more.oom ? NULL : more.data, text);
	bm_buf_fini(&more);
}

/* {"A": "b"} as "A=b" strings. False: replied. */
static bool take_sets(struct serve_request *r, json_t *set, char ***sets, size_t *count)
{
	const char *name;
	json_t *value;

	*sets = NULL;
	*count = 0;
	if (set == NULL)
		return true;
	if (!json_is_object(set) || json_object_size(set) > SETS_MAX) {
		refuse(r, "/set", "set is an object of names and strings, of 1000 at most", NULL);
		return false;
	}
	*sets = bm_calloc_array(json_object_size(set) + 1, sizeof(char *));
	json_object_foreach(set, name, value)
	{
		struct bm_buf b = {0};

		if (*sets == NULL || !json_is_string(value) || strlen(name) == 0 || strchr(name, '=') != NULL) {
			struct bm_buf at = {0};

			bm_buf_puts(&at, "/set");
			bm_json_pointer_put(&at, name);
			refuse(r, at.oom ? "/set" : at.data, "what ${NAME} stands for is a string", NULL);
			bm_buf_fini(&at);
			goto fail;
		}
		bm_buf_printf(&b, "%s=%s", name, json_string_value(value));
		(*sets)[*count] = bm_buf_take(&b);
		if ((*sets)[*count] == NULL) {
			serve_problem(r, 503, "out of memory");
			goto fail;
		}
		(*count)++;
	}
	return true;
fail:
	for (size_t i = 0; *sets != NULL && i < *count; i++)
		free((*sets)[i]);
	free(*sets);
	return false;
}

/* What an earlier run was asked for with; NULL: replied. */
static json_t *request_of(struct serve_request *r, json_t *id)
{
	struct serve_run *run = json_is_string(id) ? serve_runs_find(r->srv->runs, json_string_value(id)) : NULL;
	json_t *o = NULL;

	if (run == NULL) {
		refuse(r, "/resume", "there is no run of this id", NULL);
		return NULL;
	}
	switch (serve_run_state(run)) {
	case SERVE_RUN_QUEUED:
	case SERVE_RUN_RUNNING:
		serve_problem(r, 409, "this run is not over");
		break;
	default:
		o = bm_json_load(serve_run_request(run), strlen(serve_run_request(run)));
		if (o == NULL)
			serve_problem(r, 500, "the record of this run is damaged");
	}
	serve_run_unref(run);
	return o;
}

static bool check_keys(struct serve_request *r, json_t *o)
{
	static const char *const keys[] = {"job", "file", "set", "resume", NULL};
	const char *key;
	json_t *value;

	json_object_foreach(o, key, value)
	{
		bool known = false;

		for (size_t i = 0; keys[i] != NULL; i++)
			known = known || strcmp(keys[i], key) == 0;
		if (!known) {
			struct bm_buf at = {0};

			bm_json_pointer_put(&at, key);
			refuse(r, at.oom ? "" : at.data, "unknown key; allowed: job, file, set, resume",
			       bm_suggest(key, keys));
			bm_buf_fini(&at);
			return false;
		}
	}
	return true;
}

static void queue_run(struct serve_request *r, json_t *o)
{
	const char *name = json_string_value(json_object_get(o, "job"));
	json_t *file = json_object_get(o, "file");
	bool good;
	struct serve_jobs jobs;
	struct serve_run *run;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf b = {0};
	char **sets;
	size_t count;
	char *text;

	if ((name == NULL) == (file == NULL)) {
		refuse(r, name == NULL ? "/job" : "/file",
		       "one of both has to be there: job, the name of a job, or file, a job file", NULL);
		return;
	}
	if (!take_sets(r, json_object_get(o, "set"), &sets, &count))
		return;
	if (json_is_string(file))
		text = strdup(json_string_value(file));
	else
		text = file != NULL ? json_dumps(file, JSON_COMPACT) : NULL;
	good = file != NULL ? serve_jobs_submit(r, text != NULL ? text : "", json_is_string(file), sets, count, &jobs)
	                    : serve_jobs_load(r, name, sets, count, &jobs);
	free(text);
	if (!good)
		return;
	if (name == NULL)
		name = "(submitted)";
	text = json_dumps(o, JSON_COMPACT);
	if (text == NULL || serve_runs_add(r->srv->runs, name, text, &jobs, &run, &err) != BM_OK) {
		if (text == NULL)
			serve_jobs_fini(&jobs);
		serve_problem(r, err.status == BM_ERR_SYSTEM ? serve_status_of(&err) : 503, "%s",
		              err.text[0] != '\0' ? err.text : "out of memory");
	} else {
		bm_buf_printf(&b, "/v1/runs/%s", serve_run_id(run));
		if (!b.oom)
			serve_add_header(r, "Location", b.data);
		bm_buf_reset(&b);
		serve_run_put(run, &b);
		bm_buf_putc(&b, '\n');
		serve_reply_json(r, 202, &b);
		serve_run_unref(run);
	}
	free(text);
	bm_buf_fini(&b);
}

static bool has_runs(struct serve_request *r)
{
	if (r->srv->runs != NULL)
		return true;
	serve_problem(r, 404, "this service runs no jobs: it was started without --jobs and --allow-submit");
	return false;
}

void serve_post_run(struct serve_request *r)
{
	json_t *o, *earlier;

	if (!has_runs(r) || (o = parse_body(r)) == NULL)
		return;
	if (check_keys(r, o)) {
		if (json_object_get(o, "resume") == NULL) {
			queue_run(r, o);
		} else if (json_object_size(o) > 1) {
			refuse(r, "/resume", "a run that is resumed has the job and the values that it had", NULL);
		} else if ((earlier = request_of(r, json_object_get(o, "resume"))) != NULL) {
			queue_run(r, earlier);
			json_decref(earlier);
		}
	}
	json_decref(o);
}

/* ---- GET, DELETE ---- */

void serve_get_runs(struct serve_request *r)
{
	struct bm_buf b = {0};
	uint64_t limit = SIZE_MAX;

	if (!has_runs(r))
		return;
	if (serve_query(r, "limit", &b) && (b.len == 0 || !http_number(b.data, &limit)))
		serve_problem(r, 400, "limit is a number of runs");
	bm_buf_reset(&b);
	if (r->is_replied) {
		bm_buf_fini(&b);
		return;
	}
	bm_buf_puts(&b, "{\"runs\":");
	serve_runs_put(r->srv->runs, limit, &b);
	bm_buf_printf(&b, ",\"count\":%u}\n", serve_runs_total(r->srv->runs));
	serve_reply_json(r, 200, &b);
}

/* The run that the path names; NULL: replied. */
static struct serve_run *find(struct serve_request *r)
{
	struct serve_run *run = NULL;

	if (!has_runs(r))
		return NULL;
	run = serve_runs_find(r->srv->runs, r->tail.data);
	if (run == NULL)
		serve_problem(r, 404, "there is no such run");
	return run;
}

static void reply_run(struct serve_request *r, struct serve_run *run, unsigned status)
{
	struct bm_buf b = {0};

	serve_run_put(run, &b);
	bm_buf_putc(&b, '\n');
	serve_reply_json(r, status, &b);
}

void serve_get_run(struct serve_request *r)
{
	struct serve_run *run = find(r);

	if (run == NULL)
		return;
	reply_run(r, run, 200);
	serve_run_unref(run);
}

void serve_delete_run(struct serve_request *r)
{
	struct serve_run *run = find(r);

	if (run == NULL)
		return;
	if (serve_run_cancel(run))
		reply_run(r, run, 202);
	else
		serve_problem(r, 409, "this run is over");
	serve_run_unref(run);
}

void serve_get_report(struct serve_request *r)
{
	struct serve_run *run = find(r);
	struct MHD_Response *response = NULL;
	struct stat st;
	int fd;

	if (run == NULL)
		return;
	fd = serve_run_open_report(run);
	if (fd < 0 && errno == ENOENT) {
		serve_problem(r, 404, "this run has no report: it was not begun");
	} else if (fd < 0 || fstat(fd, &st) != 0) {
		serve_problem(r, 500, "cannot open the report: %s", strerror(errno));
	} else {
		response = MHD_create_response_from_fd64((uint64_t)st.st_size, fd); /* as far as it is written */
		if (response == NULL)
			serve_problem(r, 503, "out of memory");
	}
	if (response != NULL) {
		r->is_long = (uint64_t)st.st_size > SERVE_LONG_BYTES;
		serve_add_header(r, "Content-Type", "application/jsonl");
		serve_add_header(r, "Cache-Control", "no-store");
		serve_reply(r, 200, response);
	} else if (fd >= 0) {
		close(fd);
	}
	serve_run_unref(run);
}

/* ---- events ---- */

struct events {
	struct serve_watch watch; /* first */
	struct MHD_Connection *conn;
	struct bm_buf text; /* not all of it was sent */
	size_t sent;
	bool is_over;
};

static void wake(struct serve_watch *w)
{
	MHD_resume_connection(((struct events *)(void *)w)->conn);
}

static void doze(struct serve_watch *w)
{
	MHD_suspend_connection(((struct events *)(void *)w)->conn);
}

static void put_event(struct events *e, const char *name)
{
	bm_buf_printf(&e->text, "event: %s\ndata: ", name);
	serve_run_put(e->watch.run, &e->text);
	bm_buf_puts(&e->text, "\n\n");
}

static ssize_t events_read(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct events *e = arg;
	size_t n;

	(void)pos;
	if (e->sent == e->text.len) {
		bm_buf_reset(&e->text);
		e->sent = 0;
		if (e->is_over)
			return MHD_CONTENT_READER_END_OF_STREAM;
		switch (serve_watch_next(&e->watch, doze)) {
		case SERVE_WATCH_CHANGED:
			put_event(e, "run");
			break;
		case SERVE_WATCH_PING:
			bm_buf_puts(&e->text, ": still here\n\n");
			break;
		case SERVE_WATCH_OVER:
			e->is_over = true;
			put_event(e, "end");
			break;
		case SERVE_WATCH_NOTHING:
			return 0;
		}
		if (e->text.oom)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	n = e->text.len - e->sent < max ? e->text.len - e->sent : max;
	memcpy(buf, e->text.data + e->sent, n);
	e->sent += n;
	return (ssize_t)n;
}

static void events_free(void *arg)
{
	struct events *e = arg;

	serve_watch_end(&e->watch);
	bm_buf_fini(&e->text);
	free(e);
}

void serve_get_events(struct serve_request *r)
{
	struct serve_run *run = find(r);
	struct events *e;
	struct MHD_Response *response;

	if (run == NULL)
		return;
	e = calloc(1, sizeof(*e));
	if (e == NULL) {
		serve_problem(r, 503, "out of memory");
		serve_run_unref(run);
		return;
	}
	e->conn = r->conn;
	e->watch.wake = wake;
	serve_watch_begin(&e->watch, run);
	serve_run_unref(run);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, events_read, e, events_free);
	if (response == NULL) {
		events_free(e);
		serve_problem(r, 503, "out of memory");
		return;
	}
	serve_add_header(r, "Content-Type", "text/event-stream");
	serve_add_header(r, "Cache-Control", "no-store");
	serve_reply(r, 200, response);
}
