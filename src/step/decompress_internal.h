/* decompress_internal.h - what the files of the steps `decompress` and `decrypt` share: decompress.c and decrypt.c (the
 * steps), decompress_layer.c (detection, caps, the fill of a layer), and a file for each format. */
#ifndef DECOMPRESS_INTERNAL_H
#define DECOMPRESS_INTERNAL_H

#include "bm_gzip.h"
#include "bm_zstd.h"
#include "keys.h"
#include "step_internal.h"
#include "bm_windows.h"

#define DECOMPRESS_DEPTH_MAX 4
#define DECOMPRESS_TAG_ROW 2       /* bm_chunk.tag: whole units, still encoded; slot[0] says where they began */
#define DECOMPRESS_TAG_LAST_ROW 3  /* the same, and no unit comes after them */
#define DECOMPRESS_HEAD_BYTES 32   /* enough for the headers of units that tell a size, of any format */
#define DECOMPRESS_HEAD_MAX 1100   /* enough to tell what it is: armor may have much blank before it */
#define DECOMPRESS_MODE_GATHER 0   /* at the start of a unit, or of an age file; the other modes are the format's */
#define DECOMPRESS_FORMAT_AGE (-1) /* beside enum bm_decompress_format: decrypt's */

struct decompress_format;
struct decompress_age;

/* What the two steps have in common. */
struct decompress_options {
	int format; /* of the first layer; those in it are always looked at */
	unsigned depth;
	uint64_t max_size, max_window;
	int64_t max_ratio;
	const struct bm_unlock_params *unlock;
	bool pass_plain;          /* the first layer too may be in none of the formats */
	atomic_bool *found_plain; /* see struct bm_decompress_params */
};

/* One format taken off: a segment. Layer 0 is the outermost. Constant once prepared. */
struct decompress_layer {
	struct decompress_shared *all;
	unsigned number;
	size_t chunk_bytes;  /* the most that a chunk may hold here; buf[0] may be larger for the sake of later steps */
	size_t stream_bytes; /* what is streamed goes on in chunks of this, and rows are closed there; <= chunk_bytes */
	size_t sealed_bytes; /* age: of a row; whole chunks */
};

struct decompress_shared {
	struct decompress_options o;
	bool is_command; /* its options have dashes in the place of _ */
	unsigned index;
	const struct bm_keys *keys; /* the keyring's; NULL where none were given */
	struct bm_windows *windows; /* the run's */
	struct decompress_layer layers[DECOMPRESS_DEPTH_MAX];
	struct bm_stash gzip_decoders, zstd_decoders, ciphers;
};

/* Of one layer of one file; fill()'s. A UNIT is a gzip member, a zstd frame, or a chunk of an age file. */
struct decompress_file {
	const struct decompress_format *format; /* NULL before the first bytes were seen */
	int mode;
	bool any_unit; /* one was read, or sent on to be */
	uint64_t in_bytes, out_bytes;
	uint64_t origin_bytes; /* of the file itself, that in_bytes came from; the same in layer 0 */
	uint64_t unit_start;   /* where the present unit begins in the encoded bytes */
	uint8_t head[DECOMPRESS_HEAD_MAX];
	size_t head_len;
	size_t row_len, row_decoded; /* whole units in out->buf[1], and what they say they hold */
	size_t unit_have;            /* collecting: bytes of the unit behind the row */
	bool row_closed;             /* nothing may join the row */
	bool row_last;               /* it is sent on as the last one */
	uint8_t *kept;               /* a unit that was collected in vain, and is streamed; NULL otherwise */
	size_t kept_len, kept_pos;

	struct bm_gzip_decoder *gzip; /* streaming; NULL before one is */
	size_t member_bytes;          /* collecting: how many there will be */
	bool member_bgzf;             /* it may be followed by others in its row */
	bool all_bgzf;                /* every member so far is a BGZF block ... */
	bool bgzf_ended;              /* ... and the last one was empty */
	bool has_garbage;             /* from unit_start on: to be passed over, with a warning */

	struct bm_zstd_decoder *zstd;  /* streaming; NULL before one is */
	struct bm_window_claim window; /* for the one that zstd has, where it is a large one */
	struct bm_zstd_scan scan;      /* collecting: of the frame */
	uint64_t skip_left;            /* of a skippable frame */

	struct decompress_age *age; /* NULL where it is none */
};

struct decompress_format {
	const char *name;
	const char *unit;
	/* A turn of the format's state machine: takes from head, kept and in, writes to out. *emit: out is to go on; where
	 * row_len is not 0, the row and nothing else. */
	enum bm_status (*turn)(struct decompress_layer *dl, struct decompress_file *df, struct bm_file *f,
	                       struct bm_chunk *out, struct bm_chunk *in, bool *emit, struct bm_worker *w,
	                       struct bm_error *err);
	/* Where all input was taken: is it a place to end? */
	bool (*may_end)(const struct decompress_file *df);
	/* Decodes the row that c is into its buf[0]; *good is the length of the units before the first bad one, *out_len
	 * what they hold. Any thread. */
	enum bm_status (*row)(struct decompress_layer *dl, struct decompress_file *df, const struct bm_chunk *c,
	                      size_t *good, size_t *out_len, struct bm_error *err);
	void (*close)(struct decompress_layer *dl, struct decompress_file *df);
};
extern const struct decompress_format decompress_gzip_format, decompress_zstd_format, decompress_age_format;

/* ---- for the formats (decompress_layer.c) ---- */

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
/* "layer 2: " for messages, "" for the file itself. */
const char *decompress_place(const struct decompress_layer *dl);

/* ---- for the layers (decompress_age.c) ---- */

/* df becomes an age file's. */
enum bm_status decompress_age_begin(struct decompress_file *df, bool armored, struct bm_error *err);
/* A row of chunk seq met this fault: what was authentic in front of it goes on, and nothing after it. Any thread. */
void decompress_age_fail(struct decompress_file *df, uint64_t seq, enum bm_status status, const struct bm_error *why);
/* What the chunk meets that comes after such a one, in seq order. */
enum bm_status decompress_age_verdict(struct decompress_file *df, uint64_t seq, struct bm_error *err);

/* ---- for the steps ---- */

/* Makes and frees struct decompress_shared, of which o is a part, and the segments in the plan. */
enum bm_status decompress_prepare_layers(struct bm_plan *plan, const struct bm_step *step,
                                         const struct decompress_options *o, void **shared, struct bm_error *err);
enum bm_status decompress_close(void *shared, struct bm_file *f, bool good, struct bm_worker *w, struct bm_error *err);
void decompress_destroy(void *shared);

#endif
