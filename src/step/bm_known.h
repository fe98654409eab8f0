/*
 * bm_known.h - what is known of the files of a directory, in place of a manifest: for the step verify of a job that was
 * built in memory (bytemill audit --catalog). The step asks the source what comes next, and tells it what it found.
 */
#ifndef BM_KNOWN_H
#define BM_KNOWN_H

#include <bytemill/bytemill.h>

struct bm_entry;
struct stat;

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
	bool was_damaged; /* other bytes than on record are damage, whatever its times are by now */
};

enum bm_known_next {
	BM_KNOWN_NEW,  /* the walk's entry, of which nothing is on record: read it */
	BM_KNOWN_READ, /* the walk's entry: read it and compare it with *known */
	BM_KNOWN_PASS, /* the walk's entry needs no reading, or not now */
	/* *known, which the walk did not give, or which was passed over before. Without a digest: as if it were NEW. */
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
	const char *error; /* fit for a terminal; NULL: none */
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
	/* In the end, for each that was NEW or MISSING: what it is. other: as in struct bm_file_result. One at a time. */
	void (*settled)(void *ctx, enum bm_verdict verdict, const char *path, const char *other);
	/* The files on record that are well, but for those that are new, in byte order: what new ones may be copies of.
	 * rewind comes first; list gives false at the end, and where err is set. */
	enum bm_status (*rewind)(void *ctx, struct bm_error *err);
	bool (*list)(void *ctx, struct bm_known *known, struct bm_error *err);
};

#endif
