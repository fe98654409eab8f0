/* test_age_interop.c - files and keys to and from the programs age and age-keygen, both ways. Each test is skipped where
 * a program is missing. age asks for passphrases on a terminal only, so that python3 makes one for it. */
#include "age_testing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/bm-age-XXXXXX";

static int enter(void **state)
{
	(void)state;
	return mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static int leave(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf -- '%s'", directory);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void need(const char *program)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	if (system(command) != 0) {
		print_message("skipped: there is no %s here\n", program);
		skip();
	}
}

static void run(const char *command)
{
	const int code = system(command);

	if (code != 0)
		fail_msg("%s: %d", command, code);
}

static void put(const char *path, const void *data, size_t len)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static struct bm_buf get(const char *path)
{
	struct bm_buf b = {0};
	char part[4096];
	ssize_t got;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	bm_buf_puts(&b, "");
	while ((got = read(fd, part, sizeof(part))) > 0)
		bm_buf_put(&b, part, (size_t)got);
	assert_int_equal(got, 0);
	assert_int_equal(close(fd), 0);
	return b;
}

static const size_t sizes[] = {0, 1, 1000, 65535, 65536, 65537, 131072, 300000};

static void expect_plain(struct bm_age_decoder *d, const char *path, const uint8_t *data, size_t len)
{
	struct bm_buf file = get(path);
	struct bm_buf plain = {0};
	struct bm_error err;

	if (decode(d, BM_AGE_ARMORED_AUTO, file.data, file.len, 30000, len + 1, &plain, &err) != BM_OK)
		fail_msg("%zu bytes: %s: %s", len, err.where, err.text);
	assert_int_equal(plain.len, len);
	if (len > 0)
		assert_memory_equal(plain.data, data, len);
	bm_buf_fini(&file);
	bm_buf_fini(&plain);
}

static void test_age_writes_we_read(void **state)
{
	struct bm_age_identities *ids = new_identities();
	struct bm_age_recipients *r = new_recipients();
	struct bm_age_decoder *d = new_decoder(ids);
	struct bm_age_secret secret;
	struct bm_error err = BM_ERROR_INIT;
	struct bm_buf public;

	(void)state;
	need("age");
	need("age-keygen");
	run("age-keygen -o key.txt 2>/dev/null && age-keygen -y key.txt > public.txt && "
	    "age-keygen 2>/dev/null | age-keygen -y > other.txt");
	if (bm_age_read_secret_file("key.txt", &secret, &err) != BM_OK ||
	    bm_age_identities_add_text(ids, secret.data, secret.len, "key.txt", &err) != BM_OK)
		fail_msg("%s: %s", err.where, err.text);
	bm_age_secret_fini(&secret);
	public = get("public.txt");
	assert_int_equal(bm_age_recipients_add_text(r, public.data, public.len, "public.txt", &err), BM_OK);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = make_data(sizes[i]);

		put("plain", data, sizes[i]);
		run("age -R public.txt -o one.age plain && age -a -R other.txt -R public.txt -o two.age plain");
		expect_plain(d, "one.age", data, sizes[i]);
		expect_plain(d, "two.age", data, sizes[i]);
		free(data);
	}
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	bm_age_recipients_destroy(r);
	bm_buf_fini(&public);
}

static void test_we_write_age_reads(void **state)
{
	struct pair p = new_pair();
	struct pair other = new_pair();
	char text[BM_AGE_KEYPAIR_TEXT_BYTES];
	struct bm_buf file = {0};
	struct bm_buf armor = {0};
	struct bm_buf public;

	(void)state;
	need("age");
	need("age-keygen");
	put("ours.txt", text, bm_age_keypair_text(&p.text, 1700000000, text));
	run("age-keygen -y ours.txt > public.txt");
	public = get("public.txt");
	assert_int_equal(public.len, 63);
	assert_memory_equal(public.data, p.text.recipient, 62);
	bm_buf_fini(&public);
	assert_int_equal(bm_age_recipients_add(p.recipients, other.text.recipient, 62, NULL), BM_OK);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = make_data(sizes[i]);

		bm_buf_reset(&file);
		bm_buf_reset(&armor);
		put_file(&file, p.recipients, data, sizes[i], 1 + i % 3);
		put_armor(&armor, file.data, file.len, "\n");
		put("plain", data, sizes[i]);
		put("file.age", file.data, file.len);
		put("armor.age", armor.data, armor.len);
		run("age -d -i ours.txt file.age | cmp - plain && age -d -i ours.txt armor.age | cmp - plain");
		free(data);
	}
	bm_buf_fini(&file);
	bm_buf_fini(&armor);
	free_pair(&p);
	free_pair(&other);
}

/* Answers every question of age on a terminal of its own with the passphrase; its output goes to files. How long scrypt
 * takes is the machine's business: it waits, until the test that holds the other end of its input is gone. */
static const char terminal[] = "import os, pty, select, sys\n"
			       "pid, fd = pty.fork()\n"
			       "if pid == 0:\n"
			       "    os.execvp(sys.argv[1], sys.argv[1:])\n"
			       "seen = b''\n"
			       "while True:\n"
			       "    if 0 in select.select([fd, 0], [], [])[0]:\n"
			       "        sys.exit('the test has ended')\n"
			       "    try:\n"
			       "        part = os.read(fd, 1000)\n"
			       "    except OSError:\n"
			       "        break\n"
			       "    if not part:\n"
			       "        break\n"
			       "    seen += part\n"
			       "    if b'passphrase' in seen and b':' in seen[seen.rindex(b'passphrase'):]:\n"
			       "        seen = b''\n"
			       "        os.write(fd, b'correct horse battery\\n')\n"
			       "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";

static void run_on_terminal(const char *command)
{
	char line[160];
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[1], F_SETFD, FD_CLOEXEC), 0); /* this process alone holds it */
	(void)snprintf(line, sizeof(line), "python3 terminal.py %s <&%d", command, ends[0]);
	run(line);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

static void test_passphrases(void **state)
{
	const char *const pass = "correct horse battery";
	struct bm_age_identities *ids = new_identities();
	struct bm_age_decoder *d = new_decoder(ids);
	uint8_t *data = make_data(70000);
	struct bm_buf file = {0};
	struct bm_age_key key;
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	need("age");
	need("python3");
	put("terminal.py", terminal, sizeof(terminal) - 1);
	put("plain", data, 70000);
	assert_int_equal(bm_age_identities_add_passphrase(ids, pass, strlen(pass), NULL), BM_OK);
	run_on_terminal("age -p -o pass.age plain");
	expect_plain(d, "pass.age", data, 70000);
	run_on_terminal("age -p -a -o pass.age plain");
	expect_plain(d, "pass.age", data, 70000);

	assert_int_equal(bm_age_header_make_passphrase(pass, strlen(pass), BM_AGE_WORK_DEFAULT, &file, &key, &err),
	                 BM_OK);
	put_payload(&file, &key, data, 70000, 2);
	put("ours.age", file.data, file.len);
	run_on_terminal("age -d -o plain.2 ours.age");
	run("cmp plain plain.2");
	bm_age_decoder_destroy(d);
	bm_age_identities_destroy(ids);
	bm_buf_fini(&file);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age_writes_we_read),
		cmocka_unit_test(test_we_write_age_reads),
		cmocka_unit_test(test_passphrases),
	};

	return cmocka_run_group_tests_name("age programs", tests, enter, leave);
}
