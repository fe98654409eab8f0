/*
 * audit_diff.c - two manifests compared, and no file read.
 *
 * Each is sorted by name (audit_diff_side.h), and the two are gone through side by side. What is in both gets its verdict
 * at once. What is in one only is kept until all is known, and then paired by digests as an audit does it (verify_join.h):
 * so both have the same idea of what has moved.
 *
 * Digests can be compared where both manifests have the same algorithm for a file, also one that this program cannot
 * compute.
 *
 * Empty files, where a size or the digest tells, are never taken for moved or duplicate: all of them are alike.
 */
#include "bm_audit.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit_diff_side.h"
#include "bm_error.h"
#include "bm_text.h"
#include "bm_time.h"
#include "verify_join.h"

static int compare_names(const struct side *a, const struct side *b)
{
	size_t n = a->name.len < b->name.len ? a->name.len : b->name.len;
	int order;

	if (!a->has_name || !b->has_name)
		return (b->has_name ? 1 : 0) - (a->has_name ? 1 : 0);
	order = memcmp(a->name.data, b->name.data, n);
	return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* ---- results ---- */

static void tell(struct diff *d, const char *name, const struct facts *f, const struct digest *digests,
                 enum bm_verdict verdict, const char *other, const struct bm_error *why)
{
	struct bm_file_digest list[DIFF_DIGESTS_MAX];
	struct bm_file_result r = {
		.job = "diff",
		.path = name,
		.display = name,
		.state = why == NULL ? BM_FILE_DONE : BM_FILE_FAILED,
		.bytes = f->has_size ? f->size_bytes : 0,
		.digests = list,
		.digest_count = f->digest_count,
		.error = why,
		.verdict = verdict,
		.other = other,
		.has_mtime = f->has_mtime,
		.mtime_ns = f->mtime_ns,
	};

	for (size_t i = 0; i < f->digest_count; i++)
		list[i] = (struct bm_file_digest){
			.algorithm = d->algorithms[digests[i].algorithm].name,
			.bytes = digests[i].bytes,
			.len = digests[i].len,
			.length = r.bytes,
		};
	d->sum->verdicts[verdict]++;
	d->sum->files_done += why == NULL;
	d->sum->files_failed += why != NULL;
	d->o->on_file(d->o->ctx, &r);
}

static void put_short(struct bm_buf *out, const struct digest *d)
{
	bm_hex_put(out, d->bytes, d->len > 8 ? 8 : d->len);
	bm_buf_puts(out, d->len > 8 ? "..." : "");
}

static bool same_mtime(const struct facts *a, const struct facts *b)
{
	int64_t x = a->mtime_ns, y = b->mtime_ns;

	return bm_time_is_as_noted(x, y) || bm_time_is_as_noted(y, x);
}

static enum bm_verdict say_wrong(struct diff *d, const struct digest *a, const struct digest *b, struct bm_error *why)
{
	const struct facts *x = &d->before.facts, *y = &d->now.facts;
	bool rotted = x->has_mtime && y->has_mtime && same_mtime(x, y) && x->has_size && y->has_size &&
	              x->size_bytes == y->size_bytes;

	bm_buf_reset(&d->text);
	bm_buf_printf(&d->text, "%s was ", d->algorithms[a->algorithm].name);
	put_short(&d->text, a);
	bm_buf_puts(&d->text, ", is now ");
	put_short(&d->text, b);
	if (rotted)
		bm_buf_puts(&d->text, "; size and time of change are as they were");
	(void)bm_error_set(why, BM_ERR_MISMATCH, NULL, "%s", d->text.oom ? "has another digest" : d->text.data);
	return rotted ? BM_VERDICT_ROTTED : BM_VERDICT_CHANGED;
}

static void put_algorithms(struct diff *d, const struct side *s)
{
	for (size_t i = 0; i < s->facts.digest_count; i++)
		bm_buf_printf(&d->text, "%s%s", i > 0 ? ", " : "", d->algorithms[s->digests[i].algorithm].name);
	if (s->facts.digest_count == 0)
		bm_buf_puts(&d->text, "none");
}

/* What is in both. *why is set where that is not ok. */
static enum bm_verdict judge(struct diff *d, struct bm_error *why)
{
	const struct side *a = &d->before, *b = &d->now;
	bool is_common = false;

	for (size_t i = 0; i < a->facts.digest_count; i++) {
		for (size_t k = 0; k < b->facts.digest_count; k++) {
			if (a->digests[i].algorithm != b->digests[k].algorithm)
				continue;
			is_common = true;
			if (a->digests[i].len != b->digests[k].len ||
			    memcmp(a->digests[i].bytes, b->digests[k].bytes, a->digests[i].len) != 0)
				return say_wrong(d, &a->digests[i], &b->digests[k], why);
		}
	}
	if (a->facts.has_size && b->facts.has_size && a->facts.size_bytes != b->facts.size_bytes) {
		(void)bm_error_set(why, BM_ERR_MISMATCH, NULL, "had %" PRIu64 " bytes, has now %" PRIu64 "%s",
		                   a->facts.size_bytes, b->facts.size_bytes,
		                   is_common ? ", though the digest is the same" : "");
		return BM_VERDICT_CHANGED;
	}
	if (is_common)
		return BM_VERDICT_OK;
	bm_buf_reset(&d->text);
	bm_buf_puts(&d->text, "no algorithm in common: ");
	put_algorithms(d, a);
	bm_buf_puts(&d->text, " before, ");
	put_algorithms(d, b);
	bm_buf_puts(&d->text, " now");
	(void)bm_error_set(why, BM_ERR_UNSUPPORTED, NULL, "%s", d->text.oom ? "no algorithm in common" : d->text.data);
	return BM_VERDICT_NOT_CHECKED;
}

static bool is_empty(const struct diff *d, const struct side *s)
{
	if (s->facts.has_size)
		return s->facts.size_bytes == 0;
	for (size_t i = 0; i < s->facts.digest_count; i++) {
		const struct algorithm *a = &d->algorithms[s->digests[i].algorithm];

		if (a->has_empty && memcmp(a->empty, s->digests[i].bytes, s->digests[i].len) == 0)
			return true;
	}
	return false;
}

static enum bm_status keep(struct diff *d, const struct side *s, enum join_kind kind, struct bm_error *err)
{
	struct join_digest digests[DIFF_DIGESTS_MAX];
	struct join_item item = {
		.kind = kind,
		.name = s->name.data,
		.name_len = s->name.len,
		.is_empty = is_empty(d, s),
		.digests = digests,
	};

	if (kind != JOIN_NOT_OK) {
		item.record = &s->facts;
		item.record_len = sizeof(s->facts);
		for (size_t i = 0; i < s->facts.digest_count; i++)
			digests[item.digest_count++] =
				(struct join_digest){s->digests[i].algorithm, s->digests[i].bytes, s->digests[i].len};
	}
	return join_add(d->join, &item, err);
}

static void give(void *ctx, const struct join_given *given)
{
	struct diff *d = ctx;
	struct facts f;
	struct digest digests[DIFF_DIGESTS_MAX];

	memcpy(&f, given->record, sizeof(f)); /* it is not aligned */
	for (size_t i = 0; i < given->digest_count; i++) {
		const struct join_digest *from = &given->digests[i];

		digests[i].algorithm = (uint8_t)from->algorithm;
		digests[i].len = (uint8_t)from->len;
		memcpy(digests[i].bytes, from->bytes, from->len);
	}
	tell(d, given->name, &f, digests, given->verdict, given->other,
	     given->verdict == BM_VERDICT_MISSING ? &d->missing : NULL);
}

/* The manifest of before, once more, for the join. */
struct lister {
	struct side *side;
	struct join_digest digests[DIFF_DIGESTS_MAX];
};

static bool list_next(void *ctx, const char **name, size_t *name_len, const struct join_digest **digests,
                      size_t *digest_count, struct bm_error *err)
{
	struct lister *l = ctx;
	struct side *s = l->side;

	if (diff_side_next(s, err) != BM_OK || !s->has_name)
		return false;
	for (size_t i = 0; i < s->facts.digest_count; i++)
		l->digests[i] = (struct join_digest){s->digests[i].algorithm, s->digests[i].bytes, s->digests[i].len};
	*name = s->name.data;
	*name_len = s->name.len;
	*digests = l->digests;
	*digest_count = s->facts.digest_count;
	return true;
}

static enum bm_status join_all(struct diff *d, struct bm_error *err)
{
	struct lister l = {.side = &d->before};
	enum bm_status status;

	bm_manifest_sorted_destroy(d->now.sorted); /* its memory is wanted for the keys */
	d->now.sorted = NULL;
	status = d->before.catalog != NULL ? diff_catalog_rewind(d->before.catalog, err)
	                                   : bm_manifest_sorted_rewind(d->before.sorted, err);

	if (status == BM_OK)
		status = diff_side_next_line(&d->before, err);
	if (status == BM_OK)
		status = join_run(d->join, list_next, &l, err);
	if (status == BM_OK)
		status = join_each(d->join, give, d, err);
	return status;
}

static enum bm_status compare_all(struct diff *d, struct bm_error *err)
{
	struct side *a = &d->before, *b = &d->now;
	struct bm_error why;
	enum bm_verdict verdict;
	enum bm_status status = diff_side_next_line(a, err);

	if (status == BM_OK)
		status = diff_side_next_line(b, err);
	if (status == BM_OK)
		status = diff_side_next(a, err);
	if (status == BM_OK)
		status = diff_side_next(b, err);
	while (status == BM_OK && (a->has_name || b->has_name)) {
		int order = compare_names(a, b);

		if (order == 0) {
			bm_error_clear(&why);
			verdict = judge(d, &why);
			tell(d, b->name.data, &b->facts, b->digests, verdict, NULL,
			     verdict == BM_VERDICT_OK ? NULL : &why);
			if (verdict != BM_VERDICT_OK)
				status = keep(d, b, JOIN_NOT_OK, err);
		} else {
			status = keep(d, order < 0 ? a : b, order < 0 ? JOIN_MISSING : JOIN_NEW, err);
		}
		if (status == BM_OK && order <= 0)
			status = diff_side_next(a, err);
		if (status == BM_OK && order >= 0)
			status = diff_side_next(b, err);
	}
	return status;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

enum bm_status bm_audit_diff(const struct bm_audit_diff_options *o, struct bm_summary *sum, struct bm_error *err)
{
	uint64_t start = now_ms();
	struct diff *d = calloc(1, sizeof(*d));
	enum bm_status status;

	memset(sum, 0, sizeof(*sum));
	if (d == NULL)
		return bm_error_set_nomem(err);
	d->o = o;
	d->sum = sum;
	d->before = (struct side){.diff = d, .path = o->before};
	d->now = (struct side){.diff = d, .path = o->now};
	(void)bm_error_set(&d->missing, BM_ERR_MISMATCH, NULL, "is missing");
	status = join_create(&d->join, err);
	if (status == BM_OK)
		status = diff_side_load(&d->before, true, err);
	if (status == BM_OK)
		status = diff_side_load(&d->now, false, err);
	if (status == BM_OK) {
		diff_settle_guesses(d);
		sum->jobs_done = 1;
		status = compare_all(d, err);
	}
	if (status == BM_OK)
		status = join_all(d, err);
	sum->elapsed_ms = now_ms() - start;
	diff_side_fini(&d->before);
	diff_side_fini(&d->now);
	join_destroy(d->join);
	bm_buf_fini(&d->text);
	free(d);
	return status;
}
