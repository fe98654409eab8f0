/* test_flow_order.c - order and exactly-once in stages of every kind, at all numbers of threads and all budgets: always
 * what the serial reference sees. And what bm_flow_start refuses. */
#include <inttypes.h>
#include <signal.h>

#include "mini.h"
#include "model.h"

static const unsigned permit_counts[] = {1, 2, 3, 8, 64};
static const unsigned io_depths[] = {0, 1, 16};

static size_t some_budget(struct toy_rng *r, size_t min)
{
	switch (toy_below(r, 6)) {
	case 0:
	case 1:
		return min;
	case 2:
		return min + (size_t)toy_below(r, min + 1);
	case 3:
		return min * 2;
	case 4:
		return min * (3 + (size_t)toy_below(r, 20));
	default:
		return min * 1000;
	}
}

static void random_models(const char *name, struct model_limits limits, unsigned ms)
{
	struct toy_loop loop = {.min = 15, .ms = ms};

	while (toy_more(&loop)) {
		struct toy_rng r;
		struct model m;
		struct model_oracle o;
		struct toy_pool tp;
		unsigned permits = permit_counts[loop.round % 5];
		unsigned io_depth = io_depths[loop.round / 5 % 3];
		unsigned few;
		size_t budget;

		toy_rng_init(&r, name, loop.round);
		few = toy_chance(&r, 25) ? 1 + (unsigned)toy_below(&r, 3) : 0;
		limits.load = (unsigned)toy_below(&r, 3);
		model_random(&m, &r, &limits);
		model_oracle_init(&o, &m);
		budget = some_budget(&r, o.min_bytes);
		toy_case("%s, round %" PRIu64 ": %u permits, io_depth %u, %u streams, budget %zu of at least %zu", name,
		         loop.round, permits, io_depth, few, budget, o.min_bytes);
		toy_pool_open_with(&tp, &(struct bm_pool_options){.permits = permits,
		                                                  .io_depth = io_depth,
		                                                  .memory_bytes = budget,
		                                                  .max_streams = few});
		model_check(&o, &tp);
		if (toy_chance(&r, 50)) /* nothing may be left over from the first flow */
			model_check(&o, &tp);
		toy_pool_close(&tp);
		toy_assert_clean();
		model_oracle_fini(&o);
		model_fini(&m);
	}
}

static void test_one_segment(void **state)
{
	(void)state;
	random_models("one segment", (struct model_limits){.segments = 1, .stages = 5, .streams = 30, .chunks = 20},
	              1000);
}

static void test_long_streams(void **state)
{
	(void)state;
	random_models("long streams", (struct model_limits){.segments = 1, .stages = 4, .streams = 3, .chunks = 300},
	              600);
}

static void test_two_segments(void **state)
{
	(void)state;
	random_models("two segments", (struct model_limits){.segments = 2, .stages = 3, .streams = 12, .chunks = 15},
	              600);
}

/* What trees of small files are: where chunks find partners. */
static void test_short_streams(void **state)
{
	(void)state;
	random_models("short streams", (struct model_limits){.segments = 2, .stages = 4, .streams = 250, .chunks = 2},
	              600);
}

/* Every sequence of three kinds, at every number of threads: the same. */
static void test_every_sequence_of_kinds(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 27; n++) {
		struct toy_rng r;
		struct model m;
		struct model_oracle o;

		toy_rng_init(&r, "kinds", n);
		model_random(
			&m, &r,
			&(struct model_limits){.segments = 1, .stages = 3, .streams = 12, .chunks = 12, .load = 1});
		m.segments[0].stage_count = 3;
		for (unsigned k = 0, rest = n; k < 3; k++, rest /= 3) {
			m.segments[0].stages[k].kind = (enum bm_stage_kind)(rest % 3);
			m.segments[0].stages[k].pairs = rest % 3 == BM_STAGE_SERIAL;
			m.segments[0].stages[k].op = (enum model_op)toy_below(&r, OP_KINDS);
		}
		model_oracle_init(&o, &m);
		for (unsigned i = 0; i < 5; i++) {
			struct toy_pool tp;

			toy_case("kinds %u, %u permits", n, permit_counts[i]);
			toy_pool_open(&tp, permit_counts[i], 1, o.min_bytes * 6);
			model_check(&o, &tp);
			toy_pool_close(&tp);
		}
		model_oracle_fini(&o);
		model_fini(&m);
	}
	toy_assert_clean();
}

/* ---- what is refused ---- */

static void expect_both_numbers(const struct bm_error *err, size_t a, size_t b)
{
	char text[2][32];

	snprintf(text[0], sizeof(text[0]), "%zu", a);
	snprintf(text[1], sizeof(text[1]), "%zu", b);
	if (!strstr(err->text, text[0]) || !strstr(err->text, text[1]))
		fail_msg("\"%s\" does not tell %s and %s", err->text, text[0], text[1]);
}

static void test_budget_below_the_least_is_refused(void **state)
{
	(void)state;
	toy_case("budget");
	for (unsigned segments = 1; segments <= 3; segments++) {
		struct mini m = {.stream_count = 3,
		                 .chunk_count = 3,
		                 .segment_count = segments,
		                 .stage_count = 2,
		                 .buffer_bytes = 12345};
		struct bm_error err = BM_ERROR_INIT;
		struct toy_pool tp;
		size_t min;

		mini_init(&m);
		min = bm_flow_min_bytes(&m.pl);
		assert_true(min >= segments * m.buffer_bytes);
		for (unsigned less = 0; less < 2; less++) {
			size_t budget = less ? 0 : min - 1;

			toy_pool_open(&tp, 2, 1, budget);
			m.tp = &tp;
			memset(&err, 0, sizeof(err));
			assert_int_equal(mini_try_start(&m, &err), BM_ERR_NOMEM);
			assert_int_equal(err.status, BM_ERR_NOMEM);
			expect_both_numbers(&err, budget, min);
			assert_int_equal(mini_try_start(&m, NULL), BM_ERR_NOMEM);
			assert_int_equal(atomic_load(&m.given), 0);
			toy_pool_close(&tp);
		}
		toy_pool_open(&tp, 2, 1, min);
		mini_start(&m);
		mini_finish(&m);
		assert_int_equal(atomic_load(&m.ok_count), 3);
		toy_pool_close(&tp);
		mini_fini(&m);
	}
	toy_assert_clean();
}

/* Sums that do not fit a size_t are no small numbers. */
static void test_sizes_that_overflow(void **state)
{
	static const size_t sizes[][2] = {
		{SIZE_MAX, 0},         {SIZE_MAX, 2},
		{SIZE_MAX, SIZE_MAX},  {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1},
		{SIZE_MAX / 3 + 1, 0}, {SIZE_MAX - 4095, 4096},
		{SIZE_MAX - 64, 0},
	};

	(void)state;
	toy_case("overflow");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct mini m = {.stream_count = 1, .chunk_count = 1, .segment_count = 3};
		struct bm_error err = BM_ERROR_INIT;
		struct toy_pool tp;

		toy_pool_open(&tp, 1, 0, 1 << 20);
		m.tp = &tp;
		mini_init(&m);
		for (unsigned s = 0; s < 3; s++)
			memcpy(m.segments[s].buffer_bytes, sizes[i], sizeof(sizes[i]));
		assert_true(bm_flow_min_bytes(&m.pl) > 1 << 20);
		assert_int_equal(mini_try_start(&m, &err), BM_ERR_NOMEM);
		toy_pool_close(&tp);
		mini_fini(&m);
	}
	toy_assert_clean();
}

/* A budget that stands for "no limit" works, and does not let such sizes in either: refused, or the stream fails. */
static void test_largest_budget(void **state)
{
	static const size_t sizes[][2] = {
		{64, 0}, {SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1}, {SIZE_MAX - 64, 0}, {SIZE_MAX / 4, 64}};

	(void)state;
	toy_case("largest budget");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct mini m = {.stream_count = 5,
		                 .chunk_count = 20,
		                 .stage_count = 2,
		                 .segment_count = 2,
		                 .kinds = {BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER}};
		struct bm_error err = BM_ERROR_INIT;
		struct toy_pool tp;

		if (i > 0 && toy_is_slow())
			break; /* a sanitizer's malloc aborts at such sizes */
		toy_pool_open(&tp, 3, 1, SIZE_MAX);
		m.tp = &tp;
		mini_init(&m);
		for (unsigned s = 0; s < 2; s++)
			memcpy(m.segments[s].buffer_bytes, sizes[i], sizeof(sizes[i]));
		if (mini_try_start(&m, &err) == BM_OK) {
			mini_finish(&m);
			for (size_t n = 0; n < m.stream_count; n++)
				assert_int_equal(m.streams[n].status, i == 0 ? BM_OK : BM_ERR_NOMEM);
		} else {
			assert_true(i > 0);
			assert_int_equal(err.status, BM_ERR_NOMEM);
		}
		toy_pool_close(&tp);
		mini_fini(&m);
	}
	toy_assert_clean();
}

/* ---- smaller promises ---- */

static enum bm_status check_same_worker(struct mini_call *c)
{
	TOY_CHECK(c->frame->index == c->st->worker, "stream %zu: one chunk, and handed to another thread", c->st->id);
	return BM_OK;
}

static void check_same_worker_at_end(struct mini_call *c)
{
	check_same_worker(c);
}

/* DESIGN.md, rule 6: a stream of one chunk stays on one thread. */
static void test_one_chunk_is_not_handed_over(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 2000,
		                 .chunk_count = i % 2,
		                 .stage_count = 3,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_SERIAL},
		                 .at_stage = check_same_worker,
		                 .at_end = check_same_worker_at_end};
		struct bm_pool_stats stats;

		toy_case("one chunk, %u permits", permit_counts[i]);
		toy_pool_open(&tp, permit_counts[i], 1, 64 * 64);
		mini_run(&m, true);
		bm_pool_get_stats(tp.pool, &stats);
		assert_int_equal(stats.chunks, 2000);
		assert_int_equal(stats.parked, 0);
		toy_pool_close(&tp);
	}
	toy_assert_clean();
}

static enum bm_status check_signals(struct mini_call *c)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	for (int n = 1; n < 32; n++)
		TOY_CHECK(n == SIGKILL || n == SIGSTOP || sigismember(&set, n) == 1, "signal %d is not blocked", n);
	(void)c;
	return BM_OK;
}

static void test_signals_are_blocked_in_workers_only(void **state)
{
	struct toy_pool tp;
	struct mini m = {.tp = &tp, .stream_count = 20, .chunk_count = 20, .stage_count = 1, .at_stage = check_signals};
	sigset_t before, after;

	(void)state;
	toy_case("signals");
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	toy_pool_open(&tp, 3, 2, 64 * 64);
	mini_run(&m, true);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	toy_pool_close(&tp);
	for (int n = 1; n < 32; n++)
		assert_int_equal(sigismember(&before, n), sigismember(&after, n));
}

/* The most segments and stages that there may be. */
static void test_most_segments_and_stages(void **state)
{
	struct model m = {.segment_count = BM_FLOW_MAX_SEGMENTS, .stream_count = 6, .load = 1};
	struct model_oracle o;
	struct toy_rng r;

	(void)state;
	toy_rng_init(&r, "most", 0);
	for (unsigned s = 0; s < m.segment_count; s++) {
		m.segments[s].bytes[0] = 20 + 7 * s;
		m.segments[s].bytes[1] = s % 2 ? 30 : 0;
		m.segments[s].fill = s % 3 ? FILL_COPY : FILL_PER_CHUNK;
		m.segments[s].stage_count = BM_FLOW_MAX_STAGES / BM_FLOW_MAX_SEGMENTS;
		for (unsigned k = 0; k < m.segments[s].stage_count; k++) {
			m.segments[s].stages[k].kind = (enum bm_stage_kind)toy_below(&r, 3);
			m.segments[s].stages[k].op = (enum model_op)toy_below(&r, OP_KINDS);
			m.segments[s].stages[k].pairs = m.segments[s].stages[k].kind == BM_STAGE_SERIAL && k % 2;
		}
	}
	m.streams = toy_alloc(m.stream_count, sizeof(*m.streams));
	for (size_t i = 0; i < m.stream_count; i++)
		m.streams[i] =
			(struct model_stream_spec){.seed = toy_rand(&r), .total_bytes = 100 * i, .ragged = i % 2};
	model_oracle_init(&o, &m);
	for (unsigned i = 0; i < 5; i++) {
		for (size_t times = 1; times < 10; times *= 3) {
			struct toy_pool tp;

			toy_case("most, %u permits, %zu times the least budget", permit_counts[i], times);
			toy_pool_open(&tp, permit_counts[i], 1, o.min_bytes * times);
			model_check(&o, &tp);
			toy_pool_close(&tp);
		}
	}
	model_oracle_fini(&o);
	model_fini(&m);
	toy_assert_clean();
}

static void test_destroy_null(void **state)
{
	(void)state;
	bm_flow_destroy(NULL);
	bm_pool_destroy(NULL);
}

/* Of all that ran before. */
static void test_pairs_have_happened(void **state)
{
	(void)state;
	toy_assert_pairs();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_segment),
		cmocka_unit_test(test_long_streams),
		cmocka_unit_test(test_two_segments),
		cmocka_unit_test(test_short_streams),
		cmocka_unit_test(test_every_sequence_of_kinds),
		cmocka_unit_test(test_budget_below_the_least_is_refused),
		cmocka_unit_test(test_sizes_that_overflow),
		cmocka_unit_test(test_largest_budget),
		cmocka_unit_test(test_one_chunk_is_not_handed_over),
		cmocka_unit_test(test_signals_are_blocked_in_workers_only),
		cmocka_unit_test(test_most_segments_and_stages),
		cmocka_unit_test(test_destroy_null),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_order", tests);
}
