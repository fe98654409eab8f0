/* age_private.h - what the files of the age codec share. The lists are as bm_age.h says; the functions are for any
 * thread. Sizes are of the format (c2sp.org/age). */
#ifndef BM_AGE_PRIVATE_H
#define BM_AGE_PRIVATE_H

#include <openssl/evp.h>

#include "bm_age.h"

#define AGE_VERSION_PREFIX "age-encryption.org/"
#define AGE_VERSION_LINE "age-encryption.org/v1"
#define AGE_ARMOR_BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define AGE_ARMOR_END "-----END AGE ENCRYPTED FILE-----"
#define AGE_ARMOR_BLANKS_MAX 1024u

enum {
	AGE_FILE_KEY_BYTES = 16,
	AGE_KEY_BYTES = 32, /* X25519 keys and shares, wrap keys, payload keys, MACs */
	AGE_SALT_BYTES = 16,
	AGE_BODY_BYTES = AGE_FILE_KEY_BYTES + 16, /* a wrapped file key */
	AGE_COLUMNS = 64                          /* of a stanza's body and of armor */
};

/* A key pair, or its public half. */
struct age_key {
	EVP_PKEY *pkey; /* owned; OpenSSL wipes the secret half when it is freed */
	uint8_t public[AGE_KEY_BYTES];
};

struct bm_age_recipients {
	struct age_key *keys;
	size_t count;
	size_t cap;
};

struct bm_age_identities {
	struct age_key *keys;
	size_t count;
	size_t cap;
	struct bm_age_secret *passphrases;
	size_t passphrase_count;
	unsigned work_max;
};

/* age_crypto.c */
/* To be called before OpenSSL is, once by every entry point. */
enum bm_status age_crypto_start(struct bm_error *err) BM_NODISCARD;
/* BM_ERR_FAILED with OpenSSL's reason, and its queue emptied. */
enum bm_status age_openssl_failed(const char *what, struct bm_error *err);
enum bm_status age_random(void *out, size_t len, struct bm_error *err) BM_NODISCARD;
enum bm_status age_key_from_secret(const uint8_t secret[static AGE_KEY_BYTES], struct age_key *out,
                                   struct bm_error *err) BM_NODISCARD;
enum bm_status age_key_from_public(const uint8_t public[static AGE_KEY_BYTES], struct age_key *out,
                                   struct bm_error *err) BM_NODISCARD;
void age_key_fini(struct age_key *key);
/* X25519(own, peer). *zero: the result was all zero, which peer being a point of low order makes it; out is not set. */
enum bm_status age_x25519(const struct age_key *own, const struct age_key *peer, uint8_t out[static AGE_KEY_BYTES],
                          bool *zero, struct bm_error *err) BM_NODISCARD;
/* The MAC of a header: text is what it covers. */
enum bm_status age_header_mac(const uint8_t file_key[static AGE_FILE_KEY_BYTES], const void *text, size_t len,
                              uint8_t out[static AGE_KEY_BYTES], struct bm_error *err) BM_NODISCARD;
enum bm_status age_payload_key(const uint8_t file_key[static AGE_FILE_KEY_BYTES],
                               const uint8_t nonce[static BM_AGE_NONCE_BYTES], struct bm_age_key *out,
                               struct bm_error *err) BM_NODISCARD;
/* The wrap key of a X25519 stanza, from the shared secret and the two public halves. */
enum bm_status age_x25519_wrap_key(const uint8_t shared[static AGE_KEY_BYTES],
                                   const uint8_t share[static AGE_KEY_BYTES],
                                   const uint8_t recipient[static AGE_KEY_BYTES], uint8_t out[static AGE_KEY_BYTES],
                                   struct bm_error *err) BM_NODISCARD;
enum bm_status age_scrypt(const char *pass, size_t len, const uint8_t salt[static AGE_SALT_BYTES], unsigned log2_n,
                          uint8_t out[static AGE_KEY_BYTES], struct bm_error *err) BM_NODISCARD;
enum bm_status age_wrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t file_key[static AGE_FILE_KEY_BYTES],
                        uint8_t body[static AGE_BODY_BYTES], struct bm_error *err) BM_NODISCARD;
/* *good: the tag was right; else file_key is zeroed. */
enum bm_status age_unwrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t body[static AGE_BODY_BYTES],
                          uint8_t file_key[static AGE_FILE_KEY_BYTES], bool *good, struct bm_error *err) BM_NODISCARD;
/* ChaCha20-Poly1305, fetched once for the process; NULL where OpenSSL has none. */
const EVP_CIPHER *age_chacha(void);

/* bech32.c */
/* hrp is in one case; the text comes out in that, with a NUL. false where out_cap is too small for it. */
bool bech32_encode(const char *hrp, const uint8_t *data, size_t len, char *out, size_t out_cap);
/* Is text Bech32 with this human-readable part (to the letter case) and exactly len bytes of data? Where it is not, out
 * may have been written to. */
bool bech32_decode(const char *text, size_t text_len, const char *hrp, uint8_t *out, size_t len);

/* age_base64.c: RFC 4648 section 4 without padding, canonical. */
#define AGE_BASE64_CHARS(n) (((size_t)(n)*4 + 2) / 3)
void age_base64_encode(const uint8_t *data, size_t len, char *out); /* AGE_BASE64_CHARS(len) and a NUL */
/* out holds len * 3 / 4 bytes. false: a wrong character, length, or left-over bits that are not 0. */
bool age_base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);

#endif
