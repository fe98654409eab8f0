/*
 * Copying in the kernel.
 *
 * The cheapest way that works here: FICLONE shares the blocks (only of a whole file into an empty one), copy_file_range
 * lets the file system or the server copy, segment by segment so that holes stay holes, and what is left is read and
 * written. A way is given up only for an errno that means "not here" (not_here below); anything else, EIO and ENOSPC
 * above all, is the answer. The position is kept, so a fall-back goes on where the kernel stopped.
 *
 * make_holes looks for zeros that the source has as data; only reading finds these, so then nothing is done in the
 * kernel.
 */
#include "sink_private.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

#define PIECE_BYTES ((uint64_t)64 << 20)
#define SCRATCH_BYTES ((size_t)256 << 10)

static bool not_here(int e)
{
	switch (e) {
	case EXDEV:
	case EINVAL:
	case EOPNOTSUPP:
	case ENOSYS:
	case EBADF:
	case ETXTBSY:
	case EPERM:
	case ENOTTY: /* what an ioctl says that the file system has never heard of */
		return true;
	default:
		return false;
	}
}

static void progress(uint64_t *bytes, uint64_t n) /* NOLINT(readability-non-const-parameter): it is written */
{
	if (bytes)
		(void)__atomic_fetch_add(bytes, n, __ATOMIC_RELAXED);
}

static enum bm_status refuse_cancelled(struct bm_sink *s, struct bm_error *err)
{
	s->failed = true;
	return bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len, "not written: the run was cancelled");
}

/* true: the sink has all of in's bytes. */
static enum bm_status clone_whole(struct bm_sink *s, int in, uint64_t size, bool *cloned, struct bm_error *err)
{
	struct stat st;
	*cloned = false;
	if (s->offset != 0)
		return BM_OK;
	int r;
	do
		r = ioctl(s->fd, FICLONE, in);
	while (r != 0 && errno == EINTR);
	if (r != 0)
		return not_here(errno) ? BM_OK : bm_sink_fail(s, errno, err, "cannot clone into it");
	if (fstat(s->fd, &st) != 0)
		return bm_sink_fail(s, errno, err, "cannot stat its temporary file");
	if ((uint64_t)st.st_size != size) {
		s->failed = true;
		return bm_io_refuse(err, BM_ERR_CHANGED, s->path, s->path_len,
		                    "not written: its source has another size than when it was opened");
	}
	s->offset = s->data_end = size;
	*cloned = true;
	return BM_OK;
}

/* Where the data at or after from begins and ends; size, size: only a hole follows. Where the file system cannot tell
 * all is data. */
static void next_data(int in, uint64_t from, uint64_t size, bool *sparse, uint64_t *start, uint64_t *end)
{
	*start = from;
	*end = size;
	if (!*sparse)
		return;
	off_t at = lseek(in, (off_t)from, SEEK_DATA);
	if (at < 0) {
		if (errno == ENXIO)
			*start = size;
		else
			*sparse = false;
		return;
	}
	off_t stop = lseek(in, at, SEEK_HOLE);
	*start = (uint64_t)at < size ? (uint64_t)at : size;
	if (stop > at && (uint64_t)stop < size)
		*end = (uint64_t)stop;
}

/* Copies bytes *done .. size of in to the end of s. BM_OK with *done < size: not possible in the kernel,
 * go on by reading from *done. */
static enum bm_status copy_kernel(struct bm_sink *s, int in, uint64_t size, bool sparse, bool (*cancelled)(void *),
                                  void *arg, uint64_t *bytes, uint64_t *done, const struct bm_blocker *b,
                                  struct bm_error *err)
{
	enum bm_status status;
	bool cloned;
	if (size == 0)
		return BM_OK;
	bm_io_block(b);
	status = clone_whole(s, in, size, &cloned, err);
	if (cloned) {
		*done = size;
		progress(bytes, size);
	}
	while (status == BM_OK && *done < size) {
		uint64_t start, end;
		next_data(in, *done, size, &sparse, &start, &end);
		s->offset += start - *done; /* a hole here is one there */
		progress(bytes, start - *done);
		*done = start;
		while (*done < end) {
			if (cancelled && cancelled(arg)) {
				status = refuse_cancelled(s, err);
				goto out;
			}
			off_t from = (off_t)*done, to = (off_t)s->offset;
			uint64_t want = end - *done < PIECE_BYTES ? end - *done : PIECE_BYTES;
			ssize_t n = copy_file_range(in, &from, s->fd, &to, (size_t)want, 0);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0 && !not_here(errno))
				status = bm_sink_fail(s, errno, err, "cannot copy into it");
			if (n <= 0) /* 0: the source got shorter, or cannot be copied like this; reading tells */
				goto out;
			*done += (uint64_t)n;
			s->offset += (uint64_t)n;
			s->data_end = s->offset;
			progress(bytes, (uint64_t)n);
		}
	}
out:
	bm_io_unblock(b);
	return status;
}

enum bm_status bm_sink_copy_old(struct bm_sink *s, const struct bm_blocker *b, struct bm_error *err)
{
	uint64_t done = 0, size = (uint64_t)s->old_st.st_size;
	bool sparse = s->old_st.st_blocks < (s->old_st.st_size + 511) / 512;
	bool make_holes = s->opt.make_holes;
	s->opt.make_holes = false; /* the old part stays as it is */
	enum bm_status status = copy_kernel(s, s->old_fd, size, sparse, NULL, NULL, NULL, &done, b, err);
	uint8_t *scratch = NULL;
	if (status == BM_OK && done < size) {
		scratch = malloc(SCRATCH_BYTES);
		if (!scratch)
			status = bm_error_set_nomem(err);
	}
	while (status == BM_OK && done < size) {
		size_t want = size - done < SCRATCH_BYTES ? (size_t)(size - done) : SCRATCH_BYTES;
		bm_io_block(b);
		ssize_t n = pread(s->old_fd, scratch, want, (off_t)done);
		bm_io_unblock(b);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			status = bm_sink_fail(s, errno, err, "cannot read the file to append to");
		} else if (n == 0) {
			s->failed = true;
			status = bm_io_refuse(err, BM_ERR_CHANGED, s->path, s->path_len,
			                      "got shorter while it was prepared for appending: left as it is");
		} else {
			status = bm_sink_put(s, scratch, (size_t)n, b, err);
			done += (uint64_t)n;
		}
	}
	free(scratch);
	s->opt.make_holes = make_holes;
	return status;
}

enum bm_status bm_sink_copy_from(struct bm_sink *s, struct bm_source *src, uint8_t *scratch, size_t scratch_len,
                                 bool (*cancelled)(void *), void *arg, uint64_t *bytes, const struct bm_blocker *b,
                                 struct bm_error *err)
{
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->path, s->path_len, "writing it has failed before");
	const struct stat *st = bm_source_stat(src);
	uint64_t done = 0, size = st->st_size > 0 ? (uint64_t)st->st_size : 0;
	if (s->kind == SINK_TEMP && bm_source_is_regular(src) && size > 0) {
		enum bm_status status = copy_kernel(s, bm_source_fd(src), size, bm_source_is_sparse(src), cancelled,
		                                    arg, bytes, &done, b, err);
		if (status == BM_OK && done == size)
			status = bm_source_check_unchanged(src, err);
		if (status != BM_OK || done == size) {
			s->failed = s->failed || status != BM_OK;
			return status;
		}
		bm_source_seek(src, done);
	}
	for (bool last = false, hole; !last;) {
		size_t len;
		if (cancelled && cancelled(arg))
			return refuse_cancelled(s, err);
		enum bm_status status = bm_source_read(src, scratch, scratch_len, &len, &last, &hole, b, err);
		if (status == BM_OK)
			status = bm_sink_write(s, scratch, len, hole, b, err);
		if (status != BM_OK) {
			s->failed = true;
			return status;
		}
		progress(bytes, len);
	}
	return BM_OK;
}
