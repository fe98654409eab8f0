/*
 * bm_known.h - what is known of the files of a directory, in place of a manifest: for the step verify of a job that was
 * built in memory (bytemill audit --catalog). The step asks the source what comes next, and tells it what it found.
 */
#ifndef BM_KNOWN_H
#define BM_KNOWN_H

#include <bytemill/bytemill.h>

#include "bm_mem.h"

struct bm_entry;
struct stat;

/* How a file is read whose blocks have digests, or get some. All zero: in one go, and no blocks. */
struct bm_known_blocks {
	uint64_t size_bytes; /* of a block; 0: none. A file that is no larger than one has none either */
	bool is_compared;    /* those on record (see blocks) take the place of the whole file's digest ... */
	bool wants_whole;    /* ... which is made all the same where it is read in one go */
	bool may_carry;      /* what was read counts, though it was not read to its end: see progress */
	uint64_t first;      /* the blocks before are done: of the file as these say, else it is begun anew */
	uint64_t file_bytes;
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	int64_t since_ns;   /* the source's: when these were begun */
	uint64_t upto_byte; /* no further: where a block begins; 0: to the end */
};

/* A file as it is on record. Borrowed from the source until it is asked for the next one. */
struct bm_known {
	const char *path; /* below the root; NUL-terminated */
	size_t path_len;
	const char *algorithm;
	const uint8_t *digest;
	size_t digest_len;
	uint64_t size; /* this and the next three: as stat(2) had them when the digest was made */
	int64_t mtime_ns, ctime_ns;
	uint64_t inode;
	bool was_damaged;  /* other bytes than on record are damage, whatever its times are by now */
	bool is_unsettled; /* other bytes than on record are none, though its times may be the same */
	bool is_stray;     /* where it is as on record, it is NEW all the same: what is missing may be it */
	struct bm_known_blocks blocks;
};

enum bm_known_next {
	BM_KNOWN_NEW,  /* the walk's entry, of which nothing is on record: read it; of *known only blocks is set */
	BM_KNOWN_READ, /* the walk's entry: read it and compare it with *known */
	BM_KNOWN_PASS, /* the walk's entry needs no reading, or not now */
	/* *known, which the walk did not give, or which was passed over before. Without an algorithm: as if it were NEW. */
	BM_KNOWN_EXTRA,
	BM_KNOWN_END,
	BM_KNOWN_FAILED
};

/* What the source may ask for its answer. */
struct bm_known_ask {
	bool (*takes)(const void *arg, const char *path, size_t path_len); /* do the job's patterns let it through? */
	const void *arg;
};

/* A file that was opened, or could not be. Borrowed for the call. */
struct bm_known_found {
	const char *path;
	size_t path_len;
	enum bm_verdict verdict; /* NEW and MISSING may become another one: see settled */
	const struct stat *st;   /* when it was opened; NULL: it was not */
	bool is_touched;         /* st is not as on record */
	bool was_damaged;
	bool is_cut;           /* NOT_CHECKED: the time was up */
	const char *algorithm; /* NULL: it was not read to its end; so digest */
	const uint8_t *digest;
	size_t digest_len;
	bool is_sure;      /* the digest is not one that another reading might not give */
	bool is_settled;   /* whoever wrote it since it was opened has left it with other times than st */
	const char *error; /* fit for a terminal; NULL: none */
	const struct bm_file_damage *damage; /* NULL: not known */
	uint64_t block_bytes;
	const uint8_t *blocks; /* digests of all blocks, of the algorithm; NULL: none that are not on record already */
	size_t block_count;
	bool has_progress; /* progress was told of it, in this run or an earlier one */
	int64_t since_ns;  /* OK: it was begun then, in an earlier run; 0: in this one */
};

/* How far a file has been read. Borrowed for the call. */
struct bm_known_progress {
	const char *path;
	size_t path_len;
	const struct stat *st; /* when it was opened */
	const char *algorithm;
	uint64_t block_bytes;
	uint64_t next;          /* the blocks before are done */
	const uint8_t *digests; /* of the last count of them; NULL where they were compared with those on record */
	size_t count, digest_len;
	int64_t since_ns; /* as found */
};

struct bm_known_source {
	void *ctx;
	const char *name;              /* "the catalog": it is what says so */
	bool has_files;                /* something is on record */
	const char *gone;              /* why nothing is to be checked and nothing is missing; NULL: all is well */
	const char *const *algorithms; /* that may occur; the first one is for new files */
	size_t algorithm_count;
	/* One call at a time. walked: the walk's next entry, in the byte order of whole paths, NULL at its end; it is shown
	 * again until it was taken or passed over. */
	enum bm_known_next (*next)(void *ctx, const struct bm_entry *walked, const struct bm_known_ask *ask,
	                           struct bm_known *known, struct bm_error *err);
	/* Each file as soon as it is through. Any thread, several at once. */
	void (*found)(void *ctx, const struct bm_known_found *f);
	/* The digests of a file's blocks are appended to *digests: those on record, or those that progress told of. Neither
	 * is there: *size_bytes is 0. May be NULL, as progress: there never are any. Any thread. */
	enum bm_status (*blocks)(void *ctx, const char *path, size_t path_len, bool of_progress, uint64_t *size_bytes,
	                         struct bm_buf *digests, struct bm_error *err);
	/* While a file that may be carried is read, now and then, and at the end, where it was not read to its own. Any
	 * thread. */
	void (*progress)(void *ctx, const struct bm_known_progress *p);
	/* In the end, for each that was NEW or MISSING: what it is. other: as in struct bm_file_result. One at a time. */
	void (*settled)(void *ctx, enum bm_verdict verdict, const char *path, const char *other);
	/* The files on record that are well, but for those that are new or changed, in byte order: what new ones may be
	 * copies of. rewind comes first; list gives false at the end, and where err is set. */
	enum bm_status (*rewind)(void *ctx, struct bm_error *err);
	bool (*list)(void *ctx, struct bm_known *known, struct bm_error *err);
};

#endif
