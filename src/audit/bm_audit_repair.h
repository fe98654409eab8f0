/*
 * bm_audit_repair.h - files that an audit found damaged or missing, put right from a copy of the tree. One thread.
 *
 * Of a file whose blocks the manifest has digests of, only the damaged blocks are taken from the copy; else, and where the
 * file is missing, all of it. What comes from the copy is compared with the manifest first, and the whole with the file's
 * digest before it takes the name. Where the copy is wrong too nothing is touched.
 */
#ifndef BM_AUDIT_REPAIR_H
#define BM_AUDIT_REPAIR_H

#include "bm_audit.h"

/* What can be repaired. */
#define BM_AUDIT_REPAIRABLE                                                                                            \
	(BM_AUDIT_BIT(BM_VERDICT_CHANGED) | BM_AUDIT_BIT(BM_VERDICT_ROTTED) | BM_AUDIT_BIT(BM_VERDICT_MISSING))

/* Borrowed for the call of create, but for is_stopped's ctx. */
struct bm_audit_repair_options {
	const char *from;  /* the directory that the copy is in */
	unsigned verdicts; /* bits: of BM_AUDIT_REPAIRABLE those that are repaired */
	bool dry_run;      /* all is looked at, nothing is written */
	bool (*is_stopped)(void *ctx);
	void *ctx;
};

struct bm_audit_repair;
/* Of o only manifest, root, strip, allow_unsafe, kind and algorithm are looked at. BM_ERR_USAGE: the manifest is standard
 * input; from is no directory. BM_ERR_SYSTEM, BM_ERR_NOMEM. */
enum bm_status bm_audit_repair_create(const struct bm_audit_options *o, const struct bm_audit_repair_options *how,
                                      struct bm_audit_repair **out, struct bm_error *err) BM_NODISCARD;
void bm_audit_repair_destroy(struct bm_audit_repair *r); /* NULL is fine */
/* Each file's result, one call at a time; of those that matter the name is kept in memory. */
void bm_audit_repair_file(struct bm_audit_repair *r, const struct bm_file_result *f);

struct bm_audit_repaired { /* one file; borrowed for the call */
	const char *path;
	enum bm_verdict verdict;
	bool is_good;                 /* it is, or with dry_run would be, repaired */
	bool is_whole;                /* all of it came from the copy: no spans */
	struct bm_file_damage damage; /* what came from the copy */
	const char *text; /* why not; else what could not be preserved, or NULL; a line, fit for a terminal */
};
/* "bytes 0-4095 of 10000", "all of its 12 bytes", "there is no copy of it": what was done, or why not; nothing where there
 * is nothing to say. Fit for a terminal. */
void bm_audit_put_repaired(struct bm_buf *out, const struct bm_audit_repaired *f);

struct bm_audit_repair_stats {
	uint64_t good[BM_VERDICT_COUNT]; /* by the verdict that they had; with dry_run all 0 */
	uint64_t repaired, unrepaired;   /* files; with dry_run repaired are those that could be */
};
/* After a run that was not cancelled: in the order of the manifest. BM_OK also where files could not be repaired. Blocks. */
enum bm_status bm_audit_repair_run(struct bm_audit_repair *r,
                                   void (*on_file)(void *ctx, const struct bm_audit_repaired *f), void *ctx,
                                   struct bm_audit_repair_stats *stats, struct bm_error *err) BM_NODISCARD;

#endif
