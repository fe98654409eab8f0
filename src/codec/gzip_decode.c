/*
 * gzip_decode.c - any gzip file as a stream (RFC 1952), with the engine's inflate for the RFC 1951 inside. Whole members
 * in memory are in gzip_member.c.
 *
 * It is a state machine of five states around the inflater:
 *
 *     BETWEEN --not zero--> HEADER --> BODY --> TRAILER --> BETWEEN          (starts in HEADER)
 *                              \--> GARBAGE
 *
 * Every state can stop after any byte. What a stream may hold, as gzip, pigz and python agree:
 *   - any number of members, one after another: their contents are joined (section 2.2);
 *   - zero bytes after a member: tape padding, skipped. What follows the zeros is looked at like what follows a member
 *     (python reads on there, gzip takes it for garbage: reading on loses nothing);
 *   - bytes that do not begin with 1f 8b after at least one good member: garbage, which the caller warns about;
 *   - nothing else. Before the first member, the same bytes are an error, for this is not a gzip file. A header that
 *     begins with 1f 8b and goes wrong later is an error too: that is a damaged member, not a stray tail. So is a lone
 *     1f at the end of the input, which may be what is left of a member.
 * Reading beyond the member's end is impossible: an inflater stops at the end of the deflate data, and what it took
 * ahead by then is no more than the trailer, where it goes; the rest of the trailer is taken byte by byte.
 *
 * Output is handed out before the trailer that vouches for it can have been seen. That lies in the nature of a stream;
 * the caller must not give a final name to anything until `complete`. A whole member does not have this problem.
 *
 * The CRC-32 is taken of what each call inflated, while it is in the cache: 2 % of the samples of the thread that inflates
 * (ISA-L, 256 MiB of source text). A stage of its own on another thread would save less than that, and fetch every byte
 * from the other CPU's cache once more. The size fields ("IG", "BC") are not looked
 * at here at all.
 */
#include "gzip_decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"

/* ---- making ---- */

static bool can_stream(enum bm_gzip_engine id)
{
	const struct gzip_engine *const e = gzip_engine_of(id);

	return e != NULL && e->inflate != NULL;
}

/* Measured in members of 1 MiB, MB/s on text and on libraries: libdeflate 1,560 and 700, ISA-L 1,230 and 660, zlib 540
 * and 320. */
static const struct gzip_engine *whole_engine(enum bm_gzip_engine wanted)
{
	if (wanted == BM_GZIP_AUTO)
		wanted = bm_gzip_engine_available(BM_GZIP_LIBDEFLATE) ? BM_GZIP_LIBDEFLATE
		         : bm_gzip_engine_available(BM_GZIP_ISAL)     ? BM_GZIP_ISAL
		                                                      : BM_GZIP_ZLIB;
	if (gzip_engine_of(wanted)->inflate_whole == NULL)
		wanted = BM_GZIP_ZLIB;
	return gzip_engine_of(wanted);
}

static const struct gzip_engine *stream_engine(enum bm_gzip_engine wanted)
{
	if (wanted == BM_GZIP_AUTO)
		wanted = BM_GZIP_ISAL;
	return can_stream(wanted) ? gzip_engine_of(wanted) : &gzip_engine_zlib;
}

enum bm_status bm_gzip_decoder_create_with(enum bm_gzip_engine engine, struct bm_gzip_decoder **out,
                                           struct bm_error *err)
{
	struct bm_gzip_decoder *d = NULL;

	*out = NULL;
	if (!bm_gzip_engine_available(engine))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "this bytemill was built without the gzip engine %s",
		                    bm_gzip_engine_name(engine));
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->whole = whole_engine(engine);
	d->stream = stream_engine(engine);
	for (enum bm_gzip_engine id = BM_GZIP_AUTO; id < BM_GZIP_ENGINES; id++) {
		if (id != d->whole->id && id != d->stream->id && id != BM_GZIP_ZLIB)
			continue;
		d->inflater[id] = gzip_engine_of(id)->inflater_create();
		if (d->inflater[id] == NULL) {
			bm_gzip_decoder_destroy(d);
			return bm_error_set_nomem(err);
		}
	}
	bm_gzip_stream_reset(d);
	*out = d;
	return BM_OK;
}

enum bm_status bm_gzip_decoder_create(struct bm_gzip_decoder **out, struct bm_error *err)
{
	return bm_gzip_decoder_create_with(BM_GZIP_AUTO, out, err);
}

void bm_gzip_decoder_destroy(struct bm_gzip_decoder *d)
{
	if (d == NULL)
		return;
	for (enum bm_gzip_engine id = BM_GZIP_AUTO; id < BM_GZIP_ENGINES; id++)
		if (d->inflater[id] != NULL)
			gzip_engine_of(id)->inflater_destroy(d->inflater[id]);
	free(d);
}

size_t bm_gzip_decoder_bytes(void)
{
	size_t sum = sizeof(struct bm_gzip_decoder);

	for (enum bm_gzip_engine id = BM_GZIP_AUTO; id < BM_GZIP_ENGINES; id++)
		if (gzip_engine_of(id) != NULL)
			sum += gzip_engine_of(id)->inflater_bytes;
	return sum;
}

const char *bm_gzip_decoder_engines(void)
{
	const struct gzip_engine *const whole = whole_engine(BM_GZIP_AUTO);
	const struct gzip_engine *const stream = stream_engine(BM_GZIP_AUTO);

	if (whole->id == BM_GZIP_LIBDEFLATE)
		return stream->id == BM_GZIP_ISAL ? "libdeflate (whole members) and isal (streams)"
		                                  : "libdeflate (whole members) and zlib (streams)";
	return whole->id == BM_GZIP_ISAL ? "isal" : "zlib";
}

/* ---- streams ---- */

void bm_gzip_stream_reset(struct bm_gzip_decoder *d)
{
	gzip_header_start(&d->header);
	d->state = GZIP_STREAM_HEADER;
	d->offset = 0;
	d->member_start = 0;
	d->member_count = 0;
}

static void advance(struct bm_gzip_decoder *d, struct gzip_cursor *c, size_t count)
{
	c->in += count;
	c->in_left -= count;
	d->offset += count;
}

/* Reports an error at input offset `at`, and names the member where there is more than the one that starts the file. */
static enum bm_status stream_failed(struct bm_gzip_decoder *d, enum bm_status status, uint64_t at, const char *text,
                                    const char *detail, struct bm_error *err)
{
	char where[GZIP_WHERE_BYTES];

	d->state = GZIP_STREAM_FAILED;
	gzip_where(where, at);
	if (d->member_start == 0 && d->member_count == 0)
		return bm_error_set(err, status, where, "%s%s", text, detail);
	return bm_error_set(err, status, where, "%s%s (in gzip member %llu, which begins at offset %llu)", text, detail,
	                    (unsigned long long)d->member_count + 1, (unsigned long long)d->member_start);
}

static enum bm_status read_header(struct bm_gzip_decoder *d, struct gzip_cursor *c, struct bm_error *err)
{
	const bool first = d->member_count == 0;
	size_t used;

	switch (gzip_header_feed(&d->header, c->in, c->in_left, &used)) {
	case GZIP_HEADER_MORE:
		advance(d, c, used);
		break;
	case GZIP_HEADER_DONE:
		advance(d, c, used);
		d->stream->inflate_reset(d->inflater[d->stream->id]);
		d->crc = 0;
		d->member_made = 0;
		d->trailer_have = 0;
		d->state = GZIP_STREAM_BODY;
		break;
	case GZIP_HEADER_NO_MAGIC:
		if (first)
			return stream_failed(d, BM_ERR_FORMAT, 0, "not a gzip file: it does not begin with 1f 8b", "",
			                     err);
		d->state = GZIP_STREAM_GARBAGE;
		break;
	default:
		advance(d, c, used);
		return stream_failed(d, BM_ERR_FORMAT, d->offset - 1,
		                     first ? "not a valid gzip file: " : "corrupt gzip header: ", d->header.reason,
		                     err);
	}
	return BM_OK;
}

/* Inflates until the input or the room for output is used up, or the deflate data ends. */
static enum bm_status read_body(struct bm_gzip_decoder *d, struct gzip_cursor *c, struct bm_error *err)
{
	const struct gzip_cursor before = *c;
	struct gzip_inflate_note note = {0};
	enum gzip_inflate_result result;
	size_t made;

	result = d->stream->inflate(d->inflater[d->stream->id], c, &note);
	made = before.out_left - c->out_left;
	d->offset += before.in_left - c->in_left;
	d->crc = bm_crc32(d->crc, before.out, made);
	d->member_made += made;

	switch (result) {
	case GZIP_INFLATE_END:
		memcpy(d->trailer, note.ahead, note.ahead_count);
		d->trailer_have = note.ahead_count;
		d->state = GZIP_STREAM_TRAILER;
		break;
	case GZIP_INFLATE_MORE: /* no input, or no room: the caller's move */
		break;
	case GZIP_INFLATE_NOMEM:
		d->state = GZIP_STREAM_FAILED;
		return bm_error_set_nomem(err);
	case GZIP_INFLATE_BAD:
		return stream_failed(d, BM_ERR_FORMAT, d->offset - note.ahead_count,
		                     "corrupt deflate data: ", note.reason, err);
	}
	return BM_OK;
}

/* Sets *ended when the trailer is whole and right. */
static enum bm_status read_trailer(struct bm_gzip_decoder *d, struct gzip_cursor *c, bool *ended, struct bm_error *err)
{
	char detail[96];

	while (d->trailer_have < BM_GZIP_TRAILER_BYTES && c->in_left > 0) {
		d->trailer[d->trailer_have++] = *c->in;
		advance(d, c, 1);
	}
	if (d->trailer_have < BM_GZIP_TRAILER_BYTES)
		return BM_OK;
	if (d->crc != gzip_get_u32(d->trailer)) {
		(void)snprintf(detail, sizeof(detail), "%08x and its data has %08x: the data is corrupt",
		               (unsigned)gzip_get_u32(d->trailer), (unsigned)d->crc);
		return stream_failed(d, BM_ERR_FORMAT, d->offset - BM_GZIP_TRAILER_BYTES,
		                     "the gzip member's CRC-32 is ", detail, err);
	}
	if ((uint32_t)d->member_made != gzip_get_u32(d->trailer + 4)) {
		(void)snprintf(detail, sizeof(detail), "%u bytes (modulo 2^32) and holds %llu",
		               (unsigned)gzip_get_u32(d->trailer + 4), (unsigned long long)d->member_made);
		return stream_failed(d, BM_ERR_FORMAT, d->offset - 4, "the gzip member says that it holds ", detail,
		                     err);
	}
	d->member_count++;
	d->state = GZIP_STREAM_BETWEEN;
	*ended = true;
	return BM_OK;
}

static void read_between(struct bm_gzip_decoder *d, struct gzip_cursor *c)
{
	size_t zeros = 0;

	while (zeros < c->in_left && c->in[zeros] == 0)
		zeros++;
	advance(d, c, zeros);
	if (c->in_left > 0) {
		gzip_header_start(&d->header);
		d->member_start = d->offset;
		d->state = GZIP_STREAM_HEADER;
	}
}

/* All input is used and no more will come. BM_OK when it may end here. */
static enum bm_status end_of_input(struct bm_gzip_decoder *d, const struct gzip_cursor *c, struct bm_error *err)
{
	switch (d->state) {
	case GZIP_STREAM_HEADER:
		if (d->offset == 0)
			return stream_failed(d, BM_ERR_TRUNCATED, 0, "empty, not a gzip file", "", err);
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, "unexpected end of file in a gzip header", "",
		                     err);
	case GZIP_STREAM_BODY:
		if (c->out_left == 0) /* inflate may still hold output, and the end of the deflate data behind it */
			return BM_OK;
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, "unexpected end of file in the compressed data",
		                     "", err);
	case GZIP_STREAM_TRAILER:
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset,
		                     "unexpected end of file in a gzip member's trailer", "", err);
	default:
		return BM_OK;
	}
}

enum bm_status bm_gzip_stream_decode(struct bm_gzip_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                                     size_t out_cap, struct bm_gzip_stream_result *res, struct bm_error *err)
{
	uint8_t none[1] = {0}; /* stands for a NULL of length 0, which inflate refuses and C does not add 0 to */
	const size_t in_size = in != NULL ? in_len : 0;
	const size_t out_size = out != NULL ? out_cap : 0;
	struct gzip_cursor c = {in != NULL ? in : none, in_size, out != NULL ? out : none, out_size};
	enum bm_status status = BM_OK;
	bool stop = false;

	memset(res, 0, sizeof(*res));
	while (!stop && status == BM_OK) {
		switch (d->state) {
		case GZIP_STREAM_HEADER:
			status = read_header(d, &c, err);
			stop = d->state == GZIP_STREAM_HEADER;
			break;
		case GZIP_STREAM_BODY:
			status = read_body(d, &c, err);
			stop = d->state == GZIP_STREAM_BODY;
			break;
		case GZIP_STREAM_TRAILER:
			status = read_trailer(d, &c, &res->member_end, err);
			stop = true; /* also at the member's end: the caller wants to know of it */
			break;
		case GZIP_STREAM_BETWEEN:
			read_between(d, &c);
			stop = d->state == GZIP_STREAM_BETWEEN;
			break;
		case GZIP_STREAM_GARBAGE:
			res->garbage = true;
			stop = true;
			break;
		case GZIP_STREAM_FAILED:
			status = bm_error_set(err, BM_ERR_USAGE, NULL,
			                      "gzip: the decoder wants a reset, after an error or a whole member, "
			                      "before it reads a stream");
			break;
		}
	}
	if (status == BM_OK && in_end && c.in_left == 0)
		status = end_of_input(d, &c, err);
	res->in_used = in_size - c.in_left;
	res->out_made = out_size - c.out_left;
	res->complete = status == BM_OK && (d->state == GZIP_STREAM_GARBAGE ||
	                                    (d->state == GZIP_STREAM_BETWEEN && in_end && c.in_left == 0));
	return status;
}
