/*
 * gzip_rows.h - private to src/codec: the state of the engine rows, see gzip_rows.c.
 */
#ifndef BM_CODEC_GZIP_ROWS_H
#define BM_CODEC_GZIP_ROWS_H

#include "gzip_block.h"

enum {
	ROWS_LOG = 11,
	ROWS = 1 << ROWS_LOG,
	ROW_PLACES = 32,
	ROWS_SHORT_LOG = 14,      /* of the table of 3-byte strings */
	ROWS_TOKENS = 1 << 15,    /* of a block, at most */
	ROWS_PART_TOKENS = 1024,  /* after so many tokens it is asked whether a new block should begin */
	ROWS_LITERALS_MAX = 8192, /* of a token */
};

/* All of it but codes is of the chunk that is being deflated. */
struct gzip_rows {
	_Alignas(64) uint8_t tag[ROWS][ROW_PLACES];
	_Alignas(64) uint16_t position[ROWS][ROW_PLACES]; /* the lower 16 bits */
	uint8_t newest[ROWS];                             /* its place; older ones follow it, round the row */
	uint16_t short_position[1 << ROWS_SHORT_LOG];
	struct gzip_token tokens[ROWS_TOKENS];
	size_t token_count, part_begin; /* in tokens: the block so far, and the part of it that is not yet judged */
	size_t block_at, part_at;       /* the same as offsets in the chunk */
	struct gzip_counts block, part; /* the counts of the two; block is without part */
	uint64_t block_cost;            /* of block, in bits */
	/* What symbols are likely to cost, in 1/16 bit: from the counts when the last part ended. */
	uint16_t literal_cost[GZIP_LITERALS];
	uint16_t distance_cost[GZIP_DISTANCES]; /* extra bits included */
	uint16_t shortest_cost;                 /* of the length 3 */
	struct gzip_codes codes;
	size_t (*deflate)(struct gzip_rows *r, const uint8_t *in, size_t in_len, struct gzip_bits *out);
};

/* Begins a chunk. */
void gzip_rows_begin(struct gzip_rows *r);
/* A part is full, and the chunk goes on at `at`: perhaps a block ends. */
void gzip_rows_part_end(struct gzip_rows *r, const uint8_t *in, size_t at, struct gzip_bits *out);
/* The last part. */
void gzip_rows_end(struct gzip_rows *r, const uint8_t *in, struct gzip_bits *out);

/* The same with AVX2, where the build is for x86-64. */
size_t gzip_rows_deflate_avx2(struct gzip_rows *r, const uint8_t *in, size_t in_len, struct gzip_bits *out);

#endif
