/* progress.h - the progress bar: when there is one, and what is in it. */
#ifndef BM_CLI_PROGRESS_H
#define BM_CLI_PROGRESS_H

#include <stdbool.h>

#include <bytemill/bytemill.h>

#include "options.h"

/* Decides, before the run: true where there will be a bar. results_on_stdout: the run itself writes to standard output,
 * whose lines and the bar's would mix where both are terminals. */
bool bm_bar_begin(const struct bm_cli_options *o, bool results_on_stdout);
void bm_bar_draw(const struct bm_progress *p); /* from on_progress: one call at a time, any thread */
void bm_bar_end(void);                         /* takes it away; after the run's last call of bm_bar_draw */

#endif
