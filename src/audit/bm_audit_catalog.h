/*
 * bm_audit_catalog.h - an audit against the catalog: what is known of a directory's files, in place of a manifest, and
 * what the catalog learns of them. One audit of a root at a time (the caller holds a lock); one thread, but for the job.
 *
 * What each verdict does to the catalog:
 *	ok                      verified now; where only times or inode are others, these are put on record too
 *	new, duplicate          on record from now on
 *	changed                 somebody wrote it (size or mtime is another): its new digest is on record from now on
 *	moved                   the old record goes on under the new name
 *	rotted                  stays on record with the old digest, as damaged, until it has that digest again; with
 *	                        update ROTTED the new digest takes its place. A file on record as damaged that has yet
 *	                        other bytes is rotted too, whatever its times are by now
 *	missing                 stays on record, as missing, until it is back; with update MISSING it goes
 *	unreadable              stays on record, as unreadable, and is tried again every time
 *	changed-while-reading, not-checked   nothing
 *	not-checked, for a limit: how far it was read, where its blocks have digests
 * All but moved and missing, which only the end can tell, as soon as the file is through.
 */
#ifndef BM_AUDIT_CATALOG_H
#define BM_AUDIT_CATALOG_H

#include <stdio.h>

#include "bm_catalog_files.h"
#include "bm_known.h"
#include "bm_manifest.h"
#include "bm_mem.h"

struct bm_audit_catalog;

/* Borrowed until destroy, all of it. */
struct bm_audit_catalog_options {
	const char *dir;       /* of the catalog: absolute */
	const char *root;      /* the directory as given */
	const char *algorithm; /* of new files; NULL: the one that all others are of, else sha256 */
	bool follow;
	bool is_partial; /* not all of the root is looked at: patterns */
	bool new_place;  /* the root may be on another file system than before, and belongs there from now on */
	bool dry_run;    /* the catalog is not opened */
	unsigned update; /* bits of verdicts: ROTTED, MISSING count */
	bool has_older_than;
	uint64_t
		older_than_ms; /* due is what was verified longer ago; without it: all, or, where no limit is given, 30 days */
	bool has_max_duration;
	uint64_t max_duration_ms; /* no file is begun after that */
	uint64_t max_bytes;       /* nor beyond these, together; 0: no limit */
	unsigned percent;         /* of the bytes on record: so much of what is due is read; 0: all */
	bool has_block_bytes;     /* from now on larger files of the root get digests of blocks of ... */
	uint64_t block_bytes;     /* ... that size; 0: none do */
};

/* Real path of a root, or where there is nothing, its absolute path, which the caller frees. */
enum bm_status bm_audit_catalog_root(const char *root, char **out, struct bm_error *err) BM_NODISCARD;
/* Opens or makes the catalog. BM_ERR_USAGE: the root is not there, and not on record either; it is no directory. Else as
 * bm_catalog_open. */
enum bm_status bm_audit_catalog_create(const struct bm_audit_catalog_options *o, struct bm_audit_catalog **out,
                                       struct bm_error *err) BM_NODISCARD;
/* For struct bm_verify_params; valid until destroy. */
const struct bm_known_source *bm_audit_catalog_source(const struct bm_audit_catalog *a);

struct bm_audit_catalog_stats {
	uint64_t passed;                   /* files that were not due */
	struct bm_catalog_count read;      /* given out to be read */
	struct bm_catalog_count left;      /* new, changed or due, and left for later: a limit */
	struct bm_catalog_count too_large; /* of these: larger than max_bytes alone */
	uint64_t cut;                      /* given up in the middle, since the time was up: begun anew the next time */
	uint64_t carried;                  /* read in part, and carried on the next time */
};
/* After the run: all is in the database when this returns, also what failed. complete: it came to its end. BM_OK, or the
 * first error that the catalog had. */
enum bm_status bm_audit_catalog_finish(struct bm_audit_catalog *a, bool complete, struct bm_audit_catalog_stats *stats,
                                       struct bm_error *err) BM_NODISCARD;
/* After finish: bm_catalog_coverage of the root; nothing (out zeroed) where nothing is on record. */
enum bm_status bm_audit_catalog_coverage(struct bm_audit_catalog *a, const int64_t *since_ns, size_t count,
                                         struct bm_catalog_coverage *out, struct bm_error *err) BM_NODISCARD;
/* After finish: the lines of all files that are on record as not well, in a JSON manifest, with what they should be. */
enum bm_status bm_audit_catalog_put_bad(struct bm_audit_catalog *a, FILE *to, struct bm_error *err) BM_NODISCARD;
void bm_audit_catalog_destroy(struct bm_audit_catalog *a); /* NULL is fine */

/* Appends the line of a file on record to a manifest; JSON lines have the digests of blocks, too. blocks is scratch.
 * BM_ERR_USAGE, BM_ERR_UNSUPPORTED: as of bm_manifest_put_entry, it cannot have one; else the catalog's errors. */
enum bm_status bm_audit_catalog_put_line(struct bm_catalog *c, int64_t root, const struct bm_catalog_file *f,
                                         const struct bm_manifest_style *style, struct bm_buf *blocks,
                                         struct bm_buf *out, struct bm_error *err) BM_NODISCARD;

#endif
