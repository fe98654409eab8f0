/*
 * update_lines.c - a manifest with some of its lines changed, added or left out, and all others byte for byte as they are.
 *
 * It is read twice. First for what new lines have to look like: what stands in front of names ("./", a directory that is
 * stripped), which digests a line has, whether the names are in order. Then side by side as entries and as raw lines: a
 * raw line is copied unless its entry is to change; so comments, heads, blank lines and bad lines stay where they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "bm_text.h"
#include "update_lines.h"

struct style {
	enum bm_manifest_kind kind;
	bool nul, is_sorted, has_entry;
	struct bm_buf prefix; /* in front of names */
	size_t algorithm_count;
	char algorithms[BM_MANIFEST_DIGESTS_MAX][24]; /* of the first entry, in its order */
};

struct raw {
	FILE *f;
	char *line;
	size_t cap, len;
	uint64_t number; /* of line; 0: none was read */
	bool is_crlf, at_end;
	bool lacks_end; /* the last one put has no end */
};

/* ---- entries ---- */

/* The name that the entry has below the root; false: none that the audit knows. */
static bool known_name(struct update_writer *u, const struct bm_manifest_entry *e, const char **name, size_t *len)
{
	return bm_name_map_apply(u->map, e->name, e->name_len, name, len) == BM_NAME_TAKEN;
}

static int compare_names(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static struct change *find_change(const struct update_writer *u, const char *name, size_t len)
{
	size_t low = 0, high = u->change_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = compare_names(u->changes[mid].name, strlen(u->changes[mid].name), name, len);

		if (order == 0)
			return &u->changes[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static enum bm_status learn_style(struct update_writer *u, struct style *s, struct bm_error *err)
{
	struct bm_manifest_reader *r = NULL;
	struct bm_manifest_entry e;
	struct bm_buf last = {0};
	const char *name;
	size_t len;
	bool looked = false;
	enum bm_status status = bm_manifest_open_path(u->path, u->options, &r, err);
	enum bm_manifest_event event = BM_MANIFEST_END;

	if (status != BM_OK)
		return status;
	s->kind = bm_manifest_kind(r);
	s->nul = bm_manifest_is_nul(r);
	s->is_sorted = true;
	while ((event = bm_manifest_next(r, &e, err)) != BM_MANIFEST_END && event != BM_MANIFEST_FAILED) {
		if (event == BM_MANIFEST_ENTRY && !looked)
			(void)bm_name_map_look(u->map, e.name, e.name_len); /* as it was done before the audit */
		looked = looked || event == BM_MANIFEST_ENTRY;
		if (event != BM_MANIFEST_ENTRY || !known_name(u, &e, &name, &len))
			continue;
		if (!s->has_entry) {
			if (len <= e.name_len && memcmp(e.name + (e.name_len - len), name, len) == 0)
				bm_buf_put(&s->prefix, e.name, e.name_len - len);
			for (size_t i = 0; i < e.digest_count; i++)
				snprintf(s->algorithms[s->algorithm_count++], sizeof(s->algorithms[0]), "%s",
				         e.digests[i].name);
			s->has_entry = true;
		}
		s->is_sorted =
			s->is_sorted && (last.data == NULL || compare_names(last.data, last.len, name, len) <= 0);
		bm_buf_reset(&last);
		bm_buf_put(&last, name, len);
	}
	status = event == BM_MANIFEST_FAILED ? err->status : BM_OK;
	if (status == BM_OK && (last.oom || s->prefix.oom))
		status = bm_error_set_nomem(err);
	bm_buf_fini(&last);
	bm_manifest_close(r);
	return status;
}

/* ---- lines ---- */

static enum bm_status put(struct update_writer *u, const void *data, size_t len, struct bm_error *err)
{
	return len > 0 ? u->put(u->sink, data, len, err) : BM_OK;
}

static enum bm_status next_raw(const struct update_writer *u, struct raw *w, const struct style *s,
                               struct bm_error *err)
{
	char end = s->nul ? '\0' : '\n';
	ssize_t n;

	errno = 0;
	n = getdelim(&w->line, &w->cap, end, w->f);
	if (n < 0 && (ferror(w->f) || !feof(w->f)))
		return bm_error_set_errno(err, errno != 0 ? errno : EIO, u->path, "cannot read");
	w->len = n > 0 ? (size_t)n : 0;
	w->at_end = n <= 0;
	w->number++;
	if (n > 1 && !s->nul)
		w->is_crlf = w->line[n - 1] == '\n' && w->line[n - 2] == '\r';
	return BM_OK;
}

static enum bm_status put_raw(struct update_writer *u, struct raw *w, const struct style *s, struct bm_error *err)
{
	if (w->len == 0)
		return BM_OK;
	w->lacks_end = w->line[w->len - 1] != (s->nul ? '\0' : '\n');
	return put(u, w->line, w->len, err);
}

/* Text of made lines, with the ends that the manifest has. */
static enum bm_status put_made(struct update_writer *u, struct raw *w, const struct style *s, const struct bm_buf *text,
                               struct bm_error *err)
{
	enum bm_status status = BM_OK;
	const char *end = s->nul ? "" : w->is_crlf ? "\r\n" : "\n";

	if (w->lacks_end)
		status = put(u, end, s->nul ? 1 : strlen(end), err);
	w->lacks_end = false;
	if (!w->is_crlf || s->nul)
		return status == BM_OK ? put(u, text->data, text->len, err) : status;
	for (size_t at = 0; at < text->len && status == BM_OK;) {
		const char *p = text->data + at, *lf = memchr(p, '\n', text->len - at);
		size_t len = lf != NULL ? (size_t)(lf - p) : text->len - at;

		status = put(u, p, len, err);
		if (status == BM_OK)
			status = put(u, "\r\n", 2, err);
		at += len + 1;
	}
	return status;
}

/* A line that begins with digits and a blank is not of BSD's form. */
static bool is_bsd_line(const struct raw *w)
{
	const char *p = w->line;

	if (w->number == 1 && w->len > 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	p += *p == '\\';
	return p[strspn(p, "0123456789abcdefABCDEF")] != ' ' || p[0] == ' ';
}

static void refuse(struct update_writer *u, struct change *c, const struct bm_error *why)
{
	struct bm_buf text = {0};
	const char *name = c->new_name != NULL ? c->new_name : c->name;

	if (c->is_refused)
		return;
	c->is_refused = true;
	u->stats->refused++;
	bm_escape_display(&text, name, strlen(name));
	bm_buf_printf(&text, ": %s", why->text);
	if (u->on_refused != NULL)
		u->on_refused(u->ctx, text.oom ? "out of memory" : text.data);
	bm_buf_fini(&text);
}

static size_t all_digests(const struct change *c, struct bm_manifest_digest out[static BM_MANIFEST_DIGESTS_MAX])
{
	size_t n = 0;

	for (; n < c->digest_count && n < BM_MANIFEST_DIGESTS_MAX; n++)
		out[n] = (struct bm_manifest_digest){.algorithm = bm_digest_find(c->digests[n].name),
		                                     .name = c->digests[n].name,
		                                     .bytes = c->digests[n].bytes,
		                                     .len = c->digests[n].len};
	return n;
}

/* The digests of a file as an entry has them; a guess is whatever has its length. */
static bool pick_digests(const struct change *c, const struct bm_manifest_entry *e,
                         struct bm_manifest_digest out[static BM_MANIFEST_DIGESTS_MAX], const char **unknown)
{
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *old = &e->digests[i];
		const struct change_digest *found = NULL;

		for (size_t k = 0; k < c->digest_count; k++)
			if (strcmp(c->digests[k].name, old->name) == 0 ||
			    (found == NULL && old->is_guess && c->digests[k].len == old->len))
				found = &c->digests[k];
		if (found == NULL || found->len != old->len) {
			*unknown = old->name;
			return false;
		}
		out[i] = *old;
		out[i].bytes = found->bytes;
	}
	return true;
}

/* The digests of blocks that the line is to have: of the entry's algorithm, or none. */
static void pick_blocks(const struct change *c, struct bm_manifest_entry *e)
{
	const struct change_blocks *b = c->blocks;

	e->has_blocks = e->has_blocks && b != NULL && strcmp(b->algorithm, e->blocks.name) == 0;
	if (!e->has_blocks)
		return;
	e->blocks.size_bytes = b->size_bytes;
	e->blocks.bytes = b->bytes;
	e->blocks.count = b->count;
}

/* The entry's line, as it is to be. */
static enum bm_status put_changed(struct update_writer *u, struct raw *w, const struct style *s, struct change *c,
                                  const struct bm_manifest_entry *e, const char *name, size_t name_len,
                                  struct bm_error *err)
{
	struct bm_manifest_style style = {.kind = s->kind, .nul = s->nul};
	struct bm_manifest_digest digests[BM_MANIFEST_DIGESTS_MAX];
	const char *algorithms[BM_MANIFEST_DIGESTS_MAX], *unknown = NULL;
	struct bm_manifest_entry now = *e;
	struct bm_buf new_name = {0}, text = {0};
	struct bm_error why;
	enum bm_status status;

	bm_error_clear(&why);
	for (size_t i = 0; i < e->digest_count; i++)
		algorithms[i] = e->digests[i].name;
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP) {
		style.algorithms = algorithms;
		style.algorithm_count = e->digest_count;
	}
	if ((s->kind == BM_MANIFEST_KIND_GNU || s->kind == BM_MANIFEST_KIND_BSD) && w->line != NULL)
		style.kind = is_bsd_line(w) ? BM_MANIFEST_KIND_BSD : BM_MANIFEST_KIND_GNU;
	if (c->verdict == BM_VERDICT_MOVED) {
		if (name_len <= e->name_len && memcmp(e->name + (e->name_len - name_len), name, name_len) == 0)
			bm_buf_put(&new_name, e->name, e->name_len - name_len);
		bm_buf_puts(&new_name, c->new_name);
		now.name = new_name.data;
		now.name_len = new_name.len;
	} else {
		if (e->digest_count == 0) /* blocks alone */
			now.digest_count = all_digests(c, digests);
		else if (!pick_digests(c, e, digests, &unknown))
			(void)bm_error_set(&why, BM_ERR_UNSUPPORTED, NULL,
			                   "its line has a digest of %s, which is not known here", unknown);
		now.digests = digests;
		pick_blocks(c, &now);
	}
	now.size_bytes = c->size_bytes;
	if (c->has_mtime)
		now.mtime_ns = c->mtime_ns;
	else
		now.has_mtime = false;
	status = why.status;
	if (status == BM_OK)
		status = new_name.oom ? bm_error_set_nomem(&why) : bm_manifest_put_entry(&text, &style, &now, &why);
	if (status == BM_ERR_UNSUPPORTED) {
		refuse(u, c, &why);
		status = put_raw(u, w, s, err);
	} else if (status == BM_OK) {
		if (w->number == 1 && w->len > 3 && memcmp(w->line, "\xef\xbb\xbf", 3) == 0)
			status = put(u, "\xef\xbb\xbf", 3, err);
		if (status == BM_OK)
			status = put_made(u, w, s, &text, err);
	} else if (err->status == BM_OK) {
		*err = why;
	}
	bm_buf_fini(&new_name);
	bm_buf_fini(&text);
	return status;
}

/* Lines of a file that has none. */
static enum bm_status put_added(struct update_writer *u, struct raw *w, const struct style *s, struct change *c,
                                struct bm_error *err)
{
	struct bm_manifest_digest digests[BM_MANIFEST_DIGESTS_MAX];
	const char *algorithms[BM_MANIFEST_DIGESTS_MAX];
	struct bm_manifest_style style = {.kind = s->kind, .nul = s->nul};
	struct bm_buf name = {0}, text = {0};
	struct bm_error why;
	enum bm_status status;
	size_t n = all_digests(c, digests);

	bm_error_clear(&why);
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP) {
		for (size_t i = 0; i < s->algorithm_count; i++)
			algorithms[i] = s->algorithms[i];
		style.algorithms = algorithms;
		style.algorithm_count = s->algorithm_count;
	}
	bm_buf_put(&name, s->prefix.data, s->prefix.len);
	bm_buf_puts(&name, c->name);
	struct bm_manifest_entry e = {
		.name = name.data,
		.name_len = name.len,
		.digests = digests,
		.digest_count = n,
		.has_size = true,
		.size_bytes = c->size_bytes,
		.has_mtime = c->has_mtime,
		.mtime_ns = c->mtime_ns,
	};
	status = name.oom ? bm_error_set_nomem(&why) : bm_manifest_put_entry(&text, &style, &e, &why);
	if (status == BM_ERR_UNSUPPORTED || status == BM_ERR_USAGE) {
		refuse(u, c, &why);
		status = BM_OK;
	} else if (status == BM_OK) {
		status = put_made(u, w, s, &text, err);
		u->stats->added++;
	} else if (err->status == BM_OK) {
		*err = why;
	}
	bm_buf_fini(&name);
	bm_buf_fini(&text);
	return status;
}

static enum bm_status put_entry(struct update_writer *u, struct raw *w, const struct style *s,
                                const struct bm_manifest_entry *e, const char *name, size_t len, struct bm_error *err)
{
	struct change *c = find_change(u, name, len);

	if (c == NULL)
		return put_raw(u, w, s, err);
	if (c->verdict == BM_VERDICT_MISSING)
		return BM_OK;
	return put_changed(u, w, s, c, e, name, len, err);
}

static enum bm_status copy_lines(struct update_writer *u, struct raw *w, const struct style *s,
                                 struct bm_manifest_reader *r, struct bm_error *err)
{
	struct change *adds = u->changes + u->change_count;
	struct bm_manifest_entry e;
	enum bm_manifest_event event;
	enum bm_status status = BM_OK;
	size_t added = 0, len;
	const char *name;

	while (status == BM_OK && (event = bm_manifest_next(r, &e, err)) != BM_MANIFEST_END) {
		if (event == BM_MANIFEST_FAILED)
			return err->status;
		bool known = event == BM_MANIFEST_ENTRY && known_name(u, &e, &name, &len);
		/* Up to the entry's own line. */
		while (status == BM_OK && w->number < e.line) {
			status = next_raw(u, w, s, err);
			if (status == BM_OK && w->number < e.line)
				status = put_raw(u, w, s, err);
		}
		while (status == BM_OK && known && s->is_sorted && added < u->add_count &&
		       compare_names(adds[added].name, strlen(adds[added].name), name, len) < 0)
			status = put_added(u, w, s, &adds[added++], err);
		if (status == BM_OK)
			status = known ? put_entry(u, w, s, &e, name, len, err) : put_raw(u, w, s, err);
	}
	while (status == BM_OK && !w->at_end) {
		status = next_raw(u, w, s, err);
		if (status == BM_OK)
			status = put_raw(u, w, s, err);
	}
	while (status == BM_OK && added < u->add_count)
		status = put_added(u, w, s, &adds[added++], err);
	return status;
}

static enum bm_status check_style(const struct update_writer *u, const struct style *s, struct bm_error *err)
{
	if (s->kind == BM_MANIFEST_KIND_HASHDEEP && !s->has_entry && u->add_count > 0)
		return bm_error_set(err, BM_ERR_UNSUPPORTED, u->path,
		                    "a hashdeep manifest without entries cannot be added to");
	return BM_OK;
}

enum bm_status update_lines(struct update_writer *u, struct bm_error *err)
{
	struct style s = {0};
	struct raw w = {0};
	struct bm_manifest_reader *r = NULL;
	enum bm_status status = learn_style(u, &s, err);

	if (status == BM_OK)
		status = check_style(u, &s, err);
	if (status == BM_OK)
		status = bm_manifest_open_path(u->path, u->options, &r, err);
	if (status == BM_OK) {
		w.f = fopen(u->path, "re");
		if (w.f == NULL)
			status = bm_error_set_errno(err, errno, u->path, "cannot open");
	}
	if (status == BM_OK)
		status = copy_lines(u, &w, &s, r, err);
	bm_manifest_close(r);
	if (w.f != NULL)
		fclose(w.f);
	free(w.line);
	bm_buf_fini(&s.prefix);
	return status;
}
