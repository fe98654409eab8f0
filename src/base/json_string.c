/*
 * json_string.c - decoding one JSON string, or saying what is wrong with it.
 *
 * The scan and the look-up of places both need keys as they are meant, not as they are written: "\u0061" is "a". Runs
 * of plain ASCII, which is nearly all, are copied whole. Whatever jansson refuses is refused: raw control characters,
 * bytes that are not UTF-8, half surrogates, and NUL.
 */
#include <string.h>

#include "json_scan.h"
#include "bm_text.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The four digits of a \u at at, or -1. */
static int32_t hex_unit(const char *text, size_t len, size_t at)
{
	int32_t value = 0;

	if (len - at < 6)
		return -1;
	for (size_t i = at + 2; i < at + 6; i++) {
		int digit = hex_value(text[i]);
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static void put_utf8(struct bm_buf *out, uint32_t cp)
{
	unsigned char b[4];
	size_t n;

	if (cp < 0x80) {
		b[0] = (unsigned char)cp;
		n = 1;
	} else if (cp < 0x800) {
		b[0] = (unsigned char)(0xc0 | cp >> 6);
		n = 2;
	} else if (cp < 0x10000) {
		b[0] = (unsigned char)(0xe0 | cp >> 12);
		n = 3;
	} else {
		b[0] = (unsigned char)(0xf0 | cp >> 18);
		n = 4;
	}
	for (size_t i = 1; i < n; i++)
		b[i] = (unsigned char)(0x80 | (cp >> 6 * (n - 1 - i) & 0x3f));
	bm_buf_put(out, b, n);
}

const char *bm_json_string_decode(const char *text, size_t len, size_t at, struct bm_buf *out, size_t *end,
                                  size_t *what_len)
{
	static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *what;
	size_t i = at + 1;
	uint32_t cp = 0;

	*what_len = 1;
	while (i < len) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"') {
			*end = i + 1;
			return NULL;
		}
		if (c >= 0x20 && c < 0x80 && c != '\\') { /* most of it: take the whole run */
			size_t from = i++;
			while (i < len && (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x80 &&
			       text[i] != '\\' && text[i] != '"')
				i++;
			if (out != NULL)
				bm_buf_put(out, text + from, i - from);
			continue;
		}
		if (c == '\n' || c == '\r') {
			what = "a line ends within a string; close it with '\"', or write \\n for a line break";
			goto wrong;
		}
		if (c < 0x20) {
			what = "a control character within a string; write it as \\t or \\u00XX";
			goto wrong;
		}
		if (c >= 0x80) {
			size_t n = bm_utf8_decode(text + i, len - i, &cp);
			if (n == 0) {
				what = "a byte that is not UTF-8; save the file as UTF-8";
				goto wrong;
			}
			if (out != NULL)
				bm_buf_put(out, text + i, n);
			i += n;
			continue;
		}
		if (i + 1 == len)
			break;
		if (text[i + 1] != 'u') {
			const char *found = text[i + 1] != '\0' ? strchr(escapes, text[i + 1]) : NULL;
			if (found == NULL) {
				*what_len = 2;
				what = "an unknown escape; there are \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX (a "
				       "backslash itself is \\\\)";
				goto wrong;
			}
			if (out != NULL)
				bm_buf_putc(out, meant[found - escapes]);
			i += 2;
			continue;
		}
		int32_t unit = hex_unit(text, len, i);
		if (unit < 0) {
			*what_len = 2;
			what = "\\u needs four hexadecimal digits";
			goto wrong;
		}
		*what_len = 6;
		if (unit == 0) {
			what = "a NUL character, which neither keys nor values may hold; remove it";
			goto wrong;
		}
		cp = (uint32_t)unit;
		if (cp >= 0xd800 && cp <= 0xdfff) {
			int32_t low = cp < 0xdc00 && len - i >= 12 && text[i + 6] == '\\' && text[i + 7] == 'u'
			                      ? hex_unit(text, len, i + 6)
			                      : -1;
			if (low < 0xdc00 || low > 0xdfff) {
				what = "half of a surrogate pair; write both halves, or the character itself";
				goto wrong;
			}
			cp = 0x10000 + ((cp - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
			i += 6;
		}
		*what_len = 1;
		if (out != NULL)
			put_utf8(out, cp);
		i += 6;
	}
	*end = len;
	*what_len = 0;
	return "the text ends within a string; close it with '\"' (is the file cut short?)";

wrong:
	*end = i;
	return what;
}
