/*
 * audit_diff_side.h - one of the two manifests that audit_diff.c compares: sorted, and gone through name by name. One
 * thread at a time.
 */
#ifndef AUDIT_DIFF_SIDE_H
#define AUDIT_DIFF_SIDE_H

#include "audit_diff_catalog.h"
#include "bm_audit.h"
#include "bm_manifest_sorted.h"
#include "bm_names.h"

#define DIFF_DIGESTS_MAX 64 /* of one name */
#define DIFF_ALGORITHMS_MAX 250
#define DIFF_LENGTHS (BM_DIGEST_MAX_BYTES + 1)

struct algorithm {
	const char *name;
	const struct bm_digest_algorithm *known; /* NULL: not here */
	bool has_empty;
	uint8_t empty[BM_DIGEST_MAX_BYTES]; /* of no bytes */
};

struct digest {
	uint8_t algorithm; /* in diff.algorithms */
	uint8_t len;
	uint8_t bytes[BM_DIGEST_MAX_BYTES];
};

/* A name with what all its lines say, but for the digests; also how it is kept for the join. */
struct facts {
	bool has_size, has_mtime;
	uint8_t digest_count;
	uint64_t size_bytes;
	int64_t mtime_ns;
};

struct side {
	struct diff *diff;
	const char *path;
	char shown[256];
	struct bm_manifest_sorted *sorted;
	struct diff_catalog *catalog; /* or this */
	struct bm_name_map map;
	struct bm_buf fault;
	bool has_entry;
	uint64_t unterminated; /* line; 0: none */
	bool oom;
	/* By length, of digests that say what they are: the guess for that length, and any other. */
	const char *guess[DIFF_LENGTHS];
	const char *said[DIFF_LENGTHS][2];

	struct bm_manifest_entry next; /* the sorted view's until it is asked again */
	bool has_next;
	bool has_name;
	struct bm_buf name;
	struct facts facts;
	struct digest digests[DIFF_DIGESTS_MAX];
};

struct diff {
	const struct bm_audit_diff_options *o;
	struct bm_summary *sum;
	struct side before, now;
	const char *alias[DIFF_LENGTHS]; /* what a guess of that length is taken for; NULL: for itself */
	struct algorithm algorithms[DIFF_ALGORITHMS_MAX];
	size_t algorithm_count;
	struct join *join;
	struct bm_buf text;
	struct bm_error missing; /* of every file that is: "is missing" */
};

/* Reads and sorts what s->path names, or opens what the catalog has. is_reread: it is gone through twice. */
enum bm_status diff_side_load(struct side *s, bool is_reread, struct bm_error *err);
/* Both sides are loaded: what guesses are taken for. */
void diff_settle_guesses(struct diff *d);
/* Into next and has_next; the first call is before the first diff_side_next. */
enum bm_status diff_side_next_line(struct side *s, struct bm_error *err);
/* The next name, with all its lines, unless there is none left (has_name). */
enum bm_status diff_side_next(struct side *s, struct bm_error *err);
void diff_side_fini(struct side *s);

#endif
