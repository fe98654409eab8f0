/*
 * runs_internal.h - the runs and their queue, as runs.c (the list, the routes' side), runs_begin.c (the thread that begins
 * them, and what they say) and runs_watch.c (who watches) share them.
 *
 * One lock for all that is here; it is held for moments only, and bm_run_cancel is called with it, since the run that
 * it is called for is destroyed only after its end was noted under it. Names that end in _locked want it held.
 */
#ifndef SERVE_RUNS_INTERNAL_H
#define SERVE_RUNS_INTERNAL_H

#include <stdio.h>

#include "runs.h"

struct bm_lock;
struct serve_history; /* runs_history.h */

struct serve_run {
	struct serve_watched watched; /* first */
	struct serve_runs *runs;
	struct serve_run *newer, *older; /* lock; the list */
	unsigned refs;                   /* lock */
	struct serve_record record;      /* lock, but for id, job, request */
	struct serve_jobs jobs;          /* until it is gone */
	FILE *report;
	struct bm_lock *held;
	struct bm_run *live;         /* lock; while it can be cancelled */
	struct bm_progress progress; /* lock */
	struct bm_error error;       /* by the run's calls; then over's */
	bool cancel_asked;           /* lock */
	bool is_over;                /* lock */
	uint64_t version;            /* lock; changes */
	uint64_t pings;              /* lock */
	struct serve_watch *watches; /* lock */
};

struct serve_runs {
	struct bm_serve *srv;
	char *dir;
	struct serve_history *history; /* while the records are read */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* waiter: the thread */
	pthread_t thread;
	bool has_thread;
	bool is_stopping;                  /* lock */
	struct serve_run *newest, *oldest; /* lock */
	unsigned count, queued, running;   /* lock */
};

static inline bool run_is_over(const struct serve_run *r)
{
	return r->record.state != SERVE_RUN_QUEUED && r->record.state != SERVE_RUN_RUNNING;
}

/* runs.c */
int64_t runs_wall_ms(void);
void run_unref_locked(struct serve_run *r);
void run_keep_locked(struct serve_run *r); /* its record, on disk */
void runs_forget_old_locked(struct serve_runs *p);

/* runs_begin.c */
void run_set_over_locked(struct serve_run *r, enum serve_run_state state, const char *error);
void *runs_main(void *serve_runs); /* the thread; until is_stopping */

/* runs_watch.c */
void run_wake_watches_locked(struct serve_run *r);
void run_changed_locked(struct serve_run *r);

#endif
