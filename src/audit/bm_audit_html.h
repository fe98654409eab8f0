/*
 * bm_audit_html.h - an audit as a page for people: one HTML file that needs nothing else, no network and no script.
 *
 * The page takes its name when it is complete (bm_sink.h); until then an older one stays. Memory is bounded whatever the
 * number of files: of each verdict the first LIST_MAX are listed, the rest counted. One thread at a time per object.
 */
#ifndef BM_AUDIT_HTML_H
#define BM_AUDIT_HTML_H

#include <bytemill/bytemill.h>

#include "bm_audit_catalog.h"
#include "bm_audit_repair.h"

/* path ends in ".html" or ".htm": such a report is a page. */
bool bm_audit_html_wanted(const char *path); /* NULL: false */

struct bm_audit_html;
/* Borrowed for the call that takes it. */
struct bm_audit_html_about {
	const char *path;     /* of the page */
	const char *root;     /* NULL: the manifest's directory */
	const char *manifest; /* NULL: the catalog */
};
/* Opens the temporary file, so that a place where nothing can be written is known before anything is read. Errors as of
 * bm_sink_open. */
enum bm_status bm_audit_html_create(const struct bm_audit_html_about *about, struct bm_audit_html **out,
                                    struct bm_error *err) BM_NODISCARD;
/* Each file's result, one call at a time. NULL for h is fine: nothing is done. */
void bm_audit_html_file(struct bm_audit_html *h, const struct bm_file_result *file);
/* After the run, where files are repaired: first this, whether or not there are any, then each one. NULL for h is fine. */
void bm_audit_html_repairs(struct bm_audit_html *h, bool dry_run);
void bm_audit_html_repaired(struct bm_audit_html *h, const struct bm_audit_repaired *f);
/* After the run: writes the page and gives it its name. catalog: NULL, or finished, for the charts. NULL for h is fine:
 * BM_OK. BM_ERR_SYSTEM, BM_ERR_NOMEM, or what the catalog has: then no page is written. Blocks. */
enum bm_status bm_audit_html_write(struct bm_audit_html *h, const char *run_id, const struct bm_summary *sum,
                                   struct bm_audit_catalog *catalog, struct bm_error *err) BM_NODISCARD;
void bm_audit_html_destroy(
	struct bm_audit_html *h); /* removes the temporary file of a page not written; NULL is fine */

#endif
