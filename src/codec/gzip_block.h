/*
 * gzip_block.h - private to src/codec: from literals and matches to deflate blocks (RFC 1951), for the engine rows. Nothing
 * here allocates or blocks; an object is one thread's at a time.
 */
#ifndef BM_CODEC_GZIP_BLOCK_H
#define BM_CODEC_GZIP_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GZIP_LITERALS = 256,
	GZIP_SYMBOLS = 286, /* literals, the end of the block, and 29 codes for lengths */
	GZIP_DISTANCES = 30,
	GZIP_MATCH_MIN = 3,
	GZIP_MATCH_MAX = 258,
	GZIP_LENGTH_CODE = 257 /* the first of them */
};

/* Some literals, then a match. */
struct gzip_token {
	uint16_t literals;
	uint16_t length;   /* 3 ... 258, or 0: no match follows */
	uint16_t distance; /* 1 ... 32768, which is 0x8000 */
};

/* How often each symbol stands in a row of tokens. */
struct gzip_counts {
	uint32_t symbol[GZIP_SYMBOLS];
	uint32_t distance[GZIP_DISTANCES];
};

/* Where bits go. */
struct gzip_bits {
	uint64_t bits;
	unsigned count; /* in bits; below 8 between calls */
	uint8_t *to, *end;
	bool full; /* more than there was room for */
};

/* What is the same for all blocks: made once. */
struct gzip_codes {
	uint8_t of_length[GZIP_MATCH_MAX + 1]; /* 0 ... 28 */
	uint8_t of_near[256];                  /* of distance - 1 */
	uint8_t of_far[256];                   /* of (distance - 1) / 128 */
	uint16_t log2[257];                    /* of 1 + i/256, in 1/256 */
};
void gzip_codes_init(struct gzip_codes *c);

static inline unsigned gzip_distance_code(const struct gzip_codes *c, unsigned distance)
{
	return distance <= 256 ? c->of_near[distance - 1] : c->of_far[(distance - 1) >> 7];
}
unsigned gzip_distance_extra_bits(unsigned code);

/* log2 of x > 0 in 1/256. In integers, so that what hangs on it is the same on every machine. */
static inline uint32_t gzip_log2(const struct gzip_codes *c, uint32_t x)
{
	const unsigned whole = 31 - (unsigned)__builtin_clz(x);

	return whole * 256 + c->log2[(x << (31 - whole)) >> 23 & 255];
}

/* How many bits the codes of all these symbols would have together, were they as long as they ought to be: a and b
 * together (NULL: a alone). Extra bits, which are the same in any block, are not in it. */
uint64_t gzip_counts_cost(const struct gzip_codes *c, const struct gzip_counts *a, const struct gzip_counts *b);

/* Writes a block: count tokens whose counts (of the end of the block none) are `counts`, over the bytes from `in` on. */
void gzip_block_write(struct gzip_bits *out, const struct gzip_codes *c, const struct gzip_token *tokens, size_t count,
                      const uint8_t *in, const struct gzip_counts *counts, bool last);
/* The bits that are left, to the end of the byte. */
void gzip_bits_end(struct gzip_bits *out);

#endif
