/*
 * writer.c - entries to lines.
 *
 * All that can be wrong is looked for before the first byte is put, so that a line is whole or is not there. What a kind
 * cannot carry is refused by what its other readers do with it, not only by its grammar: hashdeep cuts a CR off the end
 * of a line, rhash cuts blanks off an SFV name, readers of older bags take a '*' for a mark of md5sum. rclone's lines
 * carry every name since rclone itself encodes them (rclone_name.c).
 *
 * xxhsum before 0.8.2 escapes nothing and 0.8.1 knows XXH3 in BSD lines only; later ones read unescaped lines as well.
 * So nothing is escaped, and XXH3 has a BSD line; so has a name that ends in CR, which would look like a line's end.
 */
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "manifest_private.h"

struct picked {
	const struct bm_manifest_digest *digests[BM_MANIFEST_DIGESTS_MAX];
	size_t count;
};

/* ---- what is refused ---- */

static enum bm_status unknown_algorithm(const struct bm_manifest_style *s, const char *name, struct bm_error *err)
{
	char shown[64];

	bm_escape_display_buf(shown, sizeof(shown), name, strlen(name));
	return bm_error_set(err, BM_ERR_USAGE, NULL, "a %s manifest cannot have digests of \"%s\"%s",
	                    bm_manifest_kind_name(s->kind), shown,
	                    s->kind == BM_MANIFEST_KIND_HASHDEEP ? "; allowed: md5, sha1, sha256, tiger, whirlpool"
	                    : s->kind == BM_MANIFEST_KIND_SFV    ? "; allowed: crc32"
	                    : s->kind == BM_MANIFEST_KIND_XXHSUM ? "; allowed: xxh32, xxh64, xxh128, xxh3"
	                                                         : ", an unknown algorithm");
}

static bool is_one_of(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

/* Can other programs read such digests in this kind? */
static bool suits(enum bm_manifest_kind kind, const char *algorithm)
{
	static const char *const hashdeep[] = {"md5", "sha1", "sha256", "tiger", "whirlpool", NULL};
	static const char *const xxhsum[] = {"xxh32", "xxh64", "xxh128", "xxh3", NULL};

	switch (kind) {
	case BM_MANIFEST_KIND_HASHDEEP:
		return is_one_of(algorithm, hashdeep);
	case BM_MANIFEST_KIND_XXHSUM:
		return is_one_of(algorithm, xxhsum);
	case BM_MANIFEST_KIND_SFV:
		return strcmp(algorithm, "crc32") == 0;
	default:
		return true;
	}
}

static bool takes_one_digest(enum bm_manifest_kind kind)
{
	return kind == BM_MANIFEST_KIND_BAGIT || kind == BM_MANIFEST_KIND_RCLONE || kind == BM_MANIFEST_KIND_SFV;
}

static enum bm_status check_style(const struct bm_manifest_style *s, struct bm_error *err)
{
	const char *kind = bm_manifest_kind_name(s->kind);

	if (s->kind == BM_MANIFEST_KIND_AUTO)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a manifest cannot be written without a kind");
	if (s->nul && s->kind != BM_MANIFEST_KIND_GNU && s->kind != BM_MANIFEST_KIND_BSD)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "lines of %s cannot end in NUL, only gnu and bsd", kind);
	if (s->algorithm_count > BM_MANIFEST_DIGESTS_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a manifest of more than %d algorithms",
		                    BM_MANIFEST_DIGESTS_MAX);
	if (takes_one_digest(s->kind) && s->algorithm_count > 1)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a %s manifest has digests of one algorithm, not of %zu",
		                    kind, s->algorithm_count);
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP && s->algorithm_count == 0)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "a hashdeep manifest needs its algorithms beforehand");
	for (size_t i = 0; i < s->algorithm_count; i++) {
		const char *name = s->algorithms[i];
		unsigned code = algorithm_find(name, strlen(name));

		if (code == ALGORITHM_NONE || !suits(s->kind, algorithm_get(code).name))
			return unknown_algorithm(s, name, err);
	}
	return BM_OK;
}

static const struct bm_manifest_digest *find_digest(const struct bm_manifest_entry *e, const char *name)
{
	unsigned code = algorithm_find(name, strlen(name));

	if (code == ALGORITHM_NONE)
		return NULL;
	name = algorithm_get(code).name;
	for (size_t i = 0; i < e->digest_count; i++)
		if (strcmp(e->digests[i].name, name) == 0)
			return &e->digests[i];
	return NULL;
}

static enum bm_status missing(const char *shown, const struct bm_manifest_style *s, const char *what,
                              struct bm_error *err)
{
	return bm_error_set(err, BM_ERR_USAGE, shown, "no %s is known of this file, which a line of %s needs", what,
	                    bm_manifest_kind_name(s->kind));
}

static enum bm_status pick(const struct bm_manifest_style *s, const struct bm_manifest_entry *e, const char *shown,
                           struct picked *p, struct bm_error *err)
{
	static const char *const crc32[] = {"crc32"};
	const char *const *wanted = s->algorithms;
	size_t count = s->algorithm_count;

	if (s->kind == BM_MANIFEST_KIND_SFV && count == 0) {
		wanted = crc32;
		count = 1;
	}
	p->count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct bm_manifest_digest *d = find_digest(e, wanted[i]);

		if (d == NULL)
			return missing(shown, s, wanted[i], err);
		p->digests[p->count++] = d;
	}
	for (size_t i = 0; count == 0 && i < e->digest_count && i < BM_MANIFEST_DIGESTS_MAX; i++) {
		if (!suits(s->kind, e->digests[i].name))
			return unknown_algorithm(s, e->digests[i].name, err);
		p->digests[p->count++] = &e->digests[i];
	}
	if (takes_one_digest(s->kind) && p->count > 1)
		return bm_error_set(err, BM_ERR_USAGE, shown, "a line of %s has one digest, not %zu",
		                    bm_manifest_kind_name(s->kind), p->count);
	if (takes_one_digest(s->kind) && p->count == 0)
		return missing(shown, s, "digest", err);
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP && !e->has_size)
		return missing(shown, s, "size", err);
	return BM_OK;
}

static bool has_byte(const struct bm_manifest_entry *e, char byte)
{
	return memchr(e->name, byte, e->name_len) != NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Why a kind cannot carry this name; NULL: it can. */
static const char *name_fault(const struct bm_manifest_style *s, const struct bm_manifest_entry *e)
{
	char first = e->name[0], last = e->name[e->name_len - 1];

	switch (s->kind) {
	case BM_MANIFEST_KIND_HASHDEEP:
		if (has_byte(e, '\n'))
			return "with a line feed in it";
		return last == '\r' ? "that ends in a carriage return" : NULL;
	case BM_MANIFEST_KIND_BAGIT:
		return is_blank(first) || first == '*' ? "that begins with a blank or '*'" : NULL;
	case BM_MANIFEST_KIND_SFV:
		if (has_byte(e, '\n') || has_byte(e, '\r'))
			return "with a line feed or carriage return in it";
		if (is_blank(first) || is_blank(last))
			return "that begins or ends with a blank";
		return first == ';' ? "that begins with ';'" : NULL;
	case BM_MANIFEST_KIND_XXHSUM:
		return has_byte(e, '\n') ? "with a line feed in it" : NULL;
	default:
		return NULL;
	}
}

static enum bm_status check_entry(const struct bm_manifest_style *s, const struct bm_manifest_entry *e,
                                  const char *shown, struct bm_error *err)
{
	const char *fault;

	if (e->name_len == 0 || has_byte(e, '\0'))
		return bm_error_set(err, BM_ERR_USAGE, shown, "an empty name, or one with a NUL byte, is no file's");
	fault = name_fault(s, e);
	if (fault != NULL)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, shown,
		                    "a %s manifest cannot carry a name %s; gnu, bsd and json can",
		                    bm_manifest_kind_name(s->kind), fault);
	return BM_OK;
}

/* ---- what is put ---- */

static void put_hex(struct bm_buf *out, const uint8_t *bytes, size_t len, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char *to;

	if (!bm_buf_reserve(out, 2 * len))
		return;
	to = out->data + out->len;
	for (size_t i = 0; i < len; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	out->len += 2 * len;
	*to = '\0';
}

static void put_escaped(struct bm_buf *out, const struct bm_manifest_entry *e)
{
	for (size_t i = 0; i < e->name_len; i++) {
		char c = e->name[i];

		if (c == '\\')
			bm_buf_puts(out, "\\\\");
		else if (c == '\n')
			bm_buf_puts(out, "\\n");
		else if (c == '\r')
			bm_buf_puts(out, "\\r");
		else
			bm_buf_putc(out, c);
	}
}

static void put_name(struct bm_buf *out, const struct bm_manifest_entry *e, bool escape)
{
	if (escape)
		put_escaped(out, e);
	else
		bm_buf_put(out, e->name, e->name_len);
}

static void put_tag(struct bm_buf *out, const struct bm_manifest_digest *d)
{
	unsigned code = d->algorithm == NULL ? algorithm_find(d->name, strlen(d->name)) : ALGORITHM_NONE;

	bm_buf_puts(out, d->algorithm != NULL     ? d->algorithm->bsd_name
	                 : code != ALGORITHM_NONE ? algorithm_get(code).bsd_name
	                                          : d->name);
}

static void put_sum(struct bm_buf *out, const struct bm_manifest_style *s, const struct bm_manifest_entry *e,
                    const struct bm_manifest_digest *d)
{
	bool is_xxhsum = s->kind == BM_MANIFEST_KIND_XXHSUM, tag = s->kind == BM_MANIFEST_KIND_BSD;
	bool escape = !s->nul && !is_xxhsum && (has_byte(e, '\\') || has_byte(e, '\n') || has_byte(e, '\r'));

	if (is_xxhsum)
		tag = strcmp(d->name, "xxh3") == 0 || e->name[e->name_len - 1] == '\r';
	if (escape)
		bm_buf_putc(out, '\\');
	if (tag) {
		put_tag(out, d);
		bm_buf_puts(out, " (");
		put_name(out, e, escape);
		bm_buf_puts(out, ") = ");
		put_hex(out, d->bytes, d->len, false);
	} else {
		put_hex(out, d->bytes, d->len, false);
		bm_buf_puts(out, "  ");
		put_name(out, e, escape);
	}
	bm_buf_putc(out, s->nul ? '\0' : '\n');
}

static void put_percent(struct bm_buf *out, const struct bm_manifest_entry *e)
{
	for (size_t i = 0; i < e->name_len; i++) {
		char c = e->name[i];

		if (c == '%' || c == '\n' || c == '\r')
			bm_buf_puts(out, c == '%' ? "%25" : c == '\n' ? "%0A" : "%0D");
		else
			bm_buf_putc(out, c);
	}
}

static void put_number(struct bm_buf *out, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	bm_buf_put(out, digits + at, sizeof(digits) - at);
}

static void put_blocks(struct bm_buf *out, const struct bm_manifest_blocks *b)
{
	bm_buf_puts(out, ",\"blocks\":{\"size\":");
	put_number(out, b->size_bytes);
	bm_buf_printf(out, ",\"algorithm\":\"%s\",\"digests\":[", b->name);
	for (size_t i = 0; i < b->count; i++) {
		bm_buf_puts(out, i > 0 ? ",\"" : "\"");
		put_hex(out, b->bytes + i * b->digest_len, b->digest_len, false);
		bm_buf_putc(out, '"');
	}
	bm_buf_puts(out, "]}");
}

static void put_json(struct bm_buf *out, const struct bm_manifest_entry *e, const struct picked *p)
{
	bm_buf_putc(out, '{');
	bm_json_put_name(out, "path", e->name, e->name_len);
	if (e->has_size) {
		bm_buf_puts(out, ",\"size\":");
		put_number(out, e->size_bytes);
	}
	if (e->has_mtime) {
		bm_buf_puts(out, e->mtime_ns < 0 ? ",\"mtime\":\"-" : ",\"mtime\":\"");
		put_number(out, e->mtime_ns < 0 ? 0 - (uint64_t)e->mtime_ns : (uint64_t)e->mtime_ns);
		bm_buf_putc(out, '"');
	}
	for (size_t i = 0; i < p->count; i++) {
		bm_buf_puts(out, ",\"");
		bm_buf_puts(out, p->digests[i]->name);
		bm_buf_puts(out, "\":\"");
		put_hex(out, p->digests[i]->bytes, p->digests[i]->len, false);
		bm_buf_putc(out, '"');
	}
	if (e->has_blocks)
		put_blocks(out, &e->blocks);
	bm_buf_puts(out, "}\n");
}

static void put_line(struct bm_buf *out, const struct bm_manifest_style *s, const struct bm_manifest_entry *e,
                     const struct picked *p)
{
	const struct bm_manifest_digest *first = p->count > 0 ? p->digests[0] : NULL;

	switch (s->kind) {
	case BM_MANIFEST_KIND_HASHDEEP:
		put_number(out, e->size_bytes);
		for (size_t i = 0; i < p->count; i++) {
			bm_buf_putc(out, ',');
			put_hex(out, p->digests[i]->bytes, p->digests[i]->len, false);
		}
		bm_buf_putc(out, ',');
		put_name(out, e, false);
		bm_buf_putc(out, '\n');
		break;
	case BM_MANIFEST_KIND_SFV:
		put_name(out, e, false);
		bm_buf_putc(out, ' ');
		put_hex(out, first->bytes, first->len, true);
		bm_buf_putc(out, '\n');
		break;
	case BM_MANIFEST_KIND_BAGIT:
	case BM_MANIFEST_KIND_RCLONE:
		put_hex(out, first->bytes, first->len, false);
		bm_buf_puts(out, "  ");
		if (s->kind == BM_MANIFEST_KIND_BAGIT)
			put_percent(out, e);
		else
			rclone_name_put(out, e->name, e->name_len);
		bm_buf_putc(out, '\n');
		break;
	case BM_MANIFEST_KIND_JSON:
		put_json(out, e, p);
		break;
	default:
		for (size_t i = 0; i < p->count; i++)
			put_sum(out, s, e, p->digests[i]);
		break;
	}
}

enum bm_status bm_manifest_put_head(struct bm_buf *out, const struct bm_manifest_style *s, struct bm_error *err)
{
	enum bm_status status = check_style(s, err);

	if (status != BM_OK)
		return status;
	if (s->kind == BM_MANIFEST_KIND_SFV)
		bm_buf_puts(out, "; CRC-32 checksums, SFV\n");
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP) {
		bm_buf_puts(out, "%%%% HASHDEEP-1.0\n%%%% size");
		for (size_t i = 0; i < s->algorithm_count; i++) {
			unsigned code = algorithm_find(s->algorithms[i], strlen(s->algorithms[i]));

			bm_buf_printf(out, ",%s", algorithm_get(code).name);
		}
		bm_buf_puts(out, ",filename\n");
	}
	return out->oom ? bm_error_set_nomem(err) : BM_OK;
}

enum bm_status bm_manifest_put_entry(struct bm_buf *out, const struct bm_manifest_style *s,
                                     const struct bm_manifest_entry *e, struct bm_error *err)
{
	enum bm_status status;
	struct picked p;
	char shown[1024] = "";

	status = check_style(s, err);
	/* The name is made fit for a message only where there is one. */
	if (status == BM_OK && (check_entry(s, e, NULL, NULL) != BM_OK || pick(s, e, NULL, &p, NULL) != BM_OK)) {
		bm_escape_display_buf(shown, sizeof(shown), e->name, e->name_len);
		status = check_entry(s, e, shown, err);
		if (status == BM_OK)
			status = pick(s, e, shown, &p, err);
	}
	if (status != BM_OK)
		return status;
	put_line(out, s, e, &p);
	return out->oom ? bm_error_set_nomem(err) : BM_OK;
}
