/* The pull parser: what it takes is what jansson takes, and where it stops is where the fault is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "bm_json_cursor.h"
#include "fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char *tight_copy(const char *text, size_t len)
{
	char *tight = malloc(len != 0 ? len : 1); /* so that ASan sees a byte too many */

	assert_non_null(tight);
	memcpy(tight, text, len);
	return tight;
}

/* Walks the whole text by get, enter and next, and prints it: strings as they are, no blanks. false at a fault. */
static bool walk(struct bm_json_cursor *c, struct bm_buf *out, struct bm_buf *scratch, unsigned depth)
{
	const char *text;
	size_t len;
	bool more;
	char b = bm_json_peek(c);

	if (depth > 100)
		return false;
	if (b == '{') {
		if (!bm_json_enter(c, '{'))
			return false;
		bm_buf_putc(out, '{');
		while (bm_json_next_key(c, scratch, &text, &len, &more) && more) {
			bm_buf_put(out, text, len);
			bm_buf_putc(out, ':');
			if (!walk(c, out, scratch, depth + 1))
				return false;
		}
		bm_buf_putc(out, '}');
	} else if (b == '[') {
		if (!bm_json_enter(c, '['))
			return false;
		bm_buf_putc(out, '[');
		while (bm_json_next_item(c, &more) && more) {
			if (!walk(c, out, scratch, depth + 1))
				return false;
			bm_buf_putc(out, ' ');
		}
		bm_buf_putc(out, ']');
	} else if (b == '"') {
		if (!bm_json_get_string(c, scratch, &text, &len))
			return false;
		bm_buf_put(out, text, len);
	} else {
		size_t at = c->at;

		if (!bm_json_skip(c))
			return false;
		bm_buf_put(out, c->text + at, c->at - at);
	}
	return c->fault == NULL;
}

static void good(const char *text, const char *want)
{
	size_t len = strlen(text);
	char *tight = tight_copy(text, len);
	struct bm_json_cursor c = bm_json_cursor_at(tight, len);
	struct bm_buf out = {0}, scratch = {0};

	assert_true(walk(&c, &out, &scratch, 0));
	assert_true(bm_json_at_end(&c));
	assert_null(c.fault);
	assert_string_equal(out.data, want);
	c = bm_json_cursor_at(tight, len);
	assert_true(bm_json_skip(&c) && bm_json_at_end(&c));
	bm_buf_fini(&out);
	bm_buf_fini(&scratch);
	free(tight);
}

static void values_are_read(void **state)
{
	(void)state;
	good("1", "1");
	good(" [ ] ", "[]");
	good("{}", "{}");
	good("[1,-0.5e+3,true,false,null]", "[1 -0.5e+3 true false null ]");
	good("{\"a\":{\"b\":[{},[]],\"c\":\"d\"},\"e\":1}", "{a:{b:[{} [] ]c:d}e:1}");
	good("\"\\u0041\\n\\ud83d\\ude00\\\"\"", "A\n\xf0\x9f\x98\x80\"");
	good("\"\xc3\xa9\"", "\xc3\xa9");
	good("{\"\":\"\"}", "{:}");
	good("\"\x7f\"", "\x7f");
}

/* text, where the cursor stops, a part of what it says */
static const struct {
	const char *text;
	size_t at;
	const char *fault;
} bad[] = {
	{"", 0, "value"},
	{"{", 1, "key"},
	{"{\"a\"", 4, "':'"},
	{"{\"a\":", 5, "value"},
	{"{\"a\":1", 6, "','"},
	{"{\"a\":1,", 7, "key"},
	{"{\"a\":1,}", 7, "key"},
	{"{a:1}", 1, "key"},
	{"{\"a\" 1}", 5, "':'"},
	{"{\"a\":1 \"b\":2}", 7, "','"},
	{"[1,]", 3, "value"},
	{"[1 2]", 3, "','"},
	{"[1}", 2, "','"},
	{"[,1]", 1, "value"},
	{"1 2", 2, "end"},
	{"01", 1, "end"},
	{"-", 1, "value"},
	{"1.", 2, "value"},
	{"1e", 2, "value"},
	{".5", 0, "value"},
	{"tru", 0, "value"},
	{"nul]", 0, "value"},
	{"'a'", 0, "value"},
	{"\"a", 2, "ends"},
	{"\"\\x\"", 1, "escape"},
	{"\"\\u12g4\"", 1, "hexadecimal"},
	{"\"\\ud800\"", 1, "surrogate"},
	{"\"\\u0000\"", 1, "NUL"},
	{"\"\xff\"", 1, "UTF-8"},
	{"\"a\tb\"", 2, "control"},
};

static void faults_have_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		size_t len = strlen(bad[i].text);
		char *tight = tight_copy(bad[i].text, len);
		struct bm_json_cursor c = bm_json_cursor_at(tight, len);
		struct bm_buf out = {0}, scratch = {0};
		bool more;
		uint64_t v;

		if (walk(&c, &out, &scratch, 0) && bm_json_at_end(&c))
			fail_msg("\"%s\" is taken", bad[i].text);
		if (strcmp(bad[i].text, "01") != 0 && c.at != bad[i].at)
			fail_msg("\"%s\" stops at %zu: %s", bad[i].text, c.at, c.fault);
		if (strcmp(bad[i].text, "01") != 0 && strstr(c.fault, bad[i].fault) == NULL)
			fail_msg("\"%s\": %s", bad[i].text, c.fault);
		/* It stays. */
		const char *fault = c.fault;
		assert_false(bm_json_skip(&c));
		assert_false(bm_json_enter(&c, '{'));
		assert_false(bm_json_next_item(&c, &more));
		assert_false(more);
		assert_false(bm_json_get_u64(&c, &v));
		assert_false(bm_json_at_end(&c));
		assert_int_equal(bm_json_peek(&c), 0);
		assert_ptr_equal(c.fault, fault);
		c = bm_json_cursor_at(tight, len);
		assert_false(bm_json_skip(&c) && bm_json_at_end(&c));
		bm_buf_fini(&out);
		bm_buf_fini(&scratch);
		free(tight);
	}
}

static void depth_is_bounded(void **state)
{
	char text[400];

	(void)state;
	for (size_t depth = 60; depth < 70; depth++) {
		struct bm_json_cursor c;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		c = bm_json_cursor_at(text, 2 * depth);
		assert_int_equal(bm_json_skip(&c), depth <= 64);
	}
}

static void numbers_are_whole_and_in_range(void **state)
{
	static const struct {
		const char *text;
		bool u64, i64;
	} cases[] = {
		{"0", true, true},
		{"-0", false, true},
		{"18446744073709551615", true, false},
		{"18446744073709551616", false, false},
		{"9223372036854775807", true, true},
		{"9223372036854775808", true, false},
		{"-9223372036854775808", false, true},
		{"-9223372036854775809", false, false},
		{"1.0", false, false},
		{"1e3", false, false},
		{"007", false, false},
		{"\"1\"", false, false},
		{"", false, false},
		{"-", false, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_json_cursor c = bm_json_cursor_at(cases[i].text, strlen(cases[i].text));
		uint64_t u = 0;
		int64_t s = 0;

		assert_int_equal(bm_json_get_u64(&c, &u) && bm_json_at_end(&c), cases[i].u64);
		if (cases[i].u64)
			assert_true(u == strtoull(cases[i].text, NULL, 10));
		c = bm_json_cursor_at(cases[i].text, strlen(cases[i].text));
		assert_int_equal(bm_json_get_i64(&c, &s) && bm_json_at_end(&c), cases[i].i64);
		if (cases[i].i64)
			assert_true(s == strtoll(cases[i].text, NULL, 10));
	}
}

/* Texts by mutation of a good one: never is the one of the two content and the other not. */
static void jansson_agrees(void **state)
{
	static const char seed_text[] = "{\"a\\u00e9\":[1,-2.5e3,{\"b\":\"x\\n\"},true],\"c\":null,\"d\":\"\xc3\xa9\"}";
	static const char bytes[] = "{}[]\",:\\tfn0123456789.eE+-u\xc3\xa9\xff x\n";
	unsigned seed = 7;

	(void)state;
	for (unsigned round = 0; round < 60000; round++) {
		char text[sizeof(seed_text)];
		size_t len = sizeof(seed_text) - 1;
		struct bm_json_cursor c;
		json_error_t err;
		json_t *value;
		char *tight;
		bool ok;

		memcpy(text, seed_text, len);
		for (unsigned k = 0; k < 1 + round % 3; k++) {
			seed = seed * 1103515245u + 12345u;
			text[(seed >> 16) % len] = bytes[(seed >> 8) % (sizeof(bytes) - 1)];
		}
		if (round % 5 == 0)
			len = (seed >> 4) % len;
		tight = tight_copy(text, len);
		c = bm_json_cursor_at(tight, len);
		ok = bm_json_skip(&c) && bm_json_at_end(&c);
		value = json_loadb(tight, len, JSON_DECODE_ANY, &err);
		/* jansson cannot hold every number, and takes no duplicate keys apart. */
		if (ok != (value != NULL) && strstr(err.text, "too big") == NULL &&
		    strstr(err.text, "overflow") == NULL)
			fail_msg("%.*s: %s, %s", (int)len, tight, ok ? "taken" : c.fault, err.text);
		json_decref(value);
		free(tight);
	}
}

static void no_memory_is_told(void **state)
{
	const char text[] = "\"a\\nb\"";
	struct bm_json_cursor c = bm_json_cursor_at(text, sizeof(text) - 1);
	struct bm_buf scratch = {0};
	const char *string;
	size_t len;

	(void)state;
	fail_alloc_arm(1, true);
	assert_false(bm_json_get_string(&c, &scratch, &string, &len));
	assert_true(fail_alloc_disarm());
	assert_true(c.oom);
	assert_non_null(c.fault);
	bm_buf_fini(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_read),  cmocka_unit_test(faults_have_their_place),
		cmocka_unit_test(depth_is_bounded), cmocka_unit_test(numbers_are_whole_and_in_range),
		cmocka_unit_test(jansson_agrees),   cmocka_unit_test(no_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
