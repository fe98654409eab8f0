/* test_flow_cancel.c - cancel at every point: the flow ends, every stream given ends once, nothing is called after. */
#include <inttypes.h>

#include "mini.h"
#include "model.h"

/* One run with a cancellation, then a whole one on the same pool: nothing may have been left behind. */
static void run_cancelled(const struct model_oracle *o, struct toy_pool *tp, uint64_t cancel_at, bool *reached)
{
	struct bm_error err = BM_ERROR_INIT;
	struct model_run run;

	model_run_init(&run, o, tp);
	run.cancel_at = cancel_at;
	if (model_start(&run, &err) != BM_OK)
		fail_msg("bm_flow_start: %s", err.text);
	model_finish(&run);
	model_compare(&run, o);
	*reached = atomic_load(&run.cancelled);
	model_run_fini(&run);
	model_check(o, tp);
}

static void cancel_everywhere(const struct model *m, const char *name)
{
	struct model_oracle o;

	model_oracle_init(&o, m);
	for (unsigned variant = 0; variant < 4; variant++) {
		unsigned permits = variant < 2 ? 1 : 1 + variant;
		struct toy_pool tp;
		bool reached = true;

		toy_pool_open(&tp, permits, variant % 2 * 2, o.min_bytes * (variant % 2 ? 5 : 1));
		for (uint64_t at = 1; reached; at++) {
			toy_case("%s, %u permits, cancel at point %" PRIu64, name, permits, at);
			run_cancelled(&o, &tp, at, &reached);
			if (permits > 1 && at > 40)
				at += at / 8; /* which calls they are changes from run to run anyway */
		}
		toy_pool_close(&tp);
		toy_assert_clean();
	}
	model_oracle_fini(&o);
}

static void test_cancel_in_one_segment(void **state)
{
	struct model m = {.segment_count = 1, .stream_count = 6, .load = 1};
	struct toy_rng r;

	(void)state;
	toy_rng_init(&r, "cancel", 1);
	m.segments[0] = (struct model_segment){.bytes = {32, 32},
	                                       .stage_count = 4,
	                                       .stages = {{BM_STAGE_PARALLEL, OP_XOR, false},
	                                                  {BM_STAGE_SERIAL, OP_XOR, true},
	                                                  {BM_STAGE_IN_ORDER, OP_LOOK, false},
	                                                  {BM_STAGE_SERIAL, OP_LOOK, true}}};
	m.streams = toy_alloc(m.stream_count, sizeof(*m.streams));
	for (size_t i = 0; i < m.stream_count; i++)
		m.streams[i] = (struct model_stream_spec){.seed = toy_rand(&r), .total_bytes = i % 4 * 32};
	cancel_everywhere(&m, "one segment");
	model_fini(&m);
}

static void test_cancel_in_three_segments(void **state)
{
	struct model m = {.segment_count = 3, .stream_count = 4, .load = 1};
	struct toy_rng r;

	(void)state;
	toy_rng_init(&r, "cancel", 3);
	for (unsigned s = 0; s < 3; s++)
		m.segments[s] = (struct model_segment){
			.bytes = {32 + 9 * s, 0},
			.stage_count = 2,
			.fill = s == 1 ? FILL_EXPAND : FILL_SHRINK,
			.stages = {{BM_STAGE_SERIAL, OP_XOR, true}, {BM_STAGE_IN_ORDER, OP_LOOK, false}}};
	m.streams = toy_alloc(m.stream_count, sizeof(*m.streams));
	for (size_t i = 0; i < m.stream_count; i++)
		m.streams[i] = (struct model_stream_spec){.seed = toy_rand(&r), .total_bytes = i * 40};
	m.streams[2].failure_count = 1;
	m.streams[2].failures[0] = (struct model_failure){.segment = 1, .stage = 0, .seq = 1, .status = BM_ERR_FORMAT};
	cancel_everywhere(&m, "three segments");
	model_fini(&m);
}

static void *cancel_thread(void *arg)
{
	model_cancel(arg);
	model_cancel(arg);
	return NULL;
}

static void *wait_thread(void *arg)
{
	bm_flow_wait(arg);
	return NULL;
}

/* From outside, after a random while, also before anything ran and after all is done; by two at once; with others in
 * bm_flow_wait. */
static void test_cancel_from_other_threads(void **state)
{
	struct toy_loop loop = {.min = 30, .ms = 1200};

	(void)state;
	while (toy_more(&loop)) {
		struct model_limits limits = {.segments = 3, .stages = 4, .streams = 20, .chunks = 15, .early = true};
		struct toy_rng r;
		struct model m;
		struct model_oracle o;
		struct toy_pool tp;

		toy_rng_init(&r, "cancel from outside", loop.round);
		limits.load = (unsigned)toy_below(&r, 3);
		limits.fail_percent = toy_chance(&r, 50) ? 30 : 0;
		model_random(&m, &r, &limits);
		model_oracle_init(&o, &m);
		toy_pool_open(&tp, 1 + (unsigned)toy_below(&r, 4), (unsigned)toy_below(&r, 5),
		              o.min_bytes * (1 + toy_below(&r, 8)));
		for (unsigned turn = 0; turn < 12; turn++) {
			struct bm_error err = BM_ERROR_INIT;
			struct model_run run;
			pthread_t canceller, waiter;
			bool both = toy_chance(&r, 30);

			toy_case("cancel from outside, round %" PRIu64 ", turn %u", loop.round, turn);
			model_run_init(&run, &o, &tp);
			if (model_start(&run, &err) != BM_OK)
				fail_msg("bm_flow_start: %s", err.text);
			if (both) {
				assert_int_equal(pthread_create(&waiter, NULL, wait_thread, run.flow), 0);
				assert_int_equal(pthread_create(&canceller, NULL, cancel_thread, &run), 0);
			}
			if (turn > 0)
				toy_spin((unsigned)toy_below(&r, UINT64_C(1) << toy_below(&r, 18)));
			if (turn == 11)
				bm_flow_wait(run.flow); /* after all is done */
			model_cancel(&run);
			if (both) {
				pthread_join(canceller, NULL);
				pthread_join(waiter, NULL);
			}
			model_finish(&run);
			model_compare(&run, &o);
			model_run_fini(&run);
			toy_assert_clean();
		}
		model_check(&o, &tp);
		toy_pool_close(&tp);
		toy_assert_clean();
		model_oracle_fini(&o);
		model_fini(&m);
	}
}

/* ---- cancelled while calls sit ---- */

struct sitting {
	struct toy_latch inside, go;
	bool blocked; /* within bm_worker_block */
};

static void sit(struct mini_call *c)
{
	struct sitting *si = c->m->user;

	if (c->chunk && c->chunk->seq != 2)
		return;
	if (si->blocked)
		toy_block(c->frame);
	toy_latch_add(&si->inside);
	toy_latch_wait(&si->go, 1);
	if (si->blocked)
		toy_unblock(c->frame);
}

static enum bm_status sit_ok(struct mini_call *c)
{
	sit(c);
	return BM_OK;
}

/* place 0: a fill, 1: a stage, 2: next, 3: end. The flow may not end while the call runs, and must when it returns. */
static void test_cancel_while_a_call_sits(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 32; n++) {
		unsigned place = n % 4, permits = 1 + n / 4 % 2;
		struct sitting si = {.inside = TOY_LATCH_INIT, .go = TOY_LATCH_INIT, .blocked = n / 8 % 2};
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 500,
		                 .chunk_count = n < 16 ? UINT64_MAX : 6,
		                 .stage_count = 2,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL},
		                 .pairs = {n / 4 % 2},
		                 .user = &si};
		uint64_t ends;

		toy_case("cancel while a call sits, n %u", n);
		if (place == 0)
			m.at_fill = sit_ok;
		else if (place == 1)
			m.at_stage = sit_ok;
		else if (place == 2)
			m.at_next = sit;
		else
			m.at_end = sit;
		if (place == 3)
			m.chunk_count = 3;
		toy_pool_open(&tp, permits, 2, 64 * 20);
		mini_init(&m);
		mini_start(&m);
		toy_latch_wait(&si.inside, 1);
		bm_flow_cancel(m.flow);
		assert_true(bm_flow_is_cancelled(m.flow));
		toy_spin(200000);
		TOY_CHECK(atomic_load(&m.done_count) == 0, "done() while a call runs");
		toy_latch_add(&si.go);
		mini_finish(&m);
		ends = atomic_load(&m.end_count);
		TOY_CHECK(ends == atomic_load(&m.given), "%zu streams, %zu ends", atomic_load(&m.given), (size_t)ends);
		for (size_t i = 0; i < ends; i++)
			TOY_CHECK(m.streams[i].status == BM_OK || m.streams[i].status == BM_ERR_CANCELLED,
			          "stream %zu: %s", i, m.streams[i].text);
		TOY_CHECK(n >= 16 || place == 3 || atomic_load(&m.ok_count) == 0, "an endless stream ended well");
		mini_fini(&m);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* Four calls sit when the flow is cancelled: stream 0's in the fills of segments 1, 2 and 3, stream 1's in segment 0.
 * Stream 1 then has nothing left but its turns at the IN_ORDER stages of segments 1 and 2, and gets them one by one, in
 * the order in which stream 0's calls return. */
static struct toy_latch sitting_latch, go_latches[4];

static enum bm_status sit_in_four_fills(struct mini_call *c)
{
	if (c->st->id == 0 && c->segment > 0 && c->chunk->seq == 3 - c->segment) {
		toy_latch_add(&sitting_latch);
		toy_latch_wait(&go_latches[c->segment], 1);
	}
	return BM_OK;
}

static enum bm_status sit_in_the_first_stage(struct mini_call *c)
{
	if (c->st->id == 1 && c->segment == 0) {
		toy_latch_add(&sitting_latch);
		toy_latch_wait(&go_latches[0], 1);
	}
	return BM_OK;
}

static void test_turns_are_handed_on_one_by_one(void **state)
{
	static const unsigned orders[][4] = {
		{0, 1, 2, 3}, {0, 1, 3, 2}, {0, 2, 1, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 3, 2, 1},
		{1, 2, 3, 0}, {3, 2, 1, 0}, {2, 1, 0, 3}, {1, 0, 2, 3}, {3, 0, 2, 1}, {2, 0, 1, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 2,
		                 .chunk_count = 3,
		                 .segment_count = 4,
		                 .stage_count = 1,
		                 .plain_last_segment = true,
		                 .kinds = {BM_STAGE_IN_ORDER},
		                 .at_fill = sit_in_four_fills,
		                 .at_stage = sit_in_the_first_stage};

		toy_case("turns one by one, order %zu", i);
		sitting_latch = (struct toy_latch)TOY_LATCH_INIT;
		for (unsigned k = 0; k < 4; k++)
			go_latches[k] = (struct toy_latch)TOY_LATCH_INIT;
		toy_pool_open(&tp, 6, 0, 64 * 64);
		mini_init(&m);
		mini_start(&m);
		toy_latch_wait(&sitting_latch, 4);
		bm_flow_cancel(m.flow);
		for (unsigned k = 0; k < 4; k++) { /* time enough for what each of them sets off */
			toy_spin(1000000);
			toy_latch_add(&go_latches[orders[i][k]]);
		}
		mini_finish(&m);
		mini_fini(&m);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

/* On one thread there is no race to excuse anything: after a cancel in next() nothing but end() is called. */
struct counting {
	unsigned calls;
	bool cancelled;
};

static enum bm_status count_call(struct mini_call *c)
{
	struct counting *co = c->m->user;

	TOY_CHECK(!co->cancelled, "a call after the cancellation, on one thread");
	co->calls++;
	return BM_OK;
}

static void cancel_in_next(struct mini_call *c)
{
	struct counting *co = c->m->user;

	count_call(c);
	if (atomic_load(&c->m->given) == 3) {
		bm_flow_cancel(bm_worker_flow(c->frame->w));
		co->cancelled = true;
	}
}

static void test_cancel_in_next_on_one_thread(void **state)
{
	struct counting co = {0};
	struct toy_pool tp;
	struct mini m = {.tp = &tp,
	                 .stream_count = 50,
	                 .chunk_count = UINT64_MAX,
	                 .stage_count = 1,
	                 .user = &co,
	                 .at_next = cancel_in_next,
	                 .at_fill = count_call,
	                 .at_stage = count_call};

	(void)state;
	toy_case("cancel in next");
	toy_pool_open(&tp, 1, 0, 64 * 4);
	mini_init(&m);
	mini_start(&m);
	mini_finish(&m);
	assert_true(atomic_load(&m.given) <= 4);
	for (size_t i = 0; i < atomic_load(&m.given); i++)
		assert_int_equal(m.streams[i].status, BM_ERR_CANCELLED);
	mini_fini(&m);
	toy_pool_close(&tp);
	toy_assert_clean();
}

/* Cancelling one flow leaves the others of the pool alone. */
static void test_cancel_one_of_two_flows(void **state)
{
	struct toy_loop loop = {.min = 20, .ms = 400};

	(void)state;
	while (toy_more(&loop)) {
		struct toy_pool tp;
		struct mini endless = {.tp = &tp,
		                       .stream_count = 10,
		                       .chunk_count = UINT64_MAX,
		                       .stage_count = 2,
		                       .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL},
		                       .pairs = {true}};
		struct mini other = {.tp = &tp,
		                     .stream_count = 30,
		                     .chunk_count = 10,
		                     .stage_count = 2,
		                     .buffer_bytes = 100,
		                     .kinds = {BM_STAGE_IN_ORDER, BM_STAGE_SERIAL},
		                     .pairs = {false, true}};

		toy_case("cancel one of two, round %" PRIu64, loop.round);
		toy_pool_open(&tp, 1 + (unsigned)(loop.round % 3), 1, 64 * 8 + 100 * 8);
		mini_init(&endless);
		mini_start(&endless);
		mini_init(&other);
		mini_start(&other);
		if (loop.round % 2) {
			bm_flow_cancel(endless.flow);
			mini_finish(&endless);
			mini_finish(&other);
		} else { /* the endless one may not keep the other from its end */
			mini_finish(&other);
			bm_flow_cancel(endless.flow);
			mini_finish(&endless);
		}
		TOY_CHECK(atomic_load(&other.ok_count) == 30, "%u of 30 ended well", atomic_load(&other.ok_count));
		mini_fini(&endless);
		mini_fini(&other);
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
		cmocka_unit_test(test_cancel_in_one_segment),
		cmocka_unit_test(test_cancel_in_three_segments),
		cmocka_unit_test(test_cancel_from_other_threads),
		cmocka_unit_test(test_cancel_while_a_call_sits),
		cmocka_unit_test(test_turns_are_handed_on_one_by_one),
		cmocka_unit_test(test_cancel_in_next_on_one_thread),
		cmocka_unit_test(test_cancel_one_of_two_flows),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_cancel", tests);
}
