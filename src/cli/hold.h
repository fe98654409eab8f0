/* hold.h - the locks that a run holds on its jobs, so that no second one runs them at the same time. */
#ifndef BM_CLI_HOLD_H
#define BM_CLI_HOLD_H

#include "bm_job.h"
#include "options.h"

struct bm_hold {
	struct bm_lock **locks; /* owned, each too */
	size_t count;
};

/* Takes the locks of all jobs, or none: 0, BM_EXIT_BUSY where another process has one (after waiting for --wait), or
 * BM_EXIT_USAGE where there can be no lock; told in both cases. run_id goes into the lock files. For the main thread,
 * before there is another. bm_hold_end in any case. */
int bm_hold_begin(struct bm_hold *h, const struct bm_jobs *jobs, const char *run_id, const struct bm_cli_options *o);
void bm_hold_end(struct bm_hold *h);

#endif
