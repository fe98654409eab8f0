/*
 * test_windows.c - bm_windows.h in flows of the engine: streams that hold a window from their first chunk to their end, at
 * any number of threads, with and without an IN_ORDER stage that makes them wait for one another; several flows at once;
 * streams with two windows; cancelled flows. That they end is the test; and what was held at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_flow.h"
#include "bm_windows.h"
#include "sanitized.h"

#define MIB ((uint64_t)1 << 20)
#define LIMIT (64 * MIB)
#define STREAMS (SANITIZED ? 100 : 300)

struct stream {
	uint64_t index;
	struct bm_window_claim claim[2]; /* by layer */
	unsigned left;                   /* chunks to come */
};

struct load {
	struct bm_windows *x;
	uint64_t seed, next, cancel_at;
	uint64_t bytes_max;
	bool may_wait, two;
	atomic_uint_fast64_t opened, ended, held, peak;
	struct bm_segment segments[2];
};

static uint64_t mix(uint64_t n)
{
	n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9u;
	n = (n ^ n >> 27) * 0x94d049bb133111ebu;
	return n ^ n >> 31;
}

static void spend(uint64_t n)
{
	for (n %= 4; n > 0; n--)
		(void)sched_yield();
}

static enum bm_next_result next(void *ctx, struct bm_worker *w, void **stream)
{
	struct load *l = ctx;
	struct stream *s;

	if (l->next == l->cancel_at)
		bm_flow_cancel(bm_worker_flow(w));
	if (l->next == STREAMS)
		return BM_NEXT_END;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		abort();
	s->index = l->next++;
	s->left = 1 + (unsigned)(mix(l->seed ^ s->index) % 5);
	atomic_fetch_add(&l->opened, 1);
	*stream = s;
	return BM_NEXT_STREAM;
}

static void take(struct load *l, struct stream *s, unsigned layer, struct bm_worker *w)
{
	const uint64_t r = mix(l->seed + 77 * s->index + layer);
	uint64_t now, was = atomic_load(&l->peak);

	if (r % 5 == 0)
		return; /* a small one, as most are */
	bm_windows_take(l->x, &s->claim[layer], 1 + (r >> 8) % l->bytes_max, s->index, l->may_wait, w);
	now = atomic_fetch_add(&l->held, s->claim[layer].bytes) + s->claim[layer].bytes;
	while (now > was && !atomic_compare_exchange_weak(&l->peak, &was, now))
		;
}

static enum bm_fill_result fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in, struct bm_worker *w,
                                struct bm_error *err)
{
	struct load *l = arg;
	struct stream *s = stream;

	(void)in;
	(void)err;
	bm_worker_block(w); /* as to read: others get the permit, open more streams, and come first */
	spend(mix(s->index + out->seq));
	bm_worker_unblock(w);
	if (out->seq == 0)
		take(l, s, 0, w);
	out->len = 1;
	out->last = --s->left == 0;
	return BM_FILL_EMIT;
}

static enum bm_fill_result fill_again(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
                                      struct bm_worker *w, struct bm_error *err)
{
	struct load *l = arg;
	struct stream *s = stream;

	(void)err;
	if (l->two && out->seq == 0)
		take(l, s, 1, w);
	in->pos = in->len;
	out->len = 1;
	out->last = in->last;
	return BM_FILL_EMIT;
}

static enum bm_status run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	const struct stream *s = stream;

	(void)arg;
	(void)w;
	if (s->index % 37 == 36 && c->seq == 1)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "as it should");
	spend(mix(s->index * 3 + c->seq));
	return BM_OK;
}

static void end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err)
{
	struct load *l = ctx;
	struct stream *s = stream;

	(void)w;
	(void)err;
	for (unsigned i = 0; i < 2; i++) {
		atomic_fetch_sub(&l->held, s->claim[i].bytes);
		bm_windows_give(l->x, &s->claim[i]);
		assert_int_equal(s->claim[i].bytes, 0);
		bm_windows_give(l->x, &s->claim[i]); /* nothing more to give */
	}
	atomic_fetch_add(&l->ended, 1);
	free(s);
}

static void run_loads(struct load *loads, unsigned count, unsigned permits, unsigned io_depth, bool in_order)
{
	const struct bm_pool_options options = {
		.permits = permits, .io_depth = io_depth, .memory_bytes = (size_t)1 << 22};
	const struct bm_stage stage = {.kind = in_order ? BM_STAGE_IN_ORDER : BM_STAGE_PARALLEL, .run = run};
	struct bm_flow *flows[3] = {NULL};
	struct bm_windows *x = NULL;
	struct bm_pool *pool = NULL;
	uint64_t held = 0;

	assert_int_equal(bm_windows_create(LIMIT, &x, NULL), BM_OK);
	assert_int_equal(bm_pool_create(&options, &pool, NULL), BM_OK);
	for (unsigned i = 0; i < count; i++) {
		struct load *l = &loads[i];
		struct bm_pipeline pl = {
			.next = next, .end = end, .ctx = l, .segments = l->segments, .segment_count = 2};

		l->x = x;
		l->segments[0] = (struct bm_segment){.fill = fill, .arg = l, .buffer_bytes = {64}};
		l->segments[1] = (struct bm_segment){
			.fill = fill_again, .arg = l, .buffer_bytes = {64}, .stages = &stage, .stage_count = 1};
		assert_int_equal(bm_flow_start(pool, &pl, &flows[i], NULL), BM_OK);
	}
	for (unsigned i = 0; i < count; i++) {
		bm_flow_wait(flows[i]);
		bm_flow_destroy(flows[i]);
		assert_int_equal(loads[i].opened, loads[i].ended);
		assert_int_equal(loads[i].held, 0);
		if (loads[i].cancel_at > STREAMS)
			assert_int_equal(loads[i].ended, STREAMS);
		held += loads[i].peak;
	}
	bm_pool_destroy(pool);
	/* Counted here after it was taken and until it was given back; several flows have their peaks at several times. */
	if (count == 1)
		assert_true(bm_windows_peak_bytes(x) >= held);
	bm_windows_destroy(x);
}

static const unsigned threads[][2] = {{1, 1}, {1, 2}, {1, 16}, {2, 1}, {2, 16}, {4, 3}, {8, 64}};
#define THREADS (sizeof(threads) / sizeof(threads[0]))

static void test_streams_end(void **state)
{
	(void)state;
	for (size_t t = 0; t < THREADS; t++) {
		for (unsigned variant = 0; variant < 16; variant++) {
			struct load l = {.seed = 1000 * t + variant, .cancel_at = STREAMS + 1};

			l.bytes_max = (variant & 1) != 0 ? 2 * LIMIT : LIMIT / 4;
			l.two = (variant & 2) != 0;
			l.may_wait = variant / 8 == 0 || variant % 3 != 0;
			run_loads(&l, 1, threads[t][0], threads[t][1], (variant & 4) != 0);
		}
	}
}

static void test_several_flows(void **state)
{
	(void)state;
	for (size_t t = 0; t < THREADS; t++) {
		for (unsigned variant = 0; variant < 4; variant++) {
			struct load l[3] = {{0}};

			for (unsigned i = 0; i < 3; i++) {
				l[i].seed = 100 * t + 10 * variant + i;
				l[i].cancel_at = STREAMS + 1;
				l[i].bytes_max = LIMIT;
				l[i].two = i == 2;
				l[i].may_wait = i != 1 || (variant & 2) != 0;
			}
			run_loads(l, 3, threads[t][0], threads[t][1], (variant & 1) != 0);
		}
	}
}

static void test_cancelled(void **state)
{
	(void)state;
	for (size_t t = 0; t < THREADS; t++) {
		struct load l[2] = {
			{.seed = t, .cancel_at = 20, .bytes_max = LIMIT, .may_wait = true},
			{.seed = t, .cancel_at = STREAMS + 1, .bytes_max = LIMIT, .may_wait = true},
		};

		run_loads(l, 2, threads[t][0], threads[t][1], t % 2 == 0);
	}
}

/* Where there are threads enough to wait, and nobody is let in for the sake of a later stream of the same flow, the limit
 * holds. */
static void test_limit_holds(void **state)
{
	enum { FLOWS = 40 };

	(void)state;
	for (unsigned permits = 1; permits <= 4; permits++) {
		const struct bm_pool_options options = {
			.permits = permits, .io_depth = 64, .memory_bytes = (size_t)1 << 22};
		struct load loads[FLOWS] = {{0}};
		struct bm_flow *flows[FLOWS];
		struct bm_windows *x = NULL;
		struct bm_pool *pool = NULL;

		assert_int_equal(bm_windows_create(LIMIT, &x, NULL), BM_OK);
		assert_int_equal(bm_pool_create(&options, &pool, NULL), BM_OK);
		for (unsigned i = 0; i < FLOWS; i++) {
			struct load *l = &loads[i];
			struct bm_pipeline pl = {
				.next = next, .end = end, .ctx = l, .segments = l->segments, .segment_count = 1};

			*l = (struct load){.x = x,
			                   .seed = 100 * permits + i,
			                   .next = STREAMS - 1,
			                   .bytes_max = LIMIT / 3,
			                   .cancel_at = STREAMS + 1,
			                   .may_wait = true};
			l->segments[0] = (struct bm_segment){.fill = fill, .arg = l, .buffer_bytes = {64}};
			assert_int_equal(bm_flow_start(pool, &pl, &flows[i], NULL), BM_OK);
		}
		for (unsigned i = 0; i < FLOWS; i++) {
			bm_flow_wait(flows[i]);
			bm_flow_destroy(flows[i]);
			assert_int_equal(loads[i].ended, 1);
		}
		bm_pool_destroy(pool);
		assert_true(bm_windows_peak_bytes(x) <= LIMIT);
		assert_true(bm_windows_peak_bytes(x) > 0);
		bm_windows_destroy(x);
	}
}

/* Streams that do not wait for one another may come in any order: none of them is let in beyond the limit, but by the last
 * thread that does not wait. */
static void test_no_order_no_excess(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < (SANITIZED ? 10 : 40); seed++) {
		const struct bm_pool_options options = {.permits = 4, .io_depth = 16, .memory_bytes = (size_t)1 << 22};
		const struct bm_stage stage = {.kind = BM_STAGE_SERIAL, .run = run};
		struct load l = {.seed = seed, .bytes_max = LIMIT / 3, .cancel_at = STREAMS + 1, .may_wait = true};
		struct bm_pipeline pl = {
			.next = next, .end = end, .ctx = &l, .segments = l.segments, .segment_count = 1};
		struct bm_flow *flow = NULL;
		struct bm_pool *pool = NULL;

		assert_int_equal(bm_windows_create(LIMIT, &l.x, NULL), BM_OK);
		assert_int_equal(bm_pool_create(&options, &pool, NULL), BM_OK);
		l.segments[0] = (struct bm_segment){
			.fill = fill, .arg = &l, .buffer_bytes = {64}, .stages = &stage, .stage_count = 1};
		assert_int_equal(bm_flow_start(pool, &pl, &flow, NULL), BM_OK);
		bm_flow_wait(flow);
		bm_flow_destroy(flow);
		assert_int_equal(l.ended, STREAMS);
		bm_pool_destroy(pool);
		assert_true(bm_windows_peak_bytes(l.x) <= LIMIT + LIMIT / 3);
		bm_windows_destroy(l.x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_end),        cmocka_unit_test(test_several_flows),
		cmocka_unit_test(test_cancelled),          cmocka_unit_test(test_limit_holds),
		cmocka_unit_test(test_no_order_no_excess),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
