/*
 * age_decoder.c - see bm_age.h: a whole age file, fed in pieces of any size, chunk after chunk on one thread. It is made
 * of the parts that parallel readers use, and is what they are held against.
 *
 *   input -> [armor] -> header, nonce -> key -> sealed chunk -> plain chunk -> output
 *
 * The payload does not say how long it is, so whether a chunk is the last is known only when the input ends: a full
 * chunk waits in `sealed` until there is a byte more, or none. What a chunk gives waits in `plain` until it has been
 * given out. An error is kept back until then too, and one of the armor until what stood before it is used, so that what is
 * given out before it does not depend on how input and output were cut: always every authentic chunk, nothing else.
 *
 * `raw` is between armor and the rest, and is used only with armor; without, the rest reads the caller's input.
 */
#include "age_private.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bm_error.h"

#define RAW_BYTES 4096

struct bm_age_decoder {
	const struct bm_age_identities *ids; /* borrowed */
	struct bm_age_armor *armor;          /* owned, as the next two */
	struct bm_age_header *header;
	struct bm_age_cipher *cipher;
	enum bm_age_armored armored; /* AUTO until the first byte */
	enum bm_age_fault fault;
	enum bm_status failed; /* to be returned once `plain` is empty; then `error` says more */
	struct bm_error error;
	enum bm_status armor_failed; /* becomes `failed` once `raw` is empty */
	struct bm_error armor_error;
	bool opened;   /* the header is behind us, the cipher has its key */
	bool finished; /* the last chunk is in `plain` */
	bool raw_end;  /* nothing will be added to `raw` */
	size_t raw_at, raw_len;
	uint64_t index; /* of the chunk in `sealed` */
	size_t sealed_len;
	size_t plain_at, plain_len;
	uint8_t raw[RAW_BYTES];
	uint8_t sealed[BM_AGE_SEALED_CHUNK_BYTES];
	uint8_t plain[BM_AGE_CHUNK_BYTES];
};

/* What the header and the payload read from: the caller's input or `raw`. */
struct view {
	const uint8_t *data;
	size_t len;
	bool end; /* nothing comes after it */
};

enum bm_status bm_age_decoder_create(const struct bm_age_identities *ids, struct bm_age_decoder **out,
                                     struct bm_error *err)
{
	enum bm_status status;
	struct bm_age_decoder *d = calloc(1, sizeof(*d));

	*out = NULL;
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->ids = ids;
	status = bm_age_armor_create(&d->armor, err);
	if (status == BM_OK)
		status = bm_age_header_create(&d->header, err);
	if (status == BM_OK)
		status = bm_age_cipher_create(&d->cipher, err);
	if (status != BM_OK)
		bm_age_decoder_destroy(d);
	else
		*out = d;
	return status;
}

void bm_age_decoder_destroy(struct bm_age_decoder *d)
{
	if (d == NULL)
		return;
	bm_age_armor_destroy(d->armor);
	bm_age_header_destroy(d->header);
	bm_age_cipher_destroy(d->cipher);
	OPENSSL_cleanse(d->plain, sizeof(d->plain));
	free(d);
}

void bm_age_decoder_reset(struct bm_age_decoder *d, enum bm_age_armored armored)
{
	bm_age_armor_reset(d->armor);
	bm_age_header_reset(d->header);
	d->armored = armored;
	d->fault = BM_AGE_FAULT_NONE;
	d->failed = BM_OK;
	d->armor_failed = BM_OK;
	d->error = d->armor_error = (struct bm_error)BM_ERROR_INIT;
	d->opened = false;
	d->finished = false;
	d->raw_end = false;
	d->raw_at = d->raw_len = 0;
	d->index = 0;
	d->sealed_len = 0;
	d->plain_at = d->plain_len = 0;
}

enum bm_age_fault bm_age_decoder_fault(const struct bm_age_decoder *d)
{
	return d->fault;
}

/* Keeps a failure for later. The fault is the file's only where the status can be. */
static void keep_failure(struct bm_age_decoder *d, enum bm_status status, enum bm_age_fault fault)
{
	d->failed = status;
	if (status != BM_ERR_NOMEM && status != BM_ERR_USAGE && status != BM_ERR_FAILED)
		d->fault = fault;
}

static struct view look(struct bm_age_decoder *d, const uint8_t *in, size_t in_len, bool in_end,
                        struct bm_age_result *res)
{
	if (d->armored != BM_AGE_ARMORED_YES)
		return (struct view){in + res->in_used, in_len - res->in_used, in_end};
	if (d->raw_at == d->raw_len && !d->raw_end && d->armor_failed == BM_OK) {
		struct bm_age_result part;

		d->armor_failed = bm_age_armor_decode(d->armor, in + res->in_used, in_len - res->in_used, in_end,
		                                      d->raw, sizeof(d->raw), &part, &d->armor_error);
		res->in_used += part.in_used;
		d->raw_at = 0;
		d->raw_len = part.out_made;
		d->raw_end = part.complete;
	}
	if (d->raw_at == d->raw_len && d->armor_failed != BM_OK) {
		d->error = d->armor_error;
		keep_failure(d, d->armor_failed, BM_AGE_FAULT_ARMOR);
	}
	return (struct view){d->raw + d->raw_at, d->raw_len - d->raw_at, d->raw_end};
}

static void consume(struct bm_age_decoder *d, size_t count, struct bm_age_result *res)
{
	if (d->armored == BM_AGE_ARMORED_YES)
		d->raw_at += count;
	else
		res->in_used += count;
}

/* Returns what was used of the view. */
static size_t take_header(struct bm_age_decoder *d, struct view v)
{
	struct bm_age_key key;
	size_t used = 0;
	enum bm_age_fault fault = BM_AGE_FAULT_NONE;
	enum bm_status status = bm_age_header_feed(d->header, v.data, v.len, v.end, &used, &d->error);

	if (status != BM_OK) {
		keep_failure(d, status, BM_AGE_FAULT_HEADER);
		return used;
	}
	if (!bm_age_header_complete(d->header))
		return used;
	status = bm_age_header_unwrap(d->header, d->ids, &key, &fault, &d->error);
	if (status == BM_OK)
		status = bm_age_cipher_set_key(d->cipher, &key, BM_AGE_OPEN, &d->error);
	bm_age_key_wipe(&key);
	d->failed = status;
	d->fault = fault;
	d->opened = status == BM_OK;
	return used;
}

/* Returns what was used of the view. Opens at most one chunk. */
static size_t take_payload(struct bm_age_decoder *d, struct view v)
{
	const size_t room = sizeof(d->sealed) - d->sealed_len;
	const size_t used = v.len < room ? v.len : room;
	const bool at_end = v.end && used == v.len;
	enum bm_status status;

	if (used > 0)
		memcpy(d->sealed + d->sealed_len, v.data, used);
	d->sealed_len += used;
	if (!at_end && (d->sealed_len < sizeof(d->sealed) || used == v.len))
		return used;
	status = bm_age_open(d->cipher, d->index, at_end, d->sealed, d->sealed_len, d->plain, sizeof(d->plain),
	                     &d->plain_len, &d->error);
	d->plain_at = 0;
	d->sealed_len = 0;
	d->index++;
	d->finished = at_end;
	if (status != BM_OK)
		keep_failure(d, status, BM_AGE_FAULT_PAYLOAD);
	return used;
}

enum bm_status bm_age_decode(struct bm_age_decoder *d, const void *in, size_t in_len, bool in_end, void *out,
                             size_t out_cap, struct bm_age_result *res, struct bm_error *err)
{
	static const uint8_t none[1];
	const uint8_t *from = in_len > 0 ? in : none;
	uint8_t *to = out;

	*res = (struct bm_age_result){0};
	if (d->armored == BM_AGE_ARMORED_AUTO && in_len > 0)
		d->armored = bm_age_detect(from, 1) == BM_AGE_KIND_SHORT && from[0] != AGE_VERSION_PREFIX[0]
		                     ? BM_AGE_ARMORED_YES
		                     : BM_AGE_ARMORED_NO;
	for (;;) {
		const size_t waiting = d->plain_len - d->plain_at;
		const size_t room = out_cap - res->out_made;
		const size_t part = waiting < room ? waiting : room;
		struct view v;
		size_t used;

		if (part > 0)
			memcpy(to + res->out_made, d->plain + d->plain_at, part);
		d->plain_at += part;
		res->out_made += part;
		if (part < waiting)
			return BM_OK;
		if (d->failed != BM_OK)
			return bm_error_set(err, d->failed, d->error.where[0] != '\0' ? d->error.where : NULL, "%s",
			                    d->error.text);
		if (d->finished)
			break;
		v = look(d, from, in_len, in_end, res);
		if (d->failed != BM_OK)
			continue;
		if (v.len == 0 && !v.end)
			return BM_OK;
		used = d->opened ? take_payload(d, v) : take_header(d, v);
		consume(d, used, res);
	}
	res->complete = true;
	return BM_OK;
}
