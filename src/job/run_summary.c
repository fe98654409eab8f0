/*
 * run_summary.c - the figures of a run: while it goes on, at its end, in the report.
 *
 * Bytes are counted by job, by every thread and for every chunk, and added up here for the run.
 */
#include <errno.h>
#include <string.h>

#include "bm_error.h"
#include "bm_report.h"
#include "history.h"
#include "run_internal.h"

static void add_bytes(struct bm_run *run, uint64_t *bytes_read, uint64_t *bytes_written)
{
	*bytes_read = *bytes_written = 0;
	for (size_t i = 0; i < run->job_count; i++) {
		*bytes_read += atomic_load(&run->job_runs[i].bytes_read);
		*bytes_written += atomic_load(&run->job_runs[i].bytes_written);
	}
}

void bm_run_get_progress(struct bm_run *run, struct bm_progress *p)
{
	p->files_done = atomic_load(&run->files_done);
	p->files_failed = atomic_load(&run->files_failed);
	p->files_skipped = atomic_load(&run->files_skipped);
	add_bytes(run, &p->bytes_read, &p->bytes_written);
	p->files_total = atomic_load(&run->files_total);
	p->bytes_total = atomic_load(&run->bytes_total);
	p->total_is_final = atomic_load(&run->total_is_final);
	p->elapsed_ms = run_elapsed_ms(run);
}

void run_report(struct bm_run *run, const struct bm_buf *line)
{
	/* The first error says why; stdio's own flag does not. */
	if ((line->oom || fwrite(line->data, 1, line->len, run->opt.report) != line->len) && run->report_errno == 0)
		run->report_errno = line->oom ? ENOMEM : errno;
}

static void write_report_summary(struct bm_run *run, const struct bm_summary *sum)
{
	struct bm_buf b = {0};

	bm_report_summary(&b, run->id, sum);
	run_report(run, &b);
	bm_buf_fini(&b);
	if (fflush(run->opt.report) != 0 && run->report_errno == 0)
		run->report_errno = errno;
	if (run->report_errno != 0) {
		struct bm_error err = BM_ERROR_INIT;

		(void)bm_error_set_errno(&err, run->report_errno, "report", "the report could not be written whole");
		run_error(run, NULL, &err);
	}
	run->opt.report = NULL; /* once */
}

static void fill_summary(struct bm_run *run, struct bm_summary *sum)
{
	memset(sum, 0, sizeof(*sum));
	pthread_mutex_lock(&run->lock);
	for (size_t i = 0; i < run->job_count; i++) {
		enum job_state s = run->job_runs[i].state;

		sum->jobs_done += s == JOB_DONE;
		sum->jobs_failed += s == JOB_FAILED;
		sum->jobs_skipped += s == JOB_SKIPPED;
		for (size_t k = 0; k < BM_VERDICT_COUNT; k++)
			sum->verdicts[k] += run->job_runs[i].verdicts[k];
		sum->bad_lines += run->job_runs[i].ctx.bad_lines;
	}
	for (size_t i = 0; i < run->job_count; i++) {
		const struct bm_passed_over *p = &run->job_runs[i].passed_over;

		sum->passed_over.symlinks += p->symlinks;
		sum->passed_over.special += p->special;
		sum->passed_over.other_filesystem += p->other_filesystem;
		sum->passed_over.own_outputs += p->own_outputs;
	}
	sum->error = run->error;
	sum->elapsed_ms = run->elapsed_ms;
	pthread_mutex_unlock(&run->lock);
	sum->files_done = atomic_load(&run->files_done);
	sum->files_failed = atomic_load(&run->files_failed);
	sum->files_skipped = atomic_load(&run->files_skipped);
	sum->files_removed = atomic_load(&run->files_removed);
	add_bytes(run, &sum->bytes_read, &sum->bytes_written);
	sum->cancelled = atomic_load(&run->cancelled);
}

enum bm_status bm_run_wait(struct bm_run *run, struct bm_summary *sum)
{
	enum bm_status status = BM_OK;
	struct bm_summary s;

	pthread_mutex_lock(&run->lock);
	while (!run->is_over)
		pthread_cond_wait(&run->done_cond, &run->lock);
	pthread_mutex_unlock(&run->lock);
	if (run->has_scout) {
		pthread_join(run->scout, NULL);
		run->has_scout = false;
	}
	fill_summary(run, &s);
	if (run->opt.report != NULL) {
		write_report_summary(run, &s);
		fill_summary(run, &s);
	}
	if (sum != NULL)
		*sum = s;
	if (s.cancelled)
		status = BM_ERR_CANCELLED;
	else if (s.jobs_failed + s.jobs_skipped + s.files_failed > 0 || s.error.status != BM_OK)
		status = BM_ERR_FAILED;
	history_end(run, status, &s);
	return status;
}

bool bm_run_get_job(struct bm_run *run, size_t index, struct bm_job_summary *out)
{
	struct job_run *j = index < run->job_count ? &run->job_runs[index] : NULL;
	enum job_state state = JOB_FAILED;

	pthread_mutex_lock(&run->lock);
	bool is_over = run->is_over;
	if (j != NULL)
		state = j->state;
	pthread_mutex_unlock(&run->lock);
	if (j == NULL || !is_over)
		return false;
	*out = (struct bm_job_summary){
		.name = j->job->p.name,
		.state = state == JOB_DONE      ? BM_JOB_DONE
	                 : state == JOB_SKIPPED ? BM_JOB_SKIPPED
	                                        : BM_JOB_FAILED,
		.files_done = atomic_load(&j->fine) - atomic_load(&j->kept),
		.files_failed = atomic_load(&j->failed),
		.files_skipped = atomic_load(&j->kept),
		.differences = j->ctx.bad_lines,
		.bytes_read = atomic_load(&j->bytes_read),
		.bytes_written = atomic_load(&j->bytes_written),
		.elapsed_ms = j->end_ms - j->start_ms,
	};
	for (int v = BM_VERDICT_CHANGED; v <= BM_VERDICT_MISSING; v++)
		out->differences += j->verdicts[v];
	return true;
}
