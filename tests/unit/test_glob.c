/* Patterns: the documented meaning by table, and everything else against a slow matcher that follows the definition. */
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
#include "bm_glob.h"
#include "bm_text.h"
#include "fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct bm_glob *compiled(const char *pattern)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_glob *g = NULL;

	if (bm_glob_compile(pattern, &g, &err) != BM_OK)
		fail_msg("'%s': %s", pattern, err.text);
	assert_non_null(g);
	return g;
}

static bool match(const char *pattern, const char *path)
{
	struct bm_glob *g = compiled(pattern);
	bool result = bm_glob_match(g, path, strlen(path));

	bm_glob_destroy(g);
	return result;
}

static void meanings(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		/* without '/': the last component, at any depth */
		{"*.log", "a.log", true},
		{"*.log", "x/y/a.log", true},
		{"*.log", ".log", true},
		{"*.log", "a.log/b", false},
		{"*.log", "a.logs", false},
		{"a", "a", true},
		{"a", "b/a", true},
		{"a", "a/b", false},
		{"*", "a/b", true},
		{"**", "a/b", true},
		{"**", "a", true},
		{"?", "x/a", true},
		{"?", "ab", false},
		{"a**b", "axxb", true},
		{"a**b", "ax/xb", false},
		/* with '/': from the root on */
		{"a/b", "a/b", true},
		{"a/b", "x/a/b", false},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"*/b", "a/b", true},
		{"*/b", "b", false},
		{"*/*", "a/b", true},
		{"a*/b", "ax/b", true},
		{"a*b", "a/b", false},
		{"a?b", "a/b", false},
		{"a[/]b", "a/b", false},
		{"a[!x]b", "a/b", false},
		{"a[+-9]b", "a/b", false},
		{"x/a[+-9]b", "x/a0b", true},
		{"/*.log", "a.log", true},
		{"/*.log", "x/a.log", false},
		{"/a", "a", true},
		{"/a", "b/a", false},
		{"./a", "a", true},
		{"./a", "b/a", false},
		{"a//b", "a/b", true},
		{"a/./b", "a/b", true},
		{"a\\/b", "a/b", true},
		{"/var/log/a*", "/var/log/abc", true}, /* an absolute one against an absolute path */
		{"../x/*", "../x/y", true},
		/* any number of components */
		{"**/x", "x", true},
		{"**/x", "a/x", true},
		{"**/x", "a/b/x", true},
		{"**/x", "ax", false},
		{"**/x", "a/xb", false},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "a/xb", false},
		{"a/**/b", "ab", false},
		{"a/**/**/b", "a/b", true},
		{"**/a/**/b/**", "x/a/y/b/z", true},
		{"**/a/**/b/**", "a/b/z", true},
		{"**/a/**/b/**", "a/b", false},
		{"a/**/*", "a/b/c", true},
		{"a/**/*", "a", false},
		{"**/*", "a", true},
		{"*/**", "a", false},
		{"*/**", "a/b/c", true},
		/* below a directory, not the directory itself */
		{"debug/**", "debug/x", true},
		{"debug/**", "debug/x/y", true},
		{"debug/**", "debug", false},
		{"debug/**", "debugx/y", false},
		{"debug/", "debug/x/y", true},
		{"debug/", "debug", false},
		{"debug/", "x/debug/y", false},
		{"**/debug/", "x/debug/y", true},
		{"a/**/", "a/b", true},
		{"*/", "a/b", true},
		{"*/", "a", false},
		/* sets */
		{"[a-c]x", "bx", true},
		{"[a-c]x", "dx", false},
		{"[!a-c]x", "dx", true},
		{"[^a-c]x", "bx", false},
		{"[]]", "]", true},
		{"[!]]", "]", false},
		{"[!]]", "a", true},
		{"[]-a]", "^", true},
		{"[a-]", "-", true},
		{"[-a]", "-", true},
		{"[a\\]b]", "]", true},
		{"[\\a-\\c]", "b", true},
		{"[!-a]", "b", true},
		{"[[:digit:]x]", "7", true},
		{"[[:digit:]x]", "x", true},
		{"[![:digit:]]", "7", false},
		{"[[:xdigit:][:space:]]", "F", true},
		{"[[:xdigit:][:space:]]", "\t", true},
		{"[[:punct:]]", "_", true},
		{"[[:punct:]]", "a", false},
		{"[[:a]", ":", true},
		{"[[a]", "[", true},
		{"[\xc3\xa4-\xc3\xb6]", "\xc3\xa5", true},
		{"[\xc3\xa4]x", "\xc3\xa4x", true},
		{"[\xc3\xa4]x", "\xc3x", false},
		{"[!a]x", "\xc3\xa4x", true}, /* one whole character */
		{"[!a]x", "\xffx", true},     /* or one lone byte */
		{"[\xff]x", "\xffx", true},
		{"[\x80-\xff]x", "\x90x", true},
		/* one character, one lone byte */
		{"?", "\xc3\xa4", true},
		{"??", "\xc3\xa4", false},
		{"?", "\xf0\x9f\x98\x80", true},
		{"?", "\xff", true},
		{"?", "\xe2\x82", false},
		{"??", "\xe2\x82", true},
		{"x?y", "x\xe2\x82\xacy", true},
		{"\xc3*", "\xc3\xa4", true}, /* any run of bytes */
		{"*\xa4", "\xc3\xa4", true},
		{"*?", "\xc3\xa4", true},
		/* quoted */
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"\\?", "?", true},
		{"\\[a]", "[a]", true},
		{"\\a", "a", true},
		{"\\\\", "\\", true},
		{"a\\*/b", "a*/b", true},
		/* dots are letters, and so is the rest */
		{"*", ".hidden", true},
		{"?hidden", ".hidden", true},
		{"[.]hidden", ".hidden", true},
		{"a\nb", "a\nb", true},
		{"{a,b}", "{a,b}", true},
		{"a]", "a]", true},
		{"a*", "a\nb", true},
		{"A", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (match(cases[i].pattern, cases[i].path) != cases[i].match)
			fail_msg("'%s' and '%s': not %d", cases[i].pattern, cases[i].path, cases[i].match);
}

static void not_patterns(void **state)
{
	static const struct {
		const char *pattern, *says;
	} cases[] = {
		{"", "empty"},
		{"/", "nothing below"},
		{"//", "nothing below"},
		{".", "nothing below"},
		{"./", "nothing below"},
		{"[", "(byte 1)"},
		{"abc[de", "(byte 4)"},
		{"[]", "']'"},
		{"[!]", "']'"},
		{"[^]", "']'"},
		{"a/[b/c", "(byte 3)"},
		{"[a\\]", "']'"},
		{"[a-]b[", "(byte 6)"},
		{"a\\", "(byte 2)"},
		{"\\", "(byte 1)"},
		{"[z-a]", "backwards"},
		{"[[:foo:]]", "[:alpha:]"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_glob *g = (struct bm_glob *)1;
		assert_int_equal(bm_glob_compile(cases[i].pattern, &g, &err), BM_ERR_USAGE);
		assert_null(g);
		assert_int_equal(err.status, BM_ERR_USAGE);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("'%s': %s", cases[i].pattern, err.text);
	}
	char *large = malloc(20000);
	assert_non_null(large);
	memset(large, 'a', 19999);
	large[19999] = '\0';
	struct bm_error err = BM_ERROR_INIT;
	struct bm_glob *g;
	assert_int_equal(bm_glob_compile(large, &g, &err), BM_ERR_USAGE);
	assert_non_null(strstr(err.text, "too long"));
	large[8190] = '\0';
	g = compiled(large);
	assert_true(bm_glob_match(g, large, 8190));
	assert_false(bm_glob_match(g, large, 8189));
	bm_glob_destroy(g);
	large[8189] = '/'; /* the most ops there can be */
	g = compiled(large);
	memcpy(large + 8190, "x", 2);
	assert_true(bm_glob_match(g, large, 8191));
	assert_true(bm_glob_matches_all_below(g, large, 8189));
	bm_glob_destroy(g);
	free(large);
	bm_glob_destroy(NULL);
}

/* -- the slow matcher -- */

/* One component against one pattern component, by trying everything. */
static bool slow_component(const char *p, const char *pe, const char *s, const char *se)
{
	uint32_t cp, low, high;

	if (p == pe)
		return s == se;
	if (*p == '*')
		return slow_component(p + 1, pe, s, se) || (s < se && slow_component(p, pe, s + 1, se));
	if (s == se)
		return false;
	size_t n = bm_utf8_decode(s, (size_t)(se - s), &cp);
	if (n == 0) {
		n = 1;
		cp = 0x110000u + (unsigned char)*s;
	}
	if (*p == '?')
		return slow_component(p + 1, pe, s + n, se);
	if (*p == '[') {
		const char *q = p + 1;
		bool negated = *q == '!', in = false;
		if (negated)
			q++;
		for (bool first = true; first || *q != ']'; first = false) {
			size_t m = bm_utf8_decode(q, (size_t)(pe - q), &low);
			if (m == 0) {
				m = 1;
				low = 0x110000u + (unsigned char)*q;
			}
			q += m;
			high = low;
			if (*q == '-' && q[1] != ']') {
				q++;
				m = bm_utf8_decode(q, (size_t)(pe - q), &high);
				if (m == 0) {
					m = 1;
					high = 0x110000u + (unsigned char)*q;
				}
				q += m;
			}
			in = in || (cp >= low && cp <= high);
		}
		return in != negated && slow_component(q + 1, pe, s + n, se);
	}
	if (*p == '\\')
		p++;
	return *p == *s && slow_component(p + 1, pe, s + 1, se);
}

static bool slow_list(char *const *p, size_t pn, char *const *s, size_t sn)
{
	if (pn == 0)
		return sn == 0;
	if (strcmp(p[0], "**") == 0) {
		if (pn == 1)
			return sn > 0;
		return slow_list(p + 1, pn - 1, s, sn) || (sn > 0 && slow_list(p, pn, s + 1, sn - 1));
	}
	return sn > 0 && slow_component(p[0], p[0] + strlen(p[0]), s[0], s[0] + strlen(s[0])) &&
	       slow_list(p + 1, pn - 1, s + 1, sn - 1);
}

static size_t split(char *text, char **list)
{
	size_t n = 0;

	for (char *part = strtok(text, "/"); part != NULL; part = strtok(NULL, "/"))
		list[n++] = part;
	return n;
}

/* Patterns of this test hold no '/' in a set and no quoted '/'. */
static bool slow_match(const char *pattern, const char *path)
{
	char p[128], s[128], *plist[64], *slist[64];
	char below[] = "**", star[] = "**";

	strcpy(p, pattern);
	strcpy(s, path);
	size_t sn = split(s, slist);
	if (strchr(pattern, '/') == NULL) {
		if (strcmp(pattern, "**") == 0)
			return sn > 0;
		plist[0] = p;
		return slow_list(plist, 1, slist + sn - 1, 1);
	}
	bool dir = pattern[strlen(pattern) - 1] == '/';
	size_t pn = split(p, plist);
	if (dir)
		plist[pn++] = below;
	/* "a" + "/" + "**" + "/" + "**": below a; no two of them stand side by side in the definition. */
	size_t n = 0;
	for (size_t i = 0; i < pn; i++)
		if (n == 0 || strcmp(plist[i], star) != 0 || strcmp(plist[n - 1], star) != 0)
			plist[n++] = plist[i];
	return slow_list(plist, n, slist, sn);
}

static uint32_t seed = 2463534242u;

static uint32_t roll(uint32_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % sides;
}

static void random_text(char *out, const char *const *pieces, size_t count, uint32_t most)
{
	out[0] = '\0';
	for (uint32_t i = 1 + roll(most); i > 0; i--)
		strcat(out, pieces[roll((uint32_t)count)]);
}

/* A path as a walk gives it: no empty component, no slash at either end, no "." */
static void random_path(char *out, uint32_t components)
{
	static const char *const pieces[] = {"a", "b", "a", "b", ".a", "\xc3\xa4", "\xff", "\xe2\x82\xac", "\xc3"};
	char one[64];

	out[0] = '\0';
	for (uint32_t n = 1 + roll(components); n > 0; n--) {
		random_text(one, pieces, COUNT(pieces), 4);
		if (out[0] != '\0')
			strcat(out, "/");
		strcat(out, one);
	}
}

static void random_pattern(char *out)
{
	static const char *const pieces[] = {"a",
	                                     "b",
	                                     "a",
	                                     "*",
	                                     "*",
	                                     "?",
	                                     "/",
	                                     "/",
	                                     "**",
	                                     "/**",
	                                     "**/",
	                                     "/**/",
	                                     "[ab]",
	                                     "[!a]",
	                                     "[!\xc3\xa4_b]",
	                                     "[a-\xe2\x82\xac]",
	                                     "\\a",
	                                     "\\*",
	                                     "\xc3\xa4",
	                                     "\xff",
	                                     "\xc3",
	                                     "\xa4"};

	do
		random_text(out, pieces, COUNT(pieces), 8);
	while (strspn(out, "/") == strlen(out));
}

static void same_as_the_slow_matcher(void **state)
{
	char pattern[128], path[128];
	unsigned hits = 0;

	(void)state;
	for (int i = 0; i < 30000; i++) {
		random_pattern(pattern);
		struct bm_glob *g = compiled(pattern);
		for (int j = 0; j < 12; j++) {
			random_path(path, 4);
			bool want = slow_match(pattern, path);
			hits += want;
			if (bm_glob_match(g, path, strlen(path)) != want)
				fail_msg("'%s' and '%s': want %d", pattern, path, want);
		}
		bm_glob_destroy(g);
	}
	assert_true(hits > 10000); /* else it tests little */
}

/* Never prune what could match; never take for all what is not. And do prune in the common cases. */
static void pruning(void **state)
{
	static const struct {
		const char *pattern, *dir;
		bool could, all;
	} cases[] = {
		{"*.log", "a/b", true, false},
		{"*", "a", true, true},
		{"**", "a", true, true},
		{"**", "", true, true},
		{"**/*", "a/b", true, true},
		{"debug/**", "debug", true, true},
		{"debug/**", "debug/x", true, true},
		{"debug/**", "debugx", false, false},
		{"debug/**", "x", false, false},
		{"debug/**", "x/debug", false, false},
		{"debug/**", "", true, false},
		{"debug/**", ".", true, false},
		{"debug/**", "./debug", true, true},
		{"debug/", "debug", true, true},
		{"debug/*", "debug", true, false},
		{"debug/*", "debug/x", false, false},
		{"**/debug/", "a/debug", true, true},
		{"**/debug/", "a/b", true, false},
		{"a/**/*", "a", true, true},
		{"a/**/*.c", "a/x/y", true, false},
		{"a/**/*.c", "b", false, false},
		{"a/b/c", "a", true, false},
		{"a/b/c", "a/b", true, false},
		{"a/b/c", "a/b/c", false, false},
		{"a/b/c", "a/x", false, false},
		{"a/b?/c", "a/b\xc3\xa4", true, false},
		{"a/b?/c", "a/bcd", false, false},
		{"[ab]/**", "b", true, true},
		{"[ab]/**", "c", false, false},
		{"*/x/**", "any/x", true, true},
		{"/a", "x", false, false},
		{"/a", "", true, false},
	};
	char pattern[128], dir[128], path[300], rest[128];
	unsigned pruned = 0, all = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_glob *g = compiled(cases[i].pattern);
		size_t len = strlen(cases[i].dir);
		if (bm_glob_could_match_below(g, cases[i].dir, len) != cases[i].could)
			fail_msg("'%s' could match below '%s': not %d", cases[i].pattern, cases[i].dir, cases[i].could);
		if (bm_glob_matches_all_below(g, cases[i].dir, len) != cases[i].all)
			fail_msg("'%s' matches all below '%s': not %d", cases[i].pattern, cases[i].dir, cases[i].all);
		bm_glob_destroy(g);
	}
	for (int i = 0; i < 30000; i++) {
		random_pattern(pattern);
		random_path(dir, 3);
		struct bm_glob *g = compiled(pattern);
		bool could = bm_glob_could_match_below(g, dir, strlen(dir));
		bool every = bm_glob_matches_all_below(g, dir, strlen(dir));
		pruned += !could;
		all += every;
		assert_true(could || !every);
		for (int j = 0; j < 10; j++) {
			random_path(rest, 3);
			sprintf(path, "%s/%s", dir, rest);
			bool matches = slow_match(pattern, path);
			if ((matches && !could) || (!matches && every))
				fail_msg("'%s', dir '%s', path '%s': %d %d", pattern, dir, path, could, every);
		}
		bm_glob_destroy(g);
	}
	assert_true(pruned > 5000);
	assert_true(all > 500);
}

/* What back-tracking would not finish in a lifetime. */
static void linear_time(void **state)
{
	char pattern[4096] = "", path[4096];
	clock_t begin = clock();

	(void)state;
	for (int i = 0; i < 500; i++)
		strcat(pattern, "*a");
	strcat(pattern, "b");
	memset(path, 'a', 4095);
	path[4095] = '\0';
	assert_false(match(pattern, path));
	pattern[0] = '\0';
	for (int i = 0; i < 300; i++)
		strcat(pattern, "**/a*a/");
	strcat(pattern, "b");
	for (size_t i = 3; i < 4095; i += 4)
		path[i] = '/';
	path[4095] = '\0';
	path[4094] = 'a';
	assert_false(match(pattern, path));
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 5);
}

static void paths_with_odd_ends(void **state)
{
	struct bm_glob *g = compiled("**");

	(void)state;
	assert_false(bm_glob_match(g, "", 0));
	assert_false(bm_glob_match(g, NULL, 0));
	assert_false(bm_glob_match(g, ".", 1));
	assert_true(bm_glob_match(g, "a", 1));
	assert_true(bm_glob_could_match_below(g, NULL, 0));
	bm_glob_destroy(g);
	g = compiled("ab");
	assert_true(bm_glob_match(g, "abc", 2)); /* the length counts, not a NUL */
	bm_glob_destroy(g);
	/* A cut character at the end is not read past. */
	g = compiled("a?");
	char *tight = malloc(2);
	assert_non_null(tight);
	memcpy(tight, "a\xf0", 2);
	assert_true(bm_glob_match(g, tight, 2));
	assert_true(bm_glob_could_match_below(g, tight, 2));
	free(tight);
	bm_glob_destroy(g);
}

static void magic(void **state)
{
	static const struct {
		const char *text;
		bool magic;
		size_t prefix;
	} cases[] = {
		{"", false, 0},
		{"/", false, 1},
		{"a", false, 1},
		{"a*", true, 0},
		{"/a*", true, 1},
		{"//a*", true, 1},
		{"/var/log/a*/x", true, 8},
		{"/var/log/a/x", false, 12},
		{"/var/log/", false, 8},
		{"/var//log///*", true, 9},
		{"var/l?g/x", true, 3},
		{"var/[l]og/x", true, 3},
		{"a\\*b", false, 0},
		{"x/a\\*b/c*", true, 1},
		{"a\\\\*", true, 0},
		{"a\\", false, 0},
		{"..", false, 2},
		{"../x/*", true, 4},
		{"a]/b", false, 4},
		{"**/x", true, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (bm_glob_has_magic(cases[i].text) != cases[i].magic)
			fail_msg("magic of '%s'", cases[i].text);
		if (bm_glob_literal_prefix(cases[i].text) != cases[i].prefix)
			fail_msg("prefix of '%s': %zu", cases[i].text, bm_glob_literal_prefix(cases[i].text));
	}
}

static void no_memory(void **state)
{
	(void)state;
	for (unsigned n = 1;; n++) {
		struct bm_error err = BM_ERROR_INIT;
		struct bm_glob *g = NULL;
		fail_alloc_arm(n, false);
		enum bm_status status = bm_glob_compile("a/**/[b-d]?x*", &g, &err);
		if (!fail_alloc_disarm()) {
			assert_int_equal(status, BM_OK);
			bm_glob_destroy(g);
			assert_true(n > 4);
			break;
		}
		assert_int_equal(status, BM_ERR_NOMEM);
		assert_int_equal(err.status, BM_ERR_NOMEM);
		assert_null(g);
	}
	struct bm_glob *g = compiled("a/**/b");
	fail_alloc_arm(1, true);
	assert_true(bm_glob_match(g, "a/x/b", 5));
	assert_false(fail_alloc_disarm()); /* matching takes none */
	bm_glob_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(meanings), cmocka_unit_test(not_patterns), cmocka_unit_test(same_as_the_slow_matcher),
		cmocka_unit_test(pruning),  cmocka_unit_test(linear_time),  cmocka_unit_test(paths_with_odd_ends),
		cmocka_unit_test(magic),    cmocka_unit_test(no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
