/* audit_charts.h - what the catalog has on record of a root, as inline SVG, each chart with a table of its numbers. */
#ifndef AUDIT_CHARTS_H
#define AUDIT_CHARTS_H

#include "bm_audit_catalog.h"
#include "bm_mem.h"

/* Appends a section; nothing where there are no files on record. Errors: the catalog's, BM_ERR_NOMEM. */
enum bm_status audit_charts_put(struct bm_buf *out, struct bm_audit_catalog *catalog, struct bm_error *err)
	BM_NODISCARD;
/* "1,234,567" */
void audit_html_put_count(struct bm_buf *out, uint64_t n);

#endif
