/*
 * decompress_zstd.c - the step `decompress`, format zstd: any zstd file.
 *
 *   GATHER   at the start of a frame: collects its header. A frame whose header tells its content's size, which fits into a
 *            chunk, is COLLECTed whole and sent on; small ones together with others, as a row. A skippable frame is
 *            SKIPped. Anything else is STREAMed.
 *   COLLECT  takes the frame's bytes up to its end, which the scan over its block headers finds without decoding: no
 *            seek table is needed, and a pipe will do.
 *   STREAM   decodes serially to the end of the frame.
 *   SKIP     passes over a skippable frame; a seek table is one.
 *
 * What follows a frame and is not another is an error, as zstd makes it one.
 *
 * A stream holds the window that its frame wants. Those beyond the usual are taken from the run's account of them
 * (bm_windows.h), which may make the file wait, and their decoders go when the file is through.
 *
 * A frame that is decoded whole needs no window, but one that declares a larger window than allowed is streamed, and so
 * refused, whatever its size is: whether a file can be read does not hang on the chunk.
 */
#include <string.h>

#include "bm_error.h"
#include "decompress_internal.h"

enum { MODE_GATHER = DECOMPRESS_MODE_GATHER, MODE_COLLECT, MODE_STREAM, MODE_SKIP };

static struct bm_zstd_decoder *decoder_get(struct decompress_layer *dl, struct bm_error *err)
{
	struct bm_zstd_decoder *d = bm_stash_get(&dl->all->zstd_decoders);

	if (d == NULL && bm_zstd_decoder_create(dl->all->o.max_window, &d, err) != BM_OK)
		return NULL;
	return d;
}

static void drop_window(struct decompress_layer *dl, struct decompress_file *df)
{
	if (df->window.bytes == 0)
		return;
	bm_zstd_decoder_destroy(df->zstd);
	df->zstd = NULL;
	bm_windows_give(dl->all->windows, &df->window);
}

/* Before the decoder allocates what this frame wants. The one before is at its end, so that its window may go. */
static void take_window(struct decompress_layer *dl, struct decompress_file *df, const struct bm_file *f,
                        const struct bm_zstd_header *h, struct bm_worker *w)
{
	const bool is_small = h->has_content_bytes && h->content_bytes < h->window_bytes;
	const uint64_t bytes = is_small ? h->content_bytes : h->window_bytes;

	if (bytes <= BM_WINDOW_USUAL || bytes <= df->window.bytes || h->window_bytes > dl->all->o.max_window)
		return;
	drop_window(dl, df);
	bm_windows_take(dl->all->windows, &df->window, bytes, f->index, f->has_mtime, w);
}

/* h: NULL where what comes is not a frame's header, which the decoder will say. */
static enum bm_status begin_stream(struct decompress_layer *dl, struct decompress_file *df, const struct bm_file *f,
                                   const struct bm_zstd_header *h, bool *emit, struct bm_worker *w,
                                   struct bm_error *err)
{
	if (h != NULL)
		take_window(dl, df, f, h, w);
	if (df->zstd == NULL)
		df->zstd = decoder_get(dl, err);
	if (df->zstd == NULL)
		return BM_ERR_NOMEM;
	bm_zstd_stream_reset(df->zstd);
	df->mode = MODE_STREAM;
	*emit = df->row_len > 0; /* what comes next wants a chunk of its own */
	return BM_OK;
}

/* At the start of a frame: its header, to choose the way. */
static enum bm_status gather(struct decompress_layer *dl, struct decompress_file *df, const struct bm_file *f,
                             struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                             struct bm_error *err)
{
	struct bm_zstd_header h;
	enum bm_zstd_peek peek;

	df->unit_start = df->in_bytes - df->head_len;
	if (df->head_len < BM_ZSTD_HEADER_MAX)
		df->head_len += decompress_take(df, in, df->head + df->head_len, BM_ZSTD_HEADER_MAX - df->head_len);
	peek = bm_zstd_peek_header(df->head, df->head_len, &h);
	if (peek == BM_ZSTD_PEEK_SHORT && !decompress_at_end(in))
		return BM_OK; /* more input first */
	if (df->any_unit && df->head_len == 0)
		return BM_OK; /* a clean end */
	if (df->any_unit && peek == BM_ZSTD_PEEK_NOT)
		return bm_error_set(err, BM_ERR_FORMAT, NULL,
		                    "trailing garbage at byte %llu: what follows the last zstd frame is not another",
		                    (unsigned long long)df->unit_start);
	if (peek != BM_ZSTD_PEEK_OK)
		return begin_stream(dl, df, f, NULL, emit, w, err); /* the decoder says what is wrong */
	if (h.skippable) {
		df->head_len -= h.header_bytes;
		memmove(df->head, df->head + h.header_bytes, df->head_len);
		df->skip_left = h.skip_bytes;
		df->row_closed = true; /* its units would no longer be side by side */
		df->any_unit = true;
		df->mode = MODE_SKIP;
		return BM_OK;
	}
	if (!h.has_content_bytes || h.content_bytes > dl->chunk_bytes || h.window_bytes > dl->all->o.max_window ||
	    h.dictionary_id != 0)
		return begin_stream(dl, df, f, &h, emit, w, err);
	if (df->row_len > 0) {
		if (df->row_closed || df->row_decoded + h.content_bytes > dl->stream_bytes ||
		    df->row_len + bm_zstd_bound((size_t)h.content_bytes) > out->cap[1]) {
			*emit = true; /* the row goes first; the head waits */
			return BM_OK;
		}
	}
	bm_zstd_scan_start(&df->scan);
	df->unit_have = 0;
	df->mode = MODE_COLLECT;
	return BM_OK;
}

/* The frame goes on as a stream, with what was collected of it. */
static enum bm_status give_up(struct decompress_layer *dl, struct decompress_file *df, const struct bm_file *f,
                              struct bm_chunk *out, bool *emit, struct bm_worker *w, struct bm_error *err)
{
	enum bm_status status = decompress_keep(df, out->buf[1] + df->row_len, df->unit_have, err);

	return status == BM_OK ? begin_stream(dl, df, f, &df->scan.header, emit, w, err) : status;
}

/* *emit is set where the row is full enough. */
static enum bm_status collect(struct decompress_layer *dl, struct decompress_file *df, const struct bm_file *f,
                              struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                              struct bm_error *err)
{
	size_t len, used;
	bool end;
	const uint8_t *from = decompress_next(df, in, &len, &end);
	enum bm_zstd_scan_result r = bm_zstd_scan_feed(&df->scan, from, len, &used);

	if (used > out->cap[1] - df->row_len - df->unit_have)
		return give_up(dl, df, f, out, emit, w, err); /* more blocks than such a content needs, but not wrong */
	if (used > 0)
		memcpy(out->buf[1] + df->row_len + df->unit_have, from, used);
	df->unit_have += used;
	decompress_used(df, in, used);
	if (r == BM_ZSTD_SCAN_BAD || (r == BM_ZSTD_SCAN_MORE && df->head_len == 0 && decompress_at_end(in)))
		return give_up(dl, df, f, out, emit, w, err); /* the decoder says what is wrong */
	if (r == BM_ZSTD_SCAN_MORE)
		return BM_OK;
	if (df->row_len == 0)
		out->slot[0] = df->unit_start;
	df->row_len += df->unit_have;
	df->row_decoded += (size_t)df->scan.header.content_bytes;
	df->out_bytes += df->scan.header.content_bytes;
	df->any_unit = true;
	df->mode = MODE_GATHER;
	*emit = df->row_decoded >= dl->stream_bytes;
	return BM_OK;
}

static enum bm_status decode_some(struct decompress_layer *dl, struct decompress_file *df, struct bm_chunk *out,
                                  struct bm_chunk *in, bool *emit, struct bm_error *err)
{
	struct bm_zstd_stream_result r = {0};
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t len;
	bool end;
	const uint8_t *from = decompress_next(df, in, &len, &end);

	status = bm_zstd_stream_decode(df->zstd, from, len, end, out->buf[0] + out->len, dl->stream_bytes - out->len,
	                               &r, &inner);
	out->len += r.out_made;
	df->out_bytes += r.out_made;
	decompress_used(df, in, r.in_used);
	if (status == BM_ERR_LIMIT)
		return bm_error_set(err, status, NULL, "zstd frame at byte %llu: %s; the limit is %s",
		                    (unsigned long long)df->unit_start, inner.text,
		                    dl->all->is_command ? "--max-window" : "max_window");
	if (status != BM_OK)
		return decompress_error(&decompress_zstd_format, df->unit_start, status, &inner, err);
	*emit = out->len == dl->stream_bytes;
	if (r.frame_end) {
		df->any_unit = true;
		df->mode = MODE_GATHER;
	}
	return BM_OK;
}

static void skip(struct decompress_file *df, struct bm_chunk *in)
{
	size_t len;
	bool end;

	(void)decompress_next(df, in, &len, &end);
	if (len > df->skip_left)
		len = (size_t)df->skip_left;
	decompress_used(df, in, len);
	df->skip_left -= len;
	if (df->skip_left == 0)
		df->mode = MODE_GATHER;
}

static enum bm_status zstd_turn(struct decompress_layer *dl, struct decompress_file *df, struct bm_file *f,
                                struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
                                struct bm_error *err)
{
	switch (df->mode) {
	case MODE_GATHER:
		if (out->len == 0)
			return gather(dl, df, f, out, in, emit, w, err);
		/* A frame was streamed into this chunk: the next one may want a chunk of its own. */
		*emit = true;
		return BM_OK;
	case MODE_COLLECT:
		return collect(dl, df, f, out, in, emit, w, err);
	case MODE_STREAM:
		return decode_some(dl, df, out, in, emit, err);
	default:
		skip(df, in);
		if (df->skip_left > 0 && df->head_len == 0 && decompress_at_end(in))
			return bm_error_set(err, BM_ERR_TRUNCATED, NULL,
			                    "zstd frame at byte %llu: unexpected end of file in a skippable frame",
			                    (unsigned long long)df->unit_start);
		return BM_OK;
	}
}

static bool zstd_may_end(const struct decompress_file *df)
{
	return df->mode == MODE_GATHER && df->any_unit;
}

static enum bm_status zstd_row(struct decompress_layer *dl, struct decompress_file *df, const struct bm_chunk *c,
                               size_t *good, size_t *out_len, struct bm_error *err)
{
	struct bm_zstd_decoder *d = decoder_get(dl, err);
	enum bm_status status = d != NULL ? BM_OK : err->status;
	size_t made = 0;

	(void)df;
	*good = 0;
	*out_len = 0;
	while (status == BM_OK && *good < c->len) {
		struct bm_zstd_scan scan;
		size_t frame;

		bm_zstd_scan_start(&scan);
		(void)bm_zstd_scan_feed(&scan, c->data + *good, c->len - *good, &frame);
		status = bm_zstd_decode_frame(d, c->data + *good, frame, c->buf[0] + *out_len,
		                              dl->chunk_bytes - *out_len, &made, err);
		if (status == BM_OK) {
			*good += frame;
			*out_len += made;
		}
	}
	bm_stash_put(&dl->all->zstd_decoders, d);
	return status;
}

static void zstd_close(struct decompress_layer *dl, struct decompress_file *df)
{
	drop_window(dl, df);
	bm_stash_put(&dl->all->zstd_decoders, df->zstd);
}

const struct decompress_format decompress_zstd_format = {
	.name = "zstd",
	.unit = "frame",
	.turn = zstd_turn,
	.may_end = zstd_may_end,
	.row = zstd_row,
	.close = zstd_close,
};
