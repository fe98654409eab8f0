/*
 * gzip_block.c - writes deflate blocks (RFC 1951, 3.2) of what gzip_rows_parse.h found.
 *
 * A block is written with codes of its own (3.2.7) or with the fixed ones (3.2.6), whichever makes it shorter; its own are
 * Huffman's, by the method of Moffat and Katajainen (in place, over sorted counts), cut to the longest that is allowed:
 * codes that are too long get the limit, and for that others grow by a bit, the longest first, until the sum of Kraft
 * fits; what is left over then is given back to the first that it is enough for. A code must be complete, readers want
 * that; where there is only one symbol, a second one is made up.
 *
 * There are no stored blocks: random bytes have codes of 8 bits, so that only the head of the block is lost, and a chunk
 * that does not shrink at all is stored in gzip_encode.c.
 *
 * Bits are collected in a word of 64, which is written as a whole and moved on by its whole bytes. Three literals (45 bits)
 * or a length and a distance (20 and 28) fit behind the up to 7 bits that stay.
 */
#include "gzip_block.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTHS = 29, CODE_MAX = 15, PRECODES = 19, PRECODE_MAX = 7 };

static const uint16_t length_base[LENGTHS] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                              31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t length_extra[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                              2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t distance_base[GZIP_DISTANCES] = {1,    2,    3,    4,    5,    7,    9,    13,    17,    25,
                                                       33,   49,   65,   97,   129,  193,  257,  385,   513,   769,
                                                       1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};

unsigned gzip_distance_extra_bits(unsigned code)
{
	return code < 4 ? 0 : code / 2 - 1;
}

void gzip_codes_init(struct gzip_codes *c)
{
	for (unsigned i = 0; i < LENGTHS; i++)
		for (unsigned n = 0; n < 1u << length_extra[i] && length_base[i] + n <= GZIP_MATCH_MAX; n++)
			c->of_length[length_base[i] + n] = (uint8_t)i; /* 258 twice: the last is right */
	for (unsigned i = 0; i < GZIP_DISTANCES; i++)
		for (unsigned n = 0; n < 1u << gzip_distance_extra_bits(i); n++) {
			const unsigned before = distance_base[i] + n - 1;

			if (before < 256)
				c->of_near[before] = (uint8_t)i;
			else
				c->of_far[before >> 7] = (uint8_t)i;
		}
	/* Bit by bit: the square of the number is 2 or more where the logarithm's next bit is 1. */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t x = (uint64_t)(256 + i) << 22;
		unsigned log = 0;

		for (int bit = 0; bit < 8; bit++) {
			x = (x * x) >> 30;
			log <<= 1;
			if (x >> 31 != 0) {
				log |= 1;
				x >>= 1;
			}
		}
		c->log2[i] = (uint16_t)log;
	}
	c->log2[256] = 256;
}

static uint64_t cost_of(const struct gzip_codes *c, const uint32_t *a, const uint32_t *b, size_t symbols)
{
	uint64_t sum = 0;
	uint32_t total = 0;

	for (size_t i = 0; i < symbols; i++) {
		const uint32_t count = a[i] + (b != NULL ? b[i] : 0);

		if (count == 0)
			continue;
		sum += (uint64_t)count * gzip_log2(c, count);
		total += count;
	}
	return total == 0 ? 0 : ((uint64_t)total * gzip_log2(c, total) - sum) >> 8;
}

uint64_t gzip_counts_cost(const struct gzip_codes *c, const struct gzip_counts *a, const struct gzip_counts *b)
{
	return cost_of(c, a->symbol, b != NULL ? b->symbol : NULL, GZIP_SYMBOLS) +
	       cost_of(c, a->distance, b != NULL ? b->distance : NULL, GZIP_DISTANCES);
}

/* ---- bits ---- */

static inline void put(struct gzip_bits *o, uint64_t value, unsigned count)
{
	o->bits |= value << o->count;
	o->count += count;
}

static inline void flush(struct gzip_bits *o)
{
	if (o->end - o->to >= 8) {
		const uint64_t word = htole64(o->bits);

		memcpy(o->to, &word, sizeof(word));
		o->to += o->count >> 3;
		o->bits >>= o->count & 56;
		o->count &= 7;
		return;
	}
	for (; o->count >= 8; o->count -= 8, o->bits >>= 8) {
		if (o->to < o->end)
			*o->to++ = (uint8_t)o->bits;
		else
			o->full = true;
	}
}

void gzip_bits_end(struct gzip_bits *o)
{
	if (o->count > 0)
		o->count += 8 - o->count; /* it is below 8 */
	flush(o);
}

/* ---- codes ---- */

static int by_count(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a;
	const uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* a: n >= 2 counts in ascending order -> the lengths of their codes, descending. */
static void lengths_of(uint32_t *a, size_t n)
{
	size_t root = 0;
	size_t leaf = 2;
	size_t inner;
	size_t free_places = 1;
	size_t at = n - 1;
	uint32_t depth = 0;

	/* The tree: a[] holds the sums of inner nodes, then their parents. */
	a[0] += a[1];
	for (size_t next = 1; next < n - 1; next++) {
		a[next] = 0;
		for (int child = 0; child < 2; child++) {
			if (leaf >= n || (root < next && a[root] < a[leaf])) {
				a[next] += a[root];
				a[root++] = (uint32_t)next;
			} else {
				a[next] += a[leaf++];
			}
		}
	}
	/* Parents to depths. */
	a[n - 2] = 0;
	for (size_t i = n - 2; i-- > 0;)
		a[i] = a[a[i]] + 1;
	/* Depths of inner nodes to those of leaves. */
	inner = n - 1; /* inner nodes not yet counted: 0 ... inner - 1 */
	while (free_places > 0) {
		size_t used = 0;

		for (; inner > 0 && a[inner - 1] == depth; inner--)
			used++;
		for (; free_places > used; free_places--)
			a[at--] = depth;
		free_places = 2 * used;
		depth++;
	}
}

/* Code lengths of n symbols, 1 ... limit, or 0 where the count is 0. */
static void limited_lengths(const uint32_t *counts, size_t n, unsigned limit, uint8_t *lengths)
{
	uint64_t sorted[GZIP_SYMBOLS];
	uint32_t a[GZIP_SYMBOLS];
	uint32_t of_length[CODE_MAX + 1] = {0};
	const uint32_t whole = 1u << limit;
	uint32_t used = 0;
	size_t m = 0;
	size_t next = 0;

	memset(lengths, 0, n);
	for (size_t i = 0; i < n; i++)
		if (counts[i] > 0)
			sorted[m++] = (uint64_t)counts[i] << 16 | i;
	if (m < 2) {
		const size_t only = m == 1 ? sorted[0] & 0xffff : 0;

		lengths[only] = 1;
		lengths[only == 0 ? 1 : 0] = 1;
		return;
	}
	qsort(sorted, m, sizeof(sorted[0]), by_count);
	for (size_t i = 0; i < m; i++)
		a[i] = (uint32_t)(sorted[i] >> 16);
	lengths_of(a, m);
	for (size_t i = 0; i < m; i++) {
		const uint32_t length = a[i] < limit ? a[i] : limit;

		of_length[length]++;
		used += whole >> length;
	}
	while (used > whole) {
		unsigned l = limit - 1;

		while (of_length[l] == 0)
			l--;
		of_length[l]--;
		of_length[l + 1]++;
		used -= whole >> (l + 1);
	}
	for (unsigned l = 2; used < whole;) {
		if (of_length[l] > 0 && whole >> l <= whole - used) {
			of_length[l]--;
			of_length[l - 1]++;
			used += whole >> l;
		} else {
			l++;
		}
	}
	for (unsigned l = limit; l > 0; l--)
		for (uint32_t i = 0; i < of_length[l]; i++)
			lengths[sorted[next++] & 0xffff] = (uint8_t)l;
}

/* 3.2.2, with the bits in the order in which they are written. */
static void codes_of(const uint8_t *lengths, size_t n, uint16_t *codes)
{
	unsigned of_length[CODE_MAX + 1] = {0};
	unsigned first[CODE_MAX + 1] = {0};

	for (size_t i = 0; i < n; i++)
		of_length[lengths[i]]++;
	of_length[0] = 0;
	for (unsigned l = 1; l <= CODE_MAX; l++)
		first[l] = (first[l - 1] + of_length[l - 1]) << 1;
	for (size_t i = 0; i < n; i++) {
		unsigned code = lengths[i] > 0 ? first[lengths[i]]++ : 0;
		unsigned turned = 0;

		for (unsigned bit = 0; bit < lengths[i]; bit++, code >>= 1)
			turned = turned << 1 | (code & 1);
		codes[i] = (uint16_t)turned;
	}
}

/* ---- a block ---- */

struct block {
	uint8_t symbol_bits[GZIP_SYMBOLS + 2]; /* the fixed code has 288 */
	uint8_t distance_bits[GZIP_DISTANCES + 2];
	/* The code lengths as they are written: a precode, and its extra bits from bit 5 on. */
	size_t symbols, distances, item_count, precodes;
	uint16_t items[GZIP_SYMBOLS + GZIP_DISTANCES];
	uint8_t precode_bits[PRECODES];
};

static const uint8_t precode_order[PRECODES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

static unsigned precode_extra(unsigned precode)
{
	return precode < 16 ? 0 : precode == 16 ? 2 : precode == 17 ? 3 : 7;
}

static size_t without_zeros(const uint8_t *lengths, size_t n, size_t least)
{
	while (n > least && lengths[n - 1] == 0)
		n--;
	return n;
}

static void item(struct block *b, uint32_t *counts, unsigned precode, unsigned extra)
{
	b->items[b->item_count++] = (uint16_t)(precode | extra << 5);
	counts[precode]++;
}

/* Fills in the rest from the code lengths; returns how many bits the head takes. */
static size_t plan_head(struct block *b)
{
	uint8_t all[GZIP_SYMBOLS + GZIP_DISTANCES];
	uint32_t counts[PRECODES] = {0};
	size_t run;
	size_t bits;

	b->symbols = without_zeros(b->symbol_bits, GZIP_SYMBOLS, GZIP_LENGTH_CODE);
	b->distances = without_zeros(b->distance_bits, GZIP_DISTANCES, 1);
	memcpy(all, b->symbol_bits, b->symbols);
	memcpy(all + b->symbols, b->distance_bits, b->distances);
	b->item_count = 0;
	for (size_t i = 0; i < b->symbols + b->distances; i += run) {
		size_t left;

		for (run = 1; i + run < b->symbols + b->distances && all[i + run] == all[i];)
			run++;
		left = run;
		if (all[i] != 0) {
			item(b, counts, all[i], 0);
			left--;
		}
		while (left >= 3) {
			const size_t most = all[i] != 0 ? 6 : left > 10 ? 138 : 10;
			const size_t part = left < most ? left : most;

			if (all[i] != 0)
				item(b, counts, 16, (unsigned)part - 3);
			else
				item(b, counts, part > 10 ? 18 : 17, (unsigned)part - (part > 10 ? 11 : 3));
			left -= part;
		}
		for (; left > 0; left--)
			item(b, counts, all[i], 0);
	}
	limited_lengths(counts, PRECODES, PRECODE_MAX, b->precode_bits);
	for (b->precodes = PRECODES; b->precodes > 4 && b->precode_bits[precode_order[b->precodes - 1]] == 0;)
		b->precodes--;
	bits = 14 + 3 * b->precodes;
	for (unsigned i = 0; i < PRECODES; i++)
		bits += counts[i] * (b->precode_bits[i] + precode_extra(i));
	return bits;
}

static void write_head(struct gzip_bits *o, const struct block *b)
{
	uint16_t codes[PRECODES];

	codes_of(b->precode_bits, PRECODES, codes);
	put(o, b->symbols - GZIP_LENGTH_CODE, 5);
	put(o, b->distances - 1, 5);
	put(o, b->precodes - 4, 4);
	flush(o);
	for (size_t i = 0; i < b->precodes; i++) {
		put(o, b->precode_bits[precode_order[i]], 3);
		flush(o);
	}
	for (size_t i = 0; i < b->item_count; i++) {
		const unsigned precode = b->items[i] & 31;

		put(o, codes[precode], b->precode_bits[precode]);
		put(o, b->items[i] >> 5, precode_extra(precode));
		flush(o);
	}
}

static size_t body_bits(const struct gzip_counts *counts, const uint8_t *symbol_bits, const uint8_t *distance_bits)
{
	size_t bits = symbol_bits[GZIP_LITERALS]; /* extra bits are the same for all */

	for (size_t i = 0; i < GZIP_SYMBOLS; i++)
		bits += (size_t)counts->symbol[i] * symbol_bits[i];
	for (size_t i = 0; i < GZIP_DISTANCES; i++)
		bits += (size_t)counts->distance[i] * distance_bits[i];
	return bits;
}

static void fixed_lengths(uint8_t *symbol_bits, uint8_t *distance_bits)
{
	memset(symbol_bits, 8, 144);
	memset(symbol_bits + 144, 9, 256 - 144);
	memset(symbol_bits + 256, 7, 280 - 256);
	memset(symbol_bits + 280, 8, 288 - 280);
	memset(distance_bits, 5, GZIP_DISTANCES + 2);
}

/* A code and its length in one word: what is read for every symbol. */
#define PACKED_BITS 24

static void write_body(struct gzip_bits *out, const struct gzip_codes *c, const struct gzip_token *tokens, size_t count,
                       const uint8_t *in, const struct block *b)
{
	uint16_t symbol_codes[GZIP_SYMBOLS + 2];
	uint16_t distance_codes[GZIP_DISTANCES + 2];
	uint32_t literal[GZIP_LITERALS];
	uint32_t length[GZIP_MATCH_MAX + 1]; /* extra bits included: 20 at most */
	struct gzip_bits o = *out;

	codes_of(b->symbol_bits, sizeof(b->symbol_bits), symbol_codes);
	codes_of(b->distance_bits, sizeof(b->distance_bits), distance_codes);
	for (unsigned i = 0; i < GZIP_LITERALS; i++)
		literal[i] = symbol_codes[i] | (uint32_t)b->symbol_bits[i] << PACKED_BITS;
	for (unsigned n = GZIP_MATCH_MIN; n <= GZIP_MATCH_MAX; n++) {
		const unsigned code = c->of_length[n];
		const unsigned bits = b->symbol_bits[GZIP_LENGTH_CODE + code];

		length[n] = symbol_codes[GZIP_LENGTH_CODE + code] | (n - length_base[code]) << bits |
		            (bits + length_extra[code]) << PACKED_BITS;
	}
#define PUT_PACKED(word) put(&o, (word) & ((1u << PACKED_BITS) - 1), (word) >> PACKED_BITS)
	for (const struct gzip_token *t = tokens; t < tokens + count; t++) {
		unsigned left = t->literals;

		for (; left >= 3; left -= 3, in += 3) {
			PUT_PACKED(literal[in[0]]);
			PUT_PACKED(literal[in[1]]);
			PUT_PACKED(literal[in[2]]);
			flush(&o);
		}
		for (; left > 0; left--, in++)
			PUT_PACKED(literal[in[0]]);
		flush(&o);
		if (t->length > 0) {
			const unsigned code = gzip_distance_code(c, t->distance);

			PUT_PACKED(length[t->length]);
			put(&o, distance_codes[code], b->distance_bits[code]);
			put(&o, (unsigned)t->distance - distance_base[code], gzip_distance_extra_bits(code));
			flush(&o);
			in += t->length;
		}
	}
	put(&o, symbol_codes[GZIP_LITERALS], b->symbol_bits[GZIP_LITERALS]);
	flush(&o);
	*out = o;
}

void gzip_block_write(struct gzip_bits *out, const struct gzip_codes *c, const struct gzip_token *tokens, size_t count,
                      const uint8_t *in, const struct gzip_counts *counts, bool last)
{
	uint32_t symbols[GZIP_SYMBOLS];
	struct block own;
	struct block fixed;
	bool is_fixed;
	size_t head;

	memcpy(symbols, counts->symbol, sizeof(symbols));
	symbols[GZIP_LITERALS] = 1; /* the end of the block */
	limited_lengths(symbols, GZIP_SYMBOLS, CODE_MAX, own.symbol_bits);
	own.symbol_bits[GZIP_SYMBOLS] = own.symbol_bits[GZIP_SYMBOLS + 1] = 0;
	limited_lengths(counts->distance, GZIP_DISTANCES, CODE_MAX, own.distance_bits);
	own.distance_bits[GZIP_DISTANCES] = own.distance_bits[GZIP_DISTANCES + 1] = 0;
	fixed_lengths(fixed.symbol_bits, fixed.distance_bits);
	head = plan_head(&own);
	is_fixed = body_bits(counts, fixed.symbol_bits, fixed.distance_bits) <=
	           head + body_bits(counts, own.symbol_bits, own.distance_bits);
	put(out, last, 1);
	put(out, is_fixed ? 1 : 2, 2);
	flush(out);
	if (!is_fixed)
		write_head(out, &own);
	write_body(out, c, tokens, count, in, is_fixed ? &fixed : &own);
}
