/* step_internal.h - what the files of this folder share and nobody else needs. */
#ifndef STEP_INTERNAL_H
#define STEP_INTERNAL_H

#include "bm_plan.h"

/* The kinds of steps, each defined with its rows in the file that runs it. Steps of the same kind of work may share ops. */
extern const struct bm_step_kind bm_read_kind, bm_hash_kind, bm_verify_kind, bm_copy_kind, bm_compress_kind,
	bm_decompress_kind, bm_encrypt_kind, bm_decrypt_kind, bm_write_kind;

#define BM_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define BM_STEP_OPTIONS(a) .options = (a), .option_count = BM_LENGTH(a)

/* For checks: is it the "-" that stands for standard input or output? */
bool bm_step_is_dash(const char *s);
/* For checks: the placeholders in text; 0 where it has none or is no template (which was reported when it was read). */
unsigned bm_step_placeholders(const char *text, unsigned allowed);

/* bm_chunk.tag in the first segment: the chunk is empty and stands for the whole file, which the write step copies. */
#define BM_TAG_KERNEL_COPY 1

/* clock.c; NULL is fine. */
void bm_step_clock_destroy(struct bm_step_clock *k);

/* Chunks are cut anew from this step on. */
bool bm_step_begins_segment(const struct bm_step *s);
/* The chunk size of the segment that begins with job->steps[first]: the job's own, or what suits its steps best. */
size_t bm_step_chunk(const struct bm_job *job, size_t first);

/* Does this write step read back what it wrote? */
bool bm_write_rereads(const struct bm_job *job, const struct bm_step *s);

/* A template with the run's constants put in. */
enum bm_status bm_step_template(const struct bm_job_context *ctx, const char *text, const char *algorithm,
                                unsigned allowed, struct bm_template **out, struct bm_error *err) BM_NODISCARD;
/* The expansion for one file. */
void bm_step_expand(const struct bm_job_context *ctx, const struct bm_template *t, const char *path, size_t path_len,
                    struct bm_buf *out);

#define BM_STEP_TARGET_PLACEHOLDERS (BM_PH_FILE | BM_PH_JOB | BM_PH_RUN | BM_PH_DATE)
#define BM_STEP_MANIFEST_PLACEHOLDERS (BM_PH_JOB | BM_PH_RUN | BM_PH_DATE | BM_PH_ALGORITHM)
#define BM_STEP_VERIFY_PLACEHOLDERS (BM_PH_JOB | BM_PH_RUN | BM_PH_DATE)

#endif
