/*
 * match.c - files by digest, by one scan for any number of digests (schema.c says why there is no index).
 *
 * What is wanted is put into a hash table with open addressing: 8 bytes of the digest, which is as good as random, and
 * its place in the caller's array. Only where those agree is the rest compared. Equal digests in wanted are neighbours
 * in the table, so each of them is found.
 */
#include <stdlib.h>

#include "bm_error.h"
#include "files_internal.h"

struct table {
	const struct bm_catalog_digest *wanted;
	uint64_t *starts; /* the digest's first 8 bytes */
	size_t *places;   /* in wanted, + 1; 0: free */
	size_t mask;      /* size - 1; a power of two, at most half full */
};

static uint64_t start_of(const uint8_t *bytes, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, bytes, len < sizeof(v) ? len : sizeof(v));
	return v;
}

/* Checksums of few bits and made-up digests are spread as well. */
static size_t slot_of(const struct table *t, uint64_t start)
{
	return (size_t)((start * 0x9e3779b97f4a7c15u) >> 20) & t->mask;
}

static bool table_make(struct table *t, const struct bm_catalog_digest *wanted, size_t count)
{
	size_t size = 16;

	while (size / 2 < count) {
		if (!bm_mul_size(size, 2, &size))
			return false;
	}
	t->wanted = wanted;
	t->mask = size - 1;
	t->starts = bm_calloc_array(size, sizeof(*t->starts));
	t->places = bm_calloc_array(size, sizeof(*t->places));
	if (t->starts == NULL || t->places == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t start = start_of(wanted[i].bytes, wanted[i].len);
		size_t at = slot_of(t, start);

		while (t->places[at] != 0)
			at = (at + 1) & t->mask;
		t->starts[at] = start;
		t->places[at] = i + 1;
	}
	return true;
}

/* False: the callback wants no more. */
static bool look_up(const struct table *t, int64_t root, const struct bm_catalog_file *f, bm_catalog_match_fn each,
                    void *ctx)
{
	uint64_t start = start_of(f->digest, f->digest_len);

	for (size_t at = slot_of(t, start); t->places[at] != 0; at = (at + 1) & t->mask) {
		const struct bm_catalog_digest *w = &t->wanted[t->places[at] - 1];

		if (t->starts[at] == start && w->len == f->digest_len && memcmp(w->bytes, f->digest, w->len) == 0 &&
		    strcmp(w->algorithm, f->algorithm) == 0 && !each(ctx, t->places[at] - 1, root, f))
			return false;
	}
	return true;
}

struct scan {
	struct bm_catalog *c;
	struct table table;
	bm_catalog_match_fn each;
	void *ctx;
	enum bm_status status;
	struct bm_error *err;
	bool more;
};

static void scan_root(struct scan *s, int64_t root)
{
	struct bm_catalog_files *files = NULL;
	const struct bm_catalog_file *f;

	s->status = bm_catalog_files_open(s->c, root, NULL, 0, &files, s->err);
	while (s->status == BM_OK && s->more) {
		s->status = bm_catalog_files_next(files, &f, s->err);
		if (s->status != BM_OK || f == NULL)
			break;
		if (f->digest_len > 0 && f->algorithm != NULL)
			s->more = look_up(&s->table, root, f, s->each, s->ctx);
	}
	bm_catalog_files_close(files);
}

static bool scan_each(void *ctx, const struct bm_catalog_root *r)
{
	struct scan *s = ctx;

	scan_root(s, r->id);
	return s->status == BM_OK && s->more;
}

enum bm_status bm_catalog_files_match(struct bm_catalog *c, int64_t root, const struct bm_catalog_digest *wanted,
                                      size_t count, bm_catalog_match_fn each, void *ctx, struct bm_error *err)
{
	struct scan s = {.c = c, .each = each, .ctx = ctx, .status = BM_OK, .err = err, .more = count > 0};
	enum bm_status status = BM_OK;

	if (!table_make(&s.table, wanted, count)) {
		status = bm_error_set_nomem(err);
	} else if (root != 0) {
		scan_root(&s, root);
	} else {
		status = bm_catalog_root_list(c, scan_each, &s, err);
	}
	free(s.table.starts);
	free(s.table.places);
	return status != BM_OK ? status : s.status;
}
