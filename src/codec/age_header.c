/*
 * age_header.c - see bm_age.h: reading a header (c2sp.org/age, section "Header" and its ABNF) and finding the payload
 * key in it.
 *
 * The header is text, line by line, and is kept whole, since the MAC covers it as it stands; hence the cap. Each byte is
 * checked as it comes (printable ASCII, blank, line feed: so a CR or a binary file is found out at once, and not a
 * megabyte later), each line when it is there:
 *
 *   VERSION  "age-encryption.org/v1"
 *   ENTRY    "-> " arguments: a stanza begins; "--- " and 43 characters: the MAC, after at least one stanza
 *   BODY     up to 64 columns of base64; a line of fewer than 64 ends the stanza
 *   NONCE    16 bytes, which belong to the payload; they are read here because no key can be made without them
 *
 * Of the stanzas only X25519 and scrypt ones are kept, decoded. They are held to what their sections demand as they are
 * read, and not when an identity comes to them: a file whose stanzas are malformed is malformed whoever reads it. All
 * others are checked for their form and passed over; the first one's type is remembered, for the message to those who
 * find no key.
 *
 * Finding the key tries each identity on each X25519 stanza, or each passphrase on the one scrypt stanza, until a body
 * authenticates; the file key that comes out must then fit the MAC. A wrong MAC is final: somebody changed the header.
 */
#include "age_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bm_error.h"
#include "bm_text.h"

enum state { STATE_VERSION, STATE_ENTRY, STATE_BODY, STATE_NONCE, STATE_DONE, STATE_FAILED };

enum stanza_type { STANZA_OTHER, STANZA_X25519, STANZA_SCRYPT };

struct stanza {
	enum stanza_type type;           /* never OTHER in the list */
	uint8_t argument[AGE_KEY_BYTES]; /* X25519: the share; scrypt: the salt */
	unsigned log2_n;                 /* scrypt; at most WORK_HUGE */
	uint8_t body[AGE_BODY_BYTES];
};

#define WORK_HUGE 100u /* stands for every work factor from there on */

struct bm_age_header {
	struct bm_buf text; /* as read, without the nonce */
	enum state state;
	size_t line_start; /* in text */
	struct stanza *stanzas;
	size_t count;
	size_t cap;
	size_t total;          /* stanzas of any type */
	struct stanza current; /* while in BODY */
	size_t body_len;       /* decoded bytes of current; over AGE_BODY_BYTES they are counted, not kept */
	char other_type[40];   /* of the first stanza of an unknown type, escaped; "" for none */
	size_t mac_covers;     /* of text */
	uint8_t mac[AGE_KEY_BYTES];
	uint8_t nonce[BM_AGE_NONCE_BYTES];
	size_t nonce_len;
};

enum bm_status bm_age_header_create(struct bm_age_header **out, struct bm_error *err)
{
	enum bm_status status = age_crypto_start(err);

	*out = NULL;
	if (status != BM_OK)
		return status;
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? BM_OK : bm_error_set_nomem(err);
}

void bm_age_header_destroy(struct bm_age_header *h)
{
	if (h == NULL)
		return;
	bm_buf_fini(&h->text);
	free(h->stanzas);
	free(h);
}

void bm_age_header_reset(struct bm_age_header *h)
{
	struct bm_buf text = h->text;
	struct stanza *stanzas = h->stanzas;
	const size_t cap = h->cap;

	bm_buf_reset(&text);
	*h = (struct bm_age_header){.text = text, .stanzas = stanzas, .cap = cap};
}

bool bm_age_header_complete(const struct bm_age_header *h)
{
	return h->state == STATE_DONE;
}

size_t bm_age_header_bytes(const struct bm_age_header *h)
{
	return h->text.len + h->nonce_len;
}

static enum bm_status fail(struct bm_age_header *h, enum bm_status status, size_t offset, const char *what,
                           struct bm_error *err)
{
	char where[40];

	h->state = STATE_FAILED;
	(void)snprintf(where, sizeof(where), "offset %zu", offset);
	return bm_error_set(err, status, where, "%s", what);
}

static enum bm_status bad_line(struct bm_age_header *h, const char *what, struct bm_error *err)
{
	return fail(h, BM_ERR_FORMAT, h->line_start, what, err);
}

/* Exactly out_len bytes of base64? */
static bool decode_exact(const char *text, size_t len, uint8_t *out, size_t out_len)
{
	size_t got;

	return len == AGE_BASE64_CHARS(out_len) && age_base64_decode(text, len, out, &got) && got == out_len;
}

/* %x31-39 *DIGIT */
static bool parse_work_factor(const char *text, size_t len, unsigned *log2_n)
{
	unsigned value = 0;

	if (len == 0 || text[0] == '0')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
		if (value > WORK_HUGE)
			value = WORK_HUGE;
	}
	*log2_n = value;
	return true;
}

#define ARGUMENTS_KEPT 4 /* one more than any known type takes */

/* The text of an argument line after "-> ". */
static enum bm_status take_arguments(struct bm_age_header *h, const char *text, size_t len, struct bm_error *err)
{
	struct {
		const char *text;
		size_t len;
	} arg[ARGUMENTS_KEPT] = {{NULL, 0}};
	struct stanza *s = &h->current;
	size_t count = 0;

	for (const char *p = text; p != NULL; count++) {
		const size_t rest = len - (size_t)(p - text);
		const char *blank = memchr(p, ' ', rest);
		const size_t arg_len = blank != NULL ? (size_t)(blank - p) : rest;

		if (arg_len == 0)
			return bad_line(h, "the age header has a recipient line with an empty argument", err);
		if (count < ARGUMENTS_KEPT) {
			arg[count].text = p;
			arg[count].len = arg_len;
		}
		p = blank != NULL ? blank + 1 : NULL;
	}
	*s = (struct stanza){.type = STANZA_OTHER};
	h->body_len = 0;
	h->total++;
	if (arg[0].len == 6 && memcmp(arg[0].text, "X25519", 6) == 0) {
		s->type = STANZA_X25519;
		if (count != 2 || !decode_exact(arg[1].text, arg[1].len, s->argument, AGE_KEY_BYTES))
			return bad_line(h, "the age header has an X25519 recipient whose share is not as it must be",
			                err);
	} else if (arg[0].len == 6 && memcmp(arg[0].text, "scrypt", 6) == 0) {
		s->type = STANZA_SCRYPT;
		if (count != 3 || !decode_exact(arg[1].text, arg[1].len, s->argument, AGE_SALT_BYTES) ||
		    !parse_work_factor(arg[2].text, arg[2].len, &s->log2_n))
			return bad_line(h, "the age header's salt or work factor is not as it must be", err);
	} else if (h->other_type[0] == '\0') {
		bm_escape_display_buf(h->other_type, sizeof(h->other_type), arg[0].text, arg[0].len);
	}
	return BM_OK;
}

static enum bm_status end_stanza(struct bm_age_header *h, struct bm_error *err)
{
	h->state = STATE_ENTRY;
	if (h->current.type == STANZA_OTHER)
		return BM_OK;
	/* Asked for by the format before anything is decrypted: a body of another length may fit several keys. */
	if (h->body_len != AGE_BODY_BYTES)
		return bad_line(h, "the age header has a wrapped key of a wrong length", err);
	if (h->count == h->cap) {
		const size_t more = h->cap == 0 ? 4 : h->cap * 2; /* the header's cap bounds it */
		struct stanza *bigger = bm_realloc_array(h->stanzas, more, sizeof(*bigger));

		if (bigger == NULL)
			return bm_error_set_nomem(err);
		h->stanzas = bigger;
		h->cap = more;
	}
	h->stanzas[h->count++] = h->current;
	return BM_OK;
}

static enum bm_status take_body(struct bm_age_header *h, const char *line, size_t len, struct bm_error *err)
{
	uint8_t bytes[AGE_COLUMNS / 4 * 3];
	size_t got;

	if (len > AGE_COLUMNS)
		return bad_line(h, "the age header has a line of over 64 columns", err);
	if (!age_base64_decode(line, len, bytes, &got))
		return bad_line(h, "the age header has a recipient whose body is not (canonical) base64", err);
	if (h->body_len + got <= AGE_BODY_BYTES)
		memcpy(h->current.body + h->body_len, bytes, got);
	h->body_len += got;
	return len < AGE_COLUMNS ? end_stanza(h, err) : BM_OK;
}

static enum bm_status take_entry(struct bm_age_header *h, const char *line, size_t len, struct bm_error *err)
{
	if (len >= 3 && memcmp(line, "-> ", 3) == 0) {
		h->state = STATE_BODY;
		return take_arguments(h, line + 3, len - 3, err);
	}
	if (len < 3 || memcmp(line, "---", 3) != 0)
		return bad_line(h, "the age header has a line that begins neither a recipient nor the MAC", err);
	if (h->total == 0)
		return bad_line(h, "the age header has no recipient", err);
	if (len < 4 || line[3] != ' ' || !decode_exact(line + 4, len - 4, h->mac, sizeof(h->mac)))
		return bad_line(h, "the age header's MAC is not 32 bytes of canonical base64", err);
	for (size_t i = 0; i < h->count; i++)
		if (h->stanzas[i].type == STANZA_SCRYPT && h->total > 1)
			return bad_line(h, "the age header mixes a passphrase with other recipients", err);
	h->mac_covers = h->line_start + 3;
	h->state = STATE_NONCE;
	return BM_OK;
}

static enum bm_status take_line(struct bm_age_header *h, struct bm_error *err)
{
	const char *line = h->text.data + h->line_start;
	const size_t len = h->text.len - h->line_start - 1;
	enum bm_status status = BM_OK;

	switch (h->state) {
	case STATE_VERSION:
		if (len != sizeof(AGE_VERSION_LINE) - 1 || memcmp(line, AGE_VERSION_LINE, len) != 0) {
			if (len <= sizeof(AGE_VERSION_PREFIX) - 1)
				return bad_line(h, "this is not an age file", err);
			return fail(h, BM_ERR_UNSUPPORTED, h->line_start,
			            "this age file is of a version that is not known here (only v1 is)", err);
		}
		h->state = STATE_ENTRY;
		break;
	case STATE_ENTRY:
		status = take_entry(h, line, len, err);
		break;
	case STATE_BODY:
		status = take_body(h, line, len, err);
		break;
	case STATE_NONCE:
	case STATE_DONE:
	case STATE_FAILED:
		break;
	}
	h->line_start = h->text.len;
	return status;
}

/* The bytes from data on that belong to the current line: added to text and checked. */
static enum bm_status take_bytes(struct bm_age_header *h, const char *data, size_t len, struct bm_error *err)
{
	const size_t start = h->text.len;

	if (len > BM_AGE_HEADER_MAX_BYTES - start)
		return fail(h, BM_ERR_LIMIT, start, "the age header is longer than 1 MiB", err);
	bm_buf_put(&h->text, data, len);
	if (h->text.oom)
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < len; i++) {
		const char c = data[i];

		if (h->state == STATE_VERSION && start + i < sizeof(AGE_VERSION_PREFIX) - 1 &&
		    c != AGE_VERSION_PREFIX[start + i])
			return fail(h, BM_ERR_FORMAT, 0, "this is not an age file", err);
		if ((c < ' ' || c > '~') && c != '\n')
			return fail(h, BM_ERR_FORMAT, start + i, "the age header has a byte that may not be in it",
			            err);
	}
	return BM_OK;
}

enum bm_status bm_age_header_feed(struct bm_age_header *h, const void *data, size_t len, bool end, size_t *used,
                                  struct bm_error *err)
{
	const char *p = data;
	enum bm_status status = BM_OK;

	*used = 0;
	if (h->state == STATE_FAILED)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "the age header has failed already");
	while (*used < len && h->state != STATE_NONCE && h->state != STATE_DONE) {
		const char *at = p + *used;
		const char *lf = memchr(at, '\n', len - *used);
		const size_t part = lf != NULL ? (size_t)(lf - at) + 1 : len - *used;

		status = take_bytes(h, at, part, err);
		if (status == BM_OK && lf != NULL)
			status = take_line(h, err);
		if (status != BM_OK) {
			h->state = STATE_FAILED;
			return status;
		}
		*used += part;
	}
	if (h->state == STATE_NONCE) {
		const size_t wanted = sizeof(h->nonce) - h->nonce_len;
		const size_t part = len - *used < wanted ? len - *used : wanted;

		if (part > 0)
			memcpy(h->nonce + h->nonce_len, p + *used, part);
		h->nonce_len += part;
		*used += part;
		if (h->nonce_len == sizeof(h->nonce))
			h->state = STATE_DONE;
	}
	if (end && h->state != STATE_DONE)
		return fail(h, BM_ERR_TRUNCATED, bm_age_header_bytes(h),
		            bm_age_header_bytes(h) == 0 ? "this is not an age file: it is empty"
		                                        : "the age file ends within its header: it was cut off",
		            err);
	return BM_OK;
}

/* ---- the key ---- */

static enum bm_status try_x25519(const struct stanza *s, const struct age_key *identity,
                                 uint8_t file_key[static AGE_FILE_KEY_BYTES], bool *good, struct bm_error *err)
{
	enum bm_status status;
	uint8_t shared[AGE_KEY_BYTES];
	uint8_t wrap_key[AGE_KEY_BYTES];
	struct age_key share = {0};
	bool zero = false;

	*good = false;
	status = age_key_from_public(s->argument, &share, err);
	if (status == BM_OK)
		status = age_x25519(identity, &share, shared, &zero, err);
	if (status == BM_OK && zero)
		status = bm_error_set(err, BM_ERR_FORMAT, NULL,
		                      "the age header has an X25519 share of low order: nobody honest makes one");
	if (status == BM_OK)
		status = age_x25519_wrap_key(shared, s->argument, identity->public, wrap_key, err);
	if (status == BM_OK)
		status = age_unwrap(wrap_key, s->body, file_key, good, err);
	age_key_fini(&share);
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(wrap_key, sizeof(wrap_key));
	return status;
}

static enum bm_status try_scrypt(const struct stanza *s, const struct bm_age_identities *ids,
                                 uint8_t file_key[static AGE_FILE_KEY_BYTES], bool *good, struct bm_error *err)
{
	enum bm_status status = BM_OK;
	uint8_t wrap_key[AGE_KEY_BYTES];

	*good = false;
	if (ids->passphrase_count > 0 && s->log2_n > ids->work_max)
		return bm_error_set(err, BM_ERR_LIMIT, NULL,
		                    "the age file's passphrase has a work factor over %u: it would take more than %llu "
		                    "MiB of memory and very long",
		                    ids->work_max, (unsigned long long)(bm_age_work_bytes(ids->work_max) >> 20));
	for (size_t i = 0; i < ids->passphrase_count && status == BM_OK && !*good; i++) {
		status = age_scrypt(ids->passphrases[i].data, ids->passphrases[i].len, s->argument, s->log2_n, wrap_key,
		                    err);
		if (status == BM_OK)
			status = age_unwrap(wrap_key, s->body, file_key, good, err);
	}
	OPENSSL_cleanse(wrap_key, sizeof(wrap_key));
	return status;
}

static enum bm_status no_match(const struct bm_age_header *h, const struct bm_age_identities *ids, struct bm_error *err)
{
	if (h->count > 0 && h->stanzas[0].type == STANZA_SCRYPT)
		return bm_error_set(err, BM_ERR_FAILED, NULL, "%s",
		                    ids->passphrase_count == 0
		                            ? "the age file is encrypted with a passphrase, and none was given"
		                            : "the passphrase is wrong");
	if (h->count == 0)
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "the age file has no recipient of a type that is supported: X25519 and scrypt are, "
		                    "it has %s",
		                    h->other_type);
	if (ids->count == 0)
		return bm_error_set(err, BM_ERR_FAILED, NULL,
		                    "the age file is encrypted for X25519 recipients, and no identity was given");
	return bm_error_set(err, BM_ERR_FAILED, NULL, "none of the identities given is a recipient of the age file%s%s",
	                    h->other_type[0] != '\0' ? "; it has recipients of other types too, such as " : "",
	                    h->other_type);
}

static enum bm_status find_file_key(const struct bm_age_header *h, const struct bm_age_identities *ids,
                                    uint8_t file_key[static AGE_FILE_KEY_BYTES], enum bm_age_fault *fault,
                                    struct bm_error *err)
{
	enum bm_status status = BM_OK;
	bool good = false;

	for (size_t i = 0; i < h->count && status == BM_OK && !good; i++) {
		const struct stanza *s = &h->stanzas[i];

		if (s->type == STANZA_SCRYPT)
			status = try_scrypt(s, ids, file_key, &good, err);
		for (size_t k = 0; s->type == STANZA_X25519 && k < ids->count && status == BM_OK && !good; k++)
			status = try_x25519(s, &ids->keys[k], file_key, &good, err);
	}
	if (status == BM_ERR_FORMAT || status == BM_ERR_LIMIT)
		*fault = BM_AGE_FAULT_HEADER;
	if (status != BM_OK || good)
		return status;
	*fault = BM_AGE_FAULT_NO_MATCH;
	return no_match(h, ids, err);
}

enum bm_status bm_age_header_unwrap(const struct bm_age_header *h, const struct bm_age_identities *ids,
                                    struct bm_age_key *key, enum bm_age_fault *fault, struct bm_error *err)
{
	enum bm_status status;
	enum bm_age_fault found = BM_AGE_FAULT_NONE;
	uint8_t file_key[AGE_FILE_KEY_BYTES];
	uint8_t mac[AGE_KEY_BYTES];

	if (h->state != STATE_DONE) {
		status = bm_error_set(err, BM_ERR_USAGE, NULL, "the age header is not complete");
		goto out;
	}
	status = find_file_key(h, ids, file_key, &found, err);
	if (status != BM_OK)
		goto out;
	status = age_header_mac(file_key, h->text.data, h->mac_covers, mac, err);
	if (status != BM_OK)
		goto out;
	if (CRYPTO_memcmp(mac, h->mac, sizeof(mac)) != 0) {
		found = BM_AGE_FAULT_MAC;
		status = bm_error_set(err, BM_ERR_FORMAT, NULL,
		                      "the age header does not fit its MAC: it is damaged or was changed");
		goto out;
	}
	status = age_payload_key(file_key, h->nonce, key, err);
out:
	OPENSSL_cleanse(file_key, sizeof(file_key));
	OPENSSL_cleanse(mac, sizeof(mac));
	if (status != BM_OK)
		bm_age_key_wipe(key);
	if (fault != NULL)
		*fault = found;
	return status;
}
