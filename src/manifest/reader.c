/*
 * reader.c - from a file to lines, and from lines to entries.
 *
 * Manifests are a layer of their own below the steps, and not a part of the audit, which compares trees with them: the
 * steps hash and verify write and read them as well, and so do the commands that compare two of them without any data.
 * It knows base and the digests, and no file but the one it reads.
 *
 * The file is read in large blocks into one buffer. A line is handed to its parser where it lies, and the parser takes it
 * apart there: escapes are undone in place, the name is terminated in place. So a line costs no allocation and no copy,
 * but for the cut one at the end of a block, which is moved to the buffer's front. The buffer grows for a line that is
 * longer than it, up to max_line; the rest of a longer one is read past and it is one bad line.
 *
 * CR before LF is a line's end where the kind writes a CR in a name in another way. hashdeep and xxhsum do not: there
 * the first line tells whether this file came from a place where lines end in CR LF.
 *
 * Which digest a line without a tag is of is looked up by its length, in a table that is filled once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"
#include "manifest_private.h"

#define BLOCK_BYTES ((size_t)256 << 10)

static const char *const kind_names[] = {
	[BM_MANIFEST_KIND_AUTO] = "auto",     [BM_MANIFEST_KIND_GNU] = "gnu",
	[BM_MANIFEST_KIND_BSD] = "bsd",       [BM_MANIFEST_KIND_HASHDEEP] = "hashdeep",
	[BM_MANIFEST_KIND_BAGIT] = "bagit",   [BM_MANIFEST_KIND_JSON] = "json",
	[BM_MANIFEST_KIND_SFV] = "sfv",       [BM_MANIFEST_KIND_RCLONE] = "rclone",
	[BM_MANIFEST_KIND_XXHSUM] = "xxhsum",
};
#define KIND_COUNT (sizeof(kind_names) / sizeof(kind_names[0]))

const char *bm_manifest_kind_name(enum bm_manifest_kind kind)
{
	return kind_names[kind];
}

bool bm_manifest_kind_find(const char *name, enum bm_manifest_kind *kind)
{
	for (size_t i = 0; i < KIND_COUNT; i++) {
		if (strcasecmp(name, kind_names[i]) == 0) {
			*kind = (enum bm_manifest_kind)i;
			return true;
		}
	}
	return false;
}

/* ---- the buffer ---- */

static enum bm_status read_fd(void *ctx, void *buf, size_t size, size_t *got, struct bm_error *err)
{
	struct bm_manifest_reader *r = ctx;
	ssize_t n;

	do
		n = read(r->fd, buf, size);
	while (n < 0 && errno == EINTR);
	*got = n > 0 ? (size_t)n : 0;
	return n < 0 ? bm_error_set_errno(err, errno, r->shown_name, "cannot read the manifest") : BM_OK;
}

/* Makes room at the end of the buffer and reads once. */
static enum bm_status fill(struct bm_manifest_reader *r, struct bm_error *err)
{
	enum bm_status status;
	size_t got = 0;

	if (r->start > 0) {
		memmove(r->buf, r->buf + r->start, r->fill - r->start);
		r->scan -= r->start;
		r->fill -= r->start;
		r->start = 0;
	}
	if (r->fill == r->cap) {
		size_t cap = r->cap * 2;
		char *buf = realloc(r->buf, cap + 1);

		if (buf == NULL)
			return bm_error_set_nomem(err);
		r->buf = buf;
		r->cap = cap;
	}
	status = r->read(r->ctx, r->buf + r->fill, r->cap - r->fill, &got, err);
	r->fill += got;
	r->at_end = status == BM_OK && got == 0;
	return status;
}

enum found { FOUND_LINE, FOUND_TOO_LONG, FOUND_END, FOUND_FAILED };

static enum found next_line(struct bm_manifest_reader *r, char **line, size_t *len, bool *is_terminated,
                            struct bm_error *err)
{
	const char end = r->rules.nul ? '\0' : '\n';

	for (;;) {
		char *found = memchr(r->buf + r->scan, end, r->fill - r->scan);
		char *from = r->buf + r->start;

		*is_terminated = found != NULL;
		if (found == NULL && !r->at_end) {
			r->scan = r->fill;
			if (r->fill - r->start > r->max_line) {
				/* Read past it; it is told of when its end is found. */
				r->skipping = true;
				r->start = r->scan = r->fill;
			}
			if (fill(r, err) != BM_OK)
				return FOUND_FAILED;
			continue;
		}
		if (found == NULL && r->fill == r->start && !r->skipping)
			return FOUND_END;
		if (found == NULL)
			found = r->buf + r->fill;
		*line = from;
		*len = (size_t)(found - from);
		r->start = r->scan = (size_t)(found - r->buf) + (*is_terminated ? 1 : 0);
		r->line++;
		if (r->skipping || *len > r->max_line) {
			r->skipping = false;
			return FOUND_TOO_LONG;
		}
		return FOUND_LINE;
	}
}

/* ---- opening ---- */

static void set_lengths(struct bm_manifest_reader *r)
{
	bool is_xxhsum = r->rules.kind == BM_MANIFEST_KIND_XXHSUM;

	for (size_t len = 0; len <= MAX_DIGEST_BYTES; len++) {
		unsigned code = algorithm_of_length(r->hint == HINT_NONE && is_xxhsum ? HINT_XXH : r->hint, len);
		bool is_guess = r->hint == HINT_NONE && !is_xxhsum;

		if (code == ALGORITHM_NONE && !r->hint_is_strict && !is_xxhsum) {
			code = algorithm_of_length(HINT_NONE, len);
			is_guess = true;
		}
		r->code_of_length[len] = (uint8_t)code;
		r->guess_of_length[len] = is_guess;
	}
}

static enum bm_status find_kind(struct bm_manifest_reader *r, const char *name, struct bm_error *err)
{
	enum detected found;
	size_t tried = 0;

	for (;;) {
		size_t len = r->fill;
		bool has_line = memchr(r->buf, '\n', len) != NULL || memchr(r->buf, '\0', len) != NULL;

		if (r->at_end || len >= SAMPLE_BYTES || (has_line && len / 2 >= tried)) {
			tried = len;
			r->buf[len] = '\0';
			found = detect(r, name, r->buf, len, r->at_end, err);
			if (found != DETECT_MORE)
				break;
		}
		if (fill(r, err) != BM_OK)
			return err->status;
	}
	if (found == DETECT_FAILED)
		return err->status;
	if (r->fill >= 3 && memcmp(r->buf, "\xef\xbb\xbf", 3) == 0)
		r->start = r->scan = 3;
	return BM_OK;
}

static enum bm_status set_hint(struct bm_manifest_reader *r, const char *name, const char *algorithm,
                               struct bm_error *err)
{
	char shown[64];

	if (algorithm == NULL) {
		r->hint = algorithm_hint_of_file_name(name);
		return BM_OK;
	}
	r->hint = algorithm_hint(algorithm, strlen(algorithm));
	r->hint_is_strict = true;
	bm_escape_display_buf(shown, sizeof(shown), algorithm, strlen(algorithm));
	if (r->hint == HINT_NONE)
		return bm_error_set(err, BM_ERR_USAGE, r->shown_name,
		                    "\"%s\" is no algorithm; allowed: sha256, md5, blake2b ...", shown);
	return BM_OK;
}

static enum bm_status open_reader(struct bm_manifest_reader *r, const char *name, const struct bm_manifest_options *o,
                                  struct bm_error *err)
{
	static const struct bm_manifest_options none = {0};
	unsigned hint;
	bool is_strict;

	if (o == NULL)
		o = &none;
	bm_escape_display_buf(r->shown_name, sizeof(r->shown_name), name, strlen(name));
	r->rules = (struct line_rules){.kind = o->kind, .nul = o->nul, .one_blank = -1};
	r->nul_is_given = o->nul;
	r->strip_dot_slash = o->strip_dot_slash;
	r->max_line = o->max_line_bytes != 0 ? o->max_line_bytes : BM_MANIFEST_LINE_MAX;
	r->crc32_code = algorithm_find("crc32", 5);
	r->xxh3_code = algorithm_find("xxh3", 4);
	if (o->nul && o->kind != BM_MANIFEST_KIND_AUTO && o->kind != BM_MANIFEST_KIND_GNU &&
	    o->kind != BM_MANIFEST_KIND_BSD)
		return bm_error_set(err, BM_ERR_USAGE, r->shown_name, "lines of %s cannot end in NUL, only gnu and bsd",
		                    bm_manifest_kind_name(o->kind));
	if (set_hint(r, name, o->algorithm, err) != BM_OK)
		return BM_ERR_USAGE;
	r->cap = BLOCK_BYTES;
	r->buf = malloc(r->cap + 1);
	if (r->buf == NULL)
		return bm_error_set_nomem(err);

	/* A manifest of another algorithm than was asked for is still a manifest. */
	hint = r->hint;
	is_strict = r->hint_is_strict;
	r->hint_is_strict = false;
	set_lengths(r);
	if (find_kind(r, name, err) != BM_OK)
		return err->status;
	r->hint = hint;
	/* In a bag the file name is the only place where the algorithm stands. */
	r->hint_is_strict = is_strict || (r->rules.kind == BM_MANIFEST_KIND_BAGIT && hint != HINT_NONE);
	set_lengths(r);
	return BM_OK;
}

static struct bm_manifest_reader *new_reader(void)
{
	struct bm_manifest_reader *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->fd = -1;
	return r;
}

static enum bm_status finish_open(struct bm_manifest_reader *r, const char *name, const struct bm_manifest_options *opt,
                                  struct bm_manifest_reader **out, struct bm_error *err)
{
	struct bm_error local = BM_ERROR_INIT;
	enum bm_status status = open_reader(r, name, opt, &local);

	if (status == BM_OK) {
		*out = r;
		return BM_OK;
	}
	bm_manifest_close(r);
	if (err != NULL && err->status == BM_OK)
		*err = local;
	return status;
}

enum bm_status bm_manifest_open_stream(bm_manifest_read_fn read_fn, void *ctx, const char *name,
                                       const struct bm_manifest_options *opt, struct bm_manifest_reader **out,
                                       struct bm_error *err)
{
	struct bm_manifest_reader *r = new_reader();

	*out = NULL;
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->read = read_fn;
	r->ctx = ctx;
	return finish_open(r, name, opt, out, err);
}

enum bm_status bm_manifest_open_fd(int fd, const char *name, const struct bm_manifest_options *opt,
                                   struct bm_manifest_reader **out, struct bm_error *err)
{
	struct bm_manifest_reader *r = new_reader();

	*out = NULL;
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->read = read_fd;
	r->ctx = r;
	r->fd = fd;
	return finish_open(r, name, opt, out, err);
}

enum bm_status bm_manifest_open_path(const char *path, const struct bm_manifest_options *opt,
                                     struct bm_manifest_reader **out, struct bm_error *err)
{
	struct bm_manifest_reader *r = new_reader();
	char shown[1024];

	*out = NULL;
	if (r == NULL)
		return bm_error_set_nomem(err);
	r->read = read_fd;
	r->ctx = r;
	do
		r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	while (r->fd < 0 && errno == EINTR);
	if (r->fd < 0) {
		int saved = errno;

		bm_manifest_close(r);
		bm_escape_display_buf(shown, sizeof(shown), path, strlen(path));
		return bm_error_set_errno(err, saved, shown, "cannot open the manifest");
	}
	r->owns_fd = true;
	return finish_open(r, path, opt, out, err);
}

void bm_manifest_close(struct bm_manifest_reader *r)
{
	if (r == NULL)
		return;
	if (r->owns_fd)
		close(r->fd);
	bm_buf_fini(&r->name);
	bm_buf_fini(&r->key);
	bm_buf_fini(&r->value);
	free(r->buf);
	free(r);
}

/* ---- entries ---- */

enum line_result parse_line(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	switch (r->rules.kind) {
	case BM_MANIFEST_KIND_HASHDEEP:
		return parse_hashdeep(r, line, len, e);
	case BM_MANIFEST_KIND_BAGIT:
		return parse_bagit(r, line, len, e);
	case BM_MANIFEST_KIND_JSON:
		return parse_json(r, line, len, e);
	case BM_MANIFEST_KIND_SFV:
		return parse_sfv(r, line, len, e);
	default:
		return parse_sums(r, line, len, e);
	}
}

static bool keeps_cr(const struct line_rules *rules)
{
	return rules->nul || (!rules->has_crlf &&
	                      (rules->kind == BM_MANIFEST_KIND_HASHDEEP || rules->kind == BM_MANIFEST_KIND_XXHSUM));
}

/* The line without its end; 0 where it is to be passed over. */
static size_t trim(struct bm_manifest_reader *r, const char *line, size_t len)
{
	bool has_cr = len > 0 && line[len - 1] == '\r';

	if (!r->started)
		r->rules.has_crlf = has_cr;
	r->started = true;
	if (has_cr && !keeps_cr(&r->rules))
		len--;
	if (!r->rules.nul && len > 0 && (line[0] == ' ' || line[0] == '\t')) {
		size_t blanks = 1;

		while (blanks < len && (line[blanks] == ' ' || line[blanks] == '\t'))
			blanks++;
		if (blanks == len)
			return 0;
	}
	return len;
}

static enum line_result take_line(struct bm_manifest_reader *r, char *line, size_t len, struct bm_manifest_entry *e)
{
	enum line_result result;

	len = trim(r, line, len);
	if (r->rules.nul && len == 0)
		return line_bad(r, "an empty record");
	if (len == 0)
		return LINE_SKIP;
	if (!r->rules.nul && memchr(line, '\0', len) != NULL)
		return line_bad_at(r, line, len, "a line with a NUL byte in it");
	result = parse_line(r, line, len, e);
	if (result == LINE_ENTRY)
		e->line = r->line;
	return result;
}

static enum bm_manifest_event fail(struct bm_manifest_reader *r, struct bm_error *err)
{
	r->failed = true;
	if (err != NULL && err->status == BM_OK)
		*err = r->err;
	return BM_MANIFEST_FAILED;
}

enum bm_manifest_event bm_manifest_next(struct bm_manifest_reader *r, struct bm_manifest_entry *e, struct bm_error *err)
{
	if (r->failed)
		return fail(r, err);
	for (;;) {
		bool is_terminated;
		char *line = NULL;
		size_t len = 0;
		enum line_result result;
		enum found found = next_line(r, &line, &len, &is_terminated, &r->err);

		*e = (struct bm_manifest_entry){0};
		if (found == FOUND_FAILED)
			return fail(r, err);
		if (found == FOUND_END)
			return BM_MANIFEST_END;
		if (found == FOUND_TOO_LONG)
			result = line_bad(r, "a line of more than %zu bytes, which is not read", r->max_line);
		else
			result = take_line(r, line, len, e);
		if (result == LINE_SKIP)
			continue;
		if (result == LINE_NOMEM) {
			(void)bm_error_set_nomem(&r->err);
			return fail(r, err);
		}
		if (result == LINE_BAD)
			*e = (struct bm_manifest_entry){.line = r->line, .fault = r->fault};
		e->is_unterminated = !is_terminated;
		return result == LINE_BAD ? BM_MANIFEST_BAD_LINE : BM_MANIFEST_ENTRY;
	}
}

enum bm_status bm_manifest_bad_line_error(const struct bm_manifest_reader *r, const struct bm_manifest_entry *e,
                                          struct bm_error *err)
{
	struct bm_buf where = {0};
	enum bm_status status;

	bm_buf_printf(&where, "%s:%llu", r->shown_name, (unsigned long long)e->line);
	status = bm_error_set(err, BM_ERR_FORMAT, where.oom ? r->shown_name : where.data, "%s", e->fault);
	bm_buf_fini(&where);
	return status;
}

enum bm_manifest_kind bm_manifest_kind(const struct bm_manifest_reader *r)
{
	return r->rules.kind;
}

bool bm_manifest_is_nul(const struct bm_manifest_reader *r)
{
	return r->rules.nul;
}

const char *bm_manifest_shown_name(const struct bm_manifest_reader *r)
{
	return r->shown_name;
}
