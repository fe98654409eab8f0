/*
 * bm_manifest.h - everyone's checksum manifests, read and written.
 *
 * kind      a line                                                       names
 * gnu       HEX, two blanks or a blank and '*', name (coreutils)         all bytes: \\ \n \r where the line starts with \
 * bsd       SHA256 (name) = HEX (cksum, --tag), SHA2-256(name)= HEX      likewise
 * hashdeep  size,HEX,HEX,name below "%%%% size,md5,sha256,filename"      no LF, no CR at the end
 * bagit     HEX, blanks, name (RFC 8493)                                 all bytes (%25 %0A %0D); no blank or '*' in front
 * json      {"path":"name","size":1,"mtime":"NS","sha256":"HEX"}         all bytes: "path_base64" where not UTF-8
 * sfv       name, blank, 8 hex digits of CRC-32; ';' comments            no LF, CR, blanks at the ends, ';' in front
 * rclone    HEX, two blanks, name; control characters as U+2401 ...      all bytes
 * xxhsum    as gnu, or as bsd where that must be; never escaped          no LF
 *
 * A line of gnu, bsd or xxhsum may be of any of the three, as its programs have it too; one manifest may mix algorithms.
 * With NUL at the end of lines in place of LF (sha256sum -z) nothing in gnu and bsd is escaped. CR LF line ends, a UTF-8
 * byte order mark, comments, empty lines, and a last line without its end are read. Nothing else is passed over: what is
 * no entry is a bad line, with the reason.
 *
 * JSON Lines, the project's own kind, hold "path", "size", "mtime" (nanoseconds since 1970-01-01 UTC as a string of
 * decimal digits, perhaps with '-': a number of that size loses digits in most readers; a number is read too), digests by
 * their names, and "blocks": {"size": bytes of a block, "algorithm": "sha256", "digests": [hex, ...]}, the last block
 * being what is left. Unknown keys are passed over.
 */
#ifndef BM_MANIFEST_H
#define BM_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bytemill/error.h>

#include "bm_digest.h"
#include "bm_mem.h"

enum bm_manifest_kind {
	BM_MANIFEST_KIND_AUTO, /* when reading: found out */
	BM_MANIFEST_KIND_GNU,
	BM_MANIFEST_KIND_BSD,
	BM_MANIFEST_KIND_HASHDEEP,
	BM_MANIFEST_KIND_BAGIT,
	BM_MANIFEST_KIND_JSON,
	BM_MANIFEST_KIND_SFV,
	BM_MANIFEST_KIND_RCLONE,
	BM_MANIFEST_KIND_XXHSUM
};
const char *bm_manifest_kind_name(enum bm_manifest_kind kind); /* "auto" "gnu" ... as above; static */
/* The kind of that name; false where there is none. */
bool bm_manifest_kind_find(const char *name, enum bm_manifest_kind *kind);

/* ---- an entry ---- */

#define BM_MANIFEST_DIGESTS_MAX 32 /* of one entry */

struct bm_manifest_digest {
	const struct bm_digest_algorithm *algorithm; /* NULL: one that bm_digest.h does not have */
	const char *name; /* "sha256"; also "blake2b-128" (b2sum -l 128), "blake3", "tiger" ...; static */
	const uint8_t *bytes;
	size_t len;    /* in bytes; always that of the algorithm */
	bool is_guess; /* nothing but the length says that it is this algorithm: see bm_manifest_candidates */
};

struct bm_manifest_blocks { /* digests of equal pieces of the file; the last piece is what is left */
	uint64_t size_bytes;
	const struct bm_digest_algorithm *algorithm; /* as above */
	const char *name;
	const uint8_t *bytes; /* digest after digest */
	size_t count;         /* of digests */
	size_t digest_len;
};

/* Why a name should not be followed below a directory. */
enum { BM_MANIFEST_ABSOLUTE = 1, BM_MANIFEST_DOT_DOT = 2 };

struct bm_manifest_entry {
	const char *name; /* bytes; never empty, no NUL within, NUL-terminated */
	size_t name_len;
	const struct bm_manifest_digest *digests;
	size_t digest_count;
	bool has_size, has_mtime, has_blocks;
	uint64_t size_bytes;
	int64_t mtime_ns; /* since 1970-01-01 UTC */
	struct bm_manifest_blocks blocks;
	/* Set by readers; writers do not look at these. */
	uint64_t line;        /* 1-based; of a NUL-ended manifest the record */
	const char *fault;    /* BM_MANIFEST_BAD_LINE: what is wrong and what was found; one line, fit for a terminal */
	unsigned unsafe;      /* BM_MANIFEST_ABSOLUTE | BM_MANIFEST_DOT_DOT, or 0 */
	bool is_unterminated; /* the last line, and its end is missing: the manifest may have been cut short */
	bool is_duplicate;    /* bm_manifest_sorted.h only: the entry before has the same name */
};

/* The algorithms of bm_digest.h whose digests have len bytes, commonest first; how many there are. */
#define BM_MANIFEST_CANDIDATES_MAX 8
size_t bm_manifest_candidates(size_t len, const struct bm_digest_algorithm *out[static BM_MANIFEST_CANDIDATES_MAX]);

/* ---- reading ---- */

#define BM_MANIFEST_LINE_MAX ((size_t)16 << 20)

struct bm_manifest_options {
	enum bm_manifest_kind kind; /* AUTO: by file name (.sfv, manifest-sha256.txt) and content */
	bool nul;                   /* lines of gnu and bsd end in NUL; otherwise that is found out too */
	/* Of digests whose line does not say: any name that bm_digest_find or struct bm_manifest_digest has, or "blake2b",
	 * "sha3", "xxh" for whichever of the family has the length. NULL: as the file name says (SHA256SUMS, x.b2,
	 * manifest-sha512.txt), else by length: crc32, xxh64, md5, sha1, sha224, sha256, sha384, sha512. Borrowed for open. */
	const char *algorithm;
	bool strip_dot_slash;  /* names lose "./" in front */
	size_t max_line_bytes; /* a longer line is a bad one, and is not held in memory; 0: BM_MANIFEST_LINE_MAX */
};

struct bm_manifest_reader;

/* Fills buf with up to size bytes; *got 0 is the end. May block. */
typedef enum bm_status (*bm_manifest_read_fn)(void *ctx, void *buf, size_t size, size_t *got, struct bm_error *err);

/* Opens and reads as much as it takes to know the kind, so this blocks until a pipe has its first line. opt may be NULL.
 * name: of the manifest, for messages and for what a file name tells; borrowed for the call. Ownership: the file that
 * open_path opened is the reader's; fd and ctx are borrowed until close, and fd is read from where it stands.
 * BM_ERR_SYSTEM; BM_ERR_NOMEM; BM_ERR_USAGE: opt->algorithm is unknown; BM_ERR_FORMAT: not a manifest of any kind, or
 * (also where the kind was given) UTF-16. An empty file is a manifest without entries. */
enum bm_status bm_manifest_open_path(const char *path, const struct bm_manifest_options *opt,
                                     struct bm_manifest_reader **out, struct bm_error *err) BM_NODISCARD;
enum bm_status bm_manifest_open_fd(int fd, const char *name, const struct bm_manifest_options *opt,
                                   struct bm_manifest_reader **out, struct bm_error *err) BM_NODISCARD;
enum bm_status bm_manifest_open_stream(bm_manifest_read_fn read, void *ctx, const char *name,
                                       const struct bm_manifest_options *opt, struct bm_manifest_reader **out,
                                       struct bm_error *err) BM_NODISCARD;
void bm_manifest_close(struct bm_manifest_reader *r); /* NULL is fine */

enum bm_manifest_event {
	BM_MANIFEST_END,      /* and again for every further call */
	BM_MANIFEST_ENTRY,    /* *e is set */
	BM_MANIFEST_BAD_LINE, /* e->line and e->fault are set; reading goes on: count it, and say so */
	BM_MANIFEST_FAILED    /* err is set: BM_ERR_SYSTEM, BM_ERR_NOMEM; and again for every further call */
};
/* The next line that is neither empty nor a comment. What *e points to is the reader's, until the next call. May block
 * in read. One thread at a time per reader. Memory: 256 KiB, and the longest line where that is longer. */
enum bm_manifest_event bm_manifest_next(struct bm_manifest_reader *r, struct bm_manifest_entry *e, struct bm_error *err)
	BM_NODISCARD;
/* A bad line as an error: BM_ERR_FORMAT, where "name:line", text e->fault. */
enum bm_status bm_manifest_bad_line_error(const struct bm_manifest_reader *r, const struct bm_manifest_entry *e,
                                          struct bm_error *err);

enum bm_manifest_kind bm_manifest_kind(const struct bm_manifest_reader *r); /* never AUTO */
bool bm_manifest_is_nul(const struct bm_manifest_reader *r);                /* lines end in NUL */
const char *bm_manifest_shown_name(const struct bm_manifest_reader *r);     /* fit for a terminal; borrowed */

/* ---- writing ---- */

struct bm_manifest_style {
	enum bm_manifest_kind kind; /* not AUTO */
	bool nul;                   /* gnu and bsd only */
	/* Which of an entry's digests are written, in this order; none: all of them, as they come. hashdeep must have them,
	 * for its head; every entry must then have each of them. bagit, sfv and rclone take exactly one. Borrowed. */
	const char *const *algorithms;
	size_t algorithm_count;
};

/* Appends what stands before the first entry: of hashdeep two lines, of sfv one, of the others nothing.
 * BM_ERR_USAGE: the style is not possible. BM_ERR_NOMEM: out is oom; here and below. */
enum bm_status bm_manifest_put_head(struct bm_buf *out, const struct bm_manifest_style *s, struct bm_error *err)
	BM_NODISCARD;
/* Appends the line or (gnu, bsd, xxhsum: one a digest) lines of an entry.
 * BM_ERR_UNSUPPORTED: this kind cannot carry the name: the table above; the text says which kinds can.
 * BM_ERR_USAGE: the style is not possible, or a digest or the size that it wants is missing. On both out is as it was.
 * Any thread. */
enum bm_status bm_manifest_put_entry(struct bm_buf *out, const struct bm_manifest_style *s,
                                     const struct bm_manifest_entry *e, struct bm_error *err) BM_NODISCARD;

/* Appends a name as rclone prints it: control characters as their pictures (U+2401 ...). Any thread. */
void bm_manifest_put_rclone_name(struct bm_buf *out, const char *name, size_t len);

#endif
