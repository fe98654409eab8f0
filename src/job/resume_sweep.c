/*
 * resume_sweep.c - what killed runs of a job have left: temporary files, where this run comes to write, and where those
 * wrote. See resume.c. By the worker that would open a file, many at once.
 *
 * The two are not the same directory where a path holds the date or the run: the job that was killed last night has left
 * its temporary files in last night's directory, to which no run ever comes again. So such a path is expanded once more
 * for each of the killed runs, with its id and the day on which it began. Each directory is looked at once.
 *
 * A directory may be held there and then: by a group of files of this very run, which another worker has put there while
 * this one was about to look. The catalog says that the killed runs are over, so that need not stop it.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_sink.h"
#include "bm_url.h"
#include "resume_internal.h"

static void sweep_dir_of(struct job_run *j, const char *path)
{
	struct resume *r = j->resume;
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
	char *dir = bm_memdup0(len > 0 ? path : ".", len > 0 ? len : 1);
	struct bm_error err = BM_ERROR_INIT;
	bool was_in = true;
	uint64_t removed = 0;

	if (dir == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	if (path_set_add(&r->swept, path_set_key(&r->swept, dir, strlen(dir), 0), &was_in, &err) != BM_OK)
		was_in = false; /* more directories than there is room for: then again */
	pthread_mutex_unlock(&r->lock);
	if (!was_in &&
	    bm_sink_sweep_runs(dir, (const char *const *)r->dead.items, r->dead.count, true, &removed, NULL) == BM_OK) {
		pthread_mutex_lock(&r->lock);
		r->removed += removed;
		pthread_mutex_unlock(&r->lock);
	}
	free(dir);
}

/* ---- where the killed runs wrote ---- */

/* Where text leads for each of them; algorithm may be NULL, and path where it is no file's. */
static void sweep_then(struct job_run *j, const struct bm_template *t, const char *algorithm, const char *path,
                       size_t path_len)
{
	struct bm_template_values v = j->ctx.values;
	struct bm_buf out = {0};

	v.path = path;
	v.path_len = path_len;
	v.algorithm = algorithm;
	for (size_t i = 0; i < j->resume->dead.count; i++) {
		v.run = j->resume->dead.items[i];
		v.date = j->resume->dead_date[i];
		bm_buf_reset(&out);
		bm_template_expand(t, &v, &out);
		if (!out.oom)
			sweep_dir_of(j, out.data);
	}
	bm_buf_fini(&out);
}

/* The step's output where that is another one in another run; to be destroyed. NULL: it is not, or not in a directory. */
static struct bm_template *varying(const struct bm_step *s)
{
	const bool is_write = s->kind->ops == &bm_write_ops;
	const char *text = is_write ? s->p.write.to : s->kind->ops == &bm_hash_ops ? s->p.hash.manifest : NULL;
	struct bm_template *t = NULL;

	if (text == NULL || strcmp(text, "-") == 0 || bm_url_is(text) ||
	    bm_template_compile(text, BM_PH_FILE | BM_PH_JOB | BM_PH_RUN | BM_PH_DATE | BM_PH_ALGORITHM, &t, NULL) !=
	            BM_OK)
		return NULL;
	if (bm_template_uses(t) & (BM_PH_RUN | BM_PH_DATE))
		return t;
	bm_template_destroy(t);
	return NULL;
}

/* A manifest is one for each algorithm, or for all. */
static void sweep_manifests(struct job_run *j, const struct bm_step *s, const struct bm_template *t)
{
	const struct bm_enum_list *wanted = &s->p.hash.algorithms;
	const struct bm_digest_algorithm *all;
	size_t n;

	all = bm_digest_algorithms(&n);
	for (size_t i = 0; i < wanted->count; i++)
		sweep_then(j, t, all[wanted->items[i]].name, NULL, 0);
}

/* ---- all of them ---- */

void resume_sweep(struct job_run *j, const struct bm_file *f)
{
	struct bm_buf path = {0};

	for (unsigned i = 1; i < j->job->step_count; i++) {
		const struct bm_step_ops *ops = j->job->steps[i].kind->ops;
		const struct bm_template *then = j->resume->then != NULL ? j->resume->then[i] : NULL;

		bm_buf_reset(&path);
		if (ops->target == NULL ||
		    !ops->target(j->plan->shared[i], f->entry->path, f->entry->path_len, &path) || path.oom)
			continue;
		sweep_dir_of(j, path.data);
		if (then != NULL)
			sweep_then(j, then, NULL, f->entry->path, f->entry->path_len);
	}
	bm_buf_fini(&path);
}

void resume_sweep_begin(struct job_run *j)
{
	struct resume *r = j->resume;

	r->then_count = j->job->step_count;
	r->then = bm_calloc_array(r->then_count, sizeof(*r->then)); /* NULL: what can be reached without goes */
	for (size_t i = 1; i < j->job->step_count; i++) {
		const struct bm_step *s = &j->job->steps[i];
		const struct bm_step_ops *ops = s->kind->ops;
		struct bm_template *t = varying(s);
		const char *path;

		for (size_t n = 0;
		     ops->fixed_output != NULL && (path = ops->fixed_output(j->plan->shared[i], n)) != NULL; n++)
			sweep_dir_of(j, path);
		if (t != NULL && ops == &bm_hash_ops)
			sweep_manifests(j, s, t);
		else if (t != NULL && s->p.write.combine)
			sweep_then(j, t, NULL, NULL, 0);
		if (r->then != NULL)
			r->then[i] = t;
		else
			bm_template_destroy(t);
	}
}

void resume_sweep_end(struct resume *r)
{
	for (size_t i = 0; r->then != NULL && i < r->then_count; i++)
		bm_template_destroy(r->then[i]);
	free(r->then);
	path_set_fini(&r->swept);
}
