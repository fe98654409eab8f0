/*
 * age_keys.c - see bm_age.h: lists of recipients and identities, their texts, and new pairs (c2sp.org/age, section "The
 * X25519 recipient type": Bech32 of 32 bytes with "age" or "AGE-SECRET-KEY-" in front, each in its own letter case).
 *
 * A key is turned into OpenSSL's form once, when it is added: a tree of small files then costs one multiplication a
 * stanza, and the secret bytes live in OpenSSL's memory alone, which wipes them. What is in a bad line decides what is
 * said about it, but only public text is ever repeated: an identity file's line is told by number, since a key with a
 * typing error is still nearly the key.
 *
 * A recipient of low order is refused here, where a line can be named, and not when the first file is encrypted: every
 * secret agreed on with it would be zero (RFC 7748, section 6.1).
 */
#include "age_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bm_error.h"
#include "bm_text.h"

#define RECIPIENT_HRP "age"
#define IDENTITY_HRP "AGE-SECRET-KEY-"
/* "-> X25519 share\nbody\n"; and the rest of a header. */
#define STANZA_BYTES (sizeof("-> X25519 ") - 1 + 2 * (AGE_BASE64_CHARS(32) + 1))
#define REST_BYTES (sizeof(AGE_VERSION_LINE "\n--- \n") - 1 + AGE_BASE64_CHARS(32))
#define RECIPIENTS_MAX ((BM_AGE_HEADER_MAX_BYTES - REST_BYTES) / STANZA_BYTES)

/* ---- lists ---- */

/* Makes room for one more. The keys are pointers and public halves: nothing to wipe. */
static enum bm_status grow(struct age_key **keys, size_t count, size_t *cap, struct bm_error *err)
{
	size_t more;
	struct age_key *bigger;

	if (count < *cap)
		return BM_OK;
	if (!bm_mul_size(*cap, 2, &more))
		return bm_error_set_nomem(err);
	if (more == 0)
		more = 4;
	bigger = bm_realloc_array(*keys, more, sizeof(**keys));
	if (bigger == NULL)
		return bm_error_set_nomem(err);
	*keys = bigger;
	*cap = more;
	return BM_OK;
}

enum bm_status bm_age_recipients_create(struct bm_age_recipients **out, struct bm_error *err)
{
	enum bm_status status = age_crypto_start(err);

	*out = NULL;
	if (status != BM_OK)
		return status;
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? BM_OK : bm_error_set_nomem(err);
}

void bm_age_recipients_destroy(struct bm_age_recipients *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->count; i++)
		age_key_fini(&r->keys[i]);
	free(r->keys);
	free(r);
}

size_t bm_age_recipients_count(const struct bm_age_recipients *r)
{
	return r->count;
}

enum bm_status bm_age_identities_create(struct bm_age_identities **out, struct bm_error *err)
{
	enum bm_status status = age_crypto_start(err);

	*out = NULL;
	if (status != BM_OK)
		return status;
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return bm_error_set_nomem(err);
	(*out)->work_max = BM_AGE_WORK_MAX;
	return BM_OK;
}

void bm_age_identities_destroy(struct bm_age_identities *ids)
{
	if (ids == NULL)
		return;
	for (size_t i = 0; i < ids->count; i++)
		age_key_fini(&ids->keys[i]);
	for (size_t i = 0; i < ids->passphrase_count; i++)
		bm_age_secret_fini(&ids->passphrases[i]);
	free(ids->keys);
	free(ids->passphrases);
	free(ids);
}

size_t bm_age_identities_count(const struct bm_age_identities *ids)
{
	return ids->count + ids->passphrase_count;
}

size_t bm_age_identities_keys(const struct bm_age_identities *ids)
{
	return ids->count;
}

enum bm_status bm_age_identities_recipient(const struct bm_age_identities *ids, size_t i,
                                           char out[static BM_AGE_RECIPIENT_TEXT_BYTES], struct bm_error *err)
{
	if (i >= ids->count ||
	    !bech32_encode(RECIPIENT_HRP, ids->keys[i].public, AGE_KEY_BYTES, out, BM_AGE_RECIPIENT_TEXT_BYTES))
		return bm_error_set(err, BM_ERR_USAGE, NULL, "there is no identity number %zu", i);
	return BM_OK;
}

enum bm_status bm_age_identities_cap_work(struct bm_age_identities *ids, unsigned log2_n, struct bm_error *err)
{
	if (log2_n < 1 || log2_n > BM_AGE_WORK_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a work factor of %u: 1 to %u are allowed", log2_n,
		                    BM_AGE_WORK_MAX);
	ids->work_max = log2_n;
	return BM_OK;
}

enum bm_status bm_age_identities_add_passphrase(struct bm_age_identities *ids, const char *pass, size_t len,
                                                struct bm_error *err)
{
	struct bm_age_secret *bigger;
	char *copy;

	if (len == 0 || len > BM_AGE_SECRET_FILE_MAX_BYTES)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a passphrase of %zu bytes: 1 to %zu are allowed", len,
		                    BM_AGE_SECRET_FILE_MAX_BYTES);
	copy = bm_memdup0(pass, len);
	if (copy == NULL)
		return bm_error_set_nomem(err);
	/* Pointers and lengths only: a realloc leaves nothing secret behind. */
	bigger = bm_realloc_array(ids->passphrases, ids->passphrase_count + 1, sizeof(*bigger));
	if (bigger == NULL) {
		OPENSSL_cleanse(copy, len);
		free(copy);
		return bm_error_set_nomem(err);
	}
	ids->passphrases = bigger;
	ids->passphrases[ids->passphrase_count++] = (struct bm_age_secret){copy, len};
	return BM_OK;
}

/* ---- texts ---- */

static bool begins(const char *text, size_t len, const char *with)
{
	const size_t n = strlen(with);

	return len >= n && memcmp(text, with, n) == 0;
}

enum bm_status bm_age_recipients_add(struct bm_age_recipients *r, const char *text, size_t len, struct bm_error *err)
{
	/* Any secret will do to find a point of low order. */
	static const uint8_t probe[AGE_KEY_BYTES] = {1};
	enum bm_status status;
	uint8_t public[AGE_KEY_BYTES];
	uint8_t shared[AGE_KEY_BYTES];
	struct age_key key = {0};
	struct age_key own = {0};
	char shown[64];
	bool zero;

	if (begins(text, len, "AGE-SECRET-KEY-") || begins(text, len, "AGE-PLUGIN-"))
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "a secret key stands where a recipient (\"age1...\") belongs: take the public key "
		                    "from the comment above it, and keep the secret one out of sight");
	bm_escape_display_buf(shown, sizeof(shown), text, len);
	if (begins(text, len, "ssh-") || begins(text, len, "ecdsa-"))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "%s: SSH keys are not supported as recipients: use an age key (bytemill keygen)",
		                    shown);
	if (begins(text, len, "age1pq1") || begins(text, len, "age1tag1") || begins(text, len, "age1tagpq1"))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "%s: hybrid and hardware keys are not supported: use an X25519 key "
		                    "(bytemill keygen)",
		                    shown);
	if (!bech32_decode(text, len, RECIPIENT_HRP, public, sizeof(public))) {
		/* A plugin's name is part of what stands in front of the last '1'. */
		if (begins(text, len, "age1") && memrchr(text + 4, '1', len - 4) != NULL)
			return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
			                    "%s: recipients of plugins are not supported: use an X25519 key "
			                    "(bytemill keygen)",
			                    shown);
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "%s is not an age recipient: \"age1\" and 58 characters are one; a checksum that "
		                    "does not fit tells of a typing error",
		                    shown);
	}
	if (r->count >= RECIPIENTS_MAX)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "more than %zu recipients do not fit into a header",
		                    RECIPIENTS_MAX);
	status = age_key_from_public(public, &key, err);
	if (status == BM_OK)
		status = age_key_from_secret(probe, &own, err);
	if (status == BM_OK)
		status = age_x25519(&own, &key, shared, &zero, err);
	if (status == BM_OK && zero)
		status = bm_error_set(err, BM_ERR_USAGE, NULL,
		                      "%s is a point of low order: anybody could read what is encrypted for it", shown);
	if (status == BM_OK)
		status = grow(&r->keys, r->count, &r->cap, err);
	if (status == BM_OK)
		r->keys[r->count++] = key;
	else
		age_key_fini(&key);
	age_key_fini(&own);
	OPENSSL_cleanse(shared, sizeof(shared));
	return status;
}

enum bm_status bm_age_identities_add(struct bm_age_identities *ids, const char *text, size_t len, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	uint8_t secret[AGE_KEY_BYTES];

	if (begins(text, len, "AGE-SECRET-KEY-PQ-"))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "hybrid identities are not supported, only X25519");
	if (begins(text, len, "AGE-PLUGIN-"))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "identities of plugins are not supported");
	if (begins(text, len, "-----BEGIN ") && !begins(text, len, AGE_ARMOR_BEGIN))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL, "SSH and other PEM keys are not supported");
	if (begins(text, len, AGE_VERSION_PREFIX) || begins(text, len, AGE_ARMOR_BEGIN))
		return bm_error_set(err, BM_ERR_UNSUPPORTED, NULL,
		                    "the identity file is itself encrypted: decrypt it first (age -d), into a file "
		                    "that only you can read");
	if (begins(text, len, "age1"))
		return bm_error_set(err, BM_ERR_USAGE, NULL,
		                    "a recipient (a public key) stands where an identity (\"AGE-SECRET-KEY-1...\") "
		                    "belongs");
	if (!bech32_decode(text, len, IDENTITY_HRP, secret, sizeof(secret)))
		status = bm_error_set(err, BM_ERR_USAGE, NULL,
		                      "not an age identity: \"AGE-SECRET-KEY-1\" and 58 characters are one; a checksum "
		                      "that does not fit tells of a typing error");
	if (status == BM_OK)
		status = grow(&ids->keys, ids->count, &ids->cap, err);
	if (status == BM_OK)
		status = age_key_from_secret(secret, &ids->keys[ids->count], err);
	if (status == BM_OK)
		ids->count++;
	OPENSSL_cleanse(secret, sizeof(secret));
	return status;
}

typedef enum bm_status (*add_line_fn)(void *list, const char *line, size_t len, struct bm_error *err);

static enum bm_status add_recipient_line(void *list, const char *line, size_t len, struct bm_error *err)
{
	return bm_age_recipients_add(list, line, len, err);
}

static enum bm_status add_identity_line(void *list, const char *line, size_t len, struct bm_error *err)
{
	return bm_age_identities_add(list, line, len, err);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static enum bm_status add_lines(void *list, add_line_fn add, const char *text, size_t len, const char *name,
                                const char *what, struct bm_error *err)
{
	struct bm_error inner = BM_ERROR_INIT;
	char shown[900] = "";
	char where[1024];
	size_t line_no = 0;
	size_t added = 0;

	if (name != NULL)
		bm_escape_display_buf(shown, sizeof(shown), name, strlen(name));
	while (len > 0) {
		const char *lf = memchr(text, '\n', len);
		const size_t whole = lf != NULL ? (size_t)(lf - text) + 1 : len;
		const char *line = text;
		size_t line_len = lf != NULL ? whole - 1 : whole;
		enum bm_status status;

		text += whole;
		len -= whole;
		line_no++;
		while (line_len > 0 && is_blank(line[line_len - 1]))
			line_len--;
		while (line_len > 0 && is_blank(*line))
			line++, line_len--;
		if (line_len == 0 || *line == '#')
			continue;
		status = add(list, line, line_len, &inner);
		if (status != BM_OK) {
			if (name != NULL)
				(void)snprintf(where, sizeof(where), "%s:%zu", shown, line_no);
			else
				(void)snprintf(where, sizeof(where), "line %zu", line_no);
			return bm_error_set(err, status, where, "%s", inner.text);
		}
		added++;
	}
	if (added == 0)
		return bm_error_set(err, BM_ERR_USAGE, name != NULL ? shown : NULL, "there is no %s in it", what);
	return BM_OK;
}

enum bm_status bm_age_recipients_add_text(struct bm_age_recipients *r, const char *text, size_t len, const char *name,
                                          struct bm_error *err)
{
	return add_lines(r, add_recipient_line, text, len, name, "recipient", err);
}

enum bm_status bm_age_identities_add_text(struct bm_age_identities *ids, const char *text, size_t len, const char *name,
                                          struct bm_error *err)
{
	return add_lines(ids, add_identity_line, text, len, name, "identity", err);
}

/* ---- new pairs ---- */

enum bm_status bm_age_keygen(struct bm_age_keypair *out, struct bm_error *err)
{
	enum bm_status status = age_crypto_start(err);
	uint8_t secret[AGE_KEY_BYTES];
	struct age_key key = {0};

	memset(out, 0, sizeof(*out));
	if (status == BM_OK)
		status = age_random(secret, sizeof(secret), err);
	if (status == BM_OK)
		status = age_key_from_secret(secret, &key, err);
	if (status == BM_OK &&
	    (!bech32_encode(IDENTITY_HRP, secret, sizeof(secret), out->identity, sizeof(out->identity)) ||
	     !bech32_encode(RECIPIENT_HRP, key.public, sizeof(key.public), out->recipient, sizeof(out->recipient))))
		status = bm_error_set(err, BM_ERR_FAILED, NULL, "the key pair does not fit its text");
	if (status != BM_OK)
		bm_age_keypair_wipe(out);
	age_key_fini(&key);
	OPENSSL_cleanse(secret, sizeof(secret));
	return status;
}

void bm_age_keypair_wipe(struct bm_age_keypair *pair)
{
	OPENSSL_cleanse(pair, sizeof(*pair));
}

size_t bm_age_keypair_text(const struct bm_age_keypair *pair, time_t now, char out[static BM_AGE_KEYPAIR_TEXT_BYTES])
{
	char date[64] = "";
	char zone[32] = "Z";
	struct tm tm;
	int len;

	/* RFC 3339, as age-keygen writes it: a zone without an offset is a Z. */
	if (localtime_r(&now, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		memcpy(date, "unknown", sizeof("unknown"));
	else if (tm.tm_gmtoff != 0)
		(void)snprintf(zone, sizeof(zone), "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
		               labs(tm.tm_gmtoff) / 3600, labs(tm.tm_gmtoff) / 60 % 60);
	len = snprintf(out, BM_AGE_KEYPAIR_TEXT_BYTES, "# created: %s%s\n# public key: %s\n%s\n", date, zone,
	               pair->recipient, pair->identity);
	return len > 0 ? (size_t)len : 0;
}
