/*
 * seekable_gzip.c - gzip members that tell their size as a row of units (bm_seekable.h): layout indexed and what
 * python's pgzip writes (field IG), and BGZF (field BC), with or without the index of bgzip(1).
 *
 * A member claims its own length in its header and that of its content in its last 4 bytes (ISIZE, modulo 2^32: members
 * that hold 4 GiB are not written by those who write the field, and count as lies). The trailer of one and the header of the
 * next stand side by side, so that passing over a member costs one read of some 30 bytes.
 *
 * What may stand behind a member is as in gzip_decode.c: another one; zeros, which are passed over; garbage, which ends
 * the row with a warning. A wrong length would look like garbage too; but at the row's end its last unit is always
 * checked, and there it comes out.
 *
 * A claim that cannot be is found without decoding: deflate does not expand more than 1032-fold (258 bytes from a
 * quarter of a byte), and a BGZF block holds at most 64 KiB.
 *
 * The index (.gzi): a count, then for every block but the first its offset in the file and in the content, 64 bits each,
 * little endian. It is searched where it lies, entry by entry; a read takes some 20 of them. It is another file, and may
 * be of an older version of this one. So when it is opened its length must fit its count, and its last block must be the
 * file's last but for empty ones; and of a block that is read both lengths must be what the index says. An index that
 * fails the first is not used, with a warning; at the second it is too late for that, and it is an error.
 */
#include "seekable_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bm_error.h"
#include "bm_gzip.h"
#include "gzip_header.h"
#include "seekable_ahead.h"

#define EXPANSION_MAX 1032
#define BLOCK_CONTENT_MAX 65536
#define HEADER_USUAL 26 /* bytes; with a trailer before it, what one short read of a view brings */
/* Two chunks of 1 MiB and a few blocks: by then bytemill's own blocks have shown how they repeat. */
#define LEARN_BYTES ((uint64_t)9 << 18)

struct seek_gzip {
	struct seek_row row; /* first */
	struct bm_gzip_decoder *decoder;
	struct seek_ahead *ahead; /* BGZF without an index, from a source for any thread; else NULL */
	/* The index; all 0 without one. */
	struct bm_seekable_source gzi;
	uint64_t entries;
	uint64_t end_content; /* the whole content's length */
};

/* ---- looking ---- */

/* Passes over zeros. */
static enum bm_status skip_zeros(struct seek_row *r, uint64_t *offset, struct bm_error *err)
{
	size_t want = 1; /* mostly there is none */
	enum bm_status status;
	const uint8_t *p;
	size_t len, zeros;

	do {
		status = seek_view_get(&r->view, *offset, want, &p, &len, err);
		for (zeros = 0; status == BM_OK && zeros < len && p[zeros] == 0;)
			zeros++;
		*offset += zeros;
		want = SEEK_VIEW_BYTES;
	} while (status == BM_OK && zeros > 0);
	return status;
}

/* *is_member: a member begins there. */
static enum bm_status look_header(struct seek_row *r, const struct row_unit *u, struct bm_gzip_header *h,
                                  bool *is_member, struct bm_error *err)
{
	enum bm_gzip_peek peek;
	enum bm_status status;
	const uint8_t *p;
	size_t len;

	*is_member = false;
	status = seek_view_get(&r->view, u->offset, HEADER_USUAL, &p, &len, err);
	if (status != BM_OK)
		return status;
	peek = bm_gzip_peek_header(p, len, h);
	if (peek == BM_GZIP_PEEK_SHORT && len == HEADER_USUAL) {
		status = seek_view_get(&r->view, u->offset, SEEK_VIEW_BYTES, &p, &len, err);
		if (status != BM_OK)
			return status;
		peek = bm_gzip_peek_header(p, len, h);
	}
	if (len == 0 || p[0] != GZIP_ID1 || (len > 1 && p[1] != GZIP_ID2))
		return BM_OK;
	*is_member = true;
	if (peek == BM_GZIP_PEEK_NOT)
		return row_error(r, u, BM_ERR_FORMAT, err, "not a valid gzip header");
	if (peek == BM_GZIP_PEEK_SHORT && len == SEEK_VIEW_BYTES)
		return row_error(r, u, BM_ERR_UNSUPPORTED, err, "its header is longer than 64 KiB");
	if (peek == BM_GZIP_PEEK_SHORT)
		return row_error(r, u, BM_ERR_TRUNCATED, err, "unexpected end of file in its header");
	if (h->member_bytes == 0)
		return row_error(r, u, BM_ERR_UNSUPPORTED, err,
		                 "it does not tell its length (as layouts indexed and bgzf do)");
	return BM_OK;
}

static enum bm_status check_claim(struct seek_row *r, const struct row_unit *u, bool is_bgzf, struct bm_error *err)
{
	if (u->content_bytes / EXPANSION_MAX > u->bytes || (is_bgzf && u->content_bytes > BLOCK_CONTENT_MAX))
		return row_error(r, u, BM_ERR_FORMAT, err,
		                 "it says that it holds %" PRIu64 " bytes, which its %" PRIu64 " bytes cannot",
		                 u->content_bytes, u->bytes);
	return BM_OK;
}

static enum bm_status gzip_look(struct seek_row *r, struct row_unit *u, struct bm_error *err)
{
	const uint64_t size = r->base.src.size;
	struct bm_gzip_header h;
	enum bm_status status;
	const uint8_t *p;
	bool is_member;
	size_t len;

	if (seek_ahead_get(((struct seek_gzip *)r)->ahead, r, u))
		return check_claim(r, u, true, err);
	if (u->number > 0) {
		status = skip_zeros(r, &u->offset, err);
		if (status != BM_OK || u->offset == size)
			return status;
	}
	status = look_header(r, u, &h, &is_member, err);
	if (status != BM_OK)
		return status;
	if (!is_member) {
		seek_warn(&r->base, "trailing garbage ignored, from byte %" PRIu64 " on", u->offset);
		return BM_OK;
	}
	u->bytes = h.member_bytes;
	if (u->bytes > size - u->offset)
		return BM_OK; /* for row_look to tell */
	status = seek_view_get(&r->view, u->offset + u->bytes - 4, 4, &p, &len, err);
	if (status != BM_OK)
		return status;
	u->content_bytes = gzip_get_u32(p);
	return check_claim(r, u, h.bgzf, err);
}

static enum bm_status bgzf_at_end(struct seek_row *r, const struct row_unit *last, struct bm_error *err)
{
	(void)err;
	if (last->content_bytes > 0)
		seek_warn(&r->base, "BGZF's end block is missing: the file may have been cut off");
	return BM_OK;
}

/* ---- decoding ---- */

static enum bm_status gzip_decode(struct seek_row *r, const struct row_unit *u, const uint8_t *packed, uint8_t *out,
                                  struct bm_error *err)
{
	struct seek_gzip *g = (struct seek_gzip *)r;
	size_t made;
	enum bm_status status =
		bm_gzip_decode_member(g->decoder, packed, (size_t)u->bytes, out, (size_t)u->content_bytes, &made, err);

	if (status == BM_OK && made != u->content_bytes)
		return bm_error_set(err, BM_ERR_CHANGED, NULL, "it changed while it was read");
	return status;
}

static void gzip_start(struct seek_row *r, const struct row_unit *u)
{
	(void)u;
	bm_gzip_stream_reset(((struct seek_gzip *)r)->decoder);
}

static enum bm_status gzip_decode_part(struct seek_row *r, const uint8_t *in, size_t in_len, bool in_end, uint8_t *out,
                                       size_t out_cap, size_t *used, size_t *made, bool *ended, struct bm_error *err)
{
	struct bm_gzip_stream_result res;
	enum bm_status status =
		bm_gzip_stream_decode(((struct seek_gzip *)r)->decoder, in, in_len, in_end, out, out_cap, &res, err);

	*used = res.in_used;
	*made = res.out_made;
	*ended = res.member_end;
	return status;
}

/* ---- the index ---- */

static uint64_t get_u64(const uint8_t *p)
{
	return gzip_get_u32(p) | (uint64_t)gzip_get_u32(p + 4) << 32;
}

/* Block n's place; n <= entries. */
static enum bm_status gzi_entry(struct seek_gzip *g, uint64_t n, struct row_unit *u, struct bm_error *err)
{
	uint8_t entry[BM_GZIP_GZI_ENTRY_BYTES] = {0};
	enum bm_status status = BM_OK;

	if (n > 0)
		status = g->gzi.pread(g->gzi.ctx, entry, sizeof(entry),
		                      BM_GZIP_GZI_COUNT_BYTES + (n - 1) * BM_GZIP_GZI_ENTRY_BYTES, err);
	*u = (struct row_unit){.number = n, .offset = get_u64(entry), .content = get_u64(entry + 8)};
	return status;
}

static enum bm_status gzi_wrong(struct bm_error *err, uint64_t n, const char *what)
{
	return bm_error_set(err, BM_ERR_FORMAT, NULL,
	                    "the index (.gzi) does not fit the file: its entry %" PRIu64
	                    " %s; remove it, or make it anew with bgzip -r",
	                    n, what);
}

static enum bm_status gzi_jump(struct seek_row *r, uint64_t content_offset, struct row_unit *u, struct bm_error *err)
{
	struct seek_gzip *g = (struct seek_gzip *)r;
	enum bm_status status = BM_OK;
	struct row_unit next;
	uint64_t low = 0, high = g->entries + 1; /* the last block that does not begin behind the offset */

	*u = (struct row_unit){.content = g->end_content};
	if (content_offset >= g->end_content)
		return BM_OK;
	while (high - low > 1 && status == BM_OK) {
		const uint64_t middle = low + (high - low) / 2;

		status = gzi_entry(g, middle, u, err);
		if (u->content <= content_offset)
			low = middle;
		else
			high = middle;
	}
	if (status == BM_OK)
		status = gzi_entry(g, low, u, err);
	if (status == BM_OK && u->offset >= r->base.src.size)
		return gzi_wrong(err, low, "lies behind the file's end");
	if (status == BM_OK)
		status = row_look(r, u, err);
	if (status != BM_OK)
		return status;
	next = row_after(u);
	if (low < g->entries) {
		status = gzi_entry(g, low + 1, &next, err);
		if (status != BM_OK)
			return status;
	}
	if (u->bytes == 0 || next.offset != u->offset + u->bytes || next.content != u->content + u->content_bytes ||
	    content_offset < u->content || content_offset >= next.content)
		return gzi_wrong(err, low < g->entries ? low + 1 : low, "is not where a block begins");
	return BM_OK;
}

static enum bm_status gzi_foreign(struct bm_error *err, const char *what)
{
	return bm_error_set(err, BM_ERR_FORMAT, NULL, "it is of another file: %s", what);
}

/* The block before the last entry's must end where that begins: the whole content's length hangs on it. */
static enum bm_status gzi_check_last(struct seek_gzip *g, const struct row_unit *last, struct bm_error *err)
{
	struct row_unit u, next;
	enum bm_status status = gzi_entry(g, last->number - 1, &u, err);

	if (status == BM_OK && u.offset >= last->offset)
		return gzi_foreign(err, "its last blocks are in the wrong order");
	if (status == BM_OK)
		status = row_look(&g->row, &u, err);
	if (status != BM_OK)
		return status;
	next = row_after(&u);
	if (u.bytes == 0 || next.offset != last->offset || next.content != last->content)
		return gzi_foreign(err, "its last block does not begin where the one before it ends");
	return BM_OK;
}

/* Is it plausible? */
static enum bm_status gzi_check(struct seek_gzip *g, struct bm_error *err)
{
	struct seek_row *r = &g->row;
	uint8_t count[BM_GZIP_GZI_COUNT_BYTES];
	struct row_unit u, last;
	enum bm_status status;

	if (g->gzi.size < sizeof(count))
		return bm_error_set(err, BM_ERR_TRUNCATED, NULL, "it is too short");
	status = g->gzi.pread(g->gzi.ctx, count, sizeof(count), 0, err);
	if (status != BM_OK)
		return status;
	g->entries = get_u64(count);
	if (g->entries == UINT64_MAX && g->gzi.size == sizeof(count)) /* so bgzip 1.16 writes that there are none */
		g->entries = 0;
	if ((g->gzi.size - sizeof(count)) % BM_GZIP_GZI_ENTRY_BYTES != 0 ||
	    g->entries != (g->gzi.size - sizeof(count)) / BM_GZIP_GZI_ENTRY_BYTES)
		return bm_error_set(err, BM_ERR_FORMAT, NULL, "its length does not fit its number of entries");
	status = gzi_entry(g, g->entries, &last, err);
	if (status == BM_OK && last.offset >= r->base.src.size)
		status = gzi_foreign(err, "its last block begins behind the end");
	if (status == BM_OK && last.number > 0)
		status = gzi_check_last(g, &last, err);
	if (status == BM_OK)
		status = row_look(r, &last, err);
	if (status == BM_OK && last.bytes == 0)
		status = gzi_foreign(err, "there is no block where its last one is");
	if (status == BM_OK) /* decoded, as it is the only one that no further entry speaks of */
		status = row_load(r, &last, err);
	for (u = last; status == BM_OK && u.bytes > 0; last = u.bytes > 0 ? u : last) {
		u = row_after(&u);
		status = row_look(r, &u, err);
		if (status == BM_OK && u.content_bytes > 0)
			status = gzi_foreign(err, "there are blocks behind its last one");
	}
	if (status != BM_OK)
		return status;
	g->end_content = u.content;
	return bgzf_at_end(r, &last, err);
}

/* ---- making ---- */

static void gzip_destroy(struct seek_row *r)
{
	bm_gzip_decoder_destroy(((struct seek_gzip *)r)->decoder);
	seek_ahead_destroy(((struct seek_gzip *)r)->ahead);
}

static const struct row_ops gzip_ops = {
	.unit = "gzip member",
	.look = gzip_look,
	.decode = gzip_decode,
	.start = gzip_start,
	.decode_part = gzip_decode_part,
	.destroy = gzip_destroy,
};
static const struct row_ops bgzf_ops = {
	.unit = "BGZF block",
	.learn_bytes = LEARN_BYTES,
	.look = gzip_look,
	.decode = gzip_decode,
	.start = gzip_start,
	.decode_part = gzip_decode_part,
	.at_end = bgzf_at_end,
	.destroy = gzip_destroy,
};
static const struct row_ops gzi_ops = {
	.unit = "BGZF block",
	.look = gzip_look,
	.jump = gzi_jump,
	.decode = gzip_decode,
	.start = gzip_start,
	.decode_part = gzip_decode_part,
	.destroy = gzip_destroy,
};

static void use_index(struct seek_gzip *g, const struct bm_seekable_source *gzi)
{
	struct bm_error why = BM_ERROR_INIT;

	g->gzi = *gzi;
	if (gzi_check(g, &why) == BM_OK) {
		g->row.ops = &gzi_ops;
		g->row.base.how = "BGZF, by its index (.gzi)";
		return;
	}
	g->row.unit.bytes = 0; /* a block may have been read, and lie where the index had it */
	g->row.base.warning[0] = '\0';
	seek_warn(&g->row.base, "the index (.gzi) is not used: %s", why.text);
}

enum bm_status seek_gzip_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                              struct bm_seekable **out, struct bm_error *err)
{
	struct seek_gzip *g = calloc(1, sizeof(*g));
	struct bm_gzip_header h = {0};
	const struct row_unit first = {0};
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t got;
	bool is_member;

	if (g == NULL)
		return bm_error_set_nomem(err);
	status = row_init(&g->row, &gzip_ops, src, opt, &inner);
	if (status == BM_OK)
		status = bm_gzip_decoder_create(&g->decoder, &inner);
	if (status == BM_OK)
		status = look_header(&g->row, &first, &h, &is_member, &inner);
	if (status == BM_OK)
		status = row_begin(&g->row, &inner);
	status = row_settle(&g->row, status, &inner, &got, err);
	if (status != BM_OK) {
		g->row.base.ops->destroy(&g->row.base);
		return status;
	}
	g->row.base.layout = h.bgzf ? BM_SEEKABLE_BGZF : BM_SEEKABLE_GZIP;
	g->row.base.how = h.bgzf ? "BGZF, from block to block" : "gzip, from member to member";
	if (h.bgzf)
		g->row.ops = &bgzf_ops;
	if (h.bgzf && opt->gzi != NULL)
		use_index(g, opt->gzi);
	if (g->row.ops == &bgzf_ops)
		g->ahead = seek_ahead_create(&g->row.base.src, opt);
	*out = &g->row.base;
	return BM_OK;
}
