/*
 * bm_job.h - the inside of the public API's objects, for this folder and for the commands that build jobs in memory.
 */
#ifndef BM_JOB_H
#define BM_JOB_H

#include <bytemill/bytemill.h>

#include "bm_mem.h"
#include "bm_step.h"

struct bm_feed;
struct bm_pool;

struct bm_jobs {
	struct bm_jobs_options opt;
	struct bm_job **jobs; /* owned, each too; in the order of the files and in them */
	size_t count;
	bool is_checked;
};

/* A job that a program builds itself: name is copied; params of each step start at the table's defaults
 * (bm_job_add_step). Steps are checked by bm_jobs_adopt like parsed ones. */
struct bm_job *bm_job_create(const char *name);
void bm_job_destroy(struct bm_job *job); /* NULL is fine */
/* The new step's parameters (borrowed, valid until the next call for this job), or NULL on no memory or unknown kind. */
union bm_step_params *bm_job_add_step(struct bm_job *job, const char *kind);
/* The job reads, in place of what its read step says, the bytes of feed under the name `name` (bm_feed.h); both are
 * borrowed until the jobs are destroyed. After bm_jobs_check. A job whose steps need files to read, or names of them
 * (verify), is BM_ERR_USAGE. */
enum bm_status bm_job_set_feed(struct bm_job *job, struct bm_feed *feed, const char *name, struct bm_error *err)
	BM_NODISCARD;
/* The same with all files below a directory. */
enum bm_status bm_job_set_root(struct bm_job *job, const char *dir, struct bm_error *err) BM_NODISCARD;
bool bm_strings_add(struct bm_strings *s, const char *item); /* copies; false on no memory */
/* jobs takes the job over (destroyed by it, also on error). Checks what can be checked without JSON. */
enum bm_status bm_jobs_adopt(struct bm_jobs *jobs, struct bm_job *job, struct bm_error *err) BM_NODISCARD;

/* xxh128 of the text of the job file that the job stood in, as it was read; NULL where a program built it. Borrowed. */
#define BM_JOB_TEXT_DIGEST_BYTES 16
const uint8_t *bm_job_text_digest(const struct bm_job *job);

/* A new run id, as a run makes itself one where bm_run_options has none. malloc'd; NULL: no memory. Any thread. */
char *bm_run_make_id(void);

/* The history keeps a run for so long where bm_run_options.keep_ms does not say. */
#define BM_RUN_KEEP_MS ((uint64_t)365 * 24 * 3600 * 1000)
/* Is the run in the catalog of its state directory? Of one that is over. */
bool bm_run_is_on_record(const struct bm_run *run);

/* As bm_run_start, on the threads and with the chunks of a pool that others have, too, and which must outlive the run.
 * threads and io_depth are the pool's; memory_bytes is what the run would need of its own, for codec states and the like;
 * it wants as much as for all threads of the pool: BM_ERR_USAGE where that is more. For jobs that do not wait for
 * others, since they would keep threads from them: no FIFOs, no URLs; a feed is fine. */
enum bm_status bm_run_start_on(struct bm_pool *pool, const struct bm_jobs *jobs, const struct bm_run_options *opt,
                               struct bm_run **out, struct bm_error *err) BM_NODISCARD;

/* Text made from the tables. */
enum bm_status bm_schema_print(FILE *out, struct bm_error *err) BM_NODISCARD; /* JSON Schema, draft 2020-12 or 07 */
void bm_steps_print(FILE *out, const char *step /* NULL: all, a line each */);
void bm_steps_print_man(FILE *out); /* the STEPS section in man(7) macros */

#endif
