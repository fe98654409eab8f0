/*
 * test_flow_parallel.c - things that must be able to happen at the same time do: each test is a meeting that hangs
 * where they cannot, and the watchdog makes that a failure. Every meeting has as many parties as there are permits (or,
 * for blocked ones, as io_depth grants), so that one wrongly held permit or thread is enough to hang it.
 */
#include <inttypes.h>

#include "mini.h"

static struct toy_latch latch;

struct meeting {
	unsigned group;
	bool blocked;
	uint64_t last; /* chunks or streams beyond this one do not meet */
};

static void meet(struct mini_call *c, uint64_t n)
{
	const struct meeting *me = c->m->user;

	if (n >= me->last)
		return;
	if (me->blocked)
		toy_block(c->frame);
	toy_latch_meet(&latch, me->group);
	if (me->blocked)
		toy_unblock(c->frame);
}

static enum bm_status meet_in_stage_1(struct mini_call *c)
{
	if (c->stage == 1)
		meet(c, c->chunk->seq);
	return BM_OK;
}

static enum bm_status meet_by_stream(struct mini_call *c)
{
	if (c->chunk->seq == 0)
		meet(c, c->st->id);
	return BM_OK;
}

static void meet_at_end(struct mini_call *c)
{
	meet(c, c->st->id);
}

static void run(struct mini *m, unsigned permits, unsigned io_depth, size_t tokens, unsigned least_running)
{
	struct toy_pool tp;

	latch = (struct toy_latch)TOY_LATCH_INIT;
	toy_pool_open(&tp, permits, io_depth, 64 * tokens);
	m->tp = &tp;
	mini_run(m, true);
	TOY_CHECK(atomic_load(&tp.running_max) >= least_running, "never more than %u callbacks at once",
	          atomic_load(&tp.running_max));
	toy_pool_close(&tp);
	toy_assert_clean();
}

static const unsigned permit_counts[] = {1, 2, 3, 8, 64};

static void test_chunks_of_a_parallel_stage(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned permits = permit_counts[i];
		struct meeting me = {.group = permits, .last = permits * 20};
		struct mini m = {.stream_count = 1,
		                 .chunk_count = permits * 20 + 3,
		                 .stage_count = 3,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_SERIAL},
		                 .at_stage = meet_in_stage_1};

		toy_case("parallel stage, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
		run(&m, permits, 2, 4 * permits, permits);
	}
}

static void test_serial_stages_of_different_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned permits = permit_counts[i];
		struct meeting me = {.group = permits, .last = permits * 20};
		struct mini m = {.stream_count = permits * 20,
		                 .chunk_count = 1,
		                 .stage_count = 1,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL},
		                 .at_stage = meet_by_stream};

		toy_case("serial stages, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
		m.chunk_count = 3;
		run(&m, permits, 1, 4 * permits, permits);
	}
}

static void test_fills_of_different_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned permits = permit_counts[i];
		struct meeting me = {.group = permits, .last = permits * 20};
		struct mini m = {.stream_count = permits * 20,
		                 .chunk_count = 2,
		                 .stage_count = 1,
		                 .user = &me,
		                 .kinds = {BM_STAGE_IN_ORDER},
		                 .at_fill = meet_by_stream};

		toy_case("fills, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
	}
}

static void test_ends_of_different_streams(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		unsigned permits = permit_counts[i];
		struct meeting me = {.group = permits, .last = permits * 20};
		struct mini m = {.stream_count = permits * 20,
		                 .chunk_count = i % 2,
		                 .stage_count = 1,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL},
		                 .at_end = meet_at_end};

		toy_case("ends, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
	}
}

/* ---- blocked calls ---- */

static void test_sixteen_blocked_fills(void **state)
{
	(void)state;
	for (unsigned permits = 1; permits <= 2; permits++) {
		for (unsigned streams = 16; streams <= 160; streams *= 10) {
			struct meeting me = {.group = 16, .blocked = true, .last = streams};
			struct mini m = {.stream_count = streams,
			                 .chunk_count = 3,
			                 .stage_count = 1,
			                 .user = &me,
			                 .kinds = {BM_STAGE_SERIAL},
			                 .at_fill = meet_by_stream};

			toy_case("blocked fills, %u permits, %u streams", permits, streams);
			run(&m, permits, 16, 64, 1);
			me.group = permits + 16; /* all threads there are */
			m.stream_count = me.group * 4;
			me.last = m.stream_count;
			run(&m, permits, 16, 64, 1);
		}
	}
}

static void test_sixteen_blocked_stages_and_ends(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct meeting me = {.group = 16, .blocked = true, .last = 64};
		struct mini m = {.stream_count = 64,
		                 .chunk_count = i % 4,
		                 .stage_count = 1,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL}};

		toy_case("blocked stages and ends, %u", i);
		if (i < 4)
			m.at_stage = meet_by_stream;
		else
			m.at_end = meet_at_end;
		run(&m, 2, 16, 128, 1);
	}
}

/* Blocked ones take nobody's permit: with 16 sitting in the kernel, two others run. */
struct both {
	struct toy_latch blocked, running;
};

static enum bm_status blocked_fill_16(struct mini_call *c)
{
	struct both *b = c->m->user;

	if (c->st->id < 16 && c->chunk->seq == 0) {
		toy_block(c->frame);
		toy_latch_add(&b->blocked);
		toy_latch_wait(&b->running, 200);
		toy_unblock(c->frame);
	}
	return BM_OK;
}

static enum bm_status running_stage(struct mini_call *c)
{
	struct both *b = c->m->user;

	if (c->st->id >= 16 && c->st->id < 216) {
		toy_latch_wait(&b->blocked, 16);
		toy_latch_meet(&b->running, 2);
	}
	return BM_OK;
}

static void test_permits_while_others_are_blocked(void **state)
{
	struct both b = {TOY_LATCH_INIT, TOY_LATCH_INIT};
	struct mini m = {.stream_count = 300,
	                 .chunk_count = 1,
	                 .stage_count = 1,
	                 .kinds = {BM_STAGE_SERIAL},
	                 .at_fill = blocked_fill_16,
	                 .at_stage = running_stage,
	                 .user = &b};

	(void)state;
	toy_case("permits while others are blocked");
	run(&m, 2, 16, 64, 2);
}

/* ---- stages and segments of one stream ---- */

struct overlap {
	uint64_t chunks;
	unsigned stages;            /* that take part */
	struct toy_latch arrived[]; /* by seq + stage */
};

/* Stage k on chunk n, k + 1 on n - 1, k + 2 on n - 2, ... all at once. */
static enum bm_status overlap_stage(struct mini_call *c)
{
	struct overlap *ov = c->m->user;
	uint64_t at = c->chunk->seq + c->stage;

	if (c->stage >= ov->stages || at < ov->stages - 1 || at >= ov->chunks)
		return BM_OK;
	toy_latch_meet(&ov->arrived[at], ov->stages);
	return BM_OK;
}

static void test_serial_stages_of_one_stream_overlap(void **state)
{
	(void)state;
	for (unsigned stages = 2; stages <= 4; stages++) {
		for (unsigned extra = 0; extra < 2; extra++) {
			const uint64_t chunks = 300;
			struct overlap *ov = toy_alloc(1, sizeof(*ov) + (chunks + 4) * sizeof(struct toy_latch));
			struct mini m = {.stream_count = 1,
			                 .chunk_count = chunks,
			                 .stage_count = 4,
			                 .user = ov,
			                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
			                 .at_stage = overlap_stage};

			toy_case("%u serial stages overlap, %u more permits", stages, extra);
			ov->chunks = chunks;
			ov->stages = stages;
			for (uint64_t i = 0; i < chunks + 4; i++)
				ov->arrived[i] = (struct toy_latch)TOY_LATCH_INIT;
			run(&m, stages + extra, extra, 32, stages);
			free(ov);
		}
	}
}

/* Segment 1 takes chunk n while segment 0 works on chunk n + 1. */
static enum bm_status meet_next_segment_stage(struct mini_call *c)
{
	struct overlap *ov = c->m->user;

	if (c->segment == 0 && c->chunk->seq > 0)
		toy_latch_meet(&ov->arrived[c->chunk->seq], 2);
	return BM_OK;
}

static enum bm_status meet_next_segment_fill(struct mini_call *c)
{
	struct overlap *ov = c->m->user;

	if (c->segment == 1 && c->chunk->seq + 1 < ov->chunks)
		toy_latch_meet(&ov->arrived[c->chunk->seq + 1], 2);
	return BM_OK;
}

static void test_segments_of_one_stream_overlap(void **state)
{
	(void)state;
	/* Not a parallel one: both threads might sit in that. */
	for (unsigned kind = BM_STAGE_SERIAL; kind <= BM_STAGE_IN_ORDER; kind++) {
		const uint64_t chunks = 300;
		struct overlap *ov = toy_alloc(1, sizeof(*ov) + chunks * sizeof(struct toy_latch));
		struct mini m = {.stream_count = 1,
		                 .chunk_count = chunks,
		                 .stage_count = 1,
		                 .segment_count = 2,
		                 .user = ov,
		                 .kinds = {(enum bm_stage_kind)kind},
		                 .at_stage = meet_next_segment_stage,
		                 .at_fill = meet_next_segment_fill};

		toy_case("segments overlap, kind %u", kind);
		ov->chunks = chunks;
		for (uint64_t i = 0; i < chunks; i++)
			ov->arrived[i] = (struct toy_latch)TOY_LATCH_INIT;
		run(&m, 2, 0, 32, 2);
		free(ov);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_of_a_parallel_stage),
		cmocka_unit_test(test_serial_stages_of_different_streams),
		cmocka_unit_test(test_fills_of_different_streams),
		cmocka_unit_test(test_ends_of_different_streams),
		cmocka_unit_test(test_sixteen_blocked_fills),
		cmocka_unit_test(test_sixteen_blocked_stages_and_ends),
		cmocka_unit_test(test_permits_while_others_are_blocked),
		cmocka_unit_test(test_serial_stages_of_one_stream_overlap),
		cmocka_unit_test(test_segments_of_one_stream_overlap),
	};

	return TOY_MAIN("flow_parallel", tests);
}
