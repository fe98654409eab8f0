/*
 * log.h - the log of a run (--log): what a run without --quiet says on standard error, each line with time, run id and
 * level. One a process. Lines come from the console (console.h), which has the lock; open and close are the main
 * thread's, before there is another and after.
 */
#ifndef BM_CLI_LOG_H
#define BM_CLI_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include <bytemill/error.h>

#include "console.h"

/* target: "syslog", or a file, which is made (0600, its directories 0700) or appended to and stays open to the end. run_id is copied.
 * BM_ERR_SYSTEM; BM_ERR_UNSUPPORTED: there is no syslog here. */
enum bm_status bm_log_open(const char *target, const char *run_id, struct bm_error *err) BM_NODISCARD;
/* One line: text (len bytes) holds no control characters. Nothing where there is no log. Under the console's lock. */
void bm_log_line(enum bm_console_tag tag, const char *text, size_t len);
bool bm_log_is_file(const struct stat *st); /* is that the log? */
/* What could not be written is told on standard error, once. */
void bm_log_close(void);

#endif
