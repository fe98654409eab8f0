/*
 * bm_gzip.h - gzip (RFC 1952, RFC 1951) in pieces that may be made and read in parallel.
 *
 * Engines are the libraries that do the work: zlib (always), libdeflate and ISA-L (where the build found them); and
 * rows, which is of our own making, writes level 6 and does not read. Reading takes the fastest there is. What is
 * written depends on the engine. Which bytes are read does not, and whether they are good does not but for one thing:
 * a member whose length and CRC-32 are right, and whose codes are described in a way that zlib refuses, may be passed
 * by another engine. ISA-L takes code lengths that leave codes over, as long as none of those occurs; libdeflate takes
 * the distance codes 30 and 31. So such a member may pass as a stream and not by itself, or the other way round. (To
 * be as strict as zlib would take a second look at every block, for neither library shows its code lengths: the price
 * of another inflate, to refuse bytes that their CRC-32 vouches for.)
 *
 * Layouts written:
 *   indexed  every chunk is a member of its own, whose extra field "IG" (4 bytes, little endian) holds the whole
 *            member's size in bytes, header and trailer included, as python's pgzip writes it
 *   single   one member; chunk n's deflate is primed with the 32 KiB before it, ends on a byte boundary (sync flush),
 *            and the last one ends the stream; the CRC-32s of the chunks are combined for the trailer
 *   bgzf     every chunk is a row of members ("blocks") of at most 64 KiB with the extra field "BC", as bgzip(1) writes
 *            them, and the file ends in an empty one
 * MTIME 0, OS 255, no name in the header: output depends on the input and the options only (and on the engine, its
 * version, and with ISA-L on the kind of CPU).
 * A codec object is one thread's at a time; all state that a call needs is in it (no allocation per call). The other
 * functions are for any thread. Nothing here blocks or keeps a pointer into the caller's buffers.
 *
 * Statuses: BM_ERR_USAGE for a level, a length or a buffer size against what is said here, BM_ERR_NOMEM from create;
 * those of reading are with their functions. Readers take any bytes: what comes from a file is never trusted.
 */
#ifndef BM_GZIP_H
#define BM_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

enum bm_gzip_layout { BM_GZIP_INDEXED, BM_GZIP_SINGLE, BM_GZIP_BGZF, BM_GZIP_LAYOUTS };
enum bm_gzip_engine {
	BM_GZIP_AUTO,
	BM_GZIP_ZLIB,
	BM_GZIP_LIBDEFLATE,
	BM_GZIP_ISAL,
	BM_GZIP_ROWS, /* ours; it writes only */
	BM_GZIP_ENGINES
};
#define BM_GZIP_LEVEL_MAX 12 /* of any engine; 0 stores */

/* ---- engines ---- */

const char *bm_gzip_layout_name(enum bm_gzip_layout layout); /* "indexed"; static */
const char *bm_gzip_engine_name(enum bm_gzip_engine engine); /* "libdeflate"; static */
/* Is it in this build? AUTO, ZLIB and ROWS always are. */
bool bm_gzip_engine_available(enum bm_gzip_engine engine);
/* The highest level of this engine with this layout, in this build; -1 where they do not go together. The lowest is 0,
 * but 1 with ISAL and 6 with ROWS. */
int bm_gzip_level_max(enum bm_gzip_layout layout, enum bm_gzip_engine engine);

struct bm_gzip_choice {
	enum bm_gzip_engine engine; /* never AUTO */
	const char *reason;         /* why; a few words, static */
};
/* Which engine it will be. BM_ERR_USAGE where layout, level and engine do not go together, BM_ERR_UNSUPPORTED where they
 * would if this build had more; err->where is "level" or "engine", whichever is better changed. */
enum bm_status bm_gzip_engine_pick(enum bm_gzip_layout layout, int level, enum bm_gzip_engine requested,
                                   struct bm_gzip_choice *out, struct bm_error *err) BM_NODISCARD;

/* ---- writing ---- */

struct bm_gzip_encoder; /* 270 KB with zlib, up to 9.4 MB with libdeflate from level 10 on */

/* Picks as bm_gzip_engine_pick does, with its errors. The caller destroys what *out is set to. An encoder serves all
 * layouts that its engine can make, in any order. */
enum bm_status bm_gzip_encoder_create(enum bm_gzip_layout layout, int level, enum bm_gzip_engine engine,
                                      struct bm_gzip_encoder **out, struct bm_error *err) BM_NODISCARD;
void bm_gzip_encoder_destroy(struct bm_gzip_encoder *e); /* NULL is fine */
/* Memory of one encoder, for the budget; 0 where there can be none. */
size_t bm_gzip_encoder_bytes(enum bm_gzip_layout layout, int level, enum bm_gzip_engine engine);

/* The most bytes that one chunk of in_len bytes becomes, indexed or single, at any level: in_len, 0.03 % and 60 bytes.
 * SIZE_MAX where that is no size. */
size_t bm_gzip_bound(size_t in_len);

/* layout indexed: in (also 0 bytes) -> one whole member in out. out_cap >= bm_gzip_bound(in_len). in_len <= 1 GiB.
 * in and out do not overlap. */
enum bm_status bm_gzip_member(struct bm_gzip_encoder *e, const void *in, size_t in_len, void *out, size_t out_cap,
                              size_t *out_len, struct bm_error *err) BM_NODISCARD;

/* layout single (an encoder of zlib): the deflate data of one chunk, no header or trailer. dict: the up to 32 KiB of
 * plain bytes before it (dict_len 0 for the first; of a longer one the last 32 KiB count). *crc: CRC-32 of in. The same
 * limits as above.
 * Header, the pieces in order with exactly one `last` one at the end, and trailer make the file. An empty piece that is
 * not the last gives 0 bytes; an empty last one gives 2. */
enum bm_status bm_gzip_piece(struct bm_gzip_encoder *e, const void *dict, size_t dict_len, const void *in,
                             size_t in_len, bool last, void *out, size_t out_cap, size_t *out_len, uint32_t *crc,
                             struct bm_error *err) BM_NODISCARD;
#define BM_GZIP_HEADER_BYTES 10
#define BM_GZIP_TRAILER_BYTES 8
void bm_gzip_put_header(uint8_t out[static BM_GZIP_HEADER_BYTES], int level);
void bm_gzip_put_trailer(uint8_t out[static BM_GZIP_TRAILER_BYTES], uint32_t crc, uint64_t total_bytes);

/* layout bgzf: in (also 0 bytes: no block) -> its blocks in out, one after another, and behind them the end block where
 * last is set. out_cap >= bm_gzip_bgzf_bound(in_len). in_len <= 1 GiB. blocks: NULL, or bm_gzip_bgzf_block_count(in_len)
 * of them to be filled in, for the index; the end block has none. in and out do not overlap. */
#define BM_GZIP_BGZF_PLAIN_MAX 65280 /* of a block */
#define BM_GZIP_BGZF_EOF_BYTES 28
struct bm_gzip_bgzf_block {
	uint32_t packed_bytes; /* the whole block */
	uint32_t plain_bytes;
};
size_t bm_gzip_bgzf_block_count(size_t in_len);
size_t bm_gzip_bgzf_bound(size_t in_len); /* in_len, 31 bytes a block, 33; SIZE_MAX where that is no size */
enum bm_status bm_gzip_bgzf_blocks(struct bm_gzip_encoder *e, const void *in, size_t in_len, bool last, void *out,
                                   size_t out_cap, size_t *out_len, struct bm_gzip_bgzf_block *blocks,
                                   struct bm_error *err) BM_NODISCARD;

/* The index of a bgzf file (.gzi, see bgzip(1)): the count, then the entries. Start with a zeroed bm_gzip_gzi and add
 * each chunk's blocks in order; what add writes to out (room for BM_GZIP_GZI_ENTRY_BYTES a block; it returns how many
 * bytes it wrote) is the next part of the file. The count comes first in the file and is known last: g->entries. */
struct bm_gzip_gzi {
	uint64_t packed, plain; /* where the next block begins */
	uint64_t entries;       /* written so far */
};
#define BM_GZIP_GZI_COUNT_BYTES 8
#define BM_GZIP_GZI_ENTRY_BYTES 16
size_t bm_gzip_gzi_add(struct bm_gzip_gzi *g, const struct bm_gzip_bgzf_block *blocks, size_t count, uint8_t *out);
void bm_gzip_gzi_put_count(uint8_t out[static BM_GZIP_GZI_COUNT_BYTES], uint64_t entries);

/* ---- reading ---- */

/* What a look at the start of a member tells. */
struct bm_gzip_header {
	size_t header_bytes; /* where the deflate data begins */
	/* Header and trailer included, from the IG field or (BGZF) the BC field; 0: not told, or too small to be true.
	 * Not to be trusted: it may be wrong, and reach past the end of the file. */
	size_t member_bytes;
	bool bgzf; /* there is a BC field with a possible size: this is a BGZF block */
};
enum bm_gzip_peek {
	BM_GZIP_PEEK_OK,
	BM_GZIP_PEEK_SHORT, /* more bytes are needed to tell */
	BM_GZIP_PEEK_NOT    /* not a gzip member (bad magic, unknown method, reserved flags) */
};
/* Parses a member's header from the first len bytes. A header longer than 1 MiB is NOT (for the stream, an error).
 * FHCRC is checked where there. *out is zeroed unless OK. */
enum bm_gzip_peek bm_gzip_peek_header(const void *data, size_t len, struct bm_gzip_header *out);

struct bm_gzip_decoder; /* about 160 KB; 50 with zlib alone */
enum bm_status bm_gzip_decoder_create(struct bm_gzip_decoder **out, struct bm_error *err) BM_NODISCARD;
/* The same with a certain engine, for comparisons (one that cannot stream, or not read, leaves that to zlib). BM_ERR_UNSUPPORTED:
 * it is not in this build. */
enum bm_status bm_gzip_decoder_create_with(enum bm_gzip_engine engine, struct bm_gzip_decoder **out,
                                           struct bm_error *err) BM_NODISCARD;
void bm_gzip_decoder_destroy(struct bm_gzip_decoder *d); /* NULL is fine */
size_t bm_gzip_decoder_bytes(void);
const char *bm_gzip_decoder_engines(void); /* which engine reads what, in words; static */

/* One whole member in memory (as a size field promised): in -> out, CRC and ISIZE checked, every byte of in used.
 * BM_ERR_FORMAT, BM_ERR_TRUNCATED, BM_ERR_LIMIT (does not fit in out_cap). err->where is "offset N", from the start of
 * in: the caller adds the member's own. After an error *out_len is 0, and out holds bytes that are not to be used.
 * Ends a stream that d was decoding. The size to expect is the little-endian number in the last 4 bytes of in (ISIZE);
 * it is no more to be trusted than the rest before this has returned. */
enum bm_status bm_gzip_decode_member(struct bm_gzip_decoder *d, const void *in, size_t in_len, void *out,
                                     size_t out_cap, size_t *out_len, struct bm_error *err) BM_NODISCARD;

/* A row of whole members, one after another, each but the last telling its size (IG, BC): as bm_gzip_decode_member,
 * their contents joined. For BGZF blocks, which are too small to be worth a chunk each. *in_good: the length of the
 * members before the first bad one; err->where counts from there. */
enum bm_status bm_gzip_decode_row(struct bm_gzip_decoder *d, const void *in, size_t in_len, void *out, size_t out_cap,
                                  size_t *in_good, size_t *out_len, struct bm_error *err) BM_NODISCARD;

/* Streaming, any gzip file: many members, zero padding after the last, trailing garbage. Starts (again) with reset. */
void bm_gzip_stream_reset(struct bm_gzip_decoder *d);
struct bm_gzip_stream_result {
	size_t in_used;
	size_t out_made;
	bool member_end; /* a member ended with good CRC and ISIZE right after in_used; the call returns there */
	/* What follows in_used, after at least one member, is not gzip: the rest is to be ignored with a warning. (A 1f
	 * that an earlier call took belongs to it.) Said again by every later call, which takes nothing. */
	bool garbage;
	/* Nothing is left to do: in_end was given, all input is used, all output made, every member good; or garbage.
	 * Until then, call again, with in_len 0 where the input is used up. */
	bool complete;
};
/* Inflates until in is used up, out is full, or a member ends. in_end: no more input will come; with it a stream that
 * stops inside a member (or before the first one, or is empty) is BM_ERR_TRUNCATED. Zero bytes after a member are
 * skipped (tape padding) as gzip does; a member after them is read. Errors: BM_ERR_FORMAT for what is not gzip from its
 * first byte on, for a damaged header (1f 8b and then nonsense is damage, not garbage), damaged data, and a wrong CRC
 * or ISIZE; BM_ERR_TRUNCATED. err->where is "offset N", the input offset since reset.
 * Up to 64 KiB may be inflated ahead of a full output; the input for it counts as used.
 * Progress: a call that returns BM_OK and used no input and made no output either wants more of one of them, or set
 * garbage or complete. *res is also set with an error: the out_made bytes were inflated, but no CRC vouches for them;
 * that is true of all output until member_end. After an error only reset is of use (BM_ERR_USAGE). */
enum bm_status bm_gzip_stream_decode(struct bm_gzip_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                                     size_t out_cap, struct bm_gzip_stream_result *res, struct bm_error *err)
	BM_NODISCARD;

#endif
