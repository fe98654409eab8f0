/*
 * age_crypto.c - see age_private.h: the primitives that c2sp.org/age names, from OpenSSL's libcrypto, each in the one
 * form that the format uses, and wiped after itself.
 *
 *   file key       16 random bytes, one a file
 *   MAC            HMAC-SHA-256 with HKDF(file key, no salt, "header")                   section "Header MAC"
 *   payload key    HKDF(file key, payload nonce, "payload")                              section "Payload"
 *   wrapping       ChaCha20-Poly1305 of the file key, nonce 0, for a wrap key used once, which is
 *     X25519       HKDF(shared secret, share || recipient, "age-encryption.org/v1/X25519")
 *     scrypt       scrypt(passphrase, "age-encryption.org/v1/scrypt" || salt, N, 8, 1)
 *
 * Fetched algorithms are kept for the process, as digest.c does and for the same reasons: a fetch takes locks and
 * searches by name, and a tree of small files does it for each. What is a key or would give one away lives in arrays
 * with OPENSSL_cleanse on the only way out; OpenSSL wipes its own contexts and keys when they are freed.
 */
#include "age_private.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "bm_error.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* Written in start_once only, and so before any reader. Never freed. */
static EVP_CIPHER *chacha;
static EVP_KDF *hkdf;

static void start_once(void)
{
	/* Nothing in openssl.cnf is of use here; reading it takes as long as all the rest. Failures show up at use; but
	 * where there was no memory for OpenSSL's context a fetch crashes (3.0). */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 || OSSL_LIB_CTX_get0_global_default() == NULL)
		return;
	chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	hkdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	ERR_clear_error();
}

enum bm_status age_crypto_start(struct bm_error *err)
{
	const int code = pthread_once(&once, start_once);

	if (code != 0)
		return bm_error_set_errno(err, code, NULL, "pthread_once for OpenSSL");
	if (chacha == NULL || hkdf == NULL)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "OpenSSL does not offer %s here, without which there is no age: where FIPS mode is "
		                    "enforced, age files can neither be read nor made",
		                    chacha == NULL ? "ChaCha20-Poly1305" : "HKDF");
	return BM_OK;
}

const EVP_CIPHER *age_chacha(void)
{
	return chacha;
}

enum bm_status age_openssl_failed(const char *what, struct bm_error *err)
{
	const unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	ERR_clear_error();
	if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
		return bm_error_set_nomem(err);
	return bm_error_set(err, BM_ERR_FAILED, NULL, "OpenSSL could not %s: %s", what,
	                    reason != NULL ? reason : "no reason given");
}

enum bm_status age_random(void *out, size_t len, struct bm_error *err)
{
	if (RAND_priv_bytes_ex(NULL, out, len, 256) != 1)
		return age_openssl_failed("give random bytes", err);
	return BM_OK;
}

enum bm_status age_key_from_secret(const uint8_t secret[static AGE_KEY_BYTES], struct age_key *out,
                                   struct bm_error *err)
{
	size_t len = AGE_KEY_BYTES;

	*out = (struct age_key){0};
	out->pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, AGE_KEY_BYTES);
	if (out->pkey == NULL || EVP_PKEY_get_raw_public_key(out->pkey, out->public, &len) != 1 ||
	    len != AGE_KEY_BYTES) {
		age_key_fini(out);
		return age_openssl_failed("make an X25519 key", err);
	}
	return BM_OK;
}

enum bm_status age_key_from_public(const uint8_t public[static AGE_KEY_BYTES], struct age_key *out,
                                   struct bm_error *err)
{
	*out = (struct age_key){0};
	out->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, public, AGE_KEY_BYTES);
	if (out->pkey == NULL)
		return age_openssl_failed("take an X25519 public key", err);
	memcpy(out->public, public, AGE_KEY_BYTES);
	return BM_OK;
}

void age_key_fini(struct age_key *key)
{
	EVP_PKEY_free(key->pkey);
	*key = (struct age_key){0};
}

enum bm_status age_x25519(const struct age_key *own, const struct age_key *peer, uint8_t out[static AGE_KEY_BYTES],
                          bool *zero, struct bm_error *err)
{
	static const uint8_t nothing[AGE_KEY_BYTES];
	enum bm_status status = BM_OK;
	uint8_t shared[AGE_KEY_BYTES] = {0};
	size_t len = sizeof(shared);
	EVP_PKEY_CTX *ctx = NULL;

	*zero = false;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own->pkey, NULL);
	if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, peer->pkey, 0) != 1) {
		status = age_openssl_failed("start an X25519 exchange", err);
		goto out;
	}
	/* OpenSSL refuses a result of all zeros as an error; not every version gives it a code of its own. */
	if (EVP_PKEY_derive(ctx, shared, &len) != 1 || CRYPTO_memcmp(shared, nothing, sizeof(shared)) == 0) {
		if (ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE) {
			status = age_openssl_failed("do an X25519 exchange", err);
			goto out;
		}
		ERR_clear_error();
		*zero = true;
		goto out;
	}
	if (len != sizeof(shared)) {
		status = age_openssl_failed("do an X25519 exchange", err);
		goto out;
	}
	memcpy(out, shared, sizeof(shared));
out:
	OPENSSL_cleanse(shared, sizeof(shared));
	EVP_PKEY_CTX_free(ctx);
	return status;
}

static enum bm_status derive(const void *ikm, size_t ikm_len, const void *salt, size_t salt_len, const char *info,
                             uint8_t out[static AGE_KEY_BYTES], struct bm_error *err)
{
	enum bm_status status = BM_OK;
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(hkdf);
	OSSL_PARAM params[5];
	OSSL_PARAM *p = params;
	char digest[] = "SHA256";

	/* The parameters' type has no const; the bytes are only read. */
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)ikm, ikm_len);
	if (salt_len > 0)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, salt_len);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)info, strlen(info));
	*p = OSSL_PARAM_construct_end();
	if (ctx == NULL || EVP_KDF_derive(ctx, out, AGE_KEY_BYTES, params) != 1)
		status = age_openssl_failed("derive a key", err);
	EVP_KDF_CTX_free(ctx);
	return status;
}

enum bm_status age_header_mac(const uint8_t file_key[static AGE_FILE_KEY_BYTES], const void *text, size_t len,
                              uint8_t out[static AGE_KEY_BYTES], struct bm_error *err)
{
	uint8_t key[AGE_KEY_BYTES];
	enum bm_status status = derive(file_key, AGE_FILE_KEY_BYTES, NULL, 0, "header", key, err);
	unsigned out_len = 0;

	if (status == BM_OK &&
	    (HMAC(EVP_sha256(), key, sizeof(key), text, len, out, &out_len) == NULL || out_len != AGE_KEY_BYTES))
		status = age_openssl_failed("work out the header's MAC", err);
	OPENSSL_cleanse(key, sizeof(key));
	return status;
}

enum bm_status age_payload_key(const uint8_t file_key[static AGE_FILE_KEY_BYTES],
                               const uint8_t nonce[static BM_AGE_NONCE_BYTES], struct bm_age_key *out,
                               struct bm_error *err)
{
	return derive(file_key, AGE_FILE_KEY_BYTES, nonce, BM_AGE_NONCE_BYTES, "payload", out->bytes, err);
}

enum bm_status age_x25519_wrap_key(const uint8_t shared[static AGE_KEY_BYTES],
                                   const uint8_t share[static AGE_KEY_BYTES],
                                   const uint8_t recipient[static AGE_KEY_BYTES], uint8_t out[static AGE_KEY_BYTES],
                                   struct bm_error *err)
{
	uint8_t salt[2 * AGE_KEY_BYTES];

	memcpy(salt, share, AGE_KEY_BYTES);
	memcpy(salt + AGE_KEY_BYTES, recipient, AGE_KEY_BYTES);
	return derive(shared, AGE_KEY_BYTES, salt, sizeof(salt), AGE_VERSION_LINE "/X25519", out, err);
}

uint64_t bm_age_work_bytes(unsigned log2_n)
{
	/* RFC 7914: 128 * r bytes for each of N, and for block and scratch space a few more; r is 8. */
	return ((UINT64_C(1) << (log2_n < 63 - 10 ? log2_n : 63 - 10)) + 4) * 1024;
}

enum bm_status age_scrypt(const char *pass, size_t len, const uint8_t salt[static AGE_SALT_BYTES], unsigned log2_n,
                          uint8_t out[static AGE_KEY_BYTES], struct bm_error *err)
{
	static const char label[] = AGE_VERSION_LINE "/scrypt";
	uint8_t salted[sizeof(label) - 1 + AGE_SALT_BYTES];
	int good;

	memcpy(salted, label, sizeof(label) - 1);
	memcpy(salted + sizeof(label) - 1, salt, AGE_SALT_BYTES);
	good = EVP_PBE_scrypt(pass, len, salted, sizeof(salted), UINT64_C(1) << log2_n, 8, 1, bm_age_work_bytes(log2_n),
	                      out, AGE_KEY_BYTES);
	if (good != 1) {
		OPENSSL_cleanse(out, AGE_KEY_BYTES);
		ERR_clear_error();
		return bm_error_set(err, BM_ERR_NOMEM, NULL,
		                    "out of memory: a passphrase of work factor %u takes %llu MiB", log2_n,
		                    (unsigned long long)(bm_age_work_bytes(log2_n) >> 20));
	}
	return BM_OK;
}

static const uint8_t zero_nonce[12];

enum bm_status age_wrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t file_key[static AGE_FILE_KEY_BYTES],
                        uint8_t body[static AGE_BODY_BYTES], struct bm_error *err)
{
	enum bm_status status = BM_OK;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;
	int end = 0;

	if (ctx == NULL || EVP_EncryptInit_ex2(ctx, chacha, key, zero_nonce, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, body, &len, file_key, AGE_FILE_KEY_BYTES) != 1 ||
	    EVP_EncryptFinal_ex(ctx, body + len, &end) != 1 || len + end != AGE_FILE_KEY_BYTES ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)BM_AGE_TAG_BYTES, body + AGE_FILE_KEY_BYTES) != 1)
		status = age_openssl_failed("wrap a file key", err);
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

enum bm_status age_unwrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t body[static AGE_BODY_BYTES],
                          uint8_t file_key[static AGE_FILE_KEY_BYTES], bool *good, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[BM_AGE_TAG_BYTES];
	int len = 0;
	int end = 0;

	*good = false;
	memcpy(tag, body + AGE_FILE_KEY_BYTES, sizeof(tag));
	if (ctx == NULL || EVP_DecryptInit_ex2(ctx, chacha, key, zero_nonce, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)sizeof(tag), tag) != 1 ||
	    EVP_DecryptUpdate(ctx, file_key, &len, body, AGE_FILE_KEY_BYTES) != 1 || len != AGE_FILE_KEY_BYTES)
		status = age_openssl_failed("unwrap a file key", err);
	else
		*good = EVP_DecryptFinal_ex(ctx, file_key + len, &end) == 1;
	if (!*good) {
		OPENSSL_cleanse(file_key, AGE_FILE_KEY_BYTES);
		ERR_clear_error();
	}
	EVP_CIPHER_CTX_free(ctx);
	return status;
}
