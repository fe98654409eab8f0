/* commands.h - the commands: one file each (cmd_<name>.c). */
#ifndef BM_CLI_COMMANDS_H
#define BM_CLI_COMMANDS_H

#include "options.h"

extern const struct bm_cli_command bm_cmd_run, bm_cmd_validate, bm_cmd_hash, bm_cmd_audit, bm_cmd_cat, bm_cmd_steps,
	bm_cmd_keygen, bm_cmd_schedule, bm_cmd_diff, bm_cmd_catalog, bm_cmd_bag;

/* cmd_audit.c: what audit and diff share. */
struct bm_summary;
struct bm_run;
struct bm_audit_html;
struct bm_audit_catalog;
extern const char *const bm_cli_audit_formats[]; /* the index is an enum bm_audit_format */
/* The closing lines of --format gnu, on standard error. */
void bm_audit_say_gnu(const struct bm_summary *s);
/* Has one of these verdicts (BM_AUDIT_BIT) been given? */
bool bm_audit_any_of(const struct bm_summary *sum, unsigned bits);
/* Writes the page of --report (NULL: none) and tells of a failure; the exit code, worse where it failed. */
int bm_audit_write_page(struct bm_audit_html *page, const struct bm_run *run, const struct bm_summary *sum,
                        struct bm_audit_catalog *catalog, int rc);
/* A list of verdicts; text may be NULL. 0, or BM_EXIT_USAGE after it was told. */
int bm_audit_parse_option(const char *command, const char *option, const char *text, unsigned allowed, unsigned *bits);

/* cmd_hash_check.c: hash --check; the exit code. */
int bm_hash_check(const struct bm_cli_options *o);

#endif
