/*
 * test_gzip_avx.c - what the codecs leave in the CPU: no upper halves of vector registers in use, which would slow down
 * whatever runs after them (see isal_leave.h). XGETBV with ECX 1 tells which parts of the registers are not in their
 * initial state (Intel's manual, volume 1, section 13.2); bit 2 is the upper halves of YMM0 to YMM15.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_gzip.h"

#ifdef __x86_64__
#include <cpuid.h>

#define DATA_BYTES ((size_t)300000)

static bool upper_in_use(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1));
	return (low & 4) != 0;
}

/* In assembler, for compilers clean up behind intrinsics. */
static void use_upper(void)
{
	__asm__ volatile("vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvinsertf128 $1, %%xmm0, %%ymm0, %%ymm0" ::: "xmm0");
}

static void clear_upper(void)
{
	__asm__ volatile("vzeroupper");
}

/* Does this CPU have upper halves, and tell whether they are in use? */
static bool can_tell(void)
{
	uint32_t a, b, c, d;
	bool used, cleared;

	if (!__builtin_cpu_supports("avx"))
		return false;
	__cpuid_count(0xd, 1, a, b, c, d);
	if ((a & 4) == 0)
		return false;
	use_upper();
	used = upper_in_use();
	clear_upper();
	cleared = !upper_in_use();
	return used && cleared;
}

static void test_crc32(void **state)
{
	uint8_t *data = calloc(1, DATA_BYTES);

	(void)state;
	if (!can_tell())
		skip();
	assert_non_null(data);
	for (size_t len = 1; len < DATA_BYTES; len = len * 3 + 1) {
		clear_upper();
		(void)bm_crc32(0, data, len);
		assert_false(upper_in_use());
	}
	free(data);
}

static void test_members(void **state)
{
	const size_t bound = bm_gzip_bound(DATA_BYTES);
	uint8_t *data = malloc(DATA_BYTES);
	uint8_t *packed = malloc(bound);

	(void)state;
	if (!can_tell())
		skip();
	assert_non_null(data);
	assert_non_null(packed);
	for (enum bm_gzip_engine engine = BM_GZIP_ZLIB; engine < BM_GZIP_ENGINES; engine++) {
		for (int level = engine == BM_GZIP_ROWS ? 6 : 1; level <= bm_gzip_level_max(BM_GZIP_INDEXED, engine);
		     level++) {
			for (int text = 0; text < 2; text++) { /* ISA-L takes another way for text */
				struct bm_gzip_encoder *e;
				struct bm_gzip_decoder *d;
				size_t packed_bytes, bytes;
				uint32_t x = 1;
				bool after_pack, after_unpack;

				for (size_t i = 0; i < DATA_BYTES; i++) {
					x = x * 1664525 + 1013904223;
					data[i] = (uint8_t)(text ? 'a' + (x >> 29) : x >> 27 << 4);
				}
				assert_int_equal(bm_gzip_encoder_create(BM_GZIP_INDEXED, level, engine, &e, NULL),
				                 BM_OK);
				assert_int_equal(bm_gzip_decoder_create_with(engine, &d, NULL), BM_OK);
				clear_upper();
				assert_int_equal(
					bm_gzip_member(e, data, DATA_BYTES, packed, bound, &packed_bytes, NULL), BM_OK);
				after_pack = upper_in_use();
				clear_upper();
				assert_int_equal(
					bm_gzip_decode_member(d, packed, packed_bytes, data, DATA_BYTES, &bytes, NULL),
					BM_OK);
				after_unpack = upper_in_use();
				assert_false(after_pack);
				assert_false(after_unpack);
				bm_gzip_encoder_destroy(e);
				bm_gzip_decoder_destroy(d);
			}
		}
	}
	free(data);
	free(packed);
}
#else
static void test_crc32(void **state)
{
	(void)state;
	skip();
}
static void test_members(void **state)
{
	(void)state;
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32),
		cmocka_unit_test(test_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
