/*
 * seekable_private.h - private to src/codec: what the layers of bm_seekable.h share. seekable.c tells them apart; a row
 * of units (seekable_row.c) serves gzip and zstd, whose files say how to find and decode one unit.
 */
#ifndef BM_CODEC_SEEKABLE_PRIVATE_H
#define BM_CODEC_SEEKABLE_PRIVATE_H

#include "bm_seekable.h"

struct seek_ops {
	enum bm_status (*read)(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
	                       struct bm_error *err);
	enum bm_status (*size)(struct bm_seekable *s, uint64_t *size, struct bm_error *err);
	void (*destroy)(struct bm_seekable *s);
	/* See struct bm_seekable_source; both NULL, or none. */
	enum bm_status (*hint)(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, struct bm_error *err);
	enum bm_status (*settle)(struct bm_seekable *s, struct bm_error *err);
};

/* The start of every layer's own struct. */
struct bm_seekable {
	const struct seek_ops *ops;
	struct bm_seekable_source src;
	enum bm_seekable_layout layout;
	const char *how;   /* static */
	char warning[240]; /* "": none */
};

#define SEEK_WHERE_BYTES 32
/* "offset N" in buf, which is returned. */
const char *seek_where(char buf[static SEEK_WHERE_BYTES], uint64_t offset);
/* The first warning stays. */
void seek_warn(struct bm_seekable *s, const char *fmt, ...) BM_PRINTF(2, 3);

enum bm_status seek_age_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                             struct bm_seekable **out, struct bm_error *err);
enum bm_status seek_gzip_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                              struct bm_seekable **out, struct bm_error *err);
enum bm_status seek_zstd_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                              struct bm_seekable **out, struct bm_error *err);

/* ---- a view on small parts of a source ---- */

#define SEEK_VIEW_BYTES ((size_t)64 << 10)

/* What was read last. Steps through a source from head to head touch a few bytes in many: each costs one short read,
 * or, where the steps are short, every hundredth a long one. */
struct seek_view {
	const struct bm_seekable_source *src;
	uint8_t *data; /* SEEK_VIEW_BYTES; owned */
	uint64_t offset;
	size_t len;
	size_t ahead; /* bytes worth reading behind those asked for */
};
enum bm_status seek_view_init(struct seek_view *v, const struct bm_seekable_source *src, struct bm_error *err);
void seek_view_fini(struct seek_view *v);
/* *at: want bytes (up to SEEK_VIEW_BYTES) from offset on, or as many as there are to the source's end: *got. Until the
 * next call. Where the source gives hints, that is what they are: see row_settle. */
enum bm_status seek_view_get(struct seek_view *v, uint64_t offset, size_t want, const uint8_t **at, size_t *got,
                             struct bm_error *err);
/* Steps were about so long. */
void seek_view_step(struct seek_view *v, uint64_t bytes);

/* ---- rows of units ---- */

struct row_unit {
	uint64_t number;  /* from 0 */
	uint64_t offset;  /* in the source */
	uint64_t bytes;   /* there; 0: the row has ended */
	uint64_t content; /* offset in the decoded bytes */
	uint64_t content_bytes;
};

struct seek_row;

struct row_ops {
	const char *unit;     /* "gzip member" */
	uint64_t learn_bytes; /* so much content at the start is decoded when it is passed over: see seekable_row.c */
	/* Fills in what a unit claims; number, offset and content are set. offset may be moved up over what is no unit.
	 * The claim lies within the source, bytes > 0; or bytes is 0 at the row's end. */
	enum bm_status (*look)(struct seek_row *r, struct row_unit *u, struct bm_error *err);
	/* A second claim of the content's size: *told says whether there is one. An error where the two differ. May be
	 * NULL. */
	enum bm_status (*confirm)(struct seek_row *r, const struct row_unit *u, bool *told, struct bm_error *err);
	/* The unit that holds the decoded byte at content_offset, by an index; bytes 0, and content the whole length:
	 * it is behind the end. NULL unless there is such an index. */
	enum bm_status (*jump)(struct seek_row *r, uint64_t content_offset, struct row_unit *u, struct bm_error *err);
	/* The whole unit, from packed to out: exactly content_bytes, checked. Errors count their offset from the unit's
	 * start. */
	enum bm_status (*decode)(struct seek_row *r, const struct row_unit *u, const uint8_t *packed, uint8_t *out,
	                         struct bm_error *err);
	/* The same as a stream: start, then decode_part until *ended. in_end: the unit's last byte is in in. */
	void (*start)(struct seek_row *r, const struct row_unit *u);
	enum bm_status (*decode_part)(struct seek_row *r, const uint8_t *in, size_t in_len, bool in_end, uint8_t *out,
	                              size_t out_cap, size_t *used, size_t *made, bool *ended, struct bm_error *err);
	/* The whole row is known, last is its last unit (bytes 0: there is none). May be NULL. */
	enum bm_status (*at_end)(struct seek_row *r, const struct row_unit *last, struct bm_error *err);
	void (*destroy)(struct seek_row *r); /* what is the format's own */
};

#define ROW_MARKS 4096

struct seek_row {
	struct bm_seekable base;
	const struct row_ops *ops;
	struct seek_view view;
	size_t unit_max;

	/* The frontier: how far the row has been walked. */
	struct row_unit next; /* not looked at yet: number, offset and content */
	struct row_unit last; /* before it; bytes 0: none */
	bool last_is_good;    /* it was decoded, or confirmed */
	bool ended;           /* next is the row's end */
	uint64_t wanted;      /* the content that it is walked for, as far as is known; UINT64_MAX: the end */
	struct {
		uint64_t size, count;
	} run, before[2]; /* equal sizes one after the other; before[1] is the run just before */
	unsigned run_count;

	/* Every stride-th unit behind the frontier. */
	struct row_mark {
		uint64_t offset, content;
	} * marks; /* ROW_MARKS; owned */
	size_t mark_count;
	uint64_t stride;

	/* The unit at hand. */
	struct row_unit unit; /* bytes 0: none */
	bool is_loaded;       /* decoded in content */
	bool is_checked;      /* a large one: decoded once, all of it good */
	uint8_t *content, *packed;
	size_t content_cap, packed_cap;

	/* Decoding the unit at hand as a stream. */
	bool is_streaming;
	bool stream_ended;
	uint64_t stream_in;  /* bytes of the unit taken */
	uint64_t stream_out; /* bytes made */
	uint8_t *stream_buf; /* owned; input, then output that nobody wants */
	size_t buf_at, buf_len;
};

/* Frees what r has, not r itself, which row_destroy frees. */
enum bm_status row_init(struct seek_row *r, const struct row_ops *ops, const struct bm_seekable_source *src,
                        const struct bm_seekable_options *opt, struct bm_error *err);
/* After look and the rest are ready: a first look, which finds out what cannot be sought in. */
enum bm_status row_begin(struct seek_row *r, struct bm_error *err);
/* What ops->look finds, held against the bounds that all rows have. */
enum bm_status row_look(struct seek_row *r, struct row_unit *u, struct bm_error *err);
/* What was seen of heads (see `hint` in bm_seekable.h) must have been right before anything that hangs on it is given out,
 * or an error is: turns status, with its error inner, into what is to be returned. Where it was not right that is the error,
 * whatever it looked like, *got is 0, and the row will be walked anew. */
enum bm_status row_settle(struct seek_row *r, enum bm_status status, const struct bm_error *inner, size_t *got,
                          struct bm_error *err);
struct row_unit row_after(const struct row_unit *u); /* the next one's place */
/* Decodes the unit, or only checks a large one. */
enum bm_status row_load(struct seek_row *r, const struct row_unit *u, struct bm_error *err);
/* An error about a unit: "gzip member at byte N: ...". */
BM_PRINTF(5, 6)
enum bm_status row_error(struct seek_row *r, const struct row_unit *u, enum bm_status status, struct bm_error *err,
                         const char *fmt, ...);
extern const struct seek_ops row_seek_ops;

#endif
