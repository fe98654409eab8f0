/*
 * isal_leave.h - private to src/codec: to be called after what ISA-L did with AVX (CRC-32, deflate).
 *
 * ISA-L 2.30 returns with the upper halves of the vector registers in use (no VZEROUPPER), against the ABI's advice. SSE
 * code that runs then has to keep them, and is the slower for it until someone clears them. Measured (AMD, Zen 5):
 * libdeflate's level 6 after ISA-L's CRC-32 of each chunk takes 5 % more time.
 */
#ifndef BM_CODEC_ISAL_LEAVE_H
#define BM_CODEC_ISAL_LEAVE_H

#ifdef __x86_64__
#include <immintrin.h>

__attribute__((target("avx"))) static inline void isal_clear_upper(void)
{
	_mm256_zeroupper();
}

static inline void isal_leave(void)
{
	if (__builtin_cpu_supports("avx"))
		isal_clear_upper();
}
#else
static inline void isal_leave(void)
{
}
#endif

#endif
