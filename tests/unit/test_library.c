/* Libraries that are loaded when they are needed: there, not there, and without what is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bm_error.h"
#include "bm_library.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void found(void **state)
{
	static const char *const names[] = {"crc32", "zlibVersion"};
	struct {
		unsigned long (*crc32)(unsigned long, const unsigned char *, unsigned);
		const char *(*version)(void);
	} z = {NULL, NULL};

	(void)state;
	assert_int_equal(bm_library_load("libz.so.1", names, COUNT(names), &z, NULL), BM_OK);
	assert_true(z.crc32(0, (const unsigned char *)"123456789", 9) == 0xcbf43926);
	assert_non_null(z.version());
}

static void not_there(void **state)
{
	static const char *const names[] = {"crc32"};
	struct bm_error err = BM_ERROR_INIT;
	void (*f)(void);

	(void)state;
	assert_int_equal(bm_library_load("libbytemill-not-there.so.9", names, 1, &f, &err), BM_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "libbytemill-not-there.so.9"));
}

static void lacks_one(void **state)
{
	static const char *const names[] = {"crc32", "bytemill_not_there"};
	struct bm_error err = BM_ERROR_INIT;
	void (*f[2])(void);

	(void)state;
	assert_int_equal(bm_library_load("libz.so.1", names, COUNT(names), f, &err), BM_ERR_UNSUPPORTED);
	assert_non_null(strstr(err.text, "bytemill_not_there"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found),
		cmocka_unit_test(not_there),
		cmocka_unit_test(lacks_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
