/*
 * gzip_decode.c - the reading half of bm_gzip.h: whole members in memory, and any gzip file as a stream (RFC 1952, with
 * zlib's raw inflate for the RFC 1951 inside).
 *
 * zlib's own gzip mode is not used: it tells neither where in the file an error lies nor what it found there, it
 * reports a cut header and a wrong one alike, and a member's end has to be handled outside of it anyway. What is left
 * to do here is a state machine of five states around inflate():
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
 * Reading beyond the member's end is impossible: inflate stops at the end of the deflate stream, and the trailer is
 * taken byte by byte.
 *
 * Output is handed out before the trailer that vouches for it can have been seen. That lies in the nature of a stream;
 * the caller must not give a final name to anything until `complete`. A whole member does not have this problem.
 *
 * The size fields ("IG", "BC") are not believed here at all. bm_gzip_decode_member gets a member that was cut out by
 * such a field, and a wrong one comes to light as deflate data that ends too early or too late.
 *
 * Memory: inflate allocates its 32 KiB window when it first needs one, which would be an allocation in the middle of a
 * file. Setting a dictionary makes it do so at creation; the reset that follows forgets the dictionary and keeps the
 * window. A whole member is inflated straight into the output and does not use it.
 */
#define ZLIB_CONST
#include "bm_gzip.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "gzip_header.h"

/* What one call of inflate is given at most, in and out: its counters are of 32 bits. */
#define INFLATE_MAX ((size_t)1 << 30)

#define WHERE_BYTES 32

enum state {
	STATE_HEADER,  /* before or in a header */
	STATE_BODY,    /* in deflate data */
	STATE_TRAILER, /* in CRC32 and ISIZE */
	STATE_BETWEEN, /* after a member, and perhaps zeros */
	STATE_GARBAGE, /* at what is not gzip any more */
	STATE_FAILED   /* an error was reported */
};

struct bm_gzip_decoder {
	z_stream z; /* reset at the start of each member's deflate data */
	struct gzip_header_parser header;
	enum state state;
	uint64_t offset;       /* input bytes taken since bm_gzip_stream_reset */
	uint64_t member_start; /* offset of the member at hand */
	uint64_t member_made;  /* bytes inflated from it */
	uint64_t member_count; /* members that ended well */
	uint32_t crc;          /* of what was inflated from the member at hand */
	uint8_t trailer[BM_GZIP_TRAILER_BYTES];
	unsigned trailer_have;
};

enum bm_status bm_gzip_decoder_create(struct bm_gzip_decoder **out, struct bm_error *err)
{
	static const uint8_t byte[1] = {0};
	struct bm_gzip_decoder *d = NULL;
	int code;

	*out = NULL;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return bm_error_set_nomem(err);
	code = inflateInit2(&d->z, -MAX_WBITS);
	if (code != Z_OK) {
		free(d);
		goto failed;
	}
	code = inflateSetDictionary(&d->z, byte, sizeof(byte)); /* makes the window: see above */
	if (code == Z_OK)
		code = inflateReset(&d->z);
	if (code != Z_OK) {
		bm_gzip_decoder_destroy(d);
		goto failed;
	}
	bm_gzip_stream_reset(d);
	*out = d;
	return BM_OK;
failed:
	if (code == Z_MEM_ERROR)
		return bm_error_set_nomem(err);
	return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "zlib %s could not start: %s (built against %s)",
	                    zlibVersion(), zError(code), ZLIB_VERSION);
}

void bm_gzip_decoder_destroy(struct bm_gzip_decoder *d)
{
	if (d == NULL)
		return;
	(void)inflateEnd(&d->z);
	free(d);
}

size_t bm_gzip_decoder_bytes(void)
{
	/* As zconf.h states it for inflate: the window and "about 7 kilobytes", here with room for later versions. */
	return sizeof(struct bm_gzip_decoder) + ((size_t)1 << MAX_WBITS) + 12288;
}

/* ---- whole members ---- */

static const char *where_offset(char buf[static WHERE_BYTES], uint64_t offset)
{
	(void)snprintf(buf, WHERE_BYTES, "offset %llu", (unsigned long long)offset);
	return buf;
}

/* Is there a byte more to come from inflate, which filled its output and has no input left? */
static bool more_output(z_stream *z)
{
	uint8_t byte[1];

	z->next_out = byte;
	z->avail_out = 1;
	(void)inflate(z, Z_SYNC_FLUSH);
	return z->avail_out == 0;
}

enum bm_status bm_gzip_decode_member(struct bm_gzip_decoder *d, const void *in, size_t in_len, void *out,
                                     size_t out_cap, size_t *out_len, struct bm_error *err)
{
	char where[WHERE_BYTES];
	struct gzip_header_parser header;
	const uint8_t *const from = in;
	uint8_t none[1];
	uint8_t *const to = out != NULL ? out : none; /* inflate takes no NULL, also when no byte is to be written */
	size_t head_bytes;
	size_t body_bytes;
	size_t done_in;
	size_t done_out;
	const uint8_t *trailer;
	uint32_t crc;
	int code;

	*out_len = 0;
	d->state = STATE_FAILED; /* a stream that was being read is lost */
	gzip_header_start(&header);
	switch (gzip_header_feed(&header, from, in_len, &head_bytes)) {
	case GZIP_HEADER_DONE:
		break;
	case GZIP_HEADER_MORE:
		return bm_error_set(err, BM_ERR_TRUNCATED, where_offset(where, in_len),
		                    "the gzip member ends in its header");
	case GZIP_HEADER_NO_MAGIC:
		return bm_error_set(err, BM_ERR_FORMAT, where_offset(where, 0), "no gzip member begins here");
	default:
		return bm_error_set(err, BM_ERR_FORMAT, where_offset(where, head_bytes - 1),
		                    "not a valid gzip header: %s", header.reason);
	}
	if (in_len - head_bytes < GZIP_DEFLATE_MIN + BM_GZIP_TRAILER_BYTES)
		return bm_error_set(err, BM_ERR_TRUNCATED, where_offset(where, in_len),
		                    "the gzip member ends too early");
	body_bytes = in_len - head_bytes - BM_GZIP_TRAILER_BYTES; /* inflate never sees the trailer */

	code = inflateReset(&d->z);
	if (code != Z_OK)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "zlib could not begin a member: %s", zError(code));
	done_in = 0;
	done_out = 0;
	do {
		const size_t give = body_bytes - done_in < INFLATE_MAX ? body_bytes - done_in : INFLATE_MAX;
		const size_t take = out_cap - done_out < INFLATE_MAX ? out_cap - done_out : INFLATE_MAX;
		/* Z_FINISH spares the copy to the window, but is only true of the last part. */
		const int flush = give == body_bytes - done_in && take == out_cap - done_out ? Z_FINISH : Z_SYNC_FLUSH;

		d->z.next_in = from + head_bytes + done_in;
		d->z.avail_in = (uInt)give;
		d->z.next_out = to + done_out;
		d->z.avail_out = (uInt)take;
		code = inflate(&d->z, flush);
		done_in += give - d->z.avail_in;
		done_out += take - d->z.avail_out;
		if (give == d->z.avail_in && take == d->z.avail_out) /* no progress: an end is reached on one side */
			break;
	} while (code == Z_OK);

	where_offset(where, head_bytes + done_in);
	if (code == Z_MEM_ERROR)
		return bm_error_set_nomem(err);
	if (code == Z_OK || code == Z_BUF_ERROR) {
		if (done_out == out_cap && (done_in < body_bytes || more_output(&d->z)))
			return bm_error_set(err, BM_ERR_LIMIT, where,
			                    "the gzip member holds more than the %zu bytes that there is room for",
			                    out_cap);
		return bm_error_set(err, BM_ERR_TRUNCATED, where, "the gzip member's deflate data ends too early");
	}
	if (code != Z_STREAM_END)
		return bm_error_set(err, BM_ERR_FORMAT, where, "corrupt deflate data: %s",
		                    d->z.msg != NULL ? d->z.msg : zError(code));
	if (done_in != body_bytes)
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member is %zu bytes shorter than its size field says",
		                    body_bytes - done_in);

	trailer = from + head_bytes + body_bytes;
	crc = bm_crc32(0, to, done_out);
	where_offset(where, head_bytes + body_bytes);
	if (crc != gzip_get_u32(trailer))
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member's CRC-32 is %08x and its data has %08x: the data is corrupt",
		                    (unsigned)gzip_get_u32(trailer), (unsigned)crc);
	if ((uint32_t)done_out != gzip_get_u32(trailer + 4))
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member says that it holds %u bytes (modulo 2^32) and holds %zu",
		                    (unsigned)gzip_get_u32(trailer + 4), done_out);
	*out_len = done_out;
	return BM_OK;
}

/* ---- streams ---- */

void bm_gzip_stream_reset(struct bm_gzip_decoder *d)
{
	gzip_header_start(&d->header);
	d->state = STATE_HEADER;
	d->offset = 0;
	d->member_start = 0;
	d->member_count = 0;
}

/* The input that a call has left, and the output it has room for. */
struct cursor {
	const uint8_t *in;
	size_t in_left;
	uint8_t *out;
	size_t out_left;
};

static void advance(struct bm_gzip_decoder *d, struct cursor *c, size_t count)
{
	c->in += count;
	c->in_left -= count;
	d->offset += count;
}

/* Reports an error at input offset `at`, and names the member where there is more than the one that starts the file. */
static enum bm_status stream_failed(struct bm_gzip_decoder *d, enum bm_status status, uint64_t at, const char *text,
                                    const char *detail, struct bm_error *err)
{
	char where[WHERE_BYTES];

	d->state = STATE_FAILED;
	where_offset(where, at);
	if (d->member_start == 0 && d->member_count == 0)
		return bm_error_set(err, status, where, "%s%s", text, detail);
	return bm_error_set(err, status, where, "%s%s (in gzip member %llu, which begins at offset %llu)", text, detail,
	                    (unsigned long long)d->member_count + 1, (unsigned long long)d->member_start);
}

static enum bm_status read_header(struct bm_gzip_decoder *d, struct cursor *c, struct bm_error *err)
{
	const bool first = d->member_count == 0;
	size_t used;
	int code;

	switch (gzip_header_feed(&d->header, c->in, c->in_left, &used)) {
	case GZIP_HEADER_MORE:
		advance(d, c, used);
		break;
	case GZIP_HEADER_DONE:
		advance(d, c, used);
		code = inflateReset(&d->z);
		if (code != Z_OK)
			return stream_failed(d, BM_ERR_FAILED, d->offset,
			                     "zlib could not begin a member: ", zError(code), err);
		d->crc = 0;
		d->member_made = 0;
		d->trailer_have = 0;
		d->state = STATE_BODY;
		break;
	case GZIP_HEADER_NO_MAGIC:
		if (first)
			return stream_failed(d, BM_ERR_FORMAT, 0, "not a gzip file: it does not begin with 1f 8b", "",
			                     err);
		d->state = STATE_GARBAGE;
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
static enum bm_status read_body(struct bm_gzip_decoder *d, struct cursor *c, struct bm_error *err)
{
	int code;

	do {
		const size_t give = c->in_left < INFLATE_MAX ? c->in_left : INFLATE_MAX;
		const size_t take = c->out_left < INFLATE_MAX ? c->out_left : INFLATE_MAX;
		size_t made;

		d->z.next_in = c->in;
		d->z.avail_in = (uInt)give;
		d->z.next_out = c->out;
		d->z.avail_out = (uInt)take;
		code = inflate(&d->z, Z_SYNC_FLUSH);
		made = take - d->z.avail_out;
		advance(d, c, give - d->z.avail_in);
		d->crc = bm_crc32(d->crc, c->out, made);
		d->member_made += made;
		c->out += made;
		c->out_left -= made;
	} while (code == Z_OK && c->in_left > 0 && c->out_left > 0);

	switch (code) {
	case Z_STREAM_END:
		d->state = STATE_TRAILER;
		return BM_OK;
	case Z_OK:
	case Z_BUF_ERROR: /* no input, or no room: the caller's move */
		return BM_OK;
	case Z_MEM_ERROR:
		d->state = STATE_FAILED;
		return bm_error_set_nomem(err);
	default:
		return stream_failed(d, BM_ERR_FORMAT, d->offset,
		                     "corrupt deflate data: ", d->z.msg != NULL ? d->z.msg : zError(code), err);
	}
}

/* Sets *ended when the trailer is whole and right. */
static enum bm_status read_trailer(struct bm_gzip_decoder *d, struct cursor *c, bool *ended, struct bm_error *err)
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
	d->state = STATE_BETWEEN;
	*ended = true;
	return BM_OK;
}

static void read_between(struct bm_gzip_decoder *d, struct cursor *c)
{
	size_t zeros = 0;

	while (zeros < c->in_left && c->in[zeros] == 0)
		zeros++;
	advance(d, c, zeros);
	if (c->in_left > 0) {
		gzip_header_start(&d->header);
		d->member_start = d->offset;
		d->state = STATE_HEADER;
	}
}

/* All input is used and no more will come. BM_OK when it may end here. */
static enum bm_status end_of_input(struct bm_gzip_decoder *d, const struct cursor *c, struct bm_error *err)
{
	switch (d->state) {
	case STATE_HEADER:
		if (d->offset == 0)
			return stream_failed(d, BM_ERR_TRUNCATED, 0, "empty, not a gzip file", "", err);
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, "unexpected end of file in a gzip header", "",
		                     err);
	case STATE_BODY:
		if (c->out_left == 0) /* inflate may still hold output, and the end of the deflate data behind it */
			return BM_OK;
		return stream_failed(d, BM_ERR_TRUNCATED, d->offset, "unexpected end of file in the compressed data",
		                     "", err);
	case STATE_TRAILER:
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
	struct cursor c = {in != NULL ? in : none, in_size, out != NULL ? out : none, out_size};
	enum bm_status status = BM_OK;
	bool stop = false;

	memset(res, 0, sizeof(*res));
	while (!stop && status == BM_OK) {
		switch (d->state) {
		case STATE_HEADER:
			status = read_header(d, &c, err);
			stop = d->state == STATE_HEADER;
			break;
		case STATE_BODY:
			status = read_body(d, &c, err);
			stop = d->state == STATE_BODY;
			break;
		case STATE_TRAILER:
			status = read_trailer(d, &c, &res->member_end, err);
			stop = true; /* also at the member's end: the caller wants to know of it */
			break;
		case STATE_BETWEEN:
			read_between(d, &c);
			stop = d->state == STATE_BETWEEN;
			break;
		case STATE_GARBAGE:
			res->garbage = true;
			stop = true;
			break;
		case STATE_FAILED:
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
	res->complete = status == BM_OK &&
	                (d->state == STATE_GARBAGE || (d->state == STATE_BETWEEN && in_end && c.in_left == 0));
	return status;
}
