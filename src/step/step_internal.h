/* step_internal.h - what the files of this folder share and nobody else needs. */
#ifndef STEP_INTERNAL_H
#define STEP_INTERNAL_H

#include "bm_plan.h"

/* bm_chunk.tag in the first segment: the chunk is empty and stands for the whole file, which the write step copies. */
#define BM_TAG_KERNEL_COPY 1

/* Chunks are cut anew from this step on. */
bool bm_step_begins_segment(const struct bm_step *s);
/* The chunk size of the segment that begins with job->steps[first]: the job's own, or what suits its steps best. */
size_t bm_step_chunk(const struct bm_job *job, size_t first);

/* A template with the run's constants put in. */
enum bm_status bm_step_template(const struct bm_job_context *ctx, const char *text, const char *algorithm,
                                unsigned allowed, struct bm_template **out, struct bm_error *err) BM_NODISCARD;
/* The expansion for one file. */
void bm_step_expand(const struct bm_job_context *ctx, const struct bm_template *t, const char *path, size_t path_len,
                    struct bm_buf *out);

#define BM_STEP_TARGET_PLACEHOLDERS (BM_PH_FILE | BM_PH_JOB | BM_PH_RUN | BM_PH_DATE)
#define BM_STEP_MANIFEST_PLACEHOLDERS (BM_PH_JOB | BM_PH_RUN | BM_PH_DATE | BM_PH_ALGORITHM)

#endif
