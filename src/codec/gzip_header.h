/*
 * gzip_header.h - private to src/codec: the parser of gzip member headers (RFC 1952, section 2.3), which takes its
 * input in pieces of any size, and the fixed numbers of the format. A parser holds no memory: any thread, one at a
 * time.
 */
#ifndef BM_CODEC_GZIP_HEADER_H
#define BM_CODEC_GZIP_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_gzip.h"

enum {
	GZIP_ID1 = 0x1f,
	GZIP_ID2 = 0x8b,
	GZIP_CM_DEFLATE = 8,
	GZIP_OS_UNKNOWN = 255,
	GZIP_FHCRC = 0x02,
	GZIP_FEXTRA = 0x04,
	GZIP_FNAME = 0x08,
	GZIP_FCOMMENT = 0x10,
	GZIP_RESERVED = 0xe0,
	GZIP_IG_BYTES = 10,       /* XLEN and the IG subfield, as written after the fixed header */
	GZIP_DEFLATE_MIN = 2,     /* the shortest deflate stream: an empty last block of fixed codes */
	GZIP_STORED_HEAD = 5,     /* of a stored block that begins on a byte boundary */
	GZIP_STORED_MAX = 65535,  /* what one stored block can hold */
	GZIP_CHUNK_MAX = 1 << 30, /* the most that one chunk may be */
	GZIP_WINDOW = 1 << 15
};
#define GZIP_HEADER_MAX ((size_t)1 << 20) /* a longer one (its name and comment have no bound) is refused */

enum gzip_header_state {
	GZIP_HEADER_MORE, /* all bytes are taken, and the header goes on */
	GZIP_HEADER_DONE,
	GZIP_HEADER_NO_MAGIC, /* the first two bytes are not a member's; none is taken by this call */
	GZIP_HEADER_BAD       /* it began like a member; reason says what is wrong */
};

struct gzip_header_parser {
	struct bm_gzip_header header; /* whole when GZIP_HEADER_DONE */
	const char *reason;           /* static text when GZIP_HEADER_BAD */
	size_t seen;                  /* bytes taken */
	uint32_t crc;                 /* CRC-32 of the bytes taken, for FHCRC */
	uint32_t stored_crc;          /* FHCRC as far as it was read */
	uint32_t extra_left;          /* bytes of the extra field still to come */
	uint32_t sub_length;          /* LEN of the subfield at hand */
	uint32_t sub_value;           /* its first 4 bytes, little endian */
	uint32_t sub_at;              /* bytes of it taken, its own 4-byte head included */
	uint32_t ig;                  /* value of the IG subfield */
	uint32_t bc;                  /* value of the BC subfield */
	uint8_t part;                 /* enum in gzip_header.c */
	uint8_t part_at;              /* bytes taken of a part of fixed length */
	uint8_t flags;
	uint8_t sub_id[2];
	bool have_ig;
	bool have_bc;
};

void gzip_header_start(struct gzip_header_parser *p);
/* Takes up to len bytes; *used says how many. Not to be called again after any answer but MORE. */
enum gzip_header_state gzip_header_feed(struct gzip_header_parser *p, const uint8_t *data, size_t len, size_t *used);

static inline uint32_t gzip_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void gzip_put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}

#endif
