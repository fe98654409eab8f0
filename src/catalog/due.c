/*
 * due.c - the oldest-verified files first, without an index by time (schema.c says why there is none).
 *
 * One scan makes a histogram of the ages of what is due, or whoever has seen all files anyhow counts them on the way
 * (bm_catalog_ages): it only decides where buckets end, and need not be exact, unless nothing at all is due. It has a
 * fixed number of bins, the first at before_ns, each `width` wide; when a file is older than all of them, width is
 * doubled, and each two bins become one. So one scan will do, whatever the ages, and the bins are never more than
 * twice too coarse. Neighbouring bins are then joined, from the oldest on, into buckets of at least a sixteenth of all
 * files, which are read one after the other; a bin that is that large by itself is not joined with older ones, so that
 * few old files do not get lost among many. That makes 33 scans at most, and mostly about 16, for a pass over
 * everything, however many files there are, and one or two for the slice of a night.
 *
 * What was verified more than a day from now was so by a clock that went wrong, nobody knows when: it is due before all
 * else, in a bucket of its own. Otherwise it would not be due again before the clock gets there.
 *
 * A bucket of few files is sorted in memory by time. A large one is read in order of paths: it can be sorted nowhere
 * without a temporary file as large as itself, what is in it was verified at about the same time, and it is the order
 * in which the disk has the files.
 */
#include <stdlib.h>
#include <string.h>

#include "bm_error.h"
#include "files_internal.h"

#define BINS 4096
#define WIDTH_START 1000000 /* ns */
#define SCAN_PAGE 8192
#define DAY_NS (INT64_C(86400) * 1000000000)

enum bm_status catalog_scan_verified(struct bm_catalog *c, int64_t root,
                                     void (*each)(void *ctx, const struct catalog_verified *v), void *ctx,
                                     struct bm_error *err)
{
	struct catalog_rows rows = {0};
	struct catalog_value v[CATALOG_VALUES_MAX];
	struct bm_buf from = {0};
	enum bm_status status;

	do {
		catalog_rows_reset(&rows);
		status = catalog_read(c, SQL_FILES_VERIFIED, &rows, err,
		                      ARGS(val_int(root), val_blob(from.data, from.len), val_int(SCAN_PAGE)));
		for (size_t i = 0; status == BM_OK && i < rows.count; i++) {
			catalog_rows_get(&rows, i, v);
			each(ctx, &(struct catalog_verified){v[1].number, (uint64_t)v[2].number,
			                                     (enum bm_catalog_file_state)v[3].number});
		}
		if (status == BM_OK && rows.count > 0) { /* v is the last one: see pager.c */
			bm_buf_reset(&from);
			bm_buf_put(&from, v[0].bytes, v[0].len);
			bm_buf_putc(&from, '\0');
			if (from.oom)
				status = bm_error_set_nomem(err);
		}
	} while (status == BM_OK && rows.count == SCAN_PAGE);
	catalog_rows_fini(&rows);
	bm_buf_fini(&from);
	return status;
}

struct bm_catalog_ages {
	int64_t before_ns;
	int64_t future_ns; /* from then on; no earlier than before_ns */
	uint64_t future;   /* files */
	uint64_t width;    /* of each bin, ns */
	uint64_t total;
	uint64_t bins[BINS]; /* bins[i]: at least i * width before before_ns - 1 */
};

struct bm_catalog_ages *bm_catalog_ages_create(int64_t before_ns)
{
	struct bm_catalog_ages *h = bm_calloc_array(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->before_ns = before_ns;
	h->future_ns = bm_catalog_now() + DAY_NS;
	if (h->future_ns < before_ns)
		h->future_ns = before_ns;
	h->width = WIDTH_START;
	return h;
}

void bm_catalog_ages_add(struct bm_catalog_ages *h, int64_t verified_ns, enum bm_catalog_file_state state)
{
	if (state == BM_CATALOG_OK && verified_ns >= h->future_ns)
		h->future++;
	if (state != BM_CATALOG_OK || verified_ns >= h->before_ns)
		return;
	uint64_t age = (uint64_t)h->before_ns - 1 - (uint64_t)verified_ns;
	while (age / h->width >= BINS) {
		for (size_t i = 0; i < BINS; i++)
			h->bins[i] = i < BINS / 2 ? h->bins[2 * i] + h->bins[2 * i + 1] : 0;
		h->width *= 2;
	}
	h->bins[age / h->width]++;
	h->total++;
}

void bm_catalog_ages_destroy(struct bm_catalog_ages *h)
{
	free(h);
}

static void count(void *ctx, const struct catalog_verified *v)
{
	bm_catalog_ages_add(ctx, v->verified_ns, v->state);
}

static size_t cut(const struct bm_catalog_ages *h, struct catalog_bucket out[static DUE_BUCKETS_MAX])
{
	size_t n = 0, count = 0;

	if (h->total > 0) {
		uint64_t least = h->total / 16 > DUE_BUCKET_MIN ? h->total / 16 : DUE_BUCKET_MIN, left = h->total;

		out[0] = (struct catalog_bucket){INT64_MIN, h->before_ns, 0};
		for (size_t i = BINS; i-- > 0 && left > 0;) {
			if (h->bins[i] > 0 && (out[n].files >= least || (out[n].files > 0 && h->bins[i] >= least))) {
				int64_t at = (int64_t)((uint64_t)h->before_ns - (i + 1) * h->width);

				out[n].to_ns = at;
				out[++n] = (struct catalog_bucket){at, h->before_ns, 0};
			}
			out[n].files += h->bins[i];
			left -= h->bins[i];
		}
		count = n + 1;
	}
	if (h->future > 0) {
		memmove(out + 1, out, count * sizeof(*out));
		out[0] = (struct catalog_bucket){h->future_ns, INT64_MAX, h->future};
		count++;
	}
	return count;
}

enum bm_status catalog_due_buckets(struct bm_catalog *c, int64_t root, int64_t before_ns,
                                   const struct bm_catalog_ages *ages,
                                   struct catalog_bucket out[static DUE_BUCKETS_MAX], size_t *bucket_count,
                                   struct bm_error *err)
{
	struct bm_catalog_ages *own;
	enum bm_status status;

	*bucket_count = 0;
	if (ages != NULL) {
		*bucket_count = cut(ages, out);
		return BM_OK;
	}
	own = bm_catalog_ages_create(before_ns);
	if (own == NULL)
		return bm_error_set_nomem(err);
	status = catalog_scan_verified(c, root, count, own, err);
	if (status == BM_OK)
		*bucket_count = cut(own, out);
	bm_catalog_ages_destroy(own);
	return status;
}
