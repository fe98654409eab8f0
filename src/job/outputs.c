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
 * A path's identity is the real path of the literal directory at the start of the target, plus the rest as text. Links
 * further on can hide that two paths are one; that an output is its own input is therefore looked at again when it is
 * opened (bm_sink.h).
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_glob.h"
#include "bm_text.h"
#include "path_set.h"
#include "run_internal.h"

struct target { /* one copy or write step */
	struct job_run *j;
	unsigned step;
	char *dir;   /* real path of the literal directory that all its outputs lie in or below; ends in '/' */
	size_t skip; /* bytes of an expanded path that dir replaces */
};

struct root {
	struct job_run *j;
	size_t number;    /* in the walk */
	char *real;       /* real path; ends in '/' */
	const char *text; /* as in the job file; borrowed */
	char *file;       /* real path where it is a file; NULL otherwise */
};

struct fixed { /* a manifest, a combined output, the report */
	struct job_run *j;
	char *real;
	bool is_descriptor; /* open already: standard output redirected, the report */
};

struct outputs {
	pthread_mutex_t lock; /* guards all below once the jobs run: several may list their inputs at once */
	struct target *targets;
	size_t target_count;
	struct root *roots;
	size_t root_count;
	struct fixed *fixed;
	size_t fixed_count;
	struct path_set set;
	struct bm_buf path; /* scratch */
	bool any_inputs;    /* some input may be an output; constant while the jobs run */
	bool fixed_near;    /* some target may hit a manifest; likewise */
};

/* ---- real paths ---- */

/* The real path of path's longest existing part, and the rest cleaned of "." and "..". NULL: no memory. */
static char *real_path(const char *path)
{
	struct bm_buf b = {0};
	char *copy = NULL, *real = NULL;
	size_t cut;

	if (path[0] != '/') {
		char cwd[PATH_MAX];

		if (getcwd(cwd, sizeof(cwd)) != NULL) {
			bm_buf_puts(&b, cwd);
			bm_buf_putc(&b, '/');
		}
	}
	bm_buf_puts(&b, path);
	copy = bm_buf_take(&b);
	if (copy == NULL)
		return NULL;
	/* Shorten until it exists: "/" always does. */
	for (cut = strlen(copy); cut > 0; cut--) {
		if (copy[cut] != '\0' && copy[cut] != '/')
			continue;
		char was = copy[cut];
		copy[cut] = '\0';
		real = realpath(copy, NULL);
		copy[cut] = was;
		if (real != NULL)
			break;
	}
	bm_buf_puts(&b, real != NULL ? real : "");
	free(real);
	for (const char *p = copy + cut; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && memcmp(p, "..", 2) == 0) {
			while (b.len > 0 && b.data[--b.len] != '/')
				;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (b.len == 0 || b.data[b.len - 1] != '/')
				bm_buf_putc(&b, '/');
			bm_buf_put(&b, p, n);
		}
		p += n + (p[n] == '/');
	}
	if (b.len == 0)
		bm_buf_putc(&b, '/');
	if (!b.oom)
		b.data[b.len] = '\0';
	free(copy);
	return bm_buf_take(&b);
}

static char *real_dir(const char *path, size_t len)
{
	char *text = bm_memdup0(len > 0 ? path : ".", len > 0 ? len : 1);
	char *real = text != NULL ? real_path(text) : NULL;
	size_t n = real != NULL ? strlen(real) : 0;

	free(text);
	if (n > 0 && real[n - 1] != '/') {
		char *more = realloc(real, n + 2);

		if (more == NULL) {
			free(real);
			return NULL;
		}
		real = more;
		memcpy(real + n, "/", 2);
	}
	return real;
}

static bool is_below(const char *path, const char *dir)
{
	return strncmp(path, dir, strlen(dir)) == 0;
}

/* ---- collecting ---- */

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

static bool add_target(struct outputs *o, struct job_run *j, unsigned step, const char *to, size_t prefix_len)
{
	struct target *more = bm_realloc_array(o->targets, o->target_count + 1, sizeof(*more));
	struct target *t;

	if (more == NULL)
		return false;
	o->targets = more;
	t = &more[o->target_count];
	while (prefix_len > 0 && to[prefix_len - 1] != '/')
		prefix_len--;
	*t = (struct target){j, step, real_dir(to, prefix_len), prefix_len};
	if (t->dir == NULL)
		return false;
	o->target_count++;
	return true;
}

static bool add_fixed(struct outputs *o, struct job_run *j, const char *path)
{
	struct fixed *more = bm_realloc_array(o->fixed, o->fixed_count + 1, sizeof(*more));

	if (more == NULL)
		return false;
	o->fixed = more;
	more[o->fixed_count] = (struct fixed){j, real_path(path), false};
	return more[o->fixed_count].real != NULL && ++o->fixed_count > 0;
}

static bool add_root(struct outputs *o, struct job_run *j, size_t number, const char *path)
{
	struct root *more = bm_realloc_array(o->roots, o->root_count + 1, sizeof(*more));
	struct root *r;
	struct stat st;

	if (more == NULL)
		return false;
	o->roots = more;
	r = &more[o->root_count];
	size_t len = strlen(path);
	bool is_file = false;
	if (bm_glob_has_magic(path) && !j->job->steps[0].p.read.literal)
		len = bm_glob_literal_prefix(path);
	else
		is_file = stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
	*r = (struct root){.j = j, .number = number, .text = path, .file = is_file ? real_path(path) : NULL};
	while (is_file && len > 0 && path[len - 1] != '/')
		len--;
	r->real = real_dir(path, len);
	o->root_count++;
	return r->real != NULL && (r->file != NULL || !is_file);
}

/* A regular file that a descriptor stands for (standard output redirected, the report): never an input either. */
static bool add_descriptor(struct outputs *o, struct job_run *j, int fd)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0)
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0)
		return true;
	path[n] = '\0';
	if (!add_fixed(o, j, path))
		return false;
	o->fixed[o->fixed_count - 1].is_descriptor = true;
	return true;
}

static bool writes_stdout(const struct bm_job *job)
{
	for (size_t i = 1; i < job->step_count; i++) {
		const struct bm_step *s = &job->steps[i];
		const char *to = s->kind->ops == &bm_write_ops  ? s->p.write.to
		                 : s->kind->ops == &bm_hash_ops ? s->p.hash.manifest
		                                                : NULL;

		if (to != NULL && strcmp(to, "-") == 0)
			return true;
	}
	return false;
}

/* Where the outputs go that are known without inputs: each step's ops say it through a template of its own. */
static bool collect_job(struct outputs *o, struct job_run *j)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;
	struct bm_buf b = {0};
	bool ok = true;

	for (unsigned i = 1; i < j->job->step_count && ok; i++) {
		const struct bm_step_ops *ops = j->job->steps[i].kind->ops;

		bm_buf_reset(&b);
		if (ops->target != NULL && ops->target(j->plan->shared[i], "", 0, &b)) {
			/* The literal part at the start, as the template says it. */
			size_t prefix = ops->target_prefix(j->plan->shared[i]);
			ok = !b.oom && add_target(o, j, i, b.data != NULL ? b.data : "", prefix);
		}
		for (size_t n = 0; ops->fixed_output != NULL && ok; n++) {
			const char *path = ops->fixed_output(j->plan->shared[i], n);

			if (path == NULL)
				break;
			ok = add_fixed(o, j, path);
		}
	}
	bm_buf_fini(&b);
	if (ok && writes_stdout(j->job))
		ok = add_descriptor(o, j, STDOUT_FILENO);
	if (ok && j->run->opt.report != NULL && fileno(j->run->opt.report) > STDOUT_FILENO)
		ok = add_descriptor(o, j, fileno(j->run->opt.report));
	for (size_t i = 0; i < rp->from.count && ok; i++)
		if (strcmp(rp->from.items[i], "-") != 0)
			ok = add_root(o, j, i, rp->from.items[i]);
	if (rp->files_from != NULL && rp->from.count == 0 && ok)
		ok = add_root(o, j, 0, "");
	return ok;
}

/* ---- must the inputs be looked at? ---- */

static bool has_unique_names(const struct job_run *j)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;

	return rp->from.count == 1 && rp->files_from == NULL;
}

static bool dirs_overlap(const char *a, const char *b)
{
	return is_below(a, b) || is_below(b, a);
}

/* Does a run to its end before b starts? */
static bool is_before(const struct job_run *a, const struct job_run *b)
{
	return b->before != NULL && b->before[a - a->run->job_runs];
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
static bool decide_root(struct outputs *o, struct root *r, struct target *t)
{
	if (is_before(t->j, r->j)) {
		r->j->list_late = r->j->list_late || dirs_overlap(t->dir, r->real);
	} else if (strlen(t->dir) > strlen(r->real) && is_below(t->dir, r->real)) {
		return add_skip(r->j, t->dir);
	} else if (is_below(r->real, t->dir)) {
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
		struct target *t = &o->targets[i];
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
		struct fixed *f = &o->fixed[i];

		for (size_t k = 0; k < run->job_count && ok; k++)
			ok = is_before(f->j, &run->job_runs[k]) || add_skip(&run->job_runs[k], f->real);
		for (size_t k = 0; k < o->root_count; k++)
			if (is_before(f->j, o->roots[k].j) && is_below(f->real, o->roots[k].real))
				o->roots[k].j->list_late = true;
		for (size_t k = 0; k < o->target_count; k++)
			o->fixed_near = o->fixed_near || is_below(f->real, o->targets[k].dir);
	}
	for (size_t k = 0; k < run->job_count; k++) {
		struct job_run *j = &run->job_runs[k];

		j->check_late = j->is_listed && bm_plan_lists_once(j->job);
	}
	return ok;
}

/* ---- one input ---- */

/* The real path of target t's output for an input, in o->path. */
static bool target_path(struct outputs *o, const struct target *t, const struct bm_entry *e)
{
	struct bm_buf b = {0};
	const struct bm_step_ops *ops = t->j->job->steps[t->step].kind->ops;

	bm_buf_reset(&o->path);
	ops->target(t->j->plan->shared[t->step], e->path, e->path_len, &b);
	bm_buf_puts(&o->path, t->dir);
	if (!b.oom && b.len >= t->skip)
		bm_buf_put(&o->path, b.data + t->skip, b.len - t->skip);
	bool ok = !b.oom && !o->path.oom;
	bm_buf_fini(&b);
	return ok;
}

/* Was this entry of a list an absolute name? Its path is then all of it, else only what comes after the base. */
static bool is_absolute(const struct root *r, const struct bm_entry *e)
{
	size_t base = strlen(r->text);

	return e->display[0] == '/' && (base == 0 || strncmp(e->display, r->text, base) != 0 ||
	                                (e->display_len == e->path_len + 1 && strcmp(e->display + 1, e->path) == 0));
}

/* The input's own real path, in o->path; false where its root has none. */
static bool input_path(struct outputs *o, const struct job_run *j, const struct bm_entry *e)
{
	const struct bm_read_params *rp = &j->job->steps[0].p.read;

	for (size_t i = 0; i < o->root_count; i++) {
		const struct root *r = &o->roots[i];

		if (r->j != j || (r->number != e->root && rp->files_from == NULL))
			continue;
		bm_buf_reset(&o->path);
		bm_buf_puts(&o->path, rp->files_from != NULL && is_absolute(r, e) ? "/" : r->real);
		bm_buf_put(&o->path, e->path, e->path_len);
		return !o->path.oom;
	}
	return false;
}

static struct path_key key_of(struct outputs *o, const struct job_run *j)
{
	return path_set_key(&o->set, o->path.data, o->path.len, (uint32_t)(j - j->run->job_runs));
}

static enum bm_status conflict(struct outputs *o, const char *first, const struct bm_entry *second,
                               struct bm_error *err)
{
	char path[512], a[256], b[256];

	bm_escape_display_buf(path, sizeof(path), o->path.data, o->path.len);
	bm_escape_display_buf(b, sizeof(b), second->display, second->display_len);
	if (first == NULL)
		return bm_error_set(err, BM_ERR_CONFLICT, path,
		                    "%s and an input before it would both be written here; put {path} "
		                    "into the target, or say \"combine\": true",
		                    b);
	bm_escape_display_buf(a, sizeof(a), first, strlen(first));
	return bm_error_set(err, BM_ERR_CONFLICT, path,
	                    "%s and %s would both be written here; put {path} into the target, or "
	                    "say \"combine\": true",
	                    a, b);
}

/* ---- looking ---- */

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
	struct bm_buf display;
	bool found;
};

static enum bm_status see_first(struct outputs *o, struct job_run *j, const struct bm_entry *e, void *arg,
                                struct bm_error *err)
{
	struct search *s = arg;

	(void)err;
	for (size_t i = 0; i < o->target_count && !s->found; i++) {
		if (o->targets[i].j != j || !target_path(o, &o->targets[i], e))
			continue;
		if (!path_key_same(key_of(o, j), s->wanted))
			continue;
		bm_buf_put(&s->display, e->display, e->display_len);
		s->found = true;
	}
	return s->found ? BM_ERR_FAILED : BM_OK; /* no error, only the end of the search */
}

static enum bm_status find_first(struct bm_run *run, struct outputs *o, struct path_key wanted,
                                 const struct bm_entry *second, struct bm_error *err)
{
	struct search s = {.wanted = wanted};
	struct bm_buf path = o->path;
	enum bm_status status;

	o->path = (struct bm_buf){0};
	for (size_t i = 0; i < run->job_count && !s.found; i++)
		if (run->job_runs[i].is_claimed)
			(void)each_input(o, &run->job_runs[i], see_first, &s, NULL);
	bm_buf_fini(&o->path);
	o->path = path;
	status = conflict(o, s.found && !s.display.oom ? s.display.data : NULL, second, err);
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
			status = may_search ? find_first(run, o, k, e, err) : conflict(o, NULL, e, err);
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

/* See the head of this file. */
static enum bm_status check_named(const struct outputs *o, struct bm_error *err)
{
	for (size_t i = 0; i < o->root_count; i++) {
		const struct root *r = &o->roots[i];
		char path[512];

		for (size_t k = 0; r->file != NULL && k < o->fixed_count; k++)
			if (!is_before(o->fixed[k].j, r->j) && strcmp(o->fixed[k].real, r->file) == 0)
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
			    !is_before(o->fixed[i].j, o->fixed[k].j) && !is_before(o->fixed[k].j, o->fixed[i].j) &&
			    strcmp(o->fixed[i].real, o->fixed[k].real) == 0)
				return bm_error_set(
					err, BM_ERR_CONFLICT,
					bm_escape_display_buf(path, sizeof(path), o->fixed[i].real,
				                              strlen(o->fixed[i].real)),
					"the report or standard output goes here, and so does a manifest or combined "
					"output; give one of them another name");
	}
	return BM_OK;
}

static enum bm_status list_job(struct outputs *o, struct job_run *j, struct bm_error *err)
{
	enum bm_status status;

	j->is_claimed = true;
	status = each_input(o, j, see_in_place, NULL, err);
	return status == BM_OK ? each_input(o, j, see_claim, j->run, err) : status;
}

enum bm_status outputs_check(struct bm_run *run, struct bm_error *err)
{
	struct outputs *o = calloc(1, sizeof(*o));
	enum bm_status status = BM_OK;
	bool ok = true;

	if (o == NULL)
		return bm_error_set_nomem(err);
	int rc = pthread_mutex_init(&o->lock, NULL);
	if (rc != 0) {
		free(o);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	run->outputs = o;
	status = path_set_init(&o->set, run->memory, err);
	if (status != BM_OK)
		return status;
	for (size_t i = 0; i < run->job_count && ok; i++)
		ok = collect_job(o, &run->job_runs[i]);
	if (!ok || !decide(run, o))
		return bm_error_set_nomem(err);
	status = check_named(o, err);
	if (status == BM_OK)
		status = check_fixed(o, err);
	for (size_t i = 0; i < run->job_count && status == BM_OK; i++) {
		struct job_run *j = &run->job_runs[i];

		if (j->is_listed && !j->check_late && !j->list_late)
			status = list_job(o, j, err);
	}
	return status;
}

enum bm_status outputs_check_late(struct outputs *o, struct job_run *j, struct bm_error *err)
{
	enum bm_status status;

	if (!j->is_listed || j->check_late || !j->list_late)
		return BM_OK;
	pthread_mutex_lock(&o->lock);
	status = list_job(o, j, err);
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

/* ---- while it runs ---- */

bool outputs_has_input(struct outputs *o, const struct job_run *j, const struct bm_entry *e)
{
	const struct path_key *found = NULL;

	if (!o->any_inputs || e->kind == BM_ENTRY_ERROR)
		return false;
	pthread_mutex_lock(&o->lock);
	if (input_path(o, j, e))
		found = path_set_find(&o->set, key_of(o, j));
	bool is_own = found != NULL && !is_before(&j->run->job_runs[found->job], j);
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
