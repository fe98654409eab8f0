/*
 * windows.c - see bm_windows.h.
 *
 * A thread waits here in a fill() of the engine, with a stream of its own open, so that care is needed not to wait for
 * somebody who waits for us. What a stream that holds a window may need to get on:
 *   - a thread. One at least does not wait here.
 *   - tokens: every segment of every open stream has one of its own.
 *   - streams of its own flow that come before it, at an IN_ORDER stage. Never such as come later, nor those of other
 *     flows.
 *   - itself, where several layers of one file have windows.
 * Hence the rule: a stream does not wait while a window is held by the same stream, or by a later one of its flow where
 * that has an IN_ORDER stage; it takes its own, beyond the limit if need be, also where it was already waiting when the
 * later one got there. Then whatever a holder is waiting for is not waiting here, and every holder gets on. Those who wait
 * are let in with the lowest index first, so that the rule is seldom needed.
 *
 * Nobody who holds a window waits for a larger one: the old one is given back first (it is free, between two frames).
 * Only regular files wait: the bytes of a pipe may come from somebody who is stuck at another pipe that we should be
 * reading.
 *
 * So the limit is passed by pipes, by files that others of their flow may depend on, and by the last thread that does not
 * wait: by a window or two, not by one a file.
 */
#include "bm_windows.h"

#include <pthread.h>
#include <stdlib.h>

#include "bm_error.h"

struct bm_windows {
	uint64_t limit;
	pthread_mutex_t lock;   /* of everything below, and of all claims */
	pthread_cond_t changed; /* a claim was granted or given back */
	struct bm_window_claim *held, *waiting;
	unsigned waiting_count;
	uint64_t in_use, peak;
};

enum bm_status bm_windows_create(uint64_t limit_bytes, struct bm_windows **out, struct bm_error *err)
{
	struct bm_windows *x = calloc(1, sizeof(*x));
	int rc;

	*out = NULL;
	if (x == NULL)
		return bm_error_set_nomem(err);
	x->limit = limit_bytes;
	rc = pthread_mutex_init(&x->lock, NULL);
	if (rc == 0) {
		rc = pthread_cond_init(&x->changed, NULL);
		if (rc != 0)
			pthread_mutex_destroy(&x->lock);
	}
	if (rc != 0) {
		free(x);
		return bm_error_set_errno(err, rc, NULL, "cannot make a lock");
	}
	*out = x;
	return BM_OK;
}

void bm_windows_destroy(struct bm_windows *x)
{
	if (x == NULL)
		return;
	pthread_cond_destroy(&x->changed);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

static void push(struct bm_window_claim **list, struct bm_window_claim *c)
{
	c->next = *list;
	*list = c;
}

static void drop(struct bm_window_claim **list, struct bm_window_claim *c)
{
	while (*list != c)
		list = &(*list)->next;
	*list = c->next;
	c->next = NULL;
}

/* Does somebody hold a window who may depend on c? See above. */
static bool is_needed_locked(const struct bm_windows *x, const struct bm_window_claim *c)
{
	const bool in_order = bm_flow_is_in_order(c->flow);

	for (const struct bm_window_claim *h = x->held; h != NULL; h = h->next)
		if (h->flow == c->flow && (h->index == c->index || (in_order && h->index > c->index)))
			return true;
	return false;
}

static bool is_first_locked(const struct bm_windows *x, const struct bm_window_claim *c)
{
	for (const struct bm_window_claim *o = x->waiting; o != NULL; o = o->next)
		if (o != c && o->index < c->index)
			return false;
	return true;
}

static bool fits_locked(const struct bm_windows *x, const struct bm_window_claim *c)
{
	return x->in_use == 0 || (x->in_use < x->limit && c->bytes <= x->limit - x->in_use);
}

void bm_windows_take(struct bm_windows *x, struct bm_window_claim *c, uint64_t bytes, uint64_t index, bool may_wait,
                     struct bm_worker *w)
{
	bool waited = false;

	pthread_mutex_lock(&x->lock);
	c->bytes = bytes;
	c->flow = bm_worker_flow(w);
	c->index = index;
	while (may_wait && !is_needed_locked(x, c) && !(fits_locked(x, c) && is_first_locked(x, c))) {
		const unsigned others = x->waiting_count - (waited ? 1 : 0);

		/* Asked again once we wait: blocking starts the thread that is to go on, where that can be. */
		if (others + 1 >= bm_worker_threads(w))
			break;
		if (!waited) {
			waited = true;
			x->waiting_count++;
			push(&x->waiting, c);
			pthread_mutex_unlock(&x->lock);
			bm_worker_block(w);
			pthread_mutex_lock(&x->lock);
			continue;
		}
		pthread_cond_wait(&x->changed, &x->lock);
	}
	if (waited) {
		x->waiting_count--;
		drop(&x->waiting, c);
	}
	push(&x->held, c);
	x->in_use += bytes;
	if (x->in_use > x->peak)
		x->peak = x->in_use;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (waited)
		bm_worker_unblock(w);
}

void bm_windows_give(struct bm_windows *x, struct bm_window_claim *c)
{
	if (c->bytes == 0)
		return;
	pthread_mutex_lock(&x->lock);
	drop(&x->held, c);
	x->in_use -= c->bytes;
	c->bytes = 0;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
}

uint64_t bm_windows_peak_bytes(struct bm_windows *x)
{
	uint64_t peak;

	pthread_mutex_lock(&x->lock);
	peak = x->peak;
	pthread_mutex_unlock(&x->lock);
	return peak;
}
