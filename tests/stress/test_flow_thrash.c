/* test_flow_thrash.c - pools and flows made and unmade in quick succession, alone and from several threads. */
#include <inttypes.h>

#include "mini.h"
#include "model.h"

static void test_pools_without_flows(void **state)
{
	(void)state;
	toy_case("pools without flows");
	for (unsigned i = 0; i < 1000; i++) {
		struct toy_pool tp;

		toy_pool_open(&tp, 1 + i % 70, i % 17, i);
		toy_pool_close(&tp);
	}
	toy_assert_clean();
}

static void test_pool_and_flow_thrash(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = i % 7,
		                 .chunk_count = i % 4,
		                 .stage_count = i % 3,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                 .pairs = {i % 2}};

		toy_case("thrash %u", i);
		toy_pool_open(&tp, 1 + i % 5, i % 3, 64 * (1 + i % 5));
		for (unsigned flows = 0; flows < 1 + i % 3; flows++) {
			struct mini one = m;

			mini_run(&one, true);
		}
		toy_pool_close(&tp);
	}
	toy_assert_clean();
}

static void test_destroy_right_after_start_and_cancel(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 100,
		                 .chunk_count = i % 3 ? i % 4 : UINT64_MAX,
		                 .stage_count = 3,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER, BM_STAGE_PARALLEL},
		                 .pairs = {true}};

		toy_case("destroy after cancel %u", i);
		toy_pool_open(&tp, 1 + i % 4, i % 3, 64 * (1 + i % 5));
		mini_init(&m);
		mini_start(&m);
		if (i % 2)
			toy_spin((i * 37) % 5000);
		bm_flow_cancel(m.flow);
		bm_flow_destroy(m.flow); /* waits by itself */
		TOY_CHECK(atomic_load(&m.done_count) == 1, "done() called %u times", atomic_load(&m.done_count));
		TOY_CHECK(atomic_load(&m.end_count) == atomic_load(&m.given), "%u ends of %zu streams",
		          atomic_load(&m.end_count), atomic_load(&m.given));
		toy_pool_close(&tp);
		mini_fini(&m);
	}
	toy_assert_clean();
}

/* Several threads start flows on one pool, each its own, again and again, some of them cancelled. */
struct starter {
	struct toy_pool *tp;
	unsigned id;
	pthread_t thread;
};

static void *start_flows(void *arg)
{
	struct starter *st = arg;

	for (unsigned i = 0; i < 150; i++) {
		struct mini m = {.tp = st->tp,
		                 .stream_count = 1 + (i + st->id) % 9,
		                 .chunk_count = i % 5,
		                 .stage_count = 2,
		                 .buffer_bytes = (size_t)16 << st->id,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                 .pairs = {true}};
		struct bm_error err = BM_ERROR_INIT;
		bool cancel = (i + st->id) % 4 == 0;

		mini_init(&m);
		if (mini_try_start(&m, &err) != BM_OK) {
			toy_violation("bm_flow_start: %s", err.text);
		} else {
			if (cancel)
				bm_flow_cancel(m.flow);
			mini_finish(&m);
			TOY_CHECK(cancel || atomic_load(&m.ok_count) == m.stream_count, "%u of %zu ended well",
			          atomic_load(&m.ok_count), m.stream_count);
		}
		mini_fini(&m);
	}
	return NULL;
}

static void test_flows_started_by_several_threads(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 6; round++) {
		struct starter st[4];
		struct toy_pool tp;

		toy_case("several starters, round %u", round);
		toy_pool_open(&tp, 1 + round % 4, round % 3, round < 3 ? 128 : 1024);
		for (unsigned i = 0; i < 4; i++) {
			st[i] = (struct starter){.tp = &tp, .id = i};
			assert_int_equal(pthread_create(&st[i].thread, NULL, start_flows, &st[i]), 0);
		}
		for (unsigned i = 0; i < 4; i++)
			pthread_join(st[i].thread, NULL);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* The largest pool there may be comes and goes too. */
static void test_largest_pool(void **state)
{
	struct toy_pool tp;
	struct mini m = {.tp = &tp,
	                 .stream_count = 3000,
	                 .chunk_count = 2,
	                 .stage_count = 3,
	                 .kinds = {BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER, BM_STAGE_SERIAL},
	                 .pairs = {false, false, true}};

	(void)state;
	toy_case("largest pool");
	toy_pool_open(&tp, 1024, 1024, 64 * 4096);
	mini_run(&m, true);
	toy_pool_close(&tp);
	toy_assert_clean();
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
		cmocka_unit_test(test_pools_without_flows),
		cmocka_unit_test(test_pool_and_flow_thrash),
		cmocka_unit_test(test_destroy_right_after_start_and_cancel),
		cmocka_unit_test(test_flows_started_by_several_threads),
		cmocka_unit_test(test_largest_pool),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_thrash", tests);
}
