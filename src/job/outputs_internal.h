/*
 * outputs_internal.h - which paths a run writes, as outputs.c and the outputs_*.c share it. What others call is in
 * run_internal.h. Under outputs.lock once the jobs run; before that there is one thread.
 */
#ifndef OUTPUTS_INTERNAL_H
#define OUTPUTS_INTERNAL_H

#include <string.h>

#include "path_set.h"
#include "run_internal.h"

struct outputs_target { /* one copy or write step */
	struct job_run *j;
	unsigned step;
	char *dir;          /* real path of the literal directory that all its outputs lie in or below; ends in '/' */
	size_t skip;        /* bytes of an expanded path that dir replaces */
	const char *suffix; /* put behind it: the step's second output; NULL: its first */
};

struct outputs_root {
	struct job_run *j;
	size_t number;    /* in the walk */
	char *real;       /* real path; ends in '/' */
	const char *text; /* as in the job file; borrowed */
	char *file;       /* real path where it is a file; NULL otherwise */
};

struct outputs_fixed { /* a manifest, a combined output, the report */
	struct job_run *j;
	char *real;
	bool is_descriptor; /* open already: standard output redirected, the report, a log */
};

struct outputs {
	pthread_mutex_t lock; /* guards all below once the jobs run: several may list their inputs at once */
	struct outputs_target *targets;
	size_t target_count;
	struct outputs_root *roots;
	size_t root_count;
	struct outputs_fixed *fixed;
	size_t fixed_count;
	struct path_set set;
	struct bm_buf path; /* scratch */
	bool any_inputs;    /* some input may be an output; constant while the jobs run */
	bool fixed_near;    /* some target may hit a manifest; likewise */
};

/* Is path in or below the directory (which ends in '/')? */
static inline bool outputs_is_below(const char *path, const char *dir)
{
	return strncmp(path, dir, strlen(dir)) == 0;
}

/* Does a run to its end before b starts? */
static inline bool outputs_is_before(const struct job_run *a, const struct job_run *b)
{
	return b->before != NULL && b->before[a - a->run->job_runs];
}

/* ---- outputs_real.c; any thread; may block on the disk ---- */

/* The real path of path's longest existing part, and the rest cleaned of "." and "..". malloc'd; NULL: no memory. */
char *outputs_real_path(const char *path);
/* The same of the directory path[0..len) (len 0: "."), ending in '/'. */
char *outputs_real_dir(const char *path, size_t len);

/* ---- outputs_collect.c ---- */

/* Adds the job's targets, roots and fixed outputs. False: no memory. */
bool outputs_collect(struct outputs *o, struct job_run *j);

/* ---- outputs_places.c ---- */

/* Before the run: BM_ERR_CONFLICT, BM_ERR_SYSTEM: a manifest or combined output of the job cannot be where it is to be. */
enum bm_status outputs_check_places(const struct job_run *j, struct bm_error *err) BM_NODISCARD;

/* ---- outputs_claim.c ---- */

/* Lists the job's inputs and claims every output of each. BM_ERR_CONFLICT: a path is taken, or an output is its own
 * input; BM_ERR_LIMIT: more paths than fit in memory. */
enum bm_status outputs_claim_all(struct outputs *o, struct job_run *j, struct bm_error *err) BM_NODISCARD;

#endif
