/*
 * age_armor.c - see bm_age.h: telling an age file by its first bytes, and taking armor off (c2sp.org/age, section "ASCII
 * armor"; RFC 7468, section 3, figure 3, the strict one).
 *
 * Armor can be altered without a key unless only one text is taken for the same bytes, so the decoder is as strict as
 * the vectors: full lines of 64 columns, only the last one shorter and never empty, padding where it belongs and nowhere
 * else, left-over bits zero, nothing between the lines, nothing but white space around them. Lines end with LF or
 * CR LF, the last one may end with the file.
 *
 *   BEFORE  white space (1 KiB at most), then the BEGIN line
 *   BODY    lines of base64, until a short one or the END line
 *   END     the END line, after a short one
 *   AFTER   white space (1 KiB at most)
 *
 * A line is taken from the input where it is whole, and gathered in `line` where a cut goes through it. What a line
 * gives waits in `bytes` for room.
 */
#include "age_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"

enum state { STATE_BEFORE, STATE_BODY, STATE_END, STATE_AFTER, STATE_FAILED };

#define LINE_MAX_BYTES (AGE_COLUMNS + 2) /* CR LF */

struct bm_age_armor {
	enum state state;
	unsigned blanks;  /* bytes of white space so far, in BEFORE and in AFTER */
	uint64_t line_no; /* of the line that is being read, from 1 */
	bool line_begun;  /* in BEFORE: the line has white space in it, and so cannot be the BEGIN line */
	char line[LINE_MAX_BYTES];
	size_t line_len;
	uint8_t bytes[AGE_COLUMNS / 4 * 3];
	size_t bytes_len;
	size_t bytes_at; /* given out so far */
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

enum bm_age_kind bm_age_detect(const void *data, size_t len)
{
	const char *p = data;
	const char *sample = AGE_VERSION_PREFIX;
	enum bm_age_kind kind = BM_AGE_KIND_BINARY;
	size_t at = 0;
	size_t n;

	while (at < len && at <= AGE_ARMOR_BLANKS_MAX && is_space(p[at]))
		at++;
	if (at > AGE_ARMOR_BLANKS_MAX)
		return BM_AGE_KIND_NOT;
	if (at > 0 || (len > 0 && p[0] == '-')) {
		sample = AGE_ARMOR_BEGIN;
		kind = BM_AGE_KIND_ARMOR;
	}
	n = strlen(sample);
	if (memcmp(len > 0 ? p + at : "", sample, len - at < n ? len - at : n) != 0)
		return BM_AGE_KIND_NOT;
	return len - at < n ? BM_AGE_KIND_SHORT : kind;
}

enum bm_status bm_age_armor_create(struct bm_age_armor **out, struct bm_error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return bm_error_set_nomem(err);
	bm_age_armor_reset(*out);
	return BM_OK;
}

void bm_age_armor_destroy(struct bm_age_armor *a)
{
	free(a); /* what it held was ciphertext */
}

void bm_age_armor_reset(struct bm_age_armor *a)
{
	*a = (struct bm_age_armor){.line_no = 1};
}

static enum bm_status fail(struct bm_age_armor *a, enum bm_status status, const char *what, struct bm_error *err)
{
	char where[40];

	a->state = STATE_FAILED;
	(void)snprintf(where, sizeof(where), "line %llu", (unsigned long long)a->line_no);
	return bm_error_set(err, status, where, "%s", what);
}

static bool is_line(const char *line, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(line, text, len) == 0;
}

/* A line of the body, without its end. */
static enum bm_status take_body(struct bm_age_armor *a, const char *line, size_t len, struct bm_error *err)
{
	size_t padding = 0;

	if (is_line(line, len, AGE_ARMOR_END)) {
		a->state = STATE_AFTER;
		return BM_OK;
	}
	if (len == 0)
		return fail(a, BM_ERR_FORMAT, "the age armor has an empty line", err);
	while (padding < 2 && padding < len && line[len - 1 - padding] == '=')
		padding++;
	if (len % 4 != 0 || !age_base64_decode(line, len - padding, a->bytes, &a->bytes_len))
		return fail(a, BM_ERR_FORMAT, "the age armor has a line that is not canonical, padded base64", err);
	a->bytes_at = 0;
	if (a->bytes_len < sizeof(a->bytes))
		a->state = STATE_END;
	return BM_OK;
}

static enum bm_status take_line(struct bm_age_armor *a, const char *line, size_t len, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len > AGE_COLUMNS)
		return fail(a, BM_ERR_FORMAT, "the age armor has a line of over 64 columns", err);
	switch (a->state) {
	case STATE_BEFORE:
		if (!is_line(line, len, AGE_ARMOR_BEGIN))
			return fail(a, BM_ERR_FORMAT, "this is not an armored age file: its first line is another",
			            err);
		a->state = STATE_BODY;
		a->blanks = 0;
		break;
	case STATE_BODY:
		status = take_body(a, line, len, err);
		break;
	case STATE_END:
		if (!is_line(line, len, AGE_ARMOR_END))
			return fail(a, BM_ERR_FORMAT, "the age armor goes on after a short line", err);
		a->state = STATE_AFTER;
		break;
	case STATE_AFTER:
	case STATE_FAILED:
		break;
	}
	return status;
}

/* Takes one whole line, or the part of one that there is. *used is 0 only where there is no input. */
static enum bm_status take_input(struct bm_age_armor *a, const char *in, size_t in_len, bool in_end, size_t *used,
                                 struct bm_error *err)
{
	const size_t window = in_len < LINE_MAX_BYTES - a->line_len ? in_len : LINE_MAX_BYTES - a->line_len;
	const char *lf = window > 0 ? memchr(in, '\n', window) : NULL;
	const size_t part = lf != NULL ? (size_t)(lf - in) + 1 : window;
	const bool whole = lf != NULL || (in_end && part == in_len);
	const char *line = in;
	size_t len = part;
	enum bm_status status;

	*used = part;
	if (a->line_len > 0 || !whole) {
		if (part > 0)
			memcpy(a->line + a->line_len, in, part);
		a->line_len += part;
		if (!whole && a->line_len == LINE_MAX_BYTES)
			return fail(a, BM_ERR_FORMAT, "the age armor has a line of over 64 columns", err);
		if (!whole)
			return BM_OK;
		line = a->line;
		len = a->line_len;
	}
	status = take_line(a, line, len, err);
	a->line_len = 0;
	if (lf != NULL && status == BM_OK)
		a->line_no++;
	return status;
}

/* White space before and after. *used stops where something else begins; before, that is at the start of its line, for
 * blanks in front of the BEGIN line belong to it and make it wrong. */
static enum bm_status take_blanks(struct bm_age_armor *a, const char *in, size_t in_len, size_t *used,
                                  struct bm_error *err)
{
	for (*used = 0; *used < in_len && is_space(in[*used]); ++*used) {
		if (a->blanks++ >= AGE_ARMOR_BLANKS_MAX)
			return fail(a, BM_ERR_FORMAT, "there is too much white space around the age armor", err);
		a->line_begun = in[*used] != '\n';
		if (in[*used] == '\n')
			a->line_no++;
	}
	if (*used == in_len)
		return BM_OK;
	if (a->state == STATE_AFTER)
		return fail(a, BM_ERR_FORMAT, "there is something after the age armor", err);
	if (a->line_begun)
		return fail(a, BM_ERR_FORMAT, "this is not an armored age file: its first line is another", err);
	return BM_OK;
}

enum bm_status bm_age_armor_decode(struct bm_age_armor *a, const void *in, size_t in_len, bool in_end, void *out,
                                   size_t out_cap, struct bm_age_result *res, struct bm_error *err)
{
	const char *from = in_len > 0 ? in : "";
	uint8_t *to = out;
	enum bm_status status = BM_OK;

	*res = (struct bm_age_result){0};
	if (a->state == STATE_FAILED)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "the age armor has failed already");
	for (;;) {
		const size_t waiting = a->bytes_len - a->bytes_at;
		const size_t room = out_cap - res->out_made;
		const size_t part = waiting < room ? waiting : room;
		const size_t left = in_len - res->in_used;
		size_t used = 0;

		if (part > 0)
			memcpy(to + res->out_made, a->bytes + a->bytes_at, part);
		a->bytes_at += part;
		res->out_made += part;
		if (part < waiting)
			return BM_OK;
		if (left == 0 && (!in_end || a->line_len == 0))
			break;
		if (a->state == STATE_AFTER || (a->state == STATE_BEFORE && a->line_len == 0)) {
			status = take_blanks(a, from + res->in_used, left, &used, err);
			res->in_used += used;
			if (status != BM_OK)
				return status;
			if (used == left)
				continue;
		}
		status = take_input(a, from + res->in_used, in_len - res->in_used, in_end, &used, err);
		res->in_used += used;
		if (status != BM_OK)
			return status;
	}
	if (!in_end)
		return BM_OK;
	if (a->state != STATE_AFTER)
		return fail(a, BM_ERR_TRUNCATED, "the age armor ends without its END line: it was cut off", err);
	res->complete = true;
	return BM_OK;
}
