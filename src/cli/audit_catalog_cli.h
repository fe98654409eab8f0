/* audit_catalog_cli.h - bytemill audit --catalog. */
#ifndef BM_CLI_AUDIT_CATALOG_H
#define BM_CLI_AUDIT_CATALOG_H

#include "bm_lock.h"
#include "options.h"

/* The whole command; the exit code. */
int bm_audit_with_catalog(const struct bm_cli_options *o);

/* Keeps audits of this root off for as long as *lock lives, which the caller destroys whatever comes of this. dir: the state
 * directory; root: as bm_audit_catalog_root gives it. 0, or the exit code: the reason has been told then. Does not wait. */
int bm_audit_catalog_lock(const char *dir, const char *root, struct bm_lock **lock) BM_NODISCARD;

#endif
