/* test_age_keys.c - recipients, identities, pairs, passphrases and the files that they come from; what is said of bad
 * ones, and that no message shows a secret. Linked so that allocations can be made to fail. */
#include "age_testing.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "age_private.h"
#include "fail_alloc.h"

/* From the format's specification. */
#define SPEC_IDENTITY "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define SPEC_RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

static void test_bech32(void **state)
{
	uint8_t secret[32];
	uint8_t back[32];
	char text[128];

	(void)state;
	memset(secret, 0x42, sizeof(secret));
	assert_true(bech32_encode("AGE-SECRET-KEY-", secret, 32, text, sizeof(text)));
	assert_string_equal(text, SPEC_IDENTITY);
	assert_true(bech32_decode(text, strlen(text), "AGE-SECRET-KEY-", back, 32));
	assert_memory_equal(back, secret, 32);
	assert_false(bech32_decode(text, strlen(text), "AGE-SECRET-KEY-", back, 31));
	assert_false(bech32_decode(text, strlen(text), "AGE-SECRET-KE", back, 32));
	assert_false(bech32_decode(text, strlen(text) - 1, "AGE-SECRET-KEY-", back, 32));
	assert_true(bech32_encode("AGE-SECRET-KEY-", secret, 32, text, 75));
	assert_false(bech32_encode("AGE-SECRET-KEY-", secret, 32, text, 74));
	/* BIP 173's own: no data at all, and data whose last value has no bits left over. */
	assert_true(bech32_encode("a", secret, 0, text, sizeof(text)));
	assert_string_equal(text, "a12uel5l");
	assert_true(bech32_decode("a12uel5l", 8, "a", back, 0));
	assert_false(bech32_decode("A12UEL5L", 8, "a", back, 0));
	assert_true(bech32_decode("A12UEL5L", 8, "A", back, 0));
	for (size_t len = 0; len <= 32; len++) {
		assert_true(bech32_encode("x", secret, len, text, sizeof(text)));
		assert_true(bech32_decode(text, strlen(text), "x", back, len));
		assert_memory_equal(back, secret, len);
	}
}

/* Every change of one character is found; so is every bit left over that is not 0. */
static void test_bech32_damage(void **state)
{
	const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l1bio\nA";
	const char good[] = SPEC_RECIPIENT;
	uint8_t back[32];
	unsigned taken = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		for (const char *c = charset; *c != '\0'; c++) {
			char bad[sizeof(good)];

			memcpy(bad, good, sizeof(good));
			bad[i] = *c;
			if (*c != good[i] && bech32_decode(bad, sizeof(bad) - 1, "age", back, 32))
				taken++;
		}
	}
	assert_int_equal(taken, 0);
}

static void test_base64(void **state)
{
	uint8_t data[48];
	uint8_t back[48];
	char text[80];
	size_t len;

	(void)state;
	for (unsigned i = 0; i < 48; i++)
		data[i] = (uint8_t)(i * 37 + 5);
	for (size_t n = 0; n <= 48; n++) {
		age_base64_encode(data, n, text);
		assert_int_equal(strlen(text), AGE_BASE64_CHARS(n));
		assert_true(age_base64_decode(text, strlen(text), back, &len));
		assert_int_equal(len, n);
		assert_memory_equal(back, data, n);
	}
	assert_true(age_base64_decode("/+8", 3, back, &len));
	assert_false(age_base64_decode("/+9", 3, back, &len)); /* not canonical */
	assert_false(age_base64_decode("AB", 2, back, &len));
	assert_true(age_base64_decode("AA", 2, back, &len));
	assert_false(age_base64_decode("A", 1, back, &len));
	assert_false(age_base64_decode("AA==", 4, back, &len));
	assert_false(age_base64_decode("AA\n\n", 4, back, &len));
	assert_false(age_base64_decode("AA-_", 4, back, &len));
	assert_false(age_base64_decode("AAA\xff", 4, back, &len));
}

static void test_pair_of_the_specification(void **state)
{
	struct bm_age_identities *ids = new_identities();
	struct bm_age_recipients *r = new_recipients();
	struct bm_buf file = {0};
	struct bm_buf plain = {0};
	struct bm_age_decoder *d = new_decoder(ids);
	struct bm_error err;

	(void)state;
	assert_int_equal(bm_age_identities_add(ids, SPEC_IDENTITY, strlen(SPEC_IDENTITY), NULL), BM_OK);
	assert_int_equal(bm_age_recipients_add(r, SPEC_RECIPIENT, strlen(SPEC_RECIPIENT), NULL), BM_OK);
	assert_int_equal(bm_age_identities_count(ids), 1);
	assert_int_equal(bm_age_recipients_count(r), 1);
	put_file(&file, r, (const uint8_t *)"hello", 5, 1);
	assert_int_equal(decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 0, 1, &plain, &err), BM_OK);
	assert_int_equal(plain.len, 5);
	assert_memory_equal(plain.data, "hello", 5);
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	bm_age_recipients_destroy(r);
	bm_buf_fini(&file);
	bm_buf_fini(&plain);
}

static void test_keygen(void **state)
{
	struct bm_age_keypair a;
	struct bm_age_keypair b;
	char text[BM_AGE_KEYPAIR_TEXT_BYTES];
	char expected[BM_AGE_KEYPAIR_TEXT_BYTES];
	char recipient[BM_AGE_RECIPIENT_TEXT_BYTES];
	struct bm_age_identities *ids = new_identities();
	const struct bm_age_keypair wiped = {0};
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_age_keygen(&a, &err), BM_OK);
	assert_int_equal(bm_age_keygen(&b, &err), BM_OK);
	assert_int_equal(strlen(a.identity), 74);
	assert_int_equal(strlen(a.recipient), 62);
	assert_string_not_equal(a.identity, b.identity);
	assert_int_equal(setenv("TZ", "UTC0", 1), 0);
	tzset();
	(void)snprintf(expected, sizeof(expected), "# created: 2024-02-29T12:34:56Z\n# public key: %s\n%s\n",
	               a.recipient, a.identity);
	assert_int_equal(bm_age_keypair_text(&a, 1709210096, text), strlen(expected));
	assert_string_equal(text, expected);
	assert_int_equal(setenv("TZ", "XXX3:30", 1), 0);
	tzset();
	(void)bm_age_keypair_text(&a, 1709210096, text);
	assert_memory_equal(text, "# created: 2024-02-29T09:04:56-03:30\n", 37);
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
	/* An identity file is what is printed. */
	assert_int_equal(bm_age_identities_add_text(ids, text, strlen(text), "key.txt", &err), BM_OK);
	assert_int_equal(bm_age_identities_add_passphrase(ids, "x", 1, NULL), BM_OK);
	assert_int_equal(bm_age_identities_add(ids, b.identity, strlen(b.identity), &err), BM_OK);
	assert_int_equal(bm_age_identities_count(ids), 3);
	assert_int_equal(bm_age_identities_keys(ids), 2);
	assert_int_equal(bm_age_identities_recipient(ids, 0, recipient, &err), BM_OK);
	assert_string_equal(recipient, a.recipient);
	assert_int_equal(bm_age_identities_recipient(ids, 1, recipient, &err), BM_OK);
	assert_string_equal(recipient, b.recipient);
	assert_int_equal(bm_age_identities_recipient(ids, 2, recipient, NULL), BM_ERR_USAGE);
	bm_age_keypair_wipe(&a);
	assert_memory_equal(&a, &wiped, sizeof(a));
	bm_age_identities_destroy(ids);
}

static void test_recipient_lines(void **state)
{
	static const struct {
		const char *text;
		enum bm_status status;
		const char *where;
		const char *part; /* of the message */
		size_t count;
	} cases[] = {
		{SPEC_RECIPIENT, BM_OK, "", "", 1},
		{"# team\n\n  " SPEC_RECIPIENT " \t\r\n\r\n" SPEC_RECIPIENT "\n", BM_OK, "", "", 2},
		{"", BM_ERR_USAGE, "list", "no recipient", 0},
		{"# nobody\n", BM_ERR_USAGE, "list", "no recipient", 0},
		{"#\n" SPEC_RECIPIENT "\nage1junk\n", BM_ERR_USAGE, "list:3", "age1junk", 1},
		{SPEC_RECIPIENT " x\n", BM_ERR_USAGE, "list:1", "not an age recipient", 0},
		{"AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ", BM_ERR_USAGE, "list:1", "", 0},
		{"\n" SPEC_IDENTITY "\n", BM_ERR_USAGE, "list:2", "secret key stands", 0},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI user\n", BM_ERR_UNSUPPORTED, "list:1", "SSH", 0},
		{"age1pq1qqqq\n", BM_ERR_UNSUPPORTED, "list:1", "hybrid", 0},
		{"age1tag1qt8lw0ual6avlwmwatk888yqnmdamm7xfd0wak53ut6elz5c4swx2yqdj4e", BM_ERR_UNSUPPORTED, "list:1",
	         "hardware", 0},
		{"age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt\n", BM_ERR_UNSUPPORTED,
	         "list:1", "plugin", 0},
		{"\x1b[2J\x01\n", BM_ERR_USAGE, "list:1", "\\x1b[2J\\x01", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_age_recipients *r = new_recipients();
		struct bm_error err = BM_ERROR_INIT;
		char *text = exact_copy(cases[i].text, strlen(cases[i].text));
		const enum bm_status status = bm_age_recipients_add_text(r, text, strlen(cases[i].text), "list", &err);

		if (status != cases[i].status || strcmp(err.where, cases[i].where) != 0 ||
		    strstr(err.text, cases[i].part) == NULL || bm_age_recipients_count(r) != cases[i].count)
			fail_msg("case %zu: %d, %s: %s", i, (int)status, err.where, err.text);
		assert_null(strstr(err.text, "GFPYYSJZ"));
		bm_age_recipients_destroy(r);
		free(text);
	}
}

static void test_identity_lines(void **state)
{
	static const struct {
		const char *text;
		enum bm_status status;
		const char *where;
		const char *part;
		size_t count;
	} cases[] = {
		{"# created: now\n# public key: " SPEC_RECIPIENT "\n" SPEC_IDENTITY "\n", BM_OK, "", "", 1},
		{SPEC_IDENTITY "\r\n" SPEC_IDENTITY, BM_OK, "", "", 2},
		{" \n", BM_ERR_USAGE, "", "no identity", 0},
		{"\nAGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEY\n", BM_ERR_USAGE,
	         "line 2", "not an age identity", 0},
		{"age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex", BM_ERR_USAGE, "line 1",
	         "", 0},
		{SPEC_RECIPIENT "\n", BM_ERR_USAGE, "line 1", "public key", 0},
		{"AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR", BM_ERR_UNSUPPORTED,
	         "line 1", "hybrid", 0},
		{"AGE-PLUGIN-YUBIKEY-1QQQQ", BM_ERR_UNSUPPORTED, "line 1", "plugin", 0},
		{"-----BEGIN OPENSSH PRIVATE KEY-----\nAAA\n", BM_ERR_UNSUPPORTED, "line 1", "SSH", 0},
		{"-----BEGIN AGE ENCRYPTED FILE-----\n", BM_ERR_UNSUPPORTED, "line 1", "itself encrypted", 0},
		{"age-encryption.org/v1\n-> scrypt", BM_ERR_UNSUPPORTED, "line 1", "itself encrypted", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_age_identities *ids = new_identities();
		struct bm_error err = BM_ERROR_INIT;
		char *text = exact_copy(cases[i].text, strlen(cases[i].text));
		const enum bm_status status = bm_age_identities_add_text(ids, text, strlen(cases[i].text), NULL, &err);

		if (status != cases[i].status || strcmp(err.where, cases[i].where) != 0 ||
		    strstr(err.text, cases[i].part) == NULL || bm_age_identities_count(ids) != cases[i].count)
			fail_msg("case %zu: %d, %s: %s", i, (int)status, err.where, err.text);
		assert_null(strstr(err.text, "GFPYYSJZ"));
		assert_null(strstr(err.text, "gfpyysjz"));
		bm_age_identities_destroy(ids);
		free(text);
	}
}

/* The points with which every exchange gives zero: what is encrypted for them is encrypted for all. */
static void test_low_order_recipients(void **state)
{
	static const uint8_t points[][32] = {
		{0},
		{1},
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
	         0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
		{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	};
	struct bm_age_recipients *r = new_recipients();

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct bm_error err = BM_ERROR_INIT;
		char text[80];

		assert_true(bech32_encode("age", points[i], 32, text, sizeof(text)));
		assert_int_equal(bm_age_recipients_add(r, text, strlen(text), &err), BM_ERR_USAGE);
		assert_non_null(strstr(err.text, "low order"));
	}
	assert_int_equal(bm_age_recipients_count(r), 0);
	bm_age_recipients_destroy(r);
}

static void test_passphrase_text(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *pass; /* NULL: refused */
	} cases[] = {
		{"secret\n", 7, "secret"},
		{"secret", 6, "secret"},
		{"secret\r\n", 8, "secret"},
		{" two words ", 11, " two words "},
		{"\xff\n", 2, "\xff"},
		{"", 0, NULL},
		{"\n", 1, NULL},
		{"\r\n", 2, NULL},
		{"a\nb\n", 4, NULL},
		{"a\n\n", 3, NULL},
		{"a\0b", 3, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bm_error err = BM_ERROR_INIT;
		char *text = exact_copy(cases[i].text, cases[i].len);
		const char *pass;
		size_t len;
		const enum bm_status status = bm_age_passphrase_from_text(text, cases[i].len, "p\n", &pass, &len, &err);

		if (cases[i].pass == NULL) {
			assert_int_equal(status, BM_ERR_USAGE);
			assert_string_equal(err.where, "p\\n");
		} else {
			assert_int_equal(status, BM_OK);
			assert_int_equal(len, strlen(cases[i].pass));
			assert_memory_equal(pass, cases[i].pass, len);
		}
		free(text);
	}
}

static void put(const char *path, const void *data, size_t len, mode_t mode)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void *write_fifo(void *path)
{
	const int fd = open(path, O_WRONLY | O_CLOEXEC);

	int left = 1;

	/* In pieces, as a program would: the second when the first was taken out. */
	if (fd < 0 || write(fd, "from a ", 7) != 7)
		return NULL;
	while (left > 0) {
		struct pollfd p = {.fd = fd}; /* an event: nobody reads any more */

		if (ioctl(fd, FIONREAD, &left) != 0 || poll(&p, 1, 0) != 0)
			return NULL;
	}
	if (write(fd, "pipe\n", 5) != 5)
		return NULL;
	(void)close(fd);
	return path;
}

static void test_secret_files(void **state)
{
	static const mode_t bad[] = {0644, 0640, 0604, 0620, 0602, 0610, 0777};
	char directory[] = "/tmp/bm-age-XXXXXX";
	char path[64];
	char link[64];
	char descriptor[64];
	struct bm_age_secret s;
	struct bm_error err = BM_ERROR_INIT;
	char *large = calloc(1, BM_AGE_SECRET_FILE_MAX_BYTES + 1);
	pthread_t writer;
	void *written = NULL;
	int fd;

	(void)state;
	assert_non_null(large);
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/key", directory);
	(void)snprintf(link, sizeof(link), "%s/link", directory);
	put(path, "secret\n", 7, 0600);
	assert_int_equal(bm_age_read_secret_file(path, &s, &err), BM_OK);
	assert_int_equal(s.len, 7);
	assert_string_equal(s.data, "secret\n");
	bm_age_secret_fini(&s);
	assert_null(s.data);
	put(path, "", 0, 0400);
	assert_int_equal(bm_age_read_secret_file(path, &s, &err), BM_OK);
	assert_int_equal(s.len, 0);
	bm_age_secret_fini(&s);
	assert_int_equal(unlink(path), 0);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(path, "secret\n", 7, bad[i]);
		err = (struct bm_error)BM_ERROR_INIT;
		assert_int_equal(bm_age_read_secret_file(path, &s, &err), BM_ERR_USAGE);
		assert_null(s.data);
		assert_non_null(strstr(err.text, "chmod 600"));
		assert_string_equal(err.where, path);
	}
	/* A link changes nothing; a descriptor of the caller's does. */
	assert_int_equal(symlink("key", link), 0);
	assert_int_equal(bm_age_read_secret_file(link, &s, NULL), BM_ERR_USAGE);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)snprintf(descriptor, sizeof(descriptor), "/dev/fd/%d", fd);
	assert_int_equal(bm_age_read_secret_file(descriptor, &s, NULL), BM_OK);
	assert_string_equal(s.data, "secret\n");
	bm_age_secret_fini(&s);
	assert_int_equal(close(fd), 0);

	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_age_read_secret_file(directory, &s, &err), BM_ERR_USAGE);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bm_age_read_secret_file(path, &s, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);

	put(path, large, BM_AGE_SECRET_FILE_MAX_BYTES, 0600);
	assert_int_equal(bm_age_read_secret_file(path, &s, NULL), BM_OK);
	assert_int_equal(s.len, BM_AGE_SECRET_FILE_MAX_BYTES);
	bm_age_secret_fini(&s);
	put(path, large, BM_AGE_SECRET_FILE_MAX_BYTES + 1, 0600);
	assert_int_equal(bm_age_read_secret_file(path, &s, NULL), BM_ERR_LIMIT);
	assert_int_equal(bm_age_read_secret_file("/dev/zero", &s, NULL), BM_ERR_LIMIT);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkfifo(path, 0666), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_fifo, path), 0);
	assert_int_equal(bm_age_read_secret_file(path, &s, NULL), BM_OK);
	assert_int_equal(pthread_join(writer, &written), 0);
	assert_non_null(written);
	assert_string_equal(s.data, "from a pipe\n");
	bm_age_secret_fini(&s);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(directory), 0);
	free(large);
}

/* Headers made and read by several threads with the same lists. */
static void *make_and_read(void *arg)
{
	const struct pair *p = arg;
	struct bm_age_header *h = NULL;
	struct bm_buf b = {0};
	bool good = bm_age_header_create(&h, NULL) == BM_OK;

	for (unsigned i = 0; i < 50 && good; i++) {
		struct bm_age_key made;
		struct bm_age_key found;
		size_t used;

		bm_buf_reset(&b);
		bm_age_header_reset(h);
		good = bm_age_header_make(p->recipients, &b, &made, NULL) == BM_OK &&
		       bm_age_header_feed(h, b.data, b.len, true, &used, NULL) == BM_OK &&
		       bm_age_header_unwrap(h, p->identities, &found, NULL, NULL) == BM_OK &&
		       memcmp(&made, &found, sizeof(made)) == 0;
	}
	bm_age_header_destroy(h);
	bm_buf_fini(&b);
	return good ? arg : NULL;
}

static void test_lists_are_shared(void **state)
{
	struct pair p = new_pair();
	pthread_t threads[4];
	void *good;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_and_read, &p), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_non_null(good);
	}
	free_pair(&p);
}

/* Everything once over, with err; BM_OK or the first failure. */
static enum bm_status everything(struct bm_error *err)
{
	struct bm_age_recipients *r = NULL;
	struct bm_age_identities *ids = NULL;
	struct bm_age_decoder *d = NULL;
	struct bm_age_keypair pair;
	struct bm_age_key key = {{0}};
	struct bm_buf header = {0};
	struct bm_age_result res;
	enum bm_status status = bm_age_recipients_create(&r, err);
	uint8_t out[16];

	if (status == BM_OK)
		status = bm_age_identities_create(&ids, err);
	for (unsigned i = 0; i < 6 && status == BM_OK; i++) {
		status = bm_age_keygen(&pair, err);
		if (status == BM_OK)
			status = bm_age_recipients_add_text(r, pair.recipient, strlen(pair.recipient), "list", err);
		if (status == BM_OK)
			status = bm_age_identities_add_text(ids, pair.identity, strlen(pair.identity), "key", err);
	}
	if (status == BM_OK)
		status = bm_age_identities_add_passphrase(ids, "pass", 4, err);
	if (status == BM_OK)
		status = bm_age_header_make(r, &header, &key, err);
	if (status == BM_OK)
		status = bm_age_decoder_create(ids, &d, err);
	if (status == BM_OK)
		status = bm_age_decode(d, header.data, header.len, false, out, sizeof(out), &res, err);
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	bm_age_recipients_destroy(r);
	bm_buf_fini(&header);
	return status;
}

static void test_no_memory(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	unsigned at = 0;
	bool hit = true;

	(void)state;
	assert_int_equal(everything(&err), BM_OK);
	for (unsigned for_ever = 0; for_ever < 2; for_ever++) {
		hit = true;
		for (at = 1; hit; at++) {
			enum bm_status status;

			err = (struct bm_error)BM_ERROR_INIT;
			fail_alloc_arm(at, for_ever != 0);
			status = everything(&err);
			hit = fail_alloc_disarm();
			/* A string that cannot have twice its size may still have what it needs. */
			if (status != (hit ? BM_ERR_NOMEM : BM_OK) && (for_ever != 0 || status != BM_OK))
				fail_msg("allocation %u: %d: %s", at, (int)status, err.text);
			assert_int_equal(err.status, status);
		}
		assert_true(at > 8);
	}
}

static void test_wrong_calls(void **state)
{
	struct bm_age_identities *ids = new_identities();
	struct bm_age_recipients *r = new_recipients();
	struct bm_age_key key;
	struct bm_buf out = {0};
	char *large = calloc(1, BM_AGE_SECRET_FILE_MAX_BYTES + 1);

	(void)state;
	assert_non_null(large);
	bm_buf_puts(&out, "before");
	assert_int_equal(bm_age_identities_add_passphrase(ids, "", 0, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_identities_add_passphrase(ids, large, BM_AGE_SECRET_FILE_MAX_BYTES + 1, NULL),
	                 BM_ERR_USAGE);
	assert_int_equal(bm_age_identities_cap_work(ids, 0, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_identities_cap_work(ids, 23, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_header_make(r, &out, &key, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_header_make_passphrase("", 0, 10, &out, &key, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_header_make_passphrase("x", 1, 0, &out, &key, NULL), BM_ERR_USAGE);
	assert_int_equal(bm_age_header_make_passphrase("x", 1, 23, &out, &key, NULL), BM_ERR_USAGE);
	assert_string_equal(out.data, "before");
	bm_age_identities_destroy(NULL);
	bm_age_recipients_destroy(NULL);
	bm_age_header_destroy(NULL);
	bm_age_cipher_destroy(NULL);
	bm_age_armor_destroy(NULL);
	bm_age_decoder_destroy(NULL);
	bm_age_identities_destroy(ids);
	bm_age_recipients_destroy(r);
	bm_buf_fini(&out);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bech32),           cmocka_unit_test(test_bech32_damage),
		cmocka_unit_test(test_base64),           cmocka_unit_test(test_pair_of_the_specification),
		cmocka_unit_test(test_keygen),           cmocka_unit_test(test_recipient_lines),
		cmocka_unit_test(test_identity_lines),   cmocka_unit_test(test_low_order_recipients),
		cmocka_unit_test(test_passphrase_text),  cmocka_unit_test(test_secret_files),
		cmocka_unit_test(test_lists_are_shared), cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_wrong_calls),
	};

	return cmocka_run_group_tests_name("age keys", tests, NULL, NULL);
}
