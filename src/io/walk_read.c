/*
 * Reading one directory of a walk: getdents64 into a buffer of 64 KiB, every name looked at once, the wanted ones
 * sorted.
 *
 * A name is judged by its text first and by its kind second, so that what a filter leaves out costs no system call.
 * stat is called only where d_type is not known or where a link is followed; a link that leads nowhere, and a name that
 * vanished, become items too, so that they are reported in their place. A link that is not followed is counted where
 * something may be missing without it.
 */
#include "walk_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io_sys.h"

void bm_walk_truncate(struct bm_buf *b, size_t len)
{
	b->len = len;
	if (b->data)
		b->data[len] = '\0';
}

static uint64_t sort_key(const char *name, size_t len)
{
	unsigned char b[8] = {0};
	memcpy(b, name, len < 8 ? len : 8);
	uint64_t k = 0;
	for (size_t i = 0; i < 8; i++)
		k = k << 8 | b[i];
	return k;
}

static int compare_items(const void *pa, const void *pb, void *arg)
{
	const struct item *a = pa, *b = pb;
	const char *names = arg;
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if ((a->key & 0xff) == 0) /* both end within the key */
		return 0;
	return strcmp(names + a->name + 8, names + b->name + 8);
}

static bool add_item(struct bm_walk *w, const char *name, size_t len, enum item_type type, bool via_link, bool inside,
                     int sys_errno)
{
	if (w->items_len == w->items_cap) {
		size_t cap = w->items_cap ? w->items_cap + w->items_cap / 2 : 256;
		struct item *grown = bm_realloc_array(w->items, cap, sizeof *grown);
		if (!grown)
			return false;
		w->items = grown;
		w->items_cap = cap;
	}
	char text[WALK_NAME_BYTES + 2];
	size_t text_len = len;
	memcpy(text, name, len);
	if (type == ITEM_DIR)
		text[text_len++] = '/';
	text[text_len] = '\0';
	w->items[w->items_len++] = (struct item){.key = sort_key(text, text_len),
	                                         .name = w->names.len,
	                                         .sys_errno = sys_errno,
	                                         .len = (uint16_t)len,
	                                         .type = (uint8_t)type,
	                                         .via_link = via_link,
	                                         .inside = inside};
	bm_buf_put(&w->names, text, text_len + 1);
	return !w->names.oom;
}

static int stat_name(struct bm_walk *w, int fd, const char *name, struct stat *st, int flags)
{
	bm_io_block_disk(&w->blocker);
	int r = fstatat(fd, name, st, flags);
	bm_io_unblock(&w->blocker);
	return r == 0 ? 0 : errno;
}

/* A link that is not followed, and that is not wanted as a file: does it lead to a directory that would be entered? Only
 * then something is missing without it. */
static bool hides_dir(struct bm_walk *w, const struct frame *f, const char *name, size_t len)
{
	uint64_t excluded = w->counts.excluded;
	bool inside = f->glob_inside;
	struct stat st;
	bool hides = bm_walk_wants_name(w, f, name, len, true, &inside) && stat_name(w, f->fd, name, &st, 0) == 0 &&
	             S_ISDIR(st.st_mode);
	w->counts.excluded = excluded; /* it was counted as a file */
	return hides;
}

/* Looks at one name of the top directory and keeps it where it is wanted. false: no memory. */
static bool take_name(struct bm_walk *w, const struct frame *f, const char *name, unsigned char d_type)
{
	if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0')))
		return true;
	size_t len = strlen(name);
	if (len >= WALK_NAME_BYTES)
		return true; /* no Linux file system has them */
	if (w->skip_prefix_len && strncmp(name, w->opt.skip_name_prefix, w->skip_prefix_len) == 0) {
		w->counts.own_outputs++;
		return true;
	}
	if (name[0] == '.' && bm_walk_hides(w, f, name, len)) {
		w->counts.hidden++;
		return true;
	}
	mode_t mode = (mode_t)d_type << 12; /* DTTOIF, without its int */
	struct stat st;
	int failed = 0;
	if (d_type == DT_UNKNOWN) {
		failed = stat_name(w, f->fd, name, &st, AT_SYMLINK_NOFOLLOW);
		mode = failed ? S_IFREG : st.st_mode;
	}
	bool via_link = S_ISLNK(mode) && w->opt.follow_symlinks;
	if (via_link) {
		failed = stat_name(w, f->fd, name, &st, 0);
		mode = failed ? S_IFREG : st.st_mode;
	}
	bool inside = f->glob_inside;
	uint64_t excluded = w->counts.excluded;
	if (!bm_walk_wants_name(w, f, name, len, S_ISDIR(mode), &inside)) {
		if (!S_ISLNK(mode) || !hides_dir(w, f, name, len))
			return true;
		w->counts.excluded = excluded;
	}
	if (failed)
		return add_item(w, name, len, ITEM_ERROR, via_link, false, failed);
	if (S_ISLNK(mode)) {
		w->counts.symlinks++;
		return true;
	}
	if (!S_ISREG(mode) && !S_ISDIR(mode)) {
		w->counts.special++;
		return true;
	}
	if (via_link && w->opt.one_filesystem && st.st_dev != w->root_dev) {
		w->counts.other_filesystem++;
		return true;
	}
	if (bm_walk_is_own(w, f, name, len)) {
		w->counts.own_outputs++;
		return true;
	}
	if (via_link && w->opt.skip_path_count) {
		size_t at = w->disp.len;
		bm_buf_put(&w->disp, name, len);
		bool own = !w->disp.oom && bm_walk_skips_link(w, w->disp.data);
		bm_walk_truncate(&w->disp, at);
		if (own) {
			w->counts.own_outputs++;
			return true;
		}
	}
	return add_item(w, name, len, S_ISDIR(mode) ? ITEM_DIR : ITEM_FILE, via_link, inside, 0);
}

/* Reads the names that are left of the top directory, whose first ones are in dents. 0, an errno, or -1: no memory. */
static int read_names(struct bm_walk *w, const struct frame *f)
{
	ssize_t n = w->dents_len;
	int failed = w->dents_errno;
	while (n > 0) {
		for (size_t at = 0; at < (size_t)n;) {
			const struct dirent64 *d = (const struct dirent64 *)(const void *)(w->dents + at);
			at += d->d_reclen;
			if (!take_name(w, f, d->d_name, d->d_type))
				return -1;
		}
		/* A short answer was the last one, near enough always: asking for the end costs no disk. */
		bool more = w->is_cold && (size_t)n > WALK_DENTS_BYTES / 2;
		if (more)
			bm_io_block_disk(&w->blocker);
		n = getdents64(f->fd, w->dents, WALK_DENTS_BYTES);
		failed = n < 0 ? errno : 0;
		if (more)
			bm_io_unblock(&w->blocker);
	}
	return failed;
}

/* Sorts the top frame's items. A name that getdents gave twice (the directory changed meanwhile) is listed once. */
static void sort_items(struct bm_walk *w, struct frame *f)
{
	size_t n = w->items_len - f->first, kept = n ? 1 : 0;
	struct item *v = n ? w->items + f->first : NULL; /* there may be no items at all */
	if (n > 1)
		qsort_r(v, n, sizeof *v, compare_items, w->names.data);
	for (size_t i = 1; i < n; i++)
		if (compare_items(&v[kept - 1], &v[i], w->names.data) != 0)
			v[kept++] = v[i];
	w->items_len = f->first + kept;
	f->end = w->items_len;
}

int bm_walk_read(struct bm_walk *w, struct frame *f)
{
	int failed = read_names(w, f);
	if (failed != -1)
		sort_items(w, f);
	return failed;
}
