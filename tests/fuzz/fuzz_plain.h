/* fuzz_plain.h - what the fuzz targets of the decoders share: decoded bytes and their comparison, and reading by offset. */
#ifndef BM_TEST_FUZZ_PLAIN_H
#define BM_TEST_FUZZ_PLAIN_H

#include <stdbool.h>
#include <string.h>

#include "bm_error.h"
#include "bm_seekable.h"
#include "fuzz.h"

#define PLAIN_MAX ((size_t)1 << 18) /* what decodes to more is left alone */

struct plain {
	uint8_t *data; /* PLAIN_MAX bytes; freed by whoever made it */
	size_t len;
	enum bm_status status; /* BM_ERR_LIMIT: more than PLAIN_MAX, or than the decoder's own cap */
	bool garbage;          /* gzip: something else follows */
	struct bm_error error; /* why it is not BM_OK, where a decoder said so */
};

static inline struct plain plain_new(void)
{
	struct plain p = {.data = malloc(PLAIN_MAX), .status = BM_OK, .error = BM_ERROR_INIT};

	FUZZ_CHECK(p.data != NULL);
	return p;
}

/* Takes over what a decoder said: one of the statuses that bad data may have, and an offset. */
static inline void plain_failed(struct plain *p, const struct bm_error *err)
{
	FUZZ_CHECK(p->status == BM_ERR_FORMAT || p->status == BM_ERR_TRUNCATED || p->status == BM_ERR_LIMIT ||
	           p->status == BM_ERR_UNSUPPORTED);
	FUZZ_CHECK(err->text[0] != '\0' && strncmp(err->where, "offset ", 7) == 0);
	p->error = *err;
}

/* Do these bytes stand at this place? */
static inline bool plain_has(const struct plain *p, size_t at, const uint8_t *data, size_t len)
{
	return at <= p->len && len <= p->len - at && (len == 0 || memcmp(p->data + at, data, len) == 0);
}

static inline bool plain_same(const struct plain *a, const struct plain *b)
{
	return a->len == b->len && plain_has(a, 0, b->data, b->len);
}

/* As far as both go. */
static inline bool plain_agree(const struct plain *a, const struct plain *b)
{
	return plain_has(a, 0, b->data, a->len < b->len ? a->len : b->len);
}

struct plain_file {
	const uint8_t *data;
};

static inline enum bm_status plain_read_at(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	const struct plain_file *f = ctx;

	(void)err;
	if (len > 0)
		memcpy(buf, f->data + offset, len);
	return BM_OK;
}

/* Reading by offset, where there is a way, finds what the stream gave, and no less of it. */
static inline void plain_try_seeking(const uint8_t *data, size_t len, const struct plain *whole)
{
	struct plain_file f = {data};
	struct bm_seekable_source src = {.pread = plain_read_at, .ctx = &f, .size = len};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_seekable *s = NULL;
	struct plain part = plain_new();

	if (bm_seekable_open(&src, NULL, &s, &err) == BM_OK && bm_seekable_layout(s) != BM_SEEKABLE_PLAIN) {
		part.status = bm_seekable_read(s, part.data, whole->len, 0, &part.len, &err);
		FUZZ_CHECK(part.len <= whole->len && plain_agree(&part, whole));
		FUZZ_CHECK(part.status != BM_OK || whole->status != BM_OK || part.len == whole->len);
	}
	bm_seekable_destroy(s);
	free(part.data);
}

#endif
