/*
 * resume_check.c - is an input complete and unchanged? See resume.c. By the worker that would open the file, many at once.
 *
 * A stat(2) of what the kernel has in memory takes a microsecond, and giving the CPU permit away for that would cost more;
 * one that goes to a disk takes a thousand times as long. There is no way to ask beforehand. So the permit is given away
 * for the next SLOW_FILES files after one that took long.
 */
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_sink.h"
#include "history.h"
#include "resume_internal.h"

#define SLOW_NS 100000
#define SLOW_FILES 64

static bool is_same(const struct stat *st, uint64_t size, int64_t mtime_ns, uint64_t inode)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_size == size && bm_time_ns(st->st_mtim) == mtime_ns &&
	       (uint64_t)st->st_ino == inode;
}

/* The next output on record is this one, and it is still there as it was. */
static bool output_is_same(const struct job_run *j, const struct known *k, size_t *next, unsigned step,
                           const char *path)
{
	const struct bm_catalog_output *o;
	struct bm_buf absolute = {0};
	struct stat st;
	bool same;

	if (*next == k->output_count)
		return false;
	o = &k->outputs[(*next)++];
	if (o->step != step)
		return false;
	if (path[0] == '/') {
		same = strcmp(path, o->path) == 0;
	} else {
		job_key_put_path(&absolute, history_cwd(j->run), path);
		same = !absolute.oom && strcmp(absolute.data, o->path) == 0;
		bm_buf_fini(&absolute);
	}
	return same && stat(path, &st) == 0 && is_same(&st, o->size, o->mtime_ns, o->inode);
}

static bool outputs_are_same(const struct job_run *j, const struct bm_file *f, const struct known *k)
{
	struct bm_buf path = {0};
	size_t next = 0;
	bool same = true;

	for (unsigned i = 1; i < j->job->step_count && same; i++) {
		const struct bm_step_ops *ops = j->job->steps[i].kind->ops;
		void *shared = j->plan->shared[i];
		const char *suffix = ops->target_suffix != NULL ? ops->target_suffix(shared) : NULL;

		bm_buf_reset(&path);
		if (ops->target == NULL || !ops->target(shared, f->entry->path, f->entry->path_len, &path))
			continue;
		same = !path.oom && output_is_same(j, k, &next, i, path.data);
		if (same && suffix != NULL) {
			bm_buf_puts(&path, suffix);
			same = !path.oom && output_is_same(j, k, &next, i, path.data);
		}
	}
	bm_buf_fini(&path);
	return same && next == k->output_count;
}

/* The longest digest on record of the input itself. */
static const struct bm_catalog_done_digest *input_digest(const struct job_run *j, const struct known *k)
{
	const struct bm_catalog_done_digest *best = NULL;
	unsigned end = 1;

	while (end < j->job->step_count && j->job->steps[end].kind->role != BM_ROLE_CHANGE)
		end++;
	for (size_t i = 0; i < k->digest_count; i++)
		if (k->digests[i].step < end && (best == NULL || k->digests[i].len > best->len))
			best = &k->digests[i];
	return best;
}

static bool bytes_are_same(const struct job_run *j, struct bm_file *f, const struct known *k, uint8_t *buf, size_t cap,
                           const struct bm_blocker *b)
{
	const struct bm_catalog_done_digest *want = input_digest(j, k);
	const struct bm_digest_algorithm *a = want != NULL ? bm_digest_find(want->algorithm) : NULL;
	uint8_t found[BM_DIGEST_MAX_BYTES];
	struct bm_source *s = NULL;
	struct bm_digest *d = NULL;
	bool last = false, hole, same = false;
	size_t len;

	if (a == NULL || a->size_bytes != want->len || bm_digest_create(a, &d, NULL) != BM_OK)
		return false;
	/* What fails here is met again, and told, when the file is done again. */
	if (bm_source_open(f->entry, j->job->steps[0].p.read.follow_symlinks, b, &s, NULL) != BM_OK)
		goto out;
	while (!last) {
		if (atomic_load(&j->stop) || bm_source_read(s, buf, cap, &len, &last, &hole, b, NULL) != BM_OK ||
		    bm_digest_update(d, buf, len, NULL) != BM_OK)
			goto out;
		atomic_fetch_add_explicit(f->ctx->bytes_read, len, memory_order_relaxed);
		f->bytes_in += len;
		f->ctx->tick(f->ctx->tick_arg);
	}
	same = bm_digest_finish(d, found, NULL) == BM_OK && memcmp(found, want->bytes, want->len) == 0;
out:
	bm_source_close(s);
	bm_digest_destroy(d);
	return same;
}

static bool is_unchanged(struct job_run *j, struct bm_file *f, const struct known *k)
{
	struct stat st;
	bool follow = j->job->steps[0].p.read.follow_symlinks || f->entry->dir == NULL;

	if (bm_entry_stat(f->entry, follow, &st) != 0 || !is_same(&st, k->size, k->mtime_ns, k->inode))
		return false;
	f->source_id = bm_file_id_of(&st);
	return outputs_are_same(j, f, k);
}

/* ---- a file's beginning ---- */

bool resume_is_complete(void *arg, struct bm_file *f, uint8_t *buf, size_t cap, const struct bm_blocker *b)
{
	struct job_run *j = arg;
	struct resume *r = j->resume;
	const struct known *k = f->known;
	bool same = false;

	if (k != NULL) {
		unsigned slow = atomic_load_explicit(&r->slow, memory_order_relaxed);
		int64_t start = resume_now(CLOCK_MONOTONIC);

		if (slow > 0)
			b->block_disk(b->arg);
		same = is_unchanged(j, f, k);
		if (resume_now(CLOCK_MONOTONIC) - start > SLOW_NS)
			atomic_store_explicit(&r->slow, SLOW_FILES, memory_order_relaxed);
		else if (slow > 0) /* not exact with many threads, and need not be */
			atomic_store_explicit(&r->slow, slow - 1, memory_order_relaxed);
		if (slow > 0)
			b->unblock(b->arg);
		f->has_mtime = same;
		f->mtime_ns = k->mtime_ns;
	}
	if (same && j->run->opt.paranoid) {
		same = bytes_are_same(j, f, k, buf, cap, b);
		if (!same)
			f->bytes_in = 0;
	}
	if (r->dead.count > 0) { /* also where it is complete: that run may have done it anew */
		b->block(b->arg);
		resume_sweep(j, f);
		b->unblock(b->arg);
	}
	f->is_complete = same;
	return same;
}
