/*
 * decompress_gzip.c - the step `decompress`, format gzip: any gzip file.
 *
 *   GATHER   at the start of a member: collects the first bytes of its header. A member that tells its size (the IG field
 *            of layout indexed, the BC field of BGZF) and is small enough is COLLECTed whole and sent on. BGZF blocks are too
 *            small for a chunk each: as many as will surely fit are sent on together, as a row. Anything else is
 *            STREAMed.
 *   STREAM   inflates serially to the end of the member.
 *   DRAIN    what follows the last member is no gzip: passed over, with a warning, as gzip does (at the end, for a file
 *            that fails in a member before gets none, however far this was ahead of it). It is still read to its end,
 *            since an earlier hash step wants to see all of it.
 *
 * Stricter than gzip in two things, so that no damage of one bit and no cut of a BGZF file goes for a shorter file: what
 * is one bit away from the start of a member is a damaged one and no garbage, and a file of BGZF blocks alone must end
 * in an empty one. (A cut between two members of any other file cannot be told from its end.)
 *
 * A member that was collected but whose decoded size (its last four bytes) is larger than a chunk is streamed from the
 * collected copy. The size that a member claims is checked by the parallel stage against what comes out.
 */
#include <string.h>

#include "bm_error.h"
#include "decompress_internal.h"

#define BLOCK_BYTES 65536 /* the most that a BGZF block holds */

enum { MODE_GATHER = DECOMPRESS_MODE_GATHER, MODE_COLLECT, MODE_STREAM, MODE_DRAIN };

static struct bm_gzip_decoder *decoder_get(struct decompress_layer *dl, struct bm_error *err)
{
	struct bm_gzip_decoder *d = bm_stash_get(&dl->all->gzip_decoders);

	if (d == NULL && bm_gzip_decoder_create(&d, err) != BM_OK)
		return NULL;
	return d;
}

static enum bm_status begin_stream(struct decompress_layer *dl, struct decompress_file *df, bool *emit,
                                   struct bm_error *err)
{
	if (df->gzip == NULL)
		df->gzip = decoder_get(dl, err);
	if (df->gzip == NULL)
		return BM_ERR_NOMEM;
	bm_gzip_stream_reset(df->gzip);
	df->mode = MODE_STREAM;
	*emit = df->row_len > 0; /* what comes next wants a chunk of its own */
	return BM_OK;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_cut_bgzf(const struct decompress_file *df)
{
	return df->any_unit && df->all_bgzf && !df->bgzf_ended;
}

/* Nothing follows the last member, or garbage. */
static enum bm_status end_of_members(const struct decompress_file *df, struct bm_error *err)
{
	if (!is_cut_bgzf(df))
		return BM_OK;
	return bm_error_set(err, BM_ERR_TRUNCATED, NULL,
	                    "BGZF without its end block at byte %llu: the file was cut between two blocks",
	                    (unsigned long long)df->unit_start);
}

static bool is_damaged_start(const uint8_t *head, size_t len)
{
	return len >= 3 && head[2] == 8 &&
	       __builtin_popcount((unsigned)(head[0] ^ 0x1f) | (unsigned)(head[1] ^ 0x8b) << 8) == 1;
}

/* At a place that is not the start of a member: *garbage, or an error. */
static enum bm_status look_behind(const struct decompress_file *df, bool *garbage, struct bm_error *err)
{
	enum bm_status status;

	*garbage = df->head[0] != 0x1f || (df->head_len > 1 && df->head[1] != 0x8b);
	if (!*garbage)
		return BM_OK;
	status = end_of_members(df, err);
	if (status == BM_OK && is_damaged_start(df->head, df->head_len))
		status = bm_error_set(err, BM_ERR_FORMAT, NULL,
		                      "damaged gzip member at byte %llu: it begins with %02x %02x and not with 1f 8b",
		                      (unsigned long long)df->unit_start, df->head[0], df->head[1]);
	return status;
}

/* At the start of a member: enough of the header to choose the way. */
static enum bm_status gather(struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out,
                             struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	struct bm_gzip_header h;
	bool garbage = false;

	if (df->any_unit) { /* zeros are padding, as tapes have it */
		while (df->head_len > 0 && df->head[0] == 0)
			memmove(df->head, df->head + 1, --df->head_len);
		while (df->head_len == 0 && in->pos < in->len && in->data[in->pos] == 0) {
			in->pos++;
			df->in_bytes++;
		}
	}
	df->unit_start = df->in_bytes - df->head_len;
	df->head_len += decompress_take(df, in, df->head + df->head_len, DECOMPRESS_HEAD_BYTES - df->head_len);
	if (df->head_len < DECOMPRESS_HEAD_BYTES && !decompress_at_end(in))
		return BM_OK; /* more input first */
	if (df->any_unit && df->head_len == 0)
		return end_of_members(df, err);
	if (df->any_unit && look_behind(df, &garbage, err) != BM_OK)
		return err->status;
	if (garbage) {
		df->has_garbage = true;
		df->head_len = 0;
		df->mode = MODE_DRAIN;
		*emit = df->row_len > 0;
		return BM_OK;
	}
	if (bm_gzip_peek_header(df->head, df->head_len, &h) != BM_GZIP_PEEK_OK)
		return begin_stream(dl, df, emit, err);
	df->all_bgzf = h.bgzf && (df->all_bgzf || !df->any_unit);
	df->bgzf_ended = h.bgzf && h.member_bytes <= df->head_len && get_u32(df->head + h.member_bytes - 4) == 0;
	if (h.member_bytes < DECOMPRESS_HEAD_BYTES || h.member_bytes > out->cap[1])
		return begin_stream(dl, df, emit, err);
	if (df->row_len > 0 && (!h.bgzf || h.member_bytes > out->cap[1] - df->row_len)) {
		*emit = true; /* the row goes first; the head waits */
		return BM_OK;
	}
	memcpy(out->buf[1] + df->row_len, df->head, df->head_len);
	df->unit_have = df->head_len;
	df->head_len = 0;
	df->member_bytes = h.member_bytes;
	df->member_bgzf = h.bgzf;
	df->mode = MODE_COLLECT;
	return BM_OK;
}

/* *emit is set where the member is whole, and it or the row that it ends goes on to be inflated in parallel. */
static enum bm_status collect(struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out,
                              struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	uint8_t *member = out->buf[1] + df->row_len;
	enum bm_status status;

	df->unit_have += decompress_take(df, in, member + df->unit_have, df->member_bytes - df->unit_have);
	if (df->unit_have < df->member_bytes && !decompress_at_end(in))
		return BM_OK;
	uint32_t decoded = get_u32(member + df->unit_have - 4);
	if (df->unit_have == df->member_bytes && decoded <= dl->chunk_bytes - df->row_decoded) {
		if (df->row_len == 0)
			out->slot[0] = df->unit_start;
		df->row_len += df->unit_have;
		df->row_decoded += decoded;
		df->out_bytes += decoded;
		df->any_unit = true;
		df->mode = MODE_GATHER;
		*emit = !df->member_bgzf || df->row_decoded + BLOCK_BYTES > dl->stream_bytes;
		return BM_OK;
	}
	/* Too large for a chunk, or the file ends first (the decoder will say so in its own words). */
	status = decompress_keep(df, member, df->unit_have, err);
	if (status != BM_OK)
		return status;
	return begin_stream(dl, df, emit, err);
}

static enum bm_status inflate_some(struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out,
                                   struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	const bool kept = df->kept != NULL;
	struct bm_gzip_stream_result r = {0};
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t len;
	bool end;
	const uint8_t *from = decompress_next(df, in, &len, &end);

	status = bm_gzip_stream_decode(df->gzip, from, len, end, out->buf[0] + out->len, dl->stream_bytes - out->len,
	                               &r, &inner);
	out->len += r.out_made;
	df->out_bytes += r.out_made;
	decompress_used(df, in, r.in_used);
	if (status != BM_OK)
		return decompress_error(&decompress_gzip_format, df->unit_start, status, &inner, err);
	*emit = out->len == dl->stream_bytes;
	if (r.member_end) {
		if (kept && df->kept != NULL)
			return bm_error_set(err, BM_ERR_FORMAT, NULL,
			                    "gzip member at byte %llu is shorter than its size field says",
			                    (unsigned long long)df->unit_start);
		df->any_unit = true;
		df->mode = MODE_GATHER; /* what is left of the head belongs to the next member */
	}
	return BM_OK;
}

static enum bm_status gzip_turn(struct decompress_layer *dl, struct decompress_file *df, struct bm_file *f,
                                struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                                struct bm_error *err)
{
	(void)f;
	(void)w;
	switch (df->mode) {
	case MODE_GATHER:
		if (out->len == 0)
			return gather(dl, df, out, in, emit, err);
		/* A member was streamed into this chunk: the next one may want buf[1] and a chunk of its own. */
		*emit = true;
		return BM_OK;
	case MODE_COLLECT:
		return collect(dl, df, out, in, emit, err);
	case MODE_STREAM:
		return inflate_some(dl, df, out, in, emit, err);
	default:
		df->in_bytes += in->len - in->pos;
		in->pos = in->len;
		return BM_OK;
	}
}

static bool gzip_may_end(const struct decompress_file *df)
{
	return (df->mode == MODE_GATHER && df->any_unit && !is_cut_bgzf(df)) || df->mode == MODE_DRAIN;
}

static enum bm_status gzip_row(struct decompress_layer *dl, struct decompress_file *df, const struct bm_chunk *c,
                               size_t *good, size_t *out_len, struct bm_error *err)
{
	struct bm_gzip_decoder *d = decoder_get(dl, err);
	enum bm_status status = BM_ERR_NOMEM;

	(void)df;
	if (d != NULL)
		status = bm_gzip_decode_row(d, c->data, c->len, c->buf[0], dl->chunk_bytes, good, out_len, err);
	bm_stash_put(&dl->all->gzip_decoders, d);
	return status;
}

static void gzip_close(struct decompress_layer *dl, struct decompress_file *df)
{
	bm_stash_put(&dl->all->gzip_decoders, df->gzip);
}

const struct decompress_format decompress_gzip_format = {
	.name = "gzip",
	.unit = "member",
	.turn = gzip_turn,
	.may_end = gzip_may_end,
	.row = gzip_row,
	.close = gzip_close,
};
