/*
 * json_cursor.c - a pull parser: the caller's code is the grammar's state, so nothing is built and nothing is kept but
 * a position.
 *
 * A comma is due before every key or item but the first of its object or array. "first" says so for the innermost one;
 * whoever leaves an inner one is behind a value of the outer one, which then is not at its first any more. So one flag
 * does for any depth.
 *
 * Faults are static texts, since what a caller makes of them is a line "file:line: ..., found ...": the place is at.
 * Nearly all strings are plain ASCII without escapes: they are found by one pass and handed out as they lie. The rest
 * goes through bm_json_string_decode, which is strict.
 */
#include "bm_json_cursor.h"

#include <string.h>

#include "json_scan.h"

#define SKIP_DEPTH 64u

static bool fail(struct bm_json_cursor *c, const char *what)
{
	if (c->fault == NULL)
		c->fault = what;
	return false;
}

static bool is_blank(char b)
{
	return b == ' ' || b == '\t' || b == '\n' || b == '\r';
}

char bm_json_peek(struct bm_json_cursor *c)
{
	if (c->fault != NULL)
		return '\0';
	while (c->at < c->len && is_blank(c->text[c->at]))
		c->at++;
	return c->at < c->len ? c->text[c->at] : '\0';
}

static bool expect(struct bm_json_cursor *c, char byte, const char *what)
{
	if (bm_json_peek(c) != byte || c->fault != NULL || c->at == c->len)
		return fail(c, what);
	c->at++;
	return true;
}

bool bm_json_enter(struct bm_json_cursor *c, char bracket)
{
	c->first = true;
	return expect(c, bracket, bracket == '{' ? "expected an object, '{'" : "expected an array, '['");
}

/* The comma, or the closing bracket: *more tells which. */
static bool separate(struct bm_json_cursor *c, char close, const char *what, bool *more)
{
	char b = bm_json_peek(c);
	bool first = c->first;

	*more = false;
	if (c->fault != NULL)
		return false;
	c->first = false;
	if (b == close) {
		c->at++;
		return true;
	}
	if (!first && !expect(c, ',', what))
		return false;
	*more = true;
	return true;
}

bool bm_json_next_key(struct bm_json_cursor *c, struct bm_buf *scratch, const char **key, size_t *len, bool *more)
{
	if (!separate(c, '}', "expected ',' or '}'", more) || !*more)
		return c->fault == NULL;
	*more = false;
	if (bm_json_peek(c) != '"')
		return fail(c, "expected a key in '\"'");
	*more = bm_json_get_string(c, scratch, key, len) && expect(c, ':', "expected ':' after a key");
	return *more;
}

bool bm_json_next_item(struct bm_json_cursor *c, bool *more)
{
	return separate(c, ']', "expected ',' or ']'", more);
}

bool bm_json_get_string(struct bm_json_cursor *c, struct bm_buf *scratch, const char **text, size_t *len)
{
	size_t at, end = 0, what_len;
	const char *what;

	*text = "";
	*len = 0;
	if (bm_json_peek(c) != '"')
		return fail(c, "expected a string");
	at = c->at + 1;
	while (at < c->len && (unsigned char)c->text[at] >= 0x20 && (unsigned char)c->text[at] < 0x7f &&
	       c->text[at] != '"' && c->text[at] != '\\')
		at++;
	if (at < c->len && c->text[at] == '"') {
		*text = c->text + c->at + 1;
		*len = at - c->at - 1;
		c->at = at + 1;
		return true;
	}
	bm_buf_reset(scratch);
	what = bm_json_string_decode(c->text, c->len, c->at, scratch, &end, &what_len);
	c->at = end;
	if (what != NULL)
		return fail(c, what);
	if (!bm_buf_reserve(scratch, 0)) {
		c->oom = true;
		return fail(c, "out of memory");
	}
	*text = scratch->data;
	*len = scratch->len;
	return true;
}

static bool is_digit(char b)
{
	return b >= '0' && b <= '9';
}

static bool digits(struct bm_json_cursor *c, uint64_t max, uint64_t *out, const char *what)
{
	size_t from = c->at;
	uint64_t v = 0;

	for (; c->at < c->len && is_digit(c->text[c->at]); c->at++) {
		uint64_t digit = (uint64_t)(c->text[c->at] - '0');

		if (v > (max - digit) / 10)
			return fail(c, what);
		v = v * 10 + digit;
	}
	if (c->at == from || (c->at - from > 1 && c->text[from] == '0'))
		return fail(c, what);
	if (c->at < c->len && (c->text[c->at] == '.' || c->text[c->at] == 'e' || c->text[c->at] == 'E'))
		return fail(c, what);
	*out = v;
	return true;
}

bool bm_json_get_u64(struct bm_json_cursor *c, uint64_t *out)
{
	*out = 0;
	(void)bm_json_peek(c);
	return c->fault == NULL && digits(c, UINT64_MAX, out, "expected a whole number from 0 to 18446744073709551615");
}

bool bm_json_get_i64(struct bm_json_cursor *c, int64_t *out)
{
	bool negative = bm_json_peek(c) == '-';
	uint64_t v = 0;

	*out = 0;
	if (c->fault != NULL)
		return false;
	if (negative)
		c->at++;
	if (!digits(c, (uint64_t)INT64_MAX + (negative ? 1 : 0), &v, "expected a whole number that 64 bits hold"))
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* A number as RFC 8259 has it, of any size. */
static bool skip_number(struct bm_json_cursor *c)
{
	const char *p = c->text + c->at, *end = c->text + c->len, *from;
	bool ok;

	if (p < end && *p == '-')
		p++;
	from = p;
	while (p < end && is_digit(*p))
		p++;
	ok = p > from && (p == from + 1 || *from != '0');
	if (ok && p < end && *p == '.') {
		from = ++p;
		while (p < end && is_digit(*p))
			p++;
		ok = p > from;
	}
	if (ok && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		from = p;
		while (p < end && is_digit(*p))
			p++;
		ok = p > from;
	}
	c->at = (size_t)(p - c->text);
	return ok || fail(c, "expected a value");
}

static bool skip_word(struct bm_json_cursor *c, const char *word)
{
	size_t len = strlen(word);

	if (c->len - c->at < len || memcmp(c->text + c->at, word, len) != 0)
		return fail(c, "expected a value");
	c->at += len;
	return true;
}

/* A string is only passed over: no scratch is needed for what nobody wants. */
static bool skip_string(struct bm_json_cursor *c)
{
	size_t end = 0, what_len;
	const char *what = bm_json_string_decode(c->text, c->len, c->at, NULL, &end, &what_len);

	c->at = end;
	return what == NULL || fail(c, what);
}

static bool skip_scalar(struct bm_json_cursor *c)
{
	switch (bm_json_peek(c)) {
	case '"':
		return skip_string(c);
	case 't':
		return skip_word(c, "true");
	case 'f':
		return skip_word(c, "false");
	case 'n':
		return skip_word(c, "null");
	default:
		return c->fault == NULL && skip_number(c);
	}
}

bool bm_json_skip(struct bm_json_cursor *c)
{
	bool is_object[SKIP_DEPTH];
	unsigned depth = 0;

	for (;;) {
		char b = bm_json_peek(c);
		bool more = false;

		if (b == '{' || b == '[') {
			if (depth == SKIP_DEPTH)
				return fail(c, "values lie too deep within values; at most 64 deep is read here");
			is_object[depth++] = b == '{';
			(void)bm_json_enter(c, b);
		} else if (!skip_scalar(c)) {
			return false;
		}
		/* To the next value within what is open. */
		while (depth > 0 && !more) {
			if (!separate(c, is_object[depth - 1] ? '}' : ']', "expected ',' or a closing bracket", &more))
				return false;
			if (!more)
				depth--;
		}
		if (depth == 0)
			return true;
		if (is_object[depth - 1]) {
			if (bm_json_peek(c) != '"')
				return fail(c, "expected a key in '\"'");
			if (!skip_string(c) || !expect(c, ':', "expected ':' after a key"))
				return false;
		}
	}
}

bool bm_json_at_end(struct bm_json_cursor *c)
{
	(void)bm_json_peek(c);
	if (c->fault == NULL && c->at < c->len)
		return fail(c, "expected the end after the value");
	return c->fault == NULL;
}
