/*
 * bench_engine.c - what the engine alone costs: nanoseconds a chunk through three empty stages (serial, parallel,
 * serial), for one stream of many chunks and for streams of one chunk, on one thread and on two.
 *
 *     bench_engine [CHUNKS]     (default 1,000,000; takes some seconds)
 *
 * Each line is the median of interleaved runs. The last columns are a hint at what the lock costs: how often it is
 * taken a chunk, how many of these find it taken, and the time lost in waiting for it as a share of all threads' time.
 * They come from runs of their own, for which the linker leads pthread_mutex_lock through a counter (--wrap). The rows
 * of 256 KiB do as much work a chunk as a fast hash: there the share must be next to nothing.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <time.h>

#include <bm_flow.h>

#define RUNS 5

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the counter of the lock ---- */

static atomic_bool counting;
static atomic_uint_fast64_t lock_calls, lock_contended, lock_wait_ns;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	uint64_t start;
	int rc;

	if (!atomic_load_explicit(&counting, memory_order_relaxed))
		return __real_pthread_mutex_lock(mutex);
	atomic_fetch_add_explicit(&lock_calls, 1, memory_order_relaxed);
	if (pthread_mutex_trylock(mutex) == 0)
		return 0;
	atomic_fetch_add_explicit(&lock_contended, 1, memory_order_relaxed);
	start = now_ns();
	rc = __real_pthread_mutex_lock(mutex);
	atomic_fetch_add_explicit(&lock_wait_ns, now_ns() - start, memory_order_relaxed);
	return rc;
}

/* ---- the pipeline ---- */

struct bench {
	const char *name;
	unsigned permits, io_depth;
	uint64_t chunk_bytes;
	uint64_t streams, chunks; /* a stream */
	bool work;                /* touch all the bytes */
	uint64_t given;
};

static enum bm_next_result next(void *ctx, struct bm_worker *w, void **stream)
{
	struct bench *b = ctx;

	(void)w;
	if (b->given == b->streams)
		return BM_NEXT_END;
	b->given++;
	*stream = b;
	return BM_NEXT_STREAM;
}

static void end(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err)
{
	(void)ctx;
	(void)stream;
	(void)w;
	if (err) {
		fprintf(stderr, "bench_engine: %s\n", err->text);
		exit(1);
	}
}

static enum bm_fill_result fill(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in, struct bm_worker *w,
                                struct bm_error *err)
{
	struct bench *b = arg;

	(void)stream;
	(void)in;
	(void)w;
	(void)err;
	out->len = b->chunk_bytes;
	out->last = out->seq + 1 == b->chunks;
	if (b->work)
		memset(out->data, (int)(out->seq & 0xff), out->len);
	return BM_FILL_EMIT;
}

static enum bm_status stage(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct bench *b = arg;
	volatile uint64_t sink;
	uint64_t h = 0;

	(void)stream;
	(void)w;
	(void)err;
	if (b->work)
		for (size_t i = 0; i + 8 <= c->len; i += 8) {
			uint64_t v;

			memcpy(&v, c->data + i, 8);
			h = (h ^ v) * 0x9e3779b97f4a7c15u;
		}
	sink = h;
	(void)sink;
	return BM_OK;
}

/* Nanoseconds of one run, without starting and joining threads but for those that the flow starts itself. */
static uint64_t run_once(struct bench *b)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_pool_options opt = {
		.permits = b->permits, .io_depth = b->io_depth, .memory_bytes = b->chunk_bytes * 64};
	const struct bm_stage stages[] = {{BM_STAGE_SERIAL, stage, b, NULL},
	                                  {BM_STAGE_PARALLEL, stage, b, NULL},
	                                  {BM_STAGE_SERIAL, stage, b, NULL}};
	const struct bm_segment segment = {
		.fill = fill, .arg = b, .buffer_bytes = {b->chunk_bytes, 0}, .stages = stages, .stage_count = 3};
	const struct bm_pipeline pl = {.next = next, .end = end, .ctx = b, .segments = &segment, .segment_count = 1};
	struct bm_pool *pool = NULL;
	struct bm_flow *flow = NULL;
	uint64_t start;

	b->given = 0;
	if (bm_pool_create(&opt, &pool, &err) != BM_OK) {
		fprintf(stderr, "bench_engine: %s\n", err.text);
		exit(1);
	}
	start = now_ns();
	if (bm_flow_start(pool, &pl, &flow, &err) != BM_OK) {
		fprintf(stderr, "bench_engine: %s\n", err.text);
		exit(1);
	}
	bm_flow_wait(flow);
	start = now_ns() - start;
	bm_flow_destroy(flow);
	bm_pool_destroy(pool);
	return start;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
	struct bench benches[] = {
		{.name = "one stream, empty stages, 1 thread",
	         .permits = 1,
	         .chunk_bytes = 64,
	         .streams = 1,
	         .chunks = n},
		{.name = "one stream, empty stages, 2 threads",
	         .permits = 2,
	         .chunk_bytes = 64,
	         .streams = 1,
	         .chunks = n},
		{.name = "1-chunk streams, empty stages, 1 thread",
	         .permits = 1,
	         .chunk_bytes = 64,
	         .streams = n,
	         .chunks = 1},
		{.name = "1-chunk streams, empty stages, 2 threads",
	         .permits = 2,
	         .chunk_bytes = 64,
	         .streams = n,
	         .chunks = 1},
		{.name = "one stream, 256 KiB hashed thrice, 1 thread",
	         .permits = 1,
	         .chunk_bytes = 262144,
	         .streams = 1,
	         .chunks = n / 200,
	         .work = true},
		{.name = "one stream, 256 KiB hashed thrice, 2 threads",
	         .permits = 2,
	         .chunk_bytes = 262144,
	         .streams = 1,
	         .chunks = n / 200,
	         .work = true},
		{.name = "100 streams, 256 KiB hashed thrice, 2+16 thr.",
	         .permits = 2,
	         .io_depth = 16,
	         .chunk_bytes = 262144,
	         .streams = 100,
	         .chunks = n / 20000,
	         .work = true},
	};
	enum { COUNT = sizeof(benches) / sizeof(benches[0]) };
	uint64_t times[COUNT][RUNS];

	if (n < 20000) {
		fprintf(stderr, "bench_engine: at least 20000 chunks\n");
		return 2;
	}
	for (unsigned r = 0; r < RUNS; r++)
		for (unsigned i = 0; i < COUNT; i++)
			times[i][r] = run_once(&benches[i]);
	printf("%-46s %9s %10s %11s %11s\n", "", "ns/chunk", "locks/chk", "contended", "lock wait");
	for (unsigned i = 0; i < COUNT; i++) {
		double total = (double)(benches[i].streams * benches[i].chunks);
		uint64_t counted;

		qsort(times[i], RUNS, sizeof(times[i][0]), by_value);
		atomic_store(&lock_calls, 0);
		atomic_store(&lock_contended, 0);
		atomic_store(&lock_wait_ns, 0);
		atomic_store(&counting, true);
		counted = run_once(&benches[i]);
		atomic_store(&counting, false);
		printf("%-46s %9.0f %10.2f %10.2f%% %10.2f%%\n", benches[i].name, (double)times[i][RUNS / 2] / total,
		       (double)atomic_load(&lock_calls) / total,
		       100 * (double)atomic_load(&lock_contended) / (double)atomic_load(&lock_calls),
		       100 * (double)atomic_load(&lock_wait_ns) / ((double)counted * benches[i].permits));
	}
	return 0;
}
