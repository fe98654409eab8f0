/*
 * outputs_collect.c - what is known of a job's outputs and inputs before any input is listed.
 *
 * Steps say it through their ops: copy and write the literal directory at the start of their target, others the paths of
 * manifests and combined outputs. Regular files behind standard output and the report are outputs too, by whatever name
 * they were opened: their path is asked of the kernel.
 */
#include "outputs_internal.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_glob.h"
#include "bm_url.h"

static bool add_target(struct outputs *o, struct job_run *j, unsigned step, const char *to, size_t prefix_len,
                       const char *suffix)
{
	struct outputs_target *more = bm_realloc_array(o->targets, o->target_count + 1, sizeof(*more));
	struct outputs_target *t;

	if (more == NULL)
		return false;
	o->targets = more;
	t = &more[o->target_count];
	while (prefix_len > 0 && to[prefix_len - 1] != '/')
		prefix_len--;
	*t = (struct outputs_target){j, step,
	                             bm_url_is(to) ? bm_memdup0(to, prefix_len) : outputs_real_dir(to, prefix_len),
	                             prefix_len, suffix};
	if (t->dir == NULL)
		return false;
	o->target_count++;
	return true;
}

static bool add_fixed(struct outputs *o, struct job_run *j, const char *path)
{
	struct outputs_fixed *more = bm_realloc_array(o->fixed, o->fixed_count + 1, sizeof(*more));

	if (more == NULL)
		return false;
	o->fixed = more;
	more[o->fixed_count] = (struct outputs_fixed){j, outputs_real_path(path), false};
	return more[o->fixed_count].real != NULL && ++o->fixed_count > 0;
}

static bool add_root(struct outputs *o, struct job_run *j, size_t number, const char *path)
{
	struct outputs_root *more = bm_realloc_array(o->roots, o->root_count + 1, sizeof(*more));
	struct outputs_root *r;
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
	*r = (struct outputs_root){
		.j = j, .number = number, .text = path, .file = is_file ? outputs_real_path(path) : NULL};
	while (is_file && len > 0 && path[len - 1] != '/')
		len--;
	r->real = outputs_real_dir(path, len);
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

bool outputs_collect(struct outputs *o, struct job_run *j)
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
			const char *to = b.data != NULL ? b.data : "";
			const char *suffix = ops->target_suffix != NULL ? ops->target_suffix(j->plan->shared[i]) : NULL;

			ok = !b.oom && add_target(o, j, i, to, prefix, NULL) &&
			     (suffix == NULL || add_target(o, j, i, to, prefix, suffix));
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
	for (size_t i = 0; i < j->run->opt.own_file_count && ok; i++) {
		ok = add_fixed(o, j, j->run->opt.own_files[i]);
		if (ok)
			o->fixed[o->fixed_count - 1].is_descriptor = true;
	}
	for (size_t i = 0; i < rp->from.count && ok; i++)
		if (strcmp(rp->from.items[i], "-") != 0 && (rp->literal || !bm_url_is(rp->from.items[i])))
			ok = add_root(o, j, i, rp->from.items[i]);
	if (rp->files_from != NULL && rp->from.count == 0 && ok)
		ok = add_root(o, j, 0, "");
	return ok;
}
