/*
 * flow_internal.h - the engine's own structures. One lock, bm_pool.lock, guards every field here unless the field says
 * otherwise. Names ending in _locked want it held.
 */
#ifndef FLOW_INTERNAL_H
#define FLOW_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "bm_error.h"
#include "bm_flow.h"

#define BM_CANCELLED_SEGMENT UINT_MAX /* a chunk that failed of no error, but since the flow was cancelled */

/* A chunk with its token. Owned by the thread that works on it while it is neither parked, ready, nor kept. */
struct bm_item {
	struct bm_chunk c; /* the worker's; first, so that a chunk is an item */
	struct bm_item *next;
	struct bm_item *prev; /* in a gate's list */
	struct bm_stream *stream;
	unsigned segment;
	unsigned stage;       /* the next one to run, within the segment */
	unsigned err_segment; /* whose error it carries, where failed; or BM_CANCELLED_SEGMENT */
	bool failed;
	bool solo;       /* the only chunk of its segment: gates need no lock */
	bool alone;      /* goes through its stage without a partner */
	bool is_reserve; /* holds its segment's reserved token */
	bool is_stub;    /* lives in its segment's state and holds no token */
};

struct bm_item_list {
	struct bm_item *head, *tail;
};

/* In front of a serial stage, and in front of a later segment's fill: chunks wait here for their turn in an ordered
 * list. A ring was the first design; a list through the chunks needs no memory of its own, so that a gate can never
 * fail, and chunks arrive nearly in order, so that insertion from the tail is short. */
struct bm_gate {
	uint64_t next_seq;          /* the chunk that may enter, or is inside */
	struct bm_item_list parked; /* ascending seq */
	bool failed;                /* a failed chunk went through: all later ones are failed too */
	unsigned err_segment;
};

struct bm_segment_state {
	uint64_t next_seq; /* of the chunk to be filled */
	bool filling;      /* a thread is in fill(): next_seq and partial are that thread's */
	bool asleep;       /* (segment 0) fill() has nothing to give before bm_flow_wake */
	bool woken;        /* (segment 0) bm_flow_wake was called while filling */
	bool ended;        /* no further fill() will be made */
	bool reserve_used;
	unsigned in_flight;
	struct bm_item *partial; /* a chunk begun, waiting for more input */
	struct bm_gate input;    /* (segment > 0) finished chunks of the segment before */
	struct bm_item stub;     /* the failed last chunk where there is no other: without buffers, it needs no token */
	uint64_t err_seq;        /* the lowest chunk that failed here by itself; valid where err.status is set */
	struct bm_error err;
};

struct bm_stream {
	struct bm_flow *flow;                    /* constant while open */
	void *user;                              /* constant while open */
	uint64_t index;                          /* constant while open: position in listing order */
	struct bm_stream *prev, *next;           /* flow->open, ascending index; next also in the free list */
	struct bm_stream *fill_prev, *fill_next; /* flow->fillable, ascending index */
	bool closing;                            /* on its way out: end() is about to be called or was */
	bool in_drained;                         /* is in flow->drained */
	bool failed;                             /* fail_seq, fail_segment are valid */
	uint64_t fail_seq;                       /* the lowest failed chunk in the last segment ... */
	unsigned fail_segment;                   /* ... and whose error it carries */
	unsigned items;                          /* chunks alive, in all segments */
	size_t held_bytes;                       /* tokens beyond the reserve */
	struct bm_gate *gates;                   /* one a serial stage: points behind segments[] */
	struct bm_segment_state segments[];      /* segment_count */
};

#define BM_FLOW_PLANNED 1024 /* streams listed ahead */

struct bm_flow {
	struct bm_pool *pool;                                       /* constant */
	struct bm_pipeline pl;                                      /* constant */
	unsigned gate_of[BM_FLOW_MAX_SEGMENTS][BM_FLOW_MAX_STAGES]; /* constant: index of a serial stage's gate */
	unsigned gate_count;                                        /* constant */
	size_t token_bytes[BM_FLOW_MAX_SEGMENTS];                   /* constant */
	size_t min_bytes;                                           /* constant: one token a segment */
	struct bm_flow *prev, *next;                                /* pool->flows */

	void *planned[BM_FLOW_PLANNED]; /* ring of streams listed and not yet opened */
	unsigned planned_first, planned_count;
	bool source_busy, source_ended;
	uint64_t next_index;

	struct bm_stream *open_head, *open_tail;
	struct bm_stream *fillable_head, *fillable_tail; /* open, and not every segment has ended */
	unsigned open_count;
	uint64_t turn[BM_FLOW_MAX_STAGES]; /* by gate: the stream that may enter an IN_ORDER stage */

	unsigned in_order_gates[BM_FLOW_MAX_STAGES], in_order_count; /* constant */
	struct bm_stream *drained; /* have nothing left but their end() (linked by fill_next) */

	struct bm_stream *free_streams;
	struct bm_item *free_items[BM_FLOW_MAX_SEGMENTS];

	atomic_bool cancelled;
	unsigned ending; /* threads inside end() of streams that were never opened */
	bool finishing;  /* done() is being called */
	bool finished;
	pthread_cond_t done_cond; /* waiters: bm_flow_wait */
};

#define BM_UNBLOCKED_ENOUGH 4 /* to take the next one for as near */

struct bm_worker {
	struct bm_pool *pool;
	pthread_t thread;
	unsigned index;
	struct bm_flow *flow; /* of the callback that runs; the worker's own */
	bool has_permit;      /* written by its own thread with the lock held */
	bool at_disk;         /* the worker's own: between bm_worker_block_disk() and bm_worker_unblock() */
	/* See pair.c: waits at a stage for a chunk that this worker brings; NULL without a permit. Only the worker
	 * puts one here. Whoever takes it out owns it: the worker at any time, others with the lock held. */
	_Atomic(struct bm_item *) held;
	/* The worker's own: */
	struct bm_item *holds; /* will be put into held as soon as nothing else is to be done with it */
	struct bm_item *freed; /* was held, and goes on: alone, or with the next stage */
	bool paired;           /* held was worked on since this was last cleared */
	unsigned unpaired;     /* pieces of work in a row that brought held no partner */
	unsigned unblocked;    /* chunks in a row that were filled without blocking, up to BM_UNBLOCKED_ENOUGH */
};

struct bm_pool {
	pthread_mutex_t lock;
	pthread_cond_t work_cond; /* waiters: idle workers, for grants or stopping */
	unsigned permits;         /* constant */
	bool one_at_disk;         /* constant: io_depth is 1 or 0 */
	unsigned at_disk;         /* then: workers between bm_worker_block_disk() and bm_worker_unblock() */
	unsigned most_threads;    /* constant */
	unsigned max_threads;     /* lowered where a thread cannot be started, until the next flow starts */
	unsigned threads;
	unsigned idle;     /* without work: asleep in work_cond, or on the way to look for a grant */
	unsigned grants;   /* permits given to idle workers that have not woken yet */
	unsigned active;   /* permits taken, grants included */
	unsigned window;   /* constant: chunks in flight a segment of a stream */
	unsigned max_open; /* constant: open streams a flow */
	bool stopping;
	bool exhausted; /* buffers could not be had: until the next flow starts or one ends, no more tokens than there are
	                       * buffers for */
	size_t budget;    /* constant */
	size_t in_use;    /* tokens taken and reserved */
	size_t allocated; /* buffers of chunks alive and kept */
	size_t allocated_peak;
	struct bm_item_list ready;               /* chunks whose turn it is, that no thread has */
	struct bm_flow *flows_head, *flows_tail; /* in turns: the one served moves to the tail */
	struct bm_flow *starving;                /* has no stream open and found no memory: nobody else may take more */
	uint64_t chunks, parked;
	struct bm_worker *workers; /* max_threads of them */
};

static inline const struct bm_stage *bm_item_stage(const struct bm_item *it)
{
	return &it->stream->flow->pl.segments[it->segment].stages[it->stage];
}

/* token.c */
bool bm_item_can_take_locked(const struct bm_stream *s, unsigned segment);
struct bm_item *bm_item_take_locked(struct bm_stream *s, unsigned segment);
/* A chunk that waits for bm_flow_wake keeps no more than its segment's reserve, as soon as that is free. */
void bm_item_sleep_locked(struct bm_stream *s, unsigned segment);
struct bm_item *bm_item_stub_locked(struct bm_stream *s, unsigned segment);
void bm_item_release_locked(struct bm_item *it);
void bm_flow_free_items_locked(struct bm_flow *f);

/* stream.c; those that take a worker run callbacks: they enter and leave with the lock held and let go of it between. */
struct bm_stream *bm_stream_create(struct bm_flow *f);
void bm_stream_open_locked(struct bm_flow *f, struct bm_stream *s, void *user);
bool bm_stream_can_fill_locked(const struct bm_stream *s, unsigned *segment);
void bm_stream_fill_locked(struct bm_worker *w, struct bm_stream *s, unsigned segment);
void bm_item_run_locked(struct bm_worker *w, struct bm_item *it);
void bm_item_leave_stage_locked(struct bm_item *it);
void bm_stream_maybe_close_locked(struct bm_worker *w, struct bm_stream *s);

/* pair.c */
enum bm_pair_result { BM_PAIR_NONE, BM_PAIR_HELD, BM_PAIR_THROUGH };
/* May the chunk go through the stage that it has come to together with another? */
bool bm_item_pairs(const struct bm_item *it);
/* It goes through, or is held, or neither: then it is to go alone. Calls pair(), so not with the lock, where w->held is not
 * NULL. bm_pair_settle_locked() must follow; then another thread may have what is held. */
enum bm_pair_result bm_pair_run(struct bm_worker *w, struct bm_item *it);
void bm_pair_settle_locked(struct bm_worker *w);
/* A worker that holds a chunk, or NULL. */
struct bm_worker *bm_pool_find_held_locked(struct bm_pool *p);
/* What a worker holds goes on alone: in w, false where there was nothing; in any. */
bool bm_worker_run_held_locked(struct bm_worker *w, struct bm_worker *of);
void bm_worker_let_go_locked(struct bm_worker *w);

/* pool.c */
void bm_pool_wake_locked(struct bm_pool *p);
bool bm_worker_regain_locked(struct bm_worker *w);
/* Lets go of the lock for a callback. It may be long: what the worker holds is for those that have nothing to do. */
void bm_worker_begin_callback_locked(struct bm_worker *w);
bool bm_pool_ensure_thread_locked(struct bm_pool *p);
void bm_pool_push_ready_locked(struct bm_pool *p, struct bm_item *it);

/* flow.c */
bool bm_flow_is_over_locked(const struct bm_flow *f);
bool bm_flow_wants_list_locked(const struct bm_flow *f);
bool bm_flow_can_open_locked(struct bm_flow *f);
void bm_flow_list_locked(struct bm_worker *w, struct bm_flow *f);
void bm_flow_open_locked(struct bm_worker *w, struct bm_flow *f);
void bm_flow_drop_planned_locked(struct bm_worker *w, struct bm_flow *f);
void bm_flow_maybe_finish_locked(struct bm_worker *w, struct bm_flow *f);

#endif
