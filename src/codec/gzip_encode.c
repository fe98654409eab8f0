/*
 * gzip_encode.c - the writing half of bm_gzip.h: chunks to gzip members (RFC 1952) or to pieces of one deflate stream
 * (RFC 1951), with whichever engine was picked. BGZF, which is members again, is in gzip_bgzf.c.
 *
 * Layout indexed: a member a chunk, its size in the extra field "IG" (section 2.3.1.1), which is what lets a reader
 * find the next member, and so read in parallel, without inflating this one. The size is known only at the end; the
 * deflate data goes to its place behind the 20 header bytes, which are filled in last.
 *
 * Layout single: one member, of pieces that follow one another: see gzip_zlib.c. An empty piece that is not the last is
 * no bytes at all; an empty last one is the 2-byte empty block that ends the stream.
 *
 * Stored data is made here and not by an engine: at level 0, and whenever an engine finds no shorter form than stored
 * blocks (5 bytes for each 65,535: section 3.2.4 of RFC 1951). An engine is given room for that and a few bytes more,
 * and gives up when they are used. So the longest possible member is the same with every engine, and every engine,
 * whatever its own worst case, keeps within bm_gzip_bound(). That room depends on the chunk's length alone, not on the
 * buffer's, for output must not depend on how memory was planned. An empty chunk is always the same 2 bytes.
 *
 * The bound: a piece is zlib's own and ends in a flush, so zlib's worst case is in it. At levels 1 to 9 a block holds
 * 16,383 symbols of at least one byte each, and zlib stores it where compressing would make it larger: 5 bytes of
 * overhead a block; level 0 stores blocks of 64 KiB at most. in/4096 + in/16384 is 5 in 16,384, and in/2^25 makes up
 * for the one byte of difference. SLACK holds the last block, the bits before a stored block begins, and a sync flush.
 * This is deflateBound's own formula for these parameters; that wants a z_stream, which the caller who plans the memory
 * does not have.
 */
#include "gzip_encode.h"

#include <stdlib.h>
#include <string.h>

#include "bm_digest.h"
#include "bm_error.h"
#include "bm_mem.h"
#include "gzip_header.h"

#define SLACK 32        /* bytes; see above, 13 would do */
#define ENGINE_EXTRA 16 /* bytes that engines want free at the end of their output, though they do not fill them */

struct bm_gzip_encoder {
	const struct gzip_engine *engine;
	void *deflater; /* of that engine; NULL at level 0, unless pieces are made */
	int level;
};

/* XFL of RFC 1952: 2 "slowest", 4 "fastest". */
static uint8_t extra_flags(int level)
{
	return level >= 9 ? 2 : level == 1 ? 4 : 0;
}

/* Level 0 of members needs no engine. Pieces are zlib's at every level, and any zlib encoder can make them. */
static bool wants_deflater(const struct gzip_engine *engine, int level)
{
	return level > 0 || engine->deflate_piece != NULL;
}

enum bm_status bm_gzip_encoder_create(enum bm_gzip_layout layout, int level, enum bm_gzip_engine engine,
                                      struct bm_gzip_encoder **out, struct bm_error *err)
{
	struct bm_gzip_encoder *e = NULL;
	struct bm_gzip_choice choice;
	enum bm_status status;

	*out = NULL;
	status = bm_gzip_engine_pick(layout, level, engine, &choice, err);
	if (status != BM_OK)
		return status;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return bm_error_set_nomem(err);
	e->engine = gzip_engine_of(choice.engine);
	e->level = level;
	if (wants_deflater(e->engine, level)) {
		e->deflater = e->engine->deflater_create(level);
		if (e->deflater == NULL) {
			free(e);
			return bm_error_set_nomem(err);
		}
	}
	*out = e;
	return BM_OK;
}

void bm_gzip_encoder_destroy(struct bm_gzip_encoder *e)
{
	if (e == NULL)
		return;
	e->engine->deflater_destroy(e->deflater);
	free(e);
}

size_t bm_gzip_encoder_bytes(enum bm_gzip_layout layout, int level, enum bm_gzip_engine engine)
{
	struct bm_gzip_choice choice;
	const struct gzip_engine *e;

	if (bm_gzip_engine_pick(layout, level, engine, &choice, NULL) != BM_OK)
		return 0;
	e = gzip_engine_of(choice.engine);
	return sizeof(struct bm_gzip_encoder) + 16 + (wants_deflater(e, level) ? e->deflater_bytes(level) : 0);
}

size_t bm_gzip_bound(size_t in_len)
{
	const size_t overhead = (in_len >> 12) + (in_len >> 14) + (in_len >> 25) + SLACK + BM_GZIP_HEADER_BYTES +
	                        GZIP_IG_BYTES + BM_GZIP_TRAILER_BYTES;
	size_t sum;

	return bm_add_size(in_len, overhead, &sum) ? sum : SIZE_MAX;
}

/* ---- deflate data of a whole chunk ---- */

static size_t stored_bytes(size_t in_len)
{
	return in_len + GZIP_STORED_HEAD * ((in_len + GZIP_STORED_MAX - 1) / GZIP_STORED_MAX);
}

static size_t store(const uint8_t *in, size_t in_len, uint8_t *out)
{
	uint8_t *to = out;

	while (in_len > 0) {
		const size_t part = in_len < GZIP_STORED_MAX ? in_len : GZIP_STORED_MAX;

		to[0] = part == in_len ? 1 : 0; /* BFINAL, BTYPE 00, and the rest of the byte */
		to[1] = (uint8_t)part;
		to[2] = (uint8_t)(part >> 8);
		to[3] = (uint8_t)~to[1];
		to[4] = (uint8_t)~to[2];
		memcpy(to + GZIP_STORED_HEAD, in, part);
		to += GZIP_STORED_HEAD + part;
		in += part;
		in_len -= part;
	}
	return (size_t)(to - out);
}

size_t gzip_deflate_chunk(struct bm_gzip_encoder *e, const void *in, size_t in_len, uint8_t *out, size_t out_cap)
{
	const size_t stored = stored_bytes(in_len);
	size_t deflated = 0;

	if (in_len == 0) { /* an empty block of fixed codes, and the last */
		out[0] = 3;
		out[1] = 0;
		return GZIP_DEFLATE_MIN;
	}
	if (e->level > 0)
		deflated = e->engine->deflate(e->deflater, in, in_len, out,
		                              stored + ENGINE_EXTRA < out_cap ? stored + ENGINE_EXTRA : out_cap);
	return deflated > 0 && deflated < stored ? deflated : store(in, in_len, out);
}

int gzip_encoder_level(const struct bm_gzip_encoder *e)
{
	return e->level;
}

/* ---- the layouts ---- */

enum bm_status gzip_check_sizes(size_t in_len, size_t bound, size_t out_cap, struct bm_error *err)
{
	if (in_len > GZIP_CHUNK_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "gzip: a chunk of %zu bytes; at most %d are possible",
		                    in_len, GZIP_CHUNK_MAX);
	if (out_cap < bound)
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "gzip: a chunk of %zu bytes wants an output buffer of %zu bytes; this one has %zu",
		                    in_len, bound, out_cap);
	return BM_OK;
}

enum bm_status bm_gzip_member(struct bm_gzip_encoder *e, const void *in, size_t in_len, void *out, size_t out_cap,
                              size_t *out_len, struct bm_error *err)
{
	static const uint8_t ig_head[] = {GZIP_IG_BYTES - 2, 0, 'I', 'G', 4, 0};
	const size_t head_bytes = BM_GZIP_HEADER_BYTES + GZIP_IG_BYTES;
	const size_t bound = bm_gzip_bound(in_len);
	enum bm_status status;
	uint8_t *const to = out;
	size_t deflated;
	size_t total;

	*out_len = 0;
	status = gzip_check_sizes(in_len, bound, out_cap, err);
	if (status != BM_OK)
		return status;
	deflated = gzip_deflate_chunk(e, in, in_len, to + head_bytes, bound - head_bytes - BM_GZIP_TRAILER_BYTES);
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
	if (e->engine->deflate_piece == NULL)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "gzip: engine %s makes no pieces of a single member",
		                    e->engine->name);
	status = gzip_check_sizes(in_len, bm_gzip_bound(in_len), out_cap, err);
	if (status != BM_OK)
		return status;
	if (in_len == 0 && !last)
		return BM_OK;
	if (dict_len > GZIP_WINDOW) { /* no reference reaches further back */
		dict = (const uint8_t *)dict + (dict_len - GZIP_WINDOW);
		dict_len = GZIP_WINDOW;
	}
	*out_len = e->engine->deflate_piece(e->deflater, dict, dict_len, in, in_len, last, out, out_cap);
	if (*out_len == 0)
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "%s did not finish a chunk of %zu bytes at level %d in %zu bytes: this is a defect",
		                    e->engine->name, in_len, e->level, out_cap);
	*crc = bm_crc32(0, in, in_len);
	return BM_OK;
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
