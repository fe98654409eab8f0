/*
 * gzip_member.c - whole gzip members in memory, as a size field cut them out of a file, and rows of them.
 *
 * The fast engines say that data is bad and not what is bad about it, or where. So there are two ways: the fast one
 * inflates, checks CRC-32 and ISIZE, and knows only yes and no; after a no the slow one does it all again with zlib and
 * finds the words for the error. An answer is the same whichever engine is fast, for only what the slow way says is
 * reported; and should zlib accept what another engine did not, its bytes are as good, since the CRC-32 is checked
 * either way. Damage is rare, and costs at most twice the time.
 *
 * The size fields ("IG", "BC") are not believed: a wrong one comes to light as deflate data that ends too early or too
 * late. In a row of members each is cut out by its own field, and judged by itself.
 */
#include "gzip_decoder.h"

#include <stdio.h>

#include "bm_digest.h"
#include "bm_error.h"

const char *gzip_where(char buf[static GZIP_WHERE_BYTES], uint64_t offset)
{
	(void)snprintf(buf, GZIP_WHERE_BYTES, "offset %llu", (unsigned long long)offset);
	return buf;
}

/* The parts of a member that has a whole header, and room for deflate data and trailer. */
struct member {
	const uint8_t *body;
	size_t body_bytes;
	const uint8_t *trailer;
};

/* Is there a byte more to come from zlib, which filled its output and has no input left? */
static bool more_output(void *inflater)
{
	static const uint8_t nothing[1] = {0};
	struct gzip_inflate_note note;
	uint8_t byte[1];
	struct gzip_cursor c = {nothing, 0, byte, sizeof(byte)};

	(void)gzip_engine_zlib.inflate(inflater, &c, &note);
	return c.out_left == 0;
}

/* The slow way; the body is at body_at in the member. */
static enum bm_status judge(struct bm_gzip_decoder *d, const struct member *m, size_t body_at, uint8_t *to,
                            size_t out_cap, size_t *out_len, struct bm_error *err)
{
	void *const inflater = d->inflater[BM_GZIP_ZLIB];
	struct gzip_cursor c = {m->body, m->body_bytes, to, out_cap};
	struct gzip_inflate_note note = {0};
	char where[GZIP_WHERE_BYTES];
	enum gzip_inflate_result result;
	size_t made;
	uint32_t crc;

	gzip_engine_zlib.inflate_reset(inflater);
	result = gzip_engine_zlib.inflate(inflater, &c, &note);
	made = out_cap - c.out_left;
	gzip_where(where, body_at + (m->body_bytes - c.in_left));
	switch (result) {
	case GZIP_INFLATE_NOMEM:
		return bm_error_set_nomem(err);
	case GZIP_INFLATE_BAD:
		return bm_error_set(err, BM_ERR_FORMAT, where, "corrupt deflate data: %s", note.reason);
	case GZIP_INFLATE_MORE:
		if (c.out_left == 0 && (c.in_left > 0 || more_output(inflater)))
			return bm_error_set(err, BM_ERR_LIMIT, where,
			                    "the gzip member holds more than the %zu bytes that there is room for",
			                    out_cap);
		return bm_error_set(err, BM_ERR_TRUNCATED, where, "the gzip member's deflate data ends too early");
	case GZIP_INFLATE_END:
		break;
	}
	if (c.in_left > 0)
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member is %zu bytes shorter than its size field says", c.in_left);
	gzip_where(where, body_at + m->body_bytes);
	crc = bm_crc32(0, to, made);
	if (crc != gzip_get_u32(m->trailer))
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member's CRC-32 is %08x and its data has %08x: the data is corrupt",
		                    (unsigned)gzip_get_u32(m->trailer), (unsigned)crc);
	if ((uint32_t)made != gzip_get_u32(m->trailer + 4))
		return bm_error_set(err, BM_ERR_FORMAT, where,
		                    "the gzip member says that it holds %u bytes (modulo 2^32) and holds %zu",
		                    (unsigned)gzip_get_u32(m->trailer + 4), made);
	*out_len = made;
	return BM_OK;
}

static enum bm_status decode_one(struct bm_gzip_decoder *d, const uint8_t *in, size_t in_len, uint8_t *to,
                                 size_t out_cap, size_t *out_len, struct bm_error *err)
{
	char where[GZIP_WHERE_BYTES];
	struct gzip_header_parser header;
	struct member m;
	size_t head_bytes;
	size_t made = 0;

	gzip_header_start(&header);
	switch (gzip_header_feed(&header, in, in_len, &head_bytes)) {
	case GZIP_HEADER_DONE:
		break;
	case GZIP_HEADER_MORE:
		return bm_error_set(err, BM_ERR_TRUNCATED, gzip_where(where, in_len),
		                    "the gzip member ends in its header");
	case GZIP_HEADER_NO_MAGIC:
		return bm_error_set(err, BM_ERR_FORMAT, gzip_where(where, 0), "no gzip member begins here");
	default:
		return bm_error_set(err, BM_ERR_FORMAT, gzip_where(where, head_bytes - 1),
		                    "not a valid gzip header: %s", header.reason);
	}
	if (in_len - head_bytes < GZIP_DEFLATE_MIN + BM_GZIP_TRAILER_BYTES)
		return bm_error_set(err, BM_ERR_TRUNCATED, gzip_where(where, in_len), "the gzip member ends too early");
	m.body = in + head_bytes;
	m.body_bytes = in_len - head_bytes - BM_GZIP_TRAILER_BYTES; /* no inflater ever sees the trailer */
	m.trailer = m.body + m.body_bytes;

	if (d->whole->inflate_whole(d->inflater[d->whole->id], m.body, m.body_bytes, to, out_cap, &made) &&
	    (uint32_t)made == gzip_get_u32(m.trailer + 4) && bm_crc32(0, to, made) == gzip_get_u32(m.trailer)) {
		*out_len = made;
		return BM_OK;
	}
	return judge(d, &m, head_bytes, to, out_cap, out_len, err);
}

enum bm_status bm_gzip_decode_member(struct bm_gzip_decoder *d, const void *in, size_t in_len, void *out,
                                     size_t out_cap, size_t *out_len, struct bm_error *err)
{
	uint8_t none[1]; /* inflaters take no NULL, also when no byte is to be written */

	*out_len = 0;
	d->state = GZIP_STREAM_FAILED; /* a stream that was being read is lost */
	return decode_one(d, in, in_len, out != NULL ? out : none, out != NULL ? out_cap : 0, out_len, err);
}

enum bm_status bm_gzip_decode_row(struct bm_gzip_decoder *d, const void *in, size_t in_len, void *out, size_t out_cap,
                                  size_t *in_good, size_t *out_len, struct bm_error *err)
{
	static const uint8_t nothing[1] = {0};
	const uint8_t *const from = in_len > 0 ? in : nothing;
	uint8_t none[1];
	uint8_t *const to = out != NULL ? out : none;
	const size_t cap = out != NULL ? out_cap : 0;
	size_t at = 0;
	size_t made = 0;

	*in_good = 0;
	*out_len = 0;
	d->state = GZIP_STREAM_FAILED;
	do {
		struct bm_gzip_header h = {0};
		size_t member_bytes = in_len - at;
		size_t member_made = 0;
		enum bm_status status;

		/* Without a size, or with one that leads out of the row, it is the last, and its decoding tells. */
		if (bm_gzip_peek_header(from + at, in_len - at, &h) == BM_GZIP_PEEK_OK && h.member_bytes > 0 &&
		    h.member_bytes < member_bytes)
			member_bytes = h.member_bytes;
		status = decode_one(d, from + at, member_bytes, to + made, cap - made, &member_made, err);
		if (status != BM_OK)
			return status;
		at += member_bytes;
		*in_good = at;
		made += member_made;
	} while (at < in_len);
	*out_len = made;
	return BM_OK;
}
