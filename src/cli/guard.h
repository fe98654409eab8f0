/* guard.h - what the process does for its secrets' sake. */
#ifndef BM_CLI_GUARD_H
#define BM_CLI_GUARD_H

#include <bytemill/bytemill.h>

/* To be called before a secret is in memory: from now on no core is dumped, and no other process of the same user may look
 * into this one. Cannot be undone. */
void bm_guard_process(void);
/* The same where a step of the jobs reads keys or a passphrase. */
void bm_guard_process_for(const struct bm_jobs *jobs);

#endif
