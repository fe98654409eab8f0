/*
 * Streams whose input comes when it comes: many flows share a pool of a few threads, and each fill() says BM_FILL_LATER
 * where there is nothing. No thread is held meanwhile, a flow that has work gets it done, and every byte comes through
 * once and in order, however the wake-ups fall; what is cancelled asleep ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_flow.h"

#define FLOWS 60
#define PERMITS 2
#define IO_DEPTH 1
#define CHUNK 64
#define RESERVE CHUNK

struct tap {
	struct bm_flow *flow;
	struct bm_pipeline pl;
	struct bm_segment seg;
	struct bm_stage stage;
	atomic_uint put; /* bytes that there are */
	atomic_bool is_over;
	unsigned taken;   /* by fill */
	atomic_uint seen; /* by the stage */
	bool is_given, is_wrong;
	bool is_gated; /* the first chunk stays until the next one waits */
	enum bm_status end;
	atomic_uint laters;
};

static enum bm_next_result next(void *ctx, struct bm_worker *w, void **stream)
{
	struct tap *t = ctx;

	(void)w;
	if (t->is_given)
		return BM_NEXT_END;
	t->is_given = true;
	*stream = t;
	return BM_NEXT_STREAM;
}

/* The n-th byte is n; chunks are full but for the last. */
static enum bm_fill_result fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in, struct bm_worker *w,
                                struct bm_error *err)
{
	struct tap *t = stream;
	bool is_over = atomic_load(&t->is_over);
	unsigned put = atomic_load(&t->put);

	(void)arg;
	(void)in;
	(void)w;
	(void)err;
	while (out->len < CHUNK && t->taken < put)
		out->data[out->len++] = (uint8_t)t->taken++;
	out->last = is_over && t->taken == put;
	if (out->last || out->len == CHUNK)
		return BM_FILL_EMIT;
	atomic_fetch_add(&t->laters, 1);
	return BM_FILL_LATER;
}

/* False: not within a minute. */
static bool wait_for(atomic_uint *count, unsigned least)
{
	for (int i = 0; i < 60000 && atomic_load(count) < least; i++)
		usleep(1000);
	return atomic_load(count) >= least;
}

static enum bm_status look(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct tap *t = stream;

	(void)arg;
	(void)err;
	if (t->is_gated && c->seq == 0) {
		bm_worker_block(w);
		(void)!wait_for(&t->laters, 1);
		bm_worker_unblock(w);
	}
	for (size_t i = 0; i < c->len; i++)
		t->is_wrong = t->is_wrong || c->data[i] != (uint8_t)t->seen++;
	return BM_OK;
}

static void end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err)
{
	struct tap *t = stream;

	(void)ctx;
	(void)w;
	t->end = err != NULL ? err->status : BM_OK;
}

static void start_gated(struct bm_pool *p, struct tap *t, bool is_gated)
{
	struct bm_error err = BM_ERROR_INIT;

	*t = (struct tap){.end = BM_ERR_FAILED, .is_gated = is_gated};
	t->stage = (struct bm_stage){.kind = BM_STAGE_SERIAL, .run = look};
	t->seg = (struct bm_segment){.fill = fill, .buffer_bytes = {CHUNK, 0}, .stages = &t->stage, .stage_count = 1};
	t->pl = (struct bm_pipeline){.next = next, .end = end, .ctx = t, .segments = &t->seg, .segment_count = 1};
	assert_int_equal(bm_flow_start(p, &t->pl, &t->flow, &err), BM_OK);
}

static void start(struct bm_pool *p, struct tap *t)
{
	start_gated(p, t, false);
}

static void put(struct tap *t, unsigned bytes)
{
	atomic_fetch_add(&t->put, bytes);
	bm_flow_wake(t->flow);
}

static void stop(struct tap *t)
{
	atomic_store(&t->is_over, true);
	bm_flow_wake(t->flow);
}

static struct bm_pool *make_pool(void)
{
	struct bm_pool_options po = {.permits = PERMITS, .io_depth = IO_DEPTH, .memory_bytes = (FLOWS + 1) * RESERVE};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_pool *p = NULL;

	assert_int_equal(bm_pool_create(&po, &p, &err), BM_OK);
	return p;
}

static void check(struct tap *t, unsigned bytes)
{
	bm_flow_wait(t->flow);
	assert_int_equal(t->end, BM_OK);
	assert_int_equal(t->seen, bytes);
	assert_false(t->is_wrong);
	bm_flow_destroy(t->flow);
}

/* All wait for more; one more that has all it wants is through all the same. */
static void test_nobody_is_held(void **state)
{
	struct bm_pool *p = make_pool();
	struct tap *taps = calloc(FLOWS, sizeof(*taps)), quick;
	struct bm_pool_stats stats;

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		start(p, &taps[i]);
		put(&taps[i], i * 7);
	}
	start(p, &quick);
	put(&quick, 10000);
	stop(&quick);
	check(&quick, 10000);
	bm_pool_get_stats(p, &stats);
	assert_true(stats.threads <= PERMITS + IO_DEPTH);
	assert_true(stats.memory_peak_bytes <= (FLOWS + 1) * RESERVE);
	for (unsigned i = 0; i < FLOWS; i++)
		stop(&taps[i]);
	for (unsigned i = 0; i < FLOWS; i++)
		check(&taps[i], i * 7);
	bm_pool_destroy(p);
	free(taps);
}

/* A chunk that was begun beside another one, and then has to wait, keeps its reserve and no more: there is room for all. */
static void test_reserve_only(void **state)
{
	struct bm_pool *p = make_pool();
	struct tap *taps = calloc(FLOWS, sizeof(*taps));

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		start_gated(p, &taps[i], true);
		put(&taps[i], CHUNK + CHUNK / 2);
		assert_true(wait_for(&taps[i].seen, CHUNK));
		assert_int_equal(atomic_load(&taps[i].seen), CHUNK);
	}
	for (unsigned i = 0; i < FLOWS; i++) {
		stop(&taps[i]);
		check(&taps[i], CHUNK + CHUNK / 2);
	}
	bm_pool_destroy(p);
	free(taps);
}

struct feeder {
	struct tap *taps;
	unsigned first, seed, total[FLOWS];
};

static void *feed(void *arg)
{
	struct feeder *f = arg;

	for (unsigned round = 0; round < 2000; round++) {
		unsigned i = f->first + 2 * ((unsigned)rand_r(&f->seed) % (FLOWS / 2));
		unsigned n = (unsigned)rand_r(&f->seed) % 100;

		put(&f->taps[i], n);
		f->total[i] += n;
		if (n % 16 == 0)
			bm_flow_wake(f->taps[i].flow); /* for nothing */
	}
	for (unsigned i = f->first; i < FLOWS; i += 2)
		stop(&f->taps[i]);
	return NULL;
}

static void test_any_order(void **state)
{
	struct bm_pool *p = make_pool();
	struct tap *taps = calloc(FLOWS, sizeof(*taps));
	struct feeder feeders[2] = {{.taps = taps, .first = 0, .seed = 1}, {.taps = taps, .first = 1, .seed = 2}};
	pthread_t threads[2];
	unsigned laters = 0;

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++)
		start(p, &taps[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, feed, &feeders[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < FLOWS; i++) {
		check(&taps[i], feeders[i % 2].total[i]);
		laters += taps[i].laters;
	}
	assert_true(laters > 0);
	bm_pool_destroy(p);
	free(taps);
}

static void test_cancelled_asleep(void **state)
{
	struct bm_pool *p = make_pool();
	struct tap *taps = calloc(FLOWS, sizeof(*taps));

	(void)state;
	for (unsigned i = 0; i < FLOWS; i++) {
		start(p, &taps[i]);
		put(&taps[i], i);
	}
	for (unsigned i = 0; i < FLOWS; i++)
		bm_flow_cancel(taps[i].flow);
	for (unsigned i = 0; i < FLOWS; i++) {
		bm_flow_wait(taps[i].flow);
		assert_true(!taps[i].is_given || taps[i].end == BM_ERR_CANCELLED);
		bm_flow_destroy(taps[i].flow);
	}
	bm_pool_destroy(p);
	free(taps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_is_held),
		cmocka_unit_test(test_reserve_only),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_cancelled_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
