/* job_remove.h - inputs that are removed when all is made of them: see job_remove.c. For src/job. */
#ifndef JOB_REMOVE_H
#define JOB_REMOVE_H

#include "run_internal.h"

/* is_late: nothing is removed before job_removal_end. */
enum bm_status job_removal_create(bool is_late, struct job_removal **out, struct bm_error *err) BM_NODISCARD;
void job_removal_destroy(struct job_removal *r); /* NULL is fine */
/* All outputs of f are there for good: removes its input, or notes that it is to be. Any thread. BM_ERR_CHANGED: it is
 * another file now. */
enum bm_status job_remove(struct job_run *j, struct bm_file *f, struct bm_error *err) BM_NODISCARD;
/* By the job's last callback, when its manifests are there (good) or were given up. False: some could not be removed;
 * each was told. */
bool job_removal_end(struct job_run *j, bool good);

#endif
