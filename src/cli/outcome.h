/* outcome.h - how a run went, for those who are told of it after the console: notify commands and metrics. */
#ifndef BM_CLI_OUTCOME_H
#define BM_CLI_OUTCOME_H

#include <bytemill/bytemill.h>

#include "bm_step.h"

#define BM_OUTCOME_FAILURES 20 /* kept */

struct bm_outcome {
	bool is_started;             /* else nothing was done, and only failures says more */
	bool is_refused;             /* the same job is already running */
	int exit_code;               /* 128+N: a signal came */
	struct bm_summary sum;       /* where it was started */
	struct bm_job_summary *jobs; /* likewise, in the order of the jobs; owned */
	size_t job_count;
	struct bm_strings failures; /* the first ones, as shown; owned */
	uint64_t failure_count;     /* all */
};

void bm_outcome_add_failure(struct bm_outcome *o, const char *text); /* one call at a time */
/* What all jobs have in common went wrong at the end. */
void bm_outcome_fail_all(struct bm_outcome *o, const char *text);
void bm_outcome_fini(struct bm_outcome *o);

#endif
