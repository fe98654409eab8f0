/*
 * zstd_decode.c - the reading half of bm_zstd.h: whole frames in memory, and any zstd file as a stream (RFC 8878), with
 * libzstd.
 *
 * libzstd decodes a stream of frames by itself, but says of an error neither where in the file it lies nor, of an end of
 * the input, whether it came too early; nor does it tell a dictionary or an old format from damage. So the scan of
 * zstd_frame.c goes ahead of it, from block header to block header, and libzstd is given no more than what the scan has
 * at hand: a block's header, its body, the checksum. What fails is then known to the block. Whole blocks are also what
 * libzstd likes best: it decodes them from the caller's memory and copies only those that were cut.
 *
 *     BETWEEN --any byte--> HEADER --frame--> BODY --> BETWEEN          (starts in BETWEEN)
 *                              \--skippable--> SKIP --> BETWEEN
 *
 * Every state can stop after any byte. A stream may hold, in any number and order, frames and skippable frames (3.1.2),
 * at least one of them, and nothing else: what else stands behind a frame is an error, as zstd makes it one. (gzip has
 * a tradition of padding and trailing garbage; zstd has skippable frames for that.)
 *
 * One check of libzstd's is done here again: as a stream it does not compare the content's size (3.1.1.1.4) with what
 * came out when the last block is an empty one.
 *
 * The scan has seen bytes that libzstd has not yet taken, where the output was full: `unfed` counts them, and they are
 * the first that the next call brings again.
 *
 * Output is handed out before the checksum that vouches for it can have been seen. That lies in the nature of a stream;
 * the caller must not give a final name to anything until `complete`. A whole frame does not have this problem.
 *
 * Memory: libzstd keeps the window (3.1.1.1.2) of a frame that is streamed, allocated when its header is read and up to
 * the cap, which is ours to refuse with a text that says what to do. A whole frame is decoded straight into the output,
 * which is its own window. Where that fails, the frame is decoded once more as a stream, into nothing, to find the block:
 * on that path alone.
 */
#include "zstd_format.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "bm_error.h"
#include "bm_text.h"

enum state {
	STATE_BETWEEN, /* before a frame, or after the last */
	STATE_HEADER,  /* in a frame's header */
	STATE_SKIP,    /* in a skippable frame's content */
	STATE_BODY,    /* in blocks or checksum, or libzstd has output left */
	STATE_FAILED   /* an error was reported */
};

struct bm_zstd_decoder {
	ZSTD_DCtx *z;
	struct bm_zstd_scan scan; /* of the frame at hand */
	enum state state;
	bool flush;           /* libzstd filled the output and may hold more */
	size_t unfed;         /* see above */
	uint64_t offset;      /* input bytes taken since bm_zstd_stream_reset */
	uint64_t unit_start;  /* offset of the block (or checksum) that the unfed bytes belong to */
	uint64_t frame_start; /* offset of the frame at hand */
	uint64_t frame_made;  /* bytes decoded from it */
	uint64_t frame_count; /* frames that ended well, skippable ones too */
	uint64_t window_max;
};

enum bm_status bm_zstd_decoder_create(uint64_t window_max_bytes, struct bm_zstd_decoder **out, struct bm_error *err)
{
	struct bm_zstd_decoder *d = NULL;
	ZSTD_bounds bounds;
	int bits = 0;
	size_t code;

	*out = NULL;
	if (window_max_bytes < BM_ZSTD_WINDOW_MIN || window_max_bytes > BM_ZSTD_WINDOW_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "zstd: a window cap of %" PRIu64 " bytes; 1 KiB to 2 GiB are possible",
		                    window_max_bytes);
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->window_max = window_max_bytes;
	d->z = ZSTD_createDCtx();
	if (d->z == NULL) {
		free(d);
		return bm_error_set_nomem(err);
	}
	/* The scan refuses what is over the cap, which need not be a power of two. */
	while (UINT64_C(1) << bits < window_max_bytes)
		bits++;
	bounds = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax);
	if (bits < bounds.lowerBound)
		bits = bounds.lowerBound;
	if (bits > bounds.upperBound)
		bits = bounds.upperBound;
	code = ZSTD_DCtx_setParameter(d->z, ZSTD_d_windowLogMax, bits);
	if (ZSTD_isError(code)) {
		bm_zstd_decoder_destroy(d);
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "libzstd %s takes no window of %d bits: %s",
		                    ZSTD_versionString(), bits, ZSTD_getErrorName(code));
	}
	bm_zstd_stream_reset(d);
	*out = d;
	return BM_OK;
}

void bm_zstd_decoder_destroy(struct bm_zstd_decoder *d)
{
	if (d == NULL)
		return;
	(void)ZSTD_freeDCtx(d->z);
	free(d);
}

size_t bm_zstd_decoder_bytes(uint64_t window_bytes)
{
	/* ZSTD_sizeof_DCtx of libzstd 1.5.4 is 160 KB, and with a stream the window and two blocks, with room for later
	 * versions. */
	const size_t state = sizeof(struct bm_zstd_decoder) + ((size_t)192 << 10);

	return window_bytes == 0 ? state : state + (size_t)window_bytes + 3 * (size_t)ZFMT_BLOCK_MAX + 4096;
}

static enum bm_status status_of(size_t code)
{
	switch (ZSTD_getErrorCode(code)) {
	case ZSTD_error_memory_allocation:
		return BM_ERR_NOMEM;
	case ZSTD_error_dictionary_wrong:
		return BM_ERR_UNSUPPORTED;
	case ZSTD_error_frameParameter_windowTooLarge:
		return BM_ERR_LIMIT;
	default:
		return BM_ERR_FORMAT;
	}
}

/* Whether a block that makes more than it may runs into the end of libzstd's own buffer first or into another check hangs
 * on how large that buffer had to be for earlier frames; the text must not. */
static const char *reason_of(size_t code)
{
	return ZSTD_getErrorCode(code) == ZSTD_error_dstSize_tooSmall
	               ? ZSTD_getErrorString(ZSTD_error_corruption_detected)
	               : ZSTD_getErrorName(code);
}

/* ---- streams ---- */

void bm_zstd_stream_reset(struct bm_zstd_decoder *d)
{
	d->state = STATE_BETWEEN;
	d->flush = false;
	d->unfed = 0;
	d->offset = 0;
	d->frame_start = 0;
	d->frame_count = 0;
}

/* The input that a call has left, and the output it has room for. */
struct cursor {
	const uint8_t *in;
	size_t in_left;
	uint8_t *out;
	size_t out_left;
};

static void advance(struct bm_zstd_decoder *d, struct cursor *c, size_t count)
{
	c->in += count;
	c->in_left -= count;
	d->offset += count;
}

/* Reports an error at input offset `at`, and names the frame where there is more than the one that starts the file. */
BM_PRINTF(5, 6)
static enum bm_status stream_failed(struct bm_zstd_decoder *d, enum bm_status status, uint64_t at, struct bm_error *err,
                                    const char *fmt, ...)
{
	char where[ZFMT_WHERE_BYTES];
	char text[400];
	va_list ap;

	d->state = STATE_FAILED;
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	zfmt_where(where, at);
	if (d->frame_count == 0)
		return bm_error_set(err, status, where, "%s", text);
	return bm_error_set(err, status, where, "%s (in zstd frame %" PRIu64 ", which begins at offset %" PRIu64 ")",
	                    text, d->frame_count + 1, d->frame_start);
}

/* A header is whole: may and can we decode what follows? */
static enum bm_status check_header(struct bm_zstd_decoder *d, struct bm_error *err)
{
	const struct bm_zstd_header *h = &d->scan.header;
	char have[16], want[16];

	if (h->dictionary_id != 0)
		return stream_failed(d, BM_ERR_UNSUPPORTED, d->frame_start, err,
		                     "compressed with the dictionary %u, and dictionaries are not supported; "
		                     "zstd -d -D FILE reads it",
		                     (unsigned)h->dictionary_id);
	if (h->window_bytes > d->window_max)
		return stream_failed(d, BM_ERR_LIMIT, d->frame_start, err,
		                     "wants a window of %s in memory, and %s are allowed; raise the limit if "
		                     "the file can be trusted",
		                     bm_size_format(h->window_bytes, want), bm_size_format(d->window_max, have));
	return BM_OK;
}

static enum bm_status not_zstd(struct bm_zstd_decoder *d, const char *reason, struct bm_error *err)
{
	return stream_failed(
		d, BM_ERR_FORMAT, d->frame_start, err,
		d->frame_count == 0 ? "not a zstd file: %s" : "what follows the zstd frames is not zstd: %s", reason);
}

static enum bm_status read_header(struct bm_zstd_decoder *d, struct cursor *c, struct bm_error *err)
{
	uint8_t none[1];
	ZSTD_outBuffer out = {none, 0, 0};
	ZSTD_inBuffer in;
	enum bm_status status;
	size_t used, code;
	enum bm_zstd_scan_result scanned = zfmt_scan_step(&d->scan, c->in, c->in_left, &used);

	advance(d, c, used);
	if (scanned == BM_ZSTD_SCAN_BAD)
		return not_zstd(d, d->scan.reason, err);
	if (d->scan.header.header_bytes == 0) /* more is needed */
		return BM_OK;
	if (d->scan.header.skippable) {
		d->state = scanned == BM_ZSTD_SCAN_END ? STATE_BETWEEN : STATE_SKIP;
		d->frame_count += scanned == BM_ZSTD_SCAN_END;
		return BM_OK;
	}
	status = check_header(d, err);
	if (status != BM_OK)
		return status;
	/* The header may have come in parts: libzstd gets it from the scan's copy. */
	in = (ZSTD_inBuffer){d->scan.head, d->scan.header.header_bytes, 0};
	code = ZSTD_DCtx_reset(d->z, ZSTD_reset_session_only);
	if (!ZSTD_isError(code))
		code = ZSTD_decompressStream(d->z, &out, &in);
	if (ZSTD_isError(code))
		return stream_failed(d, status_of(code), d->frame_start, err, "corrupt zstd header: %s",
		                     reason_of(code));
	if (in.pos != in.size)
		return stream_failed(d, BM_ERR_FAILED, d->frame_start, err,
		                     "libzstd %s left a part of a header: this is a defect", ZSTD_versionString());
	d->state = STATE_BODY;
	d->flush = false;
	d->unfed = 0;
	d->frame_made = 0;
	return BM_OK;
}

static void read_skip(struct bm_zstd_decoder *d, struct cursor *c)
{
	size_t used;

	if (zfmt_scan_step(&d->scan, c->in, c->in_left, &used) == BM_ZSTD_SCAN_END) {
		d->state = STATE_BETWEEN;
		d->frame_count++;
	}
	advance(d, c, used);
}

static enum bm_status corrupt(struct bm_zstd_decoder *d, enum bm_status status, const char *why, struct bm_error *err)
{
	return stream_failed(d, status, d->unit_start, err, "corrupt zstd data: %s", why);
}

/* Decodes until the input or the room for output is used up, or the frame ends (*ended). */
static enum bm_status read_body(struct bm_zstd_decoder *d, struct cursor *c, bool *ended, struct bm_error *err)
{
	while (c->out_left > 0) {
		const bool flush = d->flush;
		ZSTD_outBuffer out = {c->out, c->out_left, 0};
		ZSTD_inBuffer in = {c->in, 0, 0};
		size_t code;

		if (d->unfed == 0 && !flush) {
			d->unit_start = d->frame_start + d->scan.block_start;
			if (zfmt_scan_step(&d->scan, c->in, c->in_left, &d->unfed) == BM_ZSTD_SCAN_BAD)
				return corrupt(d, BM_ERR_FORMAT, d->scan.reason, err);
		}
		in.size = d->unfed < c->in_left ? d->unfed : c->in_left;
		if (in.size == 0 && !flush)
			return BM_OK;
		code = ZSTD_decompressStream(d->z, &out, &in);
		if (ZSTD_isError(code))
			return corrupt(d, status_of(code), reason_of(code), err);
		if (in.pos == 0 && out.pos == 0 && !flush)
			return stream_failed(d, BM_ERR_FAILED, d->unit_start, err,
			                     "libzstd %s stands still: this is a defect", ZSTD_versionString());
		advance(d, c, in.pos);
		d->unfed -= in.pos;
		c->out += out.pos;
		c->out_left -= out.pos;
		d->frame_made += out.pos;
		d->flush = c->out_left == 0;
		if (code == 0) {
			if (d->unfed > 0 || d->scan.state != ZFMT_SCAN_DONE)
				return corrupt(d, BM_ERR_FORMAT, "the frame ends before its last block", err);
			if (d->scan.header.has_content_bytes && d->frame_made != d->scan.header.content_bytes)
				return stream_failed(d, BM_ERR_FORMAT, d->frame_start, err,
				                     "corrupt zstd data: the frame says that it holds %" PRIu64
				                     " bytes and holds %" PRIu64,
				                     d->scan.header.content_bytes, d->frame_made);
			d->state = STATE_BETWEEN;
			d->frame_count++;
			*ended = true;
			return BM_OK;
		}
	}
	return BM_OK;
}

/* All input is used and no more will come. BM_OK when it may end here. */
static enum bm_status end_of_input(struct bm_zstd_decoder *d, const struct cursor *c, struct bm_error *err)
{
	switch (d->state) {
	case STATE_BETWEEN:
		if (d->frame_count == 0)
			return stream_failed(d, BM_ERR_TRUNCATED, 0, err, "empty, not a zstd file");
		return BM_OK;
	case STATE_BODY:
		if (d->flush &&
		    c->out_left == 0) /* libzstd may still hold output, and the end of the frame behind it */
			return BM_OK;
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, err,
		                     "unexpected end of file in the compressed data");
	case STATE_HEADER:
		if (zfmt_is_foreign(&d->scan))
			return not_zstd(d, "a frame begins with 28 b5 2f fd", err);
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, err, "unexpected end of file in a zstd header");
	default:
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, err,
		                     "unexpected end of file in a skippable zstd frame");
	}
}

enum bm_status bm_zstd_stream_decode(struct bm_zstd_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                                     size_t out_cap, struct bm_zstd_stream_result *res, struct bm_error *err)
{
	uint8_t none[1] = {0}; /* stands for a NULL of length 0, which C does not add 0 to */
	const size_t in_size = in != NULL ? in_len : 0;
	const size_t out_size = out != NULL ? out_cap : 0;
	struct cursor c = {in != NULL ? in : none, in_size, out != NULL ? out : none, out_size};
	enum bm_status status = BM_OK;
	bool stop = false;

	memset(res, 0, sizeof(*res));
	while (!stop && status == BM_OK) {
		switch (d->state) {
		case STATE_BETWEEN:
			stop = c.in_left == 0;
			if (!stop) {
				bm_zstd_scan_start(&d->scan);
				d->frame_start = d->offset;
				d->state = STATE_HEADER;
			}
			break;
		case STATE_HEADER:
			status = read_header(d, &c, err);
			stop = d->state == STATE_HEADER;
			break;
		case STATE_SKIP:
			read_skip(d, &c);
			stop = d->state == STATE_SKIP;
			break;
		case STATE_BODY:
			status = read_body(d, &c, &res->frame_end, err);
			stop = true; /* also at the frame's end: the caller wants to know of it */
			break;
		case STATE_FAILED:
			status =
				bm_error_set(err, BM_ERR_USAGE, NULL,
			                     "zstd: the decoder wants a reset, after an error or a whole frame, before "
			                     "it reads a stream");
			break;
		}
	}
	if (status == BM_OK && in_end && c.in_left == 0)
		status = end_of_input(d, &c, err);
	res->in_used = in_size - c.in_left;
	res->out_made = out_size - c.out_left;
	res->complete = status == BM_OK && d->state == STATE_BETWEEN && in_end && c.in_left == 0;
	return status;
}

/* ---- whole frames ---- */

#define SCRATCH_BYTES 16384

/* libzstd refused a frame whose outside is in order: at which block? */
static enum bm_status locate_error(struct bm_zstd_decoder *d, size_t code, const void *in, size_t in_len,
                                   struct bm_error *err)
{
	char where[ZFMT_WHERE_BYTES];
	uint8_t scratch[SCRATCH_BYTES];
	struct bm_error inner = BM_ERROR_INIT;
	struct bm_zstd_stream_result res = {0};
	enum bm_status status = BM_OK;
	size_t at = 0;

	bm_zstd_stream_reset(d);
	while (status == BM_OK && !res.complete) {
		status = bm_zstd_stream_decode(d, (const uint8_t *)in + at, in_len - at, true, scratch, sizeof(scratch),
		                               &res, &inner);
		at += res.in_used;
	}
	d->state = STATE_FAILED;
	if (status == BM_ERR_FORMAT)
		return bm_error_set(err, BM_ERR_FORMAT, inner.where, "%s", inner.text);
	return bm_error_set(err, status_of(code), zfmt_where(where, 0), "corrupt zstd data: %s", reason_of(code));
}

static enum bm_status too_long(size_t out_cap, struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_LIMIT, "offset 0",
	                    "the zstd frame holds more than the %zu bytes that there is room for", out_cap);
}

enum bm_status bm_zstd_decode_frame(struct bm_zstd_decoder *d, const void *in, size_t in_len, void *out, size_t out_cap,
                                    size_t *out_len, struct bm_error *err)
{
	char where[ZFMT_WHERE_BYTES];
	size_t used, code;

	*out_len = 0;
	bm_zstd_stream_reset(d);
	d->state = STATE_FAILED; /* a stream that was being read is lost */
	bm_zstd_scan_start(&d->scan);
	switch (bm_zstd_scan_feed(&d->scan, in, in_len, &used)) {
	case BM_ZSTD_SCAN_END:
		break;
	case BM_ZSTD_SCAN_MORE:
		if (zfmt_is_foreign(&d->scan))
			return bm_error_set(err, BM_ERR_FORMAT, "offset 0", "no zstd frame begins here");
		return bm_error_set(err, BM_ERR_TRUNCATED, zfmt_where(where, in_len), "the zstd frame ends too early");
	default:
		return bm_error_set(err, BM_ERR_FORMAT, zfmt_where(where, d->scan.block_start),
		                    d->scan.header.header_bytes == 0 ? "no zstd frame begins here: %s"
		                                                     : "corrupt zstd data: %s",
		                    d->scan.reason);
	}
	if (used != in_len)
		return bm_error_set(err, BM_ERR_FORMAT, zfmt_where(where, used),
		                    "the zstd frame is %zu bytes shorter than it should be", in_len - used);
	if (d->scan.header.skippable)
		return BM_OK;
	if (d->scan.header.dictionary_id != 0)
		return check_header(d, err); /* for its text */
	if (d->scan.header.content_bytes > out_cap)
		return too_long(out_cap, err);
	code = ZSTD_decompressDCtx(d->z, out, out_cap, in, in_len);
	if (ZSTD_isError(code)) {
		switch (ZSTD_getErrorCode(code)) {
		case ZSTD_error_dstSize_tooSmall: /* where its length was told, it is a lie */
			if (!d->scan.header.has_content_bytes)
				return too_long(out_cap, err);
			return locate_error(d, code, in, in_len, err);
		case ZSTD_error_memory_allocation:
			return bm_error_set_nomem(err);
		default:
			return locate_error(d, code, in, in_len, err);
		}
	}
	*out_len = code;
	return BM_OK;
}
