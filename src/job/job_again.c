/*
 * job_again.c - inputs that are read a second time from the start: URLs that changed on the server while they were
 * fetched.
 *
 * What the steps have made of the old version is dropped as with any failure; then the same entry, under the same number
 * in the listing order, is given to the engine as one more stream. So next() must not say that it is at the end while
 * such a file may still come back: it waits for the URLs that are open. That takes a thread, which does nothing but wait;
 * where there is only one the file fails instead. So it does where outputs are joined in listing order, since streams
 * cannot be put in between.
 */

#include "bm_error.h"
#include "run_internal.h"

#define AGAIN_MOST 3

bool job_again_wanted(struct job_run *j, const struct bm_file *f, const struct bm_error *err, struct bm_worker *w)
{
	return f->entry->kind == BM_ENTRY_URL && err != NULL && err->status == BM_ERR_CHANGED &&
	       f->again < AGAIN_MOST && !j->plan->in_order && bm_worker_threads(w) > 1 && !atomic_load(&j->stop) &&
	       !atomic_load(&j->run->cancelled);
}

void job_again_put(struct job_run *j, struct bm_file *f)
{
	struct bm_file *fresh = bm_file_create(j->plan, f->entry, f->index);

	f->entry = NULL;
	pthread_mutex_lock(&j->again_lock);
	if (fresh != NULL) {
		fresh->again = f->again + 1;
		bm_file_warn(fresh, "changed on the server while it was fetched: fetched once more from the start");
		fresh->next_again = j->again;
		j->again = fresh;
	}
	j->urls_open--;
	pthread_cond_broadcast(&j->again_cond);
	pthread_mutex_unlock(&j->again_lock);
	if (fresh == NULL) {
		struct bm_error err = BM_ERROR_INIT;

		(void)bm_error_set_nomem(&err);
		job_trouble(j, &err);
	}
}

void job_again_opened(struct job_run *j)
{
	j->any_urls = true;
	pthread_mutex_lock(&j->again_lock);
	j->urls_open++;
	pthread_mutex_unlock(&j->again_lock);
}

void job_again_closed(struct job_run *j)
{
	pthread_mutex_lock(&j->again_lock);
	j->urls_open--;
	pthread_cond_broadcast(&j->again_cond);
	pthread_mutex_unlock(&j->again_lock);
}

struct bm_file *job_again_next(struct job_run *j, struct bm_worker *w, bool is_end)
{
	struct bm_file *f;
	bool blocked = false;

	if (!j->any_urls)
		return NULL;
	pthread_mutex_lock(&j->again_lock);
	while (is_end && j->again == NULL && j->urls_open > 0 && bm_worker_threads(w) > 1) {
		if (!blocked) {
			pthread_mutex_unlock(&j->again_lock);
			bm_worker_block(w);
			pthread_mutex_lock(&j->again_lock);
			blocked = true;
			continue;
		}
		pthread_cond_wait(&j->again_cond, &j->again_lock);
	}
	f = j->again;
	if (f != NULL) {
		j->again = f->next_again;
		j->urls_open++;
	}
	pthread_mutex_unlock(&j->again_lock);
	if (blocked)
		bm_worker_unblock(w);
	return f;
}

void job_again_give_up(struct job_run *j)
{
	struct bm_buf nothing = {0};

	while (j->again != NULL) {
		struct bm_file *f = j->again;
		struct bm_error err = BM_ERROR_INIT;

		j->again = f->next_again;
		(void)!bm_order_put(j->order, f->index, &nothing, &err);
		bm_file_destroy(f);
	}
	bm_buf_fini(&nothing);
}
