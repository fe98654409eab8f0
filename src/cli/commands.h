/* commands.h - the commands: one file each (cmd_<name>.c). */
#ifndef BM_CLI_COMMANDS_H
#define BM_CLI_COMMANDS_H

#include "options.h"

extern const struct bm_cli_command bm_cmd_run, bm_cmd_validate, bm_cmd_hash, bm_cmd_audit, bm_cmd_cat, bm_cmd_steps,
	bm_cmd_keygen, bm_cmd_schedule, bm_cmd_diff, bm_cmd_catalog, bm_cmd_bag, bm_cmd_runs, bm_cmd_serve;

/* main.c: all of them, in the order of the help text, and NULL. */
extern const struct bm_cli_command *const bm_cli_commands[];

/* cmd_hash_check.c: hash --check; the exit code. */
int bm_hash_check(const struct bm_cli_options *o);

#endif
