/* load.h - job files given on the command line, and how their faults are told. */
#ifndef BM_CLI_LOAD_H
#define BM_CLI_LOAD_H

#include <bytemill/bytemill.h>

#include "options.h"

struct bm_faults {
	unsigned long error_count;
	bool quiet; /* no warnings */
};

/* A bm_diagnostic_fn with a struct bm_faults as its context. */
void bm_faults_say(void *faults, const struct bm_diagnostic *d);

/* All operands of o as job files, checked. 0 and *jobs (the caller destroys it), or BM_EXIT_USAGE after every fault was
 * told. Faults is borrowed as long as *jobs lives. */
int bm_load_jobs(const char *command, const struct bm_cli_options *o, struct bm_faults *faults, struct bm_jobs **jobs);

#endif
