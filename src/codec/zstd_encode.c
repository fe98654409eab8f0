/*
 * zstd_encode.c - the writing half of bm_zstd.h: chunks to frames (RFC 8878, section 3.1.1), with libzstd.
 *
 * A chunk is compressed with one call of ZSTD_compress2: the whole input is there and the output buffer holds the worst
 * case, so libzstd reads straight from the one and writes straight into the other, with no window of its own between.
 * Since it is told the input's end at the start, the header tells the content's size (3.1.1.1.4). Each frame begins from
 * nothing but the parameters, so which encoder gets a chunk makes no difference to the output.
 *
 * The frame's checksum (3.1.1, Content_Checksum) is the low half of XXH64 of the content, which is also what the seek
 * table wants: it is read from the frame's last four bytes rather than computed twice.
 *
 * The chunk size decides the size of the output, for a frame knows nothing of the one before it. zstd -T2 cuts as well,
 * but primes each job with the end of the one before, which frames of their own cannot have. Measured, 2 threads, size
 * against `zstd -L -T2`, on a tar of /usr/include (123 MB, with many near-copies) and on libLLVM and node (216 MB):
 *
 *     level 3        1 MiB          2 MiB          4 MiB          8 MiB
 *     text      +42   %        +17   %         +5.4 %         -0.4 %
 *     binaries   +2.6 %         +1.3 %         +0.6 %         -0.1 %
 *
 * with the window as long as the chunk (level 3's own 2 MiB make 8 MiB chunks +2.0 %), at the same CPU time in all of
 * them. Longer chunks would find more, but the window should not pass 8 MiB, the least that a decoder should offer
 * (3.1.1.1.2), and each token of the engine holds a chunk twice. At levels below 2 the tables are so small that they
 * hold no more than the last few hundred KiB: 2 MiB chunks are within 0.4 % there.
 */
#include "bm_zstd.h"

#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "bm_error.h"
#include "zstd_format.h"

#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 23 /* 8 MiB */

struct bm_zstd_encoder {
	ZSTD_CCtx *z; /* its session ends with each frame; the parameters stay */
	int level;
	size_t chunk_bytes;
};

size_t bm_zstd_best_chunk(int level)
{
	return level < 2 ? (size_t)2 << 20 : (size_t)8 << 20;
}

static int window_log(size_t chunk_bytes)
{
	int bits = WINDOW_LOG_MIN;

	while (bits < WINDOW_LOG_MAX && (size_t)1 << bits < chunk_bytes)
		bits++;
	return bits;
}

enum bm_status bm_zstd_encoder_create(int level, size_t chunk_bytes, struct bm_zstd_encoder **out, struct bm_error *err)
{
	struct bm_zstd_encoder *e = NULL;
	size_t code;

	*out = NULL;
	if (level < BM_ZSTD_LEVEL_MIN || level > BM_ZSTD_LEVEL_MAX || level == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "zstd level %d: 1 to %d and -1 to %d are possible", level,
		                    BM_ZSTD_LEVEL_MAX, BM_ZSTD_LEVEL_MIN);
	if (chunk_bytes == 0 || chunk_bytes > BM_ZSTD_CHUNK_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "zstd: a chunk of %zu bytes; 1 to %zu are possible",
		                    chunk_bytes, BM_ZSTD_CHUNK_MAX);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return bm_error_set_nomem(err);
	e->level = level;
	e->chunk_bytes = chunk_bytes;
	e->z = ZSTD_createCCtx();
	if (e->z == NULL) {
		free(e);
		return bm_error_set_nomem(err);
	}
	code = ZSTD_CCtx_setParameter(e->z, ZSTD_c_compressionLevel, level);
	if (!ZSTD_isError(code))
		code = ZSTD_CCtx_setParameter(e->z, ZSTD_c_windowLog, window_log(chunk_bytes));
	if (!ZSTD_isError(code))
		code = ZSTD_CCtx_setParameter(e->z, ZSTD_c_checksumFlag, 1);
	if (ZSTD_isError(code)) {
		bm_zstd_encoder_destroy(e);
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "libzstd %s takes no level %d: %s",
		                    ZSTD_versionString(), level, ZSTD_getErrorName(code));
	}
	*out = e;
	return BM_OK;
}

void bm_zstd_encoder_destroy(struct bm_zstd_encoder *e)
{
	if (e == NULL)
		return;
	(void)ZSTD_freeCCtx(e->z); /* fails for static contexts only */
	free(e);
}

size_t bm_zstd_encoder_bytes(int level, size_t chunk_bytes)
{
	/* In MiB, by level: ZSTD_sizeof_CCtx after a chunk of 8 MiB, libzstd 1.5.4. Longer chunks want no more; shorter
	 * ones want tables in proportion. (libzstd's own estimate is not among its stable functions.) */
	static const uint8_t at_most[BM_ZSTD_LEVEL_MAX + 1] = {1,  1,  1,  2,  3,  4,  4,  7,  7,  13,
	                                                       25, 25, 49, 33, 49, 65, 33, 49, 50, 83};
	const size_t mib = (size_t)1 << 20;
	const size_t by_level = (level < 0 ? 1 : level > BM_ZSTD_LEVEL_MAX ? 83 : at_most[level]) * mib;
	const size_t window = (size_t)1 << window_log(chunk_bytes);
	const size_t by_chunk = 17 * window + mib;

	return (by_level < by_chunk ? by_level : by_chunk) + mib / 8;
}

size_t bm_zstd_bound(size_t in_len)
{
	const size_t bound = ZSTD_compressBound(in_len);

	return ZSTD_isError(bound) || bound < in_len ? SIZE_MAX : bound;
}

enum bm_status bm_zstd_frame(struct bm_zstd_encoder *e, const void *in, size_t in_len, void *out, size_t out_cap,
                             size_t *out_len, uint32_t *checksum, struct bm_error *err)
{
	size_t code;

	*out_len = 0;
	*checksum = 0;
	if (in_len > e->chunk_bytes)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "zstd: a chunk of %zu bytes; this encoder takes %zu",
		                    in_len, e->chunk_bytes);
	if (out_cap < bm_zstd_bound(in_len))
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "zstd: a chunk of %zu bytes wants an output buffer of %zu bytes; this one has %zu",
		                    in_len, bm_zstd_bound(in_len), out_cap);
	code = ZSTD_compress2(e->z, out, out_cap, in, in_len);
	if (ZSTD_isError(code)) {
		if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
			return bm_error_set_nomem(err);
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "libzstd %s did not finish a chunk of %zu bytes at level %d: %s",
		                    ZSTD_versionString(), in_len, e->level, ZSTD_getErrorName(code));
	}
	*out_len = code;
	*checksum = zfmt_get_u32((const uint8_t *)out + code - ZFMT_CHECKSUM_BYTES);
	return BM_OK;
}
