/*
 * zstd_seek.c - the seek table of zstd's seekable format, written and read.
 *
 * The table is one skippable frame (RFC 8878, section 3.1.2) at the end of the file, which every zstd decoder passes
 * over; all numbers are little endian:
 *
 *     5E 2A 4D 18 | size of the rest | entries | number of frames | descriptor (1 byte) | B1 EA 92 8F
 *
 * An entry is the frame's length, its content's length, and, where bit 7 of the descriptor is set, the low half of XXH64
 * of the content. A reader takes the last 9 bytes, which tell where the table begins, then the table, and knows where
 * each frame lies. Bits 6 to 2 of the descriptor are reserved and must be 0; the last two are to be ignored.
 *
 * Reading does not trust it: the header, the footer and the length of the entries must agree, and the frames must fill
 * the file up to the table. A table that passes can still lie about where one frame ends and the next begins; then
 * decoding fails there, since a frame's end is where its last block ends. That holds as long as whoever uses an entry
 * decodes exactly frame_bytes and gets exactly content_bytes.
 *
 * The writer keeps the entries as they will stand in the file.
 */
#include "zstd_format.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_mem.h"

#define ENTRY_BYTES 12
#define ENTRY_BYTES_PLAIN 8 /* without checksum */
#define ENVELOPE_BYTES (ZFMT_SKIP_HEADER_BYTES + BM_ZSTD_SEEK_FOOTER_BYTES)

struct bm_zstd_seek_writer {
	struct bm_buf entries;
	uint32_t count;
};

enum bm_status bm_zstd_seek_writer_create(struct bm_zstd_seek_writer **out, struct bm_error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? BM_OK : bm_error_set_nomem(err);
}

void bm_zstd_seek_writer_destroy(struct bm_zstd_seek_writer *w)
{
	if (w != NULL)
		bm_buf_fini(&w->entries);
	free(w);
}

enum bm_status bm_zstd_seek_add(struct bm_zstd_seek_writer *w, uint64_t frame_bytes, uint64_t content_bytes,
                                uint32_t checksum, struct bm_error *err)
{
	uint8_t entry[ENTRY_BYTES];

	if (w->count == BM_ZSTD_SEEK_FRAMES_MAX)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "a zstd seek table holds at most %u frames",
		                    BM_ZSTD_SEEK_FRAMES_MAX);
	if (frame_bytes > UINT32_MAX || content_bytes > UINT32_MAX)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "a zstd seek table holds only frames below 4 GiB");
	zfmt_put_u32(entry, (uint32_t)frame_bytes);
	zfmt_put_u32(entry + 4, (uint32_t)content_bytes);
	zfmt_put_u32(entry + 8, checksum);
	bm_buf_put(&w->entries, entry, sizeof(entry));
	if (w->entries.oom)
		return bm_error_set_nomem(err);
	w->count++;
	return BM_OK;
}

size_t bm_zstd_seek_bytes(const struct bm_zstd_seek_writer *w)
{
	return ENVELOPE_BYTES + w->entries.len;
}

void bm_zstd_seek_put(const struct bm_zstd_seek_writer *w, uint8_t *out)
{
	zfmt_put_u32(out, ZFMT_SEEK_TABLE_MAGIC);
	zfmt_put_u32(out + 4, (uint32_t)(w->entries.len + BM_ZSTD_SEEK_FOOTER_BYTES));
	out += ZFMT_SKIP_HEADER_BYTES;
	if (w->entries.len > 0)
		memcpy(out, w->entries.data, w->entries.len);
	out += w->entries.len;
	zfmt_put_u32(out, w->count);
	out[4] = ZFMT_SEEK_CHECKSUM_FLAG;
	zfmt_put_u32(out + 5, ZFMT_SEEK_FOOTER_MAGIC);
}

/* ---- reading ---- */

struct bm_zstd_seek_index {
	uint32_t count;
	bool has_checksums;
	uint64_t *offset;  /* count + 1: the last is the table's own */
	uint64_t *content; /* count + 1: the last is the whole content's length */
	uint32_t *checksum;
};

uint64_t bm_zstd_seek_footer(const uint8_t tail[static BM_ZSTD_SEEK_FOOTER_BYTES], uint64_t file_bytes)
{
	const uint32_t count = zfmt_get_u32(tail);
	const uint64_t each = (tail[4] & ZFMT_SEEK_CHECKSUM_FLAG) != 0 ? ENTRY_BYTES : ENTRY_BYTES_PLAIN;
	const uint64_t total = ENVELOPE_BYTES + each * count;

	if (zfmt_get_u32(tail + 5) != ZFMT_SEEK_FOOTER_MAGIC || (tail[4] & ZFMT_SEEK_RESERVED_BITS) != 0 ||
	    count > BM_ZSTD_SEEK_FRAMES_MAX || total > file_bytes)
		return 0;
	return total;
}

static enum bm_status bad_table(uint64_t offset, const char *why, struct bm_error *err)
{
	char where[ZFMT_WHERE_BYTES];

	return bm_error_set(err, BM_ERR_FORMAT, zfmt_where(where, offset), "the zstd seek table is damaged: %s", why);
}

enum bm_status bm_zstd_seek_parse(const void *table, size_t len, uint64_t file_bytes, struct bm_zstd_seek_index **out,
                                  struct bm_error *err)
{
	const uint8_t *p = table;
	const uint64_t start = file_bytes - len;
	struct bm_zstd_seek_index *x = NULL;
	enum bm_status status;
	uint64_t total;
	size_t each;

	*out = NULL;
	if (len > file_bytes)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "zstd: a seek table longer than its file");
	total = len >= ENVELOPE_BYTES ? bm_zstd_seek_footer(p + len - BM_ZSTD_SEEK_FOOTER_BYTES, file_bytes) : 0;
	if (total != len)
		return bad_table(file_bytes - (len < BM_ZSTD_SEEK_FOOTER_BYTES ? len : BM_ZSTD_SEEK_FOOTER_BYTES),
		                 "its footer does not fit its length", err);
	if (zfmt_get_u32(p) != ZFMT_SEEK_TABLE_MAGIC || zfmt_get_u32(p + 4) != len - ZFMT_SKIP_HEADER_BYTES)
		return bad_table(start, "its header does not fit its footer", err);

	x = calloc(1, sizeof(*x));
	if (x == NULL)
		return bm_error_set_nomem(err);
	x->count = zfmt_get_u32(p + len - BM_ZSTD_SEEK_FOOTER_BYTES);
	x->has_checksums = (p[len - 5] & ZFMT_SEEK_CHECKSUM_FLAG) != 0;
	x->offset = bm_calloc_array((size_t)x->count + 1, sizeof(*x->offset));
	x->content = bm_calloc_array((size_t)x->count + 1, sizeof(*x->content));
	x->checksum = bm_calloc_array(x->has_checksums ? x->count : 0, sizeof(*x->checksum));
	if (x->offset == NULL || x->content == NULL || x->checksum == NULL) {
		status = bm_error_set_nomem(err);
		goto failed;
	}
	each = x->has_checksums ? ENTRY_BYTES : ENTRY_BYTES_PLAIN;
	p += ZFMT_SKIP_HEADER_BYTES;
	for (uint32_t i = 0; i < x->count; i++, p += each) {
		/* Sums of at most 2^27 numbers of 32 bits. */
		x->offset[i + 1] = x->offset[i] + zfmt_get_u32(p);
		x->content[i + 1] = x->content[i] + zfmt_get_u32(p + 4);
		if (x->has_checksums)
			x->checksum[i] = zfmt_get_u32(p + 8);
		if (x->offset[i + 1] == x->offset[i] || x->offset[i + 1] > start) {
			status = bad_table(start + ZFMT_SKIP_HEADER_BYTES + each * i,
			                   x->offset[i + 1] > start ? "its frames are longer than the file"
			                                            : "a frame has no bytes",
			                   err);
			goto failed;
		}
	}
	if (x->offset[x->count] != start) {
		status = bad_table(start, "its frames are shorter than the file", err);
		goto failed;
	}
	*out = x;
	return BM_OK;
failed:
	bm_zstd_seek_index_destroy(x);
	return status;
}

void bm_zstd_seek_index_destroy(struct bm_zstd_seek_index *x)
{
	if (x == NULL)
		return;
	free(x->offset);
	free(x->content);
	free(x->checksum);
	free(x);
}

uint32_t bm_zstd_seek_count(const struct bm_zstd_seek_index *x)
{
	return x->count;
}

uint64_t bm_zstd_seek_content_bytes(const struct bm_zstd_seek_index *x)
{
	return x->content[x->count];
}

struct bm_zstd_seek_entry bm_zstd_seek_entry(const struct bm_zstd_seek_index *x, uint32_t n)
{
	return (struct bm_zstd_seek_entry){
		.offset = x->offset[n],
		.frame_bytes = x->offset[n + 1] - x->offset[n],
		.content_offset = x->content[n],
		.content_bytes = x->content[n + 1] - x->content[n],
		.has_checksum = x->has_checksums,
		.checksum = x->has_checksums ? x->checksum[n] : 0,
	};
}

uint32_t bm_zstd_seek_find(const struct bm_zstd_seek_index *x, uint64_t content_offset)
{
	uint32_t low = 0, high = x->count;

	/* The first frame whose content ends behind the offset: one without content is never it. */
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (x->content[middle + 1] > content_offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}
