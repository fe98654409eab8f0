/* The error struct: first wins, cutting, escaping, errno. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bm_error.h"
#include "bm_text.h"
#include "fail_alloc.h"

static void first_wins(void **state)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_error_set(&err, BM_ERR_FORMAT, "a", "first %d", 1), BM_ERR_FORMAT);
	assert_int_equal(bm_error_set(&err, BM_ERR_LIMIT, "b", "second"), BM_ERR_LIMIT);
	assert_int_equal(bm_error_set_errno(&err, EIO, "c", "third"), BM_ERR_SYSTEM);
	assert_int_equal(bm_error_set_nomem(&err), BM_ERR_NOMEM);
	assert_int_equal(err.status, BM_ERR_FORMAT);
	assert_int_equal(err.sys_errno, 0);
	assert_string_equal(err.where, "a");
	assert_string_equal(err.text, "first 1");
}

static void null_is_fine(void **state)
{
	(void)state;
	assert_int_equal(bm_error_set(NULL, BM_ERR_USAGE, NULL, "x"), BM_ERR_USAGE);
	assert_int_equal(bm_error_set_errno(NULL, ENOMEM, NULL, "x"), BM_ERR_NOMEM);
	assert_int_equal(bm_error_set_nomem(NULL), BM_ERR_NOMEM);

	struct bm_error err = BM_ERROR_INIT;
	assert_int_equal(bm_error_set(&err, BM_ERR_USAGE, NULL, "x"), BM_ERR_USAGE);
	assert_string_equal(err.where, "");
}

static void ok_is_no_error(void **state)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	assert_int_equal(bm_error_set(&err, BM_OK, "w", "x"), BM_OK);
	assert_string_equal(err.text, "");
	assert_string_equal(err.where, "");
}

static void system_errors(void **state)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	errno = EBUSY;
	assert_int_equal(bm_error_set_errno(&err, ENOENT, "/x", "cannot open %s", "it"), BM_ERR_SYSTEM);
	assert_int_equal(errno, EBUSY);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_string_equal(err.text, "cannot open it: No such file or directory");

	struct bm_error nomem = BM_ERROR_INIT;
	assert_int_equal(bm_error_set_errno(&nomem, ENOMEM, NULL, "mmap"), BM_ERR_NOMEM);
	assert_int_equal(nomem.status, BM_ERR_NOMEM);
	assert_int_equal(nomem.sys_errno, ENOMEM);
	assert_string_equal(nomem.text, "mmap: Cannot allocate memory");
}

static void long_texts_keep_both_ends(void **state)
{
	static char name[5000];

	(void)state;
	for (size_t len = 900; len < 1400; len++) {
		struct bm_error err = BM_ERROR_INIT;
		memset(name, 'n', len);
		name[len] = '\0';
		(void)bm_error_set_errno(&err, ENOSPC, name, "begin %s end", name);
		assert_int_equal(strncmp(err.text, "begin nnn", 9), 0);
		size_t n = strlen(err.text);
		assert_string_equal(err.text + n - 29, " end: No space left on device");
		assert_true(n < sizeof(err.text));
		assert_int_equal(strstr(err.text, "...") != NULL, len + 6 + 4 + 25 > 1023);
		assert_int_equal(strstr(err.where, "...") != NULL, len > 1023);
		if (len > 1023)
			assert_int_equal(strlen(err.where), 1023);
	}
}

static void no_memory_for_a_long_text(void **state)
{
	static char name[5000];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	struct bm_error err = BM_ERROR_INIT;
	errno = EBUSY;
	fail_alloc_arm(1, true);
	(void)bm_error_set_errno(&err, EIO, NULL, "begin %s end", name);
	assert_true(fail_alloc_disarm());
	assert_int_equal(errno, EBUSY);
	assert_int_equal(strncmp(err.text, "begin nnn", 9), 0);
	assert_non_null(strstr(err.text, "nn: Input/output error"));

	struct bm_error short_err = BM_ERROR_INIT;
	fail_alloc_arm(1, true);
	(void)bm_error_set_nomem(&short_err);
	assert_false(fail_alloc_disarm()); /* needs none */
	assert_int_equal(strncmp(short_err.text, "out of memory", 13), 0);
}

static void always_utf8_and_never_raw(void **state)
{
	struct bm_error err = BM_ERROR_INIT;

	(void)state;
	(void)bm_error_set(&err, BM_ERR_FAILED, "a\\x1b\x1b[31m\xff", "x\ny \xc3\xa4 \xc3 \\n\x7f");
	assert_string_equal(err.where, "a\\x1b\\x1b[31m\\xff");
	assert_string_equal(err.text, "x\\ny \xc3\xa4 \\xc3 \\n\\x7f");

	static char name[3000]; /* of two-byte characters: a cut must not fall into one */
	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	for (int shift = 0; shift < 4; shift++) {
		struct bm_error cut = BM_ERROR_INIT;
		(void)bm_error_set(&cut, BM_ERR_FAILED, name, "%.*s%s", shift, "....", name);
		assert_true(bm_utf8_valid(cut.text, strlen(cut.text)));
		assert_true(bm_utf8_valid(cut.where, strlen(cut.where)));
		assert_true(strlen(cut.text) >= 1018);
	}
}

static void every_status_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(bm_status_text(BM_ERR_NOMEM), "out of memory");
	for (int i = 0; i <= BM_ERR_FAILED; i++) {
		const char *text = bm_status_text((enum bm_status)i);
		assert_non_null(text);
		assert_string_not_equal(text, "unknown status");
		for (int j = 0; j < i; j++)
			assert_string_not_equal(text, bm_status_text((enum bm_status)j));
	}
	assert_string_equal(bm_status_text((enum bm_status)(BM_ERR_FAILED + 1)), "unknown status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_wins),
		cmocka_unit_test(null_is_fine),
		cmocka_unit_test(ok_is_no_error),
		cmocka_unit_test(system_errors),
		cmocka_unit_test(long_texts_keep_both_ends),
		cmocka_unit_test(no_memory_for_a_long_text),
		cmocka_unit_test(always_utf8_and_never_raw),
		cmocka_unit_test(every_status_has_a_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
