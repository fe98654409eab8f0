/*
 * entry.c - what all kinds of lines are made of: digests, names, and the words for what is wrong.
 *
 * A million lines are a hundred million bytes, most of them hex digits: they are decoded and counted in one pass, two
 * look-ups a byte. Nothing is allocated for a line; digests lie in the reader, the name in the line itself.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bm_text.h"
#include "manifest_private.h"

/* One more than the digit is worth; 0: no digit. */
static const uint8_t hex_values[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
	['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

enum line_result line_bad(struct bm_manifest_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->fault, sizeof(r->fault), fmt, ap);
	va_end(ap);
	return LINE_BAD;
}

enum line_result line_bad_at(struct bm_manifest_reader *r, const char *text, size_t len, const char *what)
{
	char shown[80];

	bm_escape_display_buf(shown, sizeof(shown), text, len);
	return line_bad(r, "%s; found \"%s\"", what, shown);
}

bool is_hex(char c)
{
	return hex_values[(unsigned char)c] != 0;
}

size_t hex_decode(const char *text, size_t len, uint8_t out[static MAX_DIGEST_BYTES])
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	for (; n + 2 <= len && n < 2 * MAX_DIGEST_BYTES; n += 2) {
		int high = hex_values[p[n]] - 1, low = hex_values[p[n + 1]] - 1;

		if ((high | low) < 0)
			break;
		out[n / 2] = (uint8_t)(high << 4 | low);
	}
	return n + (n < len && is_hex(text[n]) ? 1 : 0);
}

unsigned cached_code(struct bm_manifest_reader *r, const char *tag, size_t len)
{
	struct known_tag *t;

	for (size_t i = 0; i < r->tag_count; i++)
		if (r->tags[i].len == len && memcmp(r->tags[i].text, tag, len) == 0)
			return r->tags[i].code;
	if (len > sizeof(t->text))
		return ALGORITHM_NONE; /* as no name of one is that long */
	t = &r->tags[r->tag_next];
	r->tag_next = (r->tag_next + 1) % TAGS_KNOWN;
	if (r->tag_count < TAGS_KNOWN)
		r->tag_count++;
	memcpy(t->text, tag, len);
	t->len = len;
	t->code = algorithm_find(tag, len);
	return t->code;
}

enum line_result add_digest(struct bm_manifest_reader *r, struct bm_manifest_entry *e, unsigned code, bool is_guess)
{
	struct algorithm a = algorithm_get(code);
	size_t i = e->digest_count;

	r->digests[i] = (struct bm_manifest_digest){a.digest, a.name, r->digest_bytes[i], a.len, is_guess};
	e->digest_count = i + 1;
	e->digests = r->digests;
	return LINE_ENTRY;
}

enum line_result add_hex(struct bm_manifest_reader *r, struct bm_manifest_entry *e, unsigned code, const char *text,
                         size_t len)
{
	struct algorithm a = algorithm_get(code);
	size_t digits;

	if (e->digest_count == BM_MANIFEST_DIGESTS_MAX)
		return line_bad(r, "more than %d digests in one line", BM_MANIFEST_DIGESTS_MAX);
	digits = hex_decode(text, len, r->digest_bytes[e->digest_count]);
	if (digits != len && digits <= 2 * MAX_DIGEST_BYTES)
		return line_bad_at(r, text, len, "a digest that is not all hexadecimal digits");
	if (digits != 2 * a.len)
		return line_bad(r, "a %s digest has %zu hexadecimal digits, this one has %zu", a.name, 2 * a.len, len);
	return add_digest(r, e, code, false);
}

enum line_result add_unnamed(struct bm_manifest_reader *r, struct bm_manifest_entry *e, size_t digits)
{
	unsigned code = ALGORITHM_NONE;

	if (digits > 2 * MAX_DIGEST_BYTES)
		return line_bad(r, "a digest of more than %zu hexadecimal digits, as no known algorithm has",
		                2 * MAX_DIGEST_BYTES);
	if (digits % 2 == 0)
		code = r->code_of_length[digits / 2];
	if (code != ALGORITHM_NONE)
		return add_digest(r, e, code, r->guess_of_length[digits / 2]);
	if (r->hint_is_strict && r->hint < HINT_NONE)
		return line_bad(r, "a %s digest has %zu hexadecimal digits, this one has %zu",
		                algorithm_get(r->hint).name, 2 * algorithm_get(r->hint).len, digits);
	return line_bad(r,
	                "a digest of %zu hexadecimal digits, as no known algorithm has that this line could be of (cut "
	                "short? or say which algorithm)",
	                digits);
}

static unsigned unsafe_of(const char *name)
{
	unsigned unsafe = name[0] == '/' ? BM_MANIFEST_ABSOLUTE : 0;

	for (const char *p = name; (p = strstr(p, "..")) != NULL; p += 2)
		if ((p == name || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return unsafe | BM_MANIFEST_DOT_DOT;
	return unsafe;
}

enum line_result set_name(struct bm_manifest_reader *r, struct bm_manifest_entry *e, char *name, size_t len)
{
	if (len == 0)
		return line_bad(r, "a line without a name");
	name[len] = '\0';
	if (r->strip_dot_slash) {
		while (len > 2 && name[0] == '.' && name[1] == '/') {
			size_t n = 2;

			while (n < len && name[n] == '/')
				n++;
			if (n == len)
				break;
			name += n;
			len -= n;
		}
	}
	e->name = name;
	e->name_len = len;
	e->unsafe = unsafe_of(name);
	return LINE_ENTRY;
}

enum line_result unescape(struct bm_manifest_reader *r, char *name, size_t *len)
{
	size_t n = 0;

	for (size_t i = 0; i < *len; i++) {
		char c = name[i];

		if (c == '\\') {
			c = i + 1 < *len ? name[++i] : '\0';
			if (c == 'n')
				c = '\n';
			else if (c == 'r')
				c = '\r';
			else if (c != '\\')
				return line_bad_at(r, name + i - (c != '\0' ? 1 : 0), c != '\0' ? 2 : 1,
				                   "a line that starts with a backslash has \\\\, \\n and \\r in "
				                   "its name, and no other backslash");
		}
		name[n++] = c;
	}
	*len = n;
	return LINE_ENTRY;
}
