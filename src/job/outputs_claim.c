/*
 * outputs_claim.c - one input after the other: the paths that its outputs would have, and who has them already.
 *
 * A path that a run writes is put into a set when an input claims it, before the run where the inputs can be listed
 * twice, else as they come. The set holds hashes, not names (path_set.h), so that ten million outputs fit; when a path is
 * claimed twice, who claimed it first is found by listing the inputs once more. That costs time only where the run is
 * refused anyway; while a run goes on there is no time for it, and the message does without the name.
 *
 * A path's identity is the real path of the literal directory at the start of the target, plus the rest as text. Links
 * further on can hide that two paths are one; that an output is its own input is therefore looked at again when it is
 * opened (bm_sink.h).
 */
#include "outputs_internal.h"

#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "job_internal.h"

/* ---- one input ---- */

/* The real path of target t's output for an input, in o->path. */
static bool target_path(struct outputs *o, const struct outputs_target *t, const struct bm_entry *e)
{
	struct bm_buf b = {0};
	const struct bm_step_ops *ops = t->j->job->steps[t->step].kind->ops;

	bm_buf_reset(&o->path);
	ops->target(t->j->plan->shared[t->step], e->path, e->path_len, &b);
	bm_buf_puts(&o->path, t->dir);
	if (!b.oom && b.len >= t->skip)
		bm_buf_put(&o->path, b.data + t->skip, b.len - t->skip);
	if (t->suffix != NULL)
		bm_buf_puts(&o->path, t->suffix);
	bool ok = !b.oom && !o->path.oom;
	bm_buf_fini(&b);
	return ok;
}

/* Was this entry of a list an absolute name? Its path is then all of it, else only what comes after the base. */
static bool is_absolute(const struct outputs_root *r, const struct bm_entry *e)
{
	size_t base = strlen(r->text);

	return e->display[0] == '/' && (base == 0 || strncmp(e->display, r->text, base) != 0 ||
	                                (e->display_len == e->path_len + 1 && strcmp(e->display + 1, e->path) == 0));
}

/* The input's own real path, in o->path; false where its root has none. */
static bool input_path(struct outputs *o, const struct job_run *j, const struct bm_entry *e)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;

	if (e->kind == BM_ENTRY_URL)
		return false;
	for (size_t i = 0; i < o->root_count; i++) {
		const struct outputs_root *r = &o->roots[i];

		if (r->j != j || (r->number != e->root && rp->files_from == NULL))
			continue;
		bm_buf_reset(&o->path);
		bm_buf_puts(&o->path, rp->files_from != NULL && is_absolute(r, e) ? "/" : r->real);
		bm_buf_put(&o->path, e->path, e->path_len);
		return !o->path.oom;
	}
	return false;
}

const char *outputs_root_of(const struct outputs *o, const struct job_run *j, const struct bm_entry *e)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;

	for (size_t i = 0; i < o->root_count; i++) {
		const struct outputs_root *r = &o->roots[i];

		if (r->j == j && (r->number == e->root || rp->files_from != NULL))
			return rp->files_from != NULL && is_absolute(r, e) ? "/" : r->real;
	}
	return NULL;
}

const char *outputs_root_at(const struct outputs *o, const struct job_run *j, size_t n)
{
	for (size_t i = 0; i < o->root_count; i++)
		if (o->roots[i].j == j && n-- == 0)
			return o->roots[i].real;
	return NULL;
}

static struct path_key key_of(struct outputs *o, const struct job_run *j)
{
	return path_set_key(&o->set, o->path.data, o->path.len, (uint32_t)(j - j->run->job_runs));
}

/* ---- what is told of a path that is claimed twice ---- */

/* Whose output a path is. */
struct claimant {
	const struct outputs_target *target; /* NULL: an earlier input of the same job, no more is known */
	const char *display;                 /* of the input */
	size_t display_len;
};

/* Where the step stands in its job file: /jobs/1/steps/2 (copy). */
static void put_step(struct bm_buf *out, const struct outputs_target *t)
{
	const struct bm_run *run = t->j->run;
	const struct job_node *n = job_node_of(run->jobs->jobs[t->j - run->job_runs]);

	bm_buf_printf(out, "%s/steps/%u (%s%s)", n->pointer != NULL ? n->pointer : "", t->step,
	              t->suffix != NULL ? "index of " : "", n->job.steps[t->step].kind->name);
}

static void put_file(struct bm_buf *out, const char *file)
{
	char shown[128];

	if (file == NULL)
		return;
	bm_buf_puts(out, " of ");
	if (job_is_dash(file))
		bm_buf_puts(out, "standard input");
	else
		bm_buf_puts(out, bm_escape_display_buf(shown, sizeof(shown), file, strlen(file)));
}

/* /steps/2 (copy) and /steps/4 (write) of nightly.json */
static void put_steps(struct bm_buf *out, const struct outputs_target *a, const struct outputs_target *b)
{
	const char *file_a = a->j->job->file, *file_b = b->j->job->file;

	put_step(out, a);
	if (file_a != NULL && file_b != NULL && strcmp(file_a, file_b) != 0)
		put_file(out, file_a);
	bm_buf_puts(out, " and ");
	put_step(out, b);
	put_file(out, file_b);
}

/* For two inputs at one step. Where the target keeps all of {path} their paths are the same. */
static const char *advice(const struct outputs_target *t)
{
	const struct bm_job *job = t->j->job;

	if (!job->steps[t->step].kind->ops->target_is_injective(t->j->plan->shared[t->step]))
		return "; put {path} into the target";
	return job->steps[0].p.read.files_from != NULL ? "; name each input once"
	                                               : "; read from one directory above both";
}

/* The path is in o->path. What helps depends on what the two have in common: the input, the step, or neither. */
static enum bm_status conflict(struct outputs *o, const struct claimant *first, const struct claimant *second,
                               struct bm_error *err)
{
	bool same_step = first->target == NULL || first->target == second->target;
	bool same_input = first->target != NULL && first->display_len == second->display_len &&
	                  memcmp(first->display, second->display, first->display_len) == 0;
	struct bm_buf text = {0};
	enum bm_status status;
	char path[512], a[256], b[256];

	bm_escape_display_buf(b, sizeof(b), second->display, second->display_len);
	if (first->target == NULL)
		bm_buf_printf(&text, "%s and an input before it would both be written here", b);
	else if (same_input)
		bm_buf_printf(&text, "%s %swould be written here twice", b, same_step ? "is read twice, and " : "");
	else
		bm_buf_printf(&text, "%s and %s would both be written here",
		              bm_escape_display_buf(a, sizeof(a), first->display, first->display_len), b);
	if (!same_step) {
		bm_buf_puts(&text, ", by ");
		put_steps(&text, first->target, second->target);
		bm_buf_puts(&text, "; give one of them another \"to\"");
	} else if (same_input) {
		bm_buf_puts(&text, "; name it once in the inputs");
	} else {
		bm_buf_puts(&text, advice(second->target));
		bm_buf_puts(&text, ", or say \"combine\": true");
	}
	status = text.oom ? bm_error_set_nomem(err)
	                  : bm_error_set(err, BM_ERR_CONFLICT,
	                                 bm_escape_display_buf(path, sizeof(path), o->path.data, o->path.len), "%s",
	                                 text.data);
	bm_buf_fini(&text);
	return status;
}

/* ---- before it runs ---- */

/* Calls see for every input of a job that is listed. */
static enum bm_status each_input(struct outputs *o, struct job_run *j,
                                 enum bm_status (*see)(struct outputs *o, struct job_run *j, const struct bm_entry *e,
                                                       void *arg, struct bm_error *err),
                                 void *arg, struct bm_error *err)
{
	struct bm_walk *w = NULL;
	struct bm_entry *e;
	enum bm_status status =
		bm_plan_walk(j->plan, (const char *const *)j->skip_paths, j->skip_count, false, &w, err);

	while (status == BM_OK && !atomic_load(&j->run->cancelled) && (e = bm_walk_next(w, NULL)) != NULL) {
		if (e->kind != BM_ENTRY_ERROR)
			status = see(o, j, e, arg, err);
		bm_entry_destroy(e);
	}
	bm_walk_destroy(w);
	return status;
}

struct search {
	struct path_key wanted;
	const struct outputs_target *target; /* NULL: not found yet */
	struct bm_buf display;
};

/* The first of the job's targets before end that has this path for the input, or NULL. */
static const struct outputs_target *find_target(struct outputs *o, const struct job_run *j, const struct bm_entry *e,
                                                struct path_key wanted, const struct outputs_target *end)
{
	for (const struct outputs_target *t = o->targets; t < end; t++)
		if (t->j == j && target_path(o, t, e) && path_key_same(key_of(o, j), wanted))
			return t;
	return NULL;
}

static enum bm_status see_first(struct outputs *o, struct job_run *j, const struct bm_entry *e, void *arg,
                                struct bm_error *err)
{
	struct search *s = arg;

	(void)err;
	s->target = find_target(o, j, e, s->wanted, o->targets + o->target_count);
	if (s->target == NULL)
		return BM_OK;
	bm_buf_put(&s->display, e->display, e->display_len);
	return BM_ERR_FAILED; /* no error, only the end of the search */
}

/* The path of second's output, in o->path, is taken. may_search: the inputs can be listed once more. */
static enum bm_status find_first(struct bm_run *run, struct outputs *o, struct path_key wanted,
                                 const struct outputs_target *target, const struct bm_entry *e, bool may_search,
                                 struct bm_error *err)
{
	struct claimant first = {NULL, NULL, 0}, second = {target, e->display, e->display_len};
	struct search s = {.wanted = wanted};
	struct bm_buf path = o->path;
	enum bm_status status;

	o->path = (struct bm_buf){0};
	first.target = find_target(o, target->j, e, wanted, target);
	if (first.target != NULL) {
		first.display = e->display;
		first.display_len = e->display_len;
	}
	for (size_t i = 0; i < run->job_count && may_search && first.target == NULL; i++) {
		if (run->job_runs[i].is_claimed)
			(void)each_input(o, &run->job_runs[i], see_first, &s, NULL);
		if (s.target != NULL && !s.display.oom)
			first = (struct claimant){s.target, s.display.data, s.display.len};
	}
	bm_buf_fini(&o->path);
	o->path = path;
	status = conflict(o, &first, &second, err);
	bm_buf_fini(&s.display);
	return status;
}

static enum bm_status claim(struct bm_run *run, struct outputs *o, struct job_run *j, const struct bm_entry *e,
                            bool may_search, struct bm_error *err)
{
	for (size_t i = 0; i < o->target_count; i++) {
		enum bm_status status;
		struct path_key k;
		bool was_in;

		if (o->targets[i].j != j)
			continue;
		if (!target_path(o, &o->targets[i], e))
			return bm_error_set_nomem(err);
		k = key_of(o, j);
		status = path_set_add(&o->set, k, &was_in, err);
		if (status == BM_OK && was_in)
			status = find_first(run, o, k, &o->targets[i], e, may_search, err);
		if (status != BM_OK)
			return status;
	}
	return BM_OK;
}

static enum bm_status see_claim(struct outputs *o, struct job_run *j, const struct bm_entry *e, void *arg,
                                struct bm_error *err)
{
	return claim(arg, o, j, e, true, err);
}

/* An output that is its own input would be read and replaced in one go: not what a copy is for. */
static enum bm_status see_in_place(struct outputs *o, struct job_run *j, const struct bm_entry *e, void *arg,
                                   struct bm_error *err)
{
	struct path_key own;

	(void)arg;
	if (!input_path(o, j, e))
		return BM_OK;
	own = key_of(o, j);
	for (size_t i = 0; i < o->target_count; i++) {
		if (o->targets[i].j != j || !target_path(o, &o->targets[i], e))
			continue;
		if (path_key_same(key_of(o, j), own)) {
			char path[512];

			return bm_error_set(
				err, BM_ERR_CONFLICT,
				bm_escape_display_buf(path, sizeof(path), o->path.data, o->path.len),
				"this output is its own input; write it to another directory or under another name");
		}
	}
	return BM_OK;
}

enum bm_status outputs_claim_all(struct outputs *o, struct job_run *j, struct bm_error *err)
{
	enum bm_status status;

	j->is_claimed = true;
	status = each_input(o, j, see_in_place, NULL, err);
	return status == BM_OK ? each_input(o, j, see_claim, j->run, err) : status;
}

/* ---- while it runs ---- */

bool outputs_has_input(struct outputs *o, const struct job_run *j, const struct bm_entry *e)
{
	const struct path_key *found = NULL;

	if (!o->any_inputs || e->kind == BM_ENTRY_ERROR)
		return false;
	pthread_mutex_lock(&o->lock);
	if (input_path(o, j, e))
		found = path_set_find(&o->set, key_of(o, j));
	bool is_own = found != NULL && !outputs_is_before(&j->run->job_runs[found->job], j);
	pthread_mutex_unlock(&o->lock);
	return is_own;
}

enum bm_status outputs_claim(struct outputs *o, struct job_run *j, const struct bm_entry *e, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (e->kind == BM_ENTRY_ERROR || (!j->check_late && !o->fixed_near))
		return BM_OK;
	pthread_mutex_lock(&o->lock);
	if (j->check_late)
		status = claim(j->run, o, j, e, false, err);
	for (size_t i = 0; i < o->target_count && status == BM_OK && o->fixed_near; i++) {
		if (o->targets[i].j != j)
			continue;
		if (!target_path(o, &o->targets[i], e))
			status = bm_error_set_nomem(err);
		for (size_t k = 0; k < o->fixed_count && status == BM_OK; k++)
			if (strcmp(o->fixed[k].real, o->path.data) == 0)
				status = bm_error_set(err, BM_ERR_CONFLICT, NULL,
				                      "its output would have the name of a manifest or "
				                      "combined output of this run; give that another name");
	}
	pthread_mutex_unlock(&o->lock);
	return status;
}
