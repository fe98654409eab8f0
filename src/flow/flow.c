/*
 * flow.c - a flow's life: start, listing and opening streams, cancel, the end.
 *
 * Streams are listed a little ahead of use (planned), by one thread at a time, each as next() gives it, so that a slow
 * listing holds nobody up. A stream is opened only with the reserve of all its segments in hand and in listing order;
 * the oldest open stream therefore never waits for a younger one. Where several flows share a pool and one of them finds
 * no memory for its first stream, it is named as starving, and until it got what it needs no other flow takes more than
 * it holds: what they hold drains, so that the wait ends.
 *
 * A flow is done when the listing has ended and every stream that was listed has had its end().
 */
#include <stdlib.h>

#include "flow_internal.h"

size_t bm_flow_min_bytes(const struct bm_pipeline *pl)
{
	size_t sum = 0;

	for (size_t g = 0; g < pl->segment_count; g++)
		for (unsigned i = 0; i < 2; i++)
			if (__builtin_add_overflow(sum, pl->segments[g].buffer_bytes[i], &sum))
				return SIZE_MAX;
	return sum;
}

bool bm_flow_is_over_locked(const struct bm_flow *f)
{
	return !f->finishing && f->source_ended && !f->source_busy && f->planned_count == 0 && f->open_count == 0 &&
	       f->ending == 0;
}

void bm_flow_maybe_finish_locked(struct bm_worker *w, struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	if (!bm_flow_is_over_locked(f))
		return;
	if (!bm_worker_regain_locked(w)) {
		bm_pool_wake_locked(p); /* a thread that has a permit will find it (WORK_FINISH) */
		return;
	}
	f->finishing = true;
	if (p->starving == f)
		p->starving = NULL;
	if (f->pl.done != NULL) {
		bm_worker_begin_callback_locked(w);
		w->flow = f;
		f->pl.done(f->pl.ctx);
		pthread_mutex_lock(&p->lock);
	}
	bm_flow_free_items_locked(f);
	p->exhausted = false;
	*(f->prev != NULL ? &f->prev->next : &p->flows_head) = f->next;
	*(f->next != NULL ? &f->next->prev : &p->flows_tail) = f->prev;
	f->finished = true;
	pthread_cond_broadcast(&f->done_cond);
	/* From here on the owner may free f. What it held, others can use. */
	bm_pool_wake_locked(p);
}

/* ---- listing and opening ---- */

bool bm_flow_wants_list_locked(const struct bm_flow *f)
{
	return !f->source_busy && !f->source_ended && f->planned_count < BM_FLOW_PLANNED;
}

void bm_flow_list_locked(struct bm_worker *w, struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	f->source_busy = true;
	while (f->planned_count < BM_FLOW_PLANNED) {
		void *user = NULL;
		enum bm_next_result r = BM_NEXT_END;

		if (!atomic_load_explicit(&f->cancelled, memory_order_relaxed)) {
			bm_worker_begin_callback_locked(w);
			w->flow = f;
			r = f->pl.next(f->pl.ctx, w, &user);
			pthread_mutex_lock(&p->lock);
		}
		if (r == BM_NEXT_END) {
			f->source_ended = true;
			break;
		}
		f->planned[(f->planned_first + f->planned_count) % BM_FLOW_PLANNED] = user;
		f->planned_count++;
		bm_pool_wake_locked(p);
		/* A thread that has a permit goes on with the listing when it comes to it, and when the disk is free. */
		if (!bm_worker_regain_locked(w) || p->at_disk > 0)
			break;
	}
	f->source_busy = false;
	bm_flow_maybe_finish_locked(w, f);
}

bool bm_flow_can_open_locked(struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	if (f->planned_count == 0 || f->open_count >= p->max_open || (p->starving != NULL && p->starving != f))
		return false;
	if (f->min_bytes <= p->budget - p->in_use && (f->free_streams != NULL || !p->exhausted || f->open_count == 0))
		return true;
	if (f->open_count == 0)
		p->starving = f;
	return false;
}

static void *planned_pop_locked(struct bm_flow *f)
{
	void *user = f->planned[f->planned_first];

	f->planned_first = (f->planned_first + 1) % BM_FLOW_PLANNED;
	f->planned_count--;
	return user;
}

/* The planned stream that comes first ends without ever having been opened. */
static void planned_end_locked(struct bm_worker *w, struct bm_flow *f, enum bm_status why)
{
	struct bm_error err = BM_ERROR_INIT;
	void *user = planned_pop_locked(f);

	f->ending++;
	bm_worker_begin_callback_locked(w);
	(void)bm_error_set(&err, why, NULL, "%s", bm_status_text(why));
	w->flow = f;
	f->pl.end(f->pl.ctx, user, w, &err);
	pthread_mutex_lock(&f->pool->lock);
	f->ending--;
	bm_flow_maybe_finish_locked(w, f);
}

/* Cancelled: no stream will be opened any more, so that nobody waits for this one's turn. */
void bm_flow_drop_planned_locked(struct bm_worker *w, struct bm_flow *f)
{
	planned_end_locked(w, f, BM_ERR_CANCELLED);
}

void bm_flow_open_locked(struct bm_worker *w, struct bm_flow *f)
{
	struct bm_pool *p = f->pool;
	struct bm_stream *s = f->free_streams;

	if (s != NULL) {
		f->free_streams = s->next;
	} else if ((s = bm_stream_create(f)) == NULL) {
		p->exhausted = true;
		/* With others open their streams will be used again; with none, this one cannot be helped. */
		if (f->open_count > 0)
			return;
		/* No stream of this index will come to an IN_ORDER stage, and all before it are through. */
		f->next_index++;
		for (unsigned i = 0; i < f->in_order_count; i++)
			f->turn[f->in_order_gates[i]]++;
		planned_end_locked(w, f, BM_ERR_NOMEM);
		return;
	}
	if (p->starving == f)
		p->starving = NULL;
	bm_stream_open_locked(f, s, planned_pop_locked(f));
	bm_pool_wake_locked(p);
	bm_stream_fill_locked(w, s, 0);
}

/* ---- start, cancel, wait ---- */

static void flow_free(struct bm_flow *f)
{
	while (f->free_streams != NULL) {
		struct bm_stream *s = f->free_streams;

		f->free_streams = s->next;
		free(s);
	}
	pthread_cond_destroy(&f->done_cond);
	free(f);
}

/* The pipeline's constants: which stage has which gate, how large a token is. */
static enum bm_status flow_layout(struct bm_flow *f, struct bm_error *err)
{
	size_t stages = 0;

	for (unsigned g = 0; g < f->pl.segment_count; g++) {
		const struct bm_segment *seg = &f->pl.segments[g];

		stages += seg->stage_count;
		if (seg->buffer_bytes[0] == 0 || stages > BM_FLOW_MAX_STAGES)
			return bm_error_set(err, BM_ERR_LIMIT, NULL, "%zu stages in %zu segments; allowed: %d in %d",
			                    stages, f->pl.segment_count, BM_FLOW_MAX_STAGES, BM_FLOW_MAX_SEGMENTS);
		f->token_bytes[g] = seg->buffer_bytes[0] + seg->buffer_bytes[1];
		for (unsigned i = 0; i < seg->stage_count; i++) {
			if (seg->stages[i].kind == BM_STAGE_IN_ORDER)
				f->in_order_gates[f->in_order_count++] = f->gate_count;
			if (seg->stages[i].kind != BM_STAGE_PARALLEL)
				f->gate_of[g][i] = f->gate_count++;
		}
	}
	return BM_OK;
}

bool bm_flow_is_in_order(const struct bm_flow *f)
{
	return f->in_order_count > 0;
}

enum bm_status bm_flow_start(struct bm_pool *p, const struct bm_pipeline *pl, struct bm_flow **out,
                             struct bm_error *err)
{
	struct bm_flow *f = NULL;
	enum bm_status status;
	int rc;

	*out = NULL;
	if (pl->segment_count < 1 || pl->segment_count > BM_FLOW_MAX_SEGMENTS)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "%zu segments; allowed: 1 to %d", pl->segment_count,
		                    BM_FLOW_MAX_SEGMENTS);
	size_t min_bytes = bm_flow_min_bytes(pl);
	if (min_bytes > p->budget)
		return bm_error_set(
			err, BM_ERR_NOMEM, NULL,
			"memory for buffers is %zu bytes, but one file at a time needs %zu; allow more memory or "
			"smaller chunks",
			p->budget, min_bytes);
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return bm_error_set_nomem(err);
	f->pool = p;
	f->pl = *pl;
	f->min_bytes = min_bytes;
	atomic_init(&f->cancelled, false);
	status = flow_layout(f, err);
	if (status != BM_OK) {
		free(f);
		return status;
	}
	rc = pthread_cond_init(&f->done_cond, NULL);
	if (rc != 0) {
		free(f);
		return bm_error_set_errno(err, rc, NULL, "cannot make a condition variable");
	}

	pthread_mutex_lock(&p->lock);
	/* What could not be had once may be there now. */
	p->exhausted = false;
	p->max_threads = p->most_threads;
	if (!bm_pool_ensure_thread_locked(p)) {
		pthread_mutex_unlock(&p->lock);
		flow_free(f);
		return bm_error_set(err, BM_ERR_NOMEM, NULL,
		                    "not even one thread could be started; check the limit of processes (ulimit -u)");
	}
	f->prev = p->flows_tail;
	*(p->flows_tail != NULL ? &p->flows_tail->next : &p->flows_head) = f;
	p->flows_tail = f;
	/* Before a worker can see the flow end: the callbacks may ask for *out through the owner. */
	*out = f;
	bm_pool_wake_locked(p);
	pthread_mutex_unlock(&p->lock);
	return BM_OK;
}

void bm_flow_cancel(struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	pthread_mutex_lock(&p->lock);
	atomic_store_explicit(&f->cancelled, true, memory_order_relaxed);
	if (p->starving == f)
		p->starving = NULL;
	/* Work is found by the ordinary search: what is planned is dropped, open segments emit their last, failed chunk. */
	bm_pool_wake_locked(p);
	pthread_mutex_unlock(&p->lock);
}

void bm_flow_wake(struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	pthread_mutex_lock(&p->lock);
	for (struct bm_stream *s = f->open_head; s != NULL; s = s->next) {
		s->segments[0].woken = s->segments[0].filling;
		s->segments[0].asleep = false;
	}
	bm_pool_wake_locked(p);
	pthread_mutex_unlock(&p->lock);
}

bool bm_flow_is_cancelled(const struct bm_flow *f)
{
	return atomic_load_explicit(&f->cancelled, memory_order_relaxed);
}

void bm_flow_wait(struct bm_flow *f)
{
	pthread_mutex_lock(&f->pool->lock);
	while (!f->finished)
		pthread_cond_wait(&f->done_cond, &f->pool->lock);
	pthread_mutex_unlock(&f->pool->lock);
}

void bm_flow_destroy(struct bm_flow *f)
{
	if (f == NULL)
		return;
	bm_flow_wait(f);
	flow_free(f);
}
