/*
 * Putting a finished output in its place.
 *
 * Size, owner, attributes, mode, times, fsync, rename; the directory is marked for bm_sink_set_sync. Until the rename
 * the old file is as it was, and any failure removes the temp. An fsync that fails is not tried again: the kernel
 * reports a write-back error once and then drops the pages (fsyncgate), so a second success would mean nothing. Without
 * fsync the errors of a network file system that come with close are still asked for, by closing a duplicate: the
 * descriptor itself has to live on, for its lock says that the temp is in use.
 *
 * A target that did not exist at open, or must not be replaced, is renamed to with RENAME_NOREPLACE, or with link and
 * unlink where the file system does not know that. An append also fails where the old file is another than the one
 * whose bytes the temp starts with.
 *
 * Outputs that can wait for others (sink_group.c) do without the fsync here, and are renamed when the group's is done.
 *
 * Two outputs of which one is the other's index cannot be renamed at one blow. Between the two renames there is then no
 * index rather than a wrong one: the old one goes first.
 */
#include "sink_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

int bm_sink_sync_file(int fd)
{
	int r;
	do
		r = fsync(fd);
	while (r != 0 && errno == EINTR);
	return r;
}

/* Is it to be synced with others? Not what stays open until its end, such as the old file of an append. */
static bool can_wait(const struct bm_sink *s)
{
	return s->set->durability == BM_DURABLE_BATCH && s->dir->has_syncfs && !s->dir->is_path_only && s->old_fd < 0;
}

/* Everything before the rename. */
static enum bm_status complete(struct bm_sink *s, const struct stat *src_stat, int src_fd, bool may_wait,
                               struct bm_buf *warnings, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	int r;
	if (s->is_complete)
		return BM_OK;
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->path, s->path_len,
		                    "not put in place: writing it has failed before");
	if (s->offset > s->data_end) {
		do
			r = ftruncate(s->fd, (off_t)s->offset);
		while (r != 0 && errno == EINTR);
		if (r != 0)
			return bm_sink_fail(s, errno, err, "cannot set its size");
	}
	if (s->old_fd >= 0) /* an append leaves all but the content as it was */
		status = bm_sink_copy_metadata(s, &s->old_st, s->old_fd, false, warnings, err);
	else if (s->opt.preserve && src_stat)
		status = bm_sink_copy_metadata(s, src_stat, src_fd, true, warnings, err);
	else if (fchmod(s->fd, s->opt.mode & 07777 & ~s->set->umask) != 0)
		return bm_sink_fail(s, errno, err, "cannot set its mode");
	if (status != BM_OK)
		return status;
	s->waits = may_wait && can_wait(s);
	if (s->set->durability != BM_DURABLE_NONE) {
		if (!s->waits && bm_sink_sync_file(s->fd) != 0)
			return bm_sink_fail(s, errno, err,
			                    "fsync failed, so its data may not be on the disk: not put in place");
	} else {
		int again = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
		if (again >= 0 && close(again) != 0 && errno != EINTR)
			return bm_sink_fail(s, errno, err, "cannot write (close)");
	}
	s->is_complete = true;
	return BM_OK;
}

static enum bm_status check_old(struct bm_sink *s, struct bm_error *err)
{
	struct stat now, named;
	if (s->old_fd < 0)
		return BM_OK;
	if (fstat(s->old_fd, &now) != 0)
		return bm_sink_fail(s, errno, err, "cannot stat the file to append to");
	if (!bm_io_same_state(&now, &s->old_st) || fstatat(s->dir->fd, s->leaf, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
	    named.st_dev != now.st_dev || named.st_ino != now.st_ino)
		return bm_io_refuse(
			err, BM_ERR_CHANGED, s->path, s->path_len,
			"was changed by somebody else while this was appended to it: left as it is now; run again");
	return BM_OK;
}

static int rename_temp(const struct bm_sink *s)
{
	const int dir = s->dir->fd;
	if (s->opt.if_exists == BM_EXISTS_REPLACE || s->old_fd >= 0)
		return renameat(dir, s->temp, dir, s->leaf);
	if (renameat2(dir, s->temp, dir, s->leaf, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(dir, s->temp, dir, s->leaf, 0) != 0)
		return -1;
	(void)unlinkat(dir, s->temp, 0);
	return 0;
}

static enum bm_status publish(struct bm_sink *s, struct bm_error *err)
{
	enum bm_status status = check_old(s, err);
	if (status != BM_OK)
		return status;
	if (rename_temp(s) != 0) {
		if (errno == EEXIST)
			return bm_io_refuse(
				err, BM_ERR_EXISTS, s->path, s->path_len,
				"was created by somebody else while it was written, and is not to be replaced");
		return bm_sink_fail(s, errno, err, "cannot rename the temporary file to it");
	}
	s->has_temp = false;
	bm_sink_set_leave(s);
	bm_sink_dir_mark(s->set, s->dir);
	/* A directory without read permission cannot be synced by itself: all of its file system is. */
	if (s->dir->is_path_only && s->set->durability != BM_DURABLE_NONE && syncfs(s->fd) != 0)
		return bm_sink_fail(s, errno, err, "in place, but its name may be lost in a crash (syncfs)");
	return BM_OK;
}

static enum bm_status finish_in_place(struct bm_sink *s, struct bm_error *err)
{
	struct stat st;
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->path, s->path_len,
		                    "not complete: writing it has failed before");
	if (s->set->durability != BM_DURABLE_NONE && fstat(s->fd, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && bm_sink_sync_file(s->fd) != 0 && errno != EINVAL &&
	    errno != EROFS)
		return bm_sink_fail(s, errno, err, "fsync failed");
	if (s->owns_fd) {
		s->owns_fd = false;
		if (close(s->fd) != 0 && errno != EINTR)
			return bm_sink_fail(s, errno, err, "cannot write (close)");
	}
	return BM_OK;
}

/* complete() or finish_in_place(), whichever it takes. */
static enum bm_status make_ready(struct bm_sink *s, const struct stat *src_stat, int src_fd, struct bm_buf *warnings,
                                 struct bm_error *err)
{
	return s->kind == SINK_IN_PLACE ? finish_in_place(s, err) : complete(s, src_stat, src_fd, false, warnings, err);
}

static enum bm_status remove_old(struct bm_sink *s, struct bm_error *err)
{
	if (s->kind == SINK_IN_PLACE || unlinkat(s->dir->fd, s->leaf, 0) == 0 || errno == ENOENT)
		return BM_OK;
	return bm_sink_fail(s, errno, err, "cannot remove the old file");
}

enum bm_status bm_sink_commit_pair(struct bm_sink *s, struct bm_sink *second, const struct stat *src_stat, int src_fd,
                                   struct bm_buf *warnings, const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status;

	bm_io_block(b);
	status = make_ready(second, src_stat, src_fd, NULL, err); /* what cannot be preserved is told once */
	if (status == BM_OK)
		status = make_ready(s, src_stat, src_fd, warnings, err);
	if (status == BM_OK && !bm_sink_set_begin(s->set)) {
		status = bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len,
		                      "not put in place: the run was cancelled");
	} else if (status == BM_OK) {
		status = remove_old(second, err);
		if (status == BM_OK && s->kind != SINK_IN_PLACE)
			status = publish(s, err);
		if (status == BM_OK && second->kind != SINK_IN_PLACE)
			status = publish(second, err);
		bm_sink_set_end(s->set);
	}
	bm_sink_abort(s);
	bm_sink_abort(second);
	bm_io_unblock(b);
	return status;
}

enum bm_status bm_sink_complete(struct bm_sink *s, const struct stat *src_stat, int src_fd, bool may_wait,
                                struct bm_buf *warnings, const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	if (s->kind == SINK_IN_PLACE)
		return BM_OK; /* its end is all in the commit */
	bm_io_block(b);
	status = complete(s, src_stat, src_fd, may_wait, warnings, err);
	bm_io_unblock(b);
	return status;
}

bool bm_sink_waits(const struct bm_sink *s)
{
	return s->waits;
}

enum bm_status bm_sink_commit(struct bm_sink *s, const struct stat *src_stat, int src_fd, struct bm_buf *warnings,
                              const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status;
	bm_io_block(b);
	if (s->kind == SINK_IN_PLACE) {
		status = finish_in_place(s, err);
	} else {
		status = complete(s, src_stat, src_fd, false, warnings, err);
		if (status == BM_OK) {
			if (bm_sink_set_begin(s->set)) {
				status = publish(s, err);
				bm_sink_set_end(s->set);
			} else {
				status = bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len,
				                      "not put in place: the run was cancelled");
			}
		}
	}
	bm_sink_abort(s); /* after a rename there is no temp to remove */
	bm_io_unblock(b);
	return status;
}

enum bm_status bm_sink_patch(struct bm_sink *s, uint64_t offset, const void *data, size_t len,
                             const struct bm_blocker *b, struct bm_error *err)
{
	const uint8_t *from = data;
	enum bm_status status = BM_OK;

	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->path, s->path_len, "writing it has failed before");
	if (s->kind == SINK_IN_PLACE)
		return bm_io_refuse(err, BM_ERR_UNSUPPORTED, s->path, s->path_len,
		                    "a pipe or device cannot be written out of order");
	if (offset > s->data_end || len > s->data_end - offset)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "an output cannot be patched where nothing was written");
	bm_io_block(b);
	while (len > 0 && status == BM_OK) {
		ssize_t n = pwrite(s->fd, from, len, (off_t)offset);
		if (n > 0) {
			from += n;
			len -= (size_t)n;
			offset += (uint64_t)n;
		} else if (n == 0 || errno != EINTR) {
			status = bm_sink_fail(s, n < 0 ? errno : EIO, err, "cannot write");
		}
	}
	bm_io_unblock(b);
	return status;
}
