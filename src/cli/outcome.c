/* outcome.c - see outcome.h. */
#include "outcome.h"

#include <stdlib.h>

#include "bm_job.h"

void bm_outcome_add_failure(struct bm_outcome *o, const char *text)
{
	o->failure_count++;
	if (o->failures.count < BM_OUTCOME_FAILURES)
		(void)bm_strings_add(&o->failures, text); /* without memory it is counted only */
}

void bm_outcome_fail_all(struct bm_outcome *o, const char *text)
{
	bm_outcome_add_failure(o, text);
	for (size_t i = 0; i < o->job_count; i++)
		o->jobs[i].state = BM_JOB_FAILED;
}

void bm_outcome_fini(struct bm_outcome *o)
{
	free(o->jobs);
	for (size_t i = 0; i < o->failures.count; i++)
		free(o->failures.items[i]);
	free(o->failures.items);
	*o = (struct bm_outcome){0};
}
