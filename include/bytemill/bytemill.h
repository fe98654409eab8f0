/*
 * bytemill/bytemill.h - the C API: load job files, check them, run them, watch and cancel a run.
 *
 *	struct bm_error err = BM_ERROR_INIT;
 *	struct bm_jobs *jobs = NULL;
 *	struct bm_run *run = NULL;
 *	struct bm_summary sum;
 *
 *	if (bm_jobs_create(NULL, &jobs, &err) == BM_OK && bm_jobs_add_file(jobs, "nightly.json", &err) == BM_OK &&
 *	    bm_jobs_check(jobs, &err) == BM_OK && bm_run_start(jobs, NULL, &run, &err) == BM_OK)
 *		bm_run_wait(run, &sum);
 *	bm_run_destroy(run);
 *	bm_jobs_destroy(jobs);
 *
 * The library has no global state, touches no signal disposition, never calls exit, and writes to stdout only where a
 * job says "-". Two runs at once in one process are fine. Strings are NUL-terminated; file names are bytes, not text:
 * they may hold anything but NUL. Unless a call says otherwise it is for one thread at a time per object.
 */
#ifndef BYTEMILL_BYTEMILL_H
#define BYTEMILL_BYTEMILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <bytemill/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_VERSION_STRING "0.1.0"
BM_API const char *bm_version(void); /* of the library at run time; static */

/* ---- jobs ---- */

struct bm_jobs; /* a set of checked jobs */

/* One fault in a job file. All pointers are borrowed for the call. */
struct bm_diagnostic {
	bool is_warning;
	const char *file;       /* as given to bm_jobs_add_file; "-" stdin; the name given to bm_jobs_add_text */
	unsigned line, column;  /* 1-based; 0 when not known */
	const char *pointer;    /* JSON Pointer (RFC 6901): "/jobs/0/steps/2/level"; "" is the whole file */
	const char *message;    /* what was found and what is allowed; one line, escaped for a terminal */
	const char *suggestion; /* the nearest allowed word, or NULL */
};
typedef void (*bm_diagnostic_fn)(void *ctx, const struct bm_diagnostic *d);

struct bm_jobs_options {
	const char *const *sets; /* "NAME=VALUE" for ${NAME}; borrowed until bm_jobs_destroy */
	size_t set_count;
	bool no_environment;            /* ${NAME} is not looked up in the environment */
	bm_diagnostic_fn on_diagnostic; /* may be NULL: then only the first fault is told, in err */
	void *ctx;
};

/* opt may be NULL and is copied (what it points to is not). */
BM_API enum bm_status bm_jobs_create(const struct bm_jobs_options *opt, struct bm_jobs **out, struct bm_error *err)
	BM_NODISCARD;
BM_API void bm_jobs_destroy(struct bm_jobs *jobs); /* NULL is fine; runs of it must be destroyed first */
/* Parses one file and checks every key, type, range and combination in it. Relative paths in it are taken from the
 * file's directory (for "-", standard input: the working directory). BM_ERR_USAGE after every fault was reported to
 * on_diagnostic, the first one also in err. */
BM_API enum bm_status bm_jobs_add_file(struct bm_jobs *jobs, const char *path, struct bm_error *err) BM_NODISCARD;
/* The same from memory. base_dir: for relative paths; NULL leaves them relative to the working directory. */
BM_API enum bm_status bm_jobs_add_text(struct bm_jobs *jobs, const char *name, const char *text, size_t len,
                                       const char *base_dir, struct bm_error *err) BM_NODISCARD;
/* What can only be checked when all files are in: names are unique, "after" names a job and has no cycle, no two jobs
 * write one manifest. Call once, after the last add. */
BM_API enum bm_status bm_jobs_check(struct bm_jobs *jobs, struct bm_error *err) BM_NODISCARD;
BM_API size_t bm_jobs_count(const struct bm_jobs *jobs);

/* ---- a run ---- */

struct bm_run;

enum bm_file_state { BM_FILE_DONE, BM_FILE_SKIPPED, BM_FILE_FAILED };

/* What a verify step finds, one for each file. */
enum bm_verdict {
	BM_VERDICT_NONE, /* the job does not verify */
	BM_VERDICT_OK,
	BM_VERDICT_CHANGED,               /* the bytes are not those of the manifest */
	BM_VERDICT_ROTTED,                /* the same, though size and time of change are those of the manifest */
	BM_VERDICT_MOVED,                 /* not in the manifest, and has the digest of a file that is missing */
	BM_VERDICT_DUPLICATE,             /* not in the manifest, and has the digest of a file that is */
	BM_VERDICT_NEW,                   /* not in the manifest */
	BM_VERDICT_MISSING,               /* in the manifest only */
	BM_VERDICT_UNREADABLE,            /* there, but cannot be read */
	BM_VERDICT_CHANGED_WHILE_READING, /* somebody wrote it */
	BM_VERDICT_NOT_CHECKED            /* nothing can be said: time ran out, its directory is not there ... */
};
#define BM_VERDICT_COUNT 11
/* "ok", "changed-while-reading" ...; never NULL, static. Any thread. */
BM_API const char *bm_verdict_text(enum bm_verdict verdict);

struct bm_file_digest {
	const char *algorithm; /* "sha256" */
	const uint8_t *bytes;
	size_t len;
	unsigned step;   /* index in the job's steps of the hash step */
	uint64_t length; /* bytes that were digested: those at the step's place */
};
struct bm_file_output {
	const char *path; /* as published */
	uint64_t bytes;
	bool skipped; /* it existed and if_exists is "skip" */
	unsigned step;
};
/* Digests of equal pieces of what a hash step saw; the last piece is what is left. */
struct bm_file_blocks {
	const char *algorithm;
	uint64_t size_bytes;  /* of a block */
	const uint8_t *bytes; /* digest after digest */
	size_t count;         /* of digests */
	size_t digest_len;
	unsigned step;
};
#define BM_DAMAGE_SPANS 32
struct bm_byte_span {
	uint64_t first, last; /* last is one of them */
};
/* Which bytes are not those of the manifest, as far as its digests of blocks tell: whole blocks, adjacent ones as one. */
struct bm_file_damage {
	uint64_t size_bytes; /* of the file in the manifest; all spans are within */
	uint64_t
		found_bytes; /* of the file as it is: what is missing at its end is in the spans, what is too much is not */
	uint64_t damaged_bytes, span_count;         /* of all spans, also those that are not told */
	struct bm_byte_span spans[BM_DAMAGE_SPANS]; /* the first ones */
};
/* One input that is finished. Borrowed for the call. */
struct bm_file_result {
	const char *job;
	const char *path;    /* relative to the read root: bytes */
	const char *display; /* as a user would name it: root and path */
	enum bm_file_state state;
	/* SKIPPED: it is complete from a run before, and unchanged since (see bm_run_options.state_dir). Digests and outputs
	 * are those of then. */
	bool unchanged;
	uint64_t bytes; /* read from the input */
	const struct bm_file_digest *digests;
	size_t digest_count;
	const struct bm_file_output *outputs;
	size_t output_count;
	const char *warnings;         /* a line each, or NULL: what could not be preserved and the like */
	const struct bm_error *error; /* BM_FILE_FAILED: why; else NULL */
	/* MOVED, DUPLICATE and NEW are DONE, all that is worse than them FAILED. The digests of a file that is MISSING, and
	 * no others, are those that it should have. A file that was MOVED is told of once, under the name that it has now. */
	enum bm_verdict verdict;
	/* The file in the manifest with that digest: MOVED: the name that it had; DUPLICATE; NEW: that file is not ok itself.
	 * Else NULL. */
	const char *other;
	bool has_mtime;
	int64_t mtime_ns; /* of a regular file, when it was opened; since 1970-01-01 UTC */
	/* Of hash steps that have them; of a verify step where the file is CHANGED or ROTTED and the manifest has blocks of it:
	 * as the file is now. */
	const struct bm_file_blocks *blocks;
	size_t blocks_count;
	bool removed; /* the input is gone, as the read step asks for, but where that waits for a manifest: see bm_summary */
	const struct bm_file_damage
		*damage; /* CHANGED, ROTTED: where, if the manifest has digests of blocks; else NULL */
};

struct bm_progress {
	uint64_t files_done, files_failed, files_skipped;
	uint64_t bytes_read, bytes_written;
	uint64_t files_total, bytes_total; /* of the inputs listed so far */
	bool total_is_final;               /* the listing is complete */
	uint64_t elapsed_ms;
};

struct bm_run_options {
	unsigned threads;      /* CPU permits, 1 ... 1024; 0: the CPUs this process may use (affinity, cgroup quota) */
	unsigned io_depth;     /* further threads for slow reads and fsync, 1 ... 1024; 0: 16 */
	uint64_t memory_bytes; /* budget of chunk buffers and codec states; 0: what the jobs say, else 256 MiB,
	                          or half of the memory that this process may use where that is less */
	uint64_t
		read_rate; /* bytes a second that all jobs together read at most; 0: what the jobs say, else no limit */
	const char
		*run_id;  /* for {run} and temp names; NULL: made from time and pid ("20261122T030000.123456Z-4242") */
	bool count_first; /* list all inputs beforehand in the background, so that progress has totals */
	/* Called in listing order within a job, one call at a time, from a pool thread. May be NULL. What is not in the
	 * manifest of a verify step, or only there, comes after all other files: only then is it known what has moved. */
	void (*on_file)(void *ctx, const struct bm_file_result *file);
	/* Called at most every progress_interval_ms (0: 100) from a pool thread, one call at a time. May be NULL. */
	void (*on_progress)(void *ctx, const struct bm_progress *p);
	unsigned progress_interval_ms;
	/* A directory for what outlives the run: its catalog has the history of runs, and what each job has done, so that a
	 * job skips what is complete and unchanged when it is started again after a run that did not come to its end, or
	 * says "incremental". Made where it is missing; any number of runs may have it at once. Where it cannot be used the
	 * run goes on without, after a message. NULL: nothing is kept, and nothing skipped. Borrowed until the run is
	 * destroyed. */
	const char *state_dir;
	bool all;         /* skip nothing */
	bool paranoid;    /* skip only what, read again, has its digest on record */
	uint64_t keep_ms; /* what is older is dropped from the history; 0: 365 days */
	const char *kind; /* where it came from, for the history: a word; NULL: "run". Borrowed for bm_run_start */
	/* Things worth a line that belong to no file: "12 symlinks were skipped". Where job is NULL it is a warning about
	 * the run as a whole. May be NULL. */
	void (*on_message)(void *ctx, const char *job, const char *text);
	/* Failures that belong to no file: a manifest that cannot be written, a job that cannot start, or that is skipped
	 * since one that it comes after has failed. All of them, each once, as they happen; job is NULL where it is no job's
	 * either (the report). One call at a time, also with on_file and on_message. NULL: on_message gets those that are
	 * not in bm_summary.error. */
	void (*on_error)(void *ctx, const char *job, const struct bm_error *err);
	/* The run is over: bm_run_wait will not block any more. Called once, after all other calls, from a thread of the run
	 * or from within bm_run_start; it must not destroy the run. May be NULL. */
	void (*on_end)(void *ctx);
	FILE *report; /* JSON Lines: an object a file, in listing order, and a summary; borrowed; NULL: none */
	/* Cut the report, where it is a regular file, to nothing once it is known that the run can start: so that a report
	 * that was named like an input by mistake is refused (BM_ERR_CONFLICT) and not lost. */
	bool truncate_report;
	/* Files that the caller writes to while the run goes on, such as a log: never read as inputs; where an input that
	 * the jobs name, or an output, is one of them, BM_ERR_CONFLICT. Borrowed for bm_run_start. */
	const char *const *own_files;
	size_t own_file_count;
	void *ctx;
};

/* What a walk came across and left, other than by the patterns, sizes and times of the job. */
struct bm_passed_over {
	uint64_t symlinks;         /* not followed */
	uint64_t special;          /* sockets, FIFOs, devices in directories */
	uint64_t other_filesystem; /* directories there, with "one_filesystem" */
	uint64_t own_outputs;      /* of this run, and temporary files of any run */
};

struct bm_summary {
	uint64_t jobs_done, jobs_failed, jobs_skipped; /* skipped: a job named in "after" failed */
	uint64_t files_done, files_failed, files_skipped;
	uint64_t files_removed;            /* inputs that were to be removed, and are */
	struct bm_passed_over passed_over; /* by all jobs */
	uint64_t bytes_read, bytes_written;
	uint64_t elapsed_ms;
	bool cancelled;
	uint64_t verdicts[BM_VERDICT_COUNT]; /* files by verdict; those of jobs that do not verify are not counted */
	uint64_t bad_lines;                  /* of manifests that were read: no entry could be made of them */
	struct bm_error
		error; /* the first failure that is not one of a file's (a manifest could not be written ...); all
	                          of them go to on_error */
};

enum bm_job_state { BM_JOB_DONE, BM_JOB_FAILED, BM_JOB_SKIPPED };

struct bm_job_summary {
	const char *name; /* borrowed from the jobs */
	enum bm_job_state state;
	uint64_t files_done, files_failed, files_skipped;
	uint64_t bytes_read, bytes_written;
	uint64_t elapsed_ms;  /* between its start and its end */
	uint64_t differences; /* from its manifest: files and bad lines; 0 where it verifies nothing */
};

/* Plans (BM_ERR_CONFLICT where two streams would write one path: nothing was written) and starts. opt may be NULL and
 * is copied. Returns when the run is under way. */
BM_API enum bm_status bm_run_start(const struct bm_jobs *jobs, const struct bm_run_options *opt, struct bm_run **out,
                                   struct bm_error *err) BM_NODISCARD;
/* Asks the run to stop: files in flight are given up, their temp files removed. Any thread; again and again is fine.
 * Not async-signal-safe. */
BM_API void bm_run_cancel(struct bm_run *run);
/* Blocks until the run is over. BM_OK: every file was done; BM_ERR_FAILED: some were not; BM_ERR_CANCELLED. sum may be NULL. */
BM_API enum bm_status bm_run_wait(struct bm_run *run, struct bm_summary *sum);
/* How one job of a run that is over (after bm_run_wait) went; index is the job's in the order in which they were added.
 * False where there is no such job, or the run is not over. */
BM_API bool bm_run_get_job(struct bm_run *run, size_t index, struct bm_job_summary *out);
BM_API void bm_run_get_progress(struct bm_run *run, struct bm_progress *p); /* any thread */
BM_API const char *bm_run_id(const struct bm_run *run);                     /* borrowed */
BM_API void bm_run_destroy(struct bm_run *run);                             /* cancels, waits, frees; NULL is fine */

/* What a run would do, without doing it: files and bytes listed, threads, memory, chunk size, a line a step. Prints
 * to out. With the same conflicts found as by bm_run_start. */
BM_API enum bm_status bm_run_plan(const struct bm_jobs *jobs, const struct bm_run_options *opt, FILE *out,
                                  struct bm_error *err) BM_NODISCARD;

#ifdef __cplusplus
}
#endif
#endif
