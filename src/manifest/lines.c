/*
 * lines.c - lines of one digest and one name: coreutils, BSD, openssl, xxhsum, rclone, BagIt.
 *
 * The programs read each other's lines, so one function reads them all, line by line, and the kind only says what is
 * not: rclone escapes nothing, and neither do NUL-ended lines.
 *
 * GNU (coreutils manual, "md5sum invocation"): blanks in front do not count; then HEX, a blank or tab, and ' ' or '*' for
 * text and binary, which are one here. BSD's md5 -r has one blank only. A name may begin with a blank, so the two cannot
 * be told apart for good; as in coreutils the first line decides for all, or else one line could be read as naming a file
 * that was not meant. With 8 digits one blank is not accepted: "12345678 1 name" is the CRC of cksum.
 *
 * BSD: ALGORITHM (name) = HEX. A name may hold ") = ", a digest may not: so it is read from its end. openssl leaves two
 * of the blanks out, and coreutils takes any number of them around the '='. xxhsum's XXH64_LE is the digest in the other
 * byte order.
 */
#include <string.h>

#include "manifest_private.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "1220704766 1 name", as cksum writes without -a: a number that no algorithm here gives. sum has five digits at most, and
 * more blanks; eight digits and two blanks are a CRC-32 of a file "1 name". */
static bool is_cksum(const char *line, size_t len)
{
	size_t i = 0, from;

	while (i < len && is_digit(line[i]))
		i++;
	if (i == 0 || i > 10 || i == len || line[i] != ' ' || (i > 5 && i + 1 < len && line[i + 1] == ' '))
		return false;
	while (i < len && line[i] == ' ')
		i++;
	from = i;
	while (i < len && is_digit(line[i]))
		i++;
	return i > from && i + 1 < len && line[i] == ' ';
}

static enum line_result no_line(struct bm_manifest_reader *r, const char *line, size_t len)
{
	if (is_cksum(line, len))
		return line_bad_at(r, line, len,
		                   "looks like a CRC as cksum and sum print it, which cannot be checked here (cksum -a "
		                   "sha256 writes what can)");
	if (r->rules.kind == BM_MANIFEST_KIND_RCLONE)
		return line_bad_at(r, line, len, "no digest, two blanks and a name");
	return line_bad_at(r, line, len, "neither a digest, two blanks and a name, nor an ALGORITHM (name) = digest");
}

/* Behind the digest, which ends at end. */
static enum line_result parse_gnu(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e,
                                  size_t end, bool escaped)
{
	size_t at = end + 1, name_len;
	bool has_marker = at < len && (line[at] == ' ' || line[at] == '*');
	enum line_result result;

	if (has_marker && r->rules.one_blank != 1) {
		at++;
	} else if (r->rules.one_blank == 0 || r->rules.kind == BM_MANIFEST_KIND_RCLONE) {
		return line_bad_at(r, line, len, "one blank between digest and name, where there must be two");
	} else {
		if (is_cksum(line, len))
			return no_line(r, line, len);
		if (e->digests[0].len == 4 && line[end] == ' ')
			return line_bad_at(r, line, len, "one blank between eight digits and a name: two are needed");
	}
	name_len = len - at;
	if (name_len > 0) /* also where its escapes are wrong: coreutils decides before it looks at them */
		r->rules.one_blank = has_marker && r->rules.one_blank != 1 ? 0 : 1;
	if (escaped) {
		result = unescape(r, line + at, &name_len);
		if (result != LINE_ENTRY)
			return result;
	}
	if (r->rules.kind == BM_MANIFEST_KIND_RCLONE)
		name_len = rclone_name_decode(line + at, name_len);
	return set_name(r, e, line + at, name_len);
}

static void reverse(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		uint8_t b = bytes[i];

		bytes[i] = bytes[len - 1 - i];
		bytes[len - 1 - i] = b;
	}
}

static enum line_result parse_bsd(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e,
                                  size_t at, bool escaped)
{
	char *open = memchr(line + at, '(', len - at);
	size_t digest = len, close, name, name_len, tag_len;
	enum line_result result;
	unsigned code;
	bool reversed;

	if (open == NULL)
		return no_line(r, line, len);
	name = (size_t)(open - line) + 1;
	while (digest > name && is_hex(line[digest - 1]))
		digest--;
	close = digest;
	while (close > name && is_blank(line[close - 1]))
		close--;
	if (close <= name || line[close - 1] != '=')
		return no_line(r, line, len);
	close--;
	while (close > name && is_blank(line[close - 1]))
		close--;
	if (close <= name || line[close - 1] != ')')
		return no_line(r, line, len);
	name_len = close - 1 - name;

	tag_len = name - 1 - at;
	while (tag_len > 0 && line[at + tag_len - 1] == ' ') /* rhash puts in three */
		tag_len--;
	reversed = tag_len > 6 && memcmp(line + at, "XXH", 3) == 0 && memcmp(line + at + tag_len - 3, "_LE", 3) == 0;
	code = cached_code(r, line + at, reversed ? tag_len - 3 : tag_len);
	if (code == ALGORITHM_NONE)
		return line_bad_at(r, line + at, tag_len, "a digest of an unknown algorithm");
	result = add_hex(r, e, code, line + digest, len - digest);
	if (result != LINE_ENTRY)
		return result;
	if (reversed)
		reverse(r->digest_bytes[0], e->digests[0].len);
	if (escaped) {
		result = unescape(r, line + name, &name_len);
		if (result != LINE_ENTRY)
			return result;
	}
	return set_name(r, e, line + name, name_len);
}

enum line_result parse_sums(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	static const char xxh3_prefix[] = "XXH3_";
	const size_t prefix_len = sizeof(xxh3_prefix) - 1;
	bool is_rclone = r->rules.kind == BM_MANIFEST_KIND_RCLONE;
	bool is_raw = r->rules.nul || is_rclone, escaped;
	enum line_result result;
	size_t at = 0, digits;

	if (!is_raw && line[0] == '#')
		return LINE_SKIP;
	while (!is_raw && at < len && is_blank(line[at]))
		at++;
	escaped = !is_raw && at < len && line[at] == '\\';
	if (escaped)
		at++;
	digits = hex_decode(line + at, len - at, r->digest_bytes[0]);
	if (digits > 2 * MAX_DIGEST_BYTES)
		return add_unnamed(r, e, digits);
	/* Less than eight only where they can be a digest: b2sum -l 8. */
	if ((digits >= 8 || (digits % 2 == 0 && r->code_of_length[digits / 2] != ALGORITHM_NONE)) &&
	    at + digits < len && is_blank(line[at + digits])) {
		/* With an algorithm that was asked for and the two blanks it is none of cksum's: b2sum -l 8. */
		bool is_sure = r->hint_is_strict && at + digits + 1 < len &&
		               (line[at + digits + 1] == ' ' || line[at + digits + 1] == '*');

		result = !is_sure && is_cksum(line, len) ? no_line(r, line, len) : add_unnamed(r, e, digits);
		return result == LINE_ENTRY ? parse_gnu(r, line, len, e, at + digits, escaped) : result;
	}
	if (!is_rclone && len - at > prefix_len && memcmp(line + at, xxh3_prefix, prefix_len) == 0) {
		digits = hex_decode(line + at + prefix_len, len - at - prefix_len, r->digest_bytes[0]);
		if (at + prefix_len + digits < len && is_blank(line[at + prefix_len + digits])) {
			result = add_hex(r, e, r->xxh3_code, line + at + prefix_len, digits);
			return result == LINE_ENTRY ? parse_gnu(r, line, len, e, at + prefix_len + digits, escaped)
			                            : result;
		}
	}
	if (is_rclone)
		return no_line(r, line, len);
	return parse_bsd(r, line, len, e, at, escaped);
}

/* %25, %0A and %0D, "and only those": other programs write a lone % as it is. In place; returns the new length. */
static size_t percent_decode(char *name, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (c == '%' && len - i >= 3) {
			char high = name[i + 1], low = name[i + 2];
			char byte = high == '2' && low == '5'                   ? '%'
			            : high == '0' && (low == 'A' || low == 'a') ? '\n'
			            : high == '0' && (low == 'D' || low == 'd') ? '\r'
			                                                        : '\0';

			if (byte != '\0') {
				c = byte;
				i += 2;
			}
		}
		name[n++] = c;
	}
	return n;
}

/* RFC 8493 section 2.1.3. A '*' before the name is of the drafts before it, which let md5sum -b write manifests. */
enum line_result parse_bagit(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	size_t digits = hex_decode(line, len, r->digest_bytes[0]), at = digits;
	enum line_result result;

	if (digits == 0 || (digits <= 2 * MAX_DIGEST_BYTES && (digits == len || !is_blank(line[digits]))))
		return line_bad_at(r, line, len, "no digest, blank and name");
	result = add_unnamed(r, e, digits);
	if (result != LINE_ENTRY)
		return result;
	while (at < len && is_blank(line[at]))
		at++;
	if (at < len && line[at] == '*')
		at++;
	return set_name(r, e, line + at, percent_decode(line + at, len - at));
}
