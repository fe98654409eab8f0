/*
 * zstd_frame.c - the outside of zstd frames: headers, and where a frame ends (RFC 8878, section 3.1).
 *
 * A zstd file is a row of frames, with skippable frames (3.1.2) among them. A frame is a header (3.1.1.1), blocks
 * (3.1.1.2), and perhaps a checksum; nothing in its header says how long it is. But each block begins with three bytes that
 * tell its length and whether it is the last, so a walk from block header to block header finds the frame's end without
 * decoding anything: some 10 GB/s, as it touches 3 bytes in up to 128 KiB. That is what lets frames be read in parallel
 * without a seek table, from a pipe too.
 *
 * libzstd can do this only for a whole frame in memory (ZSTD_findFrameCompressedSize), and its look at a header
 * (ZSTD_getFrameHeader) is not among its stable functions. Here the walk can stop after any byte: what is cut is kept
 * in head[], which holds the longest header there is, 18 bytes.
 *
 * The walk also adds up how much the blocks can hold decoded: raw and RLE blocks say it, a compressed block holds no
 * more than Block_Maximum_Size (3.1.1.2.4). So a frame that does not tell its content's size, but is short, can be known
 * to fit in a buffer.
 *
 * What is refused: the reserved bit of the header (3.1.1.1.1.4), block type 3 (3.1.1.2.2), blocks longer than
 * Block_Maximum_Size, and empty compressed ones (3.1.1.3). The rest is for the decoder to find.
 */
#include "zstd_format.h"

#include <string.h>

enum { BLOCK_RAW, BLOCK_RLE, BLOCK_COMPRESSED, BLOCK_RESERVED };

static uint64_t get_le(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static bool starts_like(const uint8_t *data, size_t len)
{
	static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
	static const uint8_t skip[3] = {0x2a, 0x4d, 0x18}; /* after 5x */

	if (len == 0)
		return true;
	if ((data[0] & 0xf0) == 0x50)
		return memcmp(data + 1, skip, (len < 4 ? len : 4) - 1) == 0;
	return memcmp(data, magic, len < 4 ? len : 4) == 0;
}

enum bm_zstd_peek bm_zstd_peek_header(const void *data, size_t len, struct bm_zstd_header *out)
{
	static const uint8_t dictionary_sizes[4] = {0, 1, 2, 4};
	static const uint8_t content_sizes[4] = {0, 2, 4, 8};
	const uint8_t *const p = data;
	size_t dictionary_size, content_size, at;
	bool single_segment;

	memset(out, 0, sizeof(*out));
	if (!starts_like(p, len))
		return BM_ZSTD_PEEK_NOT;
	if (len < 5)
		return BM_ZSTD_PEEK_SHORT;
	if (zfmt_get_u32(p) != ZFMT_FRAME_MAGIC) {
		if (len < ZFMT_SKIP_HEADER_BYTES)
			return BM_ZSTD_PEEK_SHORT;
		out->skippable = true;
		out->header_bytes = ZFMT_SKIP_HEADER_BYTES;
		out->skip_bytes = zfmt_get_u32(p + 4);
		return BM_ZSTD_PEEK_OK;
	}
	if ((p[4] & 0x08) != 0)
		return BM_ZSTD_PEEK_NOT;
	single_segment = (p[4] & 0x20) != 0;
	dictionary_size = dictionary_sizes[p[4] & 3];
	content_size = content_sizes[p[4] >> 6];
	if (content_size == 0 && single_segment)
		content_size = 1;
	at = (single_segment ? 5u : 6u) + dictionary_size;
	if (len < at + content_size)
		return BM_ZSTD_PEEK_SHORT;

	out->header_bytes = at + content_size;
	out->has_checksum = (p[4] & 0x04) != 0;
	out->dictionary_id = (uint32_t)get_le(p + at - dictionary_size, dictionary_size);
	out->has_content_bytes = content_size > 0;
	out->content_bytes = get_le(p + at, content_size) + (content_size == 2 ? 256 : 0);
	if (single_segment) {
		out->window_bytes = out->content_bytes;
	} else {
		const uint64_t base = UINT64_C(1) << (10 + (p[5] >> 3));

		out->window_bytes = base + base / 8 * (p[5] & 7);
	}
	return BM_ZSTD_PEEK_OK;
}

/* Why data (at least 4 bytes) is no frame: of an old format, or nothing known. Static. */
static const char *not_a_frame(const uint8_t *data)
{
	const uint32_t magic = zfmt_get_u32(data);

	if (magic == ZFMT_FRAME_MAGIC)
		return "its header uses a reserved bit";
	/* 0.1 has a magic of its own, 0.2 to 0.7 those before today's. */
	if (magic == 0x1EB52FFDu || (magic >= 0xFD2FB522u && magic <= 0xFD2FB527u))
		return "it was written by zstd 0.7 or older, whose formats are not read here; zstd -d may read it";
	return "a frame begins with 28 b5 2f fd";
}

/* ---- the walk over a frame ---- */

void bm_zstd_scan_start(struct bm_zstd_scan *s)
{
	memset(s, 0, sizeof(*s));
	s->state = ZFMT_SCAN_HEADER;
}

static enum bm_zstd_scan_result scan_failed(struct bm_zstd_scan *s, const char *reason)
{
	s->state = ZFMT_SCAN_FAILED;
	s->reason = reason;
	return BM_ZSTD_SCAN_BAD;
}

static void scan_begin(struct bm_zstd_scan *s, int state, uint64_t left)
{
	s->state = state;
	s->left = left;
	s->head_len = 0;
	s->block_start = s->frame_bytes;
}

static enum bm_zstd_scan_result scan_header(struct bm_zstd_scan *s, const uint8_t *data, size_t len, size_t *used)
{
	while (*used < len) {
		s->head[s->head_len++] = data[(*used)++];
		s->frame_bytes++;
		switch (bm_zstd_peek_header(s->head, s->head_len, &s->header)) {
		case BM_ZSTD_PEEK_SHORT:
			break;
		case BM_ZSTD_PEEK_NOT:
			if (s->head_len < 4) /* all four tell what it is instead */
				break;
			return scan_failed(s, not_a_frame(s->head));
		case BM_ZSTD_PEEK_OK:
			s->block_max = s->header.window_bytes < ZFMT_BLOCK_MAX ? (uint32_t)s->header.window_bytes
			                                                       : ZFMT_BLOCK_MAX;
			if (!s->header.skippable)
				scan_begin(s, ZFMT_SCAN_BLOCK, ZFMT_BLOCK_HEADER_BYTES);
			else
				scan_begin(s, s->header.skip_bytes > 0 ? ZFMT_SCAN_SKIP : ZFMT_SCAN_DONE,
				           s->header.skip_bytes);
			return s->state == ZFMT_SCAN_DONE ? BM_ZSTD_SCAN_END : BM_ZSTD_SCAN_MORE;
		}
	}
	return BM_ZSTD_SCAN_MORE;
}

static enum bm_zstd_scan_result scan_after_block(struct bm_zstd_scan *s)
{
	if (!s->last_block) {
		scan_begin(s, ZFMT_SCAN_BLOCK, ZFMT_BLOCK_HEADER_BYTES);
		return BM_ZSTD_SCAN_MORE;
	}
	if (s->header.has_checksum) {
		scan_begin(s, ZFMT_SCAN_SUM, ZFMT_CHECKSUM_BYTES);
		return BM_ZSTD_SCAN_MORE;
	}
	s->state = ZFMT_SCAN_DONE;
	return BM_ZSTD_SCAN_END;
}

static enum bm_zstd_scan_result scan_block_header(struct bm_zstd_scan *s)
{
	const uint32_t bits = (uint32_t)get_le(s->head, ZFMT_BLOCK_HEADER_BYTES);
	const uint32_t size = bits >> 3;

	s->last_block = (bits & 1) != 0;
	switch (bits >> 1 & 3) {
	case BLOCK_RAW:
		s->left = size;
		s->content_max_bytes += size;
		break;
	case BLOCK_RLE:
		s->left = 1;
		s->content_max_bytes += size;
		break;
	case BLOCK_COMPRESSED:
		s->left = size;
		s->content_max_bytes += s->block_max;
		break;
	default:
		return scan_failed(s, "a block is of the reserved type");
	}
	if (size == 0 && (bits >> 1 & 3) == BLOCK_COMPRESSED) /* libzstd lets it pass in a stream */
		return scan_failed(s, "a compressed block is empty");
	if (size > s->block_max)
		return scan_failed(s, "a block is longer than the window or 128 KiB");
	s->state = ZFMT_SCAN_BODY; /* block_start stays at the block's header */
	return s->left > 0 ? BM_ZSTD_SCAN_MORE : scan_after_block(s);
}

enum bm_zstd_scan_result zfmt_scan_step(struct bm_zstd_scan *s, const uint8_t *data, size_t len, size_t *used)
{
	size_t n;

	*used = 0;
	if (s->state == ZFMT_SCAN_FAILED)
		return BM_ZSTD_SCAN_BAD;
	if (s->state == ZFMT_SCAN_DONE)
		return BM_ZSTD_SCAN_END;
	if (s->state == ZFMT_SCAN_HEADER)
		return scan_header(s, data, len, used);

	n = s->left < len ? (size_t)s->left : len;
	if (s->state == ZFMT_SCAN_BLOCK && n > 0) {
		memcpy(s->head + s->head_len, data, n);
		s->head_len = (uint8_t)(s->head_len + n);
	}
	s->left -= n;
	s->frame_bytes += n;
	*used = n;
	if (s->left > 0)
		return BM_ZSTD_SCAN_MORE;
	if (s->state == ZFMT_SCAN_BLOCK)
		return scan_block_header(s);
	if (s->state == ZFMT_SCAN_BODY)
		return scan_after_block(s);
	s->state = ZFMT_SCAN_DONE;
	return BM_ZSTD_SCAN_END;
}

enum bm_zstd_scan_result bm_zstd_scan_feed(struct bm_zstd_scan *s, const void *data, size_t len, size_t *used)
{
	enum bm_zstd_scan_result result;
	size_t n;

	*used = 0;
	do {
		result = zfmt_scan_step(s, (const uint8_t *)data + *used, len - *used, &n);
		*used += n;
	} while (result == BM_ZSTD_SCAN_MORE && *used < len);
	return result;
}
