/* sandbox.h - a run that can open only what its jobs name: see sandbox.c. */
#ifndef BM_CLI_SANDBOX_H
#define BM_CLI_SANDBOX_H

#include <stdbool.h>

#include <bytemill/bytemill.h>

#include "options.h"

enum bm_sandbox_mode { BM_SANDBOX_AUTO, BM_SANDBOX_ON, BM_SANDBOX_OFF };
extern const char *const bm_sandbox_modes[];

/* From now on the process can gain no rights by what it starts (no_new_privs). */
void bm_sandbox_no_new_rights(void);
/* Raises the sandbox for the rest of the process's life, as --sandbox says: before any other thread is started, and for
 * one run only. makes_report: --report is no stream that is open already. 0, or BM_EXIT_USAGE where it cannot be had and must be, after it was told. */
int bm_sandbox_enter(const struct bm_jobs *jobs, const struct bm_cli_options *o, bool makes_report);
/* Is this failure of a system call one that the sandbox is likely to have caused? display: the input, or NULL. */
bool bm_sandbox_caused(const struct bm_error *err, const char *display);
#define BM_SANDBOX_HINT                                                                                                \
	"; the sandbox keeps this run to the files that the job names (--sandbox off lets it open all that its user may)"

#endif
