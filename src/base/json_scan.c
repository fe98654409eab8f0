/*
 * json_scan.c - one pass over JSON text that knows at every byte where it is.
 *
 * What builds the value (json_build.c) does not say where a value stood, and keeps the last of several equal keys in
 * silence. So the text is read here once more. Where it was accepted, what is left to find is duplicate keys; where it was
 * not, the first syntax error, with the most likely slip behind it (a comma at the end, a comment, single quotes, a number
 * with a unit).
 *
 * No recursion: open arrays and objects are a stack on the heap with a limit on its height, the same as jansson's. The
 * JSON Pointer of the place is one string that grows and shrinks with the stack, so it costs what the text costs.
 *
 * The keys of all open objects are in one table (json_keys.c), so that everything is linear in the text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"

#include "bm_text.h"
#include "json_keys.h"

struct frame {
	bool object;
	struct bm_json_place at; /* of the bracket */
	size_t index;            /* array: of the next value */
	size_t pointer_len;      /* of the container's own pointer */
	struct bm_json_keys_mark keys;
};

struct scan {
	const char *text;
	size_t len, pos;
	unsigned line;
	size_t line_start;
	bool check_numbers;

	struct frame *frames;
	size_t depth, frame_cap;
	struct bm_buf pointer;

	struct bm_json_keys keys;

	bm_json_fault_fn fault;
	void *ctx;
	bool faults, nomem;
};

static struct bm_json_place place(const struct scan *s, size_t at)
{
	return (struct bm_json_place){s->line, (unsigned)(at - s->line_start + 1)};
}

static void report(struct scan *s, struct bm_json_place at, const char *text)
{
	s->faults = true;
	if (s->pointer.oom)
		s->nomem = true;
	else
		s->fault(s->ctx, at, s->pointer.len > 0 ? s->pointer.data : "", text);
}

/* A syntax error: always false, so that `return syntax(...)` reads well. */
static bool BM_PRINTF(3, 4) syntax(struct scan *s, size_t at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(s, place(s, at), text);
	return false;
}

static bool is_word(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
	       c == '.' || c == '_';
}

static size_t word_end(const struct scan *s, size_t at)
{
	while (at < s->len && is_word((unsigned char)s->text[at]))
		at++;
	return at;
}

/* What stands at at, for a message: a word, one character, or a byte. */
static const char *show(const struct scan *s, size_t at, char buf[static 48])
{
	size_t end = word_end(s, at);
	uint32_t cp;

	if (end == at) {
		size_t n = bm_utf8_decode(s->text + at, s->len - at, &cp);
		end = at + (n != 0 ? n : 1);
	}
	return bm_escape_display_buf(buf, 48, s->text + at, end - at);
}

/* -- keys -- */

/* The decoded key is what keys.text holds from from on. A duplicate is reported and cut off. */
static bool take_key(struct scan *s, size_t at, size_t from)
{
	unsigned first_line = 0;

	switch (bm_json_keys_take(&s->keys, from, s->depth, s->line, &first_line)) {
	case BM_JSON_KEY_NEW:
		return true;
	case BM_JSON_KEY_DOUBLE:
		break;
	case BM_JSON_KEY_NOMEM:
		s->nomem = true;
		return false;
	}
	char shown[80], message[256];
	bm_escape_display_buf(shown, sizeof(shown), s->keys.text.data + from, s->keys.text.len - from);
	snprintf(message, sizeof(message), "duplicate key \"%s\": it stands on line %u already; keep one of them",
	         shown, first_line);
	report(s, place(s, at), message);
	s->keys.text.len = from;
	return !s->nomem;
}

/* -- the stack -- */

static bool open_container(struct scan *s, bool object)
{
	if (s->depth == s->frame_cap) {
		size_t cap = s->frame_cap != 0 ? s->frame_cap * 2 : 16;
		struct frame *frames = bm_realloc_array(s->frames, cap, sizeof(*frames));
		if (frames == NULL) {
			s->nomem = true;
			return false;
		}
		s->frames = frames;
		s->frame_cap = cap;
	}
	s->frames[s->depth++] =
		(struct frame){object, place(s, s->pos), 0, s->pointer.len, bm_json_keys_mark(&s->keys)};
	s->pos++;
	return true;
}

static void cut_pointer(struct scan *s, size_t len)
{
	s->pointer.len = len;
	if (s->pointer.data != NULL)
		s->pointer.data[len] = '\0';
}

static void close_container(struct scan *s)
{
	const struct frame *f = &s->frames[--s->depth];

	if (f->object)
		bm_json_keys_drop(&s->keys, f->keys);
	s->pos++;
	/* The value that has just ended was the container: the pointer is its parent's again. */
	if (s->depth > 0)
		cut_pointer(s, s->frames[s->depth - 1].pointer_len);
}

/* -- the parts of the text -- */

static bool read_string(struct scan *s, struct bm_buf *out)
{
	size_t start = s->pos, what_len;
	const char *what = bm_json_string_decode(s->text, s->len, start, out, &s->pos, &what_len);
	char shown[48];

	if (what == NULL)
		return true;
	if (what_len == 0)
		return syntax(s, start, "%s", what); /* the place of its start: that of its end says nothing */
	if (what_len > s->len - s->pos)
		what_len = s->len - s->pos;
	bm_escape_display_buf(shown, sizeof(shown), s->text + s->pos, what_len);
	if (what_len > 1 && shown[0] == '\\' && shown[1] == '\\')
		memmove(shown, shown + 1, strlen(shown)); /* an escape is shown as it was written */
	return syntax(s, s->pos, "found %s: %s", shown, what);
}

/* The end of the number at the start of text, by the grammar of RFC 8259; 0 where there is none. */
static size_t number_end(const char *text, size_t len)
{
	size_t i = 0, from;

	if (i < len && text[i] == '-')
		i++;
	from = i;
	while (i < len && text[i] >= '0' && text[i] <= '9')
		i++;
	if (i == from || (text[from] == '0' && i > from + 1))
		return 0;
	if (i < len && text[i] == '.') {
		from = ++i;
		while (i < len && text[i] >= '0' && text[i] <= '9')
			i++;
		if (i == from)
			return 0;
	}
	if (i < len && (text[i] == 'e' || text[i] == 'E')) {
		i++;
		if (i < len && (text[i] == '+' || text[i] == '-'))
			i++;
		from = i;
		while (i < len && text[i] >= '0' && text[i] <= '9')
			i++;
		if (i == from)
			return 0;
	}
	return i;
}

static bool read_number(struct scan *s)
{
	size_t start = s->pos, end = word_end(s, start), len = end - start;
	const char *text = s->text + start;
	char shown[48];
	size_t digits = text[0] == '-';

	bm_escape_display_buf(shown, sizeof(shown), text, len);
	if (number_end(text, len) != len) {
		if (len > digits + 1 && text[digits] == '0' && text[digits + 1] >= '0' && text[digits + 1] <= '9')
			return syntax(s, start,
			              "found %s: a number does not begin with 0; leave it out, or put the text in "
			              "double quotes",
			              shown);
		return syntax(s, start,
		              "found %s, which is not a number; put text, also a number with a unit, in double "
		              "quotes",
		              shown);
	}
	s->pos = end;
	if (s->check_numbers) {
		json_t *number = bm_json_number(text, len, &s->nomem);
		if (number == NULL && s->nomem)
			return false;
		if (number == NULL)
			return syntax(s, start,
			              "the number %s is too large; the most are 9223372036854775807 and 1.79e308",
			              shown);
		json_decref(number);
	}
	return true;
}

static bool read_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};
	static const char *const nearly[] = {"true", "false", "null", "None", "undefined", "nil", NULL};
	size_t start = s->pos, end = word_end(s, start), len = end - start;
	char shown[48];

	for (size_t i = 0; i < 3; i++) {
		if (strlen(words[i]) == len && memcmp(words[i], s->text + start, len) == 0) {
			s->pos = end;
			return true;
		}
	}
	bm_escape_display_buf(shown, sizeof(shown), s->text + start, len);
	for (size_t i = 0; nearly[i] != NULL; i++) {
		if (strlen(nearly[i]) != len || strncasecmp(nearly[i], s->text + start, len) != 0)
			continue;
		return syntax(s, start, "found %s: write %s, or put text in double quotes", shown,
		              i < 3 ? words[i] : "null");
	}
	return syntax(s, start, "found %s, which is not a value; put text in double quotes", shown);
}

/* Something that cannot stand where want (a value, a key, ...) is wanted. */
static bool misplaced(struct scan *s, const char *want)
{
	unsigned char c = (unsigned char)s->text[s->pos],
		      next = s->pos + 1 < s->len ? (unsigned char)s->text[s->pos + 1] : 0;
	uint32_t cp = 0;
	char shown[48];

	if (s->pos == 0 && c == 0xef && s->len >= 3 && next == 0xbb && (unsigned char)s->text[2] == 0xbf)
		return syntax(s, 0, "the text begins with a byte order mark; save it as UTF-8 without one");
	if ((s->pos == 0 && ((c == 0xff && next == 0xfe) || (c == 0xfe && next == 0xff))) || (s->pos < 2 && c == 0))
		return syntax(s, s->pos,
		              "the text is not UTF-8 but seems to be UTF-16 or UTF-32, or no text; save it as UTF-8");
	size_t n = bm_utf8_decode(s->text + s->pos, s->len - s->pos, &cp);
	show(s, s->pos, shown);
	if (n == 0)
		return syntax(s, s->pos, "found %s: a byte that is not UTF-8; save the file as UTF-8", shown);
	if (c == '#' || (c == '/' && (next == '/' || next == '*')))
		return syntax(s, s->pos, "found %s: JSON has no comments; remove it", shown);
	if (c == '\'' || c == '`' || (cp >= 0x2018 && cp <= 0x201f) || cp == 0xab || cp == 0xbb)
		return syntax(s, s->pos, "found %s: a string stands in double quotes; write \"", shown);
	if (c == 0)
		return syntax(s, s->pos, "found a NUL byte; remove it (is the file damaged?)");
	return syntax(s, s->pos, "found %s where %s should be", shown, want);
}

static bool trailing_comma(struct scan *s)
{
	char c = s->text[s->pos];

	return syntax(s, s->pos, "found %c after a comma; remove the comma, or add what should follow it", c);
}

static bool cut_short(struct scan *s)
{
	if (s->depth == 0)
		return syntax(s, s->pos, "the text is empty; write a value, for a job an object: { ... }");
	const struct frame *f = &s->frames[s->depth - 1];
	return syntax(s, s->pos,
	              "the text ends within the %s that begins at %u:%u; add what is missing and '%c' (is the "
	              "file cut short?)",
	              f->object ? "object" : "array", f->at.line, f->at.column, f->object ? '}' : ']');
}

static void skip_space(struct scan *s)
{
	for (; s->pos < s->len; s->pos++) {
		char c = s->text[s->pos];
		if (c == '\n') {
			s->line++;
			s->line_start = s->pos + 1;
		} else if (c != ' ' && c != '\t' && c != '\r') {
			return;
		}
	}
}

enum want { WANT_VALUE, WANT_VALUE_OR_END, WANT_KEY, WANT_KEY_OR_END, WANT_MORE_OR_END, WANT_NOTHING };

/* At a key: reads it and its ':', and makes the pointer that of the value. */
static bool read_key(struct scan *s)
{
	size_t from = s->keys.text.len, key_at = s->pos;
	char shown[48];

	if (s->text[s->pos] != '"') {
		if (is_word((unsigned char)s->text[s->pos]))
			return syntax(s, s->pos, "found %s: a key stands in double quotes", show(s, s->pos, shown));
		return misplaced(s, "a key in double quotes");
	}
	bm_buf_put(&s->keys.text, NULL, 0);
	if (!read_string(s, &s->keys.text))
		return false;
	if (s->keys.text.oom) {
		s->nomem = true;
		return false;
	}
	bm_json_pointer_put(&s->pointer, s->keys.text.data + from);
	if (s->pointer.oom) {
		s->nomem = true;
		return false;
	}
	if (!take_key(s, key_at, from))
		return false;
	skip_space(s);
	if (s->pos == s->len)
		return cut_short(s);
	if (s->text[s->pos] != ':') {
		if (s->text[s->pos] == '=')
			return syntax(s, s->pos, "found = after a key; write ':'");
		return misplaced(s, "':' and a value");
	}
	s->pos++;
	return true;
}

static enum want after_value(const struct scan *s)
{
	return s->depth == 0 ? WANT_NOTHING : WANT_MORE_OR_END;
}

/* At a value. Containers are only opened. */
static bool read_value(struct scan *s, enum want *want)
{
	char c = s->text[s->pos];

	if (s->depth > 0 && !s->frames[s->depth - 1].object) {
		struct frame *f = &s->frames[s->depth - 1];
		bm_buf_printf(&s->pointer, "/%zu", f->index++);
		if (s->pointer.oom) {
			s->nomem = true;
			return false;
		}
	}
	if (s->depth >= BM_JSON_MAX_DEPTH)
		return syntax(s, s->pos, "the text is nested deeper than %u levels; make it flatter",
		              BM_JSON_MAX_DEPTH);
	if (c == '{' || c == '[') {
		*want = c == '{' ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
		return open_container(s, c == '{');
	}
	if (c == '"') {
		if (!read_string(s, NULL))
			return false;
	} else if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') {
		if (!read_number(s))
			return false;
	} else if (is_word((unsigned char)c)) {
		if (!read_word(s))
			return false;
	} else if (c == ',' || c == ']' || c == '}') {
		return syntax(s, s->pos, "found %c where a value should be; add the value", c);
	} else {
		return misplaced(s, "a value");
	}
	if (s->depth > 0)
		cut_pointer(s, s->frames[s->depth - 1].pointer_len);
	*want = after_value(s);
	return true;
}

/* Behind a value in a container. */
static bool read_more_or_end(struct scan *s, enum want *want)
{
	const struct frame *f = &s->frames[s->depth - 1];
	char c = s->text[s->pos], closer = f->object ? '}' : ']';
	char shown[48];

	if (c == ',') {
		s->pos++;
		*want = f->object ? WANT_KEY : WANT_VALUE;
		return true;
	}
	if (c == closer) {
		close_container(s);
		*want = after_value(s);
		return true;
	}
	if (c == '}' || c == ']')
		return syntax(s, s->pos, "found %c, but the %s that begins at %u:%u ends with '%c'", c,
		              f->object ? "object" : "array", f->at.line, f->at.column, closer);
	if (c == '"' || c == '{' || c == '[' || is_word((unsigned char)c))
		return syntax(s, s->pos, "found %s behind a value; a comma is missing in front of it",
		              show(s, s->pos, shown));
	return misplaced(s, f->object ? "',' or '}'" : "',' or ']'");
}

static bool scan_text(struct scan *s)
{
	enum want want = WANT_VALUE;
	char shown[48];
	bool ok = true;

	while (ok) {
		skip_space(s);
		if (s->pos == s->len)
			return want == WANT_NOTHING || cut_short(s);
		char c = s->text[s->pos];
		switch (want) {
		case WANT_NOTHING:
			if ((unsigned char)c >= 0x80 || c == '#' || c == '/' || c == '\0')
				return misplaced(s, "the end");
			return syntax(s, s->pos,
			              "found %s behind the end of the value; remove it, or put several values in an "
			              "array",
			              show(s, s->pos, shown));
		case WANT_KEY_OR_END:
		case WANT_VALUE_OR_END:
			if (c == (want == WANT_KEY_OR_END ? '}' : ']')) {
				close_container(s);
				want = after_value(s);
				break;
			}
			/* fall through */
		case WANT_KEY:
		case WANT_VALUE:
			if (s->depth > 0 && s->frames[s->depth - 1].object &&
			    (want == WANT_KEY || want == WANT_KEY_OR_END)) {
				if (want == WANT_KEY && c == '}')
					return trailing_comma(s);
				ok = read_key(s);
				want = WANT_VALUE;
			} else {
				if (want == WANT_VALUE && c == ']' && s->depth > 0 && !s->frames[s->depth - 1].object)
					return trailing_comma(s);
				ok = read_value(s, &want);
			}
			break;
		case WANT_MORE_OR_END:
			ok = read_more_or_end(s, &want);
			break;
		}
	}
	return false;
}

enum bm_json_scan_result bm_json_scan(const char *text, size_t len, bool check_numbers, bm_json_fault_fn fault,
                                      void *ctx)
{
	struct scan s = {
		.text = text, .len = len, .line = 1, .check_numbers = check_numbers, .fault = fault, .ctx = ctx};

	bm_json_keys_init(&s.keys);
	scan_text(&s);
	free(s.frames);
	bm_json_keys_fini(&s.keys);
	bm_buf_fini(&s.pointer);
	return s.nomem ? BM_JSON_SCAN_NOMEM : s.faults ? BM_JSON_SCAN_FAULTS : BM_JSON_SCAN_CLEAN;
}
