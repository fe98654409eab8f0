/*
 * bm_catalog_runs.h - the history: what ran when, with which jobs, and what came of it. Threads, errors, times and what
 * "queued" means: bm_catalog.h.
 *
 * A run has one or more jobs, a job its steps; a file that failed is on record with its reason. A run that is on record
 * as running holds a lock on a byte of the file BM_CATALOG_RUNS_FILE beside the database (an open file description lock,
 * fcntl(2)), which ends with the process, however that ends, and is seen from other PID namespaces too. So a run that was
 * killed is never taken for one that still runs: it is reported as interrupted from then on.
 */
#ifndef BM_CATALOG_RUNS_H
#define BM_CATALOG_RUNS_H

#include "bm_catalog.h"

#define BM_CATALOG_RUNS_FILE "runs.lock"

enum bm_catalog_run_state {
	BM_CATALOG_RUN_RUNNING,
	BM_CATALOG_RUN_DONE,
	BM_CATALOG_RUN_FAILED,
	BM_CATALOG_RUN_CANCELLED,
	BM_CATALOG_RUN_INTERRUPTED, /* its process is gone and did not say how it ended */
	BM_CATALOG_RUN_SKIPPED      /* jobs: one that it comes after failed */
};
/* "running", "done", "failed", "cancelled", "interrupted", "skipped"; never NULL, static. */
const char *bm_catalog_run_state_text(enum bm_catalog_run_state state);

struct bm_catalog_counts {
	uint64_t files_done, files_failed, files_skipped;
	uint64_t bytes_read, bytes_written;
};

/* ---- writing ---- */

struct bm_catalog_run; /* of this process, while it goes on */

/* id: as bm_run_id has it; sorts by time; copied, as all here. kind: "run", "audit". BM_ERR_EXISTS: the id is on record
 * already. */
enum bm_status bm_catalog_run_begin(struct bm_catalog *c, const char *id, const char *kind, unsigned threads,
                                    int64_t now_ns, struct bm_catalog_run **out, struct bm_error *err) BM_NODISCARD;
/* Queued. Job number `job` of the run (0 ...); file: the job file, NULL: none. key: as in bm_catalog_done.h, or NULL and
 * 0. */
enum bm_status bm_catalog_run_add_job(struct bm_catalog_run *r, unsigned job, const char *name, const char *file,
                                      const uint8_t *key, size_t key_len, struct bm_error *err) BM_NODISCARD;
/* Queued: the counts so far. Now and then, so that a run that is killed has left some. */
enum bm_status bm_catalog_run_update(struct bm_catalog_run *r, const struct bm_catalog_counts *counts, int64_t now_ns,
                                     struct bm_error *err) BM_NODISCARD;
/* Queued: a file that failed. index: its place in the job's listing, each once; path: as a user would name it. why: the
 * file's error, copied. */
enum bm_status bm_catalog_run_add_failure(struct bm_catalog_run *r, unsigned job, uint64_t index, const char *path,
                                          size_t path_len, const struct bm_error *why, struct bm_error *err)
	BM_NODISCARD;
struct bm_catalog_step {
	const char *kind; /* "compress" */
	uint64_t files;
	uint64_t bytes_in, bytes_out;
	uint64_t busy_ns; /* of all threads together, waits included; 0: not measured */
};
/* Queued. */
enum bm_status bm_catalog_run_end_job(struct bm_catalog_run *r, unsigned job, enum bm_catalog_run_state state,
                                      const struct bm_catalog_counts *counts, int64_t started_ns, int64_t ended_ns,
                                      const struct bm_catalog_step *steps, size_t step_count, struct bm_error *err)
	BM_NODISCARD;
/* Flushes, says how the run ended, and frees r, also on error. exit_code: -1: none, as of one that was cancelled. why
 * (may be NULL): its first error that is no file's. */
enum bm_status bm_catalog_run_end(struct bm_catalog_run *r, enum bm_catalog_run_state state, int exit_code,
                                  const struct bm_catalog_counts *counts, int64_t ended_ns, const struct bm_error *why,
                                  struct bm_error *err) BM_NODISCARD;
/* Frees and leaves the run as it is on record: it will count as interrupted. NULL is fine. */
void bm_catalog_run_abandon(struct bm_catalog_run *r);

/* ---- reading: strings are borrowed for the call of each; it may call the catalog; false ends the list ---- */

struct bm_catalog_run_row {
	int64_t number; /* for the calls below */
	const char *id;
	const char *kind;
	enum bm_catalog_run_state state;
	bool has_exit_code;
	int exit_code;
	unsigned threads;
	int64_t started_ns;
	int64_t ended_ns; /* of one that runs or was interrupted: the last that was heard of it */
	struct bm_catalog_counts counts;
	const char *error; /* "where: text" of the first error that is no file's; NULL: none */
	uint64_t job_count;
	const char *job; /* the name of the first job; NULL: none */
};
typedef bool (*bm_catalog_run_fn)(void *ctx, const struct bm_catalog_run_row *row);
/* The latest first. job (may be NULL): only runs with a job of that name; limit: at most so many, 0: all. */
enum bm_status bm_catalog_run_list(struct bm_catalog *c, const char *job, uint64_t limit, bm_catalog_run_fn each,
                                   void *ctx, struct bm_error *err) BM_NODISCARD;
/* The run of that id, or of the only one that begins so. BM_ERR_USAGE: there is none, or there are several. */
enum bm_status bm_catalog_run_find(struct bm_catalog *c, const char *id, bm_catalog_run_fn each, void *ctx,
                                   struct bm_error *err) BM_NODISCARD;

struct bm_catalog_job_row {
	unsigned job;
	const char *name;
	const char *file; /* NULL: none */
	const uint8_t *key;
	size_t key_len;
	enum bm_catalog_run_state state; /* running: it may not have begun yet */
	int64_t started_ns, ended_ns;    /* 0: did not */
	struct bm_catalog_counts counts;
};
typedef bool (*bm_catalog_job_fn)(void *ctx, const struct bm_catalog_job_row *row);
enum bm_status bm_catalog_run_list_jobs(struct bm_catalog *c, int64_t number, bm_catalog_job_fn each, void *ctx,
                                        struct bm_error *err) BM_NODISCARD;
typedef bool (*bm_catalog_step_fn)(void *ctx, unsigned step, const struct bm_catalog_step *row);
enum bm_status bm_catalog_run_list_steps(struct bm_catalog *c, int64_t number, unsigned job, bm_catalog_step_fn each,
                                         void *ctx, struct bm_error *err) BM_NODISCARD;
struct bm_catalog_failure_row {
	unsigned job;
	uint64_t index;
	const char *path;
	size_t path_len;
	enum bm_status status; /* as are the next three, of the file's error */
	int sys_errno;
	const char *where;
	const char *text;
};
typedef bool (*bm_catalog_failure_fn)(void *ctx, const struct bm_catalog_failure_row *row);
/* By job, then in listing order. */
enum bm_status bm_catalog_run_list_failures(struct bm_catalog *c, int64_t number, bm_catalog_failure_fn each, void *ctx,
                                            struct bm_error *err) BM_NODISCARD;

/* Forgets the runs that started before before_ns, but none that still runs. *deleted may be NULL. */
enum bm_status bm_catalog_run_delete_before(struct bm_catalog *c, int64_t before_ns, uint64_t *deleted,
                                            struct bm_error *err) BM_NODISCARD;

#endif
