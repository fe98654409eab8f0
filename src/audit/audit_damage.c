/* audit_damage.c - which bytes of a file are damaged, said for people. */
#include <inttypes.h>

#include "bm_audit_repair.h"

/* "BEFORE0-99, 200-299 of 1000 and 3 more ranges"; false: there is none. */
static bool put_spans(struct bm_buf *out, const char *before, const struct bm_file_damage *d)
{
	uint64_t told = d->span_count < BM_DAMAGE_SPANS ? d->span_count : BM_DAMAGE_SPANS;

	for (uint64_t i = 0; i < told; i++)
		bm_buf_printf(out, "%s%" PRIu64 "-%" PRIu64, i == 0 ? before : ", ", d->spans[i].first,
		              d->spans[i].last);
	if (told > 0)
		bm_buf_printf(out, " of %" PRIu64, d->size_bytes);
	if (d->span_count > told)
		bm_buf_printf(out, " and %" PRIu64 " more ranges", d->span_count - told);
	return told > 0;
}

void bm_audit_put_damage(struct bm_buf *out, const struct bm_file_damage *d)
{
	bool told = put_spans(out, "; damaged: bytes ", d);

	if (d->found_bytes < d->size_bytes)
		bm_buf_printf(out, "; cut off behind byte %" PRIu64, d->found_bytes);
	else if (d->found_bytes > d->size_bytes)
		bm_buf_printf(out, "; %s %" PRIu64 " bytes, %" PRIu64 " more follow",
		              told ? "behind its" : "as it was in its first", d->size_bytes,
		              d->found_bytes - d->size_bytes);
	else if (!told)
		bm_buf_puts(out, "; no block is damaged: digest and blocks of the manifest contradict each other");
}

static void put_replaced(struct bm_buf *out, const struct bm_audit_repaired *f)
{
	const struct bm_file_damage *d = &f->damage;
	bool told;

	if (f->is_whole) {
		bm_buf_printf(out, "all of its %" PRIu64 " bytes", d->damaged_bytes);
		return;
	}
	told = put_spans(out, "bytes ", d);
	if (d->found_bytes > d->size_bytes)
		bm_buf_printf(out, "%s%" PRIu64 " bytes behind its end are cut off", told ? "; " : "",
		              d->found_bytes - d->size_bytes);
}

void bm_audit_put_repaired(struct bm_buf *out, const struct bm_audit_repaired *f)
{
	size_t before = out->len;

	if (f->is_good)
		put_replaced(out, f);
	if (f->text != NULL)
		bm_buf_printf(out, "%s%s", out->len > before ? ": " : "", f->text);
}
