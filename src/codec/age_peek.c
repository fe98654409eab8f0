/*
 * age_peek.c - see age_peek.h: ChaCha20-Poly1305 (RFC 8439, section 2.8) in its two parts.
 *
 *   one-time key  the first 32 bytes of ChaCha20's block 0 for the chunk's nonce
 *   tag           Poly1305 with it, over the ciphertext, zeros up to a multiple of 16, and two lengths of 64 bits, that of
 *                 the associated data (age has none) and that of the ciphertext
 *   plain text    the ciphertext and ChaCha20's blocks from number 1 on: byte n hangs on block n / 64 + 1 alone
 *
 * The tag is over the ciphertext, so it can be checked without decrypting. age_stream.c does both at once, and is what
 * the tests hold this against.
 */
#include "age_peek.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#define BLOCK_BYTES 64

struct age_peek {
	EVP_CIPHER *cipher; /* owned, as the rest */
	EVP_CIPHER_CTX *chacha;
	EVP_MAC *mac;
	EVP_MAC_CTX *poly1305;
	struct bm_age_key key;
};

struct age_peek *age_peek_create(const struct bm_age_key *key)
{
	struct age_peek *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->key = *key;
	p->cipher = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
	p->chacha = EVP_CIPHER_CTX_new();
	p->mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	p->poly1305 = p->mac != NULL ? EVP_MAC_CTX_new(p->mac) : NULL;
	if (p->cipher == NULL || p->chacha == NULL || p->poly1305 == NULL ||
	    EVP_EncryptInit_ex2(p->chacha, p->cipher, p->key.bytes, NULL, NULL) != 1) {
		ERR_clear_error();
		age_peek_destroy(p);
		return NULL;
	}
	return p;
}

void age_peek_destroy(struct age_peek *p)
{
	if (p == NULL)
		return;
	EVP_MAC_CTX_free(p->poly1305);
	EVP_MAC_free(p->mac);
	EVP_CIPHER_CTX_free(p->chacha);
	EVP_CIPHER_free(p->cipher);
	bm_age_key_wipe(&p->key);
	free(p);
}

/* ChaCha20 from block number `block` on. */
static bool crypt_blocks(struct age_peek *p, uint64_t index, bool last, uint32_t block, const uint8_t *in, size_t len,
                         uint8_t *out)
{
	uint8_t iv[16] = {0}; /* the counter, little endian, and the nonce: see age_stream.c */
	int made = 0;

	for (unsigned i = 0; i < 4; i++)
		iv[i] = (uint8_t)(block >> (8 * i));
	for (unsigned i = 0; i < 8; i++)
		iv[14 - i] = (uint8_t)(index >> (8 * i));
	iv[15] = last ? 1 : 0;
	return EVP_EncryptInit_ex2(p->chacha, NULL, NULL, iv, NULL) == 1 &&
	       EVP_EncryptUpdate(p->chacha, out, &made, in, (int)len) == 1 && (size_t)made == len;
}

bool age_peek_check(struct age_peek *p, uint64_t index, bool last, const uint8_t *sealed, size_t len)
{
	static const uint8_t zeros[BLOCK_BYTES];
	uint8_t key[32], tag[BM_AGE_TAG_BYTES], end[16 + 15] = {0};
	size_t plain, pad, tag_len = 0;
	bool good;

	if (len < BM_AGE_TAG_BYTES || len > BM_AGE_SEALED_CHUNK_BYTES)
		return false;
	plain = len - BM_AGE_TAG_BYTES;
	pad = (16 - plain % 16) % 16;
	for (unsigned i = 0; i < 8; i++)
		end[pad + 8 + i] = (uint8_t)((uint64_t)plain >> (8 * i));
	good = crypt_blocks(p, index, last, 0, zeros, sizeof(key), key) &&
	       EVP_MAC_init(p->poly1305, key, sizeof(key), NULL) == 1 &&
	       EVP_MAC_update(p->poly1305, sealed, plain) == 1 && EVP_MAC_update(p->poly1305, end, pad + 16) == 1 &&
	       EVP_MAC_final(p->poly1305, tag, &tag_len, sizeof(tag)) == 1 && tag_len == sizeof(tag) &&
	       CRYPTO_memcmp(tag, sealed + plain, sizeof(tag)) == 0;
	OPENSSL_cleanse(key, sizeof(key));
	if (!good)
		ERR_clear_error();
	return good;
}

bool age_peek_decrypt(struct age_peek *p, uint64_t index, bool last, size_t offset, const uint8_t *sealed, uint8_t *out,
                      size_t len)
{
	const size_t skip = offset % BLOCK_BYTES;
	uint8_t part[BLOCK_BYTES + AGE_PEEK_MAX_BYTES] = {0}; /* from the block's begin on */
	uint8_t plain[sizeof(part)];
	bool good;

	if (len > AGE_PEEK_MAX_BYTES || offset > BM_AGE_CHUNK_BYTES)
		return false;
	memcpy(part + skip, sealed, len);
	good = crypt_blocks(p, index, last, (uint32_t)(offset / BLOCK_BYTES) + 1, part, skip + len, plain);
	if (good)
		memcpy(out, plain + skip, len);
	else
		ERR_clear_error();
	OPENSSL_cleanse(plain, sizeof(plain));
	return good;
}
