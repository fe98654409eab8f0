/*
 * Directory handles and entries.
 *
 * An entry holds its parent directory, so that its file is opened by one component: fast, and no rename or symbolic
 * link further up can lead the open elsewhere. Entries live as long as the chunks in flight do, so with one file in
 * each directory the handles could use up the descriptors. They are therefore capped over the whole process
 * (descriptors are a limit of the process, not of a walk). Past the cap a handle has no descriptor; its entries'
 * directory is then opened by path and has to be the same by device and inode, so that the promise is the same, only
 * slower.
 */
#include "bm_url.h"
#include "io_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io_sys.h"

#define OPEN_DIRS_MAX 256

static atomic_int open_dirs; /* handles that have a descriptor */

/* An eighth of the descriptors that this process may have now, at most OPEN_DIRS_MAX. */
static int cap(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / 8 < OPEN_DIRS_MAX)
		return (int)(r.rlim_cur / 8);
	return OPEN_DIRS_MAX;
}

struct bm_dir *bm_dir_create(int fd, dev_t dev, ino_t ino, bool own_clock)
{
	struct bm_dir *d = malloc(sizeof *d);
	if (!d)
		return NULL;
	atomic_init(&d->refs, 1);
	d->dev = dev;
	d->ino = ino;
	d->own_clock = own_clock;
	atomic_init(&d->has_unsettled, false);
	d->fd = fd;
	if (atomic_fetch_add_explicit(&open_dirs, 1, memory_order_relaxed) >= cap()) {
		atomic_fetch_sub_explicit(&open_dirs, 1, memory_order_relaxed);
		d->fd = -1;
	}
	return d;
}

struct bm_dir *bm_dir_ref(struct bm_dir *d)
{
	if (d)
		atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void bm_dir_unref(struct bm_dir *d)
{
	if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (d->fd >= 0) {
		bm_io_close(d->fd);
		atomic_fetch_sub_explicit(&open_dirs, 1, memory_order_relaxed);
	}
	free(d);
}

/* The directory that the entry is in, by its name; what was listed where it has a handle. -1 and errno. */
static int open_parent(const struct bm_entry *e, int flags)
{
	size_t dir_len = (size_t)(e->leaf - e->display); /* leaf points into display on entries that have a dir */
	char *dir = strndup(dir_len ? e->display : "./", dir_len ? dir_len : 2);
	if (!dir)
		return -1;
	int fd = bm_io_open(AT_FDCWD, dir, strlen(dir), flags | O_DIRECTORY | O_CLOEXEC, 0);
	free(dir);
	struct stat st;
	if (fd >= 0 && e->dir && (fstat(fd, &st) != 0 || st.st_dev != e->dir->dev || st.st_ino != e->dir->ino)) {
		bm_io_close(fd);
		errno = ESTALE;
		return -1;
	}
	return fd;
}

enum bm_status bm_entry_remove(const struct bm_entry *e, const struct bm_file_id *id, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	struct stat st;
	bool is_below = e->dir && e->dir->fd >= 0;
	int dir = is_below ? e->dir->fd : open_parent(e, O_PATH);
	if (dir < 0)
		return bm_io_fail(err, errno, e->display, e->display_len, "not removed: cannot open its directory");
	if (fstatat(dir, e->leaf, &st, AT_SYMLINK_NOFOLLOW) != 0)
		status = bm_io_fail(err, errno, e->display, e->display_len, "not removed: cannot stat");
	else if (S_ISLNK(st.st_mode))
		status = bm_io_refuse(err, BM_ERR_CHANGED, e->display, e->display_len,
		                      "not removed: it is a symbolic link to the file that was read");
	else if (st.st_dev != id->dev || st.st_ino != id->ino || st.st_size != id->size ||
	         st.st_mtim.tv_sec != id->mtime.tv_sec || st.st_mtim.tv_nsec != id->mtime.tv_nsec)
		status = bm_io_refuse(
			err, BM_ERR_CHANGED, e->display, e->display_len,
			"not removed: it was changed after it was read, so its outputs are of an older version; "
			"run again");
	else if (unlinkat(dir, e->leaf, 0) != 0)
		status = bm_io_fail(err, errno, e->display, e->display_len,
		                    "cannot be removed; its outputs are complete");
	if (!is_below)
		bm_io_close(dir);
	return status;
}

enum bm_status bm_entry_sync_dir(const struct bm_entry *e, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	int r, fd = open_parent(e, O_RDONLY);
	if (fd < 0) /* gone, or not to be read: that a removal is undone by a crash does no harm */
		return BM_OK;
	do
		r = fsync(fd);
	while (r != 0 && errno == EINTR);
	if (r != 0 && errno != EINVAL)
		status = bm_io_fail(err, errno, e->display, e->display_len,
		                    "was removed, but fsync of its directory failed, so it may be back after a crash");
	bm_io_close(fd);
	return status;
}

bool bm_entry_same_dir(const struct bm_entry *a, const struct bm_entry *b)
{
	size_t len = (size_t)(a->leaf - a->display);
	return len == (size_t)(b->leaf - b->display) && memcmp(a->display, b->display, len) == 0;
}

int bm_dir_open_leaf(const struct bm_entry *e, int flags, bool cached_only)
{
	int at = AT_FDCWD, by_path = -1;
	const char *name = e->display;
	size_t len = e->display_len;
	if (e->dir) {
		name = e->leaf;
		len = strlen(e->leaf);
		at = e->dir->fd;
	}
	if (e->dir && at < 0) {
		if (cached_only) {
			errno = EAGAIN;
			return -1;
		}
		at = by_path = open_parent(e, O_PATH);
		if (by_path < 0)
			return -1;
	}
	int fd = cached_only ? bm_io_open_cached(at, name, len, flags) : bm_io_open(at, name, len, flags, 0);
	bm_io_close(by_path);
	return fd;
}

struct bm_entry *bm_entry_create(enum bm_entry_kind kind, const char *path, size_t path_len, const char *display,
                                 size_t display_len)
{
	/* One allocation: the strings stand behind the entry, and path shares display's bytes where it is its tail. */
	bool tail = path_len <= display_len && memcmp(display + display_len - path_len, path, path_len) == 0;
	size_t room;
	if (!bm_add_size(sizeof(struct bm_entry) + 2, display_len, &room) ||
	    !bm_add_size(room, tail ? 0 : path_len, &room))
		return NULL;
	struct bm_entry *e = malloc(room);
	if (!e)
		return NULL;
	memset(e, 0, sizeof *e);
	e->kind = kind;
	e->display = (char *)(e + 1);
	memcpy(e->display, display, display_len);
	e->display[display_len] = '\0';
	e->display_len = display_len;
	if (tail) {
		e->path = e->display + (display_len - path_len);
	} else {
		e->path = e->display + display_len + 1;
		memcpy(e->path, path, path_len);
		e->path[path_len] = '\0';
	}
	e->path_len = path_len;
	const char *slash = memrchr(e->display, '/', display_len);
	e->leaf = slash ? slash + 1 : e->display;
	return e;
}

bool bm_entry_is_absent(const struct bm_entry *e)
{
	struct stat st;

	return bm_io_stat(AT_FDCWD, e->display, e->display_len, &st, 0) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

int bm_entry_stat(const struct bm_entry *e, bool follow, struct stat *st)
{
	bool is_below = e->dir != NULL && e->dir->fd >= 0;
	const char *name = is_below ? e->leaf : e->display;
	size_t len = is_below ? strlen(e->leaf) : e->display_len;

	return bm_io_stat(is_below ? e->dir->fd : AT_FDCWD, name, len, st, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0
	               ? 0
	               : errno;
}

int bm_path_stat(int dir, const char *path, size_t path_len, struct stat *st)
{
	return bm_io_stat(dir, path, path_len, st, 0) == 0 ? 0 : errno;
}

void bm_entry_destroy(struct bm_entry *e)
{
	if (!e)
		return;
	bm_dir_unref(e->dir);
	if (e->url) {
		bm_url_item_fini(e->url);
		free(e->url);
	}
	free(e->error);
	free(e);
}
