/*
 * seekable.c - see bm_seekable.h: which layer it is, the plain one, the view on a source, and what all layers share.
 *
 * The first bytes tell the layer, as they do for the step `decompress`: what begins like age, gzip or zstd is held to be
 * that. What is none of these is plain, and the end of a stack of layers.
 */
#include "seekable_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_age.h"
#include "bm_error.h"
#include "bm_zstd.h"

static const char *const names[] = {
	[BM_SEEKABLE_PLAIN] = "plain", [BM_SEEKABLE_GZIP] = "gzip", [BM_SEEKABLE_BGZF] = "bgzf",
	[BM_SEEKABLE_ZSTD] = "zstd",   [BM_SEEKABLE_AGE] = "age",
};

/* ---- plain ---- */

static enum bm_status plain_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                                 struct bm_error *err)
{
	enum bm_status status;

	*got = 0;
	if (offset >= s->src.size || len == 0)
		return BM_OK;
	if (len > s->src.size - offset)
		len = (size_t)(s->src.size - offset);
	status = s->src.pread(s->src.ctx, buf, len, offset, err);
	*got = status == BM_OK ? len : 0;
	return status;
}

static enum bm_status plain_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err)
{
	(void)err;
	*size = s->src.size;
	return BM_OK;
}

static void plain_destroy(struct bm_seekable *s)
{
	free(s);
}

static enum bm_status plain_open(const struct bm_seekable_source *src, struct bm_seekable **out, struct bm_error *err)
{
	static const struct seek_ops ops = {.read = plain_read, .size = plain_size, .destroy = plain_destroy};
	struct bm_seekable *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return bm_error_set_nomem(err);
	*s = (struct bm_seekable){.ops = &ops, .src = *src, .layout = BM_SEEKABLE_PLAIN, .how = "plain bytes"};
	*out = s;
	return BM_OK;
}

/* ---- which it is ---- */

static bool is_zstd(const uint8_t *head, size_t len)
{
	static const uint8_t old[3] = {0xb5, 0x2f, 0xfd}; /* after 22 ... 28: formats that are refused by name */
	struct bm_zstd_header h;

	return len >= 4 &&
	       (bm_zstd_peek_header(head, len, &h) != BM_ZSTD_PEEK_NOT || memcmp(head + 1, old, sizeof(old)) == 0);
}

enum bm_seekable_layout bm_seekable_detect(const void *head, size_t len)
{
	const uint8_t *p = head;
	const enum bm_age_kind kind = bm_age_detect(head, len);

	if (kind == BM_AGE_KIND_BINARY || kind == BM_AGE_KIND_ARMOR)
		return BM_SEEKABLE_AGE;
	if (len >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return BM_SEEKABLE_GZIP;
	return is_zstd(head, len) ? BM_SEEKABLE_ZSTD : BM_SEEKABLE_PLAIN;
}

enum bm_status bm_seekable_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                                struct bm_seekable **out, struct bm_error *err)
{
	static const struct bm_seekable_options none;
	uint8_t head[BM_SEEKABLE_HEAD_BYTES];
	const size_t len = src->size < sizeof(head) ? (size_t)src->size : sizeof(head);
	enum bm_status status = BM_OK;

	*out = NULL;
	if (opt == NULL)
		opt = &none;
	if (len > 0)
		status = src->pread(src->ctx, head, len, 0, err);
	if (status != BM_OK)
		return status;
	switch (bm_seekable_detect(head, len)) {
	case BM_SEEKABLE_AGE:
		if (bm_age_detect(head, len) == BM_AGE_KIND_ARMOR)
			return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
			                    "ASCII armor can be read from its start only");
		return seek_age_open(src, opt, out, err);
	case BM_SEEKABLE_GZIP:
		return seek_gzip_open(src, opt, out, err);
	case BM_SEEKABLE_ZSTD:
		return seek_zstd_open(src, opt, out, err);
	default:
		return plain_open(src, out, err);
	}
}

/* ---- for all layers ---- */

void bm_seekable_destroy(struct bm_seekable *s)
{
	if (s != NULL)
		s->ops->destroy(s);
}

enum bm_status bm_seekable_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                                struct bm_error *err)
{
	return s->ops->read(s, buf, len, offset, got, err);
}

enum bm_status bm_seekable_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err)
{
	*size = 0;
	return s->ops->size(s, size, err);
}

static enum bm_status layer_pread(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	struct bm_seekable *s = ctx;
	size_t got = 0;
	enum bm_status status = s->ops->read(s, buf, len, offset, &got, err);
	char where[SEEK_WHERE_BYTES];

	if (status == BM_OK && got < len)
		return bm_error_set(err, BM_ERR_TRUNCATED, seek_where(where, offset + got),
		                    "the %s data ends sooner than it said", names[s->layout]);
	return status;
}

static enum bm_status layer_hint(void *ctx, void *buf, size_t len, uint64_t offset, struct bm_error *err)
{
	struct bm_seekable *s = ctx;

	return s->ops->hint(s, buf, len, offset, err);
}

static enum bm_status layer_settle(void *ctx, struct bm_error *err)
{
	struct bm_seekable *s = ctx;

	return s->ops->settle(s, err);
}

enum bm_status bm_seekable_as_source(struct bm_seekable *s, struct bm_seekable_source *out, struct bm_error *err)
{
	*out = (struct bm_seekable_source){.pread = layer_pread, .ctx = s};
	if (s->ops->hint != NULL) {
		out->hint = layer_hint;
		out->settle = layer_settle;
	}
	return bm_seekable_size(s, &out->size, err);
}

enum bm_seekable_layout bm_seekable_layout(const struct bm_seekable *s)
{
	return s->layout;
}

const char *bm_seekable_how(const struct bm_seekable *s)
{
	return s->how;
}

const char *bm_seekable_warning(const struct bm_seekable *s)
{
	return s->warning[0] != '\0' ? s->warning : NULL;
}

const char *seek_where(char buf[static SEEK_WHERE_BYTES], uint64_t offset)
{
	(void)snprintf(buf, SEEK_WHERE_BYTES, "offset %" PRIu64, offset);
	return buf;
}

void seek_warn(struct bm_seekable *s, const char *fmt, ...)
{
	va_list ap;

	if (s->warning[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(s->warning, sizeof(s->warning), fmt, ap);
	va_end(ap);
}

/* ---- views ---- */

#define AHEAD_SHORT 32  /* a trailer and the head of the next unit are read together */
#define SHORT_STEP 4096 /* steps up to this length are taken many at a time */

enum bm_status seek_view_init(struct seek_view *v, const struct bm_seekable_source *src, struct bm_error *err)
{
	*v = (struct seek_view){.src = src, .ahead = AHEAD_SHORT};
	v->data = malloc(SEEK_VIEW_BYTES);
	return v->data != NULL ? BM_OK : bm_error_set_nomem(err);
}

void seek_view_fini(struct seek_view *v)
{
	free(v->data);
	v->data = NULL;
}

void seek_view_step(struct seek_view *v, uint64_t bytes)
{
	v->ahead = bytes <= SHORT_STEP ? SEEK_VIEW_BYTES : AHEAD_SHORT;
}

enum bm_status seek_view_get(struct seek_view *v, uint64_t offset, size_t want, const uint8_t **at, size_t *got,
                             struct bm_error *err)
{
	const uint64_t left = offset < v->src->size ? v->src->size - offset : 0;
	enum bm_status status;
	size_t len;

	if (want > left)
		want = (size_t)left;
	*at = v->data;
	*got = want;
	if (want == 0)
		return BM_OK;
	if (offset < v->offset || offset - v->offset > v->len || want > v->len - (size_t)(offset - v->offset)) {
		len = want + v->ahead < SEEK_VIEW_BYTES ? want + v->ahead : SEEK_VIEW_BYTES;
		if (len > left)
			len = (size_t)left;
		v->len = 0;
		status = BM_ERR_FAILED;
		if (v->src->hint != NULL && len <= BM_SEEKABLE_HINT_BYTES)
			status = v->src->hint(v->src->ctx, v->data, len, offset, NULL);
		if (status != BM_OK)
			status = v->src->pread(v->src->ctx, v->data, len, offset, err);
		if (status != BM_OK) {
			*got = 0;
			return status;
		}
		v->offset = offset;
		v->len = len;
	}
	*at = v->data + (offset - v->offset);
	return BM_OK;
}
