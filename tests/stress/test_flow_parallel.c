/*
 * test_flow_parallel.c - things that must be able to happen at the same time do: each test is a meeting that hangs
 * where they cannot, and the watchdog makes that a failure. Every meeting has as many parties as there are permits (or,
 * for blocked ones, as io_depth grants), so that one wrongly held permit or thread is enough to hang it. So is a chunk
 * that waits for a partner, or is through with one, while the thread that has it goes to the meeting: stages that can do
 * two chunks at once stand before and behind the places where they meet.
 */
#include <inttypes.h>
#include <sched.h>

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
		                 .pairs = {true, false, true},
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
		                 .stage_count = 3,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
		                 .pairs = {true, false, true},
		                 .at_stage = meet_by_stream};

		toy_case("serial stages, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
		m.chunk_count = 3;
		run(&m, permits, 1, 4 * permits, permits);
		run(&m, permits, 2, 4 * permits, permits);
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
		                 .stage_count = 2,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
		                 .pairs = {true},
		                 .at_fill = meet_by_stream};

		toy_case("fills, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
		run(&m, permits, 4, 4 * permits, permits);
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
		                 .pairs = {true},
		                 .at_end = meet_at_end};

		toy_case("ends, %u permits", permits);
		run(&m, permits, 0, 4 * permits, permits);
	}
}

/* ---- chunks that wait for a partner ---- */

/* The last two streams of a flow are a pair, and then meet in their end(). The other thread, which has sat in the end() of
 * the one before, finds nothing to do while pair() runs: it has to be called again. */
static atomic_bool last_two_begun;

static void release_before_last(struct mini *m, const struct mini_stream *a, const struct mini_stream *b)
{
	if (a->id + b->id == 2 * m->stream_count - 3) {
		atomic_store(&last_two_begun, true);
		toy_spin(400000); /* and the other thread has looked, likely */
	}
}

static void meet_at_the_last_ends(struct mini_call *c)
{
	if (c->st->id + 2 >= c->m->stream_count) {
		atomic_store(&last_two_begun, true); /* not as a pair: the other thread took one */
		toy_latch_meet(&latch, 2);
	}
	while (c->st->id + 3 == c->m->stream_count && !atomic_load(&last_two_begun))
		sched_yield();
}

static void test_a_partner_is_not_kept_from_its_end(void **state)
{
	struct toy_pool tp;

	(void)state;
	toy_pool_open(&tp, 2, 2, 64 * 16);
	for (unsigned i = 0; i < 100; i++) {
		struct mini m = {.tp = &tp,
		                 .stream_count = 8 + i % 20,
		                 .chunk_count = 1,
		                 .stage_count = 1,
		                 .kinds = {BM_STAGE_SERIAL},
		                 .pairs = {true},
		                 .at_pair = release_before_last,
		                 .at_end = meet_at_the_last_ends};

		toy_case("the last two, %zu streams", m.stream_count);
		latch = (struct toy_latch)TOY_LATCH_INIT;
		atomic_store(&last_two_begun, false);
		mini_run(&m, true);
	}
	toy_pool_close(&tp);
	toy_assert_clean();
}

/* A thread that begins to list takes no chunk along: next() here waits for all that its thread has read, and meanwhile the
 * other thread waits in an end(), and so takes nothing from it. */
static struct {
	atomic_uint filled[4], ended[4]; /* by the worker that has read them */
	atomic_bool waits;
} listing;

static enum bm_status count_filled(struct mini_call *c)
{
	atomic_fetch_add(&listing.filled[c->st->worker], 1);
	return BM_OK;
}

static void wait_for_the_listing(struct mini_call *c)
{
	while (c->st->worker == c->frame->index && atomic_load(&listing.waits))
		sched_yield();
	atomic_fetch_add(&listing.ended[c->st->worker], 1);
}

static void list_when_its_own_have_ended(struct mini_call *c)
{
	unsigned i = c->frame->index;

	while (atomic_load(&listing.ended[i]) < atomic_load(&listing.filled[i])) {
		atomic_store(&listing.waits, true);
		sched_yield();
	}
	atomic_store(&listing.waits, false);
}

static void test_no_chunk_is_taken_along_to_list(void **state)
{
	struct mini m = {.stream_count = 20000,
	                 .chunk_count = 1,
	                 .stage_count = 1,
	                 .kinds = {BM_STAGE_SERIAL},
	                 .pairs = {true},
	                 .at_next = list_when_its_own_have_ended,
	                 .at_fill = count_filled,
	                 .at_end = wait_for_the_listing};

	(void)state;
	toy_case("listing");
	run(&m, 2, 2, 16, 1);
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
			                 .pairs = {true},
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
		                 .stage_count = 3,
		                 .user = &me,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
		                 .pairs = {true, false, true}};

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
	                 .stage_count = 3,
	                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_SERIAL, BM_STAGE_SERIAL},
	                 .pairs = {true, false, true},
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

/* Of all that ran before. */
static void test_pairs_have_happened(void **state)
{
	(void)state;
	toy_assert_pairs();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_of_a_parallel_stage),
		cmocka_unit_test(test_serial_stages_of_different_streams),
		cmocka_unit_test(test_fills_of_different_streams),
		cmocka_unit_test(test_ends_of_different_streams),
		cmocka_unit_test(test_a_partner_is_not_kept_from_its_end),
		cmocka_unit_test(test_no_chunk_is_taken_along_to_list),
		cmocka_unit_test(test_sixteen_blocked_fills),
		cmocka_unit_test(test_sixteen_blocked_stages_and_ends),
		cmocka_unit_test(test_permits_while_others_are_blocked),
		cmocka_unit_test(test_serial_stages_of_one_stream_overlap),
		cmocka_unit_test(test_segments_of_one_stream_overlap),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_parallel", tests);
}
