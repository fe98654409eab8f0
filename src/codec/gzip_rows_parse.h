/*
 * gzip_rows_parse.h - what gzip_rows.c says, position by position: the look along a row, and the choice of matches.
 * Included once for every kind of CPU; ROWS_AVX2 says that this is for one with AVX2. Both do the same to the byte: they
 * differ in how tags and bytes are compared.
 *
 * The choice is a lazy one. A match is taken unless there is a better one a byte further on; better is what is longer by
 * more than it is further away: 4 for each byte against the logarithm of the distance. With matches of
 * LAZY_MAX bytes and more nothing better is looked for, and with GOOD or more only among the newest places.
 *
 * Every position is put into its row, and into the table of 3-byte strings but for the inside of long matches. Rows are
 * fetched into the cache AHEAD positions before they are needed. The last TAIL bytes of a chunk are literals, unless
 * a match reaches into them: a look reads up to 32 bytes from its position on and AHEAD + 4.
 */
#ifndef BM_CODEC_GZIP_ROWS_PARSE_H
#define BM_CODEC_GZIP_ROWS_PARSE_H

#include <endian.h>
#include <string.h>

#include "gzip_rows.h"

#ifdef ROWS_AVX2
#include <immintrin.h>
#endif

enum {
	ROWS_WINDOW = 32768,
	ROWS_NICE = 96,     /* such a match will do */
	ROWS_LAZY_MAX = 32, /* see above */
	ROWS_GOOD = 8,
	ROWS_GOOD_PLACES = 0xfff,
	ROWS_SHORT_FAR = 8192, /* a match of 3 bytes is of no use further away */
	ROWS_SHORT_GAIN = 24,  /* what it must save, in 1/16 bit */
	ROWS_LONG = 24, /* a long match, and as many of its last positions go into the table of 3-byte strings: */
	ROWS_LONG_LAST = 16,
	ROWS_AHEAD = 8, /* a power of two */
	ROWS_TAIL = 40,
	ROWS_WIDE = 32, /* bytes that are compared at once */
};

#define ROWS_ALL_PLACES UINT32_MAX
#define ROWS_INLINE static inline __attribute__((always_inline))

ROWS_INLINE uint32_t rows_load(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return le32toh(x);
}

/* A row from bit 8 on, and a tag. */
ROWS_INLINE uint32_t rows_hash(const uint8_t *p)
{
	return (rows_load(p) * UINT32_C(0x9E3779B1)) >> (32 - ROWS_LOG - 8);
}

ROWS_INLINE uint32_t rows_hash_short(const uint8_t *p)
{
	return ((rows_load(p) << 8) * UINT32_C(0x9E3779B1)) >> (32 - ROWS_SHORT_LOG);
}

/* Bit i: place i has this tag. */
ROWS_INLINE uint32_t rows_match(const uint8_t *tags, uint8_t tag)
{
#ifdef ROWS_AVX2
	const __m256i all = _mm256_load_si256((const __m256i *)(const void *)tags);

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(all, _mm256_set1_epi8((char)tag)));
#else
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t low = 0x7f * ones;
	uint32_t found = 0;

	for (unsigned i = 0; i < ROW_PLACES; i += 8) {
		const uint64_t x =
			((uint64_t)rows_load(tags + i) | (uint64_t)rows_load(tags + i + 4) << 32) ^ tag * ones;
		const uint64_t zero = ~(((x & low) + low) | x | low); /* 0x80 in each byte of x that is 0 */

		found |= (uint32_t)((zero >> 7) * UINT64_C(0x0102040810204080) >> 56) << i;
	}
	return found;
#endif
}

/* How far a and b are the same; n of max bytes are known to be. */
static __attribute__((noinline)) unsigned rows_extend(const uint8_t *a, const uint8_t *b, unsigned n, unsigned max)
{
#ifdef ROWS_AVX2
	for (; n + ROWS_WIDE <= max; n += ROWS_WIDE) {
		const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(a + n));
		const __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(b + n));
		const uint32_t differ = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y));

		if (differ != 0)
			return n + (unsigned)__builtin_ctz(differ);
	}
#endif
	for (; n + 4 <= max; n += 4) {
		const uint32_t differ = rows_load(a + n) ^ rows_load(b + n);

		if (differ != 0)
			return n + (unsigned)__builtin_ctz(differ) / 8;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

ROWS_INLINE void rows_put(struct gzip_rows *r, uint32_t hash, uint32_t at)
{
	const uint32_t row = hash >> 8;
	const unsigned place = (r->newest[row] - 1u) & (ROW_PLACES - 1);

	r->newest[row] = (uint8_t)place;
	r->tag[row][place] = (uint8_t)hash;
	r->position[row][place] = (uint16_t)at;
}

/* The longest match at `at` that has more than `least` (>= 3) bytes; 0 where there is none. max > ROWS_WIDE.
 * places: which are looked at, bit 0 being the newest. */
ROWS_INLINE unsigned rows_longest(const struct gzip_rows *r, const uint8_t *in, uint32_t at, uint32_t hash,
                                  unsigned least, unsigned max, uint32_t places, unsigned *distance)
{
	const uint8_t *const here = in + at;
	const uint32_t row = hash >> 8;
	const uint16_t *const positions = r->position[row];
	const unsigned newest = r->newest[row];
	uint32_t found = rows_match(r->tag[row], (uint8_t)hash);
	/* Length and, as the newer of two is the better, what the distance lacks to 65,535: the best is the largest. */
	uint32_t best = least << 16 | 0xffff;
#ifdef ROWS_AVX2
	const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)here);
#endif

	found = (found >> newest | found << (-newest & (ROW_PLACES - 1))) & places;
	for (; found != 0; found &= found - 1) {
		const unsigned place = (newest + (unsigned)__builtin_ctz(found)) & (ROW_PLACES - 1);
		const unsigned back = (at - (uint32_t)positions[place]) & 0xffff;
		const uint8_t *const there = here - back;
		unsigned length = 0;

		if (back - 1 >= ROWS_WINDOW)
			break;
#ifdef ROWS_AVX2
		const uint32_t differ = ~(uint32_t)_mm256_movemask_epi8(
			_mm256_cmpeq_epi8(bytes, _mm256_loadu_si256((const __m256i *)(const void *)there)));

		if (__builtin_expect(differ != 0, 1)) {
			const uint32_t one = (uint32_t)__builtin_ctz(differ) << 16 | (0xffff - back);

			best = one > best ? one : best;
			continue;
		}
		length = ROWS_WIDE;
#endif
		if (rows_load(there + (best >> 16) - 3) != rows_load(here + (best >> 16) - 3))
			continue; /* it ends sooner, or where the best one does */
		length = rows_extend(here, there, length, max);
		if (length > best >> 16) {
			best = length << 16 | (0xffff - back);
			if (length >= ROWS_NICE || length >= max)
				break;
		}
	}
	if (best >> 16 <= least)
		return 0;
	*distance = 0xffff - (best & 0xffff);
	return best >> 16;
}

/* The hash at `at`, which must be asked for in turn: it was made, and its row sent for, AHEAD positions ago. */
ROWS_INLINE uint32_t rows_next(const struct gzip_rows *r, const uint8_t *in, uint32_t at, uint32_t *ahead)
{
	uint32_t *const slot = &ahead[at & (ROWS_AHEAD - 1)];
	const uint32_t hash = *slot;

	*slot = rows_hash(in + at + ROWS_AHEAD);
	__builtin_prefetch(r->tag[*slot >> 8]);
	__builtin_prefetch(r->position[*slot >> 8]);
	return hash;
}

ROWS_INLINE int rows_worth(unsigned length, unsigned distance)
{
	return (int)(4 * length) - (31 - __builtin_clz(distance));
}

/* Is a match of 3 bytes worth it? */
ROWS_INLINE bool rows_short_pays(const struct gzip_rows *r, const uint8_t *here, unsigned distance)
{
	const unsigned code = gzip_distance_code(&r->codes, distance);

	return r->shortest_cost + r->distance_cost[code] + ROWS_SHORT_GAIN <
	       r->literal_cost[here[0]] + r->literal_cost[here[1]] + r->literal_cost[here[2]];
}

/* Returns the length, or 0 where it was more than there was room for. */
static size_t rows_deflate(struct gzip_rows *r, const uint8_t *in, size_t in_len, struct gzip_bits *out)
{
	const uint8_t *const begin = out->to;
	const uint32_t limit = in_len > ROWS_TAIL ? (uint32_t)(in_len - ROWS_TAIL) : 0;
	uint32_t ahead[ROWS_AHEAD];
	unsigned literals = 0;
	uint32_t at = 0;

	gzip_rows_begin(r);
	for (unsigned i = 0; i < ROWS_AHEAD && limit > 0; i++)
		ahead[i] = rows_hash(in + i);
	while (at < in_len) {
		const uint32_t left = (uint32_t)in_len - at;
		unsigned length = 0;
		unsigned distance = 0;
		uint32_t put = at; /* all before it are in the tables */

		if (at < limit) {
			const uint32_t hash = rows_next(r, in, at, ahead);
			uint16_t *const last = &r->short_position[rows_hash_short(in + at)];
			const unsigned back = (at - *last) & 0xffff;

			*last = (uint16_t)at;
			length = rows_longest(r, in, at, hash, 3, left < GZIP_MATCH_MAX ? left : GZIP_MATCH_MAX,
			                      ROWS_ALL_PLACES, &distance);
			if (length == 0 && back - 1 < ROWS_SHORT_FAR &&
			    ((rows_load(in + at) ^ rows_load(in + at - back)) & 0xffffff) == 0 &&
			    rows_short_pays(r, in + at, back)) {
				length = 3;
				distance = back;
			}
			rows_put(r, hash, at);
			put = at + 1;
		}
		while (length > 0 && length < ROWS_LAZY_MAX && put < limit) {
			const uint32_t hash = rows_next(r, in, put, ahead);
			const uint32_t more = (uint32_t)in_len - put;
			unsigned other_distance = 0;
			const unsigned other =
				rows_longest(r, in, put, hash, length <= 3 ? 3 : length - 1,
			                     more < GZIP_MATCH_MAX ? more : GZIP_MATCH_MAX,
			                     length >= ROWS_GOOD ? ROWS_GOOD_PLACES : ROWS_ALL_PLACES, &other_distance);

			r->short_position[rows_hash_short(in + put)] = (uint16_t)put;
			rows_put(r, hash, put);
			put++;
			if (other == 0 || rows_worth(other, other_distance) <= rows_worth(length, distance) + 2)
				break;
			r->part.symbol[in[at]]++;
			literals++;
			at++;
			length = other;
			distance = other_distance;
		}
		if (length == 0) {
			r->part.symbol[in[at]]++;
			literals++;
			at++;
			if (literals < ROWS_LITERALS_MAX && at < in_len)
				continue;
		} else {
			const uint32_t end = at + length < limit ? at + length : limit;

			r->part.symbol[GZIP_LENGTH_CODE + r->codes.of_length[length]]++;
			r->part.distance[gzip_distance_code(&r->codes, distance)]++;
			at += length;
			if (length >= ROWS_LONG)
				for (; put + ROWS_LONG_LAST < end; put++)
					rows_put(r, rows_next(r, in, put, ahead), put);
			for (; put < end; put++) {
				rows_put(r, rows_next(r, in, put, ahead), put);
				r->short_position[rows_hash_short(in + put)] = (uint16_t)put;
			}
		}
		r->tokens[r->token_count++] =
			(struct gzip_token){(uint16_t)literals, (uint16_t)length, (uint16_t)distance};
		literals = 0;
		if (r->token_count - r->part_begin == ROWS_PART_TOKENS)
			gzip_rows_part_end(r, in, at, out);
	}
	gzip_rows_end(r, in, out);
	return out->full ? 0 : (size_t)(out->to - begin);
}

#endif
