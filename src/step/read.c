/*
 * read.c - the step `read`: listing inputs and filling the first segment's chunks from them.
 *
 * An entry that the walk could not read comes as a file like any other and fails when it is opened, so that it takes its
 * place in every order. One that was done before passes the steps in the same way, without one of them touching it. A job
 * that only copies does not read a regular file at all: it sends one empty chunk with the tag BM_TAG_KERNEL_COPY through
 * the pipeline, and the write step copies the whole file in the kernel.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bm_error.h"
#include "bm_glob.h"
#include "bm_time.h"
#include "bm_url.h"
#include "read_url.h"
#include "step_internal.h"

struct read_shared {
	const struct bm_read_params *p;
	struct read_urls *urls; /* owned; NULL: none */
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

/* *filled: the first bytes are in out already. */
static enum bm_fill_result read_open(struct read_shared *rs, struct bm_file *f, struct bm_chunk *out, bool *filled,
                                     const struct bm_blocker *b, struct bm_error *err)
{
	if (f->entry->kind == BM_ENTRY_ERROR) {
		*err = *f->entry->error;
		f->read_failed = true;
		return BM_FILL_ERROR;
	}
	if (f->ctx->begin != NULL && f->ctx->begin(f->ctx->begin_arg, f, out->data, f->plan->chunk_bytes, b)) {
		(void)bm_error_set(err, BM_ERR_CANCELLED, NULL, "done before");
		return BM_FILL_ERROR;
	}
	if (f->plan->skip_early && outputs_exist(f)) {
		f->skipped = true;
		out->last = true;
		return BM_FILL_EMIT;
	}
	size_t len = 0;
	bool last = false;
	enum bm_status status = f->entry->kind == BM_ENTRY_URL ? read_urls_open(f, b, err)
	                        : f->plan->kernel_copy
	                                ? bm_source_open(f->entry, rs->follow, b, &f->source, err)
	                                : bm_source_open_read(f->entry, rs->follow, out->data, f->plan->chunk_bytes,
	                                                      &len, &last, b, &f->source, err);
	if (status != BM_OK) {
		f->read_failed = true;
		return BM_FILL_ERROR;
	}
	const struct stat *st = bm_source_stat(f->source);
	f->has_mtime = bm_source_is_regular(f->source);
	f->source_id = bm_file_id_of(st);
	f->source_ctime = st->st_ctim;
	f->mtime_ns = bm_time_ns(st->st_mtim);
	for (size_t i = 1; i < f->plan->step_count; i++) {
		const struct bm_step_ops *ops = f->plan->job->steps[i].kind->ops;

		if (ops->opened != NULL && ops->opened(f->plan->shared[i], f, st, err) != BM_OK)
			return BM_FILL_ERROR;
	}
	if (f->plan->kernel_copy && bm_source_is_regular(f->source) && st->st_size > 0) {
		out->tag = BM_TAG_KERNEL_COPY;
		out->last = true;
		return BM_FILL_EMIT;
	}
	if (f->from_byte > 0) {
		bm_source_seek(f->source, f->from_byte);
		len = 0;
	}
	*filled = len > 0;
	if (*filled) {
		out->len = f->upto_byte > 0 && len > f->upto_byte ? (size_t)f->upto_byte : len;
		out->last = last;
	}
	return BM_FILL_MORE;
}

/* What went well in the end is worth a word: the next time it may not. */
static void warn_of_retries(struct bm_file *f)
{
	int code;
	unsigned count = bm_source_retried(f->source, &code);
	struct bm_error err;

	if (count == 0)
		return;
	bm_error_clear(&err);
	if (code == 0)
		(void)bm_error_set(&err, BM_ERR_FAILED, NULL, "could be fetched only after %u %s", count,
		                   count == 1 ? "failure" : "failures");
	else
		(void)bm_error_set_errno(&err, code, NULL, "could be read only after %u %s", count,
		                         count == 1 ? "failure" : "failures");
	bm_file_warn(f, "%s", err.text);
}

static void wake_flow(void *flow)
{
	bm_flow_wake(flow);
}

/* What somebody hands in: no thread waits for it. Goes on in out where it was left before. */
static enum bm_fill_result read_fed(struct bm_file *f, struct bm_chunk *out, size_t most, struct bm_worker *w,
                                    const struct bm_blocker *b, struct bm_error *err)
{
	size_t len = 0;
	bool later = false;
	enum bm_status status = bm_source_take(f->source, out->data + out->len, most - out->len, &len, &out->last,
	                                       &later, wake_flow, bm_worker_flow(w), b, err);

	if (status != BM_OK)
		return BM_FILL_ERROR;
	out->len += len;
	return later ? BM_FILL_LATER : BM_FILL_EMIT;
}

static enum bm_fill_result read_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                     struct bm_worker *w, struct bm_error *err)
{
	struct read_shared *rs = arg;
	struct bm_file *f = stream;
	struct bm_blocker b = bm_blocker_of(f->ctx, w);
	size_t most = f->plan->chunk_bytes;
	enum bm_fill_result r;
	bool filled = false;

	(void)in;
	if (f->source == NULL) {
		r = read_open(rs, f, out, &filled, &b, err);
		if (r != BM_FILL_MORE)
			return r;
	}
	if (f->upto_byte > 0 && f->upto_byte - f->from_byte - f->bytes_in < most)
		most = (size_t)(f->upto_byte - f->from_byte - f->bytes_in);
	r = BM_FILL_EMIT;
	if (filled)
		; /* by the opening */
	else if (bm_source_is_fed(f->source))
		r = read_fed(f, out, most, w, &b, err);
	else if (bm_source_read(f->source, out->data, most, &out->len, &out->last, &out->hole, &b, err) != BM_OK)
		r = BM_FILL_ERROR;
	if (r == BM_FILL_ERROR)
		f->read_failed = true;
	if (r != BM_FILL_EMIT)
		return r;
	f->bytes_in += out->len;
	out->last = out->last || (f->upto_byte > 0 && f->from_byte + f->bytes_in >= f->upto_byte);
	if (out->last)
		warn_of_retries(f);
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
	read_urls_destroy(rs->urls);
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
	rs->follow = p->follow_symlinks;
	rs->roots = bm_calloc_array(p->from.count + p->urls.count + 1, sizeof(*rs->roots));
	if (rs->roots == NULL)
		return bm_error_set_nomem(err);
	status = read_urls_prepare(plan, p, &rs->urls, err);
	if (status != BM_OK)
		return status;
	/* A list of names is relative to the one directory that `from` names, where it does. */
	if (p->files_from != NULL && p->from.count == 1 && !bm_read_is_url(p, 0))
		rs->list_base = p->from.items[0];
	rs->root_count = rs->list_base != NULL || p->nothing ? 0 : p->from.count;
	if (p->feed != NULL) {
		rs->roots[0].path = p->feed_name;
		rs->roots[0].feed = p->feed;
		rs->root_count = 1;
	}
	for (size_t i = 0; i < rs->root_count && p->feed == NULL; i++) {
		rs->roots[i].path = p->from.items[i];
		rs->roots[i].is_glob = !p->literal && !bm_read_is_url(p, i) && bm_glob_has_magic(p->from.items[i]);
		if (bm_read_is_url(p, i))
			rs->roots[i].url = read_urls_item(rs->urls, i);
	}
	for (size_t i = 0; i < p->urls.count; i++, rs->root_count++) {
		const struct bm_read_url *u = (const struct bm_read_url *)p->urls.items + i;

		rs->roots[rs->root_count].path = u->url;
		rs->roots[rs->root_count].url = read_urls_item(rs->urls, p->from.count + i);
	}
	status = compile_globs(&p->include, &rs->include, &rs->include_count, err);
	if (status == BM_OK)
		status = compile_globs(&p->exclude, &rs->exclude, &rs->exclude_count, err);
	if (status == BM_OK)
		status = bm_plan_segment(plan, read_fill, rs, plan->chunk_bytes, 0, err);
	if (status == BM_OK && rs->urls != NULL)
		status = read_urls_stage(plan, rs->urls, err);
	return status;
}

bool bm_plan_lists_once(const struct bm_job *job)
{
	const struct bm_read_params *p = &job->steps[0].p.read;
	const char *list = p->urls_from != NULL ? p->urls_from : p->files_from;
	struct stat st;

	return list != NULL && (strcmp(list, "-") == 0 || (stat(list, &st) == 0 && !S_ISREG(st.st_mode)));
}

enum bm_status bm_plan_walk(const struct bm_plan *plan, const char *const *skip_paths, size_t skip_count,
                            bool need_stat, struct bm_walk **out, struct bm_error *err)
{
	const struct read_shared *rs = plan->shared[0];
	const struct bm_read_params *p = rs->p;
	struct bm_walk_options o = {
		.roots = rs->roots,
		.root_count = rs->root_count,
		.list_path = p->urls_from != NULL ? p->urls_from : p->files_from,
		.list_is_urls = p->urls_from != NULL,
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

/* A directory that an exclude matches is left out whole. */
static bool is_excluded(const struct read_shared *rs, const char *path, size_t len)
{
	for (size_t i = 0; i < rs->exclude_count; i++) {
		if (bm_glob_match(rs->exclude[i], path, len))
			return true;
		for (const char *p = memchr(path, '/', len); p != NULL;
		     p = memchr(p + 1, '/', len - (size_t)(p + 1 - path)))
			if (bm_glob_match(rs->exclude[i], path, (size_t)(p - path)))
				return true;
	}
	return false;
}

bool bm_plan_takes_name(const struct bm_plan *p, const char *path, size_t len)
{
	const struct read_shared *rs = p->shared[0];
	bool taken = rs->include_count == 0;

	for (size_t i = 0; i < rs->include_count && !taken; i++)
		taken = bm_glob_match(rs->include[i], path, len);
	if (taken && !rs->p->hidden)
		taken = path[0] != '.' && memmem(path, len, "/.", 2) == NULL;
	return taken && !is_excluded(rs, path, len);
}

static enum bm_status read_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err)
{
	(void)shared;
	(void)good;
	(void)w;
	(void)err;
	read_urls_close(f);
	return BM_OK;
}

const struct bm_step_ops bm_read_ops = {
	.begins_segment = true,
	.load = read_urls_load,
	.unload = read_urls_unload,
	.prepare = read_prepare,
	.close = read_close,
	.destroy = read_destroy,
};
