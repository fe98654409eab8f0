/* model_internal.h - what the callbacks of a model share: model_call.c's, and model_stage.c's stages. */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include "model.h"

static inline unsigned long long ull(uint64_t n)
{
	return n;
}

/* Around every callback; st may be NULL. pair(), which is not told its worker, does the parts itself. */
void model_enter(struct toy_frame *f, struct model_run *run, struct model_stream *st, struct bm_worker *w);
void model_leave(struct toy_frame *f, struct model_run *run, struct model_stream *st);
void model_point(struct model_run *run, struct bm_flow *flow);
void model_enter_stream(struct model_run *run, struct model_stream *st);
void model_note_late(struct model_run *run);
uint64_t model_dice(const struct model_run *run, const struct model_stream *st, uint64_t place, uint64_t seq);

const struct model_failure *model_find_failure(const struct model_stream *st, unsigned s, int stage, uint64_t seq);
void model_set_failure(struct model_stream *st, const struct model_failure *fa, struct bm_error *err);
uint64_t model_tag_of(const struct model_stream *st, unsigned s, uint64_t seq);
void model_check_chunk(const struct model_stream *st, unsigned s, const struct bm_chunk *c);
/* c has seen the last callback of its own segment. */
void model_live_after_stages(struct model_stream *st, unsigned s, const struct bm_chunk *c);

enum bm_status model_stage(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err);
unsigned model_pair(void *arg, void *stream_a, struct bm_chunk *a, void *stream_b, struct bm_chunk *b,
                    struct bm_worker *w);

#endif
