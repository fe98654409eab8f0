/*
 * notify.h - the commands that jobs name in "notify", started when a run is over.
 *
 *	bm_notify_check()   could they be started?
 *	bm_notify_begin()   first of all: forks a helper where some job wants it
 *	(locks, sandbox, the run)
 *	bm_notify_send()    to every job that wants to know how this ended
 *	bm_notify_end()
 *
 * Whatever ends the process before bm_notify_send, kill -9 and a lack of memory included: the helper then tells the jobs
 * that their run was killed. All of it is for the main thread, begin before there is another.
 */
#ifndef BM_CLI_NOTIFY_H
#define BM_CLI_NOTIFY_H

#include "bm_job.h"
#include "outcome.h"

struct bm_notify;

/* notify_program.c. The first word of the job's command, where it is a path relative to the job file, as all paths in it.
 * The caller's; NULL: no memory. */
char *bm_notify_program(const struct bm_job *job);
/* Warns of commands whose program is not there, or may not be run. */
void bm_notify_check(const struct bm_jobs *jobs);
/* *out is NULL where no job has a "notify". jobs and run_id are borrowed until the end. BM_ERR_SYSTEM: no helper. */
enum bm_status bm_notify_begin(const struct bm_jobs *jobs, const char *run_id, struct bm_notify **out,
                               struct bm_error *err) BM_NODISCARD;
/* Runs the commands of the jobs that want this outcome, one after the other, each for as long as its time limit allows.
 * One that fails is a warning on standard error. Once a signal has asked this process to stop, all of them together have
 * some seconds more, and what is over them is ended, or not started, and told. NULL is fine. */
void bm_notify_send(struct bm_notify *n, const struct bm_outcome *outcome);
void bm_notify_end(struct bm_notify *n); /* no more is to be told; waits for the helper; NULL is fine */

#endif
