/*
 * gzip_zlib.c - the engine zlib: always there, the only one that makes pieces primed with the bytes before them, and
 * the one that says what is wrong with damaged data.
 *
 * Deflate. A chunk is deflated with one call: the whole input is there, and where the output does not fit the caller
 * stores the chunk, so there is no loop to suspend. Each starts from deflateReset, which leaves nothing of the chunk
 * before.
 *
 * memLevel 8 (the default, and what gzip and pigz use) and not 9. Measured in 1 MiB chunks, 24 MB of text and 16 MB of
 * libraries, levels 1, 6 and 9: memLevel 9 is 0.01 to 0.15 % larger and up to 10 % slower: its blocks are twice as long
 * and adapt later, and its hash table takes twice the cache. It also spoils the bound: a block of 32 K literals may no
 * longer be in the window when it ends, cannot then be stored, and grows by an eighth.
 *
 * Pieces, as pigz does it: deflate data has no lengths and may refer back 32 KiB, so each chunk is compressed with the
 * 32 KiB before it as a preset dictionary. (Without it the joints cost 2 to 3 % of the size in chunks of 128 KiB, and
 * 0.3 % in chunks of 1 MiB: measured on text, levels 1 to 9.) All but the last end in a sync flush: an empty stored
 * block (RFC 1951, section 3.2.4) brings the stream to a byte boundary without ending it, so that the pieces can be put
 * one after another. Only the last sets BFINAL.
 *
 * Inflate. Raw, not zlib's own gzip mode: that tells neither where in the file an error lies nor what it found there,
 * and reports a cut header and a wrong one alike. inflate allocates its 32 KiB window when it first needs one, which
 * would be an allocation in the middle of a file. Setting a dictionary makes it do so at creation; the reset that
 * follows forgets the dictionary and keeps the window. With Z_FINISH, whole data goes straight into the output.
 */
#define ZLIB_CONST
#include "gzip_engine.h"

#include <limits.h>
#include <stdlib.h>

#include <zlib.h>

#define MEM_LEVEL 8

/* ---- deflate ---- */

static size_t zlib_deflater_bytes(int level)
{
	(void)level;
	/* As zconf.h states it, deflate's state included as "a few kilobytes". */
	return sizeof(z_stream) + ((size_t)1 << (MAX_WBITS + 2)) + ((size_t)1 << (MEM_LEVEL + 9)) + 8192;
}

static void *zlib_deflater_create(int level)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return NULL;
	if (deflateInit2(z, level, Z_DEFLATED, -MAX_WBITS, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static void zlib_deflater_destroy(void *state)
{
	if (state == NULL)
		return;
	(void)deflateEnd(state); /* Z_DATA_ERROR only says that a stream was not ended */
	free(state);
}

static size_t zlib_deflate_piece(void *state, const void *dict, size_t dict_len, const void *in, size_t in_len,
                                 bool last, uint8_t *out, size_t room)
{
	static const uint8_t nothing[1] = {0}; /* zlib takes no NULL */
	z_stream *const z = state;
	int code;

	if (deflateReset(z) != Z_OK)
		return 0;
	if (dict_len > 0 && deflateSetDictionary(z, dict, (uInt)dict_len) != Z_OK)
		return 0;
	z->next_in = in_len > 0 ? in : nothing;
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)(room < UINT_MAX ? room : UINT_MAX);
	code = deflate(z, last ? Z_FINISH : Z_SYNC_FLUSH);
	/* A flush that just fits leaves no room, and is told from one that does not by nothing else. */
	if (code != (last ? Z_STREAM_END : Z_OK) || z->avail_in != 0 || (!last && z->avail_out == 0))
		return 0;
	return (size_t)(z->next_out - out);
}

static size_t zlib_deflate(void *state, const void *in, size_t in_len, uint8_t *out, size_t room)
{
	return zlib_deflate_piece(state, NULL, 0, in, in_len, true, out, room);
}

/* ---- inflate ---- */

static void zlib_inflater_destroy(void *state)
{
	if (state == NULL)
		return;
	(void)inflateEnd(state);
	free(state);
}

static void *zlib_inflater_create(void)
{
	static const uint8_t byte[1] = {0};
	z_stream *z = calloc(1, sizeof(*z));

	if (z == NULL)
		return NULL;
	if (inflateInit2(z, -MAX_WBITS) != Z_OK) {
		free(z);
		return NULL;
	}
	if (inflateSetDictionary(z, byte, sizeof(byte)) != Z_OK || inflateReset(z) != Z_OK) { /* makes the window */
		zlib_inflater_destroy(z);
		return NULL;
	}
	return z;
}

static bool zlib_inflate_whole(void *state, const uint8_t *in, size_t in_len, uint8_t *out, size_t cap, size_t *made)
{
	z_stream *const z = state;

	if (in_len > GZIP_INFLATE_MAX || inflateReset(z) != Z_OK) /* the slow way handles any length */
		return false;
	z->next_in = in;
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)(cap < GZIP_INFLATE_MAX ? cap : GZIP_INFLATE_MAX);
	if (inflate(z, Z_FINISH) != Z_STREAM_END || z->avail_in != 0)
		return false;
	*made = (size_t)(z->next_out - out);
	return true;
}

static void zlib_inflate_reset(void *state)
{
	(void)inflateReset(state); /* fails for a state that is none, and for no other reason */
}

static enum gzip_inflate_result zlib_inflate(void *state, struct gzip_cursor *c, struct gzip_inflate_note *note)
{
	z_stream *const z = state;
	int code;

	note->ahead_count = 0;
	do {
		const size_t give = c->in_left < GZIP_INFLATE_MAX ? c->in_left : GZIP_INFLATE_MAX;
		const size_t take = c->out_left < GZIP_INFLATE_MAX ? c->out_left : GZIP_INFLATE_MAX;

		z->next_in = c->in;
		z->avail_in = (uInt)give;
		z->next_out = c->out;
		z->avail_out = (uInt)take;
		code = inflate(z, Z_SYNC_FLUSH);
		c->in += give - z->avail_in;
		c->in_left -= give - z->avail_in;
		c->out += take - z->avail_out;
		c->out_left -= take - z->avail_out;
	} while (code == Z_OK && c->in_left > 0 && c->out_left > 0);

	switch (code) {
	case Z_STREAM_END:
		return GZIP_INFLATE_END;
	case Z_OK:
	case Z_BUF_ERROR: /* no input, or no room */
		return GZIP_INFLATE_MORE;
	case Z_MEM_ERROR:
		return GZIP_INFLATE_NOMEM;
	default:
		note->reason = z->msg != NULL ? z->msg : zError(code);
		return GZIP_INFLATE_BAD;
	}
}

const struct gzip_engine gzip_engine_zlib = {
	.id = BM_GZIP_ZLIB,
	.name = "zlib",
	.level_min = 1,
	.level_max = 9,
	.deflater_bytes = zlib_deflater_bytes,
	.deflater_create = zlib_deflater_create,
	.deflater_destroy = zlib_deflater_destroy,
	.deflate = zlib_deflate,
	.deflate_piece = zlib_deflate_piece,
	/* As zconf.h states it: the window and "about 7 kilobytes", here with room for later versions. */
	.inflater_bytes = sizeof(z_stream) + ((size_t)1 << MAX_WBITS) + 12288,
	.inflater_create = zlib_inflater_create,
	.inflater_destroy = zlib_inflater_destroy,
	.inflate_whole = zlib_inflate_whole,
	.inflate_reset = zlib_inflate_reset,
	.inflate = zlib_inflate,
};
