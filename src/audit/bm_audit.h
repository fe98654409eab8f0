/*
 * bm_audit.h - an audit: a directory compared with a manifest, what is said of it, and the manifest brought up to date.
 *
 * The comparing itself is the step verify, in a job that is made here and run like any other. The results of its files go
 * to a printer, and to an update where one was asked for.
 */
#ifndef BM_AUDIT_H
#define BM_AUDIT_H

#include <stdio.h>

#include <bytemill/bytemill.h>

#include "bm_job.h"
#include "bm_manifest.h"
#include "bm_mem.h"

#define BM_AUDIT_BIT(verdict) (1U << (verdict))
#define BM_AUDIT_ALL (BM_AUDIT_BIT(BM_VERDICT_COUNT) - BM_AUDIT_BIT(BM_VERDICT_OK))
/* Files that are not what the manifest says, or not where. */
#define BM_AUDIT_DIFFERENCES                                                                                           \
	(BM_AUDIT_BIT(BM_VERDICT_CHANGED) | BM_AUDIT_BIT(BM_VERDICT_ROTTED) | BM_AUDIT_BIT(BM_VERDICT_MOVED) |         \
	 BM_AUDIT_BIT(BM_VERDICT_DUPLICATE) | BM_AUDIT_BIT(BM_VERDICT_NEW) | BM_AUDIT_BIT(BM_VERDICT_MISSING))
/* Files of which nothing can be said. */
#define BM_AUDIT_FAILURES                                                                                              \
	(BM_AUDIT_BIT(BM_VERDICT_UNREADABLE) | BM_AUDIT_BIT(BM_VERDICT_CHANGED_WHILE_READING) |                        \
	 BM_AUDIT_BIT(BM_VERDICT_NOT_CHECKED))

/* "changed,missing" as bits; each of allowed. BM_ERR_USAGE: the text says what is wrong with which word. */
enum bm_status bm_audit_parse_verdicts(const char *text, unsigned allowed, unsigned *bits, struct bm_error *err)
	BM_NODISCARD;

/* ---- the job ---- */

/* Borrowed, all of it, for the call that takes it. */
struct bm_audit_options {
	const char *manifest;     /* "-": standard input */
	const char *root;         /* NULL: the manifest's directory, for "-" the working directory */
	const char *const *under; /* of the root: only these files and directories; none: all */
	size_t under_count;
	const char *const *include, *const *exclude; /* patterns */
	size_t include_count, exclude_count;
	bool no_hidden, follow, one_file_system;
	enum bm_manifest_kind kind;
	const char *algorithm, *strip; /* as those of the step verify; NULL: not given; so the rest */
	bool ignore_new, ignore_missing, always_read, strict, allow_unsafe;
	bool nul; /* the list of bm_audit_list_job is NUL-ended; otherwise that is found out */
	bool has_max_duration;
	uint64_t max_duration_ms;
	void (*on_bad_line)(void *ctx, const char *manifest, uint64_t line, const char *fault);
	void *ctx;
	const struct bm_known_source
		*known; /* in place of the manifest, which is then a name for messages; NULL: none */
};
/* Of the audit that these options ask for: the directory, o->root or in its place; the caller's; NULL: no memory. */
char *bm_audit_root(const struct bm_audit_options *o);
/* The job, read and verify; the caller's, for bm_jobs_adopt. NULL: no memory. */
struct bm_job *bm_audit_job(const struct bm_audit_options *o);
/* The same for a list as sha256sum -c has it: each entry, in its order and also twice, under the name that stands there,
 * from the working directory; files may be anywhere. Results: OK, CHANGED, UNREADABLE, CHANGED_WHILE_READING or
 * NOT_CHECKED. Of o only manifest, kind, nul, algorithm and on_bad_line count; with an algorithm, lines that say
 * another one are bad. */
struct bm_job *bm_audit_list_job(const struct bm_audit_options *o);

/* ---- what is said ---- */

enum bm_audit_format {
	BM_AUDIT_TABLE, /* for people: counts, then every file that is not ok, the worst first */
	BM_AUDIT_GNU, /* as sha256sum -c: "name: OK", in listing order; files that are not in the manifest are not named */
	BM_AUDIT_RCLONE, /* as rclone check --combined: "= name", '*' differs, '+' only in the manifest, '-' only here, '!' */
	BM_AUDIT_JSON /* as the report of a run: bm_report.h */
};

struct bm_audit_printer;
/* only: bits of the verdicts that are listed; the table counts all. BM_ERR_NOMEM. */
enum bm_status bm_audit_printer_create(enum bm_audit_format format, unsigned only, FILE *out,
                                       struct bm_audit_printer **out_printer, struct bm_error *err) BM_NODISCARD;
void bm_audit_printer_destroy(struct bm_audit_printer *p); /* NULL is fine */
/* Each file's result, one call at a time. What cannot be kept for the list at the end is counted (the temporary file). */
void bm_audit_print_file(struct bm_audit_printer *p, const struct bm_file_result *file);
/* The end: counts and lists of the table, the summary of JSON. False: something could not be told for want of memory. */
bool bm_audit_print_end(struct bm_audit_printer *p, const char *run_id, const struct bm_summary *sum);

/* "; damaged: bytes 0-4095, 8192-9999 of 10000": for people. */
void bm_audit_put_damage(struct bm_buf *out, const struct bm_file_damage *d);

/* ---- two manifests ---- */

/* "catalog:ROOT" in the place of a manifest is what the catalog has on record of that directory. */
#define BM_AUDIT_DIFF_CATALOG "catalog:"

/* Borrowed for the call. */
struct bm_audit_diff_options {
	const char *before, *now; /* manifests of any kind; one of them may be "-": standard input; or as above */
	const char *state;        /* the directory of the catalog; NULL: there is none */
	const char *const *under; /* names: only these files and directories; none: all */
	size_t under_count;
	/* Each name's result; see bm_run_options. Error: why it is not ok; what is known of the file is what `now` says, of one
	 * that is MISSING what `before` says. Verdicts as of an audit, without UNREADABLE and CHANGED_WHILE_READING;
	 * NOT_CHECKED: the two have no algorithm in common. */
	void (*on_file)(void *ctx, const struct bm_file_result *file);
	void (*on_bad_line)(void *ctx, const char *manifest, uint64_t line, const char *fault);
	void (*on_message)(void *ctx, const char *text);
	void *ctx;
};
/* Compares them; no other file is read. Memory: some 340 MiB, and 48 bytes for each name that is in one only; temporary
 * files have the rest. Blocks. The counts go to *sum. BM_ERR_SYSTEM, BM_ERR_FORMAT (no manifest), BM_ERR_NOMEM;
 * BM_ERR_USAGE: no such catalog or root. BM_ERR_LIMIT: see verify_join.h. sum->jobs_done is 0 where nothing was compared. */
enum bm_status bm_audit_diff(const struct bm_audit_diff_options *o, struct bm_summary *sum, struct bm_error *err)
	BM_NODISCARD;

/* ---- bringing the manifest up to date ---- */

struct bm_audit_update;
/* Before the run: looks at the manifest, which must be a file. verdicts: of BM_AUDIT_DIFFERENCES, those that are brought
 * up to date: NEW and DUPLICATE files get lines, CHANGED and ROTTED ones other digests, MOVED ones another name, and lines of
 * MISSING ones go. Only manifest, root, strip, allow_unsafe, kind and algorithm of o are looked at. BM_ERR_USAGE,
 * BM_ERR_SYSTEM, BM_ERR_NOMEM, BM_ERR_UNSUPPORTED: such a manifest cannot be written. */
enum bm_status bm_audit_update_create(const struct bm_audit_options *o, unsigned verdicts, struct bm_audit_update **out,
                                      struct bm_error *err) BM_NODISCARD;
void bm_audit_update_destroy(struct bm_audit_update *u); /* NULL is fine */
/* Where the manifest is: as o names it, or what is behind that, where it is a symbolic link. Borrowed from u and o. */
const char *bm_audit_update_place(const struct bm_audit_update *u);
/* Each file's result, one call at a time; of those that matter name and digests are kept in memory. */
void bm_audit_update_file(struct bm_audit_update *u, const struct bm_file_result *file);

struct bm_audit_update_stats {
	uint64_t added, changed, moved, removed; /* files */
	uint64_t refused;                        /* a line of this kind cannot hold their names */
	bool is_written;                         /* false: there was nothing to do */
};
/* After a run that was not cancelled: writes the manifest anew, of the same kind and style; what is not concerned is
 * copied byte by byte, comments too. New lines go where they belong where the manifest was in order, else to the end. The
 * file before is kept under the same name with a "~" behind it; the new one takes its name when it is complete, on disk.
 * BM_ERR_CONFLICT: somebody has written the manifest since. on_refused (may be NULL) gets why, fit for a terminal. */
enum bm_status bm_audit_update_write(struct bm_audit_update *u, void (*on_refused)(void *ctx, const char *text),
                                     void *ctx, struct bm_audit_update_stats *stats, struct bm_error *err) BM_NODISCARD;

#endif
