/* walk_private.h - what walk.c (the tree), walk_read.c (one directory), walk_root.c (roots, globs, filters) and
 * walk_list.c (lists) and walk_url.c (URLs) share. All of it belongs to the one thread that is inside bm_walk_next. */
#ifndef BM_WALK_PRIVATE_H
#define BM_WALK_PRIVATE_H

#include <sys/stat.h>

#include "bm_glob.h"
#include "bm_mem.h"
#include "bm_source.h"
#include "bm_url.h"
#include "bm_walk.h"
#include "io_dir.h"

#define WALK_OPEN_FRAMES 64 /* directories of the stack that keep a descriptor */
#define WALK_DENTS_BYTES ((size_t)64 << 10)
#define WALK_NAME_BYTES 256 /* what d_name can hold, NUL included */
#define WALK_BATCH 64       /* files that get their stat in one go */
#define WALK_MATCH_PREFIX 2 /* bytes of "r/" in front of the path, see walk_root.c */

enum item_type { ITEM_FILE, ITEM_DIR, ITEM_ERROR };

/* One name of a directory that was read and not passed yet. */
struct item {
	uint64_t key;  /* the first 8 bytes of the sort name, big endian, padded with 0: settles most comparisons */
	size_t name;   /* offset in bm_walk.names; len bytes, then '/' for a directory, then NUL */
	int sys_errno; /* ITEM_ERROR: why its link could not be followed */
	uint16_t len;
	uint8_t type;
	bool via_link : 1;
	bool inside : 1; /* a directory that matched the glob itself: all below it is taken */
};

/* One directory on the way from the root to where the walk is. */
struct frame {
	struct bm_dir *dir; /* NULL: given up to save descriptors, reopened on the way back */
	int fd;             /* dir->fd, or a descriptor of its own where owns_fd; -1 with dir NULL */
	bool owns_fd;
	bool glob_inside;
	bool check_skip; /* something that is never listed lies below */
	bool owns_real;
	char *real;      /* with skip paths: a real path ... NULL: not known */
	size_t real_off; /* ... to which path + real_off is to be added */
	dev_t dev;
	ino_t ino;
	bool own_clock;            /* see bm_io_own_clock */
	size_t first, next, end;   /* its items */
	size_t names_len;          /* bm_walk.names before it */
	size_t disp_len, path_len; /* the buffers up to and with this directory's '/' */
};

struct batch_stat {
	struct stat st;
	int sys_errno;
};

struct walk_list {
	int fd; /* -1: not open */
	bool owns_fd, done;
	size_t pos, len;
	char *buf; /* 64 KiB, owned */
	struct bm_buf line;
	uint64_t line_number;       /* of what is in line */
	struct bm_buf shown, clean; /* scratch for one entry */
};

struct bm_walk {
	struct bm_walk_options opt;
	struct bm_blocker blocker; /* of the bm_walk_next in progress */
	struct bm_walk_counts counts;

	size_t root; /* the root in progress; root_count: the list */
	dev_t root_dev;
	struct walk_list list;

	/* Where the walk is: display and path of the top directory with '/' at the end ("" where there is nothing to
	 * put before a name). path begins with "r/", which is no part of it. */
	struct bm_buf disp, path;
	struct frame *frames;
	size_t depth, frames_cap;
	struct item *items;
	size_t items_len, items_cap;
	struct bm_buf names;
	char *dents;       /* getdents buffer, owned */
	ssize_t dents_len; /* what bm_walk_open_dir has read already; -1: dents_errno */
	bool is_cold;      /* the top directory was not in the dentry cache when it was opened */

	struct batch_stat *batch; /* WALK_BATCH of them, for items batch_lo .. batch_hi; NULL: no stat is wanted */
	size_t batch_lo, batch_hi;

	/* A root that is a glob. */
	struct bm_glob *glob;       /* owned; NULL: not a glob */
	struct bm_glob **dot_globs; /* the components that begin with '.': what hidden names it asks for */
	size_t dot_glob_count;

	const char **skip; /* opt.skip_paths, sorted */
	size_t skip_prefix_len;

	struct bm_buf scratch;
	struct bm_entry *oom_entry; /* made at the start, given out when memory runs out */
	int dents_errno;
	bool want_stat;
	bool root_busy; /* it has been started and its tree is not at its end */
	bool tail;      /* path is the tail of disp, so that an entry can share the bytes */
	bool glob_matched;
	bool ended;
};

/* walk.c */
/* Opens a directory, its stat and its first names; -1 and errno. One block()/unblock() for all of it. */
int bm_walk_open_dir(struct bm_walk *w, int at, const char *name, size_t len, bool follow, struct stat *st);
/* Makes the directory that bm_walk_open_dir opened (fd is taken, also on failure) the top of the stack. disp and path
 * hold its names already. NULL, or an error entry to give out before the items. */
struct bm_entry *bm_walk_push(struct bm_walk *w, int fd, const struct stat *st, bool via_link, bool glob_inside);
/* An error entry for disp (path: the same where path is NULL). Never NULL: out of memory ends the walk. */
struct bm_entry *bm_walk_error(struct bm_walk *w, const char *path, size_t path_len, const char *disp, size_t disp_len,
                               enum bm_status status, int sys_errno, const char *text);
struct bm_entry *bm_walk_oom(struct bm_walk *w);
void bm_walk_fill_stat(struct bm_entry *e, const struct stat *st);
/* Sets disp and path for a root; false: no memory. */
bool bm_walk_set_base(struct bm_walk *w, const char *disp, size_t disp_len, const char *path, size_t path_len);
/* Size, time and device; counts what it leaves out. */
bool bm_walk_wants_stat(struct bm_walk *w, const struct stat *st);

/* walk_read.c */
/* Reads the top directory, whose first names are in dents already, into sorted items. 0, an errno (what was read before
 * is kept), or -1: no memory. */
int bm_walk_read(struct bm_walk *w, struct frame *f);
void bm_walk_truncate(struct bm_buf *b, size_t len);

/* walk_root.c */
struct bm_entry *bm_walk_start_root(struct bm_walk *w); /* NULL: nothing to say, go on */
struct bm_entry *bm_walk_end_root(struct bm_walk *w);   /* "nothing matches", or NULL */
/* A thing that was named itself: file, tree, stream or error. path NULL: the last component of what is opened. */
struct bm_entry *bm_walk_start_named(struct bm_walk *w, const char *disp, size_t disp_len, const char *path,
                                     size_t path_len);
/* Is a name below a root taken? path: with "r/" in front. is_dir: as seen through a link where links are followed. Sets
 * *inside where a directory matched the glob. Counts what it leaves out. */
bool bm_walk_wants_name(struct bm_walk *w, const struct frame *f, const char *name, size_t name_len, bool is_dir,
                        bool *inside);
bool bm_walk_hides(const struct bm_walk *w, const struct frame *f, const char *name, size_t name_len);
bool bm_walk_skips_link(struct bm_walk *w, const char *disp); /* does what disp leads to lie among the skip paths? */
/* Sets real and check_skip of the new frame. parent NULL or via_link: from the real path of disp. false: no memory. */
bool bm_walk_frame_real(struct bm_walk *w, struct frame *f, const struct frame *parent, bool via_link);
bool bm_walk_is_own(struct bm_walk *w, const struct frame *f, const char *name, size_t name_len);
void bm_walk_glob_fini(struct bm_walk *w);
bool bm_walk_sort_skip(struct bm_walk *w); /* false: no memory */

/* walk_url.c; never NULL but for bm_walk_url_line, where there is nothing on the line */
struct bm_entry *bm_walk_url(struct bm_walk *w, const struct bm_url_item *item);
struct bm_entry *bm_walk_url_line(struct bm_walk *w);

/* walk_list.c */
struct bm_entry *bm_walk_list_next(struct bm_walk *w); /* NULL: a tree was started or the list is at its end */
void bm_walk_list_fini(struct bm_walk *w);

#endif
