/*
 * pair.c - two chunks at once, at a stage that can do that (pair()).
 *
 * A worker whose chunk comes to such a stage HOLDS it there, inside its gate, and goes for one more piece of work, of
 * another stream: as a rule that is the next small file, and both go through the stage together. The one that is through
 * goes on as a ready chunk; the one that is not is held for the next. A chunk of a longer stream is held for one partner
 * at most: in the company of one small file after another it would get on slowly, and all behind it would wait.
 *
 * A held chunk can always go on, and waits for no callback but pair(). A worker holds one at most. It lets go of it when
 * it finds no other work, gives its permit away or begins to list; into all other callbacks it takes the chunk along as
 * something that any worker without work may take from it. For that, held is an atomic: whoever exchanges it for NULL
 * has the chunk.
 *
 * A worker holds nothing while files come from a disk: then there is no next one at once. Where a disk is asked for one
 * thing after another (io_depth 1) it holds no chunk of a longer stream, since the next piece of work would read another
 * file.
 */
#include "flow_internal.h"

bool bm_item_pairs(const struct bm_item *it)
{
	const struct bm_stage *st = bm_item_stage(it);

	return st->pair != NULL && st->kind == BM_STAGE_SERIAL && !it->alone;
}

enum bm_pair_result bm_pair_run(struct bm_worker *w, struct bm_item *it)
{
	const struct bm_stage *st = bm_item_stage(it);
	struct bm_item *held = atomic_exchange(&w->held, NULL);
	unsigned through = 0;

	if (held == NULL && w->unblocked >= BM_UNBLOCKED_ENOUGH && (it->solo || !w->pool->one_at_disk)) {
		w->holds = it;
		return BM_PAIR_HELD;
	}
	if (held != NULL && bm_item_stage(held) == st && held->stream != it->stream)
		through = st->pair(st->arg, held->stream->user, &held->c, it->stream->user, &it->c, w);
	if (through != 0)
		w->paired = true;
	if ((through & BM_PAIR_A) || (through != 0 && !held->solo)) {
		held->alone = !(through & BM_PAIR_A);
		w->freed = held;
	} else if (held != NULL) {
		atomic_store(&w->held, held);
	}
	if (through & BM_PAIR_B)
		return BM_PAIR_THROUGH;
	if ((through & BM_PAIR_A) && it->solo) {
		w->holds = it;
		return BM_PAIR_HELD;
	}
	it->alone = true;
	return BM_PAIR_NONE;
}

void bm_pair_settle_locked(struct bm_worker *w)
{
	struct bm_item *freed = w->freed;

	if (w->holds != NULL)
		atomic_store(&w->held, w->holds);
	w->holds = w->freed = NULL;
	if (freed == NULL)
		return;
	if (!freed->alone)
		bm_item_leave_stage_locked(freed);
	bm_pool_push_ready_locked(w->pool, freed);
}

struct bm_worker *bm_pool_find_held_locked(struct bm_pool *p)
{
	for (unsigned i = 0; i < p->threads; i++)
		if (atomic_load(&p->workers[i].held) != NULL)
			return &p->workers[i];
	return NULL;
}

bool bm_worker_run_held_locked(struct bm_worker *w, struct bm_worker *of)
{
	struct bm_item *it = atomic_exchange(&of->held, NULL);

	if (it == NULL)
		return false;
	it->alone = true;
	bm_item_run_locked(w, it);
	return true;
}

void bm_worker_let_go_locked(struct bm_worker *w)
{
	struct bm_item *it = atomic_exchange(&w->held, NULL);

	if (it == NULL)
		return;
	it->alone = true;
	bm_pool_push_ready_locked(w->pool, it);
}
