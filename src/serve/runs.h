/*
 * runs.h - the runs of the service: a queue, those that run, those that are over, and who watches them.
 *
 * Any thread. Runs are counted: whoever gets one gives it back with serve_run_unref.
 */
#ifndef SERVE_RUNS_H
#define SERVE_RUNS_H

#include "jobs_load.h"
#include "runs_store.h"
#include "serve_internal.h"

struct serve_run;

/* Loads the records of earlier runs, and starts the thread that begins runs. dir: <state>/serve, which is there. */
enum bm_status serve_runs_create(struct bm_serve *s, const char *dir, struct serve_runs **out, struct bm_error *err)
	BM_NODISCARD;
/* No run begins any more, those that run are asked to stop and will be known as interrupted. The reaper tells when they
 * are gone. */
void serve_runs_stop(struct serve_runs *p);
void serve_runs_destroy(struct serve_runs *p); /* after stop, and when the reaper is gone; NULL is fine */

/* Queues a run of jobs, which are taken over. request is the JSON text that asked for it. BM_ERR_LIMIT: the queue is full. */
enum bm_status serve_runs_add(struct serve_runs *p, const char *job, const char *request, struct serve_jobs *jobs,
                              struct serve_run **out, struct bm_error *err) BM_NODISCARD;
struct serve_run *serve_runs_find(struct serve_runs *p, const char *id); /* or NULL */
void serve_run_unref(struct serve_run *r);
/* The last `limit` ones, last one first, as a JSON array; with those that are not over, wherever they stand. */
void serve_runs_put(struct serve_runs *p, size_t limit, struct bm_buf *out);
unsigned serve_runs_total(struct serve_runs *p);
/* How many are in each state. */
void serve_runs_count(struct serve_runs *p, unsigned counts[static SERVE_RUN_STATES]);

/* {"id":...}, with what is under way. */
void serve_run_put(struct serve_run *r, struct bm_buf *out);
const char *serve_run_id(const struct serve_run *r);
enum serve_run_state serve_run_state(struct serve_run *r);
/* The JSON that asked for it. Borrowed. */
const char *serve_run_request(const struct serve_run *r);
/* False: it is over already. */
bool serve_run_cancel(struct serve_run *r);
int serve_run_open_report(struct serve_run *r);

/* Somebody who wants to know of changes. wake is called with a lock held, once after each sleep. */
struct serve_watch {
	struct serve_run *run;
	void (*wake)(struct serve_watch *w);
	struct serve_watch *next, *prev;
	uint64_t seen, pings;
	bool is_asleep;
};
void serve_watch_begin(struct serve_watch *w, struct serve_run *r); /* takes a reference */
void serve_watch_end(struct serve_watch *w);
enum serve_watch_news { SERVE_WATCH_CHANGED, SERVE_WATCH_PING, SERVE_WATCH_OVER, SERVE_WATCH_NOTHING };
/* What is new since the last call. NOTHING: sleep(ctx) was called, under the lock, and wake will be. */
enum serve_watch_news serve_watch_next(struct serve_watch *w, void (*sleep)(struct serve_watch *w));
void serve_runs_ping(struct serve_runs *p); /* wakes all who watch: those who are gone are found out so */

#endif
