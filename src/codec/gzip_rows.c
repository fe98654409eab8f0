/*
 * gzip_rows.c - the engine rows: a deflate of our own, for level 6, where libdeflate is the only fast library and
 * has nothing between its level 5 (a fifth faster, but 1.5 % larger) and its level 6. The bytes are those of no
 * library, and the same on every kind of CPU.
 *
 * What costs time in deflate is the look for matches. libdeflate follows a chain of the earlier places where the
 * same 4 bytes stood: each step waits for the one before, and each comparison is a branch that is hard to foresee.
 * Here the places lie in rows, as in zstd's levels 5 to 12: the hash of 4 bytes chooses one of 2,048 rows of 32
 * places, and its other 8 bits are the tag of the place. One comparison of 32 tags gives the candidates, newest
 * first, which do not wait for one another; each is compared over 32 bytes at once, and that the best one is kept
 * takes no branch. A row is a ring: the newest place overwrites the oldest. See gzip_rows_parse.h.
 *
 * Positions are kept modulo 65,536. What is further back than the window of 32,768 ends the look along a row; what
 * is so far back that it looks near again is a candidate like any other, for the bytes decide. A place never written
 * to is position 0, so no candidate lies before the chunk. (While positions are below 65,536 that is the distance to
 * the chunk's beginning, and from then on no distance within the window reaches there.)
 *
 * Blocks. After every 1,024 tokens the cost of the block with and without them is estimated from the counts: if two
 * blocks are smaller, head included, the block ends before them. The same counts tell whether a match of 3 bytes is
 * worth more than the three literals; on source text that is 0.17 % of the size.
 *
 * Measured against libdeflate 1.14 at level 6, in chunks of 1 MiB, each by both in turns, on one thread with AVX2
 * (CPU time, size): 256 MiB of the kernel's sources 0.91, 1.000; /usr/include 0.90, 0.998; Python 0.88, 0.998;
 * manual pages 0.82, 1.000; XML 0.98, 1.006; a log 0.81, 1.019 (0.982 of pigz -6); large JSON 1.05, 1.013; libraries
 * 1.02, 1.002 (0.994 of pigz -6). What is full of long matches gains nothing, for then most of the time goes into
 * putting positions into their rows; to leave out the inside of matches of 128 and more bytes saves 4 % on the
 * sources and adds 0.5 % to their size.
 *
 * Tried: 4,096 rows of 16 places: 0.6 % larger, 6 % faster; 1,024 of 64: 0.4 % smaller, 9 % slower; 4,096 of 32: 0.2 %
 * smaller, 12 % slower. Two or four candidates a turn: 15 to 19 % slower. Rows that are not fetched ahead: 4 % slower.
 * Costs of symbols for the choice between two matches as well: 3 % slower, and hardly smaller.
 *
 * Level 6 in layout indexed is this engine's where the build is for x86-64. BGZF is left to libdeflate: 230 KB of
 * tables would be cleared for each block of 64 KiB. Without AVX2 the same bytes are made by plain C, in about the
 * time that libdeflate takes for text, and 1.2 times that for libraries.
 */
#include "gzip_rows.h"

#include <stdlib.h>
#include <string.h>

#include "gzip_engine.h"
#include "gzip_rows_parse.h"

#define COST_ONE 16         /* a bit, of the costs in struct gzip_rows */
#define BLOCK_HEAD_BITS 500 /* what a block's own codes take, by and large */

static void costs_first(struct gzip_rows *r)
{
	for (unsigned i = 0; i < GZIP_LITERALS; i++)
		r->literal_cost[i] = 6 * COST_ONE;
	for (unsigned i = 0; i < GZIP_DISTANCES; i++)
		r->distance_cost[i] = (uint16_t)((5 + gzip_distance_extra_bits(i)) * COST_ONE);
	r->shortest_cost = 6 * COST_ONE;
}

void gzip_rows_begin(struct gzip_rows *r)
{
	memset(r->tag, 0, sizeof(r->tag));
	memset(r->position, 0, sizeof(r->position));
	memset(r->newest, 0, sizeof(r->newest));
	memset(r->short_position, 0, sizeof(r->short_position));
	memset(&r->block, 0, sizeof(r->block));
	memset(&r->part, 0, sizeof(r->part));
	r->token_count = r->part_begin = 0;
	r->block_at = r->part_at = 0;
	r->block_cost = 0;
	costs_first(r);
}

static uint32_t total_of(const uint32_t *a, const uint32_t *b, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += a[i] + b[i];
	return sum;
}

/* whole is log2 of the total; a symbol that has not been seen costs `unseen` bits. */
static uint16_t cost_of(const struct gzip_rows *r, uint32_t count, uint32_t whole, unsigned unseen)
{
	return (uint16_t)(count > 0 ? (whole - gzip_log2(&r->codes, count)) / (256 / COST_ONE) : unseen * COST_ONE);
}

static void costs_update(struct gzip_rows *r)
{
	const struct gzip_counts *const b = &r->block;
	const struct gzip_counts *const p = &r->part;
	const uint32_t symbols = total_of(b->symbol, p->symbol, GZIP_SYMBOLS);
	const uint32_t distances = total_of(b->distance, p->distance, GZIP_DISTANCES);
	const uint32_t symbols_log = symbols > 0 ? gzip_log2(&r->codes, symbols) : 0;
	const uint32_t distances_log = distances > 0 ? gzip_log2(&r->codes, distances) : 0;

	for (unsigned i = 0; i < GZIP_LITERALS; i++)
		r->literal_cost[i] = cost_of(r, b->symbol[i] + p->symbol[i], symbols_log, 13);
	r->shortest_cost = cost_of(r, b->symbol[GZIP_LENGTH_CODE] + p->symbol[GZIP_LENGTH_CODE], symbols_log, 13);
	for (unsigned i = 0; i < GZIP_DISTANCES; i++)
		r->distance_cost[i] = (uint16_t)(cost_of(r, b->distance[i] + p->distance[i], distances_log, 11) +
		                                 gzip_distance_extra_bits(i) * COST_ONE);
}

static void join_part(struct gzip_rows *r)
{
	for (unsigned i = 0; i < GZIP_SYMBOLS; i++)
		r->block.symbol[i] += r->part.symbol[i];
	for (unsigned i = 0; i < GZIP_DISTANCES; i++)
		r->block.distance[i] += r->part.distance[i];
}

void gzip_rows_part_end(struct gzip_rows *r, const uint8_t *in, size_t at, struct gzip_bits *out)
{
	const uint64_t alone = gzip_counts_cost(&r->codes, &r->part, NULL);
	const uint64_t joined = gzip_counts_cost(&r->codes, &r->block, &r->part);

	costs_update(r);
	if (r->part_begin > 0 && joined > r->block_cost + alone + BLOCK_HEAD_BITS) {
		gzip_block_write(out, &r->codes, r->tokens, r->part_begin, in + r->block_at, &r->block, false);
		r->token_count -= r->part_begin;
		memmove(r->tokens, r->tokens + r->part_begin, r->token_count * sizeof(r->tokens[0]));
		r->block = r->part;
		r->block_cost = alone;
		r->block_at = r->part_at;
	} else {
		join_part(r);
		r->block_cost = joined;
	}
	if (r->token_count + ROWS_PART_TOKENS > ROWS_TOKENS) {
		gzip_block_write(out, &r->codes, r->tokens, r->token_count, in + r->block_at, &r->block, false);
		memset(&r->block, 0, sizeof(r->block));
		r->block_cost = 0;
		r->block_at = at;
		r->token_count = 0;
	}
	memset(&r->part, 0, sizeof(r->part));
	r->part_begin = r->token_count;
	r->part_at = at;
}

void gzip_rows_end(struct gzip_rows *r, const uint8_t *in, struct gzip_bits *out)
{
	join_part(r);
	gzip_block_write(out, &r->codes, r->tokens, r->token_count, in + r->block_at, &r->block, true);
	gzip_bits_end(out);
}

/* ---- the engine ---- */

static size_t rows_deflater_bytes(int level)
{
	(void)level;
	return sizeof(struct gzip_rows) + 256; /* and what the alignment costs */
}

static void *rows_deflater_create(int level)
{
	struct gzip_rows *r = NULL;

	(void)level; /* there is one */
	if (posix_memalign((void **)&r, 64, sizeof(*r)) != 0)
		return NULL;
	memset(r, 0, sizeof(*r));
	gzip_codes_init(&r->codes);
	r->deflate = rows_deflate;
#ifdef BM_HAVE_ROWS_AVX2
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
		r->deflate = gzip_rows_deflate_avx2;
#endif
	return r;
}

static void rows_deflater_destroy(void *state)
{
	free(state);
}

static size_t rows_deflate_whole(void *state, const void *in, size_t in_len, uint8_t *out, size_t room)
{
	struct gzip_rows *const r = state;
	struct gzip_bits bits = {.to = out, .end = out + room};

	return r->deflate(r, in, in_len, &bits);
}

const struct gzip_engine gzip_engine_rows = {
	.id = BM_GZIP_ROWS,
	.name = "rows",
	.level_min = GZIP_ROWS_LEVEL,
	.level_max = GZIP_ROWS_LEVEL,
	.deflater_bytes = rows_deflater_bytes,
	.deflater_create = rows_deflater_create,
	.deflater_destroy = rows_deflater_destroy,
	.deflate = rows_deflate_whole,
};
