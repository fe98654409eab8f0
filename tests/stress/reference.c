/* reference.c - see reference.h. One chunk a segment, made anew for every use with malloc of exactly its size, so that
 * AddressSanitizer sees a callback that goes beyond its buffers. */
#include "reference.h"
#include "toy.h"

struct interpreter {
	const struct bm_pipeline *pl;
	void *stream;
	struct {
		struct bm_chunk chunk;
		bool any; /* chunk is one */
		bool cut; /* the segment before has failed: chunk is what there was before that */
		uint64_t next_seq;
	} at[BM_FLOW_MAX_SEGMENTS];
	struct bm_error err;
};

static void drop_chunk(struct bm_chunk *c)
{
	free(c->buf[0]);
	free(c->buf[1]);
	memset(c, 0, sizeof(*c));
}

static void new_chunk(struct interpreter *it, size_t s)
{
	const struct bm_segment *seg = &it->pl->segments[s];
	struct bm_chunk *c = &it->at[s].chunk;

	drop_chunk(c);
	for (unsigned b = 0; b < 2; b++) {
		c->cap[b] = seg->buffer_bytes[b];
		c->buf[b] = c->cap[b] ? toy_alloc(c->cap[b], 1) : NULL;
	}
	c->data = c->buf[0];
	c->seq = it->at[s].next_seq++;
	it->at[s].any = true;
}

/* Makes segment s's next chunk and takes it through the segment's stages. false: it->err is set. What a fill has begun
 * when its input fails still goes on, as a chunk of its own; the failure comes after it. */
static bool pull(struct interpreter *it, size_t s)
{
	const struct bm_segment *seg = &it->pl->segments[s];
	struct bm_chunk *out = &it->at[s].chunk;
	struct bm_chunk *in = s > 0 ? &it->at[s - 1].chunk : NULL;

	if (it->at[s].cut)
		return false;
	new_chunk(it, s);
	for (;;) {
		struct bm_error err = BM_ERROR_INIT;
		enum bm_fill_result got;

		if (in && (!it->at[s - 1].any || (in->pos == in->len && !in->last)) && !pull(it, s - 1)) {
			if (out->len == 0)
				return false;
			it->at[s].cut = true;
			break;
		}
		got = seg->fill(seg->arg, it->stream, out, in, NULL, &err);
		if (got == BM_FILL_ERROR) {
			it->err = err;
			return false;
		}
		if (got == BM_FILL_EMIT)
			break;
		TOY_CHECK(in && in->pos == in->len && !in->last, "the test itself is wrong: MORE too early");
	}
	for (size_t k = 0; k < seg->stage_count; k++) {
		const struct bm_stage *stage = &seg->stages[k];
		struct bm_error err = BM_ERROR_INIT;
		enum bm_status status = stage->run(stage->arg, it->stream, out, NULL, &err);

		if (status != BM_OK) { /* also where the segment before failed: this chunk comes before that */
			it->err = err;
			it->err.status = status;
			return false;
		}
	}
	return true;
}

static void run_stream(struct interpreter *it, bool drain)
{
	const struct bm_pipeline *pl = it->pl;
	bool ok = true;

	memset(it->at, 0, sizeof(it->at));
	memset(&it->err, 0, sizeof(it->err));
	for (size_t s = pl->segment_count; ok && s-- > 0;) {
		if (!drain && s + 1 < pl->segment_count)
			break;
		while (ok && !(it->at[s].any && it->at[s].chunk.last))
			ok = pull(it, s);
	}
	for (size_t s = 0; s < pl->segment_count; s++)
		drop_chunk(&it->at[s].chunk);
	pl->end(pl->ctx, it->stream, NULL, ok ? NULL : &it->err);
}

void reference_run(const struct bm_pipeline *pl, bool drain)
{
	struct interpreter *it = toy_alloc(1, sizeof(*it));

	it->pl = pl;
	while (pl->next(pl->ctx, NULL, &it->stream) == BM_NEXT_STREAM)
		run_stream(it, drain);
	if (pl->done)
		pl->done(pl->ctx);
	free(it);
}
