/*
 * json_scan.c - one pass over JSON text that knows at every byte where it is.
 *
 * jansson builds the value, but it does not say where a value stood, keeps the last of several equal keys in silence,
 * and its messages name neither the place in the document nor a remedy. So the text is read here once more. Where
 * jansson accepted it, what is left to find is duplicate keys; where it did not, the first syntax error, with the most
 * likely slip behind it (a comma at the end, a comment, single quotes, a number with a unit).
 *
 * No recursion: open arrays and objects are a stack on the heap with a limit on its height, the same as jansson's. The
 * JSON Pointer of the place is one string that grows and shrinks with the stack, so it costs what the text costs.
 *
 * Keys. All keys of all open objects are in one hash table with chains, and each knows its object. Objects close in
 * the reverse order of opening, and a key is always put in at the front of its chain; so when an object closes, its
 * keys are at the fronts of their chains and are taken off there, one step each. The decoded keys themselves lie in one
 * string that is cut back likewise. Everything is linear in the text. The hash is SipHash with a random key, since who
 * writes a job file may not be who runs it and equal hashes would make it quadratic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "json_scan.h"
#include "bm_text.h"

#define NO_KEY SIZE_MAX

struct key {
	uint64_t hash;
	size_t text, len; /* in scan.keys_text: decoded */
	size_t next;      /* in its chain, or NO_KEY */
	size_t object;    /* the height of the stack within its object */
	unsigned line;    /* where it was first */
};

struct frame {
	bool object;
	struct bm_json_place at; /* of the bracket */
	size_t index;            /* array: of the next value */
	size_t pointer_len;      /* of the container's own pointer */
	size_t first_key, first_key_text;
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

	struct key *keys;
	size_t key_count, key_cap;
	size_t *chains; /* chain_count of them, a power of 2 */
	size_t chain_count;
	struct bm_buf keys_text;
	uint64_t seed[2];

	bm_json_fault_fn fault;
	void *ctx;
	bool faults, nomem;
};

static uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein); the words are read in the machine's byte order, which nobody sees. */
static uint64_t hash_key(const uint64_t seed[static 2], const char *data, size_t len)
{
	uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du, seed[0] ^ 0x6c7967656e657261u,
	                 seed[1] ^ 0x7465646279746573u};
	uint64_t word;

	for (size_t left = len;; left -= 8, data += 8) {
		bool last = left < 8;
		word = 0;
		memcpy(&word, data, last ? left : 8);
		if (last)
			word ^= (uint64_t)len << 56; /* tells "a" from "a\0" */
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
		if (last)
			break;
	}
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

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

static bool grow_keys(struct scan *s)
{
	if (s->key_count == s->key_cap) {
		size_t cap = s->key_cap != 0 ? s->key_cap * 2 : 64;
		struct key *keys = bm_realloc_array(s->keys, cap, sizeof(*keys));
		if (keys == NULL)
			return false;
		s->keys = keys;
		s->key_cap = cap;
	}
	if (s->key_count >= s->chain_count) {
		size_t count = s->chain_count != 0 ? s->chain_count * 2 : 64;
		size_t *chains = bm_realloc_array(s->chains, count, sizeof(*chains));
		if (chains == NULL)
			return false;
		s->chains = chains;
		s->chain_count = count;
		for (size_t i = 0; i < count; i++)
			chains[i] = NO_KEY;
		for (size_t i = 0; i < s->key_count; i++) { /* oldest first: the newest is in front again */
			size_t *chain = &chains[s->keys[i].hash & (count - 1)];
			s->keys[i].next = *chain;
			*chain = i;
		}
	}
	return true;
}

/* The decoded key is what keys_text holds from from on. A new one stays there; a duplicate is reported and cut off. */
static bool take_key(struct scan *s, size_t at, size_t from)
{
	const char *text = s->keys_text.data + from;
	size_t len = s->keys_text.len - from;
	uint64_t hash = hash_key(s->seed, text, len) + s->depth;

	if (!grow_keys(s)) {
		s->nomem = true;
		return false;
	}
	size_t *chain = &s->chains[hash & (s->chain_count - 1)];
	for (size_t i = *chain; i != NO_KEY; i = s->keys[i].next) {
		const struct key *k = &s->keys[i];
		if (k->hash != hash || k->object != s->depth || k->len != len ||
		    memcmp(s->keys_text.data + k->text, text, len) != 0)
			continue;
		char shown[80], message[256];
		bm_escape_display_buf(shown, sizeof(shown), text, len);
		snprintf(message, sizeof(message),
		         "duplicate key \"%s\": it stands on line %u already; keep one of them", shown, k->line);
		report(s, place(s, at), message);
		s->keys_text.len = from;
		return !s->nomem;
	}
	s->keys[s->key_count] = (struct key){hash, from, len, *chain, s->depth, s->line};
	*chain = s->key_count++;
	return true;
}

static void drop_keys(struct scan *s, const struct frame *f)
{
	while (s->key_count > f->first_key) {
		const struct key *k = &s->keys[--s->key_count];
		s->chains[k->hash & (s->chain_count - 1)] = k->next;
	}
	s->keys_text.len = f->first_key_text;
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
		(struct frame){object, place(s, s->pos), 0, s->pointer.len, s->key_count, s->keys_text.len};
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
		drop_keys(s, f);
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
		json_error_t ignored;
		json_t *number = json_loadb(text, len, JSON_DECODE_ANY, &ignored);
		if (number == NULL && json_error_code(&ignored) == json_error_numeric_overflow)
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
	size_t from = s->keys_text.len, key_at = s->pos;
	char shown[48];

	if (s->text[s->pos] != '"') {
		if (is_word((unsigned char)s->text[s->pos]))
			return syntax(s, s->pos, "found %s: a key stands in double quotes", show(s, s->pos, shown));
		return misplaced(s, "a key in double quotes");
	}
	bm_buf_put(&s->keys_text, NULL, 0);
	if (!read_string(s, &s->keys_text))
		return false;
	if (s->keys_text.oom) {
		s->nomem = true;
		return false;
	}
	bm_json_pointer_put(&s->pointer, s->keys_text.data + from);
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

static void make_seed(uint64_t seed[static 2])
{
	if (getrandom(seed, 2 * sizeof(*seed), GRND_NONBLOCK) == (ssize_t)(2 * sizeof(*seed)))
		return;
	/* Early at boot: guessable, but only the time that a hostile file takes hangs on it. */
	struct timespec now = {0};
	clock_gettime(CLOCK_REALTIME, &now);
	seed[0] = (uint64_t)now.tv_sec;
	seed[1] = (uint64_t)now.tv_nsec ^ (uint64_t)(uintptr_t)seed;
}

enum bm_json_scan_result bm_json_scan(const char *text, size_t len, bool check_numbers, bm_json_fault_fn fault,
                                      void *ctx)
{
	struct scan s = {
		.text = text, .len = len, .line = 1, .check_numbers = check_numbers, .fault = fault, .ctx = ctx};

	make_seed(s.seed);
	scan_text(&s);
	free(s.frames);
	free(s.keys);
	free(s.chains);
	bm_buf_fini(&s.keys_text);
	bm_buf_fini(&s.pointer);
	return s.nomem ? BM_JSON_SCAN_NOMEM : s.faults ? BM_JSON_SCAN_FAULTS : BM_JSON_SCAN_CLEAN;
}
