/*
 * Opening one input, for source.c to read.
 *
 * O_NONBLOCK, so that a FIFO that took the place of a file since it was listed cannot hang the opener; it is
 * then refused. The flag means nothing to reads of most regular files, but is cleared before the first read that may
 * wait, for those file systems where it does.
 */
#include "source_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_dir.h"
#include "io_sys.h"
#include "url_source.h"

#define HINT_BYTES ((off_t)1 << 20) /* larger files get read-ahead hints */

/* A FIFO has no content and no end before a writer comes: wait for him (a blocking open could not be cancelled). */
static int open_fifo(const struct bm_entry *e, int flags, const struct bm_blocker *b)
{
	int fd = bm_dir_open_leaf(e, flags | O_NONBLOCK, false);
	if (fd >= 0 && (bm_io_wait(fd, POLLIN, b) != 0 || fcntl(fd, F_SETFL, 0) != 0)) {
		bm_io_close(fd);
		fd = -1;
	}
	return fd;
}

static int open_entry(const struct bm_entry *e, bool follow_symlinks, const struct bm_blocker *b, bool *cold)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
	/* A FIFO opens at once, and is waited for where it is read: there a cancel can end the wait. Regular files do
	 * not care about O_NONBLOCK once they are open. */
	flags |= O_NONBLOCK;
	if (e->dir && !follow_symlinks)
		flags |= O_NOFOLLOW;
	int fd = -1;
	errno = EAGAIN;
	if (e->kind == BM_ENTRY_FILE)
		fd = bm_dir_open_leaf(e, flags, true);
	if (fd < 0 && errno == EAGAIN) {
		*cold = true;
		if (e->kind == BM_ENTRY_FILE)
			bm_io_block_disk(b);
		else
			bm_io_block(b);
		struct stat st;
		if (e->kind == BM_ENTRY_STREAM && bm_io_stat(AT_FDCWD, e->display, e->display_len, &st, 0) == 0 &&
		    S_ISFIFO(st.st_mode))
			fd = open_fifo(e, flags, b);
		else
			fd = bm_dir_open_leaf(e, flags, false);
		if (fd < 0 && errno == EWOULDBLOCK) /* somebody holds a lease (Samba): wait until it is given back */
			fd = bm_dir_open_leaf(e, flags & ~O_NONBLOCK, false);
		bm_io_unblock(b);
	}
	return fd;
}

/* Times of change are those of the clock's last tick; and a clock that is set just now is not to matter. */
#define SETTLED_S 2

struct first_read {
	struct iovec into;
	time_t opened; /* by the clock that file systems take their times from */
	size_t len;    /* 0: not to be used */
	bool last;
};

static bool first_read_may_do(const struct bm_entry *e)
{
	return e->kind == BM_ENTRY_FILE && e->dir && e->dir->own_clock &&
	       !atomic_load_explicit(&e->dir->has_unsettled, memory_order_relaxed);
}

/* Reads what needs no waiting. Whether it is of use is seen in the stat that follows. */
static void first_read_try(struct bm_source *s, struct first_read *first)
{
	ssize_t n = s->fd < 0 || s->is_cold ? -1 : preadv2(s->fd, &first->into, 1, 0, RWF_NOWAIT);
	first->len = n > 0 ? (size_t)n : 0;
}

/* The source is SIZED. */
static void first_read_settle(struct bm_source *s, const struct bm_entry *e, struct first_read *first)
{
	time_t changed = s->st.st_ctim.tv_sec > s->st.st_mtim.tv_sec ? s->st.st_ctim.tv_sec : s->st.st_mtim.tv_sec;
	uint64_t size = (uint64_t)s->st.st_size;
	size_t want = size < first->into.iov_len ? (size_t)size : first->into.iov_len;
	if (changed > first->opened - SETTLED_S) {
		atomic_store_explicit(&e->dir->has_unsettled, true, memory_order_relaxed);
		first->len = 0;
	}
	if (s->is_sparse || first->len != want) /* holes are to be found; or only some of it was in the cache */
		first->len = 0;
	s->offset = first->len;
	first->last = s->ended = first->len == size;
}

/* Opens s->fd and fills s->st; false: errno says why not, and *stage what could not be done. */
static bool open_and_stat(struct bm_source *s, const struct bm_entry *e, bool follow_symlinks, struct first_read *first,
                          const struct bm_blocker *b, const char **stage)
{
	bool blocked = false, is_good = false;
	unsigned tries = 0;
	do {
		*stage = "cannot open";
		s->fd = open_entry(e, follow_symlinks, b, &s->is_cold);
		if (s->fd < 0)
			continue;
		*stage = "cannot stat";
		if (first)
			first_read_try(s, first);
		is_good = fstat(s->fd, &s->st) == 0;
		if (!is_good) {
			bm_io_close(s->fd);
			s->fd = -1;
		}
	} while (!is_good && source_try_again(s, &tries, &blocked, b));
	if (blocked)
		bm_io_unblock(b);
	return is_good;
}

static enum bm_status open_source(const struct bm_entry *e, bool follow_symlinks, struct first_read *first,
                                  const struct bm_blocker *b, struct bm_source **out, struct bm_error *err)
{
	*out = NULL;
	if (e->kind == BM_ENTRY_ERROR) {
		if (err && e->error && err->status == BM_OK)
			*err = *e->error;
		return e->error && e->error->status != BM_OK ? e->error->status : BM_ERR_FAILED;
	}
	struct bm_source *s = malloc(sizeof *s + e->display_len + 1);
	if (!s)
		return bm_error_set_nomem(err);
	memset(s, 0, sizeof *s);
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &s->opened);
	s->name_len = e->display_len;
	memcpy(s->name, e->display, e->display_len + 1);
	enum bm_status status = BM_OK;
	if (e->feed) {
		s->feed = e->feed;
		s->fd = -1;
		s->mode = STREAM;
		*out = s;
		return BM_OK;
	}
	bool is_stdin = e->kind == BM_ENTRY_STREAM && !e->dir && strcmp(e->display, "-") == 0;
	s->owns_fd = !is_stdin;
	const char *stage = "cannot stat";
	char tried[40];
	s->fd = STDIN_FILENO;
	bool is_open = is_stdin ? fstat(s->fd, &s->st) == 0 : open_and_stat(s, e, follow_symlinks, first, b, &stage);
	if (!is_open && errno == ECANCELED) {
		status = bm_io_refuse(err, BM_ERR_CANCELLED, s->name, s->name_len, "cancelled");
		goto fail;
	}
	if (!is_open) {
		const char *text = stage;
		if (errno == ESTALE)
			text = "cannot open, its directory was moved or replaced after it was listed";
		else if (errno == ELOOP && e->dir && !follow_symlinks)
			text = "cannot open, it became a symbolic link after it was listed";
		status = bm_io_fail(err, errno, s->name, s->name_len, "%s%s", text, source_attempts_text(s, tried));
		goto fail;
	}
	if (S_ISDIR(s->st.st_mode)) {
		status = bm_io_fail(err, EISDIR, s->name, s->name_len, "cannot read");
		goto fail;
	}
	if (e->kind == BM_ENTRY_STREAM) {
		s->mode = STREAM;
	} else if (e->may_be_device && (S_ISCHR(s->st.st_mode) || S_ISBLK(s->st.st_mode))) {
		s->mode = STREAM;
		(void)fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
	} else if (!S_ISREG(s->st.st_mode)) {
		status = bm_io_refuse(err, BM_ERR_CHANGED, s->name, s->name_len,
		                      "was listed as a regular file and is now %s: not read",
		                      bm_io_kind_text(s->st.st_mode));
		goto fail;
	} else {
		s->mode = s->st.st_size > 0 ? SIZED : UNSIZED;
		s->is_sparse = s->st.st_blocks < (s->st.st_size + 511) / 512;
		s->ask_holes = s->is_sparse;
		if (s->st.st_size > HINT_BYTES)
			(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only a hint */
		if (first && s->mode == SIZED)
			first_read_settle(s, e, first);
	}
	*out = s;
	return BM_OK;
fail:
	bm_source_close(s);
	return status;
}

enum bm_status bm_source_open_url(const struct bm_entry *e, struct bm_url_client *c, const struct bm_blocker *b,
                                  struct bm_source **out, struct bm_error *err)
{
	struct bm_source *s = calloc(1, sizeof *s + e->display_len + 1);

	*out = NULL;
	if (!s)
		return bm_error_set_nomem(err);
	s->fd = -1;
	s->mode = URL;
	s->name_len = e->display_len;
	memcpy(s->name, e->display, e->display_len + 1);
	enum bm_status status = url_fetch_open(c, e->url, e->display, b, &s->fetch, err);
	if (status != BM_OK) {
		bm_source_close(s);
		return status;
	}
	url_fetch_stat(s->fetch, &s->st);
	*out = s;
	return BM_OK;
}

enum bm_status bm_source_open(const struct bm_entry *e, bool follow_symlinks, const struct bm_blocker *b,
                              struct bm_source **out, struct bm_error *err)
{
	return open_source(e, follow_symlinks, NULL, b, out, err);
}

enum bm_status bm_source_open_read(const struct bm_entry *e, bool follow_symlinks, uint8_t *buf, size_t cap,
                                   size_t *len, bool *last, const struct bm_blocker *b, struct bm_source **out,
                                   struct bm_error *err)
{
	struct first_read first = {.into = {buf, cap}};
	struct timespec now;
	/* With a pace what is read is paid for before, and how much that is is not known yet. */
	bool may = !(b && b->pace) && first_read_may_do(e) && clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0;
	first.opened = may ? now.tv_sec : 0;
	enum bm_status status = open_source(e, follow_symlinks, may ? &first : NULL, b, out, err);
	*len = status == BM_OK && (*out)->mode == SIZED ? first.len : 0;
	*last = *len > 0 && first.last;
	return status;
}
