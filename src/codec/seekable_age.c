/*
 * seekable_age.c - the chunks of an age file (bm_seekable.h, bm_age.h).
 *
 * Chunk n lies at a place that follows from n, and so does the whole plain length from the file's; there is nothing to
 * search. What a length alone cannot say is whether the file was cut between two chunks. So the last chunk is opened
 * first of all: only in the whole file does it authenticate as the last.
 *
 * A chunk that is wanted whole is opened straight into the caller's memory (which gets only what authenticated: the rest
 * is wiped); of others the last one is kept.
 */
#include "seekable_private.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bm_age.h"
#include "bm_error.h"

#define HEADER_PART 4096

struct seek_age {
	struct bm_seekable base; /* first */
	struct bm_age_cipher *cipher;
	uint64_t payload; /* its offset in the source */
	uint64_t plain_bytes;
	uint64_t chunks;
	bool has_chunk;
	uint64_t chunk; /* the number of that in `plain` */
	size_t plain_len;
	uint8_t sealed[BM_AGE_SEALED_CHUNK_BYTES];
	uint8_t plain[BM_AGE_CHUNK_BYTES];
};

static enum bm_status open_chunk(struct seek_age *a, uint64_t n, uint8_t *out, size_t *len, struct bm_error *err)
{
	const bool last = n + 1 == a->chunks;
	const uint64_t offset = a->payload + n * BM_AGE_SEALED_CHUNK_BYTES;
	const size_t sealed = last ? (size_t)(a->base.src.size - offset) : BM_AGE_SEALED_CHUNK_BYTES;
	struct bm_error inner = BM_ERROR_INIT;
	char where[SEEK_WHERE_BYTES];
	enum bm_status status = a->base.src.pread(a->base.src.ctx, a->sealed, sealed, offset, err);

	if (status != BM_OK)
		return status;
	status = bm_age_open(a->cipher, n, last, a->sealed, sealed, out, BM_AGE_CHUNK_BYTES, len, &inner);
	if (status == BM_OK)
		return BM_OK;
	/* Authentic bytes of a file that is not whole: not here, where nobody asked for them in order. */
	OPENSSL_cleanse(out, *len);
	*len = 0;
	if (status == BM_ERR_NOMEM)
		return bm_error_set_nomem(err);
	return bm_error_set(err, status, seek_where(where, offset), "age chunk at byte %llu: %s",
	                    (unsigned long long)offset, inner.text);
}

static enum bm_status keep_chunk(struct seek_age *a, uint64_t n, struct bm_error *err)
{
	enum bm_status status;

	if (a->has_chunk && a->chunk == n)
		return BM_OK;
	a->has_chunk = false;
	status = open_chunk(a, n, a->plain, &a->plain_len, err);
	a->has_chunk = status == BM_OK;
	a->chunk = n;
	return status;
}

static enum bm_status age_read(struct bm_seekable *s, void *buf, size_t len, uint64_t offset, size_t *got,
                               struct bm_error *err)
{
	struct seek_age *a = (struct seek_age *)s;
	enum bm_status status = BM_OK;

	*got = 0;
	if (offset >= a->plain_bytes)
		return BM_OK;
	if (len > a->plain_bytes - offset)
		len = (size_t)(a->plain_bytes - offset);
	while (status == BM_OK && *got < len) {
		const uint64_t n = (offset + *got) / BM_AGE_CHUNK_BYTES;
		const size_t inner = (size_t)((offset + *got) % BM_AGE_CHUNK_BYTES);
		uint8_t *const out = (uint8_t *)buf + *got;
		size_t part = len - *got;

		if (inner == 0 && part >= BM_AGE_CHUNK_BYTES && !(a->has_chunk && a->chunk == n)) {
			status = open_chunk(a, n, out, &part, err);
		} else {
			status = keep_chunk(a, n, err);
			if (status != BM_OK)
				break;
			part = part < a->plain_len - inner ? part : a->plain_len - inner;
			memcpy(out, a->plain + inner, part);
		}
		*got += part;
	}
	return status;
}

static enum bm_status age_size(struct bm_seekable *s, uint64_t *size, struct bm_error *err)
{
	(void)err;
	*size = ((struct seek_age *)s)->plain_bytes;
	return BM_OK;
}

static void age_destroy(struct bm_seekable *s)
{
	struct seek_age *a = (struct seek_age *)s;

	bm_age_cipher_destroy(a->cipher);
	OPENSSL_cleanse(a->plain, sizeof(a->plain));
	free(a);
}

/* Reads the header and finds the key with it. */
static enum bm_status read_header(struct seek_age *a, const struct bm_age_identities *identities,
                                  struct bm_age_key *key, struct bm_error *err)
{
	const struct bm_seekable_source *src = &a->base.src;
	struct bm_age_header *header = NULL;
	enum bm_status status = bm_age_header_create(&header, err);
	uint64_t offset = 0;

	while (status == BM_OK && !bm_age_header_complete(header)) {
		const size_t part = src->size - offset < HEADER_PART ? (size_t)(src->size - offset) : HEADER_PART;
		size_t used = 0;

		if (part > 0)
			status = src->pread(src->ctx, a->sealed, part, offset, err);
		if (status == BM_OK)
			status = bm_age_header_feed(header, a->sealed, part, offset + part == src->size, &used, err);
		offset += used;
	}
	a->payload = offset;
	if (status == BM_OK)
		status = bm_age_header_unwrap(header, identities, key, NULL, err);
	bm_age_header_destroy(header);
	return status;
}

enum bm_status seek_age_open(const struct bm_seekable_source *src, const struct bm_seekable_options *opt,
                             struct bm_seekable **out, struct bm_error *err)
{
	static const struct seek_ops ops = {age_read, age_size, age_destroy};
	struct bm_age_key key = {{0}};
	enum bm_status status;
	struct seek_age *a;

	if (opt->identities == NULL)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "it is encrypted with age, and no identity was given");
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return bm_error_set_nomem(err);
	a->base = (struct bm_seekable){
		.ops = &ops, .src = *src, .layout = BM_SEEKABLE_AGE, .how = "age, by the number of the chunk"};
	status = read_header(a, opt->identities, &key, err);
	if (status == BM_OK && !bm_age_plain_bytes(src->size - a->payload, &a->plain_bytes)) {
		char where[SEEK_WHERE_BYTES];

		status = bm_error_set(err, BM_ERR_TRUNCATED, seek_where(where, src->size),
		                      "no age file ends at this place: it was cut off");
	}
	if (status == BM_OK) {
		a->chunks = a->plain_bytes == 0 ? 1 : (a->plain_bytes - 1) / BM_AGE_CHUNK_BYTES + 1;
		status = bm_age_cipher_create(&a->cipher, err);
	}
	if (status == BM_OK)
		status = bm_age_cipher_set_key(a->cipher, &key, BM_AGE_OPEN, err);
	bm_age_key_wipe(&key);
	if (status == BM_OK)
		status = keep_chunk(a, a->chunks - 1, err);
	if (status != BM_OK) {
		age_destroy(&a->base);
		return status;
	}
	*out = &a->base;
	return BM_OK;
}
