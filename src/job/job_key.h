/* job_key.h - what a job is known by in the catalog, and whether its runs can be gone on with. src/job only; any thread. */
#ifndef JOB_KEY_H
#define JOB_KEY_H

#include "bm_mem.h"
#include "bm_step.h"

#define JOB_KEY_BYTES 32

/* A digest of the job's name and of all that decides what it makes of an input: see job_key.c. cwd: what relative paths
 * stand on; absolute. May block (files with keys are looked at). */
enum bm_status job_key(const struct bm_job *job, const char *cwd, uint8_t out[static JOB_KEY_BYTES],
                       struct bm_error *err) BM_NODISCARD;
/* Why what is done of the job cannot be told from what is not, as "step 3 (write) joins all inputs into one output"; false
 * where it can. */
bool job_is_indivisible(const struct bm_job *job, struct bm_buf *why);
/* Appends path, below cwd where it is relative, without "." and "..". Fails by out->oom. */
void job_key_put_path(struct bm_buf *out, const char *cwd, const char *path);

#endif
