/*
 * fuzz_age.c - any bytes as an age file, armored or not; as its parts; and a good file with damage that the input
 * describes. However it is cut, the verdict and the bytes are the same; no byte comes out that is not authentic.
 *
 * The first byte says what the others are: R recipients, I identities, S plain bytes to be sealed and then damaged as
 * their first four bytes say; with any other byte all of it is a file.
 */
#include <stdbool.h>
#include <string.h>

#include "bm_age.h"
#include "bm_error.h"
#include "fuzz.h"

/* The seeds are made for these. */
#define IDENTITY "AGE-SECRET-KEY-1EPJNCFT6JW32GJ3VEDGUAPA6H6YYTWKKQJDUA2NV8AX3VQ7Z4F2QDL0ALK"
#define PASSPHRASE "password"

struct plain {
	uint8_t *data;
	size_t len;
	enum bm_status status;
};

static const struct bm_age_identities *identities(void)
{
	static struct bm_age_identities *ids;
	struct bm_error err = BM_ERROR_INIT;

	if (ids == NULL) {
		FUZZ_CHECK(bm_age_identities_create(&ids, &err) == BM_OK);
		FUZZ_CHECK(bm_age_identities_add(ids, IDENTITY, strlen(IDENTITY), &err) == BM_OK);
		FUZZ_CHECK(bm_age_identities_add_passphrase(ids, PASSPHRASE, strlen(PASSPHRASE), &err) == BM_OK);
		FUZZ_CHECK(bm_age_identities_cap_work(ids, 4, &err) == BM_OK);
	}
	return ids;
}

static struct plain decode(const uint8_t *data, size_t len, size_t in_piece, size_t out_piece)
{
	static struct bm_age_decoder *d;
	struct plain p = {.data = malloc(len + 1), .status = BM_OK};
	struct bm_age_result res = {0};
	struct bm_error err = BM_ERROR_INIT;
	unsigned idle = 0;
	size_t at = 0;

	FUZZ_CHECK(p.data != NULL);
	if (d == NULL)
		FUZZ_CHECK(bm_age_decoder_create(identities(), &d, &err) == BM_OK);
	bm_age_decoder_reset(d, BM_AGE_ARMORED_AUTO);
	while (!res.complete) {
		size_t in = len - at < in_piece ? len - at : in_piece;
		size_t out = len + 1 - p.len < out_piece ? len + 1 - p.len : out_piece;

		FUZZ_CHECK(out > 0); /* it is always more than the plain bytes */
		p.status = bm_age_decode(d, data + at, in, at + in == len, p.data + p.len, out, &res, &err);
		FUZZ_CHECK(res.in_used <= in && res.out_made <= out);
		at += res.in_used;
		p.len += res.out_made;
		if (p.status != BM_OK) {
			FUZZ_CHECK(err.text[0] != '\0' && p.status != BM_ERR_USAGE && p.status != BM_ERR_NOMEM);
			break;
		}
		idle = res.in_used == 0 && res.out_made == 0 ? idle + 1 : 0;
		FUZZ_CHECK(idle < 4);
	}
	return p;
}

static void try_file(const uint8_t *data, size_t len)
{
	struct plain whole = decode(data, len, SIZE_MAX, SIZE_MAX);
	struct plain other = decode(data, len, 1 + len % 19, 1 + len % 4099);

	FUZZ_CHECK(whole.status == other.status && whole.len == other.len &&
	           memcmp(whole.data, other.data, whole.len) == 0);
	FUZZ_CHECK(whole.status != BM_OK || bm_age_detect(data, len) >= BM_AGE_KIND_BINARY);
	free(whole.data);
	free(other.data);
}

static void try_header(const uint8_t *data, size_t len)
{
	static struct bm_age_header *h;
	struct bm_error err = BM_ERROR_INIT, more = BM_ERROR_INIT;
	enum bm_status whole, cut = BM_OK;
	enum bm_age_fault fault;
	struct bm_age_key key;
	size_t used = 0, taken = 0, at = 0;

	if (h == NULL)
		FUZZ_CHECK(bm_age_header_create(&h, &err) == BM_OK);
	bm_age_header_reset(h);
	whole = bm_age_header_feed(h, data, len, true, &used, &err);
	FUZZ_CHECK(used <= len);
	FUZZ_CHECK((whole == BM_OK) == bm_age_header_complete(h));
	if (whole == BM_OK) {
		FUZZ_CHECK(bm_age_header_bytes(h) == used);
		if (bm_age_header_unwrap(h, identities(), &key, &fault, &err) != BM_OK)
			FUZZ_CHECK(err.text[0] != '\0' && fault != BM_AGE_FAULT_NONE);
	}
	bm_age_header_reset(h);
	while (cut == BM_OK && !bm_age_header_complete(h)) {
		size_t piece = len - at < 5 ? len - at : 5;

		cut = bm_age_header_feed(h, data + at, piece, at + piece == len, &taken, &more);
		at += taken;
	}
	FUZZ_CHECK(cut == whole && (whole != BM_OK || at == used));
}

static void try_armor(const uint8_t *data, size_t len)
{
	static struct bm_age_armor *a;
	uint8_t *out[2] = {malloc(len + 3), malloc(len + 3)};
	size_t made[2] = {0, 0};
	enum bm_status status[2] = {BM_OK, BM_OK};
	struct bm_error err = BM_ERROR_INIT;

	FUZZ_CHECK(out[0] != NULL && out[1] != NULL);
	if (a == NULL)
		FUZZ_CHECK(bm_age_armor_create(&a, &err) == BM_OK);
	for (int i = 0; i < 2; i++) {
		struct bm_age_result res = {0};
		size_t at = 0, step = i == 0 ? SIZE_MAX : 1 + len % 7;

		bm_age_armor_reset(a);
		for (unsigned idle = 0; status[i] == BM_OK && !res.complete;) {
			size_t in = len - at < step ? len - at : step, room = len + 3 - made[i];

			status[i] = bm_age_armor_decode(a, data + at, in, at + in == len, out[i] + made[i],
			                                room < step ? room : step, &res, &err);
			at += res.in_used;
			made[i] += res.out_made;
			idle = res.in_used == 0 && res.out_made == 0 ? idle + 1 : 0;
			FUZZ_CHECK(idle < 4 && at <= len);
		}
	}
	FUZZ_CHECK(status[0] == status[1]);
	FUZZ_CHECK(status[0] != BM_OK || (made[0] == made[1] && memcmp(out[0], out[1], made[0]) == 0));
	free(out[0]);
	free(out[1]);
}

static void try_sealed(const uint8_t *data, size_t len)
{
	static struct bm_age_recipients *r;
	static struct bm_age_cipher *c;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf file = {0};
	struct bm_age_key key;
	char recipient[BM_AGE_RECIPIENT_TEXT_BYTES];
	struct plain p;
	size_t sealed, made, header, place;

	if (len < 4)
		return;
	if (r == NULL) {
		FUZZ_CHECK(bm_age_recipients_create(&r, &err) == BM_OK);
		FUZZ_CHECK(bm_age_identities_recipient(identities(), 0, recipient, &err) == BM_OK);
		FUZZ_CHECK(bm_age_recipients_add(r, recipient, strlen(recipient), &err) == BM_OK);
		FUZZ_CHECK(bm_age_cipher_create(&c, &err) == BM_OK);
	}
	FUZZ_CHECK(bm_age_header_make(r, &file, &key, &err) == BM_OK);
	header = file.len;
	sealed = (size_t)bm_age_sealed_bytes(len - 4);
	FUZZ_CHECK(bm_buf_reserve(&file, sealed));
	FUZZ_CHECK(bm_age_cipher_set_key(c, &key, BM_AGE_SEAL, &err) == BM_OK);
	FUZZ_CHECK(bm_age_seal(c, 0, true, data + 4, len - 4, file.data + file.len, sealed, &made, &err) == BM_OK);
	FUZZ_CHECK(made == sealed);
	file.len += made;
	place = ((size_t)data[1] << 16 | (size_t)data[2] << 8 | data[3]) % file.len;
	switch (data[0] % 4) {
	case 0:
		break;
	case 1:
		file.data[place] = (char)(file.data[place] ^ (1 << data[0] / 4 % 8));
		break;
	case 2:
		file.len = place;
		break;
	default:
		memmove(file.data + place, file.data + place + 1, file.len - place - 1);
		file.len--;
	}
	p = decode((const uint8_t *)file.data, file.len, SIZE_MAX, SIZE_MAX);
	FUZZ_CHECK(p.len <= len - 4 && (p.len == 0 || memcmp(p.data, data + 4, p.len) == 0));
	if (data[0] % 4 == 0)
		FUZZ_CHECK(p.status == BM_OK && p.len == len - 4);
	else
		FUZZ_CHECK(p.status != BM_OK);
	FUZZ_CHECK(data[0] % 4 == 0 || place >= header || p.len == 0);
	free(p.data);
	bm_buf_fini(&file);
}

static void try_keys(const char *text, size_t len, bool are_recipients)
{
	struct bm_age_recipients *r = NULL;
	struct bm_age_identities *ids = NULL;
	struct bm_error err = BM_ERROR_INIT;
	enum bm_status status;

	if (are_recipients) {
		FUZZ_CHECK(bm_age_recipients_create(&r, &err) == BM_OK);
		status = bm_age_recipients_add_text(r, text, len, NULL, &err);
		FUZZ_CHECK(status != BM_OK || bm_age_recipients_count(r) > 0);
		bm_age_recipients_destroy(r);
	} else {
		FUZZ_CHECK(bm_age_identities_create(&ids, &err) == BM_OK);
		status = bm_age_identities_add_text(ids, text, len, NULL, &err);
		FUZZ_CHECK(status != BM_OK || bm_age_identities_count(ids) > 0);
		bm_age_identities_destroy(ids);
	}
	FUZZ_CHECK(status == BM_OK || err.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	switch (data[0]) {
	case 'R':
	case 'I':
		try_keys((const char *)data + 1, len - 1, data[0] == 'R');
		break;
	case 'S':
		try_sealed(data + 1, len - 1);
		break;
	default:
		try_file(data, len);
		try_header(data, len);
		try_armor(data, len);
	}
	return 0;
}
