/* Sizes, durations, escapes, UTF-8, JSON strings, base64, hex, misspellings. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

#include "bm_error.h"
#include "bm_text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"123", 123},
		{"123B", 123},
		{"123 b", 123},
		{"64KiB", 65536},
		{"64kib", 65536},
		{"64K", 65536},
		{"64Ki", 65536},
		{"64kB", 64000},
		{"64KB", 64000},
		{"1MiB", 1048576},
		{"1M", 1048576},
		{"1mb", 1000000},
		{"2GB", 2000000000},
		{"10 GiB", 10737418240},
		{"10   GiB", 10737418240},
		{"1G", 1073741824},
		{"1T", 1099511627776},
		{"1TB", 1000000000000},
		{"1P", 1125899906842624},
		{"1PB", 1000000000000000},
		{"1.5MiB", 1572864},
		{"1.50MiB", 1572864},
		{"0.5K", 512},
		{"1.0", 1},
		{"2.000", 2},
		{"0.001kB", 1},
		{"1.234567 MB", 1234567},
		{"0.00000000000000088817841970012523233890533447265625PiB", 1},
		{"16383.99999999999999911182158029987476766109466552734375PiB", UINT64_MAX},
		{"18446744073709551615", UINT64_MAX},
		{"000000000000000000000000000007", 7},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		uint64_t bytes = 99;
		print_message("%s\n", cases[i].text);
		assert_int_equal(bm_size_parse(cases[i].text, &bytes, &err), BM_OK);
		assert_true(bytes == cases[i].bytes);
		assert_int_equal(err.status, BM_OK);
	}
}

static void not_sizes(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "empty"},
		{" ", "not a size"},
		{" 1", "not a size"},
		{"1 ", "not a size"},
		{"1K ", "not a size"},
		{"1\tK", "not a size"},
		{"-1", "negative"},
		{"-0", "negative"},
		{"+1", "not a size"},
		{"K", "not a size"},
		{".5K", "not a size"},
		{"1.K", "not a size"},
		{"1.", "not a size"},
		{"1..5K", "not a size"},
		{"1,5K", "not a size"},
		{"1KBB", "not a size"},
		{"1iB", "not a size"},
		{"1KiBs", "not a size"},
		{"1E", "not a size"},
		{"1EiB", "not a size"},
		{"1e3", "not a size"},
		{"0x10", "not a size"},
		{"nan", "not a size"},
		{"inf", "not a size"},
		{"1 2", "not a size"},
		{"1\xc2\xa0K", "not a size"},
		{"0.3KiB", "not a whole number"},
		{"1.5", "not a whole number"},
		{"1.5B", "not a whole number"},
		{"0.0001kB", "not a whole number"},
		{"18446744073709551616", "too large"},
		{"16384PiB", "too large"},
		{"18446744073709551615K", "too large"},
		{"99999999999999999999999999999999", "too large"},
		{"18446744073709551615.5K", "too large"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		uint64_t bytes = 99;
		print_message("'%s'\n", cases[i].text);
		assert_int_equal(bm_size_parse(cases[i].text, &bytes, &err), BM_ERR_USAGE);
		assert_true(bytes == 99);
		assert_int_equal(err.status, BM_ERR_USAGE);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_string_equal(err.where, "");
		if (strstr(cases[i].says, "a size") != NULL)
			assert_non_null(strstr(err.text, "\"64KiB\"")); /* says what is allowed */
	}
	assert_int_equal(bm_size_parse("x", &(uint64_t){0}, NULL), BM_ERR_USAGE);

	struct bm_error err = BM_ERROR_INIT;
	char hostile[4096];
	memset(hostile, '\x1b', sizeof(hostile) - 1);
	hostile[sizeof(hostile) - 1] = '\0';
	assert_int_equal(bm_size_parse(hostile, &(uint64_t){0}, &err), BM_ERR_USAGE);
	assert_null(strchr(err.text, '\x1b'));
	assert_non_null(strstr(err.text, "\"64KiB\"")); /* a long name does not push it out */
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} cases[] = {
		{"0", 0},
		{"90", 90000},
		{"1.5", 1500},
		{"0.001", 1},
		{"250ms", 250},
		{"90s", 90000},
		{"15m", 900000},
		{"2h", 7200000},
		{"1d", 86400000},
		{"2w", 1209600000},
		{"1h30m", 5400000},
		{"1h 30m", 5400000},
		{"1 h 30 m", 5400000},
		{"1.5h", 5400000},
		{"1w1d1h1m1s1ms", 604800000 + 86400000 + 3600000 + 60000 + 1000 + 1},
		{"1d1ms", 86400001},
		{"100m", 6000000},
		{"18446744073709551615ms", UINT64_MAX},
		{"18446744073709551s615ms", UINT64_MAX},
		{"18446744073709551.615", UINT64_MAX},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		uint64_t ms = 99;
		print_message("%s\n", cases[i].text);
		assert_int_equal(bm_duration_parse(cases[i].text, &ms, &err), BM_OK);
		assert_true(ms == cases[i].ms);
	}
}

static void not_durations(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "empty"},
		{"-1s", "negative"},
		{" 1s", "not a duration"},
		{"1s ", "not a duration"},
		{"1 ", "not a duration"},
		{"s", "not a duration"},
		{"1x", "not a duration"},
		{"1S", "not a duration"},
		{"1M", "not a duration"},
		{"1min", "not a duration"},
		{"1h30", "not a duration"},
		{"1:30", "not a duration"},
		{"1h,30m", "not a duration"},
		{"1hm", "not a duration"},
		{"1..5h", "not a duration"},
		{"30m1h", "large to small"},
		{"1h1h", "large to small"},
		{"1ms1s", "large to small"},
		{"1.5ms", "not a whole number"},
		{"0.0001", "not a whole number"},
		{"18446744073709551616ms", "too large"},
		{"18446744073709551615s", "too large"},
		{"18446744073709551s616ms", "too large"},
		{"99999999999999999999w", "too large"},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct bm_error err = BM_ERROR_INIT;
		uint64_t ms = 99;
		print_message("'%s'\n", cases[i].text);
		assert_int_equal(bm_duration_parse(cases[i].text, &ms, &err), BM_ERR_USAGE);
		assert_true(ms == 99);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_string_equal(err.where, "");
	}
}

static void formats(void **state)
{
	static const struct {
		uint64_t value;
		const char *text;
	} sizes_out[] = {
		{0, "0 B"},
		{1, "1 B"},
		{512, "512 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{1029, "1 KiB"},    /* 1.0049 */
		{1030, "1.01 KiB"}, /* 1.0059 */
		{10234, "9.99 KiB"},
		{10236, "10 KiB"},
		{10291, "10 KiB"},
		{10292, "10.1 KiB"},
		{102348, "99.9 KiB"},
		{102349, "100 KiB"},
		{1047552, "1023 KiB"},
		{1048063, "1023 KiB"},
		{1048064, "1 MiB"}, /* 1023.5 KiB */
		{1048575, "1 MiB"},
		{1395864371, "1.3 GiB"},
		{1438814044, "1.34 GiB"},
		{1ull << 60, "1 EiB"},
		{(1ull << 60) - 1, "1 EiB"},
		{(1ull << 63) + (1ull << 62), "12 EiB"},
		{UINT64_MAX, "16 EiB"},
	};
	static const struct {
		uint64_t value;
		const char *text;
	} durations_out[] = {
		{0, "0 s"},
		{5, "0.005 s"},
		{630, "0.63 s"},
		{999, "0.999 s"},
		{1000, "1 s"},
		{1230, "1.23 s"},
		{9999, "9.99 s"},
		{12345, "12.3 s"},
		{59999, "59.9 s"},
		{60000, "0:01:00"},
		{65000, "0:01:05"},
		{3599999, "0:59:59"},
		{3600000, "1:00:00"},
		{3723000, "1:02:03"},
		{360000000, "100:00:00"},
		{UINT64_MAX, "5124095576030:25:51"},
	};
	char buf[24];

	(void)state;
	for (size_t i = 0; i < COUNT(sizes_out); i++) {
		assert_string_equal(bm_size_format(sizes_out[i].value, buf), sizes_out[i].text);
		assert_true(strlen(buf) < 16);
	}
	for (size_t i = 0; i < COUNT(durations_out); i++)
		assert_string_equal(bm_duration_format(durations_out[i].value, buf), durations_out[i].text);

	/* Against floating point, where that is exact enough to decide. */
	uint64_t x = 88172645463325252u;
	for (int i = 0; i < 20000; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		uint64_t value = x >> (x % 60);
		double shown, unit = 1;
		char name[8];
		bm_size_format(value, buf);
		assert_true(strlen(buf) < 16);
		assert_int_equal(sscanf(buf, "%lf %7s", &shown, name), 2);
		for (const char *p = "KMGTPE"; name[0] != 'B' && *p != '\0'; p++) {
			unit *= 1024;
			if (*p == name[0])
				break;
		}
		double error = shown * unit / ((double)value + 1e-300) - 1;
		assert_true(value == 0 || (error < 0.00501 && error > -0.00501));
	}
}

static const char *escaped(const char *name, size_t len)
{
	static struct bm_buf b;

	bm_buf_fini(&b);
	bm_escape_display(&b, name, len);
	return b.data != NULL ? b.data : "";
}

static void escape(void **state)
{
	(void)state;
	assert_string_equal(escaped("plain-name.txt", 14), "plain-name.txt");
	assert_string_equal(escaped("", 0), "");
	assert_string_equal(escaped("a b~", 4), "a b~");
	assert_string_equal(escaped("n\nr\rt\tb\\", 8), "n\\nr\\rt\\tb\\\\");
	assert_string_equal(escaped("\0\x01\x1b[31m\x7f", 8), "\\x00\\x01\\x1b[31m\\x7f");
	assert_string_equal(escaped("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_string_equal(escaped("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", 8), "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\xc2\xa0");
	assert_string_equal(escaped("\xe2\x80\xaa\xe2\x80\xae", 6), "\\xe2\\x80\\xaa\\xe2\\x80\\xae");
	assert_string_equal(escaped("\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", 9),
	                    "\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa");
	assert_string_equal(escaped("\xe2\x80\x8e\xe2\x80\xa8\xef\xbb\xbf\xd8\x9c", 11),
	                    "\\xe2\\x80\\x8e\\xe2\\x80\\xa8\\xef\\xbb\\xbf\\xd8\\x9c");
	/* lone, cut, overlong, surrogate, too high */
	assert_string_equal(escaped("\xa4x\xc3", 3), "\\xa4x\\xc3");
	assert_string_equal(escaped("\xe2\x82", 2), "\\xe2\\x82");
	assert_string_equal(escaped("\xc0\xaf", 2), "\\xc0\\xaf");
	assert_string_equal(escaped("\xe0\x80\xaf", 3), "\\xe0\\x80\\xaf");
	assert_string_equal(escaped("\xed\xa0\x80", 3), "\\xed\\xa0\\x80");
	assert_string_equal(escaped("\xf4\x90\x80\x80", 4), "\\xf4\\x90\\x80\\x80");
	assert_string_equal(escaped("\xf5\xff", 2), "\\xf5\\xff");
	escaped("", 0);
}

/* Undoes an escape; false where it is not one. */
static size_t undo(const char *text, unsigned char *out)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text != '\\') {
			out[n++] = (unsigned char)*text;
			continue;
		}
		text++;
		if (*text == 'x') {
			char hex[3] = {text[1], text[2], '\0'};
			out[n++] = (unsigned char)strtoul(hex, NULL, 16);
			text += 2;
		} else {
			out[n++] = *text == 'n' ? '\n' : *text == 'r' ? '\r' : *text == 't' ? '\t' : '\\';
		}
	}
	return n;
}

static void escape_is_exact_and_safe(void **state)
{
	static const char *const pieces[] = {
		"a",    "\\",   "x",        "\n",   "\x1b", "\xff", "\xc3\xa4", "\xe2\x80\xae", "\xf0\x9f\x98\x80",
		"\xe2", "\x80", "\xc2\x9b", "\x7f", "/"};
	unsigned char back[512];
	char name[64], cut[128];

	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t len = 0;
		for (int i = rand() % 12; i > 0; i--) {
			const char *piece = pieces[(size_t)rand() % COUNT(pieces)];
			memcpy(name + len, piece, strlen(piece));
			len += strlen(piece);
		}
		const char *whole = escaped(name, len);
		size_t whole_len = strlen(whole);
		assert_int_equal(undo(whole, back), len);
		assert_memory_equal(back, name, len);
		assert_true(bm_utf8_valid(whole, whole_len));
		for (size_t i = 0; i < whole_len; i++)
			assert_true((unsigned char)whole[i] >= 0x20 && whole[i] != 0x7f);

		size_t size = 16 + (size_t)rand() % 60;
		memset(cut, 'Z', sizeof(cut));
		assert_ptr_equal(bm_escape_display_buf(cut, size, name, len), cut);
		assert_int_equal(cut[size], 'Z');
		assert_true(strlen(cut) < size);
		assert_true(bm_utf8_valid(cut, strlen(cut)));
		const char *dots = strstr(cut, "...");
		if (whole_len < size) {
			assert_string_equal(cut, whole);
		} else {
			assert_non_null(dots);
			size_t head = (size_t)(dots - cut), tail = strlen(dots + 3);
			assert_memory_equal(cut, whole, head);
			assert_string_equal(whole + whole_len - tail, dots + 3);
			assert_true(head + tail + 3 + 22 >= size - 1); /* at most 11 bytes lost on each side */
			/* No escape is cut apart: each end undone is a part of the name. */
			char part[128];
			memcpy(part, cut, head);
			part[head] = '\0';
			size_t n = undo(part, back);
			assert_memory_equal(back, name, n);
			n = undo(dots + 3, back);
			assert_memory_equal(back, name + len - n, n);
		}
	}
	escaped("", 0);
}

static void messages_keep_backslashes(void **state)
{
	char buf[64];

	(void)state;
	bm_escape_message_buf(buf, sizeof(buf), "a\\n\n\\\xff", 6);
	assert_string_equal(buf, "a\\n\\n\\\\xff");
	bm_escape_message_buf(buf, sizeof(buf), NULL, 0);
	assert_string_equal(buf, "");
}

static void utf8(void **state)
{
	uint32_t cp = 0;

	(void)state;
	assert_true(bm_utf8_valid("", 0));
	assert_true(bm_utf8_valid(NULL, 0));
	assert_int_equal(bm_utf8_decode("", 0, &cp), 0);
	/* Every code point, encoded by hand, and its prefixes. */
	for (uint32_t c = 0; c <= 0x110010; c++) {
		unsigned char b[4];
		size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
		for (size_t i = 0; i < n; i++)
			b[i] = (unsigned char)((i == 0 ? lead[n] : 0x80) |
			                       (n == 1 ? c
			                               : (c >> 6 * (n - 1 - i) & (i == 0 ? 0xffu >> (n + 1) : 0x3fu))));
		bool good = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		if (bm_utf8_decode(b, n, &cp) != (good ? n : 0) || (good && cp != c) || bm_utf8_valid(b, n) != good)
			fail_msg("U+%X", c);
		for (size_t i = 1; i < n; i++)
			if (bm_utf8_valid(b, i))
				fail_msg("U+%X cut to %zu", c, i);
	}
	/* Every two bytes: overlongs and lone ones. */
	for (unsigned i = 0; i < 65536; i++) {
		unsigned char b[2] = {(unsigned char)(i >> 8), (unsigned char)i};
		bool good =
			(b[0] < 0x80 && b[1] < 0x80) || (b[0] >= 0xc2 && b[0] <= 0xdf && b[1] >= 0x80 && b[1] <= 0xbf);
		if (bm_utf8_valid(b, 2) != good)
			fail_msg("%02x %02x", b[0], b[1]);
	}
}

static const char *json(const char *data, size_t len)
{
	static struct bm_buf b;

	bm_buf_fini(&b);
	if (data != NULL)
		bm_json_put_string(&b, data, len);
	return b.data;
}

static void json_strings(void **state)
{
	(void)state;
	assert_string_equal(json("", 0), "\"\"");
	assert_string_equal(json("a/b \xc3\xa4", 6), "\"a/b \xc3\xa4\"");
	assert_string_equal(json("\"\\\b\f\n\r\t", 7), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
	assert_string_equal(json("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\\u007f\"");
	assert_string_equal(json("\xc2\x9b\xe2\x80\xae", 5), "\"\\u009b\\u202e\"");
	assert_string_equal(json("\xff", 1), "\"\xef\xbf\xbd\"");
	assert_string_equal(json("a\xe2\x82z", 4), "\"a\xef\xbf\xbd\xef\xbf\xbdz\""); /* each bad byte */

	/* What a parser reads back is what was put in. */
	char bytes[300];
	size_t n = 0;
	for (int c = 1; c < 128; c++)
		bytes[n++] = (char)c;
	memcpy(bytes + n, "\xc2\x85\xe2\x80\xa8\xf0\x9f\x98\x80", 9);
	n += 9;
	json_t *back = json_loads(json(bytes, n), JSON_DECODE_ANY, NULL);
	assert_non_null(back);
	assert_int_equal(json_string_length(back), n);
	assert_memory_equal(json_string_value(back), bytes, n);
	json_decref(back);
	json(NULL, 0);
}

static void json_names(void **state)
{
	struct bm_buf b = {0};

	(void)state;
	bm_json_put_name(&b, "path", "a\nb", 3);
	assert_string_equal(b.data, "\"path\":\"a\\nb\"");
	bm_buf_reset(&b);
	bm_json_put_name(&b, "path",
	                 "\xff"
	                 "a",
	                 2);
	assert_string_equal(b.data, "\"path\":\"\xef\xbf\xbd"
	                            "a\",\"path_base64\":\"/2E=\"");
	bm_buf_fini(&b);
}

/* Made safe twice: what a terminal would obey is shown, then what a browser would. */
static void html(void **state)
{
	(void)state;
	struct bm_buf b = {0};

	bm_html_put_text(&b, "<a href=\"x\" id='y'>&amp;</a>");
	assert_string_equal(b.data, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;");
	bm_buf_reset(&b);
	bm_html_put_name(&b, "<\x1b\xff\\\xe2\x80\xae>", 8);
	assert_string_equal(b.data, "<code dir=\"auto\">&lt;\\x1b\\xff\\\\\\xe2\\x80\\xae&gt;</code>");
	bm_buf_reset(&b);
	bm_html_put_name(&b, "", 0);
	assert_string_equal(b.data, "<code dir=\"auto\"></code>");
	bm_buf_reset(&b);
	bm_html_put_message(&b, "a\\x1b<b>\x1b");
	assert_string_equal(b.data, "a\\x1b&lt;b&gt;\\x1b");
	bm_buf_reset(&b);
	char text[5000]; /* cut, and still only whole characters and entities */
	memset(text, '<', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	bm_html_put_message(&b, text);
	assert_true(b.len < sizeof(text) && b.len % 4 == 3);
	assert_non_null(strstr(b.data, "&lt;...&lt;"));
	bm_buf_fini(&b);
}

static void base64_and_hex(void **state)
{
	static const char *const cases[][2] = {/* RFC 4648, section 10 */
	                                       {"", ""},
	                                       {"f", "Zg=="},
	                                       {"fo", "Zm8="},
	                                       {"foo", "Zm9v"},
	                                       {"foob", "Zm9vYg=="},
	                                       {"fooba", "Zm9vYmE="},
	                                       {"foobar", "Zm9vYmFy"}};
	struct bm_buf b = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		bm_buf_reset(&b);
		bm_buf_put(&b, NULL, 0);
		bm_base64_put(&b, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(b.data, cases[i][1]);
	}
	bm_buf_reset(&b);
	bm_base64_put(&b, "\xfb\xff\xbf\x00", 4);
	assert_string_equal(b.data, "+/+/AA==");
	bm_buf_reset(&b);
	bm_hex_put(&b, "\x00\x0f\xa5\xff", 4);
	assert_string_equal(b.data, "000fa5ff");
	bm_buf_fini(&b);
}

static void suggestions(void **state)
{
	static const char *const list[] = {"compress", "decompress", "encrypt", "decrypt", "hash",
	                                   "copy",     "read",       "write",   NULL};
	static const char *const empty[] = {NULL};

	(void)state;
	assert_string_equal(bm_suggest("compres", list), "compress");
	assert_string_equal(bm_suggest("COMPRESS", list), "compress");
	assert_string_equal(bm_suggest("comperss", list), "compress"); /* two swapped: 1 */
	assert_string_equal(bm_suggest("hahs", list), "hash");
	assert_string_equal(bm_suggest("hsh", list), "hash");
	assert_string_equal(bm_suggest("hashh", list), "hash");
	assert_string_equal(bm_suggest("wirte", list), "write");
	assert_string_equal(bm_suggest("raed", list), "read");
	assert_string_equal(bm_suggest("decrypt", list), "decrypt");
	assert_string_equal(bm_suggest("dencrypt", list), "encrypt"); /* both are 1 away: the first of the list */
	assert_null(bm_suggest("zzz", list));
	assert_null(bm_suggest("", list));
	assert_null(bm_suggest("hash", empty));
	/* The limit is 1 + len/4: 3 letters 1, 4 letters 2. */
	static const char *const one[] = {"abcd", NULL};
	assert_string_equal(bm_suggest("abc", one), "abcd");
	assert_null(bm_suggest("abx", one));
	assert_string_equal(bm_suggest("abxy", one), "abcd");
	assert_null(bm_suggest("axyz", one));
	/* Optimal string alignment, not Damerau's: a swapped pair is not edited again ("cade" to "abcde" is 3). */
	static const char *const osa[] = {"abcde", NULL};
	assert_null(bm_suggest("cade", osa));

	char word[4000];
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_null(bm_suggest(word, list));
	const char *const long_list[] = {word, "hash", NULL};
	assert_string_equal(bm_suggest("hsah", long_list), "hash");
	word[128] = '\0';
	assert_ptr_equal(bm_suggest(word, long_list), word);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(not_sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(not_durations),
		cmocka_unit_test(formats),
		cmocka_unit_test(escape),
		cmocka_unit_test(escape_is_exact_and_safe),
		cmocka_unit_test(messages_keep_backslashes),
		cmocka_unit_test(utf8),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(json_names),
		cmocka_unit_test(html),
		cmocka_unit_test(base64_and_hex),
		cmocka_unit_test(suggestions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
