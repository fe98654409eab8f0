/*
 * age_stream.c - see bm_age.h: the payload's chunks (c2sp.org/age, section "Payload").
 *
 * A chunk's nonce is its number, 11 bytes big endian, and one byte that is 1 for the last chunk: everything that a
 * chunk needs besides the key is known from its place in the file. So a chunk is sealed or opened by whichever thread
 * has it, with a cipher context of that thread's own, in which the key is set once: per chunk only the nonce is, which
 * costs nothing against 64 KiB.
 *
 * Opening has to say more than that a tag is wrong, since a payload can be wrong in three ways. Whoever calls knows
 * whether the payload ends with these bytes, and thus whether the chunk should be the last; where the tag does not fit,
 * the other value of the last byte is tried. Where that fits, the chunk is authentic and is let out, but the file was
 * cut at this place, or something stands after its end. A shorter chunk cannot be one from the middle, so it gets one
 * try, and no guess whether it was cut or changed can be made. The last chunk may be empty only where it is the first.
 */
#include "age_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "bm_error.h"

struct bm_age_cipher {
	EVP_CIPHER_CTX *ctx; /* owned */
	bool has_key;
	enum bm_age_direction direction; /* of the key */
};

uint64_t bm_age_sealed_bytes(uint64_t plain_bytes)
{
	const uint64_t chunks = plain_bytes == 0 ? 1 : (plain_bytes - 1) / BM_AGE_CHUNK_BYTES + 1;
	uint64_t sum;

	return __builtin_add_overflow(plain_bytes, chunks * BM_AGE_TAG_BYTES, &sum) ? UINT64_MAX : sum;
}

bool bm_age_plain_bytes(uint64_t sealed_bytes, uint64_t *plain_bytes)
{
	const uint64_t whole = sealed_bytes / BM_AGE_SEALED_CHUNK_BYTES;
	const uint64_t rest = sealed_bytes % BM_AGE_SEALED_CHUNK_BYTES;

	*plain_bytes = 0;
	/* A rest of just a tag is an empty chunk, which only an empty payload has. */
	if (rest == 0 ? whole == 0 : rest < BM_AGE_TAG_BYTES || (rest == BM_AGE_TAG_BYTES && whole > 0))
		return false;
	*plain_bytes = whole * BM_AGE_CHUNK_BYTES + (rest == 0 ? 0 : rest - BM_AGE_TAG_BYTES);
	return true;
}

enum bm_status bm_age_cipher_create(struct bm_age_cipher **out, struct bm_error *err)
{
	enum bm_status status = age_crypto_start(err);
	struct bm_age_cipher *c;

	*out = NULL;
	if (status != BM_OK)
		return status;
	c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->ctx = EVP_CIPHER_CTX_new();
	if (c == NULL || c->ctx == NULL) {
		ERR_clear_error();
		bm_age_cipher_destroy(c);
		return bm_error_set_nomem(err);
	}
	*out = c;
	return BM_OK;
}

void bm_age_cipher_destroy(struct bm_age_cipher *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->ctx);
	free(c);
}

enum bm_status bm_age_cipher_set_key(struct bm_age_cipher *c, const struct bm_age_key *key,
                                     enum bm_age_direction direction, struct bm_error *err)
{
	c->has_key = EVP_CipherInit_ex2(c->ctx, age_chacha(), key->bytes, NULL, direction == BM_AGE_SEAL, NULL) == 1;
	c->direction = direction;
	return c->has_key ? BM_OK : age_openssl_failed("take the payload key", err);
}

void bm_age_cipher_forget(struct bm_age_cipher *c)
{
	(void)EVP_CIPHER_CTX_reset(c->ctx); /* cannot fail, and wipes what it frees */
	c->has_key = false;
}

void bm_age_key_wipe(struct bm_age_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

static bool start_chunk(struct bm_age_cipher *c, uint64_t index, bool last)
{
	uint8_t nonce[12] = {0};

	for (unsigned i = 0; i < 8; i++)
		nonce[10 - i] = (uint8_t)(index >> (8 * i));
	nonce[11] = last ? 1 : 0;
	return EVP_CipherInit_ex2(c->ctx, NULL, NULL, nonce, -1, NULL) == 1;
}

/* len <= BM_AGE_CHUNK_BYTES */
static bool seal_chunk(struct bm_age_cipher *c, uint64_t index, bool last, const uint8_t *in, size_t len, uint8_t *out)
{
	int made = 0;
	int rest = 0;

	return start_chunk(c, index, last) && (len == 0 || EVP_CipherUpdate(c->ctx, out, &made, in, (int)len) == 1) &&
	       EVP_CipherFinal_ex(c->ctx, out + made, &rest) == 1 && (size_t)made + (size_t)rest == len &&
	       EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, (int)BM_AGE_TAG_BYTES, out + len) == 1;
}

/* len: of the plain text. What does not authenticate is wiped from out. */
static enum bm_status open_chunk(struct bm_age_cipher *c, uint64_t index, bool last, const uint8_t *in, size_t len,
                                 uint8_t *out, bool *good, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	uint8_t tag[BM_AGE_TAG_BYTES];
	int made = 0;
	int rest = 0;

	*good = false;
	memcpy(tag, in + len, sizeof(tag));
	if (!start_chunk(c, index, last) ||
	    EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, (int)sizeof(tag), tag) != 1 ||
	    (len > 0 && EVP_CipherUpdate(c->ctx, out, &made, in, (int)len) != 1) || (size_t)made != len)
		status = age_openssl_failed("open a chunk", err);
	else
		*good = EVP_CipherFinal_ex(c->ctx, out + made, &rest) == 1;
	if (!*good) {
		ERR_clear_error();
		if (len > 0)
			OPENSSL_cleanse(out, len);
	}
	return status;
}

static enum bm_status wrong_call(struct bm_error *err, const char *what)
{
	return bm_error_set(err, BM_ERR_USAGE, NULL, "age payload: %s", what);
}

enum bm_status bm_age_seal(struct bm_age_cipher *c, uint64_t index, bool last, const void *in, size_t in_len, void *out,
                           size_t out_cap, size_t *out_len, struct bm_error *err)
{
	const uint8_t *from = in_len > 0 ? in : (const uint8_t *)"";
	uint8_t *to = out;
	size_t left = in_len;

	*out_len = 0;
	if (!c->has_key || c->direction != BM_AGE_SEAL)
		return wrong_call(err, "no key to seal with is set");
	if (in_len == 0 ? index != 0 || !last : !last && in_len % BM_AGE_CHUNK_BYTES != 0)
		return wrong_call(err, "only the last chunk may be short, and none empty but an only one");
	if (bm_age_sealed_bytes(in_len) > out_cap)
		return wrong_call(err, "the output buffer is too small");
	do {
		const size_t len = left < BM_AGE_CHUNK_BYTES ? left : BM_AGE_CHUNK_BYTES;

		if (!seal_chunk(c, index, last && len == left, from, len, to))
			return age_openssl_failed("seal a chunk", err);
		index++;
		from += len;
		left -= len;
		to += len + BM_AGE_TAG_BYTES;
	} while (left > 0);
	*out_len = (size_t)(to - (uint8_t *)out);
	return BM_OK;
}

static enum bm_status damage(struct bm_error *err, enum bm_status status, uint64_t index, const char *what)
{
	char where[40];

	(void)snprintf(where, sizeof(where), "offset %llu",
	               (unsigned long long)index * (unsigned long long)BM_AGE_SEALED_CHUNK_BYTES);
	return bm_error_set(err, status, where, "%s", what);
}

/* One chunk of sealed_len bytes, of which *made become plain text. at_end: the payload ends with it. */
static enum bm_status open_one(struct bm_age_cipher *c, uint64_t index, bool at_end, const uint8_t *in,
                               size_t sealed_len, uint8_t *out, size_t *made, struct bm_error *err)
{
	enum bm_status status;
	size_t len;
	bool good;

	*made = 0;
	if (sealed_len < BM_AGE_TAG_BYTES)
		return damage(err, BM_ERR_TRUNCATED, index,
		              sealed_len == 0 ? "the age file ends where its last chunk should begin: it was cut off"
		                              : "the age file ends within a chunk: it was cut off");
	len = sealed_len - BM_AGE_TAG_BYTES;
	status = open_chunk(c, index, at_end, in, len, out, &good, err);
	if (status != BM_OK)
		return status;
	if (good && len == 0 && index > 0)
		return damage(err, BM_ERR_FORMAT, index, "the age file ends with an empty chunk, which is not allowed");
	if (good) {
		*made = len;
		return BM_OK;
	}
	if (len < BM_AGE_CHUNK_BYTES)
		return damage(err, BM_ERR_FORMAT, index,
		              "the last chunk of the age file does not authenticate: it was cut off or changed");
	status = open_chunk(c, index, !at_end, in, len, out, &good, err);
	if (status != BM_OK)
		return status;
	if (!good)
		return damage(err, BM_ERR_FORMAT, index,
		              "a chunk of the age file does not authenticate: it is damaged or was changed");
	*made = len;
	return at_end ? damage(err, BM_ERR_TRUNCATED, index + 1,
	                       "the age file ends where a further chunk should be: it was cut off")
	              : damage(err, BM_ERR_FORMAT, index + 1, "there is something after the age file's last chunk");
}

enum bm_status bm_age_open(struct bm_age_cipher *c, uint64_t index, bool last, const void *in, size_t in_len, void *out,
                           size_t out_cap, size_t *out_len, struct bm_error *err)
{
	const uint8_t *from = in_len > 0 ? in : (const uint8_t *)"";
	uint8_t no_room; /* out may be NULL where an empty payload is opened */
	uint8_t *to = out_cap > 0 ? out : &no_room;
	const size_t rest = in_len % BM_AGE_SEALED_CHUNK_BYTES;
	size_t left = in_len;

	*out_len = 0;
	if (!c->has_key || c->direction != BM_AGE_OPEN)
		return wrong_call(err, "no key to open with is set");
	if (!last && (in_len == 0 || rest != 0))
		return wrong_call(err, "only the last chunk may be short");
	if (in_len / BM_AGE_SEALED_CHUNK_BYTES * BM_AGE_CHUNK_BYTES +
	            (rest > BM_AGE_TAG_BYTES ? rest - BM_AGE_TAG_BYTES : 0) >
	    out_cap)
		return wrong_call(err, "the output buffer is too small");
	do {
		const size_t len = left < BM_AGE_SEALED_CHUNK_BYTES ? left : BM_AGE_SEALED_CHUNK_BYTES;
		size_t made;
		const enum bm_status status = open_one(c, index, last && len == left, from, len, to, &made, err);

		to += made;
		*out_len += made;
		if (status != BM_OK)
			return status;
		index++;
		from += len;
		left -= len;
	} while (left > 0);
	return BM_OK;
}
