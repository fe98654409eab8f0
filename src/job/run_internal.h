/* run_internal.h - a run and the jobs in it, as run.c, job_run.c, outputs*.c and plan_print.c share them. */
#ifndef RUN_INTERNAL_H
#define RUN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <bytemill/bytemill.h>

#include "bm_job.h"
#include "bm_order.h"
#include "bm_plan.h"
#include "bm_record.h"

#define DEFAULT_IO_DEPTH 16
#define DEFAULT_MEMORY ((uint64_t)256 << 20)

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_SKIPPED };

struct job_groups;  /* job_group.h */
struct job_removal; /* job_remove.h */
struct outputs;     /* outputs.c: which paths this run will write */

struct history;      /* history.c: the run on record */
struct resume;       /* resume.c: what a job has done before */
struct step_figures; /* history.h */

struct job_scratch { /* one thread's, from file to file */
	struct bm_file_results results;
	struct bm_buf record;
	struct bm_buf done_outputs, done_digests, done_paths; /* resume.c */
	char pad[64];                                         /* the next thread's is on another cache line */
};

struct job_run {
	struct bm_run *run;
	const struct bm_job *job;
	struct bm_job_context ctx;
	struct bm_pace *pace; /* its own; NULL: the run's or none */
	struct bm_plan *plan;
	char **skip_paths; /* never to be read: outputs inside the read root */
	size_t skip_count;
	bool is_listed;  /* its outputs are all looked at before it starts */
	bool list_late;  /* ... but not before: earlier jobs write where it reads */
	bool is_claimed; /* that has begun; outputs_claim.c */
	bool check_late; /* its outputs can only be looked at one by one, as inputs come */
	bool *before;    /* by job: runs to its end before this one starts; NULL: none does */

	struct bm_walk *walk;    /* next() only, as the five below */
	struct bm_entry *walked; /* the walk's next, shown to the verifier and not yet taken */
	bool walk_is_over;
	uint64_t next_index;
	bool any_urls;                     /* one has been given to the engine */
	uint64_t own_outputs;              /* next() only: inputs passed over since this run writes them */
	struct bm_passed_over passed_over; /* by done(); read when the run is over */
	struct bm_flow *flow;              /* set before its callbacks run; freed with the run */
	struct bm_order *order;
	struct job_groups *groups;
	struct job_removal *removal; /* NULL: nothing is removed */
	struct job_scratch *scratch; /* by bm_worker_index */
	unsigned scratch_count;
	struct resume *resume;               /* NULL: nothing is known, nothing kept */
	struct step_figures *figures;        /* one a step; emit, then the job's end; NULL: nobody wants them */
	uint64_t failures;                   /* emit only: files that failed, for the record */
	struct bm_record_view view;          /* emit only */
	struct bm_buf line;                  /* emit only */
	uint64_t verdicts[BM_VERDICT_COUNT]; /* emit; read when the run is over */
	atomic_uint_fast64_t failed, fine;   /* files */
	atomic_uint_fast64_t kept;           /* of the fine ones those that were skipped */
	atomic_bool order_told;              /* the order's failure */
	atomic_bool stop; /* cancelled by its own trouble: "on_error": "stop", a manifest that cannot be written */
	pthread_mutex_t flow_lock;  /* guards flow against a cancel that comes while it is being started */
	pthread_mutex_t again_lock; /* guards the three below */
	pthread_cond_t again_cond;  /* waited on by next(): there is one again, or fewer URLs are open */
	struct bm_file *again;      /* to be read from the start, by next_again */
	uint64_t urls_open;         /* given to the engine and not ended */
	enum job_state state;       /* run->lock */
	uint64_t start_ms, end_ms;  /* run->lock: since the run's start */

	/* Counted by every thread for every chunk: each on a cache line of its own. */
	char pad0[64];
	atomic_uint_fast64_t bytes_read;
	char pad1[64];
	atomic_uint_fast64_t bytes_written;
	char pad2[64];
};

struct bm_run {
	const struct bm_jobs *jobs;
	struct bm_run_options opt;
	char *id;
	struct tm date;
	struct bm_pool *pool;
	bool is_guest; /* the pool is others', too */
	struct bm_sink_set *sinks[BM_DURABLE_COUNT];
	struct outputs *outputs;
	struct history *history; /* NULL: none is kept */
	struct bm_pace *pace;    /* of all jobs; NULL: none */
	unsigned permits, io_depth;
	unsigned most_uploads; /* files that are open at once; 0: no limit */
	uint64_t memory;
	struct bm_windows *windows; /* zstd's, of all jobs: as much again as memory */
	struct job_run *job_runs;
	size_t job_count;
	struct timespec start;

	/* Counted by every thread for every file: each group on a cache line of its own. */
	char pad0[64];
	atomic_uint_fast64_t files_done, files_failed, files_skipped, files_removed;
	char pad1[64];
	atomic_uint_fast64_t files_total, bytes_total;
	atomic_bool total_is_final, cancelled;
	atomic_uint_fast64_t next_tick_ms;
	pthread_mutex_t tick_lock;   /* one on_progress at a time */
	int report_errno;            /* report_lock: the report's first error */
	pthread_mutex_t report_lock; /* report, on_file, on_message, on_error: jobs side by side share them */

	pthread_mutex_t lock;
	pthread_cond_t done_cond; /* waiters: bm_run_wait */
	size_t unfinished;        /* lock */
	bool is_over;             /* lock */
	struct bm_error error;    /* lock: the first one that is no file's */
	uint64_t elapsed_ms;      /* lock; valid when is_over */

	int cancel_fd; /* an eventfd, readable once the run is cancelled */
	bool is_started;
	pthread_t scout;
	bool has_scout;
};

/* run.c */
/* pool: bm_run_start_on's; NULL: one of its own. */
enum bm_status run_create(const struct bm_jobs *jobs, const struct bm_run_options *opt, struct bm_pool *pool,
                          struct bm_run **out, struct bm_error *err) BM_NODISCARD;
void run_tick(void *run);
uint64_t run_elapsed_ms(const struct bm_run *run);        /* since its start; any thread */
uint64_t run_elapsed_coarse_ms(const struct bm_run *run); /* the same, up to 10 ms late, and cheap */
/* job NULL: a warning about the run. */
void run_message(struct bm_run *run, const struct bm_job *job, const char *fmt, ...) BM_PRINTF(3, 4);
/* Trouble that is no file's, told at once; j may be NULL. The first one is the summary's too. */
void run_error(struct bm_run *run, struct job_run *j, const struct bm_error *err);
struct job_run *run_find_job(struct bm_run *run, const char *name); /* or NULL */
void run_job_over(struct job_run *j, enum job_state state);

/* run_fit.c */
/* Makes the jobs' plans, with as many threads as memory allows for: a thread without a chunk to work on would be of no use,
 * and its codec state would take the memory of chunks from the others. *buffers is what is left for chunks. */
enum bm_status run_fit(struct bm_run *run, size_t *buffers, struct bm_error *err) BM_NODISCARD;
/* How many files may be on their way at once with the descriptors that this process may have; 0: no limit. */
unsigned run_most_open_files(const struct bm_run *run);

/* run_summary.c */
void run_report(struct bm_run *run, const struct bm_buf *line); /* with report_lock held */

/* job_next.c */
enum bm_next_result job_next(void *job_run, struct bm_worker *w, void **stream);

/* job_again.c; any thread, but for job_again_next (next() only) and job_again_give_up (done() only) */
/* Is the file to be read once more, and not to fail? By its end(). */
bool job_again_wanted(struct job_run *j, const struct bm_file *f, const struct bm_error *err, struct bm_worker *w);
/* Takes its entry for that. In place of job_again_closed. */
void job_again_put(struct job_run *j, struct bm_file *f);
void job_again_opened(struct job_run *j); /* a URL was given to the engine */
void job_again_closed(struct job_run *j); /* ... and has come to its end */
/* A file to be read once more, or NULL; is_end: waits until it is sure that none will come. */
struct bm_file *job_again_next(struct job_run *j, struct bm_worker *w, bool is_end);
/* Those that a cancel has left. */
void job_again_give_up(struct job_run *j);

/* job_run.c */
void job_trouble(struct job_run *j, const struct bm_error *err);
enum bm_status job_run_start(struct job_run *j, struct bm_error *err) BM_NODISCARD;
void job_run_cancel(struct job_run *j);
/* The public form of a finished file; pointers into f. */
void job_file_result(const struct job_run *j, struct bm_file *f, const struct bm_error *err, struct bm_file_result *r);
/* The file is through and every output of it has its name, or it failed (failure is not NULL): counts it, puts its result
 * into the order, frees it. f->results are reset. scratch: of the calling thread. Any thread, one at a time a file. */
void job_file_over(struct job_run *j, struct bm_file *f, const struct bm_error *failure, struct job_scratch *scratch);
/* What the walk, and its caller for own_outputs, passed over: into j->passed_over, and a sentence a kind to say. */
void job_run_passed_over(struct job_run *j, const struct bm_walk *w, uint64_t own_outputs,
                         void (*say)(void *arg, const char *text), void *arg);

/* outputs.c, and the last two outputs_claim.c */
enum bm_status outputs_check(struct bm_run *run, struct bm_error *err) BM_NODISCARD;
/* The same for one job, when it starts and could not be looked at before. */
enum bm_status outputs_check_late(struct outputs *o, struct job_run *j, struct bm_error *err) BM_NODISCARD;
void outputs_destroy(struct outputs *o);
/* While a job's plan is replaced: other jobs may be looking at it. */
void outputs_lock(struct outputs *o);
void outputs_unlock(struct outputs *o);
/* The entry's own real path is one that this run writes. */
bool outputs_has_input(struct outputs *o, const struct job_run *j, const struct bm_entry *e);
/* The real directory that the entry's path is relative to, or NULL. Borrowed. Any thread. */
const char *outputs_root_of(const struct outputs *o, const struct job_run *j, const struct bm_entry *e);
/* The n-th one of a job; NULL: there are no more. */
const char *outputs_root_at(const struct outputs *o, const struct job_run *j, size_t n);
/* For jobs with check_late, and for outputs that may hit a manifest: BM_ERR_CONFLICT. One thread at a time a run. */
enum bm_status outputs_claim(struct outputs *o, struct job_run *j, const struct bm_entry *e, struct bm_error *err);

#endif
