/*
 * audit_diff_side.c - see audit_diff_side.h.
 *
 * A manifest is read into a sorted view of bounded memory (bm_manifest_sorted.h), under clean names. In its place may be
 * what the catalog has on record, which is sorted already.
 *
 * A GNU line does not say what its digest is of, and the length alone makes a guess: where no line of either manifest says
 * that algorithm, but some say another one of that length, it is taken for that one.
 */
#include "audit_diff_side.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bm_error.h"
#include "bm_text.h"

/* Of each manifest: a million lines of usual length are sorted without a temporary file. */
#define SORT_MEMORY ((size_t)144 << 20)

/* ---- reading one ---- */

static bool is_under(const struct bm_audit_diff_options *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->under_count; i++) {
		const char *dir = o->under[i];
		size_t n;

		while (dir[0] == '.' && dir[1] == '/')
			dir += 2 + strspn(dir + 2, "/");
		n = strlen(dir);
		while (n > 0 && dir[n - 1] == '/')
			n--;
		if ((n == 0 || (n == 1 && dir[0] == '.')) ||
		    (len >= n && memcmp(name, dir, n) == 0 && (len == n || name[n] == '/')))
			return true;
	}
	return o->under_count == 0;
}

static void note_algorithms(struct side *s, const struct bm_manifest_entry *e)
{
	for (size_t i = 0; i < e->digest_count; i++) {
		const struct bm_manifest_digest *d = &e->digests[i];

		if (d->len >= DIFF_LENGTHS)
			continue;
		if (d->is_guess)
			s->guess[d->len] = d->name;
		else if (s->said[d->len][0] == NULL || s->said[d->len][0] == d->name)
			s->said[d->len][0] = d->name;
		else
			s->said[d->len][1] = d->name;
	}
}

static void say_stripped(struct side *s)
{
	char shown[200];

	bm_buf_reset(&s->fault);
	bm_buf_printf(&s->fault, "%s: its names begin with %s/, and are taken for names below that", s->shown,
	              bm_escape_display_buf(shown, sizeof(shown), s->map.strip, strlen(s->map.strip)));
	if (!s->fault.oom)
		s->diff->o->on_message(s->diff->o->ctx, s->fault.data);
}

static bool on_entry(void *ctx, struct bm_manifest_entry *e)
{
	struct side *s = ctx;
	char shown[300];

	if (e->is_unterminated)
		s->unterminated = e->line;
	if (!s->has_entry && bm_name_map_look(&s->map, e->name, e->name_len))
		say_stripped(s);
	s->has_entry = true;
	switch (bm_name_map_apply(&s->map, e->name, e->name_len, &e->name, &e->name_len)) {
	case BM_NAME_TAKEN:
	case BM_NAME_OUTSIDE:
		break;
	case BM_NAME_NOMEM:
		s->oom = true;
		return false;
	default:
		bm_buf_reset(&s->fault);
		bm_buf_printf(&s->fault, "%s is no file's name",
		              bm_escape_display_buf(shown, sizeof(shown), e->name, e->name_len));
		e->fault = s->fault.oom ? "out of memory" : s->fault.data;
		return false;
	}
	if (!is_under(s->diff->o, e->name, e->name_len))
		return false;
	note_algorithms(s, e);
	return true;
}

static void on_bad_line(void *ctx, uint64_t line, const char *fault)
{
	struct side *s = ctx;

	s->diff->sum->bad_lines++;
	s->diff->o->on_bad_line(s->diff->o->ctx, s->shown, line, fault);
}

/* Of which directory it is what the catalog has; NULL: it is a manifest. */
static const char *catalog_root(const struct side *s)
{
	const size_t prefix = strlen(BM_AUDIT_DIFF_CATALOG);

	return s->diff->o->state != NULL && strncmp(s->path, BM_AUDIT_DIFF_CATALOG, prefix) == 0 ? s->path + prefix
	                                                                                         : NULL;
}

/* What a manifest's lines would say. */
static enum bm_status load_catalog(struct side *s, const char *root, struct bm_error *err)
{
	const struct bm_digest_algorithm *algorithms[DIFF_CATALOG_ALGORITHMS];
	size_t count = 0;
	enum bm_status status = diff_catalog_open(s->diff->o->state, root, &s->catalog, err);

	if (status == BM_OK)
		status = diff_catalog_algorithms(s->catalog, algorithms, &count, err);
	for (size_t i = 0; i < count; i++) {
		struct bm_manifest_digest d = {.name = algorithms[i]->name, .len = algorithms[i]->size_bytes};

		note_algorithms(s, &(struct bm_manifest_entry){.digests = &d, .digest_count = 1});
	}
	return status;
}

enum bm_status diff_side_load(struct side *s, bool is_reread, struct bm_error *err)
{
	struct bm_manifest_sorted_options so = {
		.memory_bytes = SORT_MEMORY,
		.on_bad_line = on_bad_line,
		.on_entry = on_entry,
		.ctx = s,
		.is_reread = is_reread,
	};
	const struct side *other = s == &s->diff->now ? &s->diff->before : &s->diff->now;
	struct bm_manifest_reader *r = NULL;
	enum bm_status status = BM_OK;

	if (catalog_root(s) != NULL)
		return load_catalog(s, catalog_root(s), err);
	/* The names on record are those below the root; nothing is opened by any. */
	if (catalog_root(other) != NULL)
		status = bm_name_map_init(&s->map, catalog_root(other), NULL, true, err);
	s->map.allow_unsafe = true;
	if (status != BM_OK)
		return status;
	if (strcmp(s->path, "-") == 0)
		status = bm_manifest_open_fd(STDIN_FILENO, "standard input", NULL, &r, err);
	else
		status = bm_manifest_open_path(s->path, NULL, &r, err);
	if (status != BM_OK)
		return status;
	snprintf(s->shown, sizeof(s->shown), "%s", bm_manifest_shown_name(r));
	status = bm_manifest_sorted_create(r, &so, &s->sorted, err);
	bm_manifest_close(r);
	if (status == BM_OK && s->oom)
		status = bm_error_set_nomem(err);
	if (status == BM_OK && s->unterminated > 0) {
		bm_buf_reset(&s->fault);
		bm_buf_printf(&s->fault,
		              "%s:%" PRIu64 ": the last line has no end: the manifest may have been cut short",
		              s->shown, s->unterminated);
		if (!s->fault.oom)
			s->diff->o->on_message(s->diff->o->ctx, s->fault.data);
	}
	return status;
}

/* ---- algorithms ---- */

/* Its number; DIFF_ALGORITHMS_MAX: there are too many, which no manifest can have. */
static size_t diff_intern(struct diff *d, const char *name)
{
	struct bm_digest *empty = NULL;
	struct algorithm *a;
	size_t i = 0;

	while (i < d->algorithm_count && d->algorithms[i].name != name && strcmp(d->algorithms[i].name, name) != 0)
		i++;
	if (i < d->algorithm_count || i == DIFF_ALGORITHMS_MAX)
		return i;
	a = &d->algorithms[d->algorithm_count++];
	a->name = name;
	a->known = bm_digest_find(name);
	if (a->known != NULL && bm_digest_create(a->known, &empty, NULL) == BM_OK)
		a->has_empty = bm_digest_finish(empty, a->empty, NULL) == BM_OK;
	bm_digest_destroy(empty);
	return i;
}

void diff_settle_guesses(struct diff *d)
{
	for (size_t len = 0; len < DIFF_LENGTHS; len++) {
		const char *guess = d->before.guess[len] != NULL ? d->before.guess[len] : d->now.guess[len];
		const char *const said[] = {d->before.said[len][0], d->before.said[len][1], d->now.said[len][0],
		                            d->now.said[len][1]};
		const char *other = NULL;
		bool is_said = false;

		for (size_t i = 0; i < sizeof(said) / sizeof(said[0]) && guess != NULL; i++) {
			is_said = is_said || (said[i] != NULL && strcmp(said[i], guess) == 0);
			other = said[i] != NULL ? said[i] : other;
		}
		d->alias[len] = is_said ? NULL : other;
	}
}

/* ---- name by name ---- */

static void take_line(struct side *s)
{
	const struct bm_manifest_entry *e = &s->next;
	struct diff *d = s->diff;

	if (e->has_size) {
		s->facts.has_size = true;
		s->facts.size_bytes = e->size_bytes;
	}
	if (e->has_mtime) {
		s->facts.has_mtime = true;
		s->facts.mtime_ns = e->mtime_ns;
	}
	for (size_t i = 0; i < e->digest_count && s->facts.digest_count < DIFF_DIGESTS_MAX; i++) {
		const struct bm_manifest_digest *from = &e->digests[i];
		struct digest *to = &s->digests[s->facts.digest_count];
		size_t id;

		if (from->len >= DIFF_LENGTHS)
			continue;
		id = diff_intern(d, from->is_guess && d->alias[from->len] != NULL ? d->alias[from->len] : from->name);
		if (id == DIFF_ALGORITHMS_MAX)
			continue;
		to->algorithm = (uint8_t)id;
		to->len = (uint8_t)from->len;
		memcpy(to->bytes, from->bytes, from->len);
		s->facts.digest_count++;
	}
}

enum bm_status diff_side_next_line(struct side *s, struct bm_error *err)
{
	enum bm_manifest_event event;

	do
		event = s->catalog != NULL ? diff_catalog_next(s->catalog, &s->next, err)
		                           : bm_manifest_sorted_next(s->sorted, &s->next, err);
	while (event == BM_MANIFEST_ENTRY && s->catalog != NULL &&
	       !is_under(s->diff->o, s->next.name, s->next.name_len));
	s->has_next = event == BM_MANIFEST_ENTRY;
	if (event != BM_MANIFEST_FAILED)
		return BM_OK;
	return err->status != BM_OK ? err->status : bm_error_set(err, BM_ERR_FAILED, NULL, "a manifest cannot be read");
}

enum bm_status diff_side_next(struct side *s, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	s->has_name = s->has_next;
	if (!s->has_next)
		return BM_OK;
	bm_buf_reset(&s->name);
	bm_buf_put(&s->name, s->next.name, s->next.name_len);
	if (s->name.oom)
		return bm_error_set_nomem(err);
	s->facts = (struct facts){0};
	do {
		take_line(s);
		status = diff_side_next_line(s, err);
	} while (status == BM_OK && s->has_next && s->next.is_duplicate);
	return status;
}

void diff_side_fini(struct side *s)
{
	bm_manifest_sorted_destroy(s->sorted);
	diff_catalog_close(s->catalog);
	bm_name_map_fini(&s->map);
	bm_buf_fini(&s->fault);
	bm_buf_fini(&s->name);
}
