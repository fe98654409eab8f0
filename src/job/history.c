/*
 * history.c - see history.h.
 *
 * A record is worth something, but never a job: a catalog that cannot be opened, or that fails half-way (its disk is full,
 * it is damaged, another process sits on it), is told once, as a warning, and the run goes on as if there were none.
 *
 * What is written while the run goes on is queued in memory (bm_catalog.h), so that no worker waits for the catalog's disk;
 * only the beginning and the end of the run do. The counts are brought up to date each UPDATE_MS, for those who look at a run
 * that goes on, and for one that is killed.
 *
 * The figures of the steps are made from what each file's result says anyway: a hash step has seen as many bytes as it
 * digested, an output has as many as were written, and a step that changes the bytes took what was known before it and gave
 * what is known behind it. How long it took is src/step/clock.c's to say.
 */
#include "history.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_catalog_done.h"
#include "bm_error.h"
#include "resume.h"

#define BUSY_MS 10000
#define UPDATE_MS 1000
#define FAILURES_MAX 10000 /* of one job that are put on record */

struct history {
	struct bm_catalog *c;
	struct bm_catalog_run *r; /* NULL: not begun, or ended */
	char *cwd;
	uint8_t (*keys)[JOB_KEY_BYTES]; /* a job each */
	int64_t start_ns;               /* of the run, since 1970 */
	atomic_bool is_broken;
	atomic_uint_fast64_t next_update_ms;
};

static bool is_good(const struct bm_run *run)
{
	return run->history != NULL && run->history->c != NULL && !atomic_load(&run->history->is_broken);
}

bool bm_run_is_on_record(const struct bm_run *run)
{
	return is_good(run);
}

struct bm_catalog *history_catalog(const struct bm_run *run)
{
	return is_good(run) ? run->history->c : NULL;
}

const char *history_cwd(const struct bm_run *run)
{
	return run->history->cwd;
}

const uint8_t *history_job_key(const struct job_run *j)
{
	return j->run->history->keys[j - j->run->job_runs];
}

void history_trouble(struct bm_run *run, const struct bm_error *err)
{
	if (!atomic_exchange(&run->history->is_broken, true))
		run_message(run, NULL,
		            "%s%s%s; the run goes on without a record: it will not be in the list of runs, and could "
		            "not be resumed",
		            err->where, err->where[0] != '\0' ? ": " : "", err->text);
}

static struct bm_catalog_counts counts_of_job(const struct job_run *j)
{
	return (struct bm_catalog_counts){
		.files_done = atomic_load(&j->fine) - atomic_load(&j->kept),
		.files_failed = atomic_load(&j->failed),
		.files_skipped = atomic_load(&j->kept),
		.bytes_read = atomic_load(&j->bytes_read),
		.bytes_written = atomic_load(&j->bytes_written),
	};
}

static struct bm_catalog_counts counts_of_run(struct bm_run *run)
{
	struct bm_progress p;

	bm_run_get_progress(run, &p);
	return (struct bm_catalog_counts){p.files_done, p.files_failed, p.files_skipped, p.bytes_read, p.bytes_written};
}

/* ---- the beginning ---- */

static enum bm_status forget(struct bm_run *run, struct bm_error *err)
{
	struct history *h = run->history;
	uint64_t keep_ms = run->opt.keep_ms > 0 ? run->opt.keep_ms : BM_RUN_KEEP_MS;
	int64_t before = 0;
	enum bm_status status;

	if (keep_ms > (uint64_t)(h->start_ns / 1000000))
		return BM_OK;
	before = h->start_ns - (int64_t)keep_ms * 1000000;
	status = bm_catalog_run_delete_before(h->c, before, NULL, err);
	return status == BM_OK ? bm_catalog_job_delete_before(h->c, before, NULL, err) : status;
}

static enum bm_status put_jobs(struct bm_run *run, struct bm_error *err)
{
	struct history *h = run->history;
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		const struct bm_job *job = run->job_runs[i].job;

		status = bm_catalog_run_add_job(h->r, (unsigned)i, job->p.name, job->file, h->keys[i], JOB_KEY_BYTES,
		                                err);
	}
	return status;
}

/* The run, and the jobs that wait for no other, as one transaction: a disk takes some milliseconds for each. */
static enum bm_status begin_together(struct bm_run *run, struct bm_error *err)
{
	struct history *h = run->history;
	enum bm_status status = bm_catalog_together(h->c, err);

	if (status != BM_OK)
		return status;
	status = bm_catalog_run_begin(h->c, run->id, run->opt.kind != NULL ? run->opt.kind : "run", run->permits,
	                              h->start_ns, &h->r, err);
	if (status == BM_OK)
		status = put_jobs(run, err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++)
		if (run->job_runs[i].job->p.after.count == 0)
			status = resume_open(&run->job_runs[i], err);
	return bm_catalog_together_end(h->c, status, err);
}

void history_begin(struct bm_run *run)
{
	struct bm_catalog_options opt = {.dir = run->opt.state_dir, .busy_ms = BUSY_MS};
	struct bm_error err = BM_ERROR_INIT;
	struct history *h;
	enum bm_status status;

	if (run->opt.state_dir == NULL)
		return;
	h = run->history = calloc(1, sizeof(*h));
	if (h == NULL)
		return; /* a run that is this short of memory has other troubles to tell of */
	h->start_ns = bm_catalog_now();
	atomic_init(&h->next_update_ms, UPDATE_MS); /* a short run needs none before its end */
	h->cwd = getcwd(NULL, 0);
	if (h->cwd == NULL || h->cwd[0] != '/') { /* it was removed: nothing relative can be named */
		free(h->cwd);
		h->cwd = bm_memdup0("/", 1);
	}
	h->keys = bm_calloc_array(run->job_count + 1, sizeof(*h->keys));
	status = h->cwd == NULL || h->keys == NULL ? bm_error_set_nomem(&err) : BM_OK;
	if (status == BM_OK)
		status = bm_catalog_open(&opt, &h->c, &err);
	if (status == BM_OK)
		status = forget(run, &err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++)
		status = job_key(run->job_runs[i].job, h->cwd, h->keys[i], &err);
	if (status == BM_OK)
		status = begin_together(run, &err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		struct job_run *j = &run->job_runs[i];

		j->figures = bm_calloc_array(j->job->step_count + 1, sizeof(*j->figures));
		if (j->figures == NULL)
			status = bm_error_set_nomem(&err);
	}
	if (status != BM_OK)
		history_trouble(run, &err);
}

/* ---- while it goes on ---- */

static bool is_change(const struct bm_step *s)
{
	return s->kind->role == BM_ROLE_CHANGE;
}

/* How many bytes there were between two changes, as a digest or an output of the steps from `first` on tells. */
static bool bytes_from(const struct bm_job *job, const struct bm_file_result *r, size_t first, uint64_t *bytes)
{
	for (size_t i = first; i < job->step_count && !is_change(&job->steps[i]); i++) {
		for (size_t k = 0; k < r->digest_count; k++)
			if (r->digests[k].step == i) {
				*bytes = r->digests[k].length;
				return true;
			}
		for (size_t k = 0; k < r->output_count; k++)
			if (r->outputs[k].step == i && !r->outputs[k].skipped) {
				*bytes = r->outputs[k].bytes;
				return true;
			}
	}
	return false;
}

static void add_figures(struct job_run *j, const struct bm_file_result *r)
{
	uint64_t at = r->bytes;

	for (size_t i = 0; i < j->job->step_count; i++) {
		struct step_figures *f = &j->figures[i];

		f->files++;
		f->bytes_in += at;
		if (is_change(&j->job->steps[i]) && !bytes_from(j->job, r, i + 1, &at))
			at = 0;
		f->bytes_out += at;
	}
}

static void put_failure(struct job_run *j, const struct bm_file_result *r)
{
	struct bm_run *run = j->run;
	struct bm_error err = BM_ERROR_INIT;

	if (++j->failures > FAILURES_MAX)
		return;
	if (bm_catalog_run_add_failure(run->history->r, (unsigned)(j - run->job_runs), j->failures - 1, r->display,
	                               strlen(r->display), r->error, &err) != BM_OK)
		history_trouble(run, &err);
}

static void update(struct bm_run *run)
{
	struct history *h = run->history;
	uint64_t now = run_elapsed_coarse_ms(run), due = atomic_load_explicit(&h->next_update_ms, memory_order_relaxed);
	struct bm_error err;
	struct bm_catalog_counts counts;

	if (now < due || !atomic_compare_exchange_strong(&h->next_update_ms, &due, now + UPDATE_MS))
		return;
	counts = counts_of_run(run);
	bm_error_clear(&err);
	if (bm_catalog_run_update(h->r, &counts, bm_catalog_now(), &err) != BM_OK)
		history_trouble(run, &err);
}

void history_file(struct job_run *j, const struct bm_file_result *r)
{
	if (!is_good(j->run))
		return;
	if (r->state == BM_FILE_DONE)
		add_figures(j, r);
	else if (r->state == BM_FILE_FAILED && r->error != NULL)
		put_failure(j, r);
	update(j->run);
}

/* ---- the end ---- */

static int64_t at_ms(const struct bm_run *run, uint64_t elapsed_ms)
{
	return run->history->start_ns + (int64_t)elapsed_ms * 1000000;
}

void history_job_end(struct job_run *j, enum job_state state)
{
	struct bm_run *run = j->run;
	struct bm_catalog_counts counts = counts_of_job(j);
	enum bm_catalog_run_state on_record = state == JOB_DONE              ? BM_CATALOG_RUN_DONE
	                                      : atomic_load(&run->cancelled) ? BM_CATALOG_RUN_CANCELLED
	                                      : state == JOB_SKIPPED         ? BM_CATALOG_RUN_SKIPPED
	                                                                     : BM_CATALOG_RUN_FAILED;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_step *steps;

	if (!is_good(run) || run->history->r == NULL)
		return;
	steps = bm_calloc_array(j->job->step_count + 1, sizeof(*steps));
	if (steps == NULL)
		return;
	for (size_t i = 0; i < j->job->step_count; i++)
		steps[i] = (struct bm_catalog_step){
			j->job->steps[i].kind->name, j->figures[i].files, j->figures[i].bytes_in,
			j->figures[i].bytes_out, j->plan != NULL ? bm_plan_busy_ns(j->plan, i, j->scratch_count) : 0};
	if (bm_catalog_run_end_job(run->history->r, (unsigned)(j - run->job_runs), on_record, &counts,
	                           at_ms(run, j->start_ms), at_ms(run, run_elapsed_ms(run)), steps, j->job->step_count,
	                           &err) != BM_OK)
		history_trouble(run, &err);
	free(steps);
}

/* As the program has it (DESIGN.md); of one that a signal ended there is none. */
static int exit_code_of(enum bm_status status, const struct bm_summary *sum)
{
	if (status == BM_ERR_CANCELLED)
		return -1;
	for (int v = BM_VERDICT_CHANGED; v <= BM_VERDICT_MISSING; v++)
		if (sum->verdicts[v] > 0)
			return 3;
	return status == BM_OK && sum->bad_lines == 0 ? 0 : 1;
}

void history_end(struct bm_run *run, enum bm_status status, const struct bm_summary *sum)
{
	struct history *h = run->history;
	struct bm_catalog_counts counts;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_run *r;

	if (h == NULL || h->r == NULL)
		return;
	r = h->r;
	h->r = NULL;
	if (!is_good(run)) {
		bm_catalog_run_abandon(r);
		return;
	}
	counts = counts_of_run(run);
	if (bm_catalog_run_end(r,
	                       status == BM_OK              ? BM_CATALOG_RUN_DONE
	                       : status == BM_ERR_CANCELLED ? BM_CATALOG_RUN_CANCELLED
	                                                    : BM_CATALOG_RUN_FAILED,
	                       exit_code_of(status, sum), &counts, at_ms(run, sum->elapsed_ms), &sum->error,
	                       &err) != BM_OK)
		history_trouble(run, &err);
}

void history_destroy(struct history *h)
{
	if (h == NULL)
		return;
	bm_catalog_run_abandon(h->r);
	(void)!bm_catalog_close(h->c, NULL); /* what there is to say of it was said by the flush at the end */
	free(h->cwd);
	free(h->keys);
	free(h);
}
