/*
 * run.c - a run: the pool, the jobs in their order, progress, the end. Memory and threads are run_fit.c's, the figures
 * run_summary.c's.
 *
 * bm_run_start makes every job's plan, works out memory and threads, looks for conflicts among outputs, and only then
 * starts the jobs that wait for nobody. A job that ends, on a pool thread, starts those that waited for it, or has them
 * skipped where it failed. bm_run_wait sleeps until the last one is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bm_cpus.h"
#include "bm_error.h"
#include "bm_mutex.h"
#include "bm_pace.h"
#include "bm_windows.h"
#include "history.h"
#include "job_group.h"
#include "job_remove.h"
#include "resume.h"
#include "run_internal.h"

/* ---- what happens while it runs ---- */

static uint64_t elapsed_ms(const struct bm_run *run, clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	int64_t ms = (int64_t)(now.tv_sec - run->start.tv_sec) * 1000 + (now.tv_nsec - run->start.tv_nsec) / 1000000;
	return ms > 0 ? (uint64_t)ms : 0;
}

uint64_t run_elapsed_ms(const struct bm_run *run)
{
	return elapsed_ms(run, CLOCK_MONOTONIC);
}

uint64_t run_elapsed_coarse_ms(const struct bm_run *run)
{
	return elapsed_ms(run, CLOCK_MONOTONIC_COARSE);
}

void run_tick(void *arg)
{
	struct bm_run *run = arg;
	struct bm_progress p;
	uint64_t now, due;

	if (run->opt.on_progress == NULL)
		return;
	now = run_elapsed_ms(run);
	due = atomic_load_explicit(&run->next_tick_ms, memory_order_relaxed);
	if (now < due || !atomic_compare_exchange_strong(&run->next_tick_ms, &due, now + run->opt.progress_interval_ms))
		return;
	if (pthread_mutex_trylock(&run->tick_lock) != 0)
		return;
	bm_run_get_progress(run, &p);
	run->opt.on_progress(run->opt.ctx, &p);
	pthread_mutex_unlock(&run->tick_lock);
}

void run_message(struct bm_run *run, const struct bm_job *job, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (run->opt.on_message == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&run->report_lock);
	run->opt.on_message(run->opt.ctx, job != NULL ? job->p.name : NULL, text);
	pthread_mutex_unlock(&run->report_lock);
}

/* is_summed_up: whoever has no on_error learns of it from the summary. */
static void tell_error(struct bm_run *run, const struct job_run *j, const struct bm_error *err, bool is_summed_up)
{
	if (run->opt.on_error != NULL) {
		pthread_mutex_lock(&run->report_lock);
		run->opt.on_error(run->opt.ctx, j != NULL ? j->job->p.name : NULL, err);
		pthread_mutex_unlock(&run->report_lock);
	} else if (j != NULL && !is_summed_up) {
		run_message(run, j->job, "%s%s%s", err->where, err->where[0] != '\0' ? ": " : "", err->text);
	}
}

void run_error(struct bm_run *run, struct job_run *j, const struct bm_error *err)
{
	pthread_mutex_lock(&run->lock);
	bool is_first = run->error.status == BM_OK;
	if (is_first)
		run->error = *err;
	pthread_mutex_unlock(&run->lock);
	tell_error(run, j, err, is_first);
}

static void tell_skipped(struct bm_run *run, const struct job_run *j)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)bm_error_set(&err, BM_ERR_FAILED, NULL, "skipped: a job that it comes after has failed");
	tell_error(run, j, &err, false);
}

/* ---- the order of jobs ---- */

struct job_run *run_find_job(struct bm_run *run, const char *name)
{
	for (size_t i = 0; i < run->job_count; i++)
		if (strcmp(run->job_runs[i].job->p.name, name) == 0)
			return &run->job_runs[i];
	return NULL;
}

/* A job that waits: may it start (RUNNING), must it be given up (SKIPPED), or wait on? */
static enum job_state job_verdict_locked(struct bm_run *run, const struct job_run *j)
{
	enum job_state verdict = JOB_RUNNING;

	if (atomic_load(&run->cancelled))
		return JOB_SKIPPED;
	for (size_t i = 0; i < j->job->p.after.count; i++) {
		const struct job_run *other = run_find_job(run, j->job->p.after.items[i]);

		if (other->state == JOB_FAILED || other->state == JOB_SKIPPED)
			return JOB_SKIPPED;
		if (other->state != JOB_DONE)
			verdict = JOB_WAITING;
	}
	return verdict;
}

/* Starts and skips what can be; from bm_run_start, and from the end of each job. */
static void start_jobs(struct bm_run *run)
{
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < run->job_count; i++) {
			struct job_run *j = &run->job_runs[i];
			struct bm_error err = BM_ERROR_INIT;

			pthread_mutex_lock(&run->lock);
			enum job_state verdict = j->state == JOB_WAITING ? job_verdict_locked(run, j) : JOB_WAITING;
			if (verdict != JOB_WAITING) {
				j->state = verdict;
				j->start_ms = j->end_ms = run_elapsed_ms(run);
				again = true;
			}
			pthread_mutex_unlock(&run->lock);
			if (verdict == JOB_SKIPPED) {
				history_job_end(j, verdict);
				pthread_mutex_lock(&run->lock);
				run->unfinished--;
				pthread_mutex_unlock(&run->lock);
			}
			if (verdict == JOB_SKIPPED && !atomic_load(&run->cancelled))
				tell_skipped(run, j);
			if (verdict == JOB_RUNNING && job_run_start(j, &err) != BM_OK) {
				run_error(run, j, &err);
				history_job_end(j, JOB_FAILED);
				pthread_mutex_lock(&run->lock);
				j->state = JOB_FAILED;
				j->end_ms = run_elapsed_ms(run);
				run->unfinished--;
				pthread_mutex_unlock(&run->lock);
			}
		}
	}
	/* Once it is over the waiter may free the run, but for what its threads still hold: not before they are joined. */
	void (*on_end)(void *) = run->opt.on_end;
	void *ctx = run->opt.ctx;
	bool is_end = false;

	pthread_mutex_lock(&run->lock);
	if (run->unfinished == 0 && !run->is_over) {
		is_end = run->is_over = true;
		run->elapsed_ms = run_elapsed_ms(run);
		pthread_cond_broadcast(&run->done_cond);
	}
	pthread_mutex_unlock(&run->lock);
	if (is_end && on_end != NULL)
		on_end(ctx);
}

/* By the job's last callback. */
void run_job_over(struct job_run *j, enum job_state state)
{
	struct bm_run *run = j->run;

	history_job_end(j, state);
	pthread_mutex_lock(&run->lock);
	j->state = state;
	j->end_ms = run_elapsed_ms(run);
	run->unfinished--; /* those that wait for this one are counted still */
	pthread_mutex_unlock(&run->lock);
	start_jobs(run);
}

/* ---- totals for a progress bar ---- */

static void *scout_main(void *arg)
{
	struct bm_run *run = arg;
	bool whole = true;

	for (size_t i = 0; i < run->job_count; i++) {
		struct job_run *j = &run->job_runs[i];
		struct bm_walk *w = NULL;
		struct bm_error err = BM_ERROR_INIT;
		struct bm_entry *e;

		/* Standard input can be listed only once, and what an earlier job makes is not there yet. */
		if (bm_plan_lists_once(j->job) || j->job->p.after.count > 0 ||
		    bm_plan_walk(j->plan, (const char *const *)j->skip_paths, j->skip_count, true, &w, &err) != BM_OK) {
			whole = false;
			continue;
		}
		while (!atomic_load(&run->cancelled) && (e = bm_walk_next(w, NULL)) != NULL) {
			atomic_fetch_add(&run->files_total, 1);
			if (e->kind == BM_ENTRY_STREAM || (e->kind == BM_ENTRY_URL && !e->has_stat))
				whole = false;
			if (e->has_stat)
				atomic_fetch_add(&run->bytes_total, e->st.size);
			bm_entry_destroy(e);
		}
		bm_walk_destroy(w);
	}
	atomic_store(&run->total_is_final, whole && !atomic_load(&run->cancelled));
	return NULL;
}

/* With all signals blocked, as the pool's threads: they are the program's business. */
static void start_scout(struct bm_run *run)
{
	sigset_t all, old;

	sigfillset(&all);
	if (pthread_sigmask(SIG_SETMASK, &all, &old) != 0)
		return;
	run->has_scout = pthread_create(&run->scout, NULL, scout_main, run) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- making a run ---- */

/* Unique on this machine: one process can start two runs in one second. In UTC, so that ids sort by time. */
char *bm_run_make_id(void)
{
	struct bm_buf b = {0};
	struct timespec now;
	struct tm utc;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &utc);
	bm_buf_printf(&b, "%s.%06ldZ-%ld", text, now.tv_nsec / 1000, (long)getpid());
	return bm_buf_take(&b);
}

static enum bm_status init_locks(struct bm_run *run, struct bm_error *err)
{
	int rc = bm_mutex_init_short(&run->lock);

	/* Default mutexes and condition variables cannot fail on Linux; the code is checked all the same, once. */
	rc = rc != 0 ? rc : bm_mutex_init_short(&run->tick_lock);
	rc = rc != 0 ? rc : bm_mutex_init_short(&run->report_lock);
	rc = rc != 0 ? rc : pthread_cond_init(&run->done_cond, NULL);
	for (size_t i = 0; i < run->job_count && rc == 0; i++)
		rc = bm_mutex_init_short(&run->job_runs[i].flow_lock);
	for (size_t i = 0; i < run->job_count && rc == 0; i++)
		rc = pthread_mutex_init(&run->job_runs[i].again_lock, NULL);
	for (size_t i = 0; i < run->job_count && rc == 0; i++)
		rc = pthread_cond_init(&run->job_runs[i].again_cond, NULL);
	return rc == 0 ? BM_OK : bm_error_set_errno(err, rc, NULL, "cannot make a lock");
}

static void tell_job_error(void *arg, const struct bm_error *err)
{
	struct job_run *j = arg;

	run_error(j->run, j, err);
}

static void say(void *arg, const char *text)
{
	struct job_run *j = arg;

	run_message(j->run, j->job, "%s", text);
}

static void init_job(struct bm_run *run, struct job_run *j, const struct bm_job *job)
{
	j->run = run;
	j->job = job;
	j->ctx.job = job;
	j->ctx.values.job = job->p.name;
	j->ctx.values.run = run->id;
	j->ctx.values.date = run->date;
	j->ctx.sinks = run->sinks;
	j->ctx.cancel_fd = run->cancel_fd;
	j->ctx.windows = run->windows;
	j->ctx.bytes_read = &j->bytes_read;
	j->ctx.bytes_written = &j->bytes_written;
	j->ctx.tick = run_tick;
	j->ctx.tick_arg = run;
	j->ctx.tell = tell_job_error;
	j->ctx.tell_arg = j;
	j->ctx.message = say;
	j->ctx.message_arg = j;
}

static enum bm_status make_paces(struct bm_run *run, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (run->opt.read_rate > 0)
		status = bm_pace_create(run->opt.read_rate, &run->pace, err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		struct job_run *j = &run->job_runs[i];

		if (run->pace == NULL && j->job->p.limit_rate > 0)
			status = bm_pace_create(j->job->p.limit_rate, &j->pace, err);
		j->ctx.pace = run->pace != NULL ? run->pace : j->pace;
	}
	return status;
}

/* Everything but starting: for bm_run_start and bm_run_plan. */
enum bm_status run_create(const struct bm_jobs *jobs, const struct bm_run_options *opt, struct bm_pool *pool,
                          struct bm_run **out, struct bm_error *err)
{
	static const struct bm_run_options defaults;
	struct bm_run *run = calloc(1, sizeof(*run));
	time_t now = time(NULL);
	enum bm_status status = BM_OK;
	size_t buffers = 0;

	*out = NULL;
	if (run == NULL)
		return bm_error_set_nomem(err);
	run->jobs = jobs;
	run->opt = opt != NULL ? *opt : defaults;
	if (run->opt.progress_interval_ms == 0)
		run->opt.progress_interval_ms = 100;
	run->permits = run->opt.threads > 0 ? run->opt.threads : bm_cpu_count();
	run->io_depth = run->opt.io_depth > 0 ? run->opt.io_depth : DEFAULT_IO_DEPTH;
	if (pool != NULL) {
		struct bm_pool_options po;

		bm_pool_get_options(pool, &po);
		run->pool = pool;
		run->is_guest = true;
		run->permits = po.permits;
		run->io_depth = po.io_depth;
	}
	localtime_r(&now, &run->date);
	clock_gettime(CLOCK_MONOTONIC, &run->start);
	run->id = run->opt.run_id != NULL ? bm_memdup0(run->opt.run_id, strlen(run->opt.run_id)) : bm_run_make_id();
	run->job_count = jobs->count;
	run->job_runs = bm_calloc_array(jobs->count + 1, sizeof(*run->job_runs));
	if (run->id == NULL || run->job_runs == NULL) {
		run->job_count = 0;
		status = bm_error_set_nomem(err);
	}
	run->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->cancel_fd == 0) { /* stdin was closed; 0 means none */
		run->cancel_fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
		close(0);
	}
	if (status == BM_OK && run->cancel_fd < 0)
		status = bm_error_set_errno(err, errno, NULL, "cannot make an eventfd");
	if (status == BM_OK && !jobs->is_checked)
		status = bm_error_set(err, BM_ERR_USAGE, NULL, "bm_jobs_check has not been called");
	if (status == BM_OK)
		status = init_locks(run, err);
	if (status == BM_OK)
		status = bm_windows_create(run->memory, &run->windows, err);
	for (size_t i = 0; i < run->job_count; i++)
		init_job(run, &run->job_runs[i], jobs->jobs[i]);
	if (status == BM_OK)
		status = make_paces(run, err);
	for (int d = 0; d < BM_DURABLE_COUNT && status == BM_OK; d++)
		status = bm_sink_set_create(run->id, (enum bm_durability)d, &run->sinks[d], err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++)
		if (jobs->jobs[i]->p.after.count == 0) /* else see job_run_start */
			status = bm_plan_load(&run->job_runs[i].ctx, err);
	if (status == BM_OK)
		status = run_fit(run, &buffers, err);
	if (status == BM_OK)
		status = outputs_check(run, err);
	if (status == BM_OK && !run->is_guest) {
		struct bm_pool_options po = {run->permits, run->io_depth, buffers, run_most_open_files(run)};
		status = bm_pool_create(&po, &run->pool, err);
	}
	run->unfinished = run->job_count;
	if (status == BM_OK)
		*out = run;
	else
		bm_run_destroy(run);
	return status;
}

enum bm_status bm_run_start(const struct bm_jobs *jobs, const struct bm_run_options *opt, struct bm_run **out,
                            struct bm_error *err)
{
	return bm_run_start_on(NULL, jobs, opt, out, err);
}

enum bm_status bm_run_start_on(struct bm_pool *pool, const struct bm_jobs *jobs, const struct bm_run_options *opt,
                               struct bm_run **out, struct bm_error *err)
{
	enum bm_status status = run_create(jobs, opt, pool, out, err);

	if (status != BM_OK)
		return status;
	struct bm_run *run = *out;
	struct stat st;
	if (run->opt.report != NULL && run->opt.truncate_report && fstat(fileno(run->opt.report), &st) == 0 &&
	    S_ISREG(st.st_mode) && ftruncate(fileno(run->opt.report), 0) != 0)
		run->report_errno = errno;
	history_begin(run);
	run->is_started = true;
	if (run->opt.count_first)
		start_scout(run);
	start_jobs(run);
	return BM_OK;
}

void bm_run_cancel(struct bm_run *run)
{
	uint64_t one = 1;

	atomic_store(&run->cancelled, true);
	/* First: a job whose reading was given up, and that does not know why yet, would take itself for done. */
	for (size_t i = 0; i < run->job_count; i++)
		job_run_cancel(&run->job_runs[i]);
	/* Wakes those that sleep in a pipe. It fails only where it has been written to before: then they are awake. */
	ssize_t n = write(run->cancel_fd, &one, sizeof(one));
	(void)n;
}

const char *bm_run_id(const struct bm_run *run)
{
	return run->id;
}

void bm_run_destroy(struct bm_run *run)
{
	if (run == NULL)
		return;
	if (run->is_started) {
		bm_run_cancel(run);
		(void)bm_run_wait(run, NULL);
	}
	for (size_t i = 0; i < run->job_count; i++)
		bm_flow_destroy(run->job_runs[i].flow);
	if (!run->is_guest)
		bm_pool_destroy(run->pool);
	for (size_t i = 0; i < run->job_count; i++) {
		struct job_run *j = &run->job_runs[i];

		resume_destroy(j->resume);
		free(j->figures);
		bm_entry_destroy(j->walked);
		bm_walk_destroy(j->walk);
		bm_order_destroy(j->order);
		job_groups_destroy(j->groups);
		job_removal_destroy(j->removal);
		for (unsigned k = 0; j->scratch != NULL && k < j->scratch_count; k++) {
			bm_file_results_fini(&j->scratch[k].results);
			bm_buf_fini(&j->scratch[k].record);
			bm_buf_fini(&j->scratch[k].done_outputs);
			bm_buf_fini(&j->scratch[k].done_digests);
			bm_buf_fini(&j->scratch[k].done_paths);
		}
		free(j->scratch);
		bm_record_view_fini(&j->view);
		bm_buf_fini(&j->line);
		bm_plan_destroy(j->plan);
		bm_plan_unload(&j->ctx);
		bm_keyring_destroy(j->ctx.keyring);
		for (size_t k = 0; k < j->skip_count; k++)
			free(j->skip_paths[k]);
		free(j->skip_paths);
		free(j->before);
		bm_pace_destroy(j->pace);
		pthread_mutex_destroy(&j->flow_lock);
		pthread_mutex_destroy(&j->again_lock);
		pthread_cond_destroy(&j->again_cond);
	}
	history_destroy(run->history);
	bm_windows_destroy(run->windows);
	for (int d = 0; d < BM_DURABLE_COUNT; d++)
		bm_sink_set_destroy(run->sinks[d]);
	outputs_destroy(run->outputs);
	bm_pace_destroy(run->pace);
	pthread_mutex_destroy(&run->lock);
	pthread_mutex_destroy(&run->tick_lock);
	pthread_mutex_destroy(&run->report_lock);
	pthread_cond_destroy(&run->done_cond);
	if (run->cancel_fd >= 0)
		close(run->cancel_fd);
	free(run->job_runs);
	free(run->id);
	free(run);
}
