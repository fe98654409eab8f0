/*
 * mini.h - a plain pipeline with hooks, for the tests that are about who runs when: streams of numbered chunks, one to
 * four segments of the same stages, later segments hand their chunks through one to one. Checks by itself the order
 * of serial stages, that end() comes once and last, permits and workers. Stages that can do two chunks at once do so with
 * a random amount of work for each, and call no hook.
 */
#ifndef MINI_H
#define MINI_H

#include "toy.h"

#define MINI_STAGES 6
#define MINI_SEGMENTS 4

struct mini;

struct mini_stream {
	struct mini *m;
	size_t id;
	uint64_t filled[MINI_SEGMENTS];            /* by the fill */
	uint64_t seen[MINI_SEGMENTS][MINI_STAGES]; /* by a serial stage */
	struct toy_work work[MINI_SEGMENTS][MINI_STAGES];
	unsigned worker; /* index of the first fill's thread */
	atomic_uint active;
	atomic_bool given, ended;
	enum bm_status status; /* by end() */
	char text[64];
};

/* Where a hook is called from. */
struct mini_call {
	struct mini *m;
	struct mini_stream *st; /* NULL in next */
	struct toy_frame *frame;
	unsigned segment, stage;
	struct bm_chunk *chunk; /* NULL in next and end */
	struct bm_error *err;   /* fill and stage */
};

struct mini {
	/* Set by the test. */
	struct toy_pool *tp;
	size_t stream_count;
	uint64_t chunk_count; /* a stream, where chunks is NULL; 0: one empty last chunk; UINT64_MAX: no end */
	size_t buffer_bytes;
	unsigned segment_count, stage_count;
	bool plain_last_segment; /* without stages */
	enum bm_stage_kind kinds[MINI_STAGES];
	bool pairs[MINI_STAGES]; /* SERIAL ones: has a pair() */
	uint64_t (*chunks)(const struct mini *m, size_t stream);
	void (*at_next)(struct mini_call *c);
	enum bm_status (*at_fill)(struct mini_call *c);
	enum bm_status (*at_stage)(struct mini_call *c);
	void (*at_pair)(struct mini *m, const struct mini_stream *a, const struct mini_stream *b);
	void (*at_end)(struct mini_call *c);
	void (*at_done)(struct mini *m);
	bool (*at_more)(struct mini *m); /* false: no further stream. NULL: stream_count streams */
	void *user;
	/* Read by the test. */
	struct mini_stream *streams;
	struct bm_pipeline pl;
	struct bm_flow *flow;
	atomic_uint end_count, ok_count, done_count;
	atomic_size_t given;
	/* Its own. */
	struct bm_segment segments[MINI_SEGMENTS];
	struct bm_stage stages[MINI_SEGMENTS * MINI_STAGES];
	struct mini_seat {
		struct mini *m;
		unsigned segment, stage;
		size_t last_id; /* IN_ORDER */
	} seats[MINI_SEGMENTS * (MINI_STAGES + 1)];
	atomic_bool closed;
};

void mini_init(struct mini *m); /* after the test's fields are set; allocates */
enum bm_status mini_try_start(struct mini *m, struct bm_error *err) BM_NODISCARD;
void mini_start(struct mini *m);
void mini_finish(struct mini *m); /* wait, destroy, check */
void mini_fini(struct mini *m);
/* All four; ok: every stream must have gone well. */
void mini_run(struct mini *m, bool ok);

#endif
