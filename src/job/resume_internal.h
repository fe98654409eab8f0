/* resume_internal.h - what resume.c and resume_check.c share. */
#ifndef RESUME_INTERNAL_H
#define RESUME_INTERNAL_H

#include <sys/stat.h>
#include <time.h>

#include "bm_catalog_done.h"
#include "bm_time.h"
#include "path_set.h"
#include "resume.h"

#define NS_PER_S 1000000000
#define DEAD_MAX 16

struct resume_root {
	char *path; /* real */
	int64_t id;
	struct bm_catalog_dones *dones; /* NULL: nothing is looked up */
};

struct resume {
	struct bm_catalog_job job;
	bool puts;                 /* what is done goes on record */
	bool looks;                /* what is on record is looked at */
	int64_t from_ns, to_ns;    /* ... if it was put then */
	struct resume_root *roots; /* next() only */
	bool has_damage;           /* next() only: a damaged record was told */
	size_t root_count, last_root;
	const char *last_real; /* the text that last_root was found for; borrowed from outputs; NULL: none as yet */
	atomic_uint slow;      /* files that are looked at without a permit */

	struct bm_strings dead;        /* ids of killed runs, whose temporary files go */
	struct tm dead_date[DEAD_MAX]; /* when they began, in local time */
	struct bm_template **then;     /* one a step: its output's path where that was another one then; NULL: none */
	size_t then_count;
	pthread_mutex_t lock;  /* for the two below */
	struct path_set swept; /* directories */
	uint64_t removed;
};

/* A record, copied: one piece of memory, so that free() ends it. */
struct known {
	uint64_t size, inode;
	int64_t mtime_ns;
	size_t output_count, digest_count;
	struct bm_catalog_output *outputs;
	struct bm_catalog_done_digest *digests;
	max_align_t bytes[];
};

static inline int64_t resume_now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return bm_time_ns(t);
}

/* ---- resume_check.c ---- */

/* ---- resume_sweep.c: temporary files of killed runs, where there are such runs ---- */

/* Removes those where manifests and joined outputs go, and makes ready for the files. */
void resume_sweep_begin(struct job_run *j);
/* Those where a file's outputs go. Any thread. */
void resume_sweep(struct job_run *j, const struct bm_file *f);
void resume_sweep_end(struct resume *r);

#endif
