/* test_age.c - the age codec's header, chunks, armor and decoder against each other: round trips around every boundary,
 * in runs and in parallel, and damage: no flipped bit, cut or splice may give a wrong byte. */
#include "age_testing.h"

#include <pthread.h>

#define CHUNK BM_AGE_CHUNK_BYTES

static const size_t sizes[] = {
	0, 1, 15, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17, 5 * CHUNK, 5 * CHUNK + 4097};

static void test_round_trips(void **state)
{
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(p.identities);
	struct bm_buf file = {0};
	struct bm_buf armor = {0};
	struct bm_buf plain = {0};
	struct bm_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t len = sizes[i];
		uint8_t *data = make_data(len);
		uint64_t back = 1;

		bm_buf_reset(&file);
		put_file(&file, p.recipients, data, len, 1 + i % 4);
		assert_true(bm_age_plain_bytes(bm_age_sealed_bytes(len), &back));
		assert_int_equal(back, len);
		for (unsigned cut = 0; cut < 6; cut++) {
			bm_buf_reset(&plain);
			if (decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, cut == 0 ? 0 : cut * 30000, cut + 1,
			           &plain, &err) != BM_OK)
				fail_msg("%zu bytes: %s: %s", len, err.where, err.text);
			assert_int_equal(plain.len, len);
			if (len > 0)
				assert_memory_equal(plain.data, data, len);
			bm_buf_reset(&armor);
			bm_buf_puts(&armor, cut % 2 == 0 ? "" : " \r\n\n\t\n");
			put_armor(&armor, file.data, file.len, cut % 2 == 0 ? "\n" : "\r\n");
			bm_buf_puts(&armor, cut % 2 == 0 ? "" : "\n\n  ");
			bm_buf_reset(&plain);
			if (decode(d, BM_AGE_ARMORED_AUTO, armor.data, armor.len, cut == 0 ? 0 : cut * 3000, cut + 9,
			           &plain, &err) != BM_OK)
				fail_msg("%zu bytes in armor: %s: %s", len, err.where, err.text);
			assert_int_equal(plain.len, len);
			if (len > 0)
				assert_memory_equal(plain.data, data, len);
		}
		free(data);
	}
	bm_age_decoder_destroy(d);
	bm_buf_fini(&file);
	bm_buf_fini(&armor);
	bm_buf_fini(&plain);
	free_pair(&p);
}

static void test_sizes(void **state)
{
	uint64_t plain;

	(void)state;
	assert_int_equal(bm_age_sealed_bytes(0), 16);
	assert_int_equal(bm_age_sealed_bytes(1), 17);
	assert_int_equal(bm_age_sealed_bytes(65536), 65552);
	assert_int_equal(bm_age_sealed_bytes(65537), 65569);
	assert_true(bm_age_sealed_bytes(UINT64_MAX) == UINT64_MAX);
	assert_false(bm_age_plain_bytes(0, &plain));
	assert_false(bm_age_plain_bytes(15, &plain));
	assert_true(bm_age_plain_bytes(16, &plain) && plain == 0);
	assert_true(bm_age_plain_bytes(65552, &plain) && plain == 65536);
	assert_false(bm_age_plain_bytes(65552 + 16, &plain));
	assert_true(bm_age_plain_bytes(65552 + 17, &plain) && plain == 65537);
}

/* One thread of several: every n-th chunk of one payload, sealed and opened again, in an order of its own. */
struct part {
	const struct bm_age_key *key;
	const uint8_t *data;
	uint8_t *sealed;
	uint8_t *opened;
	size_t len, count, first, step;
	bool good;
};

static void *run_part(void *arg)
{
	struct part *p = arg;
	struct bm_age_cipher *seal = NULL;
	struct bm_age_cipher *open = NULL;

	p->good = bm_age_cipher_create(&seal, NULL) == BM_OK && bm_age_cipher_create(&open, NULL) == BM_OK &&
	          bm_age_cipher_set_key(seal, p->key, BM_AGE_SEAL, NULL) == BM_OK &&
	          bm_age_cipher_set_key(open, p->key, BM_AGE_OPEN, NULL) == BM_OK;
	for (size_t k = p->first; k < p->count && p->good; k += p->step) {
		const size_t i = p->count - 1 - k;
		const size_t len = p->len - i * CHUNK < CHUNK ? p->len - i * CHUNK : CHUNK;
		uint8_t *sealed = p->sealed + i * BM_AGE_SEALED_CHUNK_BYTES;
		size_t made = 0;

		p->good = bm_age_seal(seal, i, i + 1 == p->count, p->data + i * CHUNK, len, sealed,
		                      BM_AGE_SEALED_CHUNK_BYTES, &made, NULL) == BM_OK &&
		          made == len + BM_AGE_TAG_BYTES &&
		          bm_age_open(open, i, i + 1 == p->count, sealed, made, p->opened + i * CHUNK, CHUNK, &made,
		                      NULL) == BM_OK &&
		          made == len;
	}
	bm_age_cipher_destroy(seal);
	bm_age_cipher_destroy(open);
	return NULL;
}

static void test_parallel(void **state)
{
	const size_t len = 41 * CHUNK + 5;
	const size_t sealed_len = (size_t)bm_age_sealed_bytes(len);
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(p.identities);
	uint8_t *data = make_data(len);
	uint8_t *sealed = calloc(1, 42 * BM_AGE_SEALED_CHUNK_BYTES);
	uint8_t *opened = calloc(1, 42 * CHUNK);
	struct bm_age_key key;
	struct bm_buf file = {0};
	struct bm_buf plain = {0};
	struct bm_error err = BM_ERROR_INIT;
	struct part parts[4];
	pthread_t threads[4];

	(void)state;
	assert_true(sealed != NULL && opened != NULL);
	assert_int_equal(bm_age_header_make(p.recipients, &file, &key, &err), BM_OK);
	for (size_t i = 0; i < 4; i++) {
		parts[i] = (struct part){&key, data, sealed, opened, len, 42, i, 4, false};
		assert_int_equal(pthread_create(&threads[i], NULL, run_part, &parts[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(parts[i].good);
	}
	assert_memory_equal(opened, data, len);
	bm_buf_put(&file, sealed, sealed_len);
	assert_int_equal(decode(d, BM_AGE_ARMORED_NO, file.data, file.len, 100000, 5, &plain, &err), BM_OK);
	assert_int_equal(plain.len, len);
	assert_memory_equal(plain.data, data, len);
	/* What one thread makes in one run is the same. */
	bm_buf_reset(&plain);
	put_payload(&plain, &key, data, len, 42);
	assert_int_equal(plain.len, sealed_len);
	assert_memory_equal(plain.data, sealed, sealed_len);
	bm_age_key_wipe(&key);
	bm_age_decoder_destroy(d);
	bm_buf_fini(&file);
	bm_buf_fini(&plain);
	free(data);
	free(sealed);
	free(opened);
	free_pair(&p);
}

/* Damaged files: an error, and nothing let out but whole chunks from the start of data. */
static void expect_damage(struct bm_age_decoder *d, const void *file, size_t len, const uint8_t *data, size_t data_len,
                          const char *what, size_t at)
{
	struct bm_buf plain = {0};
	struct bm_error err;
	const enum bm_status status =
		decode(d, BM_AGE_ARMORED_AUTO, file, len, at % 3 == 0 ? 0 : 40000, at + 1, &plain, &err);

	if (status == BM_OK)
		fail_msg("%s %zu: taken", what, at);
	if (plain.len > data_len || (plain.len != data_len && plain.len % CHUNK != 0) ||
	    (plain.len > 0 && memcmp(plain.data, data, plain.len) != 0))
		fail_msg("%s %zu: %zu wrong bytes let out (%s)", what, at, plain.len, err.text);
	if (bm_age_decoder_fault(d) == BM_AGE_FAULT_NONE)
		fail_msg("%s %zu: no fault named (%s)", what, at, err.text);
	bm_buf_fini(&plain);
}

static void test_flips_and_cuts_small(void **state)
{
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(p.identities);
	uint8_t *data = make_data(60);
	struct bm_buf file = {0};
	struct bm_buf armor = {0};

	(void)state;
	put_file(&file, p.recipients, data, 60, 1);
	put_armor(&armor, file.data, file.len, "\n");
	for (size_t kind = 0; kind < 2; kind++) {
		struct bm_buf *b = kind == 0 ? &file : &armor;

		for (size_t bit = 0; bit < b->len * 8; bit++) {
			b->data[bit / 8] = (char)(b->data[bit / 8] ^ 1 << bit % 8);
			expect_damage(d, b->data, b->len, NULL, 0, "flipped bit", bit);
			b->data[bit / 8] = (char)(b->data[bit / 8] ^ 1 << bit % 8);
		}
		/* Armor may do without its last line feed. */
		for (size_t len = 0; len < b->len - kind; len++)
			expect_damage(d, b->data, len, NULL, 0, "cut at", len);
		bm_buf_putc(b, 'x');
		expect_damage(d, b->data, b->len, NULL, 0, "longer by", 1);
	}
	bm_age_decoder_destroy(d);
	bm_buf_fini(&file);
	bm_buf_fini(&armor);
	free(data);
	free_pair(&p);
}

static void test_flips_and_cuts_large(void **state)
{
	const size_t len = 2 * CHUNK + 1000;
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(p.identities);
	uint8_t *data = make_data(len);
	struct bm_buf file = {0};
	uint64_t seed = 12345;
	size_t start;

	(void)state;
	put_file(&file, p.recipients, data, len, 3);
	start = file.len - (size_t)bm_age_sealed_bytes(len);
	for (unsigned i = 0; i < 400; i++) {
		const size_t at = start + random_next(&seed) % (file.len - start);
		const unsigned bit = random_next(&seed) % 8;

		file.data[at] = (char)(file.data[at] ^ 1 << bit);
		expect_damage(d, file.data, file.len, data, len, "flipped byte", at);
		file.data[at] = (char)(file.data[at] ^ 1 << bit);
	}
	for (size_t c = 0; c <= 2; c++)
		for (size_t off = 0; off < 40; off++) {
			const size_t at = start + c * BM_AGE_SEALED_CHUNK_BYTES + off;

			expect_damage(d, file.data, at - 20, data, len, "cut at", at - 20);
		}
	for (unsigned i = 0; i < 100; i++) {
		const size_t at = start + random_next(&seed) % (file.len - start);

		expect_damage(d, file.data, at, data, len, "cut at", at);
	}
	bm_age_decoder_destroy(d);
	bm_buf_fini(&file);
	free(data);
	free_pair(&p);
}

/* Chunks that are whole and good, but not where they belong. */
static void test_splices(void **state)
{
	const size_t whole = BM_AGE_SEALED_CHUNK_BYTES;
	const size_t len = 3 * CHUNK;
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(p.identities);
	uint8_t *data = make_data(len);
	struct bm_buf file = {0};
	struct bm_buf other = {0};
	struct bm_buf bad = {0};
	size_t start;

	(void)state;
	put_file(&file, p.recipients, data, len, 3);
	put_file(&other, p.recipients, data, len, 3);
	start = file.len - 3 * whole;
	static const char *const orders[] = {"0",  "01", "02",   "012x", "0122", "0112", "102", "210",
	                                     "12", "2",  "0121", "01a",  "0b2",  "c12",  "",    "0012"};
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		bm_buf_reset(&bad);
		bm_buf_put(&bad, file.data, start);
		for (const char *c = orders[i]; *c != '\0'; c++) {
			if (*c == 'x')
				bm_buf_putc(&bad, 'x');
			else if (*c >= 'a') /* the same place in another file with the same content */
				bm_buf_put(&bad, other.data + start + (size_t)('c' - *c) * whole, whole);
			else
				bm_buf_put(&bad, file.data + start + (size_t)(*c - '0') * whole, whole);
		}
		expect_damage(d, bad.data, bad.len, data, len, "order", i);
	}
	/* Another file's header, and its payload nonce. */
	bm_buf_reset(&bad);
	bm_buf_put(&bad, other.data, start);
	bm_buf_put(&bad, file.data + start, 3 * whole);
	expect_damage(d, bad.data, bad.len, data, 0, "header", 0);
	bm_buf_reset(&bad);
	bm_buf_put(&bad, file.data, start - 16);
	bm_buf_put(&bad, other.data + start - 16, 16 + 3 * whole);
	expect_damage(d, bad.data, bad.len, data, 0, "nonce", 0);
	bm_age_decoder_destroy(d);
	bm_buf_fini(&file);
	bm_buf_fini(&other);
	bm_buf_fini(&bad);
	free(data);
	free_pair(&p);
}

/* bm_age_open by itself: what it says of where the end is, and what it lets out. */
static void test_open(void **state)
{
	const size_t whole = BM_AGE_SEALED_CHUNK_BYTES;
	const struct bm_age_key key = {{1, 2, 3}};
	uint8_t *data = make_data(2 * CHUNK);
	uint8_t *out = malloc(2 * CHUNK);
	struct bm_age_cipher *c = NULL;
	struct bm_buf b = {0};
	struct bm_error err = BM_ERROR_INIT;
	size_t n;

	(void)state;
	assert_non_null(out);
	put_payload(&b, &key, data, 2 * CHUNK, 2);
	assert_int_equal(bm_age_cipher_create(&c, NULL), BM_OK);
	assert_int_equal(bm_age_open(c, 0, true, b.data, b.len, out, 2 * CHUNK, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_cipher_set_key(c, &key, BM_AGE_OPEN, NULL), BM_OK);
	assert_int_equal(bm_age_seal(c, 0, true, data, 1, out, CHUNK, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_open(c, 0, true, b.data, b.len, out, 2 * CHUNK, &n, NULL), BM_OK);
	assert_int_equal(n, 2 * CHUNK);
	assert_memory_equal(out, data, n);
	bm_age_cipher_forget(c);
	assert_int_equal(bm_age_open(c, 1, true, b.data + whole, whole, out, CHUNK, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_cipher_set_key(c, &key, BM_AGE_OPEN, NULL), BM_OK);
	assert_int_equal(bm_age_open(c, 1, true, b.data + whole, whole, out, CHUNK, &n, NULL), BM_OK);
	assert_memory_equal(out, data + CHUNK, CHUNK);

	assert_int_equal(bm_age_open(c, 0, true, b.data, whole, out, CHUNK, &n, &err), BM_ERR_TRUNCATED);
	assert_int_equal(n, CHUNK);
	assert_string_equal(err.where, "offset 65552");
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_age_open(c, 0, false, b.data, 2 * whole, out, 2 * CHUNK, &n, &err), BM_ERR_FORMAT);
	assert_int_equal(n, 2 * CHUNK);
	assert_string_equal(err.where, "offset 131104");
	assert_int_equal(bm_age_open(c, 1, true, b.data + whole, 5, NULL, 0, &n, NULL), BM_ERR_TRUNCATED);
	assert_int_equal(bm_age_open(c, 2, true, NULL, 0, NULL, 0, &n, NULL), BM_ERR_TRUNCATED);
	b.data[whole + 7] = (char)~b.data[whole + 7];
	memset(out, 0xaa, 2 * CHUNK);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_age_open(c, 0, true, b.data, b.len, out, 2 * CHUNK, &n, &err), BM_ERR_FORMAT);
	assert_int_equal(n, CHUNK);
	assert_string_equal(err.where, "offset 65552");
	for (size_t i = CHUNK; i < 2 * CHUNK; i++)
		assert_int_equal(out[i], 0);
	assert_int_equal(bm_age_open(c, 0, false, b.data, whole + 1, out, 2 * CHUNK, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_open(c, 0, true, b.data, whole, out, CHUNK - 1, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_open(c, 0, true, b.data, whole + 5, out, CHUNK - 1, &n, NULL), BM_ERR_USAGE);

	/* An empty payload. */
	bm_buf_reset(&b);
	put_payload(&b, &key, data, 0, 1);
	assert_int_equal(b.len, 16);
	assert_int_equal(bm_age_open(c, 0, true, b.data, 16, NULL, 0, &n, NULL), BM_OK);
	assert_int_equal(n, 0);

	assert_int_equal(bm_age_cipher_set_key(c, &key, BM_AGE_SEAL, NULL), BM_OK);
	assert_int_equal(bm_age_seal(c, 1, true, NULL, 0, out, 16, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_seal(c, 0, false, NULL, 0, out, 16, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_seal(c, 0, false, data, 100, out, 200, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_seal(c, 0, true, data, 100, out, 115, &n, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_seal(c, 0, true, data, 100, out, 116, &n, NULL), BM_OK);
	bm_age_cipher_destroy(c);
	bm_buf_fini(&b);
	free(data);
	free(out);
}

/* The nonce has the number in the right bytes: beyond 32 bits too. */
static void test_large_numbers(void **state)
{
	const struct bm_age_key key = {{9}};
	static const uint64_t numbers[] = {0,         1, 255, 256, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(1) << 40,
	                                   UINT64_MAX};
	struct bm_age_cipher *seal = NULL;
	struct bm_age_cipher *open = NULL;
	uint8_t sealed[32];
	uint8_t out[16];
	size_t n;

	(void)state;
	assert_int_equal(bm_age_cipher_create(&seal, NULL), BM_OK);
	assert_int_equal(bm_age_cipher_create(&open, NULL), BM_OK);
	assert_int_equal(bm_age_cipher_set_key(seal, &key, BM_AGE_SEAL, NULL), BM_OK);
	assert_int_equal(bm_age_cipher_set_key(open, &key, BM_AGE_OPEN, NULL), BM_OK);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(bm_age_seal(seal, numbers[i], true, "0123456789abcdef", 16, sealed, 32, &n, NULL),
		                 BM_OK);
		for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
			assert_int_equal(bm_age_open(open, numbers[k], true, sealed, 32, out, 16, &n, NULL),
			                 i == k ? BM_OK : BM_ERR_FORMAT);
	}
	bm_age_cipher_destroy(seal);
	bm_age_cipher_destroy(open);
}

static void test_many_recipients(void **state)
{
	struct bm_age_recipients *all = new_recipients();
	struct pair p[5];
	struct pair stranger = new_pair();
	struct bm_buf file = {0};
	struct bm_buf plain = {0};
	struct bm_error err;
	struct bm_age_decoder *d;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		p[i] = new_pair();
		assert_int_equal(bm_age_recipients_add(all, p[i].text.recipient, strlen(p[i].text.recipient), NULL),
		                 BM_OK);
	}
	put_file(&file, all, (const uint8_t *)"for all", 7, 1);
	assert_int_equal(file.len, bm_age_header_bound(5) + bm_age_sealed_bytes(7));
	for (size_t i = 0; i < 5; i++) {
		d = new_decoder(p[i].identities);
		/* It does not matter what other keys there are. */
		assert_int_equal(bm_age_identities_add(p[i].identities, stranger.text.identity, 74, NULL), BM_OK);
		assert_int_equal(bm_age_identities_add_passphrase(p[i].identities, "x", 1, NULL), BM_OK);
		bm_buf_reset(&plain);
		assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 50, i + 1, &plain, &err), BM_OK);
		assert_string_equal(plain.data, "for all");
		bm_age_decoder_destroy(d);
	}
	d = new_decoder(stranger.identities);
	bm_buf_reset(&plain);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 50, 1, &plain, &err), BM_ERR_FAILED);
	assert_int_equal(bm_age_decoder_fault(d), BM_AGE_FAULT_NO_MATCH);
	assert_int_equal(plain.len, 0);
	bm_age_decoder_destroy(d);
	for (size_t i = 0; i < 5; i++)
		free_pair(&p[i]);
	free_pair(&stranger);
	bm_age_recipients_destroy(all);
	bm_buf_fini(&file);
	bm_buf_fini(&plain);
}

static void test_passphrase(void **state)
{
	struct bm_age_identities *ids = new_identities();
	struct pair p = new_pair();
	struct bm_age_decoder *d = new_decoder(ids);
	struct bm_age_key key;
	struct bm_buf file = {0};
	struct bm_buf plain = {0};
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_age_header_make_passphrase("correct horse", 13, 10, &file, &key, &err), BM_OK);
	assert_int_equal(file.len, bm_age_header_bound(0));
	put_payload(&file, &key, (const uint8_t *)"battery", 7, 1);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 0, 1, &plain, &err), BM_ERR_FAILED);
	assert_non_null(strstr(err.text, "passphrase"));
	assert_int_equal(bm_age_identities_add(ids, p.text.identity, 74, NULL), BM_OK);
	assert_int_equal(bm_age_identities_add_passphrase(ids, "wrong", 5, NULL), BM_OK);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 0, 1, &plain, &err), BM_ERR_FAILED);
	assert_string_equal(err.text, "the passphrase is wrong");
	assert_int_equal(bm_age_decoder_fault(d), BM_AGE_FAULT_NO_MATCH);
	assert_int_equal(bm_age_identities_add_passphrase(ids, "correct horse", 13, NULL), BM_OK);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 0, 1, &plain, &err), BM_OK);
	assert_string_equal(plain.data, "battery");
	assert_int_equal(bm_age_identities_cap_work(ids, 9, NULL), BM_OK);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 0, 1, &plain, &err), BM_ERR_LIMIT);
	assert_int_equal(bm_age_decoder_fault(d), BM_AGE_FAULT_HEADER);
	assert_int_equal(bm_age_work_bytes(18) >> 20, 256);
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	free_pair(&p);
	bm_buf_fini(&file);
	bm_buf_fini(&plain);
}

/* A header can be as long as it is allowed to be, and not longer; the reader gives up there. */
static void test_header_cap(void **state)
{
	struct pair p = new_pair();
	struct bm_age_recipients *r = new_recipients();
	struct bm_age_header *h = NULL;
	struct bm_age_key key;
	struct bm_buf b = {0};
	struct bm_error err = BM_ERROR_INIT;
	size_t used;
	size_t total = 0;

	(void)state;
	assert_int_equal(bm_age_header_create(&h, NULL), BM_OK);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(bm_age_recipients_add(r, p.text.recipient, 62, NULL), BM_OK);
	assert_int_equal(bm_age_header_make(r, &b, &key, NULL), BM_OK);
	assert_int_equal(bm_age_header_feed(h, b.data, b.len, true, &used, &err), BM_OK);
	assert_int_equal(used, b.len);
	assert_true(bm_age_header_complete(h));
	assert_int_equal(bm_age_header_bytes(h), b.len);
	assert_int_equal(bm_age_header_unwrap(h, p.identities, &key, NULL, &err), BM_OK);

	bm_age_header_reset(h);
	assert_int_equal(bm_age_header_unwrap(h, p.identities, &key, NULL, &err), BM_ERR_USAGE);
	err = (struct bm_error)BM_ERROR_INIT;
	bm_buf_reset(&b);
	bm_buf_puts(&b, "age-encryption.org/v1\n");
	assert_int_equal(bm_age_header_feed(h, b.data, b.len, false, &used, &err), BM_OK);
	for (;;) {
		const enum bm_status status = bm_age_header_feed(h, "-> x\n\n", 6, false, &used, &err);

		if (status != BM_OK) {
			assert_int_equal(status, BM_ERR_LIMIT);
			break;
		}
		total += 6;
		assert_true(total <= BM_AGE_HEADER_MAX_BYTES);
	}
	assert_true(total > BM_AGE_HEADER_MAX_BYTES - 100);
	assert_int_equal(bm_age_header_feed(h, "x", 1, false, &used, NULL), BM_ERR_USAGE);
	bm_age_header_destroy(h);
	bm_age_recipients_destroy(r);
	bm_buf_fini(&b);
	free_pair(&p);
}

static void test_versions_and_detection(void **state)
{
	static const struct {
		const char *text;
		enum bm_age_kind kind;
	} cases[] = {
		{"", BM_AGE_KIND_SHORT},
		{"age-encryption.", BM_AGE_KIND_SHORT},
		{"age-encryption.org/v1\n", BM_AGE_KIND_BINARY},
		{"age-encryption.org/v2\n", BM_AGE_KIND_BINARY},
		{"age-encryptiom.org/v1\n", BM_AGE_KIND_NOT},
		{" age-encryption.org/v1\n", BM_AGE_KIND_NOT},
		{"-----BEGIN AGE", BM_AGE_KIND_SHORT},
		{"-----BEGIN AGE ENCRYPTED FILE-----", BM_AGE_KIND_ARMOR},
		{"\r\n\t -----BEGIN AGE ENCRYPTED FILE-----", BM_AGE_KIND_ARMOR},
		{" \n", BM_AGE_KIND_SHORT},
		{"-----BEGIN PGP MESSAGE-----", BM_AGE_KIND_NOT},
		{"\x1f\x8b", BM_AGE_KIND_NOT},
	};
	struct bm_age_identities *ids = new_identities();
	struct bm_age_decoder *d = new_decoder(ids);
	struct bm_buf b = {0};
	struct bm_error err;
	char blanks[1100];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (bm_age_detect(cases[i].text, strlen(cases[i].text)) != cases[i].kind)
			fail_msg("case %zu", i);
	memset(blanks, '\n', sizeof(blanks));
	assert_int_equal(bm_age_detect(blanks, 1024), BM_AGE_KIND_SHORT);
	assert_int_equal(bm_age_detect(blanks, 1025), BM_AGE_KIND_NOT);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, blanks, 1100, 0, 1, &b, &err), BM_ERR_FORMAT);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, "age-encryption.org/v2\nxx", 24, 0, 1, &b, &err),
	                 BM_ERR_UNSUPPORTED);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, "", 0, 0, 1, &b, &err), BM_ERR_TRUNCATED);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, "age-enc", 7, 0, 1, &b, &err), BM_ERR_TRUNCATED);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, "\0\0\0\0", 4, 0, 1, &b, &err), BM_ERR_FORMAT);
	assert_int_equal(b.len, 0);
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	bm_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_flips_and_cuts_small),
		cmocka_unit_test(test_flips_and_cuts_large),
		cmocka_unit_test(test_splices),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_passphrase),
		cmocka_unit_test(test_header_cap),
		cmocka_unit_test(test_versions_and_detection),
	};

	return cmocka_run_group_tests_name("age", tests, NULL, NULL);
}
