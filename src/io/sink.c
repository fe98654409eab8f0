/*
 * Opening an output and writing to it.
 *
 * The target is looked at once. Nothing there or a regular file: a temp file beside it takes the bytes, and commit
 * (sink_commit.c) puts it in place. A symbolic link is followed by hand to the file it stands for, so that the temp
 * lies in that file's directory and the link survives. A FIFO or device, there or at the end of a link, is opened and
 * written as it is. A directory is refused. What stands there may change until the commit; rename decides then, and for
 * FAIL, SKIP and APPEND it is one that never replaces what it did not see.
 *
 * The temp's name holds nothing of the target's, which may use all 255 bytes. It is created 0600 and gets its real mode
 * at the end, so that nobody reads a file halfway written with rights that its content should not have.
 *
 * The permit: opening and committing happen between block() and unblock(), and so do large writes to a disk. A small
 * write to a file is a copy into the page cache and not worth the hand-over, nor is any write to a file in memory. A pipe
 * or device is given what it takes at once before the permit is given up. Where the data must be
 * durable write-back is started every FLUSH_BYTES, so that the disk works while the file is made and not only in fsync.
 */
#include "sink_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

#define HOLE_BYTES ((size_t)4096)
#define BLOCK_BYTES ((size_t)64 << 10) /* writes from here on give up the permit */
#define FLUSH_BYTES ((uint64_t)8 << 20)
#define LINKS_MAX 40
#define NAMES_MAX 1000 /* temp names tried */

enum bm_status bm_sink_fail(struct bm_sink *s, int sys_errno, struct bm_error *err, const char *what)
{
	s->failed = true;
	return bm_io_fail(err, sys_errno, s->path, s->path_len, "%s", what);
}

/* Closes; the temp has been renamed or removed */
static void sink_free(struct bm_sink *s)
{
	if (s->owns_fd)
		bm_io_close(s->fd);
	bm_io_close(s->old_fd);
	if (s->in_group)
		bm_sink_dir_part(s->set, s->dir);
	bm_sink_dir_unref(s->set, s->dir);
	bm_sink_set_unref(s->set);
	free(s->leaf);
	free(s);
}

void bm_sink_abort(struct bm_sink *s)
{
	if (!s)
		return;
	if (s->has_temp && s->dir) {
		(void)unlinkat(s->dir->fd, s->temp, 0);
		bm_sink_set_leave(s);
	}
	sink_free(s);
}

/* ---- the target ---- */

/* The temp file. EEXIST and a sweep that was faster: the next name. *stale: the directory does not exist any more. */
static enum bm_status create_temp(struct bm_sink *s, bool *stale, struct bm_error *err)
{
	bool shed = false;
	*stale = false;
	for (int i = 0; i < NAMES_MAX; i++) {
		bm_sink_set_name(s->set, s->temp);
		s->fd = openat(s->dir->fd, s->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC,
		               0600);
		if (s->fd < 0) {
			if (errno == EEXIST || errno == EINTR)
				continue;
			if ((errno == EMFILE || errno == ENFILE) && !shed) {
				shed = true;
				bm_sink_set_shed(s->set);
				continue;
			}
			*stale = errno == ENOENT;
			return bm_sink_fail(s, errno, *stale ? NULL : err, "cannot create a temporary file beside it");
		}
		s->owns_fd = true;
		bool swept = flock(s->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
		if (fstat(s->fd, &s->temp_st) != 0) {
			int e = errno;
			(void)unlinkat(s->dir->fd, s->temp, 0);
			return bm_sink_fail(s, e, err, "cannot stat its temporary file");
		}
		if (!swept && s->temp_st.st_nlink > 0) {
			s->has_temp = true;
			bm_sink_set_add(s);
			return BM_OK;
		}
		bm_io_close(s->fd);
		s->owns_fd = false;
	}
	return bm_sink_fail(s, EEXIST, err, "cannot find a free name for a temporary file beside it");
}

static enum bm_status open_old(struct bm_sink *s, struct bm_error *err)
{
	s->old_fd = bm_io_open(s->dir->fd, s->leaf, strlen(s->leaf),
	                       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	if (s->old_fd < 0)
		return bm_sink_fail(s, errno, err, "cannot open the file to append to");
	if (fstat(s->old_fd, &s->old_st) != 0)
		return bm_sink_fail(s, errno, err, "cannot stat the file to append to");
	if (!S_ISREG(s->old_st.st_mode))
		return bm_io_refuse(err, BM_ERR_CHANGED, s->path, s->path_len, "was a regular file and is now %s",
		                    bm_io_kind_text(s->old_st.st_mode));
	return BM_OK;
}

static enum bm_status open_in_place(struct bm_sink *s, bool through_link, const struct bm_blocker *b,
                                    struct bm_error *err)
{
	struct stat st;
	s->kind = SINK_IN_PLACE;
	int flags = O_WRONLY | O_NOCTTY | O_CLOEXEC | (through_link ? 0 : O_NOFOLLOW);
	s->fd = bm_io_open_fifo_writer(s->dir->fd, s->leaf, flags, b);
	if (s->fd < 0 && errno == ECANCELED)
		return bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len, "cancelled");
	if (s->fd < 0)
		return bm_sink_fail(s, errno, err, "cannot open for writing");
	s->owns_fd = true;
	if (fstat(s->fd, &st) != 0)
		return bm_sink_fail(s, errno, err, "cannot stat");
	if (S_ISREG(st.st_mode))
		return bm_io_refuse(err, BM_ERR_CHANGED, s->path, s->path_len,
		                    "was a device or FIFO and became a regular file just now: not written");
	return BM_OK;
}

static bool is_in_proc(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
}

/* The target is a symbolic link to something that may not exist. *more: target now names where it leads. */
static enum bm_status follow_link(struct bm_sink *s, struct bm_buf *target, size_t dir_len, bool *more,
                                  const struct bm_blocker *b, struct bm_error *err)
{
	struct stat to, out;
	char text[PATH_MAX];
	bool there = fstatat(s->dir->fd, s->leaf, &to, 0) == 0;
	*more = false;
	if (there && is_in_proc(s->dir->fd)) {
		/* /dev/stdout and the like: no text of such a link is a path to be relied on. */
		if (fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == to.st_dev && out.st_ino == to.st_ino) {
			s->kind = SINK_IN_PLACE;
			s->fd = STDOUT_FILENO;
			return BM_OK;
		}
		if (S_ISREG(to.st_mode))
			return bm_io_refuse(err, BM_ERR_UNSUPPORTED, s->path, s->path_len,
			                    "leads through /proc to an open file: give that file's own path");
	}
	if (there && S_ISDIR(to.st_mode))
		return bm_io_refuse(err, BM_ERR_SYSTEM, s->path, s->path_len,
		                    "is a symbolic link to a directory: name a file in it");
	if (there && !S_ISREG(to.st_mode))
		return open_in_place(s, true, b, err);
	ssize_t n = readlinkat(s->dir->fd, s->leaf, text, sizeof text);
	if (n < 0)
		return bm_sink_fail(s, errno, err, "cannot read this symbolic link");
	if (n == 0 || (size_t)n == sizeof text)
		return bm_sink_fail(s, ENAMETOOLONG, err, "cannot follow this symbolic link");
	target->len = text[0] == '/' ? 0 : dir_len;
	bm_buf_put(target, text, (size_t)n);
	*more = true;
	return target->oom ? bm_error_set_nomem(err) : BM_OK;
}

/* Splits target into s->dir and s->leaf. *dir_len: with the '/'. */
static enum bm_status open_parent(struct bm_sink *s, const struct bm_buf *target, size_t *dir_len, struct bm_error *err)
{
	const char *slash = memrchr(target->data, '/', target->len);
	const char *leaf = slash ? slash + 1 : target->data;
	if (*leaf == '\0' || strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0)
		return bm_io_refuse(err, BM_ERR_SYSTEM, s->path, s->path_len, "names a directory: name a file in it");
	bm_sink_dir_unref(s->set, s->dir);
	s->dir = NULL;
	free(s->leaf);
	*dir_len = (size_t)(leaf - target->data);
	s->leaf = bm_memdup0(leaf, target->len - *dir_len);
	if (!s->leaf)
		return bm_error_set_nomem(err);
	size_t len = *dir_len; /* "a/b/" and "a//b" are found as "a/b" and "a//b"; "/" stays */
	while (len > 1 && target->data[len - 1] == '/')
		len--;
	return bm_sink_dir_open(s->set, target->data, len, s->path, &s->dir, err);
}

/* With another hard link the name alone would be given to the new bytes, and the input stay as it is. */
static bool is_input(const struct bm_sink *s, const struct stat *st)
{
	const struct stat *in = s->opt.input;
	return in && st->st_nlink == 1 && st->st_ino == in->st_ino && st->st_dev == in->st_dev;
}

/* Everything but the temp file. *done: nothing more to open (in place, or skipped). */
static enum bm_status find_target(struct bm_sink *s, bool *done, bool *skipped, const struct bm_blocker *b,
                                  struct bm_error *err)
{
	struct bm_buf target = {0};
	enum bm_status status;
	struct stat st;
	bool more = true, exists = false;
	*done = false;
	bm_buf_put(&target, s->path, s->path_len);
	if (target.oom)
		return bm_error_set_nomem(err);
	for (int links = 0; more; links++) {
		size_t dir_len = 0;
		more = false;
		status = open_parent(s, &target, &dir_len, err);
		if (status != BM_OK)
			goto out;
		assert(s->dir);
		exists = fstatat(s->dir->fd, s->leaf, &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (!exists && errno != ENOENT) {
			status = bm_sink_fail(s, errno, err, "cannot stat");
			goto out;
		}
		if (!exists || !S_ISLNK(st.st_mode))
			break;
		if (links == LINKS_MAX) {
			status = bm_sink_fail(s, ELOOP, err, "cannot follow this symbolic link");
			goto out;
		}
		status = follow_link(s, &target, dir_len, &more, b, err);
		if (status != BM_OK || !more) {
			*done = true;
			goto out;
		}
	}
	status = BM_OK;
	if (!exists)
		goto out;
	if (S_ISDIR(st.st_mode)) {
		status = bm_io_refuse(err, BM_ERR_SYSTEM, s->path, s->path_len, "is a directory: name a file in it");
	} else if (!S_ISREG(st.st_mode)) {
		*done = true;
		status = open_in_place(s, false, b, err);
	} else if (s->opt.if_exists == BM_EXISTS_SKIP) {
		*done = *skipped = true;
	} else if (is_input(s, &st)) {
		status = bm_io_refuse(err, BM_ERR_CONFLICT, s->path, s->path_len,
		                      "is its own input: write it under another name");
	} else if (s->opt.if_exists == BM_EXISTS_FAIL) {
		status = bm_io_refuse(err, BM_ERR_EXISTS, s->path, s->path_len,
		                      "exists already and is not to be replaced: remove it or write elsewhere");
	} else if (s->opt.if_exists == BM_EXISTS_APPEND) {
		status = open_old(s, err);
	}
out:
	bm_buf_fini(&target);
	return status;
}

static enum bm_status open_target(struct bm_sink *s, bool *skipped, const struct bm_blocker *b, struct bm_error *err)
{
	for (int tries = 0;; tries++) {
		bool done, stale = false;
		enum bm_status status = find_target(s, &done, skipped, b, err);
		if (status != BM_OK || done)
			return status;
		if (!bm_sink_set_begin(s->set))
			return bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len,
			                    "not written: the run was cancelled");
		/* The first time a directory that is gone is no error: it was in the cache, and is made anew. */
		status = create_temp(s, &stale, err);
		bm_sink_set_end(s->set);
		if (status == BM_OK)
			break;
		if (!stale)
			return status;
		if (tries > 0)
			return bm_io_fail(
				err, ENOENT, s->path, s->path_len,
				"cannot create a temporary file beside it: its directory is removed again and again");
		s->failed = false;
		bm_io_close(s->old_fd);
		s->old_fd = -1;
		bm_sink_dir_forget(s->set, s->dir);
	}
	return BM_OK;
}

/* Until its temp file is there nothing was written that could be lost, so that what may pass can be waited out: a server
 * that is gone for a moment, and has forgotten the directory that was open. Of writes and all that follows the first error is
 * final. */
static enum bm_status open_patiently(struct bm_sink *s, bool *skipped, const struct bm_blocker *b, struct bm_error *err)
{
	for (;;) {
		struct bm_error own = BM_ERROR_INIT;
		enum bm_status status = open_target(s, skipped, b, &own);
		if (status == BM_OK)
			return status;
		if (status != BM_ERR_SYSTEM || s->kind != SINK_TEMP || !b || s->retried >= b->retries ||
		    !bm_io_may_pass(own.sys_errno)) {
			size_t used = strlen(own.text);
			if (s->retried > 0 && used + 1 < sizeof own.text)
				(void)snprintf(own.text + used, sizeof own.text - used, " (tried %u times)",
				               s->retried + 1);
			if (err && err->status == BM_OK)
				*err = own;
			return status;
		}
		if (bm_io_sleep(bm_io_back_off_ms(s->retried), b) != 0)
			return bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len, "cancelled");
		s->retried++;
		s->retry_errno = own.sys_errno;
		s->failed = false;
		if (s->owns_fd)
			bm_io_close(s->fd);
		bm_io_close(s->old_fd);
		s->owns_fd = false;
		s->fd = s->old_fd = -1;
		if (s->dir)
			bm_sink_dir_forget(s->set, s->dir);
	}
}

unsigned bm_sink_retried(const struct bm_sink *s, int *sys_errno)
{
	*sys_errno = s->retry_errno;
	return s->retried;
}

enum bm_status bm_sink_open(struct bm_sink_set *set, const char *path, const struct bm_sink_options *opt,
                            const struct bm_blocker *b, struct bm_sink **out, bool *skipped, struct bm_error *err)
{
	*out = NULL;
	*skipped = false;
	size_t len = strlen(path);
	if (len == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "the name of an output is empty");
	struct bm_sink *s = calloc(1, sizeof *s + len + 1);
	if (!s)
		return bm_error_set_nomem(err);
	memcpy(s->path, path, len);
	s->path_len = len;
	s->opt = *opt;
	s->fd = s->old_fd = -1;
	s->set = set;
	(void)pthread_mutex_lock(&set->lock);
	set->refs++;
	(void)pthread_mutex_unlock(&set->lock);
	enum bm_status status = BM_OK;
	if (strcmp(path, "-") == 0) {
		s->kind = SINK_IN_PLACE;
		s->fd = STDOUT_FILENO;
	} else {
		bm_io_block(b);
		status = open_patiently(s, skipped, b, err);
		bm_io_unblock(b);
	}
	if (status == BM_OK && s->old_fd >= 0)
		status = bm_sink_copy_old(s, b, err);
	if (status != BM_OK || *skipped)
		bm_sink_abort(s);
	else
		*out = s;
	return status;
}

/* ---- writing ---- */

/* A pipe whose reader has stopped would hold the thread for ever: the waiting is done where a cancel can end it. Where
 * the kernel can write without waiting (pipes since Linux 6.4, but not FIFOs) it is asked to; elsewhere a pipe gets no more
 * at a time than what poll() promises room for. The descriptor's own flags are shared with other programs and stay.
 * *given_up: the permit is, or has to be before anything waits. */
static ssize_t write_in_place(struct bm_sink *s, const uint8_t *data, size_t len, bool *given_up,
                              const struct bm_blocker *b)
{
	struct iovec iov = {(uint8_t *)(uintptr_t)data, len};
	struct stat st;

	if (s->at_once == 0)
		s->at_once = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode) ? SIZE_MAX : PIPE_BUF;
	if (s->at_once != SIZE_MAX) {
		ssize_t n = pwritev2(s->fd, &iov, 1, -1, RWF_NOWAIT);
		if (n >= 0 ||
		    (errno != EAGAIN && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != ESPIPE))
			return n;
	}
	bool nowait = s->at_once != SIZE_MAX && errno == EAGAIN;
	if (!*given_up) {
		bm_io_block(b);
		*given_up = true;
	}
	if (s->at_once == SIZE_MAX)
		return write(s->fd, data, len);
	if (bm_io_wait(s->fd, POLLOUT, b) != 0)
		return -1;
	ssize_t n = nowait ? pwritev2(s->fd, &iov, 1, -1, RWF_NOWAIT)
	                   : write(s->fd, data, len < s->at_once ? len : s->at_once);
	if (n < 0 && errno == EAGAIN)
		errno = EINTR; /* the room was gone again: once more */
	return n;
}

enum bm_status bm_sink_put(struct bm_sink *s, const uint8_t *data, size_t len, const struct bm_blocker *b,
                           struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool given_up = s->kind == SINK_TEMP && len >= BLOCK_BYTES && !s->dir->in_memory;
	if (given_up)
		bm_io_block(b);
	while (len > 0) {
		ssize_t n = s->kind == SINK_IN_PLACE ? write_in_place(s, data, len, &given_up, b)
		                                     : pwrite(s->fd, data, len, (off_t)s->offset);
		if (n > 0) {
			data += n;
			len -= (size_t)n;
			s->offset += (uint64_t)n;
			s->data_end = s->offset;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ECANCELED) {
			s->failed = true;
			status = bm_io_refuse(err, BM_ERR_CANCELLED, s->path, s->path_len, "cancelled");
			break;
		}
		/* 0 bytes without an error does not happen on Linux, but must not be a loop without an end. */
		int e = n < 0 ? errno : EIO;
		status = bm_sink_fail(s, e, err, e == EPIPE ? "cannot write, the reader has gone" : "cannot write");
		break;
	}
	if (status == BM_OK && s->kind == SINK_TEMP && s->set->durability != BM_DURABLE_NONE &&
	    s->offset - s->flushed >= FLUSH_BYTES) {
		/* Only a start: whether it succeeded is what fsync says. */
		(void)sync_file_range(s->fd, (off_t)s->flushed, (off_t)(s->offset - s->flushed), SYNC_FILE_RANGE_WRITE);
		s->flushed = s->offset;
	}
	if (given_up)
		bm_io_unblock(b);
	return status;
}

enum bm_status bm_sink_truncate(struct bm_sink *s, uint64_t bytes, struct bm_error *err)
{
	if (s->kind == SINK_IN_PLACE)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "what was written to a pipe or device cannot be taken back");
	if (bytes > s->offset)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "an output cannot be cut to more than it holds");
	if (s->data_end > bytes) {
		if (ftruncate(s->fd, (off_t)bytes) != 0)
			return bm_sink_fail(s, errno, err, "cannot cut back");
		s->data_end = bytes;
	}
	s->offset = bytes;
	if (s->flushed > bytes)
		s->flushed = bytes;
	return BM_OK;
}

bool bm_sink_is_file(const struct bm_sink *s)
{
	return s->kind == SINK_TEMP;
}

enum bm_status bm_sink_refuse(const struct bm_sink *s, enum bm_status status, struct bm_error *err, const char *text)
{
	return bm_io_refuse(err, status, s->path, s->path_len, "%s", text);
}

bool bm_sink_in_memory(const struct bm_sink *s)
{
	return s->kind == SINK_TEMP && s->dir->in_memory;
}

uint64_t bm_sink_size(const struct bm_sink *s)
{
	return s->offset;
}

/* Is all of it zero? */
static bool is_zero(const uint8_t *data, size_t len)
{
	/* Sixteen zero bytes, and every byte equal to the one sixteen before it. */
	for (size_t i = 0; i < 16; i++) {
		if (i == len)
			return true;
		if (data[i])
			return false;
	}
	return memcmp(data, data + 16, len - 16) == 0;
}

/* Writes all but the zero blocks. */
static enum bm_status write_holes(struct bm_sink *s, const uint8_t *data, size_t len, const struct bm_blocker *b,
                                  struct bm_error *err)
{
	enum bm_status status = BM_OK;
	const size_t phase = (size_t)(s->offset % HOLE_BYTES); /* blocks are those of the file, not of the buffer */
	size_t run = 0;
	for (size_t i = 0; i < len && status == BM_OK;) {
		size_t end = i + HOLE_BYTES - (i + phase) % HOLE_BYTES;
		bool hole = end - i == HOLE_BYTES && end <= len && is_zero(data + i, HOLE_BYTES);
		if (end > len)
			end = len;
		if (hole) {
			if (run < i)
				status = bm_sink_put(s, data + run, i - run, b, err);
			if (status == BM_OK)
				s->offset += HOLE_BYTES;
			run = end;
		}
		i = end;
	}
	if (status == BM_OK && run < len)
		status = bm_sink_put(s, data + run, len - run, b, err);
	return status;
}

enum bm_status bm_sink_write(struct bm_sink *s, const void *data, size_t len, bool hole, const struct bm_blocker *b,
                             struct bm_error *err)
{
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->path, s->path_len, "writing it has failed before");
	if ((uint64_t)len > (uint64_t)INT64_MAX - s->offset)
		return bm_sink_fail(s, EFBIG, err, "cannot write");
	if (s->kind == SINK_TEMP && hole) {
		s->offset += len;
		return BM_OK;
	}
	if (s->kind == SINK_TEMP && s->opt.make_holes)
		return write_holes(s, data, len, b, err);
	return bm_sink_put(s, data, len, b, err);
}
