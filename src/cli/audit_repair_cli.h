/* audit_repair_cli.h - bytemill audit --repair-from: what is said of it. One thread. */
#ifndef BM_CLI_AUDIT_REPAIR_H
#define BM_CLI_AUDIT_REPAIR_H

#include <stdio.h>

#include "bm_audit_html.h"
#include "bm_audit_repair.h"
#include "options.h"

struct bm_cli_repair;
/* 0, or BM_EXIT_USAGE after it was told. *out stays NULL where the option was not given. only: verdicts that are. */
int bm_cli_repair_create(const struct bm_cli_options *o, const struct bm_audit_options *ao, unsigned only,
                         struct bm_cli_repair **out);
void bm_cli_repair_destroy(struct bm_cli_repair *r); /* NULL is fine */
void bm_cli_repair_file(struct bm_cli_repair *r, const struct bm_file_result *f);
struct bm_cli_repair_to { /* who is told besides; each may be NULL; borrowed for the call */
	FILE *report;
	struct bm_audit_html *page;
};
/* Repairs, and tells of each file on standard output (formats gnu and rclone: on standard error); takes what was repaired
 * off sum's counts. False: something failed that is no file's, and that was told. */
bool bm_cli_repair_run(struct bm_cli_repair *r, const struct bm_cli_repair_to *to, struct bm_summary *sum);

#endif
