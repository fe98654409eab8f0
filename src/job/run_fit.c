/*
 * run_fit.c - what a run takes of the machine: memory, threads, open files.
 *
 * The plans of all jobs say how much memory one chunk on its way and one thread's codecs need. From these and the budget
 * come the number of threads, which is lowered where memory is short, and what is left for buffers.
 */
#include <sys/resource.h>

#include "bm_cpus.h"
#include "bm_error.h"
#include "bm_text.h"
#include "run_internal.h"

#define MOST_UPLOADS 16

/* A quarter of the memory, the job's share of it, is for parts of uploads; as many files are open at once as that allows,
 * one at the least. */
static size_t uploads_bytes(struct bm_run *run, const struct bm_plan *p)
{
	size_t share = (size_t)run->memory / 4 / run->job_count, files;

	if (p->stream_bytes == 0)
		return 0;
	files = share / p->stream_bytes;
	if (files == 0)
		files = 1;
	if (files > MOST_UPLOADS)
		files = MOST_UPLOADS;
	if (run->most_uploads == 0 || files < run->most_uploads)
		run->most_uploads = (unsigned)files;
	return files * p->stream_bytes;
}

/* ahead: what all jobs together may take to read ahead. */
static enum bm_status make_plans(struct bm_run *run, size_t ahead, size_t *state_bytes, size_t *fixed_bytes,
                                 size_t *min_bytes, struct bm_error *err)
{
	*state_bytes = *fixed_bytes = *min_bytes = 0;
	for (size_t i = 0; i < run->job_count; i++) {
		struct job_run *j = &run->job_runs[i];
		struct bm_pipeline pl = {0};

		bm_plan_destroy(j->plan);
		j->plan = NULL;
		j->ctx.permits = run->permits;
		j->ctx.ahead_bytes = ahead / run->job_count;
		enum bm_status status = bm_plan_create(&j->ctx, &j->plan, err);
		if (status != BM_OK)
			return status;
		pl.segments = j->plan->segments;
		pl.segment_count = j->plan->segment_count;
		size_t need = bm_flow_min_bytes(&pl);
		if (need > *min_bytes)
			*min_bytes = need;
		*state_bytes += j->plan->state_bytes;
		*fixed_bytes += j->plan->fixed_bytes + uploads_bytes(run, j->plan);
	}
	return BM_OK;
}

/* Without a word from anybody at most half of what there is: the rest is for codecs, libraries and the page cache, which
 * counts in a control group too. */
static uint64_t wanted_memory(const struct bm_run *run)
{
	uint64_t most = 0;

	if (run->opt.memory_bytes > 0)
		return run->opt.memory_bytes;
	for (size_t i = 0; i < run->job_count; i++)
		if (run->job_runs[i].job->p.memory > most)
			most = run->job_runs[i].job->p.memory;
	if (most > 0)
		return most;
	most = bm_memory_limit() / 2;
	return most < DEFAULT_MEMORY ? most : DEFAULT_MEMORY;
}

/* Is there a job file to say it in? */
static bool has_chunks(const struct bm_run *run)
{
	for (size_t i = 0; i < run->job_count; i++)
		if (!run->job_runs[i].job->is_built)
			return true;
	return false;
}

enum bm_status run_fit(struct bm_run *run, size_t *buffers, struct bm_error *err)
{
	size_t state_bytes, fixed_bytes, min_bytes;
	enum bm_status status;

	run->memory = wanted_memory(run);
	size_t ahead = (size_t)run->memory / 4;
	status = make_plans(run, ahead, &state_bytes, &fixed_bytes, &min_bytes, err);
	if (status != BM_OK)
		return status;
	size_t each = state_bytes / run->permits;
	if (run->memory - fixed_bytes < min_bytes + each &&
	    fixed_bytes > 0) { /* reading ahead is what can be done without */
		ahead = 0;
		status = make_plans(run, ahead, &state_bytes, &fixed_bytes, &min_bytes, err);
		if (status != BM_OK)
			return status;
	}
	uint64_t left = fixed_bytes < run->memory ? run->memory - fixed_bytes : 0;
	if (left < min_bytes + each) {
		char have[16], want[16];

		return bm_error_set(
			err, BM_ERR_USAGE, NULL, "memory is %s, but these steps need %s at the least; raise memory%s",
			bm_size_format(run->memory, have), bm_size_format(fixed_bytes + min_bytes + each, want),
			has_chunks(run) ? " or lower chunk" : "");
	}
	if (run->is_guest) {
		/* Its chunks are the pool's, and none of its threads can be left out. */
		if (left / run->permits < each)
			return bm_error_set(err, BM_ERR_USAGE, NULL,
			                    "memory is too little for a codec state for each of %u threads",
			                    run->permits);
	} else if (left / run->permits < min_bytes + each) {
		run->permits = (unsigned)(left / (min_bytes + each));
		status = make_plans(run, ahead, &state_bytes, &fixed_bytes, &min_bytes, err);
	}
	*buffers = (size_t)left - state_bytes;
	return status;
}

/* Directories that are kept open are given up where there are none left, so that they count little. */
unsigned run_most_open_files(const struct bm_run *run)
{
	struct rlimit r;
	uint64_t each = 1, left;

	for (size_t i = 0; i < run->job_count; i++) {
		uint64_t need = 1; /* the input; then a temp file for each output, and the old one of an append */

		for (size_t k = 1; k < run->job_runs[i].job->step_count; k++)
			if (run->job_runs[i].job->steps[k].kind->ops == &bm_write_ops)
				need += 2;
		if (need > each)
			each = need;
	}
	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
		return run->most_uploads;
	left = r.rlim_cur - r.rlim_cur / 8; /* src/io keeps up to an eighth for directories of inputs */
	left = left > 16 ? (left - 16) / each : 0;
	if (run->most_uploads > 0 && left > run->most_uploads)
		left = run->most_uploads;
	return left < 1 ? 1 : left > 4096 ? 4096 : (unsigned)left;
}
