/*
 * Where a walk starts, and which names it takes.
 *
 * Roots: a path is looked at once, links followed, and becomes a file, a stream, a tree or an error. A glob is a walk
 * from the directory in front of its first component with magic; a name is taken where the whole pattern matches its
 * path below that directory, and all of a directory that matches. So the matches come in byte order of their paths, and
 * directories where nothing can match are not opened. A symbolic link that a glob meets is a link below a root: skipped
 * unless links are followed.
 *
 * bm_glob gives a pattern without '/' the meaning "at any depth". That is right for include and exclude, not for the
 * last part of "/var/log/" + "*.log", so the pattern and the paths matched against it get "r/" in front: bm_walk.path
 * always begins with these two bytes.
 *
 * Excludes: a directory that matches one itself is left out with all below it (as in .gitignore), and so is one whose
 * whole contents match; counted once each. Includes are matched against files only; a directory is entered where some
 * include could match below it.
 *
 * Own outputs: skip_paths are compared as real paths. A root's real path is asked for once, a directory's follows from
 * it; what a followed link leads to is asked for again. Directories with no skip path below them are not compared at
 * all.
 */
#include "walk_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "io_sys.h"

/* ---- own outputs ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool bm_walk_sort_skip(struct bm_walk *w)
{
	size_t n = w->opt.skip_path_count;
	if (n == 0)
		return true;
	w->skip = bm_calloc_array(n, sizeof *w->skip);
	if (!w->skip)
		return false;
	for (size_t i = 0; i < n; i++)
		w->skip[i] = w->opt.skip_paths[i];
	qsort(w->skip, n, sizeof *w->skip, compare_texts);
	return true;
}

/* The first skip path that is not before text. */
static size_t skip_lower_bound(const struct bm_walk *w, const char *text)
{
	size_t lo = 0, hi = w->opt.skip_path_count;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(w->skip[mid], text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool skip_holds(const struct bm_walk *w, const char *real)
{
	size_t i = skip_lower_bound(w, real);
	return i < w->opt.skip_path_count && strcmp(w->skip[i], real) == 0;
}

/* Is real, or a directory above it, among the skip paths? */
static bool real_is_own(struct bm_walk *w, const char *real)
{
	struct bm_buf *part = &w->scratch;
	bm_buf_reset(part);
	bm_buf_puts(part, real);
	while (!part->oom) {
		if (skip_holds(w, part->data))
			return true;
		const char *slash = memrchr(part->data, '/', part->len);
		if (!slash || part->len <= 1)
			return false;
		bm_walk_truncate(part, slash == part->data ? 1 : (size_t)(slash - part->data));
	}
	return false; /* out of memory: bm_walk_next ends the walk */
}

bool bm_walk_skips_link(struct bm_walk *w, const char *disp)
{
	char *real = realpath(disp, NULL);
	if (!real && errno == ENOMEM)
		w->scratch.oom = true;
	bool own = real && real_is_own(w, real);
	free(real);
	return own;
}

/* The real path of the frame's directory with '/' at the end, in scratch. */
static void real_dir(struct bm_walk *w, const struct frame *f)
{
	bm_buf_reset(&w->scratch);
	bm_buf_puts(&w->scratch, f->real);
	if (w->scratch.len == 0 || w->scratch.data[w->scratch.len - 1] != '/')
		bm_buf_putc(&w->scratch, '/');
	bm_buf_put(&w->scratch, w->path.data + f->real_off, f->path_len - f->real_off);
}

bool bm_walk_frame_real(struct bm_walk *w, struct frame *f, const struct frame *parent, bool via_link)
{
	if (w->opt.skip_path_count == 0)
		return true;
	if (parent && !via_link) {
		f->real = parent->real;
		f->real_off = parent->real_off;
		if (!parent->check_skip)
			return true;
	} else {
		const char *disp = w->disp.len ? w->disp.data : ".";
		f->real = realpath(disp, NULL);
		if (!f->real && errno == ENOMEM)
			return false;
		if (!f->real &&
		    disp[0] == '/') { /* too long for realpath: the name as it was given is the best guess */
			f->real = bm_memdup0(w->disp.data, w->disp.len);
			if (!f->real)
				return false;
		}
		f->owns_real = true;
		f->real_off = f->path_len;
	}
	if (!f->real)
		return true;
	real_dir(w, f);
	if (w->scratch.oom)
		return false;
	size_t i = skip_lower_bound(w, w->scratch.data);
	f->check_skip = i < w->opt.skip_path_count && strncmp(w->skip[i], w->scratch.data, w->scratch.len) == 0;
	return true;
}

bool bm_walk_is_own(struct bm_walk *w, const struct frame *f, const char *name, size_t name_len)
{
	if (!f->check_skip)
		return false;
	real_dir(w, f);
	bm_buf_put(&w->scratch, name, name_len);
	return !w->scratch.oom && skip_holds(w, w->scratch.data);
}

/* ---- names ---- */

bool bm_walk_hides(const struct bm_walk *w, const struct frame *f, const char *name, size_t name_len)
{
	if (w->opt.hidden)
		return false;
	if (w->glob && !f->glob_inside)
		for (size_t i = 0; i < w->dot_glob_count; i++)
			if (bm_glob_match(w->dot_globs[i], name, name_len))
				return false;
	return true;
}

/* include and exclude, for a relative path. */
static bool filter(struct bm_walk *w, const char *path, size_t len, bool is_dir)
{
	const struct bm_walk_options *o = &w->opt;
	bool wanted = o->include_count == 0;
	for (size_t i = 0; wanted == false && i < o->include_count; i++)
		wanted = is_dir ? bm_glob_could_match_below(o->include[i], path, len)
		                : bm_glob_match(o->include[i], path, len);
	for (size_t i = 0; wanted && i < o->exclude_count; i++)
		if (bm_glob_match(o->exclude[i], path, len) ||
		    (is_dir && bm_glob_matches_all_below(o->exclude[i], path, len)))
			wanted = false;
	if (!wanted)
		w->counts.excluded++;
	return wanted;
}

bool bm_walk_wants_name(struct bm_walk *w, const struct frame *f, const char *name, size_t name_len, bool is_dir,
                        bool *inside)
{
	bool by_glob = w->glob && !f->glob_inside;
	if (!by_glob && w->opt.include_count == 0 && w->opt.exclude_count == 0)
		return true;
	size_t at = w->path.len;
	bool wanted = true;
	bm_buf_put(&w->path, name, name_len);
	if (w->path.oom)
		return false; /* the walk ends, bm_walk_next sees to it */
	if (by_glob) {
		bool match = bm_glob_match(w->glob, w->path.data, w->path.len);
		if (match)
			w->glob_matched = true;
		if (match && is_dir)
			*inside = true;
		wanted = match || (is_dir && bm_glob_could_match_below(w->glob, w->path.data, w->path.len));
	}
	if (wanted)
		wanted = filter(w, w->path.data + WALK_MATCH_PREFIX, w->path.len - WALK_MATCH_PREFIX, is_dir);
	w->path.len = at;
	w->path.data[at] = '\0';
	return wanted;
}

/* ---- roots ---- */

/* A tree whose directory was just opened. */
static struct bm_entry *start_tree(struct bm_walk *w, int fd, const struct stat *st, const char *disp, size_t disp_len,
                                   const char *path, size_t path_len)
{
	if (w->opt.skip_path_count && bm_walk_skips_link(w, disp_len ? disp : ".")) {
		bm_io_close(fd);
		w->counts.own_outputs++;
		w->glob_matched = true;
		return NULL;
	}
	if (!bm_walk_set_base(w, disp, disp_len, path, path_len)) {
		bm_io_close(fd);
		return bm_walk_oom(w);
	}
	w->root_dev = st->st_dev;
	return bm_walk_push(w, fd, st, false, false);
}

struct bm_entry *bm_walk_start_named(struct bm_walk *w, const char *disp, size_t disp_len, const char *path,
                                     size_t path_len)
{
	struct stat st;
	bm_io_block_disk(&w->blocker);
	int failed = bm_io_stat(AT_FDCWD, disp, disp_len, &st, 0) == 0 ? 0 : errno;
	bm_io_unblock(&w->blocker);
	if (failed) /* path as for a thing that is there, so that reports of a list stay relative */
		return bm_walk_error(w, path, path_len, disp, disp_len, BM_OK, failed, "cannot read");
	if (S_ISDIR(st.st_mode)) {
		int fd = bm_walk_open_dir(w, AT_FDCWD, disp, disp_len, true, &st);
		if (fd < 0)
			return bm_walk_error(w, path, path_len, disp, disp_len, BM_OK, errno, "cannot open directory");
		return start_tree(w, fd, &st, disp, disp_len, path ? path : "", path ? path_len : 0);
	}
	if (!path) {
		const char *slash = memrchr(disp, '/', disp_len);
		path = slash ? slash + 1 : disp;
		path_len = disp_len - (size_t)(path - disp);
	}
	if (S_ISSOCK(st.st_mode))
		return bm_walk_error(w, path, path_len, disp, disp_len, BM_ERR_UNSUPPORTED, 0,
		                     "is a socket: there is nothing in it to read");
	if (!filter(w, path, path_len, false))
		return NULL;
	if (w->opt.skip_path_count && bm_walk_skips_link(w, disp)) {
		w->counts.own_outputs++;
		return NULL;
	}
	bool regular = S_ISREG(st.st_mode);
	if (regular && !bm_walk_wants_stat(w, &st))
		return NULL;
	bool dash = !regular && disp_len == 1 && disp[0] == '-'; /* a FIFO of that name, not standard input */
	struct bm_entry *e = bm_entry_create(regular ? BM_ENTRY_FILE : BM_ENTRY_STREAM, path, path_len,
	                                     dash ? "./-" : disp, dash ? 3 : disp_len);
	if (!e)
		return bm_walk_oom(w);
	e->root = w->root;
	if (regular)
		bm_walk_fill_stat(e, &st);
	return e;
}

/* "\*" is '*' in a pattern; takes the escapes out of text, in place. */
static size_t unescape(char *text)
{
	size_t n = 0;
	for (const char *p = text; *p; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		text[n++] = *p;
	}
	text[n] = '\0';
	return n;
}

void bm_walk_glob_fini(struct bm_walk *w)
{
	for (size_t i = 0; i < w->dot_glob_count; i++)
		bm_glob_destroy(w->dot_globs[i]);
	free(w->dot_globs);
	w->dot_globs = NULL;
	w->dot_glob_count = 0;
	bm_glob_destroy(w->glob);
	w->glob = NULL;
}

/* Compiles the components of the pattern that ask for hidden names themselves: ".config" of "**" + "/.config/" + "*" */
static enum bm_status compile_dots(struct bm_walk *w, const char *rest, struct bm_error *err)
{
	size_t parts = 1;
	for (const char *p = rest; *p; p++)
		parts += *p == '/';
	w->dot_globs = bm_calloc_array(parts, sizeof(struct bm_glob *));
	if (!w->dot_globs)
		return bm_error_set_nomem(err);
	for (const char *p = rest; *p;) {
		size_t len = strcspn(p, "/");
		if (p[0] == '.' || (p[0] == '\\' && p[1] == '.')) {
			char *part = bm_memdup0(p, len);
			if (!part)
				return bm_error_set_nomem(err);
			enum bm_status s = bm_glob_compile(part, &w->dot_globs[w->dot_glob_count], err);
			free(part);
			if (s != BM_OK)
				return s;
			w->dot_glob_count++;
		}
		p += len;
		p += *p == '/';
	}
	return BM_OK;
}

static enum bm_status compile_root_glob(struct bm_walk *w, const char *rest, struct bm_error *err)
{
	struct bm_buf anchored = {0};
	bm_buf_puts(&anchored, "r/");
	bm_buf_puts(&anchored, rest);
	enum bm_status s = anchored.oom ? bm_error_set_nomem(err) : bm_glob_compile(anchored.data, &w->glob, err);
	if (s == BM_OK)
		s = compile_dots(w, rest, err);
	bm_buf_fini(&anchored);
	return s;
}

static struct bm_entry *start_glob(struct bm_walk *w, const char *pattern)
{
	size_t pattern_len = strlen(pattern), at = bm_glob_literal_prefix(pattern), prefix_len;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_entry *e = NULL;
	bool magic = bm_glob_has_magic(pattern);
	char *prefix = bm_memdup0(pattern, magic ? at : pattern_len);
	if (!prefix)
		return bm_walk_oom(w);
	prefix_len = unescape(prefix);
	w->glob_matched = true; /* until the pattern is known to be one that has to match */
	if (!magic) {
		e = bm_walk_start_named(w, prefix, prefix_len, NULL, 0);
		goto out;
	}
	const char *rest = pattern + at;
	if (at == 0 && rest[0] == '/') {
		free(prefix);
		prefix = bm_memdup0("/", 1);
		prefix_len = 1;
		if (!prefix)
			return bm_walk_oom(w);
	}
	rest += strspn(rest, "/");
	enum bm_status s = compile_root_glob(w, rest, &err);
	if (s == BM_ERR_NOMEM) {
		e = bm_walk_oom(w);
		goto out;
	}
	if (s != BM_OK) {
		e = bm_walk_error(w, NULL, 0, pattern, pattern_len, s, 0, err.text);
		goto out;
	}
	struct stat st;
	const char *dir = prefix_len ? prefix : ".";
	int fd = bm_walk_open_dir(w, AT_FDCWD, dir, prefix_len ? prefix_len : 1, true, &st);
	if (fd < 0) {
		e = bm_walk_error(w, NULL, 0, pattern, pattern_len, BM_OK, errno,
		                  "nothing matches this pattern, the directory in front of it cannot be opened");
		goto out;
	}
	w->glob_matched = false;
	e = start_tree(w, fd, &st, prefix, prefix_len, "", 0);
out:
	free(prefix);
	return e;
}

struct bm_entry *bm_walk_start_root(struct bm_walk *w)
{
	const struct bm_walk_root *r = &w->opt.roots[w->root];
	w->root_busy = true;
	w->glob_matched = true;
	if (r->feed) {
		struct bm_entry *e =
			bm_entry_create(BM_ENTRY_STREAM, r->path, strlen(r->path), r->path, strlen(r->path));
		if (!e)
			return bm_walk_oom(w);
		e->root = w->root;
		e->feed = r->feed;
		return e;
	}
	if (r->url)
		return bm_walk_url(w, r->url);
	if (r->is_glob)
		return start_glob(w, r->path);
	if (strcmp(r->path, "-") == 0 && !r->literal_dash) {
		struct bm_entry *e = bm_entry_create(BM_ENTRY_STREAM, "-", 1, "-", 1);
		if (!e)
			return bm_walk_oom(w);
		e->root = w->root;
		return e;
	}
	return bm_walk_start_named(w, r->path, strlen(r->path), NULL, 0);
}

struct bm_entry *bm_walk_end_root(struct bm_walk *w)
{
	struct bm_entry *e = NULL;
	if (!w->glob_matched) {
		const char *pattern = w->opt.roots[w->root].path;
		e = bm_walk_error(w, NULL, 0, pattern, strlen(pattern), BM_ERR_SYSTEM, ENOENT,
		                  "nothing matches this pattern");
	}
	bm_walk_glob_fini(w);
	w->root_busy = false;
	w->root++;
	return e;
}
