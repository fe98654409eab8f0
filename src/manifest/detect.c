/*
 * detect.c - which kind of manifest is this, or is it none at all?
 *
 * The first line that some kind reads as an entry decides, among the lines of the first 64 KiB: so a signed manifest, or
 * one with a word of explanation above it, is found, and those other lines are bad lines later on, not silence. Tried in
 * this order: SFV below a comment of its own; the kind that the file name promises; hashdeep and JSON, which are hardly
 * mistaken; the lines of coreutils and its kin; SFV. That has so little shape that prose with a date at the end of a line
 * would do: without the name or a comment every line of the sample has to be SFV.
 *
 * A NUL is in no text line, so where there is one the manifest is NUL-ended, or it is none; unless there are text lines
 * around it: then it is a text manifest with a bad line.
 *
 * rclone's lines are those of coreutils without the escapes: they are taken for gnu. That reads all names right but those
 * with control characters; who knows better says so.
 *
 * Nothing waits for more of a file than the first line needs, where that line is an entry: a pipe may be slow.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bm_error.h"
#include "bm_text.h"
#include "manifest_private.h"

struct sample {
	struct bm_manifest_reader *r;
	char *copy;                    /* of one line: parsing writes into it */
	enum bm_manifest_kind by_name; /* AUTO: the name says nothing */
	bool has_semicolon;
	size_t sfv_count, other_count, line_count;
	char first_fault[sizeof(((struct bm_manifest_reader *)NULL)->fault)]; /* of the first line that is nothing */
	size_t first_line;
};

static enum bm_manifest_kind kind_by_name(const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t len;

	if (slash != NULL)
		name = slash + 1;
	len = strlen(name);
	if (len > 4 && strcasecmp(name + len - 4, ".sfv") == 0)
		return BM_MANIFEST_KIND_SFV;
	if (strncasecmp(name, "tag", 3) == 0)
		name += 3;
	len = strlen(name);
	if (len > 13 && strncasecmp(name, "manifest-", 9) == 0 && strcasecmp(name + len - 4, ".txt") == 0)
		return BM_MANIFEST_KIND_BAGIT;
	return BM_MANIFEST_KIND_AUTO;
}

static enum line_result try_line(struct sample *s, enum bm_manifest_kind kind, bool nul, const char *line, size_t len)
{
	struct bm_manifest_entry e = {0};
	struct bm_manifest_reader *r = s->r;
	enum line_result result;

	if (len == 0)
		return LINE_SKIP;
	memcpy(s->copy, line, len);
	r->rules = (struct line_rules){.kind = kind, .nul = nul, .one_blank = -1};
	result = parse_line(r, s->copy, len, &e);
	r->rules = (struct line_rules){.kind = BM_MANIFEST_KIND_AUTO, .one_blank = -1};
	return result;
}

static bool is_entry(struct sample *s, enum bm_manifest_kind kind, const char *line, size_t len)
{
	return try_line(s, kind, false, line, len) == LINE_ENTRY;
}

/* gnu, bsd or xxhsum? It is known to be one of them. */
static enum bm_manifest_kind kind_of_sums(const char *line, size_t len)
{
	uint8_t digest[MAX_DIGEST_BYTES];
	size_t at = 0, digits;

	while (at < len && (line[at] == ' ' || line[at] == '\t' || line[at] == '\\'))
		at++;
	digits = hex_decode(line + at, len - at, digest);
	if (digits > 0 && at + digits < len && (line[at + digits] == ' ' || line[at + digits] == '\t'))
		return BM_MANIFEST_KIND_GNU; /* no algorithm is called by hexadecimal digits alone */
	return len - at > 5 && memcmp(line + at, "XXH3_", 5) == 0 ? BM_MANIFEST_KIND_XXHSUM : BM_MANIFEST_KIND_BSD;
}

/* The kind of a text line, or AUTO. */
static enum bm_manifest_kind kind_of_line(struct sample *s, const char *line, size_t len)
{
	static const char hashdeep[] = "%%%% HASHDEEP-";
	static const enum bm_manifest_kind sums = BM_MANIFEST_KIND_GNU;
	enum line_result result;

	while (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || strspn(line, " \t") >= len)
		return BM_MANIFEST_KIND_AUTO;
	if (line[0] == ';')
		s->has_semicolon = true;
	else if (s->has_semicolon && is_entry(s, BM_MANIFEST_KIND_SFV, line, len))
		return BM_MANIFEST_KIND_SFV;
	if (s->by_name != BM_MANIFEST_KIND_AUTO && is_entry(s, s->by_name, line, len))
		return s->by_name;
	if (len >= sizeof(hashdeep) - 1 && memcmp(line, hashdeep, sizeof(hashdeep) - 1) == 0)
		return BM_MANIFEST_KIND_HASHDEEP;
	if (line[strspn(line, " \t")] == '{' && is_entry(s, BM_MANIFEST_KIND_JSON, line, len))
		return BM_MANIFEST_KIND_JSON;
	if (line[0] == ';')
		return BM_MANIFEST_KIND_AUTO;
	result = try_line(s, sums, false, line, len);
	if (result == LINE_ENTRY)
		return kind_of_sums(line, len);
	if (result == LINE_SKIP)
		return BM_MANIFEST_KIND_AUTO;
	if (s->sfv_count + s->other_count == 0) {
		memcpy(s->first_fault, s->r->fault, sizeof(s->first_fault));
		s->first_line = s->line_count;
	}
	if (is_entry(s, BM_MANIFEST_KIND_SFV, line, len))
		s->sfv_count++;
	else
		s->other_count++;
	return BM_MANIFEST_KIND_AUTO;
}

/* Up to the next LF or NUL. */
static size_t piece_len(const char *from, const char *end)
{
	size_t n = 0;

	while (from + n < end && from[n] != '\n' && from[n] != '\0')
		n++;
	return n;
}

enum nul_ended { NUL_ENDED, NUL_STRAY, NUL_MORE };

/* Is this, with its first NUL at nul, a NUL-ended manifest? */
static enum nul_ended is_nul_ended(struct sample *s, const char *data, size_t len, bool is_all, const char *nul)
{
	const char *end = data + len;
	size_t n;

	if (try_line(s, BM_MANIFEST_KIND_GNU, true, data, (size_t)(nul - data)) != LINE_ENTRY)
		return NUL_STRAY;
	/* Names may hold LF, but what is between two of them, or LF and NUL, is no entry as long as nobody plays tricks:
	 * if it is, then this is a text manifest, and the NUL is a stray one that would make one name of many lines. */
	for (const char *lf = memchr(data, '\n', len); lf != NULL; lf = memchr(lf + 1, '\n', (size_t)(end - lf - 1)))
		if (is_entry(s, BM_MANIFEST_KIND_GNU, lf + 1, piece_len(lf + 1, end)))
			return NUL_STRAY;
	/* The next one settles it; otherwise all that can be seen does. */
	n = piece_len(nul + 1, end);
	if (nul + 1 + n < end && is_entry(s, BM_MANIFEST_KIND_GNU, nul + 1, n))
		return NUL_ENDED;
	if (!is_all && len < SAMPLE_BYTES)
		return NUL_MORE;
	return nul + 1 + n < end && nul[1 + n] == '\n' ? NUL_STRAY : NUL_ENDED;
}

static enum detected failed(struct sample *s, const char *data, size_t len, struct bm_error *err)
{
	const char *where = s->r->shown_name;
	char shown[40];

	bm_escape_display_buf(shown, sizeof(shown), data, len < 16 ? len : 16);
	if (memchr(data, '\0', len) != NULL)
		(void)bm_error_set(err, BM_ERR_FORMAT, where,
		                   "this is no checksum manifest but binary data, beginning with \"%s\"", shown);
	else if (s->line_count == 0)
		(void)bm_error_set(err, BM_ERR_FORMAT, where,
		                   "this is no checksum manifest: no line ends in its first %zu KiB, which begin with "
		                   "\"%s\"",
		                   SAMPLE_BYTES >> 10, shown);
	else
		(void)bm_error_set(err, BM_ERR_FORMAT, where,
		                   "this is no checksum manifest, as none of its first %zu lines is one of gnu, bsd, "
		                   "hashdeep, bagit, json, sfv or xxhsum; line %zu: %s",
		                   s->line_count, s->first_line, s->first_fault);
	return DETECT_FAILED;
}

/* Only gnu and bsd need this: do lines end in NUL? */
static enum detected detect_end(struct sample *s, const char *data, size_t len, bool is_all)
{
	const char *nul = memchr(data, '\0', len);
	struct bm_manifest_reader *r = s->r;
	enum nul_ended ended = NUL_STRAY;

	if (nul == NULL && memchr(data, '\n', len) == NULL && !is_all && len < SAMPLE_BYTES)
		return DETECT_MORE;
	if (nul != NULL)
		ended = is_nul_ended(s, data, len, is_all, nul);
	r->rules.nul = ended == NUL_ENDED;
	return ended == NUL_MORE ? DETECT_MORE : DETECTED;
}

static enum detected detect_kind(struct sample *s, const char *data, size_t len, bool is_all, struct bm_error *err)
{
	const char *nul = memchr(data, '\0', len), *end = data + len;
	struct bm_manifest_reader *r = s->r;
	enum bm_manifest_kind kind = BM_MANIFEST_KIND_AUTO;

	if (nul != NULL) {
		enum nul_ended ended = is_nul_ended(s, data, len, is_all, nul);

		if (ended == NUL_MORE)
			return DETECT_MORE;
		if (ended == NUL_ENDED) {
			r->rules.kind = kind_of_sums(data, (size_t)(nul - data));
			r->rules.nul = true;
			return DETECTED;
		}
	}
	for (const char *line = data; line < end && kind == BM_MANIFEST_KIND_AUTO;) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));

		if (lf == NULL && !is_all)
			break;
		if (lf == NULL)
			lf = end;
		s->line_count++;
		if (memchr(line, '\0', (size_t)(lf - line)) == NULL)
			kind = kind_of_line(s, line, (size_t)(lf - line));
		line = lf + 1;
	}
	if (kind == BM_MANIFEST_KIND_AUTO && !is_all && len < SAMPLE_BYTES)
		return DETECT_MORE;
	if (kind == BM_MANIFEST_KIND_AUTO && s->sfv_count > 0 && s->other_count == 0 && nul == NULL)
		kind = BM_MANIFEST_KIND_SFV;
	if (kind == BM_MANIFEST_KIND_AUTO && s->line_count == 0 && len > 0 && data[0] == '{')
		kind = BM_MANIFEST_KIND_JSON; /* with blocks a line may be long */
	if (kind == BM_MANIFEST_KIND_AUTO && is_all && s->sfv_count + s->other_count == 0 && nul == NULL)
		kind = s->by_name != BM_MANIFEST_KIND_AUTO ? s->by_name /* no entries: of an empty tree */
		       : s->has_semicolon                  ? BM_MANIFEST_KIND_SFV
		                                           : BM_MANIFEST_KIND_GNU;
	if (kind == BM_MANIFEST_KIND_AUTO)
		return failed(s, data, len, err);
	r->rules.kind = kind;
	return DETECTED;
}

enum detected detect(struct bm_manifest_reader *r, const char *file_name, const char *data, size_t len, bool is_all,
                     struct bm_error *err)
{
	const struct line_rules given = r->rules;
	struct sample s = {.r = r, .by_name = kind_by_name(file_name)};
	enum detected result;

	if (len < 3 && !is_all)
		return DETECT_MORE; /* a byte order mark has three bytes, or two */
	if (len >= 2 && (memcmp(data, "\xff\xfe", 2) == 0 || memcmp(data, "\xfe\xff", 2) == 0)) {
		(void)bm_error_set(
			err, BM_ERR_FORMAT, r->shown_name,
			"this is UTF-16 text, and manifests are read as bytes: convert it (iconv -f UTF-16 -t "
			"UTF-8)");
		return DETECT_FAILED;
	}
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
		data += 3;
		len -= 3;
	}
	if (len > SAMPLE_BYTES) {
		len = SAMPLE_BYTES;
		is_all = false;
	}
	if (r->nul_is_given || (given.kind != BM_MANIFEST_KIND_AUTO && given.kind != BM_MANIFEST_KIND_GNU &&
	                        given.kind != BM_MANIFEST_KIND_BSD)) {
		if (given.kind == BM_MANIFEST_KIND_AUTO)
			r->rules.kind = BM_MANIFEST_KIND_GNU;
		return DETECTED;
	}
	s.copy = malloc(SAMPLE_BYTES + 1);
	if (s.copy == NULL) {
		(void)bm_error_set_nomem(err);
		return DETECT_FAILED;
	}
	if (given.kind != BM_MANIFEST_KIND_AUTO) {
		result = detect_end(&s, data, len, is_all);
		r->rules.kind = given.kind;
	} else {
		result = detect_kind(&s, data, len, is_all, err);
	}
	free(s.copy);
	return result;
}
