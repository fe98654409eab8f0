/* JSON: every fault with its place, pointer and remedy; duplicates; places; files of every kind; no memory. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "bm_error.h"
#include "bm_json.h"
#include "bm_text.h"
#include "fail_alloc.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What was reported: "line:column pointer: text\n" each. */
struct log {
	char text[8192];
	size_t len, count;
	struct bm_json_place last;
	char last_pointer[256];
};

static void note(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	struct log *log = ctx;

	log->count++;
	log->last = at;
	snprintf(log->last_pointer, sizeof(log->last_pointer), "%s", pointer);
	assert_true(bm_utf8_valid(text, strlen(text)));
	for (const char *p = text; *p != '\0'; p++)
		assert_true((unsigned char)*p >= 0x20);
	assert_true(text[0] != '\0');
	if (log->len < sizeof(log->text) - 1200)
		log->len += (size_t)snprintf(log->text + log->len, sizeof(log->text) - log->len, "%u:%u %.200s: %s\n",
		                             at.line, at.column, pointer, text);
}

/* Parses from memory that ends right behind the text, so that ASan sees a byte too many. */
static json_t *parse_n(const char *text, size_t len, struct log *log)
{
	char *tight = malloc(len != 0 ? len : 1);
	assert_non_null(tight);
	memcpy(tight, text, len);
	*log = (struct log){.len = 0};
	json_t *value = bm_json_parse(tight, len, note, log);
	free(tight);
	assert_true((value == NULL) == (log->count > 0));
	return value;
}

static void accepted(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		" \t\r\n{}\n",
		"0",
		"-0",
		"-1.5e+10",
		"1E5",
		"true",
		"false",
		"null",
		"\"\"",
		"[[],{}]",
		"{\"a\":1,\"b\":{\"a\":1}}",
		"[{\"a\":1},{\"a\":2}]",
		"\"\\u00e4\\ud83d\\ude00\\/\\b\"",
		"\"\xc3\xa4\x7f\"",
		"{\"\":1}",
		"{\"a\":1,\"A\":2,\"a \":3}",
		"9223372036854775807",
		"-9223372036854775808",
		"[1 , 2\n,3]",
		"{\"a\":{\"b\":1},\"b\":1}",
		"1e-400",
	};
	struct log log;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		json_t *value = parse_n(texts[i], strlen(texts[i]), &log);
		if (value == NULL)
			fail_msg("%s: %s", texts[i], log.text);
		json_decref(value);
	}
	json_t *value = parse_n("{\"a\":[1,2.5,\"x\"]}", 17, &log);
	assert_non_null(value);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(value, "a"), 0)), 1);
	json_decref(value);
}

static void syntax_faults(void **state)
{
#define T(text) text, sizeof(text) - 1
	static const struct {
		const char *text;
		size_t len;
		const char *at; /* "line:column pointer: " */
		const char *says[2];
	} cases[] = {
		{T(""), "1:1 : ", {"empty", "{ ... }"}},
		{T(" \n "), "2:2 : ", {"empty"}},
		{T("{"), "1:2 : ", {"ends within the object that begins at 1:1", "cut short"}},
		{T("{\"a\": [1, {\"b\": 2}"), "1:19 /a: ", {"the array that begins at 1:7", "']'"}},
		{T("{\"a\""), "1:5 /a: ", {"ends within the object"}},
		{T("{\"a\":"), "1:6 /a: ", {"ends within the object"}},
		{T("[1,"), "1:4 : ", {"ends within the array"}},
		{T("{\n\t\"a\": \"x"), "2:7 /a: ", {"ends within a string", "close it"}},
		{T("\"\\"), "1:1 : ", {"ends within a string"}},
		{T("{\"a"), "1:2 : ", {"ends within a string"}},
		{T("[1,]"), "1:4 : ", {"] after a comma", "remove the comma"}},
		{T("{\"a\":1,\n}"), "2:1 : ", {"} after a comma"}},
		{T("[,1]"), "1:2 /0: ", {"where a value should be"}},
		{T("[1,,2]"), "1:4 /1: ", {"where a value should be"}},
		{T("{\"a\":}"), "1:6 /a: ", {"where a value should be"}},
		{T("{\"a\":,"), "1:6 /a: ", {"where a value should be"}},
		{T("{,}"), "1:2 : ", {"where a key"}},
		{T("{a:1}"), "1:2 : ", {"found a", "double quotes"}},
		{T("{1:1}"), "1:2 : ", {"found 1", "double quotes"}},
		{T("{'a':1}"), "1:2 : ", {"found '", "double quotes"}},
		{T("['a']"), "1:2 /0: ", {"found '", "double quotes"}},
		{T("[\xe2\x80\x9c"
	           "a\xe2\x80\x9d]"),
	         "1:2 /0: ",
	         {"\xe2\x80\x9c", "double quotes"}},
		{T("{\"a\" 1}"), "1:6 /a: ", {"found 1 where ':'"}},
		{T("{\"a\"=1}"), "1:5 /a: ", {"write ':'"}},
		{T("{\"a\",\"b\"}"), "1:5 /a: ", {"':' and a value"}},
		{T("{\"a\":1 \"b\":2}"), "1:8 : ", {"comma is missing"}},
		{T("{\"a\":1\n \"b\":2}"), "2:2 : ", {"comma is missing"}},
		{T("[1 2]"), "1:4 : ", {"found 2", "comma is missing"}},
		{T("[[]{}]"), "1:4 : ", {"comma is missing"}},
		{T("[1}"), "1:3 : ", {"found }", "']'"}},
		{T("{\"a\":[{\"b\":1]}"), "1:13 /a/0: ", {"found ]", "object that begins at 1:7"}},
		{T("[1:2]"), "1:3 : ", {"found : where ',' or ']'"}},
		{T("{} {}"), "1:4 : ", {"behind the end"}},
		{T("{}x"), "1:3 : ", {"found x behind the end"}},
		{T("{}\n}"), "2:1 : ", {"behind the end"}},
		{T("{} // end"), "1:4 : ", {"no comments"}},
		{T("{}\0"), "1:3 : ", {"NUL byte"}},
		{T("[1\0]"), "1:3 : ", {"NUL byte"}},
		{T("// x\n{}"), "1:1 : ", {"no comments"}},
		{T("{/* x */}"), "1:2 : ", {"no comments"}},
		{T("[1, # x\n2]"), "1:5 /1: ", {"no comments"}},
		{T("[True]"), "1:2 /0: ", {"found True", "write true"}},
		{T("[None]"), "1:2 /0: ", {"found None", "write null"}},
		{T("[NaN]"), "1:2 /0: ", {"found NaN", "not a value"}},
		{T("[tru]"), "1:2 /0: ", {"found tru"}},
		{T("[truee]"), "1:2 /0: ", {"found truee"}},
		{T("[64KiB]"), "1:2 /0: ", {"found 64KiB", "double quotes"}},
		{T("[01]"), "1:2 /0: ", {"found 01", "begin with 0"}},
		{T("[-01]"), "1:2 /0: ", {"begin with 0"}},
		{T("[+1]"), "1:2 /0: ", {"found +1"}},
		{T("[.5]"), "1:2 /0: ", {"found .5"}},
		{T("[5.]"), "1:2 /0: ", {"found 5."}},
		{T("[1e]"), "1:2 /0: ", {"found 1e"}},
		{T("[1e+]"), "1:2 /0: ", {"found 1e+"}},
		{T("[-]"), "1:2 /0: ", {"found -"}},
		{T("[0x10]"), "1:2 /0: ", {"found 0x10"}},
		{T("[1-2]"), "1:2 /0: ", {"found 1-2"}},
		{T("[9223372036854775808]"), "1:2 /0: ", {"9223372036854775808 is too large"}},
		{T("{\"a\":\n1e400}"), "2:1 /a: ", {"1e400 is too large"}},
		{T("[\"a\nb\"]"), "1:4 /0: ", {"a line ends within a string", "\\n"}},
		{T("[\"a\tb\"]"), "1:4 /0: ", {"control character"}},
		{T("[\"a\0b\"]"), "1:4 /0: ", {"control character"}},
		{T("[\"C:\\dir\"]"), "1:5 /0: ", {"found \\d: an unknown escape", "\\\\"}},
		{T("[\"\\u12\"]"), "1:3 /0: ", {"four hexadecimal"}},
		{T("[\"\\u12g4\"]"), "1:3 /0: ", {"four hexadecimal"}},
		{T("\"\\u12"), "1:2 : ", {"four hexadecimal"}},
		{T("[\"\\u0000\"]"), "1:3 /0: ", {"NUL character"}},
		{T("{\"a\\u0000\":1}"), "1:4 : ", {"NUL character"}},
		{T("[\"\\ud800\"]"), "1:3 /0: ", {"found \\ud800", "surrogate"}},
		{T("[\"\\ud800\\u0041\"]"), "1:3 /0: ", {"surrogate"}},
		{T("[\"\\ud800\\n12345\"]"), "1:3 /0: ", {"surrogate"}},
		{T("[\"\\udc00\"]"), "1:3 /0: ", {"surrogate"}},
		{T("[\"\xff\"]"), "1:3 /0: ", {"found \\xff", "not UTF-8"}},
		{T("[\"\xed\xa0\x80\"]"), "1:3 /0: ", {"not UTF-8"}},
		{T("[\"\xc0\x80\"]"), "1:3 /0: ", {"not UTF-8"}},
		{T("[\"\xc3"), "1:3 /0: ", {"not UTF-8"}},
		{T("[\xe4]"), "1:2 /0: ", {"not UTF-8"}},
		{T("\xef\xbb\xbf{}"), "1:1 : ", {"byte order mark"}},
		{T("\xff\xfe{\0}\0"), "1:1 : ", {"UTF-16"}},
		{T("{\0}\0"), "1:2 : ", {"UTF-16"}},
		{T("\0{\0}"), "1:1 : ", {"UTF-16"}},
		{T("[\x1b]"), "1:2 /0: ", {"found \\x1b where a value"}},
		{T("{\"a/b\":{\"c~d\":[0,{\"\":x}]}}"), "1:22 /a~1b/c~0d/1/: ", {"found x"}},
		{T("\xc3\xa4"), "1:1 : ", {"where a value should be"}},
		{T("[\"\xc3\xa4\", x]"), "1:8 /1: ", {"found x"}}, /* columns are bytes */
	};
#undef T
	struct log log;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *value = parse_n(cases[i].text, cases[i].len, &log);
		if (value != NULL)
			fail_msg("accepted: %s", cases[i].text);
		assert_int_equal(log.count, 1);
		bool good = strncmp(log.text, cases[i].at, strlen(cases[i].at)) == 0;
		for (size_t j = 0; j < 2 && cases[i].says[j] != NULL; j++)
			good = good && strstr(log.text, cases[i].says[j]) != NULL;
		if (!good)
			fail_msg("%s\n want %s(%s)\n got  %s", cases[i].text, cases[i].at, cases[i].says[0], log.text);
	}
	assert_null(bm_json_parse(NULL, 0, note, &log));
}

static void depth(void **state)
{
	struct log log;
	char *text = malloc(1 << 20);

	(void)state;
	assert_non_null(text);
	for (size_t n = 2045; n <= 2052; n++) {
		for (int scalar = 0; scalar < 2; scalar++) {
			memset(text, '[', n);
			text[n] = '1';
			memset(text + n + (size_t)scalar, ']', n);
			size_t len = 2 * n + (size_t)scalar;
			json_t *value = parse_n(text, len, &log);
			assert_int_equal(value != NULL, n + (size_t)scalar <= 2048);
			if (value == NULL) {
				assert_non_null(strstr(log.text, "deeper than 2048 levels"));
				assert_int_equal(log.last.column, 2049);
			}
			json_decref(value);
		}
	}
	memset(text, '[', 1 << 20); /* no recursion to overflow */
	assert_null(parse_n(text, 1 << 20, &log));
	assert_non_null(strstr(log.text, "deeper"));
	for (size_t i = 0; i + 5 <= 1 << 20; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	assert_null(parse_n(text, (1 << 20) / 5 * 5, &log));
	assert_non_null(strstr(log.text, "deeper"));
	free(text);
}

static void duplicates(void **state)
{
	static const char text[] = "{\n"
				   " \"a\": 1,\n"
				   " \"b\": {\"x\": 1, \"y\": [], \"x\": 2},\n"
				   " \"a\": {\"a\": 0, \"b\": [{\"q\": 1, \"q\": 2}]},\n"
				   " \"\\u0061\": 3,\n"
				   " \"c/d\": 4, \"c\\/d\": 5,\n"
				   " \"x\": 6\n"
				   "}";
	struct log log;

	(void)state;
	assert_null(parse_n(text, sizeof(text) - 1, &log));
	assert_string_equal(log.text,
	                    "3:25 /b/x: duplicate key \"x\": it stands on line 3 already; keep one of them\n"
	                    "4:2 /a: duplicate key \"a\": it stands on line 2 already; keep one of them\n"
	                    "4:31 /a/b/0/q: duplicate key \"q\": it stands on line 4 already; keep one of them\n"
	                    "5:2 /a: duplicate key \"a\": it stands on line 2 already; keep one of them\n"
	                    "6:12 /c~1d: duplicate key \"c/d\": it stands on line 6 already; keep one of them\n");

	/* With a syntax error behind, both are told. */
	assert_null(parse_n("{\"a\":1,\"a\":2,}", 14, &log));
	assert_int_equal(log.count, 2);
	assert_non_null(strstr(log.text, "after a comma"));

	assert_null(parse_n("{\"\":1,\"\":2}", 11, &log));
	assert_int_equal(log.count, 1);
	assert_null(parse_n("{\"\\u001b\":1,\"\\u001b\":2}", 23, &log)); /* note() looks for raw ones */
	assert_int_equal(log.count, 1);
}

static void many_keys(void **state)
{
	enum { N = 100000 };
	struct bm_buf b = {0};
	struct log log;
	clock_t begin = clock();

	(void)state;
	/* All in one object, then the same twice, then nested objects that share them. */
	bm_buf_puts(&b, "{\"o\":{\"key1\":1},\"key0\":0");
	for (int i = 1; i < N; i++)
		bm_buf_printf(&b, ",\n\"key%d\":{\"key%d\":%d}", i, i, i);
	bm_buf_puts(&b, "}");
	assert_false(b.oom);
	json_t *value = parse_n(b.data, b.len, &log);
	assert_non_null(value);
	json_decref(value);

	b.len--;
	for (int i = 0; i < N; i++)
		bm_buf_printf(&b, ",\"key%d\":0", i);
	bm_buf_puts(&b, "}");
	assert_null(parse_n(b.data, b.len, &log));
	assert_int_equal(log.count, N);
	assert_string_equal(log.last_pointer, "/key99999");
	assert_int_equal(log.last.line, N);

	bm_buf_reset(&b);
	bm_buf_puts(&b, "[0");
	for (int i = 0; i < N; i++)
		bm_buf_puts(&b, ",{\"a\":{\"a\":1,\"b\":2},\"b\":3}");
	bm_buf_puts(&b, "]");
	value = parse_n(b.data, b.len, &log);
	assert_non_null(value);
	json_decref(value);
	bm_buf_fini(&b);
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 10);
}

static void too_long(void **state)
{
	struct log log;
	char *text = malloc(BM_JSON_MAX_BYTES + 1);

	(void)state;
	assert_non_null(text);
	memset(text, ' ', BM_JSON_MAX_BYTES + 1);
	memcpy(text, "[]", 2);
	json_t *value = parse_n(text, BM_JSON_MAX_BYTES, &log);
	assert_non_null(value);
	json_decref(value);
	assert_null(parse_n(text, BM_JSON_MAX_BYTES + 1, &log));
	assert_non_null(strstr(log.text, "16777217 bytes"));
	free(text);
}

/* Mutated texts: whatever jansson says must be said here too, and nothing reads past the end. */
static void same_as_jansson(void **state)
{
	static const char *const seeds[] = {
		"{\"jobs\": [{\"name\": \"n\", \"steps\": [{\"step\": \"read\", \"from\": \"/x\"}]}], \"k\": null}",
		"[1, -2.5e3, true, false, null, \"\\u00e4\\n\xc3\xa4\", {}, [], {\"a\": {\"b\": 0}}]",
		"{\"a\":\"\\ud83d\\ude00\",\"b\":[[[[]]]],\"\":0.1}",
	};
	static const char pieces[] = "{}[]:,\"\\ \n0123456789.-+eEu\"aftn\x01\x7f\xc3\xa4\xff\x00/#'";
	unsigned good = 0;
	struct log log;

	(void)state;
	srand(3);
	for (int round = 0; round < 60000; round++) {
		char text[256];
		const char *from = seeds[(size_t)rand() % COUNT(seeds)];
		size_t len = strlen(from);
		memcpy(text, from, len);
		for (int edits = rand() % 3 + (rand() % 4 != 0); edits > 0 && len > 1; edits--) {
			size_t at = (size_t)rand() % len;
			switch (rand() % 4) {
			case 0:
				text[at] = pieces[(size_t)rand() % (sizeof(pieces) - 1)];
				break;
			case 1:
				memmove(text + at, text + at + 1, len - at - 1);
				len--;
				break;
			case 2:
				memmove(text + at + 1, text + at, len - at);
				text[at] = pieces[(size_t)rand() % (sizeof(pieces) - 1)];
				len++;
				break;
			default:
				if (rand() % 4 == 0)
					len = at + 1;
			}
		}
		json_error_t error;
		json_t *want = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
		json_t *got = parse_n(text, len, &log);
		if (memchr(text, 0, len) != NULL) { /* jansson passes over one behind a number; RFC 8259 does not */
			assert_null(got);
			json_decref(want);
			continue;
		}
		if ((want == NULL) != (got == NULL))
			fail_msg("%.*s\n jansson: %s, here: %s", (int)len, text, want != NULL ? "good" : error.text,
			         log.text);
		if (want != NULL) {
			good++;
			assert_true(json_equal(want, got));
		} else {
			assert_true(log.last.line > 0 && log.last.column > 0);
			/* Not jansson's own words: the scan found the fault itself. */
			assert_null(strstr(log.text, " near "));
		}
		json_decref(want);
		json_decref(got);
	}
	assert_true(good > 3000);
}

static void check_place(const char *text, const char *pointer, bool key, unsigned line, unsigned column)
{
	struct bm_json_place at = bm_json_locate(text, strlen(text), pointer, key);

	if (at.line != line || at.column != column)
		fail_msg("'%s' (%d): %u:%u, not %u:%u", pointer, key, at.line, at.column, line, column);
}

static void places(void **state)
{
	static const char text[] = "\n"
				   " { \"a\" : 1 ,\n"
				   "   \"b]\\\"\": [ {\"x\":\"}\"} , \"s,]\\\\\" ,[ ], -1.5 ,\n"
				   "\ttrue, {\"deep\":\n"
				   "{\"er\" : null}}],\"m~n/o\":{\"\":2},\"\\u00e4\":\"\xc3\xa4\", \"0\": 7}\n";

	(void)state;
	check_place(text, "", false, 2, 2);
	check_place(text, "", true, 2, 2);
	check_place(text, "/a", false, 2, 10);
	check_place(text, "/a", true, 2, 4);
	check_place(text, "/b]\"", false, 3, 12);
	check_place(text, "/b]\"", true, 3, 4);
	check_place(text, "/b]\"/0", false, 3, 14);
	check_place(text, "/b]\"/0/x", false, 3, 19);
	check_place(text, "/b]\"/0/x", true, 3, 15);
	check_place(text, "/b]\"/1", false, 3, 26);
	check_place(text, "/b]\"/1", true, 3, 26);
	check_place(text, "/b]\"/2", false, 3, 35);
	check_place(text, "/b]\"/3", false, 3, 40);
	check_place(text, "/b]\"/4", false, 4, 2);
	check_place(text, "/b]\"/5/deep", false, 5, 1);
	check_place(text, "/b]\"/5/deep/er", false, 5, 9);
	check_place(text, "/b]\"/5/deep/er", true, 5, 2);
	check_place(text, "/m~0n~1o", true, 5, 17);
	check_place(text, "/m~0n~1o/", false, 5, 29);
	check_place(text, "/\xc3\xa4", true, 5, 32);
	check_place(text, "/\xc3\xa4", false, 5, 41);
	check_place(text, "/0", false, 5, 52);
	/* no such thing */
	check_place(text, "a", false, 0, 0);
	check_place(text, "/", false, 0, 0);
	check_place(text, "/z", false, 0, 0);
	check_place(text, "/a/0", false, 0, 0);
	check_place(text, "/b]\"/6", false, 0, 0);
	check_place(text, "/b]\"/2/0", false, 0, 0);
	check_place(text, "/b]\"/00", false, 0, 0);
	check_place(text, "/b]\"/-", false, 0, 0);
	check_place(text, "/b]\"/", false, 0, 0);
	check_place(text, "/b]\"/99999999999999999999999", false, 0, 0);
	check_place(text, "/m~2n", false, 0, 0);
	check_place(text, "/m~", false, 0, 0);
	check_place("", "", false, 0, 0);
	check_place("[1]", "/0", false, 1, 2);
	check_place("[\"a\\\",]\", 5]", "/1", false, 1, 11);
	check_place("{\"a\":[\"\\\"]\"], \"b\": 5}", "/b", false, 1, 20);
	check_place("\"x\"", "", false, 1, 1);
	check_place("\"x\"", "/0", false, 0, 0);

	/* Nested as deep as can be: no recursion. */
	char deep[4200], pointer[4200] = "";
	memset(deep, '[', 2000);
	memset(deep + 2000, ']', 2000);
	deep[4000] = '\0';
	for (int i = 0; i < 1999; i++)
		strcat(pointer, "/0");
	check_place(deep, pointer, false, 1, 2000);
}

/* Text that was never parsed gives some answer, and nothing is read past the end. */
static void places_in_broken_text(void **state)
{
	static const char text[] = "{\"a\": [1, \"x\\\"\", {\"b\": [true]}], \"c\" : {}}";
	static const char *const pointers[] = {"", "/a", "/a/2/b/0", "/c", "/z", "/a/9"};

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *tight = malloc(len != 0 ? len : 1);
		assert_non_null(tight);
		memcpy(tight, text, len);
		for (size_t i = 0; i < COUNT(pointers); i++)
			(void)bm_json_locate(tight, len, pointers[i], i % 2 == 0);
		for (size_t i = 0; i < len; i++) {
			tight[i] = "{}[]\",:\\ "[(len + i) % 9];
			for (size_t j = 0; j < COUNT(pointers); j++)
				(void)bm_json_locate(tight, len, pointers[j], false);
			tight[i] = text[i];
		}
		free(tight);
	}
}

static void pointers(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	bm_json_pointer_put(&b, "a");
	bm_json_pointer_put(&b, "");
	bm_json_pointer_put(&b, "m~n/o~1");
	assert_string_equal(b.data, "/a//m~0n~1o~01");
	bm_buf_fini(&b);
}

/* -- files -- */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bm-test-json-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
	char path[128];
	static const char *const names[] = {"f", "fifo", "b\x1b_d"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void read_plain_files(void **state)
{
	static const size_t sizes[] = {
		0, 1, 2, 100, 16383, 16384, 16385, 100000, BM_JSON_MAX_BYTES - 1, BM_JSON_MAX_BYTES};
	char *data = malloc(BM_JSON_MAX_BYTES + 1);

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i <= BM_JSON_MAX_BYTES; i++)
		data[i] = (char)(i * 31 + i / 256);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct bm_error err = BM_ERROR_INIT;
		char *text = NULL;
		size_t len = 99;
		write_file(in_dir("f"), data, sizes[i]);
		assert_int_equal(bm_json_read_file(in_dir("f"), &text, &len, &err), BM_OK);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(text, data, len);
		assert_int_equal(text[len], 0);
		free(text);
	}
	struct bm_error err = BM_ERROR_INIT;
	char *text = (char *)1;
	size_t len = 99;
	write_file(in_dir("f"), data, BM_JSON_MAX_BYTES + 1);
	assert_int_equal(bm_json_read_file(in_dir("f"), &text, &len, &err), BM_ERR_LIMIT);
	assert_null(text);
	assert_non_null(strstr(err.text, "16 MiB"));
	assert_string_equal(err.where, in_dir("f"));
	free(data);
}

static void refuse_a_large_file_unread(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	char *text;
	size_t len;

	(void)state;
	write_file(in_dir("f"), "", 0);
	assert_int_equal(truncate(in_dir("f"), (off_t)1 << 40), 0); /* a sparse terabyte */
	fail_alloc_arm(1, true);
	enum bm_status status = bm_json_read_file(in_dir("f"), &text, &len, &err);
	assert_false(fail_alloc_disarm());
	assert_int_equal(status, BM_ERR_LIMIT);
}

static void read_what_cannot_be(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(bm_json_read_file(in_dir("b\x1b_d"), &text, &len, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_non_null(strstr(err.text, "No such file"));
	assert_non_null(strstr(err.where, "/b\\x1b_d"));
	assert_null(text);

	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_json_read_file(dir, &text, &len, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EISDIR);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_json_read_file("", &text, &len, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, ENOENT);
	/* Endless, and of size 0 where one asks. */
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_json_read_file("/dev/zero", &text, &len, &err), BM_ERR_LIMIT);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_json_read_file("/proc/self/status", &text, &len, &err), BM_OK);
	assert_true(len > 100);
	free(text);
	assert_int_equal(bm_json_read_file("/dev/null", &text, &len, &err), BM_OK);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(text);
}

struct feed {
	int fd;
	const char *fifo;
	size_t total;
};

/* Writes in small, slow and odd pieces: short reads. */
static void *feeder(void *arg)
{
	struct feed *feed = arg;
	char piece[777];
	int fd = feed->fifo != NULL ? open(feed->fifo, O_WRONLY) : feed->fd;
	size_t done = 0;

	memset(piece, 'p', sizeof(piece));
	while (fd >= 0 && done < feed->total) {
		size_t n = feed->total - done < sizeof(piece) ? feed->total - done : sizeof(piece);
		ssize_t wrote = write(fd, piece, n);
		if (wrote < 0 && errno != EINTR)
			break;
		if (wrote > 0)
			done += (size_t)wrote;
		if (done % 10 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
	}
	close(fd);
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void read_pipes(void **state)
{
	struct bm_error err = BM_ERROR_INIT;
	char *text = NULL;
	size_t len = 0;
	pthread_t thread;
	struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART: reads are interrupted */
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};

	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	struct feed fifo = {.fd = -1, .fifo = in_dir("fifo"), .total = 60000};
	assert_int_equal(pthread_create(&thread, NULL, feeder, &fifo), 0);
	assert_int_equal(bm_json_read_file(in_dir("fifo"), &text, &len, &err), BM_OK);
	pthread_join(thread, NULL);
	assert_int_equal(len, 60000);
	assert_int_equal(strspn(text, "p"), 60000);
	free(text);

	/* Standard input, a pipe that does not block, under a rain of signals. */
	int saved = dup(STDIN_FILENO), ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	struct feed in = {.fd = ends[1], .total = 50000};
	assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, feeder, &in), 0);
	setitimer(ITIMER_REAL, &often, NULL);
	enum bm_status status = bm_json_read_file("-", &text, &len, &err);
	setitimer(ITIMER_REAL, &never, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(status, BM_OK);
	assert_int_equal(len, 50000);
	free(text);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* left open */

	/* Blocking, under the same. */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	in.fd = ends[1];
	assert_int_equal(pthread_create(&thread, NULL, feeder, &in), 0);
	setitimer(ITIMER_REAL, &often, NULL);
	status = bm_json_read_file("-", &text, &len, &err);
	setitimer(ITIMER_REAL, &never, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(status, BM_OK);
	assert_int_equal(len, 50000);
	free(text);

	/* Too much: it stops, and the writer gets EPIPE. */
	signal(SIGPIPE, SIG_IGN);
	struct feed much = {.fd = -1, .fifo = in_dir("fifo"), .total = (size_t)100 << 20};
	assert_int_equal(pthread_create(&thread, NULL, feeder, &much), 0);
	assert_int_equal(bm_json_read_file(in_dir("fifo"), &text, &len, &err), BM_ERR_LIMIT);
	pthread_join(thread, NULL);
	assert_null(text);

	/* A closed standard input is an error, not an empty file. */
	close(STDIN_FILENO);
	err = (struct bm_error)BM_ERROR_INIT;
	assert_int_equal(bm_json_read_file("-", &text, &len, &err), BM_ERR_SYSTEM);
	assert_int_equal(err.sys_errno, EBADF);
	assert_string_equal(err.where, "standard input");
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
}

/* -- no memory -- */

static void count_faults(void *ctx, struct bm_json_place at, const char *pointer, const char *text)
{
	(void)at;
	(void)pointer;
	(void)text;
	++*(int *)ctx;
}

/* What it gives ends where the page behind it cannot be read. */
#define PAGES ((size_t)1 << 16)

static void *guarded_malloc(size_t size)
{
	size_t used = (size + 15) & ~(size_t)15;
	void *asked = __wrap_malloc(1);
	char *p;

	if (asked == NULL)
		return NULL;
	free(asked);
	assert_true(used + 16 <= PAGES);
	p = mmap(NULL, 2 * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + PAGES, PAGES, PROT_NONE), 0);
	memcpy(p + PAGES - used - 16, &p, sizeof(p));
	return p + PAGES - used;
}

static void guarded_free(void *p)
{
	char *base;

	if (p == NULL)
		return;
	memcpy(&base, (char *)p - 16, sizeof(base));
	assert_int_equal(munmap(base, 2 * PAGES), 0);
}

static void no_memory(void **state)
{
	static const char good[] =
		"{\"a\":{\"b\":[1,{\"c\\u00e4\":\"ddddddddddddddddddddddddddddddddddddddddddd\"}]},\"e\":1.5}";
	static const char bad[] = "{\"a\":{\"b\":[1,{\"c\":1,\"c\":2}]},\"e\":x}";

	(void)state;
	json_t *whole = json_loads(good, 0, NULL);
	json_set_alloc_funcs(__wrap_malloc, free); /* jansson's own fail too */
	for (int which = 0; which < 2; which++) {
		const char *text = which == 0 ? good : bad;
		for (unsigned n = 1;; n++) {
			int faults = 0;
			fail_alloc_arm(n, n % 2 == 0);
			json_t *value = bm_json_parse(text, strlen(text), count_faults, &faults);
			bool hit = fail_alloc_disarm();
			if (hit && which == 0)
				assert_true(value == NULL || faults == 0);
			assert_true((value == NULL) == (faults > 0));
			if (which == 0 && value != NULL)
				assert_true(json_equal(value, whole)); /* not a byte is lost */
			json_decref(value);
			if (!hit) {
				assert_true(n > 5);
				assert_int_equal(value != NULL, which == 0);
				break;
			}
		}
	}
	/* The closing quote, too, where a buffer for the string would have to grow. */
	json_set_alloc_funcs(guarded_malloc, guarded_free);
	for (size_t len = 1; len < 70; len++) {
		char text[80] = {'"'};
		int faults = 0;

		memset(text + 1, 'd', len);
		text[len + 1] = '"';
		char *exact = bm_memdup0(text, len + 2);
		assert_non_null(exact);
		for (unsigned n = 1; n < 20; n++) {
			fail_alloc_arm(n, n % 2 == 0);
			json_t *value = bm_json_parse(exact, len + 2, count_faults, &faults);
			(void)fail_alloc_disarm();
			assert_true(value == NULL || json_string_length(value) == len);
			json_decref(value);
		}
		free(exact);
	}
	json_set_alloc_funcs(malloc, free);
	json_decref(whole);

	/* A place that is not found for want of memory is not known, no more. */
	for (unsigned n = 1;; n++) {
		fail_alloc_arm(n, true);
		struct bm_json_place at = bm_json_locate(good, strlen(good), "/a/b/1/c\xc3\xa4", true);
		if (!fail_alloc_disarm()) {
			assert_int_equal(at.column, 15);
			break;
		}
		assert_int_equal(at.line, 0);
	}

	write_file(in_dir("f"), good, sizeof(good) - 1);
	for (unsigned n = 1;; n++) {
		struct bm_error err = BM_ERROR_INIT;
		char *text = NULL;
		size_t len = 0;
		fail_alloc_arm(n, true);
		enum bm_status status = bm_json_read_file(in_dir("f"), &text, &len, &err);
		if (!fail_alloc_disarm()) {
			assert_int_equal(status, BM_OK);
			free(text);
			break;
		}
		assert_int_equal(status, BM_ERR_NOMEM);
		assert_null(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(syntax_faults),
		cmocka_unit_test(depth),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(many_keys),
		cmocka_unit_test(too_long),
		cmocka_unit_test(same_as_jansson),
		cmocka_unit_test(places),
		cmocka_unit_test(places_in_broken_text),
		cmocka_unit_test(pointers),
		cmocka_unit_test(read_plain_files),
		cmocka_unit_test(refuse_a_large_file_unread),
		cmocka_unit_test(read_what_cannot_be),
		cmocka_unit_test(read_pipes),
		cmocka_unit_test(no_memory),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
