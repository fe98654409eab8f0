/*
 * runs_watch.c - those who watch a run: each is told of its changes, once after each time that it has gone to sleep.
 */
#include "runs_internal.h"

void run_wake_watches_locked(struct serve_run *r)
{
	for (struct serve_watch *w = r->watches; w != NULL; w = w->next)
		if (w->is_asleep) {
			w->is_asleep = false;
			w->wake(w);
		}
}

void run_changed_locked(struct serve_run *r)
{
	r->version++;
	run_wake_watches_locked(r);
}

void serve_watch_begin(struct serve_watch *w, struct serve_run *r)
{
	pthread_mutex_lock(&r->runs->lock);
	r->refs++;
	w->run = r;
	w->prev = NULL;
	w->next = r->watches;
	if (w->next != NULL)
		w->next->prev = w;
	r->watches = w;
	w->seen = UINT64_MAX;
	w->is_asleep = false;
	pthread_mutex_unlock(&r->runs->lock);
}

void serve_watch_end(struct serve_watch *w)
{
	struct serve_run *r = w->run;
	struct serve_runs *p = r->runs;

	pthread_mutex_lock(&p->lock);
	if (w->prev != NULL)
		w->prev->next = w->next;
	else
		r->watches = w->next;
	if (w->next != NULL)
		w->next->prev = w->prev;
	run_unref_locked(r);
	pthread_mutex_unlock(&p->lock);
}

enum serve_watch_news serve_watch_next(struct serve_watch *w, void (*sleep)(struct serve_watch *w))
{
	struct serve_run *r = w->run;
	enum serve_watch_news news;

	pthread_mutex_lock(&r->runs->lock);
	if (w->seen != r->version) {
		w->seen = r->version;
		w->pings = r->pings;
		news = SERVE_WATCH_CHANGED;
	} else if (run_is_over(r) || r->runs->is_stopping) {
		news = SERVE_WATCH_OVER;
	} else if (w->pings != r->pings) {
		w->pings = r->pings;
		news = SERVE_WATCH_PING;
	} else {
		w->is_asleep = true;
		sleep(w);
		news = SERVE_WATCH_NOTHING;
	}
	pthread_mutex_unlock(&r->runs->lock);
	return news;
}

void serve_runs_ping(struct serve_runs *p)
{
	pthread_mutex_lock(&p->lock);
	for (struct serve_run *r = p->newest; r != NULL; r = r->older)
		if (r->watches != NULL) {
			r->pings++;
			run_wake_watches_locked(r);
		}
	pthread_mutex_unlock(&p->lock);
}
