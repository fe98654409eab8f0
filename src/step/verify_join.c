/*
 * verify_join.c - see verify_join.h.
 *
 * Items stay as small rows in memory, in the order in which they came; all else of them is a string of bytes in the
 * spool, at the row's place. A digest becomes a key: 64 bits of it, and the row that it belongs to. Sorted keys bring
 * together what may be the same; whether it is, the digests in the spool say.
 *
 * Moved files need the keys alone. Where one missing and one new file have a key there is no choice: such pairs are noted
 * in the rows, and looked at in the order of the spool, so that it is read from end to end. For duplicates the manifest is read once more: each of its digests is looked up among
 * the keys of the new files that are left. The rows of missing and of damaged files are in the manifest's order, so a
 * finger in the rows tells for each of its names whether that file is there and ok.
 */
#include "verify_join.h"

#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "verify_join_key.h"
#include "verify_spool.h"

#define KEY_MIN_BYTES 8
#define NOTHING UINT64_MAX /* an offset that no string has */
#define DIGESTS_MAX 64

/* ---- items ---- */

struct row {
	uint64_t at; /* of its string in the spool */
	/* Of the string of a name (struct head, and the name); NOTHING. Of a missing one, while moved files are looked for:
	 * the row of the new file that may be it. */
	uint64_t other;
	uint8_t kind;
	uint8_t verdict;
	bool is_paired; /* with a missing or a new one */
};

/* A row's string: this, the name and a NUL, digests (algorithm, length, bytes), the record. */
struct head {
	uint32_t name_len, digests_len, record_len;
	uint64_t leaf; /* hash of the last component of the name */
};

struct join {
	struct spool spool;
	struct row *rows;
	size_t row_count, row_cap;
	struct key *keys;
	size_t key_count, key_cap;
	struct spool_window a, b;
};

enum bm_status join_create(struct join **out, struct bm_error *err)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return bm_error_set_nomem(err);
	spool_init(&(*out)->spool);
	return BM_OK;
}

void join_destroy(struct join *j)
{
	if (j == NULL)
		return;
	spool_fini(&j->spool);
	spool_window_fini(&j->a);
	spool_window_fini(&j->b);
	free(j->rows);
	free(j->keys);
	free(j);
}

/* Eight bytes at a time: it is done for every digest of two manifests. */
static uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
	const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
	const uint8_t *p = data;
	uint64_t h = (seed + 1) * factor ^ len, word;

	for (; len > 0; p += sizeof(word), len -= sizeof(word)) {
		size_t n = len < sizeof(word) ? len : sizeof(word);

		word = 0;
		memcpy(&word, p, n);
		h = (h ^ word) * factor;
		h ^= h >> 29;
		if (n < sizeof(word))
			break;
	}
	return h;
}

static uint64_t hash_digest(const struct join_digest *d)
{
	return hash_bytes(d->algorithm, d->bytes, d->len);
}

static bool grow(void **items, size_t *cap, size_t count, size_t size)
{
	void *more;

	if (count < *cap)
		return true;
	more = bm_realloc_array(*items, *cap > 0 ? *cap * 2 : 64, size);
	if (more == NULL)
		return false;
	*items = more;
	*cap = *cap > 0 ? *cap * 2 : 64;
	return true;
}

static bool add_row(struct join *j, uint64_t at, enum join_kind kind)
{
	static const enum bm_verdict verdicts[] = {
		[JOIN_NEW] = BM_VERDICT_NEW, [JOIN_MISSING] = BM_VERDICT_MISSING, [JOIN_NOT_OK] = BM_VERDICT_NONE};
	void *rows = j->rows;
	bool ok = grow(&rows, &j->row_cap, j->row_count, sizeof(*j->rows));

	j->rows = rows;
	if (ok)
		j->rows[j->row_count++] = (struct row){at, NOTHING, (uint8_t)kind, (uint8_t)verdicts[kind], false};
	return ok;
}

static bool add_key(struct join *j, uint64_t hash)
{
	void *keys = j->keys;
	bool ok = grow(&keys, &j->key_cap, j->key_count, sizeof(*j->keys));

	j->keys = keys;
	if (ok)
		j->keys[j->key_count++] = (struct key){.hash = hash, .row = (uint32_t)(j->row_count - 1)};
	return ok;
}

enum bm_status join_add(struct join *j, const struct join_item *item, struct bm_error *err)
{
	const char *slash = memrchr(item->name, '/', item->name_len);
	const char *leaf = slash != NULL ? slash + 1 : item->name;
	struct head h = {.leaf = hash_bytes(0, leaf, item->name_len - (size_t)(leaf - item->name))};
	uint64_t at = spool_end(&j->spool);
	struct bm_buf *out = &j->spool.tail;
	size_t digests_len = 0;

	if (j->row_count == UINT32_MAX || item->name_len >= UINT32_MAX || item->record_len > UINT32_MAX ||
	    item->digest_count > DIGESTS_MAX)
		return bm_error_set(err, BM_ERR_LIMIT, NULL, "more files are new or missing than can be kept");
	for (size_t i = 0; i < item->digest_count; i++)
		digests_len += 2 + item->digests[i].len;
	h.name_len = (uint32_t)item->name_len;
	h.digests_len = (uint32_t)digests_len;
	h.record_len = (uint32_t)item->record_len;
	bm_buf_put(out, &h, sizeof(h));
	bm_buf_put(out, item->name, item->name_len + 1);
	for (size_t i = 0; i < item->digest_count; i++) {
		bm_buf_putc(out, (char)item->digests[i].algorithm);
		bm_buf_putc(out, (char)item->digests[i].len);
		bm_buf_put(out, item->digests[i].bytes, item->digests[i].len);
	}
	bm_buf_put(out, item->record, item->record_len);
	if (!add_row(j, at, item->kind))
		return bm_error_set_nomem(err);
	for (size_t i = 0; i < item->digest_count && item->kind != JOIN_NOT_OK && !item->is_empty; i++)
		if (item->digests[i].len >= KEY_MIN_BYTES && !add_key(j, hash_digest(&item->digests[i])))
			return bm_error_set_nomem(err);
	return spool_put_done(&j->spool, err);
}

/* ---- reading items back ---- */

struct view {
	struct head h;
	const char *name, *digests, *record;
};

/* With the record, or without. */
static bool get_view(struct join *j, uint64_t at, bool whole, struct spool_window *w, struct view *v,
                     struct bm_error *err)
{
	const char *p = spool_get(&j->spool, at, sizeof(v->h), w, err);
	size_t len;

	if (p == NULL)
		return false;
	memcpy(&v->h, p, sizeof(v->h));
	len = sizeof(v->h) + v->h.name_len + 1 + v->h.digests_len + (whole ? v->h.record_len : 0);
	p = spool_get(&j->spool, at, len, w, err);
	if (p == NULL)
		return false;
	v->name = p + sizeof(v->h);
	v->digests = v->name + v->h.name_len + 1;
	v->record = v->digests + v->h.digests_len;
	return true;
}

/* The n-th digest at *at; moves on. */
static bool next_digest(const struct view *v, size_t *at, struct join_digest *d)
{
	const uint8_t *p = (const uint8_t *)v->digests + *at;

	if (*at >= v->h.digests_len)
		return false;
	d->algorithm = p[0];
	d->len = p[1];
	d->bytes = p + 2;
	*at += 2 + d->len;
	return true;
}

/* Something in common that tells, and nothing that differs. */
static bool same_digests(const struct view *v, const struct join_digest *digests, size_t count)
{
	struct join_digest d;
	bool common = false;

	for (size_t at = 0; next_digest(v, &at, &d);) {
		for (size_t i = 0; i < count; i++) {
			if (digests[i].algorithm != d.algorithm)
				continue;
			if (digests[i].len != d.len || memcmp(digests[i].bytes, d.bytes, d.len) != 0)
				return false;
			common = common || d.len >= KEY_MIN_BYTES;
		}
	}
	return common;
}

static bool same_views(const struct view *a, const struct view *b)
{
	struct join_digest all[DIGESTS_MAX];
	size_t n = 0;

	for (size_t at = 0; n < DIGESTS_MAX && next_digest(b, &at, &all[n]);)
		n++;
	return same_digests(a, all, n);
}

/* ---- moved ---- */

struct candidate {
	uint64_t leaf;
	uint32_t row;
};

static int compare_leaves(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	if (a->leaf != b->leaf)
		return a->leaf < b->leaf ? -1 : 1;
	return (a->row > b->row) - (a->row < b->row);
}

static int compare_rows(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;

	return (a->row > b->row) - (a->row < b->row);
}

static enum bm_status try_pair(struct join *j, uint32_t missing, uint32_t fresh, struct bm_error *err)
{
	struct row *m = &j->rows[missing], *n = &j->rows[fresh];
	struct view a, b;

	if (m->is_paired || n->is_paired)
		return BM_OK;
	if (!get_view(j, m->at, false, &j->a, &a, err) || !get_view(j, n->at, false, &j->b, &b, err))
		return err->status;
	if (!same_views(&a, &b))
		return BM_OK;
	m->is_paired = n->is_paired = true;
	n->verdict = BM_VERDICT_MOVED;
	n->other = m->at;
	return BM_OK;
}

static size_t drop_paired(const struct join *j, struct candidate *c, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (!j->rows[c[i].row].is_paired)
			c[kept++] = c[i];
	return kept;
}

/* First those whose names end in the same, then in listing order. */
static enum bm_status pair_group(struct join *j, struct candidate *missing, size_t m_count, struct candidate *fresh,
                                 size_t n_count, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	qsort(missing, m_count, sizeof(*missing), compare_leaves);
	qsort(fresh, n_count, sizeof(*fresh), compare_leaves);
	for (size_t m = 0, n = 0; m < m_count && n < n_count && status == BM_OK;) {
		if (missing[m].leaf != fresh[n].leaf) {
			if (missing[m].leaf < fresh[n].leaf)
				m++;
			else
				n++;
			continue;
		}
		status = try_pair(j, missing[m++].row, fresh[n++].row, err);
	}
	m_count = drop_paired(j, missing, m_count);
	n_count = drop_paired(j, fresh, n_count);
	qsort(missing, m_count, sizeof(*missing), compare_rows);
	qsort(fresh, n_count, sizeof(*fresh), compare_rows);
	for (size_t i = 0; i < m_count && i < n_count && status == BM_OK; i++)
		status = try_pair(j, missing[i].row, fresh[i].row, err);
	return status;
}

/* One missing, one new, the usual case: there is no choice, so these wait until all are known. Files with several
 * digests may meet once for each. */
static enum bm_status note_pair(struct join *j, uint32_t x, uint32_t y, struct bm_error *err)
{
	bool is_first = j->rows[x].kind == JOIN_MISSING;
	uint32_t missing = is_first ? x : y, fresh = is_first ? y : x;
	struct row *m = &j->rows[missing];

	if (m->other != NOTHING && m->other != fresh)
		return try_pair(j, missing, fresh, err);
	m->other = fresh;
	return BM_OK;
}

static enum bm_status try_noted(struct join *j, struct bm_error *err)
{
	enum bm_status status = BM_OK;

	for (size_t i = 0; i < j->row_count; i++) {
		struct row *m = &j->rows[i];
		uint64_t fresh = m->other;

		if (m->kind != JOIN_MISSING || fresh == NOTHING)
			continue;
		m->other = NOTHING;
		if (status == BM_OK)
			status = try_pair(j, (uint32_t)i, (uint32_t)fresh, err);
	}
	return status;
}

static enum bm_status find_moved(struct join *j, struct bm_error *err)
{
	struct candidate *c = NULL;
	enum bm_status status = BM_OK;
	struct view v;

	for (size_t from = 0, to; from < j->key_count && status == BM_OK; from = to) {
		size_t m = 0, n = 0, count;

		for (to = from; to < j->key_count && j->keys[to].hash == j->keys[from].hash; to++) {
			if (j->rows[j->keys[to].row].kind == JOIN_MISSING)
				m++;
			else
				n++;
		}
		count = to - from;
		if (m == 0 || n == 0)
			continue;
		if (m == 1 && n == 1) {
			status = note_pair(j, j->keys[from].row, j->keys[from + 1].row, err);
			continue;
		}
		struct candidate *more = bm_realloc_array(c, count, sizeof(*c));
		if (more == NULL) {
			status = bm_error_set_nomem(err);
			break;
		}
		c = more;
		size_t at_m = 0, at_n = m;
		for (size_t i = from; i < to; i++) {
			const struct row *r = &j->rows[j->keys[i].row];

			if (!get_view(j, r->at, false, &j->a, &v, err)) {
				status = err->status;
				break;
			}
			c[r->kind == JOIN_MISSING ? at_m++ : at_n++] = (struct candidate){v.h.leaf, j->keys[i].row};
		}
		if (status == BM_OK)
			status = pair_group(j, c, m, c + m, n, err);
	}
	free(c);
	return try_noted(j, err) != BM_OK || status != BM_OK ? err->status : BM_OK;
}

/* ---- duplicates ---- */

static size_t find_key(const struct join *j, uint64_t hash)
{
	size_t low = 0, high = j->key_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (j->keys[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A listed file, ok or not, that may be what new files are copies of. */
static enum bm_status see_listed(struct join *j, const char *name, size_t name_len, bool is_ok,
                                 const struct join_digest *digests, size_t count, struct bm_error *err)
{
	uint64_t name_at = NOTHING;
	struct view v;

	for (size_t i = 0; i < count; i++) {
		uint64_t hash = hash_digest(&digests[i]);

		size_t first = find_key(j, hash);
		bool all_settled = true;

		if (digests[i].len < KEY_MIN_BYTES || first == j->key_count || j->keys[first].hash != hash ||
		    j->keys[first].all_are_settled || (!is_ok && j->keys[first].all_have_other))
			continue;
		for (size_t k = first; k < j->key_count && j->keys[k].hash == hash; k++) {
			struct row *r = &j->rows[j->keys[k].row];

			if (r->kind != JOIN_NEW || r->is_paired || r->verdict == BM_VERDICT_DUPLICATE ||
			    (!is_ok && r->other != NOTHING))
				continue;
			if (!get_view(j, r->at, false, &j->b, &v, err)) /* the other one is is_bad's, in order */
				return err->status;
			if (!same_digests(&v, digests, count)) {
				all_settled = false;
				continue;
			}
			if (name_at == NOTHING) {
				struct head h = {.name_len = (uint32_t)name_len};

				name_at = spool_end(&j->spool);
				bm_buf_put(&j->spool.tail, &h, sizeof(h));
				bm_buf_put(&j->spool.tail, name, name_len);
				bm_buf_putc(&j->spool.tail, '\0');
				if (spool_put_done(&j->spool, err) != BM_OK)
					return err->status;
			}
			r->other = name_at;
			if (is_ok)
				r->verdict = BM_VERDICT_DUPLICATE;
		}
		j->keys[first].all_have_other = all_settled;
		j->keys[first].all_are_settled = all_settled && is_ok;
	}
	return BM_OK;
}

/* Moves *row to the first one of a file that is missing or not ok whose name is not before this one; is it this one? */
static bool is_bad(struct join *j, size_t *row, const char *name, size_t name_len, bool *bad, struct bm_error *err)
{
	struct view v;

	*bad = false;
	for (; *row < j->row_count; (*row)++) {
		if (j->rows[*row].kind == JOIN_NEW)
			continue;
		if (!get_view(j, j->rows[*row].at, false, &j->a, &v, err))
			return false;
		size_t n = v.h.name_len < name_len ? v.h.name_len : name_len;
		int order = memcmp(v.name, name, n);

		if (order == 0)
			order = (v.h.name_len > name_len) - (v.h.name_len < name_len);
		if (order >= 0) {
			*bad = order == 0;
			return true;
		}
	}
	return true;
}

static enum bm_status find_duplicates(struct join *j, join_listed_fn *listed, void *ctx, struct bm_error *err)
{
	const struct join_digest *digests;
	const char *name;
	size_t name_len, count, row = 0;
	bool bad;

	while (listed(ctx, &name, &name_len, &digests, &count, err)) {
		if (!is_bad(j, &row, name, name_len, &bad, err))
			return err->status;
		bool missing = bad && j->rows[row].kind == JOIN_MISSING;
		if (!missing && see_listed(j, name, name_len, !bad, digests, count, err) != BM_OK)
			return err->status;
	}
	return err->status;
}

/* New files that are left, of a digest that a moved file has. */
static enum bm_status find_copies_of_moved(struct join *j, struct bm_error *err)
{
	struct view a, b;

	for (size_t from = 0, to; from < j->key_count; from = to) {
		size_t moved = j->key_count;

		for (to = from; to < j->key_count && j->keys[to].hash == j->keys[from].hash; to++)
			if (moved == j->key_count && j->rows[j->keys[to].row].verdict == BM_VERDICT_MOVED)
				moved = to;
		for (size_t i = from; i < to && moved < j->key_count; i++) {
			struct row *r = &j->rows[j->keys[i].row], *m = &j->rows[j->keys[moved].row];

			if (r->kind != JOIN_NEW || r->verdict != BM_VERDICT_NEW)
				continue;
			if (!get_view(j, m->at, false, &j->a, &a, err) || !get_view(j, r->at, false, &j->b, &b, err))
				return err->status;
			if (!same_views(&a, &b))
				continue;
			r->verdict = BM_VERDICT_DUPLICATE;
			r->other = m->at;
		}
	}
	return BM_OK;
}

enum bm_status join_run(struct join *j, join_listed_fn *listed, void *ctx, struct bm_error *err)
{
	struct bm_error local = BM_ERROR_INIT;
	enum bm_status status;
	bool any = false;

	join_keys_sort(j->keys, j->key_count);
	status = find_moved(j, &local);
	for (size_t i = 0; i < j->key_count && !any; i++)
		any = j->rows[j->keys[i].row].kind == JOIN_NEW && !j->rows[j->keys[i].row].is_paired;
	if (status == BM_OK && any)
		status = find_duplicates(j, listed, ctx, &local);
	if (status == BM_OK && any)
		status = find_copies_of_moved(j, &local);
	if (status != BM_OK && err != NULL && err->status == BM_OK)
		*err = local;
	return status;
}

enum bm_status join_each(struct join *j, void (*give)(void *ctx, const struct join_given *given), void *ctx,
                         struct bm_error *err)
{
	struct bm_error local = BM_ERROR_INIT;
	struct join_digest digests[DIGESTS_MAX];
	struct view v, other;

	for (size_t i = 0; i < j->row_count; i++) {
		const struct row *r = &j->rows[i];
		struct join_given given = {.verdict = (enum bm_verdict)r->verdict, .digests = digests};

		if (r->kind == JOIN_NOT_OK || (r->kind == JOIN_MISSING && r->is_paired))
			continue;
		if (!get_view(j, r->at, true, &j->a, &v, &local) ||
		    (r->other != NOTHING && !get_view(j, r->other, false, &j->b, &other, &local))) {
			if (err != NULL && err->status == BM_OK)
				*err = local;
			return local.status;
		}
		for (size_t at = 0;
		     given.digest_count < DIGESTS_MAX && next_digest(&v, &at, &digests[given.digest_count]);)
			given.digest_count++;
		given.name = v.name;
		given.name_len = v.h.name_len;
		given.record = v.record;
		given.record_len = v.h.record_len;
		given.other = r->other != NOTHING ? other.name : NULL;
		give(ctx, &given);
	}
	return BM_OK;
}
