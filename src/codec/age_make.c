/*
 * age_make.c - see bm_age.h: the header of a new file (c2sp.org/age, sections "Header", "X25519 recipient stanza" and
 * "scrypt recipient stanza").
 *
 * All randomness of a file is drawn here: its file key, one ephemeral secret or salt a stanza, and the payload nonce.
 * The header holds nothing secret and grows in the caller's buffer; on an error the buffer is put back to where it was.
 */
#include "age_private.h"

#include <openssl/crypto.h>

#include "bm_error.h"

static void put_base64(struct bm_buf *out, const uint8_t *data, size_t len)
{
	char text[AGE_BASE64_CHARS(AGE_KEY_BYTES) + 1];

	age_base64_encode(data, len, text);
	bm_buf_puts(out, text);
}

static enum bm_status put_x25519(struct bm_buf *out, const struct age_key *recipient,
                                 const uint8_t file_key[static AGE_FILE_KEY_BYTES], struct bm_error *err)
{
	enum bm_status status;
	uint8_t secret[AGE_KEY_BYTES];
	uint8_t shared[AGE_KEY_BYTES];
	uint8_t wrap_key[AGE_KEY_BYTES];
	uint8_t body[AGE_BODY_BYTES];
	struct age_key ephemeral = {0};
	bool zero = false;

	status = age_random(secret, sizeof(secret), err);
	if (status == BM_OK)
		status = age_key_from_secret(secret, &ephemeral, err);
	if (status == BM_OK)
		status = age_x25519(&ephemeral, recipient, shared, &zero, err);
	if (status == BM_OK && zero) /* recipients are checked when they are added */
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "no secret can be agreed on with a recipient");
	if (status == BM_OK)
		status = age_x25519_wrap_key(shared, ephemeral.public, recipient->public, wrap_key, err);
	if (status == BM_OK)
		status = age_wrap(wrap_key, file_key, body, err);
	if (status == BM_OK) {
		bm_buf_puts(out, "-> X25519 ");
		put_base64(out, ephemeral.public, AGE_KEY_BYTES);
		bm_buf_putc(out, '\n');
		put_base64(out, body, sizeof(body));
		bm_buf_putc(out, '\n');
	}
	age_key_fini(&ephemeral);
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(wrap_key, sizeof(wrap_key));
	return status;
}

static enum bm_status put_scrypt(struct bm_buf *out, const char *pass, size_t len, unsigned log2_n,
                                 const uint8_t file_key[static AGE_FILE_KEY_BYTES], struct bm_error *err)
{
	enum bm_status status;
	uint8_t salt[AGE_SALT_BYTES];
	uint8_t wrap_key[AGE_KEY_BYTES];
	uint8_t body[AGE_BODY_BYTES];

	status = age_random(salt, sizeof(salt), err);
	if (status == BM_OK)
		status = age_scrypt(pass, len, salt, log2_n, wrap_key, err);
	if (status == BM_OK)
		status = age_wrap(wrap_key, file_key, body, err);
	if (status == BM_OK) {
		bm_buf_puts(out, "-> scrypt ");
		put_base64(out, salt, sizeof(salt));
		bm_buf_printf(out, " %u\n", log2_n);
		put_base64(out, body, sizeof(body));
		bm_buf_putc(out, '\n');
	}
	OPENSSL_cleanse(wrap_key, sizeof(wrap_key));
	return status;
}

/* Either r, or a passphrase. */
static enum bm_status make(const struct bm_age_recipients *r, const char *pass, size_t len, unsigned log2_n,
                           struct bm_buf *out, struct bm_age_key *key, struct bm_error *err)
{
	const size_t start = out->len;
	enum bm_status status = age_crypto_start(err);
	uint8_t file_key[AGE_FILE_KEY_BYTES];
	uint8_t mac[AGE_KEY_BYTES];
	uint8_t nonce[BM_AGE_NONCE_BYTES];

	if (status == BM_OK)
		status = age_random(file_key, sizeof(file_key), err);
	if (status == BM_OK)
		status = age_random(nonce, sizeof(nonce), err);
	bm_buf_puts(out, AGE_VERSION_LINE "\n");
	if (r == NULL && status == BM_OK)
		status = put_scrypt(out, pass, len, log2_n, file_key, err);
	for (size_t i = 0; r != NULL && i < r->count && status == BM_OK; i++)
		status = put_x25519(out, &r->keys[i], file_key, err);
	bm_buf_puts(out, "---"); /* the MAC covers it up to here */
	if (status == BM_OK && out->oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK)
		status = age_header_mac(file_key, out->data + start, out->len - start, mac, err);
	if (status == BM_OK) {
		bm_buf_putc(out, ' ');
		put_base64(out, mac, sizeof(mac));
		bm_buf_putc(out, '\n');
		bm_buf_put(out, nonce, sizeof(nonce));
		status = out->oom ? bm_error_set_nomem(err) : age_payload_key(file_key, nonce, key, err);
	}
	OPENSSL_cleanse(file_key, sizeof(file_key));
	if (status != BM_OK) {
		out->len = start;
		if (out->data != NULL)
			out->data[start] = '\0';
		bm_age_key_wipe(key);
	}
	return status;
}

size_t bm_age_header_bound(size_t recipients)
{
	const size_t body = AGE_BASE64_CHARS(AGE_BODY_BYTES) + 1;
	const size_t x25519 = sizeof("-> X25519 ") + AGE_BASE64_CHARS(AGE_KEY_BYTES) + body;
	const size_t scrypt = sizeof("-> scrypt  99") + AGE_BASE64_CHARS(AGE_SALT_BYTES) + body;
	const size_t frame =
		sizeof(AGE_VERSION_LINE) + sizeof("--- ") + AGE_BASE64_CHARS(AGE_KEY_BYTES) + BM_AGE_NONCE_BYTES;

	return frame + (recipients > 0 ? recipients * x25519 : scrypt);
}

enum bm_status bm_age_header_make(const struct bm_age_recipients *r, struct bm_buf *out, struct bm_age_key *key,
                                  struct bm_error *err)
{
	if (r->count == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "there is no recipient to encrypt for");
	return make(r, NULL, 0, 0, out, key, err);
}

enum bm_status bm_age_header_make_passphrase(const char *pass, size_t len, unsigned log2_n, struct bm_buf *out,
                                             struct bm_age_key *key, struct bm_error *err)
{
	if (len == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "an empty passphrase protects nothing");
	if (log2_n < 1 || log2_n > BM_AGE_WORK_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a work factor of %u: 1 to %u are allowed", log2_n,
		                    BM_AGE_WORK_MAX);
	return make(NULL, pass, len, log2_n, out, key, err);
}
