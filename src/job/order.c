/*
 * order.c - a reorder buffer that spills: an external merge sort that runs while its input still comes in.
 *
 * WAITING. A blob whose turn has not come waits in a min-heap. Two roles exist, each held by one thread at most, and a
 * thread takes one only inside its own put:
 * - the emitter (emitting) hands out blobs while the next index is at hand, and leaves when it is not. Whoever puts the
 *   missing one, or makes it reachable, is the next emitter. The lock is not held during emit: that may be a pipe.
 * - the spiller (spilling) takes the whole heap when it has grown past trigger_bytes, writes the lower half of it to the
 *   file as a sorted run, and gives the rest back. Meanwhile others fill a new heap; past limit_bytes they wait for the
 *   spiller. It waits for nothing but the disk, so nobody ever waits for a slow emit, and memory is bounded even while
 *   one hangs.
 * What the spiller holds cannot be emitted. An emitter that needs it just leaves; the spiller looks again when it is
 * done, as every put does. So neither role waits for the other, and there is nothing to deadlock.
 *
 * RUNS. Why the lower half: it is replacement selection. Where all of a batch lies above the last run in the file, and
 * that ends where the file does, the run is made longer instead of a new one begun. The case that hurts, one slow file at
 * the front of ten million that come nearly in order, then gives one long run and no merging; random order gives runs of
 * half the memory. Keeping the higher half lets stragglers catch up before their neighbours are written.
 *
 * Each run is read through a buffer of cursor_bytes, taken when its reading begins. Runs wait in a second heap by their
 * first index. When there are more than MAX_RUNS the spiller merges the smaller half of them into one: of all merge
 * orders, smallest first moves the fewest bytes, about log32(runs) times each. So nothing here grows with the number of
 * blobs but the file (order_run.c), and what has been read is punched out of that.
 *
 * WHO TOUCHES A RUN. In the heap: whoever has the lock. Out of it: the emitter or the spiller that took it out, without
 * the lock, but for end and last, which a spill may raise while the emitter reads: those need the lock always.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_mutex.h"
#include "bm_order.h"
#include "order_run.h"

#define MAX_RUNS 64

struct slot {
	uint64_t index;
	void *item; /* a blob's bytes (malloc) or a struct order_run */
	size_t len; /* of the blob */
};

struct heap {
	struct slot *slots;
	size_t count, cap;
};

struct bm_order {
	void (*emit)(void *ctx, const void *data, size_t len);
	void *ctx;
	size_t trigger_bytes, limit_bytes; /* constant: see bm_order_create */

	pthread_mutex_t lock;
	pthread_cond_t room; /* waited on by puts that found no room, while another thread spills */
	size_t room_waiters; /* lock, as all down to err */
	bool emitting, spilling;
	uint64_t next; /* raised by the emitter only */
	struct heap waiting;
	size_t charge;          /* memory of the waiting blobs, those that the spiller holds included */
	struct heap runs;       /* has room for all that there can be: a push never fails */
	size_t run_count;       /* those that are out of the heap included */
	struct order_run *tail; /* the run that ends where the file does, or NULL */
	bool failed;
	struct bm_error err; /* why */
	struct bm_order_stats stats;

	struct heap merging;    /* the spiller's; has room for all runs there can be */
	struct order_file file; /* the spiller's, but for the readers of runs: see order_run.h */
};

/* ---- the heap ---- */

static bool heap_reserve(struct heap *h, size_t cap)
{
	struct slot *slots;

	if (cap <= h->cap)
		return true;
	slots = bm_realloc_array(h->slots, cap, sizeof(*slots));
	if (slots == NULL)
		return false;
	h->slots = slots;
	h->cap = cap;
	return true;
}

static bool heap_push(struct heap *h, struct slot s)
{
	size_t at = h->count;

	if (at == h->cap && !heap_reserve(h, at < 8 ? 16 : at * 2))
		return false;
	for (h->count++; at > 0; at = (at - 1) / 2) {
		struct slot *up = &h->slots[(at - 1) / 2];

		if (up->index <= s.index)
			break;
		h->slots[at] = *up;
	}
	h->slots[at] = s;
	return true;
}

static struct slot heap_pop(struct heap *h)
{
	struct slot top = h->slots[0];
	struct slot moved = h->slots[--h->count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= h->count)
			break;
		if (child + 1 < h->count && h->slots[child + 1].index < h->slots[child].index)
			child++;
		if (moved.index <= h->slots[child].index)
			break;
		h->slots[at] = h->slots[child];
		at = child;
	}
	h->slots[at] = moved;
	return top;
}

static void heap_fini(struct heap *h)
{
	free(h->slots);
	*h = (struct heap){0};
}

/* What a waiting blob costs: its bytes, the slack that enqueue leaves, malloc's own, a slot in an array that doubles. */
static size_t charge_of(size_t len)
{
	return len + len / 4 + 32 + 2 * sizeof(struct slot);
}

/* ---- runs ---- */

static void run_drop_locked(struct bm_order *o, struct order_run *r)
{
	if (o->tail == r)
		o->tail = NULL;
	o->run_count--;
	order_run_destroy(r);
}

/* What was written from begin to file_end is a run; or the rest of the one before, where that may be. */
static enum bm_status run_add_locked(struct bm_order *o, uint64_t begin, uint64_t first, uint64_t last,
                                     struct bm_error *err)
{
	struct order_run *r = o->tail;

	if (r != NULL && r->end == begin && r->last < first) {
		r->end = o->file.end;
		r->last = last;
		return BM_OK;
	}
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->pos = r->punched = begin;
	r->end = o->file.end;
	r->last = last;
	heap_push(&o->runs, (struct slot){.index = first, .item = r});
	o->run_count++;
	o->tail = r;
	if (o->run_count > o->stats.peak_runs)
		o->stats.peak_runs = o->run_count;
	return BM_OK;
}

/* ---- the spiller ---- */

static void fail_locked(struct bm_order *o, const struct bm_error *err)
{
	if (!o->failed) {
		o->failed = true;
		o->err = *err;
	}
	pthread_cond_broadcast(&o->room);
}

/* Writes the lowest of the batch until so many bytes of charge are gone; *first to *last were written. */
static enum bm_status write_batch(struct bm_order *o, struct heap *batch, size_t charge, uint64_t *first,
                                  uint64_t *last, size_t *gone, struct bm_error *err)
{
	*first = batch->slots[0].index;
	*gone = 0;
	if (order_file_open(&o->file, err) != BM_OK)
		return err->status;
	while (batch->count > 0 && *gone < charge) {
		struct slot s = heap_pop(batch);
		enum bm_status status = order_file_put_record(&o->file, s.index, s.item, s.len, err);

		free(s.item);
		*last = s.index;
		*gone += charge_of(s.len);
		if (status != BM_OK)
			return status;
	}
	return order_file_flush(&o->file, err);
}

/* Puts what is left of the batch and what came in meanwhile into one heap: the fewer into the more. */
static bool give_back_locked(struct bm_order *o, struct heap *batch)
{
	struct heap fewer = o->waiting;
	bool ok;

	o->waiting = *batch;
	if (fewer.count > o->waiting.count) {
		o->waiting = fewer;
		fewer = *batch;
	}
	*batch = (struct heap){0};
	ok = heap_reserve(&o->waiting, o->waiting.count + fewer.count);
	for (size_t i = 0; i < fewer.count; i++) {
		if (ok)
			heap_push(&o->waiting, fewer.slots[i]);
		else
			free(fewer.slots[i].item); /* the caller makes the order fail */
	}
	heap_fini(&fewer);
	return ok;
}

static int compare_runs(const void *a, const void *b)
{
	const struct order_run *x = ((const struct slot *)a)->item, *y = ((const struct slot *)b)->item;
	uint64_t x_left = order_run_left(x, x->end), y_left = order_run_left(y, y->end);

	return (x_left > y_left) - (x_left < y_left);
}

/* One record of the run that has the lowest: written, and the run put back where it belongs, or dropped. */
static enum bm_status merge_one(struct bm_order *o, struct bm_error *err)
{
	struct slot s = heap_pop(&o->merging);
	struct order_run *r = s.item;
	/* Without the lock: what is in merging is the spiller's, and only the spiller raises it. */
	uint64_t end = r->end;
	const char *data = NULL;
	size_t len = 0;
	enum bm_status status;

	status = order_run_next(&o->file, r, end, &data, &len, err);
	if (status == BM_OK)
		status = order_file_put_record(&o->file, s.index, data, len, err);
	if (status == BM_OK && order_run_left(r, end) != 0)
		status = order_run_peek(&o->file, r, end, &s.index, err);
	if (status == BM_OK && order_run_left(r, end) != 0) {
		order_run_punch(&o->file, r, false);
		heap_push(&o->merging, s);
		return BM_OK;
	}
	order_run_punch(&o->file, r, true);
	pthread_mutex_lock(&o->lock);
	run_drop_locked(o, r);
	pthread_mutex_unlock(&o->lock);
	return status;
}

/* Merges the smaller half of the runs into one. The emitter may hold a further one: that is left alone. */
static enum bm_status merge_locked(struct bm_order *o, struct bm_error *err)
{
	size_t count = o->runs.count, take = count / 2 + 1;
	enum bm_status status = BM_OK;
	uint64_t begin = o->file.end, first, last = 0;

	qsort(o->runs.slots, count, sizeof(o->runs.slots[0]), compare_runs);
	for (size_t i = 0; i < take; i++) {
		const struct order_run *r = o->runs.slots[i].item;

		heap_push(&o->merging, o->runs.slots[i]);
		if (r->last > last)
			last = r->last;
	}
	o->runs.count = 0;
	for (size_t i = take; i < count; i++)
		heap_push(&o->runs, o->runs.slots[i]); /* never ahead of i: what it overwrites has been moved */
	first = o->merging.slots[0].index;
	pthread_mutex_unlock(&o->lock);

	while (status == BM_OK && o->merging.count > 0)
		status = merge_one(o, err);
	if (status == BM_OK)
		status = order_file_flush(&o->file, err);

	pthread_mutex_lock(&o->lock);
	while (o->merging.count > 0)
		run_drop_locked(o, heap_pop(&o->merging).item);
	if (status != BM_OK)
		return status;
	o->stats.merges++;
	o->stats.written_bytes += o->file.end - begin;
	return run_add_locked(o, begin, first, last, err);
}

static void spill_locked(struct bm_order *o)
{
	struct heap batch = o->waiting;
	size_t half = o->charge / 2, gone = 0;
	uint64_t begin, first = 0, last = 0;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;
	bool restart;

	o->waiting = (struct heap){0};
	o->spilling = true;
	restart = o->run_count == 0 && o->file.end != 0; /* and only the spiller makes runs */
	pthread_mutex_unlock(&o->lock);

	if (restart)
		order_file_restart(&o->file);
	begin = o->file.end;
	status = write_batch(o, &batch, half, &first, &last, &gone, &err);

	pthread_mutex_lock(&o->lock);
	o->charge -= gone;
	if (!give_back_locked(o, &batch) && status == BM_OK)
		status = bm_error_set_nomem(&err);
	if (status == BM_OK) {
		o->stats.spills++;
		o->stats.written_bytes += o->file.end - begin;
		status = run_add_locked(o, begin, first, last, &err);
	}
	pthread_cond_broadcast(&o->room); /* there is some now, also while runs are merged */
	if (status == BM_OK && o->runs.count > MAX_RUNS)
		status = merge_locked(o, &err);
	if (status != BM_OK)
		fail_locked(o, &err);
	o->spilling = false;
	pthread_cond_broadcast(&o->room);
}

/* ---- the emitter ---- */

static bool in_turn_locked(const struct bm_order *o)
{
	return (o->waiting.count > 0 && o->waiting.slots[0].index == o->next) ||
	       (o->runs.count > 0 && o->runs.slots[0].index == o->next);
}

/* Emits from the first run for as long as it has the next index. */
static void emit_run_locked(struct bm_order *o)
{
	struct slot s = heap_pop(&o->runs);
	struct order_run *r = s.item;
	uint64_t end = r->end;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;
	uint64_t next = o->next; /* nobody asks for o->next while emitting */
	bool is_over = false;

	pthread_mutex_unlock(&o->lock);
	for (;;) {
		const char *data = NULL;
		size_t len = 0;

		status = order_run_next(&o->file, r, end, &data, &len, &err);
		if (status != BM_OK)
			break;
		o->emit(o->ctx, data, len);
		next++;
		order_run_punch(&o->file, r, false);
		if (order_run_left(r, end) == 0) {
			pthread_mutex_lock(&o->lock);
			end = r->end; /* a spill may have made it longer */
			is_over = order_run_left(r, end) == 0;
			if (is_over)
				break;
			pthread_mutex_unlock(&o->lock);
		}
		status = order_run_peek(&o->file, r, end, &s.index, &err);
		if (status != BM_OK || s.index != next)
			break;
	}
	if (!is_over)
		pthread_mutex_lock(&o->lock);
	o->next = next;
	if (status != BM_OK) {
		fail_locked(o, &err);
		run_drop_locked(o, r);
	} else if (is_over) {
		order_run_punch(&o->file, r, true);
		run_drop_locked(o, r);
	} else {
		heap_push(&o->runs, s);
	}
}

static void emit_blob_locked(struct bm_order *o)
{
	struct slot s = heap_pop(&o->waiting);

	o->charge -= charge_of(s.len);
	if (o->room_waiters > 0 && o->charge <= o->limit_bytes)
		pthread_cond_broadcast(&o->room);
	pthread_mutex_unlock(&o->lock);
	o->emit(o->ctx, s.item, s.len);
	free(s.item);
	pthread_mutex_lock(&o->lock);
	o->next++;
}

static void drain_locked(struct bm_order *o)
{
	o->emitting = true;
	while (!o->failed && in_turn_locked(o)) {
		if (o->waiting.count > 0 && o->waiting.slots[0].index == o->next)
			emit_blob_locked(o);
		else
			emit_run_locked(o);
	}
	o->emitting = false;
}

/* ---- the whole ---- */

enum bm_status bm_order_create(size_t memory_bytes, void (*emit)(void *ctx, const void *data, size_t len), void *ctx,
                               struct bm_order **out, struct bm_error *err)
{
	struct bm_order *o = calloc(1, sizeof(*o));
	int rc;

	*out = NULL;
	if (o == NULL)
		return bm_error_set_nomem(err);
	o->emit = emit;
	o->ctx = ctx;
	/* Blobs have three quarters (two of them may be with the spiller), cursors an eighth, the writer a sixteenth. */
	o->trigger_bytes = memory_bytes / 2;
	o->limit_bytes = memory_bytes / 2 + memory_bytes / 4;
	order_file_init(&o->file, memory_bytes / 16, memory_bytes / 8 / MAX_RUNS);
	/* MAX_RUNS in the heap, one just added, one with the emitter. */
	if (!heap_reserve(&o->runs, MAX_RUNS + 2) || !heap_reserve(&o->merging, MAX_RUNS + 2)) {
		rc = ENOMEM;
		goto fail;
	}
	rc = bm_mutex_init_short(&o->lock);
	if (rc != 0)
		goto fail;
	rc = pthread_cond_init(&o->room, NULL);
	if (rc != 0) {
		pthread_mutex_destroy(&o->lock);
		goto fail;
	}
	*out = o;
	return BM_OK;
fail:
	heap_fini(&o->runs);
	heap_fini(&o->merging);
	free(o);
	return rc == ENOMEM ? bm_error_set_nomem(err) : bm_error_set_errno(err, rc, NULL, "cannot make a lock");
}

void bm_order_destroy(struct bm_order *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->waiting.count; i++)
		free(o->waiting.slots[i].item);
	for (size_t i = 0; i < o->runs.count; i++)
		order_run_destroy(o->runs.slots[i].item);
	heap_fini(&o->waiting);
	heap_fini(&o->runs);
	heap_fini(&o->merging);
	order_file_fini(&o->file);
	pthread_cond_destroy(&o->room);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

/* blob's bytes become a slot; slack over a quarter is given back, since many may wait. */
static bool enqueue_locked(struct bm_order *o, uint64_t index, struct bm_buf *blob)
{
	size_t len = blob->len;

	if (blob->data != NULL && blob->cap > len + len / 4 + 32) {
		char *less = realloc(blob->data, len + 1);

		if (less != NULL)
			blob->data = less;
	}
	if (!heap_push(&o->waiting, (struct slot){.index = index, .item = blob->data, .len = len}))
		return false;
	o->charge += charge_of(len);
	*blob = (struct bm_buf){0};
	return true;
}

/* Takes a role, or waits for one to be done, for as long as that is needed. */
static void attend_locked(struct bm_order *o)
{
	while (!o->failed) {
		if (!o->emitting && in_turn_locked(o)) {
			drain_locked(o);
		} else if (!o->spilling && o->charge > o->trigger_bytes && o->waiting.count > 0) {
			spill_locked(o);
		} else if (o->spilling && o->charge > o->limit_bytes) {
			o->room_waiters++;
			pthread_cond_wait(&o->room, &o->lock);
			o->room_waiters--;
		} else {
			break;
		}
	}
}

enum bm_status bm_order_put(struct bm_order *o, uint64_t index, struct bm_buf *blob, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	struct bm_error nomem;

	bm_error_clear(&nomem);
	pthread_mutex_lock(&o->lock);
	if (!o->failed && index < o->next) {
		status = bm_error_set(err, BM_ERR_USAGE, NULL, "result %llu was put twice: this is a bug in bytemill",
		                      (unsigned long long)index);
	} else if (!o->failed && blob->oom) {
		bm_error_set_nomem(&nomem);
		fail_locked(o, &nomem);
	} else if (!o->failed && index == o->next && !o->emitting) {
		o->emitting = true;
		pthread_mutex_unlock(&o->lock);
		o->emit(o->ctx, blob->data, blob->len);
		bm_buf_reset(blob);
		pthread_mutex_lock(&o->lock);
		o->next++;
		o->emitting = false;
		attend_locked(o);
	} else if (!o->failed) {
		if (!enqueue_locked(o, index, blob)) {
			bm_error_set_nomem(&nomem);
			fail_locked(o, &nomem);
		}
		attend_locked(o);
	}
	if (o->failed) {
		status = o->err.status;
		if (err != NULL && err->status == BM_OK)
			*err = o->err;
	}
	pthread_mutex_unlock(&o->lock);
	bm_buf_reset(blob);
	return status;
}

bool bm_order_failed(struct bm_order *o)
{
	bool failed;

	pthread_mutex_lock(&o->lock);
	failed = o->failed;
	pthread_mutex_unlock(&o->lock);
	return failed;
}

void bm_order_get_stats(struct bm_order *o, struct bm_order_stats *out)
{
	pthread_mutex_lock(&o->lock);
	*out = o->stats;
	out->emitted = o->next;
	pthread_mutex_unlock(&o->lock);
}
