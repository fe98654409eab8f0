/*
 * Jobs without JSON: a command such as `bytemill hash` puts one together here and hands it to a set. It goes through
 * the same table for defaults and the same checks as a job from a file, so the engine below knows one kind of job.
 */
#include "job_internal.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"

#define FILE_OF_BUILT "command line"

struct bm_job *bm_job_create(const char *name)
{
	struct job_node *n = calloc(1, sizeof(*n));
	size_t count;
	const struct bm_option *options = bm_job_options(&count);

	if (n == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (!job_value_default(&options[i], &n->job.p))
			goto fail;
	n->job.file = bm_memdup0(FILE_OF_BUILT, strlen(FILE_OF_BUILT));
	if (n->job.file == NULL)
		goto fail;
	if (name != NULL) {
		n->job.p.name = bm_memdup0(name, strlen(name));
		if (n->job.p.name == NULL)
			goto fail;
	}
	return &n->job;
fail:
	bm_job_destroy(&n->job);
	return NULL;
}

void bm_job_destroy(struct bm_job *job)
{
	size_t count;
	const struct bm_option *options = bm_job_options(&count);

	if (job == NULL)
		return;
	bm_params_fini(&job->p, options, count);
	for (size_t i = 0; i < job->step_count; i++) {
		const struct bm_step_kind *kind = job->steps[i].kind;

		bm_params_fini(&job->steps[i].p, kind->options, kind->option_count);
	}
	free(job->steps);
	free(job->file);
	free(job_node_of(job)->pointer);
	free(job_node_of(job));
}

struct bm_step *job_step_add(struct bm_job *job, const struct bm_step_kind *kind, unsigned index)
{
	struct bm_step *steps = bm_realloc_array(job->steps, job->step_count + 1, sizeof(*steps));
	struct bm_step *step;

	if (steps == NULL)
		return NULL;
	job->steps = steps;
	step = &steps[job->step_count];
	memset(step, 0, sizeof(*step));
	step->kind = kind;
	step->index = index;
	for (size_t i = 0; i < kind->option_count; i++) {
		if (!job_value_default(&kind->options[i], &step->p)) {
			bm_params_fini(&step->p, kind->options, kind->option_count);
			return NULL;
		}
	}
	if (kind->settle != NULL)
		kind->settle(&step->p, 0);
	job->step_count++;
	return step;
}

union bm_step_params *bm_job_add_step(struct bm_job *job, const char *kind)
{
	const struct bm_step_kind *k = bm_step_find(kind);
	struct bm_step *step = k != NULL ? job_step_add(job, k, (unsigned)job->step_count) : NULL;

	return step != NULL ? &step->p : NULL;
}

bool bm_strings_add(struct bm_strings *s, const char *item)
{
	char **items = bm_realloc_array(s->items, s->count + 1, sizeof(*items));
	char *copy;

	if (items == NULL)
		return false;
	s->items = items;
	copy = bm_memdup0(item, strlen(item));
	if (copy == NULL)
		return false;
	items[s->count++] = copy;
	return true;
}

/* Empties the read step. */
static enum bm_status reset_read(struct bm_job *job, struct bm_error *err)
{
	struct bm_step *step = &job->steps[0];

	for (size_t i = 1; i < job->step_count; i++)
		if (job->steps[i].kind->reads_manifest)
			return bm_error_set(err, BM_ERR_USAGE, NULL,
			                    "its step \"%s\" compares files with a list of them, and there is but one "
			                    "stream of bytes here",
			                    job->steps[i].kind->name);
	bm_params_fini(&step->p, step->kind->options, step->kind->option_count);
	memset(&step->p, 0, sizeof(step->p));
	step->p.read.hidden = true;
	return BM_OK;
}

enum bm_status bm_job_set_feed(struct bm_job *job, struct bm_feed *feed, const char *name, struct bm_error *err)
{
	enum bm_status status = reset_read(job, err);

	if (status == BM_OK) {
		job->steps[0].p.read.feed = feed;
		job->steps[0].p.read.feed_name = name;
	}
	return status;
}

enum bm_status bm_job_set_root(struct bm_job *job, const char *dir, struct bm_error *err)
{
	enum bm_status status = reset_read(job, err);

	if (status == BM_OK) {
		job->steps[0].p.read.literal = true;
		if (!bm_strings_add(&job->steps[0].p.read.from, dir))
			status = bm_error_set_nomem(err);
	}
	return status;
}

bool job_set_take(struct job_set *set, struct job_node *n)
{
	struct bm_job **jobs;
	size_t count = set->pub.count;

	/* Room grows by doubling: full exactly where count is a power of two. */
	if ((count & (count - 1)) == 0) {
		jobs = bm_realloc_array(set->pub.jobs, count == 0 ? 1 : count * 2, sizeof(struct bm_job *));
		if (jobs == NULL) {
			bm_job_destroy(&n->job);
			return false;
		}
		set->pub.jobs = jobs;
	}
	set->pub.jobs[set->pub.count++] = &n->job;
	return true;
}

static void check_options(struct job_report *r, const struct bm_option *options, size_t count, const void *params,
                          uint64_t *faulty)
{
	*faulty = 0;
	for (size_t i = 0; i < count; i++) {
		size_t mark = job_report_down(r, options[i].name);

		if (!job_value_check(r, &options[i], params))
			*faulty |= UINT64_C(1) << i;
		job_report_up(r, mark);
	}
}

/* Only string options can be told apart from unset ones, and only such are required. */
static bool is_unset(const struct bm_option *o, const void *params)
{
	const void *field = (const char *)params + o->offset;

	switch (o->type) {
	case BM_OPTION_STRING:
	case BM_OPTION_PATH:
	case BM_OPTION_TEMPLATE:
	case BM_OPTION_NAME:
		return *(char *const *)field == NULL;
	case BM_OPTION_PATHS:
	case BM_OPTION_FILES:
	case BM_OPTION_GLOBS:
	case BM_OPTION_STRINGS:
		return ((const struct bm_strings *)field)->count == 0;
	default:
		return false;
	}
}

static void check_built_step(struct job_report *r, const struct bm_step *step)
{
	const struct bm_step_kind *kind = step->kind;
	uint64_t faulty;

	check_options(r, kind->options, kind->option_count, &step->p, &faulty);
	for (size_t i = 0; i < kind->option_count; i++)
		if (kind->options[i].required && is_unset(&kind->options[i], &step->p))
			job_fault(r, JOB_FAULT, NULL, "\"%s\" is missing", kind->options[i].name);
	if (faulty == 0)
		job_check_step(r, step, 0);
}

enum bm_status bm_jobs_adopt(struct bm_jobs *jobs, struct bm_job *job, struct bm_error *err)
{
	struct job_set *set = job_set_of(jobs);
	const struct bm_step_kind *kinds[JOB_MAX_STEPS] = {NULL};
	struct job_report r;
	uint64_t faulty;
	size_t count;
	size_t mark;
	const struct bm_option *options = bm_job_options(&count);

	job->is_built = true;
	job_report_init(&r, set, NULL, FILE_OF_BUILT, err);
	check_options(&r, options, count, &job->p, &faulty);
	if (job->p.name == NULL)
		job_fault(&r, JOB_FAULT, NULL, "the job has no name");
	mark = job_report_down(&r, "steps");
	if (job->step_count == 0)
		job_fault(&r, JOB_FAULT, NULL, "the job has no steps");
	if (job->step_count > JOB_MAX_STEPS)
		job_fault(&r, JOB_FAULT, NULL, "the job has %zu steps; allowed: 1 to %d", job->step_count,
		          JOB_MAX_STEPS);
	for (size_t i = 0; i < job->step_count && i < JOB_MAX_STEPS; i++) {
		size_t inner = job_report_down_index(&r, i);

		kinds[i] = job->steps[i].kind;
		check_built_step(&r, &job->steps[i]);
		job_report_up(&r, inner);
	}
	job_report_up(&r, mark);
	if (job->step_count > 0 && job->step_count <= JOB_MAX_STEPS)
		job_check_shape(&r, kinds, job->step_count);
	job_check_job(&r, job_node_of(job));
	if (!job_set_take(set, job_node_of(job)))
		r.oom = true;
	return job_report_fini(&r);
}
