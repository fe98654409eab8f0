/*
 * resume.h - what a job has done before, and so need not do again; and what it has done now, for the next time. src/job
 * only. All calls are fine for a run without a catalog: then nothing is known, and nothing is kept.
 */
#ifndef RESUME_H
#define RESUME_H

#include "run_internal.h"

struct resume;

/* What is known of the job is looked up, and that it has begun is put on record, as a part of a transaction (see
 * bm_catalog_together). Where it fails the job's resume is there, and knows nothing. */
enum bm_status resume_open(struct job_run *j, struct bm_error *err) BM_NODISCARD;
/* The job starts: the same, where it was not done; then it is told. Before its first next(). May block for some seconds. */
void resume_begin(struct job_run *j);
/* By next(), for each file in turn: what is on record of it goes into f. */
void resume_look(struct job_run *j, struct bm_file *f, struct bm_worker *w);
/* Of struct bm_job_context. arg: the job. */
bool resume_is_complete(void *arg, struct bm_file *f, uint8_t *buf, size_t cap, const struct bm_blocker *b);
/* A file was found to be complete: puts what was made of it then into r and f->results. By end(). */
void resume_give(struct job_run *j, struct bm_file *f, struct bm_file_result *r);
/* Was an output of such a file there before the job, and left as it was? */
bool resume_left_output(const struct bm_file *f);
/* All outputs of a file are where they belong: puts it on record. By end(), the one call after all steps were closed. */
void resume_put(struct job_run *j, struct bm_file *f, const struct bm_file_result *r, struct job_scratch *scratch);
/* All outputs of the job are, too, and all that was to be done was done or failed: the next run begins anew. */
void resume_end(struct job_run *j, bool is_whole);
void resume_destroy(struct resume *r); /* NULL is fine; while the catalog is open */

#endif
