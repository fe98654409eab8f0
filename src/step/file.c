/*
 * file.c - one input on its way (struct bm_file), and the small things that all steps use.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_plan.h"

struct bm_file *bm_file_create(const struct bm_plan *p, struct bm_entry *e, uint64_t index)
{
	struct bm_file *f = calloc(1, sizeof(*f) + p->step_count * sizeof(f->state[0]));

	if (f == NULL) {
		bm_entry_destroy(e);
		return NULL;
	}
	f->ctx = p->ctx;
	f->plan = p;
	f->entry = e;
	f->index = index;
	return f;
}

void bm_file_destroy(struct bm_file *f)
{
	if (f == NULL)
		return;
	bm_file_drop_waiting(f);
	bm_source_close(f->source);
	bm_buf_fini(&f->warnings);
	free(f->damage);
	free(f->known);
	bm_entry_destroy(f->entry);
	free(f);
}

void bm_file_results_reset(struct bm_file_results *r)
{
	struct bm_file_output *outputs = (struct bm_file_output *)(void *)r->outputs.data;

	for (size_t i = 0; i < r->outputs.len / sizeof(*outputs); i++)
		free((char *)(uintptr_t)outputs[i].path);
	bm_buf_reset(&r->digests);
	bm_buf_reset(&r->digest_bytes);
	bm_buf_reset(&r->outputs);
	bm_buf_reset(&r->blocks);
	bm_buf_reset(&r->block_bytes);
}

void bm_file_results_fini(struct bm_file_results *r)
{
	bm_file_results_reset(r);
	bm_buf_fini(&r->digests);
	bm_buf_fini(&r->digest_bytes);
	bm_buf_fini(&r->outputs);
	bm_buf_fini(&r->blocks);
	bm_buf_fini(&r->block_bytes);
}

void bm_file_warn(struct bm_file *f, const char *fmt, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all files: warnings are rare */
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&lock);
	bm_buf_puts(&f->warnings, text);
	bm_buf_putc(&f->warnings, '\n');
	pthread_mutex_unlock(&lock);
}

void bm_file_add_digest(struct bm_file *f, unsigned step, const char *algorithm, const uint8_t *bytes, size_t len,
                        uint64_t length)
{
	struct bm_file_digest d = {algorithm, NULL, len, step, length};

	/* The bytes may still move while more are added: the pointers are put in by whoever reads them (see job_run.c). */
	bm_buf_put(&f->results->digest_bytes, bytes, len);
	bm_buf_put(&f->results->digests, &d, sizeof(d));
}

void bm_file_add_blocks(struct bm_file *f, const struct bm_file_blocks *blocks)
{
	bm_buf_put(&f->results->block_bytes, blocks->bytes, blocks->count * blocks->digest_len);
	bm_buf_put(&f->results->blocks, blocks, sizeof(*blocks));
}

void bm_file_add_output(struct bm_file *f, unsigned step, char *path, uint64_t bytes, bool skipped)
{
	struct bm_file_output o = {path, bytes, skipped, step};

	bm_buf_put(&f->results->outputs, &o, sizeof(o));
	if (f->results->outputs.oom)
		free(path);
}

enum bm_status bm_file_add_waiting(struct bm_file *f, struct bm_sink *s, const struct bm_output_sum *sum,
                                   struct bm_error *err)
{
	struct bm_waiting_output *more = bm_realloc_array(f->waiting, f->waiting_count + 1, sizeof(*more));

	if (more == NULL) {
		bm_sink_abort(s);
		return bm_error_set_nomem(err);
	}
	f->waiting = more;
	more[f->waiting_count++] = (struct bm_waiting_output){s, *sum};
	return BM_OK;
}

void bm_file_drop_waiting(struct bm_file *f)
{
	for (size_t i = 0; i < f->waiting_count; i++)
		bm_sink_abort(f->waiting[i].sink);
	free(f->waiting);
	f->waiting = NULL;
	f->waiting_count = 0;
}

/* ---- stash ---- */

enum bm_status bm_stash_init(struct bm_stash *s, void (*destroy)(void *), struct bm_error *err)
{
	int rc = pthread_mutex_init(&s->lock, NULL);

	s->items = NULL;
	s->count = s->cap = 0;
	s->destroy = destroy;
	return rc == 0 ? BM_OK : bm_error_set_errno(err, rc, NULL, "cannot make a lock");
}

void bm_stash_fini(struct bm_stash *s)
{
	if (s->destroy == NULL)
		return; /* never initialised */
	for (size_t i = 0; i < s->count; i++)
		s->destroy(s->items[i]);
	free(s->items);
	pthread_mutex_destroy(&s->lock);
	s->destroy = NULL;
}

void *bm_stash_get(struct bm_stash *s)
{
	void *item = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->count > 0)
		item = s->items[--s->count];
	pthread_mutex_unlock(&s->lock);
	return item;
}

void bm_stash_put(struct bm_stash *s, void *item)
{
	if (item == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	if (s->count == s->cap) {
		size_t cap = s->cap > 0 ? s->cap * 2 : 8;
		void **items = bm_realloc_array(s->items, cap, sizeof(*items));

		if (items != NULL) {
			s->items = items;
			s->cap = cap;
		}
	}
	if (s->count < s->cap) {
		s->items[s->count++] = item;
		item = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (item != NULL)
		s->destroy(item);
}

/* ---- permits ---- */

static void block(void *w)
{
	bm_worker_block(w);
}

static void block_disk(void *w)
{
	bm_worker_block_disk(w);
}

static void unblock(void *w)
{
	bm_worker_unblock(w);
}

struct bm_blocker bm_blocker_of(const struct bm_job_context *ctx, struct bm_worker *w)
{
	return (struct bm_blocker){
		.block = block,
		.unblock = unblock,
		.arg = w,
		.cancel_fd = ctx->cancel_fd,
		.block_disk = block_disk,
		.pace = ctx->pace,
		.retries = (unsigned)ctx->job->p.retries,
	};
}
