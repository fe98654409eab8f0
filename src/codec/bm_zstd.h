/*
 * bm_zstd.h - zstd (RFC 8878) in frames that may be made and read in parallel, and the seek table of zstd's seekable
 * format (contrib/seekable_format/zstd_seekable_compression_format.md in zstd's sources). Engine: libzstd, its stable
 * functions only.
 *
 * Written: every chunk is a frame of its own that tells its content's size and carries a checksum; after the last one a
 * skippable frame with the sizes of all of them. Output depends on the input, the level and the chunk size only.
 * A codec object is one thread's at a time. The other functions are for any thread. Nothing here blocks or keeps a
 * pointer into the caller's buffers.
 *
 * Statuses: BM_ERR_USAGE for a level, a length or a buffer size against what is said here; BM_ERR_NOMEM where there is
 * no memory; those of reading are with their functions. Readers take any bytes: what comes from a file is never trusted.
 */
#ifndef BM_ZSTD_H
#define BM_ZSTD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

/* Levels: 1 ... 19 and, faster than 1, -1 ... -100 (zstd's --fast=1 ...). There is no level 0. */
#define BM_ZSTD_LEVEL_MIN (-100)
#define BM_ZSTD_LEVEL_MAX 19
#define BM_ZSTD_CHUNK_MAX ((size_t)1 << 30)

/* The chunk size at which independent frames are as small as `zstd -LEVEL -T0` makes its one frame, to 2 % up to level
 * 6 (measurements: zstd_encode.c). */
size_t bm_zstd_best_chunk(int level);

struct bm_zstd_encoder;
/* chunk_bytes: the longest chunk that will come (1 ... BM_ZSTD_CHUNK_MAX). A match reaches as far back as the chunk
 * does, but no more than 8 MiB, the window that every decoder has to offer (RFC 8878, section 3.1.1.1.2). The working
 * memory is allocated by the first frame. The caller destroys what *out is set to. */
enum bm_status bm_zstd_encoder_create(int level, size_t chunk_bytes, struct bm_zstd_encoder **out, struct bm_error *err)
	BM_NODISCARD;
void bm_zstd_encoder_destroy(struct bm_zstd_encoder *e); /* NULL is fine */
/* Memory of one such encoder, for the budget: 1 MiB at level 1, 2 MiB at 3, 85 MiB at 19; less for chunks below
 * 4 MiB. */
size_t bm_zstd_encoder_bytes(int level, size_t chunk_bytes);

/* The most bytes that one chunk becomes, at any level: in_len, 0.4 % and 64 bytes. SIZE_MAX where that is no size. */
size_t bm_zstd_bound(size_t in_len);
/* in (also 0 bytes; at most chunk_bytes) -> one whole frame in out. out_cap >= bm_zstd_bound(in_len). *checksum: the
 * low 32 bits of XXH64 of in, which stand in the frame and in the seek table. in and out do not overlap. */
enum bm_status bm_zstd_frame(struct bm_zstd_encoder *e, const void *in, size_t in_len, void *out, size_t out_cap,
                             size_t *out_len, uint32_t *checksum, struct bm_error *err) BM_NODISCARD;

/* ---- the seek table, writing ---- */

#define BM_ZSTD_SEEK_FRAMES_MAX 0x8000000u

/* Collects 12 bytes a frame. */
struct bm_zstd_seek_writer;
enum bm_status bm_zstd_seek_writer_create(struct bm_zstd_seek_writer **out, struct bm_error *err) BM_NODISCARD;
void bm_zstd_seek_writer_destroy(struct bm_zstd_seek_writer *w); /* NULL is fine */
/* The next frame, in the order in which they stand in the file. BM_ERR_LIMIT: one frame too many, or 4 GiB or more in
 * one; the table cannot be had then. */
enum bm_status bm_zstd_seek_add(struct bm_zstd_seek_writer *w, uint64_t frame_bytes, uint64_t content_bytes,
                                uint32_t checksum, struct bm_error *err) BM_NODISCARD;
/* Length of the table as it stands: 17 bytes and 12 for each frame. */
size_t bm_zstd_seek_bytes(const struct bm_zstd_seek_writer *w);
/* Writes just as many bytes: a skippable frame, the last of the file. */
void bm_zstd_seek_put(const struct bm_zstd_seek_writer *w, uint8_t *out);

/* ---- reading: headers and lengths of frames ---- */

/* What a look at the start of a frame tells. None of it is to be trusted. */
struct bm_zstd_header {
	size_t header_bytes; /* where the blocks begin, or a skippable frame's content; 2 ... 18 */
	bool skippable;      /* holds no data; skip_bytes follow the header */
	uint32_t skip_bytes;
	bool has_content_bytes;
	bool has_checksum;
	uint64_t content_bytes; /* 0 unless told */
	uint64_t window_bytes;  /* memory that a decoder must offer for this frame */
	uint32_t dictionary_id; /* not 0: cannot be read without this dictionary */
};
enum bm_zstd_peek {
	BM_ZSTD_PEEK_OK,
	BM_ZSTD_PEEK_SHORT, /* more bytes are needed to tell; BM_ZSTD_HEADER_MAX are enough */
	BM_ZSTD_PEEK_NOT    /* not a frame (bad magic, reserved bit) */
};
#define BM_ZSTD_HEADER_MAX 18
/* Parses a frame's header from the first len bytes. *out is zeroed unless OK. */
enum bm_zstd_peek bm_zstd_peek_header(const void *data, size_t len, struct bm_zstd_header *out);

/* Finds where a frame ends, from its block headers, without decoding: fed with the frame's bytes in pieces that may be
 * cut anywhere. Plain memory, a few dozen bytes; start makes it ready. */
struct bm_zstd_scan {
	/* Results; of use from the end of the header on, and after the frame's end. */
	struct bm_zstd_header header;
	uint64_t frame_bytes;       /* taken so far; with END the frame's length */
	uint64_t content_max_bytes; /* the blocks so far hold no more than this, decoded */
	uint64_t block_start;       /* where in the frame the block (or header, or checksum) at hand begins */
	const char *reason;         /* with BAD: what is wrong; static */
	/* Private. */
	int state;
	bool last_block;
	uint8_t head[BM_ZSTD_HEADER_MAX];
	uint8_t head_len;
	uint32_t block_max;
	uint64_t left; /* bytes of what is at hand that are still to come */
};
enum bm_zstd_scan_result {
	BM_ZSTD_SCAN_MORE, /* all of data was taken, the frame goes on */
	BM_ZSTD_SCAN_END,  /* the frame's last byte is data[*used - 1] */
	BM_ZSTD_SCAN_BAD   /* no frame, or a damaged one: at block_start */
};
void bm_zstd_scan_start(struct bm_zstd_scan *s);
/* After END or BAD only start is of use. */
enum bm_zstd_scan_result bm_zstd_scan_feed(struct bm_zstd_scan *s, const void *data, size_t len, size_t *used);

/* ---- reading: data ---- */

struct bm_zstd_decoder;
/* What `zstd -d` takes without being asked; --long=27 and --ultra -22 need no more. */
#define BM_ZSTD_WINDOW_DEFAULT ((uint64_t)128 << 20)
#define BM_ZSTD_WINDOW_MIN ((uint64_t)1 << 10)
#define BM_ZSTD_WINDOW_MAX ((uint64_t)1 << 31)
/* window_max_bytes: streams that want a larger window are refused; BM_ZSTD_WINDOW_MIN ... _MAX. */
enum bm_status bm_zstd_decoder_create(uint64_t window_max_bytes, struct bm_zstd_decoder **out, struct bm_error *err)
	BM_NODISCARD;
void bm_zstd_decoder_destroy(struct bm_zstd_decoder *d); /* NULL is fine */
/* Memory of one decoder, for the budget: window_bytes 0 for whole frames alone, else for streams with such a window
 * (which is allocated when a frame wants it and kept). */
size_t bm_zstd_decoder_bytes(uint64_t window_bytes);

/* One whole frame in memory (as bm_zstd_scan_feed cut it out): in -> out, checksum and content size checked where
 * there, every byte of in used. A skippable frame gives 0 bytes. No window is needed, so there is no cap on it.
 * BM_ERR_FORMAT, BM_ERR_TRUNCATED, BM_ERR_LIMIT (does not fit in out_cap), BM_ERR_UNSUPPORTED (wants a dictionary).
 * err->where is "offset N", from the start of in. After an error *out_len is 0, and out holds bytes that are not to be
 * used. Ends a stream that d was decoding. */
enum bm_status bm_zstd_decode_frame(struct bm_zstd_decoder *d, const void *in, size_t in_len, void *out, size_t out_cap,
                                    size_t *out_len, struct bm_error *err) BM_NODISCARD;

/* Streaming, any .zst file: many frames, skippable ones among them. Starts (again) with reset. */
void bm_zstd_stream_reset(struct bm_zstd_decoder *d);
struct bm_zstd_stream_result {
	size_t in_used;
	size_t out_made;
	bool frame_end; /* a frame (not a skippable one) ended well right after in_used; the call returns there */
	/* in_end was given, all input is used, all output made, every frame good. Until then, call again, with in_len 0
	 * where the input is used up. */
	bool complete;
};
/* Decodes until in is used up, out is full, or a frame ends. in_end: no more input will come; with it a stream that
 * stops inside a frame, or is empty, is BM_ERR_TRUNCATED. Errors: BM_ERR_FORMAT for what is not zstd, also behind good
 * frames (zstd makes an error of it too), for damaged data and a wrong checksum or content size; BM_ERR_LIMIT for a
 * window over the cap; BM_ERR_UNSUPPORTED for a dictionary or a format before zstd 0.8. err->where is "offset N", the
 * input offset since reset of the block concerned.
 * Progress: a call that returns BM_OK and used no input and made no output either wants more of one of them, or set
 * complete. Bytes that a call did not use must come again. *res is also set with an error: the out_made bytes were
 * decoded, but no checksum vouches for them; that is true of all output until frame_end. After an error only reset is
 * of use (BM_ERR_USAGE). */
enum bm_status bm_zstd_stream_decode(struct bm_zstd_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                                     size_t out_cap, struct bm_zstd_stream_result *res, struct bm_error *err)
	BM_NODISCARD;

/* ---- the seek table, finding it (bm_seekable.h reads it) ---- */

#define BM_ZSTD_SEEK_FOOTER_BYTES 9
/* Looks at the last bytes of a file that is file_bytes long: the length of the seek table that ends there, its own
 * header included, or 0 where there is none, or one that cannot be true. */
uint64_t bm_zstd_seek_footer(const uint8_t tail[static BM_ZSTD_SEEK_FOOTER_BYTES], uint64_t file_bytes);

#endif
