/*
 * reaper.c - one thread that sees runs off: whoever started one need not sleep for it.
 *
 * A run's end is told from one of its own threads, which cannot free it. It goes into a queue, and the reaper's thread
 * takes it from there: waits (which does not block any more), tells, destroys, tells again. A run may be over before
 * bm_run_start has returned; it is queued once both are known.
 *
 * It ends (serve_reaper_end) while libmicrohttpd's threads are still at requests, since they cannot be stopped before
 * all that wait for a run have been told. Who then comes for another run is refused.
 */
#include <signal.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_job.h"
#include "serve_internal.h"

struct serve_reaper {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;              /* waiter: the thread */
	struct serve_watched *first, **last; /* lock; the queue */
	size_t alive;                        /* lock; runs that are not gone */
	bool is_ending;                      /* lock */
	bool has_thread;                     /* whoever ends it */
};

static void queue_locked(struct serve_reaper *p, struct serve_watched *w)
{
	if (w->run == NULL || !w->is_over || w->is_queued)
		return;
	w->is_queued = true;
	w->next = NULL;
	*p->last = w;
	p->last = &w->next;
	pthread_cond_signal(&p->changed);
}

static void see_off(struct serve_watched *w)
{
	struct bm_summary sum;
	enum bm_status status = bm_run_wait(w->run, &sum);

	w->over(w, status, &sum);
	bm_run_destroy(w->run);
	w->gone(w);
}

static void *reaper_main(void *arg)
{
	struct serve_reaper *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct serve_watched *w = p->first;

		if (w == NULL && p->is_ending && p->alive == 0)
			break;
		if (w == NULL) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		p->first = w->next;
		if (p->first == NULL)
			p->last = &p->first;
		pthread_mutex_unlock(&p->lock);
		see_off(w);
		pthread_mutex_lock(&p->lock);
		p->alive--;
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

enum bm_status serve_reaper_create(struct serve_reaper **out, struct bm_error *err)
{
	struct serve_reaper *p = calloc(1, sizeof(*p));
	sigset_t all, old;
	int rc;

	*out = NULL;
	if (p == NULL)
		return bm_error_set_nomem(err);
	p->last = &p->first;
	rc = pthread_mutex_init(&p->lock, NULL);
	rc = rc != 0 ? rc : pthread_cond_init(&p->changed, NULL);
	if (rc == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		rc = pthread_create(&p->thread, NULL, reaper_main, p);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (rc != 0) {
		free(p);
		return bm_error_set_errno(err, rc, NULL, "cannot start a thread");
	}
	p->has_thread = true;
	*out = p;
	return BM_OK;
}

void serve_reaper_end(struct serve_reaper *p)
{
	if (!p->has_thread)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	p->has_thread = false;
}

void serve_reaper_destroy(struct serve_reaper *p)
{
	if (p == NULL)
		return;
	serve_reaper_end(p);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p);
}

static void on_end(void *ctx)
{
	struct serve_watched *w = ctx;
	struct serve_reaper *p = w->reaper;

	pthread_mutex_lock(&p->lock);
	w->is_over = true;
	queue_locked(p, w);
	pthread_mutex_unlock(&p->lock);
}

enum bm_status serve_reap(struct serve_reaper *p, struct serve_watched *w, struct bm_pool *pool,
                          const struct bm_jobs *jobs, struct bm_run_options *opt, struct bm_error *err)
{
	struct bm_run *run = NULL;
	enum bm_status status;
	bool is_ending;

	w->reaper = p;
	w->run = NULL;
	w->is_over = w->is_queued = false;
	opt->on_end = on_end;
	opt->ctx = w;
	pthread_mutex_lock(&p->lock);
	is_ending = p->is_ending;
	p->alive += !is_ending;
	pthread_mutex_unlock(&p->lock);
	if (is_ending)
		return bm_error_set(err, BM_ERR_CANCELLED, NULL, "the service is being stopped");
	status = bm_run_start_on(pool, jobs, opt, &run, err);
	pthread_mutex_lock(&p->lock);
	if (status == BM_OK) {
		w->run = run;
		queue_locked(p, w);
	} else {
		p->alive--;
	}
	pthread_mutex_unlock(&p->lock);
	return status;
}
