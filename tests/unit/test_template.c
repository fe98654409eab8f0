/* Path templates: expansion, faults, binding, and whether "injective" is never said of what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "bm_error.h"
#include "bm_template.h"
#include "fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALL 511u

static struct bm_template *compiled(const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_template *t = NULL;

	if (bm_template_compile(text, ALL, &t, &err) != BM_OK)
		fail_msg("'%s': %s", text, err.text);
	return t;
}

static struct bm_template_values values(const char *path)
{
	struct bm_template_values v = {.path = path,
	                               .path_len = path != NULL ? strlen(path) : 0,
	                               .job = "nightly",
	                               .run = "R7",
	                               .algorithm = "sha256"};
	v.date = (struct tm){.tm_year = 124,
	                     .tm_mon = 1,
	                     .tm_mday = 29,
	                     .tm_hour = 3,
	                     .tm_min = 4,
	                     .tm_sec = 5,
	                     .tm_wday = 4,
	                     .tm_yday = 59,
	                     .tm_isdst = -1};
	return v;
}

static char *expanded(const struct bm_template *t, const char *path)
{
	struct bm_template_values v = values(path);
	struct bm_buf out = {0};

	bm_template_expand(t, &v, &out);
	assert_false(out.oom);
	return bm_buf_take(&out);
}

static void expansions(void **state)
{
	static const struct {
		const char *text, *path, *result;
	} cases[] = {
		{"", "a", ""},
		{"/fixed", NULL, "/fixed"},
		{"/backup/{date:%Y-%m}/{path}.gz", "a/b.log", "/backup/2024-02/a/b.log.gz"},
		{"{path}", "a/b/c.tar.gz", "a/b/c.tar.gz"},
		{"{dir}|{name}|{stem}|{ext}", "a/b/c.tar.gz", "a/b|c.tar.gz|c.tar|gz"},
		{"{dir}|{name}|{stem}|{ext}", "c", "|c|c|"},
		{"{dir}|{name}|{stem}|{ext}", ".bashrc", "|.bashrc|.bashrc|"},
		{"{dir}|{name}|{stem}|{ext}", "a/.bashrc.old", "a|.bashrc.old|.bashrc|old"},
		{"{stem}|{ext}", "..x", "..x|"},
		{"{stem}|{ext}", "...x.y", "...x|y"},
		{"{stem}|{ext}", "end.", "end.|"},
		{"{stem}|{ext}", "a..b", "a.|b"},
		{"{stem}|{ext}", "a.b..", "a.b..|"},
		{"{stem}|{ext}", "d.x/name", "name|"},
		{"{stem}.{ext}", "a.b", "a.b"},
		{"{dir}/{name}", "a/b/c", "a/b/c"},
		{"{dir}/{name}", "c", "c"},
		{"/x/{dir}/{name}", "c", "/x/c"},
		{"/x/{dir}", "c", "/x/"},
		{"/x/{dir}//y", "c", "/x//y"},
		{"x{dir}{name}", "a/c", "xac"},
		{"{job}-{run}-{algorithm}", NULL, "nightly-R7-sha256"},
		{"{date}", NULL, "2024-02-29"},
		{"{date:%H:%M:%S}", NULL, "03:04:05"},
		{"{date:100%%}", NULL, "100%"},
		{"{date:plain}", NULL, "plain"},
		{"{date:%-d.%-m.}", NULL, "29.2."},
		{"{date:%Od}", NULL, "29"},
		{"{{}}", NULL, "{}"},
		{"{{path}}", "x", "{path}"},
		{"{{{path}}}", "x", "{x}"},
		{"a{{b}}c{{{{", NULL, "a{b}c{{"},
		{"${{HOME}}", NULL, "${HOME}"},
		{"{path}{path}", "ab", "abab"},
		{"{name}", "d/\xff\n{x}", "\xff\n{x}"}, /* values are bytes, put in as they are */
		{"{name}", "d/%Y", "%Y"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_template *t = compiled(cases[i].text);
		char *result = expanded(t, cases[i].path);
		if (strcmp(result, cases[i].result) != 0)
			fail_msg("'%s' of '%s': '%s'", cases[i].text, cases[i].path, result);
		assert_string_equal(bm_template_text(t), cases[i].text);
		free(result);

		/* Bound, it says the same, and its own text compiles to the same again. */
		struct bm_template_values v = values(cases[i].path);
		struct bm_template *bound = NULL;
		struct bm_error err = BM_ERROR_INIT;
		assert_int_equal(bm_template_bind(t, &v, &bound, &err), BM_OK);
		assert_int_equal(bm_template_uses(bound), bm_template_uses(t) & BM_PH_FILE);
		result = expanded(bound, cases[i].path);
		assert_string_equal(result, cases[i].result);
		free(result);
		struct bm_template *again = compiled(bm_template_text(bound));
		result = expanded(again, cases[i].path);
		assert_string_equal(result, cases[i].result);
		free(result);
		bm_template_destroy(again);
		bm_template_destroy(bound);
		bm_template_destroy(t);
	}
}

static void appends(void **state)
{
	struct bm_template *t = compiled("{name}");
	struct bm_template_values v = values("a/b");
	struct bm_buf out = {0};

	(void)state;
	bm_buf_puts(&out, "before ");
	bm_template_expand(t, &v, &out);
	assert_string_equal(out.data, "before b");
	v.path_len = 1; /* the length counts */
	bm_template_expand(t, &v, &out);
	assert_string_equal(out.data, "before ba");
	bm_buf_fini(&out);
	v = (struct bm_template_values){0};
	bm_template_expand(t, &v, &out);
	assert_string_equal(out.data, "");
	bm_buf_fini(&out);
	bm_template_destroy(t);
}

static void faults(void **state)
{
	static const struct {
		const char *text;
		unsigned allowed;
		const char *says[3];
	} cases[] = {
		{"{pth}", ALL, {"{pth}", "did you mean {path}", "{algorithm}"}},
		{"{Path}", ALL, {"{Path}", "did you mean {path}"}},
		{"{zzzzz}", ALL, {"unknown placeholder {zzzzz}", "allowed: {path} {dir}"}},
		{"{}", ALL, {"unknown placeholder {}"}},
		{"${HOME}", ALL, {"unknown placeholder {HOME}", "{{"}},
		{"{path", ALL, {"has no '}'", "(byte 1)"}},
		{"ab{", ALL, {"has no '}'", "(byte 3)"}},
		{"{pa{th}", ALL, {"has no '}'"}},
		{"{{path}", ALL, {"without '{'", "(byte 7)"}},
		{"a}b", ALL, {"without '{'", "(byte 2)"}},
		{"{path:%Y}", ALL, {"only {date}"}},
		{"{name:}", ALL, {"only {date}"}},
		{"{date:}", ALL, {"date:"}},
		{"{date:%}", ALL, {"strftime", "(byte 7)"}},
		{"{date:%Y-%Q}", ALL, {"strftime", "(byte 10)"}},
		{"{date:%Ed}", ALL, {"strftime"}},
		{"{date:%OE}", ALL, {"strftime"}},
		{"{date:%_}", ALL, {"strftime"}},
		{"{date:%999999999d}", ALL, {"strftime"}},
		{"{algorithm}", BM_PH_PATH | BM_PH_DATE, {"{algorithm} cannot be used here", "allowed: {path} {date}"}},
		{"{path}", 0, {"cannot be used here", "none"}},
		{"{paths}", BM_PH_JOB, {"unknown", "allowed: {job}"}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_template *t = (struct bm_template *)1;
		assert_int_equal(bm_template_compile(cases[i].text, cases[i].allowed, &t, &err), BM_ERR_USAGE);
		assert_null(t);
		assert_string_equal(err.where, "");
		for (size_t j = 0; j < 3 && cases[i].says[j] != NULL; j++)
			if (strstr(err.text, cases[i].says[j]) == NULL)
				fail_msg("'%s': %s", cases[i].text, err.text);
	}
	struct bm_error err = BM_ERROR_INIT;
	struct bm_template *t;
	assert_int_equal(bm_template_compile("{paths}", BM_PH_JOB, &t, &err), BM_ERR_USAGE);
	assert_null(strstr(err.text, "did you mean")); /* what is not allowed is not proposed */
	char hostile[3000];
	memset(hostile, '\x1b', sizeof(hostile));
	hostile[0] = '{';
	memcpy(hostile + sizeof(hostile) - 2, "}", 2);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_template_compile(hostile, ALL, &t, &err), BM_ERR_USAGE);
	assert_null(strchr(err.text, '\x1b'));
	bm_template_destroy(NULL);
}

static void uses_and_prefix(void **state)
{
	size_t len;
	struct bm_template *t = compiled("/b{{/{date}x/{dir}/{job}");

	(void)state;
	assert_int_equal(bm_template_uses(t), BM_PH_DATE | BM_PH_DIR | BM_PH_JOB);
	const char *prefix = bm_template_prefix(t, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(prefix, "/b{/", 4);

	struct bm_template_values v = values("p");
	struct bm_template *bound = NULL;
	assert_int_equal(bm_template_bind(t, &v, &bound, NULL), BM_OK);
	prefix = bm_template_prefix(bound, &len);
	assert_int_equal(len, 16);
	assert_memory_equal(prefix, "/b{/2024-02-29x/", 16);
	assert_string_equal(bm_template_text(bound), "/b{{/2024-02-29x/{dir}/nightly");
	bm_template_destroy(bound);
	bm_template_destroy(t);

	t = compiled("{path}/x");
	bm_template_prefix(t, &len);
	assert_int_equal(len, 0);
	bm_template_destroy(t);
	t = compiled("");
	assert_non_null(bm_template_prefix(t, &len));
	assert_int_equal(len, 0);
	assert_int_equal(bm_template_uses(t), 0);
	bm_template_destroy(t);
}

static void binding_oddities(void **state)
{
	struct bm_template_values v = values("p");
	struct bm_template *bound = NULL;

	(void)state;
	/* No value: it stays. */
	struct bm_template *t = compiled("{job}/{algorithm}/{date:%Y}{path}");
	v.algorithm = NULL;
	assert_int_equal(bm_template_bind(t, &v, &bound, NULL), BM_OK);
	assert_string_equal(bm_template_text(bound), "nightly/{algorithm}/2024{path}");
	assert_int_equal(bm_template_uses(bound), BM_PH_ALGORITHM | BM_PH_PATH);
	bm_template_destroy(t);
	bm_template_destroy(bound);

	/* A value that looks like a placeholder, or begins with '/', changes nothing. */
	v.job = "{x}";
	t = compiled("{job}{dir}{date:/%Y}{name}");
	char *direct = NULL, *through = NULL;
	struct bm_buf out = {0};
	bm_template_expand(t, &v, &out);
	direct = bm_buf_take(&out);
	assert_string_equal(direct, "{x}/2024p");
	assert_int_equal(bm_template_bind(t, &v, &bound, NULL), BM_OK);
	bm_template_expand(bound, &v, &out);
	through = bm_buf_take(&out);
	assert_string_equal(through, direct);
	free(direct);
	free(through);
	bm_template_destroy(t);
	bm_template_destroy(bound);
}

static void long_dates(void **state)
{
	char text[4000] = "{date:";

	(void)state;
	for (int i = 0; i < 500; i++)
		strcat(text, "%A");
	strcat(text, "}");
	struct bm_template *t = compiled(text);
	char *result = expanded(t, NULL);
	assert_int_equal(strlen(result), 500 * strlen("Thursday"));
	free(result);
	bm_template_destroy(t);
	t = compiled("{date:%Z}|"); /* nothing to say is not "no room" */
	struct bm_template_values v = {0};
	struct bm_buf out = {0};
	bm_template_expand(t, &v, &out);
	assert_non_null(strchr(out.data, '|'));
	bm_buf_fini(&out);
	bm_template_destroy(t);
}

static bool injective(const char *text)
{
	struct bm_template *t = compiled(text);
	bool result = bm_template_is_injective(t);

	bm_template_destroy(t);
	return result;
}

static void injectivity(void **state)
{
	static const char *const yes[] = {
		"{path}",
		"/m/{path}.gz",
		"/m/x{path}y",
		"../out/{path}",
		"{dir}/{name}",
		"/m/{dir}/x-{name}.gz",
		"{dir}/{stem}.{ext}",
		"{dir}/{stem}.new.{ext}.gz",
		"{dir}/{ext}.{stem}",
		"{dir}/{stem}-x/y{ext}",
		"{name}/{dir}/x",
		"/m/{job}/{date}/{path}.{algorithm}",
		"{path}/{stem}.x",
		"{dir}.bak/{name}",
		"{date:%Y/%m}/{path}",
		"{dir}/{date}/{name}",
		"{dir}/{date:%Y-%m}/{ext}-{date:%H%M}/{stem}",
		"{dir}/{run}/{name}",
	};
	static const char *const no[] = {
		"",
		"/m/x",
		"{name}",
		"{dir}",
		"{dir}/{stem}",
		"{dir}/{ext}",
		"{dir}{name}",
		"{dir}-{name}",
		"{stem}.{ext}",
		"{dir}/{stem}{ext}",
		"{dir}/{stem}_{ext}",
		"{dir}/{stem}{ext}.gz",
		"{dir}/.{stem}{ext}",
		"{ext}/{path}",
		"{dir}/{ext}/{stem}",
		"{dir}/../{name}",
		"{dir}x/{stem}{dir}/{name}", /* not proved where dir is empty */
		"{dir}/{name}/{dir}",
		"{job}/{date}",
		"{dir}/{name}{date:/..}",
		"{dir}/{name}/{date:/}..",
		"{date:%D}{ext}/{path}",
		"{dir}/{date:%%}{ext}/{stem}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(yes); i++)
		if (!injective(yes[i]))
			fail_msg("'%s' is injective", yes[i]);
	for (size_t i = 0; i < COUNT(no); i++)
		if (injective(no[i]))
			fail_msg("'%s' is not injective", no[i]);
}

/* Drops empty and "." components, and takes back for "..": what file the result names. */
static void plain(char *path)
{
	char *parts[64], out[512] = "";
	bool absolute = path[0] == '/';
	size_t n = 0;

	for (char *part = strtok(path, "/"); part != NULL; part = strtok(NULL, "/")) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0 && n > 0 && strcmp(parts[n - 1], "..") != 0)
			n--;
		else
			parts[n++] = part;
	}
	for (size_t i = 0; i < n; i++) {
		if (i > 0 || absolute)
			strcat(out, "/");
		strcat(out, parts[i]);
	}
	strcpy(path, out);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Random templates over all short paths: where injective is said, no two results name one file. */
static void injective_is_never_wrong(void **state)
{
	static const char *const names[] = {"a",    "b",   "x",     ".a", "..a",  "a.",  "a.a", "a.b",
	                                    "a.x",  "x.a", "a.a.a", "aa", "a..a", "a-a", "...", "a.x.a",
	                                    ".a.x", "x..", "ax",    "xa", "aax",  "x.x"};
	static const char *const pieces[] = {
		"{path}", "{dir}/",   "{dir}",      "{name}",   "{stem}", "{ext}",        "{stem}.{ext}",
		"/",      "/",        "a",          "x",        ".",      "..",           "-",
		"{job}",  "{date:/}", "{date:%Y/}", "{date:.}", "{date}", "{dir}/{name}", "{dir}/{stem}"};
	enum { NAMES = COUNT(names), PATHS = NAMES + NAMES * NAMES + 6 * 6 * NAMES };
	static char paths[PATHS][64];
	static char *results[PATHS];
	size_t n = 0;
	unsigned said = 0;

	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		strcpy(paths[n++], names[i]);
		for (size_t j = 0; j < NAMES; j++)
			sprintf(paths[n++], "%s/%s", names[i], names[j]);
		for (size_t j = 0; j < 6; j++)
			for (size_t k = 0; k < 6; k++)
				sprintf(paths[n++], "%s/%s/%s", names[j], names[k], names[i]);
	}
	assert_int_equal(n, PATHS);
	srand(11);
	for (int round = 0; round < 20000; round++) {
		char text[256] = "";
		for (int i = 1 + rand() % 6; i > 0; i--)
			strcat(text, pieces[(size_t)rand() % COUNT(pieces)]);
		struct bm_template *t = compiled(text);
		if (bm_template_is_injective(t)) {
			said++;
			for (size_t i = 0; i < n; i++) {
				results[i] = expanded(t, paths[i]);
				plain(results[i]);
			}
			qsort(results, n, sizeof(results[0]), by_text);
			for (size_t i = 1; i < n; i++)
				if (strcmp(results[i - 1], results[i]) == 0)
					fail_msg("'%s': '%s' twice", text, results[i]);
			for (size_t i = 0; i < n; i++)
				free(results[i]);
		}
		bm_template_destroy(t);
	}
	assert_true(said > 200);
}

static void no_memory(void **state)
{
	(void)state;
	struct bm_template_values v = values("d/n.e");
	for (unsigned n = 1, done = 0; !done; n++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_template *t = NULL;
		fail_alloc_arm(n, false);
		enum bm_status status = bm_template_compile(
			"a{{b/{dir}/{date:%Y}{job}{name}{name}{name}{name}{name}{ext}x", ALL, &t, &err);
		if (fail_alloc_disarm()) {
			assert_int_equal(status, BM_ERR_NOMEM);
			assert_int_equal(err.status, BM_ERR_NOMEM);
			assert_null(t);
			continue;
		}
		done = 1;
		assert_int_equal(status, BM_OK);
		assert_true(n > 6);
		for (unsigned m = 1;; m++) {
			struct bm_template *bound = NULL;
			fail_alloc_arm(m, m % 2 == 0);
			status = bm_template_bind(t, &v, &bound, NULL);
			bool hit = fail_alloc_disarm();
			if (status == BM_OK) { /* a larger buffer than needed may have been refused */
				bm_template_destroy(bound);
				if (!hit)
					break;
			} else {
				assert_true(hit);
				assert_int_equal(status, BM_ERR_NOMEM);
				assert_null(bound);
			}
		}
		for (unsigned m = 1;; m++) {
			struct bm_buf out = {0};
			fail_alloc_arm(m, true);
			bm_template_expand(t, &v, &out);
			bool hit = fail_alloc_disarm();
			assert_int_equal(out.oom, hit);
			bm_buf_fini(&out);
			if (!hit)
				break;
		}
		bm_template_destroy(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expansions),       cmocka_unit_test(appends),
		cmocka_unit_test(faults),           cmocka_unit_test(uses_and_prefix),
		cmocka_unit_test(binding_oddities), cmocka_unit_test(long_dates),
		cmocka_unit_test(injectivity),      cmocka_unit_test(injective_is_never_wrong),
		cmocka_unit_test(no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
