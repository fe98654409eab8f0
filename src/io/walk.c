/*
 * Walking a tree in listing order.
 *
 * One stack of frames, one frame a directory between the root and the place where the walk is. A directory is read
 * whole and sorted when it is entered (walk_read.c). A directory is compared as if its name ended in '/', so that
 * giving out the files and descending into the directories in that order is the byte order of whole paths. The items
 * and names of all frames lie in two stacks that grow and shrink with the frames, so a directory costs one allocation
 * (its handle) and a file one (its entry, both strings inside).
 *
 * Descriptors: the lowest frames give theirs up when the stack is deeper than WALK_OPEN_FRAMES, or when the process has
 * none left. On the way back such a directory is reopened as ".." of the child, or, where that is not it (the child was
 * entered through a link, or was moved), by its path; it has to be the same by device and inode. Nothing is recursive:
 * ten thousand levels are no more than ten thousand small frames.
 *
 * stat is called for a file only where the caller asks for sizes or times; then for a run of files in one go, so that
 * the permit is given up once for all of them.
 */
#include "walk_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

struct bm_entry *bm_walk_oom(struct bm_walk *w)
{
	struct bm_entry *e = w->oom_entry;
	w->oom_entry = NULL;
	w->ended = true;
	return e;
}

struct bm_entry *bm_walk_error(struct bm_walk *w, const char *path, size_t path_len, const char *disp, size_t disp_len,
                               enum bm_status status, int sys_errno, const char *text)
{
	struct bm_error *err = calloc(1, sizeof *err);
	struct bm_entry *e =
		err ? bm_entry_create(BM_ENTRY_ERROR, path ? path : disp, path ? path_len : disp_len, disp, disp_len)
		    : NULL;
	if (!e) {
		free(err);
		return bm_walk_oom(w);
	}
	e->root = w->root;
	e->error = err;
	if (status == BM_OK) {
		(void)bm_io_fail(err, sys_errno, disp, disp_len, "%s", text);
	} else {
		(void)bm_io_refuse(err, status, disp, disp_len, "%s", text);
		err->sys_errno = sys_errno;
	}
	return e;
}

/* The same for a name in the top directory. */
static struct bm_entry *name_error(struct bm_walk *w, const char *name, size_t len, enum bm_status status,
                                   int sys_errno, const char *text)
{
	size_t disp_len = w->disp.len, path_len = w->path.len;
	bm_buf_put(&w->disp, name, len);
	bm_buf_put(&w->path, name, len);
	struct bm_entry *e;
	if (w->disp.oom || w->path.oom)
		e = bm_walk_oom(w);
	else
		e = bm_walk_error(w, w->path.data + WALK_MATCH_PREFIX, w->path.len - WALK_MATCH_PREFIX, w->disp.data,
		                  w->disp.len, status, sys_errno, text);
	bm_walk_truncate(&w->disp, disp_len);
	bm_walk_truncate(&w->path, path_len);
	return e;
}

/* The same for the top directory itself. */
static struct bm_entry *dir_error(struct bm_walk *w, enum bm_status status, int sys_errno, const char *text)
{
	const char *disp = w->disp.len ? w->disp.data : ".";
	size_t disp_len = w->disp.len ? w->disp.len : 1;
	if (disp_len > 1 && disp[disp_len - 1] == '/')
		disp_len--;
	if (w->path.len == WALK_MATCH_PREFIX) /* the root itself */
		return bm_walk_error(w, NULL, 0, disp, disp_len, status, sys_errno, text);
	return bm_walk_error(w, w->path.data + WALK_MATCH_PREFIX, w->path.len - WALK_MATCH_PREFIX - 1, disp, disp_len,
	                     status, sys_errno, text);
}

bool bm_walk_set_base(struct bm_walk *w, const char *disp, size_t disp_len, const char *path, size_t path_len)
{
	bm_buf_reset(&w->disp);
	bm_buf_reset(&w->path);
	bm_buf_put(&w->disp, disp, disp_len);
	if (disp_len > 0 && disp[disp_len - 1] != '/')
		bm_buf_putc(&w->disp, '/');
	bm_buf_puts(&w->path, "r/");
	bm_buf_put(&w->path, path, path_len);
	if (path_len > 0)
		bm_buf_putc(&w->path, '/');
	if (w->disp.oom || w->path.oom)
		return false;
	size_t own = w->path.len - WALK_MATCH_PREFIX;
	w->tail = own <= w->disp.len &&
	          (own == 0 || memcmp(w->disp.data + w->disp.len - own, w->path.data + WALK_MATCH_PREFIX, own) == 0);
	return true;
}

void bm_walk_fill_stat(struct bm_entry *e, const struct stat *st)
{
	e->has_stat = true;
	e->st.size = st->st_size > 0 ? (uint64_t)st->st_size : 0;
	e->st.mtime_s = st->st_mtim.tv_sec;
	e->st.mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	e->st.dev = st->st_dev;
	e->st.ino = st->st_ino;
	e->st.mode = st->st_mode;
}

static bool before(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

bool bm_walk_wants_stat(struct bm_walk *w, const struct stat *st)
{
	const struct bm_walk_options *o = &w->opt;
	uint64_t size = st->st_size > 0 ? (uint64_t)st->st_size : 0;
	if (size < o->min_size || (o->max_size && size > o->max_size) ||
	    (o->has_newer && before(st->st_mtim, o->newer)) || (o->has_older && before(o->older, st->st_mtim))) {
		w->counts.excluded++;
		return false;
	}
	return true;
}

/* ---- descriptors ---- */

static void frame_close(struct frame *f)
{
	if (f->owns_fd)
		bm_io_close(f->fd);
	bm_dir_unref(f->dir);
	f->dir = NULL;
	f->fd = -1;
	f->owns_fd = false;
}

/* Takes fd on success; closes it on failure (no memory). */
static bool frame_adopt(struct frame *f, int fd)
{
	f->dir = bm_dir_create(fd, f->dev, f->ino, f->own_clock);
	if (!f->dir) {
		bm_io_close(fd);
		return false;
	}
	f->fd = fd;
	f->owns_fd = f->dir->fd < 0;
	return true;
}

/* Gives up every descriptor of the stack but the top's. */
static void shed(struct bm_walk *w)
{
	for (size_t i = 0; i + 1 < w->depth; i++)
		frame_close(&w->frames[i]);
}

int bm_walk_open_dir(struct bm_walk *w, int at, const char *name, size_t len, bool follow, struct stat *st)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW);
	/* A directory that the dentry cache knows has its blocks in memory too, near enough always: giving the permit
	 * away for that short a time would only cost two switches of threads. */
	int fd = bm_io_open_cached(at, name, len, flags);
	w->is_cold = fd < 0;
	if (w->is_cold) {
		bm_io_block_disk(&w->blocker);
		fd = bm_io_open(at, name, len, flags, 0);
	}
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		shed(w);
		fd = bm_io_open(at, name, len, flags, 0);
	}
	if (fd >= 0 && fstat(fd, st) != 0) {
		bm_io_close(fd);
		fd = -1;
	}
	if (fd >= 0) {
		w->dents_len = getdents64(fd, w->dents, WALK_DENTS_BYTES);
		w->dents_errno = w->dents_len < 0 ? errno : 0;
	}
	if (w->is_cold)
		bm_io_unblock(&w->blocker);
	return fd;
}

/* Reopens the top frame, whose descriptor was given up; child is what was just left. true: it stands open again. */
static bool frame_reopen(struct bm_walk *w, struct frame *f, struct frame *child)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	struct stat st;
	bool same = false;
	bm_io_block_disk(&w->blocker);
	int fd = bm_io_open(child->fd, "..", 2, flags, 0);
	if (fd >= 0)
		same = fstat(fd, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino;
	frame_close(child); /* its descriptor may be the one that is missing */
	if (!same) {
		bm_io_close(fd);
		/* The '/' at the end of disp does no harm. */
		fd = w->disp.len ? bm_io_open(AT_FDCWD, w->disp.data, w->disp.len, flags, 0)
		                 : bm_io_open(AT_FDCWD, ".", 1, flags, 0);
		same = fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino;
		if (fd >= 0 && !same) {
			bm_io_close(fd);
			errno = ESTALE;
		}
	}
	bm_io_unblock(&w->blocker);
	return same && frame_adopt(f, fd);
}

/* ---- the stack ---- */

struct bm_entry *bm_walk_push(struct bm_walk *w, int fd, const struct stat *st, bool via_link, bool glob_inside)
{
	if (w->depth == w->frames_cap) {
		size_t cap = w->frames_cap ? w->frames_cap * 2 : 32;
		struct frame *grown = bm_realloc_array(w->frames, cap, sizeof *grown);
		if (!grown) {
			bm_io_close(fd);
			return bm_walk_oom(w);
		}
		w->frames = grown;
		w->frames_cap = cap;
	}
	if (w->depth >= WALK_OPEN_FRAMES)
		frame_close(&w->frames[w->depth - WALK_OPEN_FRAMES]);
	struct frame *f = &w->frames[w->depth];
	const struct frame *parent = w->depth ? f - 1 : NULL;
	*f = (struct frame){.fd = -1,
	                    .dev = st->st_dev,
	                    .ino = st->st_ino,
	                    .glob_inside = glob_inside,
	                    .first = w->items_len,
	                    .next = w->items_len,
	                    .end = w->items_len,
	                    .names_len = w->names.len,
	                    .disp_len = w->disp.len,
	                    .path_len = w->path.len};
	f->own_clock = parent && parent->dev == f->dev ? parent->own_clock : bm_io_own_clock(fd);
	if (!frame_adopt(f, fd))
		return bm_walk_oom(w);
	w->depth++;
	w->batch_lo = w->batch_hi = 0;
	if (!bm_walk_frame_real(w, f, parent, via_link))
		return bm_walk_oom(w);
	int failed = bm_walk_read(w, f);
	if (failed == -1)
		return bm_walk_oom(w);
	/* What was read before the failure is listed all the same. */
	return failed ? dir_error(w, BM_OK, failed, "cannot read all of this directory") : NULL;
}

static struct bm_entry *pop(struct bm_walk *w)
{
	struct frame *child = &w->frames[--w->depth];
	struct bm_entry *e = NULL;
	w->batch_lo = w->batch_hi = 0;
	w->items_len = child->first;
	w->names.len = child->names_len;
	if (child->owns_real)
		free(child->real);
	if (w->depth) {
		struct frame *f = child - 1;
		bm_walk_truncate(&w->disp, f->disp_len);
		bm_walk_truncate(&w->path, f->path_len);
		if (!f->dir && !frame_reopen(w, f, child)) {
			int failed = errno;
			if (f->next < f->end)
				e = dir_error(w, BM_OK, failed,
				              "cannot go back to this directory (moved or replaced while it was "
				              "listed?); the rest of it was not listed");
			f->next = f->end;
		}
	}
	frame_close(child);
	return e;
}

/* ---- giving out ---- */

static struct bm_entry *file_entry(struct bm_walk *w, const struct frame *f, const char *name, size_t len)
{
	size_t path_dir = w->path.len - WALK_MATCH_PREFIX, shared = w->tail ? 0 : path_dir + len + 1;
	size_t disp_len = w->disp.len + len;
	struct bm_entry *e = malloc(sizeof *e + disp_len + 1 + shared);
	if (!e)
		return bm_walk_oom(w);
	memset(e, 0, sizeof *e);
	e->kind = BM_ENTRY_FILE;
	e->display = (char *)(e + 1);
	if (w->disp.len)
		memcpy(e->display, w->disp.data, w->disp.len);
	memcpy(e->display + w->disp.len, name, len);
	e->display[disp_len] = '\0';
	e->display_len = disp_len;
	e->path_len = path_dir + len;
	if (w->tail) {
		e->path = e->display + disp_len - e->path_len;
	} else {
		e->path = e->display + disp_len + 1;
		memcpy(e->path, w->path.data + WALK_MATCH_PREFIX, path_dir);
		memcpy(e->path + path_dir, name, len);
		e->path[e->path_len] = '\0';
	}
	e->leaf = e->display + w->disp.len;
	e->dir = bm_dir_ref(f->dir);
	e->root = w->root;
	return e;
}

/* The stat of item i of the top frame, and on the way those of the files right after it. */
static const struct batch_stat *item_stat(struct bm_walk *w, const struct frame *f, size_t i)
{
	if (i < w->batch_lo || i >= w->batch_hi) {
		w->batch_lo = w->batch_hi = i;
		bm_io_block_disk(&w->blocker);
		while (w->batch_hi < f->end && w->batch_hi < i + WALK_BATCH &&
		       w->items[w->batch_hi].type == ITEM_FILE) {
			const struct item *it = &w->items[w->batch_hi];
			struct batch_stat *b = &w->batch[w->batch_hi - i];
			int flags = it->via_link ? 0 : AT_SYMLINK_NOFOLLOW;
			b->sys_errno = fstatat(f->fd, w->names.data + it->name, &b->st, flags) == 0 ? 0 : errno;
			w->batch_hi++;
		}
		bm_io_unblock(&w->blocker);
	}
	return &w->batch[i - w->batch_lo];
}

static struct bm_entry *step_file(struct bm_walk *w, const struct frame *f, size_t index)
{
	const struct item *it = &w->items[index];
	const char *name = w->names.data + it->name;
	if (!w->want_stat)
		return file_entry(w, f, name, it->len);
	const struct batch_stat *b = item_stat(w, f, index);
	if (b->sys_errno)
		return name_error(w, name, it->len, BM_OK, b->sys_errno, "cannot stat");
	if (!S_ISREG(b->st.st_mode))
		return name_error(w, name, it->len, BM_ERR_CHANGED, 0, "is no longer the regular file that was listed");
	if (w->opt.one_filesystem && b->st.st_dev != w->root_dev) {
		w->counts.other_filesystem++;
		return NULL;
	}
	if (!bm_walk_wants_stat(w, &b->st))
		return NULL;
	struct bm_entry *e = file_entry(w, f, name, it->len);
	if (e && e->kind == BM_ENTRY_FILE)
		bm_walk_fill_stat(e, &b->st);
	return e;
}

static struct bm_entry *step_dir(struct bm_walk *w, const struct frame *f, const struct item *it)
{
	struct stat st;
	bool via_link = it->via_link, inside = it->inside;
	char name[WALK_NAME_BYTES + 2];
	size_t len = it->len;
	memcpy(name, w->names.data + it->name, len);
	name[len] = '\0';
	int fd = bm_walk_open_dir(w, f->fd, name, len, w->opt.follow_symlinks, &st);
	if (fd < 0)
		return name_error(w, name, len, BM_OK, errno, "cannot open directory");
	if (w->opt.one_filesystem && st.st_dev != w->root_dev) {
		bm_io_close(fd);
		w->counts.other_filesystem++;
		return NULL;
	}
	for (size_t i = 0; w->opt.follow_symlinks && i < w->depth; i++) {
		if (w->frames[i].dev == st.st_dev && w->frames[i].ino == st.st_ino) {
			bm_io_close(fd);
			return name_error(
				w, name, len, BM_ERR_SYSTEM, ELOOP,
				"a loop of symbolic links: leads back to a directory above it, so it is not entered");
		}
	}
	name[len++] = '/';
	bm_buf_put(&w->disp, name, len);
	bm_buf_put(&w->path, name, len);
	if (w->disp.oom || w->path.oom) {
		bm_io_close(fd);
		return bm_walk_oom(w);
	}
	return bm_walk_push(w, fd, &st, via_link, inside);
}

/* One item of the top directory. NULL: nothing to give out for it, go on. */
static struct bm_entry *step(struct bm_walk *w)
{
	struct frame *f = &w->frames[w->depth - 1];
	if (f->next == f->end)
		return pop(w);
	size_t index = f->next++;
	const struct item *it = &w->items[index];
	switch ((enum item_type)it->type) {
	case ITEM_FILE:
		return step_file(w, f, index);
	case ITEM_DIR:
		return step_dir(w, f, it);
	case ITEM_ERROR:
		break;
	}
	return name_error(w, w->names.data + it->name, it->len, BM_OK, it->sys_errno,
	                  it->via_link ? "cannot follow this symbolic link" : "cannot stat");
}

struct bm_entry *bm_walk_next(struct bm_walk *w, const struct bm_blocker *b)
{
	w->blocker = b != NULL ? *b : (struct bm_blocker){0};
	w->blocker.cancel_fd = w->opt.cancel_fd;
	struct bm_entry *e = NULL;
	while (!e && !w->ended) {
		if (w->depth)
			e = step(w);
		else if (w->root_busy)
			e = bm_walk_end_root(w);
		else if (w->root < w->opt.root_count)
			e = bm_walk_start_root(w);
		else if (w->opt.list_path && !w->list.done)
			e = bm_walk_list_next(w);
		else
			w->ended = true;
		if (!e && (w->disp.oom || w->path.oom || w->names.oom || w->scratch.oom))
			e = bm_walk_oom(w);
	}
	return e;
}

/* ---- life ---- */

enum bm_status bm_walk_create(const struct bm_walk_options *opt, struct bm_walk **out, struct bm_error *err)
{
	*out = NULL;
	bool stdin_root = false;
	for (size_t i = 0; i < opt->root_count; i++) {
		const struct bm_walk_root *r = &opt->roots[i];
		if (!r->url && !r->is_glob && !r->literal_dash && !r->feed && strcmp(r->path, "-") == 0) {
			if (stdin_root)
				return bm_error_set(err, BM_ERR_USAGE, "-",
				                    "standard input is named twice as an input: name it once");
			stdin_root = true;
		}
	}
	if (stdin_root && opt->list_path && strcmp(opt->list_path, "-") == 0)
		return bm_error_set(
			err, BM_ERR_USAGE, "-",
			"standard input cannot be an input and the list of inputs at once: read the list from a file");
	struct bm_walk *w = calloc(1, sizeof *w);
	if (!w)
		return bm_error_set_nomem(err);
	w->opt = *opt;
	w->list.fd = -1;
	w->want_stat = opt->need_stat || opt->min_size || opt->max_size || opt->has_newer || opt->has_older;
	w->skip_prefix_len = opt->skip_name_prefix ? strlen(opt->skip_name_prefix) : 0;
	w->dents = malloc(WALK_DENTS_BYTES);
	w->oom_entry = bm_entry_create(BM_ENTRY_ERROR, "", 0, "", 0);
	if (w->oom_entry)
		w->oom_entry->error = calloc(1, sizeof *w->oom_entry->error);
	if (w->want_stat)
		w->batch = bm_calloc_array(WALK_BATCH, sizeof *w->batch);
	if (!w->dents || !w->oom_entry || !w->oom_entry->error || (w->want_stat && !w->batch) ||
	    !bm_walk_sort_skip(w)) {
		bm_walk_destroy(w);
		return bm_error_set_nomem(err);
	}
	w->oom_entry->root = opt->root_count;
	(void)bm_error_set(w->oom_entry->error, BM_ERR_NOMEM, NULL, "out of memory while listing: the list ends here");
	*out = w;
	return BM_OK;
}

void bm_walk_destroy(struct bm_walk *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->depth; i++) {
		frame_close(&w->frames[i]);
		if (w->frames[i].owns_real)
			free(w->frames[i].real);
	}
	bm_walk_list_fini(w);
	bm_walk_glob_fini(w);
	bm_entry_destroy(w->oom_entry);
	bm_buf_fini(&w->disp);
	bm_buf_fini(&w->path);
	bm_buf_fini(&w->names);
	bm_buf_fini(&w->scratch);
	free(w->skip);
	free(w->frames);
	free(w->items);
	free(w->batch);
	free(w->dents);
	free(w);
}

void bm_walk_get_counts(const struct bm_walk *w, struct bm_walk_counts *out)
{
	*out = w->counts;
}
