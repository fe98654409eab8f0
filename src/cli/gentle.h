/* gentle.h - --nice and --ionice: others go first. */
#ifndef BM_CLI_GENTLE_H
#define BM_CLI_GENTLE_H

#include "options.h"

/* For the main thread, before there is another: those that come inherit it. 0, or BM_EXIT_USAGE after the fault was told;
 * command is for that. What the kernel refuses is a warning. */
int bm_gentle_apply(const struct bm_cli_options *o, const char *command);

#endif
