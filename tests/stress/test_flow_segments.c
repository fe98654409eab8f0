/* test_flow_segments.c - where chunk boundaries change: copying, expanding, shrinking, collecting, ending early. */
#include <inttypes.h>

#include "model.h"

static const char *const fill_names[] = {"copy", "per chunk", "expand", "shrink", "collect", "early"};

static void check_at_many_sizes(const struct model *m, const char *name)
{
	struct model_oracle o;

	model_oracle_init(&o, m);
	for (unsigned permits = 1; permits <= 4; permits++) {
		for (size_t times = 1; times <= 16; times *= 4) {
			struct toy_pool tp;

			toy_case("%s, %u permits, %zu times the least budget", name, permits, times);
			toy_pool_open(&tp, permits, permits % 2 * 2, o.min_bytes * times);
			model_check(&o, &tp);
			toy_pool_close(&tp);
			toy_assert_clean();
		}
	}
	model_oracle_fini(&o);
}

/* Every kind of boundary after every other, with buffers that fit badly. */
static void test_every_pair_of_fills(void **state)
{
	(void)state;
	atomic_store(&model_exchanges, 0);
	for (unsigned pair = 0; pair < FILL_KINDS * FILL_KINDS; pair++) {
		static const size_t sizes[][3] = {{64, 64, 64}, {100, 7, 31}, {3, 200, 1}};
		struct toy_rng r;
		struct model m = {.segment_count = 3, .stream_count = 8, .load = 1};
		char name[64];

		toy_rng_init(&r, "pairs", pair);
		snprintf(name, sizeof(name), "%s, then %s", fill_names[pair / FILL_KINDS],
		         fill_names[pair % FILL_KINDS]);
		for (unsigned s = 0; s < 3; s++) {
			struct model_segment *seg = &m.segments[s];

			seg->bytes[0] = sizes[pair % 3][s];
			seg->bytes[1] = s == 1 ? seg->bytes[0] : 0;
			seg->fill = (enum model_fill)(s == 1 ? pair / FILL_KINDS : pair % FILL_KINDS);
			seg->stage_count = 2;
			seg->stages[0] = (struct model_stage){BM_STAGE_SERIAL, OP_XOR, true};
			seg->stages[1] = (struct model_stage){BM_STAGE_PARALLEL, OP_TRIM, false};
		}
		m.streams = toy_alloc(m.stream_count, sizeof(*m.streams));
		for (size_t i = 0; i < m.stream_count; i++) {
			struct model_stream_spec *sp = &m.streams[i];

			sp->seed = toy_rand(&r);
			sp->total_bytes = i * 90;
			sp->early_bytes = toy_below(&r, sp->total_bytes + 1);
			sp->ragged = i % 2;
			sp->tail = (unsigned)(i % 3);
		}
		check_at_many_sizes(&m, name);
		model_fini(&m);
	}
	assert_true(atomic_load(&model_exchanges) > 1000);
}

static void random_segments(const char *name, struct model_limits limits, unsigned ms)
{
	struct toy_loop loop = {.min = 20, .ms = ms};

	while (toy_more(&loop)) {
		struct toy_rng r;
		struct model m;
		struct model_oracle o;
		struct toy_pool tp;
		unsigned permits;
		size_t budget;

		toy_rng_init(&r, name, loop.round);
		limits.load = (unsigned)toy_below(&r, 3);
		model_random(&m, &r, &limits);
		model_oracle_init(&o, &m);
		permits = 1 + (unsigned)toy_below(&r, 5);
		budget = o.min_bytes * (1 + (size_t)(toy_chance(&r, 40) ? 0 : toy_below(&r, 10)));
		toy_case("%s, round %" PRIu64 ": %u permits, budget %zu of at least %zu", name, loop.round, permits,
		         budget, o.min_bytes);
		toy_pool_open(&tp, permits, (unsigned)toy_below(&r, 6), budget);
		model_check(&o, &tp);
		model_check(&o, &tp);
		toy_pool_close(&tp);
		toy_assert_clean();
		model_oracle_fini(&o);
		model_fini(&m);
	}
}

static void test_up_to_eight_segments(void **state)
{
	(void)state;
	random_segments("eight segments", (struct model_limits){.segments = 8, .stages = 2, .streams = 8, .chunks = 12},
	                1200);
}

static void test_early_ends(void **state)
{
	(void)state;
	random_segments("early ends",
	                (struct model_limits){.segments = 5, .stages = 3, .streams = 8, .chunks = 20, .early = true},
	                1000);
}

static void test_early_ends_and_failures(void **state)
{
	(void)state;
	random_segments(
		"early ends and failures",
		(struct model_limits){
			.segments = 5, .stages = 3, .streams = 8, .chunks = 20, .early = true, .fail_percent = 60},
		1000);
}

/* Whatever the engine does with what an early end leaves unread, it must not depend on timing: same error each time. */
static void test_early_end_before_a_failure_is_stable(void **state)
{
	struct model m = {.segment_count = 2, .stream_count = 1, .load = 2};
	struct model_stream_spec sp = {.seed = 5,
	                               .total_bytes = 64 * 40,
	                               .early_bytes = 64 * 3 + 5,
	                               .failure_count = 1,
	                               .failures = {{.stage = 0, .seq = 7, .status = BM_ERR_FORMAT}}};
	struct model_oracle o;
	unsigned ok = 0, failed = 0;

	(void)state;
	m.streams = &sp;
	for (unsigned s = 0; s < 2; s++)
		m.segments[s] = (struct model_segment){.bytes = {64, 0},
		                                       .fill = FILL_EARLY,
		                                       .stage_count = 1,
		                                       .stages = {{BM_STAGE_SERIAL, OP_LOOK, true}}};
	model_oracle_init(&o, &m);
	for (unsigned round = 0; round < 200; round++) {
		struct toy_pool tp;
		struct model_run run;
		struct bm_error err = BM_ERROR_INIT;

		toy_case("early end before a failure, round %u", round);
		toy_pool_open(&tp, 1 + round % 4, round % 2, o.min_bytes * (1 + round % 9));
		model_run_init(&run, &o, &tp);
		assert_int_equal(model_start(&run, &err), BM_OK);
		model_finish(&run);
		model_compare(&run, &o);
		if (run.streams[0].ok)
			ok++;
		else
			failed++;
		model_run_fini(&run);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
	model_oracle_fini(&o);
	if (ok && failed)
		fail_msg("the stream ended well %u times, and failed %u times", ok, failed);
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
		cmocka_unit_test(test_every_pair_of_fills),
		cmocka_unit_test(test_up_to_eight_segments),
		cmocka_unit_test(test_early_ends),
		cmocka_unit_test(test_early_ends_and_failures),
		cmocka_unit_test(test_early_end_before_a_failure_is_stable),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_segments", tests);
}
