/*
 * json_line.c - JSON Lines, one object a file (RFC 8259; jsonlines.org). bm_manifest.h says what the keys mean.
 *
 * The object is walked once, in place (bm_json_cursor.h), and may have its keys in any order. Every key that means
 * something here may stand there once: of two different digests for one file there would be no right one. A key that is
 * no algorithm's and not in the list is passed over, so that lines may grow. A line without any digest says nothing that
 * could be checked, and is a fault.
 *
 * Block digests are by far the longest part. Their bytes are put where their digits were, from the beginning of the
 * array on: two digits and two quotes give one byte, so what is written never catches up with what is read.
 */
#include <string.h>

#include "bm_json_cursor.h"
#include "bm_text.h"
#include "manifest_private.h"

enum { HAS_PATH = 1, HAS_PATH_BASE64 = 2 };

struct json_line {
	struct bm_manifest_reader *r;
	struct bm_manifest_entry *e;
	struct bm_json_cursor c;
	char *line; /* what c reads; writable */
	size_t len;
	unsigned has;
	char *name;
	size_t name_len;
};

static enum line_result json_fault(struct json_line *j)
{
	size_t at = j->c.at < j->len ? j->c.at : j->len, left = j->len - at;
	char shown[40];

	if (j->c.oom)
		return LINE_NOMEM;
	if (left == 0)
		return line_bad(j->r, "not a whole JSON object: %s; found the end of the line (cut short?)",
		                j->c.fault);
	bm_escape_display_buf(shown, sizeof(shown), j->line + at, left < 24 ? left : 24);
	return line_bad(j->r, "not a JSON object of a manifest: %s at column %zu; found \"%s\"", j->c.fault, at + 1,
	                shown);
}

static enum line_result twice(struct json_line *j, const char *key, size_t len)
{
	return line_bad_at(j->r, key, len, "a key stands there twice");
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 with padding and nothing in between, in place; false where it is not that, or holds a NUL. */
static bool base64_decode(char *text, size_t *len)
{
	size_t n = 0, in = *len;

	if (in % 4 != 0)
		return false;
	for (size_t i = 0; i < in; i += 4) {
		unsigned pad = i + 4 < in || text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
		uint32_t bits = 0;

		for (unsigned k = 0; k < 4; k++) {
			int v = k < 4 - pad ? base64_value(text[i + k]) : 0;

			if (v < 0)
				return false;
			bits = bits << 6 | (uint32_t)v;
		}
		if ((bits & ((1u << 8 * pad) - 1)) != 0) /* one name has one spelling */
			return false;
		for (unsigned k = 0; k < 3 - pad; k++) {
			text[n] = (char)(bits >> (16 - 8 * k));
			if (text[n++] == '\0')
				return false;
		}
	}
	*len = n;
	return true;
}

static enum line_result get_name(struct json_line *j, unsigned which)
{
	struct bm_manifest_reader *r = j->r;
	const char *text;
	size_t len;

	if (!bm_json_get_string(&j->c, &r->value, &text, &len))
		return json_fault(j);
	if (which == HAS_PATH && (j->has & HAS_PATH_BASE64) != 0)
		return LINE_ENTRY;
	bm_buf_reset(&r->name);
	bm_buf_put(&r->name, text, len);
	if (r->name.oom)
		return LINE_NOMEM;
	j->name = r->name.data;
	j->name_len = len;
	if (which == HAS_PATH_BASE64 && !base64_decode(j->name, &j->name_len))
		return line_bad_at(r, text, len, "\"path_base64\" is not the base64 of a name");
	return LINE_ENTRY;
}

static enum line_result get_mtime(struct json_line *j)
{
	struct bm_manifest_entry *e = j->e;
	struct bm_json_cursor c;
	const char *text;
	size_t len;

	e->has_mtime = true;
	if (bm_json_peek(&j->c) != '"')
		return bm_json_get_i64(&j->c, &e->mtime_ns) ? LINE_ENTRY : json_fault(j);
	if (!bm_json_get_string(&j->c, &j->r->value, &text, &len))
		return json_fault(j);
	c = bm_json_cursor_at(text, len);
	if (len == 0 || text[0] == ' ' || !bm_json_get_i64(&c, &e->mtime_ns) || c.at != len)
		return line_bad_at(j->r, text, len, "\"mtime\" is not a whole number of nanoseconds");
	return LINE_ENTRY;
}

/* "digests": [hex, ...]; *len of each, put together at *bytes. */
static enum line_result get_block_digests(struct json_line *j, struct bm_manifest_blocks *b)
{
	uint8_t digest[MAX_DIGEST_BYTES];
	char *to = j->line + j->c.at;
	bool more;

	b->count = b->digest_len = 0;
	b->bytes = (const uint8_t *)to;
	if (!bm_json_enter(&j->c, '['))
		return json_fault(j);
	while (bm_json_next_item(&j->c, &more) && more) {
		const char *text;
		size_t len, digits;

		if (!bm_json_get_string(&j->c, &j->r->value, &text, &len))
			return json_fault(j);
		digits = hex_decode(text, len, digest);
		if (digits != len || len % 2 != 0 || len == 0)
			return line_bad_at(j->r, text, len,
			                   "a block's digest that is not all pairs of hexadecimal digits");
		if (b->count > 0 && len / 2 != b->digest_len)
			return line_bad_at(j->r, text, len, "a block's digest of another length than those before");
		b->digest_len = len / 2;
		memcpy(to, digest, b->digest_len);
		to += b->digest_len;
		b->count++;
	}
	return j->c.fault != NULL ? json_fault(j) : LINE_ENTRY;
}

static enum line_result check_blocks(struct json_line *j, unsigned code, unsigned has)
{
	struct bm_manifest_blocks *b = &j->e->blocks;
	struct algorithm a;

	if (has != 7)
		return line_bad(j->r, "\"blocks\" without \"%s\"",
		                (has & 1) == 0   ? "size"
		                : (has & 2) == 0 ? "algorithm"
		                                 : "digests");
	if (b->size_bytes == 0)
		return line_bad(j->r, "\"blocks\" with a \"size\" of 0");
	a = algorithm_get(code);
	if (b->count > 0 && b->digest_len != a.len)
		return line_bad(j->r, "a block's %s digest has %zu hexadecimal digits, these have %zu", a.name,
		                2 * a.len, 2 * b->digest_len);
	b->digest_len = a.len;
	b->algorithm = a.digest;
	b->name = a.name;
	return LINE_ENTRY;
}

static enum line_result get_blocks(struct json_line *j)
{
	struct bm_manifest_reader *r = j->r;
	enum line_result result = LINE_ENTRY;
	unsigned has = 0, code = ALGORITHM_NONE;
	const char *key, *text;
	size_t len, text_len;
	bool more;

	j->e->has_blocks = true;
	if (!bm_json_enter(&j->c, '{'))
		return json_fault(j);
	while (bm_json_next_key(&j->c, &r->key, &key, &len, &more) && more) {
		unsigned bit = len == 4 && memcmp(key, "size", 4) == 0        ? 1
		               : len == 9 && memcmp(key, "algorithm", 9) == 0 ? 2
		               : len == 7 && memcmp(key, "digests", 7) == 0   ? 4
		                                                              : 0;

		if ((has & bit) != 0)
			return twice(j, key, len);
		has |= bit;
		if (bit == 0)
			result = bm_json_skip(&j->c) ? LINE_ENTRY : json_fault(j);
		else if (bit == 1)
			result = bm_json_get_u64(&j->c, &j->e->blocks.size_bytes) ? LINE_ENTRY : json_fault(j);
		else if (bit == 4)
			result = get_block_digests(j, &j->e->blocks);
		else if (!bm_json_get_string(&j->c, &r->value, &text, &text_len))
			result = json_fault(j);
		else if ((code = algorithm_find(text, text_len)) == ALGORITHM_NONE)
			result = line_bad_at(r, text, text_len, "block digests of an unknown algorithm");
		if (result != LINE_ENTRY)
			return result;
	}
	return j->c.fault != NULL ? json_fault(j) : check_blocks(j, code, has);
}

static enum line_result get_digest(struct json_line *j, unsigned code, const char *key, size_t key_len)
{
	const struct algorithm a = algorithm_get(code);
	const char *text;
	size_t len;

	for (size_t i = 0; i < j->e->digest_count; i++)
		if (j->e->digests[i].name == a.name)
			return twice(j, key, key_len);
	if (!bm_json_get_string(&j->c, &j->r->value, &text, &len))
		return json_fault(j);
	return add_hex(j->r, j->e, code, text, len);
}

static bool is_key(const char *key, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(key, word, len) == 0;
}

static enum line_result get_value(struct json_line *j, const char *key, size_t len)
{
	struct bm_manifest_entry *e = j->e;
	unsigned code;

	if (is_key(key, len, "path") || is_key(key, len, "path_base64")) {
		unsigned which = len == 4 ? HAS_PATH : HAS_PATH_BASE64;

		if ((j->has & which) != 0)
			return twice(j, key, len);
		j->has |= which;
		return get_name(j, which);
	}
	if (is_key(key, len, "size")) {
		if (e->has_size)
			return twice(j, key, len);
		e->has_size = true;
		return bm_json_get_u64(&j->c, &e->size_bytes) ? LINE_ENTRY : json_fault(j);
	}
	if (is_key(key, len, "mtime"))
		return e->has_mtime ? twice(j, key, len) : get_mtime(j);
	if (is_key(key, len, "blocks"))
		return e->has_blocks ? twice(j, key, len) : get_blocks(j);
	code = cached_code(j->r, key, len);
	if (code != ALGORITHM_NONE)
		return get_digest(j, code, key, len);
	return bm_json_skip(&j->c) ? LINE_ENTRY : json_fault(j);
}

enum line_result parse_json(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	struct json_line j = {.r = r, .e = e, .c = bm_json_cursor_at(line, len), .line = line, .len = len};
	enum line_result result;
	const char *key;
	size_t key_len;
	bool more;

	if (!bm_json_enter(&j.c, '{'))
		return json_fault(&j);
	while (bm_json_next_key(&j.c, &r->key, &key, &key_len, &more) && more) {
		result = get_value(&j, key, key_len);
		if (result != LINE_ENTRY)
			return result;
	}
	if (j.c.fault != NULL || !bm_json_at_end(&j.c))
		return json_fault(&j);
	if (j.has == 0)
		return line_bad_at(r, line, len, "a JSON object without \"path\"");
	if (e->digest_count == 0 && !e->has_blocks)
		return line_bad_at(r, line, len, "a JSON object without a digest of a known algorithm");
	return set_name(r, e, j.name, j.name_len);
}
