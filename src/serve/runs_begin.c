/*
 * runs_begin.c - the queue's thread, and a run from its beginning to its end.
 *
 * A thread of its own begins runs, as many at once as the service was given, in the order in which they came: planning
 * a run can take its time, which libmicrohttpd's threads do not have. The reaper sees them off. A run of a job that is
 * running elsewhere, from cron say, fails as on the command line: the lock is the same, and so is the catalog, so that a
 * run is in the history, and takes up what one before it has left undone, wherever either was started.
 */
#include "runs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_job.h"
#include "bm_lock.h"
#include "bm_text.h"

#define PROGRESS_MS 200

/* ---- a run's calls ---- */

static void on_progress(void *ctx, const struct bm_progress *progress)
{
	struct serve_run *r = ctx;

	pthread_mutex_lock(&r->runs->lock);
	r->progress = *progress;
	run_changed_locked(r);
	pthread_mutex_unlock(&r->runs->lock);
}

static void on_file(void *ctx, const struct bm_file_result *f)
{
	struct serve_run *r = ctx;
	char name[400];

	if (f->error == NULL || r->error.status != BM_OK)
		return;
	(void)bm_error_set(&r->error, f->error->status, NULL, "%s: %s",
	                   bm_escape_display_buf(name, sizeof(name), f->display, strlen(f->display)), f->error->text);
}

/* Of the run as a whole: that it is not put on record, for instance. */
static void on_message(void *ctx, const char *job, const char *text)
{
	struct serve_run *r = ctx;

	if (job == NULL)
		serve_log(r->runs->srv, true, "run %s: %s", r->record.id, text);
}

static void on_error(void *ctx, const char *job, const struct bm_error *err)
{
	struct serve_run *r = ctx;

	(void)job;
	if (err->status != BM_ERR_CANCELLED && r->error.status == BM_OK)
		(void)bm_error_set(&r->error, err->status, NULL, "%s%s%s", err->where,
		                   err->where[0] != '\0' ? ": " : "", err->text);
}

void run_set_over_locked(struct serve_run *r, enum serve_run_state state, const char *error)
{
	r->is_over = true;
	r->live = NULL;
	r->record.state = state;
	r->record.ended_ms = runs_wall_ms();
	if (error != NULL && r->record.error == NULL)
		r->record.error = strdup(error);
	run_keep_locked(r);
	run_changed_locked(r);
}

static void on_over(struct serve_watched *w, enum bm_status status, const struct bm_summary *sum)
{
	struct serve_run *r = (struct serve_run *)(void *)w;
	struct serve_record *c = &r->record;
	enum serve_run_state state = status == BM_OK && sum->bad_lines == 0 ? SERVE_RUN_DONE : SERVE_RUN_FAILED;
	const char *error = NULL;

	if (r->report != NULL && fflush(r->report) == 0)
		(void)fsync(fileno(r->report));
	pthread_mutex_lock(&r->runs->lock);
	c->on_record = bm_run_is_on_record(w->run);
	c->files_done = sum->files_done;
	c->files_failed = sum->files_failed;
	c->files_skipped = sum->files_skipped;
	c->bytes_read = sum->bytes_read;
	c->bytes_written = sum->bytes_written;
	if (status == BM_ERR_CANCELLED) {
		state = r->cancel_asked ? SERVE_RUN_CANCELLED : SERVE_RUN_INTERRUPTED;
		error = r->cancel_asked ? NULL : "the service was stopped";
	} else if (state == SERVE_RUN_FAILED) {
		error = r->error.status != BM_OK ? r->error.text : "some files failed; the report says which";
	}
	run_set_over_locked(r, state, error);
	pthread_mutex_unlock(&r->runs->lock);
}

static void put_away(struct serve_run *r)
{
	struct serve_runs *p = r->runs;

	if (r->report != NULL)
		(void)fclose(r->report);
	r->report = NULL;
	bm_lock_destroy(r->held);
	r->held = NULL;
	serve_jobs_fini(&r->jobs);
	pthread_mutex_lock(&p->lock);
	p->running--;
	runs_forget_old_locked(p);
	run_unref_locked(r);
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void on_gone(struct serve_watched *w)
{
	put_away((struct serve_run *)(void *)w);
}

/* ---- beginning one ---- */

/* The lock that `bytemill run` takes for the same file. */
static enum bm_status take_lock(struct serve_run *r, struct bm_error *err)
{
	const struct bm_jobs *jobs = r->jobs.jobs;
	const char *state = r->runs->srv->opt.state;
	char *real = realpath(jobs->jobs[0]->file, NULL);
	struct bm_buf key = {0}, holder = {0};
	enum bm_status status = BM_OK;
	bool taken = false;

	if (real == NULL) /* submitted as a whole */
		return BM_OK;
	bm_buf_printf(&key, "file %s", real);
	bm_buf_putc(&key, '\0');
	if (jobs->count == 1)
		bm_buf_puts(&key, jobs->jobs[0]->p.name);
	status = key.oom ? bm_error_set_nomem(err) : bm_lock_open(state, key.data, key.len, &r->held, err);
	if (status == BM_OK)
		status = bm_lock_take(r->held, false, &taken, err);
	if (status == BM_OK && !taken) {
		(void)bm_lock_holder(r->held, &holder);
		status = bm_error_set(err, BM_ERR_CONFLICT, NULL, "the job is already running: %s",
		                      holder.oom ? "another process" : holder.data);
	} else if (status == BM_OK) {
		bm_lock_sign(r->held, "");
	}
	bm_buf_fini(&key);
	bm_buf_fini(&holder);
	free(real);
	return status;
}

static void begin_run(struct serve_run *r)
{
	const struct bm_serve_options *o = &r->runs->srv->opt;
	struct bm_run_options opt = {.threads = o->threads,
	                             .io_depth = o->io_depth,
	                             .memory_bytes = r->runs->srv->runs_bytes / (o->runs > 1 ? o->runs : 1),
	                             .run_id = r->record.id,
	                             .count_first = true,
	                             .state_dir = o->state,
	                             .kind = "serve",
	                             .on_message = on_message,
	                             .on_file = on_file,
	                             .on_progress = on_progress,
	                             .on_error = on_error,
	                             .progress_interval_ms = PROGRESS_MS};
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = take_lock(r, &err);
	int fd = -1;

	if (status == BM_OK) {
		fd = serve_store_open_report(r->runs->dir, r->record.id, O_WRONLY | O_CREAT | O_TRUNC);
		r->report = fd >= 0 ? fdopen(fd, "w") : NULL;
		if (r->report == NULL)
			status = bm_error_set_errno(&err, errno, r->runs->dir, "cannot make the report");
		if (fd >= 0 && r->report == NULL)
			close(fd);
	}
	opt.report = r->report;
	r->watched.over = on_over;
	r->watched.gone = on_gone;
	if (status == BM_OK)
		status = serve_reap(r->runs->srv->reaper, &r->watched, NULL, r->jobs.jobs, &opt, &err);
	pthread_mutex_lock(&r->runs->lock);
	if (status != BM_OK) {
		char text[2100];

		snprintf(text, sizeof(text), "%s%s%s", err.where, err.where[0] != '\0' ? ": " : "", err.text);
		run_set_over_locked(r, SERVE_RUN_FAILED, text);
	} else if (!r->is_over) {
		r->live = r->watched.run;
		if (r->cancel_asked || r->runs->is_stopping)
			bm_run_cancel(r->live);
	}
	pthread_mutex_unlock(&r->runs->lock);
	if (status != BM_OK)
		put_away(r);
}

static struct serve_run *next_locked(struct serve_runs *p)
{
	unsigned most = p->srv->opt.runs > 0 ? p->srv->opt.runs : 1;

	if (p->running >= most || p->queued == 0)
		return NULL;
	for (struct serve_run *r = p->oldest; r != NULL; r = r->newer)
		if (r->record.state == SERVE_RUN_QUEUED)
			return r;
	return NULL;
}

void *runs_main(void *arg)
{
	struct serve_runs *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->is_stopping) {
		struct serve_run *r = next_locked(p);

		if (r == NULL) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		r->refs++;
		p->queued--;
		p->running++;
		r->record.state = SERVE_RUN_RUNNING;
		r->record.started_ms = runs_wall_ms();
		run_keep_locked(r);
		run_changed_locked(r);
		pthread_mutex_unlock(&p->lock);
		begin_run(r);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}
