/*
 * gzip_encode.c - the writing half of bm_gzip.h: chunks to gzip members (RFC 1952) or to pieces of one deflate stream
 * (RFC 1951), with zlib.
 *
 * A chunk is deflated with one call of deflate(): the whole input is there, and the output buffer holds the worst case,
 * so the call always finishes and there is no loop to suspend. Each chunk starts from deflateReset, which leaves
 * nothing of the chunk before, so that the output depends on this chunk (and on its dictionary) alone, whichever
 * encoder gets it.
 *
 * Layout indexed: a member a chunk, its size in the extra field "IG" (section 2.3.1.1), which is what lets a reader
 * find the next member, and so read in parallel, without inflating this one. The size is known only at the end; the
 * deflate data goes to its place behind the 20 header bytes, which are filled in last.
 *
 * Layout single, as pigz does it: deflate data has no lengths and may refer back 32 KiB, so each chunk is compressed
 * with the 32 KiB before it as a preset dictionary. (Without it the joints cost 2 to 3 % of the size in chunks of 128
 * KiB, and 0.3 % in chunks of 1 MiB: measured on text, levels 1 to 9.) All but the last end in a sync flush: an empty
 * stored block (RFC 1951, section 3.2.4) brings the stream to a byte boundary without ending it, so that the pieces can
 * be put one after another. Only the last piece sets BFINAL. An empty piece that is not the last is no bytes at all; an
 * empty last one is the 2-byte empty block that ends the stream.
 *
 * memLevel 8 (the default, and what gzip and pigz use) and not 9. Measured in 1 MiB chunks, 24 MB of text and 16 MB of
 * libraries, levels 1, 6 and 9: memLevel 9 is 0.01 to 0.15 % larger and up to 10 % slower: its blocks are twice as long
 * and adapt later, and its hash table takes twice the cache. It also spoils the bound: a block of 32 K literals may no
 * longer be in the window when it ends, cannot then be stored, and grows by an eighth.
 *
 * The bound: at levels 1 to 9 a block holds 16,383 symbols of at least one byte each, and zlib stores it where
 * compressing would make it larger: 5 bytes of overhead a block; level 0 stores blocks of 64 KiB at most. in/4096 +
 * in/16384 is 5 in 16,384, and in/2^25 makes up for the one byte of difference. SLACK holds the last block, the bits
 * before a stored block begins, and a sync flush. This is deflateBound's own formula for these parameters; that wants a
 * z_stream, which the caller who plans the memory does not have.
 */
#define ZLIB_CONST
#include "bm_gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_mem.h"
#include "gzip_header.h"

#define MEM_LEVEL 8
#define SLACK 32 /* bytes; see above, 13 would do */

struct bm_gzip_encoder {
	z_stream z; /* reset before each chunk */
	int level;
};

/* XFL of RFC 1952: 2 "slowest", 4 "fastest". */
static uint8_t extra_flags(int level)
{
	return level == 9 ? 2 : level == 1 ? 4 : 0;
}

enum bm_status bm_gzip_encoder_create(int level, struct bm_gzip_encoder **out, struct bm_error *err)
{
	struct bm_gzip_encoder *e = NULL;
	int code;

	*out = NULL;
	if (level < 0 || level > 9)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "gzip level %d: 0 to 9 are possible", level);
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return bm_error_set_nomem(err);
	e->level = level;
	code = deflateInit2(&e->z, level, Z_DEFLATED, -MAX_WBITS, MEM_LEVEL, Z_DEFAULT_STRATEGY);
	if (code != Z_OK) {
		free(e);
		if (code == Z_MEM_ERROR)
			return bm_error_set_nomem(err);
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "zlib %s could not start: %s (built against %s)",
		                    zlibVersion(), zError(code), ZLIB_VERSION);
	}
	*out = e;
	return BM_OK;
}

void bm_gzip_encoder_destroy(struct bm_gzip_encoder *e)
{
	if (e == NULL)
		return;
	(void)deflateEnd(&e->z); /* Z_DATA_ERROR only says that a stream was not ended */
	free(e);
}

size_t bm_gzip_encoder_bytes(void)
{
	/* As zconf.h states it for deflate, its state included as "a few kilobytes". */
	return sizeof(struct bm_gzip_encoder) + ((size_t)1 << (MAX_WBITS + 2)) + ((size_t)1 << (MEM_LEVEL + 9)) + 8192;
}

size_t bm_gzip_bound(size_t in_len)
{
	const size_t overhead = (in_len >> 12) + (in_len >> 14) + (in_len >> 25) + SLACK + BM_GZIP_HEADER_BYTES +
	                        GZIP_IG_BYTES + BM_GZIP_TRAILER_BYTES;
	size_t sum;

	return bm_add_size(in_len, overhead, &sum) ? sum : SIZE_MAX;
}

/* Deflates in to out; the caller has looked at the sizes. */
static enum bm_status deflate_chunk(struct bm_gzip_encoder *e, const void *dict, size_t dict_len, const void *in,
                                    size_t in_len, int flush, uint8_t *out, size_t out_cap, size_t *out_len,
                                    struct bm_error *err)
{
	static const uint8_t nothing[1] = {0}; /* zlib takes no NULL */
	int code;

	code = deflateReset(&e->z);
	if (code == Z_OK && dict_len > 0)
		code = deflateSetDictionary(&e->z, dict, (uInt)dict_len);
	if (code != Z_OK)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "zlib could not begin a chunk: %s", zError(code));
	e->z.next_in = in_len > 0 ? in : nothing;
	e->z.avail_in = (uInt)in_len;
	e->z.next_out = out;
	e->z.avail_out = (uInt)(out_cap < UINT_MAX ? out_cap : UINT_MAX);
	code = deflate(&e->z, flush);
	if (code != (flush == Z_FINISH ? Z_STREAM_END : Z_OK) || e->z.avail_in != 0 || e->z.avail_out == 0)
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "zlib %s did not finish a chunk of %zu bytes at level %d in %zu bytes (%s): this "
		                    "is a defect",
		                    zlibVersion(), in_len, e->level, out_cap, zError(code));
	*out_len = (size_t)(e->z.next_out - out);
	return BM_OK;
}

static enum bm_status check_sizes(size_t in_len, size_t out_cap, struct bm_error *err)
{
	if (in_len > GZIP_CHUNK_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "gzip: a chunk of %zu bytes; at most %d are possible",
		                    in_len, GZIP_CHUNK_MAX);
	if (out_cap < bm_gzip_bound(in_len))
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "gzip: a chunk of %zu bytes wants an output buffer of %zu bytes; this one has %zu",
		                    in_len, bm_gzip_bound(in_len), out_cap);
	return BM_OK;
}

enum bm_status bm_gzip_member(struct bm_gzip_encoder *e, const void *in, size_t in_len, void *out, size_t out_cap,
                              size_t *out_len, struct bm_error *err)
{
	static const uint8_t ig_head[] = {GZIP_IG_BYTES - 2, 0, 'I', 'G', 4, 0};
	const size_t head_bytes = BM_GZIP_HEADER_BYTES + GZIP_IG_BYTES;
	enum bm_status status;
	uint8_t *const to = out;
	size_t deflated = 0;
	size_t total;

	*out_len = 0;
	status = check_sizes(in_len, out_cap, err);
	if (status != BM_OK)
		return status;
	status = deflate_chunk(e, NULL, 0, in, in_len, Z_FINISH, to + head_bytes,
	                       out_cap - head_bytes - BM_GZIP_TRAILER_BYTES, &deflated, err);
	if (status != BM_OK)
		return status;
	total = head_bytes + deflated + BM_GZIP_TRAILER_BYTES;
	bm_gzip_put_header(to, e->level);
	to[3] = GZIP_FEXTRA;
	memcpy(to + BM_GZIP_HEADER_BYTES, ig_head, sizeof(ig_head));
	gzip_put_u32(to + BM_GZIP_HEADER_BYTES + sizeof(ig_head), (uint32_t)total); /* <= bound of 1 GiB */
	bm_gzip_put_trailer(to + head_bytes + deflated, bm_crc32(0, in, in_len), in_len);
	*out_len = total;
	return BM_OK;
}

enum bm_status bm_gzip_piece(struct bm_gzip_encoder *e, const void *dict, size_t dict_len, const void *in,
                             size_t in_len, bool last, void *out, size_t out_cap, size_t *out_len, uint32_t *crc,
                             struct bm_error *err)
{
	enum bm_status status;

	*out_len = 0;
	*crc = 0;
	status = check_sizes(in_len, out_cap, err);
	if (status != BM_OK)
		return status;
	if (in_len == 0 && !last)
		return BM_OK;
	if (dict_len > GZIP_WINDOW) { /* no reference reaches further back */
		dict = (const uint8_t *)dict + (dict_len - GZIP_WINDOW);
		dict_len = GZIP_WINDOW;
	}
	status = deflate_chunk(e, dict, dict_len, in, in_len, last ? Z_FINISH : Z_SYNC_FLUSH, out, out_cap, out_len,
	                       err);
	if (status == BM_OK)
		*crc = bm_crc32(0, in, in_len);
	return status;
}

void bm_gzip_put_header(uint8_t out[static BM_GZIP_HEADER_BYTES], int level)
{
	memset(out, 0, BM_GZIP_HEADER_BYTES); /* FLG: none; MTIME: 0, not known */
	out[0] = GZIP_ID1;
	out[1] = GZIP_ID2;
	out[2] = GZIP_CM_DEFLATE;
	out[8] = extra_flags(level);
	out[9] = GZIP_OS_UNKNOWN;
}

void bm_gzip_put_trailer(uint8_t out[static BM_GZIP_TRAILER_BYTES], uint32_t crc, uint64_t total_bytes)
{
	gzip_put_u32(out, crc);
	gzip_put_u32(out + 4, (uint32_t)total_bytes); /* ISIZE is modulo 2^32 */
}
