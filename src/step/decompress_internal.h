/* decompress_internal.h - what the files of the step `decompress` share: decompress.c (detection, caps, the fill), and a
 * file for each format. */
#ifndef DECOMPRESS_INTERNAL_H
#define DECOMPRESS_INTERNAL_H

#include "bm_gzip.h"
#include "bm_zstd.h"
#include "step_internal.h"

#define DECOMPRESS_TAG_ROW 2     /* bm_chunk.tag: whole members or frames, still encoded; slot[0]: where they began */
#define DECOMPRESS_HEAD_BYTES 32 /* enough for the headers that tell a size, of any format */
#define DECOMPRESS_MODE_GATHER 0 /* at the start of a member or frame; the other modes are the format's */

struct decompress_format;

struct decompress_shared {
	const struct bm_decompress_params *p;
	unsigned index;
	size_t chunk_bytes;  /* the most that a chunk may hold here; buf[0] may be larger for the sake of later steps */
	size_t stream_bytes; /* what is streamed goes on in chunks of this, and rows are closed there; <= chunk_bytes */
	struct bm_stash gzip_decoders, zstd_decoders;
};

/* Of one file; fill()'s. A UNIT is a gzip member or a zstd frame. */
struct decompress_file {
	const struct decompress_format *format; /* NULL before the first bytes were seen */
	int mode;
	bool any_unit; /* one was read, or sent on to be */
	uint64_t in_bytes, out_bytes;
	uint64_t unit_start; /* where the present unit begins in the encoded bytes */
	uint8_t head[DECOMPRESS_HEAD_BYTES];
	size_t head_len;
	size_t row_len, row_decoded; /* whole units in out->buf[1], and what they say they hold */
	bool row_closed;             /* nothing may join the row */
	uint8_t *kept;               /* a unit that was collected in vain, and is streamed; NULL otherwise */
	size_t kept_len, kept_pos;

	struct bm_gzip_decoder *gzip; /* streaming; NULL before one is */
	size_t member_bytes;          /* collecting: how many there will be */
	bool member_bgzf;             /* it may be followed by others in its row */

	struct bm_zstd_decoder *zstd; /* streaming; NULL before one is */
	struct bm_zstd_scan scan;     /* collecting: of the frame */
	size_t frame_have;            /* collecting: bytes of it behind the row */
	uint64_t skip_left;           /* of a skippable frame */
};

struct decompress_format {
	const char *name;
	const char *unit;
	/* A turn of the format's state machine: takes from head, kept and in, writes to out. *emit: out is to go on; where
	 * row_len is not 0, the row and nothing else. */
	enum bm_status (*turn)(struct decompress_shared *ds, struct decompress_file *df, struct bm_file *f,
	                       struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_error *err);
	/* Where all input was taken: is it a place to end? */
	bool (*may_end)(const struct decompress_file *df);
	/* Decodes a row, in -> out; *good is the length of the units before the first bad one. Any thread. */
	enum bm_status (*row)(struct decompress_shared *ds, const uint8_t *in, size_t in_len, uint8_t *out,
	                      size_t out_cap, size_t *good, size_t *out_len, struct bm_error *err);
	void (*close)(struct decompress_shared *ds, struct decompress_file *df);
};
extern const struct decompress_format decompress_gzip_format, decompress_zstd_format;

/* Moves up to want bytes of in to `to`; returns how many. */
size_t decompress_take(struct decompress_file *df, struct bm_chunk *in, uint8_t *to, size_t want);
static inline bool decompress_at_end(const struct bm_chunk *in)
{
	return in->last && in->pos == in->len;
}
/* Sets a copy of len bytes aside, to be streamed before what in has. */
enum bm_status decompress_keep(struct decompress_file *df, const uint8_t *data, size_t len, struct bm_error *err);
/* The next bytes to be streamed: kept, head or in. *end: no more will come after them. */
const uint8_t *decompress_next(const struct decompress_file *df, const struct bm_chunk *in, size_t *len, bool *end);
void decompress_used(struct decompress_file *df, struct bm_chunk *in, size_t len);
/* The error that a decoder gave says where in the unit; the file's offset is what a person can use. */
enum bm_status decompress_error(const struct decompress_format *format, uint64_t unit_start, enum bm_status status,
                                const struct bm_error *from, struct bm_error *err);

#endif
