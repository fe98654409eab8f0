/* job_group.h - files of a job that are through and wait for others: see job_group.c. For src/job. */
#ifndef JOB_GROUP_H
#define JOB_GROUP_H

#include "run_internal.h"

enum bm_status job_groups_create(struct job_groups **out, struct bm_error *err) BM_NODISCARD;
void job_groups_destroy(struct job_groups *g); /* NULL is fine; they were ended */
/* Is its input to be removed? By the thread that closed it, when all is well so far. */
static inline bool job_group_removes(const struct job_run *j, const struct bm_file *f)
{
	return j->removal != NULL && f->has_mtime && f->keep == NULL &&
	       (f->verdict == BM_VERDICT_NONE || f->verdict == BM_VERDICT_OK);
}
/* Must it wait? Likewise. */
static inline bool job_group_wants(const struct job_run *j, const struct bm_file *f)
{
	return f->waiting_count > 0 || job_group_removes(j, f);
}
/* Takes the file over, with what is in f->results, and ends it by job_file_over some time later: now, where the group is
 * full with it. On failure it stays the caller's, who ends it at once. */
enum bm_status job_group_add(struct job_run *j, struct bm_file *f, struct bm_worker *w, struct bm_error *err)
	BM_NODISCARD;
/* Ends all that still wait. By the job's last callback. */
void job_groups_end(struct job_run *j);

#endif
