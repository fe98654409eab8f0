/*
 * bm_walk.h - listing inputs: files, trees, glob matches, lists of names, pipes; streamed, in listing order.
 *
 * Order: the roots as given (the matches of one glob pattern in byte order; the entries of a list as they stand in it);
 * within a tree the byte order of whole relative paths, as LC_ALL=C sort gives (a directory is compared as if its name
 * ended in '/'). Memory is bounded by depth times the widest directories on the way, not by the size of the tree.
 * A thing that cannot be read (directory without permission, a root that is missing, a loop of links) comes as an entry
 * with an error in its place in the order; nothing is dropped in silence. Sockets and device nodes inside a tree are
 * skipped and counted; a FIFO or device is read only where it was itself named as a root.
 */
#ifndef BM_WALK_H
#define BM_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "bm_mem.h"

struct bm_glob;
struct bm_feed; /* bm_feed.h */
struct bm_url_item;
struct bm_walk;
struct bm_dir; /* an open directory, counted; entries hold their parent */

struct bm_walk_root {
	/* A path ("-" is standard input unless literal) or, where is_glob, a pattern. Borrowed while the walk lives. */
	const char *path;
	bool is_glob;
	bool literal_dash; /* "-" is a file of that name */
	/* Nothing is looked for: the input is what this gives, under the name path. Borrowed by the walk and its entry. */
	struct bm_feed *feed;
	/* Not NULL: no path, but this URL. Borrowed. */
	const struct bm_url_item *url;
};

struct bm_walk_options {
	const struct bm_walk_root *roots; /* borrowed */
	size_t root_count;
	/* A list of names in a file ("-": standard input), after the roots, or NULL; entries are relative to list_base
	 * (NULL: the working directory) unless absolute; separated by NUL where list_nul, else by LF. Read as a stream.
	 * A directory named in a list is walked. */
	const char *list_path;
	const char *list_base;
	bool list_nul;
	/* The list is of URLs: each line one, or an object of JSON (walk_url.c); empty lines and those that begin with '#'
	 * are passed over. list_nul and list_base are not used then. */
	bool list_is_urls;

	/* Against the relative path of files; no match with any: left out; 0 of them: all in. */
	const struct bm_glob *const *include;
	size_t include_count;
	/* Wins over include. A directory that matches one itself is left out whole, as in .gitignore, and so is one
	 * whose contents all match; counted once. */
	const struct bm_glob *const *exclude;
	size_t exclude_count;
	bool hidden;                 /* names that start with '.' are taken (below a root; a root itself always is) */
	bool follow_symlinks;        /* else a symlink below a root is skipped and counted; a root may be one */
	bool one_filesystem;         /* stay on the device of the root */
	bool need_stat;              /* fill in st of every entry even where nothing here needs it */
	uint64_t min_size, max_size; /* bytes, inclusive; max_size 0: no limit */
	bool has_newer, has_older;
	struct timespec newer; /* mtime >= this */
	struct timespec older; /* mtime <= this */
	/* Never listed: real paths (realpath of existing, cleaned else) of files and of directories with all below
	 * them; and names that begin with skip_name_prefix (our own temp files). Borrowed. May be NULL/0. */
	const char *const *skip_paths;
	size_t skip_path_count;
	const char *skip_name_prefix;
	int cancel_fd; /* as in struct bm_blocker: ends the wait for a list that comes through a pipe; 0: none */
};

enum bm_entry_kind {
	BM_ENTRY_FILE,
	BM_ENTRY_STREAM, /* stdin, FIFO, device: no size, read once, serial */
	BM_ENTRY_URL,    /* display is the URL as it may be shown, path the output's name; for bm_source_open_url */
	BM_ENTRY_ERROR
};

struct bm_entry {
	enum bm_entry_kind kind;
	char *path; /* relative to its root; owned (display's own tail where they agree: never freed by itself); "-" for
	                    standard input; the same as display on the error of a root itself */
	size_t path_len;
	char *display; /* as a user would name it: the root as given + "/" + path; owned */
	size_t display_len;
	const char *leaf;     /* points into path or display: what to open below dir */
	struct bm_dir *dir;   /* parent, one reference owned; NULL: open display itself */
	size_t root;          /* which root; root_count for list entries */
	struct bm_feed *feed; /* STREAM: what it reads from, in place of a file; NULL: a file. Borrowed */
	bool may_be_device;   /* FILE, made by hand: a device is read as a STREAM, and not refused */
	bool has_stat;
	struct {
		uint64_t size;
		int64_t mtime_s;
		uint32_t mtime_ns;
		uint64_t dev, ino;
		uint32_t mode;
	} st;                    /* valid where has_stat */
	struct bm_error *error;  /* BM_ENTRY_ERROR: owned */
	struct bm_url_item *url; /* BM_ENTRY_URL: owned */
};

/* An entry made by hand, for what no walk lists (a single file of a command): copies both strings, kind FILE or STREAM,
 * everything else zero. display "-" with kind STREAM is standard input. NULL: no memory. Any thread. */
struct bm_entry *bm_entry_create(enum bm_entry_kind kind, const char *path, size_t path_len, const char *display,
                                 size_t display_len) BM_NODISCARD;

/* Is there nothing of that name? For entries made by hand. May sleep. */
bool bm_entry_is_absent(const struct bm_entry *e);
struct stat;
/* lstat(2) of an entry, stat(2) with follow: 0, or errno. May sleep. */
int bm_entry_stat(const struct bm_entry *e, bool follow, struct stat *st);
/* stat(2) of a path below an open directory, which may be longer than PATH_MAX: 0, or errno. May sleep. Any thread. */
int bm_path_stat(int dir, const char *path, size_t path_len, struct stat *st);

/* BM_ERR_NOMEM, BM_ERR_USAGE. A missing root is no error here but an entry later. */
enum bm_status bm_walk_create(const struct bm_walk_options *opt, struct bm_walk **out, struct bm_error *err)
	BM_NODISCARD;
void bm_walk_destroy(struct bm_walk *w); /* NULL is fine; entries given out stay valid */
struct bm_blocker;                       /* bm_source.h */
/* The next entry (the caller owns it: bm_entry_destroy), or NULL at the end. Out of memory is an ERROR entry; after
 * it, the end. One thread at a time. b, which may be NULL, is called around what may sleep: a getdents or open of what is
 * not cached, a pipe with a list; its cancel_fd is not used (struct bm_walk_options has one). */
struct bm_entry *bm_walk_next(struct bm_walk *w, const struct bm_blocker *b);
void bm_entry_destroy(struct bm_entry *e);

/* What tells whether a file is still the one that was read. */
struct bm_file_id {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};
static inline struct bm_file_id bm_file_id_of(const struct stat *st)
{
	return (struct bm_file_id){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}
/* Unlinks a FILE, provided that its name in its directory still stands for that file, as it was: else BM_ERR_CHANGED, and
 * nothing is done. A symbolic link is another file than the one that it leads to. May sleep, as all below. */
enum bm_status bm_entry_remove(const struct bm_entry *e, const struct bm_file_id *id, struct bm_error *err)
	BM_NODISCARD;
/* fsync of the directory that the entry is in. */
enum bm_status bm_entry_sync_dir(const struct bm_entry *e, struct bm_error *err) BM_NODISCARD;
bool bm_entry_same_dir(const struct bm_entry *a, const struct bm_entry *b); /* as they are named */
/* What was left out so far, for the summary. */
struct bm_walk_counts {
	uint64_t excluded, hidden, symlinks, special, other_filesystem, own_outputs;
};
void bm_walk_get_counts(const struct bm_walk *w, struct bm_walk_counts *out);

/* Any thread. */
struct bm_dir *bm_dir_ref(struct bm_dir *d);
void bm_dir_unref(struct bm_dir *d);

#endif
