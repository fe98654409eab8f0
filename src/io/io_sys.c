/*
 * The ground under src/io.
 *
 * Paths longer than PATH_MAX: the kernel takes at most 4095 bytes a call, but a tree may be deeper. bm_io_open cuts the
 * path at the last '/' that fits, opens that much as an O_PATH directory, and goes on from there. Symbolic links on the
 * way are followed as the kernel would.
 *
 * What the caches answer: openat2 with RESOLVE_CACHED (Linux 5.12) fails with EAGAIN where the walk along the path
 * would have to wait for a disk. A caller that holds a CPU permit tries this first and gives the permit up only if it
 * must. An old kernel, or a seccomp filter that does not know openat2, is found out once per process and then costs
 * nothing.
 */
#include "io_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"

#define FIFO_POLL_MS 50
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS 10000

void bm_io_block(const struct bm_blocker *b)
{
	if (b && b->block) {
		int e = errno;
		b->block(b->arg);
		errno = e;
	}
}

void bm_io_block_disk(const struct bm_blocker *b)
{
	if (b && b->block_disk) {
		int e = errno;
		b->block_disk(b->arg);
		errno = e;
	} else {
		bm_io_block(b);
	}
}

void bm_io_unblock(const struct bm_blocker *b)
{
	if (b && b->unblock) {
		int e = errno;
		b->unblock(b->arg);
		errno = e;
	}
}

static int cancel_fd(const struct bm_blocker *b)
{
	return b && b->cancel_fd > 0 ? b->cancel_fd : -1; /* poll leaves out what is negative */
}

int bm_io_wait(int fd, short events, const struct bm_blocker *b)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = cancel_fd(b), .events = POLLIN}};

	while (poll(p, 2, -1) < 0) {
		if (errno != EINTR)
			return -1;
	}
	if (p[1].revents) {
		errno = ECANCELED;
		return -1;
	}
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int bm_io_sleep(uint64_t ms, const struct bm_blocker *b)
{
	struct pollfd p = {.fd = cancel_fd(b), .events = POLLIN};
	uint64_t now = now_ms(), end = now + ms;
	for (; now < end; now = now_ms()) {
		uint64_t left = end - now;
		if (poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX) < 0 && errno != EINTR)
			return -1;
		if (p.revents) {
			errno = ECANCELED;
			return -1;
		}
	}
	return 0;
}

bool bm_io_may_pass(int sys_errno)
{
	return sys_errno == EIO || sys_errno == EAGAIN || sys_errno == ESTALE || sys_errno == ETIMEDOUT;
}

uint64_t bm_io_back_off_ms(unsigned tries)
{
	uint64_t ms = RETRY_FIRST_MS;
	for (unsigned i = 0; i < tries && ms < RETRY_MOST_MS; i++)
		ms *= 2;
	return ms < RETRY_MOST_MS ? ms : RETRY_MOST_MS;
}

int bm_io_open_fifo_writer(int dir, const char *path, int flags, const struct bm_blocker *b)
{
	struct pollfd p = {.fd = cancel_fd(b), .events = POLLIN};
	for (;;) {
		int fd = openat(dir, path, flags | (p.fd >= 0 ? O_NONBLOCK : 0));
		if (fd >= 0 && p.fd >= 0)
			(void)fcntl(fd, F_SETFL, 0); /* nothing that is set by F_SETFL was asked for but O_NONBLOCK */
		if (fd >= 0 || (errno != EINTR && errno != ENXIO))
			return fd;
		if (errno == ENXIO && p.fd < 0)
			return -1;
		/* Nothing tells when a reader comes (its open is no event before ours), so it is asked for again and
		 * again. */
		if (poll(&p, 1, FIFO_POLL_MS) < 0 && errno != EINTR)
			return -1;
		if (p.revents) {
			errno = ECANCELED;
			return -1;
		}
	}
}

/* What is known of a kind of file system; of one that is not listed, nothing. */
static const struct fs_kind {
	unsigned long magic;
	bool in_memory, own_clock, has_syncfs;
} fs_kinds[] = {
	{EXT4_SUPER_MAGIC, .own_clock = true, .has_syncfs = true}, /* ext2 and ext3 too */
	{XFS_SUPER_MAGIC, .own_clock = true, .has_syncfs = true},
	{BTRFS_SUPER_MAGIC, .own_clock = true, .has_syncfs = true},
	{F2FS_SUPER_MAGIC, .own_clock = true, .has_syncfs = true},
	{TMPFS_MAGIC, .in_memory = true, .own_clock = true, .has_syncfs = true},
	{RAMFS_MAGIC, .in_memory = true},
	{OVERLAYFS_SUPER_MAGIC, .own_clock = true}, /* its syncfs does not pass on the errors of what it lies on */
};

static struct fs_kind fs_kind_of(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0)
		for (size_t i = 0; i < sizeof(fs_kinds) / sizeof(fs_kinds[0]); i++)
			if (fs_kinds[i].magic == (unsigned long)fs.f_type)
				return fs_kinds[i];
	return (struct fs_kind){0};
}

/* Before Linux 5.8 syncfs says nothing of what could not be written. */
static bool kernel_tells(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;
	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 8));
}

bool bm_io_in_memory(int fd)
{
	return fs_kind_of(fd).in_memory;
}

bool bm_io_own_clock(int fd)
{
	return fs_kind_of(fd).own_clock;
}

bool bm_io_has_syncfs(int fd)
{
	return fs_kind_of(fd).has_syncfs && kernel_tells();
}

void bm_io_close(int fd)
{
	if (fd >= 0) {
		int e = errno;
		(void)close(fd);
		errno = e;
	}
}

static int open_retry(int dir, const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = openat(dir, path, flags, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* Opens the leading part of a path that is too long for one call; *path and *len then name what is left, short enough.
 * Returns the directory (to be closed by the caller unless it is dir), or -1. */
static int descend(int dir, const char **path, size_t *len)
{
	int at = dir;
	while (*len >= PATH_MAX) {
		char piece[PATH_MAX];
		size_t cut = PATH_MAX - 1;
		while (cut > 0 && (*path)[cut] != '/')
			cut--;
		size_t piece_len = cut ? cut : 1; /* a '/' at the very start is the root directory */
		if (cut == 0 && (*path)[0] != '/') {
			bm_io_close(at == dir ? -1 : at);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(piece, *path, piece_len);
		piece[piece_len] = '\0';
		int next = open_retry(at, piece, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		bm_io_close(at == dir ? -1 : at);
		if (next < 0)
			return -1;
		at = next;
		*path += piece_len;
		*len -= piece_len;
		while (**path == '/') {
			(*path)++;
			(*len)--;
		}
	}
	if (*len == 0) {
		*path = ".";
		*len = 1;
	}
	return at;
}

int bm_io_open(int dir, const char *path, size_t len, int flags, mode_t mode)
{
	if (len < PATH_MAX)
		return open_retry(dir, path, flags, mode);
	int at = descend(dir, &path, &len);
	if (at < 0 && at != AT_FDCWD)
		return -1;
	int fd = open_retry(at, path, flags, mode);
	bm_io_close(at == dir ? -1 : at);
	return fd;
}

int bm_io_open_cached(int dir, const char *path, size_t len, int flags)
{
	static atomic_bool missing; /* set by whoever finds that openat2 is not there; only ever goes to true */
	if (len >= PATH_MAX || atomic_load_explicit(&missing, memory_order_relaxed)) {
		errno = EAGAIN;
		return -1;
	}
	struct open_how how = {.flags = (unsigned)flags, .resolve = RESOLVE_CACHED};
	long fd;
	do
		fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 && (errno == ENOSYS || errno == EINVAL || errno == E2BIG || errno == EPERM)) {
		/* EPERM may be the file's own: then openat will say so again. */
		if (errno != EPERM)
			atomic_store_explicit(&missing, true, memory_order_relaxed);
		errno = EAGAIN;
	}
	return (int)fd;
}

int bm_io_stat(int dir, const char *path, size_t len, struct stat *st, int flags)
{
	if (len < PATH_MAX)
		return fstatat(dir, path, st, flags);
	int at = descend(dir, &path, &len);
	if (at < 0 && at != AT_FDCWD)
		return -1;
	int r = fstatat(at, path, st, flags);
	bm_io_close(at == dir ? -1 : at);
	return r;
}

bool bm_io_same_state(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

const char *bm_io_kind_text(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		return "a character device";
	case S_IFBLK:
		return "a block device";
	default:
		return "of an unknown kind";
	}
}

static const char *advice(int sys_errno)
{
	switch (sys_errno) {
	case ENOSPC:
		return "free some space (or inodes) on that file system or write elsewhere, then run again";
	case EDQUOT:
		return "the disk quota is used up: delete files or have it raised, then run again";
	case EFBIG:
		return "larger than the file system or the limit (ulimit -f) allows: raise it or write elsewhere";
	case EROFS:
		return "it is mounted read-only: write elsewhere or remount it";
	case EMFILE:
		return "raise the limit on open files (ulimit -n) or lower --io-depth";
	case ENFILE:
		return "the whole system is out of open files (fs.file-max)";
	case EIO:
		return "the device or the network failed: see the kernel's log (dmesg)";
	case ELOOP:
		return "too many symbolic links, or a link where none is followed";
	case ENAMETOOLONG:
		return "a name on this file system has at most 255 bytes";
	default:
		return NULL;
	}
}

enum bm_status bm_io_fail(struct bm_error *err, int sys_errno, const char *path, size_t len, const char *fmt, ...)
{
	enum bm_status status = sys_errno == ENOMEM ? BM_ERR_NOMEM : BM_ERR_SYSTEM;
	if (!err || err->status != BM_OK)
		return status;
	char where[sizeof err->where], text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)bm_escape_display_buf(where, sizeof where, len ? path : "''", len ? len : 2);
	status = bm_error_set_errno(err, sys_errno, where, "%s", text);
	const char *what_to_do = advice(sys_errno);
	size_t used = strlen(err->text);
	if (what_to_do && used + 3 < sizeof err->text)
		(void)snprintf(err->text + used, sizeof err->text - used, "; %s", what_to_do);
	return status;
}

enum bm_status bm_io_refuse(struct bm_error *err, enum bm_status status, const char *path, size_t len, const char *fmt,
                            ...)
{
	if (!err || err->status != BM_OK)
		return status;
	char where[sizeof err->where], text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	(void)bm_escape_display_buf(where, sizeof where, len ? path : "''", len ? len : 2);
	return bm_error_set(err, status, where, "%s", text);
}
