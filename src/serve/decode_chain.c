/*
 * decode_chain.c - layers of gzip, zstd and age, each a streaming decoder that takes its input from the layer below.
 *
 * What a layer decodes to is looked at, as much as fits in the next one's input, to tell whether there is another
 * format in it. All three decoders keep the same rules (bm_gzip.h, bm_zstd.h, bm_age.h), so one loop serves them: call
 * until something was made or it is complete, and give it more where the input is used up.
 */
#include "decode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bm_age.h"
#include "bm_error.h"
#include "bm_gzip.h"
#include "bm_seekable.h"
#include "bm_zstd.h"

#define DEPTH_MAX 4
#define INPUT_BYTES ((size_t)64 << 10)

struct layer {
	enum bm_seekable_layout format; /* PLAIN: what comes in goes out */
	struct bm_gzip_decoder *gzip;
	struct bm_zstd_decoder *zstd;
	struct bm_age_decoder *age;
	size_t at, len; /* in input */
	bool in_end, is_complete;
	uint8_t input[INPUT_BYTES];
};

struct decode_chain {
	int fd;
	uint64_t window_most; /* of zstd */
	unsigned count;
	struct layer *layers[DEPTH_MAX + 1]; /* the last one is PLAIN */
};

static enum bm_status pull(struct decode_chain *c, unsigned n, uint8_t *buf, size_t cap, size_t *len,
                           struct bm_error *err);

/* More input for layer n; from the file for the first. */
static enum bm_status refill(struct decode_chain *c, unsigned n, struct bm_error *err)
{
	struct layer *l = c->layers[n];
	enum bm_status status = BM_OK;
	size_t got = 0;

	memmove(l->input, l->input + l->at, l->len - l->at);
	l->len -= l->at;
	l->at = 0;
	if (l->len == INPUT_BYTES || l->in_end)
		return BM_OK;
	if (n > 0) {
		status = pull(c, n - 1, l->input + l->len, INPUT_BYTES - l->len, &got, err);
	} else {
		ssize_t in;

		do
			in = read(c->fd, l->input + l->len, INPUT_BYTES - l->len);
		while (in < 0 && errno == EINTR);
		if (in < 0)
			return bm_error_set_errno(err, errno, NULL, "cannot read");
		got = (size_t)in;
	}
	l->len += got;
	l->in_end = status == BM_OK && got == 0;
	return status;
}

static enum bm_status decode(struct layer *l, uint8_t *buf, size_t cap, size_t *used, size_t *made,
                             struct bm_error *err)
{
	const uint8_t *in = l->input + l->at;
	size_t len = l->len - l->at;
	enum bm_status status = BM_OK;

	if (l->gzip != NULL) {
		struct bm_gzip_stream_result res = {0};

		status = bm_gzip_stream_decode(l->gzip, in, len, l->in_end, buf, cap, &res, err);
		*used = res.in_used;
		*made = res.out_made;
		l->is_complete = res.complete || res.garbage;
	} else if (l->zstd != NULL) {
		struct bm_zstd_stream_result res = {0};

		status = bm_zstd_stream_decode(l->zstd, in, len, l->in_end, buf, cap, &res, err);
		*used = res.in_used;
		*made = res.out_made;
		l->is_complete = res.complete;
	} else if (l->age != NULL) {
		struct bm_age_result res = {0};

		status = bm_age_decode(l->age, in, len, l->in_end, buf, cap, &res, err);
		*used = res.in_used;
		*made = res.out_made;
		l->is_complete = res.complete;
	} else {
		*used = *made = len < cap ? len : cap;
		memcpy(buf, in, *made);
		l->is_complete = l->in_end && *used == len;
	}
	return status;
}

static enum bm_status pull(struct decode_chain *c, unsigned n, uint8_t *buf, size_t cap, size_t *len,
                           struct bm_error *err)
{
	struct layer *l = c->layers[n];

	*len = 0;
	while (*len == 0 && !l->is_complete) {
		size_t used = 0, before = l->len - l->at;
		enum bm_status status = decode(l, buf, cap, &used, len, err);

		l->at += used;
		if (status != BM_OK)
			return status;
		if (*len > 0 || l->is_complete || (used > 0 && l->at < l->len))
			continue;
		status = refill(c, n, err);
		if (status != BM_OK)
			return status;
		if (used == 0 && l->in_end && l->len - l->at == before && before > 0 && l->format == BM_SEEKABLE_PLAIN)
			return bm_error_set(err, BM_ERR_FAILED, NULL, "no progress");
	}
	return BM_OK;
}

/* What the layer's input is; reads as much of it as that takes. */
static enum bm_status detect(struct decode_chain *c, unsigned n, struct bm_error *err)
{
	struct layer *l = c->layers[n];
	enum bm_status status = BM_OK;

	while (status == BM_OK && !l->in_end && l->len < BM_SEEKABLE_HEAD_BYTES)
		status = refill(c, n, err);
	l->format = n < DEPTH_MAX ? bm_seekable_detect(l->input, l->len) : BM_SEEKABLE_PLAIN;
	return status;
}

static enum bm_status open_layer(struct decode_chain *c, const struct bm_age_identities *ids, struct bm_error *err)
{
	struct layer *l = malloc(sizeof(*l));
	enum bm_status status;

	if (l == NULL)
		return bm_error_set_nomem(err);
	memset(l, 0, offsetof(struct layer, input));
	c->layers[c->count++] = l;
	status = detect(c, c->count - 1, err);
	if (status != BM_OK)
		return status;
	switch (l->format) {
	case BM_SEEKABLE_GZIP:
	case BM_SEEKABLE_BGZF:
		status = bm_gzip_decoder_create(&l->gzip, err);
		if (status == BM_OK)
			bm_gzip_stream_reset(l->gzip);
		break;
	case BM_SEEKABLE_ZSTD:
		status = bm_zstd_decoder_create(c->window_most, &l->zstd, err);
		if (status == BM_OK)
			bm_zstd_stream_reset(l->zstd);
		break;
	case BM_SEEKABLE_AGE:
		if (ids == NULL)
			return bm_error_set(err, BM_ERR_USAGE, NULL,
			                    "it is encrypted, and the service has no identity");
		status = bm_age_decoder_create(ids, &l->age, err);
		if (status == BM_OK)
			bm_age_decoder_reset(l->age, BM_AGE_ARMORED_AUTO);
		break;
	default:
		break;
	}
	return status;
}

enum bm_status decode_chain_open(int fd, const struct bm_age_identities *ids, uint64_t window_most,
                                 struct decode_chain **out, struct bm_error *err)
{
	struct decode_chain *c = calloc(1, sizeof(*c));
	enum bm_status status = BM_OK;

	*out = NULL;
	if (c == NULL)
		return bm_error_set_nomem(err);
	c->fd = fd;
	c->window_most = window_most;
	if (lseek(fd, 0, SEEK_SET) != 0)
		status = bm_error_set_errno(err, errno, NULL, "cannot seek");
	do
		if (status == BM_OK)
			status = open_layer(c, ids, err);
	while (status == BM_OK && c->layers[c->count - 1]->format != BM_SEEKABLE_PLAIN);
	if (status == BM_OK)
		*out = c;
	else
		decode_chain_close(c);
	return status;
}

enum bm_status decode_chain_read(struct decode_chain *c, void *buf, size_t cap, size_t *len, struct bm_error *err)
{
	return pull(c, c->count - 1, buf, cap, len, err);
}

void decode_chain_close(struct decode_chain *c)
{
	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->count; i++) {
		bm_gzip_decoder_destroy(c->layers[i]->gzip);
		bm_zstd_decoder_destroy(c->layers[i]->zstd);
		bm_age_decoder_destroy(c->layers[i]->age);
		explicit_bzero(c->layers[i]->input, INPUT_BYTES);
		free(c->layers[i]);
	}
	free(c);
}
