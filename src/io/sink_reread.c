/*
 * Reading back what was written.
 *
 * That fsync was fine says that the disk took the bytes, not that they are those that were given to it: between the two
 * lie a file system, a controller, a cable. So the file is read once more, before it takes its name, and whoever wrote it
 * compares. What must not answer is the page cache, which holds the bytes as they were written: its pages are given back,
 * and the file is read with O_DIRECT. Where a file system has no such reads (EINVAL), giving the pages back has to do; what
 * is in memory only (tmpfs) is read from there. A disk's own cache cannot be passed by.
 */
#include "sink_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

#define ALIGN_BYTES ((size_t)4096)
#define READ_BYTES ((size_t)512 << 10)

static int open_temp(const struct bm_sink *s, bool direct)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC | (direct ? O_DIRECT : 0);
	int fd;
	do
		fd = openat(s->dir->fd, s->temp, flags);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static bool is_refused(int e)
{
	return e == EINVAL || e == EOPNOTSUPP;
}

/* The temp, with as little of it in the cache as can be. -1 and errno. */
static int open_past_cache(const struct bm_sink *s, bool *direct)
{
	struct stat st;
	int fd = open_temp(s, true);
	*direct = fd >= 0;
	if (fd < 0 && is_refused(errno))
		fd = open_temp(s, false);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || st.st_ino != s->temp_st.st_ino || st.st_dev != s->temp_st.st_dev ||
	    (uint64_t)st.st_size != s->offset) {
		bm_io_close(fd);
		errno = ESTALE;
		return -1;
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* its pages are clean: all of them go */
	return fd;
}

/* Takes O_DIRECT away again. */
static bool go_through_cache(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

enum bm_status bm_sink_reread(struct bm_sink *s, uint64_t from, bm_sink_take_fn *take, void *arg,
                              const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	uint8_t *buf = NULL;
	bool direct = false;
	if (s->kind != SINK_TEMP || from > s->offset)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "this output cannot be read back");
	bm_io_block(b);
	int fd = open_past_cache(s, &direct);
	if (fd < 0) {
		status = bm_sink_fail(s, errno, err, "cannot be opened to be read back: not put in place");
		goto out;
	}
	const uint64_t start = from - from % ALIGN_BYTES;
	size_t room = READ_BYTES;
	if (s->offset - start < READ_BYTES)
		room = ((size_t)(s->offset - start) + ALIGN_BYTES) / ALIGN_BYTES * ALIGN_BYTES;
	buf = aligned_alloc(ALIGN_BYTES, room);
	if (!buf) {
		status = bm_error_set_nomem(err);
		goto out;
	}
	for (uint64_t at = start; at < s->offset && status == BM_OK;) {
		ssize_t n = pread(fd, buf, room, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && direct && is_refused(errno) && go_through_cache(fd)) {
			direct = false;
			continue;
		}
		if (n <= 0) {
			status = n < 0 ? bm_sink_fail(s, errno, err, "cannot be read back: not put in place")
			               : bm_io_refuse(err, BM_ERR_MISMATCH, s->path, s->path_len,
			                              "is shorter on the disk than what was written: not put in place");
			break;
		}
		size_t skip = at < from ? (size_t)(from - at) : 0, len = (size_t)n;
		if (len > s->offset - at)
			len = (size_t)(s->offset - at);
		if (len > skip)
			status = take(arg, buf + skip, len - skip, err);
		at += len;
	}
out:
	bm_io_close(fd);
	bm_io_unblock(b);
	free(buf);
	return status;
}
