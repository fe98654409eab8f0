/*
 * digest_lanes.c - see bm_digest_lanes.h.
 *
 * The instructions for SHA-256 that x86-64 CPUs have take four cycles each, and in one message every one of them waits
 * for the one before: half of the unit stands idle (OpenSSL: 1.8 GB/s where this was measured). Two messages that take
 * turns fill the gap (2.8 GB/s). OpenSSL, which does most of the other digests here, has no interface for that. A tree of
 * small files spends half of its time in SHA-256 once all else is lean, so it is worth these lines.
 *
 * A block is 16 steps of four rounds. Step i uses the schedule words 4i ... 4i+3, and makes those of step i+4 in their
 * place.
 */
#include "bm_digest_lanes.h"

#include <string.h>

#define BLOCK BM_LANE_BLOCK

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>

#define WITH_SHA __attribute__((target("sha,sse4.1")))
#define WITH_SHA_INLINE WITH_SHA __attribute__((always_inline)) static inline

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t k256[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* One message in registers. */
struct regs {
	__m128i abef, cdgh;
	__m128i w[4]; /* the schedule's next 16 words */
};

WITH_SHA_INLINE void regs_load(struct regs *r, const struct bm_digest_lane *l)
{
	r->abef = _mm_loadu_si128((const __m128i *)(const void *)&l->state[0]);
	r->cdgh = _mm_loadu_si128((const __m128i *)(const void *)&l->state[4]);
}

WITH_SHA_INLINE void regs_store(const struct regs *r, struct bm_digest_lane *l)
{
	_mm_storeu_si128((__m128i *)(void *)&l->state[0], r->abef);
	_mm_storeu_si128((__m128i *)(void *)&l->state[4], r->cdgh);
}

WITH_SHA_INLINE void regs_take_block(struct regs *r, const uint8_t *block)
{
	const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);

	for (int i = 0; i < 4; i++)
		r->w[i] =
			_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i)), big_endian);
}

WITH_SHA_INLINE void regs_step(struct regs *r, unsigned i)
{
	__m128i *w = r->w;
	__m128i wk = _mm_add_epi32(w[i % 4], _mm_load_si128((const __m128i *)(const void *)&k256[4 * (size_t)i]));

	r->cdgh = _mm_sha256rnds2_epu32(r->cdgh, r->abef, wk);
	r->abef = _mm_sha256rnds2_epu32(r->abef, r->cdgh, _mm_shuffle_epi32(wk, 0x0e));
	if (i < 12) {
		__m128i x = _mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]);

		x = _mm_add_epi32(x, _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4));
		w[i % 4] = _mm_sha256msg2_epu32(x, w[(i + 3) % 4]);
	}
}

WITH_SHA static void run_two(struct bm_digest_lane *la, struct bm_digest_lane *lb, size_t blocks)
{
	const uint8_t *pa = la->next, *pb = lb->next;
	struct regs a, b;

	regs_load(&a, la);
	regs_load(&b, lb);
	for (; blocks > 0; blocks--, pa += BLOCK, pb += BLOCK) {
		__m128i a_abef = a.abef, a_cdgh = a.cdgh, b_abef = b.abef, b_cdgh = b.cdgh;

		regs_take_block(&a, pa);
		regs_take_block(&b, pb);
#pragma GCC unroll 16
		for (unsigned i = 0; i < 16; i++) {
			regs_step(&a, i);
			regs_step(&b, i);
		}
		a.abef = _mm_add_epi32(a.abef, a_abef);
		a.cdgh = _mm_add_epi32(a.cdgh, a_cdgh);
		b.abef = _mm_add_epi32(b.abef, b_abef);
		b.cdgh = _mm_add_epi32(b.cdgh, b_cdgh);
	}
	regs_store(&a, la);
	regs_store(&b, lb);
}

WITH_SHA static void run_one(struct bm_digest_lane *l, size_t blocks)
{
	const uint8_t *p = l->next;
	struct regs r;

	regs_load(&r, l);
	for (; blocks > 0; blocks--, p += BLOCK) {
		__m128i abef = r.abef, cdgh = r.cdgh;

		regs_take_block(&r, p);
#pragma GCC unroll 16
		for (unsigned i = 0; i < 16; i++)
			regs_step(&r, i);
		r.abef = _mm_add_epi32(r.abef, abef);
		r.cdgh = _mm_add_epi32(r.cdgh, cdgh);
	}
	regs_store(&r, l);
}

static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;
static bool cpu_has_sha; /* written once, under cpu_once */

static void cpu_look(void)
{
	unsigned a, b, c, d;

	cpu_has_sha = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSSE3) && (c & bit_SSE4_1) &&
	              __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

static bool cpu_can(void)
{
	return pthread_once(&cpu_once, cpu_look) == 0 && cpu_has_sha;
}

#else /* other CPUs: OpenSSL, one at a time */

static void run_two(struct bm_digest_lane *la, struct bm_digest_lane *lb, size_t blocks)
{
	(void)la, (void)lb, (void)blocks;
}

static void run_one(struct bm_digest_lane *l, size_t blocks)
{
	(void)l, (void)blocks;
}

static bool cpu_can(void)
{
	return false;
}

#endif

bool bm_digest_has_lanes(const struct bm_digest_algorithm *a)
{
	return strcmp(a->name, "sha256") == 0 && cpu_can();
}

/* This part is through: on to the next that has blocks. */
static void lane_turn(struct bm_digest_lane *l)
{
	if (l->blocks > 0)
		return;
	if (l->body_blocks > 0) {
		l->next = l->body;
		l->blocks = l->body_blocks;
		l->body_blocks = 0;
	} else if (l->tail_blocks > 0) {
		l->next = l->tail;
		l->blocks = l->tail_blocks;
		l->tail_blocks = 0;
	} else {
		l->has_piece = false;
	}
}

static void lane_pad(struct bm_digest_lane *l)
{
	uint64_t bits = l->total * 8;
	size_t len = l->tail_len;

	l->tail_blocks = len + 1 + 8 <= BLOCK ? 1 : 2;
	l->tail[len] = 0x80;
	memset(l->tail + len + 1, 0, l->tail_blocks * BLOCK - len - 1);
	for (unsigned i = 0; i < 8; i++)
		l->tail[l->tail_blocks * BLOCK - 1 - i] = (uint8_t)(bits >> (8 * i));
}

void bm_digest_lane_give(struct bm_digest_lane *l, const void *data, size_t len, bool last)
{
	/* FIPS 180-4, 5.3.3; in the register's order from its low end: f e b a, h g d c. */
	static const uint32_t initial[8] = {0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667,
	                                    0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372};
	const uint8_t *p = data;

	if (!l->started) {
		memcpy(l->state, initial, sizeof(l->state));
		l->total = 0;
		l->tail_len = 0;
		l->started = true;
	}
	l->total += len;
	l->has_piece = true;
	l->blocks = l->body_blocks = l->tail_blocks = 0;
	if (l->tail_len > 0) {
		size_t n = BLOCK - l->tail_len < len ? BLOCK - l->tail_len : len;

		if (n > 0)
			memcpy(l->tail + l->tail_len, p, n);
		l->tail_len += n;
		len -= n;
		p = len > 0 ? p + n : p;
		if (l->tail_len == BLOCK) {
			memcpy(l->head, l->tail, BLOCK);
			l->next = l->head;
			l->blocks = 1;
			l->tail_len = 0;
		}
	}
	if (len > 0) { /* nothing is left in tail */
		l->body = p;
		l->body_blocks = len / BLOCK;
		l->tail_len = len % BLOCK;
		memcpy(l->tail, p + (len - l->tail_len), l->tail_len);
	}
	if (last)
		lane_pad(l);
	lane_turn(l);
}

void bm_digest_lanes_run(struct bm_digest_lane *a, struct bm_digest_lane *b)
{
	while (a->has_piece && b->has_piece) {
		size_t n = a->blocks < b->blocks ? a->blocks : b->blocks;

		run_two(a, b, n);
		a->next += n * BLOCK;
		b->next += n * BLOCK;
		a->blocks -= n;
		b->blocks -= n;
		lane_turn(a);
		lane_turn(b);
	}
}

void bm_digest_lane_run(struct bm_digest_lane *l)
{
	while (l->has_piece) {
		run_one(l, l->blocks);
		l->blocks = 0;
		lane_turn(l);
	}
}

void bm_digest_lane_result(const struct bm_digest_lane *l, uint8_t out[static BM_DIGEST_MAX_BYTES])
{
	static const unsigned place[8] = {3, 2, 7, 6, 1, 0, 5, 4}; /* of a ... h in state */

	for (unsigned i = 0; i < 8; i++)
		for (unsigned k = 0; k < 4; k++)
			out[4 * i + k] = (uint8_t)(l->state[place[i]] >> (24 - 8 * k));
}
