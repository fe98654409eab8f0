/*
 * job_run.c - one job of a run on the engine: the flow's callbacks.
 *
 * next()   makes the next stream (struct bm_file): job_next.c.
 * end()    closes the file's steps (outputs take their names here, or wait for others in a group: job_group.c), and puts
 *          its result as a record into the order.
 * emitted  in listing order, one at a time: manifest lines, the report's line, on_file. A verify step holds the report
 *          of what is in the manifest or in the tree only; it is released in done(), when it is known what has moved.
 * done()   publishes manifests and combined outputs, syncs directories, and tells the run.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_report.h"
#include "history.h"
#include "job_group.h"
#include "job_remove.h"
#include "resume.h"
#include "run_internal.h"

/* Finished files that wait for an earlier one: beyond this, all jobs together, they are spilled to disk. */
#define ORDER_MEMORY ((size_t)8 << 20)

static void job_stop(struct job_run *j)
{
	atomic_store(&j->stop, true);
	pthread_mutex_lock(&j->flow_lock);
	if (j->flow != NULL)
		bm_flow_cancel(j->flow);
	pthread_mutex_unlock(&j->flow_lock);
}

void job_run_cancel(struct job_run *j)
{
	job_stop(j);
}

/* Trouble that belongs to no file: the job cannot be a success any more. */
void job_trouble(struct job_run *j, const struct bm_error *err)
{
	run_error(j->run, j, err);
	job_stop(j);
}

/* That of the order, which every file that comes after it meets again. */
static void order_trouble(struct job_run *j, const struct bm_error *err)
{
	if (!atomic_exchange(&j->order_told, true))
		job_trouble(j, err);
}

/* ---- callbacks ---- */

static void file_blocks(struct bm_file *f, struct bm_file_result *r)
{
	struct bm_file_blocks *b = (struct bm_file_blocks *)(void *)f->results->blocks.data;
	const uint8_t *bytes = (const uint8_t *)f->results->block_bytes.data;

	r->blocks = b;
	r->blocks_count = f->results->blocks.len / sizeof(*b);
	for (size_t i = 0; i < r->blocks_count; i++) {
		b[i].bytes = bytes;
		bytes += b[i].count * b[i].digest_len;
	}
}

void job_file_result(const struct job_run *j, struct bm_file *f, const struct bm_error *err, struct bm_file_result *r)
{
	struct bm_file_digest *d = (struct bm_file_digest *)(void *)f->results->digests.data;
	const uint8_t *bytes = (const uint8_t *)f->results->digest_bytes.data;

	memset(r, 0, sizeof(*r));
	r->verdict = f->verdict;
	r->has_mtime = f->has_mtime;
	r->mtime_ns = f->mtime_ns;
	r->job = j->job->p.name;
	r->path = f->entry->path;
	r->display = f->entry->display;
	r->bytes = f->bytes_in;
	r->warnings = f->warnings.len > 0 ? f->warnings.data : NULL;
	r->state = f->skipped ? BM_FILE_SKIPPED : BM_FILE_DONE;
	r->removed = f->removed;
	if (err->status != BM_OK) {
		r->state = BM_FILE_FAILED;
		r->error = err;
		if (f->verdict == BM_VERDICT_NONE)
			return;
	}
	r->digests = d;
	/* A file that failed for want of memory may have digests without their bytes. */
	if (!f->results->digests.oom && !f->results->digest_bytes.oom)
		r->digest_count = f->results->digests.len / sizeof(*d);
	for (size_t i = 0; i < r->digest_count; i++) {
		d[i].bytes = bytes;
		bytes += d[i].len;
	}
	r->damage = f->damage;
	if (!f->results->blocks.oom && !f->results->block_bytes.oom)
		file_blocks(f, r);
	if (err->status != BM_OK)
		return;
	r->outputs = (const struct bm_file_output *)(const void *)f->results->outputs.data;
	r->output_count = f->results->outputs.len / sizeof(*r->outputs);
	/* Skipped is a file all of whose outputs were left as they are, and that gave nothing else. */
	bool kept = r->output_count > 0 && r->digest_count == 0;
	for (size_t i = 0; i < r->output_count && kept; i++)
		kept = r->outputs[i].skipped;
	if (kept)
		r->state = BM_FILE_SKIPPED;
}

/* What becomes of it is known at the end only. */
static bool is_held(const struct job_run *j, const struct bm_file_result *r)
{
	return j->plan->verifier > 0 && !j->plan->holds_nothing &&
	       (r->verdict == BM_VERDICT_NEW || r->verdict == BM_VERDICT_MISSING);
}

static void count_result(struct job_run *j, const struct bm_file_result *r)
{
	struct bm_run *run = j->run;

	switch (r->state) {
	case BM_FILE_DONE:
		atomic_fetch_add(&run->files_done, 1);
		atomic_fetch_add(&j->fine, 1);
		break;
	case BM_FILE_SKIPPED:
		atomic_fetch_add(&run->files_skipped, 1);
		atomic_fetch_add(&j->kept, 1);
		atomic_fetch_add(&j->fine, 1);
		break;
	case BM_FILE_FAILED:
		atomic_fetch_add(&run->files_failed, 1);
		atomic_fetch_add(&j->failed, 1);
		if (j->job->p.on_error == BM_ON_ERROR_STOP)
			job_stop(j);
		break;
	}
	run_tick(run);
}

void job_file_over(struct job_run *j, struct bm_file *f, const struct bm_error *failure, struct job_scratch *scratch)
{
	struct bm_file_results *res = f->results;
	struct bm_file_result r;
	struct bm_error err;

	bm_error_clear(&err);
	if (failure != NULL)
		err = *failure;
	else if (f->is_complete)
		resume_give(j, f, &r);
	else if (res->digests.oom || res->digest_bytes.oom || res->outputs.oom || res->blocks.oom ||
	         res->block_bytes.oom || f->warnings.oom)
		(void)bm_error_set_nomem(&err);
	if (f->is_complete && failure == NULL) {
		scratch->record.oom =
			scratch->record.oom || res->digests.oom || res->digest_bytes.oom || res->outputs.oom;
		bm_record_encode(&scratch->record, &r);
		count_result(j, &r);
	} else if (err.status == BM_ERR_CANCELLED) {
		/* Given up, not failed: an empty record keeps its place in the order. */
		memset(&r, 0, sizeof(r));
	} else {
		job_file_result(j, f, &err, &r);
		resume_put(j, f, &r, scratch);
		bm_record_encode(&scratch->record, &r);
		if (!is_held(j, &r))
			count_result(j, &r);
	}
	/* Always put, also a record that memory was too short for: the order then fails by itself, and nobody waits for it. */
	bm_error_clear(&err);
	if (bm_order_put(j->order, f->index, &scratch->record, &err) != BM_OK)
		order_trouble(j, &err);
	bm_file_results_reset(res);
	bm_file_destroy(f);
}

static void job_end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *verdict)
{
	struct job_run *j = ctx;
	struct bm_file *f = stream;
	struct job_scratch *scratch = &j->scratch[bm_worker_index(w)];
	struct bm_error err;

	bm_error_clear(&err);
	f->results = &scratch->results;
	if (job_again_wanted(j, f, verdict, w)) {
		(void)bm_plan_close_file(j->plan, f, w, verdict, &err);
		bm_file_drop_waiting(f);
		bm_file_results_reset(f->results);
		job_again_put(j, f);
		bm_file_destroy(f);
		return;
	}
	bool is_url = f->entry->kind == BM_ENTRY_URL;
	if (!f->is_complete)
		(void)bm_plan_close_file(j->plan, f, w, verdict, &err);
	else if (j->removal != NULL && resume_left_output(f)) /* it has met no step */
		f->keep = "an output was there already and was left as it was";
	if (err.status != BM_OK || !job_group_wants(j, f) || job_group_add(j, f, w, &err) != BM_OK) {
		bm_file_drop_waiting(f);
		if (err.status == BM_OK && j->removal != NULL && !f->skipped && f->verdict <= BM_VERDICT_OK)
			bm_file_warn(f, "not removed: %s", f->keep != NULL ? f->keep : "it is no regular file");
		job_file_over(j, f, err.status != BM_OK ? &err : NULL, scratch);
	}
	if (is_url) /* it will not come back, though it may wait in a group until the job's end */
		job_again_closed(j);
}

static bool decode(struct job_run *j, const void *data, size_t len)
{
	struct bm_error err;

	if (bm_record_decode(&j->view, data, len)) {
		j->view.file.job = j->job->p.name;
		return true;
	}
	bm_error_clear(&err);
	if (j->view.oom)
		(void)bm_error_set_nomem(&err);
	else
		(void)bm_error_set(&err, BM_ERR_FAILED, NULL,
		                   "a result was damaged in memory or in the temporary file");
	order_trouble(j, &err);
	return false;
}

/* Tells of the result in j->view. */
static void tell_result(struct job_run *j)
{
	struct bm_run *run = j->run;

	if (j->view.file.verdict != BM_VERDICT_NONE)
		j->verdicts[j->view.file.verdict]++;
	if (run->opt.report == NULL && run->opt.on_file == NULL)
		return;
	pthread_mutex_lock(&run->report_lock);
	if (run->opt.report != NULL) {
		bm_buf_reset(&j->line);
		bm_report_file(&j->line, &j->view.file);
		run_report(run, &j->line);
	}
	if (run->opt.on_file != NULL)
		run->opt.on_file(run->opt.ctx, &j->view.file);
	pthread_mutex_unlock(&run->report_lock);
}

static void job_emit(void *ctx, const void *data, size_t len)
{
	struct job_run *j = ctx;
	const struct bm_file_result *r = &j->view.file;

	if (len == 0 || !decode(j, data, len))
		return;
	bool held = is_held(j, r);
	bool good = bm_plan_emit(j->plan, r);
	good = bm_plan_hold(j->plan, r, held ? data : NULL, held ? len : 0) && good;
	if (!good)
		job_stop(j);
	if (!held) {
		history_file(j, r);
		tell_result(j);
	}
}

static void job_release(void *ctx, const void *record, size_t len, enum bm_verdict verdict, const char *other,
                        const struct bm_error *err)
{
	struct job_run *j = ctx;

	if (!decode(j, record, len))
		return;
	j->view.file.verdict = verdict;
	j->view.file.other = other;
	if (err != NULL && j->view.file.error != NULL)
		j->view.file.error = err;
	count_result(j, &j->view.file);
	history_file(j, &j->view.file);
	tell_result(j);
}

void job_run_passed_over(struct job_run *j, const struct bm_walk *w, uint64_t own_outputs,
                         void (*say)(void *arg, const char *text), void *arg)
{
	struct bm_walk_counts c;

	bm_walk_get_counts(w, &c);
	j->passed_over =
		(struct bm_passed_over){c.symlinks, c.special, c.other_filesystem, c.own_outputs + own_outputs};

	const struct {
		uint64_t count;
		const char *one, *many;
	} rows[] = {
		{c.symlinks, "symbolic link was not followed", "symbolic links were not followed"},
		{c.special, "socket, pipe or device was passed over", "sockets, pipes and devices were passed over"},
		{c.other_filesystem, "directory on another file system was passed over",
	         "directories on other file systems were passed over"},
		{j->passed_over.own_outputs, "input was passed over: it is an output of this run",
	         "inputs were passed over: they are outputs of this run"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[128];

		if (rows[i].count == 0)
			continue;
		snprintf(text, sizeof(text), "%llu %s", (unsigned long long)rows[i].count,
		         rows[i].count == 1 ? rows[i].one : rows[i].many);
		say(arg, text);
	}
}

static void say_message(void *arg, const char *text)
{
	struct job_run *j = arg;

	run_message(j->run, j->job, "%s", text);
}

static bool has_fixed_output(const struct job_run *j)
{
	for (size_t i = 1; i < j->job->step_count; i++) {
		const struct bm_step_ops *ops = j->job->steps[i].kind->ops;

		if (ops->fixed_output != NULL && ops->fixed_output(j->plan->shared[i], 0) != NULL)
			return true;
	}
	return false;
}

static void job_done(void *ctx)
{
	struct job_run *j = ctx;
	struct bm_run *run = j->run;
	job_groups_end(j);
	job_again_give_up(j);
	bool good = !atomic_load(&j->stop) && !bm_order_failed(j->order);
	good = bm_plan_release(j->plan, good, job_release, j) && good;
	/* Yesterday's manifest is worth more than an empty one: the disk with the inputs may not be there today. */
	bool nothing = atomic_load(&j->failed) > 0 && atomic_load(&j->fine) == 0;
	bool is_finished = bm_plan_finish(j->plan, good && !nothing);
	struct bm_error err;

	if (good && nothing && is_finished && has_fixed_output(j)) {
		is_finished = false;
		bm_error_clear(&err);
		(void)bm_error_set(&err, BM_ERR_FAILED, j->job->p.name,
		                   "no input could be used: manifests and combined outputs were left as they were");
		run_error(run, j, &err);
	}
	for (int d = 0; d < BM_DURABLE_COUNT; d++) {
		bm_error_clear(&err);
		if (bm_sink_set_sync(run->sinks[d], &err) == BM_OK)
			continue;
		is_finished = false;
		run_error(run, j, &err);
	}
	if (!job_removal_end(j, good && is_finished))
		is_finished = false;
	resume_end(j, good && is_finished);
	job_run_passed_over(j, j->walk, j->own_outputs, say_message, j);
	run_job_over(j, good && is_finished && atomic_load(&j->failed) == 0 ? JOB_DONE : JOB_FAILED);
}

/* ---- start ---- */

/* What its steps read may only have been written by the jobs before it: then its plan is another one now. */
static enum bm_status load_late(struct job_run *j, struct bm_error *err)
{
	struct bm_plan *fresh, *old;
	enum bm_status status;
	bool any = false;

	for (size_t i = 0; i < j->job->step_count; i++)
		any = any || j->job->steps[i].kind->ops->load != NULL;
	if (!any)
		return BM_OK;
	status = bm_plan_load(&j->ctx, err);
	if (status == BM_OK)
		status = bm_plan_create(&j->ctx, &fresh, err);
	if (status != BM_OK)
		return status;
	outputs_lock(j->run->outputs);
	old = j->plan;
	j->plan = fresh;
	outputs_unlock(j->run->outputs);
	bm_plan_destroy(old);
	return BM_OK;
}

enum bm_status job_run_start(struct job_run *j, struct bm_error *err)
{
	struct bm_pipeline pl = {
		.next = job_next,
		.end = job_end,
		.done = job_done,
		.ctx = j,
	};
	enum bm_status status = BM_OK;

	if (j->job->p.after.count > 0)
		status = load_late(j, err);
	if (status != BM_OK)
		return status;
	j->scratch_count = j->run->permits + j->run->io_depth;
	if (j->run->history != NULL)
		status = bm_plan_time(j->plan, j->scratch_count, err);
	if (status != BM_OK)
		return status;
	pl.segments = j->plan->segments;
	pl.segment_count = j->plan->segment_count;
	j->scratch = bm_calloc_array(j->scratch_count, sizeof(*j->scratch));
	if (j->scratch == NULL)
		return bm_error_set_nomem(err);
	status = job_groups_create(&j->groups, err);
	if (status == BM_OK && j->job->steps[0].p.read.remove)
		status = job_removal_create(has_fixed_output(j), &j->removal, err);
	if (status != BM_OK)
		return status;
	status = bm_order_create(ORDER_MEMORY / j->run->job_count, job_emit, j, &j->order, err);

	if (status == BM_OK)
		status = outputs_check_late(j->run->outputs, j, err);
	if (status == BM_OK)
		resume_begin(j);
	if (status == BM_OK)
		status = bm_plan_walk(j->plan, (const char *const *)j->skip_paths, j->skip_count, false, &j->walk, err);
	if (status != BM_OK)
		return status;
	/* Held until flow is set: a callback that wants to cancel waits here for a moment. */
	pthread_mutex_lock(&j->flow_lock);
	status = bm_flow_start(j->run->pool, &pl, &j->flow, err);
	if (status == BM_OK && atomic_load(&j->stop))
		bm_flow_cancel(j->flow);
	pthread_mutex_unlock(&j->flow_lock);
	return status;
}
