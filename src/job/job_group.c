/*
 * job_group.c - files that are through and wait for others: their outputs go to the disk together ("durability":
 * "batch"), or they are to be removed when all that was made of them is there for good.
 *
 * A file that comes to its end with outputs that wait is put into the job's present group, with its result, and the thread
 * goes on: nobody sleeps for a group, and nothing limited is held (the input is closed, the outputs are, the token is
 * given back), so it cannot stop the engine. The thread that fills a group takes it out and ends it:
 *
 *	1. one syncfs for each file system: the bytes of all outputs are on the disk, or none of them gets its name
 *	2. where asked for, each output is read back and compared
 *	3. the renames
 *	4. the directories, each once: the names are on the disk
 *	5. where asked for, the inputs are removed, then their directories synced
 *	6. the results go into the order, as that of any other file: only now is anything called done
 *
 * A group is full by count, bytes, directories (each is a descriptor) or age; the last is looked at when a file is added,
 * for while nothing ends there is nothing to wait for. What is left when the job is done is ended then, and where the run
 * was cancelled it is given up: the outputs are incomplete in that they have no names.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "bm_error.h"
#include "bm_mutex.h"
#include "job_group.h"
#include "job_remove.h"

#define FILES_MAX 2048
#define BYTES_MAX ((uint64_t)256 << 20)
#define DIRS_MAX 128
#define AGE_MAX_MS 5000

struct member {
	struct bm_file *f;
	struct bm_file_results results;
	struct bm_error *err; /* owned; NULL: all is well so far */
};

struct group {
	struct bm_sink_group *sinks;
	struct member *members;
	size_t count, cap;
	uint64_t bytes;
	size_t dirs;
	uint64_t begin_ms;
};

struct job_groups {
	pthread_mutex_t lock;
	struct group *present; /* lock */
	size_t dirs_max;       /* constant */
};

enum bm_status job_groups_create(struct job_groups **out, struct bm_error *err)
{
	struct job_groups *g = calloc(1, sizeof(*g));
	struct rlimit r;
	int rc;

	*out = NULL;
	if (g == NULL)
		return bm_error_set_nomem(err);
	rc = bm_mutex_init_short(&g->lock);
	if (rc != 0) {
		free(g);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	g->dirs_max = DIRS_MAX;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / 16 < g->dirs_max)
		g->dirs_max = r.rlim_cur / 16 > 0 ? (size_t)(r.rlim_cur / 16) : 1;
	*out = g;
	return BM_OK;
}

static void group_destroy(struct group *g)
{
	if (g == NULL)
		return;
	bm_sink_group_destroy(g->sinks);
	free(g->members);
	free(g);
}

void job_groups_destroy(struct job_groups *g)
{
	if (g == NULL)
		return;
	group_destroy(g->present);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- the end of a group ---- */

/* The first error of a member is its own. */
static void member_fail(struct member *m, const struct bm_error *err)
{
	if (m->err != NULL)
		return;
	m->err = malloc(sizeof(*m->err));
	if (m->err != NULL)
		*m->err = *err;
}

static void member_publish(struct member *m)
{
	struct bm_file *f = m->f;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < f->waiting_count && status == BM_OK; i++)
		status = bm_output_check(f->waiting[i].sink, &f->waiting[i].sum, NULL, &err);
	for (size_t i = 0; i < f->waiting_count && status == BM_OK; i++) {
		status = bm_sink_commit(f->waiting[i].sink, NULL, -1, NULL, NULL, &err);
		f->waiting[i].sink = NULL;
	}
	if (status != BM_OK)
		member_fail(m, &err);
}

static void group_fail(struct group *g, const struct bm_error *err)
{
	for (size_t i = 0; i < g->count; i++)
		member_fail(&g->members[i], err);
}

/* The inputs of those that are well. */
static void group_remove(struct job_run *j, struct group *g)
{
	const struct bm_entry *last = NULL;

	for (size_t i = 0; i < g->count; i++) {
		struct member *m = &g->members[i];
		struct bm_error err = BM_ERROR_INIT;
		enum bm_status status = BM_OK;

		if (m->err != NULL || !job_group_removes(j, m->f))
			continue;
		status = job_remove(j, m->f, &err);
		if (status == BM_OK && m->f->removed && last != NULL && !bm_entry_same_dir(last, m->f->entry))
			status = bm_entry_sync_dir(last, &err);
		if (m->f->removed)
			last = m->f->entry;
		if (status != BM_OK)
			member_fail(m, &err);
	}
	struct bm_error err = BM_ERROR_INIT;
	if (last != NULL && bm_entry_sync_dir(last, &err) != BM_OK)
		group_fail(g, &err);
}

/* The step that the time is put down to: the first that makes files wait, else the last that writes any. */
static size_t step_that_waits(const struct bm_job *job)
{
	size_t found = 0;

	for (size_t i = 1; i < job->step_count; i++) {
		if (job->steps[i].kind->ops != &bm_write_ops)
			continue;
		found = i;
		if (job->steps[i].p.write.durability == BM_DURABLE_BATCH)
			break;
	}
	return found;
}

static void group_finish(struct job_run *j, struct group *g)
{
	const uint64_t start = bm_plan_clock_start(j->plan);
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status = BM_OK;

	if (atomic_load(&j->run->cancelled))
		status = bm_error_set(&err, BM_ERR_CANCELLED, NULL, "the run was cancelled");
	if (status == BM_OK)
		status = bm_sink_group_sync(g->sinks, &err);
	for (size_t i = 0; i < g->count && status == BM_OK; i++)
		member_publish(&g->members[i]);
	for (int d = BM_DURABLE_FILE; d < BM_DURABLE_COUNT && status == BM_OK; d++)
		if (d == BM_DURABLE_BATCH || j->removal != NULL)
			status = bm_sink_set_sync(j->run->sinks[d], &err);
	if (status != BM_OK)
		group_fail(g, &err);
	else if (j->removal != NULL)
		group_remove(j, g);
	bm_plan_clock_stop(j->plan, step_that_waits(j->job), start);
}

/* Ends it: without a worker by the job's last callback. */
static void group_end(struct job_run *j, struct group *g, struct bm_worker *w)
{
	/* The job's last callback is alone: any thread's will do. */
	struct job_scratch *scratch = &j->scratch[w != NULL ? bm_worker_index(w) : 0];

	if (w != NULL)
		bm_worker_block_disk(w);
	group_finish(j, g);
	if (w != NULL)
		bm_worker_unblock(w);
	for (size_t i = 0; i < g->count; i++) {
		struct member *m = &g->members[i];

		bm_file_drop_waiting(m->f);
		m->f->results = &m->results;
		job_file_over(j, m->f, m->err, scratch);
		bm_file_results_fini(&m->results);
		free(m->err);
	}
	group_destroy(g);
}

/* ---- joining ---- */

static struct group *group_create(struct job_run *j, struct bm_error *err)
{
	struct group *g = calloc(1, sizeof(*g));

	if (g == NULL) {
		(void)bm_error_set_nomem(err);
		return NULL;
	}
	if (bm_sink_group_create(&g->sinks, err) != BM_OK) {
		free(g);
		return NULL;
	}
	g->begin_ms = run_elapsed_ms(j->run);
	return g;
}

static enum bm_status group_add(struct group *g, struct bm_file *f, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (g->count == g->cap) {
		size_t cap = g->cap > 0 ? g->cap * 2 : 64;
		struct member *more = bm_realloc_array(g->members, cap, sizeof(*more));

		if (more == NULL)
			return bm_error_set_nomem(err);
		g->members = more;
		g->cap = cap;
	}
	for (size_t i = 0; i < f->waiting_count && status == BM_OK; i++) {
		bool new_dir;

		status = bm_sink_group_add(g->sinks, f->waiting[i].sink, &new_dir, err);
		g->bytes += bm_sink_size(f->waiting[i].sink);
		g->dirs += new_dir ? 1 : 0;
	}
	if (status != BM_OK)
		return status;
	g->members[g->count++] = (struct member){f, *f->results, NULL};
	*f->results = (struct bm_file_results){0};
	f->results = NULL;
	bm_source_close(f->source);
	f->source = NULL;
	return BM_OK;
}

static bool is_full(const struct job_run *j, const struct group *g)
{
	return g->count >= FILES_MAX || g->bytes >= BYTES_MAX || g->dirs >= j->groups->dirs_max ||
	       run_elapsed_ms(j->run) - g->begin_ms >= AGE_MAX_MS;
}

enum bm_status job_group_add(struct job_run *j, struct bm_file *f, struct bm_worker *w, struct bm_error *err)
{
	struct job_groups *gs = j->groups;
	struct group *full = NULL;
	enum bm_status status = BM_OK;

	bm_worker_block_disk(w);
	pthread_mutex_lock(&gs->lock);
	if (gs->present == NULL)
		gs->present = group_create(j, err);
	status = gs->present != NULL ? group_add(gs->present, f, err) : BM_ERR_NOMEM;
	if (gs->present != NULL && is_full(j, gs->present)) {
		full = gs->present;
		gs->present = NULL;
	}
	pthread_mutex_unlock(&gs->lock);
	bm_worker_unblock(w);
	if (full != NULL)
		group_end(j, full, w);
	return status;
}

void job_groups_end(struct job_run *j)
{
	struct group *last = j->groups->present;

	j->groups->present = NULL;
	if (last != NULL)
		group_end(j, last, NULL);
}
