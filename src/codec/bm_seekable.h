/*
 * bm_seekable.h - any part of the decoded bytes of an encoded file, without decoding what lies before it.
 *
 * A LAYER is one encoding of known size that can be read anywhere through a callback; what it decodes to can be read
 * anywhere too, and be the source of the next layer: gzip in age, for example. Layers and what makes them seekable:
 *   age v1              chunks of 64 KiB, whose places follow from their numbers; not with ASCII armor
 *   gzip                members that tell their size (field IG, as layout indexed and python's pgzip write it)
 *   BGZF                blocks that tell their size (field BC); the index of bgzip(1), .gzi, saves the way over them
 *   zstd                the seek table of zstd's seekable format, else frames that tell their content's size
 *   plain               what is none of these
 * Which it is, is told by the bytes.
 *
 * Only the UNITS (members, frames, chunks) that hold wanted bytes are decoded, and each is checked whole by its CRC,
 * checksum or MAC before a byte of it is given out. Where a unit lies in the decoded bytes hangs on the sizes that those
 * before it claim, which are checked as far as that can be without decoding them: sizes that follow a pattern, as one
 * writer's do, are believed, and those that break it are checked by decoding the units concerned. So a single damaged
 * size is found; a file made to lie in a consistent way is found out only where a unit that lies is read. A .gzi is held
 * against the blocks that are read, and against the end of the file.
 *
 * A layer is one thread's at a time, and so are its source (where that does not say otherwise) and the layers above it. It
 * blocks where its source does, and makes no threads; it can use those that it is given.
 * Memory: of a unit up to BM_SEEKABLE_UNIT_BYTES both forms, 64 KiB of index, and the decoder; a larger unit is decoded
 * twice as a stream, once to check it, which takes a window instead (zstd: up to window_max_bytes).
 */
#ifndef BM_SEEKABLE_H
#define BM_SEEKABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

struct bm_age_identities;

#define BM_SEEKABLE_UNIT_BYTES ((size_t)8 << 20)

/* Where encoded bytes come from. */
struct bm_seekable_source {
	/* Reads len bytes at offset, all of them: offset + len <= size. Any error ends the call that wanted them. */
	enum bm_status (*pread)(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err);
	void *ctx;
	uint64_t size;   /* constant */
	bool any_thread; /* pread may be called by several threads at once */
	/* For a layer above that goes from head to head; both NULL, or none. hint is as pread, for up to
	 * BM_SEEKABLE_HINT_BYTES, but what it gives is not vouched for until settle has said that all of it since the last
	 * settle was right; where it was not, nothing that was learnt from it counts. A hint may give an error that is
	 * none of the file's: pread then says what is wrong. */
	enum bm_status (*hint)(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err);
	enum bm_status (*settle)(void *ctx, struct bm_error *err);
};
#define BM_SEEKABLE_HINT_BYTES ((size_t)64)

struct bm_seekable_options {
	const struct bm_age_identities *identities; /* for age; NULL: none */
	const struct bm_seekable_source *gzi;       /* bytes of the source's .gzi; NULL: there is none */
	size_t unit_max_bytes;                      /* units above are not held in memory; 0: BM_SEEKABLE_UNIT_BYTES */
	uint64_t window_max_bytes; /* zstd: units above that want a larger window fail; 0: BM_ZSTD_WINDOW_DEFAULT */
	/* Calls task(arg, n) for each n below count, on several threads at once, and returns when all are done. Used where
	 * the source is for any thread. NULL: one after the other. */
	void (*parallel)(void (*task)(void *arg, size_t n), void *arg, size_t count);
	size_t threads; /* how many that is good for */
};

enum bm_seekable_layout {
	BM_SEEKABLE_PLAIN,
	BM_SEEKABLE_GZIP,
	BM_SEEKABLE_BGZF,
	BM_SEEKABLE_ZSTD,
	BM_SEEKABLE_AGE
};

/* What begins with these bytes: GZIP for BGZF too, AGE with armor too. BM_SEEKABLE_HEAD_BYTES, or all there are, are
 * enough. */
#define BM_SEEKABLE_HEAD_BYTES 1100
enum bm_seekable_layout bm_seekable_detect(const void *head, size_t len);

/* One layer. */
struct bm_seekable;

/* Looks at the first bytes of src, and at its end. opt may be NULL. What src and opt point to is borrowed until destroy
 * (src itself is copied); the caller destroys *out.
 * BM_ERR_UNSUPPORTED: there is a layer, but no way to seek in it: it is to be decoded as a stream; the text says why.
 * The calls below may find that out later, where a unit in the middle does not tell its size.
 * Others: those of the source; BM_ERR_FORMAT and BM_ERR_TRUNCATED for damage, with err->where "offset N" in the source;
 * BM_ERR_LIMIT for a unit that wants more memory than is allowed (zstd's window); those of bm_age_header_unwrap, and
 * BM_ERR_USAGE where an age layer meets no identities; BM_ERR_NOMEM. */
enum bm_status bm_seekable_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                                struct bm_seekable **out, struct bm_error *err) BM_NODISCARD;
void bm_seekable_destroy(struct bm_seekable *s); /* NULL is fine; wipes what it decrypted */

/* Decoded bytes from offset on into buf; *got is less than len only where they end. Errors as above; *got bytes before
 * the error are right all the same. */
enum bm_status bm_seekable_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                                struct bm_error *err) BM_NODISCARD;
/* How many decoded bytes there are. May look at every unit's head (gzip, zstd without table), and remembers it. */
enum bm_status bm_seekable_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err) BM_NODISCARD;
/* The decoded bytes as the source of a further layer; s must outlive its use. Asks for the size. */
enum bm_status bm_seekable_as_source(struct bm_seekable *s, struct bm_seekable_source *out, struct bm_error *err)
	BM_NODISCARD;

enum bm_seekable_layout bm_seekable_layout(const struct bm_seekable *s);
/* How it seeks, in words: "zstd, by its seek table"; lives as long as s. */
const char *bm_seekable_how(const struct bm_seekable *s);
/* Something the user should know, or NULL: garbage after the last member, an index that is not used. It may come up
 * while reading. Escaped; lives as long as s. */
const char *bm_seekable_warning(const struct bm_seekable *s);

#endif
