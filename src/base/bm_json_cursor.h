/*
 * bm_json_cursor.h - reading JSON text (RFC 8259) piece by piece, in place: for JSON Lines by the million, where a tree
 * of values for each line (bm_json.h) would cost ten times as much. The caller asks for what should come next:
 *
 *	struct bm_json_cursor c = bm_json_cursor_at(line, len);
 *	bool more = bm_json_enter(&c, '{');
 *	while (bm_json_next_key(&c, &scratch, &key, &key_len, &more) && more)
 *		... exactly one bm_json_get_* or bm_json_skip, or an object or array walked to its end ...
 *	bm_json_at_end(&c);
 *
 * Each call returns false at the first fault, and from then on always: check once at the end. Strings are held to the
 * same rules as by bm_json_parse (valid UTF-8, no NUL, no half surrogates); duplicate keys are the caller's to notice.
 * The text is borrowed and not changed. One thread at a time per cursor; allocates only in the scratch given.
 */
#ifndef BM_JSON_CURSOR_H
#define BM_JSON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bm_mem.h"

struct bm_json_cursor {
	const char *text;
	size_t len, at;
	const char *fault; /* NULL, or what is wrong at text[at]: static, one line */
	bool oom;          /* a scratch had no memory; fault is set too */
	bool first;        /* nothing has been read yet in the innermost object or array */
};

static inline struct bm_json_cursor bm_json_cursor_at(const char *text, size_t len)
{
	return (struct bm_json_cursor){.text = text, .len = len};
}

/* The first byte of the next value, or 0 where the text is over or there was a fault. Blanks are passed over. */
char bm_json_peek(struct bm_json_cursor *c);
/* Goes into an object ('{') or array ('['). */
bool bm_json_enter(struct bm_json_cursor *c, char bracket);
/* The next key, with the cursor then at its value; or *more false, behind the '}'. */
bool bm_json_next_key(struct bm_json_cursor *c, struct bm_buf *scratch, const char **key, size_t *len, bool *more);
/* Stands at the next value of an array; or *more false, behind the ']'. */
bool bm_json_next_item(struct bm_json_cursor *c, bool *more);
/* A string: within the text where it holds no escapes, else in scratch (which is reset), NUL-terminated only there. */
bool bm_json_get_string(struct bm_json_cursor *c, struct bm_buf *scratch, const char **text, size_t *len);
/* A whole number; a fraction, an exponent or one out of range is a fault. */
bool bm_json_get_u64(struct bm_json_cursor *c, uint64_t *out);
bool bm_json_get_i64(struct bm_json_cursor *c, int64_t *out);
/* Any one value, nested up to 64 deep. */
bool bm_json_skip(struct bm_json_cursor *c);
/* Nothing but blanks follows. */
bool bm_json_at_end(struct bm_json_cursor *c);

#endif
