/*
 * manifest_private.h - the reader from within: reader.c finds the lines, detect.c the kind, lines.c, tables.c and
 * json_line.c make entries of them with the help of entry.c. For this layer only.
 */
#ifndef BM_MANIFEST_PRIVATE_H
#define BM_MANIFEST_PRIVATE_H

#include "algorithm.h"
#include "bm_manifest.h"

#define MAX_DIGEST_BYTES ((size_t)64)
#define COLUMNS_MAX (BM_MANIFEST_DIGESTS_MAX + 2)
#define TAGS_KNOWN 16
#define SAMPLE_BYTES ((size_t)64 << 10) /* what the kind is found out from, at most */

enum line_result {
	LINE_ENTRY, /* e is filled in */
	LINE_SKIP,  /* a comment, a header */
	LINE_BAD,   /* r->fault says why */
	LINE_NOMEM
};

/* What a line must be like: the reader's state that carries over from line to line. Detection tries kinds on a copy. */
struct line_rules {
	enum bm_manifest_kind kind; /* AUTO: not known yet */
	bool nul;                   /* lines end in NUL, names are raw */
	bool has_crlf;              /* the first line ended in CR LF */
	int one_blank;              /* between digest and name; -1: not known yet (see lines.c) */
	bool has_columns;           /* hashdeep: a usable header was read */
	size_t column_count;
	uint8_t columns[COLUMNS_MAX]; /* codes of algorithms, or: */
#define COLUMN_SIZE 0xfeu
#define COLUMN_NAME 0xfdu
};

struct bm_manifest_reader {
	bm_manifest_read_fn read;
	void *ctx;
	int fd;       /* for the read function of files */
	bool owns_fd; /* it is closed with the reader */
	bool strip_dot_slash;
	size_t max_line;
	char shown_name[1024];

	struct line_rules rules;
	unsigned hint;       /* algorithm.h */
	bool hint_is_strict; /* it is the caller's: digests of another length are faults */
	bool nul_is_given;
	uint8_t code_of_length[MAX_DIGEST_BYTES +
	                       1]; /* by the hint, else ALGORITHM_NONE; is_guess where it is by length */
	bool guess_of_length[MAX_DIGEST_BYTES + 1];
	unsigned crc32_code, xxh3_code;
	struct known_tag { /* names of algorithms, and other keys: most lines have those of the line before */
		char text[24];
		size_t len;
		unsigned code;
	} tags[TAGS_KNOWN];
	size_t tag_count, tag_next; /* in a ring */

	/* buf[start .. fill) is not yet handed out; in [start .. scan) there is no line end. One byte more than cap is
	 * there, so that any line can be NUL-terminated. */
	char *buf;
	size_t cap, start, scan, fill;
	bool at_end;   /* nothing more to be read */
	bool skipping; /* the rest of a line that was too long */
	bool started;  /* the first line was handed out */
	uint64_t line;
	bool failed;
	struct bm_error err; /* why */

	/* What an entry points to. */
	struct bm_manifest_digest digests[BM_MANIFEST_DIGESTS_MAX];
	uint8_t digest_bytes[BM_MANIFEST_DIGESTS_MAX][MAX_DIGEST_BYTES];
	struct bm_buf name, key, value;
	char fault[512];
};

/* ---- entry.c ---- */

/* r->fault: what is wrong. Returns LINE_BAD, so that `return line_bad(...)` reads well. */
enum line_result line_bad(struct bm_manifest_reader *r, const char *fmt, ...) BM_PRINTF(2, 3);
/* The same with ', found "..."' behind it: len bytes at text, escaped and cut. */
enum line_result line_bad_at(struct bm_manifest_reader *r, const char *text, size_t len, const char *what);
/* The digits of a digest into r->digest_bytes[i] until there are no more of them: how many there were, 2 *
 * MAX_DIGEST_BYTES + 1 where too many. */
size_t hex_decode(const char *text, size_t len, uint8_t out[static MAX_DIGEST_BYTES]);
bool is_hex(char c);
/* algorithm_find, through r->tags. */
unsigned cached_code(struct bm_manifest_reader *r, const char *tag, size_t len);
/* Puts in one more digest, whose bytes are in r->digest_bytes[e->digest_count] already. */
enum line_result add_digest(struct bm_manifest_reader *r, struct bm_manifest_entry *e, unsigned code, bool is_guess);
/* digits of a digest that is known to be of code, len bytes of text: decoded and added, or what is wrong with it. */
enum line_result add_hex(struct bm_manifest_reader *r, struct bm_manifest_entry *e, unsigned code, const char *text,
                         size_t len);
/* A digest that does not say what it is of: hex_decode gave digits. */
enum line_result add_unnamed(struct bm_manifest_reader *r, struct bm_manifest_entry *e, size_t digits);
/* The name, in place, with a byte behind it that may be overwritten: checked and flagged. The entry is complete. */
enum line_result set_name(struct bm_manifest_reader *r, struct bm_manifest_entry *e, char *name, size_t len);
/* Escapes of gnu and bsd, undone in place; *len shrinks. */
enum line_result unescape(struct bm_manifest_reader *r, char *name, size_t *len);

/* ---- the kinds: line[len] may be overwritten; e is zeroed but for its line ---- */

enum line_result parse_line(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);
enum line_result parse_sums(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);
enum line_result parse_bagit(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);
enum line_result parse_hashdeep(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);
enum line_result parse_sfv(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);
enum line_result parse_json(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e);

/* ---- detect.c ---- */

enum detected {
	DETECTED,     /* r->rules.kind and nul are set */
	DETECT_MORE,  /* more of the file is needed */
	DETECT_FAILED /* err is set */
};
/* From the first len bytes (data[len] is 0; is_all: that is all there is), the file's name, and what the caller said. */
enum detected detect(struct bm_manifest_reader *r, const char *file_name, const char *data, size_t len, bool is_all,
                     struct bm_error *err);

/* ---- rclone_name.c: rclone's "Standard" encoding of names ---- */

/* In place; returns the new length. */
size_t rclone_name_decode(char *name, size_t len);
void rclone_name_put(struct bm_buf *out, const char *name, size_t len);

#endif
