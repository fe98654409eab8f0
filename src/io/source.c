/*
 * Reading one input.
 *
 * Three ways to read, chosen at open and never left:
 * - SIZED, a regular file whose stat gives a size: preadv2 at offsets, exactly the bytes up to that size. The end is
 *   known without a further call, and a last fstat proves that nothing changed; a file of one chunk that is in the page
 *   cache costs openat2, fstat, preadv2, fstat, close. Or, read while it is opened, openat2, preadv2, fstat, close:
 *   where that one fstat says that the file was last changed well before it was opened, nothing changed it meanwhile.
 *   That takes a file system whose times are of the clock that we compare them with, and a file that nobody has just
 *   written; else what was read is read again between two fstats.
 * - UNSIZED, a regular file with size 0: mostly just empty, but /proc and the like give content all the same. Read by
 *   file position until the end; one byte is read ahead, so that the last chunk can say that it is the last.
 * - STREAM, standard input, FIFO, device: the same without a check for changes.
 * A URL is read by url_source.c, which has an end, errors and tries of its own. Opening is in source_open.c.
 *
 * The permit: RWF_NOWAIT gives what is in the page cache (or in the pipe) and nothing else; only what is missing is
 * read between block() and unblock(), after the pages to come have been asked for. Where the file system does not know
 * RWF_NOWAIT the source remembers it; tmpfs is one of these, and is read without giving up the permit all the same.
 *
 * Holes: in a sparse file SEEK_DATA and SEEK_HOLE are asked once a segment, not once a chunk, and a chunk that lies
 * wholly in a hole is not read. The blocks of a file say nothing about where holes are, so they only decide whether to
 * ask.
 *
 * A file that ends before its size, though its stat has not changed, is damaged or a pseudo-file: sysfs says 4096 for
 * every file. Only there (by file system type) the early end is believed.
 *
 * Errors that may pass (a network that is gone for a moment, a disk that comes back) are waited out where the blocker says
 * so: the same call again after 100 ms, then twice as long each time. An error that stays is reported with the number of
 * attempts; one that passed is counted, so that somebody can be told of it.
 */
#include "source_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_feed.h"
#include "bm_pace.h"
#include "io_sys.h"
#include "url_source.h"

/* ---- again ---- */

bool source_try_again(struct bm_source *s, unsigned *tries, bool *blocked, const struct bm_blocker *b)
{
	s->attempts = *tries + 1;
	if (!b || *tries >= b->retries || !bm_io_may_pass(errno))
		return false;
	s->retry_errno = errno;
	if (!*blocked)
		bm_io_block(b);
	*blocked = true;
	if (bm_io_sleep(bm_io_back_off_ms(*tries), b) != 0)
		return false;
	(*tries)++;
	s->retried++;
	return true;
}

const char *source_attempts_text(const struct bm_source *s, char text[40])
{
	text[0] = '\0';
	if (s->attempts > 1)
		(void)snprintf(text, 40, ", tried %u times", s->attempts);
	return text;
}

void bm_source_close(struct bm_source *s)
{
	if (!s)
		return;
	if (s->feed)
		bm_feed_leave(s->feed);
	if (s->owns_fd)
		bm_io_close(s->fd);
	url_fetch_close(s->fetch);
	free(s);
}

/* Times of the kernel's own file systems are those of the clock's last tick, which CLOCK_REALTIME_COARSE gives: where that
 * was past ctime before the first byte was read, whatever was written since has another one. Where ctime has whole seconds only, so has the file system, or two of
 * them; and a server's clock is another one, of which no more than this is expected. */
#define COARSE_NS INT64_C(2000000000)

bool bm_source_is_settled(const struct bm_source *s)
{
	int64_t age;
	if (!bm_source_is_regular(s))
		return true;
	age = (int64_t)(s->opened.tv_sec - s->st.st_ctim.tv_sec) * 1000000000 +
	      (s->opened.tv_nsec - s->st.st_ctim.tv_nsec);
	if (age >= COARSE_NS)
		return true;
	return age > 0 && s->st.st_ctim.tv_nsec != 0 && bm_io_own_clock(s->fd);
}

const struct stat *bm_source_stat(const struct bm_source *s)
{
	return &s->st;
}

int bm_source_fd(const struct bm_source *s)
{
	return s->fd;
}

unsigned bm_source_retried(const struct bm_source *s, int *sys_errno)
{
	*sys_errno = s->retry_errno;
	return s->fetch ? url_fetch_retried(s->fetch) : s->retried;
}

bool bm_source_is_sparse(const struct bm_source *s)
{
	return s->is_sparse;
}

bool bm_source_is_regular(const struct bm_source *s)
{
	return s->mode == SIZED || s->mode == UNSIZED;
}

bool bm_source_has_times(const struct bm_source *s)
{
	return s->mode == URL ? url_fetch_has_mtime(s->fetch) : s->mode != STREAM;
}

void bm_source_seek(struct bm_source *s, uint64_t offset)
{
	s->offset = offset;
	s->data_start = s->data_end = 0;
	s->ended = false;
}

enum bm_status bm_source_check_unchanged(const struct bm_source *s, struct bm_error *err)
{
	struct stat now;
	if (!bm_source_is_regular(s))
		return BM_OK;
	if (fstat(s->fd, &now) != 0)
		return bm_io_fail(err, errno, s->name, s->name_len, "cannot stat after reading");
	if (bm_io_same_state(&s->st, &now))
		return BM_OK;
	if (now.st_size != s->st.st_size)
		return bm_io_refuse(
			err, BM_ERR_CHANGED, s->name, s->name_len,
			"changed while it was read: it had %lld bytes and now has %lld; run again when nobody writes it",
			(long long)s->st.st_size, (long long)now.st_size);
	return bm_io_refuse(
		err, BM_ERR_CHANGED, s->name, s->name_len,
		"changed while it was read (its time of change is another); run again when nobody writes it");
}

/* ---- reading ---- */

/* One read into iov at offset (-1: at the file position): first what needs no waiting, then, if that was nothing,
 * between block() and unblock(). Bytes, 0 at the end, -1 and errno. */
static ssize_t read_some(struct bm_source *s, const struct iovec *iov, int iov_count, off_t offset, bool *blocked,
                         uint64_t ahead_bytes, const struct bm_blocker *b)
{
	unsigned tries = 0;
	ssize_t n;
	if (!*blocked && !s->no_nowait && !s->is_cold) {
		do
			n = preadv2(s->fd, iov, iov_count, offset, RWF_NOWAIT);
		while (n < 0 && errno == EINTR);
		if (n > 0 || (n == 0 && s->mode != SIZED))
			return n;
		if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL || errno == ESPIPE))
			s->no_nowait = true;
		else if (n < 0 && errno != EAGAIN && !source_try_again(s, &tries, blocked, b))
			return n;
		s->in_memory = s->no_nowait && s->mode == SIZED && bm_io_in_memory(s->fd);
	}
	if (!*blocked && !s->in_memory) {
		if (s->mode == SIZED)
			bm_io_block_disk(b);
		else
			bm_io_block(b);
		*blocked = true;
		s->is_cold = false;
		if (ahead_bytes)
			(void)posix_fadvise(s->fd, offset, (off_t)ahead_bytes, POSIX_FADV_WILLNEED);
	}
	for (bool may_wait = false;;) {
		/* A pipe may have nothing to give for ever: then a cancel must find its way in. */
		if (s->mode != SIZED && bm_io_wait(s->fd, POLLIN, b) != 0)
			return -1;
		n = offset >= 0 ? preadv(s->fd, iov, iov_count, offset) : readv(s->fd, iov, iov_count);
		if (n >= 0)
			return n;
		if (errno == EINTR || (errno == EAGAIN && s->mode == STREAM))
			continue;
		if (errno == EAGAIN && !may_wait) {
			/* A file system for which O_NONBLOCK means something. */
			may_wait = true;
			(void)fcntl(s->fd, F_SETFL, 0); /* nothing else was asked for that F_SETFL sets */
			continue;
		}
		if (!source_try_again(s, &tries, blocked, b))
			return n;
	}
}

/* Finds the next segment of data at or after offset. */
static void find_data(struct bm_source *s, const struct bm_blocker *b)
{
	uint64_t size = (uint64_t)s->st.st_size;
	bm_io_block_disk(b);
	off_t start = lseek(s->fd, (off_t)s->offset, SEEK_DATA);
	if (start >= 0) {
		off_t end = lseek(s->fd, start, SEEK_HOLE);
		s->data_start = (uint64_t)start;
		s->data_end = end > start ? (uint64_t)end : size;
	} else if (errno == ENXIO) { /* a hole up to the end */
		s->data_start = s->data_end = size;
	} else {
		s->ask_holes = false;
	}
	bm_io_unblock(b);
}

/* sysfs and its kin give a size that means nothing. */
static bool on_pseudo_fs(int fd)
{
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case SYSFS_MAGIC:
	case PROC_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case 0x62656570: /* configfs */
		return true;
	default:
		return false;
	}
}

static enum bm_status read_error(struct bm_source *s, uint64_t at, struct bm_error *err)
{
	if (errno == ECANCELED)
		return bm_io_refuse(err, BM_ERR_CANCELLED, s->name, s->name_len, "cancelled");
	char tried[40];
	return bm_io_fail(err, errno, s->name, s->name_len, "cannot read at byte %llu%s", (unsigned long long)at,
	                  source_attempts_text(s, tried));
}

static enum bm_status read_sized(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, bool *hole,
                                 const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	uint64_t size = (uint64_t)s->st.st_size, left = s->offset < size ? size - s->offset : 0;
	size_t want = left < cap ? (size_t)left : cap, got = 0;
	bool blocked = false;
	if (s->ask_holes) {
		if (s->offset >= s->data_end)
			find_data(s, b);
		if (s->ask_holes && s->offset + want <= s->data_start) {
			memset(buf, 0, want);
			*hole = want > 0;
			got = want;
		}
	}
	if (bm_pace_take(b, want - got) != 0)
		return read_error(s, s->offset, err);
	while (got < want) {
		struct iovec iov = {buf + got, want - got};
		/* Cold and more than a chunk: have the disk at work on the next ones while this one is processed. */
		uint64_t ahead = left > cap ? (left < 3 * (uint64_t)cap ? left : 3 * (uint64_t)cap) : 0;
		ssize_t n = read_some(s, &iov, 1, (off_t)(s->offset + got), &blocked, ahead, b);
		if (n > 0) {
			got += (size_t)n;
			continue;
		}
		if (n < 0)
			status = read_error(s, s->offset + got, err);
		break;
	}
	if (blocked)
		bm_io_unblock(b);
	if (status != BM_OK)
		return status;
	s->offset += got;
	*len = got;
	if (got < want) { /* the end came early */
		status = bm_source_check_unchanged(s, err);
		if (status == BM_OK && !on_pseudo_fs(s->fd))
			status = bm_io_refuse(err, BM_ERR_CHANGED, s->name, s->name_len,
			                      "ended early: %llu of %llu bytes could be read",
			                      (unsigned long long)s->offset, (unsigned long long)size);
		s->ended = true;
		return status;
	}
	if (s->offset >= size) {
		s->ended = true;
		status = bm_source_check_unchanged(s, err);
	}
	return status;
}

static enum bm_status read_unsized(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len,
                                   const struct bm_blocker *b, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	size_t got = 0;
	bool blocked = false;
	if (s->has_ahead) {
		buf[got++] = s->ahead;
		s->has_ahead = false;
	}
	/* One byte more than fits: it tells whether anything follows. */
	while (!s->has_ahead) {
		struct iovec iov[2] = {{buf + got, cap - got}, {&s->ahead, 1}};
		bool full = got == cap; /* an empty first part would look like the end to some drivers */
		ssize_t n = read_some(s, full ? iov + 1 : iov, full ? 1 : 2, -1, &blocked, 0, b);
		if (n < 0) {
			status = read_error(s, s->offset + got, err);
			break;
		}
		if (n == 0) {
			s->ended = true;
			break;
		}
		if ((size_t)n > cap - got) {
			s->has_ahead = true;
			got = cap;
		} else {
			got += (size_t)n;
		}
		if (blocked && s->mode == STREAM && !s->has_ahead) {
			/* What has come in meanwhile can be taken without waiting. */
			bm_io_unblock(b);
			blocked = false;
		}
	}
	if (blocked)
		bm_io_unblock(b);
	if (status != BM_OK)
		return status;
	if (bm_pace_take(b, got) != 0)
		return read_error(s, s->offset, err);
	s->offset += got;
	*len = got;
	return s->ended ? bm_source_check_unchanged(s, err) : BM_OK;
}

static enum bm_status read_feed(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, const struct bm_blocker *b,
                                struct bm_error *err)
{
	enum bm_status status = bm_feed_read(s->feed, buf, cap, len, &s->ended, b, err);
	if (status == BM_OK && bm_pace_take(b, *len) != 0)
		return read_error(s, s->offset, err);
	s->offset += *len;
	return status;
}

bool bm_source_is_fed(const struct bm_source *s)
{
	return s->feed != NULL;
}

enum bm_status bm_source_take(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, bool *last, bool *later,
                              void (*wake)(void *arg), void *arg, const struct bm_blocker *b, struct bm_error *err)
{
	*len = 0;
	*last = s->ended;
	*later = false;
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->name, s->name_len, "reading it has failed before");
	if (s->ended)
		return BM_OK;
	enum bm_status status = bm_feed_take(s->feed, buf, cap, len, &s->ended, later, wake, arg, err);
	if (status == BM_OK && bm_pace_take(b, *len) != 0)
		status = read_error(s, s->offset, err);
	s->offset += *len;
	s->failed = status != BM_OK;
	*last = s->ended;
	return status;
}

enum bm_status bm_source_read(struct bm_source *s, uint8_t *buf, size_t cap, size_t *len, bool *last, bool *hole,
                              const struct bm_blocker *b, struct bm_error *err)
{
	*len = 0;
	*last = false;
	*hole = false;
	if (s->failed)
		return bm_io_refuse(err, BM_ERR_FAILED, s->name, s->name_len, "reading it has failed before");
	if (s->ended) {
		*last = true;
		return BM_OK;
	}
	enum bm_status status;
	if (s->feed)
		status = read_feed(s, buf, cap, len, b, err);
	else if (s->mode == URL)
		status = url_fetch_read(s->fetch, buf, cap, len, &s->ended, b, err);
	else if (s->mode == SIZED)
		status = read_sized(s, buf, cap, len, hole, b, err);
	else
		status = read_unsized(s, buf, cap, len, b, err);
	s->failed = status != BM_OK;
	if (status == BM_OK)
		*last = s->ended;
	return status;
}
