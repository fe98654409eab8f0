/*
 * gzip_engine.h - private to src/codec: what a deflate library (RFC 1951) has to offer to be an engine of bm_gzip.h.
 *
 * An engine is a table of functions in gzip_zlib.c, gzip_libdeflate.c, gzip_isal.c or gzip_rows.c; only that file
 * includes the library's header. zlib and rows are always there, the others where the build found them. A state
 * (deflater, inflater) is made by its engine's create, is one thread's at a time, and holds all memory that its calls
 * need. Output of a deflater depends on its level and on the call's arguments alone, not on what the state did before.
 */
#ifndef BM_CODEC_GZIP_ENGINE_H
#define BM_CODEC_GZIP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_gzip.h"

/* The input that a call has left, and the output it has room for. Neither pointer is NULL. */
struct gzip_cursor {
	const uint8_t *in;
	size_t in_left;
	uint8_t *out;
	size_t out_left;
};

enum gzip_inflate_result {
	GZIP_INFLATE_MORE, /* the input is used up or the output full (or both); the deflate data goes on, or may */
	GZIP_INFLATE_END,  /* the deflate data ended */
	GZIP_INFLATE_BAD,  /* it is damaged; reason says how */
	GZIP_INFLATE_NOMEM
};

#define GZIP_AHEAD_MAX 8

/* What a streaming inflater says besides its result. */
struct gzip_inflate_note {
	const char *reason; /* static text when BAD */
	/* Input that was taken and not used. When END: the bytes that follow the deflate data, in ahead[]. */
	unsigned ahead_count;
	uint8_t ahead[GZIP_AHEAD_MAX];
};

struct gzip_engine {
	enum bm_gzip_engine id;
	const char *name;
	int level_min; /* 1: and 0, which no engine is needed for (see gzip_encode.c), but with ISA-L */
	int level_max;

	/* ---- deflate ---- */

	size_t (*deflater_bytes)(int level); /* at most */
	void *(*deflater_create)(int level); /* NULL: no memory */
	void (*deflater_destroy)(void *state);
	/* A whole deflate stream of in_len bytes (1 byte ... 1 GiB). Its length, or 0 where it is longer than room, or
	 * may be by a few bytes. */
	size_t (*deflate)(void *state, const void *in, size_t in_len, uint8_t *out, size_t room);
	/* A piece of a stream: dict_len bytes (up to 32 KiB) stand before in, which may be empty where last is set. Its
	 * length, or 0 as above. NULL: the engine has no such thing. */
	size_t (*deflate_piece)(void *state, const void *dict, size_t dict_len, const void *in, size_t in_len,
	                        bool last, uint8_t *out, size_t room);

	/* ---- inflate: all of it NULL and 0 where the engine only writes ---- */

	size_t inflater_bytes;          /* at most */
	void *(*inflater_create)(void); /* NULL: no memory, or the library is not the one it was built against */
	void (*inflater_destroy)(void *state);
	/* Exactly in_len bytes of deflate data, whole. False: damaged, cut, too long for cap, or bytes are left over; it
	 * does not say which. Ends what the state was streaming. */
	bool (*inflate_whole)(void *state, const uint8_t *in, size_t in_len, uint8_t *out, size_t cap, size_t *made);
	/* Streams; NULL where the engine cannot. Sets note->ahead_count always. Bytes taken ahead were taken by this
	 * call or earlier ones. */
	void (*inflate_reset)(void *state);
	enum gzip_inflate_result (*inflate)(void *state, struct gzip_cursor *c, struct gzip_inflate_note *note);
};

extern const struct gzip_engine gzip_engine_zlib;
extern const struct gzip_engine gzip_engine_libdeflate; /* defined where the build has it */
extern const struct gzip_engine gzip_engine_isal;       /* defined where the build has it */

extern const struct gzip_engine gzip_engine_rows;

#define GZIP_ROWS_LEVEL 6 /* the one that it has */

/* NULL for AUTO and for one that this build does not have. */
const struct gzip_engine *gzip_engine_of(enum bm_gzip_engine id);

/* The most that an inflater gives to its library at once, in and out: counters there are of 32 bits. */
#define GZIP_INFLATE_MAX ((size_t)1 << 30)

#endif
