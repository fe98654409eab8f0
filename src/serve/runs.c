/*
 * runs.c - the queue of runs, and what becomes of them.
 *
 * A thread of its own begins runs, as many at once as the service was given, in the order in which they came: planning
 * a run can take its time, which libmicrohttpd's threads do not have. Each has the pool, the threads and the memory
 * that the service was given for runs. The reaper sees them off. A run of a job that is running elsewhere, from cron
 * say, fails as on the command line: the lock is the same.
 *
 * One lock for all that is here; it is held for moments only, and bm_run_cancel is called with it, since the run that
 * it is called for is destroyed only after its end was noted under it.
 */
#include "runs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_job.h"
#include "bm_lock.h"
#include "bm_text.h"

#define KEPT_RUNS 1000 /* of those that are over the oldest are forgotten */
#define QUEUED_RUNS 1000
#define PROGRESS_MS 200

struct serve_run {
	struct serve_watched watched; /* first */
	struct serve_runs *runs;
	struct serve_run *newer, *older; /* lock; the list */
	unsigned refs;                   /* lock */
	struct serve_record record;      /* lock, but for id, job, request */
	struct serve_jobs jobs;          /* until it is gone */
	FILE *report;
	struct bm_lock *held;
	struct bm_run *live;         /* lock; while it can be cancelled */
	struct bm_progress progress; /* lock */
	struct bm_error error;       /* by the run's calls; then over's */
	bool cancel_asked;           /* lock */
	bool is_over;                /* lock */
	uint64_t version;            /* lock; changes */
	uint64_t pings;              /* lock */
	struct serve_watch *watches; /* lock */
};

struct serve_runs {
	struct bm_serve *srv;
	char *dir;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* waiter: the thread */
	pthread_t thread;
	bool has_thread;
	bool is_stopping;                  /* lock */
	struct serve_run *newest, *oldest; /* lock */
	unsigned count, queued, running;   /* lock */
};

static int64_t wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool state_is_over(enum serve_run_state s)
{
	return s != SERVE_RUN_QUEUED && s != SERVE_RUN_RUNNING;
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

static void unref_locked(struct serve_run *r)
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
	unref_locked(r);
	pthread_mutex_unlock(&p->lock);
}

static void keep_record_locked(struct serve_run *r)
{
	struct bm_error err = BM_ERROR_INIT;

	if (serve_store_write(r->runs->dir, &r->record, &err) != BM_OK)
		serve_log(r->runs->srv, true, "%s: %s", err.where, err.text);
}

static void forget_old_locked(struct serve_runs *p)
{
	struct serve_run *r = p->oldest;

	while (p->count > KEPT_RUNS && r != NULL) {
		struct serve_run *newer = r->newer;

		if (state_is_over(r->record.state)) {
			unlink_run(p, r);
			serve_store_remove(p->dir, r->record.id);
			unref_locked(r);
		}
		r = newer;
	}
}

/* ---- watching ---- */

static void wake_watches_locked(struct serve_run *r)
{
	for (struct serve_watch *w = r->watches; w != NULL; w = w->next)
		if (w->is_asleep) {
			w->is_asleep = false;
			w->wake(w);
		}
}

static void changed_locked(struct serve_run *r)
{
	r->version++;
	wake_watches_locked(r);
}

void serve_watch_begin(struct serve_watch *w, struct serve_run *r)
{
	pthread_mutex_lock(&r->runs->lock);
	r->refs++;
	w->run = r;
	w->prev = NULL;
	w->next = r->watches;
	if (w->next != NULL)
		w->next->prev = w;
	r->watches = w;
	w->seen = UINT64_MAX;
	w->is_asleep = false;
	pthread_mutex_unlock(&r->runs->lock);
}

void serve_watch_end(struct serve_watch *w)
{
	struct serve_run *r = w->run;
	struct serve_runs *p = r->runs;

	pthread_mutex_lock(&p->lock);
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		r->watches = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	unref_locked(r);
	pthread_mutex_unlock(&p->lock);
}

enum serve_watch_news serve_watch_next(struct serve_watch *w, void (*sleep)(struct serve_watch *w))
{
	struct serve_run *r = w->run;
	enum serve_watch_news news;

	pthread_mutex_lock(&r->runs->lock);
	if (w->seen != r->version) {
		w->seen = r->version;
		w->pings = r->pings;
		news = SERVE_WATCH_CHANGED;
	} else if (state_is_over(r->record.state) || r->runs->is_stopping) {
		news = SERVE_WATCH_OVER;
	} else if (w->pings != r->pings) {
		w->pings = r->pings;
		news = SERVE_WATCH_PING;
	} else {
		w->is_asleep = true;
		sleep(w);
		news = SERVE_WATCH_NOTHING;
	}
	pthread_mutex_unlock(&r->runs->lock);
	return news;
}

void serve_runs_ping(struct serve_runs *p)
{
	pthread_mutex_lock(&p->lock);
	for (struct serve_run *r = p->newest; r != NULL; r = r->older)
		if (r->watches != NULL) {
			r->pings++;
			wake_watches_locked(r);
		}
	pthread_mutex_unlock(&p->lock);
}

/* ---- a run's calls ---- */

static void on_progress(void *ctx, const struct bm_progress *progress)
{
	struct serve_run *r = ctx;

	pthread_mutex_lock(&r->runs->lock);
	r->progress = *progress;
	changed_locked(r);
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

static void on_error(void *ctx, const char *job, const struct bm_error *err)
{
	struct serve_run *r = ctx;

	(void)job;
	if (err->status != BM_ERR_CANCELLED && r->error.status == BM_OK)
		(void)bm_error_set(&r->error, err->status, NULL, "%s%s%s", err->where,
		                   err->where[0] != '\0' ? ": " : "", err->text);
}

static void set_over_locked(struct serve_run *r, enum serve_run_state state, const char *error)
{
	r->is_over = true;
	r->live = NULL;
	r->record.state = state;
	r->record.ended_ms = wall_ms();
	if (error != NULL && r->record.error == NULL)
		r->record.error = strdup(error);
	keep_record_locked(r);
	changed_locked(r);
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
	set_over_locked(r, state, error);
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
	forget_old_locked(p);
	unref_locked(r);
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
	                             .memory_bytes = o->memory_bytes / (o->runs > 1 ? o->runs : 1),
	                             .run_id = r->record.id,
	                             .count_first = true,
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
		status = serve_reap(r->runs->srv->reaper, &r->watched, r->jobs.jobs, &opt, &err);
	pthread_mutex_lock(&r->runs->lock);
	if (status != BM_OK) {
		char text[2100];

		snprintf(text, sizeof(text), "%s%s%s", err.where, err.where[0] != '\0' ? ": " : "", err.text);
		set_over_locked(r, SERVE_RUN_FAILED, text);
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

static void *runs_main(void *arg)
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
		r->record.started_ms = wall_ms();
		keep_record_locked(r);
		changed_locked(r);
		pthread_mutex_unlock(&p->lock);
		begin_run(r);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
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
	r->record.queued_ms = wall_ms();
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
		unref_locked(r);
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
		if (seen++ >= limit && state_is_over(r->record.state))
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
	can = !state_is_over(r->record.state);
	if (can) {
		r->cancel_asked = true;
		if (r->live != NULL)
			bm_run_cancel(r->live);
		if (r->record.state == SERVE_RUN_QUEUED) {
			p->queued--;
			set_over_locked(r, SERVE_RUN_CANCELLED, NULL);
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

	if (r == NULL) {
		serve_record_fini(record);
		return;
	}
	r->runs = p;
	r->refs = 1;
	r->record = *record;
	if (!state_is_over(r->record.state)) {
		r->record.state = SERVE_RUN_INTERRUPTED;
		r->record.error = strdup("the service ended before this run did");
		keep_record_locked(r);
	}
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
		status = serve_store_load(dir, take_record, p, &bad, err);
	if (bad > 0)
		serve_log(s, true, "%u records of runs in %s cannot be read", bad, dir);
	if (status == BM_OK) {
		forget_old_locked(p);
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
		wake_watches_locked(r);
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
		unref_locked(r);
	}
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p->dir);
	free(p);
}
