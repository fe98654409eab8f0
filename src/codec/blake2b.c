/*
 * blake2b.c - see blake2b.h.
 *
 * A digest of 32 bytes is no cut one of 64: the length goes into the first word of the state. Otherwise the function is the
 * same, so this is tested against OpenSSL's at 64 bytes, and against b2sum -l at the others. A message is at most 2^64
 * bytes here, so that the upper word of the counter stays 0. The rounds are written as RFC 7693 has them; a compiler makes
 * 0.5 GB/s of that, which is enough for digests that few have.
 */
#include "blake2b.h"

#include <string.h>

#define ROUNDS 12

static const uint64_t start[8] = {
	UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
	UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
	UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

/* The schedule repeats after ten rounds. */
static const uint8_t sigma[10][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t load(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t rotate(uint64_t v, unsigned by)
{
	return v >> by | v << (64 - by);
}

static inline void mix(uint64_t v[static 16], int a, int b, int c, int d, uint64_t x, uint64_t y)
{
	v[a] += v[b] + x;
	v[d] = rotate(v[d] ^ v[a], 32);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 24);
	v[a] += v[b] + y;
	v[d] = rotate(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotate(v[b] ^ v[c], 63);
}

/* The next block, len bytes of the message and zeros behind. */
static void compress(struct blake2b *b, const uint8_t *block, size_t len, int is_last)
{
	uint64_t v[16], m[16];

	b->total += len;
	for (int i = 0; i < 16; i++)
		m[i] = load(block + 8 * i);
	memcpy(v, b->h, sizeof(b->h));
	memcpy(v + 8, start, sizeof(start));
	v[12] ^= b->total;
	if (is_last)
		v[14] = ~v[14];
	for (int r = 0; r < ROUNDS; r++) {
		const uint8_t *s = sigma[r % 10];

		mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
		mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
		mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
		mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
		mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
		mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
		mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
		mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
	}
	for (int i = 0; i < 8; i++)
		b->h[i] ^= v[i] ^ v[i + 8];
}

void blake2b_start(struct blake2b *b, size_t size_bytes)
{
	memcpy(b->h, start, sizeof(start));
	b->h[0] ^= UINT64_C(0x01010000) ^ size_bytes;
	b->total = 0;
	b->size_bytes = size_bytes;
	b->fill = 0;
}

void blake2b_update(struct blake2b *b, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t n = BLAKE2B_BLOCK - b->fill < len ? BLAKE2B_BLOCK - b->fill : len;

		if (b->fill == BLAKE2B_BLOCK) {
			compress(b, b->block, BLAKE2B_BLOCK, 0);
			b->fill = 0;
			continue;
		}
		if (b->fill == 0 && len > BLAKE2B_BLOCK) {
			compress(b, p, BLAKE2B_BLOCK, 0);
		} else {
			memcpy(b->block + b->fill, p, n);
			b->fill += n;
		}
		p += n;
		len -= n;
	}
}

void blake2b_finish(struct blake2b *b, uint8_t *out)
{
	memset(b->block + b->fill, 0, BLAKE2B_BLOCK - b->fill);
	compress(b, b->block, b->fill, 1);
	for (size_t i = 0; i < b->size_bytes; i++)
		out[i] = (uint8_t)(b->h[i / 8] >> (8 * (i % 8)));
}
