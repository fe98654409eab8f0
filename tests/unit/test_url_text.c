/* URLs as text: what is shown of them, names, what is refused, encoding. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bm_error.h"
#include "bm_url.h"
#include "bm_walk.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void kinds(void **state)
{
	(void)state;
	assert_true(bm_url_is("http://a"));
	assert_true(bm_url_is("HTTPS://a"));
	assert_true(bm_url_is("s3://"));
	assert_false(bm_url_is("http:/a"));
	assert_false(bm_url_is("/http://a"));
	assert_false(bm_url_is("ftp://a"));
	assert_false(bm_url_is(""));
	assert_false(bm_url_is(NULL));
}

static void redacted(void **state)
{
	static const char *const cases[][2] = {
		{"https://me:word@host.example:8/a?b=c", "https://host.example:8/a?b=c"},
		{"https://me@host.example", "https://host.example"},
		{"https://a@b@host.example/x@y", "https://host.example/x@y"},
		{"http://h/a?X-Amz-Signature=1&x=2&X-Amz-Credential=A%2FB",
	         "http://h/a?X-Amz-Signature=...&x=2&X-Amz-Credential=..."},
		{"http://h/a?sig=1", "http://h/a?sig=..."},
		{"http://h?TOKEN=1&&token=#frag", "http://h?TOKEN=...&&token=..."},
		{"http://h/a?tokens=1&sig", "http://h/a?tokens=1&sig"},
		{"http://h/a?access-token=1&private_token=2&authToken=3&author=4",
	         "http://h/a?access-token=...&private_token=...&authToken=...&author=4"},
		{"http://h/a#secret", "http://h/a"},
		{"s3://bucket/a?b#c@d", "s3://bucket/a?b#c@d"},
		{"/plain/path?sig=1", "/plain/path?sig=1"},
		{"", ""},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_buf b = {0};
		bm_url_redact(&b, cases[i][0], strlen(cases[i][0]));
		bm_buf_puts(&b, "");
		assert_string_equal(b.data, cases[i][1]);
		bm_buf_fini(&b);
	}
}

static void names(void **state)
{
	static const char *const cases[][2] = {
		{"http://h/a/b.gz", "b.gz"},
		{"http://h/a/b%20c%C3%BC?x=/y/z#/w", "b c\xC3\xBC"},
		{"http://h/", "index.html"},
		{"http://h", "index.html"},
		{"http://h?x=/y", "index.html"},
		{"http://h/..", "_.."},
		{"http://h/%2e%2E", "_.."},
		{"http://h/.", "_."},
		{"http://h/..%2f..%2Fetc", ".._.._etc"},
		{"http://h/a%00b", "a_b"},
		{"http://h/a%2", "a%2"},
		{"http://h/%", "%"},
		{"http://h/...", "..."},
		{"http://h/.bytemill-x.tmp", "_.bytemill-x.tmp"},
		{"s3://b/a/b%20c", "b%20c"},
		{"s3://b/a/what?#", "what?#"},
		{"s3://b/a/", "index.html"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_buf b = {0};
		bm_url_put_name(&b, cases[i][0]);
		assert_string_equal(b.data, cases[i][1]);
		assert_true(bm_url_name_is_safe(b.data, b.len));
		bm_buf_fini(&b);
	}
	assert_true(bm_url_name_is_safe("a/b/..c", 7));
	assert_false(bm_url_name_is_safe("", 0));
	assert_false(bm_url_name_is_safe("/a", 2));
	assert_false(bm_url_name_is_safe("a/", 2));
	assert_false(bm_url_name_is_safe("a//b", 4));
	assert_false(bm_url_name_is_safe("a/../b", 6));
	assert_false(bm_url_name_is_safe("a/.", 3));
	assert_false(bm_url_name_is_safe("a\0b", 3));
}

static void refused(void **state)
{
	static const struct {
		const char *url;
		bool good;
	} cases[] = {
		{"http://h", true},      {"https://h:1/a b?c@d", true},
		{"s3://b/k@l", true},    {"http://", false},
		{"http:///a", false},    {"http://me:word@h/", false},
		{"http://me@h/", false}, {"http://h/\n", false},
		{"s3://b", false},       {"s3://b/", false},
		{"s3:///k", false},      {"file:///a", false},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		assert_int_equal(bm_url_check(cases[i].url, &err), cases[i].good ? BM_OK : BM_ERR_USAGE);
		assert_null(strstr(err.text, "word@"));
	}
}

static void encoded(void **state)
{
	struct bm_buf b = {0};
	(void)state;
	bm_url_put_encoded(&b, "a/B9-._~ %?#\xC3\xBC\n\0z", 15);
	assert_string_equal(b.data, "a/B9-._~%20%25%3F%23%C3%BC%0A");
	bm_buf_reset(&b);
	bm_url_put_encoded(&b, "x\0y", 3);
	assert_string_equal(b.data, "x%00y");
	bm_buf_fini(&b);
}

static void entries(void **state)
{
	struct bm_url_item item = {.url = (char *)(uintptr_t) "http://me:x@h/a?sig=1", .has_size = true, .size = 7};
	struct bm_error err = BM_ERROR_INIT;
	(void)state;
	item.digest[BM_URL_SHA256] = (char *)(uintptr_t) "00";
	assert_int_equal(bm_url_item_check(&item, &err), BM_ERR_USAGE);
	struct bm_entry *e = bm_url_entry(&item);
	assert_non_null(e);
	assert_int_equal(e->kind, BM_ENTRY_URL);
	assert_string_equal(e->display, "http://h/a?sig=...");
	assert_string_equal(e->path, "a");
	assert_string_equal(e->url->url, item.url);
	assert_string_equal(e->url->digest[BM_URL_SHA256], "00");
	assert_true(e->has_stat && e->st.size == 7);
	bm_entry_destroy(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),   cmocka_unit_test(redacted), cmocka_unit_test(names),
		cmocka_unit_test(refused), cmocka_unit_test(encoded),  cmocka_unit_test(entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
