/*
 * escape.c - names for people (terminal, log) and for machines (JSON, HTML, base64, hex).
 *
 * Everything here works on units: a unit is one valid UTF-8 character, or else one byte that does not belong to any.
 * For display a unit is either printed as it is or written as an escape, and an escape is never cut apart. What is
 * escaped: all that could move the cursor, start a terminal sequence, end a line or make text read in another order
 * than it is stored; so besides controls and the bidirectional embeddings and isolates also the marks U+061C, U+200E,
 * U+200F, the separators U+2028, U+2029 and the byte order mark. Escapes are of bytes, so they can be undone: a name
 * read back from a log is exact.
 *
 * JSON is exact for valid UTF-8 as it is; the same risky characters are written as \uXXXX all the same, which means the
 * same to a reader and nothing to a terminal.
 */
#include <stdio.h>
#include <string.h>

#include "bm_text.h"

#define UNIT_MAX 12 /* three bytes, "\xHH" each; the risky characters are never longer */
#define HTML_MESSAGE_BYTES 1100

static const char hex_digits[] = "0123456789abcdef";

size_t bm_utf8_decode(const void *data, size_t len, uint32_t *cp)
{
	const unsigned char *p = data;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
		c = p[0] & 0x1fu;
	} else if ((p[0] & 0xf0) == 0xe0) {
		n = 3;
		c = p[0] & 0x0fu;
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		c = p[0] & 0x07u;
	} else {
		return 0;
	}
	if (len < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return n;
}

bool bm_utf8_valid(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint32_t cp;

	for (size_t i = 0, n; i < len; i += n) {
		n = bm_utf8_decode(p + i, len - i, &cp);
		if (n == 0)
			return false;
	}
	return true;
}

/* Controls, C1, DEL, and what reorders or breaks a line. */
static bool is_risky(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xfeff;
}

/* Writes the unit at data[0] as it is shown to out and its length to *shown; returns how many bytes it took. */
static size_t show_unit(const unsigned char *data, size_t len, bool keep_backslash, char out[static UNIT_MAX],
                        size_t *shown)
{
	uint32_t cp = 0;
	size_t n = bm_utf8_decode(data, len, &cp);

	if (n != 0 && !is_risky(cp) && (cp != '\\' || keep_backslash)) {
		memcpy(out, data, n);
		*shown = n;
		return n;
	}
	if (n == 1 && (cp == '\n' || cp == '\r' || cp == '\t' || cp == '\\')) {
		out[0] = '\\';
		out[1] = cp == '\n' ? 'n' : cp == '\r' ? 'r' : cp == '\t' ? 't' : '\\';
		*shown = 2;
		return 1;
	}
	if (n == 0)
		n = 1;
	for (size_t i = 0; i < n; i++) {
		out[4 * i] = '\\';
		out[4 * i + 1] = 'x';
		out[4 * i + 2] = hex_digits[data[i] >> 4];
		out[4 * i + 3] = hex_digits[data[i] & 15];
	}
	*shown = 4 * n;
	return n;
}

void bm_escape_display(struct bm_buf *out, const void *name, size_t len)
{
	const unsigned char *p = name;
	char unit[UNIT_MAX];
	size_t shown;

	for (size_t i = 0; i < len;) {
		size_t plain = i; /* nearly all of nearly all names */

		while (plain < len && p[plain] >= ' ' && p[plain] < 0x7f && p[plain] != '\\')
			plain++;
		bm_buf_put(out, p + i, plain - i);
		i = plain;
		if (i == len)
			break;
		i += show_unit(p + i, len - i, false, unit, &shown);
		bm_buf_put(out, unit, shown);
	}
}

/* Two passes and no memory: the first finds the whole length, the second writes the units that lie in the head part
 * and, where the whole is too long, those that lie in the tail part. */
static const char *show_cut(char *buf, size_t size, const unsigned char *p, size_t len, bool keep_backslash)
{
	char unit[UNIT_MAX];
	size_t shown, total = 0, at = 0, used = 0;
	size_t head, tail_from;
	bool dots = false;

	for (size_t i = 0; i < len; total += shown)
		i += show_unit(p + i, len - i, keep_backslash, unit, &shown);
	if (total < size) {
		head = total;
		tail_from = total;
	} else {
		head = (size - 1 - 3 + 1) / 2;
		tail_from = total - (size - 1 - 3 - head);
	}
	for (size_t i = 0; i < len; at += shown) {
		i += show_unit(p + i, len - i, keep_backslash, unit, &shown);
		if ((!dots && at + shown <= head) || at >= tail_from) {
			memcpy(buf + used, unit, shown);
			used += shown;
		} else if (!dots) {
			dots = true;
			memcpy(buf + used, "...", 3);
			used += 3;
		}
	}
	buf[used] = '\0';
	return buf;
}

const char *bm_escape_display_buf(char *buf, size_t size, const void *name, size_t len)
{
	return show_cut(buf, size, name, len, false);
}

const char *bm_escape_message_buf(char *buf, size_t size, const void *text, size_t len)
{
	return show_cut(buf, size, text, len, true);
}

void bm_json_put_string(struct bm_buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t plain = 0; /* where the run of bytes that need nothing done began */
	uint32_t cp;

	bm_buf_putc(out, '"');
	for (size_t i = 0, n; i < len; i += n) {
		n = bm_utf8_decode(p + i, len - i, &cp);
		if (n != 0 && cp != '"' && cp != '\\' && !is_risky(cp))
			continue;
		if (i > plain)
			bm_buf_put(out, p + plain, i - plain);
		if (n == 0) {
			n = 1;
			bm_buf_puts(out, "\xef\xbf\xbd");
		} else {
			const char *from = "\"\\\b\f\n\r\t", *to = "\"\\bfnrt";
			const char *found = cp != 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
			if (found != NULL)
				bm_buf_printf(out, "\\%c", to[found - from]);
			else
				bm_buf_printf(out, "\\u%04x", (unsigned)cp); /* all risky ones are below U+10000 */
		}
		plain = i + n;
	}
	if (len > plain)
		bm_buf_put(out, p + plain, len - plain);
	bm_buf_putc(out, '"');
}

void bm_json_put_name(struct bm_buf *out, const char *key, const void *name, size_t len)
{
	bm_buf_printf(out, "\"%s\":", key);
	bm_json_put_string(out, name, len);
	if (bm_utf8_valid(name, len))
		return;
	bm_buf_printf(out, ",\"%s_base64\":\"", key);
	bm_base64_put(out, name, len);
	bm_buf_putc(out, '"');
}

void bm_base64_put(struct bm_buf *out, const void *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)p[i] << 16;
		if (n > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (n > 2)
			bits |= p[i + 2];
		char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63], n > 1 ? digits[bits >> 6 & 63] : '=',
		                n > 2 ? digits[bits & 63] : '='};
		bm_buf_put(out, four, sizeof(four));
	}
}

void bm_hex_put(struct bm_buf *out, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++) {
		char two[2] = {hex_digits[p[i] >> 4], hex_digits[p[i] & 15]};
		bm_buf_put(out, two, sizeof(two));
	}
}

void bm_html_put_text(struct bm_buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		switch (*text) {
		case '&':
			bm_buf_puts(out, "&amp;");
			break;
		case '<':
			bm_buf_puts(out, "&lt;");
			break;
		case '>':
			bm_buf_puts(out, "&gt;");
			break;
		case '"':
			bm_buf_puts(out, "&quot;");
			break;
		case '\'':
			bm_buf_puts(out, "&#39;");
			break;
		default:
			bm_buf_putc(out, *text);
		}
}

/* dir: the direction of its letters must not turn what stands beside it. */
void bm_html_put_name(struct bm_buf *out, const void *name, size_t len)
{
	struct bm_buf shown = {0};

	bm_escape_display(&shown, name, len);
	bm_buf_puts(out, "<code dir=\"auto\">");
	if (shown.oom)
		out->oom = true;
	else
		bm_html_put_text(out, shown.data != NULL ? shown.data : "");
	bm_buf_puts(out, "</code>");
	bm_buf_fini(&shown);
}

void bm_html_put_message(struct bm_buf *out, const char *text)
{
	char shown[HTML_MESSAGE_BYTES];

	bm_html_put_text(out, bm_escape_message_buf(shown, sizeof(shown), text, strlen(text)));
}
