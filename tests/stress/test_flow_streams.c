/* test_flow_streams.c - many streams, no streams, slow sources; long streams beside short ones; several flows on a
 * pool. */
#include <inttypes.h>
#include <time.h>

#include "mini.h"
#include "model.h"

static enum bm_status some_load(struct mini_call *c)
{
	toy_load(c->frame, 1, toy_mix(c->st->id * 977 + c->chunk->seq * 31 + c->stage));
	return BM_OK;
}

static void run_many(const char *name, struct mini m, size_t tokens)
{
	static const unsigned permit_counts[] = {1, 2, 8};

	for (unsigned i = 0; i < 3; i++) {
		struct toy_pool tp;
		struct mini copy = m;

		toy_case("%s, %u permits, %zu tokens", name, permit_counts[i], tokens);
		toy_pool_open(&tp, permit_counts[i], 1 + i, 64 * tokens);
		copy.tp = &tp;
		mini_run(&copy, true);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

static void test_many_streams_of_one_chunk(void **state)
{
	struct mini m = {.stream_count = 20000,
	                 .chunk_count = 1,
	                 .stage_count = 3,
	                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER},
	                 .pairs = {true}};

	(void)state;
	run_many("one chunk each", m, 16);
	run_many("one chunk each", m, 1);
}

static void test_many_empty_streams(void **state)
{
	struct mini m = {.stream_count = 20000,
	                 .chunk_count = 0,
	                 .stage_count = 2,
	                 .kinds = {BM_STAGE_IN_ORDER, BM_STAGE_SERIAL},
	                 .pairs = {false, true}};

	(void)state;
	run_many("empty", m, 8);
	m.stage_count = 0;
	run_many("empty, no stages", m, 3);
}

static uint64_t tiny_and_huge(const struct mini *m, size_t stream)
{
	(void)m;
	return stream % 500 == 7 ? 3000 : stream % 5;
}

static void test_tiny_and_huge_streams(void **state)
{
	struct mini m = {.stream_count = 2500,
	                 .chunks = tiny_and_huge,
	                 .stage_count = 3,
	                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER},
	                 .pairs = {true}};

	(void)state;
	run_many("tiny and huge", m, 12);
	m.stream_count = 600;
	m.at_stage = some_load;
	run_many("tiny and huge, load", m, 30);
	m.segment_count = 2;
	run_many("tiny and huge, two segments", m, 5);
}

static void test_no_streams(void **state)
{
	(void)state;
	run_many("none", (struct mini){.stream_count = 0, .stage_count = 1}, 1);
}

/* ---- sources ---- */

static void slow_next(struct mini_call *c)
{
	struct timespec ts = {0, 20000};

	toy_block(c->frame);
	nanosleep(&ts, NULL);
	toy_unblock(c->frame);
}

static void test_slow_source(void **state)
{
	(void)state;
	run_many("slow source",
	         (struct mini){.stream_count = 500,
	                       .chunk_count = 3,
	                       .stage_count = 2,
	                       .at_next = slow_next,
	                       .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
	                       .pairs = {true}},
	         4);
}

static struct toy_latch ended_latch;
static bool wait_blocked;

/* Does not return before all streams given so far have ended: listing holds up nobody. */
static void next_after_the_last_has_ended(struct mini_call *c)
{
	if (wait_blocked)
		toy_block(c->frame);
	toy_latch_wait(&ended_latch, (unsigned)atomic_load(&c->m->given));
	if (wait_blocked)
		toy_unblock(c->frame);
}

static void count_end(struct mini_call *c)
{
	(void)c;
	toy_latch_add(&ended_latch);
}

static void test_source_that_waits_for_its_streams(void **state)
{
	static const struct {
		unsigned permits, io_depth;
		bool blocked;
	} ways[] = {{1, 1, true}, {2, 0, false}, {2, 0, true}, {2, 2, true}, {8, 1, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 300,
		                 .chunk_count = 3,
		                 .stage_count = 2,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                 .pairs = {true},
		                 .at_next = next_after_the_last_has_ended,
		                 .at_end = count_end};

		toy_case("source that waits, way %zu", i);
		ended_latch = (struct toy_latch)TOY_LATCH_INIT;
		wait_blocked = ways[i].blocked;
		toy_pool_open(&tp, ways[i].permits, ways[i].io_depth, 64 * 4);
		mini_run(&m, true);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* ---- a long stream beside short ones ---- */

static uint64_t first_is_long(const struct mini *m, size_t stream)
{
	(void)m;
	return stream == 0 ? 2000 : stream % 4;
}

/* The long stream's first chunk sits in the serial stage until all the others have ended. */
static enum bm_status hold_the_long_one(struct mini_call *c)
{
	if (c->st->id == 0 && c->chunk->seq == 0 && c->stage == 2)
		toy_latch_wait(&ended_latch, (unsigned)c->m->stream_count - 1);
	return BM_OK;
}

static void count_short_end(struct mini_call *c)
{
	if (c->st->id != 0)
		toy_latch_add(&ended_latch);
}

static void test_short_streams_pass_a_long_one(void **state)
{
	static const size_t tokens[] = {2, 3, 4, 16, 200};

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 400,
		                 .chunks = first_is_long,
		                 .stage_count = 4,
		                 .segment_count = 1 + i % 2,
		                 .at_stage = hold_the_long_one,
		                 .at_end = count_short_end,
		                 .kinds = {BM_STAGE_PARALLEL, BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
		                 .pairs = {false, true, false, true}};
		unsigned permits = i < 10 ? 2 : 3;

		toy_case("short beside long, %u permits, %zu times the least budget", permits, tokens[i / 2 % 5]);
		ended_latch = (struct toy_latch)TOY_LATCH_INIT;
		toy_pool_open(&tp, permits, i % 3, 64 * m.segment_count * tokens[i / 2 % 5]);
		mini_run(&m, true);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* The same, the short ones being another flow. The long one begins when that is there: before, it may take all. */
static struct toy_latch started_latch;

static enum bm_status wait_for_start(struct mini_call *c)
{
	if (c->chunk->seq == 0)
		toy_latch_wait(&started_latch, 1);
	return BM_OK;
}

static enum bm_status hold_the_long_flow(struct mini_call *c)
{
	struct mini *others = c->m->user;

	if (c->chunk->seq == 0)
		toy_latch_wait(&ended_latch, (unsigned)others->stream_count);
	return BM_OK;
}

static void test_flow_of_short_streams_passes_a_long_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct toy_pool tp;
		struct mini shorts = {.tp = &tp,
		                      .stream_count = 300,
		                      .chunk_count = i % 3,
		                      .stage_count = 2,
		                      .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                      .pairs = {true},
		                      .at_end = count_end,
		                      .buffer_bytes = 48 + 40 * (i % 2)};
		struct mini held = {.tp = &tp,
		                    .stream_count = 1,
		                    .chunk_count = 2000,
		                    .stage_count = 2,
		                    .kinds = {BM_STAGE_SERIAL, BM_STAGE_SERIAL},
		                    .pairs = {true},
		                    .at_stage = hold_the_long_flow,
		                    .user = &shorts,
		                    .at_fill = wait_for_start};

		toy_case("short flow beside long, %u", i);
		ended_latch = (struct toy_latch)TOY_LATCH_INIT;
		started_latch = (struct toy_latch)TOY_LATCH_INIT;
		toy_pool_open(&tp, 2, i % 2, i < 6 ? 64 + shorts.buffer_bytes : 64 * 20);
		mini_init(&held);
		mini_init(&shorts);
		mini_start(&held);
		mini_start(&shorts);
		toy_latch_add(&started_latch);
		mini_finish(&shorts);
		mini_finish(&held);
		TOY_CHECK(atomic_load(&shorts.ok_count) == 300, "%u of 300 ended well", atomic_load(&shorts.ok_count));
		TOY_CHECK(atomic_load(&held.ok_count) == 1, "the long stream failed");
		mini_fini(&held);
		mini_fini(&shorts);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* ---- several flows ---- */

static void test_several_flows(void **state)
{
	struct toy_loop loop = {.min = 15, .ms = 1500};

	(void)state;
	while (toy_more(&loop)) {
		enum { FLOWS = 4 };
		struct model_limits limits = {
			.segments = 3, .stages = 3, .streams = 15, .chunks = 15, .fail_percent = 15};
		struct model m[FLOWS];
		struct model_oracle o[FLOWS];
		struct model_run run[FLOWS];
		struct toy_rng r;
		struct toy_pool tp;
		size_t most = 0, budget;

		toy_rng_init(&r, "several flows", loop.round);
		for (unsigned i = 0; i < FLOWS; i++) {
			limits.load = (unsigned)toy_below(&r, 3);
			model_random(&m[i], &r, &limits);
			model_oracle_init(&o[i], &m[i]);
			if (o[i].min_bytes > most)
				most = o[i].min_bytes;
		}
		budget = most + (toy_chance(&r, 50) ? 0 : (size_t)toy_below(&r, most * 6));
		toy_case("several flows, round %" PRIu64 ": budget %zu, least %zu", loop.round, budget, most);
		toy_pool_open(&tp, 1 + (unsigned)toy_below(&r, 4), (unsigned)toy_below(&r, 5), budget);
		for (unsigned i = 0; i < FLOWS; i++) {
			struct bm_error err = BM_ERROR_INIT;

			model_run_init(&run[i], &o[i], &tp);
			if (model_start(&run[i], &err) != BM_OK)
				fail_msg("bm_flow_start: %s", err.text);
			if (toy_chance(&r, 10))
				model_cancel(&run[i]);
		}
		for (unsigned i = 0; i < FLOWS; i++) {
			model_finish(&run[i]);
			model_compare(&run[i], &o[i]);
			model_run_fini(&run[i]);
		}
		toy_pool_close(&tp);
		toy_assert_clean();
		for (unsigned i = 0; i < FLOWS; i++) {
			model_oracle_fini(&o[i]);
			model_fini(&m[i]);
		}
	}
}

static atomic_bool other_is_done;

static bool until_the_other_is_done(struct mini *m)
{
	(void)m;
	return !atomic_load(&other_is_done);
}

static void note_done(struct mini *m)
{
	(void)m;
	atomic_store(&other_is_done, true);
}

/* A flow whose streams never run out does not starve another, even where the budget is the larger one's least need:
 * the greedy one's streams are smaller, so that there is always room for one more of them first. */
static void test_greedy_flow_starves_nobody(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct toy_pool tp;
		struct mini greedy = {.tp = &tp,
		                      .stream_count = 100000,
		                      .chunk_count = 1 + i % 3,
		                      .stage_count = 1,
		                      .kinds = {BM_STAGE_SERIAL},
		                      .pairs = {true},
		                      .at_more = until_the_other_is_done,
		                      .buffer_bytes = i % 2 ? 16 : 64};
		struct mini modest = {.tp = &tp,
		                      .stream_count = 50,
		                      .chunk_count = 2,
		                      .stage_count = 2,
		                      .segment_count = 3,
		                      .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                      .pairs = {true},
		                      .at_done = note_done};
		struct mini *first = i % 4 < 2 ? &greedy : &modest, *second = i % 4 < 2 ? &modest : &greedy;

		toy_case("greedy flow, %u", i);
		atomic_store(&other_is_done, false);
		toy_pool_open(&tp, 1 + i % 3, i % 2, i < 8 ? 64 * 3 : 64 * 3 * 5);
		mini_init(&greedy);
		mini_init(&modest);
		mini_start(first);
		if (first == &greedy)
			toy_spin(100000);
		mini_start(second);
		mini_finish(&modest);
		mini_finish(&greedy);
		TOY_CHECK(atomic_load(&greedy.given) < greedy.stream_count,
		          "the modest flow had to wait for the greedy one");
		TOY_CHECK(atomic_load(&modest.ok_count) == 50, "%u of 50 ended well", atomic_load(&modest.ok_count));
		mini_fini(&greedy);
		mini_fini(&modest);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
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
		cmocka_unit_test(test_many_streams_of_one_chunk),
		cmocka_unit_test(test_many_empty_streams),
		cmocka_unit_test(test_tiny_and_huge_streams),
		cmocka_unit_test(test_no_streams),
		cmocka_unit_test(test_slow_source),
		cmocka_unit_test(test_source_that_waits_for_its_streams),
		cmocka_unit_test(test_short_streams_pass_a_long_one),
		cmocka_unit_test(test_flow_of_short_streams_passes_a_long_one),
		cmocka_unit_test(test_several_flows),
		cmocka_unit_test(test_greedy_flow_starves_nobody),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_streams", tests);
}
