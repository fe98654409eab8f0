/*
 * write_combine.c - the steps `write` and `copy` with one output for all inputs: a combined file, or standard output.
 *
 * One sink for the job, and an IN_ORDER stage, so that the inputs follow each other in listing order. An input that fails
 * in the middle is cut off again at the next one's start (not on standard output, which cannot take back what it gave).
 * The file takes its name when all inputs are through.
 */
#include <string.h>

#include "bm_error.h"
#include "write_internal.h"

/* Cuts off what an input that failed has left. */
static enum bm_status combine_undo(struct write_shared *ws, struct bm_error *err)
{
	if (!ws->any || ws->is_whole || ws->bytes == ws->start_bytes || ws->to == NULL)
		return BM_OK;
	struct bm_error unable;

	bm_error_clear(&unable);
	enum bm_status status = bm_sink_truncate(ws->sink, ws->start_bytes, &unable);
	if (status == BM_ERR_UNSUPPORTED)
		return BM_OK; /* a FIFO or device gives nothing back, as standard output */
	if (status != BM_OK)
		return bm_error_set(err, status, unable.where, "%s", unable.text);
	ws->bytes = ws->start_bytes;
	return BM_OK;
}

static enum bm_status combine_open(struct write_shared *ws, const struct bm_blocker *b, struct bm_error *err)
{
	struct bm_sink_options o = {.if_exists = (enum bm_if_exists)ws->p->if_exists, .mode = 0666};
	enum bm_status status;
	bool skipped;

	if (ws->sink != NULL)
		return BM_OK;
	status = bm_sink_open(ws->ctx->sinks[ws->p->durability], ws->path, &o, b, &ws->sink, &skipped, err);
	if (status == BM_OK)
		ws->bytes = bm_sink_size(ws->sink);
	return status;
}

/* What of a chunk lies in the range; BM_ERR_CANCELLED, which is no failure, once it is all there is to do. */
static enum bm_status write_range(struct write_shared *ws, const struct bm_chunk *c, const struct bm_blocker *b,
                                  struct bm_error *err)
{
	struct bm_byte_range *r = ws->p->range;
	const uint64_t begin = r->seen, end = r->seen + c->len;
	enum bm_status status = BM_OK;
	uint64_t from, to;

	r->seen = end;
	if (r->tail_bytes > 0) {
		for (size_t i = c->len > r->tail_bytes ? c->len - r->tail_bytes : 0; i < c->len;) {
			const size_t at = (size_t)((begin + i) % r->tail_bytes);
			const size_t part = c->len - i < r->tail_bytes - at ? c->len - i : r->tail_bytes - at;

			memcpy(r->tail + at, c->data + i, part);
			i += part;
		}
		return BM_OK;
	}
	from = r->first > begin ? r->first : begin;
	to = r->last < end ? r->last + 1 : end;
	if (from < to) {
		status = bm_sink_write(ws->sink, c->data + (from - begin), (size_t)(to - from), false, b, err);
		write_count(ws, to - from);
	}
	if (status == BM_OK && end > r->last && !c->last && atomic_load(&r->is_plain))
		return bm_error_set(err, BM_ERR_CANCELLED, NULL, "the range is complete");
	return status;
}

enum bm_status write_combine_run(void *arg, void *stream, struct bm_chunk *c, struct bm_worker *w, struct bm_error *err)
{
	struct write_shared *ws = arg;
	struct bm_file *f = stream;
	struct bm_blocker b = bm_blocker_of(f->ctx, w);
	enum bm_status status = combine_open(ws, &b, err);

	if (status == BM_OK && (!ws->any || ws->present != f->index)) {
		status = combine_undo(ws, err);
		ws->any = true;
		ws->present = f->index;
		ws->start_bytes = ws->bytes;
		ws->is_whole = false;
	}
	if (status == BM_OK && ws->p->range != NULL)
		return write_range(ws, c, &b, err);
	if (status == BM_OK)
		status = bm_sink_write(ws->sink, c->data, c->len, false, &b, err);
	if (status == BM_OK) {
		ws->bytes += c->len;
		ws->is_whole = c->last;
		write_count(ws, c->len);
	}
	return status;
}

enum bm_status write_combine_finish(void *shared, bool good, struct bm_error *err)
{
	struct write_shared *ws = shared;
	enum bm_status status = BM_OK;

	if (!ws->combined)
		return BM_OK;
	if (good)
		status = combine_open(ws, NULL, err); /* no inputs: an empty output, not none */
	if (good && status == BM_OK)
		status = combine_undo(ws, err);
	struct bm_sink *s = ws->sink;
	ws->sink = NULL;
	if (good && status == BM_OK)
		status = bm_sink_commit(s, NULL, -1, NULL, NULL, err);
	else
		bm_sink_abort(s);
	return status;
}
