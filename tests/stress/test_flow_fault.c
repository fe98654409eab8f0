/*
 * test_flow_fault.c - memory and threads that cannot be had, at every n-th call: no crash, no hang, every stream that
 * next() gave ends once, well or with BM_ERR_NOMEM.
 *
 * The linker sends the engine's calls of malloc and its kin, mmap and pthread_create here (--wrap). The callbacks call
 * none of them while a fault is armed.
 */
#include <errno.h>
#include <sys/mman.h>

#include "mini.h"

/* Which call fails: the n-th (counted from 1) since arm(), or all from there on. */
static struct {
	atomic_uint countdown; /* 0: not armed */
	atomic_bool sticky;
	atomic_uint failed;
} memory_fault, thread_fault;

static bool fails(atomic_uint *countdown, atomic_bool *sticky, atomic_uint *failed)
{
	unsigned n = atomic_load(countdown);

	do {
		if (n == 0)
			return false;
		if (n == 1 && atomic_load(sticky))
			break;
	} while (!atomic_compare_exchange_weak(countdown, &n, n - 1));
	if (n != 1)
		return false;
	atomic_fetch_add(failed, 1);
	return true;
}

static bool memory_fails(void)
{
	return fails(&memory_fault.countdown, &memory_fault.sticky, &memory_fault.failed);
}

static void arm(unsigned memory, unsigned threads, bool sticky)
{
	atomic_store(&memory_fault.failed, 0);
	atomic_store(&memory_fault.sticky, sticky);
	atomic_store(&memory_fault.countdown, memory);
	atomic_store(&thread_fault.failed, 0);
	atomic_store(&thread_fault.sticky, sticky);
	atomic_store(&thread_fault.countdown, threads);
}

static void disarm(void)
{
	atomic_store(&memory_fault.countdown, 0);
	atomic_store(&thread_fault.countdown, 0);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
void *__real_mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *where, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
	return memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return memory_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return memory_fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
	return memory_fails() ? ENOMEM : __real_posix_memalign(out, alignment, size);
}

void *__wrap_mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (memory_fails()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(where, size, protection, flags, fd, offset);
}

/* The name that glibc gives it where _FILE_OFFSET_BITS is 64. */
void *__wrap_mmap64(void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
	return __wrap_mmap(where, size, protection, flags, fd, offset);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	if (fails(&thread_fault.countdown, &thread_fault.sticky, &thread_fault.failed))
		return EAGAIN;
	return __real_pthread_create(thread, attr, run, arg);
}

/* ---- one run, from bm_pool_create to bm_pool_destroy, under a fault ---- */

struct scene {
	unsigned permits, io_depth;
	size_t budget;
	struct mini shape;
};

/* False: the pool or the flow could not be made. */
static bool run_under_fault(const struct scene *sc, unsigned memory, unsigned threads, bool sticky)
{
	struct toy_pool tp = {.opt = {.permits = sc->permits, .io_depth = sc->io_depth, .memory_bytes = sc->budget},
	                      .threads = sc->permits + sc->io_depth};
	struct mini m = sc->shape;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;
	bool started = false;
	unsigned nomem = 0;

	tp.busy = toy_alloc(tp.threads, sizeof(*tp.busy));
	m.tp = &tp;
	mini_init(&m);

	arm(memory, threads, sticky);
	status = bm_pool_create(&tp.opt, &tp.pool, &err);
	TOY_CHECK(status == BM_OK || status == BM_ERR_NOMEM, "bm_pool_create: %s", err.text);
	if (status == BM_OK) {
		status = mini_try_start(&m, &err);
		TOY_CHECK(status == BM_OK || status == BM_ERR_NOMEM, "bm_flow_start: %s", err.text);
		started = status == BM_OK;
	}
	TOY_CHECK(status == BM_OK || (err.status == status && err.text[0]), "a failure without a text");
	if (started)
		mini_finish(&m);
	disarm();
	TOY_CHECK(started || atomic_load(&m.given) == 0, "next() was called for a flow that did not start");
	TOY_CHECK(!started || atomic_load(&m.given) == m.stream_count, "%zu streams given, there are %zu",
	          atomic_load(&m.given), m.stream_count);
	for (size_t i = 0; i < m.stream_count; i++) {
		const struct mini_stream *st = &m.streams[i];

		TOY_CHECK(atomic_load(&st->given) == atomic_load(&st->ended), "stream %zu given and not ended", i);
		TOY_CHECK(st->status == BM_OK || st->status == BM_ERR_NOMEM, "stream %zu: %s", i, st->text);
		nomem += st->status == BM_ERR_NOMEM;
	}
	TOY_CHECK(nomem == 0 || atomic_load(&memory_fault.failed) > 0, "%u streams found no memory, all was given",
	          nomem);

	if (tp.pool) { /* the pool is as good as new when the trouble is over */
		struct mini again = sc->shape;

		again.tp = &tp;
		mini_run(&again, true);
		toy_pool_close(&tp);
	} else {
		free(tp.busy);
	}
	mini_fini(&m);
	toy_assert_clean();
	return started;
}

static const struct scene scenes[] = {
	{1,
         0,
         64,
         {.stream_count = 6,
          .chunk_count = 3,
          .stage_count = 2,
          .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER},
          .pairs = {true}}},
	{2,
         1,
         640,
         {.stream_count = 12, .chunk_count = 4, .stage_count = 2, .kinds = {BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER}}},
	{3,
         2,
         64 * 3,
         {.stream_count = 8, .chunk_count = 3, .stage_count = 1, .segment_count = 3, .kinds = {BM_STAGE_IN_ORDER}}},
	{2,
         2,
         64 * 30,
         {.stream_count = 5,
          .chunk_count = 6,
          .stage_count = 2,
          .segment_count = 2,
          .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL},
          .pairs = {true}}},
	{1,
         2,
         64 * 8,
         {.stream_count = 20,
          .chunk_count = 1,
          .stage_count = 3,
          .kinds = {BM_STAGE_SERIAL, BM_STAGE_IN_ORDER, BM_STAGE_SERIAL},
          .pairs = {true, false, true}}},
	/* Large buffers may come from somewhere else. */
	{2,
         1,
         300000 * 4,
         {.stream_count = 4, .chunk_count = 3, .stage_count = 1, .buffer_bytes = 300000, .kinds = {BM_STAGE_PARALLEL}}},
};

static void test_memory_fails_at_every_call(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(scenes) / sizeof(scenes[0]); s++) {
		for (unsigned sticky = 0; sticky < 2; sticky++) {
			unsigned past = 0;

			for (unsigned n = 1; past < 3; n++) { /* the count of calls varies with the threads' luck */
				toy_case("memory, scene %zu, call %u fails%s", s, n, sticky ? " and all after" : "");
				run_under_fault(&scenes[s], n, 0, sticky);
				past = atomic_load(&memory_fault.failed) == 0 ? past + 1 : 0;
			}
		}
	}
}

static void test_threads_fail_at_every_call(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(scenes) / sizeof(scenes[0]); s++) {
		for (unsigned sticky = 0; sticky < 2; sticky++) {
			for (unsigned n = 1; n <= scenes[s].permits + scenes[s].io_depth + 1; n++) {
				bool started;

				toy_case("threads, scene %zu, call %u fails%s", s, n, sticky ? " and all after" : "");
				started = run_under_fault(&scenes[s], 0, n, sticky);
				if (n == 1 && sticky)
					assert_false(started);
				if (n > 1)
					assert_true(started);
			}
		}
	}
}

/* Threads fail while calls block: the permit must come back to those that there are. */
static enum bm_status block_now_and_then(struct mini_call *c)
{
	if ((c->chunk->seq + c->st->id) % 3 == 0) {
		toy_block(c->frame);
		toy_spin(500);
		toy_unblock(c->frame);
	}
	return BM_OK;
}

static void test_threads_fail_while_calls_block(void **state)
{
	struct scene sc = {3,
	                   16,
	                   64 * 20,
	                   {.stream_count = 200,
	                    .chunk_count = 4,
	                    .stage_count = 4,
	                    .kinds = {BM_STAGE_SERIAL, BM_STAGE_PARALLEL, BM_STAGE_IN_ORDER, BM_STAGE_SERIAL},
	                    .pairs = {[3] = true},
	                    .at_fill = block_now_and_then,
	                    .at_stage = block_now_and_then}};

	(void)state;
	for (unsigned n = 2; n < 20; n++) {
		for (unsigned sticky = 0; sticky < 2; sticky++) {
			toy_case("threads and blocking, call %u fails%s", n, sticky ? " and all after" : "");
			assert_true(run_under_fault(&sc, 0, n, sticky));
		}
	}
}

/* Both at once, by chance. */
static void test_memory_and_threads_fail(void **state)
{
	struct toy_loop loop = {.min = 50, .ms = 300};

	(void)state;
	while (toy_more(&loop)) {
		struct toy_rng r;
		size_t s;
		unsigned memory, threads;
		bool sticky;

		toy_rng_init(&r, "both faults", loop.round);
		s = toy_below(&r, sizeof(scenes) / sizeof(scenes[0]));
		memory = 1 + (unsigned)toy_below(&r, 30);
		threads = 1 + (unsigned)toy_below(&r, 4);
		sticky = toy_chance(&r, 50);
		toy_case("memory call %u and thread %u, scene %zu, sticky %d", memory, threads, s, sticky);
		run_under_fault(&scenes[s], memory, threads, sticky);
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
		cmocka_unit_test(test_memory_fails_at_every_call),
		cmocka_unit_test(test_threads_fail_at_every_call),
		cmocka_unit_test(test_threads_fail_while_calls_block),
		cmocka_unit_test(test_memory_and_threads_fail),
		cmocka_unit_test(test_pairs_have_happened),
	};

	return TOY_MAIN("flow_fault", tests);
}
