/*
 * test_digest.c - digests against published values, against the programs that users will check them with, and against
 * themselves (any cut of the input, reuse, many threads at once).
 *
 * The known answers of "" and "abc" are those of RFC 1321, FIPS 180-4 and 202, RFC 7693, and xxHash's own; all of them,
 * and those of the third message, were made with python's hashlib and zlib and with xxhsum, not with the code under
 * test.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bm_digest.h"
#include "bm_error.h"

#define PATTERN_BYTES 1000
#define HEX_BYTES (2 * BM_DIGEST_MAX_BYTES + 1)

static const struct known {
	const char *name;
	const char *hex[3]; /* of "", "abc", and PATTERN_BYTES of the pattern */
} known[] = {
	{"md5",
         {"d41d8cd98f00b204e9800998ecf8427e", "900150983cd24fb0d6963f7d28e17f72", "bd8e85a3d4b3f5f323ac9d638a076165"}},
	{"sha1",
         {"da39a3ee5e6b4b0d3255bfef95601890afd80709", "a9993e364706816aba3e25717850c26c9cd0d89d",
          "86b0964600edf1170d9130956fd6f77be29a8c7b"}},
	{"sha224",
         {"d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
          "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
          "31cbd9ec520248b2116ae133cefd1fd455b069a1f94b1b90b8f8b113"}},
	{"sha256",
         {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
          "38cd85c44b4b86c5b78d18a9acd6f49de7614cdbf0149069dc868882805f9740"}},
	{"sha384",
         {"38b060a751ac96384cd9327eb1b1e36a21fdb71114be0743"
          "4c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
          "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
          "4cd0edcea6bf55170f383dbe0fb4d961cd935ffd57801a9f"
          "d2a27eea618bd394ddd49af757a2e77d07fc30a0e97f2f65"}},
	{"sha512",
         {"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
          "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
          "cfe6a48622e2f5e1affc7b15326e014872e0a6674d9855a0e2ba3db447b8a7d9"
          "eff55866fb47359db88b9976d576a4cfe5d0438918f605a3c944c051eeb0d13a"}},
	{"sha512-224",
         {"6ed0dd02806fa89e25de060c19d3ac86cabb87d6a0ddd05c333b84f4",
          "4634270f707b6a54daae7530460842e20e37ed265ceee9a43e8924aa",
          "7cc498276cc6a3c85bc41eaaf51ceec5c5e8e97f3a9bfd2c7ced408f"}},
	{"sha512-256",
         {"c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a",
          "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
          "e1a12682f03403e416c31006e59db5cc2bec647663f3c382ff5798bc1361cd6f"}},
	{"sha3-224",
         {"6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7",
          "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
          "a3555cdb434deb911b0b8a98307d58059d9e12e41f4005e681084284"}},
	{"sha3-256",
         {"a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
          "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
          "ae36d24a5145982f33805f105362e9463b47bd0ef42a96de453fa98b10eea860"}},
	{"sha3-384",
         {"0c63a75b845e4f7d01107d852e4c2485c51a50aaaa94fc61"
          "995e71bbee983a2ac3713831264adb47fb6bd1e058d5f004",
          "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c25"
          "96da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
          "54b92e9eb38277a5692766e3e602ca5766c5b4cd813bf846"
          "5118e183303ca0f7d968e8b3aa0371c116e9685e78ed3cc7"}},
	{"sha3-512",
         {"a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a6"
          "15b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26",
          "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
          "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
          "9a6e331e1350394b47b0f12581406f9d971cbdd77bbd5ced983289cea358c064"
          "66bbb4b752c9a846bbd81c93eeeeb6275a7e6931b0780d64125bf69c4d2fdd3b"}},
	{"blake2b",
         {"786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419"
          "d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce",
          "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
          "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
          "561d4ad34fb8881adfb048483aec5588236f9a95c171df728c51f62b33245ce9"
          "45223804689e7597494aa2f9792b9d9c2fe7a000f966635e84041c453a75639f"}},
	{"blake2b-128",
         {"cae66941d9efbd404e4d88758ea67670", "cf4ab791c62b8d2b2109c90275287816", "4dc159a1644041f8f2bf67e2e6981932"}},
	{"blake2b-160",
         {"3345524abf6bbe1809449224b5972c41790b6cf2", "384264f676f39536840523f284921cdc68b6846b",
          "3ecf7a0c155097623fcafd3cabc53141538f32c7"}},
	{"blake2b-256",
         {"0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
          "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
          "79ecb86e8a181ddcc78fc884409b9cc22444cc6aca5f3883de4bbdcff5b8d59a"}},
	{"blake2b-384",
         {"b32811423377f52d7862286ee1a72ee540524380fda1724a6f25d7978c6fd3244a6caf0498812673c5e05ef583825100",
          "6f56a82c8e7ef526dfe182eb5212f7db9df1317e57815dbda46083fc30f54ee6c66ba83be64b302d7cba6ce15bb556f4",
          "03ccabdd04cf12a01822357ee865acdfb262066422c258e51bd7031f67d7f193f1ee78bca70d091c2618f74934826381"}},
	{"blake2s",
         {"69217a3079908094e11121d042354a7c1f55b6482ca1a51e1b250dfd1ed0eef9",
          "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
          "8fe0a7dc5d6c98a7d34287104c6cd8446737cdbda6a7e676228ff2729ed2f9e4"}},
	{"sm3",
         {"1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
          "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
          "0854d15b93cf5fb36200a4944c651716f85df058d674d41c377b7599b5016f08"}},
	{"crc32", {"00000000", "352441c2", "93f5988c"}},
	{"xxh32", {"02cc5d05", "32d153ff", "e247979d"}},
	{"xxh64", {"ef46db3751d8e999", "44bc2cf5ad770999", "8b0aa76231600c40"}},
	{"xxh3", {"2d06800538d394c2", "78af5f94892f3950", "34b8c95aba0c0fa3"}},
	{"xxh128",
         {"99aa06d3014798d86001c324468d497f", "06b05ab6733a618578af5f94892f3950", "ae7a53b820faa2b534b8c95aba0c0fa3"}},
};
#define KNOWN_COUNT (sizeof(known) / sizeof(known[0]))

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 256 + 3);
}

static void fill_pattern(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = pattern(i);
}

static const char *to_hex(const uint8_t *digest, size_t size, char hex[static HEX_BYTES])
{
	for (size_t i = 0; i < size; i++)
		(void)sprintf(hex + 2 * i, "%02x", digest[i]);
	return hex;
}

static struct bm_digest *create(const struct bm_digest_algorithm *a)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_digest *d = NULL;

	if (bm_digest_create(a, &d, &err) != BM_OK)
		fail_msg("%s: %s", a->name, err.text);
	return d;
}

/* reset, update, finish */
static const char *digest_hex(const struct bm_digest_algorithm *a, struct bm_digest *d, const void *data, size_t len,
                              char hex[static HEX_BYTES])
{
	uint8_t digest[BM_DIGEST_MAX_BYTES];

	assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
	assert_int_equal(bm_digest_update(d, data, len, NULL), BM_OK);
	assert_int_equal(bm_digest_finish(d, digest, NULL), BM_OK);
	return to_hex(digest, a->size_bytes, hex);
}

/* ---- first of all, while nothing is fetched yet ---- */

/* From OpenSSL's evp.h, whose directory is not on a test's include path. */
int EVP_default_properties_enable_fips(void *libctx, int enable);
int OPENSSL_init_crypto(uint64_t opts, const void *settings);

/* Where only FIPS algorithms are allowed (and, here, no FIPS provider is loaded): a clear error, in a child. */
static void test_fips(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_digest *d = NULL;
	int status = 0;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)OPENSSL_init_crypto(0x80, NULL); /* OPENSSL_INIT_NO_LOAD_CONFIG */
		if (EVP_default_properties_enable_fips(NULL, 1) != 1)
			_exit(77);
		if (bm_digest_create(bm_digest_find("md5"), &d, &err) != BM_ERR_UNSUPPORTED || d != NULL)
			_exit(1);
		if (strstr(err.text, "md5") == NULL || strstr(err.text, "FIPS") == NULL)
			_exit(2);
		if (bm_digest_create(bm_digest_find("crc32"), &d, NULL) != BM_OK)
			_exit(3);
		bm_digest_destroy(d);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("skipped: this OpenSSL cannot be told to want FIPS\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

struct racer {
	pthread_barrier_t *start;
	bool ok;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	r->ok = true;
	(void)pthread_barrier_wait(r->start);
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(known[i].name);
		uint8_t digest[BM_DIGEST_MAX_BYTES];
		char hex[HEX_BYTES];
		struct bm_digest *d = NULL;

		if (bm_digest_create(a, &d, NULL) != BM_OK || bm_digest_update(d, "abc", 3, NULL) != BM_OK ||
		    bm_digest_finish(d, digest, NULL) != BM_OK ||
		    strcmp(to_hex(digest, a->size_bytes, hex), known[i].hex[1]) != 0)
			r->ok = false;
		bm_digest_destroy(d);
	}
	return NULL;
}

/* The first use of every algorithm, in eight threads at once. */
static void test_first_use_in_threads(void **state)
{
	pthread_t threads[8];
	struct racer racers[8];
	pthread_barrier_t start;

	(void)state;
	assert_int_equal(pthread_barrier_init(&start, NULL, 8), 0);
	for (size_t i = 0; i < 8; i++) {
		racers[i].start = &start;
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(racers[i].ok);
	}
	assert_int_equal(pthread_barrier_destroy(&start), 0);
}

/* ---- the table ---- */

static void test_table(void **state)
{
	size_t count = 0;
	const struct bm_digest_algorithm *a = bm_digest_algorithms(&count);

	(void)state;
	assert_int_equal(count, KNOWN_COUNT);
	assert_ptr_equal(a, bm_digest_algorithms(NULL));
	assert_null(a[count].name);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(a[i].name, known[i].name); /* and in this order */
		assert_int_equal(2 * a[i].size_bytes, strlen(known[i].hex[0]));
		assert_int_equal(a[i].combinable, strcmp(a[i].name, "crc32") == 0);
		assert_ptr_equal(bm_digest_find(a[i].name), &a[i]);
		assert_ptr_equal(bm_digest_find(a[i].bsd_name), &a[i]);
	}
}

static void test_find(void **state)
{
	static const char *const pairs[][2] = {
		{"SHA256", "sha256"},
		{"sha-256", "sha256"},
		{"SHA2-256", "sha256"},
		{"Sha-1", "sha1"},
		{"MD-5", "md5"},
		{"SHA512-256", "sha512-256"},
		{"SHA512/256", "sha512-256"},
		{"sha512t256", "sha512-256"},
		{"SHA2-512/256", "sha512-256"},
		{"SHA-512/256", "sha512-256"},
		{"BLAKE2B-512", "blake2b"},
		{"BLAKE2b-256", "blake2b-256"},
		{"blake2b-504", "blake2b-504"},
		{"sha512-224", "sha512-224"},
		{"XXH32", "xxh32"},
		{"BLAKE2s", "blake2s"},
		{"BLAKE2S-256", "blake2s"},
		{"CRC-32", "crc32"},
		{"XXH3", "xxh3"},
		{"XXH128", "xxh128"},
		{"SHA3-512", "sha3-512"},
	};
	static const char *const unknown[] = {"",           "sha",         "sha25",  "sha2567",   "sha 256", " sha256",
	                                      "blake2b-12", "blake2b-520", "blake3", "blake2b-0", "crc32c",  "sha3"};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(pairs[i][0]);

		if (a == NULL || strcmp(a->name, pairs[i][1]) != 0)
			fail_msg("%s gives %s", pairs[i][0], a != NULL ? a->name : "nothing");
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (bm_digest_find(unknown[i]) != NULL)
			fail_msg("\"%s\" is found", unknown[i]);
	assert_null(bm_digest_find(NULL));
	assert_int_equal(bm_digest_index(bm_digest_find("sha1")), 1);
	assert_int_equal(bm_digest_index(bm_digest_find("blake2b-504")), -1);
	assert_int_equal(bm_digest_index(NULL), -1);
}

/* Each length is a function of its own, listed or not, and the longest one is OpenSSL's. */
static void test_blake2b(void **state)
{
	uint8_t data[PATTERN_BYTES];
	char hex[HEX_BYTES];

	(void)state;
	fill_pattern(data, sizeof(data));
	assert_null(bm_digest_blake2b(0));
	assert_null(bm_digest_blake2b(65));
	assert_ptr_equal(bm_digest_blake2b(64), bm_digest_find("blake2b"));
	for (size_t bytes = 1; bytes <= 64; bytes++) {
		const struct bm_digest_algorithm *a = bm_digest_blake2b(bytes);
		struct bm_digest *d = create(a);

		assert_int_equal(a->size_bytes, bytes);
		assert_ptr_equal(bm_digest_find(a->name), a);
		assert_ptr_equal(bm_digest_find(a->bsd_name), a);
		if (bytes == 1) /* b2sum -l 8 */
			assert_string_equal(digest_hex(a, d, data, sizeof(data), hex), "33");
		if (bytes == 63) /* b2sum -l 504 */
			assert_string_equal(
				digest_hex(a, d, data, sizeof(data), hex),
				"c0d3c30db9df101ea86a7c51452b646af424b249359273a49a543207c66d8e6132d47d3d3ff6aafabb2a4e41fb572797bb3f36d48221ba026e5791abf33ea3");
		bm_digest_destroy(d);
	}
}

/* ---- values ---- */

static void test_known_answers(void **state)
{
	uint8_t data[PATTERN_BYTES];
	char hex[HEX_BYTES];

	(void)state;
	fill_pattern(data, sizeof(data));
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(known[i].name);
		struct bm_digest *d = create(a);

		assert_string_equal(digest_hex(a, d, NULL, 0, hex), known[i].hex[0]);
		assert_string_equal(digest_hex(a, d, "abc", 3, hex), known[i].hex[1]);
		assert_string_equal(digest_hex(a, d, data, sizeof(data), hex), known[i].hex[2]);
		bm_digest_destroy(d);
	}
}

/* However the input is cut, the digest is the same; a state is ready after creation, and after a reset in mid-way. */
static void test_cuts_and_reuse(void **state)
{
	uint8_t data[PATTERN_BYTES];
	uint8_t digest[BM_DIGEST_MAX_BYTES];
	char hex[HEX_BYTES];

	(void)state;
	fill_pattern(data, sizeof(data));
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(known[i].name);
		struct bm_digest *d = create(a);

		for (size_t cut = 0; cut <= sizeof(data); cut++) {
			if (cut > 0) {
				assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
				assert_int_equal(bm_digest_update(d, "rubbish", cut % 8, NULL), BM_OK);
				assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
			}
			assert_int_equal(bm_digest_update(d, data, cut, NULL), BM_OK);
			assert_int_equal(bm_digest_update(d, NULL, 0, NULL), BM_OK);
			assert_int_equal(bm_digest_update(d, data + cut, sizeof(data) - cut, NULL), BM_OK);
			assert_int_equal(bm_digest_finish(d, digest, NULL), BM_OK);
			assert_string_equal(to_hex(digest, a->size_bytes, hex), known[i].hex[2]);
		}
		assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
		for (size_t k = 0; k < sizeof(data); k++)
			assert_int_equal(bm_digest_update(d, data + k, 1, NULL), BM_OK);
		assert_int_equal(bm_digest_finish(d, digest, NULL), BM_OK);
		assert_string_equal(to_hex(digest, a->size_bytes, hex), known[i].hex[2]);
		bm_digest_destroy(d);
	}
	bm_digest_destroy(NULL);
}

static void test_finished_wants_reset(void **state)
{
	uint8_t digest[BM_DIGEST_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		struct bm_digest *d = create(bm_digest_find(known[i].name));
		struct bm_error err = BM_ERROR_INIT;

		assert_int_equal(bm_digest_finish(d, digest, &err), BM_OK);
		assert_int_equal(bm_digest_update(d, "x", 1, &err), BM_ERR_USAGE);
		assert_int_equal(err.status, BM_ERR_USAGE);
		assert_int_equal(bm_digest_finish(d, digest, NULL), BM_ERR_USAGE);
		assert_int_equal(bm_digest_reset(d, NULL), BM_OK);
		assert_int_equal(bm_digest_update(d, "x", 1, NULL), BM_OK);
		bm_digest_destroy(d); /* in mid-way */
	}
}

/* finish writes size_bytes bytes and no more. */
static void test_size_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		const struct bm_digest_algorithm *a = bm_digest_find(known[i].name);
		struct bm_digest *d = create(a);
		uint8_t digest[BM_DIGEST_MAX_BYTES];

		memset(digest, 0xa5, sizeof(digest));
		assert_int_equal(bm_digest_finish(d, digest, NULL), BM_OK);
		for (size_t k = a->size_bytes; k < sizeof(digest); k++)
			assert_int_equal(digest[k], 0xa5);
		bm_digest_destroy(d);
	}
}

/* ---- crc32 ---- */

static void test_crc32_combine(void **state)
{
	uint8_t data[PATTERN_BYTES];
	const uint32_t whole = 0x00000000u + (uint32_t)strtoul(known[19].hex[2], NULL, 16);
	const uint64_t period = 0xffffffffu;
	const uint32_t a = 0xcbf43926u;
	const uint32_t b = 0x352441c2u;

	(void)state;
	assert_string_equal(known[19].name, "crc32");
	fill_pattern(data, sizeof(data));
	assert_int_equal(bm_crc32(0, "123456789", 9), 0xcbf43926); /* the catalogue's check value */
	assert_int_equal(bm_crc32(0x1234, NULL, 0), 0x1234);
	for (size_t cut = 0; cut <= sizeof(data); cut++) {
		const uint32_t head = bm_crc32(0, data, cut);
		const uint32_t tail = bm_crc32(0, data + cut, sizeof(data) - cut);

		assert_int_equal(bm_crc32_combine(head, tail, sizeof(data) - cut), whole);
		assert_int_equal(bm_crc32(head, data + cut, sizeof(data) - cut), whole);
	}
	/* The polynomial is primitive: shifting by n bytes depends on n modulo 2^32 - 1 only. That is a check of
	 * lengths that no test can hash, those beyond zlib's signed type among them. */
	assert_int_equal(bm_crc32_combine(a, b, period), bm_crc32_combine(a, b, 0));
	assert_int_equal(bm_crc32_combine(a, b, UINT64_MAX), bm_crc32_combine(a, b, 0));
	assert_int_equal(bm_crc32_combine(a, b, UINT64_MAX - 1000), bm_crc32_combine(a, b, period - 1000));
	assert_int_equal(bm_crc32_combine(a, b, (uint64_t)1 << 63),
	                 bm_crc32_combine(a, b, ((uint64_t)1 << 63) % period));
	assert_int_equal(bm_crc32_combine(a, b, INT64_MAX), bm_crc32_combine(a, b, INT64_MAX % period));
	assert_int_equal(bm_crc32_combine(a, b, 5000000000u), bm_crc32_combine(a, b, 5000000000u % period));
	assert_int_not_equal(bm_crc32_combine(a, b, 1), bm_crc32_combine(a, b, 2));
}

/* ---- against the real programs ---- */

static const size_t file_sizes[] = {0,   1,   3,   55,  56,  57,  63,  64,  65,  111,  112,  127,   128,   129,
                                    135, 136, 137, 143, 144, 239, 240, 241, 255, 1000, 1024, 65536, 100003};
#define FILE_COUNT (sizeof(file_sizes) / sizeof(file_sizes[0]))
static char directory[64];

struct program {
	const char *name;
	const char *needs;
	const char *print; /* prints a line a file, in the order given, with the digest as a word of it */
	const char *check; /* checks the BSD lines in the file given; NULL: no program does */
	const char *check_needs;
};

static struct program programs[] = {
	{"md5", "md5sum", "md5sum", "md5sum --strict -c", "md5sum"},
	{"sha1", "sha1sum", "sha1sum", "sha1sum --strict -c", "sha1sum"},
	{"sha224", "sha224sum", "sha224sum", "sha224sum --strict -c", "sha224sum"},
	{"sha256", "sha256sum", "sha256sum", "cksum --strict -c", "cksum"},
	{"sha384", "sha384sum", "sha384sum", "sha384sum --strict -c", "sha384sum"},
	{"sha512", "sha512sum", "sha512sum", "cksum --strict -c", "cksum"},
	{"sha512-224", "openssl", "openssl dgst -r -sha512-224", "shasum --strict -c", "shasum"},
	{"sha512-256", "openssl", "openssl dgst -r -sha512-256", "shasum --strict -c", "shasum"},
	{"sha3-224", "openssl", "openssl dgst -r -sha3-224", "rhash -c", "rhash"},
	{"sha3-256", "openssl", "openssl dgst -r -sha3-256", "rhash -c", "rhash"},
	{"sha3-384", "openssl", "openssl dgst -r -sha3-384", "rhash -c", "rhash"},
	{"sha3-512", "openssl", "openssl dgst -r -sha3-512", "rhash -c", "rhash"},
	{"blake2b", "b2sum", "b2sum", "b2sum --strict -c", "b2sum"},
	{"blake2b-128", "b2sum", "b2sum -l 128", "b2sum --strict -c", "b2sum"},
	{"blake2b-160", "b2sum", "b2sum -l 160", "b2sum --strict -c", "b2sum"},
	{"blake2b-256", "b2sum", "b2sum -l 256", "b2sum --strict -c", "b2sum"},
	{"blake2b-384", "b2sum", "b2sum -l 384", "b2sum --strict -c", "b2sum"},
	{"blake2s", "openssl", "openssl dgst -r -blake2s256", "rhash -c", "rhash"},
	{"sm3", "openssl", "openssl dgst -r -sm3", "cksum --strict -c", "cksum"},
	{"crc32", "python3",
         "python3 -c 'import sys,zlib\nfor n in sys.argv[1:]: print(\"%08x\" % zlib.crc32(open(n, \"rb\").read()))'",
         "rhash -c", "rhash"},
	{"xxh32", "xxhsum", "xxhsum -q -H0", "xxhsum --strict -c", "xxhsum"},
	{"xxh64", "xxhsum", "xxhsum -q -H1", "xxhsum --strict -c", "xxhsum"},
	{"xxh3", "xxhsum", "xxhsum -q -H3", "xxhsum --strict -c", "xxhsum"},
	{"xxh128", "xxhsum", "xxhsum -q -H2", "xxhsum --strict -c", "xxhsum"},
};
#define PROGRAM_COUNT (sizeof(programs) / sizeof(programs[0]))

static bool have_program(const char *name)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	if (system(command) == 0)
		return true;
	print_message("skipped: %s is not installed\n", name);
	return false;
}

static int make_files(void **state)
{
	const char *tmp = getenv("TMPDIR");
	uint8_t *data = malloc(file_sizes[FILE_COUNT - 1]);

	(void)state;
	(void)snprintf(directory, sizeof(directory), "%.40s/bm-digest-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (data == NULL || mkdtemp(directory) == NULL)
		return -1;
	for (size_t i = 0; i < FILE_COUNT; i++) {
		char path[128];
		FILE *f;

		fill_pattern(data, file_sizes[i]);
		(void)snprintf(path, sizeof(path), "%s/f%02zu", directory, i);
		f = fopen(path, "wb");
		if (f == NULL || fwrite(data, 1, file_sizes[i], f) != file_sizes[i] || fclose(f) != 0)
			return -1;
	}
	free(data);
	return 0;
}

static int remove_files(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command) == 0 ? 0 : -1;
}

/* Is hex one of the words of line? */
static bool has_word(char *line, const char *hex)
{
	char *rest = NULL;

	for (char *word = strtok_r(line, " \t\n", &rest); word != NULL; word = strtok_r(NULL, " \t\n", &rest))
		if (strcmp(word, hex) == 0)
			return true;
	return false;
}

static void file_hex(const struct bm_digest_algorithm *a, size_t i, char hex[static HEX_BYTES])
{
	uint8_t *data = malloc(file_sizes[i] + 1);
	struct bm_digest *d = create(a);

	assert_non_null(data);
	fill_pattern(data, file_sizes[i]);
	(void)digest_hex(a, d, data, file_sizes[i], hex);
	bm_digest_destroy(d);
	free(data);
}

static void test_program_prints_the_same(void **state)
{
	const struct program *p = *state;
	const struct bm_digest_algorithm *a = bm_digest_find(p->name);
	char command[512];
	char line[1024];
	char hex[HEX_BYTES];
	FILE *pipe;

	if (!have_program(p->needs))
		skip();
	(void)snprintf(command, sizeof(command), "cd '%s' && LC_ALL=C %s f*", directory, p->print);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	for (size_t i = 0; i < FILE_COUNT; i++) {
		file_hex(a, i, hex);
		if (fgets(line, sizeof(line), pipe) == NULL)
			fail_msg("%s: no line for file %zu", p->print, i);
		if (!has_word(line, hex))
			fail_msg("%s of %zu bytes: we say %s, %s says %s", p->name, file_sizes[i], hex, p->print, line);
	}
	assert_int_equal(pclose(pipe), 0);
}

static void test_program_checks_bsd_lines(void **state)
{
	const struct program *p = *state;
	const struct bm_digest_algorithm *a = bm_digest_find(p->name);
	char path[128];
	char command[512];
	char hex[HEX_BYTES];
	FILE *f;

	if (!have_program(p->check_needs))
		skip();
	(void)snprintf(path, sizeof(path), "%s/SUMS", directory);
	for (size_t wrong = 0; wrong < 2; wrong++) { /* the second time one digit is wrong, and that must be noticed */
		f = fopen(path, "wb");
		assert_non_null(f);
		for (size_t i = 0; i < FILE_COUNT; i++) {
			file_hex(a, i, hex);
			if (wrong == 1 && i == FILE_COUNT / 2)
				hex[0] = hex[0] == '0' ? '1' : '0';
			assert_true(fprintf(f, "%s (f%02zu) = %s\n", a->bsd_name, i, hex) > 0);
		}
		assert_int_equal(fclose(f), 0);
		(void)snprintf(command, sizeof(command), "cd '%s' && LC_ALL=C %s SUMS >out 2>&1", directory, p->check);
		if ((system(command) == 0) != (wrong == 0))
			fail_msg("%s: %s %s %s", p->name, p->check, wrong == 0 ? "does not accept" : "accepts wrong",
			         path);
	}
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	static const struct CMUnitTest own[] = {
		cmocka_unit_test(test_fips),           cmocka_unit_test(test_first_use_in_threads),
		cmocka_unit_test(test_table),          cmocka_unit_test(test_find),
		cmocka_unit_test(test_blake2b),        cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_cuts_and_reuse), cmocka_unit_test(test_finished_wants_reset),
		cmocka_unit_test(test_size_written),   cmocka_unit_test(test_crc32_combine),
	};
	struct CMUnitTest others[2 * PROGRAM_COUNT];
	char names[2 * PROGRAM_COUNT][48];
	int failed;

	for (size_t i = 0; i < 2 * PROGRAM_COUNT; i++) {
		struct program *p = &programs[i / 2];

		(void)snprintf(names[i], sizeof(names[i]), "%s, %s %s", p->name,
		               i % 2 == 0 ? "printed by" : "checked by", i % 2 == 0 ? p->needs : p->check_needs);
		others[i] = (struct CMUnitTest){
			names[i], i % 2 == 0 ? test_program_prints_the_same : test_program_checks_bsd_lines, NULL, NULL,
			p};
	}
	failed = cmocka_run_group_tests_name("digest", own, NULL, NULL);
	failed += cmocka_run_group_tests_name("digest against programs", others, make_files, remove_files);
	return failed == 0 ? 0 : 1;
}
