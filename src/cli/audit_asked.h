/* audit_asked.h - was there anything of what --under and --include of `audit` and `diff` name? One thread at a time. */
#ifndef BM_CLI_AUDIT_ASKED_H
#define BM_CLI_AUDIT_ASKED_H

#include "bm_audit.h"
#include "options.h"

struct bm_audit_asked {
	const struct bm_cli_options *o; /* borrowed */
	bool *found;                    /* for each --under; owned */
	size_t first;                   /* of them that has not been found */
	bool any;                       /* file that got a verdict */
	bool is_partial;                /* set by the caller after init: what is there need not be due */
};

/* Is each --under a name that a manifest can have? 0, or BM_EXIT_USAGE after it was told. */
int bm_audit_check_under(const char *command, const struct bm_cli_options *o);
/* False: no memory. fini is right after that, too, and on zeroes. */
bool bm_audit_asked_init(struct bm_audit_asked *a, const struct bm_cli_options *o);
void bm_audit_asked_fini(struct bm_audit_asked *a);
/* Each result. */
void bm_audit_asked_file(struct bm_audit_asked *a, const struct bm_file_result *file);
/* At the end of one that is complete: tells what has not been found, which makes BM_EXIT_FAILED of BM_EXIT_DONE; the exit
 * code. root is the directory; NULL: there is none, two manifests were compared. */
int bm_audit_asked_end(const struct bm_audit_asked *a, const char *root, int rc);

#endif
