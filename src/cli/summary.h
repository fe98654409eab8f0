/*
 * summary.h - the closing summary on standard error, and the failures that it repeats.
 */
#ifndef BM_CLI_SUMMARY_H
#define BM_CLI_SUMMARY_H

#include <bytemill/bytemill.h>

#include "bm_mem.h"

struct bm_closing_list {
	struct bm_buf lines; /* the first ones, a NUL-ended text each */
	FILE *spill;         /* the others, likewise; NULL: none */
	uint64_t count;      /* all */
	uint64_t lost;       /* could not be kept */
};

struct bm_closing {
	struct bm_closing_list files;  /* that failed */
	struct bm_closing_list errors; /* that are no file's */
};

/* Keep one failure: text is "NAME: reason", escaped. One call at a time. false: it could not be kept, so that it is to be
 * said now (a file's has been). */
void bm_closing_add_file(struct bm_closing *c, const char *text);
bool bm_closing_add_error(struct bm_closing *c, const char *text);
/* The failures again, files first, and the figures. signal_name: what stopped the run, or NULL. where: enum
 * bm_console_where, for the figures; the failures stand in the log already, and is_brief leaves them out here too. */
void bm_closing_print(struct bm_closing *c, const struct bm_summary *sum, const char *signal_name, unsigned where,
                      bool is_brief);
void bm_closing_fini(struct bm_closing *c);

#endif
