/* audit_diff_catalog.h - what the catalog has on record of a directory, as the entries of a sorted manifest. One thread. For
 * audit_diff.c. */
#ifndef AUDIT_DIFF_CATALOG_H
#define AUDIT_DIFF_CATALOG_H

#include "bm_manifest.h"

#define DIFF_CATALOG_ALGORITHMS 64

struct diff_catalog;
/* dir: of the state. BM_ERR_USAGE: there is no catalog yet, or nothing on record of root. Else as bm_catalog_open. */
enum bm_status diff_catalog_open(const char *dir, const char *root, struct diff_catalog **out, struct bm_error *err)
	BM_NODISCARD;
void diff_catalog_close(struct diff_catalog *d); /* NULL is fine */
/* Which algorithms occur: those of bm_digest.h, of all of its files. */
enum bm_status diff_catalog_algorithms(struct diff_catalog *d,
                                       const struct bm_digest_algorithm *out[static DIFF_CATALOG_ALGORITHMS],
                                       size_t *count, struct bm_error *err) BM_NODISCARD;
/* As those of bm_manifest_sorted.h. What is missing or damaged comes as it should be. */
enum bm_manifest_event diff_catalog_next(struct diff_catalog *d, struct bm_manifest_entry *e, struct bm_error *err)
	BM_NODISCARD;
enum bm_status diff_catalog_rewind(struct diff_catalog *d, struct bm_error *err) BM_NODISCARD;

#endif
