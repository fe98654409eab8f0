/*
 * bm_catalog.h - the catalog: an embedded SQLite database in the state directory that remembers roots, files and their
 * digests (bm_catalog_files.h), runs (bm_catalog_runs.h) and what each job has done (bm_catalog_done.h). No server; any
 * number of processes may have it open at once. Each of them has one connection, for one thread at a time.
 *
 * THREADS. Any thread may make any call on an open catalog; a cursor is for one thread at a time. Calls that say
 * "queued" only put the write into memory and return: a thread of the catalog's own, started by the first of them, puts
 * what has gathered into the database, one transaction for thousands of writes. All others read or write the database
 * and may block: for a disk, for a batch of this process (some 10 ms), and for other processes, up to busy_ms.
 *
 * WHAT IS WHEN IN THE DATABASE. A queued write at the latest batch_ms after the call, plus the time of a commit; all of
 * them when bm_catalog_flush has returned BM_OK. A kill loses at most what was queued and not yet written; of a group
 * that belongs together (a file and its blocks) it never loses a part. Queued writes come in the order in which they
 * were queued, and any call that writes at once, opens a cursor or adds up goes after all that this thread queued before.
 *
 * ERRORS. The first error of a queued write is final: nothing after it is written, and it is returned by every later
 * call that writes and by bm_catalog_flush and bm_catalog_close. Of any call, with err->where the catalog's path:
 * BM_ERR_FORMAT: the database is damaged, or is none, or is another program's; BM_ERR_UNSUPPORTED: a newer Bytemill made
 * it; BM_ERR_SYSTEM with sys_errno EBUSY: another process held it for busy_ms; ENOSPC and others: as ever; BM_ERR_NOMEM.
 * A database that is refused is left as it was.
 *
 * MEMORY. SQLite's cache of pages is kept to 16 MiB, sorting is bounded (bm_catalog_files.h), writes that wait to about
 * 8 MiB; past that a queued call waits. SQLite's soft heap limit is of the whole process, so a library must not set it:
 * a program that wants it calls sqlite3_soft_heap_limit64 itself.
 *
 * Times are nanoseconds since 1970 (bm_catalog_now). Names are bytes; NUL-terminated where handed out, which names of
 * files allow.
 */
#ifndef BM_CATALOG_H
#define BM_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#define BM_CATALOG_FILE "catalog.db"

struct bm_catalog;

struct bm_catalog_options {
	const char *dir;      /* the state directory, made (0700) where it is missing; NULL: bm_catalog_default_dir */
	bool must_exist;      /* make nothing: BM_ERR_SYSTEM with ENOENT where there is no catalog yet */
	unsigned busy_ms;     /* how long to wait for other processes; 0: 30 s */
	unsigned batch_ms;    /* a queued write waits no longer than this; 0: 500 ms */
	unsigned batch_count; /* nor for more others than this; 0: 8192 */
};

/* Where the catalog lies if nothing is said: root's in /var/lib/bytemill, others' in $XDG_STATE_HOME/bytemill or, where
 * that is unset or not absolute, in ~/.local/state/bytemill. The caller frees *out. BM_ERR_FAILED: the user has no home
 * directory. */
enum bm_status bm_catalog_default_dir(char **out, struct bm_error *err) BM_NODISCARD;
/* Opens, makes (mode 0600) or migrates the catalog, and notes of runs whose process is gone that they were interrupted.
 * opt may be NULL and is copied. Where the file may not be written it can still be read. Open it before a sandbox is
 * entered; inside, the directory must stay writable, as every transaction has a journal beside the database. */
enum bm_status bm_catalog_open(const struct bm_catalog_options *opt, struct bm_catalog **out, struct bm_error *err)
	BM_NODISCARD;
/* What this thread writes from here to the end is one transaction, and costs the disk no more than one write alone; so is
 * what is "queued" otherwise, for runs and jobs only. No cursors, no records of files, and no waiting for other threads that use the catalog. At the end status is
 * what has become of it: where it is not BM_OK nothing was written. */
enum bm_status bm_catalog_together(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
enum bm_status bm_catalog_together_end(struct bm_catalog *c, enum bm_status status, struct bm_error *err) BM_NODISCARD;
/* Returns when all that was queued before is in the database. */
enum bm_status bm_catalog_flush(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
/* Flushes, closes and frees, also on error. Cursors and runs must be gone. NULL is fine: BM_OK. */
enum bm_status bm_catalog_close(struct bm_catalog *c, struct bm_error *err) BM_NODISCARD;
const char *bm_catalog_path(const struct bm_catalog *c); /* of the database; borrowed; bytes */
/* Reads the database through and checks its structure (deep: its indices against its tables, too): BM_ERR_FORMAT with
 * the first fault. Takes seconds per million files and holds up other processes that want to write. */
enum bm_status bm_catalog_check(struct bm_catalog *c, bool deep, struct bm_error *err) BM_NODISCARD;

int64_t bm_catalog_now(void);

/* ---- roots ---- */

/* What tells one file system from another. Device numbers change with the order in which disks are found, f_fsid on some
 * file systems with them; a UUID does not, but not all have one. */
struct bm_catalog_place {
	uint64_t device; /* st_dev */
	uint64_t fsid;   /* f_fsid of statfs(2); 0: none */
	char uuid[64];   /* of the file system, as /dev/disk/by-uuid or the kernel has it; "": not known */
};

struct bm_catalog_root {
	int64_t id; /* for the other calls; never 0 */
	char *path; /* owned: bm_catalog_root_fini */
	size_t path_len;
	bool has_place; /* else only done records hang on it */
	struct bm_catalog_place place;
	int64_t first_seen_ns;
	int64_t audited_ns;   /* the last audit that came to its end; 0: none did */
	bool has_block_bytes; /* somebody said what follows */
	uint64_t block_bytes; /* files larger than this get digests of their blocks; 0: none do */
};
void bm_catalog_root_fini(struct bm_catalog_root *r); /* frees, zeroes */

enum bm_catalog_presence {
	BM_CATALOG_PRESENT,
	BM_CATALOG_ABSENT,       /* nothing to be found at its path, or no directory, or it cannot be looked at */
	BM_CATALOG_OTHER_DEVICE, /* on another file system than when its place was set */
	BM_CATALOG_EMPTY         /* an empty directory, though the catalog has files of it */
};

/* The place of what is at path now. *is_empty (may be NULL): a directory with nothing in it, or only lost+found.
 * BM_ERR_SYSTEM. May block (a mount that hangs). Needs no catalog. */
enum bm_status bm_catalog_place_get(const char *path, struct bm_catalog_place *out, bool *is_empty,
                                    struct bm_error *err) BM_NODISCARD;
/* The same file system: by UUID where both have one, else where device or fsid agrees. */
bool bm_catalog_place_equal(const struct bm_catalog_place *a, const struct bm_catalog_place *b);

/* Finds a root by its path (the caller makes it real: realpath(3)) and adds it where it is new. out is filled in, also
 * for a root that was there; place may be NULL, and is only kept where the root had none. */
enum bm_status bm_catalog_root_add(struct bm_catalog *c, const char *path, size_t path_len,
                                   const struct bm_catalog_place *place, int64_t now_ns, struct bm_catalog_root *out,
                                   struct bm_error *err) BM_NODISCARD;
/* *found false: there is none, and out is zeroed. */
enum bm_status bm_catalog_root_find(struct bm_catalog *c, const char *path, size_t path_len,
                                    struct bm_catalog_root *out, bool *found, struct bm_error *err) BM_NODISCARD;
/* All, in byte order of their paths; a callback that returns false ends it. It may call the catalog. */
enum bm_status bm_catalog_root_list(struct bm_catalog *c, bool (*each)(void *ctx, const struct bm_catalog_root *r),
                                    void *ctx, struct bm_error *err) BM_NODISCARD;
/* Compares a root with what is at its path now. *why (may be NULL): the errno of BM_CATALOG_ABSENT. */
enum bm_status bm_catalog_root_presence(struct bm_catalog *c, const struct bm_catalog_root *r,
                                        enum bm_catalog_presence *out, int *why, struct bm_error *err) BM_NODISCARD;
/* From now on the root belongs there: the user said so, or it had no place. */
enum bm_status bm_catalog_root_set_place(struct bm_catalog *c, int64_t root, const struct bm_catalog_place *place,
                                         struct bm_error *err) BM_NODISCARD;
enum bm_status bm_catalog_root_set_audited(struct bm_catalog *c, int64_t root, int64_t now_ns, struct bm_error *err)
	BM_NODISCARD;
/* What is said in block_bytes, from now on. */
enum bm_status bm_catalog_root_set_block_bytes(struct bm_catalog *c, int64_t root, uint64_t block_bytes,
                                               struct bm_error *err) BM_NODISCARD;
/* Does any file of the root have digests of its blocks? */
enum bm_status bm_catalog_root_has_blocks(struct bm_catalog *c, int64_t root, bool *out, struct bm_error *err)
	BM_NODISCARD;
/* The algorithms that digests of the root's files are of: up to most names, handed out: valid until the catalog is closed.
 * Goes through the root's files, 0.2 us each. */
enum bm_status bm_catalog_root_algorithms(struct bm_catalog *c, int64_t root, const char **names, size_t most,
                                          size_t *count, struct bm_error *err) BM_NODISCARD;
/* Forgets the root, its files and what jobs have done with it, in many transactions: a kill leaves a root with fewer
 * files. */
enum bm_status bm_catalog_root_delete(struct bm_catalog *c, int64_t root, struct bm_error *err) BM_NODISCARD;

#endif
