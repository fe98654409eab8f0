/* zstd_format.h - what the zstd*.c files share: numbers of RFC 8878 and of the seekable format, and one step of the scan
 * of a frame. ZSTD_ and zstd_ are libzstd's own prefixes. */
#ifndef BM_CODEC_ZSTD_FORMAT_H
#define BM_CODEC_ZSTD_FORMAT_H

#include <inttypes.h>
#include <stdio.h>

#include "bm_zstd.h"

#define ZFMT_FRAME_MAGIC 0xFD2FB528u
#define ZFMT_SKIP_HEADER_BYTES 8
#define ZFMT_BLOCK_HEADER_BYTES 3
#define ZFMT_BLOCK_MAX ((uint32_t)128 << 10)
#define ZFMT_CHECKSUM_BYTES 4

#define ZFMT_SEEK_TABLE_MAGIC 0x184D2A5Eu
#define ZFMT_SEEK_FOOTER_MAGIC 0x8F92EAB1u
#define ZFMT_SEEK_CHECKSUM_FLAG 0x80u
#define ZFMT_SEEK_RESERVED_BITS 0x7Cu

#define ZFMT_WHERE_BYTES 32

static inline uint32_t zfmt_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void zfmt_put_u32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline const char *zfmt_where(char buf[static ZFMT_WHERE_BYTES], uint64_t offset)
{
	(void)snprintf(buf, ZFMT_WHERE_BYTES, "offset %" PRIu64, offset);
	return buf;
}

/* States of a scan: what is at hand. */
enum {
	ZFMT_SCAN_HEADER, /* the frame's header */
	ZFMT_SCAN_SKIP,   /* a skippable frame's content */
	ZFMT_SCAN_BLOCK,  /* a block's header */
	ZFMT_SCAN_BODY,   /* a block's content */
	ZFMT_SCAN_SUM,    /* the checksum */
	ZFMT_SCAN_DONE,
	ZFMT_SCAN_FAILED
};

/* As bm_zstd_scan_feed, but stops where what is at hand ends too: MORE then, with *used < len perhaps. A step never goes
 * from one block into the next. */
enum bm_zstd_scan_result zfmt_scan_step(struct bm_zstd_scan *s, const uint8_t *data, size_t len, size_t *used);
/* In a header, of which the bytes so far begin no frame. */
static inline bool zfmt_is_foreign(const struct bm_zstd_scan *s)
{
	struct bm_zstd_header h;

	return s->state == ZFMT_SCAN_HEADER && bm_zstd_peek_header(s->head, s->head_len, &h) == BM_ZSTD_PEEK_NOT;
}

#endif
