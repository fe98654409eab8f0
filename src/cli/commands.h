/* commands.h - the commands: one file each (cmd_<name>.c). */
#ifndef BM_CLI_COMMANDS_H
#define BM_CLI_COMMANDS_H

#include "options.h"

extern const struct bm_cli_command bm_cmd_run, bm_cmd_validate, bm_cmd_hash, bm_cmd_audit, bm_cmd_cat, bm_cmd_steps,
	bm_cmd_keygen, bm_cmd_schedule, bm_cmd_catalog;

#endif
