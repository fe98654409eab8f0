/*
 * write_internal.h - what write.c (an output for each input) and write_combine.c (one for all of them) share.
 */
#ifndef WRITE_INTERNAL_H
#define WRITE_INTERNAL_H

#include "step_internal.h"

/* A step of one job. Immutable while it runs, but for what says otherwise. */
struct write_shared {
	struct bm_job_context *ctx;
	const struct bm_write_params *p;
	unsigned index;
	struct bm_template *to; /* NULL: standard output */
	bool is_url;
	bool rereads;
	atomic_bool told; /* that reading back says nothing of a disk */
	bool combined;    /* or standard output */

	/* Combined; the IN_ORDER stage's, then finish's. */
	struct bm_sink *sink;
	char *path;
	uint64_t bytes;       /* in the sink */
	uint64_t start_bytes; /* where the present input began */
	bool is_whole;        /* the present input came to its end */
	uint64_t present;     /* its index */
	bool any;
};

static inline void write_count(struct write_shared *ws, uint64_t bytes)
{
	atomic_fetch_add_explicit(ws->ctx->bytes_written, bytes, memory_order_relaxed);
	ws->ctx->tick(ws->ctx->tick_arg);
}

/* The IN_ORDER stage of a combined output; arg is a write_shared. */
enum bm_status write_combine_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w,
                                 struct bm_error *err);
/* Makes it final, or removes it; nothing where outputs are not combined. As bm_step_ops.finish. */
enum bm_status write_combine_finish(void *shared, bool good, struct bm_error *err);

#endif
