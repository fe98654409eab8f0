/*
 * bm_catalog_files.h - the files of a root: what they were when last seen, their digests, the digests of their blocks,
 * when each was last verified. Threads, errors, times and what "queued" means: bm_catalog.h.
 *
 * A path is relative to its root, 1 byte or more, without NUL. Order of paths is that of their bytes (memcmp), as
 * LC_ALL=C sort and a walk have it.
 */
#ifndef BM_CATALOG_FILES_H
#define BM_CATALOG_FILES_H

#include "bm_catalog.h"
#include "bm_mem.h"

enum bm_catalog_how {
	BM_CATALOG_HASHED,   /* read in full, its digest was new to the catalog */
	BM_CATALOG_VERIFIED, /* read in full, its digest was the one on record */
	BM_CATALOG_CARRIED   /* read in several audits, block after block, against those on record */
};
enum bm_catalog_file_state {
	BM_CATALOG_OK,
	BM_CATALOG_DAMAGED, /* other bytes than on record, though size and times say that nobody wrote them */
	BM_CATALOG_MISSING,
	BM_CATALOG_UNREADABLE
};

/* What the catalog has on a file. Handed out: the pointers are valid as long as the call that gave it says. */
struct bm_catalog_file {
	const char *path;
	size_t path_len;
	uint64_t size; /* this and the next three: as stat(2) had them when the digest was made */
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	bool is_unsettled;     /* it might have been written since, and have the same times still: to be read again */
	const char *algorithm; /* "sha256"; handed out: valid until the catalog is closed */
	const uint8_t *digest; /* of the whole file; NULL where digest_len is 0: it has none yet */
	size_t digest_len;
	uint64_t block_bytes;  /* the size of its blocks; 0: no digests of blocks. Put: see bm_catalog_file_put */
	int64_t first_seen_ns; /* put: kept where the catalog has the file */
	int64_t verified_ns;
	enum bm_catalog_how how;
	enum bm_catalog_file_state state;
	int64_t found_ns; /* when its state was found, where that is not BM_CATALOG_OK; put: not used */
	const char *note; /* what was found, for people: "bytes 4096-8191"; NULL: nothing. Put: not used */
};
struct bm_catalog_blocks {
	uint64_t block_bytes;   /* > 0 */
	const uint8_t *digests; /* count of them, one behind the other, of the file's algorithm */
	size_t digest_len;      /* of each */
	size_t count;
};

/* ---- writing: all of these are queued; what they are given is copied ---- */

/* The file as it is now, read and found good: state is BM_CATALOG_OK. blocks may be NULL: it then has none. What was
 * there before is replaced, its blocks too, but for first_seen_ns. */
enum bm_status bm_catalog_file_put(struct bm_catalog *c, int64_t root, const struct bm_catalog_file *f,
                                   const struct bm_catalog_blocks *blocks, struct bm_error *err) BM_NODISCARD;
/* It was read again and is as on record, digest and stat: state is BM_CATALOG_OK. Does nothing for an unknown file. */
enum bm_status bm_catalog_file_verified(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                        int64_t verified_ns, enum bm_catalog_how how, struct bm_error *err)
	BM_NODISCARD;
/* Something is wrong with it; all else stays on record. found_ns is kept where it had this state already. note may be
 * NULL. Does nothing for an unknown file. */
enum bm_status bm_catalog_file_mark(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                    enum bm_catalog_file_state state, int64_t found_ns, const char *note,
                                    struct bm_error *err) BM_NODISCARD;
/* It has another name now and is otherwise as on record; what is on record of that name, is replaced. Does nothing for
 * an unknown file. */
enum bm_status bm_catalog_file_move(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                    const char *new_path, size_t new_path_len, struct bm_error *err) BM_NODISCARD;
/* Forgets it. */
enum bm_status bm_catalog_file_delete(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                      struct bm_error *err) BM_NODISCARD;

/* ---- reading: cursors ---- */

/* A cursor takes rows from the database by the hundred and holds no lock in between: neither this process nor another
 * has to wait for it, however long it is open. It begins after all that was queued when it was opened; a write that
 * comes later may be seen or not. */
struct bm_catalog_files;

/* In order of paths; under_len > 0: only those that begin with these bytes ("dir/"). */
enum bm_status bm_catalog_files_open(struct bm_catalog *c, int64_t root, const char *under, size_t under_len,
                                     struct bm_catalog_files **out, struct bm_error *err) BM_NODISCARD;
/* Those in state OK that were last verified before before_ns, the oldest first. There is no index that every write would
 * have to pay for: opening reads the root's files through (0.2 us each), and so does about each sixteenth of the way.
 * Up to 16,384 files come in exact order. Of more, about a sixteenth at a time is older than all the rest, and within
 * that they come in order of paths: that is how a disk likes to be read. Who has gone through all of the root's files shortly
 * before gives the ages that were counted then, of the same before_ns, and spares the first reading through (else NULL). */
struct bm_catalog_ages;
enum bm_status bm_catalog_files_open_due(struct bm_catalog *c, int64_t root, int64_t before_ns,
                                         const struct bm_catalog_ages *ages, struct bm_catalog_files **out,
                                         struct bm_error *err) BM_NODISCARD;
/* NULL: no memory. One thread at a time. */
struct bm_catalog_ages *bm_catalog_ages_create(int64_t before_ns);
void bm_catalog_ages_add(struct bm_catalog_ages *a, int64_t verified_ns, enum bm_catalog_file_state state);
void bm_catalog_ages_destroy(struct bm_catalog_ages *a); /* NULL is fine */
/* Those that are not in state OK: by state, then path. */
enum bm_status bm_catalog_files_open_bad(struct bm_catalog *c, int64_t root, struct bm_catalog_files **out,
                                         struct bm_error *err) BM_NODISCARD;
/* *out: the next one, valid until the next call for this cursor; NULL at the end. */
enum bm_status bm_catalog_files_next(struct bm_catalog_files *f, const struct bm_catalog_file **out,
                                     struct bm_error *err) BM_NODISCARD;
/* For cursors in order of paths: that file, or NULL where there is none (or it is not under what the cursor is); next goes
 * on with the first one after path. Any order of calls is right, ascending paths are fast. */
enum bm_status bm_catalog_files_find(struct bm_catalog_files *f, const char *path, size_t path_len,
                                     const struct bm_catalog_file **out, struct bm_error *err) BM_NODISCARD;
void bm_catalog_files_close(struct bm_catalog_files *f); /* NULL is fine */

/* The files that have one of these digests, for what was moved or is there twice. One pass over the root's files (0: all
 * roots'), 0.5 us each, whatever the number of digests: ask for many at once. each is called for every file and every
 * entry of wanted that agree, files in order of paths (root by root), and may call the catalog; false ends it. Takes 16
 * bytes of memory for each one wanted. */
struct bm_catalog_digest {
	const char *algorithm;
	const uint8_t *bytes;
	size_t len;
};
typedef bool (*bm_catalog_match_fn)(void *ctx, size_t index, int64_t root, const struct bm_catalog_file *f);
enum bm_status bm_catalog_files_match(struct bm_catalog *c, int64_t root, const struct bm_catalog_digest *wanted,
                                      size_t count, bm_catalog_match_fn each, void *ctx, struct bm_error *err)
	BM_NODISCARD;

/* ---- blocks, and files that are read bit by bit ---- */

/* Appends the digests of the file's blocks to digests; *block_bytes is 0 and nothing appended where there are none. Goes
 * after what was queued, or (is_queue_over: what is asked for is not in the queue) does not wait for it. */
enum bm_status bm_catalog_blocks_get(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                     bool is_queue_over, uint64_t *block_bytes, struct bm_buf *digests,
                                     struct bm_error *err) BM_NODISCARD;

/* How far a file that is too large for one go has been read. */
struct bm_catalog_progress {
	uint64_t size; /* this and the next three: the file's identity. If it is another by now, start anew */
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	const char *algorithm; /* handed out: valid until the catalog is closed */
	uint64_t block_bytes;
	uint64_t next_block; /* blocks 0 .. next_block - 1 are done */
	int64_t started_ns, updated_ns;
};
/* Queued. digests: those of the count blocks before next_block, where the file is hashed for the first time: they
 * gather (count = next_block starts anew), so that they are all there in the end. NULL and 0 where it is verified
 * against those on record. */
enum bm_status bm_catalog_progress_put(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                       const struct bm_catalog_progress *p, const uint8_t *digests, size_t digest_len,
                                       size_t count, struct bm_error *err) BM_NODISCARD;
/* Appends what gathered to digests (may be NULL). is_queue_over: as above. */
enum bm_status bm_catalog_progress_get(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                       bool is_queue_over, struct bm_catalog_progress *out, struct bm_buf *digests,
                                       bool *found, struct bm_error *err) BM_NODISCARD;
/* All of a root, by path; false ends it. each may call the catalog. */
typedef bool (*bm_catalog_progress_fn)(void *ctx, const char *path, size_t path_len,
                                       const struct bm_catalog_progress *p);
enum bm_status bm_catalog_progress_list(struct bm_catalog *c, int64_t root, bm_catalog_progress_fn each, void *ctx,
                                        struct bm_error *err) BM_NODISCARD;
/* Queued: the file is through, or begun anew. */
enum bm_status bm_catalog_progress_clear(struct bm_catalog *c, int64_t root, const char *path, size_t path_len,
                                         struct bm_error *err) BM_NODISCARD;

/* ---- adding up ---- */

#define BM_CATALOG_AGES_MAX 512

struct bm_catalog_count {
	uint64_t files, bytes;
};
struct bm_catalog_coverage {
	struct bm_catalog_count all;      /* those that are missing left out, as in all below but state */
	struct bm_catalog_count state[4]; /* by enum bm_catalog_file_state */
	struct bm_catalog_count future; /* verified more than a day from now: the clock was wrong, nobody knows when */
	int64_t oldest_ns, newest_ns;   /* verified, those of the future left out; 0: no file */
	/* age[i]: verified at or after since_ns[i], and before since_ns[i - 1]; age[count]: before all of them, and those of
	 * the future. */
	struct bm_catalog_count age[BM_CATALOG_AGES_MAX + 1];
};
/* Goes through the root's files (0: all roots'), 0.2 us each. since_ns: count (<= BM_CATALOG_AGES_MAX) times, the latest
 * first. */
enum bm_status bm_catalog_coverage(struct bm_catalog *c, int64_t root, const int64_t *since_ns, size_t count,
                                   struct bm_catalog_coverage *out, struct bm_error *err) BM_NODISCARD;

#endif
