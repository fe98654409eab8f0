/*
 * fuzz_text.c - what users write that is not JSON: "kind, then lines", the kinds being g (pattern, path), t (template,
 * path, path), s (size), d (duration), n (name). Patterns are compared with fnmatch(3) where the two mean the same; the
 * answers for directories must fit those for the paths below them; a template that claims to keep paths apart must do
 * so; a bound template gives what it gave before; and escaped names are what a terminal may see.
 */
#include <ctype.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

#include "bm_error.h"
#include "bm_glob.h"
#include "bm_template.h"
#include "bm_text.h"
#include "fuzz.h"

static void check_error(const struct bm_error *err)
{
	FUZZ_CHECK(err->status == BM_ERR_USAGE);
	FUZZ_CHECK(err->text[0] != '\0' && bm_utf8_valid(err->text, strlen(err->text)));
	for (const char *p = err->text; *p != '\0'; p++)
		FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

/* A relative path as the walk gives them: no empty, "." or ".." component. */
static bool is_path(const char *path)
{
	if (*path == '\0')
		return false;
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (path[0] == '.' && (n == 1 || (n == 2 && path[1] == '.'))))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
}

/* Does the pattern mean the same to fnmatch with FNM_PATHNAME? */
static bool is_common(const char *pattern, const char *path)
{
	for (const char *p = path; *p != '\0'; p++)
		if (!isascii(*p))
			return false;
	for (const char *p = pattern; *p != '\0'; p++)
		if (!isascii(*p) || *p == '[')
			return false;
	if (strstr(pattern, "**") != NULL || !is_path(pattern) || strstr(pattern, "\\/") != NULL ||
	    strstr(pattern, "\\.") != NULL)
		return false;
	return true;
}

static void try_glob(const char *pattern, const char *path)
{
	struct bm_error err = BM_ERROR_INIT;
	struct bm_glob *g = NULL;
	size_t len = strlen(path);
	const char *leaf = strrchr(path, '/');
	char dir[4096];
	bool match;

	FUZZ_CHECK(bm_glob_literal_prefix(pattern) <= strlen(pattern));
	(void)bm_glob_has_magic(pattern);
	if (bm_glob_compile(pattern, &g, &err) != BM_OK) {
		FUZZ_CHECK(g == NULL);
		check_error(&err);
		return;
	}
	match = bm_glob_match(g, path, len);
	FUZZ_CHECK(match == bm_glob_match(g, path, len));
	if (is_path(path)) {
		leaf = leaf != NULL ? leaf + 1 : path;
		if (is_common(pattern, path)) {
			const char *against = strchr(pattern, '/') != NULL ? path : leaf;

			FUZZ_CHECK(match == (fnmatch(pattern, against, FNM_PATHNAME) == 0));
		}
		for (size_t i = 0; i < len && i < sizeof(dir); i++) {
			bool below;

			if (path[i] != '/' && i != 0)
				continue;
			memcpy(dir, path, i);
			below = bm_glob_could_match_below(g, dir, i);
			FUZZ_CHECK(below || !match);
			FUZZ_CHECK(match || !bm_glob_matches_all_below(g, dir, i));
		}
	}
	bm_glob_destroy(g);
}

static void expand(const struct bm_template *t, const char *path, struct bm_buf *out)
{
	struct bm_template_values v = {
		.path = path,
		.path_len = strlen(path),
		.job = "job",
		.run = "20200102T030405Z-1",
		.algorithm = "sha256",
		.date = {.tm_year = 120, .tm_mon = 1, .tm_mday = 29, .tm_wday = 6, .tm_yday = 59}};

	bm_template_expand(t, &v, out);
	FUZZ_CHECK(!out->oom && out->data != NULL && strlen(out->data) == out->len);
}

static void try_template(const char *text, const char *a, const char *b)
{
	static const struct bm_template_values constants = {
		.job = "job",
		.run = "20200102T030405Z-1",
		.algorithm = "sha256",
		.date = {.tm_year = 120, .tm_mon = 1, .tm_mday = 29, .tm_wday = 6, .tm_yday = 59}};
	struct bm_error err = BM_ERROR_INIT;
	struct bm_template *t = NULL, *bound = NULL;
	struct bm_buf first = {0}, second = {0};
	const char *prefix;
	size_t prefix_len;

	if (bm_template_compile(text, BM_PH_FILE | BM_PH_JOB | BM_PH_RUN | BM_PH_DATE | BM_PH_ALGORITHM, &t, &err) !=
	    BM_OK) {
		FUZZ_CHECK(t == NULL);
		check_error(&err);
		return;
	}
	FUZZ_CHECK(strcmp(bm_template_text(t), text) == 0);
	prefix = bm_template_prefix(t, &prefix_len);
	if (is_path(a)) {
		expand(t, a, &first);
		FUZZ_CHECK(first.len >= prefix_len && memcmp(first.data, prefix, prefix_len) == 0);
		FUZZ_CHECK(bm_template_bind(t, &constants, &bound, &err) == BM_OK);
		FUZZ_CHECK((bm_template_uses(bound) & ~(unsigned)BM_PH_FILE) == 0);
		expand(bound, a, &second);
		FUZZ_CHECK(strcmp(first.data, second.data) == 0);
		bm_buf_reset(&second);
		if (is_path(b) && strcmp(a, b) != 0) {
			expand(t, b, &second);
			FUZZ_CHECK(!bm_template_is_injective(t) || strcmp(first.data, second.data) != 0);
		}
	}
	bm_buf_fini(&first);
	bm_buf_fini(&second);
	bm_template_destroy(bound);
	bm_template_destroy(t);
}

static void try_numbers(const char *text)
{
	struct bm_error err = BM_ERROR_INIT;
	uint64_t n = 4711;
	char shown[24];

	if (bm_size_parse(text, &n, &err) == BM_OK) {
		FUZZ_CHECK(strlen(bm_size_format(n, shown)) < 16);
	} else {
		FUZZ_CHECK(n == 4711);
		check_error(&err);
	}
	err = (struct bm_error)BM_ERROR_INIT;
	n = 4711;
	if (bm_duration_parse(text, &n, &err) == BM_OK) {
		FUZZ_CHECK(strlen(bm_duration_format(n, shown)) < 24);
	} else {
		FUZZ_CHECK(n == 4711);
		check_error(&err);
	}
}

static void try_name(const uint8_t *data, size_t len)
{
	struct bm_buf out = {0};
	char cut[64];

	bm_buf_puts(&out, "");
	bm_escape_display(&out, data, len);
	FUZZ_CHECK(!out.oom && bm_utf8_valid(out.data, out.len));
	for (size_t i = 0; i < out.len; i++)
		FUZZ_CHECK((unsigned char)out.data[i] >= 0x20 && out.data[i] != 0x7f);
	for (size_t size = 16; size < sizeof(cut); size++) {
		bm_escape_display_buf(cut, size, data, len);
		FUZZ_CHECK(strlen(cut) < size && bm_utf8_valid(cut, strlen(cut)));
		FUZZ_CHECK(out.len >= size || strcmp(cut, out.data) == 0);
		bm_escape_message_buf(cut, size, data, len);
		FUZZ_CHECK(strlen(cut) < size && bm_utf8_valid(cut, strlen(cut)));
	}
	bm_buf_reset(&out);
	bm_json_put_name(&out, "name", data, len);
	FUZZ_CHECK(bm_utf8_valid(out.data, out.len));
	bm_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text, *line[3] = {"", "", ""}, *rest;

	if (len == 0 || len > 4000)
		return 0;
	text = malloc(len);
	FUZZ_CHECK(text != NULL);
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	rest = text;
	for (size_t i = 0; i < 3 && rest != NULL; i++)
		line[i] = strsep(&rest, "\n");
	switch (data[0]) {
	case 'g':
		try_glob(line[0], line[1]);
		break;
	case 't':
		try_template(line[0], line[1], line[2]);
		break;
	case 's':
	case 'd':
		try_numbers(line[0]);
		break;
	default:
		try_name(data + 1, len - 1);
	}
	free(text);
	return 0;
}
