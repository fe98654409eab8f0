/*
 * seekable_zstd.c - zstd frames as a row of units (bm_seekable.h): by the seek table of zstd's seekable format, else
 * from frame to frame.
 *
 * With a table (see zstd_seek.c) everything is told at the file's end. It is read where it lies, a piece at a time, so
 * that its length does not matter: once when it is opened, to see that the lengths in it are those of frames that fill
 * the file up to the table, and then as far as the row is walked. A table that does not pass is not used, with a
 * warning: frames tell the same. One that passes may still be wrong about a frame's content; a size that breaks the row's
 * pattern is held against the frame's header, which mostly tells it too.
 *
 * Without a table a frame's content size stands in its header, where the writer knew it, and its length is found by going
 * from block header to block header: three bytes in up to 128 KiB (zstd_frame.c). Skippable frames hold nothing and are
 * passed over. A frame that does not tell its content's size makes the file one for streaming.
 *
 * Checked are the frame's checksum and content size, by libzstd, and the checksum in the table.
 */
#include "seekable_private.h"

#include <inttypes.h>
#include <stdlib.h>

#include <xxhash.h>

#include "bm_error.h"
#include "bm_zstd.h"
#include "zstd_format.h"

#define ENTRY_BYTES 12
#define ENTRY_BYTES_PLAIN 8 /* without checksum */

struct seek_zstd {
	struct seek_row row; /* first */
	struct bm_zstd_decoder *decoder;
	/* The table. */
	uint64_t table;   /* where its entries begin */
	uint32_t entries; /* how many */
	uint32_t entry_bytes;
	struct seek_view table_view;
};

/* ---- with a table ---- */

static enum bm_status table_entry(struct seek_zstd *z, uint64_t n, const uint8_t **entry, struct bm_error *err)
{
	enum bm_status status;
	size_t len;

	status = seek_view_get(&z->table_view, z->table + n * z->entry_bytes, z->entry_bytes, entry, &len, err);
	if (status == BM_OK && len < z->entry_bytes)
		return bm_error_set(err, BM_ERR_TRUNCATED, NULL, "the zstd seek table ends too early");
	return status;
}

/* Finds and reads it; *found. What is wrong with it is a warning, not an error. */
static enum bm_status table_open(struct seek_zstd *z, bool *found, struct bm_error *err)
{
	const struct bm_seekable_source *src = &z->row.base.src;
	uint8_t tail[BM_ZSTD_SEEK_FOOTER_BYTES];
	uint8_t head[ZFMT_SKIP_HEADER_BYTES];
	enum bm_status status;
	uint64_t total, start, sum = 0;
	const char *wrong = NULL;

	*found = false;
	if (src->size < sizeof(head) + sizeof(tail))
		return BM_OK;
	status = src->pread(src->ctx, tail, sizeof(tail), src->size - sizeof(tail), err);
	if (status != BM_OK)
		return status;
	total = bm_zstd_seek_footer(tail, src->size);
	if (total == 0)
		return BM_OK;
	start = src->size - total;
	status = src->pread(src->ctx, head, sizeof(head), start, err);
	if (status != BM_OK)
		return status;
	z->table = start + sizeof(head);
	z->entries = zfmt_get_u32(tail);
	z->entry_bytes = (tail[4] & ZFMT_SEEK_CHECKSUM_FLAG) != 0 ? ENTRY_BYTES : ENTRY_BYTES_PLAIN;
	if (zfmt_get_u32(head) != ZFMT_SEEK_TABLE_MAGIC || zfmt_get_u32(head + 4) != total - sizeof(head))
		wrong = "its header does not fit its footer";
	z->table_view.ahead = SEEK_VIEW_BYTES;
	for (uint32_t i = 0; i < z->entries && wrong == NULL; i++) {
		const uint8_t *entry;

		status = table_entry(z, i, &entry, err);
		if (status != BM_OK)
			return status;
		sum += zfmt_get_u32(entry); /* of at most 2^27 numbers of 32 bits */
		if (zfmt_get_u32(entry) == 0)
			wrong = "a frame in it has no bytes";
		else if (sum > start)
			wrong = "the frames in it are longer than the file";
	}
	if (wrong == NULL && sum != start)
		wrong = "the frames in it are not all of the file's";
	if (wrong != NULL)
		seek_warn(&z->row.base, "the zstd seek table is not used: %s", wrong);
	*found = wrong == NULL;
	return BM_OK;
}

static enum bm_status table_look(struct seek_row *r, struct row_unit *u, struct bm_error *err)
{
	struct seek_zstd *z = (struct seek_zstd *)r;
	const uint8_t *entry;
	enum bm_status status;

	if (u->number >= z->entries)
		return BM_OK;
	status = table_entry(z, u->number, &entry, err);
	if (status != BM_OK)
		return status;
	u->bytes = zfmt_get_u32(entry);
	u->content_bytes = zfmt_get_u32(entry + 4);
	return BM_OK;
}

/* What the frame's own header says. */
static enum bm_status table_confirm(struct seek_row *r, const struct row_unit *u, bool *told, struct bm_error *err)
{
	struct bm_zstd_header h;
	enum bm_status status;
	const uint8_t *p;
	size_t len;

	*told = false;
	status = seek_view_get(&r->view, u->offset, BM_ZSTD_HEADER_MAX, &p, &len, err);
	if (status != BM_OK || bm_zstd_peek_header(p, len, &h) != BM_ZSTD_PEEK_OK)
		return status; /* decoding it will say what is wrong */
	*told = h.has_content_bytes || h.skippable;
	if (*told && h.content_bytes != u->content_bytes)
		return row_error(r, u, BM_ERR_FORMAT, err,
		                 "the seek table says that it holds %" PRIu64 " bytes, its header says %" PRIu64,
		                 u->content_bytes, h.content_bytes);
	return BM_OK;
}

static enum bm_status table_decode(struct seek_row *r, const struct row_unit *u, const uint8_t *packed, uint8_t *out,
                                   struct bm_error *err)
{
	struct seek_zstd *z = (struct seek_zstd *)r;
	const uint8_t *entry;
	size_t made;
	enum bm_status status =
		bm_zstd_decode_frame(z->decoder, packed, (size_t)u->bytes, out, (size_t)u->content_bytes, &made, err);

	if (status == BM_OK && made != u->content_bytes)
		return bm_error_set(err, BM_ERR_FORMAT, NULL,
		                    "the seek table says that it holds %" PRIu64 " bytes, and it holds %zu",
		                    u->content_bytes, made);
	if (status != BM_OK || z->entry_bytes == ENTRY_BYTES_PLAIN)
		return status;
	status = table_entry(z, u->number, &entry, err);
	if (status == BM_OK && zfmt_get_u32(entry + 8) != (uint32_t)XXH64(out, made, 0))
		return bm_error_set(err, BM_ERR_FORMAT, NULL, "its data does not have the checksum in the seek table");
	return status;
}

/* ---- without ---- */

/* The bytes at *at go to the scan, which may take fewer, but never none. */
static enum bm_status scan_on(struct seek_row *r, const struct row_unit *u, struct bm_zstd_scan *s,
                              enum bm_zstd_scan_result *result, struct bm_error *err)
{
	const uint64_t left = r->base.src.size - u->offset - s->frame_bytes;
	enum bm_status status;
	const uint8_t *p;
	size_t len, used;

	/* All but the last byte of a block's (or skippable frame's) content need not be seen. */
	if ((s->state == ZFMT_SCAN_BODY || s->state == ZFMT_SCAN_SKIP) && s->left > 1) {
		const uint64_t skip = s->left - 1;

		if (skip >= left)
			return row_error(r, u, BM_ERR_TRUNCATED, err, "unexpected end of file in its data");
		seek_view_step(&r->view, skip);
		s->left -= skip;
		s->frame_bytes += skip;
	}
	status = seek_view_get(&r->view, u->offset + s->frame_bytes, BM_ZSTD_HEADER_MAX, &p, &len, err);
	if (status != BM_OK)
		return status;
	if (len == 0)
		return row_error(r, u, BM_ERR_TRUNCATED, err, "unexpected end of file");
	*result = zfmt_scan_step(s, p, len, &used);
	if (*result == BM_ZSTD_SCAN_BAD && s->header.header_bytes == 0 && u->number > 0)
		return row_error(r, u, BM_ERR_FORMAT, err, "what follows the zstd frames is not zstd: %s", s->reason);
	if (*result == BM_ZSTD_SCAN_BAD)
		return row_error(r, u, BM_ERR_FORMAT, err, "%s", s->reason);
	return BM_OK;
}

static enum bm_status frame_look(struct seek_row *r, struct row_unit *u, struct bm_error *err)
{
	enum bm_zstd_scan_result result;
	enum bm_status status;
	struct bm_zstd_scan s;

	for (;;) {
		if (u->offset == r->base.src.size)
			return BM_OK;
		result = BM_ZSTD_SCAN_MORE;
		bm_zstd_scan_start(&s);
		while (result == BM_ZSTD_SCAN_MORE) {
			status = scan_on(r, u, &s, &result, err);
			if (status != BM_OK)
				return status;
			if (s.header.header_bytes > 0 && !s.header.skippable && !s.header.has_content_bytes)
				return row_error(r, u, BM_ERR_UNSUPPORTED, err, "it does not tell its content's size");
		}
		if (!s.header.skippable)
			break;
		u->offset += s.frame_bytes;
		seek_view_step(&r->view, s.frame_bytes);
	}
	u->bytes = s.frame_bytes;
	u->content_bytes = s.header.content_bytes;
	if (u->content_bytes > s.content_max_bytes)
		return row_error(r, u, BM_ERR_FORMAT, err,
		                 "it says that it holds %" PRIu64 " bytes, and its blocks have no more than %" PRIu64,
		                 u->content_bytes, s.content_max_bytes);
	return BM_OK;
}

static enum bm_status frame_decode(struct seek_row *r, const struct row_unit *u, const uint8_t *packed, uint8_t *out,
                                   struct bm_error *err)
{
	size_t made;
	enum bm_status status = bm_zstd_decode_frame(((struct seek_zstd *)r)->decoder, packed, (size_t)u->bytes, out,
	                                             (size_t)u->content_bytes, &made, err);

	if (status == BM_OK && made != u->content_bytes)
		return bm_error_set(err, BM_ERR_CHANGED, NULL, "it changed while it was read");
	return status;
}

/* ---- both ---- */

static void zstd_start(struct seek_row *r, const struct row_unit *u)
{
	(void)u;
	bm_zstd_stream_reset(((struct seek_zstd *)r)->decoder);
}

static enum bm_status zstd_decode_part(struct seek_row *r, const uint8_t *in, size_t in_len, bool in_end, uint8_t *out,
                                       size_t out_cap, size_t *used, size_t *made, bool *ended, struct bm_error *err)
{
	struct bm_zstd_stream_result res;
	enum bm_status status =
		bm_zstd_stream_decode(((struct seek_zstd *)r)->decoder, in, in_len, in_end, out, out_cap, &res, err);

	*used = res.in_used;
	*made = res.out_made;
	*ended = res.frame_end;
	return status;
}

static void zstd_destroy(struct seek_row *r)
{
	struct seek_zstd *z = (struct seek_zstd *)r;

	bm_zstd_decoder_destroy(z->decoder);
	seek_view_fini(&z->table_view);
}

static const struct row_ops table_ops = {
	.unit = "zstd frame",
	.look = table_look,
	.confirm = table_confirm,
	.decode = table_decode,
	.start = zstd_start,
	.decode_part = zstd_decode_part,
	.destroy = zstd_destroy,
};
static const struct row_ops frame_ops = {
	.unit = "zstd frame",
	.look = frame_look,
	.decode = frame_decode,
	.start = zstd_start,
	.decode_part = zstd_decode_part,
	.destroy = zstd_destroy,
};

enum bm_status seek_zstd_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                              struct bm_seekable **out, struct bm_error *err)
{
	struct seek_zstd *z = calloc(1, sizeof(*z));
	bool has_table = false;
	struct bm_error inner = BM_ERROR_INIT;
	enum bm_status status;
	size_t got;

	if (z == NULL)
		return bm_error_set_nomem(err);
	status = row_init(&z->row, &frame_ops, src, opt, &inner);
	if (status == BM_OK)
		status = bm_zstd_decoder_create(opt->window_max_bytes > 0 ? opt->window_max_bytes
		                                                          : BM_ZSTD_WINDOW_DEFAULT,
		                                &z->decoder, &inner);
	if (status == BM_OK)
		status = seek_view_init(&z->table_view, &z->row.base.src, &inner);
	if (status == BM_OK)
		status = table_open(z, &has_table, err);
	if (status == BM_OK && has_table)
		z->row.ops = &table_ops;
	if (status == BM_OK)
		status = row_begin(&z->row, &inner);
	status = row_settle(&z->row, status, &inner, &got, err);
	if (status != BM_OK) {
		z->row.base.ops->destroy(&z->row.base);
		return status;
	}
	z->row.base.layout = BM_SEEKABLE_ZSTD;
	z->row.base.how = has_table ? "zstd, by its seek table" : "zstd, from frame to frame";
	*out = &z->row.base;
	return BM_OK;
}
