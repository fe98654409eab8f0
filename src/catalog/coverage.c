/*
 * coverage.c - how much of a root was verified, and when: counted in one scan (due.c), as it is asked for by people, not
 * by programs.
 *
 * What was verified more than a day from now was so by a clock that went wrong, nobody knows when: it counts as old as can
 * be, as it does in due.c, and is neither the oldest nor the newest one.
 */
#include "bm_error.h"
#include "files_internal.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

struct adding {
	struct bm_catalog *c;
	const int64_t *since_ns;
	size_t count;
	int64_t future_ns; /* from then on */
	struct bm_catalog_coverage *out;
	enum bm_status status;
	struct bm_error *err;
};

static void add(struct bm_catalog_count *to, uint64_t bytes)
{
	to->files++;
	to->bytes += bytes;
}

static void add_file(void *ctx, const struct catalog_verified *v)
{
	struct adding *a = ctx;
	struct bm_catalog_coverage *out = a->out;
	size_t low = 0, high = a->count;

	if ((size_t)v->state < sizeof(out->state) / sizeof(out->state[0]))
		add(&out->state[v->state], v->size);
	if (v->state == BM_CATALOG_MISSING)
		return;
	add(&out->all, v->size);
	if (v->verified_ns >= a->future_ns) {
		add(&out->future, v->size);
		add(&out->age[a->count], v->size);
		return;
	}
	if (out->all.files - out->future.files == 1 || v->verified_ns < out->oldest_ns)
		out->oldest_ns = v->verified_ns;
	if (out->all.files - out->future.files == 1 || v->verified_ns > out->newest_ns)
		out->newest_ns = v->verified_ns;
	while (low < high) { /* the first time that is not after it */
		size_t middle = low + (high - low) / 2;

		if (v->verified_ns >= a->since_ns[middle])
			high = middle;
		else
			low = middle + 1;
	}
	add(&out->age[low], v->size);
}

static bool add_root(void *ctx, const struct bm_catalog_root *r)
{
	struct adding *a = ctx;

	a->status = catalog_scan_verified(a->c, r->id, add_file, a, a->err);
	return a->status == BM_OK;
}

enum bm_status bm_catalog_coverage(struct bm_catalog *c, int64_t root, const int64_t *since_ns, size_t count,
                                   struct bm_catalog_coverage *out, struct bm_error *err)
{
	struct adding a = {c, since_ns, count, bm_catalog_now() + DAY_NS, out, BM_OK, err};
	enum bm_status status;

	memset(out, 0, sizeof(*out));
	if (count > BM_CATALOG_AGES_MAX)
		return bm_error_set(err, BM_ERR_USAGE, NULL, "at most %d ages can be told apart", BM_CATALOG_AGES_MAX);
	catalog_settle(c);
	if (root != 0)
		return catalog_scan_verified(c, root, add_file, &a, err);
	status = bm_catalog_root_list(c, add_root, &a, err);
	return status != BM_OK ? status : a.status;
}
