/*
 * history.h - a run on record in the catalog: when, what, how it ended, which files failed. With resume.h these are the
 * only callers of the catalog in this folder. All calls are fine for a run that keeps no record: they do nothing.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "bm_catalog_runs.h"
#include "job_key.h"
#include "run_internal.h"

struct history;

/* What came through one step of a job; by emit. */
struct step_figures {
	uint64_t files, bytes_in, bytes_out;
};

/* Opens the catalog of run->opt.state_dir, forgets what is too old, and puts the run on record as running. What cannot be
 * done is told as a message, and the run goes on without. Before the jobs start. May block for some seconds. */
void history_begin(struct bm_run *run);
/* By emit, for each file in turn. */
void history_file(struct job_run *j, const struct bm_file_result *r);
/* A job is over. Any thread, once a job. */
void history_job_end(struct job_run *j, enum job_state state);
/* All are; status and sum are the run's. Once. */
void history_end(struct bm_run *run, enum bm_status status, const struct bm_summary *sum);
void history_destroy(struct history *h); /* NULL is fine */

/* The catalog, or NULL where there is none, or none any more. Any thread. */
struct bm_catalog *history_catalog(const struct bm_run *run);
/* A call of the catalog has failed: it is told once, and from then on there is none. Any thread. */
void history_trouble(struct bm_run *run, const struct bm_error *err);
const char *history_cwd(const struct bm_run *run);       /* absolute */
const uint8_t *history_job_key(const struct job_run *j); /* JOB_KEY_BYTES; where there is a catalog */

#endif
