/*
 * runs.c - the runs that the service knows: their list, and what the routes ask of it. The queue's other end is
 * runs_begin.c.
 */
#include "runs_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_error.h"
#include "bm_job.h"
#include "bm_text.h"
#include "runs_history.h"

#define KEPT_RUNS 1000 /* of those that are over the oldest are forgotten */
#define QUEUED_RUNS 1000

int64_t runs_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- the list ---- */

static void link_newest(struct serve_runs *p, struct serve_run *r)
{
	r->older = p->newest;
	if (r->older != NULL)
		r->older->newer = r;
	else
		p->oldest = r;
	p->newest = r;
	p->count++;
}

static void unlink_run(struct serve_runs *p, struct serve_run *r)
{
	if (r->newer != NULL)
		r->newer->older = r->older;
	else
		p->newest = r->older;
	if (r->older != NULL)
		r->older->newer = r->newer;
	else
		p->oldest = r->newer;
	p->count--;
}

void run_unref_locked(struct serve_run *r)
{
	if (--r->refs > 0)
		return;
	serve_record_fini(&r->record);
	serve_jobs_fini(&r->jobs);
	free(r);
}

void serve_run_unref(struct serve_run *r)
{
	struct serve_runs *p = r->runs;

	pthread_mutex_lock(&p->lock);
	run_unref_locked(r);
	pthread_mutex_unlock(&p->lock);
}

void run_keep_locked(struct serve_run *r)
{
	struct bm_error err = BM_ERROR_INIT;

	if (serve_store_write(r->runs->dir, &r->record, &err) != BM_OK)
		serve_log(r->runs->srv, true, "%s: %s", err.where, err.text);
}

void runs_forget_old_locked(struct serve_runs *p)
{
	struct serve_run *r = p->oldest;

	while (r != NULL) {
		struct serve_run *newer = r->newer;
		bool is_old = runs_wall_ms() - r->record.queued_ms > (int64_t)BM_RUN_KEEP_MS;

		if (p->count <= KEPT_RUNS && !is_old)
			break;
		if (run_is_over(r)) {
			unlink_run(p, r);
			serve_store_remove(p->dir, r->record.id);
			run_unref_locked(r);
		}
		r = newer;
	}
}

/* ---- for the routes ---- */

enum bm_status serve_runs_add(struct serve_runs *p, const char *job, const char *request, struct serve_jobs *jobs,
                              struct serve_run **out, struct bm_error *err)
{
	struct serve_run *r = calloc(1, sizeof(*r));
	enum bm_status status = BM_OK;

	*out = NULL;
	if (r == NULL) {
		serve_jobs_fini(jobs);
		return bm_error_set_nomem(err);
	}
	r->runs = p;
	r->refs = 2; /* the list's and the caller's */
	r->jobs = *jobs;
	memset(jobs, 0, sizeof(*jobs));
	r->record.id = bm_run_make_id();
	r->record.job = strdup(job);
	r->record.request = strdup(request);
	r->record.queued_ms = runs_wall_ms();
	if (r->record.id == NULL || r->record.job == NULL || r->record.request == NULL)
		status = bm_error_set_nomem(err);
	pthread_mutex_lock(&p->lock);
	if (status == BM_OK && (p->queued >= QUEUED_RUNS || p->is_stopping))
		status = bm_error_set(err, BM_ERR_NOMEM, NULL, "the queue is full: %u runs are waiting", p->queued);
	if (status == BM_OK)
		status = serve_store_write(p->dir, &r->record, err);
	if (status == BM_OK) {
		link_newest(p, r);
		p->queued++;
		*out = r;
		pthread_cond_signal(&p->changed);
	} else {
		r->refs = 1;
		run_unref_locked(r);
	}
	pthread_mutex_unlock(&p->lock);
	return status;
}

struct serve_run *serve_runs_find(struct serve_runs *p, const char *id)
{
	struct serve_run *r;

	pthread_mutex_lock(&p->lock);
	for (r = p->newest; r != NULL && strcmp(r->record.id, id) != 0;)
		r = r->older;
	if (r != NULL)
		r->refs++;
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void put_locked(struct serve_run *r, struct bm_buf *out)
{
	struct serve_record shown = r->record; /* borrows the strings */
	const struct bm_progress *g = &r->progress;

	/* Not only what was told last: a run that waits for something tells nothing. */
	if (r->live != NULL)
		bm_run_get_progress(r->live, &r->progress);
	if (shown.state == SERVE_RUN_RUNNING) {
		shown.files_done = g->files_done;
		shown.files_failed = g->files_failed;
		shown.files_skipped = g->files_skipped;
		shown.bytes_read = g->bytes_read;
		shown.bytes_written = g->bytes_written;
	}
	bm_buf_putc(out, '{');
	serve_record_put(out, &shown);
	if (shown.state == SERVE_RUN_RUNNING)
		bm_buf_printf(out, ",\"files_total\":%" PRIu64 ",\"bytes_total\":%" PRIu64 ",\"total_is_final\":%s",
		              g->files_total, g->bytes_total, g->total_is_final ? "true" : "false");
	bm_buf_putc(out, '}');
}

void serve_run_put(struct serve_run *r, struct bm_buf *out)
{
	pthread_mutex_lock(&r->runs->lock);
	put_locked(r, out);
	pthread_mutex_unlock(&r->runs->lock);
}

void serve_runs_put(struct serve_runs *p, size_t limit, struct bm_buf *out)
{
	size_t seen = 0;
	bool any = false;

	bm_buf_putc(out, '[');
	pthread_mutex_lock(&p->lock);
	for (struct serve_run *r = p->newest; r != NULL; r = r->older) {
		if (seen++ >= limit && run_is_over(r))
			continue;
		bm_buf_puts(out, any ? ",\n" : "");
		any = true;
		put_locked(r, out);
	}
	pthread_mutex_unlock(&p->lock);
	bm_buf_puts(out, "]");
}

unsigned serve_runs_total(struct serve_runs *p)
{
	pthread_mutex_lock(&p->lock);
	unsigned count = p->count;
	pthread_mutex_unlock(&p->lock);
	return count;
}

void serve_runs_count(struct serve_runs *p, unsigned counts[static SERVE_RUN_STATES])
{
	memset(counts, 0, sizeof(counts[0]) * SERVE_RUN_STATES);
	pthread_mutex_lock(&p->lock);
	for (struct serve_run *r = p->newest; r != NULL; r = r->older)
		counts[r->record.state]++;
	pthread_mutex_unlock(&p->lock);
}

const char *serve_run_id(const struct serve_run *r)
{
	return r->record.id;
}

const char *serve_run_request(const struct serve_run *r)
{
	return r->record.request;
}

enum serve_run_state serve_run_state(struct serve_run *r)
{
	pthread_mutex_lock(&r->runs->lock);
	enum serve_run_state state = r->record.state;
	pthread_mutex_unlock(&r->runs->lock);
	return state;
}

bool serve_run_cancel(struct serve_run *r)
{
	struct serve_runs *p = r->runs;
	bool can;

	pthread_mutex_lock(&p->lock);
	can = !run_is_over(r);
	if (can) {
		r->cancel_asked = true;
		if (r->live != NULL)
			bm_run_cancel(r->live);
		if (r->record.state == SERVE_RUN_QUEUED) {
			p->queued--;
			run_set_over_locked(r, SERVE_RUN_CANCELLED, NULL);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return can;
}

int serve_run_open_report(struct serve_run *r)
{
	return serve_store_open_report(r->runs->dir, r->record.id, O_RDONLY);
}

/* ---- its life ---- */

static void take_record(void *ctx, struct serve_record *record)
{
	struct serve_runs *p = ctx;
	struct serve_run *r = calloc(1, sizeof(*r));
	bool was_over;

	if (r == NULL) {
		serve_record_fini(record);
		return;
	}
	r->runs = p;
	r->refs = 1;
	r->record = *record;
	was_over = run_is_over(r);
	if (!serve_history_has(p->history, &r->record)) {
		serve_store_remove(p->dir, r->record.id);
		run_unref_locked(r);
		return;
	}
	if (!run_is_over(r)) {
		r->record.state = SERVE_RUN_INTERRUPTED;
		r->record.error = strdup("the service ended before this run did");
	}
	if (!was_over)
		run_keep_locked(r);
	r->is_over = true;
	link_newest(p, r);
}

enum bm_status serve_runs_create(struct bm_serve *s, const char *dir, struct serve_runs **out, struct bm_error *err)
{
	struct serve_runs *p = calloc(1, sizeof(*p));
	enum bm_status status = BM_OK;
	sigset_t all, old;
	unsigned bad = 0;
	int rc;

	*out = p;
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->srv = s;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->dir = strdup(dir);
	if (p->dir == NULL)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = serve_history_open(s->opt.state, &p->history, err);
	if (status == BM_OK)
		status = serve_store_load(dir, take_record, p, &bad, err);
	serve_history_close(p->history);
	p->history = NULL;
	if (bad > 0)
		serve_log(s, true, "%u records of runs in %s cannot be read", bad, dir);
	if (status == BM_OK) {
		runs_forget_old_locked(p);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = pthread_create(&p->thread, NULL, runs_main, p);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		p->has_thread = rc == 0;
		if (rc != 0)
			status = bm_error_set_errno(err, rc, NULL, "cannot start a thread");
	}
	return status;
}

void serve_runs_stop(struct serve_runs *p)
{
	pthread_mutex_lock(&p->lock);
	p->is_stopping = true;
	pthread_cond_signal(&p->changed);
	for (struct serve_run *r = p->newest; r != NULL; r = r->older) {
		if (r->live != NULL)
			bm_run_cancel(r->live);
		run_wake_watches_locked(r);
	}
	pthread_mutex_unlock(&p->lock);
	if (p->has_thread)
		(void)pthread_join(p->thread, NULL);
	p->has_thread = false;
}

void serve_runs_destroy(struct serve_runs *p)
{
	if (p == NULL)
		return;
	while (p->newest != NULL) {
		struct serve_run *r = p->newest;

		unlink_run(p, r);
		run_unref_locked(r);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p->dir);
	free(p);
}
