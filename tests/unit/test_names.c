/* Which file a name in a manifest stands for: bm_names.h. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "bm_names.h"

struct name_case {
	const char *name;
	enum bm_name_fit fit;
	const char *want;
};

static void check(const char *directory, const char *strip, bool unsafe, const struct name_case *c, size_t count)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_name_map m;

	assert_int_equal(bm_name_map_init(&m, directory, strip, unsafe, &err), BM_OK);
	for (size_t i = 0; i < count; i++) {
		const char *out = NULL;
		size_t len = 0;
		enum bm_name_fit fit = bm_name_map_apply(&m, c[i].name, strlen(c[i].name), &out, &len);

		if (fit != c[i].fit)
			fail_msg("\"%s\": %d, expected %d", c[i].name, fit, c[i].fit);
		if (fit != BM_NAME_TAKEN)
			continue;
		assert_string_equal(out, c[i].want);
		assert_int_equal(len, strlen(c[i].want));
	}
	bm_name_map_fini(&m);
}
#define CHECK(directory, strip, unsafe, cases) check(directory, strip, unsafe, cases, sizeof(cases) / sizeof(cases[0]))

static char top[] = "/tmp/bytemill-names-XXXXXX"; /* a link to it is top.link */
static char in_top[100], in_link[100], beside[100];

static void plain(void **state)
{
	static const struct name_case cases[] = {
		{"a", BM_NAME_TAKEN, "a"},          {"a/b.c", BM_NAME_TAKEN, "a/b.c"},
		{"./a", BM_NAME_TAKEN, "a"},        {".//./a//b/./c", BM_NAME_TAKEN, "a/b/c"},
		{"a/.", BM_NAME_TAKEN, "a"},        {"a/", BM_NAME_TAKEN, "a"},
		{".a", BM_NAME_TAKEN, ".a"},        {"..a/.b/c..", BM_NAME_TAKEN, "..a/.b/c.."},
		{"...", BM_NAME_TAKEN, "..."},      {" a\n", BM_NAME_TAKEN, " a\n"},
		{".", BM_NAME_DIRECTORY, NULL},     {"./", BM_NAME_DIRECTORY, NULL},
		{"..", BM_NAME_DOT_DOT, NULL},      {"../a", BM_NAME_DOT_DOT, NULL},
		{"a/../b", BM_NAME_DOT_DOT, NULL},  {"a/b/..", BM_NAME_DOT_DOT, NULL},
		{"./..//a", BM_NAME_DOT_DOT, NULL}, {"/etc/passwd", BM_NAME_ABSOLUTE, NULL},
		{"//etc", BM_NAME_ABSOLUTE, NULL},  {"/", BM_NAME_ABSOLUTE, NULL},
	};

	(void)state;
	CHECK(top, NULL, false, cases);
	CHECK(top, "", false, cases);
	CHECK(top, "./", false, cases);
}

static void below_the_directory(void **state)
{
	const struct name_case cases[] = {
		{in_top, BM_NAME_TAKEN, "a/b"}, {in_link, BM_NAME_TAKEN, "a/b"}, {beside, BM_NAME_ABSOLUTE, NULL},
		{top, BM_NAME_DIRECTORY, NULL}, {"a", BM_NAME_TAKEN, "a"},
	};
	char link[100], up[200], root[100];

	(void)state;
	snprintf(link, sizeof(link), "%s.link", top);
	CHECK(link, NULL, false, cases); /* as given, and really */
	snprintf(up, sizeof(up), "%s/x/../../etc/passwd", top);
	const struct name_case dots[] = {{up, BM_NAME_ABSOLUTE, NULL}};
	CHECK(top, NULL, false, dots);
	snprintf(root, sizeof(root), "%s/", top);
	const struct name_case slash[] = {{in_top, BM_NAME_TAKEN, "a/b"}};
	CHECK(root, NULL, false, slash);
	static const struct name_case of_root[] = {{"/etc/passwd", BM_NAME_TAKEN, "etc/passwd"}};
	CHECK("/", NULL, false, of_root);
	/* A relative directory. */
	assert_int_equal(chdir(top), 0);
	CHECK(".", NULL, false, slash);
	static const struct name_case not_there[] = {{"a", BM_NAME_TAKEN, "a"}};
	CHECK("/nowhere/at/all", NULL, false, not_there);
}

static void stripped(void **state)
{
	static const struct name_case cases[] = {
		{"photos/a", BM_NAME_TAKEN, "a"},
		{"./photos//x/a", BM_NAME_TAKEN, "x/a"},
		{"photos", BM_NAME_DIRECTORY, NULL},
		{"photosa/b", BM_NAME_OUTSIDE, NULL},
		{"a", BM_NAME_OUTSIDE, NULL},
		{"/photos/a", BM_NAME_OUTSIDE, NULL},
		{"photos/../../b", BM_NAME_DOT_DOT, NULL},
	};
	static const struct name_case absolute[] = {{"/srv/photos/a", BM_NAME_TAKEN, "a"}};

	(void)state;
	CHECK(top, "photos", false, cases);
	CHECK(top, "./photos/", false, cases);
	CHECK(top, "/srv/photos", false, absolute);
}

/* A manifest that names the directory too. */
static void named_from_outside(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_name_map m;
	const char *out;
	size_t len;

	(void)state;
	assert_int_equal(chdir(top), 0);
	assert_int_equal(mkdir("photos", 0777), 0);
	assert_int_equal(bm_name_map_init(&m, "./photos/", NULL, false, &err), BM_OK);
	assert_false(bm_name_map_look(&m, "a", 1));
	assert_false(bm_name_map_look(&m, "photosx/a", 9));
	assert_false(bm_name_map_look(&m, "photos", 6));
	assert_true(bm_name_map_look(&m, ".//photos/a", 11));
	assert_int_equal(bm_name_map_apply(&m, "photos/b/c", 10, &out, &len), BM_NAME_TAKEN);
	assert_string_equal(out, "b/c");
	assert_int_equal(bm_name_map_apply(&m, "a", 1, &out, &len), BM_NAME_OUTSIDE);
	bm_name_map_fini(&m);
	/* Not where the directory has such a name in it, or another one is asked for, or it has no name of its own. */
	assert_int_equal(bm_name_map_init(&m, "photos", "x", false, &err), BM_OK);
	assert_false(bm_name_map_look(&m, "photos/a", 8));
	bm_name_map_fini(&m);
	assert_int_equal(bm_name_map_init(&m, ".", NULL, false, &err), BM_OK);
	assert_false(bm_name_map_look(&m, "photos/a", 8));
	bm_name_map_fini(&m);
	assert_int_equal(mkdir("photos/photos", 0777), 0);
	assert_int_equal(bm_name_map_init(&m, "photos", NULL, false, &err), BM_OK);
	assert_false(bm_name_map_look(&m, "photos/a", 8));
	bm_name_map_fini(&m);
	assert_int_equal(rmdir("photos/photos") + rmdir("photos"), 0);
}

static void unsafe_names_allowed(void **state)
{
	static const struct name_case cases[] = {
		{"/etc//passwd", BM_NAME_TAKEN, "/etc/passwd"},
		{"../a", BM_NAME_TAKEN, "../a"},
		{"./a/../b", BM_NAME_TAKEN, "a/../b"},
		{".", BM_NAME_DIRECTORY, NULL},
	};

	(void)state;
	CHECK(top, NULL, true, cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(below_the_directory),
		cmocka_unit_test(stripped),
		cmocka_unit_test(named_from_outside),
		cmocka_unit_test(unsafe_names_allowed),
	};
	char link[100];
	int rc;

	if (mkdtemp(top) == NULL)
		return 1;
	snprintf(link, sizeof(link), "%s.link", top);
	snprintf(in_top, sizeof(in_top), "%s/a/b", top);
	snprintf(in_link, sizeof(in_link), "%s.link/a/b", top);
	snprintf(beside, sizeof(beside), "%sx/a", top);
	if (symlink(top, link) != 0)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rc += unlink(link) + rmdir(top);
	return rc;
}
