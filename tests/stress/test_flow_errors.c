/* test_flow_errors.c - the error of a stream is the one that a serial run meets, and what stands before it passes. */
#include <inttypes.h>

#include "mini.h"
#include "model.h"

static void random_failures(const char *name, struct model_limits limits, unsigned ms)
{
	static const unsigned permit_counts[] = {2, 3, 1, 8};
	struct toy_loop loop = {.min = 20, .ms = ms};

	while (toy_more(&loop)) {
		struct toy_rng r;
		struct model m;
		struct model_oracle o;
		struct toy_pool tp;
		unsigned permits = permit_counts[loop.round % 4];
		size_t budget;

		toy_rng_init(&r, name, loop.round);
		limits.load = (unsigned)toy_below(&r, 3);
		limits.fail_percent = toy_chance(&r, 30) ? 100 : 40;
		model_random(&m, &r, &limits);
		model_oracle_init(&o, &m);
		budget = o.min_bytes * (1 + (size_t)(toy_chance(&r, 30) ? 0 : toy_below(&r, 30)));
		toy_case("%s, round %" PRIu64 ": %u permits, budget %zu of at least %zu", name, loop.round, permits,
		         budget, o.min_bytes);
		toy_pool_open(&tp, permits, (unsigned)toy_below(&r, 5), budget);
		model_check(&o, &tp);
		if (toy_chance(&r, 50)) /* a failed stream must leave no token behind */
			model_check(&o, &tp);
		toy_pool_close(&tp);
		toy_assert_clean();
		model_oracle_fini(&o);
		model_fini(&m);
	}
}

static void test_failures_in_one_segment(void **state)
{
	(void)state;
	random_failures("failures in one segment",
	                (struct model_limits){.segments = 1, .stages = 6, .streams = 25, .chunks = 12}, 1200);
}

static void test_failures_across_segments(void **state)
{
	(void)state;
	random_failures("failures across segments",
	                (struct model_limits){.segments = 4, .stages = 3, .streams = 10, .chunks = 12}, 1200);
}

/* One failure, at every place in turn: every stage and fill, first, middle and last chunk, each stream. */
static void test_failure_at_every_place(void **state)
{
	struct toy_rng r;
	struct model m = {.segment_count = 2, .stream_count = 4, .load = 1};

	(void)state;
	toy_rng_init(&r, "every place", 0);
	for (unsigned s = 0; s < 2; s++) {
		m.segments[s] = (struct model_segment){.bytes = {40, 40}, .fill = FILL_COPY, .stage_count = 3};
		m.segments[s].stages[0] = (struct model_stage){BM_STAGE_SERIAL, OP_XOR, true};
		m.segments[s].stages[1] = (struct model_stage){BM_STAGE_PARALLEL, OP_XOR_SPARE, false};
		m.segments[s].stages[2] = (struct model_stage){s ? BM_STAGE_IN_ORDER : BM_STAGE_SERIAL, OP_LOOK, !s};
	}
	m.streams = toy_alloc(m.stream_count, sizeof(*m.streams));
	for (size_t i = 0; i < m.stream_count; i++)
		m.streams[i] =
			(struct model_stream_spec){.seed = toy_rand(&r), .total_bytes = 40 * 6 - 10, .tail = i % 2};
	for (size_t victim = 0; victim < m.stream_count; victim++) {
		for (unsigned place = 0; place < 2 * 4 * 6; place++) {
			struct model_stream_spec *sp = &m.streams[victim];
			struct model_oracle o;
			struct toy_pool tp;

			toy_case("every place: stream %zu, place %u", victim, place);
			sp->failure_count = 1;
			sp->failures[0] = (struct model_failure){.segment = place / 24,
			                                         .stage = (int)(place / 6 % 4) - 1,
			                                         .seq = place % 6,
			                                         .partial = place % 2,
			                                         .status = BM_ERR_FORMAT};
			model_oracle_init(&o, &m);
			toy_pool_open(&tp, 1 + place % 3, place % 4, o.min_bytes * (1 + place % 5));
			model_check(&o, &tp);
			toy_pool_close(&tp);
			model_oracle_fini(&o);
			sp->failure_count = 0;
		}
	}
	model_fini(&m);
	toy_assert_clean();
}

/* ---- the later failure happens first, by force ---- */

static struct toy_latch failed_latch;

static enum bm_status fail_with(struct mini_call *c, const char *what)
{
	return bm_error_set(c->err, BM_ERR_FORMAT, NULL, "%s", what);
}

/* All stages are parallel: chunk 2 is held in the last stage until chunk 5 has failed in the first. */
static enum bm_status later_chunk_fails_first(struct mini_call *c)
{
	if (c->chunk->seq == 5 && c->stage == 0) {
		toy_latch_add(&failed_latch);
		return fail_with(c, "late chunk, early stage");
	}
	if (c->chunk->seq == 2 && c->stage == 2) {
		toy_latch_wait(&failed_latch, 1);
		toy_spin(20000); /* and the engine has heard of it, likely */
		return fail_with(c, "early chunk, late stage");
	}
	return BM_OK;
}

static void test_lowest_seq_names_the_error(void **state)
{
	(void)state;
	for (unsigned permits = 2; permits < 5; permits++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 1,
		                 .chunk_count = 10,
		                 .stage_count = 3,
		                 .at_stage = later_chunk_fails_first};

		toy_case("lowest seq, %u permits", permits);
		failed_latch = (struct toy_latch)TOY_LATCH_INIT;
		toy_pool_open(&tp, permits, 0, 64 * 64);
		mini_init(&m);
		mini_start(&m);
		mini_finish(&m);
		TOY_CHECK(strcmp(m.streams[0].text, "early chunk, late stage") == 0, "the error is \"%s\"",
		          m.streams[0].text);
		mini_fini(&m);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* Segment 1's fill is held with chunk 3 until segment 0 has failed with chunk 5: serially, 3 is through by then. */
static enum bm_status segment_0_fails_first_stage(struct mini_call *c)
{
	if (c->segment == 0 && c->chunk->seq == 5) {
		toy_latch_add(&failed_latch);
		return fail_with(c, "segment 0");
	}
	return BM_OK;
}

static enum bm_status segment_0_fails_first_fill(struct mini_call *c)
{
	if (c->segment == 1 && c->chunk->seq == 3) {
		toy_latch_wait(&failed_latch, 1);
		toy_spin(20000);
		return fail_with(c, "segment 1");
	}
	return BM_OK;
}

static void test_later_segment_names_the_error(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 1,
		                 .chunk_count = 10,
		                 .stage_count = 1,
		                 .segment_count = 2,
		                 .kinds = {(enum bm_stage_kind)kind},
		                 .at_stage = segment_0_fails_first_stage,
		                 .at_fill = segment_0_fails_first_fill};

		toy_case("later segment, kind %u", kind);
		failed_latch = (struct toy_latch)TOY_LATCH_INIT;
		toy_pool_open(&tp, 2, 0, 64 * 64);
		mini_init(&m);
		mini_start(&m);
		mini_finish(&m);
		TOY_CHECK(strcmp(m.streams[0].text, "segment 1") == 0, "the error is \"%s\"", m.streams[0].text);
		mini_fini(&m);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* ---- streams without an end ---- */

static enum bm_status fail_at_5_in_the_last(struct mini_call *c)
{
	unsigned place = *(unsigned *)c->m->user;

	if (c->chunk->seq == 5 && c->segment == place / 3 && c->stage == place % 3)
		return fail_with(c, "five");
	return BM_OK;
}

/* A source that would go on for ever is not read on once the stream has failed. */
static void test_failure_stops_an_endless_stream(void **state)
{
	(void)state;
	for (unsigned place = 0; place < 9; place++) {
		for (unsigned permits = 1; permits < 4; permits++) {
			struct toy_pool tp;
			struct mini m = {
				.tp = &tp,
				.stream_count = 3,
				.chunk_count = UINT64_MAX,
				.stage_count = 4,
				.segment_count = 3,
				.user = &place,
				.at_stage = fail_at_5_in_the_last,
				.kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
				.pairs = {false, false, false, true}};

			toy_case("endless, place %u, %u permits", place, permits);
			toy_pool_open(&tp, permits, place % 3, 64 * 3 * (place % 2 ? 1 : 10));
			mini_init(&m);
			mini_start(&m);
			mini_finish(&m);
			for (unsigned i = 0; i < 3; i++)
				TOY_CHECK(strcmp(m.streams[i].text, "five") == 0, "the error is \"%s\"",
				          m.streams[i].text);
			mini_fini(&m);
			toy_pool_close(&tp);
			toy_assert_clean();
		}
	}
}

/* ---- a failure and an IN_ORDER stage ---- */

static enum bm_status fail_by_stream(struct mini_call *c)
{
	unsigned variant = *(unsigned *)c->m->user;

	toy_load(c->frame, 2, toy_mix(c->chunk->seq ^ c->st->id << 8 ^ variant << 20));
	if (c->segment + 1 == c->m->segment_count && c->st->id % 3 == variant % 3 &&
	    c->chunk->seq == (c->st->id + variant) % 4)
		return fail_with(c, "by stream");
	return BM_OK;
}

static enum bm_status fail_in_stage(struct mini_call *c)
{
	return c->stage == *(unsigned *)c->m->user / 3 % 4 ? fail_by_stream(c) : BM_OK;
}

/* Streams that fail before, in and behind an IN_ORDER stage hand the turn on, whatever they never sent to it: where
 * there are two segments, it is the second that fails, and the first has two such stages. */
static void test_failed_streams_hand_the_turn_on(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 24; variant++) {
		for (unsigned permits = 1; permits < 4; permits++) {
			struct toy_pool tp;
			struct mini m = {.tp = &tp,
			                 .stream_count = 60,
			                 .chunk_count = 1 + variant % 4,
			                 .stage_count = 6,
			                 .segment_count = 1 + variant % 2,
			                 .user = &variant,
			                 .kinds = {BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER, BM_STAGE_SERIAL,
			                           BM_STAGE_IN_ORDER, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
			                 .pairs = {[4] = true, [5] = true}};
			unsigned failing = 0;

			toy_case("turn, variant %u, %u permits", variant, permits);
			if (variant % 2)
				m.at_stage = fail_in_stage;
			else
				m.at_fill = fail_by_stream;
			toy_pool_open(&tp, permits, variant % 3, 64 * m.segment_count * (1 + variant % 7));
			mini_init(&m);
			mini_start(&m);
			mini_finish(&m);
			for (size_t i = 0; i < m.stream_count; i++) {
				bool fails = i % 3 == variant % 3 && (i + variant) % 4 < m.chunk_count;

				TOY_CHECK(strcmp(m.streams[i].text, fails ? "by stream" : "") == 0,
				          "stream %zu ends with \"%s\"", i, m.streams[i].text);
				failing += fails;
			}
			TOY_CHECK(atomic_load(&m.ok_count) == m.stream_count - failing, "%u streams went well",
			          atomic_load(&m.ok_count));
			mini_fini(&m);
			toy_pool_close(&tp);
			toy_assert_clean();
		}
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
		cmocka_unit_test(test_failures_in_one_segment),
		cmocka_unit_test(test_failures_across_segments),
		cmocka_unit_test(test_failure_at_every_place),
		cmocka_unit_test(test_lowest_seq_names_the_error),
		cmocka_unit_test(test_later_segment_names_the_error),
		cmocka_unit_test(test_failure_stops_an_endless_stream),
		cmocka_unit_test(test_failed_streams_hand_the_turn_on),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_errors", tests);
}
