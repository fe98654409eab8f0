/*
 * tables.c - hashdeep's table and SFV.
 *
 * hashdeep: a header names the columns, of which the name is the last, unquoted: every comma beyond the columns is the
 * name's. A second header (manifests are joined with cat) holds from there on.
 *
 * SFV has no specification. A name, a blank or tab, eight digits; ';' starts a comment. One blank is taken off, not all
 * of them, so that names ending in a blank are read as they were meant.
 */
#include <string.h>

#include "manifest_private.h"

static bool starts_with(const char *line, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(line, prefix, n) == 0;
}

static enum line_result parse_columns(struct bm_manifest_reader *r, const char *text, size_t len)
{
	struct line_rules *rules = &r->rules;

	rules->has_columns = false;
	rules->column_count = 0;
	for (const char *at = text, *end = text + len;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t n = comma != NULL ? (size_t)(comma - at) : (size_t)(end - at);
		unsigned column = n == 4 && memcmp(at, "size", 4) == 0       ? COLUMN_SIZE
		                  : n == 8 && memcmp(at, "filename", 8) == 0 ? COLUMN_NAME
		                                                             : algorithm_find(at, n);

		if (column == ALGORITHM_NONE)
			return line_bad_at(r, at, n, "a header with an unknown column");
		for (size_t i = 0; i < rules->column_count; i++)
			if (rules->columns[i] == column)
				return line_bad_at(r, at, n, "a header with the same column twice");
		if (rules->column_count == COLUMNS_MAX)
			return line_bad(r, "a header with more than %d columns", COLUMNS_MAX);
		rules->columns[rules->column_count++] = (uint8_t)column;
		if ((column == COLUMN_NAME) != (comma == NULL))
			return line_bad_at(r, text, len, "a header whose last column is not \"filename\"");
		if (comma == NULL)
			break;
		at = comma + 1;
	}
	rules->has_columns = true;
	return LINE_SKIP;
}

static bool parse_number(const char *text, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			return false;
	*out = v;
	return len > 0;
}

enum line_result parse_hashdeep(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	static const char mark[] = "%%%% ";
	const struct line_rules *rules = &r->rules;
	enum line_result result;
	char *at = line;

	if (line[0] == '#')
		return LINE_SKIP;
	if (starts_with(line, len, mark)) {
		const char *text = line + sizeof(mark) - 1;
		size_t n = len - (sizeof(mark) - 1);

		if (starts_with(text, n, "HASHDEEP-1."))
			return LINE_SKIP;
		if (starts_with(text, n, "HASHDEEP-"))
			return line_bad_at(r, text, n, "another version of hashdeep's format; HASHDEEP-1.0 is read");
		return parse_columns(r, text, n);
	}
	if (!rules->has_columns)
		return line_bad_at(r, line, len, "no usable header (\"%%%% size,md5,sha256,filename\") before this");
	for (size_t i = 0; i + 1 < rules->column_count; i++) {
		char *comma = memchr(at, ',', len - (size_t)(at - line));
		size_t n;

		if (comma == NULL)
			return line_bad_at(r, line, len, "fewer columns than the header has");
		n = (size_t)(comma - at);
		if (rules->columns[i] == COLUMN_SIZE) {
			if (!parse_number(at, n, &e->size_bytes))
				return line_bad_at(r, at, n, "a size that is no number of bytes");
			e->has_size = true;
		} else {
			result = add_hex(r, e, rules->columns[i], at, n);
			if (result != LINE_ENTRY)
				return result;
		}
		at = comma + 1;
	}
	return set_name(r, e, at, len - (size_t)(at - line));
}

enum line_result parse_sfv(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	enum line_result result;
	size_t name_len;

	if (line[0] == ';')
		return LINE_SKIP;
	if (len < 10 || (line[len - 9] != ' ' && line[len - 9] != '\t') ||
	    hex_decode(line + len - 8, 8, r->digest_bytes[0]) != 8)
		return line_bad_at(r, line, len, "no name, blank and eight hexadecimal digits of a CRC-32");
	name_len = len - 9;
	result = add_digest(r, e, r->crc32_code, false);
	return result == LINE_ENTRY ? set_name(r, e, line, name_len) : result;
}
