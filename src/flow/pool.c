/*
 * pool.c - the threads, their permits, and what a thread does next.
 *
 * There are as many permits as CPUs, and io_depth threads more than permits. A thread runs callbacks only with a permit,
 * but for the time between bm_worker_block() and bm_worker_unblock(), when it sits in the kernel and another thread has
 * its permit. Coming back it goes on at once and looks for a permit when its callback has returned: if there is none, its
 * chunk is queued as ready, and the thread, not the chunk's turn, waits.
 *
 * An idle thread waits in one place, for a grant: a permit that was taken on its behalf by the thread that saw the work
 * (bm_pool_wake_locked). So a wake-up is never lost, never doubled, and costs nothing while all permits are in use, which
 * is the normal state. A woken thread that finds more work than its own wakes the next one.
 *
 * What next, in this order: a chunk that is ready (it holds a token: the sooner it is done the better); room in the
 * oldest open stream; the next stream; listing streams ahead. Listing comes before opening while less than half of the list is
 * full, so that the other threads do not run dry while directories are read from a disk. Flows take turns. Last comes a
 * chunk that some worker holds until it has company (pair.c).
 *
 * With an io_depth of 1 what would read (a first segment's fill, a new stream, the next name of a listing) is not begun
 * while a thread waits at a disk: a spinning one is then asked for one thing after another, however many CPUs there are.
 */
#include <signal.h>
#include <stdlib.h>

#include "bm_mutex.h"
#include "flow_internal.h"

#define UNPAIRED_MOST 4 /* pieces of work that a chunk waits for a partner */

enum work_kind { WORK_NONE, WORK_ITEM, WORK_CLOSE, WORK_FINISH, WORK_DROP, WORK_FILL, WORK_OPEN, WORK_LIST };

struct work {
	enum work_kind kind;
	struct bm_flow *flow;
	struct bm_stream *stream;
	unsigned segment;
};

/* Not by filling the stream to avoid (or NULL): a chunk of it waits for one of another stream. */
static struct work flow_find_work_locked(struct bm_flow *f, const struct bm_stream *avoid)
{
	struct work k = {WORK_NONE, f, NULL, 0};

	if (f->drained != NULL) {
		k.kind = WORK_CLOSE;
		return k;
	}
	if (bm_flow_is_over_locked(f)) {
		k.kind = WORK_FINISH;
		return k;
	}
	if (f->planned_count > 0 && atomic_load_explicit(&f->cancelled, memory_order_relaxed)) {
		k.kind = WORK_DROP;
		return k;
	}
	/* Of a cancelled flow nothing is read. */
	bool may_read = f->pool->at_disk == 0 || atomic_load_explicit(&f->cancelled, memory_order_relaxed);
	for (struct bm_stream *s = f->fillable_head; s != NULL; s = s->fill_next) {
		if (s != avoid && bm_stream_can_fill_locked(s, &k.segment) && (k.segment > 0 || may_read)) {
			k.kind = WORK_FILL;
			k.stream = s;
			return k;
		}
	}
	if (!may_read)
		return k;
	bool list = bm_flow_wants_list_locked(f);
	bool open = bm_flow_can_open_locked(f);
	if (list && (!open || f->planned_count < BM_FLOW_PLANNED / 2))
		k.kind = WORK_LIST;
	else if (open)
		k.kind = WORK_OPEN;
	return k;
}

static struct work find_work_locked(struct bm_pool *p, const struct bm_stream *avoid)
{
	struct work none = {WORK_NONE, NULL, NULL, 0};

	if (p->ready.head != NULL) {
		none.kind = WORK_ITEM;
		return none;
	}
	for (struct bm_flow *f = p->flows_head; f != NULL; f = f->next) {
		struct work k = flow_find_work_locked(f, avoid);

		if (k.kind != WORK_NONE)
			return k;
	}
	return none;
}

static void flow_to_tail_locked(struct bm_flow *f)
{
	struct bm_pool *p = f->pool;

	if (p->flows_tail == f)
		return;
	*(f->prev != NULL ? &f->prev->next : &p->flows_head) = f->next;
	f->next->prev = f->prev;
	f->prev = p->flows_tail;
	f->next = NULL;
	p->flows_tail->next = f;
	p->flows_tail = f;
}

static struct bm_item *pop_ready_locked(struct bm_pool *p)
{
	struct bm_item *it = p->ready.head;

	p->ready.head = it->next;
	if (p->ready.head == NULL)
		p->ready.tail = NULL;
	it->next = NULL;
	return it;
}

void bm_pool_push_ready_locked(struct bm_pool *p, struct bm_item *it)
{
	it->next = it->prev = NULL;
	if (p->ready.tail != NULL)
		p->ready.tail->next = it;
	else
		p->ready.head = it;
	p->ready.tail = it;
	bm_pool_wake_locked(p);
}

/* ---- threads ---- */

static bool work_once_locked(struct bm_worker *w)
{
	struct bm_pool *p = w->pool;
	struct bm_item *held = atomic_load(&w->held);
	struct work k = find_work_locked(p, held != NULL ? held->stream : NULL);

	/* Listing goes on for many streams. */
	if (held != NULL && (k.kind == WORK_NONE || k.kind == WORK_LIST))
		return bm_worker_run_held_locked(w, w);
	if (k.kind == WORK_NONE) {
		struct bm_worker *other = bm_pool_find_held_locked(p);

		return other != NULL && bm_worker_run_held_locked(w, other);
	}
	w->paired = false;
	if (k.flow != NULL)
		flow_to_tail_locked(k.flow);
	switch (k.kind) {
	case WORK_ITEM: {
		struct bm_item *it = pop_ready_locked(p);

		bm_pool_wake_locked(p);
		bm_item_run_locked(w, it);
		break;
	}
	case WORK_CLOSE: {
		struct bm_stream *s = k.flow->drained;

		k.flow->drained = s->fill_next;
		s->fill_next = NULL;
		s->in_drained = false;
		bm_stream_maybe_close_locked(w, s);
		break;
	}
	case WORK_FINISH:
		bm_flow_maybe_finish_locked(w, k.flow);
		break;
	case WORK_DROP:
		bm_flow_drop_planned_locked(w, k.flow);
		break;
	case WORK_FILL:
		bm_stream_fill_locked(w, k.stream, k.segment);
		break;
	case WORK_OPEN:
		bm_flow_open_locked(w, k.flow);
		break;
	case WORK_LIST:
		bm_flow_list_locked(w, k.flow);
		break;
	case WORK_NONE:
		break;
	}
	/* What waits for a partner does not wait for long. */
	w->unpaired = held != NULL && held == atomic_load(&w->held) && !w->paired ? w->unpaired + 1 : 0;
	if (w->unpaired >= UNPAIRED_MOST)
		(void)bm_worker_run_held_locked(w, w);
	return true;
}

static void *worker_main(void *arg)
{
	struct bm_worker *w = arg;
	struct bm_pool *p = w->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->grants == 0 && !p->stopping)
			pthread_cond_wait(&p->work_cond, &p->lock);
		if (p->grants == 0)
			break;
		p->grants--;
		p->idle--;
		w->has_permit = true;
		while (bm_worker_regain_locked(w) && work_once_locked(w))
			;
		if (w->has_permit) {
			w->has_permit = false;
			p->active--;
		}
		p->idle++;
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* A new thread, with all signals blocked: they are the program's business. False where none can be had. */
static bool start_thread_locked(struct bm_pool *p)
{
	struct bm_worker *w = &p->workers[p->threads];
	sigset_t all, old;
	int rc;

	w->pool = p;
	w->index = p->threads;
	sigfillset(&all);
	rc = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (rc != 0)
		return false;
	rc = pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		/* Fewer threads do the same work. The next flow's start may have more luck. */
		if (p->threads > 0)
			p->max_threads = p->threads;
		return false;
	}
	p->threads++;
	p->idle++; /* it will look for a grant before it sleeps */
	return true;
}

bool bm_pool_ensure_thread_locked(struct bm_pool *p)
{
	return p->threads > 0 || start_thread_locked(p);
}

void bm_pool_wake_locked(struct bm_pool *p)
{
	if (p->active >= p->permits ||
	    (find_work_locked(p, NULL).kind == WORK_NONE && bm_pool_find_held_locked(p) == NULL))
		return;
	if (p->idle > p->grants)
		pthread_cond_signal(&p->work_cond);
	else if (p->threads >= p->max_threads || !start_thread_locked(p))
		return;
	p->grants++;
	p->active++;
}

bool bm_worker_regain_locked(struct bm_worker *w)
{
	if (!w->has_permit && w->pool->active < w->pool->permits) {
		w->pool->active++;
		w->has_permit = true;
	}
	return w->has_permit;
}

static void give_permit_locked(struct bm_worker *w)
{
	struct bm_pool *p = w->pool;

	if (!w->has_permit)
		return; /* given up earlier in the same callback */
	w->has_permit = false;
	w->unblocked = 0;
	p->active--;
	bm_worker_let_go_locked(w);
	bm_pool_wake_locked(p);
}

void bm_worker_begin_callback_locked(struct bm_worker *w)
{
	if (atomic_load(&w->held) != NULL)
		bm_pool_wake_locked(w->pool);
	pthread_mutex_unlock(&w->pool->lock);
}

void bm_worker_block(struct bm_worker *w)
{
	if (!w->has_permit)
		return;
	pthread_mutex_lock(&w->pool->lock);
	give_permit_locked(w);
	pthread_mutex_unlock(&w->pool->lock);
}

void bm_worker_block_disk(struct bm_worker *w)
{
	struct bm_pool *p = w->pool;

	if (!p->one_at_disk) {
		bm_worker_block(w);
		return;
	}
	pthread_mutex_lock(&p->lock);
	w->at_disk = true;
	p->at_disk++;
	give_permit_locked(w);
	pthread_mutex_unlock(&p->lock);
}

/* The permit is taken again when the callback has returned: see above. */
void bm_worker_unblock(struct bm_worker *w)
{
	struct bm_pool *p = w->pool;

	if (!w->at_disk)
		return;
	w->at_disk = false;
	pthread_mutex_lock(&p->lock);
	p->at_disk--;
	/* Others may read when the callback has returned: it may have to read more first, and its data want a permit. */
	(void)bm_worker_regain_locked(w);
	pthread_mutex_unlock(&p->lock);
}

struct bm_flow *bm_worker_flow(struct bm_worker *w)
{
	return w->flow;
}

unsigned bm_worker_index(const struct bm_worker *w)
{
	return w->index;
}

unsigned bm_worker_threads(const struct bm_worker *w)
{
	struct bm_pool *p = w->pool;
	unsigned threads;

	pthread_mutex_lock(&p->lock);
	threads = p->max_threads;
	pthread_mutex_unlock(&p->lock);
	return threads;
}

/* ---- the pool ---- */

enum bm_status bm_pool_create(const struct bm_pool_options *opt, struct bm_pool **out, struct bm_error *err)
{
	struct bm_pool *p = NULL;
	int rc;

	*out = NULL;
	if (opt->permits < 1 || opt->permits > 1024 || opt->io_depth > 1024)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "%u threads and %u for I/O; allowed: 1 to 1024, and up to 1024", opt->permits,
		                    opt->io_depth);
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->permits = opt->permits;
	p->most_threads = p->max_threads = opt->permits + opt->io_depth;
	p->one_at_disk = opt->io_depth <= 1;
	p->window = 2 * opt->permits + opt->io_depth + 2;
	p->max_open = 2 * p->max_threads + 8;
	if (opt->max_streams > 0 && opt->max_streams < p->max_open)
		p->max_open = opt->max_streams;
	p->budget = opt->memory_bytes;
	p->workers = calloc(p->max_threads, sizeof(*p->workers));
	if (p->workers == NULL) {
		free(p);
		return bm_error_set_nomem(err);
	}
	rc = bm_mutex_init_short(&p->lock);
	if (rc == 0) {
		rc = pthread_cond_init(&p->work_cond, NULL);
		if (rc != 0)
			pthread_mutex_destroy(&p->lock);
	}
	if (rc != 0) {
		free(p->workers);
		free(p);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	*out = p;
	return BM_OK;
}

void bm_pool_destroy(struct bm_pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->work_cond);
	unsigned threads = p->threads;
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(p->workers[i].thread, NULL);
	pthread_cond_destroy(&p->work_cond);
	pthread_mutex_destroy(&p->lock);
	free(p->workers);
	free(p);
}

void bm_pool_get_options(const struct bm_pool *p, struct bm_pool_options *out)
{
	/* Constant, all of them. */
	*out = (struct bm_pool_options){
		.permits = p->permits,
		.io_depth = p->most_threads - p->permits,
		.memory_bytes = p->budget,
		.max_streams = p->max_open,
	};
}

void bm_pool_get_stats(struct bm_pool *p, struct bm_pool_stats *out)
{
	pthread_mutex_lock(&p->lock);
	out->memory_peak_bytes = p->allocated_peak;
	out->threads = p->threads;
	out->chunks = p->chunks;
	out->parked = p->parked;
	pthread_mutex_unlock(&p->lock);
}
