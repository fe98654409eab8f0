/*
 * clock.c - how long each step of a job took, for the history.
 *
 * The plan's callbacks are put behind others that look at the clock before and after. What is measured is the time that
 * threads spent in a step, added up: with several threads it can be more than the job took. Waiting is in it, for a disk
 * as well as for a CPU permit afterwards, since a person asks what the time went into. It is an account, not a profile: what
 * the engine does between the steps is nobody's.
 *
 * A look at the clock costs some 30 ns, a step of a file of a few KiB often less than 2 us. So of small chunks each thread
 * measures the first WARM_UP at a callback, then one in SAMPLE, which counts as many times: a run of a few files is exact,
 * one of fifty thousand costs next to nothing. Larger chunks, and the ends of files, are all measured.
 *
 * Each thread has counters of its own for each callback, on cache lines of their own. They are read when the job is over.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_error.h"
#include "step_internal.h"

#define WARM_UP 256
#define SAMPLE 16
#define SMALL_BYTES ((size_t)64 << 10)

struct lane {
	_Alignas(64) uint32_t skips; /* so many calls with small chunks are not measured before the next one is */
	uint32_t warm;               /* those that were measured at the beginning, up to WARM_UP */
	uint64_t ns;
};

/* One callback of the plan. */
struct timed {
	enum bm_fill_result (*fill)(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
	                            struct bm_worker *w, struct bm_error *err);
	enum bm_status (*run)(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err);
	unsigned (*pair)(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
	                 struct bm_worker *w);
	void *arg;
	size_t step;
	struct lane *lanes; /* by bm_worker_index; borrowed from the clock's */
};

struct bm_step_clock {
	struct lane *lanes;
	struct timed timed[BM_FLOW_MAX_SEGMENTS + BM_FLOW_MAX_STAGES];
	size_t timed_count;
	atomic_uint_fast64_t *ends; /* one a step: ns of what belongs to no chunk */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Is this call, which has a small chunk, one of those that are not measured? It is counted as one then. */
static inline bool is_skipped(struct lane *l)
{
	if (l->skips == 0)
		return false;
	l->skips--;
	return true;
}

static void measured(struct lane *l, uint64_t ns, bool small)
{
	if (small && l->warm == WARM_UP) {
		l->skips = SAMPLE - 1;
		ns *= SAMPLE;
	} else if (small) {
		l->warm++;
	}
	l->ns += ns;
}

static enum bm_fill_result timed_fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                      struct bm_worker *w, struct bm_error *err)
{
	const struct timed *t = arg;
	struct lane *l = &t->lanes[bm_worker_index(w)];
	/* Nobody knows how long a file is before it was opened; what comes after its first chunk is not small. */
	bool small = in != NULL ? in->len - in->pos < SMALL_BYTES : out->seq == 0;

	if (small && is_skipped(l))
		return t->fill(t->arg, stream, out, in, w, err);
	uint64_t begin = now_ns();
	enum bm_fill_result r = t->fill(t->arg, stream, out, in, w, err);
	measured(l, now_ns() - begin, small);
	return r;
}

static enum bm_status timed_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	const struct timed *t = arg;
	struct lane *l = &t->lanes[bm_worker_index(w)];
	bool small = c->len < SMALL_BYTES;

	if (small && is_skipped(l))
		return t->run(t->arg, stream, c, w, err);
	uint64_t begin = now_ns();
	enum bm_status status = t->run(t->arg, stream, c, w, err);
	measured(l, now_ns() - begin, small);
	return status;
}

static unsigned timed_pair(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
                           struct bm_worker *w)
{
	const struct timed *t = arg;
	struct lane *l = &t->lanes[bm_worker_index(w)];
	bool small = a->len < SMALL_BYTES && b->len < SMALL_BYTES;

	if (small && is_skipped(l))
		return t->pair(t->arg, stream_a, a, stream_b, b, w);
	uint64_t begin = now_ns();
	unsigned through = t->pair(t->arg, stream_a, a, stream_b, b, w);
	measured(l, now_ns() - begin, small);
	return through;
}

static struct timed *timed_add(struct bm_step_clock *k, void *arg, size_t step, unsigned threads)
{
	struct timed *t = &k->timed[k->timed_count];

	t->arg = arg;
	t->step = step;
	t->lanes = &k->lanes[k->timed_count++ * threads];
	return t;
}

enum bm_status bm_plan_time(struct bm_plan *p, unsigned threads, struct bm_error *err)
{
	const size_t callbacks = p->segment_count + p->stage_count;
	struct bm_step_clock *k = calloc(1, sizeof(*k));
	size_t bytes = 0;

	if (k != NULL && bm_mul_size(callbacks * threads, sizeof(*k->lanes), &bytes)) {
		k->lanes = aligned_alloc(_Alignof(struct lane), bytes);
		k->ends = bm_calloc_array(p->step_count, sizeof(*k->ends));
	}
	if (k == NULL || k->lanes == NULL || k->ends == NULL) {
		bm_step_clock_destroy(k);
		return bm_error_set_nomem(err);
	}
	p->clock = k;
	memset(k->lanes, 0, bytes);
	for (size_t i = 0; i < p->segment_count; i++) {
		struct bm_segment *seg = &p->segments[i];
		struct timed *t = timed_add(k, seg->arg, p->segment_step[i], threads);

		t->fill = seg->fill;
		seg->fill = timed_fill;
		seg->arg = t;
	}
	for (size_t i = 0; i < p->stage_count; i++) {
		struct bm_stage *st = &p->stages[i];
		struct timed *t = timed_add(k, st->arg, p->stage_step[i], threads);

		t->run = st->run;
		t->pair = st->pair;
		st->run = timed_run;
		st->pair = st->pair != NULL ? timed_pair : NULL;
		st->arg = t;
	}
	return BM_OK;
}

uint64_t bm_plan_clock_start(const struct bm_plan *p)
{
	return p->clock != NULL ? now_ns() : 0;
}

void bm_plan_clock_stop(const struct bm_plan *p, size_t step, uint64_t start)
{
	if (p->clock != NULL)
		(void)atomic_fetch_add_explicit(&p->clock->ends[step], now_ns() - start, memory_order_relaxed);
}

uint64_t bm_plan_busy_ns(const struct bm_plan *p, size_t step, unsigned threads)
{
	const struct bm_step_clock *k = p->clock;
	uint64_t ns;

	if (k == NULL)
		return 0;
	ns = atomic_load_explicit(&k->ends[step], memory_order_relaxed);
	for (size_t i = 0; i < k->timed_count; i++) {
		const struct timed *t = &k->timed[i];

		if (t->step != step)
			continue;
		for (unsigned w = 0; w < threads; w++)
			ns += t->lanes[w].ns;
	}
	return ns;
}

void bm_step_clock_destroy(struct bm_step_clock *k)
{
	if (k == NULL)
		return;
	free(k->lanes);
	free(k->ends);
	free(k);
}
