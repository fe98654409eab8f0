/*
 * repair_file.c - one damaged or missing file is put together anew beside its place, and takes the name when it is right.
 *
 * Block by block: where the file's own bytes have the manifest's digest they are taken, else the copy's, where these have
 * it; else that is the end, and the file stays as it is. A block that cannot be read is a wrong one. What is written goes
 * through the digests of the whole file, too, which decide; or, where the manifest has none of these, through those of its
 * blocks once more. Between the look and the rename the old file must not have
 * changed.
 *
 * A name may lead through symbolic links; a file that then is not below the root is left alone. The file gets a new inode:
 * other hard links to the old one keep the damaged bytes.
 */
#include "repair_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block_digests.h"
#include "bm_error.h"

struct input {
	int fd; /* -1: it is not there */
	struct stat st;
};

struct repair {
	struct repair_job *job;
	const struct bm_manifest_entry *e;
	struct bm_buf target_path, copy_path;
	struct input target, copy;
	struct bm_sink *sink; /* NULL: dry run */
	struct bm_digest *block;
	struct bm_digest *whole[BM_MANIFEST_DIGESTS_MAX]; /* NULL: not known here */
	bool is_bare;                                     /* ... none of them, so that blocks have to do: */
	struct block_digests written;                     /* of what was put */
	struct bm_audit_repaired *out;
	bool was_wrong; /* the block before */
};

/* ---- looking ---- */

static enum bm_status open_input(struct input *in, const char *path, const char *what, struct bm_error *err)
{
	do
		in->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	while (in->fd < 0 && errno == EINTR);
	if (in->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return BM_OK;
	if (in->fd < 0 || fstat(in->fd, &in->st) != 0)
		return bm_error_set_errno(err, errno, NULL, "cannot open %s", what);
	if (!S_ISREG(in->st.st_mode))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "%s is not a regular file", what);
	return BM_OK;
}

static bool is_below(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (strcmp(root, "/") == 0)
		return true;
	return strncmp(root, path, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Where does the name lead, as far as there is something? */
static enum bm_status check_place(const struct repair *r, struct bm_error *err)
{
	char *path = bm_memdup0(r->target_path.data, r->target_path.len), *real = NULL;
	enum bm_status status = BM_OK;
	struct stat st;

	if (path == NULL)
		return bm_error_set_nomem(err);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) != 0)
		status = bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "is a symbolic link that leads nowhere");
	while (status == BM_OK && (real = realpath(path, NULL)) == NULL) {
		char *slash = strrchr(path, '/');

		if ((errno != ENOENT && errno != ENOTDIR) || slash == NULL || slash == path)
			status = bm_error_set_errno(err, errno, NULL, "cannot look at its directory");
		else
			*slash = '\0';
	}
	if (status == BM_OK && !is_below(r->job->root, real))
		status = bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                      "leads out of the directory, through a symbolic link");
	free(real);
	free(path);
	return status;
}

/* Temp files that a killed repair has left would be new files to the next audit. */
static void sweep(struct repair *r)
{
	struct bm_buf *swept = &r->job->swept;
	size_t len = (size_t)(strrchr(r->target_path.data, '/') - r->target_path.data);

	if (r->job->set == NULL || (swept->len == len && memcmp(swept->data, r->target_path.data, len) == 0))
		return;
	bm_buf_reset(swept);
	bm_buf_put(swept, r->target_path.data, len);
	if (!swept->oom)
		(void)!bm_sink_sweep(swept->data, NULL, NULL);
}

static bool has_blocks(const struct bm_manifest_entry *e)
{
	const struct bm_manifest_blocks *b = &e->blocks;

	return e->has_blocks && e->has_size && b->algorithm != NULL &&
	       b->count == e->size_bytes / b->size_bytes + (e->size_bytes % b->size_bytes != 0);
}

static enum bm_status prepare(struct repair *r, const char *name, struct bm_error *err)
{
	const struct bm_manifest_entry *e = r->e;
	enum bm_status status;
	bool any = false;

	bm_buf_printf(&r->target_path, "%s/", strcmp(r->job->root, "/") == 0 ? "" : r->job->root);
	bm_buf_puts(&r->target_path, name);
	bm_buf_printf(&r->copy_path, "%s/", r->job->from);
	bm_buf_puts(&r->copy_path, name);
	if (r->target_path.oom || r->copy_path.oom)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < e->digest_count; i++) {
		if (e->digests[i].algorithm == NULL)
			continue;
		if (bm_digest_create(e->digests[i].algorithm, &r->whole[i], err) != BM_OK)
			return err->status;
		any = true;
	}
	r->is_bare = !any && has_blocks(e);
	if (r->is_bare) {
		r->written.algorithm = e->blocks.algorithm;
		r->written.size_bytes = e->blocks.size_bytes;
	}
	if (!any && !r->is_bare)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "the manifest has no digest of it that is known here");
	status = check_place(r, err);
	if (status == BM_OK)
		status = open_input(&r->target, r->target_path.data, "it", err);
	if (status == BM_OK)
		status = open_input(&r->copy, r->copy_path.data, "the copy", err);
	if (status == BM_OK && r->copy.fd < 0)
		return bm_error_set(err, BM_ERR_MISMATCH, NULL, "there is no copy of it");
	if (status == BM_OK && r->target.fd >= 0 && r->target.st.st_dev == r->copy.st.st_dev &&
	    r->target.st.st_ino == r->copy.st.st_ino)
		return bm_error_set(err, BM_ERR_CONFLICT, NULL, "the copy is the very same file");
	return status;
}

static enum bm_status open_sink(struct repair *r, struct bm_error *err)
{
	const struct stat *like = r->target.fd >= 0 ? &r->target.st : &r->copy.st;
	struct bm_sink_options o = {.if_exists = BM_EXISTS_REPLACE,
	                            .preserve = true,
	                            .mode = 0666,
	                            .make_holes = (uint64_t)like->st_blocks * 512 < (uint64_t)like->st_size,
	                            .input = &r->copy.st};
	bool skipped;

	if (r->job->set == NULL)
		return BM_OK;
	return bm_sink_open(r->job->set, r->target_path.data, &o, NULL, &r->sink, &skipped, err);
}

/* ---- bytes ---- */

/* -1 and errno, or how many: fewer only at the end. */
static ssize_t read_at(int fd, uint8_t *buf, size_t len, uint64_t at)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, buf + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static enum bm_status put(struct repair *r, const uint8_t *data, size_t len, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < r->e->digest_count && status == BM_OK; i++)
		if (r->whole[i] != NULL)
			status = bm_digest_update(r->whole[i], data, len, err);
	if (status == BM_OK && r->is_bare)
		status = block_digests_put(&r->written, data, len, err);
	if (status == BM_OK && r->sink != NULL)
		status = bm_sink_write(r->sink, data, len, false, NULL, err);
	return status;
}

static enum bm_status check_stopped(const struct repair *r, struct bm_error *err)
{
	if (r->job->is_stopped == NULL || !r->job->is_stopped(r->job->ctx))
		return BM_OK;
	return bm_error_set(err, BM_ERR_CANCELLED, NULL, "was not repaired: interrupted");
}

/* Has this part of the file the block's digest? A part that cannot be read has not. Where it is one piece it is in the
 * buffer afterwards. */
static enum bm_status check_block(struct repair *r, int fd, uint64_t at, uint64_t len, const uint8_t *want, bool *right,
                                  struct bm_error *err)
{
	uint8_t out[BM_DIGEST_MAX_BYTES];
	enum bm_status status = bm_digest_reset(r->block, err);

	*right = false;
	for (uint64_t done = 0; done < len && status == BM_OK;) {
		size_t n = len - done < REPAIR_PIECE ? (size_t)(len - done) : REPAIR_PIECE;

		status = check_stopped(r, err);
		if (status != BM_OK)
			return status;
		if (read_at(fd, r->job->buf, n, at + done) != (ssize_t)n)
			return BM_OK;
		status = bm_digest_update(r->block, r->job->buf, n, err);
		done += n;
	}
	if (status == BM_OK)
		status = bm_digest_finish(r->block, out, err);
	*right = status == BM_OK && memcmp(out, want, r->e->blocks.digest_len) == 0;
	return status;
}

/* What was looked at; the digest of the whole file sees to it that it is still the same. */
static enum bm_status put_range(struct repair *r, int fd, uint64_t at, uint64_t len, bool is_in_buffer,
                                struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (uint64_t done = 0; done < len && status == BM_OK;) {
		size_t n = len - done < REPAIR_PIECE ? (size_t)(len - done) : REPAIR_PIECE;

		status = check_stopped(r, err);
		if (status == BM_OK && !is_in_buffer && read_at(fd, r->job->buf, n, at + done) != (ssize_t)n)
			status = bm_error_set(err, BM_ERR_CHANGED, NULL, "it or the copy cannot be read to the end");
		if (status == BM_OK)
			status = put(r, r->job->buf, n, err);
		done += n;
	}
	return status;
}

static void add_span(struct repair *r, uint64_t first, uint64_t len)
{
	struct bm_file_damage *d = &r->out->damage;

	d->damaged_bytes += len;
	d->span_count += !r->was_wrong;
	if (d->span_count > BM_DAMAGE_SPANS)
		return;
	if (!r->was_wrong)
		d->spans[d->span_count - 1].first = first;
	d->spans[d->span_count - 1].last = first + len - 1;
}

static enum bm_status put_block(struct repair *r, size_t i, struct bm_error *err)
{
	const struct bm_manifest_blocks *b = &r->e->blocks;
	const uint8_t *want = b->bytes + i * b->digest_len;
	uint64_t at = i * b->size_bytes, left = r->e->size_bytes - at;
	uint64_t len = left < b->size_bytes ? left : b->size_bytes;
	bool right;
	enum bm_status status = check_block(r, r->target.fd, at, len, want, &right, err);

	if (status == BM_OK && right) {
		r->was_wrong = false;
		return put_range(r, r->target.fd, at, len, len <= REPAIR_PIECE, err);
	}
	if (status == BM_OK)
		status = check_block(r, r->copy.fd, at, len, want, &right, err);
	if (status == BM_OK && !right)
		return bm_error_set(err, BM_ERR_MISMATCH, NULL,
		                    "bytes %" PRIu64 "-%" PRIu64 " are wrong in the copy, too", at, at + len - 1);
	if (status != BM_OK)
		return status;
	add_span(r, at, len);
	r->was_wrong = true;
	return put_range(r, r->copy.fd, at, len, len <= REPAIR_PIECE, err);
}

static enum bm_status put_all(struct repair *r, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (r->target.fd < 0 || !has_blocks(r->e)) {
		r->out->is_whole = true;
		r->out->damage.damaged_bytes = (uint64_t)r->copy.st.st_size;
		return put_range(r, r->copy.fd, 0, (uint64_t)r->copy.st.st_size, false, err);
	}
	status = bm_digest_create(r->e->blocks.algorithm, &r->block, err);
	for (size_t i = 0; i < r->e->blocks.count && status == BM_OK; i++)
		status = put_block(r, i, err);
	return status;
}

static enum bm_status check_whole(struct repair *r, struct bm_error *err)
{
	uint8_t out[BM_DIGEST_MAX_BYTES];

	for (size_t i = 0; i < r->e->digest_count; i++) {
		if (r->whole[i] == NULL)
			continue;
		if (bm_digest_finish(r->whole[i], out, err) != BM_OK)
			return err->status;
		if (memcmp(out, r->e->digests[i].bytes, r->e->digests[i].len) != 0)
			return bm_error_set(err, BM_ERR_MISMATCH, NULL, "%s",
			                    r->out->is_whole ? "the copy is not as the manifest says, either"
			                                     : "with its damaged blocks replaced it still has another "
			                                       "digest than the manifest says");
	}
	if (!r->is_bare)
		return BM_OK;
	if (block_digests_end(&r->written, err) != BM_OK)
		return err->status;
	if (r->written.count != r->e->blocks.count ||
	    memcmp(r->written.out.data, r->e->blocks.bytes, r->written.out.len) != 0)
		return bm_error_set(err, BM_ERR_MISMATCH, NULL, "the copy is not as the manifest says, either");
	return BM_OK;
}

/* ---- its place ---- */

static bool is_as_before(const struct repair *r)
{
	const struct stat *a = &r->target.st;
	struct stat b;

	if (stat(r->target_path.data, &b) != 0)
		return r->target.fd < 0;
	return r->target.fd >= 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino && a->st_size == b.st_size &&
	       a->st_mtim.tv_sec == b.st_mtim.tv_sec && a->st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b.st_ctim.tv_sec && a->st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

static enum bm_status publish(struct repair *r, struct bm_buf *warnings, struct bm_error *err)
{
	struct bm_sink *sink = r->sink;
	struct stat st = r->target.fd >= 0 ? r->target.st : r->copy.st;

	if (!is_as_before(r))
		return bm_error_set(err, BM_ERR_CHANGED, NULL, "was written by somebody else meanwhile");
	if (sink == NULL)
		return BM_OK;
	if (r->target.fd < 0 && r->e->has_mtime) { /* it has none to keep */
		int64_t ns = r->e->mtime_ns % 1000000000;

		st.st_mtim.tv_sec = (time_t)(r->e->mtime_ns / 1000000000 - (ns < 0));
		st.st_mtim.tv_nsec = (long)(ns < 0 ? ns + 1000000000 : ns);
	}
	r->sink = NULL;
	return bm_sink_commit(sink, &st, r->target.fd >= 0 ? r->target.fd : r->copy.fd, warnings, NULL, err);
}

enum bm_status repair_file(struct repair_job *job, const char *name, const struct bm_manifest_entry *e,
                           struct bm_audit_repaired *out, struct bm_buf *warnings, struct bm_error *err)
{
	struct repair r = {.job = job, .e = e, .out = out, .target.fd = -1, .copy.fd = -1};
	enum bm_status status = prepare(&r, name, err);

	if (status == BM_OK)
		sweep(&r);
	if (status == BM_OK)
		status = open_sink(&r, err);
	if (status == BM_OK)
		status = put_all(&r, err);
	if (status == BM_OK)
		status = check_whole(&r, err);
	out->damage.size_bytes = e->has_size ? e->size_bytes : (uint64_t)r.copy.st.st_size;
	out->damage.found_bytes = r.target.fd >= 0 ? (uint64_t)r.target.st.st_size : 0;
	if (status == BM_OK)
		status = publish(&r, warnings, err);
	out->is_good = status == BM_OK;
	bm_sink_abort(r.sink);
	bm_digest_destroy(r.block);
	block_digests_fini(&r.written);
	for (size_t i = 0; i < e->digest_count; i++)
		bm_digest_destroy(r.whole[i]);
	if (r.target.fd >= 0)
		close(r.target.fd);
	if (r.copy.fd >= 0)
		close(r.copy.fd);
	bm_buf_fini(&r.target_path);
	bm_buf_fini(&r.copy_path);
	return status;
}
