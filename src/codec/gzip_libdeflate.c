/*
 * gzip_libdeflate.c - the engine libdeflate: whole chunks and whole members, at two to three times zlib's speed.
 *
 * It has no streams: input and output must be there whole, which they are for a chunk and for a member that tells its
 * size. Its compressor allocates only when it is made and is meant to be used again; nothing of a chunk stays in it.
 *
 * Its levels are used as they are, 1 to 12. They are not zlib's, but lie close: in chunks of 1 MiB, against pigz at the
 * same level, 1 to 10 % smaller up to level 3; from level 5 on 1 % smaller on libraries and on text 0.4 % smaller to 0.8 %
 * larger, in XML and manual pages, where much repeats from far back, up to 1.6 % (1.0 % in chunks of 4 MiB: no dictionary
 * can be given to it). From level 10 on it looks for the best parse, at a tenth of the speed for another 2 to 4 %.
 *
 * At level 6 it has 95 % of the samples of a run, so that what else there is to gain is in here. Two things were tried
 * before level 6 got an engine of its own (gzip_rows.c), which libdeflate now stands in for where a build lacks its fast form.
 * Its level 5 takes 19 % less time than its 6, but on seven of eight texts makes 0.9 to 3.5 % more than pigz -6, even in
 * chunks of 4 MiB: too much to pass for level 6. Huge pages for its state or for the buffers: 1 % or nothing.
 *
 * It takes the distance codes 30 and 31, which never occur (RFC 1951, 3.2.6) and which the others refuse, for 29. So a
 * damaged member may pass here that does not pass as a stream, but only where it gives the right bytes all the same,
 * as in a long run of one byte: length and CRC-32 are ours to check.
 */
#include "gzip_engine.h"

#include <libdeflate.h>

/* What libdeflate 1.14 allocates, with room for other versions (1.19 and later need less at level 10 and up). It has no
 * function that tells; a unit test compares. */
static size_t libdeflate_deflater_bytes(int level)
{
	if (level >= 10)
		return (size_t)9400 << 10;
	return level >= 2 ? (size_t)720 << 10 : (size_t)256 << 10;
}

static void *libdeflate_deflater_create(int level)
{
	return libdeflate_alloc_compressor(level);
}

static void libdeflate_deflater_destroy(void *state)
{
	libdeflate_free_compressor(state);
}

static size_t libdeflate_deflate(void *state, const void *in, size_t in_len, uint8_t *out, size_t room)
{
	return libdeflate_deflate_compress(state, in, in_len, out, room);
}

static void *libdeflate_inflater_create(void)
{
	return libdeflate_alloc_decompressor();
}

static void libdeflate_inflater_destroy(void *state)
{
	libdeflate_free_decompressor(state);
}

static bool libdeflate_inflate_whole(void *state, const uint8_t *in, size_t in_len, uint8_t *out, size_t cap,
                                     size_t *made)
{
	size_t used = 0;

	return libdeflate_deflate_decompress_ex(state, in, in_len, out, cap, &used, made) == LIBDEFLATE_SUCCESS &&
	       used == in_len;
}

const struct gzip_engine gzip_engine_libdeflate = {
	.id = BM_GZIP_LIBDEFLATE,
	.name = "libdeflate",
	.level_min = 1,
	.level_max = 12,
	.deflater_bytes = libdeflate_deflater_bytes,
	.deflater_create = libdeflate_deflater_create,
	.deflater_destroy = libdeflate_deflater_destroy,
	.deflate = libdeflate_deflate,
	.inflater_bytes = 16384,
	.inflater_create = libdeflate_inflater_create,
	.inflater_destroy = libdeflate_inflater_destroy,
	.inflate_whole = libdeflate_inflate_whole,
};
