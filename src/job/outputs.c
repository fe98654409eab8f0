/*
 * outputs.c - which paths a run will write: conflicts among them, and inputs that are outputs.
 *
 * Most jobs need no look at the inputs. One read root and a target that keeps the whole {path} cannot write one path
 * twice, and targets in separate directories cannot hit each other. A directory of outputs below a read root is simply
 * left out of the walk, as are manifests and combined outputs.
 *
 * Otherwise (several roots, targets like {name}, outputs beside the inputs) the inputs are listed once before anything
 * is written, and the real path of every output goes into a set: one that is there already is a conflict, and both
 * inputs are named. Inputs whose own path is in the set are outputs of this run (of x, x.gz) and are not read. What can
 * be listed only once (names from standard input) is claimed file by file as it comes.
 *
 * What a job wrote is an input like any other for the jobs that come "after" it: that is what people chain jobs for.
 * Where it lies in the way of their roots they can be listed only when they start.
 *
 * An input that the job file names itself, and that is also a manifest or combined output, is an error: passed over, it
 * would be replaced by what is made without it.
 *
 * What is where: outputs_collect.c gathers what is known without inputs (targets, roots, manifests), this file decides
 * from it what must be listed and what the walks leave out, outputs_places.c looks whether manifests can be made,
 * outputs_claim.c lists and compares one input after the other, and outputs_real.c says what the path of a file that is
 * not there yet will be.
 */
#include "outputs_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bm_catalog_runs.h"
#include "bm_error.h"
#include "bm_mutex.h"
#include "bm_text.h"

/* ---- must the inputs be looked at? ---- */

static bool add_skip(struct job_run *j, const char *path)
{
	char **more = bm_realloc_array(j->skip_paths, j->skip_count + 1, sizeof(*more));
	size_t len = strlen(path);

	if (more == NULL)
		return false;
	j->skip_paths = more;
	while (len > 1 && path[len - 1] == '/')
		len--;
	more[j->skip_count] = bm_memdup0(path, len);
	return more[j->skip_count] != NULL && ++j->skip_count > 0;
}

static bool has_unique_names(const struct job_run *j)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;

	return rp->from.count + rp->urls.count == 1 && rp->files_from == NULL && rp->urls_from == NULL;
}

static bool dirs_overlap(const char *a, const char *b)
{
	return outputs_is_below(a, b) || outputs_is_below(b, a);
}

static void mark_before(struct bm_run *run, const struct job_run *j, bool *before)
{
	for (size_t i = 0; i < j->job->p.after.count; i++) {
		struct job_run *other = run_find_job(run, j->job->p.after.items[i]);
		size_t at = (size_t)(other - run->job_runs);

		if (before[at])
			continue;
		before[at] = true;
		mark_before(run, other, before);
	}
}

/* What the walk of root r leaves out of the outputs of target t, and what must be listed for that. */
static bool decide_root(struct outputs *o, struct outputs_root *r, struct outputs_target *t)
{
	if (outputs_is_before(t->j, r->j)) {
		r->j->list_late = r->j->list_late || dirs_overlap(t->dir, r->real);
	} else if (strlen(t->dir) > strlen(r->real) && outputs_is_below(t->dir, r->real)) {
		return add_skip(r->j, t->dir);
	} else if (outputs_is_below(r->real, t->dir)) {
		t->j->is_listed = true;
		o->any_inputs = true;
	}
	return true;
}

/* Marks the jobs whose outputs have to be listed, and what the walks leave out. */
static bool decide(struct bm_run *run, struct outputs *o)
{
	bool ok = true;

	for (size_t k = 0; k < run->job_count; k++) {
		struct job_run *j = &run->job_runs[k];

		if (j->job->p.after.count == 0)
			continue;
		j->before = bm_calloc_array(run->job_count, sizeof(*j->before));
		if (j->before == NULL)
			return false;
		mark_before(run, j, j->before);
	}
	for (size_t i = 0; i < o->target_count && ok; i++) {
		struct outputs_target *t = &o->targets[i];
		const struct bm_step_ops *ops = t->j->job->steps[t->step].kind->ops;

		if (!has_unique_names(t->j) || !ops->target_is_injective(t->j->plan->shared[t->step]))
			t->j->is_listed = true;
		for (size_t k = 0; k < i; k++) {
			if (dirs_overlap(t->dir, o->targets[k].dir))
				t->j->is_listed = o->targets[k].j->is_listed = true;
		}
		for (size_t k = 0; k < o->root_count && ok; k++)
			ok = decide_root(o, &o->roots[k], t);
	}
	for (size_t i = 0; i < o->fixed_count; i++) {
		struct outputs_fixed *f = &o->fixed[i];

		for (size_t k = 0; k < run->job_count && ok; k++)
			ok = outputs_is_before(f->j, &run->job_runs[k]) || add_skip(&run->job_runs[k], f->real);
		for (size_t k = 0; k < o->root_count; k++)
			if (outputs_is_before(f->j, o->roots[k].j) && outputs_is_below(f->real, o->roots[k].real))
				o->roots[k].j->list_late = true;
		for (size_t k = 0; k < o->target_count; k++)
			o->fixed_near = o->fixed_near || outputs_is_below(f->real, o->targets[k].dir);
	}
	for (size_t k = 0; k < run->job_count; k++) {
		struct job_run *j = &run->job_runs[k];

		j->check_late = j->is_listed && bm_plan_lists_once(j->job);
	}
	return ok;
}

/* The catalog changes while it is read. The rest of its directory is as good an input as any. */
static bool skip_catalog(struct bm_run *run)
{
	static const char *const names[] = {BM_CATALOG_FILE, BM_CATALOG_FILE "-journal", BM_CATALOG_RUNS_FILE};
	bool ok = true;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && run->opt.state_dir != NULL && ok; i++) {
		struct bm_buf path = {0};
		char *real;

		bm_buf_printf(&path, "%s/%s", run->opt.state_dir, names[i]);
		real = path.oom ? NULL : outputs_real_path(path.data);
		ok = real != NULL;
		for (size_t k = 0; k < run->job_count && ok; k++)
			ok = add_skip(&run->job_runs[k], real);
		free(real);
		bm_buf_fini(&path);
	}
	return ok;
}

/* ---- what can be refused without them ---- */

/* See the head of this file. */
static enum bm_status check_named(const struct outputs *o, struct bm_error *err)
{
	for (size_t i = 0; i < o->root_count; i++) {
		const struct outputs_root *r = &o->roots[i];
		char path[512];

		for (size_t k = 0; r->file != NULL && k < o->fixed_count; k++)
			if (!outputs_is_before(o->fixed[k].j, r->j) && strcmp(o->fixed[k].real, r->file) == 0)
				return bm_error_set(
					err, BM_ERR_CONFLICT,
					bm_escape_display_buf(path, sizeof(path), r->file, strlen(r->file)),
					"this file is named as an input and would be replaced as an output; write the output "
					"under another name, or take it out of the inputs");
	}
	return BM_OK;
}

/* No two of them in one place, by whatever names they go. */
static enum bm_status check_fixed(const struct outputs *o, struct bm_error *err)
{
	for (size_t i = 0; i < o->fixed_count; i++) {
		char path[512];

		for (size_t k = 0; k < i; k++)
			if ((!o->fixed[i].is_descriptor || !o->fixed[k].is_descriptor) &&
			    !outputs_is_before(o->fixed[i].j, o->fixed[k].j) &&
			    !outputs_is_before(o->fixed[k].j, o->fixed[i].j) &&
			    strcmp(o->fixed[i].real, o->fixed[k].real) == 0)
				return bm_error_set(
					err, BM_ERR_CONFLICT,
					bm_escape_display_buf(path, sizeof(path), o->fixed[i].real,
				                              strlen(o->fixed[i].real)),
					"the report, the log or standard output goes here, and so does a manifest or combined "
					"output; give one of them another name");
	}
	return BM_OK;
}

/* ---- all of it ---- */

enum bm_status outputs_check(struct bm_run *run, struct bm_error *err)
{
	struct outputs *o = calloc(1, sizeof(*o));
	enum bm_status status = BM_OK;
	bool ok = true;

	if (o == NULL)
		return bm_error_set_nomem(err);
	int rc = bm_mutex_init_short(&o->lock);
	if (rc != 0) {
		free(o);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	run->outputs = o;
	status = path_set_init(&o->set, run->memory, err);
	if (status != BM_OK)
		return status;
	for (size_t i = 0; i < run->job_count && ok; i++)
		ok = outputs_collect(o, &run->job_runs[i]);
	if (!ok || !decide(run, o) || !skip_catalog(run))
		return bm_error_set_nomem(err);
	status = check_named(o, err);
	if (status == BM_OK)
		status = check_fixed(o, err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++)
		status = outputs_check_places(&run->job_runs[i], err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		struct job_run *j = &run->job_runs[i];

		if (j->is_listed && !j->check_late && !j->list_late)
			status = outputs_claim_all(o, j, err);
	}
	return status;
}

enum bm_status outputs_check_late(struct outputs *o, struct job_run *j, struct bm_error *err)
{
	enum bm_status status;

	if (!j->is_listed || j->check_late || !j->list_late)
		return BM_OK;
	pthread_mutex_lock(&o->lock);
	status = outputs_claim_all(o, j, err);
	pthread_mutex_unlock(&o->lock);
	return status;
}

void outputs_destroy(struct outputs *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->target_count; i++)
		free(o->targets[i].dir);
	for (size_t i = 0; i < o->root_count; i++) {
		free(o->roots[i].real);
		free(o->roots[i].file);
	}
	for (size_t i = 0; i < o->fixed_count; i++)
		free(o->fixed[i].real);
	free(o->targets);
	free(o->roots);
	free(o->fixed);
	path_set_fini(&o->set);
	bm_buf_fini(&o->path);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void outputs_lock(struct outputs *o)
{
	pthread_mutex_lock(&o->lock);
}

void outputs_unlock(struct outputs *o)
{
	pthread_mutex_unlock(&o->lock);
}
