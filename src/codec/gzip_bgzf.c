/*
 * gzip_bgzf.c - layout bgzf of bm_gzip.h: what bgzip(1) writes (SAM specification, section 4.1), and its index.
 *
 * A BGZF file is a row of gzip members ("blocks"), each of at most 64 KiB before and after compression, whose extra
 * field "BC" holds the whole block's size less one in 16 bits, and an empty block at the end, always the same 28 bytes,
 * by which readers know that the file is whole.
 *
 * A chunk becomes several blocks. It is divided evenly instead of into full blocks and a small rest: 1 MiB is 17 blocks
 * of 61,680 or 61,681 bytes and not 16 of 65,280 and one of 4,096, which compresses the better for being even. A block
 * holds at most 65,280 bytes (0xff00, as bgzip's own), so that even stored data leaves room for header and trailer.
 * Where the blocks fall depends on the chunk size, and so on the job file alone.
 *
 * The index (.gzi): where each block begins, in the compressed and in the plain file. A chunk is compressed before it
 * is known what stands in front of it, so its blocks are given as lengths, and whoever sees the chunks in order adds
 * them up. The first block (0, 0) and the end block are left out, as bgzip does.
 */
#include "gzip_encode.h"

#include <string.h>

#include "bm_digest.h"
#include "bm_mem.h"
#include "gzip_header.h"

#define HEAD_BYTES (BM_GZIP_HEADER_BYTES + 8) /* XLEN and the BC subfield */
#define BLOCK_OVERHEAD (HEAD_BYTES + GZIP_STORED_HEAD + BM_GZIP_TRAILER_BYTES)
#define BLOCK_MAX 65536

_Static_assert(BM_GZIP_BGZF_PLAIN_MAX + BLOCK_OVERHEAD <= BLOCK_MAX, "a stored block must fit in one");
/* One stored block, and the deflate data of any other is shorter. */
_Static_assert(BM_GZIP_BGZF_PLAIN_MAX <= GZIP_STORED_MAX, "a block's data must fit in one stored block");

size_t bm_gzip_bgzf_block_count(size_t in_len)
{
	return in_len / BM_GZIP_BGZF_PLAIN_MAX + (in_len % BM_GZIP_BGZF_PLAIN_MAX != 0 ? 1 : 0);
}

size_t bm_gzip_bgzf_bound(size_t in_len)
{
	size_t overhead;
	size_t sum;

	if (!bm_mul_size(bm_gzip_bgzf_block_count(in_len), BLOCK_OVERHEAD, &overhead) ||
	    !bm_add_size(overhead, BM_GZIP_BGZF_EOF_BYTES + GZIP_STORED_HEAD, &overhead))
		return SIZE_MAX;
	return bm_add_size(in_len, overhead, &sum) ? sum : SIZE_MAX;
}

/* One block, of at most len and BLOCK_OVERHEAD bytes. Returns its length. The engine may use the trailer's place. */
static size_t put_block(struct bm_gzip_encoder *e, const uint8_t *in, size_t len, uint8_t *out)
{
	static const uint8_t extra[] = {6, 0, 'B', 'C', 2, 0};
	const size_t deflated = gzip_deflate_chunk(e, in, len, out + HEAD_BYTES, len + BLOCK_OVERHEAD - HEAD_BYTES);
	const size_t total = HEAD_BYTES + deflated + BM_GZIP_TRAILER_BYTES;

	bm_gzip_put_header(out, gzip_encoder_level(e));
	out[3] = GZIP_FEXTRA;
	memcpy(out + BM_GZIP_HEADER_BYTES, extra, sizeof(extra));
	out[HEAD_BYTES - 2] = (uint8_t)(total - 1);
	out[HEAD_BYTES - 1] = (uint8_t)((total - 1) >> 8);
	bm_gzip_put_trailer(out + HEAD_BYTES + deflated, bm_crc32(0, in, len), len);
	return total;
}

static void put_end_block(uint8_t *out)
{
	/* Byte for byte as the specification has it, for readers compare it. */
	static const uint8_t bytes[BM_GZIP_BGZF_EOF_BYTES] = {
		0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0, 0x1b, 0, 3, 0,
	};

	memcpy(out, bytes, sizeof(bytes));
}

enum bm_status bm_gzip_bgzf_blocks(struct bm_gzip_encoder *e, const void *in, size_t in_len, bool last, void *out,
                                   size_t out_cap, size_t *out_len, struct bm_gzip_bgzf_block *blocks,
                                   struct bm_error *err)
{
	const size_t count = bm_gzip_bgzf_block_count(in_len);
	const uint8_t *from = in;
	uint8_t *to = out;
	enum bm_status status;

	*out_len = 0;
	status = gzip_check_sizes(in_len, bm_gzip_bgzf_bound(in_len), out_cap, err);
	if (status != BM_OK)
		return status;
	for (size_t i = 0; i < count; i++) {
		const size_t len = in_len / count + (i < in_len % count ? 1 : 0);
		const size_t made = put_block(e, from, len, to);

		if (blocks != NULL)
			blocks[i] = (struct bm_gzip_bgzf_block){(uint32_t)made, (uint32_t)len};
		from += len;
		to += made;
	}
	if (last) {
		put_end_block(to);
		to += BM_GZIP_BGZF_EOF_BYTES;
	}
	*out_len = (size_t)(to - (uint8_t *)out);
	return BM_OK;
}

/* ---- the index ---- */

static void put_u64(uint8_t *p, uint64_t v)
{
	gzip_put_u32(p, (uint32_t)v);
	gzip_put_u32(p + 4, (uint32_t)(v >> 32));
}

void bm_gzip_gzi_put_count(uint8_t out[static BM_GZIP_GZI_COUNT_BYTES], uint64_t entries)
{
	put_u64(out, entries);
}

size_t bm_gzip_gzi_add(struct bm_gzip_gzi *g, const struct bm_gzip_bgzf_block *blocks, size_t count, uint8_t *out)
{
	uint8_t *to = out;

	for (size_t i = 0; i < count; i++) {
		if (g->packed > 0) {
			put_u64(to, g->packed);
			put_u64(to + 8, g->plain);
			to += BM_GZIP_GZI_ENTRY_BYTES;
			g->entries++;
		}
		g->packed += blocks[i].packed_bytes;
		g->plain += blocks[i].plain_bytes;
	}
	return (size_t)(to - out);
}
