/*
 * toy.h - what the stress tests of the engine share: randomness, a watchdog, and an instrumented pool.
 *
 * cmocka's assertions may be used in the test's own thread only. A callback that finds something wrong calls
 * toy_violation(); the test looks with toy_assert_clean(). All counters of the instruments are relaxed atomics and no
 * callback takes a lock, so that nothing here hides a missing barrier of the engine from ThreadSanitizer.
 *
 * Environment: BM_SEED (a number: repeats a run), BM_STRESS=long (ten times as long), BM_WATCHDOG_S (seconds a case).
 */
#ifndef TOY_H
#define TOY_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include <bm_error.h>
#include <bm_flow.h>

/* ---- randomness ---- */

struct toy_rng {
	uint64_t state;
};

/* A generator of its own for the n-th round of a case; all of them follow from the seed. */
void toy_rng_init(struct toy_rng *r, const char *name, uint64_t n);
uint64_t toy_rand(struct toy_rng *r);
uint64_t toy_below(struct toy_rng *r, uint64_t bound); /* 0 ... bound - 1; bound > 0 */
bool toy_chance(struct toy_rng *r, unsigned percent);
uint64_t toy_mix(uint64_t x);
uint64_t toy_hash(uint64_t h, const uint8_t *data, size_t len);

/* ---- the run of a test program ---- */

/* Prints the seed, starts the watchdog, runs the tests. Returns what main returns. */
int toy_main(const char *name, const struct CMUnitTest *tests, size_t count);
#define TOY_MAIN(name, tests) toy_main((name), (tests), sizeof(tests) / sizeof((tests)[0]))

/* Names what runs now, and gives it the watchdog's full time. */
void toy_case(const char *fmt, ...) BM_PRINTF(1, 2);

/* while (toy_more(&loop)): at least min rounds, and more until ms are over (more under a sanitizer and BM_STRESS). */
struct toy_loop {
	unsigned min, ms;
	uint64_t round;    /* of the current iteration; 0 in the first */
	uint64_t start_ns; /* 0 before the first */
};
bool toy_more(struct toy_loop *loop);
uint64_t toy_now_ns(void);
bool toy_is_slow(void); /* under a sanitizer */

/* The first one is kept. Any thread. */
void toy_violation(const char *fmt, ...) BM_PRINTF(1, 2);
#define TOY_CHECK(cond, ...)                                                                                           \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			toy_violation(__VA_ARGS__);                                                                    \
	} while (0)
/* Fails the running test where there was a violation. */
void toy_assert_clean(void);

/* malloc that never returns NULL. */
void *toy_alloc(size_t count, size_t size);

/* ---- an instrumented pool ---- */

struct toy_pool {
	struct bm_pool *pool;
	struct bm_pool_options opt;
	unsigned threads;    /* permits + io_depth */
	atomic_uint running; /* callbacks that have not called block */
	atomic_uint inside;  /* callbacks */
	atomic_uint running_max;
	atomic_size_t live; /* bytes of chunks that the callbacks know to be in flight: a lower bound */
	atomic_bool *busy;  /* [threads], by worker index */
};

void toy_pool_open(struct toy_pool *tp, unsigned permits, unsigned io_depth, size_t memory_bytes);
void toy_pool_open_with(struct toy_pool *tp, const struct bm_pool_options *opt);
void toy_pool_check(struct toy_pool *tp); /* peak and threads within their limits */
void toy_pool_close(struct toy_pool *tp);
void toy_pool_live(struct toy_pool *tp, size_t add, size_t sub);

/* One call of a callback. All of these do nothing where tp is NULL (the reference run). */
struct toy_frame {
	struct toy_pool *tp;
	struct bm_worker *w;
	unsigned index;
	bool blocked; /* has called block */
};
void toy_enter(struct toy_frame *f, struct toy_pool *tp, struct bm_worker *w);
void toy_leave(struct toy_frame *f);
/* The same for pair(), which is not told its worker. */
void toy_enter_pair(struct toy_pool *tp);
void toy_leave_pair(struct toy_pool *tp);
void toy_block(struct toy_frame *f);
void toy_block_disk(struct toy_frame *f);
void toy_unblock(struct toy_frame *f);
void toy_spin(unsigned turns);
/* By chance nothing, a short spin, a long one, sched_yield, or some microseconds in block/unblock, as at a disk or not.
 * level 0: nothing; 1: mostly nothing; 2: much. */
void toy_load(struct toy_frame *f, unsigned level, uint64_t random);

/* ---- work of which two streams' chunks can be done at once ---- */

/* What a stage with pair() has done of the chunk that it has in hand: one for each stream and stage. */
struct toy_work {
	bool begun;
	uint64_t seq;
	unsigned left;
};
/* The chunk comes, for the first time or again; random decides how much there is to do. */
void toy_work_come(struct toy_work *wk, const struct bm_chunk *c, uint64_t random);
/* For pair(): takes the lesser amount off both, and returns who is through. One that fails can only be through in run():
 * then, and now and then by random, 0 and nothing is done. */
unsigned toy_work_pair(struct toy_work *a, const struct bm_chunk *ca, bool a_fails, struct toy_work *b,
                       const struct bm_chunk *cb, bool b_fails, uint64_t random);
/* For run(): does what is left. */
void toy_work_rest(struct toy_work *wk, const struct bm_chunk *c);
/* Fails the running test where not all of this happened in this program, each to streams of one chunk and to longer ones:
 * chunks got through in pairs, both at once and one after the other, were finished by run() after that, and went without
 * a partner. */
void toy_assert_pairs(void);

/* ---- meeting points; these do lock: only for tests that are about meeting ---- */

struct toy_latch {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned count;
};
#define TOY_LATCH_INIT                                                                                                 \
	{                                                                                                              \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0                                                 \
	}
void toy_latch_add(struct toy_latch *l);
/* Adds one, then waits until the count has reached a multiple of group that is not below the own place. */
void toy_latch_meet(struct toy_latch *l, unsigned group);
void toy_latch_wait(struct toy_latch *l, unsigned count); /* until it is at least count */
unsigned toy_latch_count(struct toy_latch *l);

#endif
