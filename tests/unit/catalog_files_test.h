/* catalog_files_test.h - what the tests of files in the catalog share: an open catalog for each, and cursors. */
#ifndef CATALOG_FILES_TEST_H
#define CATALOG_FILES_TEST_H

#include "catalog_test.h"

static struct bm_catalog *c;

static inline int enter(void **state)
{
	if (enter_scratch(state) != 0)
		return -1;
	c = open_catalog();
	return 0;
}

static inline int leave(void **state)
{
	/* Whatever a test does, the database is sound afterwards. */
	if (bm_catalog_check(c, true, NULL) != BM_OK || bm_catalog_close(c, NULL) != BM_OK)
		return -1;
	c = NULL;
	return leave_scratch(state);
}

#define FILES_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

static inline struct bm_catalog_files *open_files(int64_t root, const char *under)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_catalog_files *files = NULL;

	assert_ok(bm_catalog_files_open(c, root, under, under != NULL ? strlen(under) : 0, &files, &err), &err);
	return files;
}

static inline const struct bm_catalog_file *next_file(struct bm_catalog_files *files)
{
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_file *f;

	assert_ok(bm_catalog_files_next(files, &f, &err), &err);
	return f;
}

static inline const struct bm_catalog_file *find_file(struct bm_catalog_files *files, const char *path, size_t len)
{
	struct bm_error err = BM_ERROR_INIT;
	const struct bm_catalog_file *f;

	assert_ok(bm_catalog_files_find(files, path, len, &f, &err), &err);
	return f;
}

static inline void put(int64_t root, const struct bm_catalog_file *f, const struct bm_catalog_blocks *b)
{
	struct bm_error err = BM_ERROR_INIT;

	assert_ok(bm_catalog_file_put(c, root, f, b, &err), &err);
}

#endif
