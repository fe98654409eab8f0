/*
 * zstd_seek.c - the seek table of zstd's seekable format, written, and found.
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
 * Reading it (seekable_zstd.c) does not trust it: the header, the footer and the length of the entries must agree, and the frames must fill
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
