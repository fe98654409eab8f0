/*
 * verify_list.c - what comes next where a manifest is compared with a tree.
 *
 * The walk gives the tree in the byte order of whole paths, the manifest's sorted view gives its names in the same order:
 * the smaller head of the two is next. A name that is in both gets its digests here; one that only the manifest has
 * becomes an entry all the same, and is opened like any other: nothing but the open tells a file that is gone from one
 * that may not be looked at, or that stands behind a link which the walk did not follow.
 *
 * An entry that cannot be read at all (its directory may not be entered) is in the walk once, and stands in the place of
 * all that is below it; those names come out of the manifest one by one, and each is told for itself.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bm_error.h"
#include "step_internal.h"
#include "verify.h"

/* ---- the manifest's names ---- */

struct verify_cursor {
	const struct verify_manifest *m;
	/* The line that comes next; its strings are the sorted view's until it is asked again. */
	struct bm_manifest_entry next;
	bool has_next, at_end;
	/* The name at hand, of one line or of several. */
	bool has_name;
	struct bm_buf name;
	struct verify_file file; /* as far as the manifest knows it; no digest_file yet */
	struct verify_digest digests[VERIFY_DIGESTS_MAX];
	struct bm_buf block_bytes; /* what file.blocks points to */
};

static enum bm_status cursor_create(const struct verify_manifest *m, struct verify_cursor **out, struct bm_error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return bm_error_set_nomem(err);
	(*out)->m = m;
	return bm_manifest_sorted_rewind(m->sorted, err);
}

void verify_cursor_destroy(struct verify_cursor *c)
{
	if (c == NULL)
		return;
	bm_buf_fini(&c->name);
	bm_buf_fini(&c->block_bytes);
	free(c);
}

static enum bm_status read_line(struct verify_cursor *c, struct bm_error *err)
{
	c->has_next = false;
	if (c->at_end)
		return BM_OK;
	switch (bm_manifest_sorted_next(c->m->sorted, &c->next, err)) {
	case BM_MANIFEST_ENTRY:
		c->has_next = true;
		return BM_OK;
	case BM_MANIFEST_END:
		c->at_end = true;
		return BM_OK;
	default:
		c->at_end = true;
		return err->status != BM_OK ? err->status
		                            : bm_error_set(err, BM_ERR_FAILED, NULL, "a manifest cannot be read");
	}
}

static void take_digest(struct verify_cursor *c, const struct bm_manifest_digest *d)
{
	const struct bm_digest_algorithm *a = verify_algorithm(c->m, d);
	struct verify_digest *to = &c->digests[c->file.digest_count];
	size_t i = 0;

	while (i < c->m->algorithm_count && c->m->algorithms[i] != a)
		i++;
	if (a == NULL || i == c->m->algorithm_count) {
		c->file.unknown = d->name;
		return;
	}
	for (size_t k = 0; k < c->file.digest_count; k++)
		if (c->digests[k].algorithm == i && memcmp(c->digests[k].bytes, d->bytes, d->len) == 0)
			return; /* the line stands there twice */
	if (c->file.digest_count == VERIFY_DIGESTS_MAX)
		return;
	to->algorithm = (uint8_t)i;
	memset(to->bytes, 0, sizeof(to->bytes));
	memcpy(to->bytes, d->bytes, d->len);
	c->file.digest_count++;
}

static void take_line(struct verify_cursor *c)
{
	const struct bm_manifest_entry *e = &c->next;

	if (e->has_size) {
		c->file.has_size = true;
		c->file.size_bytes = e->size_bytes;
	}
	if (e->has_mtime) {
		c->file.has_mtime = true;
		c->file.mtime_ns = e->mtime_ns;
	}
	for (size_t i = 0; i < e->digest_count; i++)
		take_digest(c, &e->digests[i]);
	if (!verify_takes_blocks(e))
		return;
	bm_buf_reset(&c->block_bytes);
	bm_buf_put(&c->block_bytes, e->blocks.bytes, e->blocks.count * e->blocks.digest_len);
	c->file.has_blocks = !c->block_bytes.oom;
	c->file.blocks = e->blocks;
	c->file.blocks.bytes = (const uint8_t *)c->block_bytes.data;
	c->file.blocks_of_bytes = e->size_bytes;
}

/* Has a name at hand, unless there is none left. */
static enum bm_status need_name(struct verify_cursor *c, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	if (c->has_name)
		return BM_OK;
	if (!c->has_next)
		status = read_line(c, err);
	if (status != BM_OK || !c->has_next)
		return status;
	bm_buf_reset(&c->name);
	bm_buf_put(&c->name, c->next.name, c->next.name_len);
	if (c->name.oom)
		return bm_error_set_nomem(err);
	c->file = (struct verify_file){.is_listed = true};
	do {
		take_line(c);
		status = read_line(c, err);
	} while (status == BM_OK && c->has_next && c->next.is_duplicate && !c->m->is_list);
	c->has_name = status == BM_OK;
	return status;
}

/* ---- files ---- */

uint64_t verify_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct verify_file *verify_file_create(const struct verify_shared *vs, const struct verify_file *file,
                                       const struct verify_digest *digests)
{
	size_t count = file != NULL ? file->digest_count : 0, n = vs->set.count;
	size_t digests_bytes = count * sizeof(struct verify_digest);
	size_t blocks_bytes = file != NULL && file->has_blocks ? file->blocks.count * file->blocks.digest_len : 0;
	struct verify_file *vf =
		(struct verify_file *)(void *)digest_file_create(&vs->set, sizeof(*vf), digests_bytes + blocks_bytes);
	struct digest_file d;
	uint32_t wanted = 0;

	if (vf == NULL || file == NULL)
		return vf;
	d = vf->d;
	*vf = *file;
	vf->d = d;
	vf->digests = (struct verify_digest *)(void *)(vf->d.value + n);
	memcpy(vf->digests, digests, digests_bytes);
	if (blocks_bytes > 0)
		memcpy(vf->digests + count, file->blocks.bytes, blocks_bytes);
	vf->blocks.bytes = (const uint8_t *)(vf->digests + count);
	for (size_t i = 0; i < count; i++)
		wanted |= UINT32_C(1) << digests[i].algorithm;
	vf->d.skip = ~wanted;
	return vf;
}

/* known may be NULL: it is not in the manifest. */
static struct verify_file *make_state(const struct verify_shared *vs, const struct verify_cursor *known)
{
	return verify_file_create(vs, known != NULL ? &known->file : NULL, known != NULL ? known->digests : NULL);
}

/* The entry is not to be read. */
static bool refuse(struct bm_entry *e, struct verify_file *vf, enum bm_status status, const char *text)
{
	vf->verdict = BM_VERDICT_NOT_CHECKED;
	if (e->kind == BM_ENTRY_ERROR)
		return true;
	e->error = malloc(sizeof(*e->error));
	if (e->error == NULL)
		return false;
	bm_error_clear(e->error);
	(void)bm_error_set(e->error, status, NULL, "%s", text);
	e->kind = BM_ENTRY_ERROR;
	return true;
}

static bool time_is_out(const struct verify_shared *vs)
{
	return vs->deadline_ms > 0 && verify_now_ms() >= vs->deadline_ms;
}

/* What is decided before a file is opened; false: no memory. */
static bool judge_early(const struct verify_shared *vs, struct bm_entry *e, struct verify_file *vf)
{
	if (vs->m->root_is_gone)
		return refuse(e, vf, BM_ERR_FAILED, vs->m->gone_text);
	/* A source leaves for later what it has no time for. */
	if (vs->p->known == NULL && time_is_out(vs))
		return refuse(e, vf, BM_ERR_LIMIT, "not read: the time for this run was up");
	return true;
}

/* For a name below the root; NULL: no memory. */
static struct bm_entry *make_entry(const struct verify_shared *vs, const char *name, size_t len)
{
	const char *root = vs->m->root;
	struct bm_buf display = {0};
	struct bm_entry *e = NULL;

	if (vs->m->is_list) { /* as it stands there; "-" is standard input */
		e = bm_entry_create(strcmp(name, "-") == 0 ? BM_ENTRY_STREAM : BM_ENTRY_FILE, name, len, name, len);
		if (e != NULL)
			e->may_be_device = true;
		return e;
	}
	if (name[0] != '/') {
		bm_buf_puts(&display, root);
		if (root[strlen(root) - 1] != '/')
			bm_buf_putc(&display, '/');
	}
	bm_buf_put(&display, name, len);
	if (!display.oom)
		e = bm_entry_create(BM_ENTRY_FILE, name, len, display.data, display.len);
	bm_buf_fini(&display);
	return e;
}

/* In the tree, not in the manifest: is that worth a word? */
static bool is_news(const struct verify_shared *vs, const struct bm_entry *e)
{
	const struct verify_manifest *m = vs->m;
	size_t own = m->own != NULL ? strlen(m->own) : 0;

	if (e->kind == BM_ENTRY_ERROR)
		return m->entry_count == 0 || !m->root_is_gone;
	/* The manifest itself, and what --update keeps of the one before. */
	if (own > 0 && (e->path_len == own || (e->path_len == own + 1 && e->path[own] == '~')) &&
	    memcmp(e->path, m->own, own) == 0)
		return false;
	if (!vs->p->report_new)
		return false;
	/* RFC 8493: a payload manifest is about data/, and not every tag file has to be listed. */
	if (m->kind == BM_MANIFEST_KIND_BAGIT) {
		const char *slash = strrchr(m->path, '/');

		if (strncmp(slash != NULL ? slash + 1 : m->path, "tagmanifest-", 12) == 0)
			return false;
		return e->path_len > 5 && memcmp(e->path, "data/", 5) == 0;
	}
	return true;
}

static int compare(const struct bm_buf *name, const struct bm_entry *e)
{
	size_t n = name->len < e->path_len ? name->len : e->path_len;
	int order = memcmp(name->data, e->path, n);

	return order != 0 ? order : (name->len > e->path_len) - (name->len < e->path_len);
}

static enum bm_expect fail_nomem(struct bm_error *err)
{
	(void)bm_error_set_nomem(err);
	return BM_EXPECT_FAILED;
}

enum bm_expect verify_give_walked(const struct verify_shared *vs, struct bm_entry *walked, struct verify_file *vf,
                                  void **state, struct bm_error *err)
{
	if (vf == NULL || !judge_early(vs, walked, vf)) {
		free(vf);
		return fail_nomem(err);
	}
	*state = vf;
	return BM_EXPECT_WALKED;
}

enum bm_expect verify_give_extra(const struct verify_shared *vs, const char *name, size_t len, struct verify_file *vf,
                                 struct bm_entry **extra, void **state, struct bm_error *err)
{
	struct bm_entry *e = make_entry(vs, name, len);

	if (vf == NULL || e == NULL || !judge_early(vs, e, vf)) {
		bm_entry_destroy(e);
		free(vf);
		return fail_nomem(err);
	}
	vf->is_extra = true;
	*extra = e;
	*state = vf;
	return BM_EXPECT_EXTRA;
}

/* Not to be told of, where that is asked for: looked at here, so that it takes no place in the listing. */
static bool is_absent(const struct verify_shared *vs, struct bm_worker *w)
{
	struct bm_entry *e = make_entry(vs, vs->cursor->name.data, vs->cursor->name.len);
	struct bm_error err;
	bool absent;

	if (e == NULL)
		return false;
	bm_error_clear(&err);
	bm_worker_block(w);
	absent = bm_entry_is_absent(e);
	bm_worker_unblock(w);
	bm_entry_destroy(e);
	return absent;
}

enum bm_expect verify_expect(void *shared, struct bm_entry *walked, struct bm_entry **extra, void **state,
                             struct bm_worker *w, struct bm_error *err)
{
	struct verify_shared *vs = shared;
	struct verify_cursor *c;
	enum bm_expect expect;

	if (vs->p->known != NULL)
		return verify_known_expect(vs, walked, extra, state, w, err);
	if (vs->cursor == NULL) {
		if (cursor_create(vs->m, &vs->cursor, err) != BM_OK)
			return BM_EXPECT_FAILED;
		if (vs->p->max_duration.is_set)
			vs->deadline_ms = verify_now_ms() + vs->p->max_duration.ms;
	}
	c = vs->cursor;
	for (;;) {
		if (need_name(c, err) != BM_OK)
			return BM_EXPECT_FAILED;
		int order = !c->has_name ? 1 : walked == NULL ? -1 : compare(&c->name, walked);
		if (order > 0 && walked == NULL)
			return BM_EXPECT_END;
		if (order > 0)
			return is_news(vs, walked) ? verify_give_walked(vs, walked, make_state(vs, NULL), state, err)
			                           : BM_EXPECT_PASS;
		if (order == 0) {
			expect = verify_give_walked(vs, walked, make_state(vs, c), state, err);
		} else if (!bm_plan_takes_name(vs->plan, c->name.data, c->name.len) ||
		           (!vs->p->report_missing && !vs->m->root_is_gone && is_absent(vs, w))) {
			c->has_name = false;
			continue;
		} else {
			expect = verify_give_extra(vs, c->name.data, c->name.len, make_state(vs, c), extra, state, err);
		}
		c->has_name = false;
		return expect;
	}
}
