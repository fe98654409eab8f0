/*
 * job_next.c - what a job reads next: the walk's entries, but for those that this run writes itself, and where the job
 * verifies also what its manifest has and the walk has not. Both come in the byte order of whole paths, so that one look
 * at the head of each tells which is next; nothing is kept of either. URLs that changed while they were fetched come once
 * more (job_again.c).
 */
#include <stdlib.h>

#include "bm_error.h"
#include "resume.h"
#include "run_internal.h"

/* An entry that must not be read becomes one that says why. */
static void entry_to_error(struct bm_entry *e, const struct bm_error *err)
{
	if (e->kind == BM_ENTRY_ERROR)
		return;
	e->error = malloc(sizeof(*e->error));
	if (e->error == NULL)
		return; /* then it fails when it is read, of the same cause */
	*e->error = *err;
	e->kind = BM_ENTRY_ERROR;
}

static struct bm_entry *walk_on(struct job_run *j, const struct bm_blocker *b)
{
	struct bm_entry *e;

	while ((e = bm_walk_next(j->walk, b)) != NULL) {
		if (!outputs_has_input(j->run->outputs, j, e))
			break;
		j->own_outputs++;
		bm_entry_destroy(e);
	}
	return e;
}

/* The next entry, with what the verifier has to say about it in *state; NULL at the end, or where err is set. */
static struct bm_entry *next_entry(struct job_run *j, struct bm_worker *w, void **state, struct bm_error *err)
{
	struct bm_blocker b = bm_blocker_of(&j->ctx, w);
	size_t v = j->plan->verifier;
	struct bm_entry *e, *extra;

	*state = NULL;
	if (v == 0)
		return walk_on(j, &b);
	for (;;) {
		if (j->walked == NULL && !j->walk_is_over) {
			j->walked = walk_on(j, &b);
			j->walk_is_over = j->walked == NULL;
		}
		switch (j->job->steps[v].kind->ops->expect(j->plan->shared[v], j->walked, &extra, state, w, err)) {
		case BM_EXPECT_WALKED:
			e = j->walked;
			j->walked = NULL;
			return e;
		case BM_EXPECT_EXTRA:
			return extra;
		case BM_EXPECT_PASS:
			bm_entry_destroy(j->walked);
			j->walked = NULL;
			break;
		case BM_EXPECT_END:
		case BM_EXPECT_FAILED:
			return NULL;
		}
	}
}

enum bm_next_result job_next(void *ctx, struct bm_worker *w, void **stream)
{
	struct job_run *j = ctx;
	struct bm_error err;
	struct bm_entry *e;
	struct bm_file *f;
	void *state = NULL;

	bm_error_clear(&err);
	f = job_again_next(j, w, false);
	e = f == NULL ? next_entry(j, w, &state, &err) : NULL;
	if (f == NULL && e == NULL && err.status == BM_OK)
		f = job_again_next(j, w, true);
	if (f != NULL) {
		*stream = f;
		return BM_NEXT_STREAM;
	}
	if (e == NULL) {
		if (err.status != BM_OK)
			job_trouble(j, &err);
		return BM_NEXT_END;
	}
	if (outputs_claim(j->run->outputs, j, e, &err) != BM_OK)
		entry_to_error(e, &err);
	f = bm_file_create(j->plan, e, j->next_index);
	if (f == NULL) {
		free(state);
		bm_error_clear(&err);
		(void)bm_error_set_nomem(&err);
		job_trouble(j, &err);
		return BM_NEXT_END;
	}
	resume_look(j, f, w);
	if (state != NULL)
		f->state[j->plan->verifier] = state;
	j->next_index++;
	if (!j->run->opt.count_first)
		atomic_fetch_add_explicit(&j->run->files_total, 1, memory_order_relaxed);
	if (e->kind == BM_ENTRY_URL)
		job_again_opened(j);
	*stream = f;
	return BM_NEXT_STREAM;
}
