/*
 * gzip_header.c - see gzip_header.h, and bm_gzip_peek_header in bm_gzip.h.
 *
 * A member's header (RFC 1952, section 2.3) is ten fixed bytes, then, each only where its flag is set: the extra field,
 * the file name, the comment, and a CRC-16 of all of that (the low half of the CRC-32). There is one parser for the
 * peek, the whole member and the stream, so that the three can never disagree about what a header is. It takes a byte
 * at a time: headers are short, the input may be cut anywhere, and a state for each part is easy to check against the
 * RFC.
 *
 * What is kept of a header is its length and the size fields. The name, the comment and the time are skipped: they are
 * the sender's wishes, and nothing in Bytemill acts on them.
 *
 * The extra field is a row of subfields (section 2.3.1.1): SI1, SI2, a 16-bit LEN, LEN bytes. Those read here:
 *   "IG" LEN 4   the member's whole size (python's mgzip and pgzip)
 *   "BC" LEN 2   the member's whole size less one (BGZF; SAM specification, section 4.1)
 * The first of a kind counts. Other lengths, other names and a field that ends inside a subfield are passed over, as
 * every gzip does. A size that is too small to be one counts as none: the file can still be read as a stream. One that
 * is too large or merely wrong comes to light when the member is decoded.
 */
#include "gzip_header.h"

#include <string.h>

#include "bm_digest.h"

/* The parts of a header, in their order. */
enum part { PART_FIXED, PART_XLEN, PART_EXTRA, PART_NAME, PART_COMMENT, PART_HCRC, PART_END };

void gzip_header_start(struct gzip_header_parser *p)
{
	memset(p, 0, sizeof(*p));
}

/* Moves to the first part after p->part that this header has. */
static void next_part(struct gzip_header_parser *p)
{
	static const uint8_t flag_of[PART_END] = {
		[PART_XLEN] = GZIP_FEXTRA,      [PART_EXTRA] = GZIP_FEXTRA, [PART_NAME] = GZIP_FNAME,
		[PART_COMMENT] = GZIP_FCOMMENT, [PART_HCRC] = GZIP_FHCRC,
	};

	do {
		p->part++;
	} while (p->part != PART_END &&
	         ((p->flags & flag_of[p->part]) == 0 || (p->part == PART_EXTRA && p->extra_left == 0)));
	p->part_at = 0;
}

static void take_extra(struct gzip_header_parser *p, uint8_t c)
{
	switch (p->sub_at) {
	case 0:
	case 1:
		p->sub_id[p->sub_at] = c;
		break;
	case 2:
		p->sub_length = c;
		p->sub_value = 0;
		break;
	case 3:
		p->sub_length |= (uint32_t)c << 8;
		break;
	default:
		if (p->sub_at < 8)
			p->sub_value |= (uint32_t)c << (8 * (p->sub_at - 4));
		break;
	}
	p->sub_at++;
	if (p->sub_at < 4 || p->sub_at < 4 + p->sub_length)
		return;
	p->sub_at = 0;
	if (p->sub_id[0] == 'I' && p->sub_id[1] == 'G' && p->sub_length == 4 && !p->have_ig) {
		p->have_ig = true;
		p->ig = p->sub_value;
	} else if (p->sub_id[0] == 'B' && p->sub_id[1] == 'C' && p->sub_length == 2 && !p->have_bc) {
		p->have_bc = true;
		p->bc = p->sub_value;
	}
}

/* Takes a byte of the fixed part; false: BAD, with the reason set. The magic has been looked at before. */
static bool take_fixed(struct gzip_header_parser *p, uint8_t c)
{
	switch (p->part_at++) {
	case 2:
		if (c != GZIP_CM_DEFLATE) {
			p->reason = "unknown compression method";
			return false;
		}
		break;
	case 3:
		if ((c & GZIP_RESERVED) != 0) {
			p->reason = "reserved header flags are set";
			return false;
		}
		p->flags = c;
		break;
	case 9: /* after MTIME, XFL and OS, of which nothing is wanted */
		next_part(p);
		break;
	default:
		break;
	}
	return true;
}

/* Takes a byte of a part after the fixed one; false: BAD, with the reason set. */
static bool take_optional(struct gzip_header_parser *p, uint8_t c)
{
	switch ((enum part)p->part) {
	case PART_XLEN:
		p->extra_left |= (uint32_t)c << (8 * p->part_at);
		if (++p->part_at == 2)
			next_part(p);
		break;
	case PART_EXTRA:
		take_extra(p, c);
		if (--p->extra_left == 0)
			next_part(p);
		break;
	case PART_NAME:
	case PART_COMMENT:
		if (c == 0)
			next_part(p);
		break;
	case PART_HCRC:
		p->stored_crc |= (uint32_t)c << (8 * p->part_at);
		if (++p->part_at < 2)
			break;
		if (p->stored_crc != (p->crc & 0xffff)) {
			p->reason = "the header's CRC does not match";
			return false;
		}
		next_part(p);
		break;
	default:
		break;
	}
	return true;
}

static void fill_in(struct gzip_header_parser *p)
{
	const size_t least = p->seen + GZIP_DEFLATE_MIN + BM_GZIP_TRAILER_BYTES;

	p->header.header_bytes = p->seen;
	if (p->have_bc && (size_t)p->bc + 1 >= least) {
		p->header.bgzf = true;
		p->header.member_bytes = (size_t)p->bc + 1;
	}
	if (p->have_ig && p->ig >= least)
		p->header.member_bytes = p->ig;
}

enum gzip_header_state gzip_header_feed(struct gzip_header_parser *p, const uint8_t *data, size_t len, size_t *used)
{
	enum gzip_header_state state = GZIP_HEADER_MORE;
	size_t summed = 0; /* data up to here is in p->crc */
	size_t i;

	*used = 0;
	if (len == 0) /* data may be NULL */
		return GZIP_HEADER_MORE;
	for (i = 0; i < len && state == GZIP_HEADER_MORE; i++) {
		if (p->seen < 2 && data[i] != (p->seen == 0 ? GZIP_ID1 : GZIP_ID2))
			return GZIP_HEADER_NO_MAGIC;
		if (p->seen == GZIP_HEADER_MAX) {
			p->reason = "the header is longer than 1 MiB";
			state = GZIP_HEADER_BAD;
			break;
		}
		if (p->part == PART_HCRC && p->part_at == 0) { /* the sum is of everything before itself */
			p->crc = bm_crc32(p->crc, data + summed, i - summed);
			summed = i;
		}
		p->seen++;
		if (!(p->part == PART_FIXED ? take_fixed(p, data[i]) : take_optional(p, data[i])))
			state = GZIP_HEADER_BAD;
		else if (p->part == PART_END)
			state = GZIP_HEADER_DONE;
	}
	*used = i;
	if (state == GZIP_HEADER_DONE)
		fill_in(p);
	else if (state == GZIP_HEADER_MORE && !(p->part == PART_HCRC && p->part_at > 0))
		p->crc = bm_crc32(p->crc, data + summed, i - summed);
	return state;
}

enum bm_gzip_peek bm_gzip_peek_header(const void *data, size_t len, struct bm_gzip_header *out)
{
	struct gzip_header_parser p;
	size_t used;

	memset(out, 0, sizeof(*out));
	gzip_header_start(&p);
	switch (gzip_header_feed(&p, data, len, &used)) {
	case GZIP_HEADER_MORE:
		return BM_GZIP_PEEK_SHORT;
	case GZIP_HEADER_DONE:
		*out = p.header;
		return BM_GZIP_PEEK_OK;
	default:
		return BM_GZIP_PEEK_NOT;
	}
}
