/*
 * Job files that nobody should have to write: things that are no files, texts cut anywhere and changed anywhere, faults
 * and jobs by the ten thousand, and every allocation failing in turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "fail_alloc.h"
#include "jobs_testing.h"

/* ---- files that are none ---- */

static void refuse_file(const char *path, int sys_errno)
{
	struct told told = {0};
	struct bm_jobs_options opt = {.on_diagnostic = on_diagnostic, .ctx = &told};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;

	assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_OK);
	assert_int_equal(bm_jobs_add_file(jobs, path, &err), BM_ERR_USAGE);
	assert_int_equal(told.errors, 1);
	assert_int_equal(err.status, BM_ERR_USAGE);
	if (sys_errno != 0)
		assert_int_equal(err.sys_errno, sys_errno);
	assert_non_null(strstr(err.where, path));
	assert_true(*err.text != '\0');
	/* Nothing is checked that could only be guessed at, and the set stays unusable. */
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_jobs_check(jobs, &err), BM_ERR_USAGE);
	assert_int_equal(told.errors, 1);
	assert_false(jobs->is_checked);
	bm_jobs_destroy(jobs);
}

static void test_bad_files(void **state)
{
	char dir[] = "/tmp/bm-test-jobs-XXXXXX";
	char path[100];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	refuse_file(dir, 0);
	snprintf(path, sizeof(path), "%s/none.json", dir);
	refuse_file(path, ENOENT);
	snprintf(path, sizeof(path), "%s/large.json", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 100 << 20), 0);
	close(fd);
	refuse_file(path, 0);
	assert_int_equal(truncate(path, 0), 0);
	refuse_file(path, 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* ---- hostile texts ---- */

/* Cut after any byte, a text is refused and a place is told. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(full_text) - 3; len++) {
		struct told told = {0};
		struct bm_jobs_options opt = {.on_diagnostic = on_diagnostic, .ctx = &told};
		struct bm_error err = BM_ERROR_INIT;
		struct bm_jobs *jobs = NULL;

		assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_OK);
		assert_int_equal(bm_jobs_add_text(jobs, "t", full_text, len, NULL, &err), BM_ERR_USAGE);
		assert_true(told.errors > 0 && told.line > 0 && *err.text != '\0');
		bm_jobs_destroy(jobs);
	}
}

/* One byte changed, anywhere, to anything that means something: no crash, and no error without words. */
static void test_mutated(void **state)
{
	static const char bytes[] = "\"\\{}[],:$*-0e \n\x80\xff";
	char text[sizeof(full_text)];

	(void)state;
	for (size_t at = 0; at < strlen(full_text); at++) {
		for (size_t b = 0; b < sizeof(bytes); b++) {
			struct bm_error err = BM_ERROR_INIT;
			struct bm_jobs *jobs = NULL;
			enum bm_status st;

			memcpy(text, full_text, sizeof(text));
			text[at] = bytes[b];
			assert_int_equal(bm_jobs_create(NULL, &jobs, &err), BM_OK);
			st = bm_jobs_add_text(jobs, "t", text, strlen(full_text), NULL, &err);
			assert_true(st == BM_OK || (st == BM_ERR_USAGE && *err.text != '\0'));
			bm_jobs_destroy(jobs);
		}
	}
}

/* Faults without end are cut off, in number and in time. */
static void test_many_faults(void **state)
{
	struct told told = {0};
	struct bm_jobs_options opt = {.on_diagnostic = on_diagnostic, .ctx = &told};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	size_t len = 0;
	char *text = malloc(3 << 20);

	(void)state;
	assert_non_null(text);
	len += (size_t)sprintf(text + len, "{\"steps\": [ {\"step\": \"read\", \"from\": [0");
	while (len < 2 << 20)
		len += (size_t)sprintf(text + len, ",0");
	len += (size_t)sprintf(text + len, "]}, {\"step\": \"hash\"");
	for (unsigned i = 0; i < 5000; i++)
		len += (size_t)sprintf(text + len, ",\"k%u\":0", i);
	len += (size_t)sprintf(text + len, "}]}");
	assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_OK);
	assert_int_equal(bm_jobs_add_text(jobs, "t", text, len, NULL, &err), BM_ERR_USAGE);
	assert_int_equal(told.errors, 101);
	assert_non_null(strstr(told.last, "more faults"));
	bm_jobs_destroy(jobs);
	free(text);
}

/* Tens of thousands of generated jobs are no trouble: a chain of "after", each with a manifest; then closed to a ring. */
static void test_many_jobs(void **state)
{
	enum { JOBS = 30000 };
	char *text = malloc((size_t)JOBS * 160);

	(void)state;
	assert_non_null(text);
	for (int ring = 0; ring < 2; ring++) {
		struct told told = {0};
		struct bm_jobs_options opt = {.on_diagnostic = on_diagnostic, .ctx = &told};
		struct bm_error err = BM_ERROR_INIT;
		struct bm_jobs *jobs = NULL;
		size_t len = (size_t)sprintf(text, "{\"jobs\":[");

		for (unsigned i = 0; i < JOBS; i++)
			len += (size_t)sprintf(
				text + len,
				"%s{\"name\":\"j%u\",\"after\":[\"j%u\"],\"steps\":[{\"step\":\"read\",\"from\":\"x\"},"
				"{\"step\":\"hash\",\"manifest\":\"{job}\"}]}\n",
				i > 0 ? "," : "", i, i + 1);
		len += (size_t)sprintf(
			text + len,
			",{\"name\":\"j%u\",\"after\":[%s],\"steps\":[{\"step\":\"read\",\"from\":\"x\"},"
			"{\"step\":\"hash\"}]}]}",
			(unsigned)JOBS, ring ? "\"j0\"" : "");
		assert_int_equal(bm_jobs_create(&opt, &jobs, &err), BM_OK);
		assert_int_equal(bm_jobs_add_text(jobs, "t", text, len, NULL, &err), BM_OK);
		assert_int_equal(bm_jobs_check(jobs, &err), ring ? BM_ERR_USAGE : BM_OK);
		assert_int_equal(told.errors, ring);
		assert_int_equal(bm_jobs_count(jobs), JOBS + 1);
		bm_jobs_destroy(jobs);
	}
	free(text);
}

/* ---- no memory ---- */

static enum bm_status load_once(const char *text)
{
	static const char *const sets[] = {"SET=1"};
	struct bm_jobs_options opt = {.sets = sets, .set_count = 1, .no_environment = true};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_jobs *jobs = NULL;
	enum bm_status st = bm_jobs_create(&opt, &jobs, &err);

	if (st == BM_OK)
		st = bm_jobs_add_text(jobs, "test.json", text, strlen(text), "/base", &err);
	if (st == BM_OK || (st == BM_ERR_USAGE && jobs != NULL)) {
		enum bm_status second = bm_jobs_check(jobs, &err);

		if (st == BM_OK)
			st = second;
	}
	if (st != BM_OK && *err.text == 0)
		fail_msg("status %d without a text", (int)st);
	/* A layer below may find another way; then nothing may be missing. */
	if (st == BM_OK)
		check_full(jobs);
	bm_jobs_destroy(jobs);
	return st;
}

/* Each allocation fails once, then for ever. A good text passes whole or not at all; a bad one must not crash. */
static void test_no_memory(void **state)
{
	static const char bad[] =
		"{ \"jobs\": [ { \"name\": \"a\", \"after\": [\"b\", \"c\"], \"memroy\": 1, \"steps\": [ { "
		"\"step\": \"raed\" },"
		" { \"step\": \"hash\", \"algorithms\": [\"md6\", 5], \"manifest\": \"{x}\" }, 5 ] },"
		" { \"name\": \"b\", \"after\": \"a\", \"steps\": [ { \"step\": \"read\", \"from\": \"${STE}\", "
		"\"include\": \"[\" },"
		" { \"step\": \"write\", \"to\": \"${SET}/{path}\" }, { \"step\": \"copy\", \"to\": "
		"\"${SET}/{path}\" } ] },"
		" { \"name\": \"b\", \"memory\": \"1x\", \"chunk\": \"1\", \"steps\": [] } ] }";
	const char *const texts[] = {full_text, bad};

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		for (int later = 0; later < 2; later++) {
			for (unsigned n = 1;; n++) {
				enum bm_status st;

				fail_alloc_arm(n, later == 1);
				st = load_once(texts[t]);
				if (!fail_alloc_disarm())
					break;
				if (st == BM_OK && later)
					fail_msg("allocation %u failed and nobody noticed", n);
			}
		}
		assert_int_equal(load_once(texts[t]), t == 0 ? BM_OK : BM_ERR_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_truncated), cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_many_faults), cmocka_unit_test(test_many_jobs), cmocka_unit_test(test_no_memory),
	};

	/* jansson allocates through us as well. */
	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
