/*
 * test_flow_disk.c - waiting at a disk (bm_worker_block_disk): with an io_depth of 1 nothing that reads is begun while a
 * thread is there, with more several threads are there at once.
 *
 * That a call was begun while a thread was at the disk cannot be seen by looking when it begins: the engine may have
 * decided on it before that thread went there. What it decides it does with its lock, so the linker sends its locking here
 * (--wrap): each thread notes on a common clock when it got the lock last. A call is begun against the rule where a
 * thread is at the disk that was there at that time already.
 */
#include <inttypes.h>
#include <sched.h>

#include "mini.h"

static _Atomic uint64_t clock_now;
static _Thread_local uint64_t locked_at;

static uint64_t tick(void)
{
	return atomic_fetch_add(&clock_now, 1) + 1;
}

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	int rc = __real_pthread_mutex_lock(m);

	locked_at = tick();
	return rc;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	int rc = __real_pthread_cond_wait(c, m);

	locked_at = tick();
	return rc;
}

#define MOST_THREADS 32

static struct {
	_Atomic uint64_t since[MOST_THREADS]; /* by worker: when it was first seen at the disk; 0: it is not there */
	atomic_uint there;                    /* how many are */
	atomic_uint times;                    /* one went there */
	atomic_uint several;                  /* and was not the only one */
	atomic_uint beside;                   /* stages that ran meanwhile */
} disk;

static void disk_reset(void)
{
	for (unsigned i = 0; i < MOST_THREADS; i++)
		atomic_store(&disk.since[i], 0);
	atomic_store(&disk.there, 0);
	atomic_store(&disk.times, 0);
	atomic_store(&disk.several, 0);
	atomic_store(&disk.beside, 0);
}

static void check_begin(struct mini_call *c, const char *what)
{
	for (unsigned i = 0; i < MOST_THREADS; i++) {
		uint64_t since = atomic_load(&disk.since[i]);

		TOY_CHECK(i == c->frame->index || since == 0 || since > locked_at,
		          "%s is begun by worker %u while worker %u waits at the disk", what, c->frame->index, i);
	}
}

static void arrive(struct mini_call *c)
{
	toy_block_disk(c->frame);
	atomic_store(&disk.since[c->frame->index], tick());
	atomic_fetch_add(&disk.times, 1);
	if (atomic_fetch_add(&disk.there, 1) > 0)
		atomic_fetch_add(&disk.several, 1);
}

static void depart(struct mini_call *c)
{
	atomic_fetch_sub(&disk.there, 1);
	atomic_store(&disk.since[c->frame->index], 0);
	toy_unblock(c->frame);
}

/* ---- one after another ---- */

static unsigned cold_percent;

static void maybe_wait(struct mini_call *c, uint64_t place)
{
	uint64_t r = toy_mix(place);

	if (r % 100 >= cold_percent)
		return;
	for (uint64_t times = 1 + (r >> 8) % 2; times > 0; times--) {
		arrive(c);
		for (uint64_t i = (r >> 16) % 40; i > 0; i--) /* time for the others to begin something */
			sched_yield();
		depart(c);
	}
}

static enum bm_status cold_fill(struct mini_call *c)
{
	if (c->segment == 0) {
		check_begin(c, "a fill");
		maybe_wait(c, c->st->id << 20 ^ c->chunk->seq);
	}
	return BM_OK;
}

static void cold_next(struct mini_call *c)
{
	check_begin(c, "next()");
	maybe_wait(c, UINT64_C(1) << 60 ^ atomic_load(&c->m->given));
}

static enum bm_status warm_stage(struct mini_call *c)
{
	if (atomic_load(&disk.there) > 0)
		atomic_fetch_add(&disk.beside, 1);
	toy_load(c->frame, 1, toy_mix(c->st->id << 24 ^ c->chunk->seq << 4 ^ c->stage));
	return BM_OK;
}

static uint64_t some_chunks(const struct mini *m, size_t stream)
{
	(void)m;
	return stream % 3 == 0 ? stream % 11 : 1;
}

static void test_nothing_is_begun_beside_one_at_the_disk(void **state)
{
	static const unsigned permit_counts[] = {1, 2, 3, 8}, percents[] = {100, 30, 3};
	unsigned beside = 0;

	(void)state;
	for (unsigned i = 0; i < 4 * 3 * 2; i++) {
		unsigned permits = permit_counts[i % 4];
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 600,
		                 .chunks = some_chunks,
		                 .segment_count = 1 + i / 12,
		                 .stage_count = 3,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER},
		                 .pairs = {true},
		                 .at_next = cold_next,
		                 .at_fill = cold_fill,
		                 .at_stage = warm_stage};

		cold_percent = percents[i / 4 % 3];
		toy_case("one after another, %u permits, %u %% cold, %u segments", permits, cold_percent,
		         m.segment_count);
		disk_reset();
		toy_pool_open(&tp, permits, 1, 64 * 2 * (i % 5 == 0 ? 1 : 40));
		mini_run(&m, true);
		toy_pool_close(&tp);
		toy_assert_clean();
		assert_true(atomic_load(&disk.times) > 0);
		beside += atomic_load(&disk.beside);
	}
	assert_true(beside > 0); /* stages do not wait for the disk */
}

/* Also where it could have company at a stage that does two chunks at once: a long stream is read to its end before the
 * next one, on one thread. */
static enum bm_status fill_in_turn(struct mini_call *c)
{
	size_t *at = c->m->user;

	TOY_CHECK(c->st->id == *at, "stream %zu is read while stream %zu is not at its end", c->st->id, *at);
	if (c->chunk->last)
		++*at;
	return BM_OK;
}

static void test_long_streams_are_read_one_after_another(void **state)
{
	size_t at = 0;
	struct toy_pool tp;
	struct mini m = {.tp = &tp,
	                 .stream_count = 50,
	                 .chunk_count = 40,
	                 .stage_count = 2,
	                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL},
	                 .pairs = {true},
	                 .user = &at,
	                 .at_fill = fill_in_turn};

	(void)state;
	toy_case("long streams in turn");
	toy_pool_open(&tp, 1, 1, 64 * 100);
	mini_run(&m, true);
	toy_pool_close(&tp);
	toy_assert_clean();
}

/* With one thread too many for the files to be read one after another there is no such rule. */
static enum bm_status meet_at_the_disk(struct mini_call *c)
{
	if (c->chunk->seq == 0) {
		arrive(c);
		toy_latch_meet(c->m->user, 8);
		depart(c);
	}
	return BM_OK;
}

static void test_several_are_at_the_disk(void **state)
{
	(void)state;
	for (unsigned permits = 1; permits <= 3; permits++) {
		struct toy_latch latch = TOY_LATCH_INIT;
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 80,
		                 .chunk_count = 2,
		                 .stage_count = 1,
		                 .kinds = {BM_STAGE_SERIAL},
		                 .pairs = {true},
		                 .user = &latch,
		                 .at_fill = meet_at_the_disk};

		toy_case("several at the disk, %u permits", permits);
		disk_reset();
		toy_pool_open(&tp, permits, 8, 64 * 100);
		mini_run(&m, true);
		toy_pool_close(&tp);
		toy_assert_clean();
		assert_true(atomic_load(&disk.several) >= 7 * 10);
	}
}

/* ---- cancelled while one is there ---- */

struct waiting {
	struct toy_latch open, there, go, ended;
	unsigned threads;
};

static enum bm_status stay_at_the_disk(struct mini_call *c)
{
	struct waiting *wa = c->m->user;

	if (c->st->id < wa->threads && c->chunk->seq == 0) { /* as many streams are open */
		toy_block(c->frame);
		toy_latch_meet(&wa->open, wa->threads);
		toy_unblock(c->frame);
	}
	if (c->st->id == 0 && c->chunk->seq == 2) {
		toy_block_disk(c->frame);
		toy_latch_add(&wa->there);
		toy_latch_wait(&wa->go, 1);
		toy_unblock(c->frame);
	}
	return BM_OK;
}

static void count_end(struct mini_call *c)
{
	struct waiting *wa = c->m->user;

	toy_latch_add(&wa->ended);
}

/* All others end although one is at the disk: for that nothing is read. */
static void test_cancel_beside_one_at_the_disk(void **state)
{
	(void)state;
	for (unsigned permits = 1; permits <= 3; permits++) {
		struct waiting wa = {TOY_LATCH_INIT, TOY_LATCH_INIT, TOY_LATCH_INIT, TOY_LATCH_INIT, permits + 1};
		struct toy_pool tp;
		struct mini m = {.tp = &tp,
		                 .stream_count = 50,
		                 .chunk_count = UINT64_MAX,
		                 .stage_count = 2,
		                 .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL},
		                 .pairs = {true},
		                 .user = &wa,
		                 .at_fill = stay_at_the_disk,
		                 .at_end = count_end};

		toy_case("cancel beside one at the disk, %u permits", permits);
		toy_pool_open(&tp, permits, 1, 64 * 8);
		mini_init(&m);
		mini_start(&m);
		toy_latch_wait(&wa.there, 1);
		bm_flow_cancel(m.flow);
		/* Without next(), none is given any more. */
		toy_latch_wait(&wa.ended, (unsigned)atomic_load(&m.given) - 1);
		toy_latch_add(&wa.go);
		mini_finish(&m);
		mini_fini(&m);
		toy_pool_close(&tp);
		toy_assert_clean();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_begun_beside_one_at_the_disk),
		cmocka_unit_test(test_long_streams_are_read_one_after_another),
		cmocka_unit_test(test_several_are_at_the_disk),
		cmocka_unit_test(test_cancel_beside_one_at_the_disk),
	};

	return TOY_MAIN("flow_disk", tests);
}
