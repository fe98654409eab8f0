/*
 * model.h - random pipelines of toy stages, whose every byte is known, and the comparison of two runs of one.
 *
 * A MODEL is a shape (segments, stages, streams, where they fail) without state. A RUN is one execution of it, by the
 * reference interpreter or by the engine; it records for every stream and stage which chunks were seen, with a
 * signature of the bytes. The stages change the bytes, serial ones depending on all that they saw before, so that
 * any chunk lost, doubled, swapped or damaged shows in all that follows.
 */
#ifndef MODEL_H
#define MODEL_H

#include "toy.h"

#define MODEL_STAGES 8 /* a segment */
#define MODEL_FAILURES 3

enum model_fill { FILL_COPY, FILL_PER_CHUNK, FILL_EXPAND, FILL_SHRINK, FILL_COLLECT, FILL_EARLY, FILL_KINDS };
enum model_op { OP_LOOK, OP_XOR, OP_XOR_SPARE, OP_TRIM, OP_GROW, OP_KINDS };

struct model_stage {
	enum bm_stage_kind kind;
	enum model_op op;
	bool pairs; /* SERIAL ones: has a pair() */
};

struct model_segment {
	size_t bytes[2];
	enum model_fill fill; /* of segments after the first */
	unsigned stage_count;
	struct model_stage stages[MODEL_STAGES];
};

struct model_failure {
	unsigned segment;
	int stage; /* -1: the fill */
	uint64_t seq;
	bool partial; /* a fill: after it has put some bytes in */
	bool silent;  /* a stage: without a text */
	enum bm_status status;
};

struct model_stream_spec {
	uint64_t seed;
	uint64_t total_bytes;
	uint64_t early_bytes; /* of FILL_EARLY: how much it takes */
	bool ragged;          /* chunks of all lengths, also empty ones */
	unsigned tail;        /* so many chunks out of nothing after the end of the input */
	unsigned failure_count;
	struct model_failure failures[MODEL_FAILURES];
};

struct model {
	unsigned segment_count;
	struct model_segment segments[BM_FLOW_MAX_SEGMENTS];
	size_t stream_count;
	struct model_stream_spec *streams; /* owned */
	unsigned load;                     /* as of toy_load */
};

struct model_limits {
	unsigned segments, stages, streams, chunks, load;
	unsigned fail_percent; /* of the streams */
	bool early;            /* FILL_EARLY too */
};

void model_random(struct model *m, struct toy_rng *r, const struct model_limits *limits);
void model_fini(struct model *m);

/* What one stage saw of one stream. */
struct model_state {
	uint64_t count; /* chunks: of a serial stage, and in the reference of all */
	uint64_t hash;  /* of a serial stage */
	size_t cap;
	_Atomic uint64_t *sig; /* [cap], by seq; 0: not seen */
	atomic_bool busy;      /* a serial stage */
	struct toy_work work;  /* a stage with pair() */
};

struct model_filling { /* one fill of one stream */
	uint64_t next_out, in_seq, produced, consumed, hash;
	const struct bm_chunk *out; /* not NULL between MORE and the next call */
	size_t out_len, in_pos, target;
	bool in_seen, in_over, pending, over, tailing;
	uint8_t pending_byte;
	unsigned tail;
	atomic_bool busy;
};

struct model_stream {
	struct model_run *run;
	const struct model_stream_spec *spec;
	size_t id;
	struct model_filling fill[BM_FLOW_MAX_SEGMENTS];
	struct model_state *states; /* by stage, all segments one after another */
	atomic_uint active;         /* callbacks */
	_Atomic uint64_t live;      /* bytes of its chunks * 2; lowest bit: no longer counted */
	atomic_bool given, ended;
	bool ok;
	struct bm_error err;
	struct model_failure fault; /* reference only: the failure that ended it */
};

struct model_seat { /* the arg of a fill or a stage */
	struct model_run *run;
	unsigned segment, stage;
	unsigned index;   /* of the stage, all segments one after another */
	size_t last_id;   /* of an IN_ORDER stage: the stream seen last */
	atomic_bool busy; /* of an IN_ORDER stage */
};

struct model_run {
	const struct model *model;
	uint64_t salt;           /* of the random delays */
	struct toy_pool *tp;     /* NULL: by the reference */
	unsigned failures_below; /* only failures in segments below this one happen */
	struct bm_pipeline pl;
	struct bm_segment segments[BM_FLOW_MAX_SEGMENTS];
	struct bm_stage stages[BM_FLOW_MAX_STAGES];
	struct model_seat seats[BM_FLOW_MAX_STAGES], fill_seats[BM_FLOW_MAX_SEGMENTS];
	struct model_stream *streams;
	struct model_state *states;
	_Atomic uint64_t *sigs; /* one block for all states; NULL in the reference */
	unsigned stage_total;
	size_t given;   /* next() only */
	bool next_over; /* next() only */
	atomic_bool next_busy;
	atomic_uint active;
	atomic_uint end_count, done_count;
	atomic_bool closed; /* bm_flow_wait has returned */
	struct bm_flow *flow;
	_Atomic(struct bm_flow *) flow_seen; /* by the callbacks */
	/* Cancellation: at the cancel_at-th point (every callback has one at each end), counted from 1; 0: not. */
	uint64_t cancel_at;
	_Atomic uint64_t points;
	atomic_bool cancelled; /* bm_flow_cancel is about to be called, somewhere */
	atomic_bool cancel_returned;
	atomic_uint late, late_next; /* calls begun after that */
};

struct model_oracle;
/* A run by the engine; o must outlive it. */
void model_run_init(struct model_run *run, const struct model_oracle *o, struct toy_pool *tp);
void model_run_fini(struct model_run *run);

/* The reference runs that a comparison needs. */
struct model_oracle {
	const struct model *model;
	struct model_run serial;  /* what must happen */
	struct model_run drained; /* the same, but segments before an early end run on to their own */
	/* [s]: what segment s can get to see at the most, however far it runs ahead: the pipeline ends with it, and
	 * only the segments before it fail. */
	struct model_run ahead[BM_FLOW_MAX_SEGMENTS];
	size_t min_bytes; /* bm_flow_min_bytes */
};
void model_oracle_init(struct model_oracle *o, const struct model *m);
void model_oracle_fini(struct model_oracle *o);

enum bm_status model_start(struct model_run *run, struct bm_error *err) BM_NODISCARD;
/* Waits, destroys the flow and checks what must hold of every run. */
void model_finish(struct model_run *run);
void model_cancel(struct model_run *run); /* any thread */
/* The finished run against the oracle: a complete one, or a cancelled one (run->cancelled). */
void model_compare(struct model_run *run, const struct model_oracle *o);
/* All of these: init, start, finish, compare, fini. */
void model_check(const struct model_oracle *o, struct toy_pool *tp);

/* Between model.c and model_call.c. */
/* How often a fill took its input's buffer (bm_chunk_exchange) in place of copying. */
extern atomic_uint_fast64_t model_exchanges;

void model_wire(struct model_run *run); /* fills in pl, segments, stages and seats */
/* Before a cancellation: from then on the engine gives back chunks unseen. */
void model_forget_live(struct model_run *run);

#endif
