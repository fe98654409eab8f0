/* test_age_vectors.c - the test vectors of the age format (https://age-encryption.org/testkit): what must happen to each
 * file, and what may be let out before it does. Their directory is named by BM_AGE_VECTORS in the environment, or was
 * when this was built. Vectors for hybrid keys, which are not supported, must be turned down as such. */
#include "age_testing.h"

#include <dirent.h>

#include <zlib.h>

#include "bm_digest.h"

#ifndef BM_AGE_VECTORS
#define BM_AGE_VECTORS ""
#endif
#define VECTORS 143

struct vector {
	char name[64];
	char expect[32];
	char payload[80]; /* "" where nothing is said */
	bool armored;
	bool hybrid; /* an identity is a hybrid one */
	struct bm_age_identities *ids;
	uint8_t *file;
	size_t len;
};

static const char *directory(void)
{
	const char *env = getenv("BM_AGE_VECTORS");

	return env != NULL ? env : BM_AGE_VECTORS;
}

static void inflate_all(struct vector *v, const uint8_t *in, size_t len)
{
	const size_t cap = (size_t)24 << 20;
	uint8_t *plain = malloc(cap);
	uLongf out_len = (uLongf)cap;

	assert_non_null(plain);
	assert_int_equal(uncompress(plain, &out_len, in, (uLong)len), Z_OK);
	v->len = (size_t)out_len;
	v->file = exact_copy(plain, v->len);
	free(plain);
}

static void take_key(struct vector *v, const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	const enum bm_status status = bm_age_identities_add(v->ids, text, strlen(text), &err);

	if (strncmp(text, "AGE-SECRET-KEY-PQ-", 18) == 0) {
		assert_int_equal(status, BM_ERR_UNSUPPORTED);
		v->hybrid = true;
	} else if (status != BM_OK) {
		fail_msg("%s: %s", v->name, err.text);
	}
}

static struct vector read_vector(const char *name)
{
	struct vector v = {.ids = new_identities()};
	char path[1024];
	bool compressed = false;
	static uint8_t bytes[1 << 20];
	const uint8_t *p = bytes;
	size_t len;
	FILE *f;

	(void)snprintf(v.name, sizeof(v.name), "%.63s", name);
	(void)snprintf(path, sizeof(path), "%s/%s", directory(), name);
	f = fopen(path, "rbe");
	assert_non_null(f);
	len = fread(bytes, 1, sizeof(bytes), f);
	assert_true(len < sizeof(bytes));
	(void)fclose(f);
	for (;;) {
		const uint8_t *lf = memchr(p, '\n', len);
		char line[512];
		size_t n;

		assert_non_null(lf);
		n = (size_t)(lf - p);
		assert_true(n < sizeof(line));
		memcpy(line, p, n);
		line[n] = '\0';
		p += n + 1;
		len -= n + 1;
		if (n == 0)
			break;
		if (strncmp(line, "expect: ", 8) == 0)
			(void)snprintf(v.expect, sizeof(v.expect), "%.31s", line + 8);
		else if (strncmp(line, "payload: ", 9) == 0)
			(void)snprintf(v.payload, sizeof(v.payload), "%.79s", line + 9);
		else if (strncmp(line, "identity: ", 10) == 0)
			take_key(&v, line + 10);
		else if (strncmp(line, "passphrase: ", 12) == 0)
			assert_int_equal(bm_age_identities_add_passphrase(v.ids, line + 12, n - 12, NULL), BM_OK);
		else if (strcmp(line, "armored: yes") == 0)
			v.armored = true;
		else if (strcmp(line, "compressed: zlib") == 0)
			compressed = true;
		else if (strncmp(line, "comment: ", 9) != 0 && strncmp(line, "file key: ", 10) != 0)
			fail_msg("%s: a line of an unknown kind: %s", name, line);
	}
	if (compressed) {
		inflate_all(&v, p, len);
	} else {
		v.file = exact_copy(p, len);
		v.len = len;
	}
	return v;
}

static void free_vector(struct vector *v)
{
	bm_age_identities_destroy(v->ids);
	free(v->file);
}

static const char *fault_words(enum bm_status status, enum bm_age_fault fault)
{
	if (status == BM_OK)
		return "success";
	switch (fault) {
	case BM_AGE_FAULT_ARMOR:
		return "armor failure";
	case BM_AGE_FAULT_HEADER:
		return "header failure";
	case BM_AGE_FAULT_MAC:
		return "HMAC failure";
	case BM_AGE_FAULT_NO_MATCH:
		return "no match";
	case BM_AGE_FAULT_PAYLOAD:
		return "payload failure";
	default:
		return "another failure";
	}
}

static void sha256_hex(const struct bm_buf *b, char out[static 65])
{
	struct bm_digest *d = NULL;
	uint8_t digest[BM_DIGEST_MAX_BYTES];

	assert_int_equal(bm_digest_create(bm_digest_find("sha256"), &d, NULL), BM_OK);
	assert_int_equal(bm_digest_update(d, b->data, b->len, NULL), BM_OK);
	assert_int_equal(bm_digest_finish(d, digest, NULL), BM_OK);
	bm_digest_destroy(d);
	for (unsigned i = 0; i < 32; i++)
		(void)snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
}

/* Returns the words for what happened; the text is in *err. */
static const char *run(const struct vector *v, enum bm_age_armored armored, size_t max_cut, uint64_t seed,
                       struct bm_error *err)
{
	struct bm_age_decoder *d = new_decoder(v->ids);
	struct bm_buf plain = {0};
	const enum bm_status status = decode(d, armored, v->file, v->len, max_cut, seed, &plain, err);
	const char *words = fault_words(status, bm_age_decoder_fault(d));
	char hash[65];

	sha256_hex(&plain, hash);
	if (v->hybrid) {
		assert_int_equal(plain.len, 0);
	} else if (v->payload[0] != '\0') {
		if (strcmp(hash, v->payload) != 0)
			fail_msg("%s: %zu bytes let out, with hash %s, not %s (%s)", v->name, plain.len, hash,
			         v->payload, err->text);
	} else if (plain.len > 0) {
		fail_msg("%s: %zu bytes let out", v->name, plain.len);
	}
	bm_age_decoder_destroy(d);
	bm_buf_fini(&plain);
	return words;
}

/* What a reader without hybrid keys must answer. */
static const char *expected(const struct vector *v)
{
	/* The X25519 recipient is the malformed one; the base64 is wrong whatever it stands for. */
	if (!v->hybrid || strcmp(v->name, "hybrid_x25519_arg") == 0 ||
	    strcmp(v->name, "hybrid_not_canonical_body") == 0)
		return v->expect;
	/* In all others there is nothing that we could read, or nothing for us. */
	return "no match";
}

static void each_vector(void (*check)(const struct vector *v, unsigned *counts), unsigned *counts)
{
	struct dirent **names = NULL;
	const int found = scandir(directory(), &names, NULL, alphasort);

	if (found < 0) {
		print_message("skipped: no age test vectors in \"%s\" (set BM_AGE_VECTORS)\n", directory());
		skip();
	}
	for (int i = 0; i < found; i++) {
		if (names[i]->d_name[0] != '.') {
			struct vector v = read_vector(names[i]->d_name);

			check(&v, counts);
			free_vector(&v);
		}
		free(names[i]);
	}
	free(names);
}

static void check_whole(const struct vector *v, unsigned *counts)
{
	struct bm_error err;
	const char *words = run(v, v->armored ? BM_AGE_ARMORED_YES : BM_AGE_ARMORED_NO, 0, 1, &err);

	if (strcmp(words, expected(v)) != 0)
		fail_msg("%s: %s, not %s (%s: %s)", v->name, words, expected(v), err.where, err.text);
	counts[0]++;
	if (strcmp(expected(v), v->expect) == 0)
		counts[1]++;
}

static void test_whole(void **state)
{
	unsigned counts[2] = {0, 0};

	(void)state;
	each_vector(check_whole, counts);
	print_message("%u vectors, %u as they say, %u for hybrid keys turned down\n", counts[0], counts[1],
	              counts[0] - counts[1]);
	assert_int_equal(counts[0], VECTORS);
}

/* Cuts may not change what happens, nor what is let out, nor a letter of the message. */
static void check_cuts(const struct vector *v, unsigned *counts)
{
	const enum bm_age_armored armored = v->armored ? BM_AGE_ARMORED_YES : BM_AGE_ARMORED_NO;
	struct bm_error whole;
	struct bm_error cut;

	(void)run(v, armored, 0, 1, &whole);
	for (uint64_t seed = 1; seed <= 8; seed++) {
		const size_t max = seed == 1 ? 1 : seed == 2 ? 3 : seed < 6 ? 400 : 70000;
		const char *words;

		if ((v->len > 10000 && max < 400) || (v->len > 1000000 && seed < 8))
			continue;
		words = run(v, armored, max, seed * 7919 + v->len, &cut);
		if (strcmp(words, expected(v)) != 0)
			fail_msg("%s cut: %s, not %s (%s)", v->name, words, expected(v), cut.text);
		assert_string_equal(cut.text, whole.text);
		assert_string_equal(cut.where, whole.where);
	}
	counts[0]++;
}

static void test_cuts(void **state)
{
	unsigned count = 0;

	(void)state;
	each_vector(check_cuts, &count);
	assert_int_equal(count, VECTORS);
}

/* Not told whether there is armor, the answer is the same, but for files that do not begin like armor: those are told
 * to be no age files. */
static void check_auto(const struct vector *v, unsigned *counts)
{
	struct bm_error err;
	const char *words = run(v, BM_AGE_ARMORED_AUTO, v->len > 10000 ? 70000 : 400, 3 + v->len, &err);

	if (strcmp(words, expected(v)) != 0 &&
	    !(v->armored && strcmp(v->expect, "armor failure") == 0 && strcmp(words, "header failure") == 0))
		fail_msg("%s: %s, not %s (%s)", v->name, words, expected(v), err.text);
	if (strcmp(v->expect, "success") == 0)
		assert_int_equal(bm_age_detect(v->file, v->len), v->armored ? BM_AGE_KIND_ARMOR : BM_AGE_KIND_BINARY);
	counts[0]++;
}

static void test_auto(void **state)
{
	unsigned count = 0;

	(void)state;
	each_vector(check_auto, &count);
	assert_int_equal(count, VECTORS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_auto),
	};

	return cmocka_run_group_tests_name("age vectors", tests, NULL, NULL);
}
