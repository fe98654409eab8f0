/*
 * read.c - the step `read`: listing inputs and filling the first segment's chunks from them.
 *
 * An entry that the walk could not read comes as a file like any other and fails when it is opened, so that it takes its
 * place in every order. A job that only copies does not read a regular file at all: it sends one empty chunk with the
 * tag BM_TAG_KERNEL_COPY through the pipeline, and the write step copies the whole file in the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bm_error.h"
#include "bm_glob.h"
#include "step_internal.h"

struct read_shared {
	const struct bm_read_params *p;
	size_t chunk_bytes; /* the buffer may be larger for the sake of later steps */
	bool follow;
	/* What every walk of this job borrows. */
	struct bm_walk_root *roots;
	size_t root_count;
	const char *list_base;
	struct bm_glob **include, **exclude;
	size_t include_count, exclude_count;
};

/* Do all outputs of the file exist already? Asked only where every output has if_exists "skip". */
static bool outputs_exist(struct bm_file *f)
{
	const struct bm_plan *p = f->plan;
	struct bm_buf path = {0};
	bool all = true;

	for (size_t i = 1; i < p->step_count && all; i++) {
		const struct bm_step_ops *ops = p->job->steps[i].kind->ops;
		struct stat st;

		bm_buf_reset(&path);
		if (ops->target != NULL && ops->target(p->shared[i], f->entry->path, f->entry->path_len, &path))
			all = !path.oom && fstatat(AT_FDCWD, path.data, &st, AT_SYMLINK_NOFOLLOW) == 0;
	}
	bm_buf_fini(&path);
	return all;
}

static enum bm_fill_result read_open(struct read_shared *rs, struct bm_file *f, struct bm_chunk *out,
                                     const struct bm_blocker *b, struct bm_error *err)
{
	if (f->entry->kind == BM_ENTRY_ERROR) {
		*err = *f->entry->error;
		return BM_FILL_ERROR;
	}
	if (f->plan->skip_early && outputs_exist(f)) {
		f->skipped = true;
		out->last = true;
		return BM_FILL_EMIT;
	}
	if (bm_source_open(f->entry, rs->follow, b, &f->source, err) != BM_OK)
		return BM_FILL_ERROR;
	if (f->plan->kernel_copy && bm_source_is_regular(f->source) && bm_source_stat(f->source)->st_size > 0) {
		out->tag = BM_TAG_KERNEL_COPY;
		out->last = true;
		return BM_FILL_EMIT;
	}
	return BM_FILL_MORE;
}

static enum bm_fill_result read_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                     struct bm_worker *w, struct bm_error *err)
{
	struct read_shared *rs = arg;
	struct bm_file *f = stream;
	struct bm_blocker b = bm_blocker_of(f->ctx, w);
	enum bm_fill_result r;

	(void)in;
	if (f->source == NULL) {
		r = read_open(rs, f, out, &b, err);
		if (r != BM_FILL_MORE)
			return r;
	}
	if (bm_source_read(f->source, out->data, rs->chunk_bytes, &out->len, &out->last, &out->hole, &b, err) != BM_OK)
		return BM_FILL_ERROR;
	f->bytes_in += out->len;
	atomic_fetch_add_explicit(f->ctx->bytes_read, out->len, memory_order_relaxed);
	f->ctx->tick(f->ctx->tick_arg);
	return BM_FILL_EMIT;
}

/* ---- the walk ---- */

static enum bm_status compile_globs(const struct bm_strings *s, struct bm_glob ***out, size_t *count,
                                    struct bm_error *err)
{
	*out = bm_calloc_array(s->count + 1, sizeof(**out));
	if (*out == NULL)
		return bm_error_set_nomem(err);
	for (*count = 0; *count < s->count; (*count)++) {
		enum bm_status status = bm_glob_compile(s->items[*count], &(*out)[*count], err);

		if (status != BM_OK)
			return status;
	}
	return BM_OK;
}

static struct timespec ago(uint64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec -= (time_t)(ms / 1000);
	t.tv_nsec -= (long)(ms % 1000) * 1000000;
	if (t.tv_nsec < 0) {
		t.tv_nsec += 1000000000;
		t.tv_sec--;
	}
	return t;
}

static void read_destroy(void *shared)
{
	struct read_shared *rs = shared;

	if (rs == NULL)
		return;
	for (size_t i = 0; i < rs->include_count; i++)
		bm_glob_destroy(rs->include[i]);
	for (size_t i = 0; i < rs->exclude_count; i++)
		bm_glob_destroy(rs->exclude[i]);
	free(rs->include);
	free(rs->exclude);
	free(rs->roots);
	free(rs);
}

static enum bm_status read_prepare(struct bm_plan *plan, const struct bm_step *step, void **shared,
                                   struct bm_error *err)
{
	struct read_shared *rs = calloc(1, sizeof(*rs));
	const struct bm_read_params *p = &step->p.read;
	enum bm_status status;

	*shared = rs;
	if (rs == NULL)
		return bm_error_set_nomem(err);
	rs->p = p;
	rs->chunk_bytes = plan->chunk_bytes;
	rs->follow = p->follow_symlinks;
	rs->roots = bm_calloc_array(p->from.count + 1, sizeof(*rs->roots));
	if (rs->roots == NULL)
		return bm_error_set_nomem(err);
	/* A list of names is relative to the one directory that `from` names, where it does. */
	if (p->files_from != NULL && p->from.count == 1)
		rs->list_base = p->from.items[0];
	rs->root_count = rs->list_base != NULL ? 0 : p->from.count;
	for (size_t i = 0; i < rs->root_count; i++) {
		rs->roots[i].path = p->from.items[i];
		rs->roots[i].is_glob = !p->literal && bm_glob_has_magic(p->from.items[i]);
	}
	status = compile_globs(&p->include, &rs->include, &rs->include_count, err);
	if (status == BM_OK)
		status = compile_globs(&p->exclude, &rs->exclude, &rs->exclude_count, err);
	if (status == BM_OK)
		status = bm_plan_segment(plan, read_fill, rs, plan->chunk_bytes, 0, err);
	return status;
}

enum bm_status bm_plan_walk(const struct bm_plan *plan, const char *const *skip_paths, size_t skip_count,
                            bool need_stat, struct bm_walk **out, struct bm_error *err)
{
	const struct read_shared *rs = plan->shared[0];
	const struct bm_read_params *p = rs->p;
	struct bm_walk_options o = {
		.roots = rs->roots,
		.root_count = rs->root_count,
		.list_path = p->files_from,
		.list_base = rs->list_base,
		.list_nul = p->files_from_null,
		.include = (const struct bm_glob *const *)rs->include,
		.include_count = rs->include_count,
		.exclude = (const struct bm_glob *const *)rs->exclude,
		.exclude_count = rs->exclude_count,
		.hidden = p->hidden,
		.follow_symlinks = p->follow_symlinks,
		.one_filesystem = p->one_filesystem,
		.need_stat = need_stat,
		.min_size = p->min_size,
		.max_size = p->max_size,
		.has_newer = p->newer_than.is_set,
		.has_older = p->older_than.is_set,
		.newer = ago(p->newer_than.ms),
		.older = ago(p->older_than.ms),
		.skip_paths = skip_paths,
		.skip_path_count = skip_count,
		.skip_name_prefix = BM_TEMP_PREFIX,
		.cancel_fd = plan->ctx->cancel_fd,
	};

	return bm_walk_create(&o, out, err);
}

const struct bm_step_ops bm_read_ops = {
	.prepare = read_prepare,
	.destroy = read_destroy,
};
