/*
 * bm_flow.h - the engine: a token-limited pipeline for many streams at once, over one pool of threads.
 *
 * A POOL owns the threads, the CPU permits and the memory budget. A FLOW is one run of one pipeline on a pool; several
 * flows share a pool. A flow takes STREAMS one after another from its owner (next()), cuts each into CHUNKS, and leads
 * every chunk through the STAGES of the stream's SEGMENTS. The engine knows nothing of files, JSON or codecs.
 *
 * A segment is one fill() that makes chunks, then its stages. Segment 0's fill makes them from nothing (it reads a
 * file); a later segment's fill makes them from the chunks that the segment before has finished, in seq order: that is
 * where chunk boundaries change.
 *
 * What is promised:
 *  - fill() of one segment of one stream: one call at a time, in seq order.
 *  - a PARALLEL stage: any number of chunks at once, any order. A SERIAL stage: the chunks of one stream one at a time
 *    in seq order. An IN_ORDER stage: serial, and stream n's first chunk not before stream n-1's last one.
 *  - every chunk passes every stage exactly once, or is counted out as failed; a failed chunk and all later ones of
 *    its stream skip the remaining serial stages; the error of the stream is the one that a serial run would meet.
 *    Bytes that a later segment's fill() has put into a chunk and not emitted when its input fails go on as a chunk first.
 *  - end() is called exactly once a stream that next() gave, after its last chunk, with no other call for that stream
 *    running or to come.
 *  - memory held in chunk buffers never passes the pool's budget; a flow whose least need does not fit is refused.
 *  - a flow always terminates, whatever fails, provided that the callbacks return.
 */
#ifndef BM_FLOW_H
#define BM_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

struct bm_pool;
struct bm_flow;
struct bm_worker; /* the calling thread's handle inside a callback; valid only there */

struct bm_chunk {
	uint64_t seq;     /* 0, 1, 2 ... within the segment; set by the engine */
	uint64_t tag;     /* for the steps: fill() may set it for the stages of its segment; 0 before */
	uint64_t slot[4]; /* for the steps: what one stage leaves for a later one; not cleared by the engine */
	bool last;        /* set by fill(): no chunk follows in this segment */
	bool hole;        /* for the steps: all of data is zero and was a hole in the source; 0 before fill() */
	uint8_t *data; /* the bytes as they are at this place; points into one of the two buffers, or elsewhere for as
	                      long as the chunk lives */
	size_t len;
	size_t pos;      /* as input of a later segment's fill(): how much of it was used; set by that fill() */
	uint8_t *buf[2]; /* the token's buffers, buffer_bytes[] of the segment each; [1] is NULL where 0 */
	size_t cap[2];
};

/* The buffer that data does not point into: where a stage that changes the bytes puts its output. */
static inline unsigned bm_chunk_spare(const struct bm_chunk *c)
{
	return c->data == c->buf[0] ? 1 : 0;
}

/* For a later segment's fill(): gives out, which is new and empty, all of in's bytes by exchanging a buffer, where that can
 * be: in's bytes stand in one of its buffers, which is as large as out's first one, and none was used. in is used up
 * then, and the result true; otherwise nothing was done. */
static inline bool bm_chunk_exchange(struct bm_chunk *out, struct bm_chunk *in)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *buf = in->buf[i];

		if (in->data != buf || in->cap[i] != out->cap[0] || in->pos > 0 || in->len == 0 || out->len > 0 ||
		    out->data != out->buf[0])
			continue;
		in->buf[i] = in->data = out->buf[0];
		out->buf[0] = out->data = buf;
		out->len = in->len;
		in->len = 0;
		return true;
	}
	return false;
}

enum bm_stage_kind { BM_STAGE_PARALLEL, BM_STAGE_SERIAL, BM_STAGE_IN_ORDER };

struct bm_stage {
	enum bm_stage_kind kind;
	/* Anything but BM_OK fails the chunk and with it the stream; err is zeroed, private to the call. Holds a permit
	 * throughout, but for what stands between bm_worker_block() and bm_worker_unblock(). */
	enum bm_status (*run)(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err);
	void *arg;
	/* SERIAL stages that do two chunks at once in less time than one after the other; else NULL. a and b are chunks of
	 * two streams whose turn it is: works on both until at least one is through. Returns BM_PAIR_A, BM_PAIR_B, both, or
	 * 0 where it cannot (run() then sees to b, and says why; a comes again). One that is not through comes again, in pair()
	 * or in run(), in any thread, unless the flow is cancelled before. Holds a permit throughout, and does not block. w: this
	 * thread's. */
	unsigned (*pair)(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
	                 struct bm_worker *w);
};
#define BM_PAIR_A 1U
#define BM_PAIR_B 2U

enum bm_fill_result {
	BM_FILL_EMIT, /* out is complete: send it on (out->last set where it ends the stream) */
	BM_FILL_MORE, /* (segment > 0) in is used up and is not the last one: call again with the next input, same out */
	BM_FILL_LATER, /* (segment 0) there is nothing more as yet: called again with the same out after bm_flow_wake; no
	                  thread waits until then, but the stream keeps its reserve */
	BM_FILL_ERROR  /* err says why: out becomes the failed last chunk */
};

struct bm_segment {
	/* out: data == buf[0], len 0 when new. in: NULL in segment 0; else the oldest input not used up, use its
	 * data[pos..len). An input that is used up (pos == len) is given back unless it is the last one: after in->last the
	 * call is repeated with the same empty input until out->last is emitted. One that emits out->last before it has used
	 * up its input ends the segments before it too: how much of the rest their stages still see is not said. May block
	 * (bm_worker_block). */
	enum bm_fill_result (*fill)(void *arg, void *stream, struct bm_chunk *out, struct bm_chunk *in,
	                            struct bm_worker *w, struct bm_error *err);
	void *arg;
	size_t buffer_bytes[2];        /* > 0 ; >= 0 */
	const struct bm_stage *stages; /* borrowed until the flow is destroyed */
	size_t stage_count;            /* >= 0 */
};

enum bm_next_result { BM_NEXT_STREAM, BM_NEXT_END };

struct bm_pipeline {
	/* The next stream, in listing order; one call at a time a flow. May block. *stream is the owner's, and comes back
	 * in every call for it. After BM_NEXT_END it is not called again. */
	enum bm_next_result (*next)(void *ctx, struct bm_worker *w, void **stream);
	/* The stream's end: err is NULL when it went well. May block. */
	void (*end)(void *ctx, void *stream, struct bm_worker *w, const struct bm_error *err);
	/* Called once when the flow has nothing left to do, before bm_flow_wait returns; may be NULL. */
	void (*done)(void *ctx);
	void *ctx;
	const struct bm_segment *segments; /* borrowed until the flow is destroyed */
	size_t segment_count;              /* 1 ... BM_FLOW_MAX_SEGMENTS */
};
#define BM_FLOW_MAX_SEGMENTS 8
#define BM_FLOW_MAX_STAGES 64 /* all segments together */

struct bm_pool_options {
	unsigned permits;     /* how many threads may run steps at once; 1 ... 1024 */
	unsigned io_depth;    /* further threads, for blocking calls; 0 ... 1024; up to 1: one read after another */
	size_t memory_bytes;  /* budget of chunk buffers */
	unsigned max_streams; /* open at once in one flow; 0: as many as keep the threads busy */
};

/* Threads are started when they are first needed, with all signals blocked. BM_ERR_NOMEM. */
enum bm_status bm_pool_create(const struct bm_pool_options *opt, struct bm_pool **out, struct bm_error *err)
	BM_NODISCARD;
/* As it was made. Any thread. */
void bm_pool_get_options(const struct bm_pool *p, struct bm_pool_options *out);
/* All its flows must have been destroyed. Joins the threads. NULL is fine. */
void bm_pool_destroy(struct bm_pool *p);

/* The bytes that one stream of this pipeline holds at the least: a pool must have as many. */
size_t bm_flow_min_bytes(const struct bm_pipeline *pl);
/* Starts a flow; its callbacks run on the pool's threads from now on. BM_ERR_NOMEM also where the budget is smaller
 * than bm_flow_min_bytes (the text says both), or where not even one thread could be started. */
enum bm_status bm_flow_start(struct bm_pool *p, const struct bm_pipeline *pl, struct bm_flow **out,
                             struct bm_error *err) BM_NODISCARD;
/* No stream is opened any more; those in flight end with BM_ERR_CANCELLED as soon as their running calls return, and
 * next() is not called again. Any thread, also from a callback; not async-signal-safe; again and again is fine. */
void bm_flow_cancel(struct bm_flow *f);
/* Whatever said BM_FILL_LATER is asked again; also what is about to say it. Any thread; takes the pool's lock and waits for
 * no callback, so that a lock may be held which callbacks take, too, as long as nobody who holds it calls back into the
 * pool otherwise. The flow must be there: whoever wakes it is told before it is destroyed (bm_feed_leave). */
void bm_flow_wake(struct bm_flow *f);
/* Blocks until the flow is done. Not from a callback. */
void bm_flow_wait(struct bm_flow *f);
/* bm_flow_wait, then frees. NULL is fine. */
void bm_flow_destroy(struct bm_flow *f);
bool bm_flow_is_cancelled(const struct bm_flow *f); /* any thread; for long loops inside a callback */

/* Around a call that may sleep (open, read, fsync of something cold): gives the permit to another thread meanwhile.
 * The calling thread goes on after bm_worker_unblock() at once; the permit is taken again, or the chunk queued, when
 * the callback returns. Not nested. */
void bm_worker_block(struct bm_worker *w);
void bm_worker_unblock(struct bm_worker *w);
/* The same for a call that waits at a disk: with an io_depth of 1 nothing that reads is begun while a thread is between
 * this and bm_worker_unblock(); one that was begun before may come to wait there too. Only around calls that end by
 * themselves: not for a pipe. */
void bm_worker_block_disk(struct bm_worker *w);
struct bm_flow *bm_worker_flow(struct bm_worker *w);
/* Has it an IN_ORDER stage, at which streams wait for those before them? Any thread. */
bool bm_flow_is_in_order(const struct bm_flow *f);
/* 0 ... permits + io_depth - 1: for per-thread scratch memory. */
unsigned bm_worker_index(const struct bm_worker *w);
/* How many threads the pool has or will start when they are needed; fewer from when one could not be started. */
unsigned bm_worker_threads(const struct bm_worker *w);

/* Counters, for reports and tests; any thread, a moment's view. */
struct bm_pool_stats {
	size_t memory_peak_bytes; /* of chunk buffers in use or kept */
	unsigned threads;         /* started so far */
	uint64_t chunks;          /* counted out so far */
	uint64_t parked;          /* how often a chunk had to wait at a gate */
};
void bm_pool_get_stats(struct bm_pool *p, struct bm_pool_stats *out);

#endif
