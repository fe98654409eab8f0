/* age_testing.h - what the tests of the age codec share: byte strings, random numbers that repeat, files made with the
 * parallel parts, and a reader that cuts input and output where it is told. */
#ifndef AGE_TESTING_H
#define AGE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_age.h"
#include "bm_error.h"
#include "bm_mem.h"

static inline uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 32);
}

static inline uint8_t *make_data(size_t len)
{
	uint64_t seed = 0x9e3779b97f4a7c15u + len;
	uint8_t *data = malloc(len > 0 ? len : 1);

	assert_non_null(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)random_next(&seed);
	return data;
}

/* A copy in memory of its own, so that a sanitizer sees every read and write beyond it. */
static inline void *exact_copy(const void *data, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

static inline struct bm_age_identities *new_identities(void)
{
	struct bm_age_identities *ids = NULL;

	assert_int_equal(bm_age_identities_create(&ids, NULL), BM_OK);
	return ids;
}

static inline struct bm_age_recipients *new_recipients(void)
{
	struct bm_age_recipients *r = NULL;

	assert_int_equal(bm_age_recipients_create(&r, NULL), BM_OK);
	return r;
}

static inline struct bm_age_decoder *new_decoder(const struct bm_age_identities *ids)
{
	struct bm_age_decoder *d = NULL;

	assert_int_equal(bm_age_decoder_create(ids, &d, NULL), BM_OK);
	return d;
}

/* Seals data in runs of run_chunks chunks. */
static inline void put_payload(struct bm_buf *file, const struct bm_age_key *key, const uint8_t *data, size_t len,
                               size_t run_chunks)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_age_cipher *c = NULL;
	const size_t run = run_chunks * BM_AGE_CHUNK_BYTES;
	size_t at = 0;

	assert_int_equal(bm_age_cipher_create(&c, &err), BM_OK);
	assert_int_equal(bm_age_cipher_set_key(c, key, BM_AGE_SEAL, &err), BM_OK);
	do {
		const size_t part = len - at < run ? len - at : run;
		const size_t cap = (size_t)bm_age_sealed_bytes(part);
		uint8_t *in = exact_copy(data + at, part);
		uint8_t *out = malloc(cap);
		size_t out_len = 0;

		assert_non_null(out);
		if (bm_age_seal(c, at / BM_AGE_CHUNK_BYTES, at + part == len, in, part, out, cap, &out_len, &err) !=
		    BM_OK)
			fail_msg("%zu of %zu: %s", at, len, err.text);
		assert_int_equal(out_len, cap);
		bm_buf_put(file, out, out_len);
		at += part;
		free(in);
		free(out);
	} while (at < len);
	bm_age_cipher_destroy(c);
}

static inline void put_file(struct bm_buf *file, const struct bm_age_recipients *r, const uint8_t *data, size_t len,
                            size_t run_chunks)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_age_key key;

	if (bm_age_header_make(r, file, &key, &err) != BM_OK)
		fail_msg("%s", err.text);
	put_payload(file, &key, data, len, run_chunks);
	bm_age_key_wipe(&key);
	assert_false(file->oom);
}

/* One identity and its recipient. */
struct pair {
	struct bm_age_keypair text;
	struct bm_age_recipients *recipients;
	struct bm_age_identities *identities;
};

static inline struct pair new_pair(void)
{
	struct bm_error err = BM_ERROR_INIT;
	struct pair p = {.recipients = new_recipients(), .identities = new_identities()};

	assert_int_equal(bm_age_keygen(&p.text, &err), BM_OK);
	assert_int_equal(bm_age_recipients_add(p.recipients, p.text.recipient, strlen(p.text.recipient), &err), BM_OK);
	assert_int_equal(bm_age_identities_add(p.identities, p.text.identity, strlen(p.text.identity), &err), BM_OK);
	return p;
}

static inline void free_pair(struct pair *p)
{
	bm_age_recipients_destroy(p->recipients);
	bm_age_identities_destroy(p->identities);
	bm_age_keypair_wipe(&p->text);
}

/* Cuts of up to max bytes; 0: no cut at all. */
static inline size_t next_cut(uint64_t *seed, size_t left, size_t max)
{
	size_t cut = left;

	if (max == 1)
		cut = 1;
	else if (max > 0) /* small ones are as likely as large ones */
		cut = random_next(seed) % ((random_next(seed) % 3 == 0 ? 16 : max) + 1);
	return cut < left ? cut : left;
}

/* Decodes all of file; what comes out is added to plain. The status of the last call; err is filled in. seed is not 0. */
static inline enum bm_status decode(struct bm_age_decoder *d, enum bm_age_armored armored, const void *file, size_t len,
                                    size_t max_cut, uint64_t seed, struct bm_buf *plain, struct bm_error *err)
{
	const uint8_t *p = file;
	enum bm_status status;
	size_t at = 0;
	size_t idle = 0;

	*err = (struct bm_error)BM_ERROR_INIT;
	bm_age_decoder_reset(d, armored);
	for (;;) {
		struct bm_age_result res;
		const size_t in_len = next_cut(&seed, len - at, max_cut);
		const size_t out_cap = next_cut(&seed, 70000, max_cut);
		uint8_t *in = exact_copy(p + at, in_len);
		uint8_t *out = malloc(out_cap > 0 ? out_cap : 1);

		assert_non_null(out);
		status = bm_age_decode(d, in_len > 0 ? in : NULL, in_len, at + in_len == len, out_cap > 0 ? out : NULL,
		                       out_cap, &res, err);
		assert_true(res.in_used <= in_len && res.out_made <= out_cap);
		bm_buf_put(plain, out, res.out_made);
		free(in);
		free(out);
		at += res.in_used;
		idle = res.in_used == 0 && res.out_made == 0 ? idle + 1 : 0;
		if (idle > 1000)
			fail_msg("no progress at %zu of %zu", at, len);
		if (status != BM_OK) {
			assert_int_equal(status, err->status);
			assert_true(err->text[0] != '\0');
			return status;
		}
		if (res.complete) {
			assert_int_equal(at, len);
			assert_int_equal(bm_age_decoder_fault(d), BM_AGE_FAULT_NONE);
			return BM_OK;
		}
	}
}

/* Puts armor on, as age does. */
static inline void put_armor(struct bm_buf *out, const void *data, size_t len, const char *eol)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;
	size_t column = 0;

	bm_buf_printf(out, "-----BEGIN AGE ENCRYPTED FILE-----%s", eol);
	for (; len > 0; p += len < 3 ? len : 3, len -= len < 3 ? len : 3) {
		const unsigned bits =
			(unsigned)p[0] << 16 | (len > 1 ? (unsigned)p[1] << 8 : 0u) | (len > 2 ? p[2] : 0u);

		bm_buf_putc(out, alphabet[bits >> 18]);
		bm_buf_putc(out, alphabet[bits >> 12 & 63]);
		bm_buf_putc(out, len > 1 ? alphabet[bits >> 6 & 63] : '=');
		bm_buf_putc(out, len > 2 ? alphabet[bits & 63] : '=');
		column += 4;
		if (column == 64 || len <= 3) {
			bm_buf_puts(out, eol);
			column = 0;
		}
	}
	bm_buf_printf(out, "-----END AGE ENCRYPTED FILE-----%s", eol);
}

#endif
