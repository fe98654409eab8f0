/*
 * json_build.c - JSON text to a value of jansson's.
 *
 * Not by jansson's own parser (2.14): its lexer does not look at whether a token's buffer could grow. Without memory it drops
 * a byte, so that "/backup" is "/bckup"; and where that byte is the quote at the end it runs past the buffer. Here the cursor
 * reads the text, and every allocation is looked at.
 *
 * No recursion: the containers that are open are a list, each held by the one before it.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "bm_json_cursor.h"
#include "json_scan.h"

struct build {
	struct bm_json_cursor c;
	json_t *root;
	json_t **open; /* BM_JSON_MAX_DEPTH of them */
	size_t depth;
	struct bm_buf key; /* of the next value, in an object */
	struct bm_buf scratch;
	bool nomem;
};

/* As C has it wherever the program is: there, a point may be a comma. */
static json_t *real(const char *text, size_t len, bool *nomem)
{
	char *copy = bm_memdup0(text, len);
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	json_t *v = NULL;
	double d = 0;

	if (copy == NULL || plain == (locale_t)0) {
		*nomem = true;
	} else {
		errno = 0;
		d = strtod_l(copy, NULL, plain);
		if (errno != ERANGE || fabs(d) <= 1) { /* too small is 0, or nearly */
			v = json_real(d);
			*nomem = *nomem || v == NULL;
		}
	}
	if (plain != (locale_t)0)
		freelocale(plain);
	free(copy);
	return v;
}

json_t *bm_json_number(const char *text, size_t len, bool *nomem)
{
	struct bm_json_cursor c = bm_json_cursor_at(text, len);
	json_t *v;
	int64_t n;

	for (size_t i = 0; i < len; i++)
		if (text[i] == '.' || text[i] == 'e' || text[i] == 'E')
			return real(text, len, nomem);
	if (!bm_json_get_i64(&c, &n))
		return NULL;
	v = json_integer(n);
	*nomem = *nomem || v == NULL;
	return v;
}

/* Takes v, NULL: no memory. */
static bool add(struct build *b, json_t *v)
{
	json_t *in = b->depth > 0 ? b->open[b->depth - 1] : NULL;
	int failed = v == NULL;

	if (v != NULL && in == NULL)
		b->root = v;
	else if (v != NULL && json_is_object(in))
		failed = json_object_set_new_nocheck(in, b->key.data, v);
	else if (v != NULL)
		failed = json_array_append_new(in, v);
	b->nomem = b->nomem || failed != 0;
	return failed == 0;
}

static bool add_scalar(struct build *b, char first)
{
	const char *text;
	size_t len;
	json_t *v;

	switch (first) {
	case '"':
		return bm_json_get_string(&b->c, &b->scratch, &text, &len) && add(b, json_stringn_nocheck(text, len));
	case 't':
		return bm_json_skip(&b->c) && add(b, json_true());
	case 'f':
		return bm_json_skip(&b->c) && add(b, json_false());
	case 'n':
		return bm_json_skip(&b->c) && add(b, json_null());
	default:
		text = b->c.text + b->c.at;
		if (!bm_json_skip(&b->c))
			return false;
		v = bm_json_number(text, (size_t)(b->c.text + b->c.at - text), &b->nomem);
		return v != NULL && add(b, v);
	}
}

static bool open_container(struct build *b, char bracket)
{
	json_t *v = bracket == '{' ? json_object() : json_array();

	if (!add(b, v))
		return false;
	b->open[b->depth++] = v;
	return bm_json_enter(&b->c, bracket);
}

/* To the next value; those containers that end before it are left. */
static bool go_on(struct build *b)
{
	bool more = false;
	const char *key;
	size_t len;

	while (b->depth > 0 && !more) {
		if (!json_is_object(b->open[b->depth - 1])) {
			if (!bm_json_next_item(&b->c, &more))
				return false;
		} else if (!bm_json_next_key(&b->c, &b->scratch, &key, &len, &more)) {
			return false;
		} else if (more) {
			bm_buf_reset(&b->key);
			bm_buf_reserve(&b->key, len);
			bm_buf_put(&b->key, key, len);
			b->nomem = b->nomem || b->key.oom;
			if (b->key.oom)
				return false;
		}
		if (!more)
			b->depth--;
	}
	return true;
}

json_t *bm_json_build(const char *text, size_t len, bool *nomem)
{
	struct build b = {.c = bm_json_cursor_at(text, len), .open = malloc(BM_JSON_MAX_DEPTH * sizeof(*b.open))};
	bool good = b.open != NULL;

	b.nomem = !good;
	do {
		char first = good ? bm_json_peek(&b.c) : '\0';

		good = good && b.depth < BM_JSON_MAX_DEPTH &&
		       (first == '{' || first == '[' ? open_container(&b, first) : add_scalar(&b, first)) && go_on(&b);
	} while (good && b.depth > 0);
	good = good && bm_json_at_end(&b.c);
	*nomem = b.nomem || b.c.oom;
	if (!good) {
		json_decref(b.root);
		b.root = NULL;
	}
	free(b.open);
	bm_buf_fini(&b.key);
	bm_buf_fini(&b.scratch);
	return b.root;
}

json_t *bm_json_load(const char *text, size_t len)
{
	bool nomem;

	return bm_json_build(text, len, &nomem);
}
