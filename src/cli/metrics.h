/* metrics.h - --metrics: how a run went, as a text file for Prometheus. */
#ifndef BM_CLI_METRICS_H
#define BM_CLI_METRICS_H

#include "bm_job.h"
#include "outcome.h"

/* Before the run. Is path nothing, empty, or metrics of an earlier run? A file named by mistake, a job file say, is not to
 * be lost: BM_ERR_USAGE. And can it be written there? BM_ERR_SYSTEM, BM_ERR_NOMEM. */
enum bm_status bm_metrics_check(const char *path, struct bm_error *err) BM_NODISCARD;
/* Replaces the file path, or makes it, with what outcome says of each job; exit_code in it counts. For the main thread,
 * when the run is over; may block. The old file stays where there is an error: BM_ERR_SYSTEM, BM_ERR_NOMEM. */
enum bm_status bm_metrics_write(const char *path, const char *run_id, const struct bm_jobs *jobs,
                                const struct bm_outcome *outcome, struct bm_error *err) BM_NODISCARD;

#endif
