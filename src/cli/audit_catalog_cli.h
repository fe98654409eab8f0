/* audit_catalog_cli.h - bytemill audit --catalog. */
#ifndef BM_CLI_AUDIT_CATALOG_H
#define BM_CLI_AUDIT_CATALOG_H

#include "options.h"

/* The whole command; the exit code. */
int bm_audit_with_catalog(const struct bm_cli_options *o);

#endif
